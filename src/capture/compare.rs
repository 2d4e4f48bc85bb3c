//! What differs between a recorded run and another one, for people.
//!
//! Must not run anything.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::aspect::Aspect;
use super::case::{self, Case, CaseError, End, Expected, FileState, ScreenState};
use super::chain::{self, Chain};
use super::content::{Fingerprint, Text};
use super::player::Shown;
use super::replay::{Observed, optional};
use super::screen::side_by_side;
use super::unified;

/// The chain of the calls, in the directory of expectations.
pub const CALLS: &str = "calls";
/// Their text, where it was kept.
pub const TRACE: &str = "trace";
/// What was sent to the terminal.
pub const TERMINAL: &str = "terminal";
/// Equal calls that are shown before the first different one.
pub const BEFORE: u64 = 5;
/// Most bytes of an expected file, and of a chain of calls: those that are longer are not kept.
const LARGEST: u64 = 16 << 20;
/// Most lines of a difference that are shown.
const LINES: usize = 40;

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of what.
    pub aspect: Aspect,
    /// What differs, in a line.
    pub what: String,
    /// The difference itself.
    pub detail: Vec<String>,
}

impl Difference {
    /// A difference in a line.
    pub fn new(aspect: Aspect, what: impl Into<String>) -> Self {
        Self { aspect, what: what.into(), detail: Vec::new() }
    }
}

/// What came of a run that is compared with.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What is in `case.toml`.
    pub expected: Expected,
    /// Standard output, where its bytes were kept.
    pub stdout: Option<Vec<u8>>,
    /// Standard error, where its bytes were kept.
    pub stderr: Option<Vec<u8>>,
    /// What was sent to the terminal, where its bytes were kept.
    pub terminal: Option<Vec<u8>>,
    /// Texts of screens, by their names.
    pub screens: BTreeMap<String, String>,
    /// The calls.
    pub chain: Chain,
    /// Their text, where it was kept.
    pub trace: Option<Vec<String>>,
    /// Bytes of new and changed files, where they were kept.
    pub contents: BTreeMap<Text, Vec<u8>>,
}

/// The fingerprint of an output; an empty one has none.
fn print_of(bytes: &[u8]) -> Option<Fingerprint> {
    (!bytes.is_empty()).then(|| Fingerprint::of(bytes))
}

