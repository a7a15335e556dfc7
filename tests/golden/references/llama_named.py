"""The Llama block under the names of labs, some with experts.

Aquila (`AquilaModel`, `AquilaForCausalLM`), TeleChat3 (`TeleChat3ForCausalLM`), XVERSE
(`XverseForCausalLM`) and Skywork-13B (`SkyworkForCausalLM`) are Llama's layers; vLLM, where their
labs put them, runs all but Skywork with its own Llama.

XVERSE-MoE, from the lab's port to SGLang: softmax over `router`, `moe_top_k` experts, not
renormalized unless `norm_topk_prob`, and shared experts that are one FFN.

Skywork-MoE, from the lab's fork of vLLM and from the layer of the same code base in its MoE++
release: logits come from one map, or from two with a hyperbolic tangent between; they are divided
by their standard deviation (of a sample) and multiplied by `moe_gate_norm_std`; two experts are
chosen, their shares are renormalized. Not run here: experts whose input is doubled
(neither `moe_use_mixtral_gating` nor `moe_feature_no_mul_topk`)."""

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from references import decoder as d


def rotation(c, dim):
    """The frequencies, and what sine and cosine are multiplied by."""
    theta, scaling = c.get("rope_theta", 10000.0), c.get("rope_scaling")
    if not scaling:
        return d.inverse_frequencies(dim, theta), 1.0
    kind = scaling.get("rope_type") or scaling["type"]
    parameters = {**scaling, "rope_type": kind, "rope_theta": theta}
    config = LlamaConfig(hidden_size=c["hidden_size"], num_attention_heads=c["num_attention_heads"],
                         max_position_embeddings=c["max_position_embeddings"],
                         rope_parameters=parameters)
    return ROPE_INIT_FUNCTIONS[kind](config, "cpu")


def attention(c, w, x, prefix, angle, factor):
    heads = c["num_attention_heads"]
    kv_heads, hidden = c.get("num_key_value_heads") or heads, c["hidden_size"]
    dim, name = hidden // heads, f"{prefix}.self_attn"
    q = d.split_heads(d.linear(x, w, f"{name}.q_proj", heads * dim), heads)
    k = d.split_heads(d.linear(x, w, f"{name}.k_proj", kv_heads * dim), kv_heads)
    v = d.split_heads(d.linear(x, w, f"{name}.v_proj", kv_heads * dim), kv_heads)
    mixed = d.attention(d.rope_half(q, angle) * factor, d.rope_half(k, angle) * factor, v)
    return d.linear(mixed, w, f"{name}.o_proj", hidden)


def dense(c, w, x, prefix, layer):
    return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])


def xverse(c, w, x, prefix, layer):
    if not c.get("num_experts"):
        return dense(c, w, x, prefix, layer)
    name, width = f"{prefix}.mlp", c["intermediate_size"]
    shares = torch.softmax(d.linear(x, w, f"{name}.router", c["num_experts"]), -1)
    weights, chosen = shares.topk(c["moe_top_k"], -1)
    if c.get("norm_topk_prob"):
        weights = weights / weights.sum(-1, keepdim=True)
    experts = [d.swiglu(x, w, f"{name}.experts.{e}", width) for e in range(c["num_experts"])]
    mixed = d.mixture(chosen, weights, experts)
    if c.get("num_shared_experts"):
        shared = d.swiglu(x, w, f"{name}.shared_experts", c["num_shared_experts"] * width)
        mixed = mixed + shared
    return mixed


def skywork(c, w, x, prefix, layer):
    if "num_experts" not in c or (layer + 1) % c.get("moe_expert_interval", 1):
        return dense(c, w, x, prefix, layer)
    assert c["moe_use_mixtral_gating"] or c["moe_feature_no_mul_topk"]
    name, [count] = f"{prefix}.mlp.moe", c["num_experts"]
    if c.get("moe_2layer_gate", True):
        inner = torch.tanh(d.linear(x, w, f"{name}.gate.wg.0", 8 * count))
        logits = d.linear(inner, w, f"{name}.gate.wg.2", count)
    else:
        logits = d.linear(x, w, f"{name}.gate.wg", count)
    if c.get("moe_use_logits_norm"):
        logits = logits / (logits.std(-1, keepdim=True) / c.get("moe_gate_norm_std", 1.0))
    weights, chosen = torch.softmax(logits, -1).topk(c.get("num_experts_per_tok", 2), -1)
    experts = [d.swiglu(x, w, f"{name}.experts.experts.{e}", c["intermediate_size"])
               for e in range(count)]
    return d.mixture(chosen, weights / weights.sum(-1, keepdim=True), experts)


def of(ffn):
    def forward(c, w, ids):
        inverse, factor = rotation(c, c["hidden_size"] // c["num_attention_heads"])
        angle = d.angles(len(ids), inverse)
        x, outputs = d.llama(
            c, w, ids, lambda x, prefix: attention(c, w, x, prefix, angle, factor),
            lambda x, prefix, layer: ffn(c, w, x, prefix, layer))
        return d.head(c, w, x), outputs
    return forward


ARCHITECTURES = {
    "AquilaModel": of(dense),
    "AquilaForCausalLM": of(dense),
    "TeleChat3ForCausalLM": of(dense),
    "XverseForCausalLM": of(xverse),
    "SkyworkForCausalLM": of(skywork),
}
