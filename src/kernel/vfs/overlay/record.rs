//! The lines of an overlay's journal: what each change leaves behind, and how it is written down.
//!
//! ```text
//! CRC TAB part TAB part … LF
//! node N kind=f perm=644 links=1 own=1 attr=… text=… times=S.NS,S.NS,S.NS from=a/b size=5 mtime=S.NS
//! name DIRECTORY NAME N      the name stands for file N
//! name DIRECTORY NAME -      the name below is hidden
//! name DIRECTORY NAME ~      nothing is said of the name
//! gone N
//! ```
//!
//! A part says what is true from now on, never what is to be done: reading a line twice does no harm.  A
//! line whose check sum is wrong was not written whole, and nothing after it counts.
//!
//! Must not know the host.  No 2.1 counterpart.

use std::fmt::Write as _;

use crate::host::fs::{HostKind, HostTime};

/// The first line of a journal begins with this, followed by the root that it belongs to.
pub(super) const MAGIC: &str = "bsd21 overlay 1 ";

/// The number of a file that the overlay knows of.
pub(super) type Number = u64;

/// The number of the root directory.
pub(super) const ROOT: Number = 1;

/// What was found below the overlay when a file was first changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its path below the root, without a slash in front.
    pub(super) path: Vec<u8>,
    /// Its size.
    pub(super) size: u64,
    /// Its time of modification.
    pub(super) mtime: HostTime,
}

/// All that the overlay knows of a file but its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its type.
    pub(super) kind: HostKind,
    /// Permission bits.
    pub(super) perm: u32,
    /// Names: all of them for a new file, more (or fewer) than below for one of the root's.
    pub(super) links: i64,
    /// The overlay has its bytes.
    pub(super) own: bool,
    /// The extended attribute of the guest's world.
    pub(super) attribute: Option<Vec<u8>>,
    /// The text of a symbolic link.
    pub(super) text: Vec<u8>,
    /// Times of access, modification and change, where they are not those of the bytes.
    pub(super) times: Option<[HostTime; 3]>,
    /// The file of the root that it is or was.
    pub(super) origin: Option<Origin>,
}

/// One thing that is true from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A file is like this.
    Node(Number, Facts),
    /// A name of a directory stands for a file, or for nothing; `None` says nothing about it.
    Name(Number, Vec<u8>, Option<Option<Number>>),
    /// A file is no more.
    Gone(Number),
}

/// The line for some parts.
pub(super) fn line(parts: &[Part]) -> Vec<u8> {
    let mut text = String::new();
    for part in parts {
        text.push('\t');
        // Writing to a string cannot fail.
        let _ = match part {
            Part::Node(number, facts) => write!(text, "node {number}{}", words(facts)),
            Part::Name(directory, name, to) => {
                let to = match to {
                    None => "~".to_owned(),
                    Some(None) => "-".to_owned(),
                    Some(Some(number)) => number.to_string(),
                };
                write!(text, "name {directory} {} {to}", escape(name))
            }
            Part::Gone(number) => write!(text, "gone {number}"),
        };
    }
    format!("{:08x}{text}\n", sum(text.as_bytes())).into_bytes()
}

/// The parts of a line without its end; `None` for one that was not written whole.
pub(super) fn parse(line: &[u8]) -> Option<Vec<Part>> {
    let line = std::str::from_utf8(line).ok()?;
    let (check, text) = line.split_at_checked(8)?;
    if u32::from_str_radix(check, 16).ok()? != sum(text.as_bytes()) {
        return None;
    }
    text.strip_prefix('\t')?.split('\t').map(part).collect()
}

fn part(text: &str) -> Option<Part> {
    let mut words = text.split(' ');
    match words.next()? {
        "node" => Some(Part::Node(words.next()?.parse().ok()?, facts(words)?)),
        "name" => {
            let directory = words.next()?.parse().ok()?;
            let name = unescape(words.next()?)?;
            let to = match words.next()? {
                "~" => None,
                "-" => Some(None),
                number => Some(Some(number.parse().ok()?)),
            };
            Some(Part::Name(directory, name, to))
        }
        "gone" => Some(Part::Gone(words.next()?.parse().ok()?)),
        _ => None,
    }
}

const KINDS: [(HostKind, &str); 5] = [
    (HostKind::Regular, "f"),
    (HostKind::Directory, "d"),
    (HostKind::Symlink, "l"),
    (HostKind::Fifo, "p"),
    (HostKind::Socket, "s"),
];

