"""cria talks to nobody unless it is told to (spec/security.md S-NET-13): a session of the server and of the command
line, with every connection, datagram and look-up of a name written down (netlog.c)."""
import json
import os
import re
import subprocess

import pytest

from conftest import LIBRARIES, SCRIPTED_FILE, binary
from test_access import call
from transport import Server, free_port

LIBRARY = os.path.join(os.path.dirname(binary()), "libnetlog.so")

pytestmark = [pytest.mark.skipif(not os.path.exists(LIBRARY), reason="no libnetlog.so beside the binary"),
              pytest.mark.skipif(b"libtsan" in LIBRARIES, reason="the thread sanitizer wants to be loaded first")]


def test_sec_S_NET_13_no_outgoing(tmp_path):
    log, modelfile = tmp_path / "net", tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {SCRIPTED_FILE}\nTEMPLATE {{{{ .Prompt }}}}\n")
    asan = os.environ.get("ASAN_OPTIONS", "")
    s = Server(binary(), {"LD_PRELOAD": LIBRARY, "NETLOG": str(log), "ASAN_OPTIONS": (asan + ":" if asan else "") + "verify_asan_link_order=0"},
               builtin=True)

    def cria(*arguments, status=0):
        r = subprocess.run([binary(), *arguments], env=s.env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert r.returncode == status, (arguments, r.stdout, r.stderr)

    def api(path, **body):
        r, text = call(s.netloc, "POST", path, json.dumps(body).encode())
        assert r.status == 200, text

    short = {"num_predict": 3}
    try:
        cria("create", "quiet/one", "-f", str(modelfile))
        cria("run", "quiet/one", "1")
        cria("run", "cria-tiny", "hello")
        for arguments in (("list",), ("ps",), ("show", "quiet/one"), ("show", "cria-tiny", "--modelfile"), ("cp", "quiet/one", "quiet/two"),
                          ("stop", "quiet/one"), ("rm", "quiet/two"), ("--version",), ("config", "show"), ("help",), ("key", "list")):
            cria(*arguments)
        api("/api/generate", model="quiet/one", prompt="1", options=short)
        api("/api/chat", model="quiet/one", messages=[{"role": "user", "content": "1"}], options=short)
        api("/v1/chat/completions", model="cria-tiny", messages=[{"role": "user", "content": "1"}], max_tokens=3)
        api("/v1/messages", model="cria-tiny", messages=[{"role": "user", "content": "1"}], max_tokens=3)
        api("/api/embed", model="cria-tiny", input="one")
        for path in ("/api/tags", "/api/version", "/metrics", "/api/system", "/v1/models"):
            assert call(s.netloc, "GET", path)[0].status == 200
        # Its own server, and nothing else; names are addresses already.
        lines = log.read_text().splitlines()
        assert f"connect {s.netloc}" in lines  # the command line is seen
        own = re.compile(rf"connect (unix|{re.escape(s.netloc)})$|name (127\.0\.0\.1|localhost)$")
        assert [line for line in lines if not own.match(line)] == []
        # A pull is told to, and seen.
        registry = f"127.0.0.1:{free_port()}"
        cria("pull", "--insecure", f"{registry}/quiet/three", status=1)
        assert f"connect {registry}" in log.read_text().splitlines()
    finally:
        assert s.stop() == 0
