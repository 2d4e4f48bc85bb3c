//! `bsd21 inspect`: what an executable file is.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::status::{Failure, read_file};
use crate::image::inspect::{Report, report};
use crate::image::{MAX_FILE, printable};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// List the symbols too, in address order, with nm's letters.
    #[arg(short, long)]
    symbols: bool,
    /// Files of the host.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Inspect {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut out = std::io::stdout().lock();
        let many = self.files.len() > 1;
        for path in &self.files {
            let report = report(&read_file(path, MAX_FILE)?);
            let heading =
                if many { format!("{}:\n", printable(&path.to_string_lossy())) } else { String::new() };
            // A reader that went away is no error of ours.
            let written = write!(out, "{heading}{report}").and_then(|()| match self.symbols {
                true => list(&report, &mut out),
                false => Ok(()),
            });
            if written.is_err() {
                break;
            }
        }
        Ok(0)
    }
}

fn list(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    report.symbols.iter().try_for_each(|s| writeln!(out, "{:08x} {} {}", s.value, s.kind, printable(&s.name)))
}
