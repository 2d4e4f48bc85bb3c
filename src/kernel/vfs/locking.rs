//! Advisory locks as calls see them: fcntl, flock and the lock flags of open, with sleeping.
//!
//! What is granted here is held on the host, too ([`Outside`]): other runs and programs of the host are excluded
//! and exclude us.  The host is only asked, never waited in; a call that its lock makes wait asks again later.
//! Not so in a run that must be repeatable, where nothing of the host shows.
//!
//! 2.1 counterpart: the sleeping half of kern/kern_lockf.c, and fcntl, flock and closef in
//! kern/kern_descrip.c.

use crate::kernel::shared::Shared;
use std::collections::HashMap;
use std::rc::Rc;

use syscalls::Errno;
use syscalls::layout::Flock;

use super::continuation::Resume;
use super::inode::{Inode, Outside};
use super::lock::{Claim, Kind, LockList, Owner};
use super::vnode::{VnodeId, Vtype};
use crate::host::fs::Place;
use crate::host::lock::{Holder, Mode, Range};
use crate::kernel::file::{FileId, FileObject};
use crate::kernel::proc::{Flags, ProcId};
use crate::kernel::synch::{self, Channel, Sleep, priority};
use crate::kernel::{Context, Kernel, Sysret, Wake};

/// How far a search for deadlocks goes (MAXDEPTH).
const MAXDEPTH: usize = 50;
/// Numbers of `l_type`.
const F_RDLCK: i16 = 1;
/// See [`F_RDLCK`].
const F_UNLCK: i16 = 2;
/// See [`F_RDLCK`].
const F_WRLCK: i16 = 3;
/// Locked ranges of a file, of all owners together; 2.1 goes on for as long as its kernel has memory.
const MOST_RANGES: usize = 32_768;
/// Longest time between two questions whether the host has a lock free, in ticks.
const RETRY_TICKS: u32 = 10;
/// From the first byte to the end of the file, wherever it is.
const WHOLE: (i64, i64) = (0, -1);

/// Who waits for locks.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    /// What each waiting process waits for: the number of its claim, and the owner of the lock before it.
    by_process: HashMap<ProcId, (u64, Owner)>,
    last: u64,
}

/// A lock that is asked for, until it is granted.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    vnode: VnodeId,
    claim: Claim,
    wait: bool,
    /// The number under which it is queued.
    number: u64,
    /// How often the host has refused it.
    refused: u32,
}

impl Pending {
    fn new(vnode: VnodeId, claim: Claim, wait: bool) -> Pending {
        Pending { vnode, claim, wait, number: 0, refused: 0 }
    }
}

/// What a sleeping claim becomes: the continuation of its call.
type Wrap<'a> = &'a mut dyn FnMut(Pending) -> Resume;

