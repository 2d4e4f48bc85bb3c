//! Shifts and rotates, whose flags depend on the count.
//!
//! Reference: the instruction pages of the processor manuals.

use super::code::{DWORD, DWORD_0F, EAX, Operand, R9, R10, R11};
use super::emit::Emitter;
use super::instruction::{Step, is_byte, native, operand};
use super::split::{Rm, Split};
use super::undefined::{Habits, RESTORE_WITHOUT_ADJUST, SAVE, Undefined};
use super::{Done, Unserved};

/// Rotates and shifts.
pub(super) fn by(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let byte = is_byte(s);
    let bits = if byte {
        8
    } else if s.word {
        16
    } else {
        32
    };
    let count = match s.opcode {
        0xc0 | 0xc1 => Some(s.last() & 31),
        0xd0 | 0xd1 => Some(1),
        _ => None,
    };
    if s.reg < 4 {
        // Rotates keep the flags of results.
        e.settle()?;
        if let Rm::Register(r) = s.rm {
            e.changes(if byte { r & 3 } else { r })?;
        }
        Habits::need(e.habits.rotates || !step.seen || count == Some(1))?;
        return native(e, step, s);
    }
    if !step.seen {
        // A count of zero leaves flags that are then seen.
        if count.is_none_or(|count| count == 0) {
            e.settle()?;
        } else {
            e.undefined = Undefined::None;
        }
        return native(e, step, s);
    }
    match count {
        Some(0) => {
            e.settle()?;
            native(e, step, s)
        }
        Some(count) => {
            Habits::need(e.habits.shifts || count == 1)?;
            // The carry is open where everything is shifted out.
            Habits::need(count < bits)?;
            let right = s.reg == 5 && count > 1;
            let Rm::Register(r) = s.rm else {
                if right {
                    return right_in_memory(e, step, s, bits);
                }
                native(e, step, s)?;
                e.undefined = Undefined::Adjust;
                return Ok(());
            };
            native(e, step, s)?;
            e.undefined = if right {
                let (register, low) = if byte { (r & 3, (r & 4) << 1) } else { (r, 0) };
                Undefined::Right { register, bit: low + bits - 1 - count }
            } else {
                Undefined::Adjust
            };
            Ok(())
        }
        None => shift_by_register(e, step, s, bits),
    }
}

/// A shift to the right of an operand in memory whose flags are seen: the overflow flag is the sign of before.
fn right_in_memory(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>, bits: u8) -> Done {
    e.settle()?;
    let operand = operand(e, s, bits == 8)?;
    match bits {
        8 => e.code.op(DWORD_0F, 0xb6, R11, operand)?,
        16 => e.code.op(DWORD_0F, 0xb7, R11, operand)?,
        _ => e.code.op(DWORD, 0x8b, R11, operand)?,
    }
    native(e, step, s)?;
    e.code.put(SAVE);
    // shr r11d, bits - 1; mov al, r11b
    e.code.put(&[0x41, 0xc1, 0xeb, bits - 1, 0x44, 0x88, 0xd8]);
    e.code.put(RESTORE_WITHOUT_ADJUST);
    Ok(())
}

/// A shift of 32 bits by CL whose flags are seen: they change only where the count is not zero.
fn shift_by_register(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>, bits: u8) -> Done {
    let Rm::Register(r) = s.rm else { return Err(Unserved) };
    Habits::need(bits == 32 && r != 1 && e.habits.shifts && e.habits.bmi2)?;
    e.settle()?;
    let to = e.named(r)?;
    let right = s.reg == 5;
    if right {
        e.code.mov(R11, to)?;
    }
    native(e, step, s)?;
    e.code.set(R9, 1);
    // shlx r9d, r9d, ecx; mov r10d, ecx; lea ecx, [r9 - 1]
    e.code.put(&[0xc4, 0x42, 0x71, 0xf7, 0xc9]);
    e.code.mov(R10, 1)?;
    e.code.lea(1, R9, -1)?;
    // Where the count is zero, passes over what follows but its last instruction; see below.
    e.code.put(&[0xe3, 0]);
    let from = e.code.bytes.len();
    e.code.put(SAVE);
    if right {
        // shr r11d, 31; mov al, r11b
        e.code.put(&[0x41, 0xc1, 0xeb, 31, 0x44, 0x88, 0xd8]);
    }
    e.code.put(RESTORE_WITHOUT_ADJUST);
    let distance = e.code.bytes.len() - from;
    if let Some(byte) = e.code.bytes.get_mut(from - 1) {
        *byte = distance as u8;
    }
    e.code.mov(1, R10)
}

/// `shld shrd` by a number.
pub(super) fn double(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let count = s.last() & 31;
    // What is shifted further than it is wide is open.
    Habits::need(!s.word || count <= 16)?;
    if !step.seen || count == 0 {
        e.settle()?;
        return native(e, step, s);
    }
    let Rm::Register(r) = s.rm else { return Err(Unserved) };
    Habits::need(!s.word)?;
    e.settle()?;
    let to = e.named(r)?;
    e.code.mov(R11, to)?;
    native(e, step, s)?;
    e.code.put(SAVE);
    // The overflow flag says whether the sign has changed: xor r11d, result; shr r11d, 31; mov al, r11b
    let result = if to == EAX { R9 } else { to };
    e.code.op(DWORD, 0x33, R11, Operand::Register(result))?;
    e.code.put(&[0x41, 0xc1, 0xeb, 31, 0x44, 0x88, 0xd8]);
    e.code.put(RESTORE_WITHOUT_ADJUST);
    Ok(())
}
