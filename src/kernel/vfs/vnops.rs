//! Open files that are vnodes: opening, reading, writing, control, closing.
//!
//! 2.1 counterpart: kern/vfs_vnops.c, the ends of ufs_readwrite.c.

use syscalls::Errno;
use syscalls::ioctl as request;
use syscalls::layout::Stat;

use super::access::Want;
use super::attr::{APPEND, stat};
use super::namei::{Nameidata, Op};
use super::node::Make;
use super::vnode::{Body, Vnode, VnodeId, Vtype};
use super::{MAXFILESIZE, calls, device, fifo, kernfs, procfs, stream, union};
use crate::host::fs::{HostTime, MOST_APPENDED, OpenFor};
use crate::kernel::file::select::Which;
use crate::kernel::file::{FileFlag, FileId, FileObject, Uio, ops};
use crate::kernel::kmem::log_device;
use crate::kernel::limits::Resource;
use crate::kernel::net::tun;
use crate::kernel::signal::{SIGXFSZ, psignal};
use crate::kernel::time::SECOND_NS;
use crate::kernel::tty::{self, Special};
use crate::kernel::{Context, Kernel, Sysret, vm};
use crate::mem;

/// Flags of open that no open file keeps.
pub(super) const O_CREAT: u32 = 0x0200;
/// See [`O_CREAT`].
pub(super) const O_TRUNC: u32 = 0x0400;
/// See [`O_CREAT`].
pub(super) const O_EXCL: u32 = 0x0800;

/// Bytes that are moved at once.
const PIECE: usize = 65536;
/// How often a look-up and a change that somebody outside came between are done again.
pub(super) const TRIES: u32 = 1000;
/// What opening a name gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opened {
    /// A vnode, with a reference.
    Vnode(VnodeId),
    /// A fifo, with a reference, whose other end may have to be waited for.
    Fifo(VnodeId),
    /// A terminal, with a reference, whose other side may have to be waited for.
    Terminal(VnodeId, Special),
    /// The descriptor of the process with this number is to be duplicated (ENODEV of fdopen).
    Descriptor(u32),
}

/// Looks a name up and opens it, or makes it (`vn_open`).
pub(super) fn open(
    cx: &mut Context<'_>,
    path: &[u8],
    mut flags: FileFlag,
    mode: u16,
) -> Result<Opened, Errno> {
    let cred = cx.proc().cred.ucred.clone();
    let has = |flags: FileFlag, bit: u32| flags.bits() & bit != 0;
    let (vp, made) = if has(flags, O_CREAT) {
        find_or_make(cx, path, has(flags, O_EXCL), mode)?
    } else {
        (calls::lookup(cx, path)?, false)
    };
    let kind = cx.kernel.vfs.vnode(vp).kind;
    if kind == Vtype::Sock {
        return Err(Errno::EOPNOTSUPP);
    }
    if made {
        flags.remove(FileFlag::from_bits_retain(O_TRUNC));
    } else {
        if flags.contains(FileFlag::READ) {
            cx.kernel.vfs.access(vp, Want::READ, &cred)?;
        }
        if flags.contains(FileFlag::WRITE) || has(flags, O_TRUNC) {
            if kind == Vtype::Dir {
                return Err(Errno::EISDIR);
            }
            write_check(cx.kernel, vp)?;
            cx.kernel.vfs.access(vp, Want::WRITE, &cred)?;
        }
    }
    if flags.contains(FileFlag::WRITE) || has(flags, O_TRUNC) {
        union::copy_up(cx, vp, has(flags, O_TRUNC))?;
    }
    if has(flags, O_TRUNC) && !matches!(cx.kernel.vfs.vnode(vp).body, Body::Process(_) | Body::Kernel(_)) {
        set_length(cx.kernel, vp, 0)?;
    }
    let opened = match kind {
        // A stream of the host that has a name: it is open already.
        Vtype::Chr if matches!(cx.kernel.vfs.vnode(vp).body, Body::Stream(_)) => Opened::Vnode(vp),
        Vtype::Chr | Vtype::Blk => match device::open(cx, vp)? {
            device::Device::Descriptor(number) => return Ok(Opened::Descriptor(number)),
            _ => match cx.kernel.vfs.special(&cx.kernel.ttys, vp) {
                Some(special) => Opened::Terminal(vp, special),
                None => Opened::Vnode(vp),
            },
        },
        Vtype::Fifo => Opened::Fifo(vp),
        _ => {
            let append_only = cx.kernel.vfs.flags(vp) & APPEND != 0;
            if append_only && flags.contains(FileFlag::WRITE) && !flags.contains(FileFlag::APPEND) {
                return Err(Errno::EPERM);
            }
            let body = &cx.kernel.vfs.vnode(vp).body;
            if let Body::Process(node) = *body {
                procfs::open(cx, node)?;
            } else if matches!(body, Body::Kernel(_) | Body::Disc(_)) {
                // Who may write has been looked at.
            } else if matches!(body, Body::Memory(..)) {
                if flags.contains(FileFlag::WRITE) {
                    return Err(Errno::EPERM);
                }
            } else if kind == Vtype::Reg {
                let writes = flags.contains(FileFlag::WRITE);
                cx.kernel.vfs.content(vp, if writes { OpenFor::Writing } else { OpenFor::Reading })?;
            }
            Opened::Vnode(vp)
        }
    };
    let vfs = &mut cx.kernel.vfs;
    vfs.vref(vp);
    if flags.contains(FileFlag::WRITE) {
        let writers = &vfs.vnode(vp).inode.writecount;
        writers.set(writers.get() + 1);
    }
    Ok(opened)
}

