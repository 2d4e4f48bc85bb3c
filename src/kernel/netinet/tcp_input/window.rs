//! Making a segment fit the window: old ones, duplicates, and what is beyond.
//!
//! 2.1 counterpart: netinet/tcp_input.c (cases TCPS_LAST_ACK to TCPS_TIME_WAIT, and from the comment "States
//! other than LISTEN or SYN_SENT" to the test of TH_RST).

use syscalls::errno::Errno;

use super::super::statistics::tcps;
use super::super::tcp_fsm::TcpState;
use super::super::tcp_seq::{TCP_ISSINCR, TCP_PAWS_IDLE, gt, leq, lt};
use super::super::tcp_subr::{tcp_close, tcp_drop};
use super::super::tcp_timer::TCPTV_MSL;
use super::super::tcp_var::*;
use super::{Fate, Segment, Step};
use crate::kernel::Kernel;
use crate::kernel::socket::socket::SockState;

impl Segment {
    /// A connection that is about over: a SYN with a newer count takes its place.
    pub(super) fn reincarnation(&mut self, kernel: &mut Kernel) -> Result<Option<Step>, Fate> {
        let now = kernel.inet.tcp.now;
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        let Some(cc) = self.to.cc.filter(|_| self.flags & th::SYN != 0 && tp.cc_recv != 0) else {
            return Ok(None);
        };
        if tp.state == TcpState::TimeWait && now.saturating_sub(tp.made_at) > TCPTV_MSL as u64 {
            return Err(Fate::DropWithReset);
        }
        if gt(cc, tp.cc_recv) {
            tcp_close(kernel, self.id);
            return Err(Fate::FindPcb);
        }
        Err(Fate::Drop)
    }

    /// Drops what is before the window and behind it.
    pub(super) fn fit(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let now = kernel.inet.tcp.now as u32;
        let reset = self.flags & th::RST != 0;
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        if let Some((tsval, _)) = self.to.timestamp
            && !reset
            && tp.ts_recent != 0
            && lt(tsval, tp.ts_recent)
        {
            if now.wrapping_sub(tp.ts_recent_age) as i32 > TCP_PAWS_IDLE {
                tp.ts_recent = 0;
            } else {
                let stat = &mut kernel.inet.stat.tcp;
                stat.bump(tcps::RCVDUPPACK);
                stat.add(tcps::RCVDUPBYTE, self.len);
                stat.bump(tcps::PAWSDROP);
                return Err(Fate::DropAfterAck);
            }
        }
        if tp.all(tf::REQ_CC | tf::RCVD_CC) && self.to.cc != Some(tp.cc_recv) && !reset {
            // A count of one who does not know the old ones counts for none here.
            return Err(Fate::DropAfterAck);
        }
        self.drop_front(kernel)?;
        let gone = kernel.sockets[self.so].state.contains(SockState::NOFDREF);
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        if gone && tp.state > TcpState::CloseWait && self.len != 0 {
            tcp_close(kernel, self.id);
            kernel.inet.stat.tcp.bump(tcps::RCVAFTERCLOSE);
            return Err(Fate::DropWithReset);
        }
        self.drop_back(kernel)?;
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        if let Some((tsval, _)) = self.to.timestamp
            && leq(self.seq, tp.last_ack_sent)
        {
            (tp.ts_recent_age, tp.ts_recent) = (now, tsval);
        }
        Ok(())
    }

    /// Drops data that were received already.
    fn drop_front(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let inet = &mut kernel.inet;
        let tp = inet.pcbs.get_mut(self.id).and_then(|inp| inp.tcp.as_mut()).ok_or(Fate::Drop)?;
        let stat = &mut inet.stat.tcp;
        let mut todrop = tp.rcv_nxt.wrapping_sub(self.seq) as i32;
        if todrop <= 0 {
            return Ok(());
        }
        if self.flags & th::SYN != 0 {
            self.flags &= !th::SYN;
            self.seq = self.seq.wrapping_add(1);
            if self.urp > 1 {
                self.urp -= 1;
            } else {
                self.flags &= !th::URG;
            }
            todrop -= 1;
        }
        let len = self.len as i32;
        if todrop > len || (todrop == len && self.flags & th::FIN == 0) {
            self.flags &= !th::FIN;
            tp.flags |= tf::ACKNOW;
            todrop = len;
            stat.bump(tcps::RCVDUPPACK);
            stat.add(tcps::RCVDUPBYTE, todrop as u32);
        } else {
            stat.bump(tcps::RCVPARTDUPPACK);
            stat.add(tcps::RCVPARTDUPBYTE, todrop as u32);
        }
        self.m.adj(todrop);
        let todrop = todrop as u32;
        self.seq = self.seq.wrapping_add(todrop);
        self.len -= todrop;
        if self.urp > todrop {
            self.urp -= todrop;
        } else {
            self.flags &= !th::URG;
            self.urp = 0;
        }
        Ok(())
    }

    /// Drops data behind the window.
    fn drop_back(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let inet = &mut kernel.inet;
        let tp = inet.pcbs.get_mut(self.id).and_then(|inp| inp.tcp.as_mut()).ok_or(Fate::Drop)?;
        let stat = &mut inet.stat.tcp;
        let edge = tp.rcv_nxt.wrapping_add(tp.rcv_wnd);
        let todrop = self.seq.wrapping_add(self.len).wrapping_sub(edge) as i32;
        if todrop <= 0 {
            return Ok(());
        }
        stat.bump(tcps::RCVPACKAFTERWIN);
        if todrop as u32 >= self.len {
            stat.add(tcps::RCVBYTEAFTERWIN, self.len);
            if self.flags & th::SYN != 0 && tp.state == TcpState::TimeWait && gt(self.seq, tp.rcv_nxt) {
                self.iss = Some(tp.rcv_nxt.wrapping_add(TCP_ISSINCR));
                tcp_close(kernel, self.id);
                return Err(Fate::FindPcb);
            }
            if tp.rcv_wnd != 0 || self.seq != tp.rcv_nxt {
                return Err(Fate::DropAfterAck);
            }
            tp.flags |= tf::ACKNOW;
            stat.bump(tcps::RCVWINPROBE);
        } else {
            stat.add(tcps::RCVBYTEAFTERWIN, todrop as u32);
        }
        self.m.adj(-todrop);
        self.len = self.len.saturating_sub(todrop as u32);
        self.flags &= !(th::PUSH | th::FIN);
        Ok(())
    }

    /// Resets, a SYN where none may be, and segments that acknowledge nothing.
    pub(super) fn acceptable(&mut self, kernel: &mut Kernel) -> Result<Step, Fate> {
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        let state = tp.state;
        if self.flags & th::RST != 0 {
            let error = match state {
                TcpState::SynReceived => Some(Errno::ECONNREFUSED),
                TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2 | TcpState::CloseWait => {
                    Some(Errno::ECONNRESET)
                }
                _ => None,
            };
            if error.is_some() {
                tp.state = TcpState::Closed;
                kernel.sockets[self.so].error = error;
                kernel.inet.stat.tcp.bump(tcps::DROPS);
            }
            tcp_close(kernel, self.id);
            return Err(Fate::Drop);
        }
        if self.flags & th::SYN != 0 {
            tcp_drop(kernel, self.id, Some(Errno::ECONNRESET));
            return Err(Fate::DropWithReset);
        }
        if self.flags & th::ACK == 0 {
            let waits = state == TcpState::SynReceived || tp.any(tf::NEEDSYN);
            return if waits { Ok(Step::Six) } else { Err(Fate::Drop) };
        }
        self.take_ack(kernel)
    }
}
