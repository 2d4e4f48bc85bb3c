//! A machine that is copied at some instruction goes on as the original does, to the last byte: one test for each
//! case of fixtures/cases, at random instructions and inside of sleeping calls.
//!
//! `cargo test --test snapshots`; the long form is `long_*`, see docs/testing.md.

#[allow(dead_code)]
#[path = "../examples/changes.rs"]
mod changes;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use bsd21::capture::Case;
use bsd21::capture::find;
use bsd21::capture::image::{Cache, Places};
use bsd21::capture::replay;
use bsd21::host::change;
use bsd21::machine::debug::{Stop, Stops};
use bsd21::machine::{Machine, Outcome, Snapshot, SnapshotError};
use bsd21::mem::{self, Backing};
use libtest_mimic::{Arguments, Failed, Trial};

/// Random instructions for each case, in short and in long.
const POINTS: [usize; 2] = [3, 40];
/// Instructions of a run that the short form still repeats.
const SHORT: u64 = 30_000_000;
/// Sleeping calls for each thing that is waited for, in short and in long.
const ASLEEP: [usize; 2] = [1, 6];

fn main() {
    let arguments = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases");
    let root = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
    let mut trials = Vec::new();
    for found in find::cases(&directory).expect("fixtures/cases") {
        for (long, prefix) in [(false, ""), (true, "long_")] {
            let (root, found) = (root.clone(), found.clone());
            let runs = runs_here(&found.directory, root.as_deref());
            let name = format!("{prefix}{}", found.name);
            let test = move || {
                if runs {
                    return case(&found.directory, root.as_deref(), long).map_err(Failed::from);
                }
                eprintln!("skipped: {} needs BSD21_ROOT", found.name);
                Ok(())
            };
            trials.push(Trial::test(name, test).with_ignored_flag(long || !runs));
        }
    }
    trials.push(Trial::test("the_example_finds_the_last_store", || example().map_err(Failed::from)));
    trials.push(Trial::test("cost", || cost().map_err(Failed::from)).with_ignored_flag(true));
    libtest_mimic::run(&arguments, trials).exit();
}

fn runs_here(directory: &Path, root: Option<&Path>) -> bool {
    let Ok(case) = Case::read(directory) else { return true };
    let places = Places::of(&case, directory, root);
    places.is_some_and(|places| places.missing(&case.image, &Cache::default()).is_none())
}

/// A machine of a case at its beginning, and the directory of its files.
struct Run {
    machine: Machine,
    _files: tempfile::TempDir,
}

struct Maker<'a> {
    case: Case,
    directory: &'a Path,
    places: Places,
}

impl<'a> Maker<'a> {
    fn new(directory: &'a Path, root: Option<&Path>) -> Result<Self, String> {
        let case = Case::read(directory).map_err(|e| e.to_string())?;
        let places = Places::of(&case, directory, root).ok_or("no places")?;
        Ok(Self { case, directory, places })
    }

