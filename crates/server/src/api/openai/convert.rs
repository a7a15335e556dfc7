//! From a chat request to what is wanted.

use super::messages::messages;
use super::request::{ChatRequest, Reasoning, StructuredOutputs, Thinking};
use super::schema;
use crate::ask::{Ask, Format, Prompt, SamplingAsk, ThinkingAsk};
use crate::error::Refusal;
use baimo_text::Chat;
use serde_json::Value;

/// Answers that one request may ask for.
const ANSWERS_MAX: u32 = 16;
/// Alternatives of a token that may be told.
pub const TOP_LOGPROBS_MAX: u32 = 20;

/// What a chat request wants.
///
/// # Errors
/// Names the field that is wrong or cannot be had.
pub fn ask(request: ChatRequest) -> Result<Ask, Refusal> {
    refuse_what_cannot_be_had(&request)?;
    let sampling = sampling(&request)?;
    let thinking = thinking(&request)?;
    let format = format(&request)?;
    let tools = schema::tools(request.tools.unwrap_or_default())?;
    let tool_choice = match &request.tool_choice {
        Some(choice) => choice.choice(tools.as_ref())?,
        None => Default::default(),
    };
    let chat = Chat {
        messages: messages(request.messages)?,
        tools,
        add_generation_prompt: request.add_generation_prompt.unwrap_or(true),
        options: request.chat_template_kwargs.unwrap_or_default(),
    };
    let logprobs = match (request.logprobs.unwrap_or(false), request.top_logprobs) {
        (_, Some(found)) if found > TOP_LOGPROBS_MAX => {
            let message = format!("found {found}, wanted at most {TOP_LOGPROBS_MAX}");
            return Err(Refusal::field("top_logprobs", message));
        }
        (true, top) => Some(top.unwrap_or(0) as usize),
        (false, None | Some(0)) => None,
        (false, Some(_)) => {
            return Err(Refusal::field("top_logprobs", "wanted `logprobs`: true with it"));
        }
    };
    Ok(Ask {
        sampling,
        max_tokens: max_tokens(request.max_completion_tokens.or(request.max_tokens))?,
        stops: request.stop.map_or(Ok(Vec::new()), schema::OneOrMany::stops)?,
        ignore_end: request.ignore_eos.unwrap_or(false),
        answers: answers(request.n)?,
        logprobs,
        bias: request.logit_bias.map_or(Ok(Vec::new()), schema::LogitBias::list)?,
        thinking,
        tool_choice,
        parallel_calls: request.parallel_tool_calls.unwrap_or(true),
        format,
        ..Ask::new(Prompt::Chat(chat))
    })
}

/// Fields that are understood, and whose wish nobody here can grant.
///
/// # Errors
/// Names one of them.
pub fn refuse_what_cannot_be_had(request: &ChatRequest) -> Result<(), Refusal> {
    let only = |field: &'static str, sound: bool, wanted: &str| match sound {
        true => Ok(()),
        false => Err(Refusal::field(field, format!("wanted {wanted}"))),
    };
    let tier = request.service_tier.as_deref().unwrap_or("auto");
    only("service_tier", matches!(tier, "auto" | "default"), "auto or default")?;
    only("store", request.store != Some(true), "false: chat completions are not stored")?;
    let modalities = request.modalities.as_deref().unwrap_or_default();
    only("modalities", modalities.iter().all(|kind| kind == "text"), "[\"text\"]")?;
    let verbosity = request.verbosity.as_deref().unwrap_or("medium");
    only("verbosity", verbosity == "medium", "medium: say in the prompt how long")?;
    let apart = request.separate_reasoning != Some(false);
    only("separate_reasoning", apart, "true: thoughts come in a field of their own")?;
    let streams = request.stream.unwrap_or(false);
    only("stream_options", streams || request.stream_options.is_none(), "`stream`: true with it")?;
    let pads = request.stream_options.and_then(|options| options.include_obfuscation);
    only("stream_options.include_obfuscation", pads != Some(true), "false")?;
    only("cache_prompt", request.cache_prompt != Some(false), "true: answers are the same")?;
    let goes_on = request.continue_final_message == Some(true);
    only("continue_final_message", !goes_on, "false: use /v1/completions to go on with a text")
}

/// How tokens are chosen.
///
/// # Errors
/// Names a number that is out of its range.
pub fn sampling(request: &ChatRequest) -> Result<SamplingAsk, Refusal> {
    checked(SamplingAsk {
        temperature: request.temperature,
        top_k: top_k(request.top_k)?,
        top_p: request.top_p,
        min_p: request.min_p,
        repetition_penalty: request.repetition_penalty,
        presence_penalty: request.presence_penalty,
        frequency_penalty: request.frequency_penalty,
        seed: request.seed.map(|seed| seed as u64),
    })
}

/// The same, its numbers being such as can be had.
///
/// # Errors
/// Names the first that is not.
pub fn checked(ask: SamplingAsk) -> Result<SamplingAsk, Refusal> {
    within("temperature", ask.temperature, 0.0, 100.0)?;
    within("top_p", ask.top_p, 0.0, 1.0)?;
    within("min_p", ask.min_p, 0.0, 1.0)?;
    within("repetition_penalty", ask.repetition_penalty, 0.01, 100.0)?;
    within("presence_penalty", ask.presence_penalty, -100.0, 100.0)?;
    within("frequency_penalty", ask.frequency_penalty, -100.0, 100.0)?;
    Ok(ask)
}

