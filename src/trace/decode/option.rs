//! Arguments whose form depends on a number beside them: socket options, fcntl, ioctl, sysctl.
//!
//! Must not know what the requests do.

use syscalls::arg::word;
use syscalls::flags::{FcntlCmd, IpOpt, OpenFlags, SockLevel, SockOpt, SockType, TcpOpt};
use syscalls::ioctl::Request;
use syscalls::layout::{Flock, IpMreq, Linger, Show, Shown, Timeval};
use syscalls::sysctl::{self, ValueKind};

use super::show::value;
use super::{Argument, Detail, buffer, changed, pointed};
use crate::trace::memory::{self, Memory};
use crate::trace::value::Value;

/// Level and option by name.
fn level_and_name(words: &[u32]) -> [Value; 2] {
    let (level, name) = (SockLevel::from_raw(word(words, 0)), word(words, 1));
    let option = match level {
        SockLevel::Socket => SockOpt::from_raw(name).to_string(),
        SockLevel::Ip => IpOpt::from_raw(name).to_string(),
        SockLevel::Tcp => TcpOpt::from_raw(name).to_string(),
        _ => name.to_string(),
    };
    [Value::symbol(level.raw(), level), Value::symbol(name, option)]
}

/// How the value of a socket option is printed.
fn option_show(words: &[u32], len: u32) -> (Show, usize) {
    let name = word(words, 1);
    let known = match SockLevel::from_raw(word(words, 0)) {
        SockLevel::Socket => match SockOpt::from_raw(name) {
            SockOpt::Linger => (Linger::SHOW, Linger::SIZE),
            SockOpt::Sndtimeo | SockOpt::Rcvtimeo => (Timeval::SHOW, Timeval::SIZE),
            SockOpt::Type => (Show::Named(&SockType::NAMES), 4),
            _ => (Show::Int, 4),
        },
        SockLevel::Ip => match IpOpt::from_raw(name) {
            IpOpt::AddMembership | IpOpt::DropMembership => (IpMreq::SHOW, IpMreq::SIZE),
            IpOpt::MulticastIf => (Show::InAddr, 4),
            _ => (Show::Int, 4),
        },
        _ => (Show::Int, 4),
    };
    if known.1 == len as usize { known } else { (Show::Bytes, len as usize) }
}

fn option_value(words: &[u32], len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    let addr = word(words, 2);
    match option_show(words, len) {
        (Show::Bytes, _) => buffer::bytes(addr, len, memory, detail),
        (show, size) => pointed(addr, show, size, memory, detail),
    }
}

/// A socket option to set.
pub(super) fn set(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let [level, name] = level_and_name(words);
    let len = word(words, 3);
    vec![level, name, option_value(words, len, memory, detail), Value::Int(len.cast_signed().into())]
}

/// A socket option to get, before it is known.
pub(super) fn get_begin(words: &[u32], length: Value) -> Vec<Value> {
    let [level, name] = level_and_name(words);
    vec![level, name, Value::Addr(word(words, 2)), length]
}

