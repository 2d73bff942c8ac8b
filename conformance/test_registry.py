"""Pull and push: against Debian's docker-registry and against a registry that misbehaves. Each server has
a store of its own. sec_* names: spec/known-weaknesses.md; S_* names: spec/security.md."""
import concurrent.futures
import gzip
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import time

import pytest

import registry as well_behaved
from conftest import binary
from hostile_registry import HostileRegistry, digest_of
from transport import Server, free_port

MEGA = 1 << 20


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


@pytest.fixture(scope="module")
def server():
    s = Server(binary(), {"CRIA_STALL_TIMEOUT": "2"})
    yield s
    log = s.log_tail(4000)
    assert s.stop() == 0, log


@pytest.fixture
def registry():
    r = HostileRegistry()
    yield r
    r.close()


def open_call(server, path, body, timeout=120):
    c = http.client.HTTPConnection(server.netloc, timeout=timeout)
    c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    return c, c.getresponse()


def call(server, path, **body):
    c, r = open_call(server, path, body)
    items = [json.loads(line) for line in r.read().splitlines()]
    c.close()
    return items


def pull(server, registry, name="ns/model", **more):
    return call(server, "/api/pull", model=f"{registry.address}/{name}", insecure=True, **more)


def error_of(items):
    return items[-1].get("error", "")


def blobs(server):
    return sorted(os.listdir(server.env["OLLAMA_MODELS"] + "/blobs"))


def stored(server, digest):
    with open(server.env["OLLAMA_MODELS"] + "/blobs/" + digest.replace(":", "-"), "rb") as f:
        return f.read()


def names(server):
    c = http.client.HTTPConnection(server.netloc, timeout=30)
    c.request("GET", "/api/tags")
    return [m["name"] for m in json.loads(c.getresponse().read())["models"]]


# ---- what goes well in the end -------------------------------------------------------------------------


def test_small_and_empty_layers(server, registry):
    digests = registry.add("ns/model:latest", [b"", b"x", noise(3 * MEGA)])
    items = pull(server, registry)
    assert items[-1] == {"status": "success"}
    assert [stored(server, d) for d in digests] == [b"", b"x", noise(3 * MEGA)]
    assert any(i.get("completed") == i.get("total") == 3 * MEGA for i in items)


def test_one_digest_twice_is_loaded_once(server, registry):
    d, _ = registry.add("ns/model:latest", [noise(1000, 2)] * 2)
    assert pull(server, registry)[-1] == {"status": "success"}
    assert registry.count("GET", d) == 1


def test_bytes_that_arrive_count_as_a_good_try(server, registry):
    """A connection that is cut every 300 kB needs more than six tries for 4 MB."""
    d, = registry.add("ns/model:latest", [noise(4 * MEGA, 3)])
    registry.behave(d, cut=300_000)
    assert pull(server, registry)[-1] == {"status": "success"}
    assert registry.count("GET", d) > 6 and stored(server, d) == noise(4 * MEGA, 3)


def test_a_storm_of_500s(server, registry):
    d, = registry.add("ns/model:latest", [noise(5000, 4)])
    registry.behave(d, fail=7)
    assert pull(server, registry)[-1] == {"status": "success"}


def test_a_stalled_part_begins_again(server, registry):
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 5)])
    registry.behave(d, stall=15)
    begun = time.time()
    assert pull(server, registry)[-1] == {"status": "success"}
    assert registry.count("GET", d) == 2 and time.time() - begun < 60
    ranges = [a.headers.get("Range") for a in registry.asked if a.method == "GET" and d in a.path]
    assert ranges[1].startswith("bytes=10")  # goes on in the middle


def test_a_registry_without_ranges(server, registry):
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 6)])
    registry.behave(d, cut=MEGA, ranges=False)
    items = pull(server, registry)
    assert "wrong range" in error_of(items) or "max retries" in error_of(items)
    registry.behave(d, ranges=False)
    assert pull(server, registry)[-1] == {"status": "success"}
    assert stored(server, d) == noise(2 * MEGA, 6)


