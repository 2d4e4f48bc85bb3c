//! Sending segments: whether something is to be sent, what, and with which options.
//!
//! 2.1 counterpart: netinet/tcp_output.c.

use syscalls::errno::Errno;

use super::in_pcb::InpcbId;
use super::ip::{IP_DF, IP_HEADER, Ip, store};
use super::ip_options::MAX_LINKHDR;
use super::ipproto;
use super::statistics::tcps;
use super::tcp_fsm::TcpState;
use super::tcp_mss::tcp_mssopt;
use super::tcp_seq::{gt, lt};
use super::tcp_subr::{self, header, tao, tcp_mtudisc, tcp_quench};
use super::tcp_timer::*;
use super::tcp_var::*;
use crate::kernel::Kernel;
use crate::kernel::net::metrics::rtv;
use crate::kernel::net::route::rtf;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::{MHLEN, Mbuf, MbufType};
use crate::kernel::socket::socket::SocketOptions;

/// What is to be sent.
struct Plan {
    /// Position of the data behind what is not acknowledged.
    off: i64,
    /// Bytes of data.
    len: i64,
    /// `TH_*`.
    flags: u8,
    /// Room for what comes.
    win: i64,
    /// More is to be sent behind it.
    sendalot: bool,
}

/// Sends what there is to send (`tcp_output`).
pub(super) fn tcp_output(kernel: &mut Kernel, id: InpcbId) -> Result<(), Errno> {
    if kernel.inet.tp(id).is_none() {
        return Ok(());
    }
    let so = kernel.inet.inp(id).socket;
    events::begin(kernel, so, "tcp_output");
    let sent = output(kernel, id);
    events::end(kernel, so, "tcp_output", sent);
    arm(kernel, id);
    sent
}

fn output(kernel: &mut Kernel, id: InpcbId) -> Result<(), Errno> {
    let clock = kernel.inet.tcp.clock();
    let Some(tp) = kernel.inet.tp_mut(id) else { return Ok(()) };
    let idle = tp.snd_max == tp.snd_una;
    let quiet = clock.now.saturating_sub(tp.idle_since);
    if idle && quiet >= u64::from(tp.rxtcur as u32) {
        // Nothing clocks what is sent: slow start.
        tp.snd_cwnd = tp.maxseg;
    }
    loop {
        let ccsent = tao(kernel, id).ccsent;
        let Some(mut plan) = plan(kernel, id, clock, idle, ccsent) else { return Ok(()) };
        let options = options(kernel, id, &mut plan);
        let m = segment(kernel, id, clock, &mut plan, &options);
        if !transmit(kernel, id, m, &plan)? || !plan.sendalot {
            return Ok(());
        }
    }
}

/// Decides whether something is to be sent: the part before the label `send`.
fn plan(kernel: &mut Kernel, id: InpcbId, clock: Clock, idle: bool, ccsent: u32) -> Option<Plan> {
    let inp = kernel.inet.pcbs.get_mut(id)?;
    let so = &kernel.sockets[inp.socket];
    let tp = inp.tcp.as_mut()?;
    let cc = i64::from(so.snd.cc);
    let mut off = i64::from(tp.snd_nxt.wrapping_sub(tp.snd_una) as i32);
    let mut win = i64::from(tp.snd_wnd.min(tp.snd_cwnd));
    let mut flags = tp.state.outflags();
    if tp.any(tf::NEEDFIN) {
        flags |= th::FIN;
    }
    if tp.any(tf::NEEDSYN) {
        flags |= th::SYN;
    }
    if tp.force {
        if win == 0 {
            if off < cc {
                flags &= !th::FIN;
            }
            win = 1;
        } else {
            tp.timers.stop(TCPT_PERSIST);
            tp.rxtshift = 0;
        }
    }
    let mut len = cc.min(win) - off;
    if flags & th::SYN != 0 && gt(tp.snd_nxt, tp.snd_una) {
        flags &= !th::SYN;
        off -= 1;
        len += 1;
        if len > 0 && tp.state == TcpState::SynSent && ccsent == 0 {
            return None;
        }
    }
    if flags & th::SYN != 0
        && (tp.any(tf::NOOPT) || !tp.any(tf::REQ_CC) || (flags & th::ACK != 0 && !tp.any(tf::RCVD_CC)))
    {
        len = 0;
        flags &= !th::FIN;
    }
    if len < 0 {
        len = 0;
        if win == 0 {
            tp.timers.stop(TCPT_REXMT);
            tp.rxtshift = 0;
            tp.snd_nxt = tp.snd_una;
            if !tp.timers.runs(TCPT_PERSIST) {
                setpersist(tp, clock);
            }
        }
    }
    let mut sendalot = false;
    if len > i64::from(tp.maxseg) {
        len = i64::from(tp.maxseg);
        sendalot = true;
    }
    if lt(tp.snd_nxt.wrapping_add(len as u32), tp.snd_una.wrapping_add(so.snd.cc)) {
        flags &= !th::FIN;
    }
    let win = i64::from(so.rcv.space());
    let plan = Plan { off, len, flags, win, sendalot };
    if data_are_due(tp, &plan, cc, idle) || control_is_due(tp, &plan, so.rcv.hiwat) {
        return Some(plan);
    }
    if cc != 0 && !tp.timers.runs(TCPT_REXMT) && !tp.timers.runs(TCPT_PERSIST) {
        tp.rxtshift = 0;
        setpersist(tp, clock);
    }
    None
}

