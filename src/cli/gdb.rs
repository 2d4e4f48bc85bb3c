//! `bsd21 gdb`: a program under the host's gdb, with all processes that come of it.

use std::io::{self, IsTerminal, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as HostStdio};

use clap::Args;

use super::host::HostOptions;
use super::record;
use super::run::MachineOptions;
use super::{Failure, GuestOptions, missing, status};
use crate::gdb::back::Maker;
use crate::gdb::serve::{Parted, Way};
use crate::gdb::{Session, serve};
use crate::image::to_elf;
use crate::machine::{Ended, Limit, Machine, Stdio};
use crate::replay::{Recording, Where};

/// Runs a program under gdb.
#[derive(Clone, Debug, Args)]
pub(super) struct Gdb {
    /// Wait for gdb at this port, of the loopback interface unless a host is named; 0 takes a free one.
    #[arg(long, value_name = "[HOST:]PORT", conflicts_with_all = ["unix", "exec"])]
    port: Option<String>,
    /// Wait for gdb at a socket of this name.
    #[arg(long, value_name = "PATH", conflicts_with = "exec")]
    unix: Option<PathBuf>,
    /// Start the host's gdb on this terminal, connected and with the program's symbols; the guest reads nothing.
    #[arg(long)]
    exec: bool,
    /// With --exec: the debugger to start.
    #[arg(long, value_name = "PROGRAM", default_value = "gdb", requires = "exec")]
    with: PathBuf,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    host: HostOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

/// Shows what a guest has written; nobody may be there to read it.
fn show(stream: usize, bytes: &[u8]) {
    let _ = match stream {
        0 => io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()),
        _ => io::stderr().lock().write_all(bytes),
    };
}

/// What gdb needs besides a connection.
struct Place {
    directory: tempfile::TempDir,
    symbols: Option<PathBuf>,
}

