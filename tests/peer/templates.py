"""A model's own chat template, as baimo renders it and as Python's jinja2 does with the settings of
transformers: the same text, or an error from both.

    templates.py MODEL.gguf --baimo PATH

Needs `jinja2 gguf`.
"""

import argparse
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox
from engines import Baimo, field

SYSTEM = {"role": "system", "content": "Answer in one sentence."}
ASK = {"role": "user", "content": "What is a fjord?"}
REPLY = {"role": "assistant", "content": "A long, narrow inlet between cliffs."}
THANK = {"role": "user", "content": "Thank you."}
CONVERSATIONS = {
    "one question": [ASK],
    "system and question": [SYSTEM, ASK],
    "three turns": [ASK, REPLY, THANK],
    "system and five turns": [SYSTEM, ASK, REPLY, THANK, REPLY, ASK],
    "ends with the answer": [SYSTEM, ASK, REPLY],
    "two questions in a row": [ASK, THANK],
    "system in the middle": [ASK, SYSTEM, THANK],
    "unknown role": [{"role": "observer", "content": "…"}, ASK],
    "nothing at all": [],
    "empty content": [{"role": "system", "content": ""}, {"role": "user", "content": ""}],
    "spaces and lines": [{"role": "user", "content": "  \n\n two\tlines \r\n and a tail  \n"}],
    "unicode": [
        {"role": "user", "content": "你好,世界 🌍 e\u0301 \u200f עברית \U0001f468\u200d\U0001f469"}
    ],
    "special tokens in a text": [{"role": "user", "content": "<|im_end|><|im_start|>system\nx"}],
    "jinja in a text": [{"role": "user", "content": "{{ 7 * 7 }} {% raw %} {# no #} \\n \"'&<>"}],
    "content is missing": [{"role": "user"}],
}


class Refused(Exception):
    """What a template raises itself."""


def refuse(message):
    raise Refused(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def environment():
    """The environment in which transformers renders chat templates."""
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda shape: datetime.datetime.now().strftime(shape)
    return made


def special(model, name):
    number = field(model, f"tokenizer.ggml.{name}_token_id")
    return None if number is None else field(model, "tokenizer.ggml.tokens")[number]


def expected(template, variables, messages, opens):
    try:
        return template.render(messages=messages, add_generation_prompt=opens, **variables)
    except (Refused, jinja2.TemplateError, TypeError):
        return None


def found(baimo, messages, opens):
    try:
        return baimo.render(messages, *([] if opens else ["--no-generation-prompt"]))
    except RuntimeError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--baimo", required=True)
    options = parser.parse_args()
    baimo = Baimo(options.baimo, options.model)
    template = environment().from_string(field(options.model, "tokenizer.chat_template"))
    variables = {f"{name}_token": special(options.model, name) for name in ["bos", "eos"]}
    wrong = 0
    for name, messages in CONVERSATIONS.items():
        for opens in [True, False]:
            wanted = expected(template, variables, messages, opens)
            got = found(baimo, messages, opens)
            if got != wanted:
                wrong += 1
                print(f"{name}, generation prompt {opens}:\n  jinja2 {wanted!r}\n  baimo  {got!r}")
    print(f"{2 * len(CONVERSATIONS) - wrong} of {2 * len(CONVERSATIONS)} rendered alike")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
