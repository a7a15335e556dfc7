//! The architecture as text, drawn from the Blueprint alone.

use crate::{
    Block, Blocks, Blueprint, Choice, Clamp, ClampOrder, Curve, Decay, Experts, Ffn, GroupScore,
    Latent, Layer, Linear, LookupBy, Mixer, Norm, NormOrder, Prefix, PrefixEnd, Query, Recurrent,
    Residual, Reuse, Rope, RopeScaling, RopeStyle, Scores, Sharing, Skip, Softmax, Write,
};
use std::fmt::{Display, Formatter, Result};

impl Display for Blueprint {
    /// Several lines: the frame of the model and its layers by kind.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "{}: {} layers, hidden {}, vocabulary {}, context {}",
            self.architecture,
            self.layers.len(),
            self.hidden,
            self.vocab,
            self.context
        )?;
        let scaled = |scale: f32| match scale {
            1.0 => String::new(),
            _ => format!(" × {scale}"),
        };
        let embedding = scaled(self.embedding_scale);
        writeln!(f, "  embedding {:?}{embedding}", self.embedding.shape)?;
        for lookup in &self.lookups {
            match lookup.by {
                LookupBy::Kind { .. } => writeln!(f, "  and a row for the kind of text")?,
            }
        }
        if let Some(ngrams) = &self.ngrams {
            let (tables, longest) = (ngrams.tables.len(), ngrams.longest());
            writeln!(f, "  with runs of up to {longest} tokens, in {tables} tables")?;
        }
        if let Some(prefix) = &self.prefix {
            writeln!(f, "  {prefix}")?;
        }
        for (range, layer) in self.layer_kinds() {
            writeln!(f, "  layers {range}")?;
            write!(f, "{layer}")?;
        }
        let tied = if self.is_tied() { ", tied to the embedding" } else { "" };
        let logits = scaled(self.logit_scale);
        writeln!(f, "  norm, head [{}, {}]{logits}{tied}", self.vocab, self.hidden)?;
        for aside in &self.set_aside {
            writeln!(f, "  set aside: {} ({})", aside.what, aside.pattern)?;
        }
        Ok(())
    }
}

impl Display for Prefix {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "read in both directions: ")?;
        if !self.lead.is_empty() {
            write!(f, "{} learned rows and ", self.lead.len())?;
        }
        match self.end {
            PrefixEnd::Prompt => write!(f, "the prompt"),
            PrefixEnd::Before(token) => write!(f, "the prompt up to token {token}"),
            PrefixEnd::BeforeLast(token) => write!(f, "the prompt up to its last token {token}"),
        }
    }
}

impl Blueprint {
    /// The layers by kind: runs of neighbours that are drawn alike, with their range (`0-2`).
    pub fn layer_kinds(&self) -> Vec<(String, &Layer)> {
        let mut kinds: Vec<(usize, usize, &Layer, String)> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let drawn = layer.to_string();
            match kinds.last_mut() {
                Some((_, last, _, before)) if *before == drawn => *last = index,
                Some(_) | None => kinds.push((index, index, layer, drawn)),
            }
        }
        kinds
            .into_iter()
            .map(|(first, last, layer, _)| {
                let range =
                    if first == last { first.to_string() } else { format!("{first}-{last}") };
                (range, layer)
            })
            .collect()
    }
}

impl Display for Layer {
    /// One line per sublayer.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let last = self.sublayers.len().saturating_sub(1);
        for (index, sublayer) in self.sublayers.iter().enumerate() {
            let branch = if index == last { "└" } else { "├" };
            writeln!(f, "    {branch} {}: {}", sublayer.residual, sublayer.block)?;
        }
        Ok(())
    }
}

impl Display for Residual {
    /// As a formula.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let normed = |norm: &Option<Norm>, x: String| match norm {
            Some(_) => format!("norm({x})"),
            None => x,
        };
        let scaled = |scale: f32, x: String| match scale {
            1.0 => x,
            _ => format!("{scale} {x}"),
        };
        let input = normed(&self.before, "x".into());
        let skip = match self.skip {
            Skip::Stream => "x".into(),
            Skip::Normed => input.clone(),
        };
        let output = normed(&self.after, format!("f({input})"));
        let sum = format!("{} + {}", scaled(self.skip_scale, skip), scaled(self.scale, output));
        write!(f, "{}", normed(&self.sum, sum))
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Block::Mixer(Mixer::Softmax(mixer)) => mixer.fmt(f),
            Block::Mixer(Mixer::Reuse(mixer)) => mixer.fmt(f),
            Block::Mixer(Mixer::Latent(mixer)) => mixer.fmt(f),
            Block::Mixer(Mixer::Recurrent(mixer)) => mixer.fmt(f),
            Block::Ffn(ffn) => ffn.fmt(f),
            Block::Shortcut(shortcut) => {
                write!(f, "{}; joining at the layer's end: {}", shortcut.ffn, shortcut.later)
            }
        }
    }
}

