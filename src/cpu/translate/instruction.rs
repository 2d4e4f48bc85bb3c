//! Instructions and what becomes of them: nearly always the same instruction with another memory operand.
//!
//! Everything that is not listed here is left to the interpreter ([`Unserved`]).  An instruction whose flags the host
//! leaves otherwise than the interpreter says so in [`Emitter::undefined`].
//!
//! Source: the opcode maps of the Intel manual 2, appendix A.

use super::block::{Countable, countable, load_operand};
use super::code::{DWORD, DWORD_0F, EAX, Form, Operand, R8, R9, R11, host};
use super::emit::Emitter;
use super::split::{ESP, Memory, Rm, Split};
use super::undefined::Undefined;
use super::{Done, Unserved, float, open, shift, string, transfer};
use crate::cpu::alu::Width;
use crate::cpu::decode::Decoded;

/// An instruction on its way through the translator.
pub(super) struct Step<'a> {
    pub(super) d: &'a Decoded,
    /// Somebody may see the flags that it sets.
    pub(super) seen: bool,
    /// Nothing of the block lies behind it.
    pub(super) last: bool,
    /// It is a branch back to the beginning of the block, which begins once more behind it.
    pub(super) round: bool,
    /// The block's instructions are counted before it sets its flags.
    pub(super) counts: bool,
    /// x87 instructions are the host's.
    pub(super) hard: bool,
}

/// Writes an instruction; says whether control goes on behind it.
pub(super) fn translate(e: &mut Emitter, step: &Step<'_>) -> Done<bool> {
    let s = Split::of(step.d.bytes()).ok_or(Unserved)?;
    if step.counts {
        counted(e, step, &s)?;
        return Ok(true);
    }
    if step.d.escape != 0 {
        float::instruction(e, step, &s)?;
        return Ok(true);
    }
    if s.repeat != 0 || !s.two && matches!(s.opcode, 0xa4..=0xa7 | 0xaa..=0xaf) {
        string::instruction(e, &s)?;
        return Ok(true);
    }
    if s.two { behind_0f(e, step, &s) } else { one_byte(e, step, &s) }
}

/// An instruction before which the block's instructions are counted: it sets all flags, the last step of it.
fn counted(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    match countable(step.d).ok_or(Unserved)? {
        Countable::Registers => {
            // The stack pointer, where it is named, is brought up to date before flags change.
            if let Rm::Register(ESP) = s.rm {
                e.flush()?;
            }
            if s.reg == ESP {
                e.flush()?;
            }
            e.take_with_flags();
            e.undefined = Undefined::None;
            native(e, step, s)
        }
        Countable::Loaded { first } => {
            load_operand(e, s)?;
            let byte = s.opcode & 1 == 0;
            // A group's register field is no register.
            let group = matches!(s.opcode, 0x80 | 0x81 | 0x83 | 0xf6 | 0xf7);
            let reg = if group || byte { s.reg } else { e.named(s.reg)? };
            e.take_with_flags();
            e.undefined = Undefined::None;
            let form = Form { word: s.word, ..DWORD };
            // What compares a register with memory has it the other way round in its opcode.
            debug_assert!(first || s.opcode & 2 != 0, "the second operand is loaded");
            e.code.op(form, s.opcode, reg, Operand::Register(R9))?;
            e.code.put(s.tail);
            Ok(())
        }
    }
}

