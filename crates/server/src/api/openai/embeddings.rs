//! `POST /v1/embeddings`: texts to vectors.
//!
//! A vector is the last hidden state, normed, of the last token, scaled to length one. Texts get
//! the token behind them that the model's own tokenizer puts there.

use super::Error;
use super::inputs::{Input, Inputs};
use crate::app::{Shared, parse};
use crate::error::Refusal;
use crate::model::Model;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Inputs of one request that are under way at once.
const AT_ONCE: usize = 8;

/// A request for vectors. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// Texts, or tokens as they are: each becomes a vector.
    #[schema(required)]
    pub input: Option<Inputs>,
    /// `float` (default) or `base64`: 32-bit floats, little-endian.
    pub encoding_format: Option<String>,
    /// Only the first so many numbers, scaled to length one again.
    #[schema(minimum = 1)]
    pub dimensions: Option<usize>,
    /// What the texts are looked up for: each is put as `Instruct: {instruct}\nQuery:{text}`, as
    /// models that follow instructions want their queries. Documents have none.
    pub instruct: Option<String>,
    /// One of the prompts that come with the model, put before each text: `query`, `document`, ...
    pub prompt_name: Option<String>,
    /// Who asks; for the log.
    pub user: Option<String>,
}

/// Gives the vectors of texts.
#[utoipa::path(
    post, path = "/v1/embeddings", tag = "OpenAI", request_body = EmbeddingRequest,
    responses(
        (status = 200, description = "A vector for each input"),
        (status = 400, description = "A field is wrong or cannot be had"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
        (status = 504, description = "It took longer than the server's deadline"),
    )
)]
pub async fn embeddings(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let mut request: EmbeddingRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let base64 = match request.encoding_format.as_deref().unwrap_or("float") {
        "float" => false,
        "base64" => true,
        found => {
            let message = format!("found `{found}`, wanted float or base64");
            return Err(Refusal::field("encoding_format", message).into());
        }
    };
    let dimensions = dimensions(request.dimensions, model.about.hidden)?;
    let before = before(&model, &mut request)?;
    let missing = || Refusal::field("input", "`input` is missing");
    let inputs = request.input.take().ok_or_else(missing)?;
    let prompts = prompts(&model, inputs, before.as_ref())?;
    let vectors = vectors(&app, &model, prompts).await?;
    let tokens: usize = vectors.iter().map(|(_, tokens)| tokens).sum();
    let told = |(index, (vector, _)): (usize, (Vec<f32>, usize))| {
        let embedding = match (shortened(vector, dimensions), base64) {
            (vector, false) => json!(vector),
            (vector, true) => {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                BASE64_STANDARD.encode(bytes).into()
            }
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let data: Vec<Value> = vectors.into_iter().enumerate().map(told).collect();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    Ok(Json(json!({ "object": "list", "model": model.name, "data": data, "usage": usage })))
}

/// The vectors of prompts, each scaled to length one, with the count of its tokens.
///
/// # Errors
/// Where a prompt cannot be read, which names its field, or there is no place for the first.
pub async fn vectors(
    app: &Shared,
    model: &Model,
    prompts: Vec<(String, Vec<u32>)>,
) -> Result<Vec<(Vec<f32>, usize)>, Refusal> {
    let one = |(index, (field, tokens)): (usize, (String, Vec<u32>))| async move {
        let read = model.hidden(&tokens, &field, index > 0).await?;
        app.count(model, &read.end);
        let vector = shortened(read.numbers, model.about.hidden);
        match vector.iter().all(|x| x.is_finite()) {
            true => Ok((vector, read.end.usage.prompt_tokens)),
            false => Err(Refusal::internal(format!("{field}: the model gave no numbers"))),
        }
    };
    let all = prompts.into_iter().enumerate().map(one);
    app.in_time(stream::iter(all).buffered(AT_ONCE).try_collect()).await
}

/// How many numbers of a vector are wanted, of a model that has `hidden`.
///
/// # Errors
/// None, or more than there are.
pub fn dimensions(wanted: Option<usize>, hidden: usize) -> Result<usize, Refusal> {
    match wanted.unwrap_or(hidden) {
        count if (1..=hidden).contains(&count) => Ok(count),
        found => {
            let message = format!("found {found}, wanted 1 to {hidden}");
            Err(Refusal::field("dimensions", message))
        }
    }
}

/// What is put before each text, with the field that asked for it.
fn before(
    model: &Model,
    request: &mut EmbeddingRequest,
) -> Result<Option<(&'static str, String)>, Refusal> {
    match (request.instruct.take(), request.prompt_name.take()) {
        (Some(_), Some(_)) => {
            Err(Refusal::field("prompt_name", "wanted it or `instruct`, not both"))
        }
        (Some(task), None) => Ok(Some(("instruct", format!("Instruct: {task}\nQuery:")))),
        (None, Some(name)) => match model.prompts.get(&name) {
            Some(prompt) => Ok(Some(("prompt_name", prompt.clone()))),
            None => {
                let known: Vec<&str> = model.prompts.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("found `{name}`, the model's prompts are: {known}");
                Err(Refusal::field("prompt_name", message))
            }
        },
        (None, None) => Ok(None),
    }
}

/// The tokens of each input, with its field; texts with what is put `before` them.
///
/// # Errors
/// An input that is empty or cannot be read, or tokens where something goes before texts.
pub fn prompts(
    model: &Model,
    inputs: Inputs,
    before: Option<&(&'static str, String)>,
) -> Result<Vec<(String, Vec<u32>)>, Refusal> {
    let inputs = inputs.list("input", model.about.vocab)?;
    let tokens = |(field, input): (String, Input)| match (input, before) {
        (Input::Text(text), before) => {
            let text = before.map_or("", |(_, before)| before).to_owned() + &text;
            let tokens = model.ended(&text).map_err(|refusal| refusal.at(field.clone()))?;
            Ok((field, tokens))
        }
        (Input::Tokens(tokens), None) => Ok((field, tokens)),
        (Input::Tokens(_), Some((name, _))) => {
            Err(Refusal::field(*name, "wanted texts with it: tokens are taken as they are"))
        }
    };
    inputs.into_iter().map(tokens).collect()
}

/// The first numbers of a vector, scaled to length one; a vector of zeros stays as it is.
pub fn shortened(mut vector: Vec<f32>, dimensions: usize) -> Vec<f32> {
    vector.truncate(dimensions);
    let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if squares > 0.0 {
        let length = squares.sqrt();
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shortened_vector_has_length_one_and_keeps_its_direction(
            vector in prop::collection::vec(prop_oneof![-1e4..-1e-3f32, 1e-3..1e4f32], 1..40),
            dimensions in 1..50usize,
        ) {
            let short = shortened(vector.clone(), dimensions);
            prop_assert_eq!(short.len(), dimensions.min(vector.len()));
            let length: f64 = short.iter().map(|&x| f64::from(x).powi(2)).sum();
            prop_assert!((length - 1.0).abs() < 1e-5);
            for (a, b) in short.iter().zip(&vector) {
                let (left, right) = (f64::from(a * vector[0]), f64::from(b * short[0]));
                prop_assert!((left - right).abs() <= 1e-4 * left.abs().max(right.abs()));
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        assert_eq!(shortened(vec![0.0; 3], 2), [0.0; 2]);
    }
}
