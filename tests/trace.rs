//! The tracer over a kernel of its own: golden traces in every format, and what options change.
//!
//! `BSD21_BLESS=1 cargo test --test trace` writes the golden files anew; read the difference before committing it.

#[path = "trace/edges.rs"]
mod edges;
#[path = "trace/golden.rs"]
mod golden;
#[path = "trace/machine.rs"]
mod machine;
#[path = "trace/programs.rs"]
mod programs;
#[path = "trace/recording.rs"]
mod recording;
#[path = "trace/schema.rs"]
mod schema;
#[path = "trace/strace.rs"]
mod strace;

use bsd21::kernel::ktrace::record::{Body, Reader};
use bsd21::trace::kdump::Kdump;
use bsd21::trace::options::{FdDetail, Format, Layers, Precision, SortBy, Stamp, Summary};
use bsd21::trace::{Options, filter};

use golden::golden;
use machine::{Machine, call, call_of, exchange};

/// A trace without the numbers that change whenever some layer of the kernel tells more.
fn without_sequence(trace: &str) -> String {
    let mut found = String::new();
    let mut rest = trace;
    while let Some(at) = rest.find("seq\":") {
        let (before, behind) = rest.split_at(at + 5);
        found.push_str(before);
        found.push('0');
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    found + rest
}

/// The trace of the exchange between two processes.
fn trace(options: Options) -> Vec<u8> {
    let mut machine = Machine::traced(options);
    exchange(&mut machine);
    machine.finish()
}

fn text(options: Options) -> String {
    String::from_utf8(trace(options)).expect("a trace is text")
}

fn with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options { column: 0, ..Options::default() };
    change(&mut options);
    options
}

#[test]
fn the_exchange_in_every_text_format_is_golden() {
    golden("exchange.strace", &text(Options::default()));
    golden("exchange.jsonl", &without_sequence(&text(with(|o| o.format = Format::Jsonl))));
    golden("exchange.kdump", &text(with(|o| o.format = Format::Kdump)));
    golden("exchange.chrome.json", &without_sequence(&text(with(|o| o.format = Format::Chrome))));
    golden("exchange.unfinished", &text(with(|o| o.unfinished = true)));
    golden("exchange.sleep", &text(with(|o| o.layers = Layers::SLEEP)));
    golden("exchange.summary", &text(with(|o| (o.summary, o.sort) = (Summary::Only, SortBy::Name))));
}

#[test]
fn steps_inside_the_kernel_stand_under_their_call() {
    let trace = text(with(|o| o.layers = Layers::SOCKET));
    let pair = trace.lines().position(|l| l.contains("socketpair(")).expect("the call");
    let steps: Vec<_> = trace.lines().skip(pair + 1).take_while(|l| l.starts_with("        ")).collect();
    for step in ["socreate", "PRU_ATTACH", "soconnect2", "PRU_CONNECT2"] {
        assert!(steps.iter().any(|l| l.contains(step)), "{step} is missing: {steps:?}");
    }
    let send = trace.lines().position(|l| l.contains("sendmsg(")).expect("the call");
    let steps = trace.lines().skip(send + 1).take_while(|l| l.starts_with("        "));
    let steps: Vec<_> = steps.filter_map(|l| l.split_whitespace().nth(1)).collect();
    assert_eq!(steps[..2], ["getsock", "sosend"], "{trace}");
    assert!(steps.contains(&"PRU_SEND") && steps.contains(&"unp_internalize"), "{trace}");
}

#[test]
fn binary_records_read_back_are_the_text_form() {
    let binary = trace(with(|o| o.format = Format::Ktrace));
    let mut kdump = Kdump::default();
    let printed: String =
        Reader::new(&binary).map(|entry| kdump.print(&entry.expect("a whole record"))).collect();
    assert_eq!(printed, text(with(|o| o.format = Format::Kdump)));
}

#[test]
fn every_call_of_the_binary_form_is_in_the_strace_form() {
    let binary = trace(with(|o| o.format = Format::Ktrace));
    let strace = text(with(|o| o.comms = true));
    let mut calls = 0;
    for entry in Reader::new(&binary) {
        let entry = entry.expect("a whole record");
        if let Body::Call { code, .. } = entry.body {
            calls += 1;
            let row = syscalls::sysent::row(code as u32).expect("a row");
            let found = strace.lines().any(|l| {
                let (pid, rest) = l.split_once('<').unwrap_or_default();
                pid == entry.pid.to_string() && rest.contains(&format!("> {}(", row.trace_name()))
            });
            assert!(found, "{} of {} is missing", row.trace_name(), entry.pid);
        }
    }
    assert!(calls > 5);
}

#[test]
fn a_blocked_call_is_one_whole_line() {
    let strace = text(with(|_| {}));
    for line in strace.lines() {
        let whole = line.contains(") = ") || line.contains("+++") || line.contains("---");
        assert!(whole, "a torn line: {line}");
    }
    let unfinished = text(with(|o| o.unfinished = true));
    assert!(unfinished.contains("<unfinished ...>") && unfinished.contains("resumed>"));
}

#[test]
fn filters_choose_calls_and_outcomes() {
    let mut machine = Machine::traced(with(|o| o.apply("trace=getpid").unwrap()));
    let _ = machine.call(call("getpid", &[]));
    let _ = machine.call(call("getppid", &[]));
    let only = String::from_utf8(machine.finish()).unwrap();
    assert!(only.contains("getpid() = ") && !only.contains("getppid"));

    let mut machine = Machine::traced(with(|o| o.apply("status=failed").unwrap()));
    let _ = machine.call(call("getpid", &[]));
    let _ = machine.call(call("close", &[99]));
    let failed = String::from_utf8(machine.finish()).unwrap();
    assert_eq!(failed, "close(99) = -1 EBADF (Bad file descriptor)\n");
}

