//! The timers of TCP, and when the protocols' ticks are due.
//!
//! A timer holds the slow tick at which it ends.  A tick is waited for only while some timer ends at it, so
//! that a machine in which nothing can happen is seen to be one; the ticks between are counted when somebody
//! looks.
//!
//! 2.1 counterpart: netinet/tcp_timer.c, kern/uipc_domain.c (pffasttimo, pfslowtimo).

use syscalls::errno::Errno;

use super::in_pcb::{self, InpcbId, List, SLOW_TICK_NS};
use super::statistics::tcps;
use super::tcp_fsm::TcpState;
use super::tcp_output::{setpersist, tcp_output};
use super::tcp_seq::TCP_ISSINCR;
use super::tcp_subr::{Respond, tcp_close, tcp_drop, tcp_respond};
use super::tcp_var::{Globals, TCP_RTT_SHIFT, Tcpcb, tf};
use crate::kernel::Kernel;
use crate::kernel::net::netisr;
use crate::kernel::socket::socket::SocketOptions;
use crate::kernel::time::{TICK_NS, Timeout};

/// Timers of a connection: retransmission, persistence, keep-alive, and the wait after the end (`TCPT_*`).
pub(super) const TCPT_REXMT: usize = 0;
pub(super) const TCPT_PERSIST: usize = 1;
pub(super) const TCPT_KEEP: usize = 2;
pub(super) const TCPT_2MSL: usize = 3;

/// Slow ticks of a second (PR_SLOWHZ).
pub(super) const PR_SLOWHZ: i32 = 2;
/// Largest life of a packet, in slow ticks (TCPTV_MSL).
pub(super) const TCPTV_MSL: i32 = 60;
/// Shortest and longest time to a retransmission (TCPTV_MIN, TCPTV_REXMTMAX).
pub(super) const TCPTV_MIN: u32 = 2;
pub(super) const TCPTV_REXMTMAX: u32 = 128;
/// Shortest and longest time between probes of a closed window (TCPTV_PERSMIN, TCPTV_PERSMAX).
pub(super) const TCPTV_PERSMIN: u32 = 10;
pub(super) const TCPTV_PERSMAX: u32 = 120;
/// Idle time after which one who persists gives up (`tcp_maxpersistidle`).
const MAXPERSISTIDLE: u64 = 14400;
/// Sum of the factors below (`tcp_totbackoff`).
const TOTBACKOFF: u64 = 511;
/// Times the time to a retransmission, a short connection is remembered (TCPTV_TWTRUNC).
pub(super) const TCPTV_TWTRUNC: i32 = 8;
/// Probes of a peer that says nothing (TCPTV_KEEPCNT).
const TCPTV_KEEPCNT: i32 = 8;
/// Most retransmissions (TCP_MAXRXTSHIFT).
pub(super) const TCP_MAXRXTSHIFT: u32 = 12;
/// What the time to a retransmission is multiplied with each time (`tcp_backoff`).
pub(super) const TCP_BACKOFF: [i32; 13] = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 64, 64];
/// Nanoseconds of a fast tick.
const FAST_TICK_NS: u64 = 200_000_000;
/// When the first fast tick comes, and the first slow one.  In the original both come with the first tick of
/// the clock, long before the first program: this is where they are when a program starts here.
const FIRST_FAST_NS: u64 = 6 * TICK_NS;
const FIRST_SLOW_NS: u64 = 46 * TICK_NS;

/// The slow ticks at which the timers of a connection end; 0 for those that do not run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers([u64; 4]);

/// What the present tick is, for one who sets timers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Slow ticks that are over.
    pub(super) now: u64,
    handling: Option<usize>,
}

impl Globals {
    /// The present tick.
    pub(super) fn clock(&self) -> Clock {
        Clock { now: self.now, handling: self.handling }
    }
}

impl Timers {
    /// Slow ticks that are left to each; 0 for those that do not run.
    pub(super) fn left(&self, now: u64) -> [i32; 4] {
        self.0.map(|end| if end == 0 { 0 } else { end.saturating_sub(now).max(1) as i32 })
    }

    /// Whether a timer runs.
    pub(super) fn runs(&self, timer: usize) -> bool {
        self.0[timer] != 0
    }

    /// Starts a timer that ends after so many slow ticks; with none it is stopped.
    ///
    /// The original counts timers down in their order: one that is started while an earlier one of the same
    /// tick is handled loses that tick.
    pub(super) fn set(&mut self, clock: Clock, timer: usize, ticks: i32) {
        let late = clock.handling.is_some_and(|handled| timer <= handled);
        let ticks = u64::from(ticks as u32);
        self.0[timer] = if ticks == 0 { 0 } else { clock.now + ticks + u64::from(late) };
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: usize) {
        self.0[timer] = 0;
    }

