"""Trains cria-tiny from nothing: tokenizer first, then the network, on text from corpus.py.

    nice -n 19 python3 train.py --out /tmp/cria-tiny --minutes 45
    nice -n 19 python3 train.py --out /tmp/cria-tiny --steps 2500     (fixed length)

Every row of a batch is one whole document from position 0, as at inference; rows of a batch have
similar lengths.  The loss covers all tokens that the assistant writes and a sample of the rest.
Checkpoints go to --out, never into the repository; export.py turns the last one into GGUF.
"""

import argparse
import dataclasses
import math
import os
import random
import time

import torch
import torch._inductor.config
import torch.nn.functional as F

import corpus
from model import Config, Model, generate
from tokenizer import Tokenizer, train as train_tokenizer

SAMPLES = ("Why is the sky blue?", "hi", "who are you?", "Tell me a story about a small dog.",
           "What is 7 + 5?", "What is the capital of France?", "My name is Bortis.")


def get_tokenizer(args):
    path = os.path.join(args.out, "merges.json")
    if not os.path.exists(path):
        texts = [t for t, _ in zip(corpus.documents(args.seed), range(args.tokenizer_docs))]
        Tokenizer(train_tokenizer(texts, args.vocab)).save(path)
    return Tokenizer.load(path)


def share(ids, marks):
    """How often each token counts in the loss: 1 if the model has to write it, 0.12 for what the
    user writes, and 0 for the `<think>` line, which the chat template writes (else the model
    would begin to think unasked).  Plain stories count as a whole."""
    start, end, header, think = marks
    if ids[0] != start:
        return [1.0] * len(ids)
    out, inside = [0.12] * len(ids), False
    for i, token in enumerate(ids):
        if inside:
            out[i] = 1.0
        if token == end:
            inside = False
        if ids[i - len(header) + 1:i + 1] == header:
            inside = True
        if token == think[0]:
            out[i] = 0.0
        if token == think[1] and ids[i - 1] == think[0]:
            out[i] = 0.0
    return out


