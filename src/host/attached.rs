//! A person at another terminal of the host who has attached to a running machine.
//!
//! What the machine shows goes to them as it is.  What they send comes in frames: a letter, a length of two
//! bytes (the lower first), and so many bytes: `k` for keys, `w` for the size of their window, as four numbers
//! of two bytes: rows, columns, and the same in dots.
//!
//! Must not know what is shown, nor who they are.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::door::{Door, Size};
use super::error::HostResult;

/// A frame of keys.
const KEYS: u8 = b'k';
/// A frame with a size.
const WINDOW: u8 = b'w';
/// Bytes of a frame before what it holds.
const HEADER: usize = 3;

/// Frames of keys.
pub fn keys(bytes: &[u8]) -> Vec<u8> {
    let frame = |piece: &[u8]| frame(KEYS, piece);
    bytes.chunks(usize::from(u16::MAX)).flat_map(frame).collect()
}

/// The frame with a size.
pub fn window(size: Size) -> Vec<u8> {
    let numbers = [size.rows, size.columns, size.width, size.height];
    frame(WINDOW, &numbers.map(u16::to_le_bytes).concat())
}

fn frame(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u16).to_le_bytes();
    [&[kind], &length[..], bytes].concat()
}

/// The machine's side of an attached terminal.
#[derive(Debug)]
pub struct Attached {
    stream: UnixStream,
    size: Size,
    resized: bool,
    /// Bytes that have come and are no whole frame yet, or no keys yet.
    received: Vec<u8>,
    typed: Vec<u8>,
}

impl Attached {
    /// A terminal of a size behind a connection whose operations do not wait.
    pub fn new(stream: UnixStream, size: Size) -> Self {
        Self { stream, size, resized: false, received: Vec::new(), typed: Vec::new() }
    }

    /// Takes the whole frames out of what has come; an unknown kind is skipped.
    fn unframe(&mut self) {
        let mut at = 0;
        while let Some([kind, low, high]) = self.received.get(at..at + HEADER) {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let from = at + HEADER;
            let Some(bytes) = self.received.get(from..from + length) else { break };
            match *kind {
                KEYS => self.typed.extend_from_slice(bytes),
                WINDOW => {
                    let number = |at: usize| match bytes.get(at..at + 2) {
                        Some([low, high]) => u16::from_le_bytes([*low, *high]),
                        _ => 0,
                    };
                    let size =
                        Size { rows: number(0), columns: number(2), width: number(4), height: number(6) };
                    self.resized |= size != self.size;
                    self.size = size;
                }
                _ => {}
            }
            at = from + length;
        }
        self.received.drain(..at);
    }
}

impl Door for Attached {
    fn size(&self) -> Size {
        self.size
    }

    fn resized(&mut self) -> bool {
        std::mem::take(&mut self.resized)
    }

    fn read(&mut self, buffer: &mut [u8]) -> HostResult<usize> {
        let mut piece = [0; 4096];
        while self.typed.is_empty() {
            let count = self.stream.read(&mut piece).map_err(host_error)?;
            if count == 0 {
                return Ok(0);
            }
            self.received.extend_from_slice(piece.get(..count).unwrap_or_default());
            self.unframe();
        }
        let count = self.typed.len().min(buffer.len());
        for (to, byte) in buffer.iter_mut().zip(self.typed.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> HostResult<usize> {
        self.stream.write(data).map_err(host_error)
    }

    fn close(&mut self) -> bool {
        // Nobody is left to tell if they are gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
        true
    }

    fn keys_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream.as_fd())
    }

    fn screen_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream.as_fd())
    }
}

fn host_error(error: io::Error) -> super::error::HostError {
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_sizes_come_out_of_frames_however_they_are_cut() {
        let (mut there, here) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let mut door = Attached::new(here, Size::default());
        let size = Size { rows: 25, columns: 80, width: 0, height: 0 };
        let mut buffer = [0; 2];
        let mut typed = Vec::new();
        for byte in [keys(b"abc"), window(size), keys(b"d")].concat() {
            there.write_all(&[byte]).unwrap();
            while let Ok(count) = door.read(&mut buffer) {
                typed.extend_from_slice(&buffer[..count]);
            }
        }
        assert_eq!(typed, b"abcd");
        assert!(door.resized() && !door.resized());
        assert_eq!(door.size(), size);
        drop(there);
        assert_eq!(door.read(&mut buffer).unwrap(), 0);
    }
}
