//! With the host's network, where a tree has no files for names of machines: the host's own are offered.
//!
//! Must not know what the guest does with them.

use std::net::Ipv4Addr;
use std::path::Path;

use crate::host::look;
use crate::host::tape::Question;
use crate::kernel::Kernel;

/// Largest file that is offered.
const LARGEST: u64 = 64 << 10;

/// Offers `/etc/resolv.conf` and `/etc/hosts`, each where the guest has none.
pub(super) fn offer(kernel: &mut Kernel) {
    for (path, keeps) in [("/etc/resolv.conf", names_server as fn(&str) -> bool), ("/etc/hosts", names_host)]
    {
        let content = kernel.tape.learn(Question::Boot, || {
            look::open_named(Path::new(path)).and_then(|file| look::whole(&file, LARGEST)).ok()
        });
        if let Some(content) = content.flatten() {
            kernel.vfs.offer(path.as_bytes(), only(&content, keeps).as_bytes());
        }
    }
}

/// The lines that a system of its time understands: it knows no addresses of version 6.
fn only(content: &[u8], keeps: fn(&str) -> bool) -> String {
    let text = String::from_utf8_lossy(content);
    text.lines().filter(|line| keeps(line)).flat_map(|line| [line, "\n"]).collect()
}

fn is_v4(word: Option<&str>) -> bool {
    word.is_some_and(|word| word.parse::<Ipv4Addr>().is_ok())
}

fn names_server(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() != Some("nameserver") || is_v4(words.next())
}

fn names_host(line: &str) -> bool {
    let mut words = line.split_whitespace();
    line.trim_start().starts_with('#') || is_v4(words.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_version_six_are_left_out() {
        let hosts = only(b"127.0.0.1 localhost\n::1 localhost ip6\n# a note\n\n10.0.0.2 two\n", names_host);
        assert_eq!(hosts, "127.0.0.1 localhost\n# a note\n10.0.0.2 two\n");
        let servers = only(b"nameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.b\n", names_server);
        assert_eq!(servers, "nameserver 10.0.0.1\nsearch a.b\n");
    }
}
