"""Trains the built-in poet on a CPU, main model and prediction layer together.

    python train.py --corpus corpus --out run --steps 6000 [--minutes 80]

Data-parallel processes of one thread each. AdamW, warmup, cosine to zero. Progress is the larger
of the share of the steps and the share of the minutes, so that a run on a busy machine still ends
with its schedule. Experts are balanced
without an auxiliary loss: after each step the bias of an expert that had more than its share goes
down by a constant, and up otherwise (arXiv 2412.19437, section 2.1.2). The loss is the cross
entropy of the answers' tokens plus lambda times the prediction layer's.

Rhyme is rare in the signal (one token in twelve, and only through the sound of a character that is
never seen), so training is told about it, in the first part of the run: a probe on the embeddings
learns each character's 平水韵 groups, a probe after the second layer the group in which the poem
rhymes, and the rhyming tokens themselves weigh more. The probes are not part of the model.
"""

import argparse
import json
import math
import os
import pathlib
import random
import time

import torch
import torch.nn.functional as F
from torch import distributed, multiprocessing
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from conversation import exchange, poem_text, prompt_for
from model import CONFIG, Poet, from_checkpoint, to_checkpoint
from verse import Rhymes

HERE = pathlib.Path(__file__).parent
PEAK_RATE = 3e-3
WARMUP = 100
WEIGHT_DECAY = 0.05
BIAS_STEP = 0.002
SECOND_TURN = 0.15
IGNORED = -100
RHYME_WEIGHT = 4.0
# Share of a batch's rows on which the prediction layer is trained.
AHEAD_SHARE = 0.35


def read_corpus(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def conversation_ids(tokenizer, rhymes, poems, dice):
    """One conversation's ids, their labels (the answers only), and per id the number of the
    poem's rhyme group, from the end of its first couplet to the end of the answer."""
    ids, labels, groups = [], [], []
    stop = tokenizer.token_to_id("。")
    for turn, poem in enumerate(poems):
        prompt, _ = prompt_for(poem, dice)
        exchanged, start = exchange(tokenizer, prompt, poem_text(poem["lines"]))
        if turn:
            ids.append(tokenizer.token_to_id("\n"))
            labels.append(IGNORED)
            groups.append(IGNORED)
        ids += exchanged
        labels += [IGNORED] * start + exchanged[start:]
        common = rhymes.common([line[-1] for line in poem["lines"][1::2]])
        group = rhymes.names.index(min(common)) if common else IGNORED
        known = exchanged.index(stop, start)
        groups += [IGNORED] * known + [group] * (len(exchanged) - known)
    return ids, labels, groups


def batches(tokenizer, rhymes, corpus, tokens, seed):
    """Endless batches of `tokens` ids at most, rows of like length together, in random order."""
    dice = random.Random(seed)
    paddings = (CONFIG["pad_token_id"], IGNORED, IGNORED)
    while True:
        order = dice.sample(corpus, len(corpus))
        # A pool of a few thousand conversations is sorted by length, cut and shuffled.
        while len(order) > 1:
            pool = []
            while len(order) > 1 and len(pool) < 4096:
                poems = [order.pop() for _ in range(2 if dice.random() < SECOND_TURN else 1)]
                pool.append(conversation_ids(tokenizer, rhymes, poems, dice))
            pool.sort(key=lambda row: len(row[0]))
            cut, batch = [], []
            for row in pool:
                if batch and (len(batch) + 1) * len(row[0]) > tokens:
                    cut.append(batch)
                    batch = []
                batch.append(row)
            cut.append(batch)
            dice.shuffle(cut)
            for batch in cut:
                width = len(batch[-1][0])
                yield tuple(
                    torch.tensor([part + [padding] * (width - len(part)) for part in parts])
                    for parts, padding in zip(zip(*batch), paddings))


def unit(x):
    """The rows of x with a mean square of 1."""
    return F.rms_norm(x, x.shape[-1:])


class Probes(torch.nn.Module):
    """Linear readings of rhyme that training wants to succeed: an auxiliary loss."""

    def __init__(self, tokenizer, rhymes, width):
        super().__init__()
        self.stop = tokenizer.token_to_id("。")
        self.of_embedding = torch.nn.Linear(width, len(rhymes.names))
        self.of_state = torch.nn.Linear(width, len(rhymes.names))
        tokens = map(tokenizer.id_to_token, range(CONFIG["vocab_size"]))
        rows = [rhymes.groups.get(token, ()) for token in tokens]
        targets = torch.zeros(len(rows), len(rhymes.names))
        for row, found in zip(targets, rows):
            for name in found:
                row[rhymes.names.index(name)] = 1 / len(found)
        self.register_buffer("known", torch.tensor([bool(found) for found in rows]))
        self.register_buffer("targets", targets[self.known])

    def forward(self, model, state, groups):
        """The mean cross entropies in nats, added; `state` is what the second layer gave."""
        embedding = F.cross_entropy(
            self.of_embedding(unit(model.embed_tokens.weight[self.known])), self.targets)
        at = groups != IGNORED
        return embedding + F.cross_entropy(self.of_state(unit(state[at])), groups[at])

    def weights(self, ids, groups):
        """The weight of each position's next token: more where it must rhyme. [batch, length-1]"""
        weights = torch.ones(ids.shape[0], ids.shape[1] - 1)
        weights[:, :-1][(ids[:, 2:] == self.stop) & (groups[:, 1:-1] != IGNORED)] = RHYME_WEIGHT
        return weights


def loss_of(model, ids, labels, ahead_share, weights=None):
    """Mean losses in nats per answer token: main, and the prediction layer's (two ahead); and the
    state after the second layer."""
    hidden, state = model.with_state(ids, 1)
    wanted = labels[:, 1:]
    at = wanted != IGNORED
    main = F.cross_entropy(model.logits(hidden[:, :-1][at]), wanted[at], reduction="none")
    main = main.mean() if weights is None else (main * weights[at]).sum() / weights[at].sum()
    # Any rows are a fair sample of the batch; some of them are enough for the smaller loss.
    rows = torch.randperm(len(ids))[: max(1, int(len(ids) * ahead_share))]
    states = model.predict(hidden[rows], ids[rows])[:, :-1]
    wanted = labels[rows, 2:]
    at = wanted != IGNORED
    return main, F.cross_entropy(model.logits(states[at]), wanted[at]), state


def share(model, trained, extra):
    """Averages over the processes: the gradients, the experts' loads and `extra`, in place."""
    loads = [moe.load.float() for moe in model.mixtures()]
    parts = [p.grad for p in trained] + loads + [extra]
    flat = torch.cat([part.flatten() for part in parts])
    if distributed.is_initialized():
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
    for part, mean in zip(parts, flat.split([part.numel() for part in parts])):
        part.copy_(mean.view_as(part))
    return loads


def balance(model, loads, step):
    for moe, load in zip(model.mixtures(), loads):
        moe.bias += step * (load.mean() - load).sign()


@torch.no_grad()
def validate(model, rows):
    model.eval()
    sums, count = torch.zeros(2), 0
    for ids, labels, _ in rows:
        main, ahead, _ = loss_of(model, ids, labels, 1.0)
        weight = int((labels != IGNORED).sum())
        sums += torch.stack((main, ahead)) * weight
        count += weight
    model.train()
    return (sums / count).tolist()


def save(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    partial = folder / "model.partial"
    save_file(to_checkpoint(model), partial, metadata={"format": "pt"})
    partial.rename(folder / "model.safetensors")


def rate_at(progress, step):
    return PEAK_RATE * min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * progress))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--tokens", type=int, default=2048, help="ids per batch and process")
    parser.add_argument("--processes", type=int, default=2, help="each of one thread")
    parser.add_argument("--resume", type=pathlib.Path, help="weights to start from")
    parser.add_argument("--seed", type=int, default=8)
    return parser.parse_args()


