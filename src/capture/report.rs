//! Results of verifying as text: for people, and as TAP, JUnit and JSON.
//!
//! Every form says the same.

use std::fmt::Write;

use serde::Serialize;

use super::compare::Difference;
use super::verify::{Report, Verdict};
use crate::image::printable;

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Came out as recorded.
    pub passed: usize,
    /// Written anew.
    pub blessed: usize,
    /// Did not.
    pub failed: usize,
    /// Hit the limit of the host's time.
    pub limited: usize,
    /// Could not be run properly.
    pub errors: usize,
    /// Not run here.
    pub skipped: usize,
}

impl Totals {
    /// Counts.
    pub fn of(reports: &[Report]) -> Self {
        let mut totals = Self::default();
        for report in reports {
            *match report.verdict {
                Verdict::Pass => &mut totals.passed,
                Verdict::Blessed(_) => &mut totals.blessed,
                Verdict::Fail(_) => &mut totals.failed,
                Verdict::Skip(_) => &mut totals.skipped,
                Verdict::Limit(_) => &mut totals.limited,
                Verdict::Error(_) => &mut totals.errors,
            } += 1;
        }
        totals
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.failed + self.limited + self.errors == 0
    }
}

/// A case for people; nothing where there is nothing to say.
pub fn human_case(report: &Report) -> String {
    let mut text = String::new();
    let verdict = &report.verdict;
    if matches!(verdict, Verdict::Pass) {
        return text;
    }
    // Writing to a String does not fail.
    let _ = match verdict.reason() {
        Some(reason) => {
            writeln!(text, "{}: {}: {}", verdict.word(), printable(&report.name), printable(reason))
        }
        None => writeln!(text, "{}: {}", verdict.word(), printable(&report.name)),
    };
    differences(&mut text, verdict.differences(), "    ");
    text
}

fn differences(text: &mut String, found: &[Difference], before: &str) {
    for difference in found {
        let _ = writeln!(text, "{before}{}", printable(&difference.what));
        for line in &difference.detail {
            let _ = writeln!(text, "{before}    {}", shown(line));
        }
    }
}

/// A line of a difference: tabs belong to it.
fn shown(line: &str) -> String {
    line.split('\t').map(printable).collect::<Vec<_>>().join("\t")
}

/// The last line for people.
pub fn human_end(reports: &[Report]) -> String {
    let totals = Totals::of(reports);
    let mut parts = vec![format!("{} passed", totals.passed)];
    for (count, word) in [
        (totals.blessed, "blessed"),
        (totals.failed, "failed"),
        (totals.limited, "over a limit"),
        (totals.errors, "with errors"),
        (totals.skipped, "skipped"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    format!("{}\n", parts.join(", "))
}

/// The Test Anything Protocol, version 13.
pub fn tap(reports: &[Report]) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", reports.len());
    for (number, report) in reports.iter().enumerate() {
        let ok = if report.verdict.is_good() { "ok" } else { "not ok" };
        // A number sign would begin a directive.
        let name = printable(&report.name).replace('#', "\\#");
        let _ = write!(text, "{ok} {} - {name}", number + 1);
        let _ = match &report.verdict {
            Verdict::Skip(reason) => writeln!(text, " # SKIP {}", printable(reason)),
            verdict => match verdict.reason() {
                Some(reason) => writeln!(text, "\n# {}: {}", verdict.word(), printable(reason)),
                None => writeln!(text),
            },
        };
        differences(&mut text, report.verdict.differences(), "# ");
    }
    text
}

/// JUnit's XML.
pub fn junit(reports: &[Report]) -> String {
    let totals = Totals::of(reports);
    let seconds: f64 = reports.iter().map(|report| report.took.as_secs_f64()).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"bsd21\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">",
        reports.len(),
        totals.failed,
        totals.errors + totals.limited,
        totals.skipped,
    );
    for report in reports {
        let (name, took) = (xml(&report.name), report.took.as_secs_f64());
        let _ = write!(text, "<testcase classname=\"bsd21\" name=\"{name}\" time=\"{took:.3}\"");
        let mut detail = String::new();
        differences(&mut detail, report.verdict.differences(), "");
        let detail = xml(&detail);
        let _ = match &report.verdict {
            Verdict::Pass | Verdict::Blessed(_) => writeln!(text, "/>"),
            Verdict::Skip(reason) => writeln!(text, "><skipped message=\"{}\"/></testcase>", xml(reason)),
            Verdict::Fail(found) => {
                let first = found.first().map(|d| xml(&d.what)).unwrap_or_default();
                writeln!(text, "><failure message=\"{first}\">{detail}</failure></testcase>")
            }
            Verdict::Limit(reason) | Verdict::Error(reason) => {
                let kind = report.verdict.word();
                writeln!(text, "><error type=\"{kind}\" message=\"{}\"/></testcase>", xml(reason))
            }
        };
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}

/// Text as XML, without the characters that XML cannot say.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A case in JSON.
#[derive(Serialize)]
struct JsonCase<'a> {
    name: &'a str,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    differences: &'a [Difference],
    seconds: f64,
}

