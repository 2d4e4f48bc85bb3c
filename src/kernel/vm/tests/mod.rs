//! The calls on memory, made through the gate of a process.

mod files;

use std::io::Write;
use std::os::fd::AsFd;

use syscalls::errno::Errno;

use super::image::Image;
use super::layout::{Arguments, SGROWSIZ, SIGCODE, SIGCODE_BYTES, USRSTACK, lay_out};
use super::{Vmspace, copyin, copyinstr, copyout, grow, grow_on_fault};
use crate::image::{self, Backing, Kind, Plan, Segment};
use crate::kernel::boot::Config;
use crate::kernel::cred::Pcred;
use crate::kernel::limits::{Resource, Rlimit};
use crate::kernel::proc::{Proc, ProcId, State};
use crate::kernel::{Kernel, socket, sysctl, time, vfs};
use crate::mem::{FileId, Prot};
use crate::trapframe::{Gpr, Trap, eflags};

const OBREAK: u32 = 17;
const MSYNC: u32 = 65;
const SBRK: u32 = 69;
const OMMAP: u32 = 71;
const MUNMAP: u32 = 73;
const MPROTECT: u32 = 74;
const MADVISE: u32 = 75;
const MMAP: u32 = 197;
const MLOCK: u32 = 203;
const MUNLOCK: u32 = 204;

const ANON_PRIVATE: u32 = 0x1002;
const ANON_SHARED: u32 = 0x1001;
const FIXED: u32 = 0x10;
const RW: u32 = 3;
const NO_FD: u32 = u32::MAX;

const DATA: u32 = 0x2_0000;
const ID: FileId = FileId { dev: 9, ino: 9 };

struct Guest {
    kernel: Kernel,
    id: ProcId,
}

/// A plan with one page of text of the file, two of its data and one of bss.
fn plan() -> Plan {
    let file = |offset| Backing::File { offset };
    let segment = |addr, len, prot, kind, backing| Segment { addr, len, prot, kind, backing };
    Plan {
        format: "test",
        extension: None,
        older: false,
        segments: vec![
            segment(0x1000, 0x1000, image::Prot::RX, Kind::Text, file(0)),
            segment(DATA, 0x2000, image::Prot::RWX, Kind::Data, file(0x1000)),
            segment(DATA + 0x2000, 0x1000, image::Prot::RWX, Kind::Bss, Backing::Zero),
        ],
        entry: 0x1000,
        interpreter: None,
        elf: None,
        text_addr: 0x1000,
        text_pages: 1,
        data_addr: DATA,
        data_pages: 3,
    }
}

/// A new program whose file has a page of 1, a page of 2 and ends inside the next.
fn program() -> Vmspace {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; 0x1000]).unwrap();
    file.write_all(&[2; 0x1000]).unwrap();
    file.write_all(&[3; 0x10]).unwrap();
    let size = file.metadata().unwrap().len();
    let mut arguments = Arguments::default();
    arguments.push_arg(b"prog").unwrap();
    let image = Image { fd: file.as_fd(), id: ID, size };
    Vmspace::build(&plan(), image, &lay_out(&arguments, &[]), i64::MAX).unwrap()
}

fn guest() -> Guest {
    guest_with(vfs::Vfs::default())
}

fn guest_with(vfs: vfs::Vfs) -> Guest {
    let mut kernel = Kernel::new(Config {
        vfs,
        clock: time::Clock::deterministic(),
        system: sysctl::System::default(),
        network: socket::Network::default(),
    });
    let id = kernel.first_process(Pcred::new(0, 0), b"root");
    kernel.procs[id].state = State::Run;
    kernel.procs[id].vm = program();
    Guest { kernel, id }
}

impl Guest {
    fn proc(&mut self) -> &mut Proc {
        &mut self.kernel.procs[self.id]
    }

