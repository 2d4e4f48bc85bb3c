//! The FreeBSD 2.1 kernel personality.
