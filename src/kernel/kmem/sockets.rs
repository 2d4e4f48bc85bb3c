//! Sockets, local control blocks, protocols and domains, as kernel memory shows them.
//!
//! 2.1 counterpart: sys/socketvar.h, sys/unpcb.h, sys/protosw.h, sys/domain.h, sys/mbuf.h.

use syscalls::flags::Domain as Family;
use syscalls::layout::{self, I16, U16};

use super::{BootFile, place};
use crate::kernel::Kernel;
use crate::kernel::arena::Id;
use crate::kernel::socket::mbuf::{MLEN, Mbuf, MbufFlags, MbufType};
use crate::kernel::socket::protosw::{DOMAINS, Protosw, all};
use crate::kernel::socket::sockbuf::Sockbuf;
use crate::kernel::socket::socket::Pcb;
use crate::kernel::socket::{Socket, SocketId};

/// Names of the tables of protocols in 2.1 and in 386BSD, where a kernel file says where they are.
const SWITCHES: [([&str; 2], Family); 2] =
    [(["_inetsw", "_inetsw"], Family::Inet), (["_localsw", "_unixsw"], Family::Unix)];
/// Sizes of a protocol's structure in both.
const SIZES: [u32; 2] = [size_of::<layout::Protosw>() as u32, size_of::<layout::OlderProtosw>() as u32];
/// Clusters that a machine begins with: a page of them.
const FIRST_CLUSTERS: u32 = 2;
/// A page of clusters at a time.
const PAGE_OF_CLUSTERS: u32 = 2;

/// A socket by its slot.
pub(super) fn by_slot(kernel: &Kernel, slot: usize) -> Option<(SocketId, &Socket)> {
    kernel.sockets.iter().find(|(id, _)| id.index() == slot)
}

fn at<T>(id: Option<Id<T>>, place: fn(usize) -> u32) -> layout::U32 {
    id.map_or(0, |id| place(id.index())).into()
}

/// A socket, whose protocol lies where a system of this age has it.
pub(super) fn socket(kernel: &Kernel, file: &BootFile, older: bool, slot: usize) -> Option<layout::Socket> {
    let (id, so) = by_slot(kernel, slot)?;
    // A queue is a ring through its head in the original's form only where there is somebody in it.
    let queue = |queue: &std::collections::VecDeque<SocketId>| at(queue.front().copied(), place::socket);
    let pcb = match &so.pcb {
        Some(Pcb::Unix(_)) => place::unpcb(id.index()),
        Some(Pcb::Inet(inp)) => place::inpcb(inp.index()),
        Some(Pcb::Raw(_)) | None => 0,
    };
    Some(layout::Socket {
        kind: (so.kind.raw() as i16).into(),
        options: (so.options.bits() as i16).into(),
        linger: so.linger.into(),
        state: (so.state.bits() as i16).into(),
        pcb: pcb.into(),
        proto: protocol_address(file, so.proto, older).into(),
        head: at(so.head, place::socket),
        q0: queue(&so.q0),
        q: queue(&so.q),
        q0len: (so.q0.len() as i16).into(),
        qlen: (so.q.len() as i16).into(),
        qlimit: so.qlimit.into(),
        error: (so.error.map_or(0, |errno| errno.raw()) as u16).into(),
        pgid: so.pgid.into(),
        oobmark: so.oobmark.into(),
        rcv: sockbuf(kernel, &so.rcv),
        snd: sockbuf(kernel, &so.snd),
        ..layout::Socket::default()
    })
}

fn sockbuf(kernel: &Kernel, sb: &Sockbuf) -> layout::Sockbuf {
    layout::Sockbuf {
        cc: sb.cc.into(),
        hiwat: sb.hiwat.into(),
        mbcnt: sb.mbcnt.into(),
        mbmax: sb.mbmax.into(),
        lowat: sb.lowat.into(),
        sel: sb.sel.layout(kernel),
        flags: (sb.flags.bits() as i16).into(),
        timeo: sb.timeo.into(),
        ..layout::Sockbuf::default()
    }
}

/// The local control block of a socket.
pub(super) fn unpcb(kernel: &Kernel, slot: usize) -> Option<layout::Unpcb> {
    let (id, so) = by_slot(kernel, slot)?;
    let unp = so.unpcb()?;
    let of_peer = |so: Option<SocketId>| at(so, place::unpcb);
    // The next one of those who are connected to the same socket; the newest is the first.
    let next = unp.conn.and_then(|peer| kernel.sockets.get(peer)?.unpcb()).and_then(|peer| {
        let own = peer.refs.iter().position(|&other| other == id)?;
        peer.refs.get(own.checked_sub(1)?).copied()
    });
    Some(layout::Unpcb {
        socket: place::socket(slot).into(),
        vnode: at(unp.vnode, place::vnode),
        ino: unp.ino.into(),
        conn: of_peer(unp.conn),
        refs: of_peer(unp.refs.last().copied()),
        nextref: of_peer(next),
        addr: if unp.addr.is_some() { place::socket_name(slot) } else { 0 }.into(),
        cc: (unp.cc as i32).into(),
        mbcnt: (unp.mbcnt as i32).into(),
    })
}

