"""Tool calls that are sent while the model writes them: streams of the three /v1 dialects, with the
packages openai and anthropic. The embedded model is made to call, so its arguments come token by token."""
import json

import anthropic
import openai
import pytest

from test_tools import QUESTION, jinja_model, named_model  # noqa: F401 (fixtures)

SCHEMA = {"type": "object", "required": ["city", "days"], "additionalProperties": False, "properties": {
    "city": {"type": "string", "minLength": 12, "maxLength": 30}, "days": {"type": "integer", "minimum": 0, "maximum": 99}}}
CHAT = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
RESPONSES = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}]
MESSAGES = [{"name": "get_weather", "input_schema": SCHEMA}]


@pytest.fixture(params=["tiny", "jinja_model", "named_model"])
def model(request):
    """Parsers of a Go template's tag, of a Jinja template, and by name."""
    return request.getfixturevalue(request.param)


def is_call(text):
    value = json.loads(text)
    return set(value) == {"city", "days"} and 12 <= len(value["city"]) <= 30 and text == json.dumps(
        value, separators=(",", ":"), ensure_ascii="\\u" in text)


def chat(oai, model, **more):
    fields = {"max_tokens": 200, "temperature": 0, "reasoning_effort": "none", "tool_choice": "required", **more}
    return oai.chat.completions.create(model=model, messages=QUESTION, tools=CHAT, **fields)


# ---- chat completions -----------------------------------------------------------------------------------


def test_chat(oai, model):
    chunks = [c for c in chat(oai, model, stream=True)]
    calls = [c.choices[0].delta.tool_calls[0] for c in chunks if c.choices[0].delta.tool_calls]
    first, later = calls[0], calls[1:]
    assert first.id.startswith("call_") and first.type == "function" and first.function.name == "get_weather"
    assert len(later) > 2 and all(c.index == 0 and c.id is c.type is c.function.name is None for c in later)
    text = "".join(c.function.arguments for c in calls)
    assert is_call(text) and all(c.function.arguments for c in calls)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    whole = chat(oai, model).choices[0].message.tool_calls[0].function.arguments
    assert json.loads(whole) == json.loads(text)


def test_chat_helper(oai, tiny):
    with oai.chat.completions.stream(model=tiny, messages=QUESTION, tools=CHAT, tool_choice="required", max_tokens=200,
                                     reasoning_effort="none") as stream:
        events = [e.type for e in stream]
        choice = stream.get_final_completion().choices[0]
    assert events.count("tool_calls.function.arguments.delta") > 2
    assert is_call(choice.message.tool_calls[0].function.arguments) and choice.finish_reason == "tool_calls"


def test_choices(oai, tiny):
    texts = {}
    for c in chat(oai, tiny, stream=True, n=2, temperature=1, seed=3):
        for call in c.choices[0].delta.tool_calls or []:
            texts[c.choices[0].index] = texts.get(c.choices[0].index, "") + call.function.arguments
    assert set(texts) == {0, 1} and all(map(is_call, texts.values()))


def test_native_calls_stay_whole(client, tiny):
    chunks = list(client.chat(tiny, QUESTION, tools=CHAT, stream=True, think=False, options={"num_predict": 200}))
    assert all(set(call.function.arguments) for c in chunks for call in c.message.tool_calls or [])
    assert sum(1 for c in chunks if c.message.tool_calls) <= 1


# ---- responses ------------------------------------------------------------------------------------------


def responses(oai, model, **more):
    fields = {"max_output_tokens": 200, "reasoning": {"effort": "none"}, "tool_choice": "required", **more}
    return oai.responses.stream(model=model, input="Oslo?", tools=RESPONSES, **fields)


def test_responses(oai, model):
    with responses(oai, model) as stream:
        events = list(stream)
        r = stream.get_final_response()
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    call = r.output[-1]
    assert len(deltas) > 2 and [e.arguments for e in done] == ["".join(deltas)] == [call.arguments]
    assert is_call(call.arguments) and call.status == "completed" and done[0].item_id == call.id
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert len({e.output_index for e in events if "function_call" in e.type}) == 1


# ---- messages -------------------------------------------------------------------------------------------


def messages(claude, model, **more):
    fields = {"max_tokens": 200, "tool_choice": {"type": "any"}, "thinking": {"type": "disabled"}, **more}
    return claude.messages.stream(model=model, messages=QUESTION, tools=MESSAGES, **fields)


def test_messages(claude, model):
    with messages(claude, model) as stream:
        events = list(stream)
        r = stream.get_final_message()
    deltas = [e.delta.partial_json for e in events if e.type == "content_block_delta" and e.delta.type == "input_json_delta"]
    starts = [e.index for e in events if e.type == "content_block_start"]
    stops = [e.index for e in events if e.type == "content_block_stop"]
    assert len(deltas) > 2 and is_call("".join(deltas)) and starts == stops == list(range(len(starts)))
    assert r.content[-1].input == json.loads("".join(deltas)) and r.stop_reason == "tool_use"


