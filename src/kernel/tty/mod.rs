//! Terminals: who controls them, who may use them, their settings.
//!
//! A [`Tty`] is the kernel's side of a terminal.  Its line discipline is the host's: settings are passed
//! on, and what the host's line discipline makes of the keys arrives as input or as a signal.
//!
//! 2.1 counterpart: kern/tty.c, kern/tty_tty.c, kern/tty_compat.c.

mod compat;
mod ioctl;
mod settings;

pub(in crate::kernel) use ioctl::changes;
pub use ioctl::ioctl;
pub use settings::{default_settings, flag};

use syscalls::errno::Errno;
use syscalls::layout::{Termios, Winsize};

use super::proc::{Flags, PgrpId, ProcId, SessionId, leader};
use super::signal::{SIGTTIN, SIGTTOU, pgsignal, sigmask};
use super::synch::{Channel, Sleep, priority};
use super::{Context, Kernel};
use crate::host::terminal::Terminal;

/// Number of a terminal.
pub type TtyId = usize;

/// A terminal.
#[derive(Debug)]
pub struct Tty {
    /// The session that it controls.
    pub session: Option<SessionId>,
    /// The foreground group.
    pub pgrp: Option<PgrpId>,
    /// Settings.
    pub termios: Termios,
    /// The old flags as they were set (`t_flags`).
    pub flags: u32,
    /// Size.
    pub winsize: Winsize,
    /// The host's terminal behind it.
    pub host: Option<Terminal>,
}

/// The terminals of the machine.
#[derive(Debug, Default)]
pub struct Ttys {
    all: Vec<Tty>,
}

impl Ttys {
    /// Adds the host's terminal.
    pub fn add(&mut self, host: Terminal) -> TtyId {
        let size = host.size();
        let winsize = Winsize { row: size.rows.into(), col: size.columns.into(), ..Winsize::default() };
        let termios = host.settings().map_or_else(default_settings, |s| settings::from_host(&s));
        self.all.push(Tty { session: None, pgrp: None, termios, flags: 0, winsize, host: Some(host) });
        self.all.len() - 1
    }

    /// A terminal.
    pub fn get(&self, tty: TtyId) -> Option<&Tty> {
        self.all.get(tty)
    }

    /// A terminal, to change it.
    pub fn get_mut(&mut self, tty: TtyId) -> Option<&mut Tty> {
        self.all.get_mut(tty)
    }

    /// Puts the settings of the host's terminals back, for as long as somebody else has them.
    pub fn give_back(&mut self) {
        self.all.iter_mut().filter_map(|tty| tty.host.as_mut()).for_each(Terminal::give_back);
    }

    /// Sets the guest's settings on the host's terminals again, as far as they are in our hands; gives the
    /// terminals whose size is another one by now.
    pub fn take_again(&mut self) -> Vec<TtyId> {
        let mut resized = Vec::new();
        for (id, tty) in self.all.iter_mut().enumerate() {
            let Some(host) = tty.host.as_mut() else { continue };
            host.take_again();
            let size = host.size();
            if (size.rows, size.columns) != (tty.winsize.row.get(), tty.winsize.col.get()) {
                (tty.winsize.row, tty.winsize.col) = (size.rows.into(), size.columns.into());
                resized.push(id);
            }
        }
        resized
    }
}

/// What a process wants of a terminal, and may not have in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To read: SIGTTIN, or EIO where that cannot stop it.
    Read,
    /// To write: SIGTTOU, where the terminal asks for it (TOSTOP).
    Write,
    /// To change settings: SIGTTOU.
    Change,
}

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

/// Looks whether the process may use the terminal now: `Ok(None)` if so; else a signal has been sent, and
/// the process tries again after the sleep.
pub fn check_background(cx: &mut Context<'_>, tty: TtyId, wanted: Use) -> Result<Option<Sleep>, Errno> {
    if is_background(cx.kernel, cx.id, tty) {
        leader::ask_for_terminal(cx.kernel, tty);
    }
    if !is_background(cx.kernel, cx.id, tty) {
        return Ok(None);
    }
    let tostop = cx.kernel.ttys.get(tty).is_some_and(|t| t.termios.lflag.get() & flag::TOSTOP != 0);
    if wanted == Use::Write && !tostop {
        return Ok(None);
    }
    let proc = cx.proc();
    let group = proc.pgrp;
    let signal = if wanted == Use::Read { SIGTTIN } else { SIGTTOU };
    let shielded = (proc.sig.ignore | proc.sig.mask) & sigmask(signal) != 0
        || proc.flags.contains(Flags::PPWAIT)
        || cx.kernel.procs.group(group).jobc == 0;
    if shielded {
        return if wanted == Use::Read { Err(Errno::EIO) } else { Ok(None) };
    }
    pgsignal(cx.kernel, group, signal, true);
    let wmesg = if wanted == Use::Read { "ttybg2" } else { "ttybg1" };
    Ok(Some(Sleep {
        channel: Channel::Lbolt,
        priority: priority::TTIPRI,
        catch: true,
        wmesg,
        timeout_ticks: None,
    }))
}

/// Makes the terminal the controlling one of the session that the process leads (TIOCSCTTY).
pub fn set_controlling(kernel: &mut Kernel, id: ProcId, tty: TtyId) -> Result<(), Errno> {
    let group = kernel.procs[id].pgrp;
    let session = kernel.procs.session_id(group);
    let leader = kernel.procs[id].is_session_leader(&kernel.procs);
    let has_other = kernel.procs.session(group).tty.is_some_and(|t| t != tty as u32);
    let Some(terminal) = kernel.ttys.get_mut(tty) else { return Err(Errno::ENXIO) };
    if !leader || has_other || terminal.session.is_some_and(|s| s != session) {
        return Err(Errno::EPERM);
    }
    terminal.session = Some(session);
    terminal.pgrp = Some(group);
    kernel.procs.session_mut(group).tty = Some(tty as u32);
    kernel.procs[id].flags.insert(Flags::CONTROLT);
    Ok(())
}

/// Sends a signal to the foreground group of a terminal, as a key of the terminal does.
pub fn signal_foreground(kernel: &mut Kernel, tty: TtyId, signal: u32) {
    let group = kernel.ttys.get(tty).and_then(|t| t.pgrp);
    if let Some(group) = group.filter(|&g| kernel.procs.group_exists(g)) {
        pgsignal(kernel, group, signal, true);
    }
}

/// The terminal of the process's session (`cttyvp`).
pub fn controlling(kernel: &Kernel, id: ProcId) -> Option<TtyId> {
    let proc = &kernel.procs[id];
    if !proc.flags.contains(Flags::CONTROLT) {
        return None;
    }
    kernel.procs.session(proc.pgrp).tty.map(|t| t as TtyId)
}

/// Forgets a session that its leader has left: the foreground group gets SIGHUP, the terminal is free.
pub fn session_ends(kernel: &mut Kernel, group: PgrpId) {
    let session = kernel.procs.session_id(group);
    let Some(tty) = kernel.procs.session(group).tty.map(|t| t as TtyId) else { return };
    let Some(terminal) = kernel.ttys.get_mut(tty).filter(|t| t.session == Some(session)) else { return };
    terminal.session = None;
    let foreground = terminal.pgrp.take();
    kernel.procs.session_mut(group).tty = None;
    if let Some(foreground) = foreground.filter(|&g| kernel.procs.group_exists(g)) {
        pgsignal(kernel, foreground, super::signal::SIGHUP, true);
    }
}
