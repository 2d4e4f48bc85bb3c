//! Attempts to get at what was not given to a guest: `cargo test --test escape`, with a part of a name to choose
//! some.
//!
//! Each attempt is a few calls that `fixtures/bin/attempt` makes.  Whatever they answer, a secret outside must not
//! be read, and no file outside, and none that is read-only, may differ afterwards in anything that the host
//! tells.  Each is made as the user who runs the tests and, where that is the super-user, as an ordinary user, too.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

/// What must never be printed.
const SECRET: &str = "nobody gave this away";
/// An ordinary user of the host.
const NOBODY: u32 = 65534;

/// What an attempt must answer at its end.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// An error.
    Fails,
    /// This error.
    Errno(i32),
    /// This number.
    Is(i32),
    /// Anything: only what is outside counts.
    Any,
}
use Answer::{Any, Errno, Fails, Is};

const EPERM: Answer = Errno(1);
const ENOENT: Answer = Errno(2);
const ENXIO: Answer = Errno(6);
const EFAULT: Answer = Errno(14);
const EBUSY: Answer = Errno(16);
const EXDEV: Answer = Errno(18);
const ENODEV: Answer = Errno(19);
const EINVAL: Answer = Errno(22);
const EROFS: Answer = Errno(30);
const ECONNREFUSED: Answer = Errno(61);

