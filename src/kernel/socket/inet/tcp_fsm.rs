//! The states of a connection, and what TCP keeps of it.
//!
//! 2.1 counterpart: netinet/tcp_fsm.h, netinet/tcp_var.h.

use super::pcb::InpcbId;

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

/// Out-of-band data (`t_oobflags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oob {
    /// None came.
    #[default]
    None,
    /// A byte waits (TCPOOB_HAVEDATA).
    Have(u8),
    /// The byte was taken (TCPOOB_HADDATA).
    Had,
}

/// TCP's part of a control block (`struct tcpcb`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcpcb {
    /// State.
    pub state: TcpState,
    /// The other end, once there is one.
    pub peer: Option<InpcbId>,
    /// The other end was told that nothing more comes.
    pub fin_sent: bool,
    /// Close as soon as connected (TF_NEEDFIN).
    pub needfin: bool,
    /// Options that are kept as bits: TF_NODELAY, TF_NOOPT, TF_NOPUSH.
    pub flags: u32,
    /// It speaks T/TCP, and once connected so does the peer (TF_REQ_CC, TF_RCVD_CC).
    pub cc: bool,
    /// Largest segment.
    pub maxseg: u32,
    /// Out-of-band data that came.
    pub oob: Oob,
    /// Bytes of the send buffer up to the end of urgent data; 0 for none.
    pub snd_up: u32,
    /// Slow ticks to the next attempt to connect; 0 for never.
    pub rexmt: u32,
    /// Attempts so far.
    pub rxtshift: u32,
    /// What the time to the next attempt is a multiple of (`t_rttvar`: nothing is ever measured).
    pub rttvar: u32,
    /// Slow ticks until the attempt to connect is given up; 0 for never.
    pub keep: u32,
    /// Slow ticks until a closed connection is forgotten; 0 for never.
    pub msl2: u32,
    /// When it was made, in nanoseconds of uptime.
    pub since: u64,
}
