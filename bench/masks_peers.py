#!/usr/bin/env python3
"""Masks of XGrammar and llguidance on what `bench-masks ... TOKENS.txt` has written.

    pip install xgrammar llguidance
    python3 bench/masks_peers.py TOKENS.txt SCHEMA.json

Processor time of one thread; the same document, schema and vocabulary; the mask before each token. "first" is with a
freshly compiled grammar, "again" a second pass over the same document with it.
"""
import statistics
import sys
import time


def read_tokens(path):
    with open(path, encoding="ascii") as file:
        document = [int(x) for x in file.readline().split()]
        eos = int(file.readline())
        return document, eos, [bytes.fromhex(line.strip()) for line in file]


def report(what, times):
    us = sorted(t / 1e3 for t in times)
    print(f"{what:22} mean {statistics.fmean(us):7.1f}  median {us[len(us) // 2]:7.1f}"
          f"  p99 {us[-1 - len(us) // 100]:7.1f}  max {us[-1]:7.1f} us")


def timed(function):
    begin = time.thread_time_ns()
    result = function()
    return result, time.thread_time_ns() - begin


def xgrammar(document, eos, tokens, schema):
    import xgrammar as xgr
    info = xgr.TokenizerInfo([t or b"<none>" for t in tokens], xgr.VocabType.RAW, stop_token_ids=[eos])
    bitmask = xgr.allocate_token_bitmask(1, len(tokens))
    compiles, passes = [], {"first": [], "again": []}
    for _ in range(5):
        compiler = xgr.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        compiled, spent = timed(lambda: compiler.compile_json_schema(schema, any_whitespace=True))
        compiles.append(spent / 1e6)
        for times in passes.values():
            matcher = xgr.GrammarMatcher(compiled)
            for token in document:
                times.append(timed(lambda: matcher.fill_next_token_bitmask(bitmask))[1])
                assert matcher.accept_token(token)
    print(f"xgrammar {xgr.__version__ if hasattr(xgr, '__version__') else ''}: compile {statistics.median(compiles):.2f} ms")
    for what, times in passes.items():
        report(what, times)


def llguidance(document, eos, tokens, schema):
    import llguidance
    import numpy

    class Tokenizer:
        eos_token_id, bos_token_id = eos, None
        special_token_ids = [eos]

        def __init__(self):
            self.tokens = [t or b"\xff<none>" for t in tokens]

        def __call__(self, text):
            return []

    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Tokenizer()))
    mask = numpy.zeros((len(tokens) + 31) // 32, dtype=numpy.int32)
    grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
    compiles, passes = [], {"first": [], "again": []}
    for _ in range(5):
        matcher, spent = timed(lambda: llguidance.LLMatcher(tokenizer, grammar, log_level=0))
        compiles.append(spent / 1e6)
        for what, times in passes.items():
            if what == "again":
                matcher.reset()
            for token in document:
                times.append(timed(lambda: matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes))[1])
                assert matcher.consume_token(token), matcher.get_error()
    print(f"llguidance: compile {statistics.median(compiles):.2f} ms")
    for what, times in passes.items():
        report(what, times)


def main():
    document, eos, tokens = read_tokens(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        schema = file.read()
    for engine in (xgrammar, llguidance):
        try:
            engine(document, eos, tokens, schema)
        except Exception as error:  # the other one may work
            print(f"{engine.__name__}: {error!r}")


if __name__ == "__main__":
    main()
