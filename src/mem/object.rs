//! What lies below shared and file mappings: a host descriptor with an identity.
//!
//! All mappings of one file of one kind in this thread share one object, so that a machine with many
//! processes needs one descriptor for each mapped file, and [`is_mapped`] answers at once.
//!
//! 2.1 counterpart: the pager of a `vm_object` (vm/vnode_pager.c).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fstat, ftruncate, memfd_create};

/// Identity of a mapped file: host device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
}

/// What a store into a file mapping means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The process gets its own copy of the page.
    Private,
    /// The file changes.
    Shared,
}

/// Memory that began as zeros and that address spaces share; it lives as long as one of its handles or
/// mappings.
#[derive(Clone, Debug)]
pub struct SharedMemory(pub(super) Rc<Object>);

impl SharedMemory {
    /// New memory of `len` bytes.
    pub fn new(len: u32) -> io::Result<Self> {
        Object::of_memory(len).map(Self)
    }
}

/// A mapped file or shared memory.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) fd: OwnedFd,
    pub(super) id: FileId,
    pub(super) sharing: Sharing,
    /// Shared memory without a name.
    pub(super) anonymous: bool,
    /// The host's descriptor is open for writing.
    pub(super) writable: bool,
    /// Bytes of shared memory without a name.
    len: u32,
}

thread_local! {
    static OBJECTS: RefCell<HashMap<FileId, Vec<Weak<Object>>>> = RefCell::default();
}

/// Whether any address space of this thread maps a file.
pub fn is_mapped(id: FileId) -> bool {
    OBJECTS.with_borrow(|objects| objects.contains_key(&id))
}

/// Lets nobody find what lay below mappings of a file so far: its bytes are elsewhere from now on.
pub fn forget_mapped(id: FileId) {
    OBJECTS.with_borrow_mut(|objects| objects.remove(&id));
}

/// Whether any address space of this thread maps a file so that stores change it.
pub(super) fn is_shared(id: FileId) -> bool {
    let shared = |object: Rc<Object>| object.sharing == Sharing::Shared;
    OBJECTS.with_borrow(|objects| {
        objects.get(&id).is_some_and(|all| all.iter().filter_map(Weak::upgrade).any(shared))
    })
}

thread_local! {
    /// Shared memory, as far as it lives.
    static SHARED: RefCell<Vec<Weak<Object>>> = RefCell::default();
    /// What it may take in all.
    static MOST_SHARED: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that shared memory of this thread may take of the host at most.
#[inline]
pub fn most_shared_bytes() -> u64 {
    MOST_SHARED.get()
}

/// Bytes that shared memory of this thread takes of the host, each page once; looked at closely only where it could
/// be more than `much`.
pub fn shared_bytes(much: u64) -> u64 {
    let most = MOST_SHARED.get();
    if most <= much {
        return most;
    }
    SHARED.with_borrow_mut(|objects| {
        objects.retain(|object| object.strong_count() > 0);
        let bytes =
            |object: Rc<Object>| fstat(&object.fd).map_or(0, |stat| stat.st_blocks.unsigned_abs() * 512);
        objects.iter().filter_map(Weak::upgrade).map(bytes).sum()
    })
}

impl Object {
    /// The object of a file.
    pub(super) fn of_file(file: BorrowedFd<'_>, id: FileId, sharing: Sharing) -> io::Result<Rc<Self>> {
        let writable = fcntl_getfl(file)? & OFlags::RWMODE == OFlags::RDWR;
        let known = OBJECTS.with_borrow(|objects| {
            let same = |object: &Rc<Self>| object.sharing == sharing && object.writable == writable;
            objects.get(&id)?.iter().filter_map(Weak::upgrade).find(same)
        });
        if let Some(object) = known {
            return Ok(object);
        }
        let fd = file.try_clone_to_owned()?;
        let object = Rc::new(Self { fd, id, sharing, anonymous: false, writable, len: 0 });
        OBJECTS.with_borrow_mut(|objects| objects.entry(id).or_default().push(Rc::downgrade(&object)));
        Ok(object)
    }

    /// New shared memory of `len` bytes.
    pub(super) fn of_memory(len: u32) -> io::Result<Rc<Self>> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let fd = memfd_create("bsd21", MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, u64::from(len))?;
        let id = FileId { dev: u64::MAX, ino: SERIAL.fetch_add(1, Ordering::Relaxed) };
        let object = Rc::new(Self { fd, id, sharing: Sharing::Shared, anonymous: true, writable: true, len });
        MOST_SHARED.set(MOST_SHARED.get() + u64::from(len));
        SHARED.with_borrow_mut(|objects| {
            if objects.len().is_power_of_two() {
                objects.retain(|object| object.strong_count() > 0);
            }
            objects.push(Rc::downgrade(&object));
        });
        Ok(object)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // While the thread ends the lists are gone already.
        if self.len > 0 {
            let _ = MOST_SHARED.try_with(|most| most.set(most.get().saturating_sub(self.len.into())));
            return;
        }
        let _ = OBJECTS.try_with(|objects| {
            let mut objects = objects.borrow_mut();
            if let Some(of_file) = objects.get_mut(&self.id) {
                of_file.retain(|object| object.strong_count() > 0);
                if of_file.is_empty() {
                    objects.remove(&self.id);
                }
            }
        });
    }
}
