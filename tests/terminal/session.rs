//! A terminal of the test, and a program that leads a session on it.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

/// How long something may take to appear on the screen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with bsd21 on it.
pub(crate) struct Session {
    pub screen: OwnedFd,
    pub child: Child,
    pub before: Termios,
    pub shown: String,
}

impl Session {
    /// `bsd21 run` with these arguments.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(&[&[env!("CARGO_BIN_EXE_bsd21"), "run"], args].concat(), &[])
    }

    /// Any program, as the leader of a session on the terminal, with some variables more.
    pub(crate) fn of(command: &[&str], env: &[(&str, &str)]) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&screen).expect("it is ours");
        unlockpt(&screen).expect("it can be opened");
        let name = ptsname(&screen, Vec::new()).expect("its name").into_string().expect("a name");
        let open = || std::fs::OpenOptions::new().read(true).write(true).open(&name).expect("the terminal");
        let terminal = open();
        let before = tcgetattr(&terminal).expect("a terminal");
        // Whoever runs the tests may ignore signals that a terminal sends.
        let child = Command::new("env")
            .args(["--default-signal", "setsid", "--ctty"])
            .args(command)
            .envs(env.iter().copied())
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(terminal))
            .spawn()
            .expect("setsid starts bsd21");
        Self { screen, child, before, shown: String::new() }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        rustix::io::write(&self.screen, text.as_bytes()).expect("the terminal takes it");
    }

    /// Waits until `text` is shown, and forgets what was shown up to there.
    pub(crate) fn expect(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < until, "{text:?} does not appear in {:?}", self.shown);
            let mut ready = [PollFd::new(&self.screen, PollFlags::IN)];
            poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 })).expect("poll");
            let mut buffer = [0; 4096];
            if ready[0].revents().contains(PollFlags::IN) {
                let length = rustix::io::read(&self.screen, &mut buffer).expect("the screen");
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }

    /// Waits until so many bytes have been shown.
    pub(crate) fn until_shown(&mut self, bytes: usize) {
        let until = Instant::now() + PATIENCE;
        while self.shown.len() < bytes {
            assert!(Instant::now() < until, "only {} bytes", self.shown.len());
            let mut ready = [PollFd::new(&self.screen, PollFlags::IN)];
            poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 })).expect("poll");
            let mut buffer = [0; 65536];
            if ready[0].revents().contains(PollFlags::IN) {
                let length = rustix::io::read(&self.screen, &mut buffer).expect("the screen");
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        }
    }

    /// Whether nothing is shown for so long.
    pub(crate) fn is_silent(&self, time: Duration) -> bool {
        let mut ready = [PollFd::new(&self.screen, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        poll(&mut ready, Some(&time)).expect("poll") == 0
    }

    /// Waits until the terminal is the guest's.
    pub(crate) fn gets_raw(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.is_raw() {
            assert!(Instant::now() < until, "nobody reads; shown: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn is_raw(&self) -> bool {
        !tcgetattr(self.screen.as_fd()).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a number")).expect("a process");
        kill_process(pid, signal).expect("it is ours");
    }

    /// Waits for the end; the terminal must be as it was.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < until, "it does not end; shown: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(10));
        };
        self.is_as_before();
        status
    }

    /// The terminal must be as it was.
    pub(crate) fn is_as_before(&self) {
        let after = tcgetattr(self.screen.as_fd()).expect("a terminal");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        assert_eq!(after.control_modes, self.before.control_modes);
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "{what}: not so; shown: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process that this one has started, of which there is one.
    pub(crate) fn watcher(&self) -> Option<i32> {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
