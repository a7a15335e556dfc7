//! Who has a say in an answer: guides, biases; and what is told of a choice.

use crate::remembering::{Remembering, VOCABULARY, logits};
use baimo_engine::{
    Allowed, Engine, EventKind, FinishReason, Guide, Limits, Logprobs, Refused, Request,
};

fn limits() -> Limits {
    Limits { sequences: 4, context: 100, ..Limits::default() }
}

/// Three even tokens, then token 7, then the end.
#[derive(Debug, Default)]
struct Even {
    words: [u32; 1],
    taken: Vec<u32>,
}

impl Guide for Even {
    fn allowed(&mut self) -> Allowed<'_> {
        self.words = [0x5555_5555];
        match self.taken.len() {
            0..3 => Allowed::Only(&self.words),
            3 => Allowed::Forced(7),
            _ => Allowed::End,
        }
    }

    fn took(&mut self, token: u32) {
        self.taken.push(token);
    }
}

fn request() -> Request {
    Request { tokens: vec![5, 6, 7], max_tokens: 20, logprobs: Some(2), ..Request::default() }
}

type Told = (Vec<(u32, Option<Logprobs>)>, FinishReason);

fn run(request: Request, guide: Option<Box<dyn Guide>>) -> Told {
    let mut engine = Engine::new(Remembering::new(8, limits()), 8, limits());
    match guide {
        Some(guide) => engine.submit_guided(request, guide).unwrap(),
        None => engine.submit(request).unwrap(),
    };
    let mut tokens = Vec::new();
    loop {
        for event in engine.step().unwrap() {
            match event.kind {
                EventKind::Token { token, logprobs } => tokens.push((token, logprobs)),
                EventKind::Finished { reason, .. } => return (tokens, reason),
                EventKind::Logits { .. }
                | EventKind::Embedding(_)
                | EventKind::PromptLogprobs { .. } => {}
            }
        }
    }
}

#[test]
fn a_guide_limits_forces_and_ends() {
    let (told, reason) = run(request(), Some(Box::new(Even::default())));
    let tokens: Vec<u32> = told.iter().map(|(token, _)| *token).collect();
    assert_eq!((tokens.len(), tokens[3], reason), (4, 7, FinishReason::Stop));
    assert!(tokens[..3].iter().all(|token| token % 2 == 0), "{tokens:?}");
    let first = logits(&[5, 6, 7]);
    let best = (0..VOCABULARY).step_by(2).max_by(|&a, &b| first[a].total_cmp(&first[b]));
    assert_eq!(tokens[0] as usize, best.unwrap(), "the likeliest of those allowed");
}

#[test]
fn where_nothing_is_allowed_the_answer_ends() {
    let taken = vec![0; 4];
    let (told, reason) = run(request(), Some(Box::new(Even { taken, ..Even::default() })));
    assert_eq!((told.len(), reason), (0, FinishReason::Stop));
}

#[test]
fn a_bias_forbids_or_asks() {
    let forbidden = run(request(), None).0[0].0;
    let bias = vec![(forbidden, f32::NEG_INFINITY), (VOCABULARY as u32 + 9, 1.0)];
    let (told, _) = run(Request { bias, ..request() }, None);
    assert!(told.iter().all(|(token, _)| *token != forbidden), "{told:?}");
    let (told, _) = run(Request { bias: vec![(3, 100.0)], ..request() }, None);
    assert!(told.iter().all(|(token, _)| *token == 3), "{told:?}");
}

#[test]
fn log_probabilities_are_those_of_the_model() {
    let (told, _) = run(Request { bias: vec![(3, 100.0)], ..request() }, None);
    let (token, logprobs) = &told[0];
    let logits = logits(&[5, 6, 7]);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    let expected = |token: u32| (f64::from(logits[token as usize]) - sum.ln()) as f32;
    let logprobs = logprobs.as_ref().expect("asked for");
    assert!((logprobs.token - expected(*token)).abs() < 1e-5, "{logprobs:?}");
    let [(first, first_logprob), (second, second_logprob)] = logprobs.top[..] else {
        panic!("two were asked for: {logprobs:?}")
    };
    assert!(first_logprob >= second_logprob && first != second);
    assert!((first_logprob - expected(first)).abs() < 1e-5);
    assert!((0..VOCABULARY as u32).all(|token| expected(token) <= first_logprob + 1e-5));
}

#[test]
fn a_token_the_model_does_not_have_is_refused() {
    let mut engine = Engine::new(Remembering::new(8, limits()), 8, limits());
    let tokens = vec![1, VOCABULARY as u32];
    let refused = Refused::Token { token: VOCABULARY as u32, vocab: VOCABULARY };
    assert_eq!(engine.submit(Request { tokens, ..request() }), Err(refused));
}
