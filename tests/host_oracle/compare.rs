//! A case on the host and on our processor, and the judgement.
//!
//! Cases go in rounds.  In a round the memory of both is compared once, at its end; where anything
//! differs the round is run again from the same random numbers, each case with its memory.

use crate::cases::{self, Case, TRANSCENDENTAL};
use crate::generate::{ARITHMETIC, Random};
use crate::native::{CODE, CONSTANT, CS, DATA, EXIT, End, FILLER, Native, Registers, STACK};
use crate::table::Table;
use crate::unit::{self, Image, fxsave};
use bsd21::cpu::{Cpu, Options};
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::eflags::{AC, DF, NT, TF};
use bsd21::trapframe::{Access, Trap, Trapframe};
use iced_x86::{FlowControl, Mnemonic as M};

/// Cases of a round.
pub const ROUND: u64 = 64;
/// Both windows of writable memory.
pub const WINDOWS: [u32; 2] = [DATA, STACK];
/// Bytes of each.
pub const SIZE: usize = 0x2000;
pub struct Comparison {
    random: Random,
    pub native: Native,
    /// With specialised forms of instructions, and with the general ones only.
    cpus: [Cpu; 2],
    general: bool,
    /// Blocks are translated before they run.
    translated: bool,
    space: AddressSpace,
    /// Where the bytes of the last case are in our code page.
    used: (u32, usize),
    /// Something differed in this round.
    suspect: bool,
    /// This round is run again: memory is compared each time.
    careful: bool,
    pub table: Table,
    pub failures: Vec<String>,
}

/// What came out of a case on both.
pub struct Outcome {
    fault: Option<(u32, u32, u32)>,
    want: Registers,
    unit_want: Image,
    pub frame: Trapframe,
    pub trap: Trap,
    /// Flags that count.
    pub mask: u32,
    /// What differs, and why that may be.
    differs: Vec<String>,
    excuse: Option<&'static str>,
}

impl Comparison {
    pub fn new(seed: u64) -> Result<Self, String> {
        let mut native = Native::new()?;
        let mut random = Random(seed);
        let mut space = AddressSpace::new().map_err(|e| e.to_string())?;
        let rw = Prot::READ | Prot::WRITE;
        for (addr, len, prot) in [
            (CODE, 0x1000, Prot::READ),
            (CONSTANT, 0x1000, Prot::READ),
            (DATA, 0x2000, rw),
            (STACK, 0x2000, rw),
        ] {
            space.map_anon(addr, len, prot).map_err(|e| e.to_string())?;
        }
        space.poke(CODE, &[FILLER; 0x1000]).map_err(|e| format!("{e:?}"))?;
        for addr in WINDOWS {
            let window = native.memory(addr, SIZE);
            window.iter_mut().for_each(|b| *b = random.word() as u8);
            space.poke(addr, window).map_err(|e| format!("{e:?}"))?;
        }
        let plain = Options { cache: false, fast: false, ..Options::default() };
        Ok(Self {
            random,
            native,
            cpus: [Cpu::new(), Cpu::with_options(plain)],
            general: false,
            translated: false,
            space,
            used: (CODE, 0),
            suspect: false,
            careful: false,
            table: Table::default(),
            failures: Vec::new(),
        })
    }

    /// Cases `n` to `n + ROUND`.
    pub fn round(&mut self, n: u64) {
        // One round in four does without the specialised forms, two translate; blocks are stale after the former.
        let general = n / ROUND % 4 == 3;
        self.translated = (n / ROUND).is_multiple_of(2);
        if self.general && !general {
            self.cpus[0].reset();
        }
        self.general = general;
        let seed = self.random.0;
        let memory: Vec<Vec<u8>> = WINDOWS.iter().map(|w| self.native.memory(*w, SIZE).to_vec()).collect();
        self.suspect = false;
        self.cases(n);
        if !self.suspect && self.same_memory().is_empty() {
            return;
        }
        self.random.0 = seed;
        for (addr, bytes) in WINDOWS.into_iter().zip(memory) {
            self.native.memory(addr, SIZE).copy_from_slice(&bytes);
        }
        self.refresh();
        self.careful = true;
        self.cases(n);
        self.careful = false;
    }

