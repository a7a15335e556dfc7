#!/usr/bin/env python3
"""Writes a checkpoint in the shape of MiniMax-Text-01, which GGUF has no name for.

    pip install gguf numpy
    python benches/peers/lightning.py FOLDER

FOLDER/lightning-bf16 is as published on a hub, but for the tokenizer: seven layers of lightning
attention and one of softmax, experts in each, 0.5 GB of random weights. The shares of one token's
work in experts, mixers and heads are those of the real model, which is eight times as wide; with
that, attention at a given length weighs eight times as much here.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np

CONFIG = {
    "architectures": ["MiniMaxText01ForCausalLM"],
    "model_type": "minimax_text_01",
    "attn_type_list": [0, 0, 0, 0, 0, 0, 0, 1],
    "bos_token_id": None,
    "eos_token_id": None,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 768,
    "intermediate_size": 1152,
    **{f"layernorm_{part}_alpha": 3.5565588200778455
       for part in ("full_attention", "linear_attention", "mlp")},
    **{f"layernorm_{part}_beta": 1.0 for part in ("full_attention", "linear_attention", "mlp")},
    "max_position_embeddings": 10240,
    "num_attention_heads": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 8,
    "num_key_value_heads": 1,
    "num_local_experts": 8,
    "postnorm": True,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000_000,
    "rotary_dim": 64,
    "shared_intermediate_size": [0],
    "tie_word_embeddings": False,
    "vocab_size": 32768,
}


def tensors(config):
    """(name, shape) of every tensor."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    width = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    yield "lm_head", (config["vocab_size"], hidden)
    yield "model.embed_tokens", (config["vocab_size"], hidden)
    yield "model.norm", (hidden,)
    for layer, softmax in enumerate(config["attn_type_list"]):
        block = f"model.layers.{layer}"
        yield f"{block}.input_layernorm", (hidden,)
        yield f"{block}.post_attention_layernorm", (hidden,)
        mixer = f"{block}.self_attn"
        if softmax:
            yield f"{mixer}.q_proj", (width, hidden)
            yield f"{mixer}.k_proj", (keys, hidden)
            yield f"{mixer}.v_proj", (keys, hidden)
            yield f"{mixer}.o_proj", (hidden, width)
        else:
            yield f"{mixer}.qkv_proj", (3 * width, hidden)
            yield f"{mixer}.output_gate", (width, hidden)
            yield f"{mixer}.norm", (width,)
            yield f"{mixer}.out_proj", (hidden, width)
        yield f"{block}.block_sparse_moe.gate", (config["num_local_experts"], hidden)
        for expert in range(config["num_local_experts"]):
            maps = f"{block}.block_sparse_moe.experts.{expert}"
            yield f"{maps}.w1", (wide, hidden)
            yield f"{maps}.w2", (hidden, wide)
            yield f"{maps}.w3", (wide, hidden)


def write(folder, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    header, end = {}, 0
    for name, shape in tensors(config):
        start, end = end, end + 2 * int(np.prod(shape))
        header[f"{name}.weight"] = {
            "dtype": "BF16", "shape": shape, "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    random = np.random.default_rng(1)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, shape in tensors(config):
            values = random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            if len(shape) == 1:
                values = np.ones(shape, np.float32)
            kind = gguf.GGMLQuantizationType.BF16
            file.write(gguf.quants.quantize(values, kind).tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    write(parser.parse_args().folder / "lightning-bf16", CONFIG)


if __name__ == "__main__":
    main()
