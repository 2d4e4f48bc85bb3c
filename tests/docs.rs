//! The documentation names things that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `[text](target)` of a page, targets within the repository only.
fn links(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in page.match_indices("](") {
        let text = page[..at].rsplit('[').next().unwrap_or_default();
        let target = page[at + 2..].split(')').next().unwrap_or_default();
        if !target.contains("://") && !target.starts_with('#') {
            found.push((text.to_owned(), target.to_owned()));
        }
    }
    found
}

/// Whether a source file declares a name: a function, a type, a macro, a variant.
fn declares(source: &str, name: &str) -> bool {
    let words = ["fn ", "struct ", "enum ", "trait ", "macro_rules! ", "const ", "static ", "type ", "mod "];
    let is_word = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
    let follows = |prefix: &str| {
        source.match_indices(&format!("{prefix}{name}")).any(|(at, m)| is_word(&source[at + m.len()..]))
    };
    words.iter().any(|word| follows(word)) || follows("\n    ")
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].iter().map(|p| top().join(p)).collect();
    let docs = fs::read_dir(top().join("docs")).expect("docs");
    pages.extend(
        docs.map(|entry| entry.expect("an entry").path())
            .filter(|p| p.extension().is_some_and(|e| e == "md")),
    );
    pages
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (_, target) in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !page.parent().is_some_and(|directory| directory.join(file).exists()) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn names_are_in_the_files_that_they_link_to() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (name, target) in links(&text).iter().filter(|(_, target)| target.ends_with(".rs")) {
            let name = name.trim_matches('`');
            let source = fs::read_to_string(page.parent().unwrap_or(top()).join(target)).unwrap_or_default();
            if !declares(&source, name) {
                wrong.push(format!("{}: no {name} in {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_walk_through_socketpair_has_its_four_parts() {
    let text = fs::read_to_string(top().join("docs/socketpair.md")).expect("the page");
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings, ["Code flow", "Reading checklist", "Important data structures", "Code walkthrough"]);
    assert!(links(&text).len() > 30, "it links to the code");
}

#[test]
fn the_first_screen_of_the_readme_is_what_the_command_shows() {
    let text = fs::read_to_string(top().join("README.md")).expect("the page");
    let shown = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a trace");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["trace", "fixtures/bin/socketpair"])
        .current_dir(top())
        .output()
        .expect("bsd21 runs");
    let trace = String::from_utf8_lossy(&output.stderr);
    let mut lines = trace.lines();
    for line in shown.lines() {
        assert!(lines.any(|traced| traced.ends_with(line)), "{line} is not in its place in\n{trace}");
    }
}

/// Whoever follows the README runs the tests that decide, and hears of every one that fails.
#[test]
fn the_readmes_test_command_is_the_one_of_ci() {
    let readme = fs::read_to_string(top().join("README.md")).expect("README.md");
    let command = readme.lines().find_map(|line| line.strip_prefix("$ cargo test")).expect("a command");
    let ci = fs::read_to_string(top().join(".ci/run")).expect(".ci/run");
    assert!(command.contains("--workspace") && command.contains("--no-fail-fast"), "{command}");
    assert!(ci.lines().any(|line| line == format!("step cargo test{command}")), "{command}");
}
