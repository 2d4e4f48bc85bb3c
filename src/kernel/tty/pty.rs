//! Pseudo terminals: the other side of a line is a process, too.
//!
//! The master reads what the slave's processes write and writes what they read.  In packet mode it learns
//! what happens to the terminal, in user-control mode it gets bytes of requests, in remote mode each of
//! its writes is a record that the slave reads as it is.
//!
//! 2.1 counterpart: kern/tty_pty.c.

use syscalls::errno::Errno;
use syscalls::ioctl as request;
use zerocopy::IntoBytes;

use super::flow::{self, Awaited, FREAD, FWRITE};
use super::ioctl::{int, put};
use super::settings::{flag::*, key};
use super::state::{End, State, TTYHOG, Tty};
use super::{TtyId, info, modem};
use crate::kernel::file::select::{Selinfo, Which, selrecord, selwakeup};
use crate::kernel::signal::{NSIG, SIGINFO};
use crate::kernel::{Context, Kernel};

/// Pseudo terminals that a machine has unless told otherwise (`pseudo-device pty 16` of GENERIC).
pub const DEFAULT_PTYS: usize = 16;
/// Most pseudo terminals: as many as there are names.
pub const MOST_PTYS: usize = 128;

/// Bits of the first byte of a packet (sys/ioctl.h).
mod packet {
    pub(super) const STOP: u8 = 0x04;
    pub(super) const START: u8 = 0x08;
    pub(super) const NOSTOP: u8 = 0x10;
    pub(super) const DOSTOP: u8 = 0x20;
    pub(super) const IOCTL: u8 = 0x40;
}

/// The master's side (`struct pt_ioctl`, and `t_oproc` of the terminal).
#[derive(Clone, Debug, Default)]
pub struct Pty {
    /// The master is open.
    pub is_open: bool,
    /// Packet mode (PF_PKT).
    pub packet: bool,
    /// The master has been told that output is stopped (PF_STOPPED).
    stopped: bool,
    /// Remote mode (PF_REMOTE).
    pub remote: bool,
    /// The master has been told that ^S and ^Q are not what stops (PF_NOSTOP).
    nostop: bool,
    /// User-control mode (PF_UCNTL).
    pub user_control: bool,
    /// What the master is to be told in packet mode (`pt_send`).
    pub send: u8,
    /// The request that it is to be told in user-control mode (`pt_ucntl`).
    pub request: u8,
    /// Who selects on the master for reading, and for writing.
    selr: Selinfo,
    selw: Selinfo,
}

impl Pty {
    /// Whether something other than output waits for the master.
    pub fn has_control(&self) -> bool {
        self.packet && self.send != 0 || self.user_control && self.request != 0
    }
}

/// Wakes the master's readers or writers (`ptcwakeup`).
pub(super) fn wake_master(kernel: &mut Kernel, id: TtyId, which: u32) {
    let Some(pty) = kernel.ttys[id].pty() else { return };
    let mut selr = if which & FREAD != 0 { std::mem::take(&mut pty.selr) } else { Selinfo::default() };
    let mut selw = if which & FWRITE != 0 { std::mem::take(&mut pty.selw) } else { Selinfo::default() };
    if which & FREAD != 0 {
        selwakeup(kernel, &mut selr);
        flow::wakeup(kernel, id, Awaited::MasterRead);
    }
    if which & FWRITE != 0 {
        selwakeup(kernel, &mut selw);
        flow::wakeup(kernel, id, Awaited::MasterWrite);
    }
}

/// Output is there, unless it is stopped (`ptsstart`).
pub(super) fn started(kernel: &mut Kernel, id: TtyId) {
    if kernel.ttys[id].state.contains(State::TTSTOP) {
        return;
    }
    if let Some(pty) = kernel.ttys[id].pty()
        && pty.stopped
    {
        pty.stopped = false;
        pty.send = packet::START;
    }
    wake_master(kernel, id, FREAD);
}

/// Output is stopped, or queues are flushed (`ptsstop`).
pub(super) fn stopped(kernel: &mut Kernel, id: TtyId, flush: u32) {
    let Some(pty) = kernel.ttys[id].pty() else { return };
    pty.stopped = flush == 0;
    let bits = if flush == 0 { packet::STOP } else { flush as u8 };
    pty.send |= bits;
    // The master reads what the slave writes.
    let mut which = 0;
    if u32::from(bits) & FREAD != 0 {
        which |= FWRITE;
    }
    if u32::from(bits) & FWRITE != 0 {
        which |= FREAD;
    }
    wake_master(kernel, id, which);
}

