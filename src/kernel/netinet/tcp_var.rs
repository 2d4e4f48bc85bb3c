//! What TCP keeps of a connection, and for itself.
//!
//! The original counts idle time, the age of a connection and a round trip up with each slow tick; here the
//! tick is kept at which they began, so that nobody must count while nothing happens.
//!
//! 2.1 counterpart: netinet/tcp_var.h, netinet/tcp.h.

use syscalls::errno::Errno;

use super::tcp_fsm::TcpState;
use super::tcp_reass::Queued;
use super::tcp_timer::Timers;

/// Flags of a segment (`TH_*`).
pub(super) mod th {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PUSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const URG: u8 = 0x20;
}

/// Flags of a connection (`TF_*`).
pub mod tf {
    #![allow(missing_docs)] // the original's own names
    pub const ACKNOW: u32 = 0x0001;
    pub const DELACK: u32 = 0x0002;
    pub const NODELAY: u32 = 0x0004;
    pub const NOOPT: u32 = 0x0008;
    pub const SENTFIN: u32 = 0x0010;
    pub const REQ_SCALE: u32 = 0x0020;
    pub const RCVD_SCALE: u32 = 0x0040;
    pub const REQ_TSTMP: u32 = 0x0080;
    pub const RCVD_TSTMP: u32 = 0x0100;
    pub const NEEDSYN: u32 = 0x0400;
    pub const NEEDFIN: u32 = 0x0800;
    pub const NOPUSH: u32 = 0x1000;
    pub const REQ_CC: u32 = 0x2000;
    pub const RCVD_CC: u32 = 0x4000;
    pub const SENDCCNEW: u32 = 0x8000;
}

/// Options of segments (`TCPOPT_*`), with their lengths.
pub(super) mod tcpopt {
    pub(crate) const EOL: u8 = 0;
    pub(crate) const NOP: u8 = 1;
    pub(crate) const MAXSEG: u8 = 2;
    pub(crate) const WINDOW: u8 = 3;
    pub(crate) const TIMESTAMP: u8 = 8;
    pub(crate) const CC: u8 = 11;
    pub(crate) const CCNEW: u8 = 12;
    pub(crate) const CCECHO: u8 = 13;
    pub(crate) const MAXSEG_LEN: u8 = 4;
    pub(crate) const WINDOW_LEN: u8 = 3;
    pub(crate) const TIMESTAMP_LEN: u8 = 10;
    pub(crate) const CC_LEN: u8 = 6;
    /// With the fillers before them.
    pub(crate) const TSTAMP_APPA: i32 = 12;
    pub(crate) const CC_APPA: i32 = 8;
}

/// Size of TCP's header, and with that of IP.
pub(super) const TCP_HEADER: usize = 20;
pub(super) const TCPIP_HEADER: usize = 40;
/// Largest window without scaling, and the largest scale.
pub(super) const TCP_MAXWIN: u32 = 65535;
pub(super) const TCP_MAX_WINSHIFT: u8 = 14;
/// The window that one who sends with the wish to connect assumes (TTCP_CLIENT_SND_WND).
pub(super) const TTCP_CLIENT_SND_WND: u32 = 4096;
/// Shifts of the smoothed round trip time and its variance.
pub(super) const TCP_RTT_SHIFT: u32 = 3;
pub(super) const TCP_RTTVAR_SHIFT: u32 = 2;

/// Out-of-band data (`t_oobflags`, `t_iobc`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oob {
    /// A byte waits (TCPOOB_HAVEDATA).
    pub have: bool,
    /// The byte was taken (TCPOOB_HADDATA).
    pub had: bool,
    /// The byte.
    pub byte: u8,
}

