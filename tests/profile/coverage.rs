//! Coverage: blocks that are those of single steps, and every form read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bsd21::cpu::Options as Processor;
use bsd21::profile::{CoverageFormat, Options, Summary, covered};

use super::{images, itself, profile, stepped, write_program};

fn executed(program: &Path) -> Summary {
    let options = Options { addresses: true, ..Options::default() };
    profile(program, &itself(program), Processor::default(), options).0
}

/// The bytes that a file of drcov says were executed, by path.
fn drcov(file: &[u8]) -> BTreeMap<String, BTreeSet<u32>> {
    let table = file.windows(9).position(|w| w == b"BB Table:").expect("a table");
    let head = String::from_utf8(file[..table].to_vec()).expect("text");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("DRCOV VERSION: 2"));
    assert_eq!(lines.next(), Some("DRCOV FLAVOR: drcov"));
    let count: usize = lines
        .next()
        .and_then(|line| line.strip_prefix("Module Table: version 2, count "))
        .and_then(|count| count.parse().ok())
        .expect("a count of modules");
    assert_eq!(lines.next(), Some("Columns: id, base, end, entry, path"));
    let hex = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number");
    let modules: Vec<(u32, u32, String)> = lines
        .map(|line| {
            let fields: Vec<&str> = line.splitn(5, ',').map(str::trim).collect();
            (hex(fields[1]), hex(fields[2]), fields[4].to_owned())
        })
        .collect();
    assert_eq!(modules.len(), count);
    let line = file[table..].split(|&b| b == b'\n').next().expect("a line");
    let text = String::from_utf8(line.to_vec()).expect("text");
    let blocks: usize =
        text.trim_start_matches("BB Table: ").trim_end_matches(" bbs").parse().expect("a count of blocks");
    let data = &file[table + line.len() + 1..];
    assert_eq!(data.len(), blocks * 8, "eight bytes a block");
    let mut bytes: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for block in data.chunks_exact(8) {
        let start = u32::from_le_bytes(block[..4].try_into().expect("four bytes"));
        let size = u16::from_le_bytes(block[4..6].try_into().expect("two bytes"));
        let (base, end, path) =
            &modules[usize::from(u16::from_le_bytes(block[6..].try_into().expect("two")))];
        let addresses = base + start..base + start + u32::from(size);
        assert!(addresses.end <= *end, "{path}: {addresses:x?}");
        bytes.entry(path.clone()).or_default().extend(addresses);
    }
    bytes
}

#[test]
fn blocks_are_what_single_steps_saw() {
    for name in ["hello", "hello.elf", "fork", "signals", "smc", "traps", "x87"] {
        let program = images().join(name);
        let summary = executed(&program);
        let covered = covered::of(&summary);
        let stepped = stepped(&program, &itself(&program));
        let mut lengths: BTreeMap<u32, u8> = BTreeMap::new();
        lengths.extend(summary.executed.iter().map(|e| (e.address, e.len)));
        let inside = |address: &u32| summary.modules.iter().any(|file| file.text.contains(address));
        let seen: BTreeSet<u32> = stepped
            .addresses
            .keys()
            .filter(|address| inside(address))
            .flat_map(|&address| address..address + u32::from(lengths[&address]))
            .collect();
        let file = CoverageFormat::Drcov.write(&covered);
        let told: BTreeSet<u32> = drcov(&file).into_values().flatten().filter(|a| inside(a)).collect();
        assert_eq!(told, seen, "{name}");
        let json: serde_json::Value =
            serde_json::from_slice(&CoverageFormat::Json.write(&covered)).expect("JSON");
        let functions = json["files"][0]["functions"].as_array().expect("functions");
        for function in functions {
            let number = |key: &str| function[key].as_u64().expect("a number");
            let (start, len) = (number("address") as u32, number("bytes") as u32);
            let bytes = seen.range(start..start + len).count() as u64;
            // Code that another instruction overlaps counts for both.
            assert!(number("executed") >= bytes, "{name} {function}");
            let entered = stepped.addresses.get(&start).copied().unwrap_or(0);
            assert_eq!(number("entered"), entered, "{name} {function}");
        }
    }
}

