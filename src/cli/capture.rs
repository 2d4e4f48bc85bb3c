//! `bsd21 capture`: a run becomes a case.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;

use super::run::MachineOptions;
use super::status::{self, Failure, read_file};
use super::terminal::parse_size;
use super::{GuestOptions, verify};
use crate::capture::Case;
use crate::capture::case::{self, Root};
use crate::capture::compare;
use crate::capture::content::Text;
use crate::capture::keys;
use crate::capture::record::{self, Inputs, LARGEST_INPUT, Options, RecordError};
use crate::capture::replay::ReplayError;
use crate::host::door::{Door, Size};
use crate::host::signal::interruption;
use crate::host::terminal::Terminal;
use crate::machine::Limit;

/// Most bytes of what is typed.
const LARGEST_KEYS: u64 = 16 << 20;

/// Records a run as a case.
#[derive(Clone, Debug, Args)]
pub(super) struct Capture {
    /// Directory to make.
    #[arg(short = 'o', long = "output", value_name = "CASE")]
    output: PathBuf,
    /// A file or a directory that the guest finds among its writable files; may be given several times.
    #[arg(long, value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Standard input; `-` reads that of bsd21 to its end.  Without it there is nothing to read.
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Give the program a terminal of this size.  Without --keys, what is typed at bsd21's own terminal is recorded
    /// and then repeated.
    #[arg(long, value_name = "ROWSxCOLS", value_parser = parse_size)]
    tty: Option<Size>,
    /// What is typed at the terminal, and when (docs/capture.md describes the steps).
    #[arg(long, value_name = "FILE", requires = "tty")]
    keys: Option<PathBuf>,
    /// Keep the text of all calls, which `verify` shows beside what differs from it.
    #[arg(long)]
    keep_trace: bool,
    /// Replace a case that is there already.
    #[arg(long)]
    force: bool,
    /// Record --root as a path relative to the case, instead of leaving it to `verify --root`.
    #[arg(long, requires = "root")]
    fixed_root: bool,
    /// Where the guest finds its writable files.
    #[arg(long, value_name = "DIR", default_value = "/case")]
    files_at: String,
    /// The guest's time of day when the run begins, in seconds since 1970; the first of 1996 unless given.
    #[arg(long, value_name = "SECONDS")]
    start: Option<u32>,
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

impl Capture {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if let Some(root) = self.guest.found_in_usual_root() {
            let mut own = self.clone();
            own.guest.root = Some(root);
            return own.run();
        }
        if !self.guest.lib.is_empty() {
            return Err(Failure::usage("a case has a root or a program alone: leave out --lib"));
        }
        let case = self.case()?;
        let stdin = match &self.stdin {
            None => None,
            Some(path) if path == Path::new("-") => {
                let mut bytes = Vec::new();
                let read = io::stdin().lock().take(LARGEST_INPUT + 1).read_to_end(&mut bytes);
                read.map_err(|e| Failure::usage(format!("--stdin -: {e}")))?;
                if bytes.len() as u64 > LARGEST_INPUT {
                    return Err(Failure::usage(format!("--stdin -: larger than {LARGEST_INPUT} bytes")));
                }
                Some(bytes)
            }
            Some(path) => Some(read_file(path, LARGEST_INPUT)?.to_vec()),
        };
        let keys = match &self.keys {
            None => None,
            Some(path) => {
                let bytes = read_file(path, LARGEST_KEYS)?.to_vec();
                keys::parse(&bytes).map_err(|e| Failure::usage(format!("--keys {}: {e}", path.display())))?;
                Some(bytes)
            }
        };
        if self.tty.is_some() && stdin.is_some() {
            return Err(Failure::usage("--stdin: with --tty the terminal is standard input"));
        }
        let inputs = Inputs { files: self.input.clone(), stdin, keys };
        let cancel = interruption().map_err(|e| Failure::usage(format!("cannot catch signals: {e}")))?;
        let options = Options { keep_trace: self.keep_trace, force: self.force, cancel: Some(cancel) };
        let given = if case.root.path.is_none() { self.guest.root.as_deref() } else { None };
        match record::capture(&case, &self.output, &inputs, given, &options, &mut person) {
            Ok(case) => {
                if let Some(expected) = &case.expected {
                    let (calls, ended) = (expected.calls, compare::end(expected.ended));
                    println!("{}: {ended}, {calls} calls", self.output.display());
                }
                Ok(0)
            }
            Err(RecordError::Differs(found)) => {
                for difference in &found {
                    eprintln!("{}", verify::lines(difference));
                }
                Err(Failure::refused(format!("{}", RecordError::Differs(found))))
            }
            Err(RecordError::Replay(ReplayError::Start(error))) => Err(error.into()),
            Err(RecordError::Replay(ReplayError::Limit(Limit::Interrupted))) => {
                Err(Failure::with_status(verify::INTERRUPTED, "interrupted; nothing was recorded"))
            }
            Err(RecordError::Replay(ReplayError::Limit(limit))) => {
                Err(Failure::with_status(status::LIMIT, format!("{limit}; nothing was recorded")))
            }
            Err(error) => Err(Failure::usage(error.to_string())),
        }
    }

