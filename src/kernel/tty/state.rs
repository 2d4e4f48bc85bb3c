//! A terminal: its queues, its state and its settings.
//!
//! 2.1 counterpart: sys/tty.h.

use std::os::fd::BorrowedFd;

use bitflags::bitflags;
use syscalls::layout::{Termios, Winsize};

use super::clist::{CBSIZE, Clist, Slush};
use super::host::{Charset, Line};
use super::pty::Pty;
use super::settings::{default_settings, flag};
use crate::host::tape::{Question, Tape};
use crate::kernel::file::select::Selinfo;
use crate::kernel::proc::{PgrpId, SessionId};
use crate::kernel::vfs::VnodeId;

/// Most characters of input that wait, raw and canonical together (TTYHOG).
pub(super) const TTYHOG: usize = 1024;
/// Bytes of one piece of output (OBUFSIZ).
pub(super) const OBUFSIZ: usize = 100;
/// Largest high-water mark of output (TTMAXHIWAT), and the least (TTMINHIWAT).
const TTMAXHIWAT: usize = 2048usize.next_multiple_of(CBSIZE);
const TTMINHIWAT: usize = 100usize.next_multiple_of(CBSIZE);
/// Largest and least low-water mark of output.
const TTMAXLOWAT: i32 = 256;
const TTMINLOWAT: i32 = 32;

bitflags! {
    /// The state of a terminal (`t_state`), with the original's values.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct State: u32 {
        /// Somebody wants to know when output is at most at the low-water mark.
        const SO_OLOWAT = 0x1;
        /// SIGIO when there is input.
        const ASYNC = 0x2;
        /// The device has output that has not gone out.
        const BUSY = 0x4;
        /// The other side is there.
        const CARR_ON = 0x8;
        /// Open.
        const ISOPEN = 0x20;
        /// Further input was asked to stop.
        const TBLOCK = 0x40;
        /// Output is stopped.
        const TTSTOP = 0x100;
        /// For one use only (TIOCEXCL).
        const XCLUDE = 0x400;
        /// Inside of the count of a tab's columns.
        const CNTTB = 0x1000;
        /// Between the marks of erased characters (ECHOPRT).
        const ERASE = 0x2000;
        /// The next character is data.
        const LNCH = 0x4000;
        /// Waiting input is entered again.
        const TYPEN = 0x8000;
        /// Connected: carrier, or none needed.
        const CONNECTED = 0x2_0000;
        /// Somebody wants to know when all output has gone out.
        const SO_OCOMPLETE = 0x8_0000;
        /// The connection was lost.
        const ZOMBIE = 0x10_0000;
        /// Output is stopped by the carrier.
        const CAR_OFLOW = 0x20_0000;
        /// What an input flush forgets (TS_LOCAL).
        const LOCAL = Self::CNTTB.bits() | Self::ERASE.bits() | Self::LNCH.bits() | Self::TYPEN.bits();
    }
}

/// What is on the other side of the line.
#[derive(Clone, Debug)]
pub enum Driver {
    /// The master of a pseudo terminal.
    Pty(Pty),
    /// The host's terminal.
    Host(Line),
}

/// Which end of a line a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The terminal itself.
    Slave,
    /// The master of a pseudo terminal.
    Master,
}

/// A terminal (`struct tty`).
#[derive(Clone, Debug)]
pub struct Tty {
    /// Input as it comes.
    pub rawq: Clist,
    /// Lines that are complete.
    pub canq: Clist,
    /// Output.
    pub outq: Clist,
    /// Characters that came in other than canonical mode, in canonical mode, and that went out.
    pub counts: [u64; 3],
    /// Line discipline: 0 or 2, which are the same.
    pub line: i32,
    /// State.
    pub state: State,
    /// The old flags as they were set or asked for (`t_flags`).
    pub flags: u32,
    /// How long a drain waits, in ticks; 0 for as long as it takes.
    pub timeout: i32,
    /// The session that it controls.
    pub session: Option<SessionId>,
    /// The foreground group.
    pub pgrp: Option<PgrpId>,
    /// Who selects for reading, and for writing.
    pub rsel: Selinfo,
    /// See `rsel`.
    pub wsel: Selinfo,
    /// Settings.
    pub termios: Termios,
    /// Size.
    pub winsize: Winsize,
    /// Output column.
    pub column: i32,
    /// Characters of the line being typed that are on the screen as they were typed.
    pub rocount: i32,
    /// The column where that line began.
    pub rocol: i32,
    /// High-water mark of output.
    pub hiwat: usize,
    /// Low-water mark of output.
    pub lowat: usize,
    /// Counts last closes, so that sleepers learn of them.
    pub generation: u32,
    /// It has ever been opened: only then its driver is told to stop (`t_dev`).
    pub known: bool,
    /// References to either end that no open file stands for: of sessions, and of opens and closes that
    /// sleep.
    pub held: [u32; 2],
    /// The other side.
    pub driver: Driver,
}

