"""The network: DeepSeek-V3's architecture at a small size, written for training on a CPU.

The numerics are those of transformers' DeepseekV3ForCausalLM (evaluate.py compares the logits);
what differs is the work: routed tokens are sorted by expert once, and the head is computed only
where a loss is. References: DeepSeek-V3 Technical Report, arXiv 2412.19437, sections 2.1 and 2.2.
"""

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "vocab_size": 3072,
    "hidden_size": 256,
    "intermediate_size": 320,
    "moe_intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_nextn_predict_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    "n_routed_experts": 16,
    "n_shared_experts": 1,
    "num_experts_per_tok": 4,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "n_group": 4,
    "topk_group": 2,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "max_position_embeddings": 1024,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "tie_word_embeddings": True,
    "use_cache": True,
    "bos_token_id": None,
    "eos_token_id": 3,
    "pad_token_id": 1,
    "torch_dtype": "bfloat16",
}


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x, cos, sin):
    """RoPE on interleaved pairs (x0, x1), (x2, x3), ...; x is [.., position, dim]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat((even * cos - odd * sin, odd * cos + even * sin), dim=-1)


class Attention(nn.Module):
    """Multi-head latent attention, expanded (not absorbed): the form for training."""

    def __init__(self, c):
        super().__init__()
        self.heads = c["num_attention_heads"]
        self.nope, self.rope = c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        self.value, self.latent = c["v_head_dim"], c["kv_lora_rank"]
        hidden, q_rank = c["hidden_size"], c["q_lora_rank"]
        self.q_a_proj = linear(hidden, q_rank)
        self.q_a_layernorm = Norm(q_rank)
        self.q_b_proj = linear(q_rank, self.heads * (self.nope + self.rope))
        self.kv_a_proj_with_mqa = linear(hidden, self.latent + self.rope)
        self.kv_a_layernorm = Norm(self.latent)
        self.kv_b_proj = linear(self.latent, self.heads * (self.nope + self.value))
        self.o_proj = linear(self.heads * self.value, hidden)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        q = q.view(batch, length, self.heads, -1).transpose(1, 2)
        q_nope, q_rope = q.split((self.nope, self.rope), dim=-1)
        latent, k_rope = self.kv_a_proj_with_mqa(x).split((self.latent, self.rope), dim=-1)
        kv = self.kv_b_proj(self.kv_a_layernorm(latent))
        kv = kv.view(batch, length, self.heads, -1).transpose(1, 2)
        k_nope, v = kv.split((self.nope, self.value), dim=-1)
        k_rope = rotate(k_rope.unsqueeze(1), cos, sin).expand(-1, self.heads, -1, -1)
        q = torch.cat((q_nope, rotate(q_rope, cos, sin)), dim=-1)
        k = torch.cat((k_nope, k_rope), dim=-1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class GatedMlp(nn.Module):
    def __init__(self, hidden, inner):
        super().__init__()
        self.gate_proj, self.up_proj = linear(hidden, inner), linear(hidden, inner)
        self.down_proj = linear(inner, hidden)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Moe(nn.Module):
    """Sigmoid scores, a bias that only chooses, groups first, one shared expert."""

    def __init__(self, c):
        super().__init__()
        hidden, inner = c["hidden_size"], c["moe_intermediate_size"]
        self.experts, self.chosen = c["n_routed_experts"], c["num_experts_per_tok"]
        self.groups, self.groups_chosen = c["n_group"], c["topk_group"]
        self.scale = c["routed_scaling_factor"]
        self.gate = nn.Parameter(torch.empty(self.experts, hidden))
        self.register_buffer("bias", torch.zeros(self.experts))
        self.gate_up = nn.Parameter(torch.empty(self.experts, 2 * inner, hidden))
        self.down = nn.Parameter(torch.empty(self.experts, hidden, inner))
        self.shared_experts = GatedMlp(hidden, inner * c["n_shared_experts"])
        # Tokens per expert in the last forward pass: what balances the bias, and what is reported.
        self.load = torch.zeros(self.experts)

    def route(self, x):
        scores = F.linear(x, self.gate).sigmoid()
        with torch.no_grad():
            biased = (scores + self.bias).view(-1, self.groups, self.experts // self.groups)
            group_scores = biased.topk(2, dim=-1)[0].sum(-1)
            kept = group_scores.topk(self.groups_chosen, dim=-1)[1]
            mask = torch.ones_like(group_scores, dtype=torch.bool).scatter_(1, kept, False)
            biased = biased.masked_fill(mask.unsqueeze(-1), float("-inf")).flatten(1)
            chosen = biased.topk(self.chosen, dim=-1)[1]
        weights = scores.gather(1, chosen)
        return chosen, weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.scale

    def forward(self, x):
        shape, x = x.shape, x.reshape(-1, x.shape[-1])
        chosen, weights = self.route(x)
        order = chosen.flatten().argsort(stable=True)
        token = order // self.chosen
        self.load = torch.bincount(chosen.flatten(), minlength=self.experts)
        # unbind, not indexing: the gradient of an index is a whole tensor of zeros per expert.
        parts = []
        rows_of = x[token].split(self.load.tolist())
        for rows, gate_up, down in zip(rows_of, self.gate_up.unbind(), self.down.unbind()):
            gate, up = F.linear(rows, gate_up).chunk(2, dim=-1)
            parts.append(F.linear(F.silu(gate) * up, down))
        out = torch.cat(parts) * weights.flatten()[order].unsqueeze(-1)
        routed = torch.zeros_like(x).index_add_(0, token, out)
        return (routed + self.shared_experts(x)).view(shape)


class Layer(nn.Module):
    def __init__(self, c, dense):
        super().__init__()
        hidden = c["hidden_size"]
        self.input_layernorm, self.post_attention_layernorm = Norm(hidden), Norm(hidden)
        self.self_attn = Attention(c)
        self.mlp = GatedMlp(hidden, c["intermediate_size"]) if dense else Moe(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Prediction(nn.Module):
    """The multi-token-prediction layer: from the hidden state at i and token i+1, token i+2."""

    def __init__(self, c):
        super().__init__()
        hidden = c["hidden_size"]
        self.enorm, self.hnorm = Norm(hidden), Norm(hidden)
        self.eh_proj = linear(2 * hidden, hidden)
        self.block = Layer(c, dense=False)
        self.norm = Norm(hidden)

    def forward(self, hidden, embedded, cos, sin):
        x = self.eh_proj(torch.cat((self.enorm(embedded), self.hnorm(hidden)), dim=-1))
        return self.norm(self.block(x, cos, sin))


class Poet(nn.Module):
    def __init__(self, c=CONFIG):
        super().__init__()
        self.config = c
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        dense = c["first_k_dense_replace"]
        self.layers = nn.ModuleList(Layer(c, i < dense) for i in range(c["num_hidden_layers"]))
        self.norm = Norm(c["hidden_size"])
        self.prediction = Prediction(c)
        rope = c["qk_rope_head_dim"]
        frequency = c["rope_theta"] ** -(torch.arange(0, rope, 2).float() / rope)
        angle = torch.arange(c["max_position_embeddings"]).float().outer(frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def initialize(self):
        """Normal, by fan-in; what is added to the residual stream starts smaller."""
        residual = (2 * len(self.layers)) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            deviation = 0.05 if "embed_tokens" in name else 0.6 * parameter.shape[-1] ** -0.5
            if "o_proj" in name or "down" in name:
                deviation *= residual
            nn.init.normal_(parameter, 0.0, deviation)

    def forward(self, ids):
        """The states after the final norm, [batch, length, hidden]; the head is `logits`."""
        return self.with_state(ids, 0)[0]

    def with_state(self, ids, index):
        """`forward`, and what layer `index` gave."""
        length = ids.shape[1]
        x = self.embed_tokens(ids)
        states = []
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length])
            states.append(x)
        return self.norm(x), states[index]

    def predict(self, hidden, ids):
        """The prediction layer's states: row i knows tokens 0..=i+1. [batch, length - 1, hidden]"""
        length = ids.shape[1] - 1
        embedded = self.embed_tokens(ids[:, 1:])
        return self.prediction(hidden[:, :-1], embedded, self.cos[:length], self.sin[:length])

    def logits(self, states):
        return F.linear(states, self.embed_tokens.weight)

    def mixtures(self):
        """The MoE blocks, in order; the last is the prediction layer's."""
        return [module for module in self.modules() if isinstance(module, Moe)]


