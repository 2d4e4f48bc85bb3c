//! The local domain: streams and datagrams between processes of one machine, which also pass open files.
//!
//! There is no network in between: sending puts a message straight into the receiver's buffer.  A
//! stream's buffer is the receiver's; what it holds is taken off the sender's limits (`hiwat`, `mbmax`)
//! and given back as it is read, so that both ends together hold one buffer.  A datagram socket's send
//! buffer is never used but for its size, the limit of a message.
//!
//! A connection of streams goes both ways; one of datagrams goes one way, and the target keeps a list of
//! those who are connected to it (`refs`).
//!
//! This folder does not know calls or guest memory.
//!
//! 2.1 counterpart: kern/uipc_usrreq.c, kern/uipc_proto.c, sys/unpcb.h.

mod connect;
mod gc;
mod names;
mod rights;

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

pub use connect::connect2;
pub use rights::{dispose, externalize};

use super::chain::Chain;
use super::mbuf::Mbuf;
use super::protosw::{Domain, Message, ProtoFlags, Protosw, UserRequest};
use super::sockbuf::Sockbuf;
use super::socket::{Pcb, Side, SockState, Socket, SocketId};
use super::state::{socantrcvmore, socantsendmore, soisdisconnected, soreserve, sorwakeup, sowwakeup};
use super::{events, sofree, sorflush};
use crate::kernel::vfs::VnodeId;
use crate::kernel::{Context, Kernel};

/// Buffer of a stream, both ends together (PIPSIZ).
const PIPSIZ: u32 = 4096;
/// Largest datagram.
const DGRAM_SENDSPACE: u32 = 2 * 1024;
/// What a datagram socket holds.
const DGRAM_RECVSPACE: u32 = 4 * 1024;
/// No device (NODEV).
const NODEV: i32 = -1;
/// The name of one that has none: an empty address of the local family (`sun_noname`).
const NONAME: [u8; 16] = [16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

static PROTOSW: [Protosw; 3] = [
    Protosw {
        kind: Some(SockType::Stream),
        family: Family::Unix,
        protocol: 0,
        flags: ProtoFlags::CONNREQUIRED.union(ProtoFlags::WANTRCVD).union(ProtoFlags::RIGHTS),
        usrreq: Some(usrreq),
        ..Protosw::NONE
    },
    Protosw {
        kind: Some(SockType::Dgram),
        family: Family::Unix,
        protocol: 0,
        flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR).union(ProtoFlags::RIGHTS),
        usrreq: Some(usrreq),
        ..Protosw::NONE
    },
    // The raw protocol has no type, so that no search finds it.
    Protosw { family: Family::Unix, ..Protosw::NONE },
];

/// The domain.
pub static DOMAIN: Domain = Domain {
    family: Family::Unix,
    name: "local",
    init: None,
    externalize: Some(externalize),
    dispose: Some(dispose),
    rtattach: None,
    protosw: &PROTOSW,
};

/// A control block of the local domain (`struct unpcb`).
#[derive(Clone, Debug, Default)]
pub struct Unpcb {
    /// The node in the file system that it is bound to.
    pub vnode: Option<VnodeId>,
    /// Made-up inode number; 0 for none yet.
    pub ino: u32,
    /// The socket that it is connected to (`unp_conn`).
    pub conn: Option<SocketId>,
    /// Those who are connected to it, the newest last (`unp_refs`).
    pub refs: Vec<SocketId>,
    /// The address that it is bound to.
    pub addr: Option<Mbuf>,
    /// Bytes in the receive buffer that the sender's limits account for.
    pub cc: u32,
    /// Cost of the mbufs in the receive buffer that the sender's limits account for.
    pub mbcnt: u32,
}

/// What the domain keeps in global variables.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Descriptors in flight (`unp_rights`).
    pub rights: i32,
    /// The collector runs (`unp_gcing`).
    collecting: bool,
    /// The next made-up inode number (`unp_ino`).
    next_ino: u32,
}

/// Serves the requests of the socket layer (`uipc_usrreq`).
pub fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    match request {
        UserRequest::Rcvd { .. } => received(cx.kernel, so),
        UserRequest::Send(message) => send(cx, so, message),
        request => manage(cx, so, request),
    }
}

