//! Bytes of guest memory to a decoded value, driven by the layout tables of the `syscalls` crate.
//!
//! Must not know calls: only what a field or a pointed-to value looks like.

use syscalls::layout::{FieldInfo, Show, StructInfo, WaitStatus, Waited};
use syscalls::signal::{SIG_DFL, SIG_IGN, SigSet, Signal, Signum};
use zerocopy::FromBytes;

use super::Detail;
use crate::trace::value::Value;

/// Decodes `bytes`, which hold one value of a kind.
pub(super) fn value(show: Show, bytes: &[u8], detail: &Detail) -> Value {
    let raw = unsigned(bytes);
    let word = raw as u32;
    match show {
        Show::Int => Value::Int(signed(bytes)),
        Show::Uint => Value::Uint(raw),
        Show::Hex => Value::Hex(raw),
        Show::Octal => Value::Octal(raw),
        Show::Addr => Value::Addr(word),
        Show::Mode => mode(word),
        Show::Dev => dev(word),
        Show::Time => Value::Int(signed(bytes)),
        Show::Signal => Value::symbol(word, Signum(word)),
        Show::SigSet => Value::symbol(word, SigSet(word)),
        Show::Handler => handler(word),
        Show::WaitStatus => wait_status(word),
        Show::Fd => detail.fd(word.cast_signed()),
        Show::Pid => Value::Int(signed(bytes)),
        Show::Limit => limit(bytes),
        Show::Named(names) => Value::symbol(word, names.display(sign_extend(bytes))),
        Show::Flags(names) => Value::symbol(word, names.display(word)),
        Show::Chars => {
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            detail.bytes(&bytes[..end], end)
        }
        Show::Bytes => detail.bytes(bytes, bytes.len()),
        Show::InAddr => match *bytes {
            [a, b, c, d, ..] => Value::symbol(word, format!("inet_addr(\"{a}.{b}.{c}.{d}\")")),
            _ => Value::Addr(word),
        },
        Show::InPort => match *bytes {
            [high, low, ..] => Value::symbol(word, format!("htons({})", u16::from_be_bytes([high, low]))),
            _ => Value::Uint(raw),
        },
        Show::Struct(info) => structure(info, bytes, detail),
        Show::Array(of, size) => {
            Value::list(bytes.chunks_exact(size.max(1)).map(|b| value(*of, b, detail)).collect())
        }
        Show::Pad => Value::fields(Vec::new()),
    }
}

/// Fields of a structure: all, or those that say most.
fn structure(info: &StructInfo, bytes: &[u8], detail: &Detail) -> Value {
    let brief = if detail.verbose { None } else { brief(info.name) };
    let shown = |f: &&FieldInfo| !matches!(f.show, Show::Pad) && brief.is_none_or(|b| b.contains(&f.name));
    let fields = info
        .fields
        .iter()
        .filter(shown)
        .filter_map(|f| Some((f.name, value(f.show, bytes.get(f.offset..f.offset + f.size)?, detail))))
        .collect();
    Value::Struct { fields, more: brief.is_some() }
}

/// The fields that say most of a structure that has many.
fn brief(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "stat" | "ostat" => &["st_mode", "st_size"],
        "statfs" => &["f_type", "f_bsize", "f_blocks", "f_bfree", "f_mntonname"],
        "rusage" => &["ru_utime", "ru_stime"],
        "termios" => &["c_iflag", "c_oflag", "c_cflag", "c_lflag"],
        "sigcontext" => &["sc_mask", "sc_eip", "sc_esp"],
        "utsname" => &["sysname", "nodename", "release"],
        "timex" => &["modes", "offset", "freq", "status"],
        "kinfo_proc" => &["kp_proc", "kp_eproc"],
        "proc" => &["p_stat", "p_pid", "p_comm"],
        "eproc" => &["e_ppid", "e_pgid"],
        "vmtotal" => &["t_vm", "t_rm", "t_free"],
        "semid_ds" => &["sem_perm", "sem_nsems"],
        "msqid_ds" => &["msg_perm", "msg_qnum", "msg_qbytes"],
        "shmid_ds" | "oshmid_ds" => &["shm_perm", "shm_segsz", "shm_nattch"],
        _ => return None,
    })
}

/// The number in up to eight bytes, the lowest first.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// The same, as a signed number of that many bytes.
fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    (unsigned(bytes) << unused).cast_signed() >> unused
}

/// A short signed number as the word that the table of names holds.
fn sign_extend(bytes: &[u8]) -> u32 {
    if bytes.len() == 1 { unsigned(bytes) as u32 } else { signed(bytes) as u32 }
}