impl Gdb {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if let Some((recording, place)) = record::in_place_of(&self.guest, true)? {
            return self.debug_recording(recording, place);
        }
        Self { guest: self.guest.settled()?, ..self.clone() }.debug()
    }

    /// The same for a run that was recorded: it goes back, too, and needs nothing of the host.
    fn debug_recording(&self, recording: Recording, where_to: Where) -> Result<u8, Failure> {
        let image = std::fs::read(recording.path_now(&where_to, &recording.plan().image())).ok();
        let place = self.place(image, &recording.plan().program())?;
        let file = place.symbols.as_ref().map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        let machine = recording.machine(&where_to)?;
        let again = move || recording.machine(&where_to).map_err(|error| error.to_string());
        let session = Session::new(machine, file.unwrap_or_default());
        // What is shown the machine shows itself, once.
        self.hold(session.repeatable(Maker::new(again, |_, _| {})), &place)
    }

    fn debug(&self) -> Result<u8, Failure> {
        let program = self.guest.command.first();
        let image = program.and_then(|program| missing::contents(&self.guest, program));
        let name = program.map(|program| program.to_string_lossy().into_owned());
        let place = self.place(image, &name.unwrap_or_default())?;
        let file = place.symbols.as_ref().map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        let input = self.input()?;
        let mut session = Session::new(self.make(&input)?, file.unwrap_or_default());
        if self.is_repeatable() {
            let again = self.clone();
            let make = move || again.make(&input).map_err(|failure| failure.to_string());
            session = session.repeatable(Maker::new(make, show));
        }
        self.hold(session, &place)
    }

    /// Holds the session.
    fn hold(&self, mut session: Session, place: &Place) -> Result<u8, Failure> {
        let (way, child) = self.meet(place)?;
        let parted = serve(&mut session, way);
        let result = match parted {
            // Whoever lets go lets it run.
            Ok(Parted::Detached | Parted::Ended) => match session.run_on() {
                // A recording is over where its run was over, or left.
                Ended::Limit(Limit::Recording) => Ok(0),
                ended => status::of_run(ended),
            },
            Ok(Parted::Killed) => Ok(0),
            Err(why) => Err(Failure::usage(format!("gdb: {why}"))),
        };
        if let Some(mut child) = child {
            let _ = child.wait();
        }
        session.into_machine().abandon();
        result
    }

    /// Whether the run can be made again, for going back: its clock is virtual and its files stay as they are.
    fn is_repeatable(&self) -> bool {
        self.machine.is_virtual() && self.guest.leaves_files_alone()
    }

    /// What the guest reads, where its run is to be repeated.
    fn input(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        if self.is_repeatable() && !self.exec && !io::stdin().is_terminal() {
            let read = io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|e| Failure::usage(format!("standard input: {}", status::plain(&e))))?;
        }
        Ok(bytes)
    }

    fn make(&self, input: &[u8]) -> Result<Machine, Failure> {
        let mut builder = self.host.apply(self.guest.builder()?, self.machine.is_virtual())?;
        if self.is_repeatable() {
            builder = builder.standard_streams().stdin(input.to_vec());
            builder = builder.stdout(Stdio::Captured).stderr(Stdio::Captured);
        } else if self.exec {
            builder = builder.standard_streams().stdin("");
        }
        self.machine.finish(builder)
    }

    /// A directory for the socket and the symbols.
    fn place(&self, image: Option<Vec<u8>>, program: &str) -> Result<Place, Failure> {
        let host = |e: io::Error| {
            Failure::usage(format!("cannot make a temporary directory: {}", status::plain(&e)))
        };
        let directory = tempfile::Builder::new().prefix("bsd21-gdb-").tempdir().map_err(host)?;
        let symbols = image.and_then(|image| to_elf::convert(&image).ok()).and_then(|elf| {
            let path = directory.path().join(Path::new(program).file_name()?);
            std::fs::write(&path, elf).ok().map(|()| path)
        });
        Ok(Place { directory, symbols })
    }

    /// Waits until gdb is there.
    fn meet(&self, place: &Place) -> Result<(Way, Option<Child>), Failure> {
        if let Some(port) = &self.port {
            let address = if port.contains(':') { port.clone() } else { format!("127.0.0.1:{port}") };
            let wrong = |e: io::Error| Failure::usage(format!("--port {port}: {}", status::plain(&e)));
            let listener = TcpListener::bind(&address).map_err(wrong)?;
            let address = listener.local_addr().map_err(wrong)?;
            super::complain(&self.greeting(place, &address.to_string()));
            let (stream, _) = listener.accept().map_err(wrong)?;
            return Ok((Box::new(stream), None));
        }
        let path = match &self.unix {
            Some(path) => path.clone(),
            None if self.exec => place.directory.path().join("socket"),
            None => return Err(Failure::usage("gdb needs --exec, --port or --unix")),
        };
        let wrong =
            |e: io::Error| Failure::usage(format!("--unix {}: {}", path.display(), status::plain(&e)));
        let listener = UnixListener::bind(&path).map_err(wrong)?;
        let child = if self.exec {
            Some(self.start(place, &path)?)
        } else {
            super::complain(&self.greeting(place, &path.display().to_string()));
            None
        };
        let accepted = listener.accept().map_err(wrong);
        let _ = std::fs::remove_file(&path);
        Ok((Box::new(accepted?.0), child))
    }

    /// What to tell gdb.
    fn greeting(&self, place: &Place, address: &str) -> String {
        match &place.symbols {
            Some(symbols) => {
                format!("waiting for gdb: gdb {} -ex 'target remote {address}'", symbols.display())
            }
            None => format!("waiting for gdb: gdb -ex 'target remote {address}'"),
        }
    }

    fn start(&self, place: &Place, path: &Path) -> Result<Child, Failure> {
        let mut command = Command::new(&self.with);
        command.args(["-q", "-iex", "set architecture i386"]).args(&place.symbols);
        command.arg("-ex").arg(format!("target remote {}", path.display()));
        command
            .stdin(HostStdio::inherit())
            .spawn()
            .map_err(|e| Failure::usage(format!("--with {}: {}", self.with.display(), status::plain(&e))))
    }
}
