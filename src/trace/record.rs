//! What a rendering gets: a thing that happened, decoded, with the place and time where it happened.
//!
//! Must not know how it will be printed.

use syscalls::signal::code;
use syscalls::{Signal, Sysent};

use super::decode::Argument;
use super::value::Value;
use crate::kernel::event::Outcome;
use crate::kernel::ktrace::transfer::Transfer;
use crate::kernel::proc::Waker;

/// A thing that happened.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its place among all that the tracer has seen and shown.
    pub sequence: u64,
    /// The process.
    pub pid: i32,
    /// The process's command name.
    pub comm: &'a [u8],
    /// Instructions that the process has executed.
    pub instructions: u64,
    /// Nanoseconds since the machine was started.
    pub uptime: u64,
    /// Nanoseconds since the epoch, by the guest's clock.
    pub now: u64,
    /// What happened.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug)]
pub enum What<'a> {
    /// A call began.
    Enter(&'a Call),
    /// A call went to sleep and others go on before it ends.
    Unfinished(&'a Call),
    /// A call ended, or will never end.
    Leave(&'a Call),
    /// A signal was acted on.
    Signal(Delivery),
    /// The process was stopped by a signal.
    Stopped(u32),
    /// The process goes on after a stop.
    Continued,
    /// The process has a new child.
    Fork {
        /// Its number.
        child: i32,
        /// Number of the call, where it is traced.
        call: Option<u32>,
    },
    /// The process goes back from a call to its program.
    UserReturn,
    /// The process executes a new program.
    Exec {
        /// The path as it was given.
        path: &'a [u8],
        /// The format of the image.
        format: &'a str,
    },
    /// A file was not executed.
    ExecRefused(&'a str),
    /// The process is traced no more, though it lives.
    LeftAlone,
    /// The process ended with this status.
    Exit(u32),
    /// The process left or took the processor.
    Switch {
        /// It left.
        out: bool,
    },
    /// A look-up of a name.
    Name(&'a [u8]),
    /// A step inside of the kernel outside of any call that is traced.
    Step(&'a Step),
}

/// A signal that is acted on.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number.
    pub signal: u32,
    /// Its code.
    pub code: u32,
    /// Its handler; zero where the process ends.
    pub handler: u32,
    /// The signals that were blocked.
    pub mask: u32,
    /// The process's own trap caused it.
    pub trap: bool,
    /// The address that the last fault was about; it concerns signals of faults only.
    pub address: u32,
    /// The instruction at which it is delivered.
    pub eip: u32,
    /// The guest's stack, where that is wanted.
    pub stack: Vec<Frame>,
}

/// A call, complete or in progress.
#[derive(Debug)]
pub struct Call {
    /// Place of its beginning among all events.
    pub sequence: u64,
    /// Its number.
    pub number: u32,
    /// Its row; numbers past the table have none.
    pub row: Option<&'static Sysent>,
    /// Its argument words, as many as the row has.
    pub words: Vec<u32>,
    /// Address of the gate instruction.
    pub eip: u32,
    /// Its arguments.
    pub args: Vec<Argument>,
    /// Uptime when it began.
    pub entered: u64,
    /// Guest's time of day when it began.
    pub entered_at: u64,
    /// Instructions that the process had executed when it began.
    pub entered_instructions: u64,
    /// How it ended.
    pub end: Option<End>,
    /// Sleeps inside of it.
    pub sleeps: Vec<Slept>,
    /// What the kernel did inside of it, where that is wanted.
    pub steps: Vec<Step>,
    /// The guest's stack when it began, where that is wanted.
    pub stack: Vec<Frame>,
    /// The bytes that it read or wrote, where they are wanted.
    pub transfer: Option<Transfer>,
    /// Its outcome was made up by the tracer.
    pub injected: bool,
    /// It was shown as unfinished.
    pub announced: bool,
}

/// How a call ended.
#[derive(Debug)]
pub struct End {
    /// The outcome.
    pub outcome: Outcome,
    /// The result, decoded, where it succeeded.
    pub value: Option<Value>,
    /// Nanoseconds that it took, sleeps included.
    pub duration: u64,
}

/// A sleep inside of a call.
#[derive(Clone, Debug)]
pub struct Slept {
    /// Uptime when it began.
    pub since: u64,
    /// Nanoseconds; a sleep that is not over has none.
    pub duration: Option<u64>,
    /// Who ended it, where it was a process.
    pub woken: Option<Waker>,
    /// What `ps` shows.
    pub wmesg: &'static str,
    /// What it waits for.
    pub channel: String,
}

/// A step inside of the kernel.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its place among all events.
    pub sequence: u64,
    /// Uptime.
    pub uptime: u64,
    /// The layer that tells.
    pub layer: &'static str,
    /// What is done.
    pub text: String,
}

/// A place on the guest's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The address.
    pub address: u32,
    /// The file that is mapped there, where it is known.
    pub image: Option<Vec<u8>>,
    /// The symbol before it, and how far before.
    pub symbol: Option<(String, u32)>,
}

impl Delivery {
    /// The address that a page fault was about; other signals have none.
    pub fn fault_address(&self) -> Option<u32> {
        let signal = Signal::from_raw(self.signal);
        let fault =
            matches!(signal, Some(Signal::SIGSEGV | Signal::SIGBUS)) && self.code == code::BUS_PAGE_FAULT;
        fault.then_some(self.address)
    }

    /// The name of its code, where its signal has codes.
    pub fn code_name(&self) -> Option<&'static str> {
        let name = match (Signal::from_raw(self.signal)?, self.code) {
            (Signal::SIGFPE, code::FPE_INTOVF_TRAP) => "FPE_INTOVF_TRAP",
            (Signal::SIGFPE, code::FPE_INTDIV_TRAP) => "FPE_INTDIV_TRAP",
            (Signal::SIGFPE, code::FPE_SUBRNG_TRAP) => "FPE_SUBRNG_TRAP",
            (Signal::SIGILL, code::T_PRIVINFLT) => "ILL_PRIVIN_FAULT",
            (Signal::SIGSEGV | Signal::SIGBUS, code::BUS_PAGE_FAULT) => "BUS_PAGE_FAULT",
            (Signal::SIGSEGV | Signal::SIGBUS, code::BUS_SEGNP_FAULT) => "BUS_SEGNP_FAULT",
            (Signal::SIGSEGV | Signal::SIGBUS, code::BUS_STK_FAULT) => "BUS_STK_FAULT",
            (Signal::SIGSEGV | Signal::SIGBUS, code::BUS_SEGM_FAULT) => "BUS_SEGM_FAULT",
            _ => return None,
        };
        Some(name)
    }
}

impl Call {
    /// The name as traces print it.
    pub fn name(&self) -> String {
        match self.row {
            Some(row) => row.trace_name().to_string(),
            None => format!("#{}", self.number),
        }
    }

    /// Whether it succeeded; `None` where it has not ended or does not return.
    pub fn succeeded(&self) -> Option<bool> {
        match self.end.as_ref()?.outcome {
            Outcome::Success(_) => Some(true),
            Outcome::Failure(_) => Some(false),
            Outcome::Restart | Outcome::NoReturn => None,
        }
    }

    /// Nanoseconds that it slept.
    pub fn slept(&self) -> u64 {
        self.sleeps.iter().filter_map(|s| s.duration).sum()
    }
}
