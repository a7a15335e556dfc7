//! The built-in model against the numbers that PyTorch computed for it, and the poems it writes.

use baimo::args::{ChatFlags, SamplingFlags};
use baimo::source::{BUILT_IN, Source};
use baimo::{conversation, run};
use baimo_engine::{
    Batch, Engine, EventKind, KvElement, Limits, Opening, Options, PAGE_POSITIONS, Request, Runner,
    Sampling, Span,
};
use baimo_text::EncodeOptions;
use baimo_weights::Target;
use serde_json::Value;
use std::collections::BTreeMap;

/// Exchanges with held-out poems: ids, and what PyTorch says of their likelihood.
fn held_out() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/poet/heldout.jsonl");
    let text = std::fs::read_to_string(path).expect("the held-out exchanges");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn load(source: &Source, weights: Target, positions: usize) -> Runner {
    let options = Options {
        weights,
        cache: KvElement::F32,
        positions,
        sequences: 32,
        threads: Some(2),
        store: None,
        memory: None,
    };
    let blueprint = source.blueprint();
    let checkpoint = source.checkpoint().expect("weights");
    Runner::load(blueprint, checkpoint, &options, &mut |_| ()).expect("a sound model")
}

/// The sum of −ln p(id | ids before) over each exchange.
fn surprises(runner: &mut Runner, rows: &[Value]) -> Vec<f64> {
    rows.iter()
        .map(|row| {
            let ids = ids(row);
            let pages = ids.len().div_ceil(PAGE_POSITIONS) as u32;
            let span = Span {
                first_row: 0,
                rows: ids.len(),
                position: 0,
                prompt: ids.len(),
                opening: Opening::default(),
                before: Vec::new(),
                pages: (0..pages).collect(),
                slot: 0,
            };
            let wanted = (0..ids.len() as u32 - 1).collect();
            let logits = runner.forward(&Batch {
                tokens: ids.clone(),
                spans: vec![span],
                wanted,
                embedded: Vec::new(),
            });
            let surprise = |(logits, &next): (&[f32], &u32)| {
                let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
                max + sum.ln() - f64::from(logits[next as usize])
            };
            logits.rows().zip(&ids[1..]).map(surprise).sum()
        })
        .collect()
}

fn ids(row: &Value) -> Vec<u32> {
    let list = row["ids"].as_array().expect("ids").iter();
    list.map(|id| id.as_u64().expect("an id") as u32).collect()
}

#[test]
fn its_perplexity_is_pytorch_s() {
    let (source, rows) = (Source::open(BUILT_IN).expect("the built-in model"), held_out());
    let tokens: usize = rows.iter().map(|row| ids(row).len() - 1).sum();
    let reference: Vec<f64> =
        rows.iter().map(|row| row["nll_all"].as_f64().expect("a sum")).collect();
    let perplexity = |sums: &[f64]| (sums.iter().sum::<f64>() / tokens as f64).exp();
    let wanted = perplexity(&reference);
    for (weights, tolerance) in [(Target::F32, 1e-4), (Target::Q8_0, 0.01), (Target::Q4K, 0.15)] {
        let sums = surprises(&mut load(&source, weights, 512), &rows);
        let found = perplexity(&sums);
        println!("{:5} perplexity {found:.4}, PyTorch {wanted:.4}", weights.name());
        assert!((found / wanted - 1.0).abs() < tolerance, "{}: {found}", weights.name());
    }
}

#[test]
fn its_tokenizer_and_template_make_the_ids_it_was_trained_on() {
    let source = Source::open(BUILT_IN).expect("the built-in model");
    let (tokenizer, template) = (source.tokenizer().unwrap(), source.template().unwrap());
    for row in held_out() {
        let prompt = row["prompt"].as_str().expect("a prompt");
        let chat = conversation::chat(&ChatFlags::default(), &[conversation::user(prompt)], None)
            .expect("a chat");
        let rendered = template.render(&chat).expect("a template that renders");
        let found = tokenizer.encode(&rendered, EncodeOptions::TEMPLATE).expect("ids");
        let start = row["answer_start"].as_u64().expect("a place") as usize;
        assert_eq!(found, ids(&row)[..start], "{prompt}");
    }
}

/// Four or eight lines of five or of seven characters.
fn is_well_formed(poem: &str) -> bool {
    let verses: Vec<usize> = poem
        .split(['，', '。', '\n'])
        .map(|verse| verse.trim().chars().count())
        .filter(|&length| length > 0)
        .collect();
    matches!(verses.len(), 4 | 8)
        && matches!(verses[0], 5 | 7)
        && verses.iter().all(|&length| length == verses[0])
}

#[test]
fn nearly_all_its_poems_are_well_formed() {
    let source = Source::open(BUILT_IN).expect("the built-in model");
    let (tokenizer, template) = (source.tokenizer().unwrap(), source.template().unwrap());
    let generation = source.generation_config().unwrap();
    let limits = Limits { sequences: 32, context: 1024, ..Limits::default() };
    let runner = load(&source, Target::Native, 32 * 256);
    let pages = runner.pages();
    let mut engine = Engine::new(runner, pages, limits);
    let mut poems = BTreeMap::new();
    for (seed, row) in held_out().iter().take(200).enumerate() {
        let prompt = row["prompt"].as_str().expect("a prompt");
        let chat = conversation::chat(&ChatFlags::default(), &[conversation::user(prompt)], None)
            .expect("a chat");
        let rendered = template.render(&chat).expect("a template that renders");
        let recommended = run::sampling(&SamplingFlags::default(), &generation);
        let request = Request {
            tokens: tokenizer.encode(&rendered, EncodeOptions::TEMPLATE).expect("ids"),
            sampling: Sampling { seed: seed as u64, ..recommended },
            max_tokens: 200,
            stop_tokens: run::stop_tokens(&tokenizer, &generation, None),
            ..Request::default()
        };
        poems.insert(engine.submit(request).expect("room"), Vec::new());
    }
    while !engine.is_idle() {
        for event in engine.step().expect("a model in memory") {
            if let EventKind::Token { token, .. } = event.kind {
                poems.get_mut(&event.request).expect("one of ours").push(token);
            }
        }
    }
    let texts: Vec<String> =
        poems.values().map(|ids| tokenizer.decode(ids, true).expect("text")).collect();
    let formed = texts.iter().filter(|poem| is_well_formed(poem)).count();
    println!("{formed} of {} poems are well-formed; the first:\n{}", texts.len(), texts[0]);
    assert_eq!(texts.len(), 200);
    assert!(formed >= 190, "{formed} of 200 are well-formed");
}
