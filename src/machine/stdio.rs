//! Where a guest's standard streams come from and go to, in the host's terms.
//!
//! Must not know descriptors of a guest.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crate::host::memory;
use crate::host::stdio::Stream;

/// Where a standard stream of the guest comes from or goes to.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The same as the host program's.
    #[default]
    Inherit,
    /// A descriptor of the host: a file, a pipe.
    Descriptor(OwnedFd),
    /// A file in memory with these bytes, to be read.
    Bytes(Vec<u8>),
    /// A file in memory whose bytes [`Outcome`](super::Outcome) has in the end.
    Captured,
    /// Closed.
    Closed,
}

/// A stream that is ready for the guest.
pub(super) struct Opened {
    /// The stream, if there is one.
    pub(super) stream: Option<Stream>,
    /// The same file, for us to read.
    pub(super) kept: Option<OwnedFd>,
}

impl Stdio {
    /// Opens what shall be descriptor `number`.
    pub(super) fn open(self, number: u32) -> io::Result<Opened> {
        let stream = |stream| Opened { stream, kept: None };
        Ok(match self {
            Self::Inherit => stream(Stream::standard(number).ok().flatten()),
            Self::Descriptor(fd) => stream(Stream::new(fd).ok()),
            Self::Bytes(bytes) => {
                let mut file = Stream::new(memory::file(&bytes)?).ok();
                file.as_mut().into_iter().for_each(Stream::keep);
                stream(file)
            }
            Self::Captured => {
                let file = memory::file(&[])?;
                let kept = Some(file.try_clone()?);
                let mut stream = Stream::new(file).ok();
                stream.as_mut().into_iter().for_each(Stream::keep);
                Opened { kept, stream }
            }
            Self::Closed => stream(None),
        })
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self::Descriptor(file.into())
    }
}

impl From<Vec<u8>> for Stdio {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Stdio {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Stdio {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}
