//! The other side of a line, as the terminal layer meets it: bytes both ways, a size, and whether it is ours to
//! use.
//!
//! The host's terminal is one; so are a person who has attached to a running machine, two streams that stand
//! for a terminal, and keys that were recorded.  No operation waits.
//!
//! Must not know the guest's form of settings, nor line editing.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use super::error::HostResult;
use super::escape::Wish;

/// Rows and columns, and the same in dots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// Width in dots.
    pub width: u16,
    /// Height in dots.
    pub height: u16,
}

/// The speed of a side that has none of its own.
pub const SPEED: u32 = 38400;

/// What the end of the keys means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Nobody is there any more: the line hangs up.
    HangUp,
    /// Nobody types any more, but somebody looks on: who reads lines finds the end of a file.
    EndOfFile,
    /// Nobody types any more, which nobody is told.
    Silence,
}

/// The other side of a line.
pub trait Door: Debug {
    /// The size of the window.
    fn size(&self) -> Size;

    /// The character that erases, 0 for the guest's own, and the output speed, where there are habits to keep.
    fn habits(&self) -> Option<(u8, u32)> {
        Some((0, SPEED))
    }

    /// Whether this side makes the carriage returns in front of newlines.
    fn adds_returns(&self) -> bool {
        false
    }

    /// Whether a descriptor is this terminal.
    fn is(&self, _fd: BorrowedFd<'_>) -> bool {
        false
    }

    /// Whether keys that send signals concern the host's processes beside us, too.
    fn shares_keys(&self) -> bool {
        false
    }

    /// Whether it is ours to use now.
    fn is_foreground(&self) -> bool {
        true
    }

    /// Whether keys come here.
    fn is_taken(&self) -> bool {
        true
    }

    /// Has keys come here, if it is ours to use; whether they do now.
    fn take(&mut self) -> bool {
        true
    }

    /// Has keys come here again after a stop, whatever has been done to it meanwhile.
    fn take_again(&mut self) {}

    /// Leaves it as it was found.
    fn give_back(&mut self) {}

    /// Stops this program as its shell stops one that reads in the background; false where nobody could continue it.
    fn stop_in_background(&self) -> bool {
        true
    }

    /// What the end of the keys means.
    fn at_end(&self) -> AtEnd {
        AtEnd::HangUp
    }

    /// Tells the guest's time, and whether nobody runs; gives when there is something to read, where that is known
    /// beforehand.
    fn look(&mut self, _now: u64, _quiet: bool) -> Option<u64> {
        None
    }

    /// Whether its size has changed since this was asked, of one that no signal tells about.
    fn resized(&mut self) -> bool {
        false
    }

    /// The terminal was closed by the last of its guests; whether it is of no further use.
    fn close(&mut self) -> bool {
        false
    }

    /// What the person at it wants of this program, and what can be wished.
    fn wish(&mut self) -> Option<(Wish, String)> {
        None
    }

    /// Reads what has been typed; `EAGAIN` where nothing has, 0 where nobody will type any more.
    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize>;

    /// Writes as much as goes without waiting; `EAGAIN` if nothing does.
    fn write(&mut self, data: &[u8]) -> HostResult<usize>;

    /// What is polled for keys.
    fn keys_fd(&self) -> Option<BorrowedFd<'_>>;

    /// What is polled for room for output.
    fn screen_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// The other side of a line that nobody is at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Door for Nobody {
    fn size(&self) -> Size {
        Size::default()
    }

    fn read(&mut self, _buffer: &mut [u8]) -> HostResult<usize> {
        Ok(0)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        Ok(data.len())
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
