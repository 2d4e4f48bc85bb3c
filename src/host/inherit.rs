//! What this program has from whoever started it: ignored signals, descriptors, umask, nice value, limits.
//!
//! Rust's runtime ignores SIGPIPE and opens /dev/null where standard descriptors are closed before `main`
//! begins, so these are read by a function that the host's loader calls before.  Must not know what a guest
//! makes of them.
#![allow(unsafe_code)] // questions to the C library before the runtime is there: each block carries its proof

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::unistd::{self, Pid};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{self, Resource as HostResource};

use super::signal::HostSignal;
use super::special::special;

/// Descriptors that are looked at: as many as 2.1 has open files.
const MOST: usize = 360;
/// Words of a bitmap of them.
const WORDS: usize = MOST.div_ceil(64);

/// Signals that were ignored, and blocked, as sets of the host's numbers.
static IGNORED: AtomicU64 = AtomicU64::new(0);
static BLOCKED: AtomicU64 = AtomicU64::new(0);
/// Descriptors that were open.
static OPEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Looks at what the runtime is about to change.
extern "C" fn look() {
    let (mut ignored, mut blocked) = (0, 0);
    for number in 1..=31 {
        // SAFETY: all zeros is a valid sigaction and sigset_t; the calls only fill them in.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(number, std::ptr::null(), &raw mut action) == 0;
            if known && action.sa_sigaction == libc::SIG_IGN {
                ignored |= 1 << number;
            }
        }
    }
    // SAFETY: as above; without a new set nothing changes.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        if libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set) == 0 {
            for number in 1..=31 {
                blocked |= u64::from(libc::sigismember(&raw const set, number) == 1) << number;
            }
        }
    }
    IGNORED.store(ignored, Ordering::Relaxed);
    BLOCKED.store(blocked, Ordering::Relaxed);
    let mut polls: [libc::pollfd; MOST] = [const { libc::pollfd { fd: 0, events: 0, revents: 0 } }; MOST];
    for (number, poll) in polls.iter_mut().enumerate() {
        poll.fd = number as RawFd;
    }
    // SAFETY: getrlimit fills in the limit; poll gets an array with its length, and does not wait.
    let looked = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        let known = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0;
        // poll takes no more entries than there may be descriptors.
        let count = if known { limit.rlim_cur.min(MOST as libc::rlim_t) } else { 3 };
        if libc::poll(polls.as_mut_ptr(), count, 0) < 0 { 0 } else { count as usize }
    };
    for (number, poll) in polls.iter().enumerate().take(looked) {
        if poll.revents & libc::POLLNVAL == 0
            && let Some(word) = OPEN.get(number / 64)
        {
            word.fetch_or(1 << (number % 64), Ordering::Relaxed);
        }
    }
}

/// Whether a signal of the host was ignored when we were started.
pub(super) fn was_ignored(number: i32) -> bool {
    IGNORED.load(Ordering::Relaxed) & (1 << number) != 0
}

fn was_open(number: u32) -> bool {
    let word = OPEN.get(number as usize / 64);
    word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (number % 64)) != 0)
}

/// A limit of the host that the guest has as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the limits' own names
pub enum HostLimit {
    Cpu,
    Data,
    Stack,
    Processes,
    Descriptors,
}

/// That on the size of files stays the host's: what it refuses is EFBIG, and nobody is killed.
const LIMITS: [(HostResource, HostLimit); 5] = [
    (HostResource::Cpu, HostLimit::Cpu),
    (HostResource::Data, HostLimit::Data),
    (HostResource::Stack, HostLimit::Stack),
    (HostResource::Nproc, HostLimit::Processes),
    (HostResource::Nofile, HostLimit::Descriptors),
];

/// What was inherited.
#[derive(Debug)]
pub struct Inherited {
    /// Signals that were ignored.
    pub ignored: Vec<HostSignal>,
    /// Signals that were blocked.
    pub blocked: Vec<HostSignal>,
    /// Mode bits that new files do not get.
    pub umask: u16,
    /// Nice value.
    pub nice: i32,
    /// Soft limits, where there are any.
    pub limits: Vec<(HostLimit, u64)>,
}

impl Inherited {
    /// Looks at everything but descriptors.  The umask is there again right away.
    pub fn look() -> Self {
        let those = |set: &AtomicU64| {
            let set = set.load(Ordering::Relaxed);
            HostSignal::all()
                .filter(|(number, _)| set & (1 << number) != 0)
                .map(|(_, signal)| signal)
                .collect()
        };
        let umask = process::umask(Mode::empty());
        process::umask(umask);
        let soft = |&(resource, limit): &(HostResource, HostLimit)| {
            Some((limit, process::getrlimit(resource).current?))
        };
        Self {
            ignored: those(&IGNORED),
            blocked: those(&BLOCKED),
            umask: umask.bits() as u16,
            nice: process::getpriority_process(None).unwrap_or(0),
            limits: LIMITS.iter().filter_map(soft).collect(),
        }
    }
}

