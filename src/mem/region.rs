//! The ordered list of mapped ranges of an address space.
//!
//! A [`RegionMap`] holds disjoint ranges with an attribute each; it splits and joins them so that
//! a range with the same attribute throughout is one entry.  Pure bookkeeping: knows no memory and
//! not what the attribute means.
//!
//! 2.1 counterpart: the entries of a `vm_map` (vm/vm_map.c), `vm_map_clip_start`,
//! `vm_map_simplify_entry`, `vm_map_findspace`.

use std::collections::BTreeMap;

/// What a range of a [`RegionMap`] carries.
pub trait Attribute: Clone {
    /// The attribute of the same range without its first `bytes` bytes.
    fn advanced(&self, bytes: u32) -> Self;
    /// Whether this range, directly behind one of `bytes` bytes with attribute `before`, continues it.
    fn continues(&self, before: &Self, bytes: u32) -> bool;
}

/// A range of addresses `start..end`; the end is wider than an address so that the last page counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First address.
    pub start: u32,
    /// Address behind the last one, at most 4 GiB.
    pub end: u64,
}

impl Span {
    /// The range of `len` bytes from `start`, or nothing when it is empty or passes 4 GiB.
    pub fn new(start: u32, len: u32) -> Option<Self> {
        let end = u64::from(start) + u64::from(len);
        (len > 0 && end <= 1 << 32).then_some(Self { start, end })
    }

    /// Bytes of the range.
    #[allow(clippy::cast_possible_truncation)] // a region never spans all 4 GiB
    pub fn len(self) -> u32 {
        (self.end - u64::from(self.start)) as u32
    }

    /// Whether nothing is in the range.
    pub fn is_empty(self) -> bool {
        self.end <= u64::from(self.start)
    }

    /// The part of both.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!both.is_empty()).then_some(both)
    }
}

/// Disjoint ranges in order of their addresses.
#[derive(Clone, Debug)]
pub struct RegionMap<T> {
    map: BTreeMap<u32, (u64, T)>,
}

