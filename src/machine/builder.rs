//! What a machine is made of, said in the host's terms: roots, mounts, a program, its environment.

mod directories;
mod inherit;
mod lent;
mod resolver;
mod start;
mod start_error;
mod tree;

pub use directories::{Changes, Disk, Mount};
pub use start_error::StartError;

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::login::Login;
use super::outcome::{Both, Collector};
use super::{Display, Limits, Machine, Stdio};
use crate::host::door::Door;
use crate::host::fs::{host_identity, raise_descriptor_limit};
use crate::host::signal::{HostSignal, outlive_file_limits};
use crate::host::stdio::Stream;
use crate::host::temporary;
use crate::kernel::boot::{Config, Inherited};
use crate::kernel::event::Observer;
use crate::kernel::netinet::bridge::ports::Forward;
use crate::kernel::socket::Network;
use crate::kernel::sysctl::System;
use crate::kernel::time::Clock;
use crate::kernel::tty::host::Charset;
use crate::kernel::vfs::Options;
use crate::kernel::vfs::attr::Owners;
use crate::mem::AddressSpace;
use crate::trapframe::fpu::INITIAL_CONTROL;

/// Where bare program names are looked for, and the PATH of a guest that is given none.
pub const DEFAULT_PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/bin";

/// Address spaces that exist when the first program starts: of process 1, of the first process, and of
/// its program.
const SPACES_AT_BOOT: usize = 3;

/// Builds a [`Machine`] with its first program.
///
/// ```
/// use bsd21::kernel::time::Clock;
/// use bsd21::machine::{Ended, Machine, Stdio};
///
/// let mut machine = Machine::builder()
///     .program("fixtures/bin/args")
///     .args(["one", "two"])
///     .clear_env()
///     .clock(Clock::deterministic())
///     .stdin("nothing reads this")
///     .stdout(Stdio::Captured)
///     .collect_events()
///     .build()?;
/// let outcome = machine.run();
/// assert_eq!(outcome.ended, Ended::Exited(0));
/// assert!(outcome.stdout.ends_with(b"argv[1] one\nargv[2] two\nok\n"));
/// assert!(outcome.instructions > 0 && !outcome.events.is_empty());
/// # Ok::<(), bsd21::machine::StartError>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    pub(super) root: Option<PathBuf>,
    pub(super) protect_root: bool,
    pub(super) read_only: bool,
    pub(super) changes: Option<Changes>,
    host_owners: bool,
    pub(super) mounts: Vec<Mount>,
    pub(super) special: Vec<Mount>,
    pub(super) disks: Vec<Disk>,
    scratch: Vec<Vec<u8>>,
    temporary: Option<PathBuf>,
    /// Files that only this run sees: their paths, and what is in them.
    lent: Vec<(Vec<u8>, Vec<u8>)>,
    /// Sockets of the host are reached by their names.
    host_sockets: bool,
    /// The display of the host that is lent.
    display: Option<Display>,
    /// Where the guest's printer prints.
    printer: Option<OwnedFd>,
    program: OsString,
    args: Vec<OsString>,
    argv0: Option<OsString>,
    cwd: Option<OsString>,
    env: Vec<(Vec<u8>, Vec<u8>)>,
    uid: u32,
    gid: u32,
    fpcw: u16,
    clock: Option<Clock>,
    seed: u64,
    network: Network,
    stdio: [Stdio; 3],
    inherited: Inherited,
    /// The guest has the controlling terminal of this process, whatever its standard streams are.
    terminal: bool,
    /// A terminal of the guest that is none of the host's.
    door: Option<Box<dyn Door>>,
    /// The characters of the host's terminals.
    charset: Charset,
    /// The character behind which people at the host's terminal say what they want of the emulator.
    escape: Option<u8>,
    /// The host's name of its terminal.
    term: Option<String>,
    /// Who logs in, instead of a program.
    login: Option<Login>,
    user: Option<Vec<u8>>,
    /// Number of pseudo terminals, where it is not the usual one.
    ptys: Option<usize>,
    /// Number of tunnels, tun0 and so on.
    tunnels: usize,
    /// Ports of the guest that are others at the host.
    forwards: Vec<Forward>,
    unheeded: Vec<HostSignal>,
    /// The host's own standard descriptors are the guest's, closed ones too, and these others.
    descriptors: Option<Vec<u32>>,
    limits: Limits,
    cancel: Option<Arc<AtomicBool>>,
    observer: Option<Box<dyn Observer>>,
    collector: Option<Collector>,
}

