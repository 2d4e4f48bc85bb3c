//! From path names to vnodes, component by component, by the guest's own rules.
//!
//! Every component is one step inside of what was mounted: symbolic links are read and walked here and
//! never by the host, `..` goes to the parent that the vnode remembers, and at the root of the process
//! or of the machine it stays where it is.
//!
//! Must not know how a name is made or removed.  2.1 counterpart: kern/vfs_lookup.c (namei, lookup) and
//! ufs_lookup in ufs/ufs/ufs_lookup.c.

use syscalls::Errno;

use super::Vfs;
use super::access::Want;
use super::attr::S_ISTXT;
use super::vnode::{Body, VnodeId, Vtype};
use crate::kernel::cred::Ucred;

/// Longest component (NAME_MAX).
pub const NAME_MAX: usize = 255;
/// Longest path with its end (MAXPATHLEN, PATH_MAX).
pub const MAXPATHLEN: usize = 1024;
/// Symbolic links in one look-up.
pub const MAXSYMLINKS: u32 = 32;

/// What the caller is going to do with the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Only to look.
    Lookup,
    /// To make it.
    Create,
    /// To remove it.
    Delete,
    /// To put another file in its place.
    Rename,
}

/// Where look-ups of a process begin.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The current directory.
    pub cwd: VnodeId,
    /// The root directory of the process.
    pub root: VnodeId,
}

/// A look-up (`struct nameidata`).
#[derive(Clone, Copy, Debug)]
pub struct Nameidata<'a> {
    /// The path.
    pub path: &'a [u8],
    /// What for.
    pub op: Op,
    /// Whether a symbolic link at the end is followed.
    pub follow: bool,
    /// A trailing slash is fine: the new entry will be a directory (WILLBEDIR).
    pub will_be_dir: bool,
}

impl<'a> Nameidata<'a> {
    /// A plain look-up that follows symbolic links.
    pub fn lookup(path: &'a [u8]) -> Nameidata<'a> {
        Nameidata { path, op: Op::Lookup, follow: true, will_be_dir: false }
    }

    /// A look-up for another operation, which does not follow a symbolic link at the end.
    pub fn new(path: &'a [u8], op: Op) -> Nameidata<'a> {
        Nameidata { path, op, follow: false, will_be_dir: false }
    }
}

/// What a look-up found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The directory.
    pub dvp: VnodeId,
    /// The entry; `None` for a name that can be made.
    pub vp: Option<VnodeId>,
    /// The last component.
    pub name: Vec<u8>,
    /// The last component is `..`.
    pub dotdot: bool,
}

impl Vfs {
    /// Looks a path up.  The vnodes found stay at least until the next but one look-up; who keeps them
    /// longer takes a reference.
    pub fn namei(&mut self, nd: &Nameidata<'_>, start: Start, cred: &Ucred) -> Result<Found, Errno> {
        self.vnodes.trim();
        let mut result = self.look_up(nd, start, cred);
        if matches!(result, Err(Errno::ENFILE)) {
            self.give_back(start.cwd);
            result = self.look_up(nd, start, cred);
        }
        if let Ok(found) = &result {
            self.found_last = [Some(found.dvp), found.vp];
        }
        result
    }

    /// The host has no descriptor left: gives back those that only the cache holds, but for a vnode in use and
    /// what the last look-up found.
    pub(super) fn give_back(&mut self, in_use: VnodeId) {
        let kept = self.found_last.iter().flatten().chain([&in_use]);
        let kept: Vec<VnodeId> = kept.copied().filter(|&id| self.vnodes.contains(id)).collect();
        kept.iter().for_each(|&id| self.vnodes.vref(id));
        self.vnodes.empty_cache();
        kept.iter().for_each(|&id| self.vnodes.let_go(id));
    }

    fn look_up(&mut self, nd: &Nameidata<'_>, start: Start, cred: &Ucred) -> Result<Found, Errno> {
        if nd.path.len() >= MAXPATHLEN {
            return Err(Errno::ENAMETOOLONG);
        }
        let mut path = nd.path.to_vec();
        let mut dp = start.cwd;
        let mut links = 0;
        loop {
            let relative = trim_slashes(&path);
            if relative.len() != path.len() {
                dp = start.root;
            }
            match self.walk(dp, relative, nd, start.root, cred)? {
                Step::Found(found) => return Ok(found),
                Step::Symlink { dvp, link, rest } => {
                    links += 1;
                    if links > MAXSYMLINKS {
                        return Err(Errno::ELOOP);
                    }
                    let mut text = self.readlink(link)?;
                    if text.len() + rest.len() + 1 >= MAXPATHLEN {
                        return Err(Errno::ENAMETOOLONG);
                    }
                    text.extend_from_slice(&rest);
                    path = text;
                    dp = dvp;
                }
            }
        }
    }

