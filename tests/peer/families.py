"""Every family's GGUF file: baimo beside llama.cpp on the same F32 file, as a Markdown table.

    families.py --llama-cpp SOURCE --libllama PATH --baimo PATH [--keep FOLDER] [CASE...]

A case is a folder with config.json and tensors.json: a name in `tests/golden`, or any path. Its
checkpoint is written as a hub has it and goes through llama.cpp's own converter, which gets a toy
vocabulary instead of the tokenizer files that a case lacks; all else is the converter's own: keys,
names, folds. Both engines then read that file, with caches in f32. Where the case has a
golden.json, both are held against it too, so that a difference says who differs from the reference.
Needs `torch transformers safetensors numpy` and a checkout of llama.cpp with its library built.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
STEPS = 64
LENGTHS = [1, 2, 7, 24]
SQUARE = {"linear_value_head_dim": 8}
# Also the eps that the norm inside has in the lab's own code.
EIGHTH = {"attn_type_list": [0] * 7 + [1], "rms_norm_eps": 1e-6}
# Cases that llama.cpp asks for: another case with other configuration keys, and more layers, made
# by repeating the last, or the layers of a list. Its sizes tell it models apart, and it does not
# read every key.
VARIANTS = {
    # No query rank: "lite" models, which it knows by their number of layers.
    "deepseek_v2_lite": ("deepseek_v2", {"q_lora_rank": None}, 27),
    # It never reads `yarn_beta_fast`; this is its default.
    "kimi_k2_beta32": ("kimi_k2", {"rope_scaling": {"beta_fast": 32.0}}, None),
    # Its converter finds no scores in this configuration, and it knows the model by its size.
    "glm4_moe_lite_sigmoid": ("glm4_moe_lite", {"scoring_func": "sigmoid"}, None),
    # Its converter does not know the released word, noaux_tc.
    "dots1_sigmoid": ("dots1", {"scoring_func": "sigmoid"}, None),
    # It has one width for the keys and values of the delta rule.
    "qwen3_next_square": ("qwen3_next", SQUARE, None),
    "qwen3_5_square": ("qwen3_5", {"text_config": SQUARE}, None),
    "qwen3_5_text_square": ("qwen3_5_text", SQUARE, None),
    "qwen3_5_moe_square": ("qwen3_5_moe", {"text_config": SQUARE}, None),
    "qwen3_5_moe_text_square": ("qwen3_5_moe_text", SQUARE, None),
    # It transforms indexers in groups of 64 numbers.
    "deepseek_v32_64": ("deepseek_v32", {"index_head_dim": 64}, None),
    "glm_moe_dsa_64": ("glm_moe_dsa", {"index_head_dim": 64}, None),
    # Files do not say these; it has the release's.
    "minicpm3_4b": ("minicpm3", {
        "scale_emb": 12, "dim_model_base": 256, "max_position_embeddings": 512,
        "rope_scaling": {"original_max_position_embeddings": 512}}, None),
    # Its converter reads the part under this key; it has a window of one position less.
    "mimo_v2_flash_wide": ("mimo_v2_flash", {
        "rope_parameters": {"partial_rotary_factor": 0.334}, "sliding_window": 200,
        "sliding_window_size": 200}, None),
    "mimo_v2_flash_part": ("mimo_v2_flash", {
        "rope_parameters": {"partial_rotary_factor": 0.334}}, None),
    # Of fused maps it takes heads for equal shares of the hidden width.
    "chatglm2_shares": ("chatglm2", {"kv_channels": 8}, None),
    "ling2_shares": ("ling2", {"head_dim": 8}, None),
    "chatglm_glm4_shares": ("chatglm_glm4", {"kv_channels": 8}, None),
    # It tells linear biases by the number of layers.
    "baichuan_7b_32": ("baichuan_7b", {}, 32),
    "baichuan_13b_40": ("baichuan_13b", {}, 40),
    # Of eight layers it takes the last for the one without a state of fixed size.
    "minimax_text_01_eighth": ("minimax_text_01", EIGHTH, [0, 1, 2, 0, 1, 2, 0, 3]),
    "minimax_m1_eighth": ("minimax_m1", EIGHTH, [0, 1, 3, 0, 1, 3, 0, 2]),
    # Transformers reads this otherwise than its lab wrote it, and the converter asks it.
    "step3p5_published": ("step3p5", {"model_type": "as_published"}, None),
    # It has one rank for the queries of all layers, and indexers in groups of 64 numbers whose
    # pairs it rotates otherwise than transformers.
    "dots3_note_64": ("dots3_note", {
        "model_type": "as_published", "scoring_func": "sigmoid", "topk_method": "noaux_tc",
        "apply_mla_qkv_lora_rescale": True, "swa_q_lora_rank": 24, "index_head_dim": 64,
        "index_topk": 128,
        "layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 3 + ["full_attention"],
    }, None),
    # Its converter forgets the order of the rows for biases, which no release has.
    "minicpm_unbiased": ("minicpm", {"attention_bias": False}, None),
    # Files do not say the length the divisors begin at; both then take the whole context.
    "minicpm4_512": ("minicpm4", {
        "max_position_embeddings": 512,
        "rope_scaling": {"original_max_position_embeddings": 512}}, None),
    # With queries, keys and values in one tensor, as converters write them when asked to.
    "qwen2_joined": ("qwen2", {}, None),
    "qwen3_joined": ("qwen3", {}, None),
    "llama_joined": ("llama", {}, None),
    # Its converter looks for the eps under another key.
    "qwen_eps": ("qwen", {"rms_norm_eps": 1e-6}, None),
}
INDEXER_64 = {
    "indexer.wq_b.weight": [512, 24], "indexer.wk.weight": [64, 64],
    "indexer.k_norm.weight": [64], "indexer.k_norm.bias": [64],
}
JOINED = "_joined"
DELTA_SQUARE = {
    "linear_attn.in_proj_qkvz.weight": [96, 48], "linear_attn.in_proj_qkv.weight": [64, 48],
    "linear_attn.in_proj_z.weight": [32, 48], "linear_attn.conv1d.weight": [64, 1, 4],
    "linear_attn.norm.weight": [8], "linear_attn.out_proj.weight": [48, 32],
}
# Sizes that such a change brings with it: the tensors whose names end so. None: there are none.
RESIZED = {
    "qwen3_next_square": DELTA_SQUARE,
    "qwen3_5_square": DELTA_SQUARE,
    "qwen3_5_text_square": DELTA_SQUARE,
    "qwen3_5_moe_square": DELTA_SQUARE,
    "qwen3_5_moe_text_square": DELTA_SQUARE,
    "dots3_note_64": {
        "q_a_proj.weight": [24, 48], "q_a_layernorm.weight": [24],
        **{f".{layer}.self_attn.q_b_proj.weight": [48, 24] for layer in [2, 3, 4]},
        "indexer.wq_b.weight": [512, 24], "indexer.wk.weight": [64, 48],
        "indexer.k_norm.weight": [64], "indexer.k_norm.bias": [64],
    },
    "minicpm_unbiased": {"_proj.bias": None},
    "chatglm2_shares": {
        "query_key_value.weight": [96, 64], "query_key_value.bias": [96],
        "self_attention.dense.weight": [64, 64],
    },
    "chatglm_glm4_shares": {
        "query_key_value.weight": [128, 64], "query_key_value.bias": [128],
        "self_attention.dense.weight": [64, 64],
    },
    "ling2_shares": {
        "query_key_value.weight": [96, 64], "attention.dense.weight": [64, 64],
        "query_layernorm.weight": [8], "key_layernorm.weight": [8],
    },
    "deepseek_v32_64": INDEXER_64,
    "glm_moe_dsa_64": INDEXER_64,
}
HEAD = ["case", "architecture", "logits apart", "same top token", "greedy equal",
        "llama.cpp from reference", "baimo from reference", "note"]


def toy_tokens(count):
    """Byte-level tokens: single characters first, then pairs, as many as are asked for."""
    letters = [chr(code) for code in range(33, 127)]
    pairs = [first + second for first in letters for second in letters]
    named = [f"<token{index}>" for index in range(max(0, count - len(letters) - len(pairs)))]
    return (letters + pairs + named)[:count]


def write_toy_vocabulary(model):
    """Stands in for a converter's `set_vocab`, and does what some do there beside vocabularies."""
    import gguf

    vocabulary = model.find_hparam(["vocab_size", "padded_vocab_size"])
    tokens = toy_tokens(vocabulary)
    writer = model.gguf_writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    writer.add_token_merges(["! !"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def convert(folder, target):
    """llama.cpp's converter over a checkpoint folder. Runs in a process of its own."""
    import gguf
    import torch
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    hparams = ModelBase.load_hparams(folder, False)
    model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    # Cases have no prediction layers, also where their configuration announces them.
    model_class.no_mtp = True
    with torch.inference_mode():
        joined = folder.name.endswith(JOINED)
        model = model_class(folder, gguf.LlamaFileType.ALL_F32, target, fuse_qkv=joined)
        model.set_vocab = lambda: write_toy_vocabulary(model)
        # Looks at a tokenizer.
        model._get_suppress_tokens = lambda: None
        if model.model_arch == gguf.MODEL_ARCH.BAICHUAN:
            end_recursion(model)
        model.write()


def end_recursion(model):
    """The converter of this version calls itself without end for all tensors but one kind."""
    from conversion.base import TextModel

    own = model.modify_tensors

    def modify(data, name, layer):
        if "W_pack" in name:
            return own(data, name, layer)
        return TextModel.modify_tensors(model, data, name, layer)

    model.modify_tensors = modify


def write_checkpoint(case, folder):
    """The case as a hub folder, its weights in f32."""
    sys.path.insert(0, str(GOLDEN))
    import checkpoint
    from safetensors.numpy import save_file

    base, changes, layers = VARIANTS.get(case, (case, {}, None))
    config = checkpoint.read(base, "config.json")
    config.pop("quantization_config", None)
    tensors = resized(case, checkpoint.read(base, "tensors.json")) or checkpoint.defined(base)
    if isinstance(layers, list):
        tensors = chosen_layers(config, tensors, layers)
    elif layers:
        repeat_layers(config, tensors, layers)
    for key, value in changes.items():
        is_part = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = {**config[key], **value} if is_part else value
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def resized(case, entries):
    """A variant's tensors, some of other sizes; nothing where no size changes."""
    import checkpoint

    if case not in RESIZED:
        return None
    for entry in entries:
        for ending, shape in RESIZED[case].items():
            if entry["name"].endswith(ending):
                entry["shape"] = shape
    return {entry["name"]: checkpoint.float32_values(entry).reshape(entry["shape"])
            for entry in entries if entry["shape"]}


def repeat_layers(config, tensors, count):
    """Appends copies of the last layer, a little different each, until there are `count`."""
    last = config["num_hidden_layers"] - 1
    start = f"model.layers.{last}."
    for name in [name for name in tensors if name.startswith(start)]:
        for index in range(last + 1, count):
            copy = tensors[name] * numpy.float32(1 + 0.01 * (index - last))
            tensors[f"model.layers.{index}.{name.removeprefix(start)}"] = copy
    config["num_hidden_layers"] = count


def chosen_layers(config, tensors, layers):
    """The tensors with these layers in this order, a little different each."""
    chosen = {name: values for name, values in tensors.items() if ".layers." not in name}
    for index, layer in enumerate(layers):
        start = f"model.layers.{layer}."
        for name in [name for name in tensors if name.startswith(start)]:
            copy = tensors[name] * numpy.float32(1 + 0.01 * index)
            chosen[f"model.layers.{index}.{name.removeprefix(start)}"] = copy
    config["num_hidden_layers"] = len(layers)
    return chosen


def golden(case):
    path = GOLDEN / case / "golden.json"
    return json.loads(path.read_text()) if path.exists() else None


def prompt(case):
    known = golden(case)
    if known:
        return known["ids"], [entry["len"] for entry in known["logits"]]
    import checkpoint

    bits = checkpoint.random_bits(str(case), 40) >> numpy.uint64(40)
    return [10 + int(b) % 90 for b in bits], [*LENGTHS, 40]


def ask_baimo(binary, model, ids, at):
    flags = ["--ids", ",".join(map(str, ids)), "--at", ",".join(map(str, at))]
    flags += ["--greedy", str(STEPS), "--kv", "f32", "--weights", "f32"]
    done = subprocess.run([binary, "logits", *flags, "--", model], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"baimo: {done.stderr.strip()}")
    said = json.loads(done.stdout)
    return {int(n): numpy.asarray(row) for n, row in said["logits"].items()}, said["greedy"]


def ask_llama(library, model, ids, at):
    from engines import LlamaCpp

    llama = LlamaCpp(model, library, positions=512, exact=True)
    # A state of fixed size sees each prefix alone, as the goldens do.
    rows = {}
    for length in at:
        llama.forget()
        rows[length] = llama.feed(ids[:length])
    llama.forget()
    row, tokens = llama.feed(ids), []
    for _ in range(STEPS):
        tokens.append(int(row.argmax()))
        row = llama.feed(tokens[-1:])
    return rows, tokens


def apart(rows, others):
    """The largest difference of a logit relative to the largest logit."""
    each = [numpy.abs(rows[n] - others[n]).max() / numpy.abs(others[n]).max() for n in others]
    return max(each)


def equal_steps(tokens, others):
    return next((i for i, pair in enumerate(zip(tokens, others)) if pair[0] != pair[1]), STEPS)


def compare(options, case, folder):
    """The cells of a case's line."""
    write_checkpoint(case, folder)
    target = folder / "model.gguf"
    run_apart(options, "--convert", str(folder), str(target))
    from engines import field

    architecture = field(target, "general.architecture")
    ids, at = prompt(case)
    theirs = json.loads(run_apart(options, "--llama", str(target), json.dumps([ids, at])))
    llama_rows = {int(n): numpy.asarray(row) for n, row in theirs["logits"].items()}
    known = golden(case)
    reference = {e["len"]: numpy.asarray(e["logits"]) for e in known["logits"]} if known else {}
    cells = {"llama.cpp from reference": f"{apart(llama_rows, reference):.1e}" if known else "-"}
    try:
        rows, greedy = ask_baimo(options.baimo, str(target), ids, at)
    except RuntimeError as error:
        return [case, architecture, "-", "-", "-", *cells.values(), "-", f"{error}"]
    same = sum(rows[n].argmax() == llama_rows[n].argmax() for n in at)
    return [
        pathlib.Path(case).name, f"`{architecture}`", f"{apart(rows, llama_rows):.1e}",
        f"{same} of {len(at)}", f"{equal_steps(greedy, theirs['greedy'])} of {STEPS}",
        *cells.values(), f"{apart(rows, reference):.1e}" if known else "-", "",
    ]


def run_apart(options, *arguments):
    """This script in a process of its own: converters keep state, llama.cpp may abort."""
    paths = [str(options.llama_cpp), str(options.llama_cpp / "gguf-py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    if "--convert" in arguments:
        # Without assertions: converters insist on the sizes of releases.
        environment["PYTHONOPTIMIZE"] = "1"
    command = [sys.executable, __file__, "--llama-cpp", str(options.llama_cpp)]
    command += ["--libllama", str(options.libllama), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["killed"]
        telling = [line for line in lines if "GGML_ASSERT" in line or "error" in line.lower()]
        raise RuntimeError(" ".join(telling[:3]) or lines[-1])
    return done.stdout


def inner(options):
    """What the processes of their own do; whether this is one."""
    if options.convert:
        convert(*map(pathlib.Path, options.convert))
    elif options.llama:
        model, question = options.llama
        rows, greedy = ask_llama(options.libllama, model, *json.loads(question))
        rows = {length: row.tolist() for length, row in rows.items()}
        print(json.dumps({"logits": rows, "greedy": greedy}))
    return options.convert or options.llama


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all golden cases")
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True)
    parser.add_argument("--libllama", required=True)
    parser.add_argument("--baimo")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the converted files")
    parser.add_argument("--convert", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--llama", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if inner(options):
        return
    every = sorted(path.parent.name for path in GOLDEN.glob("*/config.json"))
    print("|", " | ".join(HEAD), "|")
    print("|---" * len(HEAD) + "|")
    for case in options.cases or [*every, *VARIANTS]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (options.keep or pathlib.Path(scratch)) / pathlib.Path(case).name
            folder.mkdir(parents=True, exist_ok=True)
            try:
                cells = compare(options, case, folder)
            except RuntimeError as error:
                cells = [pathlib.Path(case).name, *["-"] * (len(HEAD) - 2), str(error)]
            print("|", " | ".join(str(cell).replace("\n", " ") for cell in cells), "|", flush=True)


if __name__ == "__main__":
    main()
