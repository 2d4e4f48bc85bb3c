//! One case: the same bytes and state for the host and for our processor, and the judgement.

use crate::generate::{self, ARITHMETIC, Random};
use crate::native::{CODE, CONSTANT, DATA, End, Native, Registers, STACK};
use bsd21::cpu::Cpu;
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::eflags::{DF, NT};
use bsd21::trapframe::{F80, FpuState, Trap, Trapframe};
use iced_x86::{Code, FlowControl, Instruction, Mnemonic as M};
use std::collections::BTreeMap;

/// First address outside the user data segment of 2.1.
const DATA_END: u32 = 0xefbf_e000;
/// First address outside its code segment.
const CODE_END: u32 = 0xefc0_0000;

pub struct Comparison {
    random: Random,
    native: Native,
    cpu: Cpu,
    space: AddressSpace,
    pub compared: u64,
    pub failures: Vec<String>,
    codes: BTreeMap<u16, (Code, u64)>,
    /// The last case on which both agreed, as a line of the recorded vectors.
    agreed: Option<(Code, String)>,
}

/// A case that is ready to run.
struct Case {
    bytes: Vec<u8>,
    start: Registers,
    fpu: FpuState,
    /// Flags that are undefined at the end.
    undefined: u32,
    /// Instructions, where the number is fixed.
    count: Option<u64>,
    codes: Vec<Code>,
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
        for addr in [DATA, STACK] {
            let window = native.memory(addr, 0x2000);
            window.iter_mut().for_each(|b| *b = random.word() as u8);
            space.poke(addr, window).map_err(|e| format!("{e:?}"))?;
        }
        Ok(Self {
            random,
            native,
            cpu: Cpu::new(),
            space,
            compared: 0,
            failures: Vec::new(),
            codes: BTreeMap::new(),
            agreed: None,
        })
    }

    /// A single instruction with the opcode number `n`.
    pub fn opcode(&mut self, n: u32) {
        let bytes = generate::bytes(&mut self.random, n);
        self.single(&bytes);
    }

    /// Random bytes.
    pub fn noise(&mut self) {
        let mut bytes = [0; 15];
        bytes.iter_mut().for_each(|b| *b = self.random.word() as u8);
        self.single(&bytes);
    }

    fn single(&mut self, bytes: &[u8]) {
        let at = generate::address(&mut self.random, bytes.len());
        let Some(ins) = generate::decode(bytes, at) else { return };
        let bytes = bytes[..ins.len()].to_vec();
        let start = generate::registers(&mut self.random, at, Some(&ins));
        if generate::dangerous(&bytes) || !generate::comparable(&ins, Some(&start)) {
            return;
        }
        if near_itself(&ins, at) {
            return;
        }
        let (undefined, _) = generate::flags(&ins, Some(&start));
        let fpu = self.unit();
        let count = if repeats(&ins) { None } else { Some(1) };
        self.judge(Case { bytes, start, fpu, undefined, count, codes: vec![ins.code()] });
    }

    /// Up to eight instructions without branches.
    pub fn sequence(&mut self) {
        let wanted = 2 + self.random.below(7) as usize;
        let at = CODE + 0x100 + self.random.below(0xd00);
        let (mut bytes, mut codes) = (Vec::new(), Vec::new());
        let (mut undefined, mut ever) = (0, 0);
        let mut first = None;
        let mut repeated = false;
        for _ in 0..64 {
            if codes.len() == wanted {
                break;
            }
            let n = self.random.below(512);
            let next = generate::bytes(&mut self.random, n);
            let Some(ins) = generate::decode(&next, at + bytes.len() as u32) else { continue };
            let plain = ins.flow_control() == FlowControl::Next
                && !matches!(ins.mnemonic(), M::Bound | M::Int | M::Int3 | M::Into | M::Hlt);
            if !plain || !generate::comparable(&ins, None) || generate::reads(&ins, undefined) {
                continue;
            }
            let (u, d) = generate::flags(&ins, None);
            undefined = undefined & !d | u;
            ever |= u;
            repeated |= repeats(&ins);
            first.get_or_insert(ins);
            codes.push(ins.code());
            bytes.extend_from_slice(&next[..ins.len()]);
        }
        if bytes.is_empty() || generate::dangerous(&bytes) {
            return;
        }
        let start = generate::registers(&mut self.random, at, first.as_ref());
        let fpu = self.unit();
        let count = if repeated { None } else { Some(codes.len() as u64) };
        // A fault in the middle shows flags that a later instruction would have defined.
        let undefined = if self.random.one_in(1) { ever } else { undefined };
        self.judge(Case { bytes, start, fpu, undefined, count, codes });
    }

    /// A state of the x87 unit.
    fn unit(&mut self) -> FpuState {
        let random = &mut self.random;
        let mut fpu = FpuState::default();
        let control = match random.below(4) {
            0 => 0x1272,
            1 => 0x037f,
            _ => 0x40 | random.word() as u16 & 0xf3f,
        };
        // A reserved precision behaves differently from one processor to the next.
        let control = if control & 0x300 == 0x100 { control | 0x200 } else { control };
        for physical in 0..8 {
            let exponent = match random.below(4) {
                0 => 0x3fff + random.below(64) as u16,
                1 => 0x3fff - random.below(64) as u16,
                2 => [0, 1, 0x7ffe, 0x7fff][random.below(4) as usize],
                _ => random.word() as u16,
            };
            let significand = match random.below(4) {
                0 => 1 << 63,
                1 => random.next() & 0xffff_ffff_0000_0000,
                _ => random.next(),
            };
            let integer = if random.one_in(8) || exponent & 0x7fff == 0 { 0 } else { 1 << 63 };
            fpu.set_register(physical, F80 { significand: significand | integer, sign_exponent: exponent });
        }
        fpu.set_valid(random.word() as u8);
        // The inexact flag may be there already, if it is masked: the short ways ask for it.
        let sticky = 0x4700 | control & 0x20;
        fpu.set_status((random.word() as u16 & 7) << 11 | random.word() as u16 & sticky);
        fpu.set_control(control);
        fpu
    }

    /// Runs a case on both and compares.
    fn judge(&mut self, case: Case) {
        let page = self.native.put(case.start.eip, &case.bytes);
        if self.space.poke(CODE, &page).is_err() {
            return;
        }
        let end = case.start.eip.wrapping_add(case.bytes.len() as u32);
        let mut want = case.start.clone();
        let mut fx = fxsave(&case.fpu);
        let outcome = self.native.run(&mut want, &mut fx);
        if outcome == End::Endless {
            self.refresh();
            return;
        }
        let (fault, want_eip) = match outcome {
            End::Arrived => (None, end),
            // The filler, or nothing executable: control has arrived there.
            End::Fault(13, 0, _) if want.eip != case.start.eip && self.is_filler(&page, &case, want.eip) => {
                (None, want.eip)
            }
            End::Fault(14, error, address)
                if error & 0x10 != 0 && address == want.eip && want.eip != case.start.eip =>
            {
                (None, want.eip)
            }
            End::Fault(14, _, address) if want.eip == end && address == CODE + 0x1000 => (None, end),
            End::Fault(vector, error, address) => (Some((vector, error, address)), want.eip),
            End::Endless => return,
        };
        let mut frame = Trapframe::new();
        frame.gpr = case.start.gpr;
        frame.eip = case.start.eip;
        frame.eflags = case.start.eflags;
        *frame.fpu = case.fpu.clone();
        let stopped = self.cpu.run(&mut frame, &mut self.space, case.count.unwrap_or(100_000));
        let arrived = match stopped.trap {
            Trap::Budget => true,
            // The way out, where the number of instructions is open.
            Trap::GeneralProtection(_) | Trap::Page(_) => frame.eip == end && case.count.is_none(),
            _ => false,
        };
        self.compared += 1;
        for code in &case.codes {
            self.codes.entry(*code as u16).or_insert((*code, 0)).1 += 1;
        }
        let mut wrong = Vec::new();
        match (fault, arrived) {
            (None, true) => {}
            (Some(fault), false) if same_trap(fault, stopped.trap) => {}
            _ => wrong.push(format!("host {fault:x?}, here {:x?}", stopped.trap)),
        }
        if frame.eip != want_eip {
            wrong.push(format!("eip {want_eip:#x}, here {:#x}", frame.eip));
        }
        if frame.gpr != want.gpr {
            wrong.push(format!("registers {:x?}, here {:x?}", want.gpr, frame.gpr));
        }
        let mask = (ARITHMETIC | DF | NT) & !case.undefined;
        if (frame.eflags ^ want.eflags) & mask != 0 {
            wrong.push(format!("eflags {:#x}, here {:#x} (mask {mask:#x})", want.eflags, frame.eflags));
        }
        let unit = fxsave(&frame.fpu);
        if unit[..6] != fx[..6]
            || (0..8).any(|i| unit[32 + 16 * i..42 + 16 * i] != fx[32 + 16 * i..42 + 16 * i])
        {
            wrong.push(format!("unit {:x?} here {:x?}", summary(&fx), summary(&unit)));
        }
        for addr in [DATA, STACK] {
            let mut window = [0; 0x2000];
            if self.space.copyin(addr, &mut window).is_err() || self.native.memory(addr, 0x2000) != window {
                wrong.push(format!(
                    "memory at {addr:#x}: {}",
                    difference(self.native.memory(addr, 0x2000), &window)
                ));
            }
        }
        self.agreed = match case.codes.as_slice() {
            [code] if wrong.is_empty() => {
                let unit = if case.fpu_involved() {
                    format!("{} {}", hex(&fxsave(&case.fpu)[..160]), hex(&unit[..160]))
                } else {
                    "- -".into()
                };
                let line = format!(
                    "{code:?} {} {:x} {} {:x} {unit} {} {:x} {} {:x} {mask:x}",
                    hex(&case.bytes),
                    case.start.eip,
                    words(&case.start.gpr),
                    case.start.eflags,
                    format!("{:?}", stopped.trap).replace(' ', ""),
                    frame.eip,
                    words(&frame.gpr),
                    frame.eflags & mask,
                );
                Some((*code, line))
            }
            _ => None,
        };
        if !wrong.is_empty() && !self.excused(&case, fault, want_eip, stopped.trap) {
            let text: Vec<String> = instructions(&case);
            self.failures.push(format!(
                "{:02x?} {text:?} at {:#x}\n  from {:x?} unit {:x?}\n  {}",
                case.bytes,
                case.start.eip,
                case.start,
                summary(&fxsave(&case.fpu)),
                wrong.join("\n  ")
            ));
        }
        if !wrong.is_empty() {
            self.refresh();
        }
    }

    /// Differences that 2.1's segment limits make: the host has none.
    fn excused(&self, case: &Case, fault: Option<(u32, u32, u32)>, want_eip: u32, trap: Trap) -> bool {
        let limit = matches!(trap, Trap::GeneralProtection(0) | Trap::StackFault(0));
        // What the comparison itself needs in the host's low memory.
        if matches!(trap, Trap::Page(f) if f.address & 0xffff_0000 == 0x6b3f_0000) {
            return true;
        }
        // The host may have set some registers before the stack ends.
        if fault.is_some() && case.codes.iter().any(|c| matches!(c.mnemonic(), M::Popa | M::Popad)) {
            return true;
        }
        // Of two operands that fault, which one is reported depends on the repeat prefix.
        let compares = case.codes.iter().any(|c| matches!(c.mnemonic(), M::Cmpsb | M::Cmpsw | M::Cmpsd));
        match fault {
            None => limit && want_eip >= CODE_END,
            // The target of a call is checked before the return address is stored.
            Some((14, ..)) if limit && case.codes.iter().all(|c| c.mnemonic() == M::Call) => true,
            Some((12..=14, ..)) if compares => limit || matches!(trap, Trap::Page(_)),
            Some((14, _, address)) => limit && address >= DATA_END - 16,
            Some((12 | 13, 0, _)) => limit,
            _ => false,
        }
    }

    fn is_filler(&self, page: &[u8], case: &Case, eip: u32) -> bool {
        let inside = eip.wrapping_sub(case.start.eip) < case.bytes.len() as u32;
        page.get(eip.wrapping_sub(CODE) as usize) == Some(&crate::native::FILLER) && !inside
    }

    /// Makes the memory of both the same again.
    fn refresh(&mut self) {
        for addr in [DATA, STACK] {
            let _ = self.space.poke(addr, self.native.memory(addr, 0x2000));
        }
    }

    /// One line of the recorded vectors: opcode number `n` from memory that holds the pattern.
    pub fn vector(&mut self, n: u32) -> Option<(Code, String)> {
        for addr in [DATA, STACK] {
            for (at, byte) in (addr..).zip(self.native.memory(addr, 0x2000)) {
                *byte = pattern(at);
            }
        }
        self.refresh();
        self.agreed = None;
        self.opcode(n);
        let (code, mut line) = self.agreed.take()?;
        for addr in [DATA, STACK] {
            for (at, byte) in (addr..).zip(self.native.memory(addr, 0x2000)) {
                if *byte != pattern(at) {
                    line.push_str(&format!(" {at:x}={byte:02x}"));
                }
            }
        }
        Some((code, line))
    }

    pub fn report(&self) {
        let all = generate::all_codes();
        let mut missing = Vec::new();
        for code in &all {
            let n = self.codes.get(&(*code as u16)).map_or(0, |c| c.1);
            if n < 1000 {
                missing.push(format!("{code:?} {n}"));
            }
        }
        println!(
            "{} codes, {} compared; fewer than 1000: {}",
            all.len(),
            self.codes.len(),
            missing.join(", ")
        );
    }
}