/// Whether data are to be sent: the sender's part in avoiding silly windows.
fn data_are_due(tp: &Tcpcb, plan: &Plan, cc: i64, idle: bool) -> bool {
    let len = plan.len;
    len != 0
        && (len == i64::from(tp.maxseg)
            || ((idle || tp.any(tf::NODELAY)) && !tp.any(tf::NOPUSH) && len + plan.off >= cc)
            || tp.force
            || (tp.max_sndwnd > 0 && len >= i64::from(tp.max_sndwnd / 2))
            || lt(tp.snd_nxt, tp.snd_max))
}

/// Whether a segment is due without data: a wider window, an acknowledgement, a flag.
fn control_is_due(tp: &Tcpcb, plan: &Plan, hiwat: u32) -> bool {
    if plan.win > 0 {
        let known = i64::from(tp.rcv_adv.wrapping_sub(tp.rcv_nxt) as i32);
        let adv = plan.win.min(i64::from(TCP_MAXWIN) << tp.rcv_scale) - known;
        if adv >= 2 * i64::from(tp.maxseg) || 2 * adv >= i64::from(hiwat) {
            return true;
        }
    }
    tp.any(tf::ACKNOW)
        || plan.flags & th::RST != 0
        || (plan.flags & th::SYN != 0 && !tp.any(tf::NEEDSYN))
        || gt(tp.snd_up, tp.snd_una)
        || (plan.flags & th::FIN != 0 && (!tp.any(tf::SENTFIN) || tp.snd_nxt == tp.snd_una))
}

/// The options of a segment; where they leave no room for all data, those are cut.
fn options(kernel: &mut Kernel, id: InpcbId, plan: &mut Plan) -> Vec<u8> {
    let mss = if plan.flags & th::SYN != 0 { tcp_mssopt(kernel, id) } else { 0 };
    let now = kernel.inet.tcp.now as u32;
    let mut options = Vec::new();
    let Some(tp) = kernel.inet.tp_mut(id) else { return options };
    let (syn, ack, rst) = (plan.flags & th::SYN != 0, plan.flags & th::ACK != 0, plan.flags & th::RST != 0);
    if syn {
        tp.snd_nxt = tp.iss;
        if !tp.any(tf::NOOPT) {
            let [m1, m0] = mss.to_be_bytes();
            options.extend([tcpopt::MAXSEG, tcpopt::MAXSEG_LEN, m1, m0]);
            if tp.any(tf::REQ_SCALE) && (!ack || tp.any(tf::RCVD_SCALE)) {
                options.extend([tcpopt::NOP, tcpopt::WINDOW, tcpopt::WINDOW_LEN, tp.request_r_scale]);
            }
        }
    }
    if tp.flags & (tf::REQ_TSTMP | tf::NOOPT) == tf::REQ_TSTMP && !rst && (!ack || tp.any(tf::RCVD_TSTMP)) {
        options.extend([tcpopt::NOP, tcpopt::NOP, tcpopt::TIMESTAMP, tcpopt::TIMESTAMP_LEN]);
        options.extend(now.to_be_bytes());
        options.extend(tp.ts_recent.to_be_bytes());
    }
    if tp.flags & (tf::REQ_CC | tf::NOOPT) == tf::REQ_CC && !rst {
        let mut count = |kind: u8, cc: u32| {
            options.extend([tcpopt::NOP, tcpopt::NOP, kind, tcpopt::CC_LEN]);
            options.extend(cc.to_be_bytes());
        };
        match (syn, ack) {
            (true, false) if tp.any(tf::SENDCCNEW) => count(tcpopt::CCNEW, tp.cc_send),
            (true, false) => count(tcpopt::CC, tp.cc_send),
            (false, false) => count(tcpopt::CC, tp.cc_send),
            (false, true) if tp.any(tf::RCVD_CC) => count(tcpopt::CC, tp.cc_send),
            (true, true) if tp.any(tf::RCVD_CC) => {
                count(tcpopt::CC, tp.cc_send);
                count(tcpopt::CCECHO, tp.cc_recv);
            }
            _ => {}
        }
    }
    if plan.len + options.len() as i64 > i64::from(tp.maxopd) {
        plan.flags &= !th::FIN;
        plan.len = (i64::from(tp.maxopd) - options.len() as i64).max(0);
        plan.sendalot = true;
    }
    options
}

