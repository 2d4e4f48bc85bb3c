//! The session leader above the first program: what a login shell is to the programs that it starts.
//!
//! It has no program and never runs.  It leads the session, holds the terminal, is the parent of the first
//! program, and stands outside of what processes are counted, signalled in bulk and waited for.  Must not
//! know what makes the host's signals come.
//!
//! 2.1 counterpart: none; the place of a shell that sleeps in wait4.

use super::{Flags, PgrpId, ProcId, State};
use crate::kernel::Kernel;
use crate::kernel::signal::{SIGCONT, pgsignal, psignal};
use crate::kernel::tty::{self, TtyId};
use crate::kernel::vfs::VnodeId;

/// The leader's number: the last one before those of programs.
pub const LEADER_PID: i32 = 4;

/// The session leader, and what it knows of the first program.
#[derive(Clone, Debug)]
pub struct Leader {
    /// Its process.
    pub id: ProcId,
    /// The first program's process.
    first: ProcId,
    /// The group that had the terminal when the leader took it.
    lent_to: Option<PgrpId>,
    /// The first program has stopped, and the machine has not taken note of it.
    stopped: bool,
}

impl Leader {
    /// A leader with its child.
    pub(in crate::kernel) fn new(id: ProcId, first: ProcId) -> Self {
        Self { id, first, lent_to: None, stopped: false }
    }
}

/// Whether a process is one of ours: process 1, or the session leader.
pub fn is_ours(kernel: &Kernel, id: ProcId) -> bool {
    kernel.init == Some(id) || kernel.leader.as_ref().is_some_and(|leader| leader.id == id)
}

/// The first program's process, while it lives.
pub fn first(kernel: &Kernel) -> Option<ProcId> {
    let id = kernel.leader.as_ref()?.first;
    kernel.procs.get(id).filter(|proc| proc.state != State::Zombie).map(|_| id)
}

/// The first program's group, while it lives.
pub fn first_group(kernel: &Kernel) -> Option<PgrpId> {
    first(kernel).map(|id| kernel.procs[id].pgrp)
}

/// All living processes but ours.
pub fn everybody(kernel: &Kernel) -> Vec<ProcId> {
    let theirs = |id: &ProcId| !is_ours(kernel, *id) && kernel.procs[*id].state != State::Zombie;
    kernel.procs.ids().iter().copied().filter(theirs).collect()
}

/// Sends a signal to everybody.
pub fn signal_everybody(kernel: &mut Kernel, signal: u32) {
    for id in everybody(kernel) {
        psignal(kernel, id, signal);
    }
}

/// Sends a signal to the first program's group; to everybody once the first program has ended.
pub fn signal_first_group(kernel: &mut Kernel, signal: u32) {
    match first_group(kernel) {
        Some(group) => pgsignal(kernel, group, signal, false),
        None => signal_everybody(kernel, signal),
    }
}

/// The group in the foreground of the session's terminal, if there is one other than the leader's own.
pub fn foreground(kernel: &Kernel) -> Option<PgrpId> {
    let leader = kernel.leader.as_ref()?;
    let group = kernel.ttys.get(terminal(kernel)?)?.pgrp?;
    (kernel.procs.group_exists(group) && group != kernel.procs[leader.id].pgrp).then_some(group)
}

/// Sends what the terminal's keys mean: to the foreground group, to the first program's where there is no
/// terminal, and to everybody once the first program has ended.
pub fn signal_foreground(kernel: &mut Kernel, signal: u32) {
    match foreground(kernel).filter(|_| first(kernel).is_some()) {
        Some(group) => pgsignal(kernel, group, signal, false),
        None => signal_first_group(kernel, signal),
    }
}

/// The terminal of the leader's session.
fn terminal(kernel: &Kernel) -> Option<TtyId> {
    tty::controlling(kernel, kernel.leader.as_ref()?.id)
}

