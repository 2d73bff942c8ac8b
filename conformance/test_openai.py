"""More of the OpenAI dialect: choices, limits, completions; and the routes about tokens."""
import http.client
import json

import openai
import pytest


def post(server, path, body):
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    c.request("POST", path, json.dumps(body))
    r = c.getresponse()
    return r.status, json.loads(r.read())


def say(text):
    return [{"role": "user", "content": text}]


# ---- chat -------------------------------------------------------------------------------------------


def test_choices(oai, tiny):
    """n answers; with a seed they can be had again, and the first is the one of n = 1."""
    def ask(n, **more):
        return oai.chat.completions.create(model=tiny, messages=say("Tell me a story."), n=n, max_tokens=12, reasoning_effort="none",
                                           temperature=1.5, seed=5, **more)
    r, again, one = ask(3), ask(3), ask(1)
    texts = [c.message.content for c in r.choices]
    assert [c.index for c in r.choices] == [0, 1, 2] and len(set(texts)) > 1
    assert texts == [c.message.content for c in again.choices] and texts[0] == one.choices[0].message.content
    assert r.usage.prompt_tokens == one.usage.prompt_tokens
    assert one.usage.completion_tokens < r.usage.completion_tokens <= 36
    parts, reasons = ["", "", ""], [None] * 3
    chunks = list(ask(3, stream=True, stream_options={"include_usage": True}))
    for c in chunks:
        for choice in c.choices:
            parts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert parts == texts and all(reasons) and chunks[-1].usage == r.usage
    for n in (0, -1, 1000):
        with pytest.raises(openai.BadRequestError, match="n must be between"):
            ask(n)


def test_limits(oai, scripted):
    r = oai.chat.completions.create(model=scripted, messages=say("2"), max_tokens=9, max_completion_tokens=2)
    assert (r.choices[0].message.content, r.choices[0].finish_reason) == (" one two", "length")


def test_options_are_taken(oai, client, scripted):
    def ask(**fields):
        r = oai.chat.completions.create(model=scripted, messages=say("2"), **fields)
        return r.choices[0].message.content

    assert ask(extra_body={"options": {"num_predict": 3}}) == " one two three"
    assert ask(max_tokens=2, extra_body={"options": {"num_predict": 3}}) == " one two"  # the dialect's own wins
    with pytest.raises(openai.BadRequestError, match="seed"):
        ask(extra_body={"options": {"seed": "x"}})


def test_logit_bias(oai, server, scripted):
    """After "a" the model says "Either", next best "Or"."""
    either = next(i for i in range(256, 400) if post(server, "/detokenize", {"model": scripted, "tokens": [i]}) ==
                  (200, {"content": "Either"}))  # no merges make it: text cannot tell the token
    for bias, text in (({}, "Either way"), ({str(either): -100}, "Or")):
        whole = oai.chat.completions.create(model=scripted, messages=say("a"), temperature=0, logit_bias=bias)
        assert whole.choices[0].message.content.startswith(text)
        whole = oai.completions.create(model=scripted, prompt="a", temperature=0, logit_bias=bias)
        assert whole.choices[0].text.startswith(text)


def test_no_tools(oai, both):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}
    r = oai.chat.completions.create(model=both, messages=say("5"), tools=[tool])
    assert r.choices[0].message.tool_calls and r.choices[0].finish_reason == "tool_calls"
    none = oai.chat.completions.create(model=both, messages=say("5"), tools=[tool], tool_choice="none")
    assert not none.choices[0].message.tool_calls and none.usage.prompt_tokens < r.usage.prompt_tokens
    with pytest.raises(openai.BadRequestError, match="invalid tool_choice"):
        oai.chat.completions.create(model=both, messages=say("5"), tools=[tool], tool_choice="perhaps")


# ---- completions ----------------------------------------------------------------------------------------


def test_completions(oai, scripted):
    r = oai.completions.create(model=scripted, prompt="1")
    assert (r.choices[0].text, r.choices[0].finish_reason) == ("Hello there friend.", "stop")
    assert r.object == "text_completion" and r.usage.completion_tokens == 4
    r = oai.completions.create(model=scripted, prompt="2", max_tokens=2, n=2)
    assert [(c.index, c.text, c.finish_reason) for c in r.choices] == [(0, " one two", "length"), (1, " one two", "length")]
    chunks = list(oai.completions.create(model=scripted, prompt="9", stop=[" STOP"], stream=True,
                                         stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "alpha beta"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    with pytest.raises(openai.NotFoundError):
        oai.completions.create(model="nope", prompt="1")
    with pytest.raises(openai.BadRequestError, match="stop"):
        oai.completions.create(model=scripted, prompt="1", stop=[5])


# ---- tokens, templates, probes ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_tokens(server, tiny, prefix):
    text = "Hello, naïve 😀 <|im_end|>"
    status, r = post(server, prefix + "/tokenize", {"model": tiny, "content": text})
    assert status == 200 and r["count"] == len(r["tokens"]) > 3
    assert post(server, prefix + "/detokenize", {"model": tiny, "tokens": r["tokens"]}) == (200, {"content": text})
    _, pieces = post(server, prefix + "/tokenize", {"model": tiny, "prompt": text, "with_pieces": True})
    assert [p["id"] for p in pieces["tokens"]] == r["tokens"]
    data = b"".join(bytes(p["piece"]) if isinstance(p["piece"], list) else p["piece"].encode() for p in pieces["tokens"])
    assert data.decode() == text
    _, plain = post(server, prefix + "/tokenize", {"model": tiny, "content": text, "parse_special": False})
    assert plain["count"] > r["count"]
    _, empty = post(server, prefix + "/tokenize", {"model": tiny, "content": ""})
    assert empty == {"tokens": [], "count": 0}


def test_token_errors(server, tiny):
    for path, body, status in (("/tokenize", {"model": tiny}, 400), ("/tokenize", {"content": "x"}, 400),
                               ("/tokenize", {"model": "nope", "content": "x"}, 404),
                               ("/detokenize", {"model": tiny, "tokens": [1 << 30]}, 400),
                               ("/detokenize", {"model": tiny, "tokens": ["a"]}, 400),
                               ("/detokenize", {"model": tiny}, 400),
                               ("/apply-template", {"model": "nope", "messages": say("x")}, 404)):
        got, answer = post(server, path, body)
        assert got == status and answer["error"], (path, body)


def test_apply_template(server, oai, tiny):
    _, r = post(server, "/apply-template", {"model": tiny, "messages": say("Hello!")})
    assert "Hello!" in r["prompt"]
    asked = oai.chat.completions.create(model=tiny, messages=say("Hello!"), max_tokens=1)
    assert r["count"] == asked.usage.prompt_tokens


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_probes(server, path):
    for method in ("GET", "HEAD"):
        c = http.client.HTTPConnection(server.netloc, timeout=60)
        c.request(method, path)
        r = c.getresponse()
        body = r.read()
        assert r.status == 200 and (method == "HEAD" or json.loads(body) == {"status": "ok"})
