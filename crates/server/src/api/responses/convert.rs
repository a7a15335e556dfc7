//! From a request for a response to what is wanted, and to what the response tells of it.

use super::request::{ResponsesReasoning, ResponsesRequest, TextConfig, TextFormat};
use super::tools::Tools;
use crate::api::openai::convert::{EFFORTS, TOP_LOGPROBS_MAX, checked, top_k};
use crate::api::openai::schema::{OneOrMany, ToolChoice as Said};
use crate::app::seconds;
use crate::ask::{Ask, Format, Prompt, SamplingAsk, ThinkingAsk, ToolChoice};
use crate::error::Refusal;
use crate::model::Model;
use baimo_text::Chat;
use serde_json::{Value, json};

/// What else a response can tell.
const INCLUDABLE: [&str; 2] = ["reasoning.encrypted_content", "message.output_text.logprobs"];
/// Pairs of metadata, bytes of a key and of a value.
const METADATA_MAX: [usize; 3] = [16, 64, 512];

/// What a request wants, but for its messages.
#[derive(Debug)]
pub struct Wish {
    /// What the model is asked, without a word said yet.
    pub ask: Ask,
    /// Its tools.
    pub tools: Tools,
    /// The response before anything is known of it.
    pub response: Value,
    /// Turns may be left out where the input is too long.
    pub truncates: bool,
    /// Thoughts are told in a sealed form as well.
    pub seals: bool,
}

impl Wish {
    /// Of a request to a model.
    ///
    /// # Errors
    /// Names the field that is wrong or cannot be had.
    pub fn new(request: &ResponsesRequest, model: &Model) -> Result<Wish, Refusal> {
        refuse_what_cannot_be_had(request)?;
        let tools = Tools::new(request.tools.clone().unwrap_or_default())?;
        let tool_choice = match &request.tool_choice {
            Some(choice) => tools.choice(choice)?,
            None => ToolChoice::Auto,
        };
        let include = request.include.as_deref().unwrap_or_default();
        let includes = |what: &str| include.iter().any(|included| included == what);
        let top = request.top_logprobs.filter(|top| *top > 0);
        let logprobs = includes(INCLUDABLE[1]) || top.is_some();
        let chat = Chat {
            messages: Vec::new(),
            tools: tools.shown.clone(),
            add_generation_prompt: true,
            options: request.chat_template_kwargs.clone().unwrap_or_default(),
        };
        let ask = Ask {
            sampling: sampling(request)?,
            max_tokens: request.max_output_tokens.map(|most| most as usize),
            stops: request.stop.clone().map_or(Ok(Vec::new()), OneOrMany::stops)?,
            logprobs: logprobs.then_some(top.unwrap_or(0) as usize),
            thinking: thinking(request.reasoning.as_ref())?,
            tool_choice,
            parallel_calls: request.parallel_tool_calls.unwrap_or(true),
            format: format(request.text.as_ref())?,
            ..Ask::new(Prompt::Chat(chat))
        };
        Ok(Wish {
            response: response(request, model, &ask, &tools),
            ask,
            truncates: request.truncation.as_deref() == Some("auto"),
            seals: includes(INCLUDABLE[0]),
            tools,
        })
    }
}

/// Fields that are understood, and whose wish nobody here can grant.
fn refuse_what_cannot_be_had(request: &ResponsesRequest) -> Result<(), Refusal> {
    let only = |field: &'static str, sound: bool, wanted: &str| match sound {
        true => Ok(()),
        false => Err(Refusal::field(field, format!("wanted {wanted}"))),
    };
    let said = |text: &Option<String>, words: &[&str]| {
        text.as_ref().is_none_or(|text| words.contains(&text.as_str()))
    };
    let nothing = |value: &Option<Value>| value.as_ref().is_none_or(Value::is_null);
    let hint = "nothing: `previous_response_id` goes on from a response";
    only("conversation", nothing(&request.conversation), hint)?;
    only("prompt", nothing(&request.prompt), "nothing: no prompts are stored here")?;
    only("service_tier", said(&request.service_tier, &["auto", "default"]), "auto or default")?;
    only("truncation", said(&request.truncation, &["auto", "disabled"]), "auto or disabled")?;
    only("max_output_tokens", request.max_output_tokens != Some(0), "1 or more")?;
    let top = request.top_logprobs.unwrap_or(0);
    only("top_logprobs", top <= TOP_LOGPROBS_MAX, &format!("at most {TOP_LOGPROBS_MAX}"))?;
    let (streams, stores) = (request.stream == Some(true), request.store != Some(false));
    only("stream_options", streams || request.stream_options.is_none(), "`stream`: true with it")?;
    let pads = request.stream_options.and_then(|options| options.include_obfuscation);
    only("stream_options.include_obfuscation", pads != Some(true), "false")?;
    let background = request.background == Some(true);
    only("background", stores || !background, "`store`: true with it, to ask for it later")?;
    for (index, what) in request.include.iter().flatten().enumerate() {
        if !INCLUDABLE.contains(&what.as_str()) {
            let message = format!("found `{what}`, wanted one of {}", INCLUDABLE.join(", "));
            return Err(Refusal::field(format!("include[{index}]"), message));
        }
    }
    let [pairs, key_bytes, value_bytes] = METADATA_MAX;
    let metadata = request.metadata.iter().flatten();
    let sound = metadata.clone().count() <= pairs
        && metadata.clone().all(|(key, value)| {
            key.len() <= key_bytes && value.as_str().is_some_and(|text| text.len() <= value_bytes)
        });
    let wanted = format!("{pairs} texts at most, {value_bytes} bytes long, {key_bytes} a key");
    only("metadata", sound, &wanted)
}

