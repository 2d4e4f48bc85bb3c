//! The names below `net`.
//!
//! 2.1 counterpart: kern/uipc_domain.c (net_sysctl).

use syscalls::errno::Errno;

use super::transfer::Transfer;
use crate::kernel::Context;

/// Gives and takes one value; `name` is what follows `net`: family, protocol, and what the protocol knows.
/// No protocol of ours has values yet, as those of the local domain have none in the original.
pub(super) fn net_sysctl(_cx: &mut Context<'_>, name: &[u32], _value: &mut Transfer) -> Result<(), Errno> {
    match *name {
        [0, _, _, ..] => Ok(()),
        [_, _, _, ..] => Err(Errno::ENOPROTOOPT),
        _ => Err(Errno::EISDIR),
    }
}
