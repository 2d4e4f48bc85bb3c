//! The stack, addresses, and going elsewhere.
//!
//! Changes of the stack pointer are put off ([`Emitter::delta`]) until somebody wants to see it.  Returns and indirect
//! branches go through the table of jumps, with the guest's address in R11.
//!
//! Reference: the instruction pages of the processor manuals.

use super::code::{DWORD, EBP, Operand, R8, R11, host};
use super::emit::Emitter;
use super::instruction::{Step, load_r11, target};
use super::split::{ESP, Memory, Rm, Split};
use super::{Done, Unserved};
use crate::cpu::profile::{JUMP, RETURN};

pub(super) fn push_register(e: &mut Emitter, register: u8) -> Done {
    let from = if register == ESP && e.delta != 0 {
        e.code.lea(R11, R8, e.delta)?;
        R11
    } else {
        host(register)
    };
    store_below(e, from)
}

/// Pushes a register of the host.
fn store_below(e: &mut Emitter, from: u8) -> Done {
    let place = e.stack(-4);
    e.may_fault();
    e.code.op(DWORD, 0x89, from, place)?;
    e.delta = e.delta.wrapping_sub(4);
    Ok(())
}

pub(super) fn push_immediate(e: &mut Emitter, value: i32) -> Done {
    let place = e.stack(-4);
    e.may_fault();
    e.code.op(DWORD, 0xc7, 0, place)?;
    e.code.put(&value.to_le_bytes());
    e.delta = e.delta.wrapping_sub(4);
    Ok(())
}

pub(super) fn push_operand(e: &mut Emitter, rm: Rm) -> Done {
    match rm {
        Rm::Register(r) => push_register(e, r),
        _ => {
            load_r11(e, rm)?;
            store_below(e, R11)
        }
    }
}

pub(super) fn pop(e: &mut Emitter, register: u8) -> Done {
    e.changes(register)?;
    let place = e.stack(0);
    e.may_fault();
    e.code.op(DWORD, 0x8b, host(register), place)?;
    e.delta = if register == ESP { 0 } else { e.delta.wrapping_add(4) };
    Ok(())
}

pub(super) fn leave(e: &mut Emitter) -> Done {
    e.changes(EBP)?;
    e.changes(ESP)?;
    let place = e.guest(Memory { base: Some(EBP), index: None, disp: 0 });
    e.may_fault();
    e.code.op(DWORD, 0x8b, R11, place)?;
    e.code.lea(R8, EBP, 4)?;
    e.delta = 0;
    e.code.mov(EBP, R11)
}

pub(super) fn lea(e: &mut Emitter, s: &Split<'_>) -> Done {
    let Rm::Memory(memory) = s.rm else { return Err(Unserved) };
    if s.word {
        return Err(Unserved);
    }
    e.changes(s.reg)?;
    let mut disp = memory.disp;
    if memory.base == Some(ESP) {
        disp = disp.wrapping_add(e.delta);
    }
    let to = host(s.reg);
    match (memory.base, memory.index) {
        (Some(base), index) => e.code.op(DWORD, 0x8d, to, Operand::Host { base: host(base), index, disp })?,
        // Without a base: the form with four bytes of displacement, which means the same here.
        (None, Some(_)) => {
            e.code.put(&[if to > 7 { 0x44 } else { 0x40 }, 0x8d]);
            e.code.modrm(to, Operand::Guest(Memory { disp, ..memory }, 0));
        }
        (None, None) => e.code.set(to, disp as u32),
    }
    if s.reg == ESP {
        e.delta = 0;
    }
    Ok(())
}

pub(super) fn ret(e: &mut Emitter, pops: i32) -> Done {
    e.settle()?;
    let place = e.stack(0);
    e.may_fault();
    e.code.op(DWORD, 0x8b, R11, place)?;
    e.check_segment()?;
    e.delta = e.delta.wrapping_add(pops);
    e.flush()?;
    e.tell(None, RETURN)?;
    e.jump_by_table()
}

/// Pushes the address behind the instruction.
fn push_next(e: &mut Emitter, step: &Step<'_>) -> Done {
    let next = step.d.ins.next_ip32();
    e.returns.push(next);
    push_immediate(e, next as i32)
}

pub(super) fn call(e: &mut Emitter, step: &Step<'_>) -> Done {
    let to = target(step)?;
    push_next(e, step)?;
    e.call(to, step.d.ins.next_ip32())
}

/// A call or jump to an address in a register or in memory.
pub(super) fn indirect(e: &mut Emitter, step: &Step<'_>, rm: Rm, call: bool) -> Done {
    e.settle()?;
    load_r11(e, rm)?;
    e.check_segment()?;
    if call {
        push_next(e, step)?;
    }
    e.flush()?;
    e.tell(None, if call { step.d.ins.next_ip32() } else { JUMP })?;
    e.jump_by_table()
}

/// `loopne loope loop jecxz`: they look at ECX and change no flag.
pub(super) fn counted(e: &mut Emitter, step: &Step<'_>, opcode: u8) -> Done {
    let to = target(step)?;
    if step.d.ins.op0_kind() != iced_x86::OpKind::NearBranch32 {
        return Err(Unserved);
    }
    if opcode < 0xe2 && e.undefined.matters(crate::cpu::flags::condition::E) {
        e.settle()?;
    }
    if opcode != 0xe3 {
        e.changes(1)?;
    }
    // With a 32-bit counter; taken: over the next jump.
    e.code.put(&[0x67, opcode, 2, 0xeb, 5]);
    let hole = e.code.jump_hole();
    e.taken_to(hole, to, step.last);
    Ok(())
}
