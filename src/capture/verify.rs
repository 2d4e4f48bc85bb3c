//! Verifying: cases are run and compared, several at once.
//!
//! Each case has a machine of its own; the host's speed decides nothing but when a run is given up.
//! Must not know how results are shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::aspect::{Aspect, Aspects};
use super::case::Case;
use super::compare::{self, Difference, Recorded};
use super::find::Found;
use super::image::{Cache, Missing, Places};
use super::record::{self, RecordError};
use super::replay::{ReplayError, Wanted, replay};
use crate::cpu;

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The root of cases that name none.
    pub root: Option<PathBuf>,
    /// Cases may name directories of the host outside of themselves and of that root.
    pub trust: bool,
    /// What a case gives now is what shall be expected.
    pub bless: bool,
    /// What is compared, instead of what the case says.
    pub compare: Option<Aspects>,
    /// Run cases whose programs or libraries are other files than the recorded ones.
    pub any_image: bool,
    /// Time that a run may take on the host.
    pub max_wall: Option<Duration>,
    /// Set from outside when everything shall be given up.
    pub cancel: Option<Arc<AtomicBool>>,
    /// How the processor works.
    pub processors: cpu::Options,
}

impl Options {
    fn cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It came out as recorded.
    Pass,
    /// It did not, and is expected so from now on.
    Blessed(Vec<Difference>),
    /// It did not.
    Fail(Vec<Difference>),
    /// It cannot be run here, for this reason.
    Skip(String),
    /// The host was too slow for the limit that was set, which says nothing about the program.
    Limit(String),
    /// The case itself is wrong, or the host did not do what it must.
    Error(String),
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Pass | Self::Blessed(_) | Self::Skip(_))
    }

    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Blessed(_) => "blessed",
            Self::Fail(_) => "fail",
            Self::Skip(_) => "skip",
            Self::Limit(_) => "limit",
            Self::Error(_) => "error",
        }
    }

    /// The reason, where there is just one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Skip(reason) | Self::Limit(reason) | Self::Error(reason) => Some(reason),
            Self::Pass | Self::Blessed(_) | Self::Fail(_) => None,
        }
    }

    /// What differs.
    pub fn differences(&self) -> &[Difference] {
        match self {
            Self::Blessed(found) | Self::Fail(found) => found,
            _ => &[],
        }
    }
}

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// What came of it.
    pub verdict: Verdict,
    /// What is worth knowing and decides nothing.
    pub notes: Vec<String>,
    /// How long it took on the host.
    pub took: Duration,
}

/// Verifies cases with so many threads; `done` hears of each as it ends.  Results are in the order of the cases.
pub fn all(cases: &[Found], jobs: usize, options: &Options, done: &mut dyn FnMut(&Report)) -> Vec<Report> {
    let cache = Cache::default();
    let next = AtomicUsize::new(0);
    let mut reports: Vec<Option<Report>> = vec![None; cases.len()];
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            let (send, next, cache) = (send.clone(), &next, &cache);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(found) = cases.get(number).filter(|_| !options.cancelled()) else { return };
                    let began = Instant::now();
                    let (verdict, notes) = one(&found.directory, options, cache);
                    let Found { name, directory } = found.clone();
                    let report = Report { name, directory, verdict, notes, took: began.elapsed() };
                    if send.send((number, report)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for (number, report) in receive {
            done(&report);
            if let Some(place) = reports.get_mut(number) {
                *place = Some(report);
            }
        }
    });
    reports.into_iter().flatten().collect()
}

/// Verifies the case in a directory: what came of it, and what else is worth knowing.
pub fn one(directory: &Path, options: &Options, cache: &Cache) -> (Verdict, Vec<String>) {
    let mut notes = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| judge(directory, options, cache, &mut notes)));
    let bug = || Verdict::Error("a bug of bsd21 itself ended the run; see above".to_owned());
    (result.unwrap_or_else(|_| bug()), notes)
}