/// Serves what is requested less often than once a transfer.
#[inline(never)]
fn manage(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    let attached = cx.kernel.sockets[so].unpcb().is_some();
    match request {
        UserRequest::Control { .. } => Err(Errno::EOPNOTSUPP),
        UserRequest::Attach { .. } if attached => Err(Errno::EISCONN),
        UserRequest::Attach { .. } => events::within(cx, so, "unp_attach", |cx| {
            attach(&mut cx.kernel.sockets[so])?;
            events::note_reserved(cx.kernel, so);
            Ok(())
        }),
        _ if !attached => Err(Errno::EINVAL),
        UserRequest::Rcvd { .. } => received(cx.kernel, so),
        UserRequest::Send(message) => send(cx, so, message),
        UserRequest::Detach => {
            detach(cx, so);
            Ok(())
        }
        UserRequest::Bind { nam } => connect::bind(cx, so, nam),
        UserRequest::Listen { .. } => match unp(cx.kernel, so).vnode {
            Some(_) => Ok(()),
            None => Err(Errno::EINVAL),
        },
        UserRequest::Connect { nam } => connect::connect(cx, so, nam),
        UserRequest::Connect2 { so2 } => connect2(cx.kernel, so, so2),
        UserRequest::Disconnect => {
            disconnect(cx.kernel, so);
            Ok(())
        }
        UserRequest::Accept { nam } => {
            match peer_address(cx.kernel, so) {
                Some(address) => nam.assign(address),
                None => nam.assign(&NONAME),
            }
            Ok(())
        }
        UserRequest::Shutdown => {
            socantsendmore(cx.kernel, so);
            shutdown(cx.kernel, so);
            Ok(())
        }
        UserRequest::SendEof(message) => {
            let sent = send(cx, so, message);
            socantsendmore(cx.kernel, so);
            shutdown(cx.kernel, so);
            sent
        }
        UserRequest::Abort => {
            drop(cx, so, Errno::ECONNABORTED);
            Ok(())
        }
        UserRequest::Sense(sense) => {
            let kernel = &mut *cx.kernel;
            sense.blksize = kernel.sockets[so].snd.hiwat;
            if kernel.sockets[so].kind == SockType::Stream
                && let Some(so2) = unp(kernel, so).conn
            {
                sense.blksize = sense.blksize.wrapping_add(kernel.sockets[so2].rcv.cc);
            }
            sense.dev = NODEV;
            sense.ino = inode(kernel, so);
            Ok(())
        }
        UserRequest::RcvOob { .. } | UserRequest::SendOob(_) => Err(Errno::EOPNOTSUPP),
        UserRequest::Sockaddr { nam } => {
            nam.assign(unp(cx.kernel, so).addr.as_ref().map_or(&[], Mbuf::bytes));
            Ok(())
        }
        UserRequest::Peeraddr { nam } => {
            nam.assign(peer_address(cx.kernel, so).unwrap_or(&[]));
            Ok(())
        }
        // Nobody makes these requests; the original panics for most of them.
        UserRequest::FastTimo | UserRequest::SlowTimo | UserRequest::ProtoRcv | UserRequest::ProtoSend => {
            Ok(())
        }
    }
}

/// The control block of a socket of this domain (`sotounpcb`).
fn unp(kernel: &Kernel, so: SocketId) -> &Unpcb {
    kernel.sockets[so].unpcb().expect("the socket has been checked to be attached to the local domain")
}

fn unp_mut(kernel: &mut Kernel, so: SocketId) -> &mut Unpcb {
    kernel.sockets[so].unpcb_mut().expect("the socket has been checked to be attached to the local domain")
}

/// The address of the peer, if there is a peer and it has one.
fn peer_address(kernel: &Kernel, so: SocketId) -> Option<&[u8]> {
    let peer = unp(kernel, so).conn?;
    unp(kernel, peer).addr.as_ref().map(Mbuf::bytes)
}

/// Numbers begin at 0, which also means that there is none yet: the first socket asked about gets another
/// one the next time.
fn inode(kernel: &mut Kernel, so: SocketId) -> u32 {
    if unp(kernel, so).ino == 0 {
        let next = kernel.sockets.unix.next_ino;
        kernel.sockets.unix.next_ino = next.wrapping_add(1);
        unp_mut(kernel, so).ino = next;
    }
    unp(kernel, so).ino
}

