//! Values and tables of the system, asked for through the gate.

use std::mem::offset_of;

use syscalls::errno::Errno;
use syscalls::layout::{Eproc, KinfoProc, Proc as ProcEntry};
use syscalls::sysctl::{VARIABLES, ValueKind, mib};

use super::System;
use crate::kernel::boot::Config;
use crate::kernel::cred::Pcred;
use crate::kernel::proc::{ProcId, State};
use crate::kernel::{Kernel, socket, time, vfs};
use crate::mem::Prot;
use crate::trapframe::{Gpr, Trap, eflags};

const EXIT: u32 = 1;
const FORK: u32 = 2;
const DUP: u32 = 41;
const GETKERNINFO: u32 = 63;
const SOCKETPAIR: u32 = 135;
const SYSCTL: u32 = 202;

pub(super) const MEMORY: u32 = 0x1_0000;
const NAME: u32 = MEMORY;
const LENGTH: u32 = MEMORY + 0x100;
pub(super) const NEW: u32 = MEMORY + 0x200;
pub(super) const OLD: u32 = MEMORY + 0x1000;
const STACK: u32 = MEMORY + 0xf000;
const SIZE: u32 = size_of::<KinfoProc>() as u32;
/// Processes 0, 2, 3 and 4, which are the system's own in every machine.
const SYSTEM_PROCESSES: u32 = 4;

pub(super) struct Guest {
    pub(super) kernel: Kernel,
    pub(super) id: ProcId,
}

pub(super) fn guest() -> Guest {
    let mut kernel = Kernel::new(Config {
        vfs: vfs::Vfs::default(),
        clock: time::Clock::deterministic(),
        system: System::new(b"oracle"),
        network: socket::Network::default(),
    });
    let id = kernel.first_process(Pcred::new(0, 0), b"root");
    let proc = &mut kernel.procs[id];
    proc.state = State::Run;
    proc.vm.space.map_anon(MEMORY, 0x1_0000, Prot::READ | Prot::WRITE).unwrap();
    Guest { kernel, id }
}

impl Guest {
    /// Makes a call: eax, or the errno.
    pub(super) fn call(&mut self, number: u32, words: &[u32]) -> Result<u32, u32> {
        let proc = &mut self.kernel.procs[self.id];
        for (at, word) in (STACK + 4..).step_by(4).zip(words) {
            proc.vm.space.suword(at, *word).unwrap();
        }
        proc.frame.set(Gpr::Esp, STACK);
        proc.frame.set(Gpr::Eax, number);
        self.kernel.trap(self.id, Trap::Syscall);
        let frame = &self.kernel.procs[self.id].frame;
        let eax = frame.get(Gpr::Eax);
        if frame.eflags & eflags::CF == 0 { Ok(eax) } else { Err(eax) }
    }

    /// Asks for a value with so much room, and sets it where there is a new one: its length.
    pub(super) fn sysctl(&mut self, name: &[u32], room: u32, new: Option<u32>) -> Result<u32, u32> {
        let space = &self.kernel.procs[self.id].vm.space;
        for (at, number) in (NAME..).step_by(4).zip(name) {
            space.suword(at, *number).unwrap();
        }
        space.suword(LENGTH, room).unwrap();
        space.suword(NEW, new.unwrap_or(0)).unwrap();
        let (new, newlen) = if new.is_some() { (NEW, 4) } else { (0, 0) };
        self.call(SYSCTL, &[NAME, name.len() as u32, OLD, LENGTH, new, newlen])
    }

    pub(super) fn word(&self, at: u32) -> u32 {
        self.kernel.procs[self.id].vm.space.fuword(at).unwrap()
    }

    fn pid(&self) -> u32 {
        self.kernel.procs[self.id].pid as u32
    }

    /// Process number and state of an entry of the table that was stored.
    fn entry(&self, n: u32) -> (u32, u8) {
        let at = OLD + n * SIZE;
        let state = self.word(at + offset_of!(ProcEntry, stat) as u32) as u8;
        (self.word(at + offset_of!(ProcEntry, pid) as u32), state)
    }
}

