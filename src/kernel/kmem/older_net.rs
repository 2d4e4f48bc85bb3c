//! 386BSD's form of sockets, control blocks, routes and interfaces: the same facts in the layouts of its headers.
//!
//! Counterpart: socketvar.h, in_pcb.h, tcp_var.h, radix.h, route.h, if.h of 386BSD 2.0, and its netstat.

use syscalls::layout::{
    self, OlderDomain, OlderIfaddr, OlderIfnet, OlderInIfaddr, OlderInpcb, OlderProtosw, OlderRadixNodeHead,
    OlderRtentry, OlderSockbuf, OlderSocket, OlderTcpcb, U32,
};
use zerocopy::IntoBytes;

use super::network::{self, Listed};
use super::{BootFile, place};
use crate::kernel::Kernel;
use crate::kernel::net::{Net, layout as net};
use crate::kernel::netinet::layout as inet;

/// Where a tree has its own nodes there.
pub(super) const OWN_NODES: u32 = 12;
/// Flags of routes (RTF_*) that mean the same there: up, gateway, host, reject, dynamic, modified, done, mask,
/// cloning, xresolve, llinfo.
const RTF: u32 = 0x7ff;
/// A pair of addresses of an interface behind its structure, where that ends there.
const IFADDR: u32 = size_of::<OlderIfaddr>() as u32;

/// A socket.
pub(super) fn socket(new: &layout::Socket) -> OlderSocket {
    OlderSocket {
        kind: new.kind,
        options: new.options,
        linger: new.linger,
        state: new.state,
        pcb: new.pcb,
        proto: new.proto,
        head: new.head,
        q0: new.q0,
        q: new.q,
        q0len: new.q0len,
        qlen: new.qlen,
        qlimit: new.qlimit,
        timeo: new.timeo,
        error: new.error,
        pgid: (new.pgid.get() as i16).into(),
        oobmark: new.oobmark,
        rcv: sockbuf(&new.rcv),
        snd: sockbuf(&new.snd),
        ..OlderSocket::default()
    }
}

fn sockbuf(new: &layout::Sockbuf) -> OlderSockbuf {
    OlderSockbuf {
        cc: new.cc,
        hiwat: new.hiwat,
        mbcnt: new.mbcnt,
        mbmax: new.mbmax,
        lowat: new.lowat,
        mb: new.mb,
        sel: (new.sel.pid.get() as i16).into(),
        flags: new.flags,
        timeo: new.timeo,
        ..OlderSockbuf::default()
    }
}

/// A protocol.
pub(super) fn protosw(new: &layout::Protosw) -> OlderProtosw {
    OlderProtosw {
        kind: new.kind,
        domain: new.domain,
        protocol: new.protocol,
        flags: new.flags,
        ..OlderProtosw::default()
    }
}

/// A domain.
pub(super) fn domain(new: &layout::Domain) -> OlderDomain {
    OlderDomain { family: new.family, name: new.name, next: new.next, ..OlderDomain::default() }
}

/// A control block in a ring through the variable that is the list's head.
pub(super) fn inpcb(kernel: &Kernel, file: &BootFile, slot: usize) -> Option<OlderInpcb> {
    let Listed { of, next, previous, inpcb: new } = network::listed(kernel, slot)?;
    let head = network::list_head(file, of);
    let address = |slot: Option<usize>| U32::new(slot.map_or(head, place::inpcb));
    Some(OlderInpcb {
        next: address(next),
        prev: address(previous),
        head: head.into(),
        faddr: new.faddr,
        fport: new.fport,
        laddr: new.laddr,
        lport: new.lport,
        socket: new.socket,
        ppcb: new.ppcb,
        route: new.route,
        flags: new.flags,
        ip: new.ip,
        ..OlderInpcb::default()
    })
}

/// The head of a list, which is a control block itself, and lies at `start`.
pub(super) fn list(kernel: &Kernel, of: inet::Of, start: u32) -> OlderInpcb {
    let first = match network::first_inpcb(kernel, of) {
        0 => start,
        first => first,
    };
    OlderInpcb {
        next: first.into(),
        prev: network::last_inpcb(kernel, of).map_or(start, place::inpcb).into(),
        ..OlderInpcb::default()
    }
}

