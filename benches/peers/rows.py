"""The rows of the table: what of the measurements each figure is made of, and what it should be."""

import dataclasses
import json
import statistics

from cells import DEEP, FAR, GENERATE, LONG, PROMPT, SEQUENCES

PP, TG = f"pp{PROMPT}", f"tg{GENERATE}"
BATCH = f"{SEQUENCES}xtg{GENERATE}"


@dataclasses.dataclass
class Figure:
    """One number of the table, from the rounds of a cell.

    `of` gets baimo's rates, the peer's (or none) and what the machine gave, and returns the number
    with the two speeds it came from, as text.
    """

    title: str
    cell: str
    of: object
    must: float
    aim: float
    peer: str = None
    # What the two speeds are divided by to be shown, and where less is better.
    scale: float = 1.0
    less: bool = False


@dataclasses.dataclass
class Value:
    """A figure as it was measured: the median of its rounds, and the rounds."""

    figure: Figure
    numbers: list
    ours: float
    theirs: float
    quick: bool

    @property
    def median(self):
        return statistics.median(self.numbers)

    def reaches(self, wanted):
        return self.median <= wanted if self.figure.less else self.median >= wanted


def ratio(metric):
    def of(ours, theirs, machine):
        return ours[metric] / theirs[metric], ours[metric], theirs[metric]

    return of


def traffic(ours, theirs, machine):
    rate = ours[TG] * ours["weight_bytes"]
    return rate / machine["read"], rate / 1e9, machine["read"] / 1e9


def share(metric, whole):
    def of(ours, theirs, machine):
        return ours[metric] / ours[whole], ours[metric], ours[whole]

    return of


def kept(metric):
    """A share of the quiet speed, beside the peer's."""

    def of(ours, theirs, machine):
        left = lambda rates: rates[metric] / rates["quiet"]
        return left(ours), left(ours), left(theirs)

    return of


def alone(metric):
    def of(ours, theirs, machine):
        return ours[metric], ours[metric], None if theirs is None else theirs[metric]

    return of


def far(ours, theirs, machine):
    """What a token takes longer at depth, over what reading the cached keys and values would."""
    extra = 1 / ours[f"tg32@{LONG}"] - 1 / ours["tg32"]
    return extra * machine["read"] / (LONG * ours["kv_bytes"]), extra * 1e3, None


def over_disk(ours, theirs, machine):
    if ours["read_bytes"] < 1 << 30:
        raise KeyError("the page cache had the file: no figure")
    needed = ours["read_bytes"] / ours["disk"]
    return ours["seconds"] / needed, ours["seconds"], needed


KINDS = {"q8_0": "q8_0", "q4_0": "q4_0", "q4_k_m": "q4_K_M", "bf16": "bf16"}


def four(title, metric, peer, musts, aims):
    for (kind, shown), must, aim in zip(KINDS.items(), musts, aims):
        cell = f"speed/dense-{kind}"
        yield Figure(f"{title}, {shown}", cell, ratio(metric), must, aim, peer)