impl Tty {
    /// A terminal that has never been open.
    pub fn new(driver: Driver, slush: &Slush) -> Self {
        Self {
            rawq: Clist::new(slush),
            canq: Clist::new(slush),
            outq: Clist::new(slush),
            counts: [0; 3],
            line: 0,
            state: State::empty(),
            flags: 0,
            timeout: 0,
            session: None,
            pgrp: None,
            rsel: Selinfo::default(),
            wsel: Selinfo::default(),
            termios: Termios::default(),
            winsize: Winsize::default(),
            column: 0,
            rocount: 0,
            rocol: 0,
            hiwat: 0,
            lowat: 0,
            generation: 0,
            known: false,
            held: [0; 2],
            driver,
        }
    }

    /// Input modes.
    #[inline]
    pub fn iflag(&self) -> u32 {
        self.termios.iflag.get()
    }

    /// Output modes.
    #[inline]
    pub fn oflag(&self) -> u32 {
        self.termios.oflag.get()
    }

    /// Control modes.
    #[inline]
    pub fn cflag(&self) -> u32 {
        self.termios.cflag.get()
    }

    /// Local modes.
    #[inline]
    pub fn lflag(&self) -> u32 {
        self.termios.lflag.get()
    }

    /// Sets or clears local modes.
    #[inline]
    pub fn set_lflag(&mut self, bits: u32, on: bool) {
        let lflag = self.termios.lflag.get();
        self.termios.lflag = if on { lflag | bits } else { lflag & !bits }.into();
    }

    /// Whether a bit of the local modes is set.
    #[inline]
    pub fn has_local(&self, bits: u32) -> bool {
        self.lflag() & bits != 0
    }

    /// Whether a character is the special character at a place (CCEQ).
    #[inline]
    pub fn is_key(&self, place: usize, c: u32) -> bool {
        self.termios.cc.get(place).is_some_and(|&key| key != super::settings::DISABLED && u32::from(key) == c)
    }

    /// Characters of input that wait.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.rawq.len() + self.canq.len()
    }

    /// Whether the driver is there to take output (`t_oproc`).
    #[inline]
    pub fn is_started(&self) -> bool {
        match &self.driver {
            Driver::Pty(pty) => pty.is_open,
            Driver::Host(_) => true,
        }
    }

    /// Whether the terminal of the host is ours to use, if it is one.
    pub fn is_in_hosts_foreground(&self, tape: &Tape) -> bool {
        match &self.driver {
            Driver::Host(line) => line.is_foreground(tape),
            Driver::Pty(_) => true,
        }
    }

    /// The other side, of a pseudo terminal.
    #[inline]
    pub fn pty(&mut self) -> Option<&mut Pty> {
        match &mut self.driver {
            Driver::Pty(pty) => Some(pty),
            Driver::Host(_) => None,
        }
    }

    /// The other side, of the host's terminal.
    #[inline]
    pub fn host(&mut self) -> Option<&mut Line> {
        match &mut self.driver {
            Driver::Host(line) => Some(line),
            Driver::Pty(_) => None,
        }
    }

    /// Gives a terminal the settings that it has after a first open.
    pub fn set_defaults(&mut self) {
        self.termios = default_settings();
        self.set_water();
    }

    /// Sets the marks so that about a second lies between them (`ttsetwater`).
    pub fn set_water(&mut self) {
        let per_second = self.termios.ospeed.get() / 10;
        let low = (per_second / 2).clamp(TTMINLOWAT, TTMAXLOWAT);
        let high = low.saturating_add(per_second).clamp(TTMINHIWAT as i32, TTMAXHIWAT as i32);
        self.lowat = low as usize;
        self.hiwat = (high as usize).next_multiple_of(CBSIZE);
    }

    /// Opens the terminal, or enters the standard line discipline again (`ttyopen`).
    pub fn open(&mut self) {
        self.known = true;
        if !self.state.contains(State::ISOPEN) {
            self.state.insert(State::ISOPEN);
            if self.cflag() & flag::CLOCAL != 0 {
                self.state.insert(State::CONNECTED);
            }
            self.winsize = Winsize::default();
        }
        self.canq.allocate(TTYHOG, 512);
        let output = TTMAXHIWAT + OBUFSIZ + 100;
        self.outq.allocate(output, output);
        self.rawq.allocate(TTYHOG, TTYHOG);
    }
}

