"""Streams in which nothing comes for a while (spec/clients.md Q12): the head of the answer goes out, and in SSE
a comment now and then, which clients skip. Here a while is a fraction of what the prompts take, each of them new."""
import http.client
import itertools
import json

import anthropic
import openai
import pytest

from conftest import binary
from transport import Server

MODEL = "cria-tiny"
numbers = itertools.count(1000)


def long_prompt():
    """Some hundred tokens that no earlier prompt begins with."""
    return f"{next(numbers)} " + " ".join(f"lorem {i}" for i in range(110))


def say():
    return [{"role": "user", "content": long_prompt()}]


@pytest.fixture(scope="module")
def server():
    s = Server(binary(), {"OLLAMA_CONTEXT_LENGTH": "1024", "CRIA_HEARTBEAT": "100us"}, builtin=True)
    stream(s, "/api/chat", {"messages": say()})  # the load of the model is no part of this
    yield s
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


def stream(server, path, body):
    """(status, type, lines)"""
    c = http.client.HTTPConnection(server.netloc, timeout=120)
    c.request("POST", path, json.dumps(dict({"model": MODEL, "stream": True}, **body)))
    r = c.getresponse()
    data = r.read().decode().split("\n")
    c.close()
    return r.status, r.getheader("Content-Type").partition(";")[0], data


@pytest.mark.parametrize("path, body, end", [
    ("/v1/chat/completions", lambda: {"messages": say(), "max_tokens": 8}, "data: [DONE]"),
    ("/v1/completions", lambda: {"prompt": long_prompt(), "max_tokens": 8}, "data: [DONE]"),
    ("/v1/responses", lambda: {"input": long_prompt(), "max_output_tokens": 8}, "event: response.completed"),
    ("/v1/messages", lambda: {"messages": say(), "max_tokens": 8}, "event: message_stop")])
def test_comments(server, path, body, end):
    status, kind, lines = stream(server, path, body())
    assert (status, kind) == (200, "text/event-stream")
    assert end in lines or "event: response.incomplete" in lines
    assert lines[0] == ": ping" and {line for line in lines if line.startswith(":")} == {": ping"}
    whole = "\n".join(lines).split("\n\n")  # a comment is an event of its own, not a line of another one
    assert all(event == ": ping" or ": ping" not in event for event in whole)


def test_lines_have_none(server):
    status, kind, lines = stream(server, "/api/chat", {"messages": say(), "options": {"num_predict": 8}})
    assert (status, kind) == (200, "application/x-ndjson")
    assert [json.loads(line)["done"] for line in lines if line][-1] is True


def test_clients_skip_them(server):
    oai = openai.OpenAI(base_url=f"http://{server.netloc}/v1", api_key="any", timeout=120, max_retries=0)
    claude = anthropic.Anthropic(base_url="http://" + server.netloc, api_key="any", timeout=120, max_retries=0)
    chunks = oai.chat.completions.create(model=MODEL, messages=say(), stream=True, max_tokens=8)
    assert [c.choices[0].finish_reason for c in chunks][-1] in ("stop", "length")
    with oai.responses.stream(model=MODEL, input=long_prompt(), max_output_tokens=8) as s:
        assert [event.type for event in s][-1] in ("response.completed", "response.incomplete")
    with claude.messages.stream(model=MODEL, max_tokens=8, messages=say()) as s:
        assert s.get_final_message().stop_reason in ("end_turn", "max_tokens")


def test_an_error_before_the_first_item_keeps_its_status(server):
    schema = {"type": "json_schema", "json_schema": {"schema": 5}}
    status, kind, _ = stream(server, "/v1/chat/completions", {"messages": say(), "response_format": schema})
    assert (status, kind) == (400, "application/json")
    assert stream(server, "/v1/messages", {"model": "nope", "max_tokens": 9, "messages": say()})[0] == 404
