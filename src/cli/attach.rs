//! `bsd21 attach`: a further terminal on a machine that runs.
//!
//! Must not know what is shown there.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use clap::Args;

use super::Failure;
use super::terminal::{EscapeKey, host_term, parse_escape};
use crate::host::attached;
use crate::host::control::{self, ask};
use crate::host::door::{Door, Size};
use crate::host::escape::{Escape, Wish};
use crate::host::pair::Pair;
use crate::host::signal::{HostSignal, Signals};
use crate::host::stdio::{Poll, wait};
use crate::host::terminal::Terminal;
use crate::machine::control::Request;

/// What a terminal has whose size nobody knows.
const SIZE: Size = Size { rows: 24, columns: 80, width: 0, height: 0 };
/// The character that ends what is read.
const END_OF_FILE: u8 = 4;

/// Attaches to a running machine.
#[derive(Clone, Debug, Args)]
pub(super) struct Attach {
    /// The machine: what --attach of run, trace or shell has named; without it those that run are listed.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Log in as this user; root unless given.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Have the user's shell run this command, instead of a session.
    #[arg(short = 'c', value_name = "COMMAND")]
    command: Option<OsString>,
    /// List the processes of the machine.
    #[arg(long, conflicts_with_all = ["user", "command", "kill"])]
    list: bool,
    /// End the machine's run.
    #[arg(long, conflicts_with_all = ["user", "command"])]
    kill: bool,
    /// The character behind which, at the beginning of a line, . detaches, l lists the processes, k ends the run and
    /// ? lists these; none for no such character.
    #[arg(long, value_name = "CHAR", default_value = "~", value_parser = parse_escape)]
    escape: EscapeKey,
}

impl Attach {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let Some(name) = &self.name else {
            let names = control::names();
            super::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
            return Ok(0);
        };
        if self.list || self.kill {
            super::print(&answer(name, if self.list { "list" } else { "kill" })?);
            return Ok(0);
        }
        let mut door = door()?;
        let is_terminal = door.is_taken_by_person;
        let size = Some(door.inner.size()).filter(|size| size.rows > 0).unwrap_or(SIZE);
        let mut request = Request::new("attach").with("rows", size.rows).with("columns", size.columns);
        request = request.with("width", size.width).with("height", size.height);
        if let Some(user) = &self.user {
            request = request.with("user", user);
        }
        if let Some(command) = &self.command {
            request = request.with("command", String::from_utf8_lossy(command.as_bytes()));
        }
        if let Some(term) = host_term() {
            request = request.with("term", term);
        }
        let stream = asked(name, &request)?;
        let signals = Signals::catch()
            .map_err(|e| Failure::internal(&anyhow::Error::new(e).context("cannot catch signals")))?;
        door.inner.take();
        let escape = self.escape.0.filter(|_| is_terminal).map(Escape::new);
        let mut session = Session { name, door: door.inner, stream, escape, signals };
        let result = session.run();
        session.door.give_back();
        match result {
            Ok(()) => Ok(0),
            Err(error) => {
                Err(Failure::internal(&anyhow::Error::new(error).context(format!("attach {name}"))))
            }
        }
    }
}

/// A person's terminal, or what stands for one.
struct Here {
    inner: Box<dyn Door>,
    is_taken_by_person: bool,
}

fn door() -> Result<Here, Failure> {
    if io::stdin().is_terminal()
        && let Some(terminal) = Terminal::new(io::stdin().as_fd())
    {
        return Ok(Here { inner: Box::new(terminal), is_taken_by_person: true });
    }
    let pair = Pair::standard(SIZE).map_err(|e| Failure::usage(e.to_string()))?;
    Ok(Here { inner: Box::new(pair), is_taken_by_person: false })
}

fn asked(name: &str, request: &Request) -> Result<UnixStream, Failure> {
    match ask(name, &request.line()) {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(refusal)) => Err(Failure::usage(format!("{name}: {refusal}"))),
        Err(error) => Err(Failure::usage(format!("{name}: {error}"))),
    }
}

