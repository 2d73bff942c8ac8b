"""One store and many: several servers on one folder, cria as a registry for its peers, and the commands that
keep a store in order. sec_S_ST_*: spec/security.md."""
import collections
import concurrent.futures
import fcntl
import http.client
import json
import os
import random
import shutil
import struct
import subprocess
import threading
import time

import pytest

from conftest import SCRIPTED_FILE, binary
from hostile_registry import HostileRegistry, digest_of
from test_faults import LIBRARY, SANITIZED, request, snapshot
from transport import Server, send

MEGA = 1 << 20
with open(SCRIPTED_FILE, "rb") as _f:
    GGUF = _f.read()


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


@pytest.fixture
def registry():
    r = HostileRegistry()
    yield r
    r.close()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "models")


@pytest.fixture
def server(folder):
    s = Server(binary(), {"OLLAMA_MODELS": folder})
    yield s
    log = s.log_tail(4000)
    assert s.stop() == 0, log


def pull(server, registry, name="ns/model", **more):
    address = registry if isinstance(registry, str) else registry.address
    return request(server, "POST", "/api/pull", {"model": f"{address}/{name}", "insecure": True, **more})


def create(server, name, system="Be brief.", **more):
    request(server, "POST", "/api/blobs/" + digest_of(GGUF), GGUF)
    items = request(server, "POST", "/api/create", {"model": name, "files": {"m.gguf": digest_of(GGUF)},
                                                    "system": system, "parameters": {"temperature": 0}, **more})
    assert items[-1] == {"status": "success"}, items


def cli(folder, *words, check=True, **env):
    run = subprocess.run([binary(), *words], capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                         env={**os.environ, "OLLAMA_MODELS": folder, "HOME": os.path.dirname(folder),
                              "CRIA_BUILTIN": "0", **env})
    if check:
        assert run.returncode == 0, run.stderr
    return run


def fsck(folder):
    return json.loads(cli(folder, "fsck", "--json").stdout)


def blob_path(folder, digest):
    return f"{folder}/blobs/{digest.replace(':', '-')}"


def wait_for(what, seconds=30):
    end = time.time() + seconds
    while not what():
        assert time.time() < end
        time.sleep(0.02)


# ---- several at one folder ----------------------------------------------------------------------------------


def test_sec_S_ST_4_two_processes_share_a_download(folder, server, registry):
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 1)])
    registry.behave(d, slow=0.02)
    other = Server(binary(), {"OLLAMA_MODELS": folder})
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            both = list(pool.map(lambda s: pull(s, registry), [server, other]))
        assert [x[-1] for x in both] == [{"status": "success"}] * 2
        assert registry.count("GET", d) == 1
        assert len(snapshot(folder)) == 1
    finally:
        assert other.stop() == 0


def test_sec_S_ST_4_the_second_goes_on_when_the_first_dies(folder, server, registry):
    """It takes over the lock and the file; how far it need not begin anew: test_kill_and_go_on."""
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 2)])
    registry.behave(d, slow=0.05)
    other = Server(binary(), {"OLLAMA_MODELS": folder})
    partial = blob_path(folder, d) + "-partial"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(pull, other, registry)
        wait_for(lambda: os.path.exists(partial) and os.stat(partial).st_blocks > 0)
        second = pool.submit(pull, server, registry)
        other.process.kill()
        assert "gone" in first.result()[-1]["error"]
        registry.behave(d)
        assert second.result()[-1] == {"status": "success"}
    other.stop()
    assert len(snapshot(folder)) == 1 and not [x for x in os.listdir(folder + "/blobs") if "partial" in x]


def test_sec_S_ST_4_pruning_leaves_a_running_pull_alone(folder, server, registry):
    """A second server starts, and prune --all runs, while a pull has blobs that no manifest names."""
    small, large = registry.add("ns/model:latest", [noise(5000, 3), noise(2 * MEGA, 4)])
    gate = threading.Event()
    registry.behave(large, gate=gate)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(pull, server, registry)
        partial = blob_path(folder, large) + "-partial"
        wait_for(lambda: os.path.exists(partial))
        old = time.time() - 30 * 24 * 3600
        os.utime(blob_path(folder, small), (old, old))
        os.utime(partial, (old, old))
        other = Server(binary(), {"OLLAMA_MODELS": folder})
        assert other.stop() == 0
        cli(folder, "prune", "--all")
        assert os.path.exists(partial) and os.path.exists(blob_path(folder, small))
        gate.set()
        assert running.result()[-1] == {"status": "success"}
    assert registry.count("GET", small) == 1 and registry.count("GET", large) == 1
    assert len(snapshot(folder)) == 1


