//! Open files, tables of descriptors, vnodes and mounts, as sysctl and kernel memory show them.
//!
//! Addresses in them are those of [`place`], where the same structures can be read.
//!
//! 2.1 counterpart: kern/kern_descrip.c (filehead), kern/vfs_subr.c (vnodes of mounts), ufs/ufs/inode.h.

use syscalls::arg::Fd;
use syscalls::layout::{self, I32, Timespec, U16, U32};

use super::place;
use crate::host::fs::HostTime;
use crate::kernel::file::{FileId, FileObject};
use crate::kernel::proc::ProcId;
use crate::kernel::vfs::mount::{FsType, MountId};
use crate::kernel::vfs::{self, VnodeId, Vtype};
use crate::kernel::{Context, Kernel};

/// Kinds of open files (DTYPE_*).
const DTYPE_VNODE: i16 = 1;
const DTYPE_SOCKET: i16 = 2;
/// Descriptors that a table without a larger one has room for (NDFILE).
const NDFILE: usize = 20;
/// Flags of vnodes: the root of a file system, a program that runs (VROOT, VTEXT).
const VROOT: u32 = 1;
const VTEXT: u32 = 2;
/// Kinds of file systems of vnodes (VT_*), by those of mounts.
const TAGS: [(FsType, i32); 8] = [
    (FsType::Ufs, 1),
    (FsType::Mfs, 3),
    (FsType::Fdesc, 7),
    (FsType::Null, 9),
    (FsType::Kernfs, 11),
    (FsType::Procfs, 12),
    (FsType::Cd9660, 14),
    (FsType::Devfs, 17),
];

/// An open file; its neighbours are those of the list of all.
pub(in crate::kernel) fn file(kernel: &Kernel, id: FileId) -> Option<layout::File> {
    let active = kernel.files.active();
    let at = active.iter().position(|&other| other == id)?;
    let address =
        |at: Option<usize>| at.and_then(|at| active.get(at)).map_or(0, |id| place::file(id.index()));
    let file = kernel.files.get(id)?;
    let (kind, data) = match file.object {
        FileObject::Unset => (0, 0),
        FileObject::Vnode(vnode) => (DTYPE_VNODE, place::vnode(vnode.index())),
        FileObject::Socket(socket) => (DTYPE_SOCKET, place::socket(socket.index())),
    };
    Some(layout::File {
        next: address(at.checked_add(1)).into(),
        // Where the pointer to this one is: the first word of the one before.
        previous: address(at.checked_sub(1)).into(),
        flag: (file.flag.bits() as i16).into(),
        kind: kind.into(),
        count: (file.count as i16).into(),
        msgcount: (file.msgcount as i16).into(),
        cred: place::file_credentials(id.index()).into(),
        ops: 0.into(),
        offset: file.offset.into(),
        data: data.into(),
    })
}

/// Where the first open file is (`filehead`).
pub(in crate::kernel) fn first_file(kernel: &Kernel) -> u32 {
    kernel.files.active().first().map_or(0, |id| place::file(id.index()))
}

/// The descriptors of a process, with room for the first ones.
pub(super) fn descriptors(kernel: &Kernel, id: ProcId) -> layout::Filedesc0 {
    let proc = &kernel.procs[id];
    let fd = &proc.fd;
    let small = fd.size() <= NDFILE;
    let at = place::descriptors(id.index());
    let table = place::descriptor_table(id.index());
    let vnode = |vnode: Option<VnodeId>| vnode.map_or(0, |vnode| place::vnode(vnode.index())).into();
    let mut table0 = layout::Filedesc0 {
        fd: layout::Filedesc {
            ofiles: if small { at + size_of::<layout::Filedesc>() as u32 } else { table }.into(),
            ofileflags: if small { at + 108 } else { table + 4 * shown(fd.size()) as u32 }.into(),
            cdir: vnode(fd.cwd),
            rdir: vnode(fd.root),
            nfiles: (fd.size() as i32).into(),
            lastfile: (fd.last() as u16).into(),
            freefile: (fd.free() as u16).into(),
            cmask: fd.umask.into(),
            refcnt: U16::new(1),
        },
        ..layout::Filedesc0::default()
    };
    for ((n, file), flag) in (0..).zip(&mut table0.dfiles).zip(&mut table0.dfileflags) {
        (*file, *flag) = descriptor(kernel, id, n);
    }
    table0
}

/// Descriptors of a larger table that are shown.
fn shown(size: usize) -> usize {
    size.min(place::DESCRIPTOR_TABLE as usize / 5)
}

/// A larger table of descriptors: all files, then all flags.
pub(super) fn descriptor_table(kernel: &Kernel, id: ProcId) -> Vec<u8> {
    let count = shown(kernel.procs[id].fd.size());
    let entries: Vec<(U32, u8)> = (0..count as i32).map(|n| descriptor(kernel, id, n)).collect();
    let files = entries.iter().flat_map(|(file, _)| file.get().to_le_bytes());
    files.chain(entries.iter().map(|(_, flag)| *flag)).collect()
}

