//! Changes of the map that a process asks for: break, mmap, munmap, mprotect, msync, mlock.
//!
//! 2.1 counterpart: vm/vm_unix.c (obreak), vm/vm_mmap.c, and of vm/vm_map.c what decides errors.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use syscalls::arg::Fd;
use syscalls::errno::Errno;
use syscalls::flags::MapFlags;

use super::{VM_MAXUSER_ADDRESS, Vmspace, errno, file, inside_page, round_page};
use crate::image::MAX_DATA;
use crate::kernel::file::{FileFlag, FileObject, getfile};
use crate::kernel::limits::Resource;
use crate::kernel::vfs::VnodeId;
use crate::kernel::{Context, vfs};
use crate::mem::{self, AddressSpace, FileId, PAGE_SIZE, Prot, SharedMemory, Sharing};

/// Most pages that all processes together may wire: a third of the memory of a 32 MB machine.
const MAX_WIRED_PAGES: u32 = 2500;

/// What mmap can map of a vnode.
#[derive(Clone, Debug)]
pub enum Mappable {
    /// A regular file.
    File {
        /// The host's file, open at least for reading, and for writing where the guest may write.
        file: Rc<OwnedFd>,
        /// Its identity.
        id: FileId,
    },
    /// A file that is no file of the host, and that nobody can change: its bytes are copied.
    Content(VnodeId),
    /// /dev/zero: anonymous memory.
    Zero,
    /// Another character device; there is none that can be mapped.
    Device,
}

/// A request of mmap, checked as far as the address goes.
pub(super) struct Request {
    pub(super) addr: u32,
    pub(super) len: u32,
    pub(super) prot: Prot,
    pub(super) flags: MapFlags,
    pub(super) fd: Fd,
    pub(super) pos: i64,
}

/// Moves the break to `wanted`.
pub(super) fn obreak(cx: &mut Context<'_>, wanted: u32) -> Result<(), Errno> {
    // The limit is a signed 64-bit number, of which the original compares the low 32 bits.
    let limit = cx.proc().limits.get(Resource::Data).cur as u32;
    let vm = &mut cx.proc_mut().vm;
    let base = round_page(vm.data_addr);
    let new = round_page(wanted);
    if new < base {
        return Err(Errno::EINVAL);
    }
    if new > base && (new - base > limit || new >= VM_MAXUSER_ADDRESS) {
        return Err(Errno::ENOMEM);
    }
    let old = base.saturating_add(vm.data_pages.saturating_mul(PAGE_SIZE));
    if new > old {
        if !vm.space.regions_in(old, new - old).is_empty() {
            return Err(Errno::ENOMEM);
        }
        vm.space.map_anon(old, new - old, Prot::all()).map_err(|e| errno(&e))?;
    } else if new < old {
        vm.space.unmap(new, old - new).map_err(|e| errno(&e))?;
    }
    vm.data_pages = (new - base) / PAGE_SIZE;
    cx.kernel.account_memory();
    Ok(())
}

/// Maps memory or a file, and gives its address.
pub(super) fn mmap(cx: &mut Context<'_>, request: Request) -> Result<u32, Errno> {
    let Request { mut addr, len, prot, mut flags, fd, pos } = request;
    let fixed = flags.contains(MapFlags::FIXED);
    let anonymous = flags.contains(MapFlags::ANON);
    if (fixed && inside_page(addr)) || len.cast_signed() < 0 || (anonymous && fd.0 != -1) {
        return Err(Errno::EINVAL);
    }
    let size = round_page(len);
    if fixed {
        check_user_range(addr, size)?;
    }
    if addr == 0 && !fixed {
        // Behind the largest possible heap.
        addr = round_page(cx.proc().vm.data_addr.wrapping_add(MAX_DATA as u32));
    }
    let (file, max_prot) = if anonymous { (None, Prot::all()) } else { backing(cx, fd, prot, flags)? };
    if file.is_none() {
        flags |= MapFlags::ANON;
    }
    if size == 0 {
        return Ok(addr);
    }
    // The offset of the original is 32 bits wide.
    let offset = pos as u32;
    if inside_page(offset) {
        return Err(Errno::EINVAL);
    }
    let content = match &file {
        Some(Mappable::Content(vnode)) => Some(content(cx, *vnode, offset, size)?),
        _ => None,
    };
    let vm = &mut cx.proc_mut().vm;
    if fixed {
        vm.space.unmap(addr, size).map_err(|e| errno(&e))?;
    } else {
        addr = find_space(vm, round_page(addr), size).ok_or(Errno::ENOMEM)?;
    }
    if matches!(file, Some(Mappable::Device)) {
        return Err(Errno::EINVAL);
    }
    if !max_prot.contains(prot) {
        return Err(Errno::EACCES);
    }
    let shared = flags.contains(MapFlags::SHARED);
    let file_shared = match &file {
        Some(Mappable::File { id, .. }) if shared && mem::is_mapped(*id) => Some(*id),
        _ => None,
    };
    match file {
        Some(Mappable::File { file, id }) => {
            let sharing = if shared { Sharing::Shared } else { Sharing::Private };
            vm.space.map_file(addr, size, prot, file.as_fd(), u64::from(offset), sharing, id)
        }
        Some(Mappable::Content(_)) => {
            map_bytes(&mut vm.space, addr, size, prot, &content.unwrap_or_default())
        }
        _ if shared => vm.space.map_anon_shared(addr, size, prot),
        _ => vm.space.map_anon(addr, size, prot),
    }
    .map_err(|e| errno(&e))?;
    vm.space.set_max_protection(addr, size, max_prot).map_err(|e| errno(&e))?;
    if let Some(id) = file_shared {
        file::after_share(cx.kernel, id);
    }
    cx.kernel.account_memory();
    Ok(addr)
}

