//! The binary records of 2.1's ktrace, and the same records as kdump's text.
//!
//! Records are written where the original writes them: a call at its beginning and at its end, its end behind the
//! signals that the process takes on its way back (userret in i386/i386/trap.c), and once more by a child.

use std::collections::HashMap;

use super::Render;
use crate::kernel::event::Outcome;
use crate::kernel::ktrace::record::{Body, EJUSTRETURN, ERESTART, Entry};
use crate::trace::kdump::Kdump;
use crate::trace::output::Output;
use crate::trace::record::{Call, Record, What};

/// The rendering.
#[derive(Debug)]
pub(super) struct Ktrace {
    /// Prints text instead of bytes.
    text: Option<Kdump>,
    /// Ends of calls that are written when the process goes back to its program: signals come first.
    returning: HashMap<i32, Body>,
}

impl Ktrace {
    /// Bytes.
    pub(super) fn binary() -> Self {
        Self { text: None, returning: HashMap::new() }
    }

    /// Text.
    pub(super) fn text() -> Self {
        Self { text: Some(Kdump::default()), returning: HashMap::new() }
    }

    /// Writes the end of the call from which a process goes back; a child comes out of its parent's call.
    fn go_on(&mut self, record: &Record<'_>, output: &mut Output) {
        if let Some(body) = self.returning.remove(&record.pid) {
            self.put(record, body, output);
        }
    }

    fn put(&mut self, record: &Record<'_>, body: Body, output: &mut Output) {
        let entry = Entry { pid: record.pid, comm: record.comm.to_vec(), micros: record.now / 1000, body };
        match &mut self.text {
            Some(kdump) => output.write(record.pid, kdump.print(&entry).as_bytes()),
            None => output.write(record.pid, &entry.encode()),
        }
    }
}

impl Render for Ktrace {
    fn record(&mut self, record: &Record<'_>, output: &mut Output) {
        match &record.what {
            What::Enter(call) => {
                self.go_on(record, output);
                self.put(record, Body::Call { code: code(call), words: call.words.clone() }, output);
            }
            What::Leave(call) => {
                if let Some(t) = &call.transfer {
                    let body = Body::Io { fd: t.fd, written: t.written, bytes: t.bytes.clone() };
                    self.put(record, body, output);
                }
                if let Some(body) = ret(call) {
                    self.returning.insert(record.pid, body);
                }
            }
            What::UserReturn => self.go_on(record, output),
            What::Fork { child, call: Some(number) } => {
                let body = Body::Return { code: *number as i16, error: 0, value: record.pid };
                self.returning.insert(*child, body);
            }
            What::Name(path) => self.put(record, Body::Name(path.to_vec()), output),
            What::Signal(d) => {
                if d.trap {
                    self.go_on(record, output);
                }
                let body = Body::Signal {
                    signal: d.signal.cast_signed(),
                    action: d.handler,
                    mask: d.mask,
                    // Only a trap's own signal is recorded with its code.
                    code: if d.trap { d.code.cast_signed() } else { 0 },
                };
                self.put(record, body, output);
            }
            What::Switch { out } => self.put(record, Body::Switch { out: *out, user: false }, output),
            What::Exit(_) => {
                self.returning.remove(&record.pid);
            }
            _ => {}
        }
    }
}

fn code(call: &Call) -> i16 {
    call.number as i16
}

/// The end of a call; one that never ends has none.
fn ret(call: &Call) -> Option<Body> {
    let (error, value) = match call.end.as_ref()?.outcome {
        Outcome::Success(retval) => (0, retval.eax.cast_signed()),
        Outcome::Failure(errno) => (errno.raw().cast_signed(), 0),
        Outcome::Restart => (ERESTART, 0),
        Outcome::NoReturn => (EJUSTRETURN, 0),
    };
    Some(Body::Return { code: code(call), error, value })
}
