//! Control blocks of the internet domain: addresses, ports, the cached route, and who owns them.
//!
//! Invariant: the socket of a control block exists and refers back to it; a control block is in the indexes of
//! its protocol under the addresses that it has ([`Inet::rehash`] after each change).
//!
//! This file does not know any protocol's states.
//!
//! 2.1 counterpart: netinet/in_pcb.c.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use bitflags::bitflags;
use syscalls::errno::Errno;

use super::bridge::{self, Bridge};
use super::multicast::{self, Moptions};
use super::tcp_var::Tcpcb;
use super::{INADDR_ANY, Inet, SockaddrIn, in_control};
use crate::kernel::arena::Id;
use crate::kernel::net::interface::IfFlags;
use crate::kernel::net::route::{self, Route, rtalloc_ign, rtf};
use crate::kernel::net::rtsock::{Message, rt_missmsg, rtax};
use crate::kernel::shared::Alone;
use crate::kernel::socket::events;
use crate::kernel::socket::mbuf::Mbuf;
use crate::kernel::socket::operations::free;
use crate::kernel::socket::protosw::{CtlInput, ProtoFlags};
use crate::kernel::socket::socket::{Pcb, SockState, SocketId, SocketOptions};
use crate::kernel::synch::Channel;
use crate::kernel::time::TICK_NS;
use crate::kernel::{Context, Kernel};

/// Key of a control block.
pub type InpcbId = Id<Inpcb>;

/// Ports below this one are the super-user's (IPPORT_RESERVED).
pub(super) const IPPORT_RESERVED: u16 = 1024;
/// Ports that are given out end here (IPPORT_USERRESERVED).
const IPPORT_USERRESERVED: u16 = 5000;

/// An address and a port.
pub(super) type End = (Ipv4Addr, u16);

/// Which list a control block is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// That of TCP.
    Tcp,
    /// That of UDP.
    Udp,
    /// That of raw sockets.
    Raw,
}

/// The control blocks of a protocol (`struct inpcbinfo`), and the last port given out.
#[derive(Clone, Debug, Default)]
pub(super) struct PcbInfo {
    /// All, by their age.
    list: BTreeMap<u64, InpcbId>,
    /// Those that have both ends (`hashbase`).
    exact: HashMap<(End, End), Vec<InpcbId>>,
    /// Those without a peer, by their port.
    open: HashMap<u16, Vec<InpcbId>>,
    /// Those with a peer, by their port.
    connected: HashMap<u16, Vec<InpcbId>>,
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
#[derive(Clone, Debug)]
pub struct Inpcb {
    /// Its socket.
    pub socket: SocketId,
    /// The list that it is in.
    pub(super) list: List,
    /// Its place in the order of age.
    pub(super) sequence: u64,
    /// Where it is in the indexes.
    indexed: Option<(End, End)>,
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
    pub tcp: Option<Box<Tcpcb>>,
    /// The route to the peer (`inp_route`).
    pub route: Route,
    /// Options that go into packets, with the first hop before them.
    pub options: Vec<u8>,
    /// What it wants of multicasts.
    pub moptions: Option<Box<Moptions>>,
    /// The host's socket behind it, where the network is the host's.
    pub host: Alone<Option<Box<Bridge>>>,
}

impl Inpcb {
    /// The list that it is in.
    pub(super) fn list(&self) -> List {
        self.list
    }

    fn ends(&self) -> (End, End) {
        ((self.faddr, self.fport), (self.laddr, self.lport))
    }
}

impl Inet {
    fn info(&self, list: List) -> &PcbInfo {
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
        self.info(list).list.values().rev().copied().collect()
    }

