//! 386BSD's form of open files, vnodes, mounts and terminals: the same facts in the layouts of its headers.
//!
//! Counterpart: sys/file.h, vnode.h, ufs_inode.h, sys/mount.h, tty.h of 386BSD 2.0, and its fstat.c.

use syscalls::layout::{self, OlderDinode, OlderFile, OlderInode, OlderMount, OlderTty, OlderVnode, U16};
use zerocopy::IntoBytes;

use crate::kernel::tty::State;

/// Files of disks there (VT_UFS): devices lie in ordinary directories.
const VT_UFS: i32 = 1;
/// States of terminals here and there, where both have them.
const TTY_STATES: [(State, u32); 7] = [
    (State::ISOPEN, 0x4),
    (State::CARR_ON, 0x10),
    (State::BUSY, 0x20),
    (State::XCLUDE, 0x80),
    (State::TTSTOP, 0x100),
    (State::TBLOCK, 0x400),
    (State::ASYNC, 0x4000),
];

/// An open file.
pub(super) fn file(new: &layout::File) -> OlderFile {
    OlderFile {
        next: new.next,
        previous: new.previous,
        flag: new.flag,
        kind: new.kind,
        count: new.count,
        msgcount: new.msgcount,
        cred: new.cred,
        ops: new.ops,
        offset: (new.offset.get() as i32).into(),
        data: new.data,
    }
}

/// A vnode, with the file of a disk in it and the last part of its name.
pub(super) fn vnode(new: &layout::Vnode, inode: Option<&layout::Inode>, path: &[u8]) -> OlderVnode {
    let mut name = [0; 16];
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.iter_mut().zip(last.iter().take(15)).for_each(|(to, from)| *to = *from);
    let mut data = [0; 188];
    if let Some(inode) = inode {
        data.copy_from_slice(self::inode(inode).as_bytes());
    }
    OlderVnode {
        flag: new.flag,
        usecount: (new.usecount.get() as i16).into(),
        writecount: (new.writecount.get() as i16).into(),
        id: new.id,
        mount: new.mount,
        mountf: new.mntvnodes[0],
        kind: new.kind,
        un: new.un,
        tag: VT_UFS.into(),
        name,
        data,
        ..OlderVnode::default()
    }
}

fn inode(new: &layout::Inode) -> OlderInode {
    let din = &new.din;
    OlderInode {
        vnode: new.vnode,
        dev: (new.dev.get() as u16).into(),
        number: new.number,
        din: OlderDinode {
            mode: din.mode,
            nlink: din.nlink,
            uid: U16::new(din.uid.get() as u16),
            gid: U16::new(din.gid.get() as u16),
            size: din.size,
            atime: din.atime.sec,
            mtime: din.mtime.sec,
            ctime: din.ctime.sec,
            db: din.db,
            flags: (din.flags.get() as i32).into(),
            blocks: din.blocks,
            ..OlderDinode::default()
        },
        ..OlderInode::default()
    }
}

/// A mount.
pub(super) fn mount(new: &layout::Mount) -> OlderMount {
    OlderMount {
        next: new.list[0],
        prev: new.list[1],
        vnodecovered: new.vnodecovered,
        mounth: new.vnodelist,
        flag: new.flag,
        stat: new.stat,
        ..OlderMount::default()
    }
}

/// A terminal.
pub(super) fn tty(new: &layout::Tty) -> OlderTty {
    let state = State::from_bits_retain(new.state.get() as u32);
    let there = TTY_STATES.iter().filter(|(here, _)| state.contains(*here));
    let there = there.fold(0, |all, (_, bit)| all | *bit as i32);
    OlderTty {
        rsel: (new.rsel.pid.get() as i16).into(),
        wsel: (new.wsel.pid.get() as i16).into(),
        dev: (new.dev.get() as u16).into(),
        flags: new.flags,
        state: there.into(),
        session: new.session,
        pgrp: new.pgrp,
        line: new.line.get() as u8,
        col: (new.column.get() as i16).into(),
        rocount: (new.rocount.get() as i16).into(),
        rocol: (new.rocol.get() as i16).into(),
        hiwat: (new.hiwat.get() as i16).into(),
        lowat: (new.lowat.get() as i16).into(),
        winsize: new.winsize,
        termios: new.termios,
        cancc: new.cancc,
        rawcc: new.rawcc,
        outcc: new.outcc,
        generation: (new.generation.get() as i16).into(),
        ..OlderTty::default()
    }
}
