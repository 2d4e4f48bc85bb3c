//! Two machines with a wire between them that loses, repeats, delays and damages packets: whatever it does,
//! all bytes arrive in order, and in the end nothing is left of the connections.

#[path = "socket/machine.rs"]
#[allow(dead_code)]
mod machine;
#[path = "socket/root.rs"]
mod root;

use std::path::Path;

use bsd21::kernel::net::tun::{tunread, tunwrite};
use bsd21::kernel::socket::mbuf::Mbuf;
use machine::{ARENA, Machine, Registers};
use proptest::prelude::*;

const READ: u32 = 3;
const WRITE: u32 = 4;
const CLOSE: u32 = 6;
const ACCEPT: u32 = 30;
const IOCTL: u32 = 54;
const FCNTL: u32 = 92;
const SOCKET: u32 = 97;
const CONNECT: u32 = 98;
const BIND: u32 = 104;
const LISTEN: u32 = 106;
const SHUTDOWN: u32 = 134;
const SIOCAIFADDR: u32 = 0x8040_691a;
const EWOULDBLOCK: u32 = 35;
const EINPROGRESS: u32 = 36;
const MILLISECOND: u64 = 1_000_000;
/// Longer than an attempt to connect takes at both ends: on a bad wire 75 seconds may not be enough, or the
/// one who connects does not hear that the other one gave up.
const PATIENCE: u64 = 200_000 * MILLISECOND;
/// A day: whatever is not over by then never will be, although routes are looked through for ever.
const DAY: u64 = 86_400_000 * MILLISECOND;
/// Two hours: longer than any timer of a connection that is closed.
const END: u64 = 7_200_000 * MILLISECOND;

/// How bad a wire is, in percent of the packets.
#[derive(Clone, Copy, Debug)]
struct Wire {
    lost: u32,
    repeated: u32,
    late: u32,
    damaged: u32,
}

fn wire() -> impl Strategy<Value = Wire> {
    (0..25u32, 0..20u32, 0..50u32, 0..10u32).prop_map(|(lost, repeated, late, damaged)| Wire {
        lost,
        repeated,
        late,
        damaged,
    })
}

/// What one end has to say.
#[derive(Clone, Debug)]
struct Speech {
    /// Sizes of its writes.
    writes: Vec<u16>,
    /// Size of its reads.
    reads: u16,
}

fn speech() -> impl Strategy<Value = Speech> {
    let size = prop_oneof![1u16..40, 500u16..600, 1400u16..1500, 1u16..6000];
    (proptest::collection::vec(size, 0..20), 1u16..20_000)
        .prop_map(|(writes, reads)| Speech { writes, reads: reads.max(200) })
}

/// Two machines, and what is on its way between them.
struct World {
    ends: [Machine; 2],
    /// When it arrives, where, and what.
    flying: Vec<(u64, usize, Vec<u8>)>,
    wire: Wire,
    random: u64,
}

