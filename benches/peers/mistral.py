"""Speed of mistral.rs, run with a Python that has it: `mistral.py FILE PROMPT GENERATE ROUNDS`.

Prints {"prompt": [...], "generate": [...]}, tokens a second of each round as it reports them.
"""

import json
import pathlib
import sys

import mistralrs


def ask(runner, prompt, generate):
    # Each blank is a token of the vocabulary that shapes.py makes up; no two prompts begin alike,
    # so that none is found in a cache of prefixes.
    ask.asked += 1
    text = "".join("\t\n\v\f"[ask.asked >> 2 * place & 3] for place in range(4))
    text += " " * (prompt - len(text))
    request = mistralrs.CompletionRequest(
        prompt=text, model="default", max_tokens=generate, temperature=0.0, ignore_eos=True
    )
    return runner.send_completion_request(request).usage


ask.asked = 0


def main():
    path = pathlib.Path(sys.argv[1])
    prompt, generate, rounds = map(int, sys.argv[2:])
    which = mistralrs.Which.GGUF(str(path.parent), path.name)
    runner = mistralrs.Runner(which, token_source="none", prefix_cache_n=0)
    ask(runner, 16, 2)
    rates = {"prompt": [], "generate": []}
    for _ in range(rounds):
        usage = ask(runner, prompt, 1)
        assert usage.prompt_tokens == prompt, f"{usage.prompt_tokens} tokens"
        rates["prompt"].append(usage.avg_prompt_tok_per_sec)
        usage = ask(runner, 8, generate)
        rates["generate"].append(usage.avg_compl_tok_per_sec)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
