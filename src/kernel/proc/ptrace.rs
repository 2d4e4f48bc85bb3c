//! One process watching and changing another.
//!
//! A debugger of an older system sees that system's user area, see [`super::older_user_area`].
//!
//! 2.1 counterpart: kern/sys_process.c, i386/i386/machdep.c (ptrace_*).  Attaching and the register
//! structures of later systems are not there.

use syscalls::errno::Errno;
use syscalls::flags::PtraceReq;

use super::{Flags, ProcId, State, older_user_area, user_area};
use crate::kernel::signal::{NSIG, SIGKILL};
use crate::kernel::{Context, Sysret};
use crate::mem::Prot;
use crate::trapframe::eflags;

/// Serves a request; gives the word that was read, or 0.
pub(super) fn ptrace(
    cx: &mut Context<'_>,
    request: PtraceReq,
    pid: i32,
    addr: u32,
    data: i32,
) -> Sysret<i32> {
    if request == PtraceReq::TraceMe {
        cx.proc_mut().flags.insert(Flags::TRACED);
        return Ok(0);
    }
    let child = cx.kernel.procs.find(pid).ok_or(Errno::ESRCH)?;
    let proc = &cx.kernel.procs[child];
    if !proc.flags.contains(Flags::TRACED) {
        return Err(Errno::EPERM.into());
    }
    if proc.state != State::Stop || !proc.flags.contains(Flags::WAITED) {
        return Err(Errno::EBUSY.into());
    }
    let older = cx.proc().older_program;
    match request {
        PtraceReq::ReadI | PtraceReq::ReadD => read_word(cx, child, addr),
        PtraceReq::WriteI | PtraceReq::WriteD => {
            write_word(cx, child, addr, data as u32)?;
            Ok(0)
        }
        PtraceReq::ReadU => {
            let at = usize::try_from(addr).unwrap_or(usize::MAX);
            let area = if older {
                older_user_area::image(cx.kernel, child)
            } else {
                user_area::image(cx.kernel, child)
            };
            match area.get(at..).and_then(|rest| rest.first_chunk()) {
                Some(word) => Ok(i32::from_le_bytes(*word)),
                None => Err(Errno::EFAULT.into()),
            }
        }
        PtraceReq::WriteU => {
            let frame = &mut cx.kernel.procs[child].frame;
            let write = if older { user_area::write_frame } else { user_area::write };
            write(frame, addr, data as u32)?;
            Ok(0)
        }
        PtraceReq::Step | PtraceReq::Continue => {
            let proc = &mut cx.kernel.procs[child];
            if request == PtraceReq::Step {
                proc.frame.eflags |= eflags::TF;
            }
            if data as u32 >= NSIG {
                return Err(Errno::EINVAL.into());
            }
            if addr != 1 {
                proc.frame.eip = addr;
            }
            proc.xstat = data;
            cx.kernel.set_runnable(child);
            Ok(0)
        }
        PtraceReq::Kill => {
            cx.kernel.procs[child].xstat = SIGKILL as i32;
            cx.kernel.set_runnable(child);
            Ok(0)
        }
        _ => Ok(0),
    }
}

/// Reads a word of the child's memory, which the child could read itself (`pread`).
fn read_word(cx: &Context<'_>, child: ProcId, addr: u32) -> Sysret<i32> {
    let space = &cx.kernel.procs[child].vm.space;
    if !space.region_at(addr).is_some_and(|region| region.prot.contains(Prot::READ)) {
        return Err(Errno::EINVAL.into());
    }
    let mut word = [0; 4];
    space.peek(addr, &mut word).map_err(|_| Errno::EINVAL)?;
    Ok(i32::from_le_bytes(word))
}

/// Stores a word in the child's memory, text included.
fn write_word(cx: &mut Context<'_>, child: ProcId, addr: u32, value: u32) -> Result<(), Errno> {
    let space = &mut cx.kernel.procs[child].vm.space;
    space.poke(addr, &value.to_le_bytes()).map_err(|_| Errno::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::boot::Config;
    use crate::kernel::cred::Pcred;
    use crate::kernel::proc::Table;
    use crate::kernel::{Kernel, Stop};

    fn stopped(table: &mut Table, id: ProcId) {
        table[id].flags.insert(Flags::TRACED | Flags::WAITED);
        table[id].state = State::Stop;
    }

    #[test]
    fn a_debugger_reads_what_its_child_may_read() {
        let mut kernel = Kernel::new(Config::bare());
        let [debugger, child] = [(); 2].map(|()| kernel.first_process(Pcred::new(0, 0), b"root"));
        let pid = kernel.procs[child].pid;
        stopped(&mut kernel.procs, child);
        let space = &mut kernel.procs[child].vm.space;
        space.map_anon(0x1000, 0x1000, Prot::READ).unwrap();
        space.map_anon(0x2000, 0x1000, Prot::empty()).unwrap();
        space.poke(0x1010, &7u32.to_le_bytes()).unwrap();
        let mut cx = Context::new(&mut kernel, debugger);
        let mut read = |at| match ptrace(&mut cx, PtraceReq::ReadD, pid, at, 0) {
            Ok(word) => Ok(word),
            Err(Stop::Errno(errno)) => Err(errno),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(read(0x1010), Ok(7));
        assert_eq!(read(0x2000), Err(Errno::EINVAL));
        assert_eq!(read(0x3000), Err(Errno::EINVAL));
    }
}
