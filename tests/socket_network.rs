//! `--net host`: guest programs talk to servers and clients of the host, all on its loopback.
//!
//! Where no sockets can be made these tests say that they are skipped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A listener of the host on any port; none where sockets cannot be made.
fn listener(test: &str) -> Option<(TcpListener, u16)> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| Ok((l.local_addr()?.port(), l))) {
        Ok((port, listener)) => Some((listener, port)),
        Err(why) => {
            eprintln!("skipped: {test}: no sockets on this host ({why})");
            None
        }
    }
}

fn guest(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--quiet", "--net", "host", "--max-wall", "60"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/socket/network"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bsd21 runs")
}

/// What a guest prints, while `server` serves one connection.
fn with_server(
    test: &str,
    behaviour: &str,
    server: impl FnOnce(TcpStream) + Send + 'static,
) -> Option<String> {
    let (listener, port) = listener(test)?;
    let serving = thread::spawn(move || server(listener.accept().expect("the guest connects").0));
    let output = guest(&[behaviour, &port.to_string()]).wait_with_output().expect("it ends");
    serving.join().expect("the server is content");
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn a_guest_is_a_client() {
    let printed = with_server("a_guest_is_a_client", "client", |mut peer| {
        let mut heard = String::new();
        peer.read_to_string(&mut heard).expect("the guest shuts down");
        assert_eq!(heard, "from the guest\n");
        peer.write_all(b"from the host\n").expect("the guest still reads");
    });
    let Some(printed) = printed else { return };
    assert_eq!(printed, "connect: 0\nfrom the host\nthe end: 0\n");
}

#[test]
fn a_guest_is_a_server() {
    if listener("a_guest_is_a_server").is_none() {
        return;
    }
    let mut guest = guest(&["server"]);
    let mut printed = BufReader::new(guest.stdout.take().expect("a pipe"));
    let mut line = String::new();
    printed.read_line(&mut line).expect("its port");
    let port: u16 = line.trim().parse().expect("a number");
    let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    let sent: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let (mut writer, to_send) = (peer.try_clone().expect("a second handle"), sent.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&to_send).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("connected");
    });
    let mut echoed = Vec::new();
    peer.read_to_end(&mut echoed).expect("it answers");
    writing.join().expect("all is sent");
    assert!(echoed == sent, "{} of {} bytes came back", echoed.len(), sent.len());
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "the end: 0\n127.0.0.1\n");
    assert!(guest.wait().expect("it ends").success());
}

#[test]
fn what_a_guest_has_written_arrives_although_it_is_gone() {
    let name = "what_a_guest_has_written_arrives_although_it_is_gone";
    with_server(name, "source", |mut peer| {
        // Longer than the guest takes to fill every buffer on the way and to exit.
        thread::sleep(Duration::from_millis(300));
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("a regular end");
        assert_eq!(bytes.len(), 16 * 65536);
        assert!(bytes.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    });
}

#[test]
fn a_guest_that_never_waits_in_a_call_selects() {
    let name = "a_guest_that_never_waits_in_a_call_selects";
    let printed = with_server(name, "selecting", |mut peer| {
        let mut heard = [0; 9];
        peer.read_exact(&mut heard).expect("a question");
        thread::sleep(Duration::from_millis(100));
        peer.write_all(b"answer").expect("it reads");
    });
    let Some(printed) = printed else { return };
    let expected = "connect: begun or done\nwritable: 1\nnothing yet: EWOULDBLOCK\nreadable: 1\n\
                    read: 6 \"answer\"\n";
    assert_eq!(printed, expected);
}

#[test]
fn datagrams_go_both_ways() {
    if listener("datagrams_go_both_ways").is_none() {
        return;
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = socket.local_addr().expect("a name").port();
    let serving = thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, guest) = socket.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(buffer[..length], *b"ping");
        socket.send_to(b"pong", guest).expect("it has a port");
        let (length, again) = socket.recv_from(&mut buffer).expect("another one");
        assert_eq!((&buffer[..length], again), (&b"bye"[..], guest), "connecting keeps the port");
        socket.send_to(b"bye", guest).expect("it is there");
    });
    let output = guest(&["datagrams", &port.to_string()]).wait_with_output().expect("it ends");
    serving.join().expect("the server is content");
    let expected =
        "sendto: 4\nrecvfrom: 4 \"pong\"\nfrom that port: 1\nconnect: 0\nwrite: 3\nread: 3 \"bye\"\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn errors_of_the_host_are_the_guests() {
    let Some((listener, port)) = listener("errors_of_the_host_are_the_guests") else { return };
    drop(listener);
    let output = guest(&["refusals", &port.to_string()]).wait_with_output().expect("it ends");
    let expected = "nobody listens: ECONNREFUSED\nnot an address of this machine: EADDRNOTAVAIL\n\
                    another family: EAFNOSUPPORT\na raw socket: EPERM\ndatagram to nobody: 1\n\
                    the answer: ECONNREFUSED\n";
    // A host may let its user send echo requests.
    let printed =
        String::from_utf8_lossy(&output.stdout).replace("a raw socket: 6\n", "a raw socket: EPERM\n");
    assert_eq!(printed, expected);
}

#[test]
fn a_broken_connection_is_a_reset() {
    let printed = with_server("a_broken_connection_is_a_reset", "reset", |mut peer| {
        peer.read_exact(&mut [0]).expect("a byte");
        rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).expect("a socket");
    });
    let Some(printed) = printed else { return };
    assert_eq!(printed, "read: ECONNRESET\nagain: 0\nwrite: EPIPE\n");
}

#[test]
fn guests_reach_each_other_over_the_host() {
    if listener("guests_reach_each_other_over_the_host").is_none() {
        return;
    }
    let output = guest(&["among-guests"]).wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "read: 9 \"neighbour\"\nthe end: 0\n");
}

#[test]
fn a_run_that_is_to_be_repeated_has_no_network() {
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--net", "host", "--clock", "virtual", "x"])
        .output()
        .expect("bsd21 runs");
    assert_eq!(output.status.code(), Some(125));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "bsd21: --net host cannot be repeated: leave out --clock virtual\n");
}