    /// Makes a call: eax, or the errno.
    fn call(&mut self, number: u32, words: &[u32]) -> Result<u32, u32> {
        let esp = USRSTACK - 0x8000;
        for (at, word) in (esp + 4..).step_by(4).zip(words) {
            self.proc().vm.space.suword(at, *word).unwrap();
        }
        self.proc().frame.set(Gpr::Esp, esp);
        self.proc().frame.set(Gpr::Eax, number);
        self.kernel.trap(self.id, Trap::Syscall);
        let frame = &self.proc().frame;
        let eax = frame.get(Gpr::Eax);
        if frame.eflags & eflags::CF == 0 { Ok(eax) } else { Err(eax) }
    }

    fn mmap(&mut self, addr: u32, len: u32, prot: u32, flags: u32) -> Result<u32, u32> {
        self.call(MMAP, &[addr, len, prot, flags, NO_FD, 0, 0, 0])
    }

    fn word(&mut self, addr: u32) -> Option<u32> {
        self.proc().vm.space.fuword(addr).ok()
    }
}

fn error<T>(errno: Errno) -> Result<T, u32> {
    Err(errno as u32)
}

#[test]
fn a_new_program_finds_its_segments_stack_and_trampoline() {
    let mut guest = guest();
    assert_eq!(guest.word(0x1000), Some(0x0101_0101));
    assert_eq!(guest.word(DATA), Some(0x0202_0202));
    assert_eq!(guest.word(DATA + 0x100c), Some(0x0303_0303));
    assert_eq!(guest.word(DATA + 0x1010), Some(0), "zeros behind the end of the file");
    assert_eq!(guest.word(DATA + 0x2000), Some(0));
    assert_eq!(guest.word(USRSTACK - SGROWSIZ), Some(0));
    assert_eq!(guest.word(USRSTACK - SGROWSIZ - 4), None);
    let mut trampoline = [0; SIGCODE_BYTES.len()];
    let space = &guest.proc().vm.space;
    space.copyin(SIGCODE, &mut trampoline).unwrap();
    assert_eq!(trampoline, SIGCODE_BYTES);
    assert!(space.suword(SIGCODE, 0).is_err());
    assert!(space.suword(0x1000, 0).is_err(), "text is read-only");
    let argv = guest.proc().vm.argv;
    assert_eq!(guest.word(argv - 4), Some(1));
}

#[test]
fn break_grows_and_shrinks_by_pages() {
    let mut guest = guest();
    let end = DATA + 0x3000;
    assert_eq!(guest.call(OBREAK, &[end + 0x1800]), Ok(0));
    assert_eq!(guest.word(end + 0x1ffc), Some(0));
    assert_eq!(guest.word(end + 0x2000), None);
    assert_eq!(guest.proc().vm.data_pages, 5);
    guest.proc().vm.space.suword(end, 7).unwrap();
    assert_eq!(guest.call(OBREAK, &[end]), Ok(0));
    assert_eq!(guest.word(end), None);
    assert_eq!(guest.call(OBREAK, &[end + 1]), Ok(0));
    assert_eq!(guest.word(end), Some(0), "memory that comes back is zero");
}

#[test]
fn break_refuses_what_is_below_data_over_the_limit_or_in_use() {
    let mut guest = guest();
    assert_eq!(guest.call(OBREAK, &[DATA - 0x1000]), error(Errno::EINVAL));
    assert_eq!(guest.call(OBREAK, &[u32::MAX]), error(Errno::EINVAL), "rounds to 0");
    assert_eq!(guest.call(OBREAK, &[DATA + (64 << 20) + 1]), error(Errno::ENOMEM));
    assert_eq!(guest.mmap(DATA + 0x8000, 0x1000, RW, ANON_PRIVATE | FIXED), Ok(DATA + 0x8000));
    assert_eq!(guest.call(OBREAK, &[DATA + 0x9000]), error(Errno::ENOMEM));
    assert_eq!(guest.call(OBREAK, &[DATA + 0x8000]), Ok(0));
    guest.proc().limits.set(Resource::Data, Rlimit { cur: 0x4000, max: 0x4000 });
    assert_eq!(guest.call(OBREAK, &[DATA + 0x5000]), error(Errno::ENOMEM));
}

