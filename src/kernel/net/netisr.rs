//! The queue of packets that came in, and when it is run.
//!
//! In the original a packet's arrival asks for a software interrupt, which comes where the priority drops
//! below that of the network: at the end of a request, before a sleep.  Here whoever ends a request calls
//! [`run`]; one that holds the network off over several requests says so ([`hold`], [`release`]).  It is
//! never run inside itself.
//!
//! 2.1 counterpart: net/netisr.h, splnet and splx, the software interrupts of i386/isa/icu.s.

use std::collections::VecDeque;

use super::interface::IFQ_MAXLEN;
use crate::kernel::Kernel;
use crate::kernel::netinet::ip_input;
use crate::kernel::socket::chain::Chain;

/// A queue of packets (`struct ifqueue`), and who holds it off.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    packets: VecDeque<Chain>,
    /// Packets that found it full.
    pub drops: u32,
    /// Requests that hold the network off (splnet).
    held: u32,
    /// It is being run.
    running: bool,
}

impl Queue {
    /// Whether it takes no more (IF_QFULL).
    pub fn is_full(&self) -> bool {
        self.packets.len() >= IFQ_MAXLEN
    }

    /// Adds a packet (IF_ENQUEUE).
    pub fn enqueue(&mut self, packet: Chain) {
        self.packets.push_back(packet);
    }

    /// Takes the oldest packet (IF_DEQUEUE).
    pub fn dequeue(&mut self) -> Option<Chain> {
        self.packets.pop_front()
    }
}

/// Holds the network off until [`release`] (splnet).
pub fn hold(kernel: &mut Kernel) {
    kernel.net.ipintrq.held += 1;
}

/// Lets the network go on again (splx).
pub fn release(kernel: &mut Kernel) {
    let queue = &mut kernel.net.ipintrq;
    queue.held = queue.held.saturating_sub(1);
    run(kernel);
}

/// Does what arrived packets ask for, unless somebody holds it off.
#[inline]
pub fn run(kernel: &mut Kernel) {
    let queue = &kernel.net.ipintrq;
    if !queue.packets.is_empty() && queue.held == 0 && !queue.running {
        run_queue(kernel);
    }
}

#[inline(never)]
fn run_queue(kernel: &mut Kernel) {
    kernel.net.ipintrq.running = true;
    ip_input::ipintr(kernel);
    kernel.net.ipintrq.running = false;
}
