//! Socket operations but for sending and receiving: what calls do to a socket, by way of its protocol.
//!
//! This file does not know descriptors, guest memory or any protocol.
//!
//! 2.1 counterpart: kern/uipc_socket.c (socreate to sodisconnect, soshutdown, sorflush).

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

use super::mbuf::Mbuf;
use super::protosw::{ProtoFlags, UserRequest, domain, pffindproto, pffindtype};
use super::records::Records;
use super::sockbuf::SockbufFlags;
use super::socket::{SockState, Socket, SocketId, SocketOptions};
use super::state::{Queue, sb_lock, sblock, sbunlock, socantrcvmore, soqremque, ticks};
use super::{Resume, Side, events, pr_usrreq};
use crate::kernel::net::netisr;
use crate::kernel::synch::{self, Channel, Sleep, Wake, priority};
use crate::kernel::{Context, Kernel, Sysret};

/// Makes a socket: chooses the protocol and attaches it.
///
/// An unknown family, type or protocol are all EPROTONOSUPPORT, since the search fails before the types
/// are compared.
pub fn socreate(
    cx: &mut Context<'_>,
    family: Family,
    kind: SockType,
    protocol: i32,
) -> Result<SocketId, Errno> {
    events::begin_with(cx.kernel, None, "socreate", || format!("({family}, {kind}, {protocol})"));
    let made = make(cx, family, kind, protocol);
    events::end(cx.kernel, made.ok(), "socreate", made.map(drop));
    made
}

fn make(cx: &mut Context<'_>, family: Family, kind: SockType, protocol: i32) -> Result<SocketId, Errno> {
    let found = if protocol == 0 { pffindtype(family, kind) } else { pffindproto(family, protocol, kind) };
    let proto = found.filter(|pr| pr.usrreq.is_some()).ok_or(Errno::EPROTONOSUPPORT)?;
    if proto.kind != Some(kind) {
        return Err(Errno::EPROTOTYPE);
    }
    let mut socket = Socket::new(kind, proto);
    if cx.proc().cred.is_superuser() {
        socket.state = SockState::PRIV;
    }
    let so = cx.kernel.sockets.insert(socket);
    let search = if protocol == 0 { "pffindtype" } else { "pffindproto" };
    events::note_with(cx.kernel, so, search, || proto.describe());
    if let Err(error) = pr_usrreq(cx, so, UserRequest::Attach { protocol }) {
        cx.kernel.sockets[so].state.insert(SockState::NOFDREF);
        sofree(cx, so);
        return Err(error);
    }
    Ok(so)
}

/// Gives a socket an address.
pub fn sobind(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    events::within(cx, so, "sobind", |cx| pr_usrreq(cx, so, UserRequest::Bind { nam }))
}

/// Lets a socket wait for connections; calling it again changes the limit only.
pub fn solisten(cx: &mut Context<'_>, so: SocketId, backlog: i32) -> Result<(), Errno> {
    events::within(cx, so, "solisten", |cx| {
        let somaxconn = cx.kernel.system.somaxconn;
        let granted = if (0..=somaxconn).contains(&backlog) { backlog } else { somaxconn };
        pr_usrreq(cx, so, UserRequest::Listen { backlog: granted })?;
        let socket = &mut cx.kernel.sockets[so];
        if socket.q.is_empty() {
            socket.options.insert(SocketOptions::ACCEPTCONN);
        }
        socket.qlimit = granted as i16;
        Ok(())
    })
}

/// Frees a socket that neither a protocol nor an open file refers to, with what waits in it.
pub fn sofree(cx: &mut Context<'_>, so: SocketId) {
    let family = cx.kernel.sockets[so].proto.family;
    let left = free(cx.kernel, so);
    dispose(cx, family, left);
}

/// [`sofree`] for protocols whose messages carry no rights, which may let go when no process runs; gives
/// what waited in the socket.
pub(in crate::kernel) fn free(kernel: &mut Kernel, so: SocketId) -> Records {
    let socket = &kernel.sockets[so];
    if socket.pcb.is_some() || !socket.state.contains(SockState::NOFDREF) {
        return Records::new();
    }
    if socket.head.is_some() && !soqremque(kernel, so, Queue::Partial) {
        soqremque(kernel, so, Queue::Complete);
    }
    events::begin(kernel, so, "sofree");
    kernel.sockets[so].snd.release();
    let left = flush(kernel, so);
    kernel.sockets.remove(so);
    events::end(kernel, so, "sofree", Ok(()));
    left
}

