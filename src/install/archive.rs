//! tar: of V7, POSIX and GNU, as 2.1's sets and packages are.
//!
//! The headers and their order are the tar crate's; what an entry becomes in the root is decided here.  Long names of
//! GNU and POSIX are read here as well, with a bound: a name is never longer than a path may be.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{Archive, EntryType, Header};

use super::package::Package;
use super::script::Scripts;
use super::set::Set;
use super::write::{Item, What, Writer};
use super::{InstallError, Progress, Report, stream};
use crate::kernel::vfs::Vtype;

/// Longest extension of a header that is read.
const LONGEST: u64 = 64 << 10;
/// Largest list of a package.
const LARGEST_LIST: u64 = 8 << 20;

/// Writes all entries of a set.
pub(super) fn unpack(
    name: &str,
    set: &Set,
    scripts: &Scripts,
    writer: &mut Writer,
    progress: &Rc<dyn Progress>,
    report: &mut Report,
) -> Result<(), InstallError> {
    let advance = |bytes| progress.advance(bytes);
    let opened = stream::open(set.content(&advance)).map_err(|e| writer.failed(e.to_string()))?;
    let ended = Rc::new(Cell::new(false));
    let mut archive =
        Archive::new(Watched { inner: opened, last: [1; 512], at: 0, ended: Rc::clone(&ended) });
    let entries = archive.entries().map_err(|e| writer.failed(e.to_string()))?.raw(true);
    let mut long = Long::default();
    let mut package: Option<Package> = None;
    let mut first = true;
    for entry in entries {
        let mut entry = entry.map_err(|e| writer.failed(problem(&e, first)))?;
        let header = entry.header().clone();
        if long.take(&header, &mut entry).map_err(|e| writer.failed(e.to_string()))? {
            continue;
        }
        let Long { name: long_name, link: long_link } = std::mem::take(&mut long);
        let mut path = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
        if first && path == b"+CONTENTS" {
            let mut list = Vec::new();
            entry
                .by_ref()
                .take(LARGEST_LIST)
                .read_to_end(&mut list)
                .map_err(|e| writer.failed(e.to_string()))?;
            let plan = Package::read(name, &list, writer);
            plan.begin(&list, writer, report)?;
            package = Some(plan);
            first = false;
            continue;
        }
        first = false;
        let mut item = match item(&header, long_link, entry.size()) {
            Ok(Some(item)) => item,
            Ok(None) => continue,
            Err(why) => {
                writer.refuse(&path, why);
                continue;
            }
        };
        if path.ends_with(b"/") && matches!(item.what, What::File(0)) {
            // A directory of V7.
            item.what = What::Directory;
        }
        if let Some(package) = &mut package {
            package.before(&path, scripts, writer, report)?;
            if !package.place(&mut path, &mut item) {
                if !matches!(item.what, What::Directory) {
                    writer.refuse(&path, "not in the package's own list");
                }
                continue;
            }
        } else if !set.below.is_empty() {
            let prefix = [set.below.as_bytes(), b"/"].concat();
            if let What::Name(target) = &mut item.what {
                *target = [&prefix[..], target].concat();
            }
            path = [&prefix[..], &path].concat();
        }
        item.path = path;
        writer.put(item, &mut entry)?;
    }
    if first {
        return Err(writer.failed("holds nothing".to_owned()));
    }
    // What stands behind the end is read, too: it may be damaged.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|e| writer.failed(e.to_string()))?;
    if !ended.get() {
        return Err(writer.failed("ends without the end of an archive: it is truncated".to_owned()));
    }
    if let Some(mut package) = package {
        package.end(scripts, writer, report)?;
    }
    Ok(())
}

/// What the tar crate says, for a person.
fn problem(error: &io::Error, first: bool) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is truncated".to_owned(),
        io::ErrorKind::InvalidData => error.to_string(),
        _ if first => "no tar archive, whatever it is compressed with".to_owned(),
        _ => format!("damaged: {error}"),
    }
}

