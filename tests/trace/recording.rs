//! The guest's own ktrace(2): what it records, and for whom.
//!
//! 2.1 counterpart: kern/kern_ktrace.c, and where the other files of kern call it.

use std::os::unix::fs::PermissionsExt;

use bsd21::kernel::ktrace::record::Reader;
use bsd21::trace::kdump::Kdump;

use crate::machine::{Machine, call};

/// Records of everything but switches.
const FACILITIES: u32 = 0x2 | 0x4 | 0x8 | 0x10 | 0x20;

#[test]
fn the_guests_own_ktrace_writes_the_same_records() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ktrace.out");
    std::fs::write(&file, "").expect("a file");
    let mut machine = Machine::rooted(directory.path());
    let pid = machine.pid();
    let path = machine.put(b"/ktrace.out\0");
    assert_eq!(machine.call(call("ktrace", &[path, 0, FACILITIES, pid as u32])), Ok(0));
    assert_eq!(machine.call(call("getpid", &[])), Ok(pid as u32));
    let pair = machine.pair();
    let at = machine.put(b"hello\n");
    assert_eq!(machine.call(call("write", &[pair.0, at, 6])), Ok(6));
    assert_eq!(machine.call(call("close", &[99])), Err(9));
    assert_eq!(machine.call(call("ktrace", &[path, 2, 0, 0])), Ok(0));
    assert!(machine.call(call("getppid", &[])).is_ok());
    let mut kdump = Kdump::default();
    let bytes = std::fs::read(&file).expect("the file");
    let printed: String =
        Reader::new(&bytes).map(|entry| kdump.print(&entry.expect("a whole record"))).collect();
    let expected = [
        "RET   ktrace 0",
        "CALL  getpid",
        "RET   getpid 5",
        "CALL  socketpair(0x1,0x1,0,0x10000c,0)",
        "RET   socketpair 3",
        "CALL  write(0x3,0x100014,0x6)",
        "GIO   fd 3 wrote 6 bytes\n       \"hello\n       \"",
        "RET   write 6",
        "CALL  close(0x63)",
        "RET   close -1 errno 9 Bad file descriptor",
        "CALL  ktrace(0x100000,0x2,0,0)",
    ];
    let expected: String = expected.iter().map(|line| format!("     5 guest    {line}\n")).collect();
    assert_eq!(printed, expected);
    let path = machine.put(b"/nowhere\0");
    assert_eq!(machine.call(call("ktrace", &[path, 0, FACILITIES, pid as u32])), Err(2));
}

/// The records of a process that executes a program with this mode as this user.
fn records_of_exec(mode: u32, uid: u32) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let put = |name: &str, bytes: &[u8], mode| {
        std::fs::write(at(name), bytes).expect("a file");
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).expect("its mode");
    };
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    put("ktrace.out", b"", 0o666);
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello");
    put("hello", &std::fs::read(image).expect("an image"), mode);
    let mut machine = Machine::rooted(directory.path());
    let pid = machine.pid();
    assert_eq!(machine.call(call("setuid", &[uid])), Ok(0));
    let file = machine.put(b"/ktrace.out\0");
    assert_eq!(machine.call(call("ktrace", &[file, 0, FACILITIES, pid as u32])), Ok(0));
    let program = machine.put(b"/hello\0");
    let vector = machine.put(&[program.to_le_bytes(), [0; 4]].concat());
    machine.call(call("execve", &[program, vector, vector + 4])).expect("the program is executed");
    let bytes = std::fs::read(at("ktrace.out")).expect("the file");
    let mut kdump = Kdump::default();
    Reader::new(&bytes)
        .map(|entry| kdump.print(&entry.expect("a whole record")).trim_end().to_owned())
        .map(|line| line.split_whitespace().skip(2).collect::<Vec<_>>().join(" "))
        .map(|line| line.split('(').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_set_id_program_is_recorded_only_for_the_superuser() {
    let whole = ["RET ktrace 0", "CALL execve", "NAMI \"/hello\"", "RET execve 0"];
    assert_eq!(records_of_exec(0o755, 100), whole);
    assert_eq!(records_of_exec(0o4755, 0), whole);
    assert_eq!(records_of_exec(0o2755, 100), whole[..3], "the trace ends where the identity changes");
    assert_eq!(records_of_exec(0o4755, 100), whole[..3]);
}