    /// The one with this number.
    pub(super) fn numbered(&self, sequence: u64) -> Option<InpcbId> {
        [List::Tcp, List::Udp, List::Raw]
            .iter()
            .find_map(|&list| self.info(list).list.get(&sequence).copied())
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

    /// Puts a control block where its addresses say (`in_pcbrehash`).
    pub(super) fn rehash(&mut self, id: InpcbId) {
        self.unindex(id);
        let inp = &mut self.pcbs[id];
        let ends = inp.ends();
        inp.indexed = Some(ends);
        let ((faddr, _), (_, lport)) = ends;
        let info = match inp.list {
            List::Tcp => &mut self.tcb,
            List::Udp => &mut self.udb,
            List::Raw => return,
        };
        info.exact.entry(ends).or_default().push(id);
        let ports = if faddr == INADDR_ANY { &mut info.open } else { &mut info.connected };
        ports.entry(lport).or_default().push(id);
    }

    fn unindex(&mut self, id: InpcbId) {
        let inp = &mut self.pcbs[id];
        let Some(ends) = inp.indexed.take() else { return };
        let list = inp.list;
        let ((faddr, _), (_, lport)) = ends;
        let info = self.info_mut(list);
        if let Some(same) = info.exact.get_mut(&ends) {
            same.retain(|&other| other != id);
            if same.is_empty() {
                info.exact.remove(&ends);
            }
        }
        let ports = if faddr == INADDR_ANY { &mut info.open } else { &mut info.connected };
        if let Some(same) = ports.get_mut(&lport) {
            // The one that goes is most often one of the newest.
            if let Some(place) = same.iter().rposition(|&other| other == id) {
                same.swap_remove(place);
            }
            if same.is_empty() {
                ports.remove(&lport);
            }
        }
    }

    /// The best match for a pair of addresses and ports: the one with the fewest wild cards, the newest
    /// of them; without `wildcard` an exact one (`in_pcblookup`).
    ///
    /// A control block with a peer matches another one's packet exactly or not at all, so that only those
    /// without are looked through.
    pub(super) fn lookup(&self, list: List, foreign: End, local: End, wildcard: bool) -> Option<InpcbId> {
        let info = self.info(list);
        let open = info.open.get(&local.1).into_iter().flatten();
        let connected = info.connected.get(&local.1).into_iter().flatten().copied();
        let exact = info.exact.get(&(foreign, local)).into_iter().flatten().copied();
        let anywhere = info.exact.get(&(foreign, (INADDR_ANY, local.1))).into_iter().flatten().copied();
        let mut best: Option<(u32, u64, InpcbId)> = None;
        let mut consider = |id: InpcbId| {
            let inp = &self.pcbs[id];
            let Some(cards) = wild_cards(inp, foreign, local) else { return };
            if cards != 0 && !wildcard {
                return;
            }
            if best.is_none_or(|(fewest, age, _)| (cards, u64::MAX - inp.sequence) < (fewest, u64::MAX - age))
            {
                best = Some((cards, inp.sequence, id));
            }
        };
        open.copied().for_each(&mut consider);
        if foreign.0 == INADDR_ANY {
            connected.for_each(&mut consider);
        } else {
            exact.chain(anywhere).for_each(&mut consider);
        }
        best.map(|(_, _, id)| id)
    }

    /// The one that has exactly these addresses and ports (`in_pcblookuphash`).
    pub(super) fn lookup_exact(&self, list: List, foreign: End, local: End) -> Option<InpcbId> {
        self.info(list).exact.get(&(foreign, local))?.last().copied()
    }
}

/// Number of wild cards in a match, or none where the two do not match.
fn wild_cards(inp: &Inpcb, foreign: End, local: End) -> Option<u32> {
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
    let inet = &mut kernel.inet;
    // Not by the machine's number of events, which depends on who listens.
    inet.made += 1;
    let sequence = inet.made;
    let id = inet.pcbs.insert(Inpcb {
        socket: so,
        list,
        sequence,
        indexed: None,
        faddr: INADDR_ANY,
        fport: 0,
        laddr: INADDR_ANY,
        lport: 0,
        flags: InpFlags::empty(),
        ttl: 0,
        tos: 0,
        protocol: 0,
        tcp: None,
        route: Route::default(),
        options: Vec::new(),
        moptions: None,
        host: Alone::default(),
    });
    inet.info_mut(list).list.insert(sequence, id);
    inet.rehash(id);
    kernel.sockets[so].pcb = Some(Pcb::Inet(id));
    events::note(kernel, so, "in_pcballoc");
    id
}

/// Gives a control block an address and a port; without `nam` a port only (`in_pcbbind`).
pub(super) fn bind(cx: &mut Context<'_>, id: InpcbId, nam: Option<&Mbuf>) -> Result<(), Errno> {
    let so = cx.kernel.inet.inp(id).socket;
    events::within(cx, so, "in_pcbbind", |cx| bind_to(cx, id, nam))
}

fn bind_to(cx: &mut Context<'_>, id: InpcbId, nam: Option<&Mbuf>) -> Result<(), Errno> {
    let inet = &cx.kernel.inet;
    if inet.ifaddr.is_empty() {
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
    let (mut laddr, mut lport) = (INADDR_ANY, 0);
    if let Some(nam) = nam {
        // The family of no address is not looked at: old programs do not fill it in.
        let sin = SockaddrIn::from_mbuf(nam)?;
        if sin.addr.is_multicast() {
            if socket.options.contains(SocketOptions::REUSEADDR) {
                reuse = shared;
            }
        } else if sin.addr != INADDR_ANY {
            let without_port = SockaddrIn { port: 0, ..sin }.bytes();
            cx.kernel.net.ifa_ifwithaddr(&without_port).ok_or(Errno::EADDRNOTAVAIL)?;
        }
        if sin.port != 0 {
            if sin.port < IPPORT_RESERVED && cx.suser().is_err() {
                return Err(Errno::EACCES);
            }
            let taken = cx.kernel.inet.lookup(list, (INADDR_ANY, 0), (sin.addr, sin.port), wild);
            if let Some(taken) = taken {
                let owner = cx.kernel.inet.inp(taken).socket;
                if !cx.kernel.sockets[owner].options.intersects(reuse) {
                    return Err(Errno::EADDRINUSE);
                }
            }
        }
        (laddr, lport) = (sin.addr, sin.port);
    }
    if lport == 0 {
        let free = ephemeral(&mut cx.kernel.inet, list, laddr, wild);
        cx.kernel.inet.ports_taken = free.is_none();
        lport = free.ok_or(Errno::EADDRNOTAVAIL)?;
    }
    cx.kernel.inet.inp_mut(id).laddr = laddr;
    cx.kernel.inet.inp_mut(id).lport = lport;
    cx.kernel.inet.rehash(id);
    Ok(())
}

/// Whether a control block that wants a port could have one; else that is noted.
pub(super) fn has_port(cx: &mut Context<'_>, id: InpcbId) -> bool {
    let inet = &mut cx.kernel.inet;
    let inp = inet.inp(id);
    let (list, laddr) = (inp.list, inp.laddr);
    let shared = SocketOptions::REUSEADDR | SocketOptions::REUSEPORT;
    let wild = !cx.kernel.sockets[inp.socket].options.intersects(shared);
    let last = inet.info(list).lastport;
    let free = ephemeral(inet, list, laddr, wild).is_some();
    inet.info_mut(list).lastport = last;
    inet.ports_taken = !free;
    free
}

/// The next free port between 1024 and 5000.
///
/// Where none is the original looks again and again, until a timer frees one; here the call sleeps until a control
/// block goes (`kernel/socket/port.rs`), so that time passes, others run, and signals are heard.
fn ephemeral(inet: &mut Inet, list: List, laddr: Ipv4Addr, wild: bool) -> Option<u16> {
    for _ in IPPORT_RESERVED..=IPPORT_USERRESERVED {
        let last = &mut inet.info_mut(list).lastport;
        *last = last.wrapping_add(1);
        if !(IPPORT_RESERVED..=IPPORT_USERRESERVED).contains(last) {
            *last = IPPORT_RESERVED;
        }
        let port = *last;
        if inet.lookup(list, (INADDR_ANY, 0), (laddr, port), wild).is_none() {
            return Some(port);
        }
    }
    None
}

/// Checks a peer's address and gives it with the own address to use (`in_pcbladdr`).
pub(super) fn local_address(
    kernel: &mut Kernel,
    id: InpcbId,
    nam: &Mbuf,
) -> Result<(SockaddrIn, Ipv4Addr), Errno> {
    let mut sin = SockaddrIn::from_mbuf(nam)?;
    if !sin.is_inet() {
        return Err(Errno::EAFNOSUPPORT);
    }
    if sin.port == 0 {
        return Err(Errno::EADDRNOTAVAIL);
    }
    if let Some(first) = in_control::first_addr(kernel) {
        if sin.addr == INADDR_ANY {
            sin.addr = first;
        } else if sin.addr.is_broadcast()
            && let Some(broadcast) = in_control::first_broadcast(kernel)
        {
            sin.addr = broadcast;
        }
    }
    let inp = kernel.inet.inp(id);
    if inp.laddr != INADDR_ANY {
        return Ok((sin, inp.laddr));
    }
    let dontroute = kernel.sockets[inp.socket].options.contains(SocketOptions::DONTROUTE);
    let dst = SockaddrIn::new(sin.addr, 0).bytes();
    let mut ro = std::mem::take(&mut kernel.inet.inp_mut(id).route);
    if let Some(rt) = ro.rt
        && (super::sin_addr(&ro.dst) != sin.addr || dontroute)
    {
        route::rtfree(kernel, rt);
        ro.rt = None;
    }
    if !dontroute && ro.rt.is_none() {
        ro.dst = dst.to_vec();
        rtalloc_ign(kernel, &mut ro, 0);
    }
    let entry = ro.rt.and_then(|rt| kernel.net.rtentries.get(rt));
    let outgoing = entry.filter(|rt| !kernel.net.if_flags(rt.ifp).contains(IfFlags::LOOPBACK));
    let mut ia = outgoing.map(|rt| rt.ifa);
    kernel.inet.inp_mut(id).route = ro;
    let net = &kernel.net;
    if ia.is_none() {
        ia = net.ifa_ifwithdstaddr(&dst).or_else(|| net.ifa_ifwithnet(&dst));
        ia = ia.or_else(|| kernel.inet.ifaddr.first().copied());
    }
    let mut ia = ia.ok_or(Errno::EADDRNOTAVAIL)?;
    let chosen = kernel.inet.inp(id).moptions.as_ref().and_then(|imo| imo.interface);
    if sin.addr.is_multicast()
        && let Some(ifp) = chosen
    {
        ia = in_control::ifp_to_ia(kernel, ifp).ok_or(Errno::EADDRNOTAVAIL)?;
    }
    Ok((sin, in_control::ia_addr(kernel, ia)))
}

/// Connects a control block to an address, and gives it an own one if it has none (`in_pcbconnect`).
pub(super) fn connect(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let so = cx.kernel.inet.inp(id).socket;
    events::within(cx, so, "in_pcbconnect", |cx| connect_to(cx, id, nam))
}

fn connect_to(cx: &mut Context<'_>, id: InpcbId, nam: &Mbuf) -> Result<(), Errno> {
    let (sin, laddr) = local_address(cx.kernel, id, nam)?;
    let inp = cx.kernel.inet.inp(id);
    let foreign = (sin.addr, sin.port);
    if cx.kernel.inet.lookup_exact(inp.list, foreign, (laddr, inp.lport)).is_some() {
        return Err(Errno::EADDRINUSE);
    }
    if inp.laddr == INADDR_ANY && inp.lport == 0 {
        // As in the original, an error is nobody's business here; there, having no port is none.
        let bound = bind(cx, id, None);
        if cx.kernel.inet.ports_taken {
            return bound;
        }
    }
    let inp = cx.kernel.inet.inp_mut(id);
    inp.laddr = laddr;
    (inp.faddr, inp.fport) = foreign;
    cx.kernel.inet.rehash(id);
    Ok(())
}

/// Forgets the peer; a control block whose socket has no file goes away (`in_pcbdisconnect`).
pub(super) fn disconnect(kernel: &mut Kernel, id: InpcbId) {
    let inp = kernel.inet.inp_mut(id);
    (inp.faddr, inp.fport) = (INADDR_ANY, 0);
    let so = inp.socket;
    kernel.inet.rehash(id);
    events::note(kernel, so, "in_pcbdisconnect");
    if kernel.sockets[so].state.contains(SockState::NOFDREF) {
        detach(kernel, id);
    }
}

/// Takes a control block away from its socket, which is freed if no file refers to it (`in_pcbdetach`).
pub(super) fn detach(kernel: &mut Kernel, id: InpcbId) {
    if !kernel.inet.has(id) {
        return;
    }
    kernel.inet.unindex(id);
    let Some(inp) = kernel.inet.pcbs.remove(id) else { return };
    kernel.inet.info_mut(inp.list).list.remove(&inp.sequence);
    kernel.sockets[inp.socket].pcb = None;
    kernel.wakeup(Channel::Port);
    if let Some(host) = &*inp.host {
        bridge::forget(kernel, host);
    }
    events::begin(kernel, inp.socket, "in_pcbdetach");
    free(kernel, inp.socket);
    if let Some(rt) = inp.route.rt {
        route::rtfree(kernel, rt);
    }
    if let Some(moptions) = inp.moptions {
        multicast::free_moptions(kernel, *moptions);
    }
    events::end(kernel, inp.socket, "in_pcbdetach", Ok(()));
}

/// Stores the own address (`in_setsockaddr`).
pub(super) fn set_sockaddr(kernel: &Kernel, id: InpcbId, nam: &mut Mbuf) {
    let inp = kernel.inet.inp(id);
    nam.assign(&SockaddrIn::new(inp.laddr, inp.lport).bytes());
}

/// Stores the peer's address (`in_setpeeraddr`).
pub(super) fn set_peeraddr(kernel: &Kernel, id: InpcbId, nam: &mut Mbuf) {
    let inp = kernel.inet.inp(id);
    nam.assign(&SockaddrIn::new(inp.faddr, inp.fport).bytes());
}

/// What a protocol does with a notification.
pub(super) type Notify = fn(&mut Kernel, InpcbId, Option<Errno>);

/// Passes what happened at a peer's address to the control blocks that it is about (`in_pcbnotify`).  Ports
/// and address that are zero are not compared.
pub(super) fn notify(
    kernel: &mut Kernel,
    list: List,
    dst: &[u8],
    fport: u16,
    local: End,
    cmd: CtlInput,
    mut act: Notify,
) {
    let faddr = super::sin_addr(dst);
    if dst.get(1) != Some(&2) || faddr == INADDR_ANY {
        return;
    }
    let (mut fport, mut local) = (fport, local);
    if cmd.is_redirect() || cmd == CtlInput::HostDead {
        (fport, local) = (0, (INADDR_ANY, 0));
        if cmd != CtlInput::HostDead {
            act = rtchange;
        }
    }
    for id in kernel.inet.list(list) {
        let Some(inp) = kernel.inet.get(id) else { continue };
        let other = inp.faddr != faddr
            || (local.1 != 0 && inp.lport != local.1)
            || (local.0 != INADDR_ANY && inp.laddr != local.0)
            || (fport != 0 && inp.fport != fport);
        if !other {
            act(kernel, id, cmd.error());
        }
    }
}

/// Forgets the route after a change, so that the next packet looks for another one (`in_rtchange`).
fn rtchange(kernel: &mut Kernel, id: InpcbId, _error: Option<Errno>) {
    if let Some(rt) = kernel.inet.inp_mut(id).route.rt.take() {
        route::rtfree(kernel, rt);
    }
}

/// A protocol has trouble with its peer: the route is forgotten, and one that a redirect made goes
/// (`in_losing`).
pub(super) fn losing(kernel: &mut Kernel, id: InpcbId) {
    let inp = kernel.inet.inp_mut(id);
    let Some(rt) = inp.route.rt.take() else { return };
    let dst = inp.route.dst.clone();
    let Some(entry) = kernel.net.rtentries.get(rt) else { return };
    let (gateway, flags) = (entry.gateway.clone(), entry.flags);
    let mask = entry.mask.as_ref().map(|mask| mask.bytes().to_vec());
    let mut told: Vec<(usize, &[u8])> = vec![(rtax::DST, &dst), (rtax::GATEWAY, &gateway)];
    told.extend(mask.as_deref().map(|mask| (rtax::NETMASK, mask)));
    rt_missmsg(kernel, Message::Losing, &told, flags, 0);
    if flags & rtf::DYNAMIC != 0 {
        route::delete_entry(kernel, rt);
    }
    route::rtfree(kernel, rt);
}

/// Ticks of the clock in a slow tick of the protocols.
pub(super) const SLOW_TICK_NS: u64 = 50 * TICK_NS;
