"""The engines that are measured: how each is started and what it prints.

Every method runs one process to its end and returns rates (tokens a second) by the test's name:
`pp512` a prompt, `tg64` an answer, `tg32@4096` an answer behind so many tokens, `8xtg64` the
answers of eight sequences, all tokens together.
"""

import dataclasses
import json
import mmap
import os
import pathlib
import statistics
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).parent
# A prompt whose every byte is a token of the vocabulary that shapes.py makes up.
WHITE = "\t\n\r\v\f\x1c\x1d "
TIMEOUT = 600


class Failed(Exception):
    """A process that did not start, ended badly, or not in time."""


def run(command, environment=None, timeout=TIMEOUT, watch=None):
    """What the process prints, and seconds from its start to its end."""
    environment = {**os.environ, **(environment or {})}
    start = time.perf_counter()
    try:
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    except OSError as missing:
        raise Failed(f"{command[0]}: {missing.strerror}") from missing
    watcher = watch and threading.Thread(target=watch, args=(process,))
    if watcher:
        watcher.start()
    try:
        out, error = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.communicate()
        raise Failed(f"{command[0]}: not done in {timeout} s") from late
    finally:
        if watcher:
            watcher.join()
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise Failed(f"{command}: {error.decode(errors='replace')[-400:]}")
    return out.decode(errors="replace"), seconds


class Disk:
    """Bytes that a process had the disk read."""

    def __init__(self):
        self.bytes = 0

    def __call__(self, process):
        while process.poll() is None:
            try:
                counters = pathlib.Path(f"/proc/{process.pid}/io").read_text()
            except OSError:
                return
            read = [line for line in counters.splitlines() if line.startswith("read_bytes")]
            self.bytes = max([self.bytes, *(int(line.split()[1]) for line in read)])
            time.sleep(0.02)


def disk_rate(path, size=1 << 29):
    """Bytes a second that the disk gives of a file, past the page cache."""
    buffer = mmap.mmap(-1, 1 << 23)
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        start, read = time.perf_counter(), 0
        while read < size:
            count = os.readv(file, [buffer])
            if count == 0:
                break
            read += count
        return read / (time.perf_counter() - start)
    finally:
        os.close(file)


class Memory:
    """The most memory a process had that no file backs, in bytes, and the most of all kinds."""

    def __init__(self):
        self.anonymous = 0
        self.resident = 0

    def __call__(self, process):
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            kilobytes = {}
            for line in status.splitlines():
                if line.startswith(("RssAnon", "RssShmem", "VmHWM")):
                    kilobytes[line.split(":")[0]] = int(line.split()[1])
            if len(kilobytes) == 3:
                anonymous = kilobytes["RssAnon"] + kilobytes["RssShmem"]
                self.anonymous = max(self.anonymous, anonymous << 10)
                self.resident = max(self.resident, kilobytes["VmHWM"] << 10)
            time.sleep(0.02)


@dataclasses.dataclass
class Test:
    """What one process measures."""

    prompt: int = 0
    generate: int = 0
    depth: int = 0
    repeats: int = 1


def name(prompt, generate, depth):
    text = f"pp{prompt}" if prompt else f"tg{generate}"
    return f"{text}@{depth}" if depth else text


class Baimo:
    def __init__(self, path, threads, isa):
        self.path, self.threads = path, threads
        self.environment = {"BAIMO_ISA": isa} if isa else {}

    def command(self, *words):
        return [self.path, "bench", *words, "-t", self.threads, "--json"]

    def bench(self, *words, watch=None, timeout=TIMEOUT):
        out, _ = run(self.command(*words), self.environment, timeout, watch)
        return json.loads(out)

    def speed(self, model, test, watch=None, timeout=TIMEOUT, flags=()):
        words = [model, "-p", test.prompt, "-n", test.generate, "-d", test.depth]
        reports = self.bench(*words, "-r", test.repeats, *flags, watch=watch, timeout=timeout)
        rate = lambda report: statistics.median(report["tokens_per_second"]["all"])
        key = lambda report: name(report["prompt"], report["generate"], report["depth"])
        rates = {key(report): rate(report) for report in reports}
        return {**rates, "weight_bytes": reports[0]["weight_bytes"]}

    def prompts(self, model, lengths):
        lengths = ",".join(map(str, lengths))
        reports = self.bench(model, "-p", lengths, "-n", 0, "-r", 1)
        return {report["test"]: report["tokens_per_second"]["median"] for report in reports}

    def batch(self, model, prompt, generate, count):
        words = [model, "-p", 0, "-n", generate, "-d", prompt, "-b", f"1,{count}", "-r", 1]
        reports = self.bench(*words)
        rates = [report["tokens_per_second"]["median"] for report in reports]
        return {f"1xtg{generate}": rates[0], f"{count}xtg{generate}": rates[1]}

    def start(self, model):
        words = [self.path, "run", model, WHITE, "--raw", "--max-tokens", 1, "--temperature", 0]
        words += ["-t", self.threads, "--context", 512]
        return {"seconds": run(words, self.environment)[1]}

    def greedy(self, model, count, memory=None, watch=None):
        """The likeliest tokens after some others, and seconds of the whole process."""
        words = [self.path, "logits", model, "--ids", "1,2,3,4,5,6,7,8", "--greedy", count]
        words += ["--memory", memory] if memory else []
        out, seconds = run([*words, "-t", self.threads], self.environment, watch=watch)
        return json.loads(out)["greedy"], seconds

    def show(self, model):
        return json.loads(run([self.path, "show", model, "--json"])[0])

    def limits(self):
        report = self.bench("--limits", "-r", 7)
        return {
            "read": report["read_bytes_per_second"]["median"],
            "read_best": report["read_bytes_per_second"]["max"],
            "float": report["float_operations_per_second"],
            "int8": report["int8_operations_per_second"],
        }


