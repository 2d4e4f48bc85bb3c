//! A profile as a file of <https://www.speedscope.app>: one view of instructions, one of the time of system calls.
//!
//! Source of the form: file-format-schema.json there.

use serde::Serialize;

use super::summary::{By, Function, Path, Summary};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: &'static str,
    #[serde(rename = "activeProfileIndex")]
    active: usize,
    shared: Shared<'a>,
    profiles: Vec<View>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
}

#[derive(Serialize)]
struct View {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// The file.
pub(super) fn write(summary: &Summary, by: By) -> Vec<u8> {
    let file = if by == By::Address { addresses(summary) } else { paths(summary) };
    serde_json::to_vec(&file).unwrap_or_default()
}

fn file(frames: Vec<Frame<'_>>, profiles: Vec<View>) -> File<'_> {
    let exporter = concat!("bsd21 ", env!("CARGO_PKG_VERSION"));
    File { schema: SCHEMA, exporter, name: "bsd21 profile", active: 0, shared: Shared { frames }, profiles }
}

fn view(name: &'static str, unit: &'static str, samples: Vec<(Vec<usize>, u64)>) -> View {
    let (samples, weights): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
    View { kind: "sampled", name, unit, start: 0, end: weights.iter().sum(), samples, weights }
}

fn paths(summary: &Summary) -> File<'_> {
    let frames = summary
        .functions
        .iter()
        .map(|Function { name, module, .. }| Frame { name: name.into(), file: module.as_str() });
    let stack = |index: usize| {
        let mut stack = Vec::new();
        let mut at = Some(index);
        while let Some(path) = at.and_then(|at| summary.paths.get(at)) {
            stack.push(path.function);
            at = path.parent;
        }
        stack.reverse();
        stack
    };
    let samples = |weight: fn(&Path) -> u64| {
        let paths = summary.paths.iter().enumerate().map(|(index, path)| (index, weight(path)));
        paths.filter(|&(_, weight)| weight != 0).map(|(index, weight)| (stack(index), weight)).collect()
    };
    let views = vec![
        view("instructions", "none", samples(|path| path.own)),
        view("system calls", "nanoseconds", samples(|path| path.call.time)),
    ];
    file(frames.collect(), views)
}

fn addresses(summary: &Summary) -> File<'_> {
    let mut frames = Vec::new();
    let mut samples = Vec::new();
    for executed in &summary.executed {
        let (name, offset) = summary.function_at(executed.module, executed.address);
        let module = executed.module.and_then(|module| summary.modules.get(module));
        samples.push((vec![frames.len()], executed.count));
        let name = format!("{name}+{offset:#x}").into();
        frames.push(Frame { name, file: module.map_or("", |module| module.path.as_str()) });
    }
    file(frames, vec![view("instructions", "none", samples)])
}
