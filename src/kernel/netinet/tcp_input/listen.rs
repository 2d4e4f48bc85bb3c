//! The wish to connect comes to a listener: a socket is made for it.
//!
//! 2.1 counterpart: netinet/tcp_input.c (the test of SO_ACCEPTCONN, case TCPS_LISTEN).

use syscalls::errno::Errno;

use super::super::in_control::in_localaddr;
use super::super::in_pcb::{self, sotoinpcb};
use super::super::ip_options::ip_srcroute;
use super::super::statistics::tcps;
use super::super::tcp_fsm::TcpState;
use super::super::tcp_seq::{TCP_ISSINCR, gt};
use super::super::tcp_subr::{next_cc, set_tao, tao, tcp_drop};
use super::super::tcp_timer::TCPT_KEEP;
use super::super::tcp_var::*;
use super::super::{INADDR_ANY, SockaddrIn};
use super::{Fate, Segment, Step, context};
use crate::kernel::Kernel;
use crate::kernel::net::netisr;
use crate::kernel::socket::mbuf::{Mbuf, MbufType};
use crate::kernel::socket::socket::{SockState, SocketId};
use crate::kernel::socket::state::{soisconnected, sonewconn};
use crate::kernel::time::SECOND_NS;

impl Segment {
    /// Makes the socket of a new connection, which takes the place of the listener.
    pub(super) fn new_connection(&mut self, kernel: &mut Kernel) -> Result<(), Fate> {
        if self.flags & (th::RST | th::ACK | th::SYN) != th::SYN {
            if self.flags & th::ACK != 0 {
                kernel.inet.stat.tcp.bump(tcps::BADSYN);
                return Err(Fate::DropWithReset);
            }
            return Err(Fate::Drop);
        }
        let flags = kernel.inet.tp(self.id).map_or(0, |tp| tp.flags & (tf::NOPUSH | tf::NOOPT));
        let head = self.so;
        let made = newconn(kernel, head).or_else(|| make_room(kernel, head));
        let so = made.ok_or(Fate::Drop)?;
        self.so = so;
        self.dropsocket = true;
        self.id = sotoinpcb(kernel, so).map_err(|_| Fate::Drop)?;
        let options = ip_srcroute(kernel);
        let inp = kernel.inet.inp_mut(self.id);
        (inp.laddr, inp.lport) = self.dst;
        inp.options = options.unwrap_or_default();
        kernel.inet.rehash(self.id);
        let hiwat = kernel.sockets[so].rcv.hiwat;
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.state = TcpState::Listen;
        tp.flags |= flags;
        while tp.request_r_scale < TCP_MAX_WINSHIFT && TCP_MAXWIN << tp.request_r_scale < hiwat {
            tp.request_r_scale += 1;
        }
        Ok(())
    }

