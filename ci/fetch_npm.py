#!/usr/bin/env python3
"""Unpacks the pinned packages of a list into a node_modules folder: fetch_npm.py LIST FOLDER

One pinned archive each, checked against its hash before anything is unpacked: no package manager, no
install scripts. A folder that has what the list says is left alone. Exit status 1 without a network,
or where nobody says from where."""
import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request


def registry():
    """Where npm would look: NPM_CONFIG_REGISTRY, else what an installed npm is configured to."""
    url = os.environ.get("NPM_CONFIG_REGISTRY")
    if not url and shutil.which("npm"):
        url = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, timeout=60).stdout.strip()
    if not url:
        sys.exit("no npm, and NPM_CONFIG_REGISTRY is not set: no JavaScript packages")
    return url.rstrip("/") + "/"


def rows(path):
    with open(path, encoding="utf-8") as f:
        return [line.split() for line in f if line.strip() and not line.startswith("#")]


def fetch(path, integrity):
    with urllib.request.urlopen(registry() + path, timeout=60) as r:
        data = r.read(64 << 20)
    got = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if got != integrity:
        raise ValueError(f"{path}: {got}, want {integrity}")
    return data


def unpack(data, folder):
    """Plain files only; an archive has one folder on top, which goes."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            parts = member.name.split("/")[1:]
            if not member.isfile() or not parts or ".." in parts:
                continue
            to = os.path.join(folder, *parts)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with open(to, "wb") as f:
                shutil.copyfileobj(tar.extractfile(member), f)


def main(list_path, folder):
    for name, path, integrity in rows(list_path):
        to, mark = os.path.join(folder, name), os.path.join(folder, name, ".integrity")
        if os.path.exists(mark) and open(mark, encoding="utf-8").read() == integrity:
            continue
        data = fetch(path, integrity)
        shutil.rmtree(to, ignore_errors=True)
        unpack(data, to)
        with open(mark, "w", encoding="utf-8") as f:
            f.write(integrity)


try:
    main(*sys.argv[1:3])
except (OSError, ValueError) as e:
    sys.exit(f"{sys.argv[0]}: {e}")
