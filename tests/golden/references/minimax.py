"""MiniMax-Text-01 and M1 under their released names (`MiniMaxText01ForCausalLM`,
`MiniMaxM1ForCausalLM`), from the lab's modeling_minimax_text_01.py as its ports to Transformers and
vLLM quote it.

`attn_type_list` says which layers attend by softmax (1): grouped queries of which the first
`rotary_dim` numbers turn, where the port to Transformers turns all. The others (0) keep a matrix
that forgets at a fixed pace: silu on the fused q, k, v of each head, a norm over all heads, then a
sigmoid gate. A sum is `alpha * skip + beta * output`; under `postnorm` the skip is what the norm
before the block gave."""

import torch
import torch.nn.functional as F

from references import decoder as d
from references.ling_linear import slopes


def lightning(c, w, x, prefix, layer):
    heads, dim, length = c["num_attention_heads"], c["head_dim"], x.shape[0]
    name, width = f"{prefix}.self_attn", heads * dim
    fused = F.silu(d.linear(x, w, f"{name}.qkv_proj", 3 * width))
    q, k, v = fused.view(length, heads, 3 * dim).transpose(0, 1).split(dim, -1)
    share = 1 - layer / (c["num_hidden_layers"] - 1 + 1e-5) + 1e-5
    kept = torch.exp(-torch.tensor(slopes(heads)) * share).to(x.dtype)[:, None, None]
    state, read = torch.zeros(heads, dim, dim, dtype=x.dtype), []
    for t in range(length):
        state = kept * state + k[:, t, :, None] * v[:, t, None, :]
        read.append((q[:, t, :, None] * state).sum(1).flatten())
    read = d.rms_norm(torch.stack(read), w(f"{name}.norm.weight", width), 1e-6)
    gate = torch.sigmoid(d.linear(x, w, f"{name}.output_gate", width))
    return d.linear(gate * read, w, f"{name}.out_proj", c["hidden_size"])


def experts(c, w, x, name):
    scores = torch.softmax(d.linear(x, w, f"{name}.gate", c["num_local_experts"]), -1)
    weights, chosen = scores.topk(c["num_experts_per_tok"], -1)
    weights = weights / weights.sum(-1, keepdim=True)
    outputs = [d.swiglu(x, w, f"{name}.experts.{e}", c["intermediate_size"], maps=("w1", "w3", "w2"))
               for e in range(c["num_local_experts"])]
    return d.mixture(chosen, weights, outputs)


def forward(c, w, ids):
    hidden, eps = c["hidden_size"], c["rms_norm_eps"]
    turned = c.get("rotary_dim") or c["head_dim"]
    angle = d.angles(len(ids), d.inverse_frequencies(turned, c["rope_theta"]))
    x, outputs = d.embed(w, "model.embed_tokens.weight", c["vocab_size"], hidden, ids), []

    def add(x, norm, kind, block):
        normed = d.rms_norm(x, w(f"{norm}.weight", hidden), eps)
        skip = normed if c.get("postnorm") else x
        alpha, beta = (c[f"layernorm_{kind}_{factor}"] for factor in ["alpha", "beta"])
        return alpha * skip + beta * block(normed)

    for layer in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        full = c["attn_type_list"][layer] == 1
        x = add(x, f"{prefix}.input_layernorm", "full_attention" if full else "linear_attention",
                lambda x: d.grouped_attention(c, w, x, prefix, angle) if full
                else lightning(c, w, x, prefix, layer))
        x = add(x, f"{prefix}.post_attention_layernorm", "mlp",
                lambda x: experts(c, w, x, f"{prefix}.block_sparse_moe"))
        outputs.append(x)
    return d.head(c, w, d.rms_norm(x, w("model.norm.weight", hidden), eps)), outputs


ARCHITECTURES = {"MiniMaxText01ForCausalLM": forward, "MiniMaxM1ForCausalLM": forward}