#[test]
fn mmap_without_a_hint_goes_behind_the_largest_heap() {
    let mut guest = guest();
    let first = DATA + (128 << 20);
    assert_eq!(guest.mmap(0, 0x1800, RW, ANON_PRIVATE), Ok(first));
    assert_eq!(guest.mmap(0, 0x1000, RW, ANON_PRIVATE), Ok(first + 0x2000));
    assert_eq!(guest.mmap(first, 0x1000, RW, ANON_PRIVATE), Ok(first + 0x3000), "a hint in use");
    assert_eq!(guest.mmap(0x8001, 0x1000, RW, ANON_PRIVATE), Ok(0x9000), "a hint is rounded up");
    assert_eq!(guest.mmap(0, 0, RW, ANON_PRIVATE), Ok(first), "nothing is mapped");
}

#[test]
fn mmap_checks_its_arguments_in_the_order_of_the_original() {
    let mut guest = guest();
    let fixed = ANON_PRIVATE | FIXED;
    assert_eq!(guest.mmap(0x8001, 0x1000, RW, fixed), error(Errno::EINVAL));
    assert_eq!(guest.mmap(0, 0x8000_0000, RW, ANON_PRIVATE), error(Errno::EINVAL));
    assert_eq!(guest.mmap(USRSTACK - 0x1000, 0x2000, RW, fixed), error(Errno::EINVAL));
    assert_eq!(guest.mmap(0xffff_f000, 0x2000, RW, fixed), error(Errno::EINVAL));
    assert_eq!(guest.mmap(0, 0x7fff_0000, RW, ANON_PRIVATE), Ok(DATA + (128 << 20)));
    assert_eq!(guest.mmap(0, 0x7fff_0000, RW, ANON_PRIVATE), error(Errno::ENOMEM));
    assert_eq!(guest.mmap(0xf000_0000, 0x1000, RW, ANON_PRIVATE), error(Errno::ENOMEM));
    let with_fd =
        |guest: &mut Guest, fd, flags, pos| guest.call(MMAP, &[0, 0x1000, RW, flags, fd, 0, pos, 0]);
    assert_eq!(with_fd(&mut guest, 0, ANON_PRIVATE, 0), error(Errno::EINVAL));
    assert_eq!(with_fd(&mut guest, 77, 2, 0), error(Errno::EBADF));
    assert_eq!(with_fd(&mut guest, NO_FD, ANON_PRIVATE, 0x10), error(Errno::EINVAL));
}

#[test]
fn a_fixed_mapping_replaces_what_was_there() {
    let mut guest = guest();
    let addr = guest.mmap(0, 0x3000, RW, ANON_PRIVATE).unwrap();
    guest.proc().vm.space.suword(addr + 0x1000, 5).unwrap();
    assert_eq!(guest.mmap(addr + 0x1000, 0x1000, 1, ANON_PRIVATE | FIXED), Ok(addr + 0x1000));
    assert_eq!(guest.word(addr + 0x1000), Some(0));
    assert!(guest.proc().vm.space.suword(addr + 0x1000, 1).is_err());
}

#[test]
fn shared_memory_is_shared_with_a_child() {
    let mut guest = guest();
    let shared = guest.mmap(0, 0x1000, RW, ANON_SHARED).unwrap();
    let private = guest.mmap(0, 0x1000, RW, ANON_PRIVATE).unwrap();
    let child = guest.proc().vm.fork().unwrap();
    child.space.suword(shared, 1).unwrap();
    child.space.suword(private, 1).unwrap();
    assert_eq!(guest.word(shared), Some(1));
    assert_eq!(guest.word(private), Some(0));
    assert_eq!((child.data_addr, child.data_pages), (DATA, 3));
}

