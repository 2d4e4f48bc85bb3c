//! Requests of ioctl.
