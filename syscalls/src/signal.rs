//! Signals: numbers, names, what happens by default, sets of signals, and the codes that handlers see.
//!
//! Must not know processes or delivery.
//!
//! 2.1 counterpart: sys/signal.h, sys/signalvar.h (the table of properties), i386/include/trap.h.

use std::fmt;

bitflags::bitflags! {
    /// What a signal does by default and how it may be treated.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Properties: u8 {
        /// Ends the process.
        const KILL = 0x01;
        /// Ends the process with a core file.
        const CORE = 0x02;
        /// Stops the process.
        const STOP = 0x04;
        /// Stops the process and comes from a terminal.
        const TTYSTOP = 0x08;
        /// Is ignored.
        const IGNORE = 0x10;
        /// Continues a stopped process.
        const CONT = 0x20;
    }
}

macro_rules! signals {
    ($( $number:literal $name:ident $message:literal $( $property:ident )|+; )*) => {
        /// A signal of 2.1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(clippy::upper_case_acronyms)] // the original's own names
        pub enum Signal {
            $( #[doc = $message] $name = $number, )*
        }

        impl Signal {
            /// Every signal, in number order.
            pub const ALL: &'static [Signal] = &[$( Signal::$name ),*];

            /// The signal with this number; zero and numbers past the last are none.
            pub const fn from_raw(raw: u32) -> Option<Self> {
                match raw {
                    $( $number => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The name, such as `SIGPIPE`.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }

            /// The message that a shell prints, such as `Broken pipe`.
            pub const fn message(self) -> &'static str {
                match self {
                    $( Self::$name => $message, )*
                }
            }

            /// What it does by default.
            pub const fn properties(self) -> Properties {
                match self {
                    $( Self::$name => Properties::empty()$( .union(Properties::$property) )+, )*
                }
            }
        }
    };
}

signals! {
    1 SIGHUP "Hangup" KILL;
    2 SIGINT "Interrupt" KILL;
    3 SIGQUIT "Quit" KILL | CORE;
    4 SIGILL "Illegal instruction" KILL | CORE;
    5 SIGTRAP "Trace/BPT trap" KILL | CORE;
    6 SIGABRT "Abort trap" KILL | CORE;
    7 SIGEMT "EMT trap" KILL | CORE;
    8 SIGFPE "Floating point exception" KILL | CORE;
    9 SIGKILL "Killed" KILL;
    10 SIGBUS "Bus error" KILL | CORE;
    11 SIGSEGV "Segmentation fault" KILL | CORE;
    12 SIGSYS "Bad system call" KILL | CORE;
    13 SIGPIPE "Broken pipe" KILL;
    14 SIGALRM "Alarm clock" KILL;
    15 SIGTERM "Terminated" KILL;
    16 SIGURG "Urgent I/O condition" IGNORE;
    17 SIGSTOP "Suspended (signal)" STOP;
    18 SIGTSTP "Suspended" STOP | TTYSTOP;
    19 SIGCONT "Continued" IGNORE | CONT;
    20 SIGCHLD "Child exited" IGNORE;
    21 SIGTTIN "Stopped (tty input)" STOP | TTYSTOP;
    22 SIGTTOU "Stopped (tty output)" STOP | TTYSTOP;
    23 SIGIO "I/O possible" IGNORE;
    24 SIGXCPU "Cputime limit exceeded" KILL;
    25 SIGXFSZ "Filesize limit exceeded" KILL;
    26 SIGVTALRM "Virtual timer expired" KILL;
    27 SIGPROF "Profiling timer expired" KILL;
    28 SIGWINCH "Window size changes" IGNORE;
    29 SIGINFO "Information request" IGNORE;
    30 SIGUSR1 "User defined signal 1" KILL;
    31 SIGUSR2 "User defined signal 2" KILL;
}

/// One more than the greatest signal number.
pub const NSIG: u32 = 32;

impl Signal {
    /// The number that the guest sees.
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// The signal that is called `name`, with or without `SIG`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        Self::ALL.iter().copied().find(|s| s.name().strip_prefix("SIG") == Some(name))
    }

    /// The set of this signal alone.
    pub const fn set(self) -> SigSet {
        SigSet(1 << (self as u32 - 1))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of signals: bit 0 is signal 1.  Bits that belong to no signal are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SigSet(pub u32);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// The signals that cannot be caught, ignored or blocked.
    pub const CANTMASK: SigSet = Signal::SIGKILL.set().union(Signal::SIGSTOP.set());

    /// Whether `signal` is in the set.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.set().0 != 0
    }

    /// Adds `signal`.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= signal.set().0;
    }

    /// Takes `signal` away.
    pub fn remove(&mut self, signal: Signal) {
        self.0 &= !signal.set().0;
    }

    /// Signals in either.
    pub const fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// Signals of this set that are not in `other`.
    pub const fn difference(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// Signals in both.
    pub const fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal of the lowest number, as the original's `ffs` finds it.
    pub fn first(self) -> Option<Signal> {
        Signal::from_raw(self.0.trailing_zeros() + 1)
    }

    /// The signals in number order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.iter().copied().filter(move |s| self.contains(*s))
    }
}