    /// Stops all timers (`tcp_canceltimers`).
    pub(super) fn cancel(&mut self) {
        self.0 = [0; 4];
    }

    /// When the first timer ends; keep-alive counts only where it does something.
    fn first(&self, keeps: bool) -> Option<u64> {
        let counts = |&(timer, &ends): &(usize, &u64)| ends != 0 && (timer != TCPT_KEEP || keeps);
        self.0.iter().enumerate().filter(counts).map(|(_, &ends)| ends).min()
    }
}

/// A value within limits, which are compared as unsigned numbers (TCPT_RANGESET).
pub(super) fn rangeset(value: i32, min: u32, max: u32) -> i32 {
    if (value as u32) < min {
        min as i32
    } else if value as u32 > max {
        max as i32
    } else {
        value
    }
}

/// Slow ticks since the machine's start.
pub(super) fn now(kernel: &Kernel) -> u64 {
    (kernel.clock.uptime() + SLOW_TICK_NS - FIRST_SLOW_NS) / SLOW_TICK_NS
}

/// Counts the ticks that are over.
pub fn sync(kernel: &mut Kernel) {
    let now = now(kernel);
    let tcp = &mut kernel.inet.tcp;
    if tcp.handling.is_some() {
        return;
    }
    let over = now.saturating_sub(tcp.now);
    if over > 0 {
        tcp.now = now;
        tcp.iss = tcp.iss.wrapping_add((TCP_ISSINCR / 2).wrapping_mul(over as u32));
    }
}

/// Has a slow tick be waited for.
pub(super) fn arm_slow(kernel: &mut Kernel, tick: u64) {
    let due = kernel.inet.tcp.slow_due;
    if due.is_some_and(|(due, _)| due <= tick) {
        return;
    }
    if let Some((_, key)) = due {
        kernel.timeouts.remove(&key);
    }
    let due = tick.saturating_mul(SLOW_TICK_NS).saturating_sub(SLOW_TICK_NS - FIRST_SLOW_NS);
    let key = kernel.add_timeout(due, Timeout::ProtocolSlow);
    kernel.inet.tcp.slow_due = Some((tick, key));
}

/// Has the next fast tick be waited for.
pub(super) fn arm_fast(kernel: &mut Kernel) {
    if !std::mem::replace(&mut kernel.inet.tcp.fast_due, true) {
        let over = (kernel.clock.uptime() + FAST_TICK_NS - FIRST_FAST_NS) / FAST_TICK_NS;
        let due = over * FAST_TICK_NS + FIRST_FAST_NS;
        kernel.add_timeout(due, Timeout::ProtocolFast);
    }
}

/// The protocols' timers begin to be run: the ticks that were waited for are not any more.
pub fn ticked(kernel: &mut Kernel, fast: bool) {
    if fast {
        kernel.inet.tcp.fast_due = false;
    } else {
        kernel.inet.tcp.slow_due = None;
    }
}

/// Has the ticks be waited for that a connection needs.
pub(super) fn arm(kernel: &mut Kernel, id: InpcbId) {
    let Some(inp) = kernel.inet.get(id) else { return };
    let Some(tp) = &inp.tcp else { return };
    let keeps = keeps(tp, kernel.sockets[inp.socket].options);
    let (first, delayed) = (tp.timers.first(keeps), tp.any(tf::DELACK));
    if let Some(first) = first {
        arm_slow(kernel, first);
    }
    if delayed {
        kernel.inet.tcp.delayed = true;
        arm_fast(kernel);
    }
}

/// Whether the keep-alive timer does something when it ends.
fn keeps(tp: &Tcpcb, options: SocketOptions) -> bool {
    !tp.state.have_established() || options.contains(SocketOptions::KEEPALIVE)
}

/// How long half-closed connections are kept, in slow ticks (`tcp_maxidle`).
///
/// The original looks at the interval once in each slow tick: a new one counts from the next on.
pub(super) fn maxidle(kernel: &Kernel) -> i32 {
    let interval = match kernel.inet.tcp.old_keepintvl {
        Some((tick, interval)) if tick == now(kernel) => interval,
        _ => kernel.inet.variables.tcp_keepintvl,
    };
    TCPTV_KEEPCNT.wrapping_mul(interval)
}

/// Keeps the interval of probes that counts until the next slow tick: another one is about to be set.
pub(super) fn keep_interval(kernel: &mut Kernel) {
    let tick = now(kernel);
    let interval = kernel.inet.variables.tcp_keepintvl;
    let old = &mut kernel.inet.tcp.old_keepintvl;
    if old.is_none_or(|(since, _)| since != tick) {
        *old = Some((tick, interval));
    }
}

