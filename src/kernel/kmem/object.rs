//! What lies at the address of an object: structures of processes, groups, sessions and what belongs to them; those
//! of all else are in files of their own.
//!
//! 2.1 counterpart: sys/proc.h, sys/user.h, sys/vm (struct vmspace).

use syscalls::layout::{KinfoProc, Pgrp, RadixNodeHead, Session, U32};
use zerocopy::{Immutable, IntoBytes};

use super::{boot_file, files, network, older, older_files, older_net, physical, place, sockets, trees};
use crate::kernel::proc::{ProcId, user_area_image};
use crate::kernel::sysctl::{process_table, system_processes};
use crate::kernel::tty;
use crate::kernel::{Context, time};
use crate::mem::PAGE_SIZE;

/// Where the identity of a process keeps its effective part.
const UCRED: usize = 32;

/// Where a tree has its own nodes in 2.1.
const OWN_NODES: u32 = size_of::<RadixNodeHead>() as u32 - 3 * trees::NODE;

/// The object that an address lies in: where it begins, the bytes of its place, and its own bytes.
pub(super) fn at(cx: &mut Context<'_>, address: u32, older: bool) -> Option<(u32, u32, Vec<u8>)> {
    if let Some((start, slot)) = place::page_directories(address) {
        by_slot(cx, slot)?;
        let entry = physical::directory_entry(slot).to_le_bytes();
        return Some((start, PAGE_SIZE, entry.repeat(PAGE_SIZE as usize / 4)));
    }
    if let Some((start, slot)) = place::user_areas(address) {
        let id = by_slot(cx, slot)?;
        return Some((start, 2 * PAGE_SIZE, user_area_image(cx.kernel, id)));
    }
    let (start, stride, kind, slot) = place::kind_of(address)?;
    let bytes = of_process(cx, kind, slot, older)
        .or_else(|| of_file(cx, kind, slot, older))
        .or_else(|| of_socket(cx, kind, slot, older))
        .or_else(|| of_network(cx, kind, slot, older))?;
    Some((start, stride, bytes))
}

/// Structures that belong to a process.
fn of_process(cx: &mut Context<'_>, kind: place::Kind, slot: usize, older: bool) -> Option<Vec<u8>> {
    use place::Kind;
    Some(match kind {
        Kind::Process => process(cx, slot, older)?,
        Kind::Group => group(cx, slot)?.as_bytes().to_vec(),
        Kind::Session => session(cx, slot)?.as_bytes().to_vec(),
        Kind::Credentials => credentials(cx, slot)?,
        Kind::Descriptors => files::descriptors(cx.kernel, by_slot(cx, slot)?).as_bytes().to_vec(),
        Kind::DescriptorTable => files::descriptor_table(cx.kernel, by_slot(cx, slot)?),
        Kind::AddressSpace => {
            let id = by_slot(cx, slot)?;
            process_table::vmspace(&cx.kernel.procs[id]).as_bytes().to_vec()
        }
        Kind::Usage => {
            let id = by_slot(cx, slot)?;
            time::rusage(&cx.kernel.procs[id].usage).as_bytes().to_vec()
        }
        Kind::Channel => vec![0; 4],
        Kind::SleepMessage if system_processes::sleep_message(slot).is_some() => {
            [system_processes::sleep_message(slot)?.as_bytes(), &[0]].concat()
        }
        Kind::SleepMessage => {
            let id = by_slot(cx, slot)?;
            [process_table::waits_for(cx, id)?.as_bytes(), &[0]].concat()
        }
        _ => return None,
    })
}

/// Structures of open files, vnodes, mounts, terminals.
fn of_file(cx: &mut Context<'_>, kind: place::Kind, slot: usize, older: bool) -> Option<Vec<u8>> {
    use place::Kind;
    let kernel = &*cx.kernel;
    Some(match kind {
        Kind::File => {
            let id = *kernel.files.active().iter().find(|id| id.index() == slot)?;
            let file = files::file(kernel, id)?;
            either(older, &file, older_files::file)
        }
        Kind::FileCredentials => {
            let id = *kernel.files.active().iter().find(|id| id.index() == slot)?;
            process_table::ucred(&kernel.files[id].cred).as_bytes().to_vec()
        }
        Kind::Vnode => {
            let id = files::vnode_by_slot(kernel, slot)?;
            let vnode = files::vnode(kernel, id);
            let path = kernel.vfs.path_of(id).unwrap_or_default();
            let inode = if older { files::inode(cx, id) } else { None };
            either(older, &vnode, |vnode| older_files::vnode(vnode, inode.as_ref(), &path))
        }
        Kind::Inode => {
            let id = files::vnode_by_slot(kernel, slot)?;
            files::inode(cx, id)?.as_bytes().to_vec()
        }
        Kind::Mount => either(older, &files::mount(cx, slot)?, older_files::mount),
        Kind::Terminal => either(older, &tty::layout::tty(kernel, slot)?, older_files::tty),
        _ => return None,
    })
}

