"""MiniCPM-1B/2B, MiniCPM-MoE-8x2B and MiniCPM4 (`MiniCPMForCausalLM`), from modeling_minicpm.py of the
releases: Llama's layers, the embedding times `scale_emb`, every block's output times
`scale_depth / sqrt(layers)`, the stream before the head divided by `hidden / dim_model_base`. The
MoE release has softmax scores, the best divided by their sum, and maps w1 (gate), w3, w2.
MiniCPM4 has LongRoPE: a sequence longer than the original context takes the long factors for all
of its positions; sine and cosine are multiplied by a number of both contexts.

`sparse_config` is InfLLM-v2 (arXiv:2509.24663; the releases' code calls infllmv2_cuda_impl): a
prompt of `dense_len` tokens or more, and every token that is added at such a length, meets blocks
of positions alone, chosen for each key head. The kernels work on a call's whole length; where a
length is one less than a multiple of the stride, theirs lose the last run of such a call. Here a
row knows the runs that end at or before it, as it does when they decode."""

import math

import torch

from references import decoder as d


def angles(c, length):
    dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    inverse, scaling = d.inverse_frequencies(dim, c.get("rope_theta", 10000.0)), c.get("rope_scaling")
    if not scaling:
        return d.angles(length, inverse), 1.0
    original = scaling["original_max_position_embeddings"]
    factors = scaling["long_factor" if length > original else "short_factor"]
    ratio = c["max_position_embeddings"] / original
    attention = math.sqrt(1 + math.log(ratio) / math.log(original))
    return d.angles(length, inverse / torch.tensor(factors)), attention


def experts(c, w, x, name):
    scores = torch.softmax(d.linear(x, w, f"{name}.gate", c["num_experts"]), -1)
    weights, chosen = scores.topk(c["num_experts_per_tok"], -1)
    weights = weights / weights.sum(-1, keepdim=True)
    outputs = [d.swiglu(x, w, f"{name}.experts.{e}", c["intermediate_size"], maps=("w1", "w3", "w2"))
               for e in range(c["num_experts"])]
    return d.mixture(chosen, weights, outputs)


def blocks_met(s, q, k, scale):
    """Which blocks each row of each key head meets, `[kv_heads, positions, blocks]`."""
    size, stride, block = s["kernel_size"], s["kernel_stride"], s["block_size"]
    local = s["window_size"] // block
    kv_heads, length, dim = k.shape
    q = q.view(kv_heads, -1, length, dim)
    blocks = (length + block - 1) // block
    met = torch.zeros(kv_heads, length, blocks, dtype=torch.bool)

    def pooled(head, row, size, stride):
        starts = range(0, row + 1 - size + 1, stride)
        keys = [k[head, start:start + size].mean(0) for start in starts]
        return torch.stack(keys) if keys else k.new_zeros(0, dim)

    for head in range(kv_heads):
        for row in range(length):
            own = row // block
            fine = q[head, :, row] @ pooled(head, row, size, stride).T * scale
            coarse = q[head, :, row] @ pooled(head, row, 4 * size, 4 * stride).T * scale
            runs = fine.new_zeros(fine.shape[1])
            if coarse.shape[1]:
                runs = (fine - torch.logsumexp(coarse, 1, keepdim=True)).exp().sum(0)
            scores = []
            for b in range(own + 1):
                if b < s["init_blocks"] or own - local <= b:
                    scores.append(math.inf)
                else:
                    each = block // stride
                    near = runs[max(b * each - 1, 0):(b + 1) * each]
                    scores.append(float(near.max()) if len(near) else 0.0)
            order = sorted(range(own + 1), key=lambda b: (-scores[b], b))
            met[head, row, order[:s["topk"] + local]] = True
    return met


def choice(s, q, k, scale, prompt):
    """A bias for the scores of every head: what a row does not meet is out."""
    length, groups = q.shape[1], q.shape[0] // k.shape[0]
    positions = blocks_met(s, q, k, scale).repeat_interleave(s["block_size"], -1)[..., :length]
    dense = [max(prompt, row + 1) < s["dense_len"] for row in range(length)]
    positions = positions | torch.tensor(dense)[None, :, None]
    return torch.where(positions, 0.0, -math.inf).repeat_interleave(groups, 0)


def forward(c, w, ids):
    angle, turn = angles(c, len(ids))
    heads, kv_heads, hidden = c["num_attention_heads"], c["num_key_value_heads"], c["hidden_size"]
    dim, bias = c.get("head_dim") or hidden // heads, c.get("attention_bias", False)

    def mixer(x, prefix):
        name = f"{prefix}.self_attn"
        q = d.split_heads(d.linear(x, w, f"{name}.q_proj", heads * dim, bias), heads)
        k = d.split_heads(d.linear(x, w, f"{name}.k_proj", kv_heads * dim, bias), kv_heads)
        v = d.split_heads(d.linear(x, w, f"{name}.v_proj", kv_heads * dim, bias), kv_heads)
        q, k = turn * d.rope_half(q, angle), turn * d.rope_half(k, angle)
        sparse, met = c.get("sparse_config"), None
        if sparse:
            met = choice(sparse, q, k, 1 / math.sqrt(dim), w.prompt)
        return d.linear(d.attention(q, k, v, bias=met), w, f"{name}.o_proj", hidden, bias)

    def ffn(x, prefix, layer):
        if c.get("num_experts", 0) > 0:
            return experts(c, w, x, f"{prefix}.mlp")
        return d.swiglu(x, w, f"{prefix}.mlp", c["intermediate_size"])

    scale = c["scale_depth"] / math.sqrt(c["num_hidden_layers"])
    x, outputs = d.llama(c, w, ids, mixer, ffn, scale=scale)
    return d.head(c, w, x / (hidden / c["dim_model_base"])), outputs


ARCHITECTURES = {"MiniCPMForCausalLM": forward}
