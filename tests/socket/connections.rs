//! Accepting, connecting, lingering and finding a port: what these sleeps are woken by.

use super::world::{ARENA, World, nr};
use super::{
    AF_INET, AF_UNIX, DUP2, ECONNABORTED, ECONNRESET, EINTR, EISCONN, ETIMEDOUT, EWOULDBLOCK, EXECVE,
    F_GETFL, F_SETFD, PORT_6000, SIGUSR1, SO_LINGER, SOL_SOCKET, Scene, WAIT4, listener, pair,
};

// Waiting for a connection (accept1).

#[test]
fn accept_sleeps_until_somebody_connects() {
    for family in [AF_UNIX, AF_INET] {
        let mut scene = listener(family, 5);
        scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
        assert_eq!(scene.world.wmesg(0), Some("netcon"));
        scene.connect(1, family);
        assert_eq!(scene.world.answer(1), Some(Ok(0)));
        assert_eq!(scene.world.answer(0), Some(Ok(4)));
        assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 5]), Ok(5));
        assert_eq!(scene.world.call(0, nr::READ, &[4, ARENA, 10]), Ok(5));
        scene.ends_clean();
    }
}

#[test]
fn an_interrupted_accept_takes_no_connection() {
    let mut scene = listener(AF_UNIX, 5);
    scene.world.catch(0, SIGUSR1, false);
    scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.answer(0), Some(Err(EINTR)));
    scene.connect(1, AF_UNIX);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.ends_clean();
}

#[test]
fn a_restarted_accept_reads_its_arguments_again_and_goes_on() {
    let mut scene = listener(AF_UNIX, 5);
    scene.world.catch(0, SIGUSR1, true);
    scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.wmesg(0), Some("netcon"));
    scene.connect(1, AF_UNIX);
    assert_eq!(scene.world.answer(0), Some(Ok(4)));
    scene.ends_clean();
}

#[test]
fn whether_accept_may_block_is_tested_once() {
    let mut scene = listener(AF_UNIX, 5);
    scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
    assert_eq!(scene.world.call(1, nr::FCNTL, &[3, 4, 4]), Ok(0));
    assert_eq!(scene.world.wmesg(0), Some("netcon"), "it sleeps on");
    scene.connect(1, AF_UNIX);
    assert_eq!(scene.world.answer(0), Some(Ok(4)));
    scene.ends_clean();
}

#[test]
fn of_two_accepters_one_gets_the_connection() {
    let mut scene = listener(AF_UNIX, 5);
    scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
    let third = scene.world.fork(1);
    scene.world.begin(1, nr::ACCEPT, &[3, 0, 0]);
    scene.connect(third, AF_UNIX);
    assert_eq!(scene.world.answer(0), Some(Ok(4)));
    assert_eq!(scene.world.wmesg(1), Some("netcon"));
}

#[test]
fn a_shut_down_listener_aborts_its_accepter() {
    let mut scene = listener(AF_UNIX, 5);
    scene.world.begin(0, nr::ACCEPT, &[3, 0, 0]);
    assert_eq!(scene.world.call(1, nr::SHUTDOWN, &[3, 0]), Ok(0));
    assert_eq!(scene.world.wmesg(0), Some("netcon"), "nobody wakes those who wait for the state");
    scene.connect(1, AF_UNIX);
    assert_eq!(scene.world.answer(0), Some(Ok(4)));
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Err(ECONNABORTED));
}

// Waiting to be connected (connect).

#[test]
fn connect_waits_for_a_full_listener_and_a_signal_never_restarts_it() {
    for restart in [false, true] {
        let mut scene = listener(AF_INET, 0);
        scene.connect(1, AF_INET);
        assert_eq!(scene.world.answer(1), Some(Ok(0)), "one connection fits");
        scene.world.catch(1, SIGUSR1, restart);
        scene.connect(1, AF_INET);
        assert_eq!(scene.world.wmesg(1), Some("netcon"));
        scene.world.signal(1, SIGUSR1);
        assert_eq!(scene.world.answer(1), Some(Err(EINTR)));
        assert_eq!(scene.world.call(1, nr::CONNECT, &[4, ARENA + 0x100, 16]), Err(EISCONN));
    }
}

