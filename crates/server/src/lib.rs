//! Models behind HTTP: the dialects of OpenAI, Anthropic and Ollama, one engine for each model.
//!
//! A request passes the [`gate`]; its handler turns its dialect's words into an [`ask::Ask`];
//! [`model::Model`] turns that into a prompt and hands it to the [`model::Worker`] that owns the
//! engine; the [`model::Answer`] that comes back is told in the dialect's words. The only crate
//! that is `async` or knows wire JSON.

pub mod api;
pub mod app;
pub mod ask;
pub mod body;
pub mod closing;
pub mod config;
pub mod error;
pub mod gate;
pub mod keys;
pub mod log;
pub mod metrics;
pub mod model;
pub mod net;
pub mod normalize;
mod origin;
mod rate;
pub mod record;
pub mod registry;
pub mod thoughts;

pub use app::App;
pub use config::Config;
pub use model::About;
pub use registry::{Loaded, Served};

use anyhow::Context;
use closing::Phase;
use registry::Keep;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::interval;

/// How often it is looked for models that nobody uses.
const IDLE_EVERY: Duration = Duration::from_secs(1);

/// How long a model may take at the end to write down what it computed.
const FLUSH: Duration = Duration::from_secs(60);

/// Serves `models` until the process is asked to end; then streams under way are given time to
/// finish. Asked a second time, it ends at once. `ready` learns the address once the first model is
/// loaded.
///
/// # Errors
/// Where the configuration cannot be had, the address is taken, or the first model cannot be
/// loaded.
pub fn serve(
    config: Config,
    models: Vec<Served>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    config.check()?;
    log::start(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let address = SocketAddr::new(config.host, config.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}\nhint: --port names another"))?;
        warn_if_open(&config);
        let app = Arc::new(App::new(config, models));
        tokio::spawn(obey_signals(app.clone()));
        serve_at(app, listener, ready).await
    });
    // A model may be in the middle of being loaded: nobody waits for it.
    runtime.shutdown_background();
    served
}

/// Serves at `listener` until `app` is closed; `ready` learns the address once the first model is
/// loaded.
///
/// # Errors
/// Where the first model cannot be loaded, or a certificate cannot be used.
pub async fn serve_at(
    app: Arc<App>,
    listener: TcpListener,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let router = api::router(app.clone());
    let tls = app.config.tls.as_ref().map(net::acceptor).transpose()?;
    let idle = tokio::spawn(unload_idle(app.clone()));
    let mut serving = tokio::spawn(net::serve(app.clone(), listener, tls, router));
    let first = tokio::select! {
        first = app.registry.get(None) => Some(first),
        () = app.closing.reached(Phase::Draining) => None,
        ended = &mut serving => return Ok(ended?),
    };
    match first {
        Some(Ok(_)) => {
            app.ready.store(true, Ordering::Release);
            ready(address);
        }
        Some(Err(refusal)) => return Err(anyhow::anyhow!(refusal.message)),
        None => {}
    }
    serving.await?;
    idle.abort();
    app.registry.flush(FLUSH).await;
    Ok(())
}

/// Unloads models that nobody uses, as long as the server lives.
async fn unload_idle(app: Arc<App>) {
    let idle = match app.config.idle_unload_seconds {
        0 => Keep::Forever,
        seconds => Keep::For(Duration::from_secs(seconds)),
    };
    let mut tick = interval(IDLE_EVERY);
    loop {
        tick.tick().await;
        app.registry.unload_idle(idle);
    }
}

/// Closes the server as the process is asked to end: gently, then at once.
async fn obey_signals(app: Arc<App>) {
    asked_to_end().await;
    tracing::info!("shutting down: answers under way may end, asked again it ends at once");
    app.closing.advance(Phase::Draining);
    asked_to_end().await;
    app.closing.advance(Phase::Over);
}

/// Waits for Ctrl-C, or what a service manager sends.
async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
            }
            Err(_) => drop(interrupt.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupt.await);
}

fn warn_if_open(config: &Config) {
    if !config.host.is_loopback() && config.keys.is_empty() {
        let host = config.host;
        tracing::warn!("anybody who reaches {host} may use the models: --api-key sets a key");
    }
}
