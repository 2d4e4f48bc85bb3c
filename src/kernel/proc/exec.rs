//! Executing a program.
//!
//! 2.1 counterpart: kern/kern_exec.c (execve, exec_check_permissions, exec_extract_strings), setregs of
//! i386/i386/machdep.c.  The activators are [`crate::image`].

use syscalls::errno::Errno;

use super::{Flags, MAXCOMLEN, acct};
use crate::image::stack::{self, Arguments, lay_out};
use crate::image::{self, Activation, Circumstances, Plan, Refusal};
use crate::kernel::event::Event;
use crate::kernel::limits::Resource;
use crate::kernel::signal::{SIGTRAP, psignal};
use crate::kernel::synch::{Channel, Parked, sleep};
use crate::kernel::vfs::{self, Executable, VnodeId};
use crate::kernel::vm::Vmspace;
use crate::kernel::{Context, Resume, Stop, Sysret, file, ipc, ktrace, vm};
use crate::trapframe::{FpuState, Gpr, Trapframe, eflags};

/// Longest path name, with its terminator.
const MAXPATHLEN: usize = 1024;
/// Set-user-id and set-group-id bits of a mode.
const VSUID: u16 = 0o4000;
/// See [`VSUID`].
const VSGID: u16 = 0o2000;
/// Entries of the auxiliary vector of ELF programs.
mod aux {
    pub(super) const NULL: u32 = 0;
    pub(super) const PHDR: u32 = 3;
    pub(super) const PHENT: u32 = 4;
    pub(super) const PHNUM: u32 = 5;
    pub(super) const PAGESZ: u32 = 6;
    pub(super) const BASE: u32 = 7;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const ENTRY: u32 = 9;
}

/// Why a program was not executed: what the guest gets, and what a person may want to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// A look-up or a check failed.
    #[error("{}", .0.message())]
    Errno(Errno),
    /// No activator takes the file.
    #[error("{0}")]
    Refused(Refusal),
    /// The look-up of the program's interpreter failed, or a check of it.
    #[error("its interpreter {}: {}", String::from_utf8_lossy(path), errno.message())]
    Interpreter {
        /// The interpreter's name.
        path: Vec<u8>,
        /// Why.
        errno: Errno,
    },
}

impl From<Errno> for ExecError {
    fn from(e: Errno) -> Self {
        ExecError::Errno(e)
    }
}

impl ExecError {
    /// What the guest gets.
    pub fn errno(&self) -> Errno {
        match self {
            ExecError::Errno(e) => *e,
            ExecError::Refused(refusal) => refusal.errno(),
            ExecError::Interpreter { errno, .. } => *errno,
        }
    }
}

/// Strings of a call of execve, not yet copied.
#[derive(Clone, Copy, Debug)]
pub enum Strings<'a> {
    /// Vectors in guest memory; zero stands for an empty one.
    Guest {
        /// Address of the path.
        path: u32,
        /// The argument vector.
        argv: u32,
        /// The environment vector.
        envv: u32,
    },
    /// Strings of the host, for the first program.
    Host {
        /// Arguments.
        args: &'a [Vec<u8>],
        /// Environment.
        env: &'a [Vec<u8>],
    },
}

/// Replaces the program of the calling process.  An error leaves it as it was; a close that waits, of a file that
/// is not passed on, does not.
pub fn execve(cx: &mut Context<'_>, path: &[u8], strings: Strings<'_>) -> Result<Sysret<()>, ExecError> {
    let mut file = vfs::lookup_exec(cx, path)?;
    let result = run(cx, path, strings, &mut file);
    vfs::vrele(cx.kernel, file.vnode);
    result
}

