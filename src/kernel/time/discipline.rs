//! The discipline of the clock: a phase-locked loop that time daemons steer.
//!
//! The guest's clock follows it; the host's never does.
//!
//! 2.1 counterpart: kern/kern_ntptime.c, kern/kern_clock.c (hardupdate, hardclock at the turn of a second),
//! sys/timex.h; without PPS_SYNC, which GENERIC does not have.

use syscalls::arg::InOut;
use syscalls::layout::{Ntptimeval, Timex};

use super::{SECOND_NS, timeval};
use crate::kernel::{Context, HZ, Kernel, Sysret};

/// What a caller wants to change (MOD_*).
mod modes {
    pub(super) const OFFSET: u32 = 0x01;
    pub(super) const FREQUENCY: u32 = 0x02;
    pub(super) const MAXERROR: u32 = 0x04;
    pub(super) const ESTERROR: u32 = 0x08;
    pub(super) const STATUS: u32 = 0x10;
    pub(super) const TIMECONST: u32 = 0x20;
}
/// State of the clock as daemons know it (STA_*).
mod status {
    pub(super) const PLL: i32 = 0x01;
    pub(super) const PPSFREQ: i32 = 0x02;
    pub(super) const PPSTIME: i32 = 0x04;
    pub(super) const INS: i32 = 0x10;
    pub(super) const DEL: i32 = 0x20;
    pub(super) const UNSYNC: i32 = 0x40;
    pub(super) const PPSSIGNAL: i32 = 0x100;
    pub(super) const CLOCKERR: i32 = 0x1000;
    /// What only the kernel changes.
    pub(super) const READ_ONLY: i32 = 0x1f00;
}
/// States of leap seconds, and that of a clock which is not to be trusted (TIME_*).
mod leap {
    pub(super) const OK: i32 = 0;
    pub(super) const INS: i32 = 1;
    pub(super) const DEL: i32 = 2;
    pub(super) const OOP: i32 = 3;
    pub(super) const WAIT: i32 = 4;
    pub(super) const ERROR: i32 = 5;
}

const SHIFT_KG: i32 = 6;
const SHIFT_UPDATE: i32 = 12;
const SHIFT_USEC: i32 = 16;
const SHIFT_SCALE: i32 = 23;
const SHIFT_HZ: i32 = 7;
/// Largest offset, in microseconds.
const MAXPHASE: i32 = 128_000;
/// Largest deviation of the frequency, scaled.
const MAXFREQ: i32 = 200 << SHIFT_USEC;
/// Longest time between two corrections that count together, in seconds.
const MAXSEC: i32 = 1200;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Seconds that are gone through one by one after a long pause.
const STEPS: u64 = 100_000;

/// The variables of the discipline (`time_*`).
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Discipline {
    state: i32,
    status: i32,
    offset: i32,
    freq: i32,
    maxerror: i32,
    esterror: i32,
    constant: i32,
    /// Seconds of the last correction.
    reftime: i32,
    /// Of what is to be added to each tick.
    adjust: i32,
    phase: i64,
    /// Seconds of uptime that are taken into account.
    seconds: u64,
}

impl Default for Discipline {
    fn default() -> Self {
        Self {
            state: leap::OK,
            status: status::UNSYNC,
            offset: 0,
            freq: 0,
            maxerror: MAXPHASE,
            esterror: MAXPHASE,
            constant: 0,
            reftime: 0,
            adjust: 0,
            phase: 0,
            seconds: 0,
        }
    }
}

/// Shifts right without its sign, as the original does with negative numbers; the processor takes five bits
/// of the distance.
fn shifted(value: i32, by: i32) -> i32 {
    let magnitude = |value: i32| value.wrapping_shr(by.cast_unsigned());
    if value < 0 { magnitude(value.wrapping_neg()).wrapping_neg() } else { magnitude(value) }
}

