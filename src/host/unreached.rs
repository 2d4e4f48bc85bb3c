//! What the host hears of datagrams that did not get where they were sent: the error queue of its sockets.
//!
//! Must not know sockets of a guest.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};

use super::net::{Address, Socket};
use super::tape::{Answer, Question, Tape};

/// Most of a datagram that is quoted.
const QUOTED: usize = 576;

/// An error that came for a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Type and code of the message of ICMP.
    pub kind: u8,
    /// See `kind`.
    pub code: u8,
    /// The size that fits, where the datagram was too large.
    pub mtu: u16,
    /// Who says so.
    pub from: Ipv4Addr,
    /// Where the datagram was sent.
    pub to: Address,
    /// How it began, as far as the message quotes it.
    pub data: Vec<u8>,
}

impl Answer for Unreached {
    fn put(&self, to: &mut Vec<u8>) {
        self.kind.put(to);
        self.code.put(to);
        self.mtu.put(to);
        self.from.put(to);
        self.to.0.put(to);
        self.to.1.put(to);
        self.data.put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            kind: u8::get(from)?,
            code: u8::get(from)?,
            mtu: u16::get(from)?,
            from: Ipv4Addr::get(from)?,
            to: (Ipv4Addr::get(from)?, u16::get(from)?),
            data: Vec::get(from)?,
        })
    }
}

/// Has a socket keep the errors that come for its datagrams.  A host that does not keeps quiet about them.
pub fn listen(socket: &Socket) {
    if let Some(fd) = socket.fd() {
        let _ = setsockopt(&fd, sockopt::Ipv4RecvErr, &true);
    }
}

/// Takes the oldest error that the network told of.
pub fn next(tape: &Tape, socket: &Socket) -> Option<Unreached> {
    tape.ask(Question::Receive, None, || take(socket.fd()?))
}

/// Takes it from the queue of errors; those of the host itself are passed over.
fn take(fd: BorrowedFd<'_>) -> Option<Unreached> {
    loop {
        let mut data = [0; QUOTED];
        let mut room = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in);
        let mut pieces = [IoSliceMut::new(&mut data)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrIn>(fd.as_raw_fd(), &mut pieces, Some(&mut room), flags).ok()?;
        let (len, to) = (message.bytes, message.address);
        let told = message.cmsgs().ok()?.find_map(|told| match told {
            ControlMessageOwned::Ipv4RecvErr(error, from) => Some((error, from)),
            _ => None,
        });
        let Some((error, from)) = told else { continue };
        if error.ee_origin != libc::SO_EE_ORIGIN_ICMP {
            continue;
        }
        let to = to.map_or((Ipv4Addr::UNSPECIFIED, 0), |to| (to.ip(), to.port()));
        let from = from.map_or(to.0, |from| SockaddrIn::from(from).ip());
        return Some(Unreached {
            kind: error.ee_type,
            code: error.ee_code,
            mtu: u16::try_from(error.ee_info).unwrap_or(u16::MAX),
            from,
            to,
            data: data.get(..len.min(QUOTED)).unwrap_or_default().to_vec(),
        });
    }
}
