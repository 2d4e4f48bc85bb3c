//! Faults of code that expects them: the handler of SIGSEGV and SIGFPE.
//!
//! Translated code touches guest memory without a look at the page bytes and leaves x87 exceptions to the unit of
//! the host; what the host refuses arrives here.  The handler acts only where the interrupted instruction lies in code
//! that was made known ([`Known`]), while this thread says that it runs such code ([`guarded`]); everything else goes
//! to the handler that was there before, Rust's own for overflowing stacks, or ends the process as it would have.
//! It neither allocates nor waits for anything, and until it has found the code among the known it touches nothing
//! of the thread: what was interrupted may be anybody's, with segment registers of its own.
//!
//! Knows nothing of what the code is.  2.1 counterpart: `pcb_onfault` (i386/i386/trap.c).
#![allow(unsafe_code)] // a signal handler: each block carries its proof

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

/// Decides what becomes of an interrupted instruction; false: it is none that was expected to fault.
type Catch<'a> = &'a dyn Fn(&mut Interrupted) -> bool;

/// Code that this thread runs, and who looks after its faults.
struct Guarded<'a> {
    code: Range<u64>,
    catch: Catch<'a>,
}

thread_local! {
    static INSIDE: Cell<*const Guarded<'static>> = const { Cell::new(ptr::null()) };
}

/// Registers of the host that a catcher may look at and change.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum HostRegister {
    Rip,
    Rcx,
    Rsp,
    Rsi,
    Rdi,
    R8,
    R11,
    R12,
    R14,
    R15,
    Flags,
}

/// Where code was interrupted.
pub struct Interrupted {
    context: *mut c_void,
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Interrupted {
    fn place(&self, register: HostRegister) -> *mut i64 {
        let index = match register {
            HostRegister::Rip => libc::REG_RIP,
            HostRegister::Rcx => libc::REG_RCX,
            HostRegister::Rsp => libc::REG_RSP,
            HostRegister::Rsi => libc::REG_RSI,
            HostRegister::Rdi => libc::REG_RDI,
            HostRegister::R8 => libc::REG_R8,
            HostRegister::R11 => libc::REG_R11,
            HostRegister::R12 => libc::REG_R12,
            HostRegister::R14 => libc::REG_R14,
            HostRegister::R15 => libc::REG_R15,
            HostRegister::Flags => libc::REG_EFL,
        };
        // SAFETY: the kernel passes a valid context to a SA_SIGINFO handler, which outlives this value; the
        // index is one of its general registers.
        unsafe { &raw mut (*self.context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[index as usize] }
    }

    /// A register.
    pub fn get(&self, register: HostRegister) -> u64 {
        // SAFETY: see `place`.
        unsafe { *self.place(register) as u64 }
    }

    /// The word on top of the stack: where a routine that was called returns to.
    pub fn stack_top(&self) -> u64 {
        // SAFETY: the stack of this thread, which the interrupted code runs on.
        unsafe { *(self.get(HostRegister::Rsp) as *const u64) }
    }

    /// Changes a register, with which the code goes on.
    pub fn set(&mut self, register: HostRegister, value: u64) {
        // SAFETY: see `place`.
        unsafe { *self.place(register) = value as i64 }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
impl Interrupted {
    /// A register.
    pub fn get(&self, _: HostRegister) -> u64 {
        0
    }

    /// The word on top of the stack: where a routine that was called returns to.
    pub fn stack_top(&self) -> u64 {
        0
    }

    /// Changes a register, with which the code goes on.
    pub fn set(&mut self, _: HostRegister, _: u64) {}
}

/// Runs something whose instructions in `code`, which is [`Known`], may fault; `catch` is then asked, inside a
/// signal handler.
#[inline(always)]
pub fn guarded<R>(code: Range<u64>, catch: Catch<'_>, run: impl FnOnce() -> R) -> R {
    let guarded = Guarded { code, catch };
    INSIDE.set(ptr::from_ref(&guarded).cast());
    let result = run();
    INSIDE.set(ptr::null());
    result
}

/// Code that may fault, as the handler knows it.  Nodes are never freed, only used again: the handler may walk the
/// list at any moment.
#[derive(Debug)]
struct Node {
    taken: AtomicBool,
    /// Zero: no code.
    low: AtomicU64,
    high: AtomicU64,
    table: AtomicU64,
    next: AtomicPtr<Node>,
}

static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

fn nodes() -> impl Iterator<Item = &'static Node> {
    let mut next = NODES.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: the pointers in the list come from leaked boxes, or are null.
        let node = unsafe { next.as_ref() }?;
        next = node.next.load(Ordering::Acquire);
        Some(node)
    })
}

/// Says that faults of some code are looked after, as long as it lives.
#[derive(Debug)]
pub struct Known(&'static Node);

impl Known {
    /// Makes code known, and installs the handler the first time; do so before the code is [`guarded`].  `table` is
    /// what the code has in R15 where it jumps by a table, whose entries may be zero.
    pub fn new(code: Range<u64>, table: u64) -> Self {
        install();
        let claim = |node: &&Node| {
            node.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let node = nodes().find(claim).unwrap_or_else(append);
        node.high.store(code.end, Ordering::Relaxed);
        node.table.store(table, Ordering::Relaxed);
        node.low.store(code.start, Ordering::Release);
        Self(node)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.0.low.store(0, Ordering::Relaxed);
        self.0.taken.store(false, Ordering::Release);
    }
}

/// A node at the head of the list, taken.
fn append() -> &'static Node {
    let node: &'static Node = Box::leak(Box::new(Node {
        taken: AtomicBool::new(true),
        low: AtomicU64::new(0),
        high: AtomicU64::new(0),
        table: AtomicU64::new(0),
        next: AtomicPtr::new(ptr::null_mut()),
    }));
    let mut head = NODES.load(Ordering::Acquire);
    loop {
        node.next.store(head, Ordering::Relaxed);
        let new = ptr::from_ref(node).cast_mut();
        match NODES.compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return node,
            Err(now) => head = now,
        }
    }
}

