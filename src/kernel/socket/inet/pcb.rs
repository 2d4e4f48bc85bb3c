//! Control blocks of the internet domain: addresses, ports and who owns them.
//!
//! Invariant: the socket of a control block exists and refers back to it.
//!
//! This file does not know any protocol's states.
//!
//! 2.1 counterpart: netinet/in_pcb.c.

use std::net::Ipv4Addr;

use bitflags::bitflags;
use syscalls::errno::Errno;

use super::super::events;
use super::super::mbuf::Mbuf;
use super::super::operations::free;
use super::super::protosw::ProtoFlags;
use super::super::socket::{Pcb, SockState, SocketId, SocketOptions};
use super::bridge::Bridge;
use super::options::Moptions;
use super::tcp_fsm::Tcpcb;
use super::{INADDR_ANY, Inet, SockaddrIn};
use crate::kernel::arena::Id;
use crate::kernel::{Context, Kernel};

/// Key of a control block.
pub type InpcbId = Id<Inpcb>;

/// Ports below this one are the super-user's (IPPORT_RESERVED).
pub(super) const IPPORT_RESERVED: u16 = 1024;
/// Ports that are given out end here (IPPORT_USERRESERVED).
const IPPORT_USERRESERVED: u16 = 5000;

/// Which list a control block is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Tcp,
    Udp,
    Raw,
}

/// The control blocks of a protocol (`struct inpcbinfo`), the newest last, and the last port given out.
#[derive(Debug, Default)]
pub(super) struct PcbInfo {
    list: Vec<InpcbId>,
    lastport: u16,
}

bitflags! {
    /// Flags of a control block (`INP_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InpFlags: u8 {
        /// Receive IP options.
        const RECVOPTS = 0x01;
        /// Receive IP options for a reply.
        const RECVRETOPTS = 0x02;
        /// Receive the destination address.
        const RECVDSTADDR = 0x04;
        /// The user supplies the IP header.
        const HDRINCL = 0x08;
    }
}

/// A control block of the internet domain (`struct inpcb`).
#[derive(Debug)]
pub struct Inpcb {
    /// Its socket.
    pub socket: SocketId,
    list: List,
    /// Peer's address.
    pub faddr: Ipv4Addr,
    /// Peer's port.
    pub fport: u16,
    /// Own address.
    pub laddr: Ipv4Addr,
    /// Own port.
    pub lport: u16,
    /// Flags.
    pub flags: InpFlags,
    /// Time to live of packets.
    pub ttl: u8,
    /// Type of service of packets.
    pub tos: u8,
    /// Protocol number of a raw socket.
    pub protocol: u8,
    /// TCP's part.
    pub tcp: Option<Tcpcb>,
    /// Options that go into packets, with the first hop before them.
    pub options: Vec<u8>,
    /// What it wants of multicasts.
    pub moptions: Option<Box<Moptions>>,
    /// The host's socket behind it, where the network is the host's.
    pub host: Option<Box<Bridge>>,
}

impl Inet {
    pub(super) fn info(&self, list: List) -> &PcbInfo {
        match list {
            List::Tcp => &self.tcb,
            List::Udp => &self.udb,
            List::Raw => &self.ripcb,
        }
    }

    fn info_mut(&mut self, list: List) -> &mut PcbInfo {
        match list {
            List::Tcp => &mut self.tcb,
            List::Udp => &mut self.udb,
            List::Raw => &mut self.ripcb,
        }
    }

    /// The control blocks of a list, the newest first.
    pub(super) fn list(&self, list: List) -> Vec<InpcbId> {
        self.info(list).list.iter().rev().copied().collect()
    }

    /// A control block.
    pub(super) fn inp(&self, inp: InpcbId) -> &Inpcb {
        &self.pcbs[inp]
    }

    /// A control block, to change it.
    pub(super) fn inp_mut(&mut self, inp: InpcbId) -> &mut Inpcb {
        &mut self.pcbs[inp]
    }

    /// Whether a control block still exists.
    pub(super) fn has(&self, inp: InpcbId) -> bool {
        self.pcbs.contains(inp)
    }

    /// The best match for a pair of addresses and ports: the one with the fewest wild cards, the newest
    /// of them; without `wildcard` an exact one (`in_pcblookup`).
    pub(super) fn lookup(
        &self,
        list: List,
        foreign: (Ipv4Addr, u16),
        local: (Ipv4Addr, u16),
        wildcard: bool,
    ) -> Option<InpcbId> {
        let mut best = None;
        let mut fewest = 3;
        for &id in self.info(list).list.iter().rev() {
            let inp = &self.pcbs[id];
            let Some(cards) = wild_cards(inp, foreign, local) else { continue };
            if cards < fewest && (cards == 0 || wildcard) {
                best = Some(id);
                fewest = cards;
            }
        }
        best
    }

