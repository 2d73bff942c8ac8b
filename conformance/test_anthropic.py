"""The Anthropic dialect with the package anthropic. What the scripted model says: golden/api/README.md."""
import http.client
import json

import anthropic
import pytest

WEATHER = {"name": "get_weather", "description": "Weather of a city",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}


def say(text):
    return [{"role": "user", "content": text}]


def post(server, body, path="/v1/messages"):
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    c.request("POST", path, json.dumps(body))
    r = c.getresponse()
    return r.status, json.loads(r.read())


def test_message(claude, scripted):
    r = claude.messages.create(model=scripted, max_tokens=50, messages=say("1"))
    assert r.type == "message" and r.role == "assistant" and r.id.startswith("msg_")
    assert [b.text for b in r.content] == ["Hello there friend."] and r.stop_reason == "end_turn"
    assert r.usage.input_tokens > 0 and r.usage.output_tokens == 4
    r = claude.messages.create(model=scripted, max_tokens=3, messages=say("2"), system="Count.")
    assert r.content[0].text == " one two three" and r.stop_reason == "max_tokens"


def test_empty_answer(claude, scripted):
    r = claude.messages.create(model=scripted, max_tokens=50, messages=say("."))
    assert r.content == [] and r.stop_reason == "end_turn"


def test_stop_sequence(claude, client, scripted):
    r = claude.messages.create(model=scripted, max_tokens=50, messages=say("9"), stop_sequences=["zz", " STOP"])
    assert (r.content[0].text, r.stop_reason, r.stop_sequence) == ("alpha beta", "stop_sequence", " STOP")
    with claude.messages.stream(model=scripted, max_tokens=50, messages=say("9"), stop_sequences=[" STOP"]) as s:
        r = s.get_final_message()
    assert (r.content[0].text, r.stop_reason, r.stop_sequence) == ("alpha beta", "stop_sequence", " STOP")
    # One of the model's own is the end of a turn.
    client.create(model="smoke/stops", from_=scripted, parameters={"stop": [" STOP"]})
    r = claude.messages.create(model="smoke/stops", max_tokens=50, messages=say("9"))
    assert (r.content[0].text, r.stop_reason, r.stop_sequence) == ("alpha beta", "end_turn", None)
    client.delete("smoke/stops")


def test_stream(claude, scripted):
    with claude.messages.stream(model=scripted, max_tokens=50, messages=say("3")) as stream:
        text = "".join(stream.text_stream)
        r = stream.get_final_message()
    assert text == "naïve café😀 done" == r.content[0].text and r.stop_reason == "end_turn"
    whole = claude.messages.create(model=scripted, max_tokens=50, messages=say("3"))
    assert whole.usage.input_tokens == r.usage.input_tokens and whole.usage.output_tokens == r.usage.output_tokens
    events = list(claude.messages.create(model=scripted, max_tokens=50, messages=say("1"), stream=True))
    assert [e.type for e in events] == ["message_start", "content_block_start"] + 3 * ["content_block_delta"] + \
        ["content_block_stop", "message_delta", "message_stop"]
    assert events[0].message.usage.input_tokens == events[-2].usage.input_tokens  # known before the answer


def test_tools(claude, both):
    with claude.messages.stream(model=both, max_tokens=90, messages=say("6"), tools=[WEATHER, TIME]) as stream:
        r = stream.get_final_message()
    assert r.stop_reason == "tool_use"
    assert [(b.name, b.input) for b in r.content if b.type == "tool_use"] == \
        [("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "CET", "hours": [1, 2]})]
    whole = claude.messages.create(model=both, max_tokens=90, messages=say("6"), tools=[WEATHER, TIME])
    assert [b.input for b in whole.content] == [b.input for b in r.content if b.type == "tool_use"]
    call = r.content[-1]
    messages = say("6") + [{"role": "assistant", "content": [b.model_dump(include={"type", "id", "name", "input"})
                                                             for b in r.content]},
                           {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                                         "content": [{"type": "text", "text": "noon"}]},
                                                        {"type": "text", "text": "so 1"}]}]
    r = claude.messages.create(model=both, max_tokens=90, messages=messages, tools=[WEATHER, TIME])
    assert r.content[0].text == "Hello there friend." and r.stop_reason == "end_turn"
    r = claude.messages.create(model=both, max_tokens=90, messages=say("5"), tools=[WEATHER],
                               tool_choice={"type": "none"})
    assert [b.type for b in r.content] == ["text"] and "<tool_call>" in r.content[0].text


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_forced_calls(claude, tiny, choice):
    r = claude.messages.create(model=tiny, max_tokens=200, messages=say("Tell me a story."), tools=[WEATHER],
                               tool_choice=choice, thinking={"type": "disabled"})
    calls = [b for b in r.content if b.type == "tool_use"]
    assert r.stop_reason == "tool_use" and all(set(c.input) == {"city"} for c in calls)


