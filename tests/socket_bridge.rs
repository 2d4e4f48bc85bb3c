//! `--net host` from inside of the kernel: listeners, urgent data, ports that are others at the host, many idle sockets,
//! echo requests, and the interface that is shown; the other ends are sockets of this program, on the loopback.
//!
//! Where no sockets can be made these tests say that they are skipped.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bsd21::kernel::netinet::bridge::ports::Forward;
use bsd21::kernel::socket::Network;
use bsd21::kernel::vfs::poll_host;
use world::{ARENA, World, nr};

const SIOCATMARK: u32 = 0x4004_7307;
const SIOCGIFCONF: u32 = 0xc008_6924;
const FIONBIO: u32 = 0x8004_667e;
const SOL_SOCKET: u32 = 0xffff;
const SO_OOBINLINE: u32 = 0x100;
const MSG_OOB: u32 = 1;
const EINVAL: u32 = 22;
const EPERM: u32 = 1;
const EWOULDBLOCK: u32 = 35;
const ECONNREFUSED: u32 = 61;
const IP_HDRINCL: u32 = 2;
const SIGURG: u32 = 16;
const FIOSETOWN: u32 = 0x8004_667c;

/// A world over the host's network; none where sockets cannot be made.
fn world(test: &str) -> Option<(World, tempfile::TempDir)> {
    if let Err(why) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        eprintln!("skipped: {test}: no sockets on this host ({why})");
        return None;
    }
    let root = tempfile::tempdir().expect("a directory");
    Some((World::with(root.path(), Network::Host, 0), root))
}

fn sin(port: u16) -> [u8; 16] {
    let [p1, p0] = port.to_be_bytes();
    [16, 2, p1, p0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn port(world: &mut World, call: u32, fd: u32) -> u16 {
    world.words(0, 0x80, &[16]);
    assert_eq!(world.call(0, call, &[fd, ARENA + 0x100, ARENA + 0x80]), Ok(0));
    u16::from_be_bytes(world.read(0, 0x102, 2).try_into().expect("two bytes"))
}

fn bind(world: &mut World, number: u16) -> u32 {
    let fd = world.call(0, nr::SOCKET, &[2, 1, 0]).expect("a socket");
    world.write(0, 0x100, &sin(number));
    assert_eq!(world.call(0, nr::BIND, &[fd, ARENA + 0x100, 16]), Ok(0));
    fd
}

fn listen(world: &mut World, number: u16, backlog: u32) -> (u32, u16) {
    let fd = bind(world, number);
    assert_eq!(world.call(0, nr::LISTEN, &[fd, backlog]), Ok(0));
    (fd, port(world, nr::GETSOCKNAME, fd))
}

/// Lets the host's network do something until a call that slept is over.
fn wait(world: &mut World, n: usize) -> world::Answer {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if let Some(answer) = world.answer(n) {
            return answer;
        }
        poll_host(&mut world.kernel, &[], Some(20_000_000));
        world.pass(0);
    }
    panic!("it never ends: {:?}", world.wmesg(n));
}

fn call(world: &mut World, number: u32, args: &[u32]) -> world::Answer {
    world.begin(0, number, args);
    wait(world, 0)
}

/// A connection of the guest, descriptor, and its other end.
fn connected(world: &mut World) -> (u32, TcpStream) {
    let (fd, port) = listen(world, 0, 5);
    let peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    peer.set_nodelay(true).expect("a stream");
    let accepted = call(world, nr::ACCEPT, &[fd, 0, 0]).expect("a connection");
    assert_eq!(world.call(0, nr::CLOSE, &[fd]), Ok(0));
    (accepted, peer)
}

fn send_urgent(peer: &TcpStream, data: &[u8]) {
    rustix::net::send(peer, data, rustix::net::SendFlags::OOB).expect("it is connected");
}

#[test]
fn urgent_data_come_with_their_mark() {
    let Some((mut world, _root)) = world("urgent_data_come_with_their_mark") else { return };
    let (fd, mut peer) = connected(&mut world);
    world.catch(0, SIGURG, false);
    let pid = 5;
    world.words(0, 0x80, &[pid]);
    assert_eq!(world.call(0, nr::IOCTL, &[fd, FIOSETOWN, ARENA + 0x80]), Ok(0));
    assert_eq!(world.call(0, nr::ORECV, &[fd, ARENA, 1, MSG_OOB]), Err(EINVAL), "none was announced");
    peer.write_all(b"before").expect("it reads");
    send_urgent(&peer, b"!");
    peer.write_all(b"after").expect("it reads");
    let end = Instant::now() + Duration::from_secs(30);
    while world.caught[0].is_empty() && Instant::now() < end {
        poll_host(&mut world.kernel, &[], Some(20_000_000));
        world.pass(0);
    }
    assert_eq!(world.caught[0], [SIGURG]);
    assert_eq!(call(&mut world, nr::READ, &[fd, ARENA, 100]), Ok(6), "up to the mark");
    assert_eq!(world.call(0, nr::IOCTL, &[fd, SIOCATMARK, ARENA + 0x80]), Ok(0));
    assert_eq!(world.read(0, 0x80, 4), [1, 0, 0, 0]);
    assert_eq!(world.call(0, nr::ORECV, &[fd, ARENA, 1, MSG_OOB]), Ok(1));
    assert_eq!(world.read(0, 0, 1), b"!");
    assert_eq!(call(&mut world, nr::READ, &[fd, ARENA, 100]), Ok(5));
    assert_eq!(world.read(0, 0, 5), b"after");
}

#[test]
fn an_urgent_byte_stays_in_line_where_that_is_wanted() {
    let Some((mut world, _root)) = world("an_urgent_byte_stays_in_line_where_that_is_wanted") else { return };
    let (fd, mut peer) = connected(&mut world);
    world.words(0, 0x80, &[1]);
    assert_eq!(world.call(0, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_OOBINLINE, ARENA + 0x80, 4]), Ok(0));
    peer.write_all(b"before").expect("it reads");
    send_urgent(&peer, b"!");
    peer.write_all(b"after").expect("it reads");
    drop(peer);
    let mut all = Vec::new();
    loop {
        match call(&mut world, nr::READ, &[fd, ARENA, 100]).expect("a stream") {
            0 => break,
            len => all.extend(world.read(0, 0, len as usize)),
        }
    }
    assert_eq!(all, b"before!after");
}

