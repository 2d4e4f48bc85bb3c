//! gzip-compressed a.out programs.
//!
//! 2.1 unpacks them into writable anonymous memory as it maps them; here the whole text and data
//! are unpacked first, so that a damaged file is refused instead of killing the process that
//! executes it.  As in 2.1, the checksum is not compared and the first 32 bytes of a QMAGIC text
//! (its header) are zeroes.
//!
//! 2.1 counterpart: kern/imgact_gzip.c (exec_gzip_imgact, do_aout_hdr, Flush).

use flate2::{Decompress, FlushDecompress, Status};

use super::aout::{HEADER, Header, MID_I386, Magic, empty_plan, push};
use super::{
    Backing, Circumstances, Head, Kind, MAX_DATA, MAX_TEXT, PAGE, Plan, Prot, Refusal, Source, foreign,
};

const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;
const OS_UNIX: u8 = 3;
/// Symbols behind the data are unpacked and dropped, up to here.
const MAX_OUTPUT: u64 = MAX_TEXT + MAX_DATA + (64 << 20);

pub(super) fn activate<S: Source + ?Sized>(
    head: &Head,
    source: &S,
    with: Circumstances,
) -> Result<Option<Plan>, Refusal> {
    if !head.starts_with(&[0x1f, 0x8b, 8]) || head.page[9] != OS_UNIX {
        return Ok(None);
    }
    let start = deflate_start(head)?;
    let mut unpacker = Unpacker { source, offset: start, inflate: Decompress::new(false), ended: false };

    let raw = unpacker.take(HEADER.into())?;
    let Some(header) = Header::decode(&raw) else {
        return Err(Refusal::Gzip("does not contain an a.out program"));
    };
    if !matches!(header.magic, Magic::Zmagic | Magic::Qmagic) {
        return Err(Refusal::Gzip("contains an a.out program that is neither ZMAGIC nor QMAGIC"));
    }
    if header.mid != 0 && header.mid != MID_I386 {
        return Err(foreign::aout_machine(&header));
    }
    header.check_paged()?;
    header.check_limits(with)?;

    let skip = header.text_offset().saturating_sub(HEADER.into());
    unpacker.take(skip)?;
    // Where the header is part of the text its place stays zero.
    let hole = if header.text_offset() == 0 { HEADER } else { 0 };
    let mut text = vec![0; hole.min(header.text) as usize];
    text.extend(unpacker.take(u64::from(header.text) - text.len() as u64)?);
    let data = unpacker.take(header.data.into())?;
    unpacker.drain()?;
    Ok(Some(plan(&header, text, data)))
}

fn plan(header: &Header, text: Vec<u8>, data: Vec<u8>) -> Plan {
    let mut plan = empty_plan(header);
    plan.format = match header.magic {
        Magic::Qmagic => "gzip-compressed a.out QMAGIC",
        _ => "gzip-compressed a.out ZMAGIC",
    };
    let at = header.text_addr();
    push(&mut plan, at, header.text, Prot::RWX, Kind::Text, Backing::Bytes { at, bytes: text });
    let at = plan.data_addr;
    push(&mut plan, at, header.data, Prot::RW, Kind::Data, Backing::Bytes { at, bytes: data });
    push(&mut plan, at + header.data, header.bss, Prot::RW, Kind::Bss, Backing::Zero);
    plan
}

/// Offset of the compressed data behind the gzip header.
fn deflate_start(head: &Head) -> Result<u64, Refusal> {
    let flags = head.page[3];
    if flags & !(FLAG_NAME | FLAG_COMMENT) != 0 {
        return Err(Refusal::Gzip("has header fields other than a name and a comment"));
    }
    let mut at = 10;
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let rest = head.page.get(at..).unwrap_or_default();
            let end = rest.iter().position(|&b| b == 0);
            at += 1 + end.ok_or(Refusal::Gzip("has an endless name or comment"))?;
        }
    }
    Ok(at as u64)
}

/// A source read through inflate.
struct Unpacker<'s, S: ?Sized> {
    source: &'s S,
    offset: u64,
    inflate: Decompress,
    ended: bool,
}

impl<S: Source + ?Sized> Unpacker<'_, S> {
    /// The next `want` bytes, fewer when the stream ends before.
    fn take(&mut self, want: u64) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        while (out.len() as u64) < want && !self.ended {
            let chunk = (want - out.len() as u64).min(64 << 10) as usize;
            self.step(&mut out, chunk)?;
        }
        Ok(out)
    }

    /// Unpacks to the end of the stream: 2.1 refuses a file that is damaged behind its data too.
    fn drain(&mut self) -> Result<(), Refusal> {
        let mut scratch = Vec::with_capacity(64 << 10);
        while !self.ended {
            if self.inflate.total_out() > MAX_OUTPUT {
                return Err(Refusal::Gzip("unpacks to more than any program can be"));
            }
            scratch.clear();
            self.step(&mut scratch, 64 << 10)?;
        }
        Ok(())
    }

    /// Appends up to `chunk` bytes to `out`.
    fn step(&mut self, out: &mut Vec<u8>, chunk: usize) -> Result<(), Refusal> {
        const DAMAGED: Refusal = Refusal::Gzip("is damaged");
        let mut input = [0; PAGE as usize];
        let n = self.source.read_at(self.offset, &mut input);
        let mut produced = [0; 64 << 10];
        let room = chunk.min(produced.len());
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(&input[..n], &mut produced[..room], FlushDecompress::None)
            .map_err(|_| DAMAGED)?;
        let consumed = self.inflate.total_in() - before_in;
        let made = (self.inflate.total_out() - before_out) as usize;
        self.offset += consumed;
        out.extend_from_slice(&produced[..made]);
        self.ended = status == Status::StreamEnd;
        if !self.ended && consumed == 0 && made == 0 {
            return Err(DAMAGED); // the file ends before the stream does
        }
        Ok(())
    }
}
