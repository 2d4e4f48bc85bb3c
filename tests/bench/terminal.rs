//! What a terminal of the host costs under bsd21, beside native programs on the same kind of terminal, in one run:
//! `cargo bench --bench terminal`.
//!
//! Output: the same program, for 2.1 and for the host, writes to a pty whose other side reads as fast as it can.
//! Echo: a key is typed and the time until it comes back is taken, from our line discipline and from the host's.
//! Idle: processor time and switches of a prompt that waits.  `BENCH_MB` says how much is written.
#![cfg(target_os = "linux")]

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// What a compiler of 1995 would have made.
const FLAGS: &str = "-m32 -O2 -march=i386 -mtune=i486 -fno-pic -ffreestanding -fno-builtin -nostdlib -static \
    -fno-omit-frame-pointer -mpreferred-stack-boundary=2 -fno-stack-protector -fcf-protection=none \
    -fno-asynchronous-unwind-tables -w -no-pie -Wl,--build-id=none -Wl,-z,noexecstack";
/// Keys whose echo is measured.
const KEYS: usize = 500;

fn compile(out: &Path, name: &str, runtime: &str, flags: &str) -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bench");
    let mut gcc = Command::new("gcc");
    gcc.args(flags.split_whitespace()).arg("-o").arg(out);
    gcc.arg(sources.join(runtime)).arg(sources.join(format!("{name}.c")));
    gcc.stderr(Stdio::null()).status().is_ok_and(|s| s.success()).then(|| out.to_owned())
}

fn compile_for_bsd(out: &Path, name: &str) -> Option<PathBuf> {
    compile(out, name, "rt.c", &format!("{FLAGS} -DBSD"))?;
    let mut image = std::fs::read(out).ok()?;
    image.get_mut(8..16)?.copy_from_slice(b"FreeBSD\0");
    std::fs::write(out, image).ok()?;
    Some(out.to_owned())
}

/// A program on a terminal of its own.
fn start(argv: &[String]) -> (OwnedFd, Child) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
    grantpt(&screen).expect("it is ours");
    unlockpt(&screen).expect("it can be opened");
    let name = ptsname(&screen, Vec::new()).expect("its name").into_string().expect("a name");
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("the terminal");
    let mut setsid = Command::new("setsid");
    setsid.arg("--ctty").args(argv).stdin(open()).stdout(open()).stderr(open());
    let child = setsid.spawn().expect("it starts");
    (screen, child)
}

/// Bytes per second of everything that a program writes.
fn throughput(argv: &[String]) -> f64 {
    let begin = Instant::now();
    let (screen, mut child) = start(argv);
    let mut bytes = 0u64;
    let mut buffer = vec![0; 65536];
    // The last close is an error on the other side.
    while let Ok(count) = rustix::io::read(&screen, &mut buffer) {
        bytes += count as u64;
    }
    child.wait().expect("a child");
    bytes as f64 / begin.elapsed().as_secs_f64()
}

fn wait_for(screen: &OwnedFd, patience: Duration) -> bool {
    let mut ready = [PollFd::new(screen, PollFlags::IN)];
    let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    poll(&mut ready, Some(&patience)).expect("poll") > 0
}

/// Times of the echo of single keys, in order: of the machine's own line discipline where the terminal becomes raw.
fn echoes(argv: &[String], raw: bool) -> (Vec<Duration>, f64, u64) {
    let (screen, mut child) = start(argv);
    let mut buffer = [0; 4096];
    if raw {
        while tcgetattr(screen.as_fd()).expect("modes").local_modes.contains(LocalModes::ECHO) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    while wait_for(&screen, Duration::from_millis(500)) {
        rustix::io::read(&screen, &mut buffer).expect("the screen");
    }
    let before = usage(child.id());
    std::thread::sleep(Duration::from_secs(1));
    let after = usage(child.id());
    let mut times = Vec::new();
    for key in 0..KEYS {
        let begin = Instant::now();
        rustix::io::write(&screen, b"x").expect("a key");
        assert!(wait_for(&screen, Duration::from_secs(10)), "no echo");
        times.push(begin.elapsed());
        rustix::io::read(&screen, &mut buffer).expect("the screen");
        if key % 50 == 49 {
            rustix::io::write(&screen, b"\x15").expect("a key");
            std::thread::sleep(Duration::from_millis(20));
            while wait_for(&screen, Duration::from_millis(20)) {
                rustix::io::read(&screen, &mut buffer).expect("the screen");
            }
        }
    }
    child.kill().expect("it is ours");
    child.wait().expect("a child");
    times.sort();
    (times, after.0 - before.0, after.1 - before.1)
}

/// Seconds of processor time, and switches that a process wanted.
fn usage(pid: u32) -> (f64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (ticks as f64 / 100.0, switches.and_then(|n| n.trim().parse().ok()).unwrap_or(0))
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory for the programs");
    let bsd21 = env!("CARGO_BIN_EXE_bsd21").to_owned();
    let megabytes = std::env::var("BENCH_MB").unwrap_or_else(|_| "50".to_owned());
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    for (name, what) in [("term", "4 KiB a write"), ("termln", "a line a write")] {
        let at = |kind: &str| directory.path().join(format!("{name}.{kind}"));
        let (Some(bsd), Some(native)) =
            (compile_for_bsd(&at("bsd"), name), compile(&at("32"), name, "rt.c", FLAGS))
        else {
            println!("no compiler for 32-bit programs here");
            return;
        };
        let ways = [
            vec![bsd21.clone(), "run".into(), "-q".into(), text(bsd), megabytes.clone()],
            vec![text(native), megabytes.clone()],
        ];
        let mut best = [0f64; 2];
        for _ in 0..3 {
            for (best, argv) in best.iter_mut().zip(&ways) {
                *best = best.max(throughput(argv) / 1e6);
            }
        }
        println!(
            "{megabytes} MiB of output, {what}: bsd21 {:.1} MB/s, native {:.1} MB/s: {:.2} of native",
            best[0],
            best[1],
            best[0] / best[1]
        );
    }
    let screen = format!("{}/fixtures/bin/screen", env!("CARGO_MANIFEST_DIR"));
    let ways: [(&str, Vec<String>, bool); 2] = [
        ("bsd21", vec![bsd21, "run".into(), screen, "lines".into()], true),
        ("native", vec!["cat".into()], false),
    ];
    for (name, argv, raw) in ways {
        let (times, cpu, switches) = echoes(&argv, raw);
        let micros = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        println!(
            "echo of a key, {name}: median {:.0} us, 99 of 100 within {:.0} us; a second at the prompt: {cpu:.2} s of processor time, {switches} switches",
            micros(0.5),
            micros(0.99)
        );
    }
}
