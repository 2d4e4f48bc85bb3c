//! What `run` and `trace` have in common: where the guest lives, who it is, what it is told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::terminal::is_term;
use crate::machine::{Builder, Changes, DEFAULT_PATH, Disk, Machine, Mount};
use crate::trapframe::fpu::INITIAL_CONTROL;

/// Options of a guest.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestOptions {
    /// Directory of the host that is the guest's root; PROGRAM is then a path of the guest, and a bare
    /// name is looked up in the guest's PATH.  Without it the guest sees the current directory, the
    /// program's own directory (read-only), a private /tmp and /dev.
    #[arg(long, value_name = "DIR[:ro]")]
    pub root: Option<PathBuf>,
    /// A folder with ld.so and shared libraries, for a dynamic program without a root; the first one is the guest's
    /// /usr/lib.
    #[arg(long, value_name = "DIR")]
    pub lib: Vec<PathBuf>,
    /// Files that only this run sees.
    #[arg(skip)]
    pub lent: Vec<super::place::Lent>,
    /// Show a directory of the host at GUEST; the longest mount point wins.
    #[arg(long, value_name = "HOST:GUEST[:ro]", value_parser = parse_mount)]
    pub mount: Vec<Mount>,
    /// The same for a directory in which special file systems of the host (/proc, /sys, cgroup, …) are to be
    /// seen; elsewhere they are empty directories.
    #[arg(long, value_name = "HOST:GUEST[:ro]", value_parser = parse_mount)]
    pub mount_special: Vec<Mount>,
    /// Let the guest mount a directory of the host as a file system (ufs), or an image of a CD-ROM as cd9660, of the
    /// disk /dev/NAME.
    #[arg(long, value_name = "NAME=PATH[:ro]", value_parser = parse_disk)]
    pub disk: Vec<Disk>,
    /// Let the guest change nothing of the host: every directory that it sees is read-only.
    #[arg(long)]
    pub read_only: bool,
    /// Read --root and never write it.  The guest's changes are kept in DIR, an overlay for 'bsd21 overlay', or
    /// without DIR forgotten when the run ends.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub overlay: Option<Option<PathBuf>>,
    /// Where bsd21 runs as the super-user: let chown of the guest change owners on the host, instead of noting
    /// them in attributes.
    #[arg(long)]
    pub host_owners: bool,
    /// Current directory of the guest.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set a variable of the guest's environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub env: Vec<OsString>,
    /// Set a variable of the guest's environment, or take it away.
    #[arg(short = 'E', value_name = "NAME[=VALUE]")]
    variables: Vec<OsString>,
    /// Pass the host's environment on, all but LD_*.
    #[arg(long)]
    pub env_host: bool,
    /// Begin with an empty environment instead of PATH, HOME, USER, SHELL and TERM.
    #[arg(long)]
    pub clear_env: bool,
    /// Run as this user of the root's /etc/passwd and /etc/group, with their numbers, groups, HOME and SHELL.
    #[arg(short = 'u', long, value_name = "NAME", conflicts_with_all = ["uid", "gid"])]
    pub user: Option<OsString>,
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
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// The root of those who have named one for all commands.
pub(super) fn usual_root() -> Option<PathBuf> {
    std::env::var_os("BSD21_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from)
}

pub(super) fn parse_mount(text: &str) -> Result<Mount, String> {
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    // The last colon divides: names of the host may contain colons.
    match rest.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => {
            Ok(Mount { host: host.into(), guest: guest.as_bytes().to_vec(), read_only })
        }
        _ => Err("expected HOST:GUEST or HOST:GUEST:ro with an absolute GUEST".to_owned()),
    }
}

fn parse_disk(text: &str) -> Result<Disk, String> {
    let name_and_host = text.split_once('=').filter(|(name, host)| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        !name.is_empty() && name.len() <= 16 && plain && !host.is_empty()
    });
    let Some((name, host)) = name_and_host else {
        return Err(
            "expected NAME=DIR or NAME=DIR:ro with a NAME of letters and digits, such as sd1a".to_owned()
        );
    };
    let (host, read_only) = match host.strip_suffix(":ro") {
        Some(host) => (host, true),
        None => (host, false),
    };
    Ok(Disk { name: name.to_owned(), host: host.into(), read_only })
}