/// TCP's part of a control block (`struct tcpcb`).
#[derive(Clone, Debug, Default)]
pub struct Tcpcb {
    /// Segments that came too early, in their order (`seg_next`).
    pub(super) reass: Vec<Queued>,
    /// State.
    pub state: TcpState,
    /// Timers.
    pub(super) timers: Timers,
    /// Retransmissions of the present segment.
    pub rxtshift: u32,
    /// Present time to a retransmission, in slow ticks.
    pub rxtcur: i32,
    /// Same acknowledgements in a row.
    pub dupacks: u32,
    /// Largest segment.
    pub maxseg: u32,
    /// Largest segment with its options.
    pub maxopd: u32,
    /// One byte at least is sent (`t_force`).
    pub force: bool,
    /// `TF_*`.
    pub flags: u32,
    /// The addresses for segments are known (`t_template`).
    pub template: bool,
    /// Sent and not acknowledged.
    pub snd_una: u32,
    /// To be sent next.
    pub snd_nxt: u32,
    /// End of urgent data to be sent.
    pub snd_up: u32,
    /// Sequence number of the segment that told the window.
    pub snd_wl1: u32,
    /// And its acknowledgement.
    pub snd_wl2: u32,
    /// First sequence number sent.
    pub iss: u32,
    /// The peer's window.
    pub snd_wnd: u32,
    /// Own window.
    pub rcv_wnd: u32,
    /// Expected next.
    pub rcv_nxt: u32,
    /// End of urgent data that come.
    pub rcv_up: u32,
    /// First sequence number received.
    pub irs: u32,
    /// End of the window that the peer knows.
    pub rcv_adv: u32,
    /// Highest number sent.
    pub snd_max: u32,
    /// Window of congestion.
    pub snd_cwnd: u32,
    /// Threshold of slow start.
    pub snd_ssthresh: u32,
    /// The slow tick since which nothing came (`t_idle`).
    pub(super) idle_since: u64,
    /// The slow tick at which the timed segment was sent (`t_rtt`).
    pub(super) timed_since: Option<u64>,
    /// Its sequence number.
    pub rtseq: u32,
    /// Smoothed round trip time.
    pub srtt: i32,
    /// Its variance.
    pub rttvar: i32,
    /// Smallest time to a retransmission.
    pub rttmin: u32,
    /// Largest window that the peer offered.
    pub max_sndwnd: u32,
    /// Out-of-band data.
    pub oob: Oob,
    /// An error that may pass.
    pub softerror: Option<Errno>,
    /// Scale of the peer's window.
    pub snd_scale: u8,
    /// Scale of the own window.
    pub rcv_scale: u8,
    /// The scale that is asked for.
    pub request_r_scale: u8,
    /// The scale that the peer asked for.
    pub requested_s_scale: u8,
    /// The peer's timestamp.
    pub ts_recent: u32,
    /// When it came, in slow ticks.
    pub ts_recent_age: u32,
    /// What was acknowledged last.
    pub last_ack_sent: u32,
    /// Own connection count.
    pub cc_send: u32,
    /// The peer's.
    pub cc_recv: u32,
    /// The slow tick at which it was made (`t_duration`).
    pub(super) made_at: u64,
    /// Measured round trips.
    pub rttupdated: u32,
}

impl Tcpcb {
    /// Whether flags are set, some of them.
    pub(super) fn any(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Whether flags are set, all of them.
    pub(super) fn all(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// The time after which to send again, without doubling (TCP_REXMTVAL).
    pub(super) fn rexmtval(&self) -> i32 {
        (self.srtt >> TCP_RTT_SHIFT).wrapping_add(self.rttvar)
    }

    /// Begins to count what is sent (`tcp_sendseqinit`).
    pub(super) fn sendseqinit(&mut self) {
        (self.snd_una, self.snd_nxt, self.snd_max, self.snd_up) = (self.iss, self.iss, self.iss, self.iss);
    }

    /// Begins to count what is received (`tcp_rcvseqinit`).
    pub(super) fn rcvseqinit(&mut self) {
        self.rcv_nxt = self.irs.wrapping_add(1);
        self.rcv_adv = self.rcv_nxt;
    }

    /// Makes window scaling valid, where both sides want it.
    pub(super) fn scale_windows(&mut self) {
        if self.all(tf::RCVD_SCALE | tf::REQ_SCALE) {
            self.snd_scale = self.requested_s_scale;
            self.rcv_scale = self.request_r_scale;
        }
    }
}

/// What TCP keeps for itself.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    /// The next first sequence number (`tcp_iss`).
    pub(super) iss: u32,
    /// The last connection count (`tcp_ccgen`).
    pub(super) ccgen: u32,
    /// Slow ticks that are over (`tcp_now`).
    pub(super) now: u64,
    /// The timer that is handled in the present tick.
    pub(super) handling: Option<usize>,
    /// The slow tick in which the interval of probes was set, and what it was before.
    pub(super) old_keepintvl: Option<(u64, i32)>,
    /// The slow tick that is waited for, with its key among the timeouts.
    pub(super) slow_due: Option<(u64, (u64, u64))>,
    /// The next fast tick is waited for.
    pub(super) fast_due: bool,
    /// Somebody's acknowledgement is delayed.
    pub(super) delayed: bool,
    /// Connections that found a listener's queue full: the second they are counted in, how many, and how many
    /// there were in the seconds before.
    pub(super) overruns: (u64, u32, u32),
    /// Chooses whose place is taken.
    pub(super) random: u32,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            iss: 1,
            ccgen: 1,
            now: 0,
            handling: None,
            old_keepintvl: None,
            slow_due: None,
            fast_due: false,
            delayed: false,
            overruns: (0, 0, 0),
            random: 0,
        }
    }
}
