//! `POST /v1/chat/completions`: what a client may say.

use super::schema::{LogitBias, OneOrMany, ResponseFormat, StreamOptions, Tool, ToolChoice};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A request for a chat completion. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// The conversation.
    #[schema(value_type = Vec<Object>, min_items = 1)]
    pub messages: Vec<Value>,
    /// Send the answer as server-sent events while it is made.
    pub stream: Option<bool>,
    /// What a stream tells beside the answer.
    pub stream_options: Option<StreamOptions>,
    /// Most tokens of the answer (the older name).
    pub max_tokens: Option<u32>,
    /// Most tokens of the answer, thoughts among them.
    pub max_completion_tokens: Option<u32>,
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
    /// Answers wanted.
    #[schema(minimum = 1, maximum = 16)]
    pub n: Option<u32>,
    /// Texts that end the answer.
    pub stop: Option<OneOrMany>,
    /// Added to the logits of tokens, by token id.
    pub logit_bias: Option<LogitBias>,
    /// Each token with its log-probability.
    pub logprobs: Option<bool>,
    /// And those of so many likeliest.
    #[schema(minimum = 0, maximum = 20)]
    pub top_logprobs: Option<u32>,
    /// The tools there are.
    pub tools: Option<Vec<Tool>>,
    /// Whether they are called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called in one turn.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// How hard to think: none, minimal, low, medium, high, xhigh, max.
    pub reasoning_effort: Option<String>,
    /// The same in the spelling of others.
    pub reasoning: Option<Reasoning>,
    /// To think or not to.
    pub enable_thinking: Option<bool>,
    /// Likewise: a boolean, or `{"type": "enabled" | "disabled", "budget_tokens": N}`.
    pub thinking: Option<Thinking>,
    /// Most tokens of thoughts.
    pub thinking_budget: Option<u32>,
    /// Likewise.
    pub thinking_token_budget: Option<u32>,
    /// Whether thoughts are part of the answer.
    pub include_reasoning: Option<bool>,
    /// Whether thoughts come apart from the answer's words; only true can be had.
    pub separate_reasoning: Option<bool>,
    /// Variables of the chat template.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Whether the prompt ends with the beginning of an answer (default) or not.
    pub add_generation_prompt: Option<bool>,
    /// Goes on with the last message, which is the assistant's.
    pub continue_final_message: Option<bool>,
    /// The model's own end does not end the answer.
    pub ignore_eos: Option<bool>,
    /// JSON of this schema.
    #[schema(value_type = Option<Object>)]
    pub guided_json: Option<Value>,
    /// Text that this expression matches.
    pub guided_regex: Option<String>,
    /// One of these texts.
    pub guided_choice: Option<Vec<String>>,
    /// Text of this grammar, in Lark's notation.
    pub guided_grammar: Option<String>,
    /// The same four in one.
    pub structured_outputs: Option<StructuredOutputs>,
    /// Text of this grammar, in llama.cpp's notation.
    pub grammar: Option<String>,
    /// JSON of this schema.
    #[schema(value_type = Option<Object>)]
    pub json_schema: Option<Value>,
    /// Tells how long it took, as llama.cpp does.
    pub timings_per_token: Option<bool>,
    /// Whether an earlier prompt's computation may be used again; it always may.
    pub cache_prompt: Option<bool>,
    /// Who asks; for the log.
    pub user: Option<String>,
    /// Likewise.
    pub safety_identifier: Option<String>,
    /// Notes of the client's own.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// A hint: prefixes are found by their tokens, whatever it says.
    pub prompt_cache_key: Option<String>,
    /// Likewise.
    pub prompt_cache_retention: Option<String>,
    /// Only `false`: chat completions are not stored.
    pub store: Option<bool>,
    /// Only `auto` or `default`.
    pub service_tier: Option<String>,
    /// Only `["text"]`.
    pub modalities: Option<Vec<String>>,
    /// Only `medium`: how long the answer is, the prompt says.
    pub verbosity: Option<String>,
}

/// Thinking, in the spelling of gateways.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reasoning {
    /// How hard.
    pub effort: Option<String>,
    /// Whether at all.
    pub enabled: Option<bool>,
    /// Most tokens of thoughts.
    pub max_tokens: Option<u32>,
    /// Leaves thoughts out of the answer.
    pub exclude: Option<bool>,
    /// Only `auto` or nothing: thoughts are told as they are.
    pub summary: Option<String>,
}

/// Thinking, as a switch or as Anthropic has it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Thinking {
    /// On or off.
    Switch(bool),
    /// With a budget.
    Config {
        /// `enabled`, `disabled`, `adaptive` or `auto`.
        r#type: String,
        /// Most tokens of thoughts.
        budget_tokens: Option<u32>,
    },
}

/// The form of an answer, as vLLM has it.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StructuredOutputs {
    /// JSON of this schema, an object or its text.
    #[schema(value_type = Option<Object>)]
    pub json: Option<Value>,
    /// Some JSON object.
    pub json_object: Option<bool>,
    /// Text that this expression matches.
    pub regex: Option<String>,
    /// One of these texts.
    pub choice: Option<Vec<String>>,
    /// Text of this grammar, in Lark's notation.
    pub grammar: Option<String>,
}