    fn cases(&mut self, n: u64) {
        for i in n..n + ROUND {
            let Some(case) = cases::any(&mut self.random, i) else { continue };
            let Some(outcome) = self.judge(&case) else { continue };
            if !self.careful {
                self.table.compared(&case);
                self.suspect |= !outcome.differs.is_empty();
            } else if !outcome.differs.is_empty() {
                match outcome.excuse {
                    Some(reason) => self.table.excused(reason),
                    None => self.fail(&case, &outcome),
                }
                self.refresh();
            }
        }
    }

    fn fail(&mut self, case: &Case, outcome: &Outcome) {
        self.table.differs(case);
        if self.failures.len() < 200 {
            let text: Vec<_> = case.codes().map(|c| format!("{c:?}")).collect();
            self.failures.push(format!(
                "{:02x?} {text:?} at {:#x}{}\n  from {:x?} unit {:x?} planted {:x?}\n  {}",
                case.bytes,
                case.start.eip,
                match (self.general, self.translated) {
                    (true, _) => " (general forms)",
                    (_, true) => " (translated)",
                    _ => "",
                },
                case.start,
                unit::summary(&fxsave(&case.fpu)),
                case.plants,
                outcome.differs.join("\n  ")
            ));
        }
    }

    /// Opcode number `n` from memory that the caller has filled, where both agree on it.
    pub fn agreed(&mut self, n: u32) -> Option<(Case, Outcome)> {
        self.refresh();
        self.careful = true;
        let case = cases::opcode(&mut self.random, n)?;
        let outcome = self.judge(&case)?;
        outcome.differs.is_empty().then_some((case, outcome))
    }

    /// Runs a case on both and compares.
    fn judge(&mut self, case: &Case) -> Option<Outcome> {
        self.put(case);
        let end = case.start.eip.wrapping_add(case.bytes.len() as u32);
        let mut want = case.start.clone();
        let mut image = fxsave(&case.fpu);
        let outcome = self.native.run(&mut want, &mut image);
        let (fault, arrived_at) = match outcome {
            End::Endless => {
                self.refresh();
                return None;
            }
            End::Arrived => {
                want.seg[CS] = case.start.seg[CS];
                (None, end)
            }
            End::Fault(vector, error, address) => {
                let away = want.eip != case.start.eip;
                // The filler, or nothing executable: control has arrived there.
                let there = match vector {
                    13 => error == 0 && away && self.is_filler(case, want.eip),
                    14 => {
                        error & 0x10 != 0 && address == want.eip && away
                            || want.eip == end && address == CODE + 0x1000
                    }
                    _ => false,
                };
                (if there { None } else { Some((vector, error, address)) }, want.eip)
            }
        };
        want.eip = arrived_at;
        // The host's kernel cannot return to a null selector with privilege bits: they are gone after
        // a signal or an interrupt.
        let null = |seg: [u16; 6]| seg.map(|s| if s & !3 == 0 { 0 } else { s });
        want.seg = null(want.seg);
        let mut frame = Trapframe::new();
        frame.gpr = case.start.gpr;
        frame.eip = case.start.eip;
        frame.eflags = case.start.eflags;
        frame.seg = case.start.seg;
        *frame.fpu = case.fpu.clone();
        let cpu = &mut self.cpus[usize::from(self.general)];
        if !self.general {
            // The last block ends where the case does, so that it runs whole.
            let translate = self.translated.then_some(0);
            cpu.set_options(Options {
                block: case.instructions.len() as u8,
                translate,
                ..Options::default()
            });
        }
        let trap = cpu.run(&mut frame, &mut self.space, case.count.unwrap_or(100_000)).trap;
        frame.seg = null(frame.seg);
        // A return may lead into the tested bytes or the way out; the host goes on from there.
        let into = frame.eip.wrapping_sub(case.start.eip) as usize;
        let branch = case.instructions.iter().any(|i| i.flow_control() != FlowControl::Next);
        if branch && trap == Trap::Budget && frame.eip != end && into < case.bytes.len() + EXIT.len() {
            self.refresh();
            return None;
        }
        // What `fnstenv` says about the last instruction is not what `fxrstor` brought.
        if fault.is_none() && case.has(&[M::Fnstenv, M::Fnsave]) {
            self.equalize(case);
        }
        let mask = (ARITHMETIC | DF | NT | TF | AC) & !case.undefined;
        let mut outcome =
            Outcome { fault, want, unit_want: image, frame, trap, mask, differs: Vec::new(), excuse: None };
        self.compare(case, &mut outcome, end);
        Some(outcome)
    }

