//! Streams over IP: the states of a connection without its segments.
//!
//! The two ends know each other.  What one end has in its send buffer moves to the other's receive buffer
//! as far as there is room ([`output`]); its last byte is followed by the end of the stream.  Both are
//! acknowledged at once.
//!
//! This file does not know calls.
//!
//! 2.1 counterpart: netinet/tcp_usrreq.c, tcp_input.c, tcp_output.c, tcp_subr.c.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::Domain as Family;

use super::super::chain::Chain;
use super::super::events;
use super::super::mbuf::{MINCLSIZE, Mbuf, MbufFlags, MbufType};
use super::super::protosw::{ControlOption, Message, UserRequest};
use super::super::socket::{SockState, SocketId, SocketOptions};
use super::super::state::{
    socantrcvmore, socantsendmore, soisconnected, soisconnecting, soisdisconnected, soisdisconnecting,
    sonewconn, soreserve, sorwakeup, sowwakeup,
};
use super::ip::{self, option_word};
use super::pcb::{self, InpcbId, List, sotoinpcb};
use super::tcp_fsm::{TcpState, Tcpcb};
use super::tcp_timer::{self, FIRST_RXTCUR, first_rttvar, max_idle};
use super::variables::TcpCount;
use super::{INADDR_ANY, IPPROTO_TCP, bridge, interface, tcp_urgent};
use crate::kernel::{Context, Kernel};

/// How long closing lingers where no time was set, in ticks (TCP_LINGERTIME).
const LINGERTIME: i16 = 120 * 100;

/// Serves the requests of the socket layer (`tcp_usrreq`).
pub(super) fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if cx.kernel.sockets.inet.is_bridged() {
        return bridge::stream(cx, so, request);
    }
    if let UserRequest::Control { cmd, data } = request {
        return interface::control(cx, so, cmd, data);
    }
    if let UserRequest::Attach { .. } = request {
        return events::within(cx, so, "tcp_attach", |cx| attach(cx.kernel, so));
    }
    let inp = sotoinpcb(cx.kernel, so)?;
    let state = tp(cx.kernel, inp).state;
    match request {
        UserRequest::Detach if state > TcpState::Listen => detach(cx, so, inp),
        UserRequest::Detach => close(cx.kernel, inp),
        UserRequest::Bind { nam } => {
            refuse_multicast(nam)?;
            return pcb::bind(cx, inp, Some(nam));
        }
        UserRequest::Listen => {
            if cx.kernel.sockets.inet.inp(inp).lport == 0 {
                pcb::bind(cx, inp, None)?;
            }
            set_state(cx.kernel, inp, TcpState::Listen);
        }
        UserRequest::Connect { nam } => {
            refuse_multicast(nam)?;
            connect(cx, inp, nam)?;
            return output(cx, inp);
        }
        UserRequest::Disconnect => disconnect(cx, inp),
        UserRequest::Accept { nam } | UserRequest::Peeraddr { nam } => pcb::set_peeraddr(cx.kernel, inp, nam),
        UserRequest::Shutdown => {
            socantsendmore(cx.kernel, so);
            user_closed(cx.kernel, inp);
            return output(cx, inp);
        }
        UserRequest::Rcvd { .. } => {
            if let Some(peer) = tp(cx.kernel, inp).peer {
                return output(cx, peer);
            }
        }
        UserRequest::Send(message) => return send(cx, inp, message),
        UserRequest::SendEof(message) => {
            queue(cx, inp, message)?;
            socantsendmore(cx.kernel, so);
            user_closed(cx.kernel, inp);
            return output(cx, inp);
        }
        UserRequest::SendOob(message) => return send_oob(cx, inp, message),
        UserRequest::RcvOob { m, flags } => {
            let peek = !flags.is_empty();
            return tcp_urgent::receive(cx.kernel, so, inp, m, peek);
        }
        UserRequest::Abort => drop(cx.kernel, inp, Some(Errno::ECONNABORTED)),
        UserRequest::Sense(sense) => sense.blksize = cx.kernel.sockets[so].snd.hiwat,
        UserRequest::Sockaddr { nam } => pcb::set_sockaddr(cx.kernel, inp, nam),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// Gets and sets options of TCP; those of other levels are IP's (`tcp_ctloutput`).
pub(super) fn ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    let inp = sotoinpcb(kernel, so).map_err(|_| Errno::ECONNRESET)?;
    if level != IPPROTO_TCP as u32 {
        return ip::ctloutput(kernel, so, level, name, option);
    }
    let done = control(kernel, inp, name, option);
    bridge::set_options(kernel, inp);
    done
}

