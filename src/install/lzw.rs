//! The format of compress (`.Z`): LZW with codes of 9 to 16 bits, in groups of eight codes.
//!
//! No maintained crate reads it as a stream: those for GIF and TIFF know neither its header, its groups nor its code for
//! a new table.  Must not know what the bytes are.
//!
//! 2.1 counterpart: usr.bin/compress/zopen.c.

use std::io::{self, Read};

/// How a file begins.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x9d];
/// In the third byte: a code begins a new table; how long codes may be.
const BLOCKS: u8 = 0x80;
const BITS: u8 = 0x1f;
/// The code of a new table, and shortest and longest codes.
const CLEAR: usize = 256;
const SHORTEST: u32 = 9;
const LONGEST: u32 = 16;

/// Reads what was compressed.
pub(super) struct Decoder<R> {
    inner: R,
    /// Longest codes.
    most: u32,
    /// Whether [`CLEAR`] means a new table.
    blocks: bool,
    /// Bits of a code now, and codes of a group that were taken.
    width: u32,
    /// The group: as many bytes as codes have bits.
    group: Vec<u8>,
    /// Bits of it that were taken.
    taken: usize,
    /// The strings: the one before, and the last byte.
    prefix: Vec<u16>,
    suffix: Vec<u8>,
    previous: Option<usize>,
    /// First byte of the previous string.
    first: u8,
    /// What comes next, the last byte first.
    waiting: Vec<u8>,
}

impl<R: Read> Decoder<R> {
    /// Reads the header, of which nothing has been read.
    pub(super) fn new(mut inner: R) -> io::Result<Self> {
        let mut header = [0; 3];
        inner.read_exact(&mut header)?;
        let most = u32::from(header[2] & BITS);
        if !header.starts_with(&MAGIC) || !(SHORTEST..=LONGEST).contains(&most) {
            return Err(wrong());
        }
        let blocks = header[2] & BLOCKS != 0;
        let mut decoder = Self {
            inner,
            most,
            blocks,
            width: SHORTEST,
            group: Vec::new(),
            taken: 0,
            prefix: Vec::new(),
            suffix: Vec::new(),
            previous: None,
            first: 0,
            waiting: Vec::new(),
        };
        decoder.clear();
        Ok(decoder)
    }

    /// A new table: the single bytes, and the place of the code for a new table.
    fn clear(&mut self) {
        self.prefix.clear();
        self.suffix.clear();
        self.prefix.resize(if self.blocks { CLEAR + 1 } else { CLEAR }, 0);
        self.suffix.extend((0..=u8::MAX).chain(self.blocks.then_some(0)));
        self.previous = None;
    }

    /// Codes of other lengths begin with a group of their own.
    fn set_width(&mut self, width: u32) {
        self.width = width;
        self.group.clear();
        self.taken = 0;
    }

    /// The next code.
    fn code(&mut self) -> io::Result<Option<usize>> {
        if self.width < self.most && self.suffix.len() >= 1 << self.width {
            // The table needs longer ones from here on.
            self.set_width(self.width + 1);
        }
        let width = self.width as usize;
        if self.taken + width > self.group.len() * 8 {
            self.group.clear();
            self.taken = 0;
            (&mut self.inner).take(u64::from(self.width)).read_to_end(&mut self.group)?;
            if self.group.len() * 8 < width {
                return Ok(None);
            }
        }
        let bit = |at: usize| self.group.get(at / 8).map_or(0, |byte| usize::from(byte >> (at % 8) & 1));
        let code = (0..width).map(|n| bit(self.taken + n) << n).sum();
        self.taken += width;
        Ok(Some(code))
    }

    /// Makes the next string wait; whether there is one.
    fn string(&mut self) -> io::Result<bool> {
        let Some(mut code) = self.code()? else { return Ok(false) };
        while self.blocks && code == CLEAR {
            self.clear();
            self.set_width(SHORTEST);
            match self.code()? {
                Some(next) => code = next,
                None => return Ok(false),
            }
        }
        let known = self.suffix.len();
        let mut at = code;
        match self.previous {
            // The first code of a table is a byte.
            None if code > 255 => return Err(wrong()),
            None => {}
            Some(previous) if code == known => {
                self.waiting.push(self.first);
                at = previous;
            }
            Some(_) if code > known => return Err(wrong()),
            Some(_) => {}
        }
        while at > 255 {
            self.waiting.push(self.suffix.get(at).copied().ok_or_else(wrong)?);
            // A string's beginning is always older than itself.
            at = usize::from(self.prefix.get(at).copied().ok_or_else(wrong)?);
        }
        self.first = at as u8;
        self.waiting.push(self.first);
        if let Some(previous) = self.previous
            && known < 1 << self.most
        {
            self.prefix.push(previous as u16);
            self.suffix.push(self.first);
        }
        self.previous = Some(code);
        Ok(true)
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        for to in buffer.iter_mut() {
            if self.waiting.is_empty() && !self.string()? {
                break;
            }
            if let Some(byte) = self.waiting.pop() {
                *to = byte;
                done += 1;
            }
        }
        Ok(done)
    }
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not in the format of compress")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by compress 4.2 of "the cat and the dog and the cat and the dog\n", several times.
    const SMALL: &[u8] = include_bytes!("../../fixtures/media/small.Z");
    /// A text that fills a table of 9 to 12 bits and begins new ones.
    const LARGE: &[u8] = include_bytes!("../../fixtures/media/large.Z");

    fn expected(lines: usize) -> Vec<u8> {
        let mut seed = 1u32;
        let mut text = Vec::new();
        for _ in 0..lines {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            text.extend(format!("line {} of {}\n", seed >> 16 & 0x7fff, seed >> 8 & 0xff).bytes());
        }
        text
    }

    fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Decoder::new(bytes)?.take(1 << 24).read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn what_compress_made_is_read() {
        assert_eq!(unpack(SMALL).unwrap(), b"the cat and the dog and the cat and the dog\n");
        assert_eq!(unpack(LARGE).unwrap(), expected(6000));
    }

    #[test]
    fn damage_is_an_error_or_other_bytes() {
        assert!(unpack(b"\x1f\x9d").is_err());
        assert!(unpack(b"\x1f\x9d\x88\0\0\0").is_err(), "codes of 8 bits");
        assert!(unpack(b"\x1f\x9d\x90\xff\xff\xff\xff").is_err(), "a code that cannot be");
        for at in (0..LARGE.len()).step_by(97) {
            let mut wrong = LARGE.to_vec();
            wrong[at] ^= 0x55;
            let _ = unpack(&wrong);
            let _ = unpack(&LARGE[..at]);
        }
    }
}
