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
use super::fs::{HostKind, HostStat, HostTime, stat_of};
use super::tape::{Answer, Question, Tape};
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
    /// The number of the standard stream that it stands for, or [`NO_STANDARD`].
    pub number: u8,
    /// What the host has said about it, where that is not asked again.
    frozen: Option<HostStat>,
    /// The host puts what is written at the end.
    appends: bool,
    /// What is written stays with the run.
    kept: bool,
}

/// The number of a stream that is none of the standard ones.
pub const NO_STANDARD: u8 = 9;

/// What a run that is recorded knows of a stream: what it is, and what the host says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    number: u8,
    stat: HostStat,
    kind: StreamKind,
    readable: bool,
    writable: bool,
    appends: bool,
}

impl Answer for Facts {
    fn put(&self, to: &mut Vec<u8>) {
        let stat = &self.stat;
        let flags = u8::from(self.readable) | u8::from(self.writable) << 1 | u8::from(self.appends) << 2;
        (self.number, self.kind as u8, flags, stat.kind as u8).put(to);
        (stat.dev, stat.ino, stat.perm, stat.nlink).put(to);
        (stat.uid, stat.gid, stat.rdev).put(to);
        (stat.size, stat.blocks).put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (number, kind, flags, of_host): (u8, u8, u8, u8) = Answer::get(from)?;
        let (dev, ino, perm, nlink) = Answer::get(from)?;
        let (uid, gid, rdev) = Answer::get(from)?;
        let (size, blocks) = Answer::get(from)?;
        let kinds =
            [StreamKind::Terminal, StreamKind::Pipe, StreamKind::File, StreamKind::Null, StreamKind::Device];
        let stat = HostStat {
            dev,
            ino,
            kind: HostKind::of_number(of_host)?,
            perm,
            nlink,
            uid,
            gid,
            rdev,
            size,
            blocks,
            atime: HostTime::default(),
            mtime: HostTime::default(),
            ctime: HostTime::default(),
        };
        let kind = *kinds.get(usize::from(kind))?;
        let flag = |bit: u8| flags & bit != 0;
        Some(Self { number, stat, kind, readable: flag(1), writable: flag(2), appends: flag(4) })
    }
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
        let appends = fs::fcntl_getfl(&fd)?.contains(OFlags::APPEND);
        Ok(Stream {
            fd: Rc::new(fd),
            kind,
            readable,
            writable,
            number: NO_STANDARD,
            frozen: None,
            appends,
            kept: false,
        })
    }

    /// Freezes what the host says about it, for a run that is recorded; gives what is known of it.
    pub fn freeze(&mut self) -> HostResult<Facts> {
        let stat = self.stat()?;
        self.frozen = Some(stat);
        let Stream { number, kind, readable, writable, appends, .. } = *self;
        Ok(Facts { number, stat, kind, readable, writable, appends })
    }

    /// A stream of a recording that is played: nothing of the host is behind it.
    pub fn played(facts: &Facts) -> HostResult<Stream> {
        let fd = fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let Facts { number, stat, kind, readable, writable, appends } = *facts;
        Ok(Stream {
            fd: Rc::new(fd),
            kind,
            readable,
            writable,
            number,
            frozen: Some(stat),
            appends,
            kept: false,
        })
    }

    /// From now on it is the standard stream of this process; what was none is a pipe that nobody is at.
    pub fn go_live(&mut self) {
        if let Ok(Some(standard)) =
            Stream::standard(u32::from(self.number)).map(|s| s.filter(|_| self.number < 3))
        {
            (self.fd, self.kind) = (standard.fd, standard.kind);
        }
    }

    /// The same stream over another file, at the same offset.
    pub fn over(&self, file: OwnedFd) -> HostResult<Stream> {
        let stream = Stream { fd: Rc::new(file), ..*self };
        fs::seek(&stream.fd, SeekFrom::Start(fs::tell(&self.fd)?))?;
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
        self.appends
    }

    /// The descriptor: for polling, and for the terminal layer.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What the host says about it.
    pub fn stat(&self) -> HostResult<HostStat> {
        match self.frozen {
            Some(stat) => Ok(stat),
            None => stat_of(self.fd.as_fd()),
        }
    }

    fn takes_now(&self) -> bool {
        self.kind == StreamKind::File || ready(self.fd(), PollFlags::OUT)
    }

    fn gives_now(&self) -> bool {
        self.kind == StreamKind::File || ready(self.fd(), PollFlags::IN)
    }

    /// Whether a read would return at once.
    pub fn can_read(&self, tape: &Tape) -> bool {
        tape.ask(Question::Stream, false, || self.gives_now())
    }

    /// Whether a write would return at once.
    pub fn can_write(&self, tape: &Tape) -> bool {
        tape.ask(Question::Stream, true, || self.takes_now())
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self, tape: &Tape) -> HostResult<u64> {
        tape.ask(Question::Stream, Ok(0), || Ok(rustix::io::ioctl_fionread(&self.fd)?))
    }

    /// Reads what is there; `EAGAIN` if nothing is there yet, 0 at the end.
    pub fn read(&self, tape: &Tape, buffer: &mut [u8]) -> HostResult<usize> {
        if !tape.is_on() {
            return self.read_now(buffer);
        }
        let bytes = tape.ask(Question::StreamRead, Err(HostError::WOULD_BLOCK), || {
            let mut bytes = vec![0; buffer.len()];
            let count = self.read_now(&mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        })?;
        buffer.iter_mut().zip(&bytes).for_each(|(to, byte)| *to = *byte);
        Ok(bytes.len().min(buffer.len()))
    }

    fn read_now(&self, buffer: &mut [u8]) -> HostResult<usize> {
        if !self.gives_now() {
            return Err(Linux::AGAIN.into());
        }
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes as much as goes without waiting; `EAGAIN` if nothing does.
    pub fn write(&self, tape: &Tape, data: &[u8]) -> HostResult<usize> {
        if !tape.is_on() {
            return self.write_now(data);
        }
        let count = tape.ask(Question::StreamWrite, Ok(data.len()), || self.write_now(data))?;
        let given = data.get(..count).unwrap_or(data);
        tape.gave(self.number, given);
        Ok(given.len())
    }

    fn write_now(&self, data: &[u8]) -> HostResult<usize> {
        self.note_change();
        if self.kind == StreamKind::File {
            return self.write_file(data);
        }
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            if !self.takes_now() {
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
    pub fn tell(&self, tape: &Tape) -> HostResult<u64> {
        if self.kind == StreamKind::Pipe {
            return Err(Linux::SPIPE.into());
        }
        tape.ask(Question::Stream, Err(HostError(Linux::SPIPE)), || Ok(fs::tell(&self.fd)?))
    }

    /// Moves the offset of a file.
    pub fn seek(&self, tape: &Tape, offset: u64) -> HostResult<()> {
        tape.ask(Question::Stream, Ok(()), || {
            fs::seek(&self.fd, SeekFrom::Start(offset))?;
            Ok(())
        })
    }

    /// Sets the size of a file.
    pub fn set_size(&self, size: u64) -> HostResult<()> {
        self.note_change();
        let done = fs::ftruncate(&self.fd, size);
        // What a recorded run is told does not depend on who is behind the stream.
        if self.frozen.is_some() { Ok(()) } else { Ok(done?) }
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
        let off = Tape::default();
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Stream::new(reader.into()).unwrap(), Stream::new(writer.into()).unwrap());
        assert_eq!((reader.kind, reader.readable, reader.writable), (StreamKind::Pipe, true, false));
        let mut buffer = [0; 8];
        assert!(reader.read(&off, &mut buffer).unwrap_err().would_block());
        assert_eq!(writer.write(&off, b"abc").unwrap(), 3);
        assert_eq!(reader.read(&off, &mut buffer).unwrap(), 3);
        drop(writer);
        assert_eq!(reader.read(&off, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_full_pipe_takes_a_part_and_then_would_block() {
        let off = Tape::default();
        let (_reader, writer) = pipe().unwrap();
        let writer = Stream::new(writer.into()).unwrap();
        let data = vec![0; 1 << 20];
        let first = writer.write(&off, &data).unwrap();
        assert!(first > 0 && first < data.len());
        assert!(writer.write(&off, &data).unwrap_err().would_block());
    }

    #[test]
    fn a_file_is_written_at_the_hosts_own_offset() {
        let off = Tape::default();
        let mut file = tempfile::tempfile().unwrap();
        use std::io::{Seek, Write};
        file.write_all(b"12345").unwrap();
        let stream = Stream::new(file.try_clone().unwrap().into()).unwrap();
        assert_eq!(stream.kind, StreamKind::File);
        stream.write(&off, b"678").unwrap();
        assert_eq!(file.stream_position().unwrap(), 8);
    }
}
