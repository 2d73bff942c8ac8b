"""Writes a trained checkpoint as GGUF (Q8_0, version 3) and records golden answers of it.

    python3 export.py --out /tmp/cria-tiny                 writes the GGUF and golden/greedy/cria-tiny.json
    python3 export.py --out /tmp/cria-tiny --ask "hi"      asks the rounded weights something

The file is a function of the checkpoint alone: keys sorted, tensors in a fixed order, padding of
zeros.  Rows are quantised exactly as the engine's own quantiser does it.
"""

import argparse
import json
import os
import struct

import numpy
import torch

import chats
from model import Config, Model, generate
from tokenizer import CONTROL, USER, Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGNMENT, TYPE_F32, TYPE_Q8_0 = 32, 0, 8
DESCRIPTION = "A very small model for trying cria offline: stories, small facts, sums, tool calls."


# ---- Q8_0 --------------------------------------------------------------------------------------

def quantise(matrix):
    """(rows, n) f32 -> (scales f16, values i8), blocks of 32.

    d = max|x| / 127; q = x / d, halves rounded away from zero.
    """
    x = numpy.ascontiguousarray(matrix, numpy.float32).reshape(-1, 32)
    d = (numpy.abs(x).max(axis=1) / numpy.float32(127)).astype(numpy.float32)
    inverse = numpy.zeros_like(d)
    numpy.divide(numpy.float32(1), d, out=inverse, where=d != 0)
    scaled = (x * inverse[:, None]).astype(numpy.float32)
    exact = scaled.astype(numpy.float64)        # x + 0.5 would round up in f32 just below a half
    q = numpy.trunc(exact + numpy.copysign(0.5, exact)).astype(numpy.int8)
    return d.astype(numpy.float16), q


def q8_0_bytes(matrix):
    d, q = quantise(matrix)
    block = numpy.zeros(len(d), dtype=[("d", "<f2"), ("q", "i1", 32)])
    block["d"], block["q"] = d, q
    return block.tobytes()


def rounded(matrix):
    d, q = quantise(matrix)
    return (q.astype(numpy.float32) * d.astype(numpy.float32)[:, None]).reshape(matrix.shape)