#[test]
fn every_name_has_a_value_or_a_reason() {
    let mut guest = guest();
    for variable in VARIABLES {
        let asked = guest.sysctl(&[variable.top, variable.second], 0x1000, None);
        let number = (variable.top, variable.second);
        let refused = variable.top == mib::CTL_USER
            || [(mib::CTL_HW, mib::hw::DISKNAMES), (mib::CTL_HW, mib::hw::DISKSTATS)].contains(&number);
        match variable.value {
            ValueKind::Node => assert!(asked.is_err(), "{} is a node", variable.name),
            ValueKind::Table(..) => assert_eq!(asked, Err(Errno::EINVAL as u32), "which processes?"),
            _ if refused => assert_eq!(asked, Err(Errno::EOPNOTSUPP as u32), "{}", variable.name),
            // Nobody has opened a file yet.
            _ if number == (mib::CTL_KERN, mib::kern::VNODE) => assert_eq!(asked, Ok(0)),
            _ => assert!(asked.is_ok_and(|len| len > 0), "{}: {asked:?}", variable.name),
        }
    }
}

#[test]
fn the_table_of_processes_has_the_living_and_then_the_dead() {
    let mut guest = guest();
    let dead = guest.call(FORK, &[]).unwrap();
    let parent = guest.id;
    guest.id = guest.kernel.procs.find(dead as i32).unwrap();
    let _ = guest.call(EXIT, &[0]);
    guest.id = parent;
    let living = guest.call(FORK, &[]).unwrap();
    assert_eq!(guest.sysctl(&[1, 14, 0], 0x8000, None), Ok((4 + SYSTEM_PROCESSES) * SIZE));
    let [run, sleep] = [State::Run as u8, State::Sleep as u8];
    assert_eq!([guest.entry(0), guest.entry(1)], [(living, run), (guest.pid(), run)]);
    // Every process is put before those that are there; process 0 makes init and then the daemons (init_main.c).
    assert_eq!([2, 3, 4].map(|n| guest.entry(n)), [4, 3, 2].map(|pid| (pid, sleep)));
    assert_eq!([guest.entry(5).0, guest.entry(6).0], [1, 0]);
    assert_eq!(guest.entry(7), (dead, State::Zombie as u8));
}

#[test]
fn an_entry_tells_who_a_process_is() {
    let mut guest = guest();
    assert_eq!(guest.sysctl(&[1, 14, 1, guest.pid()], SIZE, None), Ok(SIZE));
    let eproc = |at: usize| OLD + (offset_of!(KinfoProc, eproc) + at) as u32;
    assert_eq!(guest.word(eproc(offset_of!(Eproc, ppid))), 1);
    assert_eq!(guest.word(eproc(offset_of!(Eproc, pgid))), guest.pid());
    assert_eq!(guest.word(eproc(offset_of!(Eproc, flag))), 2, "it leads its session");
    assert_eq!(guest.word(eproc(offset_of!(Eproc, login))), u32::from_le_bytes(*b"root"));
}

#[test]
fn too_little_room_holds_whole_entries_only() {
    let mut guest = guest();
    assert_eq!(guest.sysctl(&[1, 14, 0], 2 * SIZE - 1, None), Err(Errno::ENOMEM as u32));
    assert_eq!(guest.entry(0).0, guest.pid());
    assert_eq!(guest.word(OLD + SIZE), 0);
}

#[test]
fn the_older_door_leads_to_the_same_table() {
    let mut guest = guest();
    guest.kernel.procs[guest.id].vm.space.suword(LENGTH, 0x1000).unwrap();
    assert_eq!(guest.call(GETKERNINFO, &[1, OLD, LENGTH, guest.pid()]), Ok(SIZE));
    assert_eq!((guest.word(LENGTH), guest.entry(0).0), (SIZE, guest.pid()));
    let there = 2 + SYSTEM_PROCESSES;
    assert_eq!(guest.call(GETKERNINFO, &[0, 0, LENGTH, 0]), Ok((there + 5) * SIZE), "room for five more");
}

