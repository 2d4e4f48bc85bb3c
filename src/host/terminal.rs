//! The door to the host's terminal: bytes, size, and its modes, which are put back.
//!
//! The terminal is opened on a description of its own, so that not waiting there does not make others not
//! wait.  It is made raw only when asked to and only in the foreground, and given back as it was found.
//!
//! Must not know the guest's form of settings.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::unistd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno as Linux;
use rustix::process::{Pid, Signal, kill_current_process_group};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcgetsid, tcgetwinsize, tcsetattr,
};

use super::door::{Door, Size};
use super::error::HostResult;
use super::fs::stat_of;
use super::inherit;
use super::watcher::{self, Watcher};

/// The first terminal that was made raw, and its modes before, for ends that nobody foresees.
static FIRST_TAKEN: OnceLock<(OwnedFd, Termios)> = OnceLock::new();

/// Puts the modes of a terminal back on a way out that drops nothing.  It may be called by a handler of a
/// signal: it allocates nothing and takes no locks.
pub fn put_back_at_once() {
    if let Some((fd, modes)) = FIRST_TAKEN.get()
        && tcgetpgrp(fd).map_or(true, is_ours)
    {
        let _ = tcsetattr(fd, OptionalActions::Now, modes);
    }
}

/// The host's terminal.  Its modes are put back when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    fd: OwnedFd,
    /// The description is our own: it never waits.
    own: bool,
    /// It is the controlling terminal of this process.
    controlling: bool,
    /// Its device, where that can be told.
    device: (u32, u32),
    /// What there is to know while its modes are ours.
    taken: Option<Taken>,
}

/// A terminal whose modes are ours.
#[derive(Debug)]
struct Taken {
    /// Modes that were there before.
    before: Termios,
    /// Ours, as the terminal took them.
    ours: Termios,
    /// Who puts them back if we cannot.
    watcher: Option<Watcher>,
}

impl Terminal {
    /// The terminal behind a descriptor, if it is one.
    pub fn new(fd: impl AsFd) -> Option<Self> {
        let fd = fd.as_fd();
        rustix::termios::isatty(fd).then_some(())?;
        let device = stat_of(fd).ok()?.rdev;
        let controlling = is_controlling(fd);
        let own = if controlling { open("/dev/tty") } else { reopen(fd) };
        let own = own.filter(|own| rustix::termios::isatty(own));
        let is_own = own.is_some();
        let fd = own.or_else(|| fd.try_clone_to_owned().ok())?;
        Some(Self { fd, own: is_own, controlling, device, taken: None })
    }

