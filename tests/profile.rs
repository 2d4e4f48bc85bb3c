//! Profiles are exact: sums are retired instructions, every tier tells the same, and an account of single steps agrees.

#[path = "profile/coverage.rs"]
mod coverage;
#[path = "profile/oracle.rs"]
mod oracle;
#[path = "profile/pprof.rs"]
mod pprof;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bsd21::cpu::Options as Processor;
use bsd21::kernel::time::Clock;
use bsd21::machine::{Builder, Limits, Machine, Outcome, Stdio as Stream};
use bsd21::profile::{By, Format, Kind, Options, Profile, Summary};

/// Programs that need more than to be started, and what they are given.
const ARGUMENTS: [(&str, &[&str]); 8] = [
    ("args", &["one", "two"]),
    ("debug", &["IMAGE"]),
    ("paths", &["IMAGE"]),
    ("process", &["IMAGE"]),
    ("faults", &["write"]),
    ("status", &["7"]),
    ("attempt", &["20"]),
    ("job", &["lines", "3"]),
];
/// Programs that wait for somebody, that fill tables, or that a root is needed for.
const LEFT_OUT: [&str; 8] = ["hold", "screen", "kvm", "dynamic", "bomb", "COMPILER", "kmem", "seekdir"];
/// Most instructions of a run that is made again in single steps.
const SHORT: u64 = 90_000;

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin")
}

/// The programs, with arguments.
fn programs() -> Vec<(PathBuf, Vec<String>)> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(images())
        .expect("fixtures/bin")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    found.retain(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // What comes with a list of vectors has tests of its own, and takes long.
        !LEFT_OUT.contains(&name.as_str()) && !name.ends_with("vec")
    });
    found.sort();
    let with_arguments = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let given = ARGUMENTS.iter().find(|(program, _)| *program == name).map_or(&[][..], |(_, args)| args);
        let args = given.iter().map(|&arg| match arg {
            "IMAGE" => path.display().to_string(),
            arg => arg.to_owned(),
        });
        (path.clone(), args.collect())
    };
    found.into_iter().map(with_arguments).collect()
}

/// The argument of programs that execute themselves.
fn itself(program: &Path) -> [String; 1] {
    [program.display().to_string()]
}

/// Writes a program.
fn write_program(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).expect("a program");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn builder(program: &Path, args: &[String]) -> Builder {
    Machine::builder()
        .program(program)
        .args(args)
        .cwd("/tmp")
        .clear_env()
        .clock(Clock::deterministic())
        .limits(Limits { cpu: Some(std::time::Duration::from_secs(20)), ..Limits::default() })
        .stdin(Stream::Closed)
        .stdout(Stream::Captured)
        .stderr(Stream::Captured)
}

/// Ways of executing a program.  To translate everything at once takes long: some programs have to do.
fn tiers(program: &Path) -> Vec<(&'static str, Processor)> {
    const AT_ONCE: [&str; 8] = ["hello", "hello.elf", "fork", "signals", "smc", "paths", "x87", "debug"];
    let all = Processor::default();
    let mut tiers = vec![("interpreted", Processor { translate: None, ..all }), ("as usual", all)];
    let name = program.file_name().expect("a name").to_string_lossy();
    if Processor::can_translate() && AT_ONCE.contains(&&*name) {
        tiers.push(("translated at once", Processor { translate: Some(0), ..all }));
    }
    tiers
}

fn profile(program: &Path, args: &[String], processor: Processor, options: Options) -> (Summary, Outcome) {
    let profile = Profile::new(options);
    let built = builder(program, args).observer(profile.observer()).build();
    let mut machine = built.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    machine.set_processors(processor, false);
    profile.watch(&mut machine);
    let outcome = machine.run();
    (profile.summary(), outcome)
}

/// Paths and instructions of a folded profile.
fn folded(summary: &Summary) -> BTreeMap<String, u64> {
    let text = String::from_utf8(Format::Folded.write(summary, By::Function)).expect("text");
    let line = |line: &str| {
        let (path, count) = line.rsplit_once(' ').expect("a count");
        (path.to_owned(), count.parse().expect("a number"))
    };
    text.lines().map(line).collect()
}

