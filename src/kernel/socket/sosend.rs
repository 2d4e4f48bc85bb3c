//! Sending on a socket: cutting the user's data into packets that fit, and waiting for room.
//!
//! A message that must go at once is refused if it can never fit.  Else, as long as the whole rest does
//! not fit, a stream sends only when at least the low-water mark is free; what does not fit then waits.
//!
//! This file does not know calls or any protocol.
//!
//! 2.1 counterpart: kern/uipc_socket.c (sosend).

use syscalls::errno::Errno;
use syscalls::flags::MsgFlags;

use super::chain::Chain;
use super::mbuf::{MCLBYTES, MHLEN, MINCLSIZE, MLEN, Mbuf, MbufFlags, MbufType};
use super::protosw::{Message, ProtoFlags, UserRequest};
use super::socket::{Side, SockState, SocketId, SocketOptions};
use super::state::{sblock, sbunlock, sbwait};
use super::{Resume, events, pr_usrreq};
use crate::kernel::file::{Uio, ops};
use crate::kernel::synch::{self, Sleep, Wake};
use crate::kernel::{Context, Stop, Sysret};

/// A send in progress: what sosend keeps on its stack.
#[derive(Debug)]
pub struct Sosend {
    /// The socket.
    so: SocketId,
    /// The user's data, as far as they are not sent.
    uio: Uio,
    /// How much it was.
    requested: u32,
    /// Control information; gone after the first packet.
    control: Option<Chain>,
    /// Where to.
    addr: Option<Mbuf>,
    /// `MSG_*`.
    flags: MsgFlags,
}

/// Where a send sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Waiting for the lock of the send buffer.
    Lock,
    /// Waiting for room.
    Room,
}

enum Halt {
    Fail(Stop),
    Wait(Sleep, At),
}

impl From<Errno> for Halt {
    fn from(error: Errno) -> Self {
        Self::Fail(error.into())
    }
}

