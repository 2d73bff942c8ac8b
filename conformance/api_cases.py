"""Sets of format api-golden-1 (golden/api/README.md): scenarios of request and answer, in groups that
share a server's environment."""
import fnmatch
import glob
import json
import os
import time

from areas import Case, areas_of, as_json
from matchers import diff_answer
from registry import Registry, digest_of
from transport import send

FORMAT = "api-golden-1"


def read(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def is_set(folder):
    return os.path.exists(os.path.join(folder, "fixtures.json"))


def load(folder):
    files = [read(path) for path in sorted(glob.glob(os.path.join(folder, "*.json")))]
    return [s for d in files if isinstance(d, dict) and d.get("format") == FORMAT for s in d["scenarios"]]


class Fixtures:
    """Models that scenarios need, installed once per server through the API itself."""

    def __init__(self, folder):
        self.folder, self.models = folder, read(os.path.join(folder, "fixtures.json"))["models"]
        self.installed = set()

    def upload(self, netloc, file):
        with open(os.path.join(self.folder, file), "rb") as f:
            digest = digest_of(f.read())
        request = {"method": "POST", "path": "/api/blobs/" + digest, "file": file}
        self.must(send(netloc, request, self.folder), (200, 201), "blob of " + file)
        return digest

    def install(self, netloc, name):
        if name in self.installed:
            return
        model = self.models[name]
        if model.get("after"):
            self.install(netloc, model["after"])
        body = dict(model["create"], model=name, stream=False)
        for path, file in model.get("upload", {}).items():
            body.setdefault("files", {})[path] = self.upload(netloc, file)
        request = {"method": "POST", "path": "/api/create", "json": body}
        self.must(send(netloc, request, self.folder), (200,), "fixture " + name)
        self.installed.add(name)

    @staticmethod
    def must(answer, ok, what):
        if answer.status not in ok:
            raise RuntimeError(f"{what}: {answer.status} {answer.body[:200]!r}")


def chosen_steps(scenario, only):
    """Which steps are meant: all, or those that a list names ("id", "glob*", "id 0-3,7")."""
    every = set(range(len(scenario["steps"])))
    if not only:
        return every
    return named_steps(scenario, only)


def named_steps(scenario, only):
    every, steps = set(range(len(scenario["steps"]))), set()
    for entry in only:
        pattern, _, numbers = entry.partition(" ")
        if not fnmatch.fnmatchcase(scenario["id"], pattern):
            continue
        for span in numbers.replace(" ", "").split(",") if numbers.strip() else []:
            low, _, high = span.partition("-")
            steps |= set(range(int(low), int(high or low) + 1))
        if not numbers.strip():
            steps = every
    return steps & every


def case_of(step):
    request, response = step["request"], step["response"]
    status = response["status"]
    return Case(request["method"], request["path"], request.get("json", as_json(request.get("raw"))),
                status[0] if isinstance(status, list) else status, "ndjson" in response or "sse" in response)


def run_step(netloc, folder, step, opt):
    if step.get("wait_ms"):
        time.sleep(step["wait_ms"] / 1000)
    request = step["request"]
    try:
        answer = send(netloc, request, folder, opt.timeout)
        problems = diff_answer(step["response"], answer, opt.chunks)
        if opt.description:
            problems += opt.description.check_answer(request["method"], request["path"], answer)
        return problems
    except Exception as e:  # whatever a server under test does is a difference, not our end
        return [repr(e)]


def why_not(opt, level, chosen, excepted):
    """Why a step that ran is not counted; None: it is."""
    if not chosen:
        return "not among the chosen ones (--only), but later steps need it"
    if excepted:
        return "a difference on purpose (--except)"
    return None if level in opt.levels else f"of level {level} (--levels)"


def run_scenario(netloc, fixtures, scenario, counted, opt, count):
    registry = None
    if scenario.get("registry"):
        registry = Registry(scenario["registry"], fixtures.folder)
        scenario = json.loads(json.dumps(scenario).replace("{registry}", registry.address))
    try:
        for name in scenario.get("needs", []):
            fixtures.install(netloc, name)
    except Exception as e:
        for i in sorted(counted):
            count.failed(f"{scenario['id']} step {i}", [f"fixture models cannot be installed: {e}"])
        counted = set()
    excepted = named_steps(scenario, opt.but)
    for i, step in enumerate(scenario["steps"]):
        problems = run_step(netloc, fixtures.folder, step, opt)
        where = f"{scenario['id']} step {i} {step['request']['method']} {step['request']['path']}"
        level = step.get("level", scenario.get("level", "must"))
        areas = areas_of(case_of(step))
        if i in excepted and not problems:
            count.note(f"{where} passes: it need not be excepted any more")
        why = why_not(opt, level, i in counted, i in excepted)
        if why:
            count.skipped(where, why, areas=areas)
        elif problems:
            count.failed(where, problems, areas)
        else:
            count.passed(where, areas)
    if registry:
        registry.close()
    fixtures.installed -= set(scenario.get("forget", []))


def settings(env):
    return ", ".join(f"{k}={v}" for k, v in env.items()) or "no settings"


def run(folder, opt, count, start_server):
    """start_server(env) -> server; with --url the one that runs, whatever the environment."""
    environments = read(os.path.join(folder, "fixtures.json"))["environments"]
    scenarios = [(s, chosen_steps(s, opt.only)) for s in load(folder)]
    left_out = [len(s["steps"]) for s, steps in scenarios if not steps]
    if left_out:
        count.note(f"{folder}: {len(left_out)} scenarios ({sum(left_out)} steps) are not among the chosen ones")
    for name, env in environments.items():
        group = [(s, steps) for s, steps in scenarios if s.get("env", "base") == name and steps]
        if not group:
            continue
        if opt.url and name != opt.env:
            for s, steps in group:
                count.skipped(s["id"], f"needs a server with the environment '{name}' (--env): {settings(env)}", len(steps))
            continue
        server, fixtures, failed_before = start_server(env), Fixtures(folder), count.n_failed
        for s, steps in group:
            if not server.alive():
                count.failed(f"{s['id']}: the server has ended before it", [server.log_tail()])
                server.start()
                fixtures.installed.clear()
            run_scenario(server.netloc, fixtures, s, steps, opt, count)
        server.finish(keep=count.n_failed != failed_before)
