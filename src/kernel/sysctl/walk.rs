//! Lists of messages, built one after another in the same piece of the kernel's memory.
//!
//! A message is built only while it still fits into what the guest gives.  Those behind are stored all the
//! same, past the guest's room: an older message, in whose header only some fields are new.
//!
//! 2.1 counterpart: net/rtsock.c (struct walkarg, and its use in sysctl_rtable, rt_msg2, sysctl_dumpentry and
//! sysctl_iflist).

use std::ops::Range;

use syscalls::errno::Errno;

use super::Transfer;
use crate::kernel::Context;

/// One message of a list.
pub struct Walked {
    /// The message.
    pub bytes: Vec<u8>,
    /// The fields that are stored even where the message is not built.
    pub fields: &'static [Range<usize>],
}

/// The memory in which messages are built (`w_tmem`).
#[derive(Default)]
struct Workspace(Vec<u8>);

impl Workspace {
    fn build(&mut self, message: &[u8]) {
        if self.0.len() < message.len() {
            self.0 = vec![0; message.len()];
        }
        self.0[..message.len()].copy_from_slice(message);
    }

    /// Stores the fields; what a message of that length then looks like, if any was ever built.
    fn patched(&mut self, message: &Walked) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        for field in message.fields {
            if let (Some(to), Some(from)) = (self.0.get_mut(field.clone()), message.bytes.get(field.clone()))
            {
                to.copy_from_slice(from);
            }
        }
        let mut bytes = self.0.clone();
        bytes.resize(message.bytes.len(), 0);
        Some(bytes)
    }
}

impl Transfer {
    /// Gives a list; without room its length is told, and a tenth more.  Where storing fails, what was
    /// counted so far is what was needed.
    pub(in crate::kernel) fn walked(&mut self, cx: &mut Context<'_>, list: &[Walked]) -> Result<(), Errno> {
        let (mut needed, mut stored, mut result) = (0_u32, 0_u32, Ok(()));
        let mut workspace = Workspace::default();
        for message in list {
            needed += message.bytes.len() as u32;
            if self.old == 0 {
                continue;
            }
            if needed <= self.oldlen {
                workspace.build(&message.bytes);
            }
            let Some(bytes) = workspace.patched(message) else { continue };
            result = cx.copyout(self.old.wrapping_add(stored), &bytes);
            if result.is_err() {
                break;
            }
            stored += bytes.len() as u32;
        }
        if self.old == 0 {
            self.oldlen = (u64::from(needed) * 11 / 10) as u32;
            return Ok(());
        }
        self.oldlen = stored;
        if stored < needed { Err(Errno::ENOMEM) } else { result }
    }
}
