//! Shared memory.
//!
//! 2.1 counterpart: kern/sysv_shm.c.

use std::io;

use syscalls::errno::Errno;
use syscalls::flags::IpcFlags;
use syscalls::layout::{OshmidDs, ShmidDs};

use super::perm::{self, ACCESS, CONTROL, PRIVATE, Perm, READ, WRITE, command};
use crate::kernel::kmem::place;
use crate::kernel::proc::ProcId;
use crate::kernel::vm::{Placement, map_memory};
use crate::kernel::{Context, Kernel};
use crate::mem::{PAGE_SIZE, Prot, SharedMemory};

/// Segments (SHMMNI).
pub(super) const SHMMNI: usize = 32;
/// Segments that a process can have attached (SHMSEG).
const SHMSEG: usize = 8;
/// Largest segment (SHMMAX), and pages of all of them (SHMALL).
const SHMMAX: u32 = 4 << 20;
const SHMALL: u32 = 1024;
/// States of a slot, in the mode: free, removed while attached, taken.
const FREE: u16 = 0x200;
const REMOVED: u16 = 0x400;
const ALLOCATED: u16 = 0x800;
/// Bits of a sequence number.
const SEQUENCE: u16 = 0x7fff;
/// Options of shmat: without writing; at the page of the address.
const RDONLY: u32 = 0o10000;
const RND: u32 = 0o20000;

/// A segment (`struct shmid_ds`).
#[derive(Clone, Debug)]
struct Segment {
    perm: Perm,
    size: u32,
    last: i32,
    creator: i32,
    attached: i16,
    attach_time: i32,
    detach_time: i32,
    changed: i32,
    memory: Option<SharedMemory>,
}

/// All segments.
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Segments {
    segments: [Segment; SHMMNI],
    /// The slot that was freed last and is taken first.
    last_free: Option<usize>,
    used: usize,
    /// Pages of all segments.
    committed: u32,
}

impl Default for Segments {
    fn default() -> Self {
        let free = Segment {
            perm: Perm { mode: FREE, ..Perm::default() },
            size: 0,
            last: 0,
            creator: 0,
            attached: 0,
            attach_time: 0,
            detach_time: 0,
            changed: 0,
            memory: None,
        };
        let segments = std::array::from_fn(|_| free.clone());
        Self { segments, last_free: Some(0), used: 0, committed: 0 }
    }
}

impl Segments {
    /// Calls `act` with the memory of each segment.
    pub(in crate::kernel) fn each_memory(
        &mut self,
        act: impl FnMut(&mut SharedMemory) -> io::Result<()>,
    ) -> io::Result<()> {
        self.segments.iter_mut().filter_map(|segment| segment.memory.as_mut()).try_for_each(act)
    }
}

/// The segments that a process has attached: address and identifier.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attachments([Option<(u32, u32)>; SHMSEG]);

/// Bytes of whole pages.
fn pages_of(size: u32) -> u32 {
    size.next_multiple_of(PAGE_SIZE)
}

