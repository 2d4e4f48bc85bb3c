//! `bsd21 gdb` as the host's gdb meets it: sessions in batch mode, processes as threads, going back, symbols from
//! stabs; and a stub that survives whatever is sent.
//!
//! Sessions with gdb are skipped by name where there is none.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use bsd21::image::to_elf;

const PATIENCE: Duration = Duration::from_secs(60);

fn image(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin").join(name)
}

/// bsd21 with its socket, ended with the test.
struct Stub {
    child: Child,
    place: tempfile::TempDir,
    errors: BufReader<ChildStderr>,
}

impl Stub {
    /// `bsd21 gdb OPTIONS --unix SOCKET PROGRAM`.
    fn start(options: &[&str], program: &Path, args: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_bsd21"))
            .arg("gdb")
            .args(options)
            .arg("--unix")
            .arg(place.path().join("socket"))
            .arg(program)
            .args(args)
            .current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bsd21 starts");
        // It says when it listens.
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        errors.read_line(&mut line).expect("text");
        assert!(line.starts_with("bsd21: waiting for gdb: "), "{line}");
        Self { child, place, errors }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    /// Its exit status and what the guest wrote, and what a panic says.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("a child").is_none() {
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("bsd21 goes on without gdb");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut text = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).expect("text");
        text.extend(errors.lines().filter(|line| line.contains("panicked")));
        (self.child.wait().expect("its end").code(), text)
    }
}

/// What the host's gdb says to commands; `None` without a gdb.
fn gdb(options: &[&str], program: &Path, commands: &[&str]) -> Option<(String, Option<i32>, String)> {
    gdb_with(options, program, &[], commands)
}

/// The same for a program with arguments.
fn gdb_with(
    options: &[&str],
    program: &Path,
    args: &[&str],
    commands: &[&str],
) -> Option<(String, Option<i32>, String)> {
    gdb_at(options, (program, program), args, commands)
}

