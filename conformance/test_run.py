"""run.py as others use it: against a server that runs already, from another folder, with its reports."""
import json
import os
import subprocess
import sys

from conftest import HERE, SETS


def test_reports(server, tmp_path):
    ids = ("bad-think", "bad-top-logprobs", "cloud-and-account 0-4", "env-origins-list*", "origins*")
    done = subprocess.run([sys.executable, os.path.join(HERE, "run.py"), "--cases", SETS, "--url", server.netloc, "--report", "r.json",
                           "--report", "r.md", "--report", "r.txt"] + [a for i in ids for a in ("--only", i)],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120)
    told = json.loads((tmp_path / "r.json").read_text())
    assert done.returncode == (1 if told["total"]["failed"] else 0), done.stderr
    assert done.stdout.rstrip().endswith(", ".join(f"{n} {k}" for k, n in told["total"].items()))
    assert told["server"] == "http://" + server.netloc or told["server"] == server.netloc
    assert told["total"]["passed"] >= 17 and sum(told["skipped"].values()) == told["total"]["skipped"] > 0
    assert any("needs a server with the environment 'origins-list' (--env)" in why for why in told["skipped"])
    assert {a["area"] for a in told["areas"]} >= {"native", "errors"}
    markdown = (tmp_path / "r.md").read_text()
    assert "| protocol | passed | failed | skipped | conform |" in markdown and "## Skipped" in markdown
    assert "conform" in (tmp_path / "r.txt").read_text()


def test_nothing_to_run(tmp_path):
    done = subprocess.run([sys.executable, os.path.join(HERE, "run.py"), "--cases", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "no recorded exchanges here" in done.stderr
