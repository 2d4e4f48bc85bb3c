//! JSON lines against their schema, docs/tracing.schema.json.

use std::path::Path;

use boon::{Compiler, SchemaIndex, Schemas};
use bsd21::trace::options::{Format, Layers};
use serde_json::Value;

use crate::{text, with};

/// The schema of a line.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn load() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tracing.schema.json");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let index = compiler.compile(file.to_str().expect("a name"), &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    /// Every line is one of its objects, and the numbers grow.
    fn accepts(&self, name: &str, text: &str) -> usize {
        let mut before = 0;
        for (n, line) in text.lines().enumerate() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}:{n}: {e}"));
            if let Err(error) = self.schemas.validate(&value, self.index) {
                panic!("{name}:{}: {error:#}\n{line}", n + 1);
            }
            // Golden files have zeroes for what changes.
            let seq = value["seq"].as_u64().unwrap_or(0);
            assert!(n == 0 || seq > before || seq == 0, "{name}:{}: {seq} behind {before}", n + 1);
            before = seq;
        }
        text.lines().count()
    }
}

#[test]
fn every_line_of_json_is_what_the_schema_says() {
    let schema = Schema::load();
    let live = text(with(|o| (o.format, o.layers, o.verbose) = (Format::Jsonl, Layers::all(), true)));
    assert!(schema.accepts("exchange", &live) > 10);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trace");
    let (mut left, mut lines) = (vec![golden], 0);
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                let text = std::fs::read_to_string(&path).expect("text");
                // A long one is kept as its hash.
                if text.starts_with('{') {
                    lines += schema.accepts(&path.display().to_string(), &text);
                }
            }
        }
    }
    assert!(lines > 1000, "{lines} lines");
}

#[test]
fn a_line_that_is_none_is_refused() {
    let schema = Schema::load();
    let wrong = r#"{"type":"fork","seq":1,"pid":5,"comm":"x","instructions":0,"uptime_ns":0,"time_ns":0}"#;
    let value: Value = serde_json::from_str(wrong).expect("JSON");
    assert!(schema.schemas.validate(&value, schema.index).is_err(), "a fork has a child");
}
