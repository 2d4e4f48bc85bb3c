//! The first program of a machine that has booted: what it is, its terminal, its descriptors.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use syscalls::errno::Errno;

use super::{Builder, StartError, inherit};
use crate::host::door::{Door, Nobody};
use crate::host::escape::Escaping;
use crate::host::tape::Question;
use crate::host::terminal::Terminal;
use crate::kernel::boot::{Descriptor, Opened, Program, StartFailure};
use crate::kernel::proc::exec::ExecError;
use crate::machine::Machine;
use crate::machine::login::{self, Login};

impl Builder {
    /// Loads the program.
    pub(super) fn start(&mut self, machine: &mut Machine, here: &Path) -> Result<(), StartError> {
        if let Some(count) = self.ptys {
            machine.kernel_mut().attach_ptys(count);
        }
        machine.kernel_mut().attach_tunnels(self.tunnels);
        machine.kernel_mut().forward(std::mem::take(&mut self.forwards));
        machine.kernel_mut().ttys.charset = self.charset;
        let own = self.attach_terminal(machine);
        let interactive = self.login.as_ref().is_some_and(|login| login.command.is_none());
        let first = match self.login.take() {
            Some(login) => self.logged_in(machine, login)?,
            None => self.named(machine, here)?,
        };
        let mut descriptors = match self.descriptors.take() {
            _ if machine.kernel().tape.plays() => inherit::played_all(&machine.kernel().tape)?,
            Some(others) => inherit::handed_over(&others, own)?,
            None => self.streams(machine, own)?,
        };
        if machine.kernel().tape.is_on() && !machine.kernel().tape.plays() {
            inherit::taped_all(&machine.kernel().tape, &mut descriptors)?;
        }
        let program = match first.paths.as_slice() {
            [only] if self.program.is_empty() => String::from_utf8_lossy(only).into_owned(),
            _ => self.program.to_string_lossy().into_owned(),
        };
        let place = match &self.root {
            Some(root) => format!("the root {}", root.display()),
            None => "the host's directories; --root names another root".to_owned(),
        };
        machine.start(&first, descriptors).map_err(|failure| match failure {
            StartFailure::Directory(errno) => {
                StartError::Directory { directory: String::from_utf8_lossy(&first.cwd).into_owned(), errno }
            }
            StartFailure::Exec(ExecError::Errno(Errno::ENOENT | Errno::ENOTDIR)) => {
                StartError::NotFound { program, place }
            }
            StartFailure::Exec(ExecError::Errno(errno)) => {
                StartError::NotExecutable { program, place, errno }
            }
            StartFailure::Exec(ExecError::Refused(refusal)) => StartError::Refused { program, refusal },
            StartFailure::Exec(ExecError::Interpreter { path, errno }) => {
                let interpreter = String::from_utf8_lossy(&path).into_owned();
                StartError::Interpreter { program, interpreter, place, errno }
            }
            StartFailure::Unfit(why) => StartError::Unfit { program, why },
        })?;
        if interactive && let Some(id) = machine.first_process() {
            machine.note_session(id, &first);
        }
        Ok(())
    }

    /// Gives the guest its terminal; whether that is one of its own and its standard streams with it.
    fn attach_terminal(&mut self, machine: &mut Machine) -> bool {
        let played = || -> Box<dyn Door> { Box::new(Nobody) };
        if let Some(door) = self.door.take().or_else(|| self.own_terminal.then(played)) {
            machine.kernel_mut().attach_terminal(door);
            return true;
        }
        let mut door = None;
        let there = self.terminal
            && machine.kernel().tape.ask(Question::Terminal, false, || {
                door = Terminal::controlling();
                door.is_some()
            });
        if let Some(door) = door {
            let door: Box<dyn Door> = match self.escape {
                Some(escape) => Box::new(Escaping::new(Box::new(door), escape)),
                None => Box::new(door),
            };
            machine.kernel_mut().attach_terminal(door);
        } else if there {
            machine.kernel_mut().attach_terminal(played());
        }
        false
    }

    /// The program that was named.
    fn named(&mut self, machine: &mut Machine, here: &Path) -> Result<Program, StartError> {
        if let Some(host) = self.term.take() {
            let term = login::terminal_type(machine.kernel_mut(), &host);
            self.set("TERM", term.name.as_bytes());
            if let Some(entry) = term.entry {
                self.set("TERMCAP", entry.as_bytes());
            }
        }
        let mut groups = Vec::new();
        let mut login = b"root".to_vec();
        if let Some(user) = self.user.take() {
            let person = login::person(machine.kernel_mut(), &user).map_err(StartError::Login)?;
            (self.uid, self.gid, groups) = (person.uid, person.gid, person.groups);
            let home =
                [("HOME", &person.home), ("SHELL", &person.shell), ("USER", &user), ("LOGNAME", &user)];
            for (name, value) in home {
                if !self.env.iter().any(|(known, _)| known == name.as_bytes()) {
                    self.set(name, value);
                }
            }
            login = user;
        }
        let program = self.program.as_bytes();
        let typed = self.argv0.as_ref().map_or(program, |name| name.as_bytes());
        let mut args = vec![typed.to_vec()];
        args.extend(self.args.iter().map(|arg| arg.as_bytes().to_vec()));
        let env = self.env.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat()).collect();
        let cwd = match (&self.cwd, &self.root) {
            (Some(cwd), _) => cwd.as_bytes().to_vec(),
            (None, Some(_)) => b"/".to_vec(),
            (None, None) => here.as_os_str().as_bytes().to_vec(),
        };
        machine.logins = Login { fpcw: self.fpcw, ..Login::default() };
        Ok(Program {
            paths: self.candidates(),
            args,
            env,
            cwd,
            uid: self.uid,
            gid: self.gid,
            groups,
            login,
            fpcw: self.fpcw,
            inherited: self.inherited.clone(),
        })
    }

    /// The shell of who logs in.
    fn logged_in(&mut self, machine: &mut Machine, login: Login) -> Result<Program, StartError> {
        let login = Login { fpcw: self.fpcw, ..login };
        let (program, mut notes) = login.program(machine.kernel_mut()).map_err(StartError::Login)?;
        notes.extend(login::lacks(machine.kernel_mut()));
        machine.notes = notes;
        machine.logins = Login { command: None, user: None, ..login };
        Ok(Program { inherited: self.inherited.clone(), ..program })
    }

    /// The standard streams; the machine keeps those whose bytes are wanted.
    fn streams(&mut self, machine: &mut Machine, own: bool) -> Result<Vec<Descriptor>, StartError> {
        let mut streams = Vec::new();
        for (number, stdio) in std::mem::take(&mut self.stdio).into_iter().enumerate() {
            if own {
                streams.push((number as u32, Opened::Terminal));
                continue;
            }
            let opened = stdio.open(number as u32).map_err(StartError::Stream)?;
            streams.push((number as u32, opened.stream.map_or(Opened::Null, Opened::Stream)));
            if let Some(kept) = opened.kept {
                machine.keep_stream(number, kept);
            }
        }
        Ok(streams)
    }
}
