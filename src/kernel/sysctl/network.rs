//! The names below `net`.
//!
//! This file does not know any protocol: the switch finds the one that serves a name.
//!
//! 2.1 counterpart: kern/uipc_domain.c (net_sysctl).

use syscalls::errno::Errno;
use syscalls::flags::Domain as Family;

use super::transfer::Transfer;
use crate::kernel::Context;
use crate::kernel::socket::protosw;

/// Gives and takes one value; `name` is what follows `net`: family, protocol, and what the protocol knows.
pub(super) fn net_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let [family, protocol, rest @ ..] = name else { return Err(Errno::EISDIR) };
    if rest.is_empty() {
        return Err(Errno::EISDIR);
    }
    // No family is no error either, and nothing is stored.
    if *family == 0 {
        return Ok(());
    }
    let domain = protosw::domain(Family::from_raw(*family)).ok_or(Errno::ENOPROTOOPT)?;
    let numbered = domain.protosw.iter().filter(|pr| pr.protocol == protocol.cast_signed());
    let sysctl = numbered.filter_map(|pr| pr.sysctl).next().ok_or(Errno::ENOPROTOOPT)?;
    sysctl(cx, rest, value)
}
