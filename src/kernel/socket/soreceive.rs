//! Receiving from a socket: waiting for data, and taking one record, or as much of it as is wanted.
//!
//! A record begins with its sender's name where the protocol says so, goes on with control information
//! and ends with data.  Peeking walks over the record with a cursor; everything else takes mbufs off
//! the front, so that the buffer is consistent wherever the receive sleeps.
//!
//! This file does not know calls or any protocol.
//!
//! 2.1 counterpart: kern/uipc_socket.c (soreceive).

use syscalls::errno::Errno;
use syscalls::flags::MsgFlags;

use super::chain::Chain;
use super::mbuf::{Mbuf, MbufFlags, MbufType};
use super::msg::{self, Recvit};
use super::protosw::{ProtoFlags, Protosw, UserRequest, domain};
use super::sockbuf::Sockbuf;
use super::socket::{Side, SockState, Socket, SocketId};
use super::state::{sb_lock, sblock, sbunlock, sbwait};
use super::{Resume, pr_usrreq, proto_usrreq};
use crate::kernel::file::{Uio, ops};
use crate::kernel::synch::{self, Wake};
use crate::kernel::{Context, Stop, Sysret};

/// A receive in progress: what soreceive and its callers keep on their stacks.
#[derive(Clone, Debug)]
pub struct Soreceive {
    so: SocketId,
    /// The user's buffers, as far as they are not filled.
    pub(super) uio: Uio,
    /// How much they hold.
    pub(super) requested: u32,
    /// What `requested` becomes once something but data was delivered: the receive does not start over
    /// then.
    orig_resid: u32,
    /// `MSG_*`, those that were given and those that were found.
    flags: MsgFlags,
    /// What the user is told of them: those that were given, and at a regular end those found, too.
    pub(super) msg_flags: MsgFlags,
    /// How far a peek has come towards the out-of-band mark.
    peeked: u32,
    /// The sender's name, if it is wanted and came.
    pub(super) from: Option<Mbuf>,
    /// The control information, if it came.
    pub(super) control: Chain,
    /// Who receives.
    caller: Caller,
}

impl Soreceive {
    /// A receive that is to begin.
    #[inline]
    pub(super) fn new(so: SocketId, uio: Uio, caller: Caller) -> Self {
        let msg_flags = match &caller {
            Caller::Read => MsgFlags::empty(),
            Caller::Recvit(recvit) => recvit.flags(),
        };
        Self {
            so,
            requested: uio.resid,
            orig_resid: uio.resid,
            uio,
            flags: msg_flags - MsgFlags::EOR,
            msg_flags,
            peeked: 0,
            from: None,
            control: Chain::new(),
            caller,
        }
    }
}

/// Who receives, and what happens at the end.
#[derive(Clone, Debug)]
pub enum Caller {
    /// read(2) and readv(2): neither names nor control, no flags.
    Read,
    /// The receive calls.
    Recvit(Box<Recvit>),
}

/// Where a receive sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Waiting for the lock of the receive buffer.
    Lock,
    /// Waiting for anything to receive.
    Data,
    /// Waiting for the rest with MSG_WAITALL, holding the lock.
    All,
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

/// Receives; gives the number of bytes, and tells the caller's user all that he wants to know.
pub fn soreceive(cx: &mut Context<'_>, mut op: Soreceive) -> Sysret<i32> {
    if op.flags.contains(MsgFlags::OOB) {
        let received = receive_oob(cx, &mut op);
        return finish(cx, &mut op, received);
    }
    match receive(cx, &mut op, Entry::First) {
        Ok(()) => finish(cx, &mut op, Ok(())),
        Err(Halt::Wait(at)) => park(cx, Box::new(op), at),
        Err(Halt::Fail(stop)) => finish(cx, &mut op, Err(stop)),
    }
}

#[cold]
fn receive_oob(cx: &mut Context<'_>, op: &mut Soreceive) -> Sysret<()> {
    let mut m = Mbuf::get(MbufType::Data);
    pr_usrreq(cx, op.so, UserRequest::RcvOob { m: &mut m, flags: op.flags & MsgFlags::PEEK })?;
    let len = m.len().min(op.uio.resid as usize);
    op.uio.move_out(cx, &m.bytes()[..len])?;
    Ok(())
}

