//! The requests of the socket layer to TCP: making, asking for, using and ending connections.
//!
//! This file does not know calls.
//!
//! 2.1 counterpart: netinet/tcp_usrreq.c.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::Domain as Family;

use super::in_pcb::{self, InpcbId, List, sotoinpcb};
use super::statistics::tcps;
use super::tcp_fsm::TcpState;
use super::tcp_mss::{Offer, tcp_mss};
use super::tcp_output::tcp_output;
use super::tcp_seq::{TCP_ISSINCR, geq};
use super::tcp_subr::{next_cc, set_tao, tao, tcp_close, tcp_drop, tcp_newtcpcb};
use super::tcp_timer::{self, TCPT_2MSL, TCPT_KEEP, TCPTV_MSL, maxidle};
use super::tcp_var::*;
use super::{bridge, in_control};
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::{Mbuf, MbufFlags};
use crate::kernel::socket::protosw::{Message, UserRequest};
use crate::kernel::socket::socket::{SockState, SocketId, SocketOptions};
use crate::kernel::socket::state::{
    socantsendmore, soisconnecting, soisdisconnected, soisdisconnecting, soreserve,
};
use crate::kernel::{Context, Kernel};

/// How long closing lingers where no time was set, in ticks (TCP_LINGERTIME).
const LINGERTIME: i16 = 120 * 100;

/// Serves the requests of the socket layer (`tcp_usrreq`).
pub(super) fn tcp_usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if cx.kernel.inet.is_bridged() {
        return bridge::stream(cx, so, request);
    }
    if let UserRequest::Control { cmd, data } = request {
        return in_control::in_control(cx, so, cmd, data);
    }
    if let UserRequest::Send(message) | UserRequest::SendEof(message) | UserRequest::SendOob(message) =
        &request
        && message.control.iter().any(|m| !m.is_empty())
    {
        return Err(Errno::EINVAL);
    }
    tcp_timer::sync(cx.kernel);
    if let UserRequest::Attach { .. } = request {
        return events::within(cx, so, "tcp_attach", |cx| attach(cx.kernel, so));
    }
    let id = sotoinpcb(cx.kernel, so)?;
    let done = serve(cx, so, id, request);
    tcp_timer::arm(cx.kernel, id);
    done
}

