"""Holds `examples/encode_lines` against llama.cpp, for every `tokenizer.ggml.pre` it knows.

    compare_llama.py ENCODE_LINES MODEL.gguf [COUNT]

MODEL is any small model with a byte-level vocabulary; copies of it with other `pre` names are made
in a temporary folder. Needs `xllamacpp gguf` in the Python that runs it, and serves on loopback.
llama.cpp does not normalize, and bends some patterns to its own regular expressions; so lines that
are not NFC are left out, and differences are printed, not failed on.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unicodedata
import urllib.request

import gguf

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from compare import ours, report  # noqa: E402
from make_lines import lines  # noqa: E402

PRES = """smollm qwen2 qwen35 deepseek-v3 deepseek-llm deepseek-coder glm4 llama-bpe kimi-k2 minimax-m2
bailingmoe seed-coder youtu minicpm5 tekken gpt-2 hunyuan hunyuan-dense default""".split()
SERVE = """
import json, sys, urllib.request, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup = sys.argv[1], 64, False
params.port = int(sys.argv[2])
server = xllamacpp.Server(params)
for line in sys.stdin:
    body = {"content": json.loads(line), "add_special": False, "parse_special": True}
    request = urllib.request.Request(server.listening_address + "/tokenize",
        json.dumps(body).encode(), {"Content-Type": "application/json"})
    print("IDS", json.dumps(json.load(urllib.request.urlopen(request))["tokens"]), flush=True)
"""


def vocabulary(model, pre, path):
    """The tokenizer of a GGUF file as encode_lines reads it."""
    fields = gguf.GGUFReader(model).fields
    keys = ["model", "tokens", "token_type", "merges", "scores", "add_bos_token", "add_space_prefix"]
    made = {key: fields[f"tokenizer.ggml.{key}"].contents() for key in keys if f"tokenizer.ggml.{key}" in fields}
    path.write_text(json.dumps({**made, "pre": pre}))
    return path


def theirs(model, texts):
    stdin = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([sys.executable, "-c", SERVE, model, "18943"], input=stdin, capture_output=True, text=True)
    found = [json.loads(line[4:]) for line in run.stdout.split("\n") if line.startswith("IDS ")]
    if len(found) != len(texts):
        raise SystemExit(f"llama.cpp stopped: {run.stderr[-2000:]}")
    return found


def main(binary, model, count=2_000):
    texts = [text for text in lines(count) if unicodedata.is_normalized("NFC", text) and text]
    with tempfile.TemporaryDirectory() as folder:
        for pre in PRES:
            copy = pathlib.Path(folder) / "model.gguf"
            subprocess.run([sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--force",
                            "--pre-tokenizer", pre, model, str(copy)], check=True, capture_output=True)
            made = vocabulary(model, pre, pathlib.Path(folder) / "vocabulary.json")
            report(f"llama.cpp {pre}", ours(binary, made, "ids", texts), theirs(str(copy), texts), texts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
