//! The socket calls, as their manual pages tell them: find the socket, act, copy out, undo on failure.
//!
//! This file does not know how sockets work; it checks and copies in the original's order.
//!
//! 2.1 counterpart: kern/uipc_syscalls.c.

use syscalls::arg::{
    Fd, InBuf, MsgIn, MsgOut, OldMsgIn, OldMsgOut, OldSockAddrOut, Out, OutBuf, SockAddrIn, SockAddrOut,
    SockOptIn, SockOptOut, Unused,
};
use syscalls::errno::Errno;
use syscalls::flags::{Domain, MsgFlags, ShutdownHow, SockType};
use syscalls::layout::{Msghdr, Omsghdr};

use super::mbuf::{MLEN, Mbuf, MbufType};
use super::msg::{Outgoing, RecvCall, copyin_iov, getsock, old_family, recvit, sendit, sockargs};
use super::protosw::UserRequest;
use super::socket::{SockState, SocketId};
use super::{
    accept, port, pr_usrreq, sobind, soclose, soconnect2, socreate, sogetopt, solisten, sosetopt, soshutdown,
    unix,
};
use crate::kernel::file::uio::Iovec;
use crate::kernel::file::{self, FileFlag, FileId, FileObject, falloc};
use crate::kernel::{Context, Stop, Sysret};

/// Makes `file` an open socket.
pub(super) fn open_socket(cx: &mut Context<'_>, file: FileId, flag: FileFlag, so: SocketId) {
    let file = &mut cx.kernel.files[file];
    file.flag = flag;
    file.object = FileObject::Socket(so);
}

/// Creates a socket.  The descriptor comes first: a full table is EMFILE even for a bad domain.
pub fn socket(cx: &mut Context<'_>, domain: Domain, kind: SockType, protocol: i32) -> Sysret<Fd> {
    let (fd, file) = falloc(cx)?;
    match socreate(cx, domain, kind, protocol) {
        Ok(so) => {
            open_socket(cx, file, FileFlag::READ | FileFlag::WRITE, so);
            Ok(fd)
        }
        Err(error) => {
            file::release(cx, fd, file);
            Err(error.into())
        }
    }
}

/// Gives a socket an address.
pub fn bind(cx: &mut Context<'_>, fd: Fd, name: SockAddrIn) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    let nam = sockargs(cx, name.addr, name.len, MbufType::Soname)?;
    let bound = sobind(cx, so, &nam);
    port::or_wait(cx, bound.map_err(Stop::from))
}

/// Makes a socket accept connections.
pub fn listen(cx: &mut Context<'_>, fd: Fd, backlog: i32) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    let listening = solisten(cx, so, backlog);
    port::or_wait(cx, listening.map_err(Stop::from))
}

/// Takes a connection from a listening socket.
pub fn accept(cx: &mut Context<'_>, fd: Fd, name: SockAddrOut) -> Sysret<Fd> {
    accept::accept1(cx, fd, name.addr, name.lenp, false)
}

/// Takes a connection from a listening socket; the address has its old form.
pub fn oaccept(cx: &mut Context<'_>, fd: Fd, name: OldSockAddrOut) -> Sysret<Fd> {
    accept::accept1(cx, fd, name.addr, name.lenp, true)
}

/// Connects a socket to an address.
pub fn connect(cx: &mut Context<'_>, fd: Fd, name: SockAddrIn) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    let state = cx.kernel.sockets[so].state;
    if state.contains(SockState::NBIO | SockState::ISCONNECTING) {
        return Err(Errno::EALREADY.into());
    }
    let nam = sockargs(cx, name.addr, name.len, MbufType::Soname)?;
    let connected = accept::connect1(cx, so, &nam);
    port::or_wait(cx, connected)
}

