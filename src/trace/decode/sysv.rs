//! The System V calls, each of which stands for several.
//!
//! Must not know what they do.

use syscalls::arg::word;
use syscalls::flags::{IpcFlags, MsgWhich, SemWhich, ShmWhich};
use syscalls::layout::{MsqidDs, OshmidDs, Sembuf, SemidDs, ShmidDs, Shown};
use syscalls::names::Names;
use syscalls::result::Retval;

use super::show::value;
use super::{Argument, Detail, LIST_BOUND, buffer, pointed};
use crate::trace::memory::{self, Memory};
use crate::trace::value::Value;

/// Commands of the control calls; semaphores have more.
static COMMANDS: Names = Names {
    unknown: "IPC_???",
    rows: &[
        (0, "IPC_RMID"),
        (1, "IPC_SET"),
        (2, "IPC_STAT"),
        (3, "GETNCNT"),
        (4, "GETPID"),
        (5, "GETVAL"),
        (6, "GETALL"),
        (7, "GETZCNT"),
        (8, "SETVAL"),
        (9, "SETALL"),
    ],
};

const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const SETVAL: u32 = 8;

fn int(w: u32) -> Value {
    Value::Int(w.cast_signed().into())
}

fn key(w: u32) -> Value {
    if w == 0 { Value::symbol(0, "IPC_PRIVATE") } else { Value::Hex(w.into()) }
}

fn command(w: u32) -> Value {
    Value::symbol(w, COMMANDS.display(w))
}

/// Creation flags and permission bits: `IPC_CREAT|0600`.
fn flags(w: u32) -> Value {
    let named = IpcFlags::from_bits_retain(w & !0o777);
    let text = match (named.is_empty(), w & 0o777) {
        (true, bits) => format!("{bits:#o}").replacen("0o", "0", 1),
        (false, 0) => named.to_string(),
        (false, bits) => format!("{named}|0{bits:o}"),
    };
    Value::symbol(w, text)
}

pub(super) fn semaphore(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let w = |i| word(words, i);
    let which = SemWhich::from_raw(w(0));
    let mut values = vec![Value::symbol(w(0), which)];
    values.extend(match which {
        // The fourth word is the address of the union.
        SemWhich::Ctl => {
            let union = memory::word(memory, w(4));
            let arg = match (w(3), union) {
                (IPC_SET, Some(buf)) => pointed(buf, SemidDs::SHOW, SemidDs::SIZE, memory, detail),
                (SETVAL, Some(n)) => int(n),
                (_, Some(n)) => Value::Addr(n),
                (_, None) => Value::Addr(w(4)),
            };
            vec![int(w(1)), int(w(2)), command(w(3)), arg]
        }
        SemWhich::Get => vec![key(w(1)), int(w(2)), flags(w(3))],
        SemWhich::Op => vec![int(w(1)), operations(w(2), w(3), memory, detail), Value::Uint(w(3).into())],
        SemWhich::Other(_) => (1..5).map(|i| Value::Hex(w(i).into())).collect(),
    });
    values
}

fn operations(addr: u32, count: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    let shown = (count as usize).min(LIST_BOUND);
    match memory::bytes(memory, addr, shown * Sembuf::SIZE) {
        Some(bytes) if addr != 0 => {
            buffer::limited(bytes.chunks_exact(Sembuf::SIZE).map(|b| value(Sembuf::SHOW, b, detail)), detail)
        }
        _ => Value::Addr(addr),
    }
}

pub(super) fn message(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let w = |i| word(words, i);
    let which = MsgWhich::from_raw(w(0));
    let mut values = vec![Value::symbol(w(0), which)];
    values.extend(match which {
        MsgWhich::Ctl => {
            let arg = match w(2) {
                IPC_SET => pointed(w(3), MsqidDs::SHOW, MsqidDs::SIZE, memory, detail),
                _ => Value::Addr(w(3)),
            };
            vec![int(w(1)), command(w(2)), arg]
        }
        MsgWhich::Get => vec![key(w(1)), flags(w(2))],
        MsgWhich::Snd => {
            vec![int(w(1)), text(w(2), w(3), memory, detail), Value::Uint(w(3).into()), flags(w(4))]
        }
        MsgWhich::Rcv => vec![int(w(1)), Value::Addr(w(2)), Value::Uint(w(3).into()), int(w(4)), flags(w(5))],
        MsgWhich::Other(_) => (1..6).map(|i| Value::Hex(w(i).into())).collect(),
    });
    values
}

/// A message: its type and `len` bytes.
fn text(addr: u32, len: u32, memory: &dyn Memory, detail: &Detail<'_>) -> Value {
    match memory::word(memory, addr) {
        Some(kind) if addr != 0 => Value::fields(vec![
            ("mtype", int(kind)),
            ("mtext", buffer::bytes(addr.wrapping_add(4), len, memory, detail)),
        ]),
        _ => Value::Addr(addr),
    }
}

pub(super) fn shared_memory(words: &[u32], memory: &dyn Memory, detail: &Detail<'_>) -> Vec<Value> {
    let w = |i| word(words, i);
    let which = ShmWhich::from_raw(w(0));
    let mut values = vec![Value::symbol(w(0), which)];
    values.extend(match which {
        ShmWhich::At => vec![int(w(1)), Value::Addr(w(2)), Value::Octal(w(3).into())],
        ShmWhich::Dt => vec![Value::Addr(w(1))],
        ShmWhich::Get => vec![key(w(1)), Value::Uint(w(2).into()), flags(w(3))],
        ShmWhich::Ctl | ShmWhich::OldCtl => {
            let arg = match (w(2), which) {
                (IPC_SET, ShmWhich::Ctl) => pointed(w(3), ShmidDs::SHOW, ShmidDs::SIZE, memory, detail),
                _ => Value::Addr(w(3)),
            };
            vec![int(w(1)), command(w(2)), arg]
        }
        ShmWhich::Other(_) => (1..4).map(|i| Value::Hex(w(i).into())).collect(),
    });
    values
}

/// What a call wrote: a message, or the state of an object.
pub(super) fn end(
    arg: &Argument,
    retval: Retval,
    memory: &dyn Memory,
    detail: &Detail<'_>,
) -> Option<Vec<Value>> {
    let w = |i| word(&arg.words, i);
    let mut values = arg.values.clone();
    let (place, written) = match arg.kind {
        syscalls::arg::Kind::MsgCall => match (MsgWhich::from_raw(w(0)), w(2)) {
            (MsgWhich::Rcv, _) => (2, text(w(2), retval.eax, memory, detail)),
            (MsgWhich::Ctl, IPC_STAT) => (3, pointed(w(3), MsqidDs::SHOW, MsqidDs::SIZE, memory, detail)),
            _ => return None,
        },
        syscalls::arg::Kind::ShmCall => match (ShmWhich::from_raw(w(0)), w(2)) {
            (ShmWhich::Ctl, IPC_STAT) => (3, pointed(w(3), ShmidDs::SHOW, ShmidDs::SIZE, memory, detail)),
            (ShmWhich::OldCtl, IPC_STAT) => {
                (3, pointed(w(3), OshmidDs::SHOW, OshmidDs::SIZE, memory, detail))
            }
            _ => return None,
        },
        _ => match (SemWhich::from_raw(w(0)), w(3)) {
            (SemWhich::Ctl, IPC_STAT) => {
                let buf = memory::word(memory, w(4))?;
                (4, pointed(buf, SemidDs::SHOW, SemidDs::SIZE, memory, detail))
            }
            _ => return None,
        },
    };
    *values.get_mut(place)? = written;
    Some(values)
}
