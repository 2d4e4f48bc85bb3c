//! Lines as strace prints them: one a call, complete, in the order in which calls end.

use std::fmt::Write;

use syscalls::Signal;
use syscalls::layout::{WaitStatus, Waited};

use super::Render;
use super::color::{self, Ink};
use crate::kernel::event::Outcome;
use crate::kernel::ktrace::transfer::Transfer;
use crate::trace::decode::Argument;
use crate::trace::options::{Options, Stamp};
use crate::trace::output::Output;
use crate::trace::record::{Call, Delivery, Frame, Record, What};
use crate::trace::text;

/// The rendering.
#[derive(Debug)]
pub(super) struct Strace {
    options: Options,
    /// Each process has its own file, and its number need not be on each line.
    per_process: bool,
    /// There has been a second process, and each line says whose it is.
    several: bool,
    /// Uptime of the line before, for `-r`.
    before: Option<u64>,
}

impl Strace {
    pub(super) fn new(options: &Options, per_process: bool) -> Self {
        Self {
            options: options.clone(),
            per_process,
            several: options.comms || options.always_pids,
            before: None,
        }
    }

    /// What stands before a line; `since` is when the thing began.
    fn prefix(&mut self, record: &Record<'_>, uptime: u64, now: u64) -> String {
        let mut line = String::new();
        if self.several && !self.per_process {
            let pid = match self.options.comms {
                true => format!("{}<{}>", record.pid, record.comm.escape_ascii()),
                false => record.pid.to_string(),
            };
            self.paint(&mut line, Ink::Process, &format!("{pid:<5}"));
            line.push(' ');
        }
        if let Some(precision) = self.options.relative {
            let since = uptime.saturating_sub(self.before.unwrap_or(uptime));
            let _ = write!(line, "{:>6}{} ", since / 1_000_000_000, precision.fraction(since));
            self.before = Some(uptime);
        }
        let _ = match self.options.stamp {
            Stamp::None => Ok(()),
            Stamp::Time(precision) => {
                let seconds = now / 1_000_000_000;
                let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
                write!(line, "{hour:02}:{minute:02}:{second:02}{} ", precision.fraction(now))
            }
            Stamp::Epoch(precision) => write!(line, "{} ", precision.seconds(now)),
        };
        line
    }

    /// The name and what stands before it.
    fn head(&mut self, record: &Record<'_>, call: &Call) -> String {
        let mut line = self.prefix(record, call.entered, call.entered_at);
        if self.options.numbers {
            let _ = write!(line, "[{:>4}] ", call.number);
        }
        if self.options.eip {
            let _ = write!(line, "[{:08x}] ", call.eip);
        }
        line
    }

    /// Arguments, with commas; a line that is cut ends with one.
    fn arguments(&self, line: &mut String, args: &[Argument], cut: bool) {
        let values = args.iter().flat_map(|a| a.values.iter().enumerate().map(move |(n, v)| (a.name, n, v)));
        for (i, (name, nth, value)) in values.enumerate() {
            if i > 0 {
                line.push_str(", ");
            }
            // A type of several words has the name of its first.
            if self.options.argument_names && nth == 0 {
                let _ = write!(line, "{name}=");
            }
            text::write(line, value, self.options.style);
        }
        if cut && args.iter().any(|a| !a.values.is_empty()) {
            line.push_str(", ");
        }
    }

    fn call(&mut self, record: &Record<'_>, call: &Call, output: &mut Output) {
        let mut line = self.head(record, call);
        let shown = if call.announced {
            let _ = write!(line, "<... {} resumed>", call.name());
            known(call)
        } else {
            self.paint(&mut line, Ink::Name, &call.name());
            line.push('(');
            0
        };
        let raw = self.options.raw.contains(call.number);
        match raw {
            true => words(&mut line, call),
            false => self.arguments(&mut line, &call.args[shown..], false),
        }
        line.push_str(") ");
        let width = color::width(&line);
        line.extend(std::iter::repeat_n(' ', self.options.column.saturating_sub(width)));
        line.push_str("= ");
        self.result(&mut line, call);
        line.push('\n');
        if let Some(transfer) = call.transfer.as_ref().filter(|t| self.dumps(t)) {
            dump(&mut line, &transfer.bytes);
        }
        for step in &call.steps {
            let _ = writeln!(line, "        {:<7}{}", step.layer, step.text);
        }
        stack(&mut line, &call.stack);
        output.write(record.pid, line.as_bytes());
    }

