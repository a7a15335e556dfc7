//! `POST /v1/rerank` and `POST /v1/score`: which documents answer a query, as Jina, Cohere and vLLM
//! have it.

use super::openai::Error;
use crate::app::{App, Shared, parse, seconds};
use crate::error::Refusal;
use crate::model::{Judge, Model};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use baimo_text::EncodeOptions;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Documents that a request may have.
const DOCUMENTS_MAX: usize = 2048;
/// Documents of one request that are under way at once.
const AT_ONCE: usize = 8;

/// A request to order documents. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RerankRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// What is asked.
    #[schema(required)]
    pub query: Option<Document>,
    /// What may answer it.
    #[schema(required, min_items = 1, max_items = 2048)]
    pub documents: Option<Vec<Document>>,
    /// Only the best so many.
    #[schema(minimum = 1)]
    pub top_n: Option<usize>,
    /// Whether results have the documents' texts: they do where absent, but not in `/v2/rerank`.
    pub return_documents: Option<bool>,
    /// What makes a document a good one; a web search where absent.
    pub instruction: Option<String>,
    /// Only the first so many tokens of each document; all where absent.
    #[schema(minimum = 1)]
    pub max_tokens_per_doc: Option<usize>,
    /// Who asks; for the log.
    pub user: Option<String>,
}

/// A request to score texts by pairs. A field that is not listed is refused by name.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreRequest {
    /// The model; the first that is served where absent.
    pub model: Option<String>,
    /// What is asked: once for all of `text_2`, or each for its own.
    #[schema(required)]
    pub text_1: Option<Texts>,
    /// What may answer it.
    #[schema(required)]
    pub text_2: Option<Texts>,
    /// What makes an answer a good one; a web search where absent.
    pub instruction: Option<String>,
    /// Who asks; for the log.
    pub user: Option<String>,
}

/// A text, by itself or in an object.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "wanted a text, or an object with `text`")]
pub enum Document {
    /// By itself.
    Text(String),
    /// In an object.
    Object {
        /// The text.
        text: String,
    },
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "wanted a text or a list of texts")]
pub enum Texts {
    /// One.
    One(Document),
    /// Several.
    Many(Vec<Document>),
}

impl Document {
    fn text(&self) -> &str {
        match self {
            Document::Text(text) | Document::Object { text } => text,
        }
    }
}

impl Texts {
    fn list(self) -> Vec<Document> {
        match self {
            Texts::One(one) => vec![one],
            Texts::Many(many) => many,
        }
    }
}

/// A query and what may answer it, with the field that it came in.
struct Pair {
    field: String,
    query: String,
    document: String,
}

/// Orders documents by how well they answer a query.
#[utoipa::path(
    post, path = "/v1/rerank", tag = "rerank", request_body = RerankRequest,
    responses(
        (status = 200, description = "The best documents first, each with its score from 0 to 1"),
        (status = 400, description = "A field is wrong, or the model is no judge of documents"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
        (status = 504, description = "It took longer than the server's deadline"),
    )
)]
pub async fn rerank(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    Ok(Json(ordered(&app, &body, true).await?))
}

/// The same in the form of Cohere's second version: results are without texts where nothing is
/// said.
#[utoipa::path(
    post, path = "/v2/rerank", tag = "rerank", request_body = RerankRequest,
    responses(
        (status = 200, description = "The best documents first, each with its score from 0 to 1"),
        (status = 400, description = "A field is wrong, or the model is no judge of documents"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
        (status = 504, description = "It took longer than the server's deadline"),
    )
)]
pub async fn second_rerank(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    Ok(Json(ordered(&app, &body, false).await?))
}

