//! 386BSD's form of the structures: the same facts, in the layouts of its own headers.
//!
//! Counterpart: sys/proc.h, sys/kinfo_proc.h of 386BSD 2.0, and its libutil/kvm.c, which reads them.

use syscalls::layout::{
    KinfoProc, OlderEproc, OlderKinfoProc, OlderPcred, OlderProc, OlderUcred, OlderVmmeter, OlderVmspace,
    U16, Vmmeter,
};

use super::place;
use crate::image::stack::USRSTACK;
use crate::kernel::proc::Flags;
use crate::kernel::time;

/// Largest stack there (MAXSSIZ); arguments are looked for at its end.
const MAXSSIZ: u32 = 32 << 20;
/// Flags here and there, where both have them.
const FLAGS: [(Flags, u32); 13] = [
    (Flags::INMEM, 0x1),
    (Flags::SYSTEM, 0x2),
    (Flags::SINTR, 0x4),
    (Flags::CONTROLT, 0x8),
    (Flags::PPWAIT, 0x10),
    (Flags::EXEC, 0x20),
    (Flags::TIMEOUT, 0x40),
    (Flags::SELECT, 0x80),
    (Flags::WEXIT, 0x100),
    (Flags::NOCLDSTOP, 0x200),
    (Flags::TRACED, 0x4000),
    (Flags::WAITED, 0x8000),
    (Flags::ADVLOCK, 0x4_0000),
];
/// States there, by 2.1's number: being made, running, asleep, stopped, dead.
const STATES: [u8; 6] = [0, 4, 3, 1, 6, 5];

/// A process as its tools read it; `times` are its user and system time in nanoseconds, and `slot` its place.
pub(in crate::kernel) fn kinfo_proc(new: &KinfoProc, times: (u64, u64), slot: usize) -> OlderKinfoProc {
    OlderKinfoProc { proc: proc(new, times), eproc: eproc(new, slot) }
}

fn proc(new: &KinfoProc, (user, system): (u64, u64)) -> OlderProc {
    let p = &new.proc;
    let flags = Flags::from_bits_retain(p.flag.get());
    let flag = FLAGS.iter().filter(|(bit, _)| flags.contains(*bit)).fold(0, |all, (_, bit)| all | bit);
    OlderProc {
        fd: p.fd,
        vmspace: p.vmspace,
        flag: flag.into(),
        stat: STATES.get(usize::from(p.stat)).copied().unwrap_or(0),
        pid: (p.pid.get() as i16).into(),
        pptr: p.pptr,
        osptr: p.osptr,
        ysptr: p.ysptr,
        cptr: p.cptr,
        cpu: p.estcpu,
        cpticks: p.cpticks,
        pctcpu: p.pctcpu,
        wchan: p.wchan,
        time: p.swtime,
        slptime: p.slptime,
        realtimer: p.realtimer,
        utime: time::timeval(user),
        stime: time::timeval(system),
        sig: p.siglist,
        sigmask: p.sigmask,
        sigignore: p.sigignore,
        sigcatch: p.sigcatch,
        pri: p.priority,
        usrpri: p.usrpri,
        nice: p.nice,
        pgrp: p.pgrp,
        pgrpnxt: p.pgrpnxt,
        cred: p.cred,
        comm: p.comm,
        wmesg: p.wmesg,
        addr: p.addr,
        stksz: 8192.into(),
        ..OlderProc::default()
    }
}

fn eproc(new: &KinfoProc, slot: usize) -> OlderEproc {
    let e = &new.eproc;
    let mut groups = [U16::ZERO; 16];
    for (to, from) in groups.iter_mut().zip(&e.ucred.groups) {
        *to = (from.get() as u16).into();
    }
    let first = |n: u32| U16::new(n as u16);
    OlderEproc {
        paddr: e.paddr,
        sess: e.sess,
        pcred: OlderPcred {
            ucred: e.pcred.ucred,
            ruid: first(e.pcred.ruid.get()),
            svuid: first(e.pcred.svuid.get()),
            rgid: first(e.pcred.rgid.get()),
            svgid: first(e.pcred.svgid.get()),
            refcnt: e.pcred.refcnt,
        },
        ucred: OlderUcred {
            refs: e.ucred.refs,
            uid: first(e.ucred.uid.get()),
            gid: first(e.ucred.groups[0].get()),
            ngroups: e.ucred.ngroups,
            groups,
        },
        vm: OlderVmspace {
            pdir: place::page_directory(slot).into(),
            resident: e.vm.rssize,
            refcnt: e.vm.refcnt,
            rssize: e.vm.rssize,
            tsize: e.vm.tsize,
            dsize: e.vm.dsize,
            ssize: e.vm.ssize,
            taddr: e.vm.taddr,
            daddr: e.vm.daddr,
            maxsaddr: (USRSTACK - MAXSSIZ).into(),
            ..OlderVmspace::default()
        },
        ppid: (e.ppid.get() as i16).into(),
        pgid: (e.pgid.get() as i16).into(),
        jobc: e.jobc,
        tdev: first(e.tdev.get()),
        tpgid: (e.tpgid.get() as i16).into(),
        tsess: e.tsess,
        wmesg: e.wmesg,
        flag: e.flag,
        login: e.login,
        ..OlderEproc::default()
    }
}

/// Counts of the system as a whole.
pub(super) fn vmmeter(new: &Vmmeter) -> OlderVmmeter {
    OlderVmmeter {
        swtch: new.swtch,
        trap: new.trap,
        syscall: new.syscall,
        intr: new.intr,
        soft: new.soft,
        faults: new.vm_faults,
        ..OlderVmmeter::default()
    }
}