impl fmt::Display for SigSet {
    /// Prints `[INT QUIT]`, and a set that is nearly full as `~[KILL STOP]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, tilde) =
            if self.0.count_ones() > 20 { (!self.0 & 0x7fff_ffff, "~") } else { (self.0, "") };
        write!(f, "{tilde}[")?;
        let mut first = true;
        for n in 1..=32 {
            if shown & 1 << (n - 1) != 0 {
                if !first {
                    f.write_str(" ")?;
                }
                first = false;
                match Signal::from_raw(n) {
                    Some(s) => f.write_str(s.name().strip_prefix("SIG").unwrap_or(s.name()))?,
                    None => write!(f, "{n}")?,
                }
            }
        }
        f.write_str("]")
    }
}

impl std::ops::BitOr for SigSet {
    type Output = SigSet;
    fn bitor(self, other: SigSet) -> SigSet {
        self.union(other)
    }
}

/// A signal number as the guest passes it: zero asks whether the process exists, others may not be signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signum(pub u32);

impl Signum {
    /// The signal, if it is one.
    pub const fn signal(self) -> Option<Signal> {
        Signal::from_raw(self.0)
    }
}

impl fmt::Display for Signum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            Some(s) => f.write_str(s.name()),
            None => write!(f, "{}", self.0.cast_signed()),
        }
    }
}

/// The value of a handler that means the default action.
pub const SIG_DFL: u32 = 0;
/// The value of a handler that means to ignore the signal.
pub const SIG_IGN: u32 = 1;

/// Codes that a handler of SIGFPE, SIGBUS, SIGSEGV or SIGILL gets as its second argument.
pub mod code {
    #![allow(missing_docs)] // the original's own names
    pub const FPE_INTOVF_TRAP: u32 = 1;
    pub const FPE_INTDIV_TRAP: u32 = 2;
    pub const FPE_FLTDIV_TRAP: u32 = 3;
    pub const FPE_FLTOVF_TRAP: u32 = 4;
    pub const FPE_FLTUND_TRAP: u32 = 5;
    pub const FPE_FPU_NP_TRAP: u32 = 6;
    pub const FPE_SUBRNG_TRAP: u32 = 7;
    pub const BUS_PAGE_FAULT: u32 = T_PAGEFLT;
    pub const BUS_SEGNP_FAULT: u32 = T_SEGNPFLT;
    pub const BUS_STK_FAULT: u32 = T_STKFLT;
    pub const BUS_SEGM_FAULT: u32 = T_RESERVED;
    pub const T_PRIVINFLT: u32 = 1;
    pub const T_BPTFLT: u32 = 3;
    pub const T_ARITHTRAP: u32 = 6;
    pub const T_ASTFLT: u32 = 7;
    pub const T_PROTFLT: u32 = 9;
    pub const T_TRCTRAP: u32 = 10;
    pub const T_PAGEFLT: u32 = 12;
    pub const T_ALIGNFLT: u32 = 14;
    pub const T_DIVIDE: u32 = 18;
    pub const T_NMI: u32 = 19;
    pub const T_OFLOW: u32 = 20;
    pub const T_BOUND: u32 = 21;
    pub const T_DNA: u32 = 22;
    pub const T_DOUBLEFLT: u32 = 23;
    pub const T_FPOPFLT: u32 = 24;
    pub const T_TSSFLT: u32 = 25;
    pub const T_SEGNPFLT: u32 = 26;
    pub const T_STKFLT: u32 = 27;
    pub const T_RESERVED: u32 = 28;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_names_are_found() {
        assert_eq!(Signal::ALL.len(), 31);
        for (i, s) in Signal::ALL.iter().enumerate() {
            assert_eq!(s.raw() as usize, i + 1);
            assert_eq!(Signal::from_name(s.name()), Some(*s));
        }
        assert_eq!(Signal::from_name("CHLD"), Some(Signal::SIGCHLD));
        assert_eq!(Signal::from_raw(0), None);
        assert_eq!(Signal::from_raw(32), None);
    }

    #[test]
    fn sets_print_short() {
        assert_eq!((Signal::SIGINT.set() | Signal::SIGQUIT.set()).to_string(), "[INT QUIT]");
        assert_eq!(SigSet(!SigSet::CANTMASK.0).to_string(), "~[KILL STOP]");
        assert_eq!(SigSet(0).to_string(), "[]");
        assert_eq!(SigSet(1 << 31).to_string(), "[32]");
        assert_eq!(SigSet(0).first(), None);
        assert_eq!(SigSet(0x1000_1000).first(), Some(Signal::SIGPIPE));
    }
}