/// The mbuf with the name that a local socket is bound to.
pub(super) fn name(kernel: &Kernel, slot: usize) -> Option<(layout::MHdr, Vec<u8>)> {
    let (_, so) = by_slot(kernel, slot)?;
    let name = so.unpcb()?.addr.as_ref()?;
    let header = layout::MHdr {
        len: (name.bytes().len() as i32).into(),
        data: (place::socket_name(slot) + size_of::<layout::MHdr>() as u32).into(),
        kind: I16::new(MbufType::Soname as i16),
        ..layout::MHdr::default()
    };
    let mut bytes = name.bytes().to_vec();
    bytes.resize(MLEN, 0);
    Some((header, bytes))
}

/// Where a protocol's structure is: in its table where the kernel's file has one, and room in it.
fn protocol_address(file: &BootFile, wanted: &Protosw, older: bool) -> u32 {
    let size = SIZES[usize::from(older)];
    let place = |row: &[Protosw]| row.iter().position(|row| std::ptr::eq(row, wanted));
    for (names, family) in SWITCHES {
        let name = names[usize::from(older)];
        let row = DOMAINS.iter().find(|domain| domain.family == family).and_then(|d| place(d.protosw));
        if let (Some(row), Some((start, room))) = (row, file.find(name))
            && (row as u32 + 1) * size <= room
        {
            return start + row as u32 * size;
        }
    }
    all().position(|row| std::ptr::eq(row, wanted)).map_or(0, place::protocol)
}

/// A protocol.
fn protosw(row: &Protosw) -> layout::Protosw {
    let domain = DOMAINS.iter().position(|domain| domain.family == row.family);
    layout::Protosw {
        kind: (row.kind.map_or(0, |kind| kind.raw()) as i16).into(),
        domain: domain.map_or(0, place::domain).into(),
        protocol: (row.protocol as i16).into(),
        flags: (row.flags.bits() as i16).into(),
        ..layout::Protosw::default()
    }
}

/// A protocol by its place among all.
pub(super) fn protocol(slot: usize) -> Option<layout::Protosw> {
    all().nth(slot).map(protosw)
}

/// A table of protocols by its name.
pub(super) fn switch(name: &str) -> Option<Vec<layout::Protosw>> {
    let (_, family) = SWITCHES.iter().find(|(known, _)| known.contains(&name))?;
    let domain = DOMAINS.iter().find(|domain| domain.family == *family)?;
    Some(domain.protosw.iter().map(protosw).collect())
}

/// A domain.
pub(super) fn domain(slot: usize) -> Option<layout::Domain> {
    let domain = DOMAINS.get(slot)?;
    let next = slot + 1;
    Some(layout::Domain {
        family: (domain.family.raw() as i32).into(),
        name: place::domain_name(slot).into(),
        next: if next < DOMAINS.len() { place::domain(next) } else { 0 }.into(),
        ..layout::Domain::default()
    })
}

/// The name of a domain.
pub(super) fn domain_name(slot: usize) -> Option<Vec<u8>> {
    Some([DOMAINS.get(slot)?.name.as_bytes(), &[0]].concat())
}

/// What the network counts of its memory: what waits in sockets, and the names of these.
pub(super) fn mbstat(kernel: &Kernel) -> layout::Mbstat {
    let mut mtypes = [0u16; 256];
    let (mut mbufs, mut clusters) = (0u32, 0u32);
    let mut count = |m: &Mbuf| {
        mbufs = mbufs.wrapping_add(1);
        clusters = clusters.wrapping_add(u32::from(m.flags.contains(MbufFlags::EXT)));
        if let Some(of_type) = mtypes.get_mut(m.kind as usize) {
            *of_type = of_type.wrapping_add(1);
        }
    };
    for (_, so) in kernel.sockets.iter() {
        let waiting = so.rcv.records.iter().chain(so.snd.records.iter());
        waiting.flat_map(|record| record.iter()).for_each(&mut count);
        if let Some(name) = so.unpcb().and_then(|unp| unp.addr.as_ref()) {
            count(name);
        }
    }
    let all = clusters.next_multiple_of(PAGE_OF_CLUSTERS).max(FIRST_CLUSTERS);
    layout::Mbstat {
        mbufs: mbufs.into(),
        clusters: all.into(),
        clfree: (all - clusters).into(),
        mtypes: mtypes.map(U16::new),
        ..layout::Mbstat::default()
    }
}
