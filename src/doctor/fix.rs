//! Making what can be made, with the owners and modes that it has in 2.1.

use std::io;
use std::path::Path;

use syscalls::Errno;

use super::{hints, system};
use crate::kernel::cred::Ucred;
use crate::kernel::vfs::mount::{MountFlags, Source};
use crate::kernel::vfs::namei::{Nameidata, Op, Start};
use crate::kernel::vfs::node::Make;
use crate::kernel::vfs::{self, Vfs};
use crate::survey::tree::Tree;

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// The table of libraries.
    Hints,
    /// Users: the super-user alone.
    Accounts,
    /// Groups.
    Groups,
    /// Descriptions of usual terminals.
    Termcap,
    /// A directory for everybody.
    Temporary(&'static str),
    /// The name of the loopback interface.
    Hosts,
    /// A printer and its queue.
    Printer,
}

/// Terminals that people have, in words of our own.
const TERMCAP: &str = "dumb|dumb terminal:am:co#80:do=^J:bl=^G:cr=^M:sf=^J:
vt100|vt100-am|xterm|linux|screen|dec vt100 and its kin:\\
\t:am:bs:km:mi:ms:xn:co#80:it#8:li#24:\\
\t:ae=^O:al=\\E[L:as=^N:bl=^G:cd=\\E[J:ce=\\E[K:cl=\\E[H\\E[2J:cm=\\E[%i%d;%dH:\\
\t:cr=^M:cs=\\E[%i%d;%dr:dc=\\E[P:dl=\\E[M:do=^J:ho=\\E[H:im=:ei=:ic=\\E[@:\\
\t:kb=^H:kd=\\EOB:ke=\\E[?1l\\E>:kl=\\EOD:kr=\\EOC:ks=\\E[?1h\\E=:ku=\\EOA:le=^H:\\
\t:mb=\\E[5m:md=\\E[1m:me=\\E[m:mr=\\E[7m:nd=\\E[C:rc=\\E8:sc=\\E7:se=\\E[m:sf=^J:\\
\t:so=\\E[7m:sr=\\EM:ta=^I:ue=\\E[m:up=\\E[A:us=\\E[4m:
";

/// The printer that `bsd21 run --printer` lends, as lpd wants it described.
const PRINTCAP: &str = "lp|the printer of bsd21 run --printer:\\
\t:lp=/dev/lpt0:sd=/var/spool/output/lpd:lf=/var/log/lpd-errs:sh:
";

/// Makes it in a root.
pub fn apply(root: &Path, fix: Fix) -> io::Result<()> {
    let failed = |errno: Errno| io::Error::other(errno.message().to_lowercase());
    let mut hand = Hand::open(root)?;
    match fix {
        Fix::Hints => {
            let bytes = hints::of_root(&Tree::new(root));
            hand.file(system::HINTS, &bytes, 0o444)
        }
        Fix::Accounts => {
            let master = "root::0:0::0:0:Super-user:/root:/bin/sh\n";
            let made = hand.file("/etc/master.passwd", master.as_bytes(), 0o600);
            made.and_then(|()| hand.file("/etc/passwd", b"root:*:0:0:Super-user:/root:/bin/sh\n", 0o644))
        }
        Fix::Groups => {
            hand.file("/etc/group", b"wheel:*:0:root\ndaemon:*:1:\nkmem:*:2:\ntty:*:4:\nbin:*:7:\n", 0o644)
        }
        Fix::Termcap => hand.file("/usr/share/misc/termcap", TERMCAP.as_bytes(), 0o444),
        Fix::Temporary(name) => hand.directory(name, 0o1777),
        Fix::Printer => hand.printer(),
        Fix::Hosts => hand.file("/etc/hosts", b"127.0.0.1\tlocalhost\n", 0o644),
    }
    .map_err(failed)
}

/// Writes in a root as the guest's super-user would.
struct Hand {
    vfs: Vfs,
    start: Start,
    cred: Ucred,
}

impl Hand {
    fn open(root: &Path) -> io::Result<Self> {
        let mut vfs = Vfs::new(vfs::Options::default());
        let mounted = vfs.mount_root(&Source::Host(root), MountFlags::empty());
        mounted.map_err(|e| io::Error::other(e.to_string()))?;
        let root = vfs.root_vnode();
        vfs.vref(root);
        Ok(Self { vfs, start: Start { cwd: root, root }, cred: Ucred { uid: 0, groups: vec![0] } })
    }

    fn directory(&mut self, path: &str, mode: u16) -> Result<(), Errno> {
        let mut end = 0;
        while let Some(more) = path.get(end + 1..) {
            end = more.find('/').map_or(path.len(), |at| end + 1 + at);
            let name = path.get(..end).unwrap_or(path).as_bytes();
            // What is a link leads where it leads.
            let at = Nameidata { follow: true, ..Nameidata::new(name, Op::Create) };
            let found = self.vfs.namei(&at, self.start, &self.cred)?;
            let id = match found.vp {
                Some(vp) => vp,
                None => self.vfs.make(&found, Make::Directory, 0o755, &self.cred)?.ok_or(Errno::ENOENT)?,
            };
            if end == path.len() {
                return self.vfs.set_mode(id, mode, &self.cred);
            }
        }
        Ok(())
    }

    fn printer(&mut self) -> Result<(), Errno> {
        for (directory, mode) in [("/var/spool/output/lpd", 0o775), ("/var/run", 0o755), ("/var/log", 0o755)]
        {
            let there = self.vfs.namei(&Nameidata::lookup(directory.as_bytes()), self.start, &self.cred);
            if there.is_err() {
                self.directory(directory, mode)?;
            }
        }
        match self.file("/var/log/lpd-errs", b"", 0o644) {
            Ok(()) | Err(Errno::EEXIST) => self.file("/etc/printcap", PRINTCAP.as_bytes(), 0o644),
            other => other,
        }
    }

    /// Makes a file that is not there yet.
    fn file(&mut self, path: &str, bytes: &[u8], mode: u16) -> Result<(), Errno> {
        if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            let there = self.vfs.namei(&Nameidata::lookup(above.as_bytes()), self.start, &self.cred);
            if there.is_err() {
                self.directory(above, 0o755)?;
            }
        }
        let found = self.vfs.namei(&Nameidata::new(path.as_bytes(), Op::Create), self.start, &self.cred)?;
        if found.vp.is_some() {
            return Err(Errno::EEXIST);
        }
        let id = self.vfs.make(&found, Make::File, 0o600, &self.cred)?.ok_or(Errno::ENOENT)?;
        self.vfs.vref(id);
        let written = self.vfs.write_content(id, 0, bytes);
        let done = written.and_then(|_| self.vfs.set_mode(id, mode, &self.cred));
        self.vfs.vrele(id);
        done
    }
}
