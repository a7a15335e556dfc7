#!/usr/bin/env python3
"""Writes gguf/CASE/model.gguf from that folder's config.json and tensors.json.

    pip install gguf numpy
    python tests/golden/make_gguf.py [CASE...] && python tests/golden/regenerate.py gguf/CASE...

The file has what llama.cpp's converter makes of such a checkpoint: its names, metadata keys, row
orders, split and stacked tensors. Each kind of tensor gets another quantization, so that one small
file goes through many of them. The golden then belongs to the weights that the file really holds.
"""

import re
import sys

import gguf
import numpy as np

import checkpoint

# Kind of tensor to its quantization; rows that are no multiple of 32 fall back to F16, as usual.
TYPES = {
    "token_embd": "Q8_0", "output": "F16",
    "attn_q": "Q4_0", "attn_k": "Q5_0", "attn_v": "Q5_1", "attn_output": "Q4_1",
    "attn_q_a": "Q8_0", "attn_q_b": "Q5_1", "attn_kv_a_mqa": "Q8_0", "attn_k_b": "Q8_0",
    "attn_v_b": "Q5_0",
    "ffn_gate": "Q4_0", "ffn_up": "Q4_1", "ffn_down": "Q8_0",
    "ffn_gate_exps": "MXFP4", "ffn_up_exps": "Q5_0", "ffn_down_exps": "Q8_0",
    "ffn_gate_shexp": "BF16", "ffn_up_shexp": "Q4_0", "ffn_down_shexp": "Q5_1",
}
ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "Qwen2MoeForCausalLM": "qwen2moe",
    "Qwen3MoeForCausalLM": "qwen3moe",
    "DeepseekV2ForCausalLM": "deepseek2",
    "DeepseekV3ForCausalLM": "deepseek2",
    "Glm4ForCausalLM": "glm4",
    "Glm4MoeForCausalLM": "glm4moe",
}
PRE_TOKENIZERS = {
    "deepseek2": "deepseek-v3", "llama": "llama-bpe", "glm4": "glm4", "glm4moe": "glm4",
}
EXPERT = re.compile(r"(model\.layers\.\d+\.mlp\.experts)\.(\d+)\.(\w+\.weight)")


def architecture(config):
    return ARCHITECTURES[config["architectures"][0]]


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rotated_heads(config, name):
    """Heads whose rows the converter reorders in this tensor, or None."""
    if architecture(config) != "llama":
        return None
    if ".q_proj." in name:
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if ".k_proj." in name else None


def pair_rows(rows, heads):
    """Half-split order of a head's rows (a0 a1 .. b0 b1 ..) to pairs (a0 b0 a1 b1 ..)."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpair_rows(rows, heads):
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def gguf_name(config, name):
    arch = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture(config))
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    # The table knows the router's bias as the bias of a module.
    known = name.replace("e_score_correction_bias", "e_score_correction.bias")
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    found = names.get_name(known, try_suffixes=(".weight", ".bias"))
    if found is None:
        sys.exit(f"GGUF has no name for {name}")
    return found


def to_gguf(config, tensors):
    """Checkpoint tensors to GGUF's, both by name."""
    out, experts = {}, {}
    for name, values in tensors.items():
        if match := EXPERT.fullmatch(name):
            stack, index, part = match.groups()
            experts.setdefault(f"{stack}.{part}", {})[int(index)] = values
        elif ".kv_b_proj." in name:
            heads, key = config["num_attention_heads"], config["qk_nope_head_dim"]
            both = values.reshape(heads, key + config["v_head_dim"], -1)
            out[gguf_name(config, name.replace("kv_b", "k_b"))] = both[:, :key].swapaxes(1, 2)
            out[gguf_name(config, name.replace("kv_b", "v_b"))] = both[:, key:]
        else:
            heads = rotated_heads(config, name)
            out[gguf_name(config, name)] = pair_rows(values, heads) if heads else values
    for name, parts in experts.items():
        out[gguf_name(config, name)] = np.stack([parts[i] for i in range(len(parts))])
    return {name: np.ascontiguousarray(values) for name, values in out.items()}


def from_gguf(config, names, found):
    """The inverse: the checkpoint tensors called `names`, out of a GGUF file's tensors."""
    out = {}
    for name in names:
        if match := EXPERT.fullmatch(name):
            stack, index, part = match.groups()
            out[name] = found[gguf_name(config, f"{stack}.{part}")][int(index)]
        elif ".kv_b_proj." in name:
            keys = found[gguf_name(config, name.replace("kv_b", "k_b"))].swapaxes(1, 2)
            values = found[gguf_name(config, name.replace("kv_b", "v_b"))]
            out[name] = np.concatenate([keys, values], 1).reshape(-1, keys.shape[-1])
        else:
            heads = rotated_heads(config, name)
            values = found[gguf_name(config, name)]
            out[name] = unpair_rows(values, heads) if heads else values
    return {name: np.ascontiguousarray(values) for name, values in out.items()}


