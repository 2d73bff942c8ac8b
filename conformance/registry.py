"""The part of a model registry that pull and push need, on a loopback port."""
import hashlib
import http.server
import json
import os
import re
import threading
import urllib.parse

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """spec: {"models": {"ns/model:tag": {"layers": [{mediaType, file or text, missing?, corrupt?}], "config": ..}}}"""

    def __init__(self, spec, folder):
        self.blobs, self.manifests, self.uploads = {}, {}, {}
        for name, model in spec.get("models", {}).items():
            layers = [self.add_layer(x, folder) for x in model["layers"] + [model["config"]]]
            self.manifests[name] = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                                               "config": layers[-1], "layers": layers[:-1]}).encode()
        self.httpd = QuietServer(("127.0.0.1", 0), type("Handler", (Handler,), {"registry": self}))
        self.address = "127.0.0.1:%d" % self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def add_layer(self, x, folder):
        if "file" in x:
            with open(os.path.join(folder, x["file"]), "rb") as f:
                data = f.read()
        else:
            data = x["text"].encode()
        digest = digest_of(data)
        if not x.get("missing"):
            self.blobs[digest] = b"!" * len(data) if x.get("corrupt") else data
        return {"mediaType": x["mediaType"], "digest": digest, "size": len(data)}

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None

    def log_message(self, *args):
        pass

    def reply(self, code, body=b"", **headers):
        self.send_response(code)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def route(self):
        n = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(n) if n else b""
        url = urllib.parse.urlparse(self.path)
        m = re.match(r"^/v2/([^/]+/[^/]+)/(manifests|blobs)/(.*)$", url.path)
        if not m:
            return self.reply(404)
        repo, kind, ref = m.groups()
        if kind == "manifests":
            return self.manifest(repo + ":" + ref, data)
        if ref.startswith("uploads/"):
            return self.upload(repo, ref.split("/")[1], data, url)
        return self.blob(ref, url)

    def manifest(self, key, data):
        if self.command == "PUT":
            self.registry.manifests[key] = data
            return self.reply(201)
        body = self.registry.manifests.get(key)
        return self.reply(200, body) if body is not None else self.reply(404)

    def upload(self, repo, key, data, url):
        uploads = self.registry.uploads
        if self.command == "POST":
            key = str(len(uploads))
            uploads[key] = b""
            return self.reply(202, Location=f"http://{self.headers['Host']}/v2/{repo}/blobs/uploads/{key}")
        uploads[key] += data
        if self.command == "PUT":
            digest = urllib.parse.parse_qs(url.query)["digest"][0]
            if digest_of(uploads[key]) != digest:
                return self.reply(400, b"bad digest")
            self.registry.blobs[digest] = uploads[key]
            return self.reply(201)
        return self.reply(202, Location=f"http://{self.headers['Host']}/v2/{repo}/blobs/uploads/{key}")

    def blob(self, digest, url):
        body = self.registry.blobs.get(digest)
        if body is None:
            return self.reply(404)
        if self.command == "GET" and not url.query:  # to another host name, as registries with a CDN do
            port = self.headers["Host"].rsplit(":", 1)[1]
            return self.reply(307, Location=f"http://localhost:{port}{url.path}?direct=1")
        span = re.match(r"bytes=(\d+)-(\d+)?", self.headers.get("Range") or "")
        if span and self.command == "GET":
            low, high = int(span[1]), int(span[2]) if span[2] else len(body) - 1
            return self.reply(206, body[low:high + 1], Content_Range=f"bytes {low}-{high}/{len(body)}")
        return self.reply(200, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = route
