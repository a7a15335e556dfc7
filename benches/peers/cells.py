"""What is measured: a cell is one process of each engine on one file, and gives rates by name."""

import dataclasses
import multiprocessing
import os

from engines import Disk, Failed, Memory, Test, disk_rate

PROMPT, GENERATE = 512, 64
DEEP, FAR, LONG = 4096, 8192, 100_000
SEQUENCES = 8


@dataclasses.dataclass
class Cell:
    """`kind` is a function of this file; `rounds` the most that are worth their time."""

    kind: str
    file: str
    peers: tuple
    rounds: int = 9

    @property
    def key(self):
        return f"{self.kind}/{self.file}"


FAST = ("llama.cpp", "ik_llama.cpp")
# Engines that are measured once: far from the others.
ONCE = ("mistral.rs", "candle")
ALL = FAST + ONCE

CELLS = [
    Cell("speed", "dense-q8_0", ALL),
    Cell("speed", "dense-q4_0", FAST),
    Cell("speed", "dense-q4_k_m", ALL),
    Cell("speed", "dense-bf16", FAST),
    Cell("speed", "moe-q8_0", FAST, rounds=2),
    Cell("speed", "moe-q4_0", FAST, rounds=2),
    Cell("speed", "mla-q8_0", FAST, rounds=2),
    Cell("speed", "hybrid-q8_0", ("llama.cpp",), rounds=2),
    Cell("depth", "dense-q8_0", ("llama.cpp",), rounds=2),
    Cell("batch", "dense-q8_0", ("llama.cpp",), rounds=2),
    Cell("batch", "dense-q4_k_m", ("llama.cpp",), rounds=2),
    Cell("busy", "dense-q8_0", ("llama.cpp",), rounds=3),
    Cell("start", "dense-q8_0", ("llama.cpp",), rounds=5),
    Cell("growth", "dense-q8_0", (), rounds=1),
    Cell("growth", "hybrid-q8_0", (), rounds=1),
    Cell("growth", "lightning-bf16", (), rounds=1),
    Cell("long", "hybrid-q8_0", (), rounds=3),
    Cell("budget", "moe-q8_0", (), rounds=1),
]


def speed(engine, model):
    return engine.speed(model, Test(PROMPT, GENERATE))


def depth(engine, model):
    """An answer behind a long prompt, and the memory that took beside the file."""
    memory = Memory()
    rates = engine.speed(model, Test(0, 32, DEEP), watch=memory)
    return {**rates, "anonymous_bytes": memory.anonymous, "resident_bytes": memory.resident}


def batch(engine, model):
    return engine.batch(model, 128, GENERATE, SEQUENCES)


def growth(engine, model):
    return engine.prompts(model, [PROMPT, FAR])


def start(engine, model):
    # Whatever a first start keeps for the second is there after it.
    if not getattr(engine, "started", False):
        engine.start(model)
        engine.started = True
    return engine.start(model)


def long(engine, model):
    """What is cached is made up: computing it would take minutes, and its values change no time."""
    rates = {}
    for depth in (0, LONG):
        rates.update(engine.speed(model, Test(0, 32, depth, 3), flags=["--fill"]))
    return {**rates, "kv_bytes": engine.show(model)["cache_bytes_per_token"]}


def budget(engine, model):
    """The same tokens from a third of the model's memory. A first run packs the experts."""
    wanted, _ = engine.greedy(model, 16)
    third = model.stat().st_size // 3
    engine.greedy(model, 1, third)
    disk = Disk()
    found, seconds = engine.greedy(model, 16, third, watch=disk)
    rates = {"equal": float(found == wanted), "seconds": seconds}
    return {**rates, "read_bytes": disk.bytes, "disk": disk_rate(model)}


def spin(core):
    os.sched_setaffinity(0, {core})
    while True:
        pass


def busy(engine, model):
    """An answer while no, one and every core is kept busy by a process pinned to it."""
    cores = sorted(os.sched_getaffinity(0))[: engine.threads]
    rates = {}
    for name, taken in (("quiet", []), ("one", cores[:1]), ("all", cores)):
        others = [multiprocessing.Process(target=spin, args=(core,)) for core in taken]
        for other in others:
            other.start()
        try:
            # Engines that spin at barriers nearly stop here.
            rates[name] = engine.speed(model, Test(0, 32), timeout=90)["tg32"]
        except Failed:
            rates[name] = 0.0
        finally:
            for other in others:
                other.kill()
                other.join()
    return rates


KINDS = {
    kind.__name__: kind for kind in (speed, depth, batch, growth, start, long, busy, budget)
}


def model(cell, folder):
    """The folder of that name, as lightning.py writes one, else a GGUF file."""
    named = folder / cell.file
    return named if named.is_dir() else folder / f"{cell.file}.gguf"


def measure(cell, engine, folder):
    return KINDS[cell.kind](engine, model(cell, folder))