impl Discipline {
    /// Takes a new offset into account (`hardupdate`).
    fn update(&mut self, offset: i32, now: i32) {
        if self.status & (status::PLL | status::PPSTIME) == 0 {
            return;
        }
        self.offset = offset.clamp(-MAXPHASE, MAXPHASE) << SHIFT_UPDATE;
        let mut since = now.wrapping_sub(self.reftime);
        self.reftime = now;
        if since > MAXSEC {
            since = 0;
        }
        let by = shifted(offset.wrapping_mul(since), self.constant.wrapping_mul(2));
        self.freq = self.freq.wrapping_add(by).clamp(-MAXFREQ, MAXFREQ);
    }

    /// The turn of a second: gives the microseconds that the last one was longer, and a leap second.
    fn second(&mut self, now: i64) -> (i64, i64) {
        let hundred = i64::from(HZ);
        self.phase += i64::from(self.adjust) * hundred;
        let micros = self.phase >> SHIFT_SCALE;
        self.phase -= micros << SHIFT_SCALE;
        self.maxerror = self.maxerror.wrapping_add(MAXFREQ >> SHIFT_USEC);
        let part = shifted(self.offset, SHIFT_KG.wrapping_add(self.constant));
        self.offset = self.offset.wrapping_sub(part);
        self.adjust = part.wrapping_shl((SHIFT_SCALE - SHIFT_HZ - SHIFT_UPDATE).cast_unsigned());
        self.adjust = self.adjust.wrapping_add(shifted(self.freq, SHIFT_USEC + SHIFT_HZ - SHIFT_SCALE));
        // 100 ticks are no power of two.
        self.adjust = self.adjust.wrapping_add(shifted(self.adjust, 2));
        (micros, self.leap(now))
    }

    fn leap(&mut self, now: i64) -> i64 {
        match self.state {
            leap::OK if self.status & status::INS != 0 => self.state = leap::INS,
            leap::OK if self.status & status::DEL != 0 => self.state = leap::DEL,
            leap::INS if now % DAY == 0 => {
                self.state = leap::OOP;
                return -1;
            }
            leap::DEL if (now + 1) % DAY == 0 => {
                self.state = leap::WAIT;
                return 1;
            }
            leap::OOP => self.state = leap::WAIT,
            leap::WAIT if self.status & (status::INS | status::DEL) == 0 => self.state = leap::OK,
            _ => {}
        }
        0
    }

    /// Whether nothing but the greatest error changes from second to second.
    fn is_still(&self) -> bool {
        let leaping = self.state != leap::OK || self.status & (status::INS | status::DEL) != 0;
        self.offset == 0 && self.freq == 0 && self.adjust == 0 && !leaping
    }

    /// What callers are told: the state, or that the clock is not to be trusted.
    fn state(&self) -> i32 {
        let unsure = self.status & (status::UNSYNC | status::CLOCKERR) != 0;
        let wants_signal = self.status & (status::PPSFREQ | status::PPSTIME) != 0;
        let signal = self.status & status::PPSSIGNAL != 0;
        if unsure || wants_signal && !signal { leap::ERROR } else { self.state }
    }
}

/// Takes the seconds into account that have passed.
pub(in crate::kernel) fn catch_up(kernel: &mut Kernel) {
    let clock = &mut kernel.clock;
    let seconds = clock.uptime() / SECOND_NS;
    let mut left = seconds.saturating_sub(clock.discipline.seconds);
    clock.discipline.seconds = seconds;
    let mut steps = 0;
    while left > 0 && steps < STEPS && !clock.discipline.is_still() {
        let now = (clock.now() / SECOND_NS) as i64;
        let (micros, leap) = clock.discipline.second(now);
        clock.adjustment += micros * 1000 + leap * SECOND_NS as i64;
        left -= 1;
        steps += 1;
    }
    let grown = (left as i32).wrapping_mul(MAXFREQ >> SHIFT_USEC);
    clock.discipline.maxerror = clock.discipline.maxerror.wrapping_add(grown);
}

/// The time with its errors, as ntp_gettime reads it (`ntp_sysctl`).
pub(in crate::kernel) fn time_and_errors(kernel: &mut Kernel) -> Ntptimeval {
    catch_up(kernel);
    let discipline = &kernel.clock.discipline;
    Ntptimeval {
        time: timeval(kernel.clock.now()),
        maxerror: discipline.maxerror.into(),
        esterror: discipline.esterror.into(),
        state: discipline.state().into(),
    }
}

