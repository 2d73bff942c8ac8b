"""Fixtures of the tests with real clients: one server for all of them, with the embedded model and one
scripted model of the golden data. CRIA_BIN names the binary (default build/cria)."""
import json
import os
import subprocess

import anthropic
import ollama
import openai
import pytest

from transport import Server

HERE = os.path.dirname(os.path.abspath(__file__))
SETS = os.path.join(HERE, "..", "golden", "api")
SCRIPTED_FILE = os.path.join(SETS, "models", "chat-a.gguf")
BUILTIN, SCRIPTED = "cria-tiny", "smoke/scripted"  # what the scripted one says: golden/api/README.md


def pytest_report_header():
    return "server: " + binary()


def binary():
    return os.path.abspath(os.environ.get("CRIA_BIN") or os.path.join(HERE, "..", "build", "cria"))


LIBRARIES = subprocess.run(["ldd", binary()], capture_output=True).stdout
SANITIZED = b"libasan" in LIBRARIES or b"libtsan" in LIBRARIES  # slow to start, and much memory


@pytest.fixture(scope="session")
def server():
    s = Server(binary(), {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "1024"}, builtin=True)
    yield s
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


@pytest.fixture(scope="session")
def client(server):
    return ollama.Client(host="http://" + server.netloc, timeout=120)


@pytest.fixture(scope="session")
def oai(server):
    return openai.OpenAI(base_url=f"http://{server.netloc}/v1", api_key="any", timeout=120, max_retries=0)


@pytest.fixture(scope="session")
def claude(server):
    return anthropic.Anthropic(base_url="http://" + server.netloc, api_key="any", timeout=120, max_retries=0)


@pytest.fixture(scope="session")
def tiny(client):
    """The embedded model."""
    names = [m.model for m in client.list().models]
    if BUILTIN + ":latest" not in names:
        pytest.skip("this binary was built without the embedded model")
    return BUILTIN


@pytest.fixture(scope="session")
def scripted(client):
    """A model whose answer follows from the last character of the prompt."""
    digest = client.create_blob(SCRIPTED_FILE)
    client.create(model=SCRIPTED, files={"model.gguf": digest}, parameters={"temperature": 0},
                  template="{{- range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}")
    return SCRIPTED


@pytest.fixture(scope="session")
def both(client, scripted):
    """The same with a template that has tools and thinking: fix/both of golden/api."""
    with open(os.path.join(SETS, "fixtures.json"), encoding="utf-8") as f:
        create = json.load(f)["models"]["fix/both"]["create"]
    client.create(model="smoke/both", from_=scripted, **create)
    return "smoke/both"
