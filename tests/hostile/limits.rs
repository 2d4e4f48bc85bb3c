//! What a guest can take of the host without options: an end with one line, or an error for the guest.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use iced_x86::code_asm::*;

use crate::program::{Layout, exit_with_errno, gate, install, program};
use crate::{bsd21, peak, scratch};

fn put(place: &Path, name: &str, image: &[u8]) {
    install(&place.join(name), image);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs bsd21 under limits of the host that the shell sets.
fn limited(place: &Path, limits: &str, args: &str) -> Output {
    let line = format!("{limits}; exec '{}' {args}", env!("CARGO_BIN_EXE_bsd21"));
    let mut command = Command::new("/bin/sh");
    command.current_dir(place).env_remove("BSD21_ROOT").args(["-c", &line]).output().expect("sh runs")
}

/// Maps memory of 16 MB and writes to each page of it, for ever.
fn memory_bomb(flags: i32) -> Vec<u8> {
    program(&Layout::default(), |a| {
        let (mut again, mut page) = (a.create_label(), a.create_label());
        a.set_label(&mut again).expect("label");
        gate(a, 197, &[0, 16 << 20, 3, flags, -1, 0, 0, 0]);
        a.mov(ecx, (16 << 20) >> 12).expect("mov");
        a.set_label(&mut page).expect("label");
        a.mov(byte_ptr(eax), 1).expect("mov");
        a.add(eax, 4096).expect("add");
        a.dec(ecx).expect("dec");
        a.jnz(page).expect("jnz");
        a.jmp(again).expect("jmp");
    })
}

#[test]
fn memory_is_limited_without_options() {
    let place = scratch();
    put(place.path(), "private", &memory_bomb(0x1002));
    put(place.path(), "shared", &memory_bomb(0x1001));
    let line = "--max-mem: the run needed more than 536870912 bytes of memory";
    for bomb in ["private", "shared"] {
        let output = bsd21(place.path(), &["run", bomb], bomb);
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(124), format!("bsd21: {line}\n")),
            "{bomb}"
        );
        let output = bsd21(place.path(), &["capture", "-o", "case", "--", bomb], bomb);
        let said = format!("bsd21: {line}; nothing was recorded\n");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(124), said), "{bomb}");
        assert!(!place.path().join("case").exists());
    }
    assert!(peak(libc::RUSAGE_CHILDREN) < 800 << 20, "{}", peak(libc::RUSAGE_CHILDREN));
    let output = bsd21(place.path(), &["run", "--max-mem", "40M", "private"], "40M");
    assert_eq!(text(&output.stderr), "bsd21: --max-mem: the run needed more than 41943040 bytes of memory\n");
}

/// One call that reads so much is refused as it goes on, not when it is done.
#[test]
fn one_call_cannot_take_more_than_there_is() {
    let place = scratch();
    let mut layout = Layout::default();
    let zero = layout.put(b"/dev/zero\0");
    let image = program(&layout, |a| {
        gate(a, 197, &[0x1000_0000, 0x6000_0000, 3, 0x1002, -1, 0, 0, 0]);
        a.mov(ebx, eax).expect("mov");
        gate(a, 5, &[zero as i32, 0, 0]);
        gate(a, 3, &[3, 0x1000_0000, 0x6000_0000]);
        exit_with_errno(a);
    });
    put(place.path(), "reader", &image);
    let output = bsd21(place.path(), &["run", "reader"], "reader");
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
}

