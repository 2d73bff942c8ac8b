#!/usr/bin/env python3
"""What a grammar costs while decoding: the same requests with and without one, in turns, on one server.

    python3 bench/constrained.py --bin build/cria [--model FILE.gguf] [--rounds N] [--tokens N]

"anything" is a grammar that allows every text, so both sides generate the same tokens and the difference is the
grammar alone. "string" is a JSON schema of one long string, "counted" the same with a largest length, "in an object"
of an object with one: there the tokens are others than without, a little later or earlier in depth. Figures:
processor time of the whole server (one thread computes) for each token, prompt and request included; the least of the
rounds, and the median of the ratios of neighbouring requests.
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from random_schemas import import_file  # noqa: E402
from transport import Server, send  # noqa: E402

STRING = {"type": "string"}
CASES = {
    "anything": {"grammar": "root ::= [^\\x00]*"},
    "string": {"format": STRING},
    "counted": {"format": {**STRING, "minLength": 3000, "maxLength": 4000}},
    "in an object": {"format": {"type": "object", "properties": {"text": {"type": "string", "minLength": 3000}},
                                "required": ["text"]}},
}


def processor_ns(pid):
    """Of all threads; finer than the ticks of /proc/PID/stat."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total


def ask(server, model, tokens, temperature, **fields):
    body = {"model": model, "prompt": "Once upon a time there was a", "raw": True, "stream": False,
            "options": {"temperature": temperature, "seed": 1, "num_predict": tokens, "num_thread": 1},
            **fields}
    begin = processor_ns(server.process.pid)
    answer = json.loads(send(server.netloc, {"method": "POST", "path": "/api/generate", "json": body}, timeout=300).body)
    if "error" in answer:
        raise SystemExit(answer["error"])
    spent = processor_ns(server.process.pid) - begin
    return spent / answer["eval_count"] / 1e3, answer["eval_count"], answer["response"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/cria")
    parser.add_argument("--model", help="a GGUF file; else the embedded model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=100)
    args = parser.parse_args()
    server = Server(args.bin, {"OLLAMA_CONTEXT_LENGTH": "1024"}, builtin=True)
    try:
        model = import_file(server.netloc, args.model) if args.model else "cria-tiny"
        for name, fields in CASES.items():
            tokens = 25 if name == "string" else args.tokens  # it ends when the model wants
            for temperature in (0, 0.8):
                free, bound, ratio, count = [], [], [], 0
                for i in range(args.rounds + 1):
                    a, n_free, text = ask(server, model, tokens, temperature)
                    b, count, same = ask(server, model, tokens, temperature, **fields)
                    if name == "anything" and (text, n_free) != (same, count):
                        raise SystemExit("not the same tokens")
                    if i > 0:  # the first one warms up
                        free.append(a), bound.append(b), ratio.append(b / a)
                print(f"{name:13} temperature {temperature:3}: {min(free):8.1f} us a token, with the grammar "
                      f"{min(bound):8.1f} ({count} tokens), ratio {statistics.median(ratio):.3f}", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