impl Segments {
    /// The segment of an identifier; those that wait for their last detachment have none.
    fn find(&self, id: u32) -> Result<(usize, &Segment), Errno> {
        let slot = perm::slot(id);
        let alive = |segment: &&Segment| segment.perm.mode & (ALLOCATED | REMOVED) == ALLOCATED;
        match self.segments.get(slot).filter(alive) {
            Some(segment) if segment.perm.is_of(id) => Ok((slot, segment)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn deallocate(&mut self, slot: usize) {
        let segment = &mut self.segments[slot];
        segment.memory = None;
        segment.perm.mode = FREE;
        self.committed -= pages_of(segment.size) / PAGE_SIZE;
        self.used -= 1;
        self.last_free = Some(slot);
    }

    /// What users see of a segment.
    pub(in crate::kernel) fn layout(&self, slot: usize) -> ShmidDs {
        let Some(segment) = self.segments.get(slot) else { return ShmidDs::default() };
        ShmidDs {
            perm: segment.perm.layout(),
            segsz: segment.size.cast_signed().into(),
            lpid: segment.last.into(),
            cpid: segment.creator.into(),
            nattch: segment.attached.into(),
            atime: segment.attach_time.into(),
            dtime: segment.detach_time.into(),
            ctime: segment.changed.into(),
            internal: if segment.memory.is_some() { place::segment(slot) } else { 0 }.into(),
            ..ShmidDs::default()
        }
    }

    /// The same in its old form.
    fn old_layout(&self, slot: usize) -> OshmidDs {
        let new = self.layout(slot);
        OshmidDs {
            perm: new.perm,
            segsz: new.segsz,
            cpid: (new.cpid.get() as u16).into(),
            lpid: (new.lpid.get() as u16).into(),
            nattch: new.nattch,
            atime: new.atime,
            dtime: new.dtime,
            ctime: new.ctime,
            handle: new.internal,
            ..OshmidDs::default()
        }
    }
}

/// Finds a segment by its key, or makes one (`shmget`).
pub(super) fn shmget(cx: &mut Context<'_>, key: i32, size: u32, flags: u32) -> Result<i32, Errno> {
    let options = IpcFlags::from_bits_retain(flags);
    let table = &cx.kernel.ipc.shm;
    let known = |segment: &Segment| segment.perm.mode & ALLOCATED != 0 && segment.perm.key == key;
    if key == PRIVATE {
        return allocate(cx, key, size, flags);
    }
    let Some(slot) = table.segments.iter().position(known) else {
        let create = options.contains(IpcFlags::CREAT);
        return if create { allocate(cx, key, size, flags) } else { Err(Errno::ENOENT) };
    };
    let segment = &table.segments[slot];
    segment.perm.check(&cx.proc().cred.ucred, flags & ACCESS)?;
    if size > segment.size {
        return Err(Errno::EINVAL);
    }
    if options.contains(IpcFlags::CREAT | IpcFlags::EXCL) {
        return Err(Errno::EEXIST);
    }
    Ok(segment.perm.id(slot))
}

fn allocate(cx: &mut Context<'_>, key: i32, size: u32, flags: u32) -> Result<i32, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    let (pid, now) = (cx.proc().pid, cx.kernel.clock.seconds());
    let table = &mut cx.kernel.ipc.shm;
    if !(1..=SHMMAX).contains(&size) {
        return Err(Errno::EINVAL);
    }
    if table.used >= SHMMNI {
        return Err(Errno::ENOSPC);
    }
    let pages = pages_of(size) / PAGE_SIZE;
    if table.committed + pages > SHMALL {
        return Err(Errno::ENOMEM);
    }
    let free = |segment: &Segment| segment.perm.mode & FREE != 0;
    let lowest = table.segments.iter().position(free);
    let slot = table.last_free.take().or(lowest).ok_or(Errno::ENOSPC)?;
    let segment = &mut table.segments[slot];
    let mut perm = segment.perm;
    perm.seq = perm.seq.wrapping_add(1) & SEQUENCE;
    perm.key = key;
    let Ok(memory) = SharedMemory::new(pages_of(size)) else {
        segment.perm.seq = perm.seq;
        table.last_free = Some(slot);
        return Err(Errno::ENOMEM);
    };
    perm.own(&cred);
    perm.mode = (flags & ACCESS) as u16 | ALLOCATED;
    *segment = Segment {
        perm,
        size,
        last: 0,
        creator: pid,
        attached: 0,
        attach_time: 0,
        detach_time: 0,
        changed: now,
        memory: Some(memory),
    };
    table.committed += pages;
    table.used += 1;
    Ok(perm.id(slot))
}

/// Attaches a segment and gives its address (`shmat`).
pub(super) fn shmat(cx: &mut Context<'_>, id: u32, wanted: u32, flags: u32) -> Result<i32, Errno> {
    let (slot, segment) = cx.kernel.ipc.shm.find(id)?;
    let read_only = flags & RDONLY != 0;
    segment.perm.check(&cx.proc().cred.ucred, if read_only { READ } else { READ | WRITE })?;
    let (Some(memory), size) = (segment.memory.clone(), pages_of(segment.size)) else {
        return Err(Errno::EINVAL);
    };
    let attached = &cx.proc().vm.attached.0;
    let place = attached.iter().position(Option::is_none).ok_or(Errno::EMFILE)?;
    let placement = match wanted {
        0 => Placement::Anywhere,
        at if flags & RND != 0 => Placement::Exactly(at & !(PAGE_SIZE - 1)),
        at if at.is_multiple_of(PAGE_SIZE) => Placement::Exactly(at),
        _ => return Err(Errno::EINVAL),
    };
    let prot = if read_only { Prot::READ } else { Prot::READ | Prot::WRITE };
    let at = map_memory(cx, &memory, size, prot, placement)?;
    cx.proc_mut().vm.attached.0[place] = Some((at, id));
    let (pid, now) = (cx.proc().pid, cx.kernel.clock.seconds());
    let segment = &mut cx.kernel.ipc.shm.segments[slot];
    (segment.last, segment.attach_time) = (pid, now);
    segment.attached = segment.attached.wrapping_add(1);
    Ok(at.cast_signed())
}

/// Detaches the segment at an address (`shmdt`).
pub(super) fn shmdt(cx: &mut Context<'_>, at: u32) -> Result<i32, Errno> {
    let attached = &cx.proc().vm.attached.0;
    let is_there = |attachment: &Option<(u32, u32)>| attachment.is_some_and(|(address, _)| address == at);
    let place = attached.iter().position(is_there).ok_or(Errno::EINVAL)?;
    detach(cx, place);
    Ok(0)
}

/// Takes one attachment of a process away, and the segment with the last one if it was removed
/// (`shm_delete_mapping`).
fn detach(cx: &mut Context<'_>, place: usize) {
    let Some((at, id)) = cx.proc_mut().vm.attached.0[place].take() else { return };
    let now = cx.kernel.clock.seconds();
    let slot = perm::slot(id);
    let table = &mut cx.kernel.ipc.shm;
    let Some(segment) = table.segments.get_mut(slot) else { return };
    let size = pages_of(segment.size);
    segment.detach_time = now;
    segment.attached = segment.attached.wrapping_sub(1);
    if segment.attached <= 0 && segment.perm.mode & REMOVED != 0 {
        table.deallocate(slot);
    }
    // The range was mapped when it was attached; unmapping a part of the space does not fail.
    let _ = cx.proc_mut().vm.space.unmap(at, size);
}

/// Looks at or changes a segment (`shmctl`, and with `old` the older form of it).
pub(super) fn shmctl(cx: &mut Context<'_>, id: u32, what: u32, buffer: u32, old: bool) -> Result<i32, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    let now = cx.kernel.clock.seconds();
    let (slot, segment) = cx.kernel.ipc.shm.find(id)?;
    match what {
        command::STAT => {
            segment.perm.check(&cred, READ)?;
            let table = &cx.kernel.ipc.shm;
            let (new, older) = (table.layout(slot), table.old_layout(slot));
            if old { cx.write(buffer, &older)? } else { cx.write(buffer, &new)? }
        }
        command::SET => {
            segment.perm.check(&cred, CONTROL)?;
            let wanted: ShmidDs = cx.read(buffer)?;
            let segment = &mut cx.kernel.ipc.shm.segments[slot];
            segment.perm.change(&wanted.perm);
            segment.changed = now;
        }
        command::RMID => {
            segment.perm.check(&cred, CONTROL)?;
            let table = &mut cx.kernel.ipc.shm;
            let segment = &mut table.segments[slot];
            segment.perm.key = PRIVATE;
            segment.perm.mode |= REMOVED;
            if segment.attached <= 0 {
                table.deallocate(slot);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Counts the attachments of a new process (`shmfork`).
pub(super) fn fork(kernel: &mut Kernel, child: ProcId) {
    for (_, id) in kernel.procs[child].vm.attached.0.into_iter().flatten() {
        if let Some(segment) = kernel.ipc.shm.segments.get_mut(perm::slot(id)) {
            segment.attached = segment.attached.wrapping_add(1);
        }
    }
}

/// Detaches everything that a process has attached (`shmexit`).
pub(super) fn exit(cx: &mut Context<'_>) {
    (0..SHMSEG).for_each(|place| detach(cx, place));
}
