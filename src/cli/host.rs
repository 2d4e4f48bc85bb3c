//! The guest as a program of the host: what it inherits, and how its run ends.
//!
//! Must not know how the host tells what is inherited.

use std::ffi::OsString;

use clap::Args;

use super::printer::Printer;
use super::terminal::TerminalOptions;
use super::{Failure, GuestOptions};
use crate::host::inherit;
use crate::machine::{Builder, Display, Ended, Machine};
use syscalls::signal::Signal;

/// What `run` and `trace` have from the host besides options of the guest.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Host")]
pub(super) struct HostOptions {
    /// Start the program as a fresh login would, whatever bsd21 itself was started with: no ignored signals,
    /// umask 022, nice value 0, descriptors 0 to 2.  --clock virtual does so, too.
    #[arg(long)]
    clean: bool,
    /// Mode bits that new files of the guest do not get, instead of bsd21's own.
    #[arg(long, value_name = "MODE", value_parser = parse_umask)]
    umask: Option<u16>,
    /// Pass this open descriptor on, and above 2 no others than those named so; without it all are passed
    /// that are no directories and no files of the host's kernel.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    fd: Vec<u32>,
    /// Lend the X display of this host that DISPLAY names: its socket, with the host's own cookie.
    #[arg(long)]
    x11: bool,
    /// Let the guest connect to sockets of this host by their names in --root and --mount, as far as the user of bsd21
    /// and the guest's own rights allow: what listens there is reached.
    #[arg(long)]
    host_sockets: bool,
    /// What the guest prints, by lpr or to /dev/lpt0, is the standard input of this command of the host.
    #[arg(long, value_name = "COMMAND")]
    printer: Option<OsString>,
    /// End the run when the first program ends: whoever lives on is killed.
    #[arg(long)]
    kill_on_exit: bool,
    #[command(flatten)]
    pub(super) terminal: TerminalOptions,
}

fn parse_umask(text: &str) -> Result<u16, String> {
    let mask = u16::from_str_radix(text, 8).ok().filter(|&mask| mask <= 0o777);
    mask.ok_or_else(|| "expected an octal number up to 777, such as 022".to_owned())
}

impl HostOptions {
    /// Describes what the program inherits; a run that can be repeated has nothing of the host.
    pub(super) fn apply(&self, mut builder: Builder, repeatable: bool) -> Result<Builder, Failure> {
        builder = self.terminal.apply(builder, repeatable)?;
        let clean = self.clean || repeatable;
        let passed = inherit::descriptors();
        if let Some(wrong) = self.fd.iter().find(|fd| !passed.contains(fd)) {
            return Err(Failure::usage(format!(
                "--fd {wrong}: not an open file, pipe, socket or terminal that can be passed"
            )));
        }
        if self.x11 {
            if repeatable {
                return Err(Failure::usage("--x11 cannot be repeated: leave out --clock virtual"));
            }
            let name = std::env::var("DISPLAY").unwrap_or_default();
            let display = Display::named(&name).ok_or_else(|| {
                Failure::usage(format!(
                    "--x11: DISPLAY {name:?} names no X display of this host, such as :0 with its socket \
                     /tmp/.X11-unix/X0"
                ))
            })?;
            builder = builder.env("DISPLAY", format!(":{}", display.number)).display(display);
        }
        if self.host_sockets {
            if repeatable {
                return Err(Failure::usage("--host-sockets cannot be repeated: leave out --clock virtual"));
            }
            builder = builder.host_sockets();
        }
        if !repeatable && !self.terminal.has_own() {
            builder = builder.as_job();
        }
        if !clean {
            builder = builder.inherit();
        }
        if let Some(umask) = self.umask {
            builder = builder.umask(umask);
        }
        let mut others = self.fd.clone();
        if others.is_empty() && !clean {
            others = passed;
        }
        others.sort_unstable();
        others.dedup();
        Ok(builder.descriptors(others))
    }

    /// Whether the run ends with its first program.
    pub(super) fn kills_on_exit(&self) -> bool {
        self.kill_on_exit
    }

    /// The printer, if one is wanted, and the machine that has it.
    pub(super) fn printer(
        &self,
        builder: Builder,
        guest: &GuestOptions,
        repeatable: bool,
    ) -> Result<(Builder, Option<Printer>), Failure> {
        let Some(command) = &self.printer else { return Ok((builder, None)) };
        if repeatable {
            return Err(Failure::usage("--printer cannot be repeated: leave out --clock virtual"));
        }
        let environment = guest.environment();
        let path = environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
        let path = path.map_or(String::new(), |path| String::from_utf8_lossy(path).into_owned());
        let mut printer = Printer::start(command.clone())?;
        Ok((printer.lend(builder, &path), Some(printer)))
    }

    /// Tells a machine how its run ends, and has it say what it waits for.
    pub(super) fn watch(&self, machine: &mut Machine, quiet: bool) {
        if self.kill_on_exit {
            machine.kill_on_exit();
        }
        if !quiet {
            machine.tell(super::complain);
        }
    }
}

/// One line about the signal that ended the program, as a shell says it: not of one that the user's own keys
/// sent, nor of a pipe that nobody reads any more.
pub(super) fn report_signal(machine: &Machine, program: &std::ffi::OsStr, ended: Ended) {
    let Ended::Signaled(number) = ended else { return };
    let Some(signal) = Signal::from_raw(number) else { return };
    if signal == Signal::SIGPIPE || machine.ended_by_keys(number) {
        return;
    }
    let program = program.as_encoded_bytes().escape_ascii();
    super::complain(&format_args!("{program}: {} (signal {number})", signal.message()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_umask_is_octal() {
        assert_eq!(parse_umask("077"), Ok(0o77));
        assert!(["8", "1000", "-1", ""].into_iter().all(|text| parse_umask(text).is_err()));
    }
}
