//! What a route knows of its way: sizes, times, and what T/TCP remembers of the peer.
//!
//! 2.1 counterpart: struct rt_metrics (net/route.h), struct rmxp_tao (netinet/tcp_var.h).

/// Locks and initialisation bits of metrics (`RTV_*`).
pub mod rtv {
    #![allow(missing_docs)] // the original's own names
    pub const MTU: u32 = 0x1;
    pub const HOPCOUNT: u32 = 0x2;
    pub const EXPIRE: u32 = 0x4;
    pub const RPIPE: u32 = 0x8;
    pub const SPIPE: u32 = 0x10;
    pub const SSTHRESH: u32 = 0x20;
    pub const RTT: u32 = 0x40;
    pub const RTTVAR: u32 = 0x80;
}

/// What T/TCP remembers of a peer (`struct rmxp_tao`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tao {
    /// The latest connection count of the peer.
    pub cc: u32,
    /// The latest one sent to it.
    pub ccsent: u32,
    /// The segment size that it offered.
    pub mssopt: u16,
}

/// The metrics of a route (`struct rt_metrics`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Those that the kernel must leave alone (`RTV_*`).
    pub locks: u32,
    /// Largest packet.
    pub mtu: u32,
    /// Hops expected.
    pub hopcount: u32,
    /// When it ends, in seconds since the epoch.
    pub expire: u32,
    /// Room for what comes.
    pub recvpipe: u32,
    /// Room for what goes.
    pub sendpipe: u32,
    /// Threshold of slow start.
    pub ssthresh: u32,
    /// Round trip time in microseconds.
    pub rtt: u32,
    /// Its variance.
    pub rttvar: u32,
    /// Packets sent (`rt_use`).
    pub pksent: u32,
    /// What T/TCP remembers (`rmx_filler`).
    pub tao: Tao,
    /// The rest of the filler, as a user set it.
    pub filler: [u32; 1],
}

impl Metrics {
    /// Bytes of the structure.
    pub const LEN: usize = 56;

    /// The structure as a guest reads it.
    pub fn bytes(&self) -> [u8; Self::LEN] {
        let words = [
            self.locks,
            self.mtu,
            self.hopcount,
            self.expire,
            self.recvpipe,
            self.sendpipe,
            self.ssthresh,
            self.rtt,
            self.rttvar,
            self.pksent,
            self.tao.cc,
            self.tao.ccsent,
            u32::from(self.tao.mssopt),
            self.filler[0],
        ];
        let mut bytes = [0; Self::LEN];
        bytes.chunks_exact_mut(4).zip(words).for_each(|(b, w)| b.copy_from_slice(&w.to_le_bytes()));
        bytes
    }

    /// Takes over those that `which` names (`rt_setmetrics`).
    pub fn set(&mut self, which: u32, given: &[u8]) {
        let word = |index: usize| {
            let bytes = given.get(index * 4..index * 4 + 4).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let metrics = [
            (rtv::RPIPE, &mut self.recvpipe, 4),
            (rtv::SPIPE, &mut self.sendpipe, 5),
            (rtv::SSTHRESH, &mut self.ssthresh, 6),
            (rtv::RTT, &mut self.rtt, 7),
            (rtv::RTTVAR, &mut self.rttvar, 8),
            (rtv::HOPCOUNT, &mut self.hopcount, 2),
            (rtv::MTU, &mut self.mtu, 1),
            (rtv::EXPIRE, &mut self.expire, 3),
        ];
        for (bit, metric, index) in metrics {
            if which & bit != 0 {
                *metric = word(index);
            }
        }
    }
}
