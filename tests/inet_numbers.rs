//! Where the original's numbers are short, signed or unsigned, and a guest can see it.  The answers follow from
//! netinet/ip_input.c, tcp_input.c, tcp_timer.c, tcp_usrreq.c, udp_usrreq.c and net/rtsock.c.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use bsd21::kernel::net::route::{rt_add, rtf};
use bsd21::kernel::socket::Network;
use world::{ARENA, Answer, World, nr};

const SYSCTL: u32 = 202;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const RAW: u32 = 3;
const SOL_SOCKET: u32 = 0xffff;
const SO_RCVBUF: u32 = 0x1002;
const SO_ERROR: u32 = 0x1007;
const IPPROTO_IP: u32 = 0;
const IPPROTO_TCP: u32 = 6;
const TCP_MAXSEG: u32 = 2;
const IP_HDRINCL: u32 = 2;
const IP_ADD_MEMBERSHIP: u32 = 12;
const EWOULDBLOCK: u32 = 35;
const ECONNRESET: u32 = 54;
const ENOBUFS: u32 = 55;
const SIGPIPE: u32 = 13;
const HERE: [u8; 4] = [127, 0, 0, 1];

struct Net {
    world: World,
    _root: tempfile::TempDir,
}

fn net() -> Net {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::with(root.path(), Network::Loopback, 0);
    world.catch(0, SIGPIPE, true);
    Net { world, _root: root }
}

