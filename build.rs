//! Says whether the crate is built with an optimiser that turns calls in tail position into jumps, and how programs
//! are linked.
//!
//! The handlers of the interpreter rest on it; without it they return to a loop (`src/cpu/op.rs`).  No cfg of the
//! compiler tells the level, and debug assertions say nothing of it.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_in_place();
    println!("cargo::rustc-check-cfg=cfg(by_loop)");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    if !matches!(level.as_str(), "2" | "3") {
        println!("cargo::rustc-cfg=by_loop");
    }
}

/// Has the program linked for a fixed address and with its libraries in it: a short run spends a third of its time on
/// finding, mapping and relocating them otherwise.
///
/// Cargo knows no way to ask for a static C library in a program alone.  The linker therefore finds, in place of each
/// shared library that the standard library names, a script that names the archive.  Where the archives are not
/// installed (they are a package of its own on some systems) the program is linked as any other.
fn link_in_place() {
    let of = |key: &str| std::env::var(key).unwrap_or_default();
    if (of("CARGO_CFG_TARGET_OS"), of("CARGO_CFG_TARGET_ENV")) != ("linux".into(), "gnu".into()) {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let archives = [("gcc_s", "libgcc.a libgcc_eh.a"), ("m", "libm.a"), ("c", "libc.a libgcc.a libgcc_eh.a")];
    let native = of("HOST") == of("TARGET");
    if !native || !archives.iter().flat_map(|(_, names)| names.split(' ')).all(has_archive) {
        return;
    }
    let directory = PathBuf::from(of("OUT_DIR"));
    for (name, names) in archives {
        let names: Vec<_> = names.split(' ').map(|name| format!("-l:{name}")).collect();
        let script = format!("GROUP ( {} )\n", names.join(" "));
        std::fs::write(directory.join(format!("lib{name}.so")), script)
            .expect("cargo's own directory can be written");
    }
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rustc-link-arg-bins=-L{}", directory.display());
    // The compiler asks for shared libraries before these; the last word counts for what is linked as a whole.
    println!("cargo::rustc-link-arg-bins=-Wl,-Bstatic");
}

/// Whether the C compiler that links finds this archive.
fn has_archive(name: &str) -> bool {
    let found = Command::new("cc").arg(format!("-print-file-name={name}")).output();
    // It answers with the bare name where it found none.
    found.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).trim().contains('/'))
}
