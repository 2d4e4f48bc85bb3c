//! Values of the internet protocols, asked for through the gate.

use syscalls::errno::Errno;
use syscalls::ioctl::SIOCSIFADDR;

use super::tests::{Guest, MEMORY, NEW, OLD, guest};
use crate::kernel::socket::protosw::{self, CtlInput};
use crate::mem::Prot;

const IOCTL: u32 = 54;
const SOCKET: u32 = 97;
const CONNECT: u32 = 98;
const BIND: u32 = 104;
const GETSOCKOPT: u32 = 118;
const SENDTO: u32 = 133;
const SETEUID: u32 = 183;

const SOL_SOCKET: u32 = 0xffff;
const SO_SNDBUF: u32 = 0x1001;
const SO_RCVBUF: u32 = 0x1002;
const SO_ERROR: u32 = 0x1007;
const IP_TTL: u32 = 4;
const TCP_MAXSEG: u32 = 2;
const FIONREAD: u32 = 0x4004_667f;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const RAW: u32 = 3;

const ADDRESS: u32 = MEMORY + 0x400;
const VALUE: u32 = MEMORY + 0x500;

/// Protocol and number of every integer of 2.1, with the value at boot.
const INTEGERS: [(u32, u32, u32); 20] = [
    (0, 1, 0),
    (0, 2, 1),
    (0, 3, 64),
    (0, 5, 3600),
    (0, 6, 10),
    (0, 7, 128),
    (0, 8, 0),
    (1, 1, 0),
    (17, 1, 1),
    (17, 3, 9216),
    (17, 4, 41600),
    (6, 1, 1),
    (6, 2, 1),
    (6, 3, 512),
    (6, 5, 3),
    (6, 6, 14400),
    (6, 7, 150),
    (6, 8, 16384),
    (6, 9, 16384),
    (6, 10, 150),
];

/// Protocol and number of the statistics, with their size.
const STATISTICS: [(u32, u32, u32); 4] = [(1, 2, 184), (2, 1, 36), (6, 4, 240), (17, 2, 40)];

impl Guest {
    fn option(&mut self, fd: u32, level: u32, name: u32) -> u32 {
        self.kernel.procs[self.id].vm.space.suword(VALUE, 4).unwrap();
        assert_eq!(self.call(GETSOCKOPT, &[fd, level, name, OLD, VALUE]), Ok(0));
        self.word(OLD)
    }

    /// The loopback's address with a port, in memory: what the calls take.
    fn loopback(&mut self, port: u16) -> [u32; 2] {
        let [p1, p0] = port.to_be_bytes();
        let space = &self.kernel.procs[self.id].vm.space;
        space.suword(ADDRESS, u32::from_le_bytes([16, 2, p1, p0])).unwrap();
        space.suword(ADDRESS + 4, u32::from_le_bytes([127, 0, 0, 1])).unwrap();
        [ADDRESS, 16]
    }

    fn counter(&mut self, protocol: u32, number: u32, index: u32) -> u32 {
        self.sysctl(&[4, 2, protocol, number], 0x1000, None).unwrap();
        self.word(OLD + 4 * index)
    }
}

#[test]
fn values_of_the_protocols_begin_as_the_original_has_them_and_are_kept() {
    let mut guest = guest();
    for (protocol, number, value) in INTEGERS {
        let name = [4, 2, protocol, number];
        assert_eq!(guest.sysctl(&name, 4, Some(value + 7)), Ok(4), "{name:?}");
        assert_eq!(guest.word(OLD), value, "{name:?}");
    }
    for (protocol, number, value) in INTEGERS {
        guest.sysctl(&[4, 2, protocol, number], 4, None).unwrap();
        assert_eq!(guest.word(OLD), value + 7, "{protocol} {number}");
    }
}

#[test]
fn statistics_have_their_size_and_cannot_be_set() {
    let mut guest = guest();
    for (protocol, number, size) in STATISTICS {
        let name = [4, 2, protocol, number];
        assert_eq!(guest.sysctl(&name, 0x1000, None), Ok(size), "{name:?}");
        assert_eq!(guest.sysctl(&name, size - 1, Some(1)), Err(Errno::ENOMEM as u32), "{name:?}");
        assert_eq!(guest.sysctl(&name, size, Some(1)), Err(Errno::EPERM as u32), "{name:?}");
    }
}

#[test]
fn names_that_no_protocol_has_differ_by_where_they_end() {
    let mut guest = guest();
    let mut ask = |name: &[u32]| guest.sysctl(name, 0x1000, None);
    assert_eq!(ask(&[4, 2, 17]), Err(Errno::EISDIR as u32));
    assert_eq!(ask(&[4, 0, 0, 1]), Ok(0x1000), "no family: nothing is stored");
    assert_eq!(ask(&[4, 1, 0, 1]), Err(Errno::ENOPROTOOPT as u32));
    assert_eq!(ask(&[4, 27, 0, 1]), Err(Errno::ENOPROTOOPT as u32));
    assert_eq!(ask(&[4, 2, 255, 1]), Err(Errno::ENOPROTOOPT as u32), "raw IP has none");
    assert_eq!(ask(&[4, 2, 17, 1, 1]), Err(Errno::ENOTDIR as u32));
    assert_eq!(ask(&[4, 2, 0, 4]), Err(Errno::EOPNOTSUPP as u32), "the MTU is not there yet");
    for (protocol, number) in [(1, 3), (2, 2), (6, 11), (17, 5), (17, 0)] {
        assert_eq!(ask(&[4, 2, protocol, number]), Err(Errno::ENOPROTOOPT as u32));
    }
}

