//! The host's side of a line: the host's terminal, or whoever stands for it.
//!
//! Until a guest reads, selects or changes modes, the host's terminal keeps its own modes and its own keys;
//! from then on it is raw, and all keys come here.  [`output`] is the other direction.
//!
//! Must not know line editing.  2.1 counterpart: i386/isa/syscons.c, its place.

mod asked;
mod charset;
mod output;

pub use charset::Charset;
pub(super) use output::{call_is_over, start, write_through};
pub use output::{flush, flush_all};

use std::collections::VecDeque;

use syscalls::layout::Winsize;

use super::flow::{self, Awaited, signal_foreground};
use super::settings::{flag, key};
use super::state::{Driver, State, TTYHOG};
use super::{TtyId, input, modem};
use crate::host::door::{AtEnd, Door, Nobody};
use crate::host::escape::Wish;
use crate::host::tape::Tape;
use crate::host::terminal::Terminal;
use crate::kernel::Kernel;
use crate::kernel::proc::leader;
use crate::kernel::signal::SIGWINCH;
use crate::kernel::time::SECOND_NS;
use crate::kernel::vfs::VnodeId;

/// Bytes of input that are taken at once, and that are kept for a queue that is full.
const INPUT: usize = 4096;
const AHEAD: usize = 1 << 20;
/// Time between two looks at the keys while guests compute.
const LOOK_NS: u64 = SECOND_NS / 1000;

/// A line to the host's side.
#[derive(Debug)]
pub struct Line {
    /// The other side.
    pub door: Box<dyn Door>,
    /// Its node.
    pub node: Option<VnodeId>,
    /// Its characters.
    pub charset: Charset,
    /// Output that the host has not taken.
    pending: output::Pending,
    /// Input that the queue has not taken.
    ahead: VecDeque<u8>,
    reader: charset::Reader,
    /// Keys are wanted: the terminal is to be raw whenever it is ours to use.
    wanted: bool,
    /// Nobody will type any more.
    ended: bool,
    /// Nobody is there any more.
    gone: bool,
    /// Nor will anybody be: somebody else may have the terminal.
    vacant: bool,
    /// When the keys are looked at next.
    next_look: u64,
    /// What the other side was when it was asked last.
    known: asked::Known,
}

/// For copies of the kernel: nobody is at the other side of a copy's lines.
impl Clone for Line {
    fn clone(&self) -> Self {
        Self {
            door: Box::new(Nobody),
            node: self.node,
            charset: self.charset,
            pending: self.pending.clone(),
            ahead: self.ahead.clone(),
            reader: self.reader.clone(),
            wanted: self.wanted,
            ended: self.ended,
            gone: self.gone,
            vacant: self.vacant,
            next_look: self.next_look,
            known: asked::Known::default(),
        }
    }
}

impl Line {
    /// A line to the other side.
    pub fn new(door: Box<dyn Door>, charset: Charset) -> Self {
        Self {
            door,
            node: None,
            charset,
            pending: output::Pending::default(),
            ahead: VecDeque::new(),
            reader: charset::Reader::default(),
            wanted: false,
            ended: false,
            gone: false,
            vacant: false,
            next_look: 0,
            known: asked::Known::default(),
        }
    }

    /// Whether keys come here.
    pub fn takes_keys(&self, tape: &Tape) -> bool {
        self.is_taken(tape) && !self.gone && !self.ended && self.ahead.len() < AHEAD
    }

    /// Whether output waits for the host.
    pub fn has_output(&self) -> bool {
        self.pending.len() > 0
    }

    /// Lets go of the other side.
    fn vacate(&mut self) {
        self.door = Box::new(Nobody);
        self.pending.clear();
        (self.gone, self.vacant) = (true, true);
    }

    /// Whether nobody is there any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Kernel {
    /// Gives the guest a terminal of the host; gives its node.
    pub fn attach_terminal(&mut self, door: Box<dyn Door>) -> VnodeId {
        let mut line = Line::new(door, self.ttys.charset);
        if let Some((id, node)) = self.vacant_terminal() {
            line.node = Some(node);
            self.ttys[id].driver = Driver::Host(line);
            return node;
        }
        let id = self.ttys.add(line);
        let (_, minor) = self.ttys.device(id);
        let node = self.vfs.add_terminal(minor);
        if let Some(line) = self.ttys[id].host() {
            line.node = Some(node);
        }
        node
    }

    /// A terminal at which nobody is any more, and its node.
    fn vacant_terminal(&mut self) -> Option<(TtyId, VnodeId)> {
        self.ttys.hosts().find_map(|id| {
            let tty = &mut self.ttys[id];
            let closed = !tty.state.contains(State::ISOPEN);
            let node = tty.host().filter(|line| line.vacant && closed)?.node?;
            Some((id, node))
        })
    }

    /// Nobody is to be at the terminal of a session that does not begin.
    pub(in crate::kernel) fn vacate_terminal(&mut self, node: VnodeId) {
        if let Some((id, _)) = self.vfs.terminal_end(&self.ttys, node)
            && let Some(line) = self.ttys[id].host()
        {
            line.vacate();
        }
    }

