//! The calls as a guest makes them: arguments in its memory, results in it.

use syscalls::Errno;
use syscalls::arg::{
    Arg, CreatMode, Dev, Dirents, Fd, Gid, Mode, Out, OutBuf, Path, StatfsBuf, Str, Uid, Unused,
};
use syscalls::flags::{AccessMode, FsWait, OpenFlags, Whence};
use syscalls::layout::{Ostat, Shown, Stat, Statfs};
use tempfile::TempDir;

use super::*;
use crate::kernel::boot::Config;
use crate::kernel::cred::Pcred;
use crate::kernel::file::uio::Iovec;
use crate::kernel::file::{Uio, closef, getfile, ops};
use crate::kernel::limits::{Resource, Rlimit};
use crate::kernel::proc::ProcId;
use crate::kernel::signal::{SIGXFSZ, sigmask};
use crate::kernel::socket::Network;
use crate::kernel::sysctl::System;
use crate::kernel::time::Clock;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::{Options, Vfs};
use crate::kernel::{Kernel, Stop, Sysret};
use crate::mem::Prot;

/// Memory of the guest.
const MEMORY: u32 = 0x10000;
/// Where results go.
const RESULT: u32 = MEMORY + 0x8000;

/// One process over a fresh directory with /dev.
struct Guest {
    dir: TempDir,
    kernel: Kernel,
    id: ProcId,
    /// Where the next string goes.
    next: u32,
}

fn guest() -> Guest {
    let dir = tempfile::tempdir().unwrap();
    let mut vfs = Vfs::new(Options::default());
    vfs.mount_root(&Source::Host(dir.path()), MountFlags::empty()).unwrap();
    vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()).unwrap();
    let mut kernel = Kernel::new(Config {
        vfs,
        clock: Clock::deterministic(),
        system: System::default(),
        network: Network::None,
    });
    let id = kernel.first_process(Pcred::new(0, 0), b"root");
    kernel.procs[id].vm.space.map_anon(MEMORY, 0x20000, Prot::READ | Prot::WRITE).unwrap();
    Guest { dir, kernel, id, next: MEMORY }
}

fn errno<T: std::fmt::Debug>(result: Sysret<T>) -> Errno {
    match result {
        Err(Stop::Errno(errno)) => errno,
        other => panic!("expected an error, got {other:?}"),
    }
}

impl Guest {
    fn cx(&mut self) -> Context<'_> {
        Context::new(&mut self.kernel, self.id)
    }

    fn text(&mut self, text: &str) -> u32 {
        let at = self.next;
        let bytes = [text.as_bytes(), b"\0"].concat();
        self.cx().copyout(at, &bytes).unwrap();
        self.next = MEMORY + (at - MEMORY + bytes.len() as u32) % 0x4000;
        at
    }

    fn path(&mut self, path: &str) -> Path {
        Path(self.text(path))
    }

    fn open(&mut self, path: &str, flags: u32) -> Sysret<Fd> {
        let path = self.path(path);
        open(&mut self.cx(), path, OpenFlags::from_bits_retain(flags), CreatMode(0o644))
    }

    fn write(&mut self, fd: Fd, data: &[u8]) -> Sysret<i32> {
        let mut cx = self.cx();
        cx.copyout(RESULT, data)?;
        let file = getfile(&cx, fd)?;
        let object = cx.kernel.files[file].object;
        ops::write(&mut cx, file, object, Uio::single(RESULT, data.len() as u32))
    }

    fn read(&mut self, fd: Fd, len: u32) -> Sysret<Vec<u8>> {
        let mut cx = self.cx();
        let file = getfile(&cx, fd)?;
        let object = cx.kernel.files[file].object;
        let length = ops::read(&mut cx, file, object, Uio::single(RESULT, len))?;
        Ok(cx.copyin_vec(RESULT, length as usize)?)
    }

    fn close(&mut self, fd: Fd) {
        let mut cx = self.cx();
        let file = cx.proc_mut().fd.clear(fd).unwrap();
        closef(&mut cx, file).unwrap();
    }

    fn stat(&mut self, path: &str) -> Sysret<Stat> {
        let path = self.path(path);
        stat(&mut self.cx(), path, out())?;
        Ok(self.cx().read(RESULT)?)
    }

    fn become_user(&mut self, uid: u32, gid: u32) {
        self.kernel.procs[self.id].cred = Pcred::new(uid, gid);
    }
}

