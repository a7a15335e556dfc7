//! From a request for a message to what is wanted.

use super::conversation::{clear_thinking, conversation};
use super::request::{
    ContextManagement, MessagesRequest, OutputConfig, Thinking, Tool, ToolChoice,
};
use crate::api::openai::{convert, schema};
use crate::ask::{Ask, Format, Prompt, SamplingAsk, ThinkingAsk, ToolChoice as Choice};
use crate::error::Refusal;
use baimo_text::Chat;
use serde_json::{Map, Value};

/// What is wanted, and what of it concerns the telling.
#[derive(Debug)]
pub struct Wanted {
    /// The request.
    pub ask: Ask,
    /// Whether thoughts are told; else only their signature.
    pub thoughts: bool,
    /// Thoughts that the model is not shown, as was asked for.
    pub cleared: Vec<Value>,
}

/// What a request wants.
///
/// # Errors
/// Names the field that is wrong or cannot be had.
pub fn wanted(request: MessagesRequest) -> Result<Wanted, Refusal> {
    refuse_what_cannot_be_had(&request)?;
    let sampling = convert::checked(SamplingAsk {
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: convert::top_k(request.top_k)?,
        ..SamplingAsk::default()
    })?;
    let output = request.output_config.unwrap_or_default();
    let thinking = thinking(request.thinking.as_ref(), &output, request.max_tokens)?;
    let format = format(output.format, request.output_format)?;
    let tools = tools(request.tools.unwrap_or_default())?;
    let (tool_choice, parallel_calls) = match &request.tool_choice {
        Some(choice) => choose(choice, tools.as_ref())?,
        None => (Choice::Auto, true),
    };
    let mut messages = conversation(request.system.as_ref(), &request.messages)?;
    let management = request.context_management.as_ref();
    let cleared = match management.map(kept_turns).transpose()?.flatten() {
        Some(keep) => clear_thinking(&mut messages, keep),
        None => Vec::new(),
    };
    let chat = Chat { messages, tools, add_generation_prompt: true, options: Map::new() };
    let stops = schema::OneOrMany::Many(request.stop_sequences.unwrap_or_default());
    let ask = Ask {
        sampling,
        max_tokens: request.max_tokens.map(|most| most as usize),
        stops: stops.stops()?,
        thinking,
        tool_choice,
        parallel_calls,
        format,
        ..Ask::new(Prompt::Chat(chat))
    };
    let display = request.thinking.and_then(|thinking| thinking.display);
    Ok(Wanted { ask, thoughts: display.as_deref() != Some("omitted"), cleared })
}

/// Fields that are understood, and whose wish nobody here can grant.
fn refuse_what_cannot_be_had(request: &MessagesRequest) -> Result<(), Refusal> {
    let only = |field: &'static str, found: Option<&str>, known: &[&str]| match found {
        Some(found) if !known.contains(&found) => {
            let message = format!("found `{found}`, wanted {}", known.join(" or "));
            Err(Refusal::field(field, message))
        }
        _ => Ok(()),
    };
    only("service_tier", request.service_tier.as_deref(), &["auto", "standard_only"])?;
    only("speed", request.speed.as_deref(), &["standard"])?;
    if let Some(control) = request.cache_control.as_ref() {
        let kind = control.get("type").and_then(Value::as_str).unwrap_or_default();
        only("cache_control.type", Some(kind), &["ephemeral"])?;
    }
    let mut stops = request.stop_sequences.iter().flatten();
    match stops.position(String::is_empty) {
        Some(index) => {
            let message = "found an empty text, which is everywhere";
            Err(Refusal::field(format!("stop_sequences[{index}]"), message))
        }
        None => Ok(()),
    }
}

fn thinking(
    thinking: Option<&Thinking>,
    output: &OutputConfig,
    max_tokens: Option<u32>,
) -> Result<ThinkingAsk, Refusal> {
    let effort = output.effort.clone();
    let known = ["low", "medium", "high", "xhigh", "max"];
    if let Some(found) = effort.as_deref().filter(|effort| !known.contains(effort)) {
        let message = format!("found `{found}`, wanted one of {}", known.join(", "));
        return Err(Refusal::field("output_config.effort", message));
    }
    let Some(Thinking { kind, budget_tokens, display }) = thinking else {
        return Ok(ThinkingAsk { effort, ..ThinkingAsk::default() });
    };
    if let Some(found) = display.as_deref().filter(|d| !["summarized", "omitted"].contains(d)) {
        let message = format!("found `{found}`, wanted summarized or omitted");
        return Err(Refusal::field("thinking.display", message));
    }
    let (switch, budget) = match (kind.as_str(), budget_tokens) {
        ("enabled", None) => {
            return Err(Refusal::field("thinking.budget_tokens", "wanted with `enabled`"));
        }
        ("enabled", Some(budget)) => {
            // Thoughts are part of the answer: such a budget would leave no room for words.
            if let Some(most) = max_tokens.filter(|most| budget >= most) {
                let message = format!("found {budget}, wanted less than max_tokens, {most}");
                return Err(Refusal::field("thinking.budget_tokens", message));
            }
            (Some(true), Some(*budget as usize))
        }
        ("disabled" | "adaptive", Some(_)) => {
            let message = format!("wanted none with `{kind}`");
            return Err(Refusal::field("thinking.budget_tokens", message));
        }
        ("disabled", None) => (Some(false), None),
        ("adaptive", None) => (None, None),
        (found, _) => {
            let message = format!("found `{found}`, wanted enabled, disabled or adaptive");
            return Err(Refusal::field("thinking.type", message));
        }
    };
    Ok(ThinkingAsk { switch, effort, budget })
}