/// Sends the acknowledgements that were delayed (`tcp_fasttimo`).
pub(super) fn tcp_fasttimo(kernel: &mut Kernel) {
    sync(kernel);
    if !std::mem::take(&mut kernel.inet.tcp.delayed) {
        return;
    }
    for id in kernel.inet.list(List::Tcp) {
        let Some(tp) = kernel.inet.tp_mut(id).filter(|tp| tp.any(tf::DELACK)) else { continue };
        tp.flags = tp.flags & !tf::DELACK | tf::ACKNOW;
        kernel.inet.stat.tcp.bump(tcps::DELACK);
        let _ = tcp_output(kernel, id);
    }
    netisr::run(kernel);
}

/// Runs the timers of every connection that have ended (`tcp_slowtimo`).
pub(super) fn tcp_slowtimo(kernel: &mut Kernel) {
    let target = now(kernel);
    while let Some(next) = first(kernel).filter(|&next| next <= target) {
        let tick = next.max(kernel.inet.tcp.now);
        let over = tick.saturating_sub(kernel.inet.tcp.now) as u32;
        kernel.inet.tcp.now = tick.saturating_sub(1);
        run_tick(kernel, tick);
        // What the timers have sent is answered before the tick counts.  Read alone, the original says the opposite: its
        // splx comes last, so that answers would find a tick more in ages and timestamps.  One recording tells the two
        // apart and has it this way (i23_085-timers, step 62: the connection is still there).  Timers that the answers
        // start lose nothing of the tick either way.  The probes themselves (tcp_setpersist, TCPT_PERSIST, `t_force` in
        // tcp_output) are as the source has them.
        kernel.inet.tcp.handling = Some(TCPT_2MSL);
        netisr::run(kernel);
        kernel.inet.tcp.handling = None;
        let tcp = &mut kernel.inet.tcp;
        tcp.now = tick;
        tcp.iss = tcp.iss.wrapping_add((TCP_ISSINCR / 2).wrapping_mul(over));
    }
    sync(kernel);
    if let Some(next) = first(kernel) {
        arm_slow(kernel, next);
    }
}

/// The first tick at which a timer of any connection ends.
fn first(kernel: &Kernel) -> Option<u64> {
    let inet = &kernel.inet;
    let connections = inet.list(List::Tcp).into_iter().filter_map(|id| {
        let inp = inet.get(id)?;
        let tp = inp.tcp.as_ref()?;
        tp.timers.first(keeps(tp, kernel.sockets[inp.socket].options))
    });
    connections.min()
}

fn run_tick(kernel: &mut Kernel, tick: u64) {
    for id in kernel.inet.list(List::Tcp) {
        for timer in 0..4 {
            let Some(inp) = kernel.inet.get(id) else { break };
            let Some(tp) = &inp.tcp else { break };
            if tp.timers.0[timer] == 0 || tp.timers.0[timer] > tick {
                continue;
            }
            if timer == TCPT_KEEP && !keeps(tp, kernel.sockets[inp.socket].options) {
                catch_up(kernel, id, tick);
                continue;
            }
            if let Some(tp) = kernel.inet.tp_mut(id) {
                tp.timers.stop(timer);
            }
            kernel.inet.tcp.handling = Some(timer);
            tcp_timers(kernel, id, timer);
            kernel.inet.tcp.handling = None;
        }
    }
}

/// A keep-alive timer that did nothing is where it would be.
fn catch_up(kernel: &mut Kernel, id: InpcbId, tick: u64) {
    let keepidle = u64::from(kernel.inet.variables.tcp_keepidle.max(1) as u32);
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    let ends = &mut tp.timers.0[TCPT_KEEP];
    if *ends != 0 && *ends <= tick {
        let times = (tick - *ends) / keepidle + 1;
        *ends += times * keepidle;
        kernel.inet.stat.tcp.add(tcps::KEEPTIMEO, times as u32);
    }
}

/// Brings idle keep-alive timers up to the present: before somebody counts on them.
pub(super) fn catch_up_all(kernel: &mut Kernel) {
    sync(kernel);
    let now = kernel.inet.tcp.now;
    for id in kernel.inet.list(List::Tcp) {
        catch_up(kernel, id, now);
    }
}