def optimizer_for(trained):
    matrices = [p for p in trained if p.dim() > 1]
    vectors = [p for p in trained if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY},
              {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95), eps=1e-9, fused=True)


def run(rank, options):
    """One process of the training; the first one also measures, logs and saves."""
    torch.set_num_threads(1)
    if options.processes > 1:
        meeting = f"file://{options.out.resolve()}/meeting"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank,
                                       world_size=options.processes)
    torch.manual_seed(options.seed)
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    corpus = read_corpus(options.corpus / "train.jsonl")[rank :: options.processes]
    rhymes = Rhymes()
    train = batches(tokenizer, rhymes, corpus, options.tokens, options.seed + rank)
    model = Poet()
    model.initialize()
    if options.resume:
        model = from_checkpoint(load_file(options.resume))
    probes = Probes(tokenizer, rhymes, CONFIG["hidden_size"])
    trained = [*model.parameters(), *probes.parameters()]
    optimizer = optimizer_for(trained)
    if rank == 0:
        held_out = read_corpus(options.corpus / "heldout.jsonl")
        held_out = batches(tokenizer, rhymes, held_out, 4096, 0)
        held_out = [next(held_out) for _ in range(8)]
        log = (options.out / "log.jsonl").open("w")
        print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    start = saved = time.monotonic()
    step, progress, mean = 0, 0.0, None
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(progress, step)
        ids, labels, groups = next(train)
        main_loss, ahead, state = loss_of(model, ids, labels, AHEAD_SHARE,
                                          probes.weights(ids, groups))
        told = probes(model, state, groups)
        # lambda is 0.3 for the first two thirds of the run and 0.1 after, as in the report.
        loss = main_loss + (0.3 if progress < 0.67 else 0.1) * ahead
        (loss + 0.3 * max(0.0, 1 - progress / 0.75) * told).backward()
        elapsed = time.monotonic() - start
        shared = torch.tensor([main_loss.item(), ahead.item(), elapsed, told.item()])
        loads = share(model, trained, shared)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        balance(model, loads, BIAS_STEP if progress < 0.95 else 0.0)
        step += 1
        # The mean of the processes' clocks, so that all of them see the same progress.
        progress = max(step / options.steps, shared[2].item() / (60 * options.minutes))
        mean = shared if mean is None else 0.95 * mean + 0.05 * shared
        if rank:
            continue
        if step % 20 == 0:
            record = {"step": step, "progress": round(progress, 5), "seconds": round(elapsed, 1),
                      "loss": round(mean[0].item(), 4), "mtp_loss": round(mean[1].item(), 4),
                      "probes": round(mean[3].item(), 4)}
            if step % 200 == 0:
                record["heldout"], record["heldout_mtp"] = validate(model, held_out)
            log.write(json.dumps(record) + "\n")
            log.flush()
        if time.monotonic() - saved > 240:
            save(model, options.out)
            saved = time.monotonic()
    if rank == 0:
        save(model, options.out)
        print("held out", validate(model, held_out), "after", step, "steps", flush=True)


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meeting").unlink(missing_ok=True)
    # The children's allocator keeps its pages: a fresh mapping per tensor costs more than the
    # arithmetic at this size.
    os.environ.update(MALLOC_MMAP_THRESHOLD_=str(1 << 30), MALLOC_TRIM_THRESHOLD_=str(1 << 32),
                      MALLOC_TOP_PAD_=str(1 << 28))
    multiprocessing.spawn(run, (options,), nprocs=options.processes)


if __name__ == "__main__":
    main()
