//! `--host-sockets` from inside of the kernel: sockets of this host, reached by their names in the guest's tree, and what
//! is not reached.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::{Duration, Instant};

use bsd21::kernel::socket::{Network, lent};
use bsd21::kernel::vfs::poll_host;
use world::{ARENA, World, nr};

const AF_UNIX: u32 = 1;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const ENOENT: u32 = 2;
const EACCES: u32 = 13;
const ENOTSOCK: u32 = 38;
const EPROTOTYPE: u32 = 41;
const ECONNREFUSED: u32 = 61;

fn world(uid: u32, reached: bool) -> (World, tempfile::TempDir) {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut world = World::with(root.path(), Network::None, uid);
    world.kernel.lent.outside = reached;
    (world, root)
}

fn socket(world: &mut World, kind: u32) -> u32 {
    world.call(0, nr::SOCKET, &[AF_UNIX, kind, 0]).expect("a socket")
}

/// Puts a name into memory; its length.
fn name(world: &mut World, path: &str) -> u32 {
    let mut sun = vec![path.len() as u8 + 2, AF_UNIX as u8];
    sun.extend(path.as_bytes());
    world.write(0, 0x100, &sun);
    sun.len() as u32
}

fn connect(world: &mut World, fd: u32, path: &str) -> Result<u32, u32> {
    let len = name(world, path);
    world.call(0, nr::CONNECT, &[fd, ARENA + 0x100, len])
}

/// What a machine does between two turns of its processes.
fn pass(world: &mut World) {
    lent::look(&mut world.kernel);
    poll_host(&mut world.kernel, &[], Some(20_000_000));
    world.pass(0);
}

/// Lets the host's sockets do something until a call that slept is over.
fn wait(world: &mut World) -> Result<u32, u32> {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if let Some(answer) = world.answer(0) {
            return answer;
        }
        pass(world);
    }
    panic!("it never ends: {:?}", world.wmesg(0));
}

#[test]
fn a_stream_of_the_host_is_reached_by_its_name() {
    let (mut world, root) = world(0, true);
    let listener = UnixListener::bind(root.path().join("server")).expect("a socket");
    let fd = socket(&mut world, STREAM);
    assert_eq!(connect(&mut world, fd, "/server"), Ok(0));
    let (mut peer, _) = listener.accept().expect("it has connected");
    world.write(0, 0, b"question");
    assert_eq!(world.call(0, nr::WRITE, &[fd, ARENA, 8]), Ok(8));
    pass(&mut world);
    let mut question = [0; 8];
    peer.read_exact(&mut question).expect("it was sent");
    assert_eq!(&question, b"question");
    peer.write_all(b"answer").expect("it reads");
    world.begin(0, nr::READ, &[fd, ARENA, 100]);
    assert_eq!(wait(&mut world), Ok(6));
    assert_eq!(world.read(0, 0, 6), b"answer");
    drop(peer);
    world.begin(0, nr::READ, &[fd, ARENA, 100]);
    assert_eq!(wait(&mut world), Ok(0), "the end");
}

#[test]
fn messages_go_to_the_host_whole() {
    let (mut world, root) = world(0, true);
    let log = UnixDatagram::bind(root.path().join("log")).expect("a socket");
    log.set_read_timeout(Some(Duration::from_secs(30))).expect("it can wait");
    let fd = socket(&mut world, DGRAM);
    let len = name(&mut world, "/log");
    world.write(0, 0, b"<13>one<13>second");
    for (at, count) in [(0, 7), (7, 10)] {
        let to = [fd, ARENA + at, count, 0, ARENA + 0x100, len];
        assert_eq!(world.call(0, nr::SENDTO, &to), Ok(count));
        pass(&mut world);
    }
    assert_eq!(connect(&mut world, fd, "/log"), Ok(0));
    assert_eq!(world.call(0, nr::WRITE, &[fd, ARENA, 7]), Ok(7));
    pass(&mut world);
    let mut received = Vec::new();
    for _ in 0..3 {
        let mut message = [0; 100];
        let len = log.recv(&mut message).expect("a message");
        received.push(message[..len].to_vec());
    }
    assert_eq!(received, [b"<13>one".to_vec(), b"<13>second".to_vec(), b"<13>one".to_vec()]);
}

