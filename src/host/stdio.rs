//! The door to what the emulator was started with: standard input, output and error.
//!
//! A stream is a terminal, a pipe or a file of the host, and stays what it is.  No operation waits: where
//! the host would block, it says so, and the scheduler polls.  A file's offset is the host's own, because
//! other programs of the same shell command share it.
//!
//! Must not know descriptors of a guest.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{self, Mode, OFlags, SeekFrom};
use rustix::io::Errno as Linux;

use super::error::{HostError, HostResult};
use super::fs::{HostKind, HostStat, stat_of};
use super::{change, memory};

/// Bytes that a ready pipe or terminal takes without waiting (PIPE_BUF).
const ATOMIC: usize = 4096;

/// What kind of thing a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// A terminal.
    Terminal,
    /// A pipe, fifo or socket.
    Pipe,
    /// A regular file.
    File,
    /// The null device.
    Null,
    /// Some other device.
    Device,
}

/// A host descriptor that a guest reads and writes.
#[derive(Clone, Debug)]
pub struct Stream {
    fd: Rc<OwnedFd>,
    /// What it is.
    pub kind: StreamKind,
    /// Open for reading.
    pub readable: bool,
    /// Open for writing.
    pub writable: bool,
    /// What is written stays with the run.
    kept: bool,
}

