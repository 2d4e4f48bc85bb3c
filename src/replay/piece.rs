//! Pieces of a recording: each has its kind, its length and a hash over all before it, so that a changed byte is found and
//! a recording that was cut off is good up to its last whole piece.
//!
//! Must not know what is in them.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

/// What is in a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The machine's description, as JSON.
    Plan,
    /// Events of the tape.
    Events,
    /// Files of the host that were read.
    Files,
    /// A file of the host itself.
    Packed,
    /// The end: nothing follows.
    End,
}

const KINDS: [Kind; 5] = [Kind::Plan, Kind::Events, Kind::Files, Kind::Packed, Kind::End];
/// Added to the kind of a piece whose bytes are deflated.
const DEFLATED: u8 = 0x80;
/// Bytes of a hash that are kept.
const HASH: usize = 8;
/// Bytes in front of a piece: kind, length, hash.
const HEAD: usize = 1 + 4 + HASH;
/// Fewer bytes than this are not deflated.
const SMALL: usize = 64;
/// Most bytes of a piece, as it is and deflated.
const LARGEST: usize = 1 << 30;

/// A piece, and what is in it.
pub type Piece = (Kind, Vec<u8>);

/// Why a recording is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Where the piece begins that is not whole.
    pub at: usize,
}

/// The hash of a piece, over that of the piece before.
fn hash(before: [u8; HASH], kind: u8, bytes: &[u8]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
    let whole: [u8; 32] = hash.finalize().into();
    let mut kept = [0; HASH];
    kept.copy_from_slice(&whole[..HASH]);
    kept
}

/// Writes pieces.
#[derive(Debug)]
pub struct Pieces<W> {
    to: W,
    before: [u8; HASH],
}

impl<W: Write> Pieces<W> {
    /// Begins behind the magic number, which is written.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&super::MAGIC)?;
        Ok(Self { to, before: [0; HASH] })
    }

    /// Writes a piece at once, as one write of the host.
    pub fn put(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let number = KINDS.iter().position(|&known| known == kind).unwrap_or_default() as u8;
        let deflated = (bytes.len() >= SMALL).then(|| deflate(bytes)).transpose()?;
        let (number, bytes) = match &deflated {
            Some(small) if small.len() < bytes.len() => (number | DEFLATED, small.as_slice()),
            _ => (number, bytes),
        };
        self.before = hash(self.before, number, bytes);
        let mut piece = Vec::with_capacity(HEAD + bytes.len());
        piece.push(number);
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(&self.before);
        piece.extend_from_slice(bytes);
        self.to.write_all(&piece)?;
        self.to.flush()
    }
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Reads the pieces behind the magic number; gives also whether the last one is not whole.
pub fn read(bytes: &[u8]) -> Result<(Vec<Piece>, bool), Damaged> {
    let mut pieces = Vec::new();
    let (mut at, mut before) = (super::MAGIC.len(), [0; HASH]);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((head, body)) = rest.split_at_checked(HEAD) else { return Ok((pieces, !rest.is_empty())) };
        let (number, length, kept) = match head {
            [number, l0, l1, l2, l3, kept @ ..] => (*number, u32::from_le_bytes([*l0, *l1, *l2, *l3]), kept),
            _ => return Err(Damaged { at }),
        };
        let kind = KINDS.get(usize::from(number & !DEFLATED)).copied().ok_or(Damaged { at })?;
        let Some(body) = body.get(..length as usize) else { return Ok((pieces, true)) };
        before = hash(before, number, body);
        if before != kept {
            return Err(Damaged { at });
        }
        let content = match number & DEFLATED {
            0 => body.to_vec(),
            _ => inflate(body).ok_or(Damaged { at })?,
        };
        pieces.push((kind, content));
        at += HEAD + body.len();
        if kind == Kind::End {
            return if at == bytes.len() { Ok((pieces, false)) } else { Err(Damaged { at }) };
        }
    }
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let read = DeflateDecoder::new(bytes).take(LARGEST as u64 + 1).read_to_end(&mut content).ok()?;
    (read <= LARGEST).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pieces = Pieces::new(&mut bytes).unwrap();
        pieces.put(Kind::Plan, b"{}").unwrap();
        pieces.put(Kind::Events, &[7; 300]).unwrap();
        pieces.put(Kind::End, b"").unwrap();
        bytes
    }

    #[test]
    fn pieces_are_read_as_they_were_written() {
        let (pieces, cut) = read(&written()).unwrap();
        let expected = [(Kind::Plan, b"{}".to_vec()), (Kind::Events, vec![7; 300]), (Kind::End, Vec::new())];
        assert_eq!((pieces.as_slice(), cut), (&expected[..], false));
    }

    #[test]
    fn a_changed_byte_is_found_and_a_cut_leaves_whole_pieces() {
        let bytes = written();
        let whole = read(&bytes).unwrap();
        for at in super::super::MAGIC.len()..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_ne!(read(&changed).ok().as_ref(), Some(&whole), "byte {at}");
            let (pieces, cut) = read(&bytes[..at]).unwrap();
            assert!(pieces.len() < 3 && (cut || pieces.len() * HEAD < at));
        }
    }
}
