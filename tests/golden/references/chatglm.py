"""ChatGLM2, ChatGLM3, glm-4-9b and CodeGeeX4 (`ChatGLMModel`, `ChatGLMForConditionalGeneration`), from
modeling_chatglm.py of these releases.

The first half of a head is rotated, by neighbours, with base `10000 * rope_ratio`. q, k and v are
one map: blocks of all heads under `multi_query_attention`, else q, k and v of each head in turn.
`dense_h_to_4h` holds the gate, then what it gates. `apply_query_key_layer_scaling` divides and
multiplies by the same number and so changes nothing."""

import torch
import torch.nn.functional as F

from references import decoder as d
from references import glm_first


def forward(c, w, ids):
    if "inner_hidden_size" in c:
        return glm_first.forward(c, w, ids)
    hidden, heads, dim = c["hidden_size"], c["num_attention_heads"], c["kv_channels"]
    eps, width, length = c["layernorm_epsilon"], c["ffn_hidden_size"], len(ids)
    biases = c.get("add_bias_linear", False)
    qkv_bias = biases or c.get("add_qkv_bias", False)
    angle = d.angles(length, d.inverse_frequencies(dim // 2, 10000 * c.get("rope_ratio", 1)))

    def mixer(x, layer):
        name = f"transformer.encoder.layers.{layer}.self_attention"
        kv_heads = c["multi_query_group_num"] if c["multi_query_attention"] else heads
        sizes = [heads * dim, kv_heads * dim, kv_heads * dim]
        fused = d.linear(x, w, f"{name}.query_key_value", sum(sizes), qkv_bias)
        if c["multi_query_attention"]:
            q, k, v = fused.split(sizes, -1)
            q, k, v = d.split_heads(q, heads), d.split_heads(k, kv_heads), d.split_heads(v, kv_heads)
        else:
            q, k, v = d.split_heads(fused, heads).split(dim, -1)
        mixed = d.attention(d.rope_pairs(q, angle), d.rope_pairs(k, angle), v)
        return d.linear(mixed, w, f"{name}.dense", hidden, biases)

    def ffn(x, layer):
        name = f"transformer.encoder.layers.{layer}.mlp"
        gate, up = d.linear(x, w, f"{name}.dense_h_to_4h", 2 * width, biases).chunk(2, -1)
        return d.linear(F.silu(gate) * up, w, f"{name}.dense_4h_to_h", hidden, biases)

    def norm(x, layer, which):
        name = ["input_layernorm", "post_attention_layernorm"][which]
        return d.rms_norm(x, w(f"transformer.encoder.layers.{layer}.{name}.weight", hidden), eps)

    vocab = c["padded_vocab_size"]
    table = "transformer.embedding.word_embeddings.weight"
    x, outputs = d.pre_norm(
        d.embed(w, table, vocab, hidden, ids), c["num_layers"], norm, mixer, ffn)
    if c.get("post_layer_norm", True):
        x = d.rms_norm(x, w("transformer.encoder.final_layernorm.weight", hidden), eps)
    head = table if c.get("tie_word_embeddings") else "transformer.output_layer.weight"
    return F.linear(x, w(head, vocab, hidden)), outputs


prepare = glm_first.prepare
ARCHITECTURES = {"ChatGLMForConditionalGeneration": forward, "ChatGLMModel": forward}