/// Goes on with a receive after a sleep.
pub(super) fn resume(cx: &mut Context<'_>, mut op: Box<Soreceive>, at: At, wake: Wake) -> Sysret<i32> {
    let stop = match wake {
        Wake::Woken => None,
        Wake::TimedOut => Some(Stop::from(Errno::EWOULDBLOCK)),
        Wake::Interrupted(how) => Some(how.into()),
    };
    let from = match (at, stop) {
        (At::Lock | At::Data, None) => Entry::Start,
        // The original's sblock forgets that it was interrupted and goes on without the lock.
        (At::Lock, Some(_)) => Entry::Locked,
        (At::Data, Some(stop)) => return finish(cx, &mut op, Err(stop)),
        (At::All, None) => Entry::Rest,
        // A short count and no error; the sender is not told that there is room now.
        (At::All, Some(_)) => {
            sbunlock(cx.kernel, op.so, Side::Rcv);
            return finish(cx, &mut op, Ok(()));
        }
    };
    match receive(cx, &mut op, from) {
        Ok(()) => finish(cx, &mut op, Ok(())),
        Err(Halt::Wait(at)) => park(cx, op, at),
        Err(Halt::Fail(stop)) => finish(cx, &mut op, Err(stop)),
    }
}

#[cold]
fn park(cx: &mut Context<'_>, op: Box<Soreceive>, at: At) -> Sysret<i32> {
    let sleep = match at {
        At::Lock => sb_lock(cx.kernel, op.so, Side::Rcv),
        At::Data | At::All => sbwait(cx.kernel, op.so, Side::Rcv),
    };
    synch::sleep(sleep, Resume::Receive(op, at).into())
}

/// Where the engine begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// Before the label `restart`.
    First,
    /// At the label `restart`.
    Start,
    /// Behind the lock.
    Locked,
    /// Behind the sleep of MSG_WAITALL.
    Rest,
}

#[inline(always)]
fn finish(cx: &mut Context<'_>, op: &mut Soreceive, result: Sysret<()>) -> Sysret<i32> {
    let result = ops::finish_read(op.requested, &op.uio, result);
    match std::mem::replace(&mut op.caller, Caller::Read) {
        Caller::Read => result,
        Caller::Recvit(recvit) => finish_recvit(cx, op, *recvit, result),
    }
}

fn finish_recvit(
    cx: &mut Context<'_>,
    op: &mut Soreceive,
    recvit: Recvit,
    result: Sysret<i32>,
) -> Sysret<i32> {
    let count = result?;
    recvit.finish(cx, op)?;
    Ok(count)
}

/// The place in the first record where a receive is: a peek walks on, everything else takes mbufs off
/// the front until the record is used up.
struct Cursor {
    peek: bool,
    index: usize,
    used_up: bool,
}

impl Cursor {
    fn current<'a>(&self, rcv: &'a Sockbuf) -> Option<&'a Mbuf> {
        match self.index {
            _ if self.used_up => None,
            0 => rcv.first(),
            index => rcv.records.front()?.get(index),
        }
    }

    /// Goes behind the current mbuf; gives it if it was taken off.
    fn step(&mut self, rcv: &mut Sockbuf) -> Option<Mbuf> {
        if self.peek {
            self.index += 1;
            return None;
        }
        let taken = rcv.take_first();
        self.used_up = taken.as_ref().is_none_or(|(_, used_up)| *used_up);
        taken.map(|(m, _)| m)
    }

    /// Whether another record follows.
    fn more_records(&self, rcv: &Sockbuf) -> bool {
        rcv.records.len() > usize::from(!self.used_up)
    }
}

/// The engine.
#[inline(always)]
fn receive(cx: &mut Context<'_>, op: &mut Soreceive, mut from: Entry) -> Result<(), Halt> {
    let may_wait = !op.flags.contains(MsgFlags::DONTWAIT);
    loop {
        let mut socket = &mut cx.kernel.sockets[op.so];
        if from == Entry::First && socket.state.contains(SockState::ISCONFIRMING) && op.requested != 0 {
            // An error of the protocol is nobody's business here.
            let _ = pr_usrreq(cx, op.so, UserRequest::Rcvd { flags: MsgFlags::empty() });
            socket = &mut cx.kernel.sockets[op.so];
        }
        if matches!(from, Entry::First | Entry::Start) && !sblock(&mut socket.rcv, may_wait) {
            return Err(Halt::Wait(At::Lock));
        }
        let ready = if from == Entry::Rest { Ok(true) } else { something_to_receive(socket, op) };
        let received = match ready {
            Ok(true) => {
                let control = socket.rcv.first().is_some_and(|m| m.kind == MbufType::Control);
                let record = Record {
                    proto: socket.proto,
                    attached: socket.pcb.is_some(),
                    data_alone: !control && !socket.is(ProtoFlags::ADDR),
                };
                receive_record(cx, op, from, record)
            }
            Ok(false) => Ok(Done::Delivered),
            Err(halt) => Err(halt),
        };
        // One who waits for the rest keeps the lock.
        if !matches!(received, Err(Halt::Wait(At::All))) {
            sbunlock(cx.kernel, op.so, Side::Rcv);
        }
        match received {
            Ok(Done::Delivered) => return Ok(()),
            Ok(Done::Nothing) => from = Entry::Start,
            Err(halt) => return Err(halt),
        }
    }
}