/// Counts a segment by what is in it.
fn count(kernel: &mut Kernel, id: InpcbId, plan: &Plan) {
    let Some(inp) = kernel.inet.pcbs.get(id) else { return };
    let Some(tp) = &inp.tcp else { return };
    let stat = &mut kernel.inet.stat.tcp;
    let what = if plan.len > 0 {
        if tp.force && plan.len == 1 {
            tcps::SNDPROBE
        } else if lt(tp.snd_nxt, tp.snd_max) {
            stat.add(tcps::SNDREXMITBYTE, plan.len as u32);
            tcps::SNDREXMITPACK
        } else {
            stat.add(tcps::SNDBYTE, plan.len as u32);
            tcps::SNDPACK
        }
    } else if tp.any(tf::ACKNOW) {
        tcps::SNDACKS
    } else if plan.flags & (th::SYN | th::FIN | th::RST) != 0 {
        tcps::SNDCTRL
    } else if gt(tp.snd_up, tp.snd_una) {
        tcps::SNDURG
    } else {
        tcps::SNDWINUP
    };
    stat.bump(what);
}

/// Makes a segment and counts it as sent.
fn segment(kernel: &mut Kernel, id: InpcbId, clock: Clock, plan: &mut Plan, options: &[u8]) -> Chain {
    count(kernel, id, plan);
    let hdrlen = TCPIP_HEADER + options.len();
    let mut first = Mbuf::gethdr(MbufType::Header);
    first.indent(MAX_LINKHDR);
    first.set_len(hdrlen);
    let mut m = Chain::new();
    let inp = kernel.inet.inp_mut(id);
    let so = &kernel.sockets[inp.socket];
    let len = plan.len as usize;
    if len > 0
        && let Some(data) = so.snd.records.front()
    {
        let off = plan.off.max(0) as usize;
        if len <= MHLEN.saturating_sub(hdrlen + MAX_LINKHDR) {
            first.set_len(hdrlen + len);
            data.copy_data(off, &mut first.bytes_mut()[hdrlen..]);
        } else {
            m = data.copy_range(off, len);
        }
        if plan.off + plan.len == i64::from(so.snd.cc) {
            plan.flags |= th::PUSH;
        }
    }
    m.push_front(first);
    let mut ip = Ip::new(ipproto::TCP as u8, inp.laddr, inp.faddr, hdrlen + len);
    (ip.ttl, ip.tos) = (inp.ttl, inp.tos);
    let entry = inp.route.rt.and_then(|rt| kernel.net.rtentries.get(rt));
    if entry.is_some_and(|rt| rt.flags & rtf::UP != 0 && rt.rmx.locks & rtv::MTU == 0) {
        ip.off |= IP_DF;
    }
    let (lport, fport, hiwat) = (inp.lport, inp.fport, so.rcv.hiwat);
    let Some(tp) = &mut inp.tcp else { return m };
    if plan.flags & th::FIN != 0 && tp.any(tf::SENTFIN) && tp.snd_nxt == tp.snd_max {
        tp.snd_nxt = tp.snd_nxt.wrapping_sub(1);
    }
    let counted = plan.len > 0 || plan.flags & (th::SYN | th::FIN) != 0;
    let seq = if counted || tp.timers.runs(TCPT_PERSIST) { tp.snd_nxt } else { tp.snd_max };
    let window = window(tp, plan, hiwat);
    let mut urgent = 0;
    if gt(tp.snd_up, tp.snd_nxt) {
        urgent = tp.snd_up.wrapping_sub(tp.snd_nxt) as u16;
        plan.flags |= th::URG;
    } else {
        tp.snd_up = tp.snd_una;
    }
    let words = ((TCP_HEADER + options.len()) / 4) as u8;
    ip.store(&mut m);
    let tcp = header(lport, fport, seq, tp.rcv_nxt, words, plan.flags, window, urgent);
    store(&mut m, IP_HEADER, &tcp);
    store(&mut m, TCPIP_HEADER, options);
    tcp_subr::sum(&mut m, &ip);
    let timed = advance(tp, clock, plan);
    if timed {
        kernel.inet.stat.tcp.bump(tcps::SEGSTIMED);
    }
    m
}

