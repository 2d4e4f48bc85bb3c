//! Sockets: endpoints of communication, and pipes, which are connected streams.
//!
//! How the pieces fit, from the call downwards:
//!
//! - [`calls`] are the system calls; [`msg`] holds what the send and receive calls share, [`sys_socket`]
//!   what read, write and the other calls on descriptors do to a socket.
//! - [`operations`], [`sosend`], [`soreceive`], [`sockopt`] and [`accept`] are what can be done to a
//!   [`Socket`], whatever its protocol; [`state`] is its connection state machine.
//! - [`sockbuf`] and [`mbuf`] hold what waits in it, with the exact accounting that makes writers block.
//! - [`protosw`] is the switch between sockets and protocols: every request to a protocol goes through
//!   [`pr_usrreq`]; [`unix`], [`netinet`](crate::kernel::netinet) and the
//!   [routing sockets](crate::kernel::net::raw_usrreq) are the protocols; [`packet`] is what they do to chains.
//!
//! Closing travels downwards: the last reference to an open file closes the socket, the socket detaches
//! its protocol, and a socket that neither a file nor a protocol refers to is freed.  A blocked call is
//! data ([`Resume`]): one variant for each place where the original sleeps, holding what it keeps on its
//! kernel stack there.
//!
//! 2.1 counterpart: kern/uipc_*.c, kern/sys_socket.c.

pub mod accept;
pub mod calls;
pub mod chain;
mod cluster;
pub(in crate::kernel) mod events;
pub mod lent;
pub mod mbuf;
mod msg;
pub mod operations;
pub mod packet;
mod port;
pub mod protosw;
pub mod records;
pub mod sockbuf;
#[allow(clippy::module_inception)] // struct socket is looked for under its name
pub mod socket;
pub mod sockopt;
pub mod soreceive;
pub mod sosend;
pub mod state;
pub mod sys_socket;
pub mod unix;

use syscalls::errno::Errno;
use syscalls::result::{self, Ret};

pub use operations::{
    soabort, soaccept, sobind, soclose, soconnect, soconnect2, socreate, sodisconnect, sofree, solisten,
    sorflush, soshutdown,
};
pub use protosw::UserRequest;
use protosw::{Protosw, Usrreq};
pub use socket::{Layer, Side, Socket, SocketId};
pub use sockopt::{sogetopt, sosetopt};
pub use sys_socket::{soo_close, soo_ioctl, soo_read, soo_select, soo_stat, soo_write};

use crate::kernel::net::netisr;
use crate::kernel::netinet::tcp_timer;
use crate::kernel::synch::{self, Retval, Wake};
use crate::kernel::{Context, Kernel, Sysret};

/// What the guest's internet sockets reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Other guest processes.
    #[default]
    Loopback,
    /// Nothing: an unconfigured machine.
    None,
    /// What the host's sockets reach.
    Host,
}

/// A socket call that sleeps, with what the original keeps on its kernel stack there.
#[derive(Clone, Debug)]
pub enum Resume {
    /// Waiting to send.
    Send(Box<sosend::Sosend>, sosend::At),
    /// Waiting to receive.
    Receive(Box<soreceive::Soreceive>, soreceive::At),
    /// Waiting for a connection to accept.
    Accept(accept::Accept),
    /// Waiting for the connection that was asked for.
    Connect(SocketId),
    /// Closed, and waiting for the connection to end.
    Linger {
        /// The socket, as long as it exists.
        so: SocketId,
        /// How long to wait each time, in ticks.
        linger: i16,
    },
    /// Waiting for a free port; the call is made again.
    Port,
    /// Waiting for a reader to give back the lock, to throw away what waits to be read.
    Shutdown {
        /// The socket.
        so: SocketId,
        /// What to shut down, as bits.
        how: i32,
    },
}

impl From<Resume> for synch::Resume {
    fn from(resume: Resume) -> Self {
        Self::Socket(resume)
    }
}

/// Lets go of a socket whose close would wait, on behalf of one who does not.
pub fn stop_lingering(cx: &mut Context<'_>, resume: &synch::Resume) {
    if let synch::Resume::Socket(Resume::Linger { so, .. }) = resume {
        operations::end_lingering(cx, *so);
    }
}

/// Goes on with a call after its sleep.
pub fn resume(cx: &mut Context<'_>, state: Resume, wake: Wake) -> Sysret<Retval> {
    match state {
        Resume::Send(op, at) => sosend::resume(cx, op, at, wake).map(result::Int::regs),
        Resume::Receive(op, at) => soreceive::resume(cx, op, at, wake).map(result::Int::regs),
        Resume::Accept(op) => accept::resume_accept(cx, op, wake).map(result::Fd::regs),
        Resume::Connect(so) => accept::resume_connect(cx, so, wake).map(result::None::regs),
        Resume::Linger { so, linger } => {
            operations::resume_linger(cx, so, linger, wake).map(result::None::regs)
        }
        Resume::Port => port::resume(wake),
        Resume::Shutdown { so, how } => operations::resume_shutdown(cx, so, how).map(result::None::regs),
    }
}

/// Makes a request to a socket's protocol (`(*so->so_proto->pr_usrreq)(…)`).
pub fn pr_usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    let proto = cx.kernel.sockets[so].proto;
    proto_usrreq(cx, so, proto, request)
}

/// [`pr_usrreq`] of one who knows the protocol.
fn proto_usrreq(
    cx: &mut Context<'_>,
    so: SocketId,
    proto: &Protosw,
    request: UserRequest<'_>,
) -> Result<(), Errno> {
    make_usrreq(cx, so, proto, || request)
}

/// [`proto_usrreq`] of a request that is made where the protocol takes it from, not copied there.
#[inline(always)]
fn make_usrreq<'a>(
    cx: &mut Context<'_>,
    so: SocketId,
    proto: &Protosw,
    request: impl FnOnce() -> UserRequest<'a>,
) -> Result<(), Errno> {
    let usrreq = proto.usrreq.ok_or(Errno::EOPNOTSUPP)?;
    if cx.kernel.observed() {
        return observed_usrreq(cx, so, usrreq, request());
    }
    let done = usrreq(cx, so, request());
    netisr::run(cx.kernel);
    done
}

#[cold]
fn observed_usrreq(
    cx: &mut Context<'_>,
    so: SocketId,
    usrreq: Usrreq,
    request: UserRequest<'_>,
) -> Result<(), Errno> {
    let name = request.name();
    events::begin(cx.kernel, so, name);
    let result = usrreq(cx, so, request);
    events::end(cx.kernel, so, name, result);
    netisr::run(cx.kernel);
    result
}

/// Has every protocol give up what it can do without (`m_reclaim`).
pub fn reclaim(kernel: &mut Kernel) {
    for pr in protosw::all() {
        if let Some(drain) = pr.drain {
            drain(kernel);
        }
    }
}

/// Runs every protocol's 200 ms timer (`pffasttimo`).
pub fn fast_timeout(kernel: &mut Kernel) {
    tcp_timer::ticked(kernel, true);
    for pr in protosw::all() {
        if let Some(fasttimo) = pr.fasttimo {
            fasttimo(kernel);
        }
    }
    netisr::run(kernel);
}

/// Runs every protocol's 500 ms timer (`pfslowtimo`).
pub fn slow_timeout(kernel: &mut Kernel) {
    tcp_timer::ticked(kernel, false);
    for pr in protosw::all() {
        if let Some(slowtimo) = pr.slowtimo {
            slowtimo(kernel);
        }
    }
    netisr::run(kernel);
}
