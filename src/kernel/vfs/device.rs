//! Devices of the kernel's own, and the /dev in which they are found.
//!
//! Device numbers are those of 2.1, so that nodes made with mknod in any directory work as well.
//!
//! Must not know the host's devices: none of them is ever opened.
//! 2.1 counterpart: miscfs/specfs/spec_vnops.c, i386/i386/mem.c, i386/conf/majors.i386, kern/kern_descrip.c
//! (fdopen), kern/tty_tty.c.

use syscalls::Errno;

use super::Vfs;
use super::mount::{Disk, MountFlags, MountId};
use super::vnode::{VnodeId, Vtype};
use crate::host::random;
use crate::kernel::file::{FileFlag, FileId, Uio};
use crate::kernel::kmem::{log_device, memory};
use crate::kernel::net::tun;
use crate::kernel::synch::{Channel, Sleep, priority, sleep};
use crate::kernel::tty::{self, End, Special, TtyId, Ttys};
use crate::kernel::{Context, Resume, Sysret};

/// Descriptors that have a node in /dev/fd.
const FD_NODES: u32 = 64;
/// Major numbers of disks (sd) as block devices, and as character devices.
const DISK: u32 = 4;
const RAW_DISK: u32 = 13;
/// Bytes that a device moves at once.
const PIECE: usize = 4096;

/// A device that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The console: what is written goes to the standard error of the emulator.
    Console,
    /// The controlling terminal.
    Tty,
    /// A terminal of the host, by its minor number.
    Terminal(u32),
    /// A pseudo terminal, by its minor number.
    Slave(u32),
    /// The master of a pseudo terminal.
    Master(u32),
    /// Nothing to read, and room for everything.
    Null,
    /// Zero bytes.
    Zero,
    /// Random bytes.
    Random,
    /// A descriptor of the process itself.
    Descriptor(u32),
    /// Physical memory.
    Mem,
    /// Kernel memory.
    Kmem,
    /// The ports of the machine, which nobody gets.
    Io,
    /// What has been paged out: nothing.
    Drum,
    /// What the kernel says.
    Log,
    /// The packets of a tunnel, by its unit.
    Tun(u32),
}

/// A device number out of a major and a minor one (`makedev`).
pub const fn makedev(major: u32, minor: u32) -> u32 {
    major << 8 | (minor & 0xffff_00ff)
}

impl Device {
    /// The character device with this number.
    pub fn from_rdev(rdev: u32) -> Option<Device> {
        match (rdev >> 8 & 0xff, rdev & 0xffff_00ff) {
            (0, 0) => Some(Device::Console),
            (1, 0) => Some(Device::Tty),
            (2, 0) => Some(Device::Mem),
            (2, 1) => Some(Device::Kmem),
            (2, 14) => Some(Device::Io),
            (4, 0) => Some(Device::Drum),
            (7, 0) => Some(Device::Log),
            (2, 2) => Some(Device::Null),
            (2, 3 | 4) => Some(Device::Random),
            (2, 12) => Some(Device::Zero),
            (5, minor) => Some(Device::Slave(minor)),
            (6, minor) => Some(Device::Master(minor)),
            (12, minor) => Some(Device::Terminal(minor)),
            (22, minor) => Some(Device::Descriptor(minor)),
            (52, minor) => Some(Device::Tun(minor)),
            _ => None,
        }
    }
}

impl Device {
    /// The end of a terminal that a device is; the console is the terminal of the host where there is one.
    fn terminal(self, ttys: &Ttys) -> Option<(TtyId, End)> {
        match self {
            Device::Console => ttys.virtual_console(0).map(|tty| (tty, End::Slave)),
            Device::Terminal(minor) => ttys.virtual_console(minor).map(|tty| (tty, End::Slave)),
            Device::Slave(minor) => ttys.pty(minor).map(|tty| (tty, End::Slave)),
            Device::Master(minor) => ttys.pty(minor).map(|tty| (tty, End::Master)),
            _ => None,
        }
    }
}