def test_sec_S_ST_4_deleting_a_model_whose_blob_another_pull_needs(folder, server, registry):
    shared, large = noise(5000, 5), noise(2 * MEGA, 6)
    registry.add("ns/first:latest", [shared])
    d, slow = registry.add("ns/model:latest", [shared, large])
    assert pull(server, registry, "ns/first")[-1] == {"status": "success"}
    gate = threading.Event()
    registry.behave(slow, gate=gate)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(pull, server, registry)
        wait_for(lambda: os.path.exists(blob_path(folder, slow) + "-partial"))
        assert request(server, "DELETE", "/api/delete", {"model": f"{registry.address}/ns/first"}) == []
        gate.set()
        assert running.result()[-1] == {"status": "success"}
    assert registry.count("GET", d) == 1 and len(snapshot(folder)) == 1


def test_a_blob_that_vanishes_is_pulled_again(folder, server, registry):
    """Programs that know nothing of our locks may remove what no manifest names."""
    small, large = registry.add("ns/model:latest", [noise(5000, 7), noise(MEGA, 8)])
    gate = threading.Event()
    registry.behave(large, gate=gate)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(pull, server, registry)
        wait_for(lambda: os.path.exists(blob_path(folder, large) + "-partial"))
        os.unlink(blob_path(folder, small))
        gate.set()
        assert running.result()[-1] == {"status": "success"}
    assert registry.count("GET", small) == 2 and len(snapshot(folder)) == 1


def test_delete_while_the_model_answers(folder, server):
    """The answer goes on from the mapped file; the model is gone at once, and its files, too."""
    create(server, "doomed")
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    body = {"model": "doomed", "prompt": "x", "raw": True, "options": {"num_predict": 200, "ignore_eos": True}}
    c.request("POST", "/api/generate", json.dumps(body))
    r = c.getresponse()
    first = json.loads(r.readline())
    assert "response" in first
    assert request(server, "DELETE", "/api/delete", {"model": "doomed"}) == []
    assert snapshot(folder) == {} and not os.listdir(folder + "/blobs")
    last = [json.loads(x) for x in r.read().splitlines()][-1]
    assert last["done"] is True and "error" not in last
    assert "not found" in request(server, "POST", "/api/generate", {"model": "doomed", "prompt": "x"})[-1]["error"]


def test_sec_S_ST_9_a_blob_that_is_cut_while_loaded(folder, server):
    """One model is lost, told by name; the server and the others go on."""
    create(server, "cut")
    with open("golden/models/llama-base/model.gguf", "rb") as f:
        whole = f.read()
    request(server, "POST", "/api/blobs/" + digest_of(whole), whole)
    request(server, "POST", "/api/create", {"model": "whole", "files": {"m.gguf": digest_of(whole)}})
    ask = {"prompt": "x", "raw": True, "stream": False, "options": {"num_predict": 3}}
    for name in ("cut", "whole"):
        assert request(server, "POST", "/api/generate", {"model": name, **ask})[-1]["done"] is True
    os.truncate(blob_path(folder, digest_of(GGUF)), 8192)
    error = request(server, "POST", "/api/generate", {"model": "cut", **ask})[-1]["error"]
    assert "was cut short" in error or "bytes" in error, error
    assert "error" in request(server, "POST", "/api/generate", {"model": "cut", **ask})[-1]
    assert request(server, "POST", "/api/generate", {"model": "whole", **ask})[-1]["done"] is True
    found = json.loads(cli(folder, "fsck", "--json", check=False).stdout)
    assert digest_of(GGUF).replace("sha256:", "") in json.dumps(found)


SOAK = float(os.environ.get("CRIA_SOAK", "2"))  # seconds; 600 is the figure of the rule


