//! The states of a connection.
//!
//! 2.1 counterpart: netinet/tcp_fsm.h.

use super::tcp_var::th;

/// State of a connection (`TCPS_*`), in the original's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TcpState {
    /// Nothing yet, or nothing any more.
    #[default]
    Closed,
    /// Waiting for connections.
    Listen,
    /// A connection was asked for.
    SynSent,
    /// A connection was asked for and granted.
    SynReceived,
    /// Connected.
    Established,
    /// The peer has sent its last byte.
    CloseWait,
    /// We close; the peer has not got our last byte.
    FinWait1,
    /// Both close at once.
    Closing,
    /// The peer has closed, we close; it has not got our last byte.
    LastAck,
    /// We have closed; the peer has got everything.
    FinWait2,
    /// Both have closed; the addresses stay taken for a while.
    TimeWait,
}

impl TcpState {
    /// Its name in the original.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "TCPS_CLOSED",
            Self::Listen => "TCPS_LISTEN",
            Self::SynSent => "TCPS_SYN_SENT",
            Self::SynReceived => "TCPS_SYN_RECEIVED",
            Self::Established => "TCPS_ESTABLISHED",
            Self::CloseWait => "TCPS_CLOSE_WAIT",
            Self::FinWait1 => "TCPS_FIN_WAIT_1",
            Self::Closing => "TCPS_CLOSING",
            Self::LastAck => "TCPS_LAST_ACK",
            Self::FinWait2 => "TCPS_FIN_WAIT_2",
            Self::TimeWait => "TCPS_TIME_WAIT",
        }
    }

    /// Whether the peer's SYN has come (TCPS_HAVERCVDSYN).
    pub fn have_rcvd_syn(self) -> bool {
        self >= Self::SynReceived
    }

    /// Whether the connection was made (TCPS_HAVEESTABLISHED).
    pub fn have_established(self) -> bool {
        self >= Self::Established
    }

    /// Whether the end of the stream was handled (TCPS_HAVERCVDFIN).  The original's test is of TIME_WAIT
    /// alone, so that data behind the end are not turned away before.
    pub fn have_rcvd_fin(self) -> bool {
        self >= Self::TimeWait
    }

    /// The flags of segments that are sent in this state (`tcp_outflags`).
    pub(super) fn outflags(self) -> u8 {
        match self {
            Self::Closed => th::RST | th::ACK,
            Self::Listen => 0,
            Self::SynSent => th::SYN,
            Self::SynReceived => th::SYN | th::ACK,
            Self::Established | Self::CloseWait | Self::FinWait2 | Self::TimeWait => th::ACK,
            Self::FinWait1 | Self::Closing | Self::LastAck => th::FIN | th::ACK,
        }
    }
}
