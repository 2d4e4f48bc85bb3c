//! The internet domain: protocols over IP, from the request of a socket down to the interface and up again.
//!
//! The way of a packet: [`udp_usrreq`], [`tcp_output`] or [`raw_ip`] make it, [`ip_output`] finds its route and
//! gives it to an interface, whose packets [`ip_input`] takes off the queue and hands to [`udp_input`],
//! [`tcp_input`], [`ip_icmp`], [`igmp`] or [`raw_ip`].  Control blocks are in [`in_pcb`], addresses of
//! interfaces in [`in_control`], what the domain adds to routes in [`in_rmx`].
//!
//! Chapters 7 to 32 of Stevens' second volume walk the same way.
//!
//! 2.1 counterpart: netinet/; this file: netinet/in_proto.c.

pub mod bridge;
pub mod igmp;
pub mod in_cksum;
pub mod in_control;
pub mod in_pcb;
pub mod in_rmx;
pub mod ip;
pub mod ip_ctloutput;
pub mod ip_forward;
pub mod ip_icmp;
pub mod ip_input;
pub mod ip_options;
pub mod ip_output;
pub mod ip_reass;
pub(in crate::kernel) mod layout;
pub mod multicast;
pub mod raw_ip;
pub mod statistics;
pub mod tcp_ctloutput;
pub mod tcp_fsm;
pub mod tcp_input;
pub mod tcp_mss;
pub mod tcp_output;
pub mod tcp_reass;
pub mod tcp_seq;
pub mod tcp_subr;
pub mod tcp_timer;
pub mod tcp_usrreq;
pub mod tcp_var;
pub mod trace;
pub mod udp_input;
pub mod udp_usrreq;
pub mod variables;

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

pub use in_pcb::{Inpcb, InpcbId};
pub use tcp_fsm::TcpState;

use crate::kernel::Kernel;
use crate::kernel::arena::Arena;
use crate::kernel::net::{IfaId, Route};
use crate::kernel::shared::Alone;
use crate::kernel::socket::mbuf::Mbuf;
use crate::kernel::socket::protosw::{Domain, ProtoFlags, Protosw};
use crate::kernel::socket::{Network, SocketId};

/// Protocol numbers (`IPPROTO_*`).
pub(crate) mod ipproto {
    pub(crate) const IP: u32 = 0;
    pub(crate) const ICMP: i32 = 1;
    pub(crate) const IGMP: i32 = 2;
    pub(crate) const IPIP: i32 = 4;
    pub(crate) const TCP: i32 = 6;
    pub(crate) const UDP: i32 = 17;
    pub(crate) const RSVP: i32 = 46;
    pub(crate) const RAW: i32 = 255;
}

/// No address, or any.
pub(crate) const INADDR_ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

const fn raw(protocol: i32) -> Protosw {
    Protosw {
        kind: Some(SockType::Raw),
        family: Family::Inet,
        protocol,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
        input: Some(raw_ip::rip_input),
        output: Some(raw_ip::output),
        usrreq: Some(raw_ip::rip_usrreq),
        ctloutput: Some(raw_ip::rip_ctloutput),
        ..Protosw::NONE
    }
}

static PROTOSW: [Protosw; 9] = [
    // Nothing sends through the row of IP itself.
    Protosw {
        family: Family::Inet,
        init: Some(ip_input::ip_init),
        slowtimo: Some(ip_reass::ip_slowtimo),
        drain: Some(ip_reass::ip_drain),
        sysctl: Some(variables::ip_sysctl),
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Dgram),
        family: Family::Inet,
        protocol: ipproto::UDP,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
        input: Some(udp_input::udp_input),
        ctlinput: Some(udp_input::udp_ctlinput),
        usrreq: Some(udp_usrreq::udp_usrreq),
        ctloutput: Some(ip_ctloutput::ip_ctloutput),
        sysctl: Some(variables::udp_sysctl),
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Stream),
        family: Family::Inet,
        protocol: ipproto::TCP,
        flags: ProtoFlags::CONNREQUIRED.union(ProtoFlags::IMPLOPCL).union(ProtoFlags::WANTRCVD),
        input: Some(tcp_input::tcp_input),
        ctlinput: Some(tcp_subr::tcp_ctlinput),
        usrreq: Some(tcp_usrreq::tcp_usrreq),
        ctloutput: Some(tcp_ctloutput::tcp_ctloutput),
        fasttimo: Some(tcp_timer::tcp_fasttimo),
        slowtimo: Some(tcp_timer::tcp_slowtimo),
        sysctl: Some(variables::tcp_sysctl),
        ..Protosw::NONE
    },
    raw(ipproto::RAW),
    Protosw { input: Some(ip_icmp::icmp_input), sysctl: Some(variables::icmp_sysctl), ..raw(ipproto::ICMP) },
    Protosw {
        input: Some(igmp::igmp_input),
        fasttimo: Some(igmp::igmp_fasttimo),
        slowtimo: Some(igmp::igmp_slowtimo),
        sysctl: Some(variables::igmp_sysctl),
        ..raw(ipproto::IGMP)
    },
    raw(ipproto::RSVP),
    raw(ipproto::IPIP),
    // The wild card.
    raw(0),
];

/// The domain.
pub static DOMAIN: Domain = Domain {
    family: Family::Inet,
    name: "internet",
    init: None,
    externalize: None,
    dispose: None,
    rtattach: Some(configure),
    protosw: &PROTOSW,
};

