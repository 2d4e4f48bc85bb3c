//! Units of stabs as DWARF: lines, functions, variables, types.

use std::collections::BTreeMap;

use gimli::write::{
    Address, AttributeValue, Dwarf, EndianVec, Expression, LineProgram, LineString, Sections,
    Unit as DwarfUnit, UnitEntryId,
};
use gimli::{DwTag, Encoding, Format, LineEncoding, LittleEndian, Register, constants as dw};

use super::stabs::{Function, Place, Unit, Variable};
use super::types::{Type, TypeId, Types};

/// DWARF's number of ebp.
const EBP: Register = Register(5);
/// The version that every debugger of today reads.
const VERSION: u16 = 4;

/// The debugging sections; none where a file has no stabs.
pub(super) fn sections(units: &[Unit]) -> gimli::write::Result<Vec<(&'static str, Vec<u8>)>> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let mut dwarf = Dwarf::new();
    for unit in units {
        add(&mut dwarf, unit);
    }
    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    dwarf.write(&mut sections)?;
    let mut written = Vec::new();
    sections.for_each(|id, bytes| {
        if !bytes.slice().is_empty() {
            written.push((id.name(), bytes.slice().to_vec()));
        }
        Ok::<(), gimli::write::Error>(())
    })?;
    Ok(written)
}

fn address(value: u32) -> AttributeValue {
    AttributeValue::Address(Address::Constant(u64::from(value)))
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::String(value.bytes().filter(|&byte| byte != 0).collect())
}

/// The bytes of a name that a line table may have.
fn name(value: &str) -> Vec<u8> {
    let bytes: Vec<u8> = value.bytes().filter(|&byte| byte != 0).collect();
    if bytes.is_empty() { b"unknown".to_vec() } else { bytes }
}

fn add(dwarf: &mut Dwarf, unit: &Unit) {
    let encoding = Encoding { format: Format::Dwarf32, version: VERSION, address_size: 4 };
    let directory = if unit.directory.is_empty() { "." } else { unit.directory.trim_end_matches('/') };
    let mut program = LineProgram::new(
        encoding,
        LineEncoding::default(),
        LineString::String(name(directory)),
        None,
        LineString::String(name(&unit.file)),
        None,
    );
    lines(&mut program, unit);
    let mut out = DwarfUnit::new(encoding, program);
    let root = out.root();
    let entry = out.get_mut(root);
    entry.set(dw::DW_AT_name, text(&unit.file));
    entry.set(dw::DW_AT_comp_dir, text(directory));
    entry.set(dw::DW_AT_producer, text("stabs"));
    entry.set(dw::DW_AT_language, AttributeValue::Language(dw::DW_LANG_C89));
    entry.set(dw::DW_AT_low_pc, address(unit.from));
    entry.set(dw::DW_AT_high_pc, AttributeValue::Udata(u64::from(unit.to - unit.from)));
    entry.set(dw::DW_AT_stmt_list, AttributeValue::LineProgramRef);
    let mut types = Made { types: &unit.types, entries: BTreeMap::new() };
    for variable in &unit.variables {
        add_variable(&mut out, root, variable, &mut types);
    }
    for function in &unit.functions {
        add_function(&mut out, root, function, &mut types);
    }
    // A person may ask for types that no variable has.
    for id in unit.types.tags.keys().chain(unit.types.names.keys()) {
        types.entry(&mut out, *id);
    }
    dwarf.units.add(out);
}

/// The table of lines.
fn lines(program: &mut LineProgram, unit: &Unit) {
    if unit.lines.is_empty() {
        return;
    }
    let directory = program.default_directory();
    let mut files = BTreeMap::new();
    files.insert(None, program.add_file(LineString::String(name(&unit.file)), directory, None));
    program.begin_sequence(Some(Address::Constant(u64::from(unit.from))));
    for line in &unit.lines {
        let file = *files.entry(line.file.clone()).or_insert_with(|| {
            program.add_file(
                LineString::String(name(line.file.as_deref().unwrap_or_default())),
                directory,
                None,
            )
        });
        let row = program.row();
        (row.address_offset, row.file, row.line) =
            (u64::from(line.address - unit.from), file, u64::from(line.line));
        program.generate_row();
    }
    program.end_sequence(u64::from(unit.to - unit.from));
}

