//! Two directories seen as one: names of the upper layer, and behind them those of the lower one.
//!
//! A [`UnionNode`] is what a vnode of such a mount stands for; the vnode itself shows the file of the upper layer,
//! or the lower one where there is no other.  A directory that is found below only gets a shadow above; a file
//! below is copied when it is opened for writing.  There are no white-outs: what is only below cannot be removed,
//! and what is removed above lets the file below appear.
//!
//! Must not know guest memory or descriptors.  2.1 counterpart: miscfs/union.

use crate::kernel::shared::Shared;
use std::rc::Rc;

use syscalls::Errno;

use super::access::Want;
use super::attr::Vattr;
use super::mount::MountId;
use super::namei::Found;
use super::node::Make;
use super::vnode::{Body, HostNode, Vnode, VnodeId, Vtype};
use super::{Vfs, mount};
use crate::host::change::HostSpace;
use crate::kernel::Context;
use crate::kernel::cred::Ucred;

/// Permission bits of a file that is copied (UN_FILEMODE).
const COPIED: u16 = 0o666;

/// Which of the two directories of a mount is seen first (UNMNT_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The one that is named, over the one that it is mounted on.
    Above,
    /// The one that it is mounted on, over the one that is named.
    Below,
    /// Only the one that is named.
    Replace,
}

impl Order {
    /// The order that flags of a mount ask for.
    pub(super) fn of(flags: u32) -> Option<Self> {
        match flags & 3 {
            1 => Some(Self::Above),
            2 => Some(Self::Below),
            3 => Some(Self::Replace),
            _ => None,
        }
    }

    /// What stands before the name of what is mounted.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Above => b"<above>",
            Self::Below => b"<below>",
            Self::Replace => b"",
        }
    }
}

/// A mount of this kind (`struct union_mount`).
#[derive(Clone, Debug)]
pub struct UnionMount {
    pub(super) order: Order,
    /// Who has mounted it.
    pub(super) cred: Ucred,
    /// Permission bits of directories that are made in the upper layer.
    pub(super) mode: u16,
    /// The roots of both layers.
    pub(super) upper: VnodeId,
    pub(super) lower: Option<VnodeId>,
}

/// What a vnode stands for (`struct union_node`); all vnodes in it are referenced.
#[derive(Clone, Debug)]
pub struct UnionNode {
    upper: Option<VnodeId>,
    lower: Option<VnodeId>,
    /// Where a copy of the lower file would be made: a directory of the upper layer, and a name.
    place: Option<(VnodeId, Vec<u8>)>,
    of: Rc<UnionMount>,
}

impl UnionNode {
    /// The vnodes that it holds.
    pub(super) fn held(&self) -> impl Iterator<Item = VnodeId> {
        let place = self.place.as_ref().map(|(directory, _)| *directory);
        [self.upper, self.lower, place].into_iter().flatten()
    }

    /// The file that is seen (`OTHERVP`).
    fn shown(&self) -> Option<VnodeId> {
        self.upper.or(self.lower)
    }
}

impl Vfs {
    /// The file that a vnode of a union shows.
    pub(super) fn shown(&self, id: VnodeId) -> Option<VnodeId> {
        self.vnodes[id].union.as_ref()?.shown()
    }

    /// The file of the upper layer, in which changes are made: EROFS where there is none; nothing of what belongs
    /// to no union.
    pub(super) fn upper(&self, id: VnodeId) -> Result<Option<VnodeId>, Errno> {
        match &self.vnodes[id].union {
            Some(node) => node.upper.ok_or(Errno::EROFS).map(Some),
            None => Ok(None),
        }
    }

    /// The directory of the lower layer that is read behind one of the upper layer (`union_lowervp`).
    pub(super) fn lower_directory(&self, id: VnodeId) -> Option<VnodeId> {
        let vnode = &self.vnodes[id];
        let lower = vnode.union.as_ref()?.lower?;
        (self.vnodes[lower].kind == vnode.kind).then_some(lower)
    }

    /// The directory that is read, and looked at, behind the root of a mount that was put over it to be one with
    /// it (MNT_UNION).
    pub(super) fn covered_too(&self, id: VnodeId) -> Option<VnodeId> {
        let mount = self.mount_of(id);
        let joined = self.vnodes[id].is_root() && mount.flags.contains(mount::MountFlags::UNION);
        if joined { mount.covered } else { None }
    }

