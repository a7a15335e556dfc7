#!/usr/bin/env python3
"""Plans against what is found, for models of many architectures.

    check.py BAIMO MAKER FOLDER make NAME...     writes models and packs their weights
    check.py BAIMO MAKER FOLDER run NAME...      runs them, results to FOLDER/NAME.jsonl
    check.py BAIMO MAKER FOLDER delete NAME...   removes models and packed weights
    check.py BAIMO MAKER FOLDER table TITLE      prints all results as Markdown

BAIMO is the command; MAKER the example `random_model` of baimo-tests; NAMEs are those of
shapes.json, which models of random weights are made of, or paths of models that are there already.
`run` measures the machine between each model's runs: no other work should run beside it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

SHAPES = pathlib.Path(__file__).with_name("shapes.json")
KINDS = ["q8_0", "q4_k"]


def place(folder, name):
    return pathlib.Path(name) if os.sep in name else folder / name


def label(name):
    """One for each path: two models of other folders may have the same file name."""
    return name.strip(os.sep).replace(os.sep, "-")


def cache(folder, name):
    return folder / "cache" / label(name)


def environment(folder, name):
    kept = cache(folder, name)
    kept.mkdir(parents=True, exist_ok=True)
    return os.environ | {"BAIMO_CACHE": str(kept)}


def make(baimo, maker, folder, name):
    if os.sep not in name:
        subprocess.run([maker, SHAPES, name, folder / name], check=True)
    for kind in KINDS:
        command = [baimo, "bench", place(folder, name), "--weights", kind, "-p", "0", "-n", "1"]
        subprocess.run([*command, "-r", "1"], check=True, env=environment(folder, name))


def run(baimo, _maker, folder, name):
    lines = []
    for kind in KINDS:
        # A process each: what one run frees, the next would take for its own.
        command = [baimo, "plan", place(folder, name), "--check", "--weights", kind]
        found = subprocess.run(
            command, env=environment(folder, name), stdout=subprocess.PIPE, text=True, check=True
        )
        report = json.loads(found.stdout)
        cells = [cell(entry) for entry in entries(report)]
        print(name, kind, *cells, flush=True)
        lines.append(found.stdout)
    (folder / f"{label(name)}.jsonl").write_text("".join(lines))


def delete(_baimo, _maker, folder, name):
    shutil.rmtree(cache(folder, name), ignore_errors=True)
    if os.sep not in name:
        shutil.rmtree(folder / name, ignore_errors=True)


def entries(report):
    return [report["memory"][0], *report["speed"]]


def cell(entry):
    is_memory = entry["what"] == "total"
    planned, found = (entry[key] / (1e6 if is_memory else 1) for key in ("planned", "found"))
    digits = 0 if is_memory else 1
    return f"{planned:.{digits}f} / {found:.{digits}f} ({entry['off']:+.1f} %)"


def table(folder, title):
    shapes = json.loads(SHAPES.read_text())
    print(f"{title}\n")
    print("| model | weights | memory, MB | prompt, nothing cached | answer, nothing cached "
          "| prompt, 8192 cached | answer, 8192 cached |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    within = [0, 0, 0]
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            report = json.loads(line)
            what = shapes.get(file.stem, {}).get("what", report["architecture"])
            name = file.stem.split("-", 2)[-1]
            cells = " | ".join(cell(entry) for entry in entries(report))
            count = report["parameters"] / 1e6
            print(f"| {name} ({what}, {count:.0f} M) | {report['weights']} | {cells} |")
            within[0] += 1
            within[1] += abs(report["memory"][0]["off"]) <= 3
            within[2] += sum(abs(entry["off"]) <= 20 for entry in report["speed"])
    rows, memory, speed = within
    print(f"\nPlanned / found (off). Memory within 3 %: {memory} of {rows}; speed within 20 %: "
          f"{speed} of {4 * rows}.")


def main():
    baimo, maker, folder, stage, *names = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if stage == "table":
        return table(folder, names[0])
    for name in names:
        {"make": make, "run": run, "delete": delete}[stage](baimo, maker, folder, name)


main()
