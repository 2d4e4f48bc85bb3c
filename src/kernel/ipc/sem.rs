//! Semaphores.
//!
//! 2.1 counterpart: kern/sysv_sem.c.

use syscalls::errno::Errno;
use syscalls::flags::IpcFlags;
use syscalls::layout::{Sembuf, SemidDs, U16};

use super::perm::{self, ACCESS, CONTROL, PRIVATE, Perm, READ, WRITE, command};
use super::undo::Undo;
use super::wait_for;
use crate::kernel::kmem::place;
use crate::kernel::synch::{Channel, Interruption, sleep};
use crate::kernel::{Context, Resume, Sysret, Wake};

/// Sets (SEMMNI).
pub(super) const SEMMNI: usize = 10;
/// Semaphores of all sets (SEMMNS), and the most of one (SEMMSL).
const SEMMNS: usize = 60;
/// Operations of one call (MAX_SOPS).
const MAX_SOPS: usize = 5;
/// The set's slot is taken (SEM_ALLOC).
const ALLOCATED: u16 = 0o1000;
/// The operation is taken back when the process ends (SEM_UNDO).
const UNDO: i16 = 0o10000;
/// Bits of a sequence number.
const SEQUENCE: u16 = 0x7fff;

/// Commands of semctl beyond those of all kinds.
mod own_command {
    pub(super) const GETNCNT: u32 = 3;
    pub(super) const GETPID: u32 = 4;
    pub(super) const GETVAL: u32 = 5;
    pub(super) const GETALL: u32 = 6;
    pub(super) const GETZCNT: u32 = 7;
    pub(super) const SETVAL: u32 = 8;
    pub(super) const SETALL: u32 = 9;
}

/// A semaphore (`struct sem`).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernel) struct Semaphore {
    pub(super) value: u16,
    /// Who operated on it last.
    pid: i32,
    /// Processes that wait for it to grow.
    growth_waiters: u16,
    /// Processes that wait for it to be zero.
    zero_waiters: u16,
}

/// A set (`struct semid_ds`).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernel) struct Set {
    perm: Perm,
    /// Place of its first semaphore.
    base: usize,
    count: u16,
    changed: i32,
}

/// All sets and semaphores.  The semaphores of a set lie behind each other below `total`, those of all
/// sets without a gap.
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Semaphores {
    sets: [Set; SEMMNI],
    semaphores: [Semaphore; SEMMNS],
    total: usize,
    pub(super) undo: Undo,
}

impl Default for Semaphores {
    fn default() -> Self {
        Self {
            sets: [Set::default(); SEMMNI],
            semaphores: [Semaphore::default(); SEMMNS],
            total: 0,
            undo: Undo::default(),
        }
    }
}

impl Semaphores {
    /// A semaphore of a set.
    pub(super) fn semaphore_mut(&mut self, set: usize, number: u16) -> Option<&mut Semaphore> {
        let set = self.sets.get(set).filter(|set| number < set.count)?;
        self.semaphores.get_mut(set.base + usize::from(number))
    }

