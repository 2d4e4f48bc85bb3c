//! What was executed of programs and libraries: functions, blocks, lines.
//!
//! Reads a [`Summary`] with addresses; how it is printed is the business of [`super::coverage`].

use std::collections::BTreeMap;

use super::summary::{Executed, File, Summary};
use crate::image::to_elf::{self, Source};

/// Instructions one behind the other that were executed equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The address in the file.
    pub address: u32,
    /// Bytes.
    pub len: u32,
    /// How often.
    pub count: u64,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The address in the file.
    pub address: u32,
    /// Bytes up to the next one.
    pub len: u32,
    /// Bytes of instructions that were executed.
    pub executed: u32,
    /// How often its first instruction was executed.
    pub entered: u64,
}

/// Lines of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Its path as the compiler was given it.
    pub path: String,
    /// How often each line with code was begun.
    pub lines: BTreeMap<u32, u64>,
    /// Functions: name, line, how often entered.
    pub functions: Vec<(String, u32, u64)>,
}

/// A program or library of which something was executed.
#[derive(Clone, Debug)]
pub struct Covered {
    /// Its path in the guest.
    pub path: String,
    /// Addresses of its text in the file.
    pub text: std::ops::Range<u32>,
    /// Its functions, in order.
    pub functions: Vec<Function>,
    /// What was executed, in order.
    pub blocks: Vec<Block>,
    /// Source files, where the file has stabs.
    pub sources: Vec<Lines>,
}

/// What was executed of each file.
pub fn of(summary: &Summary) -> Vec<Covered> {
    let files = summary.modules.iter().enumerate();
    let covered = files.filter_map(|(number, file)| {
        let executed: Vec<&Executed> =
            summary.executed.iter().filter(|executed| executed.module == Some(number)).collect();
        (!executed.is_empty()).then(|| covered(file, &executed))
    });
    covered.collect()
}

fn covered(file: &File, executed: &[&Executed]) -> Covered {
    let counts: BTreeMap<u32, u64> = executed.iter().map(|e| (e.address, e.count)).collect();
    let count = |address: u32| counts.get(&address).copied().unwrap_or(0);
    let ends = file.functions.iter().skip(1).map(|next| next.0).chain([file.text.end]);
    let functions = file.functions.iter().zip(ends).map(|((address, name), end)| {
        let inside = executed.iter().filter(|e| (*address..end).contains(&e.address));
        Function {
            name: name.clone(),
            address: *address,
            len: end - address,
            executed: inside.map(|e| u32::from(e.len)).sum(),
            entered: count(*address),
        }
    });
    let mut blocks: Vec<Block> = Vec::new();
    for instruction in executed {
        let (address, len) = (instruction.address, u32::from(instruction.len));
        match blocks.last_mut() {
            Some(last) if last.address + last.len == address && last.count == instruction.count => {
                last.len += len
            }
            _ => blocks.push(Block { address, len, count: instruction.count }),
        }
    }
    let lines = |source: Source| {
        let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
        for (address, line) in source.lines {
            let begun = lines.entry(line.into()).or_default();
            *begun = (*begun).max(count(address));
        }
        let functions = source.functions.into_iter();
        let functions = functions.map(|(name, address, line)| (name, line.into(), count(address)));
        Lines { path: source.path, lines, functions: functions.collect() }
    };
    Covered {
        path: file.path.clone(),
        text: file.text.clone(),
        functions: functions.collect(),
        blocks,
        sources: to_elf::sources(&file.bytes).into_iter().map(lines).collect(),
    }
}