/// Creates a pair of connected sockets: stored through `rsv`, and returned in both registers, too.
///
/// Datagram sockets are connected once each way.  If `rsv` is bad the pair exists all the same and
/// stays open (uipc_syscalls.c, socketpair).
pub fn socketpair(
    cx: &mut Context<'_>,
    domain: Domain,
    kind: SockType,
    protocol: i32,
    rsv: Out<[Fd; 2]>,
    _spare: Unused,
) -> Sysret<(u32, u32)> {
    let so1 = socreate(cx, domain, kind, protocol)?;
    let so2 = match socreate(cx, domain, kind, protocol) {
        Ok(so2) => so2,
        Err(error) => return undo(cx, error, [so1]),
    };
    let sv = match two_descriptors(cx, so1, so2, [FileFlag::READ | FileFlag::WRITE; 2]) {
        Ok(sv) => sv,
        Err(error) => return undo(cx, error, [so2, so1]),
    };
    let mut connected = soconnect2(cx, so1, so2);
    if connected.is_ok() && kind == SockType::Dgram {
        connected = soconnect2(cx, so2, so1);
    }
    if let Err(error) = connected {
        release_pair(cx, sv);
        return undo(cx, error, [so2, so1]);
    }
    cx.write(rsv.addr(), &sv)?;
    Ok((sv[0].0 as u32, sv[1].0 as u32))
}

/// Creates a pipe: a pair of connected stream sockets of which the first is open for reading and the
/// second for writing; the descriptors are returned in both registers.
pub fn pipe(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    let rso = socreate(cx, Domain::Unix, SockType::Stream, 0)?;
    let wso = match socreate(cx, Domain::Unix, SockType::Stream, 0) {
        Ok(wso) => wso,
        Err(error) => return undo(cx, error, [rso]),
    };
    let pair = match two_descriptors(cx, rso, wso, [FileFlag::READ, FileFlag::WRITE]) {
        Ok(pair) => pair,
        Err(error) => return undo(cx, error, [wso, rso]),
    };
    if let Err(error) = unix::connect2(cx.kernel, wso, rso) {
        release_pair(cx, pair);
        return undo(cx, error, [wso, rso]);
    }
    Ok((pair[0].0 as u32, pair[1].0 as u32))
}

/// Opens two sockets under the two lowest free descriptors, or none.
fn two_descriptors(
    cx: &mut Context<'_>,
    so1: SocketId,
    so2: SocketId,
    flags: [FileFlag; 2],
) -> Result<[Fd; 2], Errno> {
    let (fd1, file1) = falloc(cx)?;
    open_socket(cx, file1, flags[0], so1);
    match falloc(cx) {
        Ok((fd2, file2)) => {
            open_socket(cx, file2, flags[1], so2);
            Ok([fd1, fd2])
        }
        Err(error) => {
            file::release(cx, fd1, file1);
            Err(error)
        }
    }
}

fn release_pair(cx: &mut Context<'_>, pair: [Fd; 2]) {
    for fd in pair {
        if let Ok(file) = file::getfile(cx, fd) {
            file::release(cx, fd, file);
        }
    }
}

fn undo<T, const N: usize>(cx: &mut Context<'_>, error: Errno, sockets: [SocketId; N]) -> Sysret<T> {
    for so in sockets {
        // They were never connected, so nothing lingers.
        let _ = soclose(cx, so);
    }
    Err(error.into())
}

/// Sends data to an address, or over a connection if there is none.
pub fn sendto(cx: &mut Context<'_>, fd: Fd, buf: InBuf, flags: MsgFlags, to: SockAddrIn) -> Sysret<i32> {
    let iov = vec![Iovec { base: buf.addr, len: buf.len }];
    sendit(cx, fd, Outgoing { name: (to.addr, to.len), iov, ..Outgoing::default() }, flags)
}

/// Sends data over a connection.
pub fn osend(cx: &mut Context<'_>, fd: Fd, buf: InBuf, flags: MsgFlags) -> Sysret<i32> {
    let iov = vec![Iovec { base: buf.addr, len: buf.len }];
    sendit(cx, fd, Outgoing { iov, ..Outgoing::default() }, flags)
}

