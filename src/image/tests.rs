//! Tests of the activators: what each format becomes, what is refused and with which words, and
//! that no header makes them panic or lay out anything outside the user's address space.

use proptest::prelude::*;
use syscalls::Errno;

use super::stack::{self, Arguments};
use super::*;

/// A header followed by bytes that tell where they are in the file.
fn aout(words: [u32; 8], size: usize) -> Vec<u8> {
    let mut file: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    file.extend((file.len()..size).map(|i| (i >> 8) as u8));
    file
}

const ZMAGIC: u32 = 0o413;
const QMAGIC: u32 = 134 << 16 | 0o314;

fn plan(file: &[u8]) -> Plan {
    match activate(file, Circumstances::default()) {
        Ok(Activation::Image(plan)) => *plan,
        other => panic!("not an image: {other:?}"),
    }
}

fn refusal(file: &[u8]) -> String {
    activate(file, Circumstances::default()).expect_err("refused").to_string()
}

fn shape(plan: &Plan) -> Vec<(u32, u32, Kind)> {
    plan.segments.iter().map(|s| (s.addr, s.len, s.kind)).collect()
}

#[test]
fn zmagic_maps_text_at_zero_from_offset_4096() {
    let plan = plan(&aout([ZMAGIC, 0x2000, 0x1000, 0x1234, 0, 0x20, 0, 0], 0x4000));
    assert_eq!(
        shape(&plan),
        [(0, 0x2000, Kind::Text), (0x2000, 0x1000, Kind::Data), (0x3000, 0x2000, Kind::Bss)]
    );
    assert_eq!(plan.segments[0].backing, Backing::File { offset: 0x1000 });
    assert_eq!(plan.segments[1].backing, Backing::File { offset: 0x3000 });
    assert_eq!((plan.entry, plan.text_addr, plan.text_pages), (0x20, 0, 2));
    assert_eq!((plan.data_addr, plan.data_pages), (0x2000, 3));
    assert_eq!(plan.extension, None);
}

#[test]
fn qmagic_maps_its_header_at_4096() {
    let plan = plan(&aout([QMAGIC, 0x1000, 0x1000, 0, 0, 0x1020, 0, 0], 0x2000));
    assert_eq!(shape(&plan), [(0x1000, 0x1000, Kind::Text), (0x2000, 0x1000, Kind::Data)]);
    assert_eq!(plan.segments[0].backing, Backing::File { offset: 0 });
}

#[test]
fn network_order_zmagic_is_laid_out_like_qmagic() {
    let magic = (134u32 << 16 | ZMAGIC).swap_bytes();
    let plan = plan(&aout([magic, 0x1000, 0, 0, 0, 0x1020, 0, 0], 0x1000));
    assert_eq!(shape(&plan), [(0x1000, 0x1000, Kind::Text)]);
    assert_eq!(plan.segments[0].backing, Backing::File { offset: 0 });
}

#[test]
fn entry_must_lie_in_the_text() {
    let entry = |e| aout([QMAGIC, 0x1000, 0, 0, 0, e, 0, 0], 0x1000);
    assert!(refusal(&entry(0xfff)).contains("entry point 0xfff is outside"));
    assert!(refusal(&entry(0x2000)).contains("entry point 0x2000 is outside"));
    assert_eq!(plan(&entry(0x1fff)).entry, 0x1fff);
}

#[test]
fn text_and_data_beyond_the_file_are_efault_after_the_other_checks() {
    let error =
        activate(&aout([ZMAGIC, 0x2000, 0x1000, 0, 0, 0, 0, 0], 0x2fff)[..], Circumstances::default());
    let error = error.expect_err("truncated");
    assert_eq!(error.errno(), Errno::EFAULT);
    assert!(error.to_string().contains("wants 12288 bytes"), "{error}");
    // The header page is not counted, so a file may lack its last page: a fault when it is touched.
    assert_eq!(plan(&aout([ZMAGIC, 0x2000, 0x1000, 0, 0, 0, 0, 0], 0x3000)).segments.len(), 2);
}

#[test]
fn sizes_over_the_limits_are_enomem() {
    let data_limit = 0x3000;
    let file = aout([ZMAGIC, 0x1000, 0x1000, 0x1001, 0, 0, 0, 0], 0x3000);
    let error = activate(&file[..], Circumstances { data_limit, ..Circumstances::default() });
    assert_eq!(error.expect_err("equal to the limit").errno(), Errno::ENOMEM);
    assert!(activate(&file[..], Circumstances { data_limit: 0x3001, ..Circumstances::default() }).is_ok());
    // A sum that wraps in 32 bits is still too big.
    let wrap = aout([ZMAGIC, 0x1000, 0, 0xffff_f001, 0, 0, 0, 0], 0x3000);
    assert!(refusal(&wrap).contains("over the limit"));
}