/// TCP's part of a control block.
pub(super) fn tcpcb(new: &layout::Tcpcb) -> OlderTcpcb {
    let short = |n: U32| (n.get().min(u32::from(u16::MAX)) as u16).into();
    let signed = |n: layout::I32| (n.get() as i16).into();
    OlderTcpcb {
        seg_next: new.seg_next,
        seg_prev: new.seg_prev,
        state: signed(new.state),
        timer: new.timer.map(signed),
        rxtshift: signed(new.rxtshift),
        rxtcur: signed(new.rxtcur),
        dupacks: signed(new.dupacks),
        maxseg: short(new.maxseg),
        force: new.force.get() as u8,
        flags: new.flags.get() as u8,
        inpcb: new.inpcb,
        snd_una: new.snd_una,
        snd_nxt: new.snd_nxt,
        snd_up: new.snd_up,
        snd_wl1: new.snd_wl1,
        snd_wl2: new.snd_wl2,
        iss: new.iss,
        snd_wnd: short(new.snd_wnd),
        rcv_wnd: short(new.rcv_wnd),
        rcv_nxt: new.rcv_nxt,
        rcv_up: new.rcv_up,
        irs: new.irs,
        rcv_adv: new.rcv_adv,
        snd_max: new.snd_max,
        snd_cwnd: short(new.snd_cwnd),
        snd_ssthresh: short(new.snd_ssthresh),
        idle: (new.idle.get() as i16).into(),
        rtt: signed(new.rtt),
        rtseq: new.rtseq,
        srtt: signed(new.srtt),
        rttvar: signed(new.rttvar),
        rttmin: short(new.rttmin),
        max_sndwnd: short(new.max_sndwnd),
        oobflags: new.oobflags,
        iobc: new.iobc,
        softerror: signed(new.softerror),
        ..OlderTcpcb::default()
    }
}

/// A tree: they hang on each other there, that of masks as the last.
pub(super) fn tree(net: &Net, tree: usize) -> OlderRadixNodeHead {
    let family = if tree == network::ROUTES { i32::from(crate::kernel::net::sockaddr::AF_INET) } else { 0 };
    OlderRadixNodeHead {
        next: if tree == network::ROUTES { place::tree(network::MASKS) } else { 0 }.into(),
        treetop: (place::tree(tree) + OWN_NODES + super::trees::NODE).into(),
        af: family.into(),
        nodes: network::own_nodes(net, tree, OWN_NODES),
    }
}

/// A route.
pub(super) fn rtentry(new: &layout::Rtentry) -> OlderRtentry {
    let mut rmx = [0; 36];
    rmx.iter_mut().zip(new.rmx).for_each(|(to, from)| *to = from);
    let uses = new.rmx.get(36..40).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    OlderRtentry {
        nodes: new.nodes,
        gateway: new.gateway,
        flags: ((new.flags.get() & RTF) as i16).into(),
        refcnt: new.refcnt,
        uses: uses.into(),
        ifp: new.ifp,
        ifa: new.ifa,
        genmask: new.genmask,
        rmx,
        ..OlderRtentry::default()
    }
}

/// An interface.
pub(super) fn ifnet(new: &layout::Ifnet) -> OlderIfnet {
    let word = |at: usize| {
        let bytes = new.data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    let count = |at: usize| (word(at) as i32).into();
    OlderIfnet {
        name: new.name,
        unit: new.unit,
        mtu: (word(4) as u16).into(),
        flags: new.flags,
        metric: count(8),
        addrlist: new.addrlist,
        snd: new.snd,
        ipackets: count(16),
        ierrors: count(20),
        opackets: count(24),
        oerrors: count(28),
        collisions: count(32),
        next: new.next,
        kind: new.data[0],
        index: new.index.get() as u8,
        lastchange: layout::Timeval { sec: count(60), usec: count(64) },
        ibytes: count(36),
        obytes: count(40),
        imcasts: count(44),
        omcasts: count(48),
        iqdrops: count(52),
        noproto: count(56),
        baudrate: count(12),
        ..OlderIfnet::default()
    }
}

/// An address of an interface.
pub(super) fn ifaddr(net: &Net, slot: usize) -> Option<Vec<u8>> {
    let at = place::interface_address(slot);
    if let Some(inet) = net::in_ifaddr(net, slot) {
        let older = OlderInIfaddr {
            ifa: shared(net, &inet.ifa, at, [56, 72, 88], slot)?,
            net: inet.net,
            netmask: inet.netmask,
            subnet: inet.subnet,
            subnetmask: inet.subnetmask,
            netbroadcast: inet.netbroadcast,
            next: inet.next,
            addr: inet.addr,
            dstaddr: inet.dstaddr,
            sockmask: inet.sockmask,
        };
        return Some(older.as_bytes().to_vec());
    }
    let own = net::ifaddr(net, slot)?;
    let mut bytes = shared(net, &own, at, [IFADDR, 0, IFADDR + 32], slot)?.as_bytes().to_vec();
    bytes.extend(network::link_addresses(net, slot)?);
    Some(bytes)
}

fn shared(
    net: &Net,
    new: &layout::Ifaddr,
    at: u32,
    [addr, dstaddr, netmask]: [u32; 3],
    slot: usize,
) -> Option<OlderIfaddr> {
    let (_, ifa) = net::address_by_slot(net, slot)?;
    Some(OlderIfaddr {
        addr: (at + addr).into(),
        dstaddr: if ifa.dst().is_some() { at + dstaddr } else { 0 }.into(),
        netmask: if ifa.netmask.is_some() { at + netmask } else { 0 }.into(),
        ifp: new.ifp,
        next: new.next,
        flags: new.flags,
        ..OlderIfaddr::default()
    })
}
