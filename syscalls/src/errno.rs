//! The error numbers of 2.1, with the messages that its C library prints.
//!
//! Dispositions (restart the call, leave the registers alone) are not errors and are not here.
//!
//! 2.1 counterpart: sys/errno.h.

use std::fmt;

macro_rules! errnos {
    ($( $number:literal $name:ident $message:literal, )*) => {
        /// An error number of 2.1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(clippy::upper_case_acronyms)] // the original's own names
        pub enum Errno {
            $( #[doc = $message] $name = $number, )*
        }

        impl Errno {
            /// Every error, in number order.
            pub const ALL: &'static [Errno] = &[$( Errno::$name ),*];

            /// The error with this number.
            pub const fn from_raw(raw: u32) -> Option<Self> {
                match raw {
                    $( $number => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The name, such as `ENOENT`.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }

            /// The message, such as `No such file or directory`.
            pub const fn message(self) -> &'static str {
                match self {
                    $( Self::$name => $message, )*
                }
            }
        }
    };
}

errnos! {
    1 EPERM "Operation not permitted",
    2 ENOENT "No such file or directory",
    3 ESRCH "No such process",
    4 EINTR "Interrupted system call",
    5 EIO "Input/output error",
    6 ENXIO "Device not configured",
    7 E2BIG "Argument list too long",
    8 ENOEXEC "Exec format error",
    9 EBADF "Bad file descriptor",
    10 ECHILD "No child processes",
    11 EDEADLK "Resource deadlock avoided",
    12 ENOMEM "Cannot allocate memory",
    13 EACCES "Permission denied",
    14 EFAULT "Bad address",
    15 ENOTBLK "Block device required",
    16 EBUSY "Device busy",
    17 EEXIST "File exists",
    18 EXDEV "Cross-device link",
    19 ENODEV "Operation not supported by device",
    20 ENOTDIR "Not a directory",
    21 EISDIR "Is a directory",
    22 EINVAL "Invalid argument",
    23 ENFILE "Too many open files in system",
    24 EMFILE "Too many open files",
    25 ENOTTY "Inappropriate ioctl for device",
    26 ETXTBSY "Text file busy",
    27 EFBIG "File too large",
    28 ENOSPC "No space left on device",
    29 ESPIPE "Illegal seek",
    30 EROFS "Read-only file system",
    31 EMLINK "Too many links",
    32 EPIPE "Broken pipe",
    33 EDOM "Numerical argument out of domain",
    34 ERANGE "Result too large",
    35 EAGAIN "Resource temporarily unavailable",
    36 EINPROGRESS "Operation now in progress",
    37 EALREADY "Operation already in progress",
    38 ENOTSOCK "Socket operation on non-socket",
    39 EDESTADDRREQ "Destination address required",
    40 EMSGSIZE "Message too long",
    41 EPROTOTYPE "Protocol wrong type for socket",
    42 ENOPROTOOPT "Protocol not available",
    43 EPROTONOSUPPORT "Protocol not supported",
    44 ESOCKTNOSUPPORT "Socket type not supported",
    45 EOPNOTSUPP "Operation not supported",
    46 EPFNOSUPPORT "Protocol family not supported",
    47 EAFNOSUPPORT "Address family not supported by protocol family",
    48 EADDRINUSE "Address already in use",
    49 EADDRNOTAVAIL "Can't assign requested address",
    50 ENETDOWN "Network is down",
    51 ENETUNREACH "Network is unreachable",
    52 ENETRESET "Network dropped connection on reset",
    53 ECONNABORTED "Software caused connection abort",
    54 ECONNRESET "Connection reset by peer",
    55 ENOBUFS "No buffer space available",
    56 EISCONN "Socket is already connected",
    57 ENOTCONN "Socket is not connected",
    58 ESHUTDOWN "Can't send after socket shutdown",
    59 ETOOMANYREFS "Too many references: can't splice",
    60 ETIMEDOUT "Operation timed out",
    61 ECONNREFUSED "Connection refused",
    62 ELOOP "Too many levels of symbolic links",
    63 ENAMETOOLONG "File name too long",
    64 EHOSTDOWN "Host is down",
    65 EHOSTUNREACH "No route to host",
    66 ENOTEMPTY "Directory not empty",
    67 EPROCLIM "Too many processes",
    68 EUSERS "Too many users",
    69 EDQUOT "Disc quota exceeded",
    70 ESTALE "Stale NFS file handle",
    71 EREMOTE "Too many levels of remote in path",
    72 EBADRPC "RPC struct is bad",
    73 ERPCMISMATCH "RPC version wrong",
    74 EPROGUNAVAIL "RPC prog. not avail",
    75 EPROGMISMATCH "Program version wrong",
    76 EPROCUNAVAIL "Bad procedure for program",
    77 ENOLCK "No locks available",
    78 ENOSYS "Function not implemented",
    79 EFTYPE "Inappropriate file type or format",
    80 EAUTH "Authentication error",
    81 ENEEDAUTH "Need authenticator",
}

impl Errno {
    /// Another name of `EAGAIN`.
    pub const EWOULDBLOCK: Errno = Errno::EAGAIN;

    /// The number that the guest sees in eax.
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// The error that is called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "EWOULDBLOCK" {
            return Some(Self::EAGAIN);
        }
        Self::ALL.iter().copied().find(|e| e.name() == name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.message())
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_in_order() {
        for (i, e) in Errno::ALL.iter().enumerate() {
            assert_eq!(e.raw() as usize, i + 1);
            assert_eq!(Errno::from_raw(e.raw()), Some(*e));
            assert_eq!(Errno::from_name(e.name()), Some(*e));
        }
        assert_eq!(Errno::ALL.len(), 81);
        assert_eq!(Errno::from_raw(0), None);
        assert_eq!(Errno::from_raw(82), None);
    }
}