fn control(kernel: &mut Kernel, inp: InpcbId, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    const TCP_MAXSEG: u32 = 2;
    let tp = tp_mut(kernel, inp).ok_or(Errno::ECONNRESET)?;
    let bit = match name {
        1 => 0x4,
        TCP_MAXSEG => 0,
        4 => 0x1000,
        8 => 0x8,
        _ => return Err(Errno::ENOPROTOOPT),
    };
    match option {
        ControlOption::Set(value) if name == TCP_MAXSEG => {
            let size = option_word(value)?;
            if !(1..=tp.maxseg as i32).contains(&size) {
                return Err(Errno::EINVAL);
            }
            tp.maxseg = size as u32;
        }
        ControlOption::Set(value) if option_word(value)? != 0 => tp.flags |= bit,
        ControlOption::Set(_) => tp.flags &= !bit,
        ControlOption::Get(m) => {
            let value = if name == TCP_MAXSEG { tp.maxseg } else { tp.flags & bit };
            m.assign(&value.to_le_bytes());
        }
    }
    Ok(())
}

/// TCP's part of a control block (`intotcpcb`).
pub(super) fn tp(kernel: &Kernel, inp: InpcbId) -> Tcpcb {
    kernel.sockets.inet.inp(inp).tcp.unwrap_or_default()
}

/// TCP's part of a control block, if that still exists, to change it.
pub(super) fn tp_mut(kernel: &mut Kernel, inp: InpcbId) -> Option<&mut Tcpcb> {
    let inet = &mut kernel.sockets.inet;
    if inet.has(inp) { inet.inp_mut(inp).tcp.as_mut() } else { None }
}

fn set_state(kernel: &mut Kernel, inp: InpcbId, state: TcpState) {
    if let Some(tp) = tp_mut(kernel, inp) {
        tp.state = state;
    }
}

/// Gives a socket its buffers and a control block (`tcp_attach`).
pub(super) fn attach(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    let since = kernel.clock.uptime();
    let variables = &kernel.sockets.inet.variables;
    let (send, receive) = (variables.tcp_sendspace, variables.tcp_recvspace);
    let (ttl, maxseg, cc) = (variables.ip_ttl, variables.tcp_mssdflt, variables.tcp_rfc1644 != 0);
    let rttvar = first_rttvar(variables.tcp_rttdflt);
    let socket = &mut kernel.sockets[so];
    if socket.inpcb().is_some() {
        return Err(Errno::EISCONN);
    }
    if socket.snd.hiwat == 0 || socket.rcv.hiwat == 0 {
        soreserve(socket, send as u32, receive as u32)?;
        events::note_reserved(kernel, so);
    }
    let socket = &mut kernel.sockets[so];
    if socket.options.contains(SocketOptions::LINGER) && socket.linger == 0 {
        socket.linger = LINGERTIME;
    }
    let inp = pcb::alloc(kernel, so, List::Tcp);
    let inp = kernel.sockets.inet.inp_mut(inp);
    inp.ttl = ttl as u8;
    inp.tcp = Some(Tcpcb { maxseg: maxseg as u32, rttvar, since, cc, ..Tcpcb::default() });
    Ok(())
}

/// A group is refused before the length of its address is looked at.
fn refuse_multicast(nam: &Mbuf) -> Result<(), Errno> {
    match *nam.bytes() {
        [_, family, _, _, a, b, c, d, ..]
            if u32::from(family) == Family::Inet.raw() && Ipv4Addr::new(a, b, c, d).is_multicast() =>
        {
            Err(Errno::EAFNOSUPPORT)
        }
        _ => Ok(()),
    }
}

