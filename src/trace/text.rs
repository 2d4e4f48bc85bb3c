//! A decoded value as text, in strace's manner.
//!
//! Must not know calls.

use std::fmt::Write;

use super::value::Value;

/// Which strings are printed in base 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HexStrings {
    /// None: what is not printable is escaped.
    #[default]
    Never,
    /// Those that hold anything but printable characters.
    NotAscii,
    /// All.
    Always,
}

/// How numbers with a symbolic form are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbols {
    /// By it.
    #[default]
    Names,
    /// As numbers.
    Numbers,
    /// As numbers, with it as a remark.
    Both,
}

/// How values are printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Descriptors are printed as numbers, whatever is known of them.
    pub plain_fds: bool,
    /// How numbers with a symbolic form are printed.
    pub symbols: Symbols,
    /// Which strings are printed in base 16.
    pub hex_strings: HexStrings,
}

/// Prints a value.
pub fn write(out: &mut String, value: &Value, style: Style) {
    // Writing to a String does not fail.
    let _ = match value {
        Value::Int(n) => write!(out, "{n}"),
        Value::Uint(n) => write!(out, "{n}"),
        Value::Hex(n) => write!(out, "{n:#x}"),
        Value::Octal(0) => write!(out, "0"),
        Value::Octal(n) => write!(out, "0{n:o}"),
        Value::Addr(0) => write!(out, "NULL"),
        Value::Addr(n) => write!(out, "{n:#x}"),
        Value::Symbol { text, raw } => match style.symbols {
            Symbols::Names => write!(out, "{text}"),
            Symbols::Numbers => write!(out, "{raw:#x}"),
            Symbols::Both => write!(out, "{raw:#x} /* {text} */"),
        },
        Value::Fd { fd, about: None } => write!(out, "{fd}"),
        Value::Fd { fd, .. } if style.plain_fds => write!(out, "{fd}"),
        Value::Fd { fd, about: Some(about) } => write!(out, "{fd}<{about}>"),
        Value::Bytes { bytes, more } => {
            quote(out, bytes, style.hex_strings);
            if *more {
                out.push_str("...");
            }
            Ok(())
        }
        Value::Struct { fields, more } => {
            out.push('{');
            for (i, (name, value)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                let _ = write!(out, "{name}=");
                write(out, value, style);
            }
            if *more {
                out.push_str(if fields.is_empty() { "..." } else { ", ..." });
            }
            out.push('}');
            Ok(())
        }
        Value::List { items, more } => {
            out.push('[');
            for (i, value) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(out, value, style);
            }
            if *more {
                out.push_str(if items.is_empty() { "..." } else { ", ..." });
            }
            out.push(']');
            Ok(())
        }
        Value::Set(members) => {
            out.push('[');
            for (i, n) in members.iter().enumerate() {
                let _ = write!(out, "{}{n}", if i > 0 { " " } else { "" });
            }
            out.push(']');
            Ok(())
        }
        Value::Change(before, after) => {
            write(out, before, style);
            out.push_str(" => ");
            write(out, after, style);
            Ok(())
        }
        Value::Boxed(value) => {
            out.push('[');
            write(out, value, style);
            out.push(']');
            Ok(())
        }
        Value::Remark(value, remark) => {
            write(out, value, style);
            write!(out, " /* {remark} */")
        }
    };
}

/// A value as text in the plain style.
pub fn plain(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, Style::default());
    out
}

/// Prints bytes as a C string.
pub fn quote(out: &mut String, bytes: &[u8], hex: HexStrings) {
    let plain = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let all_hex = match hex {
        HexStrings::Never => false,
        HexStrings::NotAscii => !bytes.iter().all(plain),
        HexStrings::Always => true,
    };
    out.push('"');
    for (i, &b) in bytes.iter().enumerate() {
        let _ = match b {
            _ if all_hex => write!(out, "\\x{b:02x}"),
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            b'\t' => write!(out, "\\t"),
            b'\n' => write!(out, "\\n"),
            0x0b => write!(out, "\\v"),
            0x0c => write!(out, "\\f"),
            b'\r' => write!(out, "\\r"),
            b' '..=b'~' => write!(out, "{}", char::from(b)),
            // A digit behind a short octal escape would become part of it.
            _ if bytes.get(i + 1).is_some_and(u8::is_ascii_digit) => write!(out, "\\{b:03o}"),
            _ => write!(out, "\\{b:o}"),
        };
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8], hex: HexStrings) -> String {
        let mut out = String::new();
        quote(&mut out, bytes, hex);
        out
    }

    #[test]
    fn strings_are_quoted_as_in_c() {
        assert_eq!(quoted(b"a\"b\\c\n", HexStrings::Never), r#""a\"b\\c\n""#);
        assert_eq!(quoted(b"\0x\x001\xff", HexStrings::Never), r#""\0x\0001\377""#);
        assert_eq!(quoted(b"a\n", HexStrings::NotAscii), r#""a\n""#);
        assert_eq!(quoted(b"a\x01", HexStrings::NotAscii), r#""\x61\x01""#);
        assert_eq!(quoted(b"a", HexStrings::Always), r#""\x61""#);
    }

    #[test]
    fn structures_and_lists_show_that_more_follows() {
        let v = Value::Struct { fields: vec![("st_size", Value::Int(3))], more: true };
        assert_eq!(plain(&v), "{st_size=3, ...}");
        assert_eq!(plain(&Value::List { items: vec![], more: true }), "[...]");
        assert_eq!(plain(&Value::Set(vec![3, 4])), "[3 4]");
        assert_eq!(plain(&Value::Octal(0o22)), "022");
        assert_eq!(plain(&Value::Octal(0)), "0");
        let change =
            Value::Boxed(Box::new(Value::Change(Box::new(Value::Uint(16)), Box::new(Value::Uint(4)))));
        assert_eq!(plain(&change), "[16 => 4]");
    }
}
