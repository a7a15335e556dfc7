"""Measures the built-in poet, and writes what another engine must reproduce.

    python evaluate.py --corpus corpus [--model run]

reads `model.safetensors` (beside this script, or a run's) as F32 and writes `heldout.jsonl` (the
rows whose likelihood another engine recomputes), `evaluation.json` (every figure of the README)
and `samples.jsonl` (prompts, greedy ids from the answer on, and what was sampled). Likelihoods are
natural logarithms, summed over positions: the id at k given all the ids before it. "answer" is k
from `answer_start` to the end, `<|im_end|>` included; "all" is k from 1.
"""

import argparse
import json
import math
import pathlib
import random

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

import verse
from build_corpus import FORMS
from conversation import exchange, poem_text, prompt_for
from model import from_checkpoint

HERE = pathlib.Path(__file__).parent
ROWS, POEMS, LONGEST = 400, 200, 110


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(tokenizer, poems, seed):
    """One exchange per poem, its prompt drawn as in training."""
    dice = random.Random(seed)
    rows = []
    for poem in poems:
        prompt, kind = prompt_for(poem, dice)
        answer = poem_text(poem["lines"])
        ids, start = exchange(tokenizer, prompt, answer)
        rows.append({"prompt": prompt, "kind": kind, "answer": answer, "ids": ids,
                     "answer_start": start})
    return rows


def same_length(rows, most=64):
    """Groups of rows of one length, so that nothing is padded."""
    by_length = {}
    for row in rows:
        by_length.setdefault(len(row["ids"]), []).append(row)
    for group in by_length.values():
        for start in range(0, len(group), most):
            yield group[start : start + most]


@torch.no_grad()
def score(model, rows):
    """Sets each row's nll_answer and nll_all; returns the totals and the experts' loads."""
    loads = [torch.zeros(moe.experts, dtype=torch.float64) for moe in model.mixtures()]
    ahead, ahead_count = 0.0, 0
    for group in same_length(rows):
        ids = torch.tensor([row["ids"] for row in group])
        hidden = model(ids)
        nll = F.cross_entropy(model.logits(hidden[:, :-1]).transpose(1, 2), ids[:, 1:],
                              reduction="none").double()
        states = model.predict(hidden, ids)[:, :-1]
        two_ahead = F.cross_entropy(model.logits(states).transpose(1, 2), ids[:, 2:],
                                    reduction="none").double()
        for load, moe in zip(loads, model.mixtures()):
            load += moe.load
        for i, row in enumerate(group):
            start = row["answer_start"]
            row["nll_answer"] = nll[i, start - 1 :].sum().item()
            row["nll_all"] = nll[i].sum().item()
            ahead += two_ahead[i, start - 2 :].sum().item()
            ahead_count += len(row["ids"]) - start
    answers = sum(len(row["ids"]) - row["answer_start"] for row in rows)
    everything = sum(len(row["ids"]) - 1 for row in rows)
    nll_answer = sum(row["nll_answer"] for row in rows)
    nll_all = sum(row["nll_all"] for row in rows)
    totals = {
        "rows": len(rows),
        "answer tokens": answers,
        "answer nll": nll_answer,
        "answer perplexity": math.exp(nll_answer / answers),
        "all tokens": everything,
        "all nll": nll_all,
        "all perplexity": math.exp(nll_all / everything),
        "two ahead, answer perplexity (prediction layer)": math.exp(ahead / ahead_count),
    }
    return totals, loads


def choose(logits, sampling, generator):
    """Temperature, then the k likeliest, then the fewest that hold top_p; logits [rows, vocab]."""
    if sampling is None:
        return logits.argmax(-1)
    values, ids = (logits / sampling["temperature"]).topk(sampling["top_k"], dim=-1)
    weights = values.softmax(-1)
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= sampling["top_p"], 0.0)
    return ids.gather(1, torch.multinomial(weights, 1, generator=generator)).squeeze(1)


@torch.no_grad()
def write(model, tokenizer, prompts, sampling, seed):
    """The ids of each answer, `<|im_end|>` included where it came; and whole sequences."""
    end = tokenizer.token_to_id("<|im_end|>")
    generator = torch.Generator().manual_seed(seed)
    rows = [exchange(tokenizer, prompt, "")[0][:-1] for prompt in prompts]
    starts = [len(row) for row in rows]
    open_rows = list(range(len(rows)))
    for _ in range(LONGEST):
        width = max(len(rows[i]) for i in open_rows)
        # Padding on the right is never seen: attention is causal.
        ids = torch.tensor([rows[i] + [end] * (width - len(rows[i])) for i in open_rows])
        last = torch.tensor([len(rows[i]) - 1 for i in open_rows])
        hidden = model(ids)[torch.arange(len(open_rows)), last]
        for i, token in zip(open_rows, choose(model.logits(hidden), sampling, generator).tolist()):
            rows[i].append(token)
        open_rows = [i for i in open_rows if rows[i][-1] != end]
        if not open_rows:
            break
    return rows, starts