/// Descriptors above the standard ones that a program may be given.
pub fn descriptors() -> Vec<u32> {
    (3..MOST as u32).filter(|&number| was_open(number) && may_be_passed(number as RawFd)).collect()
}

/// Whether a standard descriptor was open.
pub fn had_standard(number: u32) -> bool {
    was_open(number)
}

/// Takes an inherited descriptor over: who closes what is given back here is the last one to hold it.  A
/// standard one leaves the null device behind, but for standard error, which stays ours as well.
pub fn take(number: u32) -> io::Result<OwnedFd> {
    let fd = number as RawFd;
    match number {
        0..=2 => {
            let copy = match number {
                0 => rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?,
                1 => rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?,
                _ => rustix::io::fcntl_dupfd_cloexec(io::stderr().as_fd(), 3)?,
            };
            // Whoever is at the other end of a pipe must see the guest close it.
            let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
            if number < 2
                && let Ok(null) = null()
            {
                let _ = if number == 0 {
                    rustix::stdio::dup2_stdin(&null)
                } else {
                    rustix::stdio::dup2_stdout(&null)
                };
            }
            Ok(copy)
        }
        _ if !was_open(number) || TAKEN.swap_bit(number) => Err(io::Error::from_raw_os_error(libc::EBADF)),
        _ => {
            // SAFETY: the descriptor was open before anything of ours ran, nothing of ours has closed it,
            // and each is taken once (TAKEN), so nobody else owns it.
            let owned = unsafe { OwnedFd::from_raw_fd(fd) };
            rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC)?;
            Ok(owned)
        }
    }
}

/// Descriptors that have been taken over.
struct Taken([AtomicU64; WORDS]);

static TAKEN: Taken = Taken([const { AtomicU64::new(0) }; WORDS]);

impl Taken {
    /// Sets the bit of a descriptor; tells whether it was set.
    fn swap_bit(&self, number: u32) -> bool {
        let bit = 1 << (number % 64);
        self.0.get(number as usize / 64).is_none_or(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0)
    }
}

/// Whether a descriptor may be a guest's: a directory, or a file of the host's kernel, would be a way out of
/// what the guest is given.
fn may_be_passed(fd: RawFd) -> bool {
    // SAFETY: the descriptor is open and nobody closes it meanwhile: there is one thread yet.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    let Ok(stat) = rustix::fs::fstat(fd) else { return false };
    let kind = FileType::from_raw_mode(stat.st_mode);
    let plain =
        matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::Socket | FileType::CharacterDevice);
    let opened = rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(OFlags::PATH));
    // A device or a FIFO is what it is wherever its name lies.
    let pseudo = kind == FileType::RegularFile && special(fd) != Ok(None);
    plain && opened && !pseudo
}

/// Whether our process group is orphaned, so that nobody could continue us after a stop: no parent of one of
/// it is in the session and outside of the group.  Only our own line of parents is looked at.
pub fn is_orphaned() -> bool {
    // A session, a group or a parent outside of our name space of processes has the number 0.
    let (Ok(session), group) = (unistd::getsid(None), unistd::getpgrp()) else { return false };
    let mut parent = unistd::getppid();
    // A line of parents ends; one that changes while we walk it need not.
    for _ in 0..64 {
        if parent.as_raw() == 0 || unistd::getsid(Some(parent)) != Ok(session) {
            return true;
        }
        if unistd::getpgid(Some(parent)) != Ok(group) {
            return false;
        }
        let Some(above) = parent_of(parent) else { return false };
        parent = Pid::from_raw(above);
    }
    false
}

/// The parent of another process, where the host tells.
fn parent_of(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything; its state and its parent follow.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_files_of_the_hosts_kernel_are_never_passed() {
        use std::os::fd::AsRawFd;
        let passed = |path: &str| may_be_passed(std::fs::File::open(path).expect("a file").as_raw_fd());
        assert!(passed("/dev/null") && passed("Cargo.toml"));
        assert!(!passed("/") && !passed("src"));
        if std::path::Path::new("/proc/self/mem").exists() {
            assert!(!passed("/proc/self/mem") && !passed("/proc/self"));
        }
    }

    #[test]
    fn a_descriptor_that_was_not_there_is_not_taken() {
        assert!(take(359).is_err());
    }
}
