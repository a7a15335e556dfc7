"""CPM-Bee (`CpmBeeForCausalLM`), from modeling_cpmbee.py of transformers 4.31 and from the conversion of
dictionaries in the lab's repository (`convert_data_to_id` and beam search there).

A prompt is `<s> <root> </s>`, then for each entry `<s> key </s> <s> value </s>`, the last key `<ans>`, and
the `<s>` that begins what is written. Entries are flat here. All before that last `<s>` sees itself;
every map divides what it gives by the root of what it takes; sums are divided by 1.05. Special tokens
are rotated by their number in the reference: each has the number 0 here, and nothing turns."""

import math

import torch
import torch.nn.functional as F

from references import decoder as d

DEPTH_MAX = 8


def prepare(c, ids):
    """The root, a key with its value, a key, and four tokens that are written."""
    for at in [0, 4, 8, 30, 35]:
        ids[at] = c["bos_token_id"]
    return ids


def tree(starts):
    """Parent of each segment: entries hang from the root, values from their keys."""
    return [None] + [0 if s % 2 else s - 1 for s in range(1, len(starts))]


def path(parents, segment):
    """From the root down to a segment."""
    above = parents[segment]
    return (path(parents, above) if above is not None else []) + [segment]


def buckets(c, positions, segments, parents):
    """The row of the bias table for each pair of positions."""
    count, farthest = c["position_bias_num_buckets"], c["position_bias_max_distance"]
    half = count // 2
    exact = half // 2
    distance = positions[None, :] - positions[:, None]
    size = distance.abs()
    large = exact + (torch.log(size.float() / exact) / math.log(farthest / exact)
                     * (half - exact)).to(torch.int32)
    inner = torch.where(size < exact, size, large.clamp(max=half - 1)) + (distance > 0) * half
    rows = inner.clone()
    for q, own in enumerate(segments):
        for k, other in enumerate(segments):
            if own != other:
                a, b = path(parents, own), path(parents, other)
                shared = sum(x == y for x, y in zip(a, b))
                rows[q, k] = count + (len(a) - shared) * DEPTH_MAX + len(b) - shared
    return rows


def forward(c, w, ids):
    hidden, heads, dim = c["hidden_size"], c["num_attention_heads"], c["dim_head"]
    width, eps, vocab, length = c["dim_ff"], c["eps"], c["vocab_size"], len(ids)
    starts = [at for at, token in enumerate(ids[: w.prompt]) if token == c["bos_token_id"]] or [0]
    together = starts[-1] if ids[starts[-1]] == c["bos_token_id"] else w.prompt
    segments = [max(sum(s <= at for s in starts) - 1, 0) for at in range(length)]
    table = w("cpmbee.position_bias.relative_attention_bias",
              c["position_bias_num_buckets"] + c["position_bias_num_segment_buckets"], heads)
    rows = buckets(c, torch.arange(length), segments, tree(starts))
    bias = table[rows.long()].permute(2, 0, 1)

    def scaled(x, name, outputs):
        return d.linear(x, w, name, outputs) / math.sqrt(x.shape[-1])

    def norm(x, name):
        return d.rms_norm(x, w(f"{name}.weight", hidden), eps)

    def mixer(x, name):
        q, k, v = (d.split_heads(scaled(x, f"{name}.project_{part}", heads * dim), heads)
                   for part in "qkv")
        mixed = d.attention(q, k, v, bias=bias, together=together)
        return scaled(mixed, f"{name}.attention_out", hidden)

    def ffn(x, name):
        inner = F.gelu(scaled(x, f"{name}.w_in.w_0", width)) * scaled(x, f"{name}.w_in.w_1", width)
        return scaled(inner, f"{name}.w_out", hidden)

    embedding = w("cpmbee.input_embedding.weight", vocab, hidden)
    x, outputs = embedding[torch.tensor(ids)] / math.sqrt(hidden), []
    for layer in range(c["num_hidden_layers"]):
        without_mixer, without_ffn = (c.get("mask_modules") or {layer: (False, False)})[layer]
        name = f"cpmbee.encoder.layers.{layer}"
        if not without_mixer:
            normed = norm(x, f"{name}.self_att.layernorm_before_attention")
            x = (x + mixer(normed, f"{name}.self_att.self_attention")) / 1.05
        if not without_ffn:
            normed = norm(x, f"{name}.ffn.layernorm_before_ffn")
            x = (x + ffn(normed, f"{name}.ffn.ffn")) / 1.05
        outputs.append(x)
    x = norm(x, "cpmbee.encoder.output_layernorm")
    return F.linear(x / math.sqrt(hidden), embedding), outputs


ARCHITECTURES = {"CpmBeeForCausalLM": forward}
