#!/usr/bin/env python3
"""Compares cria's tokenizers with tiktoken and the HF `tokenizers` package, side by side.

    pip install tiktoken tokenizers
    python3 bench/compare_tokenizers.py BENCH_TOKENIZE VOCAB.gguf... -- TEXT...

BENCH_TOKENIZE is the program of that name (`cmake --build build --target bench-tokenize`). Each vocabulary is
given to the other packages as well, built from the same GGUF file: byte-level BPE to both, the other kinds to
`tokenizers`. All run one thread in turns (cria, others, cria, others, ...), each keeps its best pass; a line for
each text tells megabytes (10^6 bytes) a second of processor time, the ratios, and whether the ids agree (in brackets: how many
ids the other gave for each of ours; kinds whose normaliser was left out differ).
"""
import json
import os
import re
import struct
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
ROUNDS = 2
CHUNK = 4096  # others get the text in requests of about this size, at line ends: their best way

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {  # tokenizer.ggml.pre -> expressions, one behind the other
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "gpt-2": [GPT2],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
}


def read_gguf(path):
    data = open(path, "rb").read()
    size = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    at = 24

    def take(fmt):
        nonlocal at
        value = struct.unpack_from("<" + fmt, data, at)[0]
        at += struct.calcsize(fmt)
        return value

    def string():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at]

    def value(kind):
        nonlocal at
        if kind == 8:
            return string()
        if kind != 9:
            return take(size[kind])
        elem, n = take("I"), take("Q")
        if elem == 8:
            return [string() for _ in range(n)]
        out = struct.unpack_from(f"<{n}{size[elem]}", data, at)
        at += n * struct.calcsize(size[elem])
        return out

    pairs = {}
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        key = string().decode()
        pairs[key] = value(take("I"))
    return {k[len("tokenizer.ggml."):]: v for k, v in pairs.items() if k.startswith("tokenizer.ggml.")}


def byte_map():
    keep = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    chars = {b: b for b in keep}
    for b in range(256):
        chars.setdefault(b, 256 + len(chars) - len(keep))
    return {chr(c): b for b, c in chars.items()}


