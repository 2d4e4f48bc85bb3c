//! Instructions that leave flags open: products, quotients, bit tests and scans.
//!
//! Reference: the "Flags affected" paragraphs of the processor manuals.

use super::Done;
use super::Unserved;
use super::code::{EAX, R9, R10};
use super::emit::Emitter;
use super::instruction::{Step, is_byte, native};
use super::split::{Rm, Split};
use super::undefined::{RESTORE, SAVE, Undefined};
use crate::cpu::alu::Width;

/// What `mul` and `imul` leave in the flags.
pub(super) fn product(e: &mut Emitter, step: &Step<'_>, register: u8, width: Width) {
    e.undefined = if step.seen { Undefined::Product { register, width } } else { Undefined::None };
}

pub(super) fn bits(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    e.settle()?;
    native(e, step, s)
}

/// `bsf bsr`, which change the zero flag and, on the host, others.
pub(super) fn scan(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    if !step.seen {
        e.settle()?;
        return native(e, step, s);
    }
    e.settle()?;
    kept_flags(e);
    native(e, step, s)?;
    // setz r11b; movzx r11d, r11b; mov r9, rax; mov eax, r10d
    e.code.put(&[0x41, 0x0f, 0x94, 0xc3, 0x45, 0x0f, 0xb6, 0xdb]);
    e.code.mov_wide(R9, EAX)?;
    e.code.mov(EAX, R10)?;
    // and eax, ~0x4000; shl r11d, 14; or eax, r11d
    e.code.put(&[0x25, 0xff, 0xbf, 0xff, 0xff, 0x41, 0xc1, 0xe3, 14, 0x44, 0x09, 0xd8]);
    e.code.put(RESTORE);
    Ok(())
}

/// Puts the flags into R10 and leaves everything as it is.
fn kept_flags(e: &mut Emitter) {
    e.code.put(SAVE);
    // mov r10d, eax; mov rax, r9
    e.code.put(&[0x41, 0x89, 0xc2, 0x4c, 0x89, 0xc8]);
}

/// `test not neg mul imul div idiv`.
pub(super) fn group_3(e: &mut Emitter, step: &Step<'_>, s: &Split<'_>) -> Done {
    let byte = is_byte(s);
    let width = if byte {
        Width::Byte
    } else if s.word {
        Width::Word
    } else {
        Width::Dword
    };
    match s.reg {
        0 | 3 => {
            native(e, step, s)?;
            e.undefined = Undefined::None;
        }
        2 => {
            if let Rm::Register(r) = s.rm {
                e.changes(if byte { r & 3 } else { r })?;
            }
            native(e, step, s)?;
        }
        4 | 5 => {
            native(e, step, s)?;
            product(e, step, EAX, width);
        }
        6 | 7 => {
            e.settle()?;
            if step.seen {
                kept_flags(e);
            }
            if let Rm::Register(r) = s.rm {
                // What brings the stack pointer up to date stands before what may fault.
                if !byte {
                    e.named(r)?;
                }
                e.may_fault();
            }
            native(e, step, s)?;
            if step.seen {
                e.code.mov_wide(R9, EAX)?;
                e.code.mov(EAX, R10)?;
                e.code.put(RESTORE);
            }
        }
        _ => return Err(Unserved),
    }
    Ok(())
}