#[test]
fn the_guests_urgent_byte_is_one_of_the_host() {
    let Some((mut world, _root)) = world("the_guests_urgent_byte_is_one_of_the_host") else { return };
    let (fd, mut peer) = connected(&mut world);
    world.write(0, 0, b"ab");
    assert_eq!(world.call(0, nr::OSEND, &[fd, ARENA, 2, MSG_OOB]), Ok(2));
    let mut byte = [0];
    peer.read_exact(&mut byte).expect("it comes");
    assert_eq!(&byte, b"a");
    let end = Instant::now() + Duration::from_secs(30);
    while rustix::net::recv(&peer, &mut byte, rustix::net::RecvFlags::OOB).is_err() && Instant::now() < end {}
    assert_eq!(&byte, b"b");
}

#[test]
fn a_listener_has_the_guests_backlog() {
    let Some((mut world, _root)) = world("a_listener_has_the_guests_backlog") else { return };
    let (fd, port) = listen(&mut world, 0, 60);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // More than the sixteen and the few of the guest's own queue that there were once.
    let peers: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(20)).expect("there is room"))
        .collect();
    for _ in &peers {
        call(&mut world, nr::ACCEPT, &[fd, 0, 0]).expect("a connection");
    }
}

#[test]
fn a_port_of_the_guest_is_where_the_run_says() {
    let Some((mut world, _root)) = world("a_port_of_the_guest_is_where_the_run_says") else { return };
    let free =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
    world.kernel.forward(vec![Forward { host: free, guest: 23, udp: false }]);
    let (fd, seen) = listen(&mut world, 23, 5);
    assert_eq!(seen, 23);
    let peer = TcpStream::connect((Ipv4Addr::LOCALHOST, free)).expect("it listens there");
    let accepted = call(&mut world, nr::ACCEPT, &[fd, 0, 0]).expect("a connection");
    assert_eq!(port(&mut world, nr::GETSOCKNAME, accepted), 23);
    assert_eq!(port(&mut world, nr::GETPEERNAME, accepted), peer.local_addr().expect("a stream").port());
}

