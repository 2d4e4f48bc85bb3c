//! Segments that come in: whose they are, the two usual cases at once, and all others step by step.
//!
//! [`listen`] and [`syn_sent`] serve the states before a connection; in the others a segment is made to fit
//! the window ([`window`]), its acknowledgement is taken ([`ack`]), then its window, urgent pointer, data and
//! end ([`text`]).
//!
//! 2.1 counterpart: netinet/tcp_input.c; chapters 28 and 29 of Stevens' second volume.

mod ack;
mod listen;
mod options;
mod syn_sent;
mod text;
mod window;

use std::net::Ipv4Addr;

use super::in_cksum::{in_cksum, pseudo};
use super::in_pcb::{InpcbId, List};
use super::ip::{IP_HEADER, Ip};
use super::ip_input::ip_stripoptions;
use super::ipproto;
use super::statistics::tcps;
use super::tcp_fsm::TcpState;
use super::tcp_mss::tcp_xmit_timer;
use super::tcp_output::tcp_output;
use super::tcp_seq::{geq, gt, leq};
use super::tcp_subr::{Respond, tcp_respond};
use super::tcp_timer::{TCPT_KEEP, TCPT_PERSIST, TCPT_REXMT, arm};
use super::tcp_var::*;
use crate::kernel::net::netisr;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::MbufFlags;
use crate::kernel::socket::socket::{Side, SocketId, SocketOptions};
use crate::kernel::socket::state::{sorwakeup, sowwakeup};
use crate::kernel::socket::{events, operations};
use crate::kernel::{Context, Kernel};
use options::Options;

/// A segment that is handled, and for whom.
struct Segment {
    /// Its data, as far as they are wanted.
    m: Chain,
    /// Sender.
    src: (Ipv4Addr, u16),
    /// Receiver.
    dst: (Ipv4Addr, u16),
    /// Sequence number.
    seq: u32,
    /// Acknowledgement.
    ack: u32,
    /// Bytes of data, an urgent one that was taken out included.
    len: u32,
    /// `TH_*`, as far as they are still of interest.
    flags: u8,
    /// `TH_*` as they came.
    header_flags: u8,
    /// The sender's window, as it came and in bytes.
    win: u16,
    tiwin: u32,
    /// Urgent pointer.
    urp: u32,
    /// It came as a broadcast or multicast.
    broadcast: bool,
    /// Its options, and what they say.
    optbytes: Vec<u8>,
    to: Options,
    /// Whose it is.
    id: InpcbId,
    so: SocketId,
    /// The socket was made for it, and nobody is bound to it yet.
    dropsocket: bool,
    /// First sequence number of a connection that takes the place of one that is over.
    iss: Option<u32>,
    /// Something is to be sent.
    needoutput: bool,
}

/// What becomes of a segment.
enum Fate {
    /// Nothing more.
    Done,
    /// It is forgotten.
    Drop,
    /// It is forgotten, and what was received is acknowledged again.
    DropAfterAck,
    /// It is forgotten, and its sender is told that there is no such connection.
    DropWithReset,
    /// Its receiver has made way for another one.
    FindPcb,
}

/// Where the handling of a segment goes on.
enum Step {
    /// With its acknowledgement, whatever that is.
    ProcessAck,
    /// With its window.
    Six,
}

/// Receives a segment (`tcp_input`).
pub(super) fn tcp_input(kernel: &mut Kernel, m: Chain, hlen: usize) {
    events::begin(kernel, None, "tcp_input");
    input(kernel, m, hlen);
    events::end(kernel, None, "tcp_input", Ok(()));
}

