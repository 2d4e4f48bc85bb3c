//! Decoding: argument words and guest memory to values, driven by the rows of the one table.
//!
//! What the kernel reads is decoded when a call begins, what it writes when the call has succeeded; a failed
//! call shows the addresses.  No call has code of its own here: a row's types say everything.  Nothing that a
//! guest passes can make decoding fail: what cannot be read is shown as its address.
//!
//! Must not know processes, events or renderings.

mod buffer;
mod message;
mod option;
mod show;
mod sysv;

use syscalls::Sysent;
use syscalls::arg::{Kind, Way, word};
use syscalls::flags::OpenFlags;
use syscalls::result::{RetKind, Retval};
use syscalls::signal::{SigSet, Signum};
use syscalls::sysctl::Dotted;

use super::memory::{self, Memory};
use super::value::Value;

/// What a descriptor refers to, for those who want to see it.
pub trait FdNames {
    /// A path, or the identity of a socket.
    fn about(&self, fd: i32) -> Option<String>;
}

/// How much is decoded.
#[derive(Clone, Copy)]
pub struct Detail<'a> {
    /// Most bytes of a string.
    pub string_limit: usize,
    /// Nothing is abbreviated.
    pub verbose: bool,
    /// Descriptors are explained.
    pub names: Option<&'a dyn FdNames>,
}

impl Default for Detail<'_> {
    fn default() -> Self {
        Self { string_limit: 32, verbose: false, names: None }
    }
}

/// Most elements of a list, unless everything is shown.
const LIST_LIMIT: usize = 32;
/// Most elements of a list in any case: a guest may claim any number.
const LIST_BOUND: usize = 4096;

impl Detail<'_> {
    /// A descriptor, explained if that is wanted.
    fn fd(&self, fd: i32) -> Value {
        Value::Fd { fd, about: self.names.and_then(|n| n.about(fd)) }
    }

    /// Bytes of which `total` exist.
    fn bytes(&self, bytes: &[u8], total: usize) -> Value {
        let shown = bytes.len().min(self.string_limit);
        Value::Bytes { bytes: bytes[..shown].to_vec(), more: shown < total }
    }

    /// Most elements of a list.
    fn list_limit(&self) -> usize {
        if self.verbose { LIST_BOUND } else { LIST_LIMIT }
    }
}

/// What must be kept from the beginning of a call to its end.
#[derive(Clone, Debug, Default, PartialEq)]
enum Kept {
    #[default]
    Nothing,
    /// A length that the kernel overwrites.
    Length(u32),
    /// The numbers of a sysctl name.
    Name(Vec<u32>),
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name in the row.
    pub name: &'static str,
    /// Its words.
    pub words: Vec<u32>,
    /// What it means; several values where a type takes several words, none where a word is ignored.
    pub values: Vec<Value>,
    kind: Kind,
    kept: Kept,
}

impl Argument {
    /// Whether what it means is known only at the end of the call.
    pub fn is_output(&self) -> bool {
        match self.kind {
            Kind::Ptr(way, ..) => way != Way::In,
            Kind::OutBuf
            | Kind::OutText
            | Kind::Dirents { .. }
            | Kind::SockAddrOut { .. }
            | Kind::ValueOut
            | Kind::IovecOut
            | Kind::MsgOut { .. }
            | Kind::SockOptOut
            | Kind::Ioctl
            | Kind::GidsOut
            | Kind::StatfsBuf => true,
            _ => false,
        }
    }
}