/// The same for a program by its name for the guest and that on the host.
fn gdb_at(
    options: &[&str],
    (guest, host): (&Path, &Path),
    args: &[&str],
    commands: &[&str],
) -> Option<(String, Option<i32>, String)> {
    if Command::new("gdb").arg("--version").output().is_err() {
        eprintln!("skipped: no gdb here");
        return None;
    }
    let stub = Stub::start(options, guest, args);
    let symbols = stub.place.path().join("symbols");
    let elf = to_elf::convert(&std::fs::read(host).expect("the program")).expect("an a.out program");
    std::fs::write(&symbols, elf).expect("the symbols");
    // What monitor commands say goes to standard error.
    let mut gdb = Command::new("timeout");
    gdb.args(["60", "sh", "-c", "exec gdb \"$@\" 2>&1", "gdb"]);
    gdb.args(["-nx", "-q", "-batch", "-iex", "set architecture i386"]).arg(&symbols);
    gdb.args(["-ex", "set confirm off", "-ex", "set pagination off"]);
    gdb.arg("-ex").arg(format!("target remote {}", stub.socket().display()));
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let output = gdb.env("DEBUGINFOD_URLS", "").output().expect("gdb ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, text) = stub.end();
    Some((said, status, text))
}

/// Each of `wanted` is in `said`, in this order.
fn in_order(said: &str, wanted: &[&str]) {
    let mut rest = said;
    for text in wanted {
        let at = rest.find(text).unwrap_or_else(|| panic!("{text:?} does not follow in:\n{said}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn a_program_stops_at_breakpoints_and_steps() {
    let commands = [
        "break main",
        "continue",
        "info registers eip",
        "stepi",
        "info registers eip",
        "info float",
        "continue",
    ];
    let Some((said, status, text)) = gdb(&[], &image("hello"), &commands) else { return };
    in_order(
        &said,
        &["0x00001020 in", "Breakpoint 1, 0x0000109a", "0x109a", "0x109f", "0x1272", "exited normally"],
    );
    assert_eq!((status, text.as_str()), (Some(0), "hello, world\n"));
}

#[test]
fn a_watched_word_stops_at_the_store_and_the_way_back_leads_to_it() {
    let options = ["--clock", "virtual", "--read-only"];
    let commands = [
        "watch *(int*)0x2040",
        "continue",
        "monitor where",
        "continue",
        "monitor where",
        "reverse-continue",
        "monitor where",
        "reverse-stepi",
        "monitor where",
        "stepi",
        "monitor where",
        "reverse-continue",
        "monitor where",
        "reverse-continue",
        "monitor where",
        "delete",
        "continue",
    ];
    let Some((said, status, text)) = gdb(&options, &image("hello"), &commands) else { return };
    let stops = [
        "New value = 104",
        "in copy ()",
        "30033 instructions",
        "New value = 25960",
        "30039 instructions",
        "Old value = 25960",
        "New value = 104",
        "30038 instructions",
        "30037 instructions",
        "30038 instructions",
        "Old value = 104",
        "30032 instructions",
        "No more reverse-execution history",
        "0 instructions",
        "exited normally",
    ];
    in_order(&said, &stops);
    assert_eq!((status, text.as_str()), (Some(0), "hello, world\n"), "printed once");
}

#[test]
fn calls_are_caught_by_name_where_they_begin_and_end() {
    let commands = ["monitor catch write", "continue", "monitor where", "continue", "monitor where", "kill"];
    let Some((said, status, text)) = gdb(&["--clock", "virtual"], &image("hello"), &commands) else { return };
    in_order(&said, &["write (4) is caught", "SIGTRAP", "write begins", "SIGTRAP", "write has ended"]);
    assert_eq!((status, text.as_str()), (Some(0), "hello, world\n"));
}

#[test]
fn every_process_is_a_thread() {
    let commands =
        ["monitor catch fork", "continue", "continue", "info threads", "monitor catch none", "continue"];
    let status = image("status");
    let args = [status.to_str().expect("a name")];
    let Some((said, _, text)) = gdb_with(&["--clock", "virtual"], &image("fork"), &args, &commands) else {
        return;
    };
    in_order(&said, &["fork (2) is caught", "SIGTRAP", "SIGTRAP"]);
    let threads = said.matches("(fork, parent").count();
    assert!(threads >= 2, "{threads} threads in {said}");
    assert!(text.contains("ok"), "{text}");
}

#[test]
fn a_fault_stops_before_its_signal_is_delivered() {
    let commands = ["continue", "info registers eip", "continue"];
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("wild");
    // xorl %eax,%eax; movl %eax,0xffffffff(%eax)
    std::fs::write(&program, program_of(&[0x31, 0xc0, 0x89, 0x80, 0xfc, 0xff, 0xff, 0xef], &[], &[]))
        .expect("a program");
    make_executable(&program);
    let Some((said, status, _)) = gdb(&[], &program, &commands) else { return };
    in_order(&said, &["Program received signal SIG", "0x1022", "terminated with signal SIG"]);
    assert!(matches!(status, Some(138 | 139)), "{status:?}");
}

/// Counts of instructions that `monitor where` said.
fn counts(said: &str) -> Vec<u64> {
    let before = |piece: &str| piece.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let mut pieces: Vec<&str> = said.split(" instructions").collect();
    pieces.pop();
    pieces.into_iter().filter_map(before).collect()
}

/// A program that fills a table of four words with five, over the word behind it.
fn wild_store(place: &Path) -> PathBuf {
    // xorl %ecx,%ecx; movl %ecx,0x2000(,%ecx,4); incl %ecx; cmpl $5,%ecx; jne; movl 0x2010,%eax; nop;
    // pushl %eax; pushl $0; movl $1,%eax; lcall $7,$0
    let code = [
        0x31, 0xc9, 0x89, 0x0c, 0x8d, 0, 0x20, 0, 0, 0x41, 0x83, 0xf9, 5, 0x75, 0xf3, 0xa1, 0x10, 0x20, 0, 0,
        0x90, 0x50, 0x6a, 0, 0xb8, 1, 0, 0, 0, 0x9a, 0, 0, 0, 0, 7, 0,
    ];
    let entries = [("_table", 7, 0, 0x2000), ("_total", 7, 0, 0x2010), ("_main", 5, 0, 0x1020)];
    let data: Vec<u8> = [0_u32, 0, 0, 0, 7].iter().flat_map(|word| word.to_le_bytes()).collect();
    let program = place.join("wild");
    std::fs::write(&program, program_of(&code, &entries, &data)).expect("a program");
    make_executable(&program);
    program
}

const REPEATABLE: [&str; 3] = ["--clock", "virtual", "--read-only"];

#[test]
fn the_way_back_leads_to_the_wild_store() {
    let place = tempfile::tempdir().expect("a directory");
    let program = wild_store(place.path());
    let commands = [
        "break *0x1034",
        "continue",
        "print *(int*)&total",
        "watch *(int*)&total",
        "reverse-continue",
        "print $ecx",
        "x/i $pc",
        "monitor where",
        "reverse-stepi",
        "print *(int*)&total",
        "monitor where",
        "monitor maps",
        "delete",
        "continue",
    ];
    let Some((said, status, _)) = gdb(&REPEATABLE, &program, &commands) else { return };
    let wanted = [
        "0x00001034",
        "= 4",
        "Hardware watchpoint 2",
        "Old value = 4",
        "New value = 7",
        "= 4",
        "0x1022",
        "instructions",
        "= 7",
        "r-x",
        "exited",
    ];
    in_order(&said, &wanted);
    assert_eq!((counts(&said), status), (vec![17, 16], Some(4)), "{said}");
}

#[test]
fn steps_go_back_over_calls_and_out_of_handlers() {
    let commands = [
        "handle all nostop noprint pass",
        "monitor catch kill",
        "continue",
        "monitor where",
        "continue",
        "print $eip",
        "monitor where",
        "reverse-stepi",
        "monitor where",
        "stepi",
        "print $eip",
        "monitor where",
        "stepi",
        "stepi",
        "reverse-stepi",
        "reverse-stepi",
        "reverse-stepi",
        "monitor where",
        "monitor catch none",
        "continue",
    ];
    let Some((said, status, _)) = gdb(&REPEATABLE, &image("signals"), &commands) else { return };
    in_order(&said, &["kill begins", "SIGTRAP", "kill has ended", "exited normally"]);
    let [begins, ended, back, again, last] = counts(&said)[..] else { panic!("{said}") };
    assert_eq!((ended, back, again, last), (begins + 1, begins, ended, begins), "{said}");
    // The handler's first instruction, both times.
    let place = |n: usize| said.split(&format!("${n} = ")).nth(1).and_then(|rest| rest.lines().next());
    assert!(place(1).is_some() && place(1) == place(2), "{said}");
    assert_eq!(status, Some(0));
}

#[test]
fn steps_lead_into_a_child_and_into_another_program() {
    let commands = [
        "monitor catch fork execve",
        "continue",
        "stepi",
        "monitor ps",
        "reverse-stepi",
        "monitor ps",
        "stepi",
        "continue",
        "continue",
        "monitor where",
        "stepi",
        "monitor where",
        "monitor catch none",
        "continue",
    ];
    let status = image("status");
    let args = [status.to_str().expect("a name")];
    let Some((said, _, text)) = gdb_with(&REPEATABLE, &image("fork"), &args, &commands) else { return };
    in_order(&said, &["fork (2) is caught", "execve (59) is caught", "SIGTRAP"]);
    assert!(text.contains("ok"), "{said}\n{text}");
}

#[test]
fn libraries_are_listed_with_their_symbols() {
    let Some(root) = std::env::var_os("BSD21_ROOT").map(PathBuf::from) else {
        eprintln!("skipped: no BSD21_ROOT");
        return;
    };
    let own = tempfile::tempdir().expect("a directory");
    for library in ["usr/libexec/ld.so", "usr/lib/libc.so.2.2"] {
        let copy = own.path().join(library);
        std::fs::create_dir_all(copy.parent().expect("a directory above")).expect("a directory");
        std::fs::copy(root.join(library), copy).expect("a copy");
    }
    std::fs::copy(image("dynamic"), own.path().join("dynamic")).expect("a copy");
    let options = [&REPEATABLE[..], &["--root", own.path().to_str().expect("a name")]].concat();
    let commands = ["monitor catch write", "continue", "info sharedlibrary", "bt", "monitor maps", "kill"];
    let host = own.path().join("dynamic");
    let Some((said, _, _)) = gdb_at(&options, (Path::new("/dynamic"), &host), &[], &commands) else { return };
    in_order(
        &said,
        &["write (4) is caught", "/usr/lib/libc.so.2.2", "write () from", "/usr/lib/libc.so.2.2"],
    );
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// A QMAGIC program of some code, with entries in its symbol table: text, kind, desc, value.
fn program_of(code: &[u8], entries: &[(&str, u8, u16, u32)], data: &[u8]) -> Vec<u8> {
    let (mut table, mut strings) = (Vec::new(), vec![0; 4]);
    for (text, kind, desc, value) in entries {
        let at = if text.is_empty() { 0 } else { strings.len() as u32 };
        strings.extend(text.bytes().chain([0]));
        table.extend(at.to_le_bytes());
        table.extend([*kind, 0]);
        table.extend(desc.to_le_bytes());
        table.extend(value.to_le_bytes());
    }
    let length = strings.len() as u32;
    strings[..4].copy_from_slice(&length.to_le_bytes());
    let words = [134 << 16 | 0o314, 4096, 4096, 0, table.len() as u32, 0x1020, 0, 0];
    let mut file: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    file.extend(code);
    file.resize(4096, 0);
    file.extend(data);
    file.resize(8192, 0);
    file.extend(table);
    file.extend(strings);
    file
}

#[test]
fn stabs_of_1994_are_lines_and_variables_of_today() {
    // main: pushl %ebp; movl %esp,%ebp; subl $4,%esp; movl $41,-4(%ebp); incl -4(%ebp); movl -4(%ebp),%eax;
    // movl %eax,0x2000; pushl $0; pushl $0; movl $1,%eax; lcall $7,$0
    let code = [
        0x55, 0x89, 0xe5, 0x83, 0xec, 0x04, 0xc7, 0x45, 0xfc, 41, 0, 0, 0, 0xff, 0x45, 0xfc, 0x8b, 0x45,
        0xfc, 0xa3, 0, 0x20, 0, 0, 0x6a, 0, 0x6a, 0, 0xb8, 1, 0, 0, 0, 0x9a, 0, 0, 0, 0, 7, 0,
    ];
    let entries = [
        ("/src/", 0x64, 0, 0x1020),
        ("answer.c", 0x64, 0, 0x1020),
        ("int:t1=r1;-2147483648;2147483647;", 0x80, 0, 0),
        ("pair:T2=s8first:1,0,32;second:3=*2,32,32;;", 0x80, 0, 0),
        ("color:T4=ered:0,green:1,;", 0x80, 0, 0),
        ("main:F1", 0x24, 3, 0x1020),
        ("", 0x44, 3, 0x1020),
        ("", 0x44, 4, 0x1026),
        ("", 0x44, 5, 0x102d),
        ("", 0x44, 6, 0x1030),
        ("value:1", 0x80, 0, (-4_i32).cast_unsigned()),
        ("both:S2", 0x26, 0, 0x2008),
        ("total:G1", 0x20, 0, 0),
        ("_main", 5, 0, 0x1020),
        ("_total", 7, 0, 0x2000),
    ];
    let data: Vec<u8> = [0_u32, 0, 7, 0x2008].iter().flat_map(|word| word.to_le_bytes()).collect();
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("answer");
    std::fs::write(&program, program_of(&code, &entries, &data)).expect("a program");
    make_executable(&program);
    let commands = [
        "break answer.c:5",
        "continue",
        "print value",
        "print both",
        "ptype both",
        "ptype enum color",
        "bt",
        "watch total",
        "continue",
        "print total",
        "info line",
        "reverse-step",
        "print total",
        "delete",
        "continue",
    ];
    let options = ["--clock", "virtual", "--read-only"];
    let Some((said, status, _)) = gdb(&options, &program, &commands) else { return };
    let wanted = [
        "answer.c, line 5",
        "main () at answer.c:5",
        "= 41",
        "{first = 7, second = 0x2008",
        "struct pair {",
        "struct pair *second;",
        "enum color {red, green}",
        "#0  main () at answer.c:5",
        "Old value = 0",
        "New value = 42",
        "= 42",
        "Line 6",
        "= 0",
        "exited normally",
    ];
    in_order(&said, &wanted);
    assert_eq!(status, Some(0));
}

/// A packet around some bytes.
fn packet(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [b"$", body, format!("#{sum:02x}").as_bytes()].concat()
}

#[test]
fn whatever_is_sent_the_stub_lives_or_says_goodbye() {
    // Packets that gdb sends, with some of their bytes changed; a fixed seed.
    let known: [&[u8]; 22] = [
        b"qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386",
        b"g",
        b"m1020,10",
        b"M2040,4:01020304",
        b"Z0,1020,1",
        b"z0,1020,1",
        b"Z2,2040,4",
        b"vCont;s:p1.5;c",
        b"vCont?",
        b"qfThreadInfo",
        b"qXfer:features:read:target.xml:0,ffb",
        b"qXfer:exec-file:read::0,ffb",
        b"qRcmd,7073",
        b"Hgp1.5",
        b"bs",
        b"G00",
        b"bc",
        b"qRcmd,6d617073",
        b"qXfer:libraries:read::0,ffb",
        b"vFile:open:2f6c6962,0,0",
        b"vFile:pread:0,1000,0",
        b"vFile:fstat:0",
    ];
    let mut state = 21_u64;
    let mut random = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % end
    };
    let count = std::env::var("BSD21_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000);
    let (mut sent, mut sessions) = (0, 0);
    while sent < count {
        let stub = Stub::start(&["--clock", "virtual", "--max-wall", "60"], &image("hello"), &[]);
        let mut stream = UnixStream::connect(stub.socket()).expect("a connection");
        let mut reader = stream.try_clone().expect("a copy");
        let drain = std::thread::spawn(move || drop(std::io::copy(&mut reader, &mut std::io::sink())));
        sessions += 1;
        while sent < count {
            let mut body = known[random(known.len())].to_vec();
            for _ in 0..random(4) {
                let at = random(body.len());
                body[at] = random(256) as u8;
            }
            sent += 1;
            if stream.write_all(&packet(&body)).is_err() {
                break;
            }
        }
        drop(stream.shutdown(std::net::Shutdown::Write));
        let (status, said) = stub.end();
        drop(drain.join());
        assert!(
            matches!(status, Some(0..=125)) && !said.contains("panicked"),
            "session {sessions}: {status:?} {said}"
        );
    }
}
