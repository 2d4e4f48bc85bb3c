//! Colours of lines that a person reads at a terminal.

/// What is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// The number of a process.
    Process,
    /// The name of a call.
    Name,
    /// A call that failed.
    Error,
    /// A line that is no call.
    Remark,
}

/// Appends a text in colour.
pub(super) fn paint(line: &mut String, ink: Ink, text: &str) {
    // ECMA-48's select graphic rendition: dim, bold, red, yellow.
    let code = match ink {
        Ink::Process => "2",
        Ink::Name => "1",
        Ink::Error => "31",
        Ink::Remark => "33",
    };
    line.extend(["\x1b[", code, "m", text, "\x1b[0m"]);
}

/// Columns of a line at a terminal.
pub(super) fn width(line: &str) -> usize {
    let mut parts = line.split('\x1b');
    let plain = parts.next().map_or(0, |text| text.chars().count());
    let behind = |part: &str| part.split_once('m').map_or(0, |(_, text)| text.chars().count());
    plain + parts.map(behind).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_columns() {
        let mut line = "5 ".to_owned();
        paint(&mut line, Ink::Name, "read");
        line.push_str("(3)");
        assert_eq!((width(&line), width("plain m")), (9, 7));
    }
}
