//! The X display of the host, lent to a guest: where its socket is, its cookie, and what is changed on the way.
//!
//! A program that sees a local display would share memory with it, by numbers of segments that are the guest's own: so
//! MIT-SHM is not there, neither when it is asked for nor in the list of extensions.  And a guest has no file of cookies
//! for its own host name: whatever it offers, the host's cookie is what the server gets, and the guest never sees it.
//!
//! Must not know sockets.  Source: X Window System Protocol, chapters 1 (formats), 8 (connection setup) and appendix B.

use std::path::{Path, PathBuf};

use crate::host::look;
use crate::kernel::socket::lent::{Filter, Name};

/// Largest file of cookies.
const LARGEST: u64 = 1 << 20;
/// Longest setup of a client that is taken.
const LONGEST_SETUP: usize = 64 << 10;
/// The extension that is hidden, and another name of its length.
const HIDDEN: &[u8] = b"MIT-SHM";
const INSTEAD: &[u8] = b"no-shm!";
/// Requests whose names count, and the name of the cookies.
const QUERY_EXTENSION: u8 = 98;
const LIST_EXTENSIONS: u8 = 99;
const COOKIE: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// The display that a name in DISPLAY means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// Its number.
    pub number: u32,
    /// The host's socket.
    pub socket: PathBuf,
}

impl Display {
    /// The display that `:N` or `unix:N` names, if its socket is there.
    pub fn named(name: &str) -> Option<Self> {
        let number = name.strip_prefix("unix:").or_else(|| name.strip_prefix(':'))?;
        let number = number.split('.').next()?.parse().ok()?;
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        socket.exists().then_some(Self { number, socket })
    }

    /// What is lent of it.
    pub(super) fn lent(&self) -> Name {
        Name {
            guest: format!("/tmp/.X11-unix/X{}", self.number).into_bytes(),
            host: self.socket.clone(),
            filter: |secret| Box::new(X11::new(secret)),
            secret: cookie(self.number).unwrap_or_default(),
        }
    }
}

/// The host's cookie for a display of its own.
fn cookie(number: u32) -> Option<Vec<u8>> {
    let file = std::env::var_os("XAUTHORITY").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".Xauthority"))
    })?;
    let bytes = look::whole(&look::open_named(&file).ok()?, LARGEST).ok()?;
    find_cookie(&bytes, number)
}

