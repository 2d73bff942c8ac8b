"""Who may use a server: binds, hosts, origins, forged requests, API keys (spec/security.md 2)."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import binary
from test_behaviours import packed
from transport import Server, free_port


def call(netloc, method, path, body=None, headers=None):
    host, port = netloc.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=60)
    c.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for k, v in (headers or {}).items():
        c.putheader(k, v)
    if body is not None:
        c.putheader("Content-Length", str(len(body)))
    c.endheaders()
    if body is not None:
        c.send(body)
    r = c.getresponse()
    data = r.read().decode()
    c.close()
    return r, data


def cria(env, *args, status=0):
    r = subprocess.run([binary(), *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert r.returncode == status, r.stderr
    return r.stdout if status == 0 else r.stderr


def listening(pid):
    """The (address, port) pairs of /proc/net/tcp that the process listens on."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    out = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}") as f:
            for line in f.readlines()[1:]:
                field = line.split()
                if field[3] == "0A" and field[9] in inodes:
                    address, port = field[1].split(":")
                    out.add((address, int(port, 16)))
    return out


LOOPBACK, ANY, ANY6 = "0100007F", "00000000", "0" * 32


# ---- binds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host,address", [("127.0.0.1:{}", LOOPBACK), ("localhost:{}", LOOPBACK), (":{}", ANY),
                                          ("0.0.0.0:{}", ANY), ("http://127.0.0.1:{}/x", LOOPBACK), ("[::]:{}", ANY6)])
def test_sec_S_NET_1_binds(host, address):
    port = free_port()
    if address == ANY6 and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    s = Server(binary(), {"OLLAMA_HOST": host.format(port)}, netloc=f"127.0.0.1:{port}")
    try:
        own = listening(s.process.pid)
        assert {a for a, p in own if p == port} == {address}
        assert {a for a, p in own if p != port} <= {LOOPBACK}  # behind the relay (docs/http.md)
        warned = "there is no API key" in s.log_tail(10000)
        assert warned == (address != LOOPBACK)
        system = json.loads(call(s.netloc, "GET", "/api/system")[1])
        assert ("warning" in system) == (address != LOOPBACK) and system["api_keys"] is False
    finally:
        assert s.stop() == 0


# ---- hosts and origins ---------------------------------------------------------------------------------

ROUTES = [("GET", "/"), ("GET", "/api/tags"), ("POST", "/api/generate"), ("DELETE", "/api/delete"), ("GET", "/nowhere"),
          ("PUT", "/api/chat"), ("GET", "/metrics"), ("POST", "/v1/chat/completions"), ("OPTIONS", "/api/chat")]


@pytest.fixture(scope="module")
def public():
    port = free_port()
    s = Server(binary(), {"OLLAMA_HOST": f"0.0.0.0:{port}", "CRIA_ALLOWED_HOSTS": "box.example"}, builtin=True,
               netloc=f"127.0.0.1:{port}")
    yield s
    assert s.stop() == 0


@pytest.mark.parametrize("which", ["loopback", "public"])
def test_sec_CVE_2024_28224_rebinding(which, server, public):
    netloc = (server if which == "loopback" else public).netloc
    for method, path in ROUTES:
        for host in ("evil.example", "evil.example:11434", "127.0.0.1.evil.example", "8.8.8.8"):
            r, text = call(netloc, method, path, headers={"Host": host})
            assert (r.status, text) == (403, ""), (method, path, host)
    own = [netloc, "localhost:1"] + (["box.example"] if which == "public" else ["", "printer.local", "10.0.0.1"])
    for host in own:
        assert call(netloc, "GET", "/api/version", headers={"Host": host})[0].status == 200, host


def test_sec_S_NET_3_origins(server):
    body, json_type = b'{"model":"none"}', {"Content-Type": "application/json"}
    for origin, ok in (("http://localhost:3000", True), ("https://127.0.0.1", True), ("app://x", True),
                       ("http://evil.example", False), ("null", False), ("chrome-extension://a", False)):
        for method, path in ROUTES:
            r, text = call(server.netloc, method, path, body if method == "POST" else None,
                           {"Origin": origin, **json_type})
            if ok:
                assert r.status != 403 and r.getheader("Access-Control-Allow-Origin") == origin
            else:
                assert (r.status, text) == (403, "") and r.getheader("Access-Control-Allow-Origin") is None
            assert r.getheader("Access-Control-Allow-Credentials") is None
    # before the body is read: none is ever sent
    r, _ = call(server.netloc, "POST", "/api/generate", None, {"Origin": "http://evil.example", "Content-Length": "100"})
    assert r.status == 403


