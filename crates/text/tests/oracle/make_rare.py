"""Makes a tiny vocabulary of each rare format and writes what its own class makes of 200 lines.

    make_rare.py FIRST THIRD BEE        writes tests/fixtures/tokenizers/{filling,named,lines}_*/

FIRST and THIRD are the tokenization_chatglm.py of ChatGLM-6B and of ChatGLM3-6B, BEE the
cpm_live/tokenizers/bee.py of CPM-Bee. Needs `sentencepiece protobuf transformers rjieba` and what
make_fixtures.py needs.
"""

import collections
import io
import json
import os
import pathlib
import re
import sys
import tempfile
import types
import typing

import rjieba
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from transformers import CpmAntTokenizer

from make_fixtures import COMMON, TEXTS, without_paths, write

CONTROL = ["[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"]
ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
SPACES = ["a  b", "   x", "x   ", "\tx\t\ty", "a\n\n  b", " " * 79, " " * 80, " " * 81, " " * 165 + "x",
          "def f():\n    return 1\n", "你好，世界！  １２３", "<n>a<|tab|>b<|blank_3|>c", "a \n b", "　全角　"]


def classes(path, names, **around):
    """The named classes of a Python file, without what it imports."""
    text = pathlib.Path(path).read_text()
    parts = re.split(r"(?m)^(?=class |def |logger|PRETRAINED)", text)
    kept = [part for part in parts if re.match(r"(class|def) (%s)\b" % "|".join(names), part)]
    room = {**vars(typing), "os": os, "re": re, "io": io, **around}
    exec("\n".join(kept), room)
    return [room[name] for name in names]


def pieces(file, size, **options):
    """A SentencePiece vocabulary of `size` pieces, full-width characters made ASCII."""
    out = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.writelines(f"{code:X}\t{code - 0xFEE0:X}\n" for code in range(0xFF01, 0xFF5F))
        rules.writelines(["3000\t20\n", "A0\t20\n", "9\t20\n"])
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(COMMON), model_writer=out, model_type="unigram", vocab_size=size,
            character_coverage=1.0, minloglevel=2, hard_vocab_limit=False,
            normalization_rule_tsv=rules.name, **options)
    return without_paths(out.getvalue())


def texts(without):
    """What all the libraries read as text: names of control tokens are not, NUL ends a string."""
    fine = [t for t in TEXTS if not any(s in t for s in ["<s>", "</s>", "<unk>", "<pad>", "\0", *without])]
    return fine


def filling(first):
    """ice_text.model as its first release has it, and with all pieces as in the later ones."""
    text, whole = classes(first, ["TextTokenizer", "SPTokenizer"], spm=sentencepiece)
    bare = pieces("ice_text.model", 700, user_defined_symbols=["<n>"])
    model = proto.ModelProto.FromString(bare)
    names = [(name, 3) for name in CONTROL] + [("<|tab|>", 4)]
    names += [(f"<|blank_{run}|>", 4) for run in range(2, 81)] + [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    for name, kind in names:
        model.pieces.append(proto.ModelProto.SentencePiece(piece=name, score=0.0, type=kind))
    model.trainer_spec.byte_fallback = True
    full = model.SerializeToString()
    config = {"tokenizer_class": "ChatGLMTokenizer", "bos_token": "<sop>", "eos_token": "<eop>",
              "do_lower_case": False, "remove_space": False}
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(full)
        file.flush()
        for name, images, data in [("filling_later", 0, full), ("filling_first", 20_000, bare)]:
            made = whole(file.name, num_image_tokens=images)
            cases = [[t, made.encode(t)] for t in SPACES + texts(CONTROL)]
            said = {**config, **({"num_image_tokens": 0} if images == 0 else {})}
            write(name, {"ice_text.model": data, "tokenizer_config.json": json.dumps(said)}, cases)


def named(third):
    """tokenizer.model whose class adds tokens; roles in a text are tokens where asked for."""
    (whole,) = classes(third, ["SPTokenizer"], SentencePieceProcessor=sentencepiece.SentencePieceProcessor)
    data = pieces("tokenizer.model", 900, byte_fallback=True)
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(data)
        file.flush()
        made = whole(file.name)
    chats = [f"{role}\n {t}" for role in ROLES for t in texts(ROLES)[20:24]]
    ids = lambda t: [made.convert_token_to_id(piece) for piece in made.tokenize(t, encode_special_tokens=True)]  # noqa: E731
    cases = [[t, ids(t)] for t in texts(CONTROL) + chats]
    config = {"tokenizer_class": "ChatGLMTokenizer", "do_lower_case": False, "remove_space": False}
    write("named", {"tokenizer.model": data, "tokenizer_config.json": json.dumps(config)}, cases)


def vocab(first, count):
    """A token a line: the first ones, every printable character, then the words that come often."""
    counted = collections.Counter(word for text in COMMON for word in rjieba.cut(text, False) if len(word) > 1)
    counted.update(text[i:i + 2] for text in COMMON for i in range(len(text) - 1) if text[i:i + 2].isalnum())
    characters = sorted({c for text in COMMON for c in text if c not in " \n"})
    words = [word for word, _ in counted.most_common() if word.strip() == word and len(word) > 1]
    return list(dict.fromkeys(first + characters + ["...", "##", "</", "<a"] + words))[:count]


def lines(bee):
    start = ["<pad>", "<unk>", "<mask>", "<sep>", "</n>", "</_>", "<s>", "</s>"]
    marks = [*start, "<d>", "</d>", "<root>", "<ans>", "<option>"]
    ours = [t for t in texts(marks) if "\r" not in t]
    file = "\n".join(vocab([*start, "<d>", "</d>"], 1000)) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "vocab.txt").write_text(file)
        made = CpmAntTokenizer(f"{folder}/vocab.txt")
        ids = lambda words: [made.convert_tokens_to_ids(t) for w in words for t in made.wordpiece_tokenizer.tokenize(w)]  # noqa: E731
        by_library = [[t, made.encode(t, add_special_tokens=False)] for t in ours]
    # Where the dictionary cuts a Chinese stretch so that its tokens change, we differ and say so.
    cut = lambda t: re.findall(r"[a-zA-Z0-9]+|[\u4e00-\u9fd5]+|[\s\S]", t)  # noqa: E731
    cases = [case for case in by_library if ids(cut(case[0])) == case[1]]
    print(f"words: {len(by_library) - len(cases)} of {len(by_library)} lines are cut by the dictionary")
    write("lines_words", {"vocab.txt": file}, cases)
    file = "\n".join(vocab([*start, "<root>", "<ans>", "<option>"], 1000)) + "\n"
    stream = types.SimpleNamespace(resource_stream=lambda *_: io.BytesIO(file.encode()))
    _, _, whole = classes(bee, ["load_vocab", "Token", "CPMBeeTokenizer"], pkg_resources=stream)
    made = whole()
    unknown = lambda i: i if i < made.vocab_size + 2 and i in made.decoder else made.unk_id  # noqa: E731
    cases = [[t, list(map(unknown, made.encode(made.escape(t))[0]))] for t in ours]
    prompt = "<s><root></s><s>input</s><s>你好</s><s><ans></s><s>"
    cases.append([prompt, made.encode(prompt)[0]])
    write("lines_whole", {"vocab.txt": file}, cases)


if __name__ == "__main__":
    filling(sys.argv[1])
    named(sys.argv[2])
    lines(sys.argv[3])
