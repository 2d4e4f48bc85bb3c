//! Descriptors in messages: taken in from the sender, put out to the receiver, or thrown away.
//!
//! While in flight a descriptor is a counted reference to an open file (`msgcount`, besides `count`).  In
//! the bytes of the message the original keeps a pointer to the file; we keep a stand-in there, which
//! only a peek can see, and the reference itself beside the bytes.
//!
//! This file does not know sockets' states.
//!
//! 2.1 counterpart: kern/uipc_usrreq.c (unp_internalize, unp_externalize, unp_dispose, unp_discard).

use syscalls::arg::Fd;
use syscalls::errno::Errno;

use super::super::events;
use super::super::mbuf::Mbuf;
use super::super::msg::{CMSGHDR, SCM_RIGHTS, SOL_SOCKET, cmsg_len, cmsg_level, cmsg_type};
use super::super::records::Records;
use crate::kernel::Context;
use crate::kernel::file::{self, FileId, drop_reference_at_once, fd_alloc, fd_avail};

/// Where the stand-ins for files lie: addresses of the kernel, as far as a guest can tell.
const KERNEL_ADDRESS: u32 = 0xf020_0000;
/// Distance of two stand-ins.
const FILE_SIZE: u32 = 64;

/// Makes references to open files of the descriptors in a control message.
///
/// One message only, which says its own length right, of rights only; any number of descriptors that fits.
pub(super) fn internalize(cx: &mut Context<'_>, control: &mut Mbuf) -> Result<(), Errno> {
    if cmsg_type(control) != Some(SCM_RIGHTS)
        || cmsg_level(control) != Some(SOL_SOCKET)
        || cmsg_len(control) != Some(control.len() as u32)
    {
        return Err(Errno::EINVAL);
    }
    let fds = control.bytes()[CMSGHDR..].chunks_exact(4);
    let fds = fds.map(|fd| Fd(fd.try_into().map_or(-1, i32::from_le_bytes)));
    let files: Vec<FileId> = fds.map(|fd| file::getfile(cx, fd)).collect::<Result<_, _>>()?;
    for &id in &files {
        let file = &mut cx.kernel.files[id];
        file.count += 1;
        file.msgcount += 1;
        cx.kernel.sockets.unix.rights += 1;
    }
    let stand_ins = files.iter().map(|id| KERNEL_ADDRESS + id.index() as u32 * FILE_SIZE);
    for (word, stand_in) in control.bytes_mut()[CMSGHDR..].chunks_exact_mut(4).zip(stand_ins) {
        word.copy_from_slice(&stand_in.to_le_bytes());
    }
    control.rights = Some(Box::new(files.into_iter().map(Some).collect()));
    Ok(())
}

/// Makes descriptors of the references in a control mbuf; with too few free ones all are thrown away.
///
/// The original counts free slots above the limit, too, and panics when it cannot have them; here the
/// count says EMSGSIZE then.
pub fn externalize(cx: &mut Context<'_>, control: &mut Mbuf) -> Result<(), Errno> {
    events::begin_with(cx.kernel, None, "unp_externalize", || "");
    let done = to_descriptors(cx, control);
    events::end(cx.kernel, None, "unp_externalize", done);
    done
}

fn to_descriptors(cx: &mut Context<'_>, control: &mut Mbuf) -> Result<(), Errno> {
    let mut rights = control.rights.take().unwrap_or_default();
    let newfds = rights.len();
    let fds = if fd_avail(cx, newfds) { allocate(cx, &rights) } else { None };
    let Some(fds) = fds else {
        for right in rights.iter_mut() {
            if let Some(file) = right.take() {
                discard(cx, file);
            }
        }
        control.bytes_mut()[CMSGHDR..].fill(0);
        return Err(Errno::EMSGSIZE);
    };
    for (word, fd) in control.bytes_mut()[CMSGHDR..].chunks_exact_mut(4).zip(fds) {
        word.copy_from_slice(&fd.0.to_le_bytes());
    }
    for file in rights.into_iter().flatten() {
        cx.kernel.files[file].msgcount -= 1;
        cx.kernel.sockets.unix.rights -= 1;
    }
    Ok(())
}

/// Installs files under the lowest free descriptors; all of them or none.
fn allocate(cx: &mut Context<'_>, rights: &[Option<FileId>]) -> Option<Vec<Fd>> {
    let mut fds = Vec::new();
    for &file in rights.iter().flatten() {
        let Ok(fd) = fd_alloc(cx, 0) else {
            for fd in fds {
                cx.proc_mut().fd.clear(fd);
            }
            return None;
        };
        cx.proc_mut().fd.install(fd, file);
        fds.push(fd);
    }
    Some(fds)
}

/// Throws the rights in records away that left a buffer.
pub fn dispose(cx: &mut Context<'_>, records: Records) {
    events::begin_with(cx.kernel, None, "unp_dispose", || "");
    for file in in_flight(&records) {
        discard(cx, file);
    }
    events::end(cx.kernel, None, "unp_dispose", Ok(()));
}

/// The files that records refer to (`unp_scan`).
pub(super) fn in_flight(records: &Records) -> Vec<FileId> {
    let rights = records.iter().flatten().filter_map(|m| m.rights.as_ref());
    rights.flat_map(|rights| rights.iter().flatten().copied()).collect()
}

/// Drops a reference in flight; the last one closes the file.
fn discard(cx: &mut Context<'_>, file: FileId) {
    cx.kernel.files[file].msgcount -= 1;
    cx.kernel.sockets.unix.rights -= 1;
    // Nobody waits for this close, and nobody is told its error.
    drop_reference_at_once(cx, file);
}