/// The file that a path names, or a new one, and whether it was made.  Somebody outside may make or remove the
/// name between the look-up and the making: then both are done again.
fn find_or_make(
    cx: &mut Context<'_>,
    path: &[u8],
    exclusive: bool,
    mode: u16,
) -> Result<(VnodeId, bool), Errno> {
    let cred = cx.proc().cred.ucred.clone();
    for _ in 0..TRIES {
        let at = calls::namei(cx, &Nameidata { follow: !exclusive, ..Nameidata::new(path, Op::Create) })?;
        match at.vp {
            Some(_) if exclusive => return Err(Errno::EEXIST),
            Some(vp) => return Ok((vp, false)),
            None => {}
        }
        match cx.kernel.vfs.make(&at, Make::File, mode, &cred) {
            Err(Errno::EEXIST) if !exclusive => {}
            Err(errno) => return Err(errno),
            Ok(vp) => return Ok((vp.ok_or(Errno::ENOENT)?, true)),
        }
    }
    Err(Errno::EEXIST)
}

/// Whether a file may be written: not while a process runs from it (`vn_writechk`).
pub(super) fn write_check(kernel: &Kernel, vnode: VnodeId) -> Result<(), Errno> {
    let inode = &kernel.vfs.vnode(vnode).inode;
    let same = |text: VnodeId| text == vnode || kernel.vfs.vnode(text).inode.same(inode);
    let runs = kernel.procs.ids().iter().any(|&id| kernel.procs[id].text.is_some_and(same));
    if runs { Err(Errno::ETXTBSY) } else { Ok(()) }
}

/// Sets the size of a file; those who have it mapped lose what lies beyond.
pub(super) fn set_length(kernel: &mut Kernel, vnode: VnodeId, size: u64) -> Result<(), Errno> {
    let id = identity(kernel, vnode);
    if let Some(id) = id
        && size < kernel.vfs.size(vnode)?
    {
        vm::file::before_truncate(kernel, id, size);
    }
    if kernel.vfs.stream(vnode).is_some() && !kernel.account_extent(size) {
        return Err(Errno::EFBIG);
    }
    kernel.vfs.set_length(vnode, size)?;
    if let Some(id) = id {
        vm::file::after_write(kernel, id, size, 0, size);
    }
    Ok(())
}

/// The identity under which a file may be mapped.
fn identity(kernel: &Kernel, vnode: VnodeId) -> Option<mem::FileId> {
    kernel.vfs.vnode(vnode).host().map(|node| mem::FileId { dev: node.dev, ino: node.ino })
}

/// The vnode of an open file.
fn vnode_of(cx: &Context<'_>, file: FileId) -> Result<VnodeId, Errno> {
    match cx.kernel.files[file].object {
        FileObject::Vnode(vnode) => Ok(vnode),
        _ => Err(Errno::EBADF),
    }
}

/// The node of a file that shows a process.
fn process_node(vnode: &Vnode) -> Option<procfs::Node> {
    match vnode.body {
        Body::Process(node) if vnode.kind == Vtype::Reg => Some(node),
        _ => None,
    }
}

