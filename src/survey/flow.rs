//! Which instructions a program can come to: decoding from its entry and its symbols along all branches
//! whose targets are in the code.
//!
//! Calls through pointers are followed where the pointer is a constant that leads to the beginning of a
//! function.  What is found is code that can run as far as branches tell, not what will run.
//!
//! Compilers of that time put strings between functions, and a call of exit() is followed by whatever comes
//! next.  So instructions count only when they lead to a branch, a call or a return, and no instruction that
//! letters make and compilers do not (`insb`, `arpl`, `bound`) is among them.
//!
//! Must not know system calls: a gate is an instruction with what eax holds there.

use std::collections::BTreeMap;

use iced_x86::{
    Code as K, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::memory::Memory;
use super::model::{Gate, Newer};
use crate::cpu::is_of_a_pentium;

/// Selector of the call gate.
const GATE_SELECTOR: u16 = 7;
/// Vector of Linux's gate.
const LINUX_VECTOR: u8 = 0x80;
/// More targets than any jump table has.
const MAX_TABLE: u32 = 1024;

/// A gate in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which gate.
    pub gate: Gate,
    /// What eax holds there, where that is known.
    pub number: Option<u32>,
}

/// What following the branches found.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Gates by address.
    pub sites: BTreeMap<u32, Site>,
    /// Instructions that a Pentium does not have, by extension.
    pub newer: BTreeMap<String, Newer>,
    /// Instructions.
    pub instructions: usize,
}

/// Follows a program's branches from some addresses.
pub fn follow(memory: &Memory<'_>, from: impl Iterator<Item = u32>) -> Flow {
    let seen =
        memory.runs.iter().map(|run| vec![false; if run.code { run.bytes.len() } else { 0 }]).collect();
    let info = InstructionInfoFactory::new();
    let mut walker = Walker {
        memory,
        seen,
        todo: from.collect(),
        flow: Flow::default(),
        stretch: Stretch::default(),
        info,
    };
    walker.add_pointers_in_data();
    walker.keep();
    while let Some(addr) = walker.todo.pop() {
        walker.straight(addr);
    }
    walker.flow
}

/// Instructions between two branches or calls: all of them are code, or none.
#[derive(Default)]
struct Stretch {
    /// What was decoded: places in [`Walker::seen`].
    seen: Vec<(usize, usize)>,
    targets: Vec<u32>,
    sites: Vec<(u32, Site)>,
    newer: Vec<Newer>,
}

struct Walker<'m, 'a> {
    memory: &'m Memory<'a>,
    /// For each run, which bytes begin an instruction that was decoded.
    seen: Vec<Vec<bool>>,
    todo: Vec<u32>,
    flow: Flow,
    stretch: Stretch,
    info: InstructionInfoFactory,
}

impl Walker<'_, '_> {
    /// Decodes from an address to where nothing follows, or to what was decoded before.
    fn straight(&mut self, start: u32) {
        match self.decode_from(start) {
            true => self.keep(),
            false => self.forget(),
        }
    }

    /// Tells whether the last stretch is code.
    fn decode_from(&mut self, start: u32) -> bool {
        let Some((index, run)) = self.memory.code_at(start) else { return true };
        let options = DecoderOptions::OLD_FPU | DecoderOptions::NO_WBNOINVD | DecoderOptions::NO_PAUSE;
        let mut decoder = Decoder::with_ip(32, run.from(start), start.into(), options);
        let mut eax = None;
        let mut pushed = None;
        while decoder.can_decode() {
            let addr = decoder.ip() as u32;
            let first = addr.wrapping_sub(run.addr) as usize;
            match self.seen.get_mut(index).and_then(|seen| seen.get_mut(first)) {
                Some(seen) if !*seen => *seen = true,
                _ => return true,
            }
            self.stretch.seen.push((index, first));
            let ins = decoder.decode();
            if ins.is_invalid() || is_text(&ins) {
                return false;
            }
            self.note(&ins, addr, eax);
            self.add_pointers(&ins);
            if !self.goes_on(&ins) {
                return true;
            }
            if ins.flow_control() != FlowControl::Next {
                self.keep();
            }
            eax = self.eax_after(&ins, eax, pushed);
            pushed = pushed_constant(&ins);
        }
        false
    }

    /// The stretch is code.
    fn keep(&mut self) {
        let Stretch { seen, targets, sites, newer } = std::mem::take(&mut self.stretch);
        self.flow.instructions += seen.len();
        self.todo.extend(targets);
        self.flow.sites.extend(sites);
        for one in newer {
            match self.flow.newer.get_mut(&one.feature) {
                Some(there) => there.count += 1,
                None => _ = self.flow.newer.insert(one.feature.clone(), one),
            }
        }
    }

    /// The stretch is not code; another way may lead to some of its bytes.
    fn forget(&mut self) {
        for (index, at) in std::mem::take(&mut self.stretch).seen {
            if let Some(seen) = self.seen.get_mut(index).and_then(|seen| seen.get_mut(at)) {
                *seen = false;
            }
        }
    }