@torch.no_grad()
def acceptance(model, rows, starts):
    """Of the prediction layer's guesses on greedy answers, the share that the model then chose.

    `every position`: a guess for each answer token after the first. `in turn`: as speculation runs,
    where an accepted guess is followed by one more token of the main model's before the next.
    """
    guessed = right = turns = taken = 0
    for row, start in zip(rows, starts):
        ids = torch.tensor([row])
        states = model.predict(model(ids), ids)[0, start - 1 : -1]
        hits = (model.logits(states).argmax(-1) == ids[0, start + 1 :]).tolist()
        guessed, right = guessed + len(hits), right + sum(hits)
        at = 0
        while at < len(hits):
            turns, taken = turns + 1, taken + hits[at]
            at += 2 if hits[at] else 1
    return {"every position": right / guessed, "guesses": guessed,
            "in turn": taken / turns, "turns": turns}


@torch.no_grad()
def against_transformers(model, folder, rows):
    """Largest differences from transformers' classes: logits, and the prediction layer's states."""
    from transformers import DeepseekV3ForCausalLM
    from transformers.cache_utils import MtpCache
    from transformers.modeling_layers import MtpModel

    reference = DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    reference._keys_to_ignore_on_load_unexpected = [r"model\.layers\.3\..*"]
    prediction = MtpModel.from_pretrained(reference)
    logits = states = 0.0
    for row in rows:
        ids = torch.tensor([row["ids"]])
        theirs = reference.model(ids).last_hidden_state
        hidden = model(ids)
        difference = model.logits(hidden) - reference.lm_head(theirs)
        logits = max(logits, difference.abs().max().item())
        ahead = prediction.forward_layer(
            0, theirs[:, :-1], torch.arange(1, ids.shape[1])[None],
            MtpCache(config=prediction.config), input_ids=ids[:, 1:])
        states = max(states, (model.predict(hidden, ids) - ahead).abs().max().item())
    return {"rows": len(rows), "logits": logits, "prediction layer's states": states}


def shares(loads):
    """Smallest, mean and largest share of a layer's routed tokens that one expert has."""
    report = {}
    for name, load in zip(("layer 1", "layer 2", "layer 3 (prediction)"), loads):
        share = load / load.sum()
        report[name] = {"min": share.min().item(), "mean": share.mean().item(),
                        "max": share.max().item()}
    return report


def verses(rhymes, tokenizer, rows, starts, prompts, training):
    """The figures of sampled poems, and their texts."""
    texts = [tokenizer.decode(row[start:]) for row, start in zip(rows, starts)]
    parsed = [verse.parse(text) for text in texts]
    poems = [lines for lines in parsed if lines]
    asked = [next((f for f in FORMS.values() if f in prompt), None) for prompt in prompts]
    kept = [FORMS[len(lines[0]), len(lines)] == form
            for lines, form in zip(parsed, asked) if form and lines]
    copies = verse.longest_copies(poems, training)
    lengths = sorted(len(copy) for copy in copies)
    figures = {
        "poems": len(texts),
        "well-formed": len(poems) / len(texts),
        "of the form asked for": sum(kept) / max(1, len(kept)),
        "rhyme": rhymes.rates(poems),
        "longest run copied from training": {
            "characters": lengths[-1], "text": max(copies, key=len),
            "median per poem": lengths[len(lengths) // 2],
            "poems with a run of 7 or more": sum(length >= 7 for length in lengths)},
        "repeats a line of its own": sum(len(set(p)) < len(p) for p in poems) / len(poems),
    }
    return figures, texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, default=HERE, help="and where results go")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    model = from_checkpoint(load_file(options.model / "model.safetensors")).eval()
    held_out = read_lines(options.corpus / "heldout.jsonl")
    training = read_lines(options.corpus / "train.jsonl")
    sampling = json.loads((HERE / "generation_config.json").read_text())

    rows = rows_of(tokenizer, random.Random(1).sample(held_out, ROWS), 2)
    report = {"committed rows (heldout.jsonl)": score(model, rows)[0]}
    with (options.model / "heldout.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    everything = rows_of(tokenizer, held_out, 3)
    report["whole held-out set"], loads = score(model, everything)
    report["expert share of routed tokens, held out"] = shares(loads)
    report["largest difference from transformers"] = against_transformers(
        model, options.model, rows[:20])

    prompts = [row["prompt"] for row in everything[:: len(everything) // POEMS][:POEMS]]
    rhymes = verse.Rhymes()
    greedy, starts = write(model, tokenizer, prompts, None, 0)
    report["prediction layer's acceptance, greedy"] = acceptance(model, greedy, starts)
    report["greedy answers"] = verses(rhymes, tokenizer, greedy, starts, prompts, training)[0]
    sampled, starts = write(model, tokenizer, prompts, sampling, 4)
    report["sampled answers"], texts = verses(
        rhymes, tokenizer, sampled, starts, prompts, training)
    report["rhyme of the held-out poems"] = rhymes.rates([poem["lines"] for poem in held_out])
    with (options.model / "samples.jsonl").open("w", encoding="utf-8") as file:
        for prompt, row, text in zip(prompts, greedy, texts):
            start = len(exchange(tokenizer, prompt, "")[0]) - 1
            sample = {"prompt": prompt, "greedy_ids": row[start:], "sampled": text}
            file.write(json.dumps(sample, ensure_ascii=False) + "\n")
    text = json.dumps(report, ensure_ascii=False, indent=2)
    (options.model / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
