"""The interactive prompt in a terminal (spec/cli.md 4): keys, commands, history, narrow screens, colours; and
that models and servers cannot drive it (S-PA-11)."""
import http.server
import json
import os
import stat
import subprocess
import threading

import pytest

from conftest import binary
from terminal import Terminal

HINT = b"Send a message"
PROMPT = ">>> Send a message (/? for help)"


@pytest.fixture
def env(server, tmp_path):
    e = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "CRIA_", "XDG_", "LC_"))}
    for k in ("NO_COLOR", "EDITOR", "VISUAL"):
        e.pop(k, None)
    return e | {"HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8", "OLLAMA_HOST": server.netloc}


@pytest.fixture
def start(env, scripted):
    """Terminals with the prompt of the scripted model; all are ended."""
    open_ones = []

    def run(*flags, columns=80, lines=24, **more):
        t = Terminal(binary(), ["run", scripted, *flags], env | more, columns, lines)
        open_ones.append(t)
        t.wait(">>>")
        return t

    yield run
    for t in open_ones:
        t.child.close(force=True)


def last_line(t):
    return t.text().splitlines()[-1]


def is_ready(text):
    return text.splitlines()[-1:] == [PROMPT]


def ask(t, text):
    """Sends a line; the screen when the prompt is there again."""
    n = t.raw.count(HINT)
    t.send(text + "\r")
    return t.wait(lambda screen: t.raw.count(HINT) > n and is_ready(screen))


# ---- answers and the conversation ----

def test_question_and_answer(start):
    t = start()
    assert t.text() == PROMPT and t.cursor() == (4, 0)
    t.send("say 1")
    assert t.wait(">>> say 1") == ">>> say 1"  # the placeholder has gone
    t.send("\r")
    assert t.wait(lambda text: "friend." in text and is_ready(text)) == f">>> say 1\nHello there friend.\n\n{PROMPT}"
    t.send("\x04")
    assert t.end() == 0
    assert t.raw.count(b"\x1b[?2004h") == 1 and t.raw.rstrip().endswith(b"\x1b[?2004l")


@pytest.mark.parametrize("leave", ["/bye\r", "/exit\r", "\x04"])
def test_leaving(start, leave):
    t = start()
    t.send(leave)
    assert t.end() == 0


def test_ctrl_c_stops_the_answer_only(start):
    t = start()
    t.send("endless r\r")
    t.wait(lambda text: len(text) > 200)
    t.send("\x03")
    t.quiet()
    t.wait(is_ready)
    t.send("say 1\r")
    t.wait("Hello there friend.")
    t.wait(is_ready)
    t.send("\x04")
    assert t.end() == 0


def test_ctrl_c_at_the_prompt(start):
    t = start()
    t.send("half a line")
    t.wait("half a line")
    t.send("\x03")
    assert t.wait(lambda text: "\n" in text and is_ready(text)) == f">>> half a line\n{PROMPT}"
    t.send("\x03")
    t.wait("or /bye")
    assert t.wait(is_ready).endswith(f"\nUse Ctrl + d or /bye to exit.\n{PROMPT}")
    assert t.child.isalive()


def test_undo_edit_regenerate(start):
    t = start()
    ask(t, "say 1")
    assert "There is no message" not in ask(t, "/regenerate")
    assert t.text().count("Hello there friend.") == 2
    assert "tokens: prompt" in ask(t, "/tokens") and "of the context of" in t.text()
    assert "Took back the last message and its answer" in ask(t, "/undo")
    assert "There is no message to take back" in ask(t, "/undo")
    ask(t, "first 1")
    t.send("/edit\r")
    t.wait(lambda text: text.endswith(">>> first 1"))
    t.send("\x01another \x05\r")
    t.wait(lambda text: ">>> another first 1\nHello there friend." in text and is_ready(text))
    ask(t, "/undo")
    assert "There is no message to edit" in ask(t, "/edit")


# ---- several lines ----

def test_three_quotes(start):
    t = start()
    t.send('"""first\r')
    t.wait("... Press Enter to send")
    t.send('second 1"""\r')
    assert t.wait(lambda text: "friend." in text and is_ready(text)) == f'>>> """first\n... second 1"""\nHello there friend.\n\n{PROMPT}'
    assert ask(t, '"""on one line 1"""').count("Hello there friend.") == 2


