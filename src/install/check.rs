//! Sums of pieces: cksum of POSIX as in `bin.inf`, MD5 as in CHECKSUM.MD5.
//!
//! `bin.inf` of 2.0.5 to 2.2 says `Pieces = 3` and, of each piece, `cksum.aa = 1234567 240640`: sum and size, as cksum
//! prints them (sysinstall's dist.c reads the size behind the blank).  Older media have a list of cksum's own lines.

use std::collections::HashMap;
use std::io::{self, Read};

use md5::{Digest, Md5};

/// Largest file of sums.
const LARGEST: u64 = 4 << 20;

/// What a medium says of its pieces, by their names in small letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Number of pieces.
    pub pieces: Option<usize>,
    /// Sum and size.
    cksum: HashMap<String, (u32, Option<u64>)>,
    md5: HashMap<String, String>,
}

impl Sums {
    /// Adds what a `.inf` file of a set says.
    pub(super) fn read_inf(&mut self, stem: &str, from: impl Read) -> io::Result<()> {
        for line in lines(from)? {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            if key.eq_ignore_ascii_case("pieces") {
                self.pieces = value.parse().ok();
            } else if let Some(piece) = key.strip_prefix("cksum.") {
                let mut words = value.split_ascii_whitespace();
                if let Some(sum) = words.next().and_then(|sum| sum.parse().ok()) {
                    let size = words.next().and_then(|size| size.parse().ok());
                    self.cksum.insert(format!("{stem}.{piece}").to_ascii_lowercase(), (sum, size));
                }
            }
        }
        Ok(())
    }

    /// Adds what a list of sums says: `MD5 (name) = sum`, md5sum's and cksum's own lines.
    pub(super) fn read_list(&mut self, from: impl Read) -> io::Result<()> {
        for line in lines(from)? {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["MD5", name, "=", sum] => {
                    let name = name.trim_start_matches('(').trim_end_matches(')');
                    self.md5.insert(last(name), sum.to_ascii_lowercase());
                }
                [sum, name] if sum.len() == 32 && sum.bytes().all(|c| c.is_ascii_hexdigit()) => {
                    self.md5.insert(last(name.trim_start_matches('*')), sum.to_ascii_lowercase());
                }
                [sum, size, name] => {
                    if let (Ok(sum), Ok(size)) = (sum.parse(), size.parse()) {
                        self.cksum.entry(last(name)).or_insert((sum, Some(size)));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether anything is said of a piece.
    pub(super) fn know(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.cksum.contains_key(&name) || self.md5.contains_key(&name)
    }

    /// Reads a piece to its end and compares; what is wrong is said.
    pub(super) fn verify(&self, name: &str, mut from: impl Read) -> io::Result<Result<(), String>> {
        let key = name.to_ascii_lowercase();
        let (mut crc, mut md5, mut size) = (Cksum::default(), Md5::new(), 0u64);
        let mut buffer = vec![0; 65536];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let piece = buffer.get(..length).unwrap_or_default();
            crc.update(piece);
            md5.update(piece);
            size += length as u64;
        }
        if let Some(&(sum, expected)) = self.cksum.get(&key) {
            if let Some(expected) = expected.filter(|&expected| expected != size) {
                return Ok(Err(format!(
                    "{name}: {size} bytes instead of {expected}: the piece is not whole"
                )));
            }
            if crc.finish(size) != sum {
                return Ok(Err(format!("{name}: its checksum is not {sum}: the piece is damaged")));
            }
        }
        if let Some(expected) = self.md5.get(&key) {
            let sum: String = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            if sum != *expected {
                return Ok(Err(format!("{name}: its MD5 is not {expected}: the piece is damaged")));
            }
        }
        Ok(Ok(()))
    }
}

/// The last part of a path, in small letters.
fn last(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase()
}

fn lines(from: impl Read) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    from.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// The sum of POSIX's cksum: a CRC of 32 bits, the length behind the bytes.
#[derive(Default)]
struct Cksum(u32);

impl Cksum {
    const POLYNOMIAL: u32 = 0x04c1_1db7;

    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut crc = (n as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ Self::POLYNOMIAL } else { crc << 1 };
                bit += 1;
            }
            table[n] = crc;
            n += 1;
        }
        table
    };

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let at = (self.0 >> 24) as u8 ^ byte;
            self.0 = self.0 << 8 ^ Self::TABLE[usize::from(at)];
        }
    }

    fn finish(&mut self, mut length: u64) -> u32 {
        while length != 0 {
            self.update(&[length as u8]);
            length >>= 8;
        }
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_cksums() {
        let mut crc = Cksum::default();
        crc.update(b"123456789");
        assert_eq!(crc.finish(9), 930_766_865);
        assert_eq!(Cksum::default().finish(0), 4_294_967_295);
    }

    #[test]
    fn pieces_are_compared_with_what_the_medium_says() {
        let mut sums = Sums::default();
        sums.read_inf("bin", &b"Pieces =  2\ncksum.aa = 930766865 9\ncksum.ab = 1 9\n"[..]).unwrap();
        sums.read_list(&b"MD5 (bin.ac) = 25f9e794323b453885f5181f1b624d0b\n"[..]).unwrap();
        sums.read_list(&b"25f9e794323b453885f5181f1b624d0a  ./BIN.AD\n930766865 9 bin.ae\n"[..]).unwrap();
        assert_eq!(sums.pieces, Some(2));
        let verify = |name| sums.verify(name, &b"123456789"[..]).unwrap();
        assert_eq!(verify("BIN.AA"), Ok(()));
        assert_eq!((verify("bin.ac"), verify("bin.ae"), verify("bin.zz")), (Ok(()), Ok(()), Ok(())));
        assert!(verify("bin.ab").unwrap_err().contains("damaged"));
        assert!(verify("bin.ad").unwrap_err().contains("MD5"));
        assert!(sums.verify("bin.aa", &b"1234"[..]).unwrap().unwrap_err().contains("not whole"));
        assert!(sums.know("bin.aa") && !sums.know("bin.zz"));
    }
}