/// An instruction of one opcode byte.
fn one_byte(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done<bool> {
    let opcode = s.opcode;
    match opcode {
        0x00..=0x3f if opcode & 7 < 6 => arithmetic(e, step, s, opcode >> 3)?,
        0x40..=0x4f => {
            let r = e.named(opcode & 7)?;
            let form = Form { word: s.word, ..DWORD };
            e.code.op(form, 0xff, opcode >> 3 & 1, Operand::Register(r))?;
            // The carry, which stays, is always right.
            e.undefined = Undefined::None;
        }
        0x50..=0x57 | 0x58..=0x5f | 0x68 | 0x6a | 0xc9 if s.word => return Err(Unserved),
        0x50..=0x57 => transfer::push_register(e, opcode & 7)?,
        0x58..=0x5f => transfer::pop(e, opcode & 7)?,
        0x68 | 0x6a => transfer::push_immediate(e, s.immediate())?,
        0x69 | 0x6b => {
            native(e, step, s)?;
            open::product(e, step, s.reg, if s.word { Width::Word } else { Width::Dword });
        }
        0x70..=0x7f => branch(e, step, opcode & 15)?,
        0x80 | 0x81 | 0x83 => arithmetic(e, step, s, s.reg)?,
        0x84 | 0x85 | 0xa8 | 0xa9 => {
            native(e, step, s)?;
            e.undefined = Undefined::None;
        }
        0x86 | 0x87 => exchange(e, step, s)?,
        0x88..=0x8b => mov(e, step, s)?,
        0x8d => transfer::lea(e, s)?,
        0x90 => {}
        0x91..=0x97 => {
            let r = opcode & 7;
            let other = e.named(r)?;
            e.changes(r)?;
            e.changes(EAX)?;
            let form = Form { word: s.word, ..DWORD };
            e.code.op(form, 0x87, EAX, Operand::Register(other))?;
        }
        0x98 | 0x99 => {
            e.changes(if opcode == 0x98 { EAX } else { 2 })?;
            plain(e, s);
        }
        // fwait: it is the unit's, but has no escape byte
        0x9b => float::wait(e, step)?,
        0x9e => {
            e.settle()?;
            plain(e, s);
        }
        0x9f => {
            e.settle()?;
            plain(e, s);
        }
        0xa0..=0xa3 => {
            let memory = Memory { base: None, index: None, disp: s.immediate() };
            let (store, byte) = (opcode & 2 != 0, opcode & 1 == 0);
            if !store {
                e.changes(EAX)?;
            }
            let form = Form { word: s.word, ..DWORD };
            let operand = e.guest(memory);
            e.may_fault();
            e.code.op(form, if store { 0x88 } else { 0x8a } | u8::from(!byte), EAX, operand)?;
        }
        0xb0..=0xb7 => {
            e.changes(opcode & 3)?;
            plain(e, s);
        }
        0xb8..=0xbf => {
            let r = opcode & 7;
            e.changes(r)?;
            if r == ESP {
                e.delta = 0;
                if s.word {
                    return Err(Unserved);
                }
            }
            if s.word {
                e.code.put(&[0x66]);
            }
            if r == ESP {
                e.code.put(&[0x41, 0xb8]);
            } else {
                e.code.put(&[opcode]);
            }
            e.code.put(s.tail);
        }
        0xc0 | 0xc1 | 0xd0..=0xd3 => shift::by(e, step, s)?,
        0xc2 | 0xc3 if !s.word => {
            let more = if opcode == 0xc2 { s.immediate() & 0xffff } else { 0 };
            transfer::ret(e, 4 + more)?;
            return Ok(false);
        }
        0xc6 | 0xc7 if s.reg == 0 => mov(e, step, s)?,
        0xc9 => transfer::leave(e)?,
        0xe0..=0xe3 => transfer::counted(e, step, opcode)?,
        0xe8 if !s.word => {
            transfer::call(e, step)?;
            return Ok(false);
        }
        0xe9 | 0xeb if !s.word => {
            e.jump(target(step)?)?;
            return Ok(false);
        }
        0xf5 | 0xf8 | 0xf9 => {
            e.settle()?;
            plain(e, s);
        }
        0xfc | 0xfd => e.turn(opcode == 0xfd)?,
        0xf6 | 0xf7 => open::group_3(e, step, s)?,
        0xfe if s.reg < 2 => {
            native(e, step, s)?;
            e.undefined = Undefined::None;
        }
        0xff => match s.reg {
            0 | 1 => {
                native(e, step, s)?;
                e.undefined = Undefined::None;
            }
            2 | 4 if !s.word => {
                transfer::indirect(e, step, s.rm, s.reg == 2)?;
                return Ok(false);
            }
            6 if !s.word => transfer::push_operand(e, s.rm)?,
            _ => return Err(Unserved),
        },
        _ => return Err(Unserved),
    }
    Ok(true)
}

/// An instruction whose opcode follows 0F.
fn behind_0f(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done<bool> {
    let opcode = s.opcode;
    match opcode {
        0x80..=0x8f if !s.word => branch(e, step, opcode & 15)?,
        0x90..=0x9f => {
            if e.undefined.matters(opcode & 15) {
                e.settle()?;
            }
            if let Rm::Register(r) = s.rm {
                e.changes(r & 3)?;
            }
            let rm = operand(e, s, true)?;
            e.code.op(DWORD_0F, opcode, 0, rm)?;
        }
        // bt bts btr btc: with a register they reach beyond an operand in memory
        0xa3 | 0xab | 0xb3 | 0xbb if matches!(s.rm, Rm::Register(_)) => open::bits(e, step, s)?,
        0xba if s.reg > 3 => open::bits(e, step, s)?,
        0xa4 | 0xac => shift::double(e, step, s)?,
        0xa5 | 0xad if !step.seen && !s.word => {
            e.settle()?;
            native(e, step, s)?;
        }
        0xaf => {
            native(e, step, s)?;
            open::product(e, step, s.reg, if s.word { Width::Word } else { Width::Dword });
        }
        0xb6 | 0xb7 | 0xbe | 0xbf => {
            let to = e.named(s.reg)?;
            e.changes(s.reg)?;
            let byte = opcode & 1 == 0;
            let rm = operand(e, s, byte)?;
            let high = byte && matches!(s.rm, Rm::Register(4..));
            e.code.op(Form { word: s.word, two: true, high, ..DWORD }, opcode, to, rm)?;
        }
        0xbc | 0xbd => open::scan(e, step, s)?,
        0xc8..=0xcf if !s.word => {
            let r = opcode & 7;
            let to = e.named(r)?;
            e.changes(r)?;
            e.code.put(if to == R8 { &[0x41, 0x0f] } else { &[0x0f] });
            e.code.put(&[0xc8 | to & 7]);
        }
        _ => return Err(Unserved),
    }
    Ok(true)
}

/// Where a direct branch goes.
pub(super) fn target(step: &Step<'_>) -> Done<u32> {
    let to = step.d.ins.near_branch32();
    if to < crate::cpu::state::CODE_END { Ok(to) } else { Err(Unserved) }
}

fn branch(e: &mut Emitter, step: &Step<'_>, condition: u8) -> Done {
    let to = target(step)?;
    if step.d.ins.op0_kind() != iced_x86::OpKind::NearBranch32 {
        return Err(Unserved);
    }
    if step.round {
        return e.branch(condition ^ 1, step.d.ins.next_ip32(), false);
    }
    e.branch(condition, to, step.last)
}

/// The operand that ModRM names; in memory it may fault.
pub(super) fn operand(e: &mut Emitter, s: &Split<'_>, byte: bool) -> Done<Operand> {
    Ok(match s.rm {
        Rm::None => return Err(Unserved),
        Rm::Register(r) if byte => Operand::Register(r),
        Rm::Register(r) => Operand::Register(e.named(r)?),
        Rm::Memory(memory) => {
            let operand = e.guest(memory);
            e.may_fault();
            operand
        }
    })
}

/// Whether the register field of ModRM is a part of the opcode.
fn is_group(s: &Split<'_>) -> bool {
    if s.two {
        return s.opcode == 0xba;
    }
    matches!(s.opcode, 0x80..=0x83 | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7 | 0xfe | 0xff)
}

/// Whether operands are bytes.
pub(super) fn is_byte(s: &Split<'_>) -> bool {
    !s.two && s.opcode & 1 == 0 && !matches!(s.opcode, 0x68 | 0x6a)
}

/// The instruction itself.
pub(super) fn native(e: &mut Emitter, _step: &Step<'_>, s: &Split<'_>) -> Done {
    let byte = is_byte(s);
    let group = is_group(s);
    if let Rm::None = s.rm {
        plain(e, s);
        return Ok(());
    }
    let reg = if group || byte { s.reg } else { e.named(s.reg)? };
    let rm = operand(e, s, byte)?;
    let high = byte && (!group && s.reg > 3 || matches!(s.rm, Rm::Register(4..)));
    let form = Form { word: s.word, two: s.two, high, ..DWORD };
    e.code.op(form, s.opcode, reg, rm)?;
    e.code.put(s.tail);
    Ok(())
}

/// An instruction without ModRM, byte for byte but for prefixes that mean nothing.
fn plain(e: &mut Emitter, s: &Split<'_>) {
    if s.word {
        e.code.put(&[0x66]);
    }
    if s.two {
        e.code.put(&[0x0f]);
    }
    e.code.put(&[s.opcode]);
    e.code.put(s.tail);
}

/// `add or adc sbb and sub xor cmp`, by number.
fn arithmetic(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>, operation: u8) -> Done {
    // add esp, imm; sub esp, imm
    if matches!(s.opcode, 0x81 | 0x83) && s.rm == Rm::Register(ESP) && !step.seen && !s.word {
        let distance = s.immediate();
        match operation {
            0 => e.delta = e.delta.wrapping_add(distance),
            5 => e.delta = e.delta.wrapping_sub(distance),
            _ => return native(e, step, s),
        }
        return Ok(());
    }
    native(e, step, s)?;
    e.undefined = Undefined::None;
    Ok(())
}

fn mov(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let byte = is_byte(s);
    let to = match (s.opcode, s.rm) {
        (0x8a | 0x8b, _) => Some(s.reg),
        (_, Rm::Register(r)) => Some(r),
        _ => None,
    };
    if let Some(to) = to {
        e.changes(if byte { to & 3 } else { to })?;
    }
    let from_stack = match (s.opcode, s.rm) {
        (0x89, Rm::Register(to)) => (s.reg == ESP).then_some(to),
        (0x8b, Rm::Register(ESP)) => Some(s.reg),
        _ => None,
    };
    if let Some(to) = from_stack.filter(|&to| to != ESP && !s.word && e.delta != 0) {
        // mov r, esp
        return e.code.lea(to, R8, e.delta);
    }
    let whole = !byte && !s.word && to == Some(ESP);
    if whole {
        // The old stack pointer is needed for an operand only, which says so.
        let reg = if is_group(s) { s.reg } else { host(s.reg) };
        let rm = match s.rm {
            Rm::Register(r) => Operand::Register(host(r)),
            _ => operand(e, s, false)?,
        };
        if from_stack.is_none() {
            e.code.op(DWORD, s.opcode, reg, rm)?;
            e.code.put(s.tail);
            e.delta = 0;
        }
        return Ok(());
    }
    native(e, step, s)
}

fn exchange(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let byte = is_byte(s);
    let part = |r: u8| if byte { r & 3 } else { r };
    e.changes(part(s.reg))?;
    if let Rm::Register(r) = s.rm {
        e.changes(part(r))?;
    }
    native(e, step, s)
}

/// `mov r11d, operand`.
pub(super) fn load_r11(e: &mut Emitter, rm: Rm) -> Done {
    match rm {
        Rm::None => Err(Unserved),
        Rm::Register(r) => {
            let r = e.named(r)?;
            e.code.mov(R11, r)
        }
        Rm::Memory(memory) => {
            let operand = e.guest(memory);
            e.may_fault();
            e.code.op(DWORD, 0x8b, R11, operand)
        }
    }
}
