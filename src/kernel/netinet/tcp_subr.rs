//! Connections from their beginning to their end, errors that they hear of, and what routes remember for them.
//!
//! 2.1 counterpart: netinet/tcp_subr.c.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::in_cksum::{in_cksum, pseudo};
use super::in_pcb::{self, InpcbId, List};
use super::in_rmx::sin;
use super::ip::{IP_HEADER, Ip, store};
use super::ip_options::MAX_LINKHDR;
use super::ip_output::{self, Flags, Way, ip_output};
use super::statistics::tcps;
use super::tcp_output::tcp_output;
use super::tcp_timer::{self, PR_SLOWHZ, TCPTV_MIN, TCPTV_REXMTMAX, rangeset};
use super::tcp_var::*;
use super::udp_input::ends;
use super::{INADDR_ANY, Inet, ipproto, sin_addr, tcp_mss};
use crate::kernel::Kernel;
use crate::kernel::net::RtId;
use crate::kernel::net::metrics::{Tao, rtv};
use crate::kernel::net::route::{rtalloc_ign, rtf};
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::{Mbuf, MbufType};
use crate::kernel::socket::protosw::CtlInput;
use crate::kernel::socket::state::{soisdisconnected, sorwakeup, sowwakeup};
use crate::kernel::synch::Channel;

/// Units of round trip times in routes, in a second (RTM_RTTUNIT).
pub(super) const RTM_RTTUNIT: u32 = 1_000_000;
/// Scales of the smoothed round trip time and its variance.
pub(super) const TCP_RTT_SCALE: u32 = 8;
pub(super) const TCP_RTTVAR_SCALE: u32 = 4;
/// Seconds that a way takes of which nothing is known (TCPTV_SRTTDFLT, in slow ticks).
const TCPTV_SRTTDFLT: i32 = 3 * PR_SLOWHZ;

impl Inet {
    /// TCP's part of a control block (`intotcpcb`).
    pub fn tp(&self, id: InpcbId) -> Option<&Tcpcb> {
        self.get(id)?.tcp.as_deref()
    }

    /// TCP's part of a control block, to change it.
    pub fn tp_mut(&mut self, id: InpcbId) -> Option<&mut Tcpcb> {
        self.pcbs.get_mut(id)?.tcp.as_deref_mut()
    }
}

/// Gives a control block TCP's part (`tcp_newtcpcb`).
pub(super) fn tcp_newtcpcb(kernel: &mut Kernel, id: InpcbId) {
    tcp_timer::sync(kernel);
    let now = kernel.inet.tcp.now;
    let variables = &kernel.inet.variables;
    let mut tp = Tcpcb {
        maxseg: variables.tcp_mssdflt as u32,
        maxopd: variables.tcp_mssdflt as u32,
        rttvar: variables.tcp_rttdflt.wrapping_mul(PR_SLOWHZ).wrapping_shl(2),
        rttmin: TCPTV_MIN,
        rxtcur: rangeset(TCPTV_SRTTDFLT << 2 >> 1, TCPTV_MIN, TCPTV_REXMTMAX),
        snd_cwnd: TCP_MAXWIN << TCP_MAX_WINSHIFT,
        snd_ssthresh: TCP_MAXWIN << TCP_MAX_WINSHIFT,
        idle_since: now,
        made_at: now,
        ..Tcpcb::default()
    };
    if variables.tcp_rfc1323 != 0 {
        tp.flags = tf::REQ_SCALE | tf::REQ_TSTMP;
    }
    if variables.tcp_rfc1644 != 0 {
        tp.flags |= tf::REQ_CC;
    }
    let ttl = variables.ip_ttl as u8;
    let inp = kernel.inet.inp_mut(id);
    inp.ttl = ttl;
    inp.tcp = Some(Box::new(tp));
}

/// What a segment without data says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Respond {
    /// A probe that the peer must answer.
    Probe {
        /// Acknowledged.
        ack: u32,
        /// Sequence number.
        seq: u32,
    },
    /// An answer to a segment between these ends, who sent it first.
    Answer {
        /// Sender of the segment.
        from: (Ipv4Addr, u16),
        /// Whom it was for.
        to: (Ipv4Addr, u16),
        /// Acknowledged.
        ack: u32,
        /// Sequence number.
        seq: u32,
        /// Flags.
        flags: u8,
    },
}

