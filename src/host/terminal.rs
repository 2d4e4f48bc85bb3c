//! The door to the host's terminal: settings, size, and putting back what was there.
//!
//! Must not know the guest's form of settings.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

pub use rustix::termios::{
    InputModes, LocalModes, OutputModes, SpecialCodeIndex, SpecialCodes, Termios as HostSettings,
};
use rustix::termios::{
    OptionalActions, QueueSelector, Winsize as HostSize, tcflush, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

use super::error::HostResult;

/// When new settings take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Now.
    Now,
    /// When what was written has gone out.
    Drain,
    /// As [`When::Drain`], and what was typed and not read is forgotten.
    Flush,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// The host's terminal.  Its settings are put back when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    fd: OwnedFd,
    /// Settings that were there before ours, while ours are in force.
    saved: Option<HostSettings>,
    /// The last settings of ours.
    ours: Option<HostSettings>,
}

/// The first terminal whose settings were changed, and what they were, for ends that nobody foresees.
static FIRST_CHANGED: OnceLock<(OwnedFd, HostSettings)> = OnceLock::new();

/// Puts the settings of a terminal back on a way out that drops nothing.  It may be called by a handler of
/// a signal: it allocates nothing and takes no locks.
pub fn put_back_at_once() {
    if let Some((fd, settings)) = FIRST_CHANGED.get()
        && is_foreground(fd)
    {
        let _ = tcsetattr(fd, OptionalActions::Now, settings);
    }
}

/// Whether our process group may use a terminal: it is in its foreground, or is not controlled by it.
fn is_foreground(fd: &OwnedFd) -> bool {
    tcgetpgrp(fd).map_or(true, |group| group == rustix::process::getpgrp())
}

impl Terminal {
    /// The terminal behind a descriptor, if it is one.
    pub fn new(fd: impl AsFd) -> Option<Self> {
        let fd = fd.as_fd();
        rustix::termios::isatty(fd).then_some(())?;
        let fd = fd.try_clone_to_owned().ok()?;
        Some(Self { fd, saved: None, ours: None })
    }

    /// The settings in force.
    pub fn settings(&self) -> Option<HostSettings> {
        tcgetattr(&self.fd).ok()
    }

    /// Changes the settings.
    pub fn set(&mut self, settings: &HostSettings, when: When) -> HostResult<()> {
        if self.saved.is_none() {
            self.saved = self.settings();
            if let (Some(saved), Ok(fd)) = (&self.saved, self.fd.try_clone()) {
                // Another terminal's settings are not put back by force.
                let _ = FIRST_CHANGED.set((fd, saved.clone()));
            }
        }
        self.ours = Some(settings.clone());
        let when = match when {
            When::Now => OptionalActions::Now,
            When::Drain => OptionalActions::Drain,
            When::Flush => OptionalActions::Flush,
        };
        Ok(tcsetattr(&self.fd, when, settings)?)
    }

    /// Whether our process group is in the foreground.
    pub fn is_foreground(&self) -> bool {
        is_foreground(&self.fd)
    }

    /// Puts back the settings that were there before ours.  In the background they are somebody else's.
    pub fn give_back(&mut self) {
        if let Some(saved) = self.saved.take()
            && self.is_foreground()
        {
            // There is nobody to tell if this fails.
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &saved);
        }
    }

    /// Sets the last settings of ours again, in the foreground; what is there now is what is put back later.
    pub fn take_again(&mut self) {
        if let Some(ours) = self.ours.clone()
            && self.is_foreground()
        {
            self.saved = self.settings();
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &ours);
        }
    }

    /// Forgets what was typed and not read, or what was written and has not gone out.
    pub fn flush(&self, input: bool, output: bool) {
        let queue = match (input, output) {
            (true, true) => QueueSelector::IOFlush,
            (true, false) => QueueSelector::IFlush,
            (false, true) => QueueSelector::OFlush,
            (false, false) => return,
        };
        // A terminal that cannot flush has nothing to forget.
        let _ = tcflush(&self.fd, queue);
    }

    /// The size of the window.
    pub fn size(&self) -> Size {
        tcgetwinsize(&self.fd).map_or(Size::default(), |s| Size { rows: s.ws_row, columns: s.ws_col })
    }

    /// Tells the terminal another size.
    pub fn set_size(&self, size: Size) -> HostResult<()> {
        let size = HostSize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.fd, size)?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}
