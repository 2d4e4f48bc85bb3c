//! What a case says: `case.toml`, and the files beside it.
//!
//! docs/capture.md describes the format.  Must not know how runs are made.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::aspect::Aspect;
use super::content::{Fingerprint, Text};
use super::keys;
use crate::host::door::Size;
use crate::host::look;
use crate::kernel::time::{SECOND_NS, VIRTUAL_EPOCH_NS};

/// The file that makes a directory a case.
pub const FILE: &str = "case.toml";
/// Standard input, beside it.
pub const STDIN: &str = "stdin";
/// The writable files of the guest as they are before the run.
pub const FILES: &str = "files";
/// What is typed at the terminal, and when.
pub const KEYS: &str = "keys";
/// Screens that were kept, in the directory of expectations.
pub const SCREENS: &str = "screens";
/// What came of the run.
pub const EXPECTED: &str = "expected";
/// Most bytes of it, and of the text of its calls.
pub(super) const LARGEST: u64 = 256 << 20;
/// Most directories that a case mounts.
const MOST_PLACES: usize = 64;
/// Longest path of a guest, with its end.
const MAXPATHLEN: usize = 1024;
/// Version of the format.
const FORMAT: u32 = 1;

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Version of the format.
    pub format: u32,
    /// Version of the program that recorded it; for people.
    #[serde(default)]
    pub bsd21: String,
    /// What is compared; all but the number of instructions unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Vec<Aspect>>,
    /// How the program is run.
    pub run: Run,
    /// Where its root is.
    #[serde(default)]
    pub root: Root,
    /// The terminal that its standard streams are, if they are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// Directories that the guest sees besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mount: Vec<Mount>,
    /// What came of it; absent in a case that was written by hand and never blessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// The programs and libraries that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image: Vec<Image>,
}

/// How a program is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Path in the guest.
    pub program: Text,
    /// Its arguments, its name first.
    pub argv: Vec<Text>,
    /// Its environment, as NAME=VALUE.
    #[serde(default)]
    pub env: Vec<Text>,
    /// Its current directory; where the writable files are unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Text>,
    /// Where the guest finds its writable files.
    #[serde(default = "files_at")]
    pub files_at: Text,
    /// Directories that are empty before the run and forgotten after it.
    #[serde(default)]
    pub scratch: Vec<Text>,
    /// User.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Control word of a fresh x87 unit.
    #[serde(default = "fpcw")]
    pub fpcw: String,
    /// Time of day when the run begins, in seconds since the epoch.
    #[serde(default = "start")]
    pub start: u32,
    /// What random numbers begin with.
    #[serde(default)]
    pub seed: u64,
    /// What internet sockets reach: `loopback` or `none`.
    #[serde(default = "network")]
    pub network: String,
    /// Processor time that the run may take, in seconds of the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu: Option<f64>,
    /// Processes that it may have at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_procs: Option<usize>,
    /// Bytes of writable memory that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mem: Option<u64>,
    /// Bytes that it may write to its standard streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Time that the run may take on the host, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wall: Option<f64>,
}

fn files_at() -> Text {
    Text::from("/case")
}

fn fpcw() -> String {
    "0x1272".to_owned()
}

fn start() -> u32 {
    (VIRTUAL_EPOCH_NS / SECOND_NS) as u32
}

fn network() -> String {
    "loopback".to_owned()
}

impl Run {
    /// The run of a program with nothing special about it.
    pub fn new(program: Text, argv: Vec<Text>) -> Self {
        Self {
            program,
            argv,
            env: Vec::new(),
            cwd: None,
            files_at: files_at(),
            scratch: vec![Text::from("/tmp")],
            uid: 0,
            gid: 0,
            fpcw: fpcw(),
            start: start(),
            seed: 0,
            network: network(),
            max_cpu: None,
            max_procs: None,
            max_mem: None,
            max_output: None,
            max_wall: None,
        }
    }
}

/// Where the guest's root is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// A directory relative to the case; without it, the root is the one that `verify --root` or `BSD21_ROOT`
    /// names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// A terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// Rows of its screen.
    pub rows: u16,
    /// Columns of its screen.
    pub columns: u16,
}

impl Terminal {
    /// Its size.
    pub fn size(self) -> Size {
        Size { rows: self.rows, columns: self.columns, ..Size::default() }
    }
}

/// A screen that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenState {
    /// Its name.
    pub name: String,
    /// Its text.
    #[serde(flatten)]
    pub content: Fingerprint,
}

/// A directory that the guest sees and cannot change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The directory, relative to the case.
    pub host: PathBuf,
    /// Where the guest sees it.
    pub guest: Text,
}