def test_sec_S_NET_4_forged_requests(server):
    body = b'{"model":"none"}'
    form, page = "application/x-www-form-urlencoded", "http://localhost:3000"
    for headers, status in (({"Content-Type": form}, 404), ({}, 404), ({"Content-Type": form, "Origin": page}, 403),
                            ({"Content-Type": "text/plain", "Origin": page}, 403), ({"Origin": page}, 403),
                            ({"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}, 403),
                            ({"Content-Type": "application/json", "Origin": page}, 404)):
        assert call(server.netloc, "POST", "/api/generate", body, headers)[0].status == status, headers


# ---- keys ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked():
    s = Server(binary(), builtin=True)
    yield s
    assert s.stop() == 0


@pytest.fixture(scope="module")
def keys(locked):
    out = {name: cria(locked.env, "key", "add", name, "--scope", name).strip() for name in ("infer", "manage", "metrics", "admin")}
    out["tiny-only"] = cria(locked.env, "key", "add", "tiny-only", "--model", "nothing").strip()
    out["slow"] = cria(locked.env, "key", "add", "slow", "--requests", "2").strip()
    end = time.time() + 30  # the server looks at the file once a second
    while call(locked.netloc, "GET", "/api/tags")[0].status == 200 and time.time() < end:
        time.sleep(0.1)
    return out


def bearer(key):
    return {"Authorization": "Bearer " + key}


def test_sec_S_NET_5_keys(locked, keys):
    for path, kind in (("/api/tags", "error"), ("/v1/models", "message"), ("/api/ps", "error")):
        bodies = set()
        for headers in ({}, bearer("ollama"), bearer("cria_" + "0" * 64), {"x-api-key": "x" * 5000}, bearer("")):
            r, text = call(locked.netloc, "GET", path, headers=headers)
            assert r.status == 401 and r.getheader("WWW-Authenticate") == "Bearer" and kind in text
            bodies.add(text)
        assert len(bodies) == 1
        for name in ("infer", "admin"):
            assert call(locked.netloc, "GET", path, headers=bearer(keys[name]))[0].status == 200
            assert call(locked.netloc, "GET", path, headers={"x-api-key": keys[name]})[0].status == 200
        assert call(locked.netloc, "GET", path, headers=bearer(keys["manage"]))[0].status == 403
    for path in ("/", "/api/version", "/health"):
        assert call(locked.netloc, "GET", path)[0].status == 200


def test_sec_CVE_2025_63389_management_needs_its_scope(locked, keys):
    for method, path in (("POST", "/api/create"), ("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/copy"),
                         ("DELETE", "/api/delete"), ("POST", "/api/blobs/sha256:" + "0" * 64), ("DELETE", "/api/requests/x")):
        for name, status in ((None, 401), ("infer", 403), ("metrics", 403)):
            headers = bearer(keys[name]) if name else {}
            assert call(locked.netloc, method, path, b"{}", headers)[0].status == status, path
        for name in ("manage", "admin"):
            assert call(locked.netloc, method, path, b"{}", bearer(keys[name]))[0].status in (400, 404), path


def test_keys_of_models_and_limits(locked, keys):
    ask = json.dumps({"model": "cria-tiny", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}).encode()
    assert call(locked.netloc, "POST", "/api/generate", ask, bearer(keys["infer"]))[0].status == 200
    for path, body in (("/api/generate", ask), ("/api/embed", b'{"model":"cria-tiny","input":"x"}'),
                       ("/api/tokenize", b'{"model":"cria-tiny","content":"x"}')):
        r, text = call(locked.netloc, "POST", path, body, bearer(keys["tiny-only"]))
        assert r.status == 403 and "may not use model" in text, path
    assert [call(locked.netloc, "GET", "/api/tags", headers=bearer(keys["slow"]))[0].status for _ in range(3)] == [200, 200, 429]


def test_preflight_needs_no_key(locked, keys):
    r, _ = call(locked.netloc, "OPTIONS", "/api/chat", headers={"Origin": "http://localhost:3000"})
    assert r.status == 204


def test_the_command_line_shows_its_key(locked, keys):
    assert "a valid API key is needed" in cria(locked.env, "list", status=1)
    for name in ("OLLAMA_API_KEY", "CRIA_API_KEY"):
        assert "cria-tiny" in cria({**locked.env, name: keys["infer"]}, "list")


def test_sec_S_NET_14_from_this_machine(locked, keys):
    for path in ("/metrics", "/api/system", "/api/requests"):
        assert call(locked.netloc, "GET", path)[0].status == 200


def test_sec_S_LC_7_no_key_in_log_or_file(locked, keys):
    for key in keys.values():
        call(locked.netloc, "GET", "/api/tags", headers=bearer(key))
    log = locked.log_tail(10_000_000)
    with open(locked.tmp + "/.config/cria/keys.json") as f:
        stored = f.read()
    for key in keys.values():
        assert key[5:] not in log and key[5:] not in stored


def in_memory(pid, needle):
    """Whether it is in memory that the process may write; what is larger than 1 GiB is a sanitizer's."""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        with open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                span, mode = line.split()[:2]
                at, end = (int(x, 16) for x in span.split("-"))
                if "w" not in mode or end - at > 1 << 30:
                    continue
                try:
                    if needle in os.pread(fd, end - at, at):
                        return True
                except OSError:  # unmapped meanwhile
                    pass
        return False
    finally:
        os.close(fd)


def readable(server):
    """Its pid; tests that look into its memory are skipped where that is forbidden."""
    try:
        in_memory(server.process.pid, b"x")
    except PermissionError:
        pytest.skip("the memory of other processes cannot be read here")
    return server.process.pid


def test_sec_S_LC_8_keys_are_wiped(locked, keys):
    """Whatever becomes of a request whose head has been read, its key is not in the server's memory afterwards."""
    pid = readable(locked)
    unknown = ["cria_" + f"{i:02x}" * 32 for i in range(0xA0, 0xA4)]
    chunk = b"5\r\nhello\r\n" * 9000 + b"0\r\n\r\n"
    line = "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n"
    sent = [(f"{line}Authorization: Bearer {keys['infer']}\r\n\r\n".encode(), 1),
            (f"{line}x-api-key: {unknown[0]}\r\n\r\n".encode(), 1),
            (f"POST /api/show HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {keys['manage']}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk, 1),
            (f"{line}Authorization: Bearer {unknown[1]}\r\nA: {'a' * 15000}\r\nB: {'a' * 15000}\r\n\r\n".encode(), 1),
            (f"{line}Authorization: Bearer {unknown[2]}\r\n folded\r\n\r\n".encode(), 1),
            (f"{line}Authorization: Bearer {unknown[3]}\r\nA: {'a' * 20000}\r\n\r\n".encode(), 1)]
    held = []
    for data, n in sent:
        host, port = locked.netloc.rsplit(":", 1)
        c = socket.create_connection((host, int(port)), 20)
        c.sendall(data)
        got = b""
        while got.count(b"HTTP/1.1 ") < n:
            got += c.recv(65536)
        held.append(c)
    end = time.time() + 30
    for key in [keys["infer"], keys["manage"], *unknown]:
        while in_memory(pid, key[8:].encode()):
            assert time.time() < end, key
            time.sleep(0.05)
    for c in held:
        c.close()


def test_sec_S_LC_8_prompts_of_another_key(locked, keys):
    """What was asked with one key is in no memory that a request with another one gets, and in no cache that it meets."""
    pid = readable(locked)
    canary = "canary" + "".join(f"{i:03d}" for i in range(0, 900, 7))

    def ask(key, path, text, wait=False):
        body = {"model": "cria-tiny", "stream": False, "options": {"num_predict": 4, "seed": 1}, "max_tokens": 4}
        body.update({"prompt": text} if "generate" in path else {"input": text} if "embed" in path else {"messages": [{"role": "user", "content": text}]})
        body = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n"
        end = "Expect: 100-continue\r\n\r\n" if wait else "\r\n"
        if c.send((head + end).encode() + (b"" if wait else body)) and wait:
            assert b" 100 " in c.recv(1000)
            c.sendall(body)
        got = b""
        while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < int(re.search(rb"Content-Length: (\d+)", got)[1]):
            more = c.recv(65536)
            assert more, got
            got += more
        assert got.startswith(b"HTTP/1.1 200 OK"), got
        return json.loads(got.split(b"\r\n\r\n", 1)[1])

    def cached():
        return int(call(locked.netloc, "GET", "/metrics")[1].split("\ncria:prefix_cache_hits_total ")[1].split()[0])

    host, port = locked.netloc.rsplit(":", 1)
    c = socket.create_connection((host, int(port)), 60)
    for path in ("/api/generate", "/api/chat", "/v1/chat/completions", "/api/embed"):
        ask(keys["infer"], path, canary)
        ask(keys["infer"], path, canary, wait=True)
    before = cached()
    other = ask(keys["admin"], "/api/chat", canary)
    assert cached() == before
    assert other["message"] == ask(keys["infer"], "/api/chat", canary)["message"] and cached() > before
    ask(keys["admin"], "/api/generate", "What another key asks.")  # shorter: it covers nothing
    end = time.time() + 30
    while in_memory(pid, canary[:40].encode()):
        assert time.time() < end
        time.sleep(0.05)
    c.close()


@pytest.mark.parametrize("n", [1, 2000, 60000, 100000, 130000])
def test_sec_S_LC_8_what_is_wiped_is_a_body(locked, keys, n):
    """White space in front of a request moves it in the library's buffer; a body may end behind it, or another request follow."""
    host, port = locked.netloc.rsplit(":", 1)
    for size in (1, 500, 40000, 200000):
        body = json.dumps({"model": "cria-tiny", "content": "x" * size}).encode()
        one = f"POST /api/tokenize HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {keys['infer']}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        last = f"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        c = socket.create_connection((host, int(port)), 20)
        got = b""
        try:
            c.sendall(b" " * n + one + one + last)
            while more := c.recv(65536):
                got += more
        except OSError:  # too much of it: refused while it is sent
            pass
        c.close()
        assert n > 100000 or (got.count(b"HTTP/1.1 200 OK") == 3 and b"version" in got), (size, got[:300])
    assert call(locked.netloc, "GET", "/api/version")[0].status == 200


def test_sec_S_LC_7_nothing_private_at_any_level(tmp_path):
    """Prompts, answers, values of headers and paths, at the level `debug`; control bytes cannot make lines."""
    s = Server(binary(), {"CRIA_LOG": "debug"}, builtin=True)
    try:
        canary = "canary-5f2c"
        headers = {"Authorization": "Bearer " + canary, "X-Test": canary, "Cookie": canary, "User-Agent": canary, "Origin": "http://" + canary}
        body = json.dumps({"model": "cria-tiny", "prompt": canary, "system": canary, "options": {"num_predict": 3}}).encode()
        for path in ("/api/generate", "/v1/chat/completions", f"/{canary}", f"/api/{canary}%0atime=x"):
            call(s.netloc, "POST", path, body, {k: v for k, v in headers.items() if k != "Origin"})
            call(s.netloc, "POST", path, body, headers)
            call(s.netloc, "GET", path, None, {**headers, "X-Request-Id": "a b " + canary})
            call(s.netloc, "POST", path, b'{"model": "' + canary.encode() + b'", "prompt": }')
        log = s.log_tail(10_000_000)
        assert "level=DEBUG" in log or "level=INFO" in log
        assert canary not in log and all(line.startswith("time=2") for line in log.splitlines())
    finally:
        assert s.stop() == 0


def test_requests_are_written_if_asked_for(tmp_path):
    """OLLAMA_DEBUG_LOG_REQUESTS: bodies as the handler sees them, and scripts that send them again; nothing of the headers."""
    s = Server(binary(), {"OLLAMA_DEBUG_LOG_REQUESTS": "1", "TMPDIR": str(tmp_path)}, builtin=True)
    try:
        canary = "canary-5f2c"
        body = json.dumps({"model": "cria-tiny", "prompt": "naïve é", "stream": False, "options": {"num_predict": 3, "seed": 1}}).encode()
        headers = {"Authorization": "Bearer " + canary, "x-api-key": canary, "Cookie": canary}
        answer = call(s.netloc, "POST", "/api/generate", body, headers)[1]
        call(s.netloc, "POST", "/v1/chat/completions", b'{"model": broken', headers)
        call(s.netloc, "POST", "/api/pull", b'{"model": "127.0.0.1:1/a/b", "password": "canary-5f2c", "stream": false}', headers)
        call(s.netloc, "GET", "/api/tags", None, headers)
        call(s.netloc, "POST", "/v1/responses", packed({"input": "packed"}), {**headers, "Content-Encoding": "zstd"})
        folder, = tmp_path.iterdir()
        names = sorted(p.name for p in folder.iterdir())
        assert names == ["00000001_api_generate.json", "00000001_api_generate.sh", "00000002_v1_chat_completions.json",
                         "00000002_v1_chat_completions.sh", "00000003_v1_responses.json", "00000003_v1_responses.sh"]
        assert json.loads((folder / names[4]).read_bytes()) == {"input": "packed"}
        assert folder.stat().st_mode & 0o777 == 0o700 and all(p.stat().st_mode & 0o777 == 0o600 for p in folder.iterdir())
        assert (folder / names[0]).read_bytes() == body and (folder / names[2]).read_bytes() == b'{"model": broken'
        assert not any(canary.encode() in p.read_bytes() for p in folder.iterdir())
        assert str(folder) in s.log_tail(100000) and canary not in s.log_tail(100000)
        if shutil.which("curl"):
            again = subprocess.run(["sh", str(folder / names[1])], capture_output=True, text=True, check=True, timeout=60).stdout
            assert json.loads(again)["response"] == json.loads(answer)["response"]
    finally:
        assert s.stop() == 0


def test_requests_are_not_written_otherwise(tmp_path):
    s = Server(binary(), {"TMPDIR": str(tmp_path)}, builtin=True)
    try:
        call(s.netloc, "POST", "/api/generate", b'{"model": "cria-tiny", "prompt": "a", "options": {"num_predict": 3}}')
        assert list(tmp_path.iterdir()) == []
    finally:
        assert s.stop() == 0


def test_sec_S_LC_7_a_log_that_cannot_be_written(tmp_path):
    """The service goes on with a full disk behind its log."""
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(tmp_path / "models")}
    with open("/dev/full", "w") as full:
        server = subprocess.Popen([binary(), "serve"], env=env, stdout=full, stderr=full, stdin=subprocess.DEVNULL)
    try:
        end = time.time() + 30
        while True:
            try:
                assert call(f"127.0.0.1:{port}", "GET", "/api/tags")[0].status == 200
                break
            except OSError:
                assert time.time() < end and server.poll() is None
                time.sleep(0.05)
        body = json.dumps({"model": "cria-tiny", "prompt": "a", "options": {"num_predict": 3}}).encode()
        assert '"done":true' in call(f"127.0.0.1:{port}", "POST", "/api/generate", body)[1]
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_sec_S_LC_9_no_core_dumps(locked, keys, server):
    def limit(s):
        with open(f"/proc/{s.process.pid}/limits") as f:
            return next(line.split()[4] for line in f if line.startswith("Max core"))

    assert limit(locked) == "0"
    assert open(f"/proc/{locked.process.pid}/status").read()  # it runs
    assert os.stat(f"/proc/{locked.process.pid}/fd").st_uid == 0  # not dumpable


def test_key_list_and_rm(locked, keys):
    rows = cria(locked.env, "key", "list").splitlines()
    assert rows[0].split() == ["ID", "NAME", "SCOPES", "MODELS", "CREATED", "EXPIRES"] and len(rows) == 1 + len(keys)
    assert "not found" in cria(locked.env, "key", "rm", "nobody", status=1)
    assert "there is no scope" in cria(locked.env, "key", "add", "x", "--scope", "root", status=1)
    gone = cria(locked.env, "key", "add", "gone").strip()
    locked.process.send_signal(signal.SIGHUP)  # else within a second, as below
    end = time.time() + 30
    while call(locked.netloc, "GET", "/api/tags", headers=bearer(gone))[0].status != 200:
        assert time.time() < end
        time.sleep(0.02)
    cria(locked.env, "key", "rm", "gone")
    end = time.time() + 30
    while call(locked.netloc, "GET", "/api/tags", headers=bearer(gone))[0].status != 401:
        assert time.time() < end
        time.sleep(0.1)