fn input(kernel: &mut Kernel, m: Chain, hlen: usize) {
    kernel.inet.stat.tcp.bump(tcps::RCVTOTAL);
    let (ip, header, optbytes, m) = match checked(m, hlen) {
        Ok(checked) => checked,
        Err(what) => return kernel.inet.stat.tcp.bump(what),
    };
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (src, dst) = ((ip.src, half(0)), (ip.dst, half(2)));
    let broadcast =
        m.front().is_some_and(|first| first.flags.intersects(MbufFlags::BCAST | MbufFlags::MCAST));
    let len = m.bytes() as u32;
    let mut iss = None;
    let mut m = Some(m);
    loop {
        let exact = kernel.inet.lookup_exact(List::Tcp, src, dst);
        let found = exact.or_else(|| kernel.inet.lookup(List::Tcp, src, dst, true));
        let Some(id) = found.filter(|&id| kernel.inet.tp(id).is_some()) else {
            return reset(kernel, None, src, dst, (word(4), word(8), len), header[13], broadcast);
        };
        let mut segment = Segment {
            m: m.take().unwrap_or_default(),
            src,
            dst,
            seq: word(4),
            ack: word(8),
            len,
            flags: header[13],
            header_flags: header[13],
            win: half(14),
            tiwin: 0,
            urp: u32::from(half(18)),
            broadcast,
            optbytes: optbytes.clone(),
            to: Options::default(),
            id,
            so: kernel.inet.inp(id).socket,
            dropsocket: false,
            iss,
            needoutput: false,
        };
        let fate = segment.handle(kernel);
        let again = segment.finish(kernel, fate);
        if !again {
            return;
        }
        iss = segment.iss;
        m = Some(segment.m);
    }
}

/// What is left of a segment when it is checked: headers, options, data.
type Checked = (Ip, [u8; TCP_HEADER], Vec<u8>, Chain);

/// Checks a segment and takes the headers off; else what to count.
fn checked(mut m: Chain, hlen: usize) -> Result<Checked, usize> {
    if hlen > IP_HEADER {
        ip_stripoptions(&mut m);
    }
    if m.front().is_some_and(|first| first.len() < TCPIP_HEADER) {
        m = m.pullup(TCPIP_HEADER).ok_or(tcps::RCVSHORT)?;
    }
    let ip = Ip::of(&m).ok_or(tcps::RCVSHORT)?;
    let tlen = usize::from(ip.len);
    let sum = pseudo(ip.src.octets(), ip.dst.octets(), ipproto::TCP as u8, ip.len);
    if in_cksum(sum, &m, IP_HEADER, tlen) != [0; 2] {
        return Err(tcps::RCVBADSUM);
    }
    let mut header = [0; TCP_HEADER];
    m.copy_data(IP_HEADER, &mut header);
    let off = usize::from(header[12] >> 4) * 4;
    if off < TCP_HEADER || off > tlen {
        return Err(tcps::RCVBADOFF);
    }
    if m.front().is_some_and(|first| first.len() < IP_HEADER + off) {
        m = m.pullup(IP_HEADER + off).ok_or(tcps::RCVSHORT)?;
    }
    let mut options = vec![0; off - TCP_HEADER];
    m.copy_data(TCPIP_HEADER, &mut options);
    if let Some(first) = m.front_mut() {
        first.trim_front(IP_HEADER + off);
    }
    Ok((ip, header, options, m))
}

/// Tells the sender of a segment that there is no such connection (the label `dropwithreset`).
#[allow(clippy::too_many_arguments)] // the parts of a header
fn reset(
    kernel: &mut Kernel,
    id: Option<InpcbId>,
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    (seq, ack, len): (u32, u32, u32),
    flags: u8,
    broadcast: bool,
) {
    if flags & th::RST != 0 || broadcast || to.0.is_multicast() {
        return;
    }
    let what = if flags & th::ACK != 0 {
        Respond::Answer { from, to, ack: 0, seq: ack, flags: th::RST }
    } else {
        let end = seq.wrapping_add(len).wrapping_add(u32::from(flags & th::SYN != 0));
        Respond::Answer { from, to, ack: end, seq: 0, flags: th::RST | th::ACK }
    };
    tcp_respond(kernel, id, what);
}

