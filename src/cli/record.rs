//! `bsd21 record` and `bsd21 replay`: a run whose doors to the host are written down, and the same run without the host.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;

use super::host::HostOptions;
use super::processor::ProcessorOptions;
use super::run::{MachineOptions, RunOptions, catch_signals, finish};
use super::{Failure, GuestOptions, complain, status};
use syscalls::signal::Signal;
use syscalls::sysent;

use crate::host::tape::Shown;
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Observer};
use crate::kernel::proc::ProcId;
use crate::machine::debug::{Stop, Stops};
use crate::machine::{Builder, Ended, Machine};
use crate::replay::{self, Recording, RecordingError, Verdict, Where};

/// Records a run.
#[derive(Clone, Debug, Args)]
pub(super) struct Record {
    /// The recording, a new file.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Put the programs and files that the run reads into the recording, so that it can be played where they are not.
    #[arg(long)]
    pack: bool,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    processor: ProcessorOptions,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

impl Record {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        self.guest.is_recordable()?;
        if self.host.terminal.is_asked() {
            return Err(Failure::usage(
                "--attach: what others ask of a machine is not recorded: leave it out",
            ));
        }
        let guest = self.guest.settled()?;
        let (builder, printer) = self.run.describe(&self.machine, &self.host, &guest)?;
        let failed = |error: std::io::Error| {
            Failure::usage(format!("--output {}: {}", self.output.display(), status::plain(&error)))
        };
        let counted = self.machine.is_virtual();
        let (builder, writing) =
            replay::record(builder, &self.output, counted, self.pack, self.host.kills_on_exit())
                .map_err(failed)?;
        let mut machine = self.machine.boot(builder)?;
        self.processor.apply(&mut machine);
        self.host.watch(&mut machine, self.run.quiet);
        let result = finish(&mut machine);
        writing.finish(&machine).map_err(failed)?;
        let result = result.and_then(|ended| {
            self.run.report(&machine, &guest, ended);
            self.processor.report(&machine);
            status::of_run(ended)
        });
        drop(machine);
        if let Some(printer) = printer {
            printer.finish();
        }
        result
    }
}

/// Plays a recording.
#[derive(Clone, Debug, Args)]
pub(super) struct Replay {
    /// Show nothing of what the run writes.
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten)]
    processor: ProcessorOptions,
    /// The recording.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
}

/// Where a recording finds what it needs.
#[derive(Clone, Debug, Args)]
pub(super) struct PlaceOptions {
    /// The directory that was the root, where it lies elsewhere now.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Play the recording although files that the run has read have changed.
    #[arg(long)]
    any_file: bool,
}

impl PlaceOptions {
    /// The same for the library.
    pub(super) fn settle(&self, shows: bool) -> Where {
        let shows = shows.then(Shown::default);
        Where { root: self.root.clone(), any_file: self.any_file, shows }
    }
}

/// The recording that stands in the place of a program, if one does, and where it finds what it needs: for every command
/// that looks at runs.
pub(super) fn in_place_of(guest: &GuestOptions, shows: bool) -> Result<Option<(Recording, Where)>, Failure> {
    let [only] = guest.command.as_slice() else { return Ok(None) };
    let path = Path::new(only);
    if !replay::is_recording(path) {
        return Ok(None);
    }
    let place = PlaceOptions { root: guest.root.clone(), any_file: false };
    Ok(Some((Recording::open(path)?, place.settle(shows))))
}

/// Says what has come of a recording that was played; gives the exit status.
pub(super) fn judge(verdict: Verdict, instructions: u64) -> u8 {
    let (what, status) = match verdict {
        Verdict::Equal => ("equal".to_owned(), 0),
        Verdict::CutOff => ("equal up to there: the recording was cut off".to_owned(), 1),
        Verdict::Differs(difference) => (format!("different: {difference}"), 1),
    };
    complain(&format_args!("replayed {instructions} instructions, {what}"));
    status
}

impl From<RecordingError> for Failure {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Start(error) => error.into(),
            other => Self::usage(other.to_string()),
        }
    }
}

impl Replay {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let recording = Recording::open(&self.recording)?;
        let mut machine = recording.machine(&self.place.settle(!self.quiet))?;
        self.processor.apply(&mut machine);
        let verdict = recording.play(&mut machine);
        let instructions = machine.instructions();
        self.processor.report(&machine);
        drop(machine);
        Ok(judge(verdict, instructions))
    }
}

/// Goes on with a run that was left.
#[derive(Clone, Debug, Args)]
pub(super) struct Resume {
    /// Go on behind so many instructions of the recording, instead of where it was left or cut off.
    #[arg(long, value_name = "INSTRUCTIONS")]
    at: Option<u64>,
    /// Say nothing of what could not go on.
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten)]
    processor: ProcessorOptions,
    /// What run --snapshot-at, run --snapshot-on or record has written.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
}

