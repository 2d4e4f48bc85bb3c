//! `bsd21 explain`: walks through the socket layer, from the running kernel.

use std::path::Path;
use std::process::{Command, Output};

fn explain(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bsd21")).arg("explain").args(args).output().expect("bsd21 runs")
}

fn walk(call: &str) -> String {
    let output = explain(&[call]);
    assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The names at the beginnings of lines, with their depths; lines on sockets' states left out.
fn steps(walk: &str) -> Vec<(usize, &str)> {
    let lines = walk.lines().filter(|line| {
        let text = line.trim_start();
        // Not the states of sockets, nor what did not fit into the line before.
        !text.starts_with('|') && line.len() - text.len() < 70
    });
    lines
        .map(|line| {
            let depth = (line.len() - line.trim_start().len()) / 2;
            let name = line.trim_start().split([' ', '(']).next().unwrap_or_default();
            (depth, name)
        })
        .collect()
}

/// The walks of a page, one for each call.
fn walks(text: &str) -> Vec<&str> {
    text.split("\n\n").collect()
}

/// The walks of socketpair on a page that has other calls, too.
fn pairs(text: &str) -> Vec<&str> {
    walks(text).into_iter().filter(|walk| walk.starts_with("socketpair(")).collect()
}

#[test]
fn the_page_on_socketpair_shows_the_walk_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/socketpair.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let shown = page.split("$ bsd21 explain socketpair\n").nth(1).and_then(|rest| rest.split("```").next());
    let text = walk("socketpair");
    let first = walks(&text)[0];
    assert_eq!(shown.expect("the walk is on the page").trim_end(), first, "docs/socketpair.md");
    for failed in pairs(&text).into_iter().skip(3) {
        assert!(page.contains(failed.trim_end()), "docs/socketpair.md lacks\n{failed}");
    }
}

#[test]
fn a_pair_of_streams_takes_the_way_of_the_original() {
    let text = walk("socketpair");
    let expected = [
        (0, "socketpair"),
        (1, "socreate"),
        (2, "pffindtype"),
        (2, "PRU_ATTACH"),
        (3, "unp_attach"),
        (4, "soreserve"),
        (1, "socreate"),
        (2, "pffindtype"),
        (2, "PRU_ATTACH"),
        (3, "unp_attach"),
        (4, "soreserve"),
        (1, "falloc"),
        (1, "falloc"),
        (1, "soconnect2"),
        (2, "PRU_CONNECT2"),
        (3, "unp_connect2"),
        (4, "soisconnected"),
        (5, "sorwakeup"),
        (5, "sowwakeup"),
        (4, "soisconnected"),
        (5, "sorwakeup"),
        (5, "sowwakeup"),
        (1, "copyout"),
        (0, "->"),
    ];
    assert_eq!(steps(walks(&text)[0]), expected);
}

#[test]
fn a_pair_of_datagram_sockets_is_connected_twice_and_one_of_tcp_is_undone() {
    let text = walk("socketpair");
    let [_, dgram, tcp, ..] = walks(&text)[..] else { panic!("three walks: {text}") };
    let count = |walk, name| steps(walk).iter().filter(|(_, step)| *step == name).count();
    assert_eq!(count(dgram, "soconnect2"), 2);
    assert_eq!((count(tcp, "soconnect2"), count(tcp, "ffree"), count(tcp, "soclose")), (1, 2, 2));
    assert!(
        tcp.contains("so#4 is gone") && tcp.trim_end().ends_with("= -1 EOPNOTSUPP (Operation not supported)")
    );
}

#[test]
fn lines_end_in_column_100_and_states_say_what_has_changed() {
    for call in ["connect", "accept", "sendto", "socketpair", "close", "select"] {
        let text = walk(call);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{call}: {text}");
    }
    let text = walk("socketpair");
    let connected = text.split("soisconnected").nth(1).expect("it is connected").lines().nth(1);
    assert_eq!(connected.map(str::trim), Some("| so#0 SS_ISCONNECTED|SS_PRIV"));
}

