"""Speed of ik_llama.cpp, run with a Python that has ik-llama-cpp-python, whose wheels are built for
AVX2: `ik.py FILE PROMPT GENERATE ROUNDS`.

Prints {"prompt": [...], "generate": [...]}, tokens a second of each round. As `llama-bench -rtr 1`:
weights repacked while loading, one decode for a prompt, one for each token of an answer.
"""

import json
import os
import sys
import time

import ik_llama_cpp._ctypes_api as ik


def context(path, positions):
    ik.llama_backend_init()
    loading = ik.llama_model_default_params()
    loading.repack_tensors = True
    loading.use_mmap = False
    model = ik.llama_model_load_from_file(path.encode(), loading)
    assert model, path
    running = ik.llama_context_default_params()
    running.n_ctx = positions
    running.n_threads = running.n_threads_batch = int(os.environ.get("THREADS", "2"))
    running.flash_attn = True
    running.fused_moe_up_gate = True
    found = ik.llama_init_from_model(model, running)
    assert found, "no context"
    return found


def decode(found, first, count):
    """Computes positions `first` to `first + count`, with the logits of the last."""
    batch = ik.llama_batch_init(count, 0, 1)
    batch.n_tokens = count
    for index in range(count):
        batch.token[index] = (first + index) * 7919 % 50_000
        batch.pos[index] = first + index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        batch.logits[index] = index == count - 1
    assert ik.llama_decode(found, batch) == 0
    ik.llama_get_logits_ith(found, count - 1)
    ik.llama_batch_free(batch)


def rate(found, first, counts):
    start = time.perf_counter()
    for count in counts:
        decode(found, first, count)
        first += count
    return sum(counts) / (time.perf_counter() - start)


def main():
    prompt, generate, rounds = map(int, sys.argv[2:])
    found = context(sys.argv[1], max(prompt, generate + 8) + 256)
    rates = {"prompt": [], "generate": []}
    decode(found, 0, prompt)
    for _ in range(rounds):
        ik.llama_kv_cache_clear(found)
        rates["prompt"].append(rate(found, 0, [prompt]))
        ik.llama_kv_cache_clear(found)
        decode(found, 0, 8)
        rates["generate"].append(rate(found, 8, [1] * generate))
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