/// The cookie of a display in a file of them: family, address, number, name, data, all with their lengths.
fn find_cookie(mut bytes: &[u8], number: u32) -> Option<Vec<u8>> {
    /// Families of this host, and of any.
    const LOCAL: u16 = 256;
    const ANY: u16 = 65535;
    let mut found = None;
    while let Some((family, rest)) = bytes.split_first_chunk::<2>() {
        bytes = rest;
        let mut field = || {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (field, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            bytes = rest;
            Some(field)
        };
        let (_address, display, name, data) = (field()?, field()?, field()?, field()?);
        let of_display = display.is_empty() || display == number.to_string().as_bytes();
        if matches!(u16::from_be_bytes(*family), LOCAL | ANY) && of_display && name == COOKIE {
            found.get_or_insert_with(|| data.to_vec());
        }
    }
    found
}

/// The way of one client's bytes.
#[derive(Debug)]
struct X11 {
    cookie: Vec<u8>,
    big: bool,
    /// The client's setup or request that is not complete, and the server's answer.
    out: Vec<u8>,
    back: Vec<u8>,
    /// The client's setup went through; the server's answer came.
    open: bool,
    answered: bool,
    /// Bytes that go through unseen.
    out_passes: usize,
    back_passes: usize,
    /// The number of the last request, and of lists of extensions that were asked for.
    sequence: u16,
    lists: Vec<u16>,
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

impl X11 {
    fn new(cookie: &[u8]) -> Self {
        Self {
            cookie: cookie.to_vec(),
            big: false,
            out: Vec::new(),
            back: Vec::new(),
            open: false,
            answered: false,
            out_passes: 0,
            back_passes: 0,
            sequence: 0,
            lists: Vec::new(),
        }
    }

    fn short(&self, bytes: &[u8], at: usize) -> u16 {
        let found: [u8; 2] = bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).unwrap_or_default();
        if self.big { u16::from_be_bytes(found) } else { u16::from_le_bytes(found) }
    }

    fn long(&self, bytes: &[u8], at: usize) -> u32 {
        let found: [u8; 4] = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or_default();
        if self.big { u32::from_be_bytes(found) } else { u32::from_le_bytes(found) }
    }

    fn bytes_of(&self, value: usize) -> [u8; 2] {
        let value = value as u16;
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The client's first words, with the host's cookie instead of what it offers; as many bytes as they had.
    fn setup(&mut self) -> Option<(usize, Vec<u8>)> {
        let head = self.out.get(..12)?;
        self.big = head.first() == Some(&b'B');
        let (name, data) = (usize::from(self.short(head, 6)), usize::from(self.short(head, 8)));
        let length = 12 + padded(name) + padded(data);
        let whole = self.out.get(..length)?;
        if self.cookie.is_empty() {
            return Some((length, whole.to_vec()));
        }
        let mut setup = whole.get(..6)?.to_vec();
        setup.extend(self.bytes_of(COOKIE.len()));
        setup.extend(self.bytes_of(self.cookie.len()));
        setup.extend([0, 0]);
        for field in [COOKIE, &self.cookie] {
            setup.extend(field);
            setup.resize(padded(setup.len()), 0);
        }
        Some((length, setup))
    }

    /// One request of the client: how long it is, and how much of it must be seen first.
    fn request(&self) -> Option<(usize, usize)> {
        let head = self.out.get(..4)?;
        let length = match usize::from(self.short(head, 2)) {
            // A big request has its length behind.
            0 => self.long(self.out.get(..8)?, 4) as usize,
            length => length,
        };
        let length = length.saturating_mul(4).max(4);
        let seen = if head.first() == Some(&QUERY_EXTENSION) { length.min(64) } else { 4 };
        Some((length, seen))
    }

    fn take_requests(&mut self, through: &mut Vec<u8>) {
        while let Some((length, seen)) = self.request() {
            if self.out.len() < seen {
                return;
            }
            self.sequence = self.sequence.wrapping_add(1);
            match self.out.first() {
                Some(&QUERY_EXTENSION) => self.hide_in(8),
                Some(&LIST_EXTENSIONS) => self.lists.push(self.sequence),
                _ => {}
            }
            let now = length.min(self.out.len());
            through.extend(self.out.drain(..now));
            self.out_passes = length - now;
            if self.out_passes > 0 {
                return;
            }
        }
    }

    /// Gives the extension another name, if it stands there.
    fn hide_in(&mut self, at: usize) {
        let length = usize::from(self.short(&self.out, 4));
        if let Some(name) = self.out.get_mut(at..at + HIDDEN.len()).filter(|_| length == HIDDEN.len())
            && name == HIDDEN
        {
            name.copy_from_slice(INSTEAD);
        }
    }

    fn take_answers(&mut self, through: &mut Vec<u8>) {
        if !self.answered {
            let Some(head) = self.back.get(..8) else { return };
            let length = 8 + usize::from(self.short(head, 6)) * 4;
            self.answered = true;
            let now = length.min(self.back.len());
            through.extend(self.back.drain(..now));
            self.back_passes = length - now;
        }
        while self.back_passes == 0 && self.back.len() >= 32 {
            let more = match self.back.first() {
                // Replies, and events of extensions, may be longer.
                Some(1 | 35) => (self.long(&self.back, 4) as usize).saturating_mul(4),
                _ => 0,
            };
            let length = 32usize.saturating_add(more);
            let sequence = self.short(&self.back, 2);
            let listed = self.back.first() == Some(&1) && self.lists.contains(&sequence);
            if listed && self.back.len() < length {
                return;
            }
            let length = if listed { self.shorten_list(sequence, length) } else { length };
            let now = length.min(self.back.len());
            through.extend(self.back.drain(..now));
            self.back_passes = length - now;
        }
    }
}

impl X11 {
    /// Takes the extension out of a list of them, the first answer that waits; its length afterwards.
    fn shorten_list(&mut self, sequence: u16, length: usize) -> usize {
        self.lists.retain(|&list| list != sequence);
        // A name has its length before it: the entry is two words long, and what pads the list stays as it is.
        let entry = [&[HIDDEN.len() as u8], HIDDEN].concat();
        let list = self.back.get(32..length).unwrap_or_default();
        let Some(at) = list.windows(entry.len()).position(|name| name == entry) else { return length };
        self.back.drain(32 + at..32 + at + entry.len());
        let words = (self.long(&self.back, 4)).saturating_sub(entry.len() as u32 / 4);
        let words = if self.big { words.to_be_bytes() } else { words.to_le_bytes() };
        self.back.iter_mut().skip(4).zip(words).for_each(|(to, from)| *to = from);
        if let Some(count) = self.back.get_mut(1) {
            *count = count.saturating_sub(1);
        }
        length - entry.len()
    }
}

/// Lets bytes pass that are part of something that was seen.
fn pass<'b>(bytes: &'b [u8], passes: &mut usize, through: &mut Vec<u8>) -> &'b [u8] {
    let (seen, rest) = bytes.split_at((*passes).min(bytes.len()));
    *passes -= seen.len();
    through.extend(seen);
    rest
}