impl<T> Default for RegionMap<T> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<T: Attribute> RegionMap<T> {
    /// All ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = (Span, &T)> {
        self.map.iter().map(|(&start, (end, attribute))| (Span { start, end: *end }, attribute))
    }

    /// The range that holds `addr`.
    pub fn at(&self, addr: u32) -> Option<(Span, &T)> {
        let (&start, (end, attribute)) = self.map.range(..=addr).next_back()?;
        (u64::from(addr) < *end).then_some((Span { start, end: *end }, attribute))
    }

    /// The parts of ranges inside `span`, in order, with their attributes advanced to these parts.
    pub fn inside(&self, span: Span) -> Vec<(Span, T)> {
        let first = self.at(span.start).map_or(span.start, |(found, _)| found.start);
        self.map
            .range(first..)
            .take_while(|&(&start, _)| u64::from(start) < span.end)
            .filter_map(|(&start, (end, attribute))| {
                let part = Span { start, end: *end }.intersection(span)?;
                Some((part, attribute.advanced(part.start - start)))
            })
            .collect()
    }

    /// Takes everything inside `span` out.
    pub fn carve(&mut self, span: Span) {
        self.split(u64::from(span.start));
        self.split(span.end);
        let gone: Vec<u32> = self.starts(span);
        for start in gone {
            self.map.remove(&start);
        }
    }

    /// Puts a range in, in place of what was there, and joins it with its neighbours.
    pub fn insert(&mut self, span: Span, attribute: T) {
        self.carve(span);
        self.map.insert(span.start, (span.end, attribute));
        self.join(u64::from(span.start));
        self.join(span.end);
    }

    /// Changes the attributes of everything inside `span`.
    pub fn update(&mut self, span: Span, mut change: impl FnMut(&mut T)) {
        self.split(u64::from(span.start));
        self.split(span.end);
        let inside = self.starts(span);
        for &start in &inside {
            if let Some((_, attribute)) = self.map.get_mut(&start) {
                change(attribute);
            }
        }
        for start in inside {
            self.join(u64::from(start));
        }
        self.join(span.end);
    }

    /// The lowest address from `hint` upwards with `len` free bytes behind it.
    pub fn find_space(&self, hint: u32, len: u32) -> Option<u32> {
        let mut candidate = match self.at(hint) {
            Some((span, _)) => span.end,
            None => u64::from(hint),
        };
        for (&start, (end, _)) in self.map.range(hint..) {
            if u64::from(start) >= candidate + u64::from(len) {
                break;
            }
            candidate = candidate.max(*end);
        }
        (candidate + u64::from(len) <= 1 << 32).then(|| u32::try_from(candidate).ok()).flatten()
    }

    /// Ranges.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many more ranges there would be if the borders of `span` were borders of ranges.
    pub fn cuts(&self, span: Span) -> usize {
        let cut = |at: u64| {
            let at = u32::try_from(at).ok()?;
            self.at(at).filter(|(found, _)| found.start != at)
        };
        [u64::from(span.start), span.end].into_iter().filter_map(cut).count()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    fn starts(&self, span: Span) -> Vec<u32> {
        let from = self.map.range(span.start..);
        from.map(|(&start, _)| start).take_while(|&start| u64::from(start) < span.end).collect()
    }

    /// Makes `border` the border of two ranges if it lies inside one.
    fn split(&mut self, border: u64) {
        let Ok(border) = u32::try_from(border) else { return };
        let Some((span, attribute)) = self.at(border) else { return };
        if span.start == border {
            return;
        }
        let upper = attribute.advanced(border - span.start);
        self.map.insert(border, (span.end, upper));
        if let Some(lower) = self.map.get_mut(&span.start) {
            lower.0 = u64::from(border);
        }
    }

    /// Joins the ranges on both sides of `border` if one continues the other.
    fn join(&mut self, border: u64) {
        let Ok(border) = u32::try_from(border) else { return };
        let Some((end, upper)) = self.map.get(&border) else { return };
        let Some((&start, (lower_end, lower))) = self.map.range(..border).next_back() else { return };
        let continues = *lower_end == u64::from(border) && upper.continues(lower, border - start);
        if continues {
            let end = *end;
            self.map.remove(&border);
            if let Some(lower) = self.map.get_mut(&start) {
                lower.0 = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file offset, or nothing: anonymous.
    #[derive(Clone, Debug, PartialEq)]
    struct Tag(char, u32);

    impl Attribute for Tag {
        fn advanced(&self, bytes: u32) -> Self {
            Tag(self.0, self.1 + bytes)
        }
        fn continues(&self, before: &Self, bytes: u32) -> bool {
            self.0 == before.0 && self.1 == before.1 + bytes
        }
    }

    fn span(start: u32, len: u32) -> Span {
        Span::new(start, len).expect("test spans are valid")
    }

    fn list(map: &RegionMap<Tag>) -> Vec<(u32, u64, char, u32)> {
        map.iter().map(|(s, t)| (s.start, s.end, t.0, t.1)).collect()
    }

    #[test]
    fn a_hole_splits_a_range_and_filling_it_joins_again() {
        let mut map = RegionMap::default();
        map.insert(span(0x1000, 0x3000), Tag('a', 0));
        map.carve(span(0x2000, 0x1000));
        assert_eq!(list(&map), [(0x1000, 0x2000, 'a', 0), (0x3000, 0x4000, 'a', 0x2000)]);
        map.insert(span(0x2000, 0x1000), Tag('a', 0x1000));
        assert_eq!(list(&map), [(0x1000, 0x4000, 'a', 0)]);
    }

    #[test]
    fn ranges_with_other_attributes_stay_apart() {
        let mut map = RegionMap::default();
        map.insert(span(0x1000, 0x1000), Tag('a', 0));
        map.insert(span(0x2000, 0x1000), Tag('a', 0x5000));
        assert_eq!(list(&map).len(), 2);
    }

    #[test]
    fn update_changes_exactly_the_span() {
        let mut map = RegionMap::default();
        map.insert(span(0, 0x4000), Tag('a', 0));
        map.update(span(0x1000, 0x1000), |t| t.0 = 'b');
        assert_eq!(
            list(&map),
            [(0, 0x1000, 'a', 0), (0x1000, 0x2000, 'b', 0x1000), (0x2000, 0x4000, 'a', 0x2000)]
        );
        map.update(span(0, 0x4000), |t| t.0 = 'a');
        assert_eq!(list(&map), [(0, 0x4000, 'a', 0)]);
    }

    #[test]
    fn the_last_page_of_the_space_can_be_mapped() {
        let mut map = RegionMap::default();
        map.insert(span(0xffff_f000, 0x1000), Tag('a', 0));
        assert_eq!(map.at(u32::MAX).map(|(s, _)| s.end), Some(1 << 32));
        map.carve(span(0xffff_f000, 0x1000));
        assert!(map.at(u32::MAX).is_none());
        assert!(Span::new(0xffff_f000, 0x2000).is_none());
    }

    #[test]
    fn space_is_found_first_fit_from_the_hint() {
        let mut map = RegionMap::default();
        map.insert(span(0x2000, 0x1000), Tag('a', 0));
        map.insert(span(0x4000, 0x1000), Tag('b', 0));
        assert_eq!(map.find_space(0, 0x2000), Some(0));
        assert_eq!(map.find_space(0x1000, 0x2000), Some(0x5000));
        assert_eq!(map.find_space(0x2000, 0x1000), Some(0x3000));
        assert_eq!(map.find_space(0x2800, 0x1000), Some(0x3000));
        assert_eq!(map.find_space(0xffff_f000, 0x1000), Some(0xffff_f000));
        assert_eq!(map.find_space(0xffff_f000, 0x2000), None);
    }

    #[test]
    fn inside_advances_the_attribute_to_the_part() {
        let mut map = RegionMap::default();
        map.insert(span(0x1000, 0x4000), Tag('a', 0));
        assert_eq!(map.inside(span(0x2000, 0x1000)), [(span(0x2000, 0x1000), Tag('a', 0x1000))]);
        assert!(map.inside(span(0x6000, 0x1000)).is_empty());
    }
}
