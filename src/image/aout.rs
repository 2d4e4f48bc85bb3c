//! a.out: the header, and the activator for its four magics.
//!
//! ZMAGIC and QMAGIC in both byte orders are 2.1's.  OMAGIC, NMAGIC and images with text size 0
//! are extensions: 2.1 refuses them.  The header's machine field must be 0 or 134 (i386 BSD), which
//! is what 2.1 asks when it is built with Linux compatibility.
//!
//! 2.1 counterpart: kern/imgact_aout.c (exec_aout_imgact), sys/imgact_aout.h.

use super::{
    Backing, Circumstances, Head, Kind, MAX_DATA, MAX_TEXT, PAGE, Plan, Prot, Refusal, Segment, Source,
    USER_END, foreign, read_bytes, round_page,
};

/// Bytes of the header.
pub const HEADER: u32 = 32;
/// Machine number of i386 BSD.
pub const MID_I386: u16 = 134;
/// Flag: position-independent code.
pub const EX_PIC: u8 = 0x10;
/// Flag: the data begins with information for the run-time linker.
pub const EX_DYNAMIC: u8 = 0x20;

/// The magic numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// 0407: text and data writable and contiguous.
    Omagic,
    /// 0410: text read-only, data on the next page.
    Nmagic,
    /// 0413: demand paged; text at address 0 from file offset 4096.
    Zmagic,
    /// 0314: demand paged; the header is part of the text at 4096.
    Qmagic,
}

impl Magic {
    fn decode(raw: u32) -> Option<Self> {
        match raw & 0xffff {
            0o407 => Some(Self::Omagic),
            0o410 => Some(Self::Nmagic),
            0o413 => Some(Self::Zmagic),
            0o314 => Some(Self::Qmagic),
            _ => None,
        }
    }

    /// The name with its octal number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Omagic => "OMAGIC (0407)",
            Self::Nmagic => "NMAGIC (0410)",
            Self::Zmagic => "ZMAGIC (0413)",
            Self::Qmagic => "QMAGIC (0314)",
        }
    }
}

/// A decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The magic number.
    pub magic: Magic,
    /// The first word is in network byte order, as NetBSD writes it.
    pub network_order: bool,
    /// Machine number.
    pub mid: u16,
    /// [`EX_PIC`], [`EX_DYNAMIC`].
    pub flags: u8,
    /// Bytes of text.
    pub text: u32,
    /// Bytes of initialized data.
    pub data: u32,
    /// Bytes of zeroes after the data.
    pub bss: u32,
    /// Bytes of symbol table.
    pub syms: u32,
    /// First instruction.
    pub entry: u32,
    /// Bytes of text relocations.
    pub trsize: u32,
    /// Bytes of data relocations.
    pub drsize: u32,
}

