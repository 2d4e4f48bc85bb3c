//! What the first program has from whoever started this process, in the guest's terms.
//!
//! Must not know how the host tells it.

use super::super::host_signals::guest_signal;
use super::{Builder, StartError};
use crate::host::inherit::{self, HostLimit};
use crate::host::random;
use crate::host::signal::HostSignal;
use crate::host::stdio::{Facts, NO_STANDARD, Stream};
use crate::host::tape::{List, Question, Tape};
use crate::kernel::boot::{Descriptor, Inherited, Opened};
use crate::kernel::limits::Resource;
use crate::kernel::signal::sigmask;

impl Builder {
    /// Gives the program what this process was started with: ignored and blocked signals, umask, nice value,
    /// and limits where they are lower than 2.1's.
    pub fn inherit(mut self) -> Self {
        let host = inherit::Inherited::look();
        let set = |signals: &[HostSignal]| {
            signals.iter().fold(0, |set, &signal| set | sigmask(guest_signal(signal).raw()))
        };
        self.inherited = Inherited {
            umask: host.umask,
            ignored: set(&host.ignored),
            blocked: set(&host.blocked),
            nice: host.nice,
            limits: host.limits.iter().map(|&(limit, soft)| guest_limit(limit, soft)).collect(),
            ..self.inherited
        };
        self.unheeded = host.ignored;
        self
    }

    /// The program's place among the host's jobs is this process's: it cannot be stopped from the terminal
    /// where nobody could continue it.  This process's controlling terminal is the program's, too.
    pub fn as_job(mut self) -> Self {
        self.inherited.orphaned = inherit::is_orphaned();
        self.terminal = true;
        self
    }

    /// Mode bits that new files do not get.
    pub fn umask(mut self, umask: u16) -> Self {
        self.inherited.umask = umask;
        self
    }

    /// Hands over this process's own standard descriptors, those that are closed too, and some others.  The
    /// process keeps standard error only.
    pub fn descriptors(mut self, others: impl Into<Vec<u32>>) -> Self {
        self.descriptors = Some(others.into());
        self
    }

    /// Has standard streams as [`Builder::stdin`] and its like say, and passes nothing else.
    pub fn standard_streams(mut self) -> Self {
        self.descriptors = None;
        self
    }
}

/// Numbers among which that of the first program is chosen where runs need not be repeatable: low enough that
/// its first children's do not begin anew.
const FIRST_PIDS: std::ops::Range<i32> = 100..29000;

/// A number for the process before the first program's.  Programs make names of files out of theirs, so two
/// runs on one root shall not have the same.
pub(super) fn number_before_first() -> i32 {
    let mut bytes = [0; 4];
    random::fill(&mut bytes);
    let choice = u32::from_le_bytes(bytes) % FIRST_PIDS.len() as u32;
    FIRST_PIDS.start - 1 + choice.cast_signed()
}

/// This process's own standard descriptors, or a terminal of the guest's own instead, and others, as the
/// guest's.
pub(super) fn handed_over(others: &[u32], own_terminal: bool) -> Result<Vec<Descriptor>, StartError> {
    let standard = (0..3).filter(|&number| inherit::had_standard(number) && !own_terminal);
    let mut descriptors = Vec::new();
    if own_terminal {
        descriptors.extend((0..3).map(|number| (number, Opened::Terminal)));
    }
    for number in standard.chain(others.iter().copied()) {
        let failed = |reason: String| StartError::Descriptor { number, reason };
        let fd = inherit::take(number).map_err(|e| failed(e.to_string()))?;
        let stream = Stream::new(fd).map_err(|e| failed(e.to_string()))?;
        descriptors.push((number, Opened::Stream(stream)));
    }
    Ok(descriptors)
}

/// Freezes a stream of a run that is recorded, and writes down what it is.
pub(super) fn taped(tape: &Tape, stream: &mut Stream) -> Result<(), StartError> {
    if tape.is_on() {
        let facts = stream.freeze().map_err(|e| StartError::Stream(e.0.into()))?;
        tape.learn(Question::Descriptor, || facts);
    }
    Ok(())
}

/// What a recording has in the place of a stream.
pub(super) fn played(tape: &Tape) -> Result<Stream, StartError> {
    let facts: Option<Facts> = tape.get(Question::Descriptor);
    let damaged = || StartError::Recording("what it says of descriptors is damaged".to_owned());
    Stream::played(&facts.ok_or_else(damaged)?).map_err(|e| StartError::Stream(e.0.into()))
}

/// What a descriptor is in a recording: a stream, the null device or the terminal.
const STREAM: u8 = 0;
const NULL: u8 = 1;
const TERMINAL: u8 = 2;

/// Writes down the descriptors of a run that is recorded.
pub(super) fn taped_all(tape: &Tape, descriptors: &mut [Descriptor]) -> Result<(), StartError> {
    let kind = |opened: &Opened| match opened {
        Opened::Stream(_) => STREAM,
        Opened::Null => NULL,
        Opened::Terminal => TERMINAL,
    };
    let all = descriptors.iter().map(|(number, opened)| (*number, kind(opened))).collect();
    tape.learn(Question::Descriptor, || List(all));
    for (number, opened) in descriptors {
        if let Opened::Stream(stream) = opened {
            stream.number = u8::try_from(*number).ok().filter(|&n| n < 3).unwrap_or(NO_STANDARD);
            taped(tape, stream)?;
        }
    }
    Ok(())
}

/// The descriptors of a recording.
pub(super) fn played_all(tape: &Tape) -> Result<Vec<Descriptor>, StartError> {
    let all = tape.learn(Question::Descriptor, List::<(u32, u8)>::default).unwrap_or_default();
    let open = |(number, kind)| {
        Ok((
            number,
            match kind {
                STREAM => Opened::Stream(played(tape)?),
                TERMINAL => Opened::Terminal,
                _ => Opened::Null,
            },
        ))
    };
    all.0.into_iter().map(open).collect()
}

/// A limit of the host in the guest's words.
fn guest_limit(limit: HostLimit, soft: u64) -> (Resource, i64) {
    let resource = match limit {
        HostLimit::Cpu => Resource::Cpu,
        HostLimit::Data => Resource::Data,
        HostLimit::Stack => Resource::Stack,
        HostLimit::Processes => Resource::Nproc,
        HostLimit::Descriptors => Resource::Nofile,
    };
    (resource, i64::try_from(soft).unwrap_or(i64::MAX))
}
