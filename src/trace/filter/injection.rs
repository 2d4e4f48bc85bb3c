//! Outcomes that the tracer makes up: strace's language of injections.
//!
//! Must not know how the kernel carries them out.

use syscalls::{Errno, SYSENT, Signal};

use super::{CallSet, unknown};
use crate::kernel::event::{Edge, Intercept, Poke};

/// The keys of an injection; the last makes nothing up.
const KEYS: [&str; 9] =
    ["error", "retval", "signal", "syscall", "delay_enter", "delay_exit", "poke_enter", "poke_exit", "when"];

/// What the tracer makes up: `inject=SET` with `:error=ERR`, `:retval=N`, `:signal=SIG`, `:syscall=NAME`,
/// `:delay_enter=TIME`, `:delay_exit=TIME`, `:poke_enter=@argN=HEX`, `:poke_exit=@argN=HEX`, `:when=FIRST[..LAST][+[STEP]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The calls.
    pub calls: CallSet,
    /// The call fails with this instead of being made.
    pub error: Option<Errno>,
    /// The call returns this instead of being made.
    pub retval: Option<u32>,
    /// The process gets this signal.
    pub signal: Option<Signal>,
    /// This call is made instead, with the same words.
    pub number: Option<u32>,
    /// What happens before the call.
    pub enter: Edge,
    /// What happens behind it.
    pub leave: Edge,
    /// The first call, counted from 1, to which it applies.
    pub first: u64,
    /// The last call to which it applies.
    pub last: u64,
    /// Every so many calls after the first; `None` means only the first.
    pub step: Option<u64>,
}

impl Injection {
    /// Parses the text behind `inject=` or `fault=`; a fault without an error is ENOSYS.
    pub fn parse(text: &str, fault: bool) -> Result<Self, String> {
        let mut parts = text.split(':');
        let calls = CallSet::parse(parts.next().unwrap_or_default())?;
        let mut this = Self {
            calls,
            error: None,
            retval: None,
            signal: None,
            number: None,
            enter: Edge::default(),
            leave: Edge::default(),
            first: 1,
            last: u64::MAX,
            step: Some(1),
        };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("'{part}' is not KEY=VALUE"));
            };
            match key {
                "error" => this.error = Some(parse_errno(value)?),
                "retval" if !fault => {
                    this.retval =
                        Some(parse_word(value).ok_or_else(|| format!("'{value}' is not a number"))?);
                }
                "signal" if !fault => {
                    this.signal = Some(Signal::from_name(&value.to_uppercase()).ok_or_else(|| {
                        unknown("signal", value, Signal::ALL.iter().map(|s| s.name().to_string()))
                    })?);
                }
                "syscall" if !fault => this.number = Some(parse_call(value)?),
                "delay_enter" => this.enter.delay_ns = parse_delay(value)?,
                "delay_exit" => this.leave.delay_ns = parse_delay(value)?,
                "poke_enter" => this.enter.pokes = parse_pokes(value)?,
                "poke_exit" => this.leave.pokes = parse_pokes(value)?,
                "when" => (this.first, this.last, this.step) = parse_when(value)?,
                _ => {
                    return Err(unknown("key", key, KEYS.iter().map(ToString::to_string)));
                }
            }
        }
        if fault && this.error.is_none() {
            this.error = Some(Errno::ENOSYS);
        }
        if this.makes() == Intercept::default() {
            return Err(format!("inject needs one of {}=", KEYS[..KEYS.len() - 1].join("=, ")));
        }
        if this.number.is_some() && (this.error.is_some() || this.retval.is_some()) {
            return Err("syscall= makes a call, error= and retval= make none".into());
        }
        Ok(this)
    }

    /// What it makes of a call.
    pub fn makes(&self) -> Intercept {
        Intercept {
            result: self.error.map(Err).or(self.retval.map(Ok)),
            number: self.number,
            signal: self.signal.map(Signal::raw),
            enter: self.enter.clone(),
            leave: self.leave.clone(),
        }
    }

    /// Whether it applies to the `count`th call, counted from 1.
    pub fn applies(&self, count: u64) -> bool {
        match (count.checked_sub(self.first), self.step) {
            _ if count > self.last => false,
            (None, _) => false,
            (Some(0), _) => true,
            (Some(after), Some(step)) => after % step == 0,
            (Some(_), None) => false,
        }
    }
}

