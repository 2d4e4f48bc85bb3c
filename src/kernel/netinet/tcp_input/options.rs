//! Options of segments.
//!
//! 2.1 counterpart: netinet/tcp_input.c (tcp_dooptions).

use super::super::tcp_mss::{Offer, tcp_mss};
use super::super::tcp_var::*;
use super::Segment;
use crate::kernel::Kernel;

/// What the options of a segment say (`struct tcpopt`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// The peer's timestamp, and ours that comes back.
    pub(super) timestamp: Option<(u32, u32)>,
    /// The connection count.
    pub(super) cc: Option<u32>,
    /// The count of one who does not know what we remember.
    pub(super) ccnew: Option<u32>,
    /// Our count that comes back.
    pub(super) ccecho: Option<u32>,
}

impl Options {
    /// The count, however it is called (`to_cc`).
    pub(super) fn any_cc(&self) -> u32 {
        self.cc.or(self.ccnew).unwrap_or(0)
    }
}

impl Segment {
    /// Takes the options, and on a SYN what follows from them (`tcp_dooptions`).
    pub(super) fn dooptions(&mut self, kernel: &mut Kernel) {
        let now = kernel.inet.tcp.now as u32;
        let syn = self.header_flags & th::SYN != 0;
        let bytes = std::mem::take(&mut self.optbytes);
        let mut mss = 0;
        let Some(tp) = kernel.inet.tp_mut(self.id) else { return };
        let mut rest = &bytes[..];
        while let [kind, behind @ ..] = rest {
            let len = match *kind {
                tcpopt::EOL => break,
                tcpopt::NOP => 1,
                _ => usize::from(behind.first().copied().unwrap_or(0)),
            };
            if len == 0 {
                break;
            }
            let value = behind.get(1..len.max(2) - 1).unwrap_or_default();
            let word =
                |at: usize| value.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
            match (*kind, len as u8, word(0)) {
                (tcpopt::MAXSEG, tcpopt::MAXSEG_LEN, _) if syn => {
                    mss = value.first_chunk().map_or(0, |b| u16::from_be_bytes(*b));
                }
                (tcpopt::WINDOW, tcpopt::WINDOW_LEN, _) if syn => {
                    tp.flags |= tf::RCVD_SCALE;
                    tp.requested_s_scale = value.first().copied().unwrap_or(0).min(TCP_MAX_WINSHIFT);
                }
                (tcpopt::TIMESTAMP, tcpopt::TIMESTAMP_LEN, Some(tsval)) => {
                    self.to.timestamp = Some((tsval, word(4).unwrap_or(0)));
                    if syn {
                        tp.flags |= tf::RCVD_TSTMP;
                        (tp.ts_recent, tp.ts_recent_age) = (tsval, now);
                    }
                }
                (tcpopt::CC, tcpopt::CC_LEN, Some(cc)) => {
                    self.to.cc = Some(cc);
                    if syn {
                        tp.flags |= tf::RCVD_CC;
                    }
                }
                (tcpopt::CCNEW, tcpopt::CC_LEN, Some(cc)) if syn => {
                    self.to.ccnew = Some(cc);
                    tp.flags |= tf::RCVD_CC;
                }
                (tcpopt::CCECHO, tcpopt::CC_LEN, Some(cc)) if syn => self.to.ccecho = Some(cc),
                _ => {}
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        self.optbytes = bytes;
        if syn {
            tcp_mss(kernel, self.id, Offer::Size(mss));
        }
    }
}