fn sampling(request: &ResponsesRequest) -> Result<SamplingAsk, Refusal> {
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

fn thinking(reasoning: Option<&ResponsesReasoning>) -> Result<ThinkingAsk, Refusal> {
    let Some(reasoning) = reasoning else { return Ok(ThinkingAsk::default()) };
    let ResponsesReasoning { effort, summary, generate_summary, context, mode, max_tokens } =
        reasoning;
    let only = |field: &'static str, found: &Option<String>, words: &[&str]| match found {
        Some(found) if !words.contains(&found.as_str()) => {
            let message = format!("found `{found}`, wanted one of: {}", words.join(", "));
            Err(Refusal::field(field, message))
        }
        _ => Ok(()),
    };
    only("reasoning.effort", effort, &EFFORTS)?;
    only("reasoning.summary", summary, &["auto"])?;
    only("reasoning.generate_summary", generate_summary, &["auto"])?;
    only("reasoning.context", context, &["auto"])?;
    only("reasoning.mode", mode, &["standard"])?;
    let budget = max_tokens.map(|most| most as usize);
    Ok(ThinkingAsk { switch: None, effort: effort.clone(), budget })
}

fn format(text: Option<&TextConfig>) -> Result<Format, Refusal> {
    let Some(TextConfig { format, verbosity }) = text else { return Ok(Format::Text) };
    if verbosity.as_ref().is_some_and(|verbosity| verbosity != "medium") {
        let message = "wanted medium: say in the prompt how long";
        return Err(Refusal::field("text.verbosity", message));
    }
    let Some(TextFormat { kind, schema, .. }) = format else { return Ok(Format::Text) };
    match kind.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => match schema {
            Some(schema) => Ok(Format::JsonSchema(schema.clone())),
            None => Err(Refusal::field("text.format.schema", "`schema` is missing")),
        },
        found => {
            let message = format!("found `{found}`, wanted text, json_object or json_schema");
            Err(Refusal::field("text.format.type", message))
        }
    }
}

/// The response before anything is known of it: all fields, in the order of the API's reference.
fn response(request: &ResponsesRequest, model: &Model, ask: &Ask, tools: &Tools) -> Value {
    let (asked, recommended) = (&ask.sampling, &model.sampling);
    let presence = asked.presence_penalty.unwrap_or(recommended.presence_penalty);
    let frequency = asked.frequency_penalty.unwrap_or(recommended.frequency_penalty);
    let reasoning = request.reasoning.clone().unwrap_or_default();
    let format = request.text.as_ref().and_then(|text| text.format.clone());
    let format = format.map_or_else(|| json!({ "type": "text" }), |format| json!(format));
    let tool_choice = match &request.tool_choice {
        Some(Said::Object(object)) => object.clone(),
        Some(Said::Word(word)) => word.as_str().into(),
        None => "auto".into(),
    };
    let mut response = json!({
        "id": null,
        "object": "response",
        "created_at": seconds(),
        "completed_at": null,
        "status": if request.background == Some(true) { "queued" } else { "in_progress" },
        "background": request.background.unwrap_or(false),
        "error": null,
        "incomplete_details": null,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": model.name,
        "output": [],
        "parallel_tool_calls": ask.parallel_calls,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": request.prompt_cache_retention,
        "reasoning": { "effort": reasoning.effort, "summary": null },
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.store.unwrap_or(true),
        "temperature": number(asked.temperature.unwrap_or(recommended.temperature)),
        "text": { "format": format, "verbosity": "medium" },
        "tool_choice": tool_choice,
        "tools": tools.told,
        "top_logprobs": request.top_logprobs.unwrap_or(0),
        "top_p": number(asked.top_p.unwrap_or(recommended.top_p)),
        "presence_penalty": number(presence),
        "frequency_penalty": number(frequency),
        "truncation": request.truncation.as_deref().unwrap_or("disabled"),
        "usage": null,
        "user": request.user,
        "metadata": request.metadata.clone().unwrap_or_default(),
    });
    if !tools.notices.is_empty() {
        response["notices"] = tools.notices.clone().into();
    }
    response
}

/// As it was written: the nearest double of an `f32` has many more digits.
fn number(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// A refusal of what all dialects share, in this API's words.
pub fn in_its_words(refusal: Refusal) -> Refusal {
    let param = refusal.param.as_deref().map(|param| match param {
        "messages" => "input",
        "reasoning_effort" | "enable_thinking" => "reasoning.effort",
        "thinking" | "thinking_budget" => "reasoning.max_tokens",
        "max_tokens" => "max_output_tokens",
        param if param.starts_with("response_format") => "text.format",
        param => param,
    });
    let param = param.map(|param| param.to_owned().into());
    Refusal { param, ..refusal }
}