fn attach(socket: &mut Socket) -> Result<(), Errno> {
    if socket.snd.hiwat == 0 || socket.rcv.hiwat == 0 {
        match socket.kind {
            SockType::Stream => soreserve(socket, PIPSIZ, PIPSIZ)?,
            _ => soreserve(socket, DGRAM_SENDSPACE, DGRAM_RECVSPACE)?,
        }
    }
    socket.pcb = Some(Pcb::Unix(Unpcb::default()));
    Ok(())
}

/// Lets go of a socket: its name, its connection, and those who are connected to it.
fn detach(cx: &mut Context<'_>, so: SocketId) {
    events::begin(cx.kernel, so, "unp_detach");
    if let Some(vnode) = unp_mut(cx.kernel, so).vnode.take() {
        names::release(cx.kernel, vnode);
    }
    disconnect(cx.kernel, so);
    while let Some(&reference) = unp(cx.kernel, so).refs.last() {
        drop(cx, reference, Errno::ECONNRESET);
    }
    soisdisconnected(cx.kernel, so);
    cx.kernel.sockets[so].pcb = None;
    if cx.kernel.sockets.unix.rights != 0 {
        // Before the collector could take the references that wait in our own buffer for garbage.
        sorflush(cx, so);
        gc::collect(cx);
    }
    events::end(cx.kernel, so, "unp_detach", Ok(()));
}

/// Dissolves a connection.
fn disconnect(kernel: &mut Kernel, so: SocketId) {
    let Some(so2) = unp_mut(kernel, so).conn.take() else { return };
    events::begin_with(kernel, Some(so), "unp_disconnect", || format!("from so{so2:?}"));
    if kernel.sockets[so].kind == SockType::Dgram {
        unp_mut(kernel, so2).refs.retain(|&other| other != so);
        kernel.sockets[so].state.remove(SockState::ISCONNECTED);
    } else {
        soisdisconnected(kernel, so);
        unp_mut(kernel, so2).conn = None;
        soisdisconnected(kernel, so2);
    }
    events::end(kernel, so, "unp_disconnect", Ok(()));
}

/// The peer of a stream will receive nothing more.
fn shutdown(kernel: &mut Kernel, so: SocketId) {
    if kernel.sockets[so].kind == SockType::Stream
        && let Some(peer) = unp(kernel, so).conn
    {
        events::begin(kernel, so, "unp_shutdown");
        socantrcvmore(kernel, peer);
        events::end(kernel, so, "unp_shutdown", Ok(()));
    }
}

/// Breaks a connection with an error; one that nobody has accepted goes away.
fn drop(cx: &mut Context<'_>, so: SocketId, error: Errno) {
    events::begin_with(cx.kernel, Some(so), "unp_drop", || error.name());
    cx.kernel.sockets[so].error = Some(error);
    disconnect(cx.kernel, so);
    if cx.kernel.sockets[so].head.is_some() {
        cx.kernel.sockets[so].pcb = None;
        sofree(cx, so);
    }
    events::end(cx.kernel, so, "unp_drop", Ok(()));
}

/// Data were taken: gives the room back to the sender and wakes it.
fn received(kernel: &mut Kernel, so: SocketId) -> Result<(), Errno> {
    let socket = &mut kernel.sockets[so];
    let peer = socket.unpcb().ok_or(Errno::EINVAL)?.conn;
    if socket.kind == SockType::Stream
        && let Some(so2) = peer
    {
        let gained = Gain::since_the_last_time(socket);
        let sender = &mut kernel.sockets[so2];
        gained.charge(&mut sender.snd);
        if sender.somebody_cares(Side::Snd) || kernel.observed() {
            sowwakeup(kernel, so2);
        }
    }
    Ok(())
}

/// What a receiver's buffer gained or, by wrapping, lost.
struct Gain {
    cc: u32,
    mbcnt: u32,
}