/// What came of a record.
enum Done {
    /// All that was to be delivered.
    Delivered,
    /// Nothing, so that the receive starts over.
    Nothing,
}

/// What is known of the first record and its socket, which stays so while the record is received.
struct Record {
    proto: &'static Protosw,
    /// The protocol has not let go of the socket.
    attached: bool,
    /// There is neither a name nor control information.
    data_alone: bool,
}

/// Receives from the first record, which is there.
#[inline(always)]
fn receive_record(
    cx: &mut Context<'_>,
    op: &mut Soreceive,
    from: Entry,
    record: Record,
) -> Result<Done, Halt> {
    let Record { proto, attached, data_alone } = record;
    let peek = op.flags.contains(MsgFlags::PEEK);
    let mut cursor = Cursor { peek, index: 0, used_up: false };
    let mut error = None;
    if from == Entry::Rest {
        wait_for_the_rest(&cx.kernel.sockets[op.so], op, &cursor)?;
    } else {
        cx.proc_mut().usage.msgrcv += 1;
        if !data_alone {
            take_name(cx, op, &mut cursor);
            error = take_control(cx, op, &mut cursor).err();
        }
    }
    if error.is_none() {
        error = take_data(cx, op, &mut cursor)?.err();
    }

    if proto.flags.contains(ProtoFlags::ATOMIC) {
        let rcv = &mut cx.kernel.sockets[op.so].rcv;
        if cursor.current(rcv).is_some() {
            op.flags.insert(MsgFlags::TRUNC);
            if !peek {
                rcv.drop_record();
            }
        }
    }
    if !peek && attached && proto.flags.contains(ProtoFlags::WANTRCVD) {
        // As in the original, an error of the protocol is nobody's business here.
        let _ = proto_usrreq(cx, op.so, proto, UserRequest::Rcvd { flags: op.flags });
    }
    let nothing_delivered = op.orig_resid == op.uio.resid && op.orig_resid != 0;
    // A peek that delivers nothing starts over for ever in the original; here it ends.
    if nothing_delivered && !op.flags.contains(MsgFlags::EOR) && !peek {
        let at_end = cx.kernel.sockets[op.so].state.contains(SockState::CANTRCVMORE);
        if !at_end {
            return Ok(Done::Nothing);
        }
    }
    op.msg_flags.insert(op.flags);
    error.map_or(Ok(Done::Delivered), |error| Err(error.into()))
}

/// Whether there is something to receive: true, false at the end of everything, or one waits.
#[inline(always)]
fn something_to_receive(socket: &mut Socket, op: &Soreceive) -> Result<bool, Halt> {
    let too_little = socket.rcv.cc < op.uio.resid && too_little(socket, op);
    if socket.rcv.records.is_empty() || too_little { nothing_to_receive(socket, op) } else { Ok(true) }
}

/// Even where data wait, a stream's receive of more than there is blocks below the low-water mark, and
/// with MSG_WAITALL unless it is hopeless.
fn too_little(socket: &Socket, op: &Soreceive) -> bool {
    let rcv = &socket.rcv;
    !op.flags.contains(MsgFlags::DONTWAIT)
        // Unsigned as in the original: a negative mark counts as huge.
        && (rcv.cc < rcv.lowat as u32
            || (op.flags.contains(MsgFlags::WAITALL) && op.uio.resid <= rcv.hiwat))
        && rcv.records.len() == 1
        && !socket.sendallatonce()
}

/// What becomes of a receive where nothing waits, or too little.
fn nothing_to_receive(socket: &mut Socket, op: &Soreceive) -> Result<bool, Halt> {
    let first = socket.rcv.records.front();
    if let Some(error) = socket.error {
        if first.is_some() {
            return Ok(true);
        }
        if !op.flags.contains(MsgFlags::PEEK) {
            socket.error = None;
        }
        return Err(error.into());
    }
    if socket.state.contains(SockState::CANTRCVMORE) {
        return Ok(first.is_some());
    }
    if first.is_some_and(|record| record.iter().any(|m| m.flags.contains(MbufFlags::EOR))) {
        return Ok(true);
    }
    if !socket.state.intersects(SockState::ISCONNECTED | SockState::ISCONNECTING)
        && socket.is(ProtoFlags::CONNREQUIRED)
    {
        return Err(Errno::ENOTCONN.into());
    }
    if op.uio.resid == 0 {
        return Ok(false);
    }
    if socket.state.contains(SockState::NBIO) || op.flags.contains(MsgFlags::DONTWAIT) {
        return Err(Errno::EWOULDBLOCK.into());
    }
    Err(Halt::Wait(At::Data))
}