impl Recorded {
    /// Reads the expectations of a case.
    pub fn read(case: &Case, directory: &Path) -> Result<Option<Self>, CaseError> {
        let Some(expected) = case.expected.clone() else { return Ok(None) };
        let kept = Path::new(case::EXPECTED);
        let path = directory.join(kept).join(CALLS);
        let own = |name: &str| optional(directory, &kept.join(name), LARGEST);
        let bytes = case::read(directory, &Path::new(case::EXPECTED).join(CALLS), LARGEST);
        let bytes = bytes.map_err(|e| CaseError::file(&path, e))?;
        let chain = Chain::from_bytes(&bytes).filter(|chain| chain.count == expected.calls);
        let Some(chain) = chain else {
            return Err(CaseError::Text {
                path,
                message: "damaged; verify --bless writes it anew".to_owned(),
            });
        };
        let trace = optional(directory, &kept.join(TRACE), case::LARGEST)?
            .map(|text| String::from_utf8_lossy(&text).lines().map(str::to_owned).collect());
        let mut contents = BTreeMap::new();
        for file in expected.file.iter().filter(|file| file.content.is_some()) {
            if let Some(bytes) = optional(directory, &kept.join(case::FILES).join(file.path.os()), LARGEST)? {
                contents.insert(file.path.clone(), bytes);
            }
        }
        let mut screens = BTreeMap::new();
        for screen in &expected.screen {
            let path = kept.join(case::SCREENS).join(&screen.name);
            if let Some(bytes) = optional(directory, &path, LARGEST)? {
                screens.insert(screen.name.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let (stdout, stderr, terminal) = (own("stdout")?, own("stderr")?, own(TERMINAL)?);
        Ok(Some(Self { expected, stdout, stderr, terminal, screens, chain, trace, contents }))
    }

    /// What shall be expected after a run.
    pub fn of(observed: Observed) -> Self {
        let shown = observed.shown.unwrap_or_default();
        let expected = Expected {
            ended: observed.ended,
            instructions: observed.instructions,
            calls: observed.chain.count,
            removed: observed.removed,
            stdout: print_of(&observed.stdout),
            stderr: print_of(&observed.stderr),
            terminal: print_of(&shown.bytes),
            screen: shown.screens.iter().map(|(name, text)| state_of(name, text)).collect(),
            file: observed.files,
        };
        Self {
            expected,
            stdout: Some(observed.stdout),
            stderr: Some(observed.stderr),
            terminal: Some(shown.bytes),
            screens: shown.screens.into_iter().collect(),
            chain: observed.chain,
            trace: Some(observed.text).filter(|text| !text.is_empty()),
            contents: observed.contents,
        }
    }
}

/// All differences between what was recorded and what was observed; the calls without their context.
pub fn compare(recorded: &Recorded, observed: &Observed) -> Vec<Difference> {
    let expected = &recorded.expected;
    let mut found = Vec::new();
    if expected.ended != observed.ended {
        found.push(Difference::new(
            Aspect::Exit,
            format!("ended: {}, not {}", end(observed.ended), end(expected.ended)),
        ));
    }
    let shown = observed.shown.clone().unwrap_or_default();
    screens_differ(recorded, &shown, &mut found);
    for (aspect, name, print, kept, bytes) in [
        (Aspect::Terminal, TERMINAL, &expected.terminal, &recorded.terminal, &shown.bytes),
        (Aspect::Stdout, "stdout", &expected.stdout, &recorded.stdout, &observed.stdout),
        (Aspect::Stderr, "stderr", &expected.stderr, &recorded.stderr, &observed.stderr),
    ] {
        let kept = if print.is_none() { Some(kept.as_deref().unwrap_or_default()) } else { kept.as_deref() };
        if *print != print_of(bytes) || kept.is_some_and(|kept| kept != bytes.as_slice()) {
            found.push(bytes_differ(aspect, name, print.as_ref(), kept, bytes));
        }
    }
    files_differ(recorded, observed, &mut found);
    if let Some((index, width)) = recorded.chain.first_difference(&observed.chain) {
        found.push(calls_differ(recorded, observed, index, width));
    } else if let Some(trace) = recorded.trace.as_ref().filter(|trace| **trace != observed.text) {
        found.push(text_differs(trace, &observed.text));
    }
    if expected.instructions != observed.instructions {
        let (was, is) = (expected.instructions, observed.instructions);
        found.push(Difference::new(Aspect::Instructions, format!("instructions: {is}, not {was}")));
    }
    found
}

fn state_of(name: &str, text: &str) -> ScreenState {
    ScreenState { name: name.to_owned(), content: Fingerprint::of(text.as_bytes()) }
}

/// Screens that are others than they were, side by side; and keys that were not typed.
fn screens_differ(recorded: &Recorded, shown: &Shown, found: &mut Vec<Difference>) {
    if let Some(step) = &shown.waiting {
        found.push(Difference::new(
            Aspect::Screen,
            format!("keys: the run ended while they waited at: {step}"),
        ));
    }
    let names: Vec<&str> = recorded.expected.screen.iter().map(|screen| screen.name.as_str()).collect();
    let now: Vec<&str> = shown.screens.iter().map(|(name, _)| name.as_str()).collect();
    if names != now {
        let what = format!("screens: {}, not {}", now.join(", "), names.join(", "));
        found.push(Difference::new(Aspect::Screen, what));
        return;
    }
    for (expected, (name, text)) in recorded.expected.screen.iter().zip(&shown.screens) {
        let kept = recorded.screens.get(name);
        if expected.content == Fingerprint::of(text.as_bytes()) && kept.is_none_or(|kept| kept == text) {
            continue;
        }
        let mut difference = Difference::new(Aspect::Screen, format!("screen {name} differs"));
        if let Some(kept) = kept {
            difference.detail = side_by_side(kept, text);
        }
        found.push(difference);
    }
}

/// The end of a run in words.
pub fn end(end: End) -> String {
    match end {
        End::Exit(status) => format!("exit {status}"),
        End::Signal(signal) => match syscalls::Signal::from_raw(signal) {
            Some(known) => format!("signal {signal} ({})", known.name()),
            None => format!("signal {signal}"),
        },
        End::Reboot(how) => format!("reboot with flags {how:#x}"),
        End::Deadlock => "every process waits for something that cannot happen".to_owned(),
        End::MaxCpu => "the run hit max_cpu".to_owned(),
        End::MaxProcs => "the run hit max_procs".to_owned(),
        End::MaxMem => "the run hit max_mem".to_owned(),
        End::MaxOutput => "the run hit max_output".to_owned(),
    }
}

fn bytes_differ(
    aspect: Aspect,
    name: &str,
    print: Option<&Fingerprint>,
    was: Option<&[u8]>,
    is: &[u8],
) -> Difference {
    let Some(was) = was.filter(|was| *was != is) else {
        let now = Fingerprint::of(is);
        let (size, hash) = print.map_or((0, ""), |print| (print.size, print.sha256.as_str()));
        return Difference::new(
            aspect,
            format!("{name}: {} bytes with sha-256 {}, not {size} with {hash}", now.size, now.sha256),
        );
    };
    let mut difference = Difference::new(aspect, format!("{name} differs"));
    difference.detail = match (std::str::from_utf8(was), std::str::from_utf8(is)) {
        (Ok(was), Ok(is)) if !was.contains('\0') && !is.contains('\0') => lines_differ(was, is, name),
        _ => binary(was, is),
    };
    difference
}

fn lines_differ(was: &str, is: &str, name: &str) -> Vec<String> {
    let names = [format!("{name} (expected)"), format!("{name} (now)")];
    let mut lines = unified::lines(was, is, names.each_ref().map(String::as_str));
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("… {more} more lines"));
    }
    lines
}

fn binary(was: &[u8], is: &[u8]) -> Vec<String> {
    let at = was.iter().zip(is).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        let piece = bytes.get(at..bytes.len().min(at + 16)).unwrap_or_default();
        piece.iter().map(|b| format!(" {b:02x}")).collect::<String>()
    };
    vec![
        format!("{} bytes, now {}; the first difference is at byte {at}", was.len(), is.len()),
        format!("-{}", show(was)),
        format!("+{}", show(is)),
    ]
}