    fn result(&self, line: &mut String, call: &Call) {
        let Some(end) = &call.end else {
            line.push('?');
            return;
        };
        let _ = match (end.outcome, &end.value) {
            (Outcome::Success(retval), _) if self.options.raw.contains(call.number) => {
                write!(line, "{:#x}", retval.eax)
            }
            (Outcome::Success(_), Some(value)) => {
                text::write(line, value, self.options.style);
                Ok(())
            }
            (Outcome::Success(retval), None) => write!(line, "{}", retval.eax.cast_signed()),
            (Outcome::Failure(errno), _) => {
                self.paint(line, Ink::Error, &format!("-1 {errno}"));
                Ok(())
            }
            (Outcome::Restart, _) => write!(line, "? ERESTART (To be restarted)"),
            (Outcome::NoReturn, _) => write!(line, "?"),
        };
        if call.injected {
            line.push_str(" (INJECTED)");
        }
        if let Some(precision) = self.options.durations {
            let _ = write!(line, " <{}>", precision.seconds(end.duration));
        }
    }

    /// Whether the bytes of a transfer are shown.
    fn dumps(&self, transfer: &Transfer) -> bool {
        let wanted = match transfer.written {
            true => &self.options.dump_write,
            false => &self.options.dump_read,
        };
        match wanted {
            None => false,
            Some(None) => true,
            Some(Some(fds)) => fds.contains(&transfer.fd),
        }
    }

    fn unfinished(&mut self, record: &Record<'_>, call: &Call, output: &mut Output) {
        let mut line = self.head(record, call);
        self.paint(&mut line, Ink::Name, &call.name());
        line.push('(');
        let known = known(call);
        self.arguments(&mut line, &call.args[..known], known < call.args.len());
        line.push_str(" <unfinished ...>\n");
        output.write(record.pid, line.as_bytes());
    }

    /// A line that is not a call.
    fn remark(&mut self, record: &Record<'_>, eip: Option<u32>, text: &str, output: &mut Output) {
        let mut line = self.prefix(record, record.uptime, record.now);
        if self.options.numbers {
            line.push_str("[    ] ");
        }
        if self.options.eip {
            let _ = match eip {
                Some(eip) => write!(line, "[{eip:08x}] "),
                None => write!(line, "[????????] "),
            };
        }
        self.paint(&mut line, Ink::Remark, text);
        line.push('\n');
        output.write(record.pid, line.as_bytes());
    }

    fn paint(&self, line: &mut String, ink: Ink, text: &str) {
        match self.options.color {
            true => color::paint(line, ink, text),
            false => line.push_str(text),
        }
    }
}

impl Render for Strace {
    fn record(&mut self, record: &Record<'_>, output: &mut Output) {
        match &record.what {
            What::Fork { .. } => self.several = true,
            What::LeftAlone if self.options.quiet == 0 => {
                self.remark(record, None, "--- traced no more ---", output);
            }
            What::Leave(call) => self.call(record, call, output),
            What::Unfinished(call) => self.unfinished(record, call, output),
            What::Signal(delivery) => {
                let mut text = signal(delivery);
                if !delivery.stack.is_empty() {
                    text.push('\n');
                    stack(&mut text, &delivery.stack);
                    text.pop();
                }
                self.remark(record, Some(delivery.eip), &text, output);
            }
            What::Stopped(number) => {
                self.remark(record, None, &format!("--- stopped by {} ---", signal_name(*number)), output);
            }
            What::Exit(status) if self.options.quiet < 2 => {
                self.remark(record, None, &ended(*status), output);
            }
            What::ExecRefused(reason) => {
                self.remark(record, None, &format!("        image  {reason}"), output);
            }
            What::Step(step) => {
                self.remark(record, None, &format!("        {:<7}{}", step.layer, step.text), output);
            }
            What::Enter(_)
            | What::UserReturn
            | What::Continued
            | What::LeftAlone
            | What::Exec { .. }
            | What::Exit(_)
            | What::Switch { .. }
            | What::Name(_) => {}
        }
    }
}

