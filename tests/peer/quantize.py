"""What `baimo quantize` writes, in llama.cpp: as Markdown tables.

    quantize.py --baimo PATH --llama-quantize PATH [--maker PATH] [--libllama PATH]
                [--model F32.gguf] [--threads N] [--types TYPE,...] [NAME...]

First every family that is written from a Hugging Face folder: a golden case becomes a file of F32,
which both engines run, with caches in f32; both are held against the case's reference.

Then, with --maker (the example `random_model` of baimo-tests), every type of models with rows of
whole blocks of 256 (`wide.json`), and, where --model names a file in floats, of that. Of each file:

- llama-quantize makes floats of it again, and so does baimo: all numbers must be the same bits;
- both engines run it over 40 tokens. "apart" is the median over the last 20 of the root mean square
  difference of their logits, in parts of the root mean square of llama.cpp's. Each is held against
  the file's own weights in f32 (baimo --weights f32), which tells how much of that is each one's.

What is left between two engines that read the same weights is the rounding of inputs: llama.cpp's
to 8 bits (a part in 127 of a block's largest number, so about 0.7 % of a usual one) before every
product, baimo's to 8 or 16. Through three or four layers that comes to 2 to 8 %; BOUND is 10 %. A
file that is read wrongly is apart by 100 % and more. bf16 and f16 weights round inputs likewise in
llama.cpp, to 8 and 11 bits. A token of a mixture that has two routes of nearly the same score may
take another: medians over tokens leave such single ones out.

Needs `gguf numpy safetensors`, and without --libllama `xllamacpp`.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
from engines import Baimo, LlamaCpp, field
from families import apart, ask_baimo, ask_llama, golden, prompt, write_checkpoint

CASES = """llama llama_rope3 qwen2 qwen2_moe qwen3 qwen3_moe glm4 glm4_moe deepseek_v2_lite
deepseek_v3 kimi_k2_beta32 ernie4_5 seed_oss dots1 youtu""".split()
TYPES = """f32 f16 bf16 q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m q4_k_s q4_1 q4_0 iq4_nl iq4_xs mxfp4
q3_k_m q2_k""".split()
WIDE = pathlib.Path(__file__).with_name("wide.json")
TEXT = "The mountain path winds through pines, and below it the river runs to the east. Nobody"
TOKENS, SCORED = 40, 20
BOUND = 0.1


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().replace("\n", "; ")[-300:])


def quantize(options, model, target, kind, *flags):
    run(options.baimo, "quantize", model, target, "--type", kind, "--force", *flags)


def family(options, case, folder):
    write_checkpoint(case, folder)
    target = folder / "model.gguf"
    quantize(options, folder, target, "f32")
    ids, at = prompt(case)
    theirs, their_greedy = ask_llama(options.libllama, str(target), ids, at)
    ours, our_greedy = ask_baimo(options.baimo, str(target), ids, at)
    reference = {entry["len"]: numpy.asarray(entry["logits"]) for entry in golden(case)["logits"]} \
        if golden(case) else ours
    architecture = field(str(target), "general.architecture")
    return [f"`{architecture}`", f"{apart(ours, theirs):.1e}", f"{apart(theirs, reference):.1e}",
            "yes" if our_greedy == their_greedy else "no"]


def other_numbers(options, file):
    """How many tensors of a file the two engines make other floats of."""
    ours, theirs = file.with_suffix(".ours.gguf"), file.with_suffix(".theirs.gguf")
    quantize(options, file, ours, "f32", "--allow-requantize")
    run(options.llama_quantize, "--allow-requantize", file, theirs, "F32")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(theirs).tensors}
    found = gguf.GGUFReader(ours).tensors
    assert len(found) == len(tensors), file
    count = sum(not numpy.array_equal(tensor.data.reshape(-1).view(numpy.uint32),
                                      tensors[tensor.name].reshape(-1).view(numpy.uint32))
                for tensor in found)
    ours.unlink(), theirs.unlink()
    return count


def distance(rows, others):
    """The median of the rows' root mean square differences, in parts of the others'."""
    root = lambda numbers: numpy.sqrt((numbers ** 2).mean(axis=1))
    return float(numpy.median(root(rows - others) / root(others)))


def compared(options, file, ids):
    """Tensors of other numbers; then how far both are apart, and each from exact arithmetic."""
    llama = LlamaCpp(str(file), options.libllama, 512, options.threads, exact=True)
    theirs = llama.window(ids).astype(numpy.float64)[-SCORED:]
    llama.close()
    engine, first = Baimo(options.baimo, str(file)), len(ids) - SCORED + 1
    ours, exact = (numpy.stack(engine.rows(ids, first, SCORED, "--kv", "f32", *flags))
                   for flags in [[], ["--weights", "f32"]])
    return [other_numbers(options, file), distance(ours, theirs), distance(ours, exact),
            distance(theirs, exact)]


def random_ids(size):
    return [int(number) for number in numpy.random.default_rng(7).integers(0, size, TOKENS)]


def kinds(options, name, folder):
    """Of one model, what every type is compared to."""
    if name == "--model":
        source = options.model
        llama = LlamaCpp(str(source), options.libllama, 512)
        ids = llama.tokenize(TEXT + ". " + TEXT)[:TOKENS]
        llama.close()
    else:
        source = folder / name
        run(options.maker, WIDE, name, source)
        ids = random_ids(json.loads((source / "config.json").read_text())["vocab_size"])
    found = {}
    for kind in options.types:
        target = folder / f"{kind}.gguf"
        try:
            quantize(options, source, target, kind)
            found[kind] = compared(options, target, ids)
        except RuntimeError as error:
            found[kind] = str(error)
        target.unlink(missing_ok=True)
    return found


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(cells):
    line(cells)
    print("|" + "---|" * len(cells), flush=True)


def types_table(options, names):
    """A line for each type; whether all is well."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = kinds(options, name, pathlib.Path(folder))
    shown = [options.model.stem if name == "--model" else name for name in names]
    head(["type", "tensors read otherwise", "baimo from exact", "llama.cpp from exact",
          *(f"apart: {name}" for name in shown)])
    failures = []
    for kind in options.types:
        cells = [found[name][kind] for name in names]
        fine = [cell for cell in cells if not isinstance(cell, str)]
        failures += [f"{name} {kind}: {cell}" for name, cell in zip(shown, cells)
                     if isinstance(cell, str) or cell[0] or not cell[1] < BOUND]
        most = [f"{max((cell[part] for cell in fine), default=0):.1e}" for part in [2, 3]]
        line([kind, str(sum(cell[0] for cell in fine)), *most,
              *("-" if isinstance(cell, str) else f"{cell[1]:.1e}" for cell in cells)])
    print()
    for failure in failures:
        print("FAIL", failure)
    return not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baimo", required=True)
    parser.add_argument("--llama-quantize", required=True)
    parser.add_argument("--maker")
    parser.add_argument("--libllama")
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", type=lambda text: text.split(","), default=TYPES)
    parser.add_argument("names", nargs="*", help="golden cases and models of wide.json")
    options = parser.parse_args()
    wide = list(json.loads(WIDE.read_text())) if options.maker else []
    chosen = lambda names: [name for name in names if name in (options.names or names)]
    cases = chosen(CASES)
    if cases:
        head(["case", "architecture", "logits apart", "llama.cpp from reference", "greedy equal"])
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            try:
                line([case, *family(options, case, pathlib.Path(folder))])
            except RuntimeError as error:
                line([case, str(error)])
    print()
    models = chosen(wide) + (["--model"] if options.model else [])
    return 0 if not models or types_table(options, models) else 1


if __name__ == "__main__":
    sys.exit(main())
