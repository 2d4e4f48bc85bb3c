//! The internet domain over the loopback interface, as a guest sees it.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use bsd21::kernel::socket::Network;
use world::{ARENA, Answer, World, nr};

const EACCES: u32 = 13;
const EINVAL: u32 = 22;
const EPIPE: u32 = 32;
const EWOULDBLOCK: u32 = 35;
const EMSGSIZE: u32 = 40;
const EADDRINUSE: u32 = 48;
const EADDRNOTAVAIL: u32 = 49;
const ECONNRESET: u32 = 54;
const ENOBUFS_NEVER: u32 = 55;
const EISCONN: u32 = 56;
const ENOTCONN: u32 = 57;
const ECONNREFUSED: u32 = 61;
const EHOSTUNREACH: u32 = 65;
const SIGPIPE: u32 = 13;
const SIGURG: u32 = 16;
const SOL_SOCKET: u32 = 0xffff;
const SO_REUSEADDR: u32 = 4;
const SO_OOBINLINE: u32 = 0x100;
const SO_ERROR: u32 = 0x1007;
const MSG_OOB: u32 = 1;
const MSG_EOF: u32 = 0x100;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const RAW: u32 = 3;
const NAME: u32 = 0x400;
const LEN: u32 = 0x440;

struct Net {
    world: World,
    _root: tempfile::TempDir,
}

fn net() -> Net {
    net_of(Network::Loopback, 0)
}

fn net_of(network: Network, uid: u32) -> Net {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::with(root.path(), network, uid);
    world.catch(0, SIGPIPE, true);
    world.catch(0, SIGURG, true);
    Net { world, _root: root }
}

