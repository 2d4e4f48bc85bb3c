//! Which calls, signals, outcomes and paths are shown: the expressions of `-e`, in strace's language.
//!
//! Unknown names are refused with a suggestion.  Must not know events.

mod injection;

use std::fmt;

use syscalls::arg::Kind;
use syscalls::{SYSENT, SigSet, Signal, Sysent};

pub use injection::Injection;
use regex_lite::Regex;

/// Room for every number of the table and one for those past it.
const NUMBERS: usize = 221;

/// A set of call numbers; all numbers past the table count as one.
#[derive(Clone, PartialEq, Eq)]
pub struct CallSet([bool; NUMBERS]);

impl fmt::Debug for CallSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().enumerate().filter(|(_, on)| **on).map(|(n, _)| n)).finish()
    }
}

impl CallSet {
    /// Every call, or none.
    pub fn all(on: bool) -> Self {
        Self([on; NUMBERS])
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        self.0[(number as usize).min(NUMBERS - 1)]
    }

    /// Parses `NAME,%class,/regex,...`, with `!` in front for all others.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (list, inverted) = match text.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut set = Self::all(false);
        for item in list.split(',').filter(|i| !i.is_empty()) {
            set.add(item)?;
        }
        Ok(if inverted { set.inverted() } else { set })
    }

    /// All other calls.
    pub fn inverted(mut self) -> Self {
        self.0.iter_mut().for_each(|on| *on = !*on);
        self
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        let mut add_where = |test: &dyn Fn(&Sysent) -> bool| {
            let mut found = false;
            for row in SYSENT.iter().filter(|r| r.is_call()) {
                if test(row) {
                    self.0[usize::from(row.code)] = true;
                    found = true;
                }
            }
            found
        };
        if item == "all" {
            self.0 = [true; NUMBERS];
            return Ok(());
        }
        if item == "none" {
            return Ok(());
        }
        if let Some(class) = item.strip_prefix('%') {
            return match Class::from_name(class) {
                Some(Class::All) => {
                    self.0 = [true; NUMBERS];
                    Ok(())
                }
                Some(class) => {
                    add_where(&|row| class.has(row));
                    Ok(())
                }
                None => Err(unknown("class", class, Class::NAMES.iter().map(|(n, _)| n.to_string()))),
            };
        }
        if let Some(regex) = item.strip_prefix('/') {
            let pattern = Regex::new(regex).map_err(|e| format!("/{regex}: {e}"))?;
            return match add_where(&|row| pattern.is_match(&row.trace_name().to_string())) {
                true => Ok(()),
                false => Err(format!("no system call matches /{regex}")),
            };
        }
        if let Ok(number) = item.parse::<u32>() {
            self.0[(number as usize).min(NUMBERS - 1)] = true;
            return Ok(());
        }
        // A plain name means the old forms too, as people who look for `stat` expect.
        let (item, optional) = match item.strip_prefix('?') {
            Some(rest) => (rest, true),
            None => (item, false),
        };
        // All calls here are of 32 bits.
        let item = item.strip_suffix("@32").unwrap_or(item);
        let named = add_where(&|row| row.name == item || row.is_called(item));
        if named || optional {
            return Ok(());
        }
        // Classes without their sign are what strace understood first.
        if let Some((_, class)) = Class::NAMES[..Class::PLAIN].iter().find(|(name, _)| *name == item) {
            add_where(&|row| class.has(row));
            return Ok(());
        }
        if let Some((_, ours)) = LINUX.iter().find(|(theirs, _)| *theirs == item) {
            return Err(format!("unknown system call '{item}': 2.1 has '{ours}'"));
        }
        let names = SYSENT.iter().filter(|r| r.is_call()).map(|r| r.trace_name().to_string());
        Err(unknown("system call", item, names))
    }
}

/// A class of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    All,
    File,
    Desc,
    Network,
    Process,
    Signal,
    Ipc,
    Memory,
    Creds,
    Clock,
    Stat,
    Lstat,
    Fstat,
    Statfs,
    Fstatfs,
    AnyStat,
    AnyStatfs,
    Pure,
    Sysctl,
    Old,
}

