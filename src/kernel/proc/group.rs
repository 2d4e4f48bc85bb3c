//! Process groups and sessions, and which groups are orphaned.
//!
//! 2.1 counterpart: kern/kern_proc.c (enterpgrp, leavepgrp, pgdelete, fixjobc, orphanpg).

use super::{Flags, ProcId, State, Table};
use crate::kernel::Kernel;
use crate::kernel::arena::Id;
use crate::kernel::signal;
use crate::kernel::vfs::VnodeId;

/// Key of a process group.
pub type PgrpId = Id<Pgrp>;
/// Key of a session.
pub type SessionId = Id<Session>;

/// A process group.
#[derive(Clone, Debug)]
pub struct Pgrp {
    /// Its number.
    pub pgid: i32,
    /// Its session.
    pub session: SessionId,
    /// Its members, the latest first.
    pub members: Vec<ProcId>,
    /// Members whose parent is in the same session but in another group; an orphaned group has none.
    pub jobc: i32,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Process number of the leader; none after it has exited.
    pub leader: Option<i32>,
    /// Number of groups.
    pub count: usize,
    /// Login name, as `setlogin` stored it: 12 bytes.
    pub login: [u8; 12],
    /// Number of the terminal that controls it or once did (`s_ttyp`).
    pub tty: Option<u32>,
    /// The node of the controlling terminal, with a reference (`s_ttyvp`).
    pub ttyvp: Option<VnodeId>,
}

impl Table {
    /// Makes a first group and session for a process that nobody forked.
    pub fn insert_group(&mut self, pgid: i32, login: [u8; 12]) -> PgrpId {
        let session =
            self.sessions.insert(Session { leader: Some(pgid), count: 1, login, tty: None, ttyvp: None });
        self.groups.insert(Pgrp { pgid, session, members: Vec::new(), jobc: 0 })
    }

    /// Adds a member to a group, as the latest.
    pub fn join_group(&mut self, group: PgrpId, id: ProcId) {
        self.groups[group].members.insert(0, id);
    }

    /// Adds a child to the group of its parent, right behind the parent as fork does.
    pub fn join_group_after(&mut self, parent: ProcId, child: ProcId) {
        let group = self[parent].pgrp;
        let members = &mut self.groups[group].members;
        let place = members.iter().position(|&m| m == parent).map_or(0, |p| p + 1);
        members.insert(place, child);
    }
}

/// Moves a process to the group `pgid`, which is created if need be, in a new session if asked for.
pub fn enter_pgrp(kernel: &mut Kernel, id: ProcId, pgid: i32, new_session: bool) {
    let old = kernel.procs[id].pgrp;
    let group = match kernel.procs.find_group(pgid) {
        Some(group) if group == old => return,
        Some(group) => group,
        None => {
            let session = if new_session {
                let login = kernel.procs.session(old).login;
                kernel.procs[id].flags.remove(Flags::CONTROLT);
                kernel.procs.sessions.insert(Session {
                    leader: Some(pgid),
                    count: 1,
                    login,
                    tty: None,
                    ttyvp: None,
                })
            } else {
                let session = kernel.procs.session_id(old);
                kernel.procs.sessions[session].count += 1;
                session
            };
            kernel.procs.groups.insert(Pgrp { pgid, session, members: Vec::new(), jobc: 0 })
        }
    };
    // Counts go up before they go down, so that no group looks orphaned for a moment.
    fix_jobc(kernel, id, group, true);
    fix_jobc(kernel, id, old, false);
    remove_member(kernel, id, old);
    kernel.procs[id].pgrp = group;
    kernel.procs.join_group(group, id);
}

/// Takes a dead process out of its group.
pub fn leave_pgrp(kernel: &mut Kernel, id: ProcId) {
    let group = kernel.procs[id].pgrp;
    remove_member(kernel, id, group);
}

fn remove_member(kernel: &mut Kernel, id: ProcId, group: PgrpId) {
    let members = &mut kernel.procs.groups[group].members;
    members.retain(|&member| member != id);
    if members.is_empty() {
        let session = kernel.procs.groups[group].session;
        kernel.procs.groups.remove(group);
        let left = &mut kernel.procs.sessions[session];
        left.count -= 1;
        if left.count == 0 {
            kernel.procs.sessions.remove(session);
        }
    }
}

/// Adjusts the counts that decide which groups are orphaned, as process `id` enters or leaves `group`;
/// a group whose count falls to zero while a member is stopped gets SIGHUP and SIGCONT.
pub fn fix_jobc(kernel: &mut Kernel, id: ProcId, group: PgrpId, entering: bool) {
    let session = kernel.procs.session_id(group);
    let adjust = |kernel: &mut Kernel, group: PgrpId| {
        let count = &mut kernel.procs.groups[group].jobc;
        if entering {
            *count += 1;
        } else {
            *count -= 1;
            if *count == 0 {
                orphan(kernel, group);
            }
        }
    };
    if let Some(parent) = kernel.procs[id].parent {
        let of_parent = kernel.procs[parent].pgrp;
        if of_parent != group && kernel.procs.session_id(of_parent) == session {
            adjust(kernel, group);
        }
    }
    for child in kernel.procs[id].children.clone() {
        let of_child = kernel.procs[child].pgrp;
        if of_child != group
            && kernel.procs.session_id(of_child) == session
            && kernel.procs[child].state != State::Zombie
        {
            adjust(kernel, of_child);
        }
    }
}

fn orphan(kernel: &mut Kernel, group: PgrpId) {
    let members = kernel.procs.groups[group].members.clone();
    if members.iter().any(|&id| kernel.procs[id].state == State::Stop) {
        for id in members {
            signal::psignal(kernel, id, signal::SIGHUP);
            signal::psignal(kernel, id, signal::SIGCONT);
        }
    }
}
