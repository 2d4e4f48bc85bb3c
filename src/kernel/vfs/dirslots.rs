//! Where the entries of a directory lie: they stay there while others come and go.
//!
//! A position that a program keeps (telldir) leads to the same entries after others were removed, after
//! rewinding, and after the directory was closed and opened again.  As in the original a removed entry leaves
//! a hole or lengthens the one before it, and a new one takes the first room that is large enough; nothing ever
//! moves.  Entries that were already there when a directory was first read are in the order of their names.
//!
//! Must not know the host or vnodes.  2.1 counterpart: ufs_direnter and ufs_dirremove in ufs/ufs/ufs_lookup.c.

use std::collections::HashMap;

use super::directory::{DIRBLKSIZ, Entry, HEADER, blocks, record_size};

/// Most bytes of all directories together that are kept; those read last stay.
const KEPT: usize = 8 << 20;

/// What stands for a directory: mount, device and inode.
pub(super) type Key = (usize, u64, u64);

/// Directories that were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    kept: HashMap<Key, (u64, Vec<u8>)>,
    bytes: usize,
    clock: u64,
}

impl Slots {
    /// The directory as it was last read.
    pub(super) fn get(&self, key: Key) -> Option<&[u8]> {
        self.kept.get(&key).map(|(_, file)| &file[..])
    }

    /// The directory is gone: its number may come back for another one.
    pub(super) fn forget(&mut self, key: Key) {
        if let Some((_, file)) = self.kept.remove(&key) {
            self.bytes -= file.len();
        }
    }

    /// The directory as it is now.
    pub(super) fn update(&mut self, key: Key, entries: &[Entry]) -> &[u8] {
        let (_, old) = self.kept.remove(&key).unwrap_or_default();
        self.bytes -= old.len();
        let file = if old.is_empty() { blocks(entries) } else { settle(old, entries) };
        while self.bytes + file.len() > KEPT
            && let Some((&oldest, _)) = self.kept.iter().min_by_key(|(_, (stamp, _))| *stamp)
        {
            self.bytes -= self.kept.remove(&oldest).map_or(0, |(_, file)| file.len());
        }
        self.bytes += file.len();
        self.clock += 1;
        let (_, file) = self.kept.entry(key).or_insert((self.clock, file));
        file
    }
}

/// One record of a directory file.
struct Record {
    at: usize,
    size: usize,
    /// Bytes of its entry; 0 for a hole.
    used: usize,
}

/// The record at an offset, as long as it is whole.
fn record(file: &[u8], at: usize) -> Option<Record> {
    let header = file.get(at..at + HEADER)?;
    let (ino, rest) = header.split_at(4);
    let size = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
    let used = if ino == [0; 4] { 0 } else { record_size(usize::from(rest[3])) };
    (size >= HEADER && used <= size && at + size <= file.len()).then_some(Record { at, size, used })
}

fn name<'a>(file: &'a [u8], record: &Record) -> &'a [u8] {
    let length = file.get(record.at + 7).copied().map_or(0, usize::from);
    file.get(record.at + HEADER..record.at + HEADER + length).unwrap_or_default()
}

fn set_size(file: &mut [u8], at: usize, size: usize) {
    if let Some(field) = file.get_mut(at + 4..at + 6) {
        field.copy_from_slice(&(size as u16).to_le_bytes());
    }
}

/// Brings a directory file up to date; no entry that stays moves.
fn settle(mut file: Vec<u8>, entries: &[Entry]) -> Vec<u8> {
    let mut missing: HashMap<&[u8], &Entry> = entries.iter().map(|entry| (&entry.name[..], entry)).collect();
    remove(&mut file, &mut missing);
    let mut new: Vec<&Entry> = missing.into_values().collect();
    new.sort_by(|a, b| a.name.cmp(&b.name));
    let mut new = new.into_iter().peekable();
    let mut at = 0;
    while let Some(entry) = new.peek()
        && let Some(Record { size, used, .. }) = record(&file, at)
    {
        let wanted = record_size(entry.name.len());
        if size - used < wanted {
            at += size;
            continue;
        }
        if used > 0 {
            set_size(&mut file, at, used);
        }
        put(&mut file, at + used, size - used, entry);
        at += used;
        new.next();
    }
    let rest: Vec<Entry> = new.cloned().collect();
    file.extend(blocks(&rest));
    file
}