/// A pointer to where results go.
fn out<T: Shown>() -> Out<T> {
    out_at(RESULT)
}

fn out_at<T: Shown>(address: u32) -> Out<T> {
    Out::from_words(&[address])
}

const O_RDONLY: u32 = 0;
const O_WRONLY: u32 = 1;
const O_RDWR: u32 = 2;
const O_APPEND: u32 = 8;
const O_CREAT: u32 = 0x200;
const O_TRUNC: u32 = 0x400;
const O_EXCL: u32 = 0x800;

#[test]
fn a_file_is_made_written_and_read_back() {
    let mut g = guest();
    let fd = g.open("f", O_RDWR | O_CREAT).unwrap();
    assert_eq!(g.write(fd, b"hello").unwrap(), 5);
    assert_eq!(lseek(&mut g.cx(), fd, Unused(0), -3, Whence::Cur).unwrap(), 2);
    assert_eq!(g.read(fd, 100).unwrap(), b"llo");
    assert_eq!(g.read(fd, 100).unwrap(), b"");
    assert_eq!(std::fs::read(g.dir.path().join("f")).unwrap(), b"hello");
    let stat = g.stat("f").unwrap();
    assert_eq!((stat.size.get(), stat.mode.get(), stat.nlink.get()), (5, 0o100644, 1));
}

#[test]
fn open_checks_what_the_flags_ask_for() {
    let mut g = guest();
    assert_eq!(errno(g.open("f", 3)), Errno::EINVAL);
    assert_eq!(errno(g.open("f", O_RDONLY)), Errno::ENOENT);
    let fd = g.open("f", O_WRONLY | O_CREAT | O_EXCL).unwrap();
    assert_eq!(errno(g.open("f", O_WRONLY | O_CREAT | O_EXCL)), Errno::EEXIST);
    assert_eq!(errno(g.open(".", O_RDWR)), Errno::EISDIR);
    assert_eq!(errno(g.open(".", O_RDONLY | O_TRUNC)), Errno::EISDIR);
    g.close(fd);
    let files = g.kernel.files.len();
    assert_eq!(errno(g.open("none/f", O_RDONLY)), Errno::ENOENT);
    assert_eq!(g.kernel.files.len(), files, "a failed open leaves no file");
    assert!(g.kernel.procs[g.id].fd.get(Fd(0)).is_none());
}

#[test]
fn a_dangling_link_is_made_real_unless_excl() {
    let mut g = guest();
    std::os::unix::fs::symlink("target", g.dir.path().join("l")).unwrap();
    assert_eq!(errno(g.open("l", O_WRONLY | O_CREAT | O_EXCL)), Errno::EEXIST);
    g.open("l", O_WRONLY | O_CREAT).unwrap();
    assert!(g.dir.path().join("target").is_file());
}

#[test]
fn appending_writes_at_the_end_whatever_the_offset() {
    let mut g = guest();
    std::fs::write(g.dir.path().join("f"), b"12345").unwrap();
    let fd = g.open("f", O_WRONLY | O_APPEND).unwrap();
    g.write(fd, b"67").unwrap();
    assert_eq!(lseek(&mut g.cx(), fd, Unused(0), 0, Whence::Cur).unwrap(), 7);
    assert_eq!(std::fs::read(g.dir.path().join("f")).unwrap(), b"1234567");
}

#[test]
fn the_size_limit_is_a_signal_and_an_error() {
    let mut g = guest();
    g.kernel.procs[g.id].limits.set(Resource::Fsize, Rlimit { cur: 4, max: 4 });
    let fd = g.open("f", O_WRONLY | O_CREAT).unwrap();
    assert_eq!(g.write(fd, b"1234").unwrap(), 4);
    assert_eq!(errno(g.write(fd, b"5")), Errno::EFBIG);
    assert_ne!(g.kernel.procs[g.id].sig.pending & sigmask(SIGXFSZ), 0);
    assert_eq!(std::fs::metadata(g.dir.path().join("f")).unwrap().len(), 4);
}

#[test]
fn offsets_beyond_two_gigabytes_are_too_big() {
    let mut g = guest();
    let fd = g.open("f", O_RDWR | O_CREAT).unwrap();
    lseek(&mut g.cx(), fd, Unused(0), i64::from(i32::MAX), Whence::Set).unwrap();
    assert_eq!(errno(g.write(fd, b"x")), Errno::EFBIG);
    lseek(&mut g.cx(), fd, Unused(0), -2, Whence::Set).unwrap();
    assert_eq!(errno(g.read(fd, 1)), Errno::EFBIG);
    assert_eq!(errno(g.write(fd, b"x")), Errno::EFBIG);
}

