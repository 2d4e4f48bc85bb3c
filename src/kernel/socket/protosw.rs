//! The protocol switch: what the socket layer knows of a protocol, and the requests that it makes.
//!
//! A [`Domain`] is a family of protocols, each a row ([`Protosw`]) of its table.  The socket layer
//! chooses a row when a socket is made ([`pffindtype`], [`pffindproto`]) and from then on reaches the
//! protocol only through it; the protocol reaches the socket layer through the functions of
//! [`state`](super::state) and the socket buffers.
//!
//! This file does not know any protocol; the tables are in [`unix`], [`netinet`] and [`raw_usrreq`].
//!
//! 2.1 counterpart: sys/protosw.h, sys/domain.h, kern/uipc_domain.c, kern/uipc_proto.c.

use bitflags::bitflags;
use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, MsgFlags, SockType};

use super::chain::Chain;
use super::mbuf::Mbuf;
use super::records::Records;
use super::{SocketId, unix};
use crate::kernel::net::raw_usrreq;
use crate::kernel::sysctl::Transfer;
use crate::kernel::{Context, Kernel, netinet};

bitflags! {
    /// What a protocol wants and promises (`PR_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ProtoFlags: u16 {
        /// Messages are exchanged whole.
        const ATOMIC = 0x01;
        /// Messages come with addresses.
        const ADDR = 0x02;
        /// Needs a connection.
        const CONNREQUIRED = 0x04;
        /// Wants to know when data were taken (PRU_RCVD).
        const WANTRCVD = 0x08;
        /// Passes access rights.
        const RIGHTS = 0x10;
        /// Sending may connect, and MSG_EOF closes.
        const IMPLOPCL = 0x20;
    }
}

/// One protocol (`struct protosw`).  A hook is there where something calls it: those that are absent are
/// null in the original, or have nothing to do here.
#[derive(Debug)]
pub struct Protosw {
    /// Type of the sockets that it serves (`pr_type`).
    pub kind: Option<SockType>,
    /// Family that it belongs to (`pr_domain`).
    pub family: Family,
    /// Protocol number.
    pub protocol: i32,
    /// What it wants and promises.
    pub flags: ProtoFlags,
    /// Takes a packet from below, with the size of the header before its data (`pr_input`).
    pub input: Option<fn(&mut Kernel, Chain, usize)>,
    /// Sends what a socket has to say downwards (`pr_output`).
    pub output: Option<Output>,
    /// Hears from below what became of something (`pr_ctlinput`).
    pub ctlinput: Option<Ctlinput>,
    /// Serves the requests of the socket layer (`pr_usrreq`).
    pub usrreq: Option<Usrreq>,
    /// Gets and sets options of the protocol (`pr_ctloutput`).
    pub ctloutput: Option<Ctloutput>,
    /// Called once, before anything else (`pr_init`).
    pub init: Option<fn(&mut Kernel)>,
    /// Called every 200 ms (`pr_fasttimo`).
    pub fasttimo: Option<fn(&mut Kernel)>,
    /// Called every 500 ms (`pr_slowtimo`).
    pub slowtimo: Option<fn(&mut Kernel)>,
    /// Called when what waits would not fit into the mbufs of 2.1 (`pr_drain`).
    pub drain: Option<fn(&mut Kernel)>,
    /// Gives and takes the values that the protocol has in `net` (`pr_sysctl`).
    pub sysctl: Option<Sysctl>,
}

impl Protosw {
    /// A row that nothing finds.
    pub const NONE: Self = Self {
        kind: None,
        family: Family::Unspec,
        protocol: 0,
        flags: ProtoFlags::empty(),
        input: None,
        output: None,
        ctlinput: None,
        usrreq: None,
        ctloutput: None,
        init: None,
        fasttimo: None,
        slowtimo: None,
        drain: None,
        sysctl: None,
    };

    /// For a person to read: where it is in the switch, and what it wants and promises.
    pub fn describe(&self) -> String {
        let name = domain(self.family).map_or("", |domain| domain.name);
        let kind = self.kind.map_or_else(|| "no type".to_owned(), |kind| kind.to_string());
        let flags: Vec<String> = self.flags.iter_names().map(|(flag, _)| format!("PR_{flag}")).collect();
        format!("{kind}, protocol {} of domain \"{name}\", {}", self.protocol, flags.join("|"))
    }
}