/// Does what the end of a timer means (`tcp_timers`).
fn tcp_timers(kernel: &mut Kernel, id: InpcbId, timer: usize) {
    let clock = kernel.inet.tcp.clock();
    let (maxidle, keepintvl) = (maxidle(kernel), kernel.inet.variables.tcp_keepintvl);
    match timer {
        TCPT_2MSL => {
            let Some(tp) = kernel.inet.tp_mut(id) else { return };
            let idle = clock.now.saturating_sub(tp.idle_since);
            if tp.state != TcpState::TimeWait && idle <= u64::from(maxidle as u32) {
                tp.timers.set(clock, TCPT_2MSL, keepintvl);
            } else {
                tcp_close(kernel, id);
            }
        }
        TCPT_REXMT => retransmit(kernel, id, clock),
        TCPT_PERSIST => persist(kernel, id, clock),
        _ => keep(kernel, id, clock),
    }
}

fn retransmit(kernel: &mut Kernel, id: InpcbId, clock: Clock) {
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    tp.rxtshift += 1;
    if tp.rxtshift > TCP_MAXRXTSHIFT {
        tp.rxtshift = TCP_MAXRXTSHIFT;
        let error = tp.softerror.unwrap_or(Errno::ETIMEDOUT);
        kernel.inet.stat.tcp.bump(tcps::TIMEOUTDROP);
        tcp_drop(kernel, id, Some(error));
        return;
    }
    kernel.inet.stat.tcp.bump(tcps::REXMTTIMEO);
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    let rexmt = tp.rexmtval().wrapping_mul(TCP_BACKOFF[tp.rxtshift as usize]);
    tp.rxtcur = rangeset(rexmt, tp.rttmin, TCPTV_REXMTMAX);
    tp.timers.set(clock, TCPT_REXMT, tp.rxtcur);
    if tp.rxtshift > TCP_MAXRXTSHIFT / 4 {
        tp.rttvar += tp.srtt >> TCP_RTT_SHIFT;
        tp.srtt = 0;
        in_pcb::losing(kernel, id);
    }
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    tp.snd_nxt = tp.snd_una;
    tp.flags |= tf::ACKNOW;
    tp.timed_since = None;
    let win = (tp.snd_wnd.min(tp.snd_cwnd) / 2 / tp.maxseg.max(1)).max(2);
    tp.snd_cwnd = tp.maxseg;
    tp.snd_ssthresh = win.wrapping_mul(tp.maxseg);
    tp.dupacks = 0;
    let _ = tcp_output(kernel, id);
}

fn persist(kernel: &mut Kernel, id: InpcbId, clock: Clock) {
    kernel.inet.stat.tcp.bump(tcps::PERSISTTIMEO);
    let Some(tp) = kernel.inet.tp_mut(id) else { return };
    if tp.rxtshift == TCP_MAXRXTSHIFT {
        let idle = clock.now.saturating_sub(tp.idle_since);
        let most = u64::from((tp.rexmtval() as u32).max(tp.rttmin)) * TOTBACKOFF;
        if idle >= MAXPERSISTIDLE || idle >= most {
            kernel.inet.stat.tcp.bump(tcps::PERSISTDROP);
            tcp_drop(kernel, id, Some(Errno::ETIMEDOUT));
            return;
        }
    }
    setpersist(tp, clock);
    tp.force = true;
    let _ = tcp_output(kernel, id);
    if let Some(tp) = kernel.inet.tp_mut(id) {
        tp.force = false;
    }
}

fn keep(kernel: &mut Kernel, id: InpcbId, clock: Clock) {
    kernel.inet.stat.tcp.bump(tcps::KEEPTIMEO);
    let limit = i64::from(kernel.inet.variables.tcp_keepidle) + i64::from(maxidle(kernel));
    let (keepidle, keepintvl) = (kernel.inet.variables.tcp_keepidle, kernel.inet.variables.tcp_keepintvl);
    let Some(inp) = kernel.inet.get(id) else { return };
    let Some(tp) = &inp.tcp else { return };
    let idle = clock.now.saturating_sub(tp.idle_since);
    let options = kernel.sockets[inp.socket].options;
    let probes = options.contains(SocketOptions::KEEPALIVE) && tp.state <= TcpState::Closing;
    if !tp.state.have_established() || (probes && idle as i64 >= limit) {
        kernel.inet.stat.tcp.bump(tcps::KEEPDROPS);
        tcp_drop(kernel, id, Some(Errno::ETIMEDOUT));
        return;
    }
    let mut wait = keepidle;
    if probes {
        let (ack, seq) = (tp.rcv_nxt, tp.snd_una.wrapping_sub(1));
        kernel.inet.stat.tcp.bump(tcps::KEEPPROBE);
        tcp_respond(kernel, Some(id), Respond::Probe { ack, seq });
        wait = keepintvl;
    }
    if let Some(tp) = kernel.inet.tp_mut(id) {
        tp.timers.set(clock, TCPT_KEEP, wait);
    }
}