impl Case {
    fn fpu_involved(&self) -> bool {
        self.codes.iter().any(|c| format!("{c:?}").starts_with(['F', 'W']))
    }
}

/// What memory holds before a recorded vector.
fn pattern(addr: u32) -> u8 {
    (addr.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn words(words: &[u32; 8]) -> String {
    words.map(|w| format!("{w:x}")).join(",")
}

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
        ((14, _, address), Trap::Page(fault)) => address == fault.address,
        _ => false,
    }
}

/// Whether an instruction repeats, so that the number of retired ones varies.
fn repeats(ins: &Instruction) -> bool {
    ins.is_string_instruction() && (ins.has_rep_prefix() || ins.has_repne_prefix())
}

/// Whether a branch leads into its own bytes or the way out.
fn near_itself(ins: &Instruction, at: u32) -> bool {
    let target = ins.near_branch_target() as u32;
    let branch = matches!(
        ins.flow_control(),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call
    );
    branch && target.wrapping_sub(at) < ins.len() as u32 + 7
}

fn instructions(case: &Case) -> Vec<String> {
    case.codes.iter().map(|c| format!("{c:?}")).collect()
}

fn difference(host: &[u8], here: &[u8]) -> String {
    let at = host.iter().zip(here).position(|(a, b)| a != b).unwrap_or(0);
    let part = |m: &[u8]| format!("{:02x?}", m.get(at..(at + 16).min(m.len())).unwrap_or_default());
    format!("+{at:#x} host {} here {}", part(host), part(here))
}

