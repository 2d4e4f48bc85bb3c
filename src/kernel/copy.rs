//! A copy of the kernel with all that lives in it: a call that sleeps is data, and so is everything else.
//!
//! What is immutable, and descriptors of the host that are read at offsets of our own, both have in common.  What
//! leads to somebody outside cannot be copied, and is named.  Must not know who wants a copy.
//!
//! 2.1 counterpart: none.

use std::io;

use super::{Kernel, shared};
use crate::host::stdio::Stream;
use crate::mem::{self, PAGE_SIZE, Twins};

impl Kernel {
    /// What keeps the kernel from being copied, in words.
    pub fn uncopyable(&self) -> Option<&'static str> {
        if self.ttys.lines().any(|line| !line.is_gone()) {
            return Some("a terminal of the host");
        }
        if self.lent.is_connected() {
            return Some("a connection to a socket of the host");
        }
        self.inet.has_host_sockets().then_some("a connection of --net host")
    }

    /// A copy.  Nobody listens to it, and its memory counts for nobody until [`count_memory`](Self::count_memory).
    ///
    /// # Errors
    ///
    /// The host's, about memory.
    pub fn twin(&mut self) -> io::Result<Self> {
        let mut twin = shared::together(|| self.clone());
        let mut twins = Twins::default();
        for &id in &twin.procs.ids().to_vec() {
            let (proc, copy) = (&mut self.procs[id], &mut twin.procs[id]);
            copy.vm.space = proc.vm.space.twin(&mut twins)?;
        }
        twin.ipc.shm.each_memory(|memory| {
            *memory = twins.of_memory(memory)?;
            Ok(())
        })?;
        twin.watch();
        Ok(twin)
    }

    /// Counts the memory of all processes among the thread's, or no longer.
    pub fn count_memory(&mut self, counts: bool) {
        for id in self.procs.ids().to_vec() {
            self.procs[id].vm.space.count(counts);
        }
        let _ = self.ipc.shm.each_memory(|memory| {
            memory.count(counts);
            Ok(())
        });
    }

    /// Bytes of guest memory that no copy of the kernel shares, about.
    pub fn memory_apart(&self) -> u64 {
        self.procs.iter().map(|(_, proc)| proc.vm.space.pages_apart() * u64::from(PAGE_SIZE)).sum()
    }

    /// Takes account of memory that others of this thread have: it is none of this machine's.
    pub fn settle_memory(&mut self) {
        let own: u64 = self.procs.iter().map(|(_, proc)| proc.vm.space.own_pages()).sum();
        self.allowance.set_foreign(mem::budget::own_pages().saturating_sub(own));
        self.account_closely();
    }

    /// Puts another stream in the place of each.
    ///
    /// # Errors
    ///
    /// Those of `change`.
    pub fn change_streams<E>(&mut self, change: impl FnMut(&mut Stream) -> Result<(), E>) -> Result<(), E> {
        self.vfs.streams_mut().try_for_each(change)
    }
}
