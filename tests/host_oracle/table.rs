//! How many cases of each code were compared, and how many differed.

use crate::cases::Case;
use crate::generate;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic as M};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Default)]
struct Count {
    compared: u64,
    differ: u64,
}

/// The counts of a run.
pub struct Table {
    counts: Vec<Count>,
    excuses: BTreeMap<&'static str, u64>,
    /// Cases compared.
    pub total: u64,
    /// Cases that differ without an excuse.
    pub differ: u64,
}

impl Default for Table {
    fn default() -> Self {
        let counts = vec![Count::default(); Code::values().count()];
        Self { counts, excuses: BTreeMap::new(), total: 0, differ: 0 }
    }
}

impl Table {
    pub fn compared(&mut self, case: &Case) {
        self.total += 1;
        for code in case.codes() {
            self.counts[code as usize].compared += 1;
        }
    }

    pub fn differs(&mut self, case: &Case) {
        self.differ += 1;
        for code in case.codes() {
            self.counts[code as usize].differ += 1;
        }
    }

    pub fn excused(&mut self, reason: &'static str) {
        *self.excuses.entry(reason).or_default() += 1;
    }

    /// Every code, then the classes as a table for a page, then totals.
    pub fn print(&self) {
        println!("code compared differ");
        let mut classes = BTreeMap::<&str, (u64, u64, u64, u64)>::new();
        let (mut few, mut none) = (Vec::new(), Vec::new());
        for code in generate::all_codes() {
            let count = self.counts[code as usize];
            println!("{code:?} {} {}", count.compared, count.differ);
            match count.compared {
                0 => {
                    none.push(format!("{code:?}"));
                    continue;
                }
                1..1000 => few.push(format!("{code:?}")),
                _ => {}
            }
            let class = classes.entry(class(code)).or_insert((0, 0, u64::MAX, 0));
            class.0 += 1;
            class.1 += count.compared;
            class.2 = class.2.min(count.compared);
            class.3 += count.differ;
        }
        println!("\n| Instructions | Codes | Compared | Least of a code | Differ |\n|---|---|---|---|---|");
        for (name, (codes, compared, least, differ)) in classes {
            println!("| {name} | {codes} | {compared} | {least} | {differ} |");
        }
        println!("\ncases {}, differ {}", self.total, self.differ);
        for (reason, number) in &self.excuses {
            println!("excused {number}: {reason}");
        }
        println!("compared fewer than 1000 times: {}", few.join(" "));
        println!("not compared: {}", none.join(" "));
    }
}

/// What a code is, in the words of a table.
fn class(code: Code) -> &'static str {
    let mut ins = Instruction::new();
    ins.set_code(code);
    let name = format!("{:?}", ins.mnemonic());
    if name.starts_with('F') || name == "Wait" {
        return "x87";
    }
    if code.op_code().is_privileged() {
        return "privileged: refused";
    }
    let segment = |i: u32| {
        let kind = format!("{:?}", code.op_code().op_kind(i));
        kind.starts_with("seg") || matches!(kind.as_str(), "es" | "cs" | "ss" | "ds" | "fs" | "gs")
    };
    match ins.mnemonic() {
        M::Lar | M::Lsl | M::Verr | M::Verw | M::Lds | M::Les | M::Lss | M::Lfs | M::Lgs | M::Arpl => {
            "selectors"
        }
        _ if (0..code.op_code().op_count()).any(segment) => "selectors",
        M::Movsb | M::Movsw | M::Movsd | M::Stosb | M::Stosw | M::Stosd | M::Lodsb | M::Lodsw | M::Lodsd => {
            "strings"
        }
        M::Scasb | M::Scasw | M::Scasd | M::Cmpsb | M::Cmpsw | M::Cmpsd => "strings",
        M::Int | M::Int1 | M::Int3 | M::Into | M::Iret | M::Iretd | M::Bound => "interrupts, bound, iret",
        _ if code.is_jmp_far() || code.is_call_far() => "far branches",
        _ if code.is_jmp_far_indirect() || code.is_call_far_indirect() => "far branches",
        M::Retf => "far branches",
        _ if code.flow_control() != FlowControl::Next => "branches, calls, returns, loops",
        M::Push | M::Pop | M::Pusha | M::Pushad | M::Popa | M::Popad | M::Enter | M::Leave => "stack",
        M::Pushf | M::Pushfd | M::Popf | M::Popfd | M::Lahf | M::Sahf => "flags",
        M::Clc | M::Stc | M::Cmc | M::Cld | M::Std | M::Salc => "flags",
        M::Shl | M::Sal | M::Shr | M::Sar | M::Rol | M::Ror | M::Rcl | M::Rcr | M::Shld | M::Shrd => {
            "shifts, rotates"
        }
        M::Mul | M::Imul | M::Div | M::Idiv => "multiplication, division",
        M::Daa | M::Das | M::Aaa | M::Aas | M::Aam | M::Aad => "decimal",
        M::Bt | M::Bts | M::Btr | M::Btc | M::Bsf | M::Bsr => "bits",
        M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => "arithmetic, logic",
        M::Inc | M::Dec | M::Not | M::Neg | M::Xadd | M::Cmpxchg | M::Cmpxchg8b => "arithmetic, logic",
        _ => "moves, conversions, other",
    }
}