def test_two_pulls_share_one_download(server, registry):
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 7)])
    registry.behave(d, slow=0.03)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: pull(server, registry), range(2)))
    assert [i[-1] for i in both] == [{"status": "success"}] * 2
    assert registry.count("GET", d) == 1


def test_cancel_and_go_on(server, registry):
    d, = registry.add("ns/model:latest", [noise(8 * MEGA, 8)])
    registry.behave(d, slow=0.02)
    c, r = open_call(server, "/api/pull",
                     {"model": f"{registry.address}/ns/model", "insecure": True})
    while json.loads(r.readline()).get("completed", 0) < MEGA:
        pass
    r.close()
    c.close()
    part = d.replace(":", "-") + "-partial-0"
    end = time.time() + 20
    while part not in blobs(server) and time.time() < end:
        time.sleep(0.05)
    with open(server.env["OLLAMA_MODELS"] + "/blobs/" + part) as f:
        done = json.load(f)
    assert done["N"] == 0 and done["Offset"] == 0 and done["Size"] == 8 * MEGA and done["Completed"] >= MEGA
    registry.behave(d)
    registry.asked.clear()
    assert pull(server, registry)[-1] == {"status": "success"}
    ranges = [a.headers.get("Range") for a in registry.asked if a.method == "GET" and d in a.path]
    assert f"bytes={done['Completed']}-{8 * MEGA - 1}" in ranges
    assert stored(server, d) == noise(8 * MEGA, 8)
    assert not [b for b in blobs(server) if "partial" in b]


def test_kill_and_go_on(registry):
    """kill -9 in the middle: what the journal counts is on the disk, nothing else is listed."""
    s = Server(binary(), {})
    blob = noise(100 * MEGA, 9)
    d, = registry.add("ns/model:latest", [blob])
    registry.behave(d, slow=0.003)  # slow enough for the journal to count what is there
    try:
        c, r = open_call(s, "/api/pull", {"model": f"{registry.address}/ns/model", "insecure": True})
        while json.loads(r.readline()).get("completed", 0) < 70 * MEGA:
            pass
        s.process.kill()
        s.process.wait()
        c.close()
        s.start()
        assert names(s) == []
        registry.behave(d)
        registry.asked.clear()
        assert pull(s, registry)[-1] == {"status": "success"}
        assert stored(s, d) == blob
        sent = [a.headers.get("Range") or "" for a in registry.asked if a.method == "GET" and d in a.path]
        assert not any(x.startswith("bytes=0-") for x in sent), sent  # not from the start
    finally:
        s.stop()


