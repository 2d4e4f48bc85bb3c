//! x87 instructions on the unit of the host.
//!
//! What every processor computes in the same way is the host's; transcendental functions, remainders, packed decimals
//! and what moves the whole state are the interpreter's ([`crate::cpu::x87`]).  An exception that the guest has
//! unmasked arrives as a signal at the next instruction that waits, as it does on a processor; the interpreter runs
//! that one and finds the exception pending.
//!
//! Control words that unmask denormal operands, underflow or inexact results are not given to the host, since there
//! its vendors differ: see [`is_hard`].

use super::code::{DWORD, DWORD_0F, Form, Operand, R9, R10, R11};
use super::emit::Emitter;
use super::instruction::Step;
use super::split::{Rm, Split};
use super::undefined::Habits;
use super::{Done, Unserved};
use crate::cpu::state::offset;

/// Denormal operand, underflow, precision.
const MASKED: u16 = 0x32;

/// Whether the host may compute with a control word.
pub(super) fn is_hard(control: u16) -> bool {
    control & MASKED == MASKED
}

pub(super) fn wait(e: &mut Emitter, step: &Step<'_>) -> Done {
    Habits::need(step.hard)?;
    e.fpu = true;
    e.may_fault();
    e.code.put(&[0x9b]);
    Ok(())
}

pub(super) fn instruction(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let served = step.hard && step.d.unit.is_some() && s.repeat == 0 && !s.word;
    Habits::need(served)?;
    let (escape, field) = (s.opcode, s.reg);
    match s.rm {
        Rm::None => Err(Unserved),
        Rm::Memory(memory) => {
            Habits::need(in_memory(escape, field))?;
            e.fpu = true;
            let operand = e.guest(memory);
            if (escape, field) == (0xd9, 5) {
                look_at_control(e, operand)?;
            }
            e.may_fault();
            e.code.op(DWORD, escape, field, operand)
        }
        Rm::Register(i) => {
            Habits::need(on_registers(escape, field, i))?;
            e.fpu = true;
            // fnstsw ax
            if escape == 0xdf {
                e.changes(0)?;
            }
            e.may_fault();
            e.code.op(DWORD, escape, field, Operand::Register(i))
        }
    }
}

/// Leaves where a control word is not for the host, or unmasks an exception that is there already.
fn look_at_control(e: &mut Emitter, operand: Operand) -> Done {
    Habits::need(e.habits.bmi2)?;
    e.may_fault();
    e.code.op(Form { ..DWORD_0F }, 0xb7, R9, operand)?;
    // not r9d; mov r10d, 0x3f; pext r9d, r9d, r10d: what it unmasks
    e.code.put(&[0x41, 0xf7, 0xd1]);
    e.code.set(R10, 0x3f);
    e.code.put(&[0xc4, 0x42, 0x32, 0xf5, 0xca]);
    // fnstsw; movzx r10d; pext r10d, r10d, r9d: what of it is there
    e.code.op(DWORD, 0xdd, 7, Emitter::field(offset::SCRATCH))?;
    e.code.op(DWORD_0F, 0xb7, R10, Emitter::field(offset::SCRATCH))?;
    e.code.put(&[0xc4, 0x42, 0x2a, 0xf5, 0xd1]);
    e.code.mov_wide(R11, R9)?;
    e.code.mov_wide(R9, R10)?;
    e.may_fault();
    e.code.trap_unless_zero()?;
    // mov r10d, MASKED; pext r9d, r11d, r10d
    e.code.set(R10, u32::from(MASKED));
    e.code.put(&[0xc4, 0x42, 0x22, 0xf5, 0xca]);
    e.may_fault();
    e.code.trap_unless_zero()
}

fn in_memory(escape: u8, field: u8) -> bool {
    match escape {
        0xd9 => matches!(field, 0 | 2 | 3 | 5 | 7),
        0xdb => matches!(field, 0 | 2 | 3 | 5 | 7),
        0xdd => matches!(field, 0 | 2 | 3 | 7),
        0xdf => matches!(field, 0 | 2 | 3 | 5 | 7),
        // Arithmetic and comparisons with one of four formats.
        _ => true,
    }
}

/// The encodings that compilers use; their aliases are the interpreter's.
fn on_registers(escape: u8, field: u8, i: u8) -> bool {
    match escape {
        0xd8 => true,
        0xd9 => match field {
            0 | 1 => true,
            // fnop
            2 => i == 0,
            // fchs fabs ftst fxam
            4 => matches!(i, 0 | 1 | 4 | 5),
            // constants
            5 => i < 7,
            // fdecstp fincstp
            6 => i > 5,
            // fsqrt frndint
            7 => matches!(i, 2 | 4),
            _ => false,
        },
        // fucompp
        0xda => (field, i) == (5, 1),
        // fnclex fninit
        0xdb => field == 4 && matches!(i, 2 | 3),
        0xdc => !matches!(field, 2 | 3),
        // ffree fst fstp fucom fucomp
        0xdd => matches!(field, 0 | 2 | 3 | 4 | 5),
        // fcompp
        0xde => !matches!(field, 2 | 3) || (field, i) == (3, 1),
        // fnstsw ax
        _ => (field, i) == (4, 0),
    }
}