/// A number that lies between two.
///
/// # Errors
/// It does not.
pub fn within(
    field: &'static str,
    number: Option<f32>,
    least: f32,
    most: f32,
) -> Result<Option<f32>, Refusal> {
    match number {
        Some(found) if !(least..=most).contains(&found) => {
            let message = format!("found {found}, wanted a number from {least} to {most}");
            Err(Refusal::field(field, message))
        }
        number => Ok(number),
    }
}

/// Candidates; all where 0 or -1.
///
/// # Errors
/// Another negative number.
pub fn top_k(top_k: Option<i64>) -> Result<Option<usize>, Refusal> {
    match top_k {
        None => Ok(None),
        Some(-1) => Ok(Some(0)),
        Some(count) => match usize::try_from(count) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(Refusal::field("top_k", format!("found {count}, wanted 0 or more"))),
        },
    }
}

/// Tokens of an answer.
///
/// # Errors
/// None.
pub fn max_tokens(most: Option<u32>) -> Result<Option<usize>, Refusal> {
    match most {
        Some(0) => Err(Refusal::field("max_tokens", "found 0, wanted 1 or more")),
        most => Ok(most.map(|most| most as usize)),
    }
}

/// How many answers.
///
/// # Errors
/// None, or too many.
pub fn answers(answers: Option<u32>) -> Result<usize, Refusal> {
    match answers.unwrap_or(1) {
        count @ 1..=ANSWERS_MAX => Ok(count as usize),
        found => {
            let message = format!("found {found}, wanted 1 to {ANSWERS_MAX}");
            Err(Refusal::field("n", message))
        }
    }
}

/// The words for how hard to think that clients use.
pub const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

fn thinking(request: &ChatRequest) -> Result<ThinkingAsk, Refusal> {
    let Reasoning { effort, enabled, max_tokens, summary, .. } = match &request.reasoning {
        Some(reasoning) => reasoning,
        None => &Reasoning::default(),
    };
    if summary.as_ref().is_some_and(|summary| summary != "auto") {
        return Err(Refusal::field("reasoning.summary", "wanted auto"));
    }
    let effort = request.reasoning_effort.as_ref().or(effort.as_ref());
    if let Some(found) = effort.filter(|effort| !EFFORTS.contains(&effort.as_str())) {
        let message = format!("found `{found}`, wanted one of {}", EFFORTS.join(", "));
        return Err(Refusal::field("reasoning_effort", message));
    }
    let (mut switch, mut budget) = (request.enable_thinking.or(*enabled), *max_tokens);
    match &request.thinking {
        None => {}
        Some(Thinking::Switch(on)) => switch = Some(*on),
        Some(Thinking::Config { r#type, budget_tokens }) => {
            budget = budget.or(*budget_tokens);
            switch = match r#type.as_str() {
                "enabled" => Some(true),
                "disabled" => Some(false),
                "adaptive" | "auto" => switch,
                found => {
                    let message = format!("found `{found}`, wanted enabled, disabled or auto");
                    return Err(Refusal::field("thinking.type", message));
                }
            };
        }
    }
    let budget = request.thinking_budget.or(request.thinking_token_budget).or(budget);
    Ok(ThinkingAsk {
        switch,
        effort: effort.cloned(),
        budget: budget.map(|budget| budget as usize),
    })
}

/// The form of the answer, in whichever field it is asked for.
///
/// # Errors
/// Names a form that is not understood, or asked for twice.
pub fn format(request: &ChatRequest) -> Result<Format, Refusal> {
    let asked = [
        request.response_format.clone().map(schema::ResponseFormat::format).transpose()?,
        request.guided_json.clone().map(json).transpose()?,
        request.json_schema.clone().map(json).transpose()?,
        request.guided_regex.clone().map(Format::Regex),
        request.guided_choice.clone().map(Format::Choice),
        request.guided_grammar.clone().map(Format::Lark),
        request.grammar.clone().map(Format::Gbnf),
        request.structured_outputs.as_ref().map(structured).transpose()?,
    ];
    let mut asked = asked.into_iter().flatten().filter(|format| *format != Format::Text);
    let format = asked.next().unwrap_or_default();
    match asked.next() {
        Some(_) => {
            let message = "the answer's form is asked for twice, wanted one";
            Err(Refusal::field("response_format", message))
        }
        None => Ok(format),
    }
}

/// A schema, as an object or as its text.
fn json(schema: Value) -> Result<Format, Refusal> {
    match schema {
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(schema) => Ok(Format::JsonSchema(schema)),
            Err(error) => Err(Refusal::field("guided_json", format!("not JSON: {error}"))),
        },
        schema => Ok(Format::JsonSchema(schema)),
    }
}

fn structured(outputs: &StructuredOutputs) -> Result<Format, Refusal> {
    let StructuredOutputs { json: schema, json_object, regex, choice, grammar } = outputs;
    Ok(match (schema, regex, choice, grammar) {
        (Some(schema), None, None, None) => json(schema.clone())?,
        (None, Some(regex), None, None) => Format::Regex(regex.clone()),
        (None, None, Some(choice), None) => Format::Choice(choice.clone()),
        (None, None, None, Some(grammar)) => Format::Lark(grammar.clone()),
        (None, None, None, None) if *json_object == Some(true) => Format::JsonObject,
        (None, None, None, None) => Format::Text,
        _ => return Err(Refusal::field("structured_outputs", "wanted one form")),
    })
}
