"""Ling 3.0 under its released name (`BailingMoeV3ForCausalLM`), from the configurations of Ling-3.0-tiny and
Ling-3.0-flash and from what vLLM's port of modeling_bailing_moe_v3.py says of its parts.

Layers come in groups: the last of each group, and those beyond the last whole group, have latent
attention with a sigmoid gate for each head, with queries through a low rank in the tiny model; the
others have the delta rule with a decay for each key channel, `lower * sigmoid(rate * (f(x) + bias))`
where the gate is safe. Values between an expert's maps are limited where a list says so: the gate
above, after its activation, the other on both sides; 0 is no limit."""

import functools
import math

import torch
import torch.nn.functional as F

from references import decoder as d
from references.ling import sigmoid_experts
from references.ling_linear import latent_attention


def convolved(x, w, name, taps):
    """Each channel alone, then silu."""
    weight = w(f"{name}.weight", x.shape[1], 1, taps)
    padded = F.pad(x.T[None], (taps - 1, 0))
    return F.silu(F.conv1d(padded, weight, groups=x.shape[1])[0].T)


def unit(x):
    return x / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def delta_rule(c, w, x, prefix):
    heads, dim, length = c["num_attention_heads"], c["head_dim"], x.shape[0]
    name, width = f"{prefix}.attention", heads * dim
    q, k, v = (
        d.split_heads(
            convolved(d.linear(x, w, f"{name}.{part}_proj", width), w, f"{name}.{part}_conv1d",
                      c["short_conv_kernel_size"]), heads)
        for part in "qkv")
    q, k = unit(q) / math.sqrt(dim), unit(k)
    forget = d.linear(x, w, f"{name}.f_proj", width) + w(f"{name}.dt_bias", width)
    forget = d.split_heads(forget, heads)
    rate = w(f"{name}.A_log", heads).exp()[:, None, None]
    if c.get("kda_safe_gate", True):
        forget = c.get("kda_lower_bound", -5.0) * torch.sigmoid(rate * forget)
    else:
        forget = -rate * F.softplus(forget)
    strength = torch.sigmoid(d.linear(x, w, f"{name}.b_proj", heads)).T
    state, read = torch.zeros(heads, dim, dim, dtype=x.dtype), []
    for t in range(length):
        state = state * forget[:, t].exp()[..., None]
        known = (state * k[:, t, :, None]).sum(1)
        written = (v[:, t] - known) * strength[:, t, None]
        state = state + k[:, t, :, None] * written[:, None]
        read.append((state * q[:, t, :, None]).sum(1))
    read = d.rms_norm(torch.stack(read), w(f"{name}.o_norm.weight", dim), c["rms_norm_eps"])
    gate = torch.sigmoid(d.linear(x, w, f"{name}.g_proj", width))
    return d.linear(read.reshape(length, width) * gate, w, f"{name}.dense", c["hidden_size"])


def limited(x, w, name, width, limit):
    if not limit:
        return d.swiglu(x, w, name, width)
    gate = F.silu(d.linear(x, w, f"{name}.gate_proj", width)).clamp(max=limit)
    up = d.linear(x, w, f"{name}.up_proj", width).clamp(-limit, limit)
    return d.linear(gate * up, w, f"{name}.down_proj", x.shape[-1])


def third(c, w, ids):
    layers, group = c["num_hidden_layers"], c["layer_group_size"]
    angle = d.angles(len(ids), d.inverse_frequencies(c["qk_rope_head_dim"], c["rope_theta"]))

    def mixer(x, prefix):
        layer = int(prefix.split(".")[-1])
        if (layer + 1) % group == 0 or layer >= layers // group * group:
            return latent_attention(c, w, x, prefix, angle, gated=True)
        return delta_rule(c, w, x, prefix)

    def ffn(x, prefix, layer):
        if layer < c["first_k_dense_replace"]:
            return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])
        limits = [c.get(key) or [] for key in
                  ["expert_swiglu_limit_list", "share_expert_swiglu_limit_list"]]
        expert, shared = (
            functools.partial(limited, limit=of[layer] if layer < len(of) else None)
            for of in limits)
        return sigmoid_experts(c, w, x, f"{prefix}.mlp", expert=expert, shared=shared)

    x, outputs = d.llama(c, w, ids, mixer, ffn, table="model.word_embeddings")
    return d.head(c, w, x, "model.word_embeddings"), outputs


ARCHITECTURES = {"BailingMoeV3ForCausalLM": third}
