//! Fifos: two connected sockets, and who holds which end.
//!
//! 2.1 counterpart: miscfs/fifofs/fifo_vnops.c.

use crate::kernel::shared::Shared;

use syscalls::Errno;
use syscalls::arg::Fd;
use syscalls::flags::{Domain, SockType};
use syscalls::result::{Int, Ret};

use super::calls;
use super::continuation::Resume;
use super::vnode::VnodeId;
use crate::kernel::file::select::Which;
use crate::kernel::file::{FileFlag, FileId, Uio};
use crate::kernel::socket::socket::SockState;
use crate::kernel::socket::{self, SocketId, state, unix};
use crate::kernel::synch::{self, Channel, Parked, Sleep, priority};
use crate::kernel::{Context, Kernel, Retval, Stop, Sysret, Wake};

/// The request that fifos answer themselves.
const FIONBIO: u32 = 0x8004_667e;

/// The state of a fifo that somebody has open (`struct fifoinfo`).
#[derive(Clone, Copy, Debug)]
pub struct Fifo {
    /// The vnode by which it was opened first: the name of what its openers sleep on.
    pub first: VnodeId,
    /// The end that is read (`fi_readsock`).
    pub readsock: SocketId,
    /// The end that is written (`fi_writesock`).
    pub writesock: SocketId,
    /// Opens for reading.
    pub readers: u32,
    /// Opens for writing.
    pub writers: u32,
}

/// Counts an open of a fifo; gives what it must wait for, if the other end is missing (`fifo_open`).
pub(super) fn open(cx: &mut Context<'_>, vnode: VnodeId, flags: FileFlag) -> Sysret<Option<Channel>> {
    let inode = Shared::clone(&cx.kernel.vfs.vnode(vnode).inode);
    let mut fifo = match inode.fifo.get() {
        Some(fifo) => fifo,
        None => create(cx, vnode)?,
    };
    let (reads, writes) = (flags.contains(FileFlag::READ), flags.contains(FileFlag::WRITE));
    if reads && fifo.readers == 0 {
        cx.kernel.sockets[fifo.writesock].state.remove(SockState::CANTSENDMORE);
        if fifo.writers > 0 {
            cx.kernel.wakeup(Channel::FifoWriters(fifo.first));
        }
    }
    let refused = writes && !reads && fifo.readers == 0 && flags.contains(FileFlag::NONBLOCK);
    if writes && fifo.writers == 0 && !refused {
        cx.kernel.sockets[fifo.readsock].state.remove(SockState::CANTRCVMORE);
        if fifo.readers > 0 {
            cx.kernel.wakeup(Channel::FifoReaders(fifo.first));
        }
    }
    fifo.readers += u32::from(reads);
    fifo.writers += u32::from(writes);
    inode.fifo.set(Some(fifo));
    if refused {
        return Err(Errno::ENXIO.into());
    }
    Ok(must_wait(cx.kernel, vnode, flags))
}

/// What an open has still to wait for.
fn must_wait(kernel: &Kernel, vnode: VnodeId, flags: FileFlag) -> Option<Channel> {
    let fifo = kernel.vfs.vnode(vnode).inode.fifo.get()?;
    match (flags.contains(FileFlag::READ), flags.contains(FileFlag::WRITE)) {
        (true, false) if fifo.writers == 0 && !flags.contains(FileFlag::NONBLOCK) => {
            Some(Channel::FifoReaders(fifo.first))
        }
        (false, true) if fifo.readers == 0 => Some(Channel::FifoWriters(fifo.first)),
        _ => None,
    }
}

/// Parks an open until the other end is opened.
pub(super) fn sleep(channel: Channel, fd: Fd, file: FileId, vnode: VnodeId, flags: FileFlag) -> Sysret<Fd> {
    let sleep = Sleep { channel, priority: priority::PSOCK, catch: true, wmesg: "fifo", timeout_ticks: None };
    synch::sleep(sleep, synch::Resume::Vfs(Resume::Fifo { fd, file, vnode, flags }))
}

/// Goes on with an open after its sleep.
pub(super) fn resume_open(
    cx: &mut Context<'_>,
    fd: Fd,
    file: FileId,
    vnode: VnodeId,
    flags: FileFlag,
    wake: Wake,
) -> Sysret<Fd> {
    if let Wake::Interrupted(_) = wake {
        // open is not restarted.
        return calls::open_failed(cx, fd, file, vnode, flags, Errno::EINTR.into());
    }
    match must_wait(cx.kernel, vnode, flags) {
        Some(channel) => sleep(channel, fd, file, vnode, flags),
        None => calls::opened(cx, fd, file, vnode, flags),
    }
}

/// Two connected sockets, of which nothing can be read and to which nothing can be written yet.
fn create(cx: &mut Context<'_>, first: VnodeId) -> Sysret<Fifo> {
    let readsock = socket::socreate(cx, Domain::Unix, SockType::Stream, 0)?;
    let writesock = match socket::socreate(cx, Domain::Unix, SockType::Stream, 0) {
        Ok(so) => so,
        Err(errno) => {
            socket::soclose(cx, readsock)?;
            return Err(errno.into());
        }
    };
    unix::connect2(cx.kernel, writesock, readsock)?;
    cx.kernel.sockets[writesock].state.insert(SockState::CANTRCVMORE);
    cx.kernel.sockets[readsock].state.insert(SockState::CANTSENDMORE);
    Ok(Fifo { first, readsock, writesock, readers: 0, writers: 0 })
}

