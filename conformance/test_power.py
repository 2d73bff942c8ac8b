"""The power goes at any moment of pull, create, copy, delete ..., and any part of what was not synced is lost:
the server starts on what is left, every model that it shows is whole, none that was complete is missing, and the
same thing can be done again (spec/security.md 6.3 b; the model of the disk: power.py).

CRIA_POWER=N cuts per scenario (4); the spec's figure is 200."""
import os
import random
import shutil

import pytest

import power
from conftest import SANITIZED
from test_faults import (SCENARIOS, World, acceptable, failed, fsck, pytestmark, snapshot)

WANTED = int(os.environ.get("CRIA_POWER", "1" if SANITIZED else "4"))
FULL = 1 if WANTED < 50 else 20  # from so many of the cuts a server goes on; of the rest the disk is looked at


@pytest.fixture(params=SCENARIOS)
def scenario(request):
    return request.param


@pytest.fixture
def recorded(scenario, tmp_path, monkeypatch):
    """(the world, the tree before, what was done, the models before and after)"""
    log = str(tmp_path / "log")
    open(log, "wb").close()
    monkeypatch.setenv("FAULT_LOG", log)
    w = World(str(tmp_path))
    w.start()
    try:
        SCENARIOS[scenario][0](w)
        tree, before = power.Tree(w.disk.store), snapshot(w.disk.store)
        w.disk.arm()
        assert not failed(SCENARIOS[scenario][1](w))
        w.disk.disarm()
        w.stop()
        yield w, tree, power.renumber(tree, power.read_log(log)), before, snapshot(w.disk.store)
    finally:
        w.close()


def put(world, tree):
    shutil.rmtree(world.disk.store)
    os.makedirs(world.disk.store)
    tree.write_to(world.disk.store)


def go_on(world, scenario, before, after):
    world.start()
    again = SCENARIOS[scenario][1](world)
    world.stop()
    if scenario == "delete" and failed(again):
        assert "not found" in failed(again)
    else:
        assert not failed(again), again
    assert snapshot(world.disk.store) == after
    fsck(world.disk)


def check_record(world, tree, ops):
    """Nothing lost at all: the very folder that is there."""
    tree = tree.copy()
    for op, inode in zip(ops, power.inodes_of(tree, ops)):
        if inode is not None:
            tree.do_name(op, inode)
        elif op.kind in "wt":
            tree.do_data(op.inode, op)
    here = power.Tree(world.disk.store)
    assert set(tree.names) == set(here.names)
    for name, inode in here.names.items():
        assert inode == 0 or here.data[inode] == tree.data.get(tree.names[name], b""), name


def is_acceptable(world, before, after):
    try:
        acceptable(snapshot(world.disk.store), before, after)
        return True
    except (AssertionError, OSError, ValueError):
        return False


def test_sec_S_ST_2_power_loss(recorded, scenario):
    world, tree, ops, before, after = recorded
    check_record(world, tree, ops)
    for seed in range(WANTED):
        rnd = random.Random(seed)
        cut = len(ops) if seed % 10 == 0 else rnd.randrange(1, len(ops) + 1)
        put(world, power.after_power_loss(tree, ops, cut, rnd))
        what = f"seed {seed}, before call {cut} of {len(ops)}"
        now = snapshot(world.disk.store)
        acceptable(now, before, after)
        if cut == len(ops):
            assert now == after, what  # success had been told
        found = fsck(world.disk, "--repair", check=False)
        assert found["damaged"] == found["repaired"], (what, found)
        assert snapshot(world.disk.store) == now, what
        if (seed + 1) % max(1, WANTED // FULL) == 0:
            go_on(world, scenario, before, after)
    if scenario == "create":  # and if nothing had been synced, this test would notice
        ops = [op for op in ops if op.kind not in "sS"]
        lost = 0
        for seed in range(30):
            put(world, power.after_power_loss(tree, ops, len(ops), random.Random(seed)))
            lost += not is_acceptable(world, before, after)
        assert lost > 0