class Soak:
    """Servers and commands at one store, doing at random what anybody may do."""

    def __init__(self, folder, registry):
        self.folder, self.registry, self.bad, self.done = folder, registry, [], collections.Counter()
        self.pulled = [f"ns/m{i}" for i in range(3)]
        for i, name in enumerate(self.pulled):
            registry.add(name + ":latest", [noise(3000, i), noise(50_000, i % 2), b"all share this"])
        self.servers = [Server(binary(), {"OLLAMA_MODELS": folder}) for _ in range(8 if SOAK > 30 else 2)]
        self.end = time.time() + SOAK

    def step(self, rnd, kind):
        s, made = rnd.choice(self.servers), f"c{rnd.randrange(4)}"
        pulled = f"{self.registry.address}/{rnd.choice(self.pulled)}"
        if kind == "pull":
            return request(s, "POST", "/api/pull", {"model": pulled, "insecure": True})
        if kind == "create":
            request(s, "POST", "/api/blobs/" + digest_of(GGUF), GGUF)
            return request(s, "POST", "/api/create", {"model": made, "system": str(rnd.randrange(3)),
                                                      "files": {"m.gguf": digest_of(GGUF)}})
        if kind == "copy":
            return request(s, "POST", "/api/copy", {"source": rnd.choice([pulled, "c0", "c1"]), "destination": made})
        if kind == "delete":
            return request(s, "DELETE", "/api/delete", {"model": rnd.choice([pulled, made])})
        if kind == "list":
            return request(s, "GET", "/api/tags", "")
        if kind == "run":
            body = {"model": made, "prompt": "x", "stream": False, "keep_alive": rnd.choice([0, "1s"]),
                    "options": {"num_predict": 3}}
            return request(s, "POST", "/api/generate", body)
        run = cli(self.folder, *rnd.choice([["prune"], ["fsck"], ["list"], ["df"]]), check=False,
                  OLLAMA_HOST=s.netloc)
        return [] if run.returncode == 0 else [{"error": run.stdout.decode() + run.stderr.decode()}]

    def work(self, seed):
        rnd = random.Random(seed)
        while time.time() < self.end:
            kind = rnd.choice(["pull", "create", "copy", "delete", "list", "run", "command"])
            items = self.step(rnd, kind)
            error = items[-1].get("error", "") if items else ""
            self.done[kind, bool(error)] += 1
            # What is deleted between two steps is not found; licences only, as pulled here, cannot be run. But
            # a pull has no excuse.
            if error and (kind == "pull" or not any(x in error for x in ["not found", "no such file", "no weights"])):
                self.bad.append((kind, error))


def test_sec_S_ST_4_many_at_random(folder, registry):
    soak = Soak(folder, registry)
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(soak.work, range(max(6, len(soak.servers)))))
        print(dict(soak.done))
        assert not soak.bad, soak.bad[:5]
        snapshot(folder)
        assert fsck(folder)["damaged"] == 0
        for m in request(soak.servers[0], "GET", "/api/tags", "")[-1]["models"]:
            assert "details" in request(soak.servers[0], "POST", "/api/show", {"model": m["name"]})[-1]
    finally:
        assert [s.stop() for s in soak.servers] == [0] * len(soak.servers)


# ---- cria as a registry ---------------------------------------------------------------------------------------


@pytest.fixture
def peer(tmp_path):
    s = Server(binary(), {"OLLAMA_MODELS": str(tmp_path / "peer"), "CRIA_REGISTRY": "1"})
    yield s
    log = s.log_tail(4000)
    assert s.stop() == 0, log


def test_pull_from_a_peer(folder, server, peer):
    create(peer, "tiny")
    create(peer, "ns/other:tag", "Be long.")
    assert pull(server, peer.netloc, "library/tiny")[-1] == {"status": "success"}
    assert pull(server, peer.netloc, "ns/other:tag")[-1] == {"status": "success"}
    here, there = snapshot(folder), snapshot(peer.env["OLLAMA_MODELS"])
    assert sorted(here.values()) == sorted(there.values())  # digest-identical
    assert pull(server, peer.netloc, "library/tiny")[-1] == {"status": "success"}
    assert "file does not exist" in pull(server, peer.netloc, "library/none")[-1]["error"]


