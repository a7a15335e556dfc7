"""Builds the corpus and the tokenizer of the built-in poet.

    npm pack chinese-poetry@2.0.1 && tar xzf chinese-poetry-2.0.1.tgz
    python build_corpus.py --package package --out corpus

reads the Tang and Song poems of the npm package `chinese-poetry` (MIT), writes
`corpus/train.jsonl` and `corpus/heldout.jsonl`, and, beside this script, `tokenizer.json`,
`tokenizer_config.json` and `corpus_counts.json`. The same package and the same `opencc` give the same bytes.

What is kept: poems of 4 or 8 lines of 5 or 7 characters each (五绝 七绝 五律 七律), in simplified
characters, every character of which is among the tokenizer's. What is dropped: poems with gaps,
notes or variants in the text, and every poem that shares its first or its last line with one that
was read earlier (variants of one poem under two authors are common, and would leak into the
held-out set). One poem in 50 is held out, by the SHA-256 of its text.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import re

import opencc
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

VOCABULARY = 3072
HELD_OUT_ONE_IN = 50
FORMS = {(5, 4): "五绝", (7, 4): "七绝", (5, 8): "五律", (7, 8): "七律"}
SPECIALS = ["<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["system", "user", "assistant", *FORMS.values()]
# A space is written "▁" in the vocabulary, as SentencePiece does.
MARKS = list("\n▁，。！？、：《》")
# The characters of the requests that conversation.py words; they are rare in poems.
REQUESTS = "请写作一首关于以为题的诗给我用开头"
HAN = re.compile(r"[\u4e00-\u9fff]+\Z")
# Serial numbers at the end of titles: 其一, 二首, 十首 其三.
SERIAL = re.compile(r"(其?[一二三四五六七八九十百]+首?|并序|有序)\Z")
NO_TITLE = {"句", "诗", "失题", "无题", "阙题", "绝句", "律诗", "偈", "颂", "颂古", "偈颂"}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def lines_of(paragraphs):
    """The poem's lines, or nothing where it is not a well-formed poem of the four forms."""
    lines = [line for line in re.split(r"[，。！？；、\s]", "".join(paragraphs)) if line]
    if not lines or (len(lines[0]), len(lines)) not in FORMS:
        return None
    whole = all(HAN.match(line) and len(line) == len(lines[0]) for line in lines)
    return lines if whole else None


def clean_title(title):
    """The words of the title that a reader would ask for; empty where there are none."""
    title = re.split(r"[\s（(〈《·，。]", title.strip())[0]
    previous = None
    while previous != title:
        previous, title = title, SERIAL.sub("", title)
    return title if 2 <= len(title) <= 12 and HAN.match(title) and title not in NO_TITLE else ""


def read_poems(package):
    """Every well-formed poem, dynasty by dynasty, in the order of the package's files."""
    simplify = opencc.OpenCC("t2s").convert
    seen = set()
    counts = collections.Counter()
    poems = []
    for dynasty in ("tang", "song"):
        folder = package / "dist" / "quantangshi"
        files = folder.glob(f"poet.{dynasty}.*.json")
        for file in sorted(files, key=lambda path: int(path.name.split(".")[2])):
            for entry in json.loads(file.read_text(encoding="utf-8")):
                counts[f"{dynasty}: read"] += 1
                lines = lines_of([simplify(part) for part in entry["paragraphs"]])
                if lines is None:
                    continue
                counts[f"{dynasty}: well-formed"] += 1
                if lines[0] in seen or lines[-1] in seen or len(set(lines)) < len(lines):
                    continue
                seen.update((lines[0], lines[-1]))
                counts[f"{dynasty}: distinct"] += 1
                title = clean_title(simplify(entry["title"]))
                poems.append({"dynasty": dynasty, "title": title, "lines": lines})
    return poems, counts


def is_held_out(poem):
    digest = hashlib.sha256("".join(poem["lines"]).encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_ONE_IN == 0


def alphabet(poems):
    """The characters that fill the vocabulary: requests, then poems and titles by frequency."""
    counts = collections.Counter()
    for poem in poems:
        if not is_held_out(poem):
            counts.update("".join(poem["lines"]))
            counts.update(poem["title"])
    for character in REQUESTS:
        counts[character] += 1 << 40
    room = VOCABULARY - len(SPECIALS) - len(WORDS) - len(MARKS)
    by_frequency = sorted(counts, key=lambda character: (-counts[character], character))
    return by_frequency[:room]


def make_tokenizer(characters):
    """One token per character: a BPE without merges, which every engine reads."""
    tokens = [*SPECIALS, *WORDS, *MARKS, *characters]
    assert len(tokens) == len(set(tokens)) == VOCABULARY
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in WORDS])
    return tokenizer


def tokenizer_config():
    added = {
        str(index): {"content": token, "lstrip": False, "rstrip": False, "single_word": False,
                     "normalized": False, "special": token in SPECIALS}
        for index, token in enumerate([*SPECIALS, *WORDS])
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "unk_token": "<unk>",
        "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "bos_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "chat_template": CHAT_TEMPLATE,
    }


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    poems, counts = read_poems(arguments.package)
    characters = alphabet(poems)
    here = pathlib.Path(__file__).parent
    make_tokenizer(characters).save(str(here / "tokenizer.json"))
    write_json(here / "tokenizer_config.json", tokenizer_config())

    known = set(characters)
    parts = {"train": [], "heldout": []}
    for poem in poems:
        if not known.issuperset("".join(poem["lines"])):
            counts["dropped for a rare character"] += 1
            continue
        part = "heldout" if is_held_out(poem) else "train"
        counts[f"{part}: {FORMS[len(poem['lines'][0]), len(poem['lines'])]}"] += 1
        counts[f"{part}: {poem['dynasty']}"] += 1
        counts[part] += 1
        parts[part].append(json.dumps(poem, ensure_ascii=False))
    report = dict(counts)
    for part, rows in parts.items():
        text = "\n".join(rows) + "\n"
        (arguments.out / f"{part}.jsonl").write_text(text, encoding="utf-8")
        report[f"{part}.jsonl sha256"] = hashlib.sha256(text.encode()).hexdigest()
    write_json(here / "corpus_counts.json", report)
    print(json.dumps(report, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