def to_checkpoint(model):
    """The weights under the names of the DeepSeek-V3 release, in BF16; the biases in F32."""
    last = model.config["num_hidden_layers"]
    names = {
        "prediction.block.": f"model.layers.{last}.",
        "prediction.norm.": f"model.layers.{last}.shared_head.norm.",
        "prediction.": f"model.layers.{last}.",
    }
    tensors = {}
    for name, value in model.state_dict().items():
        name = next((new + name[len(old):] for old, new in names.items() if name.startswith(old)),
                    f"model.{name}")
        value = value.detach()
        stem = name.rsplit(".", 1)[0]
        if name.endswith("mlp.gate_up"):
            for expert, both in enumerate(value):
                gate, up = both.chunk(2)
                tensors[f"{stem}.experts.{expert}.gate_proj.weight"] = gate
                tensors[f"{stem}.experts.{expert}.up_proj.weight"] = up
        elif name.endswith("mlp.down"):
            for expert, down in enumerate(value):
                tensors[f"{stem}.experts.{expert}.down_proj.weight"] = down
        elif name.endswith("mlp.gate"):
            tensors[f"{name}.weight"] = value
        elif name.endswith("mlp.bias"):
            tensors[f"{stem}.gate.e_score_correction_bias"] = value
        else:
            tensors[name] = value
    # The release repeats the shared embedding and head in the prediction layer.
    tensors[f"model.layers.{last}.embed_tokens.weight"] = model.embed_tokens.weight.detach()
    tensors[f"model.layers.{last}.shared_head.head.weight"] = model.embed_tokens.weight.detach()
    return {
        name: value.to(torch.float32 if name.endswith("_bias") else torch.bfloat16).clone()
        for name, value in tensors.items()
    }


