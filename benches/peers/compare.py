#!/usr/bin/env python3
"""Measures baimo beside other engines on the same files, alternately, in one sitting.

    python benches/peers/shapes.py FOLDER
    python benches/peers/lightning.py FOLDER
    python benches/peers/compare.py FOLDER --baimo PATH --results FILE.jsonl \\
        --llama FOLDER_OF_LLAMA_BENCH --ik FOLDER_OF_IK --mistral PYTHON --candle PROGRAM
    python benches/peers/report.py FILE.jsonl --readme README.md --plot benches/peers/speed.svg

An engine that is not given is left out. `--candle` is a program as engines.Printer describes,
`--mistral` a Python with mistralrs. `--only WORD` measures the cells whose name has it, `--list`
prints the names.

Every cell is measured once before any is measured again, engine after engine, so that an
interrupted run has something of each. Before and after a cell the machine's own speed is taken
(`baimo bench --limits`): a round in which it multiplied or read slower than --slow of its best is
repeated at the end. Each measurement is appended to the results as it is made.
"""

import argparse
import datetime
import json
import pathlib
import sys
import time

import cells
from cells import CELLS, ONCE
from engines import Failed, engines


class Run:
    """One sitting: the engines, what was measured and how long there is."""

    def __init__(self, options):
        self.options = options
        self.engines = engines(options)
        self.end = time.monotonic() + 60 * options.minutes
        self.best = {}
        self.quick = {}
        self.sitting = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")

    def chosen(self):
        for cell in CELLS:
            words = self.options.only
            if words and not any(word in cell.key for word in words):
                continue
            path = cells.model(cell, self.options.folder)
            if path.exists():
                yield cell
            else:
                print(f"{cell.key}: no file {path.name}", file=sys.stderr)

    def all(self):
        chosen = list(self.chosen())
        for number in range(self.options.rounds):
            for cell in chosen:
                if number < cell.rounds:
                    self.round(cell, number)
        for cell in chosen:
            wanted = min(cell.rounds, self.options.rounds)
            for number in range(wanted, 2 * wanted):
                if self.quick.get(cell.key, 0) < wanted:
                    self.round(cell, number)

    def machine(self):
        limits = self.engines["baimo"].limits()
        for kind, rate in limits.items():
            self.best[kind] = max(rate, self.best.get(kind, 0))
        return limits

    def round(self, cell, number):
        if time.monotonic() > self.end:
            return
        before = self.machine()
        records = []
        for name in ["baimo", *cell.peers]:
            if name not in self.engines or (name in ONCE and number > 0):
                continue
            try:
                rates = cells.measure(cell, self.engines[name], self.options.folder)
            except Failed as failure:
                print(f"{cell.key} {name}: {failure}", file=sys.stderr)
                continue
            records.append({"engine": name, "rates": rates})
            shown = {key: round(rate, 2) for key, rate in rates.items()}
            print(f"{cell.key} {name} {number}: {shown}", file=sys.stderr, flush=True)
        after = self.machine()
        slowest = {kind: min(before[kind], after[kind]) for kind in before}
        enough = lambda kind: slowest[kind] > self.options.slow * self.best[kind]
        quick = enough("read") and enough("float")
        self.quick[cell.key] = self.quick.get(cell.key, 0) + quick
        common = {
            "cell": cell.key, "round": number, "quick": quick, "machine": slowest,
            "isa": self.options.isa or "native", "threads": self.options.threads,
            "sitting": self.sitting,
        }
        with open(self.options.results, "a") as file:
            for record in records:
                file.write(json.dumps({**common, **record}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--baimo")
    parser.add_argument("--llama", help="the folder of llama-bench, -batched-bench, -completion")
    parser.add_argument("--ik", help="the same of ik_llama.cpp, or a Python that has its wheel")
    parser.add_argument("--mistral", help="a Python that has mistralrs")
    parser.add_argument("--candle", help="a program, see engines.Printer")
    parser.add_argument("--results", type=pathlib.Path, default="results.jsonl")
    parser.add_argument("--isa", choices=["scalar", "avx2", "avx512"], help="baimo's BAIMO_ISA")
    parser.add_argument("--only", action="append", help="a part of a cell's name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60, help="no round starts later")
    parser.add_argument("--slow", type=float, default=0.8)
    parser.add_argument("--list", action="store_true", help="prints the cells' names")
    options = parser.parse_args()
    if options.list:
        print("\n".join(cell.key for cell in CELLS))
        return
    if not options.folder or not options.baimo:
        parser.error("FOLDER and --baimo are needed")
    Run(options).all()


if __name__ == "__main__":
    main()
