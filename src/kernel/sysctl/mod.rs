//! Names and numbers of the system.
//!
//! 2.1 counterpart: kern/kern_sysctl.c, kern/kern_xxx.c.

/// Names and numbers that belong to the machine.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Host name.
    pub hostname: Vec<u8>,
    /// Domain name.
    pub domainname: Vec<u8>,
    /// Host number.
    pub hostid: u32,
}
