//! Says whether the crate is built with an optimiser that turns calls in tail position into jumps.
//!
//! The handlers of the interpreter rest on it; without it they return to a loop (`src/cpu/op.rs`).  No cfg of the
//! compiler tells the level, and debug assertions say nothing of it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(by_loop)");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    if !matches!(level.as_str(), "2" | "3") {
        println!("cargo::rustc-cfg=by_loop");
    }
}
