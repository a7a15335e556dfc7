#!/usr/bin/env python3
"""Plans against what is found, for models of random weights in many architectures.

    check.py BAIMO MAKER FOLDER make NAME...     writes the models and packs their weights
    check.py BAIMO MAKER FOLDER run NAME...      runs them, results to FOLDER/NAME.jsonl
    check.py BAIMO MAKER FOLDER replan NAME...   plans again beside what was found before: after
                                                 a new probe, or of models of which only config.json
                                                 is left
    check.py BAIMO MAKER FOLDER delete NAME...   removes models and packed weights
    check.py BAIMO MAKER FOLDER table TITLE      prints all results as Markdown

BAIMO is the command, measured before with `baimo plan --probe`; MAKER the example `random_model` of
baimo-tests; NAMEs are those of shapes.json, or paths of models that are there already. No other
work should run beside `run`.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

SHAPES = pathlib.Path(__file__).with_name("shapes.json")
KINDS = ["q8_0", "q4_k"]
# What the program takes without a model, which is not in what was found.
PROGRAM = 4 << 20


def place(folder, name):
    return pathlib.Path(name) if os.sep in name else folder / name


def cache(folder, name):
    return folder / "cache" / pathlib.Path(name).stem


def environment(folder, name):
    kept = cache(folder, name)
    kept.mkdir(parents=True, exist_ok=True)
    measured = folder / "baimo-machine.json"
    if measured.exists():
        shutil.copy(measured, kept)
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
        command = [baimo, "plan", place(folder, name), "--check", "--json", "--weights", kind]
        found = subprocess.run(
            command, env=environment(folder, name), stdout=subprocess.PIPE, text=True, check=True
        )
        report = json.loads(found.stdout)
        print(name, kind, *(cell(entry) for entry in entries(report)), flush=True)
        lines.append(found.stdout)
    stem = pathlib.Path(name).stem
    (folder / f"{stem}.jsonl").write_text("".join(lines))


def replan(baimo, _maker, folder, name):
    file = folder / f"{pathlib.Path(name).stem}.jsonl"
    reports = [json.loads(line) for line in file.read_text().splitlines()]
    for report in reports:
        context = str(report["memory"][0]["context"])
        command = [baimo, "plan", place(folder, name), "--weights", report["weights"], "--json"]
        planned = json.loads(subprocess.run(
            [*command, "--context", context], env=environment(folder, name),
            stdout=subprocess.PIPE, check=True,
        ).stdout)
        for entry in report["speed"]:
            points = {point["context"]: point for point in planned["speed"]["points"]}
            renew(entry, points[entry["context"]][f"{entry['what']}_tokens_per_second"])
        memory = planned["memory"]
        own, mapped = memory["own"] - PROGRAM, memory["weights_mapped"]
        for entry, value in zip(report["memory"], (own + mapped, own, mapped)):
            renew(entry, value)
        print(name, report["weights"], *(cell(entry) for entry in entries(report)), flush=True)
    file.write_text("".join(json.dumps(report) + "\n" for report in reports))


def renew(entry, planned):
    entry["planned"] = planned
    entry["off"] = 100 * (planned / entry["found"] - 1) if entry["found"] else 0.0


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
        what = shapes.get(file.stem, {}).get("what", "as in `benches/peers`")
        for line in file.read_text().splitlines():
            report = json.loads(line)
            cells = " | ".join(cell(entry) for entry in entries(report))
            count = report["parameters"] / 1e6
            print(f"| {file.stem} ({what}, {count:.0f} M) | {report['weights']} | {cells} |")
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
        {"make": make, "run": run, "replan": replan, "delete": delete}[stage](baimo, maker, folder, name)


main()