impl Display for Ffn {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Ffn::Dense(dense) => {
                write!(f, "gated FFN, width {}", dense.width)?;
                clamped(f, dense.clamp)
            }
            Ffn::Plain(plain) => write!(f, "FFN without gate, width {}", plain.width),
            Ffn::Experts(experts) => experts.fmt(f),
        }
    }
}

impl Display for Softmax {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "softmax attention, {} heads on {} × ", self.heads, self.kv_heads)?;
        match self.qk_dim == self.v_dim {
            true => write!(f, "{}", self.qk_dim)?,
            false => write!(f, "({} keys, {} values)", self.qk_dim, self.v_dim)?,
        }
        if let Some(low) = &self.q_low {
            write!(f, ", query rank {}", low.down.outputs())?;
        }
        rotation(f, &self.rope, self.qk_dim)?;
        if let Some(rope) = &self.second_rope {
            write!(f, ", the next {} by what is written", rope.dim)?;
        }
        if self.alibi.is_some() {
            write!(f, ", linear biases")?;
        }
        if let Some(bias) = &self.bias {
            write!(f, ", biases by distance in {} classes", bias.buckets)?;
        }
        if let Some(positions) = self.log_beyond {
            write!(f, ", queries × log beyond {positions}")?;
        }
        if let Some(norm) = &self.qk_norm {
            let whole = if norm.q.width == self.qk_dim { "" } else { " over all heads" };
            let after = match norm.order {
                NormOrder::BeforeRope => "",
                NormOrder::AfterRope => " after the rotation",
            };
            write!(f, ", q and k normed{whole}{after}")?;
        }
        gate(f, &self.gate, self.heads)?;
        biases(f, &[("q", &self.q), ("k", &self.k), ("v", &self.v), ("o", &self.o)])?;
        if let Some(smoothing) = &self.smoothing {
            write!(f, ", k and v blended over {}", smoothing.taps)?;
        }
        if self.sinks.is_some() {
            write!(f, ", sinks")?;
        }
        if self.v_scale != 1.0 {
            write!(f, ", values × {}", self.v_scale)?;
        }
        if let Some(window) = self.window {
            write!(f, ", window {window}")?;
        }
        let Some(Blocks { reached, positions, active, .. }) = self.blocks else { return Ok(()) };
        write!(f, ", the best {active} blocks of {positions} from length {reached} on")
    }
}

impl Display for Reuse {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "softmax attention, {} heads on the keys and values above", self.heads)?;
        rotation(f, &self.rope, self.qk_dim)?;
        if self.q_norm.is_some() {
            write!(f, ", q normed after the rotation")?;
        }
        biases(f, &[("q", &self.q), ("o", &self.o)])
    }
}

impl Display for Latent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(
            f,
            "latent attention, {} heads × ({} + {} rotated, {} values), latent {}",
            self.heads, self.nope_dim, self.rope_dim, self.v_dim, self.rank
        )?;
        if let Query::LowRank { down, .. } = &self.query {
            write!(f, ", query rank {}", down.outputs())?;
        }
        rotation(f, &self.rope, self.rope_dim)?;
        if self.rope_norm.is_some() {
            write!(f, ", shared key normed")?;
        }
        gate(f, &self.gate, self.heads)?;
        if let Some(window) = self.window {
            write!(f, ", window {window}")?;
        }
        match &self.choice {
            None => Ok(()),
            Some(Choice::Indexed(indexer)) => write!(
                f,
                ", the best {} positions by an indexer of {} heads × {}",
                indexer.active, indexer.heads, indexer.dim
            ),
            Some(Choice::Shared) => write!(f, ", the positions chosen below"),
        }
    }
}

impl Display for Recurrent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let written = match self.write {
            Write::Value | Write::Step => "linear attention",
            Write::Delta(_) => "delta rule",
        };
        let by = match self.sharing {
            Sharing::Neighbours => "",
            Sharing::Turns => " by turns",
        };
        write!(
            f,
            "{written}, {} heads on {}{}, a state of {} × {} each",
            self.heads, self.key_heads, by, self.k_dim, self.v_dim
        )?;
        match &self.decay {
            Decay::Fixed(_) => write!(f, ", fixed decay")?,
            Decay::Learned { map, .. } => {
                let each = if map.outputs() == self.heads { "head" } else { "channel" };
                write!(f, ", decay by {each}")?;
            }
        }
        if let Some(convolution) = &self.v.convolution {
            write!(f, ", convolution of {}", convolution.taps)?;
        }
        let gate = match self.norm.curve {
            Curve::Identity => "plain",
            Curve::Silu => "silu",
            Curve::Sigmoid => "sigmoid",
        };
        write!(f, ", {gate} gate")?;
        let Some(turned) = &self.turned else { return Ok(()) };
        if turned.q_norm.is_some() || turned.k_norm.is_some() {
            write!(f, ", q and k normed")?;
        }
        turning(f, &turned.rope, self.k_dim)
    }
}

