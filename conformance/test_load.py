"""Loads of models that clients give up (spec/scheduler.md 6), and a small form of load.py: no stream loses a token
while others are idle and many stream."""
import glob
import http.client
import json
import os
import subprocess
import time

import pytest

import gguf_file
from conftest import binary
from load import many
from transport import Server

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/models/llama-base/model.gguf")


def test_many_clients():
    errors, _ = many(binary(), 12, 8, 2, 6)
    assert not errors


# ---- a load that nobody wants ----------------------------------------------------------------------------

F16 = 1


@pytest.fixture(scope="module")
def slow():
    """A server with two models of which much is read while they are loaded, though nothing of that is on the disk."""
    s = Server(binary(), {"CRIA_CHECK_TENSORS": "1"})
    files = {}
    for name, rows in (("slow", 1 << 18), ("short", 1 << 16)):
        g = gguf_file.read(MODEL)
        g.keys["general.name"] = gguf_file.STRING, name
        with open(s.tmp + "/model.gguf", "wb") as f:
            f.write(g.bytes())
        with open(s.tmp + "/Modelfile", "w") as f:
            f.write("FROM ./model.gguf\n")
        before = set(glob.glob(s.tmp + "/models/blobs/*"))
        subprocess.run([binary(), "create", name, "-f", s.tmp + "/Modelfile"], env=s.env, check=True, capture_output=True)
        g.tensors["extra.weight"] = [4096, rows], F16, b""
        files[max(set(glob.glob(s.tmp + "/models/blobs/*")) - before, key=os.path.getsize)] = g, 4096 * 2 * rows
    assert s.stop(keep=True) == 0
    for path, (g, size) in files.items():
        os.remove(path)
        with open(path, "wb") as f:
            f.write(g.bytes())
            f.truncate(f.tell() + size)
    s.start()
    yield s
    assert s.stop() == 0


def ask(server, model):
    c = http.client.HTTPConnection(server.netloc, timeout=120)
    c.request("POST", "/api/generate", json.dumps({"model": model, "prompt": "a", "raw": True, "stream": False, "options": {"num_predict": 2}}))
    return c


def get(server, path):
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    c.request("GET", path)
    return c.getresponse().read().decode()


def wait_for(what):
    end = time.time() + 60
    while not what():
        assert time.time() < end
        time.sleep(0.01)


def read_of_blobs(server):
    """How many bytes of the files of models are mapped and have been read."""
    n, of_blob = 0, False
    with open(f"/proc/{server.process.pid}/smaps") as f:
        for line in f:
            word = line.split()
            if not word[0].endswith(":"):
                of_blob = "/blobs/sha256" in line
            elif word[0] == "Rss:" and of_blob:
                n += 1024 * int(word[1])
    return n


def test_a_load_that_nobody_wants_ends_half_way(slow):
    c = ask(slow, "slow")
    wait_for(lambda: read_of_blobs(slow) > 16 << 20)
    c.close()
    wait_for(lambda: "load of slow:latest: " in slow.log_tail(100000))
    assert "load of slow:latest: request canceled" in slow.log_tail(100000)
    assert json.loads(get(slow, "/api/ps")) == {"models": []} and read_of_blobs(slow) == 0


def test_a_load_that_others_wait_for_goes_on(slow):
    first = ask(slow, "short")
    wait_for(lambda: read_of_blobs(slow) > 16 << 20)
    second = ask(slow, "short")
    wait_for(lambda: "cria:num_requests_waiting 2" in get(slow, "/metrics"))
    first.close()
    answer = second.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["done_reason"] == "length"
    log = slow.log_tail(100000)
    assert log.count("load of short:latest: ") == log.count("load of short:latest: done") == 1
