//! Socket calls that sleep: what wakes them, what they do then, and what a signal, a timeout or a second
//! reader makes of them.  The answers follow from the original's source; each test names the place.

#[path = "socket/connections.rs"]
mod connections;
#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use world::{ARENA, World, nr};

const EINTR: u32 = 4;
const EPIPE: u32 = 32;
const EWOULDBLOCK: u32 = 35;
const EISCONN: u32 = 56;
const ECONNABORTED: u32 = 53;
const ECONNRESET: u32 = 54;
const ETIMEDOUT: u32 = 60;
const SIGPIPE: u32 = 13;
const SIGUSR1: u32 = 30;
const SOL_SOCKET: u32 = 0xffff;
const SO_LINGER: u32 = 0x80;
const SO_SNDTIMEO: u32 = 0x1005;
const SO_RCVTIMEO: u32 = 0x1006;
const MSG_WAITALL: u32 = 0x40;
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const WAIT4: u32 = 7;
const EXECVE: u32 = 59;
const DUP2: u32 = 90;
const F_SETFD: u32 = 2;
const F_GETFL: u32 = 3;
/// Port 6000 of this machine.
const PORT_6000: [u8; 16] = [16, 2, 0x17, 0x70, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

struct Scene {
    world: World,
    _root: tempfile::TempDir,
}

/// Two processes; descriptors 3 and 4 of both are a pair of streams.
fn pair() -> Scene {
    pair_of(1)
}

fn pair_of(kind: u32) -> Scene {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    assert_eq!(world.call(0, nr::SOCKETPAIR, &[AF_UNIX, kind, 0, ARENA, 0]), Ok(3));
    world.fork(0);
    Scene { world, _root: root }
}

/// Two processes; descriptor 3 of both is a listener at a name or port, which `connect` connects to.
fn listener(family: u32, backlog: u32) -> Scene {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    assert_eq!(world.call(0, nr::SOCKET, &[family, 1, 0]), Ok(3));
    let address = address(family);
    world.write(0, 0x100, &address);
    assert_eq!(world.call(0, nr::BIND, &[3, ARENA + 0x100, address.len() as u32]), Ok(0));
    assert_eq!(world.call(0, nr::LISTEN, &[3, backlog]), Ok(0));
    world.fork(0);
    Scene { world, _root: root }
}

fn address(family: u32) -> Vec<u8> {
    match family {
        AF_UNIX => b"\x04\x01S\0".to_vec(),
        _ => vec![16, 2, 0x13, 0x88, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

impl Scene {
    /// Makes a socket in process `n` and begins to connect it; gives its descriptor.
    fn connect(&mut self, n: usize, family: u32) -> u32 {
        let fd = self.world.call(n, nr::SOCKET, &[family, 1, 0]).expect("a socket");
        let address = address(family);
        self.world.write(n, 0x100, &address);
        self.world.begin(n, nr::CONNECT, &[fd, ARENA + 0x100, address.len() as u32]);
        fd
    }

    fn timeout(&mut self, n: usize, fd: u32, option: u32, milliseconds: u32) {
        self.world.words(n, 0x80, &[milliseconds / 1000, milliseconds % 1000 * 1000]);
        let set = self.world.call(n, nr::SETSOCKOPT, &[fd, SOL_SOCKET, option, ARENA + 0x80, 8]);
        assert_eq!(set, Ok(0));
    }

    /// Fills the buffer behind a descriptor of process 0: 4096 bytes.
    fn fill(&mut self, fd: u32) {
        assert_eq!(self.world.call(0, nr::WRITE, &[fd, ARENA, 4096]), Ok(4096));
    }

    /// Everything is closed and nothing is left.
    fn ends_clean(mut self) {
        for n in [0, 1] {
            for fd in 3..20 {
                let _ = self.world.call(n, nr::CLOSE, &[fd]);
            }
        }
        // Long enough for the ends of connections to be forgotten.
        self.world.pass(100_000);
        assert_eq!(self.world.kernel.sockets.len(), 0);
        assert_eq!(self.world.kernel.sockets.unix.rights, 0);
    }

    /// Reads everything away with a descriptor of a process, then ends.
    fn ends_clean_after(mut self, n: usize, fd: u32) {
        assert_eq!(self.world.call(n, nr::FCNTL, &[fd, 4, 4]), Ok(0));
        while self.world.call(n, nr::READ, &[fd, ARENA, 4096]).is_ok_and(|taken| taken > 0) {}
        self.ends_clean();
    }
}

// Waiting for data (soreceive, sbwait).

#[test]
fn a_reader_sleeps_until_a_writer_comes() {
    let mut scene = pair();
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    scene.world.write(1, 0, b"ping");
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 4]), Ok(4));
    assert_eq!(scene.world.answer(0), Some(Ok(4)));
    assert_eq!(scene.world.read(0, 0, 4), b"ping");
    scene.ends_clean();
}

#[test]
fn a_reader_sees_the_end_when_the_last_writer_closes() {
    let mut scene = pair();
    assert_eq!(scene.world.call(0, nr::CLOSE, &[4]), Ok(0));
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    assert_eq!(scene.world.wmesg(0), Some("netio"), "process 1 has the other end");
    assert_eq!(scene.world.call(1, nr::CLOSE, &[4]), Ok(0));
    assert_eq!(scene.world.answer(0), Some(Ok(0)));
    scene.ends_clean();
}

#[test]
fn a_reader_interrupted_by_a_signal_fails_with_eintr() {
    let mut scene = pair();
    scene.world.catch(0, SIGUSR1, false);
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.answer(0), Some(Err(EINTR)));
    assert_eq!(scene.world.caught[0], [SIGUSR1]);
    scene.ends_clean();
}

