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

/// An address and a port.
pub type Address = (Ipv4Addr, u16);

/// A socket of the host.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
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

impl Socket {
    /// A stream.
    pub fn stream() -> HostResult<Self> {
        Self::new(SocketType::STREAM, ipproto::TCP)
    }

    /// A socket for datagrams.
    pub fn datagram() -> HostResult<Self> {
        Self::new(SocketType::DGRAM, ipproto::UDP)
    }

    /// A socket for echo requests, which hosts have for some of their users.
    pub fn icmp() -> HostResult<Self> {
        Self::new(SocketType::DGRAM, ipproto::ICMP)
    }

    fn new(kind: SocketType, protocol: net::Protocol) -> HostResult<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(Self { fd: net::socket_with(AddressFamily::INET, kind, flags, Some(protocol))? })
    }

    /// The descriptor, for polling.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Gives it an address.
    pub fn bind(&self, to: Address) -> HostResult<()> {
        Ok(net::bind(&self.fd, &v4(to))?)
    }

    /// Waits for connections, so many at once.
    pub fn listen(&self, backlog: i32) -> HostResult<()> {
        Ok(net::listen(&self.fd, backlog)?)
    }

    /// Takes a connection; `EAGAIN` where none waits.
    pub fn accept(&self) -> HostResult<(Self, Address)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, from) = net::acceptfrom_with(&self.fd, flags)?;
        Ok((Self { fd }, address(from)))
    }

    /// Begins to connect; true where that is done at once.
    pub fn connect(&self, to: Address) -> HostResult<bool> {
        match net::connect(&self.fd, &v4(to)) {
            Ok(()) => Ok(true),
            Err(Linux::INPROGRESS | Linux::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets the peer of a socket for datagrams.
    pub fn disconnect(&self) -> HostResult<()> {
        Ok(net::connect_unspec(&self.fd)?)
    }

    /// What became of a connection that was begun: true when it is there, false while it is not.
    pub fn connected(&self) -> HostResult<bool> {
        sockopt::socket_error(&self.fd)??;
        match net::getpeername(&self.fd) {
            Ok(_) => Ok(true),
            Err(Linux::NOTCONN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends to the peer; gives how much went.
    pub fn send(&self, data: &[u8], urgent: bool) -> HostResult<usize> {
        let flags = if urgent { SendFlags::OOB } else { SendFlags::empty() };
        Ok(net::send(&self.fd, data, flags | SendFlags::NOSIGNAL)?)
    }

    /// Sends a datagram to an address.
    pub fn send_to(&self, data: &[u8], to: Address) -> HostResult<usize> {
        Ok(net::sendto(&self.fd, data, SendFlags::NOSIGNAL, &v4(to))?)
    }

    /// Receives what is there; 0 at the end of a stream, `EAGAIN` where nothing is there yet.
    pub fn receive(&self, buffer: &mut [u8]) -> HostResult<usize> {
        let (_, length) = net::recv(&self.fd, buffer, RecvFlags::empty())?;
        Ok(length)
    }

    /// Bytes that can be received; before the mark, where urgent data were announced that are not yet passed.
    pub fn waiting(&self) -> HostResult<u32> {
        Ok(u32::try_from(rustix::io::ioctl_fionread(&self.fd)?).unwrap_or(u32::MAX))
    }

    /// The urgent byte, if there is one that was not taken.
    pub fn urgent(&self) -> Option<u8> {
        let mut byte = [0];
        let (_, length) = net::recv(&self.fd, &mut byte, RecvFlags::OOB).ok()?;
        (length == 1).then_some(byte[0])
    }

    /// Receives a datagram and its sender.
    pub fn receive_from(&self, buffer: &mut [u8]) -> HostResult<(usize, Address)> {
        let room = buffer.len();
        let (_, length, from) = net::recvfrom(&self.fd, buffer, RecvFlags::empty())?;
        Ok((length.min(room), address(from)))
    }

    /// Sends the end of the stream.
    pub fn shut_down(&self) -> HostResult<()> {
        Ok(net::shutdown(&self.fd, Shutdown::Write)?)
    }

    /// Lets the end of the socket be a reset.
    pub fn reset_at_close(&self) -> HostResult<()> {
        Ok(sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO))?)
    }

    /// Its own address.
    pub fn name(&self) -> HostResult<Address> {
        Ok(address(Some(net::getsockname(&self.fd)?)))
    }

    /// Sets an option.
    pub fn set(&self, option: HostOption) -> HostResult<()> {
        let fd = &self.fd;
        Ok(match option {
            HostOption::ReuseAddress(on) => sockopt::set_socket_reuseaddr(fd, on),
            HostOption::Broadcast(on) => sockopt::set_socket_broadcast(fd, on),
            HostOption::KeepAlive(on) => sockopt::set_socket_keepalive(fd, on),
            HostOption::NoDelay(on) => sockopt::set_tcp_nodelay(fd, on),
            HostOption::TimeToLive(ttl) => sockopt::set_ip_ttl(fd, ttl.into()),
            HostOption::TypeOfService(tos) => sockopt::set_ip_tos(fd, tos),
        }?)
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
    Socket::stream().map(drop)
}

/// A stream to a socket of the host that has a name.
#[derive(Debug)]
pub struct Local {
    fd: OwnedFd,
}

impl Local {
    /// Connects to a name.
    pub fn connect(path: &std::path::Path) -> HostResult<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        net::connect(&fd, &net::SocketAddrUnix::new(path)?)?;
        Ok(Self { fd })
    }

    /// Connects to what is held: a socket, of anything else `ENOTSOCK`.  Where the host has no names for what is
    /// held there is no way.
    pub fn to(place: &Place, datagrams: bool) -> HostResult<Self> {
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
        Ok(Self { fd })
    }

    /// The descriptor, for polling.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends; gives how much went.
    pub fn send(&self, data: &[u8]) -> HostResult<usize> {
        Ok(net::send(&self.fd, data, SendFlags::NOSIGNAL)?)
    }

    /// Receives what is there; 0 at the end, `EAGAIN` where nothing is there yet.
    pub fn receive(&self, buffer: &mut [u8]) -> HostResult<usize> {
        let (_, length) = net::recv(&self.fd, buffer, RecvFlags::empty())?;
        Ok(length)
    }

    /// Sends the end.
    pub fn shut_down(&self) -> HostResult<()> {
        Ok(net::shutdown(&self.fd, Shutdown::Write)?)
    }
}
