//! `bsd21 binfmt`: programs of 2.1 that start by their names, by the host's binfmt_misc.
//!
//! The kernel of the host starts an interpreter with the path of the program, and with flag P its name as it was called
//! behind it, but with no word for a command: so the interpreter is bsd21 under another name, `bsd21-binfmt`, which says
//! what is meant.  With flag F it is opened when it is registered, for other roots as well.
//!
//! The patterns: the first word of a.out in both byte orders, of the four kinds, for machine numbers 134 (386BSD and
//! FreeBSD) and 0 (what was built before there were numbers), whatever the flags; and ELF with FreeBSD's brand.  Number 0
//! is on programs of VAX and old Linux, too: those are refused by name, as ever.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, status};

/// The name under which bsd21 is an interpreter.
pub(super) const LINK: &str = "bsd21-binfmt";
/// Where the host's kernel takes patterns.
const DIRECTORY: &str = "/proc/sys/fs/binfmt_misc";
/// Keep the name as it was called; open the interpreter at once.
const FLAGS: &str = "PF";
/// Kinds of a.out: OMAGIC, NMAGIC, ZMAGIC, QMAGIC.
const KINDS: [(&str, u16); 4] = [("omagic", 0o407), ("nmagic", 0o410), ("zmagic", 0o413), ("qmagic", 0o314)];
/// Machine numbers.
const MACHINES: [u16; 2] = [134, 0];

/// Lets the host start programs of 2.1 by their names.
#[derive(Clone, Debug, Args)]
pub(super) struct Binfmt {
    #[command(flatten)]
    action: Action,
    /// Where the link to bsd21 is, or is made; beside bsd21 unless given.
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Action {
    /// Make the link and register it (as the super-user).
    #[arg(long)]
    install: bool,
    /// Take everything back.
    #[arg(long)]
    remove: bool,
    /// Print the lines for a file in /etc/binfmt.d, and do nothing.
    #[arg(long)]
    print: bool,
}

/// A pattern: its name, and bytes with their mask.
struct Pattern {
    name: String,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Binfmt {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let link = self.link()?;
        if self.action.print {
            let lines: String = patterns().iter().map(|pattern| pattern.line(&link) + "\n").collect();
            super::print(&lines);
            return Ok(0);
        }
        let directory = Path::new(DIRECTORY);
        if !directory.join("register").exists() {
            return Err(Failure::usage(format!(
                "binfmt: {DIRECTORY} is not there: mount -t binfmt_misc none {DIRECTORY}"
            )));
        }
        for pattern in patterns() {
            let entry = directory.join(&pattern.name);
            if entry.exists() {
                write(&entry, "-1")?;
            }
        }
        if self.action.remove {
            match std::fs::read_link(&link) {
                Ok(_) => std::fs::remove_file(&link).map_err(|e| failed(&link, &e))?,
                Err(_) if link.exists() => {
                    return Err(Failure::usage(format!("{}: not a link", link.display())));
                }
                Err(_) => {}
            }
            return Ok(0);
        }
        make(&link)?;
        for pattern in patterns() {
            write(&directory.join("register"), &pattern.line(&link))?;
        }
        super::print(&format!("programs of 2.1 start by their names now, with {}\n", link.display()));
        Ok(0)
    }

    fn link(&self) -> Result<PathBuf, Failure> {
        let link = match &self.link {
            Some(link) => std::path::absolute(link).map_err(|e| failed(link, &e))?,
            None => {
                let own = std::env::current_exe().map_err(|e| failed(Path::new("bsd21"), &e))?;
                own.with_file_name(LINK)
            }
        };
        // The kernel's own limit, and what divides its words.
        let text = link.to_string_lossy();
        if text.len() > 127 || text.contains([':', '\n']) {
            return Err(Failure::usage(format!(
                "{}: a path of less than 128 letters without a colon is needed (--link)",
                link.display()
            )));
        }
        Ok(link)
    }
}

/// Makes the link, if it is not there.
fn make(link: &Path) -> Result<(), Failure> {
    let own = std::env::current_exe().map_err(|e| failed(link, &e))?;
    match symlink(&own, link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(link, &error)),
        Err(_) if link.file_name().is_none_or(|name| name != LINK) || !link.exists() => Err(Failure::usage(
            format!("{}: is there already; the link's own name must be {LINK}", link.display()),
        )),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => Failure::usage(format!(
            "binfmt: {}: only the super-user may: sudo bsd21 binfmt …",
            path.display()
        )),
        _ => failed(path, &e),
    })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("binfmt: {}: {}", path.display(), status::plain(error)))
}

