//! Identities: users, groups and the checks that depend on them only.
//!
//! 2.1 counterpart: kern/kern_prot.c, sys/ucred.h.

pub mod calls;

use std::rc::Rc;

/// Most groups that an identity can hold.
pub const NGROUPS: usize = 16;

/// The effective identity: shared by what was opened under it, replaced, never changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ucred {
    /// Effective user.
    pub uid: u32,
    /// Groups, 1 to [`NGROUPS`]; the first is the effective group.
    pub groups: Vec<u32>,
}

impl Ucred {
    /// The effective group.
    pub fn gid(&self) -> u32 {
        self.groups.first().copied().unwrap_or(0)
    }

    /// Whether the identity is a member of `gid` (`groupmember`).
    pub fn is_member(&self, gid: u32) -> bool {
        self.groups.contains(&gid)
    }

    /// Whether the identity is the super-user.
    pub fn is_superuser(&self) -> bool {
        self.uid == 0
    }
}

/// A process's identity (`struct pcred`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcred {
    /// Effective identity.
    pub ucred: Rc<Ucred>,
    /// Real user.
    pub ruid: u32,
    /// Saved effective user.
    pub svuid: u32,
    /// Real group.
    pub rgid: u32,
    /// Saved effective group.
    pub svgid: u32,
}

impl Pcred {
    /// The identity of a login as `uid` and `gid`.
    pub fn new(uid: u32, gid: u32) -> Self {
        Self::of(uid, &[gid])
    }

    /// The identity of a login with several groups, of which there is one at least.
    pub fn of(uid: u32, groups: &[u32]) -> Self {
        let ucred = Ucred { uid, groups: groups.to_vec() };
        let gid = ucred.gid();
        Self { ucred: Rc::new(ucred), ruid: uid, svuid: uid, rgid: gid, svgid: gid }
    }

    /// Whether the effective user is the super-user.
    pub fn is_superuser(&self) -> bool {
        self.ucred.is_superuser()
    }

    /// The effective identity, to change it: a copy of its own where others share it (`crcopy`).
    pub fn ucred_mut(&mut self) -> &mut Ucred {
        Rc::make_mut(&mut self.ucred)
    }
}
