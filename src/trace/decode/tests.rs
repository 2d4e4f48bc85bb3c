use syscalls::lookup;
use syscalls::result::Retval;

use super::*;
use crate::trace::memory::Piece;
use crate::trace::text::plain;

fn line(name: &str, words: &[u32], memory: &dyn Memory, retval: Option<(u32, Option<u32>)>) -> String {
    let row = lookup(name).unwrap();
    let detail = Detail::default();
    let mut args = enter(row, words, memory, &detail);
    let mut out = format!("{}(", row.trace_name());
    let mut result = "?".to_string();
    if let Some((eax, edx)) = retval {
        let retval = Retval { eax, edx };
        leave(&mut args, retval, memory, &detail);
        result = plain(&super::result(row.ret, retval, &args, memory, &detail));
    }
    let values: Vec<_> = args.iter().flat_map(|a| &a.values).map(plain).collect();
    out.push_str(&values.join(", "));
    out.push_str(&format!(") = {result}"));
    out
}

#[test]
fn outputs_show_only_on_success() {
    let m = Piece { addr: 0x2000, bytes: [[3, 0, 0, 0], [4, 0, 0, 0]].concat() };
    let words = [1, 1, 0, 0x2000, 0];
    assert_eq!(
        line("socketpair", &words, &m, Some((3, Some(4)))),
        "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 3"
    );
    assert_eq!(line("socketpair", &words, &m, None), "socketpair(AF_UNIX, SOCK_STREAM, 0, 0x2000) = ?");
    assert_eq!(line("pipe", &[], &m, Some((3, Some(4)))), "pipe() = [3, 4]");
    assert_eq!(line("fork", &[], &m, Some((17, Some(0)))), "fork() = 17");
    let m = Piece { addr: 0x100, bytes: b"hello\nworld".to_vec() };
    assert_eq!(line("read", &[0, 0x100, 1024], &m, Some((6, None))), "read(0, \"hello\\n\", 1024) = 6");
    assert_eq!(line("write", &[1, 0x100, 11], &m, Some((11, None))), "write(1, \"hello\\nworld\", 11) = 11");
    assert_eq!(line("write", &[1, 0x9000, 11], &m, None), "write(1, 0x9000, 11) = ?");
}

#[test]
fn modes_of_open_show_only_where_a_file_is_created() {
    let m = Piece { addr: 0x100, bytes: [b"/etc/motd\0".as_slice(), &[0; 4096]].concat() };
    assert_eq!(line("open", &[0x100, 0, 0o666], &m, Some((3, None))), "open(\"/etc/motd\", O_RDONLY) = 3");
    assert_eq!(
        line("open", &[0x100, 0x601, 0o644], &m, Some((3, None))),
        "open(\"/etc/motd\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = 3"
    );
}

#[test]
fn sixty_four_bit_words_and_results_are_whole() {
    let m = Piece { addr: 0, bytes: vec![] };
    assert_eq!(
        line("lseek", &[3, 0, 0xffff_fff0, 0xffff_ffff, 2], &m, Some((0, Some(1)))),
        "lseek(3, -16, SEEK_END) = 4294967296"
    );
    assert_eq!(line("old.lseek", &[3, 5, 0], &m, Some((5, None))), "old.lseek(3, 5, SEEK_SET) = 5");
    assert_eq!(
        line("mmap", &[0, 4096, 3, 0x1002, u32::MAX, 0, 0, 0], &m, Some((0x800_0000, None))),
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANON, -1, 0) = 0x8000000"
    );
}

#[test]
fn descriptor_sets_are_lists() {
    let m = Piece { addr: 0x100, bytes: vec![0x09, 0, 0, 0, 0x10, 0, 0, 0] };
    assert_eq!(
        line("select", &[8, 0x100, 0x104, 0, 0], &m, Some((3, None))),
        "select(8, [0 3], [4], NULL, NULL) = 3 /* in [0 3], out [4] */"
    );
}

