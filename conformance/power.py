"""Disks that lost their power: what fault.c has recorded, cut somewhere, with any part of what was not yet
synced missing (spec/security.md 6.3 b).

The model is that of POSIX, harsher than any journaling file system. A file's bytes are there for good once the
file has been synced, a name once its folder has. Of the rest each single piece is there or not, in any
combination: writes are torn at borders of 512 bytes, a length can be new and its bytes still zeros, a rename can
be there and an earlier one in the same folder not. A rename itself is there or not."""
import collections
import os
import struct

HEADER = struct.Struct("<4I3Q")
SECTOR = 512
Op = collections.namedtuple("Op", "kind inode path path2 offset data size")


def read_log(path):
    ops, at = [], 0
    with open(path, "rb") as f:
        log = f.read()
    while at < len(log):
        kind, n1, n2, _, inode, offset, size = HEADER.unpack_from(log, at)
        at += HEADER.size
        path1, path2 = log[at:at + n1].decode(), log[at + n1:at + n1 + n2].decode()
        at += n1 + n2
        data = log[at:at + size] if kind == ord("w") else b""
        at += len(data)
        ops.append(Op(chr(kind), inode, path1, path2, offset, data, size))
    return ops


def folder_of(path):
    return path.rsplit("/", 1)[0]


class Tree:
    """A folder: names -> inodes, inodes -> bytes; folders are names with inode 0. The root is ""."""

    def __init__(self, root=None):
        self.names, self.data = {"": 0}, {}
        for base, folders, files in os.walk(root) if root else []:
            below = base[len(root):]
            for name in folders:
                self.names[f"{below}/{name}"] = 0
            for name in files:
                info = os.lstat(f"{base}/{name}")
                self.names[f"{below}/{name}"] = info.st_ino
                with open(f"{base}/{name}", "rb") as f:
                    self.data[info.st_ino] = f.read()

    def copy(self):
        other = Tree()
        other.names, other.data = dict(self.names), dict(self.data)
        return other

    def do_name(self, op, inode):
        """A change of names; inode: what the name stood for when it really happened."""
        if op.kind in "om":
            if op.path not in self.names:
                self.names[op.path] = inode
        elif op.kind == "u":
            if not any(x.startswith(op.path + "/") for x in self.names):
                self.names.pop(op.path, None)
        elif op.kind in "rl":
            if op.kind == "r" and self.names.get(op.path) == inode:
                del self.names[op.path]
            self.names[op.path2] = inode

    def do_data(self, inode, op, low=0, high=None):
        old = self.data.get(inode, b"")
        if op.kind == "t":
            self.data[inode] = old[:op.offset].ljust(op.offset, b"\0")
            return
        piece = op.data[low:high]
        at = op.offset + low
        self.data[inode] = old[:at].ljust(at, b"\0") + piece + old[at + len(piece):]

    def write_to(self, root):
        """What has no folder is lost."""
        for name in sorted(self.names):
            if not os.path.isdir(root + folder_of(name)):
                continue
            if self.names[name] == 0:
                os.makedirs(root + name, exist_ok=True)
            else:
                with open(root + name, "wb") as f:
                    f.write(self.data.get(self.names[name], b""))


def renumber(before, ops):
    """The calls with a number of its own for each file: the disk gives a number again when a file is gone."""
    now, number, out = before.copy(), {}, []
    for op in ops:
        if op.kind == "o" and op.path not in now.names:
            number[op.inode] = -len(out) - 1
        op = op._replace(inode=number.get(op.inode, op.inode))
        now.do_name(op, now.names.get(op.path, op.inode) if op.kind != "m" else 0)
        out.append(op)
    return out


def inodes_of(before, ops):
    """What each change of names was about."""
    now, found = before.copy(), []
    for op in ops:
        inode = None
        if op.kind in "om":
            inode = now.names.get(op.path, op.inode) if op.kind == "o" else 0
        elif op.kind in "url":
            inode = now.names.get(op.path)
        if inode is not None:
            now.do_name(op, inode)
        found.append(inode)
    return found


def is_synced(ops, i, cut, folder):
    """Whether the names of that folder, as they are after the i-th call, are on the disk."""
    return any(ops[k].kind == "S" and ops[k].path == folder for k in range(i + 1, cut))


def cut_names(tree, ops, inodes, cut, rnd, lost):
    for i in range(cut):
        op = ops[i]
        if inodes[i] is None:
            continue
        folder = folder_of(op.path2 or op.path)
        if is_synced(ops, i, cut, folder) or rnd.random() >= lost:
            tree.do_name(op, inodes[i])


def cut_data(tree, ops, cut, rnd, lost):
    synced = {}
    for i in range(cut):
        if ops[i].kind == "s":
            synced[ops[i].inode] = i
    for i in range(cut):
        op = ops[i]
        if op.kind not in "wt":
            continue
        if i < synced.get(op.inode, -1):
            tree.do_data(op.inode, op)
        elif rnd.random() >= lost:
            tear(tree, op, rnd)


def tear(tree, op, rnd):
    """All of a write, or some of its sectors, or only the length that it made."""
    how = rnd.randrange(4)
    if op.kind == "t" or how == 0:
        tree.do_data(op.inode, op)
    elif how == 1:
        end = op.offset + len(op.data)
        if len(tree.data.get(op.inode, b"")) < end:
            tree.do_data(op.inode, Op("t", op.inode, "", "", end, b"", 0))
    else:
        first = op.offset // SECTOR * SECTOR
        for at in range(first, op.offset + len(op.data), SECTOR):
            if rnd.random() < 0.5:
                tree.do_data(op.inode, op, max(0, at - op.offset), at + SECTOR - op.offset)


def after_power_loss(before, ops, cut, rnd):
    """The tree that is found, had the power gone before the cut-th call."""
    tree, inodes = before.copy(), inodes_of(before, ops)
    lost = rnd.choice([0, 0.2, 0.5, 0.8, 1])
    cut_names(tree, ops, inodes, cut, rnd, lost)
    cut_data(tree, ops, cut, rnd, lost)
    return tree