#[test]
fn a_write_from_before_the_start_to_the_start_goes_nowhere() {
    let mut g = guest();
    let fd = g.open("f", O_RDWR | O_CREAT).unwrap();
    lseek(&mut g.cx(), fd, Unused(0), -1, Whence::Set).unwrap();
    assert_eq!(g.write(fd, b"xyz").unwrap(), 3);
    assert_eq!(lseek(&mut g.cx(), fd, Unused(0), 0, Whence::Cur).unwrap(), 2);
    assert_eq!(std::fs::metadata(g.dir.path().join("f")).unwrap().len(), 0);
}

#[test]
fn an_offset_at_the_end_of_the_numbers_wraps() {
    let mut g = guest();
    let zero = g.open("/dev/zero", O_RDWR).unwrap();
    lseek(&mut g.cx(), zero, Unused(0), i64::MAX, Whence::Set).unwrap();
    assert_eq!(g.read(zero, 2).unwrap(), [0, 0]);
    assert_eq!(lseek(&mut g.cx(), zero, Unused(0), 0, Whence::Cur).unwrap(), i64::MIN + 1);
    assert_eq!(g.write(zero, b"x").unwrap(), 1);
}

#[test]
fn a_fault_in_the_middle_of_a_write_keeps_what_went_before() {
    let mut g = guest();
    let fd = g.open("f", O_WRONLY | O_CREAT).unwrap();
    let file = getfile(&g.cx(), fd).unwrap();
    let object = g.cx().kernel.files[file].object;
    let end = MEMORY + 0x20000;
    assert_eq!(errno(ops::write(&mut g.cx(), file, object, Uio::single(end, 10))), Errno::EFAULT);
    let iov = vec![Iovec { base: RESULT, len: 3 }, Iovec { base: end, len: 3 }];
    assert_eq!(errno(ops::write(&mut g.cx(), file, object, Uio::vector(iov))), Errno::EFAULT);
    assert_eq!(std::fs::metadata(g.dir.path().join("f")).unwrap().len(), 3);
}

#[test]
fn lstat_tells_of_a_link_what_its_directory_is() {
    let mut g = guest();
    std::os::unix::fs::symlink("x", g.dir.path().join("l")).unwrap();
    let path = g.path("l");
    lstat(&mut g.cx(), path, out()).unwrap();
    let link: Stat = g.cx().read(RESULT).unwrap();
    let directory = g.stat(".").unwrap();
    assert_eq!(link.ino, directory.ino);
    assert_eq!(link.mode.get() & 0o170000, 0o120000);
    assert_eq!(link.mode.get() & 0o7777, directory.mode.get() & 0o7777);
    assert_eq!((link.size.get(), link.nlink.get()), (1, 1));
    let path = g.path("l");
    olstat(&mut g.cx(), path, out()).unwrap();
    let old: Ostat = g.cx().read(RESULT).unwrap();
    assert_eq!((old.ino, old.size.get()), (link.ino, 1));
}

#[test]
fn readlink_gives_as_much_as_fits_and_no_zero_byte() {
    let mut g = guest();
    let (text, link) = (Str(g.text("some/where")), g.path("l"));
    symlink(&mut g.cx(), text, link).unwrap();
    let path = g.path("l");
    assert_eq!(readlink(&mut g.cx(), path, OutBuf { addr: RESULT, cap: 100 }).unwrap(), 10);
    let path = g.path("l");
    assert_eq!(readlink(&mut g.cx(), path, OutBuf { addr: RESULT, cap: 4 }).unwrap(), 4);
    let path = g.path(".");
    assert_eq!(errno(readlink(&mut g.cx(), path, OutBuf { addr: RESULT, cap: 4 })), Errno::EINVAL);
}

