//! The timers of TCP: attempts to connect, and how long a closed connection is remembered.
//!
//! The slow timer ticks only while a connection needs it.
//!
//! 2.1 counterpart: netinet/tcp_timer.c.

use syscalls::errno::Errno;

use super::pcb::{InpcbId, List};
use super::tcp;
use super::tcp_fsm::{TcpState, Tcpcb};
use crate::kernel::time::Timeout;
use crate::kernel::{Context, Kernel};

/// Nanoseconds of a slow tick.
pub(super) const SLOW_TICK_NS: u64 = 500_000_000;
/// Largest life of a packet, in slow ticks (TCPTV_MSL).
const MSL: u32 = 60;
/// Time from the first attempt to connect to the second (`t_rxtcur` of tcp_newtcpcb, nothing being known of
/// the way: `((TCPTV_SRTTBASE >> 2) + (TCPTV_SRTTDFLT << 2)) >> 1`).
pub(super) const FIRST_RXTCUR: u32 = 12;
/// Shift of the variance in `t_rttvar` (TCP_RTTVAR_SHIFT).
const RTTVAR_SHIFT: u32 = 2;
/// Slow ticks of a second (PR_SLOWHZ).
const PR_SLOWHZ: u32 = 2;
/// Shortest time between attempts (TCPTV_MIN).
const RTTMIN: u32 = 2;
/// Longest time between attempts (TCPTV_REXMTMAX).
const REXMTMAX: u32 = 128;
/// Most attempts (TCP_MAXRXTSHIFT).
const MAXRXTSHIFT: u32 = 12;
/// Probes whose answers a half-closed connection is given the time of (TCPTV_KEEPCNT).
const KEEPCNT: u32 = 8;
/// What a short connection over the loopback has as its retransmission time.
const RXTCUR: u32 = 3;
/// Times that, a short connection is remembered after its end (TCPTV_TWTRUNC).
const TWTRUNC: u32 = 8;

/// How long half-closed connections are kept (`tcp_maxidle`).
pub(super) fn max_idle(kernel: &Kernel) -> u32 {
    KEEPCNT.wrapping_mul(kernel.sockets.inet.variables.tcp_keepintvl as u32)
}

/// How long a connection is remembered after its end: where both ends speak T/TCP, that truncates the wait
/// of connections that were shorter than a packet's life.
pub(super) fn time_wait(kernel: &Kernel, tp: &Tcpcb) -> u32 {
    if tp.cc && is_short(kernel, tp) { RXTCUR * TWTRUNC } else { 2 * MSL }
}

/// Whether a connection was made less than a packet's life ago (`t_duration`): only then may another one
/// between the same ends take its place while it is remembered.
pub(super) fn is_short(kernel: &Kernel, tp: &Tcpcb) -> bool {
    kernel.clock.uptime().saturating_sub(tp.since) / SLOW_TICK_NS < u64::from(MSL)
}

/// Has the slow timer tick, if it does not.
pub(super) fn arm(kernel: &mut Kernel) {
    if !std::mem::replace(&mut kernel.sockets.inet.ticking, true) {
        let due = kernel.clock.uptime() + SLOW_TICK_NS;
        kernel.add_timeout(due, Timeout::ProtocolSlow);
    }
}

/// Runs the timers of every connection (`tcp_slowtimo`).
pub(super) fn slowtimo(kernel: &mut Kernel) {
    kernel.sockets.inet.ticking = false;
    // Nobody's process runs here; the first one lends its name.
    let Some(init) = kernel.init else { return };
    let mut cx = Context::new(kernel, init);
    let mut needed = false;
    for inp in cx.kernel.sockets.inet.list(List::Tcp) {
        needed |= tick(&mut cx, inp);
    }
    if needed {
        arm(cx.kernel);
    }
}

/// The variance that a new connection assumes, from the variable `rttdflt` (`t_rttvar` of tcp_newtcpcb).
pub(super) fn first_rttvar(rttdflt: i32) -> u32 {
    (rttdflt.clamp(0, REXMTMAX as i32) as u32 * PR_SLOWHZ) << RTTVAR_SHIFT
}

/// Counts one tick; whether more are needed.
fn tick(cx: &mut Context<'_>, inp: InpcbId) -> bool {
    let ran_out = |timer: &mut u32| {
        let running = *timer > 0;
        *timer = timer.saturating_sub(1);
        running && *timer == 0
    };
    let Some(tp) = tcp::tp_mut(cx.kernel, inp) else { return false };
    let (msl2, keep, rexmt) = (ran_out(&mut tp.msl2), ran_out(&mut tp.keep), ran_out(&mut tp.rexmt));
    if msl2 {
        tcp::close(cx.kernel, inp);
    } else if keep && tp.state < TcpState::Established {
        tcp::drop(cx.kernel, inp, Some(Errno::ETIMEDOUT));
    } else if rexmt {
        tp.rxtshift += 1;
        if tp.rxtshift > MAXRXTSHIFT {
            tcp::drop(cx.kernel, inp, Some(Errno::ETIMEDOUT));
        } else {
            // TCP_REXMTVAL without a measured time, with tcp_backoff.
            tp.rexmt = (tp.rttvar << tp.rxtshift.min(6)).clamp(RTTMIN, REXMTMAX);
            // What is wrong with the way is found out by the one who asked.
            let _ = tcp::output(cx, inp);
        }
    }
    tcp::tp_mut(cx.kernel, inp).is_some_and(|tp| (tp.msl2 | tp.keep | tp.rexmt) > 0)
}
