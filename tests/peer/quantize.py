"""What `baimo quantize` writes, in llama.cpp: as Markdown tables.

    quantize.py --baimo PATH [--libllama PATH] [--model F32.gguf] [--threads N] [CASE...]

First every family that is written from a Hugging Face folder: a golden case becomes a file of F32,
which both engines run, with caches in f32; both are held against the case's reference. Then, where
--model names a file in floats, every type of it: both engines run what baimo makes of it. Needs
`gguf numpy safetensors`, and without --libllama `xllamacpp`.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy
from engines import Baimo, LlamaCpp, field
from families import apart, ask_baimo, ask_llama, golden, prompt, write_checkpoint

CASES = """llama llama_rope3 qwen2 qwen2_moe qwen3 qwen3_moe glm4 glm4_moe deepseek_v2_lite
deepseek_v3 kimi_k2_beta32 ernie4_5 seed_oss dots1 internlm3 youtu""".split()
TYPES = """f16 bf16 q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m q4_k_s q4_1 q4_0 iq4_nl iq4_xs mxfp4
q3_k_m q2_k""".split()
TEXT = "The mountain path winds through pines, and below it the river runs to the east. Nobody"


def quantize(options, model, target, kind):
    command = [options.baimo, "quantize", str(model), str(target), "--type", kind, "--force"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().replace("\n", "; "))


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


def kind(options, name, folder):
    target = folder / f"{name}.gguf"
    quantize(options, options.model, target, name)
    llama = LlamaCpp(str(target), options.libllama, positions=512, threads=options.threads)
    ids = llama.tokenize(TEXT)
    theirs = llama.feed(ids)
    ours = Baimo(options.baimo, str(target)).rows(ids, len(ids), 1)[0]
    distance = numpy.abs(ours - theirs).max() / numpy.abs(theirs).max()
    size = f"{target.stat().st_size / 2**20:.1f}"
    target.unlink()
    return [size, f"{distance:.1e}", "yes" if ours.argmax() == theirs.argmax() else "no"]


def table(head, names, cells):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                line = cells(name, pathlib.Path(folder))
            except RuntimeError as error:
                line = [str(error)]
        print("| " + " | ".join([name, *line]) + " |", flush=True)
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baimo", required=True)
    parser.add_argument("--libllama")
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("cases", nargs="*", default=CASES)
    options = parser.parse_args()
    head = ["case", "architecture", "logits apart", "llama.cpp from reference", "greedy equal"]
    table(head, options.cases, lambda case, folder: family(options, case, folder))
    if options.model:
        head = ["type", "MiB", "logits apart", "same top token"]
        table(head, TYPES, lambda name, folder: kind(options, name, folder))


if __name__ == "__main__":
    sys.exit(main())
