"""Comparing an answer with a recorded one.

Patterns and streams are described in golden/api/README.md: a plain value must be equal, an object is
closed unless it says "$open", texts that begin with "$" are placeholders. Every function returns a
list of differences as text; an empty list is a match.
"""
import copy
import datetime
import json
import re
import time

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")


def is_int(v):
    return isinstance(v, int) and not isinstance(v, bool)


def is_num(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def is_json(text):
    try:
        json.loads(text)
    except (TypeError, ValueError):
        return False
    return True


def in_seconds(v, arg):
    """A time stamp that lies lo..hi seconds from now; a year far ahead means for ever."""
    if not (isinstance(v, str) and RFC3339.match(v)):
        return False
    lo, hi = (float(a) for a in arg.split(","))
    if int(v[:4]) > 2200:
        return hi > 1e9
    parts = re.match(r"^(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)$", v)
    stamp = datetime.datetime.fromisoformat(parts[1] + (parts[3] if parts[3] != "Z" else "+00:00"))
    return lo <= stamp.timestamp() - time.time() <= hi


def near(v, arg):
    x, tolerance = (float(a) for a in arg.split(","))
    return is_num(v) and abs(v - x) <= tolerance


def list_of(kind):
    return lambda v, arg: (isinstance(v, list) and all(kind(x) for x in v) and
                           (arg == "" or len(v) == int(arg)))


def matches(pattern):
    return lambda v, _: isinstance(v, str) and re.match(pattern, v) is not None


# Placeholder "$name:arg" -> test(value, arg).
PLACEHOLDERS = {
    "any": lambda v, _: True,
    "null": lambda v, _: v is None,
    "bool": lambda v, _: isinstance(v, bool),
    "num": lambda v, _: is_num(v),
    "int": lambda v, _: is_int(v),
    "seq": lambda v, _: is_int(v),
    "posint": lambda v, _: is_int(v) and v > 0,
    "duration_ns": lambda v, _: is_int(v) and v > 0,
    "str": lambda v, _: isinstance(v, str),
    "text": lambda v, _: isinstance(v, str) and v != "",
    "unix": lambda v, _: is_int(v) and abs(v - time.time()) < 86400,
    "rfc3339": lambda v, _: isinstance(v, str) and RFC3339.match(v) is not None,
    "in_s": in_seconds,
    "sha256": matches(r"^[0-9a-f]{64}$"),
    "digest": matches(r"^sha256:[0-9a-f]{64}$"),
    "re": lambda v, arg: isinstance(v, str) and re.search(arg, v, re.S) is not None,
    "contains": lambda v, arg: isinstance(v, str) and arg in v,
    "json": lambda v, _: is_json(v),
    "jsoneq": lambda v, arg: is_json(v) and json.loads(v) == json.loads(arg),
    "near": near,
    "ints": list_of(is_int),
    "floats": list_of(is_num),
}


def short(v):
    text = json.dumps(v, ensure_ascii=False)
    return text if len(text) < 160 else text[:150] + "..."


def unescape(text):
    """A pattern's "$$x" is the plain text "$x"."""
    return text[1:] if text.startswith("$$") else text


def is_placeholder(p):
    return isinstance(p, str) and p.startswith("$") and not p.startswith("$$")


# ---- values ----------------------------------------------------------------------------------------


def diff(p, v, path="$"):
    """Differences between pattern p and value v."""
    wrong = [f"{path}: want {short(p)}, got {short(v)}"]
    if is_placeholder(p):
        name, _, arg = p[1:].partition(":")
        if name not in PLACEHOLDERS:
            raise ValueError("unknown placeholder " + p)
        return [] if PLACEHOLDERS[name](v, arg) else wrong
    if isinstance(p, str):
        return [] if unescape(p) == v else wrong
    if isinstance(p, bool) or p is None:
        return [] if p is v else wrong
    if is_num(p):
        return [] if is_num(v) and p == v else wrong
    if isinstance(p, list):
        return diff_list(p, v, path)
    for key, compare_special in SPECIAL.items():
        if key in p:
            return compare_special(p, v, path)
    return diff_object(p, v, path)


def diff_list(p, v, path):
    if not isinstance(v, list):
        return [f"{path}: want array, got {short(v)}"]
    if len(p) != len(v):
        return [f"{path}: want {len(p)} elements, got {len(v)}: {short(v)}"]
    return [d for i, (a, b) in enumerate(zip(p, v)) for d in diff(a, b, f"{path}[{i}]")]


def diff_object(p, v, path):
    if not isinstance(v, dict):
        return [f"{path}: want object, got {short(v)}"]
    out, seen = [], set()
    for key, want in p.items():
        if key == "$open":
            continue
        name = key[1:] if key.startswith("?") else key
        seen.add(name)
        if name in v:
            out += diff(want, v[name], f"{path}.{name}")
        elif name == key:
            out.append(f"{path}.{name}: missing")
    if not p.get("$open", False):
        out += [f"{path}.{key}: unexpected {short(v[key])}" for key in v if key not in seen]
    return out


def diff_each(p, v, path):
    if not isinstance(v, list):
        return [f"{path}: want array, got {short(v)}"]
    low, high = p.get("$min", 0), p.get("$max", 1 << 60)
    if not low <= len(v) <= high:
        return [f"{path}: {len(v)} elements, want {low}..{p.get('$max', 'any')}"]
    return [d for i, item in enumerate(v) for d in diff(p["$each"], item, f"{path}[{i}]")]


def diff_unordered(p, v, path):
    wants = p["$unordered"]
    if not isinstance(v, list) or len(v) != len(wants):
        return [f"{path}: want {len(wants)} elements in any order, got {short(v)}"]
    rest = list(v)
    for want in wants:
        found = next((i for i, item in enumerate(rest) if not diff(want, item)), None)
        if found is None:
            return [f"{path}: no element matches {short(want)} in {short(v)}"]
        del rest[found]
    return []


def diff_has(p, v, path):
    if not isinstance(v, list):
        return [f"{path}: want array, got {short(v)}"]
    return [f"{path}: no element matches {short(want)} in {short(v)}"
            for want in p["$has"] if all(diff(want, item) for item in v)]


def diff_oneof(p, v, path):
    if any(not diff(want, v) for want in p["$oneof"]):
        return []
    return [f"{path}: {short(v)} matches none of {short(p['$oneof'])}"]


def diff_lines(p, v, path):
    if not isinstance(v, str):
        return [f"{path}: want string, got {short(v)}"]
    return diff_unordered({"$unordered": p["$lines"]}, v.split("\n"), path)


SPECIAL = {"$each": diff_each, "$unordered": diff_unordered, "$has": diff_has, "$oneof": diff_oneof,
           "$lines": diff_lines}


# ---- streams ---------------------------------------------------------------------------------------

# Fields that carry a piece of text (or a list) and may be cut differently.
PIECES = [
    ("response",), ("thinking",), ("message", "content"), ("message", "thinking"), ("logprobs",),
    ("choices", 0, "text"), ("choices", 0, "delta", "content"), ("choices", 0, "delta", "reasoning"),
    ("choices", 0, "logprobs", "content"),
    ("delta",), ("delta", "text"), ("delta", "thinking"),
]


def dig(o, path):
    for key in path:
        try:
            o = o[key]
        except (KeyError, IndexError, TypeError):
            return None
    return o


def bury(o, path, value):
    for key in path[:-1]:
        o = o[key]
    o[path[-1]] = value


def payload(item):
    """The object that an item of a stream carries: an SSE item has it under "data"."""
    return item["data"] if isinstance(item, dict) and "data" in item and "event" in item else item


def split_pieces(item):
    """(the item with its pieces replaced by placeholders, {path: piece})"""
    shape, pieces = copy.deepcopy(item), {}
    data = payload(shape)
    if isinstance(data, dict):
        for path in PIECES:
            v = dig(data, path)
            if isinstance(v, (str, list)) and not is_placeholder(v):
                pieces[path] = v
                bury(data, path, "$str" if isinstance(v, str) else "$any")
    return shape, pieces


def join_runs(items):
    """Neighbours of the same shape as one: [shape, {path: joined piece}]"""
    runs = []
    for item in items:
        shape, pieces = split_pieces(item)
        if runs and runs[-1][0] == shape and pieces:
            for path, v in pieces.items():
                runs[-1][1][path] = runs[-1][1].get(path, v[:0]) + v
        else:
            runs.append([shape, dict(pieces)])
    return runs


def take_run(shape, pieces, got, i):
    """Items from got[i] on that belong to one run; (their joined pieces, how many, differences)"""
    joined, n = {}, 0
    while i + n < len(got):
        problems = diff(shape, got[i + n], f"chunk[{i + n}]")
        if problems:
            return joined, n, problems
        add = {path: dig(payload(got[i + n]), path) for path in pieces}
        more = {path: joined.get(path, v[:0]) + v for path, v in add.items() if v is not None}
        overrun = any(isinstance(v, str) and not unescape(pieces[path]).startswith(v)
                      for path, v in more.items())
        if n and (not any(add.values()) or overrun):
            break
        joined, n = more, n + 1
        if not pieces:
            break
    return joined, n, []


def diff_joined(want, got):
    """Compares streams without regard to how text was cut into neighbouring items."""
    i, out = 0, []
    for number, (shape, pieces) in enumerate(join_runs(want)):
        where = f"stream item {number}"
        joined, n, problems = take_run(shape, pieces, got, i)
        if n == 0:
            return out + [f"{where}: {x}" for x in problems[:4] or [f"nothing left, want {short(shape)}"]]
        i += n
        for path, v in pieces.items():
            name, mine = f"{where} {'.'.join(map(str, path))}", joined.get(path)
            if not isinstance(v, str):
                out += diff(v, mine, name)
            elif mine != unescape(v):
                out.append(f"{name}: want text {short(v)}, got {short(mine)}")
    if i < len(got):
        out.append(f"{len(got) - i} further chunks: {short(got[i])}")
    return out


def diff_runs(want, got):
    """Each pattern matches one or more items in a row ({"$opt": P}: none or more); nothing is left."""
    i = 0
    for number, p in enumerate(want):
        optional = "$opt" in p
        first, p = i, p["$opt"] if optional else p
        while i < len(got) and not diff(p, got[i]):
            i += 1
        if i == first and not optional:
            return [f"run {number}: want {short(p)}, got {short(got[i]) if i < len(got) else 'end of stream'}"]
    return [f"{len(got) - i} further chunks: {short(got[i])}"] if i < len(got) else []


def diff_stream(want, got, chunks):
    if isinstance(want, dict) and "$runs" in want:
        return diff_runs(want["$runs"], got)
    if isinstance(want, dict) or chunks == "exact":
        return diff(want, got)
    return diff_joined(want, got)


def diff_sequence(got):
    """Events of a stream are numbered from 0 where they are numbered."""
    return [f"chunk[{i}]: sequence_number {payload(item)['sequence_number']}, want {i}"
            for i, item in enumerate(got)
            if isinstance(payload(item), dict) and payload(item).get("sequence_number", i) != i]


# ---- answers ---------------------------------------------------------------------------------------


def parse_ndjson(body):
    return [json.loads(line) for line in body.decode("utf-8").split("\n") if line.strip()]


def parse_sse(body):
    out = []
    for block in body.decode("utf-8").split("\n\n"):
        event, data = None, []
        for line in block.split("\n"):
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif block.strip():
                raise ValueError("bad SSE line " + repr(line))
        text = "\n".join(data)
        if block.strip():
            out.append({"event": event, "data": text if text == "[DONE]" else json.loads(text)})
    return out


def diff_timings(o):
    """What holds in every answer with timings."""
    if not isinstance(o, dict):
        return []
    out, total = [], o.get("total_duration")
    if is_int(total):
        parts = sum(o.get(k, 0) for k in ("load_duration", "prompt_eval_duration", "eval_duration"))
        if parts > total * 1.02 + 5e6:
            out.append(f"durations add up to {parts}, total_duration is {total}")
    elif o.get("done") is True and o.get("done_reason") in ("stop", "length"):
        out.append("final answer without total_duration")
    return out


def diff_headers(want, got):
    out, values = [], {}
    for name, value in got:
        values.setdefault(name.lower(), []).append(value)
    for name, p in want.items():
        have = values.get(name.lower())
        if p is None:
            out += [f"header {name}: unexpected {have}"] if have else []
        elif isinstance(p, list):
            out += diff({"$unordered": p}, have or [], "header " + name)
        else:
            out += diff(p, ", ".join(have) if have else None, "header " + name)
    return out


def diff_body(want, body, chunks):
    if "json" in want:
        value = json.loads(body)
        return diff(want["json"], value) + diff_timings(value)
    if "ndjson" in want:
        got = parse_ndjson(body)
        return diff_stream(want["ndjson"], got, chunks) + (diff_timings(got[-1]) if got else [])
    if "sse" in want:
        got = parse_sse(body)
        return diff_stream(want["sse"], got, chunks) + diff_sequence(got)
    if "text" in want:
        return diff(want["text"], body.decode("utf-8"))
    return [f"body: want empty, got {body[:100]!r}"] if want.get("empty") and body else []


def diff_answer(want, answer, chunks="joined"):
    """answer: status, headers [(name, value)], body."""
    ok = want["status"] if isinstance(want["status"], list) else [want["status"]]
    if answer.status not in ok:
        return [f"status: want {want['status']}, got {answer.status} {answer.body[:200]!r}"]
    out = diff_headers(want.get("headers", {}), answer.headers)
    try:
        return out + diff_body(want, answer.body, chunks)
    except (ValueError, KeyError) as e:
        return out + [f"body: {e!r} in {answer.body[:200]!r}"]