pub(super) fn parse_variable(text: &str) -> Result<OsString, String> {
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

impl GuestOptions {
    /// The guest's environment.
    pub fn environment(&self) -> Vec<Vec<u8>> {
        let (user, home) =
            if self.uid == 0 { ("root".to_owned(), "/root") } else { (self.uid.to_string(), "/") };
        let defaults = [
            ("PATH", DEFAULT_PATH),
            ("HOME", home),
            ("USER", &user),
            ("SHELL", "/bin/sh"),
            ("TERM", "vt100"),
        ];
        let mut variables = Variables::default();
        if !self.clear_env {
            // What the user's entry says of these is not known here.
            let known = |name: &str| self.user.is_none() || !matches!(name, "HOME" | "USER" | "SHELL");
            let known = defaults.iter().filter(|(name, _)| known(name));
            known.for_each(|(name, value)| variables.set(format!("{name}={value}").into_bytes()));
        }
        if self.env_host {
            for (name, value) in std::env::vars_os().filter(|(name, _)| !name.as_bytes().starts_with(b"LD_"))
            {
                variables.set([name.as_bytes(), b"=", value.as_bytes()].concat());
            }
        }
        self.env.iter().for_each(|variable| variables.set(variable.clone().into_vec()));
        for variable in &self.variables {
            match variable.as_bytes().contains(&b'=') {
                true => variables.set(variable.clone().into_vec()),
                false => variables.remove(variable.as_bytes()),
            }
        }
        variables.0
    }

    /// The root, and whether it is read-only: `:ro` behind a directory, unless there is one of that name.
    pub fn root(&self) -> Option<(PathBuf, bool)> {
        let given = self.root.as_ref()?;
        let bytes = given.as_os_str().as_bytes();
        match bytes.strip_suffix(b":ro") {
            Some(root) if !given.is_dir() => Some((OsStr::from_bytes(root).into(), true)),
            _ => Some((given.clone(), false)),
        }
    }

    /// Where, for those who look on; `None` where nothing of a root can change.
    pub fn changes_go(&self) -> Option<String> {
        let (root, read_only) = self.root()?;
        match &self.overlay {
            _ if read_only || self.read_only => None,
            None => Some(format!(
                "the guest's changes are made in {} (--overlay leaves it as it is)",
                root.display()
            )),
            Some(Some(kept)) => Some(format!("the guest's changes are kept in {}", kept.display())),
            Some(None) => Some("the guest's changes are forgotten when the run ends".to_owned()),
        }
    }

    /// Whether a run leaves every file of the host as it is.
    pub fn leaves_files_alone(&self) -> bool {
        self.read_only || self.overlay == Some(None) && self.root.is_some()
    }

    /// Whether a run of such a guest can be recorded; why not.
    pub(super) fn is_recordable(&self) -> Result<(), Failure> {
        let wrong = [
            (
                matches!(self.overlay, Some(Some(_))),
                "--overlay DIR: what a recorded run changes is forgotten: leave it out",
            ),
            (self.host_owners, "--host-owners: a recorded run changes nothing of the host"),
        ];
        match wrong.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, why)) => Err(Failure::usage(why)),
            None => Ok(()),
        }
    }

    /// Whether a variable is taken away from the guest's environment.
    pub(super) fn takes_away(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable == name)
    }

    /// The guest's group.
    pub fn group(&self) -> u32 {
        self.gid.unwrap_or(self.uid)
    }

    /// A guest of a root, whose program nobody names.
    pub(super) fn of_root(
        root: PathBuf,
        mount: Vec<Mount>,
        read_only: bool,
        overlay: Option<Option<PathBuf>>,
    ) -> Self {
        Self {
            root: Some(root),
            mount,
            mount_special: Vec::new(),
            disk: Vec::new(),
            read_only,
            overlay,
            host_owners: false,
            cwd: None,
            env: Vec::new(),
            variables: Vec::new(),
            env_host: false,
            clear_env: false,
            lib: Vec::new(),
            lent: Vec::new(),
            user: None,
            uid: 0,
            gid: None,
            argv0: None,
            fpcw: INITIAL_CONTROL,
            command: Vec::new(),
        }
    }

    /// Whether nobody has said what the guest's terminal is called.
    pub(super) fn leaves_term_open(&self) -> bool {
        let given = self.env.iter().chain(&self.variables).any(|variable| is_term(variable));
        let of_host = self.env_host && std::env::var_os("TERM").is_some();
        !given && !of_host && !self.clear_env
    }

    /// Where the guest of a machine lives.
    pub(super) fn place(&self) -> Result<Builder, Failure> {
        let mut builder = Machine::builder().clear_env();
        if let Some((root, read_only)) = self.root() {
            if !root.is_dir() {
                return Err(Failure::usage(format!("--root {}: not a directory", root.display())));
            }
            builder = builder.root(root);
            if read_only {
                builder = builder.protect_root();
            }
        }
        for mount in &self.mount {
            builder = builder.mount(mount.clone());
        }
        for lent in &self.lent {
            builder = builder.lend(lent.guest.clone(), lent.bytes.clone());
        }
        for mount in &self.mount_special {
            builder = builder.mount_special(mount.clone());
        }
        for disk in &self.disk {
            builder = builder.disk(disk.clone());
        }
        if self.read_only {
            builder = builder.read_only();
        }
        if let Some(overlay) = &self.overlay {
            builder = builder.changes(overlay.clone().map_or(Changes::Forgotten, Changes::Kept));
        }
        if self.host_owners {
            builder = builder.host_owners();
        }
        Ok(builder)
    }

    /// The machine that these options describe.
    pub fn builder(&self) -> Result<Builder, Failure> {
        let mut builder = self.place()?;
        if let Some(cwd) = &self.cwd {
            builder = builder.cwd(cwd);
        }
        if let Some(name) = &self.argv0 {
            builder = builder.argv0(name);
        }
        for variable in self.environment() {
            builder = builder.variable(variable);
        }
        let Some((program, args)) = self.command.split_first() else {
            return Err(Failure::usage("no program given"));
        };
        if let Some(user) = &self.user {
            builder = builder.user(user.as_bytes());
        }
        Ok(builder.program(program).args(args).uid(self.uid).gid(self.group()).fpcw(self.fpcw))
    }
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

    fn remove(&mut self, name: &[u8]) {
        self.0.retain(|variable| variable.split(|&b| b == b'=').next() != Some(name));
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
        let ls = guest(&["--uid", "5", "ls", "-l", "--root", "x"]);
        assert_eq!(ls.command, ["ls", "-l", "--root", "x"]);
        assert_eq!((ls.root.clone(), ls.uid, ls.group()), (None, 5, 5));
    }

    #[test]
    fn options_that_do_not_exist_are_not_programs() {
        let refusal =
            Only::try_parse_from(["bsd21", "--rooot", "x"]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            refusal.contains("unexpected argument '--rooot'") && refusal.contains("'--root'"),
            "{refusal}"
        );
        assert_eq!(guest(&["--", "-x", "y"]).command, ["-x", "y"]);
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
        assert_eq!(names(&guest(&["-E", "HOME", "-EA=1", "-ETERM", "x"])), ["PATH", "USER", "SHELL", "A"]);
    }

    #[test]
    fn a_disk_is_a_name_and_a_directory_and_perhaps_ro() {
        let disk = Disk { name: "sd1a".to_owned(), host: "/a=b".into(), read_only: true };
        assert_eq!(parse_disk("sd1a=/a=b:ro"), Ok(disk));
        for wrong in ["sd1a", "=/a", "sd/1=/a", "sd1a=", "../x=/a"] {
            assert!(parse_disk(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mount_is_host_and_guest_and_perhaps_ro() {
        let mount = |text| parse_mount(text);
        assert_eq!(
            mount("a:b:/c:ro"),
            Ok(Mount { host: "a:b".into(), guest: b"/c".to_vec(), read_only: true })
        );
        assert!(mount("/a").is_err() && mount("a:b").is_err() && mount(":/b").is_err());
    }
}
