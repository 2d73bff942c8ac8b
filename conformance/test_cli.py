"""Commands that describe cria to people, shells and other programs: JSON listings, doctor, connect, completion,
manual pages; usage errors (spec/cli.md 1)."""
import json
import os
import re
import shutil
import subprocess
import urllib.request

import pytest

from conftest import BUILTIN, binary


@pytest.fixture
def env(server, tmp_path):
    e = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "CRIA_", "XDG_"))}
    return e | {"HOME": str(tmp_path), "OLLAMA_HOST": server.netloc}


def cria(env, *args, **more):
    return subprocess.run([binary(), *args], env=env, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, **more)


def commands(env):
    """Name and help of every command."""
    text = cria(env, "--help").stdout.split("Available Commands:\n")[1].split("\n\n")[0]
    return [line.split(None, 1) for line in text.splitlines()]


# ---- JSON ----

def test_list_as_json(env, client, scripted):
    names = [m["name"] for m in json.loads(cria(env, "list", "--json").stdout)["models"]]
    assert names == [m.model for m in client.list().models]
    only = json.loads(cria(env, "list", "--json", "SMOKE/").stdout)["models"]
    assert {m["name"] for m in only} == {n for n in names if n.startswith("smoke/")} and only[0]["digest"]
    assert json.loads(cria(env, "list", "--json", "nothing-like-it").stdout) == {"models": []}


def test_ps_as_json(env, client, scripted):
    client.generate(model=scripted, prompt="1", keep_alive=60)
    models = json.loads(cria(env, "ps", "--json", scripted).stdout)["models"]
    assert [m["name"] for m in models] == [scripted + ":latest"] and models[0]["context_length"] > 0


def test_show_as_json(env, scripted):
    shown = json.loads(cria(env, "show", "--json", scripted).stdout)
    assert shown["model_info"]["general.architecture"] and "completion" in shown["capabilities"]
    assert cria(env, "show", "--json", "no/such").returncode == 1


# ---- doctor ----

def doctor(env):
    done = cria(env, "doctor", "--json")
    return done.returncode, {c["check"]: c for c in json.loads(done.stdout)}


def test_doctor(env, server):
    status, checks = doctor(env | {"OLLAMA_MODELS": server.env["OLLAMA_MODELS"]})
    assert status == 0, checks
    assert checks["server"]["result"] == "ok" and server.netloc in checks["server"]["text"]
    assert checks["store"]["result"] == "ok" and checks["settings"]["result"] == "ok"
    assert set(checks) == {"settings", "processor", "memory", "store", "disk", "secrets", "server"}
    text = cria(env, "doctor").stdout
    assert len(text.splitlines()) == len(checks) and "threads" in text


