//! From a checkpoint's Blueprint to the header of a GGUF file that says the same: the inverse of
//! reading one. What is written is read again and compared ([`super::same`]), so that a model of
//! which the keys cannot tell everything is refused and not written wrongly.

use super::Gguf;
use crate::LABS;
use crate::error::{Error, Result};
use baimo_blueprint::{
    Blueprint, Experts, Ffn, Latent, Layer, Mixer, Query, Rope, RopeScaling, Scores, Softmax,
};
use serde_json::Value;

/// A value of a header.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// A whole number, of 32 bits in the file.
    Count(u64),
    /// A float.
    Number(f32),
    /// A truth value.
    Flag(bool),
    /// A text.
    Text(String),
}

/// What the GGUF file of a model says, and how its tensors are laid out.
#[derive(Debug)]
pub struct GgufOutline {
    /// Keys and values, but for those of the tokenizer.
    pub pairs: Vec<(String, GgufValue)>,
    /// The rows of each query and key head come so that the two numbers of a rotated pair are
    /// neighbours.
    pub interleaved_qk: bool,
    /// Tensors of a layer that these files call otherwise than most: their usual names, and these.
    pub renamed: &'static [(&'static str, &'static str)],
    /// The divisors of rope frequencies, where they are a tensor of their own.
    pub rope_divisors: Option<Vec<f32>>,
}

impl GgufOutline {
    /// Of a checkpoint with this configuration, whose Blueprint is known.
    ///
    /// # Errors
    /// Names the architecture that is not written, or what the keys of its files cannot say.
    pub fn new(config: &Value, blueprint: &Blueprint) -> Result<GgufOutline> {
        let families = || LABS.iter().flat_map(|lab| lab.families);
        let own = families()
            .filter(|family| family.architecture == blueprint.architecture)
            .find_map(|family| family.gguf);
        let written = |gguf: Gguf| {
            // Whose files they are says how they are laid out.
            let mut same = families().filter_map(|family| family.gguf);
            same.find(|other| other.architecture == gguf.architecture && other.written.is_some())
        };
        let Some(gguf) = own.and_then(written) else {
            return Err(Error::NotWritten { architecture: blueprint.architecture.clone() });
        };
        let mut header = Header { architecture: gguf.architecture, pairs: Vec::new() };
        header.sizes(config, blueprint)?;
        let rope_divisors = header.mixers(config, blueprint)?;
        header.experts(blueprint)?;
        Ok(GgufOutline {
            pairs: header.pairs,
            interleaved_qk: gguf.interleaved_qk,
            renamed: gguf.written.unwrap_or_default(),
            rope_divisors,
        })
    }
}

pub(super) fn inexpressible(blueprint: &Blueprint, what: &str) -> Error {
    Error::Inexpressible { architecture: blueprint.architecture.clone(), what: what.to_owned() }
}

/// Keys and values as they come together.
struct Header {
    architecture: &'static str,
    pairs: Vec<(String, GgufValue)>,
}

impl Header {
    fn put(&mut self, key: &str, value: GgufValue) {
        self.pairs.push((format!("{}.{key}", self.architecture), value));
    }

    fn count(&mut self, key: &str, count: usize) {
        self.put(key, GgufValue::Count(count as u64));
    }

    fn number(&mut self, key: &str, number: f64) {
        self.put(key, GgufValue::Number(number as f32));
    }

    fn sizes(&mut self, config: &Value, blueprint: &Blueprint) -> Result<()> {
        let name = GgufValue::Text(self.architecture.to_owned());
        self.pairs.push(("general.architecture".into(), name));
        self.count("block_count", blueprint.layers.len());
        self.count("context_length", blueprint.context);
        self.count("embedding_length", blueprint.hidden);
        self.count("vocab_size", blueprint.vocab);
        // Where all layers have experts, the width of an FFN without them is said all the same.
        let dense = dense_width(blueprint);
        let said = config["intermediate_size"].as_u64().map(|width| width as usize);
        match dense.or(said) {
            Some(width) => self.count("feed_forward_length", width),
            None => return Err(inexpressible(blueprint, "the width of its FFN")),
        }
        self.number("attention.layer_norm_rms_epsilon", blueprint.norm.eps.into());
        Ok(())
    }

    /// Of the first; reading the header again shows whether the others are alike.
    fn mixers(&mut self, config: &Value, blueprint: &Blueprint) -> Result<Option<Vec<f32>>> {
        let first = blueprint.layers.iter().flat_map(Layer::mixers).next();
        let rope = match first {
            Some(Mixer::Softmax(mixer)) => {
                self.softmax(mixer);
                mixer.rope.as_ref()
            }
            Some(Mixer::Latent(mixer)) => {
                self.latent(mixer);
                mixer.rope.as_ref()
            }
            Some(Mixer::Reuse(_) | Mixer::Recurrent(_)) | None => None,
        };
        let rope = rope.ok_or_else(|| inexpressible(blueprint, "its mixers"))?;
        self.count("rope.dimension_count", rope.dim);
        self.number("rope.freq_base", rope.theta);
        self.scaling(config, blueprint, rope)
    }

    fn softmax(&mut self, mixer: &Softmax) {
        self.count("attention.head_count", mixer.heads);
        self.count("attention.head_count_kv", mixer.kv_heads);
        self.count("attention.key_length", mixer.qk_dim);
        self.count("attention.value_length", mixer.v_dim);
    }

