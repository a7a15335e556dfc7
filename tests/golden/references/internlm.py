"""InternLM (`InternLMForCausalLM`) and InternLM2 (`InternLM2ForCausalLM`), from modeling_internlm.py
and modeling_internlm2.py of the releases.

InternLM is Llama's layer with biases on q, k, v and o. InternLM2 stores q, k and v in one map, for
each key head its query heads, then the key, then the value; the FFN is `w2(silu(w1) * w3)`. Both
change the base of the rotation by dynamic NTK once a sequence is longer than
`max_position_embeddings`: InternLM2 by the length of the prompt, and after it by the length reached
with each token, while what is cached stays as it is. InternLM turns all keys again with each token,
which no cache of turned keys can follow, so this file asks it for prompts that are not longer."""

import torch

from references import decoder as d


def dynamic_angles(c, w, length, theta, dim, factor):
    """Row by row, as each has a base of its own."""
    trained, rows = c["max_position_embeddings"], []
    for position in range(length):
        reached = max(w.prompt, position + 1, trained) / trained
        base = theta * (factor * reached - (factor - 1)) ** (dim / (dim - 2))
        rows.append(position * d.inverse_frequencies(dim, base))
    return torch.stack(rows)


def plain_angles(c, ids, theta):
    assert len(ids) <= c["max_position_embeddings"]
    dim = c["hidden_size"] // c["num_attention_heads"]
    return d.angles(len(ids), d.inverse_frequencies(dim, theta))


def internlm(c, w, ids):
    rotary = c.get("rotary") or {"base": 10000}
    angle, bias = plain_angles(c, ids, rotary["base"]), c.get("bias", True)
    x, outputs = d.llama(
        c, w, ids, lambda x, prefix: d.grouped_attention(c, w, x, prefix, angle, bias, bias),
        lambda x, prefix, layer: d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"]))
    return d.head(c, w, x), outputs


def internlm2(c, w, ids):
    hidden, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    groups, dim, bias = heads // kv_heads, hidden // heads, c.get("bias", True)
    scaling = c.get("rope_scaling")
    if scaling and scaling["type"] == "dynamic":
        angle = dynamic_angles(c, w, len(ids), c["rope_theta"], dim, scaling["factor"])
    else:
        angle = plain_angles(c, ids, c["rope_theta"]) / (scaling or {"factor": 1})["factor"]

    def mixer(x, layer):
        name = f"model.layers.{layer}.attention"
        fused = d.linear(x, w, f"{name}.wqkv", (heads + 2 * kv_heads) * dim, bias)
        fused = fused.view(len(ids), kv_heads, groups + 2, dim)
        q = fused[:, :, :groups].reshape(len(ids), heads, dim).transpose(0, 1)
        k, v = fused[:, :, groups].transpose(0, 1), fused[:, :, groups + 1].transpose(0, 1)
        mixed = d.attention(d.rope_half(q, angle), d.rope_half(k, angle), v)
        return d.linear(mixed, w, f"{name}.wo", hidden, bias)

    def norm(x, layer, which):
        name = ["attention_norm", "ffn_norm"][which]
        return d.rms_norm(x, w(f"model.layers.{layer}.{name}.weight", hidden), c["rms_norm_eps"])

    def ffn(x, layer):
        name = f"model.layers.{layer}.feed_forward"
        return d.swiglu(x, w, name, c["intermediate_size"], maps=("w1", "w3", "w2"))

    table = "model.tok_embeddings.weight"
    x = d.embed(w, table, c["vocab_size"], hidden, ids)
    x, outputs = d.pre_norm(x, c["num_hidden_layers"], norm, mixer, ffn)
    x = d.rms_norm(x, w("model.norm.weight", hidden), c["rms_norm_eps"])
    head = table if c.get("tie_word_embeddings") else "output.weight"
    return torch.nn.functional.linear(x, w(head, c["vocab_size"], hidden)), outputs


ARCHITECTURES = {"InternLMForCausalLM": internlm, "InternLM2ForCausalLM": internlm2}
