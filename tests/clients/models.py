#!/usr/bin/env python3
"""Small models that can chat, from the golden cases: random weights, but every part of a model's folder.

    models.py CASE FOLDER [--context 16384]

CASE is a folder of tests/golden. The words are bytes and the tags of a ChatML voice that thinks and
calls tools; what the model says is nonsense, how it is asked and read is not.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))
import checkpoint  # noqa: E402

TAGS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>",
        "</tool_call>"]
# Of those, what a decoder leaves out.
SPECIAL = TAGS[:3]


def byte_letters():
    """GPT-2's way to write every byte as a letter."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    rest = (byte for byte in range(256) if byte not in letters)
    letters |= {byte: chr(256 + index) for index, byte in enumerate(rest)}
    return [letters[byte] for byte in range(256)]


def tokenizer():
    words = byte_letters()
    added = [{"id": 256 + index, "content": tag, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": tag in SPECIAL}
             for index, tag in enumerate(TAGS)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False,
                  "vocab": {word: index for index, word in enumerate(words)}, "merges": []},
    }


def tensors(case, vocab_before, vocab):
    """Names, shapes and float32 numbers of a case, with another vocabulary."""
    for entry in checkpoint.read(case, "tensors.json"):
        if entry["dtype"] not in ("F32", "BF16", "F16"):
            raise SystemExit(f"{case}: {entry['name']} is {entry['dtype']}, wanted floats")
        shape = list(entry["shape"])
        if shape[0] == vocab_before and ("embed" in entry["name"] or "head" in entry["name"]):
            shape[0] = vocab
        values = checkpoint.float32_values({**entry, "shape": shape})
        yield entry["name"], shape, np.asarray(values, np.float32)


def write_safetensors(path, named):
    header, offset, blobs = {}, 0, []
    for name, shape, values in named:
        blob = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=int, default=16384)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    config = checkpoint.read(arguments.case, "config.json")
    before, vocab = config["vocab_size"], 256 + len(TAGS)
    config |= {"vocab_size": vocab, "max_position_embeddings": arguments.context,
               "bos_token_id": 256, "eos_token_id": 258, "pad_token_id": 256}
    write = lambda name, value: (arguments.folder / name).write_text(
        json.dumps(value, ensure_ascii=False, indent=1))
    write("config.json", config)
    write("tokenizer.json", tokenizer())
    write("tokenizer_config.json", {"eos_token": "<|im_end|>", "bos_token": None,
                                    "tokenizer_class": "PreTrainedTokenizerFast"})
    write("generation_config.json", {"eos_token_id": [258, 256], "temperature": 0.8})
    template = (HERE / "chat_template.jinja").read_text()
    (arguments.folder / "chat_template.jinja").write_text(template)
    write_safetensors(arguments.folder / "model.safetensors",
                      tensors(arguments.case, before, vocab))


if __name__ == "__main__":
    main()