#[test]
fn reading_a_directory_survives_removal() {
    let mut g = guest();
    std::fs::create_dir(g.dir.path().join("d")).unwrap();
    for n in 0..100 {
        std::fs::write(g.dir.path().join(format!("d/file{n}")), b"").unwrap();
    }
    let fd = g.open("d", O_RDONLY).unwrap();
    let mut seen = 0;
    loop {
        let length =
            getdirentries(&mut g.cx(), fd, Dirents { addr: RESULT, cap: 512 }, out_at(RESULT + 0x1000))
                .unwrap();
        if length == 0 {
            break;
        }
        let block = g.cx().copyin_vec(RESULT, length as usize).unwrap();
        let mut at = 0;
        while at < block.len() {
            let size = usize::from(u16::from_le_bytes([block[at + 4], block[at + 5]]));
            let name = block[at + 8..at + 8 + usize::from(block[at + 7])].to_vec();
            if name != b"." && name != b".." {
                seen += 1;
                let name = format!("d/{}", String::from_utf8(name).unwrap());
                let path = g.path(&name);
                unlink(&mut g.cx(), path).unwrap();
            }
            at += size;
        }
    }
    assert_eq!(seen, 100);
    let path = g.path("d");
    rmdir(&mut g.cx(), path).unwrap();
}

#[test]
fn directory_reads_want_whole_blocks() {
    let mut g = guest();
    let fd = g.open(".", O_RDONLY).unwrap();
    let small = Dirents { addr: RESULT, cap: 511 };
    assert_eq!(errno(getdirentries(&mut g.cx(), fd, small, out())), Errno::EINVAL);
    lseek(&mut g.cx(), fd, Unused(0), 8, Whence::Set).unwrap();
    let block = Dirents { addr: RESULT, cap: 512 };
    assert_eq!(errno(getdirentries(&mut g.cx(), fd, block, out())), Errno::EINVAL);
    let file = g.open("f", O_RDWR | O_CREAT).unwrap();
    assert_eq!(errno(getdirentries(&mut g.cx(), file, block, out())), Errno::EINVAL);
}

#[test]
fn access_asks_for_the_real_user() {
    let mut g = guest();
    g.open("f", O_WRONLY | O_CREAT).unwrap();
    g.kernel.procs[g.id].cred.ruid = 77;
    g.kernel.procs[g.id].cred.rgid = 77;
    let path = g.path("f");
    assert_eq!(errno(access(&mut g.cx(), path, AccessMode(AccessMode::W_OK))), Errno::EACCES);
    let path = g.path("f");
    access(&mut g.cx(), path, AccessMode(AccessMode::R_OK)).unwrap();
    let path = g.path("none");
    assert_eq!(errno(access(&mut g.cx(), path, AccessMode(0))), Errno::ENOENT);
}

#[test]
fn only_owners_and_root_change_modes_and_owners() {
    let mut g = guest();
    g.open("f", O_WRONLY | O_CREAT).unwrap();
    g.become_user(5, 5);
    let path = g.path("f");
    assert_eq!(errno(chmod(&mut g.cx(), path, Mode(0o777))), Errno::EPERM);
    let path = g.path("f");
    assert_eq!(errno(chown(&mut g.cx(), path, Uid(5), Gid(u32::MAX))), Errno::EPERM);
    g.become_user(0, 0);
    let path = g.path("f");
    chown(&mut g.cx(), path, Uid(5), Gid(u32::MAX)).unwrap();
    assert_eq!(g.stat("f").unwrap().uid.get(), 5);
    g.become_user(5, 5);
    let path = g.path("f");
    assert_eq!(errno(chmod(&mut g.cx(), path, Mode(0o1644))), Errno::EFTYPE);
    let path = g.path("f");
    chmod(&mut g.cx(), path, Mode(0o600)).unwrap();
    assert_eq!(g.stat("f").unwrap().mode.get(), 0o100600);
}

#[test]
fn root_reads_what_the_host_user_forbade_himself() {
    let mut g = guest();
    std::fs::write(g.dir.path().join("f"), b"x").unwrap();
    let path = g.path("f");
    chmod(&mut g.cx(), path, Mode(0)).unwrap();
    let fd = g.open("f", O_RDWR).unwrap();
    assert_eq!(g.read(fd, 1).unwrap(), b"x");
    assert_eq!(g.stat("f").unwrap().mode.get(), 0o100000);
}

#[test]
fn the_mask_is_taken_from_new_modes() {
    let mut g = guest();
    assert_eq!(umask(&mut g.cx(), Mode(0o077)).unwrap(), 0o022);
    let path = g.path("d");
    mkdir(&mut g.cx(), path, Mode(0o777)).unwrap();
    assert_eq!(g.stat("d").unwrap().mode.get(), 0o040700);
    let path = g.path("p");
    mkfifo(&mut g.cx(), path, Mode(0o666)).unwrap();
    assert_eq!(g.stat("p").unwrap().mode.get(), 0o010600);
}

