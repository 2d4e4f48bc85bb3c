//! Adjustments that semaphores get when a process ends (SEM_UNDO).
//!
//! 2.1 counterpart: kern/sysv_sem.c (semu_alloc, semundo_adjust, semundo_clear, semexit).

use syscalls::errno::Errno;

use super::sem;
use crate::kernel::Context;
use crate::kernel::proc::ProcId;

/// Processes that can have adjustments at one time (SEMMNU).
pub(super) const SEMMNU: usize = 30;
/// Semaphores that a process can have adjustments of (SEMUME).
pub(super) const SEMUME: usize = 10;

/// The adjustment of one semaphore (`struct undo`).
#[derive(Clone, Copy, Debug)]
struct Entry {
    adjust: i16,
    number: u16,
    set: usize,
}

/// The adjustments of a process (`struct sem_undo`).
#[derive(Clone, Debug)]
struct OfProcess {
    owner: ProcId,
    entries: Vec<Entry>,
}

/// All adjustments (`semu_list`).
#[derive(Clone, Debug, Default)]
pub(in crate::kernel) struct Undo(Vec<OfProcess>);

impl Undo {
    /// Adds to the adjustment of a semaphore; one that comes to nothing is forgotten.  ENOSPC where too
    /// many processes have some, EINVAL where this one has too many.
    pub(super) fn adjust(&mut self, owner: ProcId, set: usize, number: u16, by: i16) -> Result<(), Errno> {
        let Some(place) = self.place(owner) else { return Err(Errno::ENOSPC) };
        let Some(of_process) = self.0.get_mut(place) else { return Err(Errno::ENOSPC) };
        let entries = &mut of_process.entries;
        match entries.iter_mut().position(|entry| entry.set == set && entry.number == number) {
            Some(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    entry.adjust = entry.adjust.wrapping_add(by);
                    if entry.adjust == 0 {
                        entries.swap_remove(at);
                    }
                }
                Ok(())
            }
            None if entries.len() == SEMUME => Err(Errno::EINVAL),
            None => {
                entries.push(Entry { adjust: by, number, set });
                Ok(())
            }
        }
    }

    /// Where the adjustments of a process are; room is made by dropping processes that have none left.
    fn place(&mut self, owner: ProcId) -> Option<usize> {
        let found = self.0.iter().position(|of_process| of_process.owner == owner);
        if found.is_some() {
            return found;
        }
        if self.0.len() == SEMMNU {
            self.0.retain(|of_process| !of_process.entries.is_empty());
        }
        if self.0.len() == SEMMNU {
            return None;
        }
        self.0.push(OfProcess { owner, entries: Vec::new() });
        Some(self.0.len() - 1)
    }

    /// Forgets what all processes would do to a set, or to one of its semaphores.
    pub(super) fn forget(&mut self, set: usize, number: Option<u16>) {
        let gone = |entry: &Entry| entry.set == set && number.is_none_or(|number| number == entry.number);
        self.0.iter_mut().for_each(|of_process| of_process.entries.retain(|entry| !gone(entry)));
    }

    fn take(&mut self, owner: ProcId) -> Vec<Entry> {
        match self.0.iter().position(|of_process| of_process.owner == owner) {
            Some(at) => self.0.remove(at).entries,
            None => Vec::new(),
        }
    }
}

/// Makes the adjustments of a process that ends; no semaphore goes below zero.
pub(super) fn exit(cx: &mut Context<'_>) {
    for Entry { adjust, number, set } in cx.kernel.ipc.sem.undo.take(cx.id) {
        if let Some(semaphore) = cx.kernel.ipc.sem.semaphore_mut(set, number) {
            semaphore.value = match adjust {
                ..0 => semaphore.value.saturating_sub(adjust.unsigned_abs()),
                0.. => semaphore.value.wrapping_add(adjust.unsigned_abs()),
            };
        }
        cx.kernel.wakeup(sem::channel(set));
    }
}