impl Vfs {
    /// The end of a terminal that a node is.
    pub fn terminal_end(&self, ttys: &Ttys, vnode: VnodeId) -> Option<(TtyId, End)> {
        let vnode = self.vnodes.get(vnode)?;
        if vnode.kind != Vtype::Chr {
            return None;
        }
        Device::from_rdev(vnode.rdev()?)?.terminal(ttys)
    }

    /// What a node is to the terminal layer.
    #[inline]
    pub fn special(&self, ttys: &Ttys, vnode: VnodeId) -> Option<Special> {
        let held = self.vnodes.get(vnode).filter(|vnode| vnode.kind == Vtype::Chr)?;
        match Device::from_rdev(held.rdev()?)? {
            Device::Tty => Some(Special::Controlling),
            device => device.terminal(ttys).map(|(tty, end)| Special::Line(tty, end)),
        }
    }
}

/// The names of a pseudo terminal: of its slave and of its master.
fn pty_names(minor: u32) -> Option<[String; 2]> {
    let bank = b"pqrs".get(minor as usize / 32).copied().map(char::from)?;
    let unit = char::from_digit(minor % 32, 32)?;
    Some([format!("tty{bank}{unit}"), format!("pty{bank}{unit}")])
}

/// The nodes of /dev: name, device number, permission bits.
const NODES: &[(&str, u32, u16)] = &[
    ("console", makedev(0, 0), 0o622),
    ("drum", makedev(4, 0), 0o640),
    ("io", makedev(2, 14), 0o600),
    ("klog", makedev(7, 0), 0o600),
    ("kmem", makedev(2, 1), 0o640),
    ("mem", makedev(2, 0), 0o640),
    ("null", makedev(2, 2), 0o666),
    ("random", makedev(2, 3), 0o644),
    ("stderr", makedev(22, 2), 0o666),
    ("stdin", makedev(22, 0), 0o666),
    ("stdout", makedev(22, 1), 0o666),
    ("tty", makedev(1, 0), 0o666),
    ("urandom", makedev(2, 4), 0o644),
    ("zero", makedev(2, 12), 0o666),
];

/// Whether a name is one of the nodes of /dev.
pub fn is_name(name: &[u8]) -> bool {
    let pty = |minor| pty_names(minor).into_iter().flatten().any(|known| known.as_bytes() == name);
    name == b"fd"
        || name.starts_with(b"ttyv")
        || NODES.iter().any(|(known, ..)| known.as_bytes() == name)
        || (0..tty::MOST_PTYS as u32).any(pty)
}

impl Vfs {
    /// Fills a new directory of devices.
    pub(super) fn make_devices(&mut self, mount: MountId) {
        let root = self.mounts[mount.0].root;
        self.dev = Some(root);
        for &(name, rdev, perm) in NODES {
            self.add_device(root, name.as_bytes(), rdev, perm);
        }
        let fd = self.built_in(mount, Vtype::Dir, 0o555, 0);
        self.vnodes.graft(root, b"fd", fd);
        for number in 0..FD_NODES {
            self.add_device(fd, number.to_string().as_bytes(), makedev(22, number), 0o666);
        }
        self.add_ptys(0..tty::DEFAULT_PTYS as u32);
    }

    /// Adds nodes of pseudo terminals to /dev, where there is one.
    pub(in crate::kernel) fn add_ptys(&mut self, minors: std::ops::Range<u32>) {
        let Some(dev) = self.dev else { return };
        for minor in minors {
            for (name, major) in pty_names(minor).into_iter().flatten().zip([5, 6]) {
                self.add_device(dev, name.as_bytes(), makedev(major, minor), 0o666);
            }
        }
    }

    /// Adds nodes of tunnels to /dev, where there is one.
    pub(in crate::kernel) fn add_tunnels(&mut self, units: std::ops::Range<u32>) {
        let Some(dev) = self.dev else { return };
        for unit in units {
            self.add_device(dev, format!("tun{unit}").as_bytes(), makedev(52, unit), 0o600);
        }
    }

