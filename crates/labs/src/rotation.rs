//! Rope settings, which checkpoints spell in three ways: `rope_theta` with `rope_scaling`, or both
//! inside `rope_parameters`; the kind of scaling as `rope_type` or `type`.

use crate::Config;
use crate::error::Result;
use baimo_blueprint::{Rope, RopeScaling, RopeStyle};

/// What a configuration says of rotations.
pub(crate) struct Rotation {
    theta: f64,
    scaling: RopeScaling,
    /// Part of each head that is rotated.
    pub partial: Option<f64>,
    /// YaRN's correction of the softmax scale (squared already), 1 where there is none.
    pub softmax_scale: f64,
}

impl Rotation {
    /// Reads every rope key of the configuration.
    pub fn read(c: &Config) -> Result<Rotation> {
        Rotation::read_or(c, 10_000.0)
    }

    /// As [`Rotation::read`], with this base where the configuration has none.
    pub fn read_or(c: &Config, theta: f64) -> Result<Rotation> {
        let context = c.size("max_position_embeddings")?;
        let (parameters, scaling) = (c.part("rope_parameters")?, c.part("rope_scaling")?);
        let mut theta = c.positive_or("rope_theta", theta)?;
        let mut partial = c.float_option("partial_rotary_factor")?;
        if let Some(part) = &parameters {
            theta = part.positive_or("rope_theta", theta)?;
            partial = part.float_option("partial_rotary_factor")?.or(partial);
        }
        let mut rotation =
            Rotation { theta, scaling: RopeScaling::None, partial, softmax_scale: 1.0 };
        if let Some(part) = scaling.or(parameters) {
            rotation.read_scaling(&part, context)?;
            part.finish("rope")?;
        }
        Ok(rotation)
    }

    /// A rotation of one kind of layer: as `rope_parameters` says of that kind, or else of this
    /// base and part, with `rope_scaling` where the kind is `scaled`.
    pub fn of_kind(
        c: &Config,
        kind: &str,
        theta: f64,
        partial: f64,
        scaled: bool,
    ) -> Result<Rotation> {
        let context = c.size("max_position_embeddings")?;
        let plain = |theta, partial| Rotation {
            theta,
            scaling: RopeScaling::None,
            partial: Some(partial),
            softmax_scale: 1.0,
        };
        let kinds = c.part("rope_parameters")?;
        if let Some(part) = kinds.as_ref().and_then(|kinds| kinds.part(kind).transpose()) {
            let part = part?;
            let partial = part.float_or("partial_rotary_factor", partial)?;
            let mut rotation = plain(part.positive_or("rope_theta", theta)?, partial);
            rotation.read_scaling(&part, context)?;
            part.finish("rope")?;
            return Ok(rotation);
        }
        let mut rotation = plain(theta, partial);
        if let Some(part) = c.part("rope_scaling")? {
            rotation.read_scaling(&part, context)?;
            part.finish("rope")?;
        }
        Ok(if scaled { rotation } else { plain(theta, partial) })
    }

