//! `bsd21 generate`: shell completions and the manual page, both from the definition of the command
//! line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure};

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// `man` for the manual page, or a shell's name for its completions.
    #[arg(value_parser = ["man", "bash", "elvish", "fish", "powershell", "zsh"])]
    what: String,
}

impl Generate {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut command = Cli::command();
        command.build();
        let mut out = Vec::new();
        match self.what.parse::<Shell>() {
            Ok(shell) => clap_complete::generate(shell, &mut command, "bsd21", &mut out),
            Err(_) => manual(&command, &mut out).map_err(|e| Failure::internal(&e.into()))?,
        }
        super::print(&String::from_utf8_lossy(&out));
        Ok(0)
    }
}

/// One page: the command, then each of its commands.
fn manual(command: &clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("bsd21 {}", sub.get_name());
        let page = clap_mangen::Man::new(sub.clone().name(name));
        page.render_name_section(out)?;
        page.render_synopsis_section(out)?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
    }
    Ok(())
}