def test_sec_S_ST_3_damaged_journal(server, registry):
    """Part files that claim what is not there: the hash finds it, that partial alone is discarded."""
    d, = registry.add("ns/model:latest", [noise(MEGA, 10)])
    base = server.env["OLLAMA_MODELS"] + "/blobs/" + d.replace(":", "-")
    with open(base + "-partial", "wb") as f:
        f.truncate(MEGA)
    with open(base + "-partial-0", "w") as f:
        f.write(json.dumps({"N": 0, "Offset": 0, "Size": MEGA, "Completed": MEGA // 2}))
    items = pull(server, registry)
    assert error_of(items).startswith(f"digest mismatch, file must be downloaded again: want {d}, got")
    assert pull(server, registry)[-1] == {"status": "success"}
    for bad in ["", "{", '{"N":0,"Offset":5,"Size":7,"Completed":1}', '{"N":0,"Offset":0,"Size":-1}',
                json.dumps({"N": 0, "Offset": 0, "Size": MEGA, "Completed": MEGA + 1})]:
        d, = registry.add("ns/model:latest", [noise(MEGA, 11 + len(bad))])
        base = server.env["OLLAMA_MODELS"] + "/blobs/" + d.replace(":", "-")
        with open(base + "-partial", "wb") as f:
            f.truncate(MEGA)
        with open(base + "-partial-0", "w") as f:
            f.write(bad)
        assert pull(server, registry)[-1] == {"status": "success"}, bad


def test_a_damaged_blob_in_the_store(server, registry):
    d, = registry.add("ns/model:latest", [noise(5000, 30)])
    assert pull(server, registry)[-1] == {"status": "success"}
    path = server.env["OLLAMA_MODELS"] + "/blobs/" + d.replace(":", "-")
    with open(path, "r+b") as f:
        f.write(b"damage")
    assert "is damaged" in error_of(pull(server, registry))
    with open(path, "ab") as f:
        f.write(b"more")
    assert "the stored blob has 5004" in error_of(pull(server, registry))
    os.unlink(path)
    assert pull(server, registry)[-1] == {"status": "success"}


def test_replacing_removes_what_is_unused(server, registry):
    old, = registry.add("ns/again:latest", [noise(3000, 31)])
    assert pull(server, registry, "ns/again")[-1] == {"status": "success"}
    registry.add("ns/again:latest", [noise(3000, 32)])
    items = pull(server, registry, "ns/again")
    assert {"status": "removing unused layers"} in items and items[-1] == {"status": "success"}
    assert old.replace(":", "-") not in blobs(server)


# ---- lies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule,text", [
    ({"lie": b"y" * 5000}, "digest mismatch, file must be downloaded again"),
    ({"says": 4999}, "the manifest says 5000 bytes, the registry has 4999"),
    ({"says": 1 << 50}, "the manifest says 5000 bytes"),
    ({"extra": 7}, "sends more than 5000 bytes"),
    ({"redirect": "file:///etc/passwd"}, "redirect to a bad address"),
    ({"redirect": "ftp://127.0.0.1/x"}, "redirect to a bad address"),
    ({"redirect": "gopher://127.0.0.1/x"}, "redirect to a bad address"),
])
def test_sec_S_NET_12_lies(server, registry, rule, text):
    d, = registry.add("ns/lies:latest", [noise(5000, 40)])
    registry.behave(d, **rule)
    assert text in error_of(pull(server, registry, "ns/lies"))
    assert not [b for b in blobs(server) if b == d.replace(":", "-")]
    assert not any("lies" in n for n in names(server))


def test_a_wrong_range(server, registry):
    d, = registry.add("ns/model:latest", [noise(2 * MEGA, 41)])
    registry.behave(d, cut=MEGA, shift=5)
    pull(server, registry)
    registry.behave(d)
    assert pull(server, registry)[-1] == {"status": "success"}
    assert stored(server, d) == noise(2 * MEGA, 41)


def test_sec_S_NET_12_redirect_loop(server, registry):
    d, = registry.add("ns/model:latest", [noise(5000, 42)])
    registry.behave(d, redirect=f"http://{registry.address}/v2/ns/model/blobs/{d}")
    assert "stopped after 5 redirects" in error_of(pull(server, registry))


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "10.255.255.1", "192.168.0.1", "[::ffff:10.0.0.1]",
                                  "[fe80::1]", "224.0.0.1"])
def test_sec_CVE_2026_5530(server, registry, host):
    """A redirect must not reach addresses that are not public, unless they are of the registry's class."""
    d, = registry.add("ns/model:latest", [noise(5000, 43)])
    registry.behave(d, redirect=f"http://{host}/secret")
    assert "not a public one" in error_of(pull(server, registry))


def test_sec_CVE_2025_51471(server):
    """The token of one registry is never asked of another host."""
    thief, r = HostileRegistry(), HostileRegistry(token="secret")
    r.add("ns/model:latest", [b"x"])
    r.realm = f"http://{thief.address}/token"
    text = error_of(pull(server, r))
    assert text == (f'pull model manifest: realm host "{thief.address}" does not match original host '
                    f'"{r.address}"')
    assert thief.asked == []