/// Every second page is a file's: each costs the host two mappings.
#[test]
fn mappings_of_the_host_do_not_run_out() {
    let place = scratch();
    let mut layout = Layout::default();
    let name = layout.put(b"file\0");
    let image = program(&layout, |a| {
        let (mut again, mut ended) = (a.create_label(), a.create_label());
        gate(a, 5, &[name as i32, 2, 0]);
        gate(a, 197, &[0x2000_0000, 0x2000_0000, 3, 0x1012, -1, 0, 0, 0]);
        a.mov(ebx, 0x2000_0000).expect("mov");
        a.set_label(&mut again).expect("label");
        a.push(0).expect("push");
        a.push(0).expect("push");
        a.push(0).expect("push");
        a.push(3).expect("push");
        a.push(0x11).expect("push");
        a.push(3).expect("push");
        a.push(4096).expect("push");
        a.push(ebx).expect("push");
        a.push(0).expect("push");
        a.mov(eax, 197).expect("mov");
        a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
        a.jc(ended).expect("jc");
        a.mov(esp, 0xefbf_d000_u32 as i32).expect("mov");
        a.add(ebx, 8192).expect("add");
        a.jmp(again).expect("jmp");
        a.set_label(&mut ended).expect("label");
        a.mov(esi, eax).expect("mov");
        // What is left is enough for a child.
        gate(a, 2, &[]);
        a.mov(eax, esi).expect("mov");
        exit_with_errno(a);
    });
    put(place.path(), "mapper", &image);
    fs::write(place.path().join("file"), vec![0; 4096]).expect("a file");
    let output = bsd21(place.path(), &["run", "mapper"], "mapper");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(12), String::new()), "ENOMEM");
}

/// 12,000 directories, each in the one before.
fn deep(top: &[u8]) -> Vec<u8> {
    let mut layout = Layout::default();
    let top = layout.put(top);
    let name = layout.put(b"d\0");
    program(&layout, |a| {
        let mut again = a.create_label();
        gate(a, 12, &[top as i32]);
        a.mov(ebx, 12_000).expect("mov");
        a.set_label(&mut again).expect("label");
        gate(a, 136, &[name as i32, 0o755]);
        gate(a, 12, &[name as i32]);
        a.dec(ebx).expect("dec");
        a.jnz(again).expect("jnz");
        gate(a, 1, &[0]);
    })
}

#[test]
fn deep_trees_are_removed_and_refused() {
    let place = scratch();
    put(place.path(), "private", &deep(b"/tmp\0"));
    put(place.path(), "nest", &deep(b"/case\0"));
    let own = place.path().join("tmp");
    fs::create_dir(&own).expect("tmp");
    let output = limited(place.path(), "TMPDIR=$PWD/tmp; export TMPDIR", "run private");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert_eq!(fs::read_dir(&own).expect("tmp").count(), 0, "the private /tmp is gone");
    let output = bsd21(place.path(), &["capture", "-o", "c", "--", "nest"], "capture");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(
        said.starts_with("bsd21: cannot read the guest's files: ") && said.lines().count() == 1,
        "{said}"
    );
    assert!(!place.path().join("c").exists());
}

#[test]
fn kept_output_counts_with_its_holes() {
    let place = scratch();
    let image = program(&Layout::default(), |a| {
        // ftruncate to 8 GB and, where that is refused, a byte behind a hole of 8 GB.
        gate(a, 201, &[1, 0, 0, 2]);
        gate(a, 199, &[1, 0, 0, 2, 0]);
        gate(a, 4, &[1, 0x2000, 1]);
        exit_with_errno(a);
    });
    put(place.path(), "hole", &image);
    let output = bsd21(place.path(), &["capture", "-o", "c", "--", "hole"], "capture");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{said}");
    assert!(said.starts_with("bsd21: --max-mem: ") && said.lines().count() == 1, "{said}");
    assert!(!place.path().join("c").exists());
}

/// Locks every second byte of a file until it may lock no more.
#[test]
fn locked_ranges_of_a_file_have_an_end() {
    let place = scratch();
    let mut layout = Layout::default();
    let name = layout.put(b"locked\0");
    // struct flock: start, length, pid, type, whence.
    let lock = layout.words(&[0, 0, 1, 0, 0, 3]);
    let image = program(&layout, |a| {
        let mut again = a.create_label();
        gate(a, 5, &[name as i32, 0x602, 0o644]);
        a.set_label(&mut again).expect("label");
        a.add(dword_ptr(lock), 2).expect("add");
        gate(a, 92, &[3, 8, lock as i32]);
        a.jnc(again).expect("jnc");
        exit_with_errno(a);
    });
    put(place.path(), "locker", &image);
    let output = bsd21(place.path(), &["run", "--clock", "virtual", "locker"], "run");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(77), String::new()), "ENOLCK");
}

