//! Original programs at their work: shells on their scripts, a pipeline over the tree, the debuggers, the
//! compiler chain.
//!
//! They need `BSD21_ROOT` to be a 386BSD 2.0 disk tree and are skipped by name without it.  The scripts and
//! what they must print are in `fixtures/scripts`; `BSD21_BLESS=1` writes the latter anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scripts")
}

/// The tree, if there is one that has `program`.
fn tree(test: &str, program: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join(program).exists());
    if root.is_none() {
        eprintln!("{test} skipped: BSD21_ROOT is not set, or has no {program}");
    }
    root
}

/// Repeatable runs, in which the numbers of processes that scripts print are the same each time.
const REPEATABLE: &[&str] = &["--clock", "virtual"];

/// Runs a command of the guest in an empty directory, where core files go, with one more mount for each of
/// `empty`; gives what it prints on both streams, and its status.
fn run(root: &Path, options: &[&str], empty: &[&str], command: &[&str]) -> String {
    let work = tempfile::tempdir().expect("a directory");
    let mut bsd21 = Command::new(env!("CARGO_BIN_EXE_bsd21"));
    bsd21.args(["run", "--max-wall", "900"]).args(options).arg("--root").arg(root);
    let mut mount = |host: &Path, guest: &str| {
        bsd21.arg("--mount").arg(format!("{}:{guest}", host.display()));
    };
    mount(&scripts(), "/scripts:ro");
    for (n, guest) in ["/scratch", "/tmp"].iter().chain(empty).enumerate() {
        let host = work.path().join(n.to_string());
        std::fs::create_dir(&host).expect("a directory");
        mount(&host, guest);
    }
    bsd21.arg("--core-dir").arg(work.path().join("0"));
    let printed = work.path().join("printed");
    let file = std::fs::File::create(&printed).expect("a file");
    let both = file.try_clone().expect("a descriptor");
    let status = bsd21
        .args(["--cwd", "/scratch"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(both)
        .status()
        .expect("bsd21 runs");
    let text = String::from_utf8_lossy(&std::fs::read(&printed).expect("the output")).into_owned();
    format!("{text}[{}]\n", status.code().unwrap_or(-1))
}

/// Compares with the file of expected output.
fn compare(name: &str, printed: &str) {
    let path = scripts().join(name);
    if std::env::var_os("BSD21_BLESS").is_some() {
        std::fs::write(&path, printed).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(printed == expected, "{name} differs; it is now:\n{printed}");
}

#[test]
fn the_shell_runs_its_script() {
    let Some(root) = tree("the_shell_runs_its_script", "bin/sh") else { return };
    compare("work.sh.out", &run(&root, REPEATABLE, &[], &["/bin/sh", "/scripts/work.sh"]));
}

#[test]
fn the_c_shell_runs_its_script() {
    let Some(root) = tree("the_c_shell_runs_its_script", "bin/csh") else { return };
    compare("work.csh.out", &run(&root, REPEATABLE, &[], &["/bin/csh", "-f", "/scripts/work.csh"]));
}

#[test]
fn bash_runs_its_script() {
    let Some(root) = tree("bash_runs_its_script", "usr/local/bin/bash") else { return };
    compare("work.bash.out", &run(&root, &[], &[], &["/usr/local/bin/bash", "/scripts/work.bash"]));
}

/// What differs from 1995 is in docs/testing.md.
#[test]
fn programs_of_the_network_meet_on_the_loopback() {
    let Some(root) = tree("programs_of_the_network_meet_on_the_loopback", "usr/sbin/inetd") else { return };
    let options = [REPEATABLE, &["--kill-on-exit"]].concat();
    compare("net.sh.out", &run(&root, &options, &[], &["/bin/sh", "/scripts/net.sh"]));
}

#[test]
fn a_long_pipeline_counts_over_the_tree() {
    let Some(root) = tree("a_long_pipeline_counts_over_the_tree", "usr/bin/xargs") else { return };
    compare("count.sh.out", &run(&root, &[], &[], &["/bin/sh", "/scripts/count.sh"]));
}

/// They look for the registers where 386BSD has them: `src/kernel/proc/older_user_area.rs`.
#[test]
fn the_debuggers_stop_step_and_change_a_program() {
    let Some(root) = tree("the_debuggers_stop_step_and_change_a_program", "usr/local/bin/gdb") else {
        return;
    };
    compare("gdb.sh.out", &run(&root, &[], &[], &["/bin/sh", "/scripts/gdb.sh"]));
}

/// Half a minute of processor time.
#[test]
#[ignore = "builds a C library inside the guest; see docs/testing.md"]
fn the_compiler_chain_builds_a_library_and_programs() {
    let Some(root) = tree("the_compiler_chain_builds_a_library_and_programs", "usr/libexec/cc1") else {
        return;
    };
    let empty = ["/usr/lib", "/usr/obj", "/mnt"];
    compare("chain.sh.out", &run(&root, &[], &empty, &["/bin/sh", "/scripts/chain.sh"]));
}
