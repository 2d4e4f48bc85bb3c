//! One JSON object a line; docs/tracing.md describes the members.
//!
//! Every argument is there both raw and decoded.

use syscalls::layout::{WaitStatus, Waited};
use syscalls::{Signal, Sysent};

use super::Render;
use crate::kernel::event::Outcome;
use crate::kernel::proc::Waker;
use crate::trace::json::{self, Object};
use crate::trace::output::Output;
use crate::trace::record::{Call, Frame, Record, What};
use crate::trace::text;
use crate::trace::value::Value;

/// Version of the schema; it grows when a member changes its meaning or goes away.
const VERSION: u32 = 2;

/// The rendering.
#[derive(Debug, Default)]
pub(super) struct Jsonl {
    begun: bool,
}

impl Render for Jsonl {
    fn record(&mut self, record: &Record<'_>, output: &mut Output) {
        let mut line = String::new();
        if !self.begun {
            self.begun = true;
            let mut o = Object::new(&mut line);
            o.text("type", "begin").number("version", VERSION).text("system", "FreeBSD 2.1 i386");
            o.end();
            line.push('\n');
        }
        if members(&mut line, record) {
            line.push('\n');
        }
        output.write(record.pid, line.as_bytes());
    }
}

/// What every object begins with.
fn common<'a>(line: &'a mut String, record: &Record<'_>, kind: &str) -> Object<'a> {
    let mut o = Object::new(line);
    o.text("type", kind).number("seq", record.sequence).number("pid", record.pid).bytes("comm", record.comm);
    o.number("instructions", record.instructions)
        .number("uptime_ns", record.uptime)
        .number("time_ns", record.now);
    o
}

/// Writes a record; false for one that has no object.
fn members(line: &mut String, record: &Record<'_>) -> bool {
    match &record.what {
        What::Leave(c) => call(common(line, record, "call"), c),
        What::Signal(d) => {
            let mut o = common(line, record, "signal");
            signal(&mut o, d.signal);
            o.number("code", d.code);
            if let Some(name) = d.code_name() {
                o.text("code_name", name);
            }
            if let Some(address) = d.fault_address() {
                o.number("address", address);
            }
            o.number("eip", d.eip).number("handler", d.handler).number("mask", d.mask).number("trap", d.trap);
            if !d.stack.is_empty() {
                stack(&mut o, &d.stack);
            }
            o.end();
        }
        What::Stopped(number) => {
            let mut o = common(line, record, "stop");
            signal(&mut o, *number);
            o.end();
        }
        What::Continued => common(line, record, "continue").end(),
        What::Fork { child, .. } => {
            let mut o = common(line, record, "fork");
            o.number("child", child);
            o.end();
        }
        What::Exec { path, format } => {
            let mut o = common(line, record, "exec");
            o.bytes("path", path).text("format", format);
            o.end();
        }
        What::ExecRefused(reason) => {
            let mut o = common(line, record, "exec-refused");
            o.text("reason", reason);
            o.end();
        }
        What::Exit(status) => {
            let mut o = common(line, record, "exit");
            o.number("status", status);
            match WaitStatus((*status).into()).decode() {
                Waited::Exited(code) => {
                    o.number("code", code);
                }
                Waited::Signaled { signal: number, core } => {
                    signal(&mut o, number);
                    o.number("core", core);
                }
                Waited::Stopped { .. } => {}
            }
            o.end();
        }
        What::Name(path) => {
            let mut o = common(line, record, "name");
            o.bytes("path", path);
            o.end();
        }
        What::Step(step) => {
            let mut o = common(line, record, "kernel");
            o.text("layer", step.layer).text("text", &step.text);
            o.end();
        }
        What::Enter(_) | What::Unfinished(_) | What::LeftAlone | What::UserReturn | What::Switch { .. } => {
            return false;
        }
    }
    true
}

fn signal(o: &mut Object<'_>, number: u32) {
    o.number("signal", number);
    if let Some(signal) = Signal::from_raw(number) {
        o.text("signal_name", signal.name());
    }
}

