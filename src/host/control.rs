//! The socket by which other programs of the same user talk to a running machine.
//!
//! It is made only when it is asked for, with a name of its own in the user's own directory for such things
//! (`$XDG_RUNTIME_DIR`), and only its owner can open it.  A connection asks one thing, in one line
//! (docs/terminals.md, The control socket).
//!
//! Must not know what can be asked.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Directory of the sockets, in the user's own.
const DIRECTORY: &str = "bsd21";
/// Longest request.
const LONGEST: usize = 4096;
/// How long an answer may take to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no place for it.
    #[error("XDG_RUNTIME_DIR is not set, so that there is no place for sockets; a NAME with a / is a path")]
    NoPlace,
    /// No name.
    #[error("no name")]
    NoName,
    /// A machine has the name.
    #[error("a running machine has this name")]
    Used,
    /// Nobody is there.
    #[error("no running machine has this name{}", others(.0))]
    Nobody(Vec<String>),
    /// What the host says.
    #[error("{}", .0.to_string().split(" (os error").next().unwrap_or_default())]
    Host(#[from] io::Error),
}

fn others(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) }
}

impl From<rustix::io::Errno> for ControlError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Host(error.into())
    }
}

/// The directory in which sockets are.
fn directory() -> Result<PathBuf, ControlError> {
    let above = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(above.ok_or(ControlError::NoPlace)?.join(DIRECTORY))
}

/// Where the socket of a name is; a name with a slash is a path.
fn path_of(name: &str) -> Result<PathBuf, ControlError> {
    match name {
        "" | "." | ".." => Err(ControlError::NoName),
        path if path.contains('/') => Ok(path.into()),
        name => Ok(directory()?.join(name)),
    }
}

/// Names of running machines.
pub fn names() -> Vec<String> {
    let Some(entries) = directory().ok().and_then(|path| std::fs::read_dir(path).ok()) else {
        return Vec::new();
    };
    let alive = entries.filter_map(Result::ok).filter(|entry| UnixStream::connect(entry.path()).is_ok());
    let mut names: Vec<String> = alive.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The socket of a machine; its name goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    /// Makes the socket of a name.
    pub fn bind(name: &str) -> Result<Self, ControlError> {
        let path = path_of(name)?;
        if !name.contains('/')
            && let Some(above) = path.parent()
        {
            match std::fs::DirBuilder::new().mode(0o700).create(above) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        match bind(&path) {
            Err(ControlError::Host(error)) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(&path).is_ok() || !is_socket(&path) {
                    return Err(ControlError::Used);
                }
                // Whoever made it is gone.
                std::fs::remove_file(&path)?;
                bind(&path)
            }
            result => result,
        }
    }

    /// Somebody who asks, if there is one; others than the machine's own user and the super-user are not heard.
    pub fn accept(&self) -> Option<Connection> {
        loop {
            let (stream, _) = self.socket.accept().ok()?;
            let own = rustix::process::geteuid();
            let allowed = rustix::net::sockopt::socket_peercred(&stream)
                .is_ok_and(|peer| peer.uid == own || peer.uid.is_root());
            if allowed && stream.set_nonblocking(true).is_ok() {
                return Some(Connection { stream, asked: Vec::new() });
            }
        }
    }

    /// For polling.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A listening socket that nobody but its owner could open, not even for a moment.
fn bind(path: &Path) -> Result<Listener, ControlError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The name gets the mode of the socket.
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 16)?;
    let stat = std::fs::symlink_metadata(path)?;
    let identity = (stat.st_dev(), stat.st_ino());
    Ok(Listener { socket: socket.into(), path: path.to_owned(), identity })
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|stat| stat.file_type().is_socket())
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The name may be somebody else's by now.
        let own = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|stat| (stat.st_dev(), stat.st_ino()) == self.identity);
        if own {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    asked: Vec<u8>,
}

/// What has come of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its end has not come.
    NotYet,
    /// This line.
    Line(String),
    /// Nothing that could be answered.
    Nothing,
}

impl Connection {
    /// Reads the request as far as it has come.
    pub fn read_request(&mut self) -> Asked {
        let mut byte = [0];
        loop {
            match self.stream.read(&mut byte) {
                Ok(0) => return Asked::Nothing,
                Ok(_) if byte == *b"\n" => {
                    let line = std::mem::take(&mut self.asked);
                    return String::from_utf8(line).map_or(Asked::Nothing, Asked::Line);
                }
                // What comes behind the line is for whoever serves it.
                Ok(_) => self.asked.extend_from_slice(&byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Asked::NotYet,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Asked::Nothing,
            }
            if self.asked.len() > LONGEST {
                return Asked::Nothing;
            }
        }
    }

    /// Answers and is done: `ok` and a text, or `error` and the reason in one line.
    pub fn answer(self, answer: Result<String, String>) {
        let text = match answer {
            Ok(text) => format!("ok\n{text}"),
            Err(reason) => format!("error {}\n", reason.replace('\n', " ")),
        };
        // Whoever does not take the answer does without.
        let _ = self.patient().and_then(|mut stream| stream.write_all(text.as_bytes()));
    }

    /// The connection once more, for somebody who serves it and does not know yet whether that works.
    pub fn duplicate(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Says that it is served; the bytes from now on, both ways, are the server's business.  Reading and writing
    /// do not wait.
    pub fn accept(self) -> io::Result<UnixStream> {
        let mut stream = self.patient()?;
        stream.write_all(b"ok\n")?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    fn patient(self) -> io::Result<UnixStream> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_write_timeout(Some(PATIENCE))?;
        Ok(self.stream)
    }

    /// For polling.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Asks the machine of a name; gives the connection behind the answer's first line, or what it refuses.
pub fn ask(name: &str, request: &str) -> Result<Result<UnixStream, String>, ControlError> {
    let path = path_of(name)?;
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::Nobody(names()),
        _ => error.into(),
    })?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    // Byte by byte: what comes behind the line is not ours.
    while stream.read(&mut byte)? == 1 && byte != *b"\n" && line.len() < LONGEST {
        line.extend_from_slice(&byte);
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    Ok(match line.strip_prefix("error ") {
        Some(reason) => Err(reason.to_owned()),
        None if line == "ok" => Ok(stream),
        None => Err("no answer".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_socket_is_its_owners_and_its_name_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine");
        let name = path.to_str().unwrap();
        let listener = Listener::bind(name).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(name), Err(ControlError::Used)));
        let asking = std::thread::spawn({
            let name = name.to_owned();
            move || ask(&name, "hello a=b").unwrap()
        });
        let mut connection = loop {
            match listener.accept() {
                Some(connection) => break connection,
                None => std::thread::yield_now(),
            }
        };
        let line = loop {
            match connection.read_request() {
                Asked::NotYet => std::thread::yield_now(),
                other => break other,
            }
        };
        assert_eq!(line, Asked::Line("hello a=b".to_owned()));
        connection.answer(Err("not\ntoday".to_owned()));
        assert_eq!(asking.join().unwrap().unwrap_err(), "not today");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn the_name_of_one_who_was_killed_is_free_and_that_of_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Listener::bind(path.to_str().unwrap()).unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(path.to_str().unwrap()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
