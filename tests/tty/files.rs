//! Where the recorded terminal cases are.

use std::io::Read;
use std::path::{Path, PathBuf};

/// The files of cases, of ours or of the directory that BSD21_TTY_VECTORS names.
pub(crate) fn vectors() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors/tty");
    let directory = std::env::var_os("BSD21_TTY_VECTORS").map_or(own, PathBuf::from);
    let entries = std::fs::read_dir(&directory).expect("the directory of vectors is readable");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    let is_one = |name: &str| name.ends_with(".vec") || name.ends_with(".vec.gz");
    files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_one));
    files.sort();
    files
}

/// The text of a file, which may be compressed.
pub(crate) fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("a vector file is readable");
    if path.extension().is_none_or(|e| e != "gz") {
        return String::from_utf8(bytes).expect("vectors are text");
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("a gzip file of text");
    text
}
