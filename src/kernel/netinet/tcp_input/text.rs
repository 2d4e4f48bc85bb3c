//! The rest of a segment: window, urgent pointer, data, end.
//!
//! 2.1 counterpart: netinet/tcp_input.c (from the label step6 on, tcp_pulloutofband).

use super::super::statistics::tcps;
use super::super::tcp_fsm::TcpState;
use super::super::tcp_output::tcp_output;
use super::super::tcp_reass::{Queued, tcp_reass};
use super::super::tcp_seq::{gt, lt};
use super::super::tcp_timer::{TCPT_2MSL, TCPTV_MSL};
use super::super::tcp_var::*;
use super::ack::time_wait;
use super::{Fate, Segment};
use crate::kernel::Kernel;
use crate::kernel::socket::events;
use crate::kernel::socket::sockbuf::SB_MAX;
use crate::kernel::socket::socket::{SockState, SocketOptions};
use crate::kernel::socket::state::{socantrcvmore, sohasoutofband, soisdisconnected, sorwakeup};

impl Segment {
    /// Takes the window, urgent pointer, data and end of a segment (the label `step6`).
    pub(super) fn step6(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        self.update_window(kernel);
        self.urgent(kernel);
        self.data(kernel);
        if self.flags & th::FIN != 0 {
            self.end(kernel);
        }
        let acknow = kernel.inet.tp(self.id).is_some_and(|tp| tp.any(tf::ACKNOW));
        if self.needoutput || acknow {
            let _ = tcp_output(kernel, self.id);
        }
        Ok(())
    }

    fn update_window(&mut self, kernel: &mut Kernel) {
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        let same_ack = tp.snd_wl2 == self.ack && self.tiwin > tp.snd_wnd;
        let newer =
            lt(tp.snd_wl1, self.seq) || (tp.snd_wl1 == self.seq && (lt(tp.snd_wl2, self.ack) || same_ack));
        if self.flags & th::ACK == 0 || !newer {
            return;
        }
        tp.snd_wnd = self.tiwin;
        (tp.snd_wl1, tp.snd_wl2) = (self.seq, self.ack);
        tp.max_sndwnd = tp.max_sndwnd.max(tp.snd_wnd);
        self.needoutput = true;
        if self.len == 0 && same_ack {
            kernel.inet.stat.tcp.bump(tcps::RCVWINUPD);
        }
    }

    /// Marks where urgent data end, and takes the last byte of them out.
    fn urgent(&mut self, kernel: &mut Kernel) {
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        if self.flags & th::URG == 0 || self.urp == 0 || tp.state.have_rcvd_fin() {
            if gt(tp.rcv_nxt, tp.rcv_up) {
                tp.rcv_up = tp.rcv_nxt;
            }
            return;
        }
        let socket = &mut kernel.sockets[self.so];
        if self.urp.saturating_add(socket.rcv.cc) > SB_MAX {
            self.urp = 0;
            self.flags &= !th::URG;
            return;
        }
        let end = self.seq.wrapping_add(self.urp);
        if gt(end, tp.rcv_up) {
            tp.rcv_up = end;
            socket.oobmark = socket.rcv.cc.wrapping_add(end.wrapping_sub(tp.rcv_nxt)).wrapping_sub(1);
            if socket.oobmark == 0 {
                socket.state.insert(SockState::RCVATMARK);
            }
            (tp.oob.have, tp.oob.had) = (false, false);
            sohasoutofband(kernel, self.so);
        }
        let inline = kernel.sockets[self.so].options.contains(SocketOptions::OOBINLINE);
        if self.urp <= self.len && !inline {
            self.pulloutofband(kernel);
        }
    }

    /// Takes the urgent byte out of the data; it still counts in their length (`tcp_pulloutofband`).
    fn pulloutofband(&mut self, kernel: &mut Kernel) {
        let mut left = (self.urp - 1) as usize;
        let mut taken = None;
        self.m.for_each_mut(|m| {
            if taken.is_some() {
                return;
            }
            if left >= m.len() {
                left -= m.len();
                return;
            }
            let len = m.len();
            let bytes = m.bytes_mut();
            taken = Some(bytes[left]);
            bytes.copy_within(left + 1.., left);
            m.set_len(len - 1);
        });
        if let Some(byte) = taken
            && let Some(tp) = kernel.inet.tp_mut(self.id)
        {
            (tp.oob.byte, tp.oob.have) = (byte, true);
        }
    }

    /// Gives data that are the next to the user, and keeps others (TCP_REASS).
    fn data(&mut self, kernel: &mut Kernel) {
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        if (self.len == 0 && self.flags & th::FIN == 0) || tp.state.have_rcvd_fin() {
            self.flags &= !th::FIN;
            return;
        }
        if self.seq == tp.rcv_nxt && tp.reass.is_empty() && tp.state == TcpState::Established {
            tp.flags |= tf::DELACK;
            tp.rcv_nxt = tp.rcv_nxt.wrapping_add(self.len);
            let stat = &mut kernel.inet.stat.tcp;
            stat.bump(tcps::RCVPACK);
            stat.add(tcps::RCVBYTE, self.len);
            events::note(kernel, self.so, "sbappend");
            // As in the original, an end that was cut off with data behind the window is back again.
            self.flags = self.header_flags & th::FIN;
            kernel.sockets[self.so].rcv.append(std::mem::take(&mut self.m));
            sorwakeup(kernel, self.so);
            return;
        }
        let m = std::mem::take(&mut self.m);
        let queued = Queued { seq: self.seq, len: self.len, flags: self.header_flags, m };
        self.flags = tcp_reass(kernel, self.id, Some(queued));
        if let Some(tp) = kernel.inet.tp_mut(self.id) {
            tp.flags |= tf::ACKNOW;
        }
    }

    /// The peer has sent its last byte.
    fn end(&mut self, kernel: &mut Kernel) {
        let clock = kernel.inet.tcp.clock();
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        if !tp.state.have_rcvd_fin() {
            tp.flags |= if tp.any(tf::NEEDSYN) { tf::DELACK } else { tf::ACKNOW };
            tp.rcv_nxt = tp.rcv_nxt.wrapping_add(1);
            socantrcvmore(kernel, self.so);
        }
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        match tp.state {
            TcpState::SynReceived | TcpState::Established => tp.state = TcpState::CloseWait,
            TcpState::FinWait1 => tp.state = TcpState::Closing,
            TcpState::FinWait2 => {
                if time_wait(tp, clock) {
                    tp.flags |= tf::ACKNOW;
                }
                soisdisconnected(kernel, self.so);
            }
            TcpState::TimeWait => tp.timers.set(clock, TCPT_2MSL, 2 * TCPTV_MSL),
            _ => {}
        }
    }
}
