//! `--pcap`: the packets of a run, as another program would read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Runs a guest program that talks to itself; gives the directory with the record, and its path.
fn record(program: &str, behaviour: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("packets");
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--quiet", "--clock", "virtual", "--pcap"])
        .arg(&path)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin/socket").join(program))
        .arg(behaviour)
        .current_dir(directory.path())
        .output()
        .expect("bsd21 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (directory, path)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The packets of a record, with their times in microseconds.
fn packets(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = fs::read(path).expect("the record");
    assert_eq!((word(&bytes, 0), word(&bytes, 4), word(&bytes, 20)), (0xa1b2_c3d4, 0x0004_0002, 101));
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let len = word(&bytes, at + 8) as usize;
        assert_eq!(len, word(&bytes, at + 12) as usize, "nothing is cut");
        let time = u64::from(word(&bytes, at)) * 1_000_000 + u64::from(word(&bytes, at + 4));
        packets.push((time, bytes[at + 16..at + 16 + len].to_vec()));
        at += 16 + len;
    }
    assert_eq!(at, bytes.len());
    packets
}

/// The internet's sum over bytes and what was summed before.
fn sum(bytes: &[u8], before: u32) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = before + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// Checks a packet by the rules of its protocols; gives the protocol.
fn check(packet: &[u8]) -> u8 {
    assert_eq!(packet[0] >> 4, 4, "the version");
    let header = usize::from(packet[0] & 15) * 4;
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    assert_eq!(sum(&packet[..header], 0), 0xffff, "the header's sum");
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
    let (protocol, data) = (packet[9], &packet[header..]);
    let summed = protocol == TCP || (protocol == UDP && data[6..8] != [0, 0]);
    if summed && !fragment {
        let pseudo = sum(&packet[12..20], u32::from(protocol) + data.len() as u32);
        assert_eq!(sum(data, pseudo), 0xffff, "the sum of protocol {protocol}");
    }
    protocol
}

/// Behaviours, and the protocol that they are about.
const SHOWN: [(&str, &str, u8); 8] = [
    ("stream", "echo", TCP),
    ("stream", "bulk", TCP),
    ("stream", "out-of-band", TCP),
    ("stream", "refused", TCP),
    ("datagram", "exchange", UDP),
    ("datagram", "sizes", UDP),
    ("datagram", "refused", ICMP),
    ("datagram", "ping", ICMP),
];

#[test]
fn packets_of_streams_and_datagrams_are_as_they_should_be() {
    for (program, behaviour, protocol) in SHOWN {
        let (_directory, path) = record(program, behaviour);
        let packets = packets(&path);
        let found = packets.iter().filter(|(_, packet)| check(packet) == protocol).count();
        assert!(found > 0, "{behaviour}: none of {} packets", packets.len());
        assert!(packets.is_sorted_by_key(|(time, _)| *time), "time goes on");
    }
}

#[test]
fn a_connection_begins_with_its_handshake() {
    let (_directory, path) = record("stream", "echo");
    let segments: Vec<Vec<u8>> =
        packets(&path).into_iter().map(|(_, packet)| packet).filter(|packet| packet[9] == TCP).collect();
    let flags: Vec<u8> = segments.iter().take(3).map(|segment| segment[20 + 13] & 0x3f).collect();
    assert_eq!(flags, [0x02, 0x12, 0x10], "SYN, SYN and ACK, ACK");
}

#[test]
fn a_record_that_cannot_be_made_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_bsd21"))
        .args(["run", "--pcap", "/nonexistent/packets", "hello"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bin"))
        .output()
        .expect("bsd21 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("bsd21: --pcap /nonexistent/packets: "), "{errors}");
    assert!(output.stdout.is_empty());
}

/// What tshark shows of a record under a filter; nothing where there is no tshark.
fn tshark(path: &Path, filter: &str) -> Option<String> {
    let checks = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-Y", filter]);
    for check in checks {
        command.args(["-o", check]);
    }
    let output = command.output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn another_program_finds_nothing_wrong() {
    // 2.1 quotes headers of refused datagrams in its own byte order, with sums that do not fit.
    let wrong = "!(icmp.type == 3) && (_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || \
        udp.checksum.status == 0 || icmp.checksum.status == 0 || tcp.analysis.lost_segment || \
        tcp.analysis.ack_lost_segment || tcp.analysis.out_of_order || tcp.analysis.retransmission)";
    for (program, behaviour, _) in SHOWN {
        let (_directory, path) = record(program, behaviour);
        match tshark(&path, wrong) {
            Some(found) => assert_eq!(found, "", "{behaviour}"),
            None => eprintln!("skipped: another_program_finds_nothing_wrong: no tshark"),
        }
    }
}