def ask(server, method, path, **headers):
    return send(server.netloc, {"method": method, "path": path, "headers": headers})


def test_v2_answers(peer):
    create(peer, "tiny")
    manifest = ask(peer, "GET", "/v2/library/tiny/manifests/latest")
    head = ask(peer, "HEAD", "/v2/library/tiny/manifests/latest")
    fields = dict(manifest.headers)
    assert manifest.status == head.status == 200 and head.body == b""
    assert dict(head.headers)["content-length"] == str(len(manifest.body))
    assert fields["docker-content-digest"] == digest_of(manifest.body)
    assert fields["content-type"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert ask(peer, "GET", f"/v2/library/tiny/manifests/{digest_of(manifest.body)}").body == manifest.body
    assert json.loads(ask(peer, "GET", "/v2/library/tiny/tags/list").body) == {"name": "library/tiny", "tags": ["latest"]}
    assert ask(peer, "GET", "/v2/").status == 200
    blob = "/v2/library/tiny/blobs/" + digest_of(GGUF)
    assert ask(peer, "GET", blob).body == GGUF
    assert dict(ask(peer, "HEAD", blob).headers)["content-length"] == str(len(GGUF))
    n = len(GGUF)
    for text, low, high in [("bytes=0-0", 0, 0), ("bytes=10-99", 10, 99), ("bytes=5-", 5, n - 1), ("bytes=-7", n - 7, n - 1),
                            (f"bytes=3-{n + 5}", 3, n - 1), (f"bytes=-{n + 5}", 0, n - 1)]:
        r = ask(peer, "GET", blob, Range=text)
        assert (r.status, r.body) == (206, GGUF[low:high + 1]), text
        assert dict(r.headers)["content-range"] == f"bytes {low}-{high}/{n}"
    for text in [f"bytes={n}-", "bytes=-0"]:
        assert ask(peer, "GET", blob, Range=text).status == 416
    for text in ["bytes=9-3", "bytes=1-2,4-5", "lines=1-2", "bytes=x-", "bytes=", "bytes=-", "bytes=18446744073709551616-x"]:
        assert ask(peer, "GET", blob, Range=text).status == 200, text


def test_v2_shows_only_what_models_name(peer):
    request(peer, "POST", "/api/blobs/" + digest_of(b"secret"), b"secret")
    create(peer, "tiny")
    for path, status in [("library/tiny/blobs/" + digest_of(b"secret"), 404), ("library/no/blobs/" + digest_of(GGUF), 404),
                         ("library/tiny/blobs/sha256:..%2f..%2fetc", 400), ("library/tiny/blobs/x", 400),
                         ("../../etc/passwd", 404), ("library/tiny/manifests/..%2f..", 404), ("library/tiny", 404),
                         ("library/tiny/manifests/", 404), ("a" * 600 + "/b/manifests/x", 404), ("no/no/tags/list", 404)]:
        r = ask(peer, "GET", "/v2/" + path)
        assert r.status == status, (path, r)
        assert "errors" in json.loads(r.body)
    for method in ["PUT", "POST", "PATCH", "DELETE"]:
        assert ask(peer, method, "/v2/library/tiny/manifests/latest").status == 405


def test_v2_is_off_by_default(server):
    create(server, "tiny")
    for path in ["/v2/", "/v2/library/tiny/manifests/latest", "/v2/library/tiny/blobs/" + digest_of(GGUF)]:
        r = ask(server, "GET", path)
        assert (r.status, r.body) == (404, b"404 page not found")


# ---- commands ---------------------------------------------------------------------------------------------------


def test_export_and_import(folder, server, tmp_path):
    create(server, "one")
    create(server, "ns/two:x", "another")
    archive, back = str(tmp_path / "models.tar"), str(tmp_path / "back")
    cli(folder, "export", "one", "ns/two:x", "-o", archive)
    piped = subprocess.run([binary(), "export", "one", "ns/two:x"], capture_output=True, timeout=60,
                           env={**os.environ, "OLLAMA_MODELS": folder}).stdout
    with open(archive, "rb") as f:
        assert f.read() == piped
    out = cli(back, "import", archive, "--json")
    assert json.loads(out.stdout) == {"models": ["one:latest", "ns/two:x"]}
    assert snapshot(back) == snapshot(folder)
    # A store that was packed as it lay.
    packed, third = str(tmp_path / "packed.tar"), str(tmp_path / "third")
    subprocess.run(["tar", "-C", folder, "-cf", packed, "manifests", "blobs"], check=True)
    cli(third, "import", packed)
    assert snapshot(third) == snapshot(folder)
    with open(archive, "r+b") as f:
        f.seek(len(piped) // 2)
        f.write(b"damage")
    run = cli(str(tmp_path / "fourth"), "import", archive, check=False)
    assert run.returncode == 1 and b"archive: " in run.stderr and snapshot(str(tmp_path / "fourth")) == {}


def test_df_prune_and_fsck(folder, server):
    create(server, "one")
    create(server, "two", "another")
    df = json.loads(cli(folder, "df", "--json").stdout)
    assert df["n_named"] == len(os.listdir(folder + "/blobs")) and df["named"] == df["total"]
    assert {m["name"] for m in df["models"]} == {"one:latest", "two:latest"}
    request(server, "POST", "/api/blobs/" + digest_of(b"stray"), b"stray")
    assert json.loads(cli(folder, "df", "--json").stdout)["unnamed"] == 5
    assert json.loads(cli(folder, "prune", "--json").stdout)["removed"] == 0  # it is young
    assert json.loads(cli(folder, "prune", "--all", "--json").stdout)["files"] == [
        {"file": digest_of(b"stray").replace(":", "-"), "size": 5}]
    assert fsck(folder)["damaged"] == 0
    with open(blob_path(folder, digest_of(GGUF)), "r+b") as f:
        f.seek(5000)
        f.write(b"x")
    run = cli(folder, "fsck", "--repair", "--json", check=False)
    found = json.loads(run.stdout)
    assert run.returncode == 1 and found["repaired"] == 1
    assert {x["code"] for x in found["findings"]} == {"blob-damaged", "model-damaged"}
    create(server, "one")
    assert fsck(folder)["damaged"] == 0


def test_sec_S_ST_6_quota_refuses_a_pull(folder, registry):
    registry.add("ns/model:latest", [noise(300_000, 9)])
    s = Server(binary(), {"OLLAMA_MODELS": folder, "CRIA_STORE_QUOTA": "400kB"})
    try:
        create(s, "one")
        error = pull(s, registry)[-1]["error"]
        assert "quota of 400000 bytes" in error and "one:latest" in error
        assert registry.count("GET", "blobs") == 0 and len(snapshot(folder)) == 1
    finally:
        assert s.stop() == 0
    s = Server(binary(), {"OLLAMA_MODELS": folder, "CRIA_STORE_QUOTA": "400kB", "CRIA_AUTO_PRUNE": "1"})
    try:
        assert pull(s, registry)[-1] == {"status": "success"}
        assert [n.split("/")[2] for n in snapshot(folder)] == ["model"]
    finally:
        assert s.stop() == 0


# ---- disks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """16 MiB, if we may mount."""
    path = str(tmp_path / "disk")
    os.mkdir(path)
    run = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path], capture_output=True)
    if run.returncode != 0:
        pytest.skip("no right to mount a file system")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_sec_S_ST_5_a_full_disk(small_disk, registry):
    folder = small_disk + "/models"
    d, = registry.add("ns/model:latest", [noise(20 * MEGA, 10)])
    with open(small_disk + "/filler", "wb") as f:
        f.write(bytes(15 * MEGA))
    s = Server(binary(), {"OLLAMA_MODELS": folder})
    try:
        assert "no space left on device" in pull(s, registry)[-1]["error"]
        assert registry.count("GET", d) == 0  # told before a byte came
        big = noise(3 * MEGA, 11)
        assert "no space left on device" in request(s, "POST", "/api/blobs/" + digest_of(big), big)[-1]["error"]
        assert os.listdir(folder + "/blobs") == [] and snapshot(folder) == {}
        os.unlink(small_disk + "/filler")
        create(s, "one")
        with open(small_disk + "/filler", "wb") as f:
            try:
                f.write(bytes(16 * MEGA))
            except OSError:
                pass
        items = request(s, "POST", "/api/create", {"model": "two", "from": "one", "system": "x" * 100_000})
        assert "no space left on device" in items[-1]["error"]
        assert len(snapshot(folder)) == 1 and s.alive()
        body = {"model": "one", "prompt": "x", "stream": False, "options": {"num_predict": 2}}
        assert "response" in request(s, "POST", "/api/generate", body)[-1]  # all else goes on
        s.stop(keep=True)
        s.start()  # a server starts on a full disk
        assert request(s, "GET", "/api/tags", "")[-1]["models"][0]["name"] == "one:latest"
    finally:
        assert s.stop() == 0


