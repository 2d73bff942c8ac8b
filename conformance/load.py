#!/usr/bin/env python3
"""Many clients at once: some that are connected and idle, some that stream; and what a server adds to its engine's time.

    python3 conformance/load.py --bin build/cria --idle 256 --active 64 --requests 3
    python3 conformance/load.py --bin build/cria --overhead 20

Every stream must be whole: the text of the same request asked alone, as many pieces, the last one with `done`. Told are
errors, the memory that an idle connection takes (RSS before and after they connect), and with --overhead what a token
takes in `cria bench` and in a streamed answer, in turns, with one and with two threads. (With as many threads as there
are processors the client and the server's writes displace the engine: that is what a user of such a machine gets, too.)
"""
import argparse
import http.client
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from transport import Server  # noqa: E402

MODEL = "cria-tiny"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


class Client:
    def __init__(self, netloc):
        host, port = netloc.rsplit(":", 1)
        self.c = http.client.HTTPConnection(host, int(port), timeout=600)

    def stream(self, prompt, n):
        """(text, number of pieces, last piece, seconds to the first and to the last piece)"""
        body = json.dumps({"model": MODEL, "prompt": prompt, "raw": True, "options": {"temperature": 0, "num_predict": n}})
        start = time.perf_counter()
        self.c.request("POST", "/api/generate", body)
        r = self.c.getresponse()
        text, n_pieces, first, last = "", 0, None, {}
        for line in r:
            first = first or time.perf_counter() - start
            last = json.loads(line)
            if "error" in last:
                raise RuntimeError(last["error"])
            text += last["response"]
            n_pieces += 1
        return text, n_pieces, last, first, time.perf_counter() - start


def many(binary, n_idle, n_active, n_requests, tokens):
    """(errors, bytes an idle connection takes)"""
    s = Server(binary, {"OLLAMA_NUM_PARALLEL": "8", "OLLAMA_CONTEXT_LENGTH": "256", "OLLAMA_MAX_QUEUE": "4096", "CRIA_MAX_CONNECTIONS": "1024"},
               builtin=True)
    prompts = [f"Number {i} is" for i in range(16)]
    wanted, errors = {}, []
    try:
        one = Client(s.netloc)
        for p in prompts:
            wanted[p] = one.stream(p, tokens)[:2]

        def check(client, prompt):
            try:
                got = client.stream(prompt, tokens)
                if got[:2] != wanted[prompt] or not got[2].get("done"):
                    errors.append(f"{prompt!r}: {got[:3]}, wanted {wanted[prompt]}")
            except (OSError, RuntimeError, http.client.HTTPException) as e:
                errors.append(f"{prompt!r}: {e!r}")

        before = rss(s.process.pid)
        idle = [Client(s.netloc) for _ in range(n_idle)]
        for i, c in enumerate(idle):
            check(c, prompts[i % 16])
        per_idle = (rss(s.process.pid) - before) / max(n_idle, 1)

        def work(i):
            c = Client(s.netloc)
            for k in range(n_requests):
                check(c, prompts[(i + k) % 16])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(n_active)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for i, c in enumerate(idle):  # nobody has lost its connection
            check(c, prompts[(i + 1) % 16])
        return errors, per_idle
    finally:
        status = s.stop()
        if status != 0:
            errors.append(f"the server ended with {status}")


class RawClient:
    """One that takes no time from the engine's threads: it looks for nothing but the last piece."""

    def __init__(self, netloc):
        host, port = netloc.rsplit(":", 1)
        self.s = socket.create_connection((host, int(port)), 600)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stream(self, prompt, n, threads):
        """(last piece, seconds to the first bytes, seconds to the last)"""
        options = {"temperature": 0, "num_predict": n, "ignore_eos": True, "num_thread": threads}
        body = json.dumps({"model": MODEL, "prompt": prompt, "raw": True, "options": options}).encode()
        start = time.perf_counter()
        self.s.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        tail = self.s.recv(65536)
        if b" 200 " not in tail[:20]:
            raise RuntimeError(tail.decode())
        first = time.perf_counter() - start
        while b'"done":true' not in tail:
            tail = tail[-4096:] + self.s.recv(65536)
        last = time.perf_counter() - start
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            tail += self.s.recv(65536)
        return json.loads(next(line for line in tail.split(b"\n") if b'"done":true' in line)), first, last


def bare(binary, n, threads):
    """Seconds a token of the engine alone."""
    r = subprocess.run([binary, "bench", "-m", os.path.join(ROOT, "demo", MODEL + ".gguf"), "-p", "8", "-n", str(n), "-t", str(threads), "-r", "1",
                        "--json"], capture_output=True, check=True)
    return 1 / json.loads(r.stdout)["tg_tps"]


def overhead(binary, turns, tokens, threads):
    """Samples in seconds: until the first bytes beyond the engine's own time; a token of the engine alone, and one of a
    streamed answer, everything but the engine's time for the prompt included. All in turns: the machine has other work."""
    s = Server(binary, {"OLLAMA_CONTEXT_LENGTH": "512"}, builtin=True)
    first, alone, whole = [], [], []
    try:
        c = RawClient(s.netloc)
        c.stream("warm", tokens, threads)
        for i in range(turns):
            alone.append(bare(binary, tokens, threads))
            last, t_first, t_all = c.stream(f"{i} times", tokens, threads)
            first.append(t_first - last["prompt_eval_duration"] / 1e9)
            whole.append((t_all - last["prompt_eval_duration"] / 1e9) / last["eval_count"])
        return first, alone, whole
    finally:
        s.stop()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--bin", default="build/cria")
    a.add_argument("--idle", type=int, default=256)
    a.add_argument("--active", type=int, default=64)
    a.add_argument("--requests", type=int, default=3)
    a.add_argument("--tokens", type=int, default=16)
    a.add_argument("--overhead", type=int, default=0, metavar="N")
    o = a.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if o.overhead:
        for threads in (1, 2):
            samples = overhead(o.bin, o.overhead, 384, threads)
            for name, of in (("median", statistics.median), ("least", min)):
                first, alone, whole = (of(x) for x in samples)
                print(f"{threads} thread{'s'[:threads > 1]}, {name}: {first * 1e3:.2f} ms until the first bytes beyond the engine's time; us for a token: "
                      f"engine alone {alone * 1e6:.1f}, streamed answer {whole * 1e6:.1f} ({(whole - alone) * 1e6:+.1f})")
        return 0
    errors, per_idle = many(o.bin, o.idle, o.active, o.requests, o.tokens)
    for e in errors[:10]:
        print(e)
    print(f"{o.idle} idle, {o.active} active, {o.requests} requests each: {len(errors)} errors, {per_idle / 1024:.0f} KiB per idle connection")
    return 1 if errors or per_idle > 256 * 1024 else 0


if __name__ == "__main__":
    sys.exit(main())
