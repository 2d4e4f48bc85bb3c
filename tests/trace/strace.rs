//! Every option of strace 6.x, as docs/tracing.md's table says: accepted with its effect, or refused in one line.

use std::process::{Command, Output, Stdio};

/// What comes of an option: the trace on standard error has this, or it is refused so.
#[derive(Clone, Copy, Debug)]
enum Then {
    Shows(&'static str),
    /// Standard output has this.
    Prints(&'static str),
    /// The file `out` has this (or, where each process has its own, `out.` and its number).
    Writes(&'static str),
    Lacks(&'static str),
    Refused(&'static str),
}
use Then::{Lacks, Prints, Refused, Shows, Writes};

const WRITE: &str = "write(1, \"hello, world\\n\", 13)";

#[rustfmt::skip]
const OPTIONS: &[(&str, Then)] = &[
    // General: the expressions of -e, their short and long names, and their values.
    ("-e trace=write", Lacks("execve(")),
    ("-e write", Lacks("execve(")),
    ("-ewrite", Lacks("execve(")),
    ("-e t=write", Lacks("execve(")),
    ("-e trace=!write", Lacks("write(")),
    ("-e trace=?nosuchcall,write", Shows(WRITE)),
    ("-e trace=write@32", Shows(WRITE)),
    ("-e trace=none", Lacks("write(")),
    ("-e trace=all", Shows(WRITE)),
    ("-e trace=/^wri", Lacks("execve(")),
    ("-e %desc", Lacks("execve(")),
    ("-e trace=%file", Lacks("write(")),
    ("-e trace=file", Lacks("write(")),
    ("-e trace=%pure", Lacks("write(")),
    ("-e trace=%stat,%%stat,%statfs,%%statfs,%lstat,%fstat,%fstatfs", Lacks("write(")),
    ("-e trace=%network,%net,%ipc,%memory,%creds,%clock,%signal", Lacks("write(")),
    ("-e trace=%process", Shows("execve(")),
    ("--trace=write", Lacks("execve(")),
    ("-e signal=none", Shows(WRITE)),
    ("-e s=all -e signals=all --signal=SIGINT --signals=all", Shows(WRITE)),
    ("-e status=successful", Shows(WRITE)),
    ("--status=failed", Lacks("write(")),
    ("-e status=unfinished,unavailable,detached", Lacks("write(")),
    ("-e abbrev=none -e a=all --abbrev=write", Shows(WRITE)),
    ("-e verbose=none", Shows(WRITE)),
    ("-e v=all --verbose=write", Shows(WRITE)),
    ("-e raw=write", Shows("write(0x1, 0x")),
    ("-e x=write --raw=write", Shows("write(0x1, 0x")),
    ("-e write=1", Shows(" | 00000  68 65 6c 6c 6f")),
    ("-e w=1 -e writes=1 --write=1", Shows(" | 00000  68 65 6c 6c 6f")),
    ("-e read=0 -e r=0 -e reads=0 --read=all", Shows(WRITE)),
    ("-e quiet=exit", Lacks("+++ exited")),
    ("-e q=exit", Lacks("+++ exited")),
    ("--quiet=all", Lacks("+++ exited")),
    ("--quiet", Shows("+++ exited")),
    ("--silent=exit", Lacks("+++ exited")),
    ("--silence=exit", Lacks("+++ exited")),
    ("-e silent=exit -e silence=exit", Lacks("+++ exited")),
    ("-e decode-fds=all", Shows("write(1<")),
    ("-e decode-fd=path", Shows("write(1<")),
    ("--decode-fds", Shows("write(1<")),
    ("--decode-fds=dev,path,pidfd,socket", Shows("write(1<")),
    ("-e trace-fds=9", Lacks("write(")),
    ("--trace-fds=1", Lacks("exit(")),
    ("-e fd=1", Lacks("exit(")),
    ("-e kvm=vcpu", Refused("unknown expression 'kvm'")),
    ("--kvm=vcpu", Refused("unexpected argument '--kvm'")),
    // Tampering.
    ("-e fault=write", Shows("= -1 ENOSYS (Function not implemented) (INJECTED)")),
    ("--fault=write:error=EIO:when=1", Shows("= -1 EIO (Input/output error) (INJECTED)")),
    ("-e inject=write:error=ENOSPC:when=1+2", Shows("= -1 ENOSPC (No space left on device) (INJECTED)")),
    ("-e inject=write:error=ENOSPC:when=2..3", Shows("= 13")),
    ("--inject=write:retval=5", Shows("= 5 (INJECTED)")),
    ("-e inject=write:signal=SIGTERM", Shows("--- SIGTERM")),
    ("-e inject=write:delay_enter=10ms:delay_exit=10000", Shows("= 13")),
    ("-e inject=write:syscall=getpid", Shows("(INJECTED)")),
    ("-e inject=write:poke_enter=@arg2=48", Prints("Hello, world")),
    ("-e inject=write:poke_exit=@arg2=4142", Prints("hello, world")),
    // Startup.
    ("-E NAME=value -E HOME", Shows(WRITE)),
    ("--env=NAME=value", Shows(WRITE)),
    ("-u nobody-knows", Refused("nobody-knows")),
    ("--user=nobody-knows", Refused("nobody-knows")),
    ("-p 99999", Refused("")),
    ("--argv0=zero", Shows("[\"zero\"]")),
    // Tracing.
    ("-b execve", Shows("execve(")),
    ("--detach-on=execve", Shows("execve(")),
    ("-D", Shows(WRITE)),
    ("-DD", Shows(WRITE)),
    ("-DDD", Shows(WRITE)),
    ("--daemonize", Shows(WRITE)),
    ("--daemonize=pgroup", Shows(WRITE)),
    ("-f", Shows(WRITE)),
    ("--follow-forks", Shows(WRITE)),
    ("-F", Shows(WRITE)),
    ("-ff -o out", Writes(WRITE)),
    ("-f --output-separately -o out", Writes(WRITE)),
    ("-I 1", Shows(WRITE)),
    ("-I never_tstp", Shows(WRITE)),
    ("--interruptible=waiting", Shows(WRITE)),
    ("--kill-on-exit", Shows(WRITE)),
    ("--syscall-limit=1", Lacks("exit(")),
    // Filtering.
    ("-P /dev/nothing", Lacks("write(")),
    ("--trace-path=/dev/nothing", Lacks("write(")),
    ("-z", Shows(WRITE)),
    ("--successful-only", Shows(WRITE)),
    ("-Z", Lacks("write(")),
    ("--failed-only", Lacks("write(")),
    // Output format.
    ("-a 60", Shows("13)                              = 13")),
    ("-a60", Shows("13)                              = 13")),
    ("--columns=60", Shows("13)                              = 13")),
    ("-i", Shows("] write(")),
    ("--instruction-pointer", Shows("] write(")),
    ("-k", Shows(" > ")),
    ("-kk", Shows(" > ")),
    ("--stack-traces", Shows(" > ")),
    ("--stack-trace", Shows(" > ")),
    ("--stack-trace-frame-limit=3", Refused("--stack-trace-frame-limit")),
    ("-n", Shows("[   4] write(")),
    ("--syscall-number", Shows("[   4] write(")),
    ("-N", Shows("write(fd=1, ")),
    ("--arg-names", Shows("write(fd=1, ")),
    ("-o out", Writes(WRITE)),
    ("-oout", Writes(WRITE)),
    ("--output=out", Writes(WRITE)),
    ("-A -o out", Writes(WRITE)),
    ("--output-append-mode --output=out", Writes(WRITE)),
    ("-q", Shows("+++ exited")),
    ("-qq", Lacks("+++ exited")),
    ("-qqq", Lacks("+++ exited")),
    ("-r", Shows("0.00")),
    ("--relative-timestamps", Shows("0.00")),
    ("--relative-timestamps=ns", Shows("0.000")),
    ("-s 5", Shows("write(1, \"hello\"..., 13)")),
    ("-s5", Shows("write(1, \"hello\"..., 13)")),
    ("--string-limit=5", Shows("write(1, \"hello\"..., 13)")),
    ("-t", Shows(":")),
    ("-tt", Shows(".")),
    ("-ttt", Shows(".")),
    ("--absolute-timestamps", Shows(":")),
    ("--absolute-timestamps=unix,us", Shows(".")),
    ("--absolute-timestamps=format:time,precision:ms", Shows(".")),
    ("--timestamps=none", Shows(WRITE)),
    ("-T", Shows("= 13 <0.")),
    ("--syscall-times", Shows("= 13 <0.")),
    ("--syscall-times=ns", Shows("= 13 <0.")),
    ("-v", Shows(WRITE)),
    ("--no-abbrev", Shows(WRITE)),
    ("-x", Shows(WRITE)),
    ("-xx", Shows("write(1, \"\\x68\\x65")),
    ("--strings-in-hex", Shows("write(1, \"\\x68\\x65")),
    ("--strings-in-hex=all", Shows("write(1, \"\\x68\\x65")),
    ("--strings-in-hex=non-ascii", Shows(WRITE)),
    ("--strings-in-hex=non-ascii-chars", Shows(WRITE)),
    ("--strings-in-hex=none", Shows(WRITE)),
    ("-X raw", Shows(WRITE)),
    ("-X abbrev", Shows(WRITE)),
    ("--const-print-style=verbose", Shows(WRITE)),
    ("-y", Shows("write(1<")),
    ("-yy", Shows("write(1<")),
    ("-yyy", Shows("write(1<")),
    ("-Y", Shows("<hello>")),
    ("--decode-pids=comm", Shows("<hello>")),
    ("--decode-pids=pidns", Shows(WRITE)),
    ("--always-show-pid", Lacks("\nwrite(")),
    ("--secontext", Refused("--secontext")),
    ("--pidns-translation", Refused("--pidns-translation")),
    ("--color=always", Shows("\u{1b}[")),
    // Statistics.
    ("-c", Shows("% time     seconds  usecs/call     calls    errors syscall")),
    ("--summary-only", Lacks("write(")),
    ("-C", Shows(WRITE)),
    ("--summary", Shows("% time")),
    ("-c -O 5", Shows("% time")),
    ("-c --summary-syscall-overhead=5us", Shows("% time")),
    ("-c -S calls", Shows("% time")),
    ("-c -S max-time", Shows("% time")),
    ("-c -S time-total", Shows("% time")),
    ("-c --summary-sort-by=errors", Shows("% time")),
    ("-c --summary-sort-by=none", Shows("% time")),
    ("-c -U name,calls", Lacks("usecs/call")),
    ("-c --summary-columns=time-percent,total-time,min-time,max-time,avg-time,calls,errors,name", Shows("syscall")),
    ("-c -w", Shows("% time")),
    ("-c --summary-wall-clock", Shows("% time")),
    // Miscellaneous.
    ("-d", Shows(WRITE)),
    ("--debug", Shows(WRITE)),
    ("--seccomp-bpf", Shows(WRITE)),
    ("-f --seccomp-bpf", Shows(WRITE)),
    ("--tips=compact", Shows(WRITE)),
    ("-h", Prints("Usage:")),
    ("--help", Prints("Usage:")),
    ("-V", Prints(env!("CARGO_PKG_VERSION"))),
    ("--version", Prints(env!("CARGO_PKG_VERSION"))),
];

fn trace(directory: &std::path::Path, options: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .arg("trace")
        .args(options.split(' '))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin/hello"))
        .current_dir(directory)
        .env_remove("BSD21_ROOT")
        .stdin(Stdio::null())
        .output()
        .expect("bsd21 runs")
}

#[test]
fn every_option_of_strace_is_what_the_table_says() {
    let mut wrong = Vec::new();
    for (options, then) in OPTIONS {
        let directory = tempfile::tempdir().expect("a directory");
        let output = trace(directory.path(), options);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (errors, printed) = (text(&output.stderr), text(&output.stdout));
        let file = || {
            let entries = std::fs::read_dir(directory.path()).expect("a directory").filter_map(Result::ok);
            let out = entries
                .map(|entry| entry.path())
                .find(|path| path.file_stem().is_some_and(|stem| stem == "out"));
            out.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let refused = output.status.code() == Some(125);
        let good = match then {
            Shows(part) => !refused && errors.contains(part),
            Lacks(part) => !refused && !errors.contains(part),
            Prints(part) => !refused && printed.contains(part),
            Writes(part) => !refused && file().contains(part) && errors.is_empty(),
            Refused(part) => refused && errors.contains(part) && errors.lines().count() == 1,
        };
        if !good {
            wrong.push(format!("{options}: {then:?}: {:?} {errors}{printed}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The options that a strace of the host tells of itself are all in the list.
#[test]
fn no_option_of_the_hosts_strace_is_forgotten() {
    let Ok(help) = Command::new("strace").arg("--help").output() else {
        eprintln!("skipped: no_option_of_the_hosts_strace_is_forgotten: no strace here");
        return;
    };
    // The long form of -p has another meaning here: a name under which others find the run.
    let known = OPTIONS.iter().flat_map(|(options, _)| options.split(' ')).chain(["--attach"]);
    let known: Vec<&str> = known.collect();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, help) = help.split_once("General:").expect("the options");
    let listed = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let named = listed.flat_map(|line| line.split([',', ' ', '[', '='])).filter(|word| word.starts_with('-'));
    let mut missing: Vec<&str> = named
        .filter(|option| {
            let same = |known: &&&str| {
                known.split('=').next() == Some(*option)
                    || !option.starts_with("--") && known.starts_with(*option)
            };
            option.len() > 1 && !known.iter().any(|k| same(&k))
        })
        .collect();
    missing.dedup();
    assert!(missing.is_empty(), "{missing:?}");
}