/// Whether known code was interrupted, or has just jumped to nowhere by its table.
fn is_known(interrupted: &Interrupted) -> bool {
    let (at, r15) = (interrupted.get(HostRegister::Rip), interrupted.get(HostRegister::R15));
    nodes().any(|node| {
        let low = node.low.load(Ordering::Acquire);
        let inside = (low..node.high.load(Ordering::Relaxed)).contains(&at);
        low != 0 && (inside || at == 0 && r15 == node.table.load(Ordering::Relaxed))
    })
}

static mut PREVIOUS: [MaybeUninit<libc::sigaction>; 2] = [const { MaybeUninit::zeroed() }; 2];
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGFPE];

/// Makes sure that the handler is there.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for (i, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: all zeros is a valid sigaction; the handler has the signature that SA_SIGINFO asks for;
            // PREVIOUS is written here only, once, before any code is guarded.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as libc::sighandler_t;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut action.sa_mask);
                let previous = (&raw mut PREVIOUS).cast::<libc::sigaction>().add(i);
                libc::sigaction(signal, &raw const action, previous);
            }
        }
    });
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let mut interrupted = Interrupted { context };
    if is_known(&interrupted) {
        // SAFETY: set by `guarded`, which is still on this thread's stack: it takes the pointer away before it
        // returns.
        if let Some(guarded) = unsafe { INSIDE.get().as_ref() } {
            let at = interrupted.get(HostRegister::Rip);
            // A jump to nowhere has left the code.
            if (at == 0 || guarded.code.contains(&at)) && (guarded.catch)(&mut interrupted) {
                return;
            }
        }
    }
    let index = usize::from(signal != libc::SIGSEGV);
    // SAFETY: PREVIOUS was filled by `install`.
    unsafe { chain((&raw const PREVIOUS).cast::<libc::sigaction>().add(index), signal, info, context) };
}

/// Does what a handler of before would have done.
///
/// # Safety
///
/// `previous` is what sigaction(2) gave for the signal; the rest are a handler's own arguments.
pub(super) unsafe fn chain(
    previous: *const libc::sigaction,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    // SAFETY: the caller's promise; the cases are those of sigaction(2).
    unsafe {
        match (*previous).sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                // Back to the default: the access is repeated and kills the process as it would have.
                libc::signal(signal, libc::SIG_DFL);
            }
            chained if (*previous).sa_flags & libc::SA_SIGINFO != 0 => {
                let chained: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    std::mem::transmute(chained);
                chained(signal, info, context);
            }
            chained => {
                let chained: extern "C" fn(c_int) = std::mem::transmute(chained);
                chained(signal);
            }
        }
    }
}