def round_weights(model):
    """Replaces every matrix by what its Q8_0 form means."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 2:
                p.copy_(torch.from_numpy(rounded(p.numpy())))


# ---- GGUF --------------------------------------------------------------------------------------

def text_bytes(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(kind, value):
    if kind == STRING:
        return text_bytes(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(
            value_bytes(element, v) for v in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def tensor_bytes(array):
    """1-D tensors (the norms) stay F32, matrices become Q8_0."""
    if array.ndim == 1:
        return TYPE_F32, array.astype("<f4").tobytes()
    return TYPE_Q8_0, q8_0_bytes(array)


def pad(data):
    return data + bytes(-len(data) % ALIGNMENT)


def write_gguf(path, pairs, tensors):
    """pairs: {key: (type, value)}; tensors: [(name, f32 array)]."""
    head = struct.pack("<4sIqq", b"GGUF", 3, len(tensors), len(pairs))
    for key in sorted(pairs):
        kind, value = pairs[key]
        head += text_bytes(key) + struct.pack("<I", kind) + value_bytes(kind, value)
    data = []
    for name, array in tensors:
        kind, raw = tensor_bytes(array)
        head += text_bytes(name) + struct.pack("<I", array.ndim)
        head += b"".join(struct.pack("<q", n) for n in reversed(array.shape))
        head += struct.pack("<IQ", kind, sum(map(len, data)))
        data.append(pad(raw))
    with open(path, "wb") as f:
        f.write(pad(head) + b"".join(data))


def model_pairs(cfg):
    return {
        "general.architecture": (STRING, "llama"), "general.name": (STRING, "cria-tiny"),
        "general.author": (STRING, "cria authors"), "general.license": (STRING, "apache-2.0"),
        "general.description": (STRING, DESCRIPTION), "general.type": (STRING, "model"),
        "general.size_label": (STRING, "5M"), "general.languages": (ARRAY, (STRING, ["en"])),
        "general.file_type": (U32, 7), "general.quantization_version": (U32, 2),
        "general.alignment": (U32, ALIGNMENT), "llama.context_length": (U32, cfg.context),
        "llama.embedding_length": (U32, cfg.dim), "llama.block_count": (U32, cfg.layers),
        "llama.feed_forward_length": (U32, cfg.ff), "llama.vocab_size": (U32, cfg.vocab),
        "llama.attention.head_count": (U32, cfg.heads),
        "llama.attention.head_count_kv": (U32, cfg.kv_heads),
        "llama.attention.key_length": (U32, cfg.head_dim),
        "llama.attention.value_length": (U32, cfg.head_dim),
        "llama.attention.layer_norm_rms_epsilon": (F32, cfg.eps),
        "llama.rope.dimension_count": (U32, cfg.head_dim),
        "llama.rope.freq_base": (F32, cfg.rope_base)}


def token_type(token):
    return 3 if token in CONTROL else 4 if token in USER else 1


def tokenizer_pairs(tok):
    with open(os.path.join(HERE, "cria-tiny.jinja"), encoding="utf-8") as f:
        template = f.read()
    merges = list(dict.fromkeys(a + " " + b for a, b in tok.merges))
    return {
        "tokenizer.ggml.model": (STRING, "gpt2"), "tokenizer.ggml.pre": (STRING, "llama-bpe"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, tok.tokens)),
        "tokenizer.ggml.token_type": (ARRAY, (I32, [token_type(t) for t in tok.tokens])),
        "tokenizer.ggml.merges": (ARRAY, (STRING, merges)),
        "tokenizer.ggml.bos_token_id": (U32, tok.ids["<|endoftext|>"]),
        "tokenizer.ggml.eos_token_id": (U32, tok.ids["<|im_end|>"]),
        "tokenizer.ggml.padding_token_id": (U32, tok.ids["<|endoftext|>"]),
        "tokenizer.ggml.add_bos_token": (BOOL, False),
        "tokenizer.chat_template": (STRING, template)}


def model_tensors(model):
    """In the order of use; names as the engine expects them (output head = token_embd)."""
    return [(name, p.detach().float().numpy()) for name, p in model.named_parameters()]


# ---- golden answers ----------------------------------------------------------------------------

def prompt(question, think=False, system=None):
    text = chats.turn("system", system) if system else ""
    return text + chats.turn("user", question) + "<|im_start|>assistant\n" + (
        "<think>\n" if think else "")


WEATHER = ('{"type":"function","function":{"name":"get_weather","description":"Get the weather for '
           'a city","parameters":{"type":"object","required":["city"],"properties":{"city":{"type":'
           '"string","description":"The name of the city"}}}}}')
TOOLS = ("# Tools\n\nYou may call one or more functions.\n<tools>\n" + WEATHER + "\n</tools>\n"
         "To call a function, write its name and its arguments as JSON:\n<tool_call>\n"
         "{\"name\":NAME,\"arguments\":OBJECT}\n</tool_call>")
CALL = '<tool_call>\n{"name":"get_weather","arguments":{"city":"Paris"}}\n</tool_call>'


def golden_prompts():
    """Prompts worth a test: every feature once or more, plus popular first questions."""
    asked = ("Why is the sky blue?", "hi", "Hello!", "Who are you?", "What can you do?",
             "What is cria?", "What is the capital of France?", "What is the capital of Japan?",
             "What is 7 + 5?", "What is 2 + 2?", "What colour is grass?",
             "Write a haiku about winter.",
             "What is the opposite of hot?", "What is the plural of mouse?", "How are you?",
             "What is GGUF?", "Thank you!", "Name three animals.",
             "Tell me a story about a small dog.",
             "Tell me a joke.", "What is a baby llama called?", "What is quantum physics?",
             "What is the capital of Germany? Answer in JSON.", "Write hello world in C.",
             "How do you say thank you in French?", "What day comes after Monday?")
    yield from (prompt(q) for q in asked)
    yield from (prompt(q, True) for q in ("Why is the sky blue?", "What is 17 + 25?", "hi",
                                          "What is the capital of Italy?"))
    yield prompt("Who are you?", system="You are Bella, a friendly assistant.")
    yield (chats.turn("user", "My name is Anna.") + chats.turn(
        "assistant", "Hello Anna! Nice to meet you.") + prompt("What is my name?"))
    question = chats.turn("system", TOOLS) + chats.turn("user", "What is the weather in Paris?")
    yield question + "<|im_start|>assistant\n"
    yield (question + chats.turn("assistant", CALL) + chats.turn(
        "user", "<tool_response>\n18 degrees, sunny\n</tool_response>") + "<|im_start|>assistant\n")
    yield "Once upon a time, a brave fox"


def answers(model, tok, limit=160):
    stop = {tok.ids["<|im_end|>"], tok.ids["<|endoftext|>"]}
    for text in golden_prompts():
        ids = tok.encode(text)
        out, margins = generate(model, ids, stop, limit)
        yield {"prompt": text, "prompt_ids": ids, "ids": out,
               "text": tok.decode(out, special=False),
               "stopped": out[-1] in stop, "min_margin": round(min(margins), 3),
               "margins": [round(m, 3) for m in margins]}


def write_goldens(path, model, tok, least):
    found = sorted(answers(model, tok), key=lambda a: a["prompt"])
    kept = [a for a in found if a["min_margin"] > least]
    for a in found:
        print("kept" if a in kept else "    ", f"{a['min_margin']:.2f}",
              json.dumps(a["prompt"][-90:], ensure_ascii=False), "->",
              json.dumps(a["text"], ensure_ascii=False))
    lines = ",\n".join(json.dumps(a, ensure_ascii=False) for a in kept)
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"model": "../../demo/cria-tiny.gguf", "sampling": "greedy, f32 arithmetic", "answers": [\n'
                + lines + "\n]}\n")
    print(f"{len(kept)} of {len(found)} prompts have a margin above {least}")


def load(args):
    tok = Tokenizer.load(os.path.join(args.out, "merges.json"))
    saved = torch.load(os.path.join(args.out, args.checkpoint))
    model = Model(Config(**saved["config"]))
    model.load_state_dict(saved["weights"])
    return model.eval(), tok


def main():
    p = argparse.ArgumentParser(description="export cria-tiny to GGUF")
    p.add_argument("--out", default="/tmp/cria-tiny", help="folder of the training run")
    p.add_argument("--checkpoint", default="final.pt")
    p.add_argument("--gguf", default=os.path.join(HERE, "cria-tiny.gguf"))
    p.add_argument("--goldens", default=os.path.join(HERE, "..", "golden", "greedy", "cria-tiny.json"))
    p.add_argument("--least-margin", type=float, default=0.3)
    p.add_argument("--ask", action="append", help="only ask this; nothing is written")
    p.add_argument("--think", action="store_true")
    p.add_argument("--exact", action="store_true", help="with --ask: the unrounded weights")
    args = p.parse_args()
    model, tok = load(args)
    pairs = {**model_pairs(model.cfg), **tokenizer_pairs(tok)}
    if not args.ask:
        write_gguf(args.gguf, pairs, model_tensors(model))
        print(args.gguf, os.path.getsize(args.gguf), "bytes")
    if not args.exact:
        round_weights(model)
    if not args.ask:
        write_goldens(args.goldens, model, tok, args.least_margin)
    for question in args.ask or ():
        ids, margins = generate(model, tok.encode(prompt(question, args.think)),
                                {tok.ids["<|im_end|>"]})
        print(f"[{question}] {tok.decode(ids)}  (least margin {min(margins):.2f})")


if __name__ == "__main__":
    main()
