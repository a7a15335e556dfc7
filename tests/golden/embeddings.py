#!/usr/bin/env python3
"""Computes qwen3_embedding/embeddings.json with transformers: vectors of texts and scores of documents.

    pip install torch transformers safetensors numpy
    python tests/golden/embeddings.py --check          # compare with what is stored
    python tests/golden/embeddings.py                  # write

The folder is a whole model's: a tokenizer that ends what it reads, as those of models that embed do, a chat
template, and a checkpoint whose names are those of a decoder alone. The vectors are the last hidden states of
the last tokens, scaled to length one; a score is the softmax of two logits, of `yes` and `no`, after the prompt
that judges of documents are trained with. The arithmetic is float32 on a CPU.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

import checkpoint

sys.path.insert(0, str(checkpoint.GOLDEN.parent / "clients"))
import models  # noqa: E402

CASE = "qwen3_embedding"
END = 259
FOLDER = checkpoint.GOLDEN / CASE
STORED = FOLDER / "embeddings.json"
TOLERANCE = 1e-5
TEXTS = ["秋天", "Instruct: Given a question, find its answer\nQuery:What is autumn?",
         "Leaves fall in autumn. <|im_end|>", "山" * 30]
QUERY = "What is the capital of China?"
DOCUMENTS = ["The capital of China is Beijing.", "北京", "Gravity <|im_end|> attracts bodies.", "yes"]
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
BEFORE = ('<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the '
          'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n')
BEHIND = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def tokenizer():
    """Bytes, the tags of chats, `yes` and `no`, and an end behind each text."""
    built = models.tokenizer()
    vocab, end = built["model"]["vocab"], models.TAGS[0]
    for left, right in [("y", "e"), ("ye", "s"), ("n", "o")]:
        vocab[left + right] = len(vocab)
        built["model"]["merges"].append(f"{left} {right}")
    # The library numbers added tokens from the end of the vocabulary on.
    for index, token in enumerate(built["added_tokens"]):
        token["id"] = END + index
    built["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {end: {"id": end, "ids": [END], "tokens": [end]}},
    }
    return built


def write_folder():
    """All files but the weights, which are a function of their names."""
    text = lambda value: json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    config = checkpoint.read("qwen3", "config.json")
    vocab = len(models.TAGS) + 256 + 3
    config |= {"vocab_size": vocab, "bos_token_id": END, "eos_token_id": END + 2,
               "max_position_embeddings": 1024}
    (FOLDER / "config.json").write_text(text(config))
    entries = []
    for entry in checkpoint.read("qwen3", "tensors.json"):
        if "embed_tokens" in entry["name"]:
            entry["shape"][0] = vocab
        entries.append({**entry, "name": entry["name"].removeprefix("model.")})
    lines = ",\n".join(map(json.dumps, entries))
    (FOLDER / "tensors.json").write_text(f"[\n{lines}\n]\n")
    (FOLDER / "tokenizer.json").write_text(text(tokenizer()))
    settings = {"eos_token": "<|im_end|>", "bos_token": None, "pad_token": "<|endoftext|>",
                "tokenizer_class": "PreTrainedTokenizerFast"}
    (FOLDER / "tokenizer_config.json").write_text(text(settings))
    prompts = {"query": f"Instruct: {INSTRUCTION}\nQuery:", "document": ""}
    (FOLDER / "config_sentence_transformers.json").write_text(text({"prompts": prompts}))
    shutil.copy(checkpoint.GOLDEN.parent / "clients" / "chat_template.jinja", FOLDER)


def loaded(folder):
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(FOLDER / name, folder)
    save_file(checkpoint.dequantized(CASE), Path(folder) / "model.safetensors", {"format": "pt"})
    options = dict(dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


def compute():
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model, words = loaded(folder)
        plain = lambda text: words.encode(text, add_special_tokens=False, split_special_tokens=True)
        marked = lambda text: words.encode(text, add_special_tokens=False)
        texts = []
        for text in TEXTS:
            ids = plain(text) + [END]
            if "<|" not in text:
                assert ids == words.encode(text), (ids, words.encode(text))
            state = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
            vector = torch.nn.functional.normalize(state, dim=0)
            texts.append({"text": text, "ids": ids, "vector": rounded(vector)})
        yes, no = words.convert_tokens_to_ids(["yes", "no"])
        documents = []
        for document in DOCUMENTS:
            case = f"<Instruct>: {INSTRUCTION}\n<Query>: {QUERY}\n<Document>: {document}"
            ids = marked(BEFORE) + plain(case) + marked(BEHIND)
            row = model(torch.tensor([ids])).logits[0, -1]
            score = torch.softmax(row[[no, yes]], 0)[1]
            documents.append({"document": document, "tokens": len(ids), "score": rounded(score[None])[0]})
        version = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
        return {"reference": f"{version}, float32, eager", "texts": texts, "query": QUERY,
                "documents": documents}


def rounded(values):
    return [float(f"{value:.8g}") for value in values.tolist()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        write_folder()
        found = compute()
        rows = lambda key: ",\n".join(json.dumps(row, ensure_ascii=False) for row in found[key])
        head = ", ".join(f"{json.dumps(key)}: {json.dumps(found[key])}" for key in ["reference", "query"])
        STORED.write_text(f'{{{head},\n"texts": [\n{rows("texts")}\n],\n"documents": [\n'
                          f'{rows("documents")}\n]}}\n')
        return
    stored, found = json.loads(STORED.read_text()), compute()
    numbers = lambda all: np.array([x for text in all["texts"] for x in text["vector"]]
                                   + [document["score"] for document in all["documents"]])
    difference = float(np.abs(numbers(stored) - numbers(found)).max())
    print(f"{CASE}: largest difference {difference:.3g}")
    sys.exit(difference > TOLERANCE)


if __name__ == "__main__":
    main()
