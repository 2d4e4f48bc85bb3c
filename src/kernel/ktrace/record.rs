//! The records of a ktrace file: writing and reading them.
//!
//! A record is a header of 44 bytes and so many bytes of contents as it says.  Whatever a file holds, reading
//! it ends: a damaged record is an error with its offset.  Must not know events.
//!
//! 2.1 counterpart: sys/ktrace.h, kern/kern_ktrace.c.

use syscalls::layout::{KtrCsw, KtrGenio, KtrHeader, KtrPsig, KtrSyscall, KtrSysret, KtrType, Timeval};
use thiserror::Error;
use zerocopy::{FromBytes, IntoBytes};

/// The error of a call that will be executed again, in a record.
pub const ERESTART: i32 = -1;
/// The error of a call that sets the registers itself, in a record.
pub const EJUSTRETURN: i32 = -2;
/// Longest command name.
const COMM_LEN: usize = 16;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The process.
    pub pid: i32,
    /// Its command name.
    pub comm: Vec<u8>,
    /// Time of day in microseconds.
    pub micros: u64,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A call began.
    Call {
        /// Its number.
        code: i16,
        /// Its argument words.
        words: Vec<u32>,
    },
    /// A call ended.
    Return {
        /// Its number.
        code: i16,
        /// Its error, or 0.
        error: i32,
        /// Its result.
        value: i32,
    },
    /// A name was looked up.
    Name(Vec<u8>),
    /// Bytes were moved.
    Io {
        /// The descriptor.
        fd: i32,
        /// The process wrote them.
        written: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A signal was acted on.
    Signal {
        /// Its number.
        signal: i32,
        /// Its handler.
        action: u32,
        /// The signals that were blocked.
        mask: u32,
        /// Its code.
        code: i32,
    },
    /// The process left or took the processor.
    Switch {
        /// It left.
        out: bool,
        /// It was in user mode.
        user: bool,
    },
    /// A record of a type that is not known.
    Other {
        /// Its type.
        kind: i16,
        /// Its contents.
        bytes: Vec<u8>,
    },
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// the file ends inside of the record at offset {0}
    #[error("the file ends inside of the record at offset {0}")]
    Truncated(usize),
    /// the record at offset {0} has an impossible length
    #[error("the record at offset {0} has an impossible length")]
    Length(usize),
}

impl Entry {
    /// The bytes of the record.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, contents) = self.body.encode();
        let mut comm = [0; 17];
        let shown = self.comm.len().min(COMM_LEN);
        comm[..shown].copy_from_slice(&self.comm[..shown]);
        let header = KtrHeader {
            len: (contents.len() as i32).into(),
            kind: kind.into(),
            pid: self.pid.into(),
            comm,
            time: Timeval {
                sec: ((self.micros / 1_000_000) as i32).into(),
                usec: ((self.micros % 1_000_000) as i32).into(),
            },
            ..KtrHeader::default()
        };
        [header.as_bytes(), &contents].concat()
    }
}

impl Body {
    fn encode(&self) -> (i16, Vec<u8>) {
        let kind = |k: KtrType| k.raw() as i16;
        match self {
            Body::Call { code, words } => {
                let head = KtrSyscall { code: (*code).into(), narg: (words.len() as i16).into() };
                let words = words.iter().flat_map(|w| w.to_le_bytes());
                (kind(KtrType::Syscall), head.as_bytes().iter().copied().chain(words).collect())
            }
            Body::Return { code, error, value } => {
                let body = KtrSysret {
                    code: (*code).into(),
                    eosys: 0.into(),
                    error: (*error).into(),
                    retval: (*value).into(),
                };
                (kind(KtrType::Sysret), body.as_bytes().to_vec())
            }
            Body::Name(path) => (kind(KtrType::Namei), path.clone()),
            Body::Io { fd, written, bytes } => {
                let head = KtrGenio { fd: (*fd).into(), rw: i32::from(*written).into() };
                (kind(KtrType::Genio), [head.as_bytes(), bytes].concat())
            }
            Body::Signal { signal, action, mask, code } => {
                let body = KtrPsig {
                    signo: (*signal).into(),
                    action: (*action).into(),
                    mask: (*mask).into(),
                    code: (*code).into(),
                };
                (kind(KtrType::Psig), body.as_bytes().to_vec())
            }
            Body::Switch { out, user } => {
                let body = KtrCsw { out: i32::from(*out).into(), user: i32::from(*user).into() };
                (kind(KtrType::Csw), body.as_bytes().to_vec())
            }
            Body::Other { kind, bytes } => (*kind, bytes.clone()),
        }
    }