/// The node of a file that shows a value of the kernel.
fn kernel_node(vnode: &Vnode) -> Option<kernfs::Node> {
    match vnode.body {
        Body::Kernel(node) if vnode.kind == Vtype::Reg => Some(node),
        _ => None,
    }
}

/// Reads from an open file (`vn_read`).
pub fn vn_read(cx: &mut Context<'_>, file: FileId, mut uio: Uio) -> Sysret<i32> {
    let vnode = vnode_of(cx, file)?;
    let held = cx.kernel.vfs.vnode(vnode);
    if matches!(held.body, Body::Stream(_)) {
        return stream::read(cx, file, vnode, uio);
    }
    if let Some(special) = cx.kernel.vfs.special(&cx.kernel.ttys, vnode) {
        cx.kernel.vfs.used(vnode, false, now(cx.kernel));
        return tty::read(cx, file, special, uio);
    }
    if held.kind == Vtype::Fifo {
        return fifo::read(cx, file, vnode, uio);
    }
    let requested = uio.resid;
    match held.rdev().and_then(device::Device::from_rdev) {
        Some(device::Device::Log) => return device::read_log(cx, file, uio, requested),
        Some(device::Device::Tun(unit)) => return device::read_tunnel(cx, unit, uio, requested),
        _ => {}
    }
    uio.offset = cx.kernel.files[file].offset;
    let dead = matches!(held.body, Body::Dead);
    let (process, value) = (process_node(held), kernel_node(held));
    let result = match held.kind {
        Vtype::Chr if dead => Ok(()),
        _ if dead => Err(Errno::EIO),
        Vtype::Reg => match (process, value) {
            (Some(node), _) => procfs::read(cx, node, &mut uio),
            (None, Some(node)) => kernfs::read(cx, node, &mut uio),
            (None, None) => read_file(cx, vnode, &mut uio),
        },
        Vtype::Dir => read_blocks(cx, vnode, &mut uio),
        Vtype::Chr => {
            let rdev = held.rdev().and_then(device::Device::from_rdev);
            rdev.ok_or(Errno::ENXIO).and_then(|device| device::read(cx, device, &mut uio))
        }
        _ => Err(Errno::EOPNOTSUPP),
    };
    let open = &mut cx.kernel.files[file];
    open.offset = open.offset.wrapping_add(i64::from(requested - uio.resid));
    ops::finish_read(requested, &uio, result.map_err(Into::into))
}

fn read_file(cx: &mut Context<'_>, vnode: VnodeId, uio: &mut Uio) -> Result<(), Errno> {
    if uio.offset.cast_unsigned() > MAXFILESIZE {
        return Err(Errno::EFBIG);
    }
    let mut buffer = vec![0; (uio.resid as usize).min(PIECE)];
    while uio.resid > 0 {
        let room = (uio.resid as usize).min(PIECE);
        let piece = buffer.get_mut(..room).unwrap_or_default();
        let length = cx.kernel.vfs.read_content(vnode, uio.offset.cast_unsigned(), piece)?;
        super::blocks::read(cx.kernel, cx.id, vnode, uio.offset.cast_unsigned(), length as u64);
        uio.move_out(cx, piece.get(..length).unwrap_or_default())?;
        if length < room {
            break;
        }
    }
    Ok(())
}

/// Reads a directory as the file that it is in 2.1, at any offset.
pub(super) fn read_blocks(cx: &mut Context<'_>, vnode: VnodeId, uio: &mut Uio) -> Result<(), Errno> {
    let blocks = blocks_from(cx, vnode, uio.offset, uio.resid)?;
    uio.move_out(cx, &blocks)
}

/// The blocks of a directory from an offset on; at the beginning the host is asked what is there.
pub(super) fn blocks_from(
    cx: &mut Context<'_>,
    vnode: VnodeId,
    offset: i64,
    most: u32,
) -> Result<Vec<u8>, Errno> {
    procfs::refresh(cx.kernel, cx.id);
    kernfs::refresh(cx.kernel);
    let vfs = &mut cx.kernel.vfs;
    let held = vfs.vnode(vnode);
    let key = match &held.body {
        Body::Host(node) => (held.mount.0, node.dev, node.ino),
        Body::BuiltIn(own) => (held.mount.0, u64::MAX, u64::from(own.ino)),
        Body::Process(node) => (held.mount.0, u64::MAX - 1, u64::from(node.fileno())),
        Body::Kernel(node) => (held.mount.0, u64::MAX - 2, u64::from(node.fileno())),
        Body::Disc(own) => (held.mount.0, u64::MAX - 3, u64::from(own.fileno())),
        Body::Memory(..) | Body::Stream(_) | Body::Dead => return Err(Errno::EBADF),
    };
    if offset == 0 || vfs.slots.get(key).is_none() {
        let entries = vfs.read_directory(vnode)?;
        vfs.slots.update(key, &entries);
    }
    let from = usize::try_from(offset).unwrap_or(usize::MAX);
    let blocks = vfs.slots.get(key).and_then(|blocks| blocks.get(from..)).unwrap_or_default();
    Ok(blocks.get(..most as usize).unwrap_or(blocks).to_vec())
}

