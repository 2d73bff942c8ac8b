"""Damaged stores: bits flipped, files cut, deleted, exchanged, filled with anything. A server on such a store
answers, fsck tells the truth, and a model that is still whole says what it always said (spec/security.md 6).

CRIA_DAMAGE=N stores (40); the spec's figure is 10,000 (half an hour)."""
import hashlib
import json
import os
import random
import shutil

import pytest

from conftest import SANITIZED, binary
from test_faults import request
from test_store import cli, create, fsck
from transport import Server

WANTED = int(os.environ.get("CRIA_DAMAGE", "8" if SANITIZED else "40"))
PER_SERVER = 25  # stores until the server is started anew, on a damaged one


def files_of(folder):
    return sorted(os.path.join(base, f) for base, _, names in os.walk(folder) for f in names)


def read(path):
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is no file")  # a FIFO would be waited for, /dev/zero never ends
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    """As another program would: a new file in the place of the old one."""
    if os.path.islink(path) or os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as f:
        f.write(data)


# ---- what can happen to a file: (path, all files, random) -----------------------------------------------------


def flip(path, _, rnd):
    data = bytearray(read(path))
    for _ in range(rnd.choice([1, 1, 8, 64])):
        if data:
            data[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)
    write(path, bytes(data))


def cut(path, _, rnd):
    data = read(path)
    write(path, data[:rnd.randrange(len(data) + 1)])


def grow(path, _, rnd):
    write(path, read(path) + rnd.randbytes(rnd.choice([1, 512, 4096])))


def fill(path, _, rnd):
    write(path, rnd.randbytes(rnd.choice([0, 1, 100, 5000])))


def remove(path, _, rnd):
    os.unlink(path)


def exchange(path, every, rnd):
    other = rnd.choice(every)
    if os.path.isfile(other):
        a, b = read(path), read(other)
        write(path, b)
        write(other, a)


def copy(path, every, rnd):
    write(path, read(rnd.choice([x for x in every if os.path.isfile(x)])))


def become_folder(path, _, rnd):
    os.unlink(path)
    os.makedirs(path + "/x")


def become_link(path, every, rnd):
    target = rnd.choice([rnd.choice(every), "/etc/passwd", "/dev/zero", "nowhere", os.path.basename(path)])
    os.unlink(path)
    os.symlink(target, path)


def become_fifo(path, _, rnd):
    os.unlink(path)
    os.mkfifo(path)


def misname(path, _, rnd):
    os.rename(path, path[:-1] + rnd.choice("0aZ-._ \n"))


def lie(path, every, rnd):
    """A manifest that can be read and says something else."""
    try:
        m = json.loads(read(path))
        layer = rnd.choice(m["layers"] + [m["config"]])
    except (ValueError, KeyError, TypeError, IndexError):
        return fill(path, every, rnd)
    key = rnd.choice(["digest", "size", "mediaType", "from"])
    layer[key] = rnd.choice([rnd.choice(m["layers"] + [m["config"]]).get(key, ""), "sha256:" + "0" * 64, 0, -1, 1 << 62,
                             None, "../x", "", [], rnd.randbytes(9).hex()])
    return write(path, json.dumps(m).encode())


ANY = [flip, flip, cut, grow, fill, remove, exchange, copy, become_folder, become_link, become_fifo, misname]


def damage(folder, rnd):
    done = []
    for _ in range(rnd.choice([1, 1, 1, 2, 4])):
        every = [x for x in files_of(folder) if os.path.isfile(x) and not os.path.islink(x)]
        if not every:
            break
        path = rnd.choice(every)
        what = rnd.choice(ANY + [lie] * (6 if "/manifests/" in path else 0))
        what(path, every, rnd)
        done.append((what.__name__, path[len(folder):]))
    return done


# ---- what is still right, by eyes other than cria's --------------------------------------------------------------


def member(value, key):
    """As Go reads it: the very key, else without regard to case."""
    found = [k for k in value if k == key] or [k for k in value if k.lower() == key] if isinstance(value, dict) else []
    return value[found[-1]] if found else None