impl Header {
    /// Decodes the first bytes of a file; `None` when they are not an a.out header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let raw: [u8; HEADER as usize] = bytes.get(..HEADER as usize)?.try_into().ok()?;
        let word =
            |i: usize| u32::from_le_bytes([raw[i * 4], raw[i * 4 + 1], raw[i * 4 + 2], raw[i * 4 + 3]]);
        let (magic, midmag, network_order) = match Magic::decode(word(0)) {
            Some(magic) => (magic, word(0), false),
            None => (Magic::decode(word(0).swap_bytes())?, word(0).swap_bytes(), true),
        };
        Some(Self {
            magic,
            network_order,
            mid: (midmag >> 16 & 0x3ff) as u16,
            flags: (midmag >> 26) as u8,
            text: word(1),
            data: word(2),
            bss: word(3),
            syms: word(4),
            entry: word(5),
            trsize: word(6),
            drsize: word(7),
        })
    }

    /// Address of the text.
    pub fn text_addr(&self) -> u32 {
        match self.magic {
            Magic::Qmagic => PAGE,
            Magic::Zmagic if self.network_order => PAGE,
            _ => 0,
        }
    }

    /// Offset of the text in the file.
    pub fn text_offset(&self) -> u64 {
        match self.magic {
            Magic::Omagic | Magic::Nmagic => u64::from(HEADER),
            Magic::Zmagic if !self.network_order && self.text != 0 => u64::from(PAGE),
            _ => 0,
        }
    }

    /// Address of the data.
    pub fn data_addr(&self) -> u64 {
        let end = u64::from(self.text_addr()) + u64::from(self.text);
        if self.magic == Magic::Omagic { end } else { round_page(end) }
    }

    /// Offset of the data in the file.
    pub fn data_offset(&self) -> u64 {
        self.text_offset() + u64::from(self.text)
    }

    /// Offset of the symbol table, which follows the relocations.
    pub fn symbol_offset(&self) -> u64 {
        self.data_offset()
            + u64::from(self.lead())
            + u64::from(self.data)
            + u64::from(self.trsize)
            + u64::from(self.drsize)
    }

    /// Offset of the string table.
    pub fn string_offset(&self) -> u64 {
        self.symbol_offset() + u64::from(self.syms)
    }

    fn is_textless(&self) -> bool {
        self.magic == Magic::Zmagic && !self.network_order && self.text == 0
    }

    /// With text size 0 the header is part of the data's pages but not of its size.
    fn lead(&self) -> u32 {
        if self.is_textless() { HEADER } else { 0 }
    }

    /// The name of the format.
    pub fn format(&self) -> &'static str {
        match (self.magic, self.network_order) {
            (Magic::Omagic, _) => "a.out OMAGIC",
            (Magic::Nmagic, _) => "a.out NMAGIC",
            (Magic::Zmagic, false) => "a.out ZMAGIC",
            (Magic::Zmagic, true) => "a.out ZMAGIC (network order)",
            (Magic::Qmagic, false) => "a.out QMAGIC",
            (Magic::Qmagic, true) => "a.out QMAGIC (network order)",
        }
    }

    /// The checks of sizes that all variants share.
    pub(super) fn check_limits(&self, with: Circumstances) -> Result<(), Refusal> {
        let format = self.format();
        if u64::from(self.text) > MAX_TEXT {
            return Err(Refusal::TooBig { format, what: "text", size: self.text.into(), limit: MAX_TEXT });
        }
        let size = u64::from(self.data) + round_page(self.bss.into());
        // 2.1 compares with > for the system's limit and with >= for the process's.
        let limit = MAX_DATA.min(with.data_limit.saturating_sub(1));
        if size > limit {
            return Err(Refusal::TooBig { format, what: "data and bss", size, limit });
        }
        Ok(())
    }

    /// 2.1's checks of the demand-paged formats.
    pub(super) fn check_paged(&self) -> Result<(), Refusal> {
        let format = self.format();
        self.check_entry()?;
        for (what, size) in [("text", self.text), ("data", self.data)] {
            if !size.is_multiple_of(PAGE) {
                return Err(Refusal::NotPageRounded { format, what, size });
            }
        }
        Ok(())
    }

    fn check_entry(&self) -> Result<(), Refusal> {
        let start = u64::from(self.text_addr());
        // Without text the code is in the data.
        let code =
            if self.text == 0 { u64::from(self.lead()) + u64::from(self.data) } else { self.text.into() };
        let end = start + code;
        if u64::from(self.entry) < start || u64::from(self.entry) >= end {
            return Err(Refusal::Entry { format: self.format(), entry: self.entry, start, end });
        }
        Ok(())
    }
}

pub(super) fn activate<S: Source + ?Sized>(
    head: &Head,
    source: &S,
    with: Circumstances,
) -> Result<Option<Plan>, Refusal> {
    let Some(header) = Header::decode(&head.page) else { return Ok(None) };
    if head.valid < HEADER as usize {
        return Err(Refusal::TruncatedHeader { format: "a.out", have: head.valid });
    }
    if header.mid != 0 && header.mid != MID_I386 {
        return Err(foreign::aout_machine(&header));
    }
    if foreign::is_vax(&header, source) {
        return Err(Refusal::Foreign("VAX a.out program".into()));
    }
    let paged = matches!(header.magic, Magic::Zmagic | Magic::Qmagic) && !header.is_textless();
    if paged {
        header.check_paged()?;
    } else {
        header.check_entry()?;
    }
    let want = u64::from(header.text) + u64::from(header.data);
    if want > source.size() {
        return Err(Refusal::Truncated { format: header.format(), want, have: source.size() });
    }
    header.check_limits(with)?;
    Ok(Some(if paged { plan_paged(&header) } else { plan_copied(&header, source) }))
}

