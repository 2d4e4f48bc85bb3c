//! `bsd21 overlay`: what a run has left in an overlay.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use crate::kernel::vfs::overlay::diff::Difference;
use crate::kernel::vfs::overlay::{self, OverlayError};

/// Works with an overlay.
#[derive(Clone, Debug, Args)]
pub(super) struct Overlay {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List what differs from the root: A added, M modified, C attributes, R moved, D removed.
    Diff {
        /// How the list is written.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        /// The overlay.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write all changes into the root, and empty the overlay.
    Commit {
        /// Write over files of the root that were changed since the overlay took them.
        #[arg(long)]
        force: bool,
        /// The overlay.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Remove the overlay with all changes.
    Drop {
        /// The overlay.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a file.
    Text,
    /// A list of objects.
    Json,
}

impl Overlay {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        match &self.action {
            Action::Diff { format, directory } => {
                let refused = |error: OverlayError| failure(directory, &error);
                let overlay = overlay::Overlay::existing(directory).map_err(refused)?;
                let found = overlay.differences();
                let found = found.map_err(|e| failure(directory, &OverlayError::Host(e.0.into())))?;
                super::print(&match format {
                    Format::Text => found.iter().map(line).collect(),
                    Format::Json => {
                        let list = serde_json::to_string_pretty(&found);
                        list.map_err(|e| Failure::internal(&e.into()))? + "\n"
                    }
                });
                Ok(0)
            }
            Action::Commit { force, directory } => {
                let overlay = overlay::Overlay::existing(directory).map_err(|e| failure(directory, &e))?;
                let steps = overlay.commit(*force).map_err(|e| failure(directory, &e))?;
                let _ = writeln!(io::stdout(), "{}: {steps} steps done", directory.display());
                Ok(0)
            }
            Action::Drop { directory } => {
                overlay::Overlay::drop_changes(directory).map_err(|e| failure(directory, &e))?;
                Ok(0)
            }
        }
    }
}

fn failure(directory: &std::path::Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("overlay {}: {error}", directory.display()))
}

/// A difference in one line, without letters that a terminal would obey.
fn line(found: &Difference) -> String {
    let visible = |path: &[u8]| -> String {
        let text = String::from_utf8_lossy(path);
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect()
    };
    let mut text = format!("{} ", found.change.letter());
    if let Some(from) = &found.from {
        text += &format!("{} -> ", visible(from));
    }
    text += &visible(&found.path);
    if found.kind == "directory" {
        text.push('/');
    }
    if !found.attributes.is_empty() {
        text += &format!(" ({})", found.attributes.join(", "));
    }
    if found.conflict {
        text += " (changed in the root, too)";
    }
    text + "\n"
}
