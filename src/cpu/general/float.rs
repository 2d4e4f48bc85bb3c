//! x87 instructions: their operands in and out of memory, around the unit in [`crate::cpu::x87`].

use super::is_16;
use super::operand::{Place, place};
use crate::cpu::alu::Width;
use crate::cpu::decode::Decoded;
use crate::cpu::state::State;
use crate::cpu::translate;
use crate::cpu::x87::{self, Op, Store, image};
use crate::trapframe::{Gpr, Seg, Trap};
use iced_x86::OpKind;

/// Executes an instruction D8 to DF.  Everything that can fault comes before anything that changes.
pub(super) fn execute(st: &mut State<'_>, decoded: &Decoded) -> Result<(), Trap> {
    translate::regain(st);
    let ins = &decoded.ins;
    let Some(op) = decoded.unit else { return Err(Trap::InvalidOpcode) };
    if op.waits() && st.fpu.pending() {
        return Err(Trap::Fpu);
    }
    let at = (ins.op0_kind() == OpKind::Memory || ins.op1_kind() == OpKind::Memory).then(|| place(st, ins));
    let i = decoded.modrm & 7;
    let short = is_16(ins.code());
    let memory = || at.ok_or(Trap::InvalidOpcode);
    match op {
        Op::Register(f) => {
            note(st, decoded, None);
            f(st.fpu, i);
        }
        Op::Control(f) => f(st.fpu, i),
        Op::Load16(f) => {
            let bits = memory()?.load(st, Width::Word)?;
            note(st, decoded, at);
            f(st.fpu, bits.into());
        }
        Op::Load32(f) => {
            let bits = memory()?.load(st, Width::Dword)?;
            note(st, decoded, at);
            f(st.fpu, bits.into());
        }
        Op::Load64(f) => {
            let p = memory()?;
            let bits = st.load64(p.seg, p.offset)?;
            note(st, decoded, at);
            f(st.fpu, bits);
        }
        Op::Load80(f) => {
            let mut bytes = [0; 10];
            load_bytes(st, memory()?, &mut bytes)?;
            note(st, decoded, at);
            let [low @ .., h0, h1] = bytes;
            f(st.fpu, u64::from_le_bytes(low), u16::from_le_bytes([h0, h1]));
        }
        Op::Store16(f) => store(st, decoded, memory()?, f(st.fpu), 2)?,
        Op::Store32(f) => store(st, decoded, memory()?, f(st.fpu), 4)?,
        Op::Store64(f) => store(st, decoded, memory()?, f(st.fpu), 8)?,
        Op::Store80(f) => store(st, decoded, memory()?, f(st.fpu), 10)?,
        Op::LoadControl => {
            let word = memory()?.load(st, Width::Word)?;
            st.fpu.set_control(word as u16);
        }
        Op::StoreControl => memory()?.store(st, Width::Word, st.fpu.control.into())?,
        Op::StoreStatus => memory()?.store(st, Width::Word, st.fpu.status().into())?,
        Op::StoreStatusAx => {
            let status = st.fpu.status().into();
            st.set_part(Width::Word, Gpr::Eax as usize, status);
        }
        Op::LoadEnvironment if short => {
            let mut bytes = [0; image::ENVIRONMENT_16_SIZE];
            load_bytes(st, memory()?, &mut bytes)?;
            image::set_environment_16(st.fpu, &bytes);
        }
        Op::LoadEnvironment => {
            let mut bytes = [0; 28];
            load_bytes(st, memory()?, &mut bytes)?;
            st.fpu.set_environment(&bytes);
        }
        Op::StoreEnvironment => {
            if short {
                store_bytes(st, memory()?, &image::environment_16(st.fpu))?;
            } else {
                store_bytes(st, memory()?, &st.fpu.environment())?;
            }
            image::after_fnstenv(st.fpu);
        }
        Op::Restore if short => {
            let mut bytes = [0; image::SAVE_16_SIZE];
            load_bytes(st, memory()?, &mut bytes)?;
            image::set_save_area_16(st.fpu, &bytes);
        }
        Op::Restore => {
            let mut bytes = [0; 108];
            load_bytes(st, memory()?, &mut bytes)?;
            st.fpu.set_save_area(&bytes);
        }
        Op::Save => {
            if short {
                store_bytes(st, memory()?, &image::save_area_16(st.fpu))?;
            } else {
                store_bytes(st, memory()?, &st.fpu.save_area())?;
            }
            image::after_fnsave(st.fpu);
        }
    }
    Ok(())
}

/// Leaves the instruction's pointers in the unit.
fn note(st: &mut State<'_>, decoded: &Decoded, at: Option<Place>) {
    x87::note_code(st.fpu, decoded.escape, decoded.modrm, st.seg[Seg::Cs as usize], decoded.ins.ip32());
    if let Some(at) = at {
        x87::note_data(st.fpu, st.seg[at.seg as usize], at.offset);
    }
}

/// A store: bytes first, then the unit.
fn store(st: &mut State<'_>, decoded: &Decoded, at: Place, store: Store, len: usize) -> Result<(), Trap> {
    if store.write {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&store.low.to_le_bytes());
        bytes[8..].copy_from_slice(&store.high.to_le_bytes());
        store_bytes(st, at, bytes.get(..len).unwrap_or_default())?;
    } else {
        // An exception that keeps the unit from writing does not keep the address from faulting.
        at.probe(st, len as u32)?;
    }
    note(st, decoded, Some(at));
    store.commit(st.fpu);
    Ok(())
}

fn load_bytes(st: &State<'_>, at: Place, to: &mut [u8]) -> Result<(), Trap> {
    for (i, byte) in (0u32..).zip(to) {
        *byte = at.plus(i).load(st, Width::Byte)? as u8;
    }
    Ok(())
}

fn store_bytes(st: &State<'_>, at: Place, from: &[u8]) -> Result<(), Trap> {
    if !at.short {
        at.probe(st, from.len() as u32)?;
    }
    for i in 0..from.len() as u32 {
        at.plus(i).probe(st, 1)?;
    }
    for (i, byte) in (0u32..).zip(from) {
        at.plus(i).store(st, Width::Byte, u32::from(*byte))?;
    }
    Ok(())
}

/// `fwait`: stops where an exception is pending.
pub(super) fn wait(st: &mut State<'_>) -> Result<(), Trap> {
    translate::regain(st);
    if st.fpu.pending() { Err(Trap::Fpu) } else { Ok(()) }
}