fn answer(name: &str, verb: &str) -> Result<String, Failure> {
    let mut stream = asked(name, &Request::new(verb))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A person at a terminal of the machine.
struct Session<'a> {
    name: &'a str,
    door: Box<dyn Door>,
    stream: UnixStream,
    escape: Option<Escape>,
    signals: Signals,
}

impl Session<'_> {
    /// Carries keys and the screen, until one of the sides ends it.
    fn run(&mut self) -> io::Result<()> {
        let mut types = true;
        loop {
            let keys = self.door.keys_fd().filter(|_| types).map(|fd| Poll::either(fd, true, false));
            let fixed = [
                Poll::either(self.stream.as_fd(), true, false),
                Poll::either(self.signals.wake_fd(), true, false),
            ];
            let ready = wait(fixed.iter().chain(keys.as_ref()), None);
            if self.signals.any() && !self.heed()? {
                return Ok(());
            }
            if ready.first() == Some(&true) && !self.show()? {
                return Ok(());
            }
            if ready.get(2) == Some(&true) {
                match self.send_keys()? {
                    Sent::Keys => {}
                    Sent::End => types = false,
                    Sent::Leave => return Ok(()),
                }
            }
        }
    }

    /// Signals: the window's size, a stop, and the end; false for the end.
    fn heed(&mut self) -> io::Result<bool> {
        for came in self.signals.take() {
            match came.signal {
                HostSignal::WindowChange => self.stream.write_all(&attached::window(self.door.size()))?,
                HostSignal::Continue => self.door.take_again(),
                HostSignal::Suspend => {
                    self.door.give_back();
                    crate::host::signal::stop_by(HostSignal::Suspend);
                    self.door.take();
                }
                HostSignal::Hangup | HostSignal::Terminate | HostSignal::Interrupt => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    /// What the machine shows; false at its end.
    fn show(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16384];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.write(piece.get(..count).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes everything to the screen.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.door.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.is_interrupted() => {}
                Err(error) if error.would_block() => {
                    let screen = self.door.screen_fd().map(|fd| Poll::either(fd, false, true));
                    wait(screen.iter(), None);
                }
                // Nobody looks any more.
                Err(_) => return,
            }
        }
    }

    fn send_keys(&mut self) -> io::Result<Sent> {
        let mut piece = [0; 4096];
        let typed = match self.door.read(&mut piece) {
            Ok(0) => {
                self.stream.write_all(&attached::keys(&[END_OF_FILE]))?;
                return Ok(Sent::End);
            }
            Ok(count) => piece.get(..count).unwrap_or_default(),
            Err(error) if error.would_block() || error.is_interrupted() => return Ok(Sent::Keys),
            Err(_) => return Ok(Sent::Leave),
        };
        let mut passed = Vec::new();
        for &key in typed {
            let wish = match &mut self.escape {
                Some(escape) => escape.key(key, &mut passed),
                None => {
                    passed.push(key);
                    None
                }
            };
            if let Some(wish) = wish {
                self.stream.write_all(&attached::keys(&std::mem::take(&mut passed)))?;
                if !self.grant(wish) {
                    return Ok(Sent::Leave);
                }
            }
        }
        self.stream.write_all(&attached::keys(&passed))?;
        Ok(Sent::Keys)
    }

    /// False to leave.
    fn grant(&mut self, wish: Wish) -> bool {
        let text = match wish {
            Wish::Leave => return false,
            Wish::Help => self.escape.as_ref().map(|escape| escape.help("detach")).unwrap_or_default(),
            Wish::List | Wish::Kill => {
                let verb = if wish == Wish::List { "list" } else { "kill" };
                let text = answer(self.name, verb).unwrap_or_else(|failure| format!("{failure}\n"));
                format!("\n{text}").replace('\n', "\r\n")
            }
        };
        self.write(text.as_bytes());
        true
    }
}

/// What came of keys.
enum Sent {
    Keys,
    End,
    Leave,
}
