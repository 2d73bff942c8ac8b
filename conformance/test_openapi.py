"""openapi.yaml describes this server: the routes of the table, well-formed schemas, and a checker that
notices what is not described. (run.py --openapi checks the answers of all recorded exchanges.)"""
import json
import os
import re

import jsonschema
import pytest

from openapi import Description
from transport import Answer

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


@pytest.fixture(scope="module")
def description():
    return Description(os.path.join(TOP, "openapi.yaml"))


def routes():
    """(METHOD, path with {}) of api/routes.def"""
    with open(os.path.join(TOP, "api", "routes.def"), encoding="utf-8") as f:
        rows = re.findall(r'^ROUTE\("(\w+)", "([^"]+)"', f.read(), re.M)
    return {(method, re.sub(r"[:*](\w+)", r"{\1}", path)) for method, path in rows}


def test_every_route_is_described_and_nothing_else(description):
    described = set(description.operations)
    assert routes() - described == set(), "in api/routes.def, not in openapi.yaml"
    assert described - routes() == set(), "in openapi.yaml, not in api/routes.def"


def walk(node):
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from walk(child)


def test_well_formed(description):
    doc = description.doc
    assert doc["openapi"].startswith("3.1.")
    for node in walk(doc):
        if "$ref" in node:
            assert set(node) == {"$ref"}
            description.resolve(node)  # raises KeyError
    for name, schema in doc["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}'" in repr(doc), f"{name} is not used"
    tags, ids = {t["name"] for t in doc["tags"]}, {}
    for key, operation in description.operations.items():
        assert operation["summary"] and operation["responses"] and set(operation["tags"]) <= tags, key
        name = operation.get("operationId")
        if name:
            assert ids.setdefault(name, operation) is operation, f"{name} twice"


def answer(body, kind="application/json", status=200):
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, [("content-type", kind)], text.encode())


PIECE = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "a", "done": False}


def test_the_checker_accepts_what_is_described(description):
    check = description.check_answer
    assert check("POST", "/api/generate", answer(PIECE)) == []
    assert check("POST", "/api/generate?x=1", answer(json.dumps(PIECE) + "\n", "application/x-ndjson")) == []
    assert check("POST", "/api/generate", answer({"error": "x"}, status=404)) == []
    assert check("GET", "/v1/models/a%2Fb", answer({"id": "m", "object": "model", "created": 1, "owned_by": "x"})) == []
    assert check("POST", "/v1/chat/completions", answer("data: [DONE]\n\n", "text/event-stream")) == []
    assert check("GET", "/nowhere", answer("404 page not found", "text/plain", 404)) == []
    assert check("POST", "/api/copy", Answer(200, [], b"")) == []


@pytest.mark.parametrize("method, path, wrong", [
    ("POST", "/api/generate", answer(dict(PIECE, news=1))),
    ("POST", "/api/generate", answer({k: v for k, v in PIECE.items() if k != "done"})),
    ("POST", "/api/generate", answer(dict(PIECE, done="no"))),
    ("POST", "/api/generate", answer(dict(PIECE, logprobs=[{"token": "a", "logprob": 0, "more": 1}]))),
    ("POST", "/api/generate", answer(PIECE, "text/plain")),
    ("POST", "/api/generate", answer(PIECE, status=202)),
    ("POST", "/api/generate", answer({"error": {"message": "x"}}, status=400)),
    ("POST", "/api/copy", answer({})),
    ("GET", "/v1/models", answer({"object": "list"})),
    ("POST", "/v1/messages", answer('event: message_stop\ndata: {"type":"message_stop","x":1}\n\n', "text/event-stream")),
], ids=range(10))
def test_the_checker_finds_what_is_not(description, method, path, wrong):
    assert description.check_answer(method, path, wrong) != []