/// Sets or clears (`l_type`) an advisory lock, and waits for it where asked to (`VOP_ADVLOCK`).
pub fn advlock(cx: &mut Context<'_>, vnode: VnodeId, owner: Owner, lock: &Flock, wait: bool) -> Sysret<()> {
    lockable(cx, vnode)?;
    let kind = match lock.kind.get() {
        F_RDLCK => Kind::Read,
        F_WRLCK => Kind::Write,
        F_UNLCK if cx.kernel.vfs.vnode(vnode).inode.locks.borrow().is_empty() => return Ok(()),
        F_UNLCK => {
            let range = range(cx, vnode, lock)?;
            clear(cx.kernel, vnode, owner, range);
            return Ok(());
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    if matches!(owner, Owner::Process(_)) {
        cx.proc_mut().flags.insert(Flags::ADVLOCK);
    }
    let (start, end) = range(cx, vnode, lock)?;
    attempt(cx, Pending::new(vnode, Claim { start, end, owner, kind }, wait), &mut Resume::Lock)
}

/// Replaces a description of a record lock of the calling process by that of the first lock that forbids
/// it (`VOP_ADVLOCK` with F_GETLK).
pub fn getlock(cx: &mut Context<'_>, vnode: VnodeId, lock: &mut Flock) -> Result<(), Errno> {
    lockable(cx, vnode)?;
    let inode = Shared::clone(&cx.kernel.vfs.vnode(vnode).inode);
    let outside = is_outside(cx.kernel, vnode);
    if inode.locks.borrow().is_empty() && !outside {
        lock.kind.set(F_UNLCK);
        return Ok(());
    }
    let (start, end) = match range(cx, vnode, lock) {
        // A file that nobody of the guest has locked is asked nothing.
        Err(_) if inode.locks.borrow().is_empty() => {
            lock.kind.set(F_UNLCK);
            return Ok(());
        }
        range => range?,
    };
    let kind = if lock.kind.get() == F_WRLCK { Kind::Write } else { Kind::Read };
    let claim = Claim { start, end, owner: Owner::Process(cx.id), kind };
    let inside = inode.locks.borrow().blocker(&claim);
    let Some(held) = inside.or_else(|| foreign(cx.kernel, vnode, &inode, &claim).filter(|_| outside)) else {
        lock.kind.set(F_UNLCK);
        return Ok(());
    };
    lock.kind.set(held.kind as i16);
    lock.whence.set(0);
    lock.start.set(held.start);
    lock.len.set(if held.end == -1 { 0 } else { held.end.wrapping_sub(held.start).wrapping_add(1) });
    lock.pid.set(match held.owner {
        Owner::Process(id) => cx.kernel.procs.get(id).map_or(0, |proc| proc.pid),
        Owner::File(_) | Owner::Foreign => -1,
    });
    Ok(())
}

/// Takes the lock of an open file.
pub(super) fn lock_file(
    cx: &mut Context<'_>,
    file: FileId,
    vnode: VnodeId,
    exclusive: bool,
    wait: bool,
    wrap: Wrap<'_>,
) -> Sysret<()> {
    lockable(cx, vnode)?;
    let kind = if exclusive { Kind::Write } else { Kind::Read };
    let (start, end) = WHOLE;
    attempt(cx, Pending::new(vnode, Claim { start, end, owner: Owner::File(file), kind }, wait), wrap)
}

/// Drops the record locks that the calling process holds on a file, as any close of it does.
pub fn release_process_locks(cx: &mut Context<'_>, file: FileId) {
    if cx.proc().flags.contains(Flags::ADVLOCK)
        && let FileObject::Vnode(vnode) = cx.kernel.files[file].object
    {
        clear(cx.kernel, vnode, Owner::Process(cx.id), WHOLE);
    }
}

/// Drops the lock that belongs to an open file.
pub fn release_file_locks(cx: &mut Context<'_>, file: FileId) {
    if let FileObject::Vnode(vnode) = cx.kernel.files[file].object {
        clear(cx.kernel, vnode, Owner::File(file), WHOLE);
    }
}

/// Goes on with a claim after its sleep.
pub(super) fn resume(cx: &mut Context<'_>, pending: Pending, wake: Wake) -> Sysret<()> {
    resume_with(cx, pending, wake, &mut Resume::Lock)
}

/// The same, for calls that do more once they have the lock.
pub(super) fn resume_with(cx: &mut Context<'_>, pending: Pending, wake: Wake, wrap: Wrap<'_>) -> Sysret<()> {
    cx.kernel.vfs.lock_waits.by_process.remove(&cx.id);
    if let Wake::Interrupted(how) = wake {
        cx.kernel.vfs.vnode(pending.vnode).inode.locks.borrow_mut().dequeue(pending.number);
        cx.kernel.vfs.vrele(pending.vnode);
        return Err(how.into());
    }
    let result = attempt(cx, pending, wrap);
    // The reference of the sleep that is over; a further sleep has its own.
    cx.kernel.vfs.vrele(pending.vnode);
    result
}

/// Takes the lock, or queues for it (`lf_setlock`).
fn attempt(cx: &mut Context<'_>, mut pending: Pending, wrap: Wrap<'_>) -> Sysret<()> {
    let Pending { vnode, claim, wait, .. } = pending;
    let inode = Shared::clone(&cx.kernel.vfs.vnode(vnode).inode);
    if inode.locks.borrow().count() >= MOST_RANGES {
        return Err(Errno::ENOLCK.into());
    }
    let inside = inode.locks.borrow().blocker(&claim);
    if inside.is_none() && admitted(cx.kernel, vnode, &inode, &claim) {
        let woken = inode.locks.borrow_mut().add(claim);
        wake(cx.kernel, woken);
        return Ok(());
    }
    if !wait {
        return Err(Errno::EAGAIN.into());
    }
    let record = matches!(claim.owner, Owner::Process(_));
    if let Some(blocker) = &inside
        && record
        && deadlocks(cx, blocker.owner)
    {
        return Err(Errno::EDEADLK.into());
    }
    if !record && claim.kind == Kind::Write {
        // Waiting for an exclusive lock gives up the shared one.
        clear(cx.kernel, vnode, claim.owner, WHOLE);
    }
    let waits = &mut cx.kernel.vfs.lock_waits;
    waits.last += 1;
    pending.number = waits.last;
    let timeout_ticks = match inside {
        Some(blocker) => {
            pending.refused = 0;
            waits.by_process.insert(cx.id, (pending.number, blocker.owner));
            inode.locks.borrow_mut().enqueue(&claim, pending.number);
            None
        }
        // Nobody tells when the host's lock is free.
        None => {
            pending.refused = (pending.refused + 1).min(RETRY_TICKS);
            Some(pending.refused)
        }
    };
    cx.kernel.vfs.vref(vnode);
    let urgency = if claim.kind == Kind::Write { 4 } else { 0 };
    let sleep = Sleep {
        channel: Channel::Lock(pending.number),
        priority: priority::PLOCK + urgency,
        catch: true,
        wmesg: "lockf",
        timeout_ticks,
    };
    synch::sleep(sleep, crate::kernel::Resume::Vfs(wrap(pending)))
}

/// Whether the owner of a lock waits, over others, for the calling process.
fn deadlocks(cx: &Context<'_>, mut owner: Owner) -> bool {
    for _ in 0..MAXDEPTH {
        let Owner::Process(process) = owner else { return false };
        let Some((_, next)) = cx.kernel.vfs.lock_waits.by_process.get(&process) else { return false };
        if *next == Owner::Process(cx.id) {
            return true;
        }
        owner = *next;
    }
    false
}

/// Takes a range away from an owner and wakes who waited for it.
fn clear(kernel: &mut Kernel, vnode: VnodeId, owner: Owner, (start, end): (i64, i64)) {
    let range = Claim { start, end, owner, kind: Kind::Write };
    let inode = Shared::clone(&kernel.vfs.vnode(vnode).inode);
    let woken = inode.locks.borrow_mut().clear(&range);
    told_less(&inode, (start, end));
    wake(kernel, woken);
}

/// Whether locks of a file are also held on the host.
fn is_outside(kernel: &Kernel, vnode: VnodeId) -> bool {
    !kernel.clock.is_virtual() && !kernel.vfs.is_repeatable() && host_place(kernel, vnode).is_some()
}

/// Takes a lock that nothing inside forbids on the host; false where somebody outside has one.  Where the host
/// cannot say, nobody outside has.
fn admitted(kernel: &Kernel, vnode: VnodeId, inode: &Inode, claim: &Claim) -> bool {
    let Some(range) = host_range((claim.start, claim.end)).filter(|_| is_outside(kernel, vnode)) else {
        return true;
    };
    let mut outside = inode.outside.borrow_mut();
    if outside.is_none() {
        let Some(holder) = new_holder(kernel, vnode) else { return true };
        *outside = Some(Outside { holder: Rc::new(holder), whole: Mode::Unlocked });
    }
    let Some(Outside { holder, whole }) = outside.as_mut() else { return true };
    let mode = mode(Some(claim.kind));
    // All locks of ours in the range are the caller's own or shared: this one is what they come to.
    let granted = holder.set_range(range, mode)
        && (matches!(claim.owner, Owner::Process(_)) || {
            let granted = holder.set_whole(mode, *whole);
            if granted {
                *whole = mode;
            } else {
                tell_ranges(holder, &inode.locks.borrow(), (claim.start, claim.end));
            }
            granted
        });
    if !granted && inode.locks.borrow().is_empty() {
        *outside = None;
    }
    granted
}

/// The host's file; what an overlay has is its own alone.
fn host_place(kernel: &Kernel, vnode: VnodeId) -> Option<&Place> {
    kernel.vfs.vnode(vnode).host()?.place.on_host()
}

fn new_holder(kernel: &Kernel, vnode: VnodeId) -> Option<Holder> {
    Holder::new(host_place(kernel, vnode)?, !kernel.vfs.read_only(vnode)).ok()
}

/// Tells the host that locks in a range were given up.
fn told_less(inode: &Inode, span: (i64, i64)) {
    let mut outside = inode.outside.borrow_mut();
    let Some(Outside { holder, whole }) = outside.as_mut() else { return };
    let locks = inode.locks.borrow();
    if locks.is_empty() {
        *outside = None;
        return;
    }
    tell_ranges(holder, &locks, span);
    let left = mode(locks.strongest_of_files());
    holder.set_whole(left, *whole);
    *whole = left;
}

fn tell_ranges(holder: &Holder, locks: &LockList, span: (i64, i64)) {
    if host_range(span).is_none() {
        return;
    }
    for (start, end, kind) in locks.strongest(span) {
        if let Some(range) = host_range((start, end)) {
            holder.set_range(range, mode(kind));
        }
    }
}

/// The first lock of somebody outside that forbids a claim.
fn foreign(kernel: &Kernel, vnode: VnodeId, inode: &Inode, claim: &Claim) -> Option<Claim> {
    let range = host_range((claim.start, claim.end))?;
    let wanted = mode(Some(claim.kind));
    let found = match &*inode.outside.borrow() {
        Some(outside) => outside.holder.foreign(range, wanted)?,
        None => new_holder(kernel, vnode)?.foreign(range, wanted)?,
    };
    let Range { start, len } = found.range;
    let end = if len == 0 { -1 } else { start.saturating_add(len - 1) };
    let kind = if found.exclusive { Kind::Write } else { Kind::Read };
    Some(Claim { start, end, owner: Owner::Foreign, kind })
}

/// A range as the host counts it; the original takes lengths that the host does not.
fn host_range((start, end): (i64, i64)) -> Option<Range> {
    let len = match end {
        -1 | i64::MAX => 0,
        _ => end.checked_sub(start)?.checked_add(1).filter(|&len| len > 0)?,
    };
    (start >= 0).then_some(Range { start, len })
}

fn mode(kind: Option<Kind>) -> Mode {
    match kind {
        None => Mode::Unlocked,
        Some(Kind::Read) => Mode::Shared,
        Some(Kind::Write) => Mode::Exclusive,
    }
}

fn wake(kernel: &mut Kernel, woken: Vec<u64>) {
    for number in woken {
        kernel.vfs.lock_waits.by_process.retain(|_, (other, _)| *other != number);
        kernel.wakeup(Channel::Lock(number));
    }
}

/// Fifos and devices have no locks.
fn lockable(cx: &Context<'_>, vnode: VnodeId) -> Result<(), Errno> {
    match cx.kernel.vfs.vnode(vnode).kind {
        Vtype::Fifo | Vtype::Chr | Vtype::Blk => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}

/// First and last byte of what a structure means; lengths are not checked.
fn range(cx: &Context<'_>, vnode: VnodeId, fl: &Flock) -> Result<(i64, i64), Errno> {
    let start = match fl.whence.get() {
        0 | 1 => fl.start.get(),
        2 => fl.start.get().wrapping_add(cx.kernel.vfs.size(vnode)?.cast_signed()),
        _ => return Err(Errno::EINVAL),
    };
    if start < 0 {
        return Err(Errno::EINVAL);
    }
    let len = fl.len.get();
    Ok((start, if len == 0 { -1 } else { start.wrapping_add(len).wrapping_sub(1) }))
}
