//! Ports of the guest that are others at the host: those that the run was told of, and reserved ones that the host's
//! user may not have.
//!
//! A program that binds a reserved port gets it, as it sees it; at the host another one stands for it.  Programs of the
//! guest that talk to each other see the guest's numbers, so that a server may ask for a reserved port of its client.

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::super::in_pcb::{IPPORT_RESERVED, InpcbId};
use crate::host::error::{HostError, HostResult};
use crate::host::net::{Address, Socket};
use crate::kernel::Kernel;

/// A port of the guest that stands at another port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host's port.
    pub host: u16,
    /// The guest's.
    pub guest: u16,
    /// A port of UDP, else of TCP.
    pub udp: bool,
}

/// Ports that are others at the host.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// What the run was told.
    pub forwards: Vec<Forward>,
    /// Those in use, with their control blocks.
    moved: Vec<(Forward, InpcbId)>,
}

impl Kernel {
    /// Says which ports of the guest are others at the host; before anything runs.
    pub fn forward(&mut self, forwards: Vec<Forward>) {
        self.inet.ports.forwards = forwards;
    }
}

impl Ports {
    /// The host's port for one that the guest asks for.
    fn outer(&self, udp: bool, guest: u16) -> u16 {
        let told = self.forwards.iter().find(|forward| forward.udp == udp && forward.guest == guest);
        told.map_or(guest, |forward| forward.host)
    }

    /// What the guest calls a port of the host.
    fn inner(&self, udp: bool, host: u16) -> u16 {
        let ours = self.moved.iter().rfind(|(forward, _)| forward.udp == udp && forward.host == host);
        ours.map_or(host, |(forward, _)| forward.guest)
    }
}

/// Binds the host's socket of a control block.
pub(super) fn bind(kernel: &mut Kernel, id: InpcbId, (addr, port): Address) -> Result<(), Errno> {
    let udp = kernel.inet.inp(id).tcp.is_none();
    let outer = kernel.inet.ports.outer(udp, port);
    let host = kernel.inet.host(id)?;
    let bound = host.bind(&kernel.tape, (addr, outer));
    let refused = |error: &HostError| Errno::from(*error) == Errno::EACCES;
    match bound {
        Err(error) if refused(&error) && outer == port && (1..IPPORT_RESERVED).contains(&port) => {
            host.bind(&kernel.tape, (addr, 0))?;
        }
        other => other?,
    }
    let (_, real) = host.name(&kernel.tape)?;
    if port == 0 || real == port {
        return Ok(());
    }
    let inet = &mut kernel.inet;
    let pcbs = &inet.pcbs;
    inet.ports.moved.retain(|(_, id)| pcbs.contains(*id));
    inet.ports.moved.push((Forward { host: real, guest: port, udp }, id));
    Ok(())
}

/// Where an address of the guest is at the host.
pub(super) fn outward(kernel: &Kernel, udp: bool, (addr, port): Address) -> Address {
    let ours = kernel.inet.ports.moved.iter().rfind(|(forward, id)| {
        forward.udp == udp && forward.guest == port && kernel.inet.has(*id) && is_ours(kernel, addr)
    });
    (addr, ours.map_or(port, |(forward, _)| forward.host))
}

/// What an address of the host is to the guest.
pub(super) fn inward(kernel: &Kernel, udp: bool, (addr, port): Address) -> Address {
    if !is_ours(kernel, addr) {
        return (addr, port);
    }
    (addr, kernel.inet.ports.inner(udp, port))
}

/// Whether an address is one of this machine.
fn is_ours(kernel: &Kernel, addr: Ipv4Addr) -> bool {
    addr.is_loopback() || addr.is_unspecified() || kernel.inet.outside == Some(addr)
}

/// The own address of a host's socket as the guest sees it.
pub(super) fn name(kernel: &Kernel, udp: bool, host: &Socket) -> HostResult<Address> {
    let (addr, port) = host.name(&kernel.tape)?;
    Ok((addr, kernel.inet.ports.inner(udp, port)))
}
