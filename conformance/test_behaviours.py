"""What no recording tells: quirks that clients rely on (spec/clients.md 2), packed bodies (spec/api.md 1.1),
where cria does better than the peer (spec/api.md 11), and limits. Plain HTTP."""
import http.client
import json
import os
import struct

import pytest

from api_cases import Fixtures
from conftest import SETS, binary
from openapi import Description
from transport import Server, send

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TEXT = "Hello there friend."
SAY_1 = [{"role": "user", "content": "1"}]


@pytest.fixture(scope="module")
def server():
    s = Server(binary(), {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "512"})
    fixtures = Fixtures(SETS)
    for name in ("fix/chat", "fix/both", "fix/insert", "fix/embed", "fix/jinja"):
        fixtures.install(s.netloc, name)
    yield s
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


@pytest.fixture(scope="module")
def description():
    return Description(os.path.join(TOP, "openapi.yaml"))


@pytest.fixture
def ask(server, description):
    """ask(METHOD, path, body, status=200, **headers) -> the answer's JSON (or text), as described."""
    def call(method, path, body=None, status=200, raw=None, **headers):
        request = {"method": method, "path": path, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            request["json"] = body
        answer = send(server.netloc, request) if raw is None else send_raw(server.netloc, method, path, raw, headers)
        assert answer.status == status, answer.body[:300]
        assert description.check_answer(method, path, answer) == []
        kind = dict(answer.headers).get("content-type", "")
        return json.loads(answer.body) if kind.startswith("application/json") else answer.body.decode()
    return call


def send_raw(netloc, method, path, body, headers):
    c = http.client.HTTPConnection(netloc, timeout=60)
    c.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    r = c.getresponse()
    out = type("Answer", (), {"status": r.status, "headers": [(k.lower(), v) for k, v in r.getheaders()], "body": r.read()})
    c.close()
    return out


def generate(ask, **fields):
    return ask("POST", "/api/generate", dict({"model": "fix/chat", "prompt": "1", "stream": False}, **fields))


# ---- spec/clients.md 2 -------------------------------------------------------------------------------


def test_q1_name_for_model(ask):
    assert ask("POST", "/api/show", {"name": "fix/chat"})["details"]["family"] == "llama"
    assert ask("POST", "/api/show", {"model": "fix/chat", "name": "nope"})["details"]["family"] == "llama"
    assert ask("POST", "/api/show", {"name": "FIX/Chat:LATEST"})["details"]["family"] == "llama"
    ask("POST", "/api/copy", {"source": "fix/chat", "destination": "q1/a"})
    ask("DELETE", "/api/delete", {"name": "q1/a"})


def test_q2_unknown_fields_and_options(ask):
    assert generate(ask, tool_choice="auto", temperature=0, tfs=[1])["response"] == TEXT
    options = {"mirostat": 2, "numa": "x", "num_predict": None, "temperature": None, "stop": None, "nobody": {}}
    assert generate(ask, options=options)["response"] == TEXT


@pytest.mark.parametrize("options, kind", [
    ({"num_ctx": "8"}, "integer"), ({"temperature": "hot"}, "float32"), ({"use_mmap": 1}, "boolean"), ({"stop": "x"}, "array")])
def test_wrong_option_is_the_clients_fault(ask, options, kind):
    name = next(iter(options))
    error = ask("POST", "/api/generate", {"model": "fix/chat", "prompt": "1", "options": options}, 400)["error"]
    assert error == f'option "{name}" must be of type {kind}'


def test_q4_no_format(ask):
    for format in (None, ""):
        assert generate(ask, format=format)["response"] == TEXT
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "type": "object", "description": "d",
              "$defs": {"a": {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1}},
              "properties": {"age": {"$ref": "#/$defs/a"}}, "required": ["age"], "additionalProperties": False}
    answer = generate(ask, prompt="q", format=schema, options={"num_predict": 60})["response"]
    assert isinstance(json.loads(answer)["age"], int)


def test_q5_empty_lists_load_and_unload(ask):
    chat = {"model": "fix/chat", "stream": False}
    assert ask("POST", "/api/chat", dict(chat, messages=[], tools=[], options={}))["done_reason"] == "load"
    assert ask("POST", "/api/chat", dict(chat, messages=SAY_1, tools=[], options={}))["message"]["content"] == TEXT
    assert generate(ask, images=[], context=[])["response"] == TEXT
    assert generate(ask, prompt="", keep_alive=0.0)["done_reason"] == "unload"
    assert ask("GET", "/api/ps")["models"] == []


