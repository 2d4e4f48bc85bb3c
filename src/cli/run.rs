//! `bsd21 run` and `bsd21 trace`: build a machine, run it, end as the guest did.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::host::{self, HostOptions};
use super::printer::Printer;
use super::processor::ProcessorOptions;
use super::record::{self, SnapshotOptions};
use super::terminal::host_term;
use super::{Failure, GuestOptions, TraceOptions, missing, running, status};
use crate::capture::case;
use crate::host::signal::Signals;
use crate::install::journal;
use crate::kernel::netinet::bridge::ports::Forward;
use crate::kernel::socket::Network;
use crate::kernel::time::Clock;
use crate::machine::{Builder, Ended, Limits, Machine};
use crate::trace::Tracer;

/// What a run may use, and by which clock.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct MachineOptions {
    /// The guest's clock: the host's (unless told otherwise), or one that counts instructions and makes
    /// runs repeatable.
    #[arg(long, value_enum, value_name = "CLOCK")]
    clock: Option<ClockName>,
    /// With --clock virtual: what the guest's random numbers begin with (0 unless given).
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What the guest's internet sockets reach: each other, nothing, or what the host reaches.
    #[arg(long, value_enum, default_value = "loopback", value_name = "NET")]
    net: NetName,
    /// End the run after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    max_wall: Option<Duration>,
    /// End the run when its processes have used this many seconds of processor time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    max_cpu: Option<Duration>,
    /// End the run when it needs more processes than this at one time.
    #[arg(long, value_name = "N")]
    max_procs: Option<usize>,
    /// End the run when it needs more memory than this in all (K, M, G: powers of 1024; 512M unless given).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_mem: Option<u64>,
    /// End the run when it writes more than this to standard output, standard error and terminals.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_output: Option<u64>,
    /// Number of pseudo terminals (16 unless given).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    ptys: Option<u16>,
    /// Number of tunnel interfaces, tun0 and so on, whose packets the guest's programs read and write at /dev/tun0.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    tun: Option<u16>,
    /// Write core files (PROGRAM.core) to this directory of the host; without it there are none.
    #[arg(long, value_name = "DIR")]
    core_dir: Option<PathBuf>,
    /// Record the packets of the guest's interfaces in this file, for tcpdump and Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ClockName {
    /// The host's clocks.
    Host,
    /// Retired instructions.
    Virtual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum NetName {
    /// The guest's own loopback interface.
    Loopback,
    /// A machine without a configured interface.
    None,
    /// The host's network, as far as its user may use it: TCP and UDP.
    Host,
}

pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

fn parse_forward(text: &str) -> Result<Forward, String> {
    let (ports, udp) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), false),
        Some((ports, "udp")) => (ports, true),
        Some(_) => return Err("expected /tcp or /udp behind the ports".to_owned()),
    };
    let number = |text: &str| text.parse().ok().filter(|&port: &u16| port != 0);
    let both = ports.split_once(':').and_then(|(host, guest)| Some((number(host)?, number(guest)?)));
    let (host, guest) =
        both.ok_or_else(|| "expected two ports, such as 8023:23 or 8069:69/udp".to_owned())?;
    Ok(Forward { host, guest, udp })
}

pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "expected a number of bytes, such as 64000000 or 64M".to_owned())
}

impl MachineOptions {
    /// Whether the clock is one that makes runs repeatable.
    pub(super) fn is_virtual(&self) -> bool {
        self.clock == Some(ClockName::Virtual)
    }

    /// The same with a clock that makes runs repeatable, unless another one is wanted, or the host's network.
    pub(super) fn repeatable(&self) -> Self {
        let clock = self.clock.or((self.net != NetName::Host).then_some(ClockName::Virtual));
        Self { clock, ..self.clone() }
    }

    /// The machine, ready to run.
    pub(super) fn build(&self, builder: Builder, host: &HostOptions) -> Result<Machine, Failure> {
        let mut machine = self.finish(host.apply(builder, self.is_virtual())?)?;
        host.terminal.listen(&mut machine)?;
        Ok(machine)
    }

    /// The machine of a builder that knows already what the program inherits.
    pub(super) fn finish(&self, builder: Builder) -> Result<Machine, Failure> {
        self.boot(self.apply(builder)?)
    }

    /// The machine of a builder that knows everything.
    pub(super) fn boot(&self, builder: Builder) -> Result<Machine, Failure> {
        let mut machine = super::log::listen(builder).build()?;
        if let Some(directory) = &self.core_dir {
            machine
                .keep_cores(directory)
                .map_err(|e| Failure::usage(format!("--core-dir {}: {e}", directory.display())))?;
        }
        if let Some(path) = &self.pcap {
            File::create(path)
                .and_then(|file| machine.record_packets(Box::new(file)))
                .map_err(|e| Failure::usage(format!("--pcap {}: {e}", path.display())))?;
        }
        Ok(machine)
    }