    /// State LISTEN: the peer's wish becomes ours.
    pub(super) fn listen(&mut self, kernel: &mut Kernel) -> Result<Option<Step>, Fate> {
        if self.flags & th::RST != 0 {
            return Err(Fate::Drop);
        }
        if self.flags & th::ACK != 0 {
            return Err(Fate::DropWithReset);
        }
        if self.flags & th::SYN == 0 || self.broadcast || self.dst.0.is_multicast() {
            return Err(Fate::Drop);
        }
        let laddr = kernel.inet.inp(self.id).laddr;
        if laddr == INADDR_ANY {
            kernel.inet.inp_mut(self.id).laddr = self.dst.0;
            kernel.inet.rehash(self.id);
        }
        let name = SockaddrIn::new(self.src.0, self.src.1).bytes();
        let nam = Mbuf::holding(MbufType::Soname, &name);
        let connected = match context(kernel) {
            Some(mut cx) => in_pcb::connect(&mut cx, self.id, &nam),
            None => Err(Errno::EINVAL),
        };
        if connected.is_err() {
            kernel.inet.inp_mut(self.id).laddr = laddr;
            kernel.inet.rehash(self.id);
            return Err(Fate::Drop);
        }
        let remembered = tao(kernel, self.id);
        self.dooptions(kernel);
        let cc_send = next_cc(kernel);
        let tcp = &mut kernel.inet.tcp;
        let iss = self.iss.unwrap_or(tcp.iss);
        tcp.iss = tcp.iss.wrapping_add(TCP_ISSINCR / 2);
        let clock = tcp.clock();
        let keepinit = kernel.inet.variables.tcp_keepinit;
        let faddr = kernel.inet.inp(self.id).faddr;
        let local = in_localaddr(kernel, faddr);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.template = true;
        (tp.iss, tp.irs) = (iss, self.seq);
        tp.sendseqinit();
        tp.rcvseqinit();
        tp.snd_wnd = self.tiwin;
        (tp.cc_send, tp.cc_recv) = (cc_send, self.to.any_cc());
        tp.timers.set(clock, TCPT_KEEP, keepinit);
        if let Some(cc) = self.to.cc {
            if tp.any(tf::NOPUSH) && remembered.cc != 0 && gt(cc, remembered.cc) {
                return self.accelerated(kernel, cc, local);
            }
        } else {
            set_tao(kernel, self.id, |tao| tao.cc = 0);
        }
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.flags |= tf::ACKNOW;
        tp.state = TcpState::SynReceived;
        self.dropsocket = false;
        kernel.inet.stat.tcp.bump(tcps::ACCEPTS);
        self.trim(kernel).map(Some)
    }

    /// The peer's count is a new one: the connection is there before the handshake is over.
    fn accelerated(&mut self, kernel: &mut Kernel, cc: u32, local: bool) -> Result<Option<Step>, Fate> {
        set_tao(kernel, self.id, |tao| tao.cc = cc);
        let delay = self.flags & th::FIN != 0 || (self.len != 0 && local);
        let tp = self.tp(kernel).ok_or(Fate::Drop)?;
        tp.state = TcpState::Established;
        tp.flags |= tf::NEEDSYN | if delay { tf::DELACK } else { tf::ACKNOW };
        tp.rcv_adv = tp.rcv_adv.wrapping_add(tp.rcv_wnd.min(TCP_MAXWIN));
        kernel.inet.stat.tcp.bump(tcps::CONNECTS);
        soisconnected(kernel, self.so);
        self.dropsocket = false;
        kernel.inet.stat.tcp.bump(tcps::ACCEPTS);
        self.trim(kernel).map(Some)
    }
}

fn newconn(kernel: &mut Kernel, head: SocketId) -> Option<SocketId> {
    netisr::hold(kernel);
    let made = context(kernel).and_then(|mut cx| sonewconn(&mut cx, head, SockState::empty()));
    netisr::release(kernel);
    made
}

/// A full listener: one of the connections that are not complete makes way, where there is one.
fn make_room(kernel: &mut Kernel, head: SocketId) -> Option<SocketId> {
    kernel.inet.stat.tcp.bump(tcps::LISTENDROP);
    let now = kernel.clock.uptime() / SECOND_NS;
    let tcp = &mut kernel.inet.tcp;
    let (since, count, before) = &mut tcp.overruns;
    let seconds = now.saturating_sub(*since);
    if seconds != 0 {
        (*since, *before, *count) = (now, *count / seconds.min(u64::from(u32::MAX)) as u32, 0);
    }
    let waiting = kernel.sockets[head].q0.len() as u32;
    if waiting == 0 {
        return None;
    }
    *count += 1;
    let mut chosen = 0;
    if *count > waiting || *before > waiting {
        tcp.random = tcp.random.wrapping_mul(314_159).wrapping_add(66_329) & 0xffff;
        chosen = ((waiting + 1).wrapping_mul(tcp.random) >> 16) as usize;
    }
    let victim = *kernel.sockets[head].q0.get(chosen)?;
    if let Ok(id) = sotoinpcb(kernel, victim) {
        tcp_drop(kernel, id, Some(Errno::ETIMEDOUT));
    }
    newconn(kernel, head)
}
