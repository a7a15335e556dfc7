"""Draws the loss curve of a run: python plot.py --log run/log.jsonl --out loss.png

Several logs are the parts of one run, each resumed from the one before.
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=pathlib.Path, nargs="+", required=True, help="in order")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    records, done = [], 0
    for log in options.log:
        part = [json.loads(line) for line in log.read_text().splitlines()]
        records += [{**record, "step": record["step"] + done} for record in part]
        done = records[-1]["step"]
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
