//! What `run` and `trace` have in common: where the guest lives, who it is, what it is told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;

/// Options of a guest.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestOptions {
    /// Directory of the host that is the guest's root; PROGRAM is then a path of the guest, and a bare
    /// name is looked up in the guest's PATH.  Without it the guest sees the current directory, the
    /// program's own directory (read-only), a private /tmp and /dev.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Show a directory of the host at GUEST; the longest mount point wins.
    #[arg(long, value_name = "HOST:GUEST[:ro]", value_parser = parse_mount)]
    pub mount: Vec<Mount>,
    /// Current directory of the guest.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set a variable of the guest's environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub env: Vec<OsString>,
    /// Pass the host's environment on, all but LD_*.
    #[arg(long)]
    pub env_host: bool,
    /// Begin with an empty environment instead of PATH, HOME, USER, SHELL and TERM.
    #[arg(long)]
    pub clear_env: bool,
    /// User number of the guest.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub uid: u32,
    /// Group number of the guest; that of --uid unless given.
    #[arg(long, value_name = "N")]
    pub gid: Option<u32>,
    /// First argument of the guest, instead of PROGRAM as it is given.
    #[arg(long, value_name = "NAME")]
    pub argv0: Option<OsString>,
    /// Control word of a fresh x87 unit: 0x1272 is 2.1's, 386BSD had 0x362.
    #[arg(long, value_name = "WORD", default_value = "0x1272", value_parser = parse_control_word)]
    pub fpcw: u16,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// A directory of the host at a place of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Directory of the host.
    pub host: PathBuf,
    /// Absolute path in the guest.
    pub guest: PathBuf,
    /// Whether the guest can only read there.
    pub read_only: bool,
}

fn parse_mount(text: &str) -> Result<Mount, String> {
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    // The last colon divides: names of the host may contain colons.
    match rest.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => {
            Ok(Mount { host: host.into(), guest: guest.into(), read_only })
        }
        _ => Err("expected HOST:GUEST or HOST:GUEST:ro with an absolute GUEST".to_owned()),
    }
}

fn parse_variable(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.into()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn parse_control_word(text: &str) -> Result<u16, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map_err(|_| "expected a 16-bit number, such as 0x1272".to_owned())
}

/// Search path of the guest's root user.
const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/bin";

impl GuestOptions {
    /// The guest's arguments, the name first.
    pub fn arguments(&self) -> Vec<Vec<u8>> {
        let mut args: Vec<Vec<u8>> = self.command.iter().map(|arg| arg.clone().into_vec()).collect();
        if let (Some(name), Some(first)) = (&self.argv0, args.first_mut()) {
            *first = name.clone().into_vec();
        }
        args
    }

    /// The guest's environment.
    pub fn environment(&self) -> Vec<Vec<u8>> {
        let (user, home) =
            if self.uid == 0 { ("root".to_owned(), "/root") } else { (self.uid.to_string(), "/") };
        let defaults =
            [("PATH", PATH), ("HOME", home), ("USER", &user), ("SHELL", "/bin/sh"), ("TERM", "vt100")];
        let mut variables = Variables::default();
        if !self.clear_env {
            defaults.iter().for_each(|(name, value)| variables.set(format!("{name}={value}").into_bytes()));
        }
        if self.env_host {
            for (name, value) in std::env::vars_os().filter(|(name, _)| !name.as_bytes().starts_with(b"LD_"))
            {
                variables.set([name.as_bytes(), b"=", value.as_bytes()].concat());
            }
        }
        self.env.iter().for_each(|variable| variables.set(variable.clone().into_vec()));
        variables.0
    }

    /// The guest's group.
    pub fn group(&self) -> u32 {
        self.gid.unwrap_or(self.uid)
    }

    /// What the guest sees, and where the program is in it.
    pub fn view(&self) -> Result<View, Failure> {
        let program = self.command.first().map(PathBuf::from).unwrap_or_default();
        match &self.root {
            Some(root) => self.rooted(root, &program),
            None => self.unrooted(&program),
        }
    }

    fn rooted(&self, root: &Path, program: &Path) -> Result<View, Failure> {
        if !root.is_dir() {
            return Err(Failure::usage(format!("--root {}: not a directory", root.display())));
        }
        let candidates = if is_bare(program) {
            self.search_path().map(|dir| dir.join(program)).collect()
        } else {
            vec![program.to_owned()]
        };
        let cwd = self.cwd.clone().unwrap_or_else(|| "/".into());
        let mounts = self.mount.clone();
        Ok(View { root: Some(root.to_owned()), mounts, private: false, cwd, candidates })
    }

