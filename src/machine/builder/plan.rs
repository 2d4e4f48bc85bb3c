//! What a recording keeps of a machine's description: enough to build the same one again, elsewhere and later.
//!
//! What the host answers while the machine is built is on its tape, not here.  Must not know files of recordings.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Builder, Changes, Disk, Mount};
use crate::host::tape::Tape;
use crate::kernel::boot::Inherited;
use crate::kernel::limits::Resource;
use crate::kernel::netinet::bridge::ports::Forward;
use crate::kernel::socket::Network;
use crate::kernel::time::Clock;
use crate::kernel::tty::host::Charset;
use crate::machine::{Display, Limits, Machine};

/// Bytes of a path or an argument.
type Bytes = Vec<u8>;

/// A machine's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    here: Bytes,
    root: Option<Bytes>,
    protect_root: bool,
    read_only: bool,
    /// Host, guest, read-only, with special file systems.
    mounts: Vec<(Bytes, Bytes, bool, bool)>,
    disks: Vec<(String, Bytes, bool)>,
    scratch: Vec<Bytes>,
    lent: Vec<(Bytes, Bytes)>,
    host_sockets: bool,
    display: Option<(u32, Bytes)>,
    printer: bool,
    program: Bytes,
    args: Vec<Bytes>,
    argv0: Option<Bytes>,
    cwd: Option<Bytes>,
    env: Vec<(Bytes, Bytes)>,
    uid: u32,
    gid: u32,
    user: Option<Bytes>,
    fpcw: u16,
    /// Time of day at the beginning, in nanoseconds since the epoch.
    start: u64,
    /// Instructions alone make the time.
    counted: bool,
    seed: u64,
    network: u8,
    umask: u16,
    signals: (u32, u32),
    nice: i32,
    limits: Vec<(u8, i64)>,
    orphaned: bool,
    own_terminal: bool,
    terminal: bool,
    utf8: bool,
    escape: Option<u8>,
    term: Option<String>,
    ptys: Option<usize>,
    tunnels: usize,
    forwards: Vec<(u16, u16, bool)>,
    kill_on_exit: bool,
    max_wall: Option<Duration>,
    max_cpu: Option<Duration>,
    max_procs: Option<usize>,
    max_mem: Option<u64>,
    max_output: Option<u64>,
}