    /// Lets the host's terminal decide what the guest's is called, where nobody has said it.
    fn term(&self, builder: Builder, guest: &GuestOptions) -> Builder {
        match host_term().filter(|_| guest.leaves_term_open() && self.clock != Some(ClockName::Virtual)) {
            Some(term) => builder.term(term),
            None => builder,
        }
    }

    /// Writes down in a case what the options say.
    pub(super) fn describe(&self, run: &mut case::Run) -> Result<(), Failure> {
        if self.clock == Some(ClockName::Host) {
            return Err(Failure::usage("a case has a virtual clock: --clock host cannot be recorded"));
        }
        if self.ptys.is_some() {
            return Err(Failure::usage("--ptys cannot be recorded: a case has 16 pseudo terminals"));
        }
        if self.tun.is_some() {
            return Err(Failure::usage("--tun cannot be recorded: a case has lo0 alone"));
        }
        if self.core_dir.is_some() {
            return Err(Failure::usage("--core-dir is a directory of the host, which no case has"));
        }
        if self.pcap.is_some() {
            return Err(Failure::usage("--pcap is a file of the host, which no case has"));
        }
        (run.max_procs, run.max_mem, run.max_output) = (self.max_procs, self.max_mem, self.max_output);
        run.seed = self.seed.unwrap_or(0);
        run.max_wall = self.max_wall.map(|limit| limit.as_secs_f64());
        run.max_cpu = self.max_cpu.map(|limit| limit.as_secs_f64());
        match self.net {
            NetName::Loopback => {}
            NetName::None => run.network = "none".to_owned(),
            NetName::Host => {
                return Err(Failure::usage("--net host: what the network answers cannot be recorded"));
            }
        }
        Ok(())
    }

    fn apply(&self, builder: Builder) -> Result<Builder, Failure> {
        let builder = builder.limits(Limits {
            wall: self.max_wall,
            cpu: self.max_cpu,
            procs: self.max_procs,
            memory: self.max_mem,
            output: self.max_output,
        });
        let builder = match self.ptys {
            Some(count) => builder.ptys(usize::from(count)),
            None => builder,
        };
        let builder = builder.tunnels(self.tun.map_or(0, usize::from));
        let builder = builder.network(match self.net {
            NetName::Loopback => Network::Loopback,
            NetName::None => Network::None,
            NetName::Host => Network::Host,
        });
        if self.net == NetName::Host && self.clock == Some(ClockName::Virtual) {
            return Err(Failure::usage("--net host cannot be repeated: leave out --clock virtual"));
        }
        match (self.clock, self.seed) {
            (Some(ClockName::Virtual), seed) => {
                Ok(builder.clock(Clock::deterministic()).seed(seed.unwrap_or(0)))
            }
            (_, Some(_)) => Err(Failure::usage("--seed needs --clock virtual")),
            (_, None) => Ok(builder),
        }
    }
}

/// What `run` and `record` have besides.
#[derive(Clone, Debug, Args)]
pub(super) struct RunOptions {
    /// Say nothing of the guest: what it asked for and did not get, which signal ended it, what the run waits
    /// for.
    #[arg(short = 'q', long = "quiet")]
    pub(super) quiet: bool,
    /// With --net host: what the guest binds to port GUEST is at the host's port HOST; a reserved port that the host's
    /// user may not have is another one there anyway.
    #[arg(long, value_name = "HOST:GUEST[/udp]", value_parser = parse_forward)]
    port: Vec<Forward>,
}

impl RunOptions {
    /// The machine that all options together describe, and its printer.
    pub(super) fn describe(
        &self,
        machine: &MachineOptions,
        host: &HostOptions,
        guest: &GuestOptions,
    ) -> Result<(Builder, Option<Printer>), Failure> {
        warn(guest, self.quiet);
        let builder = guest.zoned(machine.term(guest.builder()?, guest), machine.is_virtual());
        if !self.port.is_empty() && machine.net != NetName::Host {
            return Err(Failure::usage(
                "--port says where a port of the guest is at the host: it needs --net host",
            ));
        }
        let builder = self.port.iter().fold(builder, |builder, &forward| builder.forward(forward));
        let (builder, printer) = host.printer(builder, guest, machine.is_virtual())?;
        Ok((machine.apply(host.apply(builder, machine.is_virtual())?)?, printer))
    }

    /// Says how the run has ended, where that is wanted.
    pub(super) fn report(&self, machine: &Machine, guest: &GuestOptions, ended: Ended) {
        if !self.quiet {
            report_end(machine, guest, ended);
            report(machine);
        }
    }
}

/// Runs a program.
#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    snapshot: SnapshotOptions,
    #[command(flatten)]
    processor: ProcessorOptions,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