    /// Makes the pseudo terminals; before anything runs, and before there is any other terminal.
    pub fn attach_ptys(&mut self, count: usize) {
        let count = count.min(super::MOST_PTYS);
        self.ttys.attach_ptys(count);
        self.vfs.add_ptys(super::DEFAULT_PTYS.min(count) as u32..count as u32);
    }
}

/// The size of the host's window, in the guest's form.
fn window(tape: &Tape, line: &Line) -> Winsize {
    let size = line.size(tape);
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
    let (size, habits) = (window(&kernel.tape, line), line.habits(&kernel.tape));
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
        let Some(size) = tty.host().map(|line| window(&kernel.tape, line)) else { continue };
        if tty.state.contains(State::ISOPEN) && size != tty.winsize {
            tty.winsize = size;
            signal_foreground(kernel, id, SIGWINCH);
        }
    }
}

/// Somebody wants what is typed, or wants the terminal to be otherwise: from now on it is ours.  False where it is
/// not and will not be: this program is in the background, and nobody could continue it if it stopped.
pub(super) fn wants_input(kernel: &mut Kernel, id: TtyId) -> bool {
    let Some(line) = kernel.ttys[id].host() else { return true };
    line.wanted = true;
    if line.is_taken(&kernel.tape) || line.gone {
        return true;
    }
    if line.take(&kernel.tape) {
        take_keys(kernel, id);
    } else if !line.is_foreground(&kernel.tape) {
        return line.stop_in_background(&kernel.tape);
    } else {
        // It is in nobody's way, and yet its modes cannot be had.
        keys_ended(kernel, id);
    }
    true
}

/// This program goes on after a stop, or is in the foreground again: its terminals are taken again.
pub fn take_again(kernel: &mut Kernel) {
    for id in kernel.ttys.hosts() {
        if let Some(line) = kernel.ttys[id].host()
            && line.wanted
        {
            line.door.take_again();
        }
    }
    resized(kernel);
}

