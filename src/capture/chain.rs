//! The calls of a run as a chain of hashes: what differs first between two runs is found by its number.
//!
//! Each call and each signal, in the order in which they end, is one link: four bytes of a hash over the link
//! before, the process, the call, what it read, what it wrote and its result; and the number of the call, so that a
//! chain alone tells which call stood where.  Addresses do not count, only whether there is one.
//!
//! A chain of more than [`MOST`] links keeps every second one, then every fourth, and so on.
//!
//! Must not know the kernel.

use sha2::{Digest, Sha256};

use crate::kernel::event::Outcome;
use crate::trace::record::{Call, Record, What};
use crate::trace::value::Value;

/// Most links that are kept.
const MOST: usize = 1 << 16;
/// First bytes of a file.
const MAGIC: &[u8; 8] = b"bsd21c1\n";
/// Bytes of a link in a file.
const LINK: usize = 6;

/// In the place of a call's number: a signal that was acted on.
pub const SIGNAL: u16 = 0xfff0;
/// See [`SIGNAL`]: a process stopped or went on.
pub const STOP: u16 = 0xfff1;
/// See [`SIGNAL`]: a process ended.
pub const EXIT: u16 = 0xfff2;

/// A link of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number of the call.
    pub number: u16,
    /// The hash of everything up to here.
    pub hash: [u8; 4],
}

/// A chain of hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Links in all.
    pub count: u64,
    /// One link of how many is kept.
    stride: u64,
    /// Those that are kept: numbers `stride - 1`, `2 * stride - 1` and so on.
    links: Vec<Link>,
    /// The hash of everything.
    last: [u8; 4],
    state: [u8; 32],
}

impl Default for Chain {
    fn default() -> Self {
        Self { count: 0, stride: 1, links: Vec::new(), last: [0; 4], state: [0; 32] }
    }
}

impl Chain {
    /// Adds a record, if it is one that counts; says whether it is.
    pub fn add(&mut self, record: &Record<'_>) -> bool {
        let Some(number) = number(record) else { return false };
        let mut hash = Sha256::new();
        hash.update(self.state);
        hash.update(record.pid.to_le_bytes());
        hash.update(number.to_le_bytes());
        match &record.what {
            What::Leave(call) => feed_call(&mut hash, call),
            What::Signal(delivery) => {
                hash.update([delivery.signal as u8, delivery.code as u8, u8::from(delivery.handler > 1)]);
            }
            What::Stopped(signal) => hash.update([*signal as u8]),
            What::Exit(status) => hash.update(status.to_le_bytes()),
            _ => {}
        }
        self.state = hash.finalize().into();
        self.count += 1;
        let [a, b, c, d, ..] = self.state;
        self.last = [a, b, c, d];
        if self.count.is_multiple_of(self.stride) {
            self.links.push(Link { number, hash: self.last });
        }
        if self.links.len() > MOST {
            self.stride *= 2;
            self.links = self.links.chunks_exact(2).map(|pair| pair[1]).collect();
        }
        true
    }

    /// The number, from 0, of the first link in which two chains differ, and how sure that is: the difference
    /// is in the last so many links up to it.
    pub fn first_difference(&self, other: &Chain) -> Option<(u64, u64)> {
        let stride = self.stride.max(other.stride);
        let kept = |chain: &Chain| -> Vec<Link> {
            let every = (stride / chain.stride) as usize;
            chain.links.iter().skip(every - 1).step_by(every).copied().collect()
        };
        let (ours, theirs) = (kept(self), kept(other));
        let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count() as u64;
        if same < ours.len().min(theirs.len()) as u64 {
            return Some(((same + 1) * stride - 1, stride));
        }
        let looked_at = same * stride;
        if self.count != other.count {
            // One is the beginning of the other, as far as links are kept.
            let end = self.count.min(other.count);
            return Some((end, end - looked_at + 1));
        }
        (self.last != other.last).then(|| (self.count.saturating_sub(1), (self.count - looked_at).max(1)))
    }

    /// Number of the call at a link, where it was kept.
    pub fn number_at(&self, index: u64) -> Option<u16> {
        if !(index + 1).is_multiple_of(self.stride) {
            return None;
        }
        self.links.get(((index + 1) / self.stride - 1) as usize).map(|link| link.number)
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.stride.to_le_bytes());
        bytes.extend(self.last);
        for link in &self.links {
            bytes.extend(link.number.to_le_bytes());
            bytes.extend(link.hash);
        }
        bytes
    }

    /// Reads the bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (stride, rest) = rest.split_first_chunk::<8>()?;
        let (&last, rest) = rest.split_first_chunk::<4>()?;
        let (count, stride) = (u64::from_le_bytes(*count), u64::from_le_bytes(*stride));
        let whole = stride.is_power_of_two()
            && rest.len().is_multiple_of(LINK)
            && (rest.len() / LINK) as u64 == count / stride;
        let links = rest.chunks_exact(LINK).map(|link| Link {
            number: u16::from_le_bytes([link[0], link[1]]),
            hash: [link[2], link[3], link[4], link[5]],
        });
        whole.then(|| Self { count, stride, links: links.collect(), last, state: [0; 32] })
    }
}

