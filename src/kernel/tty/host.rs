//! The host's terminal as the other side of a line.
//!
//! Until a guest reads, selects or changes modes, the host's terminal keeps its own modes and its own keys;
//! from then on it is raw, and all keys come here.  Output goes out in the pieces in which the host takes
//! it: when it takes none, the queue fills and only the writer sleeps.
//!
//! Must not know line editing.  2.1 counterpart: i386/isa/syscons.c, its place.

use std::collections::VecDeque;

use syscalls::layout::Winsize;

use super::flow::{self, signal_foreground};
use super::settings::{flag, key};
use super::state::{State, TTYHOG};
use super::{TtyId, input, modem};
use crate::host::terminal::Terminal;
use crate::kernel::Kernel;
use crate::kernel::signal::SIGWINCH;
use crate::kernel::time::SECOND_NS;
use crate::kernel::vfs::VnodeId;

/// Bytes that wait for the host before the queue fills.
const PENDING: usize = 65536;
/// Bytes that are offered to the host at once.
const PIECE: usize = 4096;
/// Bytes of the queue that are taken before the end of a call.
const BATCH: usize = 1024;
/// Bytes of input that are taken at once, and that are kept for a queue that is full.
const INPUT: usize = 4096;
const AHEAD: usize = 1 << 20;
/// Time between two looks at the keys while guests compute.
const LOOK_NS: u64 = SECOND_NS / 1000;

/// A line to the host's terminal.
#[derive(Debug)]
pub struct Line {
    /// The terminal.
    pub door: Terminal,
    /// Its node.
    pub node: Option<VnodeId>,
    /// Output that the host has not taken.
    pending: VecDeque<u8>,
    /// Input that the queue has not taken.
    ahead: VecDeque<u8>,
    /// Keys are wanted: the terminal is to be raw whenever it is ours to use.
    wanted: bool,
    /// Nobody will type any more.
    gone: bool,
    /// When the keys are looked at next.
    next_look: u64,
}

impl Line {
    /// A line to a terminal.
    pub fn new(door: Terminal) -> Self {
        Self {
            door,
            node: None,
            pending: VecDeque::new(),
            ahead: VecDeque::new(),
            wanted: false,
            gone: false,
            next_look: 0,
        }
    }

    /// Whether keys come here.
    pub fn takes_keys(&self) -> bool {
        self.door.is_taken() && !self.gone && self.ahead.len() < AHEAD
    }