def test_sec_S_ST_5_a_read_only_store(folder, server, tmp_path, registry):
    create(server, "one")
    registry.add("ns/model:latest", [b"x"])
    place = str(tmp_path / "ro")
    os.mkdir(place)
    mounted = subprocess.run(["mount", "--bind", folder, place], capture_output=True).returncode == 0
    if not mounted or subprocess.run(["mount", "-o", "remount,ro,bind", place], capture_output=True).returncode != 0:
        if mounted:
            subprocess.run(["umount", "-l", place], check=True)
        pytest.skip("no right to mount a file system")
    try:
        s = Server(binary(), {"OLLAMA_MODELS": place})
        try:
            assert request(s, "GET", "/api/tags", "")[-1]["models"][0]["name"] == "one:latest"
            body = {"model": "one", "prompt": "x", "stream": False, "options": {"num_predict": 2}}
            assert "response" in request(s, "POST", "/api/generate", body)[-1]
            for items in [pull(s, registry), request(s, "POST", "/api/blobs/" + digest_of(b"y"), b"y"),
                          request(s, "POST", "/api/copy", {"source": "one", "destination": "two"}),
                          request(s, "DELETE", "/api/delete", {"model": "one"})]:
                assert "read-only file system" in items[-1]["error"], items
        finally:
            assert s.stop() == 0
        assert fsck(place)["damaged"] == 0
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    assert len(snapshot(folder)) == 1