#[test]
fn programs_of_the_guest_find_each_other_by_the_ports_that_they_asked_for() {
    let name = "programs_of_the_guest_find_each_other_by_the_ports_that_they_asked_for";
    let Some((mut world, _root)) = world(name) else { return };
    let free =
        || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port").port();
    let forwards = [(free(), 514), (free(), 1023)];
    world.kernel.forward(forwards.map(|(host, guest)| Forward { host, guest, udp: false }).to_vec());
    let (fd, _) = listen(&mut world, 514, 5);
    let client = bind(&mut world, 1023);
    world.write(0, 0x100, &sin(514));
    assert_eq!(call(&mut world, nr::CONNECT, &[client, ARENA + 0x100, 16]), Ok(0));
    let accepted = call(&mut world, nr::ACCEPT, &[fd, 0, 0]).expect("a connection");
    assert_eq!(port(&mut world, nr::GETPEERNAME, accepted), 1023, "a reserved port, as rshd wants it");
    assert_eq!(port(&mut world, nr::GETPEERNAME, client), 514);
}

#[test]
fn idle_sockets_cost_nothing() {
    let Some((mut world, _root)) = world("idle_sockets_cost_nothing") else { return };
    let (fd, number) = listen(&mut world, 0, 128);
    let mut peers = Vec::new();
    let mut last = 0;
    for _ in 0..50 {
        peers.push(TcpStream::connect((Ipv4Addr::LOCALHOST, number)).expect("it listens"));
        last = call(&mut world, nr::ACCEPT, &[fd, 0, 0]).expect("a connection");
    }
    // A descriptor that is polled is one more that the host looks at; there is one for all sockets.
    let peer = peers.last_mut().expect("a stream");
    for round in 0..100u8 {
        peer.write_all(&[round]).expect("it reads");
        assert_eq!(call(&mut world, nr::READ, &[last, ARENA, 10]), Ok(1));
        assert_eq!(world.read(0, 0, 1), [round]);
        assert_eq!(call(&mut world, nr::WRITE, &[last, ARENA, 1]), Ok(1));
        let mut byte = [0];
        peer.read_exact(&mut byte).expect("it answers");
        assert_eq!(byte, [round]);
    }
    // What the guest has no room for waits, and is not lost.
    let sent: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let mut writer = peer.try_clone().expect("a second handle");
    let copy = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&copy).expect("it reads"));
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let len = call(&mut world, nr::READ, &[last, ARENA, 4096]).expect("a stream");
        got.extend(world.read(0, 0, len as usize));
    }
    writing.join().expect("all is sent");
    assert!(got == sent);
    world.words(0, 0x80, &[1]);
    assert_eq!(world.call(0, nr::IOCTL, &[last, FIONBIO, ARENA + 0x80]), Ok(0));
    assert_eq!(world.call(0, nr::READ, &[last, ARENA, 10]), Err(EWOULDBLOCK));
}

#[test]
fn an_echo_request_is_answered_where_the_host_lets_its_user_send_one() {
    let name = "an_echo_request_is_answered_where_the_host_lets_its_user_send_one";
    let Some((mut world, _root)) = world(name) else { return };
    let fd = match world.call(0, nr::SOCKET, &[2, 3, 1]) {
        Ok(fd) => fd,
        Err(error) => {
            assert_eq!(error, EPERM);
            return eprintln!("skipped: {name}: not for this user");
        }
    };
    world.write(0, 0, &[8, 0, 0xf7, 0xcb, 0x12, 0x34, 0, 0, 0xee, 0]);
    world.write(0, 0x100, &sin(0));
    match world.call(0, nr::SENDTO, &[fd, ARENA, 10, 0, ARENA + 0x100, 16]) {
        Ok(10) => {}
        other => return eprintln!("skipped: {name}: {other:?}"),
    }
    assert_eq!(call(&mut world, nr::READ, &[fd, ARENA + 0x200, 100]), Ok(30));
    let answer = world.read(0, 0x200, 30);
    assert_eq!((answer[9], &answer[12..16]), (1, &[127, 0, 0, 1][..]), "a header of IP");
    assert_eq!((answer[20], &answer[24..]), (0, &[0x12, 0x34, 0, 0, 0xee, 0][..]), "with the guest's number");
    assert_eq!(world.call(0, nr::SOCKET, &[2, 3, 2]), Err(EPERM), "IGMP");
}

