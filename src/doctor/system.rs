//! What 2.1's programs look for in a root.
//!
//! Names are those of the original's own sources: the start code's ld.so (lib/csu), libc's getpwent (pwd.db), getgrent,
//! termcap (`/usr/share/misc/termcap`), tzset (`/etc/localtime`), tmpnam and the editors' /var/tmp.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use super::fix::Fix;
use crate::install::journal;
use crate::survey::needs::AOUT_LINKER;
use crate::survey::tree::Tree;

/// Where ldconfig leaves what ld.so reads.
pub(super) const HINTS: &str = "/var/run/ld.so.hints";
/// Where programs look for terminals.
const TERMCAPS: [&str; 3] = ["/usr/share/misc/termcap", "/etc/termcap", "/usr/share/misc/termcap.db"];

/// Looks at a root.
pub(super) fn look(root: &Path, tree: &Tree) -> Vec<Finding> {
    let shown = root.display();
    let mut found = Vec::new();
    for part in journal::unfinished(root) {
        found.push(Finding::missing(
            format!("{part} was not installed to its end"),
            format!("bsd21 install SOURCE {shown} with the same source goes on where it stopped"),
        ));
    }
    found.push(shell(tree));
    found.extend(linker(root, tree));
    found.extend(accounts(root, tree));
    found.push(match TERMCAPS.iter().find(|name| tree.has_file(name)) {
        Some(name) => Finding::good(format!("{name} describes terminals")),
        None => Finding::wanting(
            "no termcap: editors and pagers do not know any terminal",
            "install the set bin, or copy a termcap to usr/share/misc",
        )
        .fixed_by(Fix::Termcap),
    });
    for name in ["/tmp", "/var/tmp"] {
        found.push(temporary(tree, name));
    }
    found.push(match tree.has_file("/etc/localtime") {
        true => Finding::good("/etc/localtime has the time zone"),
        // What run does by itself needs no help.
        false => Finding::good("no /etc/localtime: runs have the host's time zone (-E TZ takes it away)"),
    });
    found.extend(network(tree));
    found.extend(printer(tree));
    found
}

fn shell(tree: &Tree) -> Finding {
    match tree.has_file("/bin/sh") {
        true => Finding::good("/bin/sh is there"),
        false => Finding::missing(
            "no /bin/sh: scripts, make and system(3) do not work",
            "install the set bin: bsd21 install SOURCE --sets bin DEST",
        ),
    }
}

fn linker(root: &Path, tree: &Tree) -> Vec<Finding> {
    if !tree.has_file(AOUT_LINKER) {
        return vec![Finding::missing(
            format!("no {AOUT_LINKER}: only statically linked programs run"),
            "install the set bin, or lend libraries of a folder: bsd21 run --lib DIR",
        )];
    }
    let mut found = vec![Finding::good(format!("{AOUT_LINKER} is there"))];
    let libraries = super::hints::libraries(tree, &super::hints::standard());
    if libraries.is_empty() {
        found.push(Finding::missing(
            "no shared libraries in /usr/lib",
            "install the set bin, or lend those of a folder: bsd21 run --lib DIR",
        ));
        return found;
    }
    let count = libraries.len();
    found.push(match tree.find(HINTS).and_then(|host| fs::metadata(host).ok()) {
        Some(_) => Finding::good(format!("{HINTS} is there, for {count} libraries")),
        None => Finding::wanting(
            format!("no {HINTS}: ld.so looks in /usr/lib alone"),
            format!(
                "bsd21 run --root {} /sbin/ldconfig /usr/lib /usr/X11R6/lib /usr/local/lib",
                root.display()
            ),
        )
        .fixed_by(Fix::Hints),
    });
    found
}

fn accounts(root: &Path, tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    if !tree.has_file("/etc/master.passwd") && !tree.has_file("/etc/passwd") {
        found.push(
            Finding::wanting("no /etc/passwd: nobody has a name", "install the set bin")
                .fixed_by(Fix::Accounts),
        );
    } else if !tree.has_file("/etc/pwd.db") {
        let file = if tree.has_file("/etc/master.passwd") { "master.passwd" } else { "passwd" };
        found.push(Finding::wanting(
            "no /etc/pwd.db: getpwent finds nobody",
            format!("bsd21 run --root {} /usr/sbin/pwd_mkdb -p /etc/{file}", root.display()),
        ));
    } else {
        found.push(Finding::good("/etc/pwd.db has the users"));
    }
    found.push(match tree.has_file("/etc/group") {
        true => Finding::good("/etc/group has the groups"),
        false => Finding::wanting("no /etc/group: no group has a name", "install the set bin")
            .fixed_by(Fix::Groups),
    });
    found
}

/// A directory that everybody writes to.
fn temporary(tree: &Tree, name: &'static str) -> Finding {
    match tree.find(name).is_some_and(|host| host.is_dir()) {
        true => Finding::good(format!("{name} is there")),
        false => Finding::wanting(
            format!("no {name}: programs cannot make temporary files"),
            "make it, for everybody to write in",
        )
        .fixed_by(Fix::Temporary(name)),
    }
}

/// Whether lpd, if there is one, knows a printer.
fn printer(tree: &Tree) -> Option<Finding> {
    match (tree.has_file("/usr/sbin/lpd"), tree.has_file("/etc/printcap")) {
        (false, _) => None,
        (true, true) => Some(Finding::good("/etc/printcap has the printers")),
        (true, false) => Some(
            Finding::wanting("no /etc/printcap: lpd and lpr know no printer", "write one for /dev/lpt0")
                .fixed_by(Fix::Printer),
        ),
    }
}

fn network(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    if !tree.has_file("/etc/hosts") {
        found.push(
            Finding::wanting("no /etc/hosts: localhost has no number", "write one").fixed_by(Fix::Hosts),
        );
    }
    for (name, what) in
        [("/etc/services", "ports have no names"), ("/etc/protocols", "protocols have no names")]
    {
        if !tree.has_file(name) {
            found.push(Finding::wanting(format!("no {name}: {what}"), "install the set bin"));
        }
    }
    if found.is_empty() {
        found.push(Finding::good("/etc/hosts, services and protocols are there"));
    }
    if !tree.has_file("/etc/resolv.conf") {
        found.push(Finding::good("no /etc/resolv.conf: names of hosts beyond /etc/hosts are not looked up"));
    }
    found
}
