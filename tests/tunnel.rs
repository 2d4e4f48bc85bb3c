//! `/dev/tun0`: a program of the guest is the other end of an interface.  The answers follow from net/if_tun.c.

#[path = "socket/root.rs"]
mod root;
#[path = "socket/world.rs"]
mod world;

use world::{ARENA, World, nr};

const OPEN: u32 = 5;
const MKNOD: u32 = 14;
const O_RDWR: u32 = 2;
/// Major number 52, unit 0.
const TUN0: u32 = 52 << 8;
const S_IFCHR: u32 = 0o020_000;
const SIOCAIFADDR: u32 = 0x8040_691a;
const SIOCGIFFLAGS: u32 = 0xc020_6911;
const SIOCSIFMTU: u32 = 0x8020_6934;
const TUNSIFINFO: u32 = 0x8008_745b;
const TUNGIFINFO: u32 = 0x4008_745c;
const FIONREAD: u32 = 0x4004_667f;
const FIONBIO: u32 = 0x8004_667e;
const EIO: u32 = 5;
const ENXIO: u32 = 6;
const EBUSY: u32 = 16;
const EINVAL: u32 = 22;
const EINTR: u32 = 4;
const EWOULDBLOCK: u32 = 35;
const EHOSTDOWN: u32 = 64;
const SIGUSR1: u32 = 30;

