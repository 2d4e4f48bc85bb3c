//! Installing: from a CD, a directory of distribution sets, an archive or a package to a root that programs run in.
//!
//! What is installed is written by the guest kernel's own file system, as its super-user would: owners, modes, set-id
//! bits, device nodes and flags are kept as the guest's, whoever runs bsd21, and no name leads out of the root.  Each
//! file is made elsewhere, complete, and then takes its place; a [`journal`] in the root says how far a part has come,
//! so that an installation that was killed goes on where it stopped.
//!
//! | file | idea |
//! |---|---|
//! | `source` | what a source is |
//! | `tree` | a tree of files: of a volume, of a directory of the host |
//! | `set` | distribution sets: their pieces, and where they belong |
//! | `check` | sums of pieces |
//! | `needs` | what programs ask for, and which set has it |
//! | `stream` | gzip, bzip2, compress: what a stream holds |
//! | `lzw` | the format of compress |
//! | `archive` | tar |
//! | `package` | packages of pkg_add |
//! | `script` | what packages have done by the guest's shell |
//! | `walk` | copying a tree |
//! | `write` | one entry of the root |
//! | [`journal`] | what is done, what is not |
//!
//! Must not know the command line.  2.1 counterpart: sysinstall's dist.c and media.c, pkg_add.

mod archive;
mod check;
pub mod journal;
mod lzw;
mod needs;
mod package;
mod script;
mod set;
mod source;
mod stream;
mod tree;
mod walk;
mod write;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use script::Scripts;
use source::Part;
use write::Writer;

/// Most bytes that are written unless somebody says otherwise.
pub const MOST_BYTES: u64 = 8 << 30;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sets; without any, `bin` and those that have libraries which its programs ask for.
    pub sets: Vec<String>,
    /// Sources are trees of files, whatever is in them.
    pub tree: bool,
    /// The root may hold other files.
    pub add: bool,
    /// Most bytes that are written.
    pub most: u64,
    /// Commands of packages are run, in the root, as the guest's super-user.
    pub scripts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sets: Vec::new(), tree: false, add: false, most: MOST_BYTES, scripts: true }
    }
}

/// Who watches.
pub trait Progress {
    /// A part begins, of so many bytes where that is known.
    fn begin(&self, part: &str, bytes: Option<u64>);
    /// So many bytes of it were read.
    fn advance(&self, bytes: u64);
    /// It is done.
    fn end(&self);
}

/// A part that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub name: String,
    /// Entries of it.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// It had been begun before.
    pub resumed: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was installed.
    pub done: Vec<Done>,
    /// Entries that were refused, the first ones with their reasons.
    pub refused: Vec<String>,
    /// How many that were.
    pub refusals: u64,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Sets of the sources that were not asked for.
    pub others: Vec<String>,
}

/// Why nothing more can be done.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A source, and what is wrong with it.
    #[error("{}: {why}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A part that cannot be read to its end.
    #[error("{part}: {why}")]
    Part {
        /// The part.
        part: String,
        /// What is wrong.
        why: String,
    },
    /// The root.
    #[error("{}: {why}", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// More than was allowed.
    #[error("{part}: would be more than {most} bytes (--max-size allows more)")]
    TooMuch {
        /// The part.
        part: String,
        /// What was allowed.
        most: u64,
    },
}

/// Installs what the sources hold in a root, which is made if it is not there.
pub fn install(
    sources: &[PathBuf],
    root: &Path,
    options: &Options,
    progress: &Rc<dyn Progress>,
) -> Result<Report, InstallError> {
    let mut report = Report::default();
    // All sources are understood before the first byte is written.
    let (mut parts, mut others) = (Vec::new(), Vec::new());
    for path in sources {
        source::parts(path, options, &mut parts, &mut others)?;
    }
    let missing: Vec<&str> = options
        .sets
        .iter()
        .filter(|name| !parts.iter().any(|part| part.is(name)))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let names: Vec<&str> = others.iter().map(|set| set.name.as_str()).collect();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let (path, why) = (sources.first().cloned().unwrap_or_default(), missing.join(", "));
        return Err(InstallError::Source { path, why: format!("no set {why}; there are: {there}") });
    }
    let whole = options.sets.is_empty() && parts.iter().any(|part| part.is(source::DEFAULT));
    let mut writer = Writer::open(root, options)?;
    let scripts = Scripts::new(root, options.scripts);
    for part in parts {
        let done = writer.part(&part, &scripts, progress, &mut report)?;
        report.done.push(done);
    }
    let mut lacks = if whole { needs::missing(root) } else { needs::Missing::new() };
    for set in others {
        let offered = if lacks.is_empty() { lacks.clone() } else { needs::offered(&set, &lacks) };
        if offered.is_empty() || set.complete().is_err() {
            report.others.push(set.name);
            continue;
        }
        report.notes.push(format!("{}: taken for {}", set.name, needs::named(&offered)));
        let part = Part::Stream { name: set.name.clone(), set };
        let done = writer.part(&part, &scripts, progress, &mut report)?;
        report.done.push(done);
        lacks.retain(|library| !offered.contains(library));
    }
    if !lacks.is_empty() {
        report.notes.push(format!("programs ask for {}, which no set here has", needs::named(&lacks)));
    }
    (report.refused, report.refusals) = writer.refusals();
    // What was installed before is there.
    let parts = journal::read(root).unwrap_or_default();
    report.others.retain(|name| !parts.get(name).is_some_and(|part| part.done));
    Ok(report)
}

impl Writer {
    fn part(
        &mut self,
        part: &Part,
        scripts: &Scripts,
        progress: &Rc<dyn Progress>,
        report: &mut Report,
    ) -> Result<Done, InstallError> {
        let resumed = self.begin(part.name(), &part.identity())?;
        progress.begin(part.name(), part.size());
        match part {
            Part::Tree { tree, .. } => walk::copy(tree, self, progress)?,
            Part::Stream { name, set } => archive::unpack(name, set, scripts, self, progress, report)?,
        }
        progress.end();
        let (entries, bytes) = self.end()?;
        Ok(Done { name: part.name().to_owned(), entries, bytes, resumed })
    }
}
