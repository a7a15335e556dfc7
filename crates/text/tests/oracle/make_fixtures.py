"""Trains a tiny tokenizer of every kind and writes what the libraries make of 200 lines with it.

    make_fixtures.py            writes tests/fixtures/tokenizers/*/

Needs `tokenizers tiktoken sentencepiece`.
"""

import base64
import io
import json
import pathlib
import shutil
import tempfile
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
import tiktoken
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from compare import KIMI
from make_lines import CHINESE, lines

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "tokenizers"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = lines(4_000, seed=7)
# What is not ASCII or common Chinese is left to the byte tokens.
COMMON = [w for text in CORPUS for w in text.split("\n") if w.isprintable() and all(c < "\x7f" or c in CHINESE for c in w)]
TEXTS = [text for text in lines(2_000, seed=11) if len(text) < 120][:60] + [
    text for text in lines(4_000, seed=13)[200:] if len(text) < 90][:140]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]


def write(name, files, cases):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / file).write_bytes(data)
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (folder / "lines.json").write_text(f"[{text}]\n")


def with_library(name, made, files=None):
    config = {"eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    cases = [[text, made.encode(text, add_special_tokens=False).ids] for text in TEXTS]
    write(name, {"tokenizer.json": made.to_str(), "tokenizer_config.json": json.dumps(config), **(files or {})}, cases)


def byte_level():
    made = tokenizers.Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    made.add_special_tokens(SPECIALS)
    made.add_tokens([tokenizers.AddedToken("<think>", normalized=False),
                     tokenizers.AddedToken("</think>", normalized=True, lstrip=True, rstrip=True)])
    start = made.token_to_id("<|im_start|>")
    made.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", start)])
    generation = json.dumps({"eos_token_id": [made.token_to_id("<|im_end|>"), made.token_to_id("<|endoftext|>")]})
    with_library("byte_level", made, {"generation_config.json": generation})
    return made


def ranks(made, name, file, tokenizer_class, pattern, nfc, first_specials):
    table = {chr(256 + i): byte for i, byte in enumerate(
        b for b in range(256) if not (33 <= b < 127 or 161 <= b < 173 or 174 <= b))}
    byte = lambda c: table.get(c, ord(c))  # noqa: E731
    vocab = [bytes(map(byte, token)) for token, _ in sorted(made.get_vocab(False).items(), key=lambda t: t[1])
             if token not in SPECIALS + ["<think>", "</think>"]]
    mergeable = {token: i for i, token in enumerate(vocab)}
    specials = {text: len(vocab) + i for i, text in enumerate(first_specials)}
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=mergeable, special_tokens=specials)
    text = "".join(f"{base64.b64encode(token).decode()} {i}\n" for token, i in mergeable.items())
    config = {"tokenizer_class": tokenizer_class}
    if tokenizer_class == "TikTokenTokenizer":
        config["added_tokens_decoder"] = {
            str(i): {"content": text, "special": True} for text, i in specials.items()}
    shape = (lambda text: unicodedata.normalize("NFC", text)) if nfc else (lambda text: text)
    texts = [text for text in TEXTS if "<|extra_0|>" not in text]
    cases = [[text, encoding.encode(shape(text), allowed_special="all")] for text in texts]
    write(name, {file: text, "tokenizer_config.json": json.dumps(config)}, cases)


def without_paths(model):
    """The model without the name of the file its normalization rules came from."""
    model = sentencepiece_model_pb2.ModelProto.FromString(model)
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    return model.SerializeToString()


def sentencepiece_model(name, kind, **options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(COMMON), model_writer=out, model_type=kind,
        vocab_size=1100, character_coverage=1.0, byte_fallback=True, minloglevel=2, hard_vocab_limit=False,
        user_defined_symbols=["<think>", "▁▁"], control_symbols=["<|im_end|>"], **options)
    model = without_paths(out.getvalue())
    made = sentencepiece.SentencePieceProcessor(model_proto=model)
    # Control symbols are text to this library, and NUL ends its strings.
    texts = [t for t in TEXTS if not any(s in t for s in ["<|im_end|>", "<s>", "</s>", "<unk>", "\0"])]
    cases = [[text, made.encode(text)] for text in texts]
    size = made.get_piece_size()
    flags = [(made.is_unknown, 2), (made.is_control, 3), (made.is_unused, 5), (made.is_byte, 6)]
    types = [next((number for flag, number in flags if flag(i)), 1) for i in range(size)]
    for symbol in ["<think>", "▁▁"]:
        types[made.piece_to_id(symbol)] = 4
    gguf = {"model": "llama" if kind == "bpe" else "t5", "tokens": [made.id_to_piece(i) for i in range(size)],
            "scores": [made.get_score(i) for i in range(size)], "token_type": types}
    write(name, {"tokenizer.model": model, "gguf.json": json.dumps(gguf)}, cases)
    return made


def sentencepiece_json(made):
    """The SentencePiece BPE as its tokenizer.json, in the form that Llama's converter gives it."""
    vocab = {made.id_to_piece(i): i for i in range(made.get_piece_size())}
    merges = []
    for piece, i in vocab.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocab and right in vocab and not made.is_byte(i):
                merges.append((-made.get_score(i), vocab[left], vocab[right], (left, right)))
    merges = [pair for *_, pair in sorted(merges)]
    model = tokenizers.Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    model.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                       decoders.Strip(" ", 1, 0)])
    model.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in ["<unk>", "<s>", "</s>", "<|im_end|>"]])
    with_library("sentencepiece_json", model)


def library_only():
    """A tokenizer.json that only the library reads: Unigram with Metaspace."""
    made = tokenizers.Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    made.train_from_iterator(COMMON, trainers.UnigramTrainer(
        vocab_size=800, unk_token="<unk>", special_tokens=["<unk>", *SPECIALS], show_progress=False))
    with_library("unigram_json", made)


if __name__ == "__main__":
    trained = byte_level()
    extras = [f"<|extra_{i}|>" for i in range(205)]
    ranks(trained, "ranks_nfc", "tiny.tiktoken", "QWenTokenizer", QWEN2, True,
          ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *extras])
    ranks(trained, "ranks_han", "tiktoken.model", "TikTokenTokenizer", KIMI, False, ["[BOS]", "[EOS]", "<|im_end|>"])
    bpe = sentencepiece_model("sentencepiece_bpe", "bpe", normalization_rule_name="identity",
                              remove_extra_whitespaces=False)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        # Full-width to ASCII, an ideographic space to a plain one: NFKC would be 240 KB.
        rules.writelines(f"{code:X}\t{code - 0xFEE0:X}\n" for code in range(0xFF01, 0xFF5F))
        rules.writelines(["3000\t20\n", "A0\t20\n", "9\t20\n", "212B\tC5\n"])
        rules.flush()
        sentencepiece_model("sentencepiece_unigram", "unigram", normalization_rule_tsv=rules.name)
    sentencepiece_json(bpe)
    library_only()
