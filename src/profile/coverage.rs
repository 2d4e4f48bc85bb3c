//! The forms in which it is printed what was executed: for people, for DynamoRIO's readers, for lcov, as JSON.

use std::fmt::Write;

use serde_json::json;

use super::covered::Covered;
use crate::image::printable;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverageFormat {
    /// Tables for people.
    Text,
    /// Version 2 of the files of DynamoRIO's drcov, as Lighthouse and others read them.
    Drcov,
    /// Tracefiles of lcov: lines, by the programs' stabs.
    Lcov,
    /// Everything.
    Json,
}

impl CoverageFormat {
    /// The bytes of a file.
    pub fn write(self, covered: &[Covered]) -> Vec<u8> {
        match self {
            Self::Text => text(covered).into_bytes(),
            Self::Drcov => drcov(covered),
            Self::Lcov => lcov(covered).into_bytes(),
            Self::Json => {
                let mut bytes = serde_json::to_vec(&object(covered)).unwrap_or_default();
                bytes.push(b'\n');
                bytes
            }
        }
    }
}

fn share(part: u64, of: u64) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

fn text(covered: &[Covered]) -> String {
    let mut text = String::new();
    for file in covered {
        let bytes: u64 = file.blocks.iter().map(|block| u64::from(block.len)).sum();
        let all = u64::from(file.text.end.saturating_sub(file.text.start));
        let entered = file.functions.iter().filter(|function| function.executed != 0).count();
        let _ = writeln!(
            text,
            "{}: {bytes} of {all} bytes of text ({:.1} %), {entered} of {} functions",
            printable(&file.path),
            share(bytes, all),
            file.functions.len()
        );
        for source in &file.sources {
            let begun = source.lines.values().filter(|&&count| count != 0).count();
            let (begun, lines) = (begun as u64, source.lines.len() as u64);
            let _ = writeln!(
                text,
                "{}: {begun} of {lines} lines ({:.1} %)",
                printable(&source.path),
                share(begun, lines)
            );
        }
        if entered != 0 {
            let _ =
                writeln!(text, "{:>9} {:>8} {:>6}  {:>12}  function", "executed", "bytes", "%", "entered");
        }
        for function in file.functions.iter().filter(|function| function.executed != 0) {
            let _ = writeln!(
                text,
                "{:>9} {:>8} {:>6.1}  {:>12}  {}",
                function.executed,
                function.len,
                share(function.executed.into(), function.len.into()),
                function.entered,
                printable(&function.name)
            );
        }
        let left = file.functions.iter().filter(|function| function.executed == 0);
        let left: Vec<String> = left.map(|function| printable(&function.name).to_string()).collect();
        if !left.is_empty() {
            let _ = writeln!(text, "not entered: {}", left.join(" "));
        }
        text.push('\n');
    }
    text
}

fn drcov(covered: &[Covered]) -> Vec<u8> {
    let mut head = String::from("DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\n");
    let _ = writeln!(head, "Module Table: version 2, count {}", covered.len());
    head.push_str("Columns: id, base, end, entry, path\n");
    let mut blocks = Vec::new();
    let mut count = 0_u32;
    for (number, file) in covered.iter().enumerate() {
        let last = file.blocks.last().map_or(0, |block| block.address + block.len);
        let (base, end) = (file.text.start, file.text.end.max(last));
        let path = file.path.replace(['\n', '\r'], "_");
        let _ = writeln!(head, "{number:3}, {base:#010x}, {end:#010x}, 0x00000000, {path}");
        for block in &file.blocks {
            let (mut address, mut left) = (block.address, block.len);
            while left != 0 {
                let len = left.min(u32::from(u16::MAX)) as u16;
                blocks.extend(address.wrapping_sub(base).to_le_bytes());
                blocks.extend(len.to_le_bytes());
                blocks.extend((number as u16).to_le_bytes());
                (address, left, count) = (address + u32::from(len), left - u32::from(len), count + 1);
            }
        }
    }
    let _ = writeln!(head, "BB Table: {count} bbs");
    [head.into_bytes(), blocks].concat()
}

fn lcov(covered: &[Covered]) -> String {
    let mut text = String::new();
    for source in covered.iter().flat_map(|file| &file.sources).filter(|source| !source.lines.is_empty()) {
        let line = |text: &str| text.replace(['\n', '\r'], "_");
        let _ = writeln!(text, "TN:\nSF:{}", line(&source.path));
        for (name, at, _) in &source.functions {
            let _ = writeln!(text, "FN:{at},{}", line(name));
        }
        for (name, _, count) in &source.functions {
            let _ = writeln!(text, "FNDA:{count},{}", line(name));
        }
        let hit = source.functions.iter().filter(|function| function.2 != 0).count();
        let _ = writeln!(text, "FNF:{}\nFNH:{hit}", source.functions.len());
        for (number, count) in &source.lines {
            let _ = writeln!(text, "DA:{number},{count}");
        }
        let hit = source.lines.values().filter(|&&count| count != 0).count();
        let _ = writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", source.lines.len());
    }
    text
}

fn object(covered: &[Covered]) -> serde_json::Value {
    let files = covered.iter().map(|file| {
        let functions = file.functions.iter().map(|f| {
            json!({"name": f.name, "address": f.address, "bytes": f.len, "executed": f.executed, "entered": f.entered})
        });
        let sources = file.sources.iter().map(|source| {
            let functions = source.functions.iter();
            let functions =
                functions.map(|(name, line, count)| json!({"name": name, "line": line, "entered": count}));
            json!({
                "path": source.path,
                "lines": source.lines.iter().map(|(line, count)| [u64::from(*line), *count]).collect::<Vec<_>>(),
                "functions": functions.collect::<Vec<_>>(),
            })
        });
        let block = |block: &super::covered::Block| [block.address.into(), block.len.into(), block.count];
        json!({
            "path": file.path,
            "text": [file.text.start, file.text.end],
            "functions": functions.collect::<Vec<_>>(),
            "blocks": file.blocks.iter().map(block).collect::<Vec<[u64; 3]>>(),
            "sources": sources.collect::<Vec<_>>(),
        })
    });
    json!({"files": files.collect::<Vec<_>>()})
}
