//! `bsd21 explain`: a socket call's walk through the layer, from a guest program that makes the call.

use clap::{Args, ValueEnum};
use syscalls::Sysent;

use super::{Failure, status};
use crate::kernel::time::Clock;
use crate::machine::{Ended, Machine, Stdio};
use crate::trace::explain::{self, Explainer};
use crate::trace::filter::unknown;

/// The guest program (fixtures/guest/socket/explain.c).
const FIXTURE: &[u8] = include_bytes!("../../fixtures/bin/socket/explain");

/// The calls that it can make.
const CALLS: [&str; 25] = [
    "socketpair",
    "socket",
    "bind",
    "listen",
    "accept",
    "connect",
    "sendto",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "getsockname",
    "getpeername",
    "setsockopt",
    "getsockopt",
    "shutdown",
    "pipe",
    "read",
    "readv",
    "write",
    "writev",
    "close",
    "select",
    "ioctl",
    "fstat",
    "fcntl",
];

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "A guest program inside of bsd21 makes the call. Below it, each step as it happens: functions under \
                  their callers, with the file of 2.1 that has them; then, behind a bar, every socket that has to do with \
                  it, whenever one of them has changed: state, the bytes and the limit of each buffer, the cost of \
                  their mbufs (mb) and its limit, the low-water mark, and what it is connected to."
)]
pub(super) struct Explain {
    /// The call, by name or number; without it the calls that can be explained are listed.
    call: Option<String>,
    /// How to print the walk; json is one array with an object a line.
    #[arg(long, value_enum, default_value = "tree")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Tree,
    Json,
}

impl Explain {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let Some(call) = &self.call else {
            super::print(&list());
            return Ok(0);
        };
        let row = find(call)?;
        let explainer = Explainer::new(row);
        match walk(row.name, explainer.clone())? {
            Ended::Exited(0) => {}
            ended => return status::of_run(ended),
        }
        let lines = explainer.lines();
        super::print(&match self.format {
            Format::Tree => explain::text(&lines),
            Format::Json => explain::json(&lines),
        });
        Ok(0)
    }
}

/// A line for each call: number, name, what it does.
fn list() -> String {
    let rows = CALLS.iter().filter_map(|name| syscalls::sysent::lookup(name));
    rows.map(|row| format!("{:3}  {:<12} {}\n", row.code, row.name, row.doc.trim())).collect()
}

fn find(name: &str) -> Result<&'static Sysent, Failure> {
    let named = match name.parse() {
        Ok(number) => syscalls::sysent::row(number),
        Err(_) => syscalls::sysent::lookup(name),
    };
    let row = named.filter(|row| row.kind == syscalls::RowKind::Std && CALLS.contains(&row.name));
    row.ok_or_else(|| Failure::usage(unknown("socket call", name, CALLS.iter().map(|c| (*c).to_owned()))))
}

/// Runs the guest program in a root of its own, by a clock of its own.
fn walk(call: &str, explainer: Explainer) -> Result<Ended, Failure> {
    let internal = |error: std::io::Error| Failure::internal(&anyhow::Error::new(error));
    let root = tempfile::Builder::new().prefix("bsd21-").tempdir().map_err(internal)?;
    let program = root.path().join("explain");
    std::fs::write(&program, FIXTURE).map_err(internal)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).map_err(internal)?;
    let mut machine = Machine::builder()
        .root(root.path())
        .program("/explain")
        .arg(call)
        .clear_env()
        .clock(Clock::deterministic())
        .stdin(Stdio::Closed)
        .stdout(Stdio::Closed)
        .stderr(Stdio::Closed)
        .observer(Box::new(explainer))
        .build()?;
    Ok(machine.run().ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_row_and_others_are_refused_with_a_suggestion() {
        assert!(CALLS.iter().all(|name| find(name).is_ok()));
        let refusal = find("socketpear").unwrap_err().to_string();
        assert_eq!(refusal, "unknown socket call 'socketpear'; did you mean 'socketpair'?");
        assert_eq!(find("135").map(|row| row.name).ok(), Some("socketpair"));
        assert_eq!(list().lines().count(), CALLS.len());
        assert_eq!(find("getpid").unwrap_err().to_string(), "unknown socket call 'getpid'");
    }
}
