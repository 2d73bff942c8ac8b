#!/usr/bin/env python3
"""How long and how much memory texts take that were made to be slow, beside a normal one (spec/security.md S-PA-8).

    python3 bench/hostile_texts.py build/bench-tokenize MEGABYTES NORMAL.txt VOCAB.gguf...

Each text is one line of that many megabytes (10^6 bytes): a letter, spaces, emoji, combining marks, bytes that are no
UTF-8, digits, punctuation, and a normal text (cut or repeated). A line for each vocabulary and text: MB/s of
processor time, how much slower than the normal text that is, bytes of memory for each byte of the text. The exit
status tells whether something was more than ten times slower.
"""
import json
import os
import subprocess
import sys
import tempfile

TEXTS = {"letter": b"a", "spaces": b" ", "emoji": "\U0001F600".encode(), "marks": "\u0301".encode(), "invalid": b"\xff",
         "cut lead": b"\xe2", "digits": b"7", "exclamation": b"!"}


def main():
    program, size, normal, vocabs = sys.argv[1], int(float(sys.argv[2]) * 1e6), sys.argv[3], sys.argv[4:]
    slow = 0
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(program))) as folder:
        path = os.path.join(folder, "text")
        text = open(normal, "rb").read()
        kinds = {"normal": text, **TEXTS}
        speed = {}
        for name, unit in kinds.items():
            with open(path, "wb") as f:
                f.write((unit * (size // len(unit) + 1))[:size - size % len(unit) if len(unit) < 9 else size])
            for vocab in vocabs:
                run = subprocess.run([program, vocab, path], capture_output=True, check=True, text=True)
                r = json.loads(run.stdout)["texts"][path]
                speed[name, vocab] = r["mbs"]
                times = speed["normal", vocab] / r["mbs"]
                slow += times > 10
                print(f"{os.path.basename(vocab):28} {name:12} {r['mbs']:7.1f} MB/s  {times:5.1f}x the time  "
                      f"{r['memory']:5.1f} bytes/byte", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
