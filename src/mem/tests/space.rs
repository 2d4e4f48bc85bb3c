//! Mapping, protection, faults, and the copies of the kernel.

use super::{RO, RW, empty, fault};
use crate::mem::{Backing, CopyStr, Prot, Region, Written};
use crate::trapframe::{Access, F80, FaultCause};

#[test]
fn fresh_memory_is_zero_and_keeps_what_is_stored() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    let view = space.view();
    assert_eq!(view.load32(0x1000), Ok(0));
    assert_eq!(view.store32(0x1004, 0x1234_5678), Ok(Written::Data));
    assert_eq!(view.load8(0x1005), Ok(0x56));
    assert_eq!(view.load16(0x1006), Ok(0x1234));
    assert_eq!(view.load64(0x1004), Ok(0x1234_5678));
}

#[test]
fn address_zero_and_the_last_byte_are_ordinary() {
    let mut space = empty();
    space.map_anon(0, 0x1000, RW).unwrap();
    space.map_anon(0xffff_f000, 0x1000, RW).unwrap();
    let view = space.view();
    view.store32(0xffff_fffe, 0x4433_2211).unwrap();
    assert_eq!(view.load8(0xffff_ffff), Ok(0x22));
    assert_eq!(view.load8(0), Ok(0x33));
    assert_eq!(view.load32(0xffff_fffe), Ok(0x4433_2211));
    let value = F80 { significand: 0x8000_0000_0000_0001, sign_exponent: 0x3fff };
    view.store80(0xffff_fffc, value).unwrap();
    assert_eq!(view.load80(0xffff_fffc), Ok(value));
}

#[test]
fn faults_name_the_first_byte_and_the_reason() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    space.map_anon(0x2000, 0x1000, RO).unwrap();
    space.map_anon(0x3000, 0x1000, Prot::empty()).unwrap();
    let view = space.view();
    assert_eq!(view.load32(0xffd), Err(fault(0xffd, Access::Read, FaultCause::NotMapped)));
    assert_eq!(view.load32(0x2ffe), Err(fault(0x3000, Access::Read, FaultCause::Protection)));
    assert_eq!(view.load8(0x4000), Err(fault(0x4000, Access::Read, FaultCause::NotMapped)));
    assert_eq!(view.store8(0x2000, 1), Err(fault(0x2000, Access::Write, FaultCause::Protection)));
    assert_eq!(view.store64(0x1ffc, u64::MAX), Err(fault(0x2000, Access::Write, FaultCause::Protection)));
    assert_eq!(view.load32(0x1ffc), Ok(0), "a store that faults stores nothing");
}

#[test]
fn operands_that_cross_pages_are_whole() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    let view = space.view();
    view.store32(0x1ffd, 0xaabb_ccdd).unwrap();
    assert_eq!(view.load32(0x1ffd), Ok(0xaabb_ccdd));
    assert_eq!(view.try_load32(0x1ffd), None);
    assert!(!view.try_store16(0x1fff, 1));
}

#[test]
fn update_takes_the_fast_path_after_the_first_store() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    let view = space.view();
    assert_eq!(view.try_update32(0x1000, |v| (v + 1, v)), None);
    view.store32(0x1000, 7).unwrap();
    assert_eq!(view.try_update32(0x1000, |v| (v + 1, v)), Some(7));
    assert_eq!(view.load32(0x1000), Ok(8));
}

#[test]
fn protection_changes_what_is_refused_and_keeps_the_bytes() {
    let mut space = empty();
    space.map_anon(0x1000, 0x3000, RW).unwrap();
    space.suword(0x2000, 99).unwrap();
    space.protect(0x2000, 0x1000, RO).unwrap();
    assert_eq!(space.suword(0x2000, 1).unwrap_err().cause, FaultCause::Protection);
    assert_eq!(space.fuword(0x2000), Ok(99));
    space.protect(0x2000, 0x1000, Prot::EXEC).unwrap();
    assert!(space.fuword(0x2000).is_err(), "PROT_EXEC alone grants nothing");
    space.protect(0x2000, 0x1000, Prot::WRITE).unwrap();
    assert_eq!(space.fuword(0x2000), Ok(99), "a writable page that is present is readable");
    assert_eq!(space.regions().count(), 3);
    space.protect(0x2000, 0x1000, RW).unwrap();
    assert_eq!(space.regions().count(), 1);
}

