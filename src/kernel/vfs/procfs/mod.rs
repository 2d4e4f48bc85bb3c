//! The process file system: a directory for each process, with files that show and control it.
//!
//! The tree of names knows no processes; before each walk it is told who there is ([`refresh`]), where such a
//! file system is mounted at all.
//!
//! | file | idea |
//! |---|---|
//! | this | nodes: names, numbers, attributes |
//! | [`transfer`] | reading and writing memory, registers, status |
//! | [`control`] | the control file |
//!
//! 2.1 counterpart: miscfs/procfs/procfs_vnops.c, procfs_subr.c.

mod control;
mod transfer;

pub(crate) use control::Waiting;
pub(super) use control::resume_wait;
pub(super) use transfer::{read, write};

use syscalls::Errno;

use super::attr::Vattr;
use super::directory::Entry;
use super::mount::MountId;
use super::vnode::{Body, Vnode, VnodeId, Vtype};
use super::{IOSIZE, Vfs};
use crate::host::fs::HostTime;
use crate::kernel::proc::{Flags, PID_MAX, ProcId, State};
use crate::kernel::sysctl::system_processes;
use crate::kernel::time::SECOND_NS;
use crate::kernel::{Context, Kernel};
use crate::mem::PAGE_SIZE;

/// The group of those who may read memory (KMEM_GROUP).
pub(super) const KMEM_GROUP: u32 = 2;
/// Inode number of the root.
const ROOT_FILENO: u32 = 2;
/// Entries of a process's directory, with `.` and `..`.
const PROCESS_LINKS: u16 = 9;

/// What a node is, with the original's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The root.
    Root = 0,
    /// The directory of a process.
    Process = 1,
    /// Its memory.
    Mem = 3,
    /// Its registers.
    Regs = 4,
    /// Its x87 registers.
    Fpregs = 5,
    /// Control of it.
    Ctl = 6,
    /// What it is and does.
    Status = 7,
    /// A message to it.
    Note = 8,
    /// A message to its group.
    Notepg = 9,
}

/// The files of a process, in the order in which they are listed.
const FILES: [(&[u8], Kind); 7] = [
    (b"mem", Kind::Mem),
    (b"regs", Kind::Regs),
    (b"fpregs", Kind::Fpregs),
    (b"ctl", Kind::Ctl),
    (b"status", Kind::Status),
    (b"note", Kind::Note),
    (b"notepg", Kind::Notepg),
];

/// A node (`struct pfsnode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The process; 0 for the root and the swapper.
    pub pid: i32,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// The root of a file system.
    pub(super) const ROOT: Self = Self { pid: 0, kind: Kind::Root };

    /// Its inode number (PROCFS_FILENO).
    pub(super) fn fileno(self) -> u32 {
        match self.kind {
            Kind::Root => ROOT_FILENO,
            kind => ((self.pid as u32).wrapping_add(1) << 3).wrapping_add(kind as u32),
        }
    }

    fn mode(self) -> u16 {
        match self.kind {
            Kind::Root | Kind::Process => 0o555,
            Kind::Mem => 0o640,
            Kind::Regs | Kind::Fpregs => 0o600,
            Kind::Status => 0o444,
            Kind::Ctl | Kind::Note | Kind::Notepg => 0o200,
        }
    }
}

/// What the tree of names knows of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pid: i32,
    uid: u32,
    gid: u32,
    /// It has used set-id privileges.
    set_id: bool,
}

/// Who there was when somebody last looked.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Whether there is a process file system at all.
    mounted: bool,
    processes: Vec<Seen>,
    /// The process that looks.
    current: i32,
    now: HostTime,
    /// Vnodes of nodes, as long as the cache has them.
    vnodes: std::collections::HashMap<(MountId, Node), VnodeId>,
}

/// Tells the tree of names who there is now.
pub(super) fn refresh(kernel: &mut Kernel, id: ProcId) {
    if !kernel.vfs.view.mounted {
        return;
    }
    let living = kernel.procs.iter().filter(|(_, proc)| !matches!(proc.state, State::Zombie | State::Embryo));
    let mut processes: Vec<Seen> = living
        .map(|(_, proc)| Seen {
            pid: proc.pid,
            uid: proc.cred.ucred.uid,
            gid: proc.cred.ucred.gid(),
            set_id: proc.flags.contains(Flags::SUGID),
        })
        .collect();
    let of_system = system_processes::entries(kernel).into_iter().rev().map(|entry| entry.proc.pid.get());
    processes.extend(of_system.map(|pid| Seen { pid, uid: 0, gid: 0, set_id: false }));
    let now = kernel.clock.now();
    let view = &mut kernel.vfs.view;
    view.processes = processes;
    view.current = kernel.procs.get(id).map_or(0, |proc| proc.pid);
    view.now = HostTime { sec: (now / SECOND_NS) as i64, nsec: (now % SECOND_NS) as i64 };
}

impl View {
    fn find(&self, pid: i32) -> Option<&Seen> {
        self.processes.iter().find(|seen| seen.pid == pid)
    }
}

impl Vfs {
    /// From now on there is a process file system.
    pub(super) fn uses_processes(&mut self) {
        self.view.mounted = true;
    }