fn judge(directory: &Path, options: &Options, cache: &Cache, notes: &mut Vec<String>) -> Verdict {
    match try_judge(directory, options, cache, notes) {
        Ok(verdict) => verdict,
        Err(RecordError::Replay(ReplayError::Limit(limit))) => Verdict::Limit(limit.to_string()),
        Err(error @ RecordError::Differs(_)) => {
            let RecordError::Differs(found) = &error else { return Verdict::Error(error.to_string()) };
            let all: Vec<&str> = found.iter().map(|d| d.what.as_str()).collect();
            Verdict::Error(format!("{error}: {}", all.join("; ")))
        }
        Err(error) => Verdict::Error(error.to_string()),
    }
}

fn try_judge(
    directory: &Path,
    options: &Options,
    cache: &Cache,
    notes: &mut Vec<String>,
) -> Result<Verdict, RecordError> {
    let case = Case::read(directory)?;
    let Some(places) = Places::of(&case, directory, options.root.as_deref()) else {
        return Ok(Verdict::Skip("needs a root: --root DIR, or BSD21_ROOT".to_owned()));
    };
    if let Some(outside) = places.outside(directory, options.root.as_deref()).filter(|_| !options.trust) {
        return Ok(Verdict::Error(format!(
            "its directory {} is outside of the case: --trust lets cases name such, --root DIR those in DIR",
            outside.display()
        )));
    }
    if !places.root.is_dir() {
        return Ok(Verdict::Skip(format!("its root {} is not there", places.root.display())));
    }
    let absent = places.missing(&case.image, cache);
    let recorded = match Recorded::read(&case, directory) {
        Ok(recorded) => recorded,
        // What cannot be read is written anew.
        Err(_) if options.bless => None,
        Err(error) => return Err(error.into()),
    };
    match absent {
        Some(Missing::Absent(why)) => return Ok(Verdict::Skip(why)),
        Some(Missing::Other(why)) if options.any_image => notes.push(why),
        Some(Missing::Other(why)) if !options.bless => {
            return Ok(Verdict::Skip(format!("{why} (--any-image runs it all the same)")));
        }
        Some(Missing::Other(_)) | None => {}
    }
    let keeps_text = recorded.as_ref().is_some_and(|recorded| recorded.trace.is_some());
    let wanted = Wanted {
        text: keeps_text.then_some(0..u64::MAX),
        max_wall: options.max_wall,
        cancel: options.cancel.clone(),
        processors: options.processors,
    };
    let own = case.compare.as_ref().map(|own| own.iter().copied().collect());
    let aspects: Aspects = options.compare.or(own).unwrap_or_default();
    let found = match &recorded {
        Some(recorded) => differences(&case, directory, &places, recorded, &wanted, aspects, cache)?,
        None => vec![Difference::new(Aspect::Exit, "nothing was recorded")],
    };
    if options.bless && !found.is_empty() {
        record::bless(&case, directory, options.root.as_deref(), options.cancel.clone(), cache)?;
        return Ok(Verdict::Blessed(found));
    }
    let (found, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|d| aspects.contains(d.aspect));
    notes.extend(other.into_iter().map(|difference| format!("not compared: {}", difference.what)));
    Ok(if found.is_empty() { Verdict::Pass } else { Verdict::Fail(found) })
}

/// Runs a case once, and a second time with the text of its calls where these differ.
fn differences(
    case: &Case,
    directory: &Path,
    places: &Places,
    recorded: &Recorded,
    wanted: &Wanted,
    aspects: Aspects,
    cache: &Cache,
) -> Result<Vec<Difference>, ReplayError> {
    let observed = replay(case, directory, places, wanted, cache)?;
    let mut found = compare::compare(recorded, &observed);
    if let Some((index, _)) = recorded.chain.first_difference(&observed.chain)
        && aspects.contains(Aspect::Calls)
    {
        let from = index.saturating_sub(compare::BEFORE);
        let wanted = Wanted { text: Some(from..index + 1), ..wanted.clone() };
        let again = replay(case, directory, places, &wanted, cache)?;
        compare::calls_context(&mut found, recorded, &again.text, from, index);
        if let Some(about) = &again.about {
            compare::calls_origin(&mut found, case, about);
        }
    }
    Ok(found)
}
