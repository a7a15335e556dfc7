"""How much memory loading takes: a random BF16 checkpoint of about 4 GB is written, loaded as it is
and quantized while loading, watched, and deleted.

    memory.py --baimo PATH [--layers 16] [--untied] [--folder /tmp]

The peak of resident memory (the kernel's VmHWM, which counts pages of the mapped files) must stay
under 1.1 times the checkpoint as it is, and with q8_0 under the quantized weights and the source of
one layer together. Needs `numpy`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy

HIDDEN, WIDTH, HEADS, GROUPS, HEAD, VOCABULARY = 2560, 9728, 32, 8, 128, 151936
SHARD_BYTES = 1 << 30
CHUNK = 1 << 22
# Numbers and scale of a block of 32, in bytes for each of two bytes of BF16.
Q8_0_SHARE = 34 / 64
POLL_SECONDS = 0.01


def shapes(layers, tied):
    """Every tensor's name and shape, in the order of a hub's file."""
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(layers):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", (HIDDEN,)
        yield name + "mlp.down_proj.weight", (HIDDEN, WIDTH)
        yield name + "mlp.gate_proj.weight", (WIDTH, HIDDEN)
        yield name + "mlp.up_proj.weight", (WIDTH, HIDDEN)
        yield name + "post_attention_layernorm.weight", (HIDDEN,)
        yield name + "self_attn.k_norm.weight", (HEAD,)
        yield name + "self_attn.k_proj.weight", (GROUPS * HEAD, HIDDEN)
        yield name + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD)
        yield name + "self_attn.q_norm.weight", (HEAD,)
        yield name + "self_attn.q_proj.weight", (HEADS * HEAD, HIDDEN)
        yield name + "self_attn.v_proj.weight", (GROUPS * HEAD, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    if not tied:
        yield "lm_head.weight", (VOCABULARY, HIDDEN)


def size(shape):
    return 2 * int(numpy.prod(shape))


def shards(layers, tied):
    """Lists of tensors, each of at most SHARD_BYTES."""
    parts, filled = [[]], 0
    for name, shape in shapes(layers, tied):
        if filled + size(shape) > SHARD_BYTES and parts[-1]:
            parts.append([])
            filled = 0
        parts[-1].append((name, shape))
        filled += size(shape)
    return parts


def configuration(layers, tied):
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu",
        "hidden_size": HIDDEN, "intermediate_size": WIDTH, "num_hidden_layers": layers,
        "num_attention_heads": HEADS, "num_key_value_heads": GROUPS, "head_dim": HEAD,
        "vocab_size": VOCABULARY, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6,
        "rope_theta": 1000000, "rope_scaling": None, "attention_bias": False,
        "attention_dropout": 0.0, "use_sliding_window": False, "sliding_window": None,
        "max_window_layers": layers, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "initializer_range": 0.02, "use_cache": True, "bos_token_id": 1, "eos_token_id": 2,
    }


def write_shard(path, tensors, noise):
    """The header, then the same noise over and over: its values do not matter."""
    header, offset = {}, 0
    for name, shape in tensors:
        offsets = [offset, offset + size(shape)]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": offsets}
        offset = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, offset, len(noise)):
            file.write(noise[: min(len(noise), offset - start)])
    return offset


def write_checkpoint(folder, layers, tied):
    """Returns the bytes of all tensors."""
    values = numpy.random.default_rng(7).normal(0, 0.02, CHUNK).astype(numpy.float32)
    noise = (values.view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
    parts = shards(layers, tied)
    total, places = 0, {}
    for number, tensors in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        total += write_shard(folder / file, tensors, noise)
        places |= {name: file for name, _ in tensors}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(configuration(layers, tied)))
    return total


def status(pid):
    """The memory lines of a process in bytes; none when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) << 10 for name, value in pairs}


def watch(baimo, folder, weights):
    """Peaks while the command runs, in bytes: all, anonymous, of files; and its seconds."""
    command = [baimo, "logits", "--ids", "1,2,3", "--weights", weights, str(folder)]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks = {"RssAnon": 0, "RssFile": 0}
    ended = None
    while ended is None:
        found = status(process.pid)
        peaks = {name: max(peak, found.get(name, 0)) for name, peak in peaks.items()}
        time.sleep(POLL_SECONDS)
        pid, code, usage = os.wait4(process.pid, os.WNOHANG)
        ended = (code, usage) if pid else None
    code, usage = ended
    if code:
        raise SystemExit(process.stderr.read().decode())
    seconds = time.monotonic() - start
    return usage.ru_maxrss << 10, peaks["RssAnon"], peaks["RssFile"], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baimo", required=True)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--untied", action="store_true")
    parser.add_argument("--folder", default="/tmp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = pathlib.Path(name)
        total = write_checkpoint(folder, options.layers, not options.untied)
        layer = sum(size(s) for n, s in shapes(options.layers, True) if ".layers.0." in n)
        bounds = {"native": 1.1 * total, "q8_0": Q8_0_SHARE * total + layer}
        print("| weights | checkpoint MiB | peak MiB | bound MiB | peak anonymous | peak of files "
              "| seconds | verdict |")
        print("|---|---|---|---|---|---|---|---|")
        failed = False
        for weights, bound in bounds.items():
            peak, anonymous, files, seconds = watch(options.baimo, folder, weights)
            failed |= peak > bound
            cells = [f"{value / (1 << 20):.0f}" for value in (total, peak, bound, anonymous, files)]
            verdict = "pass" if peak <= bound else "FAIL"
            print("|", " | ".join([weights, *cells, f"{seconds:.0f}", verdict]), "|", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
