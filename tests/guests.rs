//! Our own guest programs: that the committed images are what their sources build, and what each of
//! them does when it runs.

use std::fs;
use std::path::PathBuf;

use bsd21::image::{Activation, Circumstances, activate, inspect};
use bsd21_kit::build::{self, COMPILER_FILE, PROGRAMS};

fn image(name: &str) -> PathBuf {
    build::fixtures().join("bin").join(name)
}

#[test]
fn committed_images_are_what_their_sources_build() {
    let compiler = match build::compiler() {
        Ok(compiler) => compiler,
        Err(why) => {
            eprintln!("skipped: no compiler for 32-bit programs here ({why:#})");
            return;
        }
    };
    let committed = fs::read_to_string(image(COMPILER_FILE)).expect("the compiler's name");
    let same_compiler = committed.trim() == compiler;
    if !same_compiler {
        eprintln!("the images were built with {committed}this is {compiler}; only their layout is compared");
    }
    for program in PROGRAMS {
        let built = build::build(&build::fixtures().join("guest"), program).expect(program.name);
        let there = fs::read(image(program.name)).expect(program.name);
        if same_compiler {
            assert!(built == there, "{} differs from its source: cargo run -p bsd21-kit", program.name);
        } else {
            assert_eq!(layout(&built), layout(&there), "{}", program.name);
        }
    }
}

/// Format, first segment's address and whether it is writable: what another compiler must not change.
fn layout(file: &[u8]) -> (&'static str, u32, bool) {
    match activate(file, Circumstances::default()) {
        Ok(Activation::Image(plan)) => {
            let first = plan.segments.first().expect("a segment");
            (plan.format, first.addr, first.prot.write)
        }
        other => panic!("not an image: {other:?}"),
    }
}

#[test]
fn each_magic_is_recognised() {
    let format = |name| layout(&fs::read(image(name)).expect(name));
    assert_eq!(format("hello.omagic"), ("a.out OMAGIC", 0, true));
    assert_eq!(format("hello.nmagic"), ("a.out NMAGIC", 0, false));
    assert_eq!(format("hello.zmagic"), ("a.out ZMAGIC", 0, false));
    assert_eq!(format("hello.net"), ("a.out ZMAGIC (network order)", 0x1000, false));
    assert_eq!(format("hello.qmagic"), ("a.out QMAGIC", 0x1000, false));
    assert_eq!(format("hello.gz"), ("gzip-compressed a.out QMAGIC", 0x1000, true));
    assert_eq!(format("hello.textless"), ("a.out ZMAGIC", 0, true));
    assert_eq!(format("hello.elf"), ("ELF, static", 0x0804_8000, false));
}

#[test]
fn symbols_and_libraries_are_found() {
    let dynamic = inspect::report(&fs::read(image("dynamic")).expect("dynamic"));
    let libraries: Vec<String> = dynamic.libraries.iter().map(ToString::to_string).collect();
    assert_eq!(libraries, ["libc.so.2.2"]);
    let hello = inspect::report(&fs::read(image("hello")).expect("hello"));
    assert!(hello.to_string().contains("entry:     0x1020 (_start)"), "{hello}");
    let gates: Vec<_> = hello.gates.iter().map(|gate| gate.number).collect();
    assert_eq!(gates, [Some(1), Some(4)], "exit and write");
}
