//! A child gets a copy, and only a copy.

use super::{RO, RW, empty};
use crate::mem::{Inherit, Prot};

#[test]
fn parent_and_child_do_not_see_each_other() {
    let mut parent = empty();
    parent.map_anon(0x1000, 0x4000, RW).unwrap();
    parent.suword(0x1000, 1).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(child.fuword(0x1000), Ok(1));
    parent.suword(0x1000, 2).unwrap();
    child.suword(0x2000, 3).unwrap();
    assert_eq!(child.fuword(0x1000), Ok(1));
    assert_eq!(parent.fuword(0x2000), Ok(0));
    assert_eq!(parent.regions().collect::<Vec<_>>(), child.regions().collect::<Vec<_>>());
}

#[test]
fn unwritten_pages_are_zero_in_a_child_with_used_memory() {
    for _ in 0..3 {
        let mut parent = empty();
        parent.map_anon(0x1000, 0x4000, RW).unwrap();
        let child = parent.fork().unwrap();
        assert_eq!(child.fuword(0x2000), Ok(0));
        child.suword(0x2000, 0xdead).unwrap();
        parent.suword(0x3000, 0xdead).unwrap();
        drop(child);
    }
}

#[test]
fn protection_and_holes_are_inherited() {
    let mut parent = empty();
    parent.map_anon(0x1000, 0x3000, RW).unwrap();
    parent.suword(0x3000, 5).unwrap();
    parent.protect(0x3000, 0x1000, RO).unwrap();
    parent.unmap(0x2000, 0x1000).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(child.fuword(0x3000), Ok(5));
    assert!(child.suword(0x3000, 1).is_err());
    assert!(child.fuword(0x2000).is_err());
}

#[test]
fn inheritance_none_leaves_a_hole() {
    let mut parent = empty();
    parent.map_anon(0x1000, 0x2000, RW).unwrap();
    parent.set_inheritance(0x2000, 0x1000, Inherit::None).unwrap();
    let child = parent.fork().unwrap();
    assert!(child.fuword(0x1000).is_ok());
    assert!(child.fuword(0x2000).is_err());
}

#[test]
fn shared_anonymous_memory_stays_shared() {
    let mut parent = empty();
    parent.map_anon_shared(0x1000, 0x2000, RW).unwrap();
    let child = parent.fork().unwrap();
    child.suword(0x1004, 77).unwrap();
    assert_eq!(parent.fuword(0x1004), Ok(77));
    let mut grandchild = { child }.fork().unwrap();
    grandchild.protect(0x1000, 0x1000, Prot::READ).unwrap();
    parent.suword(0x1004, 78).unwrap();
    assert_eq!(grandchild.fuword(0x1004), Ok(78));
}
