//! The names that most checkpoints share. A page that shares nothing spells its fields out: no
//! function here takes a flag for a lab.

use crate::Config;
use crate::composite::Home;
use crate::error::Result;
use crate::quantization::quantization;
use baimo_blueprint::{
    Activation, Blueprint, Dense, Ffn, Layer, Linear, Mixer, Norm, NormKind, RopeScaling, SetAside,
    Tensor,
};

/// More layers than this, also of prediction layers, are a mistake and not a model.
const LAYERS_MAX: usize = 4096;

/// The frame around the layers: embedding, final norm, head, and what is set aside. The head is
/// tied to the embedding where the configuration says so.
pub fn decoder(c: &Config, layer: impl Fn(usize, &str) -> Result<Layer>) -> Result<Blueprint> {
    framed(c, "model", "num_hidden_layers", false, layer)
}

/// As [`decoder`], of as many layers as `key` says.
pub fn layers(
    c: &Config,
    key: &str,
    layer: impl Fn(usize, &str) -> Result<Layer>,
) -> Result<Blueprint> {
    framed(c, "model", key, false, layer)
}

/// As [`decoder`]; the head is tied where the configuration does not say otherwise.
pub fn tied_decoder(c: &Config, layer: impl Fn(usize, &str) -> Result<Layer>) -> Result<Blueprint> {
    framed(c, "model", "num_hidden_layers", true, layer)
}

/// As [`decoder`], in another folder than `model`.
pub fn decoder_in(
    c: &Config,
    folder: &str,
    tied_by_default: bool,
    layer: impl Fn(usize, &str) -> Result<Layer>,
) -> Result<Blueprint> {
    framed(c, folder, "num_hidden_layers", tied_by_default, layer)
}

fn framed(
    c: &Config,
    folder: &str,
    layers_key: &str,
    tied_by_default: bool,
    layer: impl Fn(usize, &str) -> Result<Layer>,
) -> Result<Blueprint> {
    frame(c, Frame::new(c, folder, layers_key)?, tied_by_default, layer)
}

/// The sizes and the names of what is around the layers.
pub struct Frame {
    /// Rows of the embedding table and of the head.
    pub vocab: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// How many layers.
    pub layers: usize,
    /// Before the head.
    pub norm: Norm,
    /// The embedding table, without `.weight`.
    pub embedding: String,
    /// What stands before a layer's number.
    pub layer: String,
    /// The head, without `.weight`.
    pub head: String,
}

impl Frame {
    /// The usual names and keys.
    pub fn usual(c: &Config) -> Result<Frame> {
        Frame::new(c, "model", "num_hidden_layers")
    }

    /// As [`Frame::usual`], in another folder, of as many layers as `key` says.
    fn new(c: &Config, folder: &str, key: &str) -> Result<Frame> {
        Ok(Frame {
            vocab: c.size("vocab_size")?,
            context: context(c)?,
            layers: layer_count(c, key)?,
            norm: norm(c, &format!("{folder}.norm"), c.size("hidden_size")?)?,
            embedding: format!("{folder}.embed_tokens"),
            layer: format!("{folder}.layers"),
            head: "lm_head".into(),
        })
    }

    /// Inside the checkpoint of a larger model.
    fn move_to(&mut self, home: Home) {
        for name in [&mut self.embedding, &mut self.layer, &mut self.head] {
            *name = home.name(name);
        }
        self.norm.weight = self.norm.weight.take().map(|weight| home.tensor(weight));
        if let NormKind::Layer { bias } = &mut self.norm.kind {
            *bias = bias.take().map(|bias| home.tensor(bias));
        }
    }
}

/// How many layers `key` says there are.
pub fn layer_count(c: &Config, key: &str) -> Result<usize> {
    c.at_most(key, c.size(key)?, LAYERS_MAX)
}

