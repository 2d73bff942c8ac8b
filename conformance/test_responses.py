"""/v1/responses with the package openai. What the scripted model says: golden/api/README.md."""
import json

import openai
import pydantic
import pytest

WEATHER = {"type": "function", "name": "get_weather", "description": "Weather of a city", "strict": True,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                          "additionalProperties": False}}
TIME = {"type": "function", "name": "get_time", "strict": False,
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}


def test_text(oai, scripted):
    r = oai.responses.create(model=scripted, input="1")
    assert r.output_text == "Hello there friend." and r.status == "completed" and r.id.startswith("resp_")
    assert r.usage.total_tokens == r.usage.input_tokens + r.usage.output_tokens
    r = oai.responses.create(model=scripted, input=[{"role": "user", "content": "2"}], max_output_tokens=3,
                             instructions="Count.", metadata={"a": "b"}, temperature=0.5)
    assert r.output_text == " one two three" and r.instructions == "Count." and r.metadata == {"a": "b"}
    assert r.max_output_tokens == 3 and r.temperature == 0.5


def test_stream(oai, scripted):
    events = list(oai.responses.create(model=scripted, input="1", stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "Hello there friend."
    assert events[-1].response.output_text == "Hello there friend."
    assert len({e.response.id for e in events if e.type in ("response.created", "response.completed")}) == 1
    with oai.responses.stream(model=scripted, input="3") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == "naïve café😀 done"


def test_thinking(oai, both):
    with oai.responses.stream(model=both, input="7") as stream:
        for _ in stream:
            pass
        r = stream.get_final_response()
    assert [item.type for item in r.output] == ["reasoning", "message"]
    assert r.output[0].summary[0].text == "First I look." and r.output_text == "The answer is 42."
    assert len({item.id for item in r.output}) == 2
    again = oai.responses.create(model=both, input=[{"role": "user", "content": "7"}, *[
        item.model_dump(exclude_none=True) for item in r.output], {"role": "user", "content": "1"}])
    assert again.output_text == "Hello there friend."


@pytest.mark.parametrize("stream", [False, True])
def test_tools(oai, both, stream):
    items = [{"role": "user", "content": "6"}]
    if stream:
        with oai.responses.stream(model=both, input=items, tools=[WEATHER, TIME]) as s:
            for _ in s:
                pass
            r = s.get_final_response()
    else:
        r = oai.responses.create(model=both, input=items, tools=[WEATHER, TIME])
    calls = [item for item in r.output if item.type == "function_call"]
    assert [(c.name, json.loads(c.arguments)) for c in calls] == \
        [("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "CET", "hours": [1, 2]})]
    assert len({c.call_id for c in calls}) == 2
    for c in calls:
        items += [{"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments}]
    for c in calls:
        items += [{"type": "function_call_output", "call_id": c.call_id, "output": "fine"}]
    r = oai.responses.create(model=both, input=items + [{"role": "user", "content": "so 1"}], tools=[WEATHER, TIME])
    assert r.output_text == "Hello there friend."
    r = oai.responses.create(model=both, input="5", tools=[WEATHER], tool_choice="none")
    assert [item.type for item in r.output] == ["message"] and r.tool_choice == "none"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_forced_calls(oai, tiny, choice):
    r = oai.responses.create(model=tiny, input="Tell me a story.", tools=[WEATHER], tool_choice=choice,
                             max_output_tokens=200, reasoning={"effort": "none"})
    calls = [item for item in r.output if item.type == "function_call"]
    assert calls and all(set(json.loads(c.arguments)) == {"city"} for c in calls)


def test_parse(oai, tiny):
    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=20)
        age: int = pydantic.Field(ge=0, le=150)

    r = oai.responses.parse(model=tiny, input="Who are you?", text_format=Person, temperature=0, max_output_tokens=200,
                            reasoning={"effort": "none"})
    assert isinstance(r.output_parsed, Person)


def test_errors(oai, scripted):
    with pytest.raises(openai.NotFoundError):
        oai.responses.create(model="nope", input="1")
    with pytest.raises(openai.NotFoundError):
        oai.responses.create(model="nope", input="1", stream=True)
    for fields, words in (({"input": [{"type": "bogus"}]}, "unknown input item type"),
                          ({"input": "1", "reasoning": {"effort": "x"}}, "invalid reasoning value"),
                          ({"input": "1", "tool_choice": "sometimes"}, "invalid tool_choice"),
                          ({"input": "1", "extra_body": {"options": {"seed": "x"}}}, "must be of type integer")):
        with pytest.raises(openai.BadRequestError, match=words):
            oai.responses.create(model=scripted, **fields)


def test_options_are_taken(oai, scripted):
    r = oai.responses.create(model=scripted, input="9", extra_body={"options": {"stop": [" STOP"]}})
    assert r.output_text == "alpha beta"
