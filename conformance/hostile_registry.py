"""A registry on a loopback port that misbehaves as told, and keeps a log of what it was asked.

    r = HostileRegistry()
    r.add("ns/model:latest", [b"content", ...])     # layers are licence texts
    r.behave(digest, cut=1000)                      # see Handler.send_blob
"""
import collections
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.ollama.image.license"
CONFIG = {"model_format": "", "model_family": "", "architecture": "amd64", "os": "linux"}


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


Asked = collections.namedtuple("Asked", "method path headers")


class HostileRegistry:
    def __init__(self, token=None):
        self.blobs, self.manifests, self.rules, self.asked = {}, {}, {}, []
        self.answers = {}  # path -> [(status, headers, body), ...]: given before anything else
        self.token = token  # wanted as a bearer token; None: no authentication
        self.realm = None
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"registry": self})
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None
        self.address = "127.0.0.1:%d" % self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def add(self, name, layers, **manifest):
        def layer(kind, data):
            self.blobs[digest_of(data)] = data
            return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
        config = json.dumps({**CONFIG, "name": name}).encode()
        m = {"schemaVersion": 2, "mediaType": MANIFEST,
             "config": layer("application/vnd.docker.container.image.v1+json", config),
             "layers": [layer(LAYER, x) for x in layers]}
        m.update(manifest)
        self.manifests[name] = json.dumps(m).encode()
        return [x["digest"] for x in m["layers"]] if "layers" not in manifest else []

    def behave(self, digest, **rules):
        self.rules[digest] = rules

    def count(self, method, part):
        return sum(1 for a in self.asked if a.method == method and part in a.path)

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None

    def log_message(self, *args):
        pass

    def reply(self, code, body=b"", **headers):
        self.send_response(code)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def route(self):
        r = self.registry
        n = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(n) if n else b""
        url = urllib.parse.urlparse(self.path)
        with r.lock:
            r.asked.append(Asked(self.command, self.path, dict(self.headers)))
            canned = r.answers.get(url.path)
            answer = canned.pop(0) if canned else None
        if answer:
            return self.reply(answer[0], answer[2], **answer[1])
        if url.path == "/token":
            return self.reply(200, json.dumps({"token": r.token}).encode())
        m = re.match(r"^/v2/(.+)/(manifests|blobs)/(.*)$", url.path)
        if not m:
            return self.reply(404)
        if r.token and self.headers.get("Authorization") != "Bearer " + r.token:
            realm = r.realm or f"http://{r.address}/token"
            challenge = f'Bearer realm="{realm}",service="reg",scope="repository:{m[1]}:pull"'
            return self.reply(401, b"{}", WWW_Authenticate=challenge)
        if m[2] == "manifests":
            if self.command == "PUT":
                r.manifests[m[1] + ":" + m[3]] = data
                return self.reply(201)
            body = r.manifests.get(m[1] + ":" + m[3])
            return self.reply(200, body) if body is not None else self.reply(404)
        return self.send_blob(m[3], r.blobs.get(m[3]), r.rules.get(m[3], {}))

    def send_blob(self, digest, body, rule):
        """fail: so many 500s first.  says: Content-Length of HEAD.  ranges=False: always 200.
        cut: the connection ends after so many bytes.  stall: seconds of silence in the middle (once).
        shift: ranges begin so many bytes later than they say.  extra: bytes more than announced.
        lie: other content.  slow: seconds between pieces.  gate: an event that the second half waits for."""
        if body is None:
            return self.reply(404)
        if rule.get("fail", 0) > 0:
            rule["fail"] -= 1
            return self.reply(500, b"storm")
        if self.command == "HEAD":
            return self.reply(200, Content_Length=str(rule.get("says", len(body))))
        if "redirect" in rule:
            return self.reply(307, Location=rule["redirect"])
        body = rule.get("lie", body)
        span = re.match(r"bytes=(\d+)-(\d+)?", self.headers.get("Range") or "")
        low, high, status = 0, len(body) - 1, 200
        if span and rule.get("ranges", True):
            low, high, status = int(span[1]), int(span[2]), 206
        told = low + rule.get("shift", 0)
        piece = body[low:high + 1] + b"x" * rule.get("extra", 0)
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {told}-{high}/{len(body)}")
        if rule.get("extra"):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        self.send_slowly(piece, rule)

    def send_slowly(self, piece, rule):
        cut = rule.get("cut")
        if "stall" in rule:
            seconds = rule.pop("stall")
            self.wfile.write(piece[:len(piece) // 2])
            self.wfile.flush()
            time.sleep(seconds)
            piece = piece[len(piece) // 2:]
        if "gate" in rule:
            self.wfile.write(piece[:len(piece) // 2])
            self.wfile.flush()
            rule["gate"].wait(60)
            piece = piece[len(piece) // 2:]
        if "slow" in rule:
            for i in range(0, len(piece), 65536):
                self.wfile.write(piece[i:i + 65536])
                time.sleep(rule["slow"])
            return
        if cut is not None and len(piece) > cut:
            self.wfile.write(piece[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = route