/// Gives a connection its addresses and asks for it (`tcp_connect`).  An earlier one that is remembered
/// only makes way, if it was short.
fn connect(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let so = cx.kernel.sockets.inet.inp(id).socket;
    events::within(cx, so, "tcp_connect", |cx| connect_to(cx, id, nam))
}

fn connect_to(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    if cx.kernel.sockets.inet.inp(id).lport == 0 {
        pcb::bind(cx, id, None)?;
    }
    let inet = &cx.kernel.sockets.inet;
    let (sin, laddr) = pcb::local_address(inet, id, nam)?;
    let (foreign, lport) = ((sin.addr, sin.port), inet.inp(id).lport);
    if let Some(old) = inet.lookup(List::Tcp, foreign, (laddr, lport), false) {
        let earlier = tp(cx.kernel, old);
        let makes_way = earlier.cc && tcp_timer::is_short(cx.kernel, &earlier);
        if old == id || earlier.state != TcpState::TimeWait || !makes_way {
            return Err(Errno::EADDRINUSE);
        }
        close(cx.kernel, old);
    }
    let inp = cx.kernel.sockets.inet.inp_mut(id);
    inp.laddr = laddr;
    (inp.faddr, inp.fport) = foreign;
    let so = inp.socket;
    soisconnecting(cx.kernel, so);
    cx.kernel.sockets.inet.statistics.count_tcp(TcpCount::Connattempt);
    let keep = cx.kernel.sockets.inet.variables.tcp_keepinit as u32;
    if let Some(tp) = tp_mut(cx.kernel, id) {
        tp.state = TcpState::SynSent;
        (tp.keep, tp.rexmt) = (keep, FIRST_RXTCUR);
    }
    tcp_timer::arm(cx.kernel);
    Ok(())
}

/// Sends what can be sent: the wish to connect, data, the end of the stream (`tcp_output`).
pub(super) fn output(cx: &mut Context<'_>, id: InpcbId) -> Result<(), Errno> {
    if !cx.kernel.sockets.inet.has(id) {
        return Ok(());
    }
    let so = cx.kernel.sockets.inet.inp(id).socket;
    events::within(cx, so, "tcp_output", |cx| put_out(cx, id))
}

fn put_out(cx: &mut Context<'_>, id: InpcbId) -> Result<(), Errno> {
    if tp(cx.kernel, id).state == TcpState::SynSent {
        handshake(cx, id)?;
        if cx.kernel.sockets.inet.has(id) {
            tcp_urgent::tell(cx.kernel, id);
        }
    }
    if cx.kernel.sockets.inet.has(id)
        && let Some(peer) = tp(cx.kernel, id).peer
    {
        transfer(cx.kernel, id, peer);
    }
    Ok(())
}

/// Connects to a listener; without one the connection is refused, with a full one nothing happens until
/// the next attempt.
fn handshake(cx: &mut Context<'_>, id: InpcbId) -> Result<(), Errno> {
    let inet = &cx.kernel.sockets.inet;
    let inp = inet.inp(id);
    let (so, own, foreign) = (inp.socket, (inp.laddr, inp.lport), (inp.faddr, inp.fport));
    let dontroute = cx.kernel.sockets[so].options.contains(SocketOptions::DONTROUTE);
    inet.route(foreign.0, dontroute)?;
    if !inet.is_own(foreign.0) {
        return Ok(());
    }
    if own == foreign {
        // The wish to connect comes back to the one who has it: both sides open at once.
        established(cx.kernel, id, id);
        return Ok(());
    }
    let speaks = tp(cx.kernel, id).cc;
    let found = loop {
        let inet = &cx.kernel.sockets.inet;
        let exact = inet.lookup_exact(List::Tcp, own, foreign);
        let Some(found) = exact.or_else(|| inet.lookup(List::Tcp, own, foreign, true)) else { break None };
        let old = tp(cx.kernel, found);
        match old.state {
            TcpState::Listen => break Some(found),
            TcpState::TimeWait if old.cc && speaks && !tcp_timer::is_short(cx.kernel, &old) => break None,
            TcpState::TimeWait | TcpState::LastAck | TcpState::Closing => close(cx.kernel, found),
            _ => break None,
        }
    };
    let Some(listener) = found else {
        drop(cx.kernel, id, Some(Errno::ECONNREFUSED));
        return Ok(());
    };
    let head = cx.kernel.sockets.inet.inp(listener).socket;
    let Some(so2) = sonewconn(cx, head, SockState::empty()) else { return Ok(()) };
    let Ok(id2) = sotoinpcb(cx.kernel, so2) else { return Ok(()) };
    let inp2 = cx.kernel.sockets.inet.inp_mut(id2);
    (inp2.laddr, inp2.lport) = foreign;
    (inp2.faddr, inp2.fport) = own;
    cx.kernel.sockets.inet.statistics.count_tcp(TcpCount::Accepts);
    established(cx.kernel, id, id2);
    established(cx.kernel, id2, id);
    Ok(())
}

