//! The tracer's look into guest memory: bounded, and never a fault.
//!
//! Must not know processes.  What cannot be read is `None`, and the tracer prints its address.

use zerocopy::FromBytes;

use crate::mem::AddressSpace;

/// Memory that a tracer can look into.
pub trait Memory {
    /// Fills `buf` from `addr`; says whether all of it could be read.
    fn read(&self, addr: u32, buf: &mut [u8]) -> bool;
}

impl Memory for AddressSpace {
    fn read(&self, addr: u32, buf: &mut [u8]) -> bool {
        self.peek(addr, buf).is_ok()
    }
}

/// Memory that is not there: every look fails.
#[derive(Clone, Copy, Debug)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn read(&self, _addr: u32, _buf: &mut [u8]) -> bool {
        false
    }
}

/// Bytes of a page; a look never asks for more than one at a time where it can stop early.
const PAGE: u32 = 4096;

/// `len` bytes, all or nothing.  Callers bound `len`.
pub fn bytes(memory: &dyn Memory, addr: u32, len: usize) -> Option<Vec<u8>> {
    let mut buf = vec![0; len];
    memory.read(addr, &mut buf).then_some(buf)
}

/// A structure.
pub fn value<T: FromBytes>(memory: &dyn Memory, addr: u32) -> Option<T> {
    T::read_from_bytes(&bytes(memory, addr, size_of::<T>())?).ok()
}

/// A word.
pub fn word(memory: &dyn Memory, addr: u32) -> Option<u32> {
    let mut buf = [0; 4];
    memory.read(addr, &mut buf).then_some(u32::from_le_bytes(buf))
}

/// The text at `addr` up to NUL, at most `limit` bytes; and whether there is more.
pub fn text(memory: &dyn Memory, addr: u32, limit: usize) -> Option<(Vec<u8>, bool)> {
    let mut found = Vec::new();
    let mut at = addr;
    loop {
        let in_page = (PAGE - at % PAGE) as usize;
        let piece = bytes(memory, at, in_page.min(limit + 1 - found.len()))?;
        if let Some(end) = piece.iter().position(|&b| b == 0) {
            found.extend_from_slice(&piece[..end]);
            let more = found.len() > limit;
            found.truncate(limit);
            return Some((found, more));
        }
        at = at.wrapping_add(piece.len() as u32);
        found.extend(piece);
        if found.len() > limit {
            found.truncate(limit);
            return Some((found, true));
        }
    }
}

/// Memory of a test: one run of bytes at an address.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) addr: u32,
    pub(crate) bytes: Vec<u8>,
}

#[cfg(test)]
impl Memory for Piece {
    fn read(&self, addr: u32, buf: &mut [u8]) -> bool {
        let Some(from) = addr.checked_sub(self.addr) else { return false };
        let from = from as usize;
        match self.bytes.get(from..).and_then(|b| b.get(..buf.len())) {
            Some(part) => {
                buf.copy_from_slice(part);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_nul_at_the_limit_or_not_at_all() {
        let m = Piece { addr: 0x1000, bytes: [&[b'x'; 4090][..], b"hello\0"].concat() };
        let last = Some((b"hello".to_vec(), false));
        assert_eq!(text(&m, 0x1000 + 4090, 32), last, "a look does not go past the page that ends the text");
        let m = Piece { addr: 0x1000, bytes: [b"hello\0".as_slice(), &[0; 8192]].concat() };
        assert_eq!(text(&m, 0x1000, 32), Some((b"hello".to_vec(), false)));
        assert_eq!(text(&m, 0x1000, 5), Some((b"hello".to_vec(), false)));
        assert_eq!(text(&m, 0x1000, 4), Some((b"hell".to_vec(), true)));
        assert_eq!(text(&m, 0, 4), None);
        assert_eq!(text(&m, u32::MAX, 4), None);
    }
}
