//! The socket: state that every protocol shares, and the table of all sockets.
//!
//! Invariants: `head` is set exactly while the socket waits in its listener's `q0` or `q`; a socket with
//! NOFDREF has no open file; one without a protocol control block and with NOFDREF does not exist.
//!
//! This file does not know calls, descriptors or any protocol's business.
//!
//! 2.1 counterpart: struct socket (sys/socketvar.h).

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use bitflags::bitflags;
use syscalls::errno::Errno;
use syscalls::flags::SockType;

use super::protosw::{ProtoFlags, Protosw};
use super::sockbuf::{Sockbuf, SockbufFlags};
use super::unix;
use super::unix::Unpcb;
use crate::kernel::arena::{Arena, Id};
use crate::kernel::net::raw_usrreq::Rawcb;
use crate::kernel::netinet::InpcbId;
use crate::kernel::synch::Channel;

/// Key of a socket.
pub type SocketId = Id<Socket>;

/// Longest queue of connections that listen(2) grants (`somaxconn`).
pub const SOMAXCONN: i32 = 128;

bitflags! {
    /// Internal state (`SS_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SockState: u16 {
        /// No open file refers to it.
        const NOFDREF = 0x001;
        /// Connected to a peer.
        const ISCONNECTED = 0x002;
        /// Connecting to a peer.
        const ISCONNECTING = 0x004;
        /// Disconnecting from a peer.
        const ISDISCONNECTING = 0x008;
        /// Nothing more can be sent.
        const CANTSENDMORE = 0x010;
        /// Nothing more will be received.
        const CANTRCVMORE = 0x020;
        /// The next byte is at the out-of-band mark.
        const RCVATMARK = 0x040;
        /// Made by the super-user.
        const PRIV = 0x080;
        /// Operations do not block.
        const NBIO = 0x100;
        /// Changes are signalled (SIGIO).
        const ASYNC = 0x200;
        /// Deciding whether to accept a connection.
        const ISCONFIRMING = 0x400;
    }
}

bitflags! {
    /// Options (`SO_*`) that are kept as bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SocketOptions: u16 {
        /// Record debugging information.
        const DEBUG = 0x0001;
        /// listen(2) was called.
        const ACCEPTCONN = 0x0002;
        /// The local address may be used again.
        const REUSEADDR = 0x0004;
        /// Keep connections alive.
        const KEEPALIVE = 0x0008;
        /// Use interface addresses only.
        const DONTROUTE = 0x0010;
        /// Broadcasts may be sent.
        const BROADCAST = 0x0020;
        /// Bypass hardware when possible.
        const USELOOPBACK = 0x0040;
        /// Linger on close while data wait.
        const LINGER = 0x0080;
        /// Out-of-band data stay in line.
        const OOBINLINE = 0x0100;
        /// Local address and port may be used again.
        const REUSEPORT = 0x0200;
    }
}

/// A protocol control block (`so_pcb`).
#[derive(Clone, Debug)]
pub enum Pcb {
    /// Of the local domain.
    Unix(Unpcb),
    /// Of the internet domain.
    Inet(InpcbId),
    /// Of the routing domain.
    Raw(Rawcb),
}

/// A socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Type (`so_type`).
    pub kind: SockType,
    /// Options.
    pub options: SocketOptions,
    /// How long to linger, in ticks.
    pub linger: i16,
    /// State.
    pub state: SockState,
    /// The protocol's own part; absent once the protocol has let go.
    pub pcb: Option<Pcb>,
    /// The protocol.
    pub proto: &'static Protosw,
    /// The listener in whose queues it waits (`so_head`).
    pub head: Option<SocketId>,
    /// Connections that are not complete yet (`so_q0`).
    pub q0: VecDeque<SocketId>,
    /// Connections that can be accepted (`so_q`).
    pub q: VecDeque<SocketId>,
    /// Limit of the queues.
    pub qlimit: i16,
    /// Error to be told to the next call (`so_error`).
    pub error: Option<Errno>,
    /// Process, or group if negative, that gets SIGIO and SIGURG.
    pub pgid: i32,
    /// Bytes to the out-of-band mark; 0 for none.
    pub oobmark: u32,
    /// Receiving side.
    pub rcv: Sockbuf,
    /// Sending side.
    pub snd: Sockbuf,
    /// Told when something arrives (`so_upcall`).
    pub upcall: Option<fn(&mut crate::kernel::Kernel, SocketId)>,
}

impl Socket {
    /// A socket of a protocol, with everything else zero.
    pub fn new(kind: SockType, proto: &'static Protosw) -> Self {
        Self {
            kind,
            options: SocketOptions::empty(),
            linger: 0,
            state: SockState::empty(),
            pcb: None,
            proto,
            head: None,
            q0: VecDeque::new(),
            q: VecDeque::new(),
            qlimit: 0,
            error: None,
            pgid: 0,
            oobmark: 0,
            rcv: Sockbuf::default(),
            snd: Sockbuf::default(),
            upcall: None,
        }
    }

