//! The kernel file system: a directory of what the kernel says of itself, one value a file.
//!
//! The tree of names knows no kernel; before each walk it is told the values ([`refresh`]), where such a file
//! system is mounted at all.
//!
//! 2.1 counterpart: miscfs/kernfs/kernfs_vnops.c.

use syscalls::Errno;

use super::Vfs;
use super::access::Want;
use super::attr::Vattr;
use super::directory::Entry;
use super::vnode::{Body, Vnode, VnodeId, Vtype};
use crate::host::fs::HostTime;
use crate::kernel::boot::COPYRIGHT;
use crate::kernel::cred::Ucred;
use crate::kernel::file::Uio;
use crate::kernel::sched::FSCALE;
use crate::kernel::time::SECOND_NS;
use crate::kernel::{Context, HZ, Kernel};
use crate::mem::PAGE_SIZE;

/// Room for a value (KSTRING).
const ROOM: usize = 256;
/// Size that a directory shows, and preferred size of transfers (DEV_BSIZE).
const BLOCK: u32 = 512;
/// Inode number of the root, and that of every file: the original divides their places by the size of a row.
const ROOT_FILENO: u32 = 2;
const FILENO: u32 = 3;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Boottime,
    Copyright,
    Hostname,
    Bootfile,
    Hz,
    Loadavg,
    Pagesize,
    Physmem,
    Rootdev,
    Rrootdev,
    Time,
    Version,
}

use Target::{
    Bootfile, Boottime, Copyright, Hostname, Hz, Loadavg, Pagesize, Physmem, Rootdev, Rrootdev, Time, Version,
};

/// The files in their order.
const TARGETS: [(&[u8], Target); 12] = [
    (b"boottime", Boottime),
    (b"copyright", Copyright),
    (b"hostname", Hostname),
    (b"bootfile", Bootfile),
    (b"hz", Hz),
    (b"loadavg", Loadavg),
    (b"pagesize", Pagesize),
    (b"physmem", Physmem),
    (b"rootdev", Rootdev),
    (b"rrootdev", Rrootdev),
    (b"time", Time),
    (b"version", Version),
];

/// A node: the root, or the place of a file in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(Option<u8>);

impl Node {
    /// The root of a file system.
    pub(super) const ROOT: Self = Self(None);

    /// Its inode number.
    pub(super) fn fileno(self) -> u32 {
        if self.0.is_some() { FILENO } else { ROOT_FILENO }
    }

    fn target(self) -> Option<Target> {
        TARGETS.get(usize::from(self.0?)).map(|(_, target)| *target)
    }

    /// Whether the super-user may write it.
    fn is_writable(self) -> bool {
        self.target() == Some(Hostname)
    }
}

/// The values when somebody last looked.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Whether there is such a file system at all.
    pub(super) mounted: bool,
    values: Vec<Vec<u8>>,
    now: HostTime,
}

/// Tells the tree of names the values.
pub(super) fn refresh(kernel: &mut Kernel) {
    if !kernel.vfs.kernel_view.mounted {
        return;
    }
    let values = TARGETS.iter().map(|(_, target)| value(kernel, *target)).collect();
    let now = kernel.clock.now();
    let view = &mut kernel.vfs.kernel_view;
    view.values = values;
    view.now = HostTime { sec: (now / SECOND_NS) as i64, nsec: (now % SECOND_NS) as i64 };
}

/// A value as text.
fn value(kernel: &Kernel, target: Target) -> Vec<u8> {
    let system = &kernel.system;
    let number = |n: u64| format!("{n}\n").into_bytes();
    let mut line = match target {
        Boottime => number(kernel.clock.boot_time() / SECOND_NS),
        Copyright => COPYRIGHT.as_bytes().to_vec(),
        Hostname => [system.hostname.as_bytes(), b"\n"].concat(),
        Bootfile => [system.bootfile.as_bytes(), b"\n"].concat(),
        Hz => number(HZ.into()),
        Loadavg => {
            let [one, five, fifteen] = kernel.clock.load_average;
            format!("{one} {five} {fifteen} {FSCALE}\n").into_bytes()
        }
        Pagesize => number(PAGE_SIZE.into()),
        Physmem => number((system.physmem / PAGE_SIZE).into()),
        Time => {
            let now = kernel.clock.now();
            format!("{} {}\n", now / SECOND_NS, now % SECOND_NS / 1000).into_bytes()
        }
        Version => system.version.clone().into_bytes(),
        Rootdev | Rrootdev => Vec::new(),
    };
    line.truncate(ROOM - 1);
    line
}

