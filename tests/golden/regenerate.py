#!/usr/bin/env python3
"""Computes golden.json of every case with the reference implementation: in transformers, or in
references/ where transformers has none.

    pip install torch transformers safetensors numpy
    python tests/golden/regenerate.py --check          # compare with what is stored
    python tests/golden/regenerate.py [CASE...]        # write

The arithmetic is float32 on a CPU with eager attention and experts; FP8 and BF16 checkpoints are
dequantized first.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

import checkpoint
import references
import translations

LENGTHS = [1, 2, 7, 24]  # and the whole prompt
PROMPT_LENGTH = 40
GREEDY = 16
TOLERANCE = 1e-4
# Their forward takes the whole sequence and leaves out what is cached; they read a prompt in both
# directions, so a whole pass over prompt and answer gives other numbers.
PREFIXED = ["CpmAntForCausalLM"]


def load(case, folder):
    """The case as a transformers model in float32, through a real checkpoint folder."""
    config = checkpoint.read(case, "config.json")
    config.pop("quantization_config", None)
    released, config = config, translations.translated(config)
    config["torch_dtype"] = "float32"
    # A model_type of remote code has no class here, but its architecture names one.
    model_class = getattr(transformers, config["architectures"][0], None)
    model_class = model_class or transformers.AutoModelForCausalLM
    if getattr(model_class, "config_class", None):
        config["model_type"] = model_class.config_class.model_type
    (folder / "config.json").write_text(json.dumps(config))
    save_file(checkpoint.dequantized(case), folder / "model.safetensors", {"format": "pt"})
    options = dict(dtype=torch.float32, attn_implementation="eager", output_loading_info=True,
                   experts_implementation="eager")
    model, info = model_class.from_pretrained(folder, **options)
    for kind in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
        found = [name for name in info.get(kind) or [] if translations.is_run(released, str(name))]
        if found:
            sys.exit(f"{case}: {kind}: {sorted(found)[:5]}")
    return model.eval()


def prompt_of(case, vocab):
    """The stored prompt; a new case gets one from its name."""
    try:
        return checkpoint.read(case, "golden.json")["ids"]
    except FileNotFoundError:
        bits = checkpoint.random_bits(case, PROMPT_LENGTH) >> np.uint64(40)
        ids = [10 + int(b) % (vocab - 10) for b in bits]
        return references.prompt(checkpoint.read(case, "config.json"), ids)


def vocabulary(config):
    """The rows of the table, whatever the key and wherever it is."""
    text = config.get("text_config") or config.get("llm_config") or config
    return text.get("vocab_size") or text["padded_vocab_size"]


def last_logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0, -1]


def is_prefixed(model):
    return type(model).__name__ in PREFIXED


def layers_of(model):
    if is_prefixed(model):
        return model.cpmant.encoder.layers
    return getattr(model.model, "language_model", model.model).layers


def greedy_with_cache(model, ids):
    """The tokens, and the logits each was chosen from."""
    cache, step, tokens, rows = None, ids, [], []
    for _ in range(GREEDY):
        out = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
        cache, row = out.past_key_values, out.logits[0, -1]
        rows.append(row)
        tokens.append(int(row.argmax()))
        step = ids + tokens if is_prefixed(model) else tokens[-1:]
    return tokens, rows


def compute(case):
    config = checkpoint.read(case, "config.json")
    own = references.find(config["architectures"][0])
    return compute_own(case, config) if own else compute_transformers(case)


def compute_own(case, config):
    """With a file of references/: no cache, every step is a whole forward pass."""
    with torch.no_grad():
        model = references.Model(config, checkpoint.dequantized(case))
        ids = prompt_of(case, vocabulary(config))
        whole, outputs = model.run(ids)
        tokens, rows = [], []
        for _ in range(GREEDY):
            rows.append(model.run(ids + tokens, len(ids))[0])
            tokens.append(int(rows[-1].argmax()))
        logits = [{"len": n, "logits": model.run(ids[:n])[0]} for n in LENGTHS]
        logits.append({"len": len(ids), "logits": whole})
        name = Path(sys.modules[model.forward.__module__].__file__).name
        return {
            "case": case,
            "reference": f"references/{name}, torch {torch_version()}, float32",
            "ids": ids,
            "logits": [{**e, "logits": rounded(e["logits"], 8)} for e in logits],
            "greedy": tokens,
            "greedy_min_rel_margin": smallest_margin(rows),
            "float64_diff": largest(model.double().run(ids)[0] - whole),
            "layer_output_last_position_first8": [rounded(o, 7) for o in outputs],
        }


def compute_transformers(case):
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model = load(case, Path(folder))
        ids = prompt_of(case, vocabulary(checkpoint.read(case, "config.json")))
        outputs = []
        hooks = [layer.register_forward_hook(lambda _m, _a, out: outputs.append(
            (out[0] if isinstance(out, tuple) else out)[0, -1, :8])) for layer in layers_of(model)]
        whole = last_logits(model, ids)
        for hook in hooks:
            hook.remove()
        tokens, rows = greedy_with_cache(model, ids)
        again = rows[-1] if is_prefixed(model) else last_logits(model, ids + tokens[:-1])
        logits = [{"len": n, "logits": last_logits(model, ids[:n])} for n in LENGTHS]
        logits.append({"len": len(ids), "logits": whole})
        float64 = last_logits(model.double(), ids)
        versions = f"transformers {transformers.__version__}, torch {torch_version()}"
        return {
            "case": case,
            "reference": f"{versions}, float32, eager",
            "ids": ids,
            "logits": [{**e, "logits": rounded(e["logits"], 8)} for e in logits],
            "greedy": tokens,
            "greedy_min_rel_margin": smallest_margin(rows),
            "prefill_then_decode_check": largest(again - rows[-1]),
            "float64_diff": largest(float64 - whole),
            "layer_output_last_position_first8": [rounded(o, 7) for o in outputs],
        }


def torch_version():
    return torch.__version__.split("+")[0]


def largest(difference):
    return float(f"{difference.abs().max():.3g}")


def smallest_margin(rows):
    """Between the best and the second logit, relative to the largest."""
    margins = [row.topk(2).values for row in rows]
    return min(float(f"{(m[0] - m[1]) / row.abs().max():.3g}") for m, row in zip(margins, rows))


def rounded(values, digits):
    return [float(f"{float(v):.{digits}g}") for v in values]


def largest_difference(found, stored):
    pairs = list(zip(found["logits"], stored["logits"], strict=True))
    assert all(a["len"] == b["len"] for a, b in pairs)
    logits = max(np.abs(np.subtract(a["logits"], b["logits"])).max() for a, b in pairs)
    layers = np.abs(np.subtract(found["layer_output_last_position_first8"],
                                stored["layer_output_last_position_first8"])).max()
    return logits, layers


def dump(golden):
    """One line a list of numbers, so that a diff stays readable."""
    rows = ",\n  ".join(f'{{"len": {e["len"]}, "logits": {json.dumps(e["logits"])}}}'
                        for e in golden["logits"])
    layers = ",\n  ".join(json.dumps(row) for row in golden["layer_output_last_position_first8"])
    lists = {"logits": rows, "layer_output_last_position_first8": layers}
    fields = [f' "{key}": ' + (f"[\n  {lists[key]}\n ]" if key in lists else json.dumps(value))
              for key, value in golden.items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    checkpoint.check_definition()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    worst, failed = 0.0, []
    for case in arguments.cases or checkpoint.cases():
        golden = compute(case)
        path = checkpoint.GOLDEN / case / "golden.json"
        if not arguments.check:
            path.write_text(dump(golden))
            print(f"{case:16} written, smallest greedy margin {golden['greedy_min_rel_margin']:.2g}, "
                  f"float64 differs by {golden['float64_diff']:.2g}")
            continue
        stored = json.loads(path.read_text())
        logits, layers = largest_difference(golden, stored)
        same = golden["greedy"] == stored["greedy"]
        worst = max(worst, logits)
        if logits > TOLERANCE or layers > TOLERANCE or not same:
            failed.append(case)
        print(f"{case:16} logits {logits:.2e}  layers {layers:.2e}  greedy "
              f"{'same' if same else 'DIFFERENT'}")
    if arguments.check:
        print(f"largest difference of a logit: {worst:.2e}")
        if failed:
            sys.exit(f"beyond {TOLERANCE:g}, or other tokens: {' '.join(failed)}")


if __name__ == "__main__":
    main()
