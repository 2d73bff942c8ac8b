"""The training text of cria-tiny, made by a seeded generator: stories, facts, sums, chats, tools.

Nothing is downloaded; every sentence comes from the grammars and tables in stories.py, world.py,
topics.py and tools.py, so the text is ours (Apache-2.0).  `documents(seed)` yields chats in exactly
the form that cria-tiny.template renders (chats.py), plus some plain stories.

    python3 corpus.py [--seed N] [--count N]     prints documents
"""

import argparse
import random

import stories
from chats import chat
from tools import tool_chat


def document(r):
    dice = r.random()
    if dice < 0.04:
        return stories.story(r) + "<|endoftext|>"
    if dice < 0.15:
        return tool_chat(r)
    if dice < 0.175:
        return chat(r, long=True)
    return chat(r)


def documents(seed):
    """An endless, deterministic stream."""
    r = random.Random(seed)
    while True:
        yield document(r)


def main():
    args = argparse.ArgumentParser(description="print training documents")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--count", type=int, default=20)
    args = args.parse_args()
    for _, text in zip(range(args.count), documents(args.seed)):
        print(text, end="\n" + "=" * 60 + "\n")


if __name__ == "__main__":
    main()