/// Permission bits, and the type of file if there is one: `S_IFREG|0644`.
pub(super) fn mode(word: u32) -> Value {
    let kind = match word & 0o170000 {
        0 => return Value::Octal(word.into()),
        0o010000 => "S_IFIFO",
        0o020000 => "S_IFCHR",
        0o040000 => "S_IFDIR",
        0o060000 => "S_IFBLK",
        0o100000 => "S_IFREG",
        0o120000 => "S_IFLNK",
        0o140000 => "S_IFSOCK",
        _ => return Value::Octal(word.into()),
    };
    let mut text = kind.to_string();
    for (bit, name) in [(0o4000, "S_ISUID"), (0o2000, "S_ISGID"), (0o1000, "S_ISTXT")] {
        if word & bit != 0 {
            text.push('|');
            text.push_str(name);
        }
    }
    Value::symbol(word, format!("{text}|0{:03o}", word & !0o177000))
}

/// A device number: major in the second byte, minor in the others.
pub(super) fn dev(word: u32) -> Value {
    if word == u32::MAX {
        return Value::symbol(word, "NODEV");
    }
    Value::symbol(word, format!("makedev({}, {})", word >> 8 & 0xff, word & 0xffff_00ff))
}

fn handler(word: u32) -> Value {
    match word {
        SIG_DFL => Value::symbol(word, "SIG_DFL"),
        SIG_IGN => Value::symbol(word, "SIG_IGN"),
        _ => Value::Addr(word),
    }
}

fn wait_status(word: u32) -> Value {
    let signal = |n: u32| match Signal::from_raw(n) {
        Some(s) => s.name().to_string(),
        None => n.to_string(),
    };
    let text = match WaitStatus(word.into()).decode() {
        Waited::Exited(status) => format!("{{WIFEXITED(s) && WEXITSTATUS(s) == {status}}}"),
        Waited::Stopped { signal: n } => format!("{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}", signal(n)),
        Waited::Signaled { signal: n, core } => {
            let core = if core { " && WCOREDUMP(s)" } else { "" };
            format!("{{WIFSIGNALED(s) && WTERMSIG(s) == {}{core}}}", signal(n))
        }
    };
    Value::symbol(word, text)
}

fn limit(bytes: &[u8]) -> Value {
    match (signed(bytes), bytes.len()) {
        (i64::MAX, _) => Value::Symbol { raw: i64::MAX as u64, text: "RLIM_INFINITY".into() },
        (n, 4) if n == i64::from(i32::MAX) => Value::symbol(n as u32, "RLIM_INFINITY"),
        (n, _) => Value::Int(n),
    }
}

/// A structure of a known layout.
pub(super) fn typed<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::text::plain;
    use syscalls::layout::{Rlimit, Shown, Stat, Timeval};
    use zerocopy::IntoBytes;

    fn shown(show: Show, bytes: &[u8], verbose: bool) -> String {
        let detail = Detail { verbose, ..Detail::default() };
        plain(&value(show, bytes, &detail))
    }

    #[test]
    fn structures_print_their_fields_by_name() {
        let tv = Timeval { sec: (-3).into(), usec: 5.into() };
        assert_eq!(shown(Timeval::SHOW, tv.as_bytes(), false), "{tv_sec=-3, tv_usec=5}");
        let two = [tv.as_bytes(), tv.as_bytes()].concat();
        assert_eq!(
            shown(<[Timeval; 2]>::SHOW, &two, false),
            "[{tv_sec=-3, tv_usec=5}, {tv_sec=-3, tv_usec=5}]"
        );
        let st = Stat { mode: 0o100644.into(), size: 12.into(), ..Stat::default() };
        assert_eq!(shown(Stat::SHOW, st.as_bytes(), false), "{st_mode=S_IFREG|0644, st_size=12, ...}");
        assert!(shown(Stat::SHOW, st.as_bytes(), true).contains("st_dev=makedev(0, 0), st_ino=0, "));
        let limit = Rlimit { cur: 64.into(), max: i64::MAX.into() };
        assert_eq!(shown(Rlimit::SHOW, limit.as_bytes(), false), "{rlim_cur=64, rlim_max=RLIM_INFINITY}");
    }

    #[test]
    fn words_print_what_they_mean() {
        assert_eq!(shown(Show::WaitStatus, &[0, 3, 0, 0], false), "{WIFEXITED(s) && WEXITSTATUS(s) == 3}");
        assert_eq!(
            shown(Show::WaitStatus, &[0x8b, 0, 0, 0], false),
            "{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}"
        );
        assert_eq!(shown(Show::Handler, &[1, 0, 0, 0], false), "SIG_IGN");
        assert_eq!(shown(Show::Dev, &[3, 2, 0, 0], false), "makedev(2, 3)");
        assert_eq!(shown(Show::InPort, &[0, 80], false), "htons(80)");
        assert_eq!(shown(Show::Chars, b"abc\0xyz", false), "\"abc\"");
        assert_eq!(shown(Show::Mode, &[0xed, 0x41], false), "S_IFDIR|0755");
    }

    #[test]
    fn short_memory_is_no_reason_to_panic() {
        for len in 0..32 {
            let bytes = vec![0xff; len];
            for show in
                [Stat::SHOW, Show::Int, Show::Mode, Show::InAddr, Show::InPort, Show::Limit, Show::Chars]
            {
                shown(show, &bytes, true);
            }
        }
    }
}
