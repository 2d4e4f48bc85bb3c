//! The host's time zone in words that 2.1 understands: the POSIX form of TZ.
//!
//! Files of time zones have another format today than 2.1's libc reads, but each ends with a line in that form.  Names in
//! angle brackets, which 2.1 does not know, become letters.

use std::path::Path;

use crate::host::look;

/// Largest file of a time zone.
const LARGEST: u64 = 1 << 20;

/// The host's time zone, if it has one.
pub fn of_host() -> Option<String> {
    let named = std::env::var("TZ").ok().filter(|zone| !zone.is_empty());
    let file = match named.as_deref() {
        Some(zone) if is_posix(zone) => return understood(zone),
        Some(zone) => {
            let name = zone.trim_start_matches(':');
            match name.starts_with('/') {
                true => name.to_owned(),
                false if name.contains("..") => return None,
                false => format!("/usr/share/zoneinfo/{name}"),
            }
        }
        None => "/etc/localtime".to_owned(),
    };
    let bytes = look::whole(&look::open_named(Path::new(&file)).ok()?, LARGEST).ok()?;
    understood(last_line(&bytes)?)
}

/// Whether a value of TZ says itself what the time is.
fn is_posix(zone: &str) -> bool {
    !zone.starts_with(':') && !zone.contains('/') && zone.bytes().any(|c| c.is_ascii_digit())
}

/// The line at the end of a file of a time zone.
fn last_line(bytes: &[u8]) -> Option<&str> {
    if !bytes.starts_with(b"TZif") {
        return None;
    }
    let line = bytes.strip_suffix(b"\n")?;
    let line = line.get(line.iter().rposition(|&c| c == b'\n')? + 1..)?;
    std::str::from_utf8(line).ok().filter(|line| !line.is_empty() && line.is_ascii())
}

/// Names in brackets as letters.
fn understood(zone: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = zone;
    let mut letters = ["LCL", "LDT"].into_iter();
    while let Some((before, behind)) = rest.split_once('<') {
        text += before;
        text += letters.next()?;
        rest = behind.split_once('>')?.1;
    }
    text += rest;
    // 2.1 knows hours from 0 to 24 only, without a sign, in its rules.
    let simple = text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-,./:".contains(&c));
    (simple && !text.is_empty() && text.len() < 64).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_in_the_form_of_posix() {
        assert_eq!(understood("CET-1CEST,M3.5.0,M10.5.0/3").as_deref(), Some("CET-1CEST,M3.5.0,M10.5.0/3"));
        assert_eq!(understood("<+0330>-3:30").as_deref(), Some("LCL-3:30"));
        assert_eq!(
            understood("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1").as_deref(),
            Some("LCL3LDT,M3.5.0/-2,M10.5.0/-1")
        );
        assert_eq!(last_line(b"TZif2\0\0\nUTC0\n"), Some("UTC0"));
        assert_eq!((last_line(b"TZif2"), last_line(b"x\ny\n"), understood("a\x1bb")), (None, None, None));
        assert!(
            is_posix("EST5EDT") && !is_posix(":EST5EDT") && !is_posix("Europe/Berlin") && !is_posix("UTC")
        );
    }
}
