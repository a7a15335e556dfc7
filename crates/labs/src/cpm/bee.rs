//! CPM-Bee: prompts are dictionaries.

use super::{DISTANCE_MAX, attention, bias, ffn, outer};
use crate::common::{aside, frame};
use crate::{Config, Result};
use baimo_blueprint::{Blueprint, Layer, Prefix, PrefixEnd, Segments, Sublayer};

/// Steps between segments are counted to less than this.
const DEPTH_MAX: usize = 8;

/// A prompt is a dictionary: segments of the root, of each key and of each value, of which the last
/// is written. (Deeper dictionaries and the numbers of repeated special tokens are not told apart.)
pub fn bee(c: &Config) -> Result<Blueprint> {
    // What is rotated in the reference are special tokens by their number, of which each has 0.
    c.waive(&["distance_scale", "dropout_p", "half", "init_std", "tie_word_embeddings"]);
    let hidden = (c.size("hidden_size")? as f64).sqrt();
    let inner = (c.size("dim_ff")? as f64).sqrt();
    let values = ((c.size("num_attention_heads")? * c.size("dim_head")?) as f64).sqrt();
    let key = "position_bias_num_segment_buckets";
    let relations = c.at_most(key, c.size_or(key, 32)?, DISTANCE_MAX)?;
    // Two steps up and two down are the farthest relation.
    if relations <= 2 * DEPTH_MAX + 2 {
        return Err(c.unsupported(key, format!("more than {}", 2 * DEPTH_MAX + 2)));
    }
    let table = bias(c, "cpmbee", 256, relations)?;
    let mut blueprint = frame(c, outer(c, "cpmbee", 0)?, false, |index, prefix| {
        let key = "mask_modules";
        let pruned = c.flags_at(key, index)?;
        let (without_mixer, without_ffn) = match pruned[..] {
            [] => (false, false),
            [mixer, ffn] => (mixer, ffn),
            _ => return Err(c.unsupported(key, "two flags for each layer")),
        };
        let mut sublayers = Vec::new();
        if !without_mixer {
            sublayers.push(scaled(attention(c, prefix, &table)?, hidden, values));
        }
        if !without_ffn {
            sublayers.push(scaled(ffn(c, prefix)?, hidden, inner));
        }
        Ok(Layer { sublayers })
    })?;
    blueprint.embedding_scale = hidden.recip() as f32;
    blueprint.logit_scale = hidden.recip() as f32;
    blueprint.head.weight = blueprint.embedding.clone();
    blueprint.set_aside.push(aside("lm_head.*", "a head that is not used"));
    let key = "bos_token_id";
    let start = c.at_most(key, c.count_or(key, 6)?, blueprint.vocab - 1)? as u32;
    blueprint.prefix = Some(Prefix {
        lead: 0..0,
        end: PrefixEnd::BeforeLast(start),
        gaps: Vec::new(),
        segments: Some(Segments::Tree { start, depth_max: DEPTH_MAX }),
    });
    Ok(blueprint)
}

/// What maps give is divided by the root of what they take; so is the sum by 1.05.
fn scaled(mut sublayer: Sublayer, taken: f64, given: f64) -> Sublayer {
    const SHRINK: f64 = 1.05;
    let residual = &mut sublayer.residual;
    residual.skip_scale = SHRINK.recip() as f32;
    residual.scale = (SHRINK * given).recip() as f32;
    if let Some(norm) = &mut residual.before {
        norm.scale = taken.recip() as f32;
    }
    sublayer
}