/// The argument words as they are.
fn words(line: &mut String, call: &Call) {
    for (i, word) in call.words.iter().enumerate() {
        let _ = write!(line, "{}{word:#x}", if i > 0 { ", " } else { "" });
    }
}

/// How many arguments mean something before the call has ended.
fn known(call: &Call) -> usize {
    call.args.iter().position(Argument::is_output).unwrap_or(call.args.len())
}

fn signal_name(number: u32) -> String {
    match Signal::from_raw(number) {
        Some(signal) => signal.name().to_string(),
        None => format!("signal {number}"),
    }
}

/// `--- SIGSEGV {si_signo=SIGSEGV, si_code=BUS_PAGE_FAULT, si_addr=0x123, si_eip=0x1040, sa_handler=SIG_DFL} ---`
fn signal(delivery: &Delivery) -> String {
    let name = signal_name(delivery.signal);
    let mut text = format!("--- {name} {{si_signo={name}, si_code=");
    // Writing to a String does not fail.
    let _ = match delivery.code_name() {
        Some(code) => write!(text, "{code}"),
        None => write!(text, "{}", delivery.code),
    };
    if let Some(address) = delivery.fault_address() {
        let _ = write!(text, ", si_addr={address:#x}");
    }
    if delivery.code != 0 || delivery.trap {
        let _ = write!(text, ", si_eip={:#x}", delivery.eip);
    }
    match delivery.handler {
        0 => text.push_str(", sa_handler=SIG_DFL} ---"),
        handler => {
            let _ = write!(text, ", sa_handler={handler:#x}}} ---");
        }
    }
    text
}

/// ` > /bin/sh(_write+0xc) [0x52]`, a line for each place on the stack.
fn stack(out: &mut String, frames: &[Frame]) {
    for Frame { address, image, symbol } in frames {
        let image = String::from_utf8_lossy(image.as_deref().unwrap_or_default());
        let _ = match symbol {
            Some((name, offset)) => writeln!(out, " > {image}({name}+{offset:#x}) [{address:#x}]"),
            None if image.is_empty() => writeln!(out, " > [{address:#x}]"),
            None => writeln!(out, " > {image}() [{address:#x}]"),
        };
    }
}

/// `+++ exited with 3 +++`
fn ended(status: u32) -> String {
    match WaitStatus(status.into()).decode() {
        Waited::Exited(status) => format!("+++ exited with {status} +++"),
        Waited::Signaled { signal, core } => {
            let core = if core { " (core dumped)" } else { "" };
            format!("+++ killed by {}{core} +++", signal_name(signal))
        }
        Waited::Stopped { signal } => format!("+++ stopped by {} +++", signal_name(signal)),
    }
}

/// Bytes in base 16 and as characters, as strace shows them.
fn dump(out: &mut String, bytes: &[u8]) {
    for (i, row) in bytes.chunks(16).enumerate() {
        let _ = write!(out, " | {:05x} ", 16 * i);
        for at in 0..16 {
            if at == 8 {
                out.push(' ');
            }
            let _ = match row.get(at) {
                Some(byte) => write!(out, " {byte:02x}"),
                None => write!(out, "   "),
            };
        }
        out.push_str("  ");
        for at in 0..16 {
            let shown = match row.get(at) {
                Some(byte @ b' '..=b'~') => char::from(*byte),
                Some(_) => '.',
                None => ' ',
            };
            out.push(shown);
        }
        out.push_str(" |\n");
    }
}