# ---- newer ones -------------------------------------------------------------------------------------------------


def test_outdated_and_pull_all(folder, server, registry):
    registry.add("ns/a:latest", [b"one"])
    registry.add("ns/b:latest", [b"two"])
    for name in ["ns/a", "ns/b"]:
        assert pull(server, registry, name)[-1] == {"status": "success"}
    create(server, f"{registry.address}/ns/own")  # the registry has one of this name: none of our business
    registry.add("ns/own:latest", [b"foreign"])
    outdated = lambda: json.loads(cli(folder, "list", "--outdated", "--insecure", "--json").stdout)["models"]
    assert outdated() == []
    registry.add("ns/b:latest", [b"newer"])
    newer, = outdated()
    assert newer["name"] == f"{registry.address}/ns/b:latest" and newer["latest"] == digest_of(
        registry.manifests["ns/b:latest"])[7:]
    assert b"LATEST" in cli(folder, "list", "--outdated", "--insecure").stdout
    own = snapshot(folder)[f"{registry.address}/ns/own/latest"]
    cli(folder, "pull", "--all", "--insecure", OLLAMA_HOST=server.netloc)
    assert outdated() == [] and len(snapshot(folder)) == 3
    assert snapshot(folder)[f"{registry.address}/ns/own/latest"] == own
    del registry.manifests["ns/a:latest"]
    run = cli(folder, "pull", "--all", "--insecure", check=False, OLLAMA_HOST=server.netloc)
    assert run.returncode == 1 and b"file does not exist" in run.stderr and len(snapshot(folder)) == 3
    assert b"Warning" in cli(folder, "list", "--outdated", "--insecure").stderr


# ---- links, aliases, further stores -------------------------------------------------------------------------------


