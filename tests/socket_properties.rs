//! What holds for any mix of sizes, readers, writers and shutdowns: bytes come out as they went in, the
//! counts of a buffer are those of its contents, and nothing outlives its last reference.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use bsd21::kernel::Kernel;
use proptest::prelude::*;
use world::{ARENA, World, nr};

const EWOULDBLOCK: u32 = 35;
const EPIPE: u32 = 32;
const ENOBUFS: u32 = 55;

/// One thing that happens to a pair.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Write so many bytes at one end, as one record or not.
    Write(u8, u16, bool),
    /// Read so many bytes at one end.
    Read(u8, u16),
    /// Look at so many bytes at one end without taking them.
    Peek(u8, u16),
    /// Shut one end down for writing.
    Shutdown(u8),
    /// Send a descriptor with a byte.
    Rights(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0u16..4, 90u16..130, 200u16..220, 2000u16..2100, 0u16..5000];
    prop_oneof![
        5 => (0..2u8, size.clone(), any::<bool>()).prop_map(|(end, len, eor)| Step::Write(end, len, eor)),
        5 => (0..2u8, size.clone()).prop_map(|(end, len)| Step::Read(end, len)),
        1 => (0..2u8, size).prop_map(|(end, len)| Step::Peek(end, len)),
        1 => (0..20u8).prop_map(Step::Shutdown),
        1 => (0..2u8).prop_map(Step::Rights),
    ]
}

/// The counts of every buffer are the sums over its contents.
fn check_counts(kernel: &Kernel) {
    for (_, socket) in kernel.sockets.iter() {
        for sb in [&socket.rcv, &socket.snd] {
            let mbufs = || sb.records.iter().flatten();
            assert_eq!(sb.cc, mbufs().map(|m| m.len() as u32).sum::<u32>());
            assert_eq!(sb.mbcnt, mbufs().map(|m| m.mbcnt()).sum::<u32>());
        }
    }
}

/// Two ends under descriptors 3 and 4, not blocking; and what each has been sent and has received.
struct Pair {
    world: World,
    sent: [Vec<u8>; 2],
    received: [Vec<u8>; 2],
    next: u8,
    shut: [bool; 2],
    _root: tempfile::TempDir,
}

impl Pair {
    fn unix() -> Self {
        let mut pair = Self::nothing();
        assert_eq!(pair.world.call(0, nr::SOCKETPAIR, &[1, 1, 0, ARENA, 0]), Ok(3));
        pair.begin()
    }

    fn inet() -> Self {
        let mut pair = Self::nothing();
        let world = &mut pair.world;
        world.write(0, 0, &[16, 2, 0x13, 0x88, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        for (number, args) in [
            (nr::SOCKET, [2, 1, 0]),
            (nr::SOCKET, [2, 1, 0]),
            (nr::BIND, [4, ARENA, 16]),
            (nr::LISTEN, [4, 1, 0]),
            (nr::CONNECT, [3, ARENA, 16]),
            (nr::ACCEPT, [4, 0, 0]),
            (nr::CLOSE, [4, 0, 0]),
            (41, [5, 0, 0]),
            (nr::CLOSE, [5, 0, 0]),
        ] {
            world.call(0, number, &args).expect("the connection is made");
        }
        pair.begin()
    }

    fn nothing() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut world = World::new(root.path());
        world.catch(0, 13, true);
        Self {
            world,
            sent: Default::default(),
            received: Default::default(),
            next: 0,
            shut: [false; 2],
            _root: root,
        }
    }

    fn begin(mut self) -> Self {
        for fd in [3, 4] {
            assert_eq!(self.world.call(0, nr::FCNTL, &[fd, 4, 4]), Ok(0));
        }
        self
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(end, len, eor) => {
                let data: Vec<u8> = (0..len).map(|i| self.next.wrapping_add(i as u8)).collect();
                self.world.write(0, 0, &data);
                let flags = if eor { 8 } else { 0 };
                match self.world.call(0, nr::OSEND, &[fd(end), ARENA, u32::from(len), flags]) {
                    Ok(n) => {
                        self.sent[1 - usize::from(end)].extend(&data[..n as usize]);
                        self.next = self.next.wrapping_add(n as u8);
                    }
                    Err(error) => assert!([EWOULDBLOCK, EPIPE].contains(&error), "error {error}"),
                }
            }
            Step::Read(end, len) => {
                if let Ok(n) = self.world.call(0, nr::READ, &[fd(end), ARENA, u32::from(len)]) {
                    let data = self.world.read(0, 0, n as usize);
                    self.received[usize::from(end)].extend(data);
                }
            }
            Step::Peek(end, len) => {
                let seen = self.world.call(0, nr::ORECV, &[fd(end), ARENA, u32::from(len), 2]);
                if let Ok(n) = seen {
                    let (end, data) = (usize::from(end), self.world.read(0, 0, n as usize));
                    let at = self.received[end].len();
                    assert_eq!(data, self.sent[end][at..at + data.len()]);
                }
            }
            // A second time would end the other direction of an internet stream, too (tcp_usrclosed).
            Step::Shutdown(end @ 0..2) if !std::mem::replace(&mut self.shut[usize::from(end)], true) => {
                let _ = self.world.call(0, nr::SHUTDOWN, &[fd(end), 1]);
            }
            Step::Shutdown(_) => {}
            Step::Rights(end) => self.pass_descriptor(end),
        }
        check_counts(&self.world.kernel);
        for end in [0, 1] {
            assert!(self.sent[end].starts_with(&self.received[end]));
        }
    }