impl Class {
    /// How many names, from the first, are classes without a `%` too.
    const PLAIN: usize = 8;
    const NAMES: [(&'static str, Class); 22] = [
        ("file", Class::File),
        ("desc", Class::Desc),
        ("network", Class::Network),
        ("net", Class::Network),
        ("process", Class::Process),
        ("signal", Class::Signal),
        ("ipc", Class::Ipc),
        ("memory", Class::Memory),
        ("all", Class::All),
        ("%stat", Class::AnyStat),
        ("%statfs", Class::AnyStatfs),
        ("pure", Class::Pure),
        ("creds", Class::Creds),
        ("clock", Class::Clock),
        ("stat", Class::Stat),
        ("lstat", Class::Lstat),
        ("fstat", Class::Fstat),
        ("statfs", Class::Statfs),
        ("fstatfs", Class::Fstatfs),
        ("sysctl", Class::Sysctl),
        ("socket", Class::Network),
        ("old", Class::Old),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, c)| *c)
    }

    /// Whether a row belongs to the class: by its area, its argument types, or its name.
    fn has(self, row: &Sysent) -> bool {
        let takes = |test: fn(Kind) -> bool| row.args.iter().any(|a| test(a.kind));
        match self {
            Class::All => true,
            Class::File => takes(|k| matches!(k, Kind::Path)),
            Class::Desc => {
                takes(|k| matches!(k, Kind::Fd | Kind::SelectSets))
                    || matches!(row.ret, syscalls::result::RetKind::Fd | syscalls::result::RetKind::Pair)
            }
            Class::Network => row.area == "socket",
            Class::Process => {
                matches!(row.name, "exit" | "fork" | "vfork" | "execve" | "wait4" | "wait" | "ptrace")
            }
            Class::Signal => row.area == "signal",
            Class::Ipc => row.area == "ipc",
            Class::Memory => row.area == "vm",
            Class::Creds => row.area == "cred",
            Class::Clock => row.area == "time",
            Class::Stat => row.name == "stat",
            Class::Lstat => row.name == "lstat",
            Class::Fstat => row.name == "fstat",
            Class::Statfs => matches!(row.name, "statfs" | "getfsstat"),
            Class::Fstatfs => row.name == "fstatfs",
            Class::AnyStat => matches!(row.name, "stat" | "lstat" | "fstat"),
            Class::AnyStatfs => matches!(row.name, "statfs" | "fstatfs" | "getfsstat"),
            Class::Pure => row.narg == 0 && row.name.starts_with("get"),
            Class::Sysctl => row.area == "sysctl",
            Class::Old => row.kind == syscalls::RowKind::Compat,
        }
    }
}

/// Parses a set of signals: `SIGINT,CHLD`, `!SIGCHLD`, `all`, `none`.
pub fn parse_signals(text: &str) -> Result<SigSet, String> {
    let (list, inverted) = match text.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut set = SigSet::EMPTY;
    for item in list.split(',').filter(|i| !i.is_empty()) {
        match (item, Signal::from_name(&item.to_uppercase())) {
            ("all", _) => set = SigSet(u32::MAX),
            ("none", _) => {}
            (_, Some(signal)) => set.insert(signal),
            (_, None) => {
                return Err(unknown("signal", item, Signal::ALL.iter().map(|s| s.name().to_string())));
            }
        }
    }
    Ok(if inverted { SigSet(!set.0) } else { set })
}

/// Which outcomes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// Calls that succeeded.
    pub successful: bool,
    /// Calls that failed.
    pub failed: bool,
    /// Calls that never ended, or do not return.
    pub unfinished: bool,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { successful: true, failed: true, unfinished: true }
    }
}

impl Outcomes {
    /// Parses `successful,failed,unfinished`, with `!` in front for the others.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (list, inverted) = match text.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut set = Self { successful: false, failed: false, unfinished: false };
        for item in list.split(',').filter(|i| !i.is_empty()) {
            match item {
                "successful" => set.successful = true,
                "failed" => set.failed = true,
                "unfinished" => set.unfinished = true,
                "all" => set = Self::default(),
                // strace's others never happen to a guest.
                "none" | "unavailable" | "detached" => {}
                _ => {
                    let names = ["successful", "failed", "unfinished"].iter().map(ToString::to_string);
                    return Err(unknown("status", item, names));
                }
            }
        }
        if inverted {
            set = Self { successful: !set.successful, failed: !set.failed, unfinished: !set.unfinished };
        }
        Ok(set)
    }
}

