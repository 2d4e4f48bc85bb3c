//! Streams over the host: connecting, accepting, moving bytes, ending.
//!
//! The states are TCP's as far as a guest can see them; segments, timers and TIME_WAIT are the host's.
//!
//! 2.1 counterpart: netinet/tcp_usrreq.c, tcp_input.c.

use syscalls::errno::Errno;

use super::super::in_pcb::{self, InpcbId, sotoinpcb};
use super::super::tcp_fsm::TcpState;
use super::super::tcp_usrreq;
use super::super::{INADDR_ANY, SockaddrIn, in_control};
use super::record::{self, Way};
use super::{Bridge, PIECE, bind, learn_name, note, peer, piece, ports, set_options, socket_of};
use crate::host::error::HostError;
use crate::host::net::Socket;
use crate::host::watch::Interest;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags};
use crate::kernel::socket::protosw::{Message, UserRequest};
use crate::kernel::socket::socket::{SockState, SocketId, SocketOptions};
use crate::kernel::socket::state::{
    socantrcvmore, socantsendmore, sohasoutofband, soisconnected, soisconnecting, soisdisconnected,
    soisdisconnecting, sonewconn, sorwakeup, sowwakeup,
};
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
    match request {
        UserRequest::Detach if state(cx.kernel, id) > TcpState::Listen => disconnect(cx, id),
        UserRequest::Detach => close(cx.kernel, id),
        UserRequest::Bind { nam } => {
            let sin = SockaddrIn::from_mbuf(nam)?;
            if sin.is_inet() && sin.addr.is_multicast() {
                return Err(Errno::EAFNOSUPPORT);
            }
            return bind(cx, id, Some(sin));
        }
        UserRequest::Listen { backlog } => {
            if cx.kernel.inet.inp(id).lport == 0 {
                bind(cx, id, None)?;
            }
            cx.kernel.inet.host(id)?.listen(&cx.kernel.tape, backlog)?;
            set_state(cx.kernel, id, TcpState::Listen);
        }
        UserRequest::Connect { nam } => return connect(cx, id, nam),
        UserRequest::Disconnect => disconnect(cx, id),
        UserRequest::Accept { nam } | UserRequest::Peeraddr { nam } => {
            in_pcb::set_peeraddr(cx.kernel, id, nam);
        }
        UserRequest::Shutdown => {
            socantsendmore(cx.kernel, so);
            user_closed(cx.kernel, id);
        }
        UserRequest::Rcvd { .. } => received(cx.kernel, id),
        UserRequest::Send(message) => return send(cx, id, message, false),
        UserRequest::SendOob(message) => return send(cx, id, message, true),
        UserRequest::SendEof(message) => {
            send(cx, id, message, false)?;
            socantsendmore(cx.kernel, so);
            user_closed(cx.kernel, id);
        }
        UserRequest::RcvOob { m, flags } => {
            return tcp_usrreq::receive_oob(cx.kernel, so, id, m, !flags.is_empty());
        }
        UserRequest::Abort => {
            let _ = cx.kernel.inet.host(id)?.reset_at_close();
            fail(cx.kernel, id, Some(Errno::ECONNABORTED));
        }
        UserRequest::Sense(sense) => sense.blksize = cx.kernel.sockets[so].snd.hiwat,
        UserRequest::Sockaddr { nam } => in_pcb::set_sockaddr(cx.kernel, id, nam),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn state(kernel: &Kernel, id: InpcbId) -> TcpState {
    kernel.inet.get(id).and_then(|inp| inp.tcp.as_ref()).map_or(TcpState::Closed, |tp| tp.state)
}

fn set_state(kernel: &mut Kernel, id: InpcbId, state: TcpState) {
    if let Some(tp) = kernel.inet.tp_mut(id) {
        tp.state = state;
    }
}

/// A socket that a listener makes has its host's socket already, and gets it from there.
fn attach(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    tcp_usrreq::attach(kernel, so)?;
    let id = sotoinpcb(kernel, so)?;
    if kernel.sockets[so].head.is_none() {
        match Socket::stream(&kernel.tape) {
            Ok(socket) => *kernel.inet.inp_mut(id).host = Some(Bridge::new(socket)),
            Err(error) => {
                in_pcb::detach(kernel, id);
                return Err(error.into());
            }
        }
    }
    Ok(())
}

fn connect(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let sin = SockaddrIn::from_mbuf(nam)?;
    if sin.is_inet() && sin.addr.is_multicast() {
        return Err(Errno::EAFNOSUPPORT);
    }
    let to = peer(sin)?;
    set_options(cx.kernel, id);
    let so = socket_of(cx.kernel, id);
    let begun = cx.kernel.inet.host(id)?.connect(&cx.kernel.tape, ports::outward(cx.kernel, false, to));
    match begun {
        // The guest is told as of any attempt that fails later.
        Err(error) if Errno::from(error) == Errno::ECONNREFUSED => {
            fail(cx.kernel, id, Some(Errno::ECONNREFUSED));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {
            let inp = cx.kernel.inet.inp_mut(id);
            (inp.faddr, inp.fport) = to;
            learn_name(cx.kernel, id);
            soisconnecting(cx.kernel, so);
            set_state(cx.kernel, id, TcpState::SynSent);
            // Over the host's loopback the connection is often there already.
            complete(cx.kernel, id);
        }
    }
    Ok(())
}

/// Looks what became of a connection that was begun.
fn complete(kernel: &mut Kernel, id: InpcbId) {
    let Ok(host) = kernel.inet.host(id) else { return };
    match host.connected(&kernel.tape) {
        Ok(true) => {
            let so = socket_of(kernel, id);
            learn_name(kernel, id);
            record::opened(kernel, id, Way::Out);
            let closing = kernel.sockets[so].state.contains(SockState::CANTSENDMORE);
            set_state(kernel, id, if closing { TcpState::FinWait1 } else { TcpState::Established });
            soisconnected(kernel, so);
            transmit(kernel, id);
        }
        Ok(false) => {}
        Err(error) => fail(kernel, id, Some(error.into())),
    }
}

/// Whether something can be received, and whether something is to be sent; and whether there is no room for what
/// may come.
pub(super) fn wants(kernel: &Kernel, id: InpcbId) -> (Interest, bool) {
    let Some(bridge) = kernel.inet.bridge(id) else { return Default::default() };
    let so = &kernel.sockets[socket_of(kernel, id)];
    let (read, write, full) = match state(kernel, id) {
        TcpState::Closed => (false, false, false),
        TcpState::Listen => (has_room(kernel, id), false, !has_room(kernel, id)),
        TcpState::SynSent => (false, true, false),
        _ => {
            let room = so.rcv.space() > 0 || so.state.contains(SockState::CANTRCVMORE);
            (room && !bridge.ended, so.snd.cc > 0, !room && !bridge.ended)
        }
    };
    (Interest { read, write }, full)
}

/// The host says that urgent data come: where they end, and the byte itself.
pub(super) fn urgent(kernel: &mut Kernel, id: InpcbId) {
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return };
    let (Ok(before), Some(byte)) = (bridge.socket.waiting(&kernel.tape), bridge.socket.urgent(&kernel.tape))
    else {
        return;
    };
    let so = socket_of(kernel, id);
    let socket = &mut kernel.sockets[so];
    socket.oobmark = socket.rcv.cc.saturating_add(before);
    if socket.oobmark == 0 {
        socket.state.insert(SockState::RCVATMARK);
    }
    if socket.options.contains(SocketOptions::OOBINLINE) {
        if let Some(bridge) = kernel.inet.bridge_mut(id) {
            bridge.inline = Some((before, byte));
        }
    } else if let Some(tp) = kernel.inet.tp_mut(id) {
        (tp.oob.byte, tp.oob.have, tp.oob.had) = (byte, true, false);
    }
    sohasoutofband(kernel, so);
}

/// Gives the user an urgent byte that stays in the stream, when all before it was given.
fn put_inline(kernel: &mut Kernel, id: InpcbId) {
    let so = socket_of(kernel, id);
    let taken = kernel.inet.bridge_mut(id).and_then(|bridge| bridge.inline.take());
    if let Some((_, byte)) = taken {
        kernel.sockets[so].rcv.append(Chain::of_packet(&[byte]));
        sorwakeup(kernel, so);
    }
}

/// Does what the host is ready for.
pub(super) fn service(cx: &mut Context<'_>, id: InpcbId) {
    match state(cx.kernel, id) {
        TcpState::Closed => {}
        TcpState::Listen => accept(cx, id),
        TcpState::SynSent => complete(cx.kernel, id),
        _ => {
            receive(cx.kernel, id);
            transmit(cx.kernel, id);
        }
    }
}

/// Whether the queue of a listener takes one more (`sonewconn1`).
fn has_room(kernel: &Kernel, id: InpcbId) -> bool {
    let listener = &kernel.sockets[socket_of(kernel, id)];
    let waiting = (listener.q.len() + listener.q0.len()) as i32;
    waiting <= 3 * i32::from(listener.qlimit) / 2
}

fn accept(cx: &mut Context<'_>, id: InpcbId) {
    while cx.kernel.inet.has(id) && has_room(cx.kernel, id) {
        let Ok((socket, from)) = cx.kernel.inet.host(id).and_then(|host| Ok(host.accept(&cx.kernel.tape)?))
        else {
            return;
        };
        let head = socket_of(cx.kernel, id);
        let Some(so) = sonewconn(cx, head, SockState::empty()) else { return };
        let Ok(new) = sotoinpcb(cx.kernel, so) else { return };
        let inp = cx.kernel.inet.inp_mut(new);
        *inp.host = Some(Bridge::new(socket));
        let from = ports::inward(cx.kernel, false, from);
        let inp = cx.kernel.inet.inp_mut(new);
        (inp.faddr, inp.fport) = from;
        learn_name(cx.kernel, new);
        record::opened(cx.kernel, new, Way::In);
        set_options(cx.kernel, new);
        note(cx.kernel, new);
        set_state(cx.kernel, new, TcpState::Established);
        soisconnected(cx.kernel, so);
    }
}

/// The guest has taken data: more is asked for when half of its buffer is free and there may be some, or else when
/// the host says that there is.
fn received(kernel: &mut Kernel, id: InpcbId) {
    let rcv = &kernel.sockets[socket_of(kernel, id)].rcv;
    let drained = kernel.inet.bridge(id).is_none_or(|bridge| bridge.drained && bridge.inline.is_none());
    if rcv.cc <= rcv.hiwat / 2 && !drained {
        receive(kernel, id);
    }
}

/// Moves what the host has received to the guest, as far as there is room; what nobody will read is dropped.
fn receive(kernel: &mut Kernel, id: InpcbId) {
    let mut buffer = piece(kernel);
    receive_pieces(kernel, id, &mut buffer);
    kernel.inet.piece = buffer;
}

fn receive_pieces(kernel: &mut Kernel, id: InpcbId, buffer: &mut [u8]) {
    while let Some(bridge) = kernel.inet.bridge(id).filter(|bridge| !bridge.ended) {
        if state(kernel, id) < TcpState::Established {
            return;
        }
        let so = socket_of(kernel, id);
        let deaf = kernel.sockets[so].state.contains(SockState::CANTRCVMORE);
        let room = if deaf { PIECE } else { usize::try_from(kernel.sockets[so].rcv.space()).unwrap_or(0) };
        let limit = bridge.inline.map_or(PIECE, |(before, _)| before as usize);
        if limit == 0 {
            put_inline(kernel, id);
            continue;
        }
        let room = room.min(PIECE).min(limit);
        if room == 0 {
            return;
        }
        let piece = buffer.get_mut(..room).unwrap_or_default();
        let received = bridge.socket.receive(&kernel.tape, piece);
        if let Some(bridge) = kernel.inet.bridge_mut(id) {
            let length = *received.as_ref().unwrap_or(&0);
            bridge.drained = length < room && !received.as_ref().is_ok_and(|&length| length == 0);
            if let Some((before, _)) = &mut bridge.inline {
                *before = before.saturating_sub(length as u32);
            }
        }
        match received {
            Ok(0) => ended(kernel, id),
            Ok(length) if deaf => record::moved(kernel, id, Way::In, piece.get(..length).unwrap_or_default()),
            Ok(length) => {
                record::moved(kernel, id, Way::In, piece.get(..length).unwrap_or_default());
                let data = Chain::of_packet(piece.get(..length).unwrap_or_default());
                kernel.sockets[so].rcv.append(data);
                sorwakeup(kernel, so);
                let inline = kernel.inet.bridge(id).is_some_and(|bridge| bridge.inline.is_some());
                if length < room && !inline {
                    return;
                }
            }
            Err(error) => return host_error(kernel, id, error),
        }
    }
}

/// The peer has sent its last byte.
fn ended(kernel: &mut Kernel, id: InpcbId) {
    let so = socket_of(kernel, id);
    if let Some(bridge) = kernel.inet.bridge_mut(id) {
        bridge.ended = true;
    }
    record::ended(kernel, id, Way::In);
    socantrcvmore(kernel, so);
    match state(kernel, id) {
        TcpState::Established => set_state(kernel, id, TcpState::CloseWait),
        TcpState::FinWait1 => set_state(kernel, id, TcpState::Closing),
        TcpState::FinWait2 => {
            set_state(kernel, id, TcpState::TimeWait);
            soisdisconnected(kernel, so);
        }
        _ => {}
    }
}

fn send(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>, urgent: bool) -> Result<(), Errno> {
    if message.control.iter().any(|m| !m.is_empty()) {
        return Err(Errno::EINVAL);
    }
    let so = socket_of(cx.kernel, id);
    let mut data = message.m;
    data.for_each_mut(|m| m.flags.remove(MbufFlags::EOR));
    cx.kernel.sockets[so].snd.append(data);
    if let Some(bridge) = cx.kernel.inet.bridge_mut(id) {
        bridge.urgent = urgent;
    }
    if let Some(nam) = message.nam
        && state(cx.kernel, id) < TcpState::SynSent
    {
        connect(cx, id, nam)?;
    }
    transmit(cx.kernel, id);
    Ok(())
}

/// Gives the host what it takes of the send buffer; behind the last byte goes the end of the stream.
fn transmit(kernel: &mut Kernel, id: InpcbId) {
    let mut moved = false;
    while state(kernel, id) >= TcpState::Established {
        let so = socket_of(kernel, id);
        let Some(first) = kernel.sockets[so].snd.first() else { break };
        let Some(bridge) = kernel.inet.bridge(id) else { return };
        // The last mbuf ends with the urgent byte.
        let urgent = bridge.urgent && first.len() as u32 == kernel.sockets[so].snd.cc;
        match bridge.socket.send(&kernel.tape, first.bytes(), urgent) {
            Ok(count) => {
                if kernel.inet.tap.is_some() {
                    let sent = kernel.sockets[so].snd.copy_data(0, count as u32);
                    record::moved(kernel, id, Way::Out, &sent);
                }
                kernel.sockets[so].snd.drop(count as u32);
                moved = true;
            }
            Err(error) => {
                host_error(kernel, id, error);
                break;
            }
        }
    }
    if !kernel.inet.has(id) {
        return;
    }
    let so = socket_of(kernel, id);
    if moved {
        sowwakeup(kernel, so);
    }
    if kernel.sockets[so].snd.cc == 0 {
        all_sent(kernel, id);
    }
}

fn all_sent(kernel: &mut Kernel, id: InpcbId) {
    let so = socket_of(kernel, id);
    let next = match state(kernel, id) {
        TcpState::FinWait1 => TcpState::FinWait2,
        TcpState::Closing | TcpState::LastAck => TcpState::TimeWait,
        _ => return,
    };
    if let Ok(host) = kernel.inet.host(id) {
        // A connection that is gone already has no end to be told of.
        let _ = host.shut_down(&kernel.tape);
    }
    record::ended(kernel, id, Way::Out);
    set_state(kernel, id, next);
    let left = kernel.sockets[so].state.contains(SockState::NOFDREF);
    if left || kernel.sockets[so].state.contains(SockState::ISDISCONNECTING) {
        // What the peer still sends is read by nobody; the host does the rest.
        receive(kernel, id);
        close(kernel, id);
    } else if next == TcpState::TimeWait {
        soisdisconnected(kernel, so);
    }
}

/// Begins to close, or just drops what was never complete or is not wanted (`tcp_disconnect`).
fn disconnect(cx: &mut Context<'_>, id: InpcbId) {
    let so = socket_of(cx.kernel, id);
    let socket = &cx.kernel.sockets[so];
    if matches!(state(cx.kernel, id), TcpState::Closed | TcpState::Listen | TcpState::SynSent) {
        close(cx.kernel, id);
    } else if socket.options.contains(SocketOptions::LINGER) && socket.linger == 0 {
        if let Ok(host) = cx.kernel.inet.host(id) {
            let _ = host.reset_at_close();
        }
        close(cx.kernel, id);
    } else {
        soisdisconnecting(cx.kernel, so);
        cx.kernel.sockets[so].rcv.flush();
        user_closed(cx.kernel, id);
    }
}

/// The user will send nothing more (`tcp_usrclosed`).
fn user_closed(kernel: &mut Kernel, id: InpcbId) {
    match state(kernel, id) {
        TcpState::Closed | TcpState::Listen => return close(kernel, id),
        TcpState::Established => set_state(kernel, id, TcpState::FinWait1),
        TcpState::CloseWait => set_state(kernel, id, TcpState::LastAck),
        TcpState::FinWait2 | TcpState::TimeWait => return close(kernel, id),
        _ => {}
    }
    transmit(kernel, id);
}

/// The host says that something is wrong, or only that it must wait.
fn host_error(kernel: &mut Kernel, id: InpcbId, error: HostError) {
    if !error.would_block() {
        fail(kernel, id, Some(error.into()));
    }
}

/// The host's socket is not there any more: its peer has vanished.
pub(super) fn lose(kernel: &mut Kernel, id: InpcbId) {
    fail(kernel, id, Some(Errno::ECONNRESET));
}

/// Ends a connection with an error (`tcp_drop`).
fn fail(kernel: &mut Kernel, id: InpcbId, error: Option<Errno>) {
    let so = socket_of(kernel, id);
    kernel.sockets[so].error = error;
    close(kernel, id);
}

/// Forgets a connection (`tcp_close`).
fn close(kernel: &mut Kernel, id: InpcbId) {
    if kernel.inet.has(id) {
        let inp = kernel.inet.inp_mut(id);
        inp.tcp = None;
        let so = inp.socket;
        debug_assert!(inp.faddr != INADDR_ANY || inp.fport == 0);
        soisdisconnected(kernel, so);
        in_pcb::detach(kernel, id);
    }
}
