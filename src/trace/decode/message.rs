//! Socket addresses, scattered buffers, messages and their control parts.
//!
//! Must not know calls.

use syscalls::flags::{Domain, MsgFlags, ScmType, SockLevel};
use syscalls::layout::{Cmsghdr, Msghdr, Omsghdr, Shown, SockaddrIn};

use super::show::value;
use super::{Detail, LIST_BOUND, buffer};
use crate::trace::memory::{self, Memory};
use crate::trace::value::Value;

/// Longest socket address: its length is one byte.
const ADDRESS_BOUND: u32 = 255;

/// A socket address of `len` bytes, or where it is.
pub(super) fn sockaddr(addr: u32, len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let Some(bytes) = memory::bytes(memory, addr, len.min(ADDRESS_BOUND) as usize) else {
        return Value::Addr(addr);
    };
    let [first, second, data @ ..] = bytes.as_slice() else {
        return Value::fields(Vec::new());
    };
    // Programs of before 4.3-Reno put the family into both bytes; the kernel takes them so too.
    let (sa_len, raw) = if *second == 0 && *first < 27 { (None, *first) } else { (Some(*first), *second) };
    let family = Domain::from_raw(raw.into());
    let mut fields = Vec::new();
    let named = |prefix: &'static str| (prefix, Value::symbol(raw.into(), family));
    let with_len = |fields: &mut Vec<_>, name| {
        if let (Some(n), true) = (sa_len, detail.verbose) {
            fields.push((name, Value::Uint(n.into())));
        }
    };
    match family {
        Domain::Unix => {
            with_len(&mut fields, "sun_len");
            fields.push(named("sun_family"));
            let end = data.iter().position(|&b| b == 0).unwrap_or(data.len());
            fields.push(("sun_path", Value::Bytes { bytes: data[..end].to_vec(), more: false }));
        }
        Domain::Inet if bytes.len() >= SockaddrIn::SIZE => {
            with_len(&mut fields, "sin_len");
            fields.push(named("sin_family"));
            for field in SockaddrIn::INFO.fields.iter().filter(|f| matches!(f.name, "sin_port" | "sin_addr"))
            {
                let part = &bytes[field.offset..field.offset + field.size];
                fields.push((field.name, value(field.show, part, detail)));
            }
        }
        _ => {
            with_len(&mut fields, "sa_len");
            fields.push(named("sa_family"));
            fields.push(("sa_data", detail.bytes(data, data.len())));
        }
    }
    Value::fields(fields)
}

/// Scattered buffers of which `filled` bytes mean something.
pub(super) fn iovec(
    addr: u32,
    count: u32,
    filled: Option<u32>,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let shown = (count as usize).min(detail.list_limit()).min(LIST_BOUND);
    let Some(parts) = buffer::words(addr, 2 * shown as u32, 2 * LIST_BOUND, memory) else {
        return Value::Addr(addr);
    };
    let mut left = filled;
    let items = parts
        .chunks_exact(2)
        .map(|part| {
            let (base, len) = (part[0], part[1]);
            let here = left.map_or(0, |l| l.min(len));
            left = left.map(|l| l - here);
            let data = match filled {
                Some(_) => buffer::bytes(base, here, memory, detail),
                None => Value::Addr(base),
            };
            Value::fields(vec![("iov_base", data), ("iov_len", Value::Uint(len.into()))])
        })
        .collect();
    Value::List { items, more: shown < count as usize }
}

/// A message of which `filled` bytes of data mean something.
pub(super) fn msghdr(
    addr: u32,
    old: bool,
    filled: Option<u32>,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let head = match old {
        false => memory::value::<Msghdr>(memory, addr),
        true => memory::value::<Omsghdr>(memory, addr).map(|o| Msghdr {
            name: o.name,
            namelen: o.namelen.get().cast_unsigned().into(),
            iov: o.iov,
            iovlen: o.iovlen.get().cast_unsigned().into(),
            control: o.accrights,
            controllen: o.accrightslen.get().cast_unsigned().into(),
            flags: 0.into(),
        }),
    };
    let Some(head) = head else { return Value::Addr(addr) };
    let (namelen, iovlen, controllen) = (head.namelen.get(), head.iovlen.get(), head.controllen.get());
    let mut fields = vec![
        ("msg_name", sockaddr(head.name.get(), namelen, memory, detail)),
        ("msg_namelen", Value::Uint(namelen.into())),
        ("msg_iov", iovec(head.iov.get(), iovlen, filled, memory, detail)),
        ("msg_iovlen", Value::Uint(iovlen.into())),
    ];
    if old {
        fields.push(("msg_accrights", rights(head.control.get(), controllen, memory, detail)));
        fields.push(("msg_accrightslen", Value::Uint(controllen.into())));
    } else {
        fields.push(("msg_control", control(head.control.get(), controllen, memory, detail)));
        fields.push(("msg_controllen", Value::Uint(controllen.into())));
        let flags = MsgFlags::from_bits_retain(head.flags.get());
        fields.push(("msg_flags", Value::symbol(head.flags.get(), flags)));
    }
    Value::fields(fields)
}

/// Descriptors in transfer.
fn rights(addr: u32, len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    if addr == 0 || len == 0 {
        return Value::Addr(addr);
    }
    match buffer::words(addr, len / 4, LIST_BOUND, memory) {
        Some(fds) => buffer::limited(fds.into_iter().map(|fd| detail.fd(fd.cast_signed())), detail),
        None => Value::Addr(addr),
    }
}

/// Control messages.
fn control(addr: u32, len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    let head_size = size_of::<Cmsghdr>() as u32;
    if addr == 0 || len < head_size {
        return Value::Addr(addr);
    }
    let mut items = Vec::new();
    let mut at = 0u32;
    while len - at >= head_size && items.len() < LIST_BOUND {
        let here = addr.wrapping_add(at);
        let Some(head) = memory::value::<Cmsghdr>(memory, here) else { break };
        let size = head.len.get();
        let data = here.wrapping_add(head_size);
        let data_len = size.min(len - at).saturating_sub(head_size);
        let (level, kind) = (SockLevel::from_raw(head.level.get()), ScmType::from_raw(head.kind.get()));
        let is_rights = (level, kind) == (SockLevel::Socket, ScmType::Rights);
        items.push(Value::fields(vec![
            ("cmsg_len", Value::Uint(size.into())),
            ("cmsg_level", Value::symbol(level.raw(), level)),
            ("cmsg_type", Value::symbol(kind.raw(), kind)),
            if is_rights {
                ("cmsg_data", rights(data, data_len, memory, detail))
            } else {
                ("cmsg_data", buffer::bytes(data, data_len, memory, detail))
            },
        ]));
        let step = size.max(head_size).checked_next_multiple_of(4).unwrap_or(len);
        at = at.saturating_add(step).min(len);
    }
    if items.is_empty() { Value::Addr(addr) } else { Value::list(items) }
}