    /// Whether its protocol has a property.
    pub fn is(&self, flags: ProtoFlags) -> bool {
        self.proto.flags.contains(flags)
    }

    /// Whether messages are sent all at once or not at all (`sosendallatonce`).
    pub fn sendallatonce(&self) -> bool {
        self.is(ProtoFlags::ATOMIC)
    }

    /// Whether a read would not block (`soreadable`).
    pub fn readable(&self) -> bool {
        // Unsigned as in the original: a negative mark counts as huge.
        self.rcv.cc >= self.rcv.lowat as u32
            || self.state.contains(SockState::CANTRCVMORE)
            || !self.q.is_empty()
            || self.error.is_some()
    }

    /// Whether a write would not block (`sowriteable`).
    pub fn writeable(&self) -> bool {
        (self.snd.space() >= self.snd.lowat
            && (self.state.contains(SockState::ISCONNECTED) || !self.is(ProtoFlags::CONNREQUIRED)))
            || self.state.contains(SockState::CANTSENDMORE)
            || self.error.is_some()
    }

    /// The control block, if it is one of the local domain (`sotounpcb`).
    pub fn unpcb(&self) -> Option<&Unpcb> {
        match &self.pcb {
            Some(Pcb::Unix(unp)) => Some(unp),
            _ => None,
        }
    }

    /// The control block, if it is one of the local domain, to change it.
    pub fn unpcb_mut(&mut self) -> Option<&mut Unpcb> {
        match &mut self.pcb {
            Some(Pcb::Unix(unp)) => Some(unp),
            _ => None,
        }
    }

    /// The control block, if it is one of the internet domain (`sotoinpcb`).
    pub fn inpcb(&self) -> Option<InpcbId> {
        match self.pcb {
            Some(Pcb::Inet(inp)) => Some(inp),
            _ => None,
        }
    }
}

/// The socket layer's part of the kernel: all sockets, and what each domain keeps in global variables.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    sockets: Arena<Socket>,
    /// The local domain.
    pub unix: unix::State,
}

impl Index<SocketId> for Layer {
    type Output = Socket;

    #[inline(always)]
    fn index(&self, id: SocketId) -> &Socket {
        &self.sockets[id]
    }
}

impl IndexMut<SocketId> for Layer {
    #[inline(always)]
    fn index_mut(&mut self, id: SocketId) -> &mut Socket {
        &mut self.sockets[id]
    }
}

impl Layer {
    /// Number of sockets.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The socket, if it still exists.
    pub fn get(&self, id: SocketId) -> Option<&Socket> {
        self.sockets.get(id)
    }

    /// The socket, if it still exists, to change it.
    pub fn get_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(id)
    }

    /// All sockets.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.sockets.iter()
    }

    /// Adds a socket.
    pub fn insert(&mut self, socket: Socket) -> SocketId {
        self.sockets.insert(socket)
    }

    /// Takes a socket away.
    pub fn remove(&mut self, id: SocketId) -> Option<Socket> {
        self.sockets.remove(id)
    }
}

/// One of the two buffers of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The receiving side (`so_rcv`).
    Rcv,
    /// The sending side (`so_snd`).
    Snd,
}

impl Side {
    /// What one waits on for data or room (`&sb->sb_cc`).
    pub fn data(self, so: SocketId) -> Channel {
        match self {
            Self::Rcv => Channel::SocketRcv(so),
            Self::Snd => Channel::SocketSnd(so),
        }
    }

    /// What one waits on for the lock (`&sb->sb_flags`).
    pub fn lock(self, so: SocketId) -> Channel {
        match self {
            Self::Rcv => Channel::SocketRcvLock(so),
            Self::Snd => Channel::SocketSndLock(so),
        }
    }
}

impl Socket {
    /// Whether anybody is to be told of a change in a buffer, so that waking is worth a call.
    #[inline]
    pub(in crate::kernel) fn somebody_cares(&self, side: Side) -> bool {
        let sb = match side {
            Side::Rcv => &self.rcv,
            Side::Snd => &self.snd,
        };
        debug_assert!(!sb.sel.is_noted() || sb.flags.contains(SockbufFlags::SEL), "who selects is flagged");
        sb.flags.intersects(SockbufFlags::SEL | SockbufFlags::WAIT)
            || self.state.contains(SockState::ASYNC)
            || self.upcall.is_some()
    }

    /// One of the two buffers.
    #[inline]
    pub fn side_mut(&mut self, side: Side) -> &mut Sockbuf {
        match side {
            Side::Rcv => &mut self.rcv,
            Side::Snd => &mut self.snd,
        }
    }
}
