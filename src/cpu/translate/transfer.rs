//! Translation of moves, the stack and branches.

use super::emit::{Done, ESP, Emitter, Jump, REGS};
use super::integer::width;
use super::pending::Pending;
use super::{Flow, Step};
use crate::cpu::flags::condition as cc;
use crate::trapframe::eflags::{CF, OF, PF, SF, ZF};
use iced_x86::code_asm::*;
use iced_x86::{Code as K, Instruction, Mnemonic as M, OpKind, Register as R};

const EBP: usize = 5;

/// Number of the register of an operand, high bytes counted as their registers.
fn number(r: R) -> usize {
    if super::integer::is_high(r) { r.number() - 4 } else { r.number() }
}

/// The instruction with a memory operand in its usual form, instead of an absolute address in the opcode.
fn usual(ins: &Instruction) -> Instruction {
    let mut ins = *ins;
    ins.set_code(match ins.code() {
        K::Mov_AL_moffs8 => K::Mov_r8_rm8,
        K::Mov_AX_moffs16 => K::Mov_r16_rm16,
        K::Mov_EAX_moffs32 => K::Mov_r32_rm32,
        K::Mov_moffs8_AL => K::Mov_rm8_r8,
        K::Mov_moffs16_AX => K::Mov_rm16_r16,
        K::Mov_moffs32_EAX => K::Mov_rm32_r32,
        other => other,
    });
    ins
}

/// `mov movzx movsx`.
pub(super) fn mov(e: &mut Emitter, s: &Step<'_>) -> Done {
    let ins = usual(s.ins);
    if ins.op0_kind() == OpKind::Memory {
        e.reach(&ins, width(&ins).bytes(), true, s.accesses.operand)?;
        return e.native(&ins);
    }
    if ins.op1_kind() == OpKind::Memory {
        e.reach(&ins, ins.memory_size().size() as u32, false, s.accesses.operand)?;
    }
    e.changes(number(ins.op0_register()), s.live)?;
    e.native(&ins)
}

/// `lea`.
pub(super) fn lea(e: &mut Emitter, s: &Step<'_>) -> Done {
    let to = s.ins.op0_register().number();
    e.changes(to, s.live)?;
    e.address(s.ins)?;
    Ok(e.a.mov(REGS[to], r9d)?)
}

/// `xchg` of registers, `cdq`, `cwde`.
pub(super) fn registers(e: &mut Emitter, s: &Step<'_>) -> Done {
    match s.ins.mnemonic() {
        M::Cdq => e.changes(2, s.live)?,
        M::Cwde => e.changes(0, s.live)?,
        _ => {
            e.changes(s.ins.op0_register().number(), s.live)?;
            e.changes(s.ins.op1_register().number(), s.live)?;
        }
    }
    e.native(s.ins)
}

/// Makes sure that a word can be pushed; the stack pointer does not move yet.
fn below(e: &mut Emitter, s: &Step<'_>) -> Done {
    e.reach_word(ESP, -4, true, s.accesses.stack)?;
    e.changes(ESP, s.live)
}

/// Moves the stack pointer; keeps the host's flags.
fn move_stack(e: &mut Emitter, by: i32) -> Done {
    Ok(e.a.lea(r8d, ptr(r8 + by))?)
}

/// `push` of 32 bits.
pub(super) fn push(e: &mut Emitter, s: &Step<'_>) -> Done {
    let ins = s.ins;
    match ins.op0_kind() {
        OpKind::Register => {
            below(e, s)?;
            e.a.mov(dword_ptr(e.operand()), REGS[ins.op0_register().number()])?;
        }
        OpKind::Memory => {
            e.reach(ins, 4, false, s.accesses.operand)?;
            e.a.mov(r11d, dword_ptr(e.operand()))?;
            below(e, s)?;
            e.a.mov(dword_ptr(e.operand()), r11d)?;
        }
        _ => {
            below(e, s)?;
            e.a.mov(dword_ptr(e.operand()), ins.immediate(0) as i32)?;
        }
    }
    move_stack(e, -4)
}

/// `pop` of a 32-bit register.
pub(super) fn pop(e: &mut Emitter, s: &Step<'_>) -> Done {
    let to = s.ins.op0_register().number();
    e.reach_word(ESP, 0, false, s.accesses.stack)?;
    e.changes(ESP, s.live)?;
    e.changes(to, s.live)?;
    e.a.mov(REGS[to], dword_ptr(e.operand()))?;
    if to == ESP { Ok(()) } else { move_stack(e, 4) }
}