/// Makes a terminal the session's, with the first program in its foreground; a second one controls nobody.
pub(in crate::kernel) fn hold_terminal(kernel: &mut Kernel, tty: TtyId, node: VnodeId) {
    let Some(leader) = &kernel.leader else { return };
    let (id, first) = (leader.id, leader.first);
    if tty::controlling(kernel, id).is_none() && tty::set_controlling(kernel, id, tty, node).is_ok() {
        // As a shell it has it open: no other close is the last one.
        tty::hold_open(kernel, tty);
        kernel.procs[first].flags.insert(Flags::CONTROLT);
        lend_terminal(kernel);
    }
}

/// Takes the terminal from whoever has it, as a shell does when its job has stopped or ended.
pub fn take_terminal(kernel: &mut Kernel) {
    let (Some(tty), Some(leader)) = (terminal(kernel), &mut kernel.leader) else { return };
    let own = kernel.procs[leader.id].pgrp;
    let terminal = &mut kernel.ttys[tty];
    if terminal.pgrp != Some(own) {
        leader.lent_to = terminal.pgrp.replace(own);
    }
}

/// Gives the terminal back to the group that had it, or to the first program's, where we are in the
/// foreground of the host's terminal ourselves; takes it where we are not.
pub fn lend_terminal(kernel: &mut Kernel) {
    let (Some(tty), Some(group)) = (terminal(kernel), first_group(kernel)) else { return };
    let Some(terminal) = kernel.ttys.get(tty) else { return };
    if !terminal.is_in_hosts_foreground(&kernel.tape) {
        return take_terminal(kernel);
    }
    let Some(leader) = &mut kernel.leader else { return };
    if terminal.pgrp == Some(kernel.procs[leader.id].pgrp) {
        let before = leader.lent_to.take().filter(|&before| kernel.procs.group_exists(before));
        kernel.ttys[tty].pgrp = Some(before.unwrap_or(group));
    }
}

/// Gives the terminal back if the leader has it, which a process in the background asks for: a job of the
/// host's shell comes to the foreground without a signal if it was running.
pub(in crate::kernel) fn ask_for_terminal(kernel: &mut Kernel, tty: TtyId) {
    let Some(leader) = &kernel.leader else { return };
    let own = kernel.procs[leader.id].pgrp;
    if kernel.ttys.get(tty).is_some_and(|terminal| terminal.pgrp == Some(own)) {
        lend_terminal(kernel);
    }
}

/// Notes that a process has stopped.
pub(in crate::kernel) fn note_stop(kernel: &mut Kernel, id: ProcId) {
    let traced = kernel.procs[id].flags.contains(Flags::TRACED);
    if let Some(leader) = &mut kernel.leader
        && leader.first == id
        && !traced
    {
        leader.stopped = true;
    }
}

/// Notes that a process has been waited for: behind the first program the terminal is the leader's.
pub(in crate::kernel) fn note_end(kernel: &mut Kernel, id: ProcId) {
    if kernel.leader.as_ref().is_some_and(|leader| leader.first == id) {
        take_terminal(kernel);
    }
}

/// Whether the first program has stopped since [`forget_stop`].
#[inline]
pub fn has_stopped(kernel: &Kernel) -> bool {
    kernel.leader.as_ref().is_some_and(|leader| leader.stopped)
}

/// The signal that has stopped the first program, if it is stopped still, and whether others of its group
/// are on their way to do the same.
pub fn stop(kernel: &Kernel) -> Option<(u32, bool)> {
    let id = first(kernel)?;
    let proc = &kernel.procs[id];
    let busy = |&id: &ProcId| kernel.procs[id].state == State::Run;
    let others = kernel.procs.group(proc.pgrp).members.iter().any(busy);
    (proc.state == State::Stop).then_some((proc.xstat as u32, others))
}

/// Takes note of a stop.
pub fn forget_stop(kernel: &mut Kernel) {
    if let Some(leader) = &mut kernel.leader {
        leader.stopped = false;
    }
}

/// Continues the first program, in the foreground where that is ours.
pub fn continue_first(kernel: &mut Kernel) {
    lend_terminal(kernel);
    signal_first_group(kernel, SIGCONT);
}

