//! Kernel memory as programs read it: made of the kernel's state when somebody looks.
//!
//! Nothing of the host is in it, nobody can write it, and an address means the same in every run.
//!
//! | file | idea |
//! |---|---|
//! | [`place`] | where objects lie |
//! | [`memory`] | what is at an address |
//! | [`symbols`] | the variables that have names |
//! | [`object`] | structures of processes, groups, sessions; which file has those of all else |
//! | [`files`] | open files, descriptors, vnodes, mounts |
//! | [`sockets`] | sockets, local control blocks, protocols |
//! | [`network`] | control blocks of the internet domain, routes, interfaces |
//! | [`trees`] | trees of addresses |
//! | [`statistics`] | what is counted: names, memory, disks, interrupts |
//! | [`boot_file`] | the kernel's own file, which has the names: the guest's, or one made here |
//! | [`older`], [`older_files`], [`older_net`] | what programs of 386BSD find instead |
//! | [`physical`] | physical memory, as far as 386BSD's tools follow page tables |
//! | [`log`], [`log_device`] | the message buffer, and the device that reads it |
//!
//! 2.1 counterpart: i386/i386/mem.c, and every structure that libkvm reads.

mod boot_file;
pub(in crate::kernel) mod files;
pub(in crate::kernel) mod log;
pub(in crate::kernel) mod log_device;
pub(in crate::kernel) mod memory;
mod network;
mod object;
pub(in crate::kernel) mod older;
mod older_files;
mod older_net;
mod physical;
pub(in crate::kernel) mod place;
mod sockets;
mod statistics;
mod symbols;
mod trees;

pub(crate) use boot_file::BootFile;
pub(in crate::kernel) use boot_file::synthetic;
