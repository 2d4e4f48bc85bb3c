//! One run of a case.
//!
//! The guest's root cannot be changed; its writable files are a copy in a directory that lives as long as the
//! run.  Must not know what the run is compared with.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::case::{self, Case, CaseError, End, FileState};
use super::chain::Chain;
use super::content::{Fingerprint, Text};
use super::image::{Cache, Places};
use super::keys::{self, Step};
use super::live::Recorder;
use super::observer::Listener;
use super::player::{Player, Shown, Watched};
use super::tree;
use crate::cpu;
use crate::host::door::Door;
use crate::host::signal::Signals;
use crate::host::{look, memory, temporary};
use crate::kernel::socket::Network;
use crate::kernel::time::{Clock, SECOND_NS};
use crate::kernel::vfs::{Content, Vtype, Walked};
use crate::machine::{Ended, Limit, Limits, Machine, Mount, StartError, Stdio};
use crate::trapframe::fpu::INITIAL_CONTROL;

/// Most bytes of what is typed.
const LARGEST_KEYS: u64 = 16 << 20;

/// What is wanted of a run.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The text of these calls.
    pub text: Option<Range<u64>>,
    /// Time that the run may take on the host.
    pub max_wall: Option<Duration>,
    /// Set from outside when the run shall be given up.
    pub cancel: Option<Arc<AtomicBool>>,
    /// How the processor works.
    pub processors: cpu::Options,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Observed {
    /// How it ended.
    pub ended: End,
    /// Instructions.
    pub instructions: u64,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// What was shown at the terminal, if there was one.
    pub shown: Option<Shown>,
    /// The calls.
    pub chain: Chain,
    /// The text of the calls that were wanted.
    pub text: Vec<String>,
    /// What the last of these is about.
    pub about: Option<Vec<u8>>,
    /// Images that were used, by their paths in the guest.
    pub images: Vec<case::Image>,
    /// Files that are new or changed.
    pub files: Vec<FileState>,
    /// Bytes of the regular ones among them.
    pub contents: BTreeMap<Text, Vec<u8>>,
    /// Files that are gone.
    pub removed: Vec<Text>,
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The case's own files.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The program did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The host's time was over.
    #[error("{0}")]
    Limit(Limit),
    /// The host did not do what it must.
    #[error("{0}")]
    Host(String),
}

/// Runs the case in a directory.
pub fn replay(
    case: &Case,
    directory: &Path,
    places: &Places,
    wanted: &Wanted,
    cache: &Cache,
) -> Result<Observed, ReplayError> {
    let host =
        |error: std::io::Error| ReplayError::Host(format!("cannot make a temporary directory: {error}"));
    let work = temporary::directory(&memory::directory()).map_err(host)?;
    let files = work.path().join(case::FILES);
    fs::create_dir(&files).map_err(host)?;
    let inputs = directory.join(case::FILES);
    if fs::symlink_metadata(&inputs).is_ok() {
        tree::copy(&inputs, &files)?;
    }
    let before = tree::look(&files)?;
    let (listener, heard) = Listener::new(wanted.text.clone());
    let mut builder = machine(case, directory, places, &files, wanted.max_wall)?.temporary_in(work.path());
    let watched = match case.terminal {
        Some(terminal) => {
            let (player, watched) = Player::new(terminal.size(), steps(directory)?);
            builder = builder.terminal(Box::new(player));
            Some(watched)
        }
        None => None,
    };
    if let Some(flag) = &wanted.cancel {
        builder = builder.cancel(Arc::clone(flag));
    }
    let mut machine = builder.observer(Box::new(listener)).build()?;
    machine.set_processors(wanted.processors, false);
    let outcome = machine.run();
    let ended = match outcome.ended {
        Ended::Exited(status) => End::Exit(status),
        Ended::Signaled(signal) => End::Signal(signal),
        Ended::Rebooted(how) => End::Reboot(how.bits()),
        Ended::Deadlock => End::Deadlock,
        Ended::Limit(Limit::Cpu(_)) => End::MaxCpu,
        Ended::Limit(Limit::Procs(_)) => End::MaxProcs,
        Ended::Limit(Limit::Memory(_)) if case.run.max_mem.is_some() => End::MaxMem,
        Ended::Limit(Limit::Output(_)) => End::MaxOutput,
        Ended::Limit(limit) => return Err(ReplayError::Limit(limit)),
    };
    let after = look(&mut machine, case)?;
    drop(machine);
    drop(work);
    let heard = heard.take();
    let shown = watched.map(Watched::take);
    let mut observed = Observed {
        ended,
        instructions: outcome.instructions,
        stdout: outcome.stdout,
        stderr: outcome.stderr,
        shown,
        chain: heard.chain,
        text: heard.text,
        about: heard.about,
        images: places.images(heard.images.into_iter(), cache),
        files: Vec::new(),
        contents: BTreeMap::new(),
        removed: before.keys().filter(|path| !after.contains_key(*path)).cloned().collect(),
    };
    for (path, (state, content)) in after {
        if before.get(&path) != Some(&state) {
            if let Some(content) = content {
                observed.contents.insert(path, content);
            }
            observed.files.push(state);
        }
    }
    Ok(observed)
}

/// What is typed at the terminal of the case in a directory.
fn steps(directory: &Path) -> Result<Vec<Step>, CaseError> {
    let bytes = optional(directory, Path::new(case::KEYS), LARGEST_KEYS)?.unwrap_or_default();
    keys::parse(&bytes).map_err(|message| CaseError::Text { path: directory.join(case::KEYS), message })
}

