"""The two engines that the scripts of this folder compare, each behind the same few words.

llama.cpp is any build of its library: the one inside the package `xllamacpp`, or `libllama.so` of a
checkout. Only functions that have kept their signature for years are called, on its default
parameters, so their layout need not be known: they are passed on as an opaque block.
"""

import ctypes
import importlib.util
import json
import pathlib
import subprocess
import sys

import gguf
import numpy


def field(model, key):
    """A value of a GGUF file's header, or None."""
    found = gguf.GGUFReader(model).fields.get(key)
    return found.contents() if found else None


class Baimo:
    """The command, run once for each question."""

    def __init__(self, binary, model):
        self.binary, self.model = binary, model

    def ask(self, verb, *arguments, given=None):
        command = [self.binary, verb, *arguments]
        done = subprocess.run(command, capture_output=True, input=given)
        if done.returncode:
            raise RuntimeError(done.stderr.decode().strip())
        return done.stdout.decode()

    def version(self):
        return self.ask("--version").strip()

    def tokenize(self, text):
        return json.loads(self.ask("tokenize", "--json", "--", self.model, text))["ids"]

    def greedy(self, ids, count):
        """The ids that cached decoding adds, with the f16 cache that `run` has by default."""
        flags = ["--ids", ",".join(map(str, ids)), "--greedy", str(count), "--kv", "f16"]
        return json.loads(self.ask("logits", *flags, "--", self.model))["greedy"]

    def rows(self, ids, first, count, *flags):
        """The logits after the first `first`, `first + 1`, ... ids: `count` rows."""
        at = [str(first + step) for step in range(count)]
        flags = ["--ids", ",".join(map(str, ids)), "--at", ",".join(at), *flags]
        logits = json.loads(self.ask("logits", *flags, "--", self.model))["logits"]
        return [numpy.asarray(logits[position], numpy.float64) for position in at]

    def answer(self, text, count):
        """What `run --raw` writes for a prompt, with the line's end that the command adds."""
        flags = ["--raw", "--temperature", "0", "--max-tokens", str(count)]
        return self.ask("run", *flags, "--", self.model, text)

    def render(self, messages, *flags):
        given = json.dumps(messages, ensure_ascii=False).encode()
        flags = [*flags, "--messages", "/dev/stdin", "--", self.model]
        return self.ask("chat-template", *flags, given=given)


class Opaque(ctypes.Structure):
    """Parameters of any layout: longer than every version's, and passed in memory as those are."""

    _fields_ = [("numbers", ctypes.c_uint32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("pointers", ctypes.c_void_p * 6)]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
ERROR = 4


@LOG
def complain(level, text, data):
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


POINTERS = """llama_model_load_from_file llama_model_get_vocab llama_init_from_model
llama_get_memory""".split()
# What `llama_context_default_params` begins with: n_ctx, n_batch.
CONTEXT_DEFAULTS = [512, 2048]
# Where recent versions have flash attention (automatic) and the types of the caches (F16).
FLASH, FLASH_DEFAULT = 13, 0xFFFFFFFF
CACHE_TYPES, CACHE_DEFAULTS = slice(26, 28), [1, 1]


def packaged():
    """The library inside the installed package, found without importing it."""
    folder = pathlib.Path(importlib.util.find_spec("xllamacpp").origin).parent
    return str(next(folder.glob("xllamacpp*.so")))


class LlamaCpp:
    """One sequence with a cache, two threads, everything else as llama.cpp has it by default;
    `exact`: caches in f32 and no flash attention."""

    def __init__(self, model, library=None, positions=1024, threads=2, exact=False):
        self.lib = lib = ctypes.CDLL(library or packaged())
        for name in POINTERS:
            getattr(lib, name).restype = ctypes.c_void_p
        for name in ["llama_model_default_params", "llama_context_default_params"]:
            getattr(lib, name).restype = Opaque
        lib.llama_batch_get_one.restype = Batch
        lib.llama_get_logits_ith.restype = ctypes.POINTER(ctypes.c_float)
        lib.llama_get_logits.restype = ctypes.POINTER(ctypes.c_float)
        lib.llama_log_set(complain, None)
        lib.llama_backend_init()
        loaded = lib.llama_model_load_from_file(model.encode(), lib.llama_model_default_params())
        if not loaded:
            raise RuntimeError(f"llama.cpp does not load {model}")
        self.loaded = ctypes.c_void_p(loaded)
        self.vocabulary = ctypes.c_void_p(lib.llama_model_get_vocab(self.loaded))
        self.size = lib.llama_vocab_n_tokens(self.vocabulary)
        params = lib.llama_context_default_params()
        assert params.numbers[:2] == CONTEXT_DEFAULTS, "llama.cpp's parameters begin otherwise"
        params.numbers[0] = positions
        if exact:
            found = params.numbers[FLASH], params.numbers[CACHE_TYPES]
            assert found == (FLASH_DEFAULT, CACHE_DEFAULTS), "llama.cpp's parameters go on otherwise"
            params.numbers[FLASH], params.numbers[CACHE_TYPES] = 0, [0, 0]
        context = lib.llama_init_from_model(self.loaded, params)
        self.context = ctypes.c_void_p(context)
        lib.llama_set_n_threads(self.context, threads, threads)

    def close(self):
        """Gives the memory back, for who opens many files."""
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.loaded)

    def forget(self):
        memory = ctypes.c_void_p(self.lib.llama_get_memory(self.context))
        self.lib.llama_memory_clear(memory, ctypes.c_bool(True))

    def feed(self, ids):
        """The logits after all ids so far."""
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        batch = self.lib.llama_batch_get_one(tokens, len(ids))
        status = self.lib.llama_decode(self.context, batch)
        if status:
            raise RuntimeError(f"llama_decode: {status}")
        row = self.lib.llama_get_logits_ith(self.context, -1)
        return numpy.ctypeslib.as_array(row, (self.size,)).astype(numpy.float64)

    def window(self, ids):
        """The logits after every id, computed from their own beginning: `[ids, size]`."""
        self.forget()
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        wanted = (ctypes.c_int8 * len(ids))(*[1] * len(ids))
        arrays = [ctypes.cast(array, ctypes.c_void_p).value for array in (tokens, wanted)]
        # Positions and sequences that are left out: from the cache's end on, and sequence 0.
        pointers = (ctypes.c_void_p * 6)(arrays[0], None, None, None, None, arrays[1])
        status = self.lib.llama_decode(self.context, Batch(len(ids), pointers))
        if status:
            raise RuntimeError(f"llama_decode: {status}")
        rows = self.lib.llama_get_logits(self.context)
        return numpy.ctypeslib.as_array(rows, (len(ids), self.size)).copy()

    def tokenize(self, text):
        text = text.encode()
        ids = (ctypes.c_int32 * (len(text) + 8))()
        yes, no = ctypes.c_bool(True), ctypes.c_bool(False)
        count = self.lib.llama_tokenize(
            self.vocabulary, text, len(text), ids, len(ids), no, yes
        )
        return list(ids[:count])

    def detokenize(self, ids):
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        text = ctypes.create_string_buffer(64 * len(ids) + 64)
        no = ctypes.c_bool(False)
        count = self.lib.llama_detokenize(
            self.vocabulary, tokens, len(ids), text, len(text), no, no
        )
        return text.raw[:count].decode(errors="replace")