fn established(kernel: &mut Kernel, id: InpcbId, peer: InpcbId) {
    let mtu = 16384;
    let so = kernel.sockets.inet.inp(id).socket;
    soisconnected(kernel, so);
    kernel.sockets.inet.statistics.count_tcp(TcpCount::Connects);
    let peer_cc = tp(kernel, peer).cc;
    if let Some(tp) = tp_mut(kernel, id) {
        tp.cc &= peer_cc;
        tp.state = if tp.needfin { TcpState::FinWait1 } else { TcpState::Established };
        tp.peer = Some(peer);
        (tp.keep, tp.rexmt) = (0, 0);
        // What the interface takes, less the headers.
        tp.maxseg = mtu - 40;
    }
}

/// Queues data, connecting first if that is implied.
fn queue(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    if message.control.iter().any(|m| !m.is_empty()) {
        return Err(Errno::EINVAL);
    }
    let mut m = message.m;
    // A stream has no records.
    m.for_each_mut(|m| m.flags.remove(MbufFlags::EOR));
    let so = cx.kernel.sockets.inet.inp(id).socket;
    cx.kernel.sockets[so].snd.append(m);
    match message.nam {
        Some(nam) if tp(cx.kernel, id).state < TcpState::SynSent => connect(cx, id, nam),
        _ => Ok(()),
    }
}

fn send(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    queue(cx, id, message)?;
    output(cx, id)
}

/// Queues data whose last byte is urgent.  The receiver hears of it at once, even if it has no room.
fn send_oob(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    let so = cx.kernel.sockets.inet.inp(id).socket;
    if cx.kernel.sockets[so].snd.space() < -512 {
        return Err(Errno::ENOBUFS);
    }
    queue(cx, id, message)?;
    let up = cx.kernel.sockets[so].snd.cc;
    if let Some(tp) = tp_mut(cx.kernel, id) {
        tp.snd_up = up;
    }
    tcp_urgent::tell(cx.kernel, id);
    output(cx, id)
}

/// Moves data from one end to the other as far as that has room, then the end of the stream.
fn transfer(kernel: &mut Kernel, id: InpcbId, peer: InpcbId) {
    let so = kernel.sockets.inet.inp(id).socket;
    let gone = !kernel.sockets.inet.has(peer) || tp(kernel, peer).state <= TcpState::Listen;
    if gone {
        // What is sent to one who does not know of a connection any more comes back as a reset.
        if kernel.sockets[so].snd.cc != 0 || fin_is_due(kernel, id) {
            reset(kernel, id);
        }
        return;
    }
    let to = kernel.sockets.inet.inp(peer).socket;
    let mut moved = false;
    while let Some(m) = next_piece(kernel, id, so, to) {
        if kernel.sockets[to].state.contains(SockState::NOFDREF)
            && tp(kernel, peer).state > TcpState::CloseWait
        {
            // Nobody is left to read: the sender gets a reset.
            close(kernel, peer);
            reset(kernel, id);
            return;
        }
        moved = true;
        let m = tcp_urgent::pull_out(kernel, id, peer, m);
        if !kernel.sockets[to].state.contains(SockState::CANTRCVMORE) {
            kernel.sockets[to].rcv.append(Chain::from(m));
        }
    }
    if moved {
        events::note(kernel, to, "sbappend");
        sorwakeup(kernel, to);
        sowwakeup(kernel, so);
    }
    send_fin(kernel, id, so, peer, to);
}