    /// Adds the node of a terminal of the host, /dev/ttyvN where there is a /dev; it has a reference.
    pub(in crate::kernel) fn add_terminal(&mut self, minor: u32) -> VnodeId {
        let rdev = makedev(12, minor);
        let vnode = match self.dev {
            Some(dev) => self.add_device(dev, format!("ttyv{minor}").as_bytes(), rdev, 0o620),
            None => {
                let mount = self.vnodes[self.root_vnode()].mount;
                self.built_in(mount, Vtype::Chr, 0o620, rdev)
            }
        };
        self.vnodes.vref(vnode);
        vnode
    }

    /// Adds a disk: the nodes NAME and rNAME in /dev.
    pub fn add_disk(&mut self, name: &[u8], path: &std::path::Path, read_only: bool) {
        let Some(dev) = self.dev else { return };
        let mount = self.vnodes[dev].mount;
        let rdev = makedev(DISK, self.disks.len() as u32);
        let block = self.built_in(mount, Vtype::Blk, 0o640, rdev);
        self.vnodes.graft(dev, name, block);
        self.add_device(dev, &[b"r", name].concat(), makedev(RAW_DISK, self.disks.len() as u32), 0o640);
        self.disks.push(Disk { rdev, path: path.to_owned(), read_only });
    }

    /// The disk that a node stands for.
    pub(super) fn disk(&self, vnode: VnodeId) -> Option<&Disk> {
        let rdev = self.vnodes[vnode].rdev()?;
        self.disks.iter().find(|disk| disk.rdev == rdev)
    }

    /// Fills the root of a file system of descriptors.
    pub(super) fn make_descriptors(&mut self, mount: MountId) {
        let root = self.mounts[mount.0].root;
        let fd = self.built_in(mount, Vtype::Dir, 0o555, 0);
        self.vnodes.graft(root, b"fd", fd);
        for number in 0..FD_NODES {
            self.add_device(fd, number.to_string().as_bytes(), makedev(22, number), 0o666);
        }
        for (number, name) in (0..).zip(["stdin", "stdout", "stderr"]) {
            self.add_device(root, name.as_bytes(), makedev(22, number), 0o666);
        }
        self.add_device(root, b"tty", makedev(1, 0), 0o666);
    }

    /// Adds a character device to a directory of the kernel's own.
    pub fn add_device(&mut self, directory: VnodeId, name: &[u8], rdev: u32, perm: u16) -> VnodeId {
        let mount = self.vnodes[directory].mount;
        let node = self.built_in(mount, Vtype::Chr, perm, rdev);
        self.vnodes.graft(directory, name, node);
        node
    }
}

/// Opens a device (`spec_open`): the device, or why not.
pub fn open(cx: &mut Context<'_>, vnode: VnodeId) -> Result<Device, Errno> {
    let vfs = &cx.kernel.vfs;
    if vfs.mount_of(vnode).flags.contains(MountFlags::NODEV) || vfs.vnode(vnode).kind == Vtype::Blk {
        return Err(Errno::ENXIO);
    }
    let device = vfs.vnode(vnode).rdev().and_then(Device::from_rdev).ok_or(Errno::ENXIO)?;
    if device == Device::Io {
        return Err(Errno::EPERM);
    }
    if let Device::Tun(unit) = device {
        tun::tunopen(cx, unit as usize)?;
    }
    if device == Device::Log {
        log_device::open(cx)?;
    }
    let is_terminal = matches!(device, Device::Terminal(_) | Device::Slave(_) | Device::Master(_));
    if is_terminal && device.terminal(&cx.kernel.ttys).is_none() { Err(Errno::ENXIO) } else { Ok(device) }
}

/// Reads from a device.
pub fn read(cx: &mut Context<'_>, device: Device, uio: &mut Uio) -> Result<(), Errno> {
    let mut piece = [0; PIECE];
    match device {
        Device::Null | Device::Console | Device::Drum => Ok(()),
        Device::Mem => memory::read_physical(cx, uio),
        Device::Kmem => memory::read_kernel(cx, uio),
        Device::Zero | Device::Random => {
            while uio.resid > 0 {
                let length = (uio.resid as usize).min(PIECE);
                let bytes = piece.get_mut(..length).unwrap_or_default();
                if device == Device::Random {
                    random_bytes(cx, bytes);
                }
                uio.move_out(cx, bytes)?;
            }
            Ok(())
        }
        Device::Tty
        | Device::Terminal(_)
        | Device::Slave(_)
        | Device::Master(_)
        | Device::Descriptor(_)
        | Device::Io
        | Device::Log
        | Device::Tun(_) => Err(Errno::ENXIO),
    }
}

