//! A small model with every kind of block, loaded at every precision.

use baimo_blueprint::{
    Activation, Blueprint, Dense, Experts, Ffn, Fold, Latent, Layer, Linear, Mixer, Norm,
    NormOrder, QkNorm, Query, Rope, RopeStyle, Router, Scores, Shared, Softmax, Tensor,
};
use baimo_kernels::Format;
use baimo_kernels::format::quantize;
use baimo_model::{Batch, KvElement, Opening, Options, Runner, Span};
use baimo_weights::{Checkpoint, Dtype, Target, TensorInfo, safetensors};
use std::fs::File;
use std::path::Path;

/// Whole blocks of every format.
const HIDDEN: usize = 256;
const VOCAB: usize = 96;
const EXPERTS: usize = 8;

fn norm(name: &str, width: usize) -> Norm {
    Norm::new(name, width, 1e-6)
}

fn softmax() -> Mixer {
    Mixer::Softmax(Softmax {
        heads: 4,
        kv_heads: 2,
        qk_dim: 64,
        v_dim: 64,
        scale: 0.125,
        window: None,
        sinks: None,
        v_scale: 1.0,
        rope: Some(Rope::new(64, RopeStyle::Half, 1e4)),
        second_rope: None,
        alibi: None,
        bias: None,
        log_beyond: None,
        blocks: None,
        q: Linear::new("q", HIDDEN, HIDDEN),
        q_low: None,
        smoothing: None,
        k: Linear::new("k", 128, HIDDEN),
        v: Linear::new("v", 128, HIDDEN),
        o: Linear::new("o", HIDDEN, HIDDEN),
        qk_norm: Some(QkNorm {
            q: norm("q_norm", 64),
            k: norm("k_norm", 128),
            order: NormOrder::BeforeRope,
        }),
        gate: Some(Linear::new("gate", 4, HIDDEN)),
    })
}

fn latent() -> Mixer {
    let up = |shape: [usize; 3], fold| Tensor::new("kv_up.weight", shape).folded(fold);
    Mixer::Latent(Latent {
        heads: 4,
        nope_dim: 32,
        rope_dim: 16,
        v_dim: 64,
        rank: 64,
        scale: 0.144,
        rope: Some(Rope::new(16, RopeStyle::Interleaved, 1e4)),
        query: Query::Direct(Linear::new("latent_q", 4 * 48, HIDDEN)),
        kv_down: Linear::new("kv_down", 64 + 16, HIDDEN),
        kv_norm: norm("kv_norm", 64),
        k_up: up([4, 64, 32], Fold::HeadRowsTransposed { start: 0, of: 96 }),
        v_up: up([4, 64, 64], Fold::HeadRows { start: 32, of: 96 }),
        o: Linear::new("latent_o", HIDDEN, 256),
        kv_scale: 1.0,
        rope_norm: None,
        gate: None,
        window: None,
        choice: None,
    })
}

fn experts() -> Ffn {
    let stack = |name: &str, outputs, inputs| {
        Tensor::new(format!("experts.{{e}}.{name}.weight"), [EXPERTS, outputs, inputs])
    };
    Ffn::Experts(Experts {
        count: EXPERTS,
        identities: 0,
        active: 2,
        width: 256,
        activation: Activation::Silu,
        clamp: None,
        router: Router {
            inner: None,
            logits: Linear::new("router", EXPERTS, HIDDEN),
            deviation: None,
            scores: Scores::Softmax,
            bias: None,
            groups: None,
            spread: None,
            renormalize: Some(1e-20),
            scale: 1.0,
        },
        factors: None,
        gate: stack("gate", 256, HIDDEN),
        up: stack("up", 256, HIDDEN),
        down: stack("down", HIDDEN, 256),
        shared: Some(Shared {
            dense: Dense::new("shared", HIDDEN, 256, Activation::Silu),
            gate: None,
        }),
    })
}

fn blueprint() -> Blueprint {
    let dense = Ffn::Dense(Dense::new("dense", HIDDEN, 512, Activation::Silu));
    let layer = |index, mixer, ffn| {
        let named = |name: &str| norm(&format!("{name}_{index}"), HIDDEN);
        Layer::pre_norm(named("mixer_norm"), mixer, named("ffn_norm"), ffn)
    };
    Blueprint {
        architecture: "Small".into(),
        vocab: VOCAB,
        hidden: HIDDEN,
        context: 128,
        embedding: Tensor::new("embedding.weight", [VOCAB, HIDDEN]),
        ngrams: None,
        lookups: Vec::new(),
        prefix: None,
        embedding_scale: 1.0,
        layers: vec![layer(0, softmax(), dense), layer(1, latent(), experts())],
        norm: norm("norm", HIDDEN),
        head: Linear::new("head", VOCAB, HIDDEN),
        logit_scale: 1.0,
        set_aside: Vec::new(),
    }
}

