//! `POST /v1/messages`: what a client may say.

use crate::api::openai::schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A request for a message. A field that is not listed is refused by name.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = anthropic::MessagesRequest)]
pub struct MessagesRequest {
    /// The model.
    pub model: String,
    /// The conversation: `user`, `assistant` and `system` turns of texts or blocks.
    #[schema(value_type = Vec<Object>, min_items = 1)]
    pub messages: Vec<Value>,
    /// Most tokens of the answer, thoughts among them; wanted, but for counting. 0 only computes
    /// the prompt, for a later request to begin with.
    pub max_tokens: Option<u32>,
    /// What comes before the conversation: a text or blocks of it.
    #[schema(value_type = Option<Object>)]
    pub system: Option<Value>,
    /// Send the answer as server-sent events while it is made.
    pub stream: Option<bool>,
    /// Texts that end the answer.
    pub stop_sequences: Option<Vec<String>>,
    /// 0 chooses the likeliest token always.
    #[schema(minimum = 0)]
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together reach this probability.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Only so many likeliest tokens.
    #[schema(minimum = 0)]
    pub top_k: Option<i64>,
    /// The tools there are: those that the client runs.
    pub tools: Option<Vec<Tool>>,
    /// Whether they are called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether and how long to think.
    pub thinking: Option<Thinking>,
    /// How hard to think, and the form of the answer.
    pub output_config: Option<OutputConfig>,
    /// The form of the answer, in the older place.
    #[schema(value_type = Option<Object>)]
    pub output_format: Option<Value>,
    /// Which earlier thoughts the model is shown again: `clear_thinking_20251015` alone.
    pub context_management: Option<ContextManagement>,
    /// A hint: prefixes are found by their tokens, whatever it says.
    #[schema(value_type = Option<Object>)]
    pub cache_control: Option<Value>,
    /// Who asks; for the log.
    pub metadata: Option<Metadata>,
    /// `auto` or `standard_only`.
    pub service_tier: Option<String>,
    /// Only `standard`.
    pub speed: Option<String>,
}

/// A tool that the client runs.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = anthropic::Tool)]
pub struct Tool {
    /// `custom` or absent: others run at Anthropic's.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// A JSON schema of its input.
    #[schema(value_type = Option<Object>)]
    pub input_schema: Option<Value>,
    /// Whether inputs are held to the schema.
    pub strict: Option<bool>,
    /// A hint: prefixes are found by their tokens, whatever it says.
    #[schema(value_type = Option<Object>)]
    pub cache_control: Option<Value>,
    /// Only `true`: inputs come as they are made.
    pub eager_input_streaming: Option<bool>,
    /// Only `false`: every tool is in the prompt.
    pub defer_loading: Option<bool>,
    /// Only `["direct"]`.
    pub allowed_callers: Option<Vec<String>>,
    /// Only an empty list: the description has room for them.
    #[schema(value_type = Option<Vec<Object>>)]
    pub input_examples: Option<Vec<Value>>,
}

/// Whether tools are called.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = anthropic::ToolChoice)]
pub struct ToolChoice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which, for `tool`.
    pub name: Option<String>,
    /// At most one call in a turn.
    pub disable_parallel_tool_use: Option<bool>,
}

/// Whether and how long to think.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = anthropic::Thinking)]
pub struct Thinking {
    /// `enabled`, `disabled` or `adaptive`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Most tokens of thoughts, for `enabled`.
    pub budget_tokens: Option<u32>,
    /// `summarized` tells the thoughts, as they are; `omitted` only what brings them back.
    pub display: Option<String>,
}

/// How hard to think, and the form of the answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = anthropic::OutputConfig)]
pub struct OutputConfig {
    /// `low`, `medium`, `high`, `xhigh` or `max`.
    pub effort: Option<String>,
    /// `{"type": "json_schema", "schema": {..}}`.
    #[schema(value_type = Option<Object>)]
    pub format: Option<Value>,
}

/// Which parts of the conversation the model is not shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = anthropic::ContextManagement)]
pub struct ContextManagement {
    /// `{"type": "clear_thinking_20251015", "keep": "all" | {"type": "thinking_turns", "value"}}`.
    #[schema(value_type = Vec<Object>)]
    pub edits: Vec<Value>,
}

/// Who asks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = anthropic::Metadata)]
pub struct Metadata {
    /// A name that means something to the client.
    pub user_id: Option<String>,
}

impl Tool {
    /// The same in OpenAI's words.
    pub(super) fn function(self) -> schema::Tool {
        schema::Tool {
            kind: "function".to_owned(),
            function: schema::Function {
                name: self.name.unwrap_or_default(),
                description: self.description,
                parameters: self.input_schema,
                strict: self.strict,
            },
        }
    }
}
