//! What an executable file is, for people: format, layout, symbols, libraries and the system calls
//! whose gates its code contains.
//!
//! Reads bytes and gives a [`Report`]; it works on files that no activator takes too (shared
//! libraries, damaged programs), as far as they can be read.
//!
//! 2.1 counterpart: file(1), size(1), nm(1) and ldd(1).

mod calls;
mod dynamic;
pub mod origin;
mod symbols;

use std::fmt;

pub use calls::{Gate, sites};
pub use dynamic::{Library, search_path};
pub use symbols::Symbol;

use super::aout::{EX_DYNAMIC, EX_PIC, Header};
use super::{Activation, Backing, Circumstances, Plan, Script, activate, printable};

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Bytes of the file.
    pub size: usize,
    /// What the activators say: a plan, a script, or the line of the refusal.
    pub verdict: Verdict,
    /// The a.out header, where there is one.
    pub header: Option<Header>,
    /// Libraries that the run-time linker will look for.
    pub libraries: Vec<Library>,
    /// Symbols in address order.
    pub symbols: Vec<Symbol>,
    /// System calls whose gate is in the code, in number order.
    pub gates: Vec<Gate>,
}

/// What the activators say of a file.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It runs, laid out like this.
    Image(Box<Plan>),
    /// It is run by its interpreter.
    Script(Script),
    /// It does not run; why.
    Refused(String),
}

/// Looks at a file.
///
/// ```
/// use bsd21::image::inspect::{self, Verdict};
///
/// let report = inspect::report(&std::fs::read("fixtures/bin/hello")?);
/// assert!(matches!(report.verdict, Verdict::Image(_)));
/// let numbers: Vec<_> = report.gates.iter().filter_map(|gate| gate.number).collect();
/// assert_eq!(numbers, [1, 4]); // exit and write
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn report(file: &[u8]) -> Report {
    let verdict = match activate(file, Circumstances::default()) {
        Ok(Activation::Image(plan)) => Verdict::Image(plan),
        Ok(Activation::Script(script)) => Verdict::Script(script),
        Err(refusal) => Verdict::Refused(refusal.to_string()),
    };
    let header = Header::decode(file);
    let mut symbols = symbols::read(file, header.as_ref());
    symbols.sort_by(|a, b| (a.value, &a.name).cmp(&(b.value, &b.name)));
    let libraries = dynamic::libraries(file, header.as_ref());
    let gates = match &verdict {
        Verdict::Image(plan) => calls::gates(code(file, plan)),
        _ => calls::gates(std::iter::once(file)),
    };
    Report { size: file.len(), verdict, header, libraries, symbols, gates }
}

/// The symbols of a file in address order, for whoever prints addresses.
pub fn symbols(file: &[u8]) -> Vec<Symbol> {
    let mut symbols = symbols::read(file, Header::decode(file).as_ref());
    symbols.sort_by_key(|symbol| symbol.value);
    symbols
}

/// The libraries that a file asks for, and nothing else of it.
pub fn libraries(file: &[u8]) -> Vec<Library> {
    dynamic::libraries(file, Header::decode(file).as_ref())
}

/// The bytes of the segments that come from the file.
fn code<'a>(file: &'a [u8], plan: &'a Plan) -> impl Iterator<Item = &'a [u8]> {
    plan.segments.iter().filter_map(move |segment| match &segment.backing {
        Backing::File { offset } => {
            let start = usize::try_from(*offset).ok()?.min(file.len());
            Some(&file[start..file.len().min(start.saturating_add(segment.len as usize))])
        }
        Backing::Bytes { bytes, .. } => Some(&bytes[..]),
        Backing::Zero => None,
    })
}

impl Report {
    /// Whether no activator takes the file.
    pub fn is_refused(&self) -> bool {
        matches!(self.verdict, Verdict::Refused(_))
    }

    /// Whether names are used that the file does not define.
    pub fn has_undefined(&self) -> bool {
        self.symbols.iter().any(|symbol| symbol.kind == 'U')
    }

    /// The symbol at or before an address.
    fn near(&self, address: u32) -> Option<&Symbol> {
        let is_code = |symbol: &&Symbol| matches!(symbol.kind, 'T' | 't');
        self.symbols.iter().filter(is_code).take_while(|symbol| symbol.value <= address).last()
    }

    fn write_image(&self, f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
        writeln!(f, "format:    {}", plan.format)?;
        if let Some(why) = plan.extension {
            writeln!(f, "extension: {why}")?;
        }
        self.write_header(f)?;
        for s in &plan.segments {
            let kind = match s.kind {
                super::Kind::Text => "text",
                super::Kind::Data => "data",
                super::Kind::Bss => "bss",
            };
            let from = match &s.backing {
                Backing::File { offset } => format!("file offset {offset:#x}"),
                Backing::Bytes { at, bytes } => format!("{} bytes copied to {at:#010x}", bytes.len()),
                Backing::Zero => "zeroes".to_owned(),
            };
            // The last byte is printed, not the one behind it: it fits in 32 bits always.
            let last = s.addr.wrapping_add(s.len).wrapping_sub(1);
            writeln!(f, "segment:   {:#010x}-{last:#010x} {} {kind:<4} {from}", s.addr, s.prot)?;
        }
        write!(f, "entry:     {:#x}", plan.entry)?;
        match self.near(plan.entry) {
            Some(symbol) if symbol.value == plan.entry => writeln!(f, " ({})", printable(&symbol.name))?,
            Some(symbol) => writeln!(f, " ({}+{:#x})", printable(&symbol.name), plan.entry - symbol.value)?,
            None => writeln!(f)?,
        }
        if let Some(name) = &plan.interpreter {
            writeln!(f, "linker:    {}", printable(&String::from_utf8_lossy(name)))?;
        }
        Ok(())
    }

    fn write_header(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(h) = &self.header else { return Ok(()) };
        let order = if h.network_order { ", network byte order" } else { "" };
        let mut flags = String::new();
        for (bit, name) in [(EX_DYNAMIC, ", dynamic"), (EX_PIC, ", position-independent")] {
            if h.flags & bit != 0 {
                flags.push_str(name);
            }
        }
        writeln!(f, "magic:     {}{order}, machine {}{flags}", h.magic.name(), h.mid)?;
        writeln!(
            f,
            "sizes:     text {:#x}, data {:#x}, bss {:#x}, symbols {:#x}, relocations {:#x}",
            h.text,
            h.data,
            h.bss,
            h.syms,
            u64::from(h.trsize) + u64::from(h.drsize)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Image(plan) => self.write_image(f, plan)?,
            Verdict::Script(script) => {
                let words: Vec<_> = script.words.iter().map(|word| String::from_utf8_lossy(word)).collect();
                writeln!(f, "format:    script")?;
                writeln!(f, "run by:    {}", printable(&words.join(" ")))?;
            }
            Verdict::Refused(why) => {
                let shared = self.header.is_some_and(|h| h.flags & EX_DYNAMIC != 0 && h.entry < super::PAGE);
                let what = if shared { "a.out shared object" } else { "not executable" };
                writeln!(f, "format:    {what}")?;
                self.write_header(f)?;
                writeln!(f, "refused:   {}", printable(why))?;
            }
        }
        for library in &self.libraries {
            writeln!(f, "needs:     {}", printable(&library.to_string()))?;
        }
        if !self.symbols.is_empty() {
            writeln!(f, "symbols:   {}", self.symbols.len())?;
        }
        for gate in &self.gates {
            writeln!(f, "call:      {gate}")?;
        }
        Ok(())
    }
}