#[test]
fn outcomes_can_be_made_up() {
    let mut machine = Machine::traced(with(|o| o.apply("inject=getpid:error=EIO:when=2").unwrap()));
    assert!(machine.call(call("getpid", &[])).is_ok());
    assert_eq!(machine.call(call("getpid", &[])), Err(5));
    assert!(machine.call(call("getpid", &[])).is_ok());
    let trace = String::from_utf8(machine.finish()).unwrap();
    assert!(trace.contains("getpid() = -1 EIO (Input/output error) (INJECTED)\n"));

    let mut machine = Machine::traced(with(|o| o.apply("inject=getuid:retval=77").unwrap()));
    assert_eq!(machine.call(call("getuid", &[])), Ok(77));

    // Another call with the same words, and bytes where a call has written.
    let mut machine = Machine::traced(with(|o| o.apply("inject=close:syscall=getppid").unwrap()));
    assert_eq!(machine.call(call("close", &[99])), Ok(1));
    let poke = "inject=write:poke_enter=@arg2=4a4b:poke_exit=@arg2=4c";
    let mut machine = Machine::traced(with(|o| o.apply(poke).unwrap()));
    let pair = machine.pair();
    let at = machine.put(b"abc");
    let _ = machine.call(call("write", &[pair.0, at, 3]));
    let into = machine.put(&[0; 4]);
    let _ = machine.call(call("read", &[pair.1, into, 3]));
    assert_eq!((machine.bytes(into, 3), machine.bytes(at, 3)), (b"JKc".to_vec(), b"LKc".to_vec()));
    let trace = String::from_utf8(machine.finish()).unwrap();
    assert!(trace.contains("(INJECTED)"), "{trace}");
}

#[test]
fn what_is_not_served_is_in_the_ledger() {
    let mut machine = Machine::traced(Options::default());
    let arguments = machine.put(&[0; 64]);
    assert_eq!(machine.call(call("nfssvc", &[4, arguments])), Err(45));
    let ledger = machine.kernel.ledger.to_string();
    assert!(
        ledger.starts_with("nfssvc (files of a guest are not served to others) 1 time, first by "),
        "{ledger}"
    );
}

#[test]
fn numbers_past_the_table_are_shown_as_numbers() {
    let mut machine = Machine::traced(with(|_| {}));
    machine.ignore_sigsys();
    let _ = machine.call(call_of(4000, &[]));
    let _ = machine.call(call_of(151, &[]));
    let trace = String::from_utf8(machine.finish()).unwrap();
    assert!(trace.contains("#4000() = -1 EINVAL"), "{trace}");
    assert!(trace.contains("#151() = -1 EINVAL"), "{trace}");
}

#[test]
fn prefixes_stand_in_straces_order() {
    let mut machine = Machine::traced(with(|o| {
        o.stamp = Stamp::Epoch(Precision::Micro);
        o.numbers = true;
        o.eip = true;
        o.durations = Some(Precision::Micro);
        o.column = 54;
    }));
    let _ = machine.call(call("getppid", &[]));
    let trace = String::from_utf8(machine.finish()).unwrap();
    assert_eq!(trace, "820454400.000000 [  39] [00002000] getppid()          = 1 <0.000000>\n");
}

#[test]
fn sockets_are_shown_with_their_peers() {
    let mut machine = Machine::traced(with(|o| o.fd_detail = FdDetail::Full));
    let pair = machine.pair();
    let _ = machine.call(call("close", &[pair.0]));
    let trace = String::from_utf8(machine.finish()).unwrap();
    assert!(trace.contains("<UNIX-STREAM:["), "{trace}");
    assert!(trace.lines().last().is_some_and(|l| l.contains("close(3<UNIX-STREAM:[")), "{trace}");
}

#[test]
fn a_trace_can_have_names_colours_a_limit_and_only_some_descriptors() {
    let trace = |change: &dyn Fn(&mut Options)| {
        let mut machine = Machine::traced(with(change));
        for (name, words) in [("close", [99].as_slice()), ("getpid", &[]), ("dup", &[98])] {
            let _ = machine.call(call(name, words));
        }
        String::from_utf8(machine.finish()).unwrap()
    };
    assert!(trace(&|o| o.argument_names = true).starts_with("close(fd=99) = -1 EBADF"));
    let limited = trace(&|o| o.call_limit = Some(2));
    assert!(limited.lines().count() == 2 && limited.contains("getpid"), "{limited}");
    assert_eq!(trace(&|o| o.fds = Some(vec![98])).lines().count(), 1);
    let coloured = trace(&|o| (o.color, o.column) = (true, 20));
    assert!(coloured.starts_with("\x1b[1mclose\x1b[0m(99)           = \x1b[31m-1 EBADF"), "{coloured:?}");
}

#[test]
fn transfers_are_dumped_where_asked_for() {
    let mut machine = Machine::traced(with(|o| o.apply("write=4").unwrap()));
    let pair = machine.pair();
    let at = machine.put(b"hello, world\n");
    let _ = machine.call(call("write", &[pair.1, at, 13]));
    let trace = String::from_utf8(machine.finish()).unwrap();
    let dump = " | 00000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a           hello, world.    |\n";
    assert!(trace.contains(dump), "{trace}");
}

#[test]
fn no_observer_and_an_observer_give_the_guest_the_same_answers() {
    let mut traced = Machine::traced(with(|o| o.layers = Layers::all()));
    let mut plain = Machine::plain();
    assert_eq!(exchange(&mut traced), exchange(&mut plain));
}

#[test]
fn filters_refuse_what_does_not_exist() {
    assert!(filter::CallSet::parse("socketpar").unwrap_err().contains("did you mean 'socketpair'?"));
}