/// A frame with its layers. The head is tied to the embedding where the configuration says so, or
/// says nothing and `tied_by_default`.
pub fn frame(
    c: &Config,
    mut frame: Frame,
    tied_by_default: bool,
    layer: impl Fn(usize, &str) -> Result<Layer>,
) -> Result<Blueprint> {
    if let Some(home) = c.home() {
        frame.move_to(home);
    }
    let (vocab, hidden) = (frame.vocab, frame.norm.width);
    let embedding = Tensor::new(format!("{}.weight", frame.embedding), [vocab, hidden]);
    let head = match c.flag_or("tie_word_embeddings", tied_by_default)? {
        true => Linear { weight: embedding.clone(), bias: None },
        false => Linear::new(&frame.head, vocab, hidden),
    };
    quantization(c)?;
    let layers = (0..frame.layers)
        .map(|index| layer(index, &format!("{}.{index}", frame.layer)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Blueprint {
        architecture: c.first_text("architectures").unwrap_or_default(),
        vocab,
        hidden,
        context: stretched(frame.context, &layers),
        embedding,
        ngrams: None,
        lookups: Vec::new(),
        prefix: None,
        embedding_scale: 1.0,
        layers,
        norm: frame.norm,
        head,
        logit_scale: 1.0,
        set_aside: vec![aside("*.rotary_emb.inv_freq", "rope tables, computed here")],
    })
}

/// A base that grows with the length is made for contexts so many times longer than the first.
fn stretched(context: usize, layers: &[Layer]) -> usize {
    let ropes = layers.iter().flat_map(Layer::mixers).flat_map(Mixer::ropes);
    let longest = ropes.filter_map(|rope| match rope.scaling {
        RopeScaling::Dynamic { factor, original } => Some((original as f64 * factor) as usize),
        RopeScaling::None
        | RopeScaling::Linear { .. }
        | RopeScaling::Divided { .. }
        | RopeScaling::Llama3 { .. }
        | RopeScaling::Yarn { .. }
        | RopeScaling::Ntk { .. }
        | RopeScaling::Long { .. }
        | RopeScaling::Steps { .. } => None,
    });
    longest.fold(context, usize::max)
}

/// `max_position_embeddings`, or what some labs call it.
fn context(c: &Config) -> Result<usize> {
    let other = c.size_option("model_max_length")?;
    match (c.size_option("max_position_embeddings")?, other) {
        (Some(context), _) | (None, Some(context)) => Ok(context),
        (None, None) => c.size("max_position_embeddings"),
    }
}

/// Multi-token-prediction layers follow the last layer under its numbering.
pub fn with_prediction_layers(c: &Config, mut blueprint: Blueprint) -> Result<Blueprint> {
    let key = "num_nextn_predict_layers";
    let count = c.at_most(key, c.count_or(key, 0)?, LAYERS_MAX)?;
    let first = blueprint.layers.len();
    blueprint.set_aside.extend(
        (first..first + count)
            .map(|index| aside(&format!("model.layers.{index}.*"), "multi-token prediction")),
    );
    Ok(blueprint)
}

/// With the embedding table called `model.word_embeddings`.
pub fn word_embedded(mut blueprint: Blueprint) -> Blueprint {
    let embedding = Tensor::new("model.word_embeddings.weight", blueprint.embedding.shape.clone());
    if blueprint.is_tied() {
        blueprint.head.weight = embedding.clone();
    }
    blueprint.embedding = embedding;
    blueprint
}

/// Tensors of this name pattern are known and not run.
pub fn aside(pattern: &str, what: &'static str) -> SetAside {
    SetAside { pattern: pattern.to_owned(), what }
}

/// The norm `{name}.weight` with the configuration's `rms_norm_eps`.
pub fn norm(c: &Config, name: &str, width: usize) -> Result<Norm> {
    Ok(Norm::new(name, width, c.float("rms_norm_eps")? as f32))
}

/// `input_layernorm`, mixer, `post_attention_layernorm`, FFN.
pub fn pre_norm(c: &Config, prefix: &str, mixer: Mixer, ffn: Ffn) -> Result<Layer> {
    let hidden = c.size("hidden_size")?;
    c.only("hidden_act", "silu")?;
    Ok(Layer::pre_norm(
        norm(c, &format!("{prefix}.input_layernorm"), hidden)?,
        mixer,
        norm(c, &format!("{prefix}.post_attention_layernorm"), hidden)?,
        ffn,
    ))
}

/// The layer with the norms before its blocks stored as differences from one.
pub fn offset(mut layer: Layer) -> Layer {
    for sublayer in &mut layer.sublayers {
        sublayer.residual.before = sublayer.residual.before.take().map(Norm::plus_one);
    }
    layer
}

/// The dense FFN `{prefix}.mlp` of `intermediate_size`.
pub fn dense(c: &Config, prefix: &str) -> Result<Ffn> {
    Ok(Ffn::Dense(swiglu(c, &format!("{prefix}.mlp"), c.size("intermediate_size")?)?))
}

/// A gated FFN of a given name and width.
pub fn swiglu(c: &Config, name: &str, width: usize) -> Result<Dense> {
    Ok(Dense::new(name, c.size("hidden_size")?, width, Activation::Silu))
}
