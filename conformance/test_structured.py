"""Structured output through the API: `format`, response_format, tool_choice, and random schemas."""
import concurrent.futures
import json
import re
import time

import ollama
import openai
import pytest

import random_schemas

PERSON = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
                                           "age": {"type": "integer", "minimum": 0, "maximum": 150},
                                           "mood": {"enum": ["good", "bad"]}},
          "required": ["name", "age", "mood"]}
HOT = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "num_predict": 200}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds two numbers", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99},
                                     "b": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["a", "b"]}}}


def is_person(text):
    p = json.loads(text)
    return list(p) == ["name", "age", "mood"] and 0 <= p["age"] <= 150 and p["mood"] in ("good", "bad")


def test_schema(client, tiny):
    r = client.chat(tiny, [{"role": "user", "content": "Who are you?"}], format=PERSON, options={"temperature": 0})
    assert is_person(r.message.content)
    for seed in range(3):
        r = client.generate(tiny, "x", raw=True, format=PERSON, options={**HOT, "seed": seed})
        assert r.done_reason == "stop" and is_person(r.response)


def test_streamed_and_whole_are_the_same(client, tiny):
    options = {**HOT, "seed": 7}
    whole = client.generate(tiny, "x", raw=True, format=PERSON, options=options)
    parts = list(client.generate(tiny, "x", raw=True, format=PERSON, options=options, stream=True))
    assert "".join(p.response for p in parts) == whole.response
    logged = client.generate(tiny, "x", raw=True, format=PERSON, options=options, logprobs=True)
    assert logged.response == whole.response  # forced tokens are the same with and without their logits


def test_company_changes_nothing(client, tiny):
    def ask(seed):
        return client.generate(tiny, "x", raw=True, format=PERSON, options={**HOT, "seed": seed}).response
    alone = [ask(seed) for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == alone


def test_json_mode(client, tiny):
    for seed in range(3):
        r = client.generate(tiny, "x", raw=True, format="json", options={**HOT, "seed": seed, "num_predict": 150})
        if r.done_reason == "stop":
            assert isinstance(json.loads(r.response), dict)
        else:
            assert random_schemas.is_beginning(r.response)


def test_thinking_comes_first(client, tiny):
    r = client.chat(tiny, [{"role": "user", "content": "What is 2 + 3?"}], think=True, format=PERSON,
                    options={"temperature": 0, "num_predict": 400})
    assert r.message.thinking and is_person(r.message.content)
    r = client.chat(tiny, [{"role": "user", "content": "What is 2 + 3?"}], think=False, format=PERSON,
                    options={"temperature": 0})
    assert not r.message.thinking and is_person(r.message.content)


@pytest.mark.parametrize("schema, words", [
    ({"type": "nonsense"}, "unrecognized type nonsense"),
    ({"type": "string", "pattern": "("}, "Invalid pattern"),
    ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "JSON schema error at #/properties/a"),
    ({"enum": []}, "enum must be a non-empty array"),
])
def test_bad_schemas(client, oai, tiny, schema, words):
    with pytest.raises(ollama.ResponseError) as error:
        client.generate(tiny, "x", format=schema)
    assert error.value.status_code == 400 and words in error.value.error
    with pytest.raises(openai.BadRequestError) as error:
        oai.chat.completions.create(model=tiny, messages=[{"role": "user", "content": "x"}],
                                    response_format={"type": "json_schema",
                                                     "json_schema": {"name": "n", "schema": schema}})
    assert words in str(error.value)


def test_openai(oai, tiny):
    r = oai.chat.completions.create(model=tiny, messages=[{"role": "user", "content": "Who?"}], temperature=0,
                                    response_format={"type": "json_schema",
                                                     "json_schema": {"name": "p", "schema": PERSON, "strict": True}})
    assert is_person(r.choices[0].message.content)


def native(server, **fields):
    answer = random_schemas.send(server.netloc, {"method": "POST", "path": "/api/generate", "json": {
        "prompt": "x", "raw": True, "stream": False, "options": {**HOT, "seed": 5}, **fields}})
    return answer.status, json.loads(answer.body)


