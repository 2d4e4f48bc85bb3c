//! Names that files bring along, fit to be shown to people.
//!
//! A terminal takes control characters for orders; a name with them shows what it likes.

/// The text with its control characters written as `\xNN`, of more than one byte as `\u{NN}`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            code if c.is_ascii_control() => shown.push_str(&format!("\\x{code:02x}")),
            // Marks that turn the direction of writing hide as much as orders do.
            code @ (0x80..=0x9f | 0x200e..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069) => {
                shown.push_str(&format!("\\u{{{code:x}}}"));
            }
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_a_terminal_are_written_out() {
        assert_eq!(printable("a\x1b[2J\n\u{9b}1m\u{202e}\x7f"), "a\\x1b[2J\\x0a\\u{9b}1m\\u{202e}\\x7f");
        assert_eq!(printable("Grüße/ls -l"), "Grüße/ls -l");
    }
}
