//! The numbers of every golden case against its reference, however the prompt is cut and whoever
//! runs beside it.

use baimo_engine::{Engine, Runner};
use baimo_tests::golden;
use baimo_tests::model::{self, Outcome};
use baimo_weights::Target;
use serde_json::Value;

/// The share of the largest logit that a logit may be off: far above what f32 rounding does and far
/// below what a wrong block does.
const TOLERANCE: f32 = 1e-3;

struct Golden {
    case: String,
    ids: Vec<u32>,
    /// Prefix length and logits.
    logits: Vec<(usize, Vec<f32>)>,
    greedy: Vec<u32>,
}

impl Golden {
    fn read(case: String) -> Golden {
        let golden = golden::json(&case, "golden.json");
        let ids = |value: &Value| -> Vec<u32> {
            let list = value.as_array().expect("a list").iter();
            list.map(|id| id.as_u64().expect("an id") as u32).collect()
        };
        let logits = golden["logits"].as_array().expect("a list").iter().map(|entry| {
            let row = entry["logits"].as_array().expect("a list").iter();
            let row = row.map(|logit| logit.as_f64().expect("a logit") as f32);
            (entry["len"].as_u64().expect("a length") as usize, row.collect())
        });
        Golden {
            ids: ids(&golden["ids"]),
            logits: logits.collect(),
            greedy: ids(&golden["greedy"]),
            case,
        }
    }

    /// Whether each prefix that has logits, as a request of its own, and the greedy tokens after
    /// the whole prompt are as they should be.
    fn check(&self, engine: &mut Engine<Runner>) -> Outcome {
        let outcome = self.run(engine, &[]);
        for (len, reference) in &self.logits {
            // By itself: some rotations depend on the length of the whole prompt.
            let request = model::greedy(&self.ids[..*len], &[*len], 1);
            let id = engine.submit(request).expect("a prompt that fits");
            let alone = model::finish(engine).remove(&id).expect("an outcome");
            let found = &alone.logits[&(len - 1)];
            let largest =
                reference.iter().fold(0.0, |largest: f32, logit| largest.max(logit.abs()));
            let off = found.iter().zip(reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let case = &self.case;
            assert!(off <= TOLERANCE * largest, "{case}, {len} ids: off by {off} of {largest}");
            println!("{case:24} {len:3} ids: off by {:.1e} of the largest", off / largest);
        }
        assert_eq!(outcome.tokens, self.greedy, "{}", self.case);
        outcome
    }

    /// Runs the case beside other prompts.
    fn run(&self, engine: &mut Engine<Runner>, company: &[Vec<u32>]) -> Outcome {
        let at: Vec<usize> = self.logits.iter().map(|(len, _)| *len).collect();
        for tokens in company {
            engine.submit(model::greedy(tokens, &[1], 24)).expect("room for company");
        }
        let request = model::greedy(&self.ids, &at, self.greedy.len());
        let id = engine.submit(request).expect("a prompt that fits");
        model::finish(engine).remove(&id).expect("an outcome")
    }
}

fn cases() -> impl Iterator<Item = Golden> {
    golden::cases().into_iter().chain(golden::gguf_cases()).map(Golden::read)
}

#[test]
fn every_case_agrees_with_its_reference() {
    for golden in cases() {
        let runner = model::load(&golden.case, Target::F32);
        golden.check(&mut model::engine(runner, 64));
    }
}

#[test]
fn a_cut_prompt_and_company_change_no_bit() {
    for golden in cases() {
        let mut engine = model::engine(model::load(&golden.case, Target::F32), 64);
        let whole = golden.run(&mut engine, &[]);
        let vocab = engine.model().decoder().blueprint().vocab.min(128) as u32;
        let company: Vec<Vec<u32>> = (0..5)
            .map(|other| (0..7 + 11 * other).map(|at| (at * 37 + other * 5) % vocab).collect())
            .collect();
        assert_eq!(golden.run(&mut engine, &company), whole, "{} in company", golden.case);
        let mut runner = engine.into_model();
        for span in [1, 3, 16] {
            let mut engine = model::engine(runner, span);
            assert_eq!(golden.run(&mut engine, &[]), whole, "{} cut in {span}", golden.case);
            assert_eq!(golden.run(&mut engine, &company), whole, "{} both", golden.case);
            runner = engine.into_model();
        }
    }
}

/// The divergence from f32 that rounding weights to 8 bits may cost a case, on the mean over all
/// positions. Nearly all of it is in single positions where a random model's choice of an expert or
/// of positions was close and falls the other way, whichever maps are kept in f32.
const DIVERGENCE: f64 = 0.2;

/// The same of half of the positions.
const MEDIAN_DIVERGENCE: f64 = 0.08;

#[test]
fn every_case_in_q8_0_stays_close_to_itself_in_f32() {
    for golden in cases() {
        let all = |weights| {
            let mut engine = model::engine(model::load(&golden.case, weights), 64);
            let at: Vec<usize> = (1..=golden.ids.len()).collect();
            let id = engine.submit(model::greedy(&golden.ids, &at, 1)).expect("a prompt that fits");
            model::finish(&mut engine).remove(&id).expect("an outcome").logits
        };
        let (exact, rounded) = (all(Target::F32), all(Target::Q8_0));
        let rows = exact.values().zip(rounded.values());
        let mut all: Vec<f64> = rows.map(|(p, q)| divergence(p, q)).collect();
        all.sort_by(f64::total_cmp);
        let (mean, median) = (all.iter().sum::<f64>() / all.len() as f64, all[all.len() / 2]);
        println!("{:24} divergence of q8_0: mean {mean:.6}, median {median:.6}", golden.case);
        assert!(mean < DIVERGENCE, "{}: {mean}", golden.case);
        assert!(median < MEDIAN_DIVERGENCE, "{}: {median}", golden.case);
    }
}

/// Kullback and Leibler's divergence of the distribution of logits `q` from that of `p`.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let logarithms = |logits: &[f32]| -> Vec<f64> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
        logits.iter().map(|logit| f64::from(logit - largest) - sum.ln()).collect()
    };
    logarithms(p).into_iter().zip(logarithms(q)).map(|(p, q)| p.exp() * (p - q)).sum()
}
