//! The project's own cases, one test each: `cargo test --test cases`, with a part of a name to choose some.
//!
//! Cases that need an old tree run where BSD21_ROOT names it; without it, or where the tree's programs are others,
//! they are shown as ignored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bsd21::capture::Case;
use bsd21::capture::aspect::Aspects;
use bsd21::capture::find;
use bsd21::capture::image::{Cache, Places};
use bsd21::capture::report::human_case;
use bsd21::capture::verify::{self, Options, Report, Verdict};
use bsd21::cpu;
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases");
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let bless = std::env::var_os("BSD21_BLESS").is_some();
    let compare = Some(Aspects::ALL);
    let options = Arc::new(Options { root, trust: true, bless, compare, ..Options::default() });
    let cache = Arc::new(Cache::default());
    let cases = find::cases(&directory).expect("fixtures/cases");
    let libraries = options.root.as_deref().map(root_of_libraries);
    let linked = Options {
        root: libraries.as_ref().map(|d| d.path().to_owned()),
        trust: true,
        bless,
        compare,
        ..Options::default()
    };
    let linked = Arc::new(linked);
    let trial = |found: &find::Found, often: Option<u16>| {
        let usual = cpu::Options::default();
        let options = if is_linked(&found.directory) { &linked } else { &options };
        let skipped = cannot_run(&found.directory, options, &cache);
        let processors = cpu::Options { translate: often, ..usual };
        let options = Options { processors, ..(**options).clone() };
        let cache = Arc::clone(&cache);
        let name = match often {
            _ if often == usual.translate => found.name.clone(),
            Some(often) => format!("{} translated after {often}", found.name),
            None => format!("{} interpreted", found.name),
        };
        let find::Found { name: case, directory } = found.clone();
        let trial = Trial::test(name, move || {
            let began = std::time::Instant::now();
            let (verdict, notes) = verify::one(&directory, &options, &cache);
            let report = Report { name: case, directory, verdict, notes, took: began.elapsed() };
            match report.verdict {
                Verdict::Pass | Verdict::Blessed(_) => Ok(()),
                _ => Err(Failed::from(human_case(&report))),
            }
        });
        trial.with_ignored_flag(skipped)
    };
    let usual = cpu::Options::default().translate;
    let mut trials: Vec<Trial> = cases.iter().map(|found| trial(found, usual)).collect();
    if !bless && usual.is_some() && cpu::Options::can_translate() {
        // What is translated and when makes no difference that anybody could see.
        let others = [Some(0), Some(1), Some(20), None];
        trials.extend(
            others
                .iter()
                .flat_map(|&often| cases.iter().map(move |found| (found, often)))
                .map(|(found, often)| trial(found, often)),
        );
    }
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin");
    trials.push(Trial::test("every_image_has_a_case", move || every_image_has_a_case(&images, &directory)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(libraries);
    conclusion.exit();
}

/// The dynamic linker and the C library.
const LIBRARIES: [&str; 2] = ["usr/libexec/ld.so", "usr/lib/libc.so.2.2"];

/// The dynamic linker reads all of /usr/lib, and so does the trace of its work: programs that it loads get a
/// root with the libraries that they were recorded with and no others.
fn root_of_libraries(root: &Path) -> tempfile::TempDir {
    let own = tempfile::tempdir().expect("a directory");
    for library in LIBRARIES {
        let copy = own.path().join(library);
        std::fs::create_dir_all(copy.parent().expect("a directory above")).expect("a directory");
        // What the root does not have the case will miss.
        let _ = std::fs::copy(root.join(library), copy);
    }
    own
}

/// Whether a case's program is loaded by the dynamic linker.
fn is_linked(directory: &Path) -> bool {
    Case::read(directory)
        .is_ok_and(|case| case.image.iter().any(|image| image.path.0.ends_with(LIBRARIES[0].as_bytes())))
}

/// Whether a case needs what is not here.
fn cannot_run(directory: &Path, options: &Options, cache: &Cache) -> bool {
    // A case that cannot be read fails when it runs.
    let Ok(case) = Case::read(directory) else { return false };
    match Places::of(&case, directory, options.root.as_deref()) {
        Some(places) => places.missing(&case.image, cache).is_some(),
        None => true,
    }
}

/// Every program of fixtures/bin is an image of some case.
fn every_image_has_a_case(images: &Path, cases: &Path) -> Result<(), Failed> {
    let mut used = Vec::new();
    for found in find::cases(cases).map_err(|e| e.to_string())? {
        let Ok(case) = Case::read(&found.directory) else { continue };
        let Some(places) = Places::of(&case, &found.directory, Some(Path::new("/"))) else { continue };
        used.extend(case.image.iter().map(|image| places.host(&image.path)));
    }
    let mut without = Vec::new();
    programs(images, &mut without);
    without.retain(|program| !program.ends_with("COMPILER") && !used.contains(program));
    match without.is_empty() {
        true => Ok(()),
        false => Err(format!("no case runs {without:?}; see fixtures/cases/record").into()),
    }
}

fn programs(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { programs(&path, found) } else { found.push(path) }
    }
}
