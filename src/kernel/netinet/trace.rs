//! Packets as others see them: recorded in a file, or described in a line.
//!
//! The record is in the form that tcpdump and Wireshark open: packets of IP without anything before them.
//!
//! 2.1 counterpart: none; the place of net/bpf.c.

use std::fmt;
use std::io::Write;

use super::ip::{IP_HEADER, Ip};
use super::{ipproto, tcp_var};
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;

/// Where packets are recorded.
pub struct Tap(Box<dyn Write>);

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl Tap {
    /// Begins a record with the header of its form; fails as the writer does.
    pub fn new(mut to: Box<dyn Write>) -> std::io::Result<Self> {
        const MAGIC: u32 = 0xa1b2_c3d4;
        const VERSION: u32 = 2 | 4 << 16;
        const LINKTYPE_RAW: u32 = 101;
        to.write_all(&words(&[MAGIC, VERSION, 0, 0, u32::from(u16::MAX), LINKTYPE_RAW]))?;
        Ok(Self(to))
    }

    /// Records a packet at a time in microseconds.
    fn record(&mut self, now: u64, packet: &[u8]) -> std::io::Result<()> {
        let len = packet.len() as u32;
        let mut record = words(&[(now / 1_000_000) as u32, (now % 1_000_000) as u32, len, len]);
        record.extend(packet);
        self.0.write_all(&record)
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Kernel {
    /// Records all packets from now on, in the form that tcpdump and Wireshark open; fails as the writer does.
    pub fn record_packets(&mut self, to: Box<dyn Write>) -> std::io::Result<()> {
        *self.inet.tap = Some(Tap::new(to)?);
        Ok(())
    }
}

/// Records a packet that an interface sends or receives; a record that cannot be written ends.
#[inline]
pub fn packet(kernel: &mut Kernel, m: &Chain) {
    if kernel.inet.tap.is_some() {
        record(kernel, &m.to_vec());
    }
}

#[cold]
fn record(kernel: &mut Kernel, packet: &[u8]) {
    let now = kernel.clock.now() / 1000;
    let failed = kernel.inet.tap.as_mut().is_some_and(|tap| tap.record(now, packet).is_err());
    if failed {
        *kernel.inet.tap = None;
    }
}

/// A packet in a line, whose numbers are in the order of the network.
pub(super) fn describe(m: &Chain) -> String {
    let bytes = m.to_vec();
    Ip::from_net(&bytes).map_or_else(String::new, |ip| line(&ip, &bytes))
}

/// The same, with numbers in the order of the host.
pub(super) fn describe_host(m: &Chain) -> String {
    let bytes = m.to_vec();
    Ip::from_host(&bytes).map_or_else(String::new, |ip| line(&ip, &bytes))
}

fn line(ip: &Ip, bytes: &[u8]) -> String {
    use tcp_var::th;
    let behind = bytes.get(ip.hlen().max(IP_HEADER)..).unwrap_or_default();
    let port = |at: usize| behind.get(at..at + 2).map_or(0, |p| u16::from_be_bytes([p[0], p[1]]));
    let len = |header: usize| behind.len().saturating_sub(header);
    match i32::from(ip.p) {
        ipproto::TCP => {
            let flags = behind.get(13).copied().unwrap_or(0);
            let names =
                [(th::SYN, "SYN"), (th::FIN, "FIN"), (th::RST, "RST"), (th::URG, "URG"), (th::ACK, "ACK")];
            let set: Vec<&str> =
                names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
            let words = usize::from(behind.get(12).copied().unwrap_or(0) >> 4);
            format!("TCP {} > {} {}, {} bytes", port(0), port(2), set.join("|"), len(words * 4))
        }
        ipproto::UDP => format!("UDP {} > {}, {} bytes", port(0), port(2), len(8)),
        ipproto::ICMP => format!("ICMP type {}", behind.first().copied().unwrap_or(0)),
        protocol => format!("protocol {protocol}, {} bytes", behind.len()),
    }
}