def test_paste_stays_one_message(start):
    t = start()
    t.send("\x1b[200~one\rtwo\nthree 1\x1b[201~")
    t.wait(">>> one\ntwo\nthree 1")
    assert t.quiet().count(">>>") == 1  # nothing was sent
    t.send("\r")
    t.wait(lambda text: text.count("Hello there friend.") == 1 and is_ready(text))
    t.send("\x1b[200~\x1b[201~\x15")
    assert t.quiet().endswith(PROMPT)


def test_ctrl_j_adds_a_line(start):
    t = start()
    t.send("one\ntwo 1\r")
    assert t.wait(lambda text: "friend." in text and is_ready(text)) == f">>> one\ntwo 1\nHello there friend.\n\n{PROMPT}"


# ---- keys ----

KEYS = [
    ("ab\x01x", "xab"), ("ab\x1b[Hx\x1b[Fy", "xaby"), ("ab\x1bOHx\x1bOFy", "xaby"), ("abc\x02\x02x\x06y", "axbyc"),
    ("abc\x1b[D\x1b[Dx\x1b[Cy", "axbyc"), ("one two\x1bbx", "one xtwo"), ("one two\x01\x1bfx", "onex two"),
    ("one two\x01\x06\x0b", "o"), ("one two\x02\x15x", "xo"), ("one two\x17x", "one x"), ("one two\x1b\x7fx", "one x"),
    ("abc\x7f\x08x", "ax"), ("abc\x01\x1b[3~", "bc"), ("abc\x01\x04", "bc"), ("a\tb", "a        b"),
    ("\u65e5\u672c\u8a9e\x7f", "\u65e5\u672c"), ("h\u00e9llo\x02\x02x", "h\u00e9lxlo"),
]


def test_keys(start):
    t = start()

    def line():
        return "".join(t.screen.buffer[0][x].data for x in range(80)).rstrip()

    for keys, want in KEYS:
        t.send(keys)
        t.wait(lambda _: line() == ">>> " + want)  # noqa: B023
        t.send("\x01\x0b")
        t.wait(is_ready)


def test_clear_screen(start):
    t = start()
    ask(t, "say 1")
    t.send("\x0c")
    t.wait(lambda text: text.strip() == PROMPT)


def test_ctrl_g_edits_in_the_editor(start, tmp_path):
    script = tmp_path / "edit.sh"
    script.write_text('#!/bin/sh\ntest "$1" = -x || exit 3\nprintf " again\\nand 1\\n" >> "$2"\n')
    script.chmod(0o755)
    t = start(OLLAMA_EDITOR=f"{script} -x")
    t.send("text")
    t.wait(">>> text")
    t.send("\x07")
    t.wait("text again\nand 1")
    t.send("\r")
    t.wait("Hello there friend.")
    t = start(OLLAMA_EDITOR="no-such-editor", columns=120)
    t.send("\x07")
    t.wait('editor "no-such-editor" not found, set OLLAMA_EDITOR to the path of your preferred editor')


# ---- history ----

def test_history(start, tmp_path):
    t = start()
    ask(t, "first 1")
    ask(t, "second 1")
    t.send("\x1b[A\x1b[A")
    t.wait(lambda text: text.endswith(">>> first 1"))
    t.send("\x0e")
    t.wait(lambda text: text.endswith(">>> second 1"))
    file = tmp_path / ".cria" / "history"
    assert file.read_text() == "first 1\nsecond 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (tmp_path / ".cria" / "history.tmp").exists()
    t = start()
    t.send("\x10")
    t.wait(lambda text: text.endswith(">>> second 1"))


def test_history_can_be_switched_off(start, tmp_path):
    t = start(OLLAMA_NOHISTORY="1")
    ask(t, "first 1")
    assert not (tmp_path / ".cria" / "history").exists()
    t = start()
    ask(t, "/set nohistory")
    ask(t, "second 1")
    assert "second" not in (tmp_path / ".cria" / "history").read_text()


def test_history_keeps_100(start, tmp_path):
    folder = tmp_path / ".cria"
    folder.mkdir()
    (folder / "history").write_text("".join(f"entry {i}\n" for i in range(150)))
    t = start()
    ask(t, "/set quiet")
    lines = (folder / "history").read_text().splitlines()
    assert len(lines) == 100 and lines[-1] == "/set quiet" and lines[0] == "entry 51"