#[test]
fn munmap_wants_no_holes() {
    let mut guest = guest();
    let addr = guest.mmap(0, 0x3000, RW, ANON_PRIVATE).unwrap();
    assert_eq!(guest.call(MUNMAP, &[addr + 1, 0x1000]), error(Errno::EINVAL));
    assert_eq!(guest.call(MUNMAP, &[addr, 0x4000]), error(Errno::EINVAL));
    assert_eq!(guest.call(MUNMAP, &[addr, 0xffff_f000]), error(Errno::EINVAL));
    assert_eq!(guest.call(MUNMAP, &[addr, 0]), Ok(0));
    assert_eq!(guest.call(MUNMAP, &[addr, 0x1001]), Ok(0));
    assert_eq!(guest.word(addr + 0x1000), None);
    assert_eq!(guest.word(addr + 0x2000), Some(0));
    assert_eq!(guest.call(MUNMAP, &[USRSTACK, 0x1000]), error(Errno::EINVAL));
}

#[test]
fn mprotect_passes_holes_and_minds_the_maximum() {
    let mut guest = guest();
    let addr = guest.mmap(0, 0x3000, RW, ANON_PRIVATE).unwrap();
    guest.call(MUNMAP, &[addr + 0x1000, 0x1000]).unwrap();
    assert_eq!(guest.call(MPROTECT, &[addr, 0x3000, 1]), Ok(0));
    assert!(guest.proc().vm.space.suword(addr + 0x2000, 1).is_err());
    assert_eq!(guest.call(MPROTECT, &[addr + 4, 0x1000, 1]), error(Errno::EINVAL));
    assert_eq!(guest.call(MPROTECT, &[0x1000, 0x1000, RW]), Ok(0), "text, through a private mapping");
    guest.proc().vm.space.suword(0x1000, 1).unwrap();
    assert_eq!(guest.call(MPROTECT, &[USRSTACK, 0x1000, RW]), error(Errno::EACCES));
}

#[test]
fn the_old_mmap_has_other_numbers() {
    let mut guest = guest();
    // Read is 4 and execute 1; OMAP_ANON is 2.
    let addr = guest.call(OMMAP, &[0, 0x1000, 4, 2, NO_FD, 0]).unwrap();
    assert_eq!(guest.word(addr), Some(0));
    assert!(guest.proc().vm.space.suword(addr, 1).is_err());
    let addr = guest.call(OMMAP, &[0x7000, 0x1000, 6, 0x102, NO_FD, 0]).unwrap();
    assert_eq!(addr, 0x7000);
    guest.proc().vm.space.suword(addr, 1).unwrap();
}

#[test]
fn what_2_1_does_not_support_is_refused() {
    let mut guest = guest();
    assert_eq!(guest.call(SBRK, &[0x1000]), error(Errno::EOPNOTSUPP));
    assert_eq!(guest.call(MADVISE, &[0, 0x1000, 4]), error(Errno::EOPNOTSUPP));
    assert_eq!(guest.call(64, &[]), Ok(4096));
    assert_eq!(guest.call(72, &[0]), error(Errno::EINVAL));
}

#[test]
fn wiring_is_for_the_super_user_and_counts() {
    let mut guest = guest();
    let addr = guest.mmap(0, 0x2000, RW, ANON_PRIVATE).unwrap();
    assert_eq!(guest.call(MUNLOCK, &[addr, 0x1000]), error(Errno::ENOMEM), "not wired");
    assert_eq!(guest.call(MLOCK, &[addr, 0x1000]), Ok(0));
    assert_eq!(guest.call(MLOCK, &[addr, 0x4000]), error(Errno::ENOMEM), "a hole");
    assert_eq!(guest.call(MLOCK, &[addr, 0x1000_0000]), error(Errno::EAGAIN));
    assert_eq!(guest.call(MUNLOCK, &[addr, 0x1000]), Ok(0));
    assert_eq!(guest.call(MUNLOCK, &[addr, 0x1000]), error(Errno::ENOMEM));
    guest.proc().cred = Pcred::new(100, 100);
    assert_eq!(guest.call(MLOCK, &[addr, 0x1000]), error(Errno::EPERM));
    assert_eq!(guest.call(MLOCK, &[addr + 1, 0x1000]), error(Errno::EINVAL));
}