fn sin(addr: [u8; 4], port: u16) -> [u8; 16] {
    let [p1, p0] = port.to_be_bytes();
    let [a, b, c, d] = addr;
    [16, 2, p1, p0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl Net {
    fn call(&mut self, number: u32, args: &[u32]) -> Answer {
        self.world.call(0, number, args)
    }

    fn socket(&mut self, kind: u32, protocol: u32) -> u32 {
        let fd = self.call(nr::SOCKET, &[2, kind, protocol]).expect("a socket");
        // Without waiting.
        assert_eq!(self.call(nr::FCNTL, &[fd, 4, 4]), Ok(0));
        fd
    }

    fn set(&mut self, fd: u32, level: u32, option: u32, value: &[u8]) -> Answer {
        self.world.write(0, 0x80, value);
        self.call(nr::SETSOCKOPT, &[fd, level, option, ARENA + 0x80, value.len() as u32])
    }

    fn get(&mut self, fd: u32, level: u32, option: u32) -> u32 {
        self.world.words(0, 0x80, &[0, 4]);
        self.call(nr::GETSOCKOPT, &[fd, level, option, ARENA + 0x80, ARENA + 0x84]).expect("readable");
        u32::from_le_bytes(self.world.read(0, 0x80, 4).try_into().expect("four bytes"))
    }

    fn sysctl(&mut self, name: [u32; 4], value: i32) {
        self.world.words(0, 0x80, &name);
        self.world.words(0, 0xa0, &[value as u32]);
        self.call(SYSCTL, &[ARENA + 0x80, 4, 0, 0, ARENA + 0xa0, 4]).expect("it may be set");
    }

    fn sendto(&mut self, fd: u32, data: &[u8], addr: [u8; 4], port: u16) -> Answer {
        self.world.write(0, 0x1_0000, data);
        self.world.write(0, 0x100, &sin(addr, port));
        self.call(nr::SENDTO, &[fd, ARENA + 0x1_0000, data.len() as u32, 0, ARENA + 0x100, 16])
    }

    fn recv(&mut self, fd: u32) -> Result<Vec<u8>, u32> {
        let n = self.call(nr::ORECV, &[fd, ARENA + 0x1_0000, 0x1_0000, 0])?;
        Ok(self.world.read(0, 0x1_0000, n as usize))
    }

    fn named(&mut self, call: u32, fd: u32, port: u16) -> Answer {
        self.world.write(0, 0x100, &sin(HERE, port));
        self.call(call, &[fd, ARENA + 0x100, 16])
    }

    /// A connection: the end that asked for it, and the other one.
    fn connected(&mut self) -> (u32, u32) {
        let (listener, own) = (self.socket(STREAM, 0), self.socket(STREAM, 0));
        assert_eq!(self.named(nr::BIND, listener, 3000), Ok(0));
        assert_eq!(self.call(nr::LISTEN, &[listener, 5]), Ok(0));
        assert_eq!(self.named(nr::CONNECT, own, 3000), Ok(0));
        let other = self.call(nr::ACCEPT, &[listener, 0, 0]).expect("it waits");
        (own, other)
    }
}

/// A fragment of protocol 200, as a user who writes headers gives it.
fn fragment(tos: u8, units: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let [l0, l1] = (20 + data.len() as u16).to_le_bytes();
    let [o0, o1] = (units | u16::from(more) << 13).to_le_bytes();
    let header = [0x45, tos, l0, l1, 0, 7, o0, o1, 64, 200, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
    [&header[..], data].concat()
}

#[test]
fn fragments_lose_the_lowest_bit_of_their_type_of_service() {
    let mut net = net();
    let (sender, receiver) = (net.socket(RAW, 255), net.socket(RAW, 200));
    assert_eq!(net.set(sender, IPPROTO_IP, IP_HDRINCL, &[1, 0, 0, 0]), Ok(0));
    for (units, more) in [(0, true), (1, false)] {
        assert_eq!(net.sendto(sender, &fragment(0x11, units, more, &[9; 8]), HERE, 0), Ok(28));
    }
    let packet = net.recv(receiver).expect("it is whole");
    assert_eq!((packet[1], packet.len()), (0x10, 36));
    assert_eq!(net.sendto(sender, &fragment(0x11, 0, false, &[9; 8]), HERE, 0), Ok(28));
    assert_eq!(net.recv(receiver).expect("it is no fragment")[1], 0x11);
}

#[test]
fn a_fragment_behind_32767_bytes_is_never_joined() {
    const PIECE: usize = 8000;
    for (count, whole) in [(5, true), (6, false)] {
        let mut net = net();
        let (sender, receiver) = (net.socket(RAW, 255), net.socket(RAW, 200));
        assert_eq!(net.set(sender, IPPROTO_IP, IP_HDRINCL, &[1, 0, 0, 0]), Ok(0));
        assert_eq!(net.set(receiver, SOL_SOCKET, SO_RCVBUF, &60000u32.to_le_bytes()), Ok(0));
        for piece in 0..count {
            let sent = fragment(0, (piece * PIECE / 8) as u16, piece + 1 < count, &[9; PIECE]);
            assert_eq!(net.sendto(sender, &sent, HERE, 0), Ok(20 + PIECE as u32));
        }
        let received = net.recv(receiver).map(|packet| packet.len());
        assert_eq!(received, if whole { Ok(20 + count * PIECE) } else { Err(EWOULDBLOCK) });
    }
}

#[test]
fn the_size_of_segments_is_an_unsigned_number() {
    let mut net = net();
    net.sysctl([4, 2, 6, 3], -1);
    let fd = net.socket(STREAM, 0);
    assert_eq!(net.get(fd, IPPROTO_TCP, TCP_MAXSEG), u32::MAX);
    assert_eq!(net.set(fd, IPPROTO_TCP, TCP_MAXSEG, &100u32.to_le_bytes()), Ok(0));
    assert_eq!(net.get(fd, IPPROTO_TCP, TCP_MAXSEG), 100);
}

#[test]
fn a_route_with_less_than_a_header_does_not_bound_segments() {
    const RTM_CHANGE: u8 = 3;
    const RTV_MTU: u32 = 1;
    let mut net = net();
    let mut message = vec![0; 92];
    message[..4].copy_from_slice(&[124, 0, 5, RTM_CHANGE]);
    message[12] = 0b11;
    message[32..36].copy_from_slice(&RTV_MTU.to_le_bytes());
    message[40..44].copy_from_slice(&30u32.to_le_bytes());
    message.extend([sin(HERE, 0), sin(HERE, 0)].concat());
    let fd = net.call(nr::SOCKET, &[17, RAW, 0]).expect("a socket");
    net.world.write(0, 0x200, &message);
    assert_eq!(net.call(nr::WRITE, &[fd, ARENA + 0x200, 124]), Ok(124));
    let (own, other) = net.connected();
    assert_eq!(net.get(own, IPPROTO_TCP, TCP_MAXSEG), 14336);
    assert_eq!(net.call(nr::WRITE, &[own, ARENA, 5]), Ok(5));
    assert_eq!(net.recv(other).map(|data| data.len()), Ok(5));
}

#[test]
fn a_new_interval_of_probes_counts_from_the_next_slow_tick_on() {
    for (waits, is_gone) in [(0, false), (1000, true)] {
        let mut net = net();
        let (own, other) = net.connected();
        net.sysctl([4, 2, 6, 7], 2);
        net.world.pass(waits);
        assert_eq!(net.call(nr::SHUTDOWN, &[own, 2]), Ok(0));
        // Longer than eight of the new intervals, and shorter than eight of the old ones.
        net.world.pass(100_000);
        assert_eq!(net.call(nr::WRITE, &[other, ARENA, 1]), Ok(1));
        let error = net.get(other, SOL_SOCKET, SO_ERROR);
        assert_eq!(error, if is_gone { ECONNRESET } else { 0 }, "{waits}");
    }
}

#[test]
fn a_datagram_to_a_group_needs_room_for_its_headers() {
    const GROUP: [u8; 4] = [224, 1, 2, 3];
    let mut net = net();
    let mask = [5, 0, 0, 0, 0xf0, 0, 0, 0];
    rt_add(&mut net.world.kernel, &sin([224, 0, 0, 0], 0), &sin(HERE, 0), Some(&mask), rtf::UP)
        .expect("a route");
    let (sender, receiver) = (net.socket(DGRAM, 0), net.socket(DGRAM, 0));
    net.world.write(0, 0x100, &sin([0; 4], 3000));
    assert_eq!(net.call(nr::BIND, &[receiver, ARENA + 0x100, 16]), Ok(0));
    assert_eq!(net.set(receiver, IPPROTO_IP, IP_ADD_MEMBERSHIP, &[GROUP, HERE].concat()), Ok(0));
    assert_eq!(net.set(receiver, SOL_SOCKET, SO_RCVBUF, &200u32.to_le_bytes()), Ok(0));
    // With the name 16 bytes more, and with headers 28.
    for (addr, len, arrives) in
        [(HERE, 184, true), (HERE, 185, false), (GROUP, 156, true), (GROUP, 157, false)]
    {
        assert_eq!(net.sendto(sender, &[7; 185][..len], addr, 3000), Ok(len as u32));
        let received = net.recv(receiver).map(|data| data.len());
        assert_eq!(received, if arrives { Ok(len) } else { Err(EWOULDBLOCK) }, "{addr:?} {len}");
    }
}

#[test]
fn a_mask_for_clones_has_its_shortest_form() {
    const RTM_GET: u8 = 4;
    for (genmask, answer) in [
        (vec![0; 4], Ok(112)),
        (vec![1, 0, 0, 0], Err(ENOBUFS)),
        (vec![8, 0, 0, 0, 255, 0, 0, 0], Err(ENOBUFS)),
        (vec![5, 0, 0, 0, 255, 0, 0, 0], Ok(116)),
        ([[20, 0, 0, 0].to_vec(), vec![255; 16]].concat(), Err(ENOBUFS)),
    ] {
        let mut net = net();
        let mut message = vec![0; 92];
        message[12] = 0b1001;
        message.extend([&sin(HERE, 0)[..], &genmask].concat());
        let len = message.len() as u32;
        message[..4].copy_from_slice(&[len as u8, 0, 5, RTM_GET]);
        let fd = net.call(nr::SOCKET, &[17, RAW, 0]).expect("a socket");
        net.world.write(0, 0x200, &message);
        assert_eq!(net.call(nr::WRITE, &[fd, ARENA + 0x200, len]), answer, "{genmask:?}");
    }
}
