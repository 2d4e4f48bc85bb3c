//! profile.proto, read by its own description: field numbers, wire types.

use std::io::Read;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) kinds: Vec<(String, String)>,
    /// Names, innermost first, and values.
    pub(crate) samples: Vec<(Vec<String>, Vec<u64>)>,
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a byte");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number without an end");
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let len = varint(&mut bytes) as usize;
                let (field, rest) = bytes.split_at(len);
                bytes = rest;
                Field::Bytes(field)
            }
            kind => panic!("wire type {kind}"),
        };
        all.push((key >> 3, field));
    }
    all
}

fn number(fields: &[(u64, Field<'_>)], wanted: u64) -> u64 {
    let found = fields.iter().find_map(|(number, field)| match field {
        Field::Number(value) if *number == wanted => Some(*value),
        _ => None,
    });
    found.unwrap_or(0)
}

fn packed(fields: &[(u64, Field<'_>)], wanted: u64) -> Vec<u64> {
    let mut all = Vec::new();
    for (number, field) in fields {
        match field {
            Field::Bytes(bytes) if *number == wanted => {
                let mut bytes = *bytes;
                while !bytes.is_empty() {
                    all.push(varint(&mut bytes));
                }
            }
            _ => {}
        }
    }
    all
}

/// Reads a file.
pub(crate) fn decode(file: &[u8]) -> Decoded {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    let profile = fields(&bytes);
    let messages = |wanted: u64| {
        let of_kind = profile.iter().filter_map(move |(number, field)| match field {
            Field::Bytes(bytes) if *number == wanted => Some(*bytes),
            _ => None,
        });
        of_kind.collect::<Vec<_>>()
    };
    let strings: Vec<String> =
        messages(6).into_iter().map(|text| String::from_utf8(text.to_vec()).expect("UTF-8")).collect();
    assert_eq!(strings.first().map(String::as_str), Some(""), "the first string is empty");
    let text = |index: u64| strings[index as usize].clone();
    let functions: Vec<_> = messages(5).into_iter().map(fields).collect();
    let locations: Vec<_> = messages(4).into_iter().map(fields).collect();
    let name_of = |location: u64| {
        let location = locations.iter().find(|l| number(l, 1) == location).expect("a location");
        let line = location.iter().find_map(|(number, field)| match field {
            Field::Bytes(bytes) if *number == 4 => Some(fields(bytes)),
            _ => None,
        });
        let function = number(&line.expect("a line"), 1);
        let function = functions.iter().find(|f| number(f, 1) == function).expect("a function");
        text(number(function, 2))
    };
    let kinds =
        messages(1).into_iter().map(fields).map(|kind| (text(number(&kind, 1)), text(number(&kind, 2))));
    let samples = messages(2).into_iter().map(fields).map(|sample| {
        let stack = packed(&sample, 1).into_iter().map(&name_of).collect();
        (stack, packed(&sample, 2))
    });
    Decoded { kinds: kinds.collect(), samples: samples.collect() }
}