    /// The controlling terminal of this process, if it has one.
    pub fn controlling() -> Option<Self> {
        let fd = open("/dev/tty")?;
        let device = stat_of(fd.as_fd()).ok()?.rdev;
        Some(Self { fd, own: true, controlling: true, device, taken: None })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Door for Terminal {
    fn size(&self) -> Size {
        tcgetwinsize(&self.fd).map_or(Size::default(), |s| Size {
            rows: s.ws_row,
            columns: s.ws_col,
            width: s.ws_xpixel,
            height: s.ws_ypixel,
        })
    }

    fn habits(&self) -> Option<(u8, u32)> {
        let modes = tcgetattr(&self.fd).ok()?;
        Some((modes.special_codes[SpecialCodeIndex::VERASE], modes.output_speed()))
    }

    fn adds_returns(&self) -> bool {
        self.taken.is_none()
            && tcgetattr(&self.fd)
                .is_ok_and(|modes| modes.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR))
    }

    fn is(&self, fd: BorrowedFd<'_>) -> bool {
        if self.controlling && is_controlling(fd) {
            return true;
        }
        stat_of(fd).is_ok_and(|stat| stat.rdev == self.device) && rustix::termios::isatty(fd)
    }

    fn shares_keys(&self) -> bool {
        self.controlling
    }

    fn is_foreground(&self) -> bool {
        // Where the terminal is not the one that controls us, nobody is in the background, nor where it has hung up.
        !self.controlling || tcgetpgrp(&self.fd).map_or(true, is_ours)
    }

    fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Makes the terminal raw, if it is ours to use; whether it is raw now.
    fn take(&mut self) -> bool {
        if self.taken.is_some() {
            return true;
        }
        if !self.is_foreground() {
            return false;
        }
        let Ok(before) = tcgetattr(&self.fd) else { return false };
        let mut raw = before.clone();
        make_raw(&mut raw);
        if tcsetattr(&self.fd, OptionalActions::Now, &raw).is_err() {
            return false;
        }
        let ours = tcgetattr(&self.fd).unwrap_or(raw);
        if let Ok(fd) = self.fd.try_clone() {
            // Another terminal's modes are not put back by force.
            let _ = FIRST_TAKEN.set((fd, before.clone()));
        }
        // Who has no watcher is left with raw modes by SIGKILL, and by nothing else.
        let watcher = watcher::start(self.fd(), &before, &ours).ok();
        self.taken = Some(Taken { before, ours, watcher });
        true
    }

    /// SIGSTOP and the host's shell may have left it with modes of the shell's: these are the ones to be put
    /// back then.
    fn take_again(&mut self) {
        let Some(taken) = &self.taken else {
            self.take();
            return;
        };
        if tcgetattr(&self.fd).is_ok_and(|now| is_same(&now, &taken.ours)) {
            return;
        }
        self.taken = None;
        self.take();
    }

    /// Puts the modes back, unless somebody has changed them since.
    fn give_back(&mut self) {
        let Some(Taken { before, ours, watcher }) = self.taken.take() else { return };
        let still = tcgetattr(&self.fd).is_ok_and(|now| is_same(&now, &ours));
        if still && self.is_foreground() {
            // Nobody is left to tell if this fails.
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &before);
        }
        drop(watcher);
    }

    fn stop_in_background(&self) -> bool {
        if inherit::is_orphaned() || kill_current_process_group(Signal::TTIN).is_err() {
            return false;
        }
        // The last who could have continued us may have gone in between: the host has not stopped us then.
        self.is_foreground() || !inherit::is_orphaned()
    }

    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        if !self.own && !super::stdio::can_read(self.fd()) {
            return Err(Linux::AGAIN.into());
        }
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        /// What a terminal takes that says that it takes something.
        const ATOMIC: usize = 512;
        if self.own {
            return Ok(rustix::io::write(&self.fd, data)?);
        }
        if !super::stdio::can_write(self.fd()) {
            return Err(Linux::AGAIN.into());
        }
        Ok(rustix::io::write(&self.fd, data.get(..ATOMIC).unwrap_or(data))?)
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd())
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn open(path: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Another description of the same terminal.
fn reopen(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    use std::os::fd::AsRawFd;
    open(&format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Whether a process group is the one that we are in; ours has no number where its leader lies outside of our
/// name space of processes.
fn is_ours(group: Pid) -> bool {
    group.as_raw_pid() == unistd::getpgrp().as_raw()
}

fn is_controlling(fd: BorrowedFd<'_>) -> bool {
    let Some(ours) = unistd::getsid(None).ok().filter(|session| session.as_raw() != 0) else { return false };
    tcgetsid(fd).is_ok_and(|of_terminal| of_terminal.as_raw_pid() == ours.as_raw())
}

fn make_raw(modes: &mut Termios) {
    modes.input_modes -= InputModes::IGNBRK
        | InputModes::BRKINT
        | InputModes::PARMRK
        | InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON;
    modes.output_modes -= OutputModes::OPOST;
    modes.local_modes -=
        LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
}

/// Whether two descriptions of modes are the same.
pub(super) fn is_same(a: &Termios, b: &Termios) -> bool {
    let modes = |t: &Termios| (t.input_modes, t.output_modes, t.control_modes, t.local_modes);
    modes(a) == modes(b)
}
