//! What is typed in a case with a terminal, and when: the file `keys`.
//!
//! A step a line: a condition that is waited for, or something that is done.
//!
//! | step | |
//! |---|---|
//! | `screen "TEXT"` | waits until a row of the screen shows the text |
//! | `cursor "TEXT"` | waits until the row of the cursor ends with the text, up to the cursor; `""` for an empty one |
//! | `quiet` | waits until every process of the guest sleeps |
//! | `at SECONDS` | waits for a time since the run began |
//! | `after SECONDS` | waits so long since the step before |
//! | `type "KEYS"` | types |
//! | `snap NAME` | keeps the screen as it is |
//! | `size ROWSxCOLS` | gives the window another size |
//! | `hangup` | hangs up |
//!
//! In strings `\r`, `\n`, `\t`, `\e`, `\\`, `\"` and `\xHH` are characters; `#` begins a comment at the beginning of a
//! line.
//!
//! Must not know what plays the steps.

use std::fmt::Write;

use crate::host::door::Size;

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;
/// Most steps.
const MOST: usize = 100_000;

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Until a row shows the text.
    Screen(String),
    /// Until the cursor's row ends with the text at the cursor.
    Cursor(String),
    /// Until everybody sleeps.
    Quiet,
    /// Until so many nanoseconds after the beginning.
    At(u64),
    /// Until so many nanoseconds after the step before.
    After(u64),
    /// Keys.
    Type(Vec<u8>),
    /// A screen to keep.
    Snap(String),
    /// Another size.
    Size(Size),
    /// Nobody is there any more.
    HangUp,
}

/// Reads the text of a file; an error names its line.
pub fn parse(text: &[u8]) -> Result<Vec<Step>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not a text in UTF-8".to_owned())?;
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if steps.len() == MOST {
            return Err(format!("more than {MOST} steps"));
        }
        steps.push(step(line).map_err(|reason| format!("line {}: {reason}", number + 1))?);
    }
    Ok(steps)
}

fn step(line: &str) -> Result<Step, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let nothing = |step: Step| if rest.is_empty() { Ok(step) } else { Err(format!("{word} stands alone")) };
    let shown = || Ok::<_, String>(string(rest)?.iter().map(|&c| char::from(c)).collect::<String>());
    match word {
        "screen" => Ok(Step::Screen(shown()?)),
        "cursor" => Ok(Step::Cursor(shown()?)),
        "quiet" => nothing(Step::Quiet),
        "at" => Ok(Step::At(seconds(rest)?)),
        "after" => Ok(Step::After(seconds(rest)?)),
        "type" => Ok(Step::Type(string(rest)?)),
        "snap" if is_name(rest) => Ok(Step::Snap(rest.to_owned())),
        "snap" => Err("snap: a name of letters, digits, - and _".to_owned()),
        "size" => size(rest).map(Step::Size).ok_or_else(|| "size: ROWSxCOLS, up to 1000 each".to_owned()),
        "hangup" => nothing(Step::HangUp),
        _ => Err(format!("{word}: no step")),
    }
}

/// Whether something is a name for a screen, and so for a file.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

/// A size of a screen that can be drawn.
pub fn size(text: &str) -> Option<Size> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| (1..=1000).contains(number));
    let (rows, columns) = text.split_once('x')?;
    Some(Size { rows: number(rows)?, columns: number(columns)?, ..Size::default() })
}

fn seconds(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text}: expected seconds"))?;
    if (0.0..1e9).contains(&number) {
        Ok((number * SECOND_NS).round() as u64)
    } else {
        Err(format!("{text}: expected seconds"))
    }
}

fn string(text: &str) -> Result<Vec<u8>, String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or_else(|| "expected a text in quotation marks".to_owned())?;
    let mut bytes = Vec::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let plain = match c {
            '"' => return Err("a quotation mark inside: \\\"".to_owned()),
            '\\' => match rest.next() {
                Some('r') => b'\r',
                Some('n') => b'\n',
                Some('t') => b'\t',
                Some('e') => 0x1b,
                Some('\\') => b'\\',
                Some('"') => b'"',
                Some('x') => {
                    let digits: String = rest.by_ref().take(2).collect();
                    u8::from_str_radix(&digits, 16).map_err(|_| "\\x and two digits".to_owned())?
                }
                _ => return Err("an unknown \\".to_owned()),
            },
            c => u8::try_from(u32::from(c)).map_err(|_| format!("{c}: not in Latin-1"))?,
        };
        bytes.push(plain);
    }
    Ok(bytes)
}

/// Bytes as a string of the file.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &c in bytes {
        // Writing to a String does not fail.
        let _ = match c {
            b'\r' => text.write_str("\\r"),
            b'\n' => text.write_str("\\n"),
            b'\t' => text.write_str("\\t"),
            0x1b => text.write_str("\\e"),
            b'\\' | b'"' => write!(text, "\\{}", char::from(c)),
            0x20..0x7f => text.write_char(char::from(c)),
            _ => write!(text, "\\x{c:02x}"),
        };
    }
    text.push('"');
    text
}

/// The text of a file with these steps.
pub fn text(steps: &[Step]) -> String {
    let latin = |text: &str| {
        quoted(&text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect::<Vec<_>>())
    };
    let line = |step: &Step| match step {
        Step::Screen(text) => format!("screen {}\n", latin(text)),
        Step::Cursor(text) => format!("cursor {}\n", latin(text)),
        Step::Quiet => "quiet\n".to_owned(),
        Step::At(ns) => format!("at {}\n", *ns as f64 / SECOND_NS),
        Step::After(ns) => format!("after {}\n", *ns as f64 / SECOND_NS),
        Step::Type(keys) => format!("type {}\n", quoted(keys)),
        Step::Snap(name) => format!("snap {name}\n"),
        Step::Size(size) => format!("size {}x{}\n", size.rows, size.columns),
        Step::HangUp => "hangup\n".to_owned(),
    };
    steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_back_from_their_text() {
        let file = "# a session\nscreen \"# \"\nquiet\ntype \"vi x\\r\\e:q\\x03\\\"\\\\\\xe9\"\n\nat 1.5\nafter 0.25\nsnap in-vi\nsize 40x132\ncursor \"\"\nhangup\n";
        let steps = parse(file.as_bytes()).unwrap();
        assert_eq!(steps.len(), 9);
        assert_eq!(steps[2], Step::Type(b"vi x\r\x1b:q\x03\"\\\xe9".to_vec()));
        assert_eq!(steps[3], Step::At(1_500_000_000));
        assert_eq!(parse(text(&steps).as_bytes()).unwrap(), steps);
    }

    #[test]
    fn wrong_steps_are_refused_with_their_line() {
        let refusal = |file: &str| parse(file.as_bytes()).unwrap_err();
        assert_eq!(refusal("quiet\npush \"x\"\n"), "line 2: push: no step");
        assert_eq!(refusal("type x"), "line 1: expected a text in quotation marks");
        assert_eq!(refusal("type \"\\q\""), "line 1: an unknown \\");
        assert!(refusal("snap ../x").contains("name") && refusal("size 0x1").contains("ROWSxCOLS"));
        assert!(refusal("at -1").contains("seconds") && refusal("quiet x").contains("alone"));
        assert!(refusal("type \"\\x9\"").contains("digits") && refusal("type \"€\"").contains("Latin-1"));
    }
}
