//! What the system says of itself: its names, its numbers, and tables of processes and files.
//!
//! [`System`] holds the values.  The calls come in through [`calls`]; a name of numbers leads to one of the
//! files `kern`, `hardware` and `memory`, which give and take values through a [`transfer::Transfer`].
//!
//! Must not know the host: whoever builds the machine fills the values in.
//!
//! 2.1 counterpart: kern/kern_sysctl.c, conf/param.c, conf/newvers.sh.

pub mod calls;
mod file_table;
mod filesystem;
mod hardware;
mod kern;
mod kerninfo;
mod memory;
mod network;
#[cfg(test)]
mod network_tests;
pub(in crate::kernel) mod process_table;
pub(in crate::kernel) mod system_processes;
#[cfg(test)]
mod tests;
mod text;
mod transfer;
mod walk;

pub use process_table::kinfo_proc;
pub use text::Text;
pub use transfer::Transfer;
pub use walk::Walked;

pub(in crate::kernel) use memory::vmtotal;

use crate::image::stack::{PS_STRINGS, USRSTACK};

use super::limits::{MAXFILES, MAXPROC, MAXPROC_PER_UID};
use super::socket::socket::SOMAXCONN;

/// Room for the host name and the domain name, with the NUL (MAXHOSTNAMELEN).
pub const MAXHOSTNAMELEN: usize = 256;
/// Room for a path, with the NUL.
const MAXPATHLEN: usize = 1024;
/// Room that `uname` has for each of its strings.
const UTSNAME_LEN: usize = 32;

/// Largest socket buffer (SB_MAX).
const SB_MAX: i32 = 256 * 1024;
/// Memory of the machine that we claim to be.
const PHYSMEM: u32 = 64 << 20;
/// Most vnodes, as the original computes it for that memory.
const MAXVNODES: i32 = 4110;
/// Thresholds of the pager, as the original computes them for that memory.
const PAGER: [i32; 7] = [110, 270, 30, 3520, 1664, 6656, 24];

/// Names and numbers of the system.
#[derive(Clone, Debug)]
pub struct System {
    /// Host name.
    pub hostname: Text,
    /// Domain of the network information service.
    pub domainname: Text,
    /// Length that the last setter of the domain name gave (`domainnamelen`).
    pub domainname_len: u32,
    /// Host identifier.
    pub hostid: i32,
    /// Name of the booted kernel.
    pub bootfile: Text,
    /// Name of the system.
    pub ostype: &'static str,
    /// Release.
    pub osrelease: &'static str,
    /// Release as a number: year and month.
    pub osreldate: i32,
    /// Version: release, build number, date and place of the build.
    pub version: String,
    /// Kind of machine.
    pub machine: &'static str,
    /// Kind of processor.
    pub model: String,
    /// Bytes of memory.
    pub physmem: u32,
    /// Security level: it can only be raised.
    pub securelevel: i32,
    /// Most vnodes.
    pub maxvnodes: i32,
    /// Most processes.
    pub maxproc: i32,
    /// Most processes of one user.
    pub maxprocperuid: i32,
    /// Most open files of the system.
    pub maxfiles: i32,
    /// Most open files of a process.
    pub maxfilesperproc: i32,
    /// Seconds between two runs of the update process.
    pub update_interval: i32,
    /// Largest queue of a listening socket.
    pub somaxconn: i32,
    /// Least queue of a listening socket.
    pub sominqueue: i32,
    /// Largest socket buffer.
    pub maxsockbuf: i32,
    /// How much more memory than data a socket buffer may take.
    pub sockbuf_waste: i32,
    /// Where programs find their arguments.
    pub ps_strings: i32,
    /// End of the user stack.
    pub usrstack: i32,
    /// Minutes by which the hardware clock differs from Greenwich.
    pub adjkerntz: i32,
    /// Whether the hardware clock is left alone.
    pub disable_rtc_set: i32,
    /// Thresholds of the pager, in the order of their numbers; kept and shown, but nothing is ever paged.
    pub pager: [i32; 7],
}

impl System {
    /// The system as it is after boot, with a host name.
    pub fn new(hostname: &[u8]) -> Self {
        let osrelease = "2.1.0-RELEASE";
        Self {
            hostname: Text::new(MAXHOSTNAMELEN, hostname),
            domainname: Text::new(MAXHOSTNAMELEN, b""),
            domainname_len: 0,
            hostid: 0,
            bootfile: Text::new(MAXPATHLEN, b"/kernel"),
            ostype: "FreeBSD",
            osrelease,
            osreldate: 199_511,
            version: format!("FreeBSD {osrelease} #0: Fri Nov 17 01:00:00 1995\n    root@bsd21:/GENERIC\n"),
            machine: "i386",
            model: "Pentium".to_owned(),
            physmem: PHYSMEM,
            securelevel: -1,
            maxvnodes: MAXVNODES,
            maxproc: MAXPROC as i32,
            maxprocperuid: MAXPROC_PER_UID as i32,
            maxfiles: MAXFILES as i32,
            maxfilesperproc: MAXFILES as i32,
            update_interval: 30,
            somaxconn: SOMAXCONN,
            sominqueue: 0,
            maxsockbuf: SB_MAX,
            sockbuf_waste: 8,
            ps_strings: PS_STRINGS as i32,
            usrstack: USRSTACK as i32,
            adjkerntz: 0,
            disable_rtc_set: 0,
            pager: PAGER,
        }
    }
}

impl Default for System {
    /// The system as a deterministic run shows it.
    fn default() -> Self {
        Self::new(b"bsd21")
    }
}
