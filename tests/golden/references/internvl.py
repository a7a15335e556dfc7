"""The text models of InternVL (`InternVLChatModel`) and Intern-S1 (`InternS1ForConditionalGeneration`).

A text prompt meets the language model alone: of Qwen's families here (Qwen2 with biases on q, k and
v; Qwen3 with a norm on each head of q and k; Qwen3-MoE with softmax experts besides), or InternLM2
of its own file. InternVL keeps all of it under `language_model.`; Intern-S1 keeps its body in
`model.language_model` and its head outside, as vLLM's name mapping has it. Of the vision towers two
tensors stand for all."""

import torch

from references import decoder as d
from references.internlm import internlm2


def attention(c, w, x, prefix, angle):
    heads, kv_heads, hidden = (c[k] for k in
                               ["num_attention_heads", "num_key_value_heads", "hidden_size"])
    dim, name = c.get("head_dim") or hidden // heads, f"{prefix}.self_attn"
    is_first = c["model_type"] == "qwen2"

    def heads_of(letter, count):
        x_heads = d.split_heads(
            d.linear(x, w, f"{name}.{letter}_proj", count * dim, bias=is_first), count)
        if is_first or letter == "v":
            return x_heads
        return d.rms_norm(x_heads, w(f"{name}.{letter}_norm.weight", dim), c["rms_norm_eps"])

    q, k, v = heads_of("q", heads), heads_of("k", kv_heads), heads_of("v", kv_heads)
    mixed = d.attention(d.rope_half(q, angle), d.rope_half(k, angle), v)
    return d.linear(mixed, w, f"{name}.o_proj", hidden)


def ffn(c, w, x, prefix):
    if c["model_type"] != "qwen3_moe":
        return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])
    count, width = c["num_experts"], c["moe_intermediate_size"]
    shares = torch.softmax(d.linear(x, w, f"{prefix}.mlp.gate", count), -1)
    weights, chosen = shares.topk(c["num_experts_per_tok"], -1)
    if c["norm_topk_prob"]:
        weights = weights / weights.sum(-1, keepdim=True)
    experts = [d.swiglu(x, w, f"{prefix}.mlp.experts.{e}", width) for e in range(count)]
    return d.mixture(chosen, weights, experts)


def text(c, w, ids):
    if c["model_type"] == "internlm2":
        return internlm2(c, w, ids)
    assert not c.get("rope_scaling")
    dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    angle = d.angles(len(ids), d.inverse_frequencies(dim, c["rope_theta"]))
    x, outputs = d.llama(
        c, w, ids, lambda x, prefix: attention(c, w, x, prefix, angle),
        lambda x, prefix, layer: ffn(c, w, x, prefix))
    return d.head(c, w, x), outputs


def of(key, body, outside, towers):
    def forward(c, w, ids):
        for name in towers:
            w(name, 8)

        def named(name, *shape):
            is_inside = name.startswith("model.")
            return w(body + name.removeprefix("model.") if is_inside else outside + name, *shape)

        named.prompt = w.prompt
        return text(c[key], named, ids)
    return forward


ARCHITECTURES = {
    "InternVLChatModel": of("llm_config", "language_model.model.", "language_model.",
                            ["vision_model.embeddings.class_embedding", "mlp1.0.bias"]),
    "InternS1ForConditionalGeneration": of(
        "text_config", "model.language_model.", "",
        ["model.vision_tower.embeddings.cls_token",
         "model.multi_modal_projector.layer_norm.bias"]),
}
