//! Renderings of records.  Each prints the same decoded values; none looks into the kernel or guest memory.

mod chrome;
mod color;
mod jsonl;
mod ktrace;
mod strace;

use std::fmt;

use super::options::{Format, Options};
use super::output::Output;
use super::record::Record;

/// A rendering.
pub trait Render: fmt::Debug {
    /// Prints a record, or leaves it out.
    fn record(&mut self, record: &Record<'_>, output: &mut Output);

    /// Prints what belongs at the end.
    fn finish(&mut self, _output: &mut Output) {}
}

/// The rendering that is asked for.
pub fn new(options: &Options, per_process: bool) -> Box<dyn Render> {
    match options.format {
        Format::Strace => Box::new(strace::Strace::new(options, per_process)),
        Format::Jsonl => Box::new(jsonl::Jsonl::default()),
        Format::Kdump => Box::new(ktrace::Ktrace::text()),
        Format::Ktrace => Box::new(ktrace::Ktrace::binary()),
        Format::Chrome => Box::new(chrome::Chrome::default()),
    }
}
