//! The connection state machine, the queues of a listener, and who is told of a change.
//!
//! Protocols move sockets through these functions.  The active side calls [`soisconnecting`], then
//! [`soisconnected`]; a connection ends through [`soisdisconnecting`] and [`soisdisconnected`].  On the
//! passive side a protocol makes a socket with [`sonewconn`], which waits in `q0` until it is connected
//! and in `q` until it is accepted.
//!
//! This file does not know calls, nor any protocol.
//!
//! 2.1 counterpart: kern/uipc_socket2.c (the state machine, soqinsque, soqremque, sbwait, sb_lock,
//! sowakeup).

use std::fmt;

use syscalls::errno::Errno;

use super::mbuf::MCLBYTES;
use super::protosw::UserRequest;
use super::sockbuf::{Sockbuf, SockbufFlags};
use super::socket::{SockState, Socket, SocketId, SocketOptions};
use super::{Side, events, pr_usrreq};
use crate::kernel::file::select::selwakeup;
use crate::kernel::signal::{self, SIGIO};
use crate::kernel::synch::{Channel, Sleep, priority};
use crate::kernel::{Context, Kernel};

/// Marks a socket as connecting.
pub fn soisconnecting(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "soisconnecting");
    let state = &mut kernel.sockets[so].state;
    state.remove(SockState::ISCONNECTED | SockState::ISDISCONNECTING);
    state.insert(SockState::ISCONNECTING);
    events::end(kernel, so, "soisconnecting", Ok(()));
}

/// Marks a socket as connected; one that waits in `q0` becomes ready to be accepted.
pub fn soisconnected(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "soisconnected");
    let socket = &mut kernel.sockets[so];
    socket.state.remove(SockState::ISCONNECTING | SockState::ISDISCONNECTING | SockState::ISCONFIRMING);
    socket.state.insert(SockState::ISCONNECTED);
    if let Some(head) = socket.head
        && soqremque(kernel, so, Queue::Partial)
    {
        soqinsque(kernel, head, so, Queue::Complete);
        sorwakeup(kernel, head);
        kernel.wakeup(Channel::SocketState(head));
    } else {
        kernel.wakeup(Channel::SocketState(so));
        sorwakeup(kernel, so);
        sowwakeup(kernel, so);
    }
    events::end(kernel, so, "soisconnected", Ok(()));
}

/// Marks a socket as disconnecting: nothing more goes either way.
pub fn soisdisconnecting(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "soisdisconnecting");
    let state = &mut kernel.sockets[so].state;
    state.remove(SockState::ISCONNECTING);
    state.insert(SockState::ISDISCONNECTING | SockState::CANTRCVMORE | SockState::CANTSENDMORE);
    kernel.wakeup(Channel::SocketState(so));
    sowwakeup(kernel, so);
    sorwakeup(kernel, so);
    events::end(kernel, so, "soisdisconnecting", Ok(()));
}

/// Marks a socket as disconnected for good.
pub fn soisdisconnected(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "soisdisconnected");
    let state = &mut kernel.sockets[so].state;
    state.remove(SockState::ISCONNECTING | SockState::ISCONNECTED | SockState::ISDISCONNECTING);
    state.insert(SockState::CANTRCVMORE | SockState::CANTSENDMORE);
    kernel.wakeup(Channel::SocketState(so));
    sowwakeup(kernel, so);
    sorwakeup(kernel, so);
    events::end(kernel, so, "soisdisconnected", Ok(()));
}

/// Nothing more will be sent.
pub fn socantsendmore(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "socantsendmore");
    kernel.sockets[so].state.insert(SockState::CANTSENDMORE);
    sowwakeup(kernel, so);
    events::end(kernel, so, "socantsendmore", Ok(()));
}

/// Nothing more will be received; what waits can still be read.
pub fn socantrcvmore(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "socantrcvmore");
    kernel.sockets[so].state.insert(SockState::CANTRCVMORE);
    sorwakeup(kernel, so);
    events::end(kernel, so, "socantrcvmore", Ok(()));
}