/// A socket option that was got.
pub(super) fn get_end(
    words: &[u32],
    len: u32,
    length: Value,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Vec<Value> {
    let [level, name] = level_and_name(words);
    vec![level, name, option_value(words, len, memory, detail), length]
}

/// A command on a descriptor.
pub(super) fn fcntl(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let (cmd, arg) = (FcntlCmd::from_raw(word(words, 0)), word(words, 1));
    let mut values = vec![Value::symbol(cmd.raw(), cmd)];
    match cmd {
        FcntlCmd::Getfd | FcntlCmd::Getfl | FcntlCmd::Getown => {}
        FcntlCmd::Setfd => values.push(Value::symbol(arg, fd_flags(arg))),
        FcntlCmd::Setfl => values.push(Value::symbol(arg, OpenFlags::from_bits_retain(arg))),
        FcntlCmd::Getlk | FcntlCmd::Setlk | FcntlCmd::Setlkw => {
            values.push(pointed(arg, Flock::SHOW, Flock::SIZE, memory, detail));
        }
        FcntlCmd::Dupfd | FcntlCmd::Setown => values.push(Value::Int(arg.cast_signed().into())),
        FcntlCmd::Other(_) => values.push(Value::Hex(arg.into())),
    }
    values
}

/// F_GETLK writes the lock that is in the way.
pub(super) fn fcntl_end(arg: &Argument, memory: &dyn Memory, detail: &Detail<'_>) -> Option<Vec<Value>> {
    if FcntlCmd::from_raw(word(&arg.words, 0)) != FcntlCmd::Getlk {
        return None;
    }
    let after = pointed(word(&arg.words, 1), Flock::SHOW, Flock::SIZE, memory, detail);
    Some(vec![arg.values.first()?.clone(), changed(arg.values.get(1).cloned(), after)])
}

/// Flags that fcntl returns, by name.
pub(super) fn fcntl_result(args: &[Argument], eax: u32) -> Value {
    let number = Value::Int(eax.cast_signed().into());
    match args.get(1).map(|a| FcntlCmd::from_raw(word(&a.words, 0))) {
        Some(FcntlCmd::Getfl) => {
            Value::Remark(Box::new(Value::Hex(eax.into())), OpenFlags::from_bits_retain(eax).to_string())
        }
        Some(FcntlCmd::Getfd) if eax != 0 => Value::Remark(Box::new(number), fd_flags(eax)),
        _ => number,
    }
}

fn fd_flags(flags: u32) -> String {
    match flags {
        0 => "0".into(),
        1 => "FD_CLOEXEC".into(),
        other => format!("{other:#x} /* FD_??? */"),
    }
}

fn ioctl_data(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    let request = Request(word(words, 0));
    let data = word(words, 1);
    match request.info() {
        Some(info) if !matches!(info.show, Show::Bytes | Show::Pad) => {
            pointed(data, info.show, request.len() as usize, memory, detail)
        }
        _ => buffer::bytes(data, request.len(), memory, detail),
    }
}

/// A request and, where it travels to the kernel, its argument.
pub(super) fn ioctl_begin(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let request = Request(word(words, 0));
    let data = word(words, 1);
    let mut values = vec![Value::symbol(request.0, request)];
    if request.copies_in() && !request.is_empty() {
        values.push(ioctl_data(words, memory, detail));
    } else if request.copies_out() {
        values.push(Value::Addr(data));
    } else if data != 0 {
        values.push(Value::Hex(data.into()));
    }
    values
}

/// The argument of a request that came from the kernel.
pub(super) fn ioctl_end(arg: &Argument, memory: &dyn Memory, detail: &Detail<'_>) -> Option<Vec<Value>> {
    let request = Request(word(&arg.words, 0));
    if !request.copies_out() {
        return None;
    }
    let after = ioctl_data(&arg.words, memory, detail);
    let before = if request.copies_in() { arg.values.get(1).cloned() } else { None };
    Some(vec![arg.values.first()?.clone(), changed(before, after)])
}

/// Most elements of a table that are shown.
const TABLE_LIMIT: usize = 4;

/// A value that sysctl or getkerninfo reported in `len` bytes.
pub(super) fn sysctl_value(
    addr: u32,
    len: u32,
    name: Option<&[u32]>,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    let Some(kind) = name.and_then(sysctl::variable).map(|v| v.value) else {
        return buffer::bytes(addr, len, memory, detail);
    };
    match kind {
        ValueKind::Text => buffer::text(addr, memory, detail, detail.string_limit.min(len as usize)),
        ValueKind::Struct(show) if len <= 256 => pointed(addr, show, len as usize, memory, detail),
        ValueKind::Table(show, size) => {
            let count = len as usize / size;
            let shown = if detail.verbose { count.min(super::LIST_BOUND) } else { count.min(TABLE_LIMIT) };
            match memory::bytes(memory, addr, shown * size) {
                Some(bytes) => Value::List {
                    items: bytes.chunks_exact(size).map(|b| value(show, b, detail)).collect(),
                    more: shown < count,
                },
                None => Value::Addr(addr),
            }
        }
        _ => buffer::bytes(addr, len, memory, detail),
    }
}
