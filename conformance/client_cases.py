"""Sets of format cria-client-recording/1 (golden/clients/README.md): what released client libraries
really send. The answers recorded are canned, so only this is checked: the status is of the recorded
class, the media type is the recorded one, and the body can be read as that type."""
import fnmatch
import glob
import json
import os

from api_cases import Fixtures, chosen_steps, read
from areas import Case, areas_of
from matchers import parse_ndjson, parse_sse
from registry import digest_of
from transport import send

FORMAT = "cria-client-recording/1"

TEMPLATE = (
    "{{- if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ else }}"
    "{{- if .Tools }}<|system|>Tools: {{ range .Tools }}{{ . }}{{ end }}{{ end }}"
    "{{- range .Messages }}<|{{ .Role }}|>{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "{{ if .ToolCalls }}{{ range .ToolCalls }}<tool_call>{\"name\": \"{{ .Function.Name }}\","
    " \"arguments\": {{ .Function.Arguments }}}</tool_call>{{ end }}{{ else }}{{ .Content }}{{ end }}"
    "{{ end }}{{ end }}")

# The names that the recordings use, and what stands in for them.
CHAT = {"upload": {"model.gguf": "models/chat-a.gguf"},
        "create": {"template": TEMPLATE, "parameters": {"temperature": 0}}}
MODELS = {
    "tiny-llama:latest": CHAT,
    "llama3.2:latest": CHAT,
    "nomic-embed-text:latest": {"upload": {"model.gguf": "models/embed-a.gguf"}, "create": {}},
}

# What the stand-in for a server answered with 200 and a server must refuse (glob of the request -> status).
REFUSED = {
    "*/error_404_model 0 *": 404,  # no such model, as the name says
    "*/error_400* 0 *": 400,
    "js-multillm/complete 3 *": 400,  # a chat with the embedding model
    "*image* POST /*": 400,  # the model of the fixtures has no eyes
    "*/push 0 *": 404,  # no such model; a stream that was not asked for
    "*/pull 0 *": 500,  # the real registry: no network in tests
}

READERS = {"application/json": json.loads, "application/x-ndjson": parse_ndjson,
           "text/event-stream": parse_sse, "text/plain": lambda body: body.decode("utf-8")}


def is_set(folder):
    return any(read(path).get("format") == FORMAT
               for path in sorted(glob.glob(os.path.join(folder, "*.json")))[:1])


def as_request(recorded):
    body = recorded.get("body")
    text = json.dumps(body, ensure_ascii=False) if body is not None else recorded.get("body_not_json")
    drop = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}
    request = {"method": recorded["method"], "path": recorded["target"],
               "headers": {k: v for k, v in recorded["headers"] if k.lower() not in drop}}
    if isinstance(text, str):
        request["raw"] = text
        request["path"] = request["path"].replace("<sha256-of-body>", digest_of(text.encode())[7:])
    return request


def check(where, recorded, answer):
    want = recorded["stub_answer"]
    refused = [status for pattern, status in REFUSED.items() if fnmatch.fnmatchcase(where, pattern)]
    if answer.status in refused and "error" in json.loads(answer.body):
        return []
    if answer.status // 100 != want["status"] // 100:
        return [f"status: want {want['status']}, got {answer.status} {answer.body[:200]!r}"]
    kind = want["content_type"].partition(";")[0].strip()
    got = dict(answer.headers).get("content-type", "").partition(";")[0].strip()
    if answer.status < 300 and answer.body and got != kind:
        return [f"content type: want {kind}, got {got or 'none'}"]
    try:
        if answer.body and got in READERS:
            READERS[got](answer.body)
    except ValueError as e:
        return [f"body: {e}"]
    return []


def case_of(recorded):
    answer, path = recorded["stub_answer"], recorded["target"].partition("?")[0]
    return Case(recorded["method"], path, recorded.get("body"), answer["status"],
                answer["content_type"].startswith(("application/x-ndjson", "text/event-stream")))


def run_scenario(netloc, name, scenario, steps, opt, count):
    for i, recorded in enumerate(scenario["requests"]):
        where = f"{name} {i} {recorded['method']} {recorded['target']}"
        request = as_request(recorded)
        try:
            answer = send(netloc, request, timeout=opt.timeout)
            problems = check(where, recorded, answer)
            if opt.description:
                problems += opt.description.check_answer(request["method"], request["path"], answer)
        except Exception as e:  # whatever a server under test does is a difference, not our end
            problems = [repr(e)]
        areas = areas_of(case_of(recorded))
        if i not in steps:
            count.skipped(where, "not among the chosen ones (--only)", areas=areas)
        elif problems:
            count.failed(where, problems, areas)
        else:
            count.passed(where, areas)


def run(folder, opt, count, start_server):
    scenarios = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        d = read(path)
        for s in d.get("scenarios", []) if d.get("format") == FORMAT else []:
            name = f"{d['client']}/{s['scenario']}"
            steps = chosen_steps({"id": name, "steps": s["requests"]}, opt.only)
            if steps:
                scenarios.append((name, s, steps))
    if not scenarios:
        return
    server, failed_before = start_server({"OLLAMA_NO_CLOUD": "1"}), count.n_failed
    fixtures = Fixtures(opt.fixtures)
    fixtures.models = MODELS
    for name, s, steps in scenarios:
        if not server.alive():
            count.failed(f"{name}: the server has ended before it", [server.log_tail()])
            server.start()
        fixtures.installed.clear()  # a scenario may have deleted them
        for model in MODELS:
            try:
                fixtures.install(server.netloc, model)
            except Exception as e:
                if model == "tiny-llama:latest":
                    count.note(f"{model} cannot be installed: {e}")
        run_scenario(server.netloc, name, s, steps, opt, count)
    server.finish(keep=count.n_failed != failed_before)