fn add_function(out: &mut DwarfUnit, root: UnitEntryId, function: &Function, types: &mut Made<'_>) {
    let result = function.result.and_then(|id| types.entry(out, id));
    let id = out.add(root, dw::DW_TAG_subprogram);
    let mut base = Expression::new();
    base.op_breg(EBP, 0);
    let entry = out.get_mut(id);
    entry.set(dw::DW_AT_name, text(&function.name));
    entry.set(dw::DW_AT_decl_line, AttributeValue::Udata(u64::from(function.line)));
    entry.set(dw::DW_AT_external, AttributeValue::Flag(function.external));
    entry.set(dw::DW_AT_prototyped, AttributeValue::Flag(true));
    entry.set(dw::DW_AT_low_pc, address(function.from));
    entry.set(dw::DW_AT_high_pc, AttributeValue::Udata(u64::from(function.to - function.from)));
    entry.set(dw::DW_AT_frame_base, AttributeValue::Exprloc(base));
    if let Some(result) = result {
        entry.set(dw::DW_AT_type, AttributeValue::UnitRef(result));
    }
    for variable in &function.variables {
        // A parameter that was moved to a register has two entries: the register is where it is.
        let moved =
            |other: &Variable| other.name == variable.name && matches!(other.place, Place::Register(_));
        let stale = variable.parameter && matches!(variable.place, Place::Frame(_));
        if stale && function.variables.iter().any(moved) {
            continue;
        }
        add_variable(out, id, variable, types);
    }
}

fn add_variable(out: &mut DwarfUnit, parent: UnitEntryId, variable: &Variable, types: &mut Made<'_>) {
    let kind = variable.kind.and_then(|id| types.entry(out, id));
    let mut place = Expression::new();
    match variable.place {
        Place::Address(at) => place.op_addr(Address::Constant(u64::from(at))),
        Place::Frame(offset) => place.op_fbreg(i64::from(offset)),
        Place::Register(number) => place.op_reg(Register(u16::from(number))),
    }
    let tag = if variable.parameter { dw::DW_TAG_formal_parameter } else { dw::DW_TAG_variable };
    let id = out.add(parent, tag);
    let entry = out.get_mut(id);
    entry.set(dw::DW_AT_name, text(&variable.name));
    entry.set(dw::DW_AT_location, AttributeValue::Exprloc(place));
    if variable.external {
        entry.set(dw::DW_AT_external, AttributeValue::Flag(true));
    }
    if let Some(kind) = kind {
        entry.set(dw::DW_AT_type, AttributeValue::UnitRef(kind));
    }
}

/// The types of a unit that have an entry; `None` is void.
struct Made<'a> {
    types: &'a Types,
    entries: BTreeMap<TypeId, Option<UnitEntryId>>,
}

