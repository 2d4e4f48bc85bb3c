//! What the system use area of a record says by the rules of SUSP and Rock Ridge.
//!
//! 2.1 counterpart: isofs/cd9660/cd9660_rrip.c.  As there, ER must name Rock Ridge, SP may stand behind the fifteen
//! bytes of CD-ROM XA, and links to the volume's root or with the host's name are filled in.  Names of later editions
//! of the standard (IEEE P1282) are taken as well.

use super::number::{byte, bytes, long};
use super::{Options, stamp};

/// Continuation areas of one record at most.
const AREAS: u32 = 64;
/// Longest name (NAME_MAX) and longest text of a link (MAXPATHLEN).
const NAME_MAX: usize = 255;
const MAXPATHLEN: usize = 1024;
/// Bytes between header and SP on discs of CD-ROM XA.
const XA: usize = 15;

const CONTINUE: u8 = 0x01;
const CURRENT: u8 = 0x02;
const PARENT: u8 = 0x04;
const ROOT: u8 = 0x08;
const VOLUME_ROOT: u8 = 0x10;
const HOST: u8 = 0x20;

/// Gives bytes of a block: its number, where in it, and how many.
pub(super) type Continuation<'a> = &'a dyn Fn(u32, u32, u32) -> Option<Vec<u8>>;

/// All that was said of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// NM.
    pub name: Option<Vec<u8>>,
    /// PX: mode, links, owner, group.
    pub posix: Option<[u32; 4]>,
    /// PX of RRIP 1.12: the number that all names of a file share.
    pub serial: Option<u32>,
    /// PN: high and low part of the device.
    pub device: Option<[u32; 2]>,
    /// TF: changed, looked at, and attributes changed.
    pub times: Option<[Option<i64>; 3]>,
    /// SL.
    pub link: Option<Vec<u8>>,
    /// CL: the block of a directory that stands elsewhere.
    pub child: Option<u32>,
    /// RE: the record is only here because the directory had to be somewhere.
    pub relocated: bool,
}

/// How the area of each record begins: bytes to skip, in the root's own record and in all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    pub first: usize,
    pub others: usize,
}

/// Whether the root's own record announces Rock Ridge, and how areas begin.
pub(super) fn announced(area: &[u8], more: Continuation<'_>) -> Option<Skip> {
    let begins = |from: usize| bytes::<6>(area, from) == *b"SP\x07\x01\xbe\xef";
    let first = [0, XA].into_iter().find(|&from| begins(from))?;
    let mut known = false;
    walk(area.get(first..)?, more, &mut |signature, entry| {
        let (name, version) = (usize::from(byte(entry, 4)), byte(entry, 7));
        let name = entry.get(8..8 + name).unwrap_or_default();
        known |= signature == *b"ER"
            && version == 1
            && matches!(name, b"RRIP_1991A" | b"IEEE_P1282" | b"IEEE_1282");
    });
    known.then_some(Skip { first, others: usize::from(byte(area, first + 6)) })
}

/// All that the area of a record says.
pub(super) fn read(area: &[u8], more: Continuation<'_>, options: &Options) -> Said {
    let mut said = Said::default();
    let mut name = Text::new(NAME_MAX);
    let mut link = Text::new(MAXPATHLEN);
    walk(area, more, &mut |signature, entry| match &signature {
        b"NM" => name.component(byte(entry, 4), entry.get(5..).unwrap_or_default(), options),
        b"SL" => link.components(entry.get(5..).unwrap_or_default(), options),
        b"PX" => {
            said.posix = Some([long(entry, 4), long(entry, 12), long(entry, 20), long(entry, 28)]);
            said.serial = (entry.len() >= 44).then(|| long(entry, 36));
        }
        b"PN" => said.device = Some([long(entry, 4), long(entry, 12)]),
        b"TF" => said.times = Some(times(entry)),
        b"CL" => said.child = Some(long(entry, 4)),
        b"RE" => said.relocated = true,
        _ => {}
    });
    said.name = name.finish();
    said.link = link.finish();
    said
}

/// Each entry of an area and of those that continue it, with its four bytes of header.
fn walk(area: &[u8], more: Continuation<'_>, visit: &mut dyn FnMut([u8; 2], &[u8])) {
    let mut area = area.to_vec();
    for _ in 0..AREAS {
        let mut next = None;
        let mut at = 0;
        while let Some(rest) = area.get(at..).filter(|rest| rest.len() >= 4) {
            let length = usize::from(byte(rest, 2));
            let Some(entry) = rest.get(..length).filter(|_| length >= 4) else { break };
            at += length;
            if byte(entry, 3) != 1 {
                continue;
            }
            match bytes::<2>(entry, 0) {
                signature if signature == *b"ST" => return,
                signature if signature == *b"CE" => {
                    next = Some((long(entry, 4), long(entry, 12), long(entry, 20)))
                }
                signature => visit(signature, entry),
            }
        }
        match next.and_then(|(block, offset, length)| more(block, offset, length)) {
            Some(continued) => area = continued,
            None => return,
        }
    }
}

/// Changed, looked at, attributes changed; what is missing is as the first (`cd9660_rrip_tstamp`).
fn times(entry: &[u8]) -> [Option<i64>; 3] {
    let flags = byte(entry, 4);
    let long_form = flags & 0x80 != 0;
    let mut at = 5;
    let mut take = |bit: u8| {
        if flags & bit == 0 {
            return None;
        }
        let from = entry.get(at..).unwrap_or_default();
        at += if long_form { 17 } else { 7 };
        if long_form { stamp::long(from) } else { stamp::short(from, true) }
    };
    let _created = take(0x01);
    let changed = take(0x02);
    let looked_at = take(0x04).or(changed);
    [changed, looked_at, take(0x08).or(changed)]
}