#[test]
fn devices_are_where_programs_look_for_them() {
    let mut g = guest();
    let null = g.open("/dev/null", O_RDWR).unwrap();
    assert_eq!(g.write(null, b"gone").unwrap(), 4);
    assert_eq!(g.read(null, 10).unwrap(), b"");
    let zero = g.open("/dev/zero", O_RDWR).unwrap();
    assert_eq!(g.read(zero, 5000).unwrap(), [0; 5000]);
    assert_eq!(errno(g.open("/dev/tty", O_RDWR)), Errno::ENXIO);
    assert_eq!(g.stat("/dev/null").unwrap().rdev.get(), 0x202);
    let (path, old) = (g.path("/dev/null"), g.path("/dev/none"));
    rename(&mut g.cx(), path, old).unwrap();
    assert_eq!(errno(g.open("/dev/null", O_RDWR)), Errno::ENOENT);
    assert_eq!(g.stat("/dev/none").unwrap().rdev.get(), 0x202);
}

#[test]
fn dev_fd_is_another_descriptor_of_the_same_file() {
    let mut g = guest();
    let fd = g.open("f", O_WRONLY | O_CREAT).unwrap();
    let name = format!("/dev/fd/{}", fd.0);
    let again = g.open(&name, O_WRONLY).unwrap();
    assert_ne!(fd, again);
    assert_eq!(g.kernel.procs[g.id].fd.get(fd), g.kernel.procs[g.id].fd.get(again));
    assert_eq!(errno(g.open(&name, O_RDONLY)), Errno::EACCES);
    assert_eq!(errno(g.open("/dev/fd/40", O_RDONLY)), Errno::EBADF);
}

#[test]
fn a_host_device_or_socket_is_not_opened() {
    let mut g = guest();
    let _listener = std::os::unix::net::UnixListener::bind(g.dir.path().join("s")).unwrap();
    assert_eq!(errno(g.open("s", O_RDONLY)), Errno::EOPNOTSUPP);
    assert_eq!(crate::kernel::vfs::socket_at(&mut g.cx(), b"s"), Err(Errno::ECONNREFUSED));
}

#[test]
fn an_open_of_a_fifo_waits_for_the_other_end() {
    let mut g = guest();
    let path = g.path("p");
    mkfifo(&mut g.cx(), path, Mode(0o666)).unwrap();
    const O_NONBLOCK: u32 = 4;
    assert_eq!(errno(g.open("p", O_WRONLY | O_NONBLOCK)), Errno::ENXIO);
    assert!(matches!(g.open("p", O_RDONLY), Err(Stop::Park(_))));
    let writer = g.open("p", O_WRONLY).unwrap();
    assert_eq!(g.write(writer, b"through").unwrap(), 7);
    let reader = g.open("p", O_RDONLY | O_NONBLOCK).unwrap();
    assert_eq!(g.read(reader, 100).unwrap(), b"through");
    g.close(writer);
    assert_eq!(g.read(reader, 100).unwrap(), b"", "the end is told");
    assert_eq!(errno(g.read(reader, 100)), Errno::EWOULDBLOCK, "but once only");
}

#[test]
fn statfs_fits_the_room_into_31_bits() {
    let mut g = guest();
    let path = g.path("/");
    statfs(&mut g.cx(), path, out()).unwrap();
    let root: Statfs = g.cx().read(RESULT).unwrap();
    assert!(root.blocks.get() > 0 && root.bsize.get() >= 1024);
    assert!(root.mntonname.starts_with(b"/\0"));
    let all = StatfsBuf { addr: 0, size: 0 };
    assert_eq!(getfsstat(&mut g.cx(), all, FsWait::Nowait).unwrap(), 2);
    let one = StatfsBuf { addr: RESULT, size: 300 };
    assert_eq!(getfsstat(&mut g.cx(), one, FsWait::Nowait).unwrap(), 1);
}

