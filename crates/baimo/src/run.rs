//! `baimo run`: one answer, or a chat.

use crate::answer::{Reading, answer};
use crate::args::{Run, SamplingFlags};
use crate::screen::Screen;
use crate::session::{self, CacheSize};
use crate::source::{self, Source};
use crate::{chat, conversation, fetching};
use anyhow::{Context, Result};
use baimo_engine::{Limits, Request, Sampling};
use baimo_labs::Voice;
use baimo_text::{EncodeOptions, Tokenizer};
use serde_json::Value;
use std::io::{IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tokens of a prompt computed at once.
pub const SPAN: usize = 512;

/// Bytes of copies of a state of fixed size, for the turns of a chat.
pub const SNAPSHOT_BYTES: usize = 256 << 20;

/// Answers the prompt, or chats where there is none and a terminal.
pub fn run(arguments: &Run) -> Result<()> {
    let (model, prompt) = model_and_prompt(arguments)?;
    fetching::ensure(&model, arguments.loading.yes)?;
    let source = Source::open(&model)?;
    match prompt {
        Some(prompt) => answer_once(arguments, &source, &prompt),
        None => chat::run(arguments, &source),
    }
}

/// The model's name and the prompt. One argument alone is the prompt of the default model, unless
/// it names a model.
fn model_and_prompt(arguments: &Run) -> Result<(String, Option<String>)> {
    let (model, prompt) = match (&arguments.model, &arguments.prompt) {
        (Some(model), Some(prompt)) => (model.clone(), Some(prompt.clone())),
        (Some(model), None) if source::looks_like_a_model(model) => (model.clone(), None),
        (prompt, None) => (source::default_model(), prompt.clone()),
        (None, Some(_)) => unreachable!("the first argument is the model"),
    };
    if prompt.is_some() || std::io::stdin().is_terminal() {
        return Ok((model, prompt));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the prompt from the pipe")?;
    Ok((model, Some(text)))
}

fn answer_once(arguments: &Run, source: &Source, prompt: &str) -> Result<()> {
    let tokenizer = Arc::new(source.tokenizer()?);
    let (voice, prompt) = match arguments.raw {
        true => (None, prompt.to_owned()),
        false => templated(arguments, source, prompt)
            .context("hint: --raw goes without the chat template")?,
    };
    let options = if arguments.raw { EncodeOptions::PROMPT } else { EncodeOptions::TEMPLATE };
    let tokens = tokenizer.encode(&prompt, options)?;
    source.check_tokens(&tokens)?;
    let context = arguments.context.unwrap_or(source.blueprint().context);
    let most = tokens.len().saturating_add(arguments.max_tokens);
    let positions = most.min(context.max(tokens.len()));
    let size = CacheSize { positions, sequences: 1, shared: false, element: arguments.kv };
    let generation = source.generation_config()?;
    let request = Request {
        tokens,
        sampling: sampling(&arguments.sampling, &generation),
        max_tokens: arguments.max_tokens,
        stop_tokens: stop_tokens(&tokenizer, &generation, voice),
        ..Request::default()
    };
    let runner = session::load(source, &arguments.loading, size)?;
    let mut engine = session::engine(runner, limits(context));
    let mut screen = Screen::new();
    let never = AtomicBool::new(false);
    let reading = Reading { voice, prompt: &prompt, stops: &arguments.stop };
    let answer =
        answer(&mut engine, &tokenizer, request, reading, &never, &mut |piece| screen.show(piece))?;
    screen.end()?;
    eprintln!("{}", answer.speed());
    Ok(())
}

/// The prompt in the model's chat format, and how its answer is to be read.
fn templated(
    arguments: &Run,
    source: &Source,
    prompt: &str,
) -> Result<(Option<&'static Voice>, String)> {
    let template = source.template()?;
    let voice = source.voice(&template);
    let chat = conversation::chat(&arguments.chat, &[conversation::user(prompt)], voice)?;
    Ok((voice, template.render(&chat)?))
}

/// One sequence at a time. What is kept of it lets the next turn of a chat begin where this one
/// ended.
pub fn limits(context: usize) -> Limits {
    Limits {
        tokens_per_step: SPAN,
        tokens_per_span: SPAN,
        sequences: 1,
        context,
        snapshot_bytes: SNAPSHOT_BYTES,
        ..Limits::default()
    }
}

/// The flags, then what the model recommends, then a mild default.
pub fn sampling(flags: &SamplingFlags, generation: &Value) -> Sampling {
    let number = |key: &str| generation[key].as_f64().map(|number| number as f32);
    // Without `do_sample`, the temperature of a generation_config.json is not used by its library.
    let greedy = generation["do_sample"] == Value::Bool(false);
    let recommended = if greedy { Some(0.0) } else { number("temperature") };
    let top_k = generation["top_k"].as_u64().map(|count| count as usize);
    let clock = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    };
    Sampling {
        temperature: flags.temperature.or(recommended).unwrap_or(0.7),
        top_k: flags.top_k.or(top_k).unwrap_or(0),
        top_p: flags.top_p.or(number("top_p")).unwrap_or(0.95),
        min_p: flags.min_p.or(number("min_p")).unwrap_or(0.0),
        repetition_penalty: flags
            .repetition_penalty
            .or(number("repetition_penalty"))
            .unwrap_or(1.0),
        presence_penalty: flags.presence_penalty.unwrap_or(0.0),
        frequency_penalty: flags.frequency_penalty.unwrap_or(0.0),
        seed: flags.seed.unwrap_or_else(clock),
    }
}

/// The tokenizer's end tokens, those of generation_config.json and those of the voice.
pub fn stop_tokens(tokenizer: &Tokenizer, generation: &Value, voice: Option<&Voice>) -> Vec<u32> {
    let more = match &generation["eos_token_id"] {
        Value::Array(list) => list.clone(),
        other => vec![other.clone()],
    };
    let more = more.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok());
    let mut all = tokenizer.eos().to_vec();
    all.extend(more);
    let ends = voice.iter().flat_map(|voice| voice.ends);
    all.extend(ends.filter_map(|text| tokenizer.special_id(text)));
    all.sort_unstable();
    all.dedup();
    all
}