/// ZMAGIC and QMAGIC: text and data are pages of the file.
fn plan_paged(header: &Header) -> Plan {
    let mut plan = empty_plan(header);
    let data_addr = plan.data_addr;
    push(
        &mut plan,
        header.text_addr(),
        header.text,
        Prot::RX,
        Kind::Text,
        Backing::File { offset: header.text_offset() },
    );
    push(
        &mut plan,
        data_addr,
        header.data,
        Prot::RW,
        Kind::Data,
        Backing::File { offset: header.data_offset() },
    );
    push(&mut plan, data_addr + header.data, header.bss, Prot::RW, Kind::Bss, Backing::Zero);
    plan
}

/// The extensions: bytes that do not stand on page boundaries of the file are copied.
fn plan_copied<S: Source + ?Sized>(header: &Header, source: &S) -> Plan {
    let mut plan = empty_plan(header);
    let start = header.text_addr();
    if header.magic == Magic::Nmagic {
        plan.extension = Some("2.1 does not execute NMAGIC");
        let data_addr = plan.data_addr;
        push(
            &mut plan,
            start,
            header.text,
            Prot::RX,
            Kind::Text,
            Backing::Bytes { at: start, bytes: read_bytes(source, header.text_offset(), header.text.into()) },
        );
        let len = header.data + header.bss; // bounded by check_limits
        plan.data_pages = pages(len.into());
        push(
            &mut plan,
            data_addr,
            len,
            Prot::RW,
            Kind::Data,
            Backing::Bytes {
                at: data_addr,
                bytes: read_bytes(source, header.data_offset(), header.data.into()),
            },
        );
        return plan;
    }
    // OMAGIC and text size 0: one writable run.  Without text the header is its beginning.
    let lead = header.lead();
    plan.extension = Some(if lead == 0 {
        "2.1 does not execute OMAGIC"
    } else {
        "2.1 refuses images whose text size is 0"
    });
    let bytes = read_bytes(
        source,
        header.text_offset(),
        u64::from(lead) + u64::from(header.text) + u64::from(header.data),
    );
    let len = lead + header.text + header.data + header.bss; // bounded by check_limits
    plan.data_pages = pages(len.into()) - plan.text_pages;
    push(&mut plan, start, len, Prot::RWX, Kind::Data, Backing::Bytes { at: start, bytes });
    plan
}

/// A plan without segments, with 2.1's accounting of text and data.
pub(super) fn empty_plan(header: &Header) -> Plan {
    let data_bytes = u64::from(header.data) + round_page(header.bss.into());
    let data_addr = match header.magic {
        // The break starts on a page boundary, so data that shares a page with text counts from it.
        Magic::Omagic => header.data_addr() as u32 & !(PAGE - 1),
        _ => header.data_addr() as u32,
    };
    Plan {
        format: header.format(),
        extension: None,
        older: header.mid == 0,
        segments: Vec::new(),
        entry: header.entry,
        interpreter: None,
        elf: None,
        text_addr: header.text_addr(),
        text_pages: header.text / PAGE,
        data_addr,
        data_pages: pages(data_bytes),
    }
}

/// Pages that hold `bytes`.
fn pages(bytes: u64) -> u32 {
    (round_page(bytes) / u64::from(PAGE)) as u32 // callers are bounded by check_limits
}

/// Adds a segment of `len` bytes, rounded up to pages; an empty one is left out.
pub(super) fn push(plan: &mut Plan, addr: u32, len: u32, prot: Prot, kind: Kind, backing: Backing) {
    let len = round_page(len.into()) as u32; // text and data limits keep this far below 4 GiB
    if len != 0 {
        debug_assert!(u64::from(addr) + u64::from(len) <= u64::from(USER_END));
        plan.segments.push(Segment { addr, len, prot, kind, backing });
    }
}
