//! What is done with an installed root: reports, the doctor, printing, programs started by their names.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::world::*;
use bsd21::install::Options;
use bsd21::kernel::cred::Ucred;
use bsd21::kernel::vfs::mount::{MountFlags, Source};
use bsd21::kernel::vfs::namei::{Nameidata, Op, Start};
use bsd21::kernel::vfs::{Vfs, Vtype};

#[test]
fn the_command_reports_what_it_did_and_what_is_wanting() {
    let world = World::new();
    let source = world.put("system.tgz", &gzip(&system()));
    let root = world.at("root");
    let done = bsd21(&[&"install", &source, &root]);
    let text = said(&done.stdout);
    assert!(done.status.success() && done.stderr.is_empty(), "{}", said(&done.stderr));
    assert!(text.starts_with("system: 13 entries, "), "{text}");
    assert!(text.contains("missing no /usr/libexec/ld.so") && text.contains("wanting no /tmp"), "{text}");
    let missing = bsd21(&[&"install", &"nowhere.iso", &root]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(said(&missing.stderr), "bsd21: nowhere.iso: No such file or directory\n");
    let sets = bsd21(&[&"install", &"--sets", &"bin,games", &source, &root]);
    assert!(said(&sets.stderr).contains("no set bin, games; there are: system"), "{}", said(&sets.stderr));
}

#[test]
fn the_doctor_makes_what_can_be_made() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let root = world.at("root");
    let fixed = bsd21(&[&"doctor", &"--root", &root, &"--fix"]);
    let text = said(&fixed.stdout);
    assert!(text.contains("made    /tmp") && text.contains("made    termcap"), "{text}");
    assert_eq!(world.stat("tmp").mode, 0o1777);
    assert_eq!(world.stat("var/tmp").mode, 0o1777);
    assert!(world.text("usr/share/misc/termcap").contains("vt100|"));
    assert!(world.text("etc/hosts").contains("localhost"));
    let again = said(&bsd21(&[&"doctor", &"--root", &root, &"--fix"]).stdout);
    assert!(!again.contains("made "), "{again}");
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello");
    let program = bsd21(&[&"doctor", &"-v", &hello]);
    let text = said(&program.stdout);
    assert!(program.status.success() && text.contains("it needs nothing else: bsd21 run "), "{text}");
    let none = bsd21(&[&"doctor", &"/nonexistent/program"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none.stdout).contains("no such program"));
    let nothing = bsd21(&[&"doctor"]);
    assert_eq!(nothing.status.code(), Some(125));
}

#[test]
fn what_a_guest_prints_goes_to_a_command() {
    let Some(root) = tree("what_a_guest_prints_goes_to_a_command") else { return };
    let dir = tempfile::tempdir().unwrap();
    let to = format!("cat > {}", dir.path().join("printed").display());
    let line = "echo one | lpr -P lp; lpr -#2 /etc/motd /etc/motd; echo two > /dev/lpt0";
    let run =
        bsd21(&[&"run", &"-q", &"--printer", &to, &"--root", &root, &"--overlay", &"/bin/sh", &"-c", &line]);
    assert!(run.status.success() && run.stderr.is_empty(), "{}", said(&run.stderr));
    let motd = fs::read_to_string(root.join("mnt/etc/motd")).unwrap_or_default();
    let printed = fs::read_to_string(dir.path().join("printed")).unwrap();
    assert_eq!(printed, format!("one\n{motd}{motd}two\n"));
    let failed = bsd21(&[
        &"run",
        &"--printer",
        &"exit 3",
        &concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello"),
    ]);
    assert!(said(&failed.stderr).contains("--printer exit 3: exit status: 3"), "{}", said(&failed.stderr));
}

