//! What all translated code has in common: the way in, the way out, and string instructions that look for something.
//!
//! It is written in assembler and copied in front of the code that is translated, so that jumps reach it.  Flags
//! travel as `lahf` and `seto` give them.  The routines for strings are called; where a page refuses, or the budget
//! ends first, they put everything back and leave the instruction to the interpreter.
#![allow(unsafe_code)] // bytes between two labels

use crate::cpu::state::offset;

core::arch::global_asm!(
    ".balign 16",
    ".globl bsd21_translated_enter, bsd21_translated_leave, bsd21_translated_unknown, bsd21_translated_bail",
    ".globl bsd21_translated_scas, bsd21_translated_cmps, bsd21_translated_cmps_words",
    ".globl bsd21_translated_cmps_dwords, bsd21_translated_end",
    // extern "sysv64" fn(state, code, left, base, table, sets gs) -> operation
    "bsd21_translated_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r13, rdi",
    "mov r11, rsi",
    "mov r14, rdx",
    "mov r12, rcx",
    "lea r15, [r8 + 63]",
    "test r9d, r9d",
    "jz 1f",
    // Setting it takes ten times as long as looking.
    "rdgsbase rax",
    "cmp rax, r12",
    "je 1f",
    "wrgsbase r12",
    "1: mov eax, [r13 + {flags}]",
    "add al, 0x7f",
    "sahf",
    "mov eax, [r13 + {regs}]",
    "mov ecx, [r13 + {regs} + 4]",
    "mov edx, [r13 + {regs} + 8]",
    "mov ebx, [r13 + {regs} + 12]",
    "mov r8d, [r13 + {regs} + 16]",
    "mov ebp, [r13 + {regs} + 20]",
    "mov esi, [r13 + {regs} + 24]",
    "mov edi, [r13 + {regs} + 28]",
    "jmp r11",
    // r11 is a guest address without code.
    "bsd21_translated_unknown:",
    "mov [r13 + {eip}], r11d",
    "mov r11d, 0",
    // r11 is the operation.
    "bsd21_translated_leave:",
    "mov [r13 + {regs}], eax",
    "lahf",
    "seto al",
    "mov [r13 + {flags}], eax",
    "mov [r13 + {left}], r14",
    "mov [r13 + {regs} + 4], ecx",
    "mov [r13 + {regs} + 8], edx",
    "mov [r13 + {regs} + 12], ebx",
    "mov [r13 + {regs} + 16], r8d",
    "mov [r13 + {regs} + 20], ebp",
    "mov [r13 + {regs} + 24], esi",
    "mov [r13 + {regs} + 28], edi",
    "mov eax, r11d",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // A string instruction that stopped in its routine: as it was before.
    "bsd21_translated_bail:",
    "movd eax, xmm4",
    "add al, 0x7f",
    "sahf",
    "movq rax, xmm2",
    "lea rsp, [rsp + 8]",
    "jmp bsd21_translated_leave",
    // repne scasb, ecx not zero
    "bsd21_translated_scas:",
    "movq xmm2, rax",
    "lahf",
    "seto al",
    "movd xmm4, eax",
    "movq rax, xmm2",
    "movzx r9d, al",
    "movd xmm0, r9d",
    "punpcklbw xmm0, xmm0",
    "pshuflw xmm0, xmm0, 0",
    "pshufd xmm0, xmm0, 0",
    "lea r9, [r12 + rdi]",
    "mov r11, r9",
    "and r9, -16",
    "movdqa xmm1, [r9]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb r10d, xmm1",
    "sub r11d, r9d",
    "mov rax, rcx",
    "mov ecx, r11d",
    "shr r10d, cl",
    "shl r10d, cl",
    "mov rcx, rax",
    // at most so many
    "lea rax, [r14 + 1]",
    "cmp rax, rcx",
    "cmova rax, rcx",
    "add r11, rax",
    "2: test r10d, r10d",
    "jnz 3f",
    "sub r11, 16",
    "jbe 4f",
    "add r9, 16",
    "movdqa xmm1, [r9]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb r10d, xmm1",
    "jmp 2b",
    "3: bsf r10d, r10d",
    "inc r10d",
    "cmp r10, r11",
    "ja 4f",
    "sub r9, r12",
    "add r9d, r10d",
    "mov r10d, r9d",
    "sub r10d, edi",
    "mov edi, r9d",
    "sub ecx, r10d",
    "sub r14, r10",
    "inc r14",
    "jmp 5f",
    "4: cmp rax, rcx",
    "jne 6f",
    "add edi, ecx",
    "sub r14, rcx",
    "inc r14",
    "xor ecx, ecx",
    "5: movq rax, xmm2",
    "cmp al, [r12 + rdi - 1]",
    "ret",
    // The budget ends first: this is caught.
    "6: mov r9b, [r15 - 63 - 4096]",
    // repe cmps, ecx not zero
    ".macro bsd21_cmps bytes, shift, low, other",
    "movq xmm2, rax",
    "lahf",
    "seto al",
    "movd xmm4, eax",
    "lea r9, [r12 + rsi]",
    "lea r10, [r12 + rdi]",
    // at most so many
    "lea r11, [r14 + 1]",
    "cmp r11, rcx",
    "cmova r11, rcx",
    "movq xmm3, r11",
    "2: cmp r11, 16 >> \\shift",
    "jb 4f",
    "movdqu xmm0, [r9]",
    "movdqu xmm1, [r10]",
    "pcmpeqb xmm0, xmm1",
    "pmovmskb eax, xmm0",
    "xor eax, 0xffff",
    "jnz 3f",
    "add r9, 16",
    "add r10, 16",
    "sub r11, 16 >> \\shift",
    "jmp 2b",
    // The element that differs, and those before it.
    "3: bsf eax, eax",
    "shr eax, \\shift",
    "inc eax",
    "sub r11, rax",
    "shl eax, \\shift",
    "add r9, rax",
    "add r10, rax",
    "jmp 6f",
    "4: test r11, r11",
    "jz 5f",
    "mov \\low, [r9]",
    "cmp \\low, [r10]",
    "lea r9, [r9 + \\bytes]",
    "lea r10, [r10 + \\bytes]",
    "lea r11, [r11 - 1]",
    "je 4b",
    "jmp 6f",
    "5: movq rax, xmm3",
    "cmp rax, rcx",
    "jne 7f",
    "6: movq rax, xmm3",
    "sub rax, r11",
    "sub r9, r12",
    "sub r10, r12",
    "mov esi, r9d",
    "mov edi, r10d",
    "sub r14, rax",
    "inc r14",
    "sub ecx, eax",
    "movq rax, xmm2",
    "mov \\other, [r12 + rsi - \\bytes]",
    "cmp \\other, [r12 + rdi - \\bytes]",
    "ret",
    "7: mov r9b, [r15 - 63 - 4096]",
    ".endm",
    "bsd21_translated_cmps:",
    "bsd21_cmps 1, 0, al, r11b",
    "bsd21_translated_cmps_words:",
    "bsd21_cmps 2, 1, ax, r11w",
    "bsd21_translated_cmps_dwords:",
    "bsd21_cmps 4, 2, eax, r11d",
    "bsd21_translated_end:",
    flags = const offset::HOST_FLAGS,
    regs = const offset::REGS,
    eip = const offset::EIP,
    left = const offset::LEFT,
);

