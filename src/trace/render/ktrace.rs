//! The binary records of 2.1's ktrace, and the same records as kdump's text.
//!
//! Records are written where the original writes them: a call at its beginning and at its end.

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
}

impl Ktrace {
    /// Bytes.
    pub(super) fn binary() -> Self {
        Self { text: None }
    }

    /// Text.
    pub(super) fn text() -> Self {
        Self { text: Some(Kdump::default()) }
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
                self.put(record, Body::Call { code: code(call), words: call.words.clone() }, output);
            }
            What::Leave(call) => {
                if let Some(t) = &call.transfer {
                    let body = Body::Io { fd: t.fd, written: t.written, bytes: t.bytes.clone() };
                    self.put(record, body, output);
                }
                if let Some(body) = ret(call) {
                    self.put(record, body, output);
                }
            }
            What::Name(path) => self.put(record, Body::Name(path.to_vec()), output),
            What::Signal(d) => {
                let body = Body::Signal {
                    signal: d.signal.cast_signed(),
                    action: d.handler,
                    mask: d.mask,
                    code: d.code.cast_signed(),
                };
                self.put(record, body, output);
            }
            What::Switch { out } => self.put(record, Body::Switch { out: *out, user: false }, output),
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