#[test]
fn the_hosts_limit_on_files_is_efbig() {
    let place = scratch();
    let mut layout = Layout::default();
    let name = layout.put(b"big\0");
    let image = program(&layout, |a| {
        let mut again = a.create_label();
        gate(a, 5, &[name as i32, 0x602, 0o644]);
        a.set_label(&mut again).expect("label");
        gate(a, 4, &[3, 0x2000, 4096]);
        a.jnc(again).expect("jnc");
        exit_with_errno(a);
    });
    put(place.path(), "writer", &image);
    let output = limited(place.path(), "ulimit -f 64", "run writer");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(27), String::new()), "EFBIG");
}

/// Looks 300 files up, one after the other: none stays open.
#[test]
fn few_descriptors_of_the_host_are_enough() {
    let place = scratch();
    for number in 0..300 {
        fs::write(place.path().join(format!("f{number:03}")), "").expect("a file");
    }
    let mut layout = Layout::default();
    let name = layout.put(b"f000\0");
    let image = program(&layout, |a| {
        let [mut again, mut tens, mut hundreds, mut ended] = std::array::from_fn(|_| a.create_label());
        a.set_label(&mut again).expect("label");
        gate(a, 188, &[name as i32, 0x2100]);
        a.jc(ended).expect("jc");
        a.inc(byte_ptr(name + 3)).expect("inc");
        a.cmp(byte_ptr(name + 3), i32::from(b'9')).expect("cmp");
        a.jbe(again).expect("jbe");
        a.mov(byte_ptr(name + 3), i32::from(b'0')).expect("mov");
        a.set_label(&mut tens).expect("label");
        a.inc(byte_ptr(name + 2)).expect("inc");
        a.cmp(byte_ptr(name + 2), i32::from(b'9')).expect("cmp");
        a.jbe(again).expect("jbe");
        a.mov(byte_ptr(name + 2), i32::from(b'0')).expect("mov");
        a.set_label(&mut hundreds).expect("label");
        a.inc(byte_ptr(name + 1)).expect("inc");
        a.cmp(byte_ptr(name + 1), i32::from(b'2')).expect("cmp");
        a.jbe(again).expect("jbe");
        a.xor(eax, eax).expect("xor");
        a.set_label(&mut ended).expect("label");
        exit_with_errno(a);
    });
    put(place.path(), "looker", &image);
    let output = limited(place.path(), "ulimit -n 40", "run looker");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_trace_for_each_process_closes_the_files_of_those_that_ended() {
    let place = scratch();
    let image = program(&Layout::default(), |a| {
        let (mut again, mut child) = (a.create_label(), a.create_label());
        a.mov(ebx, 150).expect("mov");
        a.set_label(&mut again).expect("label");
        gate(a, 2, &[]);
        a.test(edx, edx).expect("test");
        a.jnz(child).expect("jnz");
        gate(a, 7, &[-1, 0, 0, 0]);
        a.dec(ebx).expect("dec");
        a.jnz(again).expect("jnz");
        a.set_label(&mut child).expect("label");
        gate(a, 1, &[0]);
    });
    put(place.path(), "parent", &image);
    let output = limited(place.path(), "ulimit -n 48", "trace -ff -o trace parent");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let traces = fs::read_dir(place.path()).expect("files");
    let traces =
        traces.filter(|f| f.as_ref().is_ok_and(|f| f.file_name().to_string_lossy().starts_with("trace.")));
    assert_eq!(traces.count(), 151);
}