/// Somebody's name for what needs one: nobody's process runs here.
fn context(kernel: &mut Kernel) -> Option<Context<'_>> {
    let id = kernel.run_queues.current.or(kernel.init)?;
    Some(Context::new(kernel, id))
}

impl Segment {
    /// TCP's part of the receiver.
    fn tp<'k>(&self, kernel: &'k mut Kernel) -> Option<&'k mut Tcpcb> {
        kernel.inet.tp_mut(self.id)
    }

    /// Does what is left to do; true if another receiver is to be looked for.
    fn finish(&mut self, kernel: &mut Kernel, fate: Fate) -> bool {
        match fate {
            Fate::Done => {}
            Fate::FindPcb => return true,
            Fate::DropAfterAck => {
                if self.flags & th::RST == 0
                    && let Some(tp) = self.tp(kernel)
                {
                    tp.flags |= tf::ACKNOW;
                    let _ = tcp_output(kernel, self.id);
                }
            }
            Fate::DropWithReset => {
                let id = Some(self.id).filter(|&id| kernel.inet.has(id));
                let numbers = (self.seq, self.ack, self.len);
                reset(kernel, id, self.src, self.dst, numbers, self.flags, self.broadcast);
            }
            Fate::Drop => {}
        }
        if matches!(fate, Fate::Drop | Fate::DropWithReset) && self.dropsocket {
            netisr::hold(kernel);
            if let Some(mut cx) = context(kernel)
                && cx.kernel.sockets.get(self.so).is_some()
            {
                operations::soabort(&mut cx, self.so);
            }
            netisr::release(kernel);
        }
        arm(kernel, self.id);
        false
    }

    /// Handles a segment from the receiver on.
    fn handle(&mut self, kernel: &mut Kernel) -> Fate {
        let clock = kernel.inet.tcp.clock();
        let Some(tp) = self.tp(kernel) else { return Fate::DropWithReset };
        if tp.state == TcpState::Closed {
            return Fate::Drop;
        }
        let scale = if self.flags & th::SYN == 0 { tp.snd_scale } else { 0 };
        self.tiwin = u32::from(self.win) << scale;
        if kernel.sockets[self.so].options.contains(SocketOptions::ACCEPTCONN)
            && let Err(fate) = self.new_connection(kernel)
        {
            return fate;
        }
        let keepidle = kernel.inet.variables.tcp_keepidle;
        let Some(tp) = self.tp(kernel) else { return Fate::Drop };
        tp.idle_since = clock.now;
        if tp.state.have_established() {
            tp.timers.set(clock, TCPT_KEEP, keepidle);
        }
        if tp.state != TcpState::Listen {
            self.dooptions(kernel);
        }
        if self.predicted(kernel) {
            return Fate::Done;
        }
        let rcv = kernel.sockets[self.so].rcv.space().max(0);
        let Some(tp) = self.tp(kernel) else { return Fate::Drop };
        tp.rcv_wnd = rcv.max(tp.rcv_adv.wrapping_sub(tp.rcv_nxt) as i32) as u32;
        let done = match tp.state {
            TcpState::Listen => self.listen(kernel),
            TcpState::SynReceived | TcpState::SynSent => self.syn_sent(kernel),
            TcpState::LastAck | TcpState::Closing | TcpState::TimeWait => self.reincarnation(kernel),
            _ => Ok(None),
        };
        let step = match done {
            Err(fate) => return fate,
            Ok(Some(step)) => Ok(step),
            Ok(None) => self.fit(kernel).and_then(|()| self.acceptable(kernel)),
        };
        let end = match step {
            Err(fate) => return fate,
            Ok(Step::ProcessAck) => self.process_ack(kernel),
            Ok(Step::Six) => Ok(()),
        };
        match end.and_then(|()| self.step6(kernel)) {
            Err(fate) => fate,
            Ok(()) => Fate::Done,
        }
    }

    /// The two usual cases of a connection that moves bytes one way: an acknowledgement of what was sent, and
    /// the next data.  True if it was one of them.
    fn predicted(&mut self, kernel: &mut Kernel) -> bool {
        const FLAGS: u8 = th::SYN | th::FIN | th::RST | th::URG | th::ACK;
        let clock = kernel.inet.tcp.clock();
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return false };
        let usual = tp.state == TcpState::Established
            && self.flags & FLAGS == th::ACK
            && !tp.any(tf::NEEDSYN | tf::NEEDFIN)
            && self.to.timestamp.is_none_or(|(tsval, _)| geq(tsval, tp.ts_recent))
            && (!tp.all(tf::REQ_CC | tf::RCVD_CC) || self.to.cc == Some(tp.cc_recv))
            && self.seq == tp.rcv_nxt
            && self.tiwin != 0
            && self.tiwin == tp.snd_wnd
            && tp.snd_nxt == tp.snd_max;
        if !usual {
            return false;
        }
        if let Some((tsval, _)) = self.to.timestamp
            && leq(self.seq, tp.last_ack_sent)
        {
            (tp.ts_recent_age, tp.ts_recent) = (clock.now as u32, tsval);
        }
        if self.len == 0 {
            return self.predicted_ack(kernel);
        }
        let room = kernel.sockets[self.so].rcv.space();
        if self.ack != tp.snd_una || !tp.reass.is_empty() || i64::from(self.len) > i64::from(room) {
            return false;
        }
        tp.rcv_nxt = tp.rcv_nxt.wrapping_add(self.len);
        tp.flags |= tf::DELACK;
        let stat = &mut kernel.inet.stat.tcp;
        stat.bump(tcps::PREDDAT);
        stat.bump(tcps::RCVPACK);
        stat.add(tcps::RCVBYTE, self.len);
        events::note(kernel, self.so, "sbappend");
        kernel.sockets[self.so].rcv.append(std::mem::take(&mut self.m));
        sorwakeup(kernel, self.so);
        true
    }

    fn predicted_ack(&mut self, kernel: &mut Kernel) -> bool {
        let clock = kernel.inet.tcp.clock();
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return false };
        if !gt(self.ack, tp.snd_una) || !leq(self.ack, tp.snd_max) || tp.snd_cwnd < tp.snd_wnd {
            return false;
        }
        let timed = self.time(tp, clock.now);
        let acked = self.ack.wrapping_sub(tp.snd_una);
        tp.snd_una = self.ack;
        if tp.snd_una == tp.snd_max {
            tp.timers.stop(TCPT_REXMT);
        } else if !tp.timers.runs(TCPT_PERSIST) {
            tp.timers.set(clock, TCPT_REXMT, tp.rxtcur);
        }
        let stat = &mut kernel.inet.stat.tcp;
        stat.bump(tcps::PREDACK);
        stat.bump(tcps::RCVACKPACK);
        stat.add(tcps::RCVACKBYTE, acked);
        stat.add(tcps::RTTUPDATED, u32::from(timed));
        kernel.sockets[self.so].snd.drop(acked);
        if kernel.sockets[self.so].somebody_cares(Side::Snd) {
            sowwakeup(kernel, self.so);
        }
        if kernel.sockets[self.so].snd.cc != 0 {
            let _ = tcp_output(kernel, self.id);
        }
        true
    }

    /// Measures the round trip that an acknowledgement ends; true if it ends one.
    fn time(&self, tp: &mut Tcpcb, now: u64) -> bool {
        if let Some((_, tsecr)) = self.to.timestamp {
            tcp_xmit_timer(tp, (now as u32).wrapping_sub(tsecr).wrapping_add(1) as i32);
            return true;
        }
        match tp.timed_since {
            Some(since) if gt(self.ack, tp.rtseq) => {
                tcp_xmit_timer(tp, now.saturating_sub(since) as i32 + 1);
                true
            }
            _ => false,
        }
    }
}