/// Makes a socket for a connection that arrives at listener `head`, or refuses because the queues are
/// full.  With `connstatus` it goes to the complete queue at once.
///
/// The limit counts both queues and grants half as much again, plus one, as listen(2) was asked for.
pub fn sonewconn(cx: &mut Context<'_>, head: SocketId, connstatus: SockState) -> Option<SocketId> {
    let listener = &cx.kernel.sockets[head];
    let waiting = (listener.q.len() + listener.q0.len()) as i32;
    if waiting > 3 * i32::from(listener.qlimit) / 2 && waiting > cx.kernel.system.sominqueue {
        return None;
    }
    let mut socket = Socket::new(listener.kind, listener.proto);
    socket.options = listener.options - SocketOptions::ACCEPTCONN;
    socket.linger = listener.linger;
    socket.state = listener.state | SockState::NOFDREF;
    socket.pgid = listener.pgid;
    // As in the original, a failure leaves the limits zero; the protocol sets its own then.
    let _ = soreserve(&mut socket, listener.snd.hiwat, listener.rcv.hiwat);
    let so = cx.kernel.sockets.insert(socket);
    events::begin_with(cx.kernel, Some(so), "sonewconn", || format!("for so{head:?}"));
    let queue = if connstatus.is_empty() { Queue::Partial } else { Queue::Complete };
    soqinsque(cx.kernel, head, so, queue);
    let attached = pr_usrreq(cx, so, UserRequest::Attach { protocol: 0 });
    if attached.is_err() {
        events::end(cx.kernel, so, "sonewconn", attached);
        soqremque(cx.kernel, so, queue);
        cx.kernel.sockets.remove(so);
        return None;
    }
    if !connstatus.is_empty() {
        sorwakeup(cx.kernel, head);
        cx.kernel.wakeup(Channel::SocketState(head));
        cx.kernel.sockets[so].state.insert(connstatus);
    }
    events::end(cx.kernel, so, "sonewconn", Ok(()));
    Some(so)
}

/// The queues of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Connections in progress (`so_q0`).
    Partial,
    /// Connections that can be accepted (`so_q`).
    Complete,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partial => "q0",
            Self::Complete => "q",
        })
    }
}

/// Puts a socket at the end of a listener's queue.
pub fn soqinsque(kernel: &mut Kernel, head: SocketId, so: SocketId, queue: Queue) {
    kernel.sockets[so].head = Some(head);
    let listener = &mut kernel.sockets[head];
    match queue {
        Queue::Partial => listener.q0.push_back(so),
        Queue::Complete => listener.q.push_back(so),
    }
    events::note_with(kernel, so, "soqinsque", || format!("into {queue} of so{head:?}"));
}

/// Takes a socket out of its listener's queue; false if it is not there.
pub fn soqremque(kernel: &mut Kernel, so: SocketId, queue: Queue) -> bool {
    let Some(head) = kernel.sockets[so].head else { return false };
    let listener = &mut kernel.sockets[head];
    let waiting = match queue {
        Queue::Partial => &mut listener.q0,
        Queue::Complete => &mut listener.q,
    };
    let Some(place) = waiting.iter().position(|&other| other == so) else { return false };
    waiting.remove(place);
    kernel.sockets[so].head = None;
    events::note_with(kernel, so, "soqremque", || format!("from {queue} of so{head:?}"));
    true
}

/// Sets the limits of both buffers, and the low-water marks where they are not set.
pub fn soreserve(socket: &mut Socket, sndcc: u32, rcvcc: u32) -> Result<(), Errno> {
    if !socket.snd.reserve(sndcc) {
        return Err(Errno::ENOBUFS);
    }
    if !socket.rcv.reserve(rcvcc) {
        socket.snd.release();
        return Err(Errno::ENOBUFS);
    }
    if socket.rcv.lowat == 0 {
        socket.rcv.lowat = 1;
    }
    if socket.snd.lowat == 0 {
        socket.snd.lowat = MCLBYTES as i32;
    }
    if socket.snd.lowat as u32 > socket.snd.hiwat {
        socket.snd.lowat = socket.snd.hiwat as i32;
    }
    Ok(())
}

/// Tells everybody who may care that something arrived.
pub fn sorwakeup(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "sorwakeup");
    sowakeup(kernel, so, Side::Rcv);
    if let Some(upcall) = kernel.sockets[so].upcall {
        upcall(kernel, so);
    }
    events::end(kernel, so, "sorwakeup", Ok(()));
}