# ---- commands ----

COMMANDS = [
    ("/set wordwrap", "Set 'wordwrap' mode."), ("/set nowordwrap", "Set 'nowordwrap' mode."),
    ("/set verbose", "Set 'verbose' mode."), ("/set quiet", "Set 'quiet' mode."),
    ("/set format json", "Set format to 'json' mode."), ("/set noformat", "Disabled format."),
    ("/set format xml", "Invalid or missing format. For 'json' mode use '/set format json'"),
    ("/set parameter temperature 0.5", "Set parameter 'temperature' to '0.5'"),
    ("/set parameter stop a b", "Set parameter 'stop' to 'a, b'"),
    ("/set parameter nope 1", "Couldn't set parameter: \"unknown parameter 'nope'\""),
    ("/show system", "No system message was specified for this model."),
    ("/set system Be brief.", "Set system message."), ("/set nothink", "Set 'nothink' mode."),
    ("/set x", "Unknown command '/set x'. Type /? for help"), ("/nope", "Unknown command '/nope'. Type /? for help"),
    ("/show license", "No license was specified for this model."),
    ("/show parameters", "Model defined parameters:\n  temperature"), ("/show info", "  Model\n    architecture"),
    ("/clear", "Cleared session context"), ("/load nothing/here", "Loading model 'nothing/here'\nCouldn't find model 'nothing/here'"),
    ("/load", "Usage:\n  /load <modelname>"), ("/save", "Usage:\n  /save <modelname>"),
    ("/save a:b:c", "error: The model name 'a:b:c' is invalid"), ("/list smoke", "NAME"),
    ("/?", 'Use """ to begin a multi-line message.'), ("/? set", "/set parameter ..."),
    ("/? show", "/show info"), ("/? shortcuts", "Ctrl + d"),
]


def test_commands(start):
    t = start(lines=200)
    for line, want in COMMANDS:
        before = t.text()
        t.send(line + "\r")
        t.wait(lambda text: text != before and want in text[len(before) - 30:] and is_ready(text))  # noqa: B023


def test_system_and_parameters_are_shown(start):
    t = start(lines=50)
    t.send('/set system """Two\r')
    t.wait("... Press")
    t.send('lines."""\r')
    t.wait(is_ready)
    assert "Two\nlines." in ask(t, "/show system").split("/show system")[1]
    ask(t, "/set system Be brief.")
    assert "Be brief." in ask(t, "/show system").split("/show system")[1]
    ask(t, "/set parameter seed 7")
    assert "User defined parameters:\n  seed                           7" in ask(t, "/show parameters")
    ask(t, "/clear")  # the system message stays
    assert "Be brief." in ask(t, "/show system").split("/clear")[1]


def test_save_and_load(start, client, scripted):
    t = start(lines=60)
    ask(t, "say 1")
    ask(t, "/set parameter seed 7")
    assert "Created new model 'smoke/saved'" in ask(t, "/save smoke/saved")
    try:
        shown = client.show("smoke/saved")
        assert "MESSAGE user say 1" in shown.modelfile and "seed" in shown.parameters
        assert "Loading model 'smoke/saved'" in ask(t, "/load smoke/saved")
        assert "seed" in ask(t, "/show parameters").split("/load")[1]
        ask(t, "more 1")
        ask(t, "/save smoke/saved")  # what was loaded stays, what was said comes behind it
        modelfile = client.show("smoke/saved").modelfile
        assert [line.split(None, 2)[2] for line in modelfile.splitlines() if line.startswith("MESSAGE user")] == [
            "say 1", "more 1"]
    finally:
        client.delete("smoke/saved")


# ---- the screen ----

def test_narrow(start):
    """20 columns: no placeholder, long lines wrap, the answer wraps at words."""
    t = start(columns=20)
    assert t.text() == ">>>"
    t.send("a line that is longer than the screen 1")
    t.wait(lambda text: text.endswith("n 1") and len(text.splitlines()) == 3)
    t.send("\x01x")
    t.wait(">>> xa line that is")
    t.send("\r")
    text = t.wait("friend.")
    assert "Hello there\nfriend." in text
    t.wait(lambda s: s.endswith("\n>>>"))
    t.send("\u65e5\u672c\u8a9e" * 4 + "\x7f")
    t.quiet()
    assert t.cursor()[0] <= 20 and t.child.isalive()
    t.send("\x15/?\r")
    t.wait("/? shortcuts")