#[test]
fn text_size_zero_runs_its_code_from_the_data() {
    let plan = plan(&aout([ZMAGIC, 0, 0xb50, 0x14, 0, 0x20, 0, 0], 2928));
    assert_eq!(shape(&plan), [(0, 0x1000, Kind::Data)]);
    let Backing::Bytes { at: 0, bytes } = &plan.segments[0].backing else { panic!("copied from 0") };
    assert_eq!(bytes.len(), 2928);
    assert_eq!((plan.data_addr, plan.data_pages), (0, 1));
    assert!(plan.extension.is_some());
}

#[test]
fn omagic_is_one_writable_run_and_nmagic_protects_its_text() {
    let omagic = plan(&aout([134 << 16 | 0o407, 0x30, 0x10, 0x2000, 0, 0, 0, 0], 0x60));
    assert_eq!(shape(&omagic), [(0, 0x3000, Kind::Data)]);
    assert_eq!(omagic.segments[0].prot, Prot::RWX);
    let nmagic = plan(&aout([134 << 16 | 0o410, 0x30, 0x10, 0x20, 0, 0, 0, 0], 0x60));
    assert_eq!(shape(&nmagic), [(0, 0x1000, Kind::Text), (0x1000, 0x1000, Kind::Data)]);
    assert!(!nmagic.segments[0].prot.write);
    let Backing::Bytes { at: 0x1000, bytes } = &nmagic.segments[1].backing else { panic!("copied") };
    assert_eq!(bytes.len(), 0x10);
}

#[test]
fn foreign_files_are_named() {
    let linux = aout([100 << 16 | QMAGIC & 0xffff, 0x1000, 0, 0, 0, 0x1020, 0, 0], 0x1000);
    assert_eq!(refusal(&linux), "Linux a.out program (machine number 100)");
    let sun = aout([(3u32 << 16 | ZMAGIC).swap_bytes(), 0, 0, 0, 0, 0, 0, 0], 0x1000);
    assert_eq!(refusal(&sun), "SunOS a.out program for SPARC (machine number 3)");
    let vax = aout([ZMAGIC, 0x1000, 0x400, 0, 0, 0, 0, 0], 1024 + 0x1400);
    assert_eq!(refusal(&vax), "VAX a.out program");
    assert_eq!(refusal(b"MZ\x90\0 and so on"), "DOS or Windows program");
    assert_eq!(refusal(b"echo hello\n"), "text without a #! line");
    assert_eq!(refusal(b""), "empty file");
    assert_eq!(refusal(b"\x01\x02\x03"), "unknown format (starts with 01 02 03)");
    assert_eq!(
        refusal(&aout([QMAGIC, 0x1000, 0, 0, 0, 0x1020, 0, 0], 0)[..12]),
        "truncated a.out header: 12 bytes"
    );
}

fn script(line: &[u8]) -> Result<Script, Refusal> {
    match activate(line, Circumstances::default())? {
        Activation::Script(script) => Ok(script),
        other => panic!("not a script: {other:?}"),
    }
}

#[test]
fn every_word_of_a_script_line_is_an_argument() {
    let script = script(b"#! /bin/sh \t-e  -x\necho\n").expect("a script");
    assert_eq!(script.interpreter, b"/bin/sh");
    assert_eq!(script.words, [&b"/bin/sh"[..], b"-e", b"-x"]);
}

#[test]
fn a_script_line_ends_within_64_bytes() {
    let line = |n: usize| [b"#!/", &vec![b'x'; n - 3][..], b"\n"].concat();
    assert!(script(&line(64)).is_ok());
    assert_eq!(script(&line(65)), Err(Refusal::LongScriptLine));
    assert_eq!(script(b"#!/bin/sh"), Err(Refusal::LongScriptLine), "no newline at all");
    assert_eq!(script(b"#!   \n"), Err(Refusal::NoScriptInterpreter));
}

#[test]
fn a_script_is_no_interpreter() {
    let with = Circumstances { interpreted: true, ..Circumstances::default() };
    assert_eq!(activate(&b"#!/bin/sh\n"[..], with), Err(Refusal::NestedScript));
}

fn gzip(inner: &[u8], flags: u8, extra: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(inner).expect("into memory");
    let head = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 3];
    [&head[..], extra, &encoder.finish().expect("into memory")].concat()
}