def test_format(claude, tiny):
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
              "required": ["age"], "additionalProperties": False}
    r = claude.messages.create(model=tiny, max_tokens=60, messages=say("How old?"), thinking={"type": "disabled"},
                               extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}})
    assert 0 <= json.loads(r.content[0].text)["age"] <= 99


def test_thinking(claude, scripted, both):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(model=both, max_tokens=2000, messages=say("7"), thinking=thinking) as stream:
        r = stream.get_final_message()
    assert [b.type for b in r.content] == ["thinking", "text"] and r.content[0].thinking == "First I look."
    assert r.content[1].text == "The answer is 42."
    # A model that cannot think just answers.
    r = claude.messages.create(model=scripted, max_tokens=2000, messages=say("1"), thinking=thinking)
    assert [b.type for b in r.content] == ["text"]


def test_history_reaches_the_template(server, both):
    """Blocks in, prompt out: what count_tokens counts is what /apply-template shows."""
    content = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "ok"}]
    body = {"model": both, "messages": say("a") + [{"role": "assistant", "content": content}] + say("b"),
            "system": [{"type": "text", "text": "S"}, {"type": "text", "text": "T"}]}
    status, counted = post(server, body, "/v1/messages/count_tokens")
    native = {"model": both, "messages": [{"role": "system", "content": "ST"}, *say("a"),
                                          {"role": "assistant", "content": "ok", "thinking": "Hm."}, *say("b")]}
    _, shown = post(server, native, "/apply-template")
    assert status == 200 and counted["input_tokens"] == shown["count"]
    assert shown["prompt"] == "<|system|>ST<|user|>a<|assistant|><think>Hm.</think>ok<|user|>b"


def test_count_tokens(claude, both):
    few = claude.messages.count_tokens(model=both, messages=say("1")).input_tokens
    more = claude.messages.count_tokens(model=both, messages=say("1"), tools=[WEATHER]).input_tokens
    r = claude.messages.create(model=both, max_tokens=9, messages=say("1"), tools=[WEATHER])
    assert 0 < few < more == r.usage.input_tokens
    # More than the context holds is counted, too.
    assert claude.messages.count_tokens(model=both, messages=say("word " * 3000)).input_tokens > 3000


def test_errors(claude, server, scripted):
    for call in (lambda: claude.messages.create(model="nope", max_tokens=9, messages=say("1")),
                 lambda: claude.messages.count_tokens(model="nope", messages=say("1"))):
        with pytest.raises(anthropic.NotFoundError):
            call()
    with pytest.raises(anthropic.BadRequestError, match="max_tokens is required"):
        claude.messages.create(model=scripted, max_tokens=0, messages=say("1"))
    with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
        claude.messages.create(model=scripted, max_tokens=9, messages=say("1"), tool_choice={"type": "some"})
    with pytest.raises(anthropic.BadRequestError, match="messages is required"):
        claude.messages.count_tokens(model=scripted, messages=[])
    status, body = post(server, {"model": scripted, "max_tokens": 9, "messages": say("1"), "options": {"seed": "x"}})
    assert status == 400 and body["type"] == "error" and body["error"]["type"] == "invalid_request_error"
    assert body["request_id"].startswith("req_") and "seed" in body["error"]["message"]


def test_options_are_taken(server, scripted):
    status, body = post(server, {"model": scripted, "max_tokens": 50, "messages": say("9"),
                                 "options": {"stop": [" gamma"]}})
    assert status == 200 and body["content"][0]["text"] == "alpha beta STOP"


def test_models(claude, scripted):
    assert scripted + ":latest" in [m.id for m in claude.models.list().data]
