//! Accepting and connecting: the two calls that wait for the state of a connection.
//!
//! This file does not know any protocol.
//!
//! 2.1 counterpart: kern/uipc_syscalls.c (accept1, connect).

use syscalls::arg::Fd;
use syscalls::errno::Errno;

use super::Resume;
use super::calls::{copyout_name, open_socket};
use super::mbuf::{Mbuf, MbufType};
use super::msg::getsock;
use super::operations::{soaccept, soconnect};
use super::socket::{SockState, SocketId, SocketOptions};
use super::state::{Queue, soqremque};
use crate::kernel::file::{FileFlag, falloc};
use crate::kernel::synch::{self, Channel, Sleep, Wake, priority};
use crate::kernel::{Context, Stop, Sysret};

/// An accept in progress.
#[derive(Clone, Copy, Debug)]
pub struct Accept {
    so: SocketId,
    /// Where the peer's name goes; 0 for nowhere.
    name: u32,
    /// Room for it.
    namelen: i32,
    /// Where its length goes.
    lenp: u32,
    /// The family is written in 16 bits.
    compat: bool,
}

/// Takes a connection from a listening socket.
///
/// The room for the name is read before the descriptor is looked at.  Whether the socket may block is
/// tested once, before the wait.
pub(super) fn accept1(cx: &mut Context<'_>, fd: Fd, name: u32, lenp: u32, compat: bool) -> Sysret<Fd> {
    let namelen = if name == 0 { 0 } else { cx.read(lenp)? };
    let so = getsock(cx, fd)?;
    let socket = &cx.kernel.sockets[so];
    if !socket.options.contains(SocketOptions::ACCEPTCONN) {
        return Err(Errno::EINVAL.into());
    }
    if socket.state.contains(SockState::NBIO) && socket.q.is_empty() {
        return Err(Errno::EWOULDBLOCK.into());
    }
    accept(cx, Accept { so, name, namelen, lenp, compat })
}

/// Goes on with an accept after a sleep.
pub(super) fn resume_accept(cx: &mut Context<'_>, op: Accept, wake: Wake) -> Sysret<Fd> {
    match wake {
        Wake::Woken => accept(cx, op),
        Wake::TimedOut => Err(Errno::EWOULDBLOCK.into()),
        Wake::Interrupted(how) => Err(how.into()),
    }
}

fn accept(cx: &mut Context<'_>, op: Accept) -> Sysret<Fd> {
    let listener = &mut cx.kernel.sockets[op.so];
    if listener.q.is_empty() && listener.error.is_none() {
        if !listener.state.contains(SockState::CANTRCVMORE) {
            return synch::sleep(netcon(op.so), Resume::Accept(op).into());
        }
        listener.error = Some(Errno::ECONNABORTED);
    }
    if let Some(error) = listener.error.take() {
        return Err(error.into());
    }
    // When no descriptor is left the connection stays queued.
    let (fd, file) = falloc(cx)?;
    let Some(&so) = cx.kernel.sockets[op.so].q.front() else {
        unreachable!("a listener without an error has a connection here");
    };
    soqremque(cx.kernel, so, Queue::Complete);
    open_socket(cx, file, FileFlag::READ | FileFlag::WRITE, so);
    let mut nam = Mbuf::get(MbufType::Soname);
    // As in the original, an error of the protocol is nobody's business here.
    let _ = soaccept(cx, so, &mut nam);
    if op.name != 0 {
        // The connection is taken and stays open even if its name cannot be told.
        copyout_name(cx, nam, op.name, op.namelen, op.lenp, op.compat)?;
    }
    Ok(fd)
}

/// Connects a socket and waits until it is connected.
///
/// A wait that a signal ends is never started again: the second call would find the socket connecting.
pub(super) fn connect1(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Sysret<()> {
    let connecting = soconnect(cx, so, nam);
    if let Err(error) = connecting {
        return connect_done(cx, so, Err(error.into()));
    }
    if cx.kernel.sockets[so].state.contains(SockState::NBIO | SockState::ISCONNECTING) {
        return Err(Errno::EINPROGRESS.into());
    }
    wait_connected(cx, so)
}

/// Goes on with a connect after a sleep.
pub(super) fn resume_connect(cx: &mut Context<'_>, so: SocketId, wake: Wake) -> Sysret<()> {
    match wake {
        Wake::Woken => wait_connected(cx, so),
        Wake::TimedOut => connect_done(cx, so, Err(Errno::EWOULDBLOCK.into())),
        Wake::Interrupted(_) => connect_done(cx, so, Err(Errno::EINTR.into())),
    }
}

fn wait_connected(cx: &mut Context<'_>, so: SocketId) -> Sysret<()> {
    let socket = &mut cx.kernel.sockets[so];
    if socket.state.contains(SockState::ISCONNECTING) && socket.error.is_none() {
        return synch::sleep(netcon(so), Resume::Connect(so).into());
    }
    let result = socket.error.take().map_or(Ok(()), |error| Err(Stop::from(error)));
    connect_done(cx, so, result)
}

fn connect_done(cx: &mut Context<'_>, so: SocketId, result: Sysret<()>) -> Sysret<()> {
    cx.kernel.sockets[so].state.remove(SockState::ISCONNECTING);
    result
}

fn netcon(so: SocketId) -> Sleep {
    Sleep {
        channel: Channel::SocketState(so),
        priority: priority::PSOCK,
        catch: true,
        wmesg: "netcon",
        timeout_ticks: None,
    }
}