fn words(facts: &Facts) -> String {
    let kind = KINDS.iter().find(|(kind, _)| *kind == facts.kind).map_or("?", |(_, word)| word);
    let mut text = format!(" kind={kind} perm={:o} links={}", facts.perm, facts.links);
    let mut add = |word: std::fmt::Arguments<'_>| {
        let _ = write!(text, " {word}");
    };
    if facts.own {
        add(format_args!("own=1"));
    }
    if let Some(attribute) = &facts.attribute {
        add(format_args!("attr={}", escape(attribute)));
    }
    if !facts.text.is_empty() {
        add(format_args!("text={}", escape(&facts.text)));
    }
    if let Some([atime, mtime, ctime]) = &facts.times {
        add(format_args!("times={},{},{}", time(*atime), time(*mtime), time(*ctime)));
    }
    if let Some(origin) = &facts.origin {
        let path = escape(&origin.path);
        add(format_args!("from={path} size={} mtime={}", origin.size, time(origin.mtime)));
    }
    text
}

fn facts<'a>(words: impl Iterator<Item = &'a str>) -> Option<Facts> {
    let mut facts = Facts {
        kind: HostKind::Unknown,
        perm: 0,
        links: 0,
        own: false,
        attribute: None,
        text: Vec::new(),
        times: None,
        origin: None,
    };
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "kind" => facts.kind = KINDS.iter().find(|(_, word)| *word == value)?.0,
            "perm" => facts.perm = u32::from_str_radix(value, 8).ok()?,
            "links" => facts.links = value.parse().ok()?,
            "own" => facts.own = true,
            "attr" => facts.attribute = Some(unescape(value)?),
            "text" => facts.text = unescape(value)?,
            "times" => {
                let mut times = value.split(',').map(parse_time);
                facts.times = Some([times.next()??, times.next()??, times.next()??]);
            }
            "from" => facts.origin = Some(Origin { path: unescape(value)?, ..Origin::default() }),
            "size" => facts.origin.as_mut()?.size = value.parse().ok()?,
            "mtime" => facts.origin.as_mut()?.mtime = parse_time(value)?,
            _ => return None,
        }
    }
    Some(facts)
}

fn time(time: HostTime) -> String {
    format!("{}.{:09}", time.sec, time.nsec)
}

fn parse_time(text: &str) -> Option<HostTime> {
    let (sec, nsec) = text.split_once('.')?;
    Some(HostTime { sec: sec.parse().ok()?, nsec: nsec.parse().ok()? })
}

/// Any bytes in letters that neither end a word nor a line.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

/// What [`escape`] was given.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = match first {
            b'%' => {
                let (digits, tail) = tail.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                tail
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    Some(bytes)
}

/// The check sum of a line (CRC-32 as in Ethernet).
fn sum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_facts() -> impl Strategy<Value = Facts> {
        let time =
            (any::<i32>(), 0..1_000_000_000i64).prop_map(|(sec, nsec)| HostTime { sec: sec.into(), nsec });
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        let origin = (bytes(), any::<u64>(), time.clone()).prop_map(|(path, size, mtime)| Origin {
            path,
            size,
            mtime,
        });
        let times = prop::option::of([time.clone(), time.clone(), time]);
        let first = (0..5usize, 0..0o2000u32, any::<i32>(), any::<bool>());
        (first, prop::option::of(bytes()), bytes(), times, prop::option::of(origin)).prop_map(
            |((kind, perm, links, own), attribute, text, times, origin)| Facts {
                kind: KINDS[kind].0,
                perm,
                links: links.into(),
                own,
                attribute,
                text,
                times,
                origin,
            },
        )
    }

    fn any_part() -> impl Strategy<Value = Part> {
        prop_oneof![
            (any::<u64>(), any_facts()).prop_map(|(number, facts)| Part::Node(number, facts)),
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..20), any::<Option<Option<u64>>>())
                .prop_map(|(directory, name, to)| Part::Name(directory, name, to)),
            any::<u64>().prop_map(Part::Gone),
        ]
    }

    proptest! {
        #[test]
        fn every_line_comes_back(parts in prop::collection::vec(any_part(), 1..6)) {
            let written = line(&parts);
            prop_assert_eq!(written.iter().filter(|&&b| b == b'\n').count(), 1);
            prop_assert_eq!(parse(written.strip_suffix(b"\n").unwrap()), Some(parts));
        }

        #[test]
        fn a_torn_line_is_none(parts in prop::collection::vec(any_part(), 1..4), cut in any::<prop::sample::Index>()) {
            let written = line(&parts);
            let whole = written.len() - 1;
            prop_assert_eq!(parse(&written[..cut.index(whole)]), None);
        }

        #[test]
        fn nonsense_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}
