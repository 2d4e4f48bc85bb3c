//! Programs that make random calls with random words, alone and under the tracer.
//!
//! A program is an image that is made here: for each batch of calls its first process forks another one, which makes
//! them from a table; an alarm ends those that sleep.  The words are small numbers, descriptors, addresses of names,
//! structures and holes.

use iced_x86::code_asm::*;
use syscalls::sysent::SYSENT;

use crate::program::{Layout, START, gate, image, install};
use crate::{Random, asked, bsd21, peak, scratch_in_memory};

/// Calls of a process.
const BATCH: usize = 250;
/// Words of an entry of the table: the number and eight arguments.
const ENTRY: usize = 9;
/// Memory for names and structures.
const POOL: usize = 64 << 10;
/// Signals that would end a process for a call that 2.1 does not have, or stop it.
const IGNORED: [i32; 19] = [1, 2, 3, 12, 13, 15, 16, 18, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];
const STACK: i32 = 0xefbf_d000_u32 as i32;

const NAMES: [&str; 24] = [
    "f",
    "d",
    "d/x",
    "l",
    "loop",
    "fifo",
    "s",
    "/dev/null",
    "/dev/zero",
    "/dev/tty",
    ".",
    "..",
    "",
    "/",
    "/tmp/x",
    "../../../etc/passwd",
    "d/../d/./x/",
    "/dev/fd/0",
    "\u{1b}[2J",
    "x/y",
    "/usr/libexec/ld.so",
    "out",
    "program",
    "f/",
];

/// A word that a call may be given.
fn word(random: &mut Random, names: &[u32], pool: u32) -> u32 {
    match random.below(16) {
        0..=2 => random.below(24) as u32,
        3 => (random.below(6) as u32).wrapping_neg(),
        4..=6 => names[random.below(names.len())],
        7..=9 => pool + random.below(POOL) as u32,
        10 => pool + (random.below(POOL / 4096) * 4096) as u32 + 4090,
        11 => 1_u32.wrapping_shl(random.below(32) as u32).wrapping_sub(random.below(2) as u32),
        12 => random.next() as u32,
        13 => [0, 0, 0x7fff_ffff, 0x8000_0000, 0xefbf_c000, 0xefbf_dffc, 0xefbf_e000, 0xf000_0000]
            [random.below(8)],
        14 => 1 << random.below(13),
        _ => random.below(70_000) as u32,
    }
}

/// A call with its words; what would end the whole run, or the process that waits for the others, is left out.
fn call(random: &mut Random, names: &[u32], pool: u32, own_pid: u32) -> [u32; ENTRY] {
    const EXIT: u32 = 1;
    const REBOOT: u32 = 55;
    const FORKS: [u32; 2] = [2, 66];
    const KILLS: [u32; 2] = [37, 146];
    const PTRACE: u32 = 26;
    const INDIRECT: [u32; 2] = [0, 198];
    loop {
        let number = match random.below(20) {
            0 => random.next() as u32,
            _ => random.below(SYSENT.len() + 8) as u32,
        };
        let rare = number == EXIT || number == PTRACE || FORKS.contains(&number);
        if rare && random.below(16) > 0 {
            continue;
        }
        let mut entry = [0; ENTRY];
        entry[0] = number;
        for place in entry.iter_mut().skip(1) {
            *place = word(random, names, pool);
        }
        let shift = usize::from(INDIRECT.contains(&number));
        let meant = if shift == 1 { entry[1] } else { number };
        if meant == REBOOT {
            continue;
        }
        if KILLS.contains(&meant) || meant == PTRACE {
            // Another process of the batch, or none: not the one that waits.
            entry[1 + shift] = if meant == PTRACE { own_pid + 1 + random.below(3) as u32 } else { 0 };
        }
        return entry;
    }
}

