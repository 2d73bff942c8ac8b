"""Tool calls and thinking end to end: question, streamed call, result, answer; by the models' own formats,
by renderers and parsers of the config, and by the Jinja template of a GGUF file; and what
`show --template-check` tells of it."""
import json
import os
import struct
import subprocess

import pytest

from conftest import BUILTIN, HERE, binary

TINY_FILE = os.path.join(HERE, "..", "demo", "cria-tiny.gguf")
GREEDY = {"temperature": 0, "num_predict": 160}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
        },
    },
}
QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]

# ChatML with Hermes-like tools, as the template of a GGUF file: own wording, the format that cria-tiny knows.
JINJA = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '# Tools\\n\\nYou may call one or more functions.\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + tool | tojson(separators=(',', ':')) }}{%- endfor %}
    {{- '\\n</tools>\\nTo call a function, write its name and its arguments as JSON:\\n<tool_call>\\n' }}
    {{- '{"name":NAME,"arguments":OBJECT}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if m.role == 'user' %}
        {{- '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}
    {%- elif m.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if m.reasoning_content %}{{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
        {{- m.content }}
        {%- for call in m.tool_calls or [] %}
            {{- '<tool_call>\\n{"name":"' + call.function.name + '","arguments":' }}
            {{- call.function.arguments | tojson(separators=(',', ':')) + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif m.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking %}{{- '<think>\\n' }}{%- endif %}
{%- endif %}
"""


# ---- models ----------------------------------------------------------------------------------------


def with_key(data, key, value):
    """A GGUF file's bytes with one more key (text or a float); data offsets count from the aligned end of the header."""
    magic, version, n_tensors, n_kv = struct.unpack_from("<4sIQQ", data, 0)
    at, align = 24, 32
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip(kind, at):
        if kind == 8:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        if kind != 9:
            return at + sizes[kind]
        elem, n = struct.unpack_from("<IQ", data, at)
        at += 12
        if elem in sizes:
            return at + n * sizes[elem]
        for _ in range(n):
            at = skip(elem, at)
        return at

    kvs, n_kept = b"", 0
    for _ in range(n_kv):
        start = at
        n = struct.unpack_from("<Q", data, at)[0]
        name = data[at + 8:at + 8 + n]
        at += 8 + n
        kind = struct.unpack_from("<I", data, at)[0]
        at = skip(kind, at + 4)
        if name == b"general.alignment":
            align = struct.unpack_from("<I", data, at - 4)[0]
        if name != key.encode():
            kvs += data[start:at]
            n_kept += 1
    infos = at
    for _ in range(n_tensors):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
        at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
    body = data[(at + align - 1) // align * align:]
    kvs += struct.pack("<Q", len(key)) + key.encode()
    if isinstance(value, float):
        kvs += struct.pack("<If", 6, value)
    else:
        kvs += struct.pack("<IQ", 8, len(value.encode())) + value.encode()
    head = struct.pack("<4sIQQ", magic, version, n_tensors, n_kept + 1) + kvs + data[infos:at]
    return head + b"\0" * (-len(head) % align) + body


@pytest.fixture(scope="module")
def jinja_model(client, tiny, tmp_path_factory):
    """The embedded model's weights with nothing but a Jinja template."""
    path = tmp_path_factory.mktemp("jinja") / "model.gguf"
    with open(TINY_FILE, "rb") as f:
        path.write_bytes(with_key(f.read(), "tokenizer.chat_template", JINJA))
    client.create(model="tools/jinja", files={"model.gguf": client.create_blob(str(path))},
                  parameters={"temperature": 0})
    return "tools/jinja"


def create(server, path, name, text):
    """`cria create` with a Modelfile: the client package has no fields for RENDERER and PARSER."""
    path.write_text(text)
    env = dict(os.environ, OLLAMA_HOST=server.netloc)
    run = subprocess.run([binary(), "create", "-f", str(path), name], env=env, capture_output=True,
                         text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def named_model(server, tiny, tmp_path_factory):
    """Renderer and parser by name, in the format that the embedded model was trained on."""
    path = tmp_path_factory.mktemp("named") / "Modelfile"
    create(server, path, "tools/named",
           f"FROM {BUILTIN}\nRENDERER qwen3-vl-thinking\nPARSER qwen3-thinking\n")
    return "tools/named"


@pytest.fixture(params=["template", "jinja", "named"])
def model(request, tiny):
    if request.param == "template":
        return tiny
    return request.getfixturevalue(request.param + "_model")


# ---- question, call, result, answer -----------------------------------------------------------------


def test_capabilities(client, model):
    capabilities = client.show(model).capabilities
    assert "completion" in capabilities and "tools" in capabilities and "thinking" in capabilities


@pytest.mark.parametrize("think", [False, True])
def test_native_round_trip(client, model, think):
    messages = list(QUESTION)
    parts = list(client.chat(model, messages, tools=[WEATHER], think=think, options=GREEDY, stream=True))
    calls = [c for p in parts for c in p.message.tool_calls or []]
    content = "".join(p.message.content or "" for p in parts)
    assert calls, content
    assert calls[0].function.name == "get_weather" and calls[0].function.arguments == {"city": "Oslo"}
    assert "<tool_call>" not in content and "</think>" not in content
    thinking = "".join(p.message.thinking or "" for p in parts)
    assert think or not thinking
    whole = client.chat(model, messages, tools=[WEATHER], think=think, options=GREEDY)
    assert whole.message.tool_calls[0].function == calls[0].function
    assert (whole.message.thinking or "") == thinking and whole.message.content == content
    messages.append(whole.message)
    messages.append({"role": "tool", "content": "4 degrees, rain", "tool_name": "get_weather"})
    answer = client.chat(model, messages, tools=[WEATHER], think=False, options=GREEDY)
    assert answer.message.content.strip() and not answer.message.tool_calls


def test_openai_round_trip(oai, model):
    messages = list(QUESTION)
    stream = oai.chat.completions.create(model=model, messages=messages, tools=[WEATHER], temperature=0,
                                         max_tokens=160, stream=True)
    name, arguments, call_id, reason = "", "", None, None
    for chunk in stream:
        choice = chunk.choices[0] if chunk.choices else None
        for call in (choice.delta.tool_calls or [] if choice else []):
            if call.index == 0:
                call_id = call.id or call_id
                name += call.function.name or ""
                arguments += call.function.arguments or ""
        reason = choice.finish_reason or reason if choice else reason
    assert name == "get_weather" and json.loads(arguments) == {"city": "Oslo"} and reason == "tool_calls"
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": call_id, "content": "4 degrees, rain"},
    ]
    answer = oai.chat.completions.create(model=model, messages=messages, tools=[WEATHER], temperature=0,
                                         max_tokens=160)
    assert answer.choices[0].message.content.strip() or answer.choices[0].message.tool_calls


def test_anthropic_round_trip(claude, model):
    tool = {"name": "get_weather", "description": "Weather of a city",
            "input_schema": WEATHER["function"]["parameters"]}
    ask = dict(model=model, max_tokens=160, tools=[tool], thinking={"type": "disabled"},
               extra_body={"temperature": 0})
    with claude.messages.stream(messages=QUESTION, **ask) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    call = next(block for block in message.content if block.type == "tool_use")
    assert call.name == "get_weather" and call.input == {"city": "Oslo"} and message.stop_reason == "tool_use"
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    answer = claude.messages.create(messages=[
        *QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "4 degrees, rain"}]},
    ], **ask)
    assert answer.stop_reason == "end_turn" and answer.content[0].text.strip()


# ---- what the model sees -------------------------------------------------------------------------------


def test_thinking_history_reaches_jinja(client, jinja_model, server):
    import http.client
    body = json.dumps({
        "model": jinja_model, "stream": False, "_debug_render_only": True,
        "messages": [*QUESTION, {"role": "assistant", "content": "Rain.", "thinking": "It rains there."},
                     {"role": "user", "content": "Sure?"}],
    })
    connection = http.client.HTTPConnection(server.netloc)
    connection.request("POST", "/api/chat", body)
    text = json.loads(connection.getresponse().read())["_debug_info"]["rendered_template"]
    connection.close()
    assert "<think>\nIt rains there.\n</think>" in text
    assert text.endswith("<|im_start|>assistant\n<think>\n")


def test_template_check(server, model):
    env = dict(os.environ, OLLAMA_HOST=server.netloc)
    run = subprocess.run([binary(), "show", "--template-check", model], env=env, capture_output=True,
                         text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    for part in ("=== A system message and two turns", "=== With a tool", "=== After a tool's result",
                 "=== With thinking", "Answer briefly.", "get_weather", "4 degrees, rain"):
        assert part in run.stdout


def test_unknown_renderer(client, server, tiny, tmp_path):
    create(server, tmp_path / "Modelfile", "tools/unknown", f"FROM {BUILTIN}\nRENDERER nobody\n")
    with pytest.raises(Exception, match='unknown renderer "nobody"'):
        client.chat("tools/unknown", QUESTION)


def test_a_template_that_raises(client, tiny, tmp_path):
    path = tmp_path / "raises.gguf"
    with open(TINY_FILE, "rb") as f:
        path.write_bytes(with_key(f.read(), "tokenizer.chat_template",
                                  "{{ raise_exception('only questions, ' ~ messages[0].role) }}"))
    client.create(model="tools/raises", files={"model.gguf": client.create_blob(str(path))})
    with pytest.raises(Exception, match="only questions, user"):
        client.chat("tools/raises", QUESTION)


@pytest.mark.parametrize("jinja, name", [
    ("{% for m in messages %}{{ '<|user|>\\n' + m.content + eos_token }}<|assistant|>{% endfr %}", "zephyr"),
    ("{% for m in messages %}USER: {{ m.content }} ASSISTANT:{% endfr %}", "vicuna"),
    ("{% for m in messages %}{{ m.content }}{% endfr %}", None),  # nothing tells the format
    ("{% for m in messages %}USER: {{ m.content }} ASSISTANT:{% endfor %}", None),  # it can be read
])
def test_named_template(client, tiny, tmp_path, jinja, name):
    """A GGUF whose own template cannot be read gets the named one that its labels tell of."""
    path = tmp_path / "model.gguf"
    with open(TINY_FILE, "rb") as f:
        path.write_bytes(with_key(f.read(), "tokenizer.chat_template", jinja))
    items = client.create(model="tools/detected", files={"model.gguf": client.create_blob(str(path))},
                          stream=True)
    said = [i.status for i in items if i.status.startswith("using autodetected template")]
    assert said == ([f"using autodetected template {name}"] if name else [])
    shown = client.show("tools/detected")
    assert ("stop" in (shown.parameters or "")) == (name is not None)
    if name:
        assert "range .Messages" in shown.template
    answer = client.chat("tools/detected", QUESTION, options={"temperature": 0, "num_predict": 3})
    assert answer.done and answer.eval_count > 0
    client.delete("tools/detected")
