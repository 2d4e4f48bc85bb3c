//! The door to the host's network: TCP and UDP sockets that never wait.
//!
//! Where the host would wait it says so, and the scheduler polls.  Only internet addresses of version 4
//! pass.
//!
//! Must not know sockets of a guest.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno as Linux;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, SocketType, ipproto,
    sockopt,
};

use super::error::{HostError, HostResult};
use super::fs::{HostKind, Place};
use super::tape::{Answer, Question, Tape};

/// The number of the network among streams.
const NETWORK: u8 = 4;

/// An address and a port.
pub type Address = (Ipv4Addr, u16);

/// A socket of the host; where a recording is played, nothing.
#[derive(Debug)]
pub struct Socket {
    fd: Option<OwnedFd>,
}

/// Options that a guest's socket has in common with the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostOption {
    /// The local address may be used again.
    ReuseAddress(bool),
    /// Broadcasts may be sent.
    Broadcast(bool),
    /// Keep connections alive.
    KeepAlive(bool),
    /// Send small packets at once.
    NoDelay(bool),
    /// Time to live of packets.
    TimeToLive(u8),
    /// Type of service of packets.
    TypeOfService(u8),
}

/// What somebody is told whose connection was one of a recording.
const GONE: HostError = HostError(Linux::CONNRESET);

impl Socket {
    /// A stream.
    pub fn stream(tape: &Tape) -> HostResult<Self> {
        Self::new(tape, SocketType::STREAM, ipproto::TCP)
    }

    /// A socket for datagrams.
    pub fn datagram(tape: &Tape) -> HostResult<Self> {
        Self::new(tape, SocketType::DGRAM, ipproto::UDP)
    }

    /// A socket for echo requests, which hosts have for some of their users.
    pub fn icmp(tape: &Tape) -> HostResult<Self> {
        Self::new(tape, SocketType::DGRAM, ipproto::ICMP)
    }