/// The window to tell the peer: never smaller than it knows, and not a silly one.
fn window(tp: &Tcpcb, plan: &mut Plan, hiwat: u32) -> u16 {
    let known = i64::from(tp.rcv_adv.wrapping_sub(tp.rcv_nxt) as i32);
    if plan.win < i64::from(hiwat / 4) && plan.win < i64::from(tp.maxseg) {
        plan.win = 0;
    }
    plan.win = plan.win.min(i64::from(TCP_MAXWIN) << tp.rcv_scale).max(known);
    (plan.win >> tp.rcv_scale) as u16
}

/// Counts what is sent, and has it sent again if need be; true if the segment's time is measured.
fn advance(tp: &mut Tcpcb, clock: Clock, plan: &Plan) -> bool {
    let len = plan.len as u32;
    let mut timed = false;
    if !tp.force || !tp.timers.runs(TCPT_PERSIST) {
        let start = tp.snd_nxt;
        if plan.flags & th::SYN != 0 {
            tp.snd_nxt = tp.snd_nxt.wrapping_add(1);
        }
        if plan.flags & th::FIN != 0 {
            tp.snd_nxt = tp.snd_nxt.wrapping_add(1);
            tp.flags |= tf::SENTFIN;
        }
        tp.snd_nxt = tp.snd_nxt.wrapping_add(len);
        if gt(tp.snd_nxt, tp.snd_max) {
            tp.snd_max = tp.snd_nxt;
            if tp.timed_since.is_none() {
                tp.timed_since = Some(clock.now);
                tp.rtseq = start;
                timed = true;
            }
        }
        if !tp.timers.runs(TCPT_REXMT) && tp.snd_nxt != tp.snd_una {
            tp.timers.set(clock, TCPT_REXMT, tp.rxtcur);
            if tp.timers.runs(TCPT_PERSIST) {
                tp.timers.stop(TCPT_PERSIST);
                tp.rxtshift = 0;
            }
        }
    } else if gt(tp.snd_nxt.wrapping_add(len), tp.snd_max) {
        tp.snd_max = tp.snd_nxt.wrapping_add(len);
    }
    timed
}

/// Gives a segment to IP; false where nothing more is to be sent now.
fn transmit(kernel: &mut Kernel, id: InpcbId, m: Chain, plan: &Plan) -> Result<bool, Errno> {
    let so = kernel.inet.inp(id).socket;
    let dontroute = kernel.sockets[so].options.contains(SocketOptions::DONTROUTE);
    if let Err(error) = tcp_subr::send(kernel, id, m, dontroute) {
        match error {
            Errno::ENOBUFS => tcp_quench(kernel, id, None),
            Errno::EMSGSIZE => tcp_mtudisc(kernel, id, None),
            _ => {
                let Some(tp) = kernel.inet.tp_mut(id) else { return Ok(false) };
                if !matches!(error, Errno::EHOSTUNREACH | Errno::ENETDOWN) || !tp.state.have_rcvd_syn() {
                    return Err(error);
                }
                tp.softerror = Some(error);
            }
        }
        return Ok(false);
    }
    kernel.inet.stat.tcp.bump(tcps::SNDTOTAL);
    let Some(tp) = kernel.inet.tp_mut(id) else { return Ok(false) };
    let edge = tp.rcv_nxt.wrapping_add(plan.win as u32);
    if plan.win > 0 && gt(edge, tp.rcv_adv) {
        tp.rcv_adv = edge;
    }
    tp.last_ack_sent = tp.rcv_nxt;
    tp.flags &= !(tf::ACKNOW | tf::DELACK);
    Ok(true)
}

/// Has the window be probed after a while (`tcp_setpersist`).
pub(super) fn setpersist(tp: &mut Tcpcb, clock: Clock) {
    let t = ((tp.srtt >> 2) + tp.rttvar) >> 1;
    let factor = TCP_BACKOFF[tp.rxtshift.min(TCP_MAXRXTSHIFT) as usize];
    tp.timers.set(clock, TCPT_PERSIST, rangeset(t.wrapping_mul(factor), TCPTV_PERSMIN, TCPTV_PERSMAX));
    if tp.rxtshift < TCP_MAXRXTSHIFT {
        tp.rxtshift += 1;
    }
}