    /// The one that has exactly these addresses and ports (`in_pcblookuphash`).
    pub(super) fn lookup_exact(
        &self,
        list: List,
        foreign: (Ipv4Addr, u16),
        local: (Ipv4Addr, u16),
    ) -> Option<InpcbId> {
        let exact = |inp: &Inpcb| (inp.faddr, inp.fport) == foreign && (inp.laddr, inp.lport) == local;
        self.info(list).list.iter().rev().copied().find(|&id| exact(&self.pcbs[id]))
    }
}

/// Number of wild cards in a match, or none where the two do not match.
fn wild_cards(inp: &Inpcb, foreign: (Ipv4Addr, u16), local: (Ipv4Addr, u16)) -> Option<u32> {
    if inp.lport != local.1 {
        return None;
    }
    let mut cards = 0;
    match (inp.faddr == INADDR_ANY, foreign.0 == INADDR_ANY) {
        (false, false) if (inp.faddr, inp.fport) != foreign => return None,
        (own, other) => cards += u32::from(own != other),
    }
    match (inp.laddr == INADDR_ANY, local.0 == INADDR_ANY) {
        (false, false) if inp.laddr != local.0 => return None,
        (own, other) => cards += u32::from(own != other),
    }
    Some(cards)
}

/// The control block of a socket; EINVAL for one that its protocol has let go.
pub(super) fn sotoinpcb(kernel: &Kernel, so: SocketId) -> Result<InpcbId, Errno> {
    kernel.sockets[so].inpcb().ok_or(Errno::EINVAL)
}

/// Gives a socket a control block (`in_pcballoc`).
pub(super) fn alloc(kernel: &mut Kernel, so: SocketId, list: List) -> InpcbId {
    let inet = &mut kernel.sockets.inet;
    let inp = inet.pcbs.insert(Inpcb {
        socket: so,
        list,
        faddr: INADDR_ANY,
        fport: 0,
        laddr: INADDR_ANY,
        lport: 0,
        flags: InpFlags::empty(),
        ttl: 0,
        tos: 0,
        protocol: 0,
        tcp: None,
        options: Vec::new(),
        moptions: None,
        host: None,
    });
    inet.info_mut(list).list.push(inp);
    kernel.sockets[so].pcb = Some(Pcb::Inet(inp));
    events::note(kernel, so, "in_pcballoc");
    inp
}

/// Gives a control block an address and a port; without `nam` a port only (`in_pcbbind`).
pub(super) fn bind(cx: &mut Context<'_>, id: InpcbId, nam: Option<&Mbuf>) -> Result<(), Errno> {
    let so = cx.kernel.sockets.inet.inp(id).socket;
    events::within(cx, so, "in_pcbbind", |cx| bind_to(cx, id, nam))
}

