//! Standard input, output and error as files of the guest, and waiting for the host.
//!
//! The guest sees a terminal as one of its own terminals, a pipe as a pipe and a file as a file.  Where the host is not
//! ready, the call is parked on [`Channel::HostFile`], and [`poll_host`] wakes it.
//!
//! Must not know how terminals edit lines.  2.1 counterpart: none; the place of the console's driver.

use std::collections::{BTreeSet, HashMap};

use syscalls::Errno;

use super::vnode::{Body, Vnode, VnodeId, Vtype};
use super::{Vfs, device};
use crate::host::door::{Door, Nobody};
use crate::host::error::HostError;
use crate::host::stdio::{Poll, Stream, StreamKind, wait};
use crate::host::tape::{List, Question, Tape};
use crate::host::terminal;
use crate::kernel::boot::{Descriptor, Opened};
use crate::kernel::file::select::{Selinfo, Which, selrecord, selwakeup};
use crate::kernel::file::{self, FileFlag, FileId, FileObject, Uio};
use crate::kernel::netinet::bridge;
use crate::kernel::proc::leader;
use crate::kernel::socket::lent;
use crate::kernel::synch::{self, Channel, Sleep, priority};
use crate::kernel::tty::{self, TtyId};
use crate::kernel::{Context, Kernel, Resume, Sysret, Wake};

/// Bytes that a stream moves at once.
const PIECE: usize = 65536;

/// Streams of the host that somebody waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// Parked reads (false) and writes (true).
    parked: BTreeSet<(FileId, bool)>,
    /// Who selects on a stream, for reading and for writing.
    selecting: HashMap<VnodeId, [Selinfo; 2]>,
}

impl Vfs {
    /// A file of the guest over a host stream.
    pub fn stream_vnode(&mut self, stream: Stream) -> VnodeId {
        let kind = match stream.kind {
            StreamKind::File => Vtype::Reg,
            StreamKind::Pipe => Vtype::Fifo,
            StreamKind::Terminal | StreamKind::Null | StreamKind::Device => Vtype::Chr,
        };
        let mount = self.vnodes[self.root_vnode()].mount;
        self.vnodes.insert(Vnode::new(kind, mount, Body::Stream(stream)))
    }

    /// Lends a stream of the host as the printer of /dev, where there is one.
    pub fn lend_printer(&mut self, stream: Stream) {
        let Some(dev) = self.dev else { return };
        let mount = self.vnodes[dev].mount;
        let printer = self.vnodes.insert(Vnode::new(Vtype::Chr, mount, Body::Stream(stream)));
        self.vnodes.vref(printer);
        self.vnodes.graft(dev, b"lpt0", printer);
    }

    /// What is over streams of a recording is over those of this process from now on.
    pub fn streams_go_live(&mut self) {
        for id in self.vnodes.ids() {
            if let Body::Stream(stream) = &mut self.vnodes[id].body {
                stream.go_live();
            }
        }
    }

