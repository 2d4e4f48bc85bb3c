//! What the host answered when it refused: Linux error numbers, turned into the guest's.
//!
//! Must not know what was asked.  The counterpart of 2.1 is `sys/errno.h`.

use rustix::io::Errno as Linux;
use syscalls::Errno;

/// The host refused an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub Linux);

/// What a door to the host returns.
pub type HostResult<T> = Result<T, HostError>;

impl HostError {
    /// Nothing goes without waiting.
    pub const WOULD_BLOCK: HostError = HostError(Linux::AGAIN);
    /// Something that had to be a directory is none.
    pub const NOT_A_DIRECTORY: HostError = HostError(Linux::NOTDIR);
    /// There is no such name.
    pub const NO_ENTRY: HostError = HostError(Linux::NOENT);
    /// There is such a name.
    pub const EXISTS: HostError = HostError(Linux::EXIST);
    /// Something that must not be a directory is one.
    pub const IS_A_DIRECTORY: HostError = HostError(Linux::ISDIR);
    /// A directory holds something.
    pub const NOT_EMPTY: HostError = HostError(Linux::NOTEMPTY);
    /// A file is not there any more.
    pub const STALE: HostError = HostError(Linux::STALE);
    /// This cannot be asked of such a file.
    pub const INVALID: HostError = HostError(Linux::INVAL);
    /// Two file systems cannot share a file.
    pub const CROSS_DEVICE: HostError = HostError(Linux::XDEV);
    /// Such a file is never opened.
    pub const NO_DEVICE: HostError = HostError(Linux::NXIO);
    /// This is a special file system of the host.
    pub const SPECIAL: HostError = HostError(Linux::MEDIUMTYPE);
    /// The disk is full.
    pub const NO_SPACE: HostError = HostError(Linux::NOSPC);
    /// Nobody may do that.
    pub const NOT_PERMITTED: HostError = HostError(Linux::PERM);

    /// What an operation of the standard library says; nothing better than EIO where it has no number.
    pub fn of_io(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().map_or(Linux::IO, Linux::from_raw_os_error))
    }

    /// Whether a signal interrupted the operation.
    pub fn is_interrupted(self) -> bool {
        self.0 == Linux::INTR
    }

    /// Whether the operation would have to wait.
    pub fn would_block(self) -> bool {
        self.0 == Linux::AGAIN
    }

    /// Whether the host's own permissions were the reason.
    pub fn is_permission(self) -> bool {
        matches!(self.0, Linux::ACCESS | Linux::PERM)
    }

    /// Whether the file system there cannot do such a thing at all.
    pub fn is_unsupported(self) -> bool {
        matches!(self.0, Linux::NOTSUP | Linux::NOSYS | Linux::NODATA | Linux::INVAL)
    }
}

impl From<Linux> for HostError {
    fn from(linux: Linux) -> HostError {
        tracing::trace!(target: "bsd21::host", error = %linux, "refused");
        HostError(linux)
    }
}

impl From<HostError> for Errno {
    fn from(error: HostError) -> Errno {
        match error.0 {
            Linux::PERM => Errno::EPERM,
            Linux::NOENT => Errno::ENOENT,
            Linux::INTR => Errno::EINTR,
            Linux::NXIO => Errno::ENXIO,
            Linux::BADF => Errno::EBADF,
            Linux::NOMEM => Errno::ENOMEM,
            Linux::ACCESS => Errno::EACCES,
            Linux::BUSY => Errno::EBUSY,
            Linux::EXIST => Errno::EEXIST,
            Linux::XDEV => Errno::EXDEV,
            Linux::NODEV => Errno::ENODEV,
            Linux::NOTDIR => Errno::ENOTDIR,
            Linux::PROTOTYPE => Errno::EPROTOTYPE,
            Linux::ISDIR => Errno::EISDIR,
            Linux::INVAL => Errno::EINVAL,
            Linux::NFILE | Linux::MFILE => Errno::ENFILE,
            Linux::NOTTY => Errno::ENOTTY,
            Linux::TXTBSY => Errno::ETXTBSY,
            Linux::FBIG => Errno::EFBIG,
            Linux::NOSPC => Errno::ENOSPC,
            Linux::SPIPE => Errno::ESPIPE,
            Linux::ROFS => Errno::EROFS,
            Linux::MLINK => Errno::EMLINK,
            Linux::PIPE => Errno::EPIPE,
            Linux::AGAIN => Errno::EAGAIN,
            Linux::CONNRESET => Errno::ECONNRESET,
            Linux::INPROGRESS => Errno::EINPROGRESS,
            Linux::ALREADY => Errno::EALREADY,
            Linux::DESTADDRREQ => Errno::EDESTADDRREQ,
            Linux::MSGSIZE => Errno::EMSGSIZE,
            Linux::AFNOSUPPORT => Errno::EAFNOSUPPORT,
            Linux::ADDRINUSE => Errno::EADDRINUSE,
            Linux::ADDRNOTAVAIL => Errno::EADDRNOTAVAIL,
            Linux::NETDOWN => Errno::ENETDOWN,
            Linux::NETUNREACH => Errno::ENETUNREACH,
            Linux::NETRESET => Errno::ENETRESET,
            Linux::CONNABORTED => Errno::ECONNABORTED,
            Linux::NOBUFS => Errno::ENOBUFS,
            Linux::ISCONN => Errno::EISCONN,
            Linux::NOTCONN => Errno::ENOTCONN,
            Linux::TIMEDOUT => Errno::ETIMEDOUT,
            Linux::CONNREFUSED => Errno::ECONNREFUSED,
            Linux::HOSTDOWN => Errno::EHOSTDOWN,
            Linux::HOSTUNREACH => Errno::EHOSTUNREACH,
            Linux::LOOP => Errno::ELOOP,
            Linux::NAMETOOLONG => Errno::ENAMETOOLONG,
            Linux::NOTEMPTY => Errno::ENOTEMPTY,
            Linux::DQUOT => Errno::EDQUOT,
            Linux::STALE => Errno::ESTALE,
            Linux::NOTSUP => Errno::EOPNOTSUPP,
            _ => Errno::EIO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_differ_between_the_systems_are_translated() {
        assert_eq!(Errno::from(HostError(Linux::LOOP)), Errno::ELOOP);
        assert_eq!(Errno::from(HostError(Linux::NOTEMPTY)), Errno::ENOTEMPTY);
        assert_eq!(Errno::from(HostError(Linux::AGAIN)), Errno::EAGAIN);
    }

    #[test]
    fn what_the_guest_has_no_word_for_is_an_io_error() {
        assert_eq!(Errno::from(HostError(Linux::HWPOISON)), Errno::EIO);
    }
}
