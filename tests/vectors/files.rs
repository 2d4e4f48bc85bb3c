//! Files of recorded calls.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The files of a directory and of those in it, in order.
pub(crate) fn vector_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    find(directory, &mut files);
    files.sort();
    files
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("the directory of vectors is readable") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            find(&path, files);
        } else if name.ends_with(".vec") || name.ends_with(".vec.gz") {
            files.push(path);
        }
    }
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