#[test]
fn a_reader_is_restarted_where_the_handler_wants_it() {
    let mut scene = pair();
    scene.world.catch(0, SIGUSR1, true);
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.wmesg(0), Some("netio"), "it sleeps again");
    assert_eq!(scene.world.caught[0], [SIGUSR1]);
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 7]), Ok(7));
    assert_eq!(scene.world.answer(0), Some(Ok(7)));
    scene.ends_clean();
}

#[test]
fn a_reader_gives_up_after_its_time() {
    let mut scene = pair();
    scene.timeout(0, 3, SO_RCVTIMEO, 500);
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    scene.world.pass(400);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    scene.world.pass(200);
    assert_eq!(scene.world.answer(0), Some(Err(EWOULDBLOCK)));
    scene.ends_clean();
}

#[test]
fn of_two_readers_one_gets_the_data_and_the_other_sleeps_again() {
    let mut scene = pair();
    let third = scene.world.fork(0);
    scene.world.begin(0, nr::READ, &[3, ARENA, 100]);
    scene.world.begin(1, nr::READ, &[3, ARENA, 100]);
    assert_eq!(scene.world.call(third, nr::WRITE, &[4, ARENA, 5]), Ok(5));
    assert_eq!(scene.world.answer(0), Some(Ok(5)));
    assert_eq!(scene.world.wmesg(1), Some("netio"));
    assert_eq!(scene.world.call(third, nr::WRITE, &[4, ARENA, 6]), Ok(6));
    assert_eq!(scene.world.answer(1), Some(Ok(6)));
}

#[test]
fn a_datagram_wakes_its_receiver_with_its_senders_name() {
    let mut scene = pair_of(2);
    scene.world.words(0, 0x200, &[16]);
    scene.world.begin(0, nr::RECVFROM, &[3, ARENA, 100, 0, ARENA + 0x210, ARENA + 0x200]);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    assert_eq!(scene.world.call(1, nr::OSEND, &[4, ARENA, 9, 0]), Ok(9));
    assert_eq!(scene.world.answer(0), Some(Ok(9)));
    assert_eq!(scene.world.read(0, 0x200, 4), [16, 0, 0, 0]);
    assert_eq!(scene.world.read(0, 0x210, 2), [16, 1], "an unnamed sender");
    scene.ends_clean();
}

// Waiting for everything (soreceive, MSG_WAITALL).

