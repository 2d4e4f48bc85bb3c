//! Options of IP that are more than a number: those that go into packets, and those of multicasts.
//!
//! Groups can be joined and left.  Nothing is ever sent to one: the only route of the machine is that of the
//! loopback interface to itself, and a packet to a group needs a route as well as any other
//! (ip_output.c looks for one before it looks at the interface that was chosen for multicasts).
//!
//! This file does not know sockets.
//!
//! 2.1 counterpart: netinet/ip_output.c (ip_pcbopts, ip_setmoptions, ip_getmoptions).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;
use syscalls::flags::IpOpt;

use super::super::mbuf::{MLEN, Mbuf};
use super::{INADDR_ANY, Inet};

/// IP_MULTICAST_VIF, which needs a multicast router.
const MULTICAST_VIF: u32 = 14;
/// Groups that a socket may be in (IP_MAX_MEMBERSHIPS).
const MAX_MEMBERSHIPS: usize = 20;
/// Bytes of options in a packet (MAX_IPOPTLEN).
const MAX_IPOPTLEN: usize = 40;
/// Bytes of the address of the first hop, which is kept before the options.
pub(super) const FIRST_HOP: usize = 4;
/// Kinds of options: the end, a filler, and routes that the sender says.
const IPOPT_EOL: u8 = 0;
const IPOPT_NOP: u8 = 1;
const IPOPT_LSRR: u8 = 131;
const IPOPT_SSRR: u8 = 137;

/// Checks options of packets, and puts the first hop of a route before them (`ip_pcbopts`).
pub(super) fn packet_options(given: &[u8]) -> Result<Vec<u8>, Errno> {
    if !given.len().is_multiple_of(4) || given.len() + FIRST_HOP >= MLEN {
        return Err(Errno::EINVAL);
    }
    let mut options = given.to_vec();
    let mut hop = [0; FIRST_HOP];
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        let mut len = match kind {
            IPOPT_EOL => break,
            IPOPT_NOP => 1,
            _ => usize::from(*options.get(at + 1).ok_or(Errno::EINVAL)?),
        };
        if kind != IPOPT_NOP && (len < 2 || at + len > options.len()) {
            return Err(Errno::EINVAL);
        }
        if matches!(kind, IPOPT_LSRR | IPOPT_SSRR) {
            // The first hop is where packets go; the receiver must not find it in the route.
            let first = options.get(at + 3..at + 3 + FIRST_HOP).filter(|_| len >= 3 + FIRST_HOP);
            hop = first.and_then(|hop| hop.try_into().ok()).ok_or(Errno::EINVAL)?;
            options.drain(at + 3..at + 3 + FIRST_HOP);
            len -= FIRST_HOP;
            options[at + 1] = len as u8;
        }
        at += len;
    }
    if options.len() > MAX_IPOPTLEN {
        return Err(Errno::EINVAL);
    }
    Ok([&hop[..], &options[..]].concat())
}

/// What a socket wants of multicasts (`struct ip_moptions`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moptions {
    /// The loopback interface was chosen.
    interface: bool,
    ttl: u8,
    /// Packets to groups that this machine is in come back.
    looped: u8,
    /// Groups.
    memberships: Vec<Ipv4Addr>,
}

impl Default for Moptions {
    fn default() -> Self {
        Self { interface: false, ttl: 1, looped: 1, memberships: Vec::new() }
    }
}

