//! What a stream holds: by its first bytes, never by its name.
//!
//! A set is one gzip stream that was cut into pieces, or several streams one after the other: both are read to their
//! end, and a stream that ends too early is an error.

use std::io::{self, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use super::lzw;

/// Opens what is compressed; anything else comes as it is.
pub(super) fn open<'r>(mut inner: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut head = [0; 4];
    let mut length = 0;
    while length < head.len() {
        match inner.read(head.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let head = head.get(..length).unwrap_or_default().to_vec();
    let kind = head.clone();
    let all = io::Cursor::new(head).chain(inner);
    Ok(match kind.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(all)),
        [0x1f, 0x9d, ..] => Box::new(lzw::Decoder::new(io::BufReader::new(all))?),
        [b'B', b'Z', b'h', b'1'..=b'9'] => Box::new(MultiBzDecoder::new(all)),
        [0x1f, 0x1e | 0x9f | 0xa0, ..] => return Err(unknown("packed with pack or an old compress")),
        [0xfd, b'7', b'z', b'X'] => return Err(unknown("compressed with xz")),
        _ => Box::new(all),
    })
}

fn unknown(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{how}, which is not read"))
}
