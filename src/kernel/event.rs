//! What the kernel tells an observer: one typed event for each thing that happens.
//!
//! The kernel does not know who observes, nor how events are rendered.  Without an observer each place
//! costs one predictable branch.
//!
//! 2.1 counterpart: kern/kern_ktrace.c, which tells less.

use std::fmt;

use super::Kernel;
use super::file::FileId;
pub use super::intercept::{Edge, Intercept, Poke};
use super::proc::{ProcId, Waker};
use super::socket::SocketId;
use super::synch::{Channel, Retval, Wake};
use super::syscall::Call;
use super::vfs::VnodeId;
use syscalls::errno::Errno;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Success(Retval),
    /// It failed.
    Failure(Errno),
    /// It is executed again after a signal.
    Restart,
    /// It does not return: exit, sigreturn, exec.
    NoReturn,
}

/// Where a step stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins; what follows, up to its end or the end of the call, is part of it.
    Begin,
    /// It has no parts.
    Point,
    /// It is over.
    End(Result<(), Errno>),
}

/// Something that happened to a process, or inside of one of its calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A call begins; its words have been copied in.
    Enter(Call),
    /// A call ends.
    Leave(Call, Outcome),
    /// A signal was posted.
    SignalPosted {
        /// The signal.
        signal: u32,
    },
    /// A signal is acted on.
    SignalDelivered {
        /// The signal.
        signal: u32,
        /// Its code.
        code: u32,
        /// Its handler; zero where the process ends.
        handler: u32,
        /// The signals that were blocked before.
        mask: u32,
        /// A trap of the process itself caused it, and it is delivered at once.
        trap: bool,
        /// The address that the last fault was about.
        address: u32,
        /// The instruction at which it is delivered.
        eip: u32,
    },
    /// The process stopped.
    Stopped {
        /// The signal that stopped it.
        signal: u32,
    },
    /// The process goes on.
    Continued,
    /// The process has a new child.
    Fork {
        /// Number of the child.
        child: i32,
    },
    /// The process executes a new program.
    Exec {
        /// Path as it was given.
        path: Vec<u8>,
        /// Format of the image.
        format: &'static str,
    },
    /// A file was executed, or mapped: a program, its interpreter, a library.
    Image {
        /// The file.
        vnode: VnodeId,
    },
    /// A program was not executed.
    ExecRefused {
        /// Why, for a person to read.
        reason: String,
    },
    /// The process ended.
    Exit {
        /// Its wait status.
        status: i32,
    },
    /// The process goes to sleep.
    Sleep {
        /// What it waits for.
        channel: Channel,
        /// What `ps` would show.
        wmesg: &'static str,
    },
    /// The process goes on after a sleep.
    Wakeup {
        /// How the sleep ended.
        wake: Wake,
        /// How long it was, in nanoseconds.
        slept: u64,
        /// Who ended it, where it was a process.
        by: Option<Waker>,
    },
    /// A step inside of the socket layer.
    Socket {
        /// The socket, once there is one.
        socket: Option<SocketId>,
        /// What is done, such as `socreate` or `PRU_CONNECT2`.
        step: &'static str,
        /// Whether other steps are parts of it.
        phase: Phase,
        /// Anything else worth telling.
        detail: String,
    },
    /// Bytes were copied between the guest and the kernel.
    Copy {
        /// To the guest.
        out: bool,
        /// Address in guest memory.
        address: u32,
        /// How many.
        len: u32,
        /// EFAULT where they could not be.
        result: Result<(), Errno>,
    },
    /// A step with descriptors.
    Descriptor {
        /// The open file.
        file: FileId,
        /// What is done, such as `falloc`.
        step: &'static str,
        /// The descriptor, where there is one.
        fd: Option<i32>,
    },
    /// The process goes back from a call to its program, its signals looked at.
    UserReturn,
    /// A path name was looked up.
    Lookup {
        /// The path.
        path: Vec<u8>,
        /// What came out.
        result: Result<(), Errno>,
    },
}

impl Event {
    /// Bytes that it refers to.
    pub fn bytes_beside(&self) -> usize {
        match self {
            Self::Exec { path, .. } | Self::Lookup { path, .. } => path.len(),
            Self::ExecRefused { reason, .. } => reason.len(),
            Self::Socket { detail, .. } => detail.len(),
            _ => 0,
        }
    }
}

/// Who listens.  The kernel is in the state right after the event.
pub trait Observer: fmt::Debug {
    /// Something happened to process `id`; `sequence` numbers events of the whole machine.
    fn event(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, event: &Event);

    /// Bytes of memory that it keeps of what it heard.
    fn kept(&self) -> u64 {
        0
    }

    /// Asked right behind each [`Event::Enter`]: what shall happen instead of the call, or besides it.
    fn intercept(&mut self, _kernel: &Kernel, _id: ProcId, _call: &Call) -> Intercept {
        Intercept::default()
    }

    /// Writes out what is held back: the guest sleeps, or some time has passed.
    fn flush(&mut self) {}

    /// Whether nobody hears any more what it says; it is let go then.
    fn is_unheard(&self) -> bool {
        false
    }
}

impl Kernel {
    /// Sets who observes.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        *self.observer = observer;
        self.watch();
    }

    /// Takes the observer back.
    pub fn take_observer(&mut self) -> Option<Box<dyn Observer>> {
        let observer = self.observer.take();
        self.watch();
        observer
    }

    /// Has the observer write out what it holds back.
    pub fn flush_observer(&mut self) {
        if let Some(observer) = &mut *self.observer {
            observer.flush();
            if observer.is_unheard() {
                self.set_observer(None);
            }
        }
    }

    /// Number of events and timeouts so far.
    pub fn events(&self) -> u64 {
        self.sequence
    }

    /// Notes whether anybody listens.
    pub(super) fn watch(&mut self) {
        self.watched = self.observer.is_some() || !self.ktrace.is_empty();
    }

    /// Whether somebody observes; for events that cost something to describe.
    #[inline]
    pub fn observed(&self) -> bool {
        self.watched
    }

    /// Tells the observer.
    #[inline]
    pub fn note(&mut self, id: ProcId, event: Event) {
        if self.watched {
            self.tell(id, &event);
        }
    }

    /// Tells the observer what `describe` makes, which is called only where somebody observes.
    #[inline]
    pub fn note_with(&mut self, id: ProcId, describe: impl FnOnce(&Self) -> Event) {
        if self.watched {
            self.tell_what(id, describe);
        }
    }

    #[cold]
    fn tell_what(&mut self, id: ProcId, describe: impl FnOnce(&Self) -> Event) {
        let event = describe(self);
        self.tell(id, &event);
    }

    /// Tells the observer that a call begins, and asks what of it is made up.
    #[cold]
    pub(super) fn note_enter(&mut self, id: ProcId, call: &Call) -> Option<Intercept> {
        self.intercepted.remove(&id);
        self.tell(id, &Event::Enter(*call));
        let mut observer = self.observer.take()?;
        let intercept = observer.intercept(self, id, call);
        *self.observer = Some(observer);
        Some(intercept)
    }

    #[cold]
    fn tell(&mut self, id: ProcId, event: &Event) {
        if let Some(mut observer) = self.observer.take() {
            self.sequence += 1;
            observer.event(self, id, self.sequence, event);
            *self.observer = Some(observer);
        }
        if !self.ktrace.is_empty() {
            super::ktrace::event(self, id, event);
        }
    }
}