    /// Whether output waits for the host.
    pub fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl Kernel {
    /// Gives the guest a terminal of the host; gives its node.
    pub fn attach_terminal(&mut self, door: Terminal) -> VnodeId {
        let id = self.ttys.add(Line::new(door));
        let (_, minor) = self.ttys.device(id);
        let node = self.vfs.add_terminal(minor);
        if let Some(line) = self.ttys[id].host() {
            line.node = Some(node);
        }
        node
    }

    /// Makes the pseudo terminals; before anything runs, and before there is any other terminal.
    pub fn attach_ptys(&mut self, count: usize) {
        let count = count.min(super::MOST_PTYS);
        self.ttys.attach_ptys(count);
        self.vfs.add_ptys(super::DEFAULT_PTYS.min(count) as u32..count as u32);
    }
}

/// The size of the host's window, in the guest's form.
fn window(door: &Terminal) -> Winsize {
    let size = door.size();
    Winsize {
        row: size.rows.into(),
        col: size.columns.into(),
        xpixel: size.width.into(),
        ypixel: size.height.into(),
    }
}

/// What a first open adds to the defaults: the host's size, its speed and its erase character.
pub(super) fn opened(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    let Some(line) = tty.host() else { return };
    let (size, habits) = (window(&line.door), line.door.habits());
    tty.winsize = size;
    if let Some((erase, speed)) = habits {
        if erase != 0 {
            tty.termios.cc[key::VERASE] = erase;
        }
        if let Some(speed) = i32::try_from(speed).ok().filter(|&speed| speed > 0) {
            (tty.termios.ispeed, tty.termios.ospeed) = (speed.into(), speed.into());
            tty.set_water();
        }
    }
}

/// The host's window may have another size.
pub fn resized(kernel: &mut Kernel) {
    for id in kernel.ttys.hosts() {
        let tty = &mut kernel.ttys[id];
        let Some(size) = tty.host().map(|line| window(&line.door)) else { continue };
        if tty.state.contains(State::ISOPEN) && size != tty.winsize {
            tty.winsize = size;
            signal_foreground(kernel, id, SIGWINCH);
        }
    }
}

/// Somebody wants what is typed, or wants the terminal to be otherwise: from now on it is ours.
pub(super) fn wants_input(kernel: &mut Kernel, id: TtyId) {
    let Some(line) = kernel.ttys[id].host() else { return };
    line.wanted = true;
    if line.door.is_taken() {
        return;
    }
    if line.door.take() {
        take_keys(kernel, id);
    } else if !line.door.is_foreground() {
        line.door.stop_in_background();
    }
}

/// This program goes on after a stop, or is in the foreground again: its terminals are taken again.
pub fn take_again(kernel: &mut Kernel) {
    for id in kernel.ttys.hosts() {
        if let Some(line) = kernel.ttys[id].host()
            && line.wanted
        {
            line.door.take();
        }
    }
    resized(kernel);
}

/// Gives the terminals back, as they were found.
pub fn give_back(kernel: &mut Kernel) {
    for id in kernel.ttys.hosts() {
        flush(kernel, id);
        if let Some(line) = kernel.ttys[id].host() {
            line.door.give_back();
        }
    }
}

/// Takes output from the queue (`scstart`), which [`flush`] does at the end of each call anyway: so only when
/// there is much of it.
pub(super) fn start(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    if tty.outq.len() < BATCH || tty.state.contains(State::TTSTOP) {
        return;
    }
    let Some(line) = tty.host() else { return };
    if line.pending.len() >= PENDING {
        flush(kernel, id);
    }
    move_output(kernel, id);
}

/// Moves output from the queue to what waits for the host, as far as there is room.
fn move_output(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    let Some(line) = tty.host() else { return };
    let room = PENDING.saturating_sub(line.pending.len());
    let mut bytes = tty.outq.take(room);
    if bytes.last() == Some(&b'\r') && tty.outq.iter().next() == Some(u32::from(b'\n')) {
        // A return stays with its newline.
        bytes.extend(tty.outq.take(1));
    }
    if bytes.is_empty() {
        return;
    }
    // What goes beyond the allowance is taken and lost: the run is over.
    let allowed = kernel.account_output(bytes.len());
    let tty = &mut kernel.ttys[id];
    if let Some(line) = tty.host() {
        line.pending.extend(bytes.get(..allowed).unwrap_or_default());
        let waits = line.has_output();
        tty.state.set(State::BUSY, waits);
    }
    flow::wake_writers(kernel, id);
}

/// Offers what waits to the host, and what is in the queue.
pub fn flush(kernel: &mut Kernel, id: TtyId) {
    loop {
        if !kernel.ttys[id].state.contains(State::TTSTOP) {
            move_output(kernel, id);
        }
        let Some(line) = kernel.ttys[id].host().filter(|line| line.has_output()) else { return };
        let (written, lost) = send(line);
        let waits = line.has_output();
        kernel.wrote(written);
        kernel.ttys[id].state.set(State::BUSY, waits);
        if waits {
            return;
        }
        flow::wake_writers(kernel, id);
        if lost {
            hung_up(kernel, id);
            return;
        }
    }
}

/// Writes as much as the host takes; gives how much was written, and whether nobody takes anything any more.
fn send(line: &mut Line) -> (usize, bool) {
    let adds_returns = line.door.adds_returns();
    let mut written = 0;
    loop {
        let bytes: &[u8] = line.pending.make_contiguous();
        if bytes.is_empty() {
            return (written, false);
        }
        // No return is parted from its newline.
        let end = if bytes.get(PIECE) == Some(&b'\n') { PIECE + 1 } else { PIECE };
        let bytes = bytes.get(..end).unwrap_or(bytes);
        // The host makes the carriage returns while its modes are its own.
        let result = if adds_returns {
            let kept: Vec<u8> = kept_places(bytes).map(|at| bytes[at]).collect();
            let taken = |count| kept_places(bytes).nth(count).unwrap_or(bytes.len());
            let all = kept.len();
            line.door.write(&kept).map(|count| (count, if count == all { bytes.len() } else { taken(count) }))
        } else {
            line.door.write(bytes).map(|count| (count, count))
        };
        match result {
            Ok((count, taken)) => {
                written += count;
                line.pending.drain(..taken);
            }
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.would_block() => return (written, false),
            Err(_) => {
                line.pending.clear();
                return (written, true);
            }
        }
    }
}

/// Places of the bytes that are no carriage returns in front of newlines.
fn kept_places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    (0..bytes.len()).filter(|&at| bytes[at] != b'\r' || bytes.get(at + 1) != Some(&b'\n'))
}