#[test]
fn gzip_unpacks_into_writable_memory_with_a_blank_header() {
    let inner = aout([QMAGIC, 0x1000, 0x1000, 0x10, 0, 0x1020, 0, 0], 0x2000);
    let plan = plan(&gzip(&inner, 0x08, b"prog\0"));
    assert_eq!(
        shape(&plan),
        [(0x1000, 0x1000, Kind::Text), (0x2000, 0x1000, Kind::Data), (0x3000, 0x1000, Kind::Bss)]
    );
    let Backing::Bytes { at: 0x1000, bytes } = &plan.segments[0].backing else { panic!("bytes") };
    assert!(bytes[..32].iter().all(|&b| b == 0));
    assert_eq!(bytes[32..], inner[32..0x1000]);
    let Backing::Bytes { bytes, .. } = &plan.segments[1].backing else { panic!("bytes") };
    assert_eq!(bytes[..], inner[0x1000..]);
    assert!(plan.segments[0].prot.write);
}

#[test]
fn damaged_gzip_is_refused() {
    let inner = aout([QMAGIC, 0x1000, 0x1000, 0, 0, 0x1020, 0, 0], 0x2000);
    let whole = gzip(&inner, 0, b"");
    assert_eq!(refusal(&whole[..whole.len() - 5]), "gzip file is damaged");
    assert!(refusal(&gzip(&inner, 4, b"")).contains("other than a name and a comment"));
    assert!(refusal(&gzip(b"hello", 0, b"")).contains("does not contain an a.out"));
}

/// A 32-bit ELF program with a text and a data segment.
fn elf(osabi: u8) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.push(osabi);
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, v: u16| file.extend(v.to_le_bytes());
    let word = |file: &mut Vec<u8>, v: u32| file.extend(v.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 3);
    for v in [1, 0x0804_8074, 52, 0, 0] {
        word(&mut file, v);
    }
    for v in [52, 32, 2, 40, 0, 0] {
        half(&mut file, v);
    }
    for v in
        [1, 0, 0x0804_8000, 0, 0x1000, 0x1000, 5, 0x1000, 1, 0x1000, 0x0804_9000, 0, 0x10, 0x2010, 6, 0x1000]
    {
        word(&mut file, v);
    }
    file.resize(0x1010, 0x90);
    file
}

#[test]
fn elf_pages_are_mapped_and_the_last_data_page_ends_in_zeroes() {
    let plan = plan(&elf(9));
    let expected = [
        (0x0804_8000, 0x1000, Kind::Text),
        (0x0804_9000, 0x1000, Kind::Data),
        (0x0804_a000, 0x2000, Kind::Bss),
    ];
    assert_eq!(shape(&plan), expected);
    assert_eq!(plan.segments[1].backing, Backing::Bytes { at: 0x0804_9000, bytes: vec![0x90; 16] });
    assert_eq!(plan.elf, Some(ElfInfo { phdr: 0x0804_8034, phnum: 2 }));
    assert_eq!((plan.data_addr, plan.data_pages), (0x0804_9000, 3));
}

#[test]
fn elf_needs_the_freebsd_brand() {
    assert_eq!(refusal(&elf(3)), "ELF file is not FreeBSD's: it is branded Linux");
    assert_eq!(refusal(&elf(0)), "ELF file is not FreeBSD's: it carries no brand");
    let mut old_brand = elf(0);
    old_brand[8..16].copy_from_slice(b"FreeBSD\0");
    assert_eq!(plan(&old_brand).format, "ELF, static");
    let mut other = elf(9);
    other[18] = 62;
    other[4] = 2;
    assert_eq!(refusal(&other), "ELF file is for x86-64, 64-bit");
}

#[test]
fn the_trampoline_is_in_the_control_block() {
    assert_eq!(stack::SIGCODE, 0xefbf_e138);
}

#[test]
fn arguments_are_laid_out_as_execve_does() {
    let mut args = Arguments::default();
    args.push_arg(b"ls").expect("fits");
    args.push_arg(b"-l").expect("fits");
    args.push_env(b"A=1").expect("fits");
    let stack = stack::lay_out(&args, &[]);
    let strings = 0xefbf_dff0 - 256 - 12; // 10 bytes, rounded to words
    assert_eq!(stack.argv, strings - 5 * 4);
    assert_eq!((stack.esp, stack.envv), (stack.argv - 4, stack.argv + 12));
    assert_eq!(stack.bytes.len() as u32, stack::USRSTACK - stack.esp);
    let word = |addr: u32| {
        let at = (addr - stack.esp) as usize;
        u32::from_le_bytes(stack.bytes[at..at + 4].try_into().expect("a word"))
    };
    let words: Vec<u32> = (0..6).map(|i| word(stack.esp + i * 4)).collect();
    assert_eq!(words, [2, strings, strings + 3, 0, strings + 6, 0]);
    assert_eq!(&stack.bytes[24..34], b"ls\0-l\0A=1\0");
    let ps_strings: Vec<u32> = (0..4).map(|i| word(stack::PS_STRINGS + i * 4)).collect();
    assert_eq!(ps_strings, [stack.argv, 2, stack.envv, 1]);
}

