//! Message queues.
//!
//! The original keeps text in a pool of pieces of 8 bytes; here a message owns its text, and pieces are
//! counted only.
//!
//! 2.1 counterpart: kern/sysv_msg.c.

use std::collections::VecDeque;

use syscalls::errno::Errno;
use syscalls::flags::IpcFlags;
use syscalls::layout::MsqidDs;

use super::perm::{self, ACCESS, CONTROL, PRIVATE, Perm, READ, WRITE, command};
use super::wait_for;
use crate::kernel::kmem::place;
use crate::kernel::synch::{Channel, Interruption, sleep};
use crate::kernel::{Context, Resume, Sysret, Wake};

/// Queues (MSGMNI).
pub(super) const MSGMNI: usize = 40;
/// Messages in all queues (MSGTQL).
const MSGTQL: usize = 40;
/// Bytes of a queue (MSGMNB).
const MSGMNB: u32 = 2048;
/// Bytes of a piece, and the number of them (MSGSSZ, MSGSEG).
const MSGSSZ: u32 = 8;
const MSGSEG: u32 = 2048;
/// Somebody waits for room or copies text (MSG_LOCKED).
const LOCKED: u16 = 0o1000;
/// Longer messages are cut (MSG_NOERROR).
const NOERROR: u32 = 0o10000;

/// A message (`struct msg`).
#[derive(Clone, Debug)]
struct Message {
    kind: i32,
    len: u32,
    /// Whole pieces.
    text: Vec<u8>,
    /// Which of the headers of all messages it has.
    header: usize,
}

/// A queue (`struct msqid_ds`).
#[derive(Clone, Debug, Default)]
struct Queue {
    perm: Perm,
    messages: VecDeque<Message>,
    /// Bytes in it.
    cbytes: u32,
    /// Most bytes in it; 0 for a free slot.
    qbytes: u32,
    last_sender: i32,
    last_receiver: i32,
    sent: i32,
    received: i32,
    changed: i32,
}

/// All queues.
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Queues {
    queues: [Queue; MSGMNI],
    /// Headers that are free; the last one, which was freed last, is used first.
    headers: Vec<usize>,
    free_pieces: u32,
}

impl Default for Queues {
    fn default() -> Self {
        let queues = std::array::from_fn(|_| Queue::default());
        Self { queues, headers: (0..MSGTQL).rev().collect(), free_pieces: MSGSEG }
    }
}

/// Pieces that so many bytes take.
fn pieces(len: u32) -> u32 {
    len.div_ceil(MSGSSZ)
}

