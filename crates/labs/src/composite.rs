//! A text model inside the checkpoint of a larger one: a configuration within the configuration,
//! and tensors in a folder of their own.

use crate::error::{Error, Result};
use crate::quantization::quantization;
use crate::{Config, family};
use baimo_blueprint::{Blueprint, Tensor};

/// Where a checkpoint holds its text model.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// What stands in place of the folder `model`.
    pub model: &'static str,
    /// What stands before names outside of that folder.
    pub outside: &'static str,
}

impl Home {
    /// The name of what the text model alone calls `name`.
    pub fn name(&self, name: &str) -> String {
        match name.strip_prefix("model") {
            Some(inside) => format!("{}{inside}", self.model),
            None => format!("{}{name}", self.outside),
        }
    }

    /// The tensor at home here.
    pub fn tensor(&self, tensor: Tensor) -> Tensor {
        Tensor { name: self.name(&tensor.name), ..tensor }
    }
}

/// The text models that are found inside larger ones: their kind, where the configuration names no
/// architecture, and the architecture.
const TEXT_MODELS: &[(&str, &str)] = &[
    ("internlm2", "InternLM2ForCausalLM"),
    ("llama", "LlamaForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "Qwen3ForCausalLM"),
    ("qwen3_moe", "Qwen3MoeForCausalLM"),
];

/// What old configurations of a part list besides: defaults of generation and of the library.
const DEFAULTS: &[&str] = &[
    "_commit_hash",
    "add_cross_attention",
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "prefix",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "top_k",
    "top_p",
    "torchscript",
    "typical_p",
    "use_bfloat16",
];

/// The Blueprint of the text model whose configuration is at `key`, with its tensors at `home`.
/// Where the whole says whether the head is tied, it must say what the text model comes to.
pub fn text_model(c: &Config, key: &str, home: Home) -> Result<Blueprint> {
    let Some(text) = c.part(key)? else {
        return Err(c.unsupported(key, "the configuration of the text model"));
    };
    quantization(c)?;
    text.waive(DEFAULTS);
    text.move_to(home);
    let kind = text.text_option("model_type")?.unwrap_or_default();
    let of_kind = TEXT_MODELS.iter().find(|(name, _)| *name == kind).map(|(_, name)| *name);
    let named = text.first_text("architectures");
    let Some(architecture) = named.or_else(|| of_kind.map(str::to_owned)) else {
        let wanted = "the kind of a text model that has a page here";
        return Err(Error::Missing { key: text.key("architectures"), wanted });
    };
    let page = family(&architecture)
        .filter(|_| TEXT_MODELS.iter().any(|(_, known)| *known == architecture))
        .ok_or_else(|| text.unsupported("architectures", "a text model that runs inside others"))?;
    let mut blueprint = page(&text)?;
    text.finish("the text model")?;
    if c.has("tie_word_embeddings") {
        c.only("tie_word_embeddings", blueprint.is_tied())?;
    }
    blueprint.architecture = c.first_text("architectures").unwrap_or_default();
    Ok(blueprint)
}