#[test]
fn messages_show_descriptors_in_transfer() {
    let mut bytes = vec![0u8; 0x80];
    let put = |bytes: &mut Vec<u8>, at: usize, words: &[u32]| {
        for (i, w) in words.iter().enumerate() {
            bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&w.to_le_bytes());
        }
    };
    put(&mut bytes, 0, &[0, 0, 0x1020, 1, 0x1030, 16, 0]);
    put(&mut bytes, 0x20, &[0x1060, 1]);
    put(&mut bytes, 0x30, &[16, 0xffff, 1, 5]);
    bytes[0x60] = b'x';
    let m = Piece { addr: 0x1000, bytes };
    assert_eq!(
        line("sendmsg", &[4, 0x1000, 0], &m, Some((1, None))),
        "sendmsg(4, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"x\", iov_len=1}], msg_iovlen=1, \
         msg_control=[{cmsg_len=16, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5]}], \
         msg_controllen=16, msg_flags=0}, 0) = 1"
    );
}

#[test]
fn socket_addresses_and_their_lengths_show_what_changed() {
    let mut bytes = vec![0u8; 64];
    bytes[..4].copy_from_slice(&[16, 2, 0, 80]);
    bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
    bytes[32] = 106;
    let mut m = Piece { addr: 0x1000, bytes };
    assert_eq!(
        line("connect", &[3, 0x1000, 16], &m, Some((0, None))),
        "connect(3, {sin_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0"
    );
    let row = lookup("accept").unwrap();
    let detail = Detail::default();
    let mut args = enter(row, &[3, 0x1000, 0x1020], &m, &detail);
    m.bytes[32] = 16;
    leave(&mut args, Retval { eax: 4, edx: None }, &m, &detail);
    let values: Vec<_> = args.iter().flat_map(|a| &a.values).map(plain).collect();
    assert_eq!(values[2], "[106 => 16]");
    m.bytes[..9].copy_from_slice(b"\x08\x01/tmp/s\0");
    assert_eq!(
        line("bind", &[3, 0x1000, 9], &m, Some((0, None))),
        "bind(3, {sun_family=AF_UNIX, sun_path=\"/tmp/s\"}, 9) = 0"
    );
}

#[test]
fn requests_are_named_and_their_data_follow_the_direction() {
    let m = Piece { addr: 0x100, bytes: vec![24, 0, 80, 0, 0, 0, 0, 0] };
    let words = [0, syscalls::ioctl::TIOCGWINSZ, 0x100];
    assert_eq!(
        line("ioctl", &words, &m, Some((0, None))),
        "ioctl(0, TIOCGWINSZ, {ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}) = 0"
    );
    assert_eq!(line("ioctl", &words, &m, None), "ioctl(0, TIOCGWINSZ, 0x100) = ?");
    assert_eq!(
        line("ioctl", &[0, syscalls::ioctl::FIONBIO, 0x104], &m, Some((0, None))),
        "ioctl(0, FIONBIO, [0]) = 0"
    );
    assert_eq!(line("fcntl", &[3, 4, 6], &m, Some((0, None))), "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    assert_eq!(
        line("fcntl", &[3, 3, 0], &m, Some((6, None))),
        "fcntl(3, F_GETFL) = 0x6 /* O_RDWR|O_NONBLOCK */"
    );
}

#[test]
fn names_of_sysctl_are_dotted() {
    let mut bytes = vec![0u8; 4200];
    bytes[..8].copy_from_slice(&[6, 0, 0, 0, 7, 0, 0, 0]);
    bytes[16..20].copy_from_slice(&[0, 16, 0, 0]);
    bytes[24] = 4;
    let m = Piece { addr: 0x1000, bytes };
    assert_eq!(
        line("__sysctl", &[0x1000, 2, 0x1010, 0x1018, 0, 0], &m, Some((0, None))),
        "__sysctl(hw.pagesize, 2, [4096], [4], NULL, 0) = 0"
    );
}

proptest::proptest! {
    #[test]
    fn no_words_make_the_tracer_panic(
        code in 0usize..220,
        words in proptest::array::uniform8(proptest::prop_oneof![
            0u32..16, proptest::num::u32::ANY, 0x1000u32..0x2000, proptest::strategy::Just(u32::MAX),
        ]),
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 4096),
        eax in proptest::num::u32::ANY,
    ) {
        let row = &syscalls::SYSENT[code];
        let m = Piece { addr: 0x1000, bytes };
        for verbose in [false, true] {
            let detail = Detail { verbose, ..Detail::default() };
            let mut args = enter(row, &words, &m, &detail);
            let retval = Retval { eax, edx: None };
            leave(&mut args, retval, &m, &detail);
            plain(&result(row.ret, retval, &args, &m, &detail));
            for value in args.iter().flat_map(|a| &a.values) {
                plain(value);
            }
        }
    }
}