    /// The slot and the set that an identifier means.
    fn find(&self, id: u32) -> Result<(usize, &Set), Errno> {
        let slot = perm::slot(id);
        match self.sets.get(slot) {
            Some(set) if set.perm.mode & ALLOCATED != 0 && set.perm.is_of(id) => Ok((slot, set)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Removes a set, whose slot is its remover's from then on; later ones move down.
    fn remove(&mut self, slot: usize, by: u16) {
        let Set { base, count, .. } = self.sets[slot];
        let count = usize::from(count);
        self.semaphores.copy_within(base + count..self.total, base);
        self.total -= count;
        for set in &mut self.sets {
            if set.perm.mode & ALLOCATED != 0 && set.base > base {
                set.base -= count;
            }
        }
        self.sets[slot].perm.mode = 0;
        (self.sets[slot].perm.cuid, self.sets[slot].perm.uid) = (by, by);
        self.undo.forget(slot, None);
    }

    /// What users see of a set.
    pub(in crate::kernel) fn layout(&self, slot: usize) -> SemidDs {
        let Some(set) = self.sets.get(slot) else { return SemidDs::default() };
        SemidDs {
            perm: set.perm.layout(),
            base: place::semaphore(set.base).into(),
            nsems: set.count.into(),
            ctime: set.changed.into(),
            ..SemidDs::default()
        }
    }
}

/// What those sleep on who wait for a set.
pub(super) fn channel(slot: usize) -> Channel {
    Channel::Ipc(slot as u32)
}

/// Finds a set by its key, or makes one (`semget`).
pub(super) fn semget(cx: &mut Context<'_>, key: i32, count: i32, flags: u32) -> Result<i32, Errno> {
    let options = IpcFlags::from_bits_retain(flags);
    let cred = cx.proc().cred.ucred.clone();
    let now = cx.kernel.clock.seconds();
    let table = &mut cx.kernel.ipc.sem;
    let known = |set: &Set| set.perm.mode & ALLOCATED != 0 && set.perm.key == key;
    if key != PRIVATE
        && let Some(slot) = table.sets.iter().position(known)
    {
        let set = &table.sets[slot];
        set.perm.check(&cred, flags & 0o700)?;
        if count > 0 && i32::from(set.count) < count {
            return Err(Errno::EINVAL);
        }
        if options.contains(IpcFlags::CREAT | IpcFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        return Ok(set.perm.id(slot));
    }
    if key != PRIVATE && !options.contains(IpcFlags::CREAT) {
        return Err(Errno::ENOENT);
    }
    let wanted = usize::try_from(count).ok().filter(|n| (1..=SEMMNS).contains(n)).ok_or(Errno::EINVAL)?;
    if wanted > SEMMNS - table.total {
        return Err(Errno::ENOSPC);
    }
    let free = |set: &Set| set.perm.mode & ALLOCATED == 0;
    let slot = table.sets.iter().position(free).ok_or(Errno::ENOSPC)?;
    let base = table.total;
    table.total += wanted;
    table.semaphores[base..table.total].fill(Semaphore::default());
    let set = &mut table.sets[slot];
    set.perm.own(&cred);
    set.perm.key = key;
    set.perm.mode = (flags & ACCESS) as u16 | ALLOCATED;
    set.perm.seq = set.perm.seq.wrapping_add(1) & SEQUENCE;
    (set.base, set.count, set.changed) = (base, wanted as u16, now);
    Ok(set.perm.id(slot))
}

/// Looks at or changes a set; the argument is the address of a union (`semctl`).
pub(super) fn semctl(
    cx: &mut Context<'_>,
    id: u32,
    number: i32,
    what: u32,
    union: u32,
) -> Result<i32, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    let (slot, set) = cx.kernel.ipc.sem.find(id)?;
    let need = match what {
        command::RMID | command::SET => CONTROL,
        own_command::SETVAL | own_command::SETALL => WRITE,
        command::STAT | own_command::GETNCNT..=own_command::GETZCNT => READ,
        _ => return Err(Errno::EINVAL),
    };
    set.perm.check(&cred, need)?;
    let set = *set;
    let one = |cx: &Context<'_>| {
        let inside = u16::try_from(number).ok().filter(|&number| number < set.count).ok_or(Errno::EINVAL)?;
        Ok::<_, Errno>((inside, cx.kernel.ipc.sem.semaphores[set.base + usize::from(inside)]))
    };
    let argument = |cx: &Context<'_>| cx.read::<[u8; 4]>(union).map(u32::from_le_bytes);
    match what {
        command::RMID => {
            cx.kernel.ipc.sem.remove(slot, cred.uid as u16);
            cx.kernel.wakeup(channel(slot));
        }
        command::SET => {
            let wanted: SemidDs = cx.read(argument(cx)?)?;
            let now = cx.kernel.clock.seconds();
            let set = &mut cx.kernel.ipc.sem.sets[slot];
            set.perm.change(&wanted.perm);
            set.changed = now;
        }
        command::STAT => {
            let state = cx.kernel.ipc.sem.layout(slot);
            cx.write(argument(cx)?, &state)?;
        }
        own_command::GETNCNT => return Ok(one(cx)?.1.growth_waiters.into()),
        own_command::GETPID => return Ok(one(cx)?.1.pid),
        own_command::GETVAL => return Ok(one(cx)?.1.value.into()),
        own_command::GETZCNT => return Ok(one(cx)?.1.zero_waiters.into()),
        own_command::GETALL => {
            let array = argument(cx)?;
            for n in 0..set.count {
                let value = cx.kernel.ipc.sem.semaphores[set.base + usize::from(n)].value;
                cx.write(array.wrapping_add(2 * u32::from(n)), &U16::new(value))?;
            }
        }
        own_command::SETVAL => {
            let (inside, _) = one(cx)?;
            let value = argument(cx)? as u16;
            cx.kernel.ipc.sem.semaphores[set.base + usize::from(inside)].value = value;
            cx.kernel.ipc.sem.undo.forget(slot, Some(inside));
            cx.kernel.wakeup(channel(slot));
        }
        own_command::SETALL => {
            let array = argument(cx)?;
            let result = set_all(cx, &set, array);
            cx.kernel.ipc.sem.undo.forget(slot, None);
            cx.kernel.wakeup(channel(slot));
            result?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Sets the semaphores of a set as far as the array can be read.
fn set_all(cx: &mut Context<'_>, set: &Set, array: u32) -> Result<(), Errno> {
    for n in 0..set.count {
        let value: U16 = cx.read(array.wrapping_add(2 * u32::from(n)))?;
        cx.kernel.ipc.sem.semaphores[set.base + usize::from(n)].value = value.get();
    }
    Ok(())
}

/// A call of semop: the set, its identifier, and the copied operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Semop {
    slot: usize,
    id: u32,
    operations: [Sembuf; MAX_SOPS],
    count: usize,
}

/// A call of semop that sleeps: the semaphore that counts it, by its place when it went to sleep.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    call: Semop,
    place: usize,
    for_zero: bool,
}

/// Does operations on semaphores of a set, all of them or none (`semop`).
pub(super) fn semop(cx: &mut Context<'_>, id: u32, array: u32, count: i32) -> Sysret<i32> {
    let (slot, set) = cx.kernel.ipc.sem.find(id)?;
    set.perm.check(&cx.proc().cred.ucred, WRITE)?;
    if count > MAX_SOPS as i32 {
        return Err(Errno::E2BIG.into());
    }
    // Of a negative count the original copies that many bytes, which seldom is possible.
    let mut bytes = [0; MAX_SOPS * size_of::<Sembuf>()];
    let len = count.cast_unsigned().wrapping_mul(size_of::<Sembuf>() as u32) as usize;
    cx.copyin(array, bytes.get_mut(..len).ok_or(Errno::EFAULT)?)?;
    let operations = zerocopy::transmute!(bytes);
    let call = Semop { slot, id, operations, count: usize::try_from(count).unwrap_or(0) };
    attempt(cx, call)
}

/// Goes on with semop after a sleep.
pub(super) fn resume(cx: &mut Context<'_>, waiting: Waiting, wake: Wake) -> Sysret<i32> {
    let Waiting { call, place, for_zero } = waiting;
    if let Wake::Interrupted(_) = wake {
        // Never restarted.  As in the original the semaphore still counts it.
        return Err(Interruption::Eintr.into());
    }
    cx.kernel.ipc.sem.find(call.id)?;
    if let Some(semaphore) = cx.kernel.ipc.sem.semaphores.get_mut(place) {
        let waiters = if for_zero { &mut semaphore.zero_waiters } else { &mut semaphore.growth_waiters };
        *waiters = waiters.wrapping_sub(1);
    }
    attempt(cx, call)
}

fn attempt(cx: &mut Context<'_>, call: Semop) -> Sysret<i32> {
    let id = cx.id;
    let pid = cx.proc().pid;
    let table = &mut cx.kernel.ipc.sem;
    let operations = &call.operations[..call.count];
    let Set { base, count, .. } = table.sets[call.slot];
    let mut wake = false;
    for (done, operation) in operations.iter().enumerate() {
        let (number, by) = (operation.num.get(), operation.op.get());
        if number >= count {
            // What was done before it stays done, without being taken back at the end of the process.
            return Err(Errno::EFBIG.into());
        }
        let place = base + usize::from(number);
        let semaphore = &mut table.semaphores[place];
        let possible = match by {
            ..0 => by.unsigned_abs() <= semaphore.value,
            0 => semaphore.value == 0,
            1.. => true,
        };
        if possible {
            wake |= by > 0 && semaphore.growth_waiters > 0;
            semaphore.value = semaphore.value.wrapping_add_signed(by);
            wake |= by < 0 && semaphore.value == 0 && semaphore.zero_waiters > 0;
            continue;
        }
        take_back(table, base, &operations[..done]);
        if operation.flg.get() & IpcFlags::NOWAIT.bits() as i16 != 0 {
            return Err(Errno::EAGAIN.into());
        }
        let semaphore = &mut table.semaphores[place];
        let for_zero = by == 0;
        let waiters = if for_zero { &mut semaphore.zero_waiters } else { &mut semaphore.growth_waiters };
        *waiters = waiters.wrapping_add(1);
        let waiting = Waiting { call, place, for_zero };
        return sleep(wait_for(channel(call.slot), "semwait"), Resume::Ipc(super::Resume::Semop(waiting)));
    }
    let lasting = |operation: &&Sembuf| operation.flg.get() & UNDO != 0 && operation.op.get() != 0;
    for (done, operation) in operations.iter().enumerate() {
        if !lasting(&operation) {
            continue;
        }
        let negated = operation.op.get().wrapping_neg();
        if let Err(e) = table.undo.adjust(id, call.slot, operation.num.get(), negated) {
            for earlier in operations[..done].iter().rev().filter(lasting) {
                // There is room: this takes back what has just been entered.
                let _ = table.undo.adjust(id, call.slot, earlier.num.get(), earlier.op.get());
            }
            take_back(table, base, operations);
            return Err(e.into());
        }
    }
    for operation in operations {
        table.semaphores[base + usize::from(operation.num.get())].pid = pid;
    }
    if wake {
        cx.kernel.wakeup(channel(call.slot));
    }
    Ok(0)
}

fn take_back(table: &mut Semaphores, base: usize, operations: &[Sembuf]) {
    for operation in operations {
        let semaphore = &mut table.semaphores[base + usize::from(operation.num.get())];
        semaphore.value = semaphore.value.wrapping_sub(operation.op.get().cast_unsigned());
    }
}
