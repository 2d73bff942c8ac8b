#!/usr/bin/env python3
"""Replays recorded exchanges with an HTTP server and compares the answers.

  python3 conformance/run.py --cases DIR... [--bin build/cria | --url URL] [options]

A DIR is a set (golden/api, golden/clients) or a folder that holds sets. With --bin (default
build/cria) every environment group of a set gets a server of its own, with an empty store and a
fresh HOME. With --url the server runs already, also with an empty store, and only the scenarios of
one environment (--env) can run; the others are skipped.

One line per difference; the last line is "N passed, N failed, N skipped"; exit status 1 if any
failed. Python 3.9 or later, standard library only.
"""
import argparse
import os
import sys
import urllib.parse

import api_cases
import client_cases
from transport import Server

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = [api_cases, client_cases]


class Count:
    def __init__(self, verbose):
        self.n_passed = self.n_failed = self.n_skipped = 0
        self.verbose = verbose

    def passed(self, where):
        self.n_passed += 1
        if self.verbose:
            print("ok  ", where, flush=True)

    def failed(self, where, problems):
        self.n_failed += 1
        print("FAIL", where, flush=True)
        for p in problems[:6]:
            print("    ", p)

    def skipped(self, where, n=1):
        self.n_skipped += n
        if self.verbose:
            print("skip", where, flush=True)

    def note(self, text):
        print("note", text, flush=True)


class OwnServer(Server):
    def finish(self, keep):
        status = self.stop(keep=keep)
        if keep:
            print("     server log:", self.log_path)
        if status != 0:
            print(f"     the server ended with status {status}\n{self.log_tail() if keep else ''}")


class OtherServer:
    """One that runs already (--url)."""

    def __init__(self, url):
        self.netloc = urllib.parse.urlparse(url).netloc

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


def parse_args():
    ap = argparse.ArgumentParser(description="Replays recorded HTTP exchanges.")
    ap.add_argument("--cases", nargs="+", required=True, metavar="DIR")
    ap.add_argument("--bin", default="build/cria", help="server to start (default build/cria)")
    ap.add_argument("--url", help="a server that runs already, with an empty store")
    ap.add_argument("--env", default="base", help="with --url: the environment group to run")
    ap.add_argument("--only", action="append", default=[], metavar="ID", help="scenario id or glob, may be repeated")
    ap.add_argument("--list", metavar="FILE", help="file of ids, as conformance/first_cut.txt")
    ap.add_argument("--levels", default="must,should", help="of must,should,quirk")
    ap.add_argument("--chunks", default="joined", choices=["joined", "exact"],
                    help="exact: streams must be cut as recorded, one item per token")
    ap.add_argument("--fixtures", default=os.path.join(HERE, "..", "golden", "api"),
                    help="folder of the model files that client recordings are replayed with")
    ap.add_argument("--timeout", type=float, default=120, help="seconds for one request")
    ap.add_argument("-v", dest="verbose", action="store_true", help="a line for every step")
    opt = ap.parse_args()
    opt.levels = opt.levels.split(",")
    opt.only += read_list(opt.list) if opt.list else []
    return opt


def main():
    opt = parse_args()
    count = Count(opt.verbose)

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
    print(f"{count.n_passed} passed, {count.n_failed} failed, {count.n_skipped} skipped")
    sys.exit(1 if count.n_failed else 0)


if __name__ == "__main__":
    main()
