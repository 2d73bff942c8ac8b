"""Frameworks over the clients: langchain, pydantic-ai, llm, litellm, llama-index, instructor, openai-agents,
smolagents, haystack. Skipped where they are not installed; how to install them: requirements-more.txt."""
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


# ---- litellm: asks /api/show for what it must know, then speaks three dialects -------------------------------


@pytest.fixture
def litellm(monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no list of prices from the internet
    return pytest.importorskip("litellm")


def ask_1(litellm, model, base, **more):
    return litellm.completion(model, [{"role": "user", "content": "1"}], api_base=base, api_key="any", num_retries=0, **more)


def test_litellm(litellm, url):
    for model, base in (("ollama_chat/fix/chat", url), ("openai/fix/chat", url + "/v1"), ("anthropic/fix/chat", url)):
        r = ask_1(litellm, model, base, max_tokens=40)
        assert r.choices[0].message.content == TEXT and r.choices[0].finish_reason == "stop", model
        assert r.usage.prompt_tokens > 0 and r.usage.completion_tokens >= 3, model
        parts = [c.choices[0].delta.content or "" for c in ask_1(litellm, model, base, stream=True, max_tokens=40)]
        assert "".join(parts) == TEXT and len(parts) > 2, model
    r = litellm.embedding("ollama/fix/embed", ["a", "b"], api_base=url)
    assert [len(d["embedding"]) for d in r.data] == [64, 64]
    with pytest.raises(litellm.exceptions.APIConnectionError, match="model 'nope' not found"):
        ask_1(litellm, "ollama_chat/nope", url)


def test_litellm_tools(litellm, url):
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
    messages = [{"role": "user", "content": "5"}]
    for model, base in (("openai/fix/tools", url + "/v1"), ("anthropic/fix/tools", url)):
        r = litellm.completion(model, messages, api_base=base, api_key="any", tools=tools, max_tokens=60)
        call = r.choices[0].message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"}), model
        assert r.choices[0].finish_reason == "tool_calls"


# ---- llama-index ---------------------------------------------------------------------------------------------


def test_llama_index(url):
    llms = pytest.importorskip("llama_index.llms.ollama")
    from llama_index.core.llms import ChatMessage
    model = llms.Ollama(model="fix/chat", base_url=url, temperature=0, request_timeout=60)
    assert model.complete("1").text == TEXT
    assert model.chat([ChatMessage(role="user", content="1")]).message.content == TEXT
    assert "".join(c.delta for c in model.stream_chat([ChatMessage(role="user", content="1")])) == TEXT
    embeddings = pytest.importorskip("llama_index.embeddings.ollama")
    vectors = embeddings.OllamaEmbedding("fix/embed", base_url=url).get_text_embedding_batch(["a", "b"])
    assert [len(v) for v in vectors] == [64, 64]


def test_llama_index_tools(url):
    llms = pytest.importorskip("llama_index.llms.ollama")
    from llama_index.core.tools import FunctionTool

    def get_weather(city: str) -> str:
        """Get weather."""
        return city

    model = llms.Ollama(model="fix/tools", base_url=url, temperature=0, request_timeout=60)
    r = model.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg="5")
    call = model.get_tool_calls_from_response(r)[0]
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})


# ---- instructor: a schema as a forced call, as a format -----------------------------------------------


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_instructor(url, mode):
    instructor = pytest.importorskip("instructor")
    import openai
    from pydantic import BaseModel

    class Person(BaseModel):
        age: int

    client = instructor.from_openai(openai.OpenAI(base_url=url + "/v1", api_key="any"), mode=getattr(instructor.Mode, mode))
    person = client.chat.completions.create(model="fix/tools", response_model=Person, max_retries=0, max_tokens=200, temperature=0,
                                            messages=[{"role": "user", "content": "q"}])
    assert isinstance(person.age, int)


# ---- openai-agents: a call, its result, an answer ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
def test_openai_agents(url, kind):
    agents = pytest.importorskip("agents")
    import openai
    agents.set_tracing_disabled(True)
    asked = []

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Get weather."""
        asked.append(city)
        return "sunny 1"

    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
    model = getattr(agents, kind)(model="fix/tools", openai_client=client)
    r = agents.Runner.run_sync(agents.Agent("a", model=model, tools=[get_weather]), "5")
    assert asked == ["Paris"] and r.final_output == TEXT


# ---- smolagents, haystack -----------------------------------------------------------------------------------------


def test_smolagents(url):
    smolagents = pytest.importorskip("smolagents")
    model = smolagents.OpenAIModel("fix/chat", api_base=url + "/v1", api_key="any")
    r = model.generate([smolagents.ChatMessage(role="user", content=[{"type": "text", "text": "1"}])])
    assert r.content == TEXT and r.token_usage.output_tokens == 4


def test_haystack(url):
    pytest.importorskip("haystack_integrations.components.generators.ollama")
    from haystack.dataclasses import ChatMessage
    from haystack_integrations.components.embedders.ollama import OllamaTextEmbedder
    from haystack_integrations.components.generators.ollama import OllamaChatGenerator
    assert OllamaChatGenerator("fix/chat", url=url).run([ChatMessage.from_user("1")])["replies"][0].text == TEXT
    assert len(OllamaTextEmbedder("fix/embed", url=url).run("a")["embedding"]) == 64