    /// Remembers gates and newer instructions.
    fn note(&mut self, ins: &Instruction, addr: u32, eax: Option<u32>) {
        let gate = match ins.code() {
            K::Call_ptr1632 if ins.far_branch_selector() == GATE_SELECTOR => Some(Gate::Lcall),
            K::Int_imm8 if ins.immediate8() == LINUX_VECTOR => Some(Gate::Int80),
            _ => None,
        };
        if let Some(gate) = gate {
            self.stretch.sites.push((addr, Site { gate, number: eax }));
        }
        for &feature in ins.cpuid_features().iter().filter(|&&f| !is_of_a_pentium(f)) {
            let instruction = format!("{:?}", ins.mnemonic()).to_lowercase();
            let feature = format!("{feature:?}");
            self.stretch.newer.push(Newer { feature, count: 1, instruction, address: addr });
        }
    }

    /// Queues branch targets; tells whether the next instruction can be reached from this one.
    fn goes_on(&mut self, ins: &Instruction) -> bool {
        let near = matches!(ins.op0_kind(), OpKind::NearBranch32 | OpKind::NearBranch16);
        match ins.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::Call | FlowControl::XbeginXabortXend => {
                if near {
                    self.stretch.targets.push(ins.near_branch_target() as u32);
                }
                true
            }
            FlowControl::UnconditionalBranch => {
                if near {
                    self.stretch.targets.push(ins.near_branch_target() as u32);
                }
                false
            }
            FlowControl::IndirectBranch => {
                self.add_jump_table(ins);
                false
            }
            FlowControl::Return | FlowControl::Exception => false,
            FlowControl::Next | FlowControl::IndirectCall | FlowControl::Interrupt => true,
        }
    }

    /// `jmp *table(,%reg,4)`: the words of the table lead into the code as far as it goes.
    fn add_jump_table(&mut self, ins: &Instruction) {
        if ins.op0_kind() != OpKind::Memory || ins.memory_index_scale() != 4 {
            return;
        }
        let table = ins.memory_displacement32();
        for i in 0..MAX_TABLE {
            match self.memory.word(table.wrapping_add(i * 4)) {
                Some(target) if self.memory.code_at(target).is_some() => self.stretch.targets.push(target),
                _ => break,
            }
        }
    }

    /// What eax holds after an instruction, where that is a constant.
    fn eax_after(&mut self, ins: &Instruction, eax: Option<u32>, pushed: Option<u32>) -> Option<u32> {
        let to_eax =
            ins.op_count() > 0 && ins.op0_kind() == OpKind::Register && ins.op0_register() == Register::EAX;
        match ins.mnemonic() {
            Mnemonic::Mov if to_eax && ins.op1_kind() == OpKind::Immediate32 => {
                return Some(ins.immediate32());
            }
            Mnemonic::Lea
                if to_eax && ins.memory_base() == Register::None && ins.memory_index() == Register::None =>
            {
                return Some(ins.memory_displacement32());
            }
            Mnemonic::Xor | Mnemonic::Sub
                if to_eax && ins.op1_kind() == OpKind::Register && ins.op1_register() == Register::EAX =>
            {
                return Some(0);
            }
            Mnemonic::Pop if to_eax => return pushed,
            _ => {}
        }
        eax?;
        let writes = |access| {
            matches!(
                access,
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            )
        };
        let calls = matches!(
            ins.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Interrupt
        );
        let info = self.info.info(ins);
        let written = info
            .used_registers()
            .iter()
            .any(|r| r.register().full_register32() == Register::EAX && writes(r.access()));
        if calls || written { None } else { eax }
    }

    /// Constants in an instruction that lead to the beginning of a function.
    fn add_pointers(&mut self, ins: &Instruction) {
        for i in 0..ins.op_count() {
            let constant = match ins.op_kind(i) {
                OpKind::Immediate32 => ins.immediate32(),
                OpKind::Memory if ins.mnemonic() == Mnemonic::Lea => ins.memory_displacement32(),
                _ => continue,
            };
            self.add_function(constant);
        }
    }

    /// Words in the data that lead to the beginning of a function.
    fn add_pointers_in_data(&mut self) {
        for run in &self.memory.runs {
            for word in run.bytes.chunks_exact(4) {
                self.add_function(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            }
        }
    }

    fn add_function(&mut self, addr: u32) {
        if is_function(self.memory, addr) {
            self.stretch.targets.push(addr);
        }
    }
}

/// Whether what begins at an address looks like a function.
pub fn is_function(memory: &Memory<'_>, addr: u32) -> bool {
    memory.code_at(addr).is_some_and(|(_, run)| begins_function(run.from(addr)))
}

/// Instructions that the letters of a string make, and that no compiler does.
fn is_text(ins: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(
        ins.mnemonic(),
        M::Insb
            | M::Insw
            | M::Insd
            | M::Outsb
            | M::Outsw
            | M::Outsd
            | M::Arpl
            | M::Bound
            | M::Aaa
            | M::Aas
            | M::Daa
            | M::Das
    )
}