def is_whole(folder, name, digest):
    """The manifest under that name is that one, and so are its blobs. The first JSON value counts, bad UTF-8 passes."""
    try:
        text = read(f"{folder}/manifests/{name}")
        if hashlib.sha256(text).hexdigest() != digest:
            return False
        manifest, _ = json.JSONDecoder(strict=False).raw_decode(text.decode("utf-8", "replace").lstrip(" \t\r\n"))
        digests = [member(x, "digest") for x in (member(manifest, "layers") or []) + [member(manifest, "config")]]
        return all(hashlib.sha256(read(f"{folder}/blobs/sha256-{x[7:]}")).hexdigest() == x[7:].lower()
                   for x in digests if isinstance(x, str) and x)
    except OSError:
        return False


def generate(server, name):
    body = {"model": name, "prompt": "Say something.", "stream": False, "keep_alive": 0, "options": {"num_predict": 4, "temperature": 0}}
    return request(server, "POST", "/api/generate", body)[-1]


class Damaged:
    def __init__(self, tmp_path):
        self.folder, self.saved, self.server = str(tmp_path / "models"), str(tmp_path / "saved"), None
        self.start()
        for name, text in [("one", "Be brief."), ("two", "Be long.")]:
            create(self.server, name, text, template="{{ .System }} {{ .Prompt }}", license="Anybody may.")
        fsck(self.folder)
        self.models = {f"registry.ollama.ai/library/{n}/latest": n for n in ["one", "two"]}
        self.digests = {m: hashlib.sha256(read(f"{self.folder}/manifests/{m}")).hexdigest() for m in self.models}
        self.said = {n: generate(self.server, n)["response"] for n in self.models.values()}
        self.stop()
        shutil.copytree(self.folder, self.saved)

    def start(self):
        self.server = Server(binary(), {"OLLAMA_MODELS": self.folder, "CRIA_LOG_LEVEL": "error"})

    def stop(self):
        if self.server:
            log = self.server.log_tail(4000)
            status, self.server = self.server.stop(), None
            assert status == 0, log

    def renew(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.saved, self.folder)

    def look(self):
        """How many models are whole, and that all is as it must be."""
        found = json.loads(cli(self.folder, "fsck", "--json", check=False).stdout)
        tags = request(self.server, "GET", "/api/tags", "")[-1]["models"]
        listed = {m["name"]: m["digest"] for m in tags}
        whole = 0
        for path, name in self.models.items():
            request(self.server, "POST", "/api/show", {"model": name})
            answer = generate(self.server, name)
            if is_whole(self.folder, path, self.digests[path]):
                whole += 1
                assert listed.get(name + ":latest") == self.digests[path]
                assert answer.get("response") == self.said[name], answer
            elif os.path.isfile(f"{self.folder}/manifests/{path}") and found["damaged"] == 0:
                # fsck is content: another manifest, and all that it names is right.
                digest = hashlib.sha256(read(f"{self.folder}/manifests/{path}")).hexdigest()
                assert digest != self.digests[path] and is_whole(self.folder, path, digest)
        assert self.server.alive()
        return whole

    def repair(self):
        cli(self.folder, "fsck", "--repair", check=False)
        for name, text in [("one", "Be brief."), ("two", "Be long.")]:
            create(self.server, name, text, template="{{ .System }} {{ .Prompt }}", license="Anybody may.")
            assert generate(self.server, name)["response"] == self.said[name]


@pytest.fixture
def damaged(tmp_path):
    d = Damaged(tmp_path)
    yield d
    d.stop()


def test_damaged_stores(damaged):
    first, whole = int(os.environ.get("CRIA_DAMAGE_SEED", "0")), 0
    for seed in range(first, first + WANTED):
        rnd = random.Random(seed)
        damaged.renew()
        done = damage(damaged.folder, rnd)
        try:
            if (seed - first) % PER_SERVER == 0:
                damaged.stop()
                damaged.start()
            whole += damaged.look()
            if rnd.randrange(8) == 0:
                damaged.repair()
        except AssertionError as e:
            raise AssertionError(f"seed {seed}: {done}: {e}") from e
    assert 0 < whole < 2 * WANTED