class Llama:
    """llama.cpp, or a fork with the same programs: a folder of them with their libraries."""

    def __init__(self, folder, threads, flags=lambda model: []):
        self.folder = pathlib.Path(folder)
        self.threads = threads
        self.flags = flags
        self.environment = {"LD_LIBRARY_PATH": str(self.folder)}

    def speed(self, model, test, watch=None, timeout=TIMEOUT):
        words = [self.folder / "llama-bench", "-m", model, "-t", self.threads, "-o", "json"]
        words += ["-p", test.prompt, "-n", test.generate, "-r", test.repeats]
        # Forks of an older date know no depth.
        words += ["-d", test.depth] if test.depth else []
        out, _ = run(words + self.flags(model), self.environment, timeout, watch)
        rates = {}
        for report in json.loads(out):
            key = name(report["n_prompt"], report["n_gen"], report.get("n_depth", 0))
            rates[key] = statistics.median(report["samples_ts"])
            rates["weight_bytes"] = report["model_size"]
        return rates

    def batch(self, model, prompt, generate, count):
        words = [self.folder / "llama-batched-bench", "-m", model, "-t", self.threads]
        words += ["-tb", self.threads, "-c", 2 * count * (prompt + generate), "-npp", prompt]
        words += ["-ntg", generate, "-npl", f"1,{count}", "--output-format", "jsonl"]
        out, _ = run(words, self.environment)
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return {f"{line['pl']}xtg{generate}": line["speed_tg"] for line in lines}

    def start(self, model):
        words = [self.folder / "llama-completion", "-m", model, "-p", WHITE, "-n", 1]
        words += ["--temp", 0, "-no-cnv", "-t", self.threads, "--no-warmup", "-c", 512]
        return {"seconds": run(words, self.environment)[1]}


def ik_flags(model):
    """What ik_llama.cpp is fastest with."""
    flags = ["-rtr", 1]
    if model.name.startswith(("moe", "mla")):
        flags += ["-fmoe", 1]
    return flags + (["-mla", 3] if model.name.startswith("mla") else [])


class Printer:
    """A program that gets FILE PROMPT GENERATE ROUNDS and prints, in its last line,
    {"prompt": [...], "generate": [...]}: tokens a second of each round."""

    def __init__(self, command, environment):
        self.command, self.environment = command, environment

    def speed(self, model, test, watch=None, timeout=TIMEOUT):
        words = [*self.command, model, test.prompt, test.generate, test.repeats]
        out, _ = run(words, self.environment, timeout, watch)
        report = json.loads(out.splitlines()[-1])
        return {
            f"pp{test.prompt}": statistics.median(report["prompt"]),
            f"tg{test.generate}": statistics.median(report["generate"]),
        }


def engines(options):
    """Those whose place is known, baimo first."""
    found = {"baimo": Baimo(options.baimo, options.threads, options.isa)}
    if options.llama:
        found["llama.cpp"] = Llama(options.llama, options.threads)
    few = {"RAYON_NUM_THREADS": str(options.threads), "THREADS": str(options.threads)}
    if options.ik and pathlib.Path(options.ik).is_file():
        found["ik_llama.cpp"] = Printer([options.ik, HERE / "ik.py"], few)
    elif options.ik:
        found["ik_llama.cpp"] = Llama(options.ik, options.threads, ik_flags)
    if options.mistral:
        found["mistral.rs"] = Printer([options.mistral, HERE / "mistral.py"], few)
    if options.candle:
        found["candle"] = Printer([options.candle], few)
    return found
