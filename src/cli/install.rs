//! `bsd21 install`: from a CD, sets or an archive to a root.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::run::parse_bytes;
use super::{Failure, doctor};
use crate::install::{self, MOST_BYTES, Options, Progress, Report};

/// Exit status when not everything could be installed.
const INCOMPLETE: u8 = 1;

/// Installs a system, sets of one, or packages in a root.
#[derive(Clone, Debug, Args)]
pub(super) struct Install {
    /// Sets to install, where a source has several; unless given bin, and those whose libraries its programs need.
    #[arg(long, value_name = "SET,…", value_delimiter = ',')]
    sets: Vec<String>,
    /// Sources are whole trees of files: copy them as they are, whatever sets are in them.
    #[arg(long, conflicts_with = "sets")]
    tree: bool,
    /// DEST may hold other files already.
    #[arg(long)]
    add: bool,
    /// Write at most so many bytes (K, M, G: powers of 1024; 8G unless given).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_size: Option<u64>,
    /// Run no commands of packages (@exec, +INSTALL …), which otherwise run in DEST as the guest: say which there are.
    #[arg(long)]
    no_scripts: bool,
    /// Say nothing but errors.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Images of CDs, mounted or copied ones, directories of sets, sets, archives (tar, tgz, tbz, tar.Z), packages; and
    /// at the end the directory that becomes the root.
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    paths: Vec<PathBuf>,
}

impl Install {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let Some((dest, sources)) = self.paths.split_last() else {
            return Err(Failure::usage("a source and a directory are needed"));
        };
        let options = Options {
            sets: self.sets.clone(),
            tree: self.tree,
            add: self.add,
            most: self.max_size.unwrap_or(MOST_BYTES),
            scripts: !self.no_scripts,
        };
        let progress: Rc<dyn Progress> = Rc::new(Bar::new(self.quiet));
        let report = install::install(sources, dest, &options, &progress)
            .map_err(|error| Failure::with_status(INCOMPLETE, error.to_string()))?;
        for refused in &report.refused {
            super::complain(&format_args!("left out: {refused}"));
        }
        if report.refusals > report.refused.len() as u64 {
            let more = report.refusals - report.refused.len() as u64;
            super::complain(&format_args!("left out: {more} more"));
        }
        if !self.quiet {
            super::print(&text(&report));
            super::print(&doctor::summary(dest));
        }
        Ok(if report.refusals > 0 { INCOMPLETE } else { 0 })
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for done in &report.done {
        let again = if done.resumed { ", taken up where it had stopped" } else { "" };
        text += &format!("{}: {} entries, {}{again}\n", done.name, done.entries, HumanBytes(done.bytes));
    }
    for note in &report.notes {
        text += &format!("{note}\n");
    }
    if !report.others.is_empty() {
        text += &format!("not installed (--sets): {}\n", report.others.join(", "));
    }
    text
}

/// A bar on the terminal, where somebody sees it.
struct Bar {
    bar: RefCell<ProgressBar>,
    hidden: bool,
}

impl Bar {
    fn new(quiet: bool) -> Self {
        let hidden = quiet || !std::io::stderr().is_terminal();
        Self { bar: RefCell::new(ProgressBar::hidden()), hidden }
    }
}

impl Progress for Bar {
    fn begin(&self, part: &str, bytes: Option<u64>) {
        if self.hidden {
            return;
        }
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{msg:16} {bar:40} {bytes}/{total_bytes}, {eta} left"),
            None => (ProgressBar::new_spinner(), "{msg:16} {spinner} {bytes}, {elapsed}"),
        };
        let bar = bar.with_message(part.to_owned());
        *self.bar.borrow_mut() = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
    }

    fn advance(&self, bytes: u64) {
        self.bar.borrow().inc(bytes);
    }

    fn end(&self) {
        self.bar.borrow().finish_and_clear();
    }
}
