//! Requests on terminals.
//!
//! A request goes through up to four stages, between which it may sleep: a background process is stopped;
//! output is waited for; then it is done; at last the master of a pseudo terminal learns of it.
//!
//! 2.1 counterpart: kern/tty.c (ttioctl), kern/tty_pty.c (ptyioctl), kern/tty_conf.c, kern/tty_tty.c
//! (cttyioctl).

use syscalls::errno::Errno;
use syscalls::ioctl as request;
use syscalls::layout::{Termios, Winsize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::drain::{self, Drained, Draining};
use super::flow::{self, Awaited, FREAD, FWRITE, signal_foreground};
use super::settings::{flag, key};
use super::state::{End, State, Tty};
use super::{Resume, TtyId, compat, control, host, info, input, modem, pty, read, transfer};
use crate::kernel::file::{FileFlag, FileId};
use crate::kernel::signal::SIGWINCH;
use crate::kernel::synch::{self, HZ, Sleep, Wake, priority};
use crate::kernel::{Context, Stop, Sysret};

/// Number that stands for no process or group (NO_PID).
pub const NO_PID: i32 = 30001;
/// Line disciplines that there are places for (MAXLDISC).
const MAXLDISC: u32 = 8;

/// A request in progress.
#[derive(Clone, Debug)]
pub struct Request {
    /// The open file.
    file: FileId,
    /// The terminal.
    tty: TtyId,
    /// The node that becomes the session's terminal by TIOCSCTTY.
    node: crate::kernel::vfs::VnodeId,
    /// The request as it was made.
    made: u32,
    /// The request that is served: an old one becomes a present one.
    served: u32,
    /// Its parameters.
    data: Vec<u8>,
    /// What is done after the drain.
    generation: u32,
}

/// Where a request sleeps.
#[derive(Clone, Copy, Debug)]
pub enum Waiting {
    /// In the background, until the next second.
    Background,
    /// Until output has gone out.
    Drain(Draining),
}

/// What a stage gives.
enum Stage {
    /// The request is over.
    Done(Sysret<()>),
    /// It sleeps.
    Sleep(Sleep, Waiting),
    /// Nobody knows it.
    Unknown,
}

impl From<Result<(), Errno>> for Stage {
    fn from(result: Result<(), Errno>) -> Self {
        Stage::Done(result.map_err(Stop::from))
    }
}

/// Serves a request on an end of a terminal that is known by `node`; `data` is its parameter block.
pub(super) fn ioctl(
    cx: &mut Context<'_>,
    file: FileId,
    (tty, end): (TtyId, End),
    node: crate::kernel::vfs::VnodeId,
    command: u32,
    data: &mut Vec<u8>,
) -> Sysret<()> {
    if let Some(result) = pty_request(cx, tty, end, command, data) {
        return Ok(result?);
    }
    let mut request = Request {
        file,
        tty,
        node,
        made: command,
        served: command,
        data: std::mem::take(data),
        generation: 0,
    };
    let stage = begin(cx, &mut request);
    // Requests that may sleep give nothing back.
    match stage {
        Stage::Sleep(sleep, waiting) => asleep(cx, request, sleep, waiting),
        stage => {
            *data = std::mem::take(&mut request.data);
            finish(cx, &request, stage)
        }
    }
}

/// What pseudo terminals answer by themselves.
fn pty_request(
    cx: &mut Context<'_>,
    tty: TtyId,
    end: End,
    command: u32,
    data: &mut [u8],
) -> Option<Result<(), Errno>> {
    cx.kernel.ttys[tty].pty()?;
    pty::ioctl(cx, tty, end, command, data)
}

fn asleep(cx: &mut Context<'_>, mut request: Request, sleep: Sleep, waiting: Waiting) -> Sysret<()> {
    request.generation = cx.kernel.ttys[request.tty].generation;
    synch::sleep(sleep, synch::Resume::Tty(Resume::Ioctl(Box::new(request), waiting)))
}

/// Goes on with a request after a sleep.
pub(super) fn resume(cx: &mut Context<'_>, mut request: Request, at: Waiting, wake: Wake) -> Sysret<()> {
    let tty = request.tty;
    let stage = match at {
        Waiting::Background => match transfer::result(wake) {
            Ok(()) if cx.kernel.ttys[tty].generation == request.generation => begin(cx, &mut request),
            Ok(()) => Stage::Done(Err(Stop::Restart)),
            Err(stop) => Stage::Done(Err(stop)),
        },
        Waiting::Drain(draining) => {
            let drained = drain::resume(cx.kernel, draining, wake);
            after_drain(cx, &mut request, drained)
        }
    };
    match stage {
        Stage::Sleep(sleep, waiting) => asleep(cx, request, sleep, waiting),
        stage => finish(cx, &request, stage),
    }
}

/// The end of a request, which the master of a pseudo terminal learns of.  As in the original a request that
/// is to be made again looks like one that nobody knows.
fn finish(cx: &mut Context<'_>, request: &Request, stage: Stage) -> Sysret<()> {
    let tty = request.tty;
    let result = match stage {
        Stage::Unknown | Stage::Done(Err(Stop::Restart)) => {
            if pty::user_request(cx.kernel, tty, request.made) {
                return Ok(());
            }
            Err(Errno::ENOTTY.into())
        }
        Stage::Done(result) => result,
        Stage::Sleep(..) => Ok(()),
    };
    pty::after_ioctl(cx.kernel, tty, request.made);
    host::call_is_over(cx.kernel, tty);
    result
}

/// Whether a request changes the terminal, so that background processes are stopped first.
fn changes(number: u32) -> bool {
    matches!(
        number,
        request::TIOCFLUSH
            | request::TIOCSETA
            | request::TIOCSETD
            | request::TIOCSETAF
            | request::TIOCSETAW
            | request::TIOCSTAT
            | request::TIOCSTI
            | request::TIOCSWINSZ
            | request::TIOCLBIC
            | request::TIOCLBIS
            | request::TIOCLSET
            | request::TIOCSETC
            | request::OTIOCSETD
            | request::TIOCSETN
            | request::TIOCSETP
            | request::TIOCSLTC
    )
}

/// Stops a background process, and does what can be done at once (`ttioctl`).
fn begin(cx: &mut Context<'_>, request: &mut Request) -> Stage {
    let sleep = control::background_sleep("ttybg1", priority::TTOPRI);
    if changes(request.served)
        && let Some(sleep) = control::may_change(cx, request.tty, sleep)
    {
        return Stage::Sleep(sleep, Waiting::Background);
    }
    let number = request.served;
    match number {
        request::TIOCDRAIN => drain_first(cx, request),
        request::TIOCSETA => match get::<Termios>(&request.data).and_then(|t| check_speeds(&t)) {
            Ok(()) => set(cx, request),
            Err(errno) => Err(errno).into(),
        },
        request::TIOCSETAW | request::TIOCSETAF => {
            match get::<Termios>(&request.data).and_then(|t| check_speeds(&t)) {
                Ok(()) => drain_first(cx, request),
                Err(errno) => Err(errno).into(),
            }
        }
        request::TIOCSETD => set_discipline(cx, request),
        request::OTIOCSETD => {
            // 2 was the name of what is 0 now.
            if int(&request.data) == 2 {
                request.data = 0i32.to_le_bytes().to_vec();
            }
            request.served = request::TIOCSETD;
            begin(cx, request)
        }
        request::OTIOCCONS => {
            request.data = 1i32.to_le_bytes().to_vec();
            request.served = request::TIOCCONS;
            begin(cx, request)
        }
        _ if compat::is_setter(number) => {
            let tty = &mut cx.kernel.ttys[request.tty];
            match compat::set(tty, number, &request.data) {
                Ok((served, termios)) => {
                    (request.served, request.data) = (served, termios.as_bytes().to_vec());
                    begin(cx, request)
                }
                Err(errno) => Err(errno).into(),
            }
        }
        _ => at_once(cx, request),
    }
}

fn drain_first(cx: &mut Context<'_>, request: &mut Request) -> Stage {
    let drained = drain::wait(cx.kernel, request.tty);
    after_drain(cx, request, drained)
}

fn after_drain(cx: &mut Context<'_>, request: &mut Request, drained: Drained) -> Stage {
    let result = match drained {
        Drained::Sleep(sleep, draining) => return Stage::Sleep(sleep, Waiting::Drain(draining)),
        Drained::Over(result) => result,
    };
    if request.served == request::TIOCSETD {
        // The line discipline closes: an interrupted wait forgets everything.
        let which = if result.is_ok() { FREAD } else { FREAD | FWRITE };
        flow::flush(cx.kernel, request.tty, which);
        return enter_discipline(cx, request);
    }
    match (result, request.served) {
        (Err(stop), _) => Stage::Done(Err(stop)),
        (Ok(()), request::TIOCDRAIN) => Ok(()).into(),
        (Ok(()), served) => {
            if served == request::TIOCSETAF {
                flow::flush(cx.kernel, request.tty, FREAD);
            }
            set(cx, request)
        }
    }
}

/// Requests that never wait.
fn at_once(cx: &mut Context<'_>, request: &mut Request) -> Stage {
    let Request { file, tty: id, node, served, .. } = *request;
    let data = &mut request.data;
    let reads = cx.kernel.files.get(file).is_some_and(|file| file.flag.contains(FileFlag::READ));
    let tty = &mut cx.kernel.ttys[id];
    let result = match served {
        request::FIOASYNC => {
            tty.state.set(State::ASYNC, int(data) != 0);
            Ok(())
        }
        request::FIONBIO => Ok(()),
        request::FIONREAD => {
            host::wants_input(cx.kernel, id);
            put(data, &(read::readable(cx.kernel, id) as i32))
        }
        request::TIOCEXCL | request::TIOCNXCL => {
            tty.state.set(State::XCLUDE, served == request::TIOCEXCL);
            Ok(())
        }
        request::TIOCFLUSH => {
            let which = match int(data) as u32 {
                0 => FREAD | FWRITE,
                which => which & (FREAD | FWRITE),
            };
            flow::flush(cx.kernel, id, which);
            Ok(())
        }
        request::TIOCCONS => become_console(cx, id, int(data) != 0),
        request::TIOCGETA => put(data, &tty.termios),
        request::TIOCGETD => put(data, &tty.line),
        request::OTIOCGETD => put(data, &if tty.line == 0 { 2 } else { tty.line }),
        request::TIOCGWINSZ => put(data, &tty.winsize),
        request::TIOCSWINSZ => set_size(cx, id, data),
        request::TIOCGPGRP => foreground(cx, id).and_then(|group| put(data, &group)),
        request::TIOCSPGRP => set_foreground(cx, id, int(data)),
        request::TIOCHPCL => {
            tty.termios.cflag = (tty.cflag() | flag::HUPCL).into();
            Ok(())
        }
        request::TIOCOUTQ => put(data, &(tty.outq.len() as i32)),
        request::TIOCSTART => {
            if tty.state.contains(State::TTSTOP) || tty.has_local(flag::FLUSHO) {
                tty.set_lflag(flag::FLUSHO, false);
                tty.state.remove(State::TTSTOP);
                flow::start(cx.kernel, id);
            }
            Ok(())
        }
        request::TIOCSTOP => {
            if !tty.state.contains(State::TTSTOP) {
                tty.state.insert(State::TTSTOP);
                flow::stop(cx.kernel, id, 0);
            }
            Ok(())
        }
        request::TIOCSTI => simulate(cx, id, data.first().copied().unwrap_or_default(), reads),
        request::TIOCSCTTY => control::set_controlling(cx.kernel, cx.id, id, node),
        request::TIOCSTAT => {
            info::print(cx.kernel, id);
            Ok(())
        }
        request::TIOCSDRAINWAIT => set_drain_time(cx, id, int(data)),
        request::TIOCGDRAINWAIT => put(data, &(tty.timeout / HZ as i32)),
        _ => match compat::get(tty, served) {
            Some(old) => put_bytes(data, &old),
            None => return Stage::Unknown,
        },
    };
    result.into()
}

fn become_console(cx: &mut Context<'_>, id: TtyId, on: bool) -> Result<(), Errno> {
    let taken = cx.kernel.ttys.console.filter(|&other| other != id);
    if !on {
        if taken.is_none() {
            cx.kernel.ttys.console = None;
        }
        return Ok(());
    }
    if taken.is_some_and(|other| cx.kernel.ttys[other].state.contains(State::CONNECTED)) {
        return Err(Errno::EBUSY);
    }
    cx.suser()?;
    cx.kernel.ttys.console = Some(id);
    Ok(())
}

fn set_size(cx: &mut Context<'_>, id: TtyId, data: &[u8]) -> Result<(), Errno> {
    let size: Winsize = get(data)?;
    let tty = &mut cx.kernel.ttys[id];
    if size.as_bytes() != tty.winsize.as_bytes() {
        tty.winsize = size;
        signal_foreground(cx.kernel, id, SIGWINCH);
    }
    Ok(())
}

fn foreground(cx: &Context<'_>, id: TtyId) -> Result<i32, Errno> {
    if !control::is_controlling(cx.kernel, cx.id, id) {
        return Err(Errno::ENOTTY);
    }
    let procs = &cx.kernel.procs;
    let group = cx.kernel.ttys[id].pgrp.filter(|&group| procs.group_exists(group));
    Ok(group.map_or(NO_PID, |group| procs.group(group).pgid))
}

fn set_foreground(cx: &mut Context<'_>, id: TtyId, pgid: i32) -> Result<(), Errno> {
    if !control::is_controlling(cx.kernel, cx.id, id) {
        return Err(Errno::ENOTTY);
    }
    let procs = &cx.kernel.procs;
    let ours = procs.session_id(cx.proc().pgrp);
    let group = procs.find_group(pgid).filter(|&group| procs.session_id(group) == ours);
    cx.kernel.ttys[id].pgrp = Some(group.ok_or(Errno::EPERM)?);
    Ok(())
}

fn simulate(cx: &mut Context<'_>, id: TtyId, c: u8, reads: bool) -> Result<(), Errno> {
    if cx.proc().cred.ucred.uid != 0 {
        if !reads {
            return Err(Errno::EPERM);
        }
        if !control::is_controlling(cx.kernel, cx.id, id) {
            return Err(Errno::EACCES);
        }
    }
    input::input(cx.kernel, id, u32::from(c));
    Ok(())
}

fn set_drain_time(cx: &mut Context<'_>, id: TtyId, seconds: i32) -> Result<(), Errno> {
    cx.suser()?;
    cx.kernel.ttys[id].timeout = seconds.wrapping_mul(HZ as i32);
    flow::wakeup(cx.kernel, id, Awaited::OutputComplete);
    flow::wakeup(cx.kernel, id, Awaited::OutputLow);
    Ok(())
}

/// Changes the line discipline: 0 and 2 are the same, the others do not exist, and after trying one of them
/// the old one is entered again.
fn set_discipline(cx: &mut Context<'_>, request: &mut Request) -> Stage {
    let wanted = int(&request.data);
    if wanted as u32 >= MAXLDISC {
        return Err(Errno::ENXIO).into();
    }
    if wanted == cx.kernel.ttys[request.tty].line {
        return Ok(()).into();
    }
    let file = cx.kernel.files.get(request.file);
    if file.is_some_and(|file| file.flag.contains(FileFlag::NONBLOCK)) {
        flow::flush(cx.kernel, request.tty, FREAD | FWRITE);
        return enter_discipline(cx, request);
    }
    drain_first(cx, request)
}

fn enter_discipline(cx: &mut Context<'_>, request: &Request) -> Stage {
    let wanted = int(&request.data);
    let tty = &mut cx.kernel.ttys[request.tty];
    tty.open();
    let result = match wanted {
        0 | 2 => {
            tty.line = wanted;
            Ok(())
        }
        _ => Err(Errno::ENODEV),
    };
    result.into()
}

fn check_speeds(termios: &Termios) -> Result<(), Errno> {
    if termios.ispeed.get() < 0 || termios.ospeed.get() < 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Makes settings the terminal's (TIOCSETA and its relatives, after the wait).
fn set(cx: &mut Context<'_>, request: &Request) -> Stage {
    let Ok(new) = get::<Termios>(&request.data) else { return Err(Errno::EINVAL).into() };
    let id = request.tty;
    host::wants_input(cx.kernel, id);
    if new.cflag.get() & flag::CIGNORE == 0 {
        set_line(cx, id, &new);
    }
    let tty = &mut cx.kernel.ttys[id];
    let canonical = new.lflag.get() & flag::ICANON;
    if canonical != tty.lflag() & flag::ICANON && request.served != request::TIOCSETAF {
        tty.set_lflag(flag::PENDIN, canonical != 0);
        if canonical == 0 {
            lines_to_bytes(tty);
        }
        flow::wake_readers(cx.kernel, id);
    }
    let tty = &mut cx.kernel.ttys[id];
    tty.termios.iflag = new.iflag;
    tty.termios.oflag = new.oflag;
    // External processing is set by TIOCEXT only, and waiting input stays.
    let kept = tty.lflag() & (flag::EXTPROC | flag::PENDIN);
    tty.termios.lflag = (new.lflag.get() & !flag::EXTPROC | kept).into();
    let woken = [key::VMIN, key::VTIME].iter().any(|&place| new.cc[place] != tty.termios.cc[place]);
    if woken {
        flow::wake_readers(cx.kernel, id);
    }
    cx.kernel.ttys[id].termios.cc = new.cc;
    Ok(()).into()
}

/// Control modes and speeds, and what they mean for the connection.
fn set_line(cx: &mut Context<'_>, id: TtyId, new: &Termios) {
    let local = new.cflag.get() & flag::CLOCAL != 0;
    if local && cx.kernel.ttys[id].cflag() & flag::CLOCAL == 0 {
        cx.kernel.ttys[id].state.remove(State::ZOMBIE);
        modem::connected(cx.kernel, id);
    }
    let tty = &mut cx.kernel.ttys[id];
    let connected = (tty.state.contains(State::CARR_ON) || local) && !tty.state.contains(State::ZOMBIE);
    tty.state.set(State::CONNECTED, connected);
    tty.termios.cflag = new.cflag;
    tty.termios.ispeed = new.ispeed;
    tty.termios.ospeed = new.ospeed;
    tty.set_water();
}

/// Lines that wait become bytes that wait.
fn lines_to_bytes(tty: &mut Tty) {
    if tty.canq.is_allocated() && tty.rawq.is_allocated() {
        let Tty { rawq, canq, .. } = tty;
        rawq.append_to(canq);
        canq.append_to(rawq);
    }
}

/// The parameter block as a number.
pub(super) fn int(data: &[u8]) -> i32 {
    data.first_chunk().map_or(0, |word| i32::from_le_bytes(*word))
}

/// The parameter block as a structure.
pub(super) fn get<T: FromBytes>(data: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(data).map(|(value, _)| value).map_err(|_| Errno::EINVAL)
}

/// Fills the parameter block.
pub(super) fn put<T: IntoBytes + Immutable>(data: &mut [u8], value: &T) -> Result<(), Errno> {
    put_bytes(data, value.as_bytes())
}

fn put_bytes(data: &mut [u8], bytes: &[u8]) -> Result<(), Errno> {
    data.get_mut(..bytes.len()).ok_or(Errno::EINVAL)?.copy_from_slice(bytes);
    Ok(())
}
