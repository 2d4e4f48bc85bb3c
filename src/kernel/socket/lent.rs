//! Sockets of the host that a guest may connect to by a name: streams that were lent, such as that of a display.
//!
//! Who connects gets a socket of the kernel's own as its peer; what comes to that one goes to the host, and what the host
//! sends comes back by it.  On the way a [`Filter`] may change the bytes.  So buffers, sleeping and selecting are those of
//! the local domain.  Nothing of the host is reached but the sockets that were lent, and those in trees that the guest
//! sees where that is wished.
//!
//! Must not know what the bytes mean.  2.1 counterpart: none; a server in another process.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use syscalls::errno::Errno;
use syscalls::flags::{Domain as Family, MsgFlags, SockType};

use super::chain::Chain;
use super::mbuf::{Mbuf, MbufType};
use super::operations::{soclose, socreate};
use super::protosw::{Message, UserRequest};
use super::records::Records;
use super::socket::{SockState, SocketId};
use super::unix;
use crate::host::net::Local;
use crate::host::tape::Tape;
use crate::kernel::shared::Alone;
use crate::kernel::{Context, Kernel};

/// Largest piece that moves at once.
const PIECE: usize = 16384;
/// What may wait for one side before the other one is not read any more.
const MOST_WAITING: usize = 256 << 10;

/// What changes the bytes of one connection on their way.
pub trait Filter: std::fmt::Debug {
    /// What the guest has sent: what the host gets of it.
    fn to_host(&mut self, bytes: &[u8]) -> Vec<u8>;
    /// What the host has sent: what the guest gets of it.
    fn to_guest(&mut self, bytes: &[u8]) -> Vec<u8>;
}

/// A name, and what is behind it.
#[derive(Clone, Debug)]
pub struct Name {
    /// The guest's path.
    pub guest: Vec<u8>,
    /// The host's socket.
    pub host: PathBuf,
    /// Makes the filter of a connection.
    pub filter: fn(&[u8]) -> Box<dyn Filter>,
    /// What the filter is made with.
    pub secret: Vec<u8>,
}

/// All names and connections.
#[derive(Clone, Debug, Default)]
pub struct Lent {
    names: Vec<Name>,
    connections: Alone<Vec<Connection>>,
    /// Sockets of the host in trees that the guest sees may be connected to by their names there.
    pub outside: bool,
}

/// Changes nothing.
#[derive(Debug)]
pub struct Through;

