//! Sockets as open files: what read, write, ioctl, select, fstat and close do to them.
//!
//! This file does not know descriptors, nor any protocol.
//!
//! 2.1 counterpart: kern/sys_socket.c.

use syscalls::errno::Errno;
use syscalls::flags::MsgFlags;
use syscalls::ioctl::{FIOASYNC, FIONBIO, FIONREAD, Request, SIOCATMARK, SIOCGPGRP, SIOCSPGRP};
use syscalls::layout::Stat;

use super::chain::Chain;
use super::operations::soclose;
use super::protosw::{Sense, UserRequest};
use super::sockbuf::SockbufFlags;
use super::socket::{Side, SockState, SocketId};
use super::soreceive::{Caller, Soreceive, soreceive};
use super::sosend::{Sosend, sosend};
use super::{events, pr_usrreq};
use crate::kernel::file::Uio;
use crate::kernel::file::select::{Which, selrecord};
use crate::kernel::net::ioctl::ifioctl;
use crate::kernel::{Context, Sysret};

/// File type of sockets in a mode (S_IFSOCK).
const S_IFSOCK: u16 = 0o140_000;

/// Reads from a socket.
#[inline]
pub fn soo_read(cx: &mut Context<'_>, so: SocketId, uio: Uio) -> Sysret<i32> {
    let receive = Soreceive::new(so, uio, Caller::Read);
    if cx.kernel.observed() { observed_read(cx, so, receive) } else { soreceive(cx, receive) }
}

#[cold]
fn observed_read(cx: &mut Context<'_>, so: SocketId, receive: Soreceive) -> Sysret<i32> {
    events::within(cx, so, "soo_read", |cx| events::within(cx, so, "soreceive", |cx| soreceive(cx, receive)))
}

/// Writes to a socket.
#[inline]
pub fn soo_write(cx: &mut Context<'_>, so: SocketId, uio: Uio) -> Sysret<i32> {
    let send = Sosend::new(so, None, uio, Chain::new(), MsgFlags::empty());
    if cx.kernel.observed() { observed_write(cx, so, send) } else { sosend(cx, send) }
}

#[cold]
fn observed_write(cx: &mut Context<'_>, so: SocketId, send: Sosend) -> Sysret<i32> {
    events::within(cx, so, "soo_write", |cx| events::within(cx, so, "sosend", |cx| sosend(cx, send)))
}

/// Does what an ioctl asks of a socket.  Interface and routing requests go to the internet domain,
/// unknown ones to the protocol.
pub fn soo_ioctl(cx: &mut Context<'_>, so: SocketId, request: u32, data: &mut Vec<u8>) -> Sysret<()> {
    events::within(cx, so, "soo_ioctl", |cx| ioctl(cx, so, request, data))
}

fn ioctl(cx: &mut Context<'_>, so: SocketId, request: u32, data: &mut Vec<u8>) -> Sysret<()> {
    let socket = &mut cx.kernel.sockets[so];
    let word = data.first_chunk().map_or(0, |word| i32::from_le_bytes(*word));
    let answer = match request {
        FIONBIO => {
            socket.state.set(SockState::NBIO, word != 0);
            return Ok(());
        }
        FIOASYNC => {
            socket.state.set(SockState::ASYNC, word != 0);
            socket.rcv.flags.set(SockbufFlags::ASYNC, word != 0);
            socket.snd.flags.set(SockbufFlags::ASYNC, word != 0);
            return Ok(());
        }
        SIOCSPGRP => {
            socket.pgid = word;
            return Ok(());
        }
        // Control information and senders' names count, too.
        FIONREAD => socket.rcv.cc as i32,
        SIOCGPGRP => socket.pgid,
        SIOCATMARK => i32::from(socket.state.contains(SockState::RCVATMARK)),
        _ => return Ok(other_ioctl(cx, so, request, data)?),
    };
    if let Some(word) = data.first_chunk_mut() {
        *word = answer.to_le_bytes();
    }
    Ok(())
}

/// Requests that are not the socket layer's own, by their group.
fn other_ioctl(cx: &mut Context<'_>, so: SocketId, request: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    match Request(request).group() {
        b'i' => ifioctl(cx, so, request, data),
        // Multicast routing, which is not there.
        b'r' => Err(Errno::EOPNOTSUPP),
        _ => pr_usrreq(cx, so, UserRequest::Control { cmd: request, data }),
    }
}

/// Whether a socket is ready; if not, the process is noted.
pub fn soo_select(cx: &mut Context<'_>, so: SocketId, which: Which) -> bool {
    let socket = &cx.kernel.sockets[so];
    let (ready, side) = match which {
        Which::Read => (socket.readable(), Side::Rcv),
        Which::Write => (socket.writeable(), Side::Snd),
        Which::Except => (socket.oobmark != 0 || socket.state.contains(SockState::RCVATMARK), Side::Rcv),
    };
    events::note_with(cx.kernel, so, "soo_select", || {
        format!("{which:?}: {}", if ready { "ready" } else { "selrecord" })
    });
    if ready {
        return true;
    }
    let selector = cx.id;
    let mut sel = cx.kernel.sockets[so].side_mut(side).sel;
    selrecord(cx.kernel, selector, &mut sel);
    let sb = cx.kernel.sockets[so].side_mut(side);
    sb.sel = sel;
    sb.flags.insert(SockbufFlags::SEL);
    false
}

/// What fstat tells of a socket: its type without permissions, and what the protocol knows.
pub fn soo_stat(cx: &mut Context<'_>, so: SocketId) -> Result<Stat, Errno> {
    let mut sense = Sense::default();
    events::within(cx, so, "soo_stat", |cx| pr_usrreq(cx, so, UserRequest::Sense(&mut sense)))?;
    let mut stat = Stat::default();
    stat.mode.set(S_IFSOCK);
    stat.blksize.set(sense.blksize);
    stat.dev.set(sense.dev as u32);
    stat.ino.set(sense.ino);
    Ok(stat)
}

/// Closes a socket with its file.
pub fn soo_close(cx: &mut Context<'_>, so: SocketId) -> Sysret<()> {
    events::within(cx, so, "soo_close", |cx| soclose(cx, so))
}