fn bytes(path: &Path) -> Bytes {
    path.as_os_str().as_bytes().to_vec()
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

impl Builder {
    /// Describes a run that is going to be recorded: its clock begins at `start`, nanoseconds since the epoch, and is
    /// made by instructions alone where it is `counted`.
    pub fn plan(&self, here: &Path, start: u64, counted: bool, kill_on_exit: bool) -> Plan {
        let absolute = |path: &Path| bytes(&here.join(path));
        let os = |text: &OsString| text.as_bytes().to_vec();
        let mount = |m: &Mount, special: bool| (absolute(&m.host), m.guest.clone(), m.read_only, special);
        let mounts = self.mounts.iter().map(|m| mount(m, false));
        Plan {
            here: bytes(here),
            root: self.root.as_deref().map(absolute),
            protect_root: self.protect_root,
            read_only: self.read_only,
            mounts: mounts.chain(self.special.iter().map(|m| mount(m, true))).collect(),
            disks: self.disks.iter().map(|d| (d.name.clone(), absolute(&d.host), d.read_only)).collect(),
            scratch: self.scratch.clone(),
            lent: self.lent.clone(),
            host_sockets: self.host_sockets,
            display: self.display.as_ref().map(|display| (display.number, bytes(&display.socket))),
            printer: self.printer.is_some(),
            program: os(&self.program),
            args: self.args.iter().map(os).collect(),
            argv0: self.argv0.as_ref().map(os),
            cwd: self.cwd.as_ref().map(os),
            env: self.env.clone(),
            uid: self.uid,
            gid: self.gid,
            user: self.user.clone(),
            fpcw: self.fpcw,
            start,
            counted,
            seed: self.seed,
            network: self.network as u8,
            umask: self.inherited.umask,
            signals: (self.inherited.ignored, self.inherited.blocked),
            nice: self.inherited.nice,
            limits: self.inherited.limits.iter().map(|&(what, soft)| (what as u8, soft)).collect(),
            orphaned: self.inherited.orphaned,
            own_terminal: self.door.is_some(),
            terminal: self.terminal,
            utf8: self.charset == Charset::Utf8,
            escape: self.escape,
            term: self.term.clone(),
            ptys: self.ptys,
            tunnels: self.tunnels,
            forwards: self.forwards.iter().map(|f| (f.host, f.guest, f.udp)).collect(),
            kill_on_exit,
            max_wall: self.limits.wall,
            max_cpu: self.limits.cpu,
            max_procs: self.limits.procs,
            max_mem: self.limits.memory,
            max_output: self.limits.output,
        }
    }

    /// The builder for a run whose answers are on a tape: the same as the plan says, with its writes kept apart.
    pub fn taped(mut self, plan: &Plan, tape: Tape) -> Self {
        self.here = Some(path(&plan.here));
        self.clock = Some(plan.clock());
        self.seed = plan.seed;
        if self.root.is_some() {
            self.changes.get_or_insert(Changes::Forgotten);
        }
        // What cannot be kept apart is not written.
        self.disks.iter_mut().for_each(|disk| disk.read_only = true);
        self.special.iter_mut().for_each(|mount| mount.read_only = true);
        self.apart = true;
        self.tape = tape;
        self
    }
}

impl Plan {
    fn clock(&self) -> Clock {
        if self.counted { Clock::deterministic_from(self.start) } else { Clock::recorded(self.start) }
    }

    /// Whether instructions alone make the time.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Whether the run ends with its first program.
    pub fn kills_on_exit(&self) -> bool {
        self.kill_on_exit
    }

    /// The program, for people.
    pub fn program(&self) -> String {
        String::from_utf8_lossy(&self.program).into_owned()
    }

    /// The path of the program at the host, or in the root.
    pub fn image(&self) -> PathBuf {
        let program = path(&self.program);
        match &self.root {
            Some(root) => path(root).join(program.strip_prefix("/").unwrap_or(&program)),
            None => path(&self.here).join(program),
        }
    }

    /// The root, if there is one.
    pub fn root(&self) -> Option<PathBuf> {
        self.root.as_deref().map(path)
    }

    /// Where a path of the host is now, of a recording whose directories lie elsewhere: each of these is given by its
    /// path then and now.
    fn moved(moves: &[(PathBuf, PathBuf)], then: &[u8]) -> Bytes {
        let then = path(then);
        let now = moves.iter().find_map(|(from, to)| {
            let below = then.strip_prefix(from).ok()?;
            Some(if below.as_os_str().is_empty() { to.clone() } else { to.join(below) })
        });
        bytes(&now.unwrap_or(then))
    }

    /// The builder of the same machine, whose directories of the host may have moved; the guest sees them where they
    /// were.
    pub fn builder(&self, moves: &[(PathBuf, PathBuf)], tape: Tape) -> Builder {
        let at = |then: &[u8]| path(&Self::moved(moves, then));
        let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let mut builder = Machine::builder();
        builder.root = self.root.as_deref().map(at);
        (builder.protect_root, builder.read_only) = (self.protect_root, self.read_only);
        for (host, guest, read_only, special) in &self.mounts {
            let mount = Mount { host: at(host), guest: guest.clone(), read_only: *read_only };
            if *special { builder.special.push(mount) } else { builder.mounts.push(mount) }
        }
        let disk = |(name, host, read_only): &(String, Bytes, bool)| Disk {
            name: name.clone(),
            host: at(host),
            read_only: *read_only,
        };
        builder.disks = self.disks.iter().map(disk).collect();
        (builder.scratch, builder.lent) = (self.scratch.clone(), self.lent.clone());
        builder.host_sockets = self.host_sockets;
        builder.display =
            self.display.as_ref().map(|(number, socket)| Display { number: *number, socket: path(socket) });
        builder.printed = self.printer;
        builder.program = os(&self.program);
        builder.args = self.args.iter().map(|arg| os(arg)).collect();
        builder.argv0 = self.argv0.as_deref().map(os);
        builder.cwd = self.cwd.as_deref().map(os);
        builder.env = self.env.clone();
        (builder.uid, builder.gid, builder.user) = (self.uid, self.gid, self.user.clone());
        builder.fpcw = self.fpcw;
        builder.network = match self.network {
            2 => Network::Host,
            1 => Network::None,
            _ => Network::Loopback,
        };
        const RESOURCES: [Resource; 9] = [
            Resource::Cpu,
            Resource::Fsize,
            Resource::Data,
            Resource::Stack,
            Resource::Core,
            Resource::Rss,
            Resource::Memlock,
            Resource::Nproc,
            Resource::Nofile,
        ];
        let limit = |&(what, soft): &(u8, i64)| Some((*RESOURCES.get(usize::from(what))?, soft));
        builder.inherited = Inherited {
            umask: self.umask,
            ignored: self.signals.0,
            blocked: self.signals.1,
            nice: self.nice,
            limits: self.limits.iter().filter_map(limit).collect(),
            orphaned: self.orphaned,
        };
        (builder.terminal, builder.own_terminal) = (self.terminal, self.own_terminal);
        builder.charset = if self.utf8 { Charset::Utf8 } else { Charset::Latin1 };
        (builder.escape, builder.term) = (self.escape, self.term.clone());
        (builder.ptys, builder.tunnels) = (self.ptys, self.tunnels.min(16));
        let forward = |&(host, guest, udp): &(u16, u16, bool)| Forward { host, guest, udp };
        builder.forwards = self.forwards.iter().map(forward).collect();
        builder.limits = Limits {
            wall: self.max_wall,
            cpu: self.max_cpu,
            procs: self.max_procs,
            memory: self.max_mem,
            output: self.max_output,
        };
        builder.moves = moves.to_vec();
        builder.taped(self, tape)
    }
}
