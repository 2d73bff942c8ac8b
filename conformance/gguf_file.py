"""GGUF files as Python values, for tests that make their own: read, change, write (spec/gguf.md 1)."""
import struct

ALIGN = 32
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
U32, I32, F32, BOOL = 4, 5, 6, 7


class Gguf:
    """keys: name -> (type, value), value of an array (element type, list); tensors: name -> (dims, type, bytes)."""

    def __init__(self, data=None):
        self.keys, self.tensors = {}, {}
        if data is not None:
            self._parse(data)

    def _parse(self, data):
        _, _, n_tensors, n_keys = struct.unpack_from("<4sIQQ", data, 0)
        at = 24

        def take(form):
            nonlocal at
            value = struct.unpack_from("<" + form, data, at)
            at += struct.calcsize("<" + form)
            return value if len(value) > 1 else value[0]

        def text():
            return take(f"{take('Q')}s").decode("utf-8", "surrogateescape")

        def value(kind):
            if kind == STRING:
                return text()
            if kind != ARRAY:
                return take(SCALARS[kind])
            elem, n = take("I"), take("Q")
            return elem, [value(elem) for _ in range(n)]

        for _ in range(n_keys):
            name, kind = text(), take("I")
            self.keys[name] = kind, value(kind)
        heads = []
        for _ in range(n_tensors):
            name, n_dims = text(), take("I")
            dims = [take("Q") for _ in range(n_dims)]
            heads.append((name, dims, take("I"), take("Q")))
        start = -(-at // ALIGN) * ALIGN
        ends = sorted(h[3] for h in heads)[1:] + [len(data) - start]
        order = sorted(range(len(heads)), key=lambda i: heads[i][3])
        for end, i in zip(ends, order):
            name, dims, kind, offset = heads[i]
            self.tensors[name] = dims, kind, data[start + offset:start + end]

    def rename(self, pairs):
        """Each (old, new) in order, in every tensor name, once."""
        for old, new in pairs:
            self.tensors = {name.replace(old, new, 1): t for name, t in self.tensors.items()}

    def bytes(self):
        def text(s):
            raw = s.encode("utf-8", "surrogateescape")
            return struct.pack("<Q", len(raw)) + raw

        def value(kind, x):
            if kind == STRING:
                return text(x)
            if kind != ARRAY:
                return struct.pack("<" + SCALARS[kind], x)
            return struct.pack("<IQ", x[0], len(x[1])) + b"".join(value(x[0], v) for v in x[1])

        head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.keys))
        for name, (kind, x) in self.keys.items():
            head += text(name) + struct.pack("<I", kind) + value(kind, x)
        data = b""
        for name, (dims, kind, raw) in self.tensors.items():
            head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
            data += raw + bytes(-len(raw) % ALIGN)
        return head + bytes(-len(head) % ALIGN) + data


def read(path):
    with open(path, "rb") as f:
        return Gguf(f.read())
