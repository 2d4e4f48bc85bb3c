//! Records as text, as 4.4BSD's kdump prints them.
//!
//! Must not know events or guests: it prints records.
//!
//! Counterpart: usr.bin/kdump/kdump.c of 4.4BSD.

use std::fmt::Write;

use syscalls::flags::PtraceReq;
use syscalls::ioctl::Request;
use syscalls::sysent::row;
use syscalls::{Errno, Signal};

use crate::kernel::ktrace::record::{Body, EJUSTRETURN, ERESTART, Entry};

/// Width of a terminal, at which data are folded.
const WIDTH: usize = 80;
/// Number of ioctl.
const SYS_IOCTL: i16 = 54;
/// Number of ptrace.
const SYS_PTRACE: i16 = 26;

/// How records are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Numbers in base 10 (`-d`).
    pub decimal: bool,
    /// Nothing is explained (`-n`).
    pub plain: bool,
    /// Most bytes of data that are shown (`-m`); 0 for all.
    pub max_data: usize,
    /// Times: none, of day (`-T`), or since the record before (`-R`).
    pub stamp: Stamp,
}

/// Which times are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// None.
    #[default]
    None,
    /// Since the epoch.
    Absolute,
    /// Since the record before.
    Relative,
}

/// Prints records, one after the other.
#[derive(Debug, Default)]
pub struct Kdump {
    options: Options,
    before: Option<u64>,
}

impl Kdump {
    /// Begins.
    pub fn new(options: Options) -> Self {
        Self { options, before: None }
    }

    /// A record as text.
    pub fn print(&mut self, entry: &Entry) -> String {
        let mut out = self.header(entry);
        let _ = match &entry.body {
            Body::Call { code, words } => writeln!(out, "{}", self.call(*code, words)),
            Body::Return { code, error, value } => writeln!(out, "{}", self.ret(*code, *error, *value)),
            Body::Name(path) => writeln!(out, "\"{}\"", String::from_utf8_lossy(path)),
            Body::Io { fd, written, bytes } => {
                self.io(&mut out, *fd, *written, bytes);
                Ok(())
            }
            Body::Signal { signal, action, mask, code } => {
                let name = signal_name(*signal);
                match action {
                    0 => writeln!(out, "SIG{name} SIG_DFL"),
                    _ => {
                        writeln!(out, "SIG{name} caught handler=0x{action:x} mask=0x{mask:x} code=0x{code:x}")
                    }
                }
            }
            Body::Switch { out: left, user } => {
                let what = if *left { "stop" } else { "resume" };
                writeln!(out, "{what} {}", if *user { "user" } else { "kernel" })
            }
            Body::Other { .. } => writeln!(out),
        };
        out
    }

    fn header(&mut self, entry: &Entry) -> String {
        let kind = match &entry.body {
            Body::Call { .. } => "CALL",
            Body::Return { .. } => "RET ",
            Body::Name(_) => "NAMI",
            Body::Io { .. } => "GIO ",
            Body::Signal { .. } => "PSIG",
            Body::Switch { .. } => "CSW",
            Body::Other { kind, .. } => &format!("UNKNOWN({kind})"),
        };
        let mut out = format!("{:6} {:<8} ", entry.pid, String::from_utf8_lossy(&entry.comm));
        let shown = match self.options.stamp {
            Stamp::None => None,
            Stamp::Absolute => Some(entry.micros),
            Stamp::Relative => Some(entry.micros.saturating_sub(self.before.unwrap_or(0))),
        };
        self.before = Some(entry.micros);
        if let Some(micros) = shown {
            let _ = write!(out, "{}.{:06} ", micros / 1_000_000, micros % 1_000_000);
        }
        let _ = write!(out, "{kind}  ");
        out
    }

    /// `open(0x1000,0,0)`
    fn call(&self, code: i16, words: &[u32]) -> String {
        let mut out = name(code);
        let mut separator = '(';
        let mut rest = words;
        if !self.options.plain {
            match (code, rest) {
                (SYS_IOCTL, [fd, request, more @ ..]) => {
                    let _ = write!(out, "({},", self.number(*fd));
                    match Request(*request).info() {
                        Some(info) => out.push_str(info.name),
                        None => {
                            let _ = write!(out, "{} ", self.number(*request));
                        }
                    }
                    (separator, rest) = (',', more);
                }
                (SYS_PTRACE, [request, more @ ..]) => {
                    let _ = match PtraceReq::from_raw(*request) {
                        PtraceReq::Other(raw) => write!(out, "({}", raw.cast_signed()),
                        known => write!(out, "({known}"),
                    };
                    (separator, rest) = (',', more);
                }
                _ => {}
            }
        }
        for word in rest {
            let _ = write!(out, "{separator}{}", self.number(*word));
            separator = ',';
        }
        if !words.is_empty() {
            out.push(')');
        }
        out
    }

    /// `open 3` or `open -1 errno 2 No such file or directory`
    fn ret(&self, code: i16, error: i32, value: i32) -> String {
        let mut out = format!("{} ", name(code));
        let _ = match error {
            0 if self.options.plain => write!(out, "{}", self.number(value.cast_unsigned())),
            0 => match value {
                0..=9 => write!(out, "{value}"),
                _ => write!(out, "{value}/{:#x}", value),
            },
            ERESTART => write!(out, "RESTART"),
            EJUSTRETURN => write!(out, "JUSTRETURN"),
            _ if self.options.plain => write!(out, "-1 errno {error}"),
            _ => {
                let message = u32::try_from(error).ok().and_then(Errno::from_raw);
                match message {
                    Some(errno) => write!(out, "-1 errno {error} {}", errno.message()),
                    None => write!(out, "-1 errno {error} Unknown error: {error}"),
                }
            }
        };
        out
    }