/// Sets an option of multicasts.
pub(super) fn set(inet: &Inet, options: &mut Moptions, name: u32, value: Option<&Mbuf>) -> Result<(), Errno> {
    let bytes = value.map_or(&[][..], Mbuf::bytes);
    let own = |addr: Ipv4Addr| if inet.is_own(addr) { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) };
    match IpOpt::from_raw(name) {
        _ if name == MULTICAST_VIF => return Err(Errno::EOPNOTSUPP),
        IpOpt::MulticastIf => {
            let addr = Ipv4Addr::from(<[u8; 4]>::try_from(bytes).map_err(|_| Errno::EINVAL)?);
            if addr != INADDR_ANY {
                own(addr)?;
            }
            options.interface = addr != INADDR_ANY;
        }
        IpOpt::MulticastTtl => options.ttl = *single(bytes)?,
        IpOpt::MulticastLoop => match *single(bytes)? {
            looped @ 0..=1 => options.looped = looped,
            _ => return Err(Errno::EINVAL),
        },
        IpOpt::AddMembership => {
            let (group, interface) = request(bytes)?;
            // Without an interface the one of the route to the group is taken; there is no such route.
            own(interface)?;
            if inet.is_bridged() {
                return Err(Errno::EOPNOTSUPP);
            }
            if options.memberships.contains(&group) {
                return Err(Errno::EADDRINUSE);
            }
            if options.memberships.len() == MAX_MEMBERSHIPS {
                return Err(Errno::ETOOMANYREFS);
            }
            options.memberships.push(group);
        }
        IpOpt::DropMembership => {
            let (group, interface) = request(bytes)?;
            if interface != INADDR_ANY {
                own(interface)?;
            }
            let at = options.memberships.iter().position(|&joined| joined == group);
            options.memberships.remove(at.ok_or(Errno::EADDRNOTAVAIL)?);
        }
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// Reads an option of multicasts; groups cannot be read.
pub(super) fn get(inet: &Inet, options: &Moptions, name: u32) -> Result<Vec<u8>, Errno> {
    match IpOpt::from_raw(name) {
        _ if name == MULTICAST_VIF => Ok((-1i32).to_le_bytes().to_vec()),
        IpOpt::MulticastIf => {
            let chosen = inet.own_address().filter(|_| options.interface);
            Ok(chosen.unwrap_or(INADDR_ANY).octets().to_vec())
        }
        IpOpt::MulticastTtl => Ok(vec![options.ttl]),
        IpOpt::MulticastLoop => Ok(vec![options.looped]),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Whether an option is one of multicasts.
pub(super) fn is_multicast(name: u32) -> bool {
    (IpOpt::MulticastIf.raw()..=MULTICAST_VIF).contains(&name)
}

fn single(bytes: &[u8]) -> Result<&u8, Errno> {
    match bytes {
        [byte] => Ok(byte),
        _ => Err(Errno::EINVAL),
    }
}

/// A group and an interface (`struct ip_mreq`).
fn request(bytes: &[u8]) -> Result<(Ipv4Addr, Ipv4Addr), Errno> {
    match *bytes {
        [a, b, c, d, e, f, g, h] if Ipv4Addr::new(a, b, c, d).is_multicast() => {
            Ok((Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)))
        }
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_packets_are_words_that_say_their_length() {
        assert_eq!(packet_options(&[1, 1, 1, 0]), Ok(vec![0, 0, 0, 0, 1, 1, 1, 0]));
        assert_eq!(packet_options(&[1, 1, 1]), Err(Errno::EINVAL));
        assert_eq!(packet_options(&[7, 5, 4, 0]), Err(Errno::EINVAL), "longer than all options");
        assert_eq!(packet_options(&[1, 1, 1, 7]), Err(Errno::EINVAL), "without a length");
        assert_eq!(packet_options(&[0; 44]), Err(Errno::EINVAL), "more than a header holds");
        assert_eq!(packet_options(&[0; 40]).map(|o| o.len()), Ok(44));
        assert_eq!(packet_options(&[0; 104]), Err(Errno::EINVAL));
    }

    #[test]
    fn the_first_hop_of_a_route_goes_in_front() {
        let given = [131, 11, 4, 10, 0, 0, 1, 10, 0, 0, 2, 0];
        let expected = vec![10, 0, 0, 1, 131, 7, 4, 10, 0, 0, 2, 0];
        assert_eq!(packet_options(&given), Ok(expected));
        assert_eq!(packet_options(&[131, 6, 4, 10, 0, 0, 0, 0]), Err(Errno::EINVAL), "without a hop");
    }
}
