#!/usr/bin/env python3
"""Writes GGUF files of random weights in the shapes of real models, to measure engines with.

    pip install gguf numpy
    python benches/peers/shapes.py FOLDER [SHAPE...] [--type bf16|q8_0|q4_0]

Other types are llama-quantize's work: `llama-quantize dense-bf16.gguf dense-q4_k_m.gguf Q4_K_M`.
Values are normal with deviation 0.02, the same in every file; the vocabulary is made up.
"""

import argparse
import pathlib

import gguf
import numpy as np

# `dense` is Qwen3-0.6B whole; `moe` is Qwen3-30B-A3B, `mla` DeepSeek-V2-Lite, cut to a few layers,
# and `hybrid` Qwen3-Next, which has eight times as many experts, too.
# llama.cpp knows models without a query rank by their 26 or 27 layers alone: to read `mla` it needs
# that line (`is_lite` in models/deepseek2.cpp) to accept 5.
SHAPES = {
    "dense": dict(
        architecture="qwen3", layers=28, hidden=1024, ffn=3072, heads=16, kv_heads=8, head=128,
        vocab=151936, tied=True,
    ),
    "moe": dict(
        architecture="qwen3moe", layers=6, hidden=2048, ffn=6144, heads=32, kv_heads=4, head=128,
        vocab=151936, tied=False, experts=128, used=8, expert_ffn=768,
    ),
    "mla": dict(
        architecture="deepseek2", layers=5, hidden=2048, ffn=10944, heads=16, kv_heads=1,
        head=576, vocab=102400, tied=False, experts=64, used=6, expert_ffn=1408, shared=2,
        latent=512, rotated=64, plain=128, value=128,
    ),
    "hybrid": dict(
        architecture="qwen3next", layers=8, hidden=2048, ffn=5120, heads=16, kv_heads=2, head=256,
        vocab=151936, tied=False, experts=64, used=10, expert_ffn=512, shared=1, rotated=64,
        interval=4, taps=4, delta_keys=16, delta_values=32, delta_head=128,
    ),
}
EPSILON = 1e-6


