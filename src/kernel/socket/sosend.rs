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
use super::protosw::{Message, ProtoFlags, Protosw, UserRequest};
use super::socket::{Side, SockState, Socket, SocketId, SocketOptions};
use super::state::{sb_lock, sblock, sbunlock, sbwait};
use super::{Resume, events, make_usrreq, proto_usrreq};
use crate::kernel::file::{Uio, ops};
use crate::kernel::synch::{self, Wake};
use crate::kernel::{Context, Stop, Sysret};

/// A send in progress: what sosend keeps on its stack.
#[derive(Clone, Debug)]
pub struct Sosend {
    /// The socket.
    so: SocketId,
    /// The user's data, as far as they are not sent.
    uio: Uio,
    /// How much it was.
    requested: u32,
    /// Control information; gone after the first packet.
    control: Chain,
    /// Where to.
    addr: Option<Mbuf>,
    /// `MSG_*`.
    flags: MsgFlags,
}

impl Sosend {
    /// A send that is to begin.
    #[inline]
    pub(super) fn new(so: SocketId, addr: Option<Mbuf>, uio: Uio, control: Chain, flags: MsgFlags) -> Self {
        Self { so, requested: uio.resid, uio, control, addr, flags }
    }
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
    Wait(At),
}

impl From<Errno> for Halt {
    fn from(error: Errno) -> Self {
        Self::Fail(error.into())
    }
}

