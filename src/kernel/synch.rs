//! Sleeping and waking.  A blocked call is data: the place where it sleeps and what it must keep.
//! Nothing of a guest lives on a host stack.
//!
//! 2.1 counterpart: kern/kern_synch.c (tsleep, wakeup), and every local variable that a sleeping
//! kernel function keeps on its stack.

use syscalls::errno::Errno;
pub use syscalls::result::Retval;

use super::file::FileId;
use super::proc::ProcId;
use super::socket::SocketId;
use super::vfs::VnodeId;
use super::{file, ipc, proc, signal, socket, tty, vfs};

/// Clock ticks in a second.
pub const HZ: u32 = 100;

/// Priorities of sleeps (sys/param.h); smaller is more urgent.
pub mod priority {
    #![allow(missing_docs)] // the original's own names
    pub const PSWP: u8 = 0;
    pub const PVM: u8 = 4;
    pub const PINOD: u8 = 8;
    pub const PRIBIO: u8 = 16;
    pub const PVFS: u8 = 20;
    pub const PZERO: u8 = 22;
    pub const PSOCK: u8 = 24;
    pub const TTIPRI: u8 = 25;
    pub const TTOPRI: u8 = 26;
    pub const PWAIT: u8 = 32;
    pub const PLOCK: u8 = 36;
    pub const PPAUSE: u8 = 40;
    pub const PUSER: u8 = 50;
    pub const MAXPRI: u8 = 127;
}

/// What a sleeper waits for; the original uses the address of some object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Data in a socket's receive buffer (`&so->so_rcv.sb_cc`).
    SocketRcv(SocketId),
    /// Room in a socket's send buffer (`&so->so_snd.sb_cc`).
    SocketSnd(SocketId),
    /// The lock of a receive buffer (`&so->so_rcv.sb_flags`).
    SocketRcvLock(SocketId),
    /// The lock of a send buffer (`&so->so_snd.sb_flags`).
    SocketSndLock(SocketId),
    /// The connection state of a socket (`&so->so_timeo`).
    SocketState(SocketId),
    /// A free port of the internet's protocols.
    Port,
    /// Any descriptor that somebody selects on (`&selwait`).
    Select,
    /// A process: its parent waits for children, vfork's parent for the child.
    Proc(ProcId),
    /// A process that waits for a signal only (`pause`).
    Pause(ProcId),
    /// A reader of a fifo.
    FifoReaders(VnodeId),
    /// A writer of a fifo.
    FifoWriters(VnodeId),
    /// An advisory lock, by its number.
    Lock(u64),
    /// A host descriptor becoming ready, through an open file.
    HostFile(FileId),
    /// A packet of a tunnel, by its unit.
    Tun(u32),
    /// A System V IPC object, by its kind and number.
    Ipc(u32),
    /// A terminal, by its number and queue.
    Tty(u32),
    /// A file system in memory that is unmounted, by the number of its mount.
    Mount(usize),
    /// A new message of the kernel.
    Log,
    /// The next second (`&lbolt`).
    Lbolt,
    /// Nothing but the time.
    Time(ProcId),
}

/// How long and how deeply to sleep: the arguments of tsleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// What to wait for.
    pub channel: Channel,
    /// Priority after the wakeup.
    pub priority: u8,
    /// Signals interrupt the sleep (PCATCH).
    pub catch: bool,
    /// What `ps` shows.
    pub wmesg: &'static str,
    /// Give up after this many ticks.
    pub timeout_ticks: Option<u32>,
}

/// How a sleep ended: the results of tsleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Somebody called wakeup (0).
    Woken,
    /// The time is over (EWOULDBLOCK).
    TimedOut,
    /// A signal came (EINTR or ERESTART, by the signal's action).
    Interrupted(Interruption),
}

/// What a signal makes of the call that it interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The call fails with EINTR.
    Eintr,
    /// The call is executed again.
    Erestart,
}

impl From<Interruption> for Stop {
    fn from(i: Interruption) -> Self {
        match i {
            Interruption::Eintr => Stop::Errno(Errno::EINTR),
            Interruption::Erestart => Stop::Restart,
        }
    }
}

/// A call that waits: where it sleeps, and what it needs to go on.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The sleep.
    pub sleep: Sleep,
    /// How the call goes on after it.
    pub resume: Resume,
}

/// The continuation of a parked call, by area; each variant holds what 2.1 keeps on the kernel stack.
#[derive(Clone, Debug)]
pub enum Resume {
    /// A socket call.
    Socket(socket::Resume),
    /// A call on descriptors.
    File(file::Resume),
    /// A call on path names, fifos or locks.
    Vfs(vfs::Resume),
    /// A call on processes.
    Proc(proc::Resume),
    /// A call on System V objects.
    Ipc(ipc::Resume),
    /// A call that waits for signals.
    Signal(signal::Resume),
    /// A call on a terminal.
    Tty(tty::Resume),
    /// A call that an observer delays.
    Delayed(super::intercept::Delayed),
}

/// Why a handler does not return a result.
#[derive(Clone, Debug)]
pub enum Stop {
    /// The call fails.
    Errno(Errno),
    /// The call sleeps.
    Park(Box<Parked>),
    /// The call is executed again after a signal: eip goes back to the gate (ERESTART).
    Restart,
    /// The registers are already as they must be (EJUSTRETURN).
    JustReturn,
}

impl From<Errno> for Stop {
    fn from(e: Errno) -> Self {
        Stop::Errno(e)
    }
}

/// What a handler gives.
pub type Sysret<T> = Result<T, Stop>;

/// Parks the calling process: `return sleep(…)`, or `sleep(…)?` in the middle of an engine.
pub fn sleep<T>(sleep: Sleep, resume: Resume) -> Sysret<T> {
    Err(Stop::Park(Box::new(Parked { sleep, resume })))
}