fn bind_to(cx: &mut Context<'_>, id: InpcbId, nam: Option<&Mbuf>) -> Result<(), Errno> {
    let inet = &cx.kernel.sockets.inet;
    if inet.lo0.is_none() {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let inp = inet.inp(id);
    if inp.lport != 0 || inp.laddr != INADDR_ANY {
        return Err(Errno::EINVAL);
    }
    let list = inp.list;
    let socket = &cx.kernel.sockets[inp.socket];
    let mut reuse = socket.options & SocketOptions::REUSEPORT;
    let shared = SocketOptions::REUSEADDR | SocketOptions::REUSEPORT;
    let wild = !socket.options.intersects(shared)
        && (!socket.is(ProtoFlags::CONNREQUIRED) || !socket.options.contains(SocketOptions::ACCEPTCONN));
    let mut laddr = INADDR_ANY;
    let mut lport = 0;
    if let Some(nam) = nam {
        // The family of no address is not looked at: old programs do not fill it in.
        let sin = SockaddrIn::from_mbuf(nam)?;
        if sin.addr.is_multicast() {
            if socket.options.contains(SocketOptions::REUSEADDR) {
                reuse = shared;
            }
        } else if sin.addr != INADDR_ANY
            && !cx.kernel.sockets.inet.is_interface(SockaddrIn { port: 0, ..sin })
        {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if sin.port != 0 {
            if sin.port < IPPORT_RESERVED && cx.suser().is_err() {
                return Err(Errno::EACCES);
            }
            let taken = cx.kernel.sockets.inet.lookup(list, (INADDR_ANY, 0), (sin.addr, sin.port), wild);
            if let Some(taken) = taken {
                let owner = cx.kernel.sockets.inet.inp(taken).socket;
                if !cx.kernel.sockets[owner].options.intersects(reuse) {
                    return Err(Errno::EADDRINUSE);
                }
            }
        }
        (laddr, lport) = (sin.addr, sin.port);
    }
    let inet = &mut cx.kernel.sockets.inet;
    if lport == 0 {
        lport = ephemeral(inet, list, laddr, wild);
    }
    let inp = inet.inp_mut(id);
    (inp.laddr, inp.lport) = (laddr, lport);
    Ok(())
}

/// The next free port between 1024 and 5000.
fn ephemeral(inet: &mut Inet, list: List, laddr: Ipv4Addr, wild: bool) -> u16 {
    loop {
        let last = &mut inet.info_mut(list).lastport;
        *last += 1;
        if !(IPPORT_RESERVED..=IPPORT_USERRESERVED).contains(last) {
            *last = IPPORT_RESERVED;
        }
        let port = *last;
        if inet.lookup(list, (INADDR_ANY, 0), (laddr, port), wild).is_none() {
            return port;
        }
    }
}

/// Checks a peer's address and gives it with the own address to use (`in_pcbladdr`).
pub(super) fn local_address(inet: &Inet, id: InpcbId, nam: &Mbuf) -> Result<(SockaddrIn, Ipv4Addr), Errno> {
    let mut sin = SockaddrIn::from_mbuf(nam)?;
    if !sin.is_inet() {
        return Err(Errno::EAFNOSUPPORT);
    }
    if sin.port == 0 {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let own = inet.lo0.as_ref().map(|lo0| lo0.addr);
    if sin.addr == INADDR_ANY
        && let Some(own) = own
    {
        sin.addr = own;
    }
    let laddr = inet.inp(id).laddr;
    if laddr != INADDR_ANY {
        return Ok((sin, laddr));
    }
    Ok((sin, own.ok_or(Errno::EADDRNOTAVAIL)?))
}

/// Connects a control block to an address, and gives it an own one if it has none (`in_pcbconnect`).
pub(super) fn connect(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let so = cx.kernel.sockets.inet.inp(id).socket;
    events::within(cx, so, "in_pcbconnect", |cx| connect_to(cx, id, nam))
}

fn connect_to(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let inet = &cx.kernel.sockets.inet;
    let (sin, laddr) = local_address(inet, id, nam)?;
    let inp = inet.inp(id);
    let foreign = (sin.addr, sin.port);
    if inet.lookup_exact(inp.list, foreign, (laddr, inp.lport)).is_some() {
        return Err(Errno::EADDRINUSE);
    }
    if inp.laddr == INADDR_ANY && inp.lport == 0 {
        // As in the original, an error is nobody's business here.
        let _ = bind(cx, id, None);
    }
    let inp = cx.kernel.sockets.inet.inp_mut(id);
    inp.laddr = laddr;
    (inp.faddr, inp.fport) = foreign;
    Ok(())
}

/// Forgets the peer; a control block whose socket has no file goes away (`in_pcbdisconnect`).
pub(super) fn disconnect(kernel: &mut Kernel, id: InpcbId) {
    let inp = kernel.sockets.inet.inp_mut(id);
    (inp.faddr, inp.fport) = (INADDR_ANY, 0);
    let so = inp.socket;
    events::note(kernel, so, "in_pcbdisconnect");
    if kernel.sockets[so].state.contains(SockState::NOFDREF) {
        detach(kernel, id);
    }
}

/// Takes a control block away from its socket, which is freed if no file refers to it (`in_pcbdetach`).
pub(super) fn detach(kernel: &mut Kernel, id: InpcbId) {
    let inet = &mut kernel.sockets.inet;
    let Some(inp) = inet.pcbs.remove(id) else { return };
    inet.info_mut(inp.list).list.retain(|&other| other != id);
    kernel.sockets[inp.socket].pcb = None;
    events::begin(kernel, inp.socket, "in_pcbdetach");
    free(kernel, inp.socket);
    events::end(kernel, inp.socket, "in_pcbdetach", Ok(()));
}

/// Stores the own address (`in_setsockaddr`).
pub(super) fn set_sockaddr(kernel: &Kernel, id: InpcbId, nam: &mut Mbuf) {
    let inp = kernel.sockets.inet.inp(id);
    nam.assign(&SockaddrIn::new(inp.laddr, inp.lport).bytes());
}

/// Stores the peer's address (`in_setpeeraddr`).
pub(super) fn set_peeraddr(kernel: &Kernel, id: InpcbId, nam: &mut Mbuf) {
    let inp = kernel.sockets.inet.inp(id);
    nam.assign(&SockaddrIn::new(inp.faddr, inp.fport).bytes());
}
