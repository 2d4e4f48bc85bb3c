//! One directory record (9.1), and the names that 2.1 makes of what it says.
//!
//! 2.1 counterpart: struct iso_directory_record in isofs/cd9660/iso.h; isofntrans and isofncmp in cd9660_util.c.

use super::IsoError;
use super::number::{byte, long};

/// Bytes of a record before its name.
const FIXED: usize = 33;
/// The record is of a directory.
pub(super) const DIRECTORY: u8 = 0x02;
/// The record is of an associated file.
pub(super) const ASSOCIATED: u8 = 0x04;
/// The file goes on in the next record.
pub(super) const CONTINUED: u8 = 0x80;
/// What stands before the name of an associated file.
const ASSOCIATED_MARK: u8 = b'=';

/// A record that was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// Blocks of extended attributes before the data.
    pub attribute_blocks: u8,
    /// First block.
    pub extent: u32,
    /// Bytes of data.
    pub size: u32,
    /// When it was recorded, and in High Sierra the flags.
    pub date: &'a [u8],
    /// What it is of.
    pub flags: u8,
    /// Blocks that lie together where the file is interleaved.
    pub unit: u8,
    /// Blocks between these.
    pub gap: u8,
    /// The name as it is written: one byte 0 for the directory itself, 1 for the one above.
    pub name: &'a [u8],
    /// What other standards add.
    pub system_use: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the beginning of `bytes`, which is the rest of a block; `None` where none follows in it.
    pub(super) fn parse(bytes: &'a [u8], sierra: bool, at: u64) -> Result<Option<(Self, usize)>, IsoError> {
        let length = usize::from(byte(bytes, 0));
        if length == 0 {
            return Ok(None);
        }
        let whole = bytes.get(..length).filter(|_| length > FIXED);
        let whole = whole.ok_or(IsoError::damaged("a directory record of an impossible length", at))?;
        let name_length = usize::from(byte(whole, 32));
        let name = whole.get(FIXED..FIXED + name_length).filter(|name| !name.is_empty());
        let name = name.ok_or(IsoError::damaged("a name that is longer than its record, or none", at))?;
        let padded = FIXED + name_length + usize::from(name_length % 2 == 0);
        let record = Self {
            attribute_blocks: byte(whole, 1),
            extent: long(whole, 2),
            size: long(whole, 10),
            date: whole.get(18..25).unwrap_or_default(),
            flags: byte(whole, if sierra { 24 } else { 25 }),
            unit: byte(whole, 26),
            gap: byte(whole, 27),
            name,
            system_use: whole.get(padded..).unwrap_or_default(),
        };
        Ok(Some((record, length)))
    }

    /// Whether this is the directory itself, or the one above.
    pub(super) fn is_dot(&self) -> bool {
        matches!(self.name, [0 | 1])
    }

    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The name that 2.1 shows where nothing else gives one: in small letters and without the version, or
    /// (`original`) as it is written.
    pub(super) fn shown(&self, original: bool) -> Vec<u8> {
        let mut name = Vec::with_capacity(self.name.len() + 1);
        if self.is(ASSOCIATED) {
            name.push(ASSOCIATED_MARK);
        }
        for (at, &c) in self.name.iter().enumerate() {
            if !original && (c == b';' || c == b'.' && self.name.get(at + 1) == Some(&b';')) {
                break;
            }
            name.push(if original { c } else { c.to_ascii_lowercase() });
        }
        name
    }

    /// Whether a name that somebody looks for is this one: in large or small letters, with or without the version.
    pub(super) fn answers_to(&self, wanted: &[u8]) -> bool {
        let wanted = match (self.is(ASSOCIATED), wanted.split_first()) {
            (true, Some((&ASSOCIATED_MARK, rest))) => rest,
            (true, _) => return false,
            (false, _) => wanted,
        };
        let split = |name: &'_ [u8]| name.iter().position(|&c| c == b';').unwrap_or(name.len());
        let (own, version) = self.name.split_at(split(self.name));
        let (name, asked) = wanted.split_at(split(wanted));
        let same = |own: &[u8]| {
            own.len() == name.len()
                && own
                    .iter()
                    .zip(name)
                    .all(|(c, w)| c == w || c.is_ascii_uppercase() && c.to_ascii_lowercase() == *w)
        };
        let named = same(own) || !version.is_empty() && own.strip_suffix(b".").is_some_and(same);
        named && (asked.is_empty() || number(asked) == number(version))
    }
}

/// The version behind a semicolon.
fn number(version: &[u8]) -> Option<u32> {
    std::str::from_utf8(version.strip_prefix(b";")?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &'static [u8], flags: u8) -> Record<'static> {
        Record {
            attribute_blocks: 0,
            extent: 0,
            size: 0,
            date: &[],
            flags,
            unit: 0,
            gap: 0,
            name,
            system_use: &[],
        }
    }

    #[test]
    fn names_lose_their_version_and_are_small() {
        let shown = |name| String::from_utf8(record(name, 0).shown(false)).unwrap();
        assert_eq!(shown(b"README.TXT;1"), "readme.txt");
        assert_eq!(shown(b"README.;1"), "readme");
        assert_eq!(shown(b"BIN"), "bin");
        assert_eq!(record(b"README.TXT;1", 0).shown(true), b"README.TXT;1");
        assert_eq!(record(b"A.;1", ASSOCIATED).shown(false), b"=a");
    }

    #[test]
    fn a_name_is_found_in_either_case_and_with_its_version() {
        let file = record(b"README.TXT;2", 0);
        for name in ["readme.txt", "README.TXT", "Readme.txt", "readme.txt;2"] {
            assert!(file.answers_to(name.as_bytes()), "{name}");
        }
        for name in ["readme", "readme.txt;1", "readme.txt;x", "readme.tx", "=readme.txt", ""] {
            assert!(!file.answers_to(name.as_bytes()), "{name}");
        }
        assert!(record(b"A.;1", 0).answers_to(b"a") && record(b"A.;1", ASSOCIATED).answers_to(b"=a"));
        assert!(!record(b"a;1", 0).answers_to(b"A"), "small letters of the medium are found as they are");
    }

    #[test]
    fn records_that_do_not_fit_are_damage() {
        let mut bytes = [0u8; 40];
        (bytes[0], bytes[32], bytes[33]) = (34, 1, b'A');
        assert!(Record::parse(&bytes, false, 0).unwrap().is_some());
        for (at, value) in [(0, 33), (0, 1), (0, 41), (32, 2), (32, 0)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert!(Record::parse(&wrong, false, 0).is_err(), "{at} {value}");
        }
        assert!(Record::parse(&[], false, 0).unwrap().is_none());
    }
}