impl Pattern {
    /// The line that the kernel takes.
    fn line(&self, link: &Path) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        format!(":{}:M::{}:{}:{}:{FLAGS}", self.name, hex(&self.magic), hex(&self.mask), link.display())
    }
}

fn patterns() -> Vec<Pattern> {
    let mut all = Vec::new();
    for (kind, magic) in KINDS {
        for machine in MACHINES {
            // Flags are above the ten bits of the machine.
            let (word, mask) = (u32::from(magic) | u32::from(machine) << 16, 0x03ff_ffff_u32);
            let name = |order: &str| format!("bsd21-{kind}-{machine}-{order}");
            all.push(Pattern {
                name: name("host"),
                magic: word.to_le_bytes().to_vec(),
                mask: mask.to_le_bytes().to_vec(),
            });
            all.push(Pattern {
                name: name("net"),
                magic: word.to_be_bytes().to_vec(),
                mask: mask.to_be_bytes().to_vec(),
            });
        }
    }
    let elf = [&b"\x7fELF\x01\x01\x01"[..], &[0]].concat();
    let checked = [&[0xff; 7][..], &[0]].concat();
    all.push(Pattern {
        name: "bsd21-elf-brand".to_owned(),
        magic: [&elf[..], b"FreeBSD"].concat(),
        mask: [&checked[..], &[0xff; 7]].concat(),
    });
    all
}

/// What the kernel means: the path of the program, its name, its arguments.
pub(super) fn command(args: Vec<OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().skip(1);
    let mut command: Vec<OsString> = ["bsd21", "run", "--env-host", "-q"].map(OsString::from).to_vec();
    if let Some(path) = args.next() {
        // Without flag P there is no name.
        if let Some(name) = args.next() {
            command.extend(["--argv0".into(), name]);
        }
        command.extend(["--".into(), path]);
        command.extend(args);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_ignore_flags_and_know_both_orders() {
        let all = patterns();
        assert_eq!(all.len(), 17);
        let matches = |head: &[u8]| {
            let one = |p: &&Pattern| p.magic.iter().zip(&p.mask).zip(head).all(|((m, k), h)| m & k == h & k);
            all.iter().filter(|p| head.len() >= p.magic.len()).find(one).map(|p| p.name.as_str())
        };
        assert_eq!(matches(b"\x0b\x01\x86\x00"), Some("bsd21-zmagic-134-host"));
        assert_eq!(matches(b"\x0b\x01\x86\xc0"), Some("bsd21-zmagic-134-host"), "dynamic, with flags");
        assert_eq!(matches(b"\xc0\x86\x00\xcc"), Some("bsd21-qmagic-134-net"));
        assert_eq!(matches(b"\x0b\x01\x00\x00"), Some("bsd21-zmagic-0-host"));
        assert_eq!(matches(b"\x0b\x01\x64\x00"), None, "Linux by its number");
        assert_eq!(matches(b"\x7fELF\x01\x01\x01\x00FreeBSD\x00"), Some("bsd21-elf-brand"));
        assert_eq!(matches(b"\x7fELF\x01\x01\x01\x00\0\0\0\0\0\0\0\0"), None);
        assert_eq!(matches(b"#!/bin/sh"), None);
    }

    #[test]
    fn the_kernels_words_become_a_command() {
        let words = |args: &[&str]| command(args.iter().map(OsString::from).collect()).join(" ".as_ref());
        let all = words(&["bsd21-binfmt", "/x/prog", "prog", "-l", "a b"]);
        assert_eq!(all, "bsd21 run --env-host -q --argv0 prog -- /x/prog -l a b");
    }
}
