//! Datagrams over the host: each one goes and comes whole, at once or not at all.
//!
//! 2.1 counterpart: netinet/udp_usrreq.c.

use syscalls::errno::Errno;

use super::super::in_pcb::{self, InpcbId, List, sotoinpcb};
use super::super::{INADDR_ANY, SockaddrIn, in_control, udp_usrreq};
use super::record::{self, Way};
use super::{Bridge, bind, learn_name, note, peer, piece, ports, set_options, socket_of, unreached};
use crate::host::error::HostResult;
use crate::host::net::Socket;
use crate::host::watch::Interest;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::protosw::{Message, UserRequest};
use crate::kernel::socket::socket::SockState;
use crate::kernel::socket::socket::SocketId;
use crate::kernel::socket::state::{socantsendmore, soisconnected, soisdisconnected, sorwakeup, sowwakeup};
use crate::kernel::{Context, Kernel};

/// Serves the requests of the socket layer.
pub(crate) fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    match request {
        UserRequest::Control { cmd, data } => return in_control::in_control(cx, so, cmd, data),
        UserRequest::Attach { .. } => return attach(cx.kernel, so),
        _ => {}
    }
    let id = sotoinpcb(cx.kernel, so)?;
    let done = serve(cx, so, id, request);
    note(cx.kernel, id);
    done
}

fn serve(cx: &mut Context<'_>, so: SocketId, id: InpcbId, request: UserRequest<'_>) -> Result<(), Errno> {
    let connected = cx.kernel.inet.inp(id).faddr != INADDR_ANY;
    match request {
        UserRequest::Detach => in_pcb::detach(cx.kernel, id),
        UserRequest::Bind { nam } => return bind(cx, id, Some(SockaddrIn::from_mbuf(nam)?)),
        UserRequest::Connect { .. } if connected => return Err(Errno::EISCONN),
        UserRequest::Connect { nam } => {
            let to = peer(SockaddrIn::from_mbuf(nam)?)?;
            set_options(cx.kernel, id);
            cx.kernel.inet.host(id)?.connect(&cx.kernel.tape, ports::outward(cx.kernel, true, to))?;
            let inp = cx.kernel.inet.inp_mut(id);
            (inp.faddr, inp.fport) = to;
            learn_name(cx.kernel, id);
            soisconnected(cx.kernel, so);
        }
        UserRequest::Disconnect if !connected => return Err(Errno::ENOTCONN),
        UserRequest::Disconnect => {
            cx.kernel.inet.host(id)?.disconnect(&cx.kernel.tape)?;
            let inp = cx.kernel.inet.inp_mut(id);
            (inp.faddr, inp.fport) = (INADDR_ANY, 0);
            learn_name(cx.kernel, id);
            cx.kernel.sockets[so].state.remove(SockState::ISCONNECTED);
        }
        UserRequest::Shutdown => socantsendmore(cx.kernel, so),
        UserRequest::Send(message) => return send(cx, id, message, connected),
        UserRequest::Abort => {
            soisdisconnected(cx.kernel, so);
            in_pcb::detach(cx.kernel, id);
        }
        UserRequest::Sockaddr { nam } => in_pcb::set_sockaddr(cx.kernel, id, nam),
        UserRequest::Peeraddr { nam } => in_pcb::set_peeraddr(cx.kernel, id, nam),
        UserRequest::Sense(_) => {}
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn attach(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    udp_usrreq::attach(kernel, so)?;
    let id = sotoinpcb(kernel, so)?;
    match Socket::datagram(&kernel.tape) {
        Ok(socket) => {
            *kernel.inet.inp_mut(id).host = Some(Bridge::new(socket));
            unreached::listen(kernel, id);
        }
        Err(error) => {
            in_pcb::detach(kernel, id);
            return Err(error.into());
        }
    }
    Ok(())
}

fn send(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>, connected: bool) -> Result<(), Errno> {
    let to = match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => Some(peer(SockaddrIn::from_mbuf(nam)?)?),
        None if !connected => return Err(Errno::ENOTCONN),
        None => None,
    };
    let data: Vec<u8> = message.m.iter().flat_map(|m| m.bytes().iter().copied()).collect();
    set_options(cx.kernel, id);
    let go = |kernel: &Kernel| -> Result<HostResult<usize>, Errno> {
        let host = kernel.inet.host(id)?;
        Ok(match to {
            Some(to) => host.send_to(&kernel.tape, &data, ports::outward(kernel, true, to)),
            None => host.send(&kernel.tape, &data, false),
        })
    };
    let mut sent = go(cx.kernel)?;
    // An error of an earlier datagram is not this one's.
    if sent.is_err() && unreached::receive(cx.kernel, id) {
        sent = go(cx.kernel)?;
    }
    if cx.kernel.inet.inp(id).lport == 0 {
        learn_name(cx.kernel, id);
    }
    match sent {
        Ok(_) => {
            let inp = cx.kernel.inet.inp(id);
            let to = to.unwrap_or((inp.faddr, inp.fport));
            record::datagram(cx.kernel, id, Way::Out, to, &data);
            Ok(())
        }
        // The queue of an interface that is full.
        Err(error) if error.would_block() => Err(Errno::ENOBUFS),
        Err(error) => Err(error.into()),
    }
}

/// Whether something can be received, and whether there is no room for it; nothing waits to be sent.
pub(super) fn wants(kernel: &Kernel, id: InpcbId) -> (Interest, bool) {
    let inp = kernel.inet.inp(id);
    let room = kernel.sockets[socket_of(kernel, id)].rcv.space() > 0;
    let named = inp.lport != 0 || inp.list == List::Raw;
    (Interest { read: named && room, write: false }, named && !room)
}

/// Takes the datagrams that the host has received, as long as there is room; one that does not fit is lost.
pub(super) fn receive(kernel: &mut Kernel, id: InpcbId) {
    let mut buffer = piece(kernel);
    receive_all(kernel, id, &mut buffer);
    kernel.inet.piece = buffer;
}

fn receive_all(kernel: &mut Kernel, id: InpcbId, buffer: &mut [u8]) {
    while kernel.inet.has(id) && wants(kernel, id).0.read {
        unreached::receive(kernel, id);
        let so = socket_of(kernel, id);
        let Ok(host) = kernel.inet.host(id) else { return };
        let received: HostResult<_> = host.receive_from(&kernel.tape, buffer);
        match received {
            Ok((length, from)) => {
                let (addr, port) = ports::inward(kernel, true, from);
                let data = buffer.get(..length).unwrap_or_default();
                record::datagram(kernel, id, Way::In, (addr, port), data);
                let data = Chain::of_packet(data);
                let name = SockaddrIn::new(addr, port).bytes();
                if kernel.sockets[so].rcv.append_addr(&name, Some(data), None) {
                    sorwakeup(kernel, so);
                }
            }
            Err(error) if error.would_block() => return,
            Err(error) => {
                kernel.sockets[so].error = Some(error.into());
                sorwakeup(kernel, so);
                sowwakeup(kernel, so);
                return;
            }
        }
    }
}
