//! What every request passes before its handler: where it comes from, whose it is, how much it
//! brings. It leaves with its name, and a line in the log.

use crate::api::dialect::Dialect;
use crate::app::{App, Shared};
use crate::body;
use crate::error::Refusal;
use crate::origin;
use crate::record::Record;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Instant;

/// Names a request, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The same in Anthropic's dialect.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Longest name that a client may give a request.
const ID_BYTES_MAX: usize = 128;

/// Lets a request pass, or refuses it in the words of its dialect.
pub async fn gate(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let id = id_of(&app, request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let dialect = Dialect::of(&path);
    let record = Record::new(id, method, path);
    let response = match pass(&app, &record, request).await {
        Ok((request, _held)) => record.clone().within(next.run(request)).await,
        Err(refusal) => dialect.refuse(refusal, record.id()),
    };
    let (mut parts, body) = response.into_parts();
    if let Ok(id) = HeaderValue::from_str(record.id()) {
        if dialect == Dialect::Anthropic {
            parts.headers.insert(ANTHROPIC_REQUEST_ID, id.clone());
        }
        parts.headers.insert(REQUEST_ID, id);
    }
    let body = record.told(parts.status, body);
    Response::from_parts(parts, body)
}

/// The request with its whole body, and the body's share of memory.
async fn pass(
    app: &App,
    record: &Arc<Record>,
    request: Request,
) -> Result<(Request, body::Held), Refusal> {
    origin::check(&app.config, request.headers())?;
    if !is_open(request.uri().path())
        && let Some(account) = app.keys.account(request.headers())?
        // To look at something costs nothing.
        && request.method() == Method::POST
    {
        let place = account.admit(Instant::now())?;
        record.belongs_to(account, place);
    }
    let (parts, body) = request.into_parts();
    let expects = parts.headers.contains_key(header::EXPECT);
    let (bytes, held) = body::whole(body, expects, &app.config, &app.bodies).await?;
    if app.config.log_prompts && !bytes.is_empty() {
        let text = String::from_utf8_lossy(&bytes);
        tracing::info!(target: "baimo_server::prompt", id = record.id(), body = %text);
    }
    Ok((Request::from_parts(parts, bytes.into()), held))
}

/// Whether a path needs no key: whether the server lives, and the page that asks for the key.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/health" | "/v1/health" | "/ready") || path.starts_with("/page/")
}

fn id_of(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let sound = |id: &&str| {
        let graphic = id.bytes().all(|byte| byte.is_ascii_graphic());
        (1..=ID_BYTES_MAX).contains(&id.len()) && graphic
    };
    given.filter(sound).map_or_else(|| app.id("req_"), str::to_owned)
}
