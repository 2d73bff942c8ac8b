"""Settings: cria.toml, environment, flags; `cria config`; SIGHUP."""
import json
import os
import signal
import subprocess
import time
from datetime import datetime, timezone

import ollama
import pytest

from conftest import BUILTIN, binary
from transport import Server, send


@pytest.fixture
def home(tmp_path):
    """An environment without settings, and its configuration file."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "CRIA_", "XDG_"))}
    env["HOME"] = str(tmp_path)
    file = tmp_path / ".config" / "cria" / "cria.toml"
    file.parent.mkdir(parents=True)
    return env, file


def cria(env, *args):
    return subprocess.run([binary(), *args], env=env, capture_output=True, text=True, timeout=60)


def setting(env, name, *args):
    shown = json.loads(cria(env, "config", "show", "--json", *args).stdout)
    return next(s for s in shown["settings"] if s["name"] == name)


def test_layers(home):
    env, file = home
    assert setting(env, "keep_alive")["origin"] == "default"
    file.write_text('# mine\nkeep_alive = "10m"\n')
    shown = setting(env, "keep_alive")
    assert (shown["value"], shown["origin"]) == ("10m", f"{file}:2")
    env["OLLAMA_KEEP_ALIVE"] = "7m"
    assert setting(env, "keep_alive")["origin"] == "OLLAMA_KEEP_ALIVE"
    env["CRIA_KEEP_ALIVE"] = "8m"
    assert setting(env, "keep_alive")["value"] == "8m"
    table = cria(env, "config", "show").stdout
    assert [line.split() for line in table.splitlines() if line.startswith("keep_alive")] == [
        ["keep_alive", "8m", "CRIA_KEEP_ALIVE"]]
    restart = {line.split()[0] for line in table.splitlines()[1:] if line.split()[-1] == "restart"}
    assert {"host", "models", "max_connections", "tls_cert"} <= restart
    assert not restart & {"origins", "allowed_hosts", "editor", "api_key", "keep_alive"}


def test_bad_file_stops_every_command_that_needs_it(home):
    env, file = home
    file.write_text('max_queue = 4\nkeep_aliv = "10m"\n')
    want = f"Error: {file}: line 2, column 1: unknown setting 'keep_aliv'; did you mean 'keep_alive'?\n"
    for command in (["list"], ["serve"], ["config", "check"], ["config", "show"], ["--version"]):
        done = cria(env, *command)
        assert (done.returncode, done.stderr) == (1, want), command
    assert cria(env, "--help").returncode == 0
    good = file.parent / "other.toml"
    good.write_text("num_parallel = 2\n")
    assert cria(env, "config", "check", str(good)).stdout == f"{good}: ok\n"


def test_check_looks_at_the_environment(home):
    env, _ = home
    assert cria(env, "config", "check").returncode == 0
    done = cria(env | {"CRIA_KEEPALIVE": "5m"}, "config", "check")
    assert done.returncode == 1
    assert "unknown variable CRIA_KEEPALIVE; did you mean the setting 'keep_alive'?" in done.stderr
    done = cria(env | {"OLLAMA_MAX_QUEUE": "many"}, "config", "check")
    assert done.returncode == 1 and "OLLAMA_MAX_QUEUE: max_queue: 'many'" in done.stderr


def test_flags_of_serve(home):
    env, _ = home
    done = cria(env, "serve", "--set", "keep_aliv=1")
    assert done.stderr == "Error: unknown setting 'keep_aliv'; did you mean 'keep_alive'?\n"
    done = cria(env, "serve", "--set", "max_queue=x")
    assert done.stderr == "Error: max_queue: 'x' is no number from 0 up\n"
    done = cria(env, "serve", "--config", "/nowhere.toml")
    assert done.returncode == 1 and "/nowhere.toml" in done.stderr


def minutes_left(server):
    """Of the only loaded model, after a request."""
    client = ollama.Client(host="http://" + server.netloc, timeout=60)
    client.generate(model=BUILTIN, keep_alive=0)
    client.generate(model=BUILTIN, prompt="a", options={"num_predict": 1})
    until = client.ps().models[0].expires_at
    return (until - datetime.now(timezone.utc)).total_seconds() / 60


def status_for(server, origin):
    return send(server.netloc, {"method": "GET", "path": "/api/version", "headers": {"Origin": origin}}).status


def test_sighup(tmp_path, tiny):
    """sec_S_LC_1: the signal reads the file again; a broken file changes nothing."""
    file = tmp_path / "cria.toml"
    file.write_text("keep_alive = 3600\n")
    server = Server(binary(), {"CRIA_CONFIG": str(file)}, builtin=True)

    def hang_up(expected):
        server.process.send_signal(signal.SIGHUP)
        end = time.time() + 20
        while expected not in server.log_tail(2000):
            assert time.time() < end, server.log_tail()
            time.sleep(0.05)

    try:
        assert 50 < minutes_left(server) < 61
        assert status_for(server, "https://a.example") == 403
        file.write_text('keep_alive = "30m"\nmore_models = ["/nowhere"]\norigins = ["https://a.example"]\n')
        hang_up("settings read again")
        log = server.log_tail(2000)
        assert "keep_alive has changed" in log and "more_models has changed: this takes effect after a restart" in log
        assert 20 < minutes_left(server) < 31
        assert status_for(server, "https://a.example") == 200
        file.write_text("keep_alive = [\n")
        hang_up("the old settings stay")
        assert server.alive()
        file.write_text('origins = ["no origin"]\n')
        hang_up("the old origins and hosts stay")
        assert status_for(server, "https://a.example") == 200
        file.write_text("")
        hang_up("origins has changed")
        end = time.time() + 20
        while status_for(server, "https://a.example") != 403:
            assert time.time() < end
            time.sleep(0.05)
    finally:
        assert server.stop() == 0
