//! `POST /tokenize`, `/detokenize` and `/apply-template`: what a model reads, as vLLM and llama.cpp
//! tell it.

use super::openai::request::ChatRequest;
use super::openai::schema::Tool;
use super::openai::{Error, convert};
use crate::app::{Shared, parse};
use crate::error::Refusal;
use crate::model::Model;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use baimo_text::EncodeOptions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A request for tokens: of a `prompt` or of `messages`, as vLLM has it, or of `content`, as
/// llama.cpp has it. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizeRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// A text, with what the model's own tokenizer puts around it.
    pub prompt: Option<String>,
    /// A text, without.
    pub content: Option<String>,
    /// A conversation, in the model's chat format.
    #[schema(value_type = Option<Vec<Object>>)]
    pub messages: Option<Vec<Value>>,
    /// Whether there is around the text what the model's own tokenizer puts there.
    pub add_special_tokens: Option<bool>,
    /// The same in llama.cpp's spelling.
    pub add_special: Option<bool>,
    /// Whether special tokens written in the text are those tokens (default).
    pub parse_special: Option<bool>,
    /// Whether tokens come with their texts: as `{id, piece}`, where the piece is a list of bytes
    /// if it is not whole characters.
    pub with_pieces: Option<bool>,
    /// Whether the texts of tokens come in a list of their own.
    pub return_token_strs: Option<bool>,
    /// Whether a conversation ends with the beginning of an answer (default).
    pub add_generation_prompt: Option<bool>,
    /// Only `false`.
    pub continue_final_message: Option<bool>,
    /// Variables of the chat template.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// The tools there are in a conversation.
    pub tools: Option<Vec<Tool>>,
}

/// A request for text. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetokenizeRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// The tokens.
    #[schema(required)]
    pub tokens: Option<Vec<u32>>,
}

/// Turns text into tokens.
#[utoipa::path(
    post, path = "/tokenize", tag = "tokens", request_body = TokenizeRequest,
    responses(
        (status = 200, description = "The tokens"),
        (status = 400, description = "A field is wrong"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn tokenize(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let mut request: TokenizeRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let tokens = tokens(&model, &mut request)?;
    let text = |&token: &u32| model.tokenizer.token_text(token).unwrap_or_default();
    let texts = request.return_token_strs.unwrap_or(false);
    let texts = texts.then(|| tokens.iter().map(text).collect::<Vec<String>>());
    let count = tokens.len();
    let tokens = match request.with_pieces.unwrap_or(false) {
        false => json!(tokens),
        true => tokens.iter().map(|&token| piece(&model, token)).collect(),
    };
    Ok(Json(json!({
        "count": count,
        "max_model_len": model.about.context,
        "tokens": tokens,
        "token_strs": texts,
    })))
}

fn tokens(model: &Model, request: &mut TokenizeRequest) -> Result<Vec<u32>, Refusal> {
    let specials = request.parse_special.unwrap_or(true);
    let around = request.add_special_tokens.or(request.add_special);
    let given = (request.prompt.take(), request.content.take(), request.messages.take());
    let (field, text, bos) = match given {
        (Some(text), None, None) => ("prompt", text, around.unwrap_or(true)),
        (None, Some(text), None) => ("content", text, around.unwrap_or(false)),
        (None, None, Some(messages)) => {
            let chat = ChatRequest {
                messages,
                tools: request.tools.take(),
                add_generation_prompt: request.add_generation_prompt,
                continue_final_message: request.continue_final_message,
                chat_template_kwargs: request.chat_template_kwargs.take(),
                ..ChatRequest::default()
            };
            ("messages", rendered(model, chat)?, around.unwrap_or(false))
        }
        _ => {
            let message = "wanted one of `prompt`, `messages` and `content`";
            return Err(Refusal::field("prompt", message));
        }
    };
    let encoded = model.encode(&text, EncodeOptions { specials, bos });
    encoded.map_err(|refusal| refusal.at(field))
}

/// A conversation in the model's chat format.
fn rendered(model: &Model, chat: ChatRequest) -> Result<String, Refusal> {
    Ok(model.prepare(&convert::ask(chat)?)?.text)
}

fn piece(model: &Model, token: u32) -> Value {
    let bytes = model.tokenizer.token_bytes(token).unwrap_or_default();
    let piece = match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!(bytes),
    };
    json!({ "id": token, "piece": piece })
}

/// Turns tokens into text; special ones are shown.
#[utoipa::path(
    post, path = "/detokenize", tag = "tokens", request_body = DetokenizeRequest,
    responses(
        (status = 200, description = "The text, in `prompt` and in `content`"),
        (status = 400, description = "A field is wrong"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn detokenize(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let request: DetokenizeRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let missing = || Refusal::field("tokens", "`tokens` is missing");
    let text = model.tokenizer.decode(&request.tokens.ok_or_else(missing)?, false);
    let text = text.map_err(|error| Refusal::field("tokens", error.to_string()))?;
    Ok(Json(json!({ "prompt": text, "content": text })))
}

/// Shows the text that a chat request stands for.
#[utoipa::path(
    post, path = "/apply-template", tag = "tokens", request_body = ChatRequest,
    responses(
        (status = 200, description = "The text"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 503, description = "The model cannot be loaded"),
    )
)]
pub async fn apply_template(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let request: ChatRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    Ok(Json(json!({ "prompt": rendered(&model, request)? })))
}
