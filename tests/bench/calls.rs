//! What calls, sockets and processes cost the programs of fixtures/bench under the whole of bsd21, natively as
//! 32-bit and as 64-bit programs, and under qemu-i386 where there is one: `cargo bench --bench calls`.
//!
//! `BENCH_ONLY=ping,bulk` chooses programs, `BENCH_SECONDS` how long each one runs.  Times are elapsed times, because
//! more than one process works: (T(n) - T(0)) / n, the best of several runs, all ways in turn, so that they meet the
//! same machine.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program, what one of its iterations does, and how often.
const PROGRAMS: [(&str, &str, f64); 14] = [
    ("nocall", "the loop around getpid, without it", 1000.0),
    ("getpid", "getpid with the loop around it", 1000.0),
    ("spair", "1-byte write and read, one process", 1000.0),
    ("ping", "1-byte round trip, two processes", 100.0),
    ("bulk", "4 KiB write and read, two processes", 256.0),
    ("tcpping", "1-byte round trip over TCP, two processes", 100.0),
    ("tcpbulk", "16 KiB write and read over TCP, two processes", 64.0),
    ("tcpconn", "connect, accept, close, beside 200 listeners", 10.0),
    ("tcpidle", "1-byte round trip over TCP, 2,500 connections idle", 100.0),
    ("tcpidle100", "the same, 100 connections idle", 100.0),
    ("tcpidle1000", "the same, 1,000 connections idle", 100.0),
    ("tcpidle5000", "the same, 5,000 connections idle", 100.0),
    ("forko", "fork, exit, wait", 1.0),
    ("forkx", "fork, exec, exit, wait", 1.0),
];

/// What a compiler of 1995 would have made.
const FLAGS: &str = "-m32 -O2 -march=i386 -mtune=i486 -fno-pic -ffreestanding -fno-builtin -nostdlib -static \
    -fno-omit-frame-pointer -mpreferred-stack-boundary=2 -fno-stack-protector -fcf-protection=none \
    -fno-asynchronous-unwind-tables -w -no-pie -Wl,--build-id=none -Wl,-z,noexecstack";

fn compile(out: &Path, name: &str, runtime: &str, flags: &str) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bench");
    let mut gcc = Command::new("gcc");
    gcc.args(flags.split_whitespace()).arg("-o").arg(out);
    gcc.arg(sources.join(runtime)).arg(sources.join(format!("{name}.c")));
    gcc.stderr(Stdio::null()).status().is_ok_and(|s| s.success()).then(|| out.to_owned())
}

/// The same program for 2.1, whose header carries the brand that 2.1 wants.
fn compile_for_bsd(out: &Path, name: &str) -> Option<PathBuf> {
    compile(out, name, "rt.c", &format!("{FLAGS} -DBSD"))?;
    let mut image = std::fs::read(out).ok()?;
    image.get_mut(8..16)?.copy_from_slice(b"FreeBSD\0");
    std::fs::write(out, image).ok()?;
    Some(out.to_owned())
}

/// Elapsed seconds of a run.
fn time(argv: &[String], n: u64) -> Option<f64> {
    let begin = Instant::now();
    let done = Command::new(&argv[0]).args(&argv[1..]).arg(n.to_string()).stdout(Stdio::null()).status();
    done.is_ok_and(|s| s.success()).then(|| begin.elapsed().as_secs_f64())
}

/// How many iterations take about `seconds`, and what no iteration takes.
fn calibrate(argv: &[String], seconds: f64) -> Option<(u64, f64)> {
    let base = (0..5).filter_map(|_| time(argv, 0)).reduce(f64::min)?;
    let mut n = 1;
    let mut spent = time(argv, n)? - base;
    while spent < seconds / 8.0 && n < 1 << 24 {
        n *= 4;
        spent = time(argv, n)? - base;
    }
    Some((((n as f64 * seconds / spent.max(1e-5)) as u64).max(1), base))
}

