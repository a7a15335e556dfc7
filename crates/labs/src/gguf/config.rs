//! The configuration keys that GGUF metadata keys stand for, whatever the family.

use super::{Gguf, GgufHeader};
use crate::Family;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// Tensors of rope divisors by the length of the sequence.
pub(super) const SHORT: &str = "rope_factors_short.weight";
pub(super) const LONG: &str = "rope_factors_long.weight";

/// Metadata key (after the architecture) to configuration keys.
const KEYS: &[(&str, &[&str])] = &[
    ("context_length", &["max_position_embeddings"]),
    ("embedding_length", &["hidden_size"]),
    ("feed_forward_length", &["intermediate_size"]),
    ("attention.head_count", &["num_attention_heads"]),
    ("attention.head_count_kv", &["num_key_value_heads"]),
    ("attention.key_length", &["head_dim"]),
    ("attention.layer_norm_rms_epsilon", &["rms_norm_eps"]),
    ("attention.sliding_window", &["sliding_window"]),
    ("attention.q_lora_rank", &["q_lora_rank"]),
    ("attention.kv_lora_rank", &["kv_lora_rank"]),
    ("rope.freq_base", &["rope_theta"]),
    ("expert_count", &["num_experts", "n_routed_experts"]),
    ("expert_used_count", &["num_experts_per_tok"]),
    ("expert_feed_forward_length", &["moe_intermediate_size"]),
    ("expert_shared_feed_forward_length", &["shared_expert_intermediate_size"]),
    ("expert_shared_count", &["n_shared_experts"]),
    ("expert_weights_scale", &["routed_scaling_factor"]),
    ("expert_weights_norm", &["norm_topk_prob"]),
    ("expert_group_count", &["n_group"]),
    ("expert_group_used_count", &["topk_group"]),
    ("leading_dense_block_count", &["first_k_dense_replace"]),
    ("nextn_predict_layers", &["num_nextn_predict_layers"]),
];

impl GgufHeader<'_> {
    /// The configuration of the checkpoint that the file was made from.
    pub(super) fn config(&self, family: &Family, gguf: &Gguf) -> Result<Value> {
        let mut config = Map::new();
        config.insert("architectures".into(), json!([family.architecture]));
        for (key, names) in KEYS {
            let Some(value) = self.get(key) else { continue };
            // One value for all layers may be spelled as a list.
            let value = match value.as_array().map(Vec::as_slice) {
                Some([first, rest @ ..]) if rest.iter().all(|item| item == first) => first,
                Some(_) | None => value,
            };
            names.iter().for_each(|name| {
                config.insert((*name).into(), value.clone());
            });
        }
        let scores = match self.count("expert_gating_func") {
            Some(1) => Some("softmax"),
            Some(2) => Some("sigmoid"),
            Some(_) | None => None,
        };
        if let Some(scores) = scores {
            config.insert("scoring_func".into(), scores.into());
        }
        let blocks = self.count("block_count").ok_or_else(|| Error::Missing {
            key: format!("{}.block_count", self.architecture),
            wanted: "the number of layers",
        })?;
        let layers = blocks.saturating_sub(self.count("nextn_predict_layers").unwrap_or(0));
        config.insert("num_hidden_layers".into(), layers.into());
        let embedding = self.tensors.shape("token_embd.weight");
        if let Some(rows) = embedding.as_deref().and_then(<[usize]>::first) {
            config.insert("vocab_size".into(), (*rows).into());
        }
        config.insert("tie_word_embeddings".into(), (!self.has_tensor("output.weight")).into());
        let biased = ["blk.0.attn_q.bias", "blk.0.attn_qkv.bias"];
        let biased = biased.into_iter().any(|name| self.has_tensor(name));
        for key in ["attention_bias", "bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias"] {
            config.insert(key.into(), biased.into());
        }
        config.insert("use_qk_norm".into(), self.has_tensor("blk.0.attn_q_norm.weight").into());
        self.rope(&mut config)?;
        (gguf.config)(self, &mut config);
        Ok(Value::Object(config))
    }

    fn rope(&self, config: &mut Map<String, Value>) -> Result<()> {
        let head = match (self.number("attention.key_length"), self.number("embedding_length")) {
            (Some(length), _) => Some(length),
            (None, Some(width)) => self.number("attention.head_count").map(|heads| width / heads),
            (None, None) => None,
        };
        if let (Some(rotated), Some(head)) = (self.number("rope.dimension_count"), head) {
            // Half a number more, so that rounding down comes to the same again.
            let part = if rotated < head { (rotated + 0.5) / head } else { rotated / head };
            config.insert("partial_rotary_factor".into(), part.into());
        }
        let mut scaling = Map::new();
        for (key, name) in [
            ("rope.scaling.factor", "factor"),
            ("rope.scaling.original_context_length", "original_max_position_embeddings"),
            ("rope.scaling.yarn_attn_factor", "attention_factor"),
            ("rope.scaling.yarn_beta_fast", "beta_fast"),
            ("rope.scaling.yarn_beta_slow", "beta_slow"),
        ] {
            if let Some(value) = self.get(key) {
                scaling.insert(name.into(), value.clone());
            }
        }
        let kind = self.get("rope.scaling.type").and_then(Value::as_str);
        let factors = |name| self.tensors.floats(name);
        if let (Some(short), Some(long)) = (factors(SHORT), factors(LONG)) {
            scaling.insert("short_factor".into(), short.into());
            scaling.insert("long_factor".into(), long.into());
            scaling.insert("rope_type".into(), "longrope".into());
            config.insert("rope_scaling".into(), Value::Object(scaling));
            return Ok(());
        }
        match kind {
            None | Some("none") => return Ok(()),
            Some(kind) => scaling.insert("rope_type".into(), kind.into()),
        };
        config.insert("rope_scaling".into(), Value::Object(scaling));
        Ok(())
    }
}
