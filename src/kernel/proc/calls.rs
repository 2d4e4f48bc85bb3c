//! Calls on processes.

use syscalls::arg::{GuestAddr, Int, Path, Pid};

use super::exec::{self, Strings};
use super::exit::{self, Status, Waiting};
use super::fork::fork1;
use crate::kernel::event::Event;
use crate::kernel::{Context, Stop, Sysret};

/// Makes a copy of the process.
pub fn fork(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    fork1(cx, false)
}

/// Makes a copy of the process and waits until it has executed a program or ended.
pub fn vfork(cx: &mut Context<'_>) -> Sysret<(u32, u32)> {
    fork1(cx, true)
}

/// Ends the process.
pub fn exit(cx: &mut Context<'_>, status: Int) -> Sysret<()> {
    exit::exit1(cx, (status.0 & 0xff) << 8);
    Err(Stop::JustReturn)
}

/// Executes a program.
pub fn execve(cx: &mut Context<'_>, path: Path, argv: GuestAddr, envv: GuestAddr) -> Sysret<()> {
    let name = exec::read_path(cx, path.0)?;
    let strings = Strings::Guest { path: path.0, argv: argv.0, envv: envv.0 };
    match exec::execve(cx, &name, strings) {
        Ok(()) => Err(Stop::JustReturn),
        Err(e) => {
            let errno = e.errno();
            cx.kernel.note(cx.id, Event::ExecRefused { reason: e.to_string() });
            Err(errno.into())
        }
    }
}
