#!/usr/bin/env python3
"""Lists the tensors of a new case: reads CASE/config.json, writes CASE/tensors.json.

    python tests/golden/add_case.py CASE && python tests/golden/regenerate.py CASE

Names and shapes are those that the reference implementation would save. With a `quantization_config`
of method `fp8` every projection becomes F8_E4M3 with a `weight_scale_inv`, and what such releases
leave alone becomes BF16, but for the router's bias, which stays F32.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open

import checkpoint
import packed
import references
import translations


# What families call their embedding table, their head and the map of a router.
EMBEDDINGS = ["embed_tokens", "wte", "word_embeddings", "tok_embeddings"]
HEADS = ["lm_head", "output_layer", "output"]
ROUTERS = ["gate", "wg", "classifier", "router"]

PACKED = ("gptq4", "gptq8", "awq4", "pack-quantized", "mxfp4-pack-quantized",
          "float-quantized")


def saved_shapes(case):
    """Checkpoint names with their shapes, as the reference implementation writes them."""
    config = checkpoint.read(case, "config.json")
    config.pop("quantization_config", None)
    if references.find(config["architectures"][0]):
        return references.shapes(config)
    released, config = config, translations.translated(config)
    model_class = getattr(transformers, config["architectures"][0])
    with tempfile.TemporaryDirectory() as folder:
        config["model_type"] = model_class.config_class.model_type
        (Path(folder) / "config.json").write_text(json.dumps(config))
        settings = model_class.config_class.from_pretrained(folder)
        model_class(settings).to(torch.float32).save_pretrained(folder)
        with safe_open(Path(folder) / "model.safetensors", "np") as file:
            names = [name for name in sorted(file.keys()) if translations.is_run(released, name)]
            return {name: file.get_slice(name).get_shape() for name in names}


def spread(name, shape):
    """Offset and scale that keep activations near one and routing decisive."""
    module = name.removesuffix(".weight").split(".")[-1]
    if len(shape) == 1:
        is_norm = name.endswith(".weight") and ("norm" in module or module.startswith("ln"))
        return (1.0, 0.2) if is_norm else (0.0, 0.15)
    if name.startswith("cpmbee."):
        return 0.0, round(math.sqrt(3), 5)  # its maps divide by the root of their columns
    if module == "router_scale":
        return 1.0, 0.2
    if module in ["conv_k", "conv_v"]:
        return 0.5, 0.4
    unit = math.sqrt(3 / shape[-1])  # variance 1 / columns
    gain = dict.fromkeys(EMBEDDINGS, 1 / unit) | dict.fromkeys(HEADS, 1.5)
    gain |= dict.fromkeys(ROUTERS, 2.0)
    return 0.0, round(unit * gain.get(module, 1.0), 5)


def entry(name, shape, dtype, offset, scale):
    return {"name": name, "shape": list(shape), "offset": offset, "scale": scale, "dtype": dtype}


def entries_of(name, shape, method):
    kind = method if method in PACKED else None
    is_map = len(shape) == 2 and "proj" in name.split(".")[-2]
    # compressed-tensors releases pack the experts alone.
    if kind and is_map and (not kind.endswith("pack-quantized") or ".experts." in name):
        return packed.layout(kind, name, shape)
    is_fp8 = method == "fp8"
    if is_fp8 and len(shape) == 2 and ("proj" in name.split(".")[-2]):
        codes = checkpoint.fp8_to_float32(np.array([c for c in range(256) if c & 0x7F != 0x7F]))
        typical = math.sqrt(1 / shape[1]) / float(np.sqrt((codes**2).mean()))
        blocks = [math.ceil(n / checkpoint.BLOCK) for n in shape]
        return [
            entry(name, shape, "F8_E4M3", 0.0, 1.0),
            entry(name + "_scale_inv", blocks, "F32", float(f"{typical:.4g}"),
                  float(f"{typical / 2:.4g}")),
        ]
    stays_f32 = not is_fp8 or name.endswith("e_score_correction_bias")
    return [entry(name, shape, "F32" if stays_f32 else "BF16", *spread(name, shape))]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    case = sys.argv[1]
    config = checkpoint.read(case, "config.json")
    method = packed.method(config) or config.get("quantization_config", {}).get("quant_method")
    if method not in (None, "fp8", *PACKED):
        sys.exit(f"{case}: quantization {method}: only fp8 and {PACKED} are known here")
    entries = [e for name, shape in saved_shapes(case).items()
               for e in entries_of(name, shape, method)]
    text = "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n"
    (checkpoint.GOLDEN / case / "tensors.json").write_text(text)
    print(f"{case}: {len(entries)} tensors")


if __name__ == "__main__":
    main()
