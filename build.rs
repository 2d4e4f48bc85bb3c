//! Says whether the crate is built with an optimiser that turns calls in tail position into jumps, and how programs
//! are linked.
//!
//! The handlers of the interpreter rest on it; without it they return to a loop (`src/cpu/op.rs`).  No cfg of the
//! compiler tells the level, and debug assertions say nothing of it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_in_place();
    println!("cargo::rustc-check-cfg=cfg(by_loop)");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    if !matches!(level.as_str(), "2" | "3") {
        println!("cargo::rustc-cfg=by_loop");
    }
}

/// Has the program linked for a fixed address: a short run spends a third of its time on relocations otherwise.
fn link_in_place() {
    let of = |key: &str| std::env::var(key).unwrap_or_default();
    if (of("CARGO_CFG_TARGET_OS"), of("CARGO_CFG_TARGET_ENV")) == ("linux".into(), "gnu".into()) {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