/// Name, calls, last answer.
type Attempt = (&'static str, &'static [&'static str], Answer);

/// At what lies outside of a root with two mounts.
const OUT: &[Attempt] = &[
    // Symbolic links: the guest's root is where they start, and nothing is above it.
    ("link_absolute", &["open =/link_abs 0", "read $0 @ 200", "show"], Fails),
    ("link_relative", &["open =/link_rel 0", "read $0 @ 200", "show"], Fails),
    ("link_of_dots", &["open =/link_dots 0", "read $0 @ 200", "show"], Fails),
    ("link_dangling_create", &["open =/link_new 0x201 0644", "write $0 =evil 4"], Any),
    ("link_to_directory", &["open =/link_dir/secret 0", "read $0 @ 200", "show"], Fails),
    ("link_to_directory_create", &["open =/link_dir/new 0x201 0644"], Fails),
    ("link_made_absolute", &["symlink =/OUTSIDE =/l", "open =/l/secret 0", "read $1 @ 200", "show"], Fails),
    (
        "link_made_of_dots",
        &["symlink =../../../../OUTSIDE =/l", "open =/l/secret 0", "read $1 @ 200", "show"],
        Fails,
    ),
    ("link_made_to_proc", &["symlink =/proc/self/root =/l", "open =/l/etc/passwd 0"], ENOENT),
    ("link_in_mount", &["open =/rw/up 0", "read $0 @ 200", "show"], Fails),
    ("link_in_mount_absolute", &["open =/rw/abs 0", "read $0 @ 200", "show"], Fails),
    ("link_hard_of_link", &["link =/link_abs =/h", "open =/h 0", "read $1 @ 200", "show"], Fails),
    (
        "link_renamed_into_use",
        &["symlink =../outside =/l", "rename =/l =/rw/l", "open =/rw/l/secret 0"],
        Fails,
    ),
    ("link_followed_by_exec", &["symlink =/OUTSIDE/secret =/l", "execve =/l 0 0"], Fails),
    ("link_followed_by_chdir", &["chdir =/link_dir"], Fails),
    ("link_followed_by_truncate", &["truncate =/link_abs 0 0 0"], Fails),
    ("link_followed_by_chmod", &["chmod =/link_abs 0666"], Fails),
    ("link_followed_by_chown", &["chown =/link_abs 5 5"], Fails),
    ("link_followed_by_utimes", &["utimes =/link_abs 0"], Fails),
    ("link_followed_by_chflags", &["chflags =/link_abs 2"], Fails),
    ("link_followed_by_mkdir", &["mkdir =/link_dir/d 0755"], Fails),
    ("link_followed_by_rename", &["open =/f 0x201 0644", "rename =/f =/link_dir/f"], Fails),
    ("link_followed_by_unlink", &["unlink =/link_dir/secret"], Fails),
    ("link_followed_by_ktrace", &["ktrace =/link_abs 0 0x7f $9"], Fails),
    ("link_followed_by_bind", &["socket 1 1 0", "bind $0 %/link_dir/s 106"], Fails),
    // Names that go up.
    ("dots_absolute", &["open =/../../../../../../etc/passwd 0"], ENOENT),
    ("dots_relative", &["open =../../../../../../etc/passwd 0"], ENOENT),
    ("dots_out_of_mount", &["open =/rw/../../outside/secret 0"], ENOENT),
    ("dots_out_of_new_directory", &["mkdir =/d 0755", "chdir =/d", "open =../../outside/secret 0"], ENOENT),
    ("name_of_outside", &["open =/OUTSIDE/secret 0"], ENOENT),
    ("name_with_many_slashes", &["open =//////..//../OUTSIDE/secret 0"], ENOENT),
    // Directories that move under somebody's feet.
    (
        "moved_parent",
        &[
            "mkdir =/a 0755",
            "mkdir =/a/b 0755",
            "mkdir =/a/b/c 0755",
            "chdir =/a/b/c",
            "rename =/a/b =/b",
            "chdir =..",
            "chdir =..",
            "chdir =..",
            "open =outside/secret 0",
        ],
        Fails,
    ),
    (
        "moved_out_of_jail",
        &[
            "mkdir =/jail 0755",
            "mkdir =/jail/in 0755",
            "mkdir =/jail/in/x 0755",
            "chdir =/jail/in/x",
            "rename =/jail/in =/moved",
            "chroot =/jail",
            "chdir =..",
            "chdir =..",
            "chdir =..",
            "open =../outside/secret 0",
        ],
        Fails,
    ),
    (
        "removed_directory",
        &["mkdir =/gone 0755", "chdir =/gone", "rmdir =/gone", "open =../../outside/secret 0"],
        Fails,
    ),
    (
        "removed_jail",
        &["mkdir =/gone 0755", "chdir =/gone", "rmdir =/gone", "chroot =.", "open =/../outside/secret 0"],
        Fails,
    ),
    // chroot and descriptors.
    (
        "chroot_twice",
        &[
            "mkdir =/jail 0755",
            "open =/ 0",
            "chroot =/jail",
            "fchdir $1",
            "chdir =../../../..",
            "chroot =.",
            "open =outside/secret 0",
        ],
        Fails,
    ),
    (
        "chroot_and_dots",
        &["mkdir =/jail 0755", "chroot =/jail", "chdir =../../..", "open =outside/secret 0"],
        Fails,
    ),
    ("fchdir_of_nothing", &["fchdir 3", "fchdir 9"], Fails),
    ("inherited_descriptors", &["fstat 3 @", "fstat 4 @", "fstat 5 @"], Fails),
    ("descriptors_by_name", &["open =/dev/fd/3 0"], Fails),
    ("descriptor_far_away", &["open =/dev/fd/1000000 0"], Fails),
    // The host's special file systems and devices.
    ("proc_environ", &["open =/proc/self/environ 0"], ENOENT),
    ("proc_made", &["mkdir =/proc 0755", "open =/proc/self/mem 2"], ENOENT),
    ("sys", &["open =/sys/kernel/notes 0"], ENOENT),
    // Memory is the guest's machine's: its first page is nobody's, it has an end, and nothing is written.
    ("device_mem", &["open =/dev/mem 0", "read $0 @ 100", "show"], Is(100)),
    ("device_mem_far", &["open =/dev/mem 0", "lseek $0 0 0x7fff0000 0 0", "read $0 @ 4096", "show"], EFAULT),
    ("device_mem_write", &["open =/dev/mem 2", "write $0 =evil 4"], EPERM),
    (
        "device_kmem_of_users",
        &["open =/dev/kmem 0", "lseek $0 0 0x8048000 0 0", "read $0 @ 100", "show"],
        EFAULT,
    ),
    ("device_mem_mapped", &["open =/dev/mem 2", "mmap 0 4096 3 1 $0 0 0 0"], EPERM),
    ("device_kmem", &["open =/dev/kmem 2", "write $0 =evil 4"], Fails),
    ("device_disk", &["open =/dev/sda 0"], Fails),
    ("node_mem", &["mknod =/n 020666 0x101", "open =/n 0", "read $1 @ 100"], Fails),
    ("node_disk", &["mknod =/n 060666 0x800", "open =/n 0"], Fails),
    ("node_of_host_null", &["open =/hostnull 1"], Fails),
    ("node_of_host_fifo", &["open =/hostfifo 4"], Any),
    ("node_of_host_fifo_write", &["open =/hostfifo 5"], ENXIO),
    ("node_of_host_socket", &["socket 1 1 0", "connect $0 %/hostsock 106"], ECONNREFUSED),
    ("node_of_host_socket_opened", &["open =/hostsock 0"], Fails),
    // Owners and rights.
    ("chmod_set_id", &["open =/new 0x202 0755", "fchmod $0 06755", "chmod =/new 04755"], Any),
    ("create_set_id", &["open =/new 0x202 06755", "write $0 =evil 4"], Any),
    ("mkdir_set_id", &["mkdir =/new 06777", "chmod =/new 07777"], Any),
    ("write_into_host_set_id", &["open =/hostsuid 1", "write $0 =evil 4"], Any),
    ("truncate_host_set_id", &["truncate =/hostsuid 0 0 0"], Any),
    ("map_host_set_id", &["open =/hostsuid 2", "mmap 0 4096 3 1 $0 0 0 0", "poke $1"], Any),
    ("chmod_host_set_id", &["chmod =/hostsuid 04777"], Any),
    ("chown", &["chown =/hostsuid 1234 4321"], Any),
    ("setuid_of_guest", &["setuid 0", "seteuid 0", "open =/OUTSIDE/secret 0"], ENOENT),
    // Mounts.
    // Disks are those that were given, and there is none; a kernel without a kind of file system answers ENODEV; what
    // it was started with stays.
    ("mount", &["mkdir =/p 0755", "mount 1 =/p 0 0"], EFAULT),
    ("mount_disc", &["mkdir =/p 0755", "mount 14 =/p 0 0"], EFAULT),
    ("mount_null", &["mkdir =/p 0755", "mount 9 =/p 0 0"], EFAULT),
    ("mount_union", &["mkdir =/p 0755", "mount 15 =/p 0 0"], EFAULT),
    (
        "union_of_dots",
        &["mkdir =/p 0755", "mount 15 =/p 0 !1:/../..", "open =/p/../../outside/secret 0"],
        ENOENT,
    ),
    (
        "union_of_dots_inside",
        &["mkdir =/p 0755", "mount 15 =/p 0 !1:/rw", "chdir =/p", "open =../../outside/secret 0"],
        ENOENT,
    ),
    ("union_over_read_only", &["mount 15 =/ro 0 !1:/rw"], EROFS),
    ("union_below_read_only", &["mkdir =/p 0755", "mount 15 =/p 0 !1:/ro", "open =/p/new 0x201 0644"], EROFS),
    (
        "union_with_read_only_below",
        &["mkdir =/p 0755", "mount 15 =/p 0 !2:/ro", "open =/p/new 0x201 0644", "rename =/p/new =/ro/new"],
        EROFS,
    ),
    ("union_of_link", &["mkdir =/p 0755", "mount 15 =/p 0 !1:/link_dir"], Fails),
    (
        "union_of_host_link",
        &["mkdir =/p 0755", "mount 15 =/p 0 !1:/rw", "open =/p/abs 0", "read $2 @ 200", "show"],
        Fails,
    ),
    (
        "null_of_dots",
        &["mkdir =/p 0755", "mount 9 =/p 0 !0:/../..", "open =/p/../../outside/secret 0"],
        ENOENT,
    ),
    ("null_of_read_only", &["mkdir =/p 0755", "mount 9 =/p 0 !0:/ro", "open =/p/new 0x201 0644"], EROFS),
    ("joined_to_read_only", &["mount 9 =/ro 0x20 !0:/rw", "open =/ro/../../outside/secret 0"], ENOENT),
    ("mount_nfs", &["mkdir =/p 0755", "mount 2 =/p 0 0"], ENODEV),
    ("mount_over_mount", &["mount 12 =/rw 0 0", "open =/rw/../../outside/secret 0"], ENOENT),
    ("mount_again_writable", &["mount 1 =/ro 0x10000 0"], EPERM),
    ("mount_again_and_write", &["mount 1 =/ro 0x10000 0", "open =/ro/new 0x201 0644"], EROFS),
    ("unmount", &["unmount =/ro 0"], EBUSY),
    ("unmount_by_force", &["unmount =/ro 0x80000"], EBUSY),
    ("unmount_root", &["unmount =/ 0x80000"], EINVAL),
    ("unmount_what_is_no_mount", &["unmount =/tmp 0"], EINVAL),
    // Processes as files: the guest's, and none of the host's.
    ("processes_of_host", &["mkdir =/p 0755", "mount 12 =/p 0 0", "open =/p/HOST/mem 0"], ENOENT),
    ("processes_root", &["mkdir =/p 0755", "mount 12 =/p 0 0", "open =/p/curproc/root/etc/passwd 0"], ENOENT),
    ("processes_program", &["mkdir =/p 0755", "mount 12 =/p 0 0", "open =/p/curproc/file 2"], ENOENT),
    (
        "processes_and_dots",
        &["mkdir =/p 0755", "mount 12 =/p 0 0", "chdir =/p/curproc", "open =../../../outside/secret 0"],
        ENOENT,
    ),
    (
        "processes_unmounted_under_foot",
        &[
            "mkdir =/p 0755",
            "mount 12 =/p 0 0",
            "chdir =/p/curproc",
            "unmount =/p 0x80000",
            "open =../../outside/secret 0",
        ],
        Fails,
    ),
    ("rename_mount_point", &["rename =/ro =/ro2"], Fails),
    ("remove_mount_point", &["rmdir =/ro"], Fails),
    ("rename_over_mount_point", &["mkdir =/d 0755", "rename =/d =/ro"], Fails),
    ("rename_across_mounts", &["rename =/rw/f =/f"], EXDEV),
    ("link_across_mounts", &["link =/rw/f =/f"], EXDEV),
    // Processes and the machine.
    ("kill_host_process", &["kill HOST 9"], Errno(3)),
    ("kill_everybody", &["kill -1 0"], Any),
    ("trace_host_process", &["ptrace 10 HOST 0 0"], Errno(3)),
    ("priority_of_host_process", &["setpriority 0 HOST -20"], Errno(3)),
    ("group_of_host_process", &["setpgid HOST HOST"], Errno(3)),
    ("swapon", &["swapon =/f"], Fails),
    ("acct", &["acct =/f"], Fails),
    ("nfssvc", &["nfssvc 1 @"], Fails),
    ("revoke_file", &["revoke =/rw/f"], Fails),
    // Sockets.
    ("socket_abstract", &["socket 1 1 0", "connect $0 %\u{1} 106"], Fails),
    ("socket_of_routes", &["socket 17 3 0"], Any),
    ("socket_of_host_port", &["socket 2 1 0", "connect $0 @ 16"], Fails),
];

/// At a read-only tree, in which `{}` stands for where it is.
const READ_ONLY: &[Attempt] = &[
    ("write", &["open ={}/f 1"], EROFS),
    ("read_and_write", &["open ={}/f 2"], EROFS),
    ("append", &["open ={}/f 9"], EROFS),
    ("truncating_open", &["open ={}/f 0x401"], EROFS),
    ("truncating_read", &["open ={}/f 0x400"], EROFS),
    ("create", &["open ={}/new 0x201 0644"], EROFS),
    ("create_exclusively", &["open ={}/new 0xa01 0644"], EROFS),
    ("create_over", &["open ={}/f 0x601 0644"], EROFS),
    ("old_creat", &["old.creat ={}/f 0666"], EROFS),
    ("create_in_directory", &["open ={}/d/new 0x201 0644"], EROFS),
    ("link_inside", &["link ={}/f ={}/g"], EROFS),
    ("link_out", &["link ={}/f =/tmp/g"], Fails),
    ("link_in", &["open =/tmp/x 0x201 0644", "link =/tmp/x ={}/x"], Fails),
    ("rename_inside", &["rename ={}/f ={}/g"], EROFS),
    ("rename_out", &["rename ={}/f =/tmp/g"], Fails),
    ("rename_in", &["open =/tmp/x 0x201 0644", "rename =/tmp/x ={}/f"], Fails),
    ("rename_directory", &["rename ={}/d ={}/e"], EROFS),
    ("truncate", &["truncate ={}/f 0 0 0"], EROFS),
    ("old_truncate", &["old.truncate ={}/f 0"], EROFS),
    ("truncate_longer", &["truncate ={}/f 0 100000 0"], EROFS),
    ("utimes_now", &["utimes ={}/f 0"], EROFS),
    ("utimes", &["utimes ={}/f @"], EROFS),
    ("chmod", &["chmod ={}/f 0777"], EROFS),
    ("chmod_set_id", &["chmod ={}/f 04777"], EROFS),
    ("chown", &["chown ={}/f 5 5"], EROFS),
    ("chflags", &["chflags ={}/f 2"], EROFS),
    ("unlink", &["unlink ={}/f"], EROFS),
    ("unlink_link", &["unlink ={}/s"], EROFS),
    ("mkdir", &["mkdir ={}/new 0777"], EROFS),
    ("rmdir", &["rmdir ={}/d"], EROFS),
    ("symlink", &["symlink =x ={}/new"], EROFS),
    ("mknod", &["mknod ={}/new 020666 0x202"], EROFS),
    ("mknod_file", &["mknod ={}/new 0100666 0"], Fails),
    ("mkfifo", &["mkfifo ={}/new 0666"], EROFS),
    ("bind", &["socket 1 1 0", "bind $0 %{}/new 106"], EROFS),
    ("ftruncate_of_reader", &["open ={}/f 0", "ftruncate $0 0 0 0"], Fails),
    ("old_ftruncate_of_reader", &["open ={}/f 0", "old.ftruncate $0 0"], Fails),
    ("write_of_reader", &["open ={}/f 0", "write $0 =evil 4"], Fails),
    ("fchmod_of_reader", &["open ={}/f 0", "fchmod $0 0777"], EROFS),
    ("fchown_of_reader", &["open ={}/f 0", "fchown $0 5 5"], EROFS),
    ("fchflags_of_reader", &["open ={}/f 0", "fchflags $0 2"], EROFS),
    ("map_shared_writable", &["open ={}/f 0", "mmap 0 4096 3 1 $0 0 0 0"], Fails),
    ("map_shared_made_writable", &["open ={}/f 0", "mmap 0 4096 1 1 $0 0 0 0", "mprotect $1 4096 3"], Fails),
    ("map_private_and_write", &["open ={}/f 0", "mmap 0 4096 3 2 $0 0 0 0", "poke $1", "msync $1 4096"], Any),
    (
        "read_into_shared_mapping",
        &["open ={}/f 0", "mmap 0 4096 1 1 $0 0 0 0", "open ={}/f 0", "read $2 $1 4"],
        Fails,
    ),
    ("ktrace_new", &["getpid", "ktrace ={}/new 0 0x7f $0"], Fails),
    ("ktrace_over", &["getpid", "ktrace ={}/f 0 0x7f $0"], Fails),
    ("access_says_no", &["access ={}/f 2"], EROFS),
    ("by_way_of_a_link", &["symlink ={}/f =/tmp/l", "open =/tmp/l 1"], EROFS),
    ("by_way_of_dots", &["chdir ={}/d", "open =../f 1"], EROFS),
    ("open_directory_for_writing", &["open ={}/d 1"], Fails),
    ("exclusive_lock_and_write", &["open ={}/f 0x20", "write $0 =evil 4"], Fails),
];

/// How a tree is made read-only: options, and where the guest finds it.
const WAYS: &[(&str, &[&str], &str)] = &[
    ("mount_ro", &["--root", "ROOT", "--mount", "RO:/ro:ro"], "/ro"),
    ("root_ro", &["--root", "RO:ro"], ""),
    ("mount_of_root_ro", &["--mount", "RO:/:ro"], ""),
    ("read_only", &["--root", "RO", "--read-only"], ""),
    ("read_only_mounts", &["--root", "ROOT", "--mount", "RO:/ro", "--read-only"], "/ro"),
];

/// A place with an inside and an outside.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(user: Option<u32>) -> World {
        let world = World { directory: tempfile::tempdir().expect("a directory") };
        for directory in
            ["outside/dir", "root/bin", "root/tmp", "ro/bin", "ro/d", "ro/tmp", "rw", "temporary"]
        {
            fs::create_dir_all(world.at(directory)).expect("a directory");
        }
        let outside = world.at("outside");
        for (file, text) in [
            ("outside/secret", SECRET),
            ("ro/f", "read only\n"),
            ("rw/f", "given\n"),
            ("root/hostsuid", "set-id"),
        ] {
            fs::write(world.at(file), text).expect("a file");
        }
        for (link, to) in [
            ("root/link_abs", outside.join("secret")),
            ("root/link_rel", "../outside/secret".into()),
            ("root/link_dots", "../../../../../../../../../../etc/passwd".into()),
            ("root/link_dir", "../outside".into()),
            ("root/link_new", outside.join("new")),
            ("rw/up", "../outside/secret".into()),
            ("rw/abs", outside.join("secret")),
            ("ro/s", "f".into()),
        ] {
            symlink(to, world.at(link)).expect("a link");
        }
        for root in ["root", "ro"] {
            let program = world.at(root).join("bin/attempt");
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/attempt"), &program)
                .expect("the program");
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        for special in ["root/hostfifo", "outside/fifo"] {
            rustix_mkfifo(&world.at(special));
        }
        // The listener ends at once; its name stays.
        drop(std::os::unix::net::UnixListener::bind(world.at("root/hostsock")).expect("a socket"));
        let made = Command::new("mknod").arg(world.at("root/hostnull")).args(["c", "1", "3"]).output();
        drop(made);
        let everything = world.entries(Path::new(""));
        fs::set_permissions(world.directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        if let Some(user) = user {
            for path in &everything {
                std::os::unix::fs::lchown(path, Some(user), Some(user))
                    .expect("the test's files are given away");
            }
        }
        fs::set_permissions(world.at("root/hostsuid"), fs::Permissions::from_mode(0o4755)).expect("a mode");
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn entries(&self, below: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.directory.path().join(below)];
        while let Some(path) = left.pop() {
            if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
                left.extend(fs::read_dir(&path).expect("a directory").map(|e| e.expect("an entry").path()));
            }
            found.push(path);
        }
        found
    }

    /// What the host tells of everything below.
    fn state(&self, below: &str) -> BTreeMap<PathBuf, String> {
        let told = |path: &PathBuf| {
            let m = fs::symlink_metadata(path).expect("it is there");
            let content = if m.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
            let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
            format!("{} {:o} {}:{} {} {times:?} {content:?}", m.ino(), m.mode(), m.uid(), m.gid(), m.nlink())
        };
        self.entries(Path::new(below)).into_iter().map(|path| (path.clone(), told(&path))).collect()
    }

    /// Makes an attempt; gives what was printed.
    fn run(&self, user: Option<u32>, options: &[&str], calls: &[String]) -> Result<String, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsd21"));
        command.arg("run").arg("-q").env("TMPDIR", self.at("temporary")).env_remove("BSD21_ROOT");
        for option in options {
            let place = |name: &str| self.at(name).display().to_string();
            let option =
                if *option == "RO" { place("ro") } else { option.replace("RO:", &(place("ro") + ":")) };
            command.arg(option.replace("ROOT", &place("root")));
        }
        command.arg("/bin/attempt").args(calls).current_dir(self.directory.path());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.output().map_err(|e| e.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("panicked") || output.status.code().is_none() {
            return Err(format!("{}: {said}", output.status).into());
        }
        if said.contains("bsd21: ") && printed.is_empty() && !calls[0].starts_with("poke") {
            return Err(format!("{said}").into());
        }
        Ok(printed)
    }

    /// Calls as the program wants them.
    fn calls(&self, calls: &[&str], at: &str) -> Vec<String> {
        let outside = self.at("outside").display().to_string();
        let host = std::process::id().to_string();
        let number = |call: &str| {
            let (name, rest) = call.split_once(' ').unwrap_or((call, ""));
            match name {
                "show" | "poke" | "fork" => call.to_owned(),
                name => {
                    let row = syscalls::sysent::lookup(name).unwrap_or_else(|| panic!("{name} is a call"));
                    format!("{} {rest}", row.code)
                }
            }
        };
        calls
            .iter()
            .map(|call| number(call).replace("/OUTSIDE", &outside).replace("OUTSIDE", &outside[1..]))
            .map(|call| call.replace("HOST", &host).replace("{}", at))
            .collect()
    }
}

fn rustix_mkfifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o666)).expect("a fifo");
    assert!(fs::symlink_metadata(path).expect("it is there").file_type().is_fifo());
}

