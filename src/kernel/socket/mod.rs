//! Sockets.

use syscalls::errno::Errno;
use syscalls::layout::Stat;

use super::arena::Id;
use super::file::Uio;
use super::file::select::Which;
use super::{Context, Kernel, Retval, Sysret, Wake};

/// A socket.
#[derive(Debug)]
pub struct Socket {}

/// Key of a socket.
pub type SocketId = Id<Socket>;

/// What the guest's internet sockets reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Other guest processes.
    #[default]
    Loopback,
    /// Nothing.
    None,
}

/// Domains, sockets and their protocol control blocks.
#[derive(Debug)]
pub struct Layer {}

impl Layer {
    /// A socket layer without sockets.
    pub fn new(_network: Network) -> Self {
        Self {}
    }
}

/// What a parked socket call keeps.
#[derive(Debug)]
pub enum Resume {}

/// Goes on with a parked call.
pub fn resume(_cx: &mut Context<'_>, state: Resume, _wake: Wake) -> Sysret<Retval> {
    match state {}
}

pub fn soo_read(_cx: &mut Context<'_>, _so: SocketId, _uio: Uio) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}
pub fn soo_write(_cx: &mut Context<'_>, _so: SocketId, _uio: Uio) -> Sysret<i32> {
    Err(Errno::EOPNOTSUPP.into())
}
pub fn soo_ioctl(_cx: &mut Context<'_>, _so: SocketId, _request: u32, _data: &mut Vec<u8>) -> Sysret<()> {
    Err(Errno::EOPNOTSUPP.into())
}
pub fn soo_select(_cx: &mut Context<'_>, _so: SocketId, _which: Which) -> bool {
    true
}
pub fn soo_stat(_cx: &mut Context<'_>, _so: SocketId) -> Result<Stat, Errno> {
    Err(Errno::EOPNOTSUPP)
}
pub fn soo_close(_cx: &mut Context<'_>, _so: SocketId) -> Sysret<()> {
    Ok(())
}
pub fn fast_timeout(_kernel: &mut Kernel) {}
pub fn slow_timeout(_kernel: &mut Kernel) {}
