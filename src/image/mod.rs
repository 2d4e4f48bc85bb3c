//! Image activators: what an executable file is, and where its bytes go in memory.
//!
//! Pure: bytes in, a [`Plan`] out.  Nothing here maps memory, opens files or knows a process; the
//! kernel's execve carries a plan out.  The activators are tried in 2.1's order; what they do not
//! know is refused with one line that says what the file is ([`Refusal`]).
//!
//! 2.1 counterpart: the activators kern/imgact_*.c and the loop over them in kern/kern_exec.c (execve).

pub mod aout;
mod elf;
mod foreign;
mod gzip;
pub mod inspect;
mod name;
mod refusal;
mod script;
pub mod stack;
#[cfg(test)]
mod tests;
pub mod to_elf;

pub use name::printable;
pub use refusal::Refusal;
pub use script::Script;

/// Bytes of a guest page.
pub const PAGE: u32 = 4096;
/// End of the user's part of the address space; images end below it.
pub const USER_END: u32 = stack::USRSTACK;
/// Largest text segment (2.1's MAXTSIZ).
pub const MAX_TEXT: u64 = 16 << 20;
/// Largest data segment, bss included (2.1's MAXDSIZ).
pub const MAX_DATA: u64 = 128 << 20;

/// Largest file that is looked at as a program: more than text, data and symbols of any.
pub const MAX_FILE: u64 = 512 << 20;

/// An executable file as the activators see it.
pub trait Source {
    /// Bytes of the file.
    fn size(&self) -> u64;
    /// Fills `buf` from `offset`; gives how many bytes there were.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        n
    }
}

/// What kind of memory a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Program text.
    Text,
    /// Initialized data.
    Data,
    /// Zeroes.
    Bss,
}

/// Protection of a segment; the i386 of 2.1 lets whatever can be read be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot {
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed.
    pub write: bool,
    /// Execution was asked for.
    pub exec: bool,
}

impl Prot {
    /// Text.
    pub const RX: Self = Self { read: true, write: false, exec: true };
    /// Data.
    pub const RW: Self = Self { read: true, write: true, exec: false };
    /// Text that shares pages with data.
    pub const RWX: Self = Self { read: true, write: true, exec: true };
}

impl std::fmt::Display for Prot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letter = |on, c| if on { c } else { '-' };
        write!(f, "{}{}{}", letter(self.read, 'r'), letter(self.write, 'w'), letter(self.exec, 'x'))
    }
}

/// Where a segment's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A private mapping of the file from this page-aligned offset.  Pages beyond the file's end
    /// belong to the mapping: touching them is 2.1's SIGBUS.
    File {
        /// Offset in the file.
        offset: u64,
    },
    /// Anonymous memory with these bytes at `at`, zeroes around them.
    Bytes {
        /// Address of the first byte.
        at: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Zeroes.
    Zero,
}

/// A run of pages with one backing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address; page-aligned.
    pub addr: u32,
    /// Bytes; a multiple of the page size, never 0.
    pub len: u32,
    /// Protection.
    pub prot: Prot,
    /// Text, data or bss.
    pub kind: Kind,
    /// Contents.
    pub backing: Backing,
}

/// What ELF programs are told beside their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElfInfo {
    /// Address of the program headers in memory, 0 when they are not mapped.
    pub phdr: u32,
    /// Number of program headers.
    pub phnum: u32,
}

/// How an image is laid out and started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One short name of the format, as `inspect` and the tracer print it.
    pub format: &'static str,
    /// Why 2.1 itself would not have run this file, if that is so.
    pub extension: Option<&'static str>,
    /// The program is of a system before FreeBSD 2.0: its a.out header names no machine.
    pub older: bool,
    /// Segments in address order; they do not overlap.
    pub segments: Vec<Segment>,
    /// First instruction.
    pub entry: u32,
    /// The ELF interpreter that the program asks for.
    pub interpreter: Option<Vec<u8>>,
    /// Present for ELF: what the auxiliary vector needs.
    pub elf: Option<ElfInfo>,
    /// Start of text (2.1's vm_taddr).
    pub text_addr: u32,
    /// Pages of text (vm_tsize).
    pub text_pages: u32,
    /// Start of data (vm_daddr); the break starts at this plus the data pages.
    pub data_addr: u32,
    /// Pages of data and bss (vm_dsize).
    pub data_pages: u32,
}

/// What an activator makes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activation {
    /// An image to lay out.
    Image(Box<Plan>),
    /// A script: execve starts over with its interpreter.
    Script(Script),
}

/// What the process that executes the file contributes.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The file was named by a script as its interpreter.
    pub interpreted: bool,
    /// Soft limit of the data segment (RLIMIT_DATA).
    pub data_limit: u64,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self { interpreted: false, data_limit: MAX_DATA }
    }
}

/// Tries the activators in 2.1's order.
pub fn activate<S: Source + ?Sized>(source: &S, with: Circumstances) -> Result<Activation, Refusal> {
    let head = Head::read(source);
    if source.size() == 0 {
        return Err(Refusal::Empty);
    }
    let image = |plan| Activation::Image(Box::new(plan));
    if let Some(plan) = aout::activate(&head, source, with)? {
        return Ok(image(plan));
    }
    if let Some(script) = script::activate(&head, with)? {
        return Ok(Activation::Script(script));
    }
    if let Some(plan) = gzip::activate(&head, source, with)? {
        return Ok(image(plan));
    }
    if let Some(plan) = elf::activate(&head, source, with)? {
        return Ok(image(plan));
    }
    Err(foreign::name(&head))
}

/// Lays out an ELF interpreter, a shared object, at `base`.
pub fn activate_interpreter<S: Source + ?Sized>(source: &S, base: u32) -> Result<Plan, Refusal> {
    elf::interpreter(&Head::read(source), source, base)
}

/// The first page of a file, zero-filled as a mapping of it is.
struct Head {
    page: [u8; PAGE as usize],
    /// Bytes that the file really has in it.
    valid: usize,
}

impl Head {
    fn read<S: Source + ?Sized>(source: &S) -> Self {
        let mut page = [0; PAGE as usize];
        let valid = source.read_at(0, &mut page);
        Self { page, valid }
    }

    fn starts_with(&self, magic: &[u8]) -> bool {
        self.page.starts_with(magic)
    }
}

/// Rounds up to a page.
fn round_page(n: u64) -> u64 {
    n.next_multiple_of(u64::from(PAGE))
}

/// Bytes `offset..offset + len` of the file, fewer at its end.
fn read_bytes<S: Source + ?Sized>(source: &S, offset: u64, len: u64) -> Vec<u8> {
    let there = source.size().saturating_sub(offset).min(len).min(MAX_TEXT + MAX_DATA);
    let mut bytes = vec![0; usize::try_from(there).unwrap_or(0)];
    let n = source.read_at(offset, &mut bytes);
    bytes.truncate(n);
    bytes
}