/// The answer of the last call.
fn check(printed: &str, wanted: Answer) -> Result<(), Failed> {
    if printed.contains(SECRET) {
        return Err(format!("the secret is out: {printed}").into());
    }
    let last = printed.lines().rfind(|line| line.contains(" errno ")).unwrap_or_default();
    let errno: i32 = last.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(-1);
    let right = match wanted {
        Any => true,
        Fails => last.contains(": -1 errno "),
        Errno(number) => last.contains(": -1 errno ") && errno == number,
        Is(number) => last.ends_with(&format!(": {number} errno 0")),
    };
    if right { Ok(()) } else { Err(format!("wanted {wanted:?}: {printed}").into()) }
}

fn unchanged(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>) -> Result<(), Failed> {
    if before == after {
        return Ok(());
    }
    let changed: Vec<_> = before
        .iter()
        .filter(|(path, told)| after.get(*path) != Some(told))
        .map(|(path, told)| format!("{}: {told} -> {:?}", path.display(), after.get(path)))
        .chain(
            after
                .keys()
                .filter(|path| !before.contains_key(*path))
                .map(|p| format!("{} is new", p.display())),
        )
        .collect();
    Err(changed.join("\n").into())
}

/// No file of the host that the guest can write is a set-id program.
fn no_set_id(world: &World, user: Option<u32>) -> Result<(), Failed> {
    let _ = user;
    for path in world.entries(Path::new("root")) {
        let m = fs::symlink_metadata(&path).expect("it is there");
        let untouched = path.ends_with("hostsuid") && fs::read(&path).is_ok_and(|text| text == b"set-id");
        if m.mode() & 0o6000 != 0 && !untouched {
            return Err(format!("{} has mode {:o}", path.display(), m.mode()).into());
        }
        let kind = m.file_type();
        if (kind.is_char_device() || kind.is_block_device()) && !path.ends_with("hostnull") {
            return Err(format!("{} is a device", path.display()).into());
        }
        if user.is_none() && m.uid() != rustix::process::geteuid().as_raw() {
            return Err(format!("{} was given away to {}", path.display(), m.uid()).into());
        }
    }
    Ok(())
}