#[test]
fn functions_that_were_not_entered_are_named() {
    let program = images().join("paths");
    let text = CoverageFormat::Text.write(&covered::of(&executed(&program)));
    let text = String::from_utf8(text).expect("text");
    let left = text.lines().find(|line| line.starts_with("not entered: ")).expect("a line");
    // It was called, but its first instruction faults.
    assert_eq!(left, "not entered: wrong");
    assert!(text.lines().any(|line| line.ends_with(" 100.0          1396  fib")), "{text}");
}

/// A program of 1994's form with debugging entries: text at 0x1020.
fn with_stabs(code: &[u8], entries: &[(&str, u8, u16, u32)]) -> Vec<u8> {
    let (mut table, mut strings) = (Vec::new(), vec![0_u8; 4]);
    for (name, kind, desc, value) in entries {
        let at = if name.is_empty() { 0 } else { strings.len() as u32 };
        strings.extend(name.bytes().chain((!name.is_empty()).then_some(0)));
        table.extend(at.to_le_bytes());
        table.extend([*kind, 0]);
        table.extend(desc.to_le_bytes());
        table.extend(value.to_le_bytes());
    }
    let length = strings.len() as u32;
    strings[..4].copy_from_slice(&length.to_le_bytes());
    let words = [134 << 16 | 0o314, 4096, 0, 0, table.len() as u32, 0x1020, 0, 0];
    let mut file: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    file.extend(code);
    file.resize(4096, 0);
    file.extend(table);
    file.extend(strings);
    file
}

#[test]
fn stabs_say_which_lines_were_begun() {
    // main: mov $3,%ecx; 1: call f; loop 1b; push $0; push $0; mov $1,%eax; lcall $7,$0.  f: inc %eax; ret; nop
    let code = [
        0xb9, 3, 0, 0, 0, 0xe8, 16, 0, 0, 0, 0xe2, 0xf9, 0x6a, 0, 0x6a, 0, 0xb8, 1, 0, 0, 0, 0x9a, 0, 0, 0,
        0, 7, 0, 0x40, 0xc3, 0x90, 0xc3,
    ];
    // The call leads behind the gate.
    assert_eq!(code[28], 0x40);
    let mut code = code;
    code[6..10].copy_from_slice(&(28_u32 - 10).to_le_bytes());
    let entries = [
        ("/src/", 0x64, 0, 0x1020),
        ("loop.c", 0x64, 0, 0x1020),
        ("main:F1", 0x24, 3, 0x1020),
        ("", 0x44, 3, 0x1020),
        ("", 0x44, 4, 0x1025),
        ("", 0x44, 5, 0x102c),
        ("f:f1", 0x24, 8, 0x103c),
        ("", 0x44, 8, 0x103c),
        ("never:f1", 0x24, 12, 0x103e),
        ("", 0x44, 12, 0x103e),
        ("_main", 5, 0, 0x1020),
        ("_f", 4, 0, 0x103c),
        ("_never", 4, 0, 0x103e),
    ];
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("loop");
    write_program(&program, &with_stabs(&code, &entries));
    let covered = covered::of(&executed(&program));
    let text = String::from_utf8(CoverageFormat::Lcov.write(&covered)).expect("text");
    let wanted = "TN:\nSF:/src/loop.c\nFN:3,main\nFN:8,f\nFN:12,never\nFNDA:1,main\nFNDA:3,f\nFNDA:0,never\n\
                  FNF:3\nFNH:2\nDA:3,1\nDA:4,3\nDA:5,1\nDA:8,3\nDA:12,0\nLF:5\nLH:4\nend_of_record\n";
    assert_eq!(text, wanted);
}