/// Writes to an open file (`vn_write`).
pub fn vn_write(cx: &mut Context<'_>, file: FileId, mut uio: Uio) -> Sysret<i32> {
    let vnode = vnode_of(cx, file)?;
    let held = cx.kernel.vfs.vnode(vnode);
    if matches!(held.body, Body::Stream(_)) {
        return stream::write(cx, file, vnode, uio);
    }
    if let Some(special) = cx.kernel.vfs.special(&cx.kernel.ttys, vnode) {
        cx.kernel.vfs.used(vnode, true, now(cx.kernel));
        return tty::write(cx, file, special, uio);
    }
    if held.kind == Vtype::Fifo {
        return fifo::write(cx, file, vnode, uio);
    }
    let requested = uio.resid;
    uio.offset = cx.kernel.files[file].offset;
    let (process, value) = (process_node(held), kernel_node(held));
    if process.is_some() || value.is_some() {
        match (process, value) {
            (Some(node), _) => procfs::write(cx, node, &mut uio)?,
            (None, Some(node)) => kernfs::write(cx, node, &mut uio)?,
            (None, None) => {}
        }
        let done = requested - uio.resid;
        let open = &mut cx.kernel.files[file];
        open.offset = open.offset.wrapping_add(i64::from(done));
        return Ok(done.cast_signed());
    }
    let append = held.kind == Vtype::Reg && cx.kernel.files[file].flag.contains(FileFlag::APPEND);
    let result = match held.kind {
        _ if matches!(held.body, Body::Dead) => Err(Errno::EIO),
        Vtype::Reg => write_file(cx, file, vnode, &mut uio, append),
        Vtype::Chr => {
            let rdev = held.rdev().and_then(device::Device::from_rdev);
            rdev.ok_or(Errno::ENXIO).and_then(|device| device::write(cx, device, &mut uio))
        }
        _ => Err(Errno::EOPNOTSUPP),
    };
    let done = i64::from(requested - uio.resid);
    let open = &mut cx.kernel.files[file];
    open.offset = if append { uio.offset } else { open.offset.wrapping_add(done) };
    ops::finish_write(cx, requested, &uio, result.map_err(Into::into))
}

fn write_file(
    cx: &mut Context<'_>,
    file: FileId,
    vnode: VnodeId,
    uio: &mut Uio,
    append: bool,
) -> Result<(), Errno> {
    let size = cx.kernel.vfs.size(vnode)?;
    cx.kernel.vfs.set_time(&cx.kernel.clock);
    if append {
        uio.offset = size.cast_signed();
    }
    if cx.kernel.vfs.flags(vnode) & APPEND != 0 && uio.offset != size.cast_signed() {
        return Err(Errno::EPERM);
    }
    let end = uio.offset.saturating_add(i64::from(uio.resid));
    if end.cast_unsigned() > MAXFILESIZE {
        return Err(Errno::EFBIG);
    }
    if end > cx.proc().limits.get(Resource::Fsize).cur {
        psignal(cx.kernel, cx.id, SIGXFSZ);
        return Err(Errno::EFBIG);
    }
    let before = uio.resid;
    if uio.offset < 0 {
        // As recorded: only the end is checked.  No part of the file is there to be changed.
        return uio.discard(cx);
    }
    let result = if append { append_pieces(cx, vnode, uio) } else { write_pieces(cx, vnode, uio) };
    if uio.resid < before {
        let done = u64::from(before - uio.resid);
        let from = uio.offset.cast_unsigned().saturating_sub(done);
        super::blocks::written(cx.kernel, cx.id, vnode, from, done);
        let cred = cx.kernel.files[file].cred.clone();
        // The bytes are written; bits that cannot be cleared on this host stay.
        let _ = cx.kernel.vfs.clear_set_id(vnode, &cred);
        if let Some(id) = identity(cx.kernel, vnode) {
            let (end, len) = (uio.offset.cast_unsigned(), u64::from(before - uio.resid));
            vm::file::after_write(cx.kernel, id, end.saturating_sub(len), len, end.max(size));
        }
    }
    result
}

