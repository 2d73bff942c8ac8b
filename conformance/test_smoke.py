"""A pass through the API with the clients that people use: the packages ollama and openai."""
import concurrent.futures
import datetime
import http.client
import json
import re

import ollama
import openai
import pytest

from conftest import SCRIPTED_FILE

GREEDY = {"temperature": 0, "num_predict": 24}


# ---- the embedded model ----------------------------------------------------------------------------


def test_list_and_show(client, tiny):
    model = next(m for m in client.list().models if m.model == tiny + ":latest")
    assert model.size > 1_000_000 and re.fullmatch("[0-9a-f]{64}", model.digest)
    assert model.details.format == "gguf" and model.details.family == "llama"
    shown = client.show(tiny)
    assert "completion" in shown.capabilities and shown.template
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] >= 512


def test_generate(client, tiny):
    r = client.generate(tiny, "What is cria?", options=GREEDY)
    assert r.done and r.done_reason in ("stop", "length") and r.response.strip()
    assert r.prompt_eval_count > 0 and 0 < r.eval_count <= 24
    assert r.total_duration >= r.load_duration + r.prompt_eval_duration + r.eval_duration - 5_000_000
    assert len(r.context) >= r.prompt_eval_count


def test_generate_streams_the_same_text(client, tiny):
    whole = client.generate(tiny, "Tell me a story.", options=GREEDY)
    parts = list(client.generate(tiny, "Tell me a story.", options=GREEDY, stream=True))
    assert "".join(p.response for p in parts) == whole.response
    assert len(parts) > 2 and [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count == whole.eval_count


def test_chat(client, tiny):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
    r = client.chat(tiny, messages, options=GREEDY)
    assert r.message.role == "assistant" and r.message.content.strip()
    parts = list(client.chat(tiny, messages, options=GREEDY, stream=True))
    assert "".join(p.message.content for p in parts) == r.message.content


def test_openai_chat_with_the_embedded_model(oai, tiny):
    r = oai.chat.completions.create(model=tiny, messages=[{"role": "user", "content": "Hello!"}],
                                    temperature=0, max_tokens=24)
    assert r.choices[0].message.content.strip() and r.usage.completion_tokens <= 24


def test_same_seed_same_text(client, tiny):
    def ask(seed):
        return client.generate(tiny, "Once upon a time, a", raw=True,
                               options={"seed": seed, "temperature": 1, "num_predict": 24}).response

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(5)}) > 1


# ---- options and stops (scripted model: the text is known) -------------------------------------------


def test_scripted_answer(client, scripted):
    assert client.generate(scripted, "1").response == "Hello there friend."
    assert client.chat(scripted, [{"role": "user", "content": "say 3"}]).message.content == "naïve café😀 done"


def test_num_predict(client, scripted):
    r = client.generate(scripted, "2", options={"num_predict": 3})
    assert (r.response, r.done_reason, r.eval_count) == (" one two three", "length", 3)


def test_stop(client, scripted):
    r = client.generate(scripted, "9", options={"stop": ["STOP"]})
    assert r.response == "alpha beta " and r.done_reason == "stop"
    r = client.generate(scripted, "2", options={"stop": ["zzz", "o th"]})
    assert r.response == " one tw" and r.done_reason == "stop"


def test_raw(client, scripted):
    assert client.generate(scripted, "1", raw=True).prompt_eval_count < \
        client.generate(scripted, "1").prompt_eval_count


def test_context_goes_on(client, scripted):
    first = client.generate(scripted, "1")
    second = client.generate(scripted, "9", context=first.context)
    assert second.prompt_eval_count > len(first.context)
    assert second.context[:len(first.context)] == first.context


# ---- errors ---------------------------------------------------------------------------------------------


def test_unknown_model(client, oai):
    for call in (lambda: client.generate("nope", "x"), lambda: client.show("nope"),
                 lambda: client.chat("nope", [{"role": "user", "content": "x"}]), lambda: client.delete("nope")):
        with pytest.raises(ollama.ResponseError) as e:
            call()
        assert e.value.status_code == 404 and "nope" in e.value.error
    with pytest.raises(openai.NotFoundError):
        oai.chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.NotFoundError):
        oai.models.retrieve("nope")


def test_images_are_refused(client, scripted):
    with pytest.raises(ollama.ResponseError) as e:
        client.chat(scripted, [{"role": "user", "content": "1", "images": [b"\x89PNG\r\n\x1a\n" + bytes(64)]}])
    assert 400 <= e.value.status_code < 600 and e.value.error