/// Sends a message with control information.
pub fn sendmsg(cx: &mut Context<'_>, fd: Fd, msg: MsgIn, flags: MsgFlags) -> Sysret<i32> {
    let msg: Msghdr = cx.read(msg.0)?;
    // Unlike its relatives it does not look at the list at all if that is empty.
    let iov = match msg.iovlen.get() {
        0 => Vec::new(),
        count => copyin_iov(cx, msg.iov.get(), count)?,
    };
    let message = Outgoing {
        name: (msg.name.get(), msg.namelen.get()),
        iov,
        control: (msg.control.get(), msg.controllen.get()),
        compat: false,
    };
    sendit(cx, fd, message, flags)
}

/// Sends a message with access rights, in the style of 4.3BSD.
pub fn osendmsg(cx: &mut Context<'_>, fd: Fd, msg: OldMsgIn, flags: MsgFlags) -> Sysret<i32> {
    let msg: Omsghdr = cx.read(msg.0)?;
    let iov = copyin_iov(cx, msg.iov.get(), msg.iovlen.get() as u32)?;
    let message = Outgoing {
        name: (msg.name.get(), msg.namelen.get() as u32),
        iov,
        control: (msg.accrights.get(), msg.accrightslen.get() as u32),
        compat: true,
    };
    sendit(cx, fd, message, flags)
}

/// Receives data and the sender's address.
pub fn recvfrom(
    cx: &mut Context<'_>,
    fd: Fd,
    buf: OutBuf,
    flags: MsgFlags,
    from: SockAddrOut,
) -> Sysret<i32> {
    let mut msg = Msghdr::default();
    if from.lenp != 0 {
        msg.namelen = cx.read(from.lenp)?;
    }
    msg.name.set(from.addr);
    msg.flags.set(flags.bits());
    let iov = vec![Iovec { base: buf.addr, len: buf.cap }];
    recvit(cx, fd, iov, msg, from.lenp, RecvCall::Recvfrom)
}

/// Receives data and the sender's address in its old form.
pub fn orecvfrom(
    cx: &mut Context<'_>,
    fd: Fd,
    buf: OutBuf,
    flags: MsgFlags,
    from: OldSockAddrOut,
) -> Sysret<i32> {
    let from = SockAddrOut { addr: from.addr, lenp: from.lenp };
    recvfrom(cx, fd, buf, flags | MsgFlags::COMPAT, from)
}

/// Receives data from a connection.
pub fn orecv(cx: &mut Context<'_>, fd: Fd, buf: OutBuf, flags: MsgFlags) -> Sysret<i32> {
    let mut msg = Msghdr::default();
    msg.flags.set(flags.bits());
    let iov = vec![Iovec { base: buf.addr, len: buf.cap }];
    recvit(cx, fd, iov, msg, 0, RecvCall::Recvfrom)
}

/// Receives a message with control information; the whole header is stored again.
pub fn recvmsg(cx: &mut Context<'_>, fd: Fd, msg: MsgOut, flags: MsgFlags) -> Sysret<i32> {
    let mut header: Msghdr = cx.read(msg.0)?;
    let iov = copyin_iov(cx, header.iov.get(), header.iovlen.get())?;
    header.flags.set((flags - MsgFlags::COMPAT).bits());
    recvit(cx, fd, iov, header, 0, RecvCall::Recvmsg { msg: msg.0 })
}

/// Receives a message with access rights, in the style of 4.3BSD.
pub fn orecvmsg(cx: &mut Context<'_>, fd: Fd, msg: OldMsgOut, flags: MsgFlags) -> Sysret<i32> {
    let old: Omsghdr = cx.read(msg.0)?;
    let iov = copyin_iov(cx, old.iov.get(), old.iovlen.get() as u32)?;
    let mut header = Msghdr { name: old.name, control: old.accrights, ..Msghdr::default() };
    header.namelen.set(old.namelen.get() as u32);
    header.controllen.set(old.accrightslen.get() as u32);
    header.flags.set((flags | MsgFlags::COMPAT).bits());
    let namelenp = msg.0.wrapping_add(4);
    recvit(cx, fd, iov, header, namelenp, RecvCall::Orecvmsg { msg: msg.0 })
}

