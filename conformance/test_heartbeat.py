"""Streams in which nothing comes for a while (spec/clients.md Q12): the head of the answer goes out, and in SSE
a comment now and then, which clients skip. Here a while is a microsecond: no token is faster."""
import http.client
import json

import anthropic
import openai
import pytest

from api_cases import Fixtures
from conftest import SETS, binary
from transport import Server

SAY_1 = [{"role": "user", "content": "1"}]
TEXT = "Hello there friend."


@pytest.fixture(scope="module")
def server():
    s = Server(binary(), {"OLLAMA_CONTEXT_LENGTH": "512", "CRIA_HEARTBEAT": "1us"})
    Fixtures(SETS).install(s.netloc, "fix/chat")
    yield s
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


def stream(server, path, body):
    """(status, type, lines)"""
    c = http.client.HTTPConnection(server.netloc, timeout=120)
    c.request("POST", path, json.dumps(dict({"model": "fix/chat", "stream": True}, **body)))
    r = c.getresponse()
    data = r.read().decode().split("\n")
    c.close()
    return r.status, r.getheader("Content-Type").partition(";")[0], data


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", {"messages": SAY_1}), ("/v1/completions", {"prompt": "1"}), ("/v1/responses", {"input": "1"}),
    ("/v1/messages", {"messages": SAY_1, "max_tokens": 40})])
def test_comments(server, path, body):
    status, kind, lines = stream(server, path, body)
    assert (status, kind) == (200, "text/event-stream") and "friend" in "".join(lines)
    assert lines[0] == ": ping" and {line for line in lines if line.startswith(":")} == {": ping"}
    whole = "\n".join(lines).split("\n\n")  # a comment is an event of its own, not a line of another one
    assert all(event == ": ping" or ": ping" not in event for event in whole)


def test_lines_have_none(server):
    status, kind, lines = stream(server, "/api/chat", {"messages": SAY_1})
    assert (status, kind) == (200, "application/x-ndjson")
    assert "".join(json.loads(line)["message"]["content"] for line in lines if line) == TEXT


def test_clients_skip_them(server):
    oai = openai.OpenAI(base_url=f"http://{server.netloc}/v1", api_key="any", timeout=120, max_retries=0)
    claude = anthropic.Anthropic(base_url="http://" + server.netloc, api_key="any", timeout=120, max_retries=0)
    chunks = oai.chat.completions.create(model="fix/chat", messages=SAY_1, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    with oai.responses.stream(model="fix/chat", input="1") as s:
        assert s.get_final_response().output_text == TEXT
    with claude.messages.stream(model="fix/chat", max_tokens=40, messages=SAY_1) as s:
        assert s.get_final_message().content[0].text == TEXT


def test_an_error_before_the_first_item_keeps_its_status(server):
    schema = {"type": "json_schema", "json_schema": {"schema": 5}}
    status, kind, _ = stream(server, "/v1/chat/completions", {"messages": SAY_1, "response_format": schema})
    assert (status, kind) == (400, "application/json")
    assert stream(server, "/v1/messages", {"model": "nope", "max_tokens": 9, "messages": SAY_1})[0] == 404
