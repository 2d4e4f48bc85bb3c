//! What the host lends to a run: its terminal, its display, its network, its time zone.

use std::io::IsTerminal;
use std::path::Path;

use super::finding::Finding;
use super::zone;

/// Looks at the host.
pub(super) fn look() -> Vec<Finding> {
    let mut found = vec![match std::io::stdin().is_terminal() {
        true => Finding::good(match std::env::var("TERM") {
            Ok(term) => {
                format!("a terminal; programs take it for a vt100 (-E TERM={term} passes its own name)")
            }
            Err(_) => "a terminal; programs take it for a vt100".to_owned(),
        }),
        false => Finding::good("no terminal: standard input is a file or a pipe"),
    }];
    found.push(match display() {
        Some(socket) => Finding::good(format!("an X display at {socket}: bsd21 run --x11")),
        None => Finding::good(
            "no X display of this host: programs with windows need one, such as Xvfb :1 & DISPLAY=:1",
        ),
    });
    found.push(Finding::good("network: the guest's own loopback (--net host lends the host's)"));
    found.push(match zone::of_host() {
        Some(zone) => Finding::good(format!("time zone {zone}, as the host's")),
        None => Finding::good("time zone UTC: the host has none that 2.1 understands"),
    });
    found
}

/// The socket of the display that the environment names.
fn display() -> Option<String> {
    let name = std::env::var("DISPLAY").ok()?;
    let number = name.strip_prefix(':').or_else(|| name.strip_prefix("unix:"))?.split('.').next()?.to_owned();
    let socket = format!("/tmp/.X11-unix/X{number}");
    Path::new(&socket).exists().then_some(socket)
}
