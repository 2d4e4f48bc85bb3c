//! Forwarding: a packet that is not for this machine, where that is wanted.
//!
//! 2.1 counterpart: netinet/ip_input.c (ip_forward).

use std::net::Ipv4Addr;

use syscalls::errno::Errno;

use super::in_control::in_canforward;
use super::ip::Ip;
use super::ip_icmp::*;
use super::ip_options::ip_rtaddr;
use super::ip_output::{self, Flags, ip_output};
use super::statistics::ips;
use super::{INADDR_ANY, sin_addr};
use crate::kernel::Kernel;
use crate::kernel::net::route::rtf;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::mbuf::MbufFlags;

/// Sends a packet on; `srcrt` says that its options want it (`ip_forward`).
pub(super) fn ip_forward(kernel: &mut Kernel, mut m: Chain, srcrt: bool) {
    let (Some(mut ip), Some(first)) = (Ip::of(&m), m.front()) else { return };
    let rcvif = first.rcvif;
    if first.flags.contains(MbufFlags::BCAST) || !in_canforward(ip.dst) {
        kernel.inet.stat.ip.bump(ips::CANTFORWARD);
        return;
    }
    ip.id = ip.id.swap_bytes();
    ip.store(&mut m);
    if ip.ttl <= 1 {
        return icmp_error(kernel, m, ICMP_TIMXCEED, 0, INADDR_ANY, None);
    }
    ip.ttl -= 1;
    ip.store(&mut m);
    if ip_rtaddr(kernel, ip.dst).is_none() {
        return icmp_error(kernel, m, ICMP_UNREACH, UNREACH_HOST, INADDR_ANY, None);
    }
    let copy = m.copy_range(0, usize::from(ip.len).min(64));
    let redirect = redirect(kernel, &ip, rcvif, srcrt);
    let mut ro = std::mem::take(&mut kernel.inet.forward_rt);
    let sent = ip_output(kernel, m, None, ip_output::Way::Through(&mut ro), Flags::FORWARDING, None);
    let outgoing = ro.rt.and_then(|rt| kernel.net.rtentries.get(rt)).map(|rt| rt.ifp);
    kernel.inet.forward_rt = ro;
    let stat = &mut kernel.inet.stat.ip;
    let (kind, code, dest, ifp) = match (sent, redirect) {
        (Ok(()), None) => return stat.bump(ips::FORWARD),
        (Ok(()), Some(dest)) => {
            stat.bump(ips::FORWARD);
            stat.bump(ips::REDIRECTSENT);
            (ICMP_REDIRECT, 1, dest, None)
        }
        (Err(error), _) => {
            stat.bump(ips::CANTFORWARD);
            match error {
                Errno::EMSGSIZE => {
                    stat.bump(ips::CANTFRAG);
                    (ICMP_UNREACH, UNREACH_NEEDFRAG, INADDR_ANY, outgoing)
                }
                Errno::ENOBUFS => (ICMP_SOURCEQUENCH, 0, INADDR_ANY, None),
                _ => (ICMP_UNREACH, UNREACH_HOST, INADDR_ANY, None),
            }
        }
    };
    icmp_error(kernel, copy, kind, code, dest, ifp);
}

/// The better gateway that the sender should be told of, if it sends over the interface that the packet came
/// in on.
fn redirect(kernel: &Kernel, ip: &Ip, rcvif: u16, srcrt: bool) -> Option<Ipv4Addr> {
    let rt = kernel.net.rtentries.get(kernel.inet.forward_rt.rt?)?;
    if rt.ifp != rcvif
        || rt.flags & (rtf::DYNAMIC | rtf::MODIFIED) != 0
        || sin_addr(&rt.key) == INADDR_ANY
        || kernel.inet.variables.ip_redirects == 0
        || srcrt
    {
        return None;
    }
    let ia = kernel.net.ifaddrs.get(rt.ifa)?.inet.as_ref()?;
    if u32::from(ip.src) & ia.subnetmask != ia.subnet {
        return None;
    }
    Some(if rt.flags & rtf::GATEWAY != 0 { sin_addr(&rt.gateway) } else { ip.dst })
}