#[test]
fn connect_goes_on_when_the_listener_has_room_again() {
    let mut scene = listener(AF_INET, 0);
    scene.connect(1, AF_INET);
    scene.connect(1, AF_INET);
    assert_eq!(scene.world.wmesg(1), Some("netcon"));
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.pass(5400);
    assert_eq!(scene.world.wmesg(1), Some("netcon"), "the second attempt comes at the twelfth slow tick");
    scene.world.pass(1600);
    assert_eq!(scene.world.answer(1), Some(Ok(0)));
}

/// tcp_timers: TCP_REXMTVAL is 24 slow ticks where nothing was measured, and the second one is twice as much.
#[test]
fn connect_tries_for_the_third_time_after_24_more_seconds() {
    let mut scene = listener(AF_INET, 0);
    scene.connect(1, AF_INET);
    scene.connect(1, AF_INET);
    scene.world.pass(7_000);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.pass(22_000);
    assert_eq!(scene.world.wmesg(1), Some("netcon"));
    scene.world.pass(2_000);
    assert_eq!(scene.world.answer(1), Some(Ok(0)));
}

#[test]
fn connect_gives_up_after_75_seconds() {
    let mut scene = listener(AF_INET, 0);
    scene.connect(1, AF_INET);
    scene.connect(1, AF_INET);
    scene.world.pass(74_000);
    assert_eq!(scene.world.wmesg(1), Some("netcon"));
    scene.world.pass(2_000);
    assert_eq!(scene.world.answer(1), Some(Err(ETIMEDOUT)));
}

// Lingering (soclose).

/// Fills the buffer of the peer, and leaves something in the one for sending.
fn write_more_than_the_peer_takes(world: &mut World, fd: u32) {
    assert_eq!(world.call(1, nr::WRITE, &[fd, ARENA, 28_672]), Ok(28_672));
    world.pass(500);
    assert_eq!(world.call(1, nr::WRITE, &[fd, ARENA, 20_000]), Ok(20_000));
}

#[test]
fn close_lingers_while_the_peer_has_not_got_everything() {
    let mut scene = listener(AF_INET, 5);
    let fd = scene.connect(1, AF_INET);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.words(1, 0x80, &[1, 300]);
    assert_eq!(scene.world.call(1, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_LINGER, ARENA + 0x80, 8]), Ok(0));
    write_more_than_the_peer_takes(&mut scene.world, fd);
    scene.world.begin(1, nr::CLOSE, &[fd]);
    assert_eq!(scene.world.wmesg(1), Some("netcls"));
    let mut taken = 0;
    while taken < 48_672 {
        taken += scene.world.call(0, nr::READ, &[4, ARENA, 4096]).expect("there are data");
    }
    assert_eq!(scene.world.answer(1), Some(Ok(0)));
    assert_eq!(scene.world.call(0, nr::READ, &[4, ARENA, 4096]), Ok(0));
    scene.ends_clean();
}

#[test]
fn lingering_counts_ticks_and_ends_with_ewouldblock() {
    let mut scene = listener(AF_INET, 5);
    let fd = scene.connect(1, AF_INET);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.words(1, 0x80, &[1, 300]);
    assert_eq!(scene.world.call(1, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_LINGER, ARENA + 0x80, 8]), Ok(0));
    write_more_than_the_peer_takes(&mut scene.world, fd);
    scene.world.begin(1, nr::CLOSE, &[fd]);
    scene.world.pass(2900);
    assert_eq!(scene.world.wmesg(1), Some("netcls"));
    scene.world.pass(200);
    assert_eq!(scene.world.answer(1), Some(Err(EWOULDBLOCK)));
}

#[test]
fn an_interrupted_close_has_given_up_its_descriptor() {
    let mut scene = listener(AF_INET, 5);
    let fd = scene.connect(1, AF_INET);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.catch(1, SIGUSR1, false);
    scene.world.words(1, 0x80, &[1, 300]);
    assert_eq!(scene.world.call(1, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_LINGER, ARENA + 0x80, 8]), Ok(0));
    write_more_than_the_peer_takes(&mut scene.world, fd);
    scene.world.begin(1, nr::CLOSE, &[fd]);
    scene.world.signal(1, SIGUSR1);
    assert_eq!(scene.world.answer(1), Some(Err(EINTR)));
    assert_eq!(scene.world.call(1, nr::CLOSE, &[fd]), Err(9));
}

#[test]
fn a_linger_of_zero_resets_the_connection() {
    let mut scene = listener(AF_INET, 5);
    let fd = scene.connect(1, AF_INET);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.begin(0, nr::READ, &[4, ARENA, 10]);
    scene.world.words(1, 0x80, &[1, 0]);
    assert_eq!(scene.world.call(1, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_LINGER, ARENA + 0x80, 8]), Ok(0));
    assert_eq!(scene.world.call(1, nr::CLOSE, &[fd]), Ok(0));
    assert_eq!(scene.world.answer(0), Some(Err(ECONNRESET)));
    scene.ends_clean();
}

