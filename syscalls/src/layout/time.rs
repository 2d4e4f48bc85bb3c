//! Times, timers, use of resources and limits.
//!
//! 2.1 counterpart: sys/time.h, sys/resource.h, sys/timex.h, sys/rtprio.h.

use super::{I32, I64, Show, U16, U32, layout};
use crate::flags::RtprioType;

layout! {
    /// A time in seconds and microseconds.
    Timeval "timeval" 8 {
        0 sec "tv_sec": I32,
        4 usec "tv_usec": I32,
    }

    /// A time in seconds and nanoseconds.
    Timespec "timespec" 8 {
        0 sec "ts_sec": I32,
        4 nsec "ts_nsec": I32,
    }

    /// The zone of the kernel's clock.
    Timezone "timezone" 8 {
        0 minuteswest "tz_minuteswest": I32,
        4 dsttime "tz_dsttime": I32,
    }

    /// An interval timer.
    Itimerval "itimerval" 16 {
        0 interval "it_interval": Timeval,
        8 value "it_value": Timeval,
    }

    /// Rates of the kernel's clocks.
    Clockinfo "clockinfo" 16 {
        0 hz "hz": I32,
        4 tick "tick": I32,
        8 stathz "stathz": I32,
        12 profhz "profhz": I32,
    }

    /// Use of resources.
    Rusage "rusage" 72 {
        0 utime "ru_utime": Timeval,
        8 stime "ru_stime": Timeval,
        16 maxrss "ru_maxrss": I32,
        20 ixrss "ru_ixrss": I32,
        24 idrss "ru_idrss": I32,
        28 isrss "ru_isrss": I32,
        32 minflt "ru_minflt": I32,
        36 majflt "ru_majflt": I32,
        40 nswap "ru_nswap": I32,
        44 inblock "ru_inblock": I32,
        48 oublock "ru_oublock": I32,
        52 msgsnd "ru_msgsnd": I32,
        56 msgrcv "ru_msgrcv": I32,
        60 nsignals "ru_nsignals": I32,
        64 nvcsw "ru_nvcsw": I32,
        68 nivcsw "ru_nivcsw": I32,
    }

    /// A limit, 64 bits wide.
    Rlimit "rlimit" 16 {
        0 cur "rlim_cur": I64 => Show::Limit,
        8 max "rlim_max": I64 => Show::Limit,
    }

    /// A limit in its old form, 32 bits wide.
    Orlimit "orlimit" 8 {
        0 cur "rlim_cur": I32 => Show::Limit,
        4 max "rlim_max": I32 => Show::Limit,
    }

    /// Load averages as fixed-point numbers.
    Loadavg "loadavg" 16 {
        0 ldavg "ldavg": [U32; 3],
        12 fscale "fscale": I32,
    }

    /// A real-time priority.
    Rtprio "rtprio" 4 {
        0 class "type": U16 => Show::Named(&RtprioType::NAMES),
        2 prio "prio": U16,
    }

    /// The time with its errors.
    Ntptimeval "ntptimeval" 20 {
        0 time "time": Timeval,
        8 maxerror "maxerror": I32,
        12 esterror "esterror": I32,
        16 state "time_state": I32,
    }

    /// State of the clock discipline.
    Timex "timex" 68 {
        0 modes "modes": U32 => Show::Hex,
        4 offset "offset": I32,
        8 freq "freq": I32,
        12 maxerror "maxerror": I32,
        16 esterror "esterror": I32,
        20 status "status": I32 => Show::Hex,
        24 constant "constant": I32,
        28 precision "precision": I32,
        32 tolerance "tolerance": I32,
        36 ppsfreq "ppsfreq": I32,
        40 jitter "jitter": I32,
        44 shift "shift": I32,
        48 stabil "stabil": I32,
        52 jitcnt "jitcnt": I32,
        56 calcnt "calcnt": I32,
        60 errcnt "errcnt": I32,
        64 stbcnt "stbcnt": I32,
    }
}

/// A limit that is none.
pub const RLIM_INFINITY: i64 = i64::MAX;
