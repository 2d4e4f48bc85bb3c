//! Stores to decoded code are reported; stores beside it are not.

use super::{RO, RW, empty};
use crate::mem::{Prot, Written};

#[test]
fn a_store_to_watched_code_is_reported_once() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    let view = space.view();
    view.store32(0x1000, 1).unwrap();
    space.watch_code(0x1040, 10);
    assert!(!view.try_store32(0x1000, 2), "stores to a page with code leave the fast path");
    assert_eq!(view.store32(0x1000, 2), Ok(Written::Data), "the granule beside holds data");
    assert!(!space.code_written());
    assert_eq!(view.store8(0x1045, 0x90), Ok(Written::Code));
    assert_eq!(space.take_code_writes(), [(0x1040, 64)]);
    assert!(view.try_store8(0x1045, 0x90), "nothing is watched any more");
    assert!(!space.code_written());
}

#[test]
fn copyout_and_poke_report_too() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    space.watch_code(0x1ff0, 32);
    space.copyout(0x1f00, &[0; 0x200]).unwrap();
    assert_eq!(space.take_code_writes(), [(0x1fc0, 64), (0x2000, 64)]);
    space.protect(0x1000, 0x2000, RO).unwrap();
    space.watch_code(0x1000, 1);
    space.poke(0x1001, &[0]).unwrap();
    assert_eq!(space.take_code_writes(), [(0x1000, 64)]);
}

#[test]
fn code_that_goes_away_is_reported() {
    let mut space = empty();
    space.map_anon(0x1000, 0x3000, RW).unwrap();
    space.watch_code(0x1000, 1);
    space.watch_code(0x2000, 1);
    space.watch_code(0x3000, 1);
    space.unmap(0x1000, 0x1000).unwrap();
    space.map_anon(0x2000, 0x1000, RW).unwrap();
    space.protect(0x3000, 0x1000, Prot::empty()).unwrap();
    assert_eq!(space.take_code_writes(), [(0x1000, 64), (0x2000, 64), (0x3000, 64)]);
}

#[test]
fn a_store_across_pages_reports_both() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    space.watch_code(0x1ffe, 4);
    assert_eq!(space.view().store32(0x1ffe, 0), Ok(Written::Code));
    assert_eq!(space.take_code_writes(), [(0x1fc0, 64), (0x2000, 64)]);
}

#[test]
fn a_child_watches_what_its_parent_watched() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    space.watch_code(0x1000, 64);
    let child = space.fork().unwrap();
    assert_eq!(child.view().store8(0x1000, 1), Ok(Written::Code));
    assert!(!space.code_written());
}
