//! Models behind HTTP: the dialects of OpenAI, Anthropic and Ollama, one engine for each model.
//!
//! A handler turns its dialect's request into an [`ask::Ask`]; [`model::Model`] turns that into a
//! prompt and hands it to the [`model::Worker`] that owns the engine; the [`model::Answer`] that
//! comes back is told in the dialect's words. The only crate that is `async` or knows wire JSON.

pub mod api;
pub mod app;
pub mod ask;
pub mod config;
pub mod error;
pub mod metrics;
pub mod model;
pub mod registry;

pub use app::App;
pub use config::Config;
pub use model::About;
pub use registry::{Loaded, Served};

use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves `models` until the process is asked to end; then streams under way are finished.
/// `ready` learns the address.
///
/// # Errors
/// Where the address cannot be had.
pub fn serve(
    config: Config,
    models: Vec<Served>,
    ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::new(config.host, config.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen at {address}\nhint: --port names another"))?;
        let app = Arc::new(App::new(config, models));
        // The first is there before anybody asks for it.
        app.registry.get(None).await.map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        ready(listener.local_addr()?);
        let router = api::router(app);
        axum::serve(listener, router).with_graceful_shutdown(ended()).await?;
        Ok(())
    })
}

/// Waits for Ctrl-C, or what a service manager sends.
async fn ended() {
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
