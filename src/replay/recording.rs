//! A recording that was made: what is in it, and the machine that plays it.
//!
//! Must not know who looks on.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::{self, Packed};
use super::piece::{self, Kind};
use super::writing::Ending;
use crate::host::look;
use crate::host::tape::{Difference, Player, Shown, Tape};
use crate::host::temporary::{self, Directory};
use crate::kernel::vfs::reads::Read;
use crate::machine::debug::{Stop, Stops};
use crate::machine::{Builder, Ended, Limit, Machine, Plan, StartError};

/// How a run has ended that was left.
pub(super) const LEFT: u64 = 0x300;

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("{}: {}", path.display(), plain(error))]
    File {
        /// The recording, or what it needs.
        path: PathBuf,
        /// What the host says.
        error: io::Error,
    },
    /// It is something else.
    #[error("{}: not a recording of bsd21", .0.display())]
    Other(PathBuf),
    /// It is one of another version.
    #[error("{}: a recording of format {version}, which this bsd21 does not know", path.display())]
    Version {
        /// The recording.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
    /// A byte of it is not what it was.
    #[error("{}: damaged at byte {at}", path.display())]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// Where the piece begins that is not whole.
        at: usize,
    },
    /// A file that the run has read is another one now.
    #[error("{0}; --any-file plays the recording all the same")]
    Changed(String),
    /// The machine cannot be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It is not one to go on with.
    #[error("{}: {why}", path.display())]
    Unfit {
        /// The recording.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Where a recording finds what it needs, and what of it is shown.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// The root, where it lies elsewhere now.
    pub root: Option<PathBuf>,
    /// Files that have changed do not matter.
    pub any_file: bool,
    /// Who sees what the run writes, if somebody does.
    pub shows: Option<Shown>,
}

/// A recording.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    plan: Plan,
    events: Rc<[u8]>,
    reads: Vec<Read>,
    /// What was packed, laid out.
    laid_out: Option<Directory>,
    ending: Option<Ending>,
}

/// Most bytes of a recording.
const LARGEST: u64 = 1 << 30;

/// What has come of playing a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same as when it was recorded.
    Equal,
    /// The same, up to the place where the recording was cut off.
    CutOff,
    /// Another run.
    Differs(Difference),
}

