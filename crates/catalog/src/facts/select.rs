//! Which rows of the catalog somebody wants to see, and what they would take of memory.

use super::{Catalog, Date, Kind, Lab, Model};
use baimo_weights::Target;

/// Wishes that a row has to meet, all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What rows are about; `None` is any.
    pub kind: Option<Kind>,
    /// Parts of a lab's name in either script, of its house or its file; empty is any lab.
    pub labs: Vec<String>,
    /// Out of [`ACCESS`](super::field::ACCESS).
    pub weights: Option<&'static str>,
    /// What goes in or comes out, all of these.
    pub modalities: Vec<String>,
    /// Only what baimo runs.
    pub runs: bool,
    /// Most bytes of weights, of the type beside. Rows of unknown size are left out.
    pub bytes_max: Option<(u64, Target)>,
    /// Rows that may be as new as this. Rows of unknown date are left out.
    pub since: Option<Date>,
}

impl Selection {
    /// Whether a row meets all wishes.
    pub fn takes(&self, lab: &Lab, model: &Model) -> bool {
        let told = |key: &str, word: &String| model.modalities(key).contains(word);
        self.kind.is_none_or(|kind| model.kind == kind)
            && (self.labs.is_empty() || self.labs.iter().any(|part| lab.is_called(part)))
            && self.weights.is_none_or(|weights| model.text("weights") == Some(weights))
            && self.modalities.iter().all(|word| told("input", word) || told("output", word))
            && (!self.runs || model.runs())
            && self
                .bytes_max
                .is_none_or(|(most, target)| model.bytes(target).is_some_and(|bytes| bytes <= most))
            && self.since.is_none_or(|since| {
                model.released().is_some_and(|released| released.may_be_since(since))
            })
    }
}

impl Catalog {
    /// The rows that meet all wishes, in the catalog's order.
    pub fn select(&self, selection: &Selection) -> Vec<(&Lab, &Model)> {
        self.rows().filter(|(lab, model)| selection.takes(lab, model)).collect()
    }
}

impl Lab {
    /// Whether a name of it has this part, whatever the case.
    pub fn is_called(&self, part: &str) -> bool {
        let part = part.to_lowercase();
        let names = [&*self.id, &*self.name, &*self.hanzi, self.text("house").unwrap_or_default()];
        names.iter().any(|name| name.to_lowercase().contains(&part))
    }
}

impl Model {
    /// Bytes of all weights in a type: parameters times bits, so an estimate. Native weights count
    /// 16 bits, as most checkpoints have them. `None` where the size is not known.
    pub fn bytes(&self, target: Target) -> Option<u64> {
        const NATIVE: f64 = 16.0;
        let parameters = self.parameters("total")?.count as f64;
        Some((parameters * target.bits_per_weight().unwrap_or(NATIVE) / 8.0) as u64)
    }
}