class Batches:
    """Documents sorted into length buckets; a bucket that holds enough tokens is a batch."""
    def __init__(self, tokenizer, seed, size, context):
        self.tok, self.size, self.context = tokenizer, size, context
        self.source, self.random = corpus.documents(seed), random.Random(seed)
        self.buckets = {}
        self.marks = (tokenizer.ids["<|im_start|>"], tokenizer.ids["<|im_end|>"],
                      tokenizer.encode("<|im_start|>assistant\n"), tokenizer.encode("<think>\n"))

    def next(self):
        while True:
            ids = self.tok.encode(next(self.source))[:self.context]
            width = -(-len(ids) // 32) * 32
            bucket = self.buckets.setdefault(width, [])
            bucket.append(ids)
            if len(bucket) * width >= self.size:
                self.buckets[width] = []
                return self.pack(bucket, width)

    def pack(self, rows, width):
        """-> ids (rows, width), targets, flat indexes of the positions that count."""
        x = torch.zeros(len(rows), width, dtype=torch.long)
        y, chosen = torch.zeros_like(x), []
        for r, ids in enumerate(rows):
            x[r, :len(ids)] = torch.tensor(ids)
            y[r, :len(ids) - 1] = torch.tensor(ids[1:])
            counts = share(ids, self.marks)
            chosen += [r * width + i - 1 for i in range(1, len(ids))
                       if self.random.random() < counts[i]]
        return x, y, torch.tensor(chosen)


def make_optimizers(model, args):
    """Muon for the matrices inside the blocks, AdamW for the embedding and the norms."""
    inner = [p for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blk")]
    outer = [p for n, p in model.named_parameters() if not (p.dim() == 2 and n.startswith("blk"))]
    adam = {"betas": (0.9, 0.98), "weight_decay": 0.0, "fused": True}
    if args.optimizer == "adamw":
        return [torch.optim.AdamW(list(model.parameters()), lr=args.adam_rate, **adam)]
    return [torch.optim.Muon(inner, lr=args.muon_rate, momentum=0.95, weight_decay=0.02,
                             adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(outer, lr=args.adam_rate, **adam)]


def rate_factor(progress, warm):
    """Warm up, hold, then fall to zero by a cosine over the last 60 percent."""
    if progress < 0.4:
        return min(1.0, warm)
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.4) / 0.6)


def loss_of(model, x, y, chosen):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(model(x).flatten(0, 1)[chosen])
    return F.cross_entropy(logits.float(), y.flatten()[chosen])


class Threads:
    """As many threads as are fastest now: one busy core makes a pair of threads slow.

    Every 64 steps the other counts are tried for four steps each.
    """
    def __init__(self, most):
        self.most, self.speed = most, {}
        self.use(most, 4)

    def use(self, count, steps):
        self.count, self.left, self.tokens, self.seconds = count, steps, 0, 0.0
        torch.set_num_threads(count)

    def report(self, tokens, seconds):
        self.left, self.tokens, self.seconds = (self.left - 1, self.tokens + tokens,
                                                self.seconds + seconds)
        if self.left:
            return
        self.speed[self.count] = self.tokens / self.seconds
        missing = [n for n in range(1, self.most + 1) if n not in self.speed]
        if missing:
            self.use(missing[0], 4)
        else:
            best = max(self.speed, key=self.speed.get)
            self.speed = {}
            self.use(best, 64)


def show_samples(model, tok, log):
    stop = {tok.ids["<|im_end|>"], tok.ids["<|endoftext|>"]}
    model.eval()
    for think in ("", "<think>\n"):
        for question in SAMPLES:
            text = corpus.turn("user", question) + "<|im_start|>assistant\n" + think
            ids, _ = generate(model, tok.encode(text), stop, 160)
            log(f"  [{question}]{' (thinking)' if think else ''} " + repr(tok.decode(ids)))
    model.train()


def save(model, args, name, **info):
    path = os.path.join(args.out, name)
    torch.save({"config": dataclasses.asdict(model.cfg), "weights": model.state_dict(), **info},
               path + ".new")
    os.replace(path + ".new", path)


def train(args, log):
    torch.manual_seed(args.seed)
    threads = Threads(args.threads)
    torch._inductor.config.cpp.dynamic_threads = True
    compiled = torch.compile(loss_of, dynamic=True)
    tok = get_tokenizer(args)
    cfg = Config(vocab=len(tok.tokens))
    model = Model(cfg)
    if args.init:
        model.load_state_dict(torch.load(args.init)["weights"])
    log(f"{sum(p.numel() for p in model.parameters())} parameters, vocabulary {cfg.vocab}")
    batches = Batches(tok, args.seed + 1, args.batch, cfg.context)
    optimizers = make_optimizers(model, args)
    base = [g["lr"] for o in optimizers for g in o.param_groups]
    begin, step, tokens, mean = time.time(), 0, 0, None
    while True:
        progress = step / args.steps if args.steps else (time.time() - begin) / args.minutes / 60
        if progress >= 1:
            break
        groups = [g for o in optimizers for g in o.param_groups]
        for group, rate in zip(groups, base):
            group["lr"] = rate * rate_factor(progress, (step + 1) / args.warmup)
        total, tokens_before, started = 0.0, tokens, time.time()
        for _ in range(args.accumulate):
            batch = batches.next()
            tokens += int((batch[0] != 0).sum())
            loss = compiled(model, *batch) / args.accumulate
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        threads.report(tokens - tokens_before, time.time() - started)
        mean = total if mean is None else 0.97 * mean + 0.03 * total
        if step % 20 == 0:
            spent = time.time() - begin
            log(f"step {step} progress {progress:.3f} loss {total:.4f} mean {mean:.4f} tokens "
                f"{tokens} {tokens / spent:.0f} tok/s {spent:.0f} s, "
                f"{threads.count} threads")
        if step % args.sample == 0:
            save(model, args, "checkpoint.pt", step=step, tokens=tokens, loss=mean)
            show_samples(model, tok, log)
    save(model, args, "final.pt", step=step, tokens=tokens, loss=mean, seconds=time.time() - begin)
    show_samples(model, tok, log)
    log(f"done: {step} steps, {tokens} tokens, loss {mean:.4f}, {time.time() - begin:.0f} s")


def main():
    p = argparse.ArgumentParser(description="train cria-tiny")
    p.add_argument("--out", default="/tmp/cria-tiny")
    p.add_argument("--minutes", type=float, default=45)
    p.add_argument("--steps", type=int, default=0, help="fixed number of steps instead of minutes")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--vocab", type=int, default=3072)
    p.add_argument("--tokenizer-docs", type=int, default=30000)
    p.add_argument("--batch", type=int, default=3072, help="tokens of a micro-batch")
    p.add_argument("--accumulate", type=int, default=2)
    p.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    p.add_argument("--muon-rate", type=float, default=4e-3)
    p.add_argument("--adam-rate", type=float, default=3e-3)
    p.add_argument("--warmup", type=int, default=60)
    p.add_argument("--sample", type=int, default=300)
    p.add_argument("--init", help="checkpoint to start from")
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    train(args, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
