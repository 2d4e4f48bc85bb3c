//! Names of the local domain: binding a socket to a node of the file system, and connecting by one.
//!
//! This file does not know the file system; [`names`] does.
//!
//! 2.1 counterpart: kern/uipc_usrreq.c (unp_bind, unp_connect, unp_connect2).

use syscalls::errno::Errno;
use syscalls::flags::SockType;

use super::super::events;
use super::super::lent::{self, Through};
use super::super::mbuf::{MLEN, Mbuf};
use super::super::protosw::ProtoFlags;
use super::super::socket::{SockState, SocketId, SocketOptions};
use super::super::state::{soisconnected, sonewconn};
use super::{names, unp, unp_mut};
use crate::kernel::{Context, Kernel};

/// Where the path begins in an address.
const SUN_PATH: usize = 2;

/// Binds a socket: makes a node in the file system that stands for it.
pub(super) fn bind(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    events::within(cx, so, "unp_bind", |cx| {
        if unp(cx.kernel, so).vnode.is_some() {
            return Err(Errno::EINVAL);
        }
        let path = path(nam).ok_or(Errno::EINVAL)?;
        let vnode = names::create(cx, path, so)?;
        let unp = unp_mut(cx.kernel, so);
        unp.vnode = Some(vnode);
        unp.addr = Some(nam.copy());
        Ok(())
    })
}

/// Connects a socket to the one that is bound to a name.  A stream is connected to a new socket, which
/// waits in the listener's queue.
pub(super) fn connect(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    events::within(cx, so, "unp_connect", |cx| connect_to(cx, so, nam))
}

fn connect_to(cx: &mut Context<'_>, so: SocketId, nam: &Mbuf) -> Result<(), Errno> {
    let path = path(nam).ok_or(Errno::EMSGSIZE)?;
    if cx.kernel.lent.has(path) && cx.kernel.sockets[so].is(ProtoFlags::CONNREQUIRED) {
        return lent::connect(cx, so, path);
    }
    let mut so2 = match names::lookup(cx, path) {
        Err(Errno::ECONNREFUSED) if cx.kernel.lent.outside => {
            let datagrams = !cx.kernel.sockets[so].is(ProtoFlags::CONNREQUIRED);
            let host = names::outside(cx, path, datagrams)?;
            return lent::begin(cx, so, host, Box::new(Through));
        }
        found => found?,
    };
    if cx.kernel.sockets[so].kind != cx.kernel.sockets[so2].kind {
        return Err(Errno::EPROTOTYPE);
    }
    if cx.kernel.sockets[so].is(ProtoFlags::CONNREQUIRED) {
        if !cx.kernel.sockets[so2].options.contains(SocketOptions::ACCEPTCONN) {
            return Err(Errno::ECONNREFUSED);
        }
        let so3 = sonewconn(cx, so2, SockState::empty()).ok_or(Errno::ECONNREFUSED)?;
        unp_mut(cx.kernel, so3).addr = unp(cx.kernel, so2).addr.as_ref().map(Mbuf::copy);
        so2 = so3;
    }
    connect2(cx.kernel, so, so2)
}

/// Connects two sockets: streams to each other, a datagram socket one way.
pub fn connect2(kernel: &mut Kernel, so: SocketId, so2: SocketId) -> Result<(), Errno> {
    events::begin_with(kernel, Some(so), "unp_connect2", || format!("to so{so2:?}"));
    let connected = link(kernel, so, so2);
    events::end(kernel, so, "unp_connect2", connected);
    connected
}

fn link(kernel: &mut Kernel, so: SocketId, so2: SocketId) -> Result<(), Errno> {
    if kernel.sockets[so2].kind != kernel.sockets[so].kind {
        return Err(Errno::EPROTOTYPE);
    }
    unp_mut(kernel, so).conn = Some(so2);
    if kernel.sockets[so].kind == SockType::Dgram {
        unp_mut(kernel, so2).refs.push(so);
        soisconnected(kernel, so);
    } else {
        unp_mut(kernel, so2).conn = Some(so);
        soisconnected(kernel, so);
        soisconnected(kernel, so2);
    }
    Ok(())
}

/// The path in an address, up to its first NUL.  One that fills the whole mbuf must bring its own; the
/// family is never looked at.
fn path(nam: &Mbuf) -> Option<&[u8]> {
    let bytes = nam.bytes();
    if bytes.len() == MLEN && bytes.last() != Some(&0) {
        return None;
    }
    bytes.get(SUN_PATH..).unwrap_or(&[]).split(|&byte| byte == 0).next()
}
