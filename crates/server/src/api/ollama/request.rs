//! `POST /api/chat` and `/api/generate`: what a client may say.

use crate::api::openai::schema::{OneOrMany, Tool};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A request to answer a conversation. A field that is not listed is refused by name.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ollama::ChatRequest)]
pub struct ChatRequest {
    /// The model.
    pub model: String,
    /// The conversation; without one, the model is loaded, or unloaded by `keep_alive`: 0.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Value>>,
    /// The tools there are.
    pub tools: Option<Vec<Tool>>,
    /// To think or not to, or how hard: a boolean, or `low`, `medium`, `high`, `max`.
    pub think: Option<Think>,
    /// `json`, or a schema.
    #[schema(value_type = Option<Object>)]
    pub format: Option<Value>,
    /// How tokens are chosen, and how many.
    pub options: Option<Options>,
    /// The answer as lines while it is made; true where absent.
    pub stream: Option<bool>,
    /// How long the model stays loaded: seconds, or a text like `5m`; negative is for ever.
    pub keep_alive: Option<KeepAlive>,
    /// Each token with its log-probability.
    pub logprobs: Option<bool>,
    /// And those of so many likeliest.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u32>,
    /// Only `false`: nothing is taken out of a conversation that is too long.
    pub truncate: Option<bool>,
    /// Only `false`: nothing is taken out of a context that is full.
    pub shift: Option<bool>,
}

/// A request to answer or continue a text. A field that is not listed is refused by name.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ollama::GenerateRequest)]
pub struct GenerateRequest {
    /// The model.
    pub model: String,
    /// What is answered; without it, the model is loaded, or unloaded by `keep_alive`: 0.
    pub prompt: Option<String>,
    /// What comes before it.
    pub system: Option<String>,
    /// The prompt goes to the model as it is, without a chat template.
    pub raw: Option<bool>,
    /// Only the empty one: nothing can be put between two texts.
    pub suffix: Option<String>,
    /// Only the empty one: a model speaks its own format.
    pub template: Option<String>,
    /// Only an empty one: `/api/chat` has conversations.
    pub context: Option<Vec<u32>>,
    /// Only an empty list.
    #[schema(value_type = Option<Vec<String>>)]
    pub images: Option<Vec<Value>>,
    /// To think or not to, or how hard.
    pub think: Option<Think>,
    /// `json`, or a schema.
    #[schema(value_type = Option<Object>)]
    pub format: Option<Value>,
    /// How tokens are chosen, and how many.
    pub options: Option<Options>,
    /// The answer as lines while it is made; true where absent.
    pub stream: Option<bool>,
    /// How long the model stays loaded.
    pub keep_alive: Option<KeepAlive>,
    /// Each token with its log-probability.
    pub logprobs: Option<bool>,
    /// And those of so many likeliest.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u32>,
    /// Only `false`.
    pub truncate: Option<bool>,
    /// Only `false`.
    pub shift: Option<bool>,
}

/// To think or not to, or how hard.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ollama::Think)]
pub enum Think {
    /// On or off.
    Switch(bool),
    /// `low`, `medium`, `high` or `max`.
    Effort(String),
}

/// A span of time.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ollama::KeepAlive)]
pub enum KeepAlive {
    /// Seconds.
    Seconds(f64),
    /// As Go writes it: `300ms`, `1h30m`; or seconds.
    Text(String),
}

/// How tokens are chosen, and how many. Options of loading are the server's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ollama::Options)]
pub struct Options {
    /// Positions that are needed; there may be more.
    pub num_ctx: Option<u64>,
    /// Most tokens of the answer; as many as the context has where negative.
    #[schema(minimum = -2)]
    pub num_predict: Option<i64>,
    /// Any: nothing is taken out of a context, so everything is kept.
    pub num_keep: Option<i64>,
    /// Same seed, same request, same answer; -1 is any.
    pub seed: Option<i64>,
    /// 0 chooses the likeliest token always.
    #[schema(minimum = 0)]
    pub temperature: Option<f32>,
    /// Only so many likeliest tokens; 0 or -1 is all.
    #[schema(minimum = -1)]
    pub top_k: Option<i64>,
    /// Only the likeliest tokens that together reach this probability.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// Only tokens at least this probable relative to the likeliest.
    #[schema(minimum = 0, maximum = 1)]
    pub min_p: Option<f32>,
    /// Of every token seen; 1 is none.
    #[schema(exclusive_minimum = 0)]
    pub repeat_penalty: Option<f32>,
    /// Subtracted from the logits of tokens in the answer so far.
    pub presence_penalty: Option<f32>,
    /// Likewise, for each time.
    pub frequency_penalty: Option<f32>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Only -1: the penalty is of every token seen.
    pub repeat_last_n: Option<i64>,
    /// Only 1, which is off.
    pub typical_p: Option<f32>,
    /// Only 1, which is off.
    pub tfs_z: Option<f32>,
    /// Only 0, which is off.
    pub mirostat: Option<i64>,
    /// Without effect, as what it tunes is off.
    pub mirostat_tau: Option<f32>,
    /// Likewise.
    pub mirostat_eta: Option<f32>,
    /// Only `true`: a line break is a token like others.
    pub penalize_newline: Option<bool>,
}
