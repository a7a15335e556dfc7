"""ChatGLM-6B (`ChatGLMModel` with `inner_hidden_size`), from modeling_chatglm.py of the release, and
GLM-130B (`GLM130BForConditionalGeneration`), from its class for transformers and from generate.py and
the model of the lab's repositories (GLM-130B, SwissArmyTransformer).

What is before the first `bos_token_id` of the prompt sees all of itself. What follows stands at the
position of `[gMASK]`, or of `[MASK]` in prompts without it, and counts its own place for the second
half of each head. Without `position_encoding_2d` there is one rope, and only `[MASK]` holds what
follows. GLM-130B is of the latter kind and gates its FFNs. (The release refuses prompts without these tokens; here such a prompt is read whole.)
Rope frequencies are float32, where the release rounds them to float16."""

import math

import torch
import torch.nn.functional as F

from references import decoder as d


def prepare(c, ids):
    """With a gap and the beginning of the answer in the middle: `[MASK]` where heads are odd."""
    if "inner_hidden_size" in c:
        gap = "mask_token_id" if c["num_attention_heads"] % 2 else "gmask_token_id"
        ids[9], ids[18] = c[gap], c["bos_token_id"]
    return ids


def is_2d(c):
    return c.get("position_encoding_2d", not is_gated(c))


def is_gated(c):
    return c["architectures"] == ["GLM130BForConditionalGeneration"]


def places(c, w, ids):
    """How many positions are seen by all, and the two counts of every position."""
    prompt, length = ids[: w.prompt], len(ids)
    together = prompt.index(c["bos_token_id"]) if c["bos_token_id"] in prompt else w.prompt
    two = is_2d(c)
    gap = c["gmask_token_id"] if c["gmask_token_id"] in prompt else c["mask_token_id"]
    standing = torch.arange(length)
    if gap in prompt and (two or gap == c["mask_token_id"]):
        standing[together:] = prompt.index(gap)
    return together, standing, (torch.arange(length) - together + 1).clamp(min=0)


def forward(c, w, ids):
    hidden, heads, layers = c["hidden_size"], c["num_attention_heads"], c["num_layers"]
    width, eps, alpha = c["inner_hidden_size"], c["layernorm_epsilon"], math.sqrt(2 * layers)
    dim, two = hidden // heads, is_2d(c)
    together, standing, written = places(c, w, ids)
    inverse = d.inverse_frequencies(dim // 2 if two else dim, 10000)
    counts = [standing, written] if two else [standing]
    angles = [torch.outer(count.float(), inverse) for count in counts]

    def rotated(x):
        parts = x.chunk(len(angles), -1)
        return torch.cat([d.rope_half(part, angle) for part, angle in zip(parts, angles)], -1)

    def norm(x, name):
        return d.layer_norm(x, w(f"{name}.weight", hidden), w(f"{name}.bias", hidden), eps)

    def mixer(x, name):
        fused = d.split_heads(d.linear(x, w, f"{name}.query_key_value", 3 * hidden, True), heads)
        q, k, v = fused.split(dim, -1)
        mixed = d.attention(rotated(q), rotated(k), v, together=together)
        return d.linear(mixed, w, f"{name}.dense", hidden, True)

    def ffn(x, name):
        inner = F.gelu(d.linear(x, w, f"{name}.dense_h_to_4h", width, True), approximate="tanh")
        return d.linear(inner, w, f"{name}.dense_4h_to_h", hidden, True)

    def gated(x, name):
        up, gate = d.linear(x, w, f"{name}.dense_h_to_4h", 2 * width, True).chunk(2, -1)
        return d.linear(up * F.gelu(gate), w, f"{name}.dense_4h_to_h", hidden, True)

    table = "transformer.word_embeddings.weight"
    x, outputs = d.embed(w, table, c["vocab_size"], hidden, ids), []
    for layer in range(layers):
        name = f"transformer.layers.{layer}"
        x = norm(x, f"{name}.input_layernorm")
        x = x * alpha + mixer(x, f"{name}.attention")
        x = norm(x, f"{name}.post_attention_layernorm")
        x = x * alpha + (gated(x, f"{name}.glu") if is_gated(c) else ffn(x, f"{name}.mlp"))
        outputs.append(x)
    x = norm(x, "transformer.final_layernorm")
    head = table if c.get("tie_word_embeddings", True) else "lm_head.weight"
    return F.linear(x, w(head, c["vocab_size"], hidden)), outputs


ARCHITECTURES = {"GLM130BForConditionalGeneration": forward}
