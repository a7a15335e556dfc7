"""What quantization costs in llama.cpp, measured as `tests/examples/fidelity.rs` measures baimo:
the same windows from the text's first token on, every position of each, natural logarithms.

    fidelity.py EXACT.gguf TEXT MODEL.gguf... [--libllama PATH]

EXACT is the file of `dequantize.py`, each MODEL what `llama-quantize` made of it. Needs
`gguf numpy` and, without --libllama, `xllamacpp`.
"""

import argparse
import pathlib

import numpy
from engines import LlamaCpp

WINDOW = 512


def log_softmax(rows):
    rows = rows.astype(numpy.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - numpy.log(numpy.exp(rows).sum(axis=1, keepdims=True))


def windows(model, text, library):
    """The ids of each whole window, and the log probabilities after each, as float32."""
    llama = LlamaCpp(model, library)
    ids = llama.tokenize(text)
    for first in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = ids[first : first + WINDOW]
        yield window, log_softmax(llama.window(window)).astype(numpy.float32)


def line(exact, found):
    """Perplexity, mean and largest divergence, and the share of equal best tokens."""
    divergences, same, surprise = [], [], []
    for (ids, p), (_, q) in zip(exact, found):
        p, q = p.astype(numpy.float64), q.astype(numpy.float64)
        divergences.append((numpy.exp(p) * (p - q)).sum(axis=1))
        same.append(p.argmax(axis=1) == q.argmax(axis=1))
        surprise.append(-q[numpy.arange(WINDOW - 1), ids[1:]])
    mean = numpy.mean(divergences)
    scores = numpy.exp(numpy.mean(surprise)), mean, numpy.max(divergences), 100 * numpy.mean(same)
    return "| {:.4f} | {:.6f} | {:.4f} | {:.2f} % |".format(*scores)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exact")
    parser.add_argument("text")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--libllama")
    options = parser.parse_args()
    text = pathlib.Path(options.text).read_text(encoding="utf-8")
    exact = list(windows(options.exact, text, options.libllama))
    print("| file | perplexity | mean KL | max KL | same best token |\n|---|---|---|---|---|")
    for model in [options.exact, *options.models]:
        found = windows(model, text, options.libllama)
        print("|", pathlib.Path(model).name, line(exact, found), flush=True)


if __name__ == "__main__":
    main()
