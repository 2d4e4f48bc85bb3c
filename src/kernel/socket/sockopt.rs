//! Options of the socket layer itself; those of other levels go to the protocol.
//!
//! This file does not know any protocol's options, nor guest memory.
//!
//! 2.1 counterpart: kern/uipc_socket.c (sosetopt, sogetopt).

use syscalls::errno::Errno;
use syscalls::flags::SockOpt;

use super::events;
use super::mbuf::{Mbuf, MbufType};
use super::msg::SOL_SOCKET;
use super::protosw::ControlOption;
use super::socket::{SocketId, SocketOptions};
use crate::kernel::{HZ, Kernel};

/// Microseconds in a clock tick.
const TICK: i32 = 1_000_000 / HZ as i32;
/// Longest time limit in seconds: what a short of ticks holds, less a second for every tick in one.
const TIMEO_MAX: i32 = i16::MAX as i32 / HZ as i32 - HZ as i32;

/// The bits that can be set and read one by one.
fn on_off(option: SockOpt) -> Option<SocketOptions> {
    Some(match option {
        SockOpt::Debug => SocketOptions::DEBUG,
        SockOpt::Reuseaddr => SocketOptions::REUSEADDR,
        SockOpt::Keepalive => SocketOptions::KEEPALIVE,
        SockOpt::Dontroute => SocketOptions::DONTROUTE,
        SockOpt::Broadcast => SocketOptions::BROADCAST,
        SockOpt::Useloopback => SocketOptions::USELOOPBACK,
        SockOpt::Linger => SocketOptions::LINGER,
        SockOpt::Oobinline => SocketOptions::OOBINLINE,
        SockOpt::Reuseport => SocketOptions::REUSEPORT,
        _ => return None,
    })
}

/// Sets an option; `value` is absent where the user gave no address.
pub fn sosetopt(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    value: Option<&Mbuf>,
) -> Result<(), Errno> {
    events::begin_with(kernel, Some(so), "sosetopt", || format!("(level {level:#x}, option {name:#x})"));
    let set = set_option(kernel, so, level, name, value);
    events::end(kernel, so, "sosetopt", set);
    set
}

fn set_option(
    kernel: &mut Kernel,
    so: SocketId,
    level: u32,
    name: u32,
    value: Option<&Mbuf>,
) -> Result<(), Errno> {
    let ctloutput = kernel.sockets[so].proto.ctloutput;
    if level == SOL_SOCKET {
        set_socket_option(kernel, so, SockOpt::from_raw(name), value)?;
    }
    match ctloutput {
        // What the protocol says to an option of ours is nobody's business.
        Some(ctloutput) if level == SOL_SOCKET => {
            let _ = ctloutput(kernel, so, level, name, ControlOption::Set(value));
            Ok(())
        }
        Some(ctloutput) => ctloutput(kernel, so, level, name, ControlOption::Set(value)),
        None if level == SOL_SOCKET => Ok(()),
        None => Err(Errno::ENOPROTOOPT),
    }
}

fn set_socket_option(
    kernel: &mut Kernel,
    so: SocketId,
    option: SockOpt,
    value: Option<&Mbuf>,
) -> Result<(), Errno> {
    let word = |index: usize| {
        let bytes = value?.bytes().get(index * 4..index * 4 + 4)?;
        Some(i32::from_le_bytes(bytes.try_into().ok()?))
    };
    let first = || word(0).ok_or(Errno::EINVAL);
    let socket = &mut kernel.sockets[so];
    match option {
        SockOpt::Linger => {
            // Exactly the structure; the time is kept as a short, and counted in ticks.
            let exact = value.filter(|m| m.len() == 8).and_then(|_| word(1));
            socket.linger = exact.ok_or(Errno::EINVAL)? as i16;
            socket.options.set(SocketOptions::LINGER, first()? != 0);
        }
        SockOpt::Sndbuf | SockOpt::Rcvbuf => {
            let size = first()? as u32;
            let sb = if option == SockOpt::Sndbuf { &mut socket.snd } else { &mut socket.rcv };
            if !sb.reserve(size) {
                return Err(Errno::ENOBUFS);
            }
        }
        SockOpt::Sndlowat => socket.snd.lowat = first()?,
        SockOpt::Rcvlowat => socket.rcv.lowat = first()?,
        SockOpt::Sndtimeo | SockOpt::Rcvtimeo => {
            let (sec, usec) = word(0).zip(word(1)).ok_or(Errno::EINVAL)?;
            if sec > TIMEO_MAX {
                return Err(Errno::EDOM);
            }
            let ticks = sec.wrapping_mul(HZ as i32).wrapping_add(usec / TICK) as i16;
            if option == SockOpt::Sndtimeo {
                socket.snd.timeo = ticks;
            } else {
                socket.rcv.timeo = ticks;
            }
        }
        _ => {
            let bit = on_off(option).ok_or(Errno::ENOPROTOOPT)?;
            socket.options.set(bit, first()? != 0);
        }
    }
    Ok(())
}

/// Reads an option.  Bits read back as themselves, not as one; reading the error clears it.
pub fn sogetopt(kernel: &mut Kernel, so: SocketId, level: u32, name: u32) -> Result<Mbuf, Errno> {
    events::begin_with(kernel, Some(so), "sogetopt", || format!("(level {level:#x}, option {name:#x})"));
    let got = get_option(kernel, so, level, name);
    events::end(kernel, so, "sogetopt", got.as_ref().map(|_| ()).map_err(|error| *error));
    got
}

fn get_option(kernel: &mut Kernel, so: SocketId, level: u32, name: u32) -> Result<Mbuf, Errno> {
    let mut m = Mbuf::get(MbufType::Soopts);
    if level != SOL_SOCKET {
        let ctloutput = kernel.sockets[so].proto.ctloutput.ok_or(Errno::ENOPROTOOPT)?;
        ctloutput(kernel, so, level, name, ControlOption::Get(&mut m))?;
        return Ok(m);
    }
    let socket = &mut kernel.sockets[so];
    let bit = |bit: SocketOptions| i32::from((socket.options & bit).bits());
    let option = SockOpt::from_raw(name);
    let (first, second) = match option {
        SockOpt::Linger => (bit(SocketOptions::LINGER), Some(i32::from(socket.linger))),
        SockOpt::Type => (socket.kind.raw() as i32, None),
        SockOpt::Error => (socket.error.take().map_or(0, |error| error as i32), None),
        SockOpt::Sndbuf => (socket.snd.hiwat as i32, None),
        SockOpt::Rcvbuf => (socket.rcv.hiwat as i32, None),
        SockOpt::Sndlowat => (socket.snd.lowat, None),
        SockOpt::Rcvlowat => (socket.rcv.lowat, None),
        SockOpt::Sndtimeo => timeval(socket.snd.timeo),
        SockOpt::Rcvtimeo => timeval(socket.rcv.timeo),
        _ => (bit(on_off(option).ok_or(Errno::ENOPROTOOPT)?), None),
    };
    m.push(&first.to_le_bytes());
    if let Some(second) = second {
        m.push(&second.to_le_bytes());
    }
    Ok(m)
}

fn timeval(timeo: i16) -> (i32, Option<i32>) {
    let ticks = i32::from(timeo);
    (ticks / HZ as i32, Some(ticks % HZ as i32 * TICK))
}
