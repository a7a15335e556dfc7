//! Whether a written header says the model that it was written of.

use super::write::inexpressible;
use super::{GgufHeader, GgufOutline, GgufTensors};
use crate::error::Result;
use baimo_blueprint::{Blueprint, Layer, Mixer, Rope, RopeScaling, RopeStyle};
use serde_json::{Map, Value};

impl GgufOutline {
    /// Reads a header that was written by this outline, with the tensors that are going to follow
    /// it, and compares: the file says the model of `blueprint`.
    ///
    /// # Errors
    /// Where it says another, the first part that differs; or where it cannot be read.
    pub fn check(
        &self,
        written: &Map<String, Value>,
        tensors: &dyn GgufTensors,
        blueprint: &Blueprint,
    ) -> Result<()> {
        let read = GgufHeader::new(written, tensors)?.blueprint()?;
        let wanted = self.translated(blueprint, &read);
        if wanted == read {
            return Ok(());
        }
        let place = difference(&format!("{wanted:#?}"), &format!("{read:#?}"));
        Err(inexpressible(blueprint, &place))
    }

    /// The Blueprint in the words of a file: the same arithmetic, other ways to say it.
    fn translated(&self, blueprint: &Blueprint, read: &Blueprint) -> Blueprint {
        let mut wanted = blueprint.clone();
        // One architecture of files stands for several, and says nothing of what is left out.
        wanted.architecture.clone_from(&read.architecture);
        wanted.set_aside.clone_from(&read.set_aside);
        let mixers = wanted.layers.iter_mut().flat_map(Layer::mixers_mut);
        let others = read.layers.iter().flat_map(Layer::mixers);
        for (mixer, other) in mixers.zip(others) {
            if let (Mixer::Softmax(mixer), Mixer::Softmax(other)) = (&mut *mixer, other) {
                let ropes = (mixer.rope.as_mut(), other.rope.as_ref());
                let (Some(rope), Some(other)) = ropes else { continue };
                rounded(rope, other);
                if self.interleaved_qk {
                    rope.style = RopeStyle::Interleaved;
                }
                // Of a layer with a window, the divisors would not be read.
                if let Some(by) = rope.divisors().filter(|_| mixer.window.is_none()) {
                    rope.scaling = RopeScaling::Divided { by };
                }
            } else if let (Mixer::Latent(mixer), Mixer::Latent(other)) = (mixer, other) {
                near(&mut mixer.scale, other.scale);
                if let (Some(rope), Some(other)) = (mixer.rope.as_mut(), other.rope.as_ref()) {
                    rounded(rope, other);
                }
            }
        }
        wanted
    }
}

/// Takes over what is multiplied anew from a rounded key.
fn rounded(rope: &mut Rope, other: &Rope) {
    if let (RopeScaling::Yarn { attention, .. }, RopeScaling::Yarn { attention: read, .. }) =
        (&mut rope.scaling, &other.scaling)
    {
        near(attention, *read);
    }
}

/// Of a product of which a factor passed through binary32.
const ROUNDING: f32 = 1e-6;

fn near(wanted: &mut f32, read: f32) {
    if (*wanted - read).abs() <= ROUNDING * wanted.abs() {
        *wanted = read;
    }
}

/// Where two values, printed line by line, begin to differ: the path of the field, and what each
/// has there.
fn difference(wanted: &str, read: &str) -> String {
    const INDENT: usize = 4;
    // Of each line that is open: its name, and how many items it had so far if it is a list.
    let mut open: Vec<(String, Option<usize>)> = Vec::new();
    for (wanted, read) in wanted.lines().zip(read.lines()) {
        let text = wanted.trim_start();
        open.truncate((wanted.len() - text.len()) / INDENT);
        let closes = text.starts_with(['}', ']', ')']);
        let name = match (text.split_once(": "), open.last_mut()) {
            (Some((name, _)), _) if !name.starts_with('"') => format!(".{name}"),
            (_, Some((_, Some(items)))) if !closes => {
                *items += 1;
                format!("[{}]", *items - 1)
            }
            _ => String::new(),
        };
        open.push((name, text.ends_with('[').then_some(0)));
        if wanted != read {
            let path: String = open.iter().map(|(name, _)| name.as_str()).collect();
            let (path, here, there) = (path.trim_start_matches('.'), value(wanted), value(read));
            return format!("`{path}`, {here} here and {there} in the file,");
        }
    }
    "its end".to_owned()
}

/// What a printed line has behind its name.
fn value(line: &str) -> &str {
    let line = line.trim();
    let value = line.split_once(": ").map_or(line, |(_, value)| value);
    value.trim_end_matches([',', ' ', '(', '{', '['])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GgufValue, blueprint};
    use serde_json::json;

    struct Written(Vec<(String, Vec<f32>)>);

    impl GgufTensors for Written {
        fn shape(&self, name: &str) -> Option<Vec<usize>> {
            match name {
                "token_embd.weight" | "output.weight" => Some(vec![128, 64]),
                _ => self.floats(name).map(|numbers| vec![numbers.len()]),
            }
        }

        fn floats(&self, name: &str) -> Option<Vec<f32>> {
            self.0.iter().find(|(other, _)| other == name).map(|(_, numbers)| numbers.clone())
        }
    }

    fn config() -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"], "vocab_size": 128, "hidden_act": "silu",
            "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 1024, "rope_theta": 1e4, "tie_word_embeddings": false,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 128,
            },
        })
    }

    /// The check of what an outline writes, after `change`.
    fn check(change: impl Fn(&mut Map<String, Value>, &mut Vec<f32>)) -> Result<()> {
        let config = config();
        let blueprint = blueprint(&config)?;
        let outline = GgufOutline::new(&config, &blueprint)?;
        let json = |value: &GgufValue| match value {
            GgufValue::Count(count) => json!(count),
            GgufValue::Number(number) => json!(number.to_string().parse::<f64>().unwrap_or(0.0)),
            GgufValue::Flag(flag) => json!(flag),
            GgufValue::Text(text) => json!(text),
        };
        let pairs = outline.pairs.iter().map(|(key, value)| (key.clone(), json(value)));
        let mut written: Map<String, Value> = pairs.collect();
        let mut divisors = outline.rope_divisors.clone().expect("of this scaling");
        change(&mut written, &mut divisors);
        let tensors = Written(vec![("rope_freqs.weight".into(), divisors)]);
        outline.check(&written, &tensors, &blueprint)
    }

    #[test]
    fn a_header_that_says_another_model_is_refused_by_the_field() {
        assert_eq!(check(|_, _| ()), Ok(()));
        let set = |key: &'static str, value: Value| {
            let told = check(|written, _| {
                written.insert(key.to_owned(), value.clone());
            });
            told.expect_err("another model").to_string()
        };
        let told = set("llama.rope.freq_base", json!(1e5));
        assert!(told.contains("rope") && told.contains(".theta`, 10000.0 here"), "{told}");
        let told = set("llama.attention.layer_norm_rms_epsilon", json!(1e-6));
        assert!(told.contains(".eps`, 1e-5 here and 1e-6 in the file"), "{told}");
        let told = set("llama.attention.head_count_kv", json!(4));
        assert!(told.contains("layers[0].sublayers[0]"), "{told}");
    }

    #[test]
    fn other_divisors_than_the_scaling_comes_to_are_seen() {
        let told = check(|_, divisors| divisors[7] *= 1.001).expect_err("another rotation");
        assert!(told.to_string().contains("scaling"), "{told}");
        let told = check(|_, divisors| divisors.fill(1.0)).expect_err("no scaling");
        assert!(told.to_string().contains("scaling"), "{told}");
    }
}