/// A file that was executed or mapped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Path in the guest.
    pub path: Text,
    /// What it holds.
    #[serde(flatten)]
    pub content: Fingerprint,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// How the first program ended.
    pub ended: End,
    /// Instructions of all processes together.
    pub instructions: u64,
    /// Calls and signals; their chain of hashes is `expected/calls`.
    pub calls: u64,
    /// Files that are gone from the writable directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Text>,
    /// Standard output, unless empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Fingerprint>,
    /// Standard error, unless empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Fingerprint>,
    /// Bytes that were sent to the terminal, unless there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Fingerprint>,
    /// Screens that were kept, in their order; the last one is `final`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub screen: Vec<ScreenState>,
    /// Files that are new or changed in the writable directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<FileState>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The first program exited with this status.
    Exit(u8),
    /// A signal ended it.
    Signal(u32),
    /// The guest halted or restarted the system, with these flags.
    Reboot(u32),
    /// Every process waited for something that could not happen.
    Deadlock,
    /// The run hit `max_cpu`.
    MaxCpu,
    /// The run hit `max_procs`.
    MaxProcs,
    /// The run hit `max_mem`.
    MaxMem,
    /// The run hit `max_output`.
    MaxOutput,
}

/// A file after the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileState {
    /// Its path below the writable directory.
    pub path: Text,
    /// What it is: `file`, `directory`, `symlink`, `fifo`, `socket`, `device`.
    pub kind: String,
    /// Permissions, in base 8.
    pub mode: String,
    /// Owner, where it is not the guest's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group, where it is not the guest's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Text of a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// What a regular file holds; `expected/files` has the bytes of small ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Fingerprint>,
}

/// Why a case cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It cannot be read or written.
    #[error("{}: {}", path.display(), plain(error))]
    File {
        /// The file.
        path: PathBuf,
        /// What the host says.
        error: io::Error,
    },
    /// Its text is wrong.
    #[error("{}: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// An error of the host without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl CaseError {
    /// Something that happened to a file.
    pub fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}

