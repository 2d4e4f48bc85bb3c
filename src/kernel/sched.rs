//! Who runs next: run queues by priority, and priorities from recent use of the processor.
//!
//! 2.1 counterpart: kern/kern_synch.c (schedcpu, resetpriority, setrunnable, roundrobin),
//! vm/vm_meter.c (loadav), i386/i386/swtch.s (setrunqueue, remrq, cpu_switch).

use std::collections::VecDeque;

use super::Kernel;
use super::proc::{Proc, ProcId, State};
use super::synch::Channel;
use super::synch::priority::{MAXPRI, PUSER, PZERO};
use super::time::SECOND_NS;

/// Number of queues of each kind; each holds four priorities.
const NQS: usize = 32;
/// Real-time priority types: real time, normal, idle.
const RTP_PRIO_REALTIME: u16 = 0;
/// See [`RTP_PRIO_REALTIME`].
pub(super) const RTP_PRIO_NORMAL: u16 = 1;
/// Fixed-point one of load averages (FSCALE).
pub(super) const FSCALE: u32 = 1 << 11;
/// What is left of a share of the processor after a second: e to the -1/20, in fixed point (`ccpu`).
pub(super) const CCPU: u32 = 1948;
/// Most that `estcpu` can be.
pub(super) const ESTCPU_MAX: u32 = 255;
/// Seconds between two samples of the load, and what is left of the averages over 1, 5 and 15 minutes
/// after one: e to the -1/12, -1/60 and -1/180, in fixed point (`cexp`).
const LOAD_SECONDS: u64 = 5;
const LOAD_DECAY: [u32; 3] = [1884, 2014, 2036];

/// The queues of one kind, and which of them hold processes (`whichqs` and its relatives).
#[derive(Clone, Debug)]
struct Queues {
    queues: [VecDeque<ProcId>; NQS],
    ready: u32,
}

impl Default for Queues {
    fn default() -> Self {
        Self { queues: std::array::from_fn(|_| VecDeque::new()), ready: 0 }
    }
}

impl Queues {
    fn push_back(&mut self, index: usize, id: ProcId) {
        let index = index.min(NQS - 1);
        self.queues[index].push_back(id);
        self.ready |= 1 << index;
    }

    /// Takes the process that has waited longest at the best priority.
    fn pop_first(&mut self) -> Option<ProcId> {
        let index = self.ready.trailing_zeros() as usize;
        let queue = self.queues.get_mut(index)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.ready &= !(1 << index);
        }
        first
    }

    fn remove(&mut self, id: ProcId) {
        let mut rest = self.ready;
        while rest != 0 {
            let index = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            self.queues[index].retain(|&other| other != id);
            if self.queues[index].is_empty() {
                self.ready &= !(1 << index);
            }
        }
    }
}

/// The queues of processes that are ready to run.
#[derive(Clone, Debug, Default)]
pub struct RunQueues {
    realtime: Queues,
    normal: Queues,
    idle: Queues,
    /// The process that has the processor.
    pub current: Option<ProcId>,
    /// The current process gives way before it goes back to user mode (`want_resched`).
    pub want_resched: bool,
}

impl Kernel {
    /// Puts a process at the end of the queue of its priority (`setrunqueue`).
    pub fn set_run_queue(&mut self, id: ProcId) {
        let proc = &self.procs[id];
        let (kind, value) = proc.rtprio;
        let (queues, index) = match kind {
            RTP_PRIO_NORMAL => (&mut self.run_queues.normal, usize::from(proc.priority) / 4),
            RTP_PRIO_REALTIME => (&mut self.run_queues.realtime, usize::from(value)),
            _ => (&mut self.run_queues.idle, usize::from(value)),
        };
        queues.push_back(index, id);
    }

    /// Takes a process off the run queues (`remrq`).
    pub fn remove_from_run_queue(&mut self, id: ProcId) {
        let RunQueues { realtime, normal, idle, .. } = &mut self.run_queues;
        [realtime, normal, idle].into_iter().for_each(|queues| queues.remove(id));
    }

    /// Whether the current process is to give way (`want_resched`).
    #[inline]
    pub fn wants_resched(&self) -> bool {
        self.run_queues.want_resched
    }

    /// The process, if it has the processor and is ready to go on in user mode.
    #[inline]
    pub fn running(&mut self, id: ProcId) -> Option<&mut Proc> {
        if self.run_queues.current != Some(id) {
            return None;
        }
        self.procs.get_mut(id).filter(|p| p.in_user_mode())
    }

    /// Takes the next process to run off its queue and makes it the current one (`cpu_switch`).
    pub fn choose(&mut self) -> Option<ProcId> {
        let RunQueues { realtime, normal, idle, .. } = &mut self.run_queues;
        let next = realtime.pop_first().or_else(|| normal.pop_first()).or_else(|| idle.pop_first());
        self.run_queues.current = next;
        self.run_queues.want_resched = false;
        self.counters.switches = self.counters.switches.wrapping_add(next.is_some().into());
        next
    }