/// The image of a program that makes `batches` times [`BATCH`] calls.
fn program(random: &mut Random, batches: usize) -> Vec<u8> {
    let mut layout = Layout::default();
    let counter = layout.words(&[0]);
    let current = layout.words(&[0]);
    let rest = layout.words(&[0]);
    let pid = layout.words(&[0]);
    let batch = layout.words(&[0]);
    let left = layout.words(&[batches as u32]);
    let timer = layout.words(&[0, 0, 5, 0]);
    let mut names: Vec<u32> =
        NAMES.iter().map(|name| layout.put(&[name.as_bytes(), b"\0"].concat())).collect();
    names.push(layout.put(&[vec![b'n'; 300], vec![0]].concat()));
    names.push(layout.put(&[b"d/".repeat(600), vec![0]].concat()));
    let (out, zero) = (layout.put(b"out\0"), layout.put(b"/dev/zero\0"));
    let handler = layout.put(&[0xc3]);
    let ignore = layout.words(&[1, 0, 0]);
    let tick = layout.words(&[0, 10_000, 0, 10_000]);
    let pool = layout.here();
    for at in 0..POOL / 4 {
        let word = match at % 7 {
            // Addresses of unix and internet sockets, lengths, numbers of descriptors.
            0 => u32::from_le_bytes([random.below(128) as u8, random.below(4) as u8, b's', 0]),
            1 => random.below(64) as u32,
            _ => word(random, &names, pool),
        };
        layout.words(&[word]);
    }
    let first_pid = 5;
    let table = layout.here();
    for _ in 0..batches * BATCH {
        let entry = call(random, &names, pool, first_pid);
        layout.words(&entry);
    }
    let text = code(&Addresses {
        counter,
        current,
        rest,
        pid,
        batch,
        left,
        timer,
        table,
        out,
        zero,
        handler,
        ignore,
        tick,
    });
    image(&text, &layout.data)
}

struct Addresses {
    counter: u32,
    current: u32,
    rest: u32,
    pid: u32,
    batch: u32,
    left: u32,
    timer: u32,
    table: u32,
    out: u32,
    zero: u32,
    handler: u32,
    ignore: u32,
    tick: u32,
}

fn code(at: &Addresses) -> Vec<u8> {
    let mut a = CodeAssembler::new(32).expect("an assembler");
    let word = |address: u32| dword_ptr(address);
    let [mut next, mut child, mut call, mut done, mut ended, mut reap] =
        std::array::from_fn(|_| a.create_label());
    // A page that all processes share counts the calls.
    gate(&mut a, 197, &[0, 4096, 3, 0x1001, -1, 0, 0, 0]);
    a.mov(ecx, eax).expect("mov");
    a.mov(word(at.counter), ecx).expect("mov");
    // SIGALRM: mask, flags and handler are pushed in place of a structure.
    a.push(0).expect("push");
    a.push(0).expect("push");
    a.push(at.handler as i32).expect("push");
    a.mov(ecx, esp).expect("mov");
    a.push(0).expect("push");
    a.push(ecx).expect("push");
    a.push(14).expect("push");
    a.push(0).expect("push");
    a.mov(eax, 46).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
    for signal in IGNORED {
        gate(&mut a, 46, &[signal, at.ignore as i32, 0]);
    }
    a.mov(dword_ptr(at.batch), at.table as i32).expect("mov");

    a.set_label(&mut next).expect("label");
    a.mov(esp, STACK).expect("mov");
    gate(&mut a, 2, &[]);
    a.jc(done).expect("jc");
    a.test(edx, edx).expect("test");
    a.jnz(child).expect("jnz");
    a.mov(ecx, eax).expect("mov");
    a.mov(word(at.pid), ecx).expect("mov");
    gate(&mut a, 83, &[0, at.timer as i32, 0]);
    a.push(0).expect("push");
    a.push(0).expect("push");
    a.push(0).expect("push");
    a.push(word(at.pid)).expect("push");
    a.push(0).expect("push");
    a.mov(eax, 7).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
    // All others end, whatever became of the child.
    a.set_label(&mut reap).expect("label");
    gate(&mut a, 37, &[-1, 9]);
    gate(&mut a, 7, &[-1, 0, 0, 0]);
    a.jnc(reap).expect("jnc");
    a.add(word(at.batch), (BATCH * ENTRY * 4) as i32).expect("add");
    a.dec(word(at.left)).expect("dec");
    a.jnz(next).expect("jnz");
    a.set_label(&mut done).expect("label");
    a.mov(ecx, word(at.counter)).expect("mov");
    a.push(4).expect("push");
    a.push(ecx).expect("push");
    a.push(1).expect("push");
    a.push(0).expect("push");
    a.mov(eax, 4).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
    gate(&mut a, 1, &[0]);

    a.set_label(&mut child).expect("label");
    gate(&mut a, 82, &[0, 0]);
    // What sleeps is woken.
    gate(&mut a, 83, &[0, at.tick as i32, 0]);
    // The standard streams are its own.
    gate(&mut a, 5, &[at.out as i32, 0x602, 0o644]);
    gate(&mut a, 90, &[3, 1]);
    gate(&mut a, 90, &[3, 2]);
    gate(&mut a, 5, &[at.zero as i32, 0, 0]);
    gate(&mut a, 90, &[4, 0]);
    a.mov(ecx, word(at.batch)).expect("mov");
    a.mov(word(at.current), ecx).expect("mov");
    a.mov(dword_ptr(at.rest), BATCH as i32).expect("mov");
    a.set_label(&mut call).expect("label");
    a.dec(word(at.rest)).expect("dec");
    a.js(ended).expect("js");
    a.mov(esp, STACK).expect("mov");
    a.mov(ecx, word(at.counter)).expect("mov");
    a.inc(dword_ptr(ecx)).expect("inc");
    a.mov(esi, word(at.current)).expect("mov");
    a.add(dword_ptr(at.current), (ENTRY * 4) as i32).expect("add");
    for number in (1..ENTRY).rev() {
        a.push(dword_ptr(esi + 4 * number as i32)).expect("push");
    }
    a.push(0).expect("push");
    a.mov(eax, dword_ptr(esi)).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
    a.jmp(call).expect("jmp");
    a.set_label(&mut ended).expect("label");
    gate(&mut a, 1, &[0]);
    a.assemble(START).expect("code")
}