/// Opens the master: one at a time (`ptcopen`).
pub(super) fn open_master(kernel: &mut Kernel, id: TtyId) -> Result<(), Errno> {
    let Some(pty) = kernel.ttys[id].pty().filter(|pty| !pty.is_open) else { return Err(Errno::EIO) };
    pty.is_open = true;
    modem::modem(kernel, id, true);
    kernel.ttys[id].set_lflag(EXTPROC, false);
    if let Some(pty) = kernel.ttys[id].pty() {
        (pty.packet, pty.stopped, pty.remote, pty.nostop, pty.user_control) = Default::default();
        (pty.send, pty.request) = (0, 0);
    }
    Ok(())
}

/// Closes the master: the slave is hung up (`ptcclose`).
pub(super) fn close_master(kernel: &mut Kernel, id: TtyId) {
    modem::modem(kernel, id, false);
    let tty = &mut kernel.ttys[id];
    if tty.state.contains(State::ISOPEN) {
        tty.state.remove(State::CARR_ON | State::CONNECTED);
        tty.state.insert(State::ZOMBIE);
        flow::flush(kernel, id, FREAD | FWRITE);
    }
    if let Some(pty) = kernel.ttys[id].pty() {
        pty.is_open = false;
    }
}

/// Whether the master is ready; if not, the process is noted (`ptcselect`).
pub(super) fn select_master(cx: &mut Context<'_>, id: TtyId, which: Which) -> bool {
    let tty = &mut cx.kernel.ttys[id];
    if !tty.state.contains(State::CONNECTED) {
        return true;
    }
    let open = tty.state.contains(State::ISOPEN);
    let output = !tty.outq.is_empty() && !tty.state.contains(State::TTSTOP);
    let room = has_room(tty);
    let Some(pty) = tty.pty() else { return true };
    let ready = open
        && match which {
            Which::Read => output || pty.has_control(),
            Which::Except => pty.has_control(),
            Which::Write => room,
        };
    if !ready {
        let writes = which == Which::Write;
        let mut info = std::mem::take(if writes { &mut pty.selw } else { &mut pty.selr });
        selrecord(cx.kernel, cx.id, &mut info);
        if let Some(pty) = cx.kernel.ttys[id].pty() {
            *(if writes { &mut pty.selw } else { &mut pty.selr }) = info;
        }
    }
    ready
}

/// Whether input is taken now.  As in the original ICANON is looked for among the input modes.
fn has_room(tty: &Tty) -> bool {
    match &tty.driver {
        super::state::Driver::Pty(pty) if pty.remote => tty.canq.is_empty(),
        _ => tty.waiting() < TTYHOG - 2 || tty.canq.is_empty() && tty.iflag() & ICANON != 0,
    }
}

/// Whether the master must wait before one more character of input.
pub(super) fn is_full(tty: &Tty) -> bool {
    tty.waiting() >= TTYHOG - 2 && (!tty.canq.is_empty() || tty.iflag() & ICANON == 0)
}

/// Requests that pseudo terminals answer before others: `None` for those that go on (`ptyioctl`).
pub(super) fn ioctl(
    cx: &mut Context<'_>,
    id: TtyId,
    end: End,
    command: u32,
    data: &mut [u8],
) -> Option<Result<(), Errno>> {
    if command == request::TIOCEXT {
        external(cx.kernel, id, int(data) != 0);
        return Some(Ok(()));
    }
    if end == End::Master { master_ioctl(cx, id, command, data) } else { None }
}

fn external(kernel: &mut Kernel, id: TtyId, on: bool) {
    let tty = &mut kernel.ttys[id];
    let was = tty.has_local(EXTPROC);
    if let Some(pty) = tty.pty()
        && pty.packet
        && (on || was)
    {
        pty.send |= packet::IOCTL;
        wake_master(kernel, id, FREAD);
    }
    kernel.ttys[id].set_lflag(EXTPROC, on);
}

