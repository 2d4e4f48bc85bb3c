//! Two texts as a difference in unified form: what is gone, what is new, three lines around it.
//!
//! Lines are compared by numbers, so that only one form of the comparison is compiled.  Must not know what the texts are.

use std::collections::HashMap;

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{DiffOp, group_diff_ops};

/// Equal lines that are shown around what differs.
const AROUND: usize = 3;

/// The lines of the difference between two texts, with their names.
pub(super) fn lines(was: &str, is: &str, names: [&str; 2]) -> Vec<String> {
    let [old, new] = [was, is].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let mut known: HashMap<&str, usize> = HashMap::new();
    let [old_numbers, new_numbers] = [&old, &new].map(|lines| -> Vec<usize> {
        let mut number = |line| {
            let next = known.len();
            *known.entry(line).or_insert(next)
        };
        lines.iter().map(|line| number(line)).collect()
    });
    let (a, b) = (&old_numbers[..], &new_numbers[..]);
    let mut capture = Compact::new(Replace::new(Capture::new()), a, b);
    // Collecting cannot fail.
    let _ = myers::diff(&mut capture, a, 0..a.len(), b, 0..b.len());
    let changes = capture.into_inner().into_inner().into_ops();
    let mut shown = vec![format!("--- {}", names[0]), format!("+++ {}", names[1])];
    for group in group_diff_ops(changes, AROUND) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = (first.old_range().start, last.old_range().end);
        let (now_from, now_to) = (first.new_range().start, last.new_range().end);
        shown.push(format!("@@ -{} +{} @@", range(from, to), range(now_from, now_to)));
        for change in group {
            let gone = old.get(change.old_range()).unwrap_or_default();
            let come = new.get(change.new_range()).unwrap_or_default();
            if let DiffOp::Equal { .. } = change {
                gone.iter().for_each(|line| push(&mut shown, ' ', line));
            } else {
                gone.iter().for_each(|line| push(&mut shown, '-', line));
                come.iter().for_each(|line| push(&mut shown, '+', line));
            }
        }
    }
    shown
}

/// The first line and the number of lines, as diff counts: one alone needs no number, none stand behind the line before.
fn range(from: usize, to: usize) -> String {
    match to.saturating_sub(from) {
        1 => (from + 1).to_string(),
        0 => format!("{from},0"),
        count => format!("{},{count}", from + 1),
    }
}

fn push(shown: &mut Vec<String>, sign: char, line: &str) {
    let whole = line.strip_suffix('\n');
    let text = whole.unwrap_or(line);
    shown.push(format!("{sign}{}", text.strip_suffix('\r').unwrap_or(text)));
    if whole.is_none() {
        shown.push("\\ No newline at end of file".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(was: &str, is: &str) -> String {
        lines(was, is, ["a", "b"]).join("\n")
    }

    #[test]
    fn what_differs_stands_among_three_lines_around_it() {
        let was: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let is = was.replace("\n5\n", "\nfive\n").replace("18\n", "");
        assert_eq!(
            of(&was, &is),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n\
             @@ -15,6 +15,5 @@\n 15\n 16\n 17\n-18\n 19\n 20"
        );
    }

    #[test]
    fn ends_without_a_newline_and_empty_texts_are_told() {
        assert_eq!(of("", "x"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file");
        assert_eq!(of("x\n", ""), "--- a\n+++ b\n@@ -1 +0,0 @@\n-x");
        assert_eq!(of("same\n", "same\n"), "--- a\n+++ b");
    }
}