/// Tells everybody who may care that there is room to send.
pub fn sowwakeup(kernel: &mut Kernel, so: SocketId) {
    events::begin(kernel, so, "sowwakeup");
    sowakeup(kernel, so, Side::Snd);
    events::end(kernel, so, "sowwakeup", Ok(()));
}

/// Wakes those who select on a buffer and those who wait for it, and sends SIGIO where that is wanted.
fn sowakeup(kernel: &mut Kernel, so: SocketId, side: Side) {
    let socket = &mut kernel.sockets[so];
    let signalled = socket.state.contains(SockState::ASYNC);
    let sb = socket.side_mut(side);
    let selected = sb.sel.is_noted().then(|| std::mem::take(&mut sb.sel));
    let waited_for = sb.flags.contains(SockbufFlags::WAIT);
    sb.flags.remove(SockbufFlags::SEL | SockbufFlags::WAIT);
    if let Some(mut sel) = selected {
        selwakeup(kernel, &mut sel);
        kernel.sockets[so].side_mut(side).sel = sel;
    }
    if waited_for {
        kernel.wakeup(side.data(so));
    }
    if signalled {
        notify(kernel, so, SIGIO);
    }
}

/// Sends a signal to the owner of a socket: a process, or a group if the number is negative.
fn notify(kernel: &mut Kernel, so: SocketId, signal: u32) {
    let pgid = kernel.sockets[so].pgid;
    if pgid < 0 {
        signal::gsignal(kernel, pgid.wrapping_neg(), signal);
    } else if pgid > 0
        && let Some(owner) = kernel.procs.find(pgid)
    {
        signal::psignal(kernel, owner, signal);
    }
}

/// Out-of-band data arrived: SIGURG, and those who select are woken.
pub fn sohasoutofband(kernel: &mut Kernel, so: SocketId) {
    notify(kernel, so, signal::SIGURG);
    let mut sel = std::mem::take(&mut kernel.sockets[so].rcv.sel);
    selwakeup(kernel, &mut sel);
    kernel.sockets[so].rcv.sel = sel;
}

/// The sleep of one who waits for data or room (`sbwait`).
pub(super) fn sbwait(kernel: &mut Kernel, so: SocketId, side: Side) -> Sleep {
    let sb = kernel.sockets[so].side_mut(side);
    sb.flags.insert(SockbufFlags::WAIT);
    sb_sleep(sb, side.data(so), ticks(sb.timeo))
}

/// Takes the lock of a buffer; false for one who must wait for it in [`sb_lock`] (`sblock`).
///
/// The original's macro always yields 0, whatever `sb_lock` said (a comma operator, socketvar.h): one
/// who may not wait, or whose wait a signal ends, goes on without the lock.  Callers do the same.
#[inline]
pub(super) fn sblock(sb: &mut Sockbuf, may_wait: bool) -> bool {
    let free = !sb.flags.contains(SockbufFlags::LOCK);
    sb.flags.insert(SockbufFlags::LOCK);
    free || !may_wait
}

/// The sleep of one who waits for the lock of a buffer (`sb_lock`).
pub(super) fn sb_lock(kernel: &mut Kernel, so: SocketId, side: Side) -> Sleep {
    let sb = kernel.sockets[so].side_mut(side);
    sb.flags.insert(SockbufFlags::WANT);
    sb_sleep(sb, side.lock(so), None)
}

/// Gives the lock of a buffer back and wakes those who want it.
#[inline]
pub(super) fn sbunlock(kernel: &mut Kernel, so: SocketId, side: Side) {
    let flags = &mut kernel.sockets[so].side_mut(side).flags;
    flags.remove(SockbufFlags::LOCK);
    if flags.contains(SockbufFlags::WANT) {
        flags.remove(SockbufFlags::WANT);
        kernel.wakeup(side.lock(so));
    }
}

fn sb_sleep(sb: &Sockbuf, channel: Channel, timeout_ticks: Option<u32>) -> Sleep {
    let catch = !sb.flags.contains(SockbufFlags::NOINTR);
    Sleep { channel, priority: priority::PSOCK, catch, wmesg: "netio", timeout_ticks }
}

/// A time limit that is kept as a short: zero is none, and a negative one is over at the next tick.
pub(super) fn ticks(timeo: i16) -> Option<u32> {
    match timeo {
        0 => None,
        t => Some(u32::try_from(t).unwrap_or(1).max(1)),
    }
}
