//! Urgent data of TCP: the mark, and the one byte that is taken out of the stream.
//!
//! This file does not know when anything is sent.
//!
//! 2.1 counterpart: netinet/tcp_input.c (step6, tcp_pulloutofband), netinet/tcp_usrreq.c (PRU_RCVOOB).

use syscalls::errno::Errno;

use super::super::mbuf::Mbuf;
use super::super::socket::{SockState, SocketId, SocketOptions};
use super::super::state::sohasoutofband;
use super::pcb::InpcbId;
use super::tcp::{tp, tp_mut};
use super::tcp_fsm::{Oob, TcpState, Tcpcb};
use crate::kernel::Kernel;

/// Tells the peer of urgent data that wait to be sent.
pub(super) fn tell(kernel: &mut Kernel, id: InpcbId) {
    let Tcpcb { peer, snd_up, .. } = tp(kernel, id);
    if let Some(peer) = peer.filter(|&peer| kernel.sockets.inet.has(peer)) {
        urgent(kernel, peer, snd_up);
    }
}

/// Tells a receiver that the byte before `up` more ones is urgent (tcp_input.c, step 6).
fn urgent(kernel: &mut Kernel, id: InpcbId, up: u32) {
    let so = kernel.sockets.inet.inp(id).socket;
    if tp(kernel, id).state >= TcpState::TimeWait || up == 0 {
        return;
    }
    let socket = &mut kernel.sockets[so];
    socket.oobmark = socket.rcv.cc + up - 1;
    if socket.oobmark == 0 {
        socket.state.insert(SockState::RCVATMARK);
    }
    sohasoutofband(kernel, so);
    if let Some(tp) = tp_mut(kernel, id) {
        tp.oob = Oob::None;
    }
}

/// Gives the urgent byte to the user (PRU_RCVOOB).
pub(super) fn receive(
    kernel: &mut Kernel,
    so: SocketId,
    id: InpcbId,
    m: &mut Mbuf,
    peek: bool,
) -> Result<(), Errno> {
    let socket = &kernel.sockets[so];
    let marked = socket.oobmark != 0 || socket.state.contains(SockState::RCVATMARK);
    let inline = socket.options.contains(SocketOptions::OOBINLINE);
    let Some(tp) = tp_mut(kernel, id) else { return Err(Errno::EINVAL) };
    match tp.oob {
        _ if !marked || inline => Err(Errno::EINVAL),
        Oob::Had => Err(Errno::EINVAL),
        Oob::None => Err(Errno::EWOULDBLOCK),
        Oob::Have(byte) => {
            m.assign(&[byte]);
            if !peek {
                tp.oob = Oob::Had;
            }
            Ok(())
        }
    }
}

/// Takes the urgent byte out of a piece that holds it, unless it is wanted in line (`tcp_pulloutofband`).
pub(super) fn pull_out(kernel: &mut Kernel, id: InpcbId, peer: InpcbId, mut m: Mbuf) -> Mbuf {
    let len = m.len() as u32;
    let Some(from) = tp_mut(kernel, id) else { return m };
    let up = from.snd_up;
    from.snd_up = up.saturating_sub(len);
    let to = kernel.sockets.inet.inp(peer).socket;
    let inline = kernel.sockets[to].options.contains(SocketOptions::OOBINLINE);
    if up == 0 || up > len || inline {
        return m;
    }
    let mut bytes = m.bytes().to_vec();
    let byte = bytes.remove(up as usize - 1);
    m.assign_in_place(&bytes);
    if let Some(tp) = tp_mut(kernel, peer) {
        tp.oob = Oob::Have(byte);
    }
    m
}