/// JSON: an object with the cases and how many there are of each.
pub fn json(reports: &[Report]) -> String {
    #[derive(Serialize)]
    struct All<'a> {
        cases: Vec<JsonCase<'a>>,
        totals: Totals,
    }
    let cases = reports.iter().map(|report| JsonCase {
        name: &report.name,
        verdict: report.verdict.word(),
        reason: report.verdict.reason(),
        differences: report.verdict.differences(),
        seconds: (report.took.as_secs_f64() * 1e6).round() / 1e6,
    });
    let all = All { cases: cases.collect(), totals: Totals::of(reports) };
    // Strings and numbers can always be written.
    let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reports() -> Vec<Report> {
        let differs = Difference { what: "stdout differs".into(), detail: vec!["-<a> & \u{1}".into()] };
        [
            ("one", Verdict::Pass),
            ("two", Verdict::Fail(vec![differs])),
            ("three", Verdict::Skip("/bin/sh is not there".into())),
            ("four", Verdict::Limit("too long".into())),
        ]
        .map(|(name, verdict)| Report { name: name.into(), verdict, took: Duration::from_millis(2) })
        .to_vec()
    }

    #[test]
    fn people_are_told_what_is_not_as_it_was() {
        let text: String = reports().iter().map(human_case).collect::<String>() + &human_end(&reports());
        assert_eq!(
            text,
            "fail: two\n    stdout differs\n        -<a> & \\x01\nskip: three: /bin/sh is not there\n\
             limit: four: too long\n1 passed, 1 failed, 1 over a limit, 1 skipped\n"
        );
    }

    #[test]
    fn tap_numbers_every_case() {
        assert_eq!(
            tap(&reports()),
            "TAP version 13\n1..4\nok 1 - one\nnot ok 2 - two\n# stdout differs\n#     -<a> & \\x01\n\
             ok 3 - three # SKIP /bin/sh is not there\nnot ok 4 - four\n# limit: too long\n"
        );
    }

    #[test]
    fn junit_says_only_what_xml_can() {
        let text = junit(&reports());
        assert!(text.contains("tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\""), "{text}");
        assert!(text.contains("-&lt;a&gt; &amp; \\x01\n</failure>"), "{text}");
        assert!(text.contains("<error type=\"limit\" message=\"too long\"/>"), "{text}");
    }

    #[test]
    fn json_is_json() {
        let value: serde_json::Value = serde_json::from_str(&json(&reports())).unwrap();
        assert_eq!(value["cases"][1]["differences"][0]["what"], "stdout differs");
        assert_eq!((&value["totals"]["limited"], &value["cases"][2]["verdict"]), (&1.into(), &"skip".into()));
    }
}
