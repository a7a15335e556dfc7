"""References for architectures that transformers lacks: one file per family, in plain PyTorch.

A file lists its architectures: `ARCHITECTURES = {"SomeForCausalLM": forward}`, where
`forward(config, weights, ids)` gives the logits of every position, `[len(ids), vocab]`, and the
outputs of every layer. It is written from the formulas of the lab's own modelling code, not from
baimo, and knows no cache: every token of a continuation is computed by a whole forward pass.
"""

import importlib
from pathlib import Path

import numpy as np
import torch


class Weights:
    """Checkpoint tensors by name, each asked for with its shape.

    Without tensors it gives zeros and so lists what a forward pass asks for.
    """

    def __init__(self, tensors=None):
        self.tensors = tensors
        self.shapes = {}
        # How many of the ids were there before the model went on by itself.
        self.prompt = 0

    def __call__(self, name, *shape):
        known = self.shapes.setdefault(name, shape)
        assert known == shape, f"{name}: asked for as {known} and as {shape}"
        if self.tensors is None:
            return torch.zeros(shape)
        found = self.tensors[name]
        assert tuple(found.shape) == shape, f"{name}: {tuple(found.shape)}, wanted {shape}"
        return found

    def finish(self):
        """Every tensor of the checkpoint must have been asked for."""
        unused = set(self.tensors) - set(self.shapes)
        assert not unused, f"not asked for: {sorted(unused)[:5]}"


def module_of(architecture):
    """The file that lists an architecture, or `None`."""
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        module = importlib.import_module(f"references.{path.stem}")
        if architecture in getattr(module, "ARCHITECTURES", {}):
            return module
    return None


def find(architecture):
    """The forward pass of an architecture, or `None`."""
    module = module_of(architecture)
    return module and module.ARCHITECTURES[architecture]


def prompt(config, ids):
    """A prompt as the family wants it: its file may `prepare` one of any ids."""
    prepare = getattr(module_of(config["architectures"][0]), "prepare", None)
    return prepare(config, ids) if prepare else ids


def shapes(config):
    """Names and shapes of all tensors of a checkpoint."""
    weights = Weights()
    find(config["architectures"][0])(config, weights, [0, 1])
    return dict(sorted(weights.shapes.items()))


class Model:
    """A forward pass with its weights."""

    def __init__(self, config, tensors):
        self.config, self.forward = config, find(config["architectures"][0])
        tensors = {name: torch.from_numpy(np.array(t)) for name, t in tensors.items()}
        self.weights = Weights(tensors)
        self.run([0, 1])
        self.weights.finish()

    def run(self, ids, prompt=None):
        """Logits at the last position, and each layer's first 8 outputs there."""
        self.weights.prompt = prompt or len(ids)
        logits, outputs = self.forward(self.config, self.weights, ids)
        return logits[-1], [output[-1, :8] for output in outputs]

    def double(self):
        """The same in float64."""
        tensors = {name: t.double() for name, t in self.weights.tensors.items()}
        model = Model.__new__(Model)
        model.config, model.forward, model.weights = self.config, self.forward, Weights(tensors)
        return model