fn master_ioctl(cx: &mut Context<'_>, id: TtyId, command: u32, data: &mut [u8]) -> Option<Result<(), Errno>> {
    let on = int(data) != 0;
    let tty = &mut cx.kernel.ttys[id];
    let group = tty.pgrp;
    let pty = tty.pty()?;
    Some(match command {
        request::TIOCGPGRP => {
            let group = group.filter(|&g| cx.kernel.procs.group_exists(g));
            put(data, &group.map_or(0, |g| cx.kernel.procs.group(g).pgid))
        }
        request::TIOCPKT | request::TIOCUCNTL => {
            let packet = command == request::TIOCPKT;
            if on && (if packet { pty.user_control } else { pty.packet }) {
                return Some(Err(Errno::EINVAL));
            }
            *(if packet { &mut pty.packet } else { &mut pty.user_control }) = on;
            Ok(())
        }
        request::TIOCREMOTE => {
            pty.remote = on;
            flow::flush(cx.kernel, id, FREAD | FWRITE);
            Ok(())
        }
        request::TIOCSETP
        | request::TIOCSETN
        | request::TIOCSETD
        | request::TIOCSETA
        | request::TIOCSETAW
        | request::TIOCSETAF => {
            // Who sets modes must not wait for the output that only it reads.
            tty.outq.flush();
            return None;
        }
        request::TIOCSIG => send_signal(cx.kernel, id, int(data) as u32),
        _ => return None,
    })
}

fn send_signal(kernel: &mut Kernel, id: TtyId, signal: u32) -> Result<(), Errno> {
    if signal >= NSIG {
        return Err(Errno::EINVAL);
    }
    if !kernel.ttys[id].has_local(NOFLSH) {
        flow::flush(kernel, id, FREAD | FWRITE);
    }
    // The original falls over its own feet at signal 0; here it is none.
    if signal != 0 {
        flow::signal_foreground(kernel, id, signal);
    }
    if signal == SIGINFO && !kernel.ttys[id].has_local(NOKERNINFO) {
        info::print(kernel, id);
    }
    Ok(())
}

/// A request that nobody answers is for the master in user-control mode (UIOCCMD); false where it is not.
pub(super) fn user_request(kernel: &mut Kernel, id: TtyId, command: u32) -> bool {
    /// `_IO('u', n)`.
    const UIOCCMD: u32 = 0x2000_0000 | (b'u' as u32) << 8;
    let Some(pty) = kernel.ttys[id].pty() else { return false };
    if !pty.user_control || command & !0xff != UIOCCMD {
        return false;
    }
    if command & 0xff != 0 {
        pty.request = command as u8;
        wake_master(kernel, id, FREAD);
    }
    true
}

/// What the master learns after a request, whatever came of it.
pub(super) fn after_ioctl(kernel: &mut Kernel, id: TtyId, command: u32) {
    let tty = &mut kernel.ttys[id];
    let external = tty.has_local(EXTPROC);
    let stop = tty.iflag() & IXON != 0 && tty.is_key(key::VSTOP, 0x13) && tty.is_key(key::VSTART, 0x11);
    let Some(pty) = tty.pty() else { return };
    let mut wake = false;
    if external && pty.packet && sets_modes(command) {
        pty.send |= packet::IOCTL;
        wake = true;
    }
    if pty.nostop == stop {
        let (gone, come) =
            if stop { (packet::NOSTOP, packet::DOSTOP) } else { (packet::DOSTOP, packet::NOSTOP) };
        pty.send = pty.send & !gone | come;
        pty.nostop = !stop;
        wake = true;
    }
    if wake {
        wake_master(kernel, id, FREAD);
    }
}

fn sets_modes(command: u32) -> bool {
    matches!(
        command,
        request::TIOCSETA
            | request::TIOCSETAW
            | request::TIOCSETAF
            | request::TIOCSETP
            | request::TIOCSETN
            | request::TIOCSETC
            | request::TIOCSLTC
            | request::TIOCLBIS
            | request::TIOCLBIC
            | request::TIOCLSET
    )
}

/// What a packet begins with that is not output, as far as the master reads it: the byte, and behind the
/// news of changed modes the settings.
pub(super) fn control_packet(tty: &mut Tty) -> Option<Vec<u8>> {
    let termios = tty.termios;
    let pty = tty.pty()?;
    if pty.packet && pty.send != 0 {
        let mut bytes = vec![pty.send];
        if pty.send & packet::IOCTL != 0 {
            bytes.extend_from_slice(termios.as_bytes());
        }
        return Some(bytes);
    }
    (pty.user_control && pty.request != 0).then(|| vec![pty.request])
}

/// Forgets what [`control_packet`] gave.
pub(super) fn control_taken(tty: &mut Tty) {
    if let Some(pty) = tty.pty() {
        let which = if pty.packet && pty.send != 0 { &mut pty.send } else { &mut pty.request };
        *which = 0;
    }
}
