//! Advisory locks of one file: ranges, their owners, and who waits for them.
//!
//! A pure state machine: it says what is granted, what blocks, and which waiters are to be woken; the
//! sleeping is in `locking`.  Ranges are kept exactly as the original keeps them, negative lengths
//! included.
//!
//! Must not know files or guest memory.  2.1 counterpart: kern/kern_lockf.c.

use crate::kernel::file::FileId;
use crate::kernel::proc::ProcId;

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process: record locks of fcntl.
    Process(ProcId),
    /// An open file: locks of flock.
    File(FileId),
    /// Somebody outside of this run; never in a list.
    Foreign,
}

/// Kinds of locks, with the numbers of `l_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shared (F_RDLCK).
    Read = 1,
    /// Exclusive (F_WRLCK).
    Write = 3,
}

/// A range and who wants or holds it how (`struct lockf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// First byte.
    pub start: i64,
    /// Last byte; -1 for the end of the file, wherever it is.
    pub end: i64,
    /// Who.
    pub owner: Owner,
    /// How.
    pub kind: Kind,
}

/// A lock that is held.
#[derive(Clone, Debug)]
struct Lockf {
    claim: Claim,
    /// Numbers of those who wait for it, in order (`lf_block`).
    waiters: Vec<u64>,
}

/// How two ranges meet, with the numbers of the original's cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlap {
    /// 1: the same range.
    Same,
    /// 2: the old lock contains the new one.
    Contains,
    /// 3: the new lock contains the old one.
    Contained,
    /// 4: the old lock starts before the new one.
    StartsBefore,
    /// 5: the old lock ends after the new one.
    EndsAfter,
}

/// Whose locks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Others,
}

/// The locks of one file, in the original's order.
#[derive(Clone, Debug, Default)]
pub struct LockList {
    locks: Vec<Lockf>,
}

/// How an old range meets a new one; `None` if they are apart.
fn meet(old: &Claim, new: &Claim) -> Option<Overlap> {
    let (start, end) = (new.start, new.end);
    if (old.end != -1 && start > old.end) || (end != -1 && old.start > end) {
        None
    } else if old.start == start && old.end == end {
        Some(Overlap::Same)
    } else if old.start <= start && end != -1 && (old.end >= end || old.end == -1) {
        Some(Overlap::Contains)
    } else if start <= old.start && (end == -1 || (old.end != -1 && end >= old.end)) {
        Some(Overlap::Contained)
    } else if old.start < start {
        Some(Overlap::StartsBefore)
    } else {
        Some(Overlap::EndsAfter)
    }
}

impl LockList {
    /// How many ranges are locked.
    pub fn count(&self) -> usize {
        self.locks.len()
    }

    /// How a range is locked by anybody, in pieces: first and last byte and the strongest lock there.
    pub fn strongest(&self, (start, end): (i64, i64)) -> Vec<(i64, i64, Option<Kind>)> {
        let last = |end: i64| if end == -1 { i64::MAX } else { end };
        let end = last(end);
        let held = || {
            let spans =
                self.locks.iter().map(|lock| (lock.claim.start, last(lock.claim.end), lock.claim.kind));
            spans.filter(move |&(from, to, _)| from <= to && from <= end && to >= start)
        };
        let mut borders = vec![start];
        for (from, to, _) in held() {
            borders.push(from.max(start));
            borders.extend(to.checked_add(1).filter(|&next| next <= end));
        }
        borders.sort_unstable();
        borders.dedup();
        let mut pieces: Vec<(i64, i64, Option<Kind>)> = Vec::new();
        for (n, &from) in borders.iter().enumerate() {
            let to = borders.get(n + 1).map_or(end, |next| next - 1);
            let here =
                held().filter(|&(first, last, _)| first <= from && last >= to).map(|(_, _, kind)| kind);
            let kind = here.max_by_key(|&kind| kind as u8);
            match pieces.last_mut() {
                Some(before) if before.2 == kind => before.1 = to,
                _ => pieces.push((from, to, kind)),
            }
        }
        pieces
    }

