"""Pieces that references share. `x` is [positions, width]; heads are [heads, positions, width]."""

import math

import torch
import torch.nn.functional as F


def rms_norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def layer_norm(x, weight, bias, eps):
    return F.layer_norm(x, (x.shape[-1],), weight, bias, eps)


def linear(x, w, name, outputs, bias=False):
    """The map `{name}.weight`, `[outputs, width of x]`, with `{name}.bias` where it has one."""
    return F.linear(x, w(f"{name}.weight", outputs, x.shape[-1]),
                    w(f"{name}.bias", outputs) if bias else None)


def split_heads(x, heads):
    return x.view(x.shape[0], heads, -1).transpose(0, 1)


def join_heads(x):
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def inverse_frequencies(dim, theta):
    return 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))


def angles(positions, inverse):
    """`[positions, dim / 2]`; `positions` is how many there are."""
    return torch.outer(torch.arange(positions, dtype=torch.float32), inverse)


def rope_half(x, angle):
    """Number i turns with number i + dim / 2; what is beyond dim stays."""
    half = angle.shape[-1]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def rope_pairs(x, angle):
    """Number 2i turns with number 2i + 1; what is beyond dim stays."""
    dim = 2 * angle.shape[-1]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., 0:dim:2], x[..., 1:dim:2]
    turned = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
    return torch.cat([turned, x[..., dim:]], -1)


def attention(q, k, v, scale=None, bias=None, window=None, together=0):
    """Causal but for `together` first positions, which all rows see; key heads are shared out to query heads in order; `bias` is added to the scores."""
    scale = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    groups = q.shape[0] // k.shape[0]
    k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
    scores = q @ k.transpose(1, 2) * scale
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    length = q.shape[1]
    distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    hidden = (distance < 0) & (torch.arange(length)[None, :] >= together)
    if window is not None:
        hidden = hidden | (distance >= window)
    scores = scores.masked_fill(hidden, float("-inf"))
    return join_heads(torch.softmax(scores, -1) @ v)


def swiglu(x, w, name, width, bias=False, maps=("gate_proj", "up_proj", "down_proj")):
    """`down(silu(gate(x)) * up(x))` with the maps `{name}.{gate_proj, up_proj, down_proj}`."""
    gate, up, down = (f"{name}.{map_name}" for map_name in maps)
    inner = F.silu(linear(x, w, gate, width, bias)) * linear(x, w, up, width, bias)
    return linear(inner, w, down, x.shape[-1], bias)


def mixture(chosen, weights, outputs):
    """Sums each row's chosen experts: `chosen` and `weights` are [positions, active], `outputs`
    lists every expert's output for all positions."""
    stacked = torch.stack(outputs, 1)
    picked = stacked.gather(1, chosen[..., None].expand(-1, -1, stacked.shape[-1]))
    return (picked * weights[..., None]).sum(1)


def embed(w, name, vocab, hidden, ids):
    return w(name, vocab, hidden)[torch.tensor(ids)]


def pre_norm(x, layers, norm, mixer, ffn, scale=1.0):
    """The usual layers: `x + mixer(norm(x))`, then `x + ffn(norm(x))`, outputs times `scale`.
    `norm(x, layer, which)` has 0 before the mixer and 1 before the FFN."""
    outputs = []
    for layer in range(layers):
        x = x + scale * mixer(norm(x, layer, 0), layer)
        x = x + scale * ffn(norm(x, layer, 1), layer)
        outputs.append(x)
    return x, outputs


def llama(c, w, ids, mixer, ffn, norm=rms_norm, table="model.embed_tokens", scale=1.0):
    """The frame that most checkpoints share; gives the normed stream and the layers' outputs."""
    hidden, eps = c["hidden_size"], c["rms_norm_eps"]

    def normed(x, name):
        weights = [w(f"{name}.weight", hidden)]
        if norm is layer_norm:
            weights.append(w(f"{name}.bias", hidden))
        return norm(x, *weights, eps)

    names = ["input_layernorm", "post_attention_layernorm"]
    x = embed(w, f"{table}.weight", c["vocab_size"], hidden, ids) * c.get("scale_emb", 1)
    x, outputs = pre_norm(
        x, c["num_hidden_layers"],
        lambda x, layer, which: normed(x, f"model.layers.{layer}.{names[which]}"),
        lambda x, layer: mixer(x, f"model.layers.{layer}"),
        lambda x, layer: ffn(x, f"model.layers.{layer}", layer), scale)
    return normed(x, "model.norm"), outputs


def head(c, w, x, table="model.embed_tokens"):
    """`lm_head`, or the embedding where the two are tied."""
    name = f"{table}.weight" if c.get("tie_word_embeddings") else "lm_head.weight"
    return F.linear(x, w(name, c["vocab_size"], c["hidden_size"]))


def grouped_attention(c, w, x, prefix, angle, qkv_bias=False, o_bias=False):
    """`{prefix}.self_attn.{q,k,v,o}_proj`, half-split rotation of the whole head."""
    heads, kv_heads = c["num_attention_heads"], c.get("num_key_value_heads")
    kv_heads = kv_heads or heads
    dim = c.get("head_dim") or c["hidden_size"] // heads
    name = f"{prefix}.self_attn"
    q = split_heads(linear(x, w, f"{name}.q_proj", heads * dim, qkv_bias), heads)
    k = split_heads(linear(x, w, f"{name}.k_proj", kv_heads * dim, qkv_bias), kv_heads)
    v = split_heads(linear(x, w, f"{name}.v_proj", kv_heads * dim, qkv_bias), kv_heads)
    if angle is not None:
        q, k = rope_half(q, angle), rope_half(k, angle)
    return linear(attention(q, k, v), w, f"{name}.o_proj", c["hidden_size"], o_bias)
