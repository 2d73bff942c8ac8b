"""Every field of every request that openapi.yaml describes, with every kind of value: what has the wrong
type is refused with 400 in the form of the dialect, nothing is answered with 5xx, and the server is as
well afterwards as before (sec_CVE_2026_21869, spec/security.md S-PA-4)."""
import concurrent.futures
import copy
import http.client
import json
import os

import pytest

from api_cases import Fixtures
from conftest import SETS, binary
from openapi import Description
from transport import Answer, Server

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
N_CONNECTIONS = 4

VALUES = {  # name -> (JSON text, kind of JSON; None: no JSON at all)
    "null": (b"null", "null"), "true": (b"true", "boolean"), "min": (b"-9223372036854775808", "integer"),
    "minus_one": (b"-1", "integer"), "zero": (b"0", "integer"), "max": (b"9223372036854775807", "integer"),
    "beyond": (b"123456789012345678901234567890", "number"), "fraction": (b"1.5", "number"),
    "huge": (b"1e308", "number"), "infinite": (b"1e999", "number"), "nan": (b"NaN", None),
    "empty": (b'""', "string"), "text": (b'"x"', "string"), "nul": (b'"a\\u0000b"', "string"),
    "surrogate": (b'"\\ud800"', "string"), "not_utf8": (b'"\xff\xc0\x80"', "string"),
    "list": (b"[]", "array"), "numbers": (b"[1,2]", "array"), "nulls": (b"[null]", "array"),
    "object": (b"{}", "object"), "members": (b'{"a":{"b":[1]}}', "object"), "cut_off": (b'{"a":', None),
}
FITS = {"integer": {"integer"}, "number": {"integer", "number"}}  # kinds of a type beside its own

# A request that works, to change one field of. A text in it that begins with "@" is a fixture's model.
MESSAGES = [{"role": "user", "content": "1"}]
BASE = {
    "/api/generate": {"model": "@fix/both", "prompt": "1", "stream": False, "options": {"num_predict": 4}},
    "/api/chat": {"model": "@fix/both", "messages": MESSAGES, "stream": False, "options": {"num_predict": 4}},
    "/apply-template": {"model": "@fix/both", "messages": MESSAGES},
    "/api/embed": {"model": "@fix/embed", "input": "a"},
    "/api/embeddings": {"model": "@fix/embed", "prompt": "a"},
    "/api/show": {"model": "@fix/both"},
    "/api/create": {"model": "field/new", "from": "@fix/both", "stream": False},
    "/api/copy": {"source": "@fix/both", "destination": "field/copy"},
    "/api/delete": {"model": "field/none"},
    "/api/pull": {"model": "127.0.0.1:9/field/none", "stream": False},  # nobody listens there
    "/api/push": {"model": "127.0.0.1:9/field/none", "stream": False},
    "/v1/chat/completions": {"model": "@fix/both", "messages": MESSAGES, "max_completion_tokens": 4},
    "/v1/completions": {"model": "@fix/both", "prompt": "1", "max_tokens": 4},
    "/v1/embeddings": {"model": "@fix/embed", "input": "a"},
    "/v1/responses": {"model": "@fix/both", "input": [{"role": "user", "content": "1"}], "max_output_tokens": 4},
    "/v1/messages": {"model": "@fix/both", "max_tokens": 8, "messages": MESSAGES},
    "/v1/messages/count_tokens": {"model": "@fix/both", "messages": MESSAGES},
    "/tokenize": {"model": "@fix/both", "content": "a"},
    "/detokenize": {"model": "@fix/both", "tokens": [1]},
    "/api/rerank": {"model": "@fix/embed", "query": "a", "documents": ["a"]},
    "/v1/rerank": {"model": "@fix/embed", "query": "a", "documents": ["a"]},
    "/api/experimental/web_search": {},
    "/api/experimental/web_fetch": {},
}
MAY_FAIL = {"/api/pull", "/api/push"}  # what a registry that is not there makes of a good request


@pytest.fixture(scope="module")
def description():
    return Description(os.path.join(TOP, "openapi.yaml"))


@pytest.fixture(scope="module")
def server():
    """One of its own: what these requests leave behind is nobody else's business."""
    s = Server(binary(), {"OLLAMA_CONTEXT_LENGTH": "512"})
    fixtures = Fixtures(SETS)
    for name in ("fix/both", "fix/embed"):
        fixtures.install(s.netloc, name)
    yield s
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


def operations(description):
    """(METHOD, path, schema of the body); paths that stand for another one come once."""
    seen = []
    for (method, path), operation in description.operations.items():
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content and operation not in seen:
            seen.append(operation)
            yield method, path, content["application/json"]["schema"]


def fields(description, schema, seen, path=()):
    """(path, schema) of every field, also inside of objects and lists of them; list elements are 0. Objects
    that several bodies share (options, tools) are gone through once: seen has their names."""
    name = schema.get("$ref")
    if name in seen:
        return
    if name:
        seen.add(name)
    schema = description.resolve(schema)
    for name, sub in schema.get("properties", {}).items():
        yield path + (name,), description.resolve(sub)
        yield from fields(description, sub, seen, path + (name,))
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        yield path + ("anything",), description.resolve(schema["additionalProperties"])
        yield from fields(description, schema["additionalProperties"], seen, path + ("anything",))
    for sub in [schema.get("items")] + [description.resolve(s).get("items") for s in schema.get("anyOf", [])]:
        if isinstance(sub, dict):
            yield path + (0,), description.resolve(sub)
            yield from fields(description, sub, seen, path + (0,))


