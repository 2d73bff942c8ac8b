"""The network of cria-tiny in torch: the llama architecture as the engine computes it.

RMSNorm, rotary embedding on interleaved pairs (2i, 2i+1), grouped-query attention, SwiGLU and
an output head that shares the embedding matrix.  train.py trains it, export.py writes it to GGUF
and evaluates the rounded weights with it.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Config:
    """Every row length (dim, kv width, ff) is a multiple of 32, the block size of Q8_0."""
    vocab: int = 3072
    dim: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    ff: int = 672
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.dim // self.heads


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


def rope_tables(cfg):
    """cos and sin of shape (context, head_dim / 2)."""
    half = torch.arange(0, cfg.head_dim, 2, dtype=torch.float64) / cfg.head_dim
    angle = torch.outer(torch.arange(cfg.context, dtype=torch.float64), cfg.rope_base ** -half)
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """x: (batch, time, heads, head_dim); the pair of a frequency is (2i, 2i + 1)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[:, None, :].to(x.dtype), sin[:, None, :].to(x.dtype)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        kv = cfg.kv_heads * cfg.head_dim
        self.cfg = cfg
        self.attn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.attn_q = nn.Linear(cfg.dim, cfg.dim, bias=False)
        self.attn_k = nn.Linear(cfg.dim, kv, bias=False)
        self.attn_v = nn.Linear(cfg.dim, kv, bias=False)
        self.attn_output = nn.Linear(cfg.dim, cfg.dim, bias=False)
        self.ffn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.ffn_gate = nn.Linear(cfg.dim, cfg.ff, bias=False)
        self.ffn_up = nn.Linear(cfg.dim, cfg.ff, bias=False)
        self.ffn_down = nn.Linear(cfg.ff, cfg.dim, bias=False)

    def attention(self, x, cos, sin, cache):
        batch, time, _ = x.shape
        shape = (batch, time, -1, self.cfg.head_dim)
        q = rotate(self.attn_q(x).view(shape), cos, sin).transpose(1, 2)
        k = rotate(self.attn_k(x).view(shape), cos, sin).transpose(1, 2)
        v = self.attn_v(x).view(shape).transpose(1, 2)
        if cache is not None:
            k, v = cache.append(self, k, v)
        group = self.cfg.heads // self.cfg.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=time > 1)
        return self.attn_output(y.transpose(1, 2).reshape(batch, time, -1))

    def forward(self, h, cos, sin, cache=None):
        h = h + self.attention(self.attn_norm(h), cos, sin, cache)
        x = self.ffn_norm(h)
        return h + self.ffn_down(F.silu(self.ffn_gate(x)) * self.ffn_up(x))


class Cache:
    """Keys and values per block, for decoding token by token after one prompt pass."""
    def __init__(self):
        self.past = {}
        self.length = 0

    def append(self, block, k, v):
        if block in self.past:
            old_k, old_v = self.past[block]
            k, v = torch.cat((old_k, k), 2), torch.cat((old_v, v), 2)
        self.past[block] = (k, v)
        return k, v


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.token_embd = nn.Embedding(cfg.vocab, cfg.dim)
        self.blk = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.output_norm = RMSNorm(cfg.dim, cfg.eps)
        cos, sin = rope_tables(cfg)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.init_weights()

    def init_weights(self):
        """Normal 0.02; the two projections into the residual stream start smaller."""
        small = 0.02 / math.sqrt(2 * self.cfg.layers)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                into_stream = "attn_output" in name or "ffn_down" in name
                nn.init.normal_(weight, std=small if into_stream else 0.02)

    def forward(self, ids, cache=None):
        """ids (batch, time) -> hidden states after the final norm."""
        start = cache.length if cache else 0
        cos, sin = (t[start:start + ids.shape[1]] for t in (self.cos, self.sin))
        h = self.token_embd(ids)
        for block in self.blk:
            h = block(h, cos, sin, cache)
        if cache:
            cache.length += ids.shape[1]
        return self.output_norm(h)

    def logits(self, hidden):
        return F.linear(hidden, self.token_embd.weight)


@torch.no_grad()
def generate(model, ids, stop, limit=200):
    """Greedy decoding in f32; returns (new ids, margin of each: best minus second logit)."""
    cache, out, margins = Cache(), [], []
    x = torch.tensor([ids])
    while len(out) < limit and len(ids) + len(out) < model.cfg.context:
        top = model.logits(model(x, cache)[0, -1].float()).topk(2)
        out.append(int(top.indices[0]))
        margins.append(float(top.values[0] - top.values[1]))
        if out[-1] in stop:
            break
        x = torch.tensor([[out[-1]]])
    return out, margins