/// Process 1 has a connection that lingers and more in it than its peer, descriptor 4 of process 0, takes.
fn lingering() -> (Scene, u32) {
    let mut scene = listener(AF_INET, 5);
    let fd = scene.connect(1, AF_INET);
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    scene.world.words(1, 0x80, &[1, 30_000]);
    assert_eq!(scene.world.call(1, nr::SETSOCKOPT, &[fd, SOL_SOCKET, SO_LINGER, ARENA + 0x80, 8]), Ok(0));
    write_more_than_the_peer_takes(&mut scene.world, fd);
    (scene, fd)
}

fn take_everything(scene: &mut Scene) {
    let mut taken = 0;
    while taken < 48_672 {
        taken += scene.world.call(0, nr::READ, &[4, ARENA, 4096]).expect("there are data");
    }
    assert_eq!(scene.world.call(0, nr::READ, &[4, ARENA, 4096]), Ok(0));
}

#[test]
fn a_process_that_ends_lingers() {
    let (mut scene, _) = lingering();
    scene.world.begin(1, nr::EXIT, &[0]);
    assert_eq!(scene.world.wmesg(1), Some("netcls"));
    scene.world.signal(1, SIGUSR1);
    assert_eq!(scene.world.wmesg(1), Some("netcls"), "one that ends hears no signals");
    take_everything(&mut scene);
    assert_eq!(scene.world.wmesg(1), None);
    assert_eq!(scene.world.call(0, WAIT4, &[u32::MAX, 0, 0, 0]), Ok(6), "it is over");
}

#[test]
fn dup2_lingers_before_the_descriptor_is_another_file() {
    let (mut scene, fd) = lingering();
    scene.world.begin(1, DUP2, &[3, fd]);
    assert_eq!(scene.world.wmesg(1), Some("netcls"));
    take_everything(&mut scene);
    assert_eq!(scene.world.answer(1), Some(Ok(fd)));
    assert_eq!(scene.world.call(1, nr::FCNTL, &[fd, F_GETFL, 0]), Ok(2), "the listener");
    scene.ends_clean();
}

#[test]
fn an_interrupted_linger_of_dup2_is_no_error() {
    let (mut scene, fd) = lingering();
    scene.world.catch(1, SIGUSR1, false);
    scene.world.begin(1, DUP2, &[3, fd]);
    scene.world.signal(1, SIGUSR1);
    assert_eq!(scene.world.answer(1), Some(Ok(fd)));
}

#[test]
fn exec_lingers_for_what_it_closes() {
    let (mut scene, fd) = lingering();
    let hello = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/hello");
    std::fs::copy(hello, scene._root.path().join("hello")).expect("there is room");
    assert_eq!(scene.world.call(1, nr::FCNTL, &[fd, F_SETFD, 1]), Ok(0));
    scene.world.write(1, 0x200, b"/hello\0");
    scene.world.begin(1, EXECVE, &[ARENA + 0x200, 0, 0]);
    assert_eq!(scene.world.wmesg(1), Some("netcls"));
    take_everything(&mut scene);
    assert_eq!(scene.world.wmesg(1), None);
}

// Ports (in_pcbbind).

/// Takes all ports of TCP from 1024 to 5000: connections that were closed here are remembered for a while.
fn take_all_ports(scene: &mut Scene) {
    scene.world.write(1, 0x100, &PORT_6000);
    for _ in 1024..=5000 {
        let fd = scene.world.call(1, nr::SOCKET, &[AF_INET, 1, 0]).expect("a socket");
        assert_eq!(scene.world.call(1, nr::CONNECT, &[fd, ARENA + 0x100, 16]), Ok(0));
        assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
        assert_eq!(scene.world.call(1, nr::CLOSE, &[fd]), Ok(0));
        assert_eq!(scene.world.call(0, nr::CLOSE, &[4]), Ok(0));
    }
}

fn unbound_listener() -> Scene {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    assert_eq!(world.call(0, nr::SOCKET, &[AF_INET, 1, 0]), Ok(3));
    // Port 6000: not one of those that are given out.
    world.write(0, 0x100, &PORT_6000);
    assert_eq!(world.call(0, nr::BIND, &[3, ARENA + 0x100, 16]), Ok(0));
    assert_eq!(world.call(0, nr::LISTEN, &[3, 5]), Ok(0));
    world.fork(0);
    Scene { world, _root: root }
}

