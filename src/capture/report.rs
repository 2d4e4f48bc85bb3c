//! Results of verifying as text: for people, and as TAP, JUnit and JSON.
//!
//! Every form says the same.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compare::Difference;
use super::shard::Shard;
use super::verify::{Report, Verdict};
use crate::image::printable;

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    for note in &report.notes {
        let _ = writeln!(text, "    note: {}", printable(note));
    }
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
    let mut text = format!("{}\n", parts.join(", "));
    let noted: Vec<&Report> =
        reports.iter().filter(|r| r.verdict == Verdict::Pass && !r.notes.is_empty()).collect();
    if let Some(first) = noted.first() {
        let (count, s) = (noted.len(), if noted.len() == 1 { "" } else { "s" });
        let _ = writeln!(
            text,
            "{count} case{s} passed with a note, such as {}: {}",
            printable(&first.name),
            printable(&first.notes[0])
        );
    }
    text
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

/// Annotations of GitHub's workflows: an error for each case that is not as it was, and a notice with the totals.
pub fn github(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports.iter().filter(|report| !report.verdict.is_good()) {
        let mut message = report.verdict.reason().unwrap_or(report.verdict.word()).to_owned();
        differences(&mut message, report.verdict.differences(), "\n");
        let title = format!("{}: {}", report.verdict.word(), report.name);
        let file = format!("{}/case.toml", report.directory.display());
        let (file, title) = (property(&file), property(&title));
        let _ = writeln!(text, "::error file={file},title={title}::{}", data(message.trim_end()));
    }
    let _ = writeln!(text, "::notice title=bsd21 verify::{}", data(human_end(reports).trim_end()));
    text
}

/// The message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A case in JSON.
#[derive(Serialize, Deserialize)]
struct JsonCase {
    name: String,
    directory: PathBuf,
    verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    seconds: f64,
}

/// The whole in JSON.
#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    cases: Vec<JsonCase>,
    totals: Totals,
}

/// JSON: an object with the cases and how many there are of each.
pub fn json(reports: &[Report], shard: Option<Shard>) -> String {
    let cases = reports.iter().map(|report| JsonCase {
        name: report.name.clone(),
        directory: report.directory.clone(),
        verdict: report.verdict.word().to_owned(),
        reason: report.verdict.reason().map(str::to_owned),
        differences: report.verdict.differences().to_vec(),
        notes: report.notes.clone(),
        seconds: (report.took.as_secs_f64() * 1e6).round() / 1e6,
    });
    let all = Json { shard, cases: cases.collect(), totals: Totals::of(reports) };
    // Strings and numbers can always be written.
    let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads what [`json`] wrote: the reports, and which part of a suite they are.
pub fn from_json(text: &str) -> Result<(Vec<Report>, Option<Shard>), String> {
    let all: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let report = |case: JsonCase| {
        let reason = case.reason.unwrap_or_default();
        let verdict = match case.verdict.as_str() {
            "pass" => Verdict::Pass,
            "blessed" => Verdict::Blessed(case.differences),
            "fail" => Verdict::Fail(case.differences),
            "skip" => Verdict::Skip(reason),
            "limit" => Verdict::Limit(reason),
            "error" => Verdict::Error(reason),
            other => return Err(format!("{}: unknown verdict '{other}'", case.name)),
        };
        let took = Duration::try_from_secs_f64(case.seconds).map_err(|e| format!("{}: {e}", case.name))?;
        Ok(Report { name: case.name, directory: case.directory, verdict, notes: case.notes, took })
    };
    Ok((all.cases.into_iter().map(report).collect::<Result<_, _>>()?, all.shard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::aspect::Aspect;

    fn reports() -> Vec<Report> {
        let differs = Difference {
            aspect: Aspect::Stdout,
            what: "stdout differs".into(),
            detail: vec!["-<a> & \u{1}".into()],
        };
        [
            ("one", Verdict::Pass),
            ("two", Verdict::Fail(vec![differs])),
            ("three", Verdict::Skip("/bin/sh is not there".into())),
            ("four", Verdict::Limit("too long".into())),
        ]
        .map(|(name, verdict)| Report {
            name: name.into(),
            directory: format!("suite/{name}").into(),
            verdict,
            notes: Vec::new(),
            took: Duration::from_millis(2),
        })
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
        let text = json(&reports(), None);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["cases"][1]["differences"][0]["what"], "stdout differs");
        assert_eq!((&value["totals"]["limited"], &value["cases"][2]["verdict"]), (&1.into(), &"skip".into()));
        let (again, shard) = from_json(&text).unwrap();
        assert_eq!((json(&again, shard), shard), (text, None));
        assert!(from_json("{}").is_err());
    }

    #[test]
    fn annotations_are_one_line_each() {
        let text = github(&reports());
        assert!(text.starts_with("::error file=suite/two/case.toml,title=fail%3A two::fail"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.ends_with("::notice title=bsd21 verify::1 passed, 1 failed, 1 over a limit, 1 skipped\n")
        );
    }
}
