//! The guest's own tracing: ktrace(2) and the records that it has written.
//!
//! The kernel listens to its own events here, as an observer does, and writes records into the guest's file for
//! the processes that are traced.  While nobody is, this costs nothing.
//!
//! Must not know other renderings.  2.1 counterpart: kern/kern_ktrace.c.

pub mod record;
pub mod transfer;

use std::collections::BTreeMap;

use syscalls::Errno;
use syscalls::arg::{Path, Pid};
use syscalls::flags::{KtrFacilities, KtrOp};

use super::event::{Event, Outcome};
use super::proc::ProcId;
use super::syscall::Call;
use super::vfs::VnodeId;
use super::{Context, Kernel};
use record::{Body, EJUSTRETURN, ERESTART, Entry};

/// Number of execve.
const SYS_EXECVE: u32 = 59;

/// How a process is traced (`p_tracep`, `p_traceflag`).
#[derive(Clone, Copy, Debug)]
struct Traced {
    file: VnodeId,
    flags: KtrFacilities,
}

/// The processes that are traced.
#[derive(Clone, Debug, Default)]
pub struct Table {
    traced: BTreeMap<ProcId, Traced>,
    /// Ends of calls that are recorded when the process goes back to its program: signals come first.
    returning: BTreeMap<ProcId, Body>,
    /// The process that is in ktrace itself, of which nothing is recorded meanwhile (`KTRFAC_ACTIVE`).
    active: Option<ProcId>,
}

impl Table {
    /// Whether nobody is traced.
    pub fn is_empty(&self) -> bool {
        self.traced.is_empty()
    }
}

/// Turns tracing on or off for a process or a group, and perhaps their descendants.
pub fn ktrace(
    cx: &mut Context<'_>,
    path: Path,
    ops: KtrOp,
    facs: KtrFacilities,
    pid: Pid,
) -> Result<(), Errno> {
    let op = Operation::of(ops);
    let facs = facs.difference(KtrFacilities::ROOT);
    cx.kernel.ktrace.active = Some(cx.id);
    let file = match op {
        Operation::Clear => Ok(None),
        _ => super::vfs::calls::open_trace_file(cx, path).map(Some),
    };
    cx.kernel.ktrace.active = None;
    let file = file?;
    let result = apply(cx, op, file, ops.contains(KtrOp::DESCEND), facs, pid);
    if let Some(file) = file {
        super::vfs::vrele(cx.kernel, file);
    }
    cx.kernel.watch();
    result
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Set,
    Clear,
    ClearFile,
}

impl Operation {
    /// The low two bits; a number that means nothing counts as clearing, as in the original.
    fn of(ops: KtrOp) -> Self {
        match ops.bits() & 3 {
            0 => Self::Set,
            2 => Self::ClearFile,
            _ => Self::Clear,
        }
    }
}

fn apply(
    cx: &mut Context<'_>,
    op: Operation,
    file: Option<VnodeId>,
    descend: bool,
    facs: KtrFacilities,
    pid: Pid,
) -> Result<(), Errno> {
    if op == Operation::ClearFile {
        let users: Vec<_> =
            cx.kernel.ktrace.traced.iter().filter(|(_, t)| Some(t.file) == file).map(|(id, _)| *id).collect();
        let mut result = Ok(());
        for id in users {
            match can_set(cx, id) {
                true => stop(cx.kernel, id),
                false => result = Err(Errno::EPERM),
            }
        }
        return result;
    }
    if facs.is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut targets = if pid.0 < 0 {
        let group = cx.kernel.procs.find_group(pid.0.wrapping_neg()).ok_or(Errno::ESRCH)?;
        cx.kernel.procs.group(group).members.clone()
    } else {
        vec![cx.kernel.procs.find(pid.0).ok_or(Errno::ESRCH)?]
    };
    if descend {
        let mut at = 0;
        while let Some(&id) = targets.get(at) {
            at += 1;
            let children = cx.kernel.procs.get(id).map(|p| p.children.clone()).unwrap_or_default();
            targets.extend(children.into_iter().filter(|c| !targets.contains(c)).collect::<Vec<_>>());
        }
    }
    let mut any = false;
    for id in targets {
        if can_set(cx, id) {
            any = true;
            set(cx, id, op, file, facs);
        }
    }
    if any { Ok(()) } else { Err(Errno::EPERM) }
}

