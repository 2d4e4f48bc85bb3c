//! A printer of the guest: what is written to it goes to a command of the host.
//!
//! Programs of 2.1 print by `lpr`, which leaves files for a daemon.  Where no `lpd` runs in the guest, `lpr` is a script
//! that only this run sees, first on the PATH: it writes to /dev/lpt0, and that is the command's standard input.  Where one
//! runs the script gives way to the root's own lpr, and the queue is the guest's business (lpq, lprm, lpc); its printer is
//! /dev/lpt0 where /etc/printcap says so (`bsd21 doctor --fix` writes one).  All that a run prints is one job.
//!
//! Must not know what is printed.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use super::{Failure, status};
use crate::machine::Builder;

/// Where the guest sees the script.
const DIRECTORY: &str = "/usr/bsd21";
/// Options with a value are taken with it; the others say nothing here.  Whether lpd lives a signal tells that nobody heeds
/// (SIGURG): kill(1) of older systems has no 0.
const LPR: &str = "#!/bin/sh
if [ -r /var/spool/output/lpd.lock ] && kill -16 `cat /var/spool/output/lpd.lock` 2>/dev/null; then
\texec /usr/bin/lpr ${1+\"$@\"}
fi
while [ $# -gt 0 ]; do
\tcase \"$1\" in
\t-[PTCJUiw#1234]) shift; [ $# -gt 0 ] && shift ;;
\t-?*) shift ;;
\t*) break ;;
\tesac
done
exec /bin/cat ${1+\"$@\"} > /dev/lpt0
";

/// A command that prints.
pub(super) struct Printer {
    command: OsString,
    child: Child,
    input: Option<OwnedFd>,
}

impl Printer {
    /// Starts the command.
    pub(super) fn start(command: OsString) -> Result<Self, Failure> {
        let spawned = Command::new("/bin/sh").arg("-c").arg(&command).stdin(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| {
            Failure::usage(format!("--printer {}: {}", command.to_string_lossy(), status::plain(&e)))
        })?;
        let input = child.stdin.take().map(OwnedFd::from);
        Ok(Self { command, child, input })
    }

    /// Gives the guest the printer and the script; `path` is the guest's PATH.
    pub(super) fn lend(&mut self, builder: Builder, path: &str) -> Builder {
        let Some(input) = self.input.take() else { return builder };
        let script = format!("{DIRECTORY}/lpr");
        builder.printer(input).lend(script, LPR).env("PATH", format!("{DIRECTORY}:{path}"))
    }

    /// Waits for the command, once the guest is gone.
    pub(super) fn finish(mut self) {
        self.input = None;
        match self.child.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let command = self.command.to_string_lossy();
                super::complain(&format_args!("--printer {command}: {status}"));
            }
            Err(error) => super::complain(&format_args!("--printer: {}", status::plain(&error))),
        }
    }
}