/// The bytes of a file from an offset on, as many as there are.
fn content(cx: &mut Context<'_>, vnode: VnodeId, offset: u32, size: u32) -> Result<Vec<u8>, Errno> {
    let rest = cx.kernel.vfs.size(vnode)?.saturating_sub(offset.into());
    let mut bytes = vec![0; usize::try_from(rest.min(size.into())).unwrap_or(0)];
    let read = cx.kernel.vfs.read_content(vnode, offset.into(), &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Maps memory that begins with some bytes.
fn map_bytes(
    space: &mut AddressSpace,
    addr: u32,
    size: u32,
    prot: Prot,
    bytes: &[u8],
) -> std::io::Result<()> {
    space.map_anon(addr, size, Prot::READ | Prot::WRITE)?;
    // What was just mapped can be written.
    let _ = space.copyout(addr, bytes);
    space.protect(addr, size, prot)
}

/// Where a mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the lowest free address behind the largest possible heap.
    Anywhere,
    /// Over whatever is at the address of a page.
    Exactly(u32),
}

/// Maps `size` bytes, a multiple of the page size, of shared memory into the calling process, and gives the
/// address (`vm_mmap`); ENOMEM where there is no room or the address is not a user's.
pub fn map_memory(
    cx: &mut Context<'_>,
    memory: &SharedMemory,
    size: u32,
    prot: Prot,
    placement: Placement,
) -> Result<u32, Errno> {
    let vm = &mut cx.proc_mut().vm;
    let addr = match placement {
        Placement::Exactly(addr) => check_user_range(addr, size).map(|()| addr).map_err(|_| Errno::ENOMEM)?,
        Placement::Anywhere => {
            let behind_heap = round_page(vm.data_addr.wrapping_add(MAX_DATA as u32));
            find_space(vm, behind_heap, size).ok_or(Errno::ENOMEM)?
        }
    };
    vm.space.map_shared(addr, size, prot, memory).map_err(|e| errno(&e))?;
    cx.kernel.account_memory();
    Ok(addr)
}

/// The file behind a descriptor and the most that a mapping of it may do; no file for /dev/zero.
fn backing(
    cx: &mut Context<'_>,
    fd: Fd,
    prot: Prot,
    flags: MapFlags,
) -> Result<(Option<Mappable>, Prot), Errno> {
    let id = getfile(cx, fd)?;
    let file = cx.kernel.files.get(id).ok_or(Errno::EBADF)?;
    let open = file.flag;
    let FileObject::Vnode(vnode) = file.object else { return Err(Errno::EINVAL) };
    let mappable = vfs::vn_mmap(cx, vnode, open)?;
    if matches!(mappable, Mappable::Zero) {
        return Ok((None, Prot::all()));
    }
    let mut max_prot = Prot::EXEC;
    if open.contains(FileFlag::READ) {
        max_prot |= Prot::READ;
    } else if prot.contains(Prot::READ) {
        return Err(Errno::EACCES);
    }
    if !flags.contains(MapFlags::SHARED) || open.contains(FileFlag::WRITE) {
        max_prot |= Prot::WRITE;
    } else if prot.contains(Prot::WRITE) {
        return Err(Errno::EACCES);
    }
    Ok((Some(mappable), max_prot))
}

/// The lowest free address from `hint` upwards, below the end of the user's part (`vm_map_findspace`;
/// what lies above is the process's user area and page tables).
fn find_space(vm: &Vmspace, hint: u32, size: u32) -> Option<u32> {
    let found = vm.space.find_space(hint, size)?;
    let end = found.checked_add(size)?;
    (end <= VM_MAXUSER_ADDRESS).then_some(found)
}

/// EINVAL for a range that wraps or leaves the user's part.
fn check_user_range(addr: u32, size: u32) -> Result<(), Errno> {
    match addr.checked_add(size) {
        Some(end) if end <= VM_MAXUSER_ADDRESS => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether every page of a range is mapped (`vm_map_check_protection` for no protection).
fn fully_mapped(vm: &Vmspace, addr: u32, size: u32) -> bool {
    let mapped: u64 = vm.space.regions_in(addr, size).iter().map(|region| u64::from(region.len)).sum();
    mapped == u64::from(size)
}

/// Removes a mapping; EINVAL if there is a hole.
pub(super) fn munmap(vm: &mut Vmspace, addr: u32, len: u32) -> Result<(), Errno> {
    if inside_page(addr) || len.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    let size = round_page(len);
    if size == 0 {
        return Ok(());
    }
    check_user_range(addr, size)?;
    if !fully_mapped(vm, addr, size) {
        return Err(Errno::EINVAL);
    }
    vm.space.unmap(addr, size).map_err(|e| errno(&e))
}

/// Changes the protection of what is mapped in a range; EACCES where a mapping forbids it.
pub(super) fn mprotect(vm: &mut Vmspace, addr: u32, len: u32, prot: Prot) -> Result<(), Errno> {
    if inside_page(addr) || len.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    // A range that wraps is empty to `vm_map_protect`.
    let size = match addr.checked_add(round_page(len)) {
        Some(_) => round_page(len),
        None => 0,
    };
    let parts = vm.space.regions_in(addr, size);
    if parts.iter().any(|region| !region.max_prot.contains(prot)) {
        return Err(Errno::EACCES);
    }
    if size == 0 {
        return Ok(());
    }
    vm.space.protect(addr, size, prot).map_err(|e| errno(&e))
}

/// Writes the files of a range back; the region of `addr` when the length is 0.
pub(super) fn msync(vm: &mut Vmspace, addr: u32, len: u32, wait: bool) -> Result<(), Errno> {
    let (addr, len) = match len {
        0 => vm.space.region_at(addr).map(|region| (region.start, region.len)).ok_or(Errno::EINVAL)?,
        len => (addr, len),
    };
    let end = addr.checked_add(len).filter(|&end| end <= VM_MAXUSER_ADDRESS).ok_or(Errno::EINVAL)?;
    let size = round_page(end) - addr;
    if !fully_mapped(vm, addr, size) {
        return Err(Errno::EINVAL);
    }
    vm.space.sync(addr, size, wait).map_err(|_| Errno::EIO)
}

/// Wires pages (mlock) or lets them go (munlock).
pub(super) fn lock(cx: &mut Context<'_>, addr: u32, len: u32, wire: bool) -> Result<(), Errno> {
    if inside_page(addr) || addr.checked_add(len).is_none() {
        return Err(Errno::EINVAL);
    }
    let size = round_page(len);
    if wire && (size / PAGE_SIZE).saturating_add(wired_pages(cx)) > MAX_WIRED_PAGES {
        return Err(Errno::EAGAIN);
    }
    cx.suser()?;
    let vm = &mut cx.proc_mut().vm;
    if size == 0 {
        return vm.space.region_at(addr).map(|_| ()).ok_or(Errno::ENOMEM);
    }
    let complete = fully_mapped(vm, addr, size);
    let parts = vm.space.regions_in(addr, size);
    if !complete || (!wire && parts.iter().any(|region| region.wired == 0)) {
        return Err(Errno::ENOMEM);
    }
    vm.space.wire(addr, size, wire).map_err(|_| Errno::ENOMEM)
}

/// Pages that are wired in all processes.
fn wired_pages(cx: &Context<'_>) -> u32 {
    let regions = cx.kernel.procs.iter().flat_map(|(_, proc)| proc.vm.space.regions());
    regions.filter(|region| region.wired > 0).map(|region| region.len / PAGE_SIZE).sum()
}