fn call(mut o: Object<'_>, call: &Call) {
    o.number("number", call.number).text("name", &call.name()).number("eip", call.eip);
    if let Some(Sysent { area, .. }) = call.row.filter(|r| !r.area.is_empty()) {
        o.text("area", area);
    }
    o.number("began_seq", call.sequence).number("began_ns", call.entered);
    json::array(o.key("args"), &call.args, |out, arg| {
        let mut o = Object::new(out);
        o.text("name", arg.name);
        json::array(o.key("raw"), &arg.words, |out, w| out.push_str(&w.to_string()));
        match arg.values.as_slice() {
            [] => {}
            [one] => value(o.key("value"), one),
            several => json::array(o.key("values"), several, value),
        }
        o.end();
    });
    match &call.end {
        None => {
            o.text("outcome", "unfinished");
        }
        Some(end) => {
            match end.outcome {
                Outcome::Success(retval) => {
                    o.text("outcome", "success").number("eax", retval.eax);
                    if let Some(edx) = retval.edx {
                        o.number("edx", edx);
                    }
                    if let Some(v) = &end.value {
                        value(o.key("result"), v);
                    }
                }
                Outcome::Failure(errno) => {
                    o.text("outcome", "failure").number("errno", errno.raw()).text("error", errno.name());
                    o.text("message", errno.message());
                }
                Outcome::Restart => {
                    o.text("outcome", "restart");
                }
                Outcome::NoReturn => {
                    o.text("outcome", "noreturn");
                }
            }
            o.number("duration_ns", end.duration);
        }
    }
    if call.injected {
        o.number("injected", true);
    }
    if !call.sleeps.is_empty() {
        json::array(o.key("sleeps"), &call.sleeps, |out, s| {
            let mut o = Object::new(out);
            o.text("wmesg", s.wmesg).text("channel", &s.channel).number("began_ns", s.since);
            if let Some(duration) = s.duration {
                o.number("duration_ns", duration);
            }
            if let Some(Waker { pid, at }) = s.woken {
                o.number("woken_by", pid).number("woken_ns", at);
            }
            o.end();
        });
    }
    if !call.steps.is_empty() {
        json::array(o.key("kernel"), &call.steps, |out, s| {
            let mut o = Object::new(out);
            o.number("seq", s.sequence)
                .number("uptime_ns", s.uptime)
                .text("layer", s.layer)
                .text("text", &s.text);
            o.end();
        });
    }
    if !call.stack.is_empty() {
        stack(&mut o, &call.stack);
    }
    if let Some(t) = &call.transfer {
        let mut inner = Object::new(o.key("transfer"));
        inner.number("fd", t.fd).number("written", t.written).bytes("bytes", &t.bytes);
        inner.end();
    }
    o.end();
}

fn stack(o: &mut Object<'_>, frames: &[Frame]) {
    json::array(o.key("stack"), frames, |out, f| {
        let mut o = Object::new(out);
        o.number("address", f.address);
        if let Some(image) = &f.image {
            o.bytes("image", image);
        }
        if let Some((name, offset)) = &f.symbol {
            o.text("symbol", name).number("offset", offset);
        }
        o.end();
    });
}

/// A decoded value: numbers as numbers, symbols as objects with both forms, strings as strings.
fn value(out: &mut String, v: &Value) {
    match v {
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Uint(n) | Value::Hex(n) | Value::Octal(n) => out.push_str(&n.to_string()),
        Value::Addr(0) => out.push_str("null"),
        Value::Addr(n) => {
            let mut o = Object::new(out);
            o.number("address", n);
            o.end();
        }
        Value::Symbol { raw, text } => {
            let mut o = Object::new(out);
            o.number("raw", raw).text("text", text);
            o.end();
        }
        Value::Fd { fd, about } => {
            let mut o = Object::new(out);
            o.number("fd", fd);
            if let Some(about) = about {
                o.text("about", about);
            }
            o.end();
        }
        Value::Bytes { bytes, more: false } => json::string(out, bytes),
        Value::Bytes { bytes, more: true } => {
            let mut o = Object::new(out);
            o.bytes("bytes", bytes).number("more", true);
            o.end();
        }
        Value::Struct { fields, more } => {
            let mut o = Object::new(out);
            for (name, v) in fields {
                value(o.key(name), v);
            }
            if *more {
                o.number("more", true);
            }
            o.end();
        }
        Value::List { items, more } => {
            let mut o = Object::new(out);
            json::array(o.key("items"), items, value);
            if *more {
                o.number("more", true);
            }
            o.end();
        }
        Value::Set(members) => json::array(out, members, |out, n| out.push_str(&n.to_string())),
        Value::Change(before, after) => {
            let mut o = Object::new(out);
            value(o.key("before"), before);
            value(o.key("after"), after);
            o.end();
        }
        Value::Boxed(inner) => value(out, inner),
        Value::Remark(inner, remark) => {
            let mut o = Object::new(out);
            value(o.key("value"), inner);
            o.text("remark", remark).text("text", &text::plain(v));
            o.end();
        }
    }
}