/// A person types at a case's terminal, by the host's clock; gives what they have typed.
pub fn live(
    case: &Case,
    inputs: &Path,
    places: &Places,
    door: Box<dyn Door>,
) -> Result<Vec<Step>, ReplayError> {
    let host =
        |error: std::io::Error| ReplayError::Host(format!("cannot make a temporary directory: {error}"));
    let size = case.terminal.map(case::Terminal::size).unwrap_or_default();
    let work = temporary::directory(&memory::directory()).map_err(host)?;
    let files = work.path().join(case::FILES);
    fs::create_dir(&files).map_err(host)?;
    let given = inputs.join(case::FILES);
    if fs::symlink_metadata(&given).is_ok() {
        tree::copy(&given, &files)?;
    }
    let (recorder, session) = Recorder::new(door, size);
    let builder = machine(case, inputs, places, &files, None)?.temporary_in(work.path());
    let mut machine = builder.clock(Clock::host()).terminal(Box::new(recorder)).build()?;
    let signals =
        Signals::catch().map_err(|error| ReplayError::Host(format!("cannot catch signals: {error}")))?;
    machine.pass_on(signals);
    let outcome = machine.run();
    drop(machine);
    match outcome.ended {
        Ended::Limit(limit @ (Limit::Wall(_) | Limit::Interrupted)) => Err(ReplayError::Limit(limit)),
        _ => Ok(session.steps()),
    }
}

/// The machine of a case, with its writable files in `work`.
///
/// # Errors
///
/// The case's standard input cannot be read.
pub fn machine(
    case: &Case,
    directory: &Path,
    places: &Places,
    work: &Path,
    max_wall: Option<Duration>,
) -> Result<crate::machine::Builder, CaseError> {
    let run = &case.run;
    let seconds = |limit: Option<f64>| limit.and_then(|s| Duration::try_from_secs_f64(s).ok());
    let limits = Limits {
        wall: max_wall.or(seconds(run.max_wall)),
        cpu: seconds(run.max_cpu),
        procs: run.max_procs,
        memory: run.max_mem,
        output: run.max_output,
    };
    let files = Mount { host: work.to_owned(), guest: run.files_at.0.clone(), read_only: false };
    let (name, args) = run.argv.split_first().map_or((&run.program, [].as_slice()), |(n, rest)| (n, rest));
    let mut builder = Machine::builder()
        .root(&places.root)
        .protect_root()
        .mount(files)
        .program(run.program.os())
        .argv0(name.os())
        .args(args.iter().map(Text::os))
        .cwd(run.cwd.as_ref().unwrap_or(&run.files_at).os())
        .clear_env()
        .uid(run.uid)
        .gid(run.gid)
        .fpcw(case.control_word().unwrap_or(INITIAL_CONTROL))
        .clock(Clock::deterministic_from(u64::from(run.start) * SECOND_NS))
        .seed(run.seed)
        .network(if run.network == "none" { Network::None } else { Network::Loopback })
        .limits(limits)
        .stdout(Stdio::Captured)
        .stderr(Stdio::Captured);
    for (guest, host) in &places.mounts {
        builder = builder.mount(Mount { host: host.clone(), guest: guest.0.clone(), read_only: true });
    }
    for guest in &run.scratch {
        builder = builder.scratch(guest.0.clone());
    }
    for variable in &run.env {
        builder = builder.variable(&variable.0);
    }
    match look::open_below(directory, Path::new(case::STDIN)) {
        Ok(file) => Ok(builder.stdin(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(builder.stdin(Stdio::Closed)),
        Err(error) => Err(CaseError::file(&directory.join(case::STDIN), error)),
    }
}

type Found = BTreeMap<Text, (FileState, Option<Vec<u8>>)>;

/// The writable files as the guest sees them after the run.
fn look(machine: &mut Machine, case: &Case) -> Result<Found, ReplayError> {
    let mut found = Found::new();
    let mut failed = None;
    let (uid, gid) = (case.run.uid, case.run.gid);
    let mut note = |walked: Walked| {
        let Walked { path, attr, content } = walked;
        let kind = match attr.kind {
            Vtype::Reg => "file",
            Vtype::Dir => "directory",
            Vtype::Lnk => "symlink",
            Vtype::Fifo => "fifo",
            Vtype::Sock => "socket",
            Vtype::Blk | Vtype::Chr => "device",
        };
        let mut state = FileState {
            path: Text(path.clone()),
            kind: kind.to_owned(),
            mode: format!("{:04o}", attr.mode),
            uid: (attr.uid != uid).then_some(attr.uid),
            gid: (attr.gid != gid).then_some(attr.gid),
            target: None,
            content: None,
        };
        let mut bytes = None;
        match content {
            Content::File(file) => match memory::content(&file) {
                Ok(content) => {
                    state.content = Some(Fingerprint::of(&content));
                    bytes = Some(content);
                }
                Err(error) => failed = Some(error),
            },
            Content::Link(text) => state.target = Some(Text(text)),
            Content::None => {}
        }
        found.insert(Text(path), (state, bytes));
    };
    let walked = machine.kernel_mut().vfs.list_below(&case.run.files_at.0, &mut note);
    match (walked, failed) {
        (Err(errno), _) => {
            Err(ReplayError::Host(format!("cannot read the guest's files: {}", errno.message())))
        }
        (_, Some(error)) => Err(ReplayError::Host(format!("cannot read the guest's files: {error}"))),
        (Ok(()), None) => Ok(found),
    }
}

/// The bytes of a file of a case that may be absent.
pub(super) fn optional(directory: &Path, file: &Path, most: u64) -> Result<Option<Vec<u8>>, CaseError> {
    match case::read(directory, file, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CaseError::file(&directory.join(file), error)),
    }
}