#[test]
fn a_connection_takes_the_way_of_its_packets() {
    let text = walk("connect");
    let tcp =
        walks(&text).into_iter().find(|walk| walk.contains("htons(2000)") && walk.contains("tcp_connect"));
    let names: Vec<&str> =
        steps(tcp.expect("a walk through TCP")).into_iter().map(|(_, name)| name).collect();
    let mut from = 0;
    for function in [
        "connect",
        "getsock",
        "copyin",
        "soconnect",
        "PRU_CONNECT",
        "tcp_connect",
        "in_pcbbind",
        "soisconnecting",
        "tcp_output",
        "ip_output",
        "looutput",
        "ipintr",
        "tcp_input",
        "sonewconn",
        "soqinsque",
        "tcp_attach",
        "in_pcbconnect",
        "tcp_output",
        "ip_output",
        "looutput",
        "ipintr",
        "tcp_input",
        "soisconnected",
        "tcp_output",
        "ip_output",
        "looutput",
        "ipintr",
        "tcp_input",
        "soisconnected",
        "soqremque",
        "soqinsque",
        "->",
    ] {
        let at = names[from..].iter().position(|name| *name == function);
        from += at.unwrap_or_else(|| panic!("{function} behind {:?} of {names:?}", &names[..from])) + 1;
    }
    let refused = walks(&text).into_iter().rfind(|walk| walk.contains("htons(2001)")).expect("a walk");
    assert!(refused.contains("tcp_respond") && refused.contains("tcp_drop so#"), "{refused}");
}

#[test]
fn a_pair_that_fails_is_undone_as_far_as_the_original_does() {
    let text = walk("socketpair");
    let [_, _, _, full, fault] = pairs(&text)[..] else { panic!("five walks: {text}") };
    let names: Vec<&str> = steps(full).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.iter().filter(|name| **name == "soclose").count(), 2, "{full}");
    assert!(full.find("soclose so#5") < full.find("soclose so#4"), "the second one first: {full}");
    assert!(full.trim_end().ends_with("= -1 EMFILE (Too many open files)"), "{full}");
    assert!(fault.contains("copyout 8 bytes at 0xf0001000: EFAULT"), "{fault}");
    assert!(!fault.contains("soclose"), "{fault}");
}

#[test]
fn both_sockets_are_shown_when_one_changes() {
    let text = walk("write");
    let sent = text.split("sbappend").nth(1).expect("data are appended");
    let states: Vec<&str> = sent.lines().skip(1).take(2).map(str::trim).collect();
    // What waits at the receiver is taken off the sender's limits: a pipe holds 4096 bytes, not 8192.
    assert!(states[0].contains("snd 0/4092 mb 0/32640"), "{}", states[0]);
    assert!(states[1].contains("rcv 4/4096 mb 128/32768"), "{}", states[1]);
}

#[test]
fn a_call_that_sleeps_is_walked_to_its_end() {
    let text = walk("read");
    let slept = steps(walks(&text).last().expect("a walk"));
    let names: Vec<&str> = slept.iter().map(|(_, name)| *name).collect();
    let expected = ["read", "soo_read", "soreceive", "tsleep", "process", "tsleep"];
    assert_eq!(names[..expected.len()], expected);
    assert!(text.trim_end().ends_with("read(4, \"pong\", 64) = 4"), "{text}");
}

#[test]
fn every_call_that_is_listed_has_a_walk() {
    let list = String::from_utf8(explain(&[]).stdout).expect("text");
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names.len(), 25);
    for name in names {
        let text = walk(name);
        assert!(text.contains(&format!("{name}(")), "{name}: {text}");
        assert!(text.contains("\n    ") && text.contains("\n-> "), "{name}: {text}");
        assert!(text.contains("| so#"), "{name}: {text}");
    }
}

#[test]
fn json_has_the_same_steps() {
    let output = explain(&["--format", "json", "pipe"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("[\n{") && text.ends_with("}]\n"));
    let objects = text.lines().filter(|line| line.contains("\"kind\":\"step\"")).count();
    let walk = walk("pipe");
    let in_tree = steps(&walk).iter().filter(|(depth, _)| *depth > 0).count();
    assert_eq!(objects, in_tree);
    assert!(text.contains(r#""snd":{"cc":0,"hiwat":4096,"mbcnt":0,"mbmax":32768,"lowat":2048}"#));
}

#[test]
fn an_unknown_call_is_one_line_with_a_suggestion() {
    let output = explain(&["socketpear"]);
    assert_eq!(output.status.code(), Some(125));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "bsd21: unknown socket call 'socketpear'; did you mean 'socketpair'?\n");
}