fn files_differ(recorded: &Recorded, observed: &Observed, found: &mut Vec<Difference>) {
    let by_path = |files: &[FileState]| -> BTreeMap<Text, FileState> {
        files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (was, is) = (by_path(&recorded.expected.file), by_path(&observed.files));
    for (path, before) in &was {
        let Some(now) = is.get(path) else {
            found.push(Difference::new(
                Aspect::Files,
                format!("files/{path}: not there or not changed any more"),
            ));
            continue;
        };
        let (kept, bytes) = (recorded.contents.get(path).map(Vec::as_slice), observed.contents.get(path));
        let same = kept.is_none_or(|kept| bytes.is_some_and(|bytes| bytes == kept));
        if now == before && same {
            continue;
        }
        match (&before.content, bytes) {
            (Some(print), Some(bytes)) if before.content != now.content || !same => {
                found.push(bytes_differ(Aspect::Files, &format!("files/{path}"), Some(print), kept, bytes));
            }
            _ => found.push(Difference::new(
                Aspect::Files,
                format!("files/{path}: {}, not {}", state(now), state(before)),
            )),
        }
    }
    for path in is.keys().filter(|path| !was.contains_key(*path)) {
        found.push(Difference::new(
            Aspect::Files,
            format!("files/{path}: made or changed, which it was not before"),
        ));
    }
    for path in recorded.expected.removed.iter().filter(|path| !observed.removed.contains(path)) {
        found.push(Difference::new(Aspect::Files, format!("files/{path}: not removed any more")));
    }
    for path in observed.removed.iter().filter(|path| !recorded.expected.removed.contains(path)) {
        found.push(Difference::new(Aspect::Files, format!("files/{path}: removed, which it was not before")));
    }
}

fn state(file: &FileState) -> String {
    let owner = |id: Option<u32>| id.map_or_else(|| "own".to_owned(), |id| id.to_string());
    let target = file.target.as_ref().map(|t| format!(" to {t}")).unwrap_or_default();
    format!(
        "{}{target} with mode {}, user {}, group {}",
        file.kind,
        file.mode,
        owner(file.uid),
        owner(file.gid)
    )
}

/// The headline of a difference in the calls; [`calls_context`] adds the rest.
fn calls_differ(recorded: &Recorded, observed: &Observed, index: u64, width: u64) -> Difference {
    let name = |chain: &Chain| {
        if index >= chain.count {
            return "the end of the run".to_owned();
        }
        chain.number_at(index).map_or_else(|| "a call".to_owned(), call_name)
    };
    let among = if width > 1 { format!(" or one of the {} before it", width - 1) } else { String::new() };
    let (was, is) = (name(&recorded.chain), name(&observed.chain));
    let what = if was == is { format!("{is} differs") } else { format!("{is}, not {was}") };
    Difference::new(Aspect::Calls, format!("calls: number {}{among}: {what}", index + 1))
}

/// The calls are the same, but not the words for them.
fn text_differs(was: &[String], is: &[String]) -> Difference {
    let at = was.iter().zip(is).take_while(|(a, b)| a == b).count();
    let mut difference = Difference::new(
        Aspect::Calls,
        format!("trace: line {} differs, though the calls are the same", at + 1),
    );
    let from = at.saturating_sub(BEFORE as usize);
    difference.detail.extend(was.iter().take(at).skip(from).map(|line| format!("  {line}")));
    difference.detail.extend(was.get(at).map(|line| format!("- {line}")));
    difference.detail.extend(is.get(at).map(|line| format!("+ {line}")));
    difference
}

fn call_name(number: u16) -> String {
    match number {
        chain::SIGNAL => "a signal".to_owned(),
        chain::STOP => "a stop".to_owned(),
        chain::EXIT => "an exit".to_owned(),
        number => syscalls::sysent::row(number.into())
            .map_or_else(|| format!("call {number}"), |row| row.trace_name().to_string()),
    }
}

/// Says of a difference in the calls that it comes from a file that the case does not hold.
pub fn calls_origin(found: &mut [Difference], case: &Case, about: &[u8]) {
    let Some(difference) = found.iter_mut().find(|d| d.what.starts_with("calls: ")) else { return };
    let run = &case.run;
    let below = |place: &Text| {
        about.strip_prefix(place.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let held = [&run.files_at].into_iter().chain(&run.scratch).any(below) || about.starts_with(b"/dev/");
    if !held && about.starts_with(b"/") {
        difference.detail.push(format!(
            "({} is a file or directory of the root, which a case does not hold: --input puts a copy into it)",
            Text(about.to_vec())
        ));
    }
}

/// Adds to the difference of the calls the lines of `text`, of which the first is call number `from`.
pub fn calls_context(found: &mut [Difference], recorded: &Recorded, text: &[String], from: u64, index: u64) {
    let Some(difference) = found.iter_mut().find(|d| d.what.starts_with("calls: ")) else { return };
    let equal = usize::try_from(index - from).unwrap_or(usize::MAX);
    difference.detail.extend(text.iter().take(equal).map(|line| format!("  {line}")));
    let at = usize::try_from(index).ok();
    match recorded.trace.as_ref().and_then(|trace| trace.get(at?)) {
        Some(line) => difference.detail.push(format!("- {line}")),
        None if index >= recorded.chain.count => difference.detail.push("- (the run ended here)".to_owned()),
        None => difference.detail.push("- (capture --keep-trace would have kept this line)".to_owned()),
    }
    match text.get(equal) {
        Some(line) => difference.detail.push(format!("+ {line}")),
        None => difference.detail.push("+ (the run ended here)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Observed {
        let file = |path: &str, content: &[u8]| FileState {
            path: path.into(),
            kind: "file".to_owned(),
            mode: "0644".to_owned(),
            uid: None,
            gid: None,
            target: None,
            content: Some(Fingerprint::of(content)),
        };
        Observed {
            ended: End::Exit(0),
            instructions: 100,
            stdout: b"one\ntwo\n".to_vec(),
            stderr: Vec::new(),
            shown: None,
            chain: Chain::default(),
            text: Vec::new(),
            about: None,
            images: Vec::new(),
            files: vec![file("out", b"\0\x01"), file("text", b"a\n")],
            contents: [("out".into(), b"\0\x01".to_vec()), ("text".into(), b"a\n".to_vec())].into(),
            removed: vec!["gone".into()],
        }
    }

    /// What is said of a run that differs from the recorded one by `change`.
    fn said(change: impl Fn(&mut Observed)) -> Vec<String> {
        let mut now = observed();
        change(&mut now);
        let found = compare(&Recorded::of(observed()), &now);
        found.into_iter().map(|d| [vec![d.what], d.detail].concat().join("|")).collect()
    }

    #[test]
    fn each_difference_is_named() {
        assert!(said(|_| ()).is_empty());
        assert_eq!(said(|o| o.ended = End::Signal(11)), ["ended: signal 11 (SIGSEGV), not exit 0"]);
        assert_eq!(said(|o| o.instructions += 1), ["instructions: 101, not 100"]);
        assert_eq!(
            said(|o| o.stdout = b"one\n2\n".to_vec()),
            ["stdout differs|--- stdout (expected)|+++ stdout (now)|@@ -1,2 +1,2 @@| one|-two|+2"]
        );
        assert_eq!(
            said(|o| o.stderr = b"oops\n".to_vec()),
            ["stderr differs|--- stderr (expected)|+++ stderr (now)|@@ -0,0 +1 @@|+oops"]
        );
        assert_eq!(said(|o| o.removed.clear()), ["files/gone: not removed any more"]);
        assert_eq!(said(|o| o.removed.push("x".into())), ["files/x: removed, which it was not before"]);
    }

    #[test]
    fn files_differ_by_bytes_modes_and_presence() {
        let binary = said(|o| {
            o.files[0].content = Some(Fingerprint::of(b"\0\x02"));
            o.contents.insert("out".into(), b"\0\x02".to_vec());
        });
        assert_eq!(binary, ["files/out differs|2 bytes, now 2; the first difference is at byte 1|- 01|+ 02"]);
        assert_eq!(
            said(|o| o.files[1].mode = "0600".to_owned()),
            [
                "files/text: file with mode 0600, user own, group own, not file with mode 0644, user own, group own"
            ]
        );
        assert_eq!(said(|o| drop(o.files.pop())), ["files/text: not there or not changed any more"]);
        let made = said(|o| {
            let another = FileState { path: "new".into(), ..o.files[1].clone() };
            o.files.push(another);
        });
        assert_eq!(made, ["files/new: made or changed, which it was not before"]);
    }

    #[test]
    fn outputs_that_were_not_kept_differ_by_their_hashes() {
        let mut recorded = Recorded::of(observed());
        recorded.stdout = None;
        let mut now = observed();
        now.stdout.push(b'x');
        let found = compare(&recorded, &now);
        assert!(found[0].what.starts_with("stdout: 9 bytes with sha-256 "), "{found:?}");
    }
}