/// Adds at the end: the host does that in one step, so that a write of the guest must be one, too.
fn append_pieces(cx: &mut Context<'_>, vnode: VnodeId, uio: &mut Uio) -> Result<(), Errno> {
    let mut buffer = vec![0; (uio.resid as usize).min(MOST_APPENDED)];
    while uio.resid > 0 {
        let mut ahead = uio.clone();
        let moved = ahead.move_in(cx, &mut buffer);
        let length = (uio.resid - ahead.resid) as usize;
        let piece = buffer.get(..length).unwrap_or_default();
        let (written, end) = cx.kernel.vfs.append_content(vnode, piece)?;
        if written < length {
            let mut taken = vec![0; written];
            uio.move_in(cx, &mut taken)?;
            uio.offset = end.cast_signed();
            return Err(Errno::ENOSPC);
        }
        *uio = ahead;
        uio.offset = end.cast_signed();
        moved?;
        if length == 0 {
            break;
        }
    }
    Ok(())
}

fn write_pieces(cx: &mut Context<'_>, vnode: VnodeId, uio: &mut Uio) -> Result<(), Errno> {
    let mut buffer = vec![0; (uio.resid as usize).min(PIECE)];
    while uio.resid > 0 {
        let offset = uio.offset.cast_unsigned();
        let mut ahead = uio.clone();
        let moved = ahead.move_in(cx, &mut buffer);
        // What was read before a fault is written, as the original does block by block.
        let length = (uio.resid - ahead.resid) as usize;
        let piece = buffer.get(..length).unwrap_or_default();
        let written = cx.kernel.vfs.write_content(vnode, offset, piece)?;
        if written < length {
            let mut taken = vec![0; written];
            uio.move_in(cx, &mut taken)?;
            return Err(Errno::ENOSPC);
        }
        *uio = ahead;
        moved?;
        if length == 0 {
            break;
        }
    }
    Ok(())
}

/// Device control (`vn_ioctl`).
pub fn vn_ioctl(cx: &mut Context<'_>, file: FileId, command: u32, data: &mut Vec<u8>) -> Sysret<()> {
    let vnode = vnode_of(cx, file)?;
    let held = cx.kernel.vfs.vnode(vnode);
    if held.kind == Vtype::Fifo && held.inode.fifo.get().is_some() {
        return fifo::ioctl(cx, file, vnode, command, data);
    }
    if let Some(special) = cx.kernel.vfs.special(&cx.kernel.ttys, vnode) {
        return tty::request(cx, file, vnode, special, command, data);
    }
    if let Some(unit) = tunnel(cx, vnode) {
        return Ok(tun::ioctl(cx.kernel, unit, command, data)?);
    }
    if is_log(cx, vnode) {
        return Ok(log_device::ioctl(cx, command, data)?);
    }
    let answer = match command {
        request::FIONREAD if matches!(held.kind, Vtype::Reg | Vtype::Dir) => {
            cx.kernel.vfs.getattr(vnode)?.size.cast_signed().wrapping_sub(cx.kernel.files[file].offset)
        }
        request::FIONREAD => match cx.kernel.vfs.stream(vnode) {
            Some(stream) => stream.waiting(&cx.kernel.tape)?.cast_signed(),
            None => 0,
        },
        request::FIONBIO | request::FIOASYNC => return Ok(()),
        _ => return Err(Errno::ENOTTY.into()),
    };
    *data = (answer as i32).to_le_bytes().to_vec();
    Ok(())
}

/// Whether reading or writing would not wait (`vn_select`).
pub fn vn_select(cx: &mut Context<'_>, file: FileId, which: Which) -> bool {
    let Ok(vnode) = vnode_of(cx, file) else { return true };
    let held = cx.kernel.vfs.vnode(vnode);
    if held.kind == Vtype::Fifo && held.inode.fifo.get().is_some() {
        return fifo::select(cx, file, vnode, which);
    }
    if is_log(cx, vnode) {
        return which == Which::Read && cx.kernel.messages.unread() > 0;
    }
    if let Some(special) = cx.kernel.vfs.special(&cx.kernel.ttys, vnode) {
        return tty::select(cx, special, which);
    }
    if let Some(unit) = tunnel(cx, vnode) {
        return tun::select(cx, unit, which);
    }
    stream::select(cx, vnode, which)
}