/// The first terminal of a recording is this process's own from now on, where that is `lent`; the lines of others hang up.
pub fn go_live(kernel: &mut Kernel, lent: bool) {
    let hosts = kernel.ttys.hosts();
    // One process has one terminal.
    let mut own = if lent { Terminal::controlling() } else { None };
    for id in hosts {
        let Some(line) = kernel.ttys[id].host() else { continue };
        if let Some(door) = own.take() {
            line.door = Box::new(door);
            line.known = asked::Known::default();
            if line.wanted {
                line.door.take();
            }
        } else {
            line.known = asked::Known::default();
            keys_ended(kernel, id);
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

/// A key has sent a signal.  Where that is meant for the first program, it is meant for the job of the host's
/// shell of which this program is a part.
pub(super) fn pressed(kernel: &mut Kernel, id: TtyId, signal: u32) {
    let first = leader::first_group(kernel);
    let tty = &mut kernel.ttys[id];
    let (group, shares) = (tty.pgrp, tty.host().is_some_and(|line| line.shares_keys(&kernel.tape)));
    if shares && first.is_some() && group == first {
        kernel.ttys.pressed.push(signal);
    }
}

/// The last of its guests has closed the terminal.
pub(super) fn closed(kernel: &mut Kernel, id: TtyId) {
    if let Some(line) = kernel.ttys[id].host()
        && line.close(&kernel.tape)
    {
        line.vacate();
    }
}

/// What a person at one of the terminals wants of this program: the terminal, the wish, and what can be wished.
pub fn wish(kernel: &mut Kernel) -> Option<(TtyId, Wish, String)> {
    kernel.ttys.hosts().find_map(|id| {
        let (wish, help) = kernel.ttys[id].host()?.wish(&kernel.tape)?;
        Some((id, wish, help))
    })
}

/// Shows a text on a terminal of the host, past its guests.
pub fn show(kernel: &mut Kernel, id: TtyId, text: &[u8]) {
    flush(kernel, id);
    let plays = kernel.tape.plays();
    if let Some(line) = kernel.ttys[id].host().filter(|_| !plays) {
        // What is not taken at once is not worth waiting for.
        let _ = line.door.write(text);
    }
}

/// Whether output waits for somebody who is there.
pub fn is_sending(kernel: &Kernel) -> bool {
    kernel.ttys.hosts().any(|id| {
        let tty = kernel.ttys.get(id);
        tty.is_some_and(|tty| match &tty.driver {
            Driver::Host(line) => !line.gone && (line.has_output() || !tty.outq.is_empty()),
            Driver::Pty(_) => false,
        })
    })
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

/// When there is something to read, where that is known beforehand.
pub fn next_key(kernel: &mut Kernel) -> Option<u64> {
    let now = kernel.clock.uptime();
    let hosts = kernel.ttys.hosts();
    let next = hosts.filter_map(|id| {
        let next = if awaits_end(kernel, id) {
            now
        } else {
            let line = kernel.ttys[id].host().filter(|line| line.takes_keys(&kernel.tape))?;
            line.door.look(now, true)?
        };
        let line = kernel.ttys[id].host()?;
        // It is found there at the next look.
        line.next_look = line.next_look.min(next);
        Some(next)
    });
    next.min()
}

/// Takes keys and gives output.
pub fn service(kernel: &mut Kernel, id: TtyId) {
    flush(kernel, id);
    take_keys(kernel, id);
}

/// Takes what has been typed.
fn take_keys(kernel: &mut Kernel, id: TtyId) {
    let now = kernel.clock.uptime();
    let mut buffer = [0; INPUT];
    let mut ended = false;
    while let Some(line) = kernel.ttys[id].host().filter(|line| line.takes_keys(&kernel.tape)) {
        line.door.look(now, false);
        match line.read(&kernel.tape, &mut buffer) {
            Ok(0) => {
                ended = true;
                break;
            }
            Ok(count) => {
                let typed = line.reader.read(line.charset, buffer.get(..count).unwrap_or_default());
                line.ahead.extend(typed);
                if count < INPUT {
                    break;
                }
            }
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.would_block() => break,
            // In the background the terminal is not ours to read.
            Err(_) if !line.is_foreground(&kernel.tape) => break,
            Err(_) => {
                ended = true;
                break;
            }
        }
    }
    feed(kernel, id);
    if ended {
        keys_ended(kernel, id);
    }
    if kernel.ttys[id].host().is_some_and(|line| line.ended) {
        end_of_file(kernel, id);
    }
    if window_changed(kernel, id) {
        resized(kernel);
    }
    flush(kernel, id);
}

/// Whether the other side has told of another size; the host's own terminal has a signal for that.
fn window_changed(kernel: &mut Kernel, id: TtyId) -> bool {
    kernel.ttys[id].host().is_some_and(|line| line.resized(&kernel.tape))
}

/// Enters typed characters as long as the queue takes them, and keys that send signals in any case.
fn feed(kernel: &mut Kernel, id: TtyId) {
    refill(kernel, id);
    while let Some(c) = signal_ahead(kernel, id) {
        input::input(kernel, id, u32::from(c));
        refill(kernel, id);
    }
}

/// Enters characters that wait as long as the queue takes them: there is more room in it than there was.
pub(super) fn refill(kernel: &mut Kernel, id: TtyId) {
    loop {
        let tty = &mut kernel.ttys[id];
        let full = tty.waiting() >= TTYHOG - 2 && (!tty.canq.is_empty() || !tty.has_local(flag::ICANON));
        if full || !tty.state.contains(State::ISOPEN) {
            return;
        }
        let Some(c) = tty.host().and_then(|line| line.ahead.pop_front()) else { return };
        input::input(kernel, id, u32::from(c));
    }
}

/// A key behind a full queue that sends a signal; what was typed before it is forgotten with the queue.
fn signal_ahead(kernel: &mut Kernel, id: TtyId) -> Option<u8> {
    let tty = &mut kernel.ttys[id];
    let open = tty.state.contains(State::ISOPEN);
    if !open || !tty.has_local(flag::ISIG) || tty.has_local(flag::NOFLSH) {
        return None;
    }
    let keys = [key::VINTR, key::VQUIT, key::VSUSP].map(|place| tty.termios.cc[place]);
    let line = tty.host()?;
    let at = line.ahead.iter().position(|c| keys.contains(c) && *c != super::settings::DISABLED)?;
    line.ahead.drain(..at);
    line.ahead.pop_front()
}

/// Nobody will type any more.
fn keys_ended(kernel: &mut Kernel, id: TtyId) {
    let Some(line) = kernel.ttys[id].host() else { return };
    line.ended = true;
    if line.at_end(&kernel.tape) == AtEnd::HangUp {
        hung_up(kernel, id);
    }
}

/// Nobody types any more, but somebody looks on: who waits for a line finds the end of a file, and who waits
/// for keys nobody at the terminal.
fn end_of_file(kernel: &mut Kernel, id: TtyId) {
    if !awaits_end(kernel, id) {
        return;
    }
    let tty = &mut kernel.ttys[id];
    let (canonical, end) = (tty.has_local(flag::ICANON), tty.termios.cc[key::VEOF]);
    let reads = kernel.sleepers.holds(flow::channel(id, Awaited::Input));
    if reads && canonical && end != super::settings::DISABLED {
        input::input(kernel, id, u32::from(end));
    } else {
        hung_up(kernel, id);
    }
}

/// Whether somebody waits for keys where nobody types any more.  Who begins to wait after the last key has not been told
/// of the end yet.
fn awaits_end(kernel: &mut Kernel, id: TtyId) -> bool {
    let tty = &mut kernel.ttys[id];
    let (empty, selects) = (tty.waiting() == 0, tty.rsel.is_noted());
    let ended = |line: &mut Line| {
        line.ended && !line.gone && line.ahead.is_empty() && line.at_end(&kernel.tape) == AtEnd::EndOfFile
    };
    empty
        && tty.host().is_some_and(ended)
        && (selects || kernel.sleepers.holds(flow::channel(id, Awaited::Input)))
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
