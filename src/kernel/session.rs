//! A further session on a machine that runs: a program on a terminal of its own, as getty and login leave it.
//!
//! Process 1 is its parent; it leads its session, and the terminal controls it.  Must not know who looks at the
//! terminal.
//!
//! 2.1 counterpart: none; the place of init and getty.

use syscalls::errno::Errno;

use super::boot::{Program, StartFailure};
use super::cred::Pcred;
use super::file::{self, FileFlag, FileObject};
use super::proc::exec::{ExecError, Strings, execve};
use super::proc::{Flags, ProcId, State};
use super::vfs::VnodeId;
use super::{Context, Kernel, proc, tty, vfs};
use crate::host::door::Door;

impl Kernel {
    /// Starts a program in a session of its own on a new terminal; gives its process.
    pub fn start_session(&mut self, program: &Program, door: Box<dyn Door>) -> Result<ProcId, StartFailure> {
        let id = self.first_process(Pcred::of(program.uid, &program.groups_of()), &program.login);
        self.procs[id].initial_fpcw = program.fpcw;
        let node = self.attach_terminal(door);
        let observer = self.take_observer();
        let prepared = self.prepare_session(id, program, node);
        self.set_observer(observer);
        let started = prepared.and_then(|()| self.execute(id, program));
        match started {
            Ok(()) => {
                self.procs[id].state = State::Run;
                self.set_run_queue(id);
                Ok(id)
            }
            Err(failure) => {
                self.vacate_terminal(node);
                // It has never run; what it holds goes as at any end, and nothing there sleeps.
                self.procs[id].state = State::Run;
                let mut cx = Context::new(self, id);
                let _ = proc::exit::exit1(&mut cx, 0);
                Err(failure)
            }
        }
    }

    fn prepare_session(&mut self, id: ProcId, program: &Program, node: VnodeId) -> Result<(), StartFailure> {
        let mut cx = Context::new(self, id);
        let failed = |errno| StartFailure::Exec(ExecError::Errno(errno));
        vfs::change_directory(&mut cx, &program.cwd).map_err(StartFailure::Directory)?;
        let Some((line, _)) = cx.kernel.vfs.terminal_end(&cx.kernel.ttys, node) else {
            return Err(failed(Errno::ENXIO));
        };
        tty::open_at_boot(cx.kernel, line);
        let (_, open) = file::falloc_from(&mut cx, 0).map_err(failed)?;
        cx.kernel.vfs.vref(node);
        let entry = &mut cx.kernel.files[open];
        (entry.flag, entry.object) = (FileFlag::READ | FileFlag::WRITE, FileObject::Vnode(node));
        for number in 1..3 {
            let fd = file::fd_alloc(&mut cx, number).map_err(failed)?;
            cx.kernel.files[open].count += 1;
            cx.proc_mut().fd.install(fd, open);
        }
        tty::set_controlling(cx.kernel, id, line, node).map_err(failed)?;
        self.procs[id].flags.insert(Flags::CONTROLT);
        self.inherit(id, &program.inherited);
        Ok(())
    }

    /// Executes the first of a program's paths that exists.
    pub(super) fn execute(&mut self, id: ProcId, program: &Program) -> Result<(), StartFailure> {
        let mut cx = Context::new(self, id);
        let mut result = Err(ExecError::Errno(Errno::ENOENT));
        for path in &program.paths {
            result = execve(&mut cx, path, Strings::Host { args: &program.args, env: &program.env });
            if !matches!(result, Err(ExecError::Errno(Errno::ENOENT | Errno::ENOTDIR))) {
                break;
            }
        }
        if let Err(ExecError::Errno(Errno::EACCES | Errno::ENOEXEC)) = result
            && let Some(why) = program.paths.iter().find_map(|path| vfs::unfit(&mut cx, path))
        {
            return Err(StartFailure::Unfit(why));
        }
        Ok(result.map(|_| ())?)
    }
}
