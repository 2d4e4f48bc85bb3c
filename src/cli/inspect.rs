//! `bsd21 inspect`: what an executable file is.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::inspect_json;
use super::status::{self, Failure, read_file};
use crate::image::inspect::{Report, report};
use crate::image::{MAX_FILE, printable, to_elf};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// List the symbols too, in address order, with nm's letters.
    #[arg(short, long)]
    symbols: bool,
    /// How to print it; json is one array with an object a file.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write an a.out program as an ELF file with its symbols, and with its stabs as DWARF: for gdb, lldb and other
    /// tools that read no a.out.  It is not for running.
    #[arg(long, value_name = "OUT", conflicts_with_all = ["symbols", "format"])]
    to_elf: Option<PathBuf>,
    /// Files of the host.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Writes the one program of `files` as ELF.
fn convert(files: &[PathBuf], out: &std::path::Path) -> Result<u8, Failure> {
    let [path] = files else { return Err(Failure::usage("--to-elf takes one FILE")) };
    let elf = to_elf::convert(&read_file(path, MAX_FILE)?)
        .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    std::fs::write(out, elf)
        .map_err(|e| Failure::usage(format!("--to-elf {}: {}", out.display(), status::plain(&e))))?;
    Ok(0)
}

impl Inspect {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if let Some(out) = &self.to_elf {
            return convert(&self.files, out);
        }
        if self.format == Format::Json {
            let object = |path: &PathBuf| {
                let report = report(&read_file(path, MAX_FILE)?);
                Ok(inspect_json::object(&path.to_string_lossy(), &report, self.symbols))
            };
            let objects = self.files.iter().map(object).collect::<Result<Vec<_>, Failure>>()?;
            super::print(&format!("{:#}\n", serde_json::Value::Array(objects)));
            return Ok(0);
        }
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
