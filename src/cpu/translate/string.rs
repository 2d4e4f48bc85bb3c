//! String instructions.  The direction flag is clear where code begins, and known from there on.
//!
//! Copies and stores repeat as the host's own instruction does, which stops where a page refuses and says how far it
//! came; `repne scasb` and `repe cmps` are routines ([`super::routine`]); other repeated forms are the interpreter's.

use super::code::{DWORD, EAX, ECX, EDI, ESI, Form, Operand, QWORD, R9, R11, R12};
use super::emit::{Emitter, Repeat};
use super::split::{Memory, Split};
use super::{Done, Unserved};

const CLD: u8 = 0xfc;
const STD: u8 = 0xfd;

fn at(register: u8) -> Memory {
    Memory { base: Some(register), index: None, disp: 0 }
}

pub(super) fn instruction(e: &mut Emitter, s: &Split<'_>) -> Done {
    if s.two || !matches!(s.opcode, 0xa4..=0xa7 | 0xaa..=0xaf) {
        return Err(Unserved);
    }
    // Addresses and counters change.
    e.settle()?;
    if s.repeat != 0 {
        return repeated(e, s);
    }
    let byte = s.opcode & 1 == 0;
    let size = if byte {
        1
    } else if s.word {
        2
    } else {
        4
    };
    let step = if e.down { -size } else { size };
    let wide = u8::from(!byte);
    let form = Form { word: s.word && !byte, ..DWORD };
    let (source, destination) = (e.guest(at(ESI)), e.guest(at(EDI)));
    match s.opcode & !1 {
        0xa4 => {
            e.may_fault();
            e.code.op(form, 0x8a | wide, R11, source)?;
            e.may_fault();
            e.code.op(form, 0x88 | wide, R11, destination)?;
        }
        0xa6 => {
            e.may_fault();
            e.code.op(form, 0x8a | wide, R11, source)?;
            e.may_fault();
            e.code.op(form, 0x3a | wide, R11, destination)?;
        }
        0xaa => {
            e.may_fault();
            e.code.op(form, 0x88 | wide, EAX, destination)?;
        }
        0xac => {
            e.may_fault();
            e.code.op(form, 0x8a | wide, EAX, source)?;
        }
        _ => {
            e.may_fault();
            e.code.op(form, 0x3a | wide, EAX, destination)?;
        }
    }
    if !matches!(s.opcode & !1, 0xaa | 0xae) {
        e.code.lea(ESI, ESI, step)?;
    }
    if s.opcode & !1 != 0xac {
        e.code.lea(EDI, EDI, step)?;
    }
    Ok(())
}

fn repeated(e: &mut Emitter, s: &Split<'_>) -> Done {
    let copies = match (s.opcode, s.repeat) {
        (0xa4 | 0xa5, _) => true,
        (0xaa | 0xab, _) => false,
        (0xae, 0xf2) if !e.down => return routine(e, e.routines.scas),
        (0xa6 | 0xa7, 0xf3) if !e.down => {
            let [bytes, words, dwords] = e.routines.cmps;
            return routine(e, if s.opcode == 0xa6 { bytes } else { [dwords, words][usize::from(s.word)] });
        }
        _ => return Err(Unserved),
    };
    // With a count of zero nothing happens: jrcxz
    e.code.put(&[0xe3, 0]);
    let from = e.code.bytes.len();
    // Each iteration but the first is taken from the budget: lea r9, [r14 - ecx + 1], with -ecx as ~ecx + 1
    e.code.mov_wide(R9, ECX)?;
    e.code.put(&[0x49, 0xf7, 0xd1]);
    let left = Operand::Host { base: Emitter::LEFT, index: Some((R9, 0)), disp: 2 };
    e.code.op(QWORD, 0x8d, R11, left)?;
    // Whether that is negative: movq xmm0, r11; movmskpd r9d, xmm0
    e.code.put(&[0x66, 0x49, 0x0f, 0x6e, 0xc3, 0x66, 0x44, 0x0f, 0x50, 0xc8]);
    e.may_fault();
    e.code.trap_unless_zero()?;
    e.code.mov_wide(Emitter::LEFT, R11)?;
    let host_address = |r| Operand::Host { base: R12, index: Some((r, 0)), disp: 0 };
    e.code.op(QWORD, 0x8d, EDI, host_address(EDI))?;
    if copies {
        e.code.op(QWORD, 0x8d, ESI, host_address(ESI))?;
    }
    if e.down {
        e.code.put(&[STD]);
    }
    e.may_fault_in(if copies { Repeat::Copies } else { Repeat::Stores });
    if s.word && s.opcode & 1 != 0 {
        e.code.put(&[0x66]);
    }
    e.code.put(&[0xf3, s.opcode]);
    if e.down {
        e.code.put(&[CLD]);
    }
    // Guest addresses again: r9 = ~r12, lea edi, [rdi + r9 + 1]
    e.code.mov_wide(R9, R12)?;
    e.code.put(&[0x49, 0xf7, 0xd1]);
    let guest_address = |r| Operand::Host { base: r, index: Some((R9, 0)), disp: 1 };
    e.code.op(DWORD, 0x8d, EDI, guest_address(EDI))?;
    if copies {
        e.code.op(DWORD, 0x8d, ESI, guest_address(ESI))?;
    }
    close(e, from);
    Ok(())
}

/// Has the short jump before `from` lead here.
fn close(e: &mut Emitter, from: usize) {
    let distance = e.code.bytes.len() - from;
    if let Some(byte) = e.code.bytes.get_mut(from - 1) {
        *byte = distance as u8;
    }
}

fn routine(e: &mut Emitter, at: usize) -> Done {
    e.code.put(&[0xe3, 0]);
    let from = e.code.bytes.len();
    let to = e.routine(at);
    e.code.put(&[0xe8]);
    e.code.distance(to);
    e.may_fault_in_call();
    close(e, from);
    Ok(())
}
