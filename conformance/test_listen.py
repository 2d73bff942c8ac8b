"""Where and how a server listens: TLS, UNIX sockets, IPv6, limits and times of connections, its end
(spec/security.md S-NET-6 to S-NET-10, S-LC-1)."""
import fcntl
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from conftest import SANITIZED, SCRIPTED_FILE, binary
from load import rss
from test_access import call, cria
from transport import Server, free_port

openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program")


class Listening(Server):
    """A server that is reached in another way than http://127.0.0.1:PORT."""

    def __init__(self, connect, env):
        self.connect = connect
        super().__init__(binary(), env, builtin=True)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "serve"], env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.time() + self.wait_s
        while time.time() < end and self.alive():
            try:
                if self.get("/").startswith("Ollama"):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(self.log_tail())

    def open(self):
        c = http.client.HTTPConnection("localhost", timeout=60)
        c.sock = self.connect()
        return c

    def get(self, path, method="GET", body=None):
        c = self.open()
        c.request(method, path, body)
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return text


def generate(s):
    text = s.get("/api/generate", "POST", json.dumps({"model": "cria-tiny", "prompt": "Hi", "options": {"num_predict": 5}}))
    return [json.loads(line) for line in text.splitlines()]


def generate_on(netloc):
    """The last piece of a short answer."""
    r, text = call(netloc, "POST", "/api/generate", json.dumps({"model": "cria-tiny", "prompt": "Hi", "options": {"num_predict": 5}}).encode())
    return json.loads(text.splitlines()[-1])


