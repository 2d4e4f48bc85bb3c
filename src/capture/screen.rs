//! What is on a screen after some bytes: rows of text and the place of the cursor.
//!
//! A terminal of the kind that most programs of the time know decides it (the crate vt100); attributes are not
//! told.  Must not know where bytes come from.

use std::fmt::Write;
use std::num::NonZeroU16;

use crate::host::door::Size;

/// A screen that shows what it is given.
pub struct Screen {
    parser: vt100::Parser,
    size: Size,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("size", &self.size).finish_non_exhaustive()
    }
}

fn at_least_one(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

impl Screen {
    /// An empty screen.
    pub fn new(size: Size) -> Self {
        let parser = vt100::Parser::new(at_least_one(size.rows), at_least_one(size.columns), 0);
        Self { parser, size }
    }

    /// Gives it another size.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.parser.set_size(at_least_one(size.rows), at_least_one(size.columns));
    }

    /// Shows bytes: a character each, as the guest means them.
    pub fn show(&mut self, bytes: &[u8]) {
        if bytes.is_ascii() {
            return self.parser.process(bytes);
        }
        let text: String = bytes.iter().map(|&c| char::from(c)).collect();
        self.parser.process(text.as_bytes());
    }

    /// The rows without blanks at their ends.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.parser.screen().rows(0, self.size.columns);
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    /// Whether a row shows a text.
    pub fn shows(&self, text: &str) -> bool {
        self.parser.screen().rows(0, self.size.columns).any(|row| row.contains(text))
    }

    /// The cursor's row up to the cursor.
    pub fn before_cursor(&self) -> String {
        let screen = self.parser.screen();
        let (row, column) = screen.cursor_position();
        let text = screen.rows(0, column).nth(usize::from(row)).unwrap_or_default();
        // Blanks that were never written are none.
        let missing = usize::from(column).saturating_sub(text.chars().count());
        text + &" ".repeat(missing)
    }

    /// Whether the cursor's row ends with a text at the cursor; without one, whether it is empty there.
    pub fn has_cursor_behind(&self, text: &str) -> bool {
        let before = self.before_cursor();
        if text.is_empty() { before.trim().is_empty() } else { before.ends_with(text) }
    }

    /// The screen as a text: its rows, and a line about its size and the cursor.
    pub fn text(&self) -> String {
        let (row, column) = self.parser.screen().cursor_position();
        let mut text: String = self.rows().iter().map(|row| format!("{row}\n")).collect();
        let Size { rows, columns, .. } = self.size;
        // Writing to a String does not fail.
        let _ = writeln!(text, "-- {rows}x{columns}, cursor at {},{}", row + 1, column + 1);
        text
    }
}

/// Two screens side by side, and below each pair of rows that differ what differs.
pub fn side_by_side(was: &str, is: &str) -> Vec<String> {
    let (was, is): (Vec<&str>, Vec<&str>) = (was.lines().collect(), is.lines().collect());
    let width = was.iter().map(|row| row.chars().count()).max().unwrap_or(0).max("expected".len());
    let row = |mark: char, number: &str, was: &str, is: &str| {
        let line = format!("{mark} {number:>3} |{was:<width$}| {is}");
        line.trim_end().to_owned()
    };
    let mut lines = vec![row(' ', "", "expected", "now")];
    for number in 0..was.len().max(is.len()) {
        let (before, now) = (was.get(number).copied().unwrap_or(""), is.get(number).copied().unwrap_or(""));
        let mark = if before == now { ' ' } else { '!' };
        let place = if before.starts_with("-- ") || now.starts_with("-- ") {
            String::new()
        } else {
            (number + 1).to_string()
        };
        lines.push(row(mark, &place, before, now));
        if before != now {
            let marks = differences(before, now);
            lines.push(row(' ', "", &marks, &marks));
        }
    }
    lines
}

/// A mark below each character that differs.
fn differences(a: &str, b: &str) -> String {
    let (mut a, mut b) = (a.chars(), b.chars());
    let mut marks = String::new();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return marks.trim_end().to_owned(),
            (one, other) if one.unwrap_or(' ') == other.unwrap_or(' ') => marks.push(' '),
            _ => marks.push('^'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(bytes: &[u8]) -> Screen {
        let mut screen = Screen::new(Size { rows: 4, columns: 20, ..Size::default() });
        screen.show(bytes);
        screen
    }

    #[test]
    fn a_screen_is_rows_and_a_cursor() {
        let screen = screen(b"one\r\n\x1b[3;5Hthr\xe9e\x1b[1;3H");
        assert_eq!(screen.text(), "one\n\n    thrée\n\n-- 4x20, cursor at 1,3\n");
        assert!(screen.shows("thré") && !screen.shows("two"));
        assert_eq!(screen.before_cursor(), "on");
        assert!(screen.has_cursor_behind("n") && !screen.has_cursor_behind(""));
        assert!(self::screen(b"$ ").has_cursor_behind("$ "));
    }

    #[test]
    fn differences_are_marked_below_both() {
        let lines = side_by_side("one\ntwo\n-- 2x5, cursor at 1,1\n", "one\ntoo\n-- 2x5, cursor at 1,2\n");
        assert_eq!(lines.len(), 1 + 3 + 2, "{lines:#?}");
        assert!(lines[2].starts_with("!   2 |two "), "{lines:#?}");
        assert_eq!(lines[3].matches('^').count(), 2, "one on each side");
        assert!(lines[1].starts_with("    1 |one"));
    }
}
