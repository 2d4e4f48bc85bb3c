//! The collector of descriptors in flight that nobody can reach any more.
//!
//! A socket can wait in a message that waits in the socket itself, or in a ring of others.  The collector
//! marks every file that a process has open, and everything that waits in the receive buffer of a marked
//! socket; a file that only unmarked messages refer to is garbage.  Its messages are thrown away, and with
//! them the last references go.
//!
//! It runs whenever a local socket goes away while anything is in flight, and leaves its marks: the file
//! status flags show them.  A connection that nobody has accepted yet has no file, so that what waits in
//! it counts as garbage.
//!
//! 2.1 counterpart: kern/uipc_usrreq.c (unp_gc, unp_mark).

use super::super::events;
use super::super::protosw::ProtoFlags;
use super::super::sorflush;
use super::rights::in_flight;
use crate::kernel::Context;
use crate::kernel::file::{FileFlag, FileId, FileObject, drop_reference_at_once};

/// Collects.
pub(super) fn collect(cx: &mut Context<'_>) {
    if std::mem::replace(&mut cx.kernel.sockets.unix.collecting, true) {
        return;
    }
    let rights = cx.kernel.sockets.unix.rights;
    events::begin_with(cx.kernel, None, "unp_gc", || format!("with {rights} in flight"));
    mark(cx);
    sweep(cx);
    events::end(cx.kernel, None, "unp_gc", Ok(()));
    cx.kernel.sockets.unix.collecting = false;
}

fn mark(cx: &mut Context<'_>) {
    let active: Vec<FileId> = cx.kernel.files.active().to_vec();
    for &id in &active {
        cx.kernel.files[id].flag.remove(FileFlag::MARK | FileFlag::DEFER);
    }
    loop {
        let mut deferred = 0;
        for &id in &active {
            let file = &mut cx.kernel.files[id];
            if file.count == 0 {
                continue;
            }
            if file.flag.contains(FileFlag::DEFER) {
                file.flag.remove(FileFlag::DEFER);
            } else {
                if file.flag.contains(FileFlag::MARK) || file.count == file.msgcount {
                    continue;
                }
                file.flag.insert(FileFlag::MARK);
            }
            for reachable in held(cx, id) {
                let file = &mut cx.kernel.files[reachable];
                // One whose last close is in progress is not looked at again.
                if file.count != 0 && !file.flag.contains(FileFlag::MARK) {
                    file.flag.insert(FileFlag::MARK | FileFlag::DEFER);
                    deferred += 1;
                }
            }
        }
        if deferred == 0 {
            return;
        }
    }
}

/// The files that wait in the receive buffer of a local socket.
fn held(cx: &Context<'_>, id: FileId) -> Vec<FileId> {
    match cx.kernel.files[id].object {
        FileObject::Socket(so) => match cx.kernel.sockets.get(so) {
            Some(socket) if socket.is(ProtoFlags::RIGHTS) => in_flight(&socket.rcv.records),
            _ => Vec::new(),
        },
        FileObject::Unset | FileObject::Vnode(_) => Vec::new(),
    }
}

/// Throws away what waits in unreachable sockets, then the sockets.  An extra reference to each keeps
/// them from being closed in the middle of it.  (The original takes a plain file for a socket here.)
fn sweep(cx: &mut Context<'_>) {
    let files = &cx.kernel.files;
    let garbage = |&id: &FileId| {
        let file = &files[id];
        file.count != 0 && file.count == file.msgcount && !file.flag.contains(FileFlag::MARK)
    };
    let unreachable: Vec<FileId> = files.active().iter().copied().filter(garbage).collect();
    for &id in &unreachable {
        cx.kernel.files[id].count += 1;
    }
    for &id in &unreachable {
        if let FileObject::Socket(so) = cx.kernel.files[id].object {
            sorflush(cx, so);
        }
    }
    for id in unreachable {
        // Nobody waits for this close, and nobody is told its error.
        drop_reference_at_once(cx, id);
    }
}