fn format(new: Option<Value>, old: Option<Value>) -> Result<Format, Refusal> {
    let (field, format) = match (new, old) {
        (Some(format), None) => ("output_config.format", format),
        (None, Some(format)) => ("output_format", format),
        (None, None) => return Ok(Format::Text),
        (Some(_), Some(_)) => {
            let message = "the answer's form is asked for twice, wanted one";
            return Err(Refusal::field("output_format", message));
        }
    };
    match (format["type"].as_str(), format.get("schema")) {
        (Some("json_schema"), Some(schema)) => Ok(Format::JsonSchema(schema.clone())),
        _ => {
            let message = "wanted {\"type\": \"json_schema\", \"schema\": {..}}";
            Err(Refusal::field(field, message))
        }
    }
}

/// The tools as templates read them.
fn tools(tools: Vec<Tool>) -> Result<Option<Value>, Refusal> {
    let one = |(index, tool): (usize, Tool)| {
        let refuse = |field: &str, message: String| {
            Err(Refusal::field(format!("tools[{index}].{field}"), message))
        };
        if let Some(kind) = tool.kind.as_deref().filter(|kind| *kind != "custom") {
            let message = format!(
                "found `{kind}`, wanted custom: only tools that the client runs and describes\n\
                 hint: give it a name and an input_schema"
            );
            return refuse("type", message);
        }
        if tool.name.is_none() {
            return refuse("name", "`name` is missing".to_owned());
        }
        if tool.input_schema.is_none() {
            return refuse("input_schema", "`input_schema` is missing".to_owned());
        }
        let mut callers = tool.allowed_callers.iter().flatten();
        let examples = tool.input_examples.as_deref().unwrap_or_default();
        for (field, sound, wanted) in [
            ("eager_input_streaming", tool.eager_input_streaming != Some(false), "true"),
            ("defer_loading", tool.defer_loading != Some(true), "false"),
            ("allowed_callers", callers.all(|c| c == "direct"), "[\"direct\"]"),
            ("input_examples", examples.is_empty(), "none\nhint: describe them in words"),
        ] {
            if !sound {
                return refuse(field, format!("wanted {wanted}"));
            }
        }
        Ok(tool.function())
    };
    let tools: Vec<_> = tools.into_iter().enumerate().map(one).collect::<Result<_, _>>()?;
    schema::tools(tools)
}

/// Which tools are called, and whether several in one turn.
fn choose(choice: &ToolChoice, tools: Option<&Value>) -> Result<(Choice, bool), Refusal> {
    let word = match (choice.kind.as_str(), &choice.name) {
        ("tool", Some(name)) => {
            let named = serde_json::json!({ "type": "function", "name": name });
            schema::ToolChoice::Object(named)
        }
        ("tool", None) => {
            return Err(Refusal::field("tool_choice.name", "wanted with `tool`"));
        }
        (_, Some(_)) => {
            return Err(Refusal::field("tool_choice.name", "wanted only with `tool`"));
        }
        (word @ ("auto" | "any" | "none"), None) => schema::ToolChoice::Word(word.to_owned()),
        (found, None) => {
            let message = format!("found `{found}`, wanted auto, any, tool or none");
            return Err(Refusal::field("tool_choice.type", message));
        }
    };
    let parallel = choice.disable_parallel_tool_use != Some(true);
    Ok((word.choice(tools)?, parallel))
}

/// How many of the last turns keep their thoughts; `None` where all do.
fn kept_turns(management: &ContextManagement) -> Result<Option<usize>, Refusal> {
    let mut kept = None;
    for (index, edit) in management.edits.iter().enumerate() {
        let refuse = |field: &str, message: String| {
            let param = format!("context_management.edits[{index}].{field}");
            Err(Refusal::field(param, message))
        };
        let kind = edit["type"].as_str().unwrap_or_default();
        if kind != "clear_thinking_20251015" {
            return refuse("type", format!("found `{kind}`, wanted clear_thinking_20251015"));
        }
        let keep = &edit["keep"];
        kept = match (keep["type"].as_str().or(keep.as_str()), keep["value"].as_u64()) {
            (Some("all"), _) => None,
            (None, _) if keep.is_null() => Some(1),
            (Some("thinking_turns"), Some(turns @ 1..)) => Some(turns as usize),
            _ => return refuse("keep", format!("found {keep}, wanted all or thinking_turns")),
        };
    }
    Ok(kept)
}
