//! Files under mappings.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::{RO, RW, empty, fault};
use crate::mem::{AddressSpace, FileId, FileMode, Prot, Sharing, Written};
use crate::trapframe::{Access, FaultCause};

pub(super) const ID: FileId = FileId { dev: 1, ino: 2 };

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A file of `pages` pages, each filled with its number plus one.
pub(super) fn numbered(pages: u8) -> File {
    let bytes: Vec<u8> = (1..=pages).flat_map(|n| [n; 0x1000]).collect();
    file(&bytes)
}

fn text(file: &mut File) -> Vec<u8> {
    let mut all = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut all).unwrap();
    all
}

fn both(test: impl Fn(AddressSpace)) {
    test(AddressSpace::with_mode(FileMode::Mapped).unwrap());
    test(AddressSpace::with_mode(FileMode::Copied).unwrap());
}

#[test]
fn a_file_is_read_up_to_its_end_and_zero_behind_it_in_the_last_page() {
    both(|mut space| {
        let f = file(b"contents");
        space.map_file(0x1000, 0x3000, RO, f.as_fd(), 0, Sharing::Private, ID).unwrap();
        let mut bytes = [9; 10];
        space.copyin(0x1000, &mut bytes).unwrap();
        assert_eq!(&bytes, b"contents\0\0");
        assert_eq!(space.fubyte(0x1fff), Ok(0));
        assert_eq!(space.fubyte(0x2000), Err(fault(0x2000, Access::Read, FaultCause::BeyondEof)));
        assert_eq!(space.view().load32(0x1ffe), Err(fault(0x2000, Access::Read, FaultCause::BeyondEof)));
        assert_eq!(space.subyte(0x2000, 1).unwrap_err().cause, FaultCause::Protection);
    });
}

#[test]
fn mappings_follow_a_file_that_is_copied() {
    both(|mut space| {
        let id = FileId { dev: 77, ino: 78 };
        let (old, new) = (numbered(3), numbered(3));
        space.map_file(0x1000, 0x3000, RW, old.as_fd(), 0, Sharing::Private, id).unwrap();
        space.map_file(0x8000, 0x4000, RO, old.as_fd(), 0, Sharing::Shared, id).unwrap();
        space.subyte(0x1000, b'p').unwrap();
        crate::mem::forget_mapped(id);
        space.move_file(id, new.as_fd()).unwrap();
        new.write_all_at(b"new", 0x1000).unwrap();
        old.write_all_at(b"old", 0x1000).unwrap();
        space.file_written(id, 0x1000, 3);
        let mut bytes = [0; 3];
        space.copyin(0x9000, &mut bytes).unwrap();
        assert_eq!(&bytes, b"new", "a shared page is the copy's");
        assert_eq!(space.fubyte(0x1000), Ok(b'p'), "a private page that was written stays");
        assert_eq!(space.fubyte(0x1001), Ok(1));
        assert_eq!(space.fubyte(0x3000), Ok(3));
        assert_eq!(space.fubyte(0xb000), Err(fault(0xb000, Access::Read, FaultCause::BeyondEof)));
    });
}

#[test]
fn private_stores_do_not_reach_the_file_and_shared_ones_do() {
    both(|mut space| {
        let mut f = numbered(2);
        space.map_file(0x1000, 0x1000, RW, f.as_fd(), 0, Sharing::Private, ID).unwrap();
        space.map_file(0x4000, 0x1000, RW, f.as_fd(), 0x1000, Sharing::Shared, ID).unwrap();
        space.subyte(0x1000, b'p').unwrap();
        space.subyte(0x4000, b's').unwrap();
        space.sync(0x1000, 0x4000, true).unwrap();
        let all = text(&mut f);
        assert_eq!((all[0], all[0x1000]), (1, b's'));
        assert_eq!(all.len(), 0x2000);
        assert_eq!(space.fubyte(0x1000), Ok(b'p'));
    });
}