/// The ways in which programs run.
const WAYS: [&[&str]; 8] = [
    &["run", "-q"],
    &["trace", "-q", "-f", "-o", "trace"],
    &["trace", "-q", "-f", "-o", "trace", "--format", "jsonl", "-v"],
    &["trace", "-q", "-f", "-o", "trace", "--format", "kdump"],
    &["trace", "-q", "-f", "-o", "trace", "--format", "ktrace"],
    &["trace", "-q", "-f", "-o", "trace", "--format", "chrome"],
    &["trace", "-q", "-ff", "-o", "trace", "-yy", "-s", "100"],
    &["trace", "-q", "-f", "-c", "-o", "trace"],
];

/// Makes about `wanted` calls with the programs of seeds from `seed` on; gives how many were made.
fn run(seed: u64, wanted: u64, batches: usize) -> u64 {
    let (mut made, mut seed) = (0_u64, seed);
    while made < wanted {
        for way in WAYS {
            let what = format!("calls, seed {seed}, {}", way.join(" "));
            let mut random = Random::new(seed);
            let place = scratch_in_memory();
            let file = place.path().join("program");
            install(&file, &program(&mut random, batches));
            let limits = [
                "--clock",
                "virtual",
                "--max-wall",
                "60",
                "--max-cpu",
                "600",
                "--max-output",
                "64M",
                "--root",
                ".",
                "/program",
            ];
            let output = bsd21(place.path(), &[way, &limits].concat(), &what);
            let said = String::from_utf8_lossy(&output.stderr);
            let count = output.stdout.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            // One of them may have killed the process that waits for the others: 128 and the signal.
            assert!(
                matches!(output.status.code(), Some(0 | 123..=125 | 129..=159)) && !said.contains("bug"),
                "{what}: {:?} {said}",
                output.status
            );
            // A call may have overwritten the counter.
            made += u64::from(count).min((batches * BATCH) as u64);
            let peak = peak(libc::RUSAGE_CHILDREN);
            assert!(peak < 1 << 30, "{what}: a run took {peak} bytes");
            seed += 1;
            // What was deep or closed is removed by those who made it; a directory in memory is small.
            drop(place);
        }
        println!("{made} calls, next seed {seed}, largest run {} MB", peak(libc::RUSAGE_CHILDREN) >> 20);
    }
    made
}

#[test]
fn some_random_calls_do_no_harm() {
    assert!(run(asked("SEED", 1), 8_000, 4) >= 8_000);
}

#[test]
#[ignore = "ten million calls take an hour"]
fn many_random_calls_do_no_harm() {
    let count = asked("COUNT", 10_000_000);
    println!("{} calls", run(asked("SEED", 1_000), count, 200));
}