def put(body, path, value):
    """A copy of body with the value at path; what is on the way there is made."""
    body, mark = copy.deepcopy(body), "\0here"
    node = body
    for key, following in zip(path, path[1:] + (None,)):
        if isinstance(key, int) and not node:
            node.append(None)
        if following is None:
            node[key] = mark
        elif not isinstance(node[key] if isinstance(key, int) else node.get(key), list if following == 0 else dict):
            node[key] = [] if following == 0 else {}
        node = node[key]
    text = json.dumps(body).replace('"@', '"').encode()
    return text.replace(json.dumps(mark).encode(), value)


def kinds_of(description, schema):
    """The kinds of JSON that the schema takes; None: it does not say."""
    parts = schema.get("anyOf")
    if parts:
        inner = [kinds_of(description, description.resolve(p)) for p in parts]
        return None if None in inner else set().union(*inner)
    if "enum" in schema or "const" in schema:
        return None if "type" not in schema else {schema["type"]}
    want = schema.get("type")
    if want is None:
        return None
    return set().union(*({t} | FITS.get(t, set()) for t in ([want] if isinstance(want, str) else want)))


def must_refuse(description, schema, kind):
    want = kinds_of(description, schema)
    return kind is None or (want is not None and kind != "null" and kind not in want)


class Sender:
    """Requests over a few connections that stay open; a broken one is a finding."""

    def __init__(self, netloc):
        self.netloc = netloc

    def send_all(self, cases):
        """cases: (METHOD, path, body) -> answers in their order"""
        cases = list(cases)
        parts = [cases[i::N_CONNECTIONS] for i in range(N_CONNECTIONS)]
        with concurrent.futures.ThreadPoolExecutor(N_CONNECTIONS) as pool:
            answers = list(pool.map(self.send_part, parts))
        return [answers[i % N_CONNECTIONS][i // N_CONNECTIONS] for i in range(len(cases))]

    def send_part(self, cases):
        c, out = http.client.HTTPConnection(self.netloc, timeout=60), []
        for method, path, body in cases:
            try:
                c.request(method, path, body)
                r = c.getresponse()
                out.append(Answer(r.status, [(k.lower(), v) for k, v in r.getheaders()], r.read()))
            except OSError as e:
                out.append(Answer(599, [], repr(e).encode()))
                c.close()
        c.close()
        return out


def judge(description, method, path, answer, refuse):
    if answer.status >= 500 and not (path in MAY_FAIL and answer.status == 500):
        return f"{answer.status} {answer.body[:150]!r}"
    if refuse and answer.status != 400:
        return f"want 400, got {answer.status} {answer.body[:150]!r}"
    return "; ".join(description.check_answer(method, path, answer))


def test_every_body_has_a_base(description):
    assert {path for _, path, _ in operations(description)} == set(BASE)


@pytest.fixture(scope="module")
def all_fields(description):
    seen = set()
    return {path: (method, list(fields(description, schema, seen))) for method, path, schema in operations(description)}


@pytest.mark.parametrize("path", sorted(BASE))
def test_every_field_with_every_kind_of_value(server, description, all_fields, path):
    method, places = all_fields[path]
    cases, names = [], []
    for place, sub in places:
        for name, (text, kind) in VALUES.items():
            cases.append((method, path, put(BASE[path], place, text)))
            names.append((".".join(map(str, place)), name, must_refuse(description, sub, kind)))
    answers = Sender(server.netloc).send_all(cases)
    wrong = [f"{place} = {name}: {problem}" for (place, name, refuse), answer in zip(names, answers)
             for problem in [judge(description, method, path, answer, refuse)] if problem]
    assert wrong == [], f"{len(wrong)} of {len(cases)}"
    assert server.alive()


BODIES = {
    "empty": b"", "blank": b" \r\n", "deep_lists": b"[" * 100000, "deep_objects": b'{"a":' * 100000,
    "deep_and_closed": b"[" * 100000 + b"]" * 100000, "text": b'"x"', "number": b"5", "list": b"[{}]", "not_json": b"<xml/>",
    "not_utf8": b"\xff\xfe{}", "nul": b"\0", "only_key": b'{"model"', "long_key": b'{"' + b"k" * 100000 + b'":1}',
    "deep_field": b'{"model":' + b"[" * 100000, "deep_options": b'{"model":"x","options":{"a":' + b'{"a":' * 100000,
    "many_keys": b"{" + b",".join(b'"k%d":1' % i for i in range(20000)) + b"}", "twice": b'{"model":"x","model":5}',
}


@pytest.mark.parametrize("path", sorted(BASE))
def test_every_body_that_is_none(server, description, path):
    method = next(m for m, p, _ in operations(description) if p == path)
    answers = Sender(server.netloc).send_all((method, path, body) for body in BODIES.values())
    may_be_good = {"long_key", "many_keys"}  # unknown keys: the model is missing then
    wrong = []
    for name, answer in zip(BODIES, answers):
        fine = (400, 403, 404) if name in may_be_good or path.startswith("/api/experimental") else (400,)
        problem = judge(description, method, path, answer, False)
        if problem or answer.status not in fine:
            wrong.append(f"{name}: {problem or answer}")
    assert wrong == []
    assert server.alive()
