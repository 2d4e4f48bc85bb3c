//! Stores to decoded code are reported; stores beside it are not.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::file::{ID, numbered};
use super::{RO, RW, empty};
use crate::mem::{Prot, Sharing, Written};

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

#[test]
fn code_that_another_space_changes_in_shared_memory_is_reported_once() {
    let mut space = empty();
    space.map_anon_shared(0x1000, 0x2000, RW).unwrap();
    space.watch_code(0x1000, 70);
    space.watch_code(0x2000, 4);
    let child = space.fork().unwrap();
    assert!(!space.code_written() && !child.code_written());
    assert_eq!(child.view().store8(0x1041, 7), Ok(Written::Code));
    assert!(space.code_written());
    assert_eq!(space.take_code_writes(), [(0x1040, 64)]);
    assert!(!space.code_written(), "what is not decoded any more is not compared");
    child.view().store8(0x1001, 7).unwrap();
    assert_eq!((space.code_written(), space.take_code_writes()), (true, vec![(0x1000, 64)]));
    // What was decoded again is compared with what it was then.
    space.watch_code(0x1000, 4);
    assert!(!space.code_written());
}

#[test]
fn code_of_a_private_mapping_changes_while_somebody_maps_the_file_shared() {
    for shared_first in [false, true] {
        let f = numbered(2);
        let (mut space, mut other) = (empty(), empty());
        let mut share =
            || other.map_file(0x8000, 0x1000, RW, f.as_fd(), 0x1000, Sharing::Shared, ID).unwrap();
        space.map_file(0x1000, 0x2000, RW, f.as_fd(), 0, Sharing::Private, ID).unwrap();
        if shared_first {
            share();
            space.watch_code(0x2000, 4);
        } else {
            space.watch_code(0x2000, 4);
            share();
            space.file_shared(ID);
        }
        assert!(!space.code_written());
        other.view().store8(0x8001, 0x90).unwrap();
        assert_eq!((space.code_written(), space.take_code_writes()), (true, vec![(0x2000, 64)]));
        // A page that was written is the space's own.
        space.view().store8(0x2500, 1).unwrap();
        space.watch_code(0x2000, 4);
        other.view().store8(0x8001, 0x91).unwrap();
        assert!(!space.code_written());
    }
}

#[test]
fn a_shared_file_that_somebody_outside_changes_is_seen() {
    let f = numbered(1);
    let mut space = empty();
    space.map_file(0x1000, 0x1000, RO, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
    space.watch_code(0x1100, 16);
    f.write_all_at(b"beside", 0x200).unwrap();
    assert!(!space.code_written());
    f.write_all_at(b"x", 0x108).unwrap();
    assert_eq!((space.code_written(), space.take_code_writes()), (true, vec![(0x1100, 64)]));
    // Nor does a file that became shorter harm anybody who does not go there.
    space.watch_code(0x1100, 16);
    f.set_len(0).unwrap();
    assert!(space.code_written());
    assert_eq!(space.take_bus_fault(), None);
}