def from_checkpoint(tensors, config=CONFIG):
    """The model of a checkpoint, in F32."""
    model = Poet(config)
    last = config["num_hidden_layers"]
    state = {}
    for name in model.state_dict():
        stored = name
        for new, old in ((f"layers.{last}.shared_head.norm.", "prediction.norm."),
                         (f"layers.{last}.", "prediction.block."),
                         (f"layers.{last}.", "prediction.")):
            if stored.startswith(old):
                stored = new + stored[len(old):]
        stem = "model." + stored.rsplit(".", 1)[0]
        experts = range(config["n_routed_experts"])
        if stored.endswith("mlp.gate_up"):
            rows = [torch.cat([tensors[f"{stem}.experts.{e}.{part}_proj.weight"]
                               for part in ("gate", "up")]) for e in experts]
            state[name] = torch.stack(rows)
        elif stored.endswith("mlp.down"):
            state[name] = torch.stack(
                [tensors[f"{stem}.experts.{e}.down_proj.weight"] for e in experts])
        elif stored.endswith("mlp.gate"):
            state[name] = tensors[f"model.{stored}.weight"]
        elif stored.endswith("mlp.bias"):
            state[name] = tensors[f"{stem}.gate.e_score_correction_bias"]
        else:
            state[name] = tensors[f"model.{stored}"]
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model
