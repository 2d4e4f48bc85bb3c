//! A machine as it was: copied whole at an instruction, to go on from there as often as wanted.
//!
//! A copy has everything of its own but what never changes; guest memory that neither changes is there once.  What
//! was captured of standard streams belongs to it as well.  Files of the host are not copied: a snapshot holds as
//! long as this thread changes none, and says so.
//!
//! Whoever listens to a machine, debugs it, or asks from outside stays with the original.  Must not know how the
//! kernel is made.  2.1 counterpart: none.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::pulse::Pulse;
use super::{Collector, Machine};
use crate::host::change::changes;
use crate::host::memory;
use crate::host::stdio::{Stream, StreamKind};
use crate::mem;

/// Why there is no snapshot, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Something outside would have to be copied.
    #[error("a snapshot cannot hold {0}")]
    Outside(String),
    /// Files of the host are not what they were.
    #[error("files of the host were changed since the snapshot was taken")]
    Stale,
    /// The host refuses.
    #[error("the host cannot keep a snapshot: {0}")]
    Host(#[from] io::Error),
}

/// A machine at one instruction.
#[derive(Debug)]
pub struct Snapshot {
    /// Asleep; freezing its memory for another copy changes it, although nobody sees that.
    machine: RefCell<Machine>,
    changes: u64,
}

impl Snapshot {
    /// Instructions of all processes up to here.
    pub fn instructions(&self) -> u64 {
        self.machine.borrow().instructions()
    }

    /// About how much memory of the host it has of its own.
    pub fn bytes(&self) -> u64 {
        self.machine.borrow().kernel.memory_apart()
    }

    /// Whether files of the host are what they were: this thread has changed none since.
    pub fn is_fresh(&self) -> bool {
        self.changes == present()
    }

    /// A machine that goes on from here.
    ///
    /// # Errors
    ///
    /// The snapshot is [stale](SnapshotError::Stale), or the host refuses.
    pub fn machine(&self) -> Result<Machine, SnapshotError> {
        if !self.is_fresh() {
            return Err(SnapshotError::Stale);
        }
        let mut machine = self.machine.borrow_mut().twin()?;
        machine.kernel.count_memory(true);
        // What was refused to another machine of this thread was not refused to this one.
        mem::budget::allow(u64::MAX);
        Ok(machine)
    }
}

/// The state of the host's files, as far as this thread changes them.
fn present() -> u64 {
    if mem::files_are_stored_to() {
        // Stores do not pass any door.
        crate::host::change::note();
    }
    changes()
}

impl Machine {
    /// Keeps this machine as it is now.
    ///
    /// # Errors
    ///
    /// Something that leads outside cannot be copied, or the host refuses.
    pub fn snapshot(&mut self) -> Result<Snapshot, SnapshotError> {
        let changes = present();
        Ok(Snapshot { machine: RefCell::new(self.twin()?), changes })
    }

    /// Goes back, or on, to a snapshot of this machine or one that is the same.  Who listens to this machine and
    /// debugs it goes on doing so.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::machine`]; the machine stays as it is then.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let mut machine = snapshot.machine()?;
        machine.kernel.set_observer(self.kernel.take_observer());
        if let (Some(own), Some(then)) = (&self.collector, machine.collector.take()) {
            own.adopt(&then);
        }
        machine.collector = self.collector.take();
        machine.signals = self.signals.take();
        machine.job.teller = self.job.teller.take();
        machine.control = self.control.take();
        machine.debugger = machine.debugger.take().or_else(|| self.debugger.take());
        *self = machine;
        Ok(())
    }

    /// A copy whose memory counts for nobody.
    fn twin(&mut self) -> Result<Self, SnapshotError> {
        if let Some(what) = self.kernel.uncopyable() {
            return Err(SnapshotError::Outside(what.to_owned()));
        }
        let kernel = self.kernel.twin()?;
        let collector = self.collector.as_ref().map(Collector::twin);
        let mut twin = Self {
            kernel: Box::new(kernel),
            slots: self.slots.iter().map(|slot| slot.twin(self.options, &self.library)).collect(),
            first: self.first,
            ended: self.ended,
            meter: self.meter.twin(),
            signals: None,
            requests: self.requests.clone(),
            job: self.job.twin(),
            pulse: Pulse::default(),
            killing: self.killing,
            scratch: self.scratch.clone(),
            lent: self.lent.clone(),
            captured: [None, None, None],
            collector: None,
            instructions: self.instructions,
            debugger: self.debugger.clone(),
            turn: self.turn.clone(),
            traps: self.traps,
            looked: self.looked,
            short_turns: self.short_turns,
            unclaimed: self.unclaimed,
            budget: self.budget,
            code: 0,
            options: self.options,
            library: Rc::clone(&self.library),
            control: None,
            profiled: None,
            sessions: self.sessions.clone(),
            logins: self.logins.clone(),
            notes: self.notes.clone(),
        };
        twin.part_streams(&self.captured)?;
        if let Some(collector) = collector {
            twin.watch(None, Some(collector));
        }
        Ok(twin)
    }

    /// Gives the copy streams of its own: what was captured, and an offset in what is read.
    fn part_streams(&mut self, captured: &[Option<OwnedFd>; 3]) -> Result<(), SnapshotError> {
        let mut files = Vec::new();
        for (file, copy) in captured.iter().zip(&mut self.captured) {
            let Some(file) = file else { continue };
            let own = memory::file(&memory::content(file)?)?;
            files.push((memory::identity(file)?, own.try_clone()?));
            *copy = Some(own);
        }
        self.kernel.change_streams(|stream| {
            let host = |error: crate::host::error::HostError| io::Error::from(error.0);
            let stat = stream.stat().map_err(host)?;
            let file = files.iter().find(|(identity, _)| *identity == (stat.dev, stat.ino));
            *stream = match file {
                Some((_, file)) => stream.over(file.try_clone()?).map_err(host)?,
                None if stream.is_kept() => stream.copied().map_err(host)?,
                None if stream.kind == StreamKind::Null => return Ok(()),
                None if stream.kind == StreamKind::File && !stream.writable => {
                    stream.opened_again().map_err(host)?
                }
                None => return Err(SnapshotError::Outside(describe(stream))),
            };
            Ok(())
        })
    }
}

fn describe(stream: &Stream) -> String {
    let kind = match stream.kind {
        StreamKind::Terminal => "a terminal",
        StreamKind::Pipe => "a pipe or socket",
        StreamKind::File => "a file that is written to",
        StreamKind::Null | StreamKind::Device => "a device",
    };
    let way = match (stream.readable, stream.writable) {
        (true, false) => "the guest's input",
        (false, true) => "the guest's output",
        _ => "a standard stream of the guest",
    };
    format!("{way}, {kind} of the host")
}