#[test]
fn only_the_superuser_sets_and_lengths_are_looked_at_first() {
    let mut guest = guest();
    let ttl = [4, 2, 0, 3];
    assert_eq!(guest.sysctl(&ttl, 3, Some(9)), Err(Errno::ENOMEM as u32));
    assert_eq!(guest.call(SETEUID, &[1]), Ok(0));
    assert_eq!(guest.sysctl(&ttl, 4, Some(9)), Err(Errno::EPERM as u32));
    assert_eq!(guest.sysctl(&ttl, 4, None), Ok(4));
    assert_eq!(guest.word(OLD), 64);
}

#[test]
fn new_sockets_follow_what_was_set() {
    let mut guest = guest();
    for (protocol, number, value) in
        [(0, 3, 9), (17, 3, 1000), (17, 4, 2000), (6, 3, 600), (6, 8, 3000), (6, 9, 4000)]
    {
        guest.sysctl(&[4, 2, protocol, number], 4, Some(value)).unwrap();
    }
    for (kind, send, receive) in [(DGRAM, 1000, 2000), (STREAM, 3000, 4000)] {
        let fd = guest.call(SOCKET, &[2, kind, 0]).unwrap();
        assert_eq!(guest.option(fd, SOL_SOCKET, SO_SNDBUF), send);
        assert_eq!(guest.option(fd, SOL_SOCKET, SO_RCVBUF), receive);
        assert_eq!(guest.option(fd, 0, IP_TTL), 9);
        if kind == STREAM {
            assert_eq!(guest.option(fd, 6, TCP_MAXSEG), 600);
        }
    }
    guest.sysctl(&[4, 2, 17, 4], 4, Some(u32::MAX)).unwrap();
    assert_eq!(guest.call(SOCKET, &[2, DGRAM, 0]), Err(Errno::ENOBUFS as u32));
}

#[test]
fn datagrams_and_connections_are_counted() {
    let mut guest = guest();
    let [to, len] = guest.loopback(4000);
    let sender = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    assert_eq!(guest.call(SENDTO, &[sender, NEW, 4, 0, to, len]), Ok(4));
    let receiver = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    assert_eq!(guest.call(BIND, &[receiver, to, len]), Ok(0));
    assert_eq!(guest.call(SENDTO, &[sender, NEW, 4, 0, to, len]), Ok(4));
    let [ipackets, noport, opackets] = [0, 4, 9].map(|index| guest.counter(17, 2, index));
    assert_eq!((ipackets, noport, opackets), (2, 1, 2));
    let stream = guest.call(SOCKET, &[2, STREAM, 0]).unwrap();
    assert_eq!(guest.call(CONNECT, &[stream, to, len]), Err(Errno::ECONNREFUSED as u32));
    let [attempts, conndrops, closed] = [0, 4, 5].map(|index| guest.counter(6, 4, index));
    assert_eq!((attempts, conndrops, closed), (1, 1, 1));
}

/// Sends a packet of a protocol whose header is made by the kernel.
fn send_raw(guest: &mut Guest, protocol: u32, packet: &[u8]) {
    let fd = guest.call(SOCKET, &[2, RAW, protocol]).unwrap();
    for (at, word) in (NEW..).step_by(4).zip(packet.chunks(4)) {
        let word = word.try_into().unwrap();
        guest.kernel.procs[guest.id].vm.space.suword(at, u32::from_le_bytes(word)).unwrap();
    }
    let [to, len] = guest.loopback(0);
    let sent = guest.call(SENDTO, &[fd, NEW, packet.len() as u32, 0, to, len]);
    assert_eq!(sent, Ok(packet.len() as u32));
}

/// Bytes that wait to be read.
fn waiting(guest: &mut Guest, fd: u32) -> u32 {
    assert_eq!(guest.call(IOCTL, &[fd, FIONREAD, OLD]), Ok(0));
    guest.word(OLD)
}