/// Sends a segment without data (`tcp_respond`).
pub(super) fn tcp_respond(kernel: &mut Kernel, id: Option<InpcbId>, what: Respond) {
    events::begin(kernel, None, "tcp_respond");
    respond(kernel, id, what);
    events::end(kernel, None, "tcp_respond", Ok(()));
}

fn respond(kernel: &mut Kernel, id: Option<InpcbId>, what: Respond) {
    let id = id.filter(|&id| kernel.inet.tp(id).is_some());
    let mut window = 0;
    if let Some(id) = id {
        let inp = kernel.inet.inp(id);
        let scale = inp.tcp.as_ref().map_or(0, |tp| tp.rcv_scale);
        window = (kernel.sockets[inp.socket].rcv.space() >> scale) as u16;
    }
    let (from, to, ack, seq, flags) = match (what, id) {
        (Respond::Probe { ack, seq }, Some(id)) => {
            let inp = kernel.inet.inp(id);
            ((inp.laddr, inp.lport), (inp.faddr, inp.fport), ack, seq, th::ACK)
        }
        (Respond::Answer { from, to, ack, seq, flags }, _) => (to, from, ack, seq, flags),
        (Respond::Probe { .. }, None) => return,
    };
    let mut m = Mbuf::gethdr(MbufType::Header);
    m.indent(MAX_LINKHDR);
    m.set_len(TCPIP_HEADER);
    let mut m = Chain::from(m);
    // Nothing of the header of a segment that is answered is left, its type of service neither.
    let mut ip = Ip::new(ipproto::TCP as u8, from.0, to.0, TCPIP_HEADER);
    ip.ttl = kernel.inet.variables.ip_ttl as u8;
    ip.store(&mut m);
    let header = header(from.1, to.1, seq, ack, (TCP_HEADER / 4) as u8, flags, window, 0);
    store(&mut m, IP_HEADER, &header);
    sum(&mut m, &ip);
    let _ = match id {
        Some(id) => {
            let mut ro = std::mem::take(&mut kernel.inet.inp_mut(id).route);
            let sent = ip_output(kernel, m, None, Way::Through(&mut ro), Flags::empty(), None);
            kernel.inet.inp_mut(id).route = ro;
            sent
        }
        None => ip_output(kernel, m, None, Way::Fresh, Flags::empty(), None),
    };
}

