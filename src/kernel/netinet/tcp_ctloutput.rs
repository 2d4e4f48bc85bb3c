//! Options of TCP; those of other levels are IP's.
//!
//! 2.1 counterpart: netinet/tcp_usrreq.c (tcp_ctloutput).

use syscalls::errno::Errno;

use super::in_pcb::{InpcbId, sotoinpcb};
use super::ip_ctloutput::{ip_ctloutput, option_word};
use super::tcp_timer;
use super::tcp_var::tf;
use super::{bridge, ipproto};
use crate::kernel::Kernel;
use crate::kernel::socket::SocketId;
use crate::kernel::socket::protosw::ControlOption;

/// Gets and sets options of TCP (`tcp_ctloutput`).
pub(super) fn tcp_ctloutput(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    option: ControlOption<'_>,
) -> Result<(), Errno> {
    let id = sotoinpcb(kernel, so).map_err(|_| Errno::ECONNRESET)?;
    if level != ipproto::TCP as u32 {
        // Keep-alive may have been turned on: its timer counts from now on.
        tcp_timer::catch_up_all(kernel);
        tcp_timer::arm(kernel, id);
        return ip_ctloutput(kernel, so, level, name, option);
    }
    let done = control(kernel, id, name, option);
    bridge::set_options(kernel, id);
    done
}

fn control(kernel: &mut Kernel, id: InpcbId, name: u32, option: ControlOption<'_>) -> Result<(), Errno> {
    const TCP_MAXSEG: u32 = 2;
    let tp = kernel.inet.tp_mut(id).ok_or(Errno::ECONNRESET)?;
    let bit = match name {
        1 => tf::NODELAY,
        TCP_MAXSEG => 0,
        4 => tf::NOPUSH,
        8 => tf::NOOPT,
        _ => return Err(Errno::ENOPROTOOPT),
    };
    match option {
        ControlOption::Set(value) if name == TCP_MAXSEG => {
            let size = option_word(value)?;
            if size <= 0 || size as u32 > tp.maxseg {
                return Err(Errno::EINVAL);
            }
            tp.maxseg = size as u32;
        }
        ControlOption::Set(value) if option_word(value)? != 0 => tp.flags |= bit,
        ControlOption::Set(_) => tp.flags &= !bit,
        ControlOption::Get(m) => {
            let value = if name == TCP_MAXSEG { tp.maxseg } else { tp.flags & bit };
            m.assign(&value.to_le_bytes());
        }
    }
    Ok(())
}
