//! `bsd21 survey`: what a tree of old programs is made of.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::Failure;
use super::run::{ClockName, parse_bytes, parse_seconds};
use crate::survey::needs::AOUT_LINKER;
use crate::survey::tree::Tree;
use crate::survey::{self, Options, RunOptions, html, table};

/// Status where something could not be looked at.
const INCOMPLETE: u8 = 1;

/// Arguments of `survey`.
#[derive(Debug, Args)]
pub(super) struct Survey {
    /// How to print it: aligned text, one JSON object, or one self-contained page.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Run every program too, without arguments and input, in a machine whose root cannot be changed.
    #[arg(long)]
    run: bool,
    /// End each run after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, default_value = "10")]
    max_wall: Duration,
    /// End each run when it needs more memory than this (K, M, G: powers of 1024; 512M unless given).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_mem: Option<u64>,
    /// The clock of runs: one that counts instructions and does not wait, or the host's.
    #[arg(long, value_enum, default_value = "virtual", value_name = "CLOCK")]
    clock: ClockName,
    /// Files to look at, and programs to run, at the same time [default: one for each processor].
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// List objects, archives and all other files too, not only count them.
    #[arg(long)]
    all: bool,
    /// Write to a file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The root in which libraries and interpreters are looked for, and programs run [default: DIR, or BSD21_ROOT
    /// where DIR has no ld.so].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The directory to survey.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Table,
    Json,
    Html,
}

impl Survey {
    pub(super) fn run(self) -> Result<u8, Failure> {
        check(&self.directory, "")?;
        if let Some(root) = &self.root {
            check(root, "--root ")?;
        }
        let jobs = self.jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
        let run = RunOptions {
            max_wall: self.max_wall,
            max_mem: self.max_mem,
            virtual_clock: self.clock == ClockName::Virtual,
        };
        let own = Tree::new(&self.directory).has_file(AOUT_LINKER);
        let root = self.root.or_else(|| super::options::usual_root().filter(|root| !own && root.is_dir()));
        let options = Options { root, all: self.all, jobs: jobs.unwrap_or(1), run: self.run.then_some(run) };
        let watched = std::io::stderr().is_terminal();
        let progress = |done: usize, total: usize| {
            if watched {
                eprint!("\r{done}/{total}{}", if done == total { "\r\x1b[K" } else { "" });
            }
        };
        let survey = survey::survey(&self.directory, &options, &progress);
        let text = match self.format {
            Format::Table => table::render(&survey),
            Format::Json => {
                let text = serde_json::to_string_pretty(&survey).context("cannot write JSON");
                text.map_err(|e| Failure::internal(&e))? + "\n"
            }
            Format::Html => html::render(&survey),
        };
        match &self.output {
            Some(path) => write_whole(path, &text).map_err(|e| Failure::internal(&e))?,
            // A reader that went away is no error of ours.
            None => _ = std::io::stdout().write_all(text.as_bytes()),
        }
        Ok(if survey.skipped.is_empty() { 0 } else { INCOMPLETE })
    }
}

fn check(directory: &Path, option: &str) -> Result<(), Failure> {
    let name = directory.display();
    if directory.is_dir() {
        Ok(())
    } else if directory.exists() {
        Err(Failure::usage(format!("{option}{name}: not a directory (bsd21 inspect looks at single files)")))
    } else {
        Err(Failure::not_found(format!("{option}{name}: no such directory")))
    }
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let said = || format!("cannot write {}", path.display());
    let permissions = std::fs::Permissions::from_mode(0o666);
    let aside = tempfile::Builder::new().permissions(permissions).tempfile_in(directory);
    let mut aside = aside.with_context(said)?;
    aside.write_all(text.as_bytes()).with_context(said)?;
    aside.persist(path).map_err(|e| e.error).with_context(said)?;
    Ok(())
}
