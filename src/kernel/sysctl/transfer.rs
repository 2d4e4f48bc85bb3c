//! How one value of the system is given to a guest and taken from it.
//!
//! The checks come in an order that differs by the kind of value, and a guest can see it: what is stored
//! when something fails, and which error wins.
//!
//! 2.1 counterpart: kern/kern_sysctl.c (sysctl_int, sysctl_rdint, sysctl_string, sysctl_rdstring,
//! sysctl_struct, sysctl_rdstruct).

use syscalls::errno::Errno;
use syscalls::layout::I32;
use zerocopy::{Immutable, IntoBytes};

use super::Text;
use crate::kernel::Context;

/// Where the old value goes and where the new one comes from; an address of zero means nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transfer {
    /// Room for the old value.
    pub(super) old: u32,
    /// Bytes of that room, and afterwards bytes of the value.
    pub(super) oldlen: u32,
    /// The new value.
    pub(super) new: u32,
    /// Bytes of the new value.
    pub(super) newlen: u32,
}

/// Size of an integer.
const INT: u32 = 4;

impl Transfer {
    /// A transfer that only reads.
    pub(super) fn reading(old: u32, oldlen: u32) -> Self {
        Self { old, oldlen, ..Self::default() }
    }

    /// Whether a new value is given.
    pub(in crate::kernel) fn sets(&self) -> bool {
        self.new != 0
    }

    fn is_short(&self, len: u32) -> bool {
        self.old != 0 && self.oldlen < len
    }

    fn give(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), Errno> {
        if self.old == 0 { Ok(()) } else { cx.copyout(self.old, bytes) }
    }

    /// An integer that cannot be set.
    pub(super) fn rdint(&mut self, cx: &mut Context<'_>, value: i32) -> Result<(), Errno> {
        self.rdstruct(cx, &value)
    }

    /// An integer that can be set; the new one, if there is one.
    pub(in crate::kernel) fn int(&mut self, cx: &mut Context<'_>, value: i32) -> Result<Option<i32>, Errno> {
        if self.is_short(INT) {
            return Err(Errno::ENOMEM);
        }
        if self.sets() && self.newlen != INT {
            return Err(Errno::EINVAL);
        }
        self.oldlen = INT;
        self.give(cx, &value.to_le_bytes())?;
        if self.sets() { cx.read::<I32>(self.new).map(|new| Some(new.get())) } else { Ok(None) }
    }

    /// A structure that cannot be set.
    pub(in crate::kernel) fn rdstruct<T>(&mut self, cx: &mut Context<'_>, value: &T) -> Result<(), Errno>
    where
        T: IntoBytes + Immutable,
    {
        let bytes = value.as_bytes();
        let len = bytes.len() as u32;
        if self.is_short(len) {
            return Err(Errno::ENOMEM);
        }
        if self.sets() {
            return Err(Errno::EPERM);
        }
        self.oldlen = len;
        self.give(cx, bytes)
    }

    /// A device number, which is transferred as a structure: its length is told only with its value.
    pub(super) fn device(&mut self, cx: &mut Context<'_>, value: i32) -> Result<Option<i32>, Errno> {
        if self.is_short(INT) {
            return Err(Errno::ENOMEM);
        }
        if self.sets() && self.newlen > INT {
            return Err(Errno::EINVAL);
        }
        if self.old != 0 {
            self.oldlen = INT;
        }
        self.give(cx, &value.to_le_bytes())?;
        if self.sets() { cx.read::<I32>(self.new).map(|new| Some(new.get())) } else { Ok(None) }
    }

    /// A string that cannot be set.  What fits is stored even where the room is too small.
    pub(super) fn rdstring(&mut self, cx: &mut Context<'_>, value: &[u8]) -> Result<(), Errno> {
        let mut bytes = value.to_vec();
        bytes.push(0);
        let short = self.cut(&mut bytes);
        if self.sets() {
            return Err(Errno::EPERM);
        }
        self.oldlen = bytes.len() as u32;
        self.give(cx, &bytes)?;
        short
    }

    /// A string that can be set.  It is set even where the room for the old one is too small.
    pub(super) fn string(&mut self, cx: &mut Context<'_>, value: &mut Text) -> Result<(), Errno> {
        let mut bytes = value.with_nul();
        let mut result = self.cut(&mut bytes);
        if self.sets() && self.newlen as usize >= value.room() {
            return Err(Errno::EINVAL);
        }
        if self.old != 0 {
            self.oldlen = bytes.len() as u32;
            self.give(cx, &bytes)?;
        }
        if self.sets() {
            let set = value.set(self.newlen as usize, |buffer| cx.copyin(self.new, buffer));
            if set.is_err() {
                result = set;
            }
        }
        result
    }

    /// Cuts a string to the room; ENOMEM where it had to be cut.
    fn cut(&self, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        if !self.is_short(bytes.len() as u32) {
            return Ok(());
        }
        bytes.truncate(self.oldlen as usize);
        Err(Errno::ENOMEM)
    }
}
