//! How the host reaches other machines: the address that it has there, and its first router.
//!
//! Nothing is sent to find this out.
//!
//! Must not know interfaces of a guest.

use std::fs;
use std::net::Ipv4Addr;

use super::net::Socket;
use super::tape::Tape;

/// The host's way to other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The host's address there.
    pub address: Ipv4Addr,
    /// The mask of its network.
    pub mask: Ipv4Addr,
    /// Who passes packets on.
    pub router: Option<Ipv4Addr>,
}

impl Outside {
    /// The way that the host has now; none where it reaches nobody else.
    pub fn look() -> Option<Self> {
        // An address for documentation: the route to it is that to anybody.
        let tape = Tape::default();
        let socket = Socket::datagram(&tape).ok()?;
        socket.connect(&tape, (Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        let (address, _) = socket.name(&tape).ok()?;
        if address.is_loopback() || address.is_unspecified() {
            return None;
        }
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        Some(Self::of_routes(address, &routes))
    }

    /// Finds mask and router in the host's table of routes.
    fn of_routes(address: Ipv4Addr, routes: &str) -> Self {
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(|n| Ipv4Addr::from(n.swap_bytes()));
        let rows = routes.lines().skip(1).filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (destination, gateway) = (number(fields.next()?)?, number(fields.next()?)?);
            let mask = number(fields.nth(4)?)?;
            Some((destination, gateway, mask))
        });
        let mut found = Self { address, mask: Ipv4Addr::new(255, 255, 255, 0), router: None };
        for (destination, gateway, mask) in rows {
            if mask.is_unspecified() && !gateway.is_unspecified() {
                found.router = found.router.or(Some(gateway));
            } else if !mask.is_unspecified() && address & mask == destination {
                found.mask = mask;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_and_router_are_those_of_the_hosts_table() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let found = Outside::of_routes(Ipv4Addr::new(192, 0, 2, 7), table);
        assert_eq!(
            (found.mask, found.router),
            (Ipv4Addr::new(255, 255, 255, 0), Some(Ipv4Addr::new(192, 0, 2, 1)))
        );
    }

    #[test]
    fn a_table_that_says_nothing_leaves_a_usual_mask() {
        let found = Outside::of_routes(Ipv4Addr::new(10, 1, 2, 3), "");
        assert_eq!((found.mask, found.router), (Ipv4Addr::new(255, 255, 255, 0), None));
    }
}