#[test]
fn a_guest_that_has_lpd_prints_by_its_own_queue() {
    let Some(root) = tree("a_guest_that_has_lpd_prints_by_its_own_queue") else { return };
    if !["usr/sbin/lpd", "usr/sbin/lpc", "usr/bin/lpr", "usr/bin/lpq", "usr/bin/lprm"]
        .iter()
        .all(|p| root.join(p).exists())
    {
        eprintln!("skipped: no lpd in the tree");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let to = format!("cat > {}", dir.path().join("printed").display());
    // What bsd21 doctor --fix makes, as the tree is not ours to mend.
    let session = "mkdir -p /var/spool/output/lpd; cd /root; PATH=/usr/bsd21:/bin:/usr/bin:/usr/sbin:/sbin\n\
        echo 'lp|x:lp=/dev/lpt0:sd=/var/spool/output/lpd:lf=/var/log/lpd-errs:sh:' > /etc/printcap\n\
        lpd; until lpc status lp >/dev/null && [ -r /var/run/printer ]; do sleep 1; done\n\
        lpc stop lp >/dev/null; echo one > first; echo two > second; lpr first; echo three | lpr -J third; lpr second\n\
        lpq; lprm 1; lpq; lpc start lp >/dev/null; until lpq | grep 'no entries' >/dev/null; do sleep 1; done\n";
    fs::write(dir.path().join("session"), session).unwrap();
    let mount = format!("{}:/session:ro", dir.path().display());
    let run = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args([
            "run",
            "-q",
            "--kill-on-exit",
            "--max-wall",
            "120",
            "--printer",
            &to,
            "--overlay",
            "--mount",
            &mount,
            "--root",
        ])
        .args([root.as_os_str(), "/bin/sh".as_ref(), "/session/session".as_ref()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = said(&run.stdout);
    assert!(run.status.success(), "{text} {}", said(&run.stderr));
    for line in [
        "1st    root       0    first",
        "2nd    root       1    (standard input)",
        "3rd    root       2    second",
        "dequeued",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(text.matches("(standard input)").count(), 1, "{text}");
    assert_eq!(fs::read_to_string(dir.path().join("printed")).unwrap(), "one\n\u{c}two\n\u{c}", "{text}");
}

#[test]
fn an_installed_root_hides_its_own_directory_from_the_guest() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let mut vfs = Vfs::new(bsd21::kernel::vfs::Options::default());
    vfs.mount_root(&Source::Host(&world.at("root")), MountFlags::empty()).unwrap();
    let root = vfs.root_vnode();
    let names = vfs.read_directory(root).unwrap();
    assert!(names.iter().all(|entry| entry.name != b".bsd21"));
    let directories = names.iter().filter(|entry| entry.kind == Vtype::Dir.dirent_type()).count();
    assert_eq!(usize::from(vfs.getattr(root).unwrap().nlink), directories, "fts counts on it");
}

#[test]
fn a_copied_root_is_the_same_for_the_guest() {
    let world = World::new();
    world.install(&world.put("system.tar", &system())).unwrap();
    let first = world.at("root");
    let copy = World::new();
    copy.install_with(&first, &Options { tree: true, ..Options::default() }).unwrap();
    check_system(&copy);
}

#[test]
fn patterns_are_printed_for_the_hosts_kernel() {
    let printed = bsd21(&[&"binfmt", &"--print", &"--link", &"/usr/local/bin/bsd21-binfmt"]);
    let text = said(&printed.stdout);
    assert_eq!(text.lines().count(), 17, "{text}");
    assert!(text.contains(
        ":bsd21-zmagic-134-host:M::\\x0b\\x01\\x86\\x00:\\xff\\xff\\xff\\x03:/usr/local/bin/bsd21-binfmt:PF\n"
    ));
    let none = bsd21(&[&"binfmt"]);
    assert_eq!(none.status.code(), Some(125));
}

/// Registers with the host's own kernel, and takes everything back.
#[test]
fn programs_start_by_their_names_where_the_host_lets_them() {
    let register = Path::new("/proc/sys/fs/binfmt_misc/register");
    let others = Path::new("/proc/sys/fs/binfmt_misc/bsd21-zmagic-134-host").exists();
    if others || fs::OpenOptions::new().write(true).open(register).is_err() {
        eprintln!(
            "programs_start_by_their_names_where_the_host_lets_them skipped: no binfmt_misc to register with"
        );
        let refused =
            bsd21(&[&"binfmt", &"--install", &"--link", &"/tmp/bsd21-binfmt-that-is-not-made/bsd21-binfmt"]);
        assert!(others || refused.status.code() == Some(125), "{}", said(&refused.stderr));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("bsd21-binfmt");
    let done = bsd21(&[&"binfmt", &"--install", &"--link", &link]);
    assert!(done.status.success(), "{}", said(&done.stderr));
    let run = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/args")).arg("one").output();
    let removed = bsd21(&[&"binfmt", &"--remove", &"--link", &link]);
    assert!(removed.status.success() && !link.exists(), "{}", said(&removed.stderr));
    assert!(said(&run.unwrap().stdout).contains("argv[1] one\n"));
}

#[test]
fn the_name_of_an_interpreter_selects_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("bsd21-binfmt");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bsd21"), &link).unwrap();
    let args = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/args");
    let run = Command::new(&link)
        .args([args, "my-name", "one", "--two"])
        .env_remove("BSD21_ROOT")
        .output()
        .unwrap();
    let text = said(&run.stdout);
    assert!(text.contains("argv[0] my-name\nargv[1] one\nargv[2] --two\n"), "{text}{}", said(&run.stderr));
    // An old program of Linux, which number 0 matches, too.
    let vax = dir.path().join("vax");
    fs::write(&vax, [&b"\x0b\x01\x64\x00"[..], &[0; 4092]].concat()).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&vax, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Command::new(&link).arg(&vax).arg("vax").output().unwrap();
    assert_eq!(run.status.code(), Some(126));
    assert!(said(&run.stderr).contains("Linux a.out program"), "{}", said(&run.stderr));
}

/// ld.so and a library in folders of their own, and one dynamic program of ours.
#[test]
fn a_dynamic_program_runs_with_folders_of_libraries_alone() {
    let Some(root) = tree("a_dynamic_program_runs_with_folders_of_libraries_alone") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/dynamic");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    fs::copy(root.join("usr/libexec/ld.so"), first.join("ld.so")).unwrap();
    let libc = fs::read_dir(root.join("usr/lib")).unwrap().filter_map(|e| e.ok());
    let libc =
        libc.filter(|e| e.file_name().as_bytes().starts_with(b"libc.so.2.")).max_by_key(|e| e.file_name());
    let libc = libc.expect("a libc");
    // In a folder where ld.so does not look by itself: only the table leads there.
    fs::copy(libc.path(), second.join(libc.file_name())).unwrap();
    let run = bsd21(&[&"run", &"--lib", &first, &"--lib", &second, &program, &"x"]);
    let (text, errors) = (said(&run.stdout), said(&run.stderr));
    assert!(text.starts_with("hello from libc.so.2.2: "), "{text}{errors}");
    let expected = run.status.code();
    let none = bsd21(&[&"run", &"--lib", &second, &program]);
    assert_eq!(none.status.code(), Some(125));
    assert!(said(&none.stderr).contains("no ld.so there"), "{}", said(&none.stderr));
    let doctor = bsd21(&[&"doctor", &"-v", &"--lib", &first, &"--lib", &second, &program]);
    assert!(doctor.status.success(), "{}", said(&doctor.stdout));
    let alone = bsd21(&[&"doctor", &program]);
    assert!(alone.status.code() == Some(1) && said(&alone.stdout).contains("bsd21 run --lib DIR"));
    // With BSD21_ROOT the same program runs as it is.
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(args).env("BSD21_ROOT", &root).stdin(Stdio::null()).output().unwrap()
    };
    for args in [&["run", "-q", program, "x"][..], &["trace", "-e", "exit", program, "x"]] {
        let run = command(args);
        assert_eq!(run.status.code(), expected, "{args:?}: {}{}", said(&run.stdout), said(&run.stderr));
        assert_eq!(said(&run.stdout), text);
    }
    let ls = command(&["run", "-q", "/bin/ls", "/bin/ls"]);
    assert_eq!(said(&ls.stdout), "/bin/ls\n", "{}", said(&ls.stderr));
}

/// What a guest sees of each file of a root: everything but numbers of files and blocks.
fn census(root: &Path, host: (u32, u32)) -> Vec<String> {
    let owners = bsd21::kernel::vfs::attr::Owners { host, guest: (0, 0) };
    let mut vfs = Vfs::new(bsd21::kernel::vfs::Options { owners, repeatable: false, seed: 0 });
    vfs.mount_root(&Source::Host(root), MountFlags::RDONLY).unwrap();
    let top = vfs.root_vnode();
    let (start, cred) = (Start { cwd: top, root: top }, Ucred { uid: 0, groups: vec![0] });
    let (mut lines, mut waiting) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = waiting.pop() {
        let name = if path.is_empty() { b"/".to_vec() } else { path.clone() };
        let id = vfs.namei(&Nameidata::new(&name, Op::Lookup), start, &cred).unwrap().vp.unwrap();
        let a = vfs.getattr(id).unwrap();
        let text = if a.kind == Vtype::Lnk { vfs.readlink(id).unwrap() } else { Vec::new() };
        // The host's own directories have other sizes; a link's mode is the host's; times of links are nobody's.
        let (size, mode, time) = match a.kind {
            Vtype::Dir => (0, a.mode, a.mtime.sec),
            Vtype::Lnk => (a.size, 0, 0),
            _ => (a.size, a.mode, a.mtime.sec),
        };
        lines.push(format!(
            "{} {:?} {mode:o} {} {} {} {size} {time} {} {:x} {}",
            path.escape_ascii(),
            a.kind,
            a.nlink,
            a.uid,
            a.gid,
            a.rdev,
            a.flags,
            text.escape_ascii()
        ));
        if a.kind == Vtype::Dir {
            let names = vfs.read_directory(id).unwrap().into_iter().map(|entry| entry.name);
            let names = names.filter(|name| !matches!(&name[..], b"." | b".."));
            waiting.extend(names.map(|name| [&path[..], b"/", &name].concat()));
        }
    }
    lines.sort();
    lines
}

#[test]
#[ignore = "needs BSD21_ROOT, xorriso, the super-user and a minute: docs/testing.md has the command"]
fn an_old_tree_in_an_image_is_what_it_was_for_either_user() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let source = PathBuf::from(std::env::var_os("BSD21_ROOT").expect("BSD21_ROOT"));
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("image.iso"));
    let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    done(Command::new("cp").arg("-a").arg(&source).arg(&tree));
    // What a tree from an archive of sources has lost: owners, set-id bits, devices, further names.
    for name in ["bin/cat", "bin/ls", "usr/bin/su"] {
        chown(tree.join(name), Some(3), Some(7)).unwrap();
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o4555)).unwrap();
    }
    fs::hard_link(tree.join("bin/ls"), tree.join("bin/ls.other")).unwrap();
    done(Command::new("mknod").arg(tree.join("dev/wd0a")).args(["b", "0", "2"]));
    done(Command::new("mknod").arg(tree.join("dev/ttyv1")).args(["c", "12", "1"]));
    done(
        Command::new("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-R", "--hardlinks", "-o"])
            .arg(&image)
            .arg(&tree),
    );
    fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).unwrap();
    let expected = census(&tree, (0, 0));
    for (user, name) in [(0, "by-root"), (65534, "by-nobody")] {
        let root = dir.path().join(name);
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.args(["install", "-q", "--tree"]).args([&image, &root]).uid(user).gid(user);
        done(&mut command);
        eprintln!("{name}: {} files in {:?}", expected.len(), begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60));
        let found = census(&root, (user, user));
        let differ: Vec<_> = expected.iter().zip(&found).filter(|(a, b)| a != b).take(5).collect();
        assert!(expected.len() == found.len() && differ.is_empty(), "{name}: {differ:#?}");
        let mut ls = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        ls.args(["run", "-q", "--root"])
            .arg(&root)
            .args(["/bin/ls", "-l", "/usr/bin/su"])
            .uid(user)
            .gid(user);
        let output = ls.output().unwrap();
        assert!(
            said(&output.stdout).starts_with("-r-sr-xr-x"),
            "{}{}",
            said(&output.stdout),
            said(&output.stderr)
        );
    }
}
