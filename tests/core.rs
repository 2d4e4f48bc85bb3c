//! Core files: where and when they are written, and what a debugger of 2.1 finds in them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use syscalls::layout::{KinfoProc, user};
use zerocopy::FromBytes;

/// Offset of the signal in `struct sigacts`, of the registers' address in `struct proc`.
const PS_SIG: usize = 284;
const MD_REGS: usize = 244;
/// Where the user area lies in kernel memory.
const KSTACK: u32 = 0xefbf_e000;
const USRSTACK: u32 = 0xefbf_e000;
const UPAGES: usize = 8192;
/// The machine's number in headers of 2.1.
const MID_I386: u32 = 134;

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name)
}

/// A directory with the programs that are run: `faults` is marked as a program of 2.1, `older` is the same
/// program as 386BSD's linker would have marked it, not at all.
fn programs() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let faults = std::fs::read(image("faults")).expect("the image");
    assert_eq!(word(&faults, 0), 0o413, "the committed image names no machine");
    let marked = [&(MID_I386 << 16 | 0o413).to_le_bytes(), &faults[4..]].concat();
    let status = std::fs::read(image("status")).expect("the image");
    for (name, bytes) in [("faults", marked), ("older", faults), ("status", status)] {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    directory
}

/// Runs `parent` over a program; gives what it prints and the directory of core files.
fn run(prepare: impl Fn(&Path), keep: bool, args: &[&str]) -> (String, tempfile::TempDir) {
    let programs = programs();
    let cores = tempfile::tempdir().expect("a directory");
    prepare(cores.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    command.arg("run");
    if keep {
        command.arg("--core-dir").arg(cores.path());
    }
    command.arg(image("parent")).args(args).current_dir(programs.path());
    let output = command.output().expect("bsd21 runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), cores)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A core file taken apart.
struct Core {
    signal: u32,
    command: Vec<u8>,
    eip: u32,
    esp: u32,
    data: Vec<u8>,
    data_addr: u32,
    stack: Vec<u8>,
}

impl Core {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("a core file");
        let kproc = user::KPROC as usize;
        let (kinfo, _) = KinfoProc::read_from_prefix(&bytes[kproc..]).expect("whole");
        let registers = (word(&bytes, kproc + MD_REGS) - KSTACK) as usize;
        let vm = kinfo.eproc.vm;
        let (dsize, ssize) = (vm.dsize.get() as usize * 4096, vm.ssize.get() as usize * 4096);
        assert_eq!(bytes.len(), UPAGES + dsize + ssize, "user area, data, stack, nothing else");
        Self {
            signal: word(&bytes, user::SIGACTS as usize + PS_SIG),
            command: kinfo.proc.comm.iter().copied().take_while(|&b| b != 0).collect(),
            eip: word(&bytes, registers + 12 * 4),
            esp: word(&bytes, registers + 15 * 4),
            data: bytes[UPAGES..UPAGES + dsize].to_vec(),
            data_addr: vm.daddr.get(),
            stack: bytes[UPAGES + dsize..].to_vec(),
        }
    }
}

#[test]
fn a_core_file_holds_registers_data_and_stack() {
    let (printed, cores) = run(|_| {}, true, &["./faults", "read"]);
    assert_eq!(printed, "status 8b\nok\n", "SIGSEGV, and there is a core file");
    assert_eq!(files(cores.path()), ["faults.core"]);
    let path = cores.path().join("faults.core");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    let core = Core::read(&path);
    assert_eq!((core.signal, core.command.as_slice()), (11, b"faults".as_slice()));
    assert!(core.eip < core.data_addr, "eip {:#x} is in text", core.eip);
    let words = core.data.chunks_exact(4).map(|w| word(w, 0));
    let environ = words.filter(|&w| w > core.esp && w < USRSTACK).count();
    assert!(environ > 0, "the start code has stored where the environment is");
    let depth = (USRSTACK - core.esp) as usize;
    let used = &core.stack[core.stack.len() - depth..];
    assert!(used.windows(9).any(|w| w == b"./faults\0"), "the arguments are on the stack");
}

/// The offsets are those that 386BSD's debuggers read.
#[test]
fn a_program_of_an_older_system_leaves_that_systems_core_file() {
    let (printed, cores) = run(|_| {}, true, &["./older", "read"]);
    assert_eq!(printed, "status 8b\nok\n");
    let bytes = std::fs::read(cores.path().join("older.core")).expect("a core file");
    let registers = (word(&bytes, 0x360) - (word(&bytes, 4) - UPAGES as u32)) as usize;
    assert_eq!(word(&bytes, 0x170) & 0x10, 0x10, "they are a trap frame");
    assert_eq!(word(&bytes, registers + 13 * 4), 0x1f, "cs");
    let (eip, esp) = (word(&bytes, registers + 12 * 4), word(&bytes, registers + 15 * 4));
    assert!(eip < 0x1000 * word(&bytes, 0x450), "{eip:#x} is in text");
    let (dsize, ssize) = (word(&bytes, 0x454) as usize * 4096, word(&bytes, 0x458) as usize * 4096);
    assert_eq!(bytes.len(), UPAGES + dsize + ssize);
    assert_eq!(word(&bytes, 0x464) + (32 << 20), USRSTACK, "where it takes the stack's end to be");
    assert!((USRSTACK - esp) as usize <= ssize, "{esp:#x} is on the stack");
    assert_eq!((word(&bytes, 0x294), &bytes[0x340..0x346]), (11, b"older\0".as_slice()));
}

#[test]
fn without_a_directory_for_them_there_are_no_core_files() {
    let (printed, cores) = run(|_| {}, false, &["./faults", "read"]);
    assert_eq!(printed, "status b\nok\n");
    assert!(files(cores.path()).is_empty());
}

#[test]
fn the_limit_on_core_files_holds() {
    let (printed, cores) = run(|_| {}, true, &["-c", "20000", "./faults", "read"]);
    assert_eq!((printed.as_str(), files(cores.path()).len()), ("status b\nok\n", 0));
    // User area, data and stack must be less than the limit, not equal.
    let (_, cores) = run(|_| {}, true, &["./faults", "read"]);
    let size = std::fs::metadata(cores.path().join("faults.core")).expect("it is there").len();
    let (printed, _cores) = run(|_| {}, true, &["-c", &size.to_string(), "./faults", "read"]);
    assert_eq!(printed, "status b\nok\n");
    let (printed, _cores) = run(|_| {}, true, &["-c", &(size + 1).to_string(), "./faults", "read"]);
    assert_eq!(printed, "status 8b\nok\n");
}

#[test]
fn only_signals_that_dump_core_do() {
    for (signal, status) in [("3", "83"), ("6", "86"), ("15", "f"), ("9", "9"), ("13", "d"), ("12", "8c")] {
        let (printed, cores) = run(|_| {}, true, &["./status", "signal", signal]);
        assert_eq!(printed, format!("status {status}\nok\n"), "signal {signal}");
        assert_eq!(files(cores.path()).len(), usize::from(status.len() == 2), "signal {signal}");
    }
}

#[test]
fn an_old_core_file_is_replaced_but_nothing_else_is_written_to() {
    let old = |d: &Path| std::fs::write(d.join("faults.core"), vec![7; 1 << 20]).expect("written");
    let (printed, cores) = run(old, true, &["./faults", "read"]);
    assert_eq!(printed, "status 8b\nok\n");
    assert_eq!(Core::read(&cores.path().join("faults.core")).signal, 11);

    let link = |d: &Path| {
        std::fs::write(d.join("precious"), "precious").expect("written");
        std::os::unix::fs::symlink("precious", d.join("faults.core")).expect("a link");
    };
    let hard = |d: &Path| {
        std::fs::write(d.join("precious"), "precious").expect("written");
        std::fs::hard_link(d.join("precious"), d.join("faults.core")).expect("a link");
    };
    for prepare in [link, hard] as [fn(&Path); 2] {
        let (printed, cores) = run(prepare, true, &["./faults", "read"]);
        assert_eq!(printed, "status b\nok\n");
        assert_eq!(std::fs::read(cores.path().join("precious")).expect("still there"), b"precious");
    }
}

#[test]
fn a_directory_that_is_not_there_is_wrong_use() {
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--core-dir", "/nonexistent"])
        .arg(image("status"))
        .output()
        .expect("bsd21 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{errors}");
    assert!(errors.starts_with("bsd21: --core-dir /nonexistent: "), "{errors}");
}

#[test]
fn a_set_id_program_leaves_no_core_file() {
    let programs = tempfile::tempdir().expect("a directory");
    let copy = |name: &str, mode: u32| {
        let to = programs.path().join(name);
        std::fs::copy(image("faults"), &to).expect("a copy");
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(mode)).expect("its mode");
        to.to_str().expect("a name").to_owned()
    };
    for (program, status, count) in [(copy("plain", 0o755), "8b", 1), (copy("setid", 0o4755), "b", 0)] {
        let cores = tempfile::tempdir().expect("a directory");
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["run", "--core-dir"])
            .arg(cores.path())
            .arg(image("parent"))
            .args([&program, "read"])
            .current_dir(programs.path())
            .output()
            .expect("bsd21 runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(printed, format!("status {status}\nok\n"), "{program}");
        assert_eq!(files(cores.path()).len(), count, "{program}");
    }
}