/// Checks all programs, some at the same time.
fn each(check: impl Fn(&Path, &[String]) + Sync) {
    let programs = programs();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((program, args)) =
                    programs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    check(program, args);
                }
            });
        }
    });
}

#[test]
fn sums_are_retired_instructions_in_every_tier() {
    each(|program, args| {
        let name = program.display();
        let plain = builder(program, args).build().expect("a program").run();
        let mut first: Option<Vec<u8>> = None;
        for (tier, processor) in tiers(program) {
            let (summary, outcome) = profile(program, args, processor, Options::default());
            assert_eq!(
                outcome.instructions, plain.instructions,
                "{name} {tier}: it runs as without a profile"
            );
            assert_eq!(outcome.ended, plain.ended, "{name} {tier}");
            assert_eq!(summary.retired, plain.instructions, "{name} {tier}");
            assert_eq!(folded(&summary).values().sum::<u64>(), plain.instructions, "{name} {tier}");
            let own: u64 = summary.rows().iter().map(|row| row.own).sum();
            assert_eq!(own, plain.instructions, "{name} {tier}: functions");
            let text = Format::Text.write(&summary, By::Function);
            let first = first.get_or_insert_with(|| text.clone());
            assert!(*first == text, "{name} {tier}: {}", String::from_utf8_lossy(&text));
        }
    });
}

#[test]
fn single_steps_give_the_same_account() {
    each(|program, args| {
        let (summary, outcome) = profile(program, args, Processor::default(), Options::default());
        if outcome.instructions > SHORT {
            return;
        }
        let account = stepped(program, args);
        let name = program.display();
        assert_eq!(account.retired, outcome.instructions, "{name}");
        let found = folded(&summary);
        if found != account.paths {
            let mut all: Vec<&String> = found.keys().chain(account.paths.keys()).collect();
            all.sort();
            all.dedup();
            for path in all.into_iter().filter(|path| found.get(*path) != account.paths.get(*path)) {
                println!("{path}: {:?}, stepped {:?}", found.get(path), account.paths.get(path));
            }
            panic!("{name}: paths differ");
        }
        let entries: BTreeMap<String, u64> = entries(&summary);
        assert_eq!(entries, account.entries, "{name}");
    });
}

/// How often functions were entered.
fn entries(summary: &Summary) -> BTreeMap<String, u64> {
    let mut entries = BTreeMap::new();
    for (function, row) in summary.functions.iter().zip(summary.rows()) {
        if function.kind == Kind::Code && row.entries != 0 {
            *entries.entry(function.name.clone()).or_default() += row.entries;
        }
    }
    entries
}

fn stepped(program: &Path, args: &[String]) -> oracle::Account {
    let oracle = oracle::Oracle::new(program);
    let built = builder(program, args).observer(Box::new(oracle.clone())).build();
    let mut machine = built.expect("a program");
    machine.profile(Box::new(oracle.clone()), std::rc::Rc::new(bsd21::cpu::profile::Log::new(false)));
    machine.run();
    oracle.account()
}

#[test]
fn single_steps_execute_the_same_addresses_as_often() {
    each(|program, args| {
        let options = Options { addresses: true, ..Options::default() };
        let mut first = None;
        for (tier, processor) in tiers(program) {
            let (summary, outcome) = profile(program, args, processor, options);
            let name = program.display();
            let sum: u64 = summary.executed.iter().map(|executed| executed.count).sum();
            assert_eq!(sum, outcome.instructions, "{name} {tier}");
            assert_eq!(folded(&summary).values().sum::<u64>(), outcome.instructions, "{name} {tier}");
            let first = first.get_or_insert_with(|| summary.executed.clone());
            assert!(*first == summary.executed, "{name} {tier}: other addresses");
        }
        let executed = first.expect("a tier");
        if executed.iter().map(|executed| executed.count).sum::<u64>() > SHORT {
            return;
        }
        let mut found: BTreeMap<u32, u64> = BTreeMap::new();
        for executed in executed {
            *found.entry(executed.address).or_default() += executed.count;
        }
        assert_eq!(found, stepped(program, args).addresses, "{}", program.display());
    });
}