impl Filter for X11 {
    fn to_host(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut through = Vec::new();
        let rest = pass(bytes, &mut self.out_passes, &mut through);
        self.out.extend(rest);
        if !self.open {
            match self.setup() {
                Some((length, setup)) => {
                    self.out.drain(..length);
                    through.extend(setup);
                    self.open = true;
                }
                // Whoever talks so long is no client.
                None if self.out.len() > LONGEST_SETUP * 4 => self.out.clear(),
                None => {}
            }
        }
        if self.open && self.out_passes == 0 {
            self.take_requests(&mut through);
        }
        through
    }

    fn to_guest(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut through = Vec::new();
        let rest = pass(bytes, &mut self.back_passes, &mut through);
        self.back.extend(rest);
        if self.back_passes == 0 {
            self.take_answers(&mut through);
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Vec<u8> {
        let mut bytes = b"l\0\x0b\0\0\0\x04\0\x02\0\0\0nameab\0\0".to_vec();
        // A request of three words, the extension, the list, a big one, another extension.
        bytes.extend(b"\x01\0\x03\0aaaabbbb");
        bytes.extend(b"\x62\0\x04\0\x07\0\0\0MIT-SHM\0");
        bytes.extend(b"\x63\0\x01\0");
        bytes.extend(b"\x48\0\0\0\x04\0\0\0MIT-SHM!");
        bytes.extend(b"\x62\0\x04\0\x05\0\0\0SHAPE\0\0\0");
        bytes
    }

    fn server() -> Vec<u8> {
        let mut bytes = b"\x01\0\x0b\0\0\0\x02\0ssssssss".to_vec();
        bytes.extend([[2; 32], [0; 32]].concat());
        // The answer to the third request.
        let mut list = b"\x01\x02\x03\0\x04\0\0\0".to_vec();
        list.resize(32, 0);
        list.extend(b"\x05SHAPE\x07MIT-SHM\0\0");
        bytes.extend(list);
        bytes.extend([4; 32]);
        bytes
    }

    #[test]
    fn the_extension_is_hidden_and_the_cookie_is_the_hosts() {
        // However the bytes are cut, the same comes out.
        let mut all = Vec::new();
        for piece in [1, 3, 7, 1000] {
            let mut filter = X11::new(b"0123456789abcdef");
            let out: Vec<u8> = client().chunks(piece).flat_map(|bytes| filter.to_host(bytes)).collect();
            let back: Vec<u8> = server().chunks(piece).flat_map(|bytes| filter.to_guest(bytes)).collect();
            all.push((out, back));
        }
        all.dedup();
        let [(out, back)] = &all[..] else { panic!("{all:?}") };
        assert!(
            out.starts_with(b"l\0\x0b\0\0\0\x12\0\x10\0\0\0MIT-MAGIC-COOKIE-1\0\x000123456789abcdef\x01")
        );
        let count = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).filter(|w| *w == what).count();
        assert_eq!((count(out, INSTEAD), count(out, HIDDEN)), (1, 1), "data of requests is left alone");
        assert_eq!((count(back, INSTEAD), count(back, HIDDEN), count(back, b"\x05SHAPE")), (0, 0, 1));
        assert_eq!(back.len(), server().len() - 8);
        assert_eq!(count(back, b"\x01\x01\x03\0\x02\0\0\0"), 1, "one extension, in two words");
    }

    #[test]
    fn without_a_cookie_what_the_guest_offers_goes_through() {
        let mut filter = X11::new(b"");
        assert!(filter.to_host(&client()).starts_with(b"l\0\x0b\0\0\0\x04\0\x02\0\0\0nameab\0\0\x01"));
    }

    #[test]
    fn cookies_are_found_by_their_display() {
        let entry = |family: u16, display: &str, data: &[u8]| {
            let field = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
            [
                &family.to_be_bytes()[..],
                &field(b"host"),
                &field(display.as_bytes()),
                &field(COOKIE),
                &field(data),
            ]
            .concat()
        };
        let file = [entry(0, "1", b"inet"), entry(256, "0", b"zero"), entry(256, "1", b"one")].concat();
        assert_eq!(find_cookie(&file, 1).as_deref(), Some(&b"one"[..]));
        assert_eq!(find_cookie(&file, 2), None);
        for end in 0..file.len() {
            let _ = find_cookie(&file[..end], 1);
        }
    }

    #[test]
    fn whatever_is_sent_nothing_breaks() {
        let mut filter = X11::new(b"c");
        for byte in 0..=255u8 {
            filter.to_host(&[byte; 97]);
            filter.to_guest(&[byte; 97]);
        }
    }
}
