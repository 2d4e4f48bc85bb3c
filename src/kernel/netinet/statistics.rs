//! What the protocols count, by the places in their structures, which are words throughout.
//!
//! 2.1 counterpart: netinet/ip_var.h, icmp_var.h, igmp_var.h, udp_var.h, tcp_var.h.
#![allow(missing_docs)] // the original's own names

/// Counters of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Counters<const WORDS: usize>(pub [u32; WORDS]);

impl<const WORDS: usize> Default for Counters<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Counters<WORDS> {
    /// Counts one.
    #[inline]
    pub fn bump(&mut self, what: usize) {
        self.add(what, 1);
    }

    /// Counts more.
    #[inline]
    pub fn add(&mut self, what: usize, more: u32) {
        if let Some(counter) = self.0.get_mut(what) {
            *counter = counter.wrapping_add(more);
        }
    }
}

/// All counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// `struct ipstat`.
    pub ip: Counters<24>,
    /// `struct icmpstat`.
    pub icmp: Counters<46>,
    /// `struct igmpstat`.
    pub igmp: Counters<9>,
    /// `struct udpstat`.
    pub udp: Counters<10>,
    /// `struct tcpstat`.
    pub tcp: Counters<60>,
}

macro_rules! places {
    ($(#[$doc:meta])* $module:ident { $($name:ident)* }) => {
        $(#[$doc])*
        pub mod $module {
            places!(@ 0usize; $($name)*);
        }
    };
    (@ $at:expr; $name:ident $($rest:ident)*) => {
        pub const $name: usize = $at;
        places!(@ $at + 1; $($rest)*);
    };
    (@ $at:expr;) => {};
}

places! {
    /// Places in `struct ipstat`.
    ips {
        TOTAL BADSUM TOOSHORT TOOSMALL BADHLEN BADLEN FRAGMENTS FRAGDROPPED FRAGTIMEOUT FORWARD CANTFORWARD
        REDIRECTSENT NOPROTO DELIVERED LOCALOUT ODROPPED REASSEMBLED FRAGMENTED OFRAGMENTS CANTFRAG BADOPTIONS
        NOROUTE BADVERS RAWOUT
    }
}

/// Places in `struct icmpstat`.
pub mod icps {
    pub const ERROR: usize = 0;
    pub const OLDICMP: usize = 2;
    /// One for each type that was sent.
    pub const OUTHIST: usize = 3;
    pub const BADCODE: usize = 22;
    pub const TOOSHORT: usize = 23;
    pub const CHECKSUM: usize = 24;
    pub const BADLEN: usize = 25;
    pub const REFLECT: usize = 26;
    /// One for each type that came.
    pub const INHIST: usize = 27;
}

places! {
    /// Places in `struct igmpstat`.
    igps {
        RCV_TOTAL RCV_TOOSHORT RCV_BADSUM RCV_QUERIES RCV_BADQUERIES RCV_REPORTS RCV_BADREPORTS RCV_OURREPORTS
        SND_REPORTS
    }
}

places! {
    /// Places in `struct udpstat`.
    udps {
        IPACKETS HDROPS BADSUM BADLEN NOPORT NOPORTBCAST FULLSOCK PCBCACHEMISS PCBHASHMISS OPACKETS
    }
}

places! {
    /// Places in `struct tcpstat`.
    tcps {
        CONNATTEMPT ACCEPTS CONNECTS DROPS CONNDROPS CLOSED SEGSTIMED RTTUPDATED DELACK TIMEOUTDROP REXMTTIMEO
        PERSISTTIMEO KEEPTIMEO KEEPPROBE KEEPDROPS SNDTOTAL SNDPACK SNDBYTE SNDREXMITPACK SNDREXMITBYTE SNDACKS
        SNDPROBE SNDURG SNDWINUP SNDCTRL RCVTOTAL RCVPACK RCVBYTE RCVBADSUM RCVBADOFF RCVSHORT RCVDUPPACK
        RCVDUPBYTE RCVPARTDUPPACK RCVPARTDUPBYTE RCVOOPACK RCVOOBYTE RCVPACKAFTERWIN RCVBYTEAFTERWIN
        RCVAFTERCLOSE RCVWINPROBE RCVDUPACK RCVACKTOOMUCH RCVACKPACK RCVACKBYTE RCVWINUPD PAWSDROP PREDACK
        PREDDAT PCBCACHEMISS CACHEDRTT CACHEDRTTVAR CACHEDSSTHRESH USEDRTT USEDRTTVAR USEDSSTHRESH PERSISTDROP
        BADSYN MTURESENT LISTENDROP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counters_are_where_the_structures_end() {
        assert_eq!((ips::RAWOUT, igps::SND_REPORTS, udps::OPACKETS, tcps::LISTENDROP), (23, 8, 9, 59));
        assert_eq!(icps::INHIST + 19, 46);
    }
}
