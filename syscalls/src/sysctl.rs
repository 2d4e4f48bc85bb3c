//! Names of sysctl: the numbers, their dotted text, and what kind of value each has.
//!
//! Must not know values.
//!
//! 2.1 counterpart: sys/sysctl.h, vm/vm_param.h, i386/include/cpu.h, sys/socket.h and netinet/in.h (CTL_NET).

use std::fmt;

use crate::flags::Domain;
use crate::layout::{Clockinfo, KinfoProc, Loadavg, Show, Timeval, Vmtotal};

/// The most numbers that a name may have.
pub const CTL_MAXNAME: u32 = 12;

/// What kind of value a name has.
#[derive(Clone, Copy, Debug)]
pub enum ValueKind {
    /// None: names go on below it.
    Node,
    /// Text that ends with NUL.
    Text,
    /// A value of known form.
    Struct(Show),
    /// Values of known form, each of so many bytes.
    Table(Show, usize),
    /// A value whose form is not described here.
    Opaque,
}

/// A name.
#[derive(Debug)]
pub struct Variable {
    /// First number.
    pub top: u32,
    /// Second number.
    pub second: u32,
    /// Text of the first number.
    pub top_name: &'static str,
    /// Text of the second number.
    pub name: &'static str,
    /// What kind of value it has.
    pub value: ValueKind,
}

