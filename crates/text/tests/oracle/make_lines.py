"""Text that tokenizers get wrong, the same every time it is made.

    make_lines.py COUNT [SEED]        prints COUNT JSON strings, one a line

Imported by compare.py and make_fixtures.py.
"""

import json
import random
import sys

WORDS = """the of and to in is that for it was on with he's as I'm by at we've they'll not you'd this
from or had an are but his what HELLO World iPhone GPT4 don't DON'T it'S snake_case camelCase
naïve café über Straße façade résumé tokenization internationalization a b c""".split()
CHINESE = """的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过
发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因
只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头
文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及
比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场
件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象
完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运""".replace("\n", "")
RARE = "龘靐齉爩鱻麤龗灪吁鸞麣𠀀𠂇𠮷𡃁𪚥𰻞〇々〻ㄅㄆㄇ㈠㊣㍿㎏。，、；：？！“”‘’（）《》【】…—～·「」『』￥％"
SCRIPTS = [
    (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x530, 0x58F), (0x590, 0x5F4), (0x600, 0x6FF),
    (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE5B), (0xF00, 0xFBC), (0x10A0, 0x10FF),
    (0x1100, 0x11FF), (0x1200, 0x137C), (0x13A0, 0x13F5), (0x1780, 0x17DD), (0x1800, 0x1878),
    (0x2000, 0x206F), (0x2070, 0x209C), (0x20A0, 0x20BF), (0x2100, 0x218B), (0x2190, 0x23FF),
    (0x2460, 0x24FF), (0x2500, 0x25FF), (0x2E80, 0x2FD5), (0x3040, 0x309F), (0x30A0, 0x30FF),
    (0x3100, 0x312F), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0xFB00, 0xFB4F),
    (0xFF00, 0xFFEF), (0x10330, 0x1034A), (0x12000, 0x12399), (0x13000, 0x1342E),
    (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x20000, 0x2A6DF),
]
EMOJI = "😀 😂 🤣 ❤️ 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇳 🇺🇸 🧑🏿‍💻 ☺︎ ☺️ 1️⃣ ⌨️ 🫠 👨🏻‍🦰".split()
CODE = [
    "fn main() {\n    println!(\"{}\", x);\n}", "def f(x, *args, **kw):\n\treturn x[::-1]\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] << 2; }", "SELECT * FROM t WHERE a >= 10 AND b != 'x';",
    "{\"key\": [1, 2.5e-10, null, true], \"k2\": \"v\\n\"}", "<div class=\"a b\">&nbsp;</div>",
    "#include <stdio.h>\r\n\r\nint x;\r\n", "x = a->b::c(d)?.e ?? f;  // note", "/* 注释 */ let 变量 = 1;",
    "https://example.com/a/b?c=d&e=%20f#g", "C:\\Users\\名字\\file.txt", "$E = mc^2$ \\frac{a}{b}",
    "if x==y and not z:\n        pass\n\n\n    else:", "0x1F 0b1010 1_000_000 3.14159 1e-7 -42",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\t\t", "\u00a0", "\u3000", "\u2003",
          "\u200b", "\ufeff", "\u2028", "        ", "\x0b", "\x0c", "\u0085", " \t \n \t "]
CONTROL = [chr(c) for c in list(range(0, 32)) + list(range(127, 160))] + ["\u202e", "\u2066", "\ufffd",
           "\ufffe", "\uffff", "\U0010ffff", "\ue000", "\u0301", "\u0327\u0301", "\u1ab0", "\u20dd"]
COMBINING = ["e\u0301", "A\u030a", "o\u0308\u0304", "\u1112\u1161\u11ab", "\uac00\u11a8", "\u0915\u093c",
             "\u212b", "\u2126", "\ufb01", "n\u0303", "\u05e9\u05c1", "q\u0307\u0323", "か\u3099"]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>",
            "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<s>", "</s>",
            "<unk>", "[INST]", "<|user|>", "[gMASK]", "<0x0A>", "<|im_start|", "|im_end|>", "<||>",
            "▁", "▁▁", "Ġ", "Ċ", "<|extra_0|>", "<|reserved_token_5|>"]


def pick(r):
    """One bit of text of some kind."""
    kind = r.randrange(14)
    if kind <= 1:
        return "".join(r.choice(CHINESE) for _ in range(r.randint(1, 20)))
    if kind <= 3:
        return " ".join(r.choice(WORDS) for _ in range(r.randint(1, 8)))
    if kind == 4:
        return r.choice(CODE)
    if kind == 5:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 3)))
    if kind == 6:
        low, high = r.choice(SCRIPTS)
        return "".join(chr(r.randint(low, high)) for _ in range(r.randint(1, 8)))
    if kind == 7:
        return "".join(r.choice(SPACES) for _ in range(r.randint(1, 3)))
    if kind == 8:
        return "".join(r.choice(CONTROL) for _ in range(r.randint(1, 3)))
    if kind == 9:
        return r.choice(SPECIALS)
    if kind == 10:
        return "".join(r.choice("0123456789") for _ in range(r.randint(1, 12)))
    if kind == 11:
        return "".join(r.choice(RARE) for _ in range(r.randint(1, 4)))
    if kind == 12:
        return r.choice(COMBINING)
    return "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(r.randint(1, 5)))


def lines(count, seed=20261121):
    """`count` different kinds of lines; the first are the edge cases."""
    r = random.Random(seed)
    made = ["", " ", "  ", "\n", "\t", "a", " a", "  a", "a ", "你", " 你好 ", "\r\n\r\n", "\0", "'s", "'S 'Ll"]
    made += SPECIALS + EMOJI + CODE + SPACES + CONTROL + COMBINING
    made += ["a" * 300, " " * 300 + "x", "哈" * 300, "\n" * 100, "ab" * 200, "=" * 130, "9" * 100]
    while len(made) < count:
        glue = r.choice(["", "", " ", "\n"])
        made.append(glue.join(pick(r) for _ in range(r.randint(1, 9))))
    return [line.encode("utf-8", "ignore").decode() for line in made[:count]]


if __name__ == "__main__":
    for line in lines(int(sys.argv[1]), *map(int, sys.argv[2:])):
        print(json.dumps(line))
