//! The tools of the old tree that look at the system: what each prints of a machine whose state is known.
//!
//! They need `BSD21_ROOT`, a 386BSD 2.0 tree, and are skipped by name without it.  What each prints and why it is
//! right stands in docs/testing.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tree, if there is one that has `program`.
fn tree(program: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join(program).exists());
    if root.is_none() {
        eprintln!("{program} skipped: BSD21_ROOT is not set, or has no such program");
    }
    root
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// What a tool prints, behind a program that holds sockets and pipes open.
fn prints(root: &Path, command: &[&str]) -> String {
    let scratch = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--clock", "virtual", "--overlay", "--max-wall", "60", "--root"])
        .arg(root)
        .arg("--mount")
        .arg(format!("{}:/tmp", scratch.path().display()))
        .arg("--mount")
        .arg(format!("{}:/fixtures:ro", fixtures().join("bin").display()))
        .arg("/fixtures/hold")
        .args(command)
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether some line has these words in this order, one behind the other.
fn has(printed: &str, words: &[&str]) -> bool {
    printed.lines().any(|line| {
        let found: Vec<&str> = line.split_whitespace().collect();
        found.windows(words.len()).any(|window| window == words)
    })
}

/// Looks for rows of words.
fn check(command: &[&str], rows: &[&[&str]]) {
    let Some(root) = command.first().and_then(|program| tree(program.trim_start_matches('/'))) else {
        return;
    };
    let printed = prints(&root, command);
    for row in rows {
        assert!(has(&printed, row), "{command:?} says nothing of {row:?}:\n{printed}");
    }
}

#[test]
fn netstat_shows_what_is_open() {
    check(
        &["/usr/bin/netstat", "-an"],
        &[
            &["tcp", "0", "0", "127.0.0.1.7001", "*.*", "LISTEN"],
            &["tcp", "3", "0", "127.0.0.1.7001"],
            &["udp", "0", "0", "127.0.0.1.7002", "*.*"],
        ],
    );
}

#[test]
fn netstat_shows_routes_interfaces_memory_and_counts() {
    check(&["/usr/bin/netstat", "-rn"], &[&["127.0.0.1", "127.0.0.1", "UH"], &["(root", "node)"]]);
    check(
        &["/usr/bin/netstat", "-in"],
        &[&["lo0", "16384", "<Link>"], &["lo0", "16384", "127", "127.0.0.1"]],
    );
    check(
        &["/usr/bin/netstat", "-m"],
        &[&["mbufs", "allocated", "to", "data"], &["mapped", "pages", "in", "use"]],
    );
    check(
        &["/usr/bin/netstat", "-s"],
        &[
            &["1", "connection", "request"],
            &["1", "connection", "accept"],
            &["1", "data", "packet", "(3", "bytes)"],
        ],
    );
}

#[test]
fn fstat_shows_sockets_and_files_by_name() {
    check(
        &["/usr/bin/fstat"],
        &[
            &["internet", "stream", "tcp"],
            &["internet", "dgram", "udp"],
            &["local", "stream"],
            &["386bsd"],
            &["2,1", "kmem"],
        ],
    );
}

#[test]
fn vmstat_shows_counts_of_the_system() {
    check(&["/usr/bin/vmstat"], &[&["procs", "memory", "page"]]);
    check(
        &["/usr/bin/vmstat", "-s"],
        &[&["system", "calls"], &["4096", "bytes", "per", "page"], &["total", "name", "lookups"]],
    );
    check(&["/usr/bin/vmstat", "-m"], &[&["file"], &["Memory", "Totals:", "In", "Use"]]);
    check(&["/usr/bin/vmstat", "-i"], &[&["interrupt", "total", "rate"]]);
}

#[test]
fn the_systems_own_processes_are_in_the_list() {
    check(
        &["/bin/ps", "-ax"],
        &[&["(swapper)"], &["(pagedaemon)"], &["(vmdaemon)"], &["4", "??", "DWL", "0:00.00", "(update)"]],
    );
}

#[test]
fn other_tools_say_what_there_is() {
    check(&["/sbin/dmesg"], &[&["Copyright", "(c)", "1992-1995"]]);
    check(&["/usr/bin/nfsstat"], &[&["Client", "Info:"]]);
    check(&["/bin/df"], &[&["Filesystem"]]);
    check(&["/sbin/mount"], &[&["on", "/", "(local)"], &["devfs", "on", "/dev"]]);
}

/// The kernel file of that tree has no `_cn_tty`, for which `w` and `uptime` ask, nor `_unixsw`, where `netstat` looks
/// for local sockets; in a root without one they find the kernel's own file, which has both.
#[test]
fn tools_find_the_kernel_where_there_is_no_file_of_one() {
    let Some(root) = tree("usr/bin/uptime") else { return };
    let own = tempfile::tempdir().expect("a directory");
    for (from, to) in [("usr/bin/uptime", "uptime"), ("usr/bin/w", "w"), ("usr/bin/netstat", "netstat")] {
        fs::copy(root.join(from), own.path().join(to)).expect("the program");
    }
    fs::create_dir_all(own.path().join("var/run")).expect("a directory");
    fs::write(own.path().join("var/run/utmp"), "").expect("a file");
    let printed = prints(own.path(), &["/netstat", "-n", "-u"]);
    assert!(has(&printed, &["/tmp/held"]) && has(&printed, &["stream"]), "{printed}");
    for program in ["/uptime", "/w"] {
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["run", "--clock", "virtual", "--root"])
            .arg(own.path())
            .arg(program)
            .output()
            .expect("bsd21 runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("load average: 0.00, 0.00, 0.00"), "{program}: {printed}");
    }
}