/// What stat tells (`vn_stat`).
pub fn vn_stat(cx: &mut Context<'_>, vnode: VnodeId) -> Result<Stat, Errno> {
    procfs::refresh(cx.kernel, cx.id);
    kernfs::refresh(cx.kernel);
    Ok(stat(&cx.kernel.vfs.getattr(vnode)?))
}

/// Takes a device away from all who have it open, by whatever node (`vgoneall`).
pub fn revoke_device(cx: &mut Context<'_>, vnode: VnodeId) {
    let line = cx.kernel.vfs.terminal_end(&cx.kernel.ttys, vnode);
    let rdev = cx.kernel.vfs.vnode(vnode).rdev();
    let dead = cx.kernel.vfs.dead_vnode(vnode);
    if is_log(cx, vnode) {
        log_device::close(cx.kernel);
    }
    cx.kernel.vfs.vref(dead);
    let mut active = false;
    let mut nodes = vec![vnode];
    for file in cx.kernel.files.active().to_vec() {
        let FileObject::Vnode(node) = cx.kernel.files[file].object else { continue };
        let same = cx.kernel.vfs.vnode(node);
        if node == vnode
            || same.kind == cx.kernel.vfs.vnode(vnode).kind && rdev.is_some() && same.rdev() == rdev
        {
            cx.kernel.files[file].object = FileObject::Vnode(dead);
            cx.kernel.vfs.vref(dead);
            cx.kernel.vfs.vrele(node);
            nodes.push(node);
            active = true;
        }
    }
    for node in nodes {
        active |= tty::revoke_node(cx.kernel, node, dead);
    }
    if let Some(line) = line.filter(|_| active) {
        tty::close_revoked(cx, line);
    }
    cx.kernel.vfs.vrele(dead);
}

/// The time, as files have it.
fn now(kernel: &Kernel) -> HostTime {
    let now = kernel.clock.now();
    HostTime { sec: (now / SECOND_NS) as i64, nsec: (now % SECOND_NS) as i64 }
}

/// Closes an open file (`vn_closefile`).
pub fn vn_close(cx: &mut Context<'_>, file: FileId) -> Sysret<()> {
    let vnode = vnode_of(cx, file)?;
    let flag = cx.kernel.files[file].flag;
    close(cx, vnode, flag)
}

/// The unit of the tunnel that a device is.
fn tunnel(cx: &Context<'_>, vnode: VnodeId) -> Option<usize> {
    let held = cx.kernel.vfs.vnode(vnode);
    match held.rdev().and_then(device::Device::from_rdev) {
        Some(device::Device::Tun(unit)) if held.kind == Vtype::Chr => Some(unit as usize),
        _ => None,
    }
}

/// Whether it is the device that reads the message buffer.
fn is_log(cx: &Context<'_>, vnode: VnodeId) -> bool {
    let held = cx.kernel.vfs.vnode(vnode);
    held.kind == Vtype::Chr && held.rdev().and_then(device::Device::from_rdev) == Some(device::Device::Log)
}

/// Closes a vnode that was opened with these flags (`vn_close`).
pub(super) fn close(cx: &mut Context<'_>, vnode: VnodeId, flag: FileFlag) -> Sysret<()> {
    let inode = &cx.kernel.vfs.vnode(vnode).inode;
    if flag.contains(FileFlag::WRITE) {
        inode.writecount.set(inode.writecount.get().saturating_sub(1));
    }
    let fifo = inode.fifo.get().is_some();
    let closed = match cx.kernel.vfs.vnode(vnode).kind {
        _ if fifo => fifo::close(cx, vnode, flag),
        Vtype::Chr if is_log(cx, vnode) => {
            log_device::close(cx.kernel);
            Ok(())
        }
        Vtype::Chr => match tunnel(cx, vnode) {
            Some(unit) => {
                tun::tunclose(cx.kernel, unit);
                Ok(())
            }
            None => tty::close(cx, vnode, flag),
        },
        _ => Ok(()),
    };
    cx.kernel.vfs.vrele(vnode);
    closed
}
