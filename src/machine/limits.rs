//! What a run may use before the machine ends it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::host::system;
use crate::kernel::allowance::Excess;

/// Limits of a run; none where nothing is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time on the host's clock.
    pub wall: Option<Duration>,
    /// Processor time of all processes together, on the guest's clock.
    pub cpu: Option<Duration>,
    /// Processes at one time.
    pub procs: Option<usize>,
    /// Bytes of memory: pages that processes have written to, shared memory, kept output and kept events.  Decoded
    /// and translated code is dropped before it takes more than is left; [`MEMORY`] unless given.
    pub memory: Option<u64>,
    /// Bytes written to standard output, standard error and terminals.
    pub output: Option<u64>,
}

/// Bytes of memory that a run may have unless told otherwise: a generous machine of 1995, with its swap.
pub const MEMORY: u64 = 512 << 20;
/// Bytes of the host's memory that are left alone.
const RESERVE: u64 = 64 << 20;
/// Bytes that a run may always have, however little the host has.
const MODEST: u64 = 64 << 20;
/// Time between two looks at the host's memory.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds of the machine between two looks where nothing else asks for one.
const ROUNDS: u8 = 32;

/// The limit that a run has hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::wall`].
    Wall(Duration),
    /// [`Limits::cpu`].
    Cpu(Duration),
    /// [`Limits::procs`].
    Procs(usize),
    /// [`Limits::memory`].
    Memory(u64),
    /// [`Limits::output`].
    Output(u64),
    /// The host has no more memory to give; the run had so many bytes.
    Host(u64),
    /// Whoever runs the machine has [given up](super::Builder::cancel).
    Interrupted,
    /// The recording that is played has nothing more, or the run is another one.
    Recording,
}

impl From<Excess> for Limit {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::Procs(most) => Self::Procs(most),
            Excess::Memory(most) => Self::Memory(most),
            Excess::Output(most) => Self::Output(most),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wall(limit) => write!(f, "--max-wall: the run took longer than {} s", limit.as_secs_f64()),
            Self::Cpu(limit) => write!(f, "--max-cpu: the run used more than {} s", limit.as_secs_f64()),
            Self::Procs(most) => {
                write!(f, "--max-procs: the run needed more than {most} processes at one time")
            }
            Self::Memory(most) => write!(f, "--max-mem: the run needed more than {most} bytes of memory"),
            Self::Host(bytes) => {
                write!(
                    f,
                    "the host's memory is nearly used up, {bytes} bytes of it by this run: --max-mem limits that"
                )
            }
            Self::Interrupted => f.write_str("interrupted"),
            Self::Recording => f.write_str("the recording ends here"),
            Self::Output(most) => write!(f, "--max-output: the run wrote more than {most} bytes"),
        }
    }
}

/// Measures a run against its limits.
#[derive(Debug)]
pub(super) struct Meter {
    limits: Limits,
    started: Instant,
    /// Set from outside when the run shall end.
    pub(super) cancel: Option<Arc<AtomicBool>>,
    /// Processor time so far, in nanoseconds.
    pub(super) cpu_ns: u64,
    /// The host's memory is looked at, the next time then; never where runs must be repeatable.
    pub(super) host: Option<Instant>,
    /// Looks so far.
    rounds: u8,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, started: Instant::now(), cancel: None, cpu_ns: 0, host: None, rounds: 0 }
    }

    /// Whether there is nothing to measure now.  The host's memory is looked at from time to time, and only where a
    /// run has more than a little.
    #[inline]
    pub(super) fn is_idle(&mut self) -> bool {
        self.rounds = self.rounds.wrapping_add(1);
        let unlimited = self.cancel.is_none() && self.limits.cpu.is_none() && self.limits.wall.is_none();
        unlimited && (self.host.is_none() || !self.rounds.is_multiple_of(ROUNDS))
    }

    /// The same for a copy of the run, whose time on the host's clock begins now.
    pub(super) fn twin(&self) -> Self {
        let host = self.host.map(|_| Instant::now());
        Self { cancel: self.cancel.clone(), cpu_ns: self.cpu_ns, host, ..Self::new(self.limits) }
    }

    /// The limit that has been hit, if one has.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        if self.cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Some(Limit::Interrupted);
        }
        self.cpu_exceeded().or_else(|| self.wall_exceeded())
    }

    /// The limit of processor time, if that has been hit.
    pub(super) fn cpu_exceeded(&self) -> Option<Limit> {
        let limit = self.limits.cpu.filter(|&limit| Duration::from_nanos(self.cpu_ns) > limit)?;
        Some(Limit::Cpu(limit))
    }

    fn wall_exceeded(&self) -> Option<Limit> {
        match self.limits.wall {
            Some(limit) if self.started.elapsed() > limit => Some(Limit::Wall(limit)),
            _ => None,
        }
    }

    /// Whether the host can spare no more memory for a run that has so many bytes.
    pub(super) fn host_is_full(&mut self, bytes: u64) -> Option<Limit> {
        let due = self.host.as_mut().filter(|_| bytes > MODEST)?;
        let now = Instant::now();
        if now < *due {
            return None;
        }
        *due = now + LOOK;
        system::free_memory().filter(|&free| free < RESERVE).map(|_| Limit::Host(bytes))
    }

    /// Nanoseconds that the machine may wait for something to happen, if there is a limit.
    pub(super) fn patience(&self) -> Option<u64> {
        let left = self.limits.wall?.saturating_sub(self.started.elapsed());
        Some(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX).saturating_add(1))
    }
}
