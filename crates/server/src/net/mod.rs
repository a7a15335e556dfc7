//! Connections: taken, limited, and seen to their end.
//!
//! HTTP/1.1 alone: a stream of tokens gains nothing from HTTP/2, whose windows would hide a client
//! that does not read.

mod patient;
mod tls;

pub use patient::Patient;
pub use tls::acceptor;

use crate::app::Shared;
use crate::closing::Phase;
use crate::config::Config;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// After an answer was cut off, its last words get so long to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// After accepting failed (no file descriptors, say), it is tried again so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves what `router` answers to who comes to `listener`, until the server is closed.
pub async fn serve(app: Shared, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let limit = app.config.connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
    let connections = Arc::new(Semaphore::new(limit));
    loop {
        let place = tokio::select! {
            place = connections.clone().acquire_owned() => place,
            () = app.closing.reached(Phase::Draining) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.closing.reached(Phase::Draining) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (app, tls, router) = (app.clone(), tls.clone(), router.clone());
                tokio::spawn(async move {
                    if let Err(error) = connection(&app, stream, tls, router).await {
                        tracing::debug!(error = %error, "a connection was left");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    // All places are free once all connections have ended.
    let mut ended = pin!(connections.acquire_many(limit as u32));
    tokio::select! {
        _ = &mut ended => return,
        () = sleep(Duration::from_secs(app.config.shutdown_seconds)) => {}
        () = app.closing.reached(Phase::Cut) => {}
    }
    app.closing.advance(Phase::Cut);
    tokio::select! {
        _ = &mut ended => {}
        () = sleep(LAST_WORDS) => {}
        () = app.closing.reached(Phase::Over) => {}
    }
    app.closing.advance(Phase::Over);
}

async fn connection(
    app: &Shared,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
) -> anyhow::Result<()> {
    let config = &app.config;
    watch_peer(&stream, config)?;
    let stream = Patient::new(stream, seconds(config.write_seconds));
    match tls {
        None => exchange(app, stream, router).await,
        Some(tls) => {
            let shaken = timeout(seconds(config.header_seconds), tls.accept(stream)).await??;
            exchange(app, shaken, router).await
        }
    }
}

/// Answers one request after the other.
async fn exchange<S>(app: &Shared, stream: S, router: Router) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(seconds(app.config.header_seconds));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = app.closing.reached(Phase::Draining) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => Ok(ended?),
        () = app.closing.reached(Phase::Over) => Ok(()),
    }
}

/// Has the system find out about clients that are gone without a word.
fn watch_peer(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let alive = TcpKeepalive::new().with_time(Duration::from_secs(30));
    socket.set_tcp_keepalive(&alive.with_interval(Duration::from_secs(10)))?;
    #[cfg(target_os = "linux")]
    if config.write_seconds > 0 {
        socket.set_tcp_user_timeout(Some(Duration::from_secs(config.write_seconds)))?;
    }
    Ok(())
}

/// A limit of time, where 0 is none.
fn seconds(limit: u64) -> Duration {
    // Timers need a moment that can be told.
    const NONE: u64 = 100 * 365 * 24 * 3600;
    Duration::from_secs(if limit == 0 { NONE } else { limit })
}
