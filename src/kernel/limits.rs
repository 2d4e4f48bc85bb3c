//! Resource limits of processes and of the system.
//!
//! 2.1 counterpart: sys/resource.h, conf/param.c with GENERIC's maxusers of 10.

use std::rc::Rc;

/// Most processes.
pub const MAXPROC: usize = 180;
/// Most processes of one user.
pub const MAXPROC_PER_UID: usize = 179;
/// Processes of one user, and open files of a process, up to which a login may go (CHILD_MAX, OPEN_MAX).
const CHILD_MAX: i64 = 40;
const OPEN_MAX: i64 = 64;
/// Memory that is free after boot, in bytes.
const FREE_MEMORY: i64 = 56 << 20;
/// Most open files of the system, and of one process.
pub const MAXFILES: usize = 360;
/// No limit.
pub const INFINITY: i64 = i64::MAX;

/// Resources that are limited, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the interface's own names, RLIMIT_*
pub enum Resource {
    Cpu,
    Fsize,
    Data,
    Stack,
    Core,
    Rss,
    Memlock,
    Nproc,
    Nofile,
}

/// Number of limited resources.
pub const RLIM_NLIMITS: usize = 9;

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// What is enforced.
    pub cur: i64,
    /// Up to where the process may raise it.
    pub max: i64,
}

/// The limits of a process; shared with its children until one of them sets a limit (`struct plimit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plimit(Rc<[Rlimit; RLIM_NLIMITS]>);

impl Plimit {
    /// The limit on `resource`.
    pub fn get(&self, resource: Resource) -> Rlimit {
        self.0[resource as usize]
    }

    /// Sets the limit on `resource` for this process alone (`limcopy`).
    pub fn set(&mut self, resource: Resource, limit: Rlimit) {
        Rc::make_mut(&mut self.0)[resource as usize] = limit;
    }
}

impl Default for Plimit {
    /// The limits of process 0, which all others inherit (`init_main.c`, `vm_init_limits`).
    fn default() -> Self {
        let unlimited = Rlimit { cur: INFINITY, max: INFINITY };
        let mut limits = [unlimited; RLIM_NLIMITS];
        limits[Resource::Data as usize] = Rlimit { cur: 64 << 20, max: 128 << 20 };
        limits[Resource::Stack as usize] = Rlimit { cur: 8 << 20, max: 64 << 20 };
        limits[Resource::Nproc as usize] = Rlimit { cur: CHILD_MAX, max: INFINITY };
        limits[Resource::Nofile as usize] = Rlimit { cur: OPEN_MAX, max: INFINITY };
        limits[Resource::Rss as usize].cur = FREE_MEMORY / 2;
        limits[Resource::Memlock as usize] = Rlimit { cur: FREE_MEMORY / 3, max: FREE_MEMORY };
        Self(Rc::new(limits))
    }
}
