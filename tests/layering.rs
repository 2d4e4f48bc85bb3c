//! The modules depend one way, and only two of them call Linux.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module may name those before it, and itself.
const LAYERS: [&str; 18] = [
    "syscalls",
    "trapframe",
    "mem",
    "cpu",
    "image",
    "host",
    "cd9660",
    "kernel",
    "trace",
    "machine",
    "profile",
    "replay",
    "capture",
    "survey",
    "install",
    "doctor",
    "gdb",
    "cli",
];
/// In order and forbidden all the same: these two meet in `trapframe` only.
const STRANGERS: [(&str, &str); 1] = [("kernel", "cpu")];
/// Who may call Linux.
const HOST_CALLERS: [&str; 2] = ["host", "mem"];

/// Every source file with the module that it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let module_of = |path: &PathBuf| {
        let first = path.strip_prefix(&src).ok()?.components().next()?.as_os_str().to_str()?;
        Some(first.trim_end_matches(".rs").to_owned())
    };
    files.into_iter().filter_map(|path| Some((module_of(&path)?, path))).collect()
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The modules of this crate that a line of code names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    let after = |text: &'static str| code.split(text).skip(1);
    let word =
        |rest: &str| rest.len() - rest.trim_start_matches(|c: char| c == '_' || c.is_alphanumeric()).len();
    after("crate::").map(move |rest| &rest[..word(rest)])
}

/// `use crate::{a, b::c}`: the modules in the braces.
fn named_in_braces(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for group in text.split("use crate::{").skip(1) {
        let mut depth = 0;
        let mut word = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.push(std::mem::take(&mut word));
                    continue;
                }
                _ => {}
            }
            if depth == 0 && !c.is_whitespace() {
                word.push(c);
            }
        }
        found.push(word);
    }
    found.iter().map(|path| path.split("::").next().unwrap_or_default().to_owned()).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|&name| name == module)
}

#[test]
fn modules_name_only_those_below_them() {
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        let Some(own) = layer(&module) else { continue };
        let text = fs::read_to_string(&path).expect("a source file");
        let in_lines = text.lines().flat_map(named).map(str::to_owned);
        for other in in_lines.chain(named_in_braces(&text)) {
            let above = layer(&other).is_some_and(|theirs| theirs > own);
            if above || STRANGERS.contains(&(&module, &other)) {
                wrong.push(format!("{}: {module} names {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_host_and_mem_call_linux() {
    let callers: Vec<String> = sources()
        .into_iter()
        .filter(|(module, _)| !HOST_CALLERS.contains(&module.as_str()))
        .filter(|(_, path)| {
            let text = fs::read_to_string(path).expect("a source file");
            text.lines().any(|line| line.split("//").next().unwrap_or_default().contains("rustix::"))
        })
        .map(|(_, path)| path.display().to_string())
        .collect();
    assert!(callers.is_empty(), "rustix outside of host and mem: {}", callers.join(", "));
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    assert_eq!(
        named("    crate::kernel::run(crate::cpu::X) // crate::cli").collect::<Vec<_>>(),
        ["kernel", "cpu"]
    );
    assert_eq!(
        named_in_braces("use crate::{mem::{Prot, X}, cpu};\nuse crate::{cli};"),
        ["mem", "cpu", "cli"]
    );
}