def figures():
    llama, ik = "llama.cpp", "ik_llama.cpp"
    yield from four("prefill 512", PP, llama, (1.8, 2.0, 2.5, 1.6), (2.1, 2.4, 3.1, 1.9))
    yield from four("prefill 512", PP, ik, (1.2, 1.4, 1.5, 1.5), (1.45, 1.7, 1.8, 1.9))
    yield from four("decode 64", TG, llama, (1.45, 1.5, 1.75, 1.3), (1.6, 1.7, 2.0, 1.5))
    yield from four("decode 64", TG, ik, (None,) * 4, (None,) * 4)
    for kind, shown in KINDS.items():
        must, aim = (0.85, 0.95) if kind in ("q8_0", "bf16") else (0.80, 0.90)
        title = f"decode: weights read, GB/s, of a pure read, {shown}"
        yield Figure(title, f"speed/dense-{kind}", traffic, must, aim)
    deep = f"tg32@{DEEP}"
    yield Figure(f"decode at depth {DEEP}, q8_0", "depth/dense-q8_0", ratio(deep), 2.2, 2.6, llama)
    for kind, must, aim in (("q8_0", 2.5, 3.3), ("q4_k_m", 4, 5.5)):
        title = f"{SEQUENCES} sequences at once, all tokens, {KINDS[kind]}"
        yield Figure(title, f"batch/dense-{kind}", ratio(BATCH), must, aim, llama)
    cores = (("one", "one core", 0.55, 0.65), ("all", "both cores", 0.40, 0.50))
    for metric, words, must, aim in cores:
        title = f"decode with {words} kept busy, share of quiet"
        yield Figure(title, "busy/dense-q8_0", kept(metric), must, aim, llama)
    yield from models()
    yield from others()
    shapes = (
        ("dense-q8_0", "dense", 0.4, 0.55),
        ("hybrid-q8_0", "hybrid", 0.8, 0.95),
        ("lightning-bf16", "lightning hybrid, bf16", 0.8, 0.95),
    )
    for file, words, must, aim in shapes:
        title = f"prefill {FAR} of prefill {PROMPT}, {words}"
        yield Figure(title, f"growth/{file}", share(f"pp{FAR}", PP), must, aim)
    title = f"hybrid at depth {LONG}: extra ms a token, over reading its keys and values"
    yield Figure(title, "long/hybrid-q8_0", far, 1.4, 1.15, less=True)
    title = "a third of the memory of a MoE model: tokens equal"
    yield Figure(title, "budget/moe-q8_0", alone("equal"), 1, None)
    title = "the same: its seconds, over what the disk needs for the bytes read"
    yield Figure(title, "budget/moe-q8_0", over_disk, None, 1.5, less=True)
    start = alone("seconds")
    yield Figure("second start, s", "start/dense-q8_0", start, 0.5, 0.3, llama, less=True)
    memory = ratio("anonymous_bytes")
    title = f"MiB that no file backs, {DEEP} tokens"
    yield Figure(title, "depth/dense-q8_0", memory, 1.0, 0.5, llama, 2**20, True)


def models():
    """The shapes with experts and with other mixers."""
    llama, ik = "llama.cpp", "ik_llama.cpp"
    wanted = {
        "moe-q8_0": ("MoE, q8_0", (1.9, 2.3), (1.4, 1.6)),
        "moe-q4_0": ("MoE, q4_0", (1.8, 2.4), (1.4, 1.7)),
        "mla-q8_0": ("MLA and MoE, q8_0", (1.8, 2.2), (1.35, 1.6)),
        "hybrid-q8_0": ("hybrid, q8_0", (None, None), (None, None)),
    }
    for file, (shown, prefill, decode) in wanted.items():
        cell = f"speed/{file}"
        yield Figure(f"prefill 512, {shown}", cell, ratio(PP), *prefill, llama)
        yield Figure(f"decode 64, {shown}", cell, ratio(TG), *decode, llama)
        yield Figure(f"prefill 512, {shown}", cell, ratio(PP), None, None, ik)
        yield Figure(f"decode 64, {shown}", cell, ratio(TG), None, None, ik)


def others():
    for peer in ("mistral.rs", "candle"):
        for kind in ("q8_0", "q4_k_m"):
            for words, metric in (("prefill 512", PP), ("decode 64", TG)):
                title, cell = f"{words}, {KINDS[kind]}", f"speed/dense-{kind}"
                yield Figure(title, cell, ratio(metric), 1.8, 3, peer)


def load(paths):
    """Records as {isa: {cell: {(sitting, round): {engine: record}}}}."""
    found = {}
    for path in paths:
        for line in path.read_text().splitlines():
            record = json.loads(line)
            rounds = found.setdefault(record["isa"], {}).setdefault(record["cell"], {})
            turn = rounds.setdefault((record["sitting"], record["round"]), {})
            turn[record["engine"]] = record
    return found


def values(records):
    """Every figure that something was measured for."""
    for figure in figures():
        turns = []
        for turn in records.get(figure.cell, {}).values():
            ours, theirs = turn.get("baimo"), turn.get(figure.peer)
            if ours and (theirs or not figure.peer):
                turns.append((ours, theirs))
        quick = [turn for turn in turns if turn[0]["quick"]]
        rows = []
        for ours, theirs in quick or turns:
            rates = theirs and theirs["rates"]
            try:
                rows.append(figure.of(ours["rates"], rates, ours["machine"]))
            except (KeyError, ZeroDivisionError):
                continue
        if rows:
            numbers, ours, theirs = zip(*rows)
            middle = lambda column: None if column[0] is None else statistics.median(column)
            yield Value(figure, list(numbers), middle(ours), middle(theirs), bool(quick))