def test_create_links_files(folder, server, tmp_path):
    """--link: the blob is the file itself; --copy and the default leave it alone."""
    source = tmp_path / "m.gguf"
    source.write_bytes(GGUF)
    (tmp_path / "Modelfile").write_text("FROM ./m.gguf\nSYSTEM hello\n")
    blob = blob_path(folder, digest_of(GGUF))
    for flags, same in [(["--copy"], False), (["--link"], True), (["--link"], True)]:
        request(server, "DELETE", "/api/delete", {"model": "linked"})
        cli(folder, "create", "linked", "-f", str(tmp_path / "Modelfile"), *flags, OLLAMA_HOST=server.netloc)
        assert (os.stat(blob).st_ino == source.stat().st_ino) == same, flags
        assert not [x for x in os.listdir(folder + "/blobs") if x.startswith("tmp-")]
    source.write_bytes(GGUF[:-1] + b"!")  # the promise that --link asks for is broken: fsck sees it
    run = cli(folder, "fsck", "--json", check=False)
    assert {x["code"] for x in json.loads(run.stdout)["findings"]} == {"blob-damaged", "model-damaged"}


@pytest.fixture(params=["xfs", "btrfs"])
def clone_disk(request, tmp_path):
    """A disk that can share blocks between files, if we may mount one and there is a tool to make it."""
    mkfs, image, path = shutil.which("mkfs." + request.param), str(tmp_path / "image"), str(tmp_path / "disk")
    if mkfs is None:
        pytest.skip(f"no mkfs.{request.param}")
    with open(image, "wb") as f:
        f.truncate(400 * MEGA)
    os.mkdir(path)
    subprocess.run([mkfs, "-q", image], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", image, path], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def shares_blocks(path):
    """FIEMAP: the first extent is shared with another file."""
    room = bytearray(struct.pack("=QQLLLL", 0, 1 << 62, 1, 0, 1, 0) + bytes(56))  # FLAG_SYNC, one extent
    with open(path, "rb") as f:
        fcntl.ioctl(f, 0xC020660B, room)
    return struct.unpack_from("=L", room, 20)[0] == 1 and struct.unpack_from("=L", room, 32 + 40)[0] & 0x2000 != 0


def test_clones(clone_disk):
    """create and cp share the blocks of files on the same disk; who then writes into one does not change the other."""
    folder, source = clone_disk + "/models", clone_disk + "/m.gguf"
    with open(source, "wb") as f:
        f.write(GGUF)
    with open(clone_disk + "/Modelfile", "w") as f:
        f.write("FROM ./m.gguf\n")
    blob = blob_path(folder, digest_of(GGUF))
    s = Server(binary(), {"OLLAMA_MODELS": folder})
    try:
        cli(folder, "create", "cloned", "-f", clone_disk + "/Modelfile", OLLAMA_HOST=s.netloc)
        assert shares_blocks(blob) and shares_blocks(source)
        with open(source, "r+b") as f:
            f.write(b"no GGUF any more")
        with open(blob, "rb") as f:
            assert f.read() == GGUF
        cli(folder, "create", "uploaded", "-f", clone_disk + "/Modelfile", "--copy", check=False, OLLAMA_HOST=s.netloc)
        assert fsck(folder)["damaged"] == 0
    finally:
        assert s.stop() == 0
    second = clone_disk + "/second"  # from a further store on that disk
    s = Server(binary(), {"OLLAMA_MODELS": second, "CRIA_MORE_MODELS": folder})
    try:
        assert request(s, "POST", "/api/copy", {"source": "cloned", "destination": "mine"}) == []
        assert shares_blocks(blob_path(second, digest_of(GGUF)))
        assert fsck(second)["damaged"] == 0
    finally:
        assert s.stop() == 0


@pytest.mark.skipif(not os.path.exists(LIBRARY), reason="no libfault.so beside the binary")
@pytest.mark.skipif(SANITIZED, reason="two libraries that want to be loaded first")
def test_clones_on_a_disk_that_pretends(folder, server, tmp_path):
    """The same way through the program where no disk can do it: a preloaded ioctl that copies (fault.c)."""
    source, blob = tmp_path / "m.gguf", blob_path(folder, digest_of(GGUF))
    source.write_bytes(GGUF)
    (tmp_path / "Modelfile").write_text("FROM ./m.gguf\n")
    control = tmp_path / "control"
    control.write_bytes(bytes(32 + 65536))
    env = {"OLLAMA_HOST": server.netloc, "LD_PRELOAD": LIBRARY, "FAULT_ROOT": folder, "FAULT_CONTROL": str(control)}
    for pretends, uploads in [({}, 1), ({"FAULT_CLONES": "1"}, 0)]:
        request(server, "DELETE", "/api/delete", {"model": "cloned"})
        before = server.log_tail(100_000).count("POST /api/blobs/")
        cli(folder, "create", "cloned", "-f", str(tmp_path / "Modelfile"), **env, **pretends)
        assert server.log_tail(100_000).count("POST /api/blobs/") - before == uploads
        assert os.stat(blob).st_size == len(GGUF) and os.stat(blob).st_nlink == 1
    assert len(snapshot(folder)) == 1 and fsck(folder)["damaged"] == 0


def test_aliases(folder, server):
    create(server, "target")
    cli(folder, "alias", "short", "target")
    cli(folder, "alias", "shorter", "short")
    show = request(server, "POST", "/api/show", {"model": "shorter"})
    assert show[-1]["details"]["family"]
    body = {"model": "SHORT", "prompt": "x", "stream": False, "options": {"num_predict": 2}}
    assert "response" in request(server, "POST", "/api/generate", body)[-1]
    assert request(server, "POST", "/api/copy", {"source": "short", "destination": "copied"}) == []
    assert request(server, "POST", "/api/create", {"model": "child", "from": "short"})[-1] == {"status": "success"}
    assert json.loads(cli(folder, "alias", "--json").stdout)["aliases"] == [
        {"alias": "short:latest", "target": "target:latest"}, {"alias": "shorter:latest", "target": "short:latest"}]
    run = cli(folder, "alias", "target", "shorter", check=False)
    assert run.returncode == 1 and b"stand for itself" in run.stderr
    assert "not found" in request(server, "DELETE", "/api/delete", {"model": "short"})[-1]["error"]  # not its target
    cli(folder, "alias", "--remove", "short")
    assert "model 'shorter:latest' not found" in request(server, "POST", "/api/show", {"model": "shorter"})[-1]["error"]
    assert cli(folder, "alias", "--remove", "short", check=False).returncode == 1
    assert len(snapshot(folder)) == 3 and fsck(folder)["damaged"] == 0


def test_models_of_further_stores(folder, server, tmp_path):
    create(server, "one")
    create(server, "two", "another")
    before = snapshot(folder)
    own = str(tmp_path / "own")
    s = Server(binary(), {"OLLAMA_MODELS": own, "CRIA_MORE_MODELS": f"/no/such, {folder}/"})
    try:
        names = lambda: sorted(m["name"] for m in request(s, "GET", "/api/tags", "")[-1]["models"])
        assert names() == ["one:latest", "two:latest"]
        body = {"model": "one", "prompt": "x", "stream": False, "options": {"num_predict": 2}}
        assert "response" in request(s, "POST", "/api/generate", body)[-1]
        assert request(s, "POST", "/api/show", {"model": "ONE"})[-1]["details"]["family"]
        assert "which is only read" in request(s, "DELETE", "/api/delete", {"model": "one"})[-1]["error"]
        assert snapshot(own) == {} and not os.listdir(own + "/blobs")
        assert request(s, "POST", "/api/copy", {"source": "one", "destination": "mine"}) == []
        assert request(s, "POST", "/api/create", {"model": "child", "from": "two", "system": "new"})[-1] == {"status": "success"}
        create(s, "one", "hides that one")
        assert names() == ["child:latest", "mine:latest", "one:latest", "two:latest"]
        assert request(s, "POST", "/api/show", {"model": "one"})[-1]["system"] == "hides that one"
        assert request(s, "DELETE", "/api/delete", {"model": "one"}) == []
        assert request(s, "POST", "/api/show", {"model": "one"})[-1]["system"] == "Be brief."
        here = snapshot(own)
        default = "registry.ollama.ai/library/"
        assert here[default + "mine/latest"] == before[default + "one/latest"]
    finally:
        assert s.stop() == 0
    assert snapshot(folder) == before and fsck(folder)["damaged"] == 0