#[test]
fn memory_mapped_again_is_zero_again() {
    let mut space = empty();
    space.map_anon(0x1000, 0x20_0000, RW).unwrap();
    for page in 0..0x200 {
        space.suword(0x1000 + page * 0x1000, 5).unwrap();
    }
    space.unmap(0x3000, 0x1000).unwrap();
    assert_eq!(space.fuword(0x3000).unwrap_err().cause, FaultCause::NotMapped);
    space.map_anon(0x3000, 0x1000, RW).unwrap();
    assert_eq!(space.fuword(0x3000), Ok(0));
    assert_eq!(space.fuword(0x4000), Ok(5));
    space.map_anon(0x1000, 0x20_0000, RW).unwrap();
    for page in 0..0x200 {
        assert_eq!(space.fuword(0x1000 + page * 0x1000), Ok(0));
    }
}

#[test]
fn a_space_from_the_pool_shows_nothing_of_the_last_one() {
    for round in 0..4 {
        let mut space = empty();
        assert!(space.fuword(0x5000).is_err());
        space.map_anon(0x4000, 0x4000, RW).unwrap();
        assert_eq!(space.fuword(0x5000), Ok(0));
        space.suword(0x5000, round + 1).unwrap();
    }
}

#[test]
fn unaligned_and_empty_ranges_are_refused() {
    let mut space = empty();
    assert!(space.map_anon(0x1001, 0x1000, RW).is_err());
    assert!(space.map_anon(0x1000, 0, RW).is_err());
    assert!(space.map_anon(0xffff_f000, 0x2000, RW).is_err());
    assert!(space.unmap(0x1000, 0x1800).is_err());
}

#[test]
fn regions_show_what_is_mapped() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    space.map_anon(0x2000, 0x1000, RW).unwrap();
    space.map_anon(0x8000, 0x1000, RO).unwrap();
    let all: Vec<Region> = space.regions().collect();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].start, all[0].len, all[0].prot), (0x1000, 0x2000, RW));
    assert_eq!(all[1].backing, Backing::Anonymous);
    assert_eq!(space.find_space(0x1000, 0x5000), Some(0x3000));
    assert_eq!(space.find_space(0x1000, 0x6000), Some(0x9000));
    assert_eq!(space.region_at(0x8fff).map(|r| r.start), Some(0x8000));
    assert_eq!(space.region_at(0x9000), None);
}

#[test]
fn copyin_and_copyout_stop_at_the_first_bad_byte() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    let data: Vec<u8> = (0..=255).cycle().take(0x1800).collect();
    space.copyout(0x1400, &data).unwrap();
    let mut back = vec![0; data.len()];
    space.copyin(0x1400, &mut back).unwrap();
    assert_eq!(back, data);
    let refused = space.copyout(0x2ff0, &[7; 32]).unwrap_err();
    assert_eq!(refused, fault(0x3000, Access::Write, FaultCause::NotMapped));
    assert_eq!(space.fubyte(0x2fff), Ok(7), "what came before the fault is copied");
}

#[test]
fn strings_end_at_nul_limit_or_fault() {
    let mut space = empty();
    space.map_anon(0x1000, 0x2000, RW).unwrap();
    space.copyout(0x1ffd, b"hello\0").unwrap();
    assert_eq!(space.copyinstr(0x1ffd, 100).unwrap(), b"hello");
    assert_eq!(space.copyinstr(0x1ffd, 6).unwrap(), b"hello");
    assert_eq!(space.copyinstr(0x1ffd, 5), Err(CopyStr::TooLong));
    space.copyout(0x2ffe, b"ab").unwrap();
    let end = fault(0x3000, Access::Read, FaultCause::NotMapped);
    assert_eq!(space.copyinstr(0x2ffe, 100), Err(CopyStr::Fault(end)));
    assert_eq!(space.copyinstr(0x2ffe, 2), Err(CopyStr::TooLong));
}

#[test]
fn fetch_gives_the_bytes_that_exist() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RW).unwrap();
    space.copyout(0x1ff8, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut bytes = [0; 16];
    assert_eq!(space.fetch(0x1ff8, &mut bytes), 8);
    assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(space.fetch(0x1000, &mut bytes), 16);
    assert_eq!(space.fetch(0x3000, &mut bytes), 0);
    assert_eq!(space.fetch_fault(0x3000), Some(fault(0x3000, Access::Fetch, FaultCause::NotMapped)));
}

#[test]
fn poke_ignores_write_protection_but_not_holes() {
    let mut space = empty();
    space.map_anon(0x1000, 0x1000, RO).unwrap();
    space.poke(0x1000, b"text").unwrap();
    assert_eq!(space.fuword(0x1000), Ok(u32::from_le_bytes(*b"text")));
    assert!(space.suword(0x1000, 0).is_err(), "still read-only for the guest");
    assert_eq!(space.poke(0x1ffe, b"text").unwrap_err().address, 0x2000);
    let child = space.fork().unwrap();
    assert_eq!(child.fuword(0x1000), Ok(u32::from_le_bytes(*b"text")));
}
