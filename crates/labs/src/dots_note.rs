//! dots3-note, of rednote's dots (page `dots`).
//!
//! | family | mixer                                        | ffn                               |
//! |--------|----------------------------------------------|-----------------------------------|
//! | note   | latent, a gate for each head, the shared key | as DeepSeek-V3, the shared FFN of |
//! |        | normed; by layer an indexer, or a window     | its own width                     |
//! |        | with other widths                            |                                   |

use crate::attention::is_windowed;
use crate::common::{aside, decoder, pre_norm, swiglu};
use crate::experts::noaux;
use crate::gguf::windowed::DOTS_NOTE;
use crate::latent::{Widths, indexed, rank_scaled, unrotated};
use crate::{Config, Family, Gguf, Result, voices};
use baimo_blueprint::{
    Blueprint, Ffn, Latent, Linear, Mixer, Norm, Query, Rope, RopeStyle, Shared,
};
use serde_json::Value;

/// As the hub has it: with vision and audio.
pub const NOTE: Family = Family {
    architecture: "Dots3NoteForConditionalGeneration",
    models: "dots3-note-prev (its text part)",
    blueprint: Some(note),
    gguf: Some(Gguf::read_as("dots3note")),
    voices: &[&voices::DOTS],
};

/// The text part alone.
pub const NOTE_TEXT: Family =
    Family { architecture: "Dots3NoteForCausalLM", gguf: Some(DOTS_NOTE), ..NOTE };

fn note(c: &Config) -> Result<Blueprint> {
    c.waive(&["vision_config", "audio_config"]);
    c.waive(&["image_token_id", "video_token_id", "audio_token_id"]);
    c.only("use_dsa", true)?;
    for key in ["rope_scaling", "rope_parameters", "per_layer_config", "text_config"] {
        c.only(key, Value::Null)?;
    }
    let on = c.flag_or("use_sliding_window", true)?;
    let mut blueprint = decoder(c, |index, prefix| {
        let name = format!("{prefix}.self_attn");
        // Both are read in every layer, so that no key stays unread.
        let windowed = windowed(c, &name)?;
        let whole = mixer(c, &name, "", c.positive_or("rope_theta", 8e7)?)?;
        let whole = indexed(c, &name, whole, RopeStyle::Interleaved)?;
        let mixer = if is_windowed(c, index, on && index >= 2 && index % 4 != 1)? {
            windowed
        } else {
            whole
        };
        pre_norm(c, prefix, Mixer::Latent(mixer), ffn(c, index, prefix)?)
    })?;
    blueprint.set_aside.push(aside("vision_encoder.*", "vision encoder"));
    blueprint.set_aside.push(aside("audio_encoder.*", "audio encoder"));
    Ok(blueprint)
}

fn windowed(c: &Config, name: &str) -> Result<Latent> {
    let mixer = mixer(c, name, "swa_", c.positive_or("swa_rope_theta", 5e4)?)?;
    let window = match c.size_option("sliding_window")? {
        Some(window) => window,
        None => c.size_or("sliding_window_size", 512)?,
    };
    Ok(Latent { window: Some(window), ..mixer })
}

/// Widths come from keys with this prefix; every norm has the configuration's eps.
fn mixer(c: &Config, name: &str, prefix: &str, theta: f64) -> Result<Latent> {
    let mixer = unrotated(c, name, &Widths::read(c, prefix, None)?)?;
    let mut mixer = rank_scaled(c, mixer, true, true)?;
    let eps = c.float("rms_norm_eps")? as f32;
    mixer.kv_norm.eps = eps;
    if let Query::LowRank { norm, .. } = &mut mixer.query {
        norm.eps = eps;
    }
    let key_norm = format!("{name}.k_rope_only_layernorm");
    mixer.rope_norm = Some(Norm::new(&key_norm, mixer.rope_dim, eps));
    mixer.rope = Some(Rope::new(mixer.rope_dim, RopeStyle::Interleaved, theta));
    mixer.gate = Some(Linear::new(&format!("{name}.g_proj"), mixer.heads, c.size("hidden_size")?));
    Ok(mixer)
}

fn ffn(c: &Config, index: usize, prefix: &str) -> Result<Ffn> {
    let (count, key) = (c.size_or("n_shared_experts", 1)?, "moe_shared_expert_intermediate_size");
    let width = count * c.size_or(key, 1536)?;
    let mut ffn = noaux(c, index, prefix)?;
    match &mut ffn {
        Ffn::Dense(_) | Ffn::Plain(_) => (),
        Ffn::Experts(experts) => {
            let dense = swiglu(c, &format!("{prefix}.mlp.shared_experts"), width)?;
            experts.shared = Some(Shared { dense, gate: None });
        }
    }
    Ok(ffn)
}
