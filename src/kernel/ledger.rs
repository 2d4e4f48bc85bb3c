//! The ledger: what guests asked for and did not get, or got in part, with who asked first and why not.
//!
//! The kernel only counts; whoever runs the machine reports.
//!
//! No 2.1 counterpart: 2.1 serves what it has.

use std::collections::BTreeMap;
use std::fmt;

use super::Kernel;
use super::proc::ProcId;

/// One thing that was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How often it was asked for.
    pub count: u64,
    /// Number of the process that asked first.
    pub pid: i32,
    /// Its command name.
    pub comm: Vec<u8>,
}

/// What was not served, by its name and the reason.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<(&'static str, &'static str), Entry>);

impl Ledger {
    /// Everything, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, &Entry)> {
        self.0.iter().map(|((name, reason), entry)| (*name, *reason, entry))
    }

    /// Whether everything was served.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Ledger {
    /// One line: `ntp_adjtime (clock discipline belongs to the host) 2 times, first by xntpd[12]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, reason, entry)) in self.iter().enumerate() {
            let comm = String::from_utf8_lossy(&entry.comm);
            let s = if entry.count == 1 { "" } else { "s" };
            let separator = if i > 0 { "; " } else { "" };
            let Entry { count, pid, .. } = entry;
            write!(f, "{separator}{name} ({reason}) {count} time{s}, first by {comm}[{pid}]")?;
        }
        Ok(())
    }
}

impl Kernel {
    /// Counts something that process `id` asked for and that is not served, or only in part.
    #[cold]
    pub fn unserved(&mut self, id: ProcId, name: &'static str, reason: &'static str) {
        let (pid, comm) = match self.procs.get(id) {
            Some(proc) => (proc.pid, proc.comm.clone()),
            None => (0, Vec::new()),
        };
        self.ledger.0.entry((name, reason)).or_insert(Entry { count: 0, pid, comm }).count += 1;
    }
}
