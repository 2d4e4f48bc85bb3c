//! Mappings of files, made, read, written and truncated through the gate.

use std::path::Path;

use syscalls::errno::Errno;

use super::{Guest, MMAP, MPROTECT, MSYNC, OMMAP, RW, error, guest_with};
use crate::kernel::Context;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::{self, Vfs, attr::Owners};
use crate::mem::{Prot, Region};
use crate::trapframe::{Access, FaultCause};

const READ: u32 = 3;
const WRITE: u32 = 4;
const OPEN: u32 = 5;
const LSEEK: u32 = 199;
const FTRUNCATE: u32 = 201;

const SHARED: u32 = 1;
const PRIVATE: u32 = 2;
const FIXED: u32 = 0x10;
const RDONLY: u32 = 0;
const WRONLY: u32 = 1;
const RDWR: u32 = 2;
/// Where the tests keep strings and buffers.
const SCRATCH: u32 = super::DATA + 0x2000;

struct World {
    dir: tempfile::TempDir,
    guest: Guest,
}

/// A guest whose root has `file`: three pages, each filled with its number from 1 on; and /dev.
fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (1..=3).flat_map(|n| [n; 0x1000]).collect();
    std::fs::write(dir.path().join("file"), bytes).unwrap();
    std::fs::create_dir(dir.path().join("dev")).unwrap();
    let owners = Owners { host: crate::host::fs::host_identity(), guest: (0, 0) };
    let mut vfs = Vfs::new(vfs::Options { owners, repeatable: false, seed: 0 });
    vfs.mount_root(&Source::Host(dir.path()), MountFlags::empty()).unwrap();
    vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()).unwrap();
    let mut guest = guest_with(vfs);
    let id = guest.id;
    vfs::change_directory(&mut Context::new(&mut guest.kernel, id), b"/").unwrap();
    World { dir, guest }
}

impl World {
    fn path(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("file")
    }

    fn open(&mut self, name: &[u8], flags: u32) -> u32 {
        let space = &self.guest.proc().vm.space;
        space.copyout(SCRATCH, name).unwrap();
        space.subyte(SCRATCH + name.len() as u32, 0).unwrap();
        self.guest.call(OPEN, &[SCRATCH, flags, 0]).unwrap()
    }

    fn map(&mut self, fd: u32, prot: u32, flags: u32) -> Result<u32, u32> {
        self.guest.call(MMAP, &[0, 0x4000, prot, flags, fd, 0, 0, 0])
    }

    fn byte(&mut self, addr: u32) -> Result<u8, FaultCause> {
        self.guest.proc().vm.space.fubyte(addr).map_err(|fault| fault.cause)
    }

    fn store(&mut self, addr: u32, byte: u8) -> Result<(), FaultCause> {
        self.guest.proc().vm.space.subyte(addr, byte).map_err(|fault| fault.cause)
    }

    fn truncate(&mut self, fd: u32, size: u32) {
        self.guest.call(FTRUNCATE, &[fd, 0, size, 0]).unwrap();
    }
}

#[test]
fn memory_and_file_are_the_same_bytes() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    let addr = world.map(fd, RW, SHARED).unwrap();
    assert_eq!(world.byte(addr + 0x1000), Ok(2));
    world.store(addr + 0x1001, b'm').unwrap();
    world.guest.call(LSEEK, &[fd, 0, 0x1001, 0, 0]).unwrap();
    assert_eq!(world.guest.call(READ, &[fd, SCRATCH, 1]), Ok(1));
    assert_eq!(world.byte(SCRATCH), Ok(b'm'));
    world.guest.proc().vm.space.copyout(SCRATCH, b"written").unwrap();
    assert_eq!(world.guest.call(WRITE, &[fd, SCRATCH, 7]), Ok(7));
    assert_eq!(world.byte(addr + 0x1002), Ok(b'w'));
    assert_eq!(world.guest.call(MSYNC, &[addr, 0, 0]), Ok(0));
}

#[test]
fn private_changes_stay_private() {
    let mut world = world();
    let fd = world.open(b"/file", RDONLY);
    let addr = world.map(fd, RW, PRIVATE).unwrap();
    world.store(addr, b'p').unwrap();
    assert_eq!(world.byte(addr), Ok(b'p'));
    assert_eq!(std::fs::read(world.path()).unwrap()[0], 1);
}

#[test]
fn the_descriptor_decides_what_a_mapping_may_do() {
    let mut world = world();
    let read_only = world.open(b"/file", RDONLY);
    let write_only = world.open(b"/file", WRONLY);
    assert_eq!(world.map(read_only, RW, SHARED), error(Errno::EACCES));
    assert_eq!(world.map(write_only, 1, SHARED), error(Errno::EACCES));
    let addr = world.map(read_only, 1, SHARED).unwrap();
    assert_eq!(world.guest.call(MPROTECT, &[addr, 0x1000, RW]), error(Errno::EACCES));
    assert_eq!(world.store(addr, 1), Err(FaultCause::Protection));
    let region = world.guest.proc().vm.space.region_at(addr);
    assert_eq!(region.map(|r: Region| r.max_prot), Some(Prot::READ | Prot::EXEC));
    let addr = world.map(read_only, 1, PRIVATE).unwrap();
    assert_eq!(world.guest.call(MPROTECT, &[addr, 0x1000, RW]), Ok(0));
    world.store(addr, 1).unwrap();
}