    /// Puts the current process back behind others of its priority, as at the end of its time slice or
    /// when a better one became ready.
    pub fn yield_current(&mut self) {
        if let Some(id) = self.run_queues.current.take()
            && self.procs.get(id).is_some_and(|p| p.state == State::Run)
        {
            self.procs[id].priority = self.procs[id].usrpri;
            self.procs[id].usage.nivcsw += 1;
            self.set_run_queue(id);
        }
    }

    /// Makes a new, sleeping or stopped process ready to run (`setrunnable`).
    pub fn set_runnable(&mut self, id: ProcId) {
        self.unsleep(id);
        self.make_ready(id);
        let better = match self.run_queues.current.and_then(|c| self.procs.get(c)) {
            Some(current) => self.procs[id].priority < current.usrpri,
            None => true,
        };
        self.run_queues.want_resched |= better;
    }

    /// Puts a process that sleeps on nothing any more on its run queue.
    pub(super) fn make_ready(&mut self, id: ProcId) {
        let proc = &mut self.procs[id];
        debug_assert!(matches!(proc.state, State::Embryo | State::Sleep | State::Stop));
        proc.state = State::Run;
        if proc.slptime > 1 {
            self.update_priority(id);
        }
        self.procs[id].slptime = 0;
        self.set_run_queue(id);
    }

    /// Recomputes the priority that a process has in user mode; the current process gives way to one that
    /// is now better, and to any of another kind (`resetpriority`).
    pub fn reset_priority(&mut self, id: ProcId) {
        let current = self.run_queues.current.and_then(|c| self.procs.get(c)).map(|c| c.usrpri);
        let proc = &mut self.procs[id];
        if proc.rtprio.0 != RTP_PRIO_NORMAL {
            self.run_queues.want_resched = true;
            return;
        }
        let value = i64::from(PUSER) + i64::from(proc.estcpu / 4) + 2 * i64::from(proc.nice);
        proc.usrpri = value.clamp(0, i64::from(MAXPRI)) as u8;
        self.run_queues.want_resched |= current.is_some_and(|current| proc.usrpri < current);
    }

    /// Decays the use of a process that has slept for more than a second (`updatepri`).
    pub(super) fn update_priority(&mut self, id: ProcId) {
        let load_factor = 2 * self.clock.load_average[0];
        let proc = &mut self.procs[id];
        if proc.slptime > 5 * load_factor {
            proc.estcpu = 0;
        } else {
            for _ in 2..proc.slptime {
                proc.estcpu = decay(load_factor, proc.estcpu);
            }
            proc.estcpu = proc.estcpu.min(ESTCPU_MAX);
        }
        self.reset_priority(id);
    }

    /// What happens to priorities each second (`schedcpu`).
    pub(super) fn schedule_second(&mut self) {
        self.wakeup(Channel::Lbolt);
        let load_factor = 2 * self.clock.load_average[0];
        for id in self.procs.ids().to_vec() {
            let proc = &mut self.procs[id];
            proc.swtime += 1;
            if matches!(proc.state, State::Sleep | State::Stop) {
                proc.slptime += 1;
            }
            proc.pctcpu = (u64::from(proc.pctcpu) * u64::from(CCPU) / u64::from(FSCALE)) as u32;
            if proc.state == State::Zombie || proc.slptime > 1 {
                continue;
            }
            // As in the original a beat is worth a hundredth, though there are 128 a second.
            proc.pctcpu += std::mem::take(&mut proc.cpticks);
            // The sum is unsigned: below zero, which a negative nice value brings about, is most of all.
            let used = decay(load_factor, proc.estcpu).wrapping_add_signed(proc.nice);
            proc.estcpu = used.min(ESTCPU_MAX);
            self.reset_priority(id);
            let proc = &mut self.procs[id];
            if proc.priority >= PUSER {
                let requeue = Some(id) != self.run_queues.current
                    && proc.state == State::Run
                    && proc.priority / 4 != proc.usrpri / 4;
                proc.priority = proc.usrpri;
                if requeue {
                    self.remove_from_run_queue(id);
                    self.set_run_queue(id);
                }
            }
        }
        if (self.clock.now() / SECOND_NS).is_multiple_of(LOAD_SECONDS) {
            self.sample_load();
        }
    }

    /// Counts the processes that run or want to, for the load averages (`loadav`).
    fn sample_load(&mut self) {
        let busy = |proc: &Proc| match proc.state {
            State::Run | State::Embryo => true,
            State::Sleep => proc.priority <= PZERO && proc.slptime == 0,
            State::Stop | State::Zombie => false,
        };
        let running = self.procs.iter().filter(|(_, proc)| busy(proc)).count() as u64;
        for (average, decay) in self.clock.load_average.iter_mut().zip(LOAD_DECAY) {
            let old = u64::from(decay) * u64::from(*average);
            let new = running * u64::from(FSCALE) * u64::from(FSCALE - decay);
            *average = ((old + new) / u64::from(FSCALE)) as u32;
        }
    }
}

fn decay(load_factor: u32, estcpu: u32) -> u32 {
    (u64::from(load_factor) * u64::from(estcpu) / u64::from(load_factor + FSCALE)) as u32
}