impl Display for Experts {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let router = &self.router;
        let scores = match router.scores {
            Scores::Softmax => "softmax",
            Scores::Sigmoid => "sigmoid",
        };
        write!(f, "{} experts", self.count)?;
        if self.identities > 0 {
            write!(f, " and {} identities", self.identities)?;
        }
        write!(f, ", {} active, width {}", self.active, self.width)?;
        clamped(f, self.clamp)?;
        write!(f, "; {scores} router")?;
        if router.inner.is_some() {
            f.write_str(" of two maps")?;
        }
        if let Some(deviation) = router.deviation {
            write!(f, ", logits of deviation {deviation}")?;
        }
        if router.bias.is_some() {
            write!(f, " with selection bias")?;
        }
        if let Some(limit) = &router.groups {
            let by = match limit.score {
                GroupScore::Best => "best expert",
                GroupScore::BestTwo => "best two experts",
            };
            write!(f, ", {} of {} groups by their {by}", limit.kept, limit.groups)?;
        }
        if let Some(groups) = router.spread {
            write!(f, ", {} from each of {groups} groups", self.active / groups)?;
        }
        if router.renormalize.is_some() {
            write!(f, ", renormalized")?;
        }
        if router.scale != 1.0 {
            write!(f, ", × {}", router.scale)?;
        }
        if self.factors.is_some() {
            write!(f, ", a factor for each expert")?;
        }
        if let Some(shared) = &self.shared {
            let gated = if shared.gate.is_some() { "gated shared" } else { "shared" };
            write!(f, "; {gated} FFN, width {}", shared.dense.width)?;
            clamped(f, shared.dense.clamp)?;
        }
        Ok(())
    }
}

fn clamped(f: &mut Formatter<'_>, clamp: Option<Clamp>) -> Result {
    let Some(Clamp { limit, gate }) = clamp else { return Ok(()) };
    let order = match gate {
        ClampOrder::BeforeActivation => "before",
        ClampOrder::AfterActivation => "after",
    };
    write!(f, " held at {limit} {order} the activation")
}

fn biases(f: &mut Formatter<'_>, maps: &[(&str, &Linear)]) -> Result {
    let names: Vec<_> =
        maps.iter().filter(|(_, map)| map.bias.is_some()).map(|(name, _)| *name).collect();
    match names.is_empty() {
        true => Ok(()),
        false => write!(f, ", bias on {}", names.join(" ")),
    }
}

fn gate(f: &mut Formatter<'_>, gate: &Option<Linear>, heads: usize) -> Result {
    let Some(gate) = gate else { return Ok(()) };
    let each = if gate.outputs() == heads { "head" } else { "channel" };
    write!(f, ", a gate for each {each}")
}

fn rotation(f: &mut Formatter<'_>, rope: &Option<Rope>, head_dim: usize) -> Result {
    match rope {
        Some(rope) => turning(f, rope, head_dim),
        None => write!(f, ", no rope"),
    }
}

fn turning(f: &mut Formatter<'_>, rope: &Rope, head_dim: usize) -> Result {
    let style = match rope.style {
        RopeStyle::Half => "half-split",
        RopeStyle::Interleaved => "interleaved",
    };
    write!(f, ", rope {style} θ {}", rope.theta)?;
    if rope.dim != head_dim {
        write!(f, " on {} of {head_dim}", rope.dim)?;
    }
    match &rope.scaling {
        RopeScaling::None => Ok(()),
        RopeScaling::Divided { .. } => write!(f, " with divisors"),
        RopeScaling::Linear { factor } => write!(f, " linear × {factor}"),
        RopeScaling::Llama3 { factor, .. } => write!(f, " llama3 × {factor}"),
        RopeScaling::Yarn { factor, .. } => write!(f, " yarn × {factor}"),
        RopeScaling::Ntk { alpha } => write!(f, " NTK α {alpha}"),
        RopeScaling::Long { original, .. } => write!(f, " longrope beyond {original}"),
        RopeScaling::Steps { original } => write!(f, " in steps of {original}"),
        RopeScaling::Dynamic { factor, .. } => write!(f, " dynamic × {factor}"),
    }
}
