//! Which system calls a program's code contains: every `lcall $7,$0` with the number that the
//! instruction before it loads.
//!
//! A static program contains the gates of what was linked in, not of what it will call.
//!
//! 2.1 counterpart: SYS.h of the C library, whose stubs are `lea NUMBER,%eax` and the gate.

use std::collections::BTreeMap;
use std::fmt;

use syscalls::sysent::{SYSENT, row};

/// `lcall $7,$0`.
const GATE: [u8; 7] = [0x9a, 0, 0, 0, 0, 7, 0];
/// `mov $imm32,%eax` and `lea imm32,%eax`.
const LOADS: [&[u8]; 2] = [&[0xb8], &[0x8d, 0x05]];

/// The gates of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The call; `None` where the number is not loaded just before the gate, as in syscall(2).
    pub number: Option<u32>,
    /// How many gates there are.
    pub count: usize,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => match row(number) {
                Some(row) => write!(f, "{number} {}", row.trace_name())?,
                None => write!(f, "{number}")?,
            },
            None => write!(f, "number not known before it runs")?,
        }
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

/// The gates in a run of code: where each is, and its number.
pub fn sites(code: &[u8]) -> impl Iterator<Item = (usize, Option<u32>)> {
    let gates = code.windows(GATE.len()).enumerate().filter(|(_, window)| *window == GATE);
    gates.map(|(at, _)| (at, number_before(code.get(..at).unwrap_or_default())))
}

/// Counts the gates in runs of code.
pub(super) fn gates<'a>(runs: impl Iterator<Item = &'a [u8]>) -> Vec<Gate> {
    let mut found: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    for (_, number) in runs.flat_map(sites) {
        *found.entry(number).or_default() += 1;
    }
    let (unknown, known): (Vec<_>, Vec<_>) =
        found.into_iter().map(|(number, count)| Gate { number, count }).partition(|g| g.number.is_none());
    known.into_iter().chain(unknown).collect()
}

/// The number that the last instruction loads, if it is a call's.
fn number_before(code: &[u8]) -> Option<u32> {
    let (rest, number) = code.split_last_chunk::<4>()?;
    let number = u32::from_le_bytes(*number);
    (LOADS.iter().any(|load| rest.ends_with(load)) && (number as usize) < SYSENT.len()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_mov_and_lea_before_the_gate() {
        let mov = [&[0xb8, 20, 0, 0, 0][..], &GATE].concat();
        let lea = [&[0x8d, 0x05, 135, 0, 0, 0][..], &GATE].concat();
        let popped = [&[0x59, 0x58, 0x51][..], &GATE].concat();
        let code = [mov.clone(), lea, popped, mov].concat();
        let gate = |number, count| Gate { number, count };
        assert_eq!(gates(std::iter::once(&code[..])), [gate(Some(20), 2), gate(Some(135), 1), gate(None, 1)]);
    }
}
