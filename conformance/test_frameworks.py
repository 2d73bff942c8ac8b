"""Frameworks over the clients: langchain, pydantic-ai, llm. Skipped where they are not installed; how to
install them: requirements-more.txt."""
import json
import os
import subprocess
import sys

import pytest

from api_cases import Fixtures
from conftest import SETS, binary
from transport import Server

TEXT = "Hello there friend."


@pytest.fixture(scope="module")
def url():
    s = Server(binary(), {"OLLAMA_CONTEXT_LENGTH": "1024"})
    fixtures = Fixtures(SETS)
    for name in ("fix/chat", "fix/tools", "fix/think", "fix/embed"):
        fixtures.install(s.netloc, name)
    yield "http://" + s.netloc
    log = s.log_tail(4000)
    status = s.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"


# ---- langchain -----------------------------------------------------------------------------------------


def test_langchain_ollama(url):
    langchain = pytest.importorskip("langchain_ollama")
    model = langchain.ChatOllama(model="fix/chat", base_url=url, temperature=0)
    assert model.invoke("1").content == TEXT
    assert "".join(c.content for c in model.stream("1")) == TEXT
    assert langchain.OllamaLLM(model="fix/chat", base_url=url).invoke("1") == TEXT
    vectors = langchain.OllamaEmbeddings(model="fix/embed", base_url=url).embed_documents(["a", "b"])
    assert [len(v) for v in vectors] == [64, 64]


def test_langchain_ollama_tools(url):
    langchain = pytest.importorskip("langchain_ollama")

    def get_weather(city: str) -> str:
        """Get weather."""
        return city

    model = langchain.ChatOllama(model="fix/tools", base_url=url, temperature=0).bind_tools([get_weather])
    call = model.invoke("5").tool_calls[0]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})


def test_langchain_openai(url):
    langchain = pytest.importorskip("langchain_openai")
    model = langchain.ChatOpenAI(model="fix/chat", base_url=url + "/v1", api_key="any", max_retries=0)
    assert model.invoke("1").content == TEXT
    assert "".join(c.content for c in model.stream("1")) == TEXT


# ---- pydantic-ai: the answer is a forced call ------------------------------------------------------------


def test_pydantic_ai(url):
    pytest.importorskip("pydantic_ai")
    from pydantic import BaseModel
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Person(BaseModel):
        age: int

    provider = OpenAIProvider(base_url=url + "/v1", api_key="any")
    agent = Agent(OpenAIChatModel("fix/tools", provider=provider), output_type=Person,
                  model_settings={"temperature": 0, "max_tokens": 200})
    assert isinstance(agent.run_sync("q").output.age, int)


# ---- llm: a program that lists models, then asks ----------------------------------------------------------


def test_llm(url, tmp_path):
    pytest.importorskip("llm_ollama")
    env = dict(os.environ, OLLAMA_HOST=url, LLM_USER_PATH=str(tmp_path), HOME=str(tmp_path))

    def llm(*args):
        return subprocess.run([sys.executable, "-m", "llm", *args], env=env, capture_output=True, text=True, timeout=120)

    listed = llm("ollama", "models")
    assert "fix/chat:latest" in listed.stdout, listed.stderr
    asked = llm("prompt", "-m", "ollama/fix/chat", "1", "--no-stream")
    assert asked.stdout.strip() == TEXT, asked.stderr
    embedded = llm("embed", "-m", "ollama/fix/embed", "-c", "a")
    assert len(json.loads(embedded.stdout)) == 64, embedded.stderr
