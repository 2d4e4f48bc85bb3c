//! Measures the programs of fixtures/bench: natively, in the bare processor, by the whole of bsd21, and under
//! qemu-i386 where there is one.
//!
//! `cargo test --release --test bench -- --ignored --nocapture [--exact programs]`; `BENCH_ONLY=md5,fib`
//! chooses programs, `BENCH_SECONDS` how long each one runs; `--exact code_beside_data_costs_at_most_twice_as_much` is the
//! price of code and data on one page.  Times are processor time, (T(n) - T(0)) / n, the best
//! of three.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

use bsd21::cpu::Cpu;
use bsd21::mem::{AddressSpace, Prot};
use bsd21::trapframe::{Gpr, Trap, Trapframe};
use std::path::{Path, PathBuf};
use std::process::Command;

const INTEGER: [&str; 8] = ["dhry", "sieve", "crc", "md5", "qsrt", "interp", "fib", "matmul"];
const FLOAT: [&str; 3] = ["nbody", "linp", "mandel"];
const OTHER: [&str; 2] = ["strops", "getpid"];

/// What a compiler of 1995 would have made.
const FLAGS: &str = "-m32 -O2 -march=i386 -mtune=i486 -mfpmath=387 -mno-sse -fno-pic -ffreestanding -fno-builtin -nostdlib \
    -static -fno-omit-frame-pointer -mpreferred-stack-boundary=2 -fno-stack-protector -fcf-protection=none \
    -fno-asynchronous-unwind-tables -fno-inline-functions -fno-inline-small-functions \
    -fno-inline-functions-called-once -fno-ipa-cp -fno-ipa-sra -fno-partial-inlining -fno-tree-vectorize \
    -fno-tree-loop-distribute-patterns -fno-optimize-sibling-calls -fno-strict-aliasing -w -no-pie \
    -Wl,--build-id=none -Wl,-z,noexecstack";

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bench")
}

/// Compiles a program, for Linux or for 2.1.
fn build(dir: &Path, name: &str, bsd: bool) -> PathBuf {
    if bsd { build_with(dir, name, "bsd", &["-DBSD"]) } else { build_with(dir, name, "linux", &[]) }
}

