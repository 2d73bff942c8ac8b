#!/usr/bin/env python3
"""Writes grid_<name>.h from golden/quants/tables/<name>.json (spec/quants.md 4, "Grids and signs").

    kernels/quant/gen_grids.py            write the headers
    kernels/quant/gen_grids.py --check    compare them with the tables (a test; writes nothing)

The grids are constants of the file format: no rule that makes them is known, so they are listed, as
short as it goes: one number for each vector, its digits packed. A digit's value is in the decoder.
"""
import json, lzma, pathlib, sys

HERE = pathlib.Path(__file__).resolve().parent
TABLES = HERE.parent.parent / 'golden' / 'quants' / 'tables'
NAMES = ('iq1', 'iq2s', 'iq2xs', 'iq2xxs', 'iq3s', 'iq3xxs')


def load(name):
    path = TABLES / (name + '.json')
    text = path.read_text() if path.exists() else lzma.open(str(path) + '.xz', 'rt').read()
    return json.loads(text)


def header(name):
    t = load(name)
    n, bits, codes = t['entries'], t['bits_per_digit'], t['codes']
    assert len(codes) == n and codes == sorted(set(codes))
    assert max(codes) < 1 << bits * t['values_per_entry']
    out = [f'/* grid_{name}.h - the grid of {t["used_by"]}: {n} vectors of {t["values_per_entry"]} digits'
           f' 0..{len(t["levels"]) - 1}, which stand for',
           f' * {", ".join(map(str, t["levels"]))}. Digit j is bits {bits}j..{bits}j+{bits - 1} of a number.'
           f' A constant of the',
           f' * file format, written by gen_grids.py from golden/quants/tables/{name}.json. See grid.h. */',
           '/* clang-format off */',
           f'QUANT_GRID({name}, {n})']
    line = ''
    for i, code in enumerate(codes):
        item = f'G({code})' + ('' if i == n - 1 else ',')
        if len(line) + len(item) > 100:
            out.append(line)
            line = ''
        line += item
    out += [line, 'QUANT_GRID_END', '/* clang-format on */', '#undef G', '']
    return '\n'.join(out)


def main():
    differ = []
    for name in NAMES:
        path, text = HERE / f'grid_{name}.h', header(name)
        if '--check' not in sys.argv[1:]:
            path.write_text(text)
        elif path.read_text() != text:
            differ.append(path.name)
    if differ:
        sys.exit('differ from golden/quants/tables: ' + ' '.join(differ))
    print(f'gen_grids: {len(NAMES)} grids')


main()
