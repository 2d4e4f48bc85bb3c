//! The descriptors of a process.
//!
//! The table grows as the original's does (20, 50, 100, 200, … entries), which a guest can see: select
//! looks only at descriptors inside the table, and so does the count of free ones.
//!
//! 2.1 counterpart: sys/filedesc.h, kern/kern_descrip.c (fdalloc, fdavail, falloc, ffree, fdcopy, fdfree,
//! fdcloseexec, closef).

use syscalls::arg::Fd;
use syscalls::errno::Errno;

use super::{File, FileFlag, FileId, FileObject, ops};
use crate::kernel::event::Event;
use crate::kernel::limits::Resource;
use crate::kernel::synch::Interruption;
use crate::kernel::vfs::{self, VnodeId};
use crate::kernel::{Context, Kernel, Resume, Stop, Sysret, Wake, socket, tty};

/// Entries of a fresh table (NDFILE).
const NDFILE: usize = 20;
/// Entries beyond which no table grows, whatever limits a guest has set: the original's would not fit into
/// its kernel's memory.
const TABLE_MAX: usize = 1 << 16;
/// Entries after the first growth (NDEXTENT).
const NDEXTENT: usize = 50;

/// One descriptor.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    file: Option<FileId>,
    close_on_exec: bool,
}

/// The descriptors and directories of a process (`struct filedesc`).
#[derive(Clone, Debug)]
pub struct Filedesc {
    entries: Vec<Entry>,
    /// Highest descriptor that was used (`fd_lastfile`), or zero.
    last: usize,
    /// No free descriptor lies below this one (`fd_freefile`).
    free: usize,
    /// Current directory.
    pub cwd: Option<VnodeId>,
    /// Root directory, where chroot set one.
    pub root: Option<VnodeId>,
    /// Mode bits that new files do not get.
    pub umask: u16,
}

impl Default for Filedesc {
    fn default() -> Self {
        Self {
            entries: vec![Entry::default(); NDFILE],
            last: 0,
            free: 0,
            cwd: None,
            root: None,
            umask: 0o022,
        }
    }
}

impl Filedesc {
    /// Number of entries of the table (`fd_nfiles`).
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// Highest descriptor that may be open (`fd_lastfile`).
    pub fn last(&self) -> usize {
        self.last
    }

    /// Lowest descriptor that may be free (`fd_freefile`).
    pub fn free(&self) -> usize {
        self.free
    }

    /// The file behind a descriptor.
    pub fn get(&self, fd: Fd) -> Option<FileId> {
        self.entries.get(usize::try_from(fd.0).ok()?)?.file
    }

    /// Whether a descriptor is closed by exec.
    pub fn close_on_exec(&self, fd: Fd) -> bool {
        usize::try_from(fd.0).ok().and_then(|n| self.entries.get(n)).is_some_and(|e| e.close_on_exec)
    }

    /// Sets whether a descriptor is closed by exec.
    pub fn set_close_on_exec(&mut self, fd: Fd, on: bool) {
        if let Some(entry) = usize::try_from(fd.0).ok().and_then(|n| self.entries.get_mut(n)) {
            entry.close_on_exec = on;
        }
    }

    /// Makes a descriptor inside the table refer to a file; its flag is cleared.
    pub fn install(&mut self, fd: Fd, file: FileId) {
        let Some(n) = usize::try_from(fd.0).ok().filter(|&n| n < self.entries.len()) else { return };
        self.entries[n] = Entry { file: Some(file), close_on_exec: false };
        self.last = self.last.max(n);
    }

    /// Empties a descriptor and gives what it referred to; the hints follow.
    pub fn clear(&mut self, fd: Fd) -> Option<FileId> {
        let n = usize::try_from(fd.0).ok().filter(|&n| n < self.entries.len())?;
        let file = self.entries[n].file.take();
        self.entries[n].close_on_exec = false;
        while self.last > 0 && self.entries[self.last].file.is_none() {
            self.last -= 1;
        }
        self.free = self.free.min(n);
        file
    }

    /// Empties a descriptor that was just allocated; the hints stay.
    pub(super) fn forget(&mut self, fd: Fd) {
        if let Some(entry) = usize::try_from(fd.0).ok().and_then(|n| self.entries.get_mut(n)) {
            *entry = Entry::default();
        }
    }

