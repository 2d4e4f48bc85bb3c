//! A terminal as readers of kernel memory see it.
//!
//! 2.1 counterpart: sys/tty.h.

use syscalls::layout;

use super::TtyId;
use crate::kernel::Kernel;
use crate::kernel::kmem::place;
use crate::kernel::vfs::device::makedev;

/// The structure of a terminal.
pub(in crate::kernel) fn tty(kernel: &Kernel, id: TtyId) -> Option<layout::Tty> {
    let tty = kernel.ttys.get(id)?;
    let (major, minor) = kernel.ttys.device(id);
    let [rawcc, cancc, outcc] = tty.counts.map(|count| (count as i32).into());
    let group = tty.pgrp.filter(|&group| kernel.procs.group_exists(group));
    let session = tty.session.filter(|&session| kernel.procs.session_exists(session));
    Some(layout::Tty {
        rawq: tty.rawq.layout(),
        rawcc,
        canq: tty.canq.layout(),
        cancc,
        outq: tty.outq.layout(),
        outcc,
        line: tty.line.into(),
        // The number is set by the first open.
        dev: if tty.known { makedev(major, minor) } else { 0 }.into(),
        state: (tty.state.bits() as i32).into(),
        flags: (tty.flags as i32).into(),
        timeout: tty.timeout.into(),
        pgrp: group.map_or(0, |group| place::group(group.index())).into(),
        session: session.map_or(0, |session| place::session(session.index())).into(),
        rsel: tty.rsel.layout(kernel),
        wsel: tty.wsel.layout(kernel),
        termios: tty.termios,
        winsize: tty.winsize,
        column: tty.column.into(),
        rocount: tty.rocount.into(),
        rocol: tty.rocol.into(),
        hiwat: (tty.hiwat as i32).into(),
        lowat: (tty.lowat as i32).into(),
        generation: (tty.generation as i32).into(),
        ..layout::Tty::default()
    })
}