    /// Puts the bytes of a case into the memory of both.
    fn put(&mut self, case: &Case) {
        self.native.put(case.start.eip, &case.bytes);
        let filler = [FILLER; 256];
        let _ = self.space.poke(self.used.0, &filler[..self.used.1.min(256)]);
        let room = (CODE + 0x1000 - case.start.eip) as usize;
        let mut bytes = case.bytes.clone();
        bytes.extend_from_slice(&EXIT);
        bytes.truncate(room);
        self.used = (case.start.eip, bytes.len());
        let _ = self.space.poke(case.start.eip, &bytes);
        for (addr, bytes) in &case.plants {
            self.native.memory(*addr, bytes.len()).copy_from_slice(bytes);
            let _ = self.space.poke(*addr, bytes);
        }
    }

    /// Finds what differs.
    fn compare(&mut self, case: &Case, o: &mut Outcome, end: u32) {
        let arrived = match o.trap {
            Trap::Budget => true,
            // The way out, where the number of instructions is open.
            Trap::GeneralProtection(0x30) | Trap::Page(_) => o.frame.eip == end && case.count.is_none(),
            _ => false,
        };
        let mut differs = Vec::new();
        let mut note = |text: String| differs.push(text);
        let same_end = match o.fault {
            None => arrived,
            Some(fault) => !arrived && same_trap(fault, o.trap),
        };
        if !same_end {
            note(format!("host {:x?}, here {:x?}", o.fault, o.trap));
        }
        // Under some virtual machines this trap is reported as if it were a fault.
        let int1 = case.has(&[M::Int1]) && o.fault.is_some() && o.want.eip == case.start.eip;
        if int1 && !self.careful {
            self.table.excused("int1: the host says where it is, not what is behind it");
        }
        if o.frame.eip != o.want.eip && !int1 {
            note(format!("eip {:#x}, here {:#x}", o.want.eip, o.frame.eip));
        }
        if o.frame.gpr != o.want.gpr {
            note(format!("registers {:x?}, here {:x?}", o.want.gpr, o.frame.gpr));
        }
        if o.frame.seg != o.want.seg {
            note(format!("segments {:x?}, here {:x?}", o.want.seg, o.frame.seg));
        }
        if (o.frame.eflags ^ o.want.eflags) & o.mask != 0 {
            note(format!("eflags {:#x}, here {:#x} (mask {:#x})", o.want.eflags, o.frame.eflags, o.mask));
        }
        let image = fxsave(&o.frame.fpu);
        let units = if case.has(&TRANSCENDENTAL) { 1 } else { 0 };
        if !unit::same(&o.unit_want, &image, units) {
            note(format!("unit {:x?}\n  here {:x?}", unit::summary(&o.unit_want), unit::summary(&image)));
        }
        if self.careful {
            differs.extend(self.same_memory());
        }
        o.differs = differs;
        o.excuse = if o.differs.is_empty() { None } else { excuse(case, o) };
    }

    /// The first difference of each window.
    fn same_memory(&mut self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut window = [0; SIZE];
        for addr in WINDOWS {
            let host = self.native.memory(addr, SIZE);
            if self.space.copyin(addr, &mut window).is_err() || *host != window {
                differences.push(format!("memory at {addr:#x}: {}", difference(host, &window)));
            }
        }
        differences
    }

    fn is_filler(&self, case: &Case, eip: u32) -> bool {
        let (at, length) = (eip.wrapping_sub(case.start.eip), case.bytes.len() + EXIT.len());
        eip & !0xfff == CODE && at as usize >= length
    }

    /// Makes the memory of both the same again.
    pub fn refresh(&mut self) {
        for addr in WINDOWS {
            let _ = self.space.poke(addr, self.native.memory(addr, SIZE));
        }
    }