/// Sends; gives the number of bytes that were taken.
///
/// An interruption after a part was sent is a success; EPIPE is SIGPIPE, too.
pub fn sosend(
    cx: &mut Context<'_>,
    so: SocketId,
    addr: Option<Mbuf>,
    uio: Uio,
    control: Option<Chain>,
    flags: MsgFlags,
) -> Sysret<i32> {
    let requested = uio.resid;
    if (requested as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    cx.proc_mut().usage.msgsnd += 1;
    let mut op = Sosend { so, uio, requested, control, addr, flags };
    match go_on(cx, &mut op, false) {
        Ok(result) => result,
        Err((sleep, at)) => park(Box::new(op), sleep, at),
    }
}

/// Goes on with a send after a sleep.
pub(super) fn resume(cx: &mut Context<'_>, mut op: Box<Sosend>, at: At, wake: Wake) -> Sysret<i32> {
    let locked = match (at, wake) {
        (_, Wake::Woken) => false,
        // The original's sblock forgets that it was interrupted and goes on without the lock.
        (At::Lock, _) => true,
        (At::Room, Wake::TimedOut) => return finish(cx, &op, Err(Errno::EWOULDBLOCK.into())),
        (At::Room, Wake::Interrupted(how)) => return finish(cx, &op, Err(how.into())),
    };
    match go_on(cx, &mut op, locked) {
        Ok(result) => result,
        Err((sleep, at)) => park(op, sleep, at),
    }
}

fn park(op: Box<Sosend>, sleep: Sleep, at: At) -> Sysret<i32> {
    synch::sleep(sleep, Resume::Send(op, at).into())
}

/// Sends as far as it goes; the error is a sleep, and where.
fn go_on(cx: &mut Context<'_>, op: &mut Sosend, locked: bool) -> Result<Sysret<i32>, (Sleep, At)> {
    match send(cx, op, locked) {
        Err(Halt::Wait(sleep, at)) => Err((sleep, at)),
        Err(Halt::Fail(stop)) => Ok(finish(cx, op, Err(stop))),
        Ok(()) => Ok(finish(cx, op, Ok(()))),
    }
}

fn finish(cx: &mut Context<'_>, op: &Sosend, result: Sysret<()>) -> Sysret<i32> {
    ops::finish_write(cx, op.requested, &op.uio, result)
}

/// The engine, from the label `restart` on.
fn send(cx: &mut Context<'_>, op: &mut Sosend, locked: bool) -> Result<(), Halt> {
    if !locked {
        let may_wait = !op.flags.contains(MsgFlags::DONTWAIT);
        if let Some(sleep) = sblock(&mut cx.kernel.sockets[op.so].snd, may_wait, Side::Snd.lock(op.so)) {
            return Err(Halt::Wait(sleep, At::Lock));
        }
    }
    let result = send_all(cx, op);
    if !matches!(result, Err(Halt::Wait(..))) {
        sbunlock(cx.kernel, op.so, Side::Snd);
    }
    result
}

fn send_all(cx: &mut Context<'_>, op: &mut Sosend) -> Result<(), Halt> {
    loop {
        check(cx, op)?;
        let mut space = room(cx, op)?;
        loop {
            let top = packet(cx, op, &mut space)?;
            transmit(cx, op, top)?;
            if op.uio.resid == 0 {
                return Ok(());
            }
            if space <= 0 {
                break;
            }
        }
    }
}

/// Whether the socket can send at all, in the original's order.
fn check(cx: &Context<'_>, op: &Sosend) -> Result<(), Errno> {
    let socket = &cx.kernel.sockets[op.so];
    if socket.state.contains(SockState::CANTSENDMORE) {
        return Err(Errno::EPIPE);
    }
    if let Some(error) = socket.error {
        // Not cleared: it is told again and again until a receive or SO_ERROR takes it.
        return Err(error);
    }
    if socket.state.contains(SockState::ISCONNECTED) {
        return Ok(());
    }
    if socket.is(ProtoFlags::CONNREQUIRED) && !socket.is(ProtoFlags::IMPLOPCL) {
        let control_alone = op.uio.resid == 0 && control_len(op) != 0;
        if !socket.state.contains(SockState::ISCONFIRMING) && !control_alone {
            return Err(Errno::ENOTCONN);
        }
    } else if op.addr.is_none() {
        let needed = socket.is(ProtoFlags::CONNREQUIRED);
        return Err(if needed { Errno::ENOTCONN } else { Errno::EDESTADDRREQ });
    }
    Ok(())
}

/// Length of the first control mbuf; the original does not look at the others.
fn control_len(op: &Sosend) -> u32 {
    op.control.as_ref().and_then(|c| c.front()).map_or(0, |m| m.len() as u32)
}

/// Room for data, once there is enough; else the sleep until there is.
fn room(cx: &mut Context<'_>, op: &Sosend) -> Result<i32, Halt> {
    let clen = control_len(op);
    let resid = op.uio.resid;
    let socket = &mut cx.kernel.sockets[op.so];
    let atomic = socket.sendallatonce();
    let mut space = socket.snd.space();
    if op.flags.contains(MsgFlags::OOB) {
        space = space.wrapping_add(1024);
    }
    if (atomic && resid > socket.snd.hiwat) || clen > socket.snd.hiwat {
        return Err(Errno::EMSGSIZE.into());
    }
    let wanted = resid.wrapping_add(clen) as i32;
    // With a low-water mark of zero or less the original sends nothing for ever; we wait.
    let nothing_goes = space == 0 && clen == 0;
    if space < wanted && (atomic || space < socket.snd.lowat || space < clen as i32 || nothing_goes) {
        if socket.state.contains(SockState::NBIO) {
            return Err(Errno::EWOULDBLOCK.into());
        }
        sbunlock(cx.kernel, op.so, Side::Snd);
        let sleep = sbwait(&mut cx.kernel.sockets[op.so].snd, Side::Snd.data(op.so));
        return Err(Halt::Wait(sleep, At::Room));
    }
    Ok(space.wrapping_sub(clen as i32))
}

/// Moves the user's next data into a packet: all of them where the protocol wants that, else one mbuf.
fn packet(cx: &mut Context<'_>, op: &mut Sosend, space: &mut i32) -> Result<Chain, Errno> {
    let atomic = cx.kernel.sockets[op.so].sendallatonce();
    let mut top = Chain::new();
    loop {
        let resid = op.uio.resid as usize;
        let (mut m, mut mlen) = if top.is_empty() {
            (Mbuf::gethdr(MbufType::Data), MHLEN)
        } else {
            (Mbuf::get(MbufType::Data), MLEN)
        };
        if resid >= MINCLSIZE {
            m.clget();
            mlen = MCLBYTES;
        }
        // Unsigned as in the original: less than no room is all the room of the world.
        let len = mlen.min(resid).min(*space as u32 as usize);
        if resid < MINCLSIZE && atomic && top.is_empty() && len < mlen {
            m.align(len);
        }
        *space = space.wrapping_sub(len as i32);
        m.set_len(len);
        let from = op.uio.rest().first().map_or(0, |buffer| buffer.base);
        let moved = op.uio.move_in(cx, m.bytes_mut());
        events::copied_in(cx.kernel, from, len, moved.map(|_| ()));
        // What was not filled is what the storage held before.
        m.set_len(moved?);
        top.push_back(m);
        if op.uio.resid == 0 {
            if op.flags.contains(MsgFlags::EOR) {
                top.front_mut().into_iter().for_each(|first| first.flags.insert(MbufFlags::EOR));
            }
            break;
        }
        if *space <= 0 || !atomic {
            break;
        }
    }
    Ok(top)
}

/// Gives a packet, and with the first one the control information, to the protocol.
fn transmit(cx: &mut Context<'_>, op: &mut Sosend, m: Chain) -> Result<(), Errno> {
    let socket = &mut cx.kernel.sockets[op.so];
    let dontroute = op.flags.contains(MsgFlags::DONTROUTE)
        && !socket.options.contains(SocketOptions::DONTROUTE)
        && socket.is(ProtoFlags::ATOMIC);
    if dontroute {
        socket.options.insert(SocketOptions::DONTROUTE);
    }
    let last = op.flags.contains(MsgFlags::EOF) && socket.is(ProtoFlags::IMPLOPCL) && op.uio.resid == 0;
    let message = Message { m, nam: op.addr.as_ref(), control: op.control.take() };
    let request = if op.flags.contains(MsgFlags::OOB) {
        UserRequest::SendOob(message)
    } else if last {
        UserRequest::SendEof(message)
    } else {
        UserRequest::Send(message)
    };
    let sent = pr_usrreq(cx, op.so, request);
    if dontroute {
        cx.kernel.sockets[op.so].options.remove(SocketOptions::DONTROUTE);
    }
    sent
}
