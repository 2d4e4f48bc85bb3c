//! Signal actions, stacks, and what is pushed for a handler.
//!
//! 2.1 counterpart: sys/signal.h, i386/include/signal.h, i386/include/frame.h.

use super::{I32, Show, U32, layout};
use crate::flags::{SaFlags, SvFlags};

layout! {
    /// What to do on a signal.
    Sigaction "sigaction" 12 {
        0 handler "sa_handler": U32 => Show::Handler,
        4 mask "sa_mask": U32 => Show::SigSet,
        8 flags "sa_flags": U32 => Show::Flags(&SaFlags::NAMES),
    }

    /// What to do on a signal, in its old form.
    Sigvec "sigvec" 12 {
        0 handler "sv_handler": U32 => Show::Handler,
        4 mask "sv_mask": U32 => Show::SigSet,
        8 flags "sv_flags": U32 => Show::Flags(&SvFlags::NAMES),
    }

    /// The old signal stack.
    Sigstack "sigstack" 8 {
        0 sp "ss_sp": U32 => Show::Addr,
        4 onstack "ss_onstack": I32,
    }

    /// The alternate signal stack.
    Sigaltstack "sigaltstack" 12 {
        0 sp "ss_sp": U32 => Show::Addr,
        4 size "ss_size": I32,
        8 flags "ss_flags": U32 => Show::Flags(&SaFlags::NAMES),
    }

    /// The state that sigreturn restores.
    Sigcontext "sigcontext" 68 {
        0 onstack "sc_onstack": I32,
        4 mask "sc_mask": U32 => Show::SigSet,
        8 esp "sc_esp": U32 => Show::Hex,
        12 ebp "sc_ebp": U32 => Show::Hex,
        16 isp "sc_isp": U32 => Show::Hex,
        20 eip "sc_eip": U32 => Show::Hex,
        24 efl "sc_efl": U32 => Show::Hex,
        28 es "sc_es": U32 => Show::Hex,
        32 ds "sc_ds": U32 => Show::Hex,
        36 cs "sc_cs": U32 => Show::Hex,
        40 ss "sc_ss": U32 => Show::Hex,
        44 edi "sc_edi": U32 => Show::Hex,
        48 esi "sc_esi": U32 => Show::Hex,
        52 ebx "sc_ebx": U32 => Show::Hex,
        56 edx "sc_edx": U32 => Show::Hex,
        60 ecx "sc_ecx": U32 => Show::Hex,
        64 eax "sc_eax": U32 => Show::Hex,
    }

    /// What the kernel pushes for a handler.
    Sigframe "sigframe" 88 {
        0 signum "sf_signum": I32 => Show::Signal,
        4 code "sf_code": U32,
        8 scp "sf_scp": U32 => Show::Addr,
        12 addr "sf_addr": U32 => Show::Addr,
        16 handler "sf_handler": U32 => Show::Addr,
        20 sc "sf_sc": Sigcontext,
    }
}

/// The least size of an alternate signal stack.
pub const MINSIGSTKSZ: i32 = 8192;