fn sin(addr: [u8; 4], port: u16) -> [u8; 16] {
    let [p1, p0] = port.to_be_bytes();
    let [a, b, c, d] = addr;
    [16, 2, p1, p0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const ANY: [u8; 4] = [0; 4];

impl Net {
    fn call(&mut self, number: u32, args: &[u32]) -> Answer {
        self.world.call(0, number, args)
    }

    fn socket(&mut self, kind: u32) -> u32 {
        self.call(nr::SOCKET, &[2, kind, 0]).expect("a socket")
    }

    fn bind(&mut self, fd: u32, addr: [u8; 4], port: u16) -> Answer {
        self.world.write(0, NAME, &sin(addr, port));
        self.call(nr::BIND, &[fd, ARENA + NAME, 16])
    }

    fn connect(&mut self, fd: u32, addr: [u8; 4], port: u16) -> Answer {
        self.world.write(0, NAME, &sin(addr, port));
        self.call(nr::CONNECT, &[fd, ARENA + NAME, 16])
    }

    fn send(&mut self, fd: u32, data: &[u8], flags: u32) -> Answer {
        self.world.write(0, 0, data);
        self.call(nr::OSEND, &[fd, ARENA, data.len() as u32, flags])
    }

    fn sendto(&mut self, fd: u32, data: &[u8], flags: u32, port: u16) -> Answer {
        self.world.write(0, 0, data);
        self.world.write(0, NAME, &sin(HERE, port));
        self.call(nr::SENDTO, &[fd, ARENA, data.len() as u32, flags, ARENA + NAME, 16])
    }

    fn recv(&mut self, fd: u32, flags: u32) -> Result<Vec<u8>, u32> {
        let n = self.call(nr::ORECV, &[fd, ARENA + 0x1000, 0x1_0000, flags])?;
        Ok(self.world.read(0, 0x1000, n as usize))
    }

    /// Data with the sender's port.
    fn recvfrom(&mut self, fd: u32) -> (Vec<u8>, u16) {
        self.world.words(0, LEN, &[16]);
        let args = [fd, ARENA + 0x1000, 0x1_0000, 0, ARENA + NAME, ARENA + LEN];
        let n = self.call(nr::RECVFROM, &args).expect("a datagram waits");
        (self.world.read(0, 0x1000, n as usize), self.name().1)
    }

    fn name(&self) -> ([u8; 4], u16) {
        let bytes = self.world.read(0, NAME, 16);
        assert_eq!(bytes[..2], [16, 2]);
        ([bytes[4], bytes[5], bytes[6], bytes[7]], u16::from_be_bytes([bytes[2], bytes[3]]))
    }

    fn getsockname(&mut self, fd: u32) -> ([u8; 4], u16) {
        self.world.words(0, LEN, &[16]);
        self.call(nr::GETSOCKNAME, &[fd, ARENA + NAME, ARENA + LEN]).expect("it has a name");
        self.name()
    }

    fn set(&mut self, fd: u32, option: u32) {
        self.world.words(0, 0x80, &[1]);
        assert_eq!(self.call(nr::SETSOCKOPT, &[fd, SOL_SOCKET, option, ARENA + 0x80, 4]), Ok(0));
    }

    fn error(&mut self, fd: u32) -> u32 {
        self.world.words(0, 0x80, &[0, 4]);
        self.call(nr::GETSOCKOPT, &[fd, SOL_SOCKET, SO_ERROR, ARENA + 0x80, ARENA + 0x84]).expect("readable");
        u32::from(self.world.read(0, 0x80, 1)[0])
    }

    fn nonblocking(&mut self, fd: u32) {
        assert_eq!(self.call(nr::FCNTL, &[fd, 4, 4]), Ok(0));
    }

    fn close(&mut self, fd: u32) {
        assert_eq!(self.call(nr::CLOSE, &[fd]), Ok(0));
    }

    /// A listener at a port, and a connection to it: listener, accepted end, connecting end.
    fn connected(&mut self, port: u16) -> (u32, u32, u32) {
        let listener = self.socket(STREAM);
        assert_eq!(self.bind(listener, ANY, port), Ok(0));
        assert_eq!(self.call(nr::LISTEN, &[listener, 5]), Ok(0));
        let client = self.socket(STREAM);
        assert_eq!(self.connect(client, HERE, port), Ok(0));
        let server = self.call(nr::ACCEPT, &[listener, 0, 0]).expect("a connection waits");
        (listener, server, client)
    }
}

#[test]
fn a_stream_carries_bytes_both_ways_between_named_ends() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    assert_eq!(net.getsockname(client), (HERE, 1024), "the first port that is given out");
    assert_eq!(net.getsockname(server), (HERE, 5000));
    net.world.words(0, LEN, &[16]);
    assert_eq!(net.call(nr::GETPEERNAME, &[server, ARENA + NAME, ARENA + LEN]), Ok(0));
    assert_eq!(net.name(), (HERE, 1024));
    assert_eq!(net.send(client, b"question", 0), Ok(8));
    assert_eq!(net.recv(server, 0), Ok(b"question".to_vec()));
    assert_eq!(net.send(server, b"answer", 0), Ok(6));
    assert_eq!(net.recv(client, 0), Ok(b"answer".to_vec()));
}

#[test]
fn each_end_buffers_28_kilobytes() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    net.nonblocking(client);
    net.nonblocking(server);
    let mut sent = 0;
    for _ in 0..10 {
        while let Ok(n) = net.send(client, &[7; 4096], 0) {
            sent += n;
        }
        net.world.pass(300);
    }
    assert_eq!(sent, 2 * 28672);
    let mut got = 0;
    for _ in 0..10 {
        while let Ok(data) = net.recv(server, 0) {
            got += data.len();
        }
        net.world.pass(300);
    }
    assert_eq!(got, 2 * 28672);
    assert_eq!(net.send(client, &[7; 4096], 0), Ok(4096));
}

#[test]
fn a_nonblocking_connect_over_the_loopback_is_done_at_once() {
    let mut net = net();
    let listener = net.socket(STREAM);
    assert_eq!(net.bind(listener, ANY, 5000), Ok(0));
    assert_eq!(net.call(nr::LISTEN, &[listener, 5]), Ok(0));
    let client = net.socket(STREAM);
    net.nonblocking(client);
    assert_eq!(net.connect(client, HERE, 5000), Ok(0));
    assert_eq!(net.connect(client, HERE, 5000), Err(EISCONN));
    let refused = net.socket(STREAM);
    assert_eq!(net.connect(refused, HERE, 5001), Err(ECONNREFUSED));
    assert_eq!(net.connect(refused, HERE, 5000), Err(EINVAL), "its protocol has let it go");
}

#[test]
fn the_queue_of_a_listener_is_half_as_long_again_plus_one() {
    let mut net = net();
    let listener = net.socket(STREAM);
    assert_eq!(net.bind(listener, ANY, 5000), Ok(0));
    assert_eq!(net.call(nr::LISTEN, &[listener, 2]), Ok(0));
    for _ in 0..4 {
        let client = net.socket(STREAM);
        assert_eq!(net.connect(client, HERE, 5000), Ok(0));
    }
    let client = net.socket(STREAM);
    net.nonblocking(client);
    assert_eq!(net.connect(client, HERE, 5000), Err(36), "EINPROGRESS");
}

