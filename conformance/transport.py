"""Requests as the recordings tell them, over one plain connection each; and the server under test."""
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections import namedtuple

Answer = namedtuple("Answer", "status headers body")
BOUNDARY = "cria-conformance-boundary"


def multipart(parts):
    out = b""
    for part in parts:
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part["name"]}"'.encode()
        if "filename" in part:
            out += f'; filename="{part["filename"]}"\r\nContent-Type: application/octet-stream'.encode()
        data = base64.b64decode(part["base64"]) if "base64" in part else part.get("value", "").encode()
        out += b"\r\n\r\n" + data + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def build_body(request, folder):
    """(headers, body or None)"""
    headers = dict(request.get("headers", {}))
    kind, body = "application/json", None
    if "json" in request:
        body = json.dumps(request["json"], ensure_ascii=False).encode()
    elif "raw" in request:
        body = request["raw"].encode()
    elif "base64" in request:
        kind, body = None, base64.b64decode(request["base64"])
    elif "file" in request:
        kind = "application/octet-stream"
        with open(os.path.join(folder, request["file"]), "rb") as f:
            body = f.read()
    elif "multipart" in request:
        kind, body = f"multipart/form-data; boundary={BOUNDARY}", multipart(request["multipart"])
    if body is not None and kind and "content-type" not in {k.lower() for k in headers}:
        headers["Content-Type"] = kind
    return headers, body


def connect(base, timeout):
    """base: "host:port", or a URL, maybe with a path -> (connection, that path)"""
    url = urllib.parse.urlsplit(base if "://" in base else "http://" + base)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname, url.port, timeout=timeout), url.path.rstrip("/")


def send(base, request, folder=".", timeout=120):
    headers, body = build_body(request, folder)
    names = {k.lower() for k in headers}
    c, path = connect(base, timeout)
    try:
        c.putrequest(request["method"], path + request["path"], skip_host="host" in names, skip_accept_encoding=True)
        for k, v in headers.items():
            c.putheader(k, v)
        if body is not None and "content-length" not in names:
            c.putheader("Content-Length", str(len(body)))
        c.endheaders()
        if body:
            c.send(body)
        r = c.getresponse()
        data = read_lines(r, request["abort_after"]) if request.get("abort_after") is not None else r.read()
        return Answer(r.status, [(k.lower(), v) for k, v in r.getheaders()], data)
    finally:
        c.close()


def read_lines(response, n):
    """The first n lines; the rest is left unread: the client goes away."""
    data = b""
    while len(data.split(b"\n")) <= n:
        more = response.read1(65536)
        if not more:
            break
        data += more
    return data


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`<bin> serve` with an empty store, a fresh HOME, and no settings of the caller's."""

    def __init__(self, binary, extra_env=None, builtin=False, wait_s=30, netloc=None, preexec=None):
        self.binary, self.wait_s, self.preexec = binary, wait_s, preexec
        self.tmp = tempfile.mkdtemp(prefix="cria-conformance-")
        self.netloc = netloc or f"127.0.0.1:{free_port()}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "CRIA_", "XDG_"))}
        for k in ("CRIA_CPU_ISA",):
            if k in os.environ:
                self.env[k] = os.environ[k]
        self.env.update(HOME=self.tmp, OLLAMA_MODELS=self.tmp + "/models", OLLAMA_HOST=self.netloc)
        self.env["CRIA_MAX_CONNECTIONS"] = "64"  # a thread for each of them
        self.env["CRIA_SEED"] = "1"  # the recorded models leave the script once in 20,000 tokens at temperature 1
        if not builtin:
            self.env["CRIA_BUILTIN"] = "0"
        self.env.update(extra_env or {})
        self.log_path = self.tmp + "/server.log"
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "serve"], env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, preexec_fn=self.preexec)
        end = time.time() + self.wait_s
        while time.time() < end and self.alive():
            try:
                send(self.netloc, {"method": "GET", "path": "/"}, timeout=5)
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.binary} serve does not answer:\n{self.log_tail()}")

    def alive(self):
        return self.process.poll() is None

    def log_tail(self, n=2000):
        with open(self.log_path, "rb") as f:
            return f.read()[-n:].decode("utf-8", "replace")

    def stop(self, keep=False):
        """Exit status after SIGTERM (0 wanted), or None if it had to be killed."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = None
        if not keep:
            shutil.rmtree(self.tmp, ignore_errors=True)
        return status
