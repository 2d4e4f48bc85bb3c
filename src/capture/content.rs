//! Bytes in a case: names and arguments as text, contents as sizes and hashes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes that are text nearly always: a string in a file, or an object `{ hex = "…" }` where they are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Text(pub Vec<u8>);

/// How they are written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Hex { hex: String },
}

impl From<Written> for Text {
    fn from(written: Written) -> Self {
        match written {
            Written::Plain(text) => Text(text.into_bytes()),
            Written::Hex { hex } => Text(unhex(&hex)),
        }
    }
}

impl From<Text> for Written {
    fn from(text: Text) -> Self {
        match String::from_utf8(text.0) {
            Ok(text) => Written::Plain(text),
            Err(error) => Written::Hex { hex: hex(error.as_bytes()) },
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.as_bytes().to_vec())
    }
}

impl Text {
    /// As a name of the host.
    pub fn os(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

/// Size and hash of some bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Their SHA-256 in base 16.
    pub sha256: String,
}

impl Fingerprint {
    /// That of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }

    /// That of a file of the host, which must not be larger than `most` bytes.
    pub fn of_file(mut file: &File, most: u64) -> io::Result<Self> {
        if file.metadata()?.len() > most {
            return Err(io::Error::other(format!("larger than {most} bytes")));
        }
        let (mut hash, mut size) = (Sha256::new(), 0);
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok(Self { size, sha256: hex(&hash.finalize()) });
            }
            size += count as u64;
            if size > most {
                return Err(io::Error::other(format!("larger than {most} bytes")));
            }
            hash.update(piece.get(..count).unwrap_or_default());
        }
    }
}

/// Bytes in base 16.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes.iter().flat_map(|&b| [digit(b >> 4), digit(b & 15)]).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Holder {
        words: Vec<Text>,
    }

    #[test]
    fn words_that_are_not_text_come_back_too() {
        let words = vec![Text::from(r"s/\(a\)/\n/"), Text(vec![b'a', 0xff, b'\\']), Text::default()];
        let text = toml::to_string(&Holder { words: words.clone() }).unwrap();
        assert!(text.contains(r"s/\(a\)/\n/"), "sed scripts stay readable: {text}");
        assert_eq!(toml::from_str::<Holder>(&text).unwrap(), Holder { words });
    }

    #[test]
    fn a_fingerprint_is_size_and_sha256() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc"), Fingerprint { size: 3, sha256: known.to_owned() });
    }
}
