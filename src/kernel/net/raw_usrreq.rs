//! Raw sockets of a family without addresses of its own: routing sockets.
//!
//! 2.1 counterpart: net/raw_usrreq.c, net/raw_cb.c, and the rows of net/rtsock.c (routesw, routedomain).

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, SockType};

use super::{rtsock, rtsysctl};
use crate::kernel::socket::SocketId;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::events;
use crate::kernel::socket::operations::free;
use crate::kernel::socket::protosw::{Domain, ProtoFlags, Protosw, UserRequest};
use crate::kernel::socket::socket::{Pcb, SockState, SocketOptions};
use crate::kernel::socket::state::{socantsendmore, soisconnected, soisdisconnected, soreserve, sorwakeup};
use crate::kernel::{Context, Kernel};

/// Room of a raw socket in each direction (RAWSNDQ, RAWRCVQ).
const RAW_SPACE: u32 = 8192;
/// The address that all messages come from: a length and a family.
const ROUTE_SRC: [u8; 2] = [2, 17];

static PROTOSW: [Protosw; 1] = [Protosw {
    kind: Some(SockType::Raw),
    family: Family::Route,
    flags: ProtoFlags::ATOMIC.union(ProtoFlags::ADDR),
    output: Some(rtsock::route_output),
    usrreq: Some(usrreq),
    sysctl: Some(rtsysctl::sysctl_rtable),
    ..Protosw::NONE
}];

/// The domain of routing sockets.
pub static DOMAIN: Domain = Domain {
    family: Family::Route,
    name: "route",
    init: None,
    externalize: None,
    dispose: None,
    rtattach: None,
    protosw: &PROTOSW,
};

/// A control block (`struct rawcb`).
#[derive(Clone, Copy, Debug)]
pub struct Rawcb {
    /// The protocol that is listened to; 0 for all.
    pub protocol: i32,
}

/// Gives a message to every socket that listens to its protocol but one (`raw_input`).
pub fn raw_input(kernel: &mut Kernel, m: Chain, protocol: u8, except: Option<SocketId>) {
    let listens = |so: &SocketId| match kernel.sockets[*so].pcb {
        Some(Pcb::Raw(rcb)) => rcb.protocol == 0 || rcb.protocol == i32::from(protocol),
        _ => false,
    };
    let all = kernel.net.rawcb.iter().copied();
    let mut listeners: Vec<SocketId> = all.filter(|so| Some(*so) != except && listens(so)).collect();
    let last = listeners.pop();
    for so in listeners {
        let copy = m.copy_all();
        deliver(kernel, so, copy);
    }
    if let Some(last) = last {
        deliver(kernel, last, m);
    }
}

fn deliver(kernel: &mut Kernel, so: SocketId, m: Chain) {
    let fits = kernel.sockets[so].rcv.append_addr(&ROUTE_SRC, Some(m), None);
    events::note_with(kernel, so, "sbappendaddr", || if fits { "" } else { "no room" });
    if fits {
        sorwakeup(kernel, so);
    }
}

/// Serves the requests of the socket layer (`route_usrreq`, `raw_usrreq`).
fn usrreq(cx: &mut Context<'_>, so: SocketId, request: UserRequest<'_>) -> Result<(), Errno> {
    if let UserRequest::Attach { protocol } = request {
        return attach(cx.kernel, so, protocol);
    }
    let attached = matches!(cx.kernel.sockets[so].pcb, Some(Pcb::Raw(_)));
    match request {
        UserRequest::Control { .. } => Err(Errno::EOPNOTSUPP),
        UserRequest::Send(ref sent) if sent.control.iter().any(|m| !m.is_empty()) => Err(Errno::EOPNOTSUPP),
        _ if !attached => Err(Errno::EINVAL),
        UserRequest::Detach => {
            detach(cx.kernel, so);
            Ok(())
        }
        UserRequest::Bind { .. } | UserRequest::Connect { .. } | UserRequest::Sockaddr { .. } => {
            Err(Errno::EINVAL)
        }
        UserRequest::Disconnect => {
            soisdisconnected(cx.kernel, so);
            Ok(())
        }
        UserRequest::Abort => {
            detach(cx.kernel, so);
            Ok(())
        }
        UserRequest::Shutdown => {
            socantsendmore(cx.kernel, so);
            Ok(())
        }
        UserRequest::Send(sent) if sent.nam.is_some() => Err(Errno::EISCONN),
        UserRequest::Send(sent) => {
            events::within(cx, so, "route_output", |cx| rtsock::route_output(cx, so, sent))
        }
        UserRequest::Sense(_) => Ok(()),
        UserRequest::Peeraddr { nam } => {
            nam.assign(&ROUTE_SRC);
            Ok(())
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn attach(kernel: &mut Kernel, so: SocketId, protocol: i32) -> Result<(), Errno> {
    let socket = &mut kernel.sockets[so];
    if !socket.state.contains(SockState::PRIV) {
        return Err(Errno::EACCES);
    }
    soreserve(socket, RAW_SPACE, RAW_SPACE)?;
    socket.pcb = Some(Pcb::Raw(Rawcb { protocol }));
    kernel.net.rawcb.insert(0, so);
    kernel.net.listeners += 1;
    soisconnected(kernel, so);
    kernel.sockets[so].options.insert(SocketOptions::USELOOPBACK);
    Ok(())
}

fn detach(kernel: &mut Kernel, so: SocketId) {
    kernel.net.rawcb.retain(|&other| other != so);
    kernel.net.listeners = kernel.net.listeners.saturating_sub(1);
    kernel.sockets[so].pcb = None;
    free(kernel, so);
}
