//! `/dev/klog`: one reader at a time, who may be told of news by a signal.
//!
//! Must not know how messages are kept.  2.1 counterpart: kern/subr_log.c.

use syscalls::Errno;
use syscalls::ioctl as request;

use crate::kernel::signal::{SIGIO, gsignal, psignal};
use crate::kernel::{Channel, Context, Kernel};

/// The state of the device (`logsoftc`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogDevice {
    open: bool,
    /// News are told by SIGIO (LOG_ASYNC).
    asynchronous: bool,
    /// Who is told: a process, or a group as a negative number.
    group: i32,
}

/// Opens the device (`logopen`).
pub(in crate::kernel) fn open(cx: &mut Context<'_>) -> Result<(), Errno> {
    let pid = cx.proc().pid;
    let device = &mut cx.kernel.log_device;
    if device.open {
        return Err(Errno::EBUSY);
    }
    (device.open, device.group) = (true, pid);
    Ok(())
}

/// The last close (`logclose`).
pub(in crate::kernel) fn close(kernel: &mut Kernel) {
    let device = &mut kernel.log_device;
    (device.open, device.asynchronous) = (false, false);
}

/// Control of the device (`logioctl`).
pub(in crate::kernel) fn ioctl(cx: &mut Context<'_>, command: u32, data: &mut Vec<u8>) -> Result<(), Errno> {
    let unread = cx.kernel.messages.unread() as i32;
    let device = &mut cx.kernel.log_device;
    let given = data.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
    let answer = match command {
        request::FIONREAD => unread,
        request::TIOCGPGRP => device.group,
        request::FIONBIO => return Ok(()),
        request::FIOASYNC => {
            device.asynchronous = given != 0;
            return Ok(());
        }
        request::TIOCSPGRP => {
            device.group = given;
            return Ok(());
        }
        _ => return Err(Errno::ENOTTY),
    };
    *data = answer.to_le_bytes().to_vec();
    Ok(())
}

/// Something was said (`logwakeup`).
pub(super) fn wake(kernel: &mut Kernel) {
    let LogDevice { open, asynchronous, group } = kernel.log_device;
    if !open {
        return;
    }
    kernel.wakeup(Channel::Log);
    if !asynchronous {
        return;
    }
    if group < 0 {
        gsignal(kernel, group.wrapping_neg(), SIGIO);
    } else if let Some(id) = kernel.procs.find(group) {
        psignal(kernel, id, SIGIO);
    }
}