/// Reads from a fifo (`fifo_read`).
pub(super) fn read(cx: &mut Context<'_>, file: FileId, vnode: VnodeId, uio: Uio) -> Sysret<i32> {
    if uio.resid == 0 {
        return Ok(0);
    }
    let so = ends(cx.kernel, vnode)?.readsock;
    let patient = set_nonblocking(cx, file, so);
    let result = socket::soo_read(cx, so, uio).map(Int::regs);
    restore(cx, so, patient);
    has_read(cx, vnode, so, result).map(|retval| retval.eax as i32)
}

/// Goes on with a read after its sleep.
pub(super) fn resume_read(
    cx: &mut Context<'_>,
    vnode: VnodeId,
    state: socket::Resume,
    wake: Wake,
) -> Sysret<Retval> {
    let result = socket::resume(cx, state, wake);
    match ends(cx.kernel, vnode) {
        Ok(fifo) => has_read(cx, vnode, fifo.readsock, result),
        Err(_) => result,
    }
}

/// The end of a file is told once: a writer that comes later is waited for.
fn has_read(cx: &mut Context<'_>, vnode: VnodeId, so: SocketId, result: Sysret<Retval>) -> Sysret<Retval> {
    match result {
        Err(Stop::Park(parked)) => {
            let Parked { sleep, resume } = *parked;
            let resume = match resume {
                synch::Resume::Socket(state) => synch::Resume::Vfs(Resume::FifoRead { vnode, state }),
                other => other,
            };
            Err(Stop::Park(Box::new(Parked { sleep, resume })))
        }
        other => {
            let nothing = !matches!(other, Ok(Retval { eax: 1.., .. }));
            if nothing && let Some(socket) = cx.kernel.sockets.get_mut(so) {
                socket.state.remove(SockState::CANTRCVMORE);
            }
            other
        }
    }
}

/// Writes to a fifo (`fifo_write`).
pub(super) fn write(cx: &mut Context<'_>, file: FileId, vnode: VnodeId, uio: Uio) -> Sysret<i32> {
    let so = ends(cx.kernel, vnode)?.writesock;
    let patient = set_nonblocking(cx, file, so);
    let result = socket::soo_write(cx, so, uio);
    restore(cx, so, patient);
    result
}

/// Device control: of the end that the file is open for (`fifo_ioctl`).
pub(super) fn ioctl(
    cx: &mut Context<'_>,
    file: FileId,
    vnode: VnodeId,
    command: u32,
    data: &mut Vec<u8>,
) -> Sysret<()> {
    if command == FIONBIO {
        return Ok(());
    }
    let so = end_of(cx, file, vnode)?;
    socket::soo_ioctl(cx, so, command, data)
}

/// Whether the end that the file is open for is ready (`fifo_select`).
pub(super) fn select(cx: &mut Context<'_>, file: FileId, vnode: VnodeId, which: Which) -> bool {
    match end_of(cx, file, vnode) {
        Ok(so) => socket::soo_select(cx, so, which),
        Err(_) => true,
    }
}

/// Closes one open of a fifo (`fifo_close`); the caller's reference is still there.
pub(super) fn close(cx: &mut Context<'_>, vnode: VnodeId, flag: FileFlag) -> Sysret<()> {
    let inode = Shared::clone(&cx.kernel.vfs.vnode(vnode).inode);
    let Some(mut fifo) = inode.fifo.get() else { return Ok(()) };
    if flag.contains(FileFlag::WRITE) {
        fifo.writers = fifo.writers.saturating_sub(1);
        if fifo.writers == 0 {
            state::socantrcvmore(cx.kernel, fifo.readsock);
        }
    }
    if flag.contains(FileFlag::READ) {
        fifo.readers = fifo.readers.saturating_sub(1);
        if fifo.readers == 0 {
            state::socantsendmore(cx.kernel, fifo.writesock);
        }
    }
    inode.fifo.set(Some(fifo));
    if fifo.readers > 0 || fifo.writers > 0 {
        return Ok(());
    }
    inode.fifo.set(None);
    socket::soclose(cx, fifo.readsock)?;
    socket::soclose(cx, fifo.writesock)
}

fn ends(kernel: &Kernel, vnode: VnodeId) -> Result<Fifo, Errno> {
    kernel.vfs.vnode(vnode).inode.fifo.get().ok_or(Errno::EBADF)
}

fn end_of(cx: &Context<'_>, file: FileId, vnode: VnodeId) -> Result<SocketId, Errno> {
    let fifo = ends(cx.kernel, vnode)?;
    let reads = cx.kernel.files[file].flag.contains(FileFlag::READ);
    Ok(if reads { fifo.readsock } else { fifo.writesock })
}

/// Makes one transfer not wait, if the file says so; gives whether to undo it.
fn set_nonblocking(cx: &mut Context<'_>, file: FileId, so: SocketId) -> bool {
    let nonblocking = cx.kernel.files[file].flag.contains(FileFlag::NONBLOCK);
    if nonblocking {
        cx.kernel.sockets[so].state.insert(SockState::NBIO);
    }
    nonblocking
}

fn restore(cx: &mut Context<'_>, so: SocketId, nonblocking: bool) {
    if nonblocking && let Some(socket) = cx.kernel.sockets.get_mut(so) {
        socket.state.remove(SockState::NBIO);
    }
}
