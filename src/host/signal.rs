//! The door through which the host's signals come: they are noted, and wake whoever waits.
//!
//! Must not know what the guest makes of them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGWINCH, SIGXFSZ};

/// A flag that is set when somebody wants the program to end; the second time, it does at once.
pub fn interruption() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// A signal of the host that concerns a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the signals' own names
pub enum HostSignal {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
    Stop,
    Continue,
    WindowChange,
}

const CAUGHT: [(i32, HostSignal); 7] = [
    (SIGHUP, HostSignal::Hangup),
    (SIGINT, HostSignal::Interrupt),
    (SIGQUIT, HostSignal::Quit),
    (SIGTERM, HostSignal::Terminate),
    (SIGTSTP, HostSignal::Stop),
    (SIGCONT, HostSignal::Continue),
    (SIGWINCH, HostSignal::WindowChange),
];

/// The signals that have come and not been taken.
#[derive(Debug)]
pub struct Signals {
    pending: Vec<(HostSignal, Arc<AtomicBool>)>,
    /// Any of them has come.
    any: Arc<AtomicBool>,
    /// Something to read here means that a signal has come.
    wake: OwnedFd,
}

impl Signals {
    /// Catches the signals from now on.
    pub fn catch() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut pending = Vec::new();
        let any = Arc::new(AtomicBool::new(false));
        for (number, signal) in CAUGHT {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            // Behind the signal's own flag: whoever sees this one sees that one, too.
            signal_hook::flag::register(number, Arc::clone(&any))?;
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
            pending.push((signal, flag));
        }
        Ok(Self { pending, any, wake: wake.into() })
    }

    /// Whether a signal has come.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Takes the signals that have come.
    pub fn take(&self) -> Vec<HostSignal> {
        let mut buffer = [0; 64];
        while rustix::io::read(&self.wake, &mut buffer).is_ok_and(|n| n == buffer.len()) {}
        self.any.swap(false, Ordering::AcqRel);
        let came = |flag: &AtomicBool| flag.swap(false, Ordering::AcqRel);
        self.pending.iter().filter(|(_, flag)| came(flag)).map(|&(signal, _)| signal).collect()
    }

    /// Becomes readable when a signal comes.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// From now on a write beyond the host's limit on the size of files is an error, not the end of this process.
pub fn outlive_file_limits() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // Where it cannot be caught the host does what it does to every program.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}

/// Stops this process as the terminal's suspend key would, and returns when it is continued.
pub fn suspend() {
    // There is nothing to do about a stop that fails.
    let _ = signal_hook::low_level::raise(SIGSTOP);
}