/// Changes how one process is traced (`ktrops`).
fn set(cx: &mut Context<'_>, id: ProcId, op: Operation, file: Option<VnodeId>, facs: KtrFacilities) {
    let root = cx.proc().cred.ucred.is_superuser();
    let kernel = &mut *cx.kernel;
    match (op, file) {
        (Operation::Set, Some(file)) => {
            let before = kernel.ktrace.traced.get(&id).copied();
            if before.is_none_or(|t| t.file != file) {
                super::vfs::vref(kernel, file);
                if let Some(before) = before {
                    super::vfs::vrele(kernel, before.file);
                }
            }
            let mut flags = before.map_or(KtrFacilities::empty(), |t| t.flags) | facs;
            flags.set(KtrFacilities::ROOT, root || flags.contains(KtrFacilities::ROOT));
            kernel.ktrace.traced.insert(id, Traced { file, flags });
        }
        _ => {
            let Some(traced) = kernel.ktrace.traced.get_mut(&id) else { return };
            traced.flags.remove(facs);
            if traced.flags.bits() & 0x00ff_ffff == 0 {
                stop(kernel, id);
            }
        }
    }
}

/// Whether the caller may change how a process is traced (`ktrcanset`).
fn can_set(cx: &Context<'_>, id: ProcId) -> bool {
    let caller = &cx.proc().cred;
    if caller.ucred.is_superuser() {
        return true;
    }
    let Some(target) = cx.kernel.procs.get(id).map(|p| &p.cred) else { return false };
    let by_root = cx.kernel.ktrace.traced.get(&id).is_some_and(|t| t.flags.contains(KtrFacilities::ROOT));
    caller.ucred.uid == target.ruid
        && target.ruid == target.svuid
        && caller.rgid == target.rgid
        && target.rgid == target.svgid
        && !by_root
}

/// Ends the tracing of a process.
fn stop(kernel: &mut Kernel, id: ProcId) {
    kernel.ktrace.returning.remove(&id);
    if let Some(traced) = kernel.ktrace.traced.remove(&id) {
        super::vfs::vrele(kernel, traced.file);
        kernel.watch();
    }
}

/// Writes what an event means for a traced process.
pub(super) fn event(kernel: &mut Kernel, id: ProcId, event: &Event) {
    let Some(traced) = kernel.ktrace.traced.get(&id).copied() else { return };
    if kernel.ktrace.active == Some(id) {
        return;
    }
    match event {
        Event::Fork { child } => {
            if let Some(child) = kernel.procs.find(*child)
                && traced.flags.contains(KtrFacilities::INHERIT)
            {
                inherit(kernel, id, child, traced);
            }
            return;
        }
        Event::Exit { .. } => return stop(kernel, id),
        Event::Leave(call, outcome) => {
            kernel.ktrace.returning.insert(id, returned(call, *outcome));
        }
        // A child's first call, or a trap, tells that it has gone on with its program.
        Event::UserReturn | Event::Enter(_) | Event::SignalDelivered { trap: true, .. } => {
            if let Some(body) = kernel.ktrace.returning.remove(&id)
                && traced.flags.contains(KtrFacilities::SYSRET)
            {
                write(kernel, id, traced.file, body);
            }
        }
        _ => {}
    }
    for (facility, body) in bodies(kernel, id, event) {
        if traced.flags.contains(facility) {
            write(kernel, id, traced.file, body);
        }
    }
}