    /// All streams of the host.
    pub(in crate::kernel) fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.vnodes.iter_mut().filter_map(|vnode| match &mut vnode.body {
            Body::Stream(stream) => Some(stream),
            _ => None,
        })
    }

    /// The host stream behind a vnode.
    pub fn stream(&self, id: VnodeId) -> Option<&Stream> {
        match &self.vnodes[id].body {
            Body::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Writes to the console: standard error, as far as it takes it.
    pub(super) fn console_write(&mut self, tape: &Tape, data: &[u8]) {
        // The console of a machine that nobody looks at loses what is written.
        if !tape.plays()
            && let Ok(Some(stream)) = Stream::standard(2)
        {
            let _ = stream.write(&Tape::default(), data);
        }
        tape.gave(2, data);
    }
}

/// Opens descriptors over streams of the host, or over the null device, in the order of their numbers.  The
/// first terminal among them becomes the controlling one of the process's session.
pub fn open_descriptors(cx: &mut Context<'_>, mut descriptors: Vec<Descriptor>) -> Result<(), Errno> {
    descriptors.sort_by_key(|&(number, _)| number);
    let mut opened: Vec<(Identity, FileId)> = Vec::new();
    for (number, stream) in descriptors {
        let number = number as usize;
        let first = cx.kernel.ttys.first_host_node();
        let (stream, identity) = match (stream, first) {
            (Opened::Stream(stream), _) => {
                let identity = identity(&stream)?;
                (Some(stream), identity)
            }
            (Opened::Terminal, Some(_)) => (None, THE_TERMINAL),
            (Opened::Null | Opened::Terminal, _) => {
                let null = null_device(cx);
                open_vnode(cx, number, null, FileFlag::READ | FileFlag::WRITE)?;
                continue;
            }
        };
        // A terminal or a pipe that is input and output at once is one open file.
        if let Some(&(_, same)) = opened.iter().find(|(other, _)| *other == identity) {
            let fd = file::fd_alloc(cx, number)?;
            cx.kernel.files[same].count += 1;
            cx.proc_mut().fd.install(fd, same);
            continue;
        }
        let Some(stream) = stream else {
            let Some(node) = first else { continue };
            control_by(cx, node);
            opened.push((identity, open_vnode(cx, number, node, FileFlag::READ | FileFlag::WRITE)?));
            continue;
        };
        let mut flag = FileFlag::empty();
        flag.set(FileFlag::READ, stream.readable);
        flag.set(FileFlag::WRITE, stream.writable);
        flag.set(FileFlag::APPEND, stream.appends());
        let offset = stream.tell(&cx.kernel.tape).unwrap_or(0);
        let shared = stream.kind != StreamKind::File;
        let vnode = match stream.kind {
            StreamKind::Terminal => terminal_vnode(cx, &stream)?,
            _ => cx.kernel.vfs.stream_vnode(stream),
        };
        let file = open_vnode(cx, number, vnode, flag)?;
        cx.kernel.files[file].offset = offset.cast_signed();
        // Two descriptors of one regular file may have an offset each; which ones do, the host knows.
        if shared {
            opened.push((identity, file));
        }
    }
    // A terminal that none of them is controls the session all the same.
    if let Some(node) = cx.kernel.ttys.first_host_node()
        && tty::controlling(cx.kernel, cx.id).is_none()
    {
        control_by(cx, node);
    }
    Ok(())
}

fn open_vnode(cx: &mut Context<'_>, number: usize, vnode: VnodeId, flag: FileFlag) -> Result<FileId, Errno> {
    let (_, file) = file::falloc_from(cx, number)?;
    cx.kernel.vfs.vref(vnode);
    let open = &mut cx.kernel.files[file];
    (open.flag, open.object) = (flag, FileObject::Vnode(vnode));
    Ok(file)
}

/// The node of a host terminal: one for all streams to it.
fn terminal_vnode(cx: &mut Context<'_>, stream: &Stream) -> Result<VnodeId, Errno> {
    let known = cx.kernel.ttys.host_node(&cx.kernel.tape, stream.fd());
    let node = match known {
        Some(node) => node,
        None => {
            let mut door = None;
            let there = cx.kernel.tape.ask(Question::Terminal, true, || {
                door = terminal::Terminal::new(stream.fd());
                door.is_some()
            });
            let played = || -> Box<dyn Door> { Box::new(Nobody) };
            let door = door.map_or_else(played, |door| Box::new(door));
            if !there {
                return Err(Errno::ENOTTY);
            }
            cx.kernel.attach_terminal(door)
        }
    };
    control_by(cx, node);
    Ok(node)
}

/// Makes a terminal the controlling one of the first session.
fn control_by(cx: &mut Context<'_>, node: VnodeId) {
    if let Some((tty, _)) = cx.kernel.vfs.terminal_end(&cx.kernel.ttys, node) {
        tty::open_at_boot(cx.kernel, tty);
        leader::hold_terminal(cx.kernel, tty, node);
    }
}

fn null_device(cx: &mut Context<'_>) -> VnodeId {
    let vfs = &mut cx.kernel.vfs;
    let mount = vfs.vnodes[vfs.root_vnode()].mount;
    vfs.built_in(mount, Vtype::Chr, 0o666, device::makedev(2, 2))
}

/// What makes two streams one: device, inode, and how it is open.
type Identity = (u64, u64, bool, bool);
/// That of the machine's first terminal.
const THE_TERMINAL: Identity = (u64::MAX, u64::MAX, true, true);

fn identity(stream: &Stream) -> Result<Identity, Errno> {
    let stat = stream.stat()?;
    Ok((stat.dev, stat.ino, stream.readable, stream.writable))
}

/// Reads from a stream what there is, waiting for the first byte.
pub(super) fn read(cx: &mut Context<'_>, file: FileId, vnode: VnodeId, mut uio: Uio) -> Sysret<i32> {
    let requested = uio.resid;
    let mut buffer = vec![0; (requested as usize).min(PIECE)];
    let regular = cx.kernel.vfs.vnode(vnode).kind == Vtype::Reg;
    let mut result = Ok(());
    while uio.resid > 0 {
        let room = (uio.resid as usize).min(PIECE);
        let Some(stream) = cx.kernel.vfs.stream(vnode) else { return Err(Errno::EBADF.into()) };
        let piece = buffer.get_mut(..room).unwrap_or_default();
        match stream.read(&cx.kernel.tape, piece) {
            Ok(0) => break,
            Ok(length) => {
                if let Err(errno) = uio.move_out(cx, piece.get(..length).unwrap_or_default()) {
                    result = Err(errno.into());
                    break;
                }
                if !regular {
                    break;
                }
            }
            Err(error) if error.would_block() && uio.resid == requested => {
                return park(cx, file, uio, false);
            }
            Err(error) => {
                result = Err(Errno::from(error).into());
                break;
            }
        }
    }
    note_offset(cx, file, vnode);
    file::ops::finish_read(requested, &uio, result)
}

/// Writes to a stream; what it does not take at once waits.
pub(super) fn write(cx: &mut Context<'_>, file: FileId, vnode: VnodeId, uio: Uio) -> Sysret<i32> {
    let requested = uio.resid;
    write_rest(cx, file, vnode, uio, requested)
}

fn write_rest(
    cx: &mut Context<'_>,
    file: FileId,
    vnode: VnodeId,
    mut uio: Uio,
    requested: u32,
) -> Sysret<i32> {
    let mut buffer = vec![0; (requested as usize).min(PIECE)];
    let mut result = Ok(());
    if cx.kernel.keeps_output()
        && let Some(offset) = cx.kernel.vfs.stream(vnode).and_then(|stream| stream.tell(&cx.kernel.tape).ok())
        && !cx.kernel.account_extent(offset)
    {
        return Err(Errno::EFBIG.into());
    }
    while uio.resid > 0 {
        let mut ahead = uio.clone();
        let length = match ahead.move_in(cx, &mut buffer) {
            Ok(length) => length,
            Err(errno) => {
                result = Err(errno.into());
                break;
            }
        };
        let allowed = cx.kernel.account_output(length);
        let Some(stream) = cx.kernel.vfs.stream(vnode) else { return Err(Errno::EBADF.into()) };
        match stream.write(&cx.kernel.tape, buffer.get(..allowed).unwrap_or_default()) {
            // What goes beyond the allowance is taken and lost: the run is over.
            Ok(written) if written == allowed => {
                cx.kernel.wrote(written);
                uio = ahead;
            }
            Ok(written) => {
                cx.kernel.wrote(written);
                skip(cx, &mut uio, written)?;
            }
            Err(error) if error.would_block() => {
                if cx.kernel.files[file].flag.contains(FileFlag::NONBLOCK) {
                    result = Err(Errno::EWOULDBLOCK.into());
                    break;
                }
                return park_write(cx, file, uio, requested);
            }
            Err(error) => {
                result = Err(Errno::from(error).into());
                break;
            }
        }
    }
    note_offset(cx, file, vnode);
    file::ops::finish_write(cx, requested, &uio, result)
}

/// Counts bytes as transferred that were read from the buffers before.
fn skip(cx: &Context<'_>, uio: &mut Uio, length: usize) -> Result<(), Errno> {
    let mut taken = vec![0; length];
    uio.move_in(cx, &mut taken)?;
    Ok(())
}

/// Where a regular file of the host stands now is where the open file stands.
fn note_offset(cx: &mut Context<'_>, file: FileId, vnode: VnodeId) {
    let Kernel { vfs, tape, .. } = &*cx.kernel;
    if let Some(offset) = vfs.stream(vnode).and_then(|stream| stream.tell(tape).ok()) {
        cx.kernel.files[file].offset = offset as i64;
    }
}

/// Waits until the host has something to read.
fn park(cx: &mut Context<'_>, file: FileId, uio: Uio, write: bool) -> Sysret<i32> {
    if cx.kernel.files[file].flag.contains(FileFlag::NONBLOCK) {
        return Err(Errno::EWOULDBLOCK.into());
    }
    cx.kernel.vfs.waiting.parked.insert((file, write));
    synch::sleep(asleep(file, write), Resume::File(file::Resume::Host { file, uio, write }))
}

/// Waits until the host takes more; the bytes taken so far count in the end.
fn park_write(cx: &mut Context<'_>, file: FileId, uio: Uio, requested: u32) -> Sysret<i32> {
    cx.kernel.vfs.waiting.parked.insert((file, true));
    let resume = super::Resume::StreamWrite { file, uio, requested };
    synch::sleep(asleep(file, true), Resume::Vfs(resume))
}

/// Goes on with a write after its sleep; what was taken before a signal is the result.
pub(super) fn resume_write(
    cx: &mut Context<'_>,
    file: FileId,
    uio: Uio,
    requested: u32,
    wake: Wake,
) -> Sysret<i32> {
    if let Wake::Interrupted(how) = wake {
        return file::ops::finish_write(cx, requested, &uio, Err(how.into()));
    }
    let FileObject::Vnode(vnode) = cx.kernel.files[file].object else { return Err(Errno::EBADF.into()) };
    write_rest(cx, file, vnode, uio, requested)
}

fn asleep(file: FileId, write: bool) -> Sleep {
    Sleep {
        channel: Channel::HostFile(file),
        priority: priority::PZERO + 3,
        catch: true,
        wmesg: if write { "ttyout" } else { "ttyin" },
        timeout_ticks: None,
    }
}

/// Whether a stream is ready; if not, the process is noted.
pub(super) fn select(cx: &mut Context<'_>, vnode: VnodeId, which: Which) -> bool {
    let Some(stream) = cx.kernel.vfs.stream(vnode) else { return true };
    let at = match which {
        Which::Read if stream.can_read(&cx.kernel.tape) => return true,
        Which::Write if stream.can_write(&cx.kernel.tape) => return true,
        Which::Read => 0,
        Which::Write => 1,
        Which::Except => return false,
    };
    let mut infos = cx.kernel.vfs.waiting.selecting.remove(&vnode).unwrap_or_default();
    if let Some(info) = infos.get_mut(at) {
        selrecord(cx.kernel, cx.id, info);
    }
    cx.kernel.vfs.waiting.selecting.insert(vnode, infos);
    false
}

/// Waits for host descriptors that processes sleep on, at most so many nanoseconds, and wakes the sleepers;
/// false where nobody waits for any.  What becomes ready of `wake` ends the wait, too.
pub fn poll_host(kernel: &mut Kernel, wake: &[Poll<'_>], timeout_ns: Option<u64>) -> bool {
    forget_the_gone(kernel);
    bridge::settle(kernel);
    if !kernel.tape.is_on() {
        let Some(targets) = wait_for_host(kernel, wake, timeout_ns) else { return false };
        targets.into_iter().for_each(|target| serve(kernel, target));
        return true;
    }
    let number = |target: &Target| match *target {
        Target::Parked(file, write) => (0u8, file.index(), usize::from(write)),
        Target::Selecting(vnode, at) => (1, vnode.index(), at),
        Target::Network => (2, 0, 0),
        Target::Lent => (3, 0, 0),
        Target::Terminal(id) => (4, id, 0),
    };
    let asked = kernel.tape.ask(Question::Wait, None, || {
        let targets = wait_for_host(kernel, wake, timeout_ns)?;
        Some(List(targets.iter().map(number).collect()))
    });
    let Some(List(numbers)) = asked else { return false };
    for (kind, index, at) in numbers {
        let waiting = &kernel.vfs.waiting;
        let target = match kind {
            0 => waiting
                .parked
                .iter()
                .find(|(file, write)| (file.index(), usize::from(*write)) == (index, at))
                .map(|&(file, write)| Target::Parked(file, write)),
            1 => waiting
                .selecting
                .keys()
                .find(|vnode| vnode.index() == index)
                .map(|&vnode| Target::Selecting(vnode, at)),
            2 => Some(Target::Network),
            3 => Some(Target::Lent),
            _ => kernel.ttys.hosts().contains(&index).then_some(Target::Terminal(index)),
        };
        // A recording that names nobody here is another run's, which the next look at the run tells.
        if let Some(target) = target {
            serve(kernel, target);
        }
    }
    true
}

/// Waits for what is waited for; those that need not wait any more, or none where nobody waits for anything.
fn wait_for_host(kernel: &Kernel, wake: &[Poll<'_>], timeout_ns: Option<u64>) -> Option<Vec<Target>> {
    let waiting = &kernel.vfs.waiting;
    let mut polls: Vec<(Target, Poll<'_>)> = Vec::new();
    for &(file, write) in &waiting.parked {
        if let Some(stream) = stream_of(kernel, file) {
            polls.push((Target::Parked(file, write), Poll::new(stream, write)));
        }
    }
    let mut selecting: Vec<VnodeId> = waiting.selecting.keys().copied().collect();
    selecting.sort_unstable();
    for vnode in selecting {
        for (at, write) in [(0, false), (1, true)] {
            if let Some(stream) = kernel.vfs.stream(vnode) {
                polls.push((Target::Selecting(vnode, at), Poll::new(stream, write)));
            }
        }
    }
    for id in kernel.ttys.hosts() {
        for (fd, write) in kernel.ttys.host_interest(&kernel.tape, id).into_iter().flatten() {
            polls.push((Target::Terminal(id), Poll::either(fd, !write, write)));
        }
    }
    if let Some(fd) = bridge::waits_for(kernel) {
        polls.push((Target::Network, Poll::either(fd, true, false)));
    }
    for (_, fd, read, write) in lent::interests(kernel) {
        polls.push((Target::Lent, Poll::either(fd, read, write)));
    }
    if polls.is_empty() {
        return None;
    }
    let ready = wait(polls.iter().map(|(_, poll)| poll).chain(wake), timeout_ns);
    Some(polls.iter().zip(ready).filter(|(_, ready)| *ready).map(|((target, _), _)| *target).collect())
}

/// Wakes who need not wait any more.
fn serve(kernel: &mut Kernel, target: Target) {
    match target {
        Target::Parked(file, write) => {
            kernel.vfs.waiting.parked.remove(&(file, write));
            kernel.wakeup(Channel::HostFile(file));
        }
        Target::Selecting(vnode, at) => {
            let Some(infos) = kernel.vfs.waiting.selecting.get_mut(&vnode) else { return };
            let mut info = infos.get_mut(at).map(std::mem::take).unwrap_or_default();
            selwakeup(kernel, &mut info);
        }
        Target::Lent => lent::service(kernel),
        Target::Network => bridge::service(kernel),
        Target::Terminal(id) => tty::host::service(kernel, id),
    }
}

/// Who is to be woken.
#[derive(Clone, Copy, Debug)]
enum Target {
    Parked(FileId, bool),
    Selecting(VnodeId, usize),
    Network,
    Lent,
    Terminal(TtyId),
}

fn stream_of(kernel: &Kernel, file: FileId) -> Option<&Stream> {
    match kernel.files.get(file)?.object {
        FileObject::Vnode(vnode) => kernel.vfs.stream(vnode),
        _ => None,
    }
}

/// Drops what nobody sleeps for any more.
fn forget_the_gone(kernel: &mut Kernel) {
    let Kernel { vfs, sleepers, .. } = kernel;
    vfs.waiting.parked.retain(|(file, _)| sleepers.holds(Channel::HostFile(*file)));
    let selects = sleepers.holds(Channel::Select);
    let vnodes = &vfs.vnodes;
    vfs.waiting.selecting.retain(|&vnode, _| selects && vnodes.contains(vnode));
}

impl From<HostError> for crate::kernel::Stop {
    fn from(error: HostError) -> Self {
        Errno::from(error).into()
    }
}