fn sin(last: u8, port: u16) -> [u8; 16] {
    let [p1, p0] = port.to_be_bytes();
    [16, 2, p1, p0, 10, 0, 0, last, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// A world with one tunnel, whose device is `/tun0`.
fn world() -> (World, tempfile::TempDir) {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    world.kernel.attach_tunnels(1);
    world.write(0, 0x100, b"/tun0\0");
    assert_eq!(world.call(0, MKNOD, &[ARENA + 0x100, S_IFCHR | 0o600, TUN0]), Ok(0));
    (world, root)
}

fn open(world: &mut World, n: usize) -> world::Answer {
    world.call(n, OPEN, &[ARENA + 0x100, O_RDWR, 0])
}

/// Gives the interface the address 10.0.0.1, and 10.0.0.2 to the other end.
fn configure(world: &mut World) {
    let fd = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    let request = [&b"tun0\0\0\0\0\0\0\0\0\0\0\0\0"[..], &sin(1, 0), &sin(2, 0), &[0; 16]].concat();
    world.write(0, 0x200, &request);
    assert_eq!(world.call(0, nr::IOCTL, &[fd, SIOCAIFADDR, ARENA + 0x200]), Ok(0));
    assert_eq!(world.call(0, nr::CLOSE, &[fd]), Ok(0));
}

fn flags(world: &mut World) -> u16 {
    let fd = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    world.write(0, 0x200, b"tun0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(world.call(0, nr::IOCTL, &[fd, SIOCGIFFLAGS, ARENA + 0x200]), Ok(0));
    assert_eq!(world.call(0, nr::CLOSE, &[fd]), Ok(0));
    u16::from_le_bytes(world.read(0, 0x210, 2).try_into().expect("two bytes"))
}

fn sum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A datagram from 10.0.0.2, port 9, to 10.0.0.1, port 5000.
fn datagram(data: &[u8]) -> Vec<u8> {
    let [l1, l0] = (28 + data.len() as u16).to_be_bytes();
    let mut header = [0x45, 0, l1, l0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    let sum = sum(&header);
    header[10..12].copy_from_slice(&sum);
    let [u1, u0] = (8 + data.len() as u16).to_be_bytes();
    [&header[..], &[0, 9, 0x13, 0x88, u1, u0, 0, 0], data].concat()
}

/// A socket for datagrams at port 5000.
fn bound(world: &mut World) -> u32 {
    let fd = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    world.write(0, 0x300, &sin(1, 5000));
    assert_eq!(world.call(0, nr::BIND, &[fd, ARENA + 0x300, 16]), Ok(0));
    fd
}

#[test]
fn packets_that_are_written_come_in_and_those_that_go_out_are_read() {
    let (mut world, _root) = world();
    let tun = open(&mut world, 0).expect("it opens");
    configure(&mut world);
    let fd = bound(&mut world);
    let packet = datagram(b"hello");
    world.write(0, 0x400, &packet);
    assert_eq!(world.call(0, nr::WRITE, &[tun, ARENA + 0x400, packet.len() as u32]), Ok(33));
    assert_eq!(world.call(0, nr::READ, &[fd, ARENA + 0x500, 100]), Ok(5));
    assert_eq!(world.read(0, 0x500, 5), b"hello");
    world.write(0, 0x300, &sin(2, 9));
    assert_eq!(world.call(0, nr::SENDTO, &[fd, ARENA + 0x500, 5, 0, ARENA + 0x300, 16]), Ok(5));
    assert_eq!(world.call(0, nr::IOCTL, &[tun, FIONREAD, ARENA + 0x600]), Ok(0));
    assert_ne!(world.read(0, 0x600, 4), [0; 4]);
    assert_eq!(world.call(0, nr::READ, &[tun, ARENA + 0x700, 1500]), Ok(33));
    let sent = world.read(0, 0x700, 33);
    assert_eq!((&sent[12..20], &sent[28..]), (&[10, 0, 0, 1, 10, 0, 0, 2][..], &b"hello"[..]));
}

#[test]
fn a_reader_waits_for_a_packet_or_a_signal_and_takes_one_at_a_time() {
    let (mut world, _root) = world();
    let tun = open(&mut world, 0).expect("it opens");
    configure(&mut world);
    let fd = bound(&mut world);
    let other = world.fork(0);
    world.begin(other, nr::READ, &[tun, ARENA + 0x700, 30]);
    assert_eq!(world.wmesg(other), Some("tunread"));
    world.write(0, 0x300, &sin(2, 9));
    for _ in 0..2 {
        assert_eq!(world.call(0, nr::SENDTO, &[fd, ARENA + 0x500, 5, 0, ARENA + 0x300, 16]), Ok(5));
    }
    assert_eq!(world.answer(other), Some(Ok(30)), "the rest of the packet is lost");
    assert_eq!(world.call(other, nr::READ, &[tun, ARENA + 0x700, 1500]), Ok(33));
    world.catch(other, SIGUSR1, false);
    world.begin(other, nr::READ, &[tun, ARENA + 0x700, 30]);
    world.signal(other, SIGUSR1);
    assert_eq!(world.answer(other), Some(Err(EINTR)));
    world.words(0, 0x600, &[1]);
    assert_eq!(world.call(0, nr::IOCTL, &[tun, FIONBIO, ARENA + 0x600]), Ok(0));
    assert_eq!(world.call(0, nr::READ, &[tun, ARENA + 0x700, 30]), Err(EWOULDBLOCK));
}

#[test]
fn one_program_at_a_time_has_the_device_and_its_end_is_that_of_the_interface() {
    let (mut world, _root) = world();
    let tun = open(&mut world, 0).expect("it opens");
    assert_eq!(open(&mut world, 0), Err(EBUSY));
    assert_eq!(world.call(0, nr::READ, &[tun, ARENA + 0x700, 30]), Err(EHOSTDOWN), "it has no address yet");
    configure(&mut world);
    assert_eq!(flags(&mut world) & 0x51, 0x51, "up, running, with one peer");
    assert_eq!(world.call(0, nr::CLOSE, &[tun]), Ok(0));
    assert_eq!(flags(&mut world) & 0x41, 0x40, "down");
    let fd = bound(&mut world);
    world.write(0, 0x300, &sin(2, 9));
    assert!(world.call(0, nr::SENDTO, &[fd, ARENA + 0x500, 5, 0, ARENA + 0x300, 16]).is_err(), "no route");
    open(&mut world, 0).expect("it opens again");
}

#[test]
fn the_device_says_what_the_interface_is() {
    let (mut world, _root) = world();
    let tun = open(&mut world, 0).expect("it opens");
    assert_eq!(world.call(0, nr::IOCTL, &[tun, TUNGIFINFO, ARENA + 0x600]), Ok(0));
    assert_eq!(world.read(0, 0x600, 8), [0, 0, 0, 0, 0xdc, 5, 23, 0], "1500 bytes, IFT_PPP");
    world.write(0, 0x600, &[0x80, 0x25, 0, 0, 0x28, 2, 28, 0]);
    assert_eq!(world.call(0, nr::IOCTL, &[tun, TUNSIFINFO, ARENA + 0x600]), Ok(0));
    world.write(0, 0x600, &[0; 8]);
    assert_eq!(world.call(0, nr::IOCTL, &[tun, TUNGIFINFO, ARENA + 0x600]), Ok(0));
    assert_eq!(world.read(0, 0x600, 8), [0x80, 0x25, 0, 0, 0x28, 2, 28, 0], "9600 baud, 552 bytes, IFT_SLIP");
    // The size of packets is the device's business, not that of the interface's own request.
    let fd = world.call(0, nr::SOCKET, &[2, 2, 0]).expect("a socket");
    world.write(0, 0x200, b"tun0\0\0\0\0\0\0\0\0\0\0\0\0\xe8\x03\0\0");
    assert_eq!(world.call(0, nr::IOCTL, &[fd, SIOCSIFMTU, ARENA + 0x200]), Err(EINVAL));
    assert_eq!(world.call(0, nr::WRITE, &[tun, ARENA, 1501]), Err(EIO));
}

/// A fragment of a datagram to port 5000: 16 bytes with its header, or the 8 bytes behind them; or a long one that nothing
/// follows.
fn fragment(id: u16, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let ([l1, l0], [i1, i0]) = ((20 + data.len() as u16).to_be_bytes(), id.to_be_bytes());
    let [o1, o0] = ((u16::from(more) << 13) | (offset / 8)).to_be_bytes();
    let mut header = [0x45, 0, l1, l0, i1, i0, o1, o0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    let sum = sum(&header);
    header[10..12].copy_from_slice(&sum);
    [&header[..], data].concat()
}

#[test]
fn fragments_that_would_fill_all_clusters_are_given_up() {
    for (others, received) in [(10, Ok(16)), (1000, Err(EWOULDBLOCK))] {
        let (mut world, _root) = world();
        let tun = open(&mut world, 0).expect("it opens");
        configure(&mut world);
        let fd = bound(&mut world);
        let write = |world: &mut World, packet: &[u8]| {
            world.write(0, 0x400, packet);
            let len = packet.len() as u32;
            assert_eq!(world.call(0, nr::WRITE, &[tun, ARENA + 0x400, len]), Ok(len));
        };
        let whole = [&[0, 9, 0x13, 0x88, 0, 24, 0, 0][..], &[7; 16]].concat();
        write(&mut world, &fragment(1, 0, true, &whole[..16]));
        for id in 0..others {
            write(&mut world, &fragment(100 + id, 0, true, &[0; 1480]));
        }
        write(&mut world, &fragment(1, 16, false, &whole[16..]));
        world.words(0, 0x600, &[1]);
        assert_eq!(world.call(0, nr::IOCTL, &[fd, FIONBIO, ARENA + 0x600]), Ok(0));
        assert_eq!(world.call(0, nr::READ, &[fd, ARENA + 0x500, 100]), received, "{others} others");
    }
}

#[test]
fn without_a_tunnel_there_is_no_device() {
    let root = tempfile::tempdir().expect("a directory");
    let mut world = World::new(root.path());
    world.write(0, 0x100, b"/tun0\0");
    assert_eq!(world.call(0, MKNOD, &[ARENA + 0x100, S_IFCHR | 0o600, TUN0]), Ok(0));
    assert_eq!(open(&mut world, 0), Err(ENXIO));
}
