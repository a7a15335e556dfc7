"""Ling and Ring 1 and 2.0 (`BailingMoeForCausalLM`, `BailingMoeV2ForCausalLM`), from modeling_bailing_moe.py
and modeling_bailing_moe_v2.py of the releases.

Both keep q, k and v in one map, blocks of all heads. Ling 1 has softmax scores; its head, under
`norm_head`, has each *column* divided by its length over the vocabulary. Ling 2.0 norms queries
and keys of each head, rotates a part of it, scores by sigmoid and chooses within the groups whose
two best experts (with the bias) are best."""

import torch
import torch.nn.functional as F

from references import decoder as d


def attention(c, w, x, prefix, angle, norms):
    heads, kv_heads, hidden = c["num_attention_heads"], c["num_key_value_heads"], c["hidden_size"]
    dim = c.get("head_dim") or hidden // heads
    name, qkv_bias = f"{prefix}.attention", c.get("use_qkv_bias", False)
    sizes = [heads * dim, kv_heads * dim, kv_heads * dim]
    fused = d.linear(x, w, f"{name}.query_key_value", sum(sizes), qkv_bias)
    q, k, v = fused.split(sizes, -1)
    q, k, v = d.split_heads(q, heads), d.split_heads(k, kv_heads), d.split_heads(v, kv_heads)
    if norms:
        q = d.rms_norm(q, w(f"{name}.query_layernorm.weight", dim), c["rms_norm_eps"])
        k = d.rms_norm(k, w(f"{name}.key_layernorm.weight", dim), c["rms_norm_eps"])
    mixed = d.attention(d.rope_half(q, angle), d.rope_half(k, angle), v)
    return d.linear(mixed, w, f"{name}.dense", hidden, c.get("use_bias", False))


def mixture(c, w, x, name, chosen, weights, expert=d.swiglu, shared=d.swiglu):
    width = c["moe_intermediate_size"]
    outputs = [expert(x, w, f"{name}.experts.{e}", width) for e in range(c["num_experts"])]
    y = d.mixture(chosen, weights, outputs)
    if c["num_shared_experts"]:
        y = y + shared(x, w, f"{name}.shared_experts", width * c["num_shared_experts"])
    return y


def softmax_experts(c, w, x, name):
    scores = torch.softmax(d.linear(x, w, f"{name}.gate", c["num_experts"]), -1)
    weights, chosen = scores.topk(c["num_experts_per_tok"], -1)
    if c["norm_topk_prob"]:
        weights = weights / weights.sum(-1, keepdim=True)
    return mixture(c, w, x, name, chosen, weights)


def sigmoid_experts(c, w, x, name, **ffns):
    count, groups = c["num_experts"], c["n_group"]
    scores = torch.sigmoid(d.linear(x, w, f"{name}.gate", count))
    biased = scores + w(f"{name}.gate.expert_bias", count)
    best = biased.view(len(x), groups, -1).topk(2, -1).values.sum(-1)
    kept = torch.zeros_like(best).scatter(1, best.topk(c["topk_group"], -1).indices, 1.0).bool()
    masked = biased.masked_fill(~kept.repeat_interleave(count // groups, 1), float("-inf"))
    chosen = masked.topk(c["num_experts_per_tok"], -1).indices
    weights = scores.gather(1, chosen)
    if c["num_experts_per_tok"] > 1:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    return mixture(c, w, x, name, chosen, weights * c["routed_scaling_factor"], **ffns)


def decoder(c, w, ids, partial, norms, experts):
    dim = int((c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]) * partial)
    angle = d.angles(len(ids), d.inverse_frequencies(dim, c["rope_theta"]))

    def ffn(x, prefix, layer):
        if layer >= c.get("first_k_dense_replace", 0):
            return experts(c, w, x, f"{prefix}.mlp")
        return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])

    return d.llama(
        c, w, ids, lambda x, prefix: attention(c, w, x, prefix, angle, norms), ffn,
        table="model.word_embeddings")


def first(c, w, ids):
    x, outputs = decoder(c, w, ids, 1.0, False, softmax_experts)
    if not c.get("norm_head"):
        return d.head(c, w, x, "model.word_embeddings"), outputs
    head = w("lm_head.weight", c["vocab_size"], c["hidden_size"])
    return F.linear(x, head / (head.norm(p=2, dim=0, keepdim=True) + 1e-7)), outputs


def second(c, w, ids):
    x, outputs = decoder(c, w, ids, c.get("partial_rotary_factor", 1.0), True, sigmoid_experts)
    return d.head(c, w, x, "model.word_embeddings"), outputs


ARCHITECTURES = {"BailingMoeForCausalLM": first, "BailingMoeV2ForCausalLM": second}
