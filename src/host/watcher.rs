//! A small process that puts a terminal's modes back when this one was killed and could not.
//!
//! It is in a session of its own, so that no key reaches it, ignores signals, and has nothing open but the
//! terminal.  The host tells it of our end by a signal; modes that are not ours any more it leaves alone.
//!
//! Must not know what the modes are.
#![allow(unsafe_code)] // a fork, and calls between it and the end: each block carries its proof

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::terminal::is_same;

/// The signal by which the host tells of our end.
const OUR_END: i32 = libc::SIGHUP;

/// The process; it ends without doing anything when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher(libc::pid_t);

/// Starts a process that puts `before` back on the terminal if this process ends while its modes are `ours`.
pub(super) fn start(terminal: BorrowedFd<'_>, before: &Termios, ours: &Termios) -> io::Result<Watcher> {
    // SAFETY: getpid has no preconditions.
    let parent = unsafe { libc::getpid() };
    // SAFETY: the child calls only functions that may be called between a fork of a program with several
    // threads and the end: system calls, on values that were there before.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => watch(parent, terminal.as_raw_fd(), before, ours),
        child => Ok(Watcher(child)),
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // SAFETY: the number is that of our child until it is waited for here, so that nobody else has it.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// The child: waits for the end of its parent.
fn watch(parent: libc::pid_t, terminal: i32, before: &Termios, ours: &Termios) -> ! {
    // SAFETY: system calls on this process's own numbers, on a set that is filled before it is used, and on
    // descriptors that nobody in this process uses any more.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        for number in (1..=libc::SIGRTMAX()).filter(|&number| number != OUR_END) {
            libc::signal(number, libc::SIG_IGN);
        }
        libc::signal(OUR_END, libc::SIG_DFL);
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, OUR_END as libc::c_ulong);
        libc::prctl(libc::PR_SET_NAME, c"bsd21-watcher".as_ptr());
        // Whoever reads our output, or waits for a lock of ours, must not wait for this process.
        if libc::dup2(terminal, 0) != 0 {
            libc::_exit(1);
        }
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, OUR_END);
        // It may have ended before we asked; and others may send that signal, too.
        while libc::getppid() == parent {
            libc::sigwaitinfo(&raw const set, std::ptr::null_mut());
        }
        let terminal = BorrowedFd::borrow_raw(0);
        if tcgetattr(terminal).is_ok_and(|now| is_same(&now, ours)) {
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
        }
        libc::_exit(0)
    }
}
