//! Output on its way to the other side: from the queue, or past it, into the bytes that wait there.
//!
//! A writer whose queue is empty and whose host takes what it is given does not fill the queue: its bytes are
//! processed where they wait.  What waits is offered when there is much of it, when nobody runs, and at least
//! once a millisecond.  When the host takes none, the queue fills, and only the writer sleeps.
//!
//! 2.1 counterpart: scstart in i386/isa/syscons.c, its place.

use super::super::flow;
use super::super::settings::flag::FLUSHO;
use super::super::state::State;
use super::super::transfer::Transfer;
use super::super::{TtyId, output::Processing};
use super::charset::to_host;
use super::{Line, hung_up};
use crate::host::tape::{Question, Tape};
use crate::kernel::{Context, Kernel};

/// Bytes that wait for the host before the queue fills.
const PENDING: usize = 65536;
/// Bytes that are offered at once; fewer wait for more.
const OFFERED: usize = 16384;
/// Bytes of the queue that are taken before the end of a call.
const BATCH: usize = 1024;
/// Bytes that are offered at once to a host that makes the carriage returns.
const REWRITTEN: usize = 8192;
/// The number of terminals among streams.
const SCREEN: u8 = 3;
/// Bytes of a writer that are processed at once.
const PIECE: usize = 8192;

