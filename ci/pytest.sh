#!/bin/sh
# Runs the tests with real clients (conformance/test_*.py) against a binary: ci/pytest.sh BIN [ARGS...]
# Exit status 77 (skipped) if ci/install.sh could not get the Python packages.
cd "$(dirname "$0")/.." || exit 1
[ -f build/venv/installed.txt ] || { echo "skipped: no build/venv (sh ci/install.sh test)"; exit 77; }
CRIA_BIN=$1
export CRIA_BIN
shift
exec build/venv/bin/python -m pytest -q --tb=short -p no:cacheprovider conformance "$@"
