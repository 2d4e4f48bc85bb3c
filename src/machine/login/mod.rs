//! Logging in: whose shell runs, as the root's own files say.
//!
//! 2.1 counterpart: usr.bin/login.

mod passwd;
mod records;
pub(super) mod term;

pub(super) use records::Entry;

use std::fmt;

use syscalls::errno::Errno;

use super::{DEFAULT_PATH, Machine};
use crate::host::door::Door;
use crate::kernel::Kernel;
use crate::kernel::boot::{Inherited, Program, StartFailure};
use passwd::Passwd;

/// Most bytes of a file that is read for a login.
const LARGEST: u64 = 4 << 20;
/// Where a termcap is.
const TERMCAPS: [&[u8]; 2] = [b"/usr/share/misc/termcap", b"/etc/termcap"];
/// What a root should have, and what makes it.
const WANTED: [(&[u8], &str); 6] = [
    (b"/etc/passwd", "a line such as root:*:0:0::/root:/bin/sh"),
    (b"/etc/group", "a line such as wheel:*:0:root"),
    (b"/tmp", "a directory with mode 1777"),
    (b"/var/tmp", "a directory with mode 1777"),
    (b"/var/run/utmp", "an empty file"),
    (b"/var/log/wtmp", "an empty file"),
];
const SHELL: &[u8] = b"/bin/sh";

/// Who logs in, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; root unless given.
    pub user: Option<Vec<u8>>,
    /// A command for the shell, instead of a session.
    pub command: Option<Vec<u8>>,
    /// The host's name of the terminal.
    pub term: Option<Vec<u8>>,
    /// Further variables, as NAME=VALUE; they win.
    pub env: Vec<Vec<u8>>,
    /// The control word of a fresh x87 unit.
    pub fpcw: u16,
}

/// Why nobody can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// There is no such user.
    Unknown(String),
    /// There is no file that says who there is.
    NoPasswd(String),
    /// No shell is there.
    NoShell(String),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(user) => write!(f, "user {user}: not in the root's /etc/passwd"),
            Self::NoPasswd(user) => {
                write!(f, "user {user}: the root has no /etc/passwd, so that there is only root")
            }
            Self::NoShell(shell) => write!(f, "the shell {shell} is not in the root, nor is /bin/sh"),
        }
    }
}

/// Whether a path of the guest leads to something.
fn exists(kernel: &mut Kernel, path: &[u8]) -> bool {
    kernel.find_as_superuser(path).is_ok()
}

/// The bytes of a regular file of the guest.
fn read_file(kernel: &mut Kernel, path: &[u8]) -> Result<Vec<u8>, Errno> {
    kernel.read_as_superuser(path, LARGEST)
}

/// What the guest is told of the host's terminal.
pub(super) fn terminal_type(kernel: &mut Kernel, host: &str) -> term::Term {
    let termcap = TERMCAPS.iter().find_map(|path| read_file(kernel, path).ok());
    term::choose(host, termcap.as_deref())
}

/// Somebody of the root's files.
pub(super) struct Person {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups.
    pub(super) groups: Vec<u32>,
    pub(super) home: Vec<u8>,
    pub(super) shell: Vec<u8>,
}

/// Who has a name.
pub(super) fn person(kernel: &mut Kernel, name: &[u8]) -> Result<Person, LoginError> {
    let login = Login { user: Some(name.to_vec()), ..Login::default() };
    let Passwd { uid, gid, home, shell, .. } = login.who(kernel)?;
    let groups = passwd::groups(&read_file(kernel, b"/etc/group").unwrap_or_default(), name);
    let shell = if shell.is_empty() { SHELL.to_vec() } else { shell };
    Ok(Person { uid, gid, groups, home, shell })
}

/// A variable's name and its value.
fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"=", value].concat()
}

impl Login {
    /// The program that the login starts, and what it could not do as the root's files say, a line each.
    pub(super) fn program(&self, kernel: &mut Kernel) -> Result<(Program, Vec<String>), LoginError> {
        let mut notes = Vec::new();
        let who = self.who(kernel)?;
        let shell = if who.shell.is_empty() { SHELL.to_vec() } else { who.shell.clone() };
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let shell = match (exists(kernel, &shell), exists(kernel, SHELL)) {
            (true, _) => shell,
            (false, true) => {
                notes.push(format!("no shell {}: /bin/sh instead", show(&shell)));
                SHELL.to_vec()
            }
            (false, false) => return Err(LoginError::NoShell(show(&shell))),
        };
        let home = if exists(kernel, &who.home) {
            who.home.clone()
        } else {
            notes.push(format!("no directory {}: logging in with home = /", show(&who.home)));
            b"/".to_vec()
        };
        let name = shell.rsplit(|&c| c == b'/').next().unwrap_or_default();
        let args = match &self.command {
            Some(command) => vec![name.to_vec(), b"-c".to_vec(), command.clone()],
            None => vec![[b"-", name].concat()],
        };
        let groups = read_file(kernel, b"/etc/group").unwrap_or_default();
        let program = Program {
            env: self.environment(kernel, &who, &shell, &home),
            paths: vec![shell],
            args,
            cwd: home,
            uid: who.uid,
            gid: who.gid,
            groups: passwd::groups(&groups, &who.name),
            login: who.name,
            fpcw: self.fpcw,
            inherited: Inherited::default(),
        };
        Ok((program, notes))
    }