def bpe(kv):
    """tokenizers and, where merges are the order of the ids, tiktoken."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    import tiktoken
    texts = [t.decode("utf-8", "replace") for t in kv["tokens"]]
    vocab = {t: i for i, t in enumerate(texts)}
    merges = [tuple(m.decode().split(" ", 1)) for m in kv["merges"]]
    merges = [m for m in merges if m[0] in vocab and m[1] in vocab and m[0] + m[1] in vocab]
    pre = kv.get("pre", b"").decode()
    raw = kv["model"] == b"gemma4"
    hf = Tokenizer(models.BPE(vocab, merges, ignore_merges=pre == "llama-bpe", byte_fallback=raw, fuse_unk=False,
                              unk_token="<unk>" if raw else None))
    if raw:
        hf.normalizer = __import__("tokenizers").normalizers.Replace(" ", "\u2581")
        hf.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n+"), "isolated")
        return {"tokenizers": lambda s: hf.encode(s, add_special_tokens=False).ids}
    split = [pre_tokenizers.Split(Regex(p), "isolated") for p in PATTERNS[pre]]
    hf.pre_tokenizer = pre_tokenizers.Sequence(
        split + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    out = {"tokenizers": lambda s: hf.encode(s, add_special_tokens=False).ids}
    to_byte = byte_map()
    types = kv.get("token_type", [1] * len(texts))
    ranks = {bytes(to_byte[c] for c in t): i for i, t in enumerate(texts)
             if types[i] == 1 and all(c in to_byte for c in t)}
    if len(PATTERNS[pre]) == 1 and all(bytes([b]) in ranks for b in range(256)):
        enc = tiktoken.Encoding("x", pat_str=PATTERNS[pre][0], mergeable_ranks=ranks, special_tokens={})
        out["tiktoken"] = enc.encode_ordinary
    return out


def spm(kv):
    from tokenizers import Tokenizer, models, normalizers
    texts = [t.decode("utf-8", "replace") for t in kv["tokens"]]
    vocab, scores, merges = {t: i for i, t in enumerate(texts)}, kv["scores"], []
    for text, i in vocab.items():
        for k in range(1, len(text)):
            if text[:k] in vocab and text[k:] in vocab:
                merges.append((-scores[i], vocab[text[:k]], vocab[text[k:]], (text[:k], text[k:])))
    merges = [m[3] for m in sorted(merges)]
    hf = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    space = normalizers.Replace(" ", "\u2581")
    hf.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), space]) \
        if kv.get("add_space_prefix", True) else space
    return {"tokenizers": lambda s: hf.encode(s, add_special_tokens=False).ids}


def wpm(kv):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    vocab = {}
    for i, t in enumerate(kv["tokens"]):
        t = t.decode("utf-8", "replace")
        vocab[t[1:] if t.startswith("\u2581") else t if t.startswith("[") else "##" + t] = i
    hf = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=1 << 30))
    hf.normalizer = normalizers.BertNormalizer(lowercase=True)
    hf.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return {"tokenizers": lambda s: hf.encode(s, add_special_tokens=False).ids}


def ugm(kv):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    pieces = [(t.decode("utf-8", "replace"), s) for t, s in zip(kv["tokens"], kv["scores"])]
    hf = Tokenizer(models.Unigram(pieces, kv.get("unknown_token_id", 2)))
    parts = []
    if "precompiled_charsmap" in kv:
        parts.append(normalizers.Precompiled(bytes(b & 255 for b in kv["precompiled_charsmap"])))
    if kv.get("remove_extra_whitespaces"):
        parts += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    hf.normalizer = normalizers.Sequence(parts)
    hf.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return {"tokenizers": lambda s: hf.encode(s, add_special_tokens=False).ids}


KINDS = {b"gpt2": bpe, b"gemma4": bpe, b"llama": spm, b"bert": wpm, b"t5": ugm}


def requests(text):
    out, start = [], 0
    while start < len(text):
        end = text.find("\n", start + CHUNK)
        end = len(text) if end < 0 else end + 1
        out.append(text[start:end])
        start = end
    return out


def run_other(encode, parts):
    count, start = 0, time.process_time()
    for part in parts:
        count += len(encode(part))
    return time.process_time() - start, count


def cut(path, size):
    """The same beginning of a text for everybody: the others are too slow for all of it."""
    data = open(path, "rb").read(size)
    return data.decode("utf-8", "ignore")


def main():
    args = sys.argv[1:]
    program, vocabs, texts = args[0], args[1:args.index("--")], args[args.index("--") + 1:]
    for path in vocabs:
        kv = read_gguf(path)
        others = KINDS[kv["model"]](kv)
        best, ids = {}, {}
        for _ in range(ROUNDS):
            run = subprocess.run([program, path, *texts], capture_output=True, check=True, text=True)
            ours = json.loads(run.stdout)
            for text in texts:
                mine = ours["texts"][text]
                best["cria", text] = max(best.get(("cria", text), 0), mine["mbs"])
                ids["cria", text] = mine["ids"]
                parts = requests(cut(text, 10_000_000))
                size = sum(len(p.encode()) for p in parts)
                for name, encode in others.items():
                    seconds, ids[name, text] = run_other(encode, parts)
                    best[name, text] = max(best.get((name, text), 0), size / 1e6 / seconds)
        name = re.sub(r"\.gguf$", "", os.path.basename(path))
        print(f"{name}: {ours['tokens']} tokens, opened in {ours['load_ms']:.0f} ms")
        for text in texts:
            line = f"  {os.path.basename(text):12} cria {best['cria', text]:6.1f}"
            for other in others:
                speed = best[other, text]
                share = ids[other, text] / ids["cria", text]
                line += f"   {other} {speed:5.1f} ({best['cria', text] / speed:4.1f}x) [{share:.4f}]"
            print(line, flush=True)


if __name__ == "__main__":
    main()
