//! Programs that bring a terminal over the network: `rlogin` with `rlogind`, and two people who `talk`.

use rustix::termios::{Winsize, tcsetwinsize};

use super::session::Session;
use super::tree;

fn set_size(session: &Session, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&session.screen, size).expect("a terminal");
}

/// The old client drops the request for its size where its reader has not run yet.  A server whose priority is worse
/// comes behind the reader on the run queue (see docs/quirks.md).
#[test]
fn the_size_of_a_window_goes_to_the_other_end_of_rlogin() {
    let name = "the_size_of_a_window_goes_to_the_other_end_of_rlogin";
    let Some(root) = tree(name, "usr/libexec/rlogind") else { return };
    let script = "echo login stream tcp nowait root /usr/bin/nice nice -10 /usr/libexec/rlogind > /root/inetd.conf\n\
                  echo 127.0.0.1 root > /root/.rhosts\n\
                  echo localhost root >> /root/.rhosts\n\
                  chmod 600 /root/.rhosts\n\
                  /usr/sbin/inetd /root/inetd.conf\n\
                  sleep 1\n\
                  stty rows 31 columns 77\n\
                  /usr/bin/rlogin localhost\n";
    let root = root.to_str().expect("a name");
    let options = ["--kill-on-exit", "--root", root, "--overlay", "/bin/sh", "-c", script];
    let mut session = Session::start(&options);
    session.expect("# ");
    session.type_in("tty; stty -a\n");
    session.expect("/dev/ttyp0\r\n");
    session.expect("31 rows; 77 columns;");
    session.expect("# ");
    // The client hears of a new size by SIGWINCH, and its server sends one to the group in front there.
    set_size(&session, 40, 100);
    session.type_in("sleep 1; stty -a\n");
    session.expect("40 rows; 100 columns;");
    session.expect("# ");
    session.type_in("exit\n");
    session.expect("connection closed.");
    session.ends();
}

#[test]
fn two_people_talk() {
    let Some(root) = tree("two_people_talk", "usr/libexec/ntalkd") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let env = [("XDG_RUNTIME_DIR", directory.path().to_str().expect("a name")), ("TERM", "vt100")];
    let bsd21 = env!("CARGO_BIN_EXE_bsd21");
    let root = root.to_str().expect("a name");
    let command = [bsd21, "shell", "--root", root, "--overlay", "--kill-on-exit", "--attach", "talk"];
    let mut first = Session::of(&command, &env);
    first.expect("# ");
    for line in [
        "echo ntalk dgram udp wait root /usr/libexec/ntalkd ntalkd > /root/inetd.conf\n",
        "echo 127.0.0.1 `hostname` >> /etc/hosts\n",
        "/usr/sbin/inetd /root/inetd.conf\n",
        "mesg y\n",
    ] {
        first.type_in(line);
        first.expect(line.trim_end());
        first.expect("# ");
    }
    let mut second = Session::of(&[bsd21, "attach", "talk"], &env);
    second.expect("# ");
    second.type_in("mesg y; tty\n");
    second.expect("/dev/ttyv1\r\n");
    second.expect("# ");
    first.type_in("talk root@localhost ttyv1\n");
    second.expect("talk: connection requested by root@localhost");
    second.expect("talk: respond with:");
    second.type_in("talk root@localhost ttyv0\n");
    // Bells may stand before the bracket.
    first.expect("[Connection established");
    second.expect("[Connection established");
    // Each one's words are in the upper half of the own screen, and in the lower half of the other's.
    first.type_in("from the first");
    second.expect("from the first");
    second.type_in("from the second");
    first.expect("from the second");
    first.type_in("\x03");
    first.expect("Exiting]");
    second.expect("Exiting]");
    second.expect("# ");
    second.type_in("exit\n");
    assert_eq!(second.ends().code(), Some(0));
    first.expect("# ");
    first.type_in("exit\n");
    assert_eq!(first.ends().code(), Some(0));
}
