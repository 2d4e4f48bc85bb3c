//! `bsd21 kdump`: prints a file of ktrace records, ours or an original one.
//!
//! Must not know how records are printed.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, status};
use crate::kernel::ktrace::record::Reader;
use crate::trace::kdump::{Kdump as Printer, Options, Stamp};

/// Most bytes of a file of records.
const LARGEST: u64 = 4 << 30;

/// Options of `kdump`, with the letters of 4.4BSD's own.
#[derive(Debug, Args)]
pub(super) struct Kdump {
    /// Print numbers in base 10.
    #[arg(short = 'd')]
    decimal: bool,
    /// Explain nothing: no names of requests, no messages of errors.
    #[arg(short = 'n')]
    plain: bool,
    /// Print at most so many bytes of data.
    #[arg(short = 'm', value_name = "N", default_value_t = 0)]
    max_data: usize,
    /// Print the time of each record.
    #[arg(short = 'T', conflicts_with = "relative")]
    absolute: bool,
    /// Print the time since the record before.
    #[arg(short = 'R')]
    relative: bool,
    /// The file.
    #[arg(default_value = "ktrace.out")]
    file: PathBuf,
}

impl Kdump {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let file = status::read_file(&self.file, LARGEST)?;
        let stamp = match (self.absolute, self.relative) {
            (true, _) => Stamp::Absolute,
            (_, true) => Stamp::Relative,
            _ => Stamp::None,
        };
        let options = Options { decimal: self.decimal, plain: self.plain, max_data: self.max_data, stamp };
        let mut printer = Printer::new(options);
        let mut out = io::stdout().lock();
        for entry in Reader::new(&file) {
            let entry = entry.map_err(|e| Failure::refused(format!("{}: {e}", self.file.display())))?;
            if out.write_all(printer.print(&entry).as_bytes()).is_err() {
                // Whoever reads has seen enough.
                break;
            }
        }
        Ok(0)
    }
}
