//! Verbs that every machine has: what runs, and its end.

use super::{Request, Verb};
use crate::kernel::Kernel;
use crate::kernel::proc::{ProcId, State, leader};
use crate::machine::Machine;

pub(super) fn verbs() -> [Verb; 2] {
    [
        Verb::answering("list", "the processes and their terminals", list),
        Verb::answering("kill", "end the run: every process gets SIGKILL", kill),
    ]
}

fn list(machine: &mut Machine, request: &Request) -> Result<String, String> {
    request.only(&[])?;
    Ok(listing(machine.kernel()))
}

fn kill(machine: &mut Machine, request: &Request) -> Result<String, String> {
    request.only(&[])?;
    machine.kill_everybody();
    Ok(String::new())
}

/// The processes, a line each.
pub(in crate::machine) fn listing(kernel: &Kernel) -> String {
    let mut lines = vec!["  PID TT  STAT COMMAND\n".to_owned()];
    let mut all = leader::everybody(kernel);
    all.sort_by_key(|&id| kernel.procs[id].pid);
    lines.extend(all.into_iter().map(|id| line(kernel, id)));
    lines.concat()
}

fn line(kernel: &Kernel, id: ProcId) -> String {
    let proc = &kernel.procs[id];
    let state = match proc.state {
        State::Run => "R",
        State::Stop => "T",
        State::Zombie => "Z",
        State::Sleep | State::Embryo => "S",
    };
    let terminal = kernel.procs.session(proc.pgrp).ttyvp.and_then(|node| kernel.vfs.path_of(node));
    let terminal = terminal.and_then(|path| {
        let path = String::from_utf8_lossy(&path).into_owned();
        path.strip_prefix("/dev/tty").map(str::to_owned)
    });
    let terminal = terminal.unwrap_or_else(|| "??".to_owned());
    format!("{:5} {terminal:<3} {state:<4} {}\n", proc.pid, proc.comm.escape_ascii())
}
