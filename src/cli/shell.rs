//! `bsd21 shell`: a login on an old system, to sit down at.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::Args;

use super::host::{self, HostOptions};
use super::run::{self, MachineOptions};
use super::terminal::{EscapeKey, host_term, parse_escape};
use super::{Failure, GuestOptions, status};
use crate::machine::Mount;
use crate::machine::login::Login;

/// Logs in.
#[derive(Clone, Debug, Args)]
pub(super) struct Shell {
    /// Directory of the host that is the guest's root; BSD21_ROOT unless given.
    #[arg(long, value_name = "DIR[:ro]")]
    root: Option<PathBuf>,
    /// Log in as this user of the root's /etc/passwd; root unless given.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Have the user's shell run this command, instead of a session.
    #[arg(short = 'c', value_name = "COMMAND")]
    command: Option<OsString>,
    /// Show a directory of the host at GUEST; the longest mount point wins.
    #[arg(long, value_name = "HOST:GUEST[:ro]", value_parser = super::options::parse_mount)]
    mount: Vec<Mount>,
    /// Let the guest change nothing of the host.
    #[arg(long)]
    read_only: bool,
    /// Read --root and never write it; see bsd21 run.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    overlay: Option<Option<PathBuf>>,
    /// Set a variable of the guest's environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::options::parse_variable)]
    env: Vec<OsString>,
    /// The character behind which, at the beginning of a line, . hangs up, l lists the processes, k ends the run and ?
    /// lists these; none for no such character.
    #[arg(long, value_name = "CHAR", default_value = "~", value_parser = parse_escape)]
    escape: EscapeKey,
    /// Say nothing of the guest.
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
}

impl Shell {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let root = self.root.clone().or_else(|| std::env::var_os("BSD21_ROOT").map(PathBuf::from));
        let root = root.ok_or_else(|| {
            Failure::usage("no root: --root DIR, or BSD21_ROOT, names an old system's directory")
        })?;
        let guest = GuestOptions::of_root(root, self.mount.clone(), self.read_only, self.overlay.clone());
        let login = Login {
            user: self.user.as_ref().map(|user| user.as_bytes().to_vec()),
            command: self.command.as_ref().map(|command| command.as_bytes().to_vec()),
            term: host_term().map(String::into_bytes),
            env: self.env.iter().cloned().map(OsStringExt::into_vec).collect(),
            fpcw: guest.fpcw,
        };
        let mut builder = guest.place()?.login(login);
        if let Some(escape) = self.escape.0 {
            builder = builder.escape(escape);
        }
        let mut machine = self.machine.build(builder, &self.host)?;
        run::announce(&guest, self.quiet);
        if !self.quiet {
            machine.notes().iter().for_each(super::complain);
        }
        self.host.watch(&mut machine, self.quiet);
        let shell = OsString::from("shell");
        let result = run::finish(&mut machine).and_then(|ended| {
            if !self.quiet {
                host::report_signal(&machine, &shell, ended);
                run::report(&machine);
            }
            status::of_run(ended)
        });
        machine.abandon();
        result
    }
}