fn row(what: &str, times: [f64; 4]) {
    let [a, b, c, d] = times.map(|t| if t == f64::MAX { "-".into() } else { format!("{t:.3}") });
    println!("{what:46} {a:>10} {b:>10} {c:>10} {d:>10}");
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory for the programs");
    let bsd21 = env!("CARGO_BIN_EXE_bsd21").to_owned();
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0.3);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    println!(
        "{:46} {:>10} {:>10} {:>10} {:>10}",
        "microseconds each", "bsd21", "native 32", "native 64", "qemu-i386"
    );
    let mut loops = [f64::MAX; 4];
    for (name, what, per_iteration) in PROGRAMS {
        if !only.is_empty() && !only.split(',').any(|o| o == name) {
            continue;
        }
        let at = |kind: &str| directory.path().join(format!("{name}.{kind}"));
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let bsd = compile_for_bsd(&at("bsd"), name).map(text);
        let native = compile(&at("32"), name, "rt.c", FLAGS).map(text);
        let wide = compile(&at("64"), name, "rt64.c", "-O2 -w -fno-builtin").map(text);
        let ways = [
            bsd.map(|p| vec![bsd21.clone(), "run".into(), p]),
            native.clone().map(|p| vec![p]),
            wide.map(|p| vec![p]),
            native.map(|p| vec!["qemu-i386".into(), p]),
        ];
        let ways = ways.map(|argv| argv.and_then(|argv| Some((calibrate(&argv, seconds)?, argv))));
        let mut best = [f64::MAX; 4];
        for _ in 0..3 {
            for (best, way) in best.iter_mut().zip(&ways) {
                let Some(((n, base), argv)) = way else { continue };
                let Some(spent) = time(argv, *n) else { continue };
                *best = best.min((spent - base) / *n as f64 / per_iteration * 1e6);
            }
        }
        // A call costs what its program takes longer than the one without it.
        if name == "getpid" && loops.iter().all(|t| *t < f64::MAX) {
            row("getpid, from the gate to the next instruction", std::array::from_fn(|n| best[n] - loops[n]));
        }
        if name == "nocall" {
            loops = best;
        }
        row(what, best);
    }
    let hello =
        vec![bsd21.clone(), "run".into(), format!("{}/fixtures/bin/hello", env!("CARGO_MANIFEST_DIR"))];
    let start = (0..20).filter_map(|_| time(&hello, 0)).fold(f64::MAX, f64::min);
    println!("start-up of a small static program, from exec of bsd21 to its exit: {:.2} ms", start * 1e3);
    pipeline(&bsd21, directory.path());
}

/// `cat | tr | sort | uniq` over 10 MB, by the programs of an old tree under its shell, and by the host's.
fn pipeline(bsd21: &str, directory: &Path) {
    let Some(root) = std::env::var_os("BSD21_ROOT").map(PathBuf::from).filter(|r| r.join("bin/sh").exists())
    else {
        println!("the pipeline over 10 MB needs BSD21_ROOT, a tree with sh, cat, tr, sort and uniq");
        return;
    };
    let words = ["socket", "Pipe", "gate", "Mbuf", "select", "tsleep", "VNODE", "namei"];
    let mut text = String::new();
    let mut seed = 1u32;
    while text.len() < 10_000_000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("{} {}\n", words[(seed >> 29) as usize], seed >> 20 & 0xfff));
    }
    std::fs::write(directory.join("text"), text).expect("the text");
    let line = |at: &str| format!("cd {at}; cat text | tr A-Z a-z | sort | uniq > out; wc -l < out");
    let work = directory.display();
    // The old sort keeps what does not fit into memory in /tmp.
    let mount = format!("{work}:/tmp");
    let ours =
        [bsd21, "run", "--root", &root.to_string_lossy(), "--mount", &mount, "/bin/sh", "-c", &line("/tmp")]
            .map(String::from);
    let native = ["env", "LC_ALL=C", "sh", "-c", &line(&work.to_string())].map(String::from);
    let mut answers = Vec::new();
    let mut best = [f64::MAX; 2];
    for _ in 0..3 {
        for (best, argv) in best.iter_mut().zip([&ours[..], &native[..]]) {
            let begin = Instant::now();
            let output = Command::new(&argv[0]).args(&argv[1..]).output().expect("it starts");
            *best = best.min(begin.elapsed().as_secs_f64());
            answers.push(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
    }
    assert!(answers.iter().all(|a| *a == answers[0] && !a.is_empty()), "all count the same: {answers:?}");
    println!(
        "cat | tr | sort | uniq over 10 MB: {:.2} s, the host's own programs {:.2} s: {:.1} times",
        best[0],
        best[1],
        best[0] / best[1]
    );
}
