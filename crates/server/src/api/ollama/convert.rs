//! From Ollama's requests to what is wanted.

use super::request::{ChatRequest, GenerateRequest, Options, Think};
use crate::api::openai::messages::messages;
use crate::api::openai::{convert, schema};
use crate::ask::{Ask, Format, Prompt, SamplingAsk, ThinkingAsk};
use crate::error::Refusal;
use crate::model::Model;
use baimo_text::Chat;
use serde_json::{Map, Value, json};

/// Alternatives of a token that may be told.
const TOP_LOGPROBS_MAX: u32 = 20;

/// What a conversation wants; `None` where it has no messages.
///
/// # Errors
/// Names the field that is wrong or cannot be had.
pub fn chat(request: ChatRequest, model: &Model) -> Result<Option<Ask>, Refusal> {
    never_cut(request.truncate, request.shift)?;
    let turns = request.messages.unwrap_or_default();
    let turns = turns.into_iter().enumerate().map(|(index, turn)| message(index, turn));
    let turns = turns.collect::<Result<Vec<_>, _>>()?;
    let tools = schema::tools(request.tools.unwrap_or_default())?;
    let prompt = if turns.is_empty() {
        None
    } else {
        let messages = messages(turns)?;
        let options = Map::new();
        Some(Prompt::Chat(Chat { messages, tools, add_generation_prompt: true, options }))
    };
    let logprobs = logprobs(request.logprobs, request.top_logprobs)?;
    let asked = Asked { think: request.think, format: request.format, logprobs };
    asked.ask(prompt, request.options, model)
}

/// What a text wants; `None` where there is none.
///
/// # Errors
/// Names the field that is wrong or cannot be had.
pub fn generate(request: GenerateRequest, model: &Model) -> Result<Option<Ask>, Refusal> {
    never_cut(request.truncate, request.shift)?;
    let only = |field: &'static str, sound: bool, wanted: &str| match sound {
        true => Ok(()),
        false => Err(Refusal::field(field, format!("wanted {wanted}"))),
    };
    let empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    only("suffix", empty(&request.suffix), "none: nothing can be put between two texts")?;
    let own = "none: a model speaks its own format\nhint: `raw`: true sends the prompt as it is";
    only("template", empty(&request.template), own)?;
    let context = request.context.unwrap_or_default();
    only("context", context.is_empty(), "none\nhint: /api/chat has conversations")?;
    let images = request.images.unwrap_or_default();
    only("images", images.is_empty(), "none: this server reads text")?;
    let raw = request.raw.unwrap_or(false);
    let system = request.system.unwrap_or_default();
    only("system", !raw || system.is_empty(), "none with `raw`: write it into the prompt")?;
    only("think", !raw || request.think.is_none(), "none with `raw`")?;
    let prompt = request.prompt.filter(|prompt| !prompt.is_empty());
    // A model without a chat format can only continue.
    let speaks = !raw && model.template.is_some();
    let prompt = prompt.map(|prompt| {
        if !speaks {
            return Prompt::Text(if system.is_empty() { prompt } else { system + "\n" + &prompt });
        }
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": prompt }));
        let options = Map::new();
        Prompt::Chat(Chat { messages, tools: None, add_generation_prompt: true, options })
    });
    let logprobs = logprobs(request.logprobs, request.top_logprobs)?;
    let asked = Asked { think: request.think, format: request.format, logprobs };
    asked.ask(prompt, request.options, model)
}

/// What both requests ask.
struct Asked {
    think: Option<Think>,
    format: Option<Value>,
    logprobs: Option<usize>,
}

impl Asked {
    fn ask(
        self,
        prompt: Option<Prompt>,
        options: Option<Options>,
        model: &Model,
    ) -> Result<Option<Ask>, Refusal> {
        let options = options.unwrap_or_default();
        let sampling = sampling(&options)?;
        let max_tokens = sizes(&options, model.about.context)?;
        let thinking = thinking(self.think)?;
        let format = format(self.format)?;
        let stops = options.stop.map_or(Ok(Vec::new()), schema::OneOrMany::stops)?;
        let logprobs = self.logprobs;
        let ask = |prompt| Ask {
            sampling,
            max_tokens,
            stops,
            thinking,
            format,
            logprobs,
            ..Ask::new(prompt)
        };
        Ok(prompt.map(ask))
    }
}

/// A message in OpenAI's words.
fn message(index: usize, mut message: Value) -> Result<Value, Refusal> {
    let Some(fields) = message.as_object_mut() else { return Ok(message) };
    if let Some(images) = fields.remove("images")
        && images.as_array().is_none_or(|images| !images.is_empty())
        && !images.is_null()
    {
        let wanted = "wanted none: this server reads text";
        return Err(Refusal::field(format!("messages[{index}].images"), wanted));
    }
    for (own, other) in [("thinking", "reasoning_content"), ("tool_name", "name")] {
        if let Some(value) = fields.remove(own) {
            fields.insert(other.to_owned(), value);
        }
    }
    if fields.get("content").is_none() {
        fields.insert("content".to_owned(), "".into());
    }
    Ok(message)
}