#[test]
fn calls_of_every_kind_are_counted_where_they_belong() {
    let program = images().join("paths");
    let (summary, outcome) = profile(&program, &itself(&program), Processor::default(), Options::default());
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "ok\n");
    let entries = entries(&summary);
    // fib(14) and fib(10): twice the Fibonacci number behind, less one.
    assert_eq!(entries.get("fib"), Some(&(2 * 610 - 1 + 2 * 89 - 1)));
    assert_eq!((entries.get("even"), entries.get("odd")), (Some(&(150 + 50 + 50)), Some(&(100 + 50))));
    assert_eq!(entries.get("deep"), Some(&21));
    // By pointers 400 times, main twice and once in the new program, by tail, by three handlers.
    assert_eq!(entries.get("leaf"), Some(&(400 + 2 + 1 + 1 + 3)));
    assert_eq!((entries.get("spin"), entries.get("behind")), (Some(&1), Some(&1)));
    assert_eq!((entries.get("handler"), entries.get("leaver")), (Some(&2), Some(&1)));
    assert_eq!((entries.get("in_child"), entries.get("main")), (Some(&1), Some(&2)));
    let paths = folded(&summary);
    // The loop is as long as it was told to be; where it falls to is in its place.
    assert_eq!(paths.get("paths;start;main;spin"), Some(&20_001));
    assert_eq!(paths.get("paths;start;main;behind"), Some(&(8 + 4)));
    // Code behind a jump out of twenty frames is where it was before.
    let deepest = format!("paths;start;main{};back", ";deep".repeat(21));
    assert_eq!(paths.get(&deepest), Some(&8));
    assert!(paths.contains_key("paths;start;main;raise_here;kill;[sigtramp];handler;leaf"), "{paths:?}");
    assert!(paths.contains_key("paths;start;main;wrong;[sigtramp];leaver;back"), "{paths:?}");
    assert!(
        paths.contains_key("paths;start;main;in_child;even;leaf"),
        "the child goes on where it was forked"
    );
    assert!(paths.contains_key("paths;start;main;fib;fib;fib"), "recursion is a path of its own");
    // By process: the same instructions, once for each.
    let options = Options { by_process: true, ..Options::default() };
    let (summary, _) = profile(&program, &itself(&program), Processor::default(), options);
    let names: Vec<_> = summary.functions.iter().filter(|f| f.kind == Kind::Process).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(folded(&summary).values().sum::<u64>(), outcome.instructions);
    let served: u64 = summary.rows().iter().map(|row| row.call.count).sum();
    let calls: Vec<_> = summary.functions.iter().filter(|f| f.kind == Kind::Call).map(|f| &f.name).collect();
    assert!(served == 16 && calls.iter().any(|name| *name == "[fork]"), "{served} {calls:?}");
}

#[test]
fn speedscope_reads_its_form() {
    let program = images().join("paths");
    for by in [By::Function, By::Address] {
        let options = Options { addresses: by == By::Address, ..Options::default() };
        let (summary, outcome) = profile(&program, &itself(&program), Processor::default(), options);
        let file: serde_json::Value =
            serde_json::from_slice(&Format::Speedscope.write(&summary, by)).expect("JSON");
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("profile/speedscope.schema.json")).expect("JSON");
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("speedscope.json", schema).expect("a schema");
        let index = compiler.compile("speedscope.json", &mut schemas).expect("a schema");
        schemas.validate(&file, index).unwrap_or_else(|e| panic!("{e}"));
        let view = &file["profiles"][0];
        let weights = view["weights"].as_array().expect("weights");
        let sum: u64 = weights.iter().map(|weight| weight.as_u64().expect("a number")).sum();
        assert_eq!(sum, outcome.instructions);
        assert_eq!(view["samples"].as_array().map(Vec::len), Some(weights.len()));
    }
}