impl Made<'_> {
    /// The entry of a type, made where there is none yet.
    fn entry(&mut self, out: &mut DwarfUnit, id: TypeId) -> Option<UnitEntryId> {
        if let Some(made) = self.entries.get(&id) {
            return *made;
        }
        let types = self.types;
        let known = types.known.get(&id)?;
        let named = types.names.get(&id);
        let tag = tag_of(known)?;
        let root = out.root();
        // A name for what is no basic type is a type of its own.
        let basic = matches!(known, Type::Integer { .. } | Type::Float { .. });
        let inner = out.add(root, tag);
        self.entries.insert(id, Some(inner));
        if let Some(name) =
            types.tags.get(&id).or_else(|| named.filter(|_| basic || tag == dw::DW_TAG_typedef))
        {
            out.get_mut(inner).set(dw::DW_AT_name, text(name));
        }
        self.fill(out, inner, known);
        let Some(name) = named.filter(|_| !basic && tag != dw::DW_TAG_typedef) else { return Some(inner) };
        let outer = out.add(root, dw::DW_TAG_typedef);
        out.get_mut(outer).set(dw::DW_AT_name, text(name));
        out.get_mut(outer).set(dw::DW_AT_type, AttributeValue::UnitRef(inner));
        self.entries.insert(id, Some(outer));
        Some(outer)
    }

    fn fill(&mut self, out: &mut DwarfUnit, entry: UnitEntryId, known: &Type) {
        match known {
            Type::Void => {}
            Type::Integer { size, signed, character } => {
                let encoding = match (signed, character) {
                    (true, true) => dw::DW_ATE_signed_char,
                    (false, true) => dw::DW_ATE_unsigned_char,
                    (true, false) => dw::DW_ATE_signed,
                    (false, false) => dw::DW_ATE_unsigned,
                };
                set_size(out, entry, *size);
                out.get_mut(entry).set(dw::DW_AT_encoding, AttributeValue::Encoding(encoding));
            }
            Type::Float { size } => {
                set_size(out, entry, *size);
                out.get_mut(entry).set(dw::DW_AT_encoding, AttributeValue::Encoding(dw::DW_ATE_float));
            }
            Type::Pointer(to) => {
                set_size(out, entry, 4);
                self.set_type(out, entry, *to);
            }
            Type::Function(of) | Type::Same(of) => self.set_type(out, entry, *of),
            Type::Array(of, last) => {
                self.set_type(out, entry, *of);
                let range = out.add(entry, dw::DW_TAG_subrange_type);
                if let Some(last) = last {
                    out.get_mut(range).set(dw::DW_AT_upper_bound, AttributeValue::Udata(u64::from(*last)));
                }
            }
            Type::Struct { size, fields, .. } => {
                set_size(out, entry, *size);
                for field in fields {
                    let member = out.add(entry, dw::DW_TAG_member);
                    let whole = field.size.is_multiple_of(8) && field.offset.is_multiple_of(8);
                    let set = out.get_mut(member);
                    set.set(dw::DW_AT_name, text(&field.name));
                    if whole {
                        set.set(
                            dw::DW_AT_data_member_location,
                            AttributeValue::Udata(u64::from(field.offset / 8)),
                        );
                    } else {
                        set.set(dw::DW_AT_data_bit_offset, AttributeValue::Udata(u64::from(field.offset)));
                        set.set(dw::DW_AT_bit_size, AttributeValue::Udata(u64::from(field.size)));
                    }
                    self.set_type(out, member, field.kind);
                }
            }
            Type::Enum(values) => {
                set_size(out, entry, 4);
                for (name, value) in values {
                    let enumerator = out.add(entry, dw::DW_TAG_enumerator);
                    out.get_mut(enumerator).set(dw::DW_AT_name, text(name));
                    out.get_mut(enumerator).set(dw::DW_AT_const_value, AttributeValue::Sdata(*value));
                }
            }
            Type::Elsewhere { name, .. } => {
                out.get_mut(entry).set(dw::DW_AT_name, text(name));
                out.get_mut(entry).set(dw::DW_AT_declaration, AttributeValue::Flag(true));
            }
        }
    }

    fn set_type(&mut self, out: &mut DwarfUnit, entry: UnitEntryId, of: TypeId) {
        if let Some(of) = self.entry(out, of) {
            out.get_mut(entry).set(dw::DW_AT_type, AttributeValue::UnitRef(of));
        }
    }
}

fn set_size(out: &mut DwarfUnit, entry: UnitEntryId, size: u32) {
    out.get_mut(entry).set(dw::DW_AT_byte_size, AttributeValue::Udata(u64::from(size)));
}

/// The tag of a type's entry; none for void.
fn tag_of(known: &Type) -> Option<DwTag> {
    Some(match known {
        Type::Void => return None,
        Type::Integer { .. } | Type::Float { .. } => dw::DW_TAG_base_type,
        Type::Pointer(_) => dw::DW_TAG_pointer_type,
        Type::Function(_) => dw::DW_TAG_subroutine_type,
        Type::Array(..) => dw::DW_TAG_array_type,
        Type::Struct { union: false, .. } | Type::Elsewhere { union: false, .. } => dw::DW_TAG_structure_type,
        Type::Struct { union: true, .. } | Type::Elsewhere { union: true, .. } => dw::DW_TAG_union_type,
        Type::Enum(_) => dw::DW_TAG_enumeration_type,
        Type::Same(_) => dw::DW_TAG_typedef,
    })
}
