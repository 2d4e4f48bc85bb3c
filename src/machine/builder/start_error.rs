//! Why a machine could not be built, or its program not be started: each a line for the person who wanted it.

use std::path::PathBuf;

use syscalls::errno::Errno;

use crate::image::Refusal;
use crate::kernel::vfs::overlay::OverlayError;

/// Why a machine could not be built or its program not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory cannot be mounted.
    #[error("cannot mount {}: {reason}", path.display())]
    Mount {
        /// The directory.
        path: PathBuf,
        /// What the host says.
        reason: String,
    },
    /// A special file system of the host was to be mounted like a directory of files.
    #[error("cannot mount {}: a special file system of the host: --mount-special shows it", path.display())]
    Special {
        /// The directory.
        path: PathBuf,
    },
    /// Two wishes about what the guest sees exclude each other.
    #[error("{0}")]
    Contradiction(String),
    /// The overlay cannot be used.
    #[error("--overlay {}: {error}", path.display())]
    Overlay {
        /// Its directory.
        path: PathBuf,
        /// Why.
        error: OverlayError,
    },
    /// The temporary directory of the guest cannot be made.
    #[error("cannot make a temporary directory: {0}")]
    Temporary(std::io::Error),
    /// There is no room for guest memory.
    #[error("cannot reserve 4 GiB of address space for each process (see ulimit -v): {0}")]
    Memory(std::io::Error),
    /// A descriptor cannot be passed.
    #[error("--fd {number}: {reason}")]
    Descriptor {
        /// Its number.
        number: u32,
        /// Why.
        reason: String,
    },
    /// A recording is not what it must be.
    #[error("the recording: {0}")]
    Recording(String),
    /// A standard stream cannot be made.
    #[error("cannot make a standard stream of the guest: {0}")]
    Stream(std::io::Error),
    /// The current directory of the host is gone.
    #[error("cannot find the current directory: {0}")]
    CurrentDirectory(std::io::Error),
    /// The program is not there.
    #[error("{program}: not found in {place}")]
    NotFound {
        /// As it was given.
        program: String,
        /// Where it was looked for.
        place: String,
    },
    /// The program is not executable: permission, kind of file.
    #[error("{program}: {} ({place})", errno.message())]
    NotExecutable {
        /// As it was given.
        program: String,
        /// Where it was looked for.
        place: String,
        /// Why.
        errno: Errno,
    },
    /// The program is no program: a directory, an empty file.
    #[error("{program} {why}")]
    Unfit {
        /// As it was given.
        program: String,
        /// What it is instead.
        why: &'static str,
    },
    /// The program's interpreter cannot be executed, or is not there.
    #[error("{program}: its interpreter {interpreter}: {} ({place})", errno.message())]
    Interpreter {
        /// As it was given.
        program: String,
        /// The interpreter's name in the program's file.
        interpreter: String,
        /// Where it was looked for.
        place: String,
        /// Why.
        errno: Errno,
    },
    /// The program's file is refused.
    #[error("{program}: {refusal}")]
    Refused {
        /// As it was given.
        program: String,
        /// Why.
        refusal: Refusal,
    },
    /// Nobody can log in so.
    #[error("{0}")]
    Login(crate::machine::login::LoginError),
    /// The guest's current directory is not there.
    #[error("--cwd {directory}: {}", errno.message())]
    Directory {
        /// The directory.
        directory: String,
        /// Why.
        errno: Errno,
    },
}
