//! A survey of a tree of old programs: what each is, what it needs, which system calls its code contains,
//! and how it starts.
//!
//! | file | idea |
//! |---|---|
//! | [`model`] | what a survey says, as data |
//! | [`mod@walk`] | which files are looked at |
//! | [`classify`] | what one file is |
//! | [`tree`], [`needs`] | names looked up in the guest's root; libraries and interpreters |
//! | [`memory`], [`flow`], [`calls`] | code at its addresses; where its branches lead; which calls it contains |
//! | [`start`] | how a program starts |
//! | [`summary`] | counts |
//! | [`table`], [`html`] | what people read |
//!
//! No file can make a survey fail: what cannot be read is listed with the reason.
//!
//! 2.1 counterpart: file(1), ldd(1) and a patient person.

pub mod calls;
pub mod classify;
pub mod flow;
pub mod html;
pub mod memory;
pub mod model;
pub mod needs;
pub mod start;
pub mod summary;
pub mod table;
pub mod tree;
pub mod walk;

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use classify::{GLANCE, Name, Promise, entry, glance};
use model::{Entry, Kind, Outcome, Skipped, Start, Survey, VERSION};
use start::Conditions;
use tree::Tree;
use walk::{reason, walk};

use crate::host::look;
use crate::image::MAX_FILE;
use crate::machine::Mount;

/// Where the directory is seen by guests when it is not below their root.
const ELSEWHERE: &str = "/survey";

/// How a survey is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The guest's root, where it is not the directory itself.
    pub root: Option<PathBuf>,
    /// List objects, archives and other files too.
    pub all: bool,
    /// Threads that look and run.
    pub jobs: usize,
    /// Run the programs.
    pub run: Option<RunOptions>,
}

/// How programs are run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Time after which a run is ended.
    pub max_wall: std::time::Duration,
    /// Bytes of memory that a run may have; as much as any run unless given.
    pub max_mem: Option<u64>,
    /// The guest's clock counts instructions.
    pub virtual_clock: bool,
}

/// Surveys a directory; `progress` hears how many of how many files are done.
///
/// ```
/// use bsd21::survey::{Options, survey};
///
/// let options = Options { root: None, all: false, jobs: 1, run: None };
/// let found = survey("fixtures/cases/hello".as_ref(), &options, &|_done, _total| {});
/// assert!(found.programs.is_empty());
/// ```
pub fn survey(directory: &Path, options: &Options, progress: &(dyn Fn(usize, usize) + Sync)) -> Survey {
    let root = options.root.clone().unwrap_or_else(|| directory.to_owned());
    let tree = Tree::new(&root);
    let found = walk(directory);
    let guest = Guest::new(directory, &root);
    let conditions = options.run.map(|run| Conditions {
        root: root.clone(),
        mounts: guest.mounts.clone(),
        max_wall: run.max_wall,
        max_mem: run.max_mem,
        virtual_clock: run.virtual_clock,
    });
    let total = found.files.len();
    let results = in_parallel(total, options.jobs, progress, |index| {
        let (path, meta) = found.files.get(index)?;
        let looked = look_at(path, meta, directory, &tree, options.all);
        let (Ok(Seen::Listed(entry)), Some(conditions)) = (&looked, &conditions) else { return Some(looked) };
        let mut entry = entry.clone();
        entry.run = run(&entry, meta, &guest.path(&entry.path), conditions);
        Some(Ok(Seen::Listed(entry)))
    });
    let relative = |path: &Path| shown(path, directory);
    let skip = |(path, reason): &(PathBuf, String)| Skipped { path: relative(path), reason: reason.clone() };
    let mut survey = Survey {
        version: VERSION,
        bsd21: env!("CARGO_PKG_VERSION"),
        directory: directory.display().to_string(),
        root: root.display().to_string(),
        summary: model::Summary::default(),
        programs: Vec::new(),
        skipped: found.skipped.iter().map(skip).collect(),
    };
    let mut counted = Vec::new();
    for (result, (path, _)) in results.into_iter().zip(&found.files) {
        match result.flatten() {
            Some(Ok(Seen::Listed(entry))) => survey.programs.push(*entry),
            Some(Ok(Seen::Counted(kind))) => counted.push(kind),
            Some(Err(reason)) => survey.skipped.push(Skipped { path: relative(path), reason }),
            None => {}
        }
    }
    survey.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    survey.summary = summary::of(&survey.programs, &counted);
    (survey.summary.symlinks, survey.summary.special) = (found.symlinks, found.special);
    survey
}

/// What became of a file.
enum Seen {
    Listed(Box<Entry>),
    Counted(Kind),
}

fn look_at(path: &Path, meta: &Metadata, directory: &Path, tree: &Tree, all: bool) -> Result<Seen, String> {
    let said = |error: std::io::Error| reason(&error);
    let file = look::open_regular(path).map_err(said)?;
    let head = look::beginning(&file, GLANCE).map_err(said)?;
    if let Promise::Count(kind) = glance(&head)
        && !all
    {
        return Ok(Seen::Counted(kind));
    }
    let promise = glance(&head);
    let bytes = look::bounded(&file, head, MAX_FILE).map_err(said)?;
    let name = Name { path: shown(path, directory), mode: meta.permissions().mode() };
    let kind = match promise {
        Promise::Count(kind) => kind,
        Promise::Look => match entry(&bytes, name.clone(), tree) {
            Ok(entry) if entry.kind.is_listed() || all => return Ok(Seen::Listed(Box::new(entry))),
            Ok(entry) => entry.kind,
            Err(kind) => kind,
        },
    };
    match all {
        true => Ok(Seen::Listed(Box::new(classify::plain(&bytes, name, kind)))),
        false => Ok(Seen::Counted(kind)),
    }
}

fn run(entry: &Entry, meta: &Metadata, program: &Path, conditions: &Conditions) -> Option<Start> {
    let wanted = matches!(entry.kind, Kind::Program | Kind::Script | Kind::Kernel);
    if !wanted || meta.permissions().mode() & 0o111 == 0 {
        return None;
    }
    Some(match &entry.refused {
        Some(why) => start::empty(Outcome::Refused, why.clone()),
        None => start::start(program, conditions),
    })
}

/// Where guests see the directory.
struct Guest {
    prefix: PathBuf,
    mounts: Vec<Mount>,
}

impl Guest {
    fn new(directory: &Path, root: &Path) -> Self {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match real(directory).strip_prefix(real(root)) {
            Ok(below) => Self { prefix: Path::new("/").join(below), mounts: Vec::new() },
            Err(_) => {
                let guest = ELSEWHERE.as_bytes().to_vec();
                let mount = Mount { host: directory.to_owned(), guest, read_only: true };
                Self { prefix: ELSEWHERE.into(), mounts: vec![mount] }
            }
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.prefix.join(below)
    }
}

/// A path below the directory.
fn shown(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned()
}

/// Does `work` for every index on some threads; results in the order of the indices.
fn in_parallel<T: Send>(
    total: usize,
    jobs: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
    work: impl Fn(usize) -> T + Sync,
) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results = Mutex::new((0..total).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, total.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= total {
                        return;
                    }
                    let result = work(index);
                    let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if let Some(place) = results.get_mut(index) {
                        *place = Some(result);
                    }
                    drop(results);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
