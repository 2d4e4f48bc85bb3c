//! `bsd21 profile`: where the instructions of a run go, and what its system calls take.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::host::HostOptions;
use super::processor::ProcessorOptions;
use super::record;
use super::run::{self, MachineOptions};
use super::{Failure, GuestOptions, status};
use crate::machine::{Builder, Ended, Machine};
use crate::profile::{By, Format, Options, Profile};

/// What a run that is counted is made of.
#[derive(Clone, Debug, Args)]
pub(super) struct Counted {
    #[command(flatten)]
    processor: ProcessorOptions,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

/// Counts what a program executes.
#[derive(Clone, Debug, Args)]
pub(super) struct ProfileArgs {
    /// Write the profile to a file [default: standard error].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: FormatName,
    /// What it is about.
    #[arg(long, value_enum, default_value = "function", value_name = "WHAT")]
    by: ByName,
    #[command(flatten)]
    run: Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Tables for people.
    Text,
    /// A line for each path of calls: flamegraph.pl, inferno.
    Folded,
    /// <https://www.speedscope.app>.
    Speedscope,
    /// go tool pprof.
    Pprof,
    /// callgrind_annotate, kcachegrind.
    Callgrind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ByName {
    /// Functions and paths of calls.
    Function,
    /// Single instructions.
    Address,
    /// Who calls whom.
    Call,
    /// Functions of each process.
    Process,
}

impl Counted {
    /// Runs the program, or what else is given in its place, and has a profile count it.
    pub(super) fn run(&self, profile: &Profile) -> Result<Ended, Failure> {
        if let Some((recording, place)) = record::in_place_of(&self.guest, true)? {
            let builder = recording.builder(&place)?.observer(profile.observer());
            let mut machine = recording.finish(builder)?;
            self.processor.apply(&mut machine);
            profile.watch(&mut machine);
            let verdict = recording.play(&mut machine);
            return Ok(Ended::Exited(record::judge(verdict, machine.instructions())));
        }
        let counted =
            Self { guest: self.guest.settled()?, machine: self.machine.repeatable(), ..self.clone() };
        counted.count(profile)
    }

    fn count(&self, profile: &Profile) -> Result<Ended, Failure> {
        let builder = self.guest.zoned(self.guest.builder()?, self.machine.is_virtual());
        let (builder, printer) = self.host.printer(builder, &self.guest, self.machine.is_virtual())?;
        let mut machine = self.machine(builder.observer(profile.observer()), profile)?;
        run::announce(&self.guest, false);
        self.host.watch(&mut machine, false);
        let ended = run::finish(&mut machine);
        if ended.is_ok() {
            run::report(&machine);
        }
        drop(machine);
        if let Some(printer) = printer {
            printer.finish();
        }
        ended
    }

    /// The one place where the machine is made whose instructions are counted.
    fn machine(&self, builder: Builder, profile: &Profile) -> Result<Machine, Failure> {
        let mut machine = self.machine.build(builder, &self.host)?;
        self.processor.apply(&mut machine);
        profile.watch(&mut machine);
        Ok(machine)
    }
}

impl ProfileArgs {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if self.format == FormatName::Pprof && self.output.is_none() && io::stderr().is_terminal() {
            return Err(Failure::usage("--format pprof is no text: -o FILE"));
        }
        let mut file = self.output.as_deref().map(create).transpose()?;
        let options =
            Options { by_process: self.by == ByName::Process, addresses: self.by == ByName::Address };
        let profile = Profile::new(options);
        let ended = self.run.run(&profile)?;
        let by = match self.by {
            ByName::Function => By::Function,
            ByName::Address => By::Address,
            ByName::Call => By::Call,
            ByName::Process => By::Process,
        };
        let format = match self.format {
            FormatName::Text => Format::Text,
            FormatName::Folded => Format::Folded,
            FormatName::Speedscope => Format::Speedscope,
            FormatName::Pprof => Format::Pprof,
            FormatName::Callgrind => Format::Callgrind,
        };
        let bytes = format.write(&profile.summary(), by);
        put(self.output.as_deref(), file.as_mut(), &bytes)?;
        status::of_run(ended)
    }
}

/// Makes the file for what will be written: what cannot be is said before anything runs.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|e| Failure::usage(format!("{}: {}", path.display(), status::plain(&e))))
}

/// Writes to the file, or to standard error: standard output is the guest's.
pub(super) fn put(path: Option<&Path>, file: Option<&mut File>, bytes: &[u8]) -> Result<(), Failure> {
    let written = match file {
        Some(file) => file.write_all(bytes),
        // Whoever reads a pipe may have seen enough.
        None => io::stderr().lock().write_all(bytes).or(Ok(())),
    };
    written.map_err(|e: io::Error| {
        let name = path.map_or(String::new(), |path| path.display().to_string());
        Failure::usage(format!("{name}: {}", status::plain(&e)))
    })
}