/// Output is stopped or forgotten (`d_stop`).
pub(super) fn stopped(kernel: &mut Kernel, id: TtyId, what: u32) {
    let tty = &mut kernel.ttys[id];
    if what & flow::FWRITE == 0 {
        return;
    }
    if let Some(line) = tty.host() {
        line.pending.clear();
        tty.state.remove(State::BUSY);
    }
    if what & flow::FREAD != 0
        && let Some(line) = kernel.ttys[id].host()
    {
        line.ahead.clear();
    }
}

/// Whether output waits for a terminal of the host that is there.
pub fn is_sending(kernel: &Kernel) -> bool {
    let waits = |id| kernel.ttys.host_interest(id).is_some_and(|(_, _, write)| write);
    kernel.ttys.hosts().any(waits)
}

/// Looks at the keys and at what waits for the host, now and then, while guests compute.
#[inline]
pub fn look(kernel: &mut Kernel, now: u64) {
    for id in kernel.ttys.hosts() {
        if let Some(line) = kernel.ttys[id].host()
            && line.next_look <= now
        {
            line.next_look = now + LOOK_NS;
            service(kernel, id);
        }
    }
}

/// Takes keys and gives output.
pub fn service(kernel: &mut Kernel, id: TtyId) {
    flush(kernel, id);
    take_keys(kernel, id);
}

/// Takes what has been typed.
fn take_keys(kernel: &mut Kernel, id: TtyId) {
    let mut buffer = [0; INPUT];
    let mut gone = false;
    while let Some(line) = kernel.ttys[id].host().filter(|line| line.takes_keys()) {
        match line.door.read(&mut buffer) {
            Ok(0) => {
                gone = true;
                break;
            }
            Ok(count) => {
                line.ahead.extend(buffer.get(..count).unwrap_or_default());
                if count < INPUT {
                    break;
                }
            }
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.would_block() => break,
            // In the background the terminal is not ours to read.
            Err(_) if !line.door.is_foreground() => break,
            Err(_) => {
                gone = true;
                break;
            }
        }
    }
    feed(kernel, id);
    if gone {
        hung_up(kernel, id);
    }
    flush(kernel, id);
}

/// Enters typed characters as long as the queue takes them.
pub(super) fn feed(kernel: &mut Kernel, id: TtyId) {
    loop {
        let tty = &mut kernel.ttys[id];
        if !tty.state.contains(State::ISOPEN) {
            return;
        }
        let full = tty.waiting() >= TTYHOG - 2 && (!tty.canq.is_empty() || !tty.has_local(flag::ICANON));
        let Some(line) = tty.host() else { return };
        let next = if full { None } else { line.ahead.pop_front() };
        let Some(c) = next.or_else(|| signal_ahead(kernel, id)) else { return };
        input::input(kernel, id, u32::from(c));
    }
}

/// A key behind a full queue that sends a signal; what was typed before it is forgotten with the queue.
fn signal_ahead(kernel: &mut Kernel, id: TtyId) -> Option<u8> {
    let tty = &mut kernel.ttys[id];
    if !tty.has_local(flag::ISIG) || tty.has_local(flag::NOFLSH) {
        return None;
    }
    let keys = [key::VINTR, key::VQUIT, key::VSUSP].map(|place| tty.termios.cc[place]);
    let line = tty.host()?;
    let at = line.ahead.iter().position(|c| keys.contains(c) && *c != super::settings::DISABLED)?;
    line.ahead.drain(..at);
    line.ahead.pop_front()
}

/// Nobody is at the terminal any more.
fn hung_up(kernel: &mut Kernel, id: TtyId) {
    if let Some(line) = kernel.ttys[id].host()
        && !line.gone
    {
        line.gone = true;
        modem::modem(kernel, id, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_returns_in_front_of_newlines_are_left_to_the_host() {
        assert_eq!(kept_places(b"a\r\nb\rc\r\r\n").collect::<Vec<_>>(), [0, 2, 3, 4, 5, 6, 8]);
    }
}
