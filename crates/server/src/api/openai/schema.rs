//! Parts that several of OpenAI's requests have, and what they mean.

use crate::ask::{Format, ToolChoice as Choice};
use crate::error::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One text or several.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// What is added to the logits of tokens, by token id.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct LogitBias(pub BTreeMap<String, f32>);

/// What a stream tells beside the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamOptions {
    /// A last chunk with the usage, and none of it in the others.
    pub include_usage: Option<bool>,
    /// The usage so far in every chunk.
    pub continuous_usage_stats: Option<bool>,
    /// Padding against eavesdroppers; only `false`.
    pub include_obfuscation: Option<bool>,
}

/// A tool.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What can be called.
    pub function: Function,
}

/// What can be called.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// A JSON schema of its arguments.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    /// Whether the arguments are held to the schema.
    pub strict: Option<bool>,
}

/// Whether tools are called.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ToolChoice {
    /// `auto`, `none` or `required`.
    Word(String),
    /// One of them, or some of them.
    #[schema(value_type = Object)]
    Object(Value),
}

/// The form of an answer.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ResponseFormat {
    /// `text`, `json_object`, `json_schema`, `regex`, `grammar` or `gbnf`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `json_schema`: `{name, schema, strict}`.
    #[schema(value_type = Option<Object>)]
    pub json_schema: Option<Value>,
    /// A schema for `json_object`, as llama.cpp has it.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// For `regex`.
    pub pattern: Option<String>,
    /// For `grammar` (Lark's notation) and `gbnf` (llama.cpp's).
    pub grammar: Option<String>,
}

/// Stop texts that a request may have.
const STOPS_MAX: usize = 16;

impl OneOrMany {
    /// All of them.
    ///
    /// # Errors
    /// Too many.
    pub fn stops(self) -> Result<Vec<String>, Refusal> {
        let stops = match self {
            OneOrMany::One(stop) => vec![stop],
            OneOrMany::Many(stops) => stops,
        };
        match stops.len() {
            0..=STOPS_MAX => Ok(stops),
            found => {
                let message = format!("found {found} stop texts, wanted at most {STOPS_MAX}");
                Err(Refusal::field("stop", message))
            }
        }
    }
}

impl LogitBias {
    /// Token ids with what is added to them.
    ///
    /// # Errors
    /// A key that is no id, or a bias beyond ±100.
    pub fn list(self) -> Result<Vec<(u32, f32)>, Refusal> {
        let one = |(key, bias): (String, f32)| match key.parse() {
            Ok(token) if (-100.0..=100.0).contains(&bias) => Ok((token, bias)),
            Ok(_) | Err(_) => {
                let message = format!("found `{key}: {bias}`, wanted a token id and ±100 at most");
                Err(Refusal::field("logit_bias", message))
            }
        };
        self.0.into_iter().map(one).collect()
    }
}

/// The tools as templates read them.
///
/// # Errors
/// A tool that is no function, or has no usable name.
pub fn tools(tools: Vec<Tool>) -> Result<Option<Value>, Refusal> {
    let one = |(index, tool): (usize, Tool)| {
        if tool.kind != "function" {
            let message = format!("found `{}`, wanted `function`", tool.kind);
            return Err(Refusal::field(format!("tools[{index}].type"), message));
        }
        let Function { name, description, parameters, strict } = tool.function;
        let sound = |c: char| c.is_alphanumeric() || "_-.:/".contains(c);
        if name.is_empty() || name.len() > 256 || !name.chars().all(sound) {
            let message = format!("found `{name}`, wanted letters, digits, `_`, `-`");
            return Err(Refusal::field(format!("tools[{index}].function.name"), message));
        }
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        if !parameters.is_object() {
            let param = format!("tools[{index}].function.parameters");
            return Err(Refusal::field(param, "wanted a JSON schema, which is an object"));
        }
        let mut function = json!({ "name": name });
        function["description"] = description.unwrap_or_default().into();
        function["parameters"] = parameters;
        if let Some(strict) = strict {
            function["strict"] = strict.into();
        }
        Ok(json!({ "type": "function", "function": function }))
    };
    let list: Vec<Value> = tools.into_iter().enumerate().map(one).collect::<Result<_, _>>()?;
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

impl ToolChoice {
    /// What is wanted of `tools`, OpenAI's list.
    ///
    /// # Errors
    /// A word or a tool that there is not.
    pub fn choice(&self, tools: Option<&Value>) -> Result<Choice, Refusal> {
        let refuse = |message: String| Err(Refusal::field("tool_choice", message));
        let known: Vec<&str> = tools
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|tool| tool["function"]["name"].as_str())
            .collect();
        let choice = match self {
            ToolChoice::Word(word) => match word.as_str() {
                "auto" => Choice::Auto,
                "none" => Choice::None,
                "required" | "any" => Choice::Required,
                found => return refuse(format!("found `{found}`, wanted auto, none or required")),
            },
            ToolChoice::Object(object) => match object["type"].as_str() {
                Some("function") => {
                    let name = object["function"]["name"].as_str().or(object["name"].as_str());
                    let Some(name) = name else {
                        return refuse("`function.name` is missing".to_owned());
                    };
                    Choice::Named(name.to_owned())
                }
                Some("allowed_tools") => {
                    let inner = object.get("allowed_tools").unwrap_or(object);
                    let names = inner["tools"].as_array().into_iter().flatten();
                    let name = |tool: &Value| {
                        let name = tool["function"]["name"].as_str().or(tool["name"].as_str());
                        name.map(str::to_owned)
                    };
                    let required = inner["mode"] == "required";
                    Choice::Among { required, names: names.filter_map(name).collect() }
                }
                _ => return refuse("wanted `type`: function or allowed_tools".to_owned()),
            },
        };
        let wanted = match &choice {
            Choice::Named(name) => std::slice::from_ref(name),
            Choice::Among { names, .. } => names.as_slice(),
            Choice::Auto | Choice::None => return Ok(choice),
            Choice::Required if known.is_empty() => {
                return refuse("a call is required and there are no `tools`".to_owned());
            }
            Choice::Required => return Ok(choice),
        };
        match wanted.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => refuse(format!("no tool `{name}` among: {}", known.join(", "))),
            None => Ok(choice),
        }
    }
}

impl ResponseFormat {
    /// The form it means.
    ///
    /// # Errors
    /// A kind that there is not, or one without its schema.
    pub fn format(self) -> Result<Format, Refusal> {
        let missing = |name: &'static str| {
            Refusal::field(format!("response_format.{name}"), format!("`{name}` is missing"))
        };
        Ok(match self.kind.as_str() {
            "text" => Format::Text,
            "json_object" => match self.schema {
                Some(schema) => Format::JsonSchema(schema),
                None => Format::JsonObject,
            },
            "json_schema" => {
                let wrapped = self.json_schema.ok_or_else(|| missing("json_schema"))?;
                let schema = wrapped.get("schema").cloned();
                Format::JsonSchema(schema.ok_or_else(|| missing("json_schema.schema"))?)
            }
            "regex" => Format::Regex(self.pattern.ok_or_else(|| missing("pattern"))?),
            "grammar" => Format::Lark(self.grammar.ok_or_else(|| missing("grammar"))?),
            "gbnf" => Format::Gbnf(self.grammar.ok_or_else(|| missing("grammar"))?),
            found => {
                let message =
                    format!("found `{found}`, wanted text, json_object, json_schema or regex");
                return Err(Refusal::field("response_format.type", message));
            }
        })
    }
}
