//! What can be asked of a running machine through its control socket.
//!
//! A request is one line: a verb and NAME=VALUE arguments, divided by blanks, with `%XX` for what is neither a
//! letter, a digit nor one of `/._:,@+-`.  The answer is a line, `ok` or `error REASON`, and whatever the verb
//! gives behind `ok`, to the end of the connection (docs/terminals.md).  The verbs are in one list, [`Verbs`],
//! to which whoever builds a machine adds those of its own.
//!
//! Must not know how requests come.  2.1 counterpart: none.

mod attach;
mod basic;

pub(super) use basic::listing;

use std::fmt::{self, Write};

use super::Machine;
use crate::host::control::{Asked, Connection, Listener};
use crate::host::stdio::Poll;
use crate::kernel::time::SECOND_NS;

/// Time between two looks at the socket while guests compute.
const LOOK_NS: u64 = SECOND_NS / 100;
/// Requests that are listened to at once.
const MOST: usize = 16;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub verb: String,
    /// Names and values, in their order.
    pub arguments: Vec<(String, String)>,
}

impl Request {
    /// A request without arguments.
    pub fn new(verb: &str) -> Self {
        Self { verb: verb.to_owned(), arguments: Vec::new() }
    }

    /// One more argument.
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.arguments.push((name.to_owned(), value.to_string()));
        self
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name as a number; `default` where it is not given.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("{name}={value}: expected a number")),
        }
    }

    /// Refuses arguments other than these.
    pub fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.arguments.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(format!("{} has no argument {name}", self.verb)),
        }
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let verb = words.next().ok_or("an empty request")?.to_owned();
        let argument = |word: &str| {
            let (name, value) = word.split_once('=').ok_or(format!("{word}: expected NAME=VALUE"))?;
            Ok((
                name.to_owned(),
                decode(value).ok_or(format!("{word}: a % without two digits, or no UTF-8"))?,
            ))
        };
        let arguments = words.map(argument).collect::<Result<_, String>>()?;
        Ok(Self { verb, arguments })
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        let mut line = self.verb.clone();
        for (name, value) in &self.arguments {
            line.push(' ');
            line.push_str(name);
            line.push('=');
            encode(value, &mut line);
        }
        line
    }
}

fn encode(value: &str, line: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._:,@+-".contains(&byte) {
            line.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(line, "%{byte:02x}");
        }
    }
}

fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push((high << 4 | low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What serves a request: it answers by way of the connection, or keeps it.
pub type Serve = Box<dyn FnMut(&mut Machine, &Request, Connection)>;

/// Something that can be asked.
pub struct Verb {
    name: &'static str,
    about: &'static str,
    serve: Serve,
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verb").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Verb {
    /// A verb, what it does in a line, and who serves it.
    pub fn new(
        name: &'static str,
        about: &'static str,
        serve: impl FnMut(&mut Machine, &Request, Connection) + 'static,
    ) -> Self {
        Self { name, about, serve: Box::new(serve) }
    }

    /// A verb whose answer is a text, or the reason why there is none.
    pub fn answering(
        name: &'static str,
        about: &'static str,
        mut answer: impl FnMut(&mut Machine, &Request) -> Result<String, String> + 'static,
    ) -> Self {
        Self::new(name, about, move |machine, request, connection| {
            connection.answer(answer(machine, request));
        })
    }
}

/// All verbs.
#[derive(Debug)]
pub struct Verbs(Vec<Verb>);

impl Default for Verbs {
    /// Those of every machine.
    fn default() -> Self {
        Self(basic::verbs().into_iter().chain([attach::verb()]).collect())
    }
}

impl Verbs {
    /// Adds a verb; one of the same name goes.
    pub fn add(&mut self, verb: Verb) {
        self.0.retain(|known| known.name != verb.name);
        self.0.push(verb);
    }

    fn help(&self) -> String {
        self.0.iter().map(|verb| format!("{:<8} {}\n", verb.name, verb.about)).collect()
    }
}

/// The socket of a machine, and who asks.
#[derive(Debug)]
pub(super) struct Control {
    listener: Listener,
    verbs: Verbs,
    asking: Vec<Connection>,
    next_look: u64,
}

impl Control {
    pub(super) fn new(listener: Listener, verbs: Verbs) -> Self {
        Self { listener, verbs, asking: Vec::new(), next_look: 0 }
    }

    /// What is polled while nobody runs.
    pub(super) fn polls(&self) -> impl Iterator<Item = Poll<'_>> {
        let asking = self.asking.iter().map(Connection::fd);
        [self.listener.fd()].into_iter().chain(asking).map(|fd| Poll::either(fd, true, false))
    }
}

impl Machine {
    /// Listens to requests from now on; `verbs` are what can be asked.
    pub fn listen(&mut self, listener: Listener, verbs: Verbs) {
        self.control = Some(Control::new(listener, verbs));
    }

    /// Serves what has been asked, now and then.
    #[inline]
    pub(super) fn hear(&mut self, now: u64) {
        if self.control.as_ref().is_some_and(|control| control.next_look <= now) {
            self.hear_now(now);
        }
    }

    #[cold]
    pub(super) fn hear_now(&mut self, now: u64) {
        let Some(control) = &mut self.control else { return };
        control.next_look = now + LOOK_NS;
        while control.asking.len() < MOST
            && let Some(connection) = control.listener.accept()
        {
            control.asking.push(connection);
        }
        for mut connection in std::mem::take(&mut control.asking) {
            match connection.read_request() {
                Asked::NotYet => {
                    if let Some(control) = &mut self.control {
                        control.asking.push(connection);
                    }
                }
                Asked::Line(line) => self.serve(&line, connection),
                Asked::Nothing => connection.answer(Err("no request of one line in UTF-8".to_owned())),
            }
        }
    }

    fn serve(&mut self, line: &str, connection: Connection) {
        let request = match Request::parse(line) {
            Ok(request) => request,
            Err(reason) => return connection.answer(Err(reason)),
        };
        let Some(control) = &mut self.control else { return };
        if request.verb == "help" {
            let help = control.verbs.help();
            return connection.answer(Ok(help));
        }
        let Some(at) = control.verbs.0.iter().position(|verb| verb.name == request.verb) else {
            return connection
                .answer(Err(format!("{}: unknown; help lists what can be asked", request.verb)));
        };
        // The verb may change the machine, this list included.
        let mut verb = control.verbs.0.remove(at);
        (verb.serve)(self, &request, connection);
        if let Some(control) = &mut self.control {
            control.verbs.0.insert(at.min(control.verbs.0.len()), verb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_that_comes_back() {
        let request = Request::new("attach").with("rows", 24).with("command", "ls -l | a=b%\n");
        let line = request.line();
        assert_eq!(line, "attach rows=24 command=ls%20-l%20%7c%20a%3db%25%0a");
        assert_eq!(Request::parse(&line), Ok(request.clone()));
        assert_eq!((request.number("rows", 1u16), request.number("columns", 80u16)), (Ok(24), Ok(80)));
        assert!(request.number::<u8>("command", 0).is_err());
        assert!(request.only(&["rows"]).unwrap_err().contains("command"));
        assert!(Request::parse("x a").is_err() && Request::parse("x a=%f").is_err());
        assert!(Request::parse("  ").is_err() && Request::parse("x a=%ff").is_err());
    }

    #[test]
    fn a_verb_takes_the_place_of_one_of_its_name() {
        let mut verbs = Verbs::default();
        let all = verbs.0.len();
        verbs.add(Verb::answering("list", "other", |_, _| Ok(String::new())));
        assert_eq!(verbs.0.len(), all);
        assert!(verbs.help().contains("list     other\n"));
    }
}