    /// Sends descriptor 0 with one byte; the reader takes the byte and loses the descriptor.
    fn pass_descriptor(&mut self, end: u8) {
        self.world.write(0, 0, &[self.next]);
        self.world.words(0, 0x10, &[ARENA, 1]);
        self.world.words(0, 0x20, &[16, 0xffff, 1, fd(end)]);
        self.world.words(0, 0x40, &[0, 0, ARENA + 0x10, 1, ARENA + 0x20, 16, 0]);
        if self.world.call(0, nr::SENDMSG, &[fd(end), ARENA + 0x40, 0]) == Ok(1) {
            self.sent[1 - usize::from(end)].push(self.next);
            self.next = self.next.wrapping_add(1);
            self.receive_descriptor(1 - end);
        }
    }

    /// Takes everything with recvmsg, so that no descriptor is lost, and closes those that come.
    fn receive_descriptor(&mut self, end: u8) {
        // Empty records come in between.
        for _ in 0..200 {
            self.world.words(0, 0x10, &[ARENA + 0x100, 4096]);
            self.world.words(0, 0x40, &[0, 0, ARENA + 0x10, 1, ARENA + 0x20, 16, 0]);
            let received = self.world.call(0, nr::RECVMSG, &[fd(end), ARENA + 0x40, 0]);
            let n = received.expect("a message with a descriptor waits");
            let data = self.world.read(0, 0x100, n as usize);
            self.received[usize::from(end)].extend(&data);
            let control = self.world.read(0, 0x40 + 20, 4);
            if control == [16, 0, 0, 0] {
                let new = self.world.read(0, 0x20 + 12, 4)[0];
                assert_eq!(self.world.call(0, nr::CLOSE, &[u32::from(new)]), Ok(0));
                return;
            }
        }
        panic!("the descriptor did not come");
    }

    /// Reads everything away and closes both ends.
    fn end(mut self) {
        for end in [0, 1] {
            let (mut empty, mut waits) = (0, 0);
            // An empty record reads as nothing, and so does the end.
            while empty < 50 {
                match self.world.call(0, nr::READ, &[fd(end), ARENA, 4096]) {
                    Ok(0) => empty += 1,
                    Ok(n) => {
                        let data = self.world.read(0, 0, n as usize);
                        self.received[usize::from(end)].extend(data);
                    }
                    // What was held back comes with an acknowledgement.
                    Err(_) if waits < 5 => {
                        waits += 1;
                        self.world.pass(500);
                    }
                    Err(_) => break,
                }
                let other = self.world.call(0, nr::READ, &[fd(1 - end), ARENA, 0]);
                assert_ne!(other, Err(ENOBUFS));
            }
        }
        assert_eq!(self.received, self.sent);
        for (_, socket) in self.world.kernel.sockets.iter() {
            // An empty write behind the end of a record stays, unreadable, until more comes (sbappend).
            assert!(socket.rcv.cc == 0 && socket.rcv.mbcnt <= 128);
        }
        for end in [0, 1] {
            assert_eq!(self.world.call(0, nr::CLOSE, &[fd(end)]), Ok(0));
        }
        self.world.pass(100_000);
        assert_eq!(self.world.kernel.sockets.len(), 0);
        assert_eq!(self.world.kernel.sockets.unix.rights, 0);
        assert_eq!(self.world.kernel.files.len(), 3);
    }
}

fn fd(end: u8) -> u32 {
    3 + u32::from(end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn local_streams_deliver_every_byte_in_order(steps in prop::collection::vec(step(), 0..60)) {
        let mut pair = Pair::unix();
        for step in steps {
            pair.take(step);
        }
        pair.end();
    }

    #[test]
    fn internet_streams_deliver_every_byte_in_order(steps in prop::collection::vec(step(), 0..60)) {
        let mut pair = Pair::inet();
        for step in steps {
            if !matches!(step, Step::Rights(_)) {
                pair.take(step);
            }
        }
        pair.end();
    }

    #[test]
    fn datagrams_arrive_whole_or_not_at_all(
        steps in prop::collection::vec((any::<bool>(), 0u16..2100, 0u16..2100), 0..60)
    ) {
        let root = tempfile::tempdir().expect("a directory");
        let mut world = World::new(root.path());
        assert_eq!(world.call(0, nr::SOCKETPAIR, &[1, 2, 0, ARENA, 0]), Ok(3));
        assert_eq!(world.call(0, nr::FCNTL, &[4, 4, 4]), Ok(0));
        let mut queue = std::collections::VecDeque::new();
        for (send, len, room) in steps {
            if send {
                match world.call(0, nr::OSEND, &[3, ARENA, u32::from(len), 0]) {
                    Ok(n) => { assert_eq!(n, u32::from(len)); queue.push_back(len); }
                    Err(error) => assert!(error == ENOBUFS || error == 40, "error {error}"),
                }
            } else {
                let got = world.call(0, nr::READ, &[4, ARENA, u32::from(room)]);
                match queue.pop_front() {
                    Some(len) => assert_eq!(got, Ok(u32::from(len.min(room)))),
                    // A receive of nothing does not block.
                    None => assert!(got == Err(EWOULDBLOCK) || (room == 0 && got == Ok(0))),
                }
            }
            check_counts(&world.kernel);
        }
    }
}