#[test]
fn unmapping_writes_shared_copies_back() {
    both(|mut space| {
        let mut f = numbered(1);
        space.map_file(0x1000, 0x1000, RW, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
        space.subyte(0x1fff, 42).unwrap();
        space.unmap(0x1000, 0x1000).unwrap();
        assert_eq!(text(&mut f)[0xfff], 42);
        space.map_anon(0x1000, 0x1000, RW).unwrap();
        assert_eq!(space.fuword(0x1000), Ok(0));
    });
}

#[test]
fn a_file_open_for_reading_never_becomes_writable_memory() {
    let mut space = empty();
    let named = tempfile::NamedTempFile::new().unwrap();
    named.as_file().write_all(b"x").unwrap();
    let f = File::open(named.path()).unwrap();
    assert!(space.map_file(0x1000, 0x1000, RW, f.as_fd(), 0, Sharing::Shared, ID).is_err());
    space.map_file(0x1000, 0x1000, RO, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
    assert!(space.protect(0x1000, 0x1000, RW).is_err());
    assert!(space.poke(0x1000, b"y").is_err());
    space.map_file(0x2000, 0x1000, RW, f.as_fd(), 0, Sharing::Private, ID).unwrap();
    space.suword(0x2000, 1).unwrap();
}

#[test]
fn truncation_by_the_guest_takes_pages_away_but_not_written_private_ones() {
    both(|mut space| {
        let f = numbered(3);
        space.map_file(0x1000, 0x3000, RW, f.as_fd(), 0, Sharing::Private, ID).unwrap();
        space.map_file(0x8000, 0x3000, RW, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
        space.subyte(0x3001, 77).unwrap();
        space.truncate_file(ID, 0x800).unwrap();
        f.set_len(0x800).unwrap();
        assert_eq!(space.fubyte(0x9000).unwrap_err().cause, FaultCause::BeyondEof);
        assert_eq!(space.subyte(0xa000, 1).unwrap_err().cause, FaultCause::BeyondEof);
        assert_eq!(space.fubyte(0x8000), Ok(1));
        assert_eq!(space.fubyte(0x3001), Ok(77), "a page of its own");
        assert_eq!(space.fubyte(0x3002), Ok(3));
        let mut child = space.fork().unwrap();
        assert_eq!(child.fubyte(0x3001), Ok(77));
        assert_eq!(child.fubyte(0x9000).unwrap_err().cause, FaultCause::BeyondEof);

        f.set_len(0x3000).unwrap();
        for space in [&mut space, &mut child] {
            space.note_file_size(ID, 0x3000).unwrap();
            assert_eq!(space.fubyte(0x9000), Ok(0));
            assert_eq!(space.fubyte(0x3001), Ok(77));
        }
        space.suword(0xa000, 5).unwrap();
        space.sync(0xa000, 0x1000, true).unwrap();
        let mut byte = [0];
        f.read_exact_at(&mut byte, 0x2000).unwrap();
        assert_eq!(byte, [5]);
    });
}

#[test]
fn truncation_from_outside_is_a_fault_and_not_a_crash() {
    let mut space = empty();
    let f = numbered(3);
    space.map_file(0x1000, 0x3000, RW, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
    space.map_file(0x8000, 0x3000, RW, f.as_fd(), 0, Sharing::Private, ID).unwrap();
    space.view().store8(0x9000, 1).unwrap();
    f.set_len(0x1000).unwrap();
    let refused = fault(0x2004, Access::Read, FaultCause::BeyondEof);
    assert_eq!(space.fuword(0x2004), Err(refused));
    assert_eq!(space.take_bus_fault(), None);
    assert_eq!(space.fuword(0x2004), Err(refused), "and from then on precisely");
    assert_eq!(space.suword(0x3000, 1), Err(fault(0x3000, Access::Write, FaultCause::BeyondEof)));
    let mut code = [0; 16];
    // Seen by somebody, or the optimiser may leave the access out.
    let seen = std::hint::black_box(&mut code);
    assert_eq!(space.fetch(0x9ff8, seen), 0, "no code of zeros");
    std::hint::black_box(&code);
    let view = space.view();
    assert_eq!(view.load8(0xa001), Ok(0), "the processor asks at the end of its block");
    assert_eq!(space.take_bus_fault().map(|f| f.address), Some(0xa001));
    assert_eq!(view.load8(0xa001).unwrap_err().cause, FaultCause::BeyondEof);
    assert_eq!(space.fubyte(0x1000), Ok(1));
}

#[test]
fn text_is_shared_and_data_copied_by_fork() {
    both(|mut space| {
        let f = numbered(4);
        space.map_file(0, 0x2000, RO, f.as_fd(), 0, Sharing::Private, ID).unwrap();
        space.map_file(0x2000, 0x2000, RW, f.as_fd(), 0x2000, Sharing::Private, ID).unwrap();
        space.subyte(0x3000, 200).unwrap();
        let child = space.fork().unwrap();
        space.subyte(0x3000, 201).unwrap();
        child.subyte(0x2000, 202).unwrap();
        let bytes: Vec<_> = [0, 0x1000, 0x2000, 0x3000].map(|at| child.fubyte(at)).into_iter().collect();
        assert_eq!(bytes, [Ok(1), Ok(2), Ok(202), Ok(200)]);
        assert_eq!(space.fubyte(0x2000), Ok(3));
        assert_eq!(space.regions().collect::<Vec<_>>(), child.regions().collect::<Vec<_>>());
    });
}

#[test]
fn regions_of_a_file_split_with_their_offsets() {
    let mut space = empty();
    let f = numbered(4);
    space.map_file(0x1000, 0x4000, RO, f.as_fd(), 0, Sharing::Private, ID).unwrap();
    space.unmap(0x2000, 0x1000).unwrap();
    let offsets: Vec<_> = space.regions().map(|r| (r.start, r.backing)).collect();
    let backing = |offset| crate::mem::Backing::File { id: ID, offset, sharing: Sharing::Private };
    assert_eq!(offsets, [(0x1000, backing(0)), (0x3000, backing(0x2000))]);
    assert_eq!(space.fubyte(0x3000), Ok(3));
    space.protect(0x4000, 0x1000, RW).unwrap();
    space.subyte(0x4000, 9).unwrap();
    assert_eq!(space.fubyte(0x3000), Ok(3));
}

#[test]
fn code_is_watched_through_every_shared_mapping_of_its_page() {
    let mut space = empty();
    let f = numbered(2);
    space.map_file(0x1000, 0x2000, RO, f.as_fd(), 0, Sharing::Private, ID).unwrap();
    space.map_file(0x8000, 0x2000, RW, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
    space.watch_code(0x2010, 8);
    assert_eq!(space.view().store8(0x8010, 1), Ok(Written::Data));
    assert_eq!(space.view().store8(0x9012, 1), Ok(Written::Code));
    let mut hits = space.take_code_writes();
    hits.sort_unstable();
    assert_eq!(hits, [(0x2000, 64), (0x9000, 64)]);

    space.watch_code(0x2010, 8);
    space.map_file(0xc000, 0x1000, RW, f.as_fd(), 0x1000, Sharing::Shared, ID).unwrap();
    assert_eq!(space.view().store8(0xc012, 1), Ok(Written::Code));
    assert!(space.take_code_writes().contains(&(0x2000, 64)));
}

#[test]
fn writing_a_file_reports_code_that_was_decoded_from_it() {
    both(|mut space| {
        let f = numbered(2);
        space.map_file(0x1000, 0x2000, RO, f.as_fd(), 0, Sharing::Shared, ID).unwrap();
        space.watch_code(0x2000, 8);
        space.file_written(ID, 0, 0x10);
        assert!(!space.code_written());
        f.write_all_at(b"new", 0x1001).unwrap();
        space.file_written(ID, 0x1001, 3);
        assert_eq!(space.take_code_writes(), [(0x2000, 64)]);
        assert_eq!(space.fuword(0x2000), Ok(u32::from_le_bytes(*b"\x02new")));
    });
}

#[test]
fn write_only_file_mapping_is_not_readable_before_it_is_present() {
    let mut space = empty();
    let f = numbered(1);
    space.map_file(0x1000, 0x1000, Prot::WRITE, f.as_fd(), 0, Sharing::Private, ID).unwrap();
    assert_eq!(space.fubyte(0x1000).unwrap_err().cause, FaultCause::Protection);
    space.subyte(0x1001, 0).unwrap();
    assert_eq!(space.fubyte(0x1000), Ok(1));
}

#[test]
fn a_copy_of_a_file_is_on_its_own() {
    both(|mut space| {
        let f = numbered(2);
        f.set_len(0x1800).unwrap();
        space.map_copy(0x1000, 0x3000, RW, f.as_fd(), 0).unwrap();
        f.write_all_at(b"later", 0).unwrap();
        assert_eq!(space.fubyte(0x1000), Ok(1));
        assert_eq!(space.fubyte(0x27ff), Ok(2));
        assert_eq!(space.fubyte(0x2800), Ok(0));
        assert_eq!(space.fubyte(0x3fff), Ok(0), "beyond the file, zeros");
        let child = space.fork().unwrap();
        assert_eq!(child.fubyte(0x27ff), Ok(2));
    });
}