unsafe extern "C" {
    static bsd21_translated_enter: u8;
    static bsd21_translated_unknown: u8;
    static bsd21_translated_leave: u8;
    static bsd21_translated_bail: u8;
    static bsd21_translated_scas: u8;
    static bsd21_translated_cmps: u8;
    static bsd21_translated_cmps_words: u8;
    static bsd21_translated_cmps_dwords: u8;
    static bsd21_translated_end: u8;
}

/// Where the routines are, as distances from the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routines {
    pub(super) unknown: usize,
    pub(super) leave: usize,
    pub(super) bail: usize,
    pub(super) scas: usize,
    /// Of bytes, words, double words.
    pub(super) cmps: [usize; 3],
}

/// The routines and where they are; the way in comes first.
pub(super) fn routines() -> (&'static [u8], Routines) {
    let start = &raw const bsd21_translated_enter;
    let at = |label: *const u8| label as usize - start as usize;
    let routines = Routines {
        unknown: at(&raw const bsd21_translated_unknown),
        leave: at(&raw const bsd21_translated_leave),
        bail: at(&raw const bsd21_translated_bail),
        scas: at(&raw const bsd21_translated_scas),
        cmps: [
            at(&raw const bsd21_translated_cmps),
            at(&raw const bsd21_translated_cmps_words),
            at(&raw const bsd21_translated_cmps_dwords),
        ],
    };
    // SAFETY: the bytes of the program between two of its labels, which lie in the order above.
    (unsafe { std::slice::from_raw_parts(start, at(&raw const bsd21_translated_end)) }, routines)
}
