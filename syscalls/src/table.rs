//! The one table of system calls: every row, 0 to 219, and nothing else.
//!
//! A row is
//!
//! ```text
//! /// What the call does.
//! NUMBER KIND WORDS AREA::HANDLER(argument: Type, ...) -> Result as "other name" => nosys("reason");
//! ```
//!
//! KIND is the word of the original's table (Std, Compat, Obsol, Unimpl, Nodef), WORDS the argument words that
//! the gate copies in; the handler is `crate::kernel::AREA::calls::HANDLER`.  A Compat handler is `o` and the
//! name.  `as` gives the original's name where the handler's differs from it.  `=> nosys(...)` says that the
//! call is not served, and why; whoever writes the handler takes that suffix away, and from then on the tree
//! does not compile without the handler.  A row that is no call, or that is an indirect one, has a name only.
//!
//! Everything else is derived: [`crate::sysent::SYSENT`], the dispatch, decoding for the tracer, listings.
//!
//! Must not act, and must not know any emulator.
//!
//! 2.1 counterpart: kern/syscalls.master (GENERIC with NFS, SYSVSEM, SYSVMSG, SYSVSHM and KTRACE).

/// Calls `$emit!` with every row of the table.
///
/// `$emit` sees the rows as
///
/// ```text
/// $(
///     $( #[doc = $doc:literal] )+
///     $code:literal $kind:ident $narg:literal
///     $( $area:ident :: $name:ident ( $( $arg:ident : $ty:ty ),* $(,)? ) -> $ret:ident )?
///     $( $plain:literal )?
///     $( as $display:literal )?
///     $( => nosys($why:literal) )?
///     ;
/// )*
/// ```
///
/// and finds the types by `use syscalls::row::*`, results as `syscalls::result::$ret`.  Macros inside it get the
/// optional parts in brackets, so that a row without a handler matches before its handler is looked at:
///
/// ```
/// use syscalls::result::{Ret, Retval};
/// use syscalls::row::*;
///
/// fn pipe() -> Result<(u32, u32), u32> {
///     Ok((3, 4))
/// }
///
/// macro_rules! arm {
///     ($words:ident []) => { Err(78) };
///     ($words:ident [$why:literal] $($rest:tt)*) => { Err(78) };
///     ($words:ident [] $area:ident :: $name:ident ($($arg:ident : $ty:ty),*) -> $ret:ident) => {{
///         let rest = $words;
///         $( let (w, rest) = rest.split_at(<$ty as Arg>::WORDS); let $arg = <$ty as Arg>::from_words(w); )*
///         let _ = rest;
///         $name($($arg),*).map(<syscalls::result::$ret as Ret>::regs)
///     }};
/// }
///
/// let words: &[u32] = &[];
/// let served = arm!(words [] socket::pipe() -> Pair);
/// assert_eq!(served, Ok(Retval { eax: 3, edx: Some(4) }));
/// ```
#[macro_export]
macro_rules! for_each_syscall {
    ($emit:ident) => {
        $emit! {
            /// Makes the call whose number is the first argument word.
            0 Std 0 "syscall";
            /// Ends the process.
            1 Std 1 proc::exit(status: Int) -> None;
            /// Creates a process that is a copy of the caller.
            2 Std 0 proc::fork() -> IntPair;
            /// Reads from a descriptor.
            3 Std 3 file::read(fd: Fd, buf: OutBuf) -> Int;
            /// Writes to a descriptor.
            4 Std 3 file::write(fd: Fd, buf: InBuf) -> Int;
            /// Opens a file, creating it if asked.
            5 Std 3 vfs::open(path: Path, flags: OpenFlags, mode: CreatMode) -> Fd;
            /// Closes a descriptor.
            6 Std 1 file::close(fd: Fd) -> None;
            /// Waits for a child to end or stop.
            7 Std 4 proc::wait4(pid: Pid, status: Out<WaitStatus>, options: WaitOptions, rusage: Out<Rusage>) -> Int;
            /// Creates or truncates a file and opens it for writing.
            8 Compat 2 vfs::ocreat(path: Path, mode: Mode) -> Fd;
            /// Gives a file another name.
            9 Std 2 vfs::link(path: Path, link: Path) -> None;
            /// Removes the name of a file.
            10 Std 1 vfs::unlink(path: Path) -> None;
            /// Once ran a program without an environment.
            11 Obsol 2 "execv";
            /// Changes the current directory.
            12 Std 1 vfs::chdir(path: Path) -> None;
            /// Changes the current directory to an open one.
            13 Std 1 vfs::fchdir(fd: Fd) -> None;
            /// Makes a device node.
            14 Std 3 vfs::mknod(path: Path, mode: Mode, dev: Dev) -> None;
            /// Changes the permissions of a file.
            15 Std 2 vfs::chmod(path: Path, mode: Mode) -> None;
            /// Changes the owner and group of a file.
            16 Std 3 vfs::chown(path: Path, uid: Uid, gid: Gid) -> None;
            /// Moves the end of the data segment.
            17 Std 1 vm::obreak(nsize: GuestAddr) -> None as "break";
            /// Lists the mounted file systems with their statistics.
            18 Std 3 vfs::getfsstat(buf: StatfsBuf, flags: FsWait) -> Int;
            /// Moves the file offset, 32 bits wide.
            19 Compat 3 vfs::olseek(fd: Fd, offset: Int, whence: Whence) -> Int;
            /// Returns the process number, and the parent's in edx.
            20 Std 0 proc::getpid() -> IntPair;
            /// Mounts a file system.
            21 Std 4 vfs::mount(kind: MountType, path: Path, flags: MountFlags, data: GuestAddr) -> None;
            /// Unmounts a file system.
            22 Std 2 vfs::unmount(path: Path, flags: MountFlags) -> None;
            /// Sets the user.
            23 Std 1 cred::setuid(uid: Uid) -> None;
            /// Returns the real user, and the effective one in edx.
            24 Std 0 cred::getuid() -> IntPair;
            /// Returns the effective user.
            25 Std 0 cred::geteuid() -> Int;
            /// Controls another process.
            26 Std 4 proc::ptrace(req: PtraceReq, pid: Pid, addr: GuestAddr, data: Int) -> Int;
            /// Receives a message with control information.
            27 Std 3 socket::recvmsg(fd: Fd, msg: MsgOut, flags: MsgFlags) -> Int;
            /// Sends a message with control information.
            28 Std 3 socket::sendmsg(fd: Fd, msg: MsgIn, flags: MsgFlags) -> Int;
            /// Receives data and the sender's address.
            29 Std 6 socket::recvfrom(fd: Fd, buf: OutBuf, flags: MsgFlags, from: SockAddrOut) -> Int;
            /// Takes a connection from a listening socket.
            30 Std 3 socket::accept(fd: Fd, name: SockAddrOut) -> Fd;
            /// Reports the address of the peer.
            31 Std 3 socket::getpeername(fd: Fd, name: SockAddrOut) -> None;
            /// Reports the address of a socket.
            32 Std 3 socket::getsockname(fd: Fd, name: SockAddrOut) -> None;
            /// Checks access with the real identities.
            33 Std 2 vfs::access(path: Path, mode: AccessMode) -> None;
            /// Sets the flags of a file.
            34 Std 2 vfs::chflags(path: Path, flags: FileFlags) -> None;
            /// Sets the flags of an open file.
            35 Std 2 vfs::fchflags(fd: Fd, flags: FileFlags) -> None;
            /// Schedules all dirty blocks for writing.
            36 Std 0 vfs::sync() -> None;
            /// Sends a signal to a process or group.
            37 Std 2 signal::kill(pid: Pid, signum: Signum) -> None;
            /// Reports the attributes of a file in their old form.
            38 Compat 2 vfs::ostat(path: Path, sb: Out<Ostat>) -> None;
            /// Returns the parent's process number.
            39 Std 0 proc::getppid() -> Int;
            /// Reports the attributes of a file or symbolic link in their old form.
            40 Compat 2 vfs::olstat(path: Path, sb: Out<Ostat>) -> None;
            /// Duplicates a descriptor.  2.1 copies in a second word that it ignores.
            41 Std 2 file::dup(fd: Fd, spare: Unused) -> Fd;
            /// Creates a pair of pipe descriptors, returned in eax and edx.
            42 Std 0 socket::pipe() -> Pair;
            /// Returns the effective group.
            43 Std 0 cred::getegid() -> Int;
            /// Turns profiling of the program counter on or off.
            44 Std 4 proc::profil(samples: GuestAddr, size: Uint, offset: GuestAddr, scale: Uint) -> None;
            /// Turns recording of calls on or off.
            45 Std 4 proc::ktrace(path: Path, ops: KtrOp, facs: KtrFacilities, pid: Pid) -> None;
            /// Sets the action of a signal.
            46 Std 3 signal::sigaction(signum: Signum, act: In<Sigaction>, oact: Out<Sigaction>) -> None;
            /// Returns the real group, and the effective one in edx.
            47 Std 0 cred::getgid() -> IntPair;
            /// Changes the set of blocked signals and returns the old one.
            48 Std 2 signal::sigprocmask(how: SigHow, mask: SigSet) -> Mask;
            /// Reports the login name.
            49 Std 2 cred::getlogin(name: OutText) -> None;
            /// Sets the login name.
            50 Std 1 cred::setlogin(name: Str) -> None;
            /// Turns accounting on or off.
            51 Std 1 proc::acct(path: Path) -> None;
            /// Returns the set of pending signals.
            52 Std 0 signal::sigpending() -> Mask;
            /// Sets and reports the alternate signal stack.
            53 Std 2 signal::sigaltstack(ss: In<Sigaltstack>, oss: Out<Sigaltstack>) -> None;
            /// Makes a request to a device or socket.
            54 Std 3 file::ioctl(fd: Fd, request: Ioctl) -> Int;
            /// Stops or restarts the machine.
            55 Std 1 sysctl::reboot(flags: RebootFlags) -> None;
            /// Invalidates all descriptors of a file.
            56 Std 1 vfs::revoke(path: Path) -> None;
            /// Makes a symbolic link.
            57 Std 2 vfs::symlink(path: Str, link: Path) -> None;
            /// Reads a symbolic link.
            58 Std 3 vfs::readlink(path: Path, buf: OutBuf) -> Int;
            /// Replaces the program of the process.
            59 Std 3 proc::execve(path: Path, argv: ArgVec, envv: EnvVec) -> None;
            /// Sets the mask of permissions for new files and returns the old one.
            60 Std 1 vfs::umask(mask: Mode) -> Mode;
            /// Changes the root directory.
            61 Std 1 vfs::chroot(path: Path) -> None;
            /// Reports the attributes of an open file in their old form.
            62 Compat 2 file::ofstat(fd: Fd, sb: Out<Ostat>) -> None;
            /// Reports tables of the kernel.
            63 Compat 4 sysctl::ogetkerninfo(op: KinfoOp, info: ValueOut, arg: Int) -> Int;
            /// Returns the page size.
            64 Compat 0 vm::ogetpagesize() -> Int;
            /// Writes pages of a mapping back.
            65 Std 3 vm::msync(addr: GuestAddr, len: Uint, flags: MsyncFlags) -> None;
            /// Creates a process that borrows the memory of the caller until it runs a program.
            66 Std 0 proc::vfork() -> IntPair;
            /// Once read a page of memory.
            67 Obsol 0 "vread";
            /// Once wrote a page of memory.
            68 Obsol 0 "vwrite";
            /// Refuses, as 2.1 does: the data segment moves by break.
            69 Std 1 vm::sbrk(incr: Int) -> Int;
            /// Refuses, as 2.1 does: the stack grows by itself.
            70 Std 1 vm::sstk(incr: Int) -> Int;
            /// Maps a file or memory, with the old flags.
            71 Compat 6 vm::ommap(addr: GuestAddr, len: Uint, prot: OldProt, flags: OldMapFlags, fd: Fd, pos: Uint) -> Addr;
            /// Refuses, as 2.1 does: advice on paging.
            72 Std 1 vm::ovadvise(anom: Int) -> None as "vadvise";
            /// Removes a mapping.
            73 Std 2 vm::munmap(addr: GuestAddr, len: Uint) -> None;
            /// Changes the protection of memory.
            74 Std 3 vm::mprotect(addr: GuestAddr, len: Uint, prot: Prot) -> None;
            /// Takes advice on the use of memory.
            75 Std 3 vm::madvise(addr: GuestAddr, len: Uint, advice: Advice) -> None;
            /// Once hung up the terminal.
            76 Obsol 0 "vhangup";
            /// Once set limits.
            77 Obsol 0 "vlimit";
            /// Reports which pages are in memory.
            78 Std 3 vm::mincore(addr: GuestAddr, len: Uint, vec: GuestAddr) -> None;
            /// Reports the groups of the process.
            79 Std 2 cred::getgroups(groups: GidsOut) -> Int;
            /// Sets the groups of the process.
            80 Std 2 cred::setgroups(groups: GidsIn) -> None;
            /// Returns the process group.
            81 Std 0 proc::getpgrp() -> Int;
            /// Sets the process group of a process.
            82 Std 2 proc::setpgid(pid: Pid, pgid: Pid) -> None;
            /// Sets an interval timer.
            83 Std 3 time::setitimer(which: ItimerWhich, itv: In<Itimerval>, oitv: Out<Itimerval>) -> None;
            /// Waits for a child; its status is in edx.
            84 Compat 0 proc::owait() -> IntPair;
            /// Adds a device for paging.
            85 Std 1 vm::swapon(name: Path) -> None;
            /// Reports an interval timer.
            86 Std 2 time::getitimer(which: ItimerWhich, itv: Out<Itimerval>) -> None;
            /// Reports the name of the host.
            87 Compat 2 sysctl::ogethostname(name: OutText) -> None;
            /// Sets the name of the host.
            88 Compat 2 sysctl::osethostname(name: InBuf) -> None;
            /// Returns the number of descriptors that a process may have.
            89 Std 0 file::getdtablesize() -> Int;
            /// Duplicates a descriptor to a given number.
            90 Std 2 file::dup2(from: Fd, to: Fd) -> Fd;
            /// Never was a call here.
            91 Unimpl 2 "getdopt";
            /// Controls a descriptor.
            92 Std 3 file::fcntl(fd: Fd, command: Fcntl) -> Int;
            /// Waits until descriptors are ready.
            93 Std 5 file::select(sets: SelectSets, timeout: In<Timeval>) -> Int;
            /// Never was a call here.
            94 Unimpl 2 "setdopt";
            /// Writes a file to its medium.
            95 Std 1 vfs::fsync(fd: Fd) -> None;
            /// Sets the priority of processes.
            96 Std 3 proc::setpriority(which: PrioWhich, who: Int, prio: Int) -> None;
            /// Creates a socket.
            97 Std 3 socket::socket(domain: Domain, kind: SockType, protocol: Int) -> Fd;
            /// Connects a socket to an address.
            98 Std 3 socket::connect(fd: Fd, name: SockAddrIn) -> None;
            /// Takes a connection from a listening socket; the address has its old form.
            99 Compat 3 socket::oaccept(fd: Fd, name: OldSockAddrOut) -> Fd;
            /// Returns the priority of processes.
            100 Std 2 proc::getpriority(which: PrioWhich, who: Int) -> Int;
            /// Sends data over a connection.
            101 Compat 4 socket::osend(fd: Fd, buf: InBuf, flags: MsgFlags) -> Int;
            /// Receives data from a connection.
            102 Compat 4 socket::orecv(fd: Fd, buf: OutBuf, flags: MsgFlags) -> Int;
            /// Returns from a signal handler.
            103 Std 1 signal::sigreturn(scp: In<Sigcontext>) -> None;
            /// Gives a socket an address.
            104 Std 3 socket::bind(fd: Fd, name: SockAddrIn) -> None;
            /// Sets an option of a socket.
            105 Std 5 socket::setsockopt(fd: Fd, option: SockOptIn) -> None;
            /// Makes a socket accept connections.
            106 Std 2 socket::listen(fd: Fd, backlog: Int) -> None;
            /// Once reported times.
            107 Obsol 0 "vtimes";
            /// Sets the action of a signal, in its old form.
            108 Compat 3 signal::osigvec(signum: Signum, vec: In<Sigvec>, ovec: Out<Sigvec>) -> None;
            /// Blocks signals and returns the old set.
            109 Compat 1 signal::osigblock(mask: SigSet) -> Mask;
            /// Sets the blocked signals and returns the old set.
            110 Compat 1 signal::osigsetmask(mask: SigSet) -> Mask;
            /// Waits for a signal with another set of blocked ones.
            111 Std 1 signal::sigsuspend(mask: SigSet) -> None;
            /// Sets and reports the signal stack, in its old form.
            112 Compat 2 signal::osigstack(ss: In<Sigstack>, oss: Out<Sigstack>) -> None;
            /// Receives a message with access rights.
            113 Compat 3 socket::orecvmsg(fd: Fd, msg: OldMsgOut, flags: MsgFlags) -> Int;
            /// Sends a message with access rights.
            114 Compat 3 socket::osendmsg(fd: Fd, msg: OldMsgIn, flags: MsgFlags) -> Int;
            /// Once traced paging.
            115 Obsol 2 "vtrace";
            /// Reports the time of day.
            116 Std 2 time::gettimeofday(tp: Out<Timeval>, tzp: Out<Timezone>) -> None;
            /// Reports the use of resources.
            117 Std 2 proc::getrusage(who: RusageWho, rusage: Out<Rusage>) -> None;
            /// Reports an option of a socket.
            118 Std 5 socket::getsockopt(fd: Fd, option: SockOptOut) -> None;
            /// Never was a call here.
            119 Unimpl 0 "nosys";
            /// Reads into scattered buffers.
            120 Std 3 file::readv(fd: Fd, iov: IovecOut) -> Int;
            /// Writes from scattered buffers.
            121 Std 3 file::writev(fd: Fd, iov: IovecIn) -> Int;
            /// Sets the time of day.
            122 Std 2 time::settimeofday(tv: In<Timeval>, tzp: In<Timezone>) -> None;
            /// Changes the owner and group of an open file.
            123 Std 3 vfs::fchown(fd: Fd, uid: Uid, gid: Gid) -> None;
            /// Changes the permissions of an open file.
            124 Std 2 vfs::fchmod(fd: Fd, mode: Mode) -> None;
            /// Receives data and the sender's address in its old form.
            125 Compat 6 socket::orecvfrom(fd: Fd, buf: OutBuf, flags: MsgFlags, from: OldSockAddrOut) -> Int;
            /// Sets the real and effective user.
            126 Std 2 cred::setreuid(ruid: Uid, euid: Uid) -> None;
            /// Sets the real and effective group.
            127 Std 2 cred::setregid(rgid: Gid, egid: Gid) -> None;
            /// Renames a file.
            128 Std 2 vfs::rename(from: Path, to: Path) -> None;
            /// Sets the size of a file, 32 bits wide.
            129 Compat 2 vfs::otruncate(path: Path, length: Int) -> None;
            /// Sets the size of an open file, 32 bits wide.
            130 Compat 2 vfs::oftruncate(fd: Fd, length: Int) -> None;
            /// Locks a whole file.
            131 Std 2 file::flock(fd: Fd, how: LockOp) -> None;
            /// Makes a fifo.
            132 Std 2 vfs::mkfifo(path: Path, mode: Mode) -> None;
            /// Sends data to an address.
            133 Std 6 socket::sendto(fd: Fd, buf: InBuf, flags: MsgFlags, to: SockAddrIn) -> Int;
            /// Ends one or both halves of a connection.
            134 Std 2 socket::shutdown(fd: Fd, how: ShutdownHow) -> None;
            /// Creates a pair of connected sockets.  2.1 copies in a fifth word that it ignores.
            135 Std 5 socket::socketpair(domain: Domain, kind: SockType, protocol: Int, rsv: Out<[Fd; 2]>, spare: Unused) -> IntPair;
            /// Makes a directory.
            136 Std 2 vfs::mkdir(path: Path, mode: Mode) -> None;
            /// Removes a directory.
            137 Std 1 vfs::rmdir(path: Path) -> None;
            /// Sets the times of a file.
            138 Std 2 vfs::utimes(path: Path, times: In<[Timeval; 2]>) -> None;
            /// Once returned from a signal handler of 4.2BSD.
            139 Obsol 0 "4.2";
            /// Slews the kernel's clock.
            140 Std 2 time::adjtime(delta: In<Timeval>, olddelta: Out<Timeval>) -> None;
            /// Reports the address of the peer in its old form.
            141 Compat 3 socket::ogetpeername(fd: Fd, name: OldSockAddrOut) -> None;
            /// Returns the number of the host.
            142 Compat 0 sysctl::ogethostid() -> Int;
            /// Sets the number of the host.
            143 Compat 1 sysctl::osethostid(hostid: Int) -> None;
            /// Reports a limit, 32 bits wide.
            144 Compat 2 proc::ogetrlimit(which: RlimitWhich, limit: Out<Orlimit>) -> None;
            /// Sets a limit, 32 bits wide.
            145 Compat 2 proc::osetrlimit(which: RlimitWhich, limit: In<Orlimit>) -> None;
            /// Sends a signal to a process group.
            146 Compat 2 signal::okillpg(pgid: Pid, signum: Signum) -> None;
            /// Starts a session.
            147 Std 0 proc::setsid() -> Int;
            /// Controls disk quotas.
            148 Std 4 vfs::quotactl(path: Path, cmd: Uint, uid: Uid, arg: GuestAddr) -> None;
            /// Answers that there are no quotas, as 2.1 does.
            149 Compat 4 vfs::oquota(a: Unused, b: Unused, c: Unused, d: Unused) -> None;
            /// Reports the address of a socket in its old form.
            150 Compat 3 socket::ogetsockname(fd: Fd, name: OldSockAddrOut) -> None;
            /// Never was a call here.
            151 Unimpl 0 "nosys";
            /// Never was a call here.
            152 Unimpl 0 "nosys";
            /// Never was a call here.
            153 Unimpl 0 "nosys";
            /// Never was a call here.
            154 Unimpl 0 "nosys";
            /// Serves network file systems.
            155 Std 2 vfs::nfssvc(flag: Int, arg: GuestAddr) -> None;
            /// Reads directory entries in their old form.
            156 Compat 4 vfs::ogetdirentries(fd: Fd, buf: OldDirents, basep: Out<I32>) -> Int;
            /// Reports statistics of a file system.
            157 Std 2 vfs::statfs(path: Path, buf: Out<Statfs>) -> None;
            /// Reports statistics of the file system of an open file.
            158 Std 2 vfs::fstatfs(fd: Fd, buf: Out<Statfs>) -> None;
            /// Never was a call here.
            159 Unimpl 0 "nosys";
            /// Never was a call here.
            160 Unimpl 0 "nosys";
            /// Reports the handle of a file.
            161 Std 2 vfs::getfh(path: Path, fhp: Out<Fhandle>) -> None;
            /// Reports the name of the domain.
            162 Std 2 sysctl::getdomainname(name: OutText) -> None;
            /// Sets the name of the domain.
            163 Std 2 sysctl::setdomainname(name: InBuf) -> None;
            /// Reports the name of the system.
            164 Std 1 sysctl::uname(name: Out<Utsname>) -> None;
            /// Does what only this processor has.
            165 Std 2 sysctl::sysarch(op: SysarchOp, parms: GuestAddr) -> Int;
            /// Sets or reports a real-time priority.
            166 Std 3 proc::rtprio(function: RtprioFunction, pid: Pid, rtp: InOut<Rtprio>) -> None;
            /// Never was a call here.
            167 Unimpl 0 "nosys";
            /// Never was a call here.
            168 Unimpl 0 "nosys";
            /// Works with semaphores.
            169 Std 5 ipc::semsys(call: SemCall) -> Int;
            /// Works with message queues.
            170 Std 6 ipc::msgsys(call: MsgCall) -> Int;
            /// Works with shared memory.
            171 Std 4 ipc::shmsys(call: ShmCall) -> Int;
            /// Never was a call here.
            172 Unimpl 0 "nosys";
            /// Never was a call here.
            173 Unimpl 0 "nosys";
            /// Never was a call here.
            174 Unimpl 0 "nosys";
            /// Never was a call here.
            175 Unimpl 0 "nosys";
            /// Adjusts the kernel's clock discipline.
            176 Std 1 time::ntp_adjtime(tp: InOut<Timex>) -> Int;
            /// Never was a call here.
            177 Unimpl 0 "nosys";
            /// Never was a call here.
            178 Unimpl 0 "nosys";
            /// Never was a call here.
            179 Unimpl 0 "nosys";
            /// Never was a call here.
            180 Unimpl 0 "nosys";
            /// Sets the group.
            181 Std 1 cred::setgid(gid: Gid) -> None;
            /// Sets the effective group.
            182 Std 1 cred::setegid(egid: Gid) -> None;
            /// Sets the effective user.
            183 Std 1 cred::seteuid(euid: Uid) -> None;
            /// Never was a call here: log-structured file systems are not compiled in.
            184 Unimpl 0 "nosys";
            /// Never was a call here: log-structured file systems are not compiled in.
            185 Unimpl 0 "nosys";
            /// Never was a call here: log-structured file systems are not compiled in.
            186 Unimpl 0 "nosys";
            /// Never was a call here: log-structured file systems are not compiled in.
            187 Unimpl 0 "nosys";
            /// Reports the attributes of a file.
            188 Std 2 vfs::stat(path: Path, sb: Out<Stat>) -> None;
            /// Reports the attributes of an open file.
            189 Std 2 file::fstat(fd: Fd, sb: Out<Stat>) -> None;
            /// Reports the attributes of a file or symbolic link.
            190 Std 2 vfs::lstat(path: Path, sb: Out<Stat>) -> None;
            /// Reports a limit or property of a file.
            191 Std 2 vfs::pathconf(path: Path, name: PathconfName) -> Int;
            /// Reports a limit or property of an open file.
            192 Std 2 file::fpathconf(fd: Fd, name: PathconfName) -> Int;
            /// Never was a call here.
            193 Unimpl 0 "nosys";
            /// Reports a limit.
            194 Std 2 proc::getrlimit(which: RlimitWhich, limit: Out<Rlimit>) -> None;
            /// Sets a limit.
            195 Std 2 proc::setrlimit(which: RlimitWhich, limit: In<Rlimit>) -> None;
            /// Reads directory entries.
            196 Std 4 vfs::getdirentries(fd: Fd, buf: Dirents, basep: Out<I32>) -> Int;
            /// Maps a file or memory.
            197 Std 8 vm::mmap(addr: GuestAddr, len: Uint, prot: Prot, flags: MapFlags, fd: Fd, pad: Unused, pos: Off) -> Addr;
            /// Makes the call whose number is the first two argument words.
            198 Std 0 "__syscall";
            /// Moves the file offset.
            199 Std 5 vfs::lseek(fd: Fd, pad: Unused, offset: Off, whence: Whence) -> Off;
            /// Sets the size of a file.
            200 Std 4 vfs::truncate(path: Path, pad: Unused, length: Off) -> None;
            /// Sets the size of an open file.
            201 Std 4 vfs::ftruncate(fd: Fd, pad: Unused, length: Off) -> None;
            /// Reports and sets values of the kernel by name.
            202 Std 6 sysctl::sysctl(name: SysctlName, old: ValueOut, new: InBuf) -> Int as "__sysctl";
            /// Locks pages in memory.
            203 Std 2 vm::mlock(addr: GuestAddr, len: Uint) -> None;
            /// Unlocks pages.
            204 Std 2 vm::munlock(addr: GuestAddr, len: Uint) -> None;
            /// Never was a call here.
            205 Unimpl 0 "nosys";
            /// Never was a call here.
            206 Unimpl 0 "nosys";
            /// Never was a call here.
            207 Unimpl 0 "nosys";
            /// Never was a call here.
            208 Unimpl 0 "nosys";
            /// Never was a call here.
            209 Unimpl 0 "nosys";
            /// For a loadable module.
            210 Nodef 0 "lkmnosys";
            /// For a loadable module.
            211 Nodef 0 "lkmnosys";
            /// For a loadable module.
            212 Nodef 0 "lkmnosys";
            /// For a loadable module.
            213 Nodef 0 "lkmnosys";
            /// For a loadable module.
            214 Nodef 0 "lkmnosys";
            /// For a loadable module.
            215 Nodef 0 "lkmnosys";
            /// For a loadable module.
            216 Nodef 0 "lkmnosys";
            /// For a loadable module.
            217 Nodef 0 "lkmnosys";
            /// For a loadable module.
            218 Nodef 0 "lkmnosys";
            /// For a loadable module.
            219 Nodef 0 "lkmnosys";
        }
    };
}
