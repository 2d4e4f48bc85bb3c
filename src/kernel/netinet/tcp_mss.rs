//! The size of segments: what the peer offers, what the route takes, and what buffers are made of it.
//!
//! 2.1 counterpart: netinet/tcp_input.c (tcp_mss, tcp_mssopt, tcp_xmit_timer).

use super::in_control::in_localaddr;
use super::in_pcb::InpcbId;
use super::statistics::tcps;
use super::tcp_subr::{RTM_RTTUNIT, TCP_RTT_SCALE, TCP_RTTVAR_SCALE, tcp_rtlookup};
use super::tcp_timer::{PR_SLOWHZ, TCPTV_REXMTMAX, rangeset};
use super::tcp_var::*;
use crate::kernel::Kernel;
use crate::kernel::net::metrics::rtv;
use crate::kernel::socket::mbuf::MCLBYTES;
use crate::kernel::socket::sockbuf::SB_MAX;

/// What the peer says of its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Nothing yet: what it said the last time counts (-1).
    Unknown,
    /// A size; 0 if its SYN had none.
    Size(u16),
}

/// Room for the options of every segment.
pub(super) fn option_room(tp: &Tcpcb, unknown: bool) -> i32 {
    let mut room = 0;
    if tp.flags & (tf::REQ_TSTMP | tf::NOOPT) == tf::REQ_TSTMP && (unknown || tp.any(tf::RCVD_TSTMP)) {
        room += tcpopt::TSTAMP_APPA;
    }
    if tp.flags & (tf::REQ_CC | tf::NOOPT) == tf::REQ_CC && (unknown || tp.any(tf::RCVD_CC)) {
        room += tcpopt::CC_APPA;
    }
    room
}

/// Of segments that are larger than a cluster, whole clusters.
pub(super) fn round(mss: i32) -> i32 {
    if mss > MCLBYTES as i32 { mss & !(MCLBYTES as i32 - 1) } else { mss }
}

/// Sets the size of segments, of buffers, and what the route remembers (`tcp_mss`).
pub(super) fn tcp_mss(kernel: &mut Kernel, id: InpcbId, offer: Offer) {
    let default = kernel.inet.variables.tcp_mssdflt;
    let Some(rt) = tcp_rtlookup(kernel, id) else {
        if let Some(tp) = kernel.inet.tp_mut(id) {
            (tp.maxopd, tp.maxseg) = (default as u32, default as u32);
        }
        return;
    };
    let (so, faddr) = (kernel.inet.inp(id).socket, kernel.inet.inp(id).faddr);
    let local = in_localaddr(kernel, faddr);
    let rmx = &mut kernel.net.rt_mut(rt).rmx;
    let size = match offer {
        Offer::Unknown => rmx.tao.mssopt,
        Offer::Size(size) => size,
    };
    // Sizes are compared as unsigned numbers, as the original's are.
    let size = if size == 0 { default as u32 } else { u32::from(size).max(64) };
    rmx.tao.mssopt = size as u16;
    let rmx = *rmx;
    let mtu = kernel.net.ifnet(kernel.net.rt(rt).ifp).map_or(0, |ifp| ifp.mtu);
    let Some(inp) = kernel.inet.pcbs.get_mut(id) else { return };
    let Some(tp) = &mut inp.tcp else { return };
    let stat = &mut kernel.inet.stat.tcp;
    if tp.srtt == 0 && rmx.rtt != 0 {
        let unit = RTM_RTTUNIT / PR_SLOWHZ as u32;
        if rmx.locks & rtv::RTT != 0 {
            tp.rttmin = (rmx.rtt as i32 / unit as i32) as u32;
        }
        tp.srtt = rmx.rtt as i32 / (unit / TCP_RTT_SCALE) as i32;
        stat.bump(tcps::USEDRTT);
        if rmx.rttvar != 0 {
            tp.rttvar = (rmx.rttvar / (unit / TCP_RTTVAR_SCALE)) as i32;
            stat.bump(tcps::USEDRTTVAR);
        } else {
            tp.rttvar = tp.srtt.wrapping_mul(TCP_RTTVAR_SCALE as i32) / TCP_RTT_SCALE as i32;
        }
        tp.rxtcur = rangeset(((tp.srtt >> 2) + tp.rttvar) >> 1, tp.rttmin, TCPTV_REXMTMAX);
    }
    let headers = TCPIP_HEADER as u32;
    let most = match rmx.mtu {
        0 if local => mtu.wrapping_sub(headers),
        0 => mtu.wrapping_sub(headers).min(default as u32),
        mtu => mtu.wrapping_sub(headers),
    };
    tp.maxopd = most.min(size);
    let mut mss = round(tp.maxopd as i32 - option_room(tp, offer == Offer::Unknown));
    let socket = &mut kernel.sockets[so];
    let up =
        |size: u32, mss: i32| size.checked_next_multiple_of(mss.max(1) as u32).unwrap_or(SB_MAX).min(SB_MAX);
    let bufsize = if rmx.sendpipe == 0 { socket.snd.hiwat } else { rmx.sendpipe };
    if bufsize < mss as u32 {
        mss = bufsize as i32;
    } else {
        socket.snd.reserve(up(bufsize, mss));
    }
    tp.maxseg = mss as u32;
    let bufsize = if rmx.recvpipe == 0 { socket.rcv.hiwat } else { rmx.recvpipe };
    if bufsize > mss as u32 {
        socket.rcv.reserve(up(bufsize, mss));
    }
    if !local {
        tp.snd_cwnd = mss as u32;
    }
    if rmx.ssthresh != 0 {
        tp.snd_ssthresh = (mss.wrapping_mul(2) as u32).max(rmx.ssthresh);
        stat.bump(tcps::USEDSSTHRESH);
    }
}

/// The size of segments to tell the peer (`tcp_mssopt`).
pub(super) fn tcp_mssopt(kernel: &mut Kernel, id: InpcbId) -> u16 {
    let Some(rt) = tcp_rtlookup(kernel, id) else { return kernel.inet.variables.tcp_mssdflt as u16 };
    let ifp = kernel.net.rt(rt).ifp;
    kernel.net.ifnet(ifp).map_or(0, |ifp| ifp.mtu.wrapping_sub(TCPIP_HEADER as u32) as u16)
}

/// Takes a measured round trip into account (`tcp_xmit_timer`).
pub(super) fn tcp_xmit_timer(tp: &mut Tcpcb, rtt: i32) {
    let rtt = i32::from(rtt as i16);
    tp.rttupdated = tp.rttupdated.wrapping_add(1);
    if tp.srtt != 0 {
        let mut delta = i32::from((rtt - 1 - (tp.srtt >> TCP_RTT_SHIFT)) as i16);
        tp.srtt = (tp.srtt + delta).max(1);
        delta = i32::from((delta.abs() - (tp.rttvar >> TCP_RTTVAR_SHIFT)) as i16);
        tp.rttvar = (tp.rttvar + delta).max(1);
    } else {
        tp.srtt = rtt << TCP_RTT_SHIFT;
        tp.rttvar = rtt << (TCP_RTTVAR_SHIFT - 1);
    }
    tp.timed_since = None;
    tp.rxtshift = 0;
    tp.rxtcur = rangeset(tp.rexmtval(), tp.rttmin, TCPTV_REXMTMAX);
    tp.softerror = None;
}
