"""What a recorded case is about: one protocol, and any number of features. Tables; a case that fits
no row of PROTOCOLS is plain HTTP."""
import json
import re
from collections import namedtuple

# body: the JSON of the request, or None; stream: the answer is one.
Case = namedtuple("Case", "method path body status stream")

PROTOCOLS = [  # (area, expression for the path); the first that fits
    ("registry", r"^/api/(pull|push)\b"),
    ("models", r"^/api/(create|copy|delete|show|tags|ps|blobs)\b"),
    ("account", r"^/api/(me|signout|user|status|experimental)\b"),
    ("native", r"^/api/(generate|chat|embed|embeddings)\b"),
    ("responses", r"^/v1/responses\b"),
    ("anthropic", r"^/v1/messages\b"),
    ("openai", r"^/v1/"),
]


def body_has(*keys):
    """Whether a member of one of these names, at any depth, says something."""
    def find(v):
        if isinstance(v, dict):
            return any((k in keys and x not in (None, [], {}, "", False)) or find(x) for k, x in v.items())
        return isinstance(v, list) and any(find(x) for x in v)
    return lambda c: find(c.body)


FEATURES = [
    ("streaming", lambda c: c.stream),
    ("errors", lambda c: c.status >= 400),
    ("tools", body_has("tools", "tool_calls", "tool_use", "tool_choice")),
    ("structured output", body_has("format", "response_format", "output_config")),
    ("thinking", body_has("think", "thinking", "reasoning", "reasoning_effort")),
    ("logprobs", body_has("logprobs", "top_logprobs")),
    ("embeddings", lambda c: re.match(r"^/(api/embed|v1/embeddings)", c.path) is not None),
    ("images and audio", lambda c: body_has("images", "image_url", "input_audio", "source")(c) or "/audio/" in c.path),
]


def areas_of(case):
    """(protocol, [features])"""
    fits = [name for name, pattern in PROTOCOLS if re.match(pattern, case.path)]
    protocol = "http" if not fits or case.method == "OPTIONS" else fits[0]
    return protocol, [name for name, test in FEATURES if test(case)]


def as_json(text):
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None