    fn run(&self) -> Result<Run, String> {
        // The guest may see the name.
        let files = tempfile::Builder::new().prefix("bsd21-snap-").rand_bytes(8).tempdir().map_err(text)?;
        let inputs = self.directory.join("files");
        if inputs.exists() {
            let mut copy = std::process::Command::new("cp");
            let status = copy.arg("-a").arg(inputs.join(".")).arg(files.path()).status().map_err(text)?;
            assert!(status.success());
        }
        let builder = replay::machine(&self.case, self.directory, &self.places, files.path(), None);
        let mut machine = builder.map_err(text)?.collect_events().build().map_err(text)?;
        machine.debug();
        Ok(Run { machine, _files: files })
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Runs to a count of instructions, or to the end.
fn run_to(machine: &mut Machine, at: u64) {
    let stops = Stops { at: Some(at), ..Stops::default() };
    while machine.instructions() < at {
        if let Stop::Ended(_) = machine.run_until(&stops) {
            return;
        }
    }
}

/// Everything of the guest's processes that a debugger can see.
fn state(machine: &Machine) -> u64 {
    let mut hash = DefaultHasher::new();
    machine.instructions().hash(&mut hash);
    for seen in machine.processes() {
        (seen.pid, seen.parent, seen.sleeps, seen.instructions).hash(&mut hash);
        format!("{:?}", machine.registers(seen.pid)).hash(&mut hash);
        for region in machine.regions(seen.pid) {
            let shared = matches!(region.backing, Backing::SharedAnonymous { .. });
            (region.start, region.len, region.prot.bits(), region.wired, shared).hash(&mut hash);
            let mut page = [0; 4096];
            for at in (region.start..).step_by(4096).take(region.len as usize / 4096) {
                let count = machine.peek(seen.pid, at, &mut page);
                page[..count].hash(&mut hash);
            }
        }
    }
    hash.finish()
}

fn compare(what: &str, got: &Outcome, wanted: &Outcome) -> Result<(), String> {
    if got.instructions != wanted.instructions || got.ended != wanted.ended {
        return Err(format!(
            "{what}: {} instructions, {:?}; {} and {:?} are right",
            got.instructions, got.ended, wanted.instructions, wanted.ended
        ));
    }
    if got.stdout != wanted.stdout || got.stderr != wanted.stderr {
        return Err(format!("{what}: other output: {}", got.stdout.escape_ascii()));
    }
    let line = |outcome: &Outcome, n: usize| {
        outcome.events.get(n).map(|e| format!("{} {} {:?}", e.sequence, e.pid, e.event))
    };
    let most = got.events.len().max(wanted.events.len());
    match (0..most).find(|&n| line(got, n) != line(wanted, n)) {
        Some(n) => Err(format!("{what}: event {n} is {:?}, not {:?}", line(got, n), line(wanted, n))),
        None => Ok(()),
    }
}

/// The original, its copy, and the copy of that go on from here, one after the other as long as none of them changes
/// files; the first is chosen by `order`.
fn go_on(mut run: Run, order: u64, wanted: &Outcome, what: &str) -> Result<(), String> {
    let here = state(&run.machine);
    let snapshot = run.machine.snapshot().map_err(|e| format!("{what}: {e}"))?;
    if mem::files_are_stored_to() {
        // Nobody sees what stores change: there is no way back, and that is said.
        let refused = snapshot.machine().is_err_and(|error| matches!(error, SnapshotError::Stale));
        return refused
            .then_some(())
            .ok_or_else(|| format!("{what}: a file is mapped, and that is not refused"));
    }
    let copies = || -> Result<[Machine; 2], String> {
        let mut copy = snapshot.machine().map_err(text)?;
        let second = copy.snapshot().and_then(|s: Snapshot| s.machine()).map_err(text)?;
        Ok([copy, second])
    };
    let [copy, second] = copies()?;
    let mut machines =
        vec![("the copy", copy), ("the copy of the copy", second), ("the original", run.machine)];
    machines.rotate_left((order % 3) as usize);
    for (name, machine) in &machines {
        if state(machine) != here {
            return Err(format!("{what}: {name} is not the same at once"));
        }
    }
    let middle = snapshot.instructions() + (wanted.instructions - snapshot.instructions()) / 2;
    let (before, mut half) = (change::changes(), None);
    for (name, mut machine) in machines {
        run_to(&mut machine, middle);
        let now = state(&machine);
        if *half.get_or_insert(now) != now {
            return Err(format!("{what}: {name} is not the same at {middle}"));
        }
        compare(&format!("{what}: {name}"), &machine.run(), wanted)?;
        if change::changes() != before {
            assert!(!snapshot.is_fresh());
            break;
        }
    }
    if change::changes() == before {
        let mut restored = snapshot.machine().map_err(text)?;
        run_to(&mut restored, middle);
        restored.restore(&snapshot).map_err(text)?;
        compare(&format!("{what}: restored"), &restored.run(), wanted)?;
        // The snapshot itself has seen nothing of all that.
        compare(&format!("{what}: the snapshot"), &snapshot.machine().map_err(text)?.run(), wanted)?;
    }
    Ok(())
}

fn case(directory: &Path, root: Option<&Path>, long: bool) -> Result<(), String> {
    let maker = Maker::new(directory, root)?;
    if maker.case.terminal.is_some() {
        let mut run = maker.run()?;
        // It has no terminal without somebody who plays the keys; elsewhere it is refused by name.
        run.machine.snapshot().map_err(text)?;
        return Ok(());
    }
    let wanted = maker.run()?.machine.run();
    let again = maker.run()?.machine.run();
    if compare("again", &again, &wanted).is_err() || !long && wanted.instructions > SHORT {
        // What comes of chance cannot be compared, and what is long is for the long form.
        return Ok(());
    }
    let mut random = wanted.instructions ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..POINTS[usize::from(long)] {
        let at = next() % wanted.instructions.max(1);
        let mut run = maker.run()?;
        run_to(&mut run.machine, at);
        go_on(run, next(), &wanted, &format!("at {at}"))?;
    }
    for (count, sleeps) in asleep(&mut maker.run()?.machine, ASLEEP[usize::from(long)]) {
        let mut run = maker.run()?;
        run_to(&mut run.machine, count);
        go_on(run, next(), &wanted, &format!("at {count}, inside of {sleeps}"))?;
    }
    Ok(())
}

/// Counts of instructions at which some process sleeps, so many for each thing that is waited for.
fn asleep(machine: &mut Machine, most: usize) -> Vec<(u64, &'static str)> {
    let mut found: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    let stops = Stops { all_calls: true, ..Stops::default() };
    loop {
        if let Stop::Ended(_) = machine.run_until(&stops) {
            break;
        }
        let here = machine.instructions();
        for sleeps in machine.processes().into_iter().filter_map(|seen| seen.sleeps) {
            let counts = found.entry(sleeps).or_default();
            if counts.len() < most && counts.last() != Some(&here) {
                counts.push(here);
            }
        }
    }
    found.into_iter().flat_map(|(sleeps, counts)| counts.into_iter().map(move |c| (c, sleeps))).collect()
}

/// `examples/changes.rs` finds the same instruction as a look at each one.
fn example() -> Result<(), String> {
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello");
    let builder = Machine::builder().program(hello).clock(bsd21::kernel::time::Clock::deterministic());
    let stdio = || bsd21::machine::Stdio::Captured;
    let mut machine = builder.stdin("").stdout(stdio()).stderr(stdio()).read_only().build().map_err(text)?;
    machine.debug();
    run_to(&mut machine, 30_000);
    let word = |machine: &Machine| {
        let mut bytes = [0; 4];
        let pid = machine.processes().first().map(|seen| seen.pid)?;
        (machine.peek(pid, 0x2040, &mut bytes) == 4).then_some(bytes)
    };
    let (mut before, mut last) = (word(&machine), None);
    while let Some(pid) = machine.interrupted().or(machine.processes().first().map(|seen| seen.pid)) {
        let eip = machine.registers(pid).map_or(0, |frame| frame.eip);
        let stops = Stops { step: Some(pid), calls: [1].into(), ..Stops::default() };
        if matches!(machine.run_until(&stops), Stop::Enter(..) | Stop::Ended(_)) {
            break;
        }
        let now = word(&machine);
        if now != before {
            (before, last) = (now, Some((machine.instructions(), eip)));
        }
    }
    let found = changes::find(hello, 0x2040).map_err(text)?;
    if found.is_none() || found != last {
        return Err(format!("the example says {found:x?}, and each instruction looked at, {last:x?}"));
    }
    Ok(())
}

/// A program that maps so many megabytes, writes to each page, and then to one in a hundred again and again.
fn writer(megabytes: u32) -> Vec<u8> {
    let pages = megabytes << 8;
    let mut code = vec![0x31, 0xc0, 0x50, 0x50, 0x50, 0x6a, 0xff, 0x68, 0x02, 0x10, 0, 0, 0x6a, 3, 0x68];
    code.extend((pages << 12).to_le_bytes());
    code.extend([0x50, 0x50, 0xb8, 197, 0, 0, 0, 0x9a, 0, 0, 0, 0, 7, 0, 0x89, 0xc7, 0xb9]);
    code.extend(pages.to_le_bytes());
    code.extend([0x89, 0x0f, 0x81, 0xc7, 0, 0x10, 0, 0, 0x49, 0x75, 0xf5, 0x89, 0xc7, 0xb9]);
    code.extend(pages.div_ceil(100).to_le_bytes());
    code.extend([0xff, 0x07, 0x81, 0xc7]);
    code.extend(409_600_u32.to_le_bytes());
    code.extend([0x49, 0x75, 0xf5, 0xeb, 0xec]);
    let words = [134 << 16 | 0o314, 4096, 4096, 0, 0, 0x1020, 0, 0];
    let mut file: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    file.extend(code);
    file.resize(8192, 0);
    file
}

/// What a snapshot costs: the first one, the next ones behind a change of a hundredth of the memory, and a machine of
/// one; printed.
fn cost() -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;
    println!("{:>10} {:>10} {:>10} {:>10}", "megabytes", "first/ms", "next/ms", "machine/ms");
    for megabytes in [1, 16, 64, 256] {
        let place = tempfile::tempdir().map_err(text)?;
        let program = place.path().join("writer");
        std::fs::write(&program, writer(megabytes)).map_err(text)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).map_err(text)?;
        let builder = Machine::builder().program(program).clock(bsd21::kernel::time::Clock::deterministic());
        let stdio = || bsd21::machine::Stdio::Captured;
        let mut machine =
            builder.stdin("").stdout(stdio()).stderr(stdio()).read_only().build().map_err(text)?;
        machine.debug();
        let mut at = u64::from(megabytes << 8) * 4 + 50;
        run_to(&mut machine, at);
        let ms = |began: Instant| began.elapsed().as_secs_f64() * 1000.0;
        let began = Instant::now();
        let mut kept = vec![machine.snapshot().map_err(text)?];
        let first = ms(began);
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let mut next = Vec::new();
        for _ in 0..9 {
            at += u64::from((megabytes << 8).div_ceil(100)) * 4 + 3;
            run_to(&mut machine, at);
            let began = Instant::now();
            kept.push(machine.snapshot().map_err(text)?);
            next.push(ms(began));
        }
        let mut copies = Vec::new();
        for snapshot in &kept {
            let began = Instant::now();
            drop(snapshot.machine().map_err(text)?);
            copies.push(ms(began));
        }
        println!("{megabytes:>10} {first:>10.2} {:>10.2} {:>10.2}", median(next), median(copies));
    }
    Ok(())
}
