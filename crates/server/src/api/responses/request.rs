//! `POST /v1/responses`: what a client may say.

use crate::api::openai::schema::{OneOrMany, ToolChoice};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A request for a response. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsesRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// What is to be answered: a text, or items.
    pub input: Option<Input>,
    /// A system message before all others; earlier responses' are not carried over.
    pub instructions: Option<String>,
    /// The stored response that this one goes on from.
    pub previous_response_id: Option<String>,
    /// Keep the response, to be asked for or gone on from (default true).
    pub store: Option<bool>,
    /// Answer at once that work is under way, and do it without the client.
    pub background: Option<bool>,
    /// Send the answer as server-sent events while it is made.
    pub stream: Option<bool>,
    /// What a stream tells beside the answer.
    pub stream_options: Option<ResponsesStreamOptions>,
    /// Most tokens of the answer, thoughts among them.
    #[schema(minimum = 1)]
    pub max_output_tokens: Option<u32>,
    /// Most calls of tools that the server runs; it runs none.
    pub max_tool_calls: Option<u32>,
    /// Whether and how hard to think.
    pub reasoning: Option<ResponsesReasoning>,
    /// The form of the answer.
    pub text: Option<TextConfig>,
    /// Tools that the client runs: `function`, `custom`, or `namespace` with some of these.
    #[schema(value_type = Option<Vec<Object>>)]
    pub tools: Option<Vec<Value>>,
    /// Whether they are called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// What to do with an input that is too long: refuse it (`disabled`, the default), or leave the
    /// oldest turns out (`auto`), which the response's `notices` then tell.
    pub truncation: Option<String>,
    /// What else to tell: `reasoning.encrypted_content`, `message.output_text.logprobs`.
    pub include: Option<Vec<String>>,
    /// Each token with so many likeliest.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u32>,
    /// 0 chooses the likeliest token always.
    #[schema(minimum = 0)]
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that together reach this probability.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Only so many likeliest tokens; 0 or -1 is all.
    pub top_k: Option<i64>,
    /// Only tokens at least this probable relative to the likeliest.
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f32>,
    /// Of every token seen; 1 is none.
    #[schema(exclusive_minimum = 0)]
    pub repetition_penalty: Option<f32>,
    /// Subtracted from the logits of tokens in the answer so far.
    pub presence_penalty: Option<f32>,
    /// Likewise, for each time.
    pub frequency_penalty: Option<f32>,
    /// Same seed, same request, same answer.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Variables of the chat template.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Notes of the client's own.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Likewise, which are not told again.
    #[schema(value_type = Option<Object>)]
    pub client_metadata: Option<Map<String, Value>>,
    /// Who asks; for the log.
    pub user: Option<String>,
    /// Likewise.
    pub safety_identifier: Option<String>,
    /// A hint: prefixes are found by their tokens, whatever it says.
    pub prompt_cache_key: Option<String>,
    /// Likewise.
    pub prompt_cache_retention: Option<String>,
    /// Only `auto` or `default`.
    pub service_tier: Option<String>,
    /// Only nothing: `previous_response_id` goes on from a response.
    #[schema(value_type = Option<Object>)]
    pub conversation: Option<Value>,
    /// Only nothing: there are no stored prompts.
    #[schema(value_type = Option<Object>)]
    pub prompt: Option<Value>,
}

/// What is to be answered.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "wanted a text or a list of items")]
pub enum Input {
    /// What the user says.
    Text(String),
    /// Messages, thoughts, calls and their outputs, references to items.
    #[schema(value_type = Vec<Object>)]
    Items(Vec<Value>),
}

/// What a stream tells beside the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsesStreamOptions {
    /// Padding against eavesdroppers; only `false`.
    pub include_obfuscation: Option<bool>,
}

/// Whether and how hard to think.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsesReasoning {
    /// none, minimal, low, medium, high, xhigh or max.
    pub effort: Option<String>,
    /// Only `auto`: thoughts are told as they are, none are summarized.
    pub summary: Option<String>,
    /// The older name of `summary`.
    pub generate_summary: Option<String>,
    /// Only `auto`: which earlier thoughts a model sees again, its chat template says.
    pub context: Option<String>,
    /// Only `standard`.
    pub mode: Option<String>,
    /// Most tokens of thoughts.
    pub max_tokens: Option<u32>,
}

/// The form of the answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Text (default), JSON, or JSON of a schema.
    pub format: Option<TextFormat>,
    /// Only `medium`: how long the answer is, the prompt says.
    pub verbosity: Option<String>,
}

/// Text, JSON, or JSON of a schema.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the schema is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The answer always fits, whatever is said here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}