#[test]
fn a_half_closed_stream_still_carries_the_other_way() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    assert_eq!(net.send(client, b"last words", 0), Ok(10));
    assert_eq!(net.call(nr::SHUTDOWN, &[client, 1]), Ok(0));
    assert_eq!(net.send(client, b"x", 0), Err(EPIPE));
    assert_eq!(net.world.caught[0], [SIGPIPE]);
    assert_eq!(net.recv(server, 0), Ok(b"last words".to_vec()));
    assert_eq!(net.recv(server, 0), Ok(vec![]));
    assert_eq!(net.send(server, b"reply", 0), Ok(5));
    assert_eq!(net.recv(client, 0), Ok(b"reply".to_vec()));
}

#[test]
fn writing_to_one_who_has_closed_is_a_reset_and_then_a_broken_pipe() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    net.close(server);
    assert_eq!(net.recv(client, 0), Ok(vec![]), "the end comes first");
    assert_eq!(net.send(client, b"lost", 0), Ok(4), "nobody knows yet");
    assert_eq!(net.send(client, b"x", 0), Err(EPIPE));
    assert_eq!(net.error(client), ECONNRESET);
}

#[test]
fn a_closed_listener_resets_those_who_wait() {
    let mut net = net();
    let listener = net.socket(STREAM);
    assert_eq!(net.bind(listener, ANY, 5000), Ok(0));
    assert_eq!(net.call(nr::LISTEN, &[listener, 5]), Ok(0));
    let client = net.socket(STREAM);
    assert_eq!(net.connect(client, HERE, 5000), Ok(0));
    net.close(listener);
    assert_eq!(net.recv(client, 0), Err(ECONNRESET));
}

#[test]
fn one_urgent_byte_travels_beside_the_stream() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    let pid = net.call(20, &[]).expect("getpid");
    assert_eq!(net.call(nr::FCNTL, &[server, 6, pid]), Ok(0));
    assert_eq!(net.recv(server, MSG_OOB), Err(EINVAL), "none came");
    assert_eq!(net.send(client, b"abc", 0), Ok(3));
    assert_eq!(net.send(client, b"deF", MSG_OOB), Ok(3));
    assert_eq!(net.world.caught[0], [SIGURG]);
    assert_eq!(net.send(client, b"ghi", 0), Ok(3));
    assert_eq!(net.recv(server, 0), Ok(b"abcde".to_vec()), "a read stops at the mark");
    assert_eq!(net.call(nr::IOCTL, &[server, 0x4004_7307, ARENA + 0x80]), Ok(0));
    assert_eq!(net.world.read(0, 0x80, 1), [1], "SIOCATMARK");
    assert_eq!(net.recv(server, MSG_OOB | 2), Ok(b"F".to_vec()), "MSG_PEEK leaves it");
    assert_eq!(net.recv(server, MSG_OOB), Ok(b"F".to_vec()));
    assert_eq!(net.recv(server, MSG_OOB), Err(EINVAL), "it was taken");
    net.world.pass(300);
    assert_eq!(net.recv(server, 0), Ok(b"ghi".to_vec()), "behind the acknowledgement, which is delayed");
}

#[test]
fn urgent_data_can_stay_in_line() {
    let mut net = net();
    let (_, server, client) = net.connected(5000);
    net.set(server, SO_OOBINLINE);
    assert_eq!(net.send(client, b"abC", MSG_OOB), Ok(3));
    assert_eq!(net.send(client, b"de", 0), Ok(2));
    net.world.pass(300);
    assert_eq!(net.recv(server, 0), Ok(b"ab".to_vec()));
    assert_eq!(net.recv(server, 0), Ok(b"Cde".to_vec()));
}

#[test]
fn a_name_stays_taken_after_the_end_of_its_connection() {
    let mut net = net();
    let (listener, server, client) = net.connected(5000);
    net.close(listener);
    net.close(server);
    net.close(client);
    let again = net.socket(STREAM);
    assert_eq!(net.bind(again, ANY, 5000), Err(EADDRINUSE), "TIME_WAIT at the server, who closed first");
    let sharing = net.socket(STREAM);
    net.set(sharing, SO_REUSEADDR);
    assert_eq!(net.bind(sharing, ANY, 5000), Ok(0));
    net.close(sharing);
    net.world.pass(30_000);
    assert_eq!(net.bind(again, ANY, 5000), Ok(0), "T/TCP truncates the wait of short connections");
}