/// Takes entries out that are gone, and out of `missing` those that are there.
fn remove(file: &mut [u8], missing: &mut HashMap<&[u8], &Entry>) {
    let (mut at, mut before) = (0, None);
    while let Some(this) = record(file, at) {
        let first = at % DIRBLKSIZ == 0;
        let stays = if this.used > 0 { missing.remove(name(file, &this)) } else { None };
        match stays {
            Some(entry) => {
                if let Some(header) = file.get_mut(at..at + HEADER) {
                    header[..4].copy_from_slice(&entry.fileno.to_le_bytes());
                    header[6] = entry.kind;
                }
                before = Some(at);
            }
            None if first => {
                if let Some(header) = file.get_mut(at..at + 4) {
                    header.fill(0);
                }
                before = Some(at);
            }
            None => {
                if let Some(before) = before {
                    set_size(file, before, at + this.size - before);
                }
            }
        }
        at += this.size;
    }
}

/// Writes an entry over `size` bytes that are free.
fn put(file: &mut [u8], at: usize, size: usize, entry: &Entry) {
    let Some(room) = file.get_mut(at..at + size) else { return };
    let Some((header, behind)) = room.split_at_mut_checked(HEADER) else { return };
    header[..4].copy_from_slice(&entry.fileno.to_le_bytes());
    header[4..6].copy_from_slice(&(size as u16).to_le_bytes());
    header[6] = entry.kind;
    header[7] = entry.name.len() as u8;
    behind.fill(0);
    if let Some(name) = behind.get_mut(..entry.name.len()) {
        name.copy_from_slice(&entry.name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entries(names: &[String]) -> Vec<Entry> {
        let entry = |name: &String| Entry { fileno: 7, kind: 8, name: name.clone().into_bytes() };
        names.iter().map(entry).collect()
    }

    /// Names and where they are.
    fn read(file: &[u8]) -> BTreeMap<Vec<u8>, usize> {
        let mut found = BTreeMap::new();
        let mut at = 0;
        while at < file.len() {
            let this = record(file, at).expect("a whole record");
            assert_eq!(at / DIRBLKSIZ, (at + this.size - 1) / DIRBLKSIZ, "no record crosses a block");
            if this.used > 0 {
                assert!(found.insert(name(file, &this).to_vec(), at).is_none(), "each name is there once");
            }
            at += this.size;
        }
        assert_eq!(at, file.len());
        found
    }

    proptest! {
        #[test]
        fn what_stays_does_not_move_and_what_is_new_is_there(
            rounds in prop::collection::vec(prop::collection::btree_set("[a-c]{1,40}", 0..60), 1..8),
        ) {
            let mut slots = Slots::default();
            let mut before = BTreeMap::new();
            for names in rounds {
                let names: Vec<String> = names.into_iter().collect();
                let now = read(slots.update((0, 0, 0), &entries(&names)));
                let found: Vec<&[u8]> = now.keys().map(|name| &name[..]).collect();
                prop_assert_eq!(found, names.iter().map(String::as_bytes).collect::<Vec<_>>());
                for (name, at) in &before {
                    prop_assert!(now.get(name).is_none_or(|now| now == at), "{:?} moved", name);
                }
                before = now;
            }
        }
    }

    #[test]
    fn holes_are_used_again() {
        let names = |n: std::ops::Range<u32>| n.map(|n| format!("file{n:04}")).collect::<Vec<_>>();
        let mut slots = Slots::default();
        let size = slots.update((0, 0, 0), &entries(&names(0..500))).len();
        for round in 1..50 {
            let now = slots.update((0, 0, 0), &entries(&names(round * 7..500 + round * 7))).len();
            assert!(now <= size + DIRBLKSIZ, "round {round}: {now} bytes of {size}");
        }
    }

    #[test]
    fn directories_that_nobody_reads_are_let_go() {
        let names: Vec<String> = (0..40_000).map(|n| format!("a-name-of-some-length-{n:06}")).collect();
        let mut slots = Slots::default();
        for n in 0..20 {
            slots.update((0, 0, n), &entries(&names));
        }
        assert!(slots.bytes <= KEPT && slots.get((0, 0, 19)).is_some() && slots.get((0, 0, 0)).is_none());
    }
}
