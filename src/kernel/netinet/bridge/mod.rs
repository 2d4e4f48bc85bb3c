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
pub(super) mod icmp;
pub(super) mod interface;
pub mod ports;
mod record;
mod stream;
mod unreached;

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use syscalls::errno::Errno;

pub(super) use datagram::usrreq as datagram;
pub(super) use stream::usrreq as stream;

use super::in_pcb::{InpcbId, List};
use super::tcp_fsm::TcpState;
use super::{INADDR_ANY, Inet, SockaddrIn};
use crate::host::net::{Address, HostOption, Socket};
use crate::host::tape::{List as Answers, Question};
use crate::host::watch::{Interest, Watch};
use crate::kernel::shared::Alone;
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
    /// Nothing more was there when the host was asked last.
    drained: bool,
    /// An urgent byte that belongs into the stream, and how many bytes come before it.
    inline: Option<(u32, u8)>,
    /// What is waited for, and whether that is to be looked at again.
    interest: Interest,
    noted: bool,
    /// The guest's number in echo requests, or the port that it sends datagrams from by itself.
    number: [u8; 2],
    /// How far a record of it has come.
    flow: record::Flow,
}

/// Which sockets of the host are waited for.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    watch: Alone<Option<Watch>>,
    /// How many are waited for.
    count: usize,
    /// Those of which that may have changed.
    noted: Vec<InpcbId>,
    /// Those for whose data there was no room.
    full: Vec<InpcbId>,
}

impl Bridge {
    fn new(socket: Socket) -> Box<Self> {
        Box::new(Self {
            socket,
            ended: false,
            urgent: false,
            drained: false,
            inline: None,
            interest: Interest::default(),
            noted: false,
            number: [0; 2],
            flow: record::Flow::default(),
        })
    }
}

impl Inet {
    /// Whether sockets are those of the host.
    pub(crate) fn is_bridged(&self) -> bool {
        self.bridged
    }