impl Default for Builder {
    fn default() -> Self {
        let mut builder = Self {
            root: None,
            protect_root: false,
            read_only: false,
            changes: None,
            host_owners: false,
            mounts: Vec::new(),
            special: Vec::new(),
            disks: Vec::new(),
            scratch: Vec::new(),
            temporary: None,
            lent: Vec::new(),
            host_sockets: false,
            display: None,
            printer: None,
            program: OsString::new(),
            args: Vec::new(),
            argv0: None,
            cwd: None,
            env: Vec::new(),
            uid: 0,
            gid: 0,
            fpcw: INITIAL_CONTROL,
            clock: None,
            seed: 0,
            network: Network::default(),
            stdio: [Stdio::Inherit, Stdio::Inherit, Stdio::Inherit],
            inherited: Inherited::default(),
            terminal: false,
            door: None,
            charset: Charset::default(),
            escape: None,
            term: None,
            login: None,
            user: None,
            ptys: None,
            tunnels: 0,
            forwards: Vec::new(),
            unheeded: Vec::new(),
            descriptors: None,
            limits: Limits::default(),
            cancel: None,
            observer: None,
            collector: None,
        };
        for (name, value) in [
            ("PATH", DEFAULT_PATH),
            ("HOME", "/root"),
            ("USER", "root"),
            ("SHELL", "/bin/sh"),
            ("TERM", "vt100"),
        ] {
            builder = builder.env(name, value);
        }
        builder
    }
}

impl Builder {
    /// The directory of the host that is the guest's root.  Without one, the guest sees the current
    /// directory, the program's own directory (read-only), a private /tmp and /dev.
    pub fn root(mut self, path: impl Into<PathBuf>) -> Self {
        self.root = Some(path.into());
        self
    }

    /// Keeps the guest from changing anything in its root.
    pub fn protect_root(mut self) -> Self {
        self.protect_root = true;
        self
    }

    /// Keeps the guest from changing anything of the host, whatever is mounted.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Reads the root and never writes it: where the guest's changes go instead.
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// Lets a privileged emulator change owners on the host where the guest does.
    pub fn host_owners(mut self) -> Self {
        self.host_owners = true;
        self
    }

    /// A directory of the guest that is empty when the run begins and forgotten when it ends.
    pub fn scratch(mut self, guest: impl Into<Vec<u8>>) -> Self {
        self.scratch.push(guest.into());
        self
    }

    /// A file that only this run sees, at an absolute path of the guest whose directory has nothing else.
    pub fn lend(mut self, guest: impl Into<Vec<u8>>, bytes: impl Into<Vec<u8>>) -> Self {
        self.lent.push((guest.into(), bytes.into()));
        self
    }

    /// Lets the guest connect to sockets of the host by their names in the trees that it sees.
    pub fn host_sockets(mut self) -> Self {
        self.host_sockets = true;
        self
    }

    /// Lets the guest connect to a display of the host, under the name that it has there.
    pub fn display(mut self, display: Display) -> Self {
        self.display = Some(display);
        self
    }

    /// Where what the guest writes to its printer, /dev/lpt0, goes.
    pub fn printer(mut self, to: OwnedFd) -> Self {
        self.printer = Some(to);
        self
    }