fn out(user: Option<u32>, &(_, calls, wanted): &Attempt, overlay: bool) -> Result<(), Failed> {
    let world = World::new(user);
    let before = ["outside", "ro"].map(|below| world.state(below));
    let root = overlay.then(|| world.state("root"));
    let mounted = format!("{}:/rw", world.at("rw").display());
    let mut options = vec!["--root", "ROOT", "--mount", "RO:/ro:ro", "--mount", &mounted];
    if overlay {
        options.push("--overlay");
    }
    let printed = world.run(user, &options, &world.calls(calls, ""))?;
    unchanged(&before[0], &world.state("outside"))?;
    unchanged(&before[1], &world.state("ro"))?;
    if let Some(root) = root {
        unchanged(&root, &world.state("root"))?;
    }
    if !overlay {
        no_set_id(&world, user)?;
    }
    check(&printed, wanted)
}

fn read_only(
    user: Option<u32>,
    &(_, calls, wanted): &Attempt,
    (_, options, at): &(&str, &[&str], &str),
) -> Result<(), Failed> {
    let world = World::new(user);
    let before = world.state("ro");
    let printed = world.run(user, options, &world.calls(calls, at))?;
    unchanged(&before, &world.state("ro"))?;
    // Without a writable /tmp what is made there first fails already.
    let first =
        calls.len() > 1 && calls[0].contains("/tmp") && (at.is_empty() || options.contains(&"--read-only"));
    check(&printed, if first { Fails } else { wanted })
}