#[test]
fn arguments_end_at_65536_bytes() {
    let mut args = Arguments::default();
    args.push_arg(&[b'x'; 65535]).expect("exactly full");
    assert_eq!(args.push_arg(b""), Err(stack::TooLong));
}

/// What must hold for every plan, whatever the file said.
fn is_sane(plan: &Plan) {
    let mut end = 0;
    for s in &plan.segments {
        assert!(s.addr.is_multiple_of(PAGE) && s.len.is_multiple_of(PAGE) && s.len != 0, "{s:x?}");
        assert!(u64::from(s.addr) >= end, "overlap at {s:x?}");
        end = u64::from(s.addr) + u64::from(s.len);
        assert!(end <= u64::from(USER_END), "{s:x?}");
        match &s.backing {
            Backing::File { offset } => assert!(offset.is_multiple_of(u64::from(PAGE))),
            Backing::Bytes { at, bytes } => {
                assert!(*at >= s.addr && u64::from(*at) + bytes.len() as u64 <= end, "{s:x?}");
            }
            Backing::Zero => {}
        }
    }
    let break_at = u64::from(plan.data_addr) + u64::from(plan.data_pages) * u64::from(PAGE);
    assert!(break_at <= u64::from(USER_END) && break_at >= end, "break {break_at:#x}");
    let in_segment = plan.segments.iter().any(|s| s.addr <= plan.entry && plan.entry - s.addr < s.len);
    assert!(in_segment, "entry {:#x}", plan.entry);
}

fn refused_or_sane(file: &[u8]) {
    if let Ok(Activation::Image(plan)) = activate(file, Circumstances::default()) {
        is_sane(&plan);
    }
    let _ = activate_interpreter(file, 0x0800_0000).map(|plan| {
        assert!(plan.segments.iter().all(|s| u64::from(s.addr) + u64::from(s.len) <= u64::from(USER_END)));
    });
    let _ = inspect::report(file);
}

#[test]
fn every_flipped_header_bit_is_refused_or_sane() {
    let aouts = [ZMAGIC, QMAGIC, 134 << 16 | 0o407, 134 << 16 | 0o410, (134u32 << 16 | ZMAGIC).swap_bytes()]
        .map(|magic| {
            aout(
                [
                    magic,
                    0x1000,
                    0x1000,
                    0x100,
                    0x24,
                    0x1020 % 0x1000 + 0x1000 * u32::from(magic != ZMAGIC),
                    0,
                    0,
                ],
                0x3100,
            )
        });
    let textless = aout([ZMAGIC, 0, 0xb50, 0x14, 0, 0x20, 0, 0], 2928);
    for file in aouts.iter().chain([&textless, &elf(9), &gzip(&aouts[1], 0, b"")]) {
        let header = if file.starts_with(b"\x7fELF") { 116 } else { 64 };
        for bit in 0..header * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused_or_sane(&flipped);
        }
    }
}

proptest! {
    #[test]
    fn any_field_value_is_refused_or_sane(
        which in 0usize..6, field in 0usize..29, value in prop_oneof![any::<u32>(), 0u32..0x4000, 0xffff_0000u32..],
        other in 0usize..29, other_value in any::<u32>(), cut in 0usize..0x3200,
    ) {
        let magics = [ZMAGIC, QMAGIC, 134 << 16 | 0o407, 134 << 16 | 0o410, QMAGIC.swap_bytes()];
        let mut file = match magics.get(which) {
            Some(&magic) => aout([magic, 0x1000, 0x1000, 0x100, 0x24, 0x1020, 0, 0], 0x3100),
            None => elf(9),
        };
        for (at, value) in [(field, value), (other, other_value)] {
            file[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
        }
        refused_or_sane(&file);
        file.truncate(cut);
        refused_or_sane(&file);
    }

    #[test]
    fn any_bytes_are_refused_or_sane(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0usize..5) {
        let starts: [&[u8]; 5] = [b"", b"#!", b"\x7fELF\x01\x01", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x0b\x01\x86\0"];
        refused_or_sane(&[starts[magic], &bytes].concat());
    }
}
