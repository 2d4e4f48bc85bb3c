//! The survey as one page that needs nothing else: no network, no other file.
//!
//! Every row is in the page itself, so it reads without scripts too; the script sorts and filters.

use std::fmt::{Display, Write};

use super::model::{Entry, Outcome, Survey};
use super::table::{calls, notes, outcome};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
pub fn render(survey: &Survey) -> String {
    let mut out = String::new();
    let ran = survey.programs.iter().any(|entry| entry.run.is_some());
    let name = escaped(&survey.directory);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Survey of {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Survey of {name}</h1>\n\
         <p class=\"about\">bsd21 {}. Libraries and interpreters looked for in {}.</p>\n",
        survey.bsd21,
        escaped(&survey.root)
    );
    cards(&mut out, survey);
    let _ = write!(
        out,
        "<div class=\"bar\"><input id=\"filter\" type=\"search\" placeholder=\"Filter: words that a row has\" \
         aria-label=\"Filter\"><output id=\"shown\"></output></div>\n\
         <div class=\"scroll\"><table>\n<thead><tr>"
    );
    let columns = ["Path", "Size", "Format", "Machine, system", "Linkage", "Calls", "Start", "Notes"];
    for column in columns.into_iter().filter(|&column| ran || column != "Start") {
        let _ = write!(out, "<th scope=\"col\"><button type=\"button\">{column}</button></th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for entry in &survey.programs {
        row(&mut out, entry, ran);
    }
    let _ = write!(out, "</tbody>\n</table></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

/// The summary.
fn cards(out: &mut String, survey: &Survey) {
    let s = &survey.summary;
    out.push_str("<div class=\"cards\">\n");
    card(out, &format!("{} files", s.files), s.kinds.iter());
    card(out, "Starts", s.outcomes.iter());
    card(out, "Formats", s.formats.iter());
    card(out, "Systems", s.systems.iter());
    card(out, "Linkage", s.linkages.iter());
    card(out, "Missing", s.missing.iter());
    let calls = s.unserved.iter().map(|call| {
        (
            format!("{} {}: {}", call.number, call.name, call.reason),
            format!("{} of {}", call.reached, call.contained),
        )
    });
    let calls: Vec<_> = calls.collect();
    card(
        out,
        "Calls not served (programs that lead to them, of those that contain them)",
        calls.iter().map(|(a, b)| (a, b)),
    );
    let skipped = survey.skipped.iter().map(|skipped| (&skipped.path, &skipped.reason));
    card(out, "Could not be looked at", skipped);
    out.push_str("</div>\n");
}

fn card<N: Display, V: Display>(out: &mut String, title: &str, counts: impl Iterator<Item = (N, V)>) {
    let mut counts = counts.peekable();
    if counts.peek().is_none() {
        return;
    }
    let wide = if title.starts_with("Calls") || title.starts_with("Could") { " wide" } else { "" };
    let _ = write!(out, "<section class=\"card{wide}\"><h2>{}</h2><ul>", escaped(title));
    for (name, value) in counts {
        let (name, value) = (escaped(&name.to_string()), escaped(&value.to_string()));
        let _ = write!(out, "<li><span>{name}</span><b>{value}</b></li>");
    }
    out.push_str("</ul></section>\n");
}

fn row(out: &mut String, entry: &Entry, ran: bool) {
    let origin = [entry.machine.as_str(), &entry.system];
    let origin: Vec<&str> = origin.into_iter().filter(|text| !text.is_empty()).collect();
    let _ = write!(
        out,
        "<tr><td class=\"path\">{}</td><td class=\"n\" data-label=\"Size\" data-key=\"{}\">{}</td>\
         <td class=\"s\">{}</td><td>{}</td><td>{}</td><td data-label=\"Calls\" data-key=\"{}\">{}</td>",
        escaped(&entry.path),
        entry.size,
        thousands(entry.size),
        escaped(&entry.format),
        escaped(&origin.join(", ")),
        entry.linkage.name(),
        entry.code.as_ref().map_or(0, |code| code.calls.len()),
        list_of_calls(entry),
    );
    if ran {
        let class = match entry.run.as_ref().map(|run| run.outcome) {
            Some(Outcome::Works) => "good",
            Some(Outcome::Signal | Outcome::Refused | Outcome::Failed) => "bad",
            Some(Outcome::Message | Outcome::Status | Outcome::Running) => "fair",
            Some(Outcome::Usage) | None => "",
        };
        let _ = write!(out, "<td class=\"s {class}\">{}</td>", escaped(&outcome(entry)));
    }
    let _ = writeln!(out, "<td>{}</td></tr>", escaped(&notes(entry).join("; ")));
}

/// The number of calls; their names open below it.
fn list_of_calls(entry: &Entry) -> String {
    let short = calls(entry);
    let Some(code) = entry.code.as_ref().filter(|code| !code.calls.is_empty()) else {
        return escaped(&short);
    };
    let mut names = Vec::new();
    for call in &code.calls {
        let name = call.name.clone().unwrap_or_else(|| "?".to_owned());
        let class = match (&call.unserved, call.reached) {
            (Some(_), 1..) => " class=\"bad\"",
            (Some(_), 0) => " class=\"fair\"",
            (None, _) => "",
        };
        names.push(format!("<span{class}>{} {}</span>", call.number, escaped(&name)));
    }
    format!("<details><summary>{}</summary><div>{}</div></details>", escaped(&short), names.join(", "))
}

/// `1,234,567`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text that stands for itself in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&\n"), "&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}");
        assert_eq!((thousands(7), thousands(1_234_567)), ("7".to_owned(), "1,234,567".to_owned()));
    }
}