/// What a header describes; its path is filled in later.
fn item(header: &Header, long_link: Option<Vec<u8>>, size: u64) -> Result<Option<Item>, &'static str> {
    let link = || long_link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
    let what = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => What::File(size),
        EntryType::Directory => What::Directory,
        EntryType::Symlink => {
            What::Link(link().filter(|text| !text.is_empty()).ok_or("a link without a text")?)
        }
        EntryType::Link => What::Name(link().ok_or("a further name of nothing")?),
        EntryType::Fifo => What::Fifo,
        kind @ (EntryType::Char | EntryType::Block) => {
            let (major, minor) = (header.device_major().ok().flatten(), header.device_minor().ok().flatten());
            let (Some(major), Some(minor)) = (major, minor) else { return Err("a device without a number") };
            let kind = if kind == EntryType::Char { Vtype::Chr } else { Vtype::Blk };
            What::Device(kind, major << 8 | minor & 0xffff_00ff)
        }
        EntryType::GNUSparse => return Err("a file with holes in GNU's form, which is not read"),
        // Names of volumes, headers for all, and what nobody knows.
        kind if kind.is_pax_global_extensions() => return Ok(None),
        kind if kind.as_byte() == b'V' || kind.as_byte() == b'M' => return Ok(None),
        _ => return Err("an entry of an unknown kind"),
    };
    let number = |value: io::Result<u64>| value.ok().and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
    Ok(Some(Item {
        path: Vec::new(),
        what,
        mode: (header.mode().unwrap_or(0o644) & 0o7777) as u16,
        uid: number(header.uid()),
        gid: number(header.gid()),
        mtime: (header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0), 0),
        flags: 0,
    }))
}

/// Names that stand in entries of their own before the one that they belong to.
#[derive(Default)]
struct Long {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Long {
    /// Takes an entry that is such a name; whether it was one.
    fn take(&mut self, header: &Header, entry: &mut impl Read) -> io::Result<bool> {
        let kind = header.entry_type();
        if !(kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions()) {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        entry.take(LONGEST).read_to_end(&mut bytes)?;
        if kind.is_pax_local_extensions() {
            for (key, value) in records(&bytes) {
                match key {
                    b"path" => self.name = Some(value.to_vec()),
                    b"linkpath" => self.link = Some(value.to_vec()),
                    _ => {}
                }
            }
            return Ok(true);
        }
        bytes.truncate(bytes.iter().position(|&c| c == 0).unwrap_or(bytes.len()));
        if kind.is_gnu_longname() {
            self.name = Some(bytes);
        } else {
            self.link = Some(bytes);
        }
        Ok(true)
    }
}

/// The records of a POSIX extension: `LENGTH KEY=VALUE` and a newline, the length counting all of it.
fn records(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while let Some(blank) = bytes.iter().position(|&c| c == b' ') {
        let length: Option<usize> = std::str::from_utf8(&bytes[..blank]).ok().and_then(|l| l.parse().ok());
        let Some(record) = length.and_then(|length| bytes.get(blank + 1..length)) else { break };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(at) = record.iter().position(|&c| c == b'=') {
            found.push((&record[..at], &record[at + 1..]));
        }
        bytes = bytes.get(length.unwrap_or(bytes.len())..).unwrap_or_default();
    }
    found
}

/// A stream that remembers whether a whole block of zeros was in it last: an archive's end.
struct Watched<R> {
    inner: R,
    last: [u8; 512],
    at: usize,
    ended: Rc<Cell<bool>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        for &byte in buffer.get(..length).unwrap_or_default() {
            if let Some(to) = self.last.get_mut(self.at) {
                *to = byte;
            }
            self.at += 1;
            if self.at == self.last.len() {
                self.at = 0;
                if self.last == [0; 512] {
                    self.ended.set(true);
                }
            }
        }
        Ok(length)
    }
}
