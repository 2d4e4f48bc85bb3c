//! What people type: long pastes, keys that programs put into the line themselves, terminals inside terminals.

use std::time::Duration;

use super::session::Session;
use super::{raw, tree};

#[test]
fn a_long_paste_arrives_whole() {
    let mut session = raw(&[], "wait");
    session.gets_raw();
    let text: Vec<u8> = (0..200 << 10).map(|n: u32| b'0' + (n % 61 % 10) as u8).collect();
    let screen = session.screen.try_clone().expect("another descriptor");
    let typed = text.clone();
    let typist = std::thread::spawn(move || {
        let mut rest = &typed[..];
        while !rest.is_empty() {
            let typed = rustix::io::write(&screen, rest).expect("the terminal takes it");
            rest = &rest[typed..];
        }
    });
    for byte in text {
        session.expect(&format!("read {byte}\r\n"));
    }
    typist.join().expect("everything is typed");
    session.type_in("q");
    session.expect("read 113");
    assert_eq!(session.ends().code(), Some(0));
}

/// A C shell of the tree, with files of its own to write to.
fn csh(root: &std::path::Path) -> Session {
    let root = root.to_str().expect("a name");
    let mut csh = Session::start(&["-q", "--root", root, "--overlay", "/bin/csh", "-f"]);
    csh.expect("# ");
    csh
}

#[test]
fn the_c_shell_completes_names_in_the_line() {
    let Some(root) = tree("the_c_shell_completes_names_in_the_line", "bin/csh") else { return };
    let mut csh = csh(&root);
    csh.type_in("set filec\n");
    csh.expect("# ");
    // The shell puts what it has found into the line by TIOCSTI, as if it had been typed.
    csh.type_in("echo /usr/shar\x1b");
    csh.expect("e");
    std::thread::sleep(Duration::from_millis(300));
    csh.type_in("\n");
    csh.expect("\r\n/usr/share\r\n");
    csh.expect("# ");
    csh.type_in("exit\n");
    assert_eq!(csh.ends().code(), Some(0));
}

#[test]
fn mail_lets_headers_be_edited_in_the_line() {
    let Some(root) = tree("mail_lets_headers_be_edited_in_the_line", "usr/bin/mail") else { return };
    let mut csh = csh(&root);
    csh.type_in("mkdir /tmp /var/tmp\n");
    csh.expect("# ");
    csh.type_in("mail root\n");
    csh.expect("mail root\r\n");
    csh.type_in("~h\n");
    // The present receiver stands in the line and can be erased.
    csh.expect("To: root");
    csh.type_in("\x7f\x7fbert\n");
    csh.expect("Subject: ");
    csh.type_in("of keys\n");
    csh.expect("Cc: ");
    csh.type_in("\n");
    csh.expect("Bcc: ");
    csh.type_in("\n");
    csh.expect("(continue)");
    csh.type_in("~p\n");
    csh.expect("To: robert\r\n");
    csh.expect("Subject: of keys\r\n");
    csh.type_in("~q\n");
    csh.expect("# ");
    csh.type_in("exit\n");
    csh.ends();
}

#[test]
fn a_terminal_inside_a_terminal_has_keys_of_its_own() {
    let Some(root) = tree("a_terminal_inside_a_terminal_has_keys_of_its_own", "usr/bin/script") else {
        return;
    };
    let mut csh = csh(&root);
    csh.type_in("setenv SHELL /bin/csh\n");
    csh.expect("# ");
    for terminal in ["/dev/ttyp0", "/dev/ttyp1"] {
        csh.type_in("script /dev/null\n");
        csh.expect("Script started");
        csh.expect("# ");
        csh.type_in("tty\n");
        csh.expect(terminal);
        csh.expect("# ");
    }
    csh.type_in("sleep 50\n");
    csh.expect("sleep 50\r\n");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("\x03");
    csh.expect("^C");
    csh.expect("# ");
    for _ in 0..2 {
        csh.type_in("exit\n");
        csh.expect("Script done");
        csh.expect("# ");
    }
    csh.type_in("tty\n");
    csh.expect("/dev/ttyv0");
    csh.expect("# ");
    csh.type_in("exit\n");
    assert_eq!(csh.ends().code(), Some(0));
}

#[test]
fn emacs_has_a_shell_on_a_pseudo_terminal() {
    let Some(root) = tree("emacs_has_a_shell_on_a_pseudo_terminal", "usr/local/bin/emacs") else { return };
    let mut csh = csh(&root);
    csh.type_in("setenv TERM vt100; ln -s /usr/share/misc/termcap /etc; mkdir /tmp /var/tmp\n");
    csh.expect("# ");
    csh.type_in("/usr/local/bin/emacs -q\n");
    csh.expect("Type C-h i to enter Info");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("\x1bxshell\n");
    // It draws what has changed alone.
    csh.expect("Shell:run");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("tty\r");
    csh.expect("/dev/ttyp0");
    csh.type_in("sleep 50\r");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("\x03\x03");
    std::thread::sleep(Duration::from_millis(500));
    csh.type_in("echo and so `expr 6 \\* 7`\r");
    csh.expect("and so 42");
    csh.type_in("\x18\x03");
    csh.expect("yes or no");
    csh.type_in("yes\n");
    csh.expect("# ");
    csh.type_in("exit\n");
    csh.ends();
}
