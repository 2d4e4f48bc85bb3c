//! What `monitor` commands say and do: processes, catching calls by their names.

use syscalls::SYSENT;

use super::target::Session;
use crate::machine::debug::Seen;
use crate::mem::{Backing, Prot, Region, Sharing};

const HELP: &str = "\
monitor ps            the guest's processes
monitor maps [PID]    what is mapped in a process, by default in the one that has stopped
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
            (Some("maps"), []) => self.maps(self.current),
            (Some("maps"), [pid]) => match pid.parse() {
                Ok(pid) => self.maps(pid),
                Err(_) => format!("{pid} is no number of a process\n"),
            },
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

    fn maps(&self, pid: i32) -> String {
        let regions = self.machine.regions(pid);
        if regions.is_empty() {
            return format!("nothing is mapped in process {pid}\n");
        }
        let line = |region: Region| {
            let may = |right, letter| if region.prot.contains(right) { letter } else { '-' };
            let rights = [may(Prot::READ, 'r'), may(Prot::WRITE, 'w'), may(Prot::EXEC, 'x')];
            let what = match region.backing {
                Backing::Anonymous => "memory".to_owned(),
                Backing::SharedAnonymous { .. } => "shared memory".to_owned(),
                Backing::File { id, offset, sharing } => {
                    let shared = if sharing == Sharing::Shared { ", shared" } else { "" };
                    let name = self.machine.name_of(id).unwrap_or_else(|| b"a file".to_vec());
                    format!("{} from {offset:#x}{shared}", name.escape_ascii())
                }
            };
            let end = u64::from(region.start) + u64::from(region.len);
            format!("{:#010x} {end:#010x} {} {what}\n", region.start, rights.iter().collect::<String>())
        };
        regions.into_iter().map(line).collect()
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