    /// Walks until the end of the path or a symbolic link to follow (`lookup`).
    fn walk(
        &mut self,
        mut dp: VnodeId,
        path: &[u8],
        nd: &Nameidata<'_>,
        rootdir: VnodeId,
        cred: &Ucred,
    ) -> Result<Step, Errno> {
        let mut rest = path;
        loop {
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            if length > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            let (name, tail) = rest.split_at(length);
            let next = trim_slashes(tail);
            let last = next.is_empty();
            let trailing_slash = last && !tail.is_empty();
            if name.is_empty() {
                return self.degenerate(dp, nd.op);
            }
            let dotdot = name == b"..";
            let found = |dvp, vp| Step::Found(Found { dvp, vp, name: name.to_vec(), dotdot });
            if dotdot {
                let Some(inner) = self.leave_mounts(dp, rootdir) else {
                    // At the root: stay.
                    if last {
                        return Ok(found(dp, Some(dp)));
                    }
                    rest = next;
                    continue;
                };
                dp = inner;
            }
            let looked = loop {
                match (self.lookup(dp, name, nd.op, last, cred), self.covered_too(dp)) {
                    (Err(Errno::ENOENT), Some(covered)) => dp = covered,
                    (looked, _) => break looked,
                }
            };
            let Some(vp) = looked? else {
                if trailing_slash && !nd.will_be_dir {
                    return Err(Errno::ENOENT);
                }
                return Ok(found(dp, None));
            };
            let vp = self.cross(vp)?;
            let kind = self.vnodes[vp].kind;
            if kind == Vtype::Lnk && (nd.follow || trailing_slash || !last) {
                let rest = if last { Vec::new() } else { [b"/", next].concat() };
                return Ok(Step::Symlink { dvp: dp, link: vp, rest });
            }
            if trailing_slash && kind != Vtype::Dir {
                return Err(Errno::ENOTDIR);
            }
            if last {
                return Ok(found(dp, Some(vp)));
            }
            dp = vp;
            rest = next;
        }
    }

    /// An empty path is the directory where the look-up begins, and nothing that can be made or removed.
    fn degenerate(&self, dp: VnodeId, op: Op) -> Result<Step, Errno> {
        if op != Op::Lookup {
            return Err(Errno::EISDIR);
        }
        if self.vnodes[dp].kind != Vtype::Dir {
            return Err(Errno::ENOTDIR);
        }
        Ok(Step::Found(Found { dvp: dp, vp: Some(dp), name: Vec::new(), dotdot: false }))
    }

    /// Where `..` is to be looked up: out of the roots of mounts; `None` at a root that holds us.
    fn leave_mounts(&self, mut dp: VnodeId, rootdir: VnodeId) -> Option<VnodeId> {
        loop {
            if dp == rootdir || Some(dp) == self.root {
                return None;
            }
            if !self.vnodes[dp].is_root() {
                return Some(dp);
            }
            dp = self.mount_of(dp).covered?;
        }
    }

    /// One component in one directory (`ufs_lookup`); `None` for a name that can be made.
    fn lookup(
        &mut self,
        dp: VnodeId,
        name: &[u8],
        op: Op,
        last: bool,
        cred: &Ucred,
    ) -> Result<Option<VnodeId>, Errno> {
        if self.vnodes[dp].kind != Vtype::Dir {
            return Err(Errno::ENOTDIR);
        }
        self.access(dp, Want::EXEC, cred)?;
        if last && matches!(op, Op::Delete | Op::Rename) && self.read_only(dp) {
            return Err(Errno::EROFS);
        }
        let vp = match name {
            // Both are entries, and a removed directory has none.
            b"." | b".." if self.is_removed(dp) => return Err(Errno::ENOENT),
            b"." => Some(dp),
            b".." => self.vnodes[dp].parent,
            name => match self.entry(dp, name, cred)? {
                None if op == Op::Lookup || !last => self.offered(dp, name),
                found => found,
            },
        };
        if last && op != Op::Lookup && matches!(self.vnodes[dp].body, Body::Kernel(_)) {
            // Nothing is made or removed there; a file that is there may be opened to be made (`kernfs_lookup`).
            return if vp.is_some() && op == Op::Create { Ok(vp) } else { Err(Errno::EOPNOTSUPP) };
        }
        let Some(vp) = vp else {
            if last && matches!(op, Op::Create | Op::Rename) {
                self.access(dp, Want::WRITE, cred)?;
                return Ok(None);
            }
            return Err(Errno::ENOENT);
        };
        if last && op == Op::Delete {
            self.access(dp, Want::WRITE, cred)?;
            if vp != dp {
                self.sticky(dp, vp, cred)?;
            }
        }
        if last && op == Op::Rename {
            self.access(dp, Want::WRITE, cred)?;
            if vp == dp {
                return Err(Errno::EISDIR);
            }
        }
        Ok(Some(vp))
    }

    /// The entry of a directory for who may search it; a union looks at the rights in both of its layers.
    fn entry(&mut self, dp: VnodeId, name: &[u8], cred: &Ucred) -> Result<Option<VnodeId>, Errno> {
        match self.vnodes[dp].union {
            Some(_) => self.union_entry(dp, name, cred),
            None => self.child(dp, name),
        }
    }

    /// In a sticky directory an entry belongs to its owner, the directory's owner and the super-user.
    pub(super) fn sticky(&mut self, dp: VnodeId, vp: VnodeId, cred: &Ucred) -> Result<(), Errno> {
        if cred.is_superuser() {
            return Ok(());
        }
        let directory = self.getattr(dp)?;
        if directory.mode & S_ISTXT == 0 || directory.uid == cred.uid || self.getattr(vp)?.uid == cred.uid {
            return Ok(());
        }
        Err(Errno::EPERM)
    }
}

/// Where a walk ended.
enum Step {
    Found(Found),
    Symlink {
        dvp: VnodeId,
        link: VnodeId,
        /// What comes behind the link, with its slash.
        rest: Vec<u8>,
    },
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    &path[slashes..]
}