fn parse_errno(text: &str) -> Result<Errno, String> {
    let by_number = || text.parse().ok().and_then(Errno::from_raw);
    Errno::from_name(text)
        .or_else(by_number)
        .ok_or_else(|| unknown("error", text, Errno::ALL.iter().map(|e| e.name().to_string())))
}

fn parse_word(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned)),
    }
}

/// `FIRST`, `FIRST+`, `FIRST+STEP`, and each with `..LAST` behind FIRST.
fn parse_when(text: &str) -> Result<(u64, u64, Option<u64>), String> {
    let bad = || format!("'{text}' is not FIRST, FIRST+, FIRST+STEP or FIRST..LAST");
    let positive = |t: &str| t.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(bad);
    let (range, step) = match text.split_once('+') {
        None => (text, None),
        Some((range, "")) => (range, Some(1)),
        Some((range, step)) => (range, Some(positive(step)?)),
    };
    match range.split_once("..") {
        None => Ok((positive(range)?, u64::MAX, step)),
        Some((first, last)) => {
            let (first, last) = (positive(first)?, positive(last)?);
            if last < first { Err(bad()) } else { Ok((first, last, step.or(Some(1)))) }
        }
    }
}

/// The number of a call.
fn parse_call(text: &str) -> Result<u32, String> {
    let row = SYSENT.iter().find(|row| row.is_call() && row.is_called(text));
    row.map(|row| row.code.into()).ok_or_else(|| {
        let names = SYSENT.iter().filter(|row| row.is_call()).map(|row| row.trace_name().to_string());
        unknown("system call", text, names)
    })
}

/// Nanoseconds of a time: a number of microseconds, or one with `s`, `ms`, `us` or `ns`.
fn parse_delay(text: &str) -> Result<u64, String> {
    let units = [("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("s", 1_000_000_000)];
    let suffixed = units.iter().find_map(|(unit, ns)| Some((text.strip_suffix(unit)?, *ns)));
    let (number, ns) = suffixed.unwrap_or((text, 1_000));
    let time = number.parse::<u64>().ok().and_then(|number| number.checked_mul(ns));
    time.ok_or_else(|| format!("'{text}' is not a time such as 200ms"))
}

/// `@arg1=00ff,@arg2=41`.
fn parse_pokes(text: &str) -> Result<Vec<Poke>, String> {
    let poke = |item: &str| {
        let (word, hex) = item.strip_prefix("@arg")?.split_once('=')?;
        let word = word.parse::<usize>().ok().filter(|n| (1..=8).contains(n))? - 1;
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2)?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Vec<u8> = digits.map(byte).collect::<Option<_>>()?;
        (!bytes.is_empty()).then_some(Poke { word, bytes })
    };
    text.split(',').map(|item| poke(item).ok_or_else(|| format!("'{item}' is not @argN=HEX"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injections_apply_when_told() {
        let i = Injection::parse("open:error=EACCES:when=2+3", false).unwrap();
        assert_eq!((1..9).filter(|n| i.applies(*n)).collect::<Vec<_>>(), [2, 5, 8]);
        let i = Injection::parse("open:error=EACCES:when=2", false).unwrap();
        assert_eq!((1..9).filter(|n| i.applies(*n)).collect::<Vec<_>>(), [2]);
        assert_eq!(Injection::parse("read", true).unwrap().error, Some(Errno::ENOSYS));
        assert!(Injection::parse("read", false).is_err());
        assert!(Injection::parse("read:error=EWHAT", false).is_err());
        assert!(Injection::parse("read:error=EIO:when=0", false).is_err());
    }

    #[test]
    fn delays_bytes_and_other_calls_parse() {
        let i = Injection::parse("read:delay_enter=20ms:delay_exit=5:poke_exit=@arg2=4a4B,@arg3=00", false)
            .unwrap();
        assert_eq!((i.enter.delay_ns, i.leave.delay_ns), (20_000_000, 5_000));
        let pokes = [Poke { word: 1, bytes: b"JK".to_vec() }, Poke { word: 2, bytes: vec![0] }];
        assert_eq!(i.leave.pokes, pokes);
        assert_eq!(Injection::parse("getpid:syscall=getppid", false).unwrap().number, Some(39));
        for bad in [
            "read:syscall=x",
            "read:delay_exit=soon",
            "read:poke_enter=@arg9=00",
            "read:poke_enter=@arg1=0",
            "read:error=EIO:syscall=getpid",
        ] {
            assert!(Injection::parse(bad, false).is_err(), "{bad}");
        }
    }
}