#[test]
fn beyond_the_end_of_the_file_is_a_bus_error() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    let addr = world.map(fd, RW, SHARED).unwrap();
    assert_eq!(world.byte(addr + 0x2fff), Ok(3));
    assert_eq!(world.byte(addr + 0x3000), Err(FaultCause::BeyondEof));
    assert_eq!(world.store(addr + 0x3000, 1), Err(FaultCause::BeyondEof));
    let probe = world.guest.proc().vm.space.probe(addr + 0x2ffc, 8, Access::Read);
    assert_eq!(probe.unwrap_err().address, addr + 0x3000);
}

#[test]
fn ftruncate_takes_pages_away_and_gives_them_back() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    let shared = world.map(fd, RW, SHARED).unwrap();
    let private = world.map(fd, RW, PRIVATE).unwrap();
    world.store(private + 0x2000, b'p').unwrap();
    world.truncate(fd, 0x1004);
    assert_eq!(world.byte(shared + 0x1003), Ok(2));
    assert_eq!(world.byte(shared + 0x1004), Ok(0));
    assert_eq!(world.byte(shared + 0x2000), Err(FaultCause::BeyondEof));
    assert_eq!(world.byte(private + 0x2000), Ok(b'p'), "a page that was written is the process's own");
    assert_eq!(world.byte(private + 0x2001), Ok(3));
    world.truncate(fd, 0x4000);
    assert_eq!(world.byte(shared + 0x2000), Ok(0));
    assert_eq!(world.byte(shared + 0x3fff), Ok(0));
}

#[test]
fn appending_makes_pages_accessible() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    let addr = world.map(fd, 1, SHARED).unwrap();
    world.guest.call(LSEEK, &[fd, 0, 0x3000, 0, 0]).unwrap();
    world.guest.proc().vm.space.copyout(SCRATCH, b"more").unwrap();
    world.guest.call(WRITE, &[fd, SCRATCH, 4]).unwrap();
    assert_eq!(world.byte(addr + 0x3003), Ok(b'e'));
    assert_eq!(world.byte(addr + 0x3004), Ok(0));
}

#[test]
fn a_file_truncated_outside_faults_and_harms_nobody() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    for flags in [SHARED, PRIVATE] {
        let addr = world.map(fd, RW, flags).unwrap();
        assert_eq!(world.byte(addr + 0x2000), Ok(3));
        std::fs::write(world.path(), vec![1; 0x1000]).unwrap();
        assert_eq!(world.byte(addr + 0x2000), Err(FaultCause::BeyondEof));
        assert_eq!(world.store(addr + 0x1000, 1), Err(FaultCause::BeyondEof));
        assert_eq!(world.byte(addr + 0xfff), Ok(1));
        // A call whose buffer lies there is refused like one with a bad address.
        assert_eq!(world.guest.call(WRITE, &[fd, addr + 0x1000, 4]), error(Errno::EFAULT));
        std::fs::write(world.path(), vec![3; 0x3000]).unwrap();
    }
}

#[test]
fn dev_zero_is_anonymous_memory() {
    let mut world = world();
    let fd = world.open(b"/dev/zero", RDWR);
    let addr = world.map(fd, RW, PRIVATE).unwrap();
    assert_eq!(world.byte(addr + 0x3fff), Ok(0));
    world.store(addr, 1).unwrap();
    let null = world.open(b"/dev/null", RDWR);
    assert_eq!(world.map(null, RW, PRIVATE), error(Errno::EINVAL));
    let directory = world.open(b"/", RDONLY);
    assert_eq!(world.map(directory, 1, PRIVATE), error(Errno::EINVAL));
}

#[test]
fn offsets_are_multiples_of_a_page_and_32_bits_wide() {
    let mut world = world();
    let fd = world.open(b"/file", RDONLY);
    let at =
        |world: &mut World, low, high| world.guest.call(MMAP, &[0, 0x1000, 1, PRIVATE, fd, 0, low, high]);
    assert_eq!(at(&mut world, 0x800, 0), error(Errno::EINVAL));
    let addr = at(&mut world, 0x1000, 5).unwrap();
    assert_eq!(world.byte(addr), Ok(2), "the high half is dropped");
    let addr = world.guest.call(OMMAP, &[0, 0x1000, 4, 0x20, fd, 0x2000]).unwrap();
    assert_eq!(world.byte(addr), Ok(3), "OMAP_COPY");
    assert_eq!(world.guest.call(MMAP, &[0x9000, 0x1000, 1, PRIVATE | FIXED, fd, 0, 0, 0]), Ok(0x9000));
}

#[test]
fn a_child_has_its_parents_mappings() {
    let mut world = world();
    let fd = world.open(b"/file", RDWR);
    let shared = world.map(fd, RW, SHARED).unwrap();
    let private = world.map(fd, RW, PRIVATE).unwrap();
    world.store(private, b'p').unwrap();
    let child = world.guest.proc().vm.fork().unwrap();
    child.space.subyte(shared, b'c').unwrap();
    child.space.subyte(private + 1, b'c').unwrap();
    assert_eq!(world.byte(shared), Ok(b'c'));
    assert_eq!(world.byte(private + 1), Ok(1));
    assert_eq!(child.space.fubyte(private), Ok(b'p'));
}