class Writer:
    """A GGUF file whose matrices have one type."""

    def __init__(self, path, shape, kind):
        self.file = gguf.GGUFWriter(str(path), shape["architecture"])
        self.kind = gguf.GGMLQuantizationType[kind.upper()]
        self.random = np.random.default_rng(1)

    def matrix(self, name, *size, kind=None):
        values = self.random.standard_normal(size, dtype=np.float32) * np.float32(0.02)
        kind = self.kind if kind is None else kind
        self.file.add_tensor(name + ".weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    def norm(self, name, size):
        self.constant(name + ".weight", 1.0, size)

    def constant(self, name, value, size):
        self.file.add_tensor(name, np.full(size, value, np.float32))

    def finish(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def metadata(file, shape):
    file.add_block_count(shape["layers"])
    file.add_context_length(40960)
    file.add_embedding_length(shape["hidden"])
    file.add_feed_forward_length(shape["ffn"])
    file.add_head_count(shape["heads"])
    file.add_head_count_kv(shape["kv_heads"])
    file.add_key_length(shape["head"])
    file.add_value_length(shape.get("latent", shape["head"]))
    file.add_layer_norm_rms_eps(EPSILON)
    file.add_rope_freq_base(1e6)
    if "experts" in shape:
        file.add_expert_count(shape["experts"])
        file.add_expert_used_count(shape["used"])
        file.add_expert_feed_forward_length(shape["expert_ffn"])
    if "latent" in shape:
        file.add_leading_dense_block_count(1)
        file.add_expert_shared_count(shape["shared"])
        file.add_expert_weights_scale(1.0)
        file.add_expert_gating_func(gguf.ExpertGatingFuncType.SOFTMAX)
        file.add_kv_lora_rank(shape["latent"])
        file.add_rope_dimension_count(shape["rotated"])
        file.add_key_length_mla(shape["plain"] + shape["rotated"])
        file.add_value_length_mla(shape["value"])
        file.add_vocab_size(shape["vocab"])
    if "interval" in shape:
        file.add_expert_shared_feed_forward_length(shape["expert_ffn"])
        file.add_rope_dimension_count(shape["rotated"])
        file.add_full_attention_interval(shape["interval"])
        file.add_ssm_conv_kernel(shape["taps"])
        file.add_ssm_state_size(shape["delta_head"])
        file.add_ssm_group_count(shape["delta_keys"])
        file.add_ssm_time_step_rank(shape["delta_values"])
        file.add_ssm_inner_size(shape["delta_values"] * shape["delta_head"])
    # Bytes, then words nobody writes.
    letters = [chr(code) for code in range(0x100, 0x200)]
    words = letters + [f"<{index}>" for index in range(len(letters), shape["vocab"] - 1)]
    words.append(letters[0] + letters[1])
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list(words)
    file.add_token_types([gguf.TokenType.NORMAL] * len(words))
    file.add_token_merges([f"{letters[0]} {letters[1]}"])
    file.add_eos_token_id(shape["vocab"] - 2)


def attention(out, block, shape):
    hidden, heads = shape["hidden"], shape["heads"]
    if "latent" in shape:
        latent, rotated, plain = shape["latent"], shape["rotated"], shape["plain"]
        out.matrix(f"{block}.attn_q", heads * (plain + rotated), hidden)
        out.matrix(f"{block}.attn_kv_a_mqa", latent + rotated, hidden)
        out.norm(f"{block}.attn_kv_a_norm", latent)
        out.matrix(f"{block}.attn_k_b", heads, latent, plain)
        out.matrix(f"{block}.attn_v_b", heads, shape["value"], latent)
        out.matrix(f"{block}.attn_output", hidden, heads * shape["value"])
        return
    head, gated = shape["head"], 2 if "interval" in shape else 1
    out.matrix(f"{block}.attn_q", gated * heads * head, hidden)
    out.matrix(f"{block}.attn_k", shape["kv_heads"] * head, hidden)
    out.matrix(f"{block}.attn_v", shape["kv_heads"] * head, hidden)
    out.norm(f"{block}.attn_q_norm", head)
    out.norm(f"{block}.attn_k_norm", head)
    out.matrix(f"{block}.attn_output", hidden, heads * head)


def delta(out, block, shape):
    hidden, heads, head = shape["hidden"], shape["delta_values"], shape["delta_head"]
    streams = 2 * shape["delta_keys"] * head + heads * head
    out.matrix(f"{block}.attn_qkv", streams, hidden)
    out.matrix(f"{block}.attn_gate", heads * head, hidden)
    out.matrix(f"{block}.ssm_ba", 2 * heads, hidden)
    out.matrix(f"{block}.ssm_conv1d", streams, shape["taps"], kind=gguf.GGMLQuantizationType.F32)
    out.constant(f"{block}.ssm_dt.bias", 0.0, heads)
    out.constant(f"{block}.ssm_a", -0.1, heads)
    out.norm(f"{block}.ssm_norm", head)
    out.matrix(f"{block}.ssm_out", hidden, heads * head)


def feed_forward(out, block, shape, layer):
    hidden, wide = shape["hidden"], shape["ffn"]
    if "experts" not in shape or ("latent" in shape and layer == 0):
        out.matrix(f"{block}.ffn_gate", wide, hidden)
        out.matrix(f"{block}.ffn_up", wide, hidden)
        out.matrix(f"{block}.ffn_down", hidden, wide)
        return
    experts, wide = shape["experts"], shape["expert_ffn"]
    out.matrix(f"{block}.ffn_gate_inp", experts, hidden, kind=gguf.GGMLQuantizationType.F32)
    out.matrix(f"{block}.ffn_gate_exps", experts, wide, hidden)
    out.matrix(f"{block}.ffn_up_exps", experts, wide, hidden)
    out.matrix(f"{block}.ffn_down_exps", experts, hidden, wide)
    if "shared" in shape:
        wide *= shape["shared"]
        out.matrix(f"{block}.ffn_gate_shexp", wide, hidden)
        out.matrix(f"{block}.ffn_up_shexp", wide, hidden)
        out.matrix(f"{block}.ffn_down_shexp", hidden, wide)
    if "interval" in shape:
        out.constant(f"{block}.ffn_gate_inp_shexp.weight", 0.01, hidden)


def write(path, shape, kind):
    out = Writer(path, shape, kind)
    metadata(out.file, shape)
    out.matrix("token_embd", shape["vocab"], shape["hidden"])
    for layer in range(shape["layers"]):
        block = f"blk.{layer}"
        out.norm(f"{block}.attn_norm", shape["hidden"])
        softmax = "interval" not in shape or (layer + 1) % shape["interval"] == 0
        (attention if softmax else delta)(out, block, shape)
        norm = "post_attention_norm" if "interval" in shape else "ffn_norm"
        out.norm(f"{block}.{norm}", shape["hidden"])
        feed_forward(out, block, shape, layer)
    out.norm("output_norm", shape["hidden"])
    if not shape["tied"]:
        out.matrix("output", shape["vocab"], shape["hidden"])
    out.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES), metavar="SHAPE")
    parser.add_argument("--type", default="bf16", choices=["bf16", "q8_0", "q4_0"])
    options = parser.parse_args()
    for name in options.shapes:
        path = options.folder / f"{name}-{options.type}.gguf"
        write(path, SHAPES[name], options.type)
        print(path, path.stat().st_size >> 20, "MiB", flush=True)


if __name__ == "__main__":
    main()
