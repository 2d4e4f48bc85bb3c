//! JSON text: just enough to write it, without a guest's bytes ever breaking it.
//!
//! Must not know values.

use std::fmt::Write;

/// Writes a string with its quotes.  Bytes that are not UTF-8 become `\u00xx`, as in Latin-1.
pub fn string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    let mut rest = bytes;
    while !rest.is_empty() {
        let (valid, bad) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &rest[rest.len()..]),
            Err(e) => (std::str::from_utf8(&rest[..e.valid_up_to()]).unwrap_or(""), &rest[e.valid_up_to()..]),
        };
        for c in valid.chars() {
            let _ = match c {
                '"' => write!(out, "\\\""),
                '\\' => write!(out, "\\\\"),
                '\n' => write!(out, "\\n"),
                '\t' => write!(out, "\\t"),
                '\r' => write!(out, "\\r"),
                c if u32::from(c) < 0x20 || c == '\u{7f}' => write!(out, "\\u{:04x}", u32::from(c)),
                c => write!(out, "{c}"),
            };
        }
        match bad.split_first() {
            Some((byte, behind)) => {
                let _ = write!(out, "\\u{byte:04x}");
                rest = behind;
            }
            None => rest = bad,
        }
    }
    out.push('"');
}

/// An object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object.
    pub fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Writes a key and gives the place for its value.
    pub fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        string(self.out, key.as_bytes());
        self.out.push(':');
        self.out
    }

    /// A number, or anything else that prints as JSON.
    pub fn number(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        let out = self.key(key);
        let _ = write!(out, "{value}");
        self
    }

    /// Text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        string(self.key(key), value.as_bytes());
        self
    }

    /// Bytes of a guest.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        string(self.key(key), value);
        self
    }

    /// Ends the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// Writes an array.
pub fn array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(out, item);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_string() {
        let mut out = String::new();
        string(&mut out, b"a\"\\\n\x01\xff\xc3\xa9");
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001\\u00ffé\"");
    }

    #[test]
    fn objects_have_commas_between_their_members() {
        let mut out = String::new();
        let mut o = Object::new(&mut out);
        o.number("a", 1).text("b", "x");
        array(o.key("c"), [1, 2], |out, n| out.push_str(&n.to_string()));
        o.end();
        assert_eq!(out, r#"{"a":1,"b":"x","c":[1,2]}"#);
    }
}
