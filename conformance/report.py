"""Counting cases, and telling the result: lines while it runs, a table per area, a report as text,
Markdown or JSON."""
import datetime
import json
import os

from areas import FEATURES, PROTOCOLS

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Count:
    """What the kinds of sets call for every case; areas: what areas.areas_of() gave, or None."""

    def __init__(self, verbose):
        self.verbose = verbose
        self.n = {PASSED: 0, FAILED: 0, SKIPPED: 0}
        self.by_area = {}  # name -> counts as n
        self.why = {}  # reason -> how many were skipped for it
        self.failures, self.notes = [], []

    def add(self, outcome, areas, n=1):
        names = [areas[0], *areas[1]] if areas else []
        for counts in [self.n, *(self.by_area.setdefault(name, dict.fromkeys(self.n, 0)) for name in names)]:
            counts[outcome] += n

    def passed(self, where, areas=None):
        self.add(PASSED, areas)
        if self.verbose:
            print("ok  ", where, flush=True)

    def failed(self, where, problems, areas=None):
        self.add(FAILED, areas)
        self.failures.append({"case": where, "problems": problems})
        print("FAIL", where, flush=True)
        for p in problems[:6]:
            print("    ", p)

    def skipped(self, where, why, n=1, areas=None):
        self.add(SKIPPED, areas, n)
        self.why[why] = self.why.get(why, 0) + n
        if self.verbose:
            print("skip", f"{where}: {why}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print("note", text, flush=True)

    @property
    def n_failed(self):
        return self.n[FAILED]

    def last_line(self):
        return ", ".join(f"{v} {k}" for k, v in self.n.items())


def rows(count):
    """(heading, [(area, passed, failed, skipped, percent of those that ran)])"""
    def row(name):
        c = count.by_area.get(name)
        if c is None or not any(c.values()):
            return None
        ran = c[PASSED] + c[FAILED]
        return name, c[PASSED], c[FAILED], c[SKIPPED], f"{100 * c[PASSED] / ran:.1f} %" if ran else "-"

    for heading, names in (("protocol", [name for name, _ in PROTOCOLS] + ["http"]),
                           ("feature", [name for name, _ in FEATURES])):
        found = [r for r in map(row, names) if r]
        if found:
            yield heading, found


def table(count):
    out = []
    for heading, found in rows(count):
        out += ["", f"{heading:20} {'passed':>7} {'failed':>7} {'skipped':>8} {'conform':>9}"]
        out += [f"{name:20} {p:7} {f:7} {s:8} {percent:>9}" for name, p, f, s, percent in found]
    if count.why:
        out += ["", "skipped"] + [f"{n:7}  {why}" for why, n in sorted(count.why.items())]
    return "\n".join(out[1:])


def markdown(count, facts):
    out = ["# Conformance", ""]
    out += [f"{key}: {value}  " for key, value in facts.items()]
    out += ["", f"**{count.last_line()}**"]
    for heading, found in rows(count):
        out += ["", f"| {heading} | passed | failed | skipped | conform |", "|---|---:|---:|---:|---:|"]
        out += ["| " + " | ".join(map(str, r)) + " |" for r in found]
    if count.why:
        out += ["", "## Skipped", ""] + [f"- {n}: {why}" for why, n in sorted(count.why.items())]
    if count.failures:
        out += ["", "## Failures", ""]
        out += [f"- `{f['case']}`: " + "; ".join(f["problems"][:3]).replace("\n", " ") for f in count.failures]
    return "\n".join(out) + "\n"


def as_json(count, facts):
    areas = [{"group": heading, "area": name, PASSED: p, FAILED: f, SKIPPED: s}
             for heading, found in rows(count) for name, p, f, s, _ in found]
    return json.dumps(dict(facts, total=count.n, areas=areas, skipped=count.why, failures=count.failures,
                           notes=count.notes),
                      indent=1, ensure_ascii=False) + "\n"


def write(path, count, facts):
    """The form follows from the name: .md, .json, anything else is text."""
    facts = dict(facts, date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))
    form = os.path.splitext(path)[1]
    text = markdown(count, facts) if form == ".md" else as_json(count, facts) if form == ".json" \
        else table(count) + "\n\n" + count.last_line() + "\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
