//! Our own diagnostics, `--log FILTER` or BSD21_LOG: what the kernel, the mounts and the doors to the host do, on
//! standard error.
//!
//! Knows `tracing`'s filters by target: `info`, `bsd21::file=debug`, `bsd21::socket=trace,warn`.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
    let filter = text.parse::<Targets>().map_err(|e| {
        Failure::usage(format!(
            "{from} {text}: {e}; a filter is a level or TARGET=LEVEL, such as bsd21::file=debug"
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time();
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
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