/// A protocol's `usrreq`.
pub type Usrreq = fn(&mut Context<'_>, SocketId, UserRequest<'_>) -> Result<(), Errno>;
/// A protocol's `output`.
pub type Output = fn(&mut Context<'_>, SocketId, Message<'_>) -> Result<(), Errno>;
/// A protocol's `ctlinput`: what happened, at which address, and to which packet if it was one, of which there
/// are the header and some bytes more.
pub type Ctlinput = fn(&mut Kernel, CtlInput, &[u8], Option<&[u8]>);
/// A protocol's `ctloutput`: the option of a level, and its value to take or to fill in.
pub type Ctloutput = fn(&mut Kernel, SocketId, u32, u32, ControlOption<'_>) -> Result<(), Errno>;

/// A protocol's `sysctl`: what follows its number in the name, and the value to give and to take.
pub type Sysctl = fn(&mut Context<'_>, &[u32], &mut Transfer) -> Result<(), Errno>;

/// What `ctloutput` is asked to do (`PRCO_*`).
#[derive(Debug)]
pub enum ControlOption<'a> {
    /// PRCO_GETOPT.
    Get(&'a mut Mbuf),
    /// PRCO_SETOPT.
    Set(Option<&'a Mbuf>),
}

/// A family's `externalize`: the control mbuf comes in with references and goes out with descriptors.
pub type Externalize = fn(&mut Context<'_>, &mut Mbuf) -> Result<(), Errno>;
/// A family's `dispose`.
pub type Dispose = fn(&mut Context<'_>, Records);

/// A family of protocols (`struct domain`).
#[derive(Debug)]
pub struct Domain {
    /// Address family (`AF_*`).
    pub family: Family,
    /// Its name.
    pub name: &'static str,
    /// Called once, before those of its protocols (`dom_init`).
    pub init: Option<fn(&mut Kernel)>,
    /// Makes descriptors of the rights in a control mbuf (`dom_externalize`).
    pub externalize: Option<Externalize>,
    /// Releases the rights in what a flushed buffer held (`dom_dispose`).
    pub dispose: Option<Dispose>,
    /// Gives it a routing table (`dom_rtattach`).
    pub rtattach: Option<fn(&mut Kernel)>,
    /// Its protocols.
    pub protosw: &'static [Protosw],
}

/// All domains, in the order in which the original finds them.
pub static DOMAINS: [&Domain; 3] = [&netinet::DOMAIN, &raw_usrreq::DOMAIN, &unix::DOMAIN];

/// The domain of a family.
pub fn domain(family: Family) -> Option<&'static Domain> {
    DOMAINS.iter().copied().find(|d| d.family == family)
}

/// All protocols.
pub fn all() -> impl Iterator<Item = &'static Protosw> {
    DOMAINS.iter().flat_map(|domain| domain.protosw)
}

/// Makes the domains ready, and each one's protocols after it (`domaininit`).  In the original the routing
/// domain attaches the tables of all when its turn comes (`route_init`); without one each has its own turn.
pub fn domaininit(kernel: &mut Kernel) {
    for domain in DOMAINS {
        let own = [domain.init, domain.rtattach].into_iter();
        for init in own.chain(domain.protosw.iter().map(|pr| pr.init)).flatten() {
            init(kernel);
        }
    }
}

/// Tells every protocol what happened at an address (`pfctlinput`).
pub fn pfctlinput(kernel: &mut Kernel, cmd: CtlInput, sa: &[u8]) {
    for ctlinput in all().filter_map(|pr| pr.ctlinput) {
        ctlinput(kernel, cmd, sa, None);
    }
}

/// Finds the first protocol that serves a socket type.
pub fn pffindtype(family: Family, kind: SockType) -> Option<&'static Protosw> {
    domain(family)?.protosw.iter().find(|pr| pr.kind == Some(kind))
}

/// Finds a protocol by number and type; a raw protocol without a row of its own is served by the
/// family's raw wild card.
pub fn pffindproto(family: Family, protocol: i32, kind: SockType) -> Option<&'static Protosw> {
    let rows = domain(family)?.protosw;
    rows.iter().find(|pr| pr.protocol == protocol && pr.kind == Some(kind)).or_else(|| {
        let wild =
            |pr: &&Protosw| kind == SockType::Raw && pr.kind == Some(SockType::Raw) && pr.protocol == 0;
        rows.iter().find(wild)
    })
}

/// What PRU_SENSE tells of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sense {
    /// Best size of a transfer.
    pub blksize: u32,
    /// Device.
    pub dev: i32,
    /// Inode number.
    pub ino: u32,
}