def test_q6_keep_alive(ask):
    for value in (300, 300.5, "5m", "1h30m", "-1", -1, "300s", -3.14, "0"):
        if value == "-1":  # no unit: the peer's words
            ask("POST", "/api/generate", {"model": "fix/chat", "prompt": "1", "keep_alive": value}, 400)
        else:
            assert generate(ask, keep_alive=value)["done"]


def test_q7_content_may_be_missing_beside_calls(ask):
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
    for content in ({}, {"content": None}, {"content": ""}):
        messages = [*SAY_1, {"role": "assistant", "tool_calls": [call], **content},
                    {"role": "tool", "tool_call_id": "c1", "content": "sunny 1"}]
        r = ask("POST", "/v1/chat/completions", {"model": "fix/both", "messages": messages})
        assert r["choices"][0]["message"]["content"] == TEXT


def test_q8_odd_requests(server, ask):
    ask("GET", "/api/tags", content_type="application/json")
    assert ask("POST", "/v1/messages?beta=true", {"model": "fix/chat", "max_tokens": 9, "messages": SAY_1})["role"] == "assistant"
    c = http.client.HTTPConnection(server.netloc, timeout=30)
    c._http_vsn, c._http_vsn_str = 10, "HTTP/1.0"
    c.request("POST", "/api/generate", json.dumps({"model": "fix/chat", "prompt": "1"}))
    r = c.getresponse()
    lines = [json.loads(line) for line in r.read().splitlines()]
    assert r.getheader("Transfer-Encoding") is None and lines[-1]["done"]
    c.close()


def test_q9_to_q11_headers_that_change_nothing(server):
    body = {"model": "fix/chat", "prompt": "1", "stream": False}
    headers = {"Accept-Encoding": "gzip, deflate, br, zstd", "Authorization": "Bearer ollama", "x-api-key": "any",
               "sec-fetch-mode": "cors", "Content-Type": "application/x-www-form-urlencoded", "anthropic-version": "2023-06-01"}
    answer = send(server.netloc, {"method": "POST", "path": "/api/generate", "json": body, "headers": headers})
    assert answer.status == 200 and json.loads(answer.body)["response"] == TEXT
    assert "content-encoding" not in dict(answer.headers)


def test_q15_version_is_not_too_old(server):
    answer = send(server.netloc, {"method": "GET", "path": "/api/version"})
    version = tuple(map(int, json.loads(answer.body)["version"].split(".")))
    assert version >= (0, 6, 4) and dict(answer.headers)["server"].startswith("cria/")


# ---- packed bodies -------------------------------------------------------------------------------------

SINGLE_SEGMENT = 0xA0  # the header tells the size of the content, in 4 bytes


def zstd(blocks, size):
    """A frame of (kind, bytes, size) blocks: 0 as they are, 1 one byte repeated (RFC 8878 3.1.1)."""
    out = struct.pack("<IBI", 0xFD2FB528, SINGLE_SEGMENT, size)
    for i, (kind, data, n) in enumerate(blocks):
        out += struct.pack("<I", n << 3 | kind << 1 | (i + 1 == len(blocks)))[:3] + data
    return out


def packed(body):
    data = json.dumps(body).encode()
    return zstd([(0, data, len(data))], len(data))


PACKED = [("/v1/chat/completions", {"model": "fix/chat", "messages": SAY_1}), ("/v1/completions", {"model": "fix/chat", "prompt": "1"}),
          ("/v1/embeddings", {"model": "fix/embed", "input": "a"}), ("/v1/responses", {"model": "fix/chat", "input": "1"}),
          ("/v1/messages", {"model": "fix/chat", "max_tokens": 20, "messages": SAY_1})]


@pytest.mark.parametrize("path, body", PACKED, ids=[p for p, _ in PACKED])
def test_packed_bodies(ask, path, body):
    assert TEXT in json.dumps(ask("POST", path, raw=packed(body), Content_Encoding="zstd")) or path == "/v1/embeddings"
    error = ask("POST", path, raw=b"not zstd", status=400, Content_Encoding="zstd")["error"]
    assert error["message"] == "invalid input: magic number mismatch" and error["type"] == "invalid_request_error"
    assert ask("POST", path, raw=packed(body)[:-3], status=400, Content_Encoding="zstd")["error"]["message"]