/// Parses a list of descriptors: `0,3`, `all`; `None` means every descriptor.
pub fn parse_fds(text: &str) -> Result<Option<Vec<i32>>, String> {
    if text == "all" {
        return Ok(None);
    }
    text.split(',')
        .map(|n| n.parse().map_err(|_| format!("'{n}' is not a descriptor")))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Calls of Linux that people who know strace look for, and what 2.1 has instead.
const LINUX: [(&str, &str); 16] = [
    ("brk", "break"),
    ("clone", "fork"),
    ("creat", "open"),
    ("dup3", "dup2"),
    ("epoll_wait", "select"),
    ("exit_group", "exit"),
    ("getdents", "getdirentries"),
    ("getdents64", "getdirentries"),
    ("newfstatat", "stat"),
    ("openat", "open"),
    ("pipe2", "pipe"),
    ("poll", "select"),
    ("rt_sigaction", "sigaction"),
    ("rt_sigprocmask", "sigprocmask"),
    ("rt_sigreturn", "sigreturn"),
    ("waitpid", "wait4"),
];

/// The refusal of a name, with the nearest ones that exist.
pub fn unknown(what: &str, name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known
        .map(|k| (distance(name, &k), k))
        .filter(|(d, _)| *d <= 1 + name.len() / 3)
        .min_by_key(|(d, _)| *d);
    match near {
        Some((_, k)) => format!("unknown {what} '{name}'; did you mean '{k}'?"),
        None => format!("unknown {what} '{name}'"),
    }
}

/// Edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(ca != *cb)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let set = CallSet::parse(text).unwrap();
        SYSENT
            .iter()
            .filter(|r| r.is_call() && set.contains(r.code.into()))
            .map(|r| r.trace_name().to_string())
            .collect()
    }

    #[test]
    fn names_mean_the_old_forms_too() {
        assert_eq!(names("stat"), ["old.stat", "stat"]);
        assert_eq!(names("old.stat"), ["old.stat"]);
        assert_eq!(names("pipe,socketpair"), ["pipe", "socketpair"]);
        assert!(!names("!read").contains(&"read".to_string()));
        assert!(names("!read").contains(&"write".to_string()));
    }

    #[test]
    fn classes_come_from_the_rows() {
        assert!(names("%network").contains(&"socketpair".to_string()));
        assert!(names("%file").contains(&"open".to_string()));
        assert!(!names("%file").contains(&"read".to_string()));
        assert!(names("%desc").contains(&"select".to_string()));
        assert_eq!(names("/^get.?uid$"), ["getuid", "geteuid"]);
    }

    #[test]
    fn unknown_names_are_refused_with_a_suggestion() {
        assert_eq!(CallSet::parse("opne").unwrap_err(), "unknown system call 'opne'; did you mean 'open'?");
        assert_eq!(CallSet::parse("%netwrk").unwrap_err(), "unknown class 'netwrk'; did you mean 'network'?");
        assert_eq!(CallSet::parse("zzzzzzzz").unwrap_err(), "unknown system call 'zzzzzzzz'");
        assert_eq!(parse_signals("SIGCHL").unwrap_err(), "unknown signal 'SIGCHL'; did you mean 'SIGCHLD'?");
        assert!(CallSet::parse("?opne").is_ok());
    }

    #[test]
    fn sets_of_signals_and_outcomes_parse() {
        assert_eq!(parse_signals("none").unwrap(), SigSet(0));
        assert_eq!(parse_signals("INT,SIGQUIT").unwrap().to_string(), "[INT QUIT]");
        assert!(!parse_signals("!CHLD").unwrap().contains(Signal::SIGCHLD));
        assert!(!Outcomes::parse("failed").unwrap().successful);
        assert!(Outcomes::parse("!failed").unwrap().successful);
        assert!(Outcomes::parse("faild").is_err());
    }
}