def test_token(server):
    r = HostileRegistry(token="tok123")
    d, = r.add("ns/model:latest", [noise(5000, 44)])
    assert pull(server, r)[-1] == {"status": "success"}
    token = [a for a in r.asked if a.path.startswith("/token")]
    assert token[0].path.split("?")[1].split("&")[1:3] == ["scope=repository%3Ans%2Fmodel%3Apull", "service=reg"]
    assert len(token[0].headers["Authorization"].split(":")) == 2
    assert os.stat(server.tmp + "/.ollama/id_ed25519").st_mode & 0o777 == 0o600
    r.token = ""
    r.manifests["ns/other:latest"] = r.manifests["ns/model:latest"]
    r.close()


def test_sec_S_NET_12_credentials_stay_with_the_registry(server):
    """Blobs that live at another host are asked for without the token."""
    other, r = HostileRegistry(), HostileRegistry(token="tok123")
    d, = r.add("ns/model:latest", [noise(5000, 45)])
    other.blobs[d] = noise(5000, 45)
    port = other.address.split(":")[1]
    r.behave(d, redirect=f"http://localhost:{port}/v2/x/y/blobs/{d}?sig=1")
    assert pull(server, r)[-1] == {"status": "success"}
    assert [a.path for a in other.asked] and all("Authorization" not in a.headers for a in other.asked)


@pytest.mark.parametrize("answer,text", [
    ((401, {}, b"no"), "unauthorized: access denied"),
    ((500, {}, b"broken"), "500: broken"),
    ((200, {}, b""), "pull model manifest: "),
    ((200, {}, b"null"), "pull model manifest: "),
    ((200, {}, b"[]"), "pull model manifest: "),
    ((200, {}, b"{}"), "it names nothing"),
    ((200, {}, b"{" * 100_000), "pull model manifest: "),
    ((200, {}, b'{"layers":' + b"[" * 100_000), "pull model manifest: "),
    ((200, {}, b"x" * (9 << 20)), "pull model manifest: "),
    ((200, {}, b'{"layers":[{"digest":"sha256:../../../../etc/passwd","size":1}]}'), "invalid digest format"),
    ((200, {}, b'{"layers":[{"digest":"sha256-' + b"g" * 64 + b'","size":1}]}'), "invalid digest format"),
    ((200, {"Content_Encoding": "gzip"}, gzip.compress(b"0" * (64 << 20))), "pull model manifest: "),
])
def test_sec_CVE_2025_1975(server, registry, answer, text):
    """Manifests of every bad sort (also CVE-2024-37032, CVE-2024-12886): an error, nothing stored."""
    registry.answers["/v2/ns/bad/manifests/latest"] = [answer]
    items = pull(server, registry, "ns/bad")
    assert text in error_of(items)
    assert server.alive() and not [n for n in names(server) if "bad" in n]


def test_layer_that_is_missing(server, registry):
    d, = registry.add("ns/model:latest", [noise(100, 50)])
    del registry.blobs[d]
    assert error_of(pull(server, registry)) == "file does not exist"


def test_sec_S_NET_12_http_needs_insecure(server, registry):
    registry.add("ns/model:latest", [b"x"])
    items = call(server, "/api/pull", model=f"{registry.address}/ns/model")
    assert error_of(items).startswith("pull model manifest: ") and registry.asked == []


def test_sec_ollama_16236(registry):
    """Pull from any host by anyone: the list of allowed registries (S-NET-12)."""
    s = Server(binary(), {"CRIA_REGISTRIES": "registry.ollama.ai,hf.co"})
    try:
        registry.add("ns/model:latest", [b"x"])
        assert "not among those of CRIA_REGISTRIES" in error_of(pull(s, registry)) and registry.asked == []
    finally:
        s.stop()


