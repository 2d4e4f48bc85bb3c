//! The transcendental functions of the x87 unit against values of far higher precision, in all four
//! rounding modes.
//!
//! `fixtures/vectors/x87_reference.py` makes the values; `BSD21_X87_REFERENCE` names another file.

use crate::case::{Case, MEMORY, soft};
use bsd21::trapframe::{F80, FpuState};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/vectors/x87_transcendental");

/// What the results may be off by, in units of the last place of the 64-bit significand.
const BOUND: f64 = 0.51;

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("a hexadecimal number")
}

fn number(text: &str) -> F80 {
    let (high, low) = text.split_once(':').expect("exponent:significand");
    F80 { significand: hex(low), sign_exponent: hex(high) as u16 }
}

fn run(function: &str, control: u16, x: F80, y: Option<F80>) -> F80 {
    let modrm = match function {
        "f2xm1" => 0xf0,
        "fyl2x" => 0xf1,
        "fptan" => 0xf2,
        "fpatan" => 0xf3,
        "fyl2xp1" => 0xf9,
        "fsin" => 0xfe,
        "fcos" => 0xff,
        _ => panic!("no function {function}"),
    };
    let mut fpu = FpuState::default();
    fpu.set_control(control);
    fpu.set_valid(0b11);
    fpu.set_register(0, x);
    fpu.set_register(1, y.unwrap_or(F80::ONE));
    let after = soft(&Case { escape: 0xd9, modrm, short: false, fpu, memory: [0; MEMORY] }).fpu;
    after.register(usize::from(y.is_some()))
}

/// The distance from a result to the exact value in units of the result's last place.
fn error(result: F80, exact: (u16, u64, u64)) -> f64 {
    let (sign_exponent, significand, rest) = exact;
    let steps = (i128::from(result.sign_exponent) - i128::from(sign_exponent)) << 63;
    let steps = steps + i128::from(result.significand) - i128::from(significand);
    (steps as f64 - rest as f64 / 18446744073709551616.0).abs()
}

#[test]
fn results_are_within_the_bound_of_the_exact_values() {
    let file = std::env::var("BSD21_X87_REFERENCE").unwrap_or_else(|_| FILE.to_owned());
    let text = std::fs::read_to_string(file).expect("the reference values");
    let mut worst = std::collections::BTreeMap::<&str, (f64, u32, u32)>::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [function, x, y, "=", value] = words.as_slice() else { panic!("not a value: {line}") };
        let (whole, rest) = value.split_once('.').expect("128 bits");
        let (whole, rest) = (number(whole), hex(rest));
        let y = (*y != "-").then(|| number(y));
        let negative = whole.sign_exponent >> 15 != 0;
        let entry = worst.entry(function).or_default();
        for (control, away) in
            [(0x37f, None), (0x77f, Some(negative)), (0xb7f, Some(!negative)), (0xf7f, Some(false))]
        {
            let result = run(function, control, number(x), y);
            let error = error(result, (whole.sign_exponent, whole.significand, rest));
            let bound = if control == 0x37f { BOUND } else { 0.51 + 0.5 };
            assert!(error <= bound, "{line}: {result:x?} with control word {control:#x} is off by {error}");
            entry.1 += 1;
            let up = away.unwrap_or(rest >> 63 != 0);
            let correct = error_steps(result, whole) == i128::from(up);
            entry.2 += u32::from(!correct);
            if control == 0x37f {
                entry.0 = entry.0.max(error);
            }
        }
    }
    for (function, (worst, count, wrong)) in worst {
        println!(
            "{function}: at most {worst:.6} units off, {wrong} of {count} results not correctly rounded"
        );
    }
}

fn error_steps(result: F80, below: F80) -> i128 {
    let place =
        |value: F80| i128::from(value.sign_exponent) << 63 | i128::from(value.significand & (u64::MAX >> 1));
    place(result) - place(below)
}