impl Stream {
    /// Standard input, output or error; `None` if the emulator was started without it.
    pub fn standard(number: u32) -> HostResult<Option<Stream>> {
        let fd = match number {
            0 => rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3),
            1 => rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 3),
            _ => rustix::io::fcntl_dupfd_cloexec(std::io::stderr().as_fd(), 3),
        };
        match fd {
            Ok(fd) => Stream::new(fd).map(Some),
            Err(Linux::BADF) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A stream of the guest's out of any descriptor.
    pub fn new(fd: OwnedFd) -> HostResult<Stream> {
        let stat = stat_of(fd.as_fd())?;
        let kind = match stat.kind {
            HostKind::Regular => StreamKind::File,
            HostKind::CharDevice if rustix::termios::isatty(&fd) => StreamKind::Terminal,
            HostKind::CharDevice if stat.rdev == (1, 3) => StreamKind::Null,
            HostKind::Fifo | HostKind::Socket => StreamKind::Pipe,
            _ => StreamKind::Device,
        };
        let access = fs::fcntl_getfl(&fd)? & OFlags::ACCMODE;
        let readable = access != OFlags::WRONLY;
        let writable = access != OFlags::RDONLY;
        Ok(Stream { fd: Rc::new(fd), kind, readable, writable, kept: false })
    }

    /// The same stream over another file, at the same offset.
    pub fn over(&self, file: OwnedFd) -> HostResult<Stream> {
        let stream = Stream { fd: Rc::new(file), ..*self };
        stream.seek(self.tell()?)?;
        Ok(stream)
    }

    /// The same file, which is read, with an offset of its own.
    pub fn opened_again(&self) -> HostResult<Stream> {
        let link = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.over(fs::open(link, flags, Mode::empty())?)
    }

    /// A copy of a file in memory, at the same offset.
    pub fn copied(&self) -> HostResult<Stream> {
        let copy = memory::content(&self.fd).and_then(|content| memory::file(&content));
        self.over(copy.map_err(|error| HostError::of_io(&error))?)
    }

    /// Whether what is written is kept with the run.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// What is written is kept with the run: no file of the host changes.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether the host puts what is written at the end.
    pub fn appends(&self) -> bool {
        fs::fcntl_getfl(&self.fd).is_ok_and(|flags| flags.contains(OFlags::APPEND))
    }

    /// The descriptor: for polling, and for the terminal layer.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What the host says about it.
    pub fn stat(&self) -> HostResult<HostStat> {
        stat_of(self.fd.as_fd())
    }

    /// Whether a read would return at once.
    pub fn can_read(&self) -> bool {
        self.kind == StreamKind::File || ready(self.fd(), PollFlags::IN)
    }

    /// Whether a write would return at once.
    pub fn can_write(&self) -> bool {
        self.kind == StreamKind::File || ready(self.fd(), PollFlags::OUT)
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> HostResult<u64> {
        Ok(rustix::io::ioctl_fionread(&self.fd)?)
    }

    /// Reads what is there; `EAGAIN` if nothing is there yet, 0 at the end.
    pub fn read(&self, buffer: &mut [u8]) -> HostResult<usize> {
        if !self.can_read() {
            return Err(Linux::AGAIN.into());
        }
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes as much as goes without waiting; `EAGAIN` if nothing does.
    pub fn write(&self, data: &[u8]) -> HostResult<usize> {
        self.note_change();
        if self.kind == StreamKind::File {
            return self.write_file(data);
        }
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            if !self.can_write() {
                break;
            }
            let piece = rest.get(..ATOMIC).unwrap_or(rest);
            match rustix::io::write(&self.fd, piece) {
                Ok(count) => done += count,
                Err(Linux::INTR) => {}
                Err(Linux::AGAIN) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        if done == 0 && !data.is_empty() { Err(Linux::AGAIN.into()) } else { Ok(done) }
    }

    /// The offset of a file; `ESPIPE` for anything else.
    pub fn tell(&self) -> HostResult<u64> {
        Ok(fs::tell(&self.fd)?)
    }

    /// Moves the offset of a file.
    pub fn seek(&self, offset: u64) -> HostResult<()> {
        fs::seek(&self.fd, SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Sets the size of a file.
    pub fn set_size(&self, size: u64) -> HostResult<()> {
        self.note_change();
        Ok(fs::ftruncate(&self.fd, size)?)
    }

    fn note_change(&self) {
        if !self.kept {
            change::note();
        }
    }

    fn write_file(&self, data: &[u8]) -> HostResult<usize> {
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.fd, rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Linux::INTR) => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

/// A stream to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Poll<'a> {
    fd: BorrowedFd<'a>,
    read: bool,
    write: bool,
}

impl<'a> Poll<'a> {
    /// Waits until something can be read or, with `write`, written.
    pub fn new(stream: &'a Stream, write: bool) -> Poll<'a> {
        Poll { fd: stream.fd(), read: !write, write }
    }

    /// Waits until something can be read, written, or either.
    pub fn either(fd: BorrowedFd<'a>, read: bool, write: bool) -> Poll<'a> {
        Poll { fd, read, write }
    }
}

/// Waits until one of the streams is ready, at most so many nanoseconds; says of each whether it is.
pub fn wait<'a>(polls: impl Iterator<Item = &'a Poll<'a>>, timeout_ns: Option<u64>) -> Vec<bool> {
    let events = |poll: &Poll<'_>| {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, poll.read);
        events.set(PollFlags::OUT, poll.write);
        events
    };
    let mut fds: Vec<PollFd<'a>> =
        polls.map(|poll| PollFd::from_borrowed_fd(poll.fd, events(poll))).collect();
    let timeout = timeout_ns
        .map(|ns| Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 });
    // An interrupted wait is over: the scheduler looks at its timers and comes back.
    let _ = poll(&mut fds, timeout.as_ref());
    fds.iter().map(|fd| !fd.revents().is_empty()).collect()
}

/// Whether a read from a descriptor would return at once.
pub(super) fn can_read(fd: BorrowedFd<'_>) -> bool {
    ready(fd, PollFlags::IN)
}

/// Whether a write to a descriptor would return at once.
pub(super) fn can_write(fd: BorrowedFd<'_>) -> bool {
    ready(fd, PollFlags::OUT)
}

fn ready(fd: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut fds, Some(&now)) {
            // Errors and hang-ups are for the read or write itself to report.
            Ok(count) => return count > 0,
            Err(Linux::INTR) => {}
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;

    #[test]
    fn an_empty_pipe_would_block_and_a_closed_one_ends() {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Stream::new(reader.into()).unwrap(), Stream::new(writer.into()).unwrap());
        assert_eq!((reader.kind, reader.readable, reader.writable), (StreamKind::Pipe, true, false));
        let mut buffer = [0; 8];
        assert!(reader.read(&mut buffer).unwrap_err().would_block());
        assert_eq!(writer.write(b"abc").unwrap(), 3);
        assert_eq!(reader.read(&mut buffer).unwrap(), 3);
        drop(writer);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_full_pipe_takes_a_part_and_then_would_block() {
        let (_reader, writer) = pipe().unwrap();
        let writer = Stream::new(writer.into()).unwrap();
        let data = vec![0; 1 << 20];
        let first = writer.write(&data).unwrap();
        assert!(first > 0 && first < data.len());
        assert!(writer.write(&data).unwrap_err().would_block());
    }

    #[test]
    fn a_file_is_written_at_the_hosts_own_offset() {
        let mut file = tempfile::tempfile().unwrap();
        use std::io::{Seek, Write};
        file.write_all(b"12345").unwrap();
        let stream = Stream::new(file.try_clone().unwrap().into()).unwrap();
        assert_eq!(stream.kind, StreamKind::File);
        stream.write(b"678").unwrap();
        assert_eq!(file.stream_position().unwrap(), 8);
    }
}