/// Takes the next piece that the receiver has room for off the send buffer.
fn next_piece(kernel: &mut Kernel, id: InpcbId, so: SocketId, to: SocketId) -> Option<Mbuf> {
    if tp(kernel, id).state < TcpState::Established {
        return None;
    }
    let window = if kernel.sockets[to].state.contains(SockState::CANTRCVMORE) {
        usize::MAX
    } else {
        usize::try_from(kernel.sockets[to].rcv.space()).unwrap_or(0)
    };
    let snd = &mut kernel.sockets[so].snd;
    let first = snd.first()?;
    if first.len() <= window {
        return snd.pop_first();
    }
    if window == 0 {
        return None;
    }
    let mut m = Mbuf::gethdr(MbufType::Data);
    if window >= MINCLSIZE {
        m.clget();
    }
    m.push(&first.bytes()[..window]);
    snd.trim_first(m.len());
    Some(m)
}

/// Whether the user has closed and the peer was not told.
fn fin_is_due(kernel: &Kernel, id: InpcbId) -> bool {
    let tp = tp(kernel, id);
    matches!(tp.state, TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck) && !tp.fin_sent
}

/// When everything is sent and the user has closed, tells the peer, which acknowledges at once.
fn send_fin(kernel: &mut Kernel, id: InpcbId, so: SocketId, peer: InpcbId, to: SocketId) {
    let state = tp(kernel, id).state;
    if !fin_is_due(kernel, id) || kernel.sockets[so].snd.cc != 0 {
        return;
    }
    if let Some(tp) = tp_mut(kernel, id) {
        tp.fin_sent = true;
    }
    socantrcvmore(kernel, to);
    if peer == id {
        return enter_time_wait(kernel, id);
    }
    match tp(kernel, peer).state {
        TcpState::Established | TcpState::SynReceived => set_state(kernel, peer, TcpState::CloseWait),
        TcpState::FinWait1 => set_state(kernel, peer, TcpState::Closing),
        TcpState::FinWait2 => enter_time_wait(kernel, peer),
        _ => {}
    }
    match state {
        TcpState::FinWait1 => {
            set_state(kernel, id, TcpState::FinWait2);
            // A half-closed connection goes away after a while; half-shut ones stay.
            if kernel.sockets[so].state.contains(SockState::CANTRCVMORE) {
                soisdisconnected(kernel, so);
                set_msl2(kernel, id, max_idle(kernel));
            }
        }
        TcpState::Closing => enter_time_wait(kernel, id),
        _ => close(kernel, id),
    }
}

fn enter_time_wait(kernel: &mut Kernel, id: InpcbId) {
    set_state(kernel, id, TcpState::TimeWait);
    let ticks = tcp_timer::time_wait(kernel, &tp(kernel, id));
    set_msl2(kernel, id, ticks);
    let so = kernel.sockets.inet.inp(id).socket;
    soisdisconnected(kernel, so);
}

fn set_msl2(kernel: &mut Kernel, id: InpcbId, ticks: u32) {
    if let Some(tp) = tp_mut(kernel, id) {
        tp.msl2 = ticks;
    }
    tcp_timer::arm(kernel);
}

/// Begins to close, or just drops what was never complete or is not wanted (`tcp_disconnect`).
fn disconnect(cx: &mut Context<'_>, id: InpcbId) {
    let so = cx.kernel.sockets.inet.inp(id).socket;
    let socket = &cx.kernel.sockets[so];
    if tp(cx.kernel, id).state < TcpState::Established {
        close(cx.kernel, id);
    } else if socket.options.contains(SocketOptions::LINGER) && socket.linger == 0 {
        drop(cx.kernel, id, None);
    } else {
        soisdisconnecting(cx.kernel, so);
        cx.kernel.sockets[so].rcv.flush();
        user_closed(cx.kernel, id);
    }
}

