//! `bsd21 doctor`: what a root or a program lacks, and how to get it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::doctor::{self, Finding, State};
use crate::survey::tree::Tree;

/// Exit status when something is missing.
const MISSING: u8 = 1;

/// Says what is missing for a root or a program, and how to get it.
#[derive(Clone, Debug, Args)]
pub(super) struct Doctor {
    /// The root to look at; BSD21_ROOT unless given.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// A folder with ld.so and libraries, as run has it.
    #[arg(long, value_name = "DIR")]
    lib: Vec<PathBuf>,
    /// Make what can be made in the root.
    #[arg(long)]
    fix: bool,
    /// Show what is as it should be, too.
    #[arg(short, long)]
    verbose: bool,
    /// A program: a path of the guest with --root, else a file.
    #[arg(value_name = "PROGRAM")]
    program: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let root = self.root.clone().or_else(super::options::usual_root);
        if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
            return Err(Failure::usage(format!("--root {}: not a directory", root.display())));
        }
        if root.is_none() && (self.fix || self.program.is_none()) {
            return Err(Failure::usage("name a program, or a root with --root DIR (or BSD21_ROOT)"));
        }
        let root = root.as_deref();
        let mut failed = false;
        if let (true, Some(root)) = (self.fix, root) {
            for fix in
                self.look(Some(root)).into_iter().filter_map(|finding| Some((finding.what, finding.fix?)))
            {
                match doctor::apply(root, fix.1) {
                    Ok(()) => {
                        let name = fix.0.split(':').next().unwrap_or(&fix.0);
                        super::print(&format!("made    {}\n", name.trim_start_matches("no ")));
                    }
                    Err(error) => {
                        failed = true;
                        super::complain(&format_args!("{}: {error}", fix.0));
                    }
                }
            }
        }
        let mut found = self.look(root);
        found.extend(doctor::host());
        let bad = found.iter().filter(|finding| finding.state != State::Good).count();
        let shown = found.iter().filter(|finding| self.verbose || finding.state != State::Good);
        let text: String = shown.map(|finding| format!("{finding}\n")).collect();
        let end = match bad {
            0 => "nothing is missing\n".to_owned(),
            1 => "1 thing is missing or wanting\n".to_owned(),
            _ => format!("{bad} things are missing or wanting\n"),
        };
        super::print(&(text + &end));
        let missing = found.iter().any(|finding| finding.state == State::Missing);
        Ok(if missing || failed { MISSING } else { 0 })
    }

    fn look(&self, root: Option<&Path>) -> Vec<Finding> {
        let mut found = Vec::new();
        if let (Some(root), true) = (root, self.program.is_none() || self.fix) {
            found.extend(doctor::system(root));
        }
        if let Some(program) = &self.program {
            found.extend(doctor::program(root, &self.lib, program));
        }
        found
    }
}

/// What a root that was just installed lacks, for those who installed it.
pub(super) fn summary(root: &Path) -> String {
    let found = doctor::system(root);
    let bad: Vec<&Finding> = found.iter().filter(|finding| finding.state != State::Good).collect();
    let mut text = String::new();
    for finding in &bad {
        text += &format!("{finding}\n");
    }
    let shown = root.display();
    text += &match bad.iter().any(|finding| finding.fix.is_some()) {
        true => format!("bsd21 doctor --root {shown} --fix makes what can be made\n"),
        false => String::new(),
    };
    if Tree::new(root).has_file("/bin/sh") {
        text += &format!("bsd21 run --root {shown} /bin/sh runs a shell in it\n");
    }
    text
}
