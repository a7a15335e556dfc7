"""The tensors of a golden case: a pure function of the list in its tensors.json (see README.md)."""

import json
from pathlib import Path

import numpy as np

import packed

GOLDEN = Path(__file__).resolve().parent
BLOCK = 128  # rows and columns that share one FP8 scale

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
MASK = (1 << 64) - 1
GAMMA = np.uint64(0x9E3779B97F4A7C15)


def cases():
    """Names of all cases, sorted; a name is the path of the folder."""
    return sorted(str(path.parent.relative_to(GOLDEN)) for path in GOLDEN.rglob("config.json"))


def read(case, name):
    return json.loads((GOLDEN / case / name).read_text())


def fnv1a64(name):
    h = FNV_OFFSET
    for byte in name.encode():
        h = (h ^ byte) * FNV_PRIME & MASK
    return h


def splitmix64(z):
    """Elementwise over a uint64 array; overflow wraps, as it should."""
    z = z + GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_bits(name, count):
    """`count` 64-bit words that depend on the tensor's name and the flat index only."""
    index = np.arange(count, dtype=np.uint64)
    return splitmix64(np.uint64(fnv1a64(name)) + index * GAMMA)


def float32_values(entry):
    if "values" in entry:
        return np.array(entry["values"], np.float32)
    top = (random_bits(entry["name"], int(np.prod(entry["shape"]))) >> np.uint64(40)).astype(np.int64)
    t = ((top - 2**23) / np.float64(2**23)).astype(np.float32)
    return np.float32(entry["offset"]) + np.float32(entry["scale"]) * t


def round_to_bfloat16(values):
    """The 16-bit pattern, nearest with ties to even."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def fp8_bytes(entry):
    """E4M3 codes: the top 8 random bits, with the two codes for NaN (7F, FF) moved to 7E and FE."""
    codes = (random_bits(entry["name"], int(np.prod(entry["shape"]))) >> np.uint64(56)).astype(np.uint8)
    return np.where(codes & 0x7F == 0x7F, codes - 1, codes).astype(np.uint8)


def integers(entry):
    """Given numbers, or the top bits of the random words, kept in a range where one is given."""
    kind, width = (np.uint32, 32) if entry["dtype"] == "I32" else (np.uint8, 8)
    if "values" in entry:
        return np.array(entry["values"], kind)
    top = random_bits(entry["name"], int(np.prod(entry["shape"]))) >> np.uint64(64 - width)
    if "count" in entry:
        top = np.uint64(entry["from"]) + top % np.uint64(entry["count"])
    return top.astype(kind)


def fp8_to_float32(codes):
    """E4M3FN: one sign bit, four of exponent (bias 7), three of mantissa, no infinities."""
    code = codes.astype(np.int32)
    exponent, mantissa = code >> 3 & 15, code & 7
    normal = np.ldexp(1 + mantissa / 8, exponent - 7)
    magnitude = np.where(exponent == 0, np.ldexp(mantissa / 8, -6), normal)
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float32)


def raw(entry):
    """The bytes that a safetensors file holds for this tensor, as a flat numpy array."""
    if entry["dtype"] == "F32":
        return float32_values(entry)
    if entry["dtype"] == "BF16":
        return round_to_bfloat16(float32_values(entry))
    if entry["dtype"] == "F16":
        return float32_values(entry).astype(np.float16)
    if entry["dtype"] == "F8_E4M3":
        return fp8_bytes(entry)
    if entry["dtype"] in ("I32", "U8"):
        return integers(entry)
    raise ValueError(f"{entry['name']}: unknown dtype {entry['dtype']}")


def dequantized(case):
    """Every tensor of the case in float32, as a program must see it after loading."""
    if (GOLDEN / case / "model.gguf").exists():
        import make_gguf  # needs another package

        return make_gguf.read_back(case)
    return defined(case)


def defined(case):
    """The tensors that tensors.json defines; packed codes and FP8 blocks come with their scales."""
    entries = {entry["name"]: entry for entry in read(case, "tensors.json")}
    kind = packed.method(read(case, "config.json"))
    beside = ("_scale_inv",) + (packed.PARTS if kind else ())
    tensors = {}
    for name, entry in entries.items():
        if name.endswith(beside):
            continue
        if kind and name.endswith(packed.ENDINGS):
            base = name.removesuffix(".qweight").removesuffix(".weight_packed")
            parts = {key: shaped(part) for key, part in entries.items() if key.startswith(base + ".")}
            weights = packed.unpack(name, parts, kind)
            tensors[base + ".weight"] = np.ascontiguousarray(weights, np.float32)
            continue
        values = raw(entry)
        if entry["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if entry["dtype"] == "F8_E4M3":
            values = fp8_to_float32(values).reshape(entry["shape"])
            if name + "_scale" in entries:
                scales = shaped(entries[name + "_scale"])
            else:
                scales = shaped(entries[name + "_scale_inv"])
                rows, columns = entry["shape"]
                scales = scales.repeat(BLOCK, 0)[:rows].repeat(BLOCK, 1)[:, :columns]
            values = values * scales
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def shaped(entry):
    """The numbers of an entry in its shape; BF16 as float32."""
    values = raw(entry)
    if entry["dtype"] == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(entry["shape"])


def check_definition():
    """The numbers that README.md gives, so that a slip here is not blamed on a model."""
    assert fnv1a64("model.embed_tokens.weight") == 0xA88FD795D5C6D156
    assert int(splitmix64(np.zeros(1, np.uint64))[0]) == 0xE220A8397B1DCDAF
    entry = {"name": "model.embed_tokens.weight", "shape": [4], "offset": 1.0, "scale": 0.2}
    assert [hex(v) for v in float32_values(entry).view(np.uint32)] == [
        "0x3f72d1f5", "0x3f6d91e2", "0x3f80ae22", "0x3f663d8f"]
    assert list(fp8_to_float32(np.array([0x01, 0x08, 0x38, 0x7E, 0xB8], np.uint8))) == [
        2.0**-9, 2.0**-6, 1.0, 448.0, -1.0]
