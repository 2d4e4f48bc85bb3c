//! The table against facts that were taken from the original's master file, and against its own grammar.

use std::collections::HashSet;

use syscalls::SYSENT;
use syscalls::arg::Kind;
use syscalls::sysent::{RowKind, lookup, row};

const FACTS: &str = include_str!("../facts/syscalls.txt");

#[test]
fn every_row_agrees_with_the_facts() {
    let facts: Vec<_> = FACTS.lines().filter(|l| !l.starts_with('#')).collect();
    let rows: Vec<_> =
        SYSENT.iter().map(|r| format!("{} {} {} {}", r.code, r.kind.name(), r.narg, r.name)).collect();
    assert_eq!(rows, facts);
}

#[test]
fn numbers_are_the_index_and_numbers_past_the_table_have_no_row() {
    for (i, r) in SYSENT.iter().enumerate() {
        assert_eq!(usize::from(r.code), i);
    }
    assert_eq!(SYSENT.len(), 220);
    assert!(row(220).is_none());
    assert!(row(u32::MAX).is_none());
}

#[test]
fn handlers_are_named_once() {
    let mut seen = HashSet::new();
    for r in SYSENT.iter().filter(|r| !r.handler.is_empty()) {
        assert!(r.is_call(), "{}: only Std and Compat rows have handlers", r.code);
        assert!(seen.insert((r.area, r.handler)), "{}::{} appears twice", r.area, r.handler);
        if r.kind == RowKind::Compat {
            assert!(r.handler.starts_with('o'), "{}: a Compat handler is o and the name", r.code);
        }
        assert!(r.doc.ends_with('.'), "{}: a doc line is a sentence", r.code);
    }
    assert_eq!(SYSENT.iter().filter(|r| r.is_indirect()).map(|r| r.code).collect::<Vec<_>>(), [0, 198]);
}

#[test]
fn rows_are_found_by_the_names_that_traces_print() {
    assert_eq!(lookup("socketpair").map(|r| r.code), Some(135));
    assert_eq!(lookup("old.lseek").map(|r| r.code), Some(19));
    assert_eq!(lookup("olseek").map(|r| r.code), Some(19));
    assert_eq!(lookup("lseek").map(|r| r.code), Some(199));
    assert_eq!(lookup("break").map(|r| r.code), Some(17));
    assert_eq!(lookup("nosys").map(|r| r.code), None);
    for r in SYSENT.iter().filter(|r| r.is_call()) {
        assert_eq!(lookup(&r.trace_name().to_string()).map(|f| f.code), Some(r.code));
    }
}

#[test]
fn types_carry_what_a_tracer_needs() {
    let read = lookup("read").unwrap();
    assert!(matches!(read.args[0].kind, Kind::Fd));
    assert!(matches!(read.args[1].kind, Kind::OutBuf));
    assert_eq!(read.args[1].words, 2);
    assert_eq!(read.args[1].ty, "OutBuf");
    assert_eq!(read.doc, "Reads from a descriptor.");
}
