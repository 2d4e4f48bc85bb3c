//! How answers of the host are written down: numbers in seven bits a byte, the rest as it is.
//!
//! Must not know what was asked.

use std::net::Ipv4Addr;

use rustix::io::Errno as Linux;

use crate::host::door::{AtEnd, Size};
use crate::host::error::HostError;
use crate::host::escape::Wish;
use crate::host::outside::Outside;
use crate::host::signal::{Came, HostSignal};
use crate::host::watch::Ready;

/// Longest piece of bytes in one answer.
const LONGEST: u64 = 64 << 20;

/// Something that the host can answer.
pub trait Answer: Sized {
    /// Writes it down.
    fn put(&self, to: &mut Vec<u8>);
    /// Reads it; none where that is damaged.
    fn get(from: &mut &[u8]) -> Option<Self>;
}

/// Writes a number in as few bytes as it needs.
pub fn put_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Reads a number.
pub fn get_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

macro_rules! numbers {
    ($($kind:ty),*) => {
        $(impl Answer for $kind {
            fn put(&self, to: &mut Vec<u8>) {
                put_number(u64::from(*self), to);
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                Self::try_from(get_number(from)?).ok()
            }
        })*
    };
}

numbers!(u8, u16, u32, u64);

impl Answer for usize {
    fn put(&self, to: &mut Vec<u8>) {
        put_number(*self as u64, to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Self::try_from(get_number(from)?).ok()
    }
}

impl Answer for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(u8::get(from)? != 0)
    }
}

impl Answer for i32 {
    fn put(&self, to: &mut Vec<u8>) {
        self.cast_unsigned().put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(u32::get(from)?.cast_signed())
    }
}

impl Answer for () {
    fn put(&self, _: &mut Vec<u8>) {}

    fn get(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl<T: Answer> Answer for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::get(from)? { Some(T::get(from)?) } else { None })
    }
}

impl<T: Answer> Answer for Result<T, HostError> {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                to.push(0);
                value.put(to);
            }
            Err(error) => put_number(error.0.raw_os_error() as u64, to),
        }
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        match u16::get(from)? {
            0 => Some(Ok(T::get(from)?)),
            number if number < 4096 => Some(Err(HostError(Linux::from_raw_os_error(number.into())))),
            _ => None,
        }
    }
}

impl Answer for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        put_number(self.len() as u64, to);
        to.extend_from_slice(self);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = get_number(from).filter(|&length| length <= LONGEST)?;
        let (bytes, rest) = from.split_at_checked(length as usize)?;
        *from = rest;
        Some(bytes.to_vec())
    }
}

/// A list: answers that are no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Answer> Answer for List<T> {
    fn put(&self, to: &mut Vec<u8>) {
        put_number(self.0.len() as u64, to);
        self.0.iter().for_each(|item| item.put(to));
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = get_number(from)?;
        // As many as can be there.
        (0..length.min(from.len() as u64 + 1)).map(|_| T::get(from)).collect::<Option<_>>().map(Self)
    }
}

macro_rules! tuples {
    ($(($($name:ident $at:tt),*)),*) => {
        $(impl<$($name: Answer),*> Answer for ($($name,)*) {
            fn put(&self, to: &mut Vec<u8>) {
                $(self.$at.put(to);)*
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                Some(($($name::get(from)?,)*))
            }
        })*
    };
}

tuples!((A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3));

impl Answer for Ipv4Addr {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.octets());
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (octets, rest) = from.split_first_chunk::<4>()?;
        *from = rest;
        Some(Self::from(*octets))
    }
}

impl Answer for Size {
    fn put(&self, to: &mut Vec<u8>) {
        [self.rows, self.columns, self.width, self.height].iter().for_each(|number| number.put(to));
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let mut number = || u16::get(from);
        Some(Self { rows: number()?, columns: number()?, width: number()?, height: number()? })
    }
}

impl Answer for AtEnd {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(*self as u8);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        [Self::HangUp, Self::EndOfFile, Self::Silence].get(usize::get(from)?).copied()
    }
}

impl Answer for Wish {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(*self as u8);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        [Self::Leave, Self::List, Self::Kill, Self::Help].get(usize::get(from)?).copied()
    }
}

impl Answer for Came {
    fn put(&self, to: &mut Vec<u8>) {
        (self.signal.number(), self.sent, self.by_terminal).put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (number, sent, by_terminal): (i32, u32, bool) = Answer::get(from)?;
        let (_, signal) = HostSignal::all().find(|(known, _)| *known == number)?;
        Some(Self { signal, sent, by_terminal })
    }
}

impl Answer for Ready {
    fn put(&self, to: &mut Vec<u8>) {
        (self.token, self.read, self.urgent).put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (token, read, urgent) = Answer::get(from)?;
        Some(Self { token, read, urgent })
    }
}

impl Answer for Outside {
    fn put(&self, to: &mut Vec<u8>) {
        (self.address, self.mask, self.router).put(to);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (address, mask, router) = Answer::get(from)?;
        Some(Self { address, mask, router })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ways<T: Answer + PartialEq + std::fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        let mut from = &bytes[..];
        assert_eq!((T::get(&mut from), from), (Some(value), &[][..]));
        for end in 0..bytes.len() {
            assert_eq!(T::get(&mut &bytes[..end]), None, "cut off");
        }
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        [0, 1, 127, 128, 300, u64::MAX].into_iter().for_each(both_ways);
        both_ways(-1);
        both_ways(vec![1, 2, 200]);
        both_ways(Err::<usize, _>(HostError::WOULD_BLOCK));
        both_ways(Ok::<_, HostError>((3u64, Ipv4Addr::LOCALHOST)));
        both_ways(Some(Size { rows: 24, columns: 80, width: 1, height: 2 }));
        both_ways(List(vec![Came { signal: HostSignal::Interrupt, sent: 2, by_terminal: true }]));
    }
}