    /// Contents that are too short for their type are kept as they are.
    fn decode(raw: i16, bytes: &[u8]) -> Self {
        let other = || Body::Other { kind: raw, bytes: bytes.to_vec() };
        let kind = u32::try_from(raw).map_or(KtrType::Other(0), KtrType::from_raw);
        match kind {
            KtrType::Syscall => match KtrSyscall::read_from_prefix(bytes) {
                Ok((head, rest)) => {
                    let narg = usize::try_from(head.narg.get()).unwrap_or(0);
                    let words = rest.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
                    Body::Call { code: head.code.get(), words: words.take(narg).collect() }
                }
                Err(_) => other(),
            },
            KtrType::Sysret => match KtrSysret::read_from_prefix(bytes) {
                Ok((b, _)) => {
                    Body::Return { code: b.code.get(), error: b.error.get(), value: b.retval.get() }
                }
                Err(_) => other(),
            },
            KtrType::Namei => Body::Name(bytes.to_vec()),
            KtrType::Genio => match KtrGenio::read_from_prefix(bytes) {
                Ok((b, rest)) => Body::Io { fd: b.fd.get(), written: b.rw.get() != 0, bytes: rest.to_vec() },
                Err(_) => other(),
            },
            KtrType::Psig => match KtrPsig::read_from_prefix(bytes) {
                Ok((b, _)) => Body::Signal {
                    signal: b.signo.get(),
                    action: b.action.get(),
                    mask: b.mask.get(),
                    code: b.code.get(),
                },
                Err(_) => other(),
            },
            KtrType::Csw => match KtrCsw::read_from_prefix(bytes) {
                Ok((b, _)) => Body::Switch { out: b.out.get() != 0, user: b.user.get() != 0 },
                Err(_) => other(),
            },
            KtrType::Other(_) => other(),
        }
    }
}

/// The records of a file.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads a file from its beginning.
    pub fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0 }
    }

    fn read(&mut self) -> Result<Entry, Damage> {
        let at = self.at;
        let rest = self.file.get(at..).unwrap_or_default();
        let (header, rest) = KtrHeader::read_from_prefix(rest).map_err(|_| Damage::Truncated(at))?;
        let len = usize::try_from(header.len.get()).map_err(|_| Damage::Length(at))?;
        let contents = rest.get(..len).ok_or(Damage::Truncated(at))?;
        self.at = at + size_of::<KtrHeader>() + len;
        let end = header.comm.iter().position(|&b| b == 0).unwrap_or(header.comm.len());
        let seconds = u64::from(header.time.sec.get().cast_unsigned());
        let micros = u64::from(header.time.usec.get().cast_unsigned());
        Ok(Entry {
            pid: header.pid.get(),
            comm: header.comm[..end].to_vec(),
            micros: seconds * 1_000_000 + micros,
            body: Body::decode(header.kind.get(), contents),
        })
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Entry, Damage>;

    /// Records until the end of the file, or an error and then nothing.
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.file.len() {
            return None;
        }
        let entry = self.read();
        if entry.is_err() {
            self.at = self.file.len();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: Body) -> Entry {
        Entry { pid: 17, comm: b"cat".to_vec(), micros: 1_500_000, body }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let bodies = [
            Body::Call { code: 5, words: vec![0x1000, 0, 0] },
            Body::Name(b"/etc/motd".to_vec()),
            Body::Return { code: 5, error: 0, value: 3 },
            Body::Io { fd: 3, written: false, bytes: b"hello\n".to_vec() },
            Body::Signal { signal: 2, action: 0x1234, mask: 0, code: 0 },
            Body::Switch { out: true, user: false },
            Body::Other { kind: 99, bytes: vec![1, 2] },
        ];
        let entries: Vec<_> = bodies.into_iter().map(entry).collect();
        let file: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
        assert_eq!(Reader::new(&file).collect::<Result<Vec<_>, _>>().unwrap(), entries);
        assert_eq!(entries[0].encode().len(), 44 + 4 + 12);
        assert_eq!(file[8], 17, "the number of the process is at offset 8");
    }

    #[test]
    fn damaged_files_end_with_an_error() {
        let file = entry(Body::Name(b"/etc".to_vec())).encode();
        let short: Vec<_> = Reader::new(&file[..46]).collect();
        assert_eq!(short, [Err(Damage::Truncated(0))]);
        let mut negative = file.clone();
        negative[3] = 0x80;
        assert_eq!(Reader::new(&negative).collect::<Vec<_>>(), [Err(Damage::Length(0))]);
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(file in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            assert!(Reader::new(&file).count() <= 7);
        }
    }
}