fn never_cut(truncate: Option<bool>, shift: Option<bool>) -> Result<(), Refusal> {
    for (field, asked) in [("truncate", truncate), ("shift", shift)] {
        if asked == Some(true) {
            let message = "wanted false: nothing is taken out of a conversation";
            return Err(Refusal::field(field, message));
        }
    }
    Ok(())
}

fn logprobs(asked: Option<bool>, top: Option<u32>) -> Result<Option<usize>, Refusal> {
    match (asked.unwrap_or(false), top.unwrap_or(0)) {
        (_, found) if found > TOP_LOGPROBS_MAX => {
            let message = format!("found {found}, wanted at most {TOP_LOGPROBS_MAX}");
            Err(Refusal::field("top_logprobs", message))
        }
        (false, 1..) => Err(Refusal::field("top_logprobs", "wanted `logprobs`: true with it")),
        (false, 0) => Ok(None),
        (true, top) => Ok(Some(top as usize)),
    }
}

fn sampling(options: &Options) -> Result<SamplingAsk, Refusal> {
    let only = |field: &'static str, sound: bool, wanted: &str| match sound {
        true => Ok(()),
        false => Err(Refusal::field(field, format!("wanted {wanted}"))),
    };
    let all = "-1: the penalty is of every token seen";
    only("options.repeat_last_n", options.repeat_last_n.is_none_or(|n| n == -1), all)?;
    only("options.typical_p", options.typical_p.is_none_or(|p| p == 1.0), "1, which is off")?;
    only("options.tfs_z", options.tfs_z.is_none_or(|z| z == 1.0), "1, which is off")?;
    only("options.mirostat", options.mirostat.is_none_or(|kind| kind == 0), "0, which is off")?;
    let newline = options.penalize_newline != Some(false);
    only("options.penalize_newline", newline, "true: a line break is a token like others")?;
    let within = convert::within;
    let (repeat, presence) = (options.repeat_penalty, options.presence_penalty);
    let frequency = options.frequency_penalty;
    Ok(SamplingAsk {
        temperature: within("options.temperature", options.temperature, 0.0, 100.0)?,
        top_k: convert::top_k(options.top_k)?,
        top_p: within("options.top_p", options.top_p, 0.0, 1.0)?,
        min_p: within("options.min_p", options.min_p, 0.0, 1.0)?,
        repetition_penalty: within("options.repeat_penalty", repeat, 0.01, 100.0)?,
        presence_penalty: within("options.presence_penalty", presence, -100.0, 100.0)?,
        frequency_penalty: within("options.frequency_penalty", frequency, -100.0, 100.0)?,
        seed: options.seed.filter(|seed| *seed != -1).map(|seed| seed as u64),
    })
}

/// Most tokens of an answer, of a model with so many positions.
fn sizes(options: &Options, context: usize) -> Result<Option<usize>, Refusal> {
    if let Some(found) = options.num_ctx.filter(|wanted| *wanted > context as u64) {
        let message = format!(
            "found {found}, wanted at most {context}\n\
             hint: start the server with a larger --context"
        );
        return Err(Refusal::field("options.num_ctx", message));
    }
    match options.num_predict {
        None | Some(-2 | -1) => Ok(None),
        Some(most) => match usize::try_from(most) {
            Ok(most) => Ok(Some(most)),
            Err(_) => {
                let message = format!("found {most}, wanted -1 or more");
                Err(Refusal::field("options.num_predict", message))
            }
        },
    }
}

fn thinking(think: Option<Think>) -> Result<ThinkingAsk, Refusal> {
    Ok(match think {
        None => ThinkingAsk::default(),
        Some(Think::Switch(on)) => ThinkingAsk { switch: Some(on), ..ThinkingAsk::default() },
        Some(Think::Effort(effort)) => {
            if !["low", "medium", "high", "max"].contains(&effort.as_str()) {
                let message = format!("found `{effort}`, wanted true, false, low, medium or high");
                return Err(Refusal::field("think", message));
            }
            ThinkingAsk { effort: Some(effort), ..ThinkingAsk::default() }
        }
    })
}

fn format(format: Option<Value>) -> Result<Format, Refusal> {
    match format {
        None | Some(Value::Null) => Ok(Format::Text),
        Some(Value::String(word)) if word.is_empty() => Ok(Format::Text),
        Some(Value::String(word)) if word == "json" => Ok(Format::JsonObject),
        Some(schema @ Value::Object(_)) => Ok(Format::JsonSchema(schema)),
        Some(found) => {
            Err(Refusal::field("format", format!("found {found}, wanted \"json\" or a schema")))
        }
    }
}
