//! Structures of processes, groups, sessions and what belongs to them, by their addresses.
//!
//! 2.1 counterpart: sys/proc.h, sys/user.h, sys/vm (struct vmspace).

use syscalls::layout::{KinfoProc, U32};
use zerocopy::IntoBytes;

use super::{older, physical, place};
use crate::kernel::proc::{ProcId, user_area_image};
use crate::kernel::sysctl::{process_table, system_processes};
use crate::kernel::{Context, time};
use crate::mem::PAGE_SIZE;

/// Where the identity of a process keeps its effective part.
const UCRED: usize = 32;

/// The object that an address lies in: where it begins, and its bytes.
pub(super) fn at(cx: &mut Context<'_>, address: u32, in_older_form: bool) -> Option<(u32, Vec<u8>)> {
    if let Some((start, slot)) = place::page_directories(address) {
        by_slot(cx, slot)?;
        let entry = physical::directory_entry(slot).to_le_bytes();
        return Some((start, entry.repeat(PAGE_SIZE as usize / 4)));
    }
    if let Some((start, slot)) = place::user_areas(address) {
        let id = by_slot(cx, slot)?;
        return Some((start, user_area_image(cx.kernel, id)));
    }
    let (start, kind, slot) = place::kind_of(address)?;
    let bytes = match kind {
        place::Kind::Process => process(cx, slot, in_older_form)?,
        place::Kind::Group => group(cx, slot)?,
        place::Kind::Session => session(cx, slot)?,
        place::Kind::Credentials => credentials(cx, slot)?,
        place::Kind::AddressSpace => {
            let id = by_slot(cx, slot)?;
            process_table::vmspace(&cx.kernel.procs[id]).as_bytes().to_vec()
        }
        place::Kind::Usage => {
            let id = by_slot(cx, slot)?;
            time::rusage(&cx.kernel.procs[id].usage).as_bytes().to_vec()
        }
        place::Kind::Channel => vec![0; 4],
        place::Kind::SleepMessage => {
            let id = by_slot(cx, slot)?;
            let asleep = cx.kernel.procs[id].asleep.as_ref()?;
            [asleep.parked.sleep.wmesg.as_bytes(), &[0]].concat()
        }
    };
    Some((start, bytes))
}

fn by_slot(cx: &Context<'_>, slot: usize) -> Option<ProcId> {
    cx.kernel.procs.ids().iter().copied().find(|id| id.index() == slot)
}

/// A process, with the place of the next one in its list: the living or the dead.
fn process(cx: &Context<'_>, slot: usize, in_older_form: bool) -> Option<Vec<u8>> {
    let all = list(cx);
    let at = all.iter().position(|entry| entry.eproc.paddr.get() == place::process(slot))?;
    let dead = |entry: &KinfoProc| entry.proc.stat == DEAD;
    let mut entry = *all.get(at)?;
    let next = all.get(at + 1).filter(|next| dead(next) == dead(&entry));
    entry.proc.next = next.map_or(U32::ZERO, |next| next.eproc.paddr);
    if in_older_form {
        let times = by_slot(cx, slot).map_or((0, 0), |id| {
            let usage = &cx.kernel.procs[id].usage;
            (usage.user_ns, usage.system_ns)
        });
        let mut older = older::kinfo_proc(&entry, times, slot).proc;
        older.list[0] = entry.proc.next;
        return Some(older.as_bytes().to_vec());
    }
    Some(entry.proc.as_bytes().to_vec())
}

/// SZOMB.
const DEAD: u8 = 5;

/// All processes, the living first.
fn list(cx: &Context<'_>) -> Vec<KinfoProc> {
    process_table::all(cx)
}

/// The first living or dead process, 0 where there is none.
pub(super) fn first(cx: &Context<'_>, dead: bool) -> u32 {
    let all = list(cx);
    all.iter().find(|entry| (entry.proc.stat == DEAD) == dead).map_or(0, |entry| entry.eproc.paddr.get())
}

fn group(cx: &Context<'_>, slot: usize) -> Option<Vec<u8>> {
    let (_, proc) = cx.kernel.procs.iter().find(|(_, proc)| proc.pgrp.index() == slot)?;
    let group = cx.kernel.procs.group(proc.pgrp);
    let first = group.members.first().map_or(0, |id| place::process(id.index()));
    let words = [0, first, place::session(group.session.index()), group.pgid as u32, group.jobc as u32];
    Some(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

fn session(cx: &Context<'_>, slot: usize) -> Option<Vec<u8>> {
    let procs = &cx.kernel.procs;
    let (_, proc) = procs.iter().find(|(_, proc)| procs.session_id(proc.pgrp).index() == slot)?;
    let session = procs.session(proc.pgrp);
    let leader = session.leader.and_then(|pid| procs.find_any(pid));
    let words = [session.count as u32, leader.map_or(0, |id| place::process(id.index())), 0, 0];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend_from_slice(&session.login);
    Some(bytes)
}

fn credentials(cx: &Context<'_>, slot: usize) -> Option<Vec<u8>> {
    let id = by_slot(cx, slot)?;
    let proc = &cx.kernel.procs[id];
    let mut pcred = process_table::pcred(proc);
    pcred.ucred = (place::credentials(slot) + UCRED as u32).into();
    let mut bytes = pcred.as_bytes().to_vec();
    bytes.resize(UCRED, 0);
    bytes.extend_from_slice(process_table::ucred(proc).as_bytes());
    Some(bytes)
}

/// Where process 0 is.
pub(super) fn swapper() -> u32 {
    system_processes::swapper()
}