/// The terminals of the machine.
#[derive(Clone, Debug, Default)]
pub struct Ttys {
    all: Vec<Tty>,
    /// Number of pseudo terminals; they come first.
    ptys: usize,
    slush: Slush,
    /// The terminal that the console's output goes to (`constty`).
    pub console: Option<usize>,
    /// The characters of the host's terminals.
    pub charset: Charset,
    /// Signals that keys of the host's terminal have sent to the first program's group, for the machine.
    pub pressed: Vec<u32>,
}

impl std::ops::Index<usize> for Ttys {
    type Output = Tty;

    fn index(&self, id: usize) -> &Tty {
        &self.all[id]
    }
}

impl std::ops::IndexMut<usize> for Ttys {
    fn index_mut(&mut self, id: usize) -> &mut Tty {
        &mut self.all[id]
    }
}

impl Ttys {
    /// Makes the pseudo terminals; before any other terminal.
    pub fn attach_ptys(&mut self, count: usize) {
        debug_assert!(self.all.len() == self.ptys, "pseudo terminals come first");
        self.ptys = count;
        self.all.truncate(count);
        while self.all.len() < count {
            self.all.push(Tty::new(Driver::Pty(Pty::default()), &self.slush));
        }
    }

    /// Adds the host's terminal; gives its number.
    pub fn add(&mut self, line: Line) -> usize {
        self.all.push(Tty::new(Driver::Host(line), &self.slush));
        self.all.len() - 1
    }

    /// A terminal, if there is one with this number.
    pub fn get(&self, id: usize) -> Option<&Tty> {
        self.all.get(id)
    }

    /// Number of terminals; the pseudo terminals come first.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of pseudo terminals.
    pub fn ptys(&self) -> usize {
        self.ptys
    }

    /// Numbers of the host's terminals.
    #[inline]
    pub fn hosts(&self) -> std::ops::Range<usize> {
        self.ptys..self.all.len()
    }

    /// The node of the host's terminal that a descriptor is.
    pub fn host_node(&self, tape: &Tape, fd: BorrowedFd<'_>) -> Option<VnodeId> {
        let is = |line: &&Line| tape.ask(Question::Terminal, true, || line.door.is(fd));
        self.lines().find(is).and_then(|line| line.node)
    }

    /// The node of the first of the host's terminals.
    pub fn first_host_node(&self) -> Option<VnodeId> {
        self.lines().next()?.node
    }

    /// The lines to the host's side.
    pub(in crate::kernel) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.all.iter().filter_map(|tty| match &tty.driver {
            Driver::Host(line) => Some(line),
            Driver::Pty(_) => None,
        })
    }

    /// What the host is to be asked about one of its terminals: whether something was typed (false), and whether
    /// it takes more output (true).
    pub fn host_interest(&self, tape: &Tape, id: usize) -> [Option<(BorrowedFd<'_>, bool)>; 2] {
        let Some(Tty { driver: Driver::Host(line), state, .. }) = self.all.get(id) else { return [None; 2] };
        let keys = line.door.keys_fd().filter(|_| line.takes_keys(tape));
        let sends = line.has_output() && !line.is_gone() && !state.contains(State::TTSTOP);
        let screen = line.door.screen_fd().filter(|_| sends);
        [keys.map(|fd| (fd, false)), screen.map(|fd| (fd, true))]
    }

    /// The pseudo terminal with this minor number.
    pub fn pty(&self, minor: u32) -> Option<usize> {
        usize::try_from(minor).ok().filter(|&n| n < self.ptys)
    }

    /// The terminal of the host with this minor number.
    pub fn virtual_console(&self, minor: u32) -> Option<usize> {
        usize::try_from(minor).ok()?.checked_add(self.ptys).filter(|&n| n < self.all.len())
    }

    /// Major and minor number of a terminal's device.
    pub fn device(&self, id: usize) -> (u32, u32) {
        if id < self.ptys { (5, id as u32) } else { (12, (id - self.ptys) as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_follow_the_speed() {
        let mut tty = Tty::new(Driver::Pty(Pty::default()), &Slush::default());
        tty.set_defaults();
        for (speed, marks) in [(9600, (1296, 256)), (1200, (216, 60)), (300, (108, 32)), (0, (108, 32))] {
            tty.termios.ospeed = speed.into();
            tty.set_water();
            assert_eq!((tty.hiwat, tty.lowat), marks, "{speed}");
        }
        tty.termios.ospeed = i32::MAX.into();
        tty.set_water();
        assert_eq!((tty.hiwat, tty.lowat), (2052, 256));
    }
}