/// What the domain keeps in global variables.
#[derive(Clone, Debug, Default)]
pub struct Inet {
    /// Control blocks of all protocols.
    pub(crate) pcbs: Arena<Inpcb>,
    /// Those of TCP (`tcb`).
    tcb: in_pcb::PcbInfo,
    /// Those of UDP (`udb`).
    udb: in_pcb::PcbInfo,
    /// Those of raw sockets (`ripcb`).
    ripcb: in_pcb::PcbInfo,
    /// Addresses of interfaces (`in_ifaddr`).
    pub(crate) ifaddr: Vec<IfaId>,
    /// Groups of interfaces whose last address is gone (`in_mk`).
    kludge: Vec<(u16, Vec<multicast::InMulti>)>,
    /// Row of the switch of each protocol number (`ip_protox`).
    protox: Vec<usize>,
    /// What can be set (`net.inet`).
    pub(crate) variables: variables::Variables,
    /// What is counted.
    pub(crate) stat: statistics::Statistics,
    /// Identification of the next packet (`ip_id`).
    ip_id: u16,
    /// Fragments that wait for the rest (`ipq`), the newest first.
    ipq: Vec<ip_reass::Ipq>,
    /// The source route that the present packet came by (`ip_srcrt`).
    srcrt: Option<ip_options::SourceRoute>,
    /// The last route that a packet was forwarded by (`ipforward_rt`).
    forward_rt: Route,
    /// Who takes packets of RSVP (`ip_rsvpd`).
    rsvpd: Option<SocketId>,
    /// Routers of interfaces (`Head`).
    routers: Vec<igmp::RouterInfo>,
    /// TCP's own.
    tcp: tcp_var::Globals,
    /// Control blocks that were made so far.
    made: u64,
    /// A socket got no port because none is free.
    pub(crate) ports_taken: bool,
    /// Where packets are recorded.
    pub(crate) tap: Alone<Option<trace::Tap>>,
    /// The record says that packets are made up.
    labelled: bool,
    /// Sockets are those of the host.
    bridged: bool,
    /// Which of them are waited for.
    watched: bridge::Watched,
    /// Ports that are others at the host.
    pub(crate) ports: bridge::ports::Ports,
    /// The host's address for other machines.
    outside: Option<Ipv4Addr>,
    /// What the host gives a piece of a stream into, kept from one to the next.
    piece: Vec<u8>,
    /// The machine has no network.
    unconfigured: bool,
}

impl Inet {
    /// A domain without sockets.
    pub fn new(network: Network) -> Self {
        Self { bridged: network == Network::Host, unconfigured: network == Network::None, ..Self::default() }
    }

    /// A control block, if it still exists.
    pub fn get(&self, inp: InpcbId) -> Option<&Inpcb> {
        self.pcbs.get(inp)
    }

    /// How many control blocks there are, of all protocols.
    pub fn control_blocks(&self) -> usize {
        self.pcbs.len()
    }

    /// The row of a protocol number (`inetsw[ip_protox[…]]`).
    fn row(&self, protocol: u8) -> Option<&'static Protosw> {
        PROTOSW.get(*self.protox.get(usize::from(protocol))?)
    }
}

/// Makes `lo0` and gives it its address, as `ifconfig lo0 localhost` does.
fn configure(kernel: &mut Kernel) {
    if !kernel.inet.unconfigured {
        // Interfaces are found before the time of day is known.
        let lo0 = kernel.net.loopattach(0);
        in_control::configure(kernel, lo0, SockaddrIn::new(Ipv4Addr::LOCALHOST, 0));
        if kernel.inet.bridged {
            bridge::interface::show(kernel);
        }
    }
}

/// An address and a port (`struct sockaddr_in`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockaddrIn {
    /// Family, as the user gave it.
    pub(crate) family: u8,
    /// Port.
    pub(crate) port: u16,
    /// Address.
    pub(crate) addr: Ipv4Addr,
    /// The rest (`sin_zero`), as the user gave it.
    zero: [u8; 8],
}

impl SockaddrIn {
    /// Size of the structure.
    pub(crate) const LEN: usize = 16;

    /// An address of this family.
    pub(crate) fn new(addr: Ipv4Addr, port: u16) -> Self {
        Self { family: Family::Inet.raw() as u8, port, addr, zero: [0; 8] }
    }

    /// The address that a user gave; EINVAL unless it has exactly the size.
    pub(crate) fn from_mbuf(nam: &Mbuf) -> Result<Self, Errno> {
        Self::from_bytes(nam.bytes())
    }

    pub(crate) fn from_bytes(nam: &[u8]) -> Result<Self, Errno> {
        match *nam {
            [_, family, p1, p0, a, b, c, d, ref zero @ ..] => {
                let zero = zero.try_into().map_err(|_| Errno::EINVAL)?;
                let port = u16::from_be_bytes([p1, p0]);
                Ok(Self { family, port, addr: Ipv4Addr::new(a, b, c, d), zero })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The structure.
    pub(crate) fn bytes(self) -> [u8; Self::LEN] {
        let [p1, p0] = self.port.to_be_bytes();
        let [a, b, c, d] = self.addr.octets();
        let [z0, z1, z2, z3, z4, z5, z6, z7] = self.zero;
        [Self::LEN as u8, self.family, p1, p0, a, b, c, d, z0, z1, z2, z3, z4, z5, z6, z7]
    }

    pub(crate) fn is_inet(self) -> bool {
        u32::from(self.family) == Family::Inet.raw()
    }

    /// Whether the family is one that raw sockets take: AF_IMPLINK, too.
    fn is_inet_or_implink(self) -> bool {
        const AF_IMPLINK: u8 = 3;
        self.is_inet() || self.family == AF_IMPLINK
    }
}

/// The address in a `struct sockaddr_in` however long it is.
pub(crate) fn sin_addr(sa: &[u8]) -> Ipv4Addr {
    match *sa {
        [_, _, _, _, a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d),
        _ => INADDR_ANY,
    }
}
