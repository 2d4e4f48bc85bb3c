//! Acknowledgements: of the wish to connect, of data, of the end.
//!
//! 2.1 counterpart: netinet/tcp_input.c (from the comment "Ack processing" to the label step6).

use super::super::statistics::tcps;
use super::super::tcp_fsm::TcpState;
use super::super::tcp_output::tcp_output;
use super::super::tcp_reass::tcp_reass;
use super::super::tcp_seq::{gt, leq, lt};
use super::super::tcp_subr::{set_tao, tcp_close};
use super::super::tcp_timer::*;
use super::super::tcp_var::*;
use super::{Fate, Segment, Step};
use crate::kernel::Kernel;
use crate::kernel::socket::socket::{Side, SockState};
use crate::kernel::socket::state::{soisconnected, soisdisconnected, sowwakeup};

/// Same acknowledgements after which a segment is taken for lost (`tcprexmtthresh`).
const REXMTTHRESH: u32 = 3;

impl Segment {
    /// Whether a segment's acknowledgement is news.
    pub(super) fn take_ack(&mut self, kernel: &mut Kernel) -> Result<Step, Fate> {
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        if tp.state == TcpState::SynReceived {
            self.complete(kernel)?;
        }
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        if leq(self.ack, tp.snd_una) {
            self.duplicate(kernel)?;
            return Ok(Step::Six);
        }
        if tp.dupacks > REXMTTHRESH && tp.snd_cwnd > tp.snd_ssthresh {
            tp.snd_cwnd = tp.snd_ssthresh;
        }
        tp.dupacks = 0;
        if gt(self.ack, tp.snd_max) {
            kernel.inet.stat.tcp.bump(tcps::RCVACKTOOMUCH);
            return Err(Fate::DropAfterAck);
        }
        if tp.any(tf::NEEDSYN) {
            tp.flags &= !tf::NEEDSYN;
            tp.snd_una = tp.snd_una.wrapping_add(1);
            tp.scale_windows();
        }
        Ok(Step::ProcessAck)
    }

    /// State SYN_RECEIVED: the handshake is over.
    fn complete(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        if gt(tp.snd_una, self.ack) || gt(self.ack, tp.snd_max) {
            return Err(Fate::DropWithReset);
        }
        let cc_recv = tp.cc_recv;
        kernel.inet.stat.tcp.bump(tcps::CONNECTS);
        soisconnected(kernel, self.so);
        set_tao(kernel, self.id, |tao| {
            if tao.cc == 0 {
                tao.cc = cc_recv;
            }
        });
        let (clock, keepidle) = (kernel.inet.tcp.clock(), kernel.inet.variables.tcp_keepidle);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.scale_windows();
        if tp.any(tf::NEEDFIN) {
            tp.state = TcpState::FinWait1;
            tp.flags &= !tf::NEEDFIN;
        } else {
            tp.state = TcpState::Established;
            tp.timers.set(clock, TCPT_KEEP, keepidle);
        }
        if self.len == 0 && self.flags & th::FIN == 0 {
            tcp_reass(kernel, self.id, None);
        }
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.snd_wl1 = self.seq.wrapping_sub(1);
        Ok(())
    }

    /// An acknowledgement that says nothing new: several in a row say that a segment was lost.
    fn duplicate(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        if self.len != 0 || self.tiwin != tp.snd_wnd {
            tp.dupacks = 0;
            return Ok(());
        }
        kernel.inet.stat.tcp.bump(tcps::RCVDUPACK);
        let tp = kernel.inet.tp_mut(self.id).ok_or(Fate::Drop)?;
        if !tp.timers.runs(TCPT_REXMT) || self.ack != tp.snd_una {
            tp.dupacks = 0;
            return Ok(());
        }
        tp.dupacks += 1;
        if tp.dupacks < REXMTTHRESH {
            return Ok(());
        }
        if tp.dupacks > REXMTTHRESH {
            tp.snd_cwnd = tp.snd_cwnd.wrapping_add(tp.maxseg);
            let _ = tcp_output(kernel, self.id);
            return Err(Fate::Drop);
        }
        let onxt = tp.snd_nxt;
        let win = (tp.snd_wnd.min(tp.snd_cwnd) / 2 / tp.maxseg.max(1)).max(2);
        tp.snd_ssthresh = win.wrapping_mul(tp.maxseg);
        tp.timers.stop(TCPT_REXMT);
        tp.timed_since = None;
        tp.snd_nxt = self.ack;
        tp.snd_cwnd = tp.maxseg;
        let _ = tcp_output(kernel, self.id);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.snd_cwnd = tp.snd_ssthresh.wrapping_add(tp.maxseg.wrapping_mul(tp.dupacks));
        if gt(onxt, tp.snd_nxt) {
            tp.snd_nxt = onxt;
        }
        Err(Fate::Drop)
    }