impl Filter for Through {
    fn to_host(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn to_guest(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

#[derive(Debug)]
struct Connection {
    /// The kernel's own end.
    so: SocketId,
    /// Each message goes whole, one way.
    datagrams: bool,
    host: Local,
    filter: Box<dyn Filter>,
    /// For the host, and for the guest.
    out: Vec<u8>,
    back: Vec<u8>,
    /// The host has ended.
    ended: bool,
    /// The guest has ended, and that was said.
    finished: bool,
}

impl Lent {
    /// Lends a name.
    pub fn add(&mut self, name: Name) {
        self.names.push(name);
    }

    /// Whether there is a connection.
    pub(in crate::kernel) fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Whether a path is lent.
    pub fn has(&self, path: &[u8]) -> bool {
        self.names.iter().any(|name| name.guest == path)
    }
}

/// Connects a socket to what a name stands for.
pub fn connect(cx: &mut Context<'_>, so: SocketId, path: &[u8]) -> Result<(), Errno> {
    let Some(name) = cx.kernel.lent.names.iter().find(|name| name.guest == path) else {
        return Err(Errno::ECONNREFUSED);
    };
    let host = Local::connect(&cx.kernel.tape, &name.host).map_err(|_| Errno::ECONNREFUSED)?;
    let filter = (name.filter)(&name.secret);
    begin(cx, so, host, filter)
}

/// Connects a socket to one of the host, of the same type.
pub fn begin(cx: &mut Context<'_>, so: SocketId, host: Local, filter: Box<dyn Filter>) -> Result<(), Errno> {
    let kind = cx.kernel.sockets[so].kind;
    let own = socreate(cx, Family::Unix, kind, 0)?;
    unix::connect2(cx.kernel, so, own)?;
    cx.kernel.lent.connections.push(Connection {
        so: own,
        datagrams: kind == SockType::Dgram,
        host,
        filter,
        out: Vec::new(),
        back: Vec::new(),
        ended: false,
        finished: false,
    });
    Ok(())
}

/// The host's sockets that something is expected of: which, and whether for reading and for writing.
pub fn interests(kernel: &Kernel) -> Vec<(usize, BorrowedFd<'_>, bool, bool)> {
    let all = kernel.lent.connections.iter().enumerate();
    let wanted = all.filter_map(|(at, connection)| {
        let read = !connection.datagrams && !connection.ended && connection.back.len() < MOST_WAITING;
        let waits = connection.datagrams && kernel.sockets[connection.so].rcv.cc > 0;
        Some((at, connection.host.fd()?, read, waits || !connection.out.is_empty()))
    });
    wanted.filter(|(_, _, read, write)| *read || *write).collect()
}

/// What was a recording's has no peer any more: whoever has it is told.  Gives how many there were.
pub fn lose_all(kernel: &mut Kernel) -> usize {
    let gone = kernel.lent.connections.iter_mut().filter(|connection| connection.host.fd().is_none());
    let lost = gone.map(|connection| connection.ended = true).count();
    look(kernel);
    lost
}

/// Moves what can be moved.
#[inline]
pub fn look(kernel: &mut Kernel) {
    if !kernel.lent.connections.is_empty() {
        service(kernel);
    }
}

/// Open files that were sent along do not pass: nobody has them afterwards.
fn discard(cx: &mut Context<'_>, m: Mbuf) {
    if m.rights.is_some() {
        let mut records = Records::default();
        records.push_back(Chain::from(m));
        unix::dispose(cx, records);
    }
}

/// Moves what can be moved on all connections; those that have ended go.
pub fn service(kernel: &mut Kernel) {
    // Nobody's process runs here; the first one lends its name.
    let Some(init) = kernel.init else { return };
    let mut cx = Context::new(kernel, init);
    let mut connections = std::mem::take(&mut cx.kernel.lent.connections);
    connections.retain_mut(|connection| {
        let goes_on = connection.service(&mut cx);
        if !goes_on {
            // Nobody can hear why it could not be closed.
            let _ = soclose(&mut cx, connection.so);
        }
        goes_on
    });
    connections.append(&mut cx.kernel.lent.connections);
    cx.kernel.lent.connections = connections;
}

impl Connection {
    /// Whether it goes on.
    fn service(&mut self, cx: &mut Context<'_>) -> bool {
        if self.datagrams {
            return self.pass_messages(cx);
        }
        self.take(cx);
        self.write(&cx.kernel.tape);
        if !self.read(&cx.kernel.tape) || !self.give(cx) {
            return false;
        }
        let state = cx.kernel.sockets[self.so].state;
        let deaf = !state.contains(SockState::ISCONNECTED) || state.contains(SockState::CANTRCVMORE);
        if deaf && self.out.is_empty() && cx.kernel.sockets[self.so].rcv.cc == 0 && !self.finished {
            self.finished = true;
            let _ = self.host.shut_down();
        }
        let gone = !state.contains(SockState::ISCONNECTED) && self.finished;
        !(gone || self.ended && self.back.is_empty())
    }

    /// Gives the host the messages that it takes; false where nobody will send more, or the host is gone.
    fn pass_messages(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(record) = cx.kernel.sockets[self.so].rcv.records.front() {
            let data = record.iter().filter(|m| m.kind == MbufType::Data);
            let message: Vec<u8> = data.flat_map(|m| m.bytes().iter().copied()).collect();
            match self.host.send(&cx.kernel.tape, &self.filter.to_host(&message)) {
                Err(error) if error.would_block() => return true,
                Err(_) => return false,
                Ok(_) => {
                    let mut over = false;
                    while !over && let Some((m, last)) = cx.kernel.sockets[self.so].rcv.take_first() {
                        over = last;
                        discard(cx, m);
                    }
                }
            }
        }
        cx.kernel.sockets[self.so].unpcb().is_some_and(|unp| !unp.refs.is_empty())
    }

    /// Takes what the guest has sent.
    fn take(&mut self, cx: &mut Context<'_>) {
        let mut bytes = Vec::new();
        while self.out.len() + bytes.len() < MOST_WAITING
            && let Some((m, _)) = cx.kernel.sockets[self.so].rcv.take_first()
        {
            match m.kind {
                MbufType::Data => bytes.extend(m.bytes()),
                _ => discard(cx, m),
            }
        }
        if !bytes.is_empty() {
            self.out.extend(self.filter.to_host(&bytes));
            // The sender's limits have room again.
            let _ = unix::usrreq(cx, self.so, UserRequest::Rcvd { flags: MsgFlags::empty() });
        }
    }

    /// Gives the host what it takes.
    fn write(&mut self, tape: &Tape) {
        while !self.out.is_empty() {
            match self.host.send(tape, &self.out) {
                Ok(length) => drop(self.out.drain(..length.min(self.out.len()))),
                Err(error) if error.would_block() => return,
                Err(_) => {
                    self.out.clear();
                    self.ended = true;
                }
            }
        }
    }

    /// Takes what the host has sent; false where the connection is broken.
    fn read(&mut self, tape: &Tape) -> bool {
        let mut piece = [0; PIECE];
        while !self.ended && self.back.len() < MOST_WAITING {
            match self.host.receive(tape, &mut piece) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    let bytes = self.filter.to_guest(piece.get(..length).unwrap_or_default());
                    self.back.extend(bytes);
                }
                Err(error) if error.would_block() => return true,
                Err(_) => self.ended = true,
            }
        }
        true
    }

    /// Gives the guest what it has room for; false where it has gone.
    fn give(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.back.is_empty() {
            let room = usize::try_from(cx.kernel.sockets[self.so].snd.space()).unwrap_or(0);
            let length = self.back.len().min(room);
            if length == 0 {
                return cx.kernel.sockets[self.so].state.contains(SockState::ISCONNECTED);
            }
            let m = Chain::of_packet(self.back.get(..length).unwrap_or_default());
            let message = Message { m, nam: None, control: Chain::default() };
            if unix::usrreq(cx, self.so, UserRequest::Send(message)).is_err() {
                return false;
            }
            self.back.drain(..length);
        }
        true
    }
}