    fn who(&self, kernel: &mut Kernel) -> Result<Passwd, LoginError> {
        let name = self.user.as_deref().unwrap_or(b"root");
        let shown = name.escape_ascii().to_string();
        let files = [&b"/etc/passwd"[..], b"/etc/master.passwd"];
        let found: Vec<Vec<u8>> = files.iter().filter_map(|path| read_file(kernel, path).ok()).collect();
        if let Some(who) = found.iter().find_map(|file| passwd::find(file, name)) {
            return Ok(who);
        }
        match (name, found.is_empty()) {
            (b"root", _) => Ok(Passwd {
                name: name.to_vec(),
                uid: 0,
                gid: 0,
                home: b"/root".to_vec(),
                shell: SHELL.to_vec(),
            }),
            (_, true) => Err(LoginError::NoPasswd(shown)),
            (_, false) => Err(LoginError::Unknown(shown)),
        }
    }

    fn environment(&self, kernel: &mut Kernel, who: &Passwd, shell: &[u8], home: &[u8]) -> Vec<Vec<u8>> {
        let host = self.term.as_deref().map(|term| String::from_utf8_lossy(term).into_owned());
        let term = terminal_type(kernel, host.as_deref().unwrap_or(term::PLAIN));
        let mut env = vec![
            variable("HOME", home),
            variable("SHELL", shell),
            variable("TERM", term.name.as_bytes()),
            variable("LOGNAME", &who.name),
            variable("USER", &who.name),
            variable("PATH", DEFAULT_PATH.as_bytes()),
        ];
        env.extend(term.entry.map(|entry| variable("TERMCAP", entry.as_bytes())));
        for given in &self.env {
            let name = |v: &[u8]| v.split(|&c| c == b'=').next().map(<[u8]>::to_vec);
            env.retain(|known| name(known) != name(given));
            env.push(given.clone());
        }
        env
    }
}

/// What a root lacks that sessions want, in a line.
pub(super) fn lacks(kernel: &mut Kernel) -> Option<String> {
    let mut lacking: Vec<String> = Vec::new();
    for (path, cure) in WANTED {
        if !exists(kernel, path) {
            lacking.push(format!("{} ({cure})", path.escape_ascii()));
        }
    }
    if !TERMCAPS.iter().any(|path| exists(kernel, path)) {
        lacking.push("a termcap (TERMCAP is set instead)".to_owned());
    }
    (!lacking.is_empty()).then(|| format!("the root lacks {}", lacking.join(", ")))
}

impl Machine {
    /// What further logins have in common with the first program.
    pub(super) fn login_defaults(&self) -> Login {
        self.logins.clone()
    }

    /// Starts a program in a session on a new terminal, with its records.
    pub(super) fn start_session(
        &mut self,
        program: &Program,
        door: Box<dyn Door>,
    ) -> Result<(), StartFailure> {
        let id = self.kernel.start_session(program, door)?;
        self.note_session(id, program);
        Ok(())
    }

    /// Writes down that a session has begun.
    pub(super) fn note_session(&mut self, id: crate::kernel::proc::ProcId, program: &Program) {
        let proc = &self.kernel.procs[id];
        let node = self.kernel.procs.session(proc.pgrp).ttyvp;
        let path = node.and_then(|node| self.kernel.vfs.path_of(node));
        let Some(line) = path.and_then(|path| path.strip_prefix(b"/dev/").map(<[u8]>::to_vec)) else {
            return;
        };
        let entry = Entry { line, name: program.login.clone(), uid: program.uid };
        let pid = proc.pid;
        records::login(&mut self.kernel, &entry);
        self.sessions.push((pid, entry));
    }

    /// Writes down that a session has ended.
    pub(super) fn session_over(&mut self, pid: i32) {
        if let Some(at) = self.sessions.iter().position(|(leader, _)| *leader == pid) {
            let (_, entry) = self.sessions.swap_remove(at);
            records::logout(&mut self.kernel, &entry);
        }
    }
}