    /// Takes over the host's pointers in an image of the unit.
    fn equalize(&mut self, case: &Case) {
        let Some(ins) = case.instructions.first() else { return };
        let short = matches!(ins.memory_size().size(), 14 | 94);
        let part = if short { 6..14 } else { 12..28 };
        let at = crate::plant::address(ins, &case.start);
        for addr in part.map(|i| at.wrapping_add(i)) {
            if WINDOWS.iter().any(|w| addr.wrapping_sub(*w) < SIZE as u32) {
                let byte = self.native.memory(addr, 1)[0];
                let _ = self.space.poke(addr, &[byte]);
            }
        }
    }
}

/// Differences that are the host's, or the comparison's own.
fn excuse(case: &Case, o: &Outcome) -> Option<&'static str> {
    // What the comparison itself needs in the host's low memory.
    let own = |address: u32| address & 0xffff_0000 == 0x6b3f_0000;
    if own(o.frame.eip) || matches!(o.trap, Trap::Page(f) if own(f.address)) {
        return Some("touches the comparison's own memory");
    }
    // The host may have set some registers before the stack ends.
    if o.fault.is_some() && case.has(&[M::Popa, M::Popad]) {
        return Some("popa runs into the end of the stack: registers popped before");
    }
    let missing = matches!(o.fault, Some((14, ..)));
    if missing && case.has(&[M::Retf]) && matches!(o.trap, Trap::GeneralProtection(_)) {
        return Some("retf to a refused selector with the end of the stack behind it: which is first");
    }
    let far_call = case.instructions.iter().any(|i| i.is_call_far() || i.is_call_far_indirect());
    if missing && case.has(&[M::Call]) && o.trap == Trap::GeneralProtection(0) && !far_call {
        return Some("call beyond the limit at the end of the stack: which is first");
    }
    if far_call && missing {
        return Some("far call at the end of the stack: the host has stored CS already");
    }
    if far_call && matches!((o.fault, o.trap), (Some((13, 0, _)), Trap::GeneralProtection(0))) {
        return Some("far call beyond the limit: the host has stored the return address already");
    }
    let images = [M::Fnstenv, M::Fnsave, M::Fldenv, M::Frstor];
    let same_page =
        matches!((o.fault, o.trap), (Some((14, _, a)), Trap::Page(f)) if (a ^ f.address) >> 12 == 0);
    if case.has(&images) && same_page {
        return Some("an image of the unit runs into a missing page: which of its bytes is reported");
    }
    // Of two operands that fault, which one is reported depends on the repeat prefix.
    let both = matches!(o.fault, Some((12..=14, ..)));
    if both && case.has(&[M::Cmpsb, M::Cmpsw, M::Cmpsd]) {
        return Some("both operands of cmps fault: which is first");
    }
    None
}

/// Bit of a page fault's error code: a store was refused.
const WRITE: u32 = 2;

/// Whether the vector, error code and address of the host are what the trap says.
fn same_trap(fault: (u32, u32, u32), trap: Trap) -> bool {
    match (fault, trap) {
        ((0, ..), Trap::Divide)
        | ((1, ..), Trap::SingleStep)
        | ((3, ..), Trap::Breakpoint)
        | ((4, ..), Trap::Overflow)
        | ((5, ..), Trap::Bounds)
        | ((6, ..), Trap::InvalidOpcode)
        | ((16, ..), Trap::Fpu) => true,
        ((11, e, _), Trap::SegmentNotPresent(x)) | ((12, e, _), Trap::StackFault(x)) => e == x,
        ((13, e, _), Trap::GeneralProtection(x)) => e == x,
        ((14, e, address), Trap::Page(fault)) => {
            address == fault.address && (e & WRITE != 0) == (fault.access == Access::Write)
        }
        _ => false,
    }
}

fn difference(host: &[u8], here: &[u8]) -> String {
    let at = host.iter().zip(here).position(|(a, b)| a != b).unwrap_or(0);
    let part = |m: &[u8]| format!("{:02x?}", m.get(at..(at + 16).min(m.len())).unwrap_or_default());
    format!("+{at:#x} host {} here {}", part(host), part(here))
}
