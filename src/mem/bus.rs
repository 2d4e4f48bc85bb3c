//! The SIGBUS handler for files that somebody outside truncated under a mapping.
//!
//! Mappings reach only to the end of a file, and a truncation by the guest goes through
//! [`truncate_file`](super::AddressSpace::truncate_file); a truncation by another program leaves
//! pages that the host answers with SIGBUS.  The handler puts a page of zeros there, marks it as
//! beyond the end of the file and records the address, so that the access completes, whoever
//! checks [`take_bus_fault`](super::AddressSpace::take_bus_fault) next delivers the fault, and the
//! accesses after it fault precisely.  Hits outside our reservations go to the previous handler.
#![allow(unsafe_code)] // a signal handler: each block carries its proof

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use rustix::mm::{self, MapFlags, ProtFlags};

use super::guarded;
use super::page::{EOF, HELD, MAY_ALL, PAGE_SHIFT, READ, STORE, WRITTEN};
use super::reservation::{HEADER, Header, RIGHTS, TABLE};

/// A reservation that the handler knows.  Nodes are never freed, only used again: the handler may
/// walk the list at any moment.
pub(super) struct Node {
    base: AtomicUsize,
    next: AtomicPtr<Node>,
}

static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

/// Makes a reservation known, and installs the handler the first time.
pub(super) fn register(base: usize) -> &'static Node {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
    for node in nodes() {
        if node.base.compare_exchange(0, base, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return node;
        }
    }
    let node: &'static Node =
        Box::leak(Box::new(Node { base: AtomicUsize::new(base), next: AtomicPtr::new(ptr::null_mut()) }));
    let mut head = NODES.load(Ordering::Acquire);
    loop {
        node.next.store(head, Ordering::Relaxed);
        match NODES.compare_exchange(
            head,
            ptr::from_ref(node).cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => return node,
            Err(now) => head = now,
        }
    }
}

/// Makes a reservation unknown; call it before the memory goes.
pub(super) fn unregister(node: &Node) {
    node.base.store(0, Ordering::Release);
}

fn nodes() -> impl Iterator<Item = &'static Node> {
    let mut next = NODES.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: the pointers in the list come from leaked boxes, or are null.
        let node = unsafe { next.as_ref() }?;
        next = node.next.load(Ordering::Acquire);
        Some(node)
    })
}

static mut PREVIOUS: MaybeUninit<libc::sigaction> = MaybeUninit::zeroed();

fn install() {
    // SAFETY: all zeros is a valid sigaction (SIG_DFL, empty mask); the handler has the signature
    // that SA_SIGINFO asks for; PREVIOUS is written here only, once, before any reservation
    // that could raise the signal is known.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, (&raw mut PREVIOUS).cast());
    }
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler; for SIGBUS it has si_addr.
    let at = unsafe { (*info).si_addr() } as usize;
    for node in nodes() {
        let base = node.base.load(Ordering::Acquire);
        let Some(addr) = at.checked_sub(base).and_then(|offset| u32::try_from(offset).ok()) else { continue };
        if base != 0 && absorb(base, addr) {
            return;
        }
    }
    // SAFETY: PREVIOUS was filled by `install`.
    unsafe { guarded::chain((&raw const PREVIOUS).cast(), signal, info, context) };
}

/// Puts zeros under guest address `addr` of the reservation at `base`.  Only system calls and
/// atomic stores: it runs inside a signal handler.
fn absorb(base: usize, addr: u32) -> bool {
    let host_page = rustix::param::page_size();
    let page = (addr as usize) & !(host_page - 1);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    let start = ptr::with_exposed_provenance_mut((base) + page);
    // SAFETY: a page inside a live reservation (it is unregistered before it is unmapped, by the
    // thread that could be interrupted here), into which nobody holds references.
    let put = unsafe { mm::mmap_anonymous(start, host_page, ProtFlags::READ | ProtFlags::WRITE, flags) };
    if put.is_err() {
        return false;
    }
    // SAFETY: header and table of the same reservation, reached as atomics only.
    unsafe {
        let entry = ptr::with_exposed_provenance::<AtomicU8>(base - TABLE + (addr >> PAGE_SHIFT) as usize);
        let byte = (*entry).load(Ordering::Relaxed);
        (*entry).store(byte & !(READ | STORE) | EOF | HELD | WRITTEN, Ordering::Relaxed);
        let rights = ptr::with_exposed_provenance::<AtomicU8>(base - RIGHTS + (addr >> PAGE_SHIFT) as usize);
        (*rights).store(MAY_ALL, Ordering::Relaxed);
        let header = ptr::with_exposed_provenance::<Header>(base - HEADER);
        let fault: &AtomicU64 = &(*header).bus_fault;
        fault.store(u64::from(addr) + 1, Ordering::Relaxed);
    }
    true
}