/// Closes a socket on the last close of its file: dissolves the connection, and lingers if that is wanted.
///
/// The network is held off meanwhile, but for the wait.  Lingering counts ticks, not seconds, and whether it is
/// over in time is nobody's business.
pub fn soclose(cx: &mut Context<'_>, so: SocketId) -> Sysret<()> {
    events::within(cx, so, "soclose", |cx| {
        netisr::hold(cx.kernel);
        let closed = close(cx, so);
        netisr::release(cx.kernel);
        match closed? {
            Some(linger) => sleep_lingering(cx, so, linger, Ok(())),
            None => Ok(()),
        }
    })
}

/// The time to linger, if that is wanted; else everything is done.
fn close(cx: &mut Context<'_>, so: SocketId) -> Result<Option<i16>, Errno> {
    if cx.kernel.sockets[so].options.contains(SocketOptions::ACCEPTCONN) {
        while let Some(&waiting) = cx.kernel.sockets[so].q0.front() {
            soabort(cx, waiting);
        }
        while let Some(&waiting) = cx.kernel.sockets[so].q.front() {
            soabort(cx, waiting);
        }
    }
    let mut error = Ok(());
    let socket = &cx.kernel.sockets[so];
    if socket.pcb.is_some() && socket.state.contains(SockState::ISCONNECTED) {
        if !socket.state.contains(SockState::ISDISCONNECTING) {
            error = sodisconnect(cx, so);
        }
        let socket = &cx.kernel.sockets[so];
        let without_waiting = socket.state.contains(SockState::ISDISCONNECTING | SockState::NBIO);
        let lingers = socket.options.contains(SocketOptions::LINGER) && !without_waiting;
        if error.is_ok() && lingers && socket.state.contains(SockState::ISCONNECTED) {
            return Ok(Some(socket.linger));
        }
    }
    detach(cx, so, error)?;
    Ok(None)
}

/// The end of a close: the protocol lets go, and what nobody refers to is freed (the labels `drop` and
/// `discard`).
fn detach(cx: &mut Context<'_>, so: SocketId, error: Result<(), Errno>) -> Result<(), Errno> {
    let mut error = error;
    if cx.kernel.sockets[so].pcb.is_some() {
        error = error.and(pr_usrreq(cx, so, UserRequest::Detach));
    }
    // A protocol that has done with it may have freed it by now.
    if let Some(socket) = cx.kernel.sockets.get_mut(so) {
        socket.state.insert(SockState::NOFDREF);
        sofree(cx, so);
    }
    error
}

/// Ends the close of a socket that lingers.
pub fn end_lingering(cx: &mut Context<'_>, so: SocketId) {
    if cx.kernel.sockets.get(so).is_some() {
        netisr::hold(cx.kernel);
        // The file is gone: nobody is left to be told.
        let _ = detach(cx, so, Ok(()));
        netisr::release(cx.kernel);
    }
}

fn sleep_lingering(cx: &mut Context<'_>, so: SocketId, linger: i16, over: Sysret<()>) -> Sysret<()> {
    let connected = cx.kernel.sockets.get(so).is_some_and(|s| s.state.contains(SockState::ISCONNECTED));
    if !connected || over.is_err() {
        end_lingering(cx, so);
        return over;
    }
    let sleep = Sleep {
        channel: Channel::SocketState(so),
        priority: priority::PSOCK,
        catch: true,
        wmesg: "netcls",
        timeout_ticks: ticks(linger),
    };
    synch::sleep(sleep, Resume::Linger { so, linger }.into())
}

/// Goes on with a close that lingers.
pub(super) fn resume_linger(cx: &mut Context<'_>, so: SocketId, linger: i16, wake: Wake) -> Sysret<()> {
    let over = match wake {
        Wake::Woken => Ok(()),
        Wake::TimedOut => Err(Errno::EWOULDBLOCK.into()),
        Wake::Interrupted(how) => Err(how.into()),
    };
    sleep_lingering(cx, so, linger, over)
}

/// Aborts a connection that nobody has accepted.
pub fn soabort(cx: &mut Context<'_>, so: SocketId) {
    let aborted = events::within(cx, so, "soabort", |cx| pr_usrreq(cx, so, UserRequest::Abort));
    // A protocol that refuses would keep the socket in its queue for ever.
    if aborted.is_err() && !soqremque(cx.kernel, so, Queue::Partial) {
        soqremque(cx.kernel, so, Queue::Complete);
    }
}

/// Gives a connection to its accepter, with the peer's address in `nam`.
pub fn soaccept(cx: &mut Context<'_>, so: SocketId, nam: &mut Mbuf) -> Result<(), Errno> {
    events::within(cx, so, "soaccept", |cx| {
        cx.kernel.sockets[so].state.remove(SockState::NOFDREF);
        pr_usrreq(cx, so, UserRequest::Accept { nam })
    })
}

/// Connects a socket: once only where the protocol needs connections; else an earlier connection is
/// dissolved first, even if the new one then fails.
pub fn soconnect(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    events::within(cx, so, "soconnect", |cx| connect(cx, so, nam))
}