/// A header of TCP without a checksum (`struct tcphdr`).
#[allow(clippy::too_many_arguments)] // as many as it has fields
pub(super) fn header(
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    words: u8,
    flags: u8,
    window: u16,
    urgent: u16,
) -> [u8; TCP_HEADER] {
    let mut header = [0; TCP_HEADER];
    header[0..2].copy_from_slice(&sport.to_be_bytes());
    header[2..4].copy_from_slice(&dport.to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[8..12].copy_from_slice(&ack.to_be_bytes());
    (header[12], header[13]) = (words << 4, flags);
    header[14..16].copy_from_slice(&window.to_be_bytes());
    header[18..20].copy_from_slice(&urgent.to_be_bytes());
    header
}

/// Stores the checksum of a segment.
pub(super) fn sum(m: &mut Chain, ip: &Ip) {
    let len = m.bytes() - IP_HEADER;
    let sum = pseudo(ip.src.octets(), ip.dst.octets(), ipproto::TCP as u8, len as u16);
    let sum = in_cksum(sum, m, IP_HEADER, len);
    store(m, IP_HEADER + 16, &sum);
}

/// Drops a connection with an error; the peer gets a reset (`tcp_drop`).
pub(super) fn tcp_drop(kernel: &mut Kernel, id: InpcbId, error: Option<Errno>) {
    let so = kernel.inet.inp(id).socket;
    events::begin_with(kernel, Some(so), "tcp_drop", || error.map_or("", Errno::name));
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    let softerror = tp.softerror;
    if tp.state.have_rcvd_syn() {
        tp.state = super::TcpState::Closed;
        let _ = tcp_output(kernel, id);
        kernel.inet.stat.tcp.bump(tcps::DROPS);
    } else {
        kernel.inet.stat.tcp.bump(tcps::CONNDROPS);
    }
    let error = if error == Some(Errno::ETIMEDOUT) { softerror.or(error) } else { error };
    kernel.sockets[so].error = error;
    tcp_close(kernel, id);
    events::end(kernel, so, "tcp_drop", Ok(()));
}

/// Forgets a connection; its route remembers what was measured (`tcp_close`).
pub(super) fn tcp_close(kernel: &mut Kernel, id: InpcbId) {
    if !kernel.inet.has(id) {
        return;
    }
    let so = kernel.inet.inp(id).socket;
    events::begin(kernel, so, "tcp_close");
    remember(kernel, id);
    kernel.inet.inp_mut(id).tcp = None;
    soisdisconnected(kernel, so);
    in_pcb::detach(kernel, id);
    kernel.inet.stat.tcp.bump(tcps::CLOSED);
    events::end(kernel, so, "tcp_close", Ok(()));
}

/// Saves round trip times and the threshold in the route, where there were enough samples.
fn remember(kernel: &mut Kernel, id: InpcbId) {
    const ENOUGH: u32 = 16;
    let inp = kernel.inet.inp(id);
    let (Some(tp), Some(rt)) = (&inp.tcp, inp.route.rt) else { return };
    let (srtt, rttvar, ssthresh, maxseg) =
        (tp.srtt as u32, tp.rttvar as u32, tp.snd_ssthresh, tp.maxseg.max(1));
    if tp.rttupdated < ENOUGH || kernel.net.rtentries.get(rt).is_none_or(|rt| sin_addr(&rt.key) == INADDR_ANY)
    {
        return;
    }
    let rmx = &mut kernel.net.rt_mut(rt).rmx;
    let stat = &mut kernel.inet.stat.tcp;
    let mut i = 0;
    let average = |old: u32, new: u32| if old != 0 && new != 0 { old.wrapping_add(new) / 2 } else { new };
    if rmx.locks & rtv::RTT == 0 {
        i = srtt.wrapping_mul(RTM_RTTUNIT / (PR_SLOWHZ as u32 * TCP_RTT_SCALE));
        rmx.rtt = average(rmx.rtt, i);
        stat.bump(tcps::CACHEDRTT);
    }
    if rmx.locks & rtv::RTTVAR == 0 {
        i = rttvar.wrapping_mul(RTM_RTTUNIT / (PR_SLOWHZ as u32 * TCP_RTTVAR_SCALE));
        rmx.rttvar = average(rmx.rttvar, i);
        stat.bump(tcps::CACHEDRTTVAR);
    }
    let mut known = false;
    if rmx.locks & rtv::SSTHRESH == 0 {
        i = ssthresh;
        known = i != 0 && rmx.ssthresh != 0;
    }
    if known || i < rmx.sendpipe / 2 {
        let segments = (i.wrapping_add(maxseg / 2) / maxseg).max(2);
        let bytes = segments.wrapping_mul(maxseg.wrapping_add(TCPIP_HEADER as u32));
        rmx.ssthresh = if rmx.ssthresh != 0 { rmx.ssthresh.wrapping_add(bytes) / 2 } else { bytes };
        stat.bump(tcps::CACHEDSSTHRESH);
    }
}

/// Hears what became of a segment, or of an address (`tcp_ctlinput`).
pub(super) fn tcp_ctlinput(kernel: &mut Kernel, cmd: CtlInput, sa: &[u8], quoted: Option<&[u8]>) {
    let act: in_pcb::Notify = match cmd {
        CtlInput::Quench => tcp_quench,
        CtlInput::Msgsize => tcp_mtudisc,
        _ if !cmd.is_redirect() && cmd.error().is_none() => return,
        _ => tcp_notify,
    };
    let (fport, local) = ends(quoted);
    in_pcb::notify(kernel, List::Tcp, sa, fport, local, cmd, act);
}

/// An error that may pass: it is kept for the end (`tcp_notify`).
fn tcp_notify(kernel: &mut Kernel, id: InpcbId, error: Option<Errno>) {
    let so = kernel.inet.inp(id).socket;
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    let passing = matches!(error, Some(Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EHOSTDOWN));
    if tp.state == super::TcpState::Established && passing {
        return;
    }
    if !tp.state.have_established() && tp.rxtshift > 3 && tp.softerror.is_some() {
        kernel.sockets[so].error = error;
    } else {
        tp.softerror = error;
    }
    kernel.wakeup(Channel::SocketState(so));
    sorwakeup(kernel, so);
    sowwakeup(kernel, so);
}

/// Somebody on the way asks to send less (`tcp_quench`).
pub(super) fn tcp_quench(kernel: &mut Kernel, id: InpcbId, _error: Option<Errno>) {
    if let Some(tp) = kernel.inet.tp_mut(id) {
        tp.snd_cwnd = tp.maxseg;
    }
}

/// A segment was too large for the way: smaller ones are sent (`tcp_mtudisc`).
pub(super) fn tcp_mtudisc(kernel: &mut Kernel, id: InpcbId, _error: Option<Errno>) {
    if kernel.inet.tp(id).is_none() {
        return;
    }
    let default = kernel.inet.variables.tcp_mssdflt as u32;
    let route = tcp_rtlookup(kernel, id).map(|rt| kernel.net.rt(rt).rmx);
    let Some(rmx) = route.filter(|rmx| rmx.mtu != 0) else {
        if let Some(tp) = kernel.inet.tp_mut(id) {
            (tp.maxopd, tp.maxseg) = (default, default);
        }
        return;
    };
    // Sizes are compared as unsigned numbers, as the original's are.
    let mut mss = rmx.mtu.wrapping_sub(TCPIP_HEADER as u32);
    if rmx.tao.mssopt != 0 {
        mss = mss.min(u32::from(rmx.tao.mssopt));
    }
    let so = kernel.inet.inp(id).socket;
    let hiwat = kernel.sockets[so].snd.hiwat;
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    if tp.maxopd <= mss {
        return;
    }
    tp.maxopd = mss;
    let mss = tcp_mss::round(mss as i32 - tcp_mss::option_room(tp, false));
    tp.maxseg = hiwat.min(mss as u32);
    tp.timed_since = None;
    tp.snd_nxt = tp.snd_una;
    kernel.inet.stat.tcp.bump(tcps::MTURESENT);
    let _ = tcp_output(kernel, id);
}

/// The route to the peer, looked for if there is none (`tcp_rtlookup`).
pub(super) fn tcp_rtlookup(kernel: &mut Kernel, id: InpcbId) -> Option<RtId> {
    let inp = kernel.inet.inp_mut(id);
    let up =
        |kernel: &Kernel, rt: RtId| kernel.net.rtentries.get(rt).is_some_and(|rt| rt.flags & rtf::UP != 0);
    let (rt, faddr) = (inp.route.rt, inp.faddr);
    if rt.is_some_and(|rt| up(kernel, rt)) || faddr == INADDR_ANY {
        return rt;
    }
    let mut ro = std::mem::take(&mut kernel.inet.inp_mut(id).route);
    if let Some(old) = ro.rt.take() {
        crate::kernel::net::route::rtfree(kernel, old);
    }
    ro.dst = sin(faddr).to_vec();
    rtalloc_ign(kernel, &mut ro, 0);
    let rt = ro.rt;
    kernel.inet.inp_mut(id).route = ro;
    rt
}

/// The route in which T/TCP's memory of the peer is, if there is one to its host (`tcp_gettaocache`).
fn tao_route(kernel: &mut Kernel, id: InpcbId) -> Option<RtId> {
    const UP_HOST: u32 = rtf::UP | rtf::HOST;
    tcp_rtlookup(kernel, id).filter(|&rt| kernel.net.rt(rt).flags & UP_HOST == UP_HOST)
}

/// What T/TCP remembers of the peer; nothing where it cannot.
pub(super) fn tao(kernel: &mut Kernel, id: InpcbId) -> Tao {
    tao_route(kernel, id).map_or(Tao::default(), |rt| kernel.net.rt(rt).rmx.tao)
}

/// Has T/TCP remember something of the peer, where it can.
pub(super) fn set_tao(kernel: &mut Kernel, id: InpcbId, change: impl FnOnce(&mut Tao)) {
    if let Some(rt) = tao_route(kernel, id) {
        change(&mut kernel.net.rt_mut(rt).rmx.tao);
    }
}

/// The next connection count (CC_INC).
pub(super) fn next_cc(kernel: &mut Kernel) -> u32 {
    let cc = &mut kernel.inet.tcp.ccgen;
    *cc = cc.wrapping_add(1);
    if *cc == 0 {
        *cc = 1;
    }
    *cc
}

/// Sends a segment of a connection.
pub(super) fn send(kernel: &mut Kernel, id: InpcbId, m: Chain, dontroute: bool) -> Result<(), Errno> {
    let flags = if dontroute { Flags::ROUTETOIF } else { Flags::empty() };
    ip_output::send(kernel, id, m, flags, false)
}