    /// An entry of one of its directories.
    pub(super) fn process_entry(&mut self, directory: VnodeId, node: Node, name: &[u8]) -> Option<VnodeId> {
        let found = match node.kind {
            Kind::Root => {
                let pid = if name == b"curproc" { self.view.current } else { number(name)? };
                self.view.find(pid)?;
                Node { pid, kind: Kind::Process }
            }
            Kind::Process => {
                self.view.find(node.pid)?;
                let (_, kind) = FILES.iter().find(|(known, _)| *known == name)?;
                Node { kind: *kind, ..node }
            }
            _ => return None,
        };
        let mount = self.vnodes[directory].mount;
        if let Some(&known) = self.view.vnodes.get(&(mount, found))
            && self.vnodes.get(known).is_some()
        {
            return Some(known);
        }
        let kind = if found.kind == Kind::Process { Vtype::Dir } else { Vtype::Reg };
        let made = self.vnodes.insert(Vnode::new(kind, mount, Body::Process(found)));
        if kind == Vtype::Dir {
            self.vnodes.set_parent(made, directory);
        }
        self.view.vnodes.insert((mount, found), made);
        Some(made)
    }

    /// The entries of one of its directories.
    pub(super) fn process_entries(&self, node: Node) -> Vec<Entry> {
        let dir = Vtype::Dir.dirent_type();
        let entry = |fileno, kind, name: &[u8]| Entry { fileno, kind, name: name.to_vec() };
        match node.kind {
            Kind::Root => {
                let mut entries: Vec<Entry> =
                    [&b"."[..], b".."].iter().map(|name| entry(ROOT_FILENO, dir, name)).collect();
                let current = Node { pid: PID_MAX + 1, kind: Kind::Process };
                entries.push(entry(current.fileno(), dir, b"curproc"));
                entries.extend(self.view.processes.iter().map(|seen| {
                    let node = Node { pid: seen.pid, kind: Kind::Process };
                    entry(node.fileno(), dir, seen.pid.to_string().as_bytes())
                }));
                entries
            }
            _ => {
                let regular = Vtype::Reg.dirent_type();
                let mut entries =
                    vec![entry(node.fileno(), regular, b"."), entry(ROOT_FILENO, regular, b"..")];
                entries.extend(FILES.iter().map(|(name, kind)| {
                    let node = Node { kind: *kind, ..node };
                    entry(node.fileno(), regular, name)
                }));
                entries
            }
        }
    }

    /// The attributes of a node; ENOENT once its process is gone.
    pub(super) fn process_attributes(&self, vtype: Vtype, node: Node) -> Result<Vattr, Errno> {
        let view = &self.view;
        let (mut uid, mut gid, mut mode) = (0, 0, node.mode());
        if node.kind != Kind::Root {
            let seen = view.find(node.pid).ok_or(Errno::ENOENT)?;
            (uid, gid) = (seen.uid, seen.gid);
            match node.kind {
                Kind::Ctl | Kind::Regs | Kind::Fpregs if seen.set_id => mode &= !0o666,
                Kind::Mem => {
                    gid = KMEM_GROUP;
                    if seen.set_id {
                        uid = 0;
                        mode &= !0o600;
                    }
                }
                _ => {}
            }
        }
        let nlink = match node.kind {
            Kind::Root => view.processes.len() as u16 + 3,
            Kind::Process => PROCESS_LINKS,
            _ => 1,
        };
        let size = if vtype == Vtype::Dir { u64::from(IOSIZE.min(512)) } else { 0 };
        Ok(Vattr {
            kind: vtype,
            mode,
            nlink,
            uid,
            gid,
            fsid: 0,
            fileid: node.fileno(),
            size,
            blocksize: PAGE_SIZE,
            atime: view.now,
            mtime: view.now,
            ctime: view.now,
            flags: 0,
            rdev: 0,
            bytes: size,
        })
    }
}

/// The number of a process as a name says it (`atopid`).
fn number(name: &[u8]) -> Option<i32> {
    let digits = |name: &[u8]| name.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(name).ok().filter(|_| digits(name))?;
    if text.is_empty() { Some(0) } else { text.parse().ok().filter(|pid| *pid <= PID_MAX) }
}

/// Whether one process may look into another (CHECKIO).
pub(super) fn may_look(cx: &Context<'_>, other: ProcId) -> bool {
    let (mine, theirs) = (&cx.proc().cred, &cx.kernel.procs[other]);
    let ruid = theirs.cred.ruid;
    let same = [mine.ucred.uid, mine.ruid, mine.svuid].iter().all(|uid| *uid == ruid);
    same && !theirs.flags.contains(Flags::SUGID) || cx.suser().is_ok()
}

/// Opens a node (`procfs_open`): memory is for those who may look into the process.
pub(super) fn open(cx: &Context<'_>, node: Node) -> Result<(), Errno> {
    let Some(other) = cx.kernel.procs.find(node.pid) else {
        let of_system = system_processes::NUMBERS.contains(&node.pid) || node.kind == Kind::Root;
        return if of_system { Ok(()) } else { Err(Errno::ENOENT) };
    };
    if node.kind == Kind::Mem && !may_look(cx, other) && cx.proc().cred.ucred.gid() != KMEM_GROUP {
        return Err(Errno::EPERM);
    }
    Ok(())
}
