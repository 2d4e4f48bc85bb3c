//! Code that processes have in common: the same texts are decoded once, and whoever changes one is on its own.
#![allow(missing_docs)]

use bsd21::cpu::{Cpu, Library, Options, Stopped};
use bsd21::mem::{AddressSpace, FileId, Prot, Sharing};
use bsd21::trapframe::{Gpr, Trap, Trapframe};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

const TEXT: u32 = 0x1_0000;
/// A page of data that holds code.
const DATA: u32 = 0x2_0000;
const RX: Prot = Prot::READ.union(Prot::EXEC);
const RW: Prot = Prot::READ.union(Prot::WRITE);
/// Where the byte lies that a round adds.
const STEP: u32 = TEXT + 2;
/// `1: add eax, STEP; call edx; dec ecx; jnz 1b; int3`
const CODE: [u8; 9] = [0x83, 0xc0, 1, 0xff, 0xd2, 0x49, 0x75, 0xf8, 0xcc];
/// Times of a file tell whether it was changed only after that.
const SETTLED: Duration = Duration::from_millis(4200);

fn text(code: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    let mut page = vec![0xcc; 0x1000];
    page[..code.len()].copy_from_slice(code);
    file.write_all(&page).expect("written");
    file
}

fn map(space: &mut AddressSpace, file: &File, ino: u64) {
    let id = FileId { dev: 7, ino };
    space.map_file(TEXT, 0x1000, RX, file.as_fd(), 0, Sharing::Private, id).expect("mapped");
}

struct Process {
    space: AddressSpace,
    cpu: Cpu,
}

impl Process {
    /// A process whose data page holds a function that adds `step` to EBX.
    fn new(library: &Rc<Library>, file: &File, step: u8) -> Self {
        let mut space = AddressSpace::new().expect("memory");
        map(&mut space, file, 1);
        space.map_anon(DATA, 0x1000, RW).expect("data");
        space.copyout(DATA, &[0x83, 0xc3, step, 0xc3]).expect("code");
        Self { space, cpu: cpu(library) }
    }

    fn child(&mut self, library: &Rc<Library>) -> Self {
        Self { space: self.space.fork().expect("a copy"), cpu: cpu(library) }
    }

    /// Runs the program ten times; gives what it has added.
    fn run(&mut self) -> (u32, u32) {
        let mut frame = Trapframe::new();
        frame.eip = TEXT;
        frame.set(Gpr::Esp, DATA + 0xff0);
        frame.set(Gpr::Edx, DATA);
        frame.set(Gpr::Ecx, 10);
        let stopped = self.cpu.run(&mut frame, &mut self.space, 10_000);
        assert_eq!(stopped, Stopped { trap: Trap::Breakpoint, retired: 61 });
        (frame.get(Gpr::Eax), frame.get(Gpr::Ebx))
    }
}

fn cpu(library: &Rc<Library>) -> Cpu {
    Cpu::of_library(Options { translate: Some(0), ..Options::default() }, library)
}

#[test]
fn the_same_text_is_decoded_once() {
    let file = text(&CODE);
    std::thread::sleep(SETTLED);
    let library = Rc::new(Library::new(false));
    let mut first = Process::new(&library, &file, 1);
    let mut second = Process::new(&library, &file, 2);
    assert_eq!(first.run(), (10, 10));
    let known = first.cpu.operations();
    // Code beside the text is each process's own, at the same address.
    assert_eq!(second.run(), (10, 20));
    assert!(second.cpu.operations() > known, "the function was decoded again");
    assert_eq!(first.run(), (10, 10));
    assert_eq!(first.cpu.operations(), second.cpu.operations(), "both see one set");
    let mut child = second.child(&library);
    assert_eq!(child.run(), (10, 20));
    assert_eq!(child.cpu.operations(), second.cpu.operations());

    // A breakpoint, or whatever a debugger writes, is for one process.
    child.space.poke(STEP, &[5]).expect("mapped");
    assert_eq!(child.run(), (50, 20));
    assert_eq!(second.run(), (10, 20));
    let mut grandchild = child.child(&library);
    assert_eq!(grandchild.run(), (50, 20));

    // So is another file in the same place.
    map(&mut second.space, &text(&[0x83, 0xc0, 9, 0xff, 0xd2, 0x49, 0x75, 0xf8, 0xcc]), 2);
    assert_eq!(second.run(), (90, 20));
    assert_eq!(first.run(), (10, 10));

    // A text that may be written is none.
    first.space.protect(TEXT, 0x1000, Prot::all()).expect("private");
    assert_eq!(first.run(), (10, 10));
    first.space.copyout(STEP, &[3]).expect("writable");
    assert_eq!(first.run(), (30, 10));
}

#[test]
fn a_file_that_changes_is_no_text() {
    let mut file = text(&CODE);
    let library = Rc::new(Library::new(false));
    let id = FileId { dev: 7, ino: 1 };
    let mut young = Process::new(&library, &file, 1);
    assert_eq!(young.run(), (10, 10));
    std::thread::sleep(SETTLED);
    let mut first = Process::new(&library, &file, 1);
    let mut second = Process::new(&library, &file, 1);
    assert_eq!((first.run(), second.run()), ((10, 10), (10, 10)));
    assert_eq!(first.cpu.operations(), second.cpu.operations());
    // Written, as the kernel tells everybody whose mappings show it.
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(2)).and_then(|_| file.write_all(&[4])).expect("written");
    for process in [&mut young, &mut first, &mut second] {
        process.space.file_written(id, 2, 1);
        assert_eq!(process.run(), (40, 10));
    }
    let mut third = Process::new(&library, &file, 1);
    assert_eq!(third.run(), (40, 10));
    // Mapped so that stores change it, by somebody else: they are seen.
    let mut shared = AddressSpace::new().expect("memory");
    let other = file.try_clone().expect("another descriptor");
    shared.map_file(TEXT, 0x1000, RW, other.as_fd(), 0, Sharing::Shared, id).expect("mapped");
    for process in [&mut first, &mut third] {
        process.space.file_shared(id);
        assert_eq!(process.run(), (40, 10));
    }
    shared.copyout(STEP, &[6]).expect("writable");
    for process in [&mut first, &mut third] {
        assert_eq!(process.run(), (60, 10));
    }
}

#[test]
fn much_code_beside_texts_is_no_longer_shared() {
    let file = text(&CODE);
    std::thread::sleep(SETTLED);
    let library = Rc::new(Library::new(false));
    let mut process = Process::new(&library, &file, 1);
    for step in 0..=255u32 {
        for round in 0..8 {
            process.space.copyout(DATA, &[0x83, 0xc3, step as u8, 0xc3]).expect("code");
            let expected = (i32::from(step as u8 as i8) * 10) as u32;
            assert_eq!(process.run(), (10, expected), "{step} {round}");
        }
    }
}