/// What an overlay is over is as read-only as can be, whatever the guest is answered.
fn overlaid(user: Option<u32>, &(_, calls, _): &Attempt) -> Result<(), Failed> {
    let world = World::new(user);
    let before = world.state("ro");
    let ro = world.at("ro").display().to_string();
    let kept = format!("--overlay={}", world.at("temporary/kept").display());
    for overlay in ["--overlay", &kept] {
        let printed = world.run(user, &["--root", &ro, overlay], &world.calls(calls, ""))?;
        unchanged(&before, &world.state("ro"))?;
        check(&printed, Any)?;
    }
    Ok(())
}

/// The users as whom attempts are made; the super-user's own attempts need the super-user.
fn users() -> Vec<(&'static str, Option<u32>, bool)> {
    let root = rustix::process::geteuid().is_root();
    // Whether an ordinary user can reach the program at all.
    let other = root
        && Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .arg("--version")
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .is_ok_and(|output| output.status.success());
    if root {
        vec![("root", None, false), ("user", Some(NOBODY), !other)]
    } else {
        vec![("user", None, false), ("root", None, true)]
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut add = |name: String, skipped: bool, act: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        trials.push(Trial::test(name, act).with_ignored_flag(skipped));
    };
    for (name, user, skipped) in users() {
        for attempt in OUT {
            add(format!("{name}/out/{}", attempt.0), skipped, Box::new(move || out(user, attempt, false)));
        }
        for attempt in READ_ONLY {
            let act = move || {
                WAYS.iter().try_for_each(|way| {
                    read_only(user, attempt, way).map_err(|error| {
                        Failed::from(format!("{}: {}", way.0, error.message().unwrap_or_default()))
                    })
                })
            };
            add(format!("{name}/read_only/{}", attempt.0), skipped, Box::new(act));
        }
    }
    let (_, user, _) = users()[0];
    for attempt in OUT {
        add(format!("overlay/out/{}", attempt.0), false, Box::new(move || out(user, attempt, true)));
    }
    for attempt in READ_ONLY {
        add(format!("overlay/over/{}", attempt.0), false, Box::new(move || overlaid(user, attempt)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
