"""The JavaScript packages ollama and openai (node_clients.mjs). Skipped without node 20 or the packages:
ci/install.sh puts these into build/node_modules."""
import json
import os
import shutil
import subprocess

import pytest

from api_cases import Fixtures
from conftest import HERE, SETS, binary
from transport import Server

MODULES = os.path.join(HERE, "..", "build", "node_modules")
SCRIPT = os.path.join(HERE, "node_clients.mjs")
CHECKS = [line.split("(")[0].split()[-1] for line in open(SCRIPT, encoding="utf-8") if line.startswith("  async ")]


@pytest.fixture(scope="module")
def results():
    """name -> what was wrong, or None: one run of all checks, against a server of their own."""
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout
    if int(version.lstrip("v").partition(".")[0] or 0) < 20:
        pytest.skip(f"node {version.strip()} is too old for the packages")
    if not os.path.exists(os.path.join(MODULES, "openai", ".integrity")):
        pytest.skip("no build/node_modules (sh ci/install.sh test)")
    server = Server(binary(), {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "1024"})
    fixtures = Fixtures(SETS)
    for name in ("fix/chat", "fix/tools", "fix/think", "fix/embed"):
        fixtures.install(server.netloc, name)
    run = subprocess.run(["node", SCRIPT, "http://" + server.netloc, os.path.abspath(MODULES)], capture_output=True,
                         text=True, timeout=300)
    log = server.log_tail(3000)
    status = server.stop()
    assert run.returncode == 0, run.stderr[-3000:]
    assert status == 0, log
    return {r["name"]: r["problem"] for r in map(json.loads, run.stdout.splitlines())}


@pytest.mark.parametrize("name", CHECKS)
def test_javascript(results, name):
    assert results[name] is None, results[name]