impl Vfs {
    /// An entry of the root; the devices of the root are not there.
    pub(super) fn kernel_entry(
        &mut self,
        directory: VnodeId,
        node: Node,
        name: &[u8],
    ) -> Result<Option<VnodeId>, Errno> {
        let found = TARGETS.iter().position(|(known, _)| node == Node::ROOT && *known == name);
        let Some(at) = found else { return Ok(None) };
        if matches!(TARGETS.get(at), Some((_, Rootdev | Rrootdev))) {
            return Err(Errno::ENXIO);
        }
        let mount = self.vnodes[directory].mount;
        let node = Node(Some(at as u8));
        let known = self.vnodes.ids().into_iter().find(|&id| {
            let vnode = &self.vnodes[id];
            vnode.mount == mount && matches!(vnode.body, Body::Kernel(other) if other == node)
        });
        Ok(Some(
            known.unwrap_or_else(|| self.vnodes.insert(Vnode::new(Vtype::Reg, mount, Body::Kernel(node)))),
        ))
    }

    /// The entries of the root, which all have different numbers there.
    pub(super) fn kernel_entries() -> Vec<Entry> {
        let named = TARGETS.iter().map(|(name, _)| name.to_vec());
        let names = [b".".to_vec(), b"..".to_vec()].into_iter().chain(named);
        (FILENO..).zip(names).map(|(fileno, name)| Entry { fileno, kind: 0, name }).collect()
    }

    /// The attributes of a node.
    pub(super) fn kernel_attributes(&self, kind: Vtype, node: Node) -> Vattr {
        let view = &self.kernel_view;
        let size = match node.0 {
            None => u64::from(BLOCK),
            Some(at) => view.values.get(usize::from(at)).map_or(0, |value| value.len() as u64),
        };
        let mode = match node.0 {
            None => 0o555,
            Some(_) if node.is_writable() => 0o644,
            Some(_) => 0o444,
        };
        Vattr {
            kind,
            mode,
            nlink: if node.0.is_none() { 2 } else { 1 },
            uid: 0,
            gid: 0,
            fsid: 0,
            fileid: node.fileno(),
            size,
            blocksize: BLOCK,
            atime: view.now,
            mtime: view.now,
            ctime: view.now,
            flags: 0,
            rdev: 0,
            bytes: 0,
        }
    }
}

/// What may be done with a node (`kernfs_access`).
pub(super) fn access(node: Node, want: Want, cred: &Ucred) -> Result<(), Errno> {
    let root = node == Node::ROOT;
    if want.contains(Want::EXEC) {
        return if root { Ok(()) } else { Err(Errno::EACCES) };
    }
    match want.contains(Want::WRITE) {
        true if !cred.is_superuser() => Err(Errno::EACCES),
        true if !root && !node.is_writable() => Err(Errno::EROFS),
        _ => Ok(()),
    }
}

/// Reads a value from an offset on.
pub(super) fn read(cx: &mut Context<'_>, node: Node, uio: &mut Uio) -> Result<(), Errno> {
    let Some(target) = node.target() else { return Err(Errno::EOPNOTSUPP) };
    let text = value(cx.kernel, target);
    let rest = usize::try_from(uio.offset).ok().and_then(|from| text.get(from..)).unwrap_or_default();
    let length = rest.len().min(uio.resid as usize);
    uio.move_out(cx, rest.get(..length).unwrap_or_default())
}

/// Writes a value: the whole of it at once.
pub(super) fn write(cx: &mut Context<'_>, node: Node, uio: &mut Uio) -> Result<(), Errno> {
    let Some(target) = node.target() else { return Ok(()) };
    if uio.offset != 0 {
        return Err(Errno::EINVAL);
    }
    let mut room = vec![0; (uio.resid as usize).min(ROOM - 1)];
    let length = uio.move_in(cx, &mut room)?;
    if uio.resid != 0 || target != Hostname {
        return Err(Errno::EIO);
    }
    let given = room.get(..length).unwrap_or_default();
    let text = given.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = text.strip_suffix(b"\n").unwrap_or(text);
    cx.kernel.system.hostname.set(name.len(), |buffer| {
        buffer.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        Ok(())
    })
}