impl Run {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let guest = self.guest.settled()?;
        let file = self.snapshot.file()?;
        let (builder, printer) = self.run.describe(&self.machine, &self.host, &guest)?;
        if let Some(file) = file {
            guest.is_recordable()?;
            let boot = |builder| {
                let mut machine = self.machine.boot(builder)?;
                self.processor.apply(&mut machine);
                self.host.watch(&mut machine, self.run.quiet);
                Ok(machine)
            };
            let (counted, kill) = (self.machine.is_virtual(), self.host.kills_on_exit());
            return record::snapshot(&self.snapshot, file, builder, counted, kill, boot);
        }
        let mut machine = self.machine.boot(builder)?;
        self.host.terminal.listen(&mut machine)?;
        self.processor.apply(&mut machine);
        announce(&guest, self.run.quiet);
        self.host.watch(&mut machine, self.run.quiet);
        let result = finish(&mut machine).and_then(|ended| {
            self.run.report(&machine, &guest, ended);
            self.processor.report(&machine);
            status::of_run(ended)
        });
        if let Some(printer) = printer {
            drop(machine);
            printer.finish();
        } else {
            machine.abandon();
        }
        result
    }
}

/// Runs a program and shows its system calls.
#[derive(Clone, Debug, Args)]
#[command(mut_arg("command", |program| program.required(false).required_unless_present("running")))]
pub(super) struct Trace {
    /// Show the calls of a machine that runs already: what --attach of run or shell has named.  The run goes on when
    /// this trace ends.
    #[arg(short = 'p', long = "running", value_name = "NAME", conflicts_with = "command")]
    running: Option<String>,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

impl Trace {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if let Some(name) = &self.running {
            return running::show(name, &self.trace);
        }
        let tracer = Tracer::new(self.trace.options()?, self.trace.destination()?);
        if let Some((recording, place)) = record::in_place_of(&self.guest, true)? {
            let builder = recording.builder(&place)?.observer(Box::new(tracer.clone()));
            let mut machine = recording.finish(builder)?;
            let verdict = recording.play(&mut machine);
            self.complete(&tracer, &machine);
            return Ok(record::judge(verdict, machine.instructions()));
        }
        let guest = self.guest.settled()?;
        warn(&guest, self.trace.quiet());
        let builder = guest.zoned(self.machine.term(guest.builder()?, &guest), self.machine.is_virtual());
        let builder = builder.observer(Box::new(tracer.clone()));
        let (builder, printer) = self.host.printer(builder, &guest, self.machine.is_virtual())?;
        let mut machine = self.machine.build(builder, &self.host)?;
        announce(&guest, self.trace.quiet());
        self.host.watch(&mut machine, self.trace.quiet());
        let ended = finish(&mut machine);
        if let Ok(ended) = &ended {
            if !self.trace.quiet() && !self.trace.is_on_stderr() {
                report_end(&machine, &guest, *ended);
            }
            if !self.trace.quiet() {
                report(&machine);
            }
        }
        self.complete(&tracer, &machine);
        drop(machine);
        if let Some(printer) = printer {
            printer.finish();
        }
        ended.and_then(status::of_run)
    }
}

impl Trace {
    /// Writes the rest of a trace.
    fn complete(&self, tracer: &Tracer, machine: &Machine) {
        match tracer.finish(machine.kernel()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                super::complain(&format_args!("{}: {}", self.trace.target(), status::plain(&error)));
            }
            // Whoever reads a pipe may have seen enough.
            _ => {}
        }
    }
}

/// One line about the signal that ended the program.
fn report_end(machine: &Machine, guest: &GuestOptions, ended: Ended) {
    if let Some(program) = guest.command.first() {
        host::report_signal(machine, program, ended);
        if !matches!(ended, Ended::Exited(0) | Ended::Limit(_) | Ended::Rebooted(_))
            && let Some(missing) = missing::of(guest, program)
        {
            super::complain(&missing);
        }
    }
}

/// One line about what an installation has left undone in the root.
fn warn(guest: &GuestOptions, quiet: bool) {
    let unfinished = guest.root().map_or(Vec::new(), |(root, _)| journal::unfinished(&root));
    if !quiet && !unfinished.is_empty() {
        super::complain(&format_args!(
            "{} was not installed to its end; bsd21 install with the same source goes on",
            unfinished.join(", ")
        ));
    }
}

/// One line about where the guest writes, for somebody who looks on.
pub(super) fn announce(guest: &GuestOptions, quiet: bool) {
    if !quiet
        && io::stderr().is_terminal()
        && let Some(changes) = guest.changes_go()
    {
        super::complain(&changes);
    }
}

/// One line about calls that are not served, if there were any.
pub(super) fn report(machine: &Machine) {
    let ledger = &machine.kernel().ledger;
    if !ledger.is_empty() {
        super::complain(&format_args!("not served: {ledger}"));
    }
}

/// Passes the host's signals on to a machine.
pub(super) fn catch_signals(machine: &mut Machine) -> Result<(), Failure> {
    let signals = Signals::catch()
        .map_err(|e| Failure::internal(&anyhow::Error::new(e).context("cannot catch signals")))?;
    machine.pass_on(signals);
    Ok(())
}

/// Runs a machine to its end, with the host's signals passed on.
pub(super) fn finish(machine: &mut Machine) -> Result<Ended, Failure> {
    catch_signals(machine)?;
    Ok(machine.run().ended)
}