fn serve(cx: &mut Context<'_>, so: SocketId, id: InpcbId, request: UserRequest<'_>) -> Result<(), Errno> {
    match request {
        UserRequest::Detach => {
            if state(cx.kernel, id) > TcpState::Listen {
                tcp_disconnect(cx.kernel, id);
            } else {
                tcp_close(cx.kernel, id);
            }
        }
        UserRequest::Bind { nam } => {
            refuse_multicast(nam)?;
            return in_pcb::bind(cx, id, Some(nam));
        }
        UserRequest::Listen { .. } => {
            if cx.kernel.inet.inp(id).lport == 0 {
                in_pcb::bind(cx, id, None)?;
            }
            if let Some(tp) = cx.kernel.inet.tp_mut(id) {
                tp.state = TcpState::Listen;
            }
        }
        UserRequest::Connect { nam } => {
            refuse_multicast(nam)?;
            tcp_connect(cx, id, nam)?;
            return tcp_output(cx.kernel, id);
        }
        UserRequest::Disconnect => tcp_disconnect(cx.kernel, id),
        UserRequest::Accept { nam } | UserRequest::Peeraddr { nam } => {
            in_pcb::set_peeraddr(cx.kernel, id, nam);
        }
        UserRequest::Shutdown => {
            socantsendmore(cx.kernel, so);
            tcp_usrclosed(cx.kernel, id);
            return tcp_output(cx.kernel, id);
        }
        UserRequest::Rcvd { .. } => {
            let _ = tcp_output(cx.kernel, id);
        }
        UserRequest::Send(message) => {
            queue(cx, id, message)?;
            return tcp_output(cx.kernel, id);
        }
        UserRequest::SendEof(message) => {
            queue(cx, id, message)?;
            socantsendmore(cx.kernel, so);
            tcp_usrclosed(cx.kernel, id);
            return tcp_output(cx.kernel, id);
        }
        UserRequest::SendOob(message) => return send_oob(cx, so, id, message),
        UserRequest::RcvOob { m, flags } => return receive_oob(cx.kernel, so, id, m, !flags.is_empty()),
        UserRequest::Abort => tcp_drop(cx.kernel, id, Some(Errno::ECONNABORTED)),
        UserRequest::Sense(sense) => sense.blksize = cx.kernel.sockets[so].snd.hiwat,
        UserRequest::Sockaddr { nam } => in_pcb::set_sockaddr(cx.kernel, id, nam),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

fn state(kernel: &Kernel, id: InpcbId) -> TcpState {
    kernel.inet.tp(id).map_or(TcpState::Closed, |tp| tp.state)
}

/// Gives a socket its buffers and a control block (`tcp_attach`).
pub(super) fn attach(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    let variables = &kernel.inet.variables;
    let (send, receive) = (variables.tcp_sendspace as u32, variables.tcp_recvspace as u32);
    let socket = &mut kernel.sockets[so];
    if socket.inpcb().is_some() {
        return Err(Errno::EISCONN);
    }
    if socket.snd.hiwat == 0 || socket.rcv.hiwat == 0 {
        soreserve(socket, send, receive)?;
        events::note_reserved(kernel, so);
    }
    let id = in_pcb::alloc(kernel, so, List::Tcp);
    tcp_newtcpcb(kernel, id);
    let socket = &mut kernel.sockets[so];
    if socket.options.contains(SocketOptions::LINGER) && socket.linger == 0 {
        socket.linger = LINGERTIME;
    }
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

/// Gives a connection its addresses and asks for it (`tcp_connect`).  An earlier one that is remembered only
/// makes way, if it was short.
fn tcp_connect(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let so = cx.kernel.inet.inp(id).socket;
    events::within(cx, so, "tcp_connect", |cx| connect_to(cx, so, id, nam))
}

fn connect_to(cx: &mut Context<'_>, so: SocketId, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    if cx.kernel.inet.inp(id).lport == 0 {
        in_pcb::bind(cx, id, None)?;
    }
    let kernel = &mut *cx.kernel;
    let (sin, laddr) = in_pcb::local_address(kernel, id, nam)?;
    let (foreign, lport) = ((sin.addr, sin.port), kernel.inet.inp(id).lport);
    if let Some(old) = kernel.inet.lookup(List::Tcp, foreign, (laddr, lport), false) {
        let now = kernel.inet.tcp.now;
        let makes_way = old != id
            && kernel.inet.tp(old).is_some_and(|tp| {
                tp.state == TcpState::TimeWait
                    && now.saturating_sub(tp.made_at) < TCPTV_MSL as u64
                    && tp.any(tf::RCVD_CC)
            });
        if !makes_way {
            return Err(Errno::EADDRINUSE);
        }
        tcp_close(kernel, old);
    }
    let inp = kernel.inet.inp_mut(id);
    inp.laddr = laddr;
    (inp.faddr, inp.fport) = foreign;
    kernel.inet.rehash(id);
    soisconnecting(kernel, so);
    kernel.inet.stat.tcp.bump(tcps::CONNATTEMPT);
    let remembered = tao(kernel, id);
    let cc = next_cc(kernel);
    let tcp = &mut kernel.inet.tcp;
    let iss = tcp.iss;
    tcp.iss = iss.wrapping_add(TCP_ISSINCR / 2);
    let clock = tcp.clock();
    let keepinit = kernel.inet.variables.tcp_keepinit;
    let hiwat = kernel.sockets[so].rcv.hiwat;
    let Some(tp) = kernel.inet.tp_mut(id) else { return Err(Errno::EINVAL) };
    tp.template = true;
    while tp.request_r_scale < TCP_MAX_WINSHIFT && TCP_MAXWIN << tp.request_r_scale < hiwat {
        tp.request_r_scale += 1;
    }
    tp.state = TcpState::SynSent;
    tp.timers.set(clock, TCPT_KEEP, keepinit);
    tp.iss = iss;
    tp.sendseqinit();
    tp.cc_send = cc;
    let known = remembered.ccsent != 0 && geq(cc, remembered.ccsent);
    if !known {
        tp.flags |= tf::SENDCCNEW;
    }
    set_tao(kernel, id, |tao| tao.ccsent = if known { cc } else { 0 });
    Ok(())
}

/// Queues data, connecting first if that is implied.
fn queue(cx: &mut Context<'_>, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    let implied = message.nam.filter(|_| state(cx.kernel, id) < TcpState::SynSent);
    if implied.is_some() && cx.kernel.inet.inp(id).lport == 0 && !in_pcb::has_port(cx, id) {
        // The call is made again: nothing may be queued by then.
        return Err(Errno::EADDRNOTAVAIL);
    }
    let mut m = message.m;
    // A stream has no records.
    m.for_each_mut(|m| m.flags.remove(MbufFlags::EOR));
    let so = cx.kernel.inet.inp(id).socket;
    events::note(cx.kernel, so, "sbappend");
    cx.kernel.sockets[so].snd.append(m);
    match implied {
        Some(nam) => {
            tcp_connect(cx, id, nam)?;
            if let Some(tp) = cx.kernel.inet.tp_mut(id) {
                tp.snd_wnd = TTCP_CLIENT_SND_WND;
            }
            tcp_mss(cx.kernel, id, Offer::Unknown);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Queues data whose last byte is urgent; the receiver hears of it at once, even if it has no room.
fn send_oob(cx: &mut Context<'_>, so: SocketId, id: InpcbId, message: Message<'_>) -> Result<(), Errno> {
    if cx.kernel.sockets[so].snd.space() < -512 {
        return Err(Errno::ENOBUFS);
    }
    queue(cx, id, message)?;
    let cc = cx.kernel.sockets[so].snd.cc;
    if let Some(tp) = cx.kernel.inet.tp_mut(id) {
        tp.snd_up = tp.snd_una.wrapping_add(cc);
        tp.force = true;
    }
    let sent = tcp_output(cx.kernel, id);
    if let Some(tp) = cx.kernel.inet.tp_mut(id) {
        tp.force = false;
    }
    sent
}

/// Gives the urgent byte, if there is one that nobody took.
pub(super) fn receive_oob(
    kernel: &mut Kernel,
    so: SocketId,
    id: InpcbId,
    m: &mut Mbuf,
    peek: bool,
) -> Result<(), Errno> {
    let socket = &kernel.sockets[so];
    let marked = socket.oobmark != 0 || socket.state.contains(SockState::RCVATMARK);
    let inline = socket.options.contains(SocketOptions::OOBINLINE);
    let Some(tp) = kernel.inet.tp_mut(id) else { return Err(Errno::EINVAL) };
    if !marked || inline || tp.oob.had {
        return Err(Errno::EINVAL);
    }
    if !tp.oob.have {
        return Err(Errno::EWOULDBLOCK);
    }
    m.assign(&[tp.oob.byte]);
    if !peek {
        (tp.oob.have, tp.oob.had) = (false, true);
    }
    Ok(())
}

/// Begins to close, or just drops what was never complete or is not wanted (`tcp_disconnect`).
fn tcp_disconnect(kernel: &mut Kernel, id: InpcbId) {
    let so = kernel.inet.inp(id).socket;
    let socket = &kernel.sockets[so];
    if state(kernel, id) < TcpState::Established {
        tcp_close(kernel, id);
    } else if socket.options.contains(SocketOptions::LINGER) && socket.linger == 0 {
        tcp_drop(kernel, id, None);
    } else {
        soisdisconnecting(kernel, so);
        kernel.sockets[so].rcv.flush();
        tcp_usrclosed(kernel, id);
        let _ = tcp_output(kernel, id);
    }
}

/// The user will send nothing more: what state follows (`tcp_usrclosed`).
fn tcp_usrclosed(kernel: &mut Kernel, id: InpcbId) {
    let so = kernel.inet.inp(id).socket;
    events::note(kernel, so, "tcp_usrclosed");
    let (clock, maxidle) = (kernel.inet.tcp.clock(), maxidle(kernel));
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    match tp.state {
        TcpState::Closed | TcpState::Listen => {
            tp.state = TcpState::Closed;
            return tcp_close(kernel, id);
        }
        TcpState::SynSent | TcpState::SynReceived => tp.flags |= tf::NEEDFIN,
        TcpState::Established => tp.state = TcpState::FinWait1,
        TcpState::CloseWait => tp.state = TcpState::LastAck,
        _ => {}
    }
    if tp.state >= TcpState::FinWait2 {
        if tp.state == TcpState::FinWait2 {
            tp.timers.set(clock, TCPT_2MSL, maxidle);
        }
        soisdisconnected(kernel, so);
    }
}
