//! Cases on which both agree, as lines of the recorded vectors (`tests/cpu_vectors.rs` describes them).

use crate::cases::Case;
use crate::compare::{Comparison, Outcome, SIZE, WINDOWS};
use crate::unit::fxsave;
use std::collections::BTreeMap;

/// Up to four lines of each code.
pub fn lines(comparison: &mut Comparison) -> BTreeMap<String, Vec<String>> {
    let mut lines = BTreeMap::<String, Vec<String>>::new();
    for n in 0..200_000 {
        for addr in WINDOWS {
            for (at, byte) in (addr..).zip(comparison.native.memory(addr, SIZE)) {
                *byte = pattern(at);
            }
        }
        let Some((case, outcome)) = comparison.agreed(n) else { continue };
        let mut line = line(&case, &outcome);
        for addr in WINDOWS {
            for (at, byte) in (addr..).zip(comparison.native.memory(addr, SIZE)) {
                if *byte != pattern(at) {
                    line.push_str(&format!(" {at:x}={byte:02x}"));
                }
            }
        }
        let Some(code) = case.codes().next() else { continue };
        let known = lines.entry(format!("{code:?}")).or_default();
        // String instructions over many elements make long lines.
        if known.len() < 4 && line.len() < 1200 {
            known.push(line);
        }
    }
    lines
}

fn line(case: &Case, outcome: &Outcome) -> String {
    let frame = &outcome.frame;
    let name = case.codes().map(|c| format!("{c:?}")).collect::<String>();
    let unit = if name.starts_with(['F', 'W']) {
        format!("{} {}", hex(&fxsave(&case.fpu)), hex(&fxsave(&frame.fpu)))
    } else {
        "- -".into()
    };
    let planted: Vec<String> =
        case.plants.iter().map(|(at, bytes)| format!(" @{at:x}={}", hex(bytes))).collect();
    format!(
        "{name} {} {:x} {} {:x} {unit} {} {:x} {} {:x} {:x}{}",
        hex(&case.bytes),
        case.start.eip,
        registers(&case.start.gpr, &case.start.seg),
        case.start.eflags,
        format!("{:?}", outcome.trap).replace(' ', ""),
        frame.eip,
        registers(&frame.gpr, &frame.seg),
        frame.eflags & outcome.mask,
        outcome.mask,
        planted.concat(),
    )
}

/// What memory holds before a recorded vector.
fn pattern(addr: u32) -> u8 {
    (addr.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn registers(gpr: &[u32; 8], seg: &[u16; 6]) -> String {
    let all: Vec<String> =
        gpr.iter().copied().chain(seg.iter().map(|s| u32::from(*s))).map(|w| format!("{w:x}")).collect();
    all.join(",")
}
