//! Who controls a terminal, and who may use it now.
//!
//! 2.1 counterpart: sys/tty.h (isctty, isbackground), the parts of kern/tty.c that stop background
//! processes, TIOCSCTTY in kern/tty.c and kern/vfs_vnops.c, the end of a session in kern/kern_exit.c.

use syscalls::errno::Errno;

use super::state::End;
use super::{Tty, TtyId};
use crate::kernel::proc::{Flags, PgrpId, ProcId, leader};
use crate::kernel::signal::{SIGHUP, SIGTTIN, SIGTTOU, pgsignal, sigmask};
use crate::kernel::synch::{Channel, Sleep, priority};
use crate::kernel::vfs::VnodeId;
use crate::kernel::{Context, Kernel, vfs};

/// Whether the terminal controls the process's session (`isctty`).
pub fn is_controlling(kernel: &Kernel, id: ProcId, tty: TtyId) -> bool {
    let proc = &kernel.procs[id];
    let session = kernel.procs.session_id(proc.pgrp);
    proc.flags.contains(Flags::CONTROLT) && kernel.ttys.get(tty).is_some_and(|t| t.session == Some(session))
}

/// Whether the process is in the background of its controlling terminal (`isbackground`).
fn is_background(kernel: &Kernel, id: ProcId, tty: TtyId) -> bool {
    is_controlling(kernel, id, tty)
        && kernel.ttys.get(tty).is_some_and(|t| t.pgrp != Some(kernel.procs[id].pgrp))
}

/// Whether the process is in the background of its controlling terminal, which the session's leader may
/// lend it.
fn must_stop(cx: &mut Context<'_>, tty: TtyId) -> bool {
    if is_background(cx.kernel, cx.id, tty) {
        leader::ask_for_terminal(cx.kernel, tty);
    }
    is_background(cx.kernel, cx.id, tty)
}

/// Whether a signal that stops background processes would not stop this one.
fn is_shielded(cx: &Context<'_>, signal: u32) -> bool {
    let proc = cx.proc();
    (proc.sig.ignore | proc.sig.mask) & sigmask(signal) != 0
        || proc.flags.contains(Flags::PPWAIT)
        || cx.kernel.procs.group(proc.pgrp).jobc == 0
}

/// The sleep of a process that was sent a signal to stop it: until the next second.
pub(super) fn background_sleep(wmesg: &'static str, urgency: u8) -> Sleep {
    Sleep { channel: Channel::Lbolt, priority: urgency, catch: true, wmesg, timeout_ticks: None }
}

/// Stops a background process that reads (SIGTTIN); EIO where that cannot stop it.
pub(super) fn may_read(
    cx: &mut Context<'_>,
    tty: TtyId,
    wmesg: &'static str,
) -> Result<Option<Sleep>, Errno> {
    if !must_stop(cx, tty) {
        return Ok(None);
    }
    if is_shielded(cx, SIGTTIN) {
        return Err(Errno::EIO);
    }
    let group = cx.proc().pgrp;
    pgsignal(cx.kernel, group, SIGTTIN, true);
    Ok(Some(background_sleep(wmesg, priority::TTIPRI)))
}

/// Stops a background process that writes or changes settings (SIGTTOU), where that can stop it.
pub(super) fn may_change(cx: &mut Context<'_>, tty: TtyId, sleep: Sleep) -> Option<Sleep> {
    if !must_stop(cx, tty) || is_shielded(cx, SIGTTOU) {
        return None;
    }
    let group = cx.proc().pgrp;
    pgsignal(cx.kernel, group, SIGTTOU, true);
    Some(sleep)
}