impl Queues {
    fn find(&self, id: u32) -> Result<(usize, &Queue), Errno> {
        let slot = perm::slot(id);
        match self.queues.get(slot) {
            Some(queue) if queue.qbytes != 0 && queue.perm.is_of(id) => Ok((slot, queue)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Gives back what a message holds (`msg_freehdr`).
    fn free(&mut self, header: usize, len: u32) {
        self.free_pieces += pieces(len);
        self.headers.push(header);
    }

    /// What users see of a queue.
    pub(in crate::kernel) fn layout(&self, slot: usize) -> MsqidDs {
        let Some(queue) = self.queues.get(slot) else { return MsqidDs::default() };
        let at = |message: Option<&Message>| message.map_or(0, |message| place::message(message.header));
        MsqidDs {
            perm: queue.perm.layout(),
            first: at(queue.messages.front()).into(),
            last: at(queue.messages.back()).into(),
            cbytes: queue.cbytes.into(),
            qnum: (queue.messages.len() as u32).into(),
            qbytes: queue.qbytes.into(),
            lspid: queue.last_sender.into(),
            lrpid: queue.last_receiver.into(),
            stime: queue.sent.into(),
            rtime: queue.received.into(),
            ctime: queue.changed.into(),
            ..MsqidDs::default()
        }
    }
}

fn channel(slot: usize) -> Channel {
    Channel::Ipc(0x100 | slot as u32)
}

/// Looks at or changes a queue (`msgctl`).
pub(super) fn msgctl(cx: &mut Context<'_>, id: u32, what: u32, buffer: u32) -> Result<i32, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    let now = cx.kernel.clock.seconds();
    let (slot, queue) = cx.kernel.ipc.msg.find(id)?;
    match what {
        command::RMID => {
            queue.perm.check(&cred, CONTROL)?;
            let table = &mut cx.kernel.ipc.msg;
            for message in std::mem::take(&mut table.queues[slot].messages) {
                table.free(message.header, message.len);
            }
            (table.queues[slot].cbytes, table.queues[slot].qbytes) = (0, 0);
            cx.kernel.wakeup(channel(slot));
        }
        command::SET => {
            queue.perm.check(&cred, CONTROL)?;
            let most = queue.qbytes;
            let wanted: MsqidDs = cx.read(buffer)?;
            let qbytes = wanted.qbytes.get();
            if qbytes > most && !cred.is_superuser() {
                return Err(Errno::EPERM);
            }
            if qbytes == 0 {
                return Err(Errno::EINVAL);
            }
            let queue = &mut cx.kernel.ipc.msg.queues[slot];
            queue.perm.change(&wanted.perm);
            queue.qbytes = qbytes.min(MSGMNB);
            queue.changed = now;
        }
        command::STAT => {
            queue.perm.check(&cred, READ)?;
            let state = cx.kernel.ipc.msg.layout(slot);
            cx.write(buffer, &state)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Finds a queue by its key, or makes one (`msgget`).
pub(super) fn msgget(cx: &mut Context<'_>, key: i32, flags: u32) -> Result<i32, Errno> {
    let options = IpcFlags::from_bits_retain(flags);
    let cred = cx.proc().cred.ucred.clone();
    let now = cx.kernel.clock.seconds();
    let table = &mut cx.kernel.ipc.msg;
    let known = |queue: &Queue| queue.qbytes != 0 && queue.perm.key == key;
    if key != PRIVATE
        && let Some(slot) = table.queues.iter().position(known)
    {
        if options.contains(IpcFlags::CREAT | IpcFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        let perm = &table.queues[slot].perm;
        perm.check(&cred, flags & 0o700)?;
        return Ok(perm.id(slot));
    }
    if key != PRIVATE && !options.contains(IpcFlags::CREAT) {
        return Err(Errno::ENOENT);
    }
    let free = |queue: &Queue| queue.qbytes == 0 && queue.perm.mode & LOCKED == 0;
    let slot = table.queues.iter().position(free).ok_or(Errno::ENOSPC)?;
    let mut perm = table.queues[slot].perm;
    perm.own(&cred);
    perm.key = key;
    perm.mode = (flags & ACCESS) as u16;
    perm.seq = perm.seq.wrapping_add(1);
    let id = perm.id(slot);
    table.queues[slot] = Queue { perm, qbytes: MSGMNB, changed: now, ..Queue::default() };
    Ok(id)
}

/// A call of msgsnd.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    slot: usize,
    message: u32,
    len: u32,
    flags: u32,
    /// While it sleeps: it has locked the queue against later senders.
    owner: bool,
}

/// Puts a message into a queue (`msgsnd`).
pub(super) fn msgsnd(cx: &mut Context<'_>, id: u32, message: u32, len: u32, flags: u32) -> Sysret<i32> {
    let (slot, queue) = cx.kernel.ipc.msg.find(id)?;
    queue.perm.check(&cx.proc().cred.ucred, WRITE)?;
    send(cx, Sending { slot, message, len, flags, owner: false })
}

/// Goes on with msgsnd after a sleep.  A queue that took the removed one's place takes the message.
pub(super) fn resume_send(cx: &mut Context<'_>, sending: Sending, wake: Wake) -> Sysret<i32> {
    let queue = &mut cx.kernel.ipc.msg.queues[sending.slot];
    if sending.owner {
        queue.perm.mode &= !LOCKED;
    }
    if let Wake::Interrupted(_) = wake {
        return Err(Interruption::Eintr.into());
    }
    if queue.qbytes == 0 {
        return Err(Errno::EINVAL.into());
    }
    send(cx, sending)
}

fn send(cx: &mut Context<'_>, sending: Sending) -> Sysret<i32> {
    let Sending { slot, message, len, flags, .. } = sending;
    let table = &mut cx.kernel.ipc.msg;
    let queue = &mut table.queues[slot];
    if len > queue.qbytes {
        return Err(Errno::EINVAL.into());
    }
    let locked = queue.perm.mode & LOCKED != 0;
    let header = table.headers.last().copied();
    let room = !locked && len + queue.cbytes <= queue.qbytes && pieces(len) <= table.free_pieces;
    let Some(header) = header.filter(|_| room) else {
        if IpcFlags::from_bits_retain(flags).contains(IpcFlags::NOWAIT) {
            return Err(Errno::EAGAIN.into());
        }
        queue.perm.mode |= LOCKED;
        let sending = Sending { owner: !locked, ..sending };
        return sleep(wait_for(channel(slot), "msgwait"), Resume::Ipc(super::Resume::Msgsnd(sending)));
    };
    let copied = copy_in(cx, message, len);
    cx.kernel.wakeup(channel(slot));
    let (kind, text) = copied?;
    let (pid, now) = (cx.proc().pid, cx.kernel.clock.seconds());
    let table = &mut cx.kernel.ipc.msg;
    table.headers.pop();
    table.free_pieces -= pieces(len);
    let queue = &mut table.queues[slot];
    queue.messages.push_back(Message { kind, len, text, header });
    queue.cbytes += len;
    (queue.last_sender, queue.sent) = (pid, now);
    Ok(0)
}

/// The type of a message, which must be positive, and its text in whole pieces.
fn copy_in(cx: &Context<'_>, message: u32, len: u32) -> Result<(i32, Vec<u8>), Errno> {
    let kind = i32::from_le_bytes(cx.read(message)?);
    if kind < 1 {
        return Err(Errno::EINVAL);
    }
    let mut text = vec![0; (pieces(len) * MSGSSZ) as usize];
    if let Some(text) = text.get_mut(..len as usize).filter(|text| !text.is_empty()) {
        cx.copyin(message.wrapping_add(4), text)?;
    }
    Ok((kind, text))
}

/// A call of msgrcv.
#[derive(Clone, Copy, Debug)]
pub struct Receiving {
    slot: usize,
    id: u32,
    message: u32,
    len: u32,
    kind: i32,
    flags: u32,
}

/// Takes a message out of a queue (`msgrcv`).
pub(super) fn msgrcv(
    cx: &mut Context<'_>,
    id: u32,
    message: u32,
    len: u32,
    kind: i32,
    flags: u32,
) -> Sysret<i32> {
    let (slot, queue) = cx.kernel.ipc.msg.find(id)?;
    queue.perm.check(&cx.proc().cred.ucred, READ)?;
    receive(cx, Receiving { slot, id, message, len, kind, flags })
}

/// Goes on with msgrcv after a sleep.
pub(super) fn resume_receive(cx: &mut Context<'_>, receiving: Receiving, wake: Wake) -> Sysret<i32> {
    if let Wake::Interrupted(_) = wake {
        return Err(Interruption::Eintr.into());
    }
    cx.kernel.ipc.msg.find(receiving.id)?;
    receive(cx, receiving)
}

fn receive(cx: &mut Context<'_>, receiving: Receiving) -> Sysret<i32> {
    let Receiving { slot, message: to, len, kind, flags, .. } = receiving;
    let (pid, now) = (cx.proc().pid, cx.kernel.clock.seconds());
    let table = &mut cx.kernel.ipc.msg;
    let queue = &mut table.queues[slot];
    // Of a negative type the first one that is not larger, which need not be the smallest.
    let matches = |m: &Message| kind == 0 || m.kind == kind || m.kind <= kind.wrapping_neg();
    let Some(at) = queue.messages.iter().position(matches) else {
        if IpcFlags::from_bits_retain(flags).contains(IpcFlags::NOWAIT) {
            return Err(Errno::EAGAIN.into());
        }
        return sleep(wait_for(channel(slot), "msgwait"), Resume::Ipc(super::Resume::Msgrcv(receiving)));
    };
    if queue.messages.get(at).is_some_and(|m| len < m.len) && flags & NOERROR == 0 {
        return Err(Errno::E2BIG.into());
    }
    let Some(message) = queue.messages.remove(at) else { return Err(Errno::EAGAIN.into()) };
    queue.cbytes -= message.len;
    (queue.last_receiver, queue.received) = (pid, now);
    // It is gone also where it cannot be stored.
    table.free(message.header, message.len);
    let len = len.min(message.len);
    let stored = copy_out(cx, to, &message, len);
    cx.kernel.wakeup(channel(slot));
    stored?;
    Ok(len.cast_signed())
}

/// Stores a message piece by piece: whole ones where there is more than one, up to 7 bytes too many.
fn copy_out(cx: &mut Context<'_>, to: u32, message: &Message, len: u32) -> Result<(), Errno> {
    cx.copyout(to, &message.kind.to_le_bytes())?;
    let stored = if len > MSGSSZ { pieces(len) * MSGSSZ } else { len };
    let text = message.text.get(..stored as usize).unwrap_or(&message.text);
    let mut at = to.wrapping_add(4);
    for piece in text.chunks(MSGSSZ as usize) {
        cx.copyout(at, piece)?;
        at = at.wrapping_add(MSGSSZ);
    }
    Ok(())
}
