"""Poems as conversations: what a user may ask, and the ids of a whole exchange.

A user message is a title, a first line, some words, a form with any of these, or a short request
in modern Chinese. The assistant's message is the poem, a couplet per line:

    春眠不觉晓，处处闻啼鸟。
    夜来风雨声，花落知多少。
"""

from build_corpus import FORMS

# A first line is asked for as it stands, and then begins the answer.
FIRST_LINE, TITLE, WORDS, FORM_ONLY = "first line", "title", "words", "form only"
KINDS = ((TITLE, 0.45), (FIRST_LINE, 0.27), (WORDS, 0.25), (FORM_ONLY, 0.03))
WITH_FORM = 0.35
AS_REQUEST = 0.15


def poem_text(lines):
    """Commas after odd lines, full stops after even lines, a line break per couplet."""
    couplets = (f"{lines[i]}，{lines[i + 1]}。" for i in range(0, len(lines), 2))
    return "\n".join(couplets)


def words_of(lines, random):
    """One or two words of the poem, cut where the verse's rhythm cuts: after 2 and 4."""
    words = []
    for line in random.sample(lines, random.choice((1, 1, 2))):
        start = random.choice((0, 2)) if len(line) == 5 else random.choice((0, 2, 4))
        words.append(line[start : start + 2])
    return " ".join(words)


def prompt_for(poem, random):
    """A message that this poem answers, and its kind."""
    lines, title = poem["lines"], poem["title"]
    form = FORMS[len(lines[0]), len(lines)]
    kind = random.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
    if kind == TITLE and not title:
        kind = random.choice((FIRST_LINE, WORDS))
    if kind == FORM_ONLY:
        return random.choice((form, f"写一首{form}", f"请作一首{form}。")), kind
    subject = {TITLE: title, FIRST_LINE: lines[0], WORDS: ""}[kind] or words_of(lines, random)
    with_form, as_request = random.random() < WITH_FORM, random.random() < AS_REQUEST
    if as_request:
        wanted = form if with_form else "诗"
        quoted = f"《{subject}》" if kind == TITLE and random.random() < 0.5 else subject
        phrases = {
            FIRST_LINE: (f"以{quoted}开头写一首{wanted}", f"请以{quoted}开头作{wanted}。"),
            TITLE: (f"以{quoted}为题写一首{wanted}", f"请作一首{wanted}，题为{quoted}。"),
            WORDS: (f"写一首关于{quoted}的{wanted}", f"请给我写一首{quoted}的{wanted}。"),
        }
        return random.choice(phrases[kind]), kind
    if with_form:
        return f"{form} {subject}", kind
    return (f"《{subject}》" if kind == TITLE and random.random() < 0.1 else subject), kind


def exchange(tokenizer, prompt, answer):
    """The ids of one exchange in the chat template's words, and where the answer starts."""
    asked = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    head = tokenizer.encode(asked, add_special_tokens=False).ids
    body = tokenizer.encode(f"{answer}<|im_end|>", add_special_tokens=False).ids
    return head + body, len(head)
