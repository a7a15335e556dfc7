"""Ring-linear-2.0 and Ling and Ring 2.5 (`BailingMoeLinearV2ForCausalLM`,
`BailingMoeV2_5ForCausalLM`), from modeling_bailing_moe_linear_v2.py and modeling_bailing_moe_v2_5.py
of the releases as the lab's ports to Transformers, AReaL and SGLang quote them.

Layers come in groups: the last of each group, and those beyond the last whole group, attend by
softmax (2.0: grouped queries as in Ling 2.0; 2.5: DeepSeek-V3's latent attention under Ling's
names); the others keep a matrix that forgets at a fixed pace, with queries and keys normed by head
and rotated in part, and what is read normed by groups and gated by a sigmoid.

The pace of layer i of n is `slope * (1 - (i - 1) / (n - 1) + 1e-5)`, i from 0: so the release and
AReaL, where leaving out the `- 1` was found to spoil the loss; vLLM has `i / (n - 1)`. `linear_silu`
is read in two ways (on q, k, v by vLLM, on the gate by Transformers); releases have it false."""

import math

import torch

from references import decoder as d
from references.ling import attention, sigmoid_experts


def slopes(heads):
    """Those of ALiBi, also for a number that is no power of two."""
    if math.log2(heads).is_integer():
        start = 2 ** -(2 ** -(math.log2(heads) - 3))
        return [start ** (i + 1) for i in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return slopes(below) + slopes(2 * below)[0::2][: heads - below]


def linear_attention(c, w, x, prefix, layer, angle):
    heads, hidden, length = c["num_attention_heads"], c["hidden_size"], x.shape[0]
    dim = c.get("head_dim") or hidden // heads
    name, width = f"{prefix}.attention", heads * dim
    bias = c.get("use_qkv_bias", False) or c.get("use_bias", False)
    fused = d.linear(x, w, f"{name}.query_key_value", 3 * width, bias)
    q, k, v = (d.split_heads(part, heads) for part in fused.split(width, -1))
    if c.get("use_qk_norm"):
        q = d.rms_norm(q, w(f"{name}.query_layernorm.weight", dim), c["rms_norm_eps"])
        k = d.rms_norm(k, w(f"{name}.key_layernorm.weight", dim), c["rms_norm_eps"])
    q, k = d.rope_half(q, angle), d.rope_half(k, angle)
    share = 1 - (layer - 1) / (c["num_hidden_layers"] - 1) + 1e-5
    kept = torch.exp(-torch.tensor(slopes(heads)) * share).to(x.dtype)[:, None, None]
    state, read = torch.zeros(heads, dim, dim, dtype=x.dtype), []
    for t in range(length):
        state = kept * state + k[:, t, :, None] * v[:, t, None, :]
        read.append((q[:, t, :, None] * dim**-0.5 * state).sum(1))
    groups = c.get("group_norm_size", 1)
    read = torch.stack(read).reshape(length, groups, width // groups)
    read = read * torch.rsqrt(read.pow(2).mean(-1, keepdim=True) + c["rms_norm_eps"])
    read = read.reshape(length, width) * w(f"{name}.g_norm.weight", width)
    gate = torch.sigmoid(d.linear(x, w, f"{name}.g_proj", width))
    return d.linear(read * gate, w, f"{name}.dense", hidden, c.get("use_bias", False))


def latent_attention(c, w, x, prefix, angle, gated=False):
    heads, nope, rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
    value, latent, rank = c["v_head_dim"], c["kv_lora_rank"], c.get("q_lora_rank")
    name = f"{prefix}.attention"
    if rank is None:
        q = d.linear(x, w, f"{name}.q_proj", heads * (nope + rope))
    else:
        low = d.linear(x, w, f"{name}.q_a_proj", rank)
        low = d.rms_norm(low, w(f"{name}.q_a_layernorm.weight", rank), 1e-6)
        q = d.linear(low, w, f"{name}.q_b_proj", heads * (nope + rope))
    q_nope, q_rope = d.split_heads(q, heads).split([nope, rope], -1)
    kv = d.linear(x, w, f"{name}.kv_a_proj_with_mqa", latent + rope)
    normed = d.rms_norm(kv[:, :latent], w(f"{name}.kv_a_layernorm.weight", latent), 1e-6)
    unfolded = d.linear(normed, w, f"{name}.kv_b_proj", heads * (nope + value))
    k_nope, v = d.split_heads(unfolded, heads).split([nope, value], -1)
    k_rope = d.rope_pairs(kv[None, :, latent:], angle).expand(heads, x.shape[0], rope)
    q = torch.cat([q_nope, d.rope_pairs(q_rope, angle)], -1)
    mixed = d.attention(q, torch.cat([k_nope, k_rope], -1), v)
    if gated:
        gate = torch.sigmoid(d.linear(x, w, f"{name}.g_proj", heads))
        mixed = mixed * gate.repeat_interleave(value, -1)
    return d.linear(mixed, w, f"{name}.dense", c["hidden_size"])


def hybrid(c, w, ids, full):
    layers, group = c["num_hidden_layers"], c["layer_group_size"]
    dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    partial = int(dim * c.get("partial_rotary_factor", 1.0))
    angle = d.angles(len(ids), d.inverse_frequencies(partial, c["rope_theta"]))

    def mixer(x, prefix):
        layer = int(prefix.split(".")[-1])
        if (layer + 1) % group == 0 or layer >= layers // group * group:
            return full(c, w, x, prefix, angle)
        return linear_attention(c, w, x, prefix, layer, angle)

    def ffn(x, prefix, layer):
        if layer < c["first_k_dense_replace"]:
            return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])
        return sigmoid_experts(c, w, x, f"{prefix}.mlp")

    x, outputs = d.llama(c, w, ids, mixer, ffn, table="model.word_embeddings")
    return d.head(c, w, x, "model.word_embeddings"), outputs


def second(c, w, ids):
    norms = c.get("use_qk_norm", False)
    return hybrid(c, w, ids, lambda c, w, x, prefix, angle: attention(
        c, w, x, prefix, angle, norms))


def second_and_a_half(c, w, ids):
    inverse = d.inverse_frequencies(c["qk_rope_head_dim"], c["rope_theta"])
    angle = d.angles(len(ids), inverse)
    return hybrid(c, w, ids, lambda c, w, x, prefix, _: latent_attention(c, w, x, prefix, angle))


ARCHITECTURES = {
    "BailingMoeLinearV2ForCausalLM": second,
    "BailingMoeV2_5ForCausalLM": second_and_a_half,
}