/// Lets a child be traced as its parent is; the parent's number is what its own return from fork records.
fn inherit(kernel: &mut Kernel, parent: ProcId, child: ProcId, traced: Traced) {
    super::vfs::vref(kernel, traced.file);
    kernel.ktrace.traced.insert(child, traced);
    if let Some((pid, Some(call))) = kernel.procs.get(parent).map(|p| (p.pid, p.call)) {
        let body = Body::Return { code: call.number as i16, error: 0, value: pid };
        kernel.ktrace.returning.insert(child, body);
    }
}

/// Ends the tracing of a process that becomes a set-id program, unless the superuser executes it.
pub(super) fn set_id_exec(kernel: &mut Kernel, id: ProcId) {
    if kernel.procs.get(id).is_some_and(|p| !p.cred.ucred.is_superuser()) {
        stop(kernel, id);
    }
}

/// What is recorded of the end of a call.
pub fn returned(call: &Call, outcome: Outcome) -> Body {
    let (error, value) = match outcome {
        Outcome::Success(retval) => (0, retval.eax.cast_signed()),
        Outcome::Failure(errno) => (errno.raw().cast_signed(), 0),
        Outcome::Restart => (ERESTART, 0),
        // The original's execve returns 0, into registers that are already the new program's.
        Outcome::NoReturn if call.number == SYS_EXECVE => (0, 0),
        Outcome::NoReturn => (EJUSTRETURN, 0),
    };
    Body::Return { code: call.number as i16, error, value }
}

/// The records of an event, each with the facility that asks for it.
fn bodies(kernel: &Kernel, id: ProcId, event: &Event) -> Vec<(KtrFacilities, Body)> {
    match event {
        Event::Enter(call) => {
            let narg = syscalls::sysent::row(call.number).map_or(0, |r| usize::from(r.narg));
            let words = call.words.iter().copied().take(narg).collect();
            vec![(KtrFacilities::SYSCALL, Body::Call { code: call.number as i16, words })]
        }
        Event::Leave(call, Outcome::Success(retval)) => {
            let space = kernel.procs.get(id).map(|p| &p.vm.space);
            let moved = space.and_then(|space| transfer::of(call, retval.eax, space));
            let body = |t: transfer::Transfer| Body::Io { fd: t.fd, written: t.written, bytes: t.bytes };
            moved.map(|t| (KtrFacilities::GENIO, body(t))).into_iter().collect()
        }
        Event::Lookup { path, .. } => vec![(KtrFacilities::NAMEI, Body::Name(path.clone()))],
        &Event::SignalDelivered { signal, code, handler, mask, trap, .. } => {
            // Only trapsignal records a code; postsig has none.
            let code = if trap { code.cast_signed() } else { 0 };
            let body = Body::Signal { signal: signal.cast_signed(), action: handler, mask, code };
            vec![(KtrFacilities::PSIG, body)]
        }
        Event::Sleep { .. } => vec![(KtrFacilities::CSW, Body::Switch { out: true, user: false })],
        Event::Wakeup { .. } => vec![(KtrFacilities::CSW, Body::Switch { out: false, user: false })],
        _ => Vec::new(),
    }
}

/// Appends a record to the file; a file that cannot be written ends the tracing to it (`ktrwrite`).
fn write(kernel: &mut Kernel, id: ProcId, file: VnodeId, body: Body) {
    let Some(proc) = kernel.procs.get(id) else { return };
    let entry = Entry { pid: proc.pid, comm: proc.comm.clone(), micros: kernel.clock.now() / 1000, body };
    let bytes = entry.encode();
    let written = kernel.vfs.append_content(file, &bytes).map(|(written, _)| written);
    if written != Ok(bytes.len()) {
        let users: Vec<_> =
            kernel.ktrace.traced.iter().filter(|(_, t)| t.file == file).map(|(id, _)| *id).collect();
        for user in users {
            stop(kernel, user);
        }
    }
}
