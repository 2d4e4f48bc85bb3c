//! Calls on time of day and interval timers.
//!
//! 2.1 counterpart: kern/kern_time.c.

use syscalls::arg::{In, Out};
use syscalls::errno::Errno;
use syscalls::flags::ItimerWhich;
use syscalls::layout::{Itimerval, Timeval, Timezone};

pub use super::discipline::ntp_adjtime;
use super::{Itimer, SECOND_NS, TICK_NS, Timeout, timeval};
use crate::kernel::{Context, Sysret};

/// Nanoseconds of a microsecond.
const USEC_NS: u64 = 1000;
/// Longest time of a timer, in seconds.
const ITIMER_MAX: i32 = 100_000_000;

/// Gives the time of day and the zone, each where it is asked for.
pub fn gettimeofday(cx: &mut Context<'_>, tp: Out<Timeval>, tzp: Out<Timezone>) -> Sysret<()> {
    if !tp.is_null() {
        let now = timeval(cx.kernel.clock.now());
        cx.write(tp.addr(), &now)?;
    }
    if !tzp.is_null() {
        let (minuteswest, dsttime) = cx.kernel.clock.zone;
        cx.write(tzp.addr(), &Timezone { minuteswest: minuteswest.into(), dsttime: dsttime.into() })?;
    }
    Ok(())
}

/// Sets the time of day of the guest, and the zone.
pub fn settimeofday(cx: &mut Context<'_>, tv: In<Timeval>, tzp: In<Timezone>) -> Sysret<()> {
    cx.suser()?;
    let now = if tv.is_null() { None } else { Some(cx.read::<Timeval>(tv.addr())?) };
    let zone = if tzp.is_null() { None } else { Some(cx.read::<Timezone>(tzp.addr())?) };
    if let Some(now) = now {
        let ns = i64::from(now.sec.get()) * SECOND_NS as i64 + i64::from(now.usec.get()) * USEC_NS as i64;
        cx.kernel.clock.set(u64::try_from(ns).unwrap_or(0));
    }
    if let Some(zone) = zone {
        cx.kernel.clock.zone = (zone.minuteswest.get(), zone.dsttime.get());
    }
    Ok(())
}

/// Has the clock gain or lose time slowly, and gives what is left of the last correction.
pub fn adjtime(cx: &mut Context<'_>, delta: In<Timeval>, olddelta: Out<Timeval>) -> Sysret<()> {
    cx.suser()?;
    let delta: Timeval = cx.read(delta.addr())?;
    let usec = delta.sec.get().wrapping_mul(1_000_000).wrapping_add(delta.usec.get());
    let left = cx.kernel.clock.adjust(usec);
    if !olddelta.is_null() {
        let left = Timeval { sec: (left / 1_000_000).into(), usec: (left % 1_000_000).into() };
        // As in the original nobody looks whether it could be stored.
        let _ = cx.write(olddelta.addr(), &left);
    }
    Ok(())
}

/// Gives a timer.
pub fn getitimer(cx: &mut Context<'_>, which: ItimerWhich, itv: Out<Itimerval>) -> Sysret<()> {
    let index = index(which)?;
    let now = read_timer(cx, index);
    Ok(cx.write(itv.addr(), &now)?)
}

/// Sets a timer.  The old one is stored before the new one is checked.
pub fn setitimer(
    cx: &mut Context<'_>,
    which: ItimerWhich,
    itv: In<Itimerval>,
    oitv: Out<Itimerval>,
) -> Sysret<()> {
    let index = index(which)?;
    let new = if itv.is_null() { None } else { Some(cx.read::<Itimerval>(itv.addr())?) };
    if !oitv.is_null() {
        let old = read_timer(cx, index);
        cx.write(oitv.addr(), &old)?;
    }
    let Some(new) = new else { return Ok(()) };
    let timer = Itimer { value: itimer_fix(&new.value)?, interval: itimer_fix(&new.interval)? };
    if index == REAL {
        set_real_timer(cx, timer);
    } else {
        cx.proc_mut().itimer[index] = timer;
    }
    Ok(())
}

/// Place of the real-time timer among the timers.
const REAL: usize = 0;

fn index(which: ItimerWhich) -> Result<usize, Errno> {
    match which {
        ItimerWhich::Real => Ok(REAL),
        ItimerWhich::Virtual => Ok(1),
        ItimerWhich::Prof => Ok(2),
        ItimerWhich::Other(_) => Err(Errno::EINVAL),
    }
}

/// The uptime as the original's clock interrupt left it: at the last tick.
fn tick(cx: &Context<'_>) -> u64 {
    cx.kernel.clock.uptime() / TICK_NS * TICK_NS
}

fn read_timer(cx: &Context<'_>, index: usize) -> Itimerval {
    let timer = cx.proc().itimer[index];
    let left = if index == REAL { timer.value.saturating_sub(tick(cx)) } else { timer.value };
    Itimerval { interval: timeval(timer.interval), value: timeval(left) }
}

fn set_real_timer(cx: &mut Context<'_>, mut timer: Itimer) {
    if let Some(old) = cx.proc_mut().real_timeout.take() {
        cx.kernel.timeouts.remove(&old);
    }
    if timer.value != 0 {
        // One more tick for the one that has begun (hzto).
        let ticks = u32::try_from(timer.value.div_ceil(TICK_NS) + 1).unwrap_or(u32::MAX);
        timer.value += tick(cx);
        let due = cx.kernel.clock.after_ticks(ticks);
        let key = cx.kernel.add_timeout(due, Timeout::RealTimer(cx.id));
        cx.proc_mut().real_timeout = Some(key);
    }
    cx.proc_mut().itimer[REAL] = timer;
}

/// Checks a time of a timer and gives it in nanoseconds, at least a tick where it is not zero (`itimerfix`).
pub(crate) fn itimer_fix(tv: &Timeval) -> Result<u64, Errno> {
    let (sec, usec) = (tv.sec.get(), tv.usec.get());
    if !(0..=ITIMER_MAX).contains(&sec) || !(0..1_000_000).contains(&usec) {
        return Err(Errno::EINVAL);
    }
    let ns = sec as u64 * SECOND_NS + usec as u64 * USEC_NS;
    Ok(if ns == 0 { 0 } else { ns.max(TICK_NS) })
}