fn descriptor(kernel: &Kernel, id: ProcId, n: i32) -> (U32, u8) {
    let fd = &kernel.procs[id].fd;
    let file = fd.get(Fd(n)).map_or(0, |file| place::file(file.index()));
    (file.into(), u8::from(fd.close_on_exec(Fd(n))))
}

/// A vnode by its slot.
pub(super) fn vnode_by_slot(kernel: &Kernel, slot: usize) -> Option<VnodeId> {
    kernel.vfs.vnodes().into_iter().find(|id| id.index() == slot)
}

/// The vnodes of a mount, the newest first.
pub(in crate::kernel) fn vnodes_of(kernel: &Kernel, mount: MountId) -> Vec<VnodeId> {
    let all = kernel.vfs.vnodes().into_iter();
    all.filter(|&id| kernel.vfs.vnode(id).mount == mount).rev().collect()
}

/// A vnode.
pub(in crate::kernel) fn vnode(kernel: &Kernel, id: VnodeId) -> layout::Vnode {
    let held = kernel.vfs.vnode(id);
    let siblings = vnodes_of(kernel, held.mount);
    let at = siblings.iter().position(|&other| other == id);
    let next = at.and_then(|at| siblings.get(at + 1)).map_or(0, |next| place::vnode(next.index()));
    let mounted = held.mounted_here.map_or(0, |mount| place::mount(mount.0));
    let flag = if held.is_root() { VROOT } else { 0 } | if held.text { VTEXT } else { 0 };
    let kind = kernel.vfs.mount_by_id(held.mount).kind;
    layout::Vnode {
        flag: flag.into(),
        usecount: (held.usecount as i32).into(),
        writecount: (held.inode.writecount.get() as i32).into(),
        id: (id.index() as u32).into(),
        mount: place::mount(held.mount.0).into(),
        mntvnodes: [next.into(), U32::ZERO],
        kind: I32::new(vtype(held.kind)),
        un: mounted.into(),
        tag: TAGS.iter().find(|(of, _)| *of == kind).map_or(1, |(_, tag)| *tag).into(),
        data: place::inode(id.index()).into(),
        ..layout::Vnode::default()
    }
}

/// The number of a type (`enum vtype`).
fn vtype(kind: Vtype) -> i32 {
    match kind {
        Vtype::Reg => 1,
        Vtype::Dir => 2,
        Vtype::Blk => 3,
        Vtype::Chr => 4,
        Vtype::Lnk => 5,
        Vtype::Sock => 6,
        Vtype::Fifo => 7,
    }
}

/// The file of a disk behind a vnode.
pub(super) fn inode(cx: &mut Context<'_>, id: VnodeId) -> Option<layout::Inode> {
    let attr = cx.kernel.vfs.getattr(id).ok()?;
    let time = |time: HostTime| Timespec { sec: (time.sec as i32).into(), nsec: (time.nsec as i32).into() };
    let mut din = layout::Dinode {
        mode: (attr.mode | attr.kind.mode_bits()).into(),
        nlink: (attr.nlink as i16).into(),
        size: attr.size.into(),
        atime: time(attr.atime),
        mtime: time(attr.mtime),
        ctime: time(attr.ctime),
        flags: attr.flags.into(),
        blocks: ((attr.bytes / 512) as i32).into(),
        uid: attr.uid.into(),
        gid: attr.gid.into(),
        ..layout::Dinode::default()
    };
    // Of a device: its number (`di_rdev`).
    din.db[0] = attr.rdev.into();
    Some(layout::Inode {
        vnode: place::vnode(id.index()).into(),
        dev: attr.fsid.into(),
        number: attr.fileid.into(),
        din,
        ..layout::Inode::default()
    })
}

/// The mounts that are there, in their order (`mountlist`).
pub(super) fn mounts(kernel: &Kernel) -> Vec<MountId> {
    (0..kernel.vfs.mount_count()).map(MountId).filter(|&id| kernel.vfs.is_mounted(id)).collect()
}

/// A mount by its slot.
pub(super) fn mount(cx: &Context<'_>, slot: usize) -> Option<layout::Mount> {
    let all = mounts(cx.kernel);
    let at = all.iter().position(|id| id.0 == slot)?;
    let id = *all.get(at)?;
    let address = |at: Option<usize>| at.and_then(|at| all.get(at)).map_or(0, |id| place::mount(id.0));
    let held = cx.kernel.vfs.mount_by_id(id);
    Some(layout::Mount {
        list: [address(at.checked_add(1)).into(), address(at.checked_sub(1)).into()],
        vnodecovered: held.covered.map_or(0, |vnode| place::vnode(vnode.index())).into(),
        vnodelist: vnodes_of(cx.kernel, id).first().map_or(0, |vnode| place::vnode(vnode.index())).into(),
        flag: (held.flags.bits() as i32).into(),
        maxsymlinklen: I32::new(60),
        stat: vfs::calls::statfs_of(cx, id).unwrap_or_default(),
        ..layout::Mount::default()
    })
}