def own_addresses():
    """IPv4 addresses of this machine's interfaces."""
    out = []
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                out.append(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", name.encode()[:15]))[20:24]))  # SIOCGIFADDR
            except OSError:
                pass
    return out


# ---- TLS -----------------------------------------------------------------------------------------------


def make_cert(folder, name):
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


@openssl
def test_sec_S_NET_6_tls(tmp_path):
    cert, key = make_cert(tmp_path, "one")
    port = free_port()

    def connect(version=None, ca=cert):
        context = ssl.create_default_context(cafile=ca)
        if version:
            context.minimum_version = context.maximum_version = version
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost")

    s = Listening(connect, {"OLLAMA_HOST": f"https://127.0.0.1:{port}", "CRIA_TLS_CERT": cert, "CRIA_TLS_KEY": key})
    try:
        answer = generate(s)
        assert answer[-1]["done"] and len(answer) > 1
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert connect(version).version() == version.name.replace("_", ".")
        with pytest.raises(OSError):
            connect(ssl.TLSVersion.TLSv1_1)
        with socket.create_connection(("127.0.0.1", port), 10) as plain:  # not an HTTP server
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                assert b"Ollama" not in plain.recv(1000)
            except ConnectionError:
                pass
        # the command line, with an authority of its own; and without
        env = {**s.env, "SSL_CERT_FILE": cert}
        assert "cria-tiny" in cria(env, "list")
        assert cria(s.env, "list", status=1)
        # another certificate, while a connection is open
        old = s.open()
        other, other_key = make_cert(tmp_path, "two")
        shutil.copy(other, cert + ".new"), shutil.copy(other_key, key + ".new")
        os.chmod(key + ".new", 0o600)
        kept = str(tmp_path / "one.copy")
        shutil.copy(cert, kept)
        os.rename(cert + ".new", cert), os.rename(key + ".new", key)
        s.process.send_signal(signal.SIGHUP)
        end = time.time() + 20
        while True:
            try:
                connect(ca=other).close()
                break
            except ssl.SSLError:
                assert time.time() < end
                time.sleep(0.05)
        with pytest.raises(ssl.SSLError):
            connect(ca=kept)
        old.request("GET", "/")
        assert old.getresponse().read() == b"Ollama is running"
        old.close()
        # the port behind it is nobody's but the relay's
        from test_access import listening
        inner = [p for a, p in listening(s.process.pid) if p != port]
        assert len(inner) == 1
        r, text = call(f"127.0.0.1:{inner[0]}", "GET", "/api/tags")
        assert r.status == 403 and "models" not in text
    finally:
        assert s.stop() == 0


@openssl
def test_sec_S_NET_6_key_files(tmp_path):
    cert, key = make_cert(tmp_path, "one")
    other, _ = make_cert(tmp_path, "two")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OLLAMA_HOST": f"127.0.0.1:{free_port()}"}
    os.chmod(key, 0o640)
    assert "others may read the key" in cria({**env, "CRIA_TLS_CERT": cert, "CRIA_TLS_KEY": key}, "serve", status=1)
    os.chmod(key, 0o600)
    assert "tls: key" in cria({**env, "CRIA_TLS_CERT": other, "CRIA_TLS_KEY": key}, "serve", status=1)
    assert "tls: certificate" in cria({**env, "CRIA_TLS_CERT": key, "CRIA_TLS_KEY": key}, "serve", status=1)
    assert "needs its key" in cria({**env, "CRIA_TLS_CERT": cert}, "serve", status=1)


# ---- UNIX sockets, IPv6 --------------------------------------------------------------------------------


def test_unix_socket(tmp_path):
    path = str(tmp_path / "cria.sock")

    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        try:
            s.connect(path)
        except OSError:
            s.close()
            raise
        return s

    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(path)
    s = Listening(connect, {"OLLAMA_HOST": "unix:" + path})
    try:
        assert os.stat(path).st_mode & 0o077 == 0
        assert generate(s)[-1]["done"]
        assert "cria-tiny" in cria(s.env, "list")
        assert "cria:" in s.get("/metrics")
        assert "already in use" in cria(s.env, "serve", status=1)
        # a client that goes away is noticed through the relay
        c = s.open()
        c.request("POST", "/api/generate", json.dumps({"model": "cria-tiny", "prompt": "x", "options": {"num_predict": 900, "temperature": 1.5}}))
        c.getresponse().read1(10)
        c.close()
        c.sock = None
        end = time.time() + 30
        while "/api/generate" in s.get("/api/requests"):
            assert time.time() < end
            time.sleep(0.05)
    finally:
        assert s.stop() == 0
    assert not os.path.exists(path)


def test_ipv6():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    s = Listening(lambda: socket.create_connection(("::1", port), 60), {"OLLAMA_HOST": f"[::1]:{port}"})
    try:
        assert generate(s)[-1]["done"] and "cria-tiny" in cria(s.env, "list")
    finally:
        assert s.stop() == 0


# ---- connections ---------------------------------------------------------------------------------------


def raw(netloc, data, timeout=20):
    host, port = netloc.rsplit(":", 1)
    s = socket.create_connection((host, int(port)), timeout)
    s.sendall(data)
    return s


def until_closed(s):
    out = b""
    try:
        while more := s.recv(65536):
            out += more
    except OSError:
        pass
    s.close()
    return out


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def limit_descriptors(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def wait_until(condition):
    end = time.time() + 30
    while not condition():
        assert time.time() < end
        time.sleep(0.02)


def test_sec_S_NET_9_connections():
    s = Server(binary(), {"CRIA_MAX_CONNECTIONS": "16"}, builtin=True)
    try:
        held = []

        def one_more():
            c = raw(s.netloc, GET)
            if b" 200 " in c.recv(1000):
                held.append(c)
            else:  # the one that saw the server start may not have ended yet
                c.close()
            return len(held) == 16

        wait_until(one_more)
        assert until_closed(raw(s.netloc, GET)).startswith(b"HTTP/1.1 503 ")
        held.pop().close()
        wait_until(lambda: b" 200 " in until_closed(raw(s.netloc, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))))
        for c in held:  # the others are still served
            c.sendall(GET)
            assert b" 200 " in c.recv(1000)
            c.close()
    finally:
        assert s.stop() == 0


def test_sec_S_NET_9_a_thousand(tmp_path):
    """1,024 connections at a time, at most 256 KiB each; more are told so."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    if old[1] < 4096:
        pytest.skip("fewer than 4096 descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, old[1]))
    s = Server(binary(), {"CRIA_MAX_CONNECTIONS": "1024"}, builtin=True)
    held = []
    try:
        before = rss(s.process.pid)
        for _ in range(1024):
            c = raw(s.netloc, GET)
            assert b" 200 " in c.recv(1000)
            held.append(c)
        assert SANITIZED or (rss(s.process.pid) - before) / 1024 < 256 * 1024
        more = [raw(s.netloc, GET) for _ in range(100)]
        answers = [until_closed(c) for c in more]
        assert any(a.startswith(b"HTTP/1.1 503 ") for a in answers)
        assert all(a == b"" or a.startswith(b"HTTP/1.1 503 ") for a in answers)  # reset, when there are very many
        held[0].sendall(GET)
        assert b" 200 " in held[0].recv(1000)
        held.pop().close()
        wait_until(lambda: until_closed(raw(s.netloc, GET.replace(b"1.1", b"1.0"))).startswith(b"HTTP/1.1 200 "))
    finally:
        for c in held:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
        assert s.stop() == 0


def test_sec_S_NET_9_per_address():
    """Of one address that is not this machine's; seen from another network, where one can be made."""
    address = next((a for a in own_addresses() if not a.startswith("127.")), None)
    if address is None:
        pytest.skip("this machine has no address but the loopback's")
    port = free_port()
    s = Server(binary(), {"OLLAMA_HOST": f"0.0.0.0:{port}", "CRIA_MAX_CONNECTIONS_PER_ADDRESS": "8", "CRIA_ALLOWED_HOSTS": "localhost"},
               builtin=True, netloc=f"127.0.0.1:{port}")
    try:
        held = [raw(f"{address}:{port}", GET) for _ in range(8)]  # its source is the same address
        for c in held:
            assert b" 200 " in c.recv(1000)
        assert until_closed(raw(f"{address}:{port}", GET)).startswith(b"HTTP/1.1 503 ")
        assert call(s.netloc, "GET", "/")[0].status == 200  # this machine's own are not counted
        for c in held:
            c.close()
        wait_until(lambda: b" 200 " in until_closed(raw(f"{address}:{port}", GET.replace(b"1.1", b"1.0"))))
    finally:
        assert s.stop() == 0


@pytest.mark.parametrize("limit", [64, 128, 256])
def test_sec_S_NET_9_few_descriptors(limit):
    """Far more connections than descriptors: nothing ends, and models are still found when they have gone."""
    s = Server(binary(), builtin=True, preexec=limit_descriptors(limit))
    try:
        held = []
        for _ in range(300):
            host, port = s.netloc.rsplit(":", 1)
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex((host, int(port)))
            held.append(c)
        time.sleep(0.3)
        assert s.alive()
        for c in held:
            c.close()
        wait_until(lambda: call(s.netloc, "GET", "/api/tags")[0].status == 200)
        assert generate_on(s.netloc)["done"]
    finally:
        assert s.stop() == 0


def test_sec_S_NET_10_refused(server):
    """A few of api/http_corpus_test.c, through the whole server."""
    for data, status in ((b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
                         (b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
                         (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", b"505"),
                         (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414")):
        answer = until_closed(raw(server.netloc, data))
        assert answer.startswith(b"HTTP/1.1 " + status), (data[:60], answer[:60])


def test_sec_S_NET_10_methods(server):
    """Any word may be a method: 405 with those that the path has, 404 where there is no path. HEAD has no body."""
    for method in ("FOO", "PROPFIND", "PATCH", "TRACE", "get"):
        answer = until_closed(raw(server.netloc, f"{method} /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))
        assert answer.startswith(b"HTTP/1.1 405 ") and b"\r\nAllow: POST\r\n" in answer, answer
        answer = until_closed(raw(server.netloc, f"{method} /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))
        assert answer.startswith(b"HTTP/1.1 404 "), answer
    for path in ("/", "/api/tags", "/nowhere", "/api/chat"):
        answer = until_closed(raw(server.netloc, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))
        assert answer.startswith(b"HTTP/1.1 ") and answer.endswith(b"\r\n\r\n") and answer.count(b"\r\n\r\n") == 1


def test_sec_S_NET_2_absolute_targets(server):
    """Their authority is the host that counts, whatever the header says; another server's end the connection."""
    port = server.netloc.rsplit(":", 1)[1]
    for target, host, status in ((f"http://localhost:{port}/", "localhost", b"200"), (f"http://localhost:{port}/", "evil.example", b"200"),
                                 (f"http://evil.example:{port}/", "localhost", b"403"), (f"http://evil.example:{port}/api/tags", "localhost", b"403"),
                                 (f"http://127.0.0.1:{port}/api/tags", "evil.example", b"200"), (f"http://u@localhost:{port}/", "localhost", b"400"),
                                 ("http://evil.example/api/tags", "localhost", None)):
        answer = until_closed(raw(server.netloc, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()))
        assert answer == b"" if status is None else answer.startswith(b"HTTP/1.1 " + status), (target, host, answer[:60])


def head(n_headers=0, line=0):
    more = b"".join(b"X-%d: y\r\n" % i for i in range(n_headers))
    long = b"X-Long: " + b"a" * (line - 8) + b"\r\n" if line else b""
    return b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more + long + b"\r\n"


@pytest.mark.parametrize("data,status", [
    (head(), b"200"), (head(n_headers=60), b"200"), (head(n_headers=62), b"431"), (head(n_headers=200), b"431"),
    (head(line=16 * 1024), b"200"), (head(line=16 * 1024 + 1), b"431"), (head(line=100 * 1024), b"431"),
    (b"GET /?" + b"a" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"200"),
    (b"GET /?" + b"a" * 8200 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"414")])
def test_sec_S_NET_7_heads(server, data, status):
    answer = until_closed(raw(server.netloc, data))
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:60]


def test_sec_S_NET_7_bodies(server):
    """Before reading, when the length says so."""
    for path in ("/api/generate", "/api/show", "/v1/chat/completions"):
        answer = until_closed(raw(server.netloc, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {256 << 20 | 1}\r\n\r\n".encode()))
        assert answer.startswith(b"HTTP/1.1 413 ")
    deep = b'{"model":"x","format":' + b"[" * 200 + b"]" * 200 + b"}"
    r, text = call(server.netloc, "POST", "/api/generate", deep)
    assert r.status == 400 and "max depth" in text


def test_sec_S_NET_11_framing(server, scripted):
    """Whatever the model says, a line is a JSON value and an event has no bare line break."""
    for path in ("/api/chat", "/v1/chat/completions"):
        body = json.dumps({"model": scripted, "messages": [{"role": "user", "content": "3"}], "stream": True}).encode()
        text = call(server.netloc, "POST", path, body)[1]
        for line in text.split("\n"):
            if path == "/api/chat" and line:
                json.loads(line)
            elif line:
                assert line.startswith("data: ")


# ---- the end -------------------------------------------------------------------------------------------


def start_stream(s, n):
    body = json.dumps({"model": "cria-tiny", "prompt": "Once", "options": {"num_predict": n, "ignore_eos": True, "seed": 3}}).encode()
    host, port = s.netloc.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=60)
    c.request("POST", "/api/generate", body)
    r = c.getresponse()
    r.read1(1)
    return c, r


def test_sec_S_LC_1_running_requests_may_end():
    s = Server(binary(), {"CRIA_DRAIN": "60s"}, builtin=True)
    c, r = start_stream(s, 60)
    s.process.send_signal(signal.SIGTERM)
    lines = r.read().decode().splitlines()
    assert json.loads(lines[-1])["done"] is True
    assert s.stop() == 0


def test_sec_S_LC_1_a_second_signal_cancels():
    s = Server(binary(), {"CRIA_DRAIN": "600s"}, builtin=True)
    c, r = start_stream(s, 1000000)
    s.process.send_signal(signal.SIGTERM)
    end = time.time() + 30
    while "shutting down" not in s.log_tail():
        assert time.time() < end
        time.sleep(0.02)
    while call(s.netloc, "GET", "/")[0].status != 503:  # nothing new begins
        assert time.time() < end
        time.sleep(0.02)
    s.process.send_signal(signal.SIGTERM)
    lines = r.read().decode().splitlines()
    assert json.loads(lines[-1]) == {"error": "request canceled"}
    assert s.stop() == 0


def test_gone_in_a_long_prompt(server, client):
    """Its slot is free after the step that was being made: seen by the list of requests."""
    digest = client.create_blob(SCRIPTED_FILE)
    client.create(model="listen/one", files={"model.gguf": digest}, template="{{ .Prompt }}")
    long = json.dumps({"model": "listen/one", "prompt": "word " * 900, "raw": True,
                       "options": {"num_ctx": 1024, "num_batch": 8, "num_predict": 5000}}).encode()
    for _ in range(3):
        s = raw(server.netloc, b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: long\r\nContent-Length: %d\r\n\r\n" % len(long) + long)
        end = time.time() + 60
        while '"long"' not in call(server.netloc, "GET", "/api/requests")[1]:
            assert time.time() < end
        s.close()
        while '"long"' in call(server.netloc, "GET", "/api/requests")[1]:
            assert time.time() < end
    assert client.generate("listen/one", "1", options={"num_predict": 2}).done