def test_sec_CVE_2024_12886(server, registry):
    """gzip bombs: nothing is decompressed, whatever an answer says of itself; memory stays bounded."""
    bomb = gzip.compress(b"0" * (96 << 20))
    rss = lambda: int(open(f"/proc/{server.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
    before = rss()
    d, = registry.add("ns/bomb:latest", [noise(5000, 60)])
    coded = {"Content_Encoding": "gzip"}
    registry.answers["/v2/ns/bomb/manifests/latest"] = [(200, coded, bomb)]
    assert error_of(pull(server, registry, "ns/bomb")).startswith("pull model manifest: ")
    registry.answers[f"/v2/ns/bomb/blobs/{d}"] = [(200, {}, b""), (200, coded, bomb)]
    assert error_of(pull(server, registry, "ns/bomb")) != ""
    r = HostileRegistry(token="t")
    r.add("ns/bomb:latest", [b"x"])
    r.answers["/token"] = [(200, coded, bomb)]
    assert error_of(pull(server, r, "ns/bomb")) != ""
    r.close()
    assert rss() - before < 64 * MEGA and not any("bomb" in n for n in names(server))


def test_sec_CVE_2024_39722(server, registry):
    """Push tells of models, not of files: bad names are refused before anything is looked up."""
    store = server.env["OLLAMA_MODELS"]
    os.makedirs(store + "/manifests/h/n/m", exist_ok=True)
    texts = set()
    for name in ["../../../../etc/passwd", "../../../../etc/no-such-file", "a/../../b", "/etc/passwd", "h/n/m/../t",
                 "ns/..:latest", "-x", "ns/a b"]:
        items = call(server, "/api/push", model=name, insecure=True)
        error = error_of(items)
        assert error.startswith("unqualified name: ") and "passwd" not in error.replace(name, "").replace("etc/passwd", "")
        texts.add(error.split(":")[0])
    assert texts == {"unqualified name"} and registry.asked == []
    shutil.rmtree(store + "/manifests/h")


def test_sec_CVE_2025_44779(server, registry, tmp_path):
    """Replacing or deleting a model whose manifest names files outside removes none of them."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    relative = os.path.relpath(victim, server.env["OLLAMA_MODELS"] + "/blobs")
    registry.add("ns/evil:latest", [b"x"])
    folder = f"{server.env['OLLAMA_MODELS']}/manifests/{registry.address}/ns/evil"
    for digest in [f"sha256:{relative}", f"sha256-{relative}", str(victim), "sha256:" + "0" * 63 + "/"]:
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/latest", "w") as f:
            json.dump({"schemaVersion": 2, "config": {"digest": digest, "size": 1},
                       "layers": [{"mediaType": "m", "digest": digest, "size": 8}]}, f)
        assert pull(server, registry, "ns/evil")[-1] == {"status": "success"}
        with open(folder + "/latest", "w") as f:
            json.dump({"schemaVersion": 2, "layers": [{"mediaType": "m", "digest": digest, "size": 8}]}, f)
        c = http.client.HTTPConnection(server.netloc, timeout=30)
        c.request("DELETE", "/api/delete", json.dumps({"model": f"{registry.address}/ns/evil"}))
        assert c.getresponse().status == 200
        assert victim.read_bytes() == b"precious"


# ---- docker-registry ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docker_registry(tmp_path_factory):
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    config = folder / "config.yml"
    config.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {folder}/data\n"
                      f"http:\n  addr: 127.0.0.1:{port}\n")
    process = subprocess.Popen([program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.time() + 30
    while time.time() < end:
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).request("GET", "/v2/")
            break
        except OSError:
            time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


def create(server, name, text):
    data = text.encode()
    c = http.client.HTTPConnection(server.netloc, timeout=60)
    path = os.path.join(os.path.dirname(__file__), "..", "golden", "api", "models", "chat-a.gguf")
    with open(path, "rb") as f:
        gguf = f.read()
    c.request("POST", "/api/blobs/" + digest_of(gguf), gguf)
    assert c.getresponse().read() is not None
    items = call(server, "/api/create", model=name, files={"m.gguf": digest_of(gguf)}, system=data.decode())
    assert items[-1] == {"status": "success"}


def test_push_and_pull_are_bit_identical(docker_registry):
    a, b = Server(binary(), {}), Server(binary(), {})
    try:
        name = f"{docker_registry}/lib/tiny"
        create(a, name, "Be brief.")
        items = call(a, "/api/push", model=name, insecure=True)
        assert items[-1] == {"status": "success"} and items[0] == {"status": "retrieving manifest"}
        assert call(a, "/api/push", model=name, insecure=True)[-1] == {"status": "success"}
        assert call(b, "/api/pull", model=name, insecure=True)[-1] == {"status": "success"}
        assert blobs(a) == blobs(b)
        for blob in blobs(a):
            assert stored(a, blob) == stored(b, blob)
        host = docker_registry
        read = lambda s: open(f"{s.env['OLLAMA_MODELS']}/manifests/{host}/lib/tiny/latest", "rb").read()
        assert read(a).rstrip(b"\n") == read(b).rstrip(b"\n")
        # The command line, too, and a base that is not stored yet.
        run = subprocess.run([binary(), "pull", "--insecure", name], env=b.env, capture_output=True, timeout=60)
        assert run.returncode == 0, run.stderr
        c = http.client.HTTPConnection(b.netloc, timeout=30)
        c.request("DELETE", "/api/delete", json.dumps({"model": name}))
        assert c.getresponse().status == 200 and blobs(b) == []
    finally:
        a.stop()
        b.stop()


# ---- the recorded exchange ----------------------------------------------------------------------------------


RECORDED = os.path.join(os.path.dirname(__file__), "..", "golden", "store", "registry_exchange.jsonl")
LAYERS = ["model", "template", "system", "license", "params", "messages"]  # of the recorded model


def recorded_push():
    """(method, path, headers) of the first push; digests by their order, volatile parts by name."""
    with open(RECORDED, encoding="utf-8") as f:
        rows = [r for r in map(json.loads, f) if r["exchange"].startswith("plain registry")]
    return [(r["request"].split()[0], r["request"].split()[1], r["request_headers"]) for r in rows if r["n"] <= 37], [
        int(r["request_headers"]["Content-Length"]) for r in rows if r["n"] <= 28 and r["request"].startswith("PATCH")]


def plain(path, order):
    for part in re.findall(r"sha256(?::|%3A)([0-9a-f]{64})", path):
        if part not in order:
            order.append(part)
        path = path.replace(part, f"D{order.index(part)}")
    path = re.sub(r"uploads/[^/?&]+", "uploads/UUID", path)
    return re.sub(r"etag=[0-9a-f]{32}-", "etag=MD5-", re.sub(r"_state=[^&]*", "_state=STATE", path))


def test_push_as_recorded(server):
    """Method, path, listed headers and order are those that were recorded, for layers of the same sizes; and
    the manifest has as many bytes."""
    if not os.path.exists(RECORDED):
        pytest.skip("no recorded exchange")
    wanted, sizes = recorded_push()
    asked = []

    class Logged(well_behaved.Handler):
        def route(self):
            asked.append((self.command, self.path, dict(self.headers)))
            super().route()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = route

        def reply(self, code, body=b"", **headers):
            if "Location" in headers and "uploads/" in headers["Location"]:
                headers["Location"] += "?_state=x"  # as docker-registry has it
            super().reply(code, body, **headers)

    r = well_behaved.Registry({}, ".")
    Logged.registry = r
    r.httpd.RequestHandlerClass = Logged
    store = server.env["OLLAMA_MODELS"]

    def put(kind, size, seed):
        data = noise(size, seed)
        with open(store + "/blobs/" + digest_of(data).replace(":", "-"), "wb") as f:
            f.write(data)
        return {"mediaType": kind, "digest": digest_of(data), "size": size}

    layers = [put("application/vnd.ollama.image." + kind, size, 70 + i)
              for i, (kind, size) in enumerate(zip(LAYERS, sizes))]
    config = put("application/vnd.docker.container.image.v1+json", sizes[-1], 80)
    os.makedirs(f"{store}/manifests/{r.address}/lib/tiny")
    with open(f"{store}/manifests/{r.address}/lib/tiny/latest", "w") as f:
        json.dump({"schemaVersion": 2, "mediaType": well_behaved.MANIFEST, "config": config, "layers": layers}, f)
    for _ in range(2):
        assert call(server, "/api/push", model=f"{r.address}/lib/tiny", insecure=True)[-1] == {"status": "success"}
    r.close()
    theirs, ours = [], []
    assert len(asked) == len(wanted)
    for (method, path, headers), (m, p, h) in zip(wanted, asked):
        assert (m, plain(p, ours)) == (method, plain(path, theirs))
        for key, value in headers.items():
            assert h.get(key) == value, (method, path, key, h.get(key), value)


# ---- mirrors -------------------------------------------------------------------------------------------


@pytest.fixture
def mirrored(registry):
    """(server, mirror): a mirror of `registry`, before which another one is named that is not there."""
    mirror = HostileRegistry()
    gone = free_port()
    s = Server(binary(), {"CRIA_MIRRORS": f"{registry.address}=http://127.0.0.1:{gone}/, other.example=http://x, "
                                          f"{registry.address}=http://{mirror.address}"})
    yield s, mirror
    log = s.log_tail(4000)
    mirror.close()
    assert s.stop() == 0, log


def test_a_mirror_is_asked_first(mirrored, registry):
    s, mirror = mirrored
    layers = [noise(MEGA), noise(5000, 2)]
    digests = mirror.add("ns/model:latest", layers)
    registry.add("ns/model:latest", layers)
    assert pull(s, registry)[-1] == {"status": "success"}
    assert registry.asked == [] and mirror.count("GET", "blobs") >= 3
    assert [stored(s, d) for d in digests] == layers
    assert names(s) == [registry.address + "/ns/model:latest"]  # known by its registry's name


def test_what_a_mirror_has_not_comes_from_the_registry(mirrored, registry):
    s, mirror = mirrored
    digests = registry.add("ns/model:latest", [noise(MEGA), noise(5000, 2)])
    assert pull(s, registry)[-1] == {"status": "success"}
    assert mirror.count("GET", "manifests") == 1
    registry.add("ns/half:latest", [noise(MEGA, 3), noise(7000, 4)])
    mirror.add("ns/half:latest", [noise(MEGA, 3), noise(7000, 4)])
    del mirror.blobs[digest_of(noise(7000, 4))]
    assert pull(s, registry, "ns/half")[-1] == {"status": "success"}
    assert registry.count("GET", digest_of(noise(MEGA, 3))) == 0  # the mirror's half is kept
    assert len(digests) == 2


def test_a_mirror_that_lies_is_passed_over(mirrored, registry):
    s, mirror = mirrored
    good = noise(MEGA)
    (digest,) = registry.add("ns/model:latest", [good])
    mirror.add("ns/model:latest", [good])
    mirror.blobs[digest] = noise(MEGA, 9)
    assert pull(s, registry)[-1] == {"status": "success"}
    assert stored(s, digest) == good


def test_a_mirror_gets_no_password(mirrored, registry):
    s, mirror = mirrored
    mirror.answers["/v2/ns/model/manifests/latest"] = [(401, {"WWW_Authenticate": 'Basic realm="x"'}, b"{}")]
    registry.add("ns/model:latest", [noise(100)])
    assert pull(s, registry, username="me", password="secret")[-1] == {"status": "success"}
    assert all("secret" not in str(a.headers) and "Basic" not in str(a.headers.get("Authorization")) for a in mirror.asked)
