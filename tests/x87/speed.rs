//! How long the common instructions take on the soft unit, called as the processor calls them.
//!
//!     cargo test --release --test x87 speed -- --ignored --nocapture

use bsd21::cpu::x87::{Op, decode};
use bsd21::trapframe::FpuState;
use std::hint::black_box;
use std::time::Instant;

/// Rounds of a sample; the fastest sample counts, so that other work on the machine does not.
const ROUNDS: u32 = 2_000;
const SAMPLES: u32 = 500;

fn nanoseconds(name: &str, instructions: u32, mut round: impl FnMut(&mut FpuState)) {
    let mut fpu = FpuState::default();
    let mut best = f64::MAX;
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            round(&mut fpu);
        }
        let each = start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS) / f64::from(instructions);
        best = best.min(each);
    }
    println!("{name:30} {best:6.2} ns an instruction");
}

fn register(escape: u8, modrm: u8) -> impl Fn(&mut FpuState) {
    let Some(Op::Register(function)) = decode(escape, modrm) else { panic!("a register form") };
    let function = black_box(function);
    move |fpu| function(fpu, modrm & 7)
}

fn load(escape: u8, field: u8) -> impl Fn(&mut FpuState, f64) {
    let Some(Op::Load64(function)) = decode(escape, field << 3) else { panic!("a load of eight bytes") };
    let function = black_box(function);
    move |fpu, value| function(fpu, black_box(value.to_bits()))
}

fn store(escape: u8, field: u8) -> impl Fn(&mut FpuState) {
    let function = match decode(escape, field << 3) {
        Some(Op::Store64(function) | Op::Store32(function)) => black_box(function),
        _ => panic!("a store"),
    };
    move |fpu| {
        let store = function(fpu);
        black_box(store.low);
        store.commit(fpu);
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let (fld, fstp, fistp) = (load(0xdd, 0), store(0xdd, 3), store(0xdb, 3));
    let (fadd, fmul, fsub, fdiv) = (load(0xdc, 0), load(0xdc, 1), load(0xdc, 4), load(0xdc, 6));
    let faddp = register(0xde, 0xc1);
    let fxch = register(0xd9, 0xc9);
    let fcomp = load(0xdc, 3);
    let pop = register(0xdd, 0xd8);
    nanoseconds("fld fstp", 2, |f| {
        fld(f, 1.25);
        fstp(f);
    });
    nanoseconds("fld fadd fstp", 3, |f| {
        fld(f, 1.2);
        fadd(f, 3.4);
        fstp(f);
    });
    nanoseconds("fld 8 fadd fstp", 10, |f| {
        fld(f, 1.2);
        (0..8).for_each(|_| fadd(f, 3.4));
        fstp(f);
    });
    nanoseconds("fld 8 fsub fstp", 10, |f| {
        fld(f, 1.2);
        (0..8).for_each(|_| fsub(f, 3.4));
        fstp(f);
    });
    nanoseconds("fld 8 fmul fstp", 10, |f| {
        fld(f, 1.2);
        (0..8).for_each(|_| fmul(f, 1.1));
        fstp(f);
    });
    nanoseconds("fld 8 fdiv fstp", 10, |f| {
        fld(f, 1.2);
        (0..8).for_each(|_| fdiv(f, 1.1));
        fstp(f);
    });
    nanoseconds("fld fmul fld fmul faddp fstp", 6, |f| {
        fld(f, 1.2);
        fmul(f, 3.4);
        fld(f, -1.7);
        fmul(f, 0.3);
        faddp(f);
        fstp(f);
    });
    nanoseconds("fld fld fxch fcomp fistp", 5, |f| {
        fld(f, 1.2);
        fld(f, 7.5);
        fxch(f);
        fcomp(f, 4.0);
        fistp(f);
    });
    for (name, modrm) in [("fsqrt", 0xfa), ("frndint", 0xfc), ("fsin", 0xfe), ("fcos", 0xff), ("f2xm1", 0xf0)]
    {
        let function = register(0xd9, modrm);
        nanoseconds(&format!("fld {name} pop"), 1, |f| {
            fld(f, 0.7);
            function(f);
            pop(f);
        });
    }
    for (name, modrm) in [("fpatan", 0xf3), ("fyl2x", 0xf1), ("fprem", 0xf8), ("fscale", 0xfd)] {
        let function = register(0xd9, modrm);
        nanoseconds(&format!("fld fld {name} pop"), 1, |f| {
            fld(f, 1.3);
            fld(f, 2.7);
            function(f);
            *f = FpuState::default();
        });
    }
}
