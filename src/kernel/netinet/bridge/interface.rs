//! The host's way to other machines, shown to the guest as an interface and a route: `ed0`, the usual card of 2.1's
//! days.
//!
//! Nothing goes through it: sockets are the host's.  A guest cannot change it.

use super::super::{INADDR_ANY, SockaddrIn, in_control};
use crate::host::outside::Outside;
use crate::host::tape::Question;
use crate::kernel::Kernel;
use crate::kernel::net::interface::{Driver, IfCounts, IfFlags, Ifnet};
use crate::kernel::net::route::{rt_add, rtf};

/// Largest packet of an Ethernet.
const ETHERMTU: u32 = 1500;
/// Type of the interface (IFT_ETHER).
const IFT_ETHER: u8 = 6;

/// Adds the interface, where the host reaches other machines.
pub(in crate::kernel::netinet) fn show(kernel: &mut Kernel) {
    let Some(outside) = kernel.tape.ask(Question::Network, None, Outside::look) else { return };
    kernel.inet.outside = Some(outside.address);
    let index = kernel.net.if_attach(
        Ifnet {
            name: "ed",
            unit: 0,
            flags: IfFlags::BROADCAST | IfFlags::SIMPLEX | IfFlags::MULTICAST,
            mtu: ETHERMTU,
            metric: 0,
            kind: IFT_ETHER,
            physical: 0,
            addrlist: Vec::new(),
            counts: IfCounts::default(),
            lastchange: 0,
            driver: Driver::Host,
        },
        0,
    );
    in_control::configure_with(kernel, index, SockaddrIn::new(outside.address, 0), Some(outside.mask));
    let Some(router) = outside.router else { return };
    let [any, gateway] = [INADDR_ANY, router].map(|addr| SockaddrIn::new(addr, 0).bytes());
    // A router that is in no network of ours is no way.
    if let Ok(rt) = rt_add(kernel, &any, &gateway, Some(&[0]), rtf::UP | rtf::GATEWAY | rtf::STATIC) {
        kernel.net.rt_mut(rt).refcnt -= 1;
    }
}
