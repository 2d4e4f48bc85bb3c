//! Trace events in JSON, which Perfetto and other viewers open: one track a process, a slice a call, and inside
//! of it a slice a sleep.

use super::Render;
use crate::kernel::event::Outcome;
use crate::kernel::proc::Waker;
use crate::trace::json::{self, Object};
use crate::trace::output::Output;
use crate::trace::record::{Call, Record, What};
use crate::trace::text;
use syscalls::Signal;

/// The rendering.
#[derive(Debug, Default)]
pub(super) struct Chrome {
    begun: bool,
    /// Arrows so far; each has a number of its own.
    arrows: u64,
}

impl Chrome {
    /// Writes one event behind the others.
    fn put(&mut self, pid: i32, event: &str, output: &mut Output) {
        let before = if self.begun { ",\n" } else { "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" };
        self.begun = true;
        output.write(pid, before.as_bytes());
        output.write(pid, event.as_bytes());
    }

    fn call(&mut self, record: &Record<'_>, call: &Call, output: &mut Output) {
        let duration = call.end.as_ref().map_or(record.uptime.saturating_sub(call.entered), |e| e.duration);
        let mut event = String::new();
        let mut o =
            head(&mut event, "X", &call.name(), call.row.map_or("", |r| r.area), record.pid, call.entered);
        o.number("dur", micros(duration));
        let mut args = Object::new(o.key("args"));
        let values: Vec<_> = call.args.iter().flat_map(|a| &a.values).map(text::plain).collect();
        args.text("arguments", &values.join(", "));
        match call.end.as_ref().map(|e| (&e.outcome, &e.value)) {
            Some((Outcome::Success(_), Some(value))) => args.text("result", &text::plain(value)),
            Some((Outcome::Failure(errno), _)) => args.text("result", &format!("-1 {errno}")),
            _ => args.text("result", "?"),
        };
        args.number("seq", call.sequence).number("instructions", call.entered_instructions);
        args.end();
        o.end();
        self.put(record.pid, &event, output);
        for sleep in &call.sleeps {
            let mut event = String::new();
            let mut o =
                head(&mut event, "X", &format!("sleep {}", sleep.wmesg), "sleep", record.pid, sleep.since);
            o.number("dur", micros(sleep.duration.unwrap_or(record.uptime.saturating_sub(sleep.since))));
            let mut args = Object::new(o.key("args"));
            args.text("channel", &sleep.channel);
            args.end();
            o.end();
            self.put(record.pid, &event, output);
            if let Some(Waker { pid, at }) = sleep.woken.filter(|waker| waker.pid != record.pid) {
                let end = sleep.since + sleep.duration.unwrap_or(0);
                self.arrow("wakeup", (pid, at), (record.pid, end), output);
            }
        }
    }

    /// An arrow between two tracks: what one process did and another one felt.
    fn arrow(&mut self, name: &str, from: (i32, u64), to: (i32, u64), output: &mut Output) {
        self.arrows += 1;
        for (phase, (pid, uptime)) in [("s", from), ("f", to)] {
            let mut event = String::new();
            let mut o = head(&mut event, phase, name, "flow", pid, uptime);
            o.number("id", self.arrows);
            if phase == "f" {
                // It ends at the slice around it, not at the next one.
                o.text("bp", "e");
            }
            o.end();
            self.put(pid, &event, output);
        }
    }

    fn instant(&mut self, record: &Record<'_>, name: &str, output: &mut Output) {
        let mut event = String::new();
        let mut o = head(&mut event, "i", name, "process", record.pid, record.uptime);
        o.text("s", "t");
        o.end();
        self.put(record.pid, &event, output);
    }

    /// Gives a track the name of its program.
    fn name(&mut self, pid: i32, name: &[u8], output: &mut Output) {
        let mut event = String::new();
        let mut o = Object::new(&mut event);
        o.text("ph", "M").text("name", "process_name").number("pid", pid).number("tid", pid);
        let mut args = Object::new(o.key("args"));
        json::string(args.key("name"), name);
        args.end();
        o.end();
        self.put(pid, &event, output);
    }
}

impl Render for Chrome {
    fn record(&mut self, record: &Record<'_>, output: &mut Output) {
        match &record.what {
            What::Leave(call) => self.call(record, call, output),
            What::Exec { path, .. } => self.name(record.pid, path, output),
            What::Fork { child, .. } => {
                self.name(*child, record.comm, output);
                self.instant(record, &format!("fork {child}"), output);
                self.arrow("fork", (record.pid, record.uptime), (*child, record.uptime), output);
            }
            What::Signal(d) => {
                let name = Signal::from_raw(d.signal).map_or("signal", Signal::name);
                self.instant(record, name, output);
            }
            What::Stopped(_) => self.instant(record, "stopped", output),
            What::Continued => self.instant(record, "continued", output),
            What::Exit(_) => self.instant(record, "exit", output),
            _ => {}
        }
    }

    fn finish(&mut self, output: &mut Output) {
        let end = if self.begun { "\n]}\n" } else { "{\"traceEvents\":[]}\n" };
        output.write(0, end.as_bytes());
    }
}

/// What every event begins with; times are microseconds.
fn head<'a>(
    out: &'a mut String,
    phase: &str,
    name: &str,
    category: &str,
    pid: i32,
    uptime: u64,
) -> Object<'a> {
    let mut o = Object::new(out);
    o.text("ph", phase).text("name", name).text("cat", if category.is_empty() { "call" } else { category });
    o.number("pid", pid).number("tid", pid).number("ts", micros(uptime));
    o
}

/// Nanoseconds as microseconds with their fraction.
fn micros(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}
