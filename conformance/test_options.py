"""Where the options of a generation come from: built in, the GGUF file, the Modelfile, the request."""
import ollama

from conftest import binary
from test_tools import TINY_FILE, with_key
from transport import Server

PROMPT = dict(prompt="Once upon a time", raw=True)


def create(client, tmp_path, name, **more):
    path = tmp_path / "model.gguf"
    with open(TINY_FILE, "rb") as f:
        data = with_key(f.read(), "general.sampling.temp", 0.0)
    path.write_bytes(with_key(data, "general.sampling.sequence", "top_k;temperature"))
    client.create(model=name, files={"model.gguf": client.create_blob(str(path))}, **more)


def texts(client, model, **options):
    """Of four seeds, as a set."""
    return {client.generate(model, **PROMPT, options={"num_predict": 12, "seed": seed, **options}).response
            for seed in range(4)}


def test_sampling_of_the_file(client, tiny, tmp_path):
    create(client, tmp_path, "options/file")
    create(client, tmp_path, "options/parameter", parameters={"temperature": 1.5})
    greedy = texts(client, tiny, temperature=0)
    assert len(greedy) == 1 and len(texts(client, tiny, temperature=1.5)) > 1
    assert texts(client, "options/file") == greedy  # the file's word counts ...
    assert len(texts(client, "options/parameter")) > 1  # ... less than the Modelfile's
    assert len(texts(client, "options/file", temperature=1.5)) > 1  # ... and than the request's
    info = client.show("options/file").modelinfo
    assert info["general.sampling.temp"] == 0 and info["general.sampling.sequence"] == "top_k;temperature"


def test_seed_of_the_server():
    """The setting `seed` counts where neither request nor model has one."""
    s = Server(binary(), {"CRIA_SEED": "7"}, builtin=True)
    try:
        c = ollama.Client(f"http://{s.netloc}")

        def text(**options):
            return c.generate("cria-tiny", **PROMPT, options={"num_predict": 16, "temperature": 1.5, **options}).response
        assert text() == text() == text(seed=7) == text(seed=-1)
        assert len({text(seed=n) for n in range(4)}) > 1
    finally:
        s.stop()