/// A request of the socket layer to a protocol, with its arguments (`PRU_*`).  A protocol owns what it
/// is given by value.
#[derive(Debug)]
pub enum UserRequest<'a> {
    /// A socket was made.
    Attach {
        /// Protocol number that the user asked for.
        protocol: i32,
    },
    /// The socket goes away.
    Detach,
    /// Give it an address.
    Bind {
        /// The address.
        nam: &'a Mbuf,
    },
    /// Wait for connections.
    Listen {
        /// Connections that may wait, as far as the system grants them; the original has it in the socket.
        backlog: i32,
    },
    /// Connect to an address.
    Connect {
        /// The address.
        nam: &'a Mbuf,
    },
    /// A connection was accepted.
    Accept {
        /// Takes the peer's address.
        nam: &'a mut Mbuf,
    },
    /// Dissolve the connection.
    Disconnect,
    /// No more data will be sent.
    Shutdown,
    /// Data were taken out of the receive buffer.
    Rcvd {
        /// The flags of the receive.
        flags: MsgFlags,
    },
    /// Send data.
    Send(Message<'a>),
    /// Abort a connection that was not accepted.
    Abort,
    /// An ioctl that the socket layer does not know.
    Control {
        /// The request.
        cmd: u32,
        /// Its parameters.
        data: &'a mut Vec<u8>,
    },
    /// Tell about the socket (fstat).
    Sense(&'a mut Sense),
    /// Receive out-of-band data.
    RcvOob {
        /// Takes the data.
        m: &'a mut Mbuf,
        /// MSG_PEEK or nothing.
        flags: MsgFlags,
    },
    /// Send data out of band.
    SendOob(Message<'a>),
    /// Fetch the socket's address.
    Sockaddr {
        /// Takes it.
        nam: &'a mut Mbuf,
    },
    /// Fetch the peer's address.
    Peeraddr {
        /// Takes it.
        nam: &'a mut Mbuf,
    },
    /// Connect two sockets.
    Connect2 {
        /// The other one.
        so2: SocketId,
    },
    /// The 200 ms timer ran out; protocols' internal use.
    FastTimo,
    /// The 500 ms timer ran out; protocols' internal use.
    SlowTimo,
    /// Receive from below; protocols' internal use.
    ProtoRcv,
    /// Send to below; protocols' internal use.
    ProtoSend,
    /// Send data, then close the sending side.
    SendEof(Message<'a>),
}

/// What a send request carries.
#[derive(Debug)]
pub struct Message<'a> {
    /// The data.
    pub m: Chain,
    /// Where to.
    pub nam: Option<&'a Mbuf>,
    /// Control information; no mbuf where there is none.
    pub control: Chain,
}

/// Names of the requests, by number.
pub const PRU_NAMES: [&str; 23] = [
    "PRU_ATTACH",
    "PRU_DETACH",
    "PRU_BIND",
    "PRU_LISTEN",
    "PRU_CONNECT",
    "PRU_ACCEPT",
    "PRU_DISCONNECT",
    "PRU_SHUTDOWN",
    "PRU_RCVD",
    "PRU_SEND",
    "PRU_ABORT",
    "PRU_CONTROL",
    "PRU_SENSE",
    "PRU_RCVOOB",
    "PRU_SENDOOB",
    "PRU_SOCKADDR",
    "PRU_PEERADDR",
    "PRU_CONNECT2",
    "PRU_FASTTIMO",
    "PRU_SLOWTIMO",
    "PRU_PROTORCV",
    "PRU_PROTOSEND",
    "PRU_SEND_EOF",
];

impl UserRequest<'_> {
    /// The request's number.
    pub fn number(&self) -> u8 {
        match self {
            Self::Attach { .. } => 0,
            Self::Detach => 1,
            Self::Bind { .. } => 2,
            Self::Listen { .. } => 3,
            Self::Connect { .. } => 4,
            Self::Accept { .. } => 5,
            Self::Disconnect => 6,
            Self::Shutdown => 7,
            Self::Rcvd { .. } => 8,
            Self::Send(_) => 9,
            Self::Abort => 10,
            Self::Control { .. } => 11,
            Self::Sense(_) => 12,
            Self::RcvOob { .. } => 13,
            Self::SendOob(_) => 14,
            Self::Sockaddr { .. } => 15,
            Self::Peeraddr { .. } => 16,
            Self::Connect2 { .. } => 17,
            Self::FastTimo => 18,
            Self::SlowTimo => 19,
            Self::ProtoRcv => 20,
            Self::ProtoSend => 21,
            Self::SendEof(_) => 22,
        }
    }

    /// The request's name.
    pub fn name(&self) -> &'static str {
        PRU_NAMES[usize::from(self.number())]
    }
}