/// The frame that compilers of that time set up, or a stub of the C library.
fn begins_function(code: &[u8]) -> bool {
    let stub = |number: usize| {
        code.get(number + 1..number + 5).is_some_and(|rest| rest[..3] == [0, 0, 0] && rest[3] == 0x9a)
    };
    match code {
        [0x55, 0x89, 0xe5, ..] | [0x55, 0x8b, 0xec, ..] => true,
        [0xb8, ..] => stub(1),
        [0x8d, 0x05, ..] => stub(2),
        _ => false,
    }
}

/// The constant that an instruction pushes.
fn pushed_constant(ins: &Instruction) -> Option<u32> {
    match ins.code() {
        K::Pushd_imm8 => Some(ins.immediate8to32() as u32),
        K::Pushd_imm32 => Some(ins.immediate32()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Run;
    use super::*;

    const GATE: [u8; 7] = [0x9a, 0, 0, 0, 0, 7, 0];

    fn numbers(code: &[u8], entry: u32) -> Vec<Option<u32>> {
        let memory = Memory { runs: vec![Run { addr: 0x1000, bytes: code, code: true }] };
        follow(&memory, std::iter::once(entry)).sites.values().map(|site| site.number).collect()
    }

    #[test]
    fn numbers_come_from_any_constant_in_eax() {
        let movl = [&[0xb8, 20, 0, 0, 0][..], &[0x89, 0xc3], &GATE, &[0xc3]].concat();
        assert_eq!(numbers(&movl, 0x1000), [Some(20)], "a move from eax keeps it");
        let lea = [&[0x8d, 0x05, 135, 0, 0, 0][..], &GATE, &[0xc3]].concat();
        assert_eq!(numbers(&lea, 0x1000), [Some(135)]);
        let pushed = [&[0x6a, 4, 0x58][..], &GATE, &GATE, &[0xc3]].concat();
        assert_eq!(numbers(&pushed, 0x1000), [Some(4), None], "a call changes eax");
        let xor = [&[0x31, 0xc0][..], &GATE, &[0xc3]].concat();
        assert_eq!(numbers(&xor, 0x1000), [Some(0)]);
        let loaded = [&[0xb8, 1, 0, 0, 0, 0x8b, 0x45, 8][..], &GATE, &[0xc3]].concat();
        assert_eq!(numbers(&loaded, 0x1000), [None]);
    }

    #[test]
    fn branches_are_followed_and_what_they_pass_over_is_not() {
        let hidden = [&[0xb8, 9, 0, 0, 0][..], &GATE].concat();
        let shown = [&[0xb8, 7, 0, 0, 0][..], &GATE, &[0xc3]].concat();
        let code = [&[0xeb, 12][..], &hidden, &shown].concat();
        assert_eq!(numbers(&code, 0x1000), [Some(7)]);
        let circle = [0xeb, 0xfe];
        assert_eq!(numbers(&circle, 0x1000), []);
        assert_eq!(numbers(&circle, 0x5000), [], "an entry outside of the code");
    }

    #[test]
    fn strings_behind_a_call_are_not_code() {
        // call 0x1011; "%s: nothing\0"; then the function that was called: ret
        let mut code = vec![0xe8, 0x0c, 0, 0, 0];
        code.extend(b"%s: nothing\0\xc3");
        let memory = Memory { runs: vec![Run { addr: 0x1000, bytes: &code, code: true }] };
        assert_eq!(follow(&memory, std::iter::once(0x1000)).instructions, 2);
    }

    #[test]
    fn jump_tables_and_pointers_to_functions_lead_on() {
        // jmp *0x1007(,%eax,4); table: 0x100f, 0; 0x100f: mov $3,%eax; gate
        let mut code = vec![0xff, 0x24, 0x85, 0x07, 0x10, 0, 0, 0x0f, 0x10, 0, 0, 0, 0, 0, 0];
        code.extend([&[0xb8, 3, 0, 0, 0][..], &GATE, &[0xc3]].concat());
        assert_eq!(numbers(&code, 0x1000), [Some(3)]);
        // push $0x1006; ret; 0x1006: push %ebp; mov %esp,%ebp; mov $5,%eax; gate
        let mut code = vec![0x68, 0x06, 0x10, 0, 0, 0xc3, 0x55, 0x89, 0xe5, 0xb8, 5, 0, 0, 0];
        code.extend(GATE);
        assert_eq!(numbers(&code, 0x1000), [Some(5)]);
    }

    #[test]
    fn newer_instructions_are_named_once_with_their_count() {
        // cmovne %eax,%ebx twice; emms; bswap is a 486's, rdtsc a Pentium's
        let code = [0x0f, 0x45, 0xd8, 0x0f, 0x45, 0xd8, 0x0f, 0x77, 0x0f, 0xc8, 0x0f, 0x31, 0xc3];
        let memory = Memory { runs: vec![Run { addr: 0x1000, bytes: &code, code: true }] };
        let flow = follow(&memory, std::iter::once(0x1000));
        let newer: Vec<_> = flow.newer.values().map(|n| (n.feature.as_str(), n.count, n.address)).collect();
        assert_eq!(newer, [("CMOV", 2, 0x1000), ("MMX", 1, 0x1006)]);
        assert_eq!(flow.newer["CMOV"].instruction, "cmovne");
    }
}
