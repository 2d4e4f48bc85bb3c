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

use rustix::fs::{MemfdFlags, OFlags, SeekFrom, fcntl_getfl, fstat, ftruncate, memfd_create, seek};
use rustix::io::{pread, pwrite};

/// Identity of a mapped file: host device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
}

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;

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
    /// They are among those of the thread.
    counts: Cell<bool>,
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
        let object =
            Rc::new(Self { fd, id, sharing, anonymous: false, writable, len: 0, counts: Cell::new(false) });
        OBJECTS.with_borrow_mut(|objects| objects.entry(id).or_default().push(Rc::downgrade(&object)));
        Ok(object)
    }

    /// New shared memory of `len` bytes.
    pub(super) fn of_memory(len: u32) -> io::Result<Rc<Self>> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let id = FileId { dev: u64::MAX, ino: SERIAL.fetch_add(1, Ordering::Relaxed) };
        let object = Self::zeros(id, len)?;
        object.count(true);
        Ok(object)
    }

    /// Memory that counts for nobody.
    fn zeros(id: FileId, len: u32) -> io::Result<Rc<Self>> {
        let fd = memfd_create("bsd21", MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, u64::from(len))?;
        let (sharing, counts) = (Sharing::Shared, Cell::new(false));
        Ok(Rc::new(Self { fd, id, sharing, anonymous: true, writable: true, len, counts }))
    }

    /// Counts shared memory among the thread's, or no longer.
    pub(super) fn count(self: &Rc<Self>, counts: bool) {
        if self.len == 0 || self.counts.replace(counts) == counts {
            return;
        }
        if !counts {
            MOST_SHARED.set(MOST_SHARED.get().saturating_sub(self.len.into()));
            let other = |object: &Weak<Self>| object.as_ptr() != Rc::as_ptr(self);
            return SHARED.with_borrow_mut(|objects| objects.retain(other));
        }
        MOST_SHARED.set(MOST_SHARED.get() + u64::from(self.len));
        SHARED.with_borrow_mut(|objects| {
            if objects.len().is_power_of_two() {
                objects.retain(|object| object.strong_count() > 0);
            }
            objects.push(Rc::downgrade(self));
        });
    }
}

/// Copies of shared memory that belong together: what several spaces share, their copies share.
#[derive(Debug, Default)]
pub struct Twins(HashMap<*const Object, Rc<Object>>);

impl Twins {
    /// The copy of an object.  Files are the host's: of them there is one.
    pub(super) fn of(&mut self, object: &Rc<Object>) -> io::Result<Rc<Object>> {
        if !object.anonymous {
            return Ok(Rc::clone(object));
        }
        // The original lives as long as what is being copied, and with it its address.
        if let Some(twin) = self.0.get(&Rc::as_ptr(object)) {
            return Ok(Rc::clone(twin));
        }
        let twin = Object::zeros(object.id, object.len)?;
        let mut done = 0;
        let mut piece = vec![0; PIECE];
        while done < u64::from(object.len) {
            // What was never written stays a hole.
            let Ok(from) = seek(&object.fd, SeekFrom::Data(done)) else { break };
            let end = seek(&object.fd, SeekFrom::Hole(from))?;
            done = from;
            while done < end {
                let most = PIECE.min(usize::try_from(end - done).unwrap_or(PIECE));
                let got = pread(&object.fd, &mut piece[..most], done)?;
                let put = pwrite(&twin.fd, &piece[..got], done)?;
                if put == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                done += put as u64;
            }
        }
        self.0.insert(Rc::as_ptr(object), Rc::clone(&twin));
        Ok(twin)
    }

    /// The copy of shared memory.
    pub fn of_memory(&mut self, memory: &SharedMemory) -> io::Result<SharedMemory> {
        self.of(&memory.0).map(SharedMemory)
    }
}

impl SharedMemory {
    /// Counts it among the thread's, or no longer.
    pub fn count(&self, counts: bool) {
        self.0.count(counts);
    }
}

/// Whether stores of some space of this thread change a file of the host.
pub fn files_are_stored_to() -> bool {
    let stored = |object: Rc<Object>| object.sharing == Sharing::Shared && object.writable;
    OBJECTS.with_borrow(|objects| objects.values().flatten().filter_map(Weak::upgrade).any(stored))
}

impl Drop for Object {
    fn drop(&mut self) {
        // While the thread ends the lists are gone already.
        if self.len > 0 {
            if !self.counts.get() {
                return;
            }
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