impl Case {
    /// A case without expectations.
    pub fn new(run: Run, root: Root) -> Self {
        let bsd21 = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            format: FORMAT,
            bsd21,
            compare: None,
            run,
            root,
            terminal: None,
            mount: Vec::new(),
            expected: None,
            image: Vec::new(),
        }
    }

    /// Reads the case in a directory.
    pub fn read(directory: &Path) -> Result<Self, CaseError> {
        let path = directory.join(FILE);
        let bytes = read(directory, Path::new(FILE), LARGEST).map_err(|e| CaseError::file(&path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| CaseError::Text { path: path.clone(), message: "not a text in UTF-8".to_owned() })?;
        let wrong = |message: String| CaseError::Text { path: path.clone(), message };
        let case: Self = toml::from_str(&text).map_err(|e| wrong(one_line(&e, &text)))?;
        if case.format != FORMAT {
            return Err(wrong(format!("format {} is not {FORMAT}, the one that is known here", case.format)));
        }
        case.check().map_err(wrong)?;
        Ok(case)
    }

    /// The text of `case.toml`.
    pub fn text(&self) -> Result<String, CaseError> {
        let body = toml::to_string_pretty(self)
            .map_err(|e| CaseError::Text { path: FILE.into(), message: e.to_string() })?;
        Ok(format!("# A recorded run; `bsd21 verify` repeats it, docs/capture.md describes it.\n{body}"))
    }

    fn check(&self) -> Result<(), String> {
        let run = &self.run;
        if run.argv.is_empty() {
            return Err("argv is empty; the program's name comes first".to_owned());
        }
        self.check_places()?;
        self.control_word().ok_or_else(|| format!("fpcw {} is no 16-bit number such as 0x1272", run.fpcw))?;
        if !["loopback", "none"].contains(&run.network.as_str()) {
            return Err(format!("network {} is neither loopback nor none", run.network));
        }
        for limit in [run.max_cpu, run.max_wall].into_iter().flatten() {
            if std::time::Duration::try_from_secs_f64(limit).is_err() {
                return Err(format!("{limit} is no number of seconds"));
            }
        }
        if let Some(terminal) = self.terminal
            && keys::size(&format!("{}x{}", terminal.rows, terminal.columns)).is_none()
        {
            return Err("terminal: rows and columns are numbers from 1 to 1000".to_owned());
        }
        let screens = self.expected.iter().flat_map(|e| &e.screen);
        if let Some(wrong) = screens.map(|screen| &screen.name).find(|name| !keys::is_name(name)) {
            return Err(format!("{wrong} is no name of a screen"));
        }
        let names = self.expected.iter().flat_map(|e| e.file.iter().map(|f| &f.path).chain(&e.removed));
        for name in names {
            let inside = name.0.split(|&b| b == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
            if !inside {
                return Err(format!("{name} is no path below the writable directory"));
            }
        }
        Ok(())
    }

    /// Where the guest sees what the case mounts: places of their own, not its root and not its devices.
    fn check_places(&self) -> Result<(), String> {
        let run = &self.run;
        let mounts = self.mount.iter().map(|m| &m.guest);
        let places: Vec<&Text> = [&run.files_at].into_iter().chain(&run.scratch).chain(mounts).collect();
        if places.len() > MOST_PLACES {
            return Err(format!("more than {MOST_PLACES} mounted and scratch directories"));
        }
        for (number, place) in places.iter().enumerate() {
            if !is_absolute(place) {
                return Err(format!("{place} is no absolute path of the guest"));
            }
            if place.0 == b"/" || place.0 == b"/dev" || place.0.starts_with(b"/dev/") {
                return Err(format!("{place} cannot be mounted over"));
            }
            if places.iter().take(number).any(|other| other == place) {
                return Err(format!("{place} is mounted twice"));
            }
        }
        let mut images = self.image.iter().map(|image| &image.path);
        match images.find(|path| !is_absolute(path)) {
            Some(path) => Err(format!("{path} is no absolute path of the guest")),
            None => Ok(()),
        }
    }

    /// The control word.
    pub fn control_word(&self) -> Option<u16> {
        let text = &self.run.fpcw;
        match text.strip_prefix("0x") {
            Some(hex) => u16::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
    }
}

/// Whether a path of the guest begins at its root and has no part that leads elsewhere.
fn is_absolute(path: &Text) -> bool {
    let Some(rest) = path.0.strip_prefix(b"/") else { return false };
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
    path.0.len() < MAXPATHLEN && (rest.is_empty() || rest.split(|&b| b == b'/').all(plain))
}

/// The bytes of one of a case's own files: a regular one, in the case itself, and not larger than `most`.
pub(super) fn read(directory: &Path, file: &Path, most: u64) -> io::Result<Vec<u8>> {
    look::whole(&look::open_below(directory, file)?, most)
}

/// The place and the reason of an error in a file.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| 1 + text.get(..span.start).map_or(0, |t| t.matches('\n').count()));
    let message = error.message().replace('\n', " ");
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &str) -> Result<Case, String> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), text).unwrap();
        Case::read(directory.path())
            .map_err(|e| e.to_string().split("case.toml: ").nth(1).unwrap().to_owned())
    }

    #[test]
    fn a_case_by_hand_needs_a_program_only() {
        let case = read("format = 1\n[run]\nprogram = \"/bin/sh\"\nargv = [\"sh\"]\n").unwrap();
        assert_eq!(
            (case.root.path.clone(), case.control_word(), case.run.start),
            (None, Some(0x1272), 820_454_400)
        );
        assert_eq!(case.run.files_at, Text::from("/case"));
    }

    #[test]
    fn what_was_written_is_read() {
        let mut case =
            Case::new(Run::new("/x".into(), vec!["x".into()]), Root { path: Some("../..".into()) });
        case.image.push(Image { path: "/x".into(), content: Fingerprint::of(b"x") });
        for ended in [End::Exit(3), End::Signal(11), End::Deadlock, End::MaxCpu] {
            let file = FileState {
                path: "out".into(),
                kind: "file".into(),
                mode: "0644".into(),
                uid: None,
                gid: Some(5),
                target: None,
                content: Some(Fingerprint::of(b"")),
            };
            case.expected = Some(Expected {
                ended,
                instructions: 1,
                calls: 2,
                removed: vec!["gone".into()],
                stdout: Some(Fingerprint::of(b"x")),
                stderr: None,
                terminal: None,
                screen: vec![ScreenState { name: "final".into(), content: Fingerprint::of(b"x") }],
                file: vec![file],
            });
            assert_eq!(read(&case.text().unwrap()).unwrap(), case);
        }
    }

    #[test]
    fn wrong_cases_are_refused_with_their_line() {
        let run = "format = 1\n[run]\nprogram = \"/x\"\nargv = [\"x\"]\n";
        assert_eq!(
            read("format = 2\n[run]\nprogram = \"/x\"\nargv = [\"x\"]\n").unwrap_err(),
            "format 2 is not 1, the one that is known here"
        );
        assert!(
            read(&format!("{run}colour = 1\n")).unwrap_err().starts_with("line 5: unknown field `colour`")
        );
        assert_eq!(
            read(&format!("{run}files_at = \"x\"\n")).unwrap_err(),
            "x is no absolute path of the guest"
        );
        assert_eq!(
            read("format = 1\n[run]\nprogram = \"/x\"\nargv = []\n").unwrap_err(),
            "argv is empty; the program's name comes first"
        );
        let climbs = format!(
            "{run}[expected]\nended = \"deadlock\"\ninstructions = 0\ncalls = 0\nremoved = [\"../x\"]\n"
        );
        assert_eq!(read(&climbs).unwrap_err(), "../x is no path below the writable directory");
    }
}
