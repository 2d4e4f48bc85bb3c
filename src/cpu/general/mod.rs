//! Every instruction in its general form, executed from what the decoder says about it.
//!
//! This is the complete processor: any operand form, any prefix, any segment.  The
//! fast forms in [`super::fast`] are specialisations for what programs do most, and leave to this
//! interpreter whenever something unusual happens.  A function here changes nothing before its last
//! possible fault, so that a faulting instruction can be run again.
//!
//! | file | instructions |
//! |---|---|
//! | `operand` | addresses, reading and writing operands |
//! | `arith` | two-operand arithmetic, shifts, multiplication, division, decimal |
//! | `bits` | bit tests and scans, compare-and-exchange and their like |
//! | `data` | moves, exchanges, conversions, flags |
//! | `stack` | push, pop, frames |
//! | `control` | branches, calls, interrupts |
//! | `segment` | selectors and what a user may ask about descriptors |
//! | `string` | string operations in bulk |
//! | `float` | x87: operands in and out of memory |
//!
//! Knows nothing of blocks or budgets.

mod arith;
mod bits;
mod control;
mod data;
mod float;
mod operand;
mod segment;
mod stack;
mod string;

pub(super) use control::{GATE, condition};
pub(super) use operand::short_address;

use super::decode::Decoded;
use super::state::State;
use super::tally;
use crate::trapframe::{Seg, Trap};
use iced_x86::{Code, Mnemonic, OpKind};

/// Executes one instruction.  `State::eip` is behind it on entry; a branch changes it.
pub(crate) fn execute(st: &mut State<'_>, decoded: &Decoded) -> Result<(), Trap> {
    let left = st.left;
    let done = dispatch(st, decoded);
    // A repeated instruction takes its further iterations from the budget itself.
    tally::add(&st.tally.general, left.wrapping_sub(st.left).wrapping_add(1) as u64);
    done
}

fn dispatch(st: &mut State<'_>, decoded: &Decoded) -> Result<(), Trap> {
    let ins = &decoded.ins;
    if decoded.escape != 0 {
        return float::execute(st, decoded);
    }
    use Mnemonic as M;
    match ins.mnemonic() {
        M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => {
            arith::binary(st, ins)
        }
        M::Inc | M::Dec | M::Not | M::Neg => arith::unary(st, ins),
        M::Rol | M::Ror | M::Rcl | M::Rcr | M::Shl | M::Sal | M::Shr | M::Sar => arith::shift(st, ins),
        M::Shld | M::Shrd => arith::double_shift(st, ins),
        M::Mul | M::Imul => arith::multiply(st, ins),
        M::Div | M::Idiv => arith::divide(st, ins),
        M::Daa | M::Das | M::Aaa | M::Aas | M::Aam | M::Aad => arith::decimal(st, ins),
        M::Bt | M::Bts | M::Btr | M::Btc => bits::test(st, ins),
        M::Bsf | M::Bsr => bits::scan(st, ins),
        M::Cmpxchg => bits::cmpxchg(st, ins),
        M::Cmpxchg8b => bits::cmpxchg8b(st, ins),
        M::Xadd => bits::xadd(st, ins),
        M::Bswap => bits::bswap(st, ins),
        M::Mov if ins.op0_kind() == OpKind::Register && ins.op0_register().is_segment_register() => {
            segment::load(st, ins)
        }
        M::Mov => data::mov(st, ins),
        M::Movzx => data::movzx(st, ins),
        M::Movsx => data::movsx(st, ins),
        M::Lea => data::lea(st, ins),
        M::Xchg => data::xchg(st, ins),
        M::Xlatb => data::xlat(st, ins),
        M::Cbw | M::Cwde | M::Cwd | M::Cdq => data::convert(st, ins),
        M::Lahf | M::Sahf | M::Clc | M::Stc | M::Cmc | M::Cld | M::Std | M::Salc => data::flag(st, ins),
        M::Nop => Ok(()),
        M::Wait => float::wait(st),
        M::Cpuid => data::cpuid(st),
        M::Rdtsc => data::rdtsc(st),
        M::Push => stack::push(st, ins),
        M::Pop => stack::pop(st, ins),
        M::Pusha | M::Pushad => stack::pusha(st, ins),
        M::Popa | M::Popad => stack::popa(st, ins),
        M::Pushf | M::Pushfd => stack::pushf(st, ins),
        M::Popf | M::Popfd => stack::popf(st, ins),
        M::Enter => stack::enter(st, ins),
        M::Leave => stack::leave(st, ins),
        M::Jmp | M::Call if ins.is_jmp_far() || ins.is_call_far() => control::far(st, ins, None),
        M::Jmp if ins.is_jmp_far_indirect() => control::far_indirect(st, ins),
        M::Call if ins.is_call_far_indirect() => control::far_indirect(st, ins),
        M::Jmp => control::jmp(st, ins),
        M::Call => control::call(st, ins),
        M::Ret => control::ret(st, ins),
        M::Retf | M::Iret | M::Iretd => control::far_return(st, ins),
        M::Loop | M::Loope | M::Loopne | M::Jcxz | M::Jecxz => control::counted(st, ins),
        M::Int | M::Int1 | M::Int3 | M::Into => control::interrupt(st, ins),
        M::Bound => control::bound(st, ins),
        M::Les | M::Lds | M::Lss | M::Lfs | M::Lgs => segment::load_far(st, ins),
        M::Lar | M::Lsl | M::Verr | M::Verw => segment::query(st, ins),
        M::Arpl => segment::arpl(st, ins),
        M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw => segment::store_table(st, ins),
        M::Movsb
        | M::Movsw
        | M::Movsd
        | M::Stosb
        | M::Stosw
        | M::Stosd
        | M::Lodsb
        | M::Lodsw
        | M::Lodsd
        | M::Scasb
        | M::Scasw
        | M::Scasd
        | M::Cmpsb
        | M::Cmpsw
        | M::Cmpsd => string::execute(st, ins),
        _ if ins.is_jcc_short_or_near() => control::jcc(st, ins),
        _ if ins.condition_code() != iced_x86::ConditionCode::None => data::setcc(st, ins),
        M::Ud0 | M::Ud1 | M::Ud2 => Err(Trap::InvalidOpcode),
        // Input and output, halting and the control registers: all want a privilege that a user lacks.
        _ => Err(Trap::GeneralProtection(0)),
    }
}

