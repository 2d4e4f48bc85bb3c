//! Times of the standard: seven bytes (9.1.5), or seventeen characters (8.4.26.1).
//!
//! 2.1 counterpart: cd9660_tstamp_conv7 and cd9660_tstamp_conv17 in isofs/cd9660/cd9660_node.c: years before 1970
//! give no time, and a time zone of more than 12 or 13 hours is no time zone.

use super::number::{byte, bytes};

/// Seconds since 1970 of seven bytes; `zoned` says that the last one is a time zone (not so in High Sierra).
pub(super) fn short(from: &[u8], zoned: bool) -> Option<i64> {
    let raw: [u8; 7] = bytes(from, 0);
    let zone = if zoned { i64::from(raw[6].cast_signed()) } else { 0 };
    seconds(1900 + i64::from(raw[0]), &raw[1..6].try_into().unwrap_or_default(), zone)
}

/// Seconds since 1970 of seventeen characters.
pub(super) fn long(from: &[u8]) -> Option<i64> {
    let decimal = |at: usize, length: usize| -> Option<i64> {
        let text = from.get(at..at + length)?;
        let digit = |c: u8| if c == b' ' { Some(0) } else { char::from(c).to_digit(10).map(i64::from) };
        text.iter().try_fold(0, |sum, &c| Some(sum * 10 + digit(c)?))
    };
    let mut rest = [0; 5];
    for (n, field) in rest.iter_mut().enumerate() {
        *field = u8::try_from(decimal(4 + 2 * n, 2)?).ok()?;
    }
    seconds(decimal(0, 4)?, &rest, i64::from(byte(from, 16).cast_signed()))
}

/// `rest` is month, day, hour, minute, second; the zone counts quarters of an hour.
fn seconds(year: i64, rest: &[u8; 5], zone: i64) -> Option<i64> {
    if year < 1970 {
        return None;
    }
    let [month, day, hour, minute, second] = rest.map(i64::from);
    // Days of the proleptic Gregorian calendar, with years that begin in March; months and days that do not exist
    // lead to the days that follow.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (y, m) = (y + m / 12, m % 12);
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(if (-48..=52).contains(&zone) { seconds - zone * 15 * 60 } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(short(&[70, 1, 1, 0, 0, 0, 0], true), Some(0));
        // 14 November 1995, 12:34:56 in a zone eight hours west of Greenwich.
        assert_eq!(short(&[95, 11, 14, 12, 34, 56, (-32i8).cast_unsigned()], true), Some(816_381_296));
        assert_eq!(short(&[95, 11, 14, 12, 34, 56, (-32i8).cast_unsigned()], false), Some(816_352_496));
        assert_eq!(long(b"1995111412345600\xe0"), Some(816_381_296));
        assert_eq!(short(&[100, 2, 29, 0, 0, 0, 0], true), Some(951_782_400), "2000 was a leap year");
    }

    #[test]
    fn what_is_no_time_is_none_and_never_an_overflow() {
        assert_eq!(short(&[69, 1, 1, 0, 0, 0, 0], true), None);
        assert_eq!(long(b"0000000000000000\0"), None);
        assert_eq!(long(b"19x5111412345600\0"), None);
        assert_eq!(long(b""), None);
        assert!(short(&[255; 7], true).is_some());
        assert_eq!(short(&[95, 11, 14, 12, 34, 56, 100], true), Some(816_352_496), "no such zone");
    }
}