    /// Whether any socket is one of the host.
    pub(in crate::kernel) fn has_host_sockets(&self) -> bool {
        self.pcbs.iter().any(|(_, inp)| inp.host.is_some())
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

/// Has what is waited for be looked at again: after whatever may change it.
fn note(kernel: &mut Kernel, id: InpcbId) {
    let Some(bridge) = kernel.inet.bridge_mut(id) else { return };
    if !std::mem::replace(&mut bridge.noted, true) {
        kernel.inet.watched.noted.push(id);
    }
}

/// A control block goes: nobody waits for its socket any more.
pub(super) fn forget(kernel: &mut Kernel, bridge: &Bridge) {
    if bridge.interest != Interest::default() {
        kernel.inet.watched.count = kernel.inet.watched.count.saturating_sub(1);
    }
}

/// Whether a socket is waited for, and whether it has data for which there is no room.
fn wants(kernel: &Kernel, id: InpcbId) -> (Interest, bool) {
    match kernel.inet.inp(id).tcp {
        Some(_) => stream::wants(kernel, id),
        None => datagram::wants(kernel, id),
    }
}

/// Brings what is waited for up to date, at a cost that depends on the sockets that something happened to.
pub fn settle(kernel: &mut Kernel) {
    let watched = &mut kernel.inet.watched;
    let mut ids = std::mem::take(&mut watched.noted);
    ids.append(&mut watched.full);
    if ids.is_empty() {
        return;
    }
    if watched.watch.is_none() {
        *watched.watch = Watch::new().ok();
    }
    for id in ids {
        if kernel.inet.bridge(id).is_none() {
            continue;
        }
        let (now, full) = wants(kernel, id);
        if full {
            kernel.inet.watched.full.push(id);
        }
        let token = kernel.inet.inp(id).sequence;
        let inet = &mut kernel.inet;
        let (watched, pcbs) = (&mut inet.watched, &mut inet.pcbs);
        let Some(bridge) = pcbs.get_mut(id).and_then(|inp| inp.host.as_deref_mut()) else { continue };
        bridge.noted = false;
        let before = std::mem::replace(&mut bridge.interest, now);
        if before == now {
            continue;
        }
        let none = Interest::default();
        watched.count = watched.count + usize::from(before == none) - usize::from(now == none);
        if let (Some(watch), Some(fd)) = (&*watched.watch, bridge.socket.fd()) {
            // A socket that is already broken is told of by whoever uses it next.
            let _ = watch.set(fd, token, before, now);
        }
    }
}

/// What can be read where something can be done for a socket; none where nothing is waited for.
pub fn waits_for(kernel: &Kernel) -> Option<BorrowedFd<'_>> {
    let watched = &kernel.inet.watched;
    watched.watch.as_ref().filter(|_| watched.count > 0).map(Watch::fd)
}

/// Moves what can be moved between control blocks and their sockets of the host.
pub fn service(kernel: &mut Kernel) {
    // Nobody's process runs here; the first one lends its name.
    let Some(init) = kernel.init else { return };
    settle(kernel);
    let watched = &kernel.inet.watched;
    if watched.count == 0 {
        return;
    }
    let Answers(ready) = kernel.tape.ask(Question::Ready, Answers::default(), || {
        Answers(watched.watch.as_ref().map(Watch::ready).unwrap_or_default())
    });
    let mut cx = Context::new(kernel, init);
    for ready in ready {
        let Some(id) = cx.kernel.inet.numbered(ready.token) else { continue };
        let Some(bridge) = cx.kernel.inet.bridge_mut(id) else { continue };
        bridge.drained &= !ready.read;
        let inp = cx.kernel.inet.inp(id);
        if inp.tcp.is_some() {
            if ready.urgent {
                stream::urgent(cx.kernel, id);
            }
            stream::service(&mut cx, id);
        } else if inp.list == List::Raw {
            icmp::receive(cx.kernel, id);
        } else {
            datagram::receive(cx.kernel, id);
        }
        note(cx.kernel, id);
    }
}

/// Looks at the sockets of the host without waiting, as a busy machine does now and then.
#[inline]
pub fn look(kernel: &mut Kernel) {
    if kernel.inet.bridged {
        service(kernel);
    }
}

/// Sockets that were a recording's have no peers any more: whoever has one is told.
pub fn lose_all(kernel: &mut Kernel) -> usize {
    let streams: Vec<InpcbId> = kernel.inet.list(List::Tcp).into_iter().collect();
    let lost =
        |kernel: &Kernel, id| kernel.inet.bridge(id).is_some_and(|bridge| bridge.socket.fd().is_none());
    let gone: Vec<InpcbId> = streams.into_iter().filter(|&id| lost(kernel, id)).collect();
    for &id in &gone {
        stream::lose(kernel, id);
    }
    gone.len()
}

/// Whether data of closed sockets still wait for the host.
pub fn is_sending(kernel: &Kernel) -> bool {
    kernel.inet.bridged
        && kernel.inet.list(List::Tcp).into_iter().any(|id| {
            let so = kernel.inet.inp(id).socket;
            let connected = kernel.inet.tp(id).is_some_and(|tp| tp.state >= TcpState::Established);
            connected && kernel.sockets[so].snd.cc > 0
        })
}

/// The buffer for what comes, which keeps its bytes: nobody pays for making them zero.
fn piece(kernel: &mut Kernel) -> Vec<u8> {
    let mut buffer = std::mem::take(&mut kernel.inet.piece);
    if buffer.len() < PIECE {
        buffer.resize(PIECE, 0);
    }
    buffer
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
        host.set(option);
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
    ports::bind(cx.kernel, id, (addr, port))?;
    learn_name(cx.kernel, id);
    note(cx.kernel, id);
    Ok(())
}

/// Takes over the address that the host's socket has.
fn learn_name(kernel: &mut Kernel, id: InpcbId) {
    let udp = kernel.inet.inp(id).tcp.is_none();
    if let Ok((addr, port)) = kernel.inet.host(id).and_then(|host| Ok(ports::name(kernel, udp, host)?)) {
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