    /// All open descriptors and their files, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Fd, FileId)> {
        self.entries.iter().enumerate().filter_map(|(n, e)| e.file.map(|f| (Fd(n as i32), f)))
    }
}

/// The smaller of the soft limit and what the system allows.
fn limit(cx: &Context<'_>) -> usize {
    let soft = cx.proc().limits.get(Resource::Nofile).cur;
    // The original takes the low 32 bits as a signed number.
    let limit = (soft as i32).min(cx.kernel.system.maxfilesperproc);
    usize::try_from(limit).unwrap_or(0).min(TABLE_MAX)
}

/// The file behind a descriptor, or EBADF.
pub fn getfile(cx: &Context<'_>, fd: Fd) -> Result<FileId, Errno> {
    cx.proc().fd.get(fd).ok_or(Errno::EBADF)
}

/// Finds the lowest free descriptor that is at least `want`, growing the table if need be (`fdalloc`).
/// The descriptor is not yet taken.
pub fn fd_alloc(cx: &mut Context<'_>, want: usize) -> Result<Fd, Errno> {
    let limit = limit(cx);
    let table = &mut cx.proc_mut().fd;
    loop {
        let end = table.entries.len().min(limit);
        let begin = want.max(table.free);
        if let Some(n) = (begin..end).find(|&n| table.entries[n].file.is_none()) {
            table.last = table.last.max(n);
            if want <= table.free {
                table.free = n;
            }
            return Ok(Fd(n as i32));
        }
        if table.entries.len() >= limit {
            return Err(Errno::EMFILE);
        }
        let size = if table.entries.len() < NDEXTENT { NDEXTENT } else { 2 * table.entries.len() };
        table.entries.resize(size, Entry::default());
    }
}

/// Whether `n` descriptors can be had (`fdavail`).  As in the original, free entries above the limit but
/// inside the table are counted too.
pub fn fd_avail(cx: &Context<'_>, n: usize) -> bool {
    let table = &cx.proc().fd;
    let mut wanted = n as isize;
    let room = limit(cx) as isize - table.entries.len() as isize;
    if room > 0 {
        wanted -= room;
        if wanted <= 0 {
            return true;
        }
    }
    let free = table.entries[table.free.min(table.entries.len())..].iter().filter(|e| e.file.is_none());
    free.count() as isize >= wanted.max(1)
}

/// Creates an open file and a descriptor for it: EMFILE before ENFILE.
pub fn falloc(cx: &mut Context<'_>) -> Result<(Fd, FileId), Errno> {
    falloc_from(cx, 0)
}

/// Creates an open file and a descriptor for it that is at least `want`.
pub fn falloc_from(cx: &mut Context<'_>, want: usize) -> Result<(Fd, FileId), Errno> {
    let fd = fd_alloc(cx, want)?;
    let file = File {
        flag: FileFlag::empty(),
        object: FileObject::Unset,
        count: 1,
        msgcount: 0,
        cred: cx.proc().cred.ucred.clone(),
        offset: 0,
    };
    let after = cx.proc().fd.get(Fd(0));
    let most = usize::try_from(cx.kernel.system.maxfiles).unwrap_or(0);
    let id = cx.kernel.files.insert(file, after, most)?;
    cx.proc_mut().fd.install(fd, id);
    cx.kernel.note(cx.id, Event::Descriptor { file: id, step: "falloc", fd: Some(fd.0) });
    Ok((fd, id))
}

/// Forgets an open file without closing what it stands for.
pub fn ffree(kernel: &mut Kernel, file: FileId) {
    kernel.files.remove(file);
}

/// Makes a free or closed descriptor refer to a file that others refer to (`finishdup`).
pub(super) fn finish_dup(cx: &mut Context<'_>, file: FileId, fd: Fd) -> Fd {
    cx.kernel.files[file].count += 1;
    cx.proc_mut().fd.install(fd, file);
    fd
}

