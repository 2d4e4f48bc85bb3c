//! What `monitor` commands say and do: processes, catching calls by their names.

use syscalls::SYSENT;

use super::target::Session;
use crate::machine::debug::Seen;

const HELP: &str = "\
monitor ps            the guest's processes
monitor catch NAME... stop where a system call begins and where it has ended (all: every call; none: none)
monitor where         the count of instructions so far, and the call at which the guest has stopped
";

/// A process in a line.
pub(super) fn describe(seen: &Seen) -> String {
    let name = String::from_utf8_lossy(&seen.name);
    match seen.sleeps {
        Some(wmesg) => format!("{name}, parent {}, sleeps on {wmesg}", seen.parent),
        None => format!("{name}, parent {}", seen.parent),
    }
}

impl Session {
    /// The answer to a command.
    pub(super) fn monitor(&mut self, command: &str) -> String {
        let mut words = command.split_whitespace();
        match (words.next(), words.collect::<Vec<_>>().as_slice()) {
            (Some("ps"), []) => {
                let line = |seen: &Seen| {
                    format!("{:>5} {} instructions, {}\n", seen.pid, seen.instructions, describe(seen))
                };
                self.machine.processes().iter().map(line).collect()
            }
            (Some("where"), []) => {
                let call = self.at_call.as_ref().map(|call| format!(", {call}")).unwrap_or_default();
                format!("{} instructions{call}\n", self.machine.instructions())
            }
            (Some("catch"), ["none"]) => {
                self.stops.all_calls = false;
                self.stops.calls.clear();
                "no calls are caught\n".to_owned()
            }
            (Some("catch"), ["all"]) => {
                self.stops.all_calls = true;
                "every call is caught\n".to_owned()
            }
            (Some("catch"), names @ [_, ..]) => names.iter().map(|name| self.catch(name)).collect(),
            _ => HELP.to_owned(),
        }
    }

    fn catch(&mut self, name: &str) -> String {
        let named = |row: &&syscalls::Sysent| row.name == name || row.code.to_string() == name;
        match SYSENT.iter().find(named) {
            Some(row) => {
                self.stops.calls.insert(u32::from(row.code));
                format!("{} ({}) is caught\n", row.name, row.code)
            }
            None => format!("no call of 2.1 is named {name}\n"),
        }
    }
}