#[test]
fn a_raw_packet_goes_to_the_protocol_of_its_number() {
    let mut guest = guest();
    let [to, len] = guest.loopback(4000);
    let udp = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    assert_eq!(guest.call(BIND, &[udp, to, len]), Ok(0));
    let [raw_udp, raw_tcp, raw_other] = [17, 6, 89].map(|p| guest.call(SOCKET, &[2, RAW, p]).unwrap());
    let datagram = [0x10, 0, 0x0f, 0xa0, 0, 12, 0, 0, b'd', b'a', b't', b'a'];
    for protocol in [17, 6, 89] {
        send_raw(&mut guest, protocol, &datagram);
    }
    assert_eq!(waiting(&mut guest, udp), 16 + 4, "an address and the data");
    assert_eq!(waiting(&mut guest, raw_udp), 0, "UDP takes its own");
    assert_eq!(waiting(&mut guest, raw_tcp), 0, "so does TCP");
    assert_eq!(waiting(&mut guest, raw_other), 16 + 32, "an address and the packet");
    let wrong_sum = [0x10, 0, 0x0f, 0xa0, 0, 12, 1, 1, b'd', b'a', b't', b'a'];
    let too_long = [0x10, 0, 0x0f, 0xa0, 0, 13, 0, 0, b'd', b'a', b't', b'a'];
    for packet in [wrong_sum, too_long] {
        send_raw(&mut guest, 17, &packet);
    }
    assert_eq!(waiting(&mut guest, udp), 16 + 4);
    let [badsum, badlen] = [2, 3].map(|index| guest.counter(17, 2, index));
    assert_eq!((badsum, badlen), (1, 1));
}

#[test]
fn without_sums_a_datagram_that_is_too_long_arrives_cut() {
    let mut guest = guest();
    guest.sysctl(&[4, 2, 17, 3], 4, Some(100_000)).unwrap();
    let [to, len] = guest.loopback(4000);
    let receiver = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    assert_eq!(guest.call(BIND, &[receiver, to, len]), Ok(0));
    let sender = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    let space = &mut guest.kernel.procs[guest.id].vm.space;
    space.map_anon(0x10_0000, 0x2_0000, Prot::READ | Prot::WRITE).unwrap();
    // Something that is summed and cut off.
    space.suword(0x10_1000, 1).unwrap();
    let size = 0x1_0000 + 100 - 28;
    for (sums, arrived) in [(1, 0), (0, 16 + 100 - 28)] {
        guest.sysctl(&[4, 2, 17, 1], 4, Some(sums)).unwrap();
        assert_eq!(guest.call(SENDTO, &[sender, 0x10_0000, size, 0, to, len]), Ok(size));
        assert_eq!(waiting(&mut guest, receiver), arrived);
    }
    assert_eq!(guest.counter(17, 2, 2), 1, "one sum was wrong");
}

#[test]
fn what_happens_at_an_address_reaches_those_who_are_connected_to_it() {
    let mut guest = guest();
    let [to, len] = guest.loopback(4000);
    let near = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    assert_eq!(guest.call(CONNECT, &[near, to, len]), Ok(0));
    let idle = guest.call(SOCKET, &[2, DGRAM, 0]).unwrap();
    let mut error_after = |cmd, address: [u8; 4], fd| {
        let mut sa = [16, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        sa[4..8].copy_from_slice(&address);
        protosw::pfctlinput(&mut guest.kernel, cmd, &sa);
        guest.option(fd, SOL_SOCKET, SO_ERROR)
    };
    assert_eq!(error_after(CtlInput::IfDown, [127, 0, 0, 1], near), 0, "nobody is told");
    assert_eq!(error_after(CtlInput::UnreachPort, [127, 0, 0, 2], near), 0, "somewhere else");
    assert_eq!(error_after(CtlInput::UnreachPort, [0; 4], idle), 0, "no address");
    assert_eq!(error_after(CtlInput::UnreachPort, [127, 0, 0, 1], near), Errno::ECONNREFUSED as u32);
}

/// in_ifinit: what is to be deleted is looked for by the destination, which is the new address already.
#[test]
fn the_route_to_an_old_address_of_the_loopback_stays() {
    let mut guest = guest();
    let fd = guest.call(SOCKET, &[2, RAW, 89]).unwrap();
    let [to, len] = guest.loopback(0);
    let send = |guest: &mut Guest| guest.call(SENDTO, &[fd, NEW, 4, 0, to, len]);
    assert_eq!(send(&mut guest), Ok(4));
    let one = waiting(&mut guest, fd);
    assert_eq!(one, 16 + 20 + 4);
    let space = &guest.kernel.procs[guest.id].vm.space;
    for (at, word) in [(OLD, *b"lo0\0"), (OLD + 16, [16, 2, 0, 0]), (OLD + 20, [10, 0, 0, 1])] {
        space.suword(at, u32::from_le_bytes(word)).unwrap();
    }
    assert_eq!(guest.call(IOCTL, &[fd, SIOCSIFADDR, OLD]), Ok(0));
    assert_eq!(send(&mut guest), Ok(4), "there is a route");
    assert_eq!(waiting(&mut guest, fd), one, "but nobody has the address");
    guest.kernel.procs[guest.id].vm.space.suword(ADDRESS + 4, u32::from_le_bytes([10, 0, 0, 1])).unwrap();
    assert_eq!(send(&mut guest), Ok(4));
    assert_eq!(waiting(&mut guest, fd), 2 * one);
}
