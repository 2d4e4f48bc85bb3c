//! Signals: posting, deciding and delivering.
//!
//! 2.1 counterpart: kern/kern_sig.c, sys/signalvar.h; the frame is i386/i386/machdep.c's.

pub mod calls;
mod continuation;
mod decide;
mod deliver;
mod post;
#[cfg(test)]
mod tests;

pub use syscalls::signal::NSIG;
use syscalls::signal::{Properties, Signal};

pub use continuation::{Resume, resume};
pub use decide::{Cursig, issignal, stop};
pub use deliver::{postsig, sigexit, trapsignal};
pub use post::{can_signal, gsignal, pgsignal, psignal};

/// Declares the numbers of signals that the kernel itself sends or knows.
macro_rules! numbers {
    ($($name:ident,)*) => {
        $(
            #[doc = concat!("Number of ", stringify!($name), ".")]
            pub const $name: u32 = Signal::$name.raw();
        )*
    };
}

numbers! {
    SIGHUP,
    SIGILL,
    SIGTRAP,
    SIGFPE,
    SIGKILL,
    SIGBUS,
    SIGSEGV,
    SIGSYS,
    SIGPIPE,
    SIGALRM,
    SIGURG,
    SIGSTOP,
    SIGTSTP,
    SIGCONT,
    SIGCHLD,
    SIGTTIN,
    SIGTTOU,
    SIGIO,
    SIGXCPU,
    SIGXFSZ,
    SIGVTALRM,
    SIGPROF,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGWINCH,
    SIGINFO,
}

/// What a signal does by default.
pub fn properties(signal: u32) -> Properties {
    Signal::from_raw(signal).map_or(Properties::empty(), Signal::properties)
}

/// The bit of a signal in a set.
pub const fn sigmask(signal: u32) -> u32 {
    1 << (signal - 1)
}

/// Signals that stop a process.
pub const STOP_SIGNALS: u32 = sigmask(SIGSTOP) | sigmask(SIGTSTP) | sigmask(SIGTTIN) | sigmask(SIGTTOU);
/// Signals that cannot be blocked.
pub const CANT_MASK: u32 = sigmask(SIGKILL) | sigmask(SIGSTOP);

/// What a process does with a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// The default (SIG_DFL).
    #[default]
    Default,
    /// Nothing (SIG_IGN).
    Ignore,
    /// Calls the handler at this address.
    Catch(u32),
}

impl Action {
    /// The action that a word of `struct sigaction` stands for.
    pub fn from_word(word: u32) -> Self {
        match word {
            0 => Action::Default,
            1 => Action::Ignore,
            address => Action::Catch(address),
        }
    }

    /// The word that stands for the action.
    pub fn word(self) -> u32 {
        match self {
            Action::Default => 0,
            Action::Ignore => 1,
            Action::Catch(address) => address,
        }
    }
}

/// The alternate signal stack (`struct sigaltstack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sigaltstack {
    /// Lowest address.
    pub sp: u32,
    /// Size in bytes.
    pub size: u32,
    /// SA_ONSTACK (1) while in use, SA_DISABLE (4), and whatever else the process stored.
    pub flags: u32,
}

/// In use (SA_ONSTACK, also of sigaction).
pub const SA_ONSTACK: u32 = 0x1;
/// Calls are restarted after the handler (SA_RESTART of sigaction).
pub const SA_RESTART: u32 = 0x2;
/// The alternate stack is disabled.
pub const SA_DISABLE: u32 = 0x4;
/// No SIGCHLD when children stop (of sigaction).
pub const SA_NOCLDSTOP: u32 = 0x8;

/// Signal actions and state of a process (`struct sigacts` and the signal words of `struct proc`).
#[derive(Clone, Debug)]
pub struct Sigacts {
    /// Actions, indexed by signal.
    pub action: [Action; NSIG as usize],
    /// Signals blocked while a handler runs, indexed by signal.
    pub catchmask: [u32; NSIG as usize],
    /// Signals whose handlers run on the alternate stack.
    pub onstack: u32,
    /// Signals that interrupt calls instead of restarting them.
    pub intr: u32,
    /// The mask to restore after sigsuspend (`SAS_OLDMASK` and `ps_oldmask`).
    pub oldmask: Option<u32>,
    /// An alternate stack has been set (SAS_ALTSTACK).
    pub altstack: bool,
    /// The alternate stack.
    pub sigstk: Sigaltstack,
    /// Code of a trap that is posted as signal `sig`.
    pub code: u32,
    /// Signal to which `code` belongs.
    pub sig: u32,
    /// The signal that has stopped the process, as a set; it stays pending until the process goes on.
    pub stopped_by: u32,
    /// Pending signals (`p_siglist`).
    pub pending: u32,
    /// Blocked signals (`p_sigmask`).
    pub mask: u32,
    /// Ignored signals (`p_sigignore`).
    pub ignore: u32,
    /// Caught signals (`p_sigcatch`).
    pub catch: u32,
}

impl Default for Sigacts {
    /// The state of the first process (`siginit`).
    fn default() -> Self {
        let ignore = (1..NSIG)
            .filter(|&s| properties(s).contains(Properties::IGNORE) && s != SIGCONT)
            .fold(0, |set, s| set | sigmask(s));
        Self {
            action: [Action::Default; NSIG as usize],
            catchmask: [0; NSIG as usize],
            onstack: 0,
            intr: 0,
            oldmask: None,
            altstack: false,
            sigstk: Sigaltstack::default(),
            code: 0,
            sig: 0,
            stopped_by: 0,
            pending: 0,
            mask: 0,
            ignore,
            catch: 0,
        }
    }
}

impl Sigacts {
    /// Forgets what cannot survive an exec: handlers and the alternate stack; ignored signals stay
    /// ignored (`execsigs`).
    pub fn exec(&mut self) {
        for signal in 1..NSIG {
            let bit = sigmask(signal);
            if self.catch & bit == 0 {
                continue;
            }
            self.catch &= !bit;
            if properties(signal).contains(Properties::IGNORE) {
                if signal != SIGCONT {
                    self.ignore |= bit;
                }
                self.pending &= !bit;
            }
            self.action[signal as usize] = Action::Default;
        }
        self.sigstk = Sigaltstack { flags: SA_DISABLE, ..Sigaltstack::default() };
        self.altstack = false;
        self.oldmask = None;
    }
}
