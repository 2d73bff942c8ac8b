#!/usr/bin/env python3
"""Replays recorded exchanges with an HTTP server, compares the answers, and tells how far the server
conforms, area by area.

  python3 conformance/run.py --cases DIR... [--bin build/cria | --url URL] [options]

A DIR is a set (golden/api, golden/clients) or a folder that holds sets. With --bin (default
build/cria) every environment group of a set gets a server of its own, with an empty store and a
fresh HOME. With --url the server runs already, also with an empty store, and only the scenarios of
one environment (--env) can run; the others are skipped.

One line per difference, a table, and the last line "N passed, N failed, N skipped"; exit status 1 if
any failed. Python 3.9 or later; only --openapi needs more than the standard library.
"""
import argparse
import json
import os
import sys

import api_cases
import client_cases
import report
from transport import Server, send

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = [api_cases, client_cases]


class OwnServer(Server):
    def finish(self, keep):
        status = self.stop(keep=keep)
        if keep:
            print("     server log:", self.log_path)
        if status != 0:
            print(f"     the server ended with status {status}\n{self.log_tail() if keep else ''}")


class OtherServer:
    """One that runs already (--url); the URL may have a path in front of the routes."""

    def __init__(self, url):
        self.netloc = url.rstrip("/")

    def alive(self):
        return True

    def finish(self, keep):
        pass


def find_sets(folders):
    for folder in folders:
        if not os.path.isdir(folder):
            sys.exit(f"{folder}: no such folder")
        inside = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        for d in [folder] + [d for d in inside if os.path.isdir(d)]:
            for kind in KINDS:
                if kind.is_set(d):
                    yield kind, d


def read_list(path):
    """Entries of a list file: "id", "glob*", or "id 0-3,7" (steps); "#" begins a comment."""
    with open(path, encoding="utf-8") as f:
        lines = [line.partition("#")[0].strip() for line in f]
    return [line for line in lines if line]


def facts_of(opt):
    """What the report says about the server; its version as it tells it."""
    facts = {"server": opt.url or opt.bin}
    try:
        server = OtherServer(opt.url) if opt.url else OwnServer(opt.bin)
        answer = send(server.netloc, {"method": "GET", "path": "/api/version"}, timeout=10)
        facts["version"] = json.loads(answer.body)["version"]
        server.finish(keep=False)
    except (OSError, RuntimeError, ValueError, KeyError):
        facts["version"] = "unknown"
    return facts


def load_openapi(path):
    """The checker of answers, or None with a note when its libraries are not here."""
    try:
        from openapi import Description
    except ImportError as e:
        return None, f"--openapi needs PyYAML and jsonschema ({e}): answers are not checked against {path}"
    return Description(path), None


def parse_args():
    ap = argparse.ArgumentParser(description="Replays recorded HTTP exchanges.")
    ap.add_argument("--cases", nargs="+", required=True, metavar="DIR")
    ap.add_argument("--bin", default="build/cria", help="server to start (default build/cria)")
    ap.add_argument("--url", help="a server that runs already, with an empty store")
    ap.add_argument("--env", default="base", help="with --url: the environment group to run")
    ap.add_argument("--only", action="append", default=[], metavar="ID", help="scenario id or glob, may be repeated")
    ap.add_argument("--except", dest="but", metavar="FILE",
                    help="file of steps that run without being counted, as conformance/differences.txt")
    ap.add_argument("--report", action="append", default=[], metavar="FILE",
                    help="also write the result: .md Markdown, .json JSON, else text; may be repeated")
    ap.add_argument("--openapi", metavar="FILE", help="check every answer against this description, too")
    ap.add_argument("--levels", default="must,should", help="of must,should,quirk")
    ap.add_argument("--chunks", default="joined", choices=["joined", "exact"],
                    help="exact: streams must be cut as recorded, one item per token")
    ap.add_argument("--fixtures", default=os.path.join(HERE, "..", "golden", "api"),
                    help="folder of the model files that client recordings are replayed with")
    ap.add_argument("--timeout", type=float, default=120, help="seconds for one request")
    ap.add_argument("-v", dest="verbose", action="store_true", help="a line for every step")
    opt = ap.parse_args()
    opt.levels = opt.levels.split(",")
    opt.but = read_list(opt.but) if opt.but else []
    return opt


def main():
    opt = parse_args()
    count = report.Count(opt.verbose)
    opt.description = None
    if opt.openapi:
        opt.description, missing = load_openapi(opt.openapi)
        if missing:
            count.note(missing)

    def start_server(env):
        return OtherServer(opt.url) if opt.url else OwnServer(opt.bin, env)

    sets = list(find_sets(opt.cases))
    if not sets:
        sys.exit(f"{' '.join(opt.cases)}: no recorded exchanges here")
    for kind, folder in sets:
        try:
            kind.run(folder, opt, count, start_server)
        except (OSError, RuntimeError) as e:
            count.failed(folder, [str(e)])
    if opt.report:
        facts = facts_of(opt)
        for path in opt.report:
            report.write(path, count, facts)
    print(report.table(count))
    print(count.last_line())
    sys.exit(1 if count.n_failed else 0)


if __name__ == "__main__":
    main()