def read_back(case):
    """What a case's model.gguf holds, as float32 under checkpoint names."""
    reader = gguf.GGUFReader(checkpoint.GOLDEN / case / "model.gguf")
    found = {t.name: gguf.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]).astype(np.float32)
             for t in reader.tensors}
    names = [entry["name"] for entry in checkpoint.read(case, "tensors.json")]
    return from_gguf(checkpoint.read(case, "config.json"), names, found)


def llama3_factors(config):
    """What each frequency is divided by: a tensor in GGUF, keys in config.json."""
    scaling = config["rope_scaling"]
    half = np.arange(0, head_dim(config), 2, dtype=np.float32) / head_dim(config)
    wave = 2 * np.pi * np.float32(config["rope_theta"]) ** half
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    smooth = (original / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    factors = np.where(wave > original / low, factor, between)
    return np.where(wave < original / high, 1.0, factors).astype(np.float32)


def write_dimensions(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    is_latent = "kv_lora_rank" in config
    writer.add_head_count_kv(1 if is_latent else config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if architecture(config) in ("llama", "deepseek2"):
        writer.add_vocab_size(config["vocab_size"])
    if architecture(config) == "llama":
        writer.add_rope_dimension_count(head_dim(config))
    if "partial_rotary_factor" in config:
        writer.add_rope_dimension_count(int(head_dim(config) * config["partial_rotary_factor"]))
    if is_latent:
        rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
        if config["q_lora_rank"]:
            writer.add_q_lora_rank(config["q_lora_rank"])
        writer.add_kv_lora_rank(rank)
        # The file describes attention in the latent space; the per-head widths are `_mla`.
        writer.add_key_length(rank + rope)
        writer.add_value_length(rank)
        writer.add_key_length_mla(config["qk_nope_head_dim"] + rope)
        writer.add_value_length_mla(config["v_head_dim"])
        writer.add_rope_dimension_count(rope)


def write_experts(writer, config):
    experts = config.get("num_experts") or config.get("n_routed_experts")
    if not experts:
        return
    writer.add_expert_count(experts)
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if "shared_expert_intermediate_size" in config:
        writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])
    if "first_k_dense_replace" not in config:
        return
    writer.add_expert_group_count(config["n_group"])
    writer.add_expert_group_used_count(config["topk_group"])
    scores = config.get("scoring_func", "sigmoid").upper()
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType[scores])
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    if config["norm_topk_prob"]:
        writer.add_expert_weights_norm(True)
    if architecture(config) == "glm4moe":
        writer.add_nextn_predict_layers(config["num_nextn_predict_layers"])


def write_yarn(writer, config):
    scaling = config.get("rope_scaling") or {}
    if scaling.get("type") != "yarn":
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(scaling["factor"])
    writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_beta_fast(scaling["beta_fast"])
    writer.add_rope_scaling_yarn_beta_slow(scaling["beta_slow"])
    writer.add_rope_scaling_yarn_log_mul(0.1 * scaling["mscale_all_dim"])


def write_tokenizer(writer, config):
    """A byte-level BPE of printable ASCII: 3 specials, 96 characters, 29 merges make 128 tokens."""
    merges = ["t h", "h e", "i n", "e r", "a n", "r e", "o n", "a t", "e n", "o r", "i s", "o u", "i t",
              "e s", "a r", "s t", "t o", "l l", "th e", "in g", "an d", "Ġ t", "Ġ a", "Ġ s", "Ġ w",
              "Ġ the", "Ġ and", "o f", "Ġ of"]
    specials = ["<pad>", "<s>", "</s>"]
    characters = [chr(c) for c in range(33, 127)] + ["Ġ", "Ċ"]
    tokens = specials + characters + [merge.replace(" ", "") for merge in merges]
    assert len(set(tokens)) == len(tokens) == config["vocab_size"]
    kinds = [gguf.TokenType.CONTROL] * len(specials)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZERS.get(architecture(config), "qwen2"))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")


def quantized(name, values):
    kind = re.sub(r"blk\.\d+\.", "", name).removesuffix(".weight")
    # Norms, biases and the router stay F32.
    wanted = TYPES.get(kind, "F32") if values.ndim > 1 else "F32"
    chosen = gguf.GGMLQuantizationType[wanted]
    if values.shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0]:
        chosen = gguf.GGMLQuantizationType.F16
    return gguf.quantize(values, chosen), chosen


def write(case):
    config = checkpoint.read(case, "config.json")
    path = checkpoint.GOLDEN / case / "model.gguf"
    writer = gguf.GGUFWriter(path, architecture(config))
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(case.removeprefix("gguf/"))
    write_dimensions(writer, config)
    write_experts(writer, config)
    write_yarn(writer, config)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_tokenizer(writer, config)
    if (config.get("rope_scaling") or {}).get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config))
    for name, values in to_gguf(config, checkpoint.defined(case)).items():
        data, kind = quantized(name, values)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.relative_to(checkpoint.GOLDEN)}: {path.stat().st_size} bytes")


def main():
    for case in sys.argv[1:] or [case for case in checkpoint.cases() if case.startswith("gguf/")]:
        write(case)


if __name__ == "__main__":
    main()