/// Makes the terminal the controlling one of the session that the process leads (TIOCSCTTY); `node` is the
/// device by which it is known there.
pub fn set_controlling(kernel: &mut Kernel, id: ProcId, tty: TtyId, node: VnodeId) -> Result<(), Errno> {
    let group = kernel.procs[id].pgrp;
    let session = kernel.procs.session_id(group);
    let leader = kernel.procs[id].is_session_leader(&kernel.procs);
    let has_one = kernel.procs.session(group).ttyvp.is_some();
    let Some(terminal) = kernel.ttys.get(tty) else { return Err(Errno::ENXIO) };
    if !leader || (has_one || terminal.session.is_some()) && terminal.session != Some(session) {
        return Err(Errno::EPERM);
    }
    let terminal = &mut kernel.ttys[tty];
    (terminal.session, terminal.pgrp) = (Some(session), Some(group));
    kernel.procs.session_mut(group).tty = Some(tty as u32);
    kernel.procs[id].flags.insert(Flags::CONTROLT);
    if kernel.procs.session(group).ttyvp != Some(node) {
        release_node(kernel, group);
        hold_node(kernel, node, 1);
        kernel.vfs.vref(node);
        kernel.procs.session_mut(group).ttyvp = Some(node);
    }
    Ok(())
}

/// Gives up the session's hold on the node of its terminal.
pub(super) fn release_node(kernel: &mut Kernel, group: PgrpId) {
    if let Some(node) = kernel.procs.session_mut(group).ttyvp.take() {
        hold_node(kernel, node, -1);
        vfs::vrele(kernel, node);
    }
}

/// The sessions whose terminal a node is have a dead one from now on; whether there are any.
pub fn revoke_node(kernel: &mut Kernel, node: VnodeId, dead: VnodeId) -> bool {
    let moved = kernel.procs.move_terminals(node, dead);
    for _ in 0..moved {
        hold_node(kernel, node, -1);
        kernel.vfs.vref(dead);
        kernel.vfs.vrele(node);
    }
    moved > 0
}

/// Counts a reference to a device that no open file stands for.
pub(super) fn hold_node(kernel: &mut Kernel, node: VnodeId, by: i32) {
    if let Some((tty, end)) = kernel.vfs.terminal_end(&kernel.ttys, node) {
        hold(&mut kernel.ttys[tty], end, by);
    }
}

/// See [`hold_node`].
pub(super) fn hold(tty: &mut Tty, end: End, by: i32) {
    let count = &mut tty.held[end as usize];
    *count = count.saturating_add_signed(by);
}

/// The node of the terminal of the process's session (`cttyvp`).
pub(super) fn controlling_node(kernel: &Kernel, id: ProcId) -> Option<VnodeId> {
    let proc = &kernel.procs[id];
    let controlled = proc.flags.contains(Flags::CONTROLT);
    kernel.procs.session(proc.pgrp).ttyvp.filter(|_| controlled)
}

/// The terminal of the process's session.
pub fn controlling(kernel: &Kernel, id: ProcId) -> Option<TtyId> {
    let node = controlling_node(kernel, id)?;
    kernel.vfs.terminal_end(&kernel.ttys, node).map(|(tty, _)| tty)
}

/// The leader of a session ends: its foreground group gets SIGHUP.  Gives the terminal whose output must go
/// out before [`session_ended`].
pub fn session_ends(kernel: &mut Kernel, group: PgrpId) -> Option<TtyId> {
    let session = kernel.procs.session_id(group);
    kernel.procs.session(group).ttyvp?;
    let tty = kernel.procs.session(group).tty.map(|t| t as TtyId)?;
    let terminal = kernel.ttys.get(tty).filter(|t| t.session == Some(session))?;
    let foreground = terminal.pgrp;
    if let Some(foreground) = foreground.filter(|&g| kernel.procs.group_exists(g)) {
        pgsignal(kernel, foreground, SIGHUP, true);
    }
    Some(tty)
}

/// The terminal of a session whose leader has ended is taken from all who have it open.
pub fn session_ended(cx: &mut Context<'_>, group: PgrpId, revoke: bool) {
    if revoke && let Some(node) = cx.kernel.procs.session(group).ttyvp {
        vfs::revoke_device(cx, node);
    }
    release_node(cx.kernel, group);
}