#[test]
fn pprof_reads_its_form() {
    let program = images().join("paths");
    let (summary, outcome) = profile(&program, &itself(&program), Processor::default(), Options::default());
    let decoded = pprof::decode(&Format::Pprof.write(&summary, By::Function));
    assert_eq!(decoded.kinds[0], ("instructions".to_owned(), "count".to_owned()));
    let sum: u64 = decoded.samples.iter().map(|(_, values)| values[0]).sum();
    assert_eq!(sum, outcome.instructions);
    let folded = folded(&summary);
    for (stack, values) in decoded.samples.iter().filter(|(_, values)| values[0] != 0) {
        let path: Vec<&str> = stack.iter().rev().map(String::as_str).collect();
        assert_eq!(folded.get(&path.join(";")), Some(&values[0]), "{path:?}");
    }
}

/// Writes a profile by the command line; gives the file and what the guest wrote.
fn by_command(options: &[&str], program: &Path) -> (Vec<u8>, String) {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("profile");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .arg("profile")
        .args(options)
        .arg("-o")
        .arg(&file)
        .arg(program)
        .arg(program)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (std::fs::read(&file).expect("a profile"), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_command_writes_the_same_file_twice_and_for_each_tier() {
    let program = images().join("paths");
    for format in ["text", "folded", "speedscope", "pprof", "callgrind"] {
        for by in ["function", "address", "call", "process"] {
            let options = ["--format", format, "--by", by];
            let (first, stdout) = by_command(&options, &program);
            assert_eq!(stdout, "ok\n");
            assert!(!first.is_empty());
            let again = by_command(&[&options[..], &["--no-translate"]].concat(), &program).0;
            assert!(first == again, "{format} by {by}");
        }
    }
}

#[test]
fn callgrind_annotate_reads_its_form() {
    if Command::new("callgrind_annotate").arg("--version").output().is_err() {
        println!("skipped: no callgrind_annotate");
        return;
    }
    let program = images().join("paths");
    let (summary, outcome) = profile(&program, &itself(&program), Processor::default(), Options::default());
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("callgrind.out.1");
    std::fs::write(&file, Format::Callgrind.write(&summary, By::Function)).expect("a file");
    let output =
        Command::new("callgrind_annotate").arg("--threshold=100").arg(&file).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let numbers = |line: &str| -> Vec<u64> {
        line.split_whitespace()
            .map(|word| word.replace(',', ""))
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let total = text.lines().find(|line| line.contains("PROGRAM TOTALS")).expect("totals");
    assert_eq!(numbers(total).first(), Some(&outcome.instructions), "{total}");
    let rows: BTreeMap<&str, u64> = summary
        .functions
        .iter()
        .map(|f| f.name.as_str())
        .zip(summary.rows().iter().map(|row| row.own))
        .collect();
    for name in ["fib", "leaf", "spin", "main"] {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("?:{name} [")))
            .unwrap_or_else(|| panic!("{text}"));
        assert_eq!(numbers(line).first(), rows.get(name), "{line}");
    }
}

#[test]
fn damaged_programs_and_those_without_symbols_are_counted_too() {
    let place = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(images().join("paths")).expect("a program");
    let header = bsd21::image::aout::Header::decode(&whole).expect("a header");
    let table = header.symbol_offset() as usize;
    // Without symbols: everything that is called is a routine.
    let mut stripped = whole.clone();
    stripped.truncate(table);
    stripped[16..20].fill(0);
    let file = place.path().join("stripped");
    write_program(&file, &stripped);
    let (summary, outcome) = profile(&file, &itself(&file), Processor::default(), Options::default());
    assert_eq!(folded(&summary).values().sum::<u64>(), outcome.instructions);
    assert!(folded(&summary).keys().any(|path| path.matches("[stripped+0x").count() > 10), "recursion");
    let interpreted = Processor { translate: None, ..Processor::default() };
    assert_eq!(folded(&profile(&file, &itself(&file), interpreted, Options::default()).0), folded(&summary));
    // With damaged symbols, and damaged code: any count is right that is the run's.
    let mut x = 1_u64;
    let mut random = |below: usize| {
        x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (x >> 33) as usize % below
    };
    for round in 0..60 {
        let mut damaged = whole.clone();
        let from = if round % 3 == 0 { 32 } else { table };
        for _ in 0..40 {
            let at = from + random(damaged.len() - from);
            damaged[at] = random(256) as u8;
        }
        if round % 5 == 0 {
            damaged.truncate(table + random(damaged.len() - table));
        }
        let file = place.path().join(format!("damaged{round}"));
        write_program(&file, &damaged);
        let processor = if round % 2 == 0 { Processor::default() } else { interpreted };
        let options = Options { addresses: round % 4 < 2, ..Options::default() };
        let run = Profile::new(options);
        let limits = Limits { cpu: Some(std::time::Duration::from_millis(50)), ..Limits::default() };
        let built = builder(&file, &itself(&file)).limits(limits).observer(run.observer()).build();
        let Ok(mut machine) = built else { continue };
        machine.set_processors(processor, false);
        run.watch(&mut machine);
        let outcome = machine.run();
        let summary = run.summary();
        assert_eq!(folded(&summary).values().sum::<u64>(), outcome.instructions, "round {round}");
        if options.addresses {
            let sum: u64 = summary.executed.iter().map(|executed| executed.count).sum();
            assert_eq!(sum, outcome.instructions, "round {round}: addresses");
        }
        for format in [Format::Text, Format::Speedscope, Format::Pprof, Format::Callgrind] {
            assert!(!format.write(&summary, By::Call).is_empty());
        }
    }
}

/// Programs of an old tree, by the command line: sums in both tiers, and names of the library's functions.
#[test]
fn programs_of_an_old_tree_are_counted() {
    let Some(root) = std::env::var_os("BSD21_ROOT").map(PathBuf::from) else {
        println!("skipped: BSD21_ROOT is not set");
        return;
    };
    let loop_of_sh = "i=0; while test $i -lt 5; do i=`expr $i + 1`; done; echo $i | sed s/5/five/";
    let awk = "BEGIN { for (i = 0; i < 20000; i++) s += i * i % 7; print s }";
    let runs: [(&str, &[&str], &[&str]); 3] = [
        ("/bin/sh", &["-c", loop_of_sh], &["sh;", "expr;", "sed;"]),
        ("/usr/bin/awk", &[awk], &["awk;"]),
        ("/bin/ls", &["-l", "/usr/bin"], &["ls;"]),
    ];
    for (program, args, starts) in runs {
        if !root.join(program.trim_start_matches('/')).exists() {
            println!("skipped: no {program}");
            continue;
        }
        let place = tempfile::tempdir().expect("a directory");
        let run = |tier: &[&str]| {
            let file = place.path().join("folded");
            let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
                .args(["profile", "--read-only", "--format", "folded", "-o"])
                .arg(&file)
                .args(tier)
                .arg("--root")
                .arg(&root)
                .arg(program)
                .args(args)
                .stdin(Stdio::null())
                .output()
                .expect("bsd21 runs");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            std::fs::read_to_string(&file).expect("a profile")
        };
        let first = run(&[]);
        assert!(first == run(&[]), "{program}: twice");
        assert!(first == run(&["--no-translate"]), "{program}: interpreted");
        for start in starts {
            assert!(first.lines().any(|line| line.starts_with(start)), "{program}: {start}");
        }
        let sum: u64 = first.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .args(["run", "--stats", "--clock", "virtual", "--read-only", "--root"])
            .arg(&root)
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("bsd21 runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let retired = said.lines().find(|line| line.ends_with("instructions retired")).expect("statistics");
        assert_eq!(retired.split_whitespace().next(), Some(sum.to_string().as_str()), "{program}");
    }
}
