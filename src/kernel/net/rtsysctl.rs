//! The table of routes and the list of interfaces, as sysctl gives them.
//!
//! 2.1 counterpart: net/rtsock.c (sysctl_rtable, sysctl_dumpentry, sysctl_iflist).

use std::ops::Range;

use syscalls::errno::Errno;

use super::Net;
use super::interface::{IfIndex, Ifnet};
use super::route::Rtentry;
use super::rtmsg::{Addresses, Message, at, bits, fill_ifinfo, message, put, rtax};
use super::rtsock::fill_ifa;
use super::sockaddr::{AF_INET, family};
use crate::kernel::Context;
use crate::kernel::sysctl::{Transfer, Walked};

/// What is asked for (`NET_RT_*`).
const NET_RT_DUMP: u32 = 1;
const NET_RT_FLAGS: u32 = 2;
const NET_RT_IFLIST: u32 = 3;

/// The fields that each kind of message is given after it is built.
const DUMP_FIELDS: &[Range<usize>] = &[4..6, 8..32, 36..92];
const IFINFO_FIELDS: &[Range<usize>] = &[4..14, 16..84];
const NEWADDR_FIELDS: &[Range<usize>] = &[4..14, 16..20];

/// Gives routes or interfaces, as many messages as fit (`sysctl_rtable`).
pub fn sysctl_rtable(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    if value.sets() {
        return Err(Errno::EPERM);
    }
    let [af, op, arg] = *name else { return Err(Errno::EINVAL) };
    let af = af as u8;
    let net = &cx.kernel.net;
    let messages = match op {
        NET_RT_DUMP | NET_RT_FLAGS if af == 0 || af == AF_INET => {
            let wanted = |rt: &&Rtentry| op == NET_RT_DUMP || rt.flags & arg != 0;
            let routes = net.table.walk().into_iter().filter_map(|rt| net.rtentries.get(rt));
            routes.collect::<Vec<_>>().into_iter().filter(wanted).map(dump_entry).collect()
        }
        NET_RT_IFLIST => iflist(net, af, arg),
        _ => {
            value.walked(cx, &[])?;
            return Err(Errno::EINVAL);
        }
    };
    value.walked(cx, &messages)
}

fn dump_entry(rt: &Rtentry) -> Walked {
    let mut addresses = Addresses::default();
    addresses[rtax::DST] = Some(rt.key.clone());
    addresses[rtax::GATEWAY] = Some(rt.gateway.clone());
    addresses[rtax::NETMASK] = rt.mask.as_ref().map(|mask| mask.bytes().to_vec());
    addresses[rtax::GENMASK] = rt.genmask.clone();
    let mut told = message(Message::Get, &addresses);
    put(&mut told, at::FLAGS, rt.flags);
    put(&mut told, at::USE, rt.rmx.pksent);
    told[at::RMX..at::RMX + super::metrics::Metrics::LEN].copy_from_slice(&rt.rmx.bytes());
    told[at::INDEX..at::INDEX + 2].copy_from_slice(&rt.ifp.to_le_bytes());
    put(&mut told, at::ADDRS, bits(&addresses));
    Walked { bytes: told, fields: DUMP_FIELDS }
}

fn iflist(net: &Net, af: u8, arg: u32) -> Vec<Walked> {
    let mut messages = Vec::new();
    for (index, ifp) in (1..).zip(&net.ifnets) {
        if arg == 0 || arg == u32::from(index) {
            list_one(net, index, ifp, af, &mut messages);
        }
    }
    messages
}

fn list_one(net: &Net, index: IfIndex, ifp: &Ifnet, af: u8, messages: &mut Vec<Walked>) {
    let mut addresses = Addresses::default();
    addresses[rtax::IFP] = net.link_addr(index).map(<[u8]>::to_vec);
    let mut told = message(Message::Ifinfo, &addresses);
    fill_ifinfo(&mut told, index, ifp, bits(&addresses));
    messages.push(Walked { bytes: told, fields: IFINFO_FIELDS });
    for ifa in ifp.addrlist.iter().skip(1).filter_map(|&id| net.ifaddrs.get(id)) {
        if af != 0 && af != family(&ifa.addr) {
            continue;
        }
        let mut addresses = Addresses::default();
        addresses[rtax::IFA] = Some(ifa.addr.clone());
        addresses[rtax::NETMASK] = ifa.netmask.clone();
        addresses[rtax::BRD] = ifa.dst().map(<[u8]>::to_vec);
        let mut told = message(Message::Newaddr, &addresses);
        fill_ifa(&mut told, ifa.flags, index, ifa.metric, bits(&addresses));
        messages.push(Walked { bytes: told, fields: NEWADDR_FIELDS });
    }
}