/// Reads the variables of the discipline, and changes those that are asked for.
pub fn ntp_adjtime(cx: &mut Context<'_>, tp: InOut<Timex>) -> Sysret<i32> {
    let wanted: Timex = cx.read(tp.addr())?;
    let modes = wanted.modes.get();
    if modes != 0 {
        cx.suser()?;
    }
    catch_up(cx.kernel);
    let now = cx.kernel.clock.seconds();
    let discipline = &mut cx.kernel.clock.discipline;
    if modes & modes::FREQUENCY != 0 {
        discipline.freq = wanted.freq.get();
    }
    if modes & modes::MAXERROR != 0 {
        discipline.maxerror = wanted.maxerror.get();
    }
    if modes & modes::ESTERROR != 0 {
        discipline.esterror = wanted.esterror.get();
    }
    if modes & modes::STATUS != 0 {
        let kept = discipline.status & status::READ_ONLY;
        discipline.status = kept | wanted.status.get() & !status::READ_ONLY;
    }
    if modes & modes::TIMECONST != 0 {
        discipline.constant = wanted.constant.get();
    }
    if modes & modes::OFFSET != 0 {
        discipline.update(wanted.offset.get(), now);
    }
    let is = Timex {
        offset: shifted(discipline.offset, SHIFT_UPDATE).into(),
        freq: discipline.freq.into(),
        maxerror: discipline.maxerror.into(),
        esterror: discipline.esterror.into(),
        status: discipline.status.into(),
        constant: discipline.constant.into(),
        precision: 1.into(),
        tolerance: MAXFREQ.into(),
        ..wanted
    };
    let state = discipline.state();
    cx.write(tp.addr(), &is)?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::boot::Config;

    #[test]
    fn an_offset_is_made_good_and_a_frequency_goes_on() {
        let mut kernel = Kernel::new(Config::bare());
        kernel.clock.discipline.status = status::PLL;
        kernel.clock.discipline.update(100_000, 1);
        let before = kernel.clock.now();
        kernel.clock.advance(1000 * SECOND_NS);
        catch_up(&mut kernel);
        let gained = kernel.clock.now() - before - 1000 * SECOND_NS;
        // The gain of the loop is 1.25 * 100/128 of what it ought to be: 97,656 of 100,000 microseconds.  An offset
        // that comes a second after the last one changes the frequency, too, by 100,000 / 65,536 ppm: 1,490
        // microseconds of 1000 seconds by the same gain (hardupdate).
        assert!((99_100_000..=99_200_000).contains(&gained), "{gained}");
        let discipline = &mut kernel.clock.discipline;
        (discipline.offset, discipline.adjust, discipline.freq) = (0, 0, 100 << SHIFT_USEC);
        let before = kernel.clock.now();
        kernel.clock.advance(100 * SECOND_NS);
        catch_up(&mut kernel);
        let gained = kernel.clock.now() - before - 100 * SECOND_NS;
        assert!((9_600_000..=9_800_000).contains(&gained), "100 ppm of 100 seconds: {gained}");
    }

    #[test]
    fn without_a_daemon_the_error_grows_and_the_clock_stays() {
        let mut kernel = Kernel::new(Config::bare());
        let before = kernel.clock.now();
        kernel.clock.advance(10 * SECOND_NS);
        let told = time_and_errors(&mut kernel);
        assert_eq!((told.maxerror.get(), told.state.get()), (MAXPHASE + 2000, leap::ERROR));
        assert_eq!(kernel.clock.now(), before + 10 * SECOND_NS);
    }

    #[test]
    fn a_leap_second_is_inserted_at_midnight() {
        let mut kernel = Kernel::new(Config::bare());
        kernel.clock.discipline.status = status::INS;
        let day = DAY as u64 * SECOND_NS;
        let midnight = kernel.clock.now().next_multiple_of(day) + day;
        kernel.clock.advance(midnight - kernel.clock.now() + 10 * SECOND_NS);
        let before = kernel.clock.now();
        catch_up(&mut kernel);
        assert!(kernel.clock.now() <= before, "it goes back, never forth");
        assert!(kernel.clock.discipline.state >= leap::INS);
    }
}
