//! Who is logged in, and who was: records in the root's utmp, wtmp and lastlog, where these files exist.
//!
//! 2.1 counterpart: utmp(5), login(3), logout(3) and logwtmp(3) of libutil, ttyslot(3).

use crate::kernel::Kernel;
use crate::machine::login::{exists, read_file};

const UTMP: &[u8] = b"/var/run/utmp";
const WTMP: &[u8] = b"/var/log/wtmp";
const LASTLOG: &[u8] = b"/var/log/lastlog";
const TTYS: &[u8] = b"/etc/ttys";

/// Bytes of the fields: line, name, host.
const LINE: usize = 8;
const NAME: usize = 8;
const HOST: usize = 16;

/// A session for the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Entry {
    /// The terminal, without /dev/.
    pub(in crate::machine) line: Vec<u8>,
    /// The user.
    pub(in crate::machine) name: Vec<u8>,
    /// The user's number.
    pub(in crate::machine) uid: u32,
}

fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    field.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    field
}

/// A record of utmp and wtmp (`struct utmp`).
fn utmp(line: &[u8], name: &[u8], time: u32) -> Vec<u8> {
    [&field::<LINE>(line)[..], &field::<NAME>(name), &[0; HOST], &time.to_le_bytes()].concat()
}

/// The number of a terminal's record in utmp: its place in /etc/ttys, and behind all of these where it has none.
fn slot(kernel: &mut Kernel, line: &[u8]) -> u64 {
    let file = read_file(kernel, TTYS).unwrap_or_default();
    let names: Vec<&[u8]> = file
        .split(|&c| c == b'\n')
        .filter_map(|line| line.split(|c| c.is_ascii_whitespace()).find(|word| !word.is_empty()))
        .filter(|name| !name.starts_with(b"#"))
        .collect();
    let place = names.iter().position(|name| *name == line).map(|place| place + 1);
    let unit = line.last().and_then(|&c| char::from(c).to_digit(10)).unwrap_or(0);
    place.unwrap_or(names.len() + 1 + unit as usize) as u64
}

fn seconds(kernel: &Kernel) -> u32 {
    kernel.clock.seconds().cast_unsigned()
}

/// Somebody has logged in.
pub(in crate::machine) fn login(kernel: &mut Kernel, entry: &Entry) {
    let now = seconds(kernel);
    let record = utmp(&entry.line, &entry.name, now);
    let slot = slot(kernel, &entry.line);
    put(kernel, UTMP, Some((slot, record.len())), &record);
    put(kernel, WTMP, None, &record);
    let last = [&now.to_le_bytes()[..], &field::<LINE>(&entry.line), &[0; HOST]].concat();
    put(kernel, LASTLOG, Some((entry.uid.into(), last.len())), &last);
}

/// The session has ended.
pub(in crate::machine) fn logout(kernel: &mut Kernel, entry: &Entry) {
    let record = utmp(&entry.line, b"", seconds(kernel));
    let slot = slot(kernel, &entry.line);
    put(kernel, UTMP, Some((slot, record.len())), &record);
    put(kernel, WTMP, None, &record);
}

/// Writes a record at its place, or at the end.  Records of which there is no file are not kept, nor those that
/// cannot be written.
fn put(kernel: &mut Kernel, path: &[u8], place: Option<(u64, usize)>, record: &[u8]) {
    if exists(kernel, path) {
        let offset = place.map(|(slot, size)| slot.saturating_mul(size as u64));
        let _ = kernel.write_as_superuser(path, offset, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_originals_layout() {
        let record = utmp(b"ttyv0", b"somebody-long", 0x0102_0304);
        assert_eq!(record.len(), 36);
        assert_eq!(&record[..16], b"ttyv0\0\0\0somebody");
        assert_eq!(record[32..], [4, 3, 2, 1]);
    }
}
