//! What is published: everything that the crates are built from, and little more.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes that a packed crate may have.
const MOST: usize = 2 << 20;

/// The files of a crate's package.
fn listed(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names").lines().map(str::to_owned).collect()
}

/// Their size, compressed one by one: more than a package has.
fn packed(directory: &Path, files: &[String]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for file in files {
        // What cargo makes itself is not there.
        if let Ok(content) = std::fs::read(directory.join(file)) {
            encoder.write_all(&content).expect("memory");
        }
    }
    encoder.finish().expect("memory").len()
}

#[test]
fn the_crates_hold_what_they_are_built_from_and_are_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = listed("bsd21");
    for wanted in
        ["build.rs", "src/main.rs", "README.md", "LICENSE", "examples/run.rs", "fixtures/bin/socket/explain"]
    {
        assert!(files.iter().any(|file| file == wanted), "{wanted} is not packed");
    }
    let outside = |file: &&String| file.starts_with("tests/") || file.starts_with("fixtures/vectors/");
    assert_eq!(files.iter().find(outside), None);
    assert!(packed(root, &files) < MOST, "{}", packed(root, &files));

    let files = listed("bsd21-syscalls");
    assert!(files.iter().any(|file| file == "src/table.rs"));
    assert!(packed(&root.join("syscalls"), &files) < MOST);
}

/// The text of a file behind `prefix`, up to the end of its line.
fn behind<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_else(|| panic!("no line {prefix:?}"))
}

#[test]
fn versions_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml");
    let version = behind(&manifest, "version = ").trim_matches('"');
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let table = format!("bsd21-syscalls = {{ version = \"{version}\"");
    assert!(manifest.contains(&table), "the dependency on the table has another version");
    let changes = std::fs::read_to_string(root.join("CHANGELOG.md")).expect("CHANGELOG.md");
    let newest = behind(&changes, &format!("## [{version}] - "));
    let dated = newest.len() == 10 && newest.chars().all(|c| c.is_ascii_digit() || c == '-');
    assert!(dated, "CHANGELOG.md: {newest}");
    let needed = behind(&manifest, "rust-version = ").trim_matches('"');
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    assert!(readme.contains(&format!("Rust ({needed} or newer)")), "README.md names another Rust");
}
