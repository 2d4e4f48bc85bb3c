//! The kernel's events as events of the `tracing` crate, each in a span of its process: for programs that use the
//! library and for `--log`.
//!
//! | target | level | what |
//! |---|---|---|
//! | `bsd21::process` | info | programs executed and refused, children, ends |
//! | `bsd21::signal` | info, debug | signals acted on; signals posted |
//! | `bsd21::file` | debug, trace | look-ups of names; descriptors |
//! | `bsd21::call` | debug | calls and their outcomes |
//! | `bsd21::socket`, `bsd21::sleep`, `bsd21::copy` | trace | steps inside the kernel |
//!
//! Without an observer come, from where they happen and in the span of the process that has the processor, mounts
//! (`bsd21::mount`, debug), code that is made of blocks and forgotten (`bsd21::translate`, debug) and what the host
//! refuses (`bsd21::host`, trace).
//!
//! Must not know who subscribes.

use syscalls::Signal;
use tracing::{debug, info, info_span, trace};

use crate::kernel::Kernel;
use crate::kernel::event::{Event, Observer, Outcome};
use crate::kernel::proc::ProcId;

/// An observer that passes everything on to whoever subscribes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bridge;

impl Observer for Bridge {
    fn event(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, event: &Event) {
        let Some(proc) = kernel.procs.get(id) else { return };
        // Whoever has the processor may do something to another one.
        let span = info_span!(target: "bsd21::process", parent: None, "process", pid = proc.pid, comm = proc.comm.escape_ascii().to_string());
        span.in_scope(|| pass_on(sequence, event));
    }
}

fn pass_on(sequence: u64, event: &Event) {
    match event {
        Event::Exec { path, format } => {
            info!(target: "bsd21::process", sequence, path = %text(path), format, "executes");
        }
        Event::ExecRefused { reason } => {
            info!(target: "bsd21::process", sequence, reason = reason.as_str(), "refused");
        }
        Event::Image { vnode } => debug!(target: "bsd21::process", sequence, ?vnode, "maps"),
        Event::Fork { child } => info!(target: "bsd21::process", sequence, child, "forks"),
        Event::Exit { status } => info!(target: "bsd21::process", sequence, status, "ends"),
        Event::Stopped { signal } => {
            info!(target: "bsd21::signal", sequence, signal = name(*signal), "stops");
        }
        Event::Continued => info!(target: "bsd21::signal", sequence, "goes on"),
        Event::SignalDelivered { signal, handler, eip, .. } => {
            info!(target: "bsd21::signal", sequence, signal = name(*signal), handler, eip, "acts on");
        }
        Event::SignalPosted { signal } => {
            debug!(target: "bsd21::signal", sequence, signal = name(*signal), "posted");
        }
        Event::Lookup { path, result } => {
            let error = result.err().map(|errno| errno.name());
            debug!(target: "bsd21::file", sequence, path = %text(path), error, "looks up");
        }
        Event::Descriptor { file, step, fd } => {
            trace!(target: "bsd21::file", sequence, ?file, fd, "{step}");
        }
        Event::Enter(call) => {
            let name = syscalls::sysent::row(call.number).map(|row| row.trace_name().to_string());
            debug!(target: "bsd21::call", sequence, number = call.number, name, "calls");
        }
        Event::Leave(call, outcome) => {
            let error = match outcome {
                Outcome::Failure(errno) => Some(errno.name()),
                Outcome::Success(_) | Outcome::Restart | Outcome::NoReturn => None,
            };
            debug!(target: "bsd21::call", sequence, number = call.number, error, "returns");
        }
        Event::Socket { socket, step, detail, .. } => {
            trace!(target: "bsd21::socket", sequence, ?socket, detail = detail.as_str(), "{step}");
        }
        Event::Sleep { channel, wmesg } => {
            trace!(target: "bsd21::sleep", sequence, wmesg, ?channel, "sleeps");
        }
        Event::Wakeup { wake, slept, .. } => trace!(target: "bsd21::sleep", sequence, ?wake, slept, "wakes"),
        Event::Copy { out, address, len, .. } => {
            trace!(target: "bsd21::copy", sequence, out, address, len, "copies");
        }
        Event::UserReturn => {}
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn name(signal: u32) -> &'static str {
    Signal::from_raw(signal).map_or("?", Signal::name)
}