fn connect(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    let socket = &cx.kernel.sockets[so];
    if socket.options.contains(SocketOptions::ACCEPTCONN) {
        return Err(Errno::EOPNOTSUPP);
    }
    if socket.state.intersects(SockState::ISCONNECTED | SockState::ISCONNECTING)
        && (socket.is(ProtoFlags::CONNREQUIRED) || sodisconnect(cx, so).is_err())
    {
        return Err(Errno::EISCONN);
    }
    pr_usrreq(cx, so, UserRequest::Connect { nam })
}

/// Connects two sockets directly.
pub fn soconnect2(cx: &mut Context<'_>, so1: SocketId, so2: SocketId) -> Result<(), Errno> {
    events::begin_with(cx.kernel, Some(so1), "soconnect2", || format!("to so{so2:?}"));
    let connected = pr_usrreq(cx, so1, UserRequest::Connect2 { so2 });
    events::end(cx.kernel, so1, "soconnect2", connected);
    connected
}

/// Begins to dissolve a connection.
pub fn sodisconnect(cx: &mut Context<'_>, so: SocketId) -> Result<(), Errno> {
    events::within(cx, so, "sodisconnect", |cx| disconnect(cx, so))
}

fn disconnect(cx: &mut Context<'_>, so: SocketId) -> Result<(), Errno> {
    let state = cx.kernel.sockets[so].state;
    if !state.contains(SockState::ISCONNECTED) {
        return Err(Errno::ENOTCONN);
    }
    if state.contains(SockState::ISDISCONNECTING) {
        return Err(Errno::EALREADY);
    }
    pr_usrreq(cx, so, UserRequest::Disconnect)
}

/// Shuts down one or both directions.  `how` is only incremented and tested bit by bit, so that any
/// number means something.
pub fn soshutdown(cx: &mut Context<'_>, so: SocketId, how: i32) -> Sysret<()> {
    const READ: i32 = 1;
    let how = how.wrapping_add(1);
    events::within(cx, so, "soshutdown", |cx| {
        if how & READ != 0
            && let Some(sleep) = lock_to_flush(cx.kernel, so)
        {
            return synch::sleep(sleep, Resume::Shutdown { so, how }.into());
        }
        shutdown_locked(cx, so, how)
    })
}

fn shutdown_locked(cx: &mut Context<'_>, so: SocketId, how: i32) -> Sysret<()> {
    const READ: i32 = 1;
    const WRITE: i32 = 2;
    if how & READ != 0 {
        let family = cx.kernel.sockets[so].proto.family;
        let left = flush_locked(cx.kernel, so);
        dispose(cx, family, left);
    }
    if how & WRITE != 0 {
        pr_usrreq(cx, so, UserRequest::Shutdown)?;
    }
    Ok(())
}

/// Goes on with a shutdown that waited for a reader's lock; its sleep is not interruptible.
pub(super) fn resume_shutdown(cx: &mut Context<'_>, so: SocketId, how: i32) -> Sysret<()> {
    if let Some(sleep) = lock_to_flush(cx.kernel, so) {
        return synch::sleep(sleep, Resume::Shutdown { so, how }.into());
    }
    shutdown_locked(cx, so, how)
}

/// Throws away what waits to be received, and all settings of that side; rights in it are released.
/// Nobody reads a socket for which this is called outside of shutdown, so its lock is free.
pub fn sorflush(cx: &mut Context<'_>, so: SocketId) {
    let family = cx.kernel.sockets[so].proto.family;
    let left = flush(cx.kernel, so);
    dispose(cx, family, left);
}

fn lock_to_flush(kernel: &mut Kernel, so: SocketId) -> Option<Sleep> {
    let rcv = &mut kernel.sockets[so].rcv;
    rcv.flags.insert(SockbufFlags::NOINTR);
    if sblock(rcv, true) { None } else { Some(sb_lock(kernel, so, Side::Rcv)) }
}

fn flush(kernel: &mut Kernel, so: SocketId) -> Records {
    kernel.sockets[so].rcv.flags.insert(SockbufFlags::NOINTR | SockbufFlags::LOCK);
    flush_locked(kernel, so)
}

fn flush_locked(kernel: &mut Kernel, so: SocketId) -> Records {
    events::begin(kernel, so, "sorflush");
    socantrcvmore(kernel, so);
    sbunlock(kernel, so, Side::Rcv);
    let left = std::mem::take(&mut kernel.sockets[so].rcv).records;
    events::end(kernel, so, "sorflush", Ok(()));
    left
}

/// Releases the rights in records that left a buffer, if the family passes any.
fn dispose(cx: &mut Context<'_>, family: Family, records: Records) {
    if !records.is_empty()
        && let Some(dispose) = domain(family).and_then(|d| d.dispose)
    {
        dispose(cx, records);
    }
}
