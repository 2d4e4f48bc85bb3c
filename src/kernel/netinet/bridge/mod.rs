//! `--net host`: the internet domain over sockets of the host.
//!
//! A guest's socket has a socket of the host behind its control block.  What the socket layer has queued to
//! send goes there as far as the host takes it ([`mod@stream`], [`mod@datagram`]); what the host has received comes
//! into the receive buffer as far as that has room ([`service`]).  So everything above the protocol, sleeping
//! and selecting included, is the same as over the loopback; the scheduler polls the host's sockets instead
//! of delivering.
//!
//! 2.1 counterpart: none; the place of the network and its drivers.

mod datagram;
mod stream;

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use syscalls::errno::Errno;

pub(super) use datagram::usrreq as datagram;
pub(super) use stream::usrreq as stream;

use super::in_pcb::{InpcbId, List};
use super::{INADDR_ANY, Inet, SockaddrIn};
use crate::host::net::{Address, HostOption, Socket};
use crate::kernel::socket::socket::{SocketId, SocketOptions};
use crate::kernel::{Context, Kernel};

/// Largest piece that moves at once.
const PIECE: usize = 65536;
/// TCP_NODELAY among the bits of TCP (TF_NODELAY).
const TF_NODELAY: u32 = 0x4;

/// The host's part of a control block.
#[derive(Debug)]
pub struct Bridge {
    socket: Socket,
    /// The host said that nothing more will come.
    ended: bool,
    /// The next bytes that go are urgent.
    urgent: bool,
}

impl Bridge {
    fn new(socket: Socket) -> Box<Self> {
        Box::new(Self { socket, ended: false, urgent: false })
    }
}

impl Inet {
    /// Whether sockets are those of the host.
    pub(crate) fn is_bridged(&self) -> bool {
        self.bridged
    }

    fn bridge(&self, id: InpcbId) -> Option<&Bridge> {
        self.get(id)?.host.as_deref()
    }

    fn bridge_mut(&mut self, id: InpcbId) -> Option<&mut Bridge> {
        if self.has(id) { self.inp_mut(id).host.as_deref_mut() } else { None }
    }

    fn host(&self, id: InpcbId) -> Result<&Socket, Errno> {
        self.bridge(id).map(|bridge| &bridge.socket).ok_or(Errno::EINVAL)
    }
}

/// A socket of the host to wait for: whose it is, and whether for reading and for writing.
#[derive(Debug)]
pub struct Interest<'k> {
    /// The control block.
    pub id: InpcbId,
    /// The host's descriptor.
    pub fd: BorrowedFd<'k>,
    /// Something can be received or accepted.
    pub read: bool,
    /// Something can be sent, or the connection is there.
    pub write: bool,
}

/// The sockets of the host that something is expected of.
pub fn interests(kernel: &Kernel) -> Vec<Interest<'_>> {
    let inet = &kernel.inet;
    if !inet.bridged {
        return Vec::new();
    }
    let all = [List::Tcp, List::Udp].into_iter().flat_map(|list| inet.list(list));
    let wanted = all.filter_map(|id| {
        let fd = inet.bridge(id)?.socket.fd();
        let (read, write) = match inet.inp(id).tcp {
            Some(_) => stream::wants(kernel, id),
            None => datagram::wants(kernel, id),
        };
        Some(Interest { id, fd, read, write })
    });
    wanted.filter(|interest| interest.read || interest.write).collect()
}

/// Moves what can be moved between control blocks and their sockets of the host.
pub fn service(kernel: &mut Kernel, ids: impl IntoIterator<Item = InpcbId>) {
    // Nobody's process runs here; the first one lends its name.
    let Some(init) = kernel.init else { return };
    let mut cx = Context::new(kernel, init);
    for id in ids {
        let Some(inp) = cx.kernel.inet.get(id) else { continue };
        if inp.tcp.is_some() {
            stream::service(&mut cx, id);
        } else {
            datagram::receive(cx.kernel, id);
        }
    }
}

/// Looks at all sockets of the host without waiting, as a busy machine does now and then.
#[inline]
pub fn look(kernel: &mut Kernel) {
    if kernel.inet.bridged {
        look_at_all(kernel);
    }
}

fn look_at_all(kernel: &mut Kernel) {
    let ids: Vec<InpcbId> = interests(kernel).iter().map(|interest| interest.id).collect();
    service(kernel, ids);
}

/// Whether data of closed sockets still wait for the host.
pub fn is_sending(kernel: &Kernel) -> bool {
    interests(kernel).iter().any(|interest| {
        let so = kernel.inet.inp(interest.id).socket;
        kernel.sockets[so].snd.cc > 0
    })
}

/// Sets the host's options as the guest's are; what the host refuses stays as it is there.
pub(super) fn set_options(kernel: &Kernel, id: InpcbId) {
    let inet = &kernel.inet;
    let Ok(host) = inet.host(id) else { return };
    let inp = inet.inp(id);
    let options = kernel.sockets[inp.socket].options;
    let mut all = vec![
        HostOption::ReuseAddress(options.intersects(SocketOptions::REUSEADDR | SocketOptions::REUSEPORT)),
        HostOption::TypeOfService(inp.tos),
    ];
    // A host has no time to live of 0.
    all.extend((inp.ttl > 0).then_some(HostOption::TimeToLive(inp.ttl)));
    match &inp.tcp {
        Some(tp) => {
            all.push(HostOption::KeepAlive(options.contains(SocketOptions::KEEPALIVE)));
            all.push(HostOption::NoDelay(tp.flags & TF_NODELAY != 0));
        }
        None => all.push(HostOption::Broadcast(options.contains(SocketOptions::BROADCAST))),
    }
    for option in all {
        let _ = host.set(option);
    }
}

/// Gives a control block and its socket of the host an address.
fn bind(cx: &mut Context<'_>, id: InpcbId, to: Option<SockaddrIn>) -> Result<(), Errno> {
    let inp = cx.kernel.inet.inp(id);
    if inp.lport != 0 || inp.laddr != INADDR_ANY {
        return Err(Errno::EINVAL);
    }
    let (addr, port) = to.map_or((INADDR_ANY, 0), |sin| (sin.addr, sin.port));
    if (1..super::in_pcb::IPPORT_RESERVED).contains(&port) && cx.suser().is_err() {
        return Err(Errno::EACCES);
    }
    set_options(cx.kernel, id);
    cx.kernel.inet.host(id)?.bind((addr, port))?;
    learn_name(cx.kernel, id);
    Ok(())
}

/// Takes over the address that the host's socket has.
fn learn_name(kernel: &mut Kernel, id: InpcbId) {
    if let Ok((addr, port)) = kernel.inet.host(id).and_then(|host| Ok(host.name()?)) {
        let inp = kernel.inet.inp_mut(id);
        (inp.laddr, inp.lport) = (addr, port);
    }
}

/// The peer that a user names; no address means this machine (`in_pcbladdr`).
fn peer(sin: SockaddrIn) -> Result<Address, Errno> {
    if !sin.is_inet() {
        return Err(Errno::EAFNOSUPPORT);
    }
    if sin.port == 0 {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let addr = if sin.addr == INADDR_ANY { Ipv4Addr::LOCALHOST } else { sin.addr };
    Ok((addr, sin.port))
}

fn socket_of(kernel: &Kernel, id: InpcbId) -> SocketId {
    kernel.inet.inp(id).socket
}
