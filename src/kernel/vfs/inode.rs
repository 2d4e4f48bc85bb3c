//! Inodes: what there is once for each file, however many mounts show it.
//!
//! A [`Vnode`](super::vnode::Vnode) is a file as one mount shows it: with that mount's rules and, of a
//! directory, its own `..`.  Two mounts of one directory of the host show the same files, so that their vnodes
//! share one inode: locks, the ends of a fifo, a bound socket, descriptors for the content, the attributes that
//! the host cannot keep.
//!
//! Must not know names or mounts.  2.1 counterpart: ufs/ufs/inode.h, and of sys/vnode.h what belongs to the file
//! (v_writecount, v_socket, v_fifoinfo).

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::attr::{ATTRIBUTE, Extra};
use super::fifo::Fifo;
use super::hold::Hold;
use super::lock::LockList;
use crate::host::clock;
use crate::host::fs::{HostStat, HostTime};
use crate::host::lock::{Holder, Mode};
use crate::host::memory;
use crate::kernel::shared::Shared;
use crate::kernel::socket::SocketId;

/// How long what was read of the attributes is taken for true, in nanoseconds, whatever else changes the file.
/// The host's clock for files beats at least every 10 ms: two changes so close may carry the same time.
const BEAT_NS: u64 = 20_000_000;

/// The state of one file.
#[derive(Clone, Debug, Default)]
pub struct Inode {
    /// What the host refused to keep, or must not be told.
    pub extra: Cell<Extra>,
    /// When the file was last changed before `extra` was read, if that tells later changes apart.
    seen: Cell<Option<HostTime>>,
    /// When `extra` was read, on the host's clock that never goes back; 0 for never.
    read: Cell<u64>,
    /// A descriptor for the content, made when first needed and kept while somebody uses the file.
    pub reading: RefCell<Option<Rc<OwnedFd>>>,
    /// The same, for reading and writing.
    pub writing: RefCell<Option<Rc<OwnedFd>>>,
    /// Vnodes with references.
    users: Cell<u32>,
    /// Opens for writing.
    pub writecount: Cell<u32>,
    /// Advisory locks.
    pub locks: RefCell<LockList>,
    /// What carries them on the host.
    pub outside: RefCell<Option<Outside>>,
    /// The state of a fifo that is open.
    pub fifo: Cell<Option<Fifo>>,
    /// The socket bound to it.
    pub socket: Cell<Option<SocketId>>,
    /// The text of a symbolic link that exists in memory only.
    pub text: RefCell<Option<Rc<[u8]>>>,
    /// The content of a regular file that exists in memory only.
    pub memory: RefCell<Option<Rc<OwnedFd>>>,
}

/// What the host is told of a file's locks.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The description that holds them.
    pub holder: Rc<Holder>,
    /// How the whole file is locked in the manner of flock.
    pub whole: Mode,
}

impl Inode {
    /// An inode for a file with these attributes.
    pub fn new(extra: Extra) -> Shared<Inode> {
        Shared::new(Inode { extra: Cell::new(extra), ..Inode::default() })
    }

    /// A vnode of this file is referenced for the first time.
    pub fn acquire(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// A vnode of this file has no references any more.
    pub fn release(&self) {
        self.users.set(self.users.get().saturating_sub(1));
        if self.users.get() == 0 {
            // Content descriptors are for open files only.
            *self.reading.borrow_mut() = None;
            *self.writing.borrow_mut() = None;
        }
    }

    /// The size of what exists in memory only.
    pub fn size_in_memory(&self) -> u64 {
        let text = self.text.borrow().as_ref().map(|text| text.len() as u64);
        let content = || self.memory.borrow().as_ref().and_then(|file| memory::length(file).ok());
        text.or_else(content).unwrap_or(0)
    }

    /// Whether any vnode of this file is referenced.
    pub fn is_used(&self) -> bool {
        self.users.get() > 0
    }

    /// Changes what the host does not keep, in memory only.
    pub fn update(&self, change: impl FnOnce(&mut Extra)) {
        let mut extra = self.extra.get();
        change(&mut extra);
        self.extra.set(extra);
    }

    /// Reads the attributes again that the host keeps for us, if the file was changed since: another run may
    /// have set them.
    pub fn refresh(&self, place: &Hold, stat: &HostStat) {
        if self.seen.get() == Some(stat.ctime) || !place.has_attributes(stat.kind) {
            return;
        }
        let now = clock::monotonic();
        let read = self.read.get();
        if read != 0 && now.saturating_sub(read) < BEAT_NS {
            return;
        }
        self.read_again(place);
        let seconds = u128::from(stat.ctime.sec.unsigned_abs());
        let changed = seconds * 1_000_000_000 + u128::from(stat.ctime.nsec.unsigned_abs());
        let settled = changed + u128::from(BEAT_NS) < u128::from(clock::realtime());
        self.seen.set(settled.then_some(stat.ctime));
    }

    /// Reads the attributes that the host keeps for us; where they cannot be read there are none.
    pub fn read_again(&self, place: &Hold) {
        let text = place.attribute(ATTRIBUTE).unwrap_or(None);
        self.extra.set(text.map(|text| Extra::parse(&text)).unwrap_or_default());
        self.read.set(clock::monotonic());
    }
}