/// Takes the sender's name, where records begin with one.
fn take_name(cx: &mut Context<'_>, op: &mut Soreceive, cursor: &mut Cursor) {
    let socket = &mut cx.kernel.sockets[op.so];
    if !socket.is(ProtoFlags::ADDR) {
        return;
    }
    op.orig_resid = 0;
    let seen = cursor.current(&socket.rcv).filter(|_| cursor.peek).map(Mbuf::copy);
    let name = cursor.step(&mut socket.rcv).or(seen);
    if matches!(op.caller, Caller::Recvit(_)) {
        op.from = name;
    }
}

/// Takes control information; where nobody wants it, it is thrown away, and rights in it are lost.
fn take_control(cx: &mut Context<'_>, op: &mut Soreceive, cursor: &mut Cursor) -> Result<(), Errno> {
    let wanted = matches!(&op.caller, Caller::Recvit(recvit) if recvit.wants_control());
    loop {
        let socket = &mut cx.kernel.sockets[op.so];
        let Some(m) = cursor.current(&socket.rcv).filter(|m| m.kind == MbufType::Control) else {
            return Ok(());
        };
        let seen = (wanted && cursor.peek).then(|| m.copy());
        let family = socket.proto.family;
        let taken = cursor.step(&mut socket.rcv);
        if !wanted {
            continue;
        }
        op.orig_resid = 0;
        let Some(mut m) = taken else {
            op.control.extend(seen);
            continue;
        };
        let rights = msg::cmsg_type(&m) == Some(msg::SCM_RIGHTS);
        let externalize = domain(family).and_then(|d| d.externalize).filter(|_| rights);
        let done = externalize.map_or(Ok(()), |externalize| externalize(cx, &mut m));
        op.control.push_back(m);
        done?;
    }
}

/// Takes data, as much as is wanted: the outer result is a sleep, the inner one a fault.
#[inline(always)]
fn take_data(
    cx: &mut Context<'_>,
    op: &mut Soreceive,
    cursor: &mut Cursor,
) -> Result<Result<(), Errno>, Halt> {
    let mut done = Ok(());
    let mut within = 0;
    while op.uio.resid > 0 && done.is_ok() {
        let socket = &mut cx.kernel.sockets[op.so];
        let Some(m) = cursor.current(&socket.rcv) else { break };
        let rest = m.len() - within;
        let eor = m.flags.contains(MbufFlags::EOR);
        socket.state.remove(SockState::RCVATMARK);
        let mut len = rest.min(op.uio.resid as usize);
        let marked = socket.oobmark != 0;
        if marked {
            len = len.min(socket.oobmark.wrapping_sub(op.peeked) as usize);
        }
        if eor && len == rest {
            op.flags.insert(MsgFlags::EOR);
        }
        if len == rest && !cursor.peek {
            // The usual case: the mbuf goes, whether the user takes its bytes or faults.
            if let Some(m) = cursor.step(&mut socket.rcv) {
                done = op.uio.move_out(cx, m.bytes());
                m.free();
            }
        } else {
            let bytes = m.bytes()[within..within + len].to_vec();
            if len == rest {
                cursor.step(&mut socket.rcv);
                within = 0;
            } else if cursor.peek {
                within += len;
            } else {
                socket.rcv.trim_first(len);
            }
            done = op.uio.move_out(cx, &bytes);
        }
        let at_the_mark = marked && count_to_the_mark(cx, op, cursor.peek, len as u32);
        if at_the_mark || op.flags.contains(MsgFlags::EOR) {
            break;
        }
        if op.uio.resid > 0 {
            wait_for_the_rest(&cx.kernel.sockets[op.so], op, cursor)?;
        }
    }
    Ok(done)
}

/// Counts bytes towards the out-of-band mark; true when it is reached.
fn count_to_the_mark(cx: &mut Context<'_>, op: &mut Soreceive, peek: bool, len: u32) -> bool {
    let socket = &mut cx.kernel.sockets[op.so];
    if peek {
        op.peeked += len;
        return op.peeked == socket.oobmark;
    }
    socket.oobmark -= len;
    if socket.oobmark == 0 {
        socket.state.insert(SockState::RCVATMARK);
    }
    socket.oobmark == 0
}

/// With MSG_WAITALL, sleeps when the record is used up but not all is there; the lock stays held.
/// A fault that happened before is forgotten, as in the original.
#[inline]
fn wait_for_the_rest(socket: &Socket, op: &Soreceive, cursor: &Cursor) -> Result<(), Halt> {
    let wanted = op.flags.contains(MsgFlags::WAITALL) && op.uio.resid > 0;
    if !wanted || cursor.current(&socket.rcv).is_some() {
        return Ok(());
    }
    if socket.sendallatonce() || cursor.more_records(&socket.rcv) {
        return Ok(());
    }
    if socket.error.is_some() || socket.state.contains(SockState::CANTRCVMORE) {
        return Ok(());
    }
    Err(Halt::Wait(At::All))
}