    /// Where on the host the guest's own temporary directories are made; the host's usual place unless given.
    pub fn temporary_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.temporary = Some(directory.into());
        self
    }

    /// One more directory that the guest sees.
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// One more directory that the guest sees, with the special file systems of the host that are in it.
    pub fn mount_special(mut self, mount: Mount) -> Self {
        self.special.push(mount);
        self
    }

    /// One more disk that the guest may mount.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// The program: a path of the guest, or a name to look for in its PATH, where there is a root; else a
    /// path of the host.
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// What the program sees as its name, where that is not as it was given.
    pub fn argv0(mut self, name: impl Into<OsString>) -> Self {
        self.argv0 = Some(name.into());
        self
    }

    /// The guest's current directory.
    pub fn cwd(mut self, path: impl Into<OsString>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().as_bytes().to_vec(), value.as_ref().as_bytes().to_vec());
        match self.env.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = value,
            None => self.env.push((name, value)),
        }
        self
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        match self.env.iter_mut().find(|(known, _)| known == name.as_bytes()) {
            Some(entry) => entry.1 = value.to_vec(),
            None => self.env.push((name.as_bytes().to_vec(), value.to_vec())),
        }
    }

    /// Adds a NAME=VALUE string to the environment.
    pub fn variable(mut self, variable: impl AsRef<[u8]>) -> Self {
        let variable = variable.as_ref();
        let end = variable.iter().position(|&b| b == b'=').unwrap_or(variable.len());
        let value = variable.get(end + 1..).unwrap_or_default();
        let (name, value) = (OsStr::from_bytes(&variable[..end]), OsStr::from_bytes(value));
        self = self.env(name, value);
        self
    }

    /// Empties the environment.
    pub fn clear_env(mut self) -> Self {
        self.env.clear();
        self
    }

    /// The guest's user by the name that the root's /etc/passwd has, with the groups of its /etc/group; HOME, USER,
    /// LOGNAME and SHELL are what these say unless they are set.
    pub fn user(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// The guest's user.
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = uid;
        self
    }

    /// The guest's group.
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = gid;
        self
    }

    /// With the host's network: a port of the guest is another one at the host.
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forwards.push(forward);
        self
    }

    /// Number of tunnels: interfaces tun0, tun1 …, whose packets programs of the guest read and write at /dev/tun0.
    pub fn tunnels(mut self, count: usize) -> Self {
        self.tunnels = count;
        self
    }

    /// The number of pseudo terminals, at most 128; 16 unless given.
    pub fn ptys(mut self, count: usize) -> Self {
        self.ptys = Some(count);
        self
    }

    /// Gives the guest a terminal; its standard streams are this terminal.
    pub fn terminal(mut self, door: Box<dyn Door>) -> Self {
        self.door = Some(door);
        self
    }

    /// The characters of the host's terminals.
    pub fn charset(mut self, charset: Charset) -> Self {
        self.charset = charset;
        self
    }

    /// The character behind which a person at the host's terminal says what they want of the emulator.
    pub fn escape(mut self, escape: u8) -> Self {
        self.escape = Some(escape);
        self
    }

    /// Sets TERM to what the root's termcap has nearest to the host's name of its terminal, and TERMCAP where the
    /// root has no termcap.
    pub fn term(mut self, host: impl Into<String>) -> Self {
        self.term = Some(host.into());
        self
    }

    /// Logs somebody in, instead of starting a program that is named.
    pub fn login(mut self, login: Login) -> Self {
        self.login = Some(login);
        self
    }

    /// The control word with which x87 units begin.
    pub fn fpcw(mut self, control: u16) -> Self {
        self.fpcw = control;
        self
    }

    /// The clock; the host's where none is given.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What random numbers begin with under a virtual clock; the host's own random numbers are used under
    /// the host's clock.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What internet sockets reach.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Who observes the run, from the execution of the first program on; of several the first may make up results.
    pub fn observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observer = Some(match self.observer.take() {
            Some(first) => Box::new(Both(first, observer)),
            None => observer,
        });
        self
    }

    /// Keeps every event of the run for [`Outcome::events`](super::Outcome::events).
    pub fn collect_events(mut self) -> Self {
        self.collector = Some(Collector::default());
        self
    }

    /// What the run may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A flag that ends the run with [`Limit::Interrupted`](super::Limit::Interrupted) once it is set.
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Standard input.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[0] = stdio.into();
        self
    }

    /// Standard output.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[1] = stdio.into();
        self
    }

    /// Standard error.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio[2] = stdio.into();
        self
    }

    /// Boots the machine and loads the program; nothing of it has run yet.
    pub fn build(mut self) -> Result<Machine, StartError> {
        let repeatable = self.clock.as_ref().is_some_and(Clock::is_virtual);
        let above = self.temporary.take().unwrap_or_else(std::env::temp_dir);
        let lent = self.lend_files(&above).map_err(StartError::Temporary)?;
        self.settle_mounts()?;
        let here = std::env::current_dir().map_err(StartError::CurrentDirectory)?;
        let scratch = match self.scratch.is_empty() {
            true => None,
            false => Some(temporary::directory(&above).map_err(StartError::Temporary)?),
        };
        let descriptors = raise_descriptor_limit();
        outlive_file_limits();
        AddressSpace::reserve(SPACES_AT_BOOT).map_err(StartError::Memory)?;
        let owners = Owners { host: host_identity(), guest: (self.uid, self.gid) };
        let mut vfs =
            self.tree(&here, above, scratch.as_ref(), Options { owners, repeatable, seed: self.seed })?;
        vfs.set_descriptors(descriptors);
        let config = Config {
            vfs,
            clock: self.clock.take().unwrap_or_else(Clock::host),
            system: System::new(&host_name(repeatable)),
            network: self.network,
        };
        let mut machine = Machine::new(config);
        if !repeatable {
            machine.kernel_mut().procs.set_last_pid(inherit::number_before_first());
        }
        machine.kernel_mut().lent.outside = self.host_sockets;
        if self.network == Network::Host {
            resolver::offer(machine.kernel_mut());
        }
        if let Some(display) = &self.display {
            machine.kernel_mut().lent.add(display.lent());
        }
        if let Some(printer) = self.printer.take() {
            let stream = Stream::new(printer).map_err(|e| StartError::Temporary(e.0.into()))?;
            machine.kernel_mut().vfs.lend_printer(stream);
        }
        machine.requests.unheeded = std::mem::take(&mut self.unheeded);
        (machine.scratch, machine.lent) = (scratch.map(Rc::new), lent.map(Rc::new));
        machine.watch(self.observer.take(), self.collector.take());
        self.start(&mut machine, &here)?;
        machine.limit(self.limits);
        machine.meter.cancel = self.cancel.take();
        Ok(machine)
    }

    /// The paths at which the program may be.
    fn candidates(&self) -> Vec<Vec<u8>> {
        let program = self.program.as_bytes();
        if program.contains(&b'/') {
            return vec![program.to_vec()];
        }
        if self.root.is_none() {
            return vec![[b"./", program].concat()];
        }
        let path = self.env.iter().find(|(name, _)| name == b"PATH");
        let path = path.map_or(DEFAULT_PATH.as_bytes(), |(_, value)| value);
        path.split(|&b| b == b':').map(|directory| [directory, b"/", program].concat()).collect()
    }
}

/// The guest's host name: the host's own, or a constant where runs must be repeatable.
fn host_name(repeatable: bool) -> Vec<u8> {
    if repeatable { b"bsd21".to_vec() } else { crate::host::system::node_name() }
}

/// A path without `.` and `..`, by its letters alone.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_their_letters() {
        assert_eq!(normalize(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
        assert_eq!(normalize(Path::new("/../a")), Path::new("/a"));
    }

    #[test]
    fn a_variable_is_set_once() {
        let builder = Builder::default().env("TERM", "dumb").env("TERM", "ansi");
        let terms: Vec<_> = builder.env.iter().filter(|(n, _)| n == b"TERM").collect();
        assert_eq!(terms, [&(b"TERM".to_vec(), b"ansi".to_vec())]);
    }

    #[test]
    fn bare_names_are_looked_for_in_the_path_of_the_guest() {
        let builder = Builder::default().root("/x").program("ls").env("PATH", "/bin:/usr/bin");
        assert_eq!(builder.candidates(), [b"/bin/ls".to_vec(), b"/usr/bin/ls".to_vec()]);
        assert_eq!(Builder::default().program("ls").candidates(), [b"./ls".to_vec()]);
    }
}
