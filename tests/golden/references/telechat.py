"""TeleChat (`TelechatForCausalLM`) and TeleChat2 (`TeleChat2ForCausalLM`), from modeling_telechat.py of
the lab's Telechat repository and modeling_telechat2.py of its TeleChat2 repository.

`key_value` holds for each key head its key, then its value; the maps on the way out have biases.
The base of the rotation is multiplied by the power `dim / (dim - 2)` of `2^(ceil(log2(r) + 1)) - 1`,
where `r` is `training_seqlen / base_seqlen`; longer prompts stretch it further, so this file asks
for prompts that are not. TeleChat-1 has 8192 in place of `base_seqlen`. The head is the embedding
unless the configuration says otherwise."""

import math

import torch.nn.functional as F

from references import decoder as d


def forward(c, w, ids):
    hidden, heads, eps = c["hidden_size"], c["n_head"], c["layer_norm_epsilon"]
    kv_heads, dim = c.get("num_key_value_heads") or heads, hidden // heads
    assert len(ids) <= c["training_seqlen"]
    ratio = c["training_seqlen"] / c.get("base_seqlen", 8192)
    alpha = max(2 ** math.ceil(math.log2(ratio) + 1) - 1, 1)
    base = 10000.0 * alpha ** (dim / (dim - 2))
    angle = d.angles(len(ids), d.inverse_frequencies(dim, base))

    def norm(x, name):
        return d.rms_norm(x, w(f"{name}.weight", hidden), eps)

    def attention(x, prefix):
        q = d.split_heads(d.linear(x, w, f"{prefix}.query", hidden), heads)
        both = d.split_heads(d.linear(x, w, f"{prefix}.key_value", 2 * kv_heads * dim), kv_heads)
        k, v = both.split(dim, -1)
        mixed = d.attention(d.rope_half(q, angle), d.rope_half(k, angle), v)
        return d.linear(mixed, w, f"{prefix}.dense", hidden, bias=True)

    def ffn(x, prefix):
        inner = F.silu(d.linear(x, w, f"{prefix}.gate_proj", c["ffn_hidden_size"]))
        inner = inner * d.linear(x, w, f"{prefix}.up_proj", c["ffn_hidden_size"])
        return d.linear(inner, w, f"{prefix}.down_proj", hidden, bias=True)

    table = w("transformer.word_embeddings.weight", c["vocab_size"], hidden)
    x, outputs = d.embed(w, "transformer.word_embeddings.weight", *table.shape, ids), []
    for layer in range(c["n_layer"]):
        prefix = f"transformer.h.{layer}"
        for name, block, folder in [("input_layernorm", attention, "self_attention"),
                                    ("post_attention_layernorm", ffn, "mlp")]:
            normed = norm(x, f"{prefix}.{name}")
            skip = normed if c.get("apply_residual_connection_post_layernorm") else x
            x = skip + block(normed, f"{prefix}.{folder}")
        outputs.append(x)
    x = norm(x, "transformer.ln_f")
    is_tied = c.get("tie_word_embeddings", True)
    return F.linear(x, table if is_tied else w("lm_head.weight", *table.shape)), outputs


ARCHITECTURES = {"TelechatForCausalLM": forward, "TeleChat2ForCausalLM": forward}
