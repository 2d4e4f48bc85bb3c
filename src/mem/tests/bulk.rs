//! String operations do what their elements would do one by one.

use proptest::prelude::*;

use super::{RO, RW, empty};
use crate::mem::{AddressSpace, Direction, Scanned, Width};

fn widths() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Byte), Just(Width::Word), Just(Width::Dword)]
}

fn ways() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Up), Just(Direction::Down)]
}

fn patterned() -> AddressSpace {
    let mut space = empty();
    space.map_anon(0x1000, 0x3000, RW).unwrap();
    let pattern: Vec<u8> = (0..0x3000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    space.copyout(0x1000, &pattern).unwrap();
    space
}

fn contents(space: &AddressSpace) -> Vec<u8> {
    let mut all = vec![0; 0x3000];
    space.copyin(0x1000, &mut all).unwrap();
    all
}

fn next(addr: u32, width: Width, way: Direction) -> u32 {
    match way {
        Direction::Up => addr.wrapping_add(width as u32),
        Direction::Down => addr.wrapping_sub(width as u32),
    }
}

/// One element by load and store.
fn one(space: &AddressSpace, dst: u32, src: u32, width: Width) -> bool {
    let view = space.view();
    match width {
        Width::Byte => view.load8(src).and_then(|v| view.store8(dst, v)).is_ok(),
        Width::Word => view.load16(src).and_then(|v| view.store16(dst, v)).is_ok(),
        Width::Dword => view.load32(src).and_then(|v| view.store32(dst, v)).is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn movs_equals_its_elements(
        src in 0xff0u32..0x4010, gap in -40i32..40, far in any::<bool>(),
        count in 0u32..1500, width in widths(), way in ways(),
    ) {
        let dst = if far { 0x1000 + (src ^ 0x1555) % 0x3000 } else { src.wrapping_add_signed(gap) };
        let (fast, slow) = (patterned(), patterned());
        let (mut d, mut s, mut left) = (dst, src, count);
        while left > 0 {
            let done = fast.view().rep_movs(d, s, width, left, way);
            if done == 0 {
                if !one(&fast, d, s, width) { break }
                left -= 1; d = next(d, width, way); s = next(s, width, way);
                continue;
            }
            prop_assert!(done <= left);
            left -= done;
            for _ in 0..done { d = next(d, width, way); s = next(s, width, way); }
        }
        let (mut d, mut s, mut slow_left) = (dst, src, count);
        while slow_left > 0 && one(&slow, d, s, width) {
            slow_left -= 1; d = next(d, width, way); s = next(s, width, way);
        }
        prop_assert_eq!(left, slow_left);
        prop_assert!(contents(&fast) == contents(&slow));
    }

    #[test]
    fn stos_equals_its_elements(
        dst in 0xff0u32..0x4010, value in any::<u32>(), count in 0u32..1500,
        width in widths(), way in ways(),
    ) {
        let (fast, slow) = (patterned(), patterned());
        let done = fast.view().rep_stos(dst, value, width, count, way);
        let mut d = dst;
        for _ in 0..done {
            slow.copyout(d, &value.to_le_bytes()[..width as usize]).unwrap();
            d = next(d, width, way);
        }
        prop_assert!(done <= count);
        let stopped_by = slow.view().probe(d, width as u32, crate::trapframe::Access::Write);
        prop_assert!(done == count || stopped_by.is_err() || d % 0x1000 > 0xffc, "{} of {}", done, count);
        prop_assert!(contents(&fast) == contents(&slow));
    }
}

#[test]
fn scas_stops_behind_the_first_match() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    space.copyout(0x1ffe, b"abcd").unwrap();
    let view = space.view();
    let found = view.rep_scas(0x1ff0, u32::from(b'c'), Width::Byte, 1000, Direction::Up, false);
    assert_eq!(found, Scanned { done: 17, stopped: true });
    let found =
        view.rep_scas(0x2010, 0xffff_0000 | u32::from(b'c'), Width::Byte, 1000, Direction::Down, false);
    assert_eq!(found, Scanned { done: 17, stopped: true });
    let zeros = view.rep_scas(0x1000, 0, Width::Dword, 10, Direction::Up, true);
    assert_eq!(zeros, Scanned { done: 10, stopped: false });
}

#[test]
fn cmps_stops_behind_the_first_difference() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    space.copyout(0x1000, b"same same but").unwrap();
    space.copyout(0x2000, b"same same BUT").unwrap();
    let view = space.view();
    let found = view.rep_cmps(0x1000, 0x2000, Width::Byte, 100, Direction::Up, true);
    assert_eq!(found, Scanned { done: 11, stopped: true });
    let found = view.rep_cmps(0x1000, 0x2000, Width::Word, 3, Direction::Up, true);
    assert_eq!(found, Scanned { done: 3, stopped: false });
}

#[test]
fn runs_stop_at_pages_that_refuse_and_at_the_end_of_the_space() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    space.map_anon(0x2000, 0x1000, RO).unwrap();
    space.map_anon(0xffff_f000, 0x1000, RW).unwrap();
    space.map_anon(0, 0x1000, RW).unwrap();
    let view = space.view();
    assert_eq!(view.rep_stos(0x1ffa, 1, Width::Dword, 8, Direction::Up), 1);
    assert_eq!(view.rep_stos(0x2004, 1, Width::Dword, 8, Direction::Up), 0);
    // Beyond the data segment nothing takes the fast path.
    assert_eq!(view.rep_stos(0xffff_fff8, 1, Width::Dword, 8, Direction::Up), 0);
    assert_eq!(view.rep_stos(4, 1, Width::Dword, 8, Direction::Down), 2);
    assert_eq!(view.rep_stos(0xffff_fffe, 1, Width::Dword, 8, Direction::Down), 0);
}

#[test]
fn watched_code_ends_a_run() {
    let mut space = empty();
    space.map_anon(0x1000, 0x3000, RW).unwrap();
    space.watch_code(0x2800, 1);
    assert_eq!(space.view().rep_stos(0x1800, 0, Width::Byte, 0x2000, Direction::Up), 0x800);
    assert!(!space.code_written());
}
