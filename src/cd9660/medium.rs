//! What a volume is read from: bytes at offsets, in sectors of 2048, cooked or raw.
//!
//! A raw image (`.bin`) holds all 2352 bytes of each sector; its data begins behind the sector's header.
//! Must not know what the bytes mean.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::IsoError;

/// Bytes that are read at offsets.
pub trait Medium: std::fmt::Debug {
    /// Reads some bytes at `offset` into `buffer`; 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Medium for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl Medium for Vec<u8> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(length)
    }
}

impl<M: Medium + ?Sized> Medium for std::rc::Rc<M> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

/// Bytes of a sector's data.
pub(super) const SECTOR: u64 = 2048;
/// Bytes of a raw sector.
const RAW: u64 = 2352;
/// How a raw sector begins.
const SYNC: [u8; 12] = [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0];

/// The data of a medium's sectors, one after the other.
#[derive(Debug)]
pub(super) struct Sectors {
    medium: Box<dyn Medium>,
    /// Where the data of a raw sector begins.
    raw: Option<u64>,
}

impl Sectors {
    /// Finds out whether a medium is raw.
    pub(super) fn new(medium: Box<dyn Medium>) -> Result<Self, IsoError> {
        let mut head = [0; 16];
        let mut sectors = Self { medium, raw: None };
        if sectors.fill(0, &mut head)? == head.len() && head.starts_with(&SYNC) {
            // Mode 2 has a sub-header of eight bytes behind the header of sixteen.
            sectors.raw = Some(if head[15] == 2 { 24 } else { 16 });
        }
        Ok(sectors)
    }

    /// Reads exactly `buffer`, or says where the medium ends.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IsoError> {
        let Some(header) = self.raw else {
            return match self.fill(offset, buffer)? {
                done if done == buffer.len() => Ok(()),
                done => Err(IsoError::Truncated(offset.saturating_add(done as u64))),
            };
        };
        let mut offset = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let inside = offset % SECTOR;
            let room = usize::try_from(SECTOR - inside).unwrap_or(0).min(rest.len());
            let (piece, more) = rest.split_at_mut(room);
            let at = (offset / SECTOR).checked_mul(RAW).and_then(|at| at.checked_add(header + inside));
            match at.map(|at| self.fill(at, piece)).transpose()? {
                Some(done) if done == piece.len() => {}
                _ => return Err(IsoError::Truncated(offset)),
            }
            offset = offset.saturating_add(room as u64);
            rest = more;
        }
        Ok(())
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, IsoError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = offset.checked_add(done as u64) else { break };
            match self.medium.read_at(at, rest) {
                Ok(0) => break,
                Ok(length) => done += length.min(rest.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Beyond what a file of the host can have.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_image_shows_the_data_of_its_sectors() {
        for (mode, header) in [(1, 16), (2, 24)] {
            let mut image = Vec::new();
            for n in 0..3u8 {
                let mut sector = vec![0; RAW as usize];
                sector[..12].copy_from_slice(&SYNC);
                sector[15] = mode;
                sector[header..header + 2048].fill(b'a' + n);
                image.extend(sector);
            }
            let sectors = Sectors::new(Box::new(image)).unwrap();
            let mut piece = [0; 4];
            sectors.read(2046, &mut piece).unwrap();
            assert_eq!(&piece, b"aabb");
            assert!(matches!(sectors.read(3 * 2048 - 2, &mut piece), Err(IsoError::Truncated(_))));
        }
    }

    #[test]
    fn the_end_of_a_medium_is_an_error() {
        let sectors = Sectors::new(Box::new(vec![7; 100])).unwrap();
        let mut piece = [0; 10];
        assert!(sectors.read(90, &mut piece).is_ok());
        for offset in [91, 100, u64::MAX - 3, u64::MAX] {
            assert!(matches!(sectors.read(offset, &mut piece), Err(IsoError::Truncated(_))), "{offset}");
        }
    }
}
