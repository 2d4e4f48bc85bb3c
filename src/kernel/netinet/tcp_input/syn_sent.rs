//! The answer to our wish to connect, or the peer's own wish that crosses it.
//!
//! 2.1 counterpart: netinet/tcp_input.c (cases TCPS_SYN_RECEIVED and TCPS_SYN_SENT, the label trimthenstep6).

use syscalls::errno::Errno;

use super::super::statistics::tcps;
use super::super::tcp_fsm::TcpState;
use super::super::tcp_seq::{gt, leq};
use super::super::tcp_subr::{set_tao, tao, tcp_drop};
use super::super::tcp_timer::{TCPT_KEEP, TCPT_REXMT};
use super::super::tcp_var::*;
use super::{Fate, Segment, Step};
use crate::kernel::Kernel;
use crate::kernel::socket::state::soisconnected;

impl Segment {
    /// States SYN_RECEIVED, as far as it is checked like the other, and SYN_SENT.
    pub(super) fn syn_sent(&mut self, kernel: &mut Kernel) -> Result<Option<Step>, Fate> {
        let remembered = tao(kernel, self.id);
        let acks = self.flags & th::ACK != 0;
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        if acks && (leq(self.ack, tp.iss) || gt(self.ack, tp.snd_max)) {
            return Err(if remembered.ccsent != 0 { Fate::Drop } else { Fate::DropWithReset });
        }
        if self.flags & th::RST != 0 {
            if acks {
                tcp_drop(kernel, self.id, Some(Errno::ECONNREFUSED));
            }
            return Err(Fate::Drop);
        }
        if tp.state == TcpState::SynReceived {
            return Ok(None);
        }
        if self.flags & th::SYN == 0 {
            return Err(Fate::Drop);
        }
        tp.snd_wnd = u32::from(self.win);
        tp.cc_recv = self.to.any_cc();
        tp.irs = self.seq;
        tp.rcvseqinit();
        if acks {
            self.answered(kernel, remembered.ccsent)?;
        } else {
            self.crossed(kernel, remembered.cc)?;
        }
        self.trim(kernel).map(Some)
    }

    /// The peer has granted what we wished.
    fn answered(&mut self, kernel: &mut Kernel, ccsent: u32) -> Result<(), Fate> {
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        match self.to.ccecho {
            Some(echo) if tp.cc_send != echo => {
                return Err(if ccsent != 0 { Fate::Drop } else { Fate::DropWithReset });
            }
            Some(_) => {}
            None => tp.flags &= !tf::RCVD_CC,
        }
        kernel.inet.stat.tcp.bump(tcps::CONNECTS);
        soisconnected(kernel, self.so);
        if ccsent == 0 {
            let echo = self.to.ccecho.unwrap_or(0);
            set_tao(kernel, self.id, |tao| tao.ccsent = echo);
        }
        let (clock, keepidle) = (kernel.inet.tcp.clock(), kernel.inet.variables.tcp_keepidle);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.scale_windows();
        tp.rcv_adv = tp.rcv_adv.wrapping_add(tp.rcv_wnd);
        tp.snd_una = tp.snd_una.wrapping_add(1);
        tp.flags |= if self.len != 0 { tf::DELACK } else { tf::ACKNOW };
        if tp.any(tf::NEEDFIN) {
            tp.state = TcpState::FinWait1;
            tp.flags &= !tf::NEEDFIN;
            self.flags &= !th::SYN;
        } else {
            tp.state = TcpState::Established;
            tp.timers.set(clock, TCPT_KEEP, keepidle);
        }
        Ok(())
    }

    /// Both sides wish to connect at once.
    fn crossed(&mut self, kernel: &mut Kernel, known: u32) -> Result<(), Fate> {
        let (clock, keepidle) = (kernel.inet.tcp.clock(), kernel.inet.variables.tcp_keepidle);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.flags |= tf::ACKNOW;
        tp.timers.stop(TCPT_REXMT);
        match self.to.cc {
            Some(cc) if known != 0 && gt(cc, known) => {
                if tp.any(tf::NEEDFIN) {
                    tp.state = TcpState::FinWait1;
                    tp.flags &= !tf::NEEDFIN;
                } else {
                    tp.state = TcpState::Established;
                    tp.timers.set(clock, TCPT_KEEP, keepidle);
                }
                tp.flags |= tf::NEEDSYN;
                set_tao(kernel, self.id, |tao| tao.cc = cc);
            }
            Some(_) => tp.state = TcpState::SynReceived,
            None => {
                tp.state = TcpState::SynReceived;
                set_tao(kernel, self.id, |tao| tao.cc = 0);
            }
        }
        Ok(())
    }

    /// Cuts the data that came with a SYN to the window (the label `trimthenstep6`).
    pub(super) fn trim(&mut self, kernel: &mut Kernel) -> Result<Step, Fate> {
        self.seq = self.seq.wrapping_add(1);
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        (tp.snd_wl1, tp.rcv_up) = (self.seq.wrapping_sub(1), self.seq);
        if self.len > tp.rcv_wnd {
            let todrop = self.len - tp.rcv_wnd;
            self.m.adj(-(todrop as i32));
            self.len = tp.rcv_wnd;
            self.flags &= !th::FIN;
            let stat = &mut kernel.inet.stat.tcp;
            stat.bump(tcps::RCVPACKAFTERWIN);
            stat.add(tcps::RCVBYTEAFTERWIN, todrop);
        }
        Ok(if self.flags & th::ACK != 0 { Step::ProcessAck } else { Step::Six })
    }
}