/// Goes on, and lets go of the first program, which nobody above could continue after a stop: its group is
/// orphaned from now on.
pub fn disown_first(kernel: &mut Kernel) {
    // It goes on before, so that it is not hung up as a stopped orphan.
    continue_first(kernel);
    let (Some(id), Some(init)) = (first(kernel), kernel.init) else { return };
    let (group, parent) = (kernel.procs[id].pgrp, kernel.procs[id].parent);
    let of_leader = kernel.leader.as_ref().map(|leader| leader.id);
    if parent == of_leader && parent.is_some_and(|parent| kernel.procs[parent].pgrp != group) {
        kernel.procs.groups[group].jobc -= 1;
        super::exit::reparent(kernel, id, init);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Context;
    use crate::kernel::boot::{Config, Inherited, Program};
    use crate::kernel::proc::{exit, fork};
    use crate::kernel::signal::{SIGHUP, SIGKILL, SIGTSTP, sigmask};

    fn started(inherited: Inherited) -> (Kernel, ProcId) {
        let mut kernel = Kernel::new(Config::bare());
        let program = Program {
            paths: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: Vec::new(),
            uid: 7,
            gid: 7,
            groups: Vec::new(),
            login: b"user".to_vec(),
            fpcw: 0,
            inherited,
        };
        let id = kernel.process_below_leader(&program);
        kernel.procs[id].state = State::Run;
        (kernel, id)
    }

    fn child(kernel: &mut Kernel, of: ProcId) -> ProcId {
        let pid = fork::fork1(&mut Context::new(kernel, of), false).expect("there is room").0;
        kernel.procs.find(pid as i32).expect("it is new")
    }

    #[test]
    fn the_leader_is_the_parent_and_outside_of_counts_and_signals() {
        let (mut kernel, first) = started(Inherited::default());
        assert_eq!(kernel.procs[first].pid, 5);
        let parent = kernel.procs[first].parent.expect("a parent");
        assert_eq!(
            (kernel.procs[parent].pid, kernel.procs.len()),
            (LEADER_PID, 2),
            "process 1 and the first"
        );
        assert_eq!(everybody(&kernel), [first]);
        signal_everybody(&mut kernel, SIGHUP);
        psignal(&mut kernel, parent, SIGKILL);
        assert_eq!(kernel.procs[first].sig.pending, sigmask(SIGHUP));
        assert_eq!(kernel.procs[parent].state, State::Sleep);
    }

    #[test]
    fn the_first_group_stops_unless_nobody_could_continue_it() {
        let (mut kernel, first) = started(Inherited::default());
        signal_foreground(&mut kernel, SIGTSTP);
        assert_eq!(kernel.procs[first].sig.pending, sigmask(SIGTSTP));
        let (mut kernel, first) = started(Inherited { orphaned: true, ..Inherited::default() });
        assert_eq!(kernel.procs[first].parent, kernel.init);
        signal_foreground(&mut kernel, SIGTSTP);
        assert_eq!(kernel.procs[first].sig.pending, 0, "an orphaned group does not");
    }

    #[test]
    fn a_first_program_that_is_disowned_is_continued_and_not_hung_up() {
        let (mut kernel, first) = started(Inherited::default());
        kernel.procs[first].state = State::Stop;
        disown_first(&mut kernel);
        assert_eq!((kernel.procs[first].state, kernel.procs[first].sig.pending), (State::Run, 0));
        assert_eq!(kernel.procs[first].parent, kernel.init);
        assert_eq!(kernel.procs.group(kernel.procs[first].pgrp).jobc, 0);
    }

    #[test]
    fn who_lives_on_behind_the_first_program_gets_what_was_meant_for_it() {
        let (mut kernel, first) = started(Inherited::default());
        let other = child(&mut kernel, first);
        exit::exit1(&mut Context::new(&mut kernel, first), 0).expect("nothing holds it up");
        assert!(super::first(&kernel).is_none() && kernel.procs.get(first).is_none());
        assert_eq!(kernel.procs[other].sig.pending, 0, "no hang-up");
        signal_foreground(&mut kernel, SIGHUP);
        assert_eq!(kernel.procs[other].sig.pending, sigmask(SIGHUP));
        assert_eq!(kernel.reaped, [(5, 0)]);
    }
}
