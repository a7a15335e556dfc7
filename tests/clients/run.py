#!/usr/bin/env python3
"""Real clients against a real server: see README.md.

    run.py BINARY [--only NAME] MODEL[:TRAIT,TRAIT...]...

MODEL is what `baimo serve` takes. Traits tell the checks what a model can do: `chat` (it has a chat
template), `json` (its words can spell it), `tools`, `thinks`, `long` (a context above 2,000).
"""

import argparse
import sys

import harness
import openai_client  # noqa: F401

for optional in ("completions_client", "anthropic_client", "ollama_client", "responses_client"):
    try:
        __import__(optional)
    except ModuleNotFoundError as error:
        if error.name != optional:
            raise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--only")
    arguments = parser.parse_args()
    failures = 0
    for spec in arguments.models:
        model, _, traits = spec.partition(":")
        with harness.serve(arguments.binary, [f"tested={model}"]) as base:
            traits = frozenset(filter(None, traits.split(",")))
            failures += harness.run(harness.Server(base, "tested", traits), arguments.only)
    print(f"{failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
