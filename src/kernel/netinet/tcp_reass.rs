//! Segments that come before others that they follow: they wait in order.
//!
//! 2.1 counterpart: netinet/tcp_input.c (tcp_reass).

use super::in_pcb::InpcbId;
use super::statistics::tcps;
use super::tcp_seq::gt;
use super::tcp_var::th;
use crate::kernel::Kernel;
use crate::kernel::socket::chain::Chain;
use crate::kernel::socket::socket::SockState;
use crate::kernel::socket::state::sorwakeup;

/// A segment that waits.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    /// Sequence number of its first byte.
    pub(super) seq: u32,
    /// Bytes, an urgent one that was taken out included.
    pub(super) len: u32,
    /// Flags.
    pub(super) flags: u8,
    /// Data.
    pub(super) m: Chain,
}

impl Queued {
    fn cut(&mut self, count: u32) {
        self.m.adj(count as i32);
        self.seq = self.seq.wrapping_add(count);
        self.len -= count;
    }
}

/// Puts a segment into its place, if there is one, and gives the user what is complete; TH_FIN if that includes
/// the end (`tcp_reass`).
pub(super) fn tcp_reass(kernel: &mut Kernel, id: InpcbId, segment: Option<Queued>) -> u8 {
    if let Some(segment) = segment {
        enqueue(kernel, id, segment);
    }
    present(kernel, id)
}

fn enqueue(kernel: &mut Kernel, id: InpcbId, mut segment: Queued) {
    let Some(inp) = kernel.inet.pcbs.get_mut(id) else { return };
    let Some(tp) = &mut inp.tcp else { return };
    let stat = &mut kernel.inet.stat.tcp;
    let queue = &mut tp.reass;
    let at = queue.iter().position(|q| gt(q.seq, segment.seq)).unwrap_or(queue.len());
    if let Some(before) = at.checked_sub(1).and_then(|at| queue.get(at)) {
        let overlap = before.seq.wrapping_add(before.len).wrapping_sub(segment.seq) as i32;
        if overlap > 0 {
            if overlap >= segment.len as i32 {
                stat.bump(tcps::RCVDUPPACK);
                stat.add(tcps::RCVDUPBYTE, segment.len);
                return;
            }
            segment.cut(overlap as u32);
        }
    }
    stat.bump(tcps::RCVOOPACK);
    stat.add(tcps::RCVOOBYTE, segment.len);
    while let Some(behind) = queue.get_mut(at) {
        let overlap = segment.seq.wrapping_add(segment.len).wrapping_sub(behind.seq) as i32;
        if overlap <= 0 {
            break;
        }
        if (overlap as u32) < behind.len {
            behind.cut(overlap as u32);
            break;
        }
        queue.remove(at);
    }
    queue.insert(at, segment);
}

fn present(kernel: &mut Kernel, id: InpcbId) -> u8 {
    let Some(inp) = kernel.inet.pcbs.get_mut(id) else { return 0 };
    let so = inp.socket;
    let Some(tp) = inp.tcp.as_mut().filter(|tp| tp.state.have_established()) else { return 0 };
    let mut flags = 0;
    let mut any = false;
    while tp.reass.first().is_some_and(|first| first.seq == tp.rcv_nxt) {
        let segment = tp.reass.remove(0);
        tp.rcv_nxt = tp.rcv_nxt.wrapping_add(segment.len);
        flags = segment.flags & th::FIN;
        any = true;
        if !kernel.sockets[so].state.contains(SockState::CANTRCVMORE) {
            kernel.sockets[so].rcv.append(segment.m);
        }
    }
    if any {
        sorwakeup(kernel, so);
    }
    flags
}
