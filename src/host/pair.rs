//! Two streams that stand for a terminal where the host has none: keys come from one, and the other is the
//! screen.
//!
//! Must not know what is shown.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno as Linux;

use super::door::{AtEnd, Door, Size};
use super::error::HostResult;
use super::stdio::{Stream, can_read};
use super::tape::Tape;

/// The two streams; the first may be missing.
#[derive(Debug)]
pub struct Pair {
    keys: Option<OwnedFd>,
    screen: Option<Stream>,
    size: Size,
}

impl Pair {
    /// Standard input and output, as a terminal of a size.
    pub fn standard(size: Size) -> HostResult<Self> {
        let keys = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3).ok();
        Ok(Self { keys, screen: Stream::standard(1)?, size })
    }
}

impl Door for Pair {
    fn size(&self) -> Size {
        self.size
    }

    fn at_end(&self) -> AtEnd {
        AtEnd::EndOfFile
    }

    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        let Some(keys) = &self.keys else { return Ok(0) };
        if !can_read(keys.as_fd()) {
            return Err(Linux::AGAIN.into());
        }
        Ok(rustix::io::read(keys, buffer)?)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        match &self.screen {
            Some(screen) => screen.write(&Tape::default(), data),
            None => Ok(data.len()),
        }
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        self.keys.as_ref().map(|keys| keys.as_fd())
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        self.screen.as_ref().map(Stream::fd)
    }
}
