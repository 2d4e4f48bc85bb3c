//! The values of the internet protocols that a program reads and the super-user sets (`net.inet`), and what
//! the protocols count.
//!
//! This file does not know what the protocols do with them.
//!
//! 2.1 counterpart: netinet/in.h (IPCTL_*), udp_var.h, tcp_var.h, icmp_var.h, igmp_var.h; ip_sysctl,
//! icmp_sysctl, igmp_sysctl, udp_sysctl, tcp_sysctl.

use syscalls::errno::Errno;
use syscalls::layout::U32;

use super::{Inet, SockaddrIn, tcp_timer};
use crate::kernel::Context;
use crate::kernel::sysctl::Transfer;

/// Values that may be set to anything; each begins as 2.1 has it.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    pub(super) ip_forwarding: i32,
    pub(super) ip_redirects: i32,
    /// Time to live of packets (`ip_defttl`).
    pub(super) ip_ttl: i32,
    pub(super) ip_sourceroute: i32,
    pub(super) rt_expire: i32,
    pub(super) rt_minexpire: i32,
    pub(super) rt_maxcache: i32,
    pub(super) icmp_maskrepl: i32,
    /// Whether datagrams have a sum (`udpcksum`).
    pub(super) udp_checksum: i32,
    /// Largest datagram (`udp_sendspace`).
    pub(super) udp_maxdgram: i32,
    /// Room for datagrams (`udp_recvspace`).
    pub(super) udp_recvspace: i32,
    pub(super) tcp_rfc1323: i32,
    /// Whether new connections speak T/TCP (`tcp_do_rfc1644`).
    pub(super) tcp_rfc1644: i32,
    /// Largest segment before a connection says otherwise (`tcp_mssdflt`).
    pub(super) tcp_mssdflt: i32,
    /// Seconds that a way takes of which nothing is known (`tcp_rttdflt`).
    pub(super) tcp_rttdflt: i32,
    pub(super) tcp_keepidle: i32,
    /// Slow ticks between probes, eight of which a half-closed connection waits (`tcp_keepintvl`).
    pub(super) tcp_keepintvl: i32,
    /// Room in each direction (`tcp_sendspace`, `tcp_recvspace`).
    pub(super) tcp_sendspace: i32,
    pub(super) tcp_recvspace: i32,
    /// Slow ticks that an attempt to connect may take (`tcp_keepinit`).
    pub(super) tcp_keepinit: i32,
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            // GENERIC is no GATEWAY.
            ip_forwarding: 0,
            ip_redirects: 1,
            ip_ttl: 64,
            ip_sourceroute: 0,
            rt_expire: 60 * 60,
            rt_minexpire: 10,
            rt_maxcache: 128,
            icmp_maskrepl: 0,
            udp_checksum: 1,
            udp_maxdgram: 9216,
            // Forty datagrams of a kilobyte.
            udp_recvspace: 40 * (1024 + SockaddrIn::LEN as i32),
            tcp_rfc1323: 1,
            tcp_rfc1644: 1,
            tcp_mssdflt: 512,
            tcp_rttdflt: 3,
            tcp_keepidle: 120 * 60 * 2,
            tcp_keepintvl: 75 * 2,
            tcp_sendspace: 16 * 1024,
            tcp_recvspace: 16 * 1024,
            tcp_keepinit: 75 * 2,
        }
    }
}

/// What a name stands for.
enum Value<const WORDS: usize> {
    /// A number that may be set.
    Int(fn(&mut Variables) -> &mut i32),
    /// Statistics, which are read only.
    Stats(fn(&Inet) -> [u32; WORDS]),
}

/// Values of IP; unlike its neighbours it does not know an option, but does not serve it.
pub(super) fn ip_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let variable: fn(&mut Variables) -> &mut i32 = match terminal(name)? {
        1 => |v| &mut v.ip_forwarding,
        2 => |v| &mut v.ip_redirects,
        3 => |v| &mut v.ip_ttl,
        5 => |v| &mut v.rt_expire,
        6 => |v| &mut v.rt_minexpire,
        7 => |v| &mut v.rt_maxcache,
        8 => |v| &mut v.ip_sourceroute,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    serve(cx, Value::<0>::Int(variable), value)
}

/// Values of ICMP: two histograms of nineteen types among its eight other counters.
pub(super) fn icmp_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let what = match terminal(name)? {
        1 => Value::Int(|v| &mut v.icmp_maskrepl),
        2 => Value::Stats(|inet| inet.stat.icmp.0),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    serve(cx, what, value)
}

/// Values of IGMP.
pub(super) fn igmp_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    match terminal(name)? {
        1 => serve(cx, Value::Stats(|inet| inet.stat.igmp.0), value),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// Values of UDP.
pub(super) fn udp_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    let what = match terminal(name)? {
        1 => Value::Int(|v| &mut v.udp_checksum),
        2 => Value::Stats(|inet| inet.stat.udp.0),
        3 => Value::Int(|v| &mut v.udp_maxdgram),
        4 => Value::Int(|v| &mut v.udp_recvspace),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    serve(cx, what, value)
}

/// Values of TCP.
pub(super) fn tcp_sysctl(cx: &mut Context<'_>, name: &[u32], value: &mut Transfer) -> Result<(), Errno> {
    if value.sets() {
        // Timers that have ended did so under the old values.
        tcp_timer::catch_up_all(cx.kernel);
        tcp_timer::keep_interval(cx.kernel);
    }
    let what = match terminal(name)? {
        1 => Value::Int(|v| &mut v.tcp_rfc1323),
        2 => Value::Int(|v| &mut v.tcp_rfc1644),
        3 => Value::Int(|v| &mut v.tcp_mssdflt),
        4 => Value::Stats(|inet| inet.stat.tcp.0),
        5 => Value::Int(|v| &mut v.tcp_rttdflt),
        6 => Value::Int(|v| &mut v.tcp_keepidle),
        7 => Value::Int(|v| &mut v.tcp_keepintvl),
        8 => Value::Int(|v| &mut v.tcp_sendspace),
        9 => Value::Int(|v| &mut v.tcp_recvspace),
        10 => Value::Int(|v| &mut v.tcp_keepinit),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    serve(cx, what, value)
}

/// The one number that follows a protocol's: no value of theirs has parts.
fn terminal(name: &[u32]) -> Result<u32, Errno> {
    match *name {
        [name] => Ok(name),
        _ => Err(Errno::ENOTDIR),
    }
}

fn serve<const WORDS: usize>(
    cx: &mut Context<'_>,
    what: Value<WORDS>,
    value: &mut Transfer,
) -> Result<(), Errno> {
    match what {
        Value::Int(variable) => {
            let old = *variable(&mut cx.kernel.inet.variables);
            if let Some(new) = value.int(cx, old)? {
                *variable(&mut cx.kernel.inet.variables) = new;
            }
            Ok(())
        }
        Value::Stats(statistics) => {
            let words = statistics(&cx.kernel.inet).map(U32::new);
            value.rdstruct(cx, &words)
        }
    }
}