    /// Keys and values are those of the one head that all query heads share: the latent.
    fn latent(&mut self, mixer: &Latent) {
        self.count("attention.head_count", mixer.heads);
        self.count("attention.head_count_kv", 1);
        self.count("attention.key_length", mixer.rank + mixer.rope_dim);
        self.count("attention.value_length", mixer.rank);
        self.count("attention.key_length_mla", mixer.nope_dim + mixer.rope_dim);
        self.count("attention.value_length_mla", mixer.v_dim);
        self.count("attention.kv_lora_rank", mixer.rank);
        if let Query::LowRank { down, .. } = &mixer.query {
            self.count("attention.q_lora_rank", down.outputs());
        }
    }

    fn scaling(
        &mut self,
        config: &Value,
        blueprint: &Blueprint,
        rope: &Rope,
    ) -> Result<Option<Vec<f32>>> {
        let kind = |text: &str| GgufValue::Text(text.to_owned());
        match &rope.scaling {
            RopeScaling::None => Ok(None),
            RopeScaling::Linear { factor } => {
                self.put("rope.scaling.type", kind("linear"));
                self.number("rope.scaling.factor", *factor);
                Ok(None)
            }
            RopeScaling::Yarn {
                factor, beta_fast, beta_slow, truncate: true, original, ..
            } => {
                self.put("rope.scaling.type", kind("yarn"));
                self.number("rope.scaling.factor", *factor);
                self.count("rope.scaling.original_context_length", *original);
                // Readers have these by themselves, and not all read others.
                if (*beta_fast, *beta_slow) != (32.0, 1.0) {
                    self.number("rope.scaling.yarn_beta_fast", *beta_fast);
                    self.number("rope.scaling.yarn_beta_slow", *beta_slow);
                }
                let parts = [&config["rope_scaling"], &config["rope_parameters"]];
                let all_dims = parts.iter().find_map(|part| part["mscale_all_dim"].as_f64());
                if let Some(all_dims) = all_dims.filter(|all_dims| *all_dims != 0.0) {
                    self.number("rope.scaling.yarn_log_multiplier", 0.1 * all_dims);
                }
                Ok(None)
            }
            RopeScaling::Llama3 { .. } => Ok(rope.divisors()),
            RopeScaling::Divided { .. }
            | RopeScaling::Yarn { .. }
            | RopeScaling::Ntk { .. }
            | RopeScaling::Long { .. }
            | RopeScaling::Steps { .. }
            | RopeScaling::Dynamic { .. } => Err(inexpressible(blueprint, "its rope scaling")),
        }
    }

    /// Readers of files with latent attention ask for these keys even so, for any width.
    fn no_experts(&mut self, blueprint: &Blueprint) {
        self.count("leading_dense_block_count", blueprint.layers.len());
        self.count("expert_feed_forward_length", dense_width(blueprint).unwrap_or(0));
        self.count("expert_shared_count", 0);
    }

    fn experts(&mut self, blueprint: &Blueprint) -> Result<()> {
        let experts = ffns(blueprint).find_map(|ffn| match ffn {
            Ffn::Experts(experts) => Some(experts),
            Ffn::Dense(_) | Ffn::Plain(_) => None,
        });
        let Some(Experts { count, active, width, router, shared, .. }) = experts else {
            let mut mixers = blueprint.layers.iter().flat_map(Layer::mixers);
            if mixers.any(|mixer| matches!(mixer, Mixer::Latent(_))) {
                self.no_experts(blueprint);
            }
            return Ok(());
        };
        let dense = ffns(blueprint).take_while(|ffn| matches!(ffn, Ffn::Dense(_))).count();
        self.count("leading_dense_block_count", dense);
        self.count("expert_count", *count);
        self.count("expert_used_count", *active);
        self.count("expert_feed_forward_length", *width);
        self.number("expert_weights_scale", router.scale.into());
        self.put("expert_weights_norm", GgufValue::Flag(router.renormalize.is_some()));
        self.count(
            "expert_gating_func",
            match router.scores {
                Scores::Softmax => 1,
                Scores::Sigmoid => 2,
            },
        );
        // Where files do not say it, readers know some releases by their numbers of experts.
        let (groups, kept) = router.groups.map_or((1, 1), |limit| (limit.groups, limit.kept));
        self.count("expert_group_count", groups);
        self.count("expert_group_used_count", kept);
        match shared {
            Some(shared) if shared.gate.is_some() => {
                self.count("expert_shared_feed_forward_length", shared.dense.width);
            }
            Some(shared) => {
                let count = shared.dense.width.checked_div(*width).unwrap_or(0);
                self.count("expert_shared_count", count);
            }
            None => {}
        }
        Ok(())
    }
}

fn ffns(blueprint: &Blueprint) -> impl Iterator<Item = &Ffn> {
    blueprint.layers.iter().flat_map(Layer::ffns)
}

/// Of the first FFN that every token meets.
fn dense_width(blueprint: &Blueprint) -> Option<usize> {
    ffns(blueprint).find_map(|ffn| match ffn {
        Ffn::Dense(dense) => Some(dense.width),
        Ffn::Plain(_) | Ffn::Experts(_) => None,
    })
}