/// Control input from below (`PRC_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CtlInput {
    /// The interface with an address went down.
    IfDown = 0,
    /// Somebody on the way asks to send less.
    Quench = 4,
    /// A packet was too large for its way.
    Msgsize = 5,
    /// A host is down.
    HostDead = 6,
    /// There is no way to a network.
    UnreachNet = 8,
    /// There is no way to a host.
    UnreachHost = 9,
    /// The peer's host has no such protocol.
    UnreachProtocol = 10,
    /// The peer's host has no such port.
    UnreachPort = 11,
    /// A source route leads nowhere.
    UnreachSrcfail = 13,
    /// There is a better way to a host.
    RedirectHost = 15,
    /// A packet's time was over on its way.
    TimxceedIntrans = 18,
    /// A packet's time was over before all its fragments came.
    TimxceedReass = 19,
    /// A packet's header was wrong.
    Paramprob = 20,
}

impl CtlInput {
    /// The error that users of the protocol are told, if they are told (`inetctlerrmap`).
    pub fn error(self) -> Option<Errno> {
        match self {
            Self::Msgsize => Some(Errno::EMSGSIZE),
            Self::HostDead => Some(Errno::EHOSTDOWN),
            Self::UnreachNet | Self::UnreachHost | Self::UnreachSrcfail => Some(Errno::EHOSTUNREACH),
            Self::UnreachProtocol | Self::UnreachPort => Some(Errno::ECONNREFUSED),
            Self::Paramprob => Some(Errno::ENOPROTOOPT),
            Self::IfDown
            | Self::Quench
            | Self::RedirectHost
            | Self::TimxceedIntrans
            | Self::TimxceedReass => None,
        }
    }

    /// Whether it tells of a better way (PRC_IS_REDIRECT).
    pub fn is_redirect(self) -> bool {
        self == Self::RedirectHost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_domain_has_streams_and_datagrams_only() {
        assert_eq!(pffindtype(Family::Unix, SockType::Stream).map(|pr| pr.protocol), Some(0));
        assert!(pffindtype(Family::Unix, SockType::Dgram).is_some());
        assert!(pffindtype(Family::Unix, SockType::Raw).is_none());
        assert!(pffindtype(Family::Unix, SockType::Other(0)).is_none());
        assert!(pffindproto(Family::Unix, 1, SockType::Stream).is_none());
        assert!(pffindtype(Family::Other(27), SockType::Stream).is_none());
    }

    #[test]
    fn a_raw_protocol_without_a_row_gets_the_wild_card() {
        let number = |p, t| pffindproto(Family::Inet, p, t).map(|pr| pr.protocol);
        assert_eq!(number(6, SockType::Stream), Some(6));
        assert_eq!(number(6, SockType::Dgram), None);
        assert_eq!(number(1, SockType::Raw), Some(1));
        assert_eq!(number(89, SockType::Raw), Some(0));
    }

    #[test]
    fn requests_have_their_numbers_and_names() {
        assert_eq!(UserRequest::Detach.name(), "PRU_DETACH");
        assert_eq!(UserRequest::Abort.number(), 10);
        assert_eq!(UserRequest::ProtoSend.name(), "PRU_PROTOSEND");
        assert_eq!(PRU_NAMES.len(), 23);
    }
}
