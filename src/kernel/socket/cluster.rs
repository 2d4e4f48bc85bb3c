//! Clusters: the storage of long mbufs, kept on a free list.
//!
//! A cluster that was used before still holds the old bytes: an mbuf shows as many as were put into it, so
//! that nobody sees them, and nobody pays for making them zero.
//!
//! This file does not know mbufs.
//!
//! 2.1 counterpart: MCLALLOC and MCLFREE of sys/mbuf.h, `mclfree`.

use std::cell::RefCell;
use std::fmt;

use super::mbuf::MCLBYTES;

/// Free clusters that are kept; what is more goes back to the host.
const KEPT: usize = 64;

type Storage = Box<[u8; MCLBYTES]>;

thread_local! {
    static FREE: RefCell<Vec<Storage>> = const { RefCell::new(Vec::new()) };
}

/// A cluster.
pub(super) struct Cluster(Storage);

impl Cluster {
    /// A cluster, its bytes being whatever they are.
    pub(super) fn get() -> Self {
        let kept = FREE.with_borrow_mut(Vec::pop);
        Self(kept.unwrap_or_else(|| Box::new([0; MCLBYTES])))
    }

    /// Lets go of a cluster, for the next one who wants one.
    pub(super) fn free(self) {
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
        self.0.as_mut_slice()
    }
}

impl Clone for Cluster {
    fn clone(&self) -> Self {
        let mut copy = Self::get();
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
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
        assert_eq!((again.bytes().len(), again.clone().bytes()[7]), (MCLBYTES, 42));
    }
}
