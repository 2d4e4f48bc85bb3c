//! Calls whose course an observer makes up: another result, another call, bytes at its arguments, a delay, a signal.
//!
//! What happens before a call happens here at once or after a sleep; what happens behind it waits in the kernel until
//! the call is over, however often it sleeps.  Must not know why anybody wants this.
//!
//! No 2.1 counterpart.

use std::collections::HashMap;

use syscalls::errno::Errno;

use super::proc::ProcId;
use super::signal::psignal;
use super::synch::{Channel, Parked, Resume, Retval, Sleep, Stop, Sysret};
use super::syscall::Call;
use super::time::TICK_NS;
use super::{Context, Kernel};

/// Priority after a delay: that of `nanosleep`-like waits, PZERO + 8.
const PRIORITY: u8 = 30;

/// What an observer has made up for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intercept {
    /// The result; the call is not made.
    pub result: Option<Result<u32, Errno>>,
    /// Number of the call that is made instead, with the same words.
    pub number: Option<u32>,
    /// A signal that the process gets.
    pub signal: Option<u32>,
    /// What happens before the call.
    pub enter: Edge,
    /// What happens behind it.
    pub leave: Edge,
}

/// What happens at one end of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// Nanoseconds that the process sleeps; rounded up to ticks.
    pub delay_ns: u64,
    /// Bytes that are written where arguments point.
    pub pokes: Vec<Poke>,
}

/// Bytes for the memory at an argument; where there is none nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poke {
    /// Which word, from 0.
    pub word: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What waits for the ends of calls.
pub(super) type Pending = HashMap<ProcId, Edge>;

/// A call that is delayed.
#[derive(Clone, Debug)]
pub enum Delayed {
    /// It has not begun; the result, where it is made up.
    Enter(Call, Option<Result<u32, Errno>>),
    /// It is over, with this result.
    Leave(Sysret<Retval>),
}

/// What the observer has made up at the beginning of a call: `Err` delays it, `Ok` is the call to make and its result
/// where that is made up.
pub(super) fn begin(
    kernel: &mut Kernel,
    id: ProcId,
    call: &Call,
    intercept: Intercept,
) -> Result<(Call, Option<Result<u32, Errno>>), Stop> {
    if let Some(signal) = intercept.signal {
        psignal(kernel, id, signal);
    }
    let made = Call { number: intercept.number.unwrap_or(call.number), ..*call };
    poke(kernel, id, call, &intercept.enter);
    if intercept.leave != Edge::default() {
        kernel.intercepted.insert(id, intercept.leave);
    }
    match delay(id, &intercept.enter) {
        Some(sleep) => {
            let resume = Resume::Delayed(Delayed::Enter(made, intercept.result));
            Err(Stop::Park(Box::new(Parked { sleep, resume })))
        }
        None => Ok((made, intercept.result)),
    }
}

/// What waits for the end of a call: the sleep before its result is seen.
pub(super) fn end(kernel: &mut Kernel, id: ProcId, call: &Call) -> Option<Sleep> {
    let edge = kernel.intercepted.remove(&id)?;
    poke(kernel, id, call, &edge);
    delay(id, &edge)
}

/// The result of a call that was made up.
pub(super) fn result(made_up: Result<u32, Errno>) -> Sysret<Retval> {
    made_up.map(|eax| Retval { eax, edx: None }).map_err(Stop::from)
}

fn poke(kernel: &mut Kernel, id: ProcId, call: &Call, edge: &Edge) {
    let mut cx = Context::new(kernel, id);
    for Poke { word, bytes } in &edge.pokes {
        if let Some(&address) = call.words.get(*word) {
            // A pointer to nowhere is not written to.
            let _ = cx.copyout(address, bytes);
        }
    }
}

fn delay(id: ProcId, edge: &Edge) -> Option<Sleep> {
    let ticks = u32::try_from(edge.delay_ns.div_ceil(TICK_NS)).unwrap_or(u32::MAX);
    let sleep = Sleep {
        channel: Channel::Time(id),
        priority: PRIORITY,
        catch: false,
        wmesg: "delay",
        timeout_ticks: Some(ticks),
    };
    (ticks > 0).then_some(sleep)
}