/// The segment register of a decoder's register.
pub(super) fn segment_of(register: iced_x86::Register) -> Seg {
    use iced_x86::Register as R;
    match register {
        R::ES => Seg::Es,
        R::CS => Seg::Cs,
        R::SS => Seg::Ss,
        R::FS => Seg::Fs,
        R::GS => Seg::Gs,
        _ => Seg::Ds,
    }
}

/// Whether this is the 16-bit form of a stack instruction, a branch, or an x87 environment.
///
/// The decoder's own answer would build a table of descriptions of all instructions first, which takes
/// longer than a small program runs.
fn is_16(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Pushw_ES
            | Pushw_CS
            | Pushw_SS
            | Pushw_DS
            | Pushw_FS
            | Pushw_GS
            | Popw_ES
            | Popw_SS
            | Popw_DS
            | Popw_FS
            | Popw_GS
            | Push_r16
            | Push_rm16
            | Push_imm16
            | Pushw_imm8
            | Pop_r16
            | Pop_rm16
            | Pushaw
            | Popaw
            | Pushfw
            | Popfw
            | Enterw_imm16_imm8
            | Leavew
            | Call_rel16
            | Call_rm16
            | Call_ptr1616
            | Call_m1616
            | Jmp_rel8_16
            | Jmp_rel16
            | Jmp_rm16
            | Jmp_ptr1616
            | Jmp_m1616
            | Retnw
            | Retnw_imm16
            | Retfw
            | Retfw_imm16
            | Iretw
            | Fldenv_m14byte
            | Fnstenv_m14byte
            | Fstenv_m14byte
            | Frstor_m94byte
            | Fnsave_m94byte
            | Fsave_m94byte
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::FlowControl as F;

    /// The list names what the decoder's own table of descriptions says.
    #[test]
    fn short_forms_are_those_with_16_bit_operands() {
        let stack = |m| {
            use Mnemonic::*;
            matches!(
                m,
                Push | Pop | Pusha | Popa | Pushf | Popf | Enter | Leave | Jmp | Call | Ret | Retf | Iret
            )
        };
        let environment = |m| {
            matches!(
                m,
                Mnemonic::Fldenv
                    | Mnemonic::Fnstenv
                    | Mnemonic::Fstenv
                    | Mnemonic::Frstor
                    | Mnemonic::Fnsave
                    | Mnemonic::Fsave
            )
        };
        for code in Code::values() {
            let described = code.op_code();
            let branch =
                matches!(code.flow_control(), F::Call | F::Return | F::IndirectCall | F::IndirectBranch);
            // Forms that the decoder knows and the processor does not: `pop cs`.
            let known = described.is_instruction() && described.mode32() && code != Code::Popw_CS;
            let ours = known
                && (stack(code.mnemonic()) || environment(code.mnemonic()) || branch && code.is_jmp_far());
            if ours {
                assert_eq!(is_16(code), described.operand_size() == 16, "{code:?}");
            } else {
                assert!(!is_16(code), "{code:?}");
            }
        }
    }
}