/// Goes on to disconnect a socket that is being closed, and sends what it has to say.
///
/// The original closes with the network held off (splnet in soclose): what the peer sends, because it waited
/// for the room that was just made, finds a socket without a file, unless that lingers.
fn detach(cx: &mut Context<'_>, so: SocketId, id: InpcbId) {
    disconnect(cx, id);
    let Some(peer) = tp_mut(cx.kernel, id).map(|tp| tp.peer) else { return };
    let socket = &mut cx.kernel.sockets[so];
    let lingers = socket.options.contains(SocketOptions::LINGER)
        && socket.state.contains(SockState::ISCONNECTED)
        && !socket.state.contains(SockState::NBIO);
    if !lingers {
        socket.state.insert(SockState::NOFDREF);
    }
    if let Some(peer) = peer {
        let _ = output(cx, peer);
    }
    let _ = output(cx, id);
}

/// The user will send nothing more: what state follows (`tcp_usrclosed`).
fn user_closed(kernel: &mut Kernel, id: InpcbId) {
    let so = kernel.sockets.inet.inp(id).socket;
    events::note(kernel, so, "tcp_usrclosed");
    let Some(tp) = tp_mut(kernel, id) else { return };
    match tp.state {
        TcpState::Closed | TcpState::Listen => return close(kernel, id),
        TcpState::SynSent | TcpState::SynReceived => tp.needfin = true,
        TcpState::Established => tp.state = TcpState::FinWait1,
        TcpState::CloseWait => tp.state = TcpState::LastAck,
        _ => {}
    }
    let state = tp.state;
    if state >= TcpState::FinWait2 {
        let so = kernel.sockets.inet.inp(id).socket;
        soisdisconnected(kernel, so);
        if state == TcpState::FinWait2 {
            set_msl2(kernel, id, max_idle(kernel));
        }
    }
}

/// Drops a connection with an error; the peer gets a reset (`tcp_drop`).
pub(super) fn drop(kernel: &mut Kernel, id: InpcbId, error: Option<Errno>) {
    let Tcpcb { state, peer, .. } = tp(kernel, id);
    let so = kernel.sockets.inet.inp(id).socket;
    kernel.sockets[so].error = error;
    let dropped = if state >= TcpState::SynReceived { TcpCount::Drops } else { TcpCount::Conndrops };
    kernel.sockets.inet.statistics.count_tcp(dropped);
    events::begin_with(kernel, Some(so), "tcp_drop", || error.map_or("", Errno::name));
    close(kernel, id);
    if state >= TcpState::SynReceived
        && let Some(peer) = peer
    {
        reset(kernel, peer);
    }
    events::end(kernel, so, "tcp_drop", Ok(()));
}

/// A reset came.
fn reset(kernel: &mut Kernel, id: InpcbId) {
    let Some(tp) = tp_mut(kernel, id) else { return };
    let error = match tp.state {
        TcpState::SynReceived => Some(Errno::ECONNREFUSED),
        TcpState::Established | TcpState::CloseWait | TcpState::FinWait1 | TcpState::FinWait2 => {
            Some(Errno::ECONNRESET)
        }
        _ => None,
    };
    if error.is_some() {
        let so = kernel.sockets.inet.inp(id).socket;
        kernel.sockets[so].error = error;
        kernel.sockets.inet.statistics.count_tcp(TcpCount::Drops);
    }
    close(kernel, id);
}

/// Forgets a connection (`tcp_close`).
pub(super) fn close(kernel: &mut Kernel, id: InpcbId) {
    if kernel.sockets.inet.has(id) {
        let inp = kernel.sockets.inet.inp_mut(id);
        inp.tcp = None;
        let so = inp.socket;
        debug_assert!(inp.faddr != INADDR_ANY || inp.fport == 0);
        events::begin(kernel, so, "tcp_close");
        soisdisconnected(kernel, so);
        pcb::detach(kernel, id);
        kernel.sockets.inet.statistics.count_tcp(TcpCount::Closed);
        events::end(kernel, so, "tcp_close", Ok(()));
    }
}