/// A raw socket of ICMP, where the host has one for its user.
fn raw(world: &mut World, test: &str) -> Option<u32> {
    let fd = world.call(0, nr::SOCKET, &[2, 3, 1]);
    if fd == Err(EPERM) {
        eprintln!("skipped: {test}: not for this user");
    }
    fd.ok()
}

/// A port that nobody has.
fn nobodys() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.local_addr().expect("a name").port()
}

/// The message that comes: that the port of `to` was not reached from that of `from`.
fn says_unreached(world: &mut World, fd: u32, from: u16, to: u16, len: u16) {
    let got = call(world, nr::READ, &[fd, ARENA + 0x200, 200]);
    assert_eq!(got, Ok(20 + 8 + 28));
    let message = world.read(0, 0x200, 56);
    assert_eq!((message[9], &message[12..16]), (1, &[127, 0, 0, 1][..]), "a header of IP");
    assert_eq!(message[20..22], [3, 3], "no such port");
    let quoted = &message[28..];
    assert_eq!((quoted[0], quoted[9], &quoted[16..20]), (0x45, 17, &[127, 0, 0, 1][..]), "our header");
    // The length is in the order of the host, as raw sockets see it.
    assert_eq!(quoted[2..4], (28 + len).to_le_bytes());
    let expected = [from.to_be_bytes(), to.to_be_bytes(), (8 + len).to_be_bytes()].concat();
    assert_eq!(quoted[20..26], expected, "the ports of our datagram");
}

#[test]
fn what_the_host_hears_of_a_datagram_is_a_message_for_raw_sockets() {
    let name = "what_the_host_hears_of_a_datagram_is_a_message_for_raw_sockets";
    let Some((mut world, _root)) = world(name) else { return };
    let Some(icmp) = raw(&mut world, name) else { return };
    let nobody = nobodys();
    let udp = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    world.write(0, 0x100, &sin(nobody));
    world.write(0, 0, b"to nobody");
    assert_eq!(world.call(0, nr::SENDTO, &[udp, ARENA, 9, 0, ARENA + 0x100, 16]), Ok(9));
    let from = port(&mut world, nr::GETSOCKNAME, udp);
    says_unreached(&mut world, icmp, from, nobody, 9);
    // A socket that is not connected is not told, by the next datagram as little as by a read.
    world.write(0, 0x100, &sin(nobody));
    assert_eq!(world.call(0, nr::SENDTO, &[udp, ARENA, 9, 0, ARENA + 0x100, 16]), Ok(9));
    says_unreached(&mut world, icmp, from, nobody, 9);
    world.words(0, 0x80, &[1]);
    assert_eq!(world.call(0, nr::IOCTL, &[udp, FIONBIO, ARENA + 0x80]), Ok(0));
    assert_eq!(world.call(0, nr::READ, &[udp, ARENA, 10]), Err(EWOULDBLOCK));
    // One that is connected is.
    world.write(0, 0x100, &sin(nobody));
    assert_eq!(world.call(0, nr::CONNECT, &[udp, ARENA + 0x100, 16]), Ok(0));
    assert_eq!(world.call(0, nr::WRITE, &[udp, ARENA, 4]), Ok(4));
    says_unreached(&mut world, icmp, from, nobody, 4);
    assert_eq!(world.call(0, nr::READ, &[udp, ARENA, 10]), Err(ECONNREFUSED));
    assert_eq!(world.call(0, nr::READ, &[udp, ARENA, 10]), Err(EWOULDBLOCK), "once");
}

