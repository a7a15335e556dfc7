//! The log, on stderr.

use crate::config::{Config, LogFormat};
use std::io::stderr;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. A process has one: a second start changes nothing.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|error| {
        let found = &config.log_filter;
        anyhow::anyhow!("server.log_filter: found `{found}`: {error}\nhint: info, warn, debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // That there is one already is what tests have.
    let _ = match config.log_format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}
