#!/usr/bin/env python3
"""Random JSON schemas, answers at a high temperature, and the jsonschema library as the judge.

    python3 conformance/random_schemas.py --bin build/cria --count 1000 [--seed N] [--model FILE.gguf]

Every answer that was not cut by its token limit must be JSON and valid; every cut one must be the
beginning of JSON text. The same schemas are asked with other seeds, streamed or not, several at a
time. The keywords are those that cria enforces; the schemas can all be satisfied.
"""
import argparse
import concurrent.futures
import datetime
import hashlib
import json
import os
import random
import re
import sys

from transport import Server, send

WORDS = ["name", "age", "id", "tags", "kind", "x", "näme", "a b", "", "k\"q", "deep", "item", "and", "an",
         "日本", "Ключ", "🙂", "e\u0301", "a/b~c", "tab\t", "\u2028", "back\\slash", "$ref", "type"]
PATTERNS = [r"^[a-z]{2,5}$", r"^\d{3}-\d{4}$", r"^(cat|dog)s?$", r"[0-9]+x", r"^[^a-m]{1,6}$", r"^\w+ \w+$",
            r"^(?=.*[0-9])[a-z0-9]{3,6}$", r"^#([0-9a-f]{3}){1,2}$", r"^.{3}$", r"^say \"hi\"$", r"^[\\/]+$"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4"]
CONSTANTS = [1, -2.5, 1e3, 0, "x", "", "é\n\"", None, True, False, [], {}, [1, {"a": []}], {"b": "c"}, [[], [None]],
             {"日本": {"x": [1.5, True]}, "": 0}]


class Schemas:
    """Draws schemas. `depth` is how much deeper values may still nest."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def string(self, depth):
        r, s = self.r, {"type": "string"}
        kind = r.randrange(6)
        if kind == 1:
            low = r.randrange(5)
            s.update(minLength=low, maxLength=low + r.randrange(12))
        elif kind == 2:
            s["pattern"] = r.choice(PATTERNS)
        elif kind == 3:
            s["format"] = r.choice(FORMATS)
        elif kind == 4:
            s["enum"] = r.sample(WORDS, r.randint(1, 4))
        elif kind == 5:
            s["maxLength"] = r.randrange(30)
        if kind == 2 and r.random() < 0.3:
            s["maxLength"] = 40  # beside a pattern, which it leaves possible
        return s

    def integer(self, depth):
        r, s = self.r, {"type": "integer"}
        low = r.randint(-10 ** r.randrange(1, 7), 10 ** r.randrange(1, 7))
        if r.random() < 0.6:
            s["exclusiveMinimum" if r.random() < 0.3 else "minimum"] = low
        if r.random() < 0.6:
            s["exclusiveMaximum" if r.random() < 0.3 else "maximum"] = low + 60 + r.randrange(10 ** r.randrange(1, 6))
        if r.random() < 0.3:
            s["multipleOf"] = r.choice([2, 3, 5, 7, 10, 12])
        return s

    def number(self, depth):
        r, s = self.r, {"type": "number"}
        low = round(r.uniform(-1000, 1000), r.randrange(4))
        kind = r.randrange(5)
        if kind == 1:
            s["minimum"] = low
        elif kind == 2:
            s.update(exclusiveMinimum=low, maximum=low + r.choice([0.5, 1, 12.25, 400]))
        elif kind == 3:
            s[r.choice(["exclusiveMinimum", "minimum"])] = 0
        elif kind == 4:
            s["multipleOf"] = r.choice([1, 5, 0.5, 0.25])
        return s

    def array(self, depth):
        r, s = self.r, {"type": "array"}
        kind = r.randrange(5)
        if kind == 0:
            s["prefixItems"] = [self.any(depth - 1) for _ in range(r.randint(1, 3))]
            s["items"] = r.choice([False, self.any(0)])
        else:
            s["items"] = self.any(depth - 1)
        if kind == 1:
            low = r.randrange(3)
            s.update(minItems=low, maxItems=low + r.randrange(4))
        elif kind == 2:
            s["maxItems"] = r.randint(1, 4)
            s["contains"] = s["items"]
        elif kind == 3:
            s["minItems"] = r.randrange(3)
        elif kind == 4 and r.random() < 0.5:
            s["contains"] = {"const": r.choice(CONSTANTS)}
            s["items"] = {"anyOf": [s["items"], s["contains"]]}
        return s

    def object(self, depth):
        r = self.r
        names = r.sample(WORDS, r.randint(0, 5))
        s = {"type": "object", "properties": {n: self.any(depth - 1) for n in names}}
        s["required"] = [n for n in names if r.random() < 0.5]
        kind = r.randrange(9)
        if kind == 6:  # names of which some are required, none declared
            s = {"type": "object", "required": r.sample(WORDS, r.randint(1, 2)), "additionalProperties": self.any(0)}
        elif kind == 7:
            s = {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,4}$"}, "maxProperties": 3,
                 "minProperties": r.randrange(3), "additionalProperties": self.any(depth - 1)}
        elif kind == 8:
            s = {"type": "object", "patternProperties": {"^[a-f]+$": self.any(0), "^.{2}$": self.any(0)},
                 "additionalProperties": False, "minProperties": 1, "maxProperties": 4}
            if r.random() < 0.5:  # both patterns at once: the values must suit both schemas
                s["patternProperties"]["^.{2}$"] = s["patternProperties"]["^[a-f]+$"]
            else:
                s["patternProperties"] = {"^[a-f]+$": self.any(0), "^[g-z]{2}$": self.any(0)}
        elif kind == 0:
            s["additionalProperties"] = False
        elif kind == 1:
            s["additionalProperties"] = self.any(0)
        elif kind == 2:
            s["maxProperties"] = max(len(s["required"]), r.randint(1, 4))
            s["additionalProperties"] = False
        elif kind == 3:
            s["patternProperties"] = {"^n_": self.any(0), "[0-9]$": {"type": "integer"}}
            s["additionalProperties"] = {"type": "string"}
        return s

    def choice(self, depth):
        r = self.r
        kind = r.randrange(9)
        if kind == 4:  # told apart by a constant, the usual way of unions
            return {"oneOf": [{"type": "object", "properties": {"kind": {"const": name}, "v": self.any(depth - 1)},
                               "required": ["kind", "v"], "additionalProperties": False}
                              for name in r.sample(["a", "b", "c", 1, None], 3)]}
        if kind == 5:
            return {"const": r.choice(CONSTANTS)}
        if kind == 6:
            return {"allOf": [{"type": "object", "properties": {"a": self.any(0)}, "required": ["a"]},
                              {"type": "object", "properties": {"b": self.any(depth - 1), "c": self.any(0)},
                               "required": ["b"]}]}
        if kind == 7:
            return {"type": r.sample(["null", "boolean", "integer", "string"], 2), "maxLength": 5, "minimum": -9, "maximum": 99}
        if kind == 8:
            return {"anyOf": [{"minimum": 10}, {"maximum": -10}], "type": "integer", "not": {"type": "string"}}
        if kind == 0:
            return {"anyOf": [self.any(depth - 1) for _ in range(r.randint(2, 3))]}
        if kind == 1:
            return {"oneOf": [{"type": "null"}, self.string(0), self.integer(0)]}
        if kind == 2:
            return {"enum": r.sample(CONSTANTS, r.randint(1, 6))}
        return {"allOf": [{"type": "integer", "minimum": r.randrange(10)}, {"maximum": 10 + r.randrange(90)}]}

    def forest(self):
        """Definitions that name each other, under names that have to be escaped; and the root itself."""
        names = self.r.sample(["a/b", "c~d", "e f", "日本", "g%"], 3)

        def to(name):
            return {"$ref": "#/$defs/" + name.replace("~", "~0").replace("/", "~1").replace("%", "%25")}
        defs = {name: {"type": "object", "properties": {"leaf": self.any(0), "more": {
            "type": "array", "items": {"anyOf": [to(other) for other in names]}, "maxItems": 2}},
            "required": ["leaf"], "additionalProperties": False} for name in names}
        return {"type": "object", "properties": {"tree": to(names[0]), "self": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
                "required": ["tree", "self"], "additionalProperties": False, "$defs": defs}

    def recursive(self):
        item = {"type": "object", "properties": {"v": self.integer(0), "next": {"anyOf": [
            {"type": "null"}, {"$ref": "#/$defs/node"}]}}, "required": ["v", "next"]}
        return {"$ref": "#/$defs/node", "$defs": {"node": item}}

    def any(self, depth):
        kinds = [self.string, self.integer, self.number, lambda d: {"type": self.r.choice(["null", "boolean"])}]
        if depth > 0:
            kinds += [self.array, self.object, self.object, self.choice]
        return self.r.choice(kinds)(depth)

    def draw(self):
        chance = self.r.random()
        if chance < 0.1:
            return self.recursive() if chance < 0.05 else self.forest()
        return self.any(3)


def is_time(text):
    """RFC 3339: a time of day with an offset."""
    if not re.fullmatch(r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        return False
    try:
        datetime.time.fromisoformat(text.replace("Z", "+00:00"))
        return True
    except ValueError:
        return False


def is_beginning(text):
    """Whether some JSON text begins so: closes what is open and tries a few endings."""
    closers, in_string, escaped = [], False, False
    for c in text:
        if in_string:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "{[":
            closers.append("}" if c == "{" else "]")
        elif c in "}]":
            if not closers or closers.pop() != c:
                return False
    endings = ["", "0", ".0", '"":0', '":0', '":null', ":0", "null", "e0", '"']
    endings += [w[i:] for w in ("true", "false", "null") for i in range(1, 5)]
    if in_string:
        endings = [p + '"' + q for p in ("", '"', "u0000", "0", "00", "000", "0000", "\\ud800") for q in ("", ":0")]
    tail = "".join(reversed(closers))
    for ending in endings:
        for middle in ("", '"":0'):
            try:
                json.loads(text + ending + middle + tail)
                return True
            except ValueError:
                pass
    return False


def ask(netloc, model, schema, seed, n_predict, temperature):
    body = {"model": model, "prompt": "Write JSON.\n", "raw": True, "stream": False, "format": schema,
            "options": {"temperature": temperature, "top_k": 0, "top_p": 1.0, "seed": seed, "num_predict": n_predict}}
    answer = send(netloc, {"method": "POST", "path": "/api/generate", "json": body}, timeout=300)
    return answer.status, json.loads(answer.body)


def judge(schema, status, answer, checker):
    """None, or what is wrong."""
    import jsonschema
    if status != 200:
        return f"status {status}: {answer.get('error')}"
    text = answer["response"]
    if answer["done_reason"] == "length":
        return None if is_beginning(text) else f"cut, and no beginning of JSON: {text!r}"
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON ({error}): {text!r}"
    errors = list(jsonschema.Draft202012Validator(schema, format_checker=checker).iter_errors(value))
    return None if not errors else f"not valid ({errors[0].message[:200]}): {text[:500]!r}"


def run(netloc, model, count, seed, n_predict=160, temperature=1.5, parallel=4):
    """(answers that were complete, cut, failures as texts)"""
    import jsonschema
    checker = jsonschema.FormatChecker(["date", "ipv4", "uuid"])
    checker.checks("time")(lambda text: not isinstance(text, str) or is_time(text))
    checker.checks("date-time")(lambda text: not isinstance(text, str) or (
        text[10:11] == "T" and checker.conforms(text[:10], "date") and is_time(text[11:])))
    schemas = [Schemas(seed + i).draw() for i in range(count)]
    complete, cut, failures = 0, 0, []
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        answers = pool.map(lambda i: ask(netloc, model, schemas[i], seed + i, n_predict, temperature), range(count))
        for i, (status, answer) in enumerate(answers):
            wrong = judge(schemas[i], status, answer, checker)
            if wrong:
                failures.append(f"seed {seed + i}: {json.dumps(schemas[i])}\n     {wrong}")
            elif answer["done_reason"] == "length":
                cut += 1
            else:
                complete += 1
    return complete, cut, failures


def import_file(netloc, path):
    """Uploads a GGUF file and makes a model of it; returns the model's name."""
    with open(path, "rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    folder, name = os.path.split(os.path.abspath(path))
    for request in ({"method": "POST", "path": "/api/blobs/" + digest, "file": name},
                    {"method": "POST", "path": "/api/create",
                     "json": {"model": "random-schemas", "files": {"model.gguf": digest}, "stream": False}}):
        answer = send(netloc, request, folder, timeout=600)
        if answer.status // 100 != 2:
            raise SystemExit(f"{request['path']}: {answer.status} {answer.body[:300]!r}")
    return "random-schemas"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/cria")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--model", help="a GGUF file; else the embedded model")
    args = parser.parse_args()
    server = Server(args.bin, {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "512"}, builtin=True)
    try:
        model = import_file(server.netloc, args.model) if args.model else "cria-tiny"
        complete, cut, failures = run(server.netloc, model, args.count, args.seed, args.tokens, args.temperature)
    finally:
        server.stop()
    for text in failures[:20]:
        print("FAIL " + text)
    print(f"{complete} complete and valid, {cut} cut and beginnings of JSON")
    print(f"{complete + cut} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