#[test]
fn a_datagram_with_a_header_of_its_own_finds_the_end_of_a_route() {
    let name = "a_datagram_with_a_header_of_its_own_finds_the_end_of_a_route";
    let Some((mut world, _root)) = world(name) else { return };
    let Some(icmp) = raw(&mut world, name) else { return };
    let (nobody, from) = (nobodys(), nobodys());
    let sender = world.call(0, nr::SOCKET, &[2, 3, 255]).expect("a raw socket");
    world.write(0, 0x100, &sin(0));
    let to = [sender, ARENA, 40, 0, ARENA + 0x100, 16];
    assert_eq!(world.call(0, nr::SENDTO, &to), Err(EPERM), "a protocol that the host does not send");
    world.words(0, 0x80, &[1]);
    assert_eq!(world.call(0, nr::SETSOCKOPT, &[sender, 0, IP_HDRINCL, ARENA + 0x80, 4]), Ok(0));
    let mut packet = vec![0x45, 0, 40, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1];
    packet.extend([from.to_be_bytes(), nobody.to_be_bytes(), 20_u16.to_be_bytes(), [0; 2]].concat());
    packet.extend([7; 12]);
    world.write(0, 0, &packet);
    for _ in 0..3 {
        assert_eq!(world.call(0, nr::SENDTO, &to), Ok(40));
        says_unreached(&mut world, icmp, from, nobody, 12);
    }
    // Who listens gets the datagram, from that port.
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let there = listener.local_addr().expect("a name").port();
    world.write(0, 22, &there.to_be_bytes());
    assert_eq!(world.call(0, nr::SENDTO, &to), Ok(40));
    let mut buffer = [0; 64];
    let (length, guest) = listener.recv_from(&mut buffer).expect("a datagram");
    assert_eq!((&buffer[..length], guest.port()), (&[7; 12][..], from));
}

#[test]
fn interfaces_are_the_loopback_and_the_hosts_way_out() {
    let Some((mut world, _root)) = world("interfaces_are_the_loopback_and_the_hosts_way_out") else { return };
    let fd = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    world.words(0, 0x80, &[1000, ARENA + 0x400]);
    assert_eq!(world.call(0, nr::IOCTL, &[fd, SIOCGIFCONF, ARENA + 0x80]), Ok(0));
    let listed = String::from_utf8_lossy(&world.read(0, 0x400, 400)).into_owned();
    assert!(listed.contains("lo0"));
    let reaches = UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect("192.0.2.1:9")).is_ok();
    assert_eq!(listed.contains("ed0"), reaches);
}

/// Packets of a record: protocol, identification, length, and whether the header's sum is right.
fn recorded(record: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut rest = &record[24..];
    while rest.len() >= 16 {
        let len = u32::from_le_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
        packets.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    packets
}

fn folded(words: impl Iterator<Item = u32>) -> u32 {
    words.fold(0, |sum, word| (sum + word) % 0xffff)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
}

#[test]
fn a_record_has_packets_that_carry_what_passed() {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let Some((mut world, _root)) = world("a_record_has_packets_that_carry_what_passed") else { return };
    let kept = Kept::default();
    world.kernel.record_packets(Box::new(kept.clone())).expect("a record");
    let (fd, mut peer) = connected(&mut world);
    peer.write_all(b"there").expect("it reads");
    assert_eq!(call(&mut world, nr::READ, &[fd, ARENA, 100]), Ok(5));
    world.write(0, 0, b"and back");
    assert_eq!(world.call(0, nr::WRITE, &[fd, ARENA, 8]), Ok(8));
    peer.read_exact(&mut [0; 8]).expect("it was sent");
    drop(peer);
    assert_eq!(call(&mut world, nr::READ, &[fd, ARENA, 100]), Ok(0));
    assert_eq!(world.call(0, nr::CLOSE, &[fd]), Ok(0));
    let packets = recorded(&kept.0.lock().expect("nobody panics"));
    let label = &packets[0];
    assert!(label[9] == 17 && label.windows(7).any(|text| text == b"made up"), "{label:?}");
    let mut data = Vec::new();
    for packet in &packets {
        assert_eq!(packet[4..6], *b"21", "each is marked");
        assert_eq!(folded(words(&packet[..20])), 0, "the header's sum");
        let pseudo = words(&packet[12..20]).chain([u32::from(packet[9]), packet.len() as u32 - 20]);
        assert_eq!(folded(pseudo.chain(words(&packet[20..]))), 0, "the sum");
        if packet[9] == 6 && packet.len() > 40 {
            data.push(packet[40..].to_vec());
        }
    }
    assert_eq!(data, [b"there".to_vec(), b"and back".to_vec()]);
    let flags: Vec<u8> = packets[1..].iter().map(|packet| packet[33]).collect();
    assert_eq!(flags[..3], [0x02, 0x12, 0x10], "the handshake");
    assert_eq!(flags.iter().filter(|&&flags| flags & 1 != 0).count(), 2, "both ends");
}
