//! Recording: a case is run twice and what is the same is written down; what differs is refused.
//!
//! Everything is written into a directory of its own beside the case and takes its place when it is whole, so
//! that no case is ever half a case.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::case::{self, Case, CaseError};
use super::compare::{self, Difference, Recorded};
use super::image::{Cache, Places};
use super::keys;
use super::replay::{ReplayError, Wanted, live, replay};
use super::tree;
use crate::host::change::exchange;
use crate::host::door::Door;
use crate::host::temporary::Directory;
use crate::host::{self, look};

/// Bytes of an output or a file that are kept; of longer ones only the hash is.
const KEPT: usize = 1 << 16;

/// Most bytes of standard input.
pub const LARGEST_INPUT: u64 = tree::MOST_BYTES;

/// How to record.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The text of the calls is kept.
    pub keep_trace: bool,
    /// A case that is there already is replaced.
    pub force: bool,
    /// Set from outside when the recording shall be given up.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// What a new case is made of.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Files and directories of the host that the guest finds among its writable files, by their last names.
    pub files: Vec<PathBuf>,
    /// Standard input.
    pub stdin: Option<Vec<u8>>,
    /// What is typed at the terminal, as the text of a file.
    pub keys: Option<Vec<u8>>,
}

/// A person's terminal, at which the keys of a case are typed.
pub type Person<'a> = &'a mut dyn FnMut() -> Option<Box<dyn Door>>;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The case is there already.
    #[error("{} is there already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// Something else has the name.
    #[error("{} is no case; --force replaces nothing else", .0.display())]
    NoCase(PathBuf),
    /// The name has no parent or no last part.
    #[error("{} is no name for a case", .0.display())]
    Name(PathBuf),
    /// Two inputs would have one name.
    #[error("two inputs are called {0}")]
    Twice(String),
    /// The files of the case.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A run came to nothing.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The keys were not all typed.
    #[error("the run ended while the keys waited at: {0}; nothing was recorded")]
    Waiting(String),
    /// Two runs differ.
    #[error("two runs differ, so that nothing was recorded")]
    Differs(Vec<Difference>),
}

/// Runs a case twice; its inputs are in `inputs`.  Gives the case with what came of it.
fn record(
    case: &Case,
    inputs: &Path,
    places: &Places,
    wanted: &Wanted,
    cache: &Cache,
) -> Result<(Case, Recorded), RecordError> {
    let first = replay(case, inputs, places, wanted, cache)?;
    let second = replay(case, inputs, places, wanted, cache)?;
    if let Some(step) = first.shown.as_ref().and_then(|shown| shown.waiting.clone()) {
        return Err(RecordError::Waiting(step));
    }
    let images = first.images.clone();
    let recorded = Recorded::of(first);
    let mut found = compare::compare(&recorded, &second);
    if !found.is_empty() {
        if let Some((index, _)) = recorded.chain.first_difference(&second.chain) {
            let from = index.saturating_sub(compare::BEFORE);
            let wanted = Wanted { text: Some(from..index + 1), ..wanted.clone() };
            if let Ok(again) = replay(case, inputs, places, &wanted, cache) {
                compare::calls_context(&mut found, &recorded, &again.text, from, index);
            }
        }
        return Err(RecordError::Differs(found));
    }
    let mut case = case.clone();
    case.bsd21 = env!("CARGO_PKG_VERSION").to_owned();
    case.image = images;
    case.expected = Some(recorded.expected.clone());
    Ok((case, recorded))
}

/// Writes a case and its expectations into a directory that has its inputs.
fn write(case: &Case, recorded: &Recorded, directory: &Path) -> Result<(), CaseError> {
    let expected = directory.join(case::EXPECTED);
    fs::create_dir(&expected).map_err(|e| CaseError::file(&expected, e))?;
    let put = |path: PathBuf, bytes: &[u8]| fs::write(&path, bytes).map_err(|e| CaseError::file(&path, e));
    put(expected.join(compare::CALLS), &recorded.chain.to_bytes())?;
    let outputs =
        [("stdout", &recorded.stdout), ("stderr", &recorded.stderr), (compare::TERMINAL, &recorded.terminal)];
    if !recorded.screens.is_empty() {
        let screens = expected.join(case::SCREENS);
        fs::create_dir(&screens).map_err(|e| CaseError::file(&screens, e))?;
        for (name, text) in &recorded.screens {
            put(screens.join(name), text.as_bytes())?;
        }
    }
    for (name, bytes) in outputs {
        if let Some(bytes) = bytes.as_ref().filter(|b| !b.is_empty() && b.len() <= KEPT) {
            put(expected.join(name), bytes)?;
        }
    }
    if let Some(trace) = &recorded.trace {
        put(expected.join(compare::TRACE), (trace.join("\n") + "\n").as_bytes())?;
    }
    for (path, bytes) in recorded.contents.iter().filter(|(_, bytes)| bytes.len() <= KEPT) {
        let path = expected.join(case::FILES).join(path.os());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| CaseError::file(parent, e))?;
        }
        put(path, bytes)?;
    }
    put(directory.join(case::FILE), case.text()?.as_bytes())
}

