#!/bin/sh
# Installs what is missing on Debian 12, and nothing else.
#
#   sh ci/install.sh build   what building cria and trying it needs
#   sh ci/install.sh test    that, and compilers, tools and Python packages of ci/test.sh
#
# Works as root or through sudo. The Python packages go to build/venv; without a network they are
# left out, and the tests that need them are skipped.
set -eu
cd "$(dirname "$0")/.."
what=${1:-build}

packages="build-essential cmake ninja-build pkg-config libssl-dev libcurl4-openssl-dev libcjson-dev
libcivetweb-dev libedit-dev liblzma-dev libzstd-dev libpng-dev libjpeg62-turbo-dev libwebp-dev curl"
[ "$what" = test ] && packages="$packages libcmocka-dev docker-registry clang-16 clang-format-16 python3 python3-venv"

missing=
for p in $packages; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
if [ -n "$missing" ]; then
    echo "installing:$missing"
    if ! command -v apt-get >/dev/null; then
        echo "this script knows Debian's apt-get only; please install the packages above" >&2
        exit 1
    fi
    root=
    [ "$(id -u)" = 0 ] || root="sudo"
    export DEBIAN_FRONTEND=noninteractive
    $root apt-get update -qq
    # shellcheck disable=SC2086
    $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

[ "$what" = test ] || exit 0
venv=build/venv
if [ ! -x $venv/bin/python ]; then
    mkdir -p build
    python3 -m venv $venv
fi
if ! cmp -s conformance/requirements.txt $venv/installed.txt; then
    if $venv/bin/python -m pip install -q --retries 2 --timeout 60 -r conformance/requirements.txt; then
        cp conformance/requirements.txt $venv/installed.txt
    else
        echo "no Python packages (no network?): the tests with real clients will be skipped"
    fi
fi
if command -v node >/dev/null; then # Debian 12's is too old for them; where there is a newer one, it is used
    python3 ci/fetch_npm.py conformance/npm-packages.txt build/node_modules ||
        echo "no JavaScript packages (no network?): the tests with them will be skipped"
fi