/// Sends; gives the number of bytes that were taken.
///
/// An interruption after a part was sent is a success; EPIPE is SIGPIPE, too.
pub fn sosend(cx: &mut Context<'_>, mut op: Sosend) -> Sysret<i32> {
    if (op.requested as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    cx.proc_mut().usage.msgsnd += 1;
    match send(cx, &mut op, false) {
        Ok(()) => finish(cx, &op, Ok(())),
        Err(Halt::Wait(at)) => park(cx, Box::new(op), at),
        Err(Halt::Fail(stop)) => finish(cx, &op, Err(stop)),
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
    match send(cx, &mut op, locked) {
        Ok(()) => finish(cx, &op, Ok(())),
        Err(Halt::Wait(at)) => park(cx, op, at),
        Err(Halt::Fail(stop)) => finish(cx, &op, Err(stop)),
    }
}

#[cold]
fn park(cx: &mut Context<'_>, op: Box<Sosend>, at: At) -> Sysret<i32> {
    let sleep = match at {
        At::Lock => sb_lock(cx.kernel, op.so, Side::Snd),
        At::Room => sbwait(cx.kernel, op.so, Side::Snd),
    };
    synch::sleep(sleep, Resume::Send(op, at).into())
}

fn finish(cx: &mut Context<'_>, op: &Sosend, result: Sysret<()>) -> Sysret<i32> {
    ops::finish_write(cx, op.requested, &op.uio, result)
}

/// The engine, from the label `restart` on.
#[inline(always)]
fn send(cx: &mut Context<'_>, op: &mut Sosend, locked: bool) -> Result<(), Halt> {
    let may_wait = !op.flags.contains(MsgFlags::DONTWAIT);
    let socket = &mut cx.kernel.sockets[op.so];
    if !locked && !sblock(&mut socket.snd, may_wait) {
        return Err(Halt::Wait(At::Lock));
    }
    let proto = socket.proto;
    let mut space = space(socket, op);
    let result = loop {
        let sent = match space {
            Ok(space) => send_packets(cx, op, proto, space),
            Err(halt) => Err(halt),
        };
        if sent.is_err() || op.uio.resid == 0 {
            break sent;
        }
        space = self::space(&cx.kernel.sockets[op.so], op);
    };
    // One who waits for room does not hold the lock meanwhile.
    sbunlock(cx.kernel, op.so, Side::Snd);
    result
}

/// Sends one packet at least, and more as long as there is something to send and room for it.
#[inline(always)]
fn send_packets(cx: &mut Context<'_>, op: &mut Sosend, proto: &Protosw, mut space: i32) -> Result<(), Halt> {
    loop {
        let top = packet(cx, op, &mut space, proto.flags.contains(ProtoFlags::ATOMIC))?;
        transmit(cx, op, proto, top)?;
        if op.uio.resid == 0 || space <= 0 {
            return Ok(());
        }
    }
}

/// Room for data where the socket can send; else one waits for it.
#[inline(always)]
fn space(socket: &Socket, op: &Sosend) -> Result<i32, Halt> {
    check(socket, op)?;
    room(socket, op)
}

/// Whether the socket can send at all, in the original's order.
#[inline]
fn check(socket: &Socket, op: &Sosend) -> Result<(), Errno> {
    if socket.state.contains(SockState::CANTSENDMORE) {
        return Err(Errno::EPIPE);
    }
    if let Some(error) = socket.error {
        // Not cleared: it is told again and again until a receive or SO_ERROR takes it.
        return Err(error);
    }
    if socket.state.contains(SockState::ISCONNECTED) { Ok(()) } else { check_unconnected(socket, op) }
}

fn check_unconnected(socket: &Socket, op: &Sosend) -> Result<(), Errno> {
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
    op.control.front().map_or(0, |m| m.len() as u32)
}

/// Room for data, once there is enough; else one waits for it.
#[inline]
fn room(socket: &Socket, op: &Sosend) -> Result<i32, Halt> {
    let clen = control_len(op);
    let resid = op.uio.resid;
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
        return Err(Halt::Wait(At::Room));
    }
    Ok(space.wrapping_sub(clen as i32))
}

/// Moves the user's next data into a packet: all of them where the protocol wants that, else one mbuf.
#[inline(always)]
fn packet(cx: &mut Context<'_>, op: &mut Sosend, space: &mut i32, atomic: bool) -> Result<Chain, Errno> {
    let m = Mbuf::gethdr(MbufType::Data);
    let mut top = Chain::from(fill(cx, op, m, MHLEN, space, atomic)?);
    if atomic {
        fill_up(cx, op, &mut top, space)?;
    }
    if op.uio.resid == 0 && op.flags.contains(MsgFlags::EOR) {
        top.front_mut().into_iter().for_each(|first| first.flags.insert(MbufFlags::EOR));
    }
    Ok(top)
}

/// Adds mbufs to a packet until it holds all of the user's data.
#[inline(never)]
fn fill_up(cx: &mut Context<'_>, op: &mut Sosend, top: &mut Chain, space: &mut i32) -> Result<(), Errno> {
    while op.uio.resid > 0 && *space > 0 {
        let m = Mbuf::get(MbufType::Data);
        top.push_back(fill(cx, op, m, MLEN, space, false)?);
    }
    Ok(())
}

/// Moves the user's next data into an mbuf of `mlen` bytes, or into a cluster where they are more than two
/// mbufs hold; at the end of the mbuf, if lower layers will put headers before them.
#[inline(always)]
fn fill(
    cx: &mut Context<'_>,
    op: &mut Sosend,
    mut m: Mbuf,
    mut mlen: usize,
    space: &mut i32,
    headers: bool,
) -> Result<Mbuf, Errno> {
    let resid = op.uio.resid as usize;
    let small = resid < MINCLSIZE;
    if !small {
        m.clget();
        mlen = MCLBYTES;
    }
    // Unsigned as in the original: less than no room is all the room of the world.
    let len = mlen.min(resid).min(*space as u32 as usize);
    if small && headers && len < mlen {
        m.align(len);
    }
    *space = space.wrapping_sub(len as i32);
    m.set_len(len);
    let from = op.uio.base();
    let moved = op.uio.move_in(cx, m.bytes_mut());
    events::copied_in(cx.kernel, from, len, moved.map(|_| ()));
    let moved = moved?;
    if moved < len {
        // What was not filled is what the storage held before.
        m.set_len(moved);
    }
    Ok(m)
}

/// Gives a packet, and with the first one the control information, to the protocol.
#[inline(always)]
fn transmit(cx: &mut Context<'_>, op: &mut Sosend, proto: &Protosw, m: Chain) -> Result<(), Errno> {
    if op.flags.is_empty() {
        let (addr, control) = (&op.addr, &mut op.control);
        return make_usrreq(cx, op.so, proto, || {
            UserRequest::Send(Message { m, nam: addr.as_ref(), control: std::mem::take(control) })
        });
    }
    transmit_flagged(cx, op, proto, m)
}

/// [`transmit`] as the flags of the call say.
#[inline(never)]
fn transmit_flagged(cx: &mut Context<'_>, op: &mut Sosend, proto: &Protosw, m: Chain) -> Result<(), Errno> {
    let socket = &mut cx.kernel.sockets[op.so];
    let dontroute = op.flags.contains(MsgFlags::DONTROUTE)
        && !socket.options.contains(SocketOptions::DONTROUTE)
        && socket.is(ProtoFlags::ATOMIC);
    if dontroute {
        socket.options.insert(SocketOptions::DONTROUTE);
    }
    let last = op.flags.contains(MsgFlags::EOF) && socket.is(ProtoFlags::IMPLOPCL) && op.uio.resid == 0;
    let message = Message { m, nam: op.addr.as_ref(), control: std::mem::take(&mut op.control) };
    let request = if op.flags.contains(MsgFlags::OOB) {
        UserRequest::SendOob(message)
    } else if last {
        UserRequest::SendEof(message)
    } else {
        UserRequest::Send(message)
    };
    let sent = proto_usrreq(cx, op.so, proto, request);
    if dontroute {
        cx.kernel.sockets[op.so].options.remove(SocketOptions::DONTROUTE);
    }
    sent
}