/// A directory beside a case, in which the new one grows.
fn aside(target: &Path) -> Result<(Directory, PathBuf), RecordError> {
    let name = target.file_name().ok_or_else(|| RecordError::Name(target.to_owned()))?;
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| CaseError::file(parent, e))?;
    let prefix = format!(".{}.", name.to_string_lossy());
    let aside = Directory::new(&prefix, parent).map_err(|e| CaseError::file(parent, e))?;
    let new = aside.path().join("new");
    fs::create_dir(&new).map_err(|e| CaseError::file(&new, e))?;
    Ok((aside, new))
}

/// Puts a directory that is whole in the place of a case.
fn put_in_place(new: &Path, target: &Path) -> Result<(), CaseError> {
    let failed = |error| CaseError::file(target, error);
    if fs::symlink_metadata(target).is_err() {
        return fs::rename(new, target).map_err(failed);
    }
    exchange(new, target).or_else(|_| {
        // A file system that cannot exchange two names.
        let old = new.with_file_name("old");
        fs::rename(target, &old).map_err(failed)?;
        fs::rename(new, target).map_err(failed)
    })
}

/// Records a new case at `target`; gives it as it was written.
pub fn capture(
    case: &Case,
    target: &Path,
    inputs: &Inputs,
    given_root: Option<&Path>,
    options: &Options,
    person: Person<'_>,
) -> Result<Case, RecordError> {
    match fs::symlink_metadata(target) {
        Ok(_) if !options.force => return Err(RecordError::Exists(target.to_owned())),
        // A link to a case is not the case either.
        Ok(there) if !there.is_dir() || look::open_below(target, Path::new(case::FILE)).is_err() => {
            return Err(RecordError::NoCase(target.to_owned()));
        }
        _ => {}
    }
    let (_aside, new) = aside(target)?;
    if let Some(stdin) = &inputs.stdin {
        let path = new.join(case::STDIN);
        fs::write(&path, stdin).map_err(|e| CaseError::file(&path, e))?;
    }
    if !inputs.files.is_empty() {
        let files = new.join(case::FILES);
        fs::create_dir(&files).map_err(|e| CaseError::file(&files, e))?;
        for input in &inputs.files {
            let name = input.file_name().ok_or_else(|| RecordError::Name(input.clone()))?;
            let to = files.join(name);
            if fs::symlink_metadata(&to).is_ok() {
                return Err(RecordError::Twice(name.to_string_lossy().into_owned()));
            }
            tree::copy_one(input, &to)?;
        }
    }
    let mut typed = inputs.keys.clone();
    if case.terminal.is_some()
        && typed.is_none()
        && let Some(door) = person()
    {
        let places = places(case, target, given_root)?;
        typed = Some(keys::text(&live(case, &new, &places, door)?).into_bytes());
    }
    if let Some(typed) = &typed {
        let path = new.join(case::KEYS);
        fs::write(&path, typed).map_err(|e| CaseError::file(&path, e))?;
    }
    let case = finish(case, target, &new, given_root, options, &Cache::default())?.0;
    put_in_place(&new, target)?;
    Ok(case)
}

fn places(case: &Case, target: &Path, given_root: Option<&Path>) -> Result<Places, ReplayError> {
    Places::of(case, target, given_root).ok_or_else(|| ReplayError::Host("no root was given".to_owned()))
}

/// Runs the case whose inputs are in `new`, and writes it there.
fn finish(
    case: &Case,
    target: &Path,
    new: &Path,
    given_root: Option<&Path>,
    options: &Options,
    cache: &Cache,
) -> Result<(Case, Recorded), RecordError> {
    let places = places(case, target, given_root)?;
    let wanted = Wanted {
        text: options.keep_trace.then_some(0..u64::MAX),
        cancel: options.cancel.clone(),
        ..Wanted::default()
    };
    let (case, recorded) = record(case, new, &places, &wanted, cache)?;
    write(&case, &recorded, new)?;
    Ok((case, recorded))
}

/// Records what a case gives now instead of what was expected; everything else in its directory stays.
pub fn bless(
    case: &Case,
    target: &Path,
    given_root: Option<&Path>,
    cancel: Option<Arc<AtomicBool>>,
    cache: &Cache,
) -> Result<(), RecordError> {
    let (_aside, new) = aside(target)?;
    tree::copy(target, &new)?;
    let expected = new.join(case::EXPECTED);
    let keep_trace = expected.join(compare::TRACE).exists();
    if fs::symlink_metadata(&expected).is_ok() {
        host::tree::remove(&expected).map_err(|e| CaseError::file(&expected, e))?;
    }
    finish(case, target, &new, given_root, &Options { keep_trace, force: true, cancel }, cache)?;
    put_in_place(&new, target)?;
    Ok(())
}

/// A path to `to` for a case at `target`, by the letters of their real names.
pub fn relative(target: &Path, to: &Path) -> std::io::Result<PathBuf> {
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let from = fs::canonicalize(parent)?.join(target.file_name().unwrap_or_default());
    let to = fs::canonicalize(to)?;
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count() - common;
    let mut path: PathBuf = std::iter::repeat_n("..", up).collect();
    path.extend(to.components().skip(common));
    Ok(path)
}