    fn read_scaling(&mut self, part: &Config, context: usize) -> Result<()> {
        let (kind, plain) = (part.text_option("rope_type")?, part.text_option("type")?);
        let factor = part.positive_or("factor", 1.0)?;
        let original = part.size_or("original_max_position_embeddings", context)?;
        part.waive(&["rope_theta", "partial_rotary_factor"]);
        // Which pairs turn by time, height and width: in text the three are one position.
        part.waive(&["mrope_section", "mrope_interleaved"]);
        self.scaling = match kind.or(plain).unwrap_or("default") {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor },
            // With `alpha` the stretched base is fixed, and nothing else in the part counts.
            "dynamic" if part.has("alpha") => {
                part.waive(&["beta_fast", "beta_slow", "mscale", "mscale_all_dim"]);
                RopeScaling::Ntk { alpha: part.positive_or("alpha", 1.0)? }
            }
            "dynamic" => dynamic(part, "factor", context)?,
            "llama3" => RopeScaling::Llama3 {
                factor,
                low: part.float("low_freq_factor")?,
                high: part.float("high_freq_factor")?,
                original,
            },
            "yarn" => self.yarn(part, factor, original)?,
            "longrope" => long(part, context, original)?,
            _ => {
                let key = if kind.is_some() { "rope_type" } else { "type" };
                return Err(
                    part.unsupported(key, "default, linear, dynamic, llama3, yarn or longrope")
                );
            }
        };
        Ok(())
    }

    /// `mscale` and `mscale_all_dim` are DeepSeek-V2's: sine and cosine take their ratio, the
    /// softmax scale the square of the second (modeling_deepseek.py of that release).
    fn yarn(&mut self, part: &Config, factor: f64, original: usize) -> Result<RopeScaling> {
        let correction = |weight: f64| match factor > 1.0 {
            true => 0.1 * weight * factor.ln() + 1.0,
            false => 1.0,
        };
        let mscale = part.float_or("mscale", 0.0)?;
        let all_dims = part.float_or("mscale_all_dim", 0.0)?;
        let attention = match part.float_option("attention_factor")? {
            Some(given) => given,
            None if mscale != 0.0 && all_dims != 0.0 => correction(mscale) / correction(all_dims),
            None => correction(1.0),
        };
        if all_dims != 0.0 {
            self.softmax_scale = correction(all_dims).powi(2);
        }
        Ok(RopeScaling::Yarn {
            factor,
            beta_fast: part.float_or("beta_fast", 32.0)?,
            beta_slow: part.float_or("beta_slow", 1.0)?,
            truncate: part.flag_or("truncate", true)?,
            original,
            attention: attention as f32,
        })
    }

    /// A rotation of `dim` numbers.
    pub fn rope(&self, c: &Config, dim: usize, style: RopeStyle) -> Result<Rope> {
        if let RopeScaling::Long { short, long, .. } = &self.scaling
            && [short.len(), long.len()] != [dim / 2; 2]
        {
            let wanted = format!("{} numbers each in short_factor and long_factor", dim / 2);
            return Err(c.unsupported("rope_scaling", wanted));
        }
        Ok(Rope { scaling: self.scaling.clone(), ..Rope::new(dim, style, self.theta) })
    }

    /// A rotation of the first part of a head: `partial_rotary_factor` of it, or `default`.
    pub fn partial(
        &self,
        c: &Config,
        head_dim: usize,
        default: f64,
        style: RopeStyle,
    ) -> Result<Rope> {
        let dim = (head_dim as f64 * self.partial.unwrap_or(default)) as usize;
        self.first(c, "partial_rotary_factor", dim, head_dim, style)
    }

    /// A rotation of the first `dim` numbers of a head, which were read from `key`.
    pub fn first(
        &self,
        c: &Config,
        key: &str,
        dim: usize,
        head_dim: usize,
        style: RopeStyle,
    ) -> Result<Rope> {
        if dim == 0 || !dim.is_multiple_of(2) || dim > head_dim {
            let wanted = format!("pairs to rotate within a head of {head_dim}, not {dim} numbers");
            return Err(c.unsupported(key, wanted));
        }
        self.rope(c, dim, style)
    }
}

/// Dynamic NTK; `key` says how much longer than `original` the context is.
pub(crate) fn dynamic(part: &Config, key: &str, original: usize) -> Result<RopeScaling> {
    match part.positive_or(key, 1.0)? {
        factor if factor <= 4096.0 => Ok(RopeScaling::Dynamic { factor, original }),
        _ => Err(part.unsupported(key, "at most 4096")),
    }
}

/// The correction of sine and cosine is the paper's (arXiv:2402.13753), for the ratio of contexts
/// where no factor is given.
fn long(part: &Config, context: usize, original: usize) -> Result<RopeScaling> {
    let factors = |key: &str| -> Result<Vec<f32>> {
        let factors = part.floats(key)?;
        match factors.iter().all(|factor| *factor >= 1e-6 && *factor <= 1e6) {
            true => Ok(factors.into_iter().map(|factor| factor as f32).collect()),
            false => Err(part.unsupported(key, "numbers from 1e-6 to 1e6")),
        }
    };
    if original < 2 {
        return Err(part.unsupported("original_max_position_embeddings", "at least 2"));
    }
    let stretch = part.positive_or("factor", context as f64 / original as f64)?;
    let correction = match stretch > 1.0 {
        true => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
        false => 1.0,
    };
    Ok(RopeScaling::Long {
        short: factors("short_factor")?,
        long: factors("long_factor")?,
        original,
        attention: part.float_or("attention_factor", correction)? as f32,
    })
}
