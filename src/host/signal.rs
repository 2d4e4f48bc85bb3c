//! The door through which the host's signals come: they are noted, and wake whoever waits.
//!
//! A signal of the terminal and one that a process sent are told apart.  Must not know what the guest makes
//! of them.
#![allow(unsafe_code)] // handlers of signals: each block carries its proof

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Once};

use signal_hook::consts as host;
use signal_hook_registry::register_sigaction;

use super::{clock, inherit, terminal};

/// A flag that is set when somebody wants the program to end; the second time, it does at once.  Signals
/// that were ignored when the program was started stay so.
pub fn interruption() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [host::SIGHUP, host::SIGINT, host::SIGTERM] {
        if inherit::was_ignored(signal) {
            continue;
        }
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Declares the signals of the host: name and number, and those that are caught.
macro_rules! signals {
    ($( $name:ident $number:path $(, $caught:ident)?; )*) => {
        /// A signal of the host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // the signals' own names
        pub enum HostSignal {
            $( $name, )*
        }

        impl HostSignal {
            /// Every signal with its number.
            pub fn all() -> impl Iterator<Item = (i32, Self)> {
                [$( ($number, Self::$name), )*].into_iter()
            }

            /// The number.
            pub fn number(self) -> i32 {
                match self {
                    $( Self::$name => $number, )*
                }
            }

            /// Whether it is caught for the guest.
            fn is_caught(self) -> bool {
                match self {
                    $( Self::$name => [$( stringify!($caught) )?].contains(&"caught"), )*
                }
            }
        }
    };
}

// Not caught are those that this program's own faults raise, those that cannot be, and those that only a
// terminal sends to whom it stops.
signals! {
    // Whoever continues the program did it before anything else could come.
    Continue host::SIGCONT, caught;
    Hangup host::SIGHUP, caught;
    Interrupt host::SIGINT, caught;
    Quit host::SIGQUIT, caught;
    Terminate host::SIGTERM, caught;
    Suspend host::SIGTSTP, caught;
    WindowChange host::SIGWINCH, caught;
    User1 host::SIGUSR1, caught;
    User2 host::SIGUSR2, caught;
    Alarm host::SIGALRM, caught;
    InputOutput host::SIGIO, caught;
    VirtualAlarm host::SIGVTALRM, caught;
    Profiling host::SIGPROF, caught;
    Urgent host::SIGURG, caught;
    CpuLimit host::SIGXCPU, caught;
    Stop host::SIGSTOP;
    TerminalInput host::SIGTTIN;
    TerminalOutput host::SIGTTOU;
    Child host::SIGCHLD;
    Pipe host::SIGPIPE;
    FileLimit host::SIGXFSZ;
    Trap host::SIGTRAP;
    Abort host::SIGABRT;
    BadCall host::SIGSYS;
    Bus host::SIGBUS;
    Segment host::SIGSEGV;
    Illegal host::SIGILL;
    Arithmetic host::SIGFPE;
}

/// Signals by which somebody asks the program to end: after this many that nobody has looked at, and this
/// long after the first of them, the handler ends it.
const ASKING: [HostSignal; 3] = [HostSignal::Interrupt, HostSignal::Quit, HostSignal::Terminate];
const PATIENCE: u32 = 3;
const PATIENCE_NS: u64 = 2_000_000_000;

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Which one.
    pub signal: HostSignal,
    /// How often it was sent by a process.
    pub sent: u32,
    /// The terminal's keys, or the host's kernel, have sent it.
    pub by_terminal: bool,
}

/// What a handler notes of its signal.
#[derive(Debug, Default)]
struct Noted {
    sent: AtomicU32,
    by_terminal: AtomicBool,
}

/// How many asked for the end since somebody looked, and since when.
#[derive(Debug, Default)]
struct Unseen {
    count: AtomicU32,
    since: AtomicU64,
}

/// The signals that have come and not been taken.
#[derive(Debug)]
pub struct Signals {
    pending: Vec<(HostSignal, Arc<Noted>)>,
    unseen: Arc<Unseen>,
    /// Any of them has come.
    any: Arc<AtomicBool>,
    /// Something to read here means that a signal has come.
    wake: OwnedFd,
}