    /// A word as printf's `%#x` or `%d` prints it.
    fn number(&self, word: u32) -> String {
        match word {
            _ if self.options.decimal => word.cast_signed().to_string(),
            0 => "0".into(),
            _ => format!("{word:#x}"),
        }
    }

    /// Data, escaped and folded.
    fn io(&self, out: &mut String, fd: i32, written: bool, bytes: &[u8]) {
        let verb = if written { "wrote" } else { "read" };
        let _ = writeln!(out, "fd {fd} {verb} {} bytes", bytes.len());
        let shown = match self.options.max_data {
            0 => bytes.len(),
            most => bytes.len().min(most),
        };
        out.push_str("       \"");
        let mut column = 8;
        for (i, &byte) in bytes[..shown].iter().enumerate() {
            let mut text = vis(byte, bytes.get(i + 1).copied().unwrap_or(0));
            if column == 0 {
                out.push('\t');
                column = 8;
            }
            let width = match text.as_str() {
                "\n" => {
                    column = 0;
                    out.push('\n');
                    continue;
                }
                "\t" => 8 - (column & 7),
                other => other.len(),
            };
            if column + width > WIDTH - 2 {
                out.push_str("\\\n\t");
                column = 8;
            }
            column += width;
            out.push_str(&std::mem::take(&mut text));
        }
        if column == 0 {
            out.push_str("       ");
        }
        out.push_str("\"\n");
    }
}

/// A byte as vis(3) shows it with VIS_CSTYLE; `next` decides how NUL is written.
fn vis(byte: u8, next: u8) -> String {
    let c = char::from(byte);
    match byte {
        b'\\' => "\\\\".into(),
        b'!'..=b'~' | b' ' | b'\t' | b'\n' => c.into(),
        b'\r' => "\\r".into(),
        0x08 => "\\b".into(),
        0x07 => "\\a".into(),
        0x0b => "\\v".into(),
        0x0c => "\\f".into(),
        0 if (b'0'..=b'7').contains(&next) => "\\000".into(),
        0 => "\\0".into(),
        0xa0 => "\\240".into(),
        _ => {
            let mut out = String::from("\\");
            let low = byte & 0x7f;
            if byte & 0x80 != 0 {
                out.push('M');
            }
            match low {
                0..0x20 => out.extend(['^', char::from(low + b'@')]),
                0x7f => out.push_str("^?"),
                _ => out.extend(['-', char::from(low)]),
            }
            out
        }
    }
}

fn name(code: i16) -> String {
    match u32::try_from(code).ok().and_then(row) {
        Some(row) => row.trace_name().to_string(),
        None => format!("[{code}]"),
    }
}

/// The name of a signal without its `SIG`.
fn signal_name(number: i32) -> String {
    match u32::try_from(number).ok().and_then(Signal::from_raw) {
        Some(signal) => signal.name().trim_start_matches("SIG").to_string(),
        None => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: Body) -> String {
        let entry = Entry { pid: 17, comm: b"cat".to_vec(), micros: 1_000_001, body };
        Kdump::default().print(&entry)
    }

    #[test]
    fn lines_are_kdumps() {
        assert_eq!(
            line(Body::Call { code: 5, words: vec![0x1000, 0, 0] }),
            "    17 cat      CALL  open(0x1000,0,0)\n"
        );
        assert_eq!(line(Body::Call { code: 20, words: vec![] }), "    17 cat      CALL  getpid\n");
        assert_eq!(
            line(Body::Call { code: 54, words: vec![1, 0x4008_7468, 0x2000] }),
            "    17 cat      CALL  ioctl(0x1,TIOCGWINSZ,0x2000)\n"
        );
        assert_eq!(line(Body::Return { code: 5, error: 0, value: 3 }), "    17 cat      RET   open 3\n");
        assert_eq!(
            line(Body::Return { code: 3, error: 0, value: 100 }),
            "    17 cat      RET   read 100/0x64\n"
        );
        assert_eq!(
            line(Body::Return { code: 5, error: 2, value: 0 }),
            "    17 cat      RET   open -1 errno 2 No such file or directory\n"
        );
        assert_eq!(
            line(Body::Return { code: 103, error: -2, value: 0 }),
            "    17 cat      RET   sigreturn JUSTRETURN\n"
        );
        assert_eq!(line(Body::Name(b"/etc".to_vec())), "    17 cat      NAMI  \"/etc\"\n");
        assert_eq!(
            line(Body::Signal { signal: 2, action: 0x10, mask: 0, code: 0 }),
            "    17 cat      PSIG  SIGINT caught handler=0x10 mask=0x0 code=0x0\n"
        );
        assert_eq!(
            line(Body::Io { fd: 1, written: true, bytes: b"hi\n".to_vec() }),
            "    17 cat      GIO   fd 1 wrote 3 bytes\n       \"hi\n       \"\n"
        );
    }

    #[test]
    fn long_data_are_folded() {
        let text = line(Body::Io { fd: 1, written: true, bytes: vec![b'x'; 100] });
        let widths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(widths[1], 8 + 70 + 1, "a line of data ends with a backslash");
        assert!(text.contains("\\\n\t"));
    }

    #[test]
    fn bytes_are_shown_as_vis_does() {
        assert_eq!(vis(0, b'7'), "\\000");
        assert_eq!(vis(0, b'8'), "\\0");
        assert_eq!(vis(1, 0), "\\^A");
        assert_eq!(vis(0xff, 0), "\\M^?");
        assert_eq!(vis(0xe1, 0), "\\M-a");
    }
}