#[test]
fn open_files_do_not_pass() {
    const SOL_SOCKET: u32 = 0xffff;
    const SCM_RIGHTS: u32 = 1;
    let (mut world, root) = world(0, true);
    let listener = UnixListener::bind(root.path().join("server")).expect("a socket");
    let fd = socket(&mut world, STREAM);
    assert_eq!(connect(&mut world, fd, "/server"), Ok(0));
    let (mut peer, _) = listener.accept().expect("it has connected");
    let before = world.kernel.files.len();
    let sent = socket(&mut world, STREAM);
    world.write(0, 0x200, b"data");
    world.words(0, 0x300, &[ARENA + 0x200, 4]);
    world.words(0, 0x400, &[16, SOL_SOCKET, SCM_RIGHTS, sent]);
    world.words(0, 0x500, &[0, 0, ARENA + 0x300, 1, ARENA + 0x400, 16, 0]);
    assert_eq!(world.call(0, nr::SENDMSG, &[fd, ARENA + 0x500, 0]), Ok(4));
    assert_eq!(world.call(0, nr::CLOSE, &[sent]), Ok(0));
    pass(&mut world);
    let mut bytes = [0; 16];
    assert_eq!(peer.read(&mut bytes).expect("it was sent"), 4, "the data alone");
    assert_eq!(&bytes[..4], b"data");
    assert_eq!(world.kernel.files.len(), before, "the file that was sent is closed");
}

#[test]
fn nothing_is_reached_without_the_wish() {
    let (mut world, root) = world(0, false);
    let _listener = UnixListener::bind(root.path().join("server")).expect("a socket");
    let fd = socket(&mut world, STREAM);
    assert_eq!(connect(&mut world, fd, "/server"), Err(ECONNREFUSED));
}

#[test]
fn what_is_no_socket_of_the_tree_is_not_reached() {
    let (mut world, root) = world(1001, true);
    let outside = tempfile::tempdir().expect("a directory");
    let secret = UnixListener::bind(outside.path().join("secret")).expect("a socket");
    secret.set_nonblocking(true).expect("it need not wait");
    symlink(outside.path().join("secret"), root.path().join("link")).expect("it is ours");
    symlink("../".repeat(9) + outside.path().join("secret").to_str().expect("text"), root.path().join("up"))
        .expect("it is ours");
    std::fs::write(root.path().join("file"), b"").expect("it is ours");
    std::fs::set_permissions(root.path().join("file"), std::fs::Permissions::from_mode(0o666)).expect("ours");
    let closed = UnixListener::bind(root.path().join("closed")).expect("a socket");
    std::fs::set_permissions(root.path().join("closed"), std::fs::Permissions::from_mode(0o600))
        .expect("ours");
    let dead = UnixListener::bind(root.path().join("dead")).expect("a socket");
    for name in ["dead", "closed"] {
        // Names are the owner's, who is the guest's super-user.
        assert!(root.path().join(name).exists());
    }
    std::fs::set_permissions(root.path().join("dead"), std::fs::Permissions::from_mode(0o777)).expect("ours");
    drop(dead);
    let path = outside.path().join("secret");
    let absolute = path.to_str().expect("text");
    for (path, error) in [
        ("/link", ENOENT),
        ("/up", ENOENT),
        ("/../../../../../../up", ENOENT),
        (absolute, ENOENT),
        ("/file", ENOTSOCK),
        ("/closed", EACCES),
        ("/dead", ECONNREFUSED),
    ] {
        let fd = socket(&mut world, STREAM);
        assert_eq!(connect(&mut world, fd, path), Err(error), "{path}");
    }
    let live = UnixListener::bind(root.path().join("live")).expect("a socket");
    std::fs::set_permissions(root.path().join("live"), std::fs::Permissions::from_mode(0o777)).expect("ours");
    let fd = socket(&mut world, DGRAM);
    assert_eq!(connect(&mut world, fd, "/live"), Err(EPROTOTYPE));
    assert!(secret.accept().is_err(), "nobody has come out");
    drop((live, closed));
}
