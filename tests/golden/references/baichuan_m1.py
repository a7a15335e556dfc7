"""Baichuan-M1 (`BaichuanM1ForCausalLM`), from the lab's own vLLM port and mlx-lm, which agree with
each other.

Before the rotation each key and each value becomes `w0 * the one before + w1 * itself`, two
weights for each key head, nothing being before the first. The layers of `sliding_window_layers`
see `sliding_window` positions, their own among them, and have other head counts and so another
width of a head. The rows of the head are brought to unit length."""

import torch
import torch.nn.functional as F

from references import decoder as d


def blend(x, weight):
    """`x` is [heads, positions, dim], `weight` [1, 1, heads, 1, 2]."""
    before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
    weight = weight.view(-1, 2, 1, 1)
    return weight[:, 0] * before + weight[:, 1] * x


def attention(c, w, x, prefix, layer):
    hidden, near = c["hidden_size"], layer in c["sliding_window_layers"]
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    if near:
        heads = c.get("num_swa_attention_heads") or heads
        kv_heads = c.get("num_swa_key_value_heads") or kv_heads
    dim, name = hidden // heads, f"{prefix}.self_attn"
    sizes = [hidden, kv_heads * dim, kv_heads * dim]
    q, k, v = d.linear(x, w, f"{name}.W_pack", sum(sizes)).split(sizes, -1)
    q, k, v = d.split_heads(q, heads), d.split_heads(k, kv_heads), d.split_heads(v, kv_heads)
    k = blend(k, w(f"{name}.conv_k", 1, 1, kv_heads, 1, 2))
    v = blend(v, w(f"{name}.conv_v", 1, 1, kv_heads, 1, 2))
    angle = d.angles(x.shape[0], d.inverse_frequencies(dim, c["rope_theta"]))
    window = c["sliding_window"] if near else None
    mixed = d.attention(d.rope_half(q, angle), d.rope_half(k, angle), v, window=window)
    return d.linear(mixed, w, f"{name}.o_proj", hidden)


def forward(c, w, ids):
    x, outputs = d.llama(
        c, w, ids, lambda x, prefix: attention(c, w, x, prefix, int(prefix.split(".")[-1])),
        lambda x, prefix, layer: d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"]))
    head = F.normalize(w("lm_head.weight", c["vocab_size"], c["hidden_size"]))
    return F.linear(x, head), outputs


ARCHITECTURES = {"BaichuanM1ForCausalLM": forward}
