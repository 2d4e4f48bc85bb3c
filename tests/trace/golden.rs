//! Golden files: what a trace was when somebody last read it.
//!
//! Must not know what makes traces.

use std::fs;
use std::path::PathBuf;

/// Longest text that is kept; of longer ones the length and a hash say enough.
const LONGEST: usize = 48 << 10;

/// Compares with a golden file, or writes it.
pub(crate) fn golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/trace").join(name);
    let kept = if found.len() > LONGEST { digest(found) } else { found.to_owned() };
    if std::env::var_os("BSD21_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("the directory can be made");
        fs::write(&path, kept).expect("the golden file is writable");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; BSD21_BLESS=1 cargo test --test trace writes it: read it then", path.display())
    });
    assert!(expected == kept, "{name} differs; found:\n{found}\nexpected:\n{expected}");
}

/// The length and an FNV-1a hash.
fn digest(text: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    format!("{} lines, {} bytes, {hash:016x}\n", text.lines().count(), text.len())
}
