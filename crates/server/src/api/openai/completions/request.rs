//! `POST /v1/completions`: what a client may say.

use super::super::convert;
use super::super::inputs::Inputs;
use super::super::request::{ChatRequest, StructuredOutputs};
use super::super::schema::{LogitBias, OneOrMany, ResponseFormat, StreamOptions};
use crate::ask::{Ask, Prompt};
use crate::error::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Alternatives of a token that may be told.
const LOGPROBS_MAX: u32 = 20;
/// Tokens of an answer where nothing is said, as OpenAI has it.
const TOKENS: u32 = 16;

/// A request to continue texts. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompletionRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// What is to be continued: each of several is continued by itself.
    #[schema(required)]
    pub prompt: Option<Inputs>,
    /// Nothing: models here go on from a text's end and fill no gaps.
    pub suffix: Option<String>,
    /// Most tokens of each answer; 16 where absent. 0 tells of the prompt alone.
    pub max_tokens: Option<u32>,
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
    /// Answers to each prompt.
    #[schema(minimum = 1, maximum = 16)]
    pub n: Option<u32>,
    /// Only as many as `n`: answers are not ranked.
    pub best_of: Option<u32>,
    /// Send the answers as server-sent events while they are made.
    pub stream: Option<bool>,
    /// What a stream tells beside the answers.
    pub stream_options: Option<StreamOptions>,
    /// Texts that end an answer.
    pub stop: Option<OneOrMany>,
    /// Added to the logits of tokens, by token id.
    pub logit_bias: Option<LogitBias>,
    /// Each token with its log-probability, and those of so many likeliest; with `echo`, the
    /// prompt's too.
    #[schema(minimum = 0, maximum = 20)]
    pub logprobs: Option<u32>,
    /// Those of the prompt's tokens by their ids, in a field of their own; not in streams.
    #[schema(minimum = 0, maximum = 20)]
    pub prompt_logprobs: Option<u32>,
    /// The prompt is part of the text that is told.
    pub echo: Option<bool>,
    /// The model's own end does not end the answer.
    pub ignore_eos: Option<bool>,
    /// Whether texts get the tokens around them that the model's tokenizer puts there (default).
    pub add_special_tokens: Option<bool>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
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
}

impl CompletionRequest {
    /// What is wanted for each prompt, which is still missing in it.
    ///
    /// # Errors
    /// Names the field that is wrong or cannot be had.
    pub fn ask(&mut self) -> Result<Ask, Refusal> {
        if self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
            let message = "gaps are not filled\nhint: write the model's own marks in the prompt";
            return Err(Refusal::field("suffix", message));
        }
        let answers = convert::answers(self.n)?;
        if let Some(found) = self.best_of.filter(|best| *best as usize != answers) {
            let message = format!("found {found}, wanted {answers}, as `n` says");
            return Err(Refusal::field("best_of", message));
        }
        let logprobs = top("logprobs", self.logprobs)?;
        let prompt_logprobs = top("prompt_logprobs", self.prompt_logprobs)?;
        let stop = self.stop.take();
        let bias = self.logit_bias.take();
        let shared = self.shared();
        convert::refuse_what_cannot_be_had(&shared)?;
        if shared.stream == Some(true) && prompt_logprobs.is_some() {
            let message = "wanted `stream`: false with it\nhint: `echo` and `logprobs` stream";
            return Err(Refusal::field("prompt_logprobs", message));
        }
        let echoed = logprobs.filter(|_| self.echo == Some(true));
        Ok(Ask {
            sampling: convert::sampling(&shared)?,
            max_tokens: Some(self.max_tokens.unwrap_or(TOKENS) as usize),
            stops: stop.map_or(Ok(Vec::new()), OneOrMany::stops)?,
            ignore_end: self.ignore_eos.unwrap_or(false),
            answers,
            logprobs,
            prompt_logprobs: echoed.max(prompt_logprobs),
            bias: bias.map_or(Ok(Vec::new()), LogitBias::list)?,
            format: convert::format(&shared)?,
            ..Ask::new(Prompt::Tokens(Vec::new()))
        })
    }

    /// The fields that chats have too, and that mean the same there.
    fn shared(&mut self) -> ChatRequest {
        ChatRequest {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            seed: self.seed,
            stream: self.stream,
            stream_options: self.stream_options,
            response_format: self.response_format.take(),
            guided_json: self.guided_json.take(),
            guided_regex: self.guided_regex.take(),
            guided_choice: self.guided_choice.take(),
            guided_grammar: self.guided_grammar.take(),
            structured_outputs: self.structured_outputs.take(),
            grammar: self.grammar.take(),
            json_schema: self.json_schema.take(),
            cache_prompt: self.cache_prompt,
            ..ChatRequest::default()
        }
    }
}

/// Alternatives that are told of each token.
fn top(field: &'static str, count: Option<u32>) -> Result<Option<usize>, Refusal> {
    match count {
        Some(found) if found > LOGPROBS_MAX => {
            Err(Refusal::field(field, format!("found {found}, wanted at most {LOGPROBS_MAX}")))
        }
        count => Ok(count.map(|count| count as usize)),
    }
}