    /// Takes what is acknowledged out of the buffer, and goes on in state (the label `process_ACK`).
    pub(super) fn process_ack(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        let clock = kernel.inet.tcp.clock();
        let inp = kernel.inet.pcbs.get_mut(self.id).ok_or(Fate::Drop)?;
        let tp = inp.tcp.as_mut().ok_or(Fate::Drop)?;
        let acked = self.ack.wrapping_sub(tp.snd_una);
        let timed = self.time(tp, clock.now);
        let stat = &mut kernel.inet.stat.tcp;
        stat.bump(tcps::RCVACKPACK);
        stat.add(tcps::RCVACKBYTE, acked);
        stat.add(tcps::RTTUPDATED, u32::from(timed));
        if self.ack == tp.snd_max {
            tp.timers.stop(TCPT_REXMT);
            self.needoutput = true;
        } else if !tp.timers.runs(TCPT_PERSIST) {
            tp.timers.set(clock, TCPT_REXMT, tp.rxtcur);
        }
        if acked == 0 {
            return Ok(());
        }
        let mut more = tp.maxseg;
        if tp.snd_cwnd > tp.snd_ssthresh {
            more = more.wrapping_mul(more) / tp.snd_cwnd;
        }
        tp.snd_cwnd = tp.snd_cwnd.wrapping_add(more).min(TCP_MAXWIN << tp.snd_scale);
        let snd = &mut kernel.sockets[self.so].snd;
        let fin_is_acked = acked > snd.cc;
        let dropped = acked.min(snd.cc);
        snd.drop(dropped);
        tp.snd_wnd = tp.snd_wnd.wrapping_sub(dropped);
        tp.snd_una = self.ack;
        if lt(tp.snd_nxt, tp.snd_una) {
            tp.snd_nxt = tp.snd_una;
        }
        if kernel.sockets[self.so].somebody_cares(Side::Snd) {
            sowwakeup(kernel, self.so);
        }
        self.closes(kernel, fin_is_acked)
    }

    /// What the acknowledgement of our end means to a connection that closes.
    fn closes(&mut self, kernel: &mut Kernel, fin_is_acked: bool) -> Result<(), Fate> {
        let (clock, maxidle) = (kernel.inet.tcp.clock(), maxidle(kernel));
        let deaf = kernel.sockets[self.so].state.contains(SockState::CANTRCVMORE);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        match tp.state {
            TcpState::FinWait1 if fin_is_acked => {
                if deaf {
                    tp.timers.set(clock, TCPT_2MSL, maxidle);
                }
                tp.state = TcpState::FinWait2;
                if deaf {
                    soisdisconnected(kernel, self.so);
                }
            }
            TcpState::Closing if fin_is_acked => {
                time_wait(tp, clock);
                soisdisconnected(kernel, self.so);
            }
            TcpState::LastAck if fin_is_acked => {
                tcp_close(kernel, self.id);
                return Err(Fate::Drop);
            }
            TcpState::TimeWait => {
                tp.timers.set(clock, TCPT_2MSL, 2 * TCPTV_MSL);
                return Err(Fate::DropAfterAck);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Both ends are closed: the connection is remembered for a while, a short one between hosts that count their
/// connections for a shorter; true for such a one.
pub(super) fn time_wait(tp: &mut Tcpcb, clock: Clock) -> bool {
    tp.state = TcpState::TimeWait;
    tp.timers.cancel();
    let short = tp.cc_recv != 0 && clock.now.saturating_sub(tp.made_at) < TCPTV_MSL as u64;
    let wait = if short { tp.rxtcur.wrapping_mul(TCPTV_TWTRUNC) } else { 2 * TCPTV_MSL };
    tp.timers.set(clock, TCPT_2MSL, wait);
    short
}