    /// The current directory and the program's own, each at its place on the host.
    fn unrooted(&self, program: &Path) -> Result<View, Failure> {
        let here = std::env::current_dir()
            .map_err(|e| Failure::internal(&anyhow::Error::new(e).context("current directory")))?;
        let typed = lexical(&here.join(program));
        let directory = typed.parent().unwrap_or(Path::new("/")).to_owned();
        let mut mounts = vec![Mount { host: here.clone(), guest: here.clone(), read_only: false }];
        if !directory.starts_with(&here) && directory.is_dir() {
            mounts.push(Mount { host: directory.clone(), guest: directory, read_only: true });
        }
        mounts.extend(self.mount.iter().cloned());
        let cwd = self.cwd.clone().unwrap_or(here);
        let candidates =
            vec![if is_bare(program) { Path::new(".").join(program) } else { program.to_owned() }];
        Ok(View { root: None, mounts, private: true, cwd, candidates })
    }

    fn search_path(&self) -> impl Iterator<Item = PathBuf> {
        let environment = self.environment();
        let path =
            environment.iter().find_map(|variable| variable.strip_prefix(b"PATH=")).unwrap_or_default();
        let directories: Vec<PathBuf> =
            path.split(|&b| b == b':').map(|dir| Path::new(OsStr::from_bytes(dir)).to_owned()).collect();
        directories.into_iter()
    }
}

/// What a guest sees of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The guest's root; without one an empty directory.
    pub root: Option<PathBuf>,
    /// Directories of the host in it.
    pub mounts: Vec<Mount>,
    /// /tmp and /dev of the guest's own.
    pub private: bool,
    /// Current directory in the guest.
    pub cwd: PathBuf,
    /// Paths in the guest where the program may be, in order.
    pub candidates: Vec<PathBuf>,
}

fn is_bare(program: &Path) -> bool {
    !program.as_os_str().as_bytes().contains(&b'/')
}

/// A path without `.` and `..`; what `..` means where it follows a symlink is not asked.
fn lexical(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut so_far, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                so_far.pop();
            }
            other => so_far.push(other),
        }
        so_far
    })
}

/// NAME=VALUE strings, each name once, in the order in which they were set first.
#[derive(Default)]
struct Variables(Vec<Vec<u8>>);

impl Variables {
    fn set(&mut self, variable: Vec<u8>) {
        let name_of = |v: &[u8]| v.split(|&b| b == b'=').next().map(<[u8]>::to_vec);
        let name = name_of(&variable);
        match self.0.iter_mut().find(|v| name_of(v) == name) {
            Some(there) => *there = variable,
            None => self.0.push(variable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        guest: GuestOptions,
    }

    fn guest(args: &[&str]) -> GuestOptions {
        Only::try_parse_from(["bsd21"].iter().chain(args)).expect("arguments").guest
    }

    #[test]
    fn everything_behind_the_program_is_the_guests() {
        let guest = guest(&["--uid", "5", "ls", "-l", "--root", "x"]);
        assert_eq!(guest.arguments(), [&b"ls"[..], b"-l", b"--root", b"x"]);
        assert_eq!((guest.root.clone(), guest.uid, guest.group()), (None, 5, 5));
    }

    #[test]
    fn the_environment_is_the_guests_unless_told_otherwise() {
        let names = |guest: &GuestOptions| -> Vec<String> {
            guest
                .environment()
                .iter()
                .map(|v| String::from_utf8_lossy(v).split('=').next().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(names(&guest(&["x"])), ["PATH", "HOME", "USER", "SHELL", "TERM"]);
        let set = guest(&["--env", "TERM=dumb", "--env", "A=", "x"]).environment();
        assert!(set.contains(&b"TERM=dumb".to_vec()) && set.contains(&b"A=".to_vec()) && set.len() == 6);
        assert_eq!(guest(&["--clear-env", "--env", "A=1", "x"]).environment(), [b"A=1"]);
    }

    #[test]
    fn a_mount_is_host_and_guest_and_perhaps_ro() {
        let mount = |text| parse_mount(text);
        assert_eq!(mount("a:b:/c:ro"), Ok(Mount { host: "a:b".into(), guest: "/c".into(), read_only: true }));
        assert!(mount("/a").is_err() && mount("a:b").is_err() && mount(":/b").is_err());
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_guests_path_only_below_a_root() {
        let rooted = guest(&["--root", "/", "--env", "PATH=/x:/y", "ls"]).view().expect("a view");
        assert_eq!(rooted.candidates, [Path::new("/x/ls"), Path::new("/y/ls")]);
        let unrooted = guest(&["ls"]).view().expect("a view");
        assert_eq!(unrooted.candidates, [Path::new("./ls")]);
    }

    #[test]
    fn a_program_outside_the_current_directory_brings_its_own_read_only() {
        let view = guest(&["/etc/../usr/ls"]).view().expect("a view");
        assert!(view.mounts.contains(&Mount { host: "/usr".into(), guest: "/usr".into(), read_only: true }));
        assert_eq!(view.candidates, [Path::new("/etc/../usr/ls")]);
        assert_eq!(guest(&["./x/ls"]).view().expect("a view").mounts.len(), 1);
    }
}
