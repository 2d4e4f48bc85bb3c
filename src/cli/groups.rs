//! The commands by what a person wants of them, for `bsd21 --help`.
//!
//! Knows the commands by their names only; what each does is said where it is defined.

use std::fmt::Write;

/// What a person wants, and the commands that do it.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Run a program", &["run", "shell", "attach", "resume"]),
    (
        "See what it does",
        &[
            "trace", "explain", "syscalls", "kdump", "profile", "coverage", "inspect", "gdb", "record",
            "replay", "survey",
        ],
    ),
    ("Keep it working", &["capture", "verify", "overlay"]),
    ("Set up", &["install", "doctor", "binfmt", "generate"]),
];

/// A heading for each group and a line for each of its commands.
pub(super) fn listing(command: &clap::Command) -> String {
    let mut text = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "{heading}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<10}{}", about.trim_end_matches('.'));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_is_in_one_group() {
        let command = super::super::Cli::command();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut known: Vec<&str> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }
}