def test_doctor_finds_what_is_wrong(env, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    models.chmod(0o777)
    (tmp_path / ".ollama").mkdir()
    key = tmp_path / ".ollama" / "id_ed25519"
    key.write_text("secret")
    key.chmod(0o644)
    bad = env | {"OLLAMA_MODELS": str(models), "OLLAMA_HOST": "127.0.0.1:1", "CRIA_CPU_ISA": "abacus"}
    status, checks = doctor(bad)
    assert status == 1
    assert {name for name, c in checks.items() if c["result"] == "failed"} == {"store", "server", "processor"}
    assert checks["secrets"]["result"] == "warning" and "chmod 600" in checks["secrets"]["text"]
    assert cria(bad, "doctor").stderr == "Error: 3 of 7 checks failed\n"
    file = tmp_path / "cria.toml"
    file.write_text("max_queue = [")
    status, checks = doctor(env | {"CRIA_CONFIG": str(file)})
    assert status == 1 and "line 1, column 14" in checks["settings"]["text"]


# ---- connect ----

def clients(env):
    lines = cria(env, "connect").stdout.splitlines()
    return [line.split()[0] for line in lines[1:]]


def test_connect_fills_in(env, server):
    assert {"ollama", "openai", "anthropic", "open-webui", "continue", "zed", "aider", "claude-code"} <= set(clients(env))
    for name in clients(env):
        done = cria(env, "connect", name, "some/model")
        assert done.returncode == 0 and "{" + "url}" not in done.stdout and "{v1}" not in done.stdout
        assert f"http://{server.netloc}" in done.stdout
        assert "some/model" in done.stdout or name in ("ollama", "open-webui")
    done = cria(env, "connect", "netscape")
    assert (done.returncode, done.stderr) == (1, "Error: unknown client \"netscape\": 'cria connect' lists them\n")
    all_addresses = cria(env | {"OLLAMA_HOST": "0.0.0.0:1"}, "connect", "ollama").stdout
    assert all_addresses == "export OLLAMA_HOST=http://127.0.0.1:1\n"


@pytest.mark.parametrize("name", ["zed", "opencode"])
def test_connect_prints_json(env, name):
    json.loads(cria(env, "connect", name, "m").stdout)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_connect_prints_programs_that_run(env, scripted, name, capsys):
    program = cria(env, "connect", name, scripted).stdout
    assert program.count('"Hello"') == 1
    exec(program.replace('"Hello"', '"1"'), {})  # here: the packages take seconds to load
    assert capsys.readouterr().out == "Hello there friend.\n"


def test_connect_prints_a_call_that_works(env, tiny):
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    done = subprocess.run(["sh", "-c", cria(env, "connect", "curl", tiny).stdout], timeout=120, capture_output=True)
    assert json.loads(done.stdout)["done"] is True


# ---- completion ----

def complete(env, line, breaks=" \t\n\"'><=;|&(:"):
    """What bash would offer at the end of the line."""
    path = os.path.dirname(binary()) + ":" + env["PATH"]
    script = (f"source <({binary()} completion bash)\nCOMP_WORDBREAKS=$1\nCOMP_LINE=$2 COMP_POINT=${{#2}}\n"
              "_cria\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "-", breaks, line], env=env | {"PATH": path}, timeout=60,
                          capture_output=True, text=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completion(env, scripted):
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    assert complete(env, "cria pu") == {"pull", "push"}
    assert complete(env, "cria l") == {"list", "ls"}
    assert complete(env, "cria run smoke/scr") == {"smoke/scripted:latest"}
    assert complete(env, "cria run smoke/scripted:la") == {"latest"}
    assert complete(env, "cria run smoke/scripted:la", breaks=" \t\n") == {"smoke/scripted:latest"}
    assert complete(env, "cria run --keep") == {"--keepalive"}
    assert complete(env, "cria run -o smoke/scr") == set()  # the value of a flag
    assert complete(env, "cria completion z") == {"zsh"}
    assert complete(env, "cria config c") == {"check"}
    assert complete(env, "cria connect op") == {"openai", "open-webui", "opencode"}
    assert complete(env, "cria help ser") == {"serve"}
    assert {"serve", "run", "--version"} <= complete(env, "cria ")
    assert complete(env | {"OLLAMA_HOST": "127.0.0.1:1"}, "cria run sm") == set()


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_completion_scripts_are_valid(env, tmp_path, shell, check):
    text = cria(env, "completion", shell).stdout
    for name, _ in commands(env):
        assert re.search(rf"\b{name}\b", text), name
    assert "--keepalive" in text or "-l keepalive" in text
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = tmp_path / "script"
    file.write_text(text)
    done = subprocess.run([*check, str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_unknown_shell(env):
    done = cria(env, "completion", "tcsh")
    assert (done.returncode, done.stderr) == (1, 'Error: unknown shell "tcsh": bash, zsh and fish are known\n')


# ---- manual pages ----

def test_manual_pages(env, tmp_path):
    folder = tmp_path / "man"
    assert cria(env, "help", "--man-dir", str(folder)).returncode == 0
    names = [name for name, _ in commands(env)]
    assert {f.name for f in folder.iterdir()} == {f"cria-{n}.1" for n in names} | {"cria.1", "cria.toml.5"}
    assert (folder / "cria-run.1").read_text() == cria(env, "help", "--man", "run").stdout
    assert "keepalive" in (folder / "cria-run.1").read_text()
    settings = json.loads(cria(env, "config", "show", "--json", "--all").stdout)["settings"]
    page = (folder / "cria.toml.5").read_text()
    assert all(f"\n.B {s['name']} " in page for s in settings)
    if shutil.which("man") is None:
        pytest.skip("no man here")
    some = ["cria.1", "cria-run.1", "cria-config.1", "cria-quantize.1", "cria.toml.5"]  # each takes a second
    done = subprocess.run(["man", "--warnings", "-l", *(str(folder / name) for name in some)], capture_output=True, text=True,
                          env=env | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANROFFSEQ": ""},
                          timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("NAME") >= len(some)


# ---- spec/cli.md 1 ----

@pytest.mark.parametrize("args, want", [
    (["nope"], 'unknown command "nope" for "cria"'),
    (["cp", "a"], "accepts 2 arg(s), received 1"),
    (["rm"], "requires at least 1 arg(s), only received 0"),
    (["list", "--nope"], "unknown flag: --nope"),
    (["list", "-x"], "unknown shorthand flag: 'x' in -x"),
    (["run", "m", "--format"], "flag needs an argument: --format"),
    (["run", "m", "--dimensions", "q"],
     'invalid argument "q" for "--dimensions" flag: strconv.ParseInt: parsing "q": invalid syntax'),
    (["run", "m", "--think=x"],
     'invalid value for --think: "x" (must be true, false, high, medium, low, or max)'),
    (["run", "m", "--keepalive", "xx"], 'time: invalid duration "xx"'),
    (["show", "m", "--license", "--system"],
     "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"),
    (["stop", "no/such"], 'couldn\'t find model "no/such" to stop'),
    (["create", "a:b:c"], "invalid model name: a:b:c"),
    (["create", "m", "-f", "/nowhere/Modelfile"], "specified Modelfile wasn't found"),
])
def test_usage_errors(env, args, want):
    done = cria(env, *args)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {want}\n")


def test_no_server(env):
    for args in (["list"], ["ps"], ["run", "m", "x"], ["show", "m"], ["pull", "m"], ["rm", "m"], ["cp", "a", "b"]):
        done = cria(env | {"OLLAMA_HOST": "127.0.0.1:1"}, *args)
        assert (done.returncode, done.stderr) == (
            1, "Error: could not connect to cria server, run 'cria serve' to start it\n"), args
    done = cria(env | {"OLLAMA_HOST": "127.0.0.1:1"}, "--version")
    assert done.returncode == 0 and done.stdout.startswith("Warning: could not connect to a running cria instance\n")


def test_every_command_has_help(env):
    for name, text in commands(env):
        done = cria(env, name, "--help")
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.startswith(text + "\n\nUsage:\n  cria " + name)
    assert cria(env, "run", "-h").stdout == cria(env, "help", "run").stdout == cria(env, "run", "--help").stdout


def test_what_there_is_not(env):
    for args in (["signin"], ["login"], ["signout"], ["launch"], ["launch", "claude", "--model", "m"]):
        done = cria(env, *args)
        assert done.returncode == 1 and re.match("Error: (cria has no cloud|launch is not supported)", done.stderr)


@pytest.mark.parametrize("line, message", [
    ("PARAMETER bogus 1", "unknown parameter 'bogus'"), ("PARAMETER num_ctx x", "invalid int value [x]"),
    ("PARAMETER temperature inf", "json: unsupported value: +Inf"), ("REQUIRES x", "requires must be a valid semver (e.g. 0.14.0)"),
    ("ADAPTER /nowhere.gguf", "stat /nowhere.gguf: no such file or directory"), ("TEMPLATE {{", None)])
def test_an_error_of_create_has_a_line_of_its_own(env, scripted, tmp_path, line, message):
    file = tmp_path / "Modelfile"
    file.write_text(f"FROM {scripted}\n{line}\n")
    done = cria(env, "create", "cli/bad", "-f", str(file))
    assert done.returncode == 1 and done.stdout == ""
    last = done.stderr.split("\n")[-2]
    assert last.startswith("Error: ") and (message is None or last == "Error: " + message)


def test_called_ollama(env, server, tmp_path):
    """Scripts read what the API can do from `ollama --version`; the name stands in help and errors."""
    name = tmp_path / "ollama"
    name.symlink_to(binary())

    def ollama(*args, **more):
        return subprocess.run([name, *args], env=env | more, capture_output=True, text=True, timeout=60)

    with urllib.request.urlopen(f"http://{server.netloc}/api/version") as r:
        version = json.load(r)["version"]
    assert ollama("--version").stdout == f"ollama version is {version}\n"
    lost = ollama("-v", OLLAMA_HOST="127.0.0.1:1").stdout
    assert lost == f"Warning: could not connect to a running Ollama instance\nWarning: client version is {version}\n"
    lost = ollama("list", OLLAMA_HOST="127.0.0.1:1")
    assert lost.stderr == "Error: could not connect to ollama server, run 'ollama serve' to start it\n"
    assert ollama("nonsense").stderr == 'Error: unknown command "nonsense" for "ollama"\n'
    assert "  ollama [command]" in ollama("help").stdout and "  ollama show MODEL [flags]" in ollama("help", "show").stdout
