//! `bsd21 trace -p NAME`: the calls of a machine that runs already, by way of its control socket.
//!
//! Whoever asks sends the options as they were typed; the machine shows its calls to them until they go away.

use std::ffi::OsString;
use std::io::{self, Read};
use std::time::Duration;

use clap::Parser;

use super::{Failure, TraceOptions, status};
use crate::host::control::{Connection, ask};
use crate::machine::Machine;
use crate::machine::control::{Request, Verb};
use crate::trace::{Options, Output, Tracer};

/// How long a machine waits for somebody who does not read.
const PATIENCE: Duration = Duration::from_secs(1);
/// Divides words in a request.
const BETWEEN: char = '\n';

/// The options of a trace alone.
#[derive(Debug, Parser)]
struct Words {
    #[arg(short = 'p', long = "running")]
    _running: Option<String>,
    #[command(flatten)]
    trace: TraceOptions,
}

/// Shows the calls of a machine until it ends, or this process does.
pub(super) fn show(name: &str, trace: &TraceOptions) -> Result<u8, Failure> {
    let mut output = trace.destination()?;
    let words = std::env::args_os().skip_while(|word| word != "trace").skip(1);
    let words: Vec<String> = words.map(|word: OsString| word.to_string_lossy().into_owned()).collect();
    let request = Request::new("trace").with("options", words.join(&BETWEEN.to_string()));
    let mut stream = match ask(name, &request.line()) {
        Ok(Ok(stream)) => stream,
        Ok(Err(refusal)) => return Err(Failure::usage(format!("{name}: {refusal}"))),
        Err(error) => return Err(Failure::usage(format!("{name}: {error}"))),
    };
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => output.write(0, buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::usage(format!("{name}: {}", status::plain(&error)))),
        }
        output.flush();
    }
    output
        .finish()
        .map(|()| 0)
        .map_err(|e| Failure::usage(format!("{}: {}", trace.target(), status::plain(&e))))
}

/// What a machine does when it is asked for its calls.
pub(super) fn verb() -> Verb {
    let mut ours = false;
    let about = "show the system calls: options=WORDS of bsd21 trace, divided by newlines";
    Verb::new("trace", about, move |machine, request, connection| {
        serve(machine, request, connection, &mut ours)
    })
}

/// Shows the calls to whoever asks; `ours`: to nobody but others who have asked before, whose place they take.
fn serve(machine: &mut Machine, request: &Request, connection: Connection, ours: &mut bool) {
    let options = match wanted(machine, request, *ours) {
        Ok(options) => options,
        Err(why) => return connection.answer(Err(why)),
    };
    let Ok(stream) = connection.accept() else { return };
    // A guest must not wait for ever for somebody who looks away.
    if stream.set_nonblocking(false).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).is_err() {
        return;
    }
    let tracer = Tracer::new(options, Output::stream(Box::new(stream), false));
    machine.observe(Box::new(tracer));
    *ours = true;
}

fn wanted(machine: &Machine, request: &Request, ours: bool) -> Result<Options, String> {
    request.only(&["options"])?;
    if machine.kernel().observed() && !ours {
        return Err("it was started with a trace or a log, which shows its calls already".to_owned());
    }
    let words = request.get("options").unwrap_or_default();
    let words = words.split(BETWEEN).filter(|word| !word.is_empty());
    let parsed = Words::try_parse_from(std::iter::once("trace").chain(words)).map_err(|e| {
        e.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })?;
    if parsed.trace.is_summary() {
        return Err("-c and -C need the whole run, which has begun".to_owned());
    }
    if parsed.trace.is_separate() {
        return Err("-ff: a running machine is shown in one stream".to_owned());
    }
    parsed.trace.options().map_err(|failure| failure.to_string())
}