/// Compiles a program with further options.
fn build_with(dir: &Path, name: &str, kind: &str, options: &[&str]) -> PathBuf {
    let out = dir.join(format!("{name}.{kind}"));
    let mut gcc = Command::new("gcc");
    gcc.args(FLAGS.split_whitespace()).args(options).arg("-o").arg(&out);
    let status = gcc.arg(sources().join("rt.c")).arg(sources().join(format!("{name}.c"))).status();
    assert!(status.is_ok_and(|s| s.success()), "gcc -m32 compiles {name}");
    if kind != "linux" {
        // 2.1 wants its brand in the header (EI_BRAND).
        let mut image = std::fs::read(&out).expect("an image");
        image[8..16].copy_from_slice(b"FreeBSD\0");
        std::fs::write(&out, image).expect("the branded image");
    }
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Maps a static ELF program with one argument.
fn load(path: &Path, argument: &str) -> (AddressSpace, Trapframe) {
    let image = std::fs::read(path).expect("an image");
    let mut space = AddressSpace::new().expect("memory");
    let rw = Prot::READ | Prot::WRITE;
    let headers = word(&image, 28) as usize;
    for i in 0..usize::from(image[44]) {
        let h = headers + 32 * i;
        if word(&image, h) != 1 {
            continue;
        }
        let (offset, addr, filesz, memsz) = (
            word(&image, h + 4) as usize,
            word(&image, h + 8),
            word(&image, h + 16) as usize,
            word(&image, h + 20),
        );
        let start = addr & !4095;
        let len = ((addr + memsz + 4095) & !4095) - start;
        space.map_anon(start, len, rw).expect("a segment");
        space.poke(addr, &image[offset..offset + filesz]).expect("its bytes");
    }
    let top = 0xefbf_e000;
    space.map_anon(top - 0x10_0000, 0x10_0000, rw).expect("a stack");
    let strings = top - 256;
    space.poke(strings, b"bench\0").expect("the name");
    space.poke(strings + 16, format!("{argument}\0").as_bytes()).expect("the argument");
    let esp = strings - 64;
    for (i, value) in (0..).zip([2, strings, strings + 16, 0, 0]) {
        space.poke(esp + 4 * i, &u32::to_le_bytes(value)).expect("the vector");
    }
    let mut frame = Trapframe::new();
    frame.eip = word(&image, 24);
    frame.set(Gpr::Esp, esp);
    (space, frame)
}

/// Runs a program in the bare processor: output, instructions, processor time in seconds.
fn processor(path: &Path, n: u64) -> (String, u64, f64) {
    let (mut space, mut frame) = load(path, &n.to_string());
    let mut cpu = Cpu::new();
    let mut out = Vec::new();
    let mut retired = 0;
    let start = thread_time();
    loop {
        let stopped = cpu.run(&mut frame, &mut space, 1_000_000);
        retired += stopped.retired;
        match stopped.trap {
            Trap::Budget => {}
            Trap::Syscall => {
                let esp = frame.get(Gpr::Esp);
                let arg = |i: u32| space.fuword(esp + 4 + 4 * i).expect("an argument");
                match frame.get(Gpr::Eax) {
                    1 => break,
                    4 => {
                        let mut bytes = vec![0; arg(2) as usize];
                        space.copyin(arg(1), &mut bytes).expect("the text");
                        out.extend(bytes);
                        frame.set(Gpr::Eax, arg(2));
                    }
                    _ => frame.set(Gpr::Eax, 7),
                }
                frame.eflags &= !1;
            }
            other => panic!("{other:?} at {:#x}", frame.eip),
        }
    }
    (String::from_utf8_lossy(&out).trim().to_owned(), retired, thread_time() - start)
}

fn thread_time() -> f64 {
    // SAFETY: the call fills the structure.
    let t = unsafe {
        let mut t = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t);
        t
    };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn children_time() -> f64 {
    // SAFETY: the call fills the structure.
    let u: libc::rusage = unsafe {
        let mut u = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut u);
        u
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(u.ru_utime) + seconds(u.ru_stime)
}

/// Runs a command: output and processor time.
fn command(argv: &[&str], n: u64) -> Option<(String, f64)> {
    let start = children_time();
    let output = Command::new(argv[0]).args(&argv[1..]).arg(n.to_string()).output().ok()?;
    let time = children_time() - start;
    output.status.success().then(|| (String::from_utf8_lossy(&output.stdout).trim().to_owned(), time))
}

/// Processor time of one iteration.
fn per_iteration(mut run: impl FnMut(u64) -> Option<f64>, seconds: f64) -> Option<f64> {
    let mut n = 1;
    let mut time = run(n)?;
    while time < seconds / 8.0 && n < 1 << 26 {
        n *= 4;
        time = run(n)?;
    }
    let base = (0..3).filter_map(|_| run(0)).fold(f64::MAX, f64::min);
    let n = ((n as f64 * seconds / (time - base).max(1e-4)) as u64).max(1);
    let best = (0..3).filter_map(|_| run(n)).fold(f64::MAX, f64::min);
    Some((best - base).max(1e-9) / n as f64)
}

/// A program and its time as a multiple of the native one: processor, bsd21, qemu.
type Row = (&'static str, Option<f64>, Option<f64>, Option<f64>);

fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// `beside`: what it costs that code and data share their pages.
#[test]
#[ignore = "a measurement"]
fn code_beside_data_costs_at_most_twice_as_much() {
    let dir = std::env::temp_dir().join("bsd21-bench");
    std::fs::create_dir_all(&dir).expect("a directory for the programs");
    let shared = build_with(&dir, "beside", "shared", &["-DBSD"]);
    let apart = build_with(&dir, "beside", "apart", &["-DBSD", "-DAPART"]);
    let (want, instructions, _) = processor(&apart, 20);
    let (got, as_many, _) = processor(&shared, 20);
    assert_eq!((got, as_many * 50 / instructions), (want, 50), "the same work");
    // Turn by turn, so that both meet the same machine.
    let mut best = [f64::MAX; 2];
    for _ in 0..9 {
        for (time, path) in best.iter_mut().zip([&shared, &apart]) {
            *time = time.min(processor(path, 500).2);
        }
    }
    let factor = best[0] / best[1];
    println!("shared pages {:.1} ms, apart {:.1} ms: factor {factor:.2}", best[0] * 1e3, best[1] * 1e3);
    assert!(factor <= 2.0, "factor {factor:.2}");
}

#[test]
#[ignore = "a measurement"]
fn programs() {
    let dir = std::env::temp_dir().join("bsd21-bench");
    std::fs::create_dir_all(&dir).expect("a directory for the programs");
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0.5);
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let whole = std::env::var("BENCH_WHOLE").is_ok();
    let bsd21 = env!("CARGO_BIN_EXE_bsd21");
    let mut table: Vec<Row> = Vec::new();
    println!(
        "{:8} {:>12} {:>10} {:>8} {:>8} {:>8}",
        "program", "native us", "MIPS", "cpu x", "bsd21 x", "qemu x"
    );
    for name in INTEGER.into_iter().chain(FLOAT).chain(OTHER) {
        if !only.is_empty() && !only.split(',').any(|o| o == name) {
            continue;
        }
        let (linux, bsd) = (build(&dir, name, false), build(&dir, name, true));
        let linux = linux.to_string_lossy();
        let bsd_path = bsd.to_string_lossy();
        let want = command(&[&linux], 3).expect("runs natively").0;
        assert_eq!(processor(&bsd, 3).0, want, "{name}: checksum");
        let native = per_iteration(|n| command(&[&linux], n).map(|r| r.1), seconds).expect("runs natively");
        let mut speed = 0.0;
        let cpu = per_iteration(
            |n| {
                let (_, retired, time) = processor(&bsd, n);
                speed = retired as f64 / time / 1e6;
                Some(time)
            },
            seconds,
        );
        let full = if whole {
            per_iteration(|n| command(&[bsd21, "run", &bsd_path], n).map(|r| r.1), seconds)
        } else {
            None
        };
        let qemu = if whole {
            per_iteration(|n| command(&["qemu-i386", &linux], n).map(|r| r.1), seconds)
        } else {
            None
        };
        let ratio = |t: Option<f64>| t.map(|t| t / native);
        let show = |t: Option<f64>| ratio(t).map_or("-".into(), |r| format!("{r:.2}"));
        println!(
            "{name:8} {:12.3} {speed:10.1} {:>8} {:>8} {:>8}",
            native * 1e6,
            show(cpu),
            show(full),
            show(qemu)
        );
        table.push((name, ratio(cpu), ratio(full), ratio(qemu)));
    }
    for (label, group) in [("integer", &INTEGER[..]), ("x87", &FLOAT[..])] {
        let of = |pick: fn(&Row) -> Option<f64>| {
            let values: Vec<f64> = table.iter().filter(|r| group.contains(&r.0)).filter_map(pick).collect();
            if values.is_empty() { "-".into() } else { format!("{:.2}", geomean(&values)) }
        };
        println!("geometric mean {label:8} {:>24} {:>8} {:>8}", of(|r| r.1), of(|r| r.2), of(|r| r.3));
    }
}