#[test]
fn waitall_collects_several_writes() {
    let mut scene = pair();
    scene.world.begin(0, nr::ORECV, &[3, ARENA, 10, MSG_WAITALL]);
    scene.world.write(1, 0, b"0123456789");
    for (offset, len) in [(0, 3), (3, 3), (6, 4)] {
        assert_eq!(scene.world.answer(0), None);
        assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA + offset, len]), Ok(len));
    }
    assert_eq!(scene.world.answer(0), Some(Ok(10)));
    assert_eq!(scene.world.read(0, 0, 10), b"0123456789");
    scene.ends_clean();
}

#[test]
fn waitall_for_more_than_the_buffer_takes_what_comes_and_returns_it_short_on_a_signal() {
    let mut scene = pair();
    scene.world.catch(0, SIGUSR1, false);
    scene.world.begin(0, nr::ORECV, &[3, ARENA, 5000, MSG_WAITALL]);
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 100]), Ok(100));
    assert_eq!(scene.world.wmesg(0), Some("netio"), "100 bytes are taken, 4900 are missing");
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.answer(0), Some(Ok(100)));
    scene.ends_clean();
}

/// Process 0 waits for 5000 bytes, more than can ever come, has taken 100 and holds the lock; process 2
/// has the same descriptors.
fn locked() -> Scene {
    let mut scene = pair();
    let third = scene.world.fork(0);
    assert_eq!(third, 2);
    scene.world.begin(0, nr::ORECV, &[3, ARENA, 5000, MSG_WAITALL]);
    assert_eq!(scene.world.call(2, nr::WRITE, &[4, ARENA, 100]), Ok(100));
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    scene
}

#[test]
fn a_second_reader_waits_for_the_lock_of_waitall() {
    let mut scene = locked();
    scene.world.begin(1, nr::READ, &[3, ARENA, 10]);
    assert_eq!(scene.world.call(2, nr::WRITE, &[4, ARENA, 50]), Ok(50));
    assert_eq!(scene.world.wmesg(1), Some("netio"), "the first reader gets it all");
    assert_eq!(scene.world.call(2, nr::SHUTDOWN, &[4, 1]), Ok(0));
    assert_eq!(scene.world.answer(0), Some(Ok(150)));
    assert_eq!(scene.world.answer(1), Some(Ok(0)), "what is left is the second's");
}

#[test]
fn waitall_for_more_than_the_buffer_gives_no_room_back_while_it_waits() {
    // PRU_RCVD comes at the end only (uipc_socket.c, soreceive): reader and writer wait for each other.
    let mut scene = locked();
    assert_eq!(scene.world.call(2, nr::WRITE, &[4, ARENA, 3996]), Ok(3996));
    scene.world.begin(1, nr::WRITE, &[4, ARENA, 904]);
    assert_eq!((scene.world.wmesg(0), scene.world.wmesg(1)), (Some("netio"), Some("netio")));
}

#[test]
fn one_whose_wait_for_the_lock_is_interrupted_goes_on_without_it() {
    // The macro sblock yields 0 whatever happened (socketvar.h): the call fails only where it sleeps next,
    // and takes the lock away from the first reader.
    let mut scene = locked();
    scene.world.catch(1, SIGUSR1, false);
    scene.world.begin(1, nr::READ, &[3, ARENA, 10]);
    scene.world.signal(1, SIGUSR1);
    assert_eq!(scene.world.answer(1), Some(Err(EINTR)));
    assert_eq!(scene.world.caught[1], [SIGUSR1]);
    assert_eq!(scene.world.call(2, nr::SHUTDOWN, &[3, 0]), Ok(0), "the lock is free");
}

#[test]
fn shutdown_for_reading_waits_for_the_lock_and_no_signal_ends_it() {
    let mut scene = locked();
    scene.world.catch(1, SIGUSR1, false);
    scene.world.begin(1, nr::SHUTDOWN, &[3, 0]);
    scene.world.signal(1, SIGUSR1);
    assert_eq!(scene.world.wmesg(1), Some("netio"));
    assert_eq!(scene.world.call(2, nr::SHUTDOWN, &[4, 1]), Ok(0));
    assert_eq!(scene.world.answer(0), Some(Ok(100)));
    assert_eq!(scene.world.answer(1), Some(Ok(0)));
}