#[test]
fn sending_with_an_address_connects_and_msg_eof_closes() {
    let mut net = net();
    let listener = net.socket(STREAM);
    assert_eq!(net.bind(listener, ANY, 5000), Ok(0));
    assert_eq!(net.call(nr::LISTEN, &[listener, 5]), Ok(0));
    let client = net.socket(STREAM);
    assert_eq!(net.send(client, b"x", 0), Err(ENOTCONN));
    assert_eq!(net.sendto(client, b"request", MSG_EOF, 5000), Ok(7));
    let server = net.call(nr::ACCEPT, &[listener, 0, 0]).expect("a connection waits");
    assert_eq!(net.recv(server, 0), Ok(b"request".to_vec()));
    assert_eq!(net.recv(server, 0), Ok(vec![]));
    assert_eq!(net.send(server, b"reply", 0), Ok(5));
    assert_eq!(net.recv(client, 0), Ok(b"reply".to_vec()));
}

#[test]
fn datagrams_carry_their_senders_name() {
    let mut net = net();
    let (one, two) = (net.socket(DGRAM), net.socket(DGRAM));
    assert_eq!(net.bind(one, ANY, 6000), Ok(0));
    assert_eq!(net.sendto(two, b"first", 0, 6000), Ok(5));
    assert_eq!(net.sendto(two, b"", 0, 6000), Ok(0));
    assert_eq!(net.getsockname(two), (ANY, 1024), "the port stays, the address does not");
    assert_eq!(net.recvfrom(one), (b"first".to_vec(), 1024));
    assert_eq!(net.recvfrom(one), (vec![], 1024));
    assert_eq!(net.sendto(one, b"back", 0, 1024), Ok(4));
    assert_eq!(net.recvfrom(two), (b"back".to_vec(), 6000));
}

#[test]
fn a_connected_datagram_socket_hears_its_peer_only_and_is_told_when_there_is_none() {
    let mut net = net();
    let (one, two, three) = (net.socket(DGRAM), net.socket(DGRAM), net.socket(DGRAM));
    assert_eq!(net.bind(one, ANY, 6000), Ok(0));
    assert_eq!(net.bind(two, HERE, 6001), Ok(0));
    assert_eq!(net.connect(one, HERE, 6001), Ok(0));
    assert_eq!(net.sendto(three, b"stranger", 0, 6000), Ok(8));
    net.nonblocking(one);
    assert_eq!(net.recv(one, 0), Err(EWOULDBLOCK));
    assert_eq!(net.sendto(one, b"x", 0, 6001), Err(EISCONN));
    assert_eq!(net.send(one, b"x", 0), Ok(1));
    net.close(two);
    assert_eq!(net.send(one, b"x", 0), Ok(1), "the answer comes after the send");
    assert_eq!(net.send(one, b"x", 0), Err(ECONNREFUSED));
    assert_eq!(net.error(one), ECONNREFUSED);
    assert_eq!(net.send(one, b"x", 0), Ok(1));
    assert_eq!(net.sendto(three, b"x", 0, 6001), Ok(1), "an unconnected one is never told");
    assert_eq!(net.error(three), 0);
}

#[test]
fn a_datagram_has_at_most_9216_bytes_and_a_full_receiver_loses_it() {
    let mut net = net();
    let (one, two) = (net.socket(DGRAM), net.socket(DGRAM));
    assert_eq!(net.bind(one, ANY, 6000), Ok(0));
    assert_eq!(net.sendto(two, &[1; 9217], 0, 6000), Err(EMSGSIZE));
    let mut sent = 0;
    for _ in 0..10 {
        let answer = net.sendto(two, &[1; 9216], 0, 6000);
        assert_ne!(answer, Err(ENOBUFS_NEVER));
        sent += answer.expect("it always succeeds");
    }
    assert_eq!(sent, 92160);
    net.nonblocking(one);
    let mut got = 0;
    while let Ok(data) = net.recv(one, 0) {
        got += data.len();
    }
    assert_eq!(got, 4 * 9216, "41600 bytes, each with a name of 16");
}

