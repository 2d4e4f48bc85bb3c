//! The common ends of the send and receive calls: user structures in, user structures out.
//!
//! Every copyin and copyout is in the original's order, because a guest with a bad address can see it.
//! Nothing is read twice: what a blocked receive needs at its end is in [`Recvit`].
//!
//! This file does not know how data are queued, nor any protocol.
//!
//! 2.1 counterpart: kern/uipc_syscalls.c (sockargs, getsock, sendit, recvit).

use syscalls::arg::Fd;
use syscalls::errno::Errno;
use syscalls::flags::MsgFlags;
use syscalls::layout::Msghdr;
use zerocopy::IntoBytes;

use super::chain::Chain;
use super::mbuf::{MLEN, Mbuf, MbufType};
use super::socket::SocketId;
use super::soreceive::{Caller, Soreceive, soreceive};
use super::sosend::{Sosend, sosend};
use super::{events, port};
use crate::kernel::file::uio::Iovec;
use crate::kernel::file::{FileObject, Uio, getfile};
use crate::kernel::{Context, Sysret};

/// Most elements of a list of buffers; the message calls refuse this number itself, too (UIO_MAXIOV).
const UIO_MAXIOV: u32 = 1024;
/// One more than the largest address family (AF_MAX).
const AF_MAX: u8 = 27;
/// The level of the socket layer itself.
pub(super) const SOL_SOCKET: u32 = 0xffff;
/// A control message that carries descriptors.
pub(super) const SCM_RIGHTS: u32 = 1;
/// Size of the head of a control message.
pub(super) const CMSGHDR: usize = 12;

/// The socket behind a descriptor: EBADF, or ENOTSOCK for any other file.
pub(super) fn getsock(cx: &mut Context<'_>, fd: Fd) -> Result<SocketId, Errno> {
    match cx.kernel.files[getfile(cx, fd)?].object {
        FileObject::Socket(so) => {
            events::note_with(cx.kernel, so, "getsock", || format!("descriptor {}", fd.0));
            Ok(so)
        }
        FileObject::Unset | FileObject::Vnode(_) => Err(Errno::ENOTSOCK),
    }
}

/// Copies in a name or control information.
///
/// At most [`MLEN`] bytes; a name may have up to 112, of which the rest is cut.  A name's length byte
/// is set from the length given; a family of zero is taken from the length byte (the 4.3BSD layout).
pub(super) fn sockargs(cx: &mut Context<'_>, address: u32, len: u32, kind: MbufType) -> Result<Mbuf, Errno> {
    const MLEN_U32: u32 = MLEN as u32;
    let len = match len {
        0..=MLEN_U32 => len,
        _ if kind == MbufType::Soname && len <= 112 => MLEN_U32,
        _ => return Err(Errno::EINVAL),
    };
    let mut m = Mbuf::get(kind);
    m.set_len(len as usize);
    let copied = cx.copyin(address, m.bytes_mut());
    events::copied_in(cx.kernel, address, len as usize, copied);
    copied?;
    if kind == MbufType::Soname
        && let [sa_len, rest @ ..] = m.bytes_mut()
    {
        if let [family, ..] = rest
            && *family == 0
            && *sa_len < AF_MAX
        {
            *family = *sa_len;
        }
        *sa_len = len as u8;
    }
    Ok(m)
}

/// Copies in a list of buffers for a message call.
pub(super) fn copyin_iov(cx: &Context<'_>, address: u32, count: u32) -> Result<Vec<Iovec>, Errno> {
    if count >= UIO_MAXIOV {
        return Err(Errno::EMSGSIZE);
    }
    let words = cx.copyin_vec(address, count as usize * 8)?;
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
    Ok(words.chunks_exact(8).map(|v| Iovec { base: word(&v[..4]), len: word(&v[4..]) }).collect())
}

/// A transfer over a list of buffers; EINVAL when their lengths add up to 2^31 or more.
fn transfer(iov: Vec<Iovec>) -> Result<Uio, Errno> {
    let mut resid = 0i32;
    for v in &iov {
        resid = resid.wrapping_add(v.len as i32);
        if resid < 0 {
            return Err(Errno::EINVAL);
        }
    }
    Ok(Uio::vector(iov))
}

/// What is sent: the user's `msghdr` with its buffers.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Address of the name, and its length.
    pub(super) name: (u32, u32),
    /// The buffers.
    pub(super) iov: Vec<Iovec>,
    /// Address of the control information, and its length.
    pub(super) control: (u32, u32),
    /// The control information has no header: access rights in the style of 4.3BSD.
    pub(super) compat: bool,
}

/// Sends what a user's message says.
pub(super) fn sendit(cx: &mut Context<'_>, fd: Fd, msg: Outgoing, flags: MsgFlags) -> Sysret<i32> {
    let so = getsock(cx, fd)?;
    let uio = transfer(msg.iov)?;
    let to = match msg.name {
        (0, _) => None,
        (address, len) => Some(sockargs(cx, address, len, MbufType::Soname)?),
    };
    let control = match msg.control {
        (0, _) => Chain::new(),
        (_, len) if (len as usize) < CMSGHDR && !msg.compat => return Err(Errno::EINVAL.into()),
        (address, len) => {
            let mut chain = Chain::from(sockargs(cx, address, len, MbufType::Control)?);
            if msg.compat {
                chain.push_front(header_of_its_own());
            }
            chain
        }
    };
    let send = Sosend::new(so, to, uio, control, flags);
    let sent = events::within(cx, so, "sosend", |cx| sosend(cx, send));
    port::or_wait(cx, sent)
}