/// Numbers in `[-1, 1)`: splitmix64 of a hash of the name.
fn random(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    });
    (1..=count as u64).map(move |index| {
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The checkpoint's tensors: name and shape.
fn stored(blueprint: &Blueprint) -> Vec<(String, Vec<usize>)> {
    let mut stored = Vec::new();
    for tensor in blueprint.tensors() {
        let shape = tensor.stored_shape();
        match tensor.is_per_expert() {
            true => stored.extend(
                (0..shape[0]).map(|expert| (tensor.expert_name(expert), shape[1..].to_vec())),
            ),
            false => stored.push((tensor.name.clone(), shape)),
        }
    }
    // Two folds of one tensor stand side by side.
    stored.dedup();
    stored
}

fn write(blueprint: &Blueprint, path: &Path) {
    let dtype = Dtype::Weights(Format::F32);
    let infos: Vec<TensorInfo> = stored(blueprint)
        .into_iter()
        .map(|(name, shape)| TensorInfo { name, dtype, shape, range: 0..0 })
        .collect();
    let file = File::create(path).expect("a file to write");
    let mut writer = safetensors::Writer::new(file, path, &infos).expect("a header");
    for TensorInfo { name, shape, .. } in &infos {
        let count = shape.iter().product();
        let values: Vec<f32> = match shape[..] {
            [_] => random(name, count).map(|x| 1.0 + 0.2 * x).collect(),
            _ => {
                let spread = (3.0 / shape[1] as f32).sqrt();
                random(name, count).map(|x| spread * x).collect()
            }
        };
        let mut bytes = vec![0; 4 * count];
        quantize(Format::F32, &values, &mut bytes);
        writer.push(&bytes).expect("a tensor to write");
    }
    writer.finish().expect("a whole file");
}

/// The logits after each of 40 tokens, and the bytes of all weights.
fn logits(path: &Path, weights: Target) -> (Vec<f32>, usize) {
    let checkpoint = Checkpoint::open(path).expect("the checkpoint");
    let options = Options {
        weights,
        cache: KvElement::F32,
        positions: 64,
        sequences: 1,
        threads: Some(2),
        store: None,
        memory: None,
    };
    let mut loaded = 0;
    let mut progress = |numbers| loaded += numbers;
    let mut runner = Runner::load(&blueprint(), &checkpoint, &options, &mut progress)
        .unwrap_or_else(|error| panic!("{}: {error}", weights.name()));
    assert_eq!(loaded, blueprint().count().parameters, "progress ends at all parameters");
    let batch = Batch {
        tokens: (0..40).map(|at| at * 29 % VOCAB as u32).collect(),
        spans: vec![Span {
            first_row: 0,
            rows: 40,
            position: 0,
            prompt: 40,
            opening: Opening::default(),
            before: Vec::new(),
            pages: vec![0],
            slot: 0,
        }],
        wanted: (0..40).collect(),
        embedded: vec![39],
    };
    let outcome = runner.forward(&batch);
    assert_eq!(outcome.embeddings().map(<[f32]>::len).collect::<Vec<_>>(), [blueprint().hidden]);
    let logits = outcome.rows().flatten().copied().collect();
    (logits, runner.decoder().weight_bytes())
}

/// Of each row the norm of the difference over the norm; of all rows the median, since where two
/// experts are nearly equal a row may meet the other one.
fn distance(found: &[f32], reference: &[f32]) -> f64 {
    let square = |sum: f64, x: f32| sum + f64::from(x) * f64::from(x);
    let rows = found.chunks_exact(VOCAB).zip(reference.chunks_exact(VOCAB));
    let mut distances: Vec<f64> = rows
        .map(|(found, reference)| {
            let off = found.iter().zip(reference).map(|(a, b)| a - b).fold(0.0, square);
            (off / reference.iter().copied().fold(0.0, square)).sqrt()
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    distances[distances.len() / 2]
}

#[test]
fn logits_of_quantized_weights_stay_near() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write(&blueprint(), &path);
    let (reference, bytes) = logits(&path, Target::F32);
    assert!(reference.iter().all(|logit| logit.is_finite()));
    assert_eq!(logits(&path, Target::Native), (reference.clone(), bytes));
    // Uniform weights have no outliers: measured distances, half as far again, and the part of the
    // bytes of f32.
    for (target, bound, part) in [
        (Target::Bf16, 0.012, 0.51),
        (Target::Q8_0, 0.042, 0.28),
        (Target::Q6K, 0.105, 0.23),
        (Target::Q4K, 0.46, 0.15),
        (Target::Q4_0, 0.5, 0.15),
    ] {
        let (found, smaller) = logits(&path, target);
        let distance = distance(&found, &reference);
        let name = target.name();
        assert!(distance > 0.0 && distance < bound, "{name}: {distance}");
        assert!((smaller as f64) < part * bytes as f64, "{name}: {smaller} of {bytes} bytes");
    }
}