    /// The strongest lock of an open file, as flock takes them.
    pub fn strongest_of_files(&self) -> Option<Kind> {
        let files = self.locks.iter().filter(|lock| matches!(lock.claim.owner, Owner::File(_)));
        files.map(|lock| lock.claim.kind).max_by_key(|&kind| kind as u8)
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// The first lock of somebody else that forbids `claim` (`lf_getblock`).
    pub fn blocker(&self, claim: &Claim) -> Option<Claim> {
        self.blocking(claim).map(|index| self.locks[index].claim)
    }

    /// Queues waiter `number` behind what blocks `claim` and gives that lock; `None` if nothing does.
    pub fn enqueue(&mut self, claim: &Claim, number: u64) -> Option<Claim> {
        let index = self.blocking(claim)?;
        self.locks[index].waiters.push(number);
        Some(self.locks[index].claim)
    }

    /// Takes a waiter out of the queue that it is in: its sleep was interrupted.
    pub fn dequeue(&mut self, number: u64) {
        for lock in &mut self.locks {
            lock.waiters.retain(|&other| other != number);
        }
    }

    /// Adds a lock that nothing blocks; own locks in the range give way.  Gives the waiters to wake.
    pub fn add(&mut self, claim: Claim) -> Vec<u64> {
        let mut woken = Vec::new();
        let mut new = Some(Lockf { claim, waiters: Vec::new() });
        // Where the new lock was put, once it is in the list.
        let mut placed = 0;
        let mut from = 0;
        loop {
            let (case, at) = self.find(from, &claim, Whose::Own);
            let Some(case) = case else {
                if let Some(new) = new {
                    self.locks.insert(at, new);
                }
                return woken;
            };
            let old = self.locks[at].claim;
            let downgrade = claim.kind == Kind::Read && old.kind == Kind::Write;
            match case {
                Overlap::Same => {
                    if downgrade {
                        self.wake(at, &mut woken);
                    }
                    self.locks[at].claim.kind = claim.kind;
                    return woken;
                }
                Overlap::Contains => {
                    if old.kind == claim.kind {
                        return woken;
                    }
                    let Some(new) = new else { return woken };
                    let at = if old.start == claim.start {
                        self.locks.insert(at, new);
                        self.locks[at + 1].claim.start = claim.end.wrapping_add(1);
                        at + 1
                    } else {
                        self.split(at, &claim);
                        self.locks.insert(at + 1, new);
                        at
                    };
                    self.wake(at, &mut woken);
                    return woken;
                }
                Overlap::Contained => {
                    let mut gone = self.locks.remove(at);
                    let waiters = std::mem::take(&mut gone.waiters);
                    let (index, next) = match new.take() {
                        Some(new) => {
                            self.locks.insert(at, new);
                            placed = at;
                            (at, at + 1)
                        }
                        None => (placed, at),
                    };
                    if downgrade {
                        woken.extend(waiters);
                    } else {
                        // Those who waited for the old lock wait for the new one.
                        self.locks[index].waiters.splice(0..0, waiters);
                    }
                    from = next;
                }
                Overlap::StartsBefore => {
                    self.locks[at].claim.end = claim.start.wrapping_sub(1);
                    self.wake(at, &mut woken);
                    if let Some(new) = new.take() {
                        self.locks.insert(at + 1, new);
                        placed = at + 1;
                    }
                    from = at + 2;
                }
                Overlap::EndsAfter => {
                    let mut at = at;
                    if let Some(new) = new {
                        self.locks.insert(at, new);
                        at += 1;
                    }
                    self.locks[at].claim.start = claim.end.wrapping_add(1);
                    self.wake(at, &mut woken);
                    return woken;
                }
            }
        }
    }

    /// Takes a range away from its owner (`lf_clearlock`).  Gives the waiters to wake.
    pub fn clear(&mut self, range: &Claim) -> Vec<u64> {
        let mut woken = Vec::new();
        let mut from = 0;
        while let (Some(case), at) = self.find(from, range, Whose::Own) {
            self.wake(at, &mut woken);
            match case {
                Overlap::Same => {
                    self.locks.remove(at);
                    break;
                }
                Overlap::Contains => {
                    if self.locks[at].claim.start == range.start {
                        self.locks[at].claim.start = range.end.wrapping_add(1);
                    } else {
                        self.split(at, range);
                    }
                    break;
                }
                Overlap::Contained => {
                    self.locks.remove(at);
                    from = at;
                }
                Overlap::StartsBefore => {
                    self.locks[at].claim.end = range.start.wrapping_sub(1);
                    from = at + 1;
                }
                Overlap::EndsAfter => {
                    self.locks[at].claim.start = range.end.wrapping_add(1);
                    break;
                }
            }
        }
        woken
    }

    /// Cuts the middle `range` out of a lock that contains it and does not start with it (`lf_split`).
    fn split(&mut self, at: usize, range: &Claim) {
        let old = self.locks[at].claim;
        self.locks[at].claim.end = range.start.wrapping_sub(1);
        if old.end != range.end {
            let rest = Claim { start: range.end.wrapping_add(1), ..old };
            self.locks.insert(at + 1, Lockf { claim: rest, waiters: Vec::new() });
        }
    }

    /// Empties the queue of a lock (`lf_wakelock`).
    fn wake(&mut self, at: usize, woken: &mut Vec<u64>) {
        woken.append(&mut self.locks[at].waiters);
    }

    /// The lock of somebody else that forbids a claim.
    fn blocking(&self, claim: &Claim) -> Option<usize> {
        let mut from = 0;
        while let (Some(_), at) = self.find(from, claim, Whose::Others) {
            if claim.kind == Kind::Write || self.locks[at].claim.kind == Kind::Write {
                return Some(at);
            }
            from = at + 1;
        }
        None
    }

    /// The first lock from `from` on that meets `claim`, and where it is; without one, where a new lock
    /// would be put (`lf_findoverlap`).
    fn find(&self, from: usize, claim: &Claim, whose: Whose) -> (Option<Overlap>, usize) {
        for (at, lock) in self.locks.iter().enumerate().skip(from) {
            let own = lock.claim.owner == claim.owner;
            if own != (whose == Whose::Own) {
                continue;
            }
            match meet(&lock.claim, claim) {
                Some(case) => return (Some(case), at),
                // Own locks are in order: none behind this one can meet.
                None if own && claim.end != -1 && lock.claim.start > claim.end => return (None, at),
                None => {}
            }
        }
        (None, self.locks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::arena::Arena;

    /// Owners without a process table.
    fn owners() -> (Owner, Owner) {
        let mut files = Arena::default();
        (Owner::File(files.insert_with(fake)), Owner::File(files.insert_with(fake)))
    }

    fn fake(_: FileId) -> crate::kernel::file::File {
        crate::kernel::file::File {
            flag: Default::default(),
            object: crate::kernel::file::FileObject::Unset,
            count: 1,
            msgcount: 0,
            cred: std::rc::Rc::new(crate::kernel::cred::Ucred { uid: 0, groups: vec![0] }),
            offset: 0,
        }
    }

    fn claim(owner: Owner, kind: Kind, start: i64, end: i64) -> Claim {
        Claim { start, end, owner, kind }
    }

    fn ranges(list: &LockList) -> Vec<(i64, i64, Kind)> {
        list.locks.iter().map(|lock| (lock.claim.start, lock.claim.end, lock.claim.kind)).collect()
    }

    #[test]
    fn another_kind_in_the_middle_splits() {
        let (me, _) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Write, 0, 99));
        list.add(claim(me, Kind::Read, 40, 59));
        assert_eq!(ranges(&list), [(0, 39, Kind::Write), (40, 59, Kind::Read), (60, 99, Kind::Write)]);
        list.add(claim(me, Kind::Write, 30, 70));
        assert_eq!(ranges(&list), [(0, 29, Kind::Write), (30, 70, Kind::Write), (71, 99, Kind::Write)]);
        list.clear(&claim(me, Kind::Write, 0, -1));
        assert!(list.is_empty());
    }

    #[test]
    fn unlocking_the_middle_leaves_both_ends() {
        let (me, _) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Write, 0, -1));
        list.clear(&claim(me, Kind::Write, 10, 19));
        assert_eq!(ranges(&list), [(0, 9, Kind::Write), (20, -1, Kind::Write)]);
    }

    #[test]
    fn readers_share_and_writers_exclude() {
        let (me, you) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Read, 0, 9));
        assert_eq!(list.blocker(&claim(you, Kind::Read, 5, 5)), None);
        let held = list.blocker(&claim(you, Kind::Write, 5, 5));
        assert_eq!(held, Some(claim(me, Kind::Read, 0, 9)));
        assert_eq!(list.blocker(&claim(you, Kind::Write, 10, -1)), None);
        assert_eq!(list.blocker(&claim(me, Kind::Write, 0, 3)), None, "one's own lock never blocks");
    }

    #[test]
    fn waiters_are_woken_when_the_lock_shrinks_and_move_when_it_grows() {
        let (me, you) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Write, 10, 19));
        list.enqueue(&claim(you, Kind::Write, 12, 12), 7);
        assert!(list.add(claim(me, Kind::Write, 0, 30)).is_empty());
        assert_eq!(list.clear(&claim(me, Kind::Write, 0, 5)), [7]);
    }

    #[test]
    fn the_strongest_locks_of_a_range_are_told_in_pieces() {
        let (me, you) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Read, 0, 9));
        list.add(claim(you, Kind::Read, 5, 14));
        list.add(claim(you, Kind::Write, 20, -1));
        let (read, write) = (Some(Kind::Read), Some(Kind::Write));
        let all = vec![(0, 14, read), (15, 19, None), (20, i64::MAX, write)];
        assert_eq!(list.strongest((0, -1)), all);
        assert_eq!(list.strongest((12, 21)), [(12, 14, read), (15, 19, None), (20, 21, write)]);
        assert_eq!(LockList::default().strongest((3, 4)), [(3, 4, None)]);
    }

    #[test]
    fn an_interrupted_waiter_leaves_its_queue() {
        let (me, you) = owners();
        let mut list = LockList::default();
        list.add(claim(me, Kind::Write, 0, -1));
        list.enqueue(&claim(you, Kind::Write, 0, 0), 1);
        list.enqueue(&claim(you, Kind::Write, 0, 0), 2);
        list.dequeue(1);
        assert_eq!(list.clear(&claim(me, Kind::Write, 0, -1)), [2]);
    }
}