// Waiting for room (sosend, sbwait).

#[test]
fn a_writer_sleeps_until_half_the_buffer_is_free() {
    let mut scene = pair();
    scene.fill(4);
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 1]);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    assert_eq!(scene.world.call(1, nr::READ, &[3, ARENA, 1]), Ok(1));
    assert_eq!(scene.world.answer(0), Some(Ok(1)), "a byte fits where a byte was taken");
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 3000]);
    assert_eq!(scene.world.call(1, nr::READ, &[3, ARENA, 2000]), Ok(2000));
    assert_eq!(scene.world.wmesg(0), Some("netio"), "2000 bytes are below the low-water mark");
    scene.ends_clean_after(1, 3);
}

#[test]
fn a_long_write_goes_in_parts_as_the_reader_takes_them() {
    let mut scene = pair();
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 20000]);
    let mut taken = 0;
    while taken < 20000 {
        let n = scene.world.call(1, nr::READ, &[3, ARENA, 4096]).expect("there are data");
        assert!(n > 0);
        taken += n;
    }
    assert_eq!(scene.world.answer(0), Some(Ok(20000)));
    scene.ends_clean();
}

#[test]
fn an_interrupted_writer_that_has_sent_something_returns_the_part() {
    let mut scene = pair();
    scene.world.catch(0, SIGUSR1, true);
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 10000]);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.answer(0), Some(Ok(4096)), "not restarted: a part went out");
    scene.ends_clean();
}

#[test]
fn an_interrupted_writer_that_has_sent_nothing_fails_or_is_restarted() {
    for restart in [false, true] {
        let mut scene = pair();
        scene.world.catch(0, SIGUSR1, restart);
        scene.fill(4);
        scene.world.begin(0, nr::WRITE, &[4, ARENA, 10]);
        scene.world.signal(0, SIGUSR1);
        let expected = if restart { None } else { Some(Err(EINTR)) };
        assert_eq!(scene.world.answer(0), expected);
        scene.ends_clean_after(1, 3);
    }
}

#[test]
fn a_writer_gives_up_after_its_time() {
    let mut scene = pair();
    scene.timeout(0, 4, SO_SNDTIMEO, 1000);
    scene.fill(4);
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 10]);
    scene.world.pass(900);
    assert_eq!(scene.world.wmesg(0), Some("netio"));
    scene.world.pass(200);
    assert_eq!(scene.world.answer(0), Some(Err(EWOULDBLOCK)));
    scene.ends_clean();
}

#[test]
fn a_sleeping_writer_gets_epipe_and_sigpipe_when_the_reader_closes() {
    let mut scene = pair();
    scene.world.catch(0, SIGPIPE, false);
    assert_eq!(scene.world.call(0, nr::CLOSE, &[3]), Ok(0));
    scene.fill(4);
    scene.world.begin(0, nr::WRITE, &[4, ARENA, 10]);
    assert_eq!(scene.world.call(1, nr::CLOSE, &[3]), Ok(0));
    assert_eq!(scene.world.answer(0), Some(Err(EPIPE)));
    assert_eq!(scene.world.caught[0], [SIGPIPE]);
    scene.ends_clean();
}

#[test]
fn an_expired_waitall_leaves_the_writer_without_room() {
    // soreceive returns without PRU_RCVD there (uipc_socket.c).
    let mut scene = pair();
    scene.timeout(0, 3, SO_RCVTIMEO, 100);
    scene.world.begin(0, nr::ORECV, &[3, ARENA, 5000, MSG_WAITALL]);
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 4096]), Ok(4096));
    scene.world.pass(300);
    assert_eq!(scene.world.answer(0), Some(Ok(4096)));
    assert_eq!(scene.world.call(0, nr::FCNTL, &[4, 4, 4]), Ok(0));
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 1]), Err(EWOULDBLOCK));
}