#[test]
fn ports_are_shared_only_by_those_who_want_it() {
    let mut net = net();
    let (one, two) = (net.socket(DGRAM), net.socket(DGRAM));
    assert_eq!(net.bind(one, ANY, 6000), Ok(0));
    assert_eq!(net.bind(two, ANY, 6000), Err(EADDRINUSE));
    assert_eq!(net.bind(two, HERE, 6000), Err(EADDRINUSE), "the other one has every address");
    net.set(two, SO_REUSEADDR);
    assert_eq!(net.bind(two, HERE, 6000), Ok(0), "an address of its own");
    assert_eq!(net.bind(two, HERE, 6001), Err(EINVAL), "it has a name");
    let three = net.socket(DGRAM);
    assert_eq!(net.sendto(three, b"x", 0, 6000), Ok(1));
    assert_eq!(net.recvfrom(two).0, b"x", "the exact name wins");
}

#[test]
fn only_this_machine_can_be_reached() {
    let mut net = net();
    let one = net.socket(DGRAM);
    assert_eq!(net.bind(one, [10, 0, 0, 1], 6000), Err(EADDRNOTAVAIL));
    assert_eq!(net.connect(one, [10, 0, 0, 1], 6000), Ok(0), "connecting asks nobody");
    assert_eq!(net.send(one, b"x", 0), Err(EHOSTUNREACH));
    let stream = net.socket(STREAM);
    assert_eq!(net.connect(stream, [10, 0, 0, 1], 80), Err(EHOSTUNREACH));
    let any = net.socket(DGRAM);
    assert_eq!(net.connect(any, ANY, 6000), Ok(0), "any address is our own");
    assert_eq!(net.getsockname(any).0, HERE);
}

#[test]
fn low_ports_and_raw_sockets_are_the_super_users() {
    let mut net = net_of(Network::Loopback, 100);
    let one = net.socket(DGRAM);
    assert_eq!(net.bind(one, ANY, 1023), Err(EACCES));
    assert_eq!(net.call(nr::SOCKET, &[2, RAW, 1]), Err(EACCES));
}

#[test]
fn an_echo_request_is_answered() {
    let mut net = net();
    let fd = net.call(nr::SOCKET, &[2, RAW, 1]).expect("a raw socket");
    let ping = [8, 0, 0x7d, 0x61, 0x12, 0x34, 0, 1, b'h', b'i'];
    assert_eq!(net.sendto(fd, &ping, 0, 0), Ok(10));
    let answer = net.recv(fd, 0).expect("an answer");
    assert_eq!(answer.len(), 30, "with its header");
    assert_eq!(answer[9], 1);
    assert_eq!(answer[20..22], [0, 0], "an echo reply");
    assert_eq!(answer[24..], ping[4..]);
}

#[test]
fn the_loopback_interface_can_be_asked_about() {
    let mut net = net();
    let fd = net.socket(DGRAM);
    net.world.words(0, 0x80, &[256, ARENA + 0x1000]);
    assert_eq!(net.call(nr::IOCTL, &[fd, 0xc008_6924, ARENA + 0x80]), Ok(0), "SIOCGIFCONF");
    let list = net.world.read(0, 0x1000, 68);
    assert_eq!(net.world.read(0, 0x80, 4), [68, 0, 0, 0]);
    assert_eq!((&list[..4], list[16], list[17]), (&b"lo0\0"[..], 20, 18), "a link-level address");
    assert_eq!((&list[36..40], &list[52..60]), (&b"lo0\0"[..], &[16, 2, 0, 0, 127, 0, 0, 1][..]));
    net.world.write(0, 0x200, b"lo0\0");
    assert_eq!(net.call(nr::IOCTL, &[fd, 0xc020_6911, ARENA + 0x200]), Ok(0), "SIOCGIFFLAGS");
    assert_eq!(net.world.read(0, 0x210, 2), [0x49, 0x80], "up, loopback, running, multicast");
    net.world.write(0, 0x200, b"ed0\0");
    assert_eq!(net.call(nr::IOCTL, &[fd, 0xc020_6911, ARENA + 0x200]), Err(6), "ENXIO");
}

#[test]
fn an_unconfigured_machine_has_no_addresses() {
    let mut net = net_of(Network::None, 0);
    let one = net.socket(DGRAM);
    assert_eq!(net.bind(one, ANY, 6000), Err(EADDRNOTAVAIL));
    assert_eq!(net.sendto(one, b"x", 0, 6000), Err(EADDRNOTAVAIL));
    let stream = net.socket(STREAM);
    assert_eq!(net.connect(stream, HERE, 80), Err(EADDRNOTAVAIL));
    let raw = net.socket(RAW);
    assert_eq!(net.sendto(raw, b"x", 0, 0), Err(EHOSTUNREACH));
}
