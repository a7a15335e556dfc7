#!/usr/bin/env python3
"""A server under load, and what its clients feel: see README.md.

    load.py ADDRESS throughput [--prompt 128] [--answer 128] [--at-once 1,8]
    load.py ADDRESS stall      [--streams 4] [--prompt 8000]
    load.py ADDRESS turns      [--prompt 4000]
    load.py ADDRESS soak       [--clients 200] [--minutes 10] [--pid PID]

Each prints one JSON object.
"""

import argparse
import asyncio
import json
import random
import statistics
import time

import httpx

WORDS = "春夏秋冬山水风月花鸟雪雨云松竹梅江河湖海天地人心道古今东西南北"


def words(count, seed):
    """A text of so many characters that begins like no other."""
    dice = random.Random(seed)
    return "".join(dice.choice(WORDS) for _ in range(count))


def asked(text, answer, **more):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": answer, "stream": True,
            "stream_options": {"include_usage": True}, "ignore_eos": True, "seed": 1} | more


async def stream(client, body, times=None):
    """Times of all parts, the usage, and the text; raises where the stream is not whole."""
    times = times if times is not None else []
    usage, text, done = None, "", False
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return response.status_code, None, response.text
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                done = True
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise RuntimeError(line)
            usage = chunk.get("usage") or usage
            delta = "".join((c["delta"].get("content") or "") +
                            (c["delta"].get("reasoning_content") or "")
                            for c in chunk["choices"])
            if delta:
                times.append(time.monotonic())
                text += delta
    if not done:
        raise RuntimeError("the stream ended before its end")
    return 200, usage, text


async def throughput(client, arguments):
    rows = {}
    for count in map(int, arguments.at_once.split(",")):
        bodies = [asked(words(arguments.prompt, count * 1000 + one), arguments.answer)
                  for one in range(count)]
        begun = time.monotonic()
        outcomes = await asyncio.gather(*(stream(client, body) for body in bodies))
        seconds = time.monotonic() - begun
        tokens = sum(usage["completion_tokens"] for _, usage, _ in outcomes)
        prompts = sum(usage["prompt_tokens"] for _, usage, _ in outcomes)
        rows[count] = {"answer_tokens_per_second": tokens / seconds, "seconds": seconds,
                       "answer_tokens": tokens, "prompt_tokens": prompts}
    return rows


# A token may be part of a character and have no text to be seen: these letters are whole tokens.
PLAIN = {"guided_regex": "[a-z ]+"}


async def stall(client, arguments):
    times = [[] for _ in range(arguments.streams)]
    runs = [asyncio.create_task(stream(client, asked(words(20, one), arguments.answer, **PLAIN), one_times))
            for one, one_times in enumerate(times)]
    while min(map(len, times)) < 40:
        ended = [run for run in runs if run.done()]
        if ended:
            return {"a stream ended early": repr(ended[0])}
        await asyncio.sleep(0.05)
    gap = lambda one: [b - a for a, b in zip(one, one[1:])]
    quiet = [statistics.median(gap(one)) for one in times]
    begun = time.monotonic()
    first = []
    status, usage, text = await stream(client, asked(words(arguments.prompt, 99), 1), first)
    ended = time.monotonic()
    if status != 200 or any(run.done() for run in runs):
        return {"status": status, "text": text, "streams that ended": sum(r.done() for r in runs)}
    gaps = [[b - a for a, b in zip(one, one[1:]) if b > begun and a < ended] for one in times]
    during = [max(one) for one in gaps]
    for run in runs:
        run.cancel()
    return {"median_gap_quiet": quiet, "longest_gap_while_admitting": during,
            "median_gap_while_admitting": [statistics.median(one) for one in gaps],
            "prompt_seconds": ended - begun, "prompt_tokens": usage["prompt_tokens"]}


async def turns(client, arguments):
    rows, messages = [], [{"role": "user", "content": words(arguments.prompt, arguments.seed)}]
    for _ in range(3):
        times = []
        body = asked("", 32) | {"messages": messages, "ignore_eos": False, "temperature": 0}
        begun = time.monotonic()
        status, usage, text = await stream(client, body, times)
        if status != 200:
            return {"status": status, "text": text}
        rows.append({
            "first_token_seconds": (times[0] if times else time.monotonic()) - begun,
            "prompt_tokens": usage["prompt_tokens"],
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        })
        messages = [*messages, {"role": "assistant", "content": text},
                    {"role": "user", "content": "再来一首"}]
    return rows


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


async def soak(client, arguments):
    counts = {"whole": 0, "left": 0, "busy": 0, "wrong": []}
    sizes, end = [], time.monotonic() + arguments.minutes * 60

    async def one(number):
        dice = random.Random(number)
        while time.monotonic() < end:
            body = asked(words(dice.randint(1, 200), dice.random()), dice.randint(1, 60))
            try:
                run = stream(client, body)
                if dice.random() < 0.15:
                    await asyncio.wait_for(run, dice.random() * 2)
                    status = 200
                else:
                    status = (await run)[0]
            except asyncio.TimeoutError:
                counts["left"] += 1
                continue
            except Exception as error:
                counts["wrong"].append(repr(error))
                continue
            if status == 200:
                counts["whole"] += 1
            elif status == 429:
                counts["busy"] += 1
                await asyncio.sleep(dice.random() * 2)
            else:
                counts["wrong"].append(status)

    async def watch():
        while arguments.pid and time.monotonic() < end:
            sizes.append(resident(arguments.pid))
            await asyncio.sleep(5)

    await asyncio.gather(watch(), *(one(number) for number in range(arguments.clients)))
    wrong = counts.pop("wrong")
    return counts | {"wrong": len(wrong), "first_wrong": wrong[:3],
                     "resident_mib": [size >> 20 for size in sizes[:: max(1, len(sizes) // 20)]]}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("mode", choices=["throughput", "stall", "turns", "soak"])
    parser.add_argument("--prompt", type=int)
    parser.add_argument("--answer", type=int)
    parser.add_argument("--at-once", default="1,8")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.answer is None:
        arguments.answer = 2000 if arguments.mode == "stall" else 128
    usual = {"throughput": 128, "stall": 8000, "turns": 4000, "soak": 0}
    arguments.prompt = arguments.prompt or usual[arguments.mode]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=arguments.address, timeout=None, limits=limits) as client:
        print(json.dumps(await globals()[arguments.mode](client, arguments), indent=1))


if __name__ == "__main__":
    asyncio.run(main())
