//! Runs of operands for the string instructions: as much of a `rep` as memory allows at once.
//!
//! Each operation does whole elements from the given addresses in the given direction, stops before
//! anything that is not the fast path (a page that refuses, watched code, the first store to a page
//! that it cannot prepare, the end of the 4 GiB) and says how many elements it did.  With zero
//! the caller does one element by load and store, which also finds the fault.  The result is
//! always that of doing the elements one by one, overlapping operands included.
//!
//! Safe for the reasons given in [`super::view`].
#![allow(unsafe_code)] // the island of D5: each block carries its proof

use std::ptr;

use super::page::{PAGE_SIZE, READ, STORE};
use super::view::View;
use crate::trapframe::Access;

/// Most bytes of one step, so that a caller can look at its budget between.
const STEP: u32 = 64 << 10;

/// Where a string operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Addresses grow (DF clear).
    Up,
    /// Addresses shrink (DF set).
    Down,
}

/// Width of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Width {
    /// A byte.
    Byte = 1,
    /// Two bytes.
    Word = 2,
    /// Four bytes.
    Dword = 4,
}

/// What a scan did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Elements compared, the last one included.
    pub done: u32,
    /// The last element compared ended the scan.
    pub stopped: bool,
}

impl View<'_> {
    /// `rep movs`: copies up to `count` elements from `src` to `dst`.
    pub fn rep_movs(self, dst: u32, src: u32, width: Width, count: u32, way: Direction) -> u32 {
        let n = self.run(src, width, count, way, Access::Read);
        let n = self.run(dst, width, n, way, Access::Write);
        let size = width as u32;
        let distance = match way {
            Direction::Up => dst.wrapping_sub(src),
            Direction::Down => src.wrapping_sub(dst),
        };
        // Copied one by one, bytes that were just written are read again after `distance` bytes.
        let whole = if distance == 0 || distance >= n * size { n } else { distance / size };
        if whole == 0 && n > 0 {
            for i in 0..n {
                let (from, to) = (step(src, i, size, way), step(dst, i, size, way));
                // SAFETY: both elements lie in runs whose pages allow the access.
                unsafe { ptr::copy(self.at::<u8>(from).as_ptr(), self.at::<u8>(to).as_ptr(), size as usize) };
            }
            return n;
        }
        let mut done = 0;
        while done < n {
            let now = whole.min(n - done);
            let from = lowest(step(src, done, size, way), now, size, way);
            let to = lowest(step(dst, done, size, way), now, size, way);
            // SAFETY: both ranges lie in runs whose pages allow the access; `copy` may overlap.
            unsafe {
                ptr::copy(self.at::<u8>(from).as_ptr(), self.at::<u8>(to).as_ptr(), (now * size) as usize);
            }
            done += now;
        }
        n
    }

    /// `rep stos`: stores `value` up to `count` times.
    pub fn rep_stos(self, dst: u32, value: u32, width: Width, count: u32, way: Direction) -> u32 {
        let n = self.run(dst, width, count, way, Access::Write);
        let size = width as u32;
        let at = lowest(dst, n, size, way);
        let [a, b, c, d] = value.to_le_bytes();
        let bytes = match width {
            Width::Byte => [a; 4],
            Width::Word => [a, b, a, b],
            Width::Dword => [a, b, c, d],
        };
        let len = n * size;
        if bytes == [a; 4] {
            // SAFETY: the range lies in a run whose pages allow stores.
            unsafe { self.at::<u8>(at).write_bytes(a, len as usize) };
            return n;
        }
        for i in 0..len / 4 {
            // SAFETY: as before; four bytes at 4 * i end at or before `len`.
            unsafe { self.at::<[u8; 4]>(at + 4 * i).write(bytes) };
        }
        if !len.is_multiple_of(4) {
            // SAFETY: as before; only words leave two bytes over.
            unsafe { self.at::<[u8; 2]>(at + (len & !3)).write([a, b]) };
        }
        n
    }

    /// `repe scas` (`while_equal`) and `repne scas`: compares up to `count` elements with `value`
    /// and stops behind the first whose equality is not `while_equal`.
    pub fn rep_scas(
        self,
        addr: u32,
        value: u32,
        width: Width,
        count: u32,
        way: Direction,
        while_equal: bool,
    ) -> Scanned {
        let n = self.run(addr, width, count, way, Access::Read);
        let value = value & (u32::MAX >> (32 - 8 * width as u32));
        self.scan(n, while_equal, |i| self.element(step(addr, i, width as u32, way), width) == value)
    }

    /// `repe cmps` (`while_equal`) and `repne cmps`: compares up to `count` pairs of elements and
    /// stops behind the first pair whose equality is not `while_equal`.
    pub fn rep_cmps(
        self,
        left: u32,
        right: u32,
        width: Width,
        count: u32,
        way: Direction,
        while_equal: bool,
    ) -> Scanned {
        let n = self.run(left, width, count, way, Access::Read);
        let n = self.run(right, width, n, way, Access::Read);
        let size = width as u32;
        self.scan(n, while_equal, |i| {
            self.element(step(left, i, size, way), width) == self.element(step(right, i, size, way), width)
        })
    }

    #[inline(always)]
    fn scan(self, n: u32, while_equal: bool, equal: impl Fn(u32) -> bool) -> Scanned {
        for i in 0..n {
            if equal(i) != while_equal {
                return Scanned { done: i + 1, stopped: true };
            }
        }
        Scanned { done: n, stopped: false }
    }

    /// An element inside a run that allows loads.
    #[inline(always)]
    fn element(self, addr: u32, width: Width) -> u32 {
        // SAFETY: callers pass elements of a run whose pages allow loads.
        unsafe {
            match width {
                Width::Byte => u32::from(self.at::<u8>(addr).read()),
                Width::Word => u32::from(self.at::<u16>(addr).read_unaligned()),
                Width::Dword => self.at::<u32>(addr).read_unaligned(),
            }
        }
    }

    /// How many of `count` elements can be accessed without leaving the fast path; never more than
    /// STEP bytes, never past either end of the space.
    fn run(self, addr: u32, width: Width, count: u32, way: Direction, access: Access) -> u32 {
        let size = width as u32;
        let bit = if access == Access::Write { STORE } else { READ };
        let wanted = u64::from(count.min(STEP / size)) * u64::from(size);
        // The range of bytes, low inclusive, high exclusive; clipped to whole elements inside 4 GiB.
        let (low, high) = match way {
            Direction::Up => (u64::from(addr), (u64::from(addr) + wanted).min(1 << 32)),
            Direction::Down => {
                let high = u64::from(addr) + u64::from(size);
                (high.saturating_sub(wanted), high)
            }
        };
        if high > 1 << 32 || wanted == 0 {
            return 0;
        }
        let space = self.space();
        let open = |page: u64| {
            let Ok(addr) = u32::try_from(page * u64::from(PAGE_SIZE)) else { return false };
            self.open(addr, 1, bit)
                || (access == Access::Write
                    && space.admit(addr, Access::Write).is_ok()
                    && self.open(addr, 1, bit))
        };
        let (first, last) = (low / u64::from(PAGE_SIZE), (high - 1) / u64::from(PAGE_SIZE));
        let bytes = match way {
            Direction::Up => {
                let good = (first..=last).find(|&page| !open(page)).map(|page| page * u64::from(PAGE_SIZE));
                good.unwrap_or(high).min(high).saturating_sub(low)
            }
            Direction::Down => {
                let bad = (first..=last).rev().find(|&page| !open(page));
                high.saturating_sub(bad.map_or(low, |page| (page + 1) * u64::from(PAGE_SIZE)).max(low))
            }
        };
        u32::try_from(bytes).unwrap_or(0) / size
    }
}

/// Address of element `i`.
#[inline(always)]
fn step(addr: u32, i: u32, size: u32, way: Direction) -> u32 {
    match way {
        Direction::Up => addr.wrapping_add(i.wrapping_mul(size)),
        Direction::Down => addr.wrapping_sub(i.wrapping_mul(size)),
    }
}

/// Lowest address of `n` elements from `addr`.
fn lowest(addr: u32, n: u32, size: u32, way: Direction) -> u32 {
    match way {
        Direction::Up => addr,
        Direction::Down => step(addr, n.saturating_sub(1), size, way),
    }
}
