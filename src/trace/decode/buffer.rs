//! Memory that is bytes, text, or a run of equal elements.
//!
//! Must not know calls.

use syscalls::flags::DirentType;
use syscalls::layout::{DirentHeader, Shown, Statfs};

use super::show::{typed, value};
use super::{Detail, LIST_BOUND};
use crate::trace::memory::{self, Memory};
use crate::trace::value::Value;

/// Text up to NUL, or its address.
pub(super) fn text(addr: u32, memory: &dyn Memory, detail: &Detail<'_>, limit: usize) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    match memory::text(memory, addr, limit.max(detail.string_limit.min(limit))) {
        Some((bytes, more)) => Value::Bytes { bytes, more },
        None => Value::Addr(addr),
    }
}

/// `len` bytes, as many as are shown, or their address.
pub(super) fn bytes(addr: u32, len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let shown = (len as usize).min(detail.string_limit);
    match memory::bytes(memory, addr, shown) {
        Some(bytes) => Value::Bytes { bytes, more: shown < len as usize },
        None => Value::Addr(addr),
    }
}

/// `count` words, if there are not too many and they can be read.
pub(super) fn words(addr: u32, count: u32, most: usize, memory: &dyn Memory) -> Option<Vec<u32>> {
    let count = usize::try_from(count).ok().filter(|&n| n <= most)?;
    let bytes = memory::bytes(memory, addr, 4 * count)?;
    Some(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// Groups.
pub(super) fn gids(addr: u32, count: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    match words(addr, count, LIST_BOUND, memory) {
        Some(gids) => limited(gids.into_iter().map(|g| Value::Uint(g.into())), detail),
        None => Value::Addr(addr),
    }
}

/// As many elements as are shown.
pub(super) fn limited(items: impl Iterator<Item = Value>, detail: &Detail<'_>) -> Value {
    let mut items = items;
    let shown: Vec<_> = items.by_ref().take(detail.list_limit()).collect();
    Value::List { items: shown, more: items.next().is_some() }
}

/// A vector of strings that ends with a null pointer.
pub(super) fn vector(addr: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let mut items = Vec::new();
    for i in 0..detail.list_limit() as u32 {
        match memory::word(memory, addr.wrapping_add(4 * i)) {
            None if i == 0 => return Value::Addr(addr),
            None => return Value::List { items, more: true },
            Some(0) => return Value::list(items),
            Some(string) => items.push(text(string, memory, detail, detail.string_limit)),
        }
    }
    Value::List { items, more: true }
}

/// A vector of environment strings: its length only, unless everything is shown.
pub(super) fn environment(addr: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if detail.verbose || addr == 0 {
        return vector(addr, memory, detail);
    }
    let count = (0..LIST_BOUND as u32)
        .map(|i| memory::word(memory, addr.wrapping_add(4 * i)))
        .take_while(|w| !matches!(w, None | Some(0)))
        .count();
    let s = if count == 1 { "" } else { "s" };
    Value::Remark(Box::new(Value::Addr(addr)), format!("{count} var{s}"))
}

/// The descriptors below `nd` in a set of bits.
pub(super) fn fd_set(addr: u32, nd: u32, memory: &dyn Memory) -> Value {
    // 2.1 looks at no more than the process may have open; the set of its headers has 256.
    let nd = if nd > 0x7fff_ffff { 0 } else { nd.min(1024) };
    if addr == 0 {
        return Value::Addr(0);
    }
    match words(addr, nd.div_ceil(32), 32, memory) {
        Some(words) => Value::Set(
            (0..nd)
                .filter(|n| words.get((n / 32) as usize).is_some_and(|w| w >> (n % 32) & 1 != 0))
                .collect(),
        ),
        None => Value::Addr(addr),
    }
}

/// Directory entries in `len` bytes.
pub(super) fn dirents(addr: u32, len: u32, old: bool, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    let Some(bytes) = memory::bytes(memory, addr, len.min(1 << 20) as usize) else {
        return Value::Addr(addr);
    };
    let mut rest = bytes.as_slice();
    let mut items = Vec::new();
    while let Some(head) = typed::<DirentHeader>(rest) {
        let size = usize::from(head.reclen.get()).max(size_of::<DirentHeader>());
        // The old form has a name length of two bytes where the new one has type and length.
        let namlen = if old { u16::from_le_bytes([head.kind, head.namlen]) } else { u16::from(head.namlen) };
        let name = rest.get(8..8 + usize::from(namlen)).unwrap_or_default();
        let mut fields = vec![("d_fileno", Value::Uint(head.fileno.get().into()))];
        if detail.verbose {
            fields.push(("d_reclen", Value::Uint(head.reclen.get().into())));
        }
        if !old {
            let kind = DirentType::from_raw(head.kind.into());
            fields.push(("d_type", Value::symbol(head.kind.into(), kind)));
        }
        fields.push(("d_name", Value::Bytes { bytes: name.to_vec(), more: false }));
        items.push(Value::fields(fields));
        rest = rest.get(size..).unwrap_or_default();
    }
    let count = items.len();
    let list = limited(items.into_iter(), detail);
    match list {
        Value::List { more: true, .. } => Value::Remark(Box::new(list), format!("{count} entries")),
        list => list,
    }
}

/// Statistics of `count` file systems, no more than fit into `size` bytes.
pub(super) fn statfs_list(
    addr: u32,
    size: u32,
    count: u32,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let fit = (size as usize / Statfs::SIZE).min(count as usize).min(LIST_BOUND);
    match memory::bytes(memory, addr, fit * Statfs::SIZE) {
        Some(bytes) => {
            limited(bytes.chunks_exact(Statfs::SIZE).map(|b| value(Statfs::SHOW, b, detail)), detail)
        }
        None => Value::Addr(addr),
    }
}
