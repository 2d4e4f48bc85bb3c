//! Our own diagnostics, `--log FILTER` or BSD21_LOG: what the kernel, the mounts and the doors to the host do, on
//! standard error.
//!
//! Knows `tracing`'s language of filters: `info`, `bsd21::file=debug`, `bsd21::socket=trace,warn`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::machine::Builder;
use crate::trace::bridge::Bridge;

/// Begins to listen where somebody asks for it.
pub(super) fn start(filter: Option<&str>) -> Result<(), Failure> {
    let variable = std::env::var("BSD21_LOG").ok();
    let (text, from) = match (filter, &variable) {
        (Some(filter), _) => (filter, "--log"),
        (None, Some(filter)) if !filter.is_empty() => (filter.as_str(), "BSD21_LOG"),
        (None, _) => return Ok(()),
    };
    let filter = EnvFilter::try_new(text).map_err(|e| {
        Failure::usage(format!(
            "{from} {text}: {e}; a filter is a level or TARGET=LEVEL, such as bsd21::file=debug"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .try_init()
        .map_err(|e| Failure::usage(format!("{from}: {e}")))
}

/// A machine whose kernel tells what it does, where somebody listens.
pub(super) fn listen(builder: Builder) -> Builder {
    match tracing::level_filters::LevelFilter::current() {
        tracing::level_filters::LevelFilter::OFF => builder,
        _ => builder.observer(Box::new(Bridge)),
    }
}