fn run(
    cx: &mut Context<'_>,
    path: &[u8],
    strings: Strings<'_>,
    file: &mut Executable,
) -> Result<Sysret<()>, ExecError> {
    let data_limit = cx.proc().limits.get(Resource::Data).cur.max(0) as u64;
    let mut with = Circumstances { interpreted: false, data_limit };
    let mut arguments = Arguments::default();
    let mut skip = 0;
    let plan = match image::activate(file, with).map_err(ExecError::Refused)? {
        Activation::Image(plan) => plan,
        Activation::Script(script) => {
            for word in &script.words {
                arguments.push_arg(word).map_err(|_| Errno::E2BIG)?;
            }
            // The script's own name takes the place of the first argument.  The original stores it in
            // the caller's vector, where it stays if the call fails later on.
            match strings {
                Strings::Host { .. } => arguments.push_arg(path).map_err(|_| Errno::E2BIG)?,
                Strings::Guest { path, argv, .. } => {
                    let _ = cx.copyout(argv, &path.to_le_bytes());
                }
            }
            skip = 1;
            cx.kernel.note(cx.id, Event::Image { vnode: file.vnode });
            let interpreter = lookup_interpreter(cx, &script.interpreter)?;
            vfs::vrele(cx.kernel, std::mem::replace(file, interpreter).vnode);
            with.interpreted = true;
            match image::activate(file, with).map_err(ExecError::Refused)? {
                Activation::Image(plan) => plan,
                Activation::Script(_) => return Err(Errno::ENOEXEC.into()),
            }
        }
    };
    collect(cx, strings, skip, &mut arguments)?;
    let interpreter = match &plan.interpreter {
        None => None,
        Some(path) => Some(load_interpreter(cx, path, &plan)?),
    };
    let auxv = auxiliary_vector(&plan, interpreter.as_ref().map(|(plan, _)| plan.as_ref()));
    let stack = lay_out(&arguments, &auxv);

    let stack_limit = cx.proc().limits.get(Resource::Stack).cur;
    let mut vm = Vmspace::exec_new(&plan, file, &stack, stack_limit)?;
    let mut entry = plan.entry;
    if let Some((plan, file)) = &interpreter {
        vm.add_image(plan, file)?;
        entry = plan.entry;
        let vnode = file.vnode;
        cx.kernel.note(cx.id, Event::Image { vnode });
        vfs::vrele(cx.kernel, vnode);
    }
    Ok(commit(cx, path, file, vm, Start { entry, esp: stack.esp }, &plan))
}

/// The arguments and the environment, after what a script put before them; a script has replaced the
/// first `host_skip` arguments of the host's.
fn collect(
    cx: &Context<'_>,
    strings: Strings<'_>,
    host_skip: usize,
    into: &mut Arguments,
) -> Result<(), ExecError> {
    match strings {
        Strings::Host { args, env } => {
            for arg in args.iter().skip(host_skip) {
                into.push_arg(arg).map_err(|_| Errno::E2BIG)?;
            }
            for string in env {
                into.push_env(string).map_err(|_| Errno::E2BIG)?;
            }
        }
        Strings::Guest { argv, envv, .. } => {
            let mut at = argv;
            while argv != 0
                && let Some(arg) = next_string(cx, &mut at, into.space())?
            {
                into.push_arg(&arg).map_err(|_| Errno::E2BIG)?;
            }
            let mut at = envv;
            while envv != 0
                && let Some(string) = next_string(cx, &mut at, into.space())?
            {
                into.push_env(&string).map_err(|_| Errno::E2BIG)?;
            }
        }
    }
    Ok(())
}

/// The next string of a vector, or its end.
fn next_string(cx: &Context<'_>, at: &mut u32, space: usize) -> Result<Option<Vec<u8>>, Errno> {
    let mut word = [0; 4];
    cx.copyin(*at, &mut word)?;
    *at = at.wrapping_add(4);
    match u32::from_le_bytes(word) {
        0 => Ok(None),
        address => cx.copyinstr(address, space).map(Some).map_err(|e| match e {
            Errno::ENAMETOOLONG => Errno::E2BIG,
            other => other,
        }),
    }
}

fn lookup_interpreter(cx: &mut Context<'_>, path: &[u8]) -> Result<Executable, ExecError> {
    vfs::lookup_exec(cx, path).map_err(|errno| ExecError::Interpreter { path: path.to_vec(), errno })
}

/// The ELF interpreter of a program, laid out at an address that the program leaves free.
fn load_interpreter(
    cx: &mut Context<'_>,
    path: &[u8],
    program: &Plan,
) -> Result<(Box<Plan>, Executable), ExecError> {
    let file = lookup_interpreter(cx, path)?;
    let end = program.segments.iter().map(|s| s.addr.wrapping_add(s.len)).max().unwrap_or(0);
    let base = end.max(program.data_addr).wrapping_add(64 << 20).next_multiple_of(image::PAGE);
    match image::activate_interpreter(&file, base) {
        Ok(plan) => Ok((Box::new(plan), file)),
        Err(refusal) => {
            vfs::vrele(cx.kernel, file.vnode);
            Err(ExecError::Refused(refusal))
        }
    }
}

fn auxiliary_vector(plan: &Plan, interpreter: Option<&Plan>) -> Vec<(u32, u32)> {
    let Some(elf) = plan.elf else { return Vec::new() };
    let base = interpreter.and_then(|p| p.segments.first()).map_or(0, |s| s.addr);
    vec![
        (aux::PHDR, elf.phdr),
        (aux::PHENT, 32),
        (aux::PHNUM, elf.phnum),
        (aux::PAGESZ, image::PAGE),
        (aux::FLAGS, 0),
        (aux::ENTRY, plan.entry),
        (aux::BASE, base),
        (aux::NULL, 0),
    ]
}

/// Where a program begins, with which stack.
#[derive(Clone, Copy, Debug)]
struct Start {
    entry: u32,
    esp: u32,
}

