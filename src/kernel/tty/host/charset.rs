//! Characters of a guest on a terminal of the host: Latin-1 there, UTF-8 here.
//!
//! 2.1's programs write one byte for each character.  A terminal that reads UTF-8 shows those above 127 as
//! nothing, and sends two bytes for them.
//!
//! Must not know terminals.

/// What a character becomes that Latin-1 has not.
const UNKNOWN: u8 = b'?';

/// The characters of the host's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// The guest's own: bytes go through as they are.
    #[default]
    Latin1,
    /// UTF-8.
    Utf8,
}

/// Puts bytes of the guest behind what waits for the host.
pub(super) fn to_host(charset: Charset, bytes: &[u8], out: &mut Vec<u8>) {
    if charset == Charset::Latin1 || bytes.is_ascii() {
        out.extend_from_slice(bytes);
        return;
    }
    for &c in bytes {
        if c < 0x80 {
            out.push(c);
        } else {
            out.extend_from_slice(&[0xc0 | c >> 6, 0x80 | c & 0x3f]);
        }
    }
}

/// Reads what the host's side types.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
}

impl Reader {
    /// The guest's bytes of what was typed.
    pub(super) fn read(&mut self, charset: Charset, bytes: &[u8]) -> Vec<u8> {
        if charset == Charset::Latin1 || self.begun.is_empty() && bytes.is_ascii() {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (good, wrong) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let good = rest.get(..error.valid_up_to()).unwrap_or_default();
                    (std::str::from_utf8(good).unwrap_or_default(), Some(error.error_len()))
                }
            };
            out.extend(good.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(UNKNOWN)));
            rest = rest.get(good.len()..).unwrap_or_default();
            match wrong {
                None => break,
                Some(None) => {
                    self.begun = rest.to_vec();
                    break;
                }
                // Whoever types such bytes means them.
                Some(Some(length)) => {
                    let (bytes, behind) = rest.split_at(length.min(rest.len()));
                    out.extend_from_slice(bytes);
                    rest = behind;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_1_becomes_utf_8_and_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let mut shown = Vec::new();
        to_host(Charset::Utf8, &all, &mut shown);
        assert_eq!(
            String::from_utf8(shown.clone()).unwrap(),
            all.iter().map(|&c| char::from(c)).collect::<String>()
        );
        let mut reader = Reader::default();
        let back: Vec<u8> = shown.iter().flat_map(|&c| reader.read(Charset::Utf8, &[c])).collect();
        assert_eq!(back, all, "byte by byte");
        assert_eq!(Reader::default().read(Charset::Utf8, &shown), all);
    }

    #[test]
    fn what_latin_1_has_not_is_a_question_mark_and_what_is_no_utf_8_stays() {
        let mut reader = Reader::default();
        assert_eq!(reader.read(Charset::Utf8, "a€é".as_bytes()), b"a?\xe9");
        assert_eq!(reader.read(Charset::Utf8, b"\xffx\xe2\x82"), b"\xffx");
        assert_eq!(reader.read(Charset::Utf8, b"\xacy"), b"?y");
        assert_eq!(reader.read(Charset::Latin1, b"\xe9"), b"\xe9");
    }
}
