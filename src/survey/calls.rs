//! What a program's code contains: its branches followed, its bytes searched, and the calls looked up in the
//! one table.
//!
//! A gate that branches lead to may run; one that is only there was linked in, or is reached through a
//! pointer that nothing shows.

use std::collections::BTreeMap;

use syscalls::sysent::row;

use super::flow::{Flow, Site, follow};
use super::memory::{Memory, Run};
use super::model::{Call, Code, Gate};
use crate::image::inspect::sites;

/// `int $0x80`, looked for only behind a number.
const LINUX_GATE: [u8; 2] = [0xcd, 0x80];
/// `mov $imm32,%eax`.
const MOV_EAX: u8 = 0xb8;
/// Linux of that time had fewer calls than this.
const LINUX_CALLS: u32 = 512;
/// Why a call through Linux's gate is not served.
const LINUX_REASON: &str = "Linux's gate is not served";
/// Why a number past the table is not served.
const PAST_REASON: &str = "2.1 has no such call";

/// Looks through a program's code; `starts` are its entry and its symbols.
pub fn contained(memory: &Memory<'_>, starts: impl Iterator<Item = u32>, dynamic: bool) -> Code {
    let flow = follow(memory, starts);
    let mut calls = Calls::default();
    for run in memory.runs.iter().filter(|run| run.code) {
        calls.add_run(run, &flow);
    }
    calls.add_reached(&flow);
    let through_libraries = dynamic && calls.list.is_empty();
    Code {
        instructions: flow.instructions,
        calls: calls.list.into_iter().map(|((gate, number), n)| call(gate, number, n)).collect(),
        unnumbered: calls.unnumbered,
        through_libraries,
        newer: flow.newer.into_values().collect(),
    }
}

/// Places of a call.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    sites: usize,
    reached: usize,
}

#[derive(Debug, Default)]
struct Calls {
    list: BTreeMap<(Gate, u32), Places>,
    unnumbered: usize,
    /// Numbers that the bytes before a reached gate tell where following the branches does not.
    before: BTreeMap<u32, u32>,
}

impl Calls {
    fn add(&mut self, gate: Gate, number: Option<u32>, reached: bool) {
        let Some(number) = number else {
            self.unnumbered += 1;
            return;
        };
        let places = self.list.entry((gate, number)).or_default();
        places.sites += 1;
        places.reached += usize::from(reached);
    }

    /// Gates that are in the bytes of a run and were not reached.
    fn add_run(&mut self, run: &Run<'_>, flow: &Flow) {
        for (at, number) in sites(run.bytes) {
            let addr = run.addr.wrapping_add(at as u32);
            match (flow.sites.get(&addr), number) {
                (None, _) => self.add(Gate::Lcall, number, false),
                (Some(_), Some(number)) => _ = self.before.insert(addr, number),
                (Some(_), None) => {}
            }
        }
        for (at, window) in run.bytes.windows(7).enumerate().filter(|(_, w)| w[0] == MOV_EAX) {
            let number = u32::from_le_bytes([window[1], window[2], window[3], window[4]]);
            let addr = run.addr.wrapping_add(at as u32).wrapping_add(5);
            if window[5..] == LINUX_GATE && number < LINUX_CALLS && !flow.sites.contains_key(&addr) {
                self.add(Gate::Int80, Some(number), false);
            }
        }
    }

    fn add_reached(&mut self, flow: &Flow) {
        for (addr, &Site { gate, number }) in &flow.sites {
            self.add(gate, number.or_else(|| self.before.get(addr).copied()), true);
        }
    }
}

fn call(gate: Gate, number: u32, Places { sites, reached }: Places) -> Call {
    let (name, unserved) = match (gate, row(number)) {
        (Gate::Int80, _) => (None, Some(LINUX_REASON)),
        (Gate::Lcall, None) => (None, Some(PAST_REASON)),
        (Gate::Lcall, Some(row)) => (Some(row.trace_name().to_string()), row.why_unserved()),
    };
    Call { gate, number, name, sites, reached, unserved: unserved.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: [u8; 7] = [0x9a, 0, 0, 0, 0, 7, 0];

    #[test]
    fn what_is_only_linked_in_is_told_from_what_is_reached() {
        let stub = |number: u8| [&[0xb8, number, 0, 0, 0][..], &GATE, &[0xc3]].concat();
        let linux = [0xb8, 4, 0, 0, 0, 0xcd, 0x80];
        let bytes = [stub(20), stub(67), [&[0x59, 0x50][..], &GATE].concat(), linux.to_vec()].concat();
        let memory = Memory { runs: vec![Run { addr: 0x1000, bytes: &bytes, code: true }] };
        let code = contained(&memory, std::iter::once(0x1000), false);
        let told: Vec<_> = code
            .calls
            .iter()
            .map(|c| (c.gate, c.number, c.name.as_deref(), c.reached, c.unserved.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (Gate::Lcall, 20, Some("getpid"), 1, None),
                (Gate::Lcall, 67, Some("obs_vread"), 0, Some("obsolete in 2.1")),
                (Gate::Int80, 4, None, 0, Some(LINUX_REASON)),
            ]
        );
        assert_eq!((code.unnumbered, code.instructions), (1, 3));
    }
}
