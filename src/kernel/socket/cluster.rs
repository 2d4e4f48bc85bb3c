//! Clusters: the storage of long mbufs, shared between copies of a packet and kept on a free list.
//!
//! A cluster that was used before still holds the old bytes: an mbuf shows as many as were put into it, so
//! that nobody sees them, and nobody pays for making them zero.  A cluster goes back to the list with its last
//! user; one who writes into a shared one gets a copy of his own.
//!
//! This file does not know mbufs.
//!
//! 2.1 counterpart: MCLALLOC and MCLFREE of sys/mbuf.h, `mclfree`, `mclrefcnt`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::mbuf::MCLBYTES;

/// Free clusters that are kept; what is more goes back to the host.
const KEPT: usize = 64;

type Storage = Rc<[u8; MCLBYTES]>;

thread_local! {
    static FREE: RefCell<Vec<Storage>> = const { RefCell::new(Vec::new()) };
}

/// A reference to a cluster.
#[derive(Clone)]
pub(super) struct Cluster(Storage);

impl Cluster {
    /// A cluster, its bytes being whatever they are.
    pub(super) fn get() -> Self {
        let kept = FREE.with_borrow_mut(Vec::pop);
        Self(kept.unwrap_or_else(|| Rc::new([0; MCLBYTES])))
    }

    /// Lets go of a cluster, for the next one who wants one.
    pub(super) fn free(mut self) {
        if Rc::get_mut(&mut self.0).is_none() {
            return;
        }
        // While the thread ends there is no list any more.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(self.0);
            }
        });
    }

    /// Its bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Its bytes, to change them.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        Rc::make_mut(&mut self.0).as_mut_slice()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_used_again() {
        let mut cluster = Cluster::get();
        cluster.bytes_mut()[7] = 42;
        let place = cluster.bytes().as_ptr();
        cluster.free();
        let again = Cluster::get();
        assert_eq!(again.bytes().as_ptr(), place);
        assert_eq!((again.bytes().len(), again.bytes()[7]), (MCLBYTES, 42));
    }

    #[test]
    fn a_shared_cluster_is_copied_by_the_first_who_writes() {
        let mut cluster = Cluster::get();
        let shared = cluster.clone();
        assert_eq!(cluster.bytes().as_ptr(), shared.bytes().as_ptr());
        cluster.bytes_mut()[0] = shared.bytes()[0].wrapping_add(1);
        assert_ne!(cluster.bytes()[0], shared.bytes()[0]);
    }
}