macro_rules! variables {
    ($( $( #[$meta:meta] )* $module:ident $top_const:ident = $top:literal {
        $( $id:ident = $number:literal $text:literal $kind:ident $( ( $($part:expr),* ) )?, )*
    } )*) => {
        /// The numbers.
        pub mod mib {
            #![allow(missing_docs)] // the original's own names
            $( pub const $top_const: u32 = $top; )*
            $( $( #[$meta] )* pub mod $module { $( pub const $id: u32 = $number; )* } )*
        }

        /// Every name of two numbers.
        pub static VARIABLES: &[Variable] = &[$( $( Variable {
            top: $top,
            second: $number,
            top_name: stringify!($module),
            name: $text,
            value: ValueKind::$kind $( ( $($part),* ) )?,
        }, )* )*];
    };
}

variables! {
    /// The kernel: its name, limits and tables.
    kern CTL_KERN = 1 {
        OSTYPE = 1 "ostype" Text,
        OSRELEASE = 2 "osrelease" Text,
        OSREV = 3 "osrevision" Struct(Show::Int),
        VERSION = 4 "version" Text,
        MAXVNODES = 5 "maxvnodes" Struct(Show::Int),
        MAXPROC = 6 "maxproc" Struct(Show::Int),
        MAXFILES = 7 "maxfiles" Struct(Show::Int),
        ARGMAX = 8 "argmax" Struct(Show::Int),
        SECURELVL = 9 "securelevel" Struct(Show::Int),
        HOSTNAME = 10 "hostname" Text,
        HOSTID = 11 "hostid" Struct(Show::Hex),
        CLOCKRATE = 12 "clockrate" Struct(Show::Struct(&Clockinfo::INFO)),
        VNODE = 13 "vnode" Opaque,
        PROC = 14 "proc" Table(Show::Struct(&KinfoProc::INFO), KinfoProc::INFO.size),
        FILE = 15 "file" Opaque,
        PROF = 16 "profiling" Node,
        POSIX1 = 17 "posix1version" Struct(Show::Int),
        NGROUPS = 18 "ngroups" Struct(Show::Int),
        JOB_CONTROL = 19 "job_control" Struct(Show::Int),
        SAVED_IDS = 20 "saved_ids" Struct(Show::Int),
        BOOTTIME = 21 "boottime" Struct(Show::Struct(&Timeval::INFO)),
        DOMAINNAME = 22 "domainname" Text,
        UPDATEINTERVAL = 23 "update" Struct(Show::Int),
        OSRELDATE = 24 "osreldate" Struct(Show::Int),
        NTP_PLL = 25 "ntp_pll" Node,
        BOOTFILE = 26 "bootfile" Text,
        MAXFILESPERPROC = 27 "maxfilesperproc" Struct(Show::Int),
        MAXPROCPERUID = 28 "maxprocperuid" Struct(Show::Int),
        DUMPDEV = 29 "dumpdev" Struct(Show::Dev),
        SOMAXCONN = 30 "somaxconn" Struct(Show::Int),
        MAXSOCKBUF = 31 "maxsockbuf" Struct(Show::Int),
        PS_STRINGS = 32 "ps_strings" Struct(Show::Hex),
        USRSTACK = 33 "usrstack" Struct(Show::Hex),
        SOCKBUF_WASTE = 34 "sockbuf_waste_factor" Struct(Show::Int),
        SOMINQUEUE = 35 "sominqueue" Struct(Show::Int),
    }
    /// Virtual memory.
    vm CTL_VM = 2 {
        METER = 1 "vmmeter" Struct(Show::Struct(&Vmtotal::INFO)),
        LOADAVG = 2 "loadavg" Struct(Show::Struct(&Loadavg::INFO)),
        V_FREE_MIN = 3 "v_free_min" Struct(Show::Int),
        V_FREE_TARGET = 4 "v_free_target" Struct(Show::Int),
        V_FREE_RESERVED = 5 "v_free_reserved" Struct(Show::Int),
        V_INACTIVE_TARGET = 6 "v_inactive_target" Struct(Show::Int),
        V_CACHE_MIN = 7 "v_cache_min" Struct(Show::Int),
        V_CACHE_MAX = 8 "v_cache_max" Struct(Show::Int),
        V_PAGEOUT_FREE_MIN = 9 "v_pageout_free_min" Struct(Show::Int),
    }
    /// The machine.
    hw CTL_HW = 6 {
        MACHINE = 1 "machine" Text,
        MODEL = 2 "model" Text,
        NCPU = 3 "ncpu" Struct(Show::Int),
        BYTEORDER = 4 "byteorder" Struct(Show::Int),
        PHYSMEM = 5 "physmem" Struct(Show::Int),
        USERMEM = 6 "usermem" Struct(Show::Int),
        PAGESIZE = 7 "pagesize" Struct(Show::Int),
        DISKNAMES = 8 "disknames" Opaque,
        DISKSTATS = 9 "diskstats" Opaque,
        FLOATINGPT = 10 "floatingpoint" Struct(Show::Int),
        DEVCONF = 11 "devconf" Node,
    }
    /// What only this processor has.
    machdep CTL_MACHDEP = 7 {
        CONSDEV = 1 "console_device" Struct(Show::Dev),
        ADJKERNTZ = 2 "adjkerntz" Struct(Show::Int),
        DISRTCSET = 3 "disable_rtc_set" Struct(Show::Int),
    }
    /// Limits of the user's programs.
    user CTL_USER = 8 {
        CS_PATH = 1 "cs_path" Text,
        BC_BASE_MAX = 2 "bc_base_max" Struct(Show::Int),
        BC_DIM_MAX = 3 "bc_dim_max" Struct(Show::Int),
        BC_SCALE_MAX = 4 "bc_scale_max" Struct(Show::Int),
        BC_STRING_MAX = 5 "bc_string_max" Struct(Show::Int),
        COLL_WEIGHTS_MAX = 6 "coll_weights_max" Struct(Show::Int),
        EXPR_NEST_MAX = 7 "expr_nest_max" Struct(Show::Int),
        LINE_MAX = 8 "line_max" Struct(Show::Int),
        RE_DUP_MAX = 9 "re_dup_max" Struct(Show::Int),
        POSIX2_VERSION = 10 "posix2_version" Struct(Show::Int),
        POSIX2_C_BIND = 11 "posix2_c_bind" Struct(Show::Int),
        POSIX2_C_DEV = 12 "posix2_c_dev" Struct(Show::Int),
        POSIX2_CHAR_TERM = 13 "posix2_char_term" Struct(Show::Int),
        POSIX2_FORT_DEV = 14 "posix2_fort_dev" Struct(Show::Int),
        POSIX2_FORT_RUN = 15 "posix2_fort_run" Struct(Show::Int),
        POSIX2_LOCALEDEF = 16 "posix2_localedef" Struct(Show::Int),
        POSIX2_SW_DEV = 17 "posix2_sw_dev" Struct(Show::Int),
        POSIX2_UPE = 18 "posix2_upe" Struct(Show::Int),
        STREAM_MAX = 19 "stream_max" Struct(Show::Int),
        TZNAME_MAX = 20 "tzname_max" Struct(Show::Int),
    }
}

/// First number of names of file systems.
pub const CTL_FS: u32 = 3;
/// First number of names of the network.
pub const CTL_NET: u32 = 4;
/// First number of debugging values.
pub const CTL_DEBUG: u32 = 5;

/// Third number of `kern.proc`: which processes.
pub const KERN_PROC_NAMES: [&str; 7] = ["all", "pid", "pgrp", "session", "tty", "uid", "ruid"];

const NET_NAMES: [(u32, &str); 26] = [
    (1, "unix"),
    (2, "inet"),
    (3, "implink"),
    (4, "pup"),
    (5, "chaos"),
    (6, "xerox_ns"),
    (7, "iso"),
    (8, "emca"),
    (9, "datakit"),
    (10, "ccitt"),
    (11, "ibm_sna"),
    (12, "decnet"),
    (13, "dec_dli"),
    (14, "lat"),
    (15, "hylink"),
    (16, "appletalk"),
    (17, "route"),
    (18, "link_layer"),
    (19, "xtp"),
    (20, "coip"),
    (21, "cnt"),
    (22, "rtip"),
    (23, "ipx"),
    (24, "sip"),
    (25, "pip"),
    (0, "unspec"),
];

const INET_NAMES: [(u32, &str); 9] = [
    (0, "ip"),
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (6, "tcp"),
    (8, "egp"),
    (12, "pup"),
    (17, "udp"),
    (22, "idp"),
];

/// The variable that a name stands for.
pub fn variable(name: &[u32]) -> Option<&'static Variable> {
    let [top, second, ..] = *name else { return None };
    VARIABLES.iter().find(|v| v.top == top && v.second == second)
}

/// A name as dotted text; numbers without a text are printed as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Dotted<'a>(pub &'a [u32]);

impl Dotted<'_> {
    fn part(&self, i: usize, n: u32) -> Option<&'static str> {
        let find = |list: &[(u32, &'static str)]| list.iter().find(|(v, _)| *v == n).map(|(_, t)| *t);
        let top = self.0.first().copied();
        let second = self.0.get(1).copied();
        match (i, top) {
            (0, _) => match n {
                CTL_FS => Some("fs"),
                CTL_NET => Some("net"),
                CTL_DEBUG => Some("debug"),
                _ => VARIABLES.iter().find(|v| v.top == n).map(|v| v.top_name),
            },
            (1, Some(CTL_NET)) => find(&NET_NAMES),
            (1, _) => variable(self.0).map(|v| v.name),
            (2, Some(CTL_NET)) if second == Some(Domain::Inet.raw()) => find(&INET_NAMES),
            (2, Some(mib::CTL_KERN)) if second == Some(mib::kern::PROC) => {
                KERN_PROC_NAMES.get(usize::try_from(n).ok()?).copied()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &n) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            match self.part(i, n) {
                Some(text) => f.write_str(text)?,
                None => write!(f, "{}", n.cast_signed())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_dotted_and_numbers_stay() {
        assert_eq!(Dotted(&[mib::CTL_KERN, mib::kern::OSTYPE]).to_string(), "kern.ostype");
        assert_eq!(Dotted(&[1, 14, 1, 42]).to_string(), "kern.proc.pid.42");
        assert_eq!(Dotted(&[4, 2, 17, 1]).to_string(), "net.inet.udp.1");
        assert_eq!(Dotted(&[6, 7]).to_string(), "hw.pagesize");
        assert_eq!(Dotted(&[99, 1]).to_string(), "99.1");
        assert_eq!(Dotted(&[]).to_string(), "");
        assert_eq!(mib::kern::SOMINQUEUE, 35);
    }
}
