#!/bin/sh
# From a fresh Debian 12 to an answer: installs what is missing, builds, starts a server with the model
# that is inside the binary, asks it something through the command line and through curl, stops.
# Takes a few minutes, nearly all of it package installation. Leaves build/cria behind, nothing else.
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; }

step "Installing what is missing"
sh ci/install.sh build

step "Building (log: build/quickstart.log)"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target cria -j "$(nproc)"; } >build/quickstart.log 2>&1; then
    tail -n 40 build/quickstart.log
    exit 1
fi
ls -l build/cria

step "Starting a server on a free port, with a store of its own"
port=11500
# curl's exit status 7: nobody listens there.
while curl -s -o /dev/null "http://127.0.0.1:$port/" || [ $? -ne 7 ]; do port=$((port + 1)); done
tmp=$(mktemp -d)
OLLAMA_HOST=127.0.0.1:$port
OLLAMA_MODELS=$tmp/models
export OLLAMA_HOST OLLAMA_MODELS
unset CRIA_HOST CRIA_MODELS CRIA_BUILTIN
build/cria serve >"$tmp/server.log" 2>&1 &
server=$!
stop() {
    kill $server 2>/dev/null || true
    wait $server 2>/dev/null || true
    rm -rf "$tmp"
}
trap stop EXIT
trap 'exit 1' INT TERM

url=http://$OLLAMA_HOST
tries=0
until curl -s -f -o /dev/null "$url/"; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $server 2>/dev/null; then
        echo "the server does not answer; its log:"
        cat "$tmp/server.log"
        exit 1
    fi
    sleep 0.1
done
curl -s "$url/"
echo " at $url"

step "The models it has"
show "cria list"
build/cria list

step "Asking through the command line"
question="What is cria?"
show "cria run cria-tiny \"$question\" -o temperature=0"
wrap=
[ -t 1 ] || wrap=--nowordwrap # as the reference, cria wraps in files, too
build/cria run cria-tiny "$question" -o temperature=0 $wrap

step "Asking through HTTP"
body='{"model": "cria-tiny", "stream": false, "options": {"temperature": 0, "num_predict": 150},
  "messages": [{"role": "user", "content": "Tell me a short story about a cat."}]}'
show "curl $url/api/chat -d '$body'"
curl -s -f --max-time 60 "$url/api/chat" -d "$body"
echo

step "Done. Now try: build/cria serve, and build/cria run cria-tiny in another terminal"