fn address(end: usize, port: u16) -> [u8; 16] {
    let [p1, p0] = port.to_be_bytes();
    [16, 2, p1, p0, 10, 0, 0, end as u8 + 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

impl World {
    fn new(root: &Path, wire: Wire, seed: u64) -> Self {
        let ends = [0, 1].map(|end| {
            let mut machine = Machine::new(root, 20);
            machine.kernel.net.tunattach(0);
            machine.kernel.net.tuns[0].open = true;
            let fd = ok(&mut machine, SOCKET, &[2, 2, 0]);
            machine.write_arena(0, b"tun0\0\0\0\0\0\0\0\0\0\0\0\0");
            machine.write_arena(16, &address(end, 0));
            machine.write_arena(32, &address(1 - end, 0));
            machine.write_arena(48, &[0; 16]);
            ok(&mut machine, IOCTL, &[fd, SIOCAIFADDR, ARENA]);
            ok(&mut machine, CLOSE, &[fd]);
            machine
        });
        Self { ends, flying: Vec::new(), wire, random: seed | 1 }
    }

    fn now(&self) -> u64 {
        self.ends[0].kernel.clock.uptime()
    }

    /// A number below a limit (xorshift).
    fn random(&mut self, limit: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32 % limit
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random(100) < percent
    }

    /// Takes what was sent onto the wire.
    fn collect(&mut self) {
        for end in 0..2 {
            while let Some(mut packet) = tunread(&mut self.ends[end].kernel, 0) {
                if self.chance(self.wire.lost) {
                    continue;
                }
                if self.chance(self.wire.damaged) {
                    let bit = self.random(packet.len() as u32 * 8) as usize;
                    packet[bit / 8] ^= 1 << (bit % 8);
                }
                let copies = 1 + usize::from(self.chance(self.wire.repeated));
                for _ in 0..copies {
                    let late = if self.chance(self.wire.late) { self.random(3000) } else { 0 };
                    let due = self.now() + (5 + u64::from(late)) * MILLISECOND;
                    self.flying.push((due, 1 - end, packet.clone()));
                }
            }
        }
    }

    /// Lets time pass until something happens; false if nothing ever will, or a day is over.
    fn step(&mut self) -> bool {
        if self.now() > DAY {
            return false;
        }
        self.collect();
        let arrival = self.flying.iter().map(|(due, ..)| *due).min();
        let timers = self.ends.iter().filter_map(|end| end.kernel.next_timeout());
        let Some(next) = timers.chain(arrival).min() else { return false };
        let ahead = next.saturating_sub(self.now());
        for end in &mut self.ends {
            end.kernel.clock.advance(ahead);
            end.kernel.run_timeouts();
        }
        let now = self.now();
        self.flying.sort_by_key(|(due, ..)| *due);
        let arrived = self.flying.partition_point(|(due, ..)| *due <= now);
        for (_, end, packet) in self.flying.drain(..arrived) {
            // The queue takes 50 packets and is empty again after each.
            tunwrite(&mut self.ends[end].kernel, 0, &packet).expect("the interface is up");
        }
        true
    }

    fn call(&mut self, end: usize, number: u32, args: &[u32]) -> Registers {
        self.ends[end].call(number, args).expect("no call sleeps")
    }

    fn nonblocking(&mut self, end: usize, fd: u32) {
        assert!(!self.call(end, FCNTL, &[fd, 4, 4]).carry);
    }

    /// A connection: descriptors at both ends, and that of the listener, at end 1.
    fn connect(&mut self) -> ([u32; 2], u32) {
        let listener = ok(&mut self.ends[1], SOCKET, &[2, 1, 0]);
        self.ends[1].write_arena(0, &address(1, 5000));
        ok(&mut self.ends[1], BIND, &[listener, ARENA, 16]);
        ok(&mut self.ends[1], LISTEN, &[listener, 5]);
        self.nonblocking(1, listener);
        loop {
            let client = self.call_to(5000);
            let patience = self.now() + PATIENCE;
            while self.now() < patience {
                let accepted = self.call(1, ACCEPT, &[listener, 0, 0]);
                if !accepted.carry {
                    self.nonblocking(1, accepted.eax);
                    return ([client, accepted.eax], listener);
                }
                assert_eq!(accepted.eax, EWOULDBLOCK);
                assert!(self.step(), "the connection is never made");
            }
            ok(&mut self.ends[0], CLOSE, &[client]);
        }
    }

    /// A socket of end 0 that begins to connect to a port of end 1.
    fn call_to(&mut self, port: u16) -> u32 {
        let client = ok(&mut self.ends[0], SOCKET, &[2, 1, 0]);
        self.nonblocking(0, client);
        self.ends[0].write_arena(0, &address(1, port));
        let started = self.call(0, CONNECT, &[client, ARENA, 16]);
        assert_eq!((started.carry, started.eax), (true, EINPROGRESS));
        client
    }
}

fn ok(machine: &mut Machine, number: u32, args: &[u32]) -> u32 {
    let registers = machine.call(number, args).expect("it does not sleep");
    assert!(!registers.carry, "call {number}: error {}", registers.eax);
    registers.eax
}

/// One end of a conversation.
struct Talker {
    fd: u32,
    speech: Speech,
    /// The write that it is at, and how much of it is written.
    at: (usize, usize),
    said: usize,
    heard: Vec<u8>,
    finished: bool,
    ended: bool,
}

/// The byte at a place of what an end says.
fn byte(end: usize, at: usize) -> u8 {
    (at * 7 + (at >> 8) * 3 + end * 100) as u8
}

impl Talker {
    fn new(fd: u32, speech: &Speech) -> Self {
        let speech = speech.clone();
        Self { fd, speech, at: (0, 0), said: 0, heard: Vec::new(), finished: false, ended: false }
    }

    /// Writes and reads until nothing goes.
    fn talk(&mut self, world: &mut World, end: usize) {
        while let Some(&size) = self.speech.writes.get(self.at.0) {
            let left = usize::from(size) - self.at.1;
            let bytes: Vec<u8> = (self.said..self.said + left).map(|at| byte(end, at)).collect();
            world.ends[end].write_arena(0, &bytes);
            let written = world.call(end, WRITE, &[self.fd, ARENA, left as u32]);
            if written.carry {
                assert_eq!(written.eax, EWOULDBLOCK, "a write");
                break;
            }
            let n = written.eax as usize;
            self.said += n;
            self.at = if n == left { (self.at.0 + 1, 0) } else { (self.at.0, self.at.1 + n) };
        }
        if self.at.0 == self.speech.writes.len() && !self.finished {
            self.finished = !world.call(end, SHUTDOWN, &[self.fd, 1]).carry;
        }
        while !self.ended {
            let read = world.call(end, READ, &[self.fd, ARENA, u32::from(self.speech.reads)]);
            if read.carry {
                assert_eq!(read.eax, EWOULDBLOCK, "a read");
                break;
            }
            let mut arena = vec![0; machine::ARENA_LEN as usize];
            world.ends[end].read_arena(&mut arena);
            self.heard.extend(&arena[..read.eax as usize]);
            self.ended = read.eax == 0;
        }
    }
}

fn converse(wire: Wire, seed: u64, speeches: [Speech; 2]) {
    let root = tempfile::tempdir().expect("a directory");
    let before = Mbuf::in_use();
    let mut world = World::new(root.path(), wire, seed);
    let (fds, listener) = world.connect();
    let mut talkers = [0, 1].map(|end| Talker::new(fds[end], &speeches[end]));
    let mut most = before;
    while !talkers.iter().all(|talker| talker.ended) {
        for (end, talker) in talkers.iter_mut().enumerate() {
            talker.talk(&mut world, end);
        }
        most = most.max(Mbuf::in_use());
        if talkers.iter().all(|talker| talker.ended) {
            break;
        }
        assert!(
            world.step(),
            "they wait for ever: {:?}",
            talkers.each_ref().map(|t| (t.said, t.heard.len()))
        );
    }
    for end in 0..2 {
        let (said, heard) = (talkers[end].said, &talkers[1 - end].heard);
        let expected: Vec<u8> = (0..said).map(|at| byte(end, at)).collect();
        assert!(*heard == expected, "{} of {said} bytes came", heard.len());
        ok(&mut world.ends[end], CLOSE, &[fds[end]]);
    }
    ok(&mut world.ends[1], CLOSE, &[listener]);
    let end = world.now() + END;
    while world.now() < end && world.step() {}
    for machine in &world.ends {
        assert_eq!(machine.kernel.inet.control_blocks(), 0, "a connection is left");
        assert_eq!(machine.kernel.sockets.iter().count(), 0, "a socket is left");
    }
    let silent = talkers.iter().all(|talker| talker.said == 0);
    assert!(silent || before.is_none() || most > before, "mbufs carry what is said");
    assert_eq!(Mbuf::in_use(), before, "an mbuf is left, perhaps with a cluster");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn all_bytes_arrive_in_order_and_nothing_is_left(
        wire in wire(),
        seed in any::<u64>(),
        speeches in [speech(), speech()],
    ) {
        converse(wire, seed, speeches);
    }
}