impl Resume {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let recording = Recording::open(&self.recording)?;
        let mut machine = recording.machine(&self.place.settle(false))?;
        self.processor.apply(&mut machine);
        recording.run_to(&mut machine, self.at)?;
        for lost in machine.go_live(true) {
            if !self.quiet {
                complain(&lost);
            }
        }
        let result = finish(&mut machine).and_then(|ended| {
            if !self.quiet {
                super::run::report(&machine);
            }
            self.processor.report(&machine);
            status::of_run(ended)
        });
        machine.abandon();
        result
    }
}

/// Where a run is left, to be gone on with.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Snapshot")]
pub(super) struct SnapshotOptions {
    /// Leave the run behind so many instructions of all processes together; bsd21 resume goes on with it.
    #[arg(long, value_name = "INSTRUCTIONS", requires = "snapshot", conflicts_with = "snapshot_on")]
    snapshot_at: Option<u64>,
    /// Leave the run where a signal of this name is sent to a process, or a system call of this name is made.
    #[arg(long, value_name = "SIGNAL|CALL", requires = "snapshot", value_parser = parse_event)]
    snapshot_on: Option<Awaited>,
    /// The snapshot, a new file.
    #[arg(short = 'o', long = "output", value_name = "FILE", id = "snapshot")]
    output: Option<PathBuf>,
}

/// What a run is left on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    Signal(u32),
    Call(u32),
}

fn parse_event(text: &str) -> Result<Awaited, String> {
    let upper = text.to_ascii_uppercase();
    let named = [upper.clone(), format!("SIG{upper}")];
    if let Some(signal) = named.iter().find_map(|name| Signal::from_name(name)) {
        return Ok(Awaited::Signal(signal.raw()));
    }
    sysent::lookup(text)
        .map(|row| Awaited::Call(row.code.into()))
        .ok_or_else(|| format!("{text}: neither a signal nor a system call of 2.1"))
}

/// Sets a flag when what is awaited happens.
#[derive(Debug)]
struct Trigger {
    awaited: Awaited,
    flag: Rc<Cell<bool>>,
}

impl Observer for Trigger {
    fn event(&mut self, _: &Kernel, _: ProcId, _: u64, event: &Event) {
        let happens = match (event, self.awaited) {
            (Event::Enter(call), Awaited::Call(number)) => call.number == number,
            (
                Event::SignalPosted { signal } | Event::SignalDelivered { signal, .. },
                Awaited::Signal(number),
            ) => *signal == number,
            _ => false,
        };
        if happens {
            self.flag.set(true);
        }
    }
}

impl SnapshotOptions {
    /// The file, if a snapshot is wanted.
    pub(super) fn file(&self) -> Result<Option<&Path>, Failure> {
        match &self.output {
            Some(_) if self.snapshot_at.is_none() && self.snapshot_on.is_none() => Err(Failure::usage(
                "--output needs --snapshot-at or --snapshot-on; bsd21 record records a whole run",
            )),
            output => Ok(output.as_deref()),
        }
    }

    /// Runs a machine up to the place; the end of the run, where that comes first.
    fn run(&self, machine: &mut Machine) -> Option<Ended> {
        if let Some(awaited) = self.snapshot_on {
            let flag = Rc::new(Cell::new(false));
            machine.observe(Box::new(Trigger { awaited, flag: Rc::clone(&flag) }));
            machine.stop_when(flag);
        }
        let stops = Stops { at: self.snapshot_at, ..Stops::default() };
        loop {
            match machine.run_until(&stops) {
                Stop::Ended(ended) => return Some(ended),
                Stop::Count => return None,
                _ => {}
            }
        }
    }
}

/// Records a run up to where it is left.
pub(super) fn snapshot(
    options: &SnapshotOptions,
    to: &Path,
    builder: Builder,
    counted: bool,
    kill_on_exit: bool,
    boot: impl FnOnce(Builder) -> Result<Machine, Failure>,
) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("--output {}: {}", to.display(), status::plain(&error)))
    };
    let (builder, writing) = replay::record(builder, to, counted, false, kill_on_exit).map_err(failed)?;
    let mut machine = boot(builder)?;
    catch_signals(&mut machine)?;
    if let Some(ended) = options.run(&mut machine) {
        drop(writing);
        let _ = std::fs::remove_file(to);
        complain(&format_args!("{}: not made: the run has ended before", to.display()));
        return status::of_run(ended);
    }
    writing.leave(&mut machine).map_err(failed)?;
    complain(&format_args!(
        "left at instruction {}; bsd21 resume {} goes on",
        machine.instructions(),
        to.display()
    ));
    machine.abandon();
    Ok(0)
}