/// Reads what the kernel has said and nobody has read, and waits until there is some (`logread`).
pub fn read_log(cx: &mut Context<'_>, file: FileId, mut uio: Uio, requested: u32) -> Sysret<i32> {
    if cx.kernel.messages.unread() == 0 && uio.resid > 0 {
        if cx.kernel.files[file].flag.contains(FileFlag::NONBLOCK) {
            return Err(Errno::EAGAIN.into());
        }
        let priority = priority::PSOCK;
        let wait = Sleep { channel: Channel::Log, priority, catch: true, wmesg: "klog", timeout_ticks: None };
        return sleep(wait, Resume::Vfs(super::Resume::LogRead { file, uio, requested }));
    }
    while uio.resid > 0 && cx.kernel.messages.unread() > 0 {
        let piece = cx.kernel.messages.piece(uio.resid as usize);
        uio.move_out(cx, &piece)?;
        cx.kernel.messages.pass(piece.len());
    }
    Ok((requested - uio.resid).cast_signed())
}

/// Reads a packet of a tunnel, and waits for one.
pub fn read_tunnel(cx: &mut Context<'_>, unit: u32, mut uio: Uio, requested: u32) -> Sysret<i32> {
    match tun::read(cx, unit as usize, &mut uio)? {
        Some(wait) => sleep(wait, Resume::Vfs(super::Resume::TunnelRead { unit, uio, requested })),
        None => Ok((requested - uio.resid).cast_signed()),
    }
}

/// Writes to a device.
pub fn write(cx: &mut Context<'_>, device: Device, uio: &mut Uio) -> Result<(), Errno> {
    match device {
        Device::Null | Device::Zero | Device::Random => {
            uio.pass_over();
            Ok(())
        }
        Device::Console => {
            let mut piece = [0; PIECE];
            while uio.resid > 0 {
                let length = uio.move_in(cx, &mut piece)?;
                cx.kernel.vfs.console_write(&cx.kernel.tape, piece.get(..length).unwrap_or_default());
            }
            Ok(())
        }
        Device::Tun(unit) => tun::write(cx, unit as usize, uio),
        // Nobody writes the kernel's memory.
        Device::Mem | Device::Kmem | Device::Drum => Err(Errno::EPERM),
        Device::Tty
        | Device::Terminal(_)
        | Device::Slave(_)
        | Device::Master(_)
        | Device::Descriptor(_)
        | Device::Io
        | Device::Log => Err(Errno::ENXIO),
    }
}

/// Random bytes: the host's, or in a repeatable run those of a fixed seed.
fn random_bytes(cx: &mut Context<'_>, buffer: &mut [u8]) {
    let Some(seed) = &mut cx.kernel.vfs.seed else { return random::fill(buffer) };
    for byte in buffer {
        // SplitMix64.
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = (z ^ (z >> 31)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::super::mount::Source;
    use super::*;

    #[test]
    fn every_node_of_dev_is_a_device() {
        for &(name, rdev, _) in NODES {
            assert!(Device::from_rdev(rdev).is_some(), "{name}");
        }
    }

    #[test]
    fn dev_lists_its_nodes() {
        let mut vfs = Vfs::new(super::super::Options::default());
        vfs.mount_root(&Source::Empty, MountFlags::empty()).unwrap();
        let mount = vfs.mount(&Source::Devices, b"/dev", MountFlags::empty()).unwrap();
        let root = vfs.mounts[mount.0].root;
        let names: Vec<Vec<u8>> = vfs.read_directory(root).unwrap().into_iter().map(|e| e.name).collect();
        assert!(names.contains(&b"null".to_vec()) && names.contains(&b"fd".to_vec()));
        assert_eq!(vfs.getattr(root).unwrap().nlink, 3, "one directory: fd");
    }
}