# ---- calls that do not end ------------------------------------------------------------------------------


def beginning(text):
    return text.startswith("{") and len(text) > 1 and not text.endswith("}")


def test_cut_off(oai, claude, tiny):
    """The limit of tokens inside of a call: what came is told, and that it is not all."""
    n = 2 + chat(oai, tiny).usage.completion_tokens // 2
    chunks = list(chat(oai, tiny, stream=True, max_tokens=n))
    assert beginning("".join(c.choices[0].delta.tool_calls[0].function.arguments for c in chunks if c.choices[0].delta.tool_calls))
    assert chunks[-1].choices[0].finish_reason == "length"
    assert not any(c.choices[0].delta.content for c in chunks)
    events = list(oai.responses.create(model=tiny, input=QUESTION, tools=RESPONSES, max_output_tokens=n, temperature=0, stream=True,
                                       reasoning={"effort": "none"}, tool_choice="required"))
    item = events[-1].response.output[-1]
    assert item.status == "incomplete" and beginning(item.arguments)
    events = list(claude.messages.create(model=tiny, messages=QUESTION, tools=MESSAGES, max_tokens=n, stream=True, extra_body={"temperature": 0},
                                         thinking={"type": "disabled"}, tool_choice={"type": "any"}))
    assert beginning("".join(e.delta.partial_json for e in events if e.type == "content_block_delta"))
    assert [e.type for e in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2].delta.stop_reason == "max_tokens"


STOP = '"days"'  # between the two arguments


def test_stop_inside_of_a_call(oai, claude, model):
    """A stop text of the request is searched in all that is generated: the answer is the same, streamed or not."""
    whole = chat(oai, model, stop=STOP).choices[0]
    chunks = list(chat(oai, model, stream=True, stop=STOP))
    deltas = [c.choices[0].delta for c in chunks if c.choices]
    assert not whole.message.tool_calls and not any(d.tool_calls for d in deltas)
    assert "".join(d.content or "" for d in deltas) == (whole.message.content or "")
    assert [c.choices[0].finish_reason for c in chunks][-1] == whole.finish_reason == "stop"

    fields = {"model": model, "messages": QUESTION, "tools": MESSAGES, "max_tokens": 200, "stop_sequences": [STOP],
              "extra_body": {"temperature": 0}, "thinking": {"type": "disabled"}, "tool_choice": {"type": "any"}}
    whole = claude.messages.create(**fields)
    with claude.messages.stream(**fields) as stream:
        r = stream.get_final_message()
    assert [(b.type, getattr(b, "text", None)) for b in r.content] == [(b.type, getattr(b, "text", None)) for b in whole.content]
    assert r.stop_reason == whole.stop_reason == "stop_sequence" and r.stop_sequence == whole.stop_sequence == STOP

    fields = {"model": model, "input": QUESTION, "tools": RESPONSES, "tool_choice": "required", "temperature": 0,
              "reasoning": {"effort": "none"}, "extra_body": {"options": {"stop": [STOP]}}}
    whole = oai.responses.create(**fields)
    last = list(oai.responses.create(**fields, stream=True))[-1]
    output = last.response.output or []  # null: recorded so of a stream in which nothing came
    assert last.type == "response.completed" and not any(i.type == "function_call" for i in whole.output + output)
    assert "".join(c.text for i in output for c in i.content) == whole.output_text


def test_stop_elsewhere(oai, model):
    """A call that no stop text hits is there in full."""
    whole = chat(oai, model, stop="@@@").choices[0].message.tool_calls
    deltas = [c.choices[0].delta for c in chat(oai, model, stream=True, stop="@@@")]
    calls = [call for d in deltas for call in d.tool_calls or []]
    text = "".join(c.function.arguments for c in calls)
    assert is_call(text) and [json.loads(c.function.arguments) for c in whole] == [json.loads(text)]


def test_malformed(oai, claude, client, tiny):
    """A call that ends before its brackets do, here at a stop text of the model: the stream ends with the error."""
    client.create(model="stops-early", from_=tiny, parameters={"stop": [STOP]})
    with pytest.raises(openai.APIError, match="get_weather.*malformed"):
        list(chat(oai, "stops-early", stream=True))
    with pytest.raises(anthropic.APIStatusError, match="get_weather.*malformed"):
        with messages(claude, "stops-early") as stream:
            list(stream)
    events = list(oai.responses.create(model="stops-early", input=QUESTION, tools=RESPONSES, stream=True, tool_choice="required",
                                       reasoning={"effort": "none"}))
    assert events[-1].type == "response.failed" and "malformed" in events[-1].response.error.message
    chat(oai, tiny)  # the server goes on
