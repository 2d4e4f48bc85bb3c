//! Who sleeps on what: a table of short queues, by what is waited for.
//!
//! A channel's sleepers lie in one queue in the order in which they went to sleep, perhaps among those of
//! other channels.  Queues keep their memory, so that going to sleep costs none.
//!
//! 2.1 counterpart: `slpque` of kern/kern_synch.c.

use super::proc::ProcId;
use super::synch::Channel;

/// Number of queues (TABLESIZE).
const TABLESIZE: usize = 128;

/// The sleep queues.
#[derive(Clone, Debug)]
pub(crate) struct SleepQueues {
    queues: [Vec<(Channel, ProcId)>; TABLESIZE],
}

impl Default for SleepQueues {
    fn default() -> Self {
        Self { queues: std::array::from_fn(|_| Vec::new()) }
    }
}

impl SleepQueues {
    /// Adds a process behind all others that sleep on the channel.
    pub(crate) fn push(&mut self, channel: Channel, id: ProcId) {
        self.queues[place(channel)].push((channel, id));
    }

    /// Takes the process off the channel.
    pub(crate) fn remove(&mut self, channel: Channel, id: ProcId) {
        self.queues[place(channel)].retain(|&sleeper| sleeper != (channel, id));
    }

    /// Takes the process off the channel that has slept there longest.
    pub(crate) fn pop(&mut self, channel: Channel) -> Option<ProcId> {
        let queue = &mut self.queues[place(channel)];
        let first = queue.iter().position(|&(other, _)| other == channel)?;
        Some(queue.remove(first).1)
    }

    /// Whether anybody sleeps on the channel.
    pub(crate) fn holds(&self, channel: Channel) -> bool {
        self.queues[place(channel)].iter().any(|&(other, _)| other == channel)
    }
}

/// The queue of a channel (LOOKUP).  Objects are spread by their slots, which are small numbers.
fn place(channel: Channel) -> usize {
    use Channel::*;
    let number = match channel {
        SocketRcv(so) => so.index() << 2,
        SocketSnd(so) => so.index() << 2 | 1,
        SocketRcvLock(so) | SocketSndLock(so) | SocketState(so) => so.index() << 2 | 2,
        Proc(id) | Pause(id) | Time(id) => id.index() << 2 | 3,
        FifoReaders(vnode) | FifoWriters(vnode) => vnode.index(),
        HostFile(file) => file.index(),
        Lock(number) => number as usize,
        Mount(number) => number,
        Ipc(number) | Tty(number) | Tun(number) => number as usize,
        Port => 4,
        Select => 5,
        Lbolt => 6,
        Log => 7,
    };
    number % TABLESIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::arena::Id;

    #[test]
    fn sleepers_of_a_channel_leave_in_their_order_whoever_shares_the_queue() {
        let [a, b, c] = [0, 1, 2].map(Id::of_slot);
        let (one, other) = (Channel::Lock(1), Channel::Lock(1 + TABLESIZE as u64));
        assert_eq!(place(one), place(other));
        let mut queues = SleepQueues::default();
        for (channel, id) in [(one, b), (other, a), (one, a), (one, c)] {
            queues.push(channel, id);
        }
        queues.remove(one, a);
        assert_eq!([queues.pop(one), queues.pop(one), queues.pop(one)], [Some(b), Some(c), None]);
        assert!(queues.holds(other) && !queues.holds(one));
        assert_eq!(queues.pop(other), Some(a));
    }
}