/// A name, or the text of a link, of which pieces come one after the other.
struct Text {
    bytes: Vec<u8>,
    most: usize,
    /// Something was said.
    begun: bool,
    /// The last component goes on.
    continued: bool,
    /// Too long, or of an unknown kind.
    wrong: bool,
}

impl Text {
    fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, begun: false, continued: true, wrong: false }
    }

    /// One component of a name or a link.
    fn component(&mut self, flags: u8, bytes: &[u8], options: &Options) {
        self.begun = true;
        let piece: &[u8] = match flags & !CONTINUE {
            0 => bytes,
            CURRENT => b".",
            PARENT => b"..",
            HOST => &options.host_name,
            ROOT => b"",
            VOLUME_ROOT => options.mounted_on.strip_suffix(b"/").unwrap_or(&options.mounted_on),
            _ => {
                self.wrong = true;
                b""
            }
        };
        self.bytes.extend_from_slice(piece);
        self.wrong |= self.bytes.len() > self.most;
        self.bytes.truncate(self.most);
    }

    /// The components of one SL entry.
    fn components(&mut self, mut rest: &[u8], options: &Options) {
        while rest.len() >= 2 {
            let (flags, length) = (byte(rest, 0), usize::from(byte(rest, 1)));
            let Some(bytes) = rest.get(2..2 + length) else {
                self.wrong = true;
                return;
            };
            if flags & (ROOT | VOLUME_ROOT) != 0 {
                self.bytes.clear();
            } else if !self.continued {
                self.bytes.push(b'/');
            }
            self.component(flags, bytes, options);
            self.continued = flags & CONTINUE != 0;
            rest = rest.get(2 + length..).unwrap_or_default();
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        match self.bytes.is_empty() && self.begun && !self.continued {
            // The root alone.
            true => Some(b"/".to_vec()),
            false => (self.begun && !self.wrong && !self.bytes.is_empty()).then_some(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: u32, _: u32, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn said(area: &[u8]) -> Said {
        let options =
            Options { mounted_on: b"/cdrom".to_vec(), host_name: b"myname".to_vec(), ..Options::default() };
        read(area, &none, &options)
    }

    #[test]
    fn names_come_in_pieces() {
        assert_eq!(said(b"NM\x08\x01\x01FooNM\x08\x01\x00Bar").name.as_deref(), Some(&b"FooBar"[..]));
        assert_eq!(said(b"NM\x05\x01\x20").name.as_deref(), Some(&b"myname"[..]));
        assert_eq!(said(b"NM\x06\x01\x40x").name, None, "a kind that does not exist");
        assert_eq!(said(b"XX\x04\x01").name, None);
    }

    #[test]
    fn links_come_in_components() {
        let link = |components: &[u8]| {
            let mut area = vec![b'S', b'L', components.len() as u8 + 5, 1, 0];
            area.extend(components);
            said(&area).link.map(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(link(b"\x00\x03usr\x00\x03bin").as_deref(), Some("usr/bin"));
        assert_eq!(link(b"\x08\x00\x00\x03usr").as_deref(), Some("/usr"));
        assert_eq!(link(b"\x04\x00\x02\x00\x00\x01x").as_deref(), Some(".././x"));
        assert_eq!(link(b"\x01\x02us\x00\x01r\x00\x01x").as_deref(), Some("usr/x"));
        assert_eq!(link(b"\x10\x00\x00\x01x").as_deref(), Some("/cdrom/x"));
        assert_eq!(link(b"\x08\x00").as_deref(), Some("/"));
        assert_eq!(link(b"\x00\x09usr"), None, "longer than its entry");
        assert_eq!(link(b""), None);
    }

    #[test]
    fn attributes_are_numbers() {
        let mut area = b"PX\x2c\x01".to_vec();
        for value in [0o104_755u32, 2, 5, 7, 99] {
            area.extend(value.to_le_bytes());
            area.extend(value.to_be_bytes());
        }
        area.extend(b"TF\x13\x01\x06\x46\x01\x01\0\0\0\0\x46\x01\x02\0\0\0\0");
        let said = said(&area);
        assert_eq!((said.posix, said.serial), (Some([0o104_755, 2, 5, 7]), Some(99)));
        assert_eq!(said.times, Some([Some(0), Some(86400), Some(0)]));
    }

    #[test]
    fn areas_continue_and_end() {
        let first = b"CE\x1c\x01\x09\0\0\0\0\0\0\x09\x04\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\x08";
        let more = |block, offset, length| {
            assert_eq!((block, offset, length), (9, 4, 8));
            Some(b"NM\x08\x01\x00Far".to_vec())
        };
        assert_eq!(read(first, &more, &Options::default()).name.as_deref(), Some(&b"Far"[..]));
        // One that continues itself ends as well.
        let again = |_, _, _| Some(first.to_vec());
        assert_eq!(read(first, &again, &Options::default()), Said::default());
        assert_eq!(said(b"ST\x04\x01NM\x06\x01\x00x"), Said::default());
        assert_eq!(said(b"NM\x00\x01\x00x"), Said::default());
    }

    #[test]
    fn rock_ridge_is_announced_by_sp_and_er() {
        let er = b"ER\x12\x01\x0a\x00\x00\x01RRIP_1991A";
        let area = [&b"SP\x07\x01\xbe\xef\x00"[..], er].concat();
        assert_eq!(announced(&area, &none), Some(Skip { first: 0, others: 0 }));
        let xa = [&[0; 15][..], b"SP\x07\x01\xbe\xef\x0e", er].concat();
        assert_eq!(announced(&xa, &none), Some(Skip { first: 15, others: 14 }));
        assert_eq!(announced(b"SP\x07\x01\xbe\xef\x00", &none), None);
        assert_eq!(announced(er, &none), None);
    }
}