/// The unit as `fxsave` stores it.
fn fxsave(fpu: &FpuState) -> [u8; 512] {
    let mut image = [0; 512];
    image[0..2].copy_from_slice(&fpu.control.to_le_bytes());
    image[2..4].copy_from_slice(&fpu.status().to_le_bytes());
    image[4] = fpu.valid();
    image[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
    let top = usize::from(fpu.status() >> 11 & 7);
    for i in 0..8 {
        let r = fpu.register((top + i) & 7);
        image[32 + 16 * i..40 + 16 * i].copy_from_slice(&r.significand.to_le_bytes());
        image[40 + 16 * i..42 + 16 * i].copy_from_slice(&r.sign_exponent.to_le_bytes());
    }
    image
}

fn summary(fx: &[u8; 512]) -> String {
    let word = |i: usize| u16::from_le_bytes([fx[i], fx[i + 1]]);
    let regs: Vec<String> = (0..8)
        .map(|i| {
            let at = 32 + 16 * i;
            let low: [u8; 8] = fx[at..at + 8].try_into().unwrap_or_default();
            format!("{:04x}:{:016x}", word(at + 8), u64::from_le_bytes(low))
        })
        .collect();
    format!("cw {:04x} sw {:04x} valid {:02x} {}", word(0), word(2), fx[4], regs.join(" "))
}
