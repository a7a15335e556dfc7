//! Maps that a converter was asked to write as one, whatever the family.

use super::{GgufHeader, softmax_mixers};
use crate::fused;
use baimo_blueprint::{Blueprint, Fold, Softmax};

impl GgufHeader<'_> {
    /// Takes queries, keys and values from `attn_qkv` where a family that has a tensor for each
    /// finds that one in its place.
    pub(super) fn join(&self, blueprint: &mut Blueprint) {
        for mixer in softmax_mixers(blueprint) {
            let Some(name) = whole(mixer) else { continue };
            let Some(layer) = name.split('.').find_map(|part| part.parse::<u64>().ok()) else {
                continue;
            };
            let has = |ending: &str| self.has_tensor(&format!("blk.{layer}.attn_qkv.{ending}"));
            if has("weight") {
                let biases = [&mixer.q, &mixer.k, &mixer.v].map(|map| map.bias.clone());
                let joined = has("bias");
                *mixer = fused::blocks(mixer.clone(), &name, joined);
                // Biases may have stayed apart.
                if let (false, [q, k, v]) = (joined, biases) {
                    (mixer.q.bias, mixer.k.bias, mixer.v.bias) = (q, k, v);
                }
            }
        }
    }
}

/// What the three would be called together, where each is a tensor of its own, taken as stored.
fn whole(mixer: &Softmax) -> Option<String> {
    let maps = [&mixer.q, &mixer.k, &mixer.v];
    let apart = maps.iter().all(|map| map.weight.fold == Fold::AsStored) && mixer.q_low.is_none();
    let folder = mixer.q.weight.name.strip_suffix("q_proj.weight")?;
    apart.then(|| format!("{folder}qkv_proj"))
}