#[test]
fn one_who_finds_no_port_waits_until_a_timer_frees_one() {
    let mut scene = unbound_listener();
    take_all_ports(&mut scene);
    let fd = scene.world.call(1, nr::SOCKET, &[AF_INET, 1, 0]).expect("a socket");
    scene.world.begin(1, nr::CONNECT, &[fd, ARENA + 0x100, 16]);
    assert_eq!(scene.world.wmesg(1), Some("inport"));
    scene.world.pass(20_000);
    assert_eq!(scene.world.answer(1), Some(Ok(0)));
    scene.ends_clean();
}

#[test]
fn a_signal_ends_the_wait_for_a_port() {
    let mut scene = unbound_listener();
    take_all_ports(&mut scene);
    scene.world.catch(1, SIGUSR1, false);
    let fd = scene.world.call(1, nr::SOCKET, &[AF_INET, 1, 0]).expect("a socket");
    for call in [&[nr::CONNECT, fd, ARENA + 0x100, 16][..], &[nr::LISTEN, fd, 5]] {
        scene.world.begin(1, call[0], &call[1..]);
        assert_eq!(scene.world.wmesg(1), Some("inport"));
        scene.world.signal(1, SIGUSR1);
        assert_eq!(scene.world.answer(1), Some(Err(EINTR)));
    }
    scene.world.write(1, 0x300, b"data");
    scene.world.begin(1, nr::SENDTO, &[fd, ARENA + 0x300, 4, 0, ARENA + 0x100, 16]);
    assert_eq!(scene.world.wmesg(1), Some("inport"));
    scene.world.pass(20_000);
    assert_eq!(scene.world.answer(1), Some(Ok(4)), "and nothing is sent twice");
    assert_eq!(scene.world.call(0, nr::ACCEPT, &[3, 0, 0]), Ok(4));
    assert_eq!(scene.world.call(0, nr::READ, &[4, ARENA, 100]), Ok(4));
}

// Selecting (select, selwakeup).

#[test]
fn select_wakes_when_data_come() {
    let mut scene = pair();
    scene.world.words(0, 0x40, &[1 << 3]);
    scene.world.begin(0, nr::SELECT, &[4, ARENA + 0x40, 0, 0, 0]);
    assert_eq!(scene.world.wmesg(0), Some("select"));
    assert_eq!(scene.world.call(1, nr::WRITE, &[4, ARENA, 1]), Ok(1));
    assert_eq!(scene.world.answer(0), Some(Ok(1)));
    assert_eq!(scene.world.read(0, 0x40, 4), [8, 0, 0, 0]);
    scene.ends_clean();
}

#[test]
fn select_wakes_two_who_wait_for_the_same_socket() {
    let mut scene = pair();
    let third = scene.world.fork(0);
    for n in [0, 1] {
        scene.world.words(n, 0x40, &[1 << 3]);
        scene.world.begin(n, nr::SELECT, &[4, ARENA + 0x40, 0, 0, 0]);
    }
    assert_eq!(scene.world.call(third, nr::WRITE, &[4, ARENA, 1]), Ok(1));
    assert_eq!((scene.world.answer(0), scene.world.answer(1)), (Some(Ok(1)), Some(Ok(1))));
}

#[test]
fn select_is_never_restarted() {
    let mut scene = pair();
    scene.world.catch(0, SIGUSR1, true);
    scene.world.words(0, 0x40, &[1 << 3]);
    scene.world.begin(0, nr::SELECT, &[4, ARENA + 0x40, 0, 0, 0]);
    scene.world.signal(0, SIGUSR1);
    assert_eq!(scene.world.answer(0), Some(Err(EINTR)));
    scene.ends_clean();
}

#[test]
fn select_has_one_deadline() {
    let mut scene = pair();
    scene.world.words(0, 0x40, &[1 << 3, 0, 1, 0]);
    scene.world.begin(0, nr::SELECT, &[4, ARENA + 0x40, 0, 0, ARENA + 0x48]);
    scene.world.pass(600);
    assert_eq!(scene.world.wmesg(0), Some("select"));
    scene.world.pass(500);
    assert_eq!(scene.world.answer(0), Some(Ok(0)));
    assert_eq!(scene.world.read(0, 0x40, 4), [0, 0, 0, 0]);
    scene.ends_clean();
}
