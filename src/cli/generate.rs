//! `bsd21 generate`: shell completions and the manual pages, all from the definition of the command line.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::{Failure, status};

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bsd21 generate bash > ~/.local/share/bash-completion/completions/bsd21\n  bsd21 generate man trace | man -l -\n  bsd21 generate man --directory /usr/local/share/man/man1"
)]
pub(super) struct Generate {
    /// `man` for a manual page, or a shell's name for its completions.
    #[arg(value_parser = ["man", "bash", "elvish", "fish", "powershell", "zsh"])]
    what: String,
    /// The command whose manual page it is; without it the page of bsd21 itself.
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
    /// Write all manual pages, bsd21.1 and bsd21-COMMAND.1, to a directory.
    #[arg(long, value_name = "DIR", conflicts_with = "of")]
    directory: Option<PathBuf>,
}

impl Generate {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut command = super::command();
        command.build();
        if let Ok(shell) = self.what.parse::<Shell>() {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut command, "bsd21", &mut out);
            super::print(&String::from_utf8_lossy(&out));
            return Ok(0);
        }
        if let Some(directory) = &self.directory {
            return pages(&command, directory);
        }
        let page = match &self.of {
            None => page(&command, None),
            Some(name) => match command.find_subcommand(name) {
                Some(sub) => page(&command, Some(sub)),
                None => {
                    let names = command.get_subcommands().map(|sub| sub.get_name().to_owned());
                    return Err(Failure::usage(crate::trace::filter::unknown("command", name, names)));
                }
            },
        };
        super::print(&page);
        Ok(0)
    }
}

/// Writes every page to a directory.
fn pages(command: &clap::Command, directory: &std::path::Path) -> Result<u8, Failure> {
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Some);
    for sub in std::iter::once(None).chain(subs) {
        let name = sub.map_or("bsd21.1".to_owned(), |sub| format!("bsd21-{}.1", sub.get_name()));
        let path = directory.join(name);
        std::fs::write(&path, page(command, sub))
            .map_err(|e| Failure::usage(format!("--directory {}: {}", path.display(), status::plain(&e))))?;
    }
    Ok(0)
}

/// The page of the whole, or of a command.
fn page(command: &clap::Command, sub: Option<&clap::Command>) -> String {
    let shown = match sub {
        None => command.clone(),
        Some(sub) => {
            let name = format!("bsd21-{}", sub.get_name());
            sub.clone().name(name.clone()).bin_name(name.replacen('-', " ", 1)).display_name(name)
        }
    };
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(shown).render(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}
