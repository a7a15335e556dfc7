#!/usr/bin/env python3
"""Measures baimo beside llama.cpp on the same files, alternately, and prints the ratios.

    python benches/peers/compare.py FOLDER --baimo PATH --peer NAME=PATH_OF_LLAMA_BENCH... [--rounds 5]

FOLDER has the files of shapes.py, or any GGUF. Each round runs every engine once on every test; a
row is the median over the rounds. Before each run a fixed loop over memory and one of multiply-adds
are timed (needs numpy): a round in which either was slower than --slow of its best is left out.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import numpy as np

MATRIX = np.ones((768, 768), np.float32)
MEMORY = np.ones(1 << 26, np.float32)


def machine():
    """GFLOP/s of a product and GB/s of a sum, now: what the machine gives, whoever else uses it."""
    start = time.perf_counter()
    for _ in range(8):
        MATRIX @ MATRIX
    middle = time.perf_counter()
    MEMORY.sum()
    end = time.perf_counter()
    return 8 * 2 * 768**3 / (middle - start) / 1e9, MEMORY.nbytes / (end - middle) / 1e9


def run(command, environment=None):
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return json.loads(done.stdout)


def baimo(path, model, prompt, generate, depth, threads):
    command = [path, "bench", str(model), "-t", str(threads), "-d", str(depth), "-r", "1", "--json"]
    report = run(command + ["-p", str(prompt), "-n", str(generate)])
    return report[0]["tokens_per_second"]["median"]


def llama_bench(path, model, prompt, generate, depth, threads):
    command = [path, "-m", str(model), "-t", str(threads), "-d", str(depth), "-r", "1"]
    command += ["-p", str(prompt), "-n", str(generate), "-o", "json"]
    return run(command, {"LD_LIBRARY_PATH": str(pathlib.Path(path).parent)})[0]["avg_ts"]


def tests(options):
    for model in sorted(options.folder.glob("*.gguf")):
        if options.only and not any(word in model.name for word in options.only):
            continue
        for prompt in options.prompt:
            yield model, prompt, 0, 0
        for depth in options.depth:
            yield model, 0, options.generate, depth


def measure(options, engines):
    """For each test, a list of rounds: (rates by engine, what the machine gave)."""
    found = {test: [] for test in tests(options)}
    for _ in range(options.rounds):
        for test, rounds in found.items():
            speeds = [machine()]
            rates = {}
            for name, engine in engines.items():
                rates[name] = engine(*test)
                speeds.append(machine())
            rounds.append((rates, [min(kind) for kind in zip(*speeds)]))
    return found


def table(found, engines, slow):
    machine = [speeds for rounds in found.values() for _, speeds in rounds]
    best = [max(speeds) for speeds in zip(*machine)]
    peers = [name for name in engines if name != "baimo"]
    titles = ["file", "test", "baimo t/s"]
    for peer in peers:
        titles += [f"{peer} t/s", "ratio"]
    yield titles + ["rounds"]
    for (model, prompt, generate, depth), rounds in found.items():
        quick = lambda speeds: all(speed > slow * most for speed, most in zip(speeds, best))
        kept = [rates for rates, speeds in rounds if quick(speeds)]
        kept = kept or [rates for rates, _ in rounds]
        test = f"pp{prompt}" if prompt else f"tg{generate}" + (f" at {depth}" if depth else "")
        median = {name: statistics.median(rates[name] for rates in kept) for name in engines}
        row = [model.stem, test, f"{median['baimo']:.1f}"]
        for peer in peers:
            ratio = statistics.median(rates["baimo"] / rates[peer] for rates in kept)
            row += [f"{median[peer]:.1f}", f"{ratio:.2f}"]
        yield row + [f"{len(kept)} of {len(rounds)}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--baimo", required=True)
    parser.add_argument("--peer", action="append", default=[], help="NAME=PATH of a llama-bench")
    parser.add_argument("--only", action="append", help="a part of the files' names")
    parser.add_argument("--prompt", type=int, nargs="*", default=[512])
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--depth", type=int, nargs="*", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", type=float, default=0.8)
    options = parser.parse_args()
    paths = dict(peer.split("=", 1) for peer in options.peer)
    engines = {"baimo": lambda *test: baimo(options.baimo, *test, options.threads)}
    for name, path in paths.items():
        engines[name] = lambda *test, path=path: llama_bench(path, *test, options.threads)
    rows = list(table(measure(options, engines), engines, options.slow))
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