/// Decodes the arguments of a call that begins.
pub fn enter(row: &Sysent, words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Argument> {
    let mut args = Vec::with_capacity(row.args.len());
    let mut rest = words;
    let mut before = 0;
    for info in row.args {
        let (own, behind) = rest.split_at(info.words.min(rest.len()));
        let mut kept = Kept::Nothing;
        let values = begin(info.kind, own, before, &mut kept, memory, detail);
        args.push(Argument { name: info.name, words: own.to_vec(), values, kind: info.kind, kept });
        before = word(own, 0);
        rest = behind;
    }
    args
}

/// Decodes what a call has written, once it has succeeded.
pub fn leave(args: &mut [Argument], retval: Retval, memory: &dyn Memory, detail: &Detail<'_>) {
    for i in 0..args.len() {
        let name = match i.checked_sub(1).and_then(|b| args.get(b)).map(|a| &a.kept) {
            Some(Kept::Name(name)) => Some(name.clone()),
            _ => None,
        };
        if let Some(values) = end(&args[i], name.as_deref(), retval, memory, detail) {
            args[i].values = values;
        }
    }
}

/// The values of an argument when its call begins; `before` is the first word of the argument before it.
fn begin(
    kind: Kind,
    words: &[u32],
    before: u32,
    kept: &mut Kept,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Vec<Value> {
    let w = |i| word(words, i);
    let signed = i64::from(w(0).cast_signed());
    let one = |value| vec![value];
    match kind {
        Kind::Int | Kind::Pid | Kind::Uid | Kind::Gid => one(Value::Int(signed)),
        Kind::Uint => one(Value::Uint(w(0).into())),
        Kind::Unused => Vec::new(),
        Kind::Off => one(Value::Int((u64::from(w(0)) | u64::from(w(1)) << 32).cast_signed())),
        Kind::Fd => one(detail.fd(w(0).cast_signed())),
        Kind::Dev => one(show::dev(w(0))),
        Kind::Mode => one(show::mode(w(0))),
        Kind::CreatMode if before & OpenFlags::CREAT.bits() == 0 => Vec::new(),
        Kind::CreatMode => one(show::mode(w(0))),
        Kind::Addr => one(Value::Addr(w(0))),
        Kind::Named(names) => one(Value::symbol(w(0), names.display(w(0)))),
        Kind::Flags(names) => one(Value::symbol(w(0), names.display(w(0)))),
        Kind::Signal => one(Value::symbol(w(0), Signum(w(0)))),
        Kind::SigSet => one(Value::symbol(w(0), SigSet(w(0)))),
        Kind::Path => one(buffer::text(w(0), memory, detail, PATH_LIMIT)),
        Kind::Str => one(buffer::text(w(0), memory, detail, detail.string_limit)),
        Kind::Ptr(Way::In | Way::InOut, show, size) => one(pointed(w(0), show, size, memory, detail)),
        Kind::InBuf => vec![buffer::bytes(w(0), w(1), memory, detail), Value::Uint(w(1).into())],
        Kind::Ptr(Way::Out, ..) => one(Value::Addr(w(0))),
        Kind::MsgOut { .. } => one(Value::Addr(w(0))),
        Kind::OutBuf | Kind::OutText | Kind::Dirents { .. } | Kind::IovecOut | Kind::StatfsBuf => {
            vec![Value::Addr(w(0)), Value::Uint(w(1).into())]
        }
        Kind::SockAddrIn => {
            vec![message::sockaddr(w(0), w(1), memory, detail), Value::Int(w(1).cast_signed().into())]
        }
        Kind::SockAddrOut { .. } | Kind::ValueOut => {
            vec![Value::Addr(w(0)), length(w(1), kept, memory)]
        }
        Kind::IovecIn => {
            vec![message::iovec(w(0), w(1), Some(u32::MAX), memory, detail), Value::Uint(w(1).into())]
        }
        Kind::MsgIn { old } => one(message::msghdr(w(0), old, Some(u32::MAX), memory, detail)),
        Kind::ArgVec => one(buffer::vector(w(0), memory, detail)),
        Kind::EnvVec => one(buffer::environment(w(0), memory, detail)),
        Kind::SelectSets => {
            let mut values = vec![Value::Int(signed)];
            values.extend((1..4).map(|i| buffer::fd_set(w(i), w(0), memory)));
            values
        }
        Kind::SockOptIn => option::set(words, memory, detail),
        Kind::SockOptOut => option::get_begin(words, length(w(3), kept, memory)),
        Kind::Fcntl => option::fcntl(words, memory, detail),
        Kind::Ioctl => option::ioctl_begin(words, memory, detail),
        Kind::SysctlName => {
            let name = buffer::words(w(0), w(1), syscalls::sysctl::CTL_MAXNAME as usize, memory);
            let value = match &name {
                Some(name) => Value::symbol(w(0), Dotted(name)),
                None => Value::Addr(w(0)),
            };
            *kept = Kept::Name(name.unwrap_or_default());
            vec![value, Value::Uint(w(1).into())]
        }
        Kind::GidsIn => vec![Value::Uint(w(0).into()), buffer::gids(w(1), w(0), memory, detail)],
        Kind::GidsOut => vec![Value::Uint(w(0).into()), Value::Addr(w(1))],
        Kind::SemCall => sysv::semaphore(words, memory, detail),
        Kind::MsgCall => sysv::message(words, memory, detail),
        Kind::ShmCall => sysv::shared_memory(words, memory, detail),
    }
}

/// The values of an argument that changed when its call succeeded.
fn end(
    arg: &Argument,
    name: Option<&[u32]>,
    retval: Retval,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Option<Vec<Value>> {
    let w = |i| word(&arg.words, i);
    let count = retval.eax;
    Some(match arg.kind {
        Kind::Ptr(Way::Out, show, size) => vec![pointed(w(0), show, size, memory, detail)],
        Kind::Ptr(Way::InOut, show, size) => {
            let after = pointed(w(0), show, size, memory, detail);
            vec![changed(arg.values.first().cloned(), after)]
        }
        Kind::OutBuf => vec![buffer::bytes(w(0), count.min(w(1)), memory, detail), Value::Uint(w(1).into())],
        Kind::OutText => {
            vec![
                buffer::text(w(0), memory, detail, detail.string_limit.min(w(1) as usize)),
                Value::Uint(w(1).into()),
            ]
        }
        Kind::Dirents { old } => {
            vec![buffer::dirents(w(0), count, old, memory, detail), Value::Uint(w(1).into())]
        }
        Kind::IovecOut => {
            vec![message::iovec(w(0), w(1), Some(count), memory, detail), Value::Uint(w(1).into())]
        }
        Kind::MsgOut { old } => vec![message::msghdr(w(0), old, Some(count), memory, detail)],
        Kind::SockAddrOut { .. } => {
            let after = memory::word(memory, w(1));
            vec![
                message::sockaddr(w(0), after.unwrap_or(0).min(kept_length(arg)), memory, detail),
                length_change(arg, after),
            ]
        }
        Kind::ValueOut => {
            let after = memory::word(memory, w(1));
            vec![
                option::sysctl_value(w(0), after.unwrap_or(0), name, memory, detail),
                length_change(arg, after),
            ]
        }
        Kind::SockOptOut => {
            let after = memory::word(memory, w(3));
            option::get_end(&arg.words, after.unwrap_or(0), length_change(arg, after), memory, detail)
        }
        Kind::StatfsBuf => {
            vec![buffer::statfs_list(w(0), w(1), count, memory, detail), Value::Uint(w(1).into())]
        }
        Kind::GidsOut => {
            let shown = if w(0) == 0 { 0 } else { count };
            vec![Value::Uint(w(0).into()), buffer::gids(w(1), shown, memory, detail)]
        }
        Kind::Ioctl => option::ioctl_end(arg, memory, detail)?,
        Kind::Fcntl => option::fcntl_end(arg, memory, detail)?,
        Kind::SemCall | Kind::MsgCall | Kind::ShmCall => sysv::end(arg, retval, memory, detail)?,
        _ => return None,
    })
}

/// Longest path that is shown whole: 2.1's own limit.
const PATH_LIMIT: usize = 1024;

/// What a pointer points to, or the pointer.
fn pointed(
    addr: u32,
    show: syscalls::layout::Show,
    size: usize,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    if addr == 0 {
        return Value::Addr(0);
    }
    match memory::bytes(memory, addr, size) {
        None => Value::Addr(addr),
        Some(bytes) => match show::value(show, &bytes, detail) {
            value @ (Value::Struct { .. } | Value::List { .. }) => value,
            value @ Value::Symbol { .. } if matches!(show, syscalls::layout::Show::WaitStatus) => {
                Value::Boxed(Box::new(value))
            }
            value => Value::Boxed(Box::new(value)),
        },
    }
}

/// What it was and what it is, where these differ.
fn changed(before: Option<Value>, after: Value) -> Value {
    match before {
        Some(before) if before != after => Value::Change(Box::new(before), Box::new(after)),
        _ => after,
    }
}

/// A length behind a pointer, kept for later.
fn length(addr: u32, kept: &mut Kept, memory: &dyn Memory) -> Value {
    match memory::word(memory, addr) {
        Some(n) => {
            *kept = Kept::Length(n);
            Value::Boxed(Box::new(Value::Int(n.cast_signed().into())))
        }
        None => Value::Addr(addr),
    }
}

fn kept_length(arg: &Argument) -> u32 {
    match arg.kept {
        Kept::Length(n) => n,
        _ => 0,
    }
}

/// The length at the beginning and at the end.
fn length_change(arg: &Argument, after: Option<u32>) -> Value {
    let number = |n: u32| Value::Int(n.cast_signed().into());
    match (&arg.kept, after) {
        (Kept::Length(before), Some(after)) => {
            Value::Boxed(Box::new(changed(Some(number(*before)), number(after))))
        }
        (_, Some(after)) => Value::Boxed(Box::new(number(after))),
        (_, None) => arg.values.last().cloned().unwrap_or(Value::Addr(0)),
    }
}

/// The result of a call, and a remark on it.
pub fn result(
    kind: RetKind,
    retval: Retval,
    args: &[Argument],
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Value {
    let eax = retval.eax;
    let int = Value::Int(eax.cast_signed().into());
    match kind {
        RetKind::Fd => detail.fd(eax.cast_signed()),
        RetKind::Int => match args.get(1).map(|a| a.kind) {
            Some(Kind::Fcntl) => option::fcntl_result(args, eax),
            Some(Kind::SelectSets) => int,
            _ => match args.first().map(|a| (a.kind, word(&a.words, 0))) {
                Some((Kind::SelectSets, _)) => select_result(eax, &args[0], memory),
                Some((Kind::ShmCall, 0)) => Value::Addr(eax),
                _ => int,
            },
        },
        RetKind::IntPair | RetKind::None => int,
        RetKind::Addr => Value::Hex(eax.into()),
        RetKind::Mask => Value::symbol(eax, SigSet(eax)),
        RetKind::Mode => Value::Octal(eax.into()),
        RetKind::Off => Value::Int((u64::from(eax) | u64::from(retval.edx.unwrap_or(0)) << 32).cast_signed()),
        RetKind::Pair => {
            let second = retval.edx.unwrap_or(0).cast_signed();
            Value::list(vec![detail.fd(eax.cast_signed()), detail.fd(second)])
        }
    }
}

/// The number of ready descriptors, and which they are.
fn select_result(ready: u32, arg: &Argument, memory: &dyn Memory) -> Value {
    let number = Value::Int(ready.cast_signed().into());
    let sets: Vec<String> = ["in", "out", "except"]
        .iter()
        .enumerate()
        .filter_map(|(i, name)| {
            let set = buffer::fd_set(word(&arg.words, i + 1), word(&arg.words, 0), memory);
            match &set {
                Value::Set(members) if !members.is_empty() => {
                    Some(format!("{name} {}", super::text::plain(&set)))
                }
                _ => None,
            }
        })
        .collect();
    match (ready, sets.is_empty()) {
        (0, _) => Value::Remark(Box::new(number), "Timeout".into()),
        (_, true) => number,
        (_, false) => Value::Remark(Box::new(number), sets.join(", ")),
    }
}

#[cfg(test)]
mod tests;
