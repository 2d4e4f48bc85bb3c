//! What the kernel counts for those who look at the system as a whole.
//!
//! 2.1 counterpart: `cnt` (sys/vmmeter.h) and `cp_time` (sys/dkstat.h).

/// Counts since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Nanoseconds of the processor in programs, in programs with a nice value above 0, and in the kernel; the
    /// rest of the time it was idle.
    pub user: u64,
    /// See [`user`](Self::user).
    pub nice: u64,
    /// See [`user`](Self::user).
    pub system: u64,
    /// Processes that got the processor.
    pub switches: u32,
    /// Traps that were not calls.
    pub traps: u32,
    /// Calls.
    pub calls: u32,
    /// Transfers of the disk: blocks of files that were read and written.
    pub transfers: u64,
    /// New processes.
    pub forks: u32,
}