/// What stands for a record that counts.
fn number(record: &Record<'_>) -> Option<u16> {
    match &record.what {
        What::Leave(call) => Some(call.number.min(0xffef) as u16),
        What::Signal(_) => Some(SIGNAL),
        What::Stopped(_) | What::Continued => Some(STOP),
        What::Exit(_) => Some(EXIT),
        _ => None,
    }
}

fn feed_call(hash: &mut Sha256, call: &Call) {
    for value in call.args.iter().flat_map(|arg| &arg.values) {
        feed(hash, value);
    }
    match call.end.as_ref().map(|end| end.outcome) {
        None => hash.update([0]),
        Some(Outcome::Success(result)) => {
            hash.update([1]);
            hash.update(result.eax.to_le_bytes());
            hash.update(result.edx.unwrap_or(0).to_le_bytes());
        }
        Some(Outcome::Failure(errno)) => hash.update([2, errno as u8]),
        Some(Outcome::Restart) => hash.update([3]),
        Some(Outcome::NoReturn) => hash.update([4]),
    }
}

/// What a value is; not how it is shown.
fn feed(hash: &mut Sha256, value: &Value) {
    let mut number = |tag: u8, n: u64| {
        hash.update([tag]);
        hash.update(n.to_le_bytes());
    };
    match value {
        Value::Int(n) => number(1, n.cast_unsigned()),
        Value::Uint(n) | Value::Hex(n) | Value::Octal(n) => number(1, *n),
        Value::Symbol { raw, .. } => number(1, *raw),
        Value::Fd { fd, .. } => number(1, i64::from(*fd).cast_unsigned()),
        Value::Addr(n) => number(2, u64::from(*n != 0)),
        Value::Bytes { bytes, more } => {
            number(3, bytes.len() as u64 * 2 + u64::from(*more));
            hash.update(bytes);
        }
        Value::Struct { fields, .. } => {
            number(4, fields.len() as u64);
            fields.iter().for_each(|(_, value)| feed(hash, value));
        }
        Value::List { items, .. } => {
            number(4, items.len() as u64);
            items.iter().for_each(|value| feed(hash, value));
        }
        Value::Set(members) => {
            number(5, members.len() as u64);
            members.iter().for_each(|n| hash.update(n.to_le_bytes()));
        }
        Value::Change(before, after) => {
            feed(hash, before);
            feed(hash, after);
        }
        Value::Boxed(value) | Value::Remark(value, _) => feed(hash, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain over exits of processes with these statuses.
    fn chain(statuses: impl Iterator<Item = u32>) -> Chain {
        let mut chain = Chain::default();
        for status in statuses {
            let what = What::Exit(status);
            let record = Record { sequence: 0, pid: 5, comm: b"", instructions: 0, uptime: 0, now: 0, what };
            assert!(chain.add(&record));
        }
        chain
    }

    #[test]
    fn the_first_difference_is_found_by_its_number() {
        let whole = chain(0..100);
        for at in [0, 1, 50, 99] {
            let other = chain((0..100).map(|n| if n == at { 1000 } else { n }));
            assert_eq!(whole.first_difference(&other), Some((u64::from(at), 1)));
        }
        assert_eq!(whole.first_difference(&chain(0..100)), None);
        assert_eq!(whole.first_difference(&chain(0..60)), Some((60, 1)), "one ended before");
        assert_eq!(Chain::default().first_difference(&chain(0..1)), Some((0, 1)));
    }

    #[test]
    fn long_chains_stay_short_and_find_differences_still() {
        let long = 5 * MOST as u32 + 3;
        let whole = chain(0..long);
        assert!(whole.to_bytes().len() < 500_000);
        let read = Chain::from_bytes(&whole.to_bytes()).unwrap();
        assert_eq!(read.first_difference(&whole), None);
        let other = chain((0..long).map(|n| if n == 70_000 { 0 } else { n }));
        let (at, width) = read.first_difference(&other).unwrap();
        assert!((at + 1 - width..=at).contains(&70_000) && width <= 8, "{at} {width}");
        let last = chain((0..long).map(|n| if n == long - 1 { 0 } else { n }));
        assert!(read.first_difference(&last).is_some(), "the end is always looked at");
        assert_eq!(whole.number_at(7), Some(EXIT));
    }

    #[test]
    fn damaged_files_are_refused() {
        let bytes = chain(0..3).to_bytes();
        assert_eq!(Chain::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Chain::from_bytes(b""), None);
    }
}