impl Signals {
    /// Catches the signals from now on, those that were blocked as well.
    pub fn catch() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let sender: Arc<OwnedFd> = Arc::new(sender.into());
        let mut pending = Vec::new();
        let any = Arc::new(AtomicBool::new(false));
        let unseen = Arc::new(Unseen::default());
        for (number, signal) in HostSignal::all().filter(|(_, signal)| signal.is_caught()) {
            let noted = Arc::new(Noted::default());
            let handler = handler(signal, &noted, &unseen, &any, &sender);
            // SAFETY: what the handler calls is safe in handlers: atomics, clock_gettime, send, and on the
            // last way out tcsetattr and _exit; it takes no locks and does not allocate.
            unsafe { register_sigaction(number, handler)? };
            pending.push((signal, noted));
        }
        // SAFETY: as above: system calls, the last of which ends the process.
        unsafe { signal_hook_registry::register(host::SIGABRT, abort)? };
        unblock();
        Ok(Self { pending, unseen, any, wake: wake.into() })
    }

    /// Whether a signal has come.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether one signal has come.
    pub fn has_come(&self, signal: HostSignal) -> bool {
        let came = |noted: &Noted| {
            noted.sent.load(Ordering::Acquire) > 0 || noted.by_terminal.load(Ordering::Acquire)
        };
        self.pending.iter().any(|(one, noted)| *one == signal && came(noted))
    }

    /// Takes the signals that have come.
    pub fn take(&self) -> Vec<Came> {
        let mut buffer = [0; 64];
        while rustix::io::read(&self.wake, &mut buffer).is_ok_and(|n| n == buffer.len()) {}
        self.any.swap(false, Ordering::AcqRel);
        self.unseen.count.store(0, Ordering::Relaxed);
        let came = |(signal, noted): &(HostSignal, Arc<Noted>)| {
            let sent = noted.sent.swap(0, Ordering::AcqRel);
            let by_terminal = noted.by_terminal.swap(false, Ordering::AcqRel);
            (sent > 0 || by_terminal).then_some(Came { signal: *signal, sent, by_terminal })
        };
        self.pending.iter().filter_map(came).collect()
    }

    /// Becomes readable when a signal comes.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// What is done when a signal comes.
fn handler(
    signal: HostSignal,
    noted: &Arc<Noted>,
    unseen: &Arc<Unseen>,
    any: &Arc<AtomicBool>,
    sender: &Arc<OwnedFd>,
) -> impl Fn(&libc::siginfo_t) + Sync + Send + 'static {
    let (noted, unseen) = (Arc::clone(noted), Arc::clone(unseen));
    let (any, sender) = (Arc::clone(any), Arc::clone(sender));
    move |info| {
        // SAFETY: the number is there for signals that kill sends.
        let ours = info.si_code == libc::SI_USER && unsafe { info.si_pid() } == own_number();
        if ours {
            // Meant for the others of our group.
            return;
        }
        if info.si_code == libc::SI_KERNEL {
            noted.by_terminal.store(true, Ordering::Release);
        } else {
            noted.sent.fetch_add(1, Ordering::AcqRel);
        }
        if ASKING.contains(&signal) {
            let now = clock::monotonic();
            if unseen.count.fetch_add(1, Ordering::Relaxed) == 0 {
                unseen.since.store(now, Ordering::Relaxed);
            }
            let long = now.saturating_sub(unseen.since.load(Ordering::Relaxed)) >= PATIENCE_NS;
            if unseen.count.load(Ordering::Relaxed) >= PATIENCE && long {
                // Whoever ought to look does not: it is stuck in the host.
                terminal::put_back_at_once();
                signal_hook::low_level::exit(128 + signal.number());
            }
        }
        // Behind what it stands for: whoever sees this one sees that one, too.
        any.store(true, Ordering::Release);
        // A full socket has woken the reader already.
        let _ = rustix::net::send(&*sender, &[1], rustix::net::SendFlags::DONTWAIT);
    }
}

/// The number of this process, in a form that handlers may ask for.
fn own_number() -> libc::pid_t {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() }
}

/// Sends a signal of the terminal's keys to the others of our process group: our own handlers pass it over.
pub fn tell_group(signal: HostSignal) {
    if signal.is_caught() {
        // SAFETY: no memory is concerned; only caught signals are sent, so that it does not end this process.
        unsafe { libc::kill(0, signal.number()) };
    }
}

/// The end by SIGABRT, with the terminal as it was.
fn abort() {
    terminal::put_back_at_once();
    // There is nothing to do about an end that fails.
    let _ = signal_hook::low_level::emulate_default_handler(host::SIGABRT);
}

/// Lets the caught signals come, whatever whoever started us has blocked.
fn unblock() {
    // SAFETY: all zeros is a valid set; the calls read and write the set and this thread's mask alone.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for (number, _) in HostSignal::all().filter(|(_, signal)| signal.is_caught()) {
            libc::sigaddset(&raw mut set, number);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Stops this process by a signal that stops, as if it had no handler, and returns when it is continued, or
/// at once where nobody could: the host does not stop an orphaned group for its terminal's sake.
pub fn stop_by(signal: HostSignal) {
    let number = signal.number();
    // SAFETY: all zeros is a valid sigaction (the default, an empty mask) and set; the one that was there,
    // and the mask, are put back before anybody else of this program runs.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        let changed = libc::sigaction(number, &raw const default, &raw mut before) == 0;
        let (mut set, mut mask): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, number);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, &raw mut mask);
        libc::raise(number);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        if changed {
            libc::sigaction(number, &raw const before, std::ptr::null_mut());
        }
    }
}

/// From now on a write beyond the host's limit on the size of files is an error, not the end of this process.
pub fn outlive_file_limits() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // Where it cannot be caught the host does what it does to every program.
        let _ = signal_hook::flag::register(host::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}
