"""Byte-level BPE for cria-tiny: trained on the corpus, applied as pre-tokeniser `llama-bpe` does.

Ids: 0..255 the bytes, then one token per merge, then the special tokens.  Pieces with digits
take no part in the training, so every digit is a token of its own and sums stay learnable.
"""

import collections
import json
import re

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
SPECIAL = CONTROL + USER

# The llama3 expression; \p{L} is [^\W\d_] and \p{N} is \d in Python's re.
PIECES = re.compile(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
    r"|(?:[^\r\n\w]|_)?[^\W\d_]+|\d{1,3}| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPLIT = re.compile("(" + "|".join(re.escape(s) for s in sorted(SPECIAL, key=len)[::-1]) + ")")


def byte_characters():
    """The printable stand-in of every byte: itself, or the next free code point from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, extra = {}, 0x100
    for byte in range(256):
        if byte in plain:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(extra)
            extra += 1
    return table


BYTE_CHARACTERS = byte_characters()


def visible(piece):
    return "".join(BYTE_CHARACTERS[b] for b in piece.encode("utf-8"))


def merge_word(symbols, left, right):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == left and symbols[i + 1] == right:
            out.append(left + right)
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


class PairCounts:
    """Counts of adjacent pairs over all words, kept up to date while words are merged."""
    def __init__(self, words):
        self.words = [(list(w), n) for w, n in sorted(words.items())]
        self.counts, self.where = collections.Counter(), collections.defaultdict(set)
        for i in range(len(self.words)):
            self.add(i, 1)

    def add(self, i, sign):
        symbols, n = self.words[i]
        for pair in zip(symbols, symbols[1:]):
            self.counts[pair] += sign * n
            self.where[pair].add(i)

    def best(self):
        """The most frequent pair; the smaller text wins a tie, so the result is fixed."""
        return min(self.counts, key=lambda p: (-self.counts[p], p))

    def merge(self, pair):
        for i in sorted(self.where.pop(pair)):
            self.add(i, -1)
            self.words[i] = (merge_word(self.words[i][0], *pair), self.words[i][1])
            self.add(i, 1)
        del self.counts[pair]


def train(texts, size):
    """-> list of merges (left, right) so that bytes + new texts + specials = size tokens."""
    words = collections.Counter()
    for text in texts:
        for part in SPLIT.split(text):
            if part not in SPECIAL:
                words.update(p for p in PIECES.findall(part) if not p.isdigit())
    pairs = PairCounts(collections.Counter({visible(w): n for w, n in words.items()}))
    merges, known = [], set(BYTE_CHARACTERS.values())
    while len(known) + len(SPECIAL) < size:
        pair = pairs.best()
        pairs.merge(pair)
        merges.append(pair)
        known.add(pair[0] + pair[1])
    return merges


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        texts = [BYTE_CHARACTERS[b] for b in range(256)] + [a + b for a, b in self.merges]
        self.tokens = list(dict.fromkeys(texts)) + list(SPECIAL)
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        self.ranks = {m: i for i, m in reversed(list(enumerate(self.merges)))}
        self.cache = {}
        self.bytes = {c: b for b, c in BYTE_CHARACTERS.items()}

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as f:
            return cls(json.load(f))

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(self.merges, f, ensure_ascii=False)

    def encode_piece(self, piece):
        text = visible(piece)
        if text in self.ids:
            return [self.ids[text]]
        symbols = list(text)
        while len(symbols) > 1:
            rank, i = min((self.ranks.get(p, 1 << 30), i)
                          for i, p in enumerate(zip(symbols, symbols[1:])))
            if rank == 1 << 30:
                break
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        return [self.ids[s] for s in symbols]

    def encode(self, text):
        out = []
        for part in SPLIT.split(text):
            if part in SPECIAL:
                out.append(self.ids[part])
                continue
            for piece in PIECES.findall(part):
                if piece not in self.cache:
                    self.cache[piece] = self.encode_piece(piece)
                out += self.cache[piece]
        return out

    def decode(self, ids, special=True):
        """Text of ids; control tokens are left out unless `special`."""
        out = bytearray()
        for i in ids:
            token = self.tokens[i]
            if token in SPECIAL:
                out += token.encode() if special or token in USER else b""
            else:
                out += bytes(self.bytes[c] for c in token)
        return out.decode("utf-8", "replace")