def test_wrong_option_type(server):
    status, body = post(server, "/api/generate", {"model": "x", "options": {"num_predict": "many"}})
    assert status in (400, 404) and "error" in json.loads(body)
    status, body = post(server, "/api/generate", raw=b"{")
    assert status == 400 and "error" in json.loads(body)


def post(server, path, body=None, raw=None):
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    c.request("POST", path, raw if raw is not None else json.dumps(body))
    r = c.getresponse()
    return r.status, r.read()


# ---- models ---------------------------------------------------------------------------------------------


def test_create_copy_delete(client, scripted):
    digest = client.create_blob(SCRIPTED_FILE)
    statuses = [p.status for p in client.create(model="smoke/new", files={"a.gguf": digest}, stream=True,
                                                system="S", parameters={"num_predict": 2, "stop": ["x", "y"]})]
    assert statuses[-1] == "success" and len(statuses) > 1
    assert "num_predict" in client.show("smoke/new").parameters
    assert client.generate("smoke/new", "2").eval_count == 2
    assert client.create(model="smoke/from", from_="smoke/new", system="T").status == "success"
    client.copy("smoke/new", "smoke/copy")
    names = {m.model for m in client.list().models}
    assert {"smoke/new:latest", "smoke/from:latest", "smoke/copy:latest"} <= names
    for name in ("smoke/new", "smoke/from", "smoke/copy"):
        assert client.delete(name).status == "success"
    assert client.generate(scripted, "1").response  # its blob is still there
    with pytest.raises(ollama.ResponseError):
        client.delete("smoke/new")


def test_ps_and_keep_alive(client, scripted):
    def loaded():
        return {m.model: m for m in client.ps().models}

    client.generate(scripted, keep_alive=0)  # another name of the same weights may be loaded
    client.generate(scripted, "1", keep_alive="10m")
    m = loaded()[scripted + ":latest"]
    left = m.expires_at - datetime.datetime.now(datetime.timezone.utc)
    assert 590 < left.total_seconds() <= 601 and m.size > 0 and m.context_length == 512
    client.generate(scripted, keep_alive=-1)
    assert loaded()[scripted + ":latest"].expires_at.year > 2200
    assert client.generate(scripted, keep_alive=0).done_reason == "unload"
    assert scripted + ":latest" not in loaded()


# ---- the OpenAI dialect ------------------------------------------------------------------------------------


def test_openai_models(oai, scripted):
    assert scripted + ":latest" in [m.id for m in oai.models.list()]
    assert oai.models.retrieve(scripted + ":latest").object == "model"


def test_openai_chat(oai, scripted):
    messages = [{"role": "user", "content": "1"}]
    r = oai.chat.completions.create(model=scripted, messages=messages)
    assert r.object == "chat.completion" and r.choices[0].message.content == "Hello there friend."
    assert r.choices[0].finish_reason == "stop"
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    short = oai.chat.completions.create(model=scripted, messages=[{"role": "user", "content": "2"}], max_tokens=3)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == (" one two three", "length")


def test_openai_stream(oai, scripted):
    stream = oai.chat.completions.create(model=scripted, messages=[{"role": "user", "content": "1"}],
                                         stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Hello there friend." and len({c.id for c in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 0 and chunks[-1].choices == []


# ---- company ------------------------------------------------------------------------------------------------

PROMPTS = ["What is cria?", "Tell me a story about a cat.", "Hello!", "What is 2 + 3?", "Who are you?", "Name a color.",
           "Once upon a time there was a llama who lived on a hill and", "Why?"]




@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1, "seed": 3}], ids=["greedy", "seeded"])
def test_company_does_not_change_the_tokens(client, tiny, options):
    """Alone, all at once in whatever batches come about, and again with every prefix in the cache."""
    options = dict(options, num_predict=20)

    def ask(prompt):
        r = client.generate(tiny, prompt, options=options, logprobs=True)
        return r.response, r.context, [(p.token, p.logprob) for p in r.logprobs]

    alone = [ask(p) for p in PROMPTS]
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(len(PROMPTS)) as pool:
            assert list(pool.map(ask, PROMPTS)) == alone
    assert [ask(p) for p in reversed(PROMPTS)] == alone[::-1]


def test_client_that_goes_away(server, client, scripted):
    """Its generation ends, and others are served."""
    for _ in range(6):  # more than run at once
        c = http.client.HTTPConnection(server.netloc, timeout=60)
        c.request("POST", "/api/generate", json.dumps({"model": scripted, "prompt": "2", "options": {"num_predict": -1}}))
        assert c.getresponse().read(20)
        c.close()
    assert client.generate(scripted, "1").response == "Hello there friend."