def test_other_forms(server, tiny):
    status, r = native(server, model=tiny, regex=r"[A-Z]{3}-\d{4}( ok)?")
    assert status == 200 and re.fullmatch(r"[A-Z]{3}-\d{4}( ok)?", r["response"])
    status, r = native(server, model=tiny, choice=["red", "green", "light green"])
    assert status == 200 and r["response"] in ("red", "green", "light green")
    status, r = native(server, model=tiny, grammar='root ::= ("a" | "b")+ "\\n" [0-9]{2}')
    assert status == 200 and re.fullmatch(r"[ab]+\n[0-9]{2}", r["response"])
    status, r = native(server, model=tiny, grammar="root ::= root")
    assert status == 400 and "left recursion in rule root" in r["error"]
    status, r = native(server, model=tiny, grammar='root ::= "a', )
    assert status == 400 and "line 1" in r["error"]
    status, r = native(server, model=tiny, regex="a", format="json")
    assert status == 400 and "only one of" in r["error"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_forced_calls(oai, tiny, choice):
    r = oai.chat.completions.create(model=tiny, messages=[{"role": "user", "content": "Tell me a story."}],
                                    tools=[ADD], tool_choice=choice, temperature=1.5, seed=3, max_tokens=200)
    calls = r.choices[0].message.tool_calls
    assert calls and all(c.function.name == "add" for c in calls)
    assert all(0 <= json.loads(c.function.arguments)[k] <= 99 for c in calls for k in "ab")
    with pytest.raises(openai.BadRequestError, match="no tool"):
        oai.chat.completions.create(model=tiny, messages=[{"role": "user", "content": "x"}], tools=[ADD],
                                    tool_choice={"type": "function", "function": {"name": "subtract"}})


# Each tool brings $defs of its own; their names are the same, and so is "#".
TREES = [{"name": name, "parameters": {
    "type": "object", "properties": {"leaf": {"$ref": "#/$defs/leaf"},
                                     "more": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
    "required": ["leaf", "more"], "additionalProperties": False, "$defs": {"leaf": leaf}}}
    for name, leaf in (("digit", {"type": "integer", "minimum": 0, "maximum": 9}), ("word", {"enum": ["ab", "cd"]}))]


def is_tree(name, tree):
    leaf = tree["leaf"] in range(10) if name == "digit" else tree["leaf"] in ("ab", "cd")
    return leaf and set(tree) == {"leaf", "more"} and (tree["more"] is None or is_tree(name, tree["more"]))


def ask_for_call(server, path, name, tools, **fields):
    """The arguments of the call that the tool_choice forces."""
    answer = random_schemas.send(server.netloc, {"method": "POST", "path": path, "json": {
        "messages": [{"role": "user", "content": "x"}], "tools": tools, "stream": False, **fields}})
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    if path == "/v1/messages":
        call = next(c for c in body["content"] if c["type"] == "tool_use")
        return call["name"], call["input"]
    message = body["message"] if path == "/api/chat" else body["choices"][0]["message"]
    call = message["tool_calls"][0]["function"]
    arguments = call["arguments"]
    return call["name"], json.loads(arguments) if isinstance(arguments, str) else arguments


@pytest.mark.parametrize("name", ["digit", "word"])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_refs_in_tools(server, tiny, path, name):
    tools = [{"type": "function", "function": f} for f in TREES]
    choice, rest = {"type": "function", "function": {"name": name}}, {"temperature": 0, "max_tokens": 400}
    if path == "/v1/messages":
        tools = [{"name": f["name"], "input_schema": f["parameters"]} for f in TREES]
        choice = {"type": "tool", "name": name}
    elif path == "/api/chat":
        rest = {"options": {"temperature": 0, "num_predict": 400}}
    called, tree = ask_for_call(server, path, name, tools, model=tiny, tool_choice=choice, **rest)
    assert called == name and is_tree(name, tree)


def test_strict_recursive_schema(oai, tiny):
    r = oai.chat.completions.create(
        model=tiny, messages=[{"role": "user", "content": "Who?"}], temperature=0.8, seed=3, max_tokens=300,
        response_format={"type": "json_schema", "json_schema": {"name": "t", "schema": TREES[1]["parameters"],
                                                                "strict": True}})
    assert r.choices[0].finish_reason == "length" or is_tree("word", json.loads(r.choices[0].message.content))


def test_random_schemas(server, tiny):
    """Fifty of them; a slow build (sanitizers) stops earlier."""
    pytest.importorskip("jsonschema")
    begun, complete = time.monotonic(), 0
    for seed in range(90000, 90050, 10):
        more, _, failures = random_schemas.run(server.netloc, tiny, 10, seed, n_predict=100)
        assert not failures, "\n".join(failures[:3])
        complete += more
        if time.monotonic() - begun > 10:
            break
    assert complete > 0