#[test]
fn bsd_386_finds_its_strings_behind_their_offsets() {
    let mut guest = guest();
    guest.kernel.procs[guest.id].vm.space.suword(LENGTH, 0x1000).unwrap();
    let len = guest.call(GETKERNINFO, &[0x6500, OLD, LENGTH, 0]).unwrap();
    let string = |guest: &Guest, at: u32| guest.word(OLD + guest.word(OLD + at));
    assert_eq!(string(&guest, 0), u32::from_le_bytes(*b"i386"));
    assert_eq!(string(&guest, 32), u32::from_le_bytes(*b"Free"));
    assert_eq!(len, 92 + b"FreeBSD\x002.1.0-RELEASE\0i386\0".len() as u32);
}

#[test]
fn limits_that_are_set_are_kept() {
    let mut guest = guest();
    assert_eq!(guest.sysctl(&[1, mib::kern::MAXFILES], 4, Some(0)), Ok(4));
    assert_eq!(guest.call(SOCKETPAIR, &[1, 1, 0, OLD, 0]), Err(Errno::ENFILE as u32));
    guest.sysctl(&[1, mib::kern::MAXFILES], 4, Some(2)).unwrap();
    assert_eq!(guest.call(SOCKETPAIR, &[1, 1, 0, OLD, 0]), Ok(0));
    guest.sysctl(&[1, mib::kern::MAXFILESPERPROC], 4, Some(2)).unwrap();
    assert_eq!(guest.call(DUP, &[0, 0]), Err(Errno::EMFILE as u32));
    guest.sysctl(&[1, mib::kern::MAXPROC], 4, Some(1)).unwrap();
    assert_eq!(guest.call(FORK, &[]), Err(Errno::EAGAIN as u32));
}

#[test]
fn the_security_level_only_rises() {
    let mut guest = guest();
    assert_eq!(guest.sysctl(&[1, mib::kern::SECURELVL], 4, Some(1)), Ok(4));
    assert_eq!(guest.sysctl(&[1, mib::kern::SECURELVL], 4, Some(0)), Err(Errno::EPERM as u32));
    assert_eq!(guest.word(OLD), 1);
}

#[test]
fn devices_are_numbered_from_one_and_say_what_they_hang_on() {
    const LENGTH_OF_ONE: u32 = 171;
    let mut g = guest();
    let device = |n| [mib::CTL_HW, mib::hw::DEVCONF, n];
    assert_eq!((g.sysctl(&device(0), 4, None), g.word(OLD)), (Ok(4), 2));
    assert_eq!(g.sysctl(&device(2), 1000, None), Ok(LENGTH_OF_ONE));
    assert_eq!(
        (g.word(OLD) & 0x00ff_ffff, g.word(OLD + 96), g.word(OLD + 100)),
        (u32::from_le_bytes(*b"isa\0"), 0, 2)
    );
    assert_eq!((g.word(OLD + 104), g.word(OLD + 140)), (u32::from_le_bytes(*b"cpu\0"), 1));
    assert_eq!(g.sysctl(&device(1), 100, None), Err(Errno::ENOMEM.raw()));
    assert_eq!(g.sysctl(&device(3), 1000, None), Err(Errno::ENXIO.raw()));
}

#[test]
fn the_tables_of_files_and_vnodes_are_those_of_kernel_memory() {
    let mut g = guest();
    g.call(SOCKETPAIR, &[1, 1, 0, MEMORY + 0x300]).unwrap();
    let length = g.sysctl(&[mib::CTL_KERN, mib::kern::FILE], 4096, None).unwrap();
    let size = size_of::<syscalls::layout::File>() as u32;
    assert_eq!(length, 4 + 2 * size, "two files behind the address of the first");
    let (first, second) = (g.word(OLD), g.word(OLD + 4));
    assert_eq!((first, second != 0), (crate::kernel::kmem::files::first_file(&g.kernel), true));
    assert_eq!(g.word(OLD + 4 + size + 4), first, "the second leads back to the first");
    assert_eq!(g.sysctl(&[mib::CTL_KERN, mib::kern::VNODE], 4096, None), Ok(0), "no file system, no vnode");
}