    /// The root of a mount of this kind (`union_root`).
    pub(super) fn union_root(&mut self, mount: MountId, of: &UnionMount) -> Result<Vnode, Errno> {
        let node = UnionNode { upper: Some(of.upper), lower: of.lower, place: None, of: Rc::new(of.clone()) };
        self.union_vnode(mount, node)
    }

    /// A vnode for a node; its layers are referenced from now on.
    fn union_vnode(&mut self, mount: MountId, node: UnionNode) -> Result<Vnode, Errno> {
        let shown = node.shown().ok_or(Errno::ENOENT)?;
        let of = &self.vnodes[shown];
        let body = same_body(&of.body).ok_or(Errno::EOPNOTSUPP)??;
        let mut vnode = Vnode::new(of.kind, mount, body);
        vnode.inode = Shared::clone(&of.inode);
        node.held().for_each(|id| self.vnodes.vref(id));
        vnode.union = Some(Box::new(node));
        Ok(vnode)
    }

    /// Who has mounted the union to which a vnode belongs.
    pub(super) fn mounted_by(&self, id: VnodeId) -> Option<u32> {
        Some(self.vnodes[id].union.as_ref()?.of.cred.uid)
    }

    /// Another vnode that stands for the same, for a mount that shows a directory of a union again.
    pub(super) fn union_again(&mut self, mount: MountId, of: VnodeId) -> Option<Result<Vnode, Errno>> {
        let node = (**self.vnodes[of].union.as_ref()?).clone();
        Some(self.union_vnode(mount, node))
    }

    /// The entry `name` of a directory of a union (`union_lookup`).
    pub(super) fn union_entry(
        &mut self,
        dp: VnodeId,
        name: &[u8],
        cred: &Ucred,
    ) -> Result<Option<VnodeId>, Errno> {
        let Some(node) = self.vnodes[dp].union.clone() else { return Ok(None) };
        let (of, above, below) = (Rc::clone(&node.of), node.upper, node.lower);
        let upper = match above {
            Some(directory) => self.entry_of_layer(directory, name),
            None => Ok(None),
        };
        let as_whom = if of.order == Order::Below { &of.cred } else { cred };
        let lower = match below {
            Some(directory) if self.access(directory, Want::EXEC, as_whom).is_ok() => {
                match self.entry_of_layer(directory, name) {
                    Err(Errno::ENFILE) => return Err(Errno::ENFILE),
                    found => found.ok().flatten(),
                }
            }
            _ => None,
        };
        let mut upper = match (upper, lower) {
            (Err(errno), None) => return Err(errno),
            (Err(Errno::ENFILE), _) => return Err(Errno::ENFILE),
            (Ok(upper), _) => upper,
            (Err(_), Some(_)) => None,
        };
        if let (None, Some(below), Some(directory)) = (upper, lower, above)
            && self.vnodes[below].kind == Vtype::Dir
        {
            upper = self.shadow(&of, directory, name, cred)?;
        }
        if upper.is_none() && lower.is_none() {
            return Ok(None);
        }
        self.united(dp, upper, lower, name).map(Some)
    }

    /// An entry of a directory of one layer, behind what is mounted on it there.
    fn entry_of_layer(&mut self, directory: VnodeId, name: &[u8]) -> Result<Option<VnodeId>, Errno> {
        match self.child(directory, name)? {
            Some(found) => Ok(Some(self.cross(found)?)),
            None => Ok(None),
        }
    }

    /// Makes the directory of the upper layer that belongs to one of the lower layer (`union_mkshadow`).
    fn shadow(
        &mut self,
        of: &UnionMount,
        directory: VnodeId,
        name: &[u8],
        cred: &Ucred,
    ) -> Result<Option<VnodeId>, Errno> {
        let as_whom = if of.order == Order::Above { cred } else { &of.cred };
        self.access(directory, Want::WRITE | Want::EXEC, as_whom)?;
        let at = Found { dvp: directory, vp: None, name: name.to_vec(), dotdot: false };
        match self.make(&at, Make::Directory, of.mode, as_whom)? {
            Some(made) => Ok(Some(made)),
            None => self.child(directory, name),
        }
    }