async fn ordered(app: &App, body: &[u8], texts: bool) -> Result<Value, Refusal> {
    let request: RerankRequest = parse(body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let missing = |name: &'static str| Refusal::field(name, format!("`{name}` is missing"));
    let query = request.query.ok_or_else(|| missing("query"))?.text().to_owned();
    if query.is_empty() {
        return Err(Refusal::field("query", "found an empty text"));
    }
    let documents = request.documents.ok_or_else(|| missing("documents"))?;
    counted("documents", documents.len())?;
    for (name, count) in
        [("top_n", request.top_n), ("max_tokens_per_doc", request.max_tokens_per_doc)]
    {
        if count == Some(0) {
            return Err(Refusal::field(name, "found 0, wanted 1 or more"));
        }
    }
    let pair = |(index, document): (usize, &Document)| {
        let document = first_tokens(&model, document.text(), request.max_tokens_per_doc)?;
        Ok(Pair { field: format!("documents[{index}]"), query: query.clone(), document })
    };
    let pairs: Vec<Pair> =
        documents.iter().enumerate().map(pair).collect::<Result<_, Refusal>>()?;
    let (scores, tokens) = scores(app, &model, request.instruction.as_deref(), pairs).await?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Equal ones stay in their order.
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(request.top_n.unwrap_or(scores.len()));
    let texts = request.return_documents.unwrap_or(texts);
    let result = |index: usize| {
        let mut result = json!({ "index": index, "relevance_score": scores[index] });
        if texts {
            result["document"] = json!({ "text": documents[index].text() });
        }
        result
    };
    Ok(json!({
        "id": app.id("rerank-"),
        "object": "list",
        "model": model.name,
        "results": order.into_iter().map(result).collect::<Vec<Value>>(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    }))
}

/// Scores how well texts answer others.
#[utoipa::path(
    post, path = "/v1/score", tag = "rerank", request_body = ScoreRequest,
    responses(
        (status = 200, description = "A score from 0 to 1 for each pair"),
        (status = 400, description = "A field is wrong, or the model is no judge of documents"),
        (status = 404, description = "No such model"),
        (status = 413, description = "The body is too large"),
        (status = 429, description = "All places are taken"),
        (status = 503, description = "The model cannot be loaded"),
        (status = 504, description = "It took longer than the server's deadline"),
    )
)]
pub async fn score(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, Error> {
    let request: ScoreRequest = parse(&body)?;
    let model = app.registry.get(request.model.as_deref()).await?;
    let list = |name: &'static str, texts: Option<Texts>| {
        let missing = || Refusal::field(name, format!("`{name}` is missing"));
        let texts = texts.ok_or_else(missing)?.list();
        counted(name, texts.len())?;
        Ok::<_, Refusal>(texts)
    };
    let queries = list("text_1", request.text_1)?;
    let documents = list("text_2", request.text_2)?;
    if queries.len() != 1 && queries.len() != documents.len() {
        let found = (queries.len(), documents.len());
        let message = format!("found {} and {} texts, wanted as many or one", found.0, found.1);
        return Err(Refusal::field("text_1", message).into());
    }
    let queries = queries.iter().cycle();
    let pair = |(index, (query, document)): (usize, (&Document, &Document))| Pair {
        field: format!("text_2[{index}]"),
        query: query.text().to_owned(),
        document: document.text().to_owned(),
    };
    let pairs = queries.zip(&documents).enumerate().map(pair).collect();
    let (scores, tokens) = scores(&app, &model, request.instruction.as_deref(), pairs).await?;
    let data = scores.iter().enumerate();
    let data =
        data.map(|(index, score)| json!({ "index": index, "object": "score", "score": score }));
    Ok(Json(json!({
        "id": app.id("score-"),
        "object": "list",
        "created": seconds(),
        "model": model.name,
        "data": data.collect::<Vec<Value>>(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

fn counted(field: &'static str, count: usize) -> Result<(), Refusal> {
    match count {
        1..=DOCUMENTS_MAX => Ok(()),
        found => {
            let message = format!("found {found} of them, wanted 1 to {DOCUMENTS_MAX}");
            Err(Refusal::field(field, message))
        }
    }
}

/// The beginning of a document, as far as was asked for.
fn first_tokens(model: &Model, text: &str, most: Option<usize>) -> Result<String, Refusal> {
    let Some(most) = most else { return Ok(text.to_owned()) };
    let tokens = model.encode(text, EncodeOptions::default())?;
    if tokens.len() <= most {
        return Ok(text.to_owned());
    }
    let text = model.tokenizer.decode(&tokens[..most], false);
    text.map_err(|error| Refusal::internal(error.to_string()))
}

/// The score of each pair, and the tokens that were read for all of them.
async fn scores(
    app: &App,
    model: &Model,
    instruction: Option<&str>,
    pairs: Vec<Pair>,
) -> Result<(Vec<f32>, usize), Refusal> {
    let judge: &Judge = &model.judge()?;
    let one = |(index, pair): (usize, Pair)| async move {
        let Pair { field, query, document } = pair;
        let tokens = model.case(judge, instruction, &query, &document);
        let tokens = tokens.map_err(|refusal| refusal.at(field.clone()))?;
        let read = model.logits(&tokens, &field, index > 0).await?;
        app.count(model, &read.end);
        Ok::<_, Refusal>((judge.score(&read)?, read.end.usage.prompt_tokens))
    };
    let all = stream::iter(pairs.into_iter().enumerate().map(one));
    let scores: Vec<(f32, usize)> = app.in_time(all.buffered(AT_ONCE).try_collect()).await?;
    let tokens = scores.iter().map(|(_, tokens)| tokens).sum();
    Ok((scores.into_iter().map(|(score, _)| score).collect(), tokens))
}
