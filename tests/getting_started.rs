//! The commands of docs/getting-started.md and of README's "your own" lines, run as they stand there.
//!
//! They run one after the other in a directory that has what they name: programs of this project, the committed image of a
//! CD, and, where `BSD21_ROOT` names a tree, libraries and the tree itself.  Without it those that need them are skipped by
//! name, and without Xvfb those with windows.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// The commands of a page: the lines of its consoles that begin with a dollar sign.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(HOME).join(page)).unwrap();
    let consoles = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = consoles.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    lines.map(str::to_owned).collect()
}

/// What the commands name.
struct Place {
    dir: tempfile::TempDir,
    tree: Option<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let put = |from: &str, to: &str| fs::copy(Path::new(HOME).join(from), dir.path().join(to)).unwrap();
        put("fixtures/bin/hello", "prog");
        put("fixtures/bin/dynamic", "dynprog");
        put("fixtures/media/cd.iso", "cd.iso");
        let tree = std::env::var_os("BSD21_ROOT").map(PathBuf::from);
        let tree = tree.filter(|tree| tree.join("usr/libexec/ld.so").is_file());
        if let Some(tree) = &tree {
            std::os::unix::fs::symlink(tree, dir.path().join("tree")).unwrap();
            let libs = dir.path().join("libs");
            fs::create_dir(&libs).unwrap();
            fs::copy(tree.join("usr/libexec/ld.so"), libs.join("ld.so")).unwrap();
            for entry in fs::read_dir(tree.join("usr/lib")).unwrap().filter_map(Result::ok) {
                let name = entry.file_name().into_string().unwrap_or_default();
                if name.starts_with("libc.so.2.") {
                    fs::copy(entry.path(), libs.join(name)).unwrap();
                }
            }
        }
        Self { dir, tree }
    }

    fn shell(&self, line: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_bsd21")).parent().unwrap();
        let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("PATH", path).env_remove("BSD21_ROOT").env("TZ", "UTC");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.shell(line).output().unwrap()
    }
}

/// A program that is ended with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket of a display.
fn socket(display: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X11-unix/X{display}"))
}

/// A display that nobody has: the page's own one may be another test's, and a server that was killed leaves its socket,
/// to which nobody listens.
fn free_display() -> u32 {
    let taken = |n: &u32| socket(*n).exists() || Path::new(&format!("/tmp/.X{n}-lock")).exists();
    let first = 300 + std::process::id() % 500;
    (first..first + 500).find(|n| !taken(n)).expect("a display")
}

fn has(program: &str) -> bool {
    Command::new("/bin/sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|o| o.status.success())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_of_getting_started_does_what_it_says() {
    let place = Place::new();
    let all = commands("docs/getting-started.md");
    assert!(all.len() >= 14, "{all:?}");
    let mut servers: Vec<Background> = Vec::new();
    let display = free_display();
    for line in &all {
        let line = &line.replace(":21", &format!(":{display}"));
        let windows = line.contains("DISPLAY=") || line.starts_with("Xvfb ");
        let clock = place.tree.as_ref().is_some_and(|tree| tree.join("usr/X386/bin/xclock").exists());
        if (line.contains("dynprog") || line.contains("tree")) && place.tree.is_none()
            || windows && !(has("Xvfb") && clock)
        {
            eprintln!("skipped: {line}");
            continue;
        }
        if line.starts_with("Xvfb ") {
            let quiet = format!("exec {line}");
            let child = place.shell(&quiet).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            servers.push(Background(child));
            let begun = Instant::now();
            while UnixStream::connect(socket(display)).is_err() && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(50));
            }
            continue;
        }
        if windows {
            shows_a_window(&place, line);
            continue;
        }
        let output = place.run(line);
        let text = said(&output);
        if line.contains("dynprog") && !line.contains("doctor") {
            assert!(text.contains("hello from libc.so.2."), "{line}: {text}");
        } else if line.contains("doctor --root tree") {
            assert!(text.contains("missing or wanting"), "{line}: {text}");
        } else if line.contains("doctor --root bsd --fix") {
            assert!(text.contains("made    /tmp"), "{line}: {text}");
        } else {
            assert!(output.status.success(), "{line}: {:?} {text}", output.status);
        }
    }
    assert!(place.run("bsd21 run -q --root bsd /bin/hello").status.success());
}

/// The program goes on until it is ended, says nothing, and has a window.
fn shows_a_window(place: &Place, line: &str) {
    let (variable, rest) = line.split_once(' ').unwrap();
    let output = place.dir.path().join("window");
    let file = fs::File::create(&output).unwrap();
    let errors = file.try_clone().unwrap();
    let child = place.shell(&format!("{variable} exec {rest}")).stdout(file).stderr(errors).spawn().unwrap();
    let mut program = Background(child);
    let begun = Instant::now();
    let mut seen = !has("xwininfo");
    while !seen && begun.elapsed() < Duration::from_secs(60) {
        let windows = said(&place.run(&format!("{variable} xwininfo -root -tree")));
        seen = windows.contains("xclock");
        let ended = program.0.try_wait().unwrap();
        assert!(ended.is_none(), "{line}: {ended:?} {}", fs::read_to_string(&output).unwrap());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(seen, "{line}: no window");
    let text = fs::read_to_string(&output).unwrap();
    assert!(!text.contains("bsd21:"), "{line}: {text}");
}

#[test]
fn the_readmes_own_lines_are_those_of_the_page() {
    let readme = fs::read_to_string(Path::new(HOME).join("README.md")).unwrap();
    let page = commands("docs/getting-started.md");
    let own = readme.split("## Your own program, your own CD").nth(1).expect("the section");
    let own = own.split("\n## ").next().unwrap();
    let lines: Vec<&str> = own.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in lines {
        let command = line.split(" #").next().unwrap().trim_end();
        assert!(page.iter().any(|known| known == command), "{command} is not on the page that is run");
    }
}