#[test]
fn a_removed_current_directory_is_empty_and_leads_nowhere() {
    let mut g = guest();
    let path = g.path("d");
    mkdir(&mut g.cx(), path, Mode(0o777)).unwrap();
    let path = g.path("d");
    chdir(&mut g.cx(), path).unwrap();
    let fd = g.open(".", O_RDONLY).unwrap();
    let path = g.path("../d");
    rmdir(&mut g.cx(), path).unwrap();
    assert_eq!(errno(g.open("f", O_WRONLY | O_CREAT)), Errno::ENOENT);
    assert_eq!(errno(g.stat("..")), Errno::ENOENT);
    assert_eq!(errno(g.stat(".")), Errno::ENOENT);
    let block = Dirents { addr: MEMORY, cap: 512 };
    assert_eq!(getdirentries(&mut g.cx(), fd, block, out()).unwrap(), 0);
    assert_eq!(g.stat("/").unwrap().mode.get() & 0o170000, 0o040000);
}

#[test]
fn what_the_host_has_no_form_for_is_eperm_and_noted_after_the_originals_checks() {
    let mut g = guest();
    let make_link = |g: &mut Guest, text: &str, name: &str| {
        let (text, name) = (Str(g.text(text)), g.path(name));
        symlink(&mut g.cx(), text, name)
    };
    make_link(&mut g, "text", "there").unwrap();
    assert_eq!(errno(make_link(&mut g, "", "there")), Errno::EEXIST);
    assert_eq!(errno(make_link(&mut g, "", "none/link")), Errno::ENOENT);
    assert_eq!(errno(make_link(&mut g, "", "empty")), Errno::EPERM);
    let path = g.path("d");
    mkdir(&mut g.cx(), path, Mode(0o777)).unwrap();
    let name_again = |g: &mut Guest, new: &str| {
        let (old, new) = (g.path("d"), g.path(new));
        link(&mut g.cx(), old, new)
    };
    assert_eq!(errno(name_again(&mut g, "there")), Errno::EEXIST);
    assert_eq!(errno(name_again(&mut g, "d2")), Errno::EPERM);
    let node = |g: &mut Guest, mode: u32, dev: u32, name: &str| {
        let path = g.path(name);
        mknod(&mut g.cx(), path, Mode(mode), Dev(dev))
    };
    assert_eq!(errno(node(&mut g, 0o170644, 0, "there")), Errno::EEXIST);
    assert_eq!(errno(node(&mut g, 0o170644, 0, "bad")), Errno::EPERM);
    assert_eq!(errno(node(&mut g, 0o100644, 0, "file")), Errno::EINVAL);
    node(&mut g, 0o020644, u32::MAX, "device").unwrap();
    assert_eq!(g.stat("device").unwrap().rdev.get(), 0, "the number that stands for no value");
    let noted: Vec<&str> = g.kernel.ledger.iter().map(|(name, _, _)| name).collect();
    assert_eq!(noted, ["link", "mknod", "symlink"]);
    g.become_user(5, 5);
    assert_eq!(errno(name_again(&mut g, "d2")), Errno::EPERM, "only the super-user gets so far");
}

#[test]
fn times_beyond_32_bits_are_the_first_and_the_last_that_there_are() {
    let mut g = guest();
    let file = std::fs::File::create(g.dir.path().join("f")).unwrap();
    let set = |seconds: i64| {
        let epoch = std::time::UNIX_EPOCH;
        let by = std::time::Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 { epoch - by } else { epoch + by };
        file.set_modified(time).unwrap();
    };
    set(3_000_000_000);
    let late = g.stat("f").unwrap().mtime;
    assert_eq!((late.sec.get(), late.nsec.get()), (i32::MAX, 999_999_999));
    set(-2_147_483_648);
    assert_eq!(g.stat("f").unwrap().mtime.sec.get(), i32::MIN);
    // Not every file system of a host keeps earlier times.
    set(-3_000_000_000);
    assert_eq!(g.stat("f").unwrap().mtime.sec.get(), i32::MIN);
}

#[test]
fn truncation_zeroes_and_refuses_negative_sizes() {
    let mut g = guest();
    std::fs::write(g.dir.path().join("f"), b"123456").unwrap();
    let path = g.path("f");
    truncate(&mut g.cx(), path, Unused(0), 3).unwrap();
    let path = g.path("f");
    assert_eq!(errno(truncate(&mut g.cx(), path, Unused(0), -1)), Errno::EINVAL);
    let path = g.path("f");
    otruncate(&mut g.cx(), path, 5).unwrap();
    assert_eq!(std::fs::read(g.dir.path().join("f")).unwrap(), b"123\0\0");
    let fd = g.open("f", O_RDONLY).unwrap();
    assert_eq!(errno(ftruncate(&mut g.cx(), fd, Unused(0), 1)), Errno::EINVAL);
}