impl Gain {
    #[inline]
    fn since_the_last_time(receiver: &mut Socket) -> Self {
        let (cc, mbcnt) = (receiver.rcv.cc, receiver.rcv.mbcnt);
        let unp =
            receiver.unpcb_mut().expect("the peer of a socket of the local domain is attached to it, too");
        Self {
            cc: cc.wrapping_sub(std::mem::replace(&mut unp.cc, cc)),
            mbcnt: mbcnt.wrapping_sub(std::mem::replace(&mut unp.mbcnt, mbcnt)),
        }
    }

    /// Moves it off the sender's limits.
    #[inline]
    fn charge(self, snd: &mut Sockbuf) {
        snd.hiwat = snd.hiwat.wrapping_sub(self.cc);
        snd.mbmax = snd.mbmax.wrapping_sub(self.mbcnt);
    }
}

/// Sends a message.  Rights are taken in before anything can fail, and their references are not given
/// back when it does (uipc_usrreq.c, label release).
#[inline(always)] // called, it would get a copy of the message, which waits for the stores that have just made it
fn send(cx: &mut Context<'_>, so: SocketId, mut message: Message<'_>) -> Result<(), Errno> {
    let socket = &cx.kernel.sockets[so];
    let conn = socket.unpcb().ok_or(Errno::EINVAL)?.conn;
    let (kind, state) = (socket.kind, socket.state);
    if let Some(m) = message.control.front_mut() {
        events::within(cx, so, "unp_internalize", |cx| rights::internalize(cx, m))?;
    }
    match kind {
        SockType::Dgram => send_datagram(cx, so, message),
        _ => send_stream(cx, so, state, conn, message),
    }
}

fn send_datagram(cx: &mut Context<'_>, so: SocketId, message: Message<'_>) -> Result<(), Errno> {
    let connected = unp(cx.kernel, so).conn.is_some();
    match message.nam {
        Some(_) if connected => return Err(Errno::EISCONN),
        Some(nam) => connect::connect(cx, so, nam)?,
        None => {}
    }
    let unp = unp(cx.kernel, so);
    let so2 = unp.conn.ok_or(Errno::ENOTCONN)?;
    let from = unp.addr.as_ref().map_or(NONAME.to_vec(), |addr| addr.bytes().to_vec());
    let control = Some(message.control).filter(|control| !control.is_empty());
    let fits = cx.kernel.sockets[so2].rcv.append_addr(&from, Some(message.m), control);
    events::note_with(cx.kernel, so2, "sbappendaddr", || if fits { "" } else { "no room" });
    if fits {
        sorwakeup(cx.kernel, so2);
    }
    if message.nam.is_some() {
        disconnect(cx.kernel, so);
    }
    if fits { Ok(()) } else { Err(Errno::ENOBUFS) }
}

#[inline]
fn send_stream(
    cx: &mut Context<'_>,
    so: SocketId,
    mut state: SockState,
    mut conn: Option<SocketId>,
    message: Message<'_>,
) -> Result<(), Errno> {
    if !state.contains(SockState::ISCONNECTED) {
        let nam = message.nam.ok_or(Errno::ENOTCONN)?;
        connect::connect(cx, so, nam)?;
        state = cx.kernel.sockets[so].state;
        conn = unp(cx.kernel, so).conn;
    }
    if state.contains(SockState::CANTSENDMORE) {
        return Err(Errno::EPIPE);
    }
    let so2 = conn.ok_or(Errno::ENOTCONN)?;
    let data_alone = message.control.is_empty();
    let receiver = &mut cx.kernel.sockets[so2];
    append(receiver, message.m, message.control);
    let gained = Gain::since_the_last_time(receiver);
    let awaited = receiver.somebody_cares(Side::Rcv);
    gained.charge(&mut cx.kernel.sockets[so].snd);
    if awaited || cx.kernel.observed() {
        events::note(cx.kernel, so2, if data_alone { "sbappend" } else { "sbappendcontrol" });
        sorwakeup(cx.kernel, so2);
    }
    Ok(())
}

/// Where control and data do not fit both vanish, rights and all, and the sender does not learn of it.
#[inline]
fn append(receiver: &mut Socket, data: Chain, control: Chain) {
    if control.is_empty() {
        receiver.rcv.append(data);
    } else {
        receiver.rcv.append_control(data, control);
    }
}
