//! The table of processes and their numbers.
//!
//! 2.1 counterpart: kern/kern_proc.c (pfind, pgfind, chgproccnt), the choice of numbers in kern_fork.c.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};

use super::{PID_MAX, Pgrp, PgrpId, Proc, ProcId, Session, SessionId, State};
use crate::kernel::arena::Arena;
use crate::kernel::vfs::VnodeId;

/// All processes, groups and sessions.
#[derive(Clone, Debug, Default)]
pub struct Table {
    procs: Arena<Proc>,
    pub(super) groups: Arena<Pgrp>,
    pub(super) sessions: Arena<Session>,
    by_pid: HashMap<i32, ProcId>,
    /// All processes, the newest first, zombies too.
    order: Vec<ProcId>,
    last_pid: i32,
    /// Processes of our own that are not counted.
    uncounted: usize,
    /// Processes of each real user.
    count_by_uid: HashMap<u32, usize>,
}

impl Index<ProcId> for Table {
    type Output = Proc;

    #[inline(always)]
    fn index(&self, id: ProcId) -> &Proc {
        &self.procs[id]
    }
}

impl IndexMut<ProcId> for Table {
    #[inline(always)]
    fn index_mut(&mut self, id: ProcId) -> &mut Proc {
        &mut self.procs[id]
    }
}

impl Table {
    /// Number of processes, zombies too (`nprocs`).
    pub fn len(&self) -> usize {
        self.procs.len() - self.uncounted
    }

    /// Whether there is no process.
    pub fn is_empty(&self) -> bool {
        self.procs.is_empty()
    }

    /// The process, if it still exists.
    #[inline]
    pub fn get(&self, id: ProcId) -> Option<&Proc> {
        self.procs.get(id)
    }

    /// The process, if it still exists, to change it.
    #[inline]
    pub fn get_mut(&mut self, id: ProcId) -> Option<&mut Proc> {
        self.procs.get_mut(id)
    }

    /// A living process by its number (`pfind`).
    pub fn find(&self, pid: i32) -> Option<ProcId> {
        let id = *self.by_pid.get(&pid)?;
        (self.procs[id].state != State::Zombie).then_some(id)
    }

    /// A process by its number, zombies too.
    pub fn find_any(&self, pid: i32) -> Option<ProcId> {
        self.by_pid.get(&pid).copied()
    }

    /// All processes, the newest first, zombies too.
    pub fn ids(&self) -> &[ProcId] {
        &self.order
    }

    /// All processes with their keys, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (ProcId, &Proc)> {
        self.order.iter().map(|&id| (id, &self.procs[id]))
    }

    /// Adds a process made with its key.
    pub fn insert(&mut self, make: impl FnOnce(ProcId) -> Proc) -> ProcId {
        let id = self.procs.insert_with(make);
        self.by_pid.insert(self.procs[id].pid, id);
        self.order.insert(0, id);
        id
    }

    /// Leaves a process that never ends out of the count.
    pub(in crate::kernel) fn leave_out(&mut self) {
        self.uncounted += 1;
    }

    /// Takes a process away that has been waited for.
    pub fn remove(&mut self, id: ProcId) -> Option<Proc> {
        let proc = self.procs.remove(id)?;
        self.by_pid.remove(&proc.pid);
        self.order.retain(|&other| other != id);
        Some(proc)
    }

    /// Chooses the number of a new process: the next one that no process or group uses; after
    /// the largest it begins again at 100.
    pub fn next_pid(&mut self) -> i32 {
        let in_use = |table: &Self, pid: i32| {
            table.by_pid.contains_key(&pid) || table.groups.iter().any(|(_, g)| g.pgid == pid)
        };
        loop {
            self.last_pid += 1;
            if self.last_pid >= PID_MAX {
                self.last_pid = 100;
            }
            if !in_use(self, self.last_pid) {
                return self.last_pid;
            }
        }
    }

    /// The number that was given last (`nextpid`); virtual machines begin where they are told.
    pub fn set_last_pid(&mut self, pid: i32) {
        self.last_pid = pid;
    }

    /// Changes the number of processes of a user and gives the new one (`chgproccnt`).
    pub fn change_count(&mut self, uid: u32, by: isize) -> usize {
        let count = self.count_by_uid.entry(uid).or_default();
        *count = count.saturating_add_signed(by);
        *count
    }

    /// A group by its number (`pgfind`).
    pub fn find_group(&self, pgid: i32) -> Option<PgrpId> {
        self.groups.iter().find(|(_, g)| g.pgid == pgid).map(|(id, _)| id)
    }

    /// A group.
    pub fn group(&self, id: PgrpId) -> &Pgrp {
        &self.groups[id]
    }

    /// Whether the group still has members.
    pub fn group_exists(&self, id: PgrpId) -> bool {
        self.groups.contains(id)
    }

    /// Whether there is a session.
    pub fn session_exists(&self, id: SessionId) -> bool {
        self.sessions.contains(id)
    }

    /// The session of a group.
    pub fn session(&self, group: PgrpId) -> &Session {
        &self.sessions[self.groups[group].session]
    }

    /// The session of a group, to change it.
    pub fn session_mut(&mut self, group: PgrpId) -> &mut Session {
        &mut self.sessions[self.groups[group].session]
    }

    /// A session by its key, if it still exists.
    pub fn session_by_id(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// Makes another node the terminal of the sessions whose terminal is `from`; gives how many there are.
    pub fn move_terminals(&mut self, from: VnodeId, to: VnodeId) -> u32 {
        let mut moved = 0;
        for id in self.sessions.ids() {
            if self.sessions[id].ttyvp == Some(from) {
                self.sessions[id].ttyvp = Some(to);
                moved += 1;
            }
        }
        moved
    }

    /// Key of the session of a group.
    pub fn session_id(&self, group: PgrpId) -> SessionId {
        self.groups[group].session
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::boot::Config;
    use crate::kernel::cred::Pcred;
    use crate::kernel::proc::{enter_pgrp, fork};
    use crate::kernel::{Context, Kernel};

    #[test]
    fn numbers_wrap_to_100_and_pass_over_processes_and_groups() {
        let mut kernel = Kernel::new(Config::bare());
        let first = kernel.first_process(Pcred::new(0, 0), b"user");
        kernel.procs.set_last_pid(PID_MAX - 3);
        let fork = |kernel: &mut Kernel| {
            fork::fork1(&mut Context::new(kernel, first), false).expect("there is room").0 as i32
        };
        assert_eq!([fork(&mut kernel), fork(&mut kernel)], [29998, 29999], "30000 is never given");
        assert_eq!([fork(&mut kernel), fork(&mut kernel)], [100, 101]);
        // The group of 100 outlives it, with 101 as a member; the parent is one of 101's.
        let (leader, member) = (kernel.procs.find(100).unwrap(), kernel.procs.find(101).unwrap());
        enter_pgrp(&mut kernel, leader, 100, false);
        enter_pgrp(&mut kernel, member, 100, false);
        enter_pgrp(&mut kernel, leader, 102, false);
        kernel.procs.set_last_pid(PID_MAX - 1);
        assert_eq!(fork(&mut kernel), 103, "100 and 101 are processes, 102 is a group");
    }
}
