"""Keeps GGUF files as golden cases: what llama.cpp computes from each, and how to write it again.

    freeze.py --llama-cpp SOURCE --libllama PATH --files FOLDER CASE[:NAME]...

FOLDER is what `families.py --keep` was given: for each case a file that llama.cpp's own converter
made. Of that file the keys of its architecture stay (`header.json`) and the names and shapes of its
tensors (`tensors.json`), whose numbers become the function of the name that `golden/README.md`
describes. llama.cpp then runs the file with these numbers (`golden.json`). NAME is that of the new
case, the file's architecture where none is given. Needs `numpy`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
STEPS = 16
LENGTHS = [1, 2, 7, 24, 40]
# Two best tokens nearer than this, as a share of the largest logit, are no test of who is right.
MARGIN_MIN = 2e-4


# Divisors of rope frequencies keep their numbers: they rise, and may end in ones.
DIVISORS = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"]


def rounded(value, digits):
    return float(f"{float(value):.{digits}g}")


def defined(name, values):
    """The tensor's line: random numbers about as large and as spread as the converter's."""
    if name in DIVISORS:
        return {"name": name, "shape": list(values.shape), "values": values.tolist(), "dtype": "F32"}
    low, high = float(values.min()), float(values.max())
    offset, scale = rounded((low + high) / 2, 3), rounded((high - low) / 2, 3)
    if low >= 0 or high <= 0:
        # Rates of decay keep their sign.
        scale = min(scale, rounded(abs(offset) * 0.9, 3))
    elif abs(offset) < scale / 4:
        offset = 0.0
    return {"name": name, "shape": list(values.shape), "offset": offset, "scale": scale,
            "dtype": "F32"}


def header(reader):
    """The keys that say what the model is."""
    architecture = reader.fields["general.architecture"].contents()
    keys = {key: field.contents() for key, field in reader.fields.items()
            if key.startswith(f"{architecture}.")}
    return {"general.architecture": architecture, **dict(sorted(keys.items()))}


def write(reader, entries, path):
    """The file again, with the numbers of `entries`."""
    import checkpoint
    import gguf

    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], inner)
    for entry in entries:
        writer.add_tensor(entry["name"], checkpoint.float32_values(entry).reshape(entry["shape"]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prompts(case):
    import checkpoint

    for attempt in range(20):
        bits = checkpoint.random_bits(f"{case} {attempt}", LENGTHS[-1]) >> numpy.uint64(40)
        yield [10 + int(word) % 100 for word in bits]


def answer(library, path, ids):
    """The logits after each length, the greedy tokens, and the smallest margin among them."""
    from engines import LlamaCpp

    llama = LlamaCpp(str(path), library, positions=512, exact=True)
    rows = []
    for length in LENGTHS:
        llama.forget()
        rows.append(llama.feed(ids[:length]))
    llama.forget()
    row, tokens, margins = llama.feed(ids), [], []
    for _ in range(STEPS):
        best = numpy.sort(row)[-2:]
        margins.append((best[1] - best[0]) / numpy.abs(row).max())
        tokens.append(int(row.argmax()))
        row = llama.feed(tokens[-1:])
    return rows, tokens, min(margins)


def freeze(options, case):
    sys.path.insert(0, str(GOLDEN))
    import gguf

    case, _, name = case.partition(":")
    reader = gguf.GGUFReader(options.files / case / "model.gguf")
    tensors = {t.name: t.data.reshape(t.shape[::-1]) for t in reader.tensors}
    entries = [defined(name, values) for name, values in tensors.items()]
    for entry in entries:
        if options.embedding and entry["name"] == "token_embd.weight":
            entry["scale"] = options.embedding
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "model.gguf"
        write(reader, entries, path)
        tried = ((ids, *answer(options.libllama, path, ids)) for ids in prompts(case))
        ids, rows, tokens, margin = next(one for one in tried if one[-1] > MARGIN_MIN)
    keys = header(reader)
    name = name or keys["general.architecture"].replace("-", "_")
    folder = GOLDEN / "gguf" / name
    folder.mkdir(exist_ok=True)
    lines = lambda entries: ",\n".join(json.dumps(entry) for entry in entries)
    pairs = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in keys.items())
    (folder / "header.json").write_text(f"{{\n{pairs}\n}}\n")
    (folder / "tensors.json").write_text(f"[\n{lines(entries)}\n]\n")
    logits = [{"len": length, "logits": [rounded(logit, 8) for logit in row]}
              for length, row in zip(LENGTHS, rows)]
    (folder / "golden.json").write_text(
        f'{{\n"case": "gguf/{name}",\n"reference": "{options.reference}",\n"ids": {ids},\n'
        f'"logits": [\n{lines(logits)}\n],\n"greedy": {tokens},\n'
        f'"greedy_min_rel_margin": {margin:.3g}\n}}\n')
    print(f"{name:28} {len(entries):4} tensors, smallest margin {margin:.1e}, {len(set(tokens))} "
          f"different tokens", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True)
    parser.add_argument("--libllama", required=True)
    parser.add_argument("--files", type=pathlib.Path, required=True)
    parser.add_argument("--reference", default="llama.cpp of llama-cpp-python 0.3.36, float32")
    parser.add_argument("--embedding", type=float,
                        help="how large the embedding's numbers are, where it drowns the layers")
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.apart:
        freeze(options, options.cases[0])
        return
    # A process for each: llama.cpp may abort.
    environment = {**os.environ, "PYTHONPATH": str(options.llama_cpp / "gguf-py")}
    flags = [word for word in sys.argv if word not in options.cases]
    for case in options.cases:
        subprocess.run([sys.executable, *flags, "--apart", case], env=environment, check=True)


if __name__ == "__main__":
    main()