/// Undoes falloc: empties the descriptor and forgets the file (`fdp->fd_ofiles[fd] = 0; ffree(fp)`).
///
/// The original leaves the hints as they are (socket, socketpair and pipe in uipc_syscalls.c, open in
/// vfs_syscalls.c), so that of two descriptors given back only the second one is found again.
pub fn release(cx: &mut Context<'_>, fd: Fd, file: FileId) {
    cx.kernel.note(cx.id, Event::Descriptor { file, step: "ffree", fd: Some(fd.0) });
    cx.proc_mut().fd.forget(fd);
    ffree(cx.kernel, file);
}

/// Drops one reference to an open file on behalf of a process; the last one closes it.
pub fn closef(cx: &mut Context<'_>, id: FileId) -> Sysret<()> {
    cx.kernel.note(cx.id, Event::Descriptor { file: id, step: "closef", fd: None });
    vfs::release_process_locks(cx, id);
    drop_reference(cx, id)
}

/// Ends a close that would wait: a socket that would linger is let go, and the output of a terminal is thrown
/// away, as if the wait was interrupted.
fn end_at_once(cx: &mut Context<'_>, mut closed: Sysret<()>) {
    while let Err(Stop::Park(parked)) = closed {
        closed = match parked.resume {
            Resume::Tty(state) => tty::resume(cx, state, Wake::Interrupted(Interruption::Eintr)).map(|_| ()),
            other => {
                socket::stop_lingering(cx, &other);
                return;
            }
        };
    }
}

/// [`closef`] of one who cannot wait, without touching the process's record locks.
pub fn drop_reference_at_once(cx: &mut Context<'_>, id: FileId) {
    let closed = drop_reference(cx, id);
    end_at_once(cx, closed);
}

/// Drops one reference without touching the process's record locks: for descriptors in messages.
fn drop_reference(cx: &mut Context<'_>, id: FileId) -> Sysret<()> {
    let file = &mut cx.kernel.files[id];
    file.count -= 1;
    if file.count > 0 {
        return Ok(());
    }
    if file.flag.contains(FileFlag::HASLOCK) {
        vfs::release_file_locks(cx, id);
    }
    let closed = ops::close(cx, id);
    ffree(cx.kernel, id);
    closed
}

/// A copy of a process's table for its child (`fdcopy`); every file gains a reference.
pub fn fd_copy(cx: &mut Context<'_>) -> Filedesc {
    let table = &cx.proc().fd;
    let size = if table.last < NDFILE {
        NDFILE
    } else {
        let mut size = table.entries.len();
        while size > 2 * NDEXTENT && size > table.last * 2 {
            size /= 2;
        }
        size
    };
    let mut entries = table.entries.clone();
    entries.resize(size, Entry::default());
    let copy = Filedesc { entries, ..*table };
    for (_, file) in copy.iter() {
        cx.kernel.files[file].count += 1;
    }
    for vnode in [copy.cwd, copy.root].into_iter().flatten() {
        vfs::vref(cx.kernel, vnode);
    }
    copy
}

/// Closes everything that the process has open and leaves its directories (`fdfree`).
///
/// A close that waits, for a terminal or a connection that lingers, is given back; the others are made when this
/// is called again.
pub fn fd_free(cx: &mut Context<'_>) -> Sysret<()> {
    let open: Vec<(Fd, FileId)> = cx.proc().fd.iter().collect();
    for (fd, file) in open {
        cx.proc_mut().fd.forget(fd);
        // An error of a close at exit has nobody to report to.
        if let Err(Stop::Park(parked)) = closef(cx, file) {
            return Err(Stop::Park(parked));
        }
    }
    let table = std::mem::take(&mut cx.proc_mut().fd);
    for vnode in [table.cwd, table.root].into_iter().flatten() {
        vfs::vrele(cx.kernel, vnode);
    }
    Ok(())
}

/// Closes the descriptors that exec closes (`fdcloseexec`).
///
/// A close that waits is given back; the others are made when this is called again.
pub fn fd_close_exec(cx: &mut Context<'_>) -> Sysret<()> {
    let marked: Vec<Fd> =
        cx.proc().fd.iter().map(|(fd, _)| fd).filter(|&fd| cx.proc().fd.close_on_exec(fd)).collect();
    for fd in marked {
        if let Some(file) = cx.proc_mut().fd.clear(fd)
            && let Err(Stop::Park(parked)) = closef(cx, file)
        {
            return Err(Stop::Park(parked));
        }
    }
    Ok(())
}
