//! Control blocks as readers of kernel memory see them.
//!
//! 2.1 counterpart: netinet/in_pcb.h, netinet/tcp_var.h.

use syscalls::layout::{self, Sockaddr, U32};

use super::in_pcb::List;
use super::{Inpcb, InpcbId, tcp_timer};
use crate::kernel::Kernel;
use crate::kernel::kmem::place;
use crate::kernel::net::Route;

/// A byte of out-of-band data waits, or was taken (TCPOOB_*).
const HAVE_OOB: u8 = 1;
const HAD_OOB: u8 = 2;

/// The list that a table of control blocks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Of {
    Tcp,
    Udp,
    Raw,
}

/// The control blocks of a protocol, the newest first.
pub(in crate::kernel) fn list(kernel: &Kernel, of: Of) -> Vec<InpcbId> {
    kernel.inet.list(match of {
        Of::Tcp => List::Tcp,
        Of::Udp => List::Udp,
        Of::Raw => List::Raw,
    })
}

/// The list that a control block is in.
pub(in crate::kernel) fn list_of(kernel: &Kernel, id: InpcbId) -> Of {
    match kernel.inet.inp(id).list() {
        List::Tcp => Of::Tcp,
        List::Udp => Of::Udp,
        List::Raw => Of::Raw,
    }
}

/// A control block by its slot.
pub(in crate::kernel) fn by_slot(kernel: &Kernel, slot: usize) -> Option<InpcbId> {
    kernel.inet.pcbs.iter().map(|(id, _)| id).find(|id| id.index() == slot)
}

/// A control block without its place in lists.
pub(in crate::kernel) fn inpcb(kernel: &Kernel, id: InpcbId) -> layout::Inpcb {
    let inp = kernel.inet.inp(id);
    layout::Inpcb {
        faddr: inp.faddr.octets(),
        fport: inp.fport.to_be_bytes(),
        laddr: inp.laddr.octets(),
        lport: inp.lport.to_be_bytes(),
        socket: place::socket(inp.socket.index()).into(),
        ppcb: if inp.tcp.is_some() { place::tcpcb(id.index()) } else { 0 }.into(),
        route: route(&inp.route),
        flags: i32::from(inp.flags.bits()).into(),
        ip: header(inp),
        ..layout::Inpcb::default()
    }
}

/// The header that packets begin with.
fn header(inp: &Inpcb) -> [u8; 20] {
    let mut header = [0; 20];
    (header[1], header[8], header[9]) = (inp.tos, inp.ttl, inp.protocol);
    header
}

fn route(route: &Route) -> layout::Route {
    let mut dst = Sockaddr::default();
    let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut dst);
    bytes.iter_mut().zip(&route.dst).for_each(|(to, from)| *to = *from);
    layout::Route { rt: route.rt.map_or(U32::ZERO, |rt| place::route(rt.index()).into()), dst }
}

/// TCP's part of a control block.
pub(in crate::kernel) fn tcpcb(kernel: &Kernel, id: InpcbId) -> Option<layout::Tcpcb> {
    let tp = kernel.inet.inp(id).tcp.as_ref()?;
    let now = tcp_timer::now(kernel);
    let since = |tick: u64| now.saturating_sub(tick) as u32;
    let oob = if tp.oob.have { HAVE_OOB } else { 0 } | if tp.oob.had { HAD_OOB } else { 0 };
    let own = place::tcpcb(id.index());
    Some(layout::Tcpcb {
        // Nobody waits in the ring of segments that shows.
        seg_next: own.into(),
        seg_prev: own.into(),
        state: (tp.state as i32).into(),
        timer: tp.timers.left(now).map(Into::into),
        rxtshift: (tp.rxtshift as i32).into(),
        rxtcur: tp.rxtcur.into(),
        dupacks: (tp.dupacks as i32).into(),
        maxseg: tp.maxseg.into(),
        maxopd: tp.maxopd.into(),
        force: i32::from(tp.force).into(),
        flags: tp.flags.into(),
        inpcb: place::inpcb(id.index()).into(),
        snd_una: tp.snd_una.into(),
        snd_nxt: tp.snd_nxt.into(),
        snd_up: tp.snd_up.into(),
        snd_wl1: tp.snd_wl1.into(),
        snd_wl2: tp.snd_wl2.into(),
        iss: tp.iss.into(),
        snd_wnd: tp.snd_wnd.into(),
        rcv_wnd: tp.rcv_wnd.into(),
        rcv_nxt: tp.rcv_nxt.into(),
        rcv_up: tp.rcv_up.into(),
        irs: tp.irs.into(),
        rcv_adv: tp.rcv_adv.into(),
        snd_max: tp.snd_max.into(),
        snd_cwnd: tp.snd_cwnd.into(),
        snd_ssthresh: tp.snd_ssthresh.into(),
        idle: since(tp.idle_since).into(),
        rtt: tp.timed_since.map_or(0, |tick| since(tick) as i32 + 1).into(),
        rtseq: tp.rtseq.into(),
        srtt: tp.srtt.into(),
        rttvar: tp.rttvar.into(),
        rttmin: tp.rttmin.into(),
        max_sndwnd: tp.max_sndwnd.into(),
        oobflags: oob,
        iobc: tp.oob.byte,
        softerror: tp.softerror.map_or(0, |errno| errno.raw() as i32).into(),
        snd_scale: tp.snd_scale,
        rcv_scale: tp.rcv_scale,
        request_r_scale: tp.request_r_scale,
        requested_s_scale: tp.requested_s_scale,
        ts_recent: tp.ts_recent.into(),
        ts_recent_age: tp.ts_recent_age.into(),
        last_ack_sent: tp.last_ack_sent.into(),
        cc_send: tp.cc_send.into(),
        cc_recv: tp.cc_recv.into(),
        duration: since(tp.made_at).into(),
        rttupdated: tp.rttupdated.into(),
        ..layout::Tcpcb::default()
    })
}
