#!/usr/bin/env python3
"""Turns results of compare.py into the table and the plot that README shows.

    python benches/peers/report.py FILE.jsonl... [--readme README.md] [--plot FILE.svg] [--note X]

Without --readme the table is printed. The block between `<!-- speed:begin -->` and
`<!-- speed:end -->` is replaced. Several files are of this machine; runs with --isa are a table of
their own.
"""

import argparse
import os
import pathlib
import re
import statistics

import plot
import rows

BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8")


def machine():
    """One line on this machine, as Linux tells."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)[1]
    flags = set(re.search(r"flags\s*: (.*)", text)[1].split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    sets = ", ".join(flag for flag in SETS if flag in flags)
    return f"{name}, {os.cpu_count()} logical cores, {memory:.0f} GiB of memory, {sets}"


def number(value):
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def line(value):
    figure = value.figure
    ours = value.ours / figure.scale
    theirs = None if value.theirs is None else value.theirs / figure.scale
    peer = f"{figure.peer} {number(theirs)}" if figure.peer else number(theirs)
    median = number(value.median)
    if figure.must is not None:
        median = f"**{median}**" if value.reaches(figure.must) else f"{median} (short)"
    spread = f"{number(min(value.numbers))}–{number(max(value.numbers))}"
    rounds = str(len(value.numbers)) + ("" if value.quick else ", slow machine")
    cells = [figure.title, number(ours), peer, median, spread, rounds]
    cells += [number(figure.must), number(figure.aim)]
    return "| " + " | ".join(cells) + " |"


def table(values):
    yield "| figure | baimo | beside | ratio | range | rounds | must | aim |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from map(line, values)


def limits(found):
    """What the machine gave beside the measurements."""
    seen = [record["machine"] for rounds in found.values() for turn in rounds.values()
            for record in turn.values()]
    middle = lambda kind: statistics.median(machine[kind] for machine in seen) / 1e9
    return (
        f"read {middle('read'):.1f} GB/s, f32 {middle('float'):.0f} GFLOP/s, "
        f"8-bit products {middle('int8'):.0f} GOP/s"
    )


def section(isa, found):
    sittings = {sitting for rounds in found.values() for sitting, _ in rounds}
    threads = {record["threads"] for rounds in found.values() for turn in rounds.values()
               for record in turn.values()}
    dates = sorted({sitting[:10] for sitting in sittings})
    held = "" if isa == "native" else f" with {isa} alone, peers built for it"
    yield f"Measured {', '.join(dates)}{held} on {machine()}; {max(threads)} threads."
    yield f"In the median the machine gave: {limits(found)}."
    yield ""
    yield from table(rows.values(found))


def report(by_isa, image, notes):
    """The lines between the marks."""
    if image:
        yield f"![Ratios to llama.cpp]({image})"
        yield ""
    for isa, found in by_isa.items():
        if isa == "native":
            yield from section(isa, found)
        else:
            yield f"<details><summary>The same with {isa} alone</summary>"
            yield ""
            yield from section(isa, found)
            yield ""
            yield "</details>"
        yield ""
    yield "A ratio is the median over rounds of baimo's speed by the other's in the same round (of"
    yield "seconds and of memory less is better); *must* and *aim* were set before measuring."
    yield "Repeat it with `benches/peers/compare.py`. What stops the short ones: [LIMITS.md](benches/LIMITS.md)."
    yield from notes


def splice(readme, lines):
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(before + "\n".join([BEGIN, *lines, END]) + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path, nargs="+")
    parser.add_argument("--readme", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--note", action="append", default=[], help="a line below, as of builds")
    options = parser.parse_args()
    found = rows.load(options.results)
    image = None
    if options.plot:
        options.plot.write_text(plot.draw(found.get("native") or next(iter(found.values()))))
        base = options.readme.parent.resolve() if options.readme else pathlib.Path.cwd()
        image = os.path.relpath(options.plot.resolve(), base)
    lines = list(report(found, image, options.note))
    if options.readme:
        splice(options.readme, lines)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