/// Bytes that wait for the host.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// So many of them have been sent.
    sent: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Counts bytes as sent.
    fn pass(&mut self, count: usize) {
        self.sent += count.min(self.len());
        if self.sent == self.bytes.len() {
            self.clear();
        } else if self.sent >= PENDING {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    fn put(&mut self, line_charset: super::Charset, bytes: &[u8]) {
        to_host(line_charset, bytes, &mut self.bytes);
    }
}

/// Takes output from the queue (`scstart`), which is done at the end of each call anyway: so only when there
/// is much of it.
pub(in crate::kernel::tty) fn start(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    if tty.outq.len() < BATCH || tty.state.contains(State::TTSTOP) {
        return;
    }
    let Some(line) = tty.host() else { return };
    if line.pending.len() >= OFFERED {
        flush(kernel, id);
    }
    move_output(kernel, id);
}

/// Writes past the queue as much as may go there: the writer's bytes are output at once.  Whatever is in the
/// way, and bytes that cannot be read, are left to whoever fills the queue.
pub(in crate::kernel::tty) fn write_through(cx: &mut Context<'_>, write: &mut Transfer) {
    let id = write.tty;
    if cx.kernel.ttys[id].host().is_none() {
        return;
    }
    let mut piece = [0; PIECE];
    while write.piece.is_empty() && write.is_left() {
        if !cx.kernel.ttys[id].outq.is_empty() {
            move_output(cx.kernel, id);
        }
        let tty = &mut cx.kernel.ttys[id];
        let in_the_way = !tty.outq.is_empty() || tty.state.contains(State::TTSTOP) || tty.has_local(FLUSHO);
        let Some(line) = tty.host().filter(|_| !in_the_way) else { return };
        if line.pending.len() >= PENDING {
            flush(cx.kernel, id);
            let waits = cx.kernel.ttys[id].host().is_none_or(|line| line.pending.len() >= PENDING);
            if waits {
                return;
            }
            continue;
        }
        let mut ahead = write.uio.clone();
        let Ok(length) = ahead.move_in(cx, &mut piece) else { return };
        if length == 0 {
            return;
        }
        write.uio = ahead;
        let tty = &mut cx.kernel.ttys[id];
        let processed = Processing::of(tty).process(piece.get(..length).unwrap_or_default());
        tty.rocount = 0;
        put(cx.kernel, id, &processed);
        if cx.kernel.ttys[id].host().is_some_and(|line| line.pending.len() >= OFFERED) {
            flush(cx.kernel, id);
        }
    }
}

/// Puts what goes out behind what waits.  What goes beyond the allowance is taken and lost: the run is over.
fn put(kernel: &mut Kernel, id: TtyId, bytes: &[u8]) {
    let allowed = kernel.account_output(bytes.len());
    kernel.wrote(allowed);
    let tty = &mut kernel.ttys[id];
    if let Some(line) = tty.host() {
        line.pending.put(line.charset, bytes.get(..allowed).unwrap_or_default());
        let waits = line.pending.len() > 0;
        tty.state.set(State::BUSY, waits);
    }
}

/// Moves output from the queue to what waits for the host, as far as there is room.
fn move_output(kernel: &mut Kernel, id: TtyId) {
    let tty = &mut kernel.ttys[id];
    if tty.state.contains(State::TTSTOP) {
        return;
    }
    let Some(line) = tty.host() else { return };
    let room = PENDING.saturating_sub(line.pending.len());
    let mut bytes = tty.outq.take(room);
    if bytes.last() == Some(&b'\r') && tty.outq.iter().next() == Some(u32::from(b'\n')) {
        // A return stays with its newline.
        bytes.extend(tty.outq.take(1));
    }
    if bytes.is_empty() {
        return;
    }
    put(kernel, id, &bytes);
    flow::wake_writers(kernel, id);
}

/// The end of a call: what it has written goes out with what others write, but before an observer tells of
/// the call.
pub(in crate::kernel::tty) fn call_is_over(kernel: &mut Kernel, id: TtyId) {
    // What is recorded is the same whoever looks on.
    if kernel.observed() && !kernel.tape.is_on() {
        return flush(kernel, id);
    }
    move_output(kernel, id);
    if kernel.ttys[id].host().is_some_and(|line| line.pending.len() >= OFFERED) {
        flush(kernel, id);
    }
}

/// Offers what waits to the host, and what is in the queue.  Stopped output waits.
pub fn flush(kernel: &mut Kernel, id: TtyId) {
    while !kernel.ttys[id].state.contains(State::TTSTOP) {
        move_output(kernel, id);
        let Some(line) = kernel.ttys[id].host().filter(|line| line.pending.len() > 0) else { return };
        let lost = send_asking(&kernel.tape, line);
        let waits = line.pending.len() > 0;
        kernel.ttys[id].state.set(State::BUSY, waits);
        if waits {
            return;
        }
        flow::wake_writers(kernel, id);
        if lost {
            hung_up(kernel, id);
            return;
        }
    }
}

/// Offers what waits of all terminals: nobody runs.
pub fn flush_all(kernel: &mut Kernel) {
    for id in kernel.ttys.hosts() {
        flush(kernel, id);
    }
}

/// The same where a run is recorded or played: what the host takes, and whether it takes anything any more.
fn send_asking(tape: &Tape, line: &mut Line) -> bool {
    if !tape.is_on() {
        return send(line);
    }
    let bytes = line.pending.rest().to_vec();
    let (taken, lost) = tape.ask(Question::Screen, (bytes.len(), false), || {
        let lost = send(line);
        (bytes.len() - line.pending.len(), lost)
    });
    if tape.plays() {
        line.pending.pass(taken);
        if lost {
            line.pending.clear();
        }
    }
    tape.gave(SCREEN, bytes.get(..taken).unwrap_or(&bytes));
    lost
}

/// Writes as much as the host takes; gives whether nobody takes anything any more.
fn send(line: &mut Line) -> bool {
    // The host makes the carriage returns while its modes are its own.
    let adds_returns = line.door.adds_returns();
    while line.pending.len() > 0 {
        let rest = line.pending.rest();
        let result = if adds_returns {
            // No return is parted from its newline.
            let end = REWRITTEN + usize::from(rest.get(REWRITTEN) == Some(&b'\n'));
            let rest = rest.get(..end).unwrap_or(rest);
            let kept = without_returns(rest);
            let all = kept.len();
            line.door.write(&kept).map(|count| if count == all { rest.len() } else { length_of(rest, count) })
        } else {
            line.door.write(rest)
        };
        match result {
            Ok(taken) => line.pending.pass(taken),
            Err(error) if error.is_interrupted() => {}
            Err(error) if error.would_block() => return false,
            Err(_) => {
                line.pending.clear();
                return true;
            }
        }
    }
    false
}

/// Places of carriage returns in front of newlines.
fn returns(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\r', bytes).filter(|&at| bytes.get(at + 1) == Some(&b'\n'))
}

/// Bytes without the carriage returns in front of newlines.
fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in returns(bytes) {
        kept.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        from = at + 1;
    }
    kept.extend_from_slice(bytes.get(from..).unwrap_or_default());
    kept
}

/// How many bytes the first `kept` of those are that [`without_returns`] gives.
fn length_of(bytes: &[u8], kept: usize) -> usize {
    let before = returns(bytes).enumerate().take_while(|(number, at)| at - number < kept).count();
    (kept + before).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_returns_in_front_of_newlines_are_left_to_the_host() {
        assert_eq!(without_returns(b"a\r\nb\rc\r\r\n"), b"a\nb\rc\r\n");
        assert_eq!(without_returns(b"\n\r"), b"\n\r");
        let all = b"a\r\nb\rc\r\r\n";
        let lengths: Vec<usize> = (0..=7).map(|kept| length_of(all, kept)).collect();
        assert_eq!(lengths, [0, 1, 3, 4, 5, 6, 7, 9]);
    }

    #[test]
    fn what_is_sent_is_no_longer_there() {
        let mut pending = Pending::default();
        pending.put(super::super::Charset::Latin1, b"abc");
        pending.pass(2);
        assert_eq!((pending.rest(), pending.len()), (&b"c"[..], 1));
        pending.pass(9);
        assert_eq!(pending.len(), 0);
    }
}