/// The head that the original makes for old access rights.  It takes its length from the head alone, so
/// that no rights are passed and the receiver finds an empty control message (sendit, M_PREPEND).
fn header_of_its_own() -> Mbuf {
    let words = [CMSGHDR as u32, SOL_SOCKET, SCM_RIGHTS];
    Mbuf::holding(MbufType::Control, words.map(u32::to_le).as_bytes())
}

/// One word of the head of a control message; absent where the mbuf is too short for one.
fn cmsg_word(m: &Mbuf, index: usize) -> Option<u32> {
    let head = m.bytes().get(..CMSGHDR)?;
    Some(u32::from_le_bytes(head.get(index * 4..index * 4 + 4)?.try_into().ok()?))
}

/// Length that a control message says it has.
pub(super) fn cmsg_len(m: &Mbuf) -> Option<u32> {
    cmsg_word(m, 0)
}

/// Level of a control message.
pub(super) fn cmsg_level(m: &Mbuf) -> Option<u32> {
    cmsg_word(m, 1)
}

/// Type of a control message.
pub(super) fn cmsg_type(m: &Mbuf) -> Option<u32> {
    cmsg_word(m, 2)
}

/// Writes the family of an address in 16 bits, as 4.3BSD had it (`struct osockaddr`).
pub(super) fn old_family(m: &mut Mbuf) {
    if let [sa_len, family, ..] = m.bytes_mut() {
        *sa_len = *family;
        *family = 0;
    }
}

/// A receive for a call that wants more than data: where everything goes.
#[derive(Clone, Debug)]
pub struct Recvit {
    /// The user's header, complete or made up.
    msg: Msghdr,
    /// Where the length of the name is stored; 0 for nowhere.
    namelenp: u32,
    /// Which call it is.
    call: RecvCall,
}

/// How a receive call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecvCall {
    /// recvfrom and recv: nothing more.
    Recvfrom,
    /// recvmsg: the header is stored again.
    Recvmsg {
        /// Its address.
        msg: u32,
    },
    /// The old recvmsg: only the length of the rights is stored, if it is not zero.
    Orecvmsg {
        /// Address of the header.
        msg: u32,
    },
}

/// Receives as a user's message says.
pub(super) fn recvit(
    cx: &mut Context<'_>,
    fd: Fd,
    iov: Vec<Iovec>,
    msg: Msghdr,
    namelenp: u32,
    call: RecvCall,
) -> Sysret<i32> {
    let so = getsock(cx, fd)?;
    let uio = transfer(iov)?;
    let caller = Caller::Recvit(Box::new(Recvit { msg, namelenp, call }));
    let receive = Soreceive::new(so, uio, caller);
    events::within(cx, so, "soreceive", |cx| soreceive(cx, receive))
}

impl Recvit {
    /// The flags of the call.
    pub(super) fn flags(&self) -> MsgFlags {
        MsgFlags::from_bits_retain(self.msg.flags.get())
    }

    /// Whether control information is wanted.
    pub(super) fn wants_control(&self) -> bool {
        self.msg.control.get() != 0
    }

    /// Stores the name, the control information and what the call itself wants stored.
    pub(super) fn finish(mut self, cx: &mut Context<'_>, op: &mut Soreceive) -> Result<(), Errno> {
        self.msg.flags.set(op.msg_flags.bits());
        if self.msg.name.get() != 0 {
            self.store_name(cx, op.from.take())?;
        }
        if self.wants_control() {
            let control = std::mem::take(&mut op.control);
            self.store_control(cx, control.into_iter().next())?;
        }
        match self.call {
            RecvCall::Recvfrom => Ok(()),
            RecvCall::Recvmsg { msg } => cx.write(msg, &self.msg),
            RecvCall::Orecvmsg { msg } => match self.msg.controllen.get() {
                0 => Ok(()),
                len => cx.write(msg.wrapping_add(20), &len),
            },
        }
    }

    fn compat(&self) -> bool {
        self.flags().contains(MsgFlags::COMPAT)
    }

    fn store_name(&mut self, cx: &mut Context<'_>, from: Option<Mbuf>) -> Result<(), Errno> {
        let mut len = 0;
        if let Some(mut from) = from
            && let Ok(room @ 1..) = usize::try_from(self.msg.namelen.get() as i32)
        {
            if self.compat() {
                old_family(&mut from);
            }
            len = room.min(from.len());
            cx.copyout(self.msg.name.get(), &from.bytes()[..len])?;
        }
        self.msg.namelen.set(len as u32);
        if self.namelenp != 0
            && let Err(error) = cx.write(self.namelenp, &(len as u32))
            && !self.compat()
        {
            return Err(error);
        }
        Ok(())
    }

    fn store_control(&mut self, cx: &mut Context<'_>, control: Option<Mbuf>) -> Result<(), Errno> {
        let mut len = 0;
        if let Some(mut control) = control {
            if self.compat() {
                // Old calls get rights without their head, and nothing else.
                if cmsg_level(&control) != Some(SOL_SOCKET) || cmsg_type(&control) != Some(SCM_RIGHTS) {
                    self.msg.controllen.set(0);
                    return Ok(());
                }
                control.trim_front(CMSGHDR);
            }
            if let Ok(room @ 1..) = usize::try_from(self.msg.controllen.get() as i32) {
                len = room.min(control.len());
                if room < control.len() {
                    self.msg.flags.set((self.flags() | MsgFlags::CTRUNC).bits());
                }
                cx.copyout(self.msg.control.get(), &control.bytes()[..len])?;
            }
        }
        self.msg.controllen.set(len as u32);
        Ok(())
    }
}
