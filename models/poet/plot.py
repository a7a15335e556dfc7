"""Draws the loss curve of a run: python plot.py --log run/log.jsonl --out loss.png"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    records = [json.loads(line) for line in options.log.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for key, label in (("loss", "next token, training (running mean)"),
                       ("mtp_loss", "token after next, training (running mean)"),
                       ("heldout", "next token, held out"),
                       ("heldout_mtp", "token after next, held out")):
        points = [(record["step"], record[key]) for record in records if key in record]
        axes.plot(*zip(*points), "o" if "heldout" in key else "-", label=label, markersize=3)
    axes.set(xlabel="step", ylabel="nats per token of the answer", ylim=(3, 7))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