    fn new(tape: &Tape, kind: SocketType, protocol: net::Protocol) -> HostResult<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let mut fd = None;
        tape.ask(Question::Network, Ok(()), || {
            fd = Some(net::socket_with(AddressFamily::INET, kind, flags, Some(protocol))?);
            Ok(())
        })?;
        Ok(Self { fd })
    }

    /// The descriptor, for polling, if there is one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    fn there(&self) -> HostResult<&OwnedFd> {
        self.fd.as_ref().ok_or(GONE)
    }

    fn asks<T: Answer + PartialEq>(
        &self,
        tape: &Tape,
        usual: T,
        ask: impl FnOnce(&OwnedFd) -> HostResult<T>,
    ) -> HostResult<T> {
        tape.ask(Question::Network, Ok(usual), || ask(self.there()?))
    }

    /// Gives it an address.
    pub fn bind(&self, tape: &Tape, to: Address) -> HostResult<()> {
        self.asks(tape, (), |fd| Ok(net::bind(fd, &v4(to))?))
    }

    /// Waits for connections, so many at once.
    pub fn listen(&self, tape: &Tape, backlog: i32) -> HostResult<()> {
        self.asks(tape, (), |fd| Ok(net::listen(fd, backlog)?))
    }

    /// Takes a connection; `EAGAIN` where none waits.
    pub fn accept(&self, tape: &Tape) -> HostResult<(Self, Address)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let mut new = None;
        let from = tape.ask(Question::Receive, Err(HostError::WOULD_BLOCK), || {
            let (fd, from) = net::acceptfrom_with(self.there()?, flags)?;
            new = Some(fd);
            Ok(address(from))
        })?;
        Ok((Self { fd: new }, from))
    }

    /// Begins to connect; true where that is done at once.
    pub fn connect(&self, tape: &Tape, to: Address) -> HostResult<bool> {
        self.asks(tape, true, |fd| match net::connect(fd, &v4(to)) {
            Ok(()) => Ok(true),
            Err(Linux::INPROGRESS | Linux::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        })
    }

    /// Forgets the peer of a socket for datagrams.
    pub fn disconnect(&self, tape: &Tape) -> HostResult<()> {
        self.asks(tape, (), |fd| Ok(net::connect_unspec(fd)?))
    }

    /// What became of a connection that was begun: true when it is there, false while it is not.
    pub fn connected(&self, tape: &Tape) -> HostResult<bool> {
        self.asks(tape, false, |fd| {
            sockopt::socket_error(fd)??;
            match net::getpeername(fd) {
                Ok(_) => Ok(true),
                Err(Linux::NOTCONN) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Sends to the peer; gives how much went.
    pub fn send(&self, tape: &Tape, data: &[u8], urgent: bool) -> HostResult<usize> {
        let flags = if urgent { SendFlags::OOB } else { SendFlags::empty() };
        let sent = tape.ask(Question::Send, Ok(data.len()), || {
            Ok(net::send(self.there()?, data, flags | SendFlags::NOSIGNAL)?)
        })?;
        let sent = sent.min(data.len());
        tape.gave(NETWORK, data.get(..sent).unwrap_or_default());
        Ok(sent)
    }

    /// Sends a datagram to an address.
    pub fn send_to(&self, tape: &Tape, data: &[u8], to: Address) -> HostResult<usize> {
        tape.gave(NETWORK, data);
        tape.ask(Question::Send, Ok(data.len()), || {
            Ok(net::sendto(self.there()?, data, SendFlags::NOSIGNAL, &v4(to))?)
        })
    }

    /// Receives what is there; 0 at the end of a stream, `EAGAIN` where nothing is there yet.
    pub fn receive(&self, tape: &Tape, buffer: &mut [u8]) -> HostResult<usize> {
        if !tape.is_on() {
            let (_, length) = net::recv(self.there()?, buffer, RecvFlags::empty())?;
            return Ok(length);
        }
        let bytes = tape.ask(Question::Receive, Err(HostError::WOULD_BLOCK), || {
            let (_, length) = net::recv(self.there()?, &mut *buffer, RecvFlags::empty())?;
            Ok(buffer.get(..length).unwrap_or_default().to_vec())
        })?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok(bytes.len().min(buffer.len()))
    }

    /// Bytes that can be received; before the mark, where urgent data were announced that are not yet passed.
    pub fn waiting(&self, tape: &Tape) -> HostResult<u32> {
        self.asks(tape, 0, |fd| Ok(u32::try_from(rustix::io::ioctl_fionread(fd)?).unwrap_or(u32::MAX)))
    }

    /// The urgent byte, if there is one that was not taken.
    pub fn urgent(&self, tape: &Tape) -> Option<u8> {
        tape.ask(Question::Receive, None, || {
            let mut byte = [0];
            let (_, length) = net::recv(self.there().ok()?, &mut byte, RecvFlags::OOB).ok()?;
            (length == 1).then_some(byte[0])
        })
    }

    /// Receives a datagram and its sender.
    pub fn receive_from(&self, tape: &Tape, buffer: &mut [u8]) -> HostResult<(usize, Address)> {
        let (bytes, from) = tape.ask(Question::Receive, Err(HostError::WOULD_BLOCK), || {
            let room = buffer.len();
            let (_, length, from) = net::recvfrom(self.there()?, &mut *buffer, RecvFlags::empty())?;
            Ok((buffer.get(..length.min(room)).unwrap_or_default().to_vec(), address(from)))
        })?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok((bytes.len().min(buffer.len()), from))
    }

    /// Sends the end of the stream.
    pub fn shut_down(&self, tape: &Tape) -> HostResult<()> {
        self.asks(tape, (), |fd| Ok(net::shutdown(fd, Shutdown::Write)?))
    }

    /// Lets the end of the socket be a reset.
    pub fn reset_at_close(&self) -> HostResult<()> {
        Ok(sockopt::set_socket_linger(self.there()?, Some(Duration::ZERO))?)
    }

    /// Its own address.
    pub fn name(&self, tape: &Tape) -> HostResult<Address> {
        let usual = (Ipv4Addr::UNSPECIFIED, 0);
        self.asks(tape, usual, |fd| Ok(address(Some(net::getsockname(fd)?))))
    }

    /// Sets an option; what the host refuses stays as it is there.
    pub fn set(&self, option: HostOption) {
        let Some(fd) = &self.fd else { return };
        let _ = match option {
            HostOption::ReuseAddress(on) => sockopt::set_socket_reuseaddr(fd, on),
            HostOption::Broadcast(on) => sockopt::set_socket_broadcast(fd, on),
            HostOption::KeepAlive(on) => sockopt::set_socket_keepalive(fd, on),
            HostOption::NoDelay(on) => sockopt::set_tcp_nodelay(fd, on),
            HostOption::TimeToLive(ttl) => sockopt::set_ip_ttl(fd, ttl.into()),
            HostOption::TypeOfService(tos) => sockopt::set_ip_tos(fd, tos),
        };
    }
}

fn v4((address, port): Address) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn address(any: Option<SocketAddrAny>) -> Address {
    match any.and_then(|any| SocketAddr::try_from(any).ok()) {
        Some(SocketAddr::V4(v4)) => (*v4.ip(), v4.port()),
        _ => (Ipv4Addr::UNSPECIFIED, 0),
    }
}

/// Whether the host lets sockets be made at all.
pub fn available() -> Result<(), HostError> {
    Socket::stream(&Tape::default()).map(drop)
}

/// A stream to a socket of the host that has a name; where a recording is played, nothing.
#[derive(Debug)]
pub struct Local {
    fd: Option<OwnedFd>,
}

impl Local {
    fn ask(tape: &Tape, connect: impl FnOnce() -> HostResult<OwnedFd>) -> HostResult<Self> {
        let mut fd = None;
        tape.ask(Question::Lent, Ok(()), || {
            fd = Some(connect()?);
            Ok(())
        })?;
        Ok(Self { fd })
    }

    /// Connects to a name.
    pub fn connect(tape: &Tape, path: &std::path::Path) -> HostResult<Self> {
        Self::ask(tape, || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let fd = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            net::connect(&fd, &net::SocketAddrUnix::new(path)?)?;
            Ok(fd)
        })
    }

    /// Connects to what is held: a socket, of anything else `ENOTSOCK`.  Where the host has no names for what is
    /// held there is no way.
    pub fn to(tape: &Tape, place: &Place, datagrams: bool) -> HostResult<Self> {
        Self::ask(tape, || {
            if place.stat()?.kind != HostKind::Socket {
                return Err(Linux::NOTSOCK.into());
            }
            let reach = place.reach()?;
            if !reach.is_link() {
                return Err(Linux::OPNOTSUPP.into());
            }
            let kind = if datagrams { SocketType::DGRAM } else { SocketType::STREAM };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let fd = net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
            net::connect(&fd, &net::SocketAddrUnix::new(reach.path())?)?;
            Ok(fd)
        })
    }

    /// The descriptor, for polling, if there is one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    fn there(&self) -> HostResult<&OwnedFd> {
        self.fd.as_ref().ok_or(GONE)
    }

    /// Sends; gives how much went.
    pub fn send(&self, tape: &Tape, data: &[u8]) -> HostResult<usize> {
        // What is left, so that it does not matter what a filter has put into the bytes.
        let left = tape.ask(Question::Lent, Ok(0), || {
            let sent = net::send(self.there()?, data, SendFlags::NOSIGNAL)?;
            Ok(data.len().saturating_sub(sent))
        })?;
        Ok(data.len().saturating_sub(left))
    }

    /// Receives what is there; 0 at the end, `EAGAIN` where nothing is there yet.
    pub fn receive(&self, tape: &Tape, buffer: &mut [u8]) -> HostResult<usize> {
        let bytes = tape.ask(Question::Lent, Err(HostError::WOULD_BLOCK), || {
            let (_, length) = net::recv(self.there()?, &mut *buffer, RecvFlags::empty())?;
            Ok(buffer.get(..length).unwrap_or_default().to_vec())
        })?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok(bytes.len().min(buffer.len()))
    }

    /// Sends the end.
    pub fn shut_down(&self) -> HostResult<()> {
        Ok(net::shutdown(self.there()?, Shutdown::Write)?)
    }
}
