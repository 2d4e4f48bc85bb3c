//! What an executable file is, as JSON: the members of [`Report`].

use serde_json::{Value, json};
use syscalls::sysent::row;

use crate::image::inspect::{Report, Verdict};
use crate::image::{Backing, Kind, Plan};

/// An object for a file; symbols only where they are wanted.
pub(super) fn object(path: &str, report: &Report, symbols: bool) -> Value {
    let mut object = json!({
        "file": path,
        "size": report.size,
        "header": report.header.map(|h| json!({
            "magic": h.magic.name(), "machine": h.mid, "network_order": h.network_order, "flags": h.flags,
            "text": h.text, "data": h.data, "bss": h.bss, "symbols": h.syms, "entry": h.entry,
            "text_relocations": h.trsize, "data_relocations": h.drsize,
        })),
        "needs": report.libraries.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "symbols": report.symbols.len(),
        "calls": report.gates.iter().map(|gate| json!({
            "number": gate.number,
            "name": gate.number.and_then(row).map(|row| row.trace_name().to_string()),
            "gates": gate.count,
        })).collect::<Vec<_>>(),
    });
    match &report.verdict {
        Verdict::Image(plan) => object["image"] = image(plan),
        Verdict::Script(script) => {
            let words = script.words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>();
            object["script"] = json!({ "words": words });
        }
        Verdict::Refused(why) => object["refused"] = json!(why),
    }
    if symbols {
        let list = report.symbols.iter();
        object["symbol_table"] =
            list.map(|s| json!({ "name": s.name, "value": s.value, "kind": s.kind.to_string() })).collect();
    }
    object
}

fn image(plan: &Plan) -> Value {
    let segments = plan.segments.iter().map(|segment| {
        let kind = match segment.kind {
            Kind::Text => "text",
            Kind::Data => "data",
            Kind::Bss => "bss",
        };
        let offset = match segment.backing {
            Backing::File { offset } => Some(offset),
            Backing::Bytes { .. } | Backing::Zero => None,
        };
        json!({
            "address": segment.addr, "length": segment.len, "protection": segment.prot.to_string(),
            "kind": kind, "file_offset": offset,
        })
    });
    json!({
        "format": plan.format,
        "extension": plan.extension,
        "entry": plan.entry,
        "linker": plan.interpreter.as_deref().map(String::from_utf8_lossy),
        "segments": segments.collect::<Vec<_>>(),
    })
}