#[test]
fn msync_checks_the_range() {
    let mut guest = guest();
    assert_eq!(guest.call(MSYNC, &[DATA, 0x1000, 3]), error(Errno::EINVAL));
    assert_eq!(guest.call(MSYNC, &[DATA, 0x1000, 0]), Ok(0));
    assert_eq!(guest.call(MSYNC, &[DATA, 0, 1]), Ok(0));
    assert_eq!(guest.call(MSYNC, &[0x8000, 0, 0]), error(Errno::EINVAL));
    assert_eq!(guest.call(MSYNC, &[DATA, 0x10_0000, 0]), error(Errno::EINVAL));
}

#[test]
fn the_stack_grows_in_steps_up_to_the_limit() {
    let mut guest = guest();
    let id = guest.id;
    let bottom = USRSTACK - SGROWSIZ;
    assert!(grow_on_fault(&mut guest.kernel, id, bottom - 5));
    assert_eq!(guest.proc().vm.stack_pages, 64);
    assert_eq!(guest.word(bottom - SGROWSIZ), Some(0));
    assert_eq!(guest.word(bottom - SGROWSIZ - 4), None);
    assert!(!grow_on_fault(&mut guest.kernel, id, USRSTACK - (8 << 20) - 4), "over the soft limit");
    assert!(grow_on_fault(&mut guest.kernel, id, USRSTACK - (8 << 20)));
    assert!(!grow_on_fault(&mut guest.kernel, id, 0x5000), "not in the stack");
    assert!(grow(&mut guest.kernel, id, 0x5000), "for a signal stack elsewhere there is nothing to do");
    guest.proc().limits.set(Resource::Stack, Rlimit { cur: 64 << 20, max: 64 << 20 });
    assert!(grow_on_fault(&mut guest.kernel, id, USRSTACK - (64 << 20) + 0x1000));
    assert!(!grow_on_fault(&mut guest.kernel, id, USRSTACK - (64 << 20)));
    assert_eq!(guest.proc().vm.stack_pages, (64 << 20) / 4096);
}

#[test]
fn the_stack_does_not_grow_into_a_mapping() {
    let mut guest = guest();
    let id = guest.id;
    let wall = USRSTACK - 3 * SGROWSIZ;
    guest.mmap(wall, 0x1000, RW, ANON_PRIVATE | FIXED).unwrap();
    assert!(grow_on_fault(&mut guest.kernel, id, USRSTACK - SGROWSIZ - 4));
    assert!(!grow_on_fault(&mut guest.kernel, id, USRSTACK - 2 * SGROWSIZ - 4));
}

#[test]
fn copies_of_the_kernel_grow_the_stack_too() {
    let mut guest = guest();
    let id = guest.id;
    let deep = USRSTACK - (1 << 20);
    let mut buffer = [9; 0x3000];
    copyin(guest.proc(), deep, &mut buffer).unwrap();
    assert!(buffer.iter().all(|&byte| byte == 0));
    assert_eq!(copyinstr(guest.proc(), deep, 10), Ok(Vec::new()));
    copyout(&mut guest.kernel, id, deep, &[7; 0x3000]).unwrap();
    assert_eq!(guest.word(deep + 0x2ffc), Some(0x0707_0707));
    let below = USRSTACK - (9 << 20);
    assert_eq!(copyin(guest.proc(), below, &mut buffer), Err(Errno::EFAULT));
    assert_eq!(copyout(&mut guest.kernel, id, below, &[1]), Err(Errno::EFAULT));
    assert_eq!(copyinstr(guest.proc(), 0x10, 10), Err(Errno::EFAULT));
}

#[test]
fn the_default_of_memory_is_everything_allowed() {
    let mut guest = guest();
    let region = guest.proc().vm.space.region_at(USRSTACK - 4).unwrap();
    assert_eq!((region.prot, region.max_prot), (Prot::all(), Prot::all()));
}