/// Structures of sockets and their protocols.
fn of_socket(cx: &mut Context<'_>, kind: place::Kind, slot: usize, older: bool) -> Option<Vec<u8>> {
    use place::Kind;
    let file = boot_file::of(cx);
    let kernel = &*cx.kernel;
    Some(match kind {
        Kind::Socket => {
            let socket = sockets::socket(kernel, &file, older, slot)?;
            either(older, &socket, older_net::socket)
        }
        Kind::Unpcb => sockets::unpcb(kernel, slot)?.as_bytes().to_vec(),
        Kind::SocketName => {
            let (header, name) = sockets::name(kernel, slot)?;
            [header.as_bytes(), &name].concat()
        }
        Kind::Protocol => either(older, &sockets::protocol(slot)?, older_net::protosw),
        Kind::Domain => either(older, &sockets::domain(slot)?, older_net::domain),
        Kind::DomainName => sockets::domain_name(slot)?,
        Kind::Inpcb if older => older_net::inpcb(kernel, &file, slot)?.as_bytes().to_vec(),
        Kind::Inpcb => network::inpcb(kernel, &file, slot)?.as_bytes().to_vec(),
        Kind::Tcpcb => either(older, &network::tcpcb(kernel, slot)?, older_net::tcpcb),
        _ => return None,
    })
}

/// Structures of routes and interfaces.
fn of_network(cx: &mut Context<'_>, kind: place::Kind, slot: usize, older: bool) -> Option<Vec<u8>> {
    use place::Kind;
    let net = &cx.kernel.net;
    let own = if older { older_net::OWN_NODES } else { OWN_NODES };
    Some(match kind {
        Kind::Route => either(older, &network::rtentry(net, slot, own)?, older_net::rtentry),
        Kind::RouteAddresses => network::route_addresses(net, slot)?,
        Kind::Interface => either(older, &crate::kernel::net::layout::ifnet(net, slot)?, older_net::ifnet),
        Kind::InterfaceName => network::interface_name(net, slot)?,
        Kind::InterfaceAddress if older => older_net::ifaddr(net, slot)?,
        Kind::InterfaceAddress => network::ifaddr(net, slot)?,
        Kind::Tree if slot > network::MASKS => return None,
        Kind::Tree if older => network::tree(older_net::tree(net, slot).as_bytes().to_vec()),
        Kind::Tree => {
            let head = RadixNodeHead {
                treetop: (place::tree(slot) + OWN_NODES + trees::NODE).into(),
                nodes: network::own_nodes(net, slot, OWN_NODES),
                ..RadixNodeHead::default()
            };
            network::tree(head.as_bytes().to_vec())
        }
        Kind::Mask => network::mask(net, slot, own)?.as_bytes().to_vec(),
        Kind::MaskAddress => network::mask_address(net, slot)?,
        _ => return None,
    })
}

/// The bytes of a structure, or of what it is in the other system.
fn either<T: IntoBytes + Immutable, O: IntoBytes + Immutable>(
    older: bool,
    new: &T,
    convert: impl FnOnce(&T) -> O,
) -> Vec<u8> {
    if older { convert(new).as_bytes().to_vec() } else { new.as_bytes().to_vec() }
}

fn by_slot(cx: &Context<'_>, slot: usize) -> Option<ProcId> {
    cx.kernel.procs.ids().iter().copied().find(|id| id.index() == slot)
}

/// A process, with the place of the next one in its list: the living or the dead.
fn process(cx: &Context<'_>, slot: usize, older: bool) -> Option<Vec<u8>> {
    let all = list(cx);
    let at = all.iter().position(|entry| entry.eproc.paddr.get() == place::process(slot))?;
    let dead = |entry: &KinfoProc| entry.proc.stat == DEAD;
    let mut entry = *all.get(at)?;
    let next = all.get(at + 1).filter(|next| dead(next) == dead(&entry));
    entry.proc.next = next.map_or(U32::ZERO, |next| next.eproc.paddr);
    if older {
        let times = by_slot(cx, slot).map_or((0, 0), |id| {
            let usage = &cx.kernel.procs[id].usage;
            (usage.user_ns, usage.system_ns)
        });
        let mut there = older::kinfo_proc(&entry, times, slot).proc;
        there.list[0] = entry.proc.next;
        return Some(there.as_bytes().to_vec());
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

fn group(cx: &Context<'_>, slot: usize) -> Option<Pgrp> {
    let (_, proc) = cx.kernel.procs.iter().find(|(_, proc)| proc.pgrp.index() == slot)?;
    let group = cx.kernel.procs.group(proc.pgrp);
    Some(Pgrp {
        hforw: 0.into(),
        mem: group.members.first().map_or(0, |id| place::process(id.index())).into(),
        session: place::session(group.session.index()).into(),
        id: group.pgid.into(),
        jobc: group.jobc.into(),
    })
}

fn session(cx: &Context<'_>, slot: usize) -> Option<Session> {
    let procs = &cx.kernel.procs;
    let (_, proc) = procs.iter().find(|(_, proc)| procs.session_id(proc.pgrp).index() == slot)?;
    let session = procs.session(proc.pgrp);
    let leader = session.leader.and_then(|pid| procs.find_any(pid));
    Some(Session {
        count: (session.count as i32).into(),
        leader: leader.map_or(0, |id| place::process(id.index())).into(),
        ttyvp: session.ttyvp.map_or(0, |vnode| place::vnode(vnode.index())).into(),
        ttyp: session.tty.map_or(0, |tty| place::terminal(tty as usize)).into(),
        login: session.login,
    })
}

fn credentials(cx: &Context<'_>, slot: usize) -> Option<Vec<u8>> {
    let id = by_slot(cx, slot)?;
    let proc = &cx.kernel.procs[id];
    let mut pcred = process_table::pcred(proc);
    pcred.ucred = (place::credentials(slot) + UCRED as u32).into();
    let mut bytes = pcred.as_bytes().to_vec();
    bytes.resize(UCRED, 0);
    bytes.extend_from_slice(process_table::ucred(&proc.cred.ucred).as_bytes());
    Some(bytes)
}

/// Where process 0 is.
pub(super) fn swapper() -> u32 {
    system_processes::swapper()
}