/// `leave`.
pub(super) fn leave(e: &mut Emitter, s: &Step<'_>) -> Done {
    e.reach_word(EBP, 0, false, s.accesses.stack)?;
    e.changes(ESP, s.live)?;
    e.changes(EBP, s.live)?;
    e.a.lea(REGS[ESP], ptr(rbp + 4))?;
    Ok(e.a.mov(REGS[EBP], dword_ptr(e.operand()))?)
}

/// `jmp rel`, and the way on behind a block.
pub(super) fn jump(e: &mut Emitter, target: u32) -> Done<Flow> {
    e.settle()?;
    e.jump(Jump { target, op: e.op(), left: 0, pushed: 0 })?;
    Ok(Flow::Ends)
}

/// `call rel`.
pub(super) fn call(e: &mut Emitter, s: &Step<'_>) -> Done<Flow> {
    e.settle()?;
    below(e, s)?;
    e.a.mov(dword_ptr(e.operand()), s.ins.next_ip32() as i32)?;
    move_stack(e, -4)?;
    e.jump(Jump { target: s.ins.near_branch32(), op: e.op(), left: 0, pushed: 4 })?;
    Ok(Flow::Ends)
}

/// `ret`; `behind` is what the stack pointer grows by.
pub(super) fn ret(e: &mut Emitter, s: &Step<'_>, behind: u32) -> Done<Flow> {
    e.settle()?;
    e.reach_word(ESP, 0, false, s.accesses.stack)?;
    e.a.mov(r11d, dword_ptr(e.operand()))?;
    e.find(|e| move_stack(e, behind as i32))?;
    Ok(Flow::Ends)
}

/// `jmp` and `call` of a register or memory.
pub(super) fn indirect(e: &mut Emitter, s: &Step<'_>, call: bool) -> Done<Flow> {
    e.settle()?;
    if s.ins.op0_kind() == OpKind::Register {
        e.a.mov(r11d, REGS[s.ins.op0_register().number()])?;
    } else {
        e.reach(s.ins, 4, false, s.accesses.operand)?;
        e.a.mov(r11d, dword_ptr(e.operand()))?;
    }
    if call {
        below(e, s)?;
    }
    let behind = s.ins.next_ip32() as i32;
    e.find(|e| {
        if call {
            e.a.mov(dword_ptr(e.operand()), behind)?;
            move_stack(e, -4)?;
        }
        Ok(())
    })?;
    Ok(Flow::Ends)
}

/// The flags that a condition reads.
pub(super) fn reads(code: u8) -> u32 {
    match code & !1 {
        cc::O => OF,
        cc::B => CF,
        cc::E => ZF,
        cc::BE => CF | ZF,
        cc::S => SF,
        cc::P => PF,
        cc::L => SF | OF,
        _ => SF | OF | ZF,
    }
}

/// `jcc rel`; stops where the flags are not to be had.
pub(super) fn branch(e: &mut Emitter, s: &Step<'_>, code: u8) -> Done<Flow> {
    let target = s.ins.near_branch32();
    let flags = reads(code);
    if !e.need(flags)? {
        if e.pending != Pending::Stored || !flags.is_power_of_two() {
            e.stop()?;
            return Ok(Flow::Ends);
        }
        let label = e.taken(target, s.behind);
        e.look(flags, code & 1 == 0, label)?;
        return Ok(Flow::Goes);
    }
    let label = e.taken(target, s.behind);
    match code {
        0 => e.a.jo(label)?,
        1 => e.a.jno(label)?,
        2 => e.a.jb(label)?,
        3 => e.a.jae(label)?,
        4 => e.a.je(label)?,
        5 => e.a.jne(label)?,
        6 => e.a.jbe(label)?,
        7 => e.a.ja(label)?,
        8 => e.a.js(label)?,
        9 => e.a.jns(label)?,
        10 => e.a.jp(label)?,
        11 => e.a.jnp(label)?,
        12 => e.a.jl(label)?,
        13 => e.a.jge(label)?,
        14 => e.a.jle(label)?,
        _ => e.a.jg(label)?,
    }
    Ok(Flow::Goes)
}
