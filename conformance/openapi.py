"""openapi.yaml as a checker: which operations there are, and whether an answer is as described.

Schemas of answers are closed here: an object that tells its properties and says nothing about others
may have no others, so that a field nobody described is found. Needs PyYAML and jsonschema."""
import copy
import json
import re
import urllib.parse

import jsonschema
import yaml

from matchers import parse_ndjson, parse_sse

METHODS = ("get", "head", "post", "put", "delete", "patch", "options")


def close(schema):
    """The schema with additionalProperties: false where nothing is said; combinations stay as they are."""
    if isinstance(schema, list):
        return [close(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: {n: close(s) for n, s in v.items()} if k == "properties" else close(v) for k, v in schema.items()}
    if "properties" in out and out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


class Description:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.doc = yaml.safe_load(f)
        self.closed = copy.deepcopy(self.doc)
        self.closed["components"]["schemas"] = close(self.doc["components"]["schemas"])
        self.operations = {}  # (METHOD, path) -> operation
        for name in self.doc["paths"]:
            item = self.resolve(self.doc["paths"][name])
            for method in METHODS:
                if method in item:
                    self.operations[method.upper(), name] = item[method]
        self.patterns = [(re.compile(self.expression(name)), name) for name in sorted(self.doc["paths"], key=len)]
        self.validators = {}

    @staticmethod
    def expression(name):
        """A parameter is one part of a path; the name of a model and what is left of a path may hold slashes."""
        parts = [{"{model}": ".+", "{rest}": ".+"}.get(p, "[^/]+") if p.startswith("{") else re.escape(p)
                 for p in re.split(r"(\{\w+\})", name) if p]
        return "^" + "".join(parts) + "$"

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.doc
            for key in node["$ref"].lstrip("#/").split("/"):
                target = target[key.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def find(self, path):
        """The described path, or None."""
        path = urllib.parse.unquote(path.partition("?")[0])
        return next((name for pattern, name in self.patterns if pattern.match(path)), None)

    def validator(self, schema):
        """One per schema; references are looked up in the closed copy of the document."""
        key = id(schema)  # schemas live as long as the document
        if key not in self.validators:
            root = dict(close(schema), components=self.closed["components"])
            self.validators[key] = jsonschema.Draft202012Validator(root)
        return self.validators[key]

    def check_value(self, schema, value, where):
        return [f"{where}{'.'.join(map(str, [''] + list(e.absolute_path)))}: {e.message[:200]}"
                for e in sorted(self.validator(schema).iter_errors(value), key=lambda e: list(e.absolute_path))][:3]

    def check_answer(self, method, path, answer):
        """Differences between an answer and its description, as text. What HTTP answers by itself (other
        paths and methods, hosts and origins that are not allowed) is not described."""
        name = self.find(path)
        operation = self.operations.get((method, name))
        if operation is None or (answer.status in (204, 403) and not answer.body):
            return []
        table = operation["responses"]
        found = table.get(str(answer.status), table.get(f"{answer.status // 100}XX"))
        where = f"openapi {method} {name} {answer.status}"
        if found is None:
            return [f"{where}: not described"]
        return self.check_body(self.resolve(found).get("content"), answer, where, method)

    def check_body(self, content, answer, where, method):
        kind = dict(answer.headers).get("content-type", "").partition(";")[0].strip()
        if not answer.body:
            return [] if not content or method == "HEAD" else [f"{where}: empty, want {', '.join(content)}"]
        if not content or kind not in content:
            return [f"{where}: {kind or 'no type'} is not described"]
        schema = content[kind]["schema"]
        if kind == "application/x-ndjson":
            items = parse_ndjson(answer.body)
        elif kind == "text/event-stream":
            items = [item["data"] for item in parse_sse(answer.body) if item["data"] != "[DONE]"]
        elif kind.endswith("json"):
            items = [json.loads(answer.body)]
        else:
            items = [answer.body.decode("utf-8")] if kind.startswith("text/") else []
        return [p for i, item in enumerate(items) for p in self.check_value(schema, item, f"{where} item {i}")][:4]