    /// The case without what will come of it.
    fn case(&self) -> Result<Case, Failure> {
        let guest = &self.guest;
        if guest.env_host {
            return Err(Failure::usage("a case holds nothing of the host: name variables with --env"));
        }
        let Some((program, args)) = guest.command.split_first() else {
            return Err(Failure::usage("no program given"));
        };
        let os = |text: &std::ffi::OsStr| Text(std::os::unix::ffi::OsStrExt::as_bytes(text).to_vec());
        let lent = !guest.mount_special.is_empty() || !guest.disk.is_empty();
        if guest.overlay.is_some() || guest.read_only || guest.host_owners || lent {
            return Err(Failure::usage(
                "a case has a root that is only read, and files of its own: leave out --overlay, --read-only, \
                 --host-owners, --mount-special and --disk",
            ));
        }
        let (root, path) = self.root(Path::new(program))?;
        // Without --root the program's name is a path of the host, of which a case holds the last part only.
        let own = if guest.root.is_some() { None } else { Path::new(program).file_name() };
        let name = guest.argv0.as_deref().or(own).unwrap_or(program);
        let argv = [os(name)].into_iter().chain(args.iter().map(|arg| os(arg))).collect();
        let mut run = case::Run::new(path, argv);
        run.env = guest.environment().into_iter().map(Text).collect();
        run.cwd = guest.cwd.as_ref().map(|cwd| os(cwd.as_os_str()));
        run.files_at = Text::from(self.files_at.as_str());
        if guest.user.is_some() {
            return Err(Failure::usage("--user: a case has numbers: --uid and --gid"));
        }
        (run.uid, run.gid) = (guest.uid, guest.group());
        run.fpcw = format!("{:#06x}", guest.fpcw);
        if let Some(start) = self.start {
            run.start = start;
        }
        self.machine.describe(&mut run)?;
        let on_host = guest.root.clone().or_else(|| program_directory(Path::new(program)));
        if on_host.is_some_and(|root| std::fs::symlink_metadata(root.join("var")).is_ok()) {
            run.scratch.push(Text::from("/var/tmp"));
        }
        let mut case = Case::new(run, root);
        case.terminal = self.tty.map(|size| case::Terminal { rows: size.rows, columns: size.columns });
        for mount in &guest.mount {
            if !mount.read_only {
                return Err(Failure::usage(format!(
                    "--mount {}: must end in :ro; what the guest may change is given with --input",
                    mount.host.display()
                )));
            }
            case.mount
                .push(case::Mount { host: self.relative(&mount.host)?, guest: Text(mount.guest.clone()) });
        }
        Ok(case)
    }

    /// The root, and the program in it.  Without --root it is the program's own directory.
    fn root(&self, program: &Path) -> Result<(Root, Text), Failure> {
        let bytes = |path: &std::ffi::OsStr| std::os::unix::ffi::OsStrExt::as_bytes(path).to_vec();
        if let Some(root) = &self.guest.root {
            if !root.is_dir() {
                return Err(Failure::usage(format!("--root {}: not a directory", root.display())));
            }
            let path = if self.fixed_root { Some(self.relative(root)?) } else { None };
            return Ok((Root { path }, Text(bytes(program.as_os_str()))));
        }
        let name = program.file_name().filter(|_| program.is_file());
        let (Some(directory), Some(name)) = (program_directory(program), name) else {
            return Err(Failure::not_found(format!("{}: no such program", program.display())));
        };
        let path = Some(self.relative(&directory)?);
        Ok((Root { path }, Text([b"/".to_vec(), bytes(name)].concat())))
    }

    fn relative(&self, to: &Path) -> Result<PathBuf, Failure> {
        record::relative(&self.output, to).map_err(|e| Failure::usage(format!("{}: {e}", to.display())))
    }
}

/// The terminal of a person, if there is one.
fn person() -> Option<Box<dyn Door>> {
    let terminal = io::stdin().is_terminal().then(|| Terminal::new(io::stdin().as_fd())).flatten()?;
    Some(Box::new(terminal))
}

/// The directory of a program of the host.
fn program_directory(program: &Path) -> Option<PathBuf> {
    let directory = program.parent()?;
    Some(if directory == Path::new("") { PathBuf::from(".") } else { directory.to_owned() })
}
