//! The top of the user's address space as execve leaves it: ps_strings, spare bytes, strings,
//! vectors, argument count; and the signal trampoline in the kernel page above.
//!
//! Pure: bytes and addresses; the kernel copies them out.
//!
//! 2.1 counterpart: kern/kern_exec.c (exec_extract_strings, exec_copyout_strings), sys/exec.h,
//! i386/include/vmparam.h, i386/include/pcb.h, `sigcode` of i386/i386/locore.s.

/// End of the user stack: the kernel's base less the page tables' window and the user area.
pub const USRSTACK: u32 = 0xefbf_e000;
/// Most bytes of argument and environment strings together, their NULs included.
pub const ARG_MAX: usize = 65536;
/// The stack grows by this much.
pub const SGROWSIZ: u32 = 128 << 10;
/// Initial soft limit of the stack.
pub const DFLSSIZ: u32 = 8 << 20;
/// Hard limit of the stack.
pub const MAXSSIZ: u32 = 64 << 20;
/// Where ps finds the vectors.
pub const PS_STRINGS: u32 = USRSTACK - 16;
/// Bytes left free below ps_strings.
pub const SPARE_USRSPACE: u32 = 256;
/// Pages of the user area above the stack, which begins with the process control block.
pub const UPAGES: u32 = 2;

// Offsets in the control block: the task state of 26 words, the local table's address and length,
// the saved x87 state (28 + 80 + 4 + 64 bytes), three words of a coprocessor, flags, an interrupt
// level padded to a word, and the fault hook.
const PCB_SIGC: u32 = 26 * 4 + 8 + (28 + 80 + 4 + 64) + 12 + 4 + 4 + 4;
/// Address of the signal trampoline; readable and executable for the guest, not writable.
pub const SIGCODE: u32 = USRSTACK + PCB_SIGC;

/// The trampoline: calls the handler (third word above its arguments), then sigreturn (103) with
/// the context that lies behind it.
pub const SIGCODE_BYTES: [u8; 23] = [
    0xff, 0x54, 0x24, 0x10, // call *16(%esp)
    0x8d, 0x44, 0x24, 0x14, // lea 20(%esp),%eax
    0x50, // push %eax
    0x50, // push %eax
    0xb8, 103, 0, 0, 0, // mov $103,%eax
    0x9a, 0, 0, 0, 0, 7, 0,    // lcall $7,$0
    0xf4, // hlt
];

/// The strings of a new image do not fit (2.1's E2BIG).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("arguments and environment are longer than 65536 bytes")]
pub struct TooLong;

/// Argument and environment strings as execve collects them: one run of NUL-terminated strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    strings: Vec<u8>,
    argc: u32,
    envc: u32,
}

impl Arguments {
    /// Appends an argument; all arguments come before the environment.
    pub fn push_arg(&mut self, arg: &[u8]) -> Result<(), TooLong> {
        self.push(arg)?;
        self.argc += 1;
        Ok(())
    }

    /// Appends an environment string.
    pub fn push_env(&mut self, env: &[u8]) -> Result<(), TooLong> {
        self.push(env)?;
        self.envc += 1;
        Ok(())
    }

    /// Bytes that are left for the next string, its NUL included.
    pub fn space(&self) -> usize {
        ARG_MAX - self.strings.len()
    }

    fn push(&mut self, string: &[u8]) -> Result<(), TooLong> {
        if string.len() >= self.space() {
            return Err(TooLong);
        }
        self.strings.extend_from_slice(string);
        self.strings.push(0);
        Ok(())
    }
}

/// The filled top of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Initial stack pointer, where the argument count is; `bytes` begin here and end at [`USRSTACK`].
    pub esp: u32,
    /// The contents.
    pub bytes: Vec<u8>,
    /// Address of the argument vector (2.1's vm_minsaddr).
    pub argv: u32,
    /// Address of the environment vector.
    pub envv: u32,
}

/// Lays out a stack; `aux` is the auxiliary vector of an ELF program, empty for the others.
pub fn lay_out(args: &Arguments, aux: &[(u32, u32)]) -> Stack {
    // At most ARG_MAX strings, so none of these sums comes near to wrapping.
    let strings = PS_STRINGS - SPARE_USRSPACE - (args.strings.len() as u32).next_multiple_of(4);
    let aux_bytes = aux.len() as u32 * 8;
    let argv = strings - aux_bytes - (args.argc + args.envc + 2) * 4;
    let envv = argv + (args.argc + 1) * 4;
    let esp = argv - 4;

    let mut words = vec![args.argc];
    let mut starts = string_starts(&args.strings, strings);
    words.extend(starts.by_ref().take(args.argc as usize));
    words.push(0);
    words.extend(starts.take(args.envc as usize));
    words.push(0);
    words.extend(aux.iter().flat_map(|&(kind, value)| [kind, value]));

    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    debug_assert_eq!(bytes.len() as u32, strings - esp);
    bytes.extend_from_slice(&args.strings);
    bytes.resize((PS_STRINGS - esp) as usize, 0);
    for word in [argv, args.argc, envv, args.envc] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    Stack { esp, bytes, argv, envv }
}

/// Addresses of the strings in a run that begins at `base`.  A NUL inside an argument (possible in
/// the first line of a script) starts a new string here, as it does in 2.1.
fn string_starts(strings: &[u8], base: u32) -> impl Iterator<Item = u32> + '_ {
    let after_nul = strings.iter().enumerate().filter(|(_, b)| **b == 0).map(|(i, _)| i as u32 + 1);
    std::iter::once(0).chain(after_nul).map(move |at| base + at)
}