impl Recording {
    /// Reads a recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let failed = |error| RecordingError::File { path: path.to_owned(), error };
        let file = look::open_named(path).map_err(failed)?;
        let bytes = look::whole(&file, LARGEST).map_err(failed)?;
        let magic = super::MAGIC;
        match bytes.get(..magic.len()) {
            Some(first) if first == magic => {}
            Some(first) if first[..6] == magic[..6] && first[7] == magic[7] => {
                return Err(RecordingError::Version { path: path.to_owned(), version: first[6] });
            }
            _ => return Err(RecordingError::Other(path.to_owned())),
        }
        let damaged = |at| RecordingError::Damaged { path: path.to_owned(), at };
        let (pieces, _) = piece::read(&bytes).map_err(|piece::Damaged { at }| damaged(at))?;
        let (mut plan, mut events, mut reads, mut packed) = (None, Vec::new(), Vec::new(), Vec::new());
        let mut ending = None;
        for (kind, content) in pieces {
            let whole = match kind {
                Kind::Plan => {
                    plan = serde_json::from_slice::<Plan>(&content).ok();
                    plan.is_some()
                }
                Kind::Events => {
                    events.extend(content);
                    true
                }
                Kind::Files => files::get(&content).map(|more| reads.extend(more)).is_some(),
                Kind::Packed => files::unpack(&content).map(|one| packed.push(one)).is_some(),
                Kind::End => {
                    ending = Ending::of(&content);
                    ending.is_some()
                }
            };
            if !whole {
                return Err(damaged(0));
            }
        }
        let unfit = |why: &str| RecordingError::Unfit { path: path.to_owned(), why: why.to_owned() };
        let plan = plan.ok_or_else(|| unfit("it was cut off before the program began"))?;
        let laid_out = match packed.is_empty() {
            true => None,
            false => Some(lay_out(&packed).map_err(failed)?),
        };
        Ok(Self { path: path.to_owned(), plan, events: events.into(), reads, laid_out, ending })
    }

    /// What was recorded.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it ends where its run was left, to be gone on with.
    pub fn is_snapshot(&self) -> bool {
        matches!(self.ending, Some(Ending::Snapshot { .. }))
    }

    /// Which directories have moved: from where to where.
    fn moves(&self, place: &Where) -> Vec<(PathBuf, PathBuf)> {
        let mut moves = Vec::new();
        if let (Some(then), Some(now)) = (self.plan.root(), &place.root) {
            let now = now.canonicalize().unwrap_or_else(|_| now.clone());
            // The files that were read have names of the host without links.
            moves.extend(then.canonicalize().ok().map(|then| (then, now.clone())));
            moves.push((then, now));
        }
        if let Some(laid_out) = &self.laid_out {
            moves.push((PathBuf::from("/"), laid_out.path().to_owned()));
        }
        moves
    }

    /// The path of a file of the run at this host now.
    pub fn path_now(&self, place: &Where, then: &Path) -> PathBuf {
        let found = self.moves(place).into_iter().find_map(|(from, to)| {
            let below = then.strip_prefix(&from).ok()?;
            Some(to.join(below))
        });
        found.unwrap_or_else(|| then.to_owned())
    }

    /// The builder of a machine that plays the recording; its files have been looked at.
    pub fn builder(&self, place: &Where) -> Result<Builder, RecordingError> {
        let moves = self.moves(place);
        if !place.any_file {
            for read in &self.reads {
                files::check(read, &self.path_now(place, &read.path)).map_err(RecordingError::Changed)?;
            }
        }
        let player = Player::new(Rc::clone(&self.events), place.shows.clone());
        Ok(self.plan.builder(&moves, Tape::play(player, self.plan.is_counted())))
    }

    /// A machine that plays the recording.
    pub fn machine(&self, place: &Where) -> Result<Machine, RecordingError> {
        self.finish(self.builder(place)?)
    }

    /// The machine of a builder that somebody has added to.
    pub fn finish(&self, builder: Builder) -> Result<Machine, RecordingError> {
        let mut machine = builder.build()?;
        if self.plan.kills_on_exit() {
            machine.kill_on_exit();
        }
        Ok(machine)
    }

    /// Plays a recording to its end; says what has come of it.
    pub fn play(&self, machine: &mut Machine) -> Verdict {
        if self.is_snapshot() {
            return self.run_up(machine);
        }
        let ended = machine.run().ended;
        self.verdict(machine, ended)
    }

    /// What has come of a machine that has played the recording.
    pub fn verdict(&self, machine: &Machine, ended: Ended) -> Verdict {
        match machine.kernel().tape.difference() {
            Some(difference) => Verdict::Differs(difference),
            None if ended == Ended::Limit(Limit::Recording) || self.ending.is_none() => Verdict::CutOff,
            None => Verdict::Equal,
        }
    }

    /// Plays up to the place where the run was left, and looks whether it is the same machine there.
    pub fn run_up(&self, machine: &mut Machine) -> Verdict {
        let Some(Ending::Snapshot { at, state }) = self.ending else { return Verdict::CutOff };
        let stops = Stops { at: Some(at), ..Stops::default() };
        let ended = loop {
            match machine.run_until(&stops) {
                Stop::Ended(ended) => break Some(ended),
                Stop::Count => break None,
                // They get their signals, and whoever sleeps is woken.
                _ => {}
            }
        };
        machine.show_written();
        machine.leave_tape(LEFT);
        if let Some(difference) = machine.kernel().tape.difference() {
            return Verdict::Differs(difference);
        }
        let differs = |what: &str| {
            let pid = machine.interrupted().unwrap_or(0);
            Verdict::Differs(Difference { instructions: machine.instructions(), pid, what: what.to_owned() })
        };
        match ended {
            Some(_) => differs("the run is over before the place where it was left"),
            None if machine.state(true) != state => {
                differs("memory is not what it was when the run was left")
            }
            None => Verdict::Equal,
        }
    }

    /// Plays up to a count of instructions, or to where the recording was left or cut off; the run can go on from there.
    pub fn run_to(&self, machine: &mut Machine, at: Option<u64>) -> Result<(), RecordingError> {
        let unfit = |why: String| RecordingError::Unfit { path: self.path.clone(), why };
        let verdict = match (at, self.ending) {
            (None, Some(Ending::Run)) => {
                return Err(unfit(
                    "its run has come to its end: --at says where to go on instead".to_owned(),
                ));
            }
            (None, Some(Ending::Snapshot { .. })) => self.run_up(machine),
            (None, None) => match machine.run().ended {
                ended @ Ended::Limit(Limit::Recording) => self.verdict(machine, ended),
                _ => return Err(unfit("its run comes to its end".to_owned())),
            },
            (Some(at), _) => self.run_to_count(machine, at)?,
        };
        match verdict {
            Verdict::Differs(difference) => Err(unfit(format!("the run is another one: {difference}"))),
            _ => Ok(()),
        }
    }

    fn run_to_count(&self, machine: &mut Machine, at: u64) -> Result<Verdict, RecordingError> {
        let stops = Stops { at: Some(at), ..Stops::default() };
        loop {
            match machine.run_until(&stops) {
                Stop::Ended(ended) => {
                    let why = format!("--at {at}: its run ends at instruction {}", machine.instructions());
                    return match self.verdict(machine, ended) {
                        Verdict::Differs(difference) => Ok(Verdict::Differs(difference)),
                        _ => Err(RecordingError::Unfit { path: self.path.clone(), why }),
                    };
                }
                Stop::Count => return Ok(self.verdict(machine, Ended::Deadlock)),
                _ => {}
            }
        }
    }

    /// The path of the recording.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn lay_out(packed: &[(PathBuf, Packed)]) -> io::Result<Directory> {
    let directory = temporary::directory(&std::env::temp_dir())?;
    files::lay_out(packed, directory.path())?;
    Ok(directory)
}
