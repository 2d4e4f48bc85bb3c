//! Files of recorded calls.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The files of a directory, in order.
pub(crate) fn vector_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory of vectors is readable");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|path| {
        path.to_string_lossy().ends_with(".vec") || path.to_string_lossy().ends_with(".vec.gz")
    });
    files.sort();
    files
}

/// The text of a file, which may be compressed.
pub(crate) fn text(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("a vector file is readable");
    if file.extension().is_none_or(|e| e != "gz") {
        return String::from_utf8(bytes).expect("a vector file is text");
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is compressed text");
    text
}