    /// The vnode of the union for a file of each layer (`union_allocvp`).
    fn united(
        &mut self,
        dp: VnodeId,
        upper: Option<VnodeId>,
        lower: Option<VnodeId>,
        name: &[u8],
    ) -> Result<VnodeId, Errno> {
        let kind = |id: VnodeId| self.vnodes[id].kind;
        // Files of different types have nothing in common.
        let lower = lower.filter(|&below| upper.is_none_or(|above| kind(above) == kind(below)));
        let (mount, Some(node)) = (self.vnodes[dp].mount, &self.vnodes[dp].union) else {
            return Err(Errno::ENOENT);
        };
        let (of, above) = (Rc::clone(&node.of), node.upper);
        let shown = upper.or(lower);
        let known = self.vnodes.ids().into_iter().find(|&id| {
            let vnode = &self.vnodes[id];
            vnode.mount == mount && vnode.union.as_ref().is_some_and(|node| node.shown() == shown)
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let place = match (upper, above) {
            (None, Some(above)) => Some((above, name.to_vec())),
            _ => None,
        };
        let made = self.union_vnode(mount, UnionNode { upper, lower, place, of });
        let id = match (made, shown) {
            (Ok(vnode), _) => self.vnodes.insert(vnode),
            // A stream that the run was started with is itself.
            (Err(Errno::EOPNOTSUPP), Some(shown)) => return Ok(shown),
            (Err(errno), _) => return Err(errno),
        };
        if self.vnodes[id].kind == Vtype::Dir {
            self.vnodes.set_parent(id, dp);
        }
        Ok(id)
    }

    /// The vnode of the union for something that was made in the upper layer.
    pub(super) fn made_above(&mut self, dp: VnodeId, made: VnodeId, name: &[u8]) -> Result<VnodeId, Errno> {
        self.united(dp, Some(made), None, name)
    }

    /// The same entry in the upper layer, where it is changed: EROFS for what is below only; nothing of what belongs
    /// to no union.
    pub(super) fn entry_above(&self, at: &Found) -> Result<Option<Found>, Errno> {
        let Some(dvp) = self.upper(at.dvp)? else { return Ok(None) };
        let vp = match at.vp {
            Some(vp) => Some(self.upper(vp)?.ok_or(Errno::EROFS)?),
            None => None,
        };
        Ok(Some(Found { dvp, vp, name: at.name.clone(), dotdot: at.dotdot }))
    }

    /// A name of a file of the upper layer went away (`union_removed_upper`): who has it open keeps it, and who
    /// looks the name up finds what is below.
    pub(super) fn removed_above(&mut self, vp: VnodeId) {
        if let Some(node) = self.vnodes[vp].union.take() {
            node.held().for_each(|id| self.vrele(id));
        }
        self.vnodes.forget(vp);
    }

    /// Attributes of a file of a union (`union_getattr`): a directory counts the links of both layers and keeps the
    /// device of the upper one.
    pub(super) fn union_attributes(&mut self, id: VnodeId) -> Option<Result<Vattr, Errno>> {
        let (upper, lower) = self.vnodes[id].union.as_ref().map(|node| (node.upper, node.lower))?;
        let mut attr = match self.getattr(upper.or(lower)?) {
            Ok(attr) => attr,
            Err(errno) => return Some(Err(errno)),
        };
        match (upper, lower) {
            (Some(_), Some(lower)) if attr.kind == Vtype::Dir => {
                let below = self.getattr(lower).map_or(0, |below| below.nlink);
                attr.nlink = attr.nlink.saturating_add(below).min(super::LINK_MAX as u16);
            }
            (Some(_), _) if attr.kind == Vtype::Dir => {}
            _ => attr.fsid = self.device_of(self.vnodes[id].mount),
        }
        Some(Ok(attr))
    }

    /// Room on both layers (`union_statfs`).
    pub(super) fn union_space(&self, id: MountId) -> Option<HostSpace> {
        let root = self.mounts.get(id.0)?.root;
        let of = &self.vnodes[root].union.as_ref()?.of;
        let space = |layer: VnodeId| self.space(self.vnodes[layer].mount).unwrap_or_default();
        let upper = space(of.upper);
        let lower = of.lower.map(space).unwrap_or_default();
        let size = upper.block_size.max(1);
        let blocks =
            |count: u64| (u128::from(count) * u128::from(lower.block_size) / u128::from(size)) as u64;
        Some(HostSpace {
            block_size: size,
            blocks: upper.blocks.saturating_add(blocks(lower.blocks)),
            free: upper.free.saturating_add(blocks(lower.free)),
            available: upper.available.saturating_add(blocks(lower.available)),
            files: upper.files.saturating_add(lower.files),
            files_free: upper.files_free.saturating_add(lower.files_free),
        })
    }

    /// Makes a file of the lower layer, which is to be written, one of the upper layer (`union_open`,
    /// `union_vn_create`); with `empty` without its bytes.  Says nothing of others.
    pub(super) fn copy_up(&mut self, id: VnodeId, empty: bool, mode: u16, cred: &Ucred) -> Result<(), Errno> {
        let vnode = &self.vnodes[id];
        let (Some(node), Vtype::Reg) = (&vnode.union, vnode.kind) else { return Ok(()) };
        let (None, Some(lower)) = (node.upper, node.lower) else { return Ok(()) };
        let (directory, name) = node.place.clone().ok_or(Errno::EROFS)?;
        self.access(directory, Want::WRITE | Want::EXEC, cred)?;
        if self.child(directory, &name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        let at = Found { dvp: directory, vp: None, name, dotdot: false };
        let made = self.make(&at, Make::File, mode, cred)?.ok_or(Errno::ENOENT)?;
        self.vref(made);
        let copied = if empty { Ok(()) } else { self.copy_content(lower, made) };
        self.shows_upper(id, made);
        copied
    }

    /// Copies the bytes of a file (`union_copyfile`).
    fn copy_content(&mut self, from: VnodeId, to: VnodeId) -> Result<(), Errno> {
        let mut buffer = vec![0; super::MAXBSIZE as usize];
        let mut offset = 0;
        loop {
            let length = self.read_content(from, offset, &mut buffer)?;
            let piece = buffer.get(..length).unwrap_or_default();
            if piece.is_empty() {
                return Ok(());
            }
            if self.write_content(to, offset, piece)? < length {
                return Err(Errno::ENOSPC);
            }
            offset += length as u64;
        }
    }

    /// From now on a vnode shows this file of the upper layer, whose reference becomes its own.
    fn shows_upper(&mut self, id: VnodeId, upper: VnodeId) {
        let of = &self.vnodes[upper];
        let (Some(Ok(body)), inode) = (same_body(&of.body), Shared::clone(&of.inode)) else {
            self.vrele(upper);
            return;
        };
        self.vnodes.replace(id, body, inode);
        if let Some(node) = &mut self.vnodes[id].union {
            node.upper = Some(upper);
        }
    }
}

/// Makes a file of a union that is below only one of the upper layer, to be written.
pub(super) fn copy_up(cx: &mut Context<'_>, vnode: VnodeId, empty: bool) -> Result<(), Errno> {
    let mode = COPIED & !cx.proc().fd.umask;
    let cred = cx.proc().cred.ucred.clone();
    cx.kernel.vfs.copy_up(vnode, empty, mode, &cred)
}

/// What is behind a vnode, once more; nothing of what there is once only.
fn same_body(body: &Body) -> Option<Result<Body, Errno>> {
    Some(Ok(match body {
        Body::Host(node) => match node.place.try_clone() {
            Ok(place) => Body::Host(HostNode { place, dev: node.dev, ino: node.ino }),
            Err(error) => return Some(Err(error.into())),
        },
        Body::BuiltIn(own) => Body::BuiltIn(*own),
        Body::Memory(ino, bytes) => Body::Memory(*ino, Rc::clone(bytes)),
        Body::Disc(own) => Body::Disc(own.clone()),
        Body::Kernel(node) => Body::Kernel(*node),
        Body::Process(node) => Body::Process(*node),
        Body::Stream(_) | Body::Dead => return None,
    }))
}
