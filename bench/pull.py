"""How fast is a pull? One large blob from a server on loopback that only calls sendfile, with cria and with
`curl -o` and `sha256sum` one after the other, in turns; prints the ratio of each turn and the median.

    python3 bench/pull.py [--bin build/cria] [--size 1G] [--turns 5] [--folder DIR]

Both write to the same disk, and both begin with the blob in the server's page cache. `curl -o` alone neither
checks nor syncs; a pull has done both when it says "success"."""
import argparse
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "conformance"))
from hostile_registry import CONFIG, LAYER, MANIFEST, digest_of  # noqa: E402
from transport import Server  # noqa: E402


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    path_of, texts = {}, {}

    def log_message(self, *args):
        pass

    def reply(self, text):
        self.send_response(200 if text is not None else 404)
        self.send_header("Content-Length", str(len(text or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text or b"")

    def do_GET(self):
        name = self.path.rsplit("/", 1)[1]
        if name not in self.path_of:
            return self.reply(self.texts.get(name))
        with open(self.path_of[name], "rb") as f:
            size = os.fstat(f.fileno()).st_size
            span = re.match(r"bytes=(\d+)-(\d+)?", self.headers.get("Range") or "")
            low, high = (int(span[1]), int(span[2] or size - 1)) if span else (0, size - 1)
            self.send_response(206 if span else 200)
            if span:
                self.send_header("Content-Range", f"bytes {low}-{high}/{size}")
            self.send_header("Content-Length", str(high + 1 - low))
            self.end_headers()
            if self.command == "GET":
                try:
                    while low <= high:
                        low += os.sendfile(self.connection.fileno(), f.fileno(), low, high + 1 - low)
                except OSError:
                    self.close_connection = True

    do_HEAD = do_GET


def make_blob(path, size):
    """Random bytes, their digest."""
    digest = hashlib.sha256()
    with open(path, "wb") as f:
        for _ in range(size >> 20):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            f.write(piece)
    return "sha256:" + digest.hexdigest()


def serve(path, digest, size):
    config = json.dumps(CONFIG).encode()
    Handler.path_of[digest] = path
    Handler.texts = {digest_of(config): config, "latest": json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest, "size": size}]}).encode()}
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return "127.0.0.1:%d" % httpd.server_address[1]


def time_pull(binary, address, folder):
    store = folder + "/store"
    server = Server(binary, {"OLLAMA_MODELS": store})
    try:
        begun = time.perf_counter()
        c = http.client.HTTPConnection(server.netloc, timeout=600)
        c.request("POST", "/api/pull", json.dumps({"model": address + "/ns/model", "insecure": True, "stream": False}))
        answer = c.getresponse().read()
        seconds = time.perf_counter() - begun
        assert json.loads(answer) == {"status": "success"}, answer
        return seconds
    finally:
        server.stop()
        shutil.rmtree(store)


def time_curl(address, digest, folder, sync):
    out = folder + "/out"
    begun = time.perf_counter()
    subprocess.run(["curl", "-s", "-o", out, f"http://{address}/v2/ns/model/blobs/{digest}"], check=True)
    if sync:
        subprocess.run(["sync", out], check=True)
    loaded = time.perf_counter() - begun
    told = subprocess.run(["sha256sum", out], check=True, capture_output=True).stdout.decode()
    seconds = time.perf_counter() - begun
    os.unlink(out)
    assert told.startswith(digest[7:])
    return loaded, seconds


def bytes_of(text):
    unit = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    return int(text[:-1] if unit else text) << unit


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(HERE, "..", "build", "cria"))
    p.add_argument("--size", type=bytes_of, default=1 << 30)
    p.add_argument("--turns", type=int, default=5)
    p.add_argument("--folder", help="where the files go (default: a temporary one)")
    a = p.parse_args()
    folder = tempfile.mkdtemp(prefix="cria-pull-", dir=a.folder)
    ratios = {"curl -o": [], "curl -o, sha256sum": [], "curl -o, sync, sha256sum": []}
    try:
        digest = make_blob(folder + "/blob", a.size)
        address = serve(folder + "/blob", digest, a.size)
        for turn in range(a.turns):
            pull = time_pull(os.path.abspath(a.bin), address, folder)
            loaded, plain = time_curl(address, digest, folder, False)
            _, synced = time_curl(address, digest, folder, True)
            for seconds, list_ in zip([loaded, plain, synced], ratios.values()):
                list_.append(seconds / pull)
            print(f"{turn}: pull {pull:.2f} s  curl {loaded:.2f}, with sha256sum {plain:.2f}, with sync {synced:.2f} s  "
                  f"load {os.getloadavg()[0]:.1f}", flush=True)
        for name, list_ in ratios.items():
            print(f"speed of the pull, `{name}` = 1: median {statistics.median(list_):.2f}, {min(list_):.2f} to {max(list_):.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