def test_resize(start):
    t = start(columns=60)
    t.send("text")
    t.wait(">>> text")
    t.resize(20, 10)
    t.quiet()
    t.send(" and so on, for more than a line 1\r")
    t.wait("friend.")


@pytest.mark.parametrize("more, grey", [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True),
                                        ({"TERM": "dumb"}, False)])
def test_colours(start, more, grey):
    t = start(**more)
    t.quiet()
    assert (b"\x1b[38;5;245m" in t.raw) == grey
    assert (t.text() == PROMPT) == grey
    t.send("say 1\r")
    t.wait("Hello there friend.")
    if more.get("TERM") == "dumb":
        assert b"\x1b" not in t.raw
    t.send("/bye\r")  # during the answer: it waits
    assert t.end() == 0
    assert t.text().endswith(">>> /bye")


# ---- S-PA-11 ----

EVIL = ["\x1b]52;c;aGk=\x07", "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "\x1b[2J\x1b[H", "\x9b31m", "\x9d52;c;x\x9c",
        "\x07\x08\x7f", "\r>>> ", "\x1bP1$r\x1b\\", "\x0e\x0f", "a\tb\nc"]


class Evil(http.server.BaseHTTPRequestHandler):
    """A server whose every text tries to drive the terminal."""
    text = ""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def answer(self, status, *lines):
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, {"models": [{"name": "n" + self.text, "digest": self.text, "size": 1}]})

    def do_DELETE(self):
        self.answer(500, {"error": "no: " + self.text})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/show":
            self.answer(200, {"license": self.text, "template": self.text, "system": self.text,
                              "parameters": self.text, "modelfile": self.text, "capabilities": [self.text],
                              "details": {"family": self.text}, "model_info": {"a" + self.text: self.text}})
        elif self.path == "/api/pull":
            self.answer(200, {"status": self.text}, {"error": self.text})
        elif body.get("prompt") == "" or "prompt" not in body and "messages" not in body:
            self.answer(200, {"response": "", "done": True})
        else:
            self.answer(200, {"response": self.text, "thinking": self.text}, {"response": "end", "done": True})


@pytest.fixture(scope="module")
def evil_port():
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd.server_port
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def evil(env, evil_port):
    return env | {"OLLAMA_HOST": f"127.0.0.1:{evil_port}"}


EVIL_COMMANDS = [["run", "m", "hi"], ["run", "m", "hi", "--nowordwrap"], ["show", "m"], ["show", "-v", "m"],
            ["show", "--license", "m"], ["show", "--template", "m"], ["list"], ["ps"], ["pull", "m"], ["rm", "m"]]


@pytest.mark.parametrize("command", EVIL_COMMANDS, ids=" ".join)
def test_sec_S_PA_11(evil, command):
    """Control characters from a server are shown, not obeyed; newline and tab stay."""
    allowed = (b"\x1b[38;5;245m", b"\x1b[1m", b"\x1b[0m", b"\x1b[?2026h", b"\x1b[?2026l", b"\x1b[?25l", b"\x1b[?25h",
               b"\x1b[1G", b"\x1b[2K", b"\x1b[K", b"\x1b[A")
    Evil.text = "".join(EVIL)
    t = Terminal(binary(), command, evil, columns=2000)
    t.end()
    raw = t.raw.replace(b"\r\n", b"\n")
    for sequence in allowed:
        raw = raw.replace(sequence, b"")
    for n in range(1, 2000):  # the wrapping of a word
        raw = raw.replace(b"\x1b[%dD" % n, b"") if b"\x1b[" in raw else raw
    text = raw.decode()
    bad = sorted({c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160})
    assert not bad, (bad, t.raw)
    assert "\\x1b]52;c;aGk=\\x07" in text


def test_a_file_gets_the_bytes(evil):
    """Only a terminal is protected: what goes into a file is what the model said."""
    Evil.text = EVIL[0]
    done = subprocess.run([binary(), "run", "m", "hi", "--nowordwrap", "--hidethinking"], env=evil,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.stdout.startswith(EVIL[0].encode())