def test_packed_bodies_are_bounded(server, ask):
    """21 MiB of blanks in some hundred bytes; the memory of the server stays where it is."""
    n, block = 21 << 20, 128 << 10
    bomb = zstd([(1, b" ", block)] * (n // block), n)
    assert len(bomb) < 1000
    for path, _ in PACKED[:2]:
        ask("POST", path, raw=bomb, status=413, Content_Encoding="zstd")
    assert generate(ask)["response"] == TEXT


def test_native_routes_do_not_unpack(ask):
    error = ask("POST", "/api/generate", raw=packed({"model": "x"}), status=400, Content_Encoding="zstd")["error"]
    assert error.startswith("invalid character")


# ---- spec/api.md 11 ----------------------------------------------------------------------------------------


def test_empty_stop_strings_are_ignored(ask):
    assert generate(ask, options={"stop": ["", "zzz"]})["response"] == TEXT
    chat = {"model": "fix/chat", "messages": SAY_1, "stop": [""]}
    assert ask("POST", "/v1/chat/completions", chat)["choices"][0]["message"]["content"] == TEXT


def test_num_predict_zero_is_no_limit(ask):
    assert generate(ask, options={"num_predict": 0})["response"] == TEXT


def test_many_equal_tokens_do_not_end_a_stream(ask):
    text = ask("POST", "/api/generate", {"model": "fix/chat", "prompt": "r", "options": {"num_predict": 80}})
    last = json.loads(text.splitlines()[-1])
    assert (last["done_reason"], last["eval_count"]) == ("length", 80)


def test_openai_limits_and_choices(ask):
    body = {"model": "fix/chat", "messages": [{"role": "user", "content": "2"}]}
    r = ask("POST", "/v1/chat/completions", dict(body, max_tokens=9, max_completion_tokens=3))
    assert r["choices"][0]["message"]["content"] == " one two three" and r["choices"][0]["finish_reason"] == "length"
    r = ask("POST", "/v1/chat/completions", dict(body, max_tokens=2, n=3))
    assert [c["index"] for c in r["choices"]] == [0, 1, 2] and r["usage"]["completion_tokens"] == 6
    for n in (0, -1, 129):
        ask("POST", "/v1/chat/completions", dict(body, n=n), 400)


def test_a_stop_sequence_is_reported_to_anthropic_clients(ask):
    body = {"model": "fix/chat", "max_tokens": 40, "messages": [{"role": "user", "content": "9"}], "stop_sequences": ["x", "STOP"]}
    r = ask("POST", "/v1/messages", body)
    assert (r["stop_reason"], r["stop_sequence"], r["content"][0]["text"]) == ("stop_sequence", "STOP", "alpha beta ")
    assert ask("POST", "/v1/messages", dict(body, stop_sequences=["x"]))["stop_reason"] == "end_turn"
    assert ask("POST", "/v1/messages", {"model": "fix/chat", "max_tokens": 4, "messages": [{"role": "user", "content": "."}]})["content"] == []


def test_count_tokens_is_what_a_message_costs(ask):
    body = {"model": "fix/both", "messages": SAY_1, "system": "Be brief.",
            "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}]}
    n = ask("POST", "/v1/messages/count_tokens", body)["input_tokens"]
    assert n == ask("POST", "/v1/messages", dict(body, max_tokens=1))["usage"]["input_tokens"] > 20


def test_model_names_with_slashes(ask):
    for path in ("fix/chat", "fix%2Fchat", "fix%2fchat:latest"):
        assert ask("GET", "/v1/models/" + path)["owned_by"] == "fix"


def test_parameters_of_create_are_checked(ask):
    create = {"model": "eleven/p", "from": "fix/chat", "stream": False}
    assert ask("POST", "/api/create", dict(create, parameters={"nobody": 1, "num_predict": 2}))["status"] == "success"
    assert ask("POST", "/api/generate", {"model": "eleven/p", "prompt": "2", "stream": False})["eval_count"] == 2
    ask("POST", "/api/create", dict(create, parameters={"num_predict": "many"}), 400)


def test_push_of_an_unknown_model(ask):
    assert ask("POST", "/api/push", {"model": "eleven/none", "stream": False}, 404)["error"] == "model 'eleven/none:latest' not found"


def test_bodies_have_limits(ask):
    many = {"model": "fix/chat", "messages": [{"role": "user", "content": "1"}] * 3, "options": {}}
    ask("POST", "/api/chat", many)
    deep = {"model": "fix/chat", "prompt": "1", "format": json.loads('{"a":' * 100 + "{}" + "}" * 100), "stream": False}
    ask("POST", "/api/generate", deep)
    assert "depth" in ask("POST", "/api/generate", status=400, raw=b'{"format":' + b'{"a":' * 200 + b"1" + b"}" * 201)["error"]


# ---- what a request must not be silent about --------------------------------------------------------------


def test_a_required_call_needs_tools(ask):
    chat = {"model": "fix/both", "messages": SAY_1}
    named = {"type": "function", "function": {"name": "f"}}
    for path, body, choices in (("/v1/chat/completions", chat, ("required", named)),
                                ("/v1/responses", {"model": "fix/both", "input": "1"}, ("required", {"type": "function", "name": "f"})),
                                ("/v1/messages", dict(chat, max_tokens=9), ({"type": "any"}, {"type": "tool", "name": "f"}))):
        for choice in choices:
            error = ask("POST", path, dict(body, tool_choice=choice), 400)["error"]
            assert error["message"] == "tool_choice: a call is required, and there are no tools"
    for choice in ("auto", "none", None):
        assert TEXT in json.dumps(ask("POST", "/v1/chat/completions", dict(chat, tool_choice=choice)))


@pytest.mark.parametrize("path, fields, words", [
    ("/v1/chat/completions", {"stop": 5}, "invalid type for 'stop' field: float64"),
    ("/v1/chat/completions", {"response_format": {"type": "json_schema", "json_schema": 5}}, "ResponseFormat.response_format.json_schema"),
    ("/v1/messages", {"system": 5}, "system must be a string or a list of blocks"),
    ("/v1/messages", {"system": ["x"]}, "system must be"),
    ("/v1/messages", {"output_config": {"format": "x"}}, "OutputConfig.output_config.format"),
    ("/v1/messages", {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": 5}]}]},
     "tool_result content must be"),
    ("/api/chat", {"tools": [{"function": {"name": "f", "parameters": {"properties": {"city": {"type": 5}}}}}]}, "properties.city.type"),
    ("/v1/messages", {"tools": [{"name": "f", "input_schema": {"properties": {"city": "string"}}}]}, "properties.city of type"),
])
def test_wrong_types_deep_inside(ask, path, fields, words):
    error = ask("POST", path, dict({"model": "fix/both", "max_tokens": 9, "messages": SAY_1}, **fields), 400)["error"]
    assert words in (error if path.startswith("/api") else error["message"])


def test_numbers_beyond_all_numbers(server, ask):
    for path, field in (("/v1/chat/completions", "temperature"), ("/v1/messages", "top_p")):
        raw = json.dumps({"model": "fix/chat", "max_tokens": 9, "messages": SAY_1})[:-1].encode() + f',"{field}":1e400}}'.encode()
        message = ask("POST", path, raw=raw, status=400)["error"]["message"]
        assert "cannot unmarshal number 1e400 into Go struct field" in message and message.endswith(field + " of type float64")


def test_schemas_of_tools_may_be_true(ask):
    """Boolean schemas are schemas; null is nothing."""
    parameters = {"type": "object", "properties": {"any": True, "none": None, "one": {"type": ["string", "null"], "enum": ["a", 1]}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    assert ask("POST", "/api/chat", {"model": "fix/both", "messages": SAY_1, "tools": tools, "stream": False})["message"]["content"] == TEXT


def test_a_cloud_model_is_no_base(ask):
    """`from` a:cloud is not the local model a."""
    for name in ("fix/chat:cloud", "chat:8b-cloud"):
        error = ask("POST", "/api/create", {"model": "eleven/c", "from": name, "stream": False}, 403)["error"]
        assert error == "ollama cloud is disabled: remote model is unavailable"
    ask("POST", "/api/show", {"model": "eleven/c"}, 404)


def test_a_pull_inside_of_create_fails_as_a_pull(ask):
    body = {"model": "eleven/p", "from": "127.0.0.1:9/no/body", "stream": False}
    assert ask("POST", "/api/create", body, 500)["error"].startswith("pull model manifest: ")


def test_embeddings_of_openai_take_options(ask):
    body = {"model": "fix/embed", "input": "cat " * 100, "dimensions": 2}
    assert ask("POST", "/v1/embeddings", body)["usage"]["prompt_tokens"] == 64
    assert ask("POST", "/v1/embeddings", dict(body, options={"num_ctx": 16}))["usage"]["prompt_tokens"] == 16
    assert ask("POST", "/v1/embeddings", dict(body, truncate=False), 400)["error"]["message"] == "the input length exceeds the context length"
    ask("POST", "/v1/embeddings", dict(body, options={"num_ctx": "x"}), 400)
    ask("POST", "/v1/embeddings", dict(body, keep_alive=0))
    assert all(m["name"] != "fix/embed:latest" for m in ask("GET", "/api/ps")["models"])


# ---- cria's own routes: their answers are as described ------------------------------------------------------


def test_own_routes(ask):
    r = ask("POST", "/tokenize", {"model": "fix/chat", "content": "naïve 1"})
    assert r["count"] == len(r["tokens"])
    assert ask("POST", "/api/detokenize", {"model": "fix/chat", "tokens": r["tokens"]})["content"] == "naïve 1"
    pieces = ask("POST", "/tokenize", {"model": "fix/chat", "content": "1", "with_pieces": True})["tokens"]
    assert [p["piece"] for p in pieces] == ["1"]
    prompt = ask("POST", "/apply-template", {"model": "fix/chat", "messages": SAY_1})
    assert prompt["prompt"].endswith("1") and prompt["count"] > 1
    assert ask("GET", "/health") == ask("GET", "/readyz") == {"status": "ok"}
    assert ask("GET", "/api/system")["models"] and "cria" in ask("GET", "/metrics")
    # What was answered a moment ago may still be listed.
    assert [r["route"] for r in ask("GET", "/api/requests")["requests"]][-1] == "/api/requests"
    ask("DELETE", "/api/requests/nobody", status=404)
    for path in ("/tokenize", "/detokenize", "/apply-template"):
        ask("POST", path, {"model": "nope", "content": "", "tokens": [], "messages": SAY_1}, 404)


def test_a_client_that_goes_away_frees_its_place(server, ask):
    """spec/clients.md Q16: the next request on a new connection does not wait for it."""
    for _ in range(8):  # twice as many as run at once
        c = http.client.HTTPConnection(server.netloc, timeout=30)
        c.request("POST", "/api/chat", json.dumps({"model": "fix/chat", "messages": [{"role": "user", "content": "r"}],
                                                   "options": {"num_predict": 100000}}))
        c.getresponse().read(30)
        c.sock.close()
        c.close()
    assert generate(ask)["response"] == TEXT


def test_the_search_takes_the_place_of_a_function_of_its_name(ask):
    """spec/api-behaviours.md, Responses."""
    def tokens(*tools):
        return ask("POST", "/v1/responses", {"model": "fix/both", "input": "1", "tools": list(tools)})["usage"]["input_tokens"]
    search, mine = {"type": "web_search"}, {"type": "function", "name": "web_search", "parameters": {"type": "object", "properties": {}}}
    assert tokens(search, mine) == tokens(mine, search) == tokens(search) != tokens(mine)


def test_a_jinja_model_does_not_cut_its_last_message(ask):
    """spec/api.md 3.10: older messages are dropped as with any model; what is left then is an error, not cut."""
    long, old = "x " * 300 + "1", [{"role": "user", "content": "x " * 300}]
    chat = {"model": "fix/jinja", "messages": [{"role": "user", "content": long}], "stream": False}
    for more in ({}, {"shift": False}):
        assert "exceeds the available context size (256 tokens)" in ask("POST", "/api/chat", dict(chat, **more), 400)["error"]
    ask("POST", "/api/generate", {"model": "fix/jinja", "prompt": long, "stream": False}, 400)
    assert ask("POST", "/api/chat", dict(chat, messages=old + SAY_1))["message"]["content"] == TEXT
    assert ask("POST", "/api/generate", {"model": "fix/jinja", "prompt": long, "raw": True, "stream": False})["response"] == TEXT
    own = {"model": "fix/jinja", "prompt": long, "template": "{{ .Prompt }}", "stream": False}
    assert ask("POST", "/api/generate", own)["response"] == TEXT
    assert ask("POST", "/api/chat", dict(chat, model="fix/chat", options={"num_ctx": 256}))["message"]["content"] == TEXT


def test_models_that_make_images_are_refused(ask):
    """spec/api.md 5.1: after unloading, before anything else about the model."""
    ask("POST", "/api/create", {"model": "eleven/image", "from": "fix/chat", "info": {"capabilities": ["image"]}, "stream": False})
    body = {"model": "eleven/image", "prompt": "1", "raw": True, "system": "x", "stream": False}
    for more in ({}, {"prompt": ""}):
        assert ask("POST", "/api/generate", dict(body, **more), 400)["error"] == "image generation models are not currently supported"
    assert ask("POST", "/api/generate", {"model": "eleven/image", "keep_alive": 0})["done_reason"] == "unload"