/// Ends one or both halves of a connection.
pub fn shutdown(cx: &mut Context<'_>, fd: Fd, how: ShutdownHow) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    soshutdown(cx, so, how.raw() as i32)
}

/// Sets an option of a socket.
pub fn setsockopt(cx: &mut Context<'_>, fd: Fd, option: SockOptIn) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    if option.len as usize > MLEN {
        return Err(Errno::EINVAL.into());
    }
    let mut value = None;
    if option.addr != 0 {
        let mut m = Mbuf::get(MbufType::Soopts);
        m.set_len(option.len as usize);
        cx.copyin(option.addr, m.bytes_mut())?;
        value = Some(m);
    }
    Ok(sosetopt(cx.kernel, so, option.level.raw(), option.name, value.as_ref())?)
}

/// Reports an option of a socket.
pub fn getsockopt(cx: &mut Context<'_>, fd: Fd, option: SockOptOut) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    let room: i32 = if option.addr == 0 { 0 } else { cx.read(option.lenp)? };
    let value = sogetopt(cx.kernel, so, option.level.raw(), option.name)?;
    if option.addr == 0 || room == 0 {
        return Ok(());
    }
    let len = usize::try_from(room).unwrap_or(0).min(value.len());
    if len > 0 {
        cx.copyout(option.addr, &value.bytes()[..len])?;
    }
    Ok(cx.write(option.lenp, &(len as u32))?)
}

/// Reports the address of a socket.
pub fn getsockname(cx: &mut Context<'_>, fd: Fd, name: SockAddrOut) -> Sysret<()> {
    getsockname1(cx, fd, name.addr, name.lenp, false)
}

/// Reports the address of a socket in its old form.
pub fn ogetsockname(cx: &mut Context<'_>, fd: Fd, name: OldSockAddrOut) -> Sysret<()> {
    getsockname1(cx, fd, name.addr, name.lenp, true)
}

fn getsockname1(cx: &mut Context<'_>, fd: Fd, asa: u32, alen: u32, compat: bool) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    let len = cx.read(alen)?;
    let mut nam = Mbuf::get(MbufType::Soname);
    pr_usrreq(cx, so, UserRequest::Sockaddr { nam: &mut nam })?;
    Ok(copyout_name(cx, nam, asa, len, alen, compat)?)
}

/// Reports the address of the peer.
pub fn getpeername(cx: &mut Context<'_>, fd: Fd, name: SockAddrOut) -> Sysret<()> {
    getpeername1(cx, fd, name.addr, name.lenp, false)
}

/// Reports the address of the peer in its old form.
pub fn ogetpeername(cx: &mut Context<'_>, fd: Fd, name: OldSockAddrOut) -> Sysret<()> {
    getpeername1(cx, fd, name.addr, name.lenp, true)
}

fn getpeername1(cx: &mut Context<'_>, fd: Fd, asa: u32, alen: u32, compat: bool) -> Sysret<()> {
    let so = getsock(cx, fd)?;
    if !cx.kernel.sockets[so].state.intersects(SockState::ISCONNECTED | SockState::ISCONFIRMING) {
        return Err(Errno::ENOTCONN.into());
    }
    let len = cx.read(alen)?;
    let mut nam = Mbuf::get(MbufType::Soname);
    pr_usrreq(cx, so, UserRequest::Peeraddr { nam: &mut nam })?;
    Ok(copyout_name(cx, nam, asa, len, alen, compat)?)
}

/// Stores a name, cut to the room, and then its length.  A negative room is a huge one: EFAULT.
pub(super) fn copyout_name(
    cx: &mut Context<'_>,
    mut nam: Mbuf,
    address: u32,
    room: i32,
    lenp: u32,
    compat: bool,
) -> Result<(), Errno> {
    if compat {
        old_family(&mut nam);
    }
    let len = usize::try_from(room).map_err(|_| Errno::EFAULT)?.min(nam.len());
    cx.copyout(address, &nam.bytes()[..len])?;
    cx.write(lenp, &(len as u32))
}