/// What a process is about to become, when its files are closed.
#[derive(Clone, Debug)]
pub struct Becoming {
    path: Vec<u8>,
    /// The program, with a reference.
    vnode: VnodeId,
    name: Vec<u8>,
    mode: u16,
    uid: u32,
    gid: u32,
    nosuid: bool,
    start: Start,
    older: bool,
    format: &'static str,
}

/// The point of no return: the process becomes the new program.
fn commit(
    cx: &mut Context<'_>,
    path: &[u8],
    executable: &Executable,
    space: Vmspace,
    start: Start,
    plan: &Plan,
) -> Sysret<()> {
    ipc::exec(cx);
    vm::faults::note(cx.proc_mut());
    cx.proc_mut().vm = space;
    vm::faults::executed(cx.kernel, cx.id, executable.vnode, executable.size);
    cx.kernel.account_memory();
    vfs::vref(cx.kernel, executable.vnode);
    let becoming = Becoming {
        path: path.to_vec(),
        vnode: executable.vnode,
        name: executable.name.get(..MAXCOMLEN).unwrap_or(&executable.name).to_vec(),
        mode: executable.mode,
        uid: executable.uid,
        gid: executable.gid,
        nosuid: executable.nosuid,
        start,
        older: plan.older,
        format: plan.format,
    };
    close_files(cx, Box::new(becoming), Ok(()))
}

/// Closes what is not passed on; a connection may linger, and a terminal wait for its output.
pub(super) fn close_files(cx: &mut Context<'_>, becoming: Box<Becoming>, closed: Sysret<()>) -> Sysret<()> {
    let closed = match closed {
        Err(Stop::Park(parked)) => Err(Stop::Park(parked)),
        _ => file::fd_close_exec(cx),
    };
    if let Err(Stop::Park(parked)) = closed {
        let Parked { sleep: how, resume } = *parked;
        let close = Box::new(resume);
        return sleep(how, Resume::Proc(super::Resume::Exec { becoming, close }));
    }
    begin(cx, *becoming);
    Ok(())
}

/// The rest: name, rights, registers.
fn begin(cx: &mut Context<'_>, executable: Becoming) {
    let set_id = executable.mode & (VSUID | VSGID) != 0
        && !executable.nosuid
        && !cx.proc().flags.contains(Flags::TRACED);
    if set_id {
        ktrace::set_id_exec(cx.kernel, cx.id);
    }
    let proc = cx.proc_mut();
    proc.sig.exec();
    proc.comm = executable.name;
    proc.flags.insert(Flags::EXEC);
    proc.acflag.set(proc.acflag.get() & !acct::flag::FORK);
    let waiting_parent = proc.flags.contains(Flags::PPWAIT).then_some(proc.parent).flatten();
    proc.flags.remove(Flags::PPWAIT);

    if set_id {
        let (uid, gid) = (executable.uid, executable.gid);
        let ucred = proc.cred.ucred_mut();
        if executable.mode & VSUID != 0 {
            ucred.uid = uid;
        }
        if executable.mode & VSGID != 0
            && let Some(first) = ucred.groups.first_mut()
        {
            *first = gid;
        }
        proc.flags.insert(Flags::SUGID);
    } else if proc.cred.ucred.uid == proc.cred.ruid && proc.cred.ucred.gid() == proc.cred.rgid {
        proc.flags.remove(Flags::SUGID);
    }
    proc.cred.svuid = proc.cred.ucred.uid;
    proc.cred.svgid = proc.cred.ucred.gid();
    let old_text = proc.text.replace(executable.vnode);
    let traced = proc.flags.contains(Flags::TRACED);

    let control = proc.initial_fpcw;
    let mut frame = Trapframe::new();
    frame.eip = executable.start.entry;
    frame.set(Gpr::Esp, executable.start.esp);
    frame.eflags |= proc.frame.eflags & eflags::TF;
    *frame.fpu = FpuState { control, ..FpuState::default() };
    proc.frame = frame;
    proc.older_program = executable.older;
    proc.image_generation += 1;

    if let Some(vnode) = old_text {
        vfs::vrele(cx.kernel, vnode);
    }
    if let Some(parent) = waiting_parent {
        cx.kernel.wakeup(Channel::Proc(parent));
    }
    if traced {
        psignal(cx.kernel, cx.id, SIGTRAP);
    }
    cx.kernel.note(cx.id, Event::Image { vnode: executable.vnode });
    cx.kernel.note(cx.id, Event::Exec { path: executable.path, format: executable.format });
}

/// Reads the path of a call of execve.
pub fn read_path(cx: &Context<'_>, path: u32) -> Result<Vec<u8>, Errno> {
    cx.copyinstr(path, MAXPATHLEN)
}

/// Address where the stack of a new program ends.
pub const USRSTACK: u32 = stack::USRSTACK;
