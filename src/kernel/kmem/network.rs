//! Lists of control blocks, trees of routes and interfaces, as kernel memory shows them.
//!
//! 2.1 counterpart: netinet/in_pcb.c (tcb, udb), net/radix.c, net/if.c (ifnet).

use syscalls::layout::{self, RadixNode, U32};
use zerocopy::IntoBytes;

use super::trees::{Leaf, NODE, Placed, Tree};
use super::{BootFile, place};
use crate::kernel::Kernel;
use crate::kernel::net::radix::{self, OFFSET};
use crate::kernel::net::{Net, RtId, layout as net};
use crate::kernel::netinet::layout as inet;

/// The variables that lists of control blocks are.
pub(super) const LISTS: [(&str, inet::Of); 3] =
    [("_tcb", inet::Of::Tcp), ("_udb", inet::Of::Udp), ("_ripcb", inet::Of::Raw)];
/// The trees: of routes, and of their masks.
pub(super) const ROUTES: usize = 0;
pub(super) const MASKS: usize = 1;
/// Where the keys of a tree's own leaves lie in its place.
const ZEROS: u32 = 192;
const ONES: u32 = 224;

/// A control block: its neighbours in the list, as their slots, and the block.
pub(super) struct Listed {
    pub(super) of: inet::Of,
    pub(super) next: Option<usize>,
    pub(super) previous: Option<usize>,
    pub(super) inpcb: layout::Inpcb,
}

/// A control block by its slot.
pub(super) fn listed(kernel: &Kernel, slot: usize) -> Option<Listed> {
    let id = inet::by_slot(kernel, slot)?;
    let of = inet::list_of(kernel, id);
    let list = inet::list(kernel, of);
    let at = list.iter().position(|&other| other == id)?;
    let slot_at = |at: Option<usize>| at.and_then(|at| list.get(at)).map(|id| id.index());
    Some(Listed {
        of,
        next: slot_at(at.checked_add(1)),
        previous: slot_at(at.checked_sub(1)),
        inpcb: inet::inpcb(kernel, id),
    })
}

/// Where the variable of a list is.
pub(super) fn list_head(file: &BootFile, of: inet::Of) -> u32 {
    let name = LISTS.iter().find(|(_, known)| *known == of).map_or("", |(name, _)| *name);
    file.find(name).map_or(0, |(start, _)| start)
}

/// A control block in 2.1's lists.
pub(super) fn inpcb(kernel: &Kernel, file: &BootFile, slot: usize) -> Option<layout::Inpcb> {
    let listed = listed(kernel, slot)?;
    // Where the pointer to this one is: the first word of the one before, or of the list.
    let previous = listed.previous.map_or_else(|| list_head(file, listed.of), place::inpcb);
    Some(layout::Inpcb {
        list: [listed.next.map_or(U32::ZERO, |next| place::inpcb(next).into()), previous.into()],
        ..listed.inpcb
    })
}

/// The first of a list, 0 where it is empty.
pub(super) fn first_inpcb(kernel: &Kernel, of: inet::Of) -> u32 {
    inet::list(kernel, of).first().map_or(0, |id| place::inpcb(id.index()))
}

/// The last of a list.
pub(super) fn last_inpcb(kernel: &Kernel, of: inet::Of) -> Option<usize> {
    inet::list(kernel, of).last().map(|id| id.index())
}

/// TCP's part of a control block.
pub(super) fn tcpcb(kernel: &Kernel, slot: usize) -> Option<layout::Tcpcb> {
    inet::tcpcb(kernel, inet::by_slot(kernel, slot)?)
}

/// A route by its slot.
fn route_by_slot(net: &Net, slot: usize) -> Option<RtId> {
    net.rtentries.iter().map(|(id, _)| id).find(|id| id.index() == slot)
}

/// The nodes of a tree whose own lie so far behind its beginning.
fn nodes(net: &Net, tree: usize, own: u32) -> Vec<Placed> {
    let at = place::tree(tree);
    let mask_at = |mask: &Option<_>| {
        let known = mask.as_ref().and_then(|mask| net.table.masks().iter().position(|other| other == mask));
        known.map_or(0, place::mask_address)
    };
    let leaf = |bits: &[u8], own: &radix::Leaf<RtId>| Leaf {
        bits: bits.to_vec(),
        at: place::route(own.route.index()),
        key: place::route_addresses(own.route.index()),
        mask: mask_at(&own.mask),
        prefix: own.mask.as_ref().map(|mask| mask.index()),
        duped: Vec::new(),
    };
    let leaves = if tree == ROUTES {
        let of_key = |(bits, of_key): (&[u8], &[_])| {
            let mut all = of_key.iter().map(|own| leaf(bits, own));
            let first = all.next()?;
            Some(Leaf { duped: all.collect(), ..first })
        };
        net.table.by_key().into_iter().filter_map(of_key).collect()
    } else {
        let mut leaves: Vec<Leaf> = (0..)
            .zip(net.table.masks())
            .map(|(n, mask)| Leaf {
                bits: mask.bytes().iter().copied().filter(|_| mask.bytes() != [0]).collect(),
                at: place::mask(n),
                key: place::mask_address(n),
                prefix: Some(mask.index() + OFFSET * 8),
                ..Leaf::default()
            })
            .collect();
        leaves.sort_by(|a, b| a.bits.cmp(&b.bits));
        leaves
    };
    let offset = if tree == ROUTES { OFFSET * 8 } else { 0 };
    Tree { own: at + own, zeros: at + ZEROS, ones: at + ONES, offset, leaves }.nodes()
}

fn pair<const N: usize>(nodes: &[Placed], at: u32) -> [RadixNode; N] {
    std::array::from_fn(|n| {
        let wanted = at + n as u32 * NODE;
        nodes.iter().find(|(at, _)| *at == wanted).map_or_else(RadixNode::default, |(_, node)| *node)
    })
}

/// The three nodes that are a tree's own.
pub(super) fn own_nodes(net: &Net, tree: usize, own: u32) -> [RadixNode; 3] {
    pair(&nodes(net, tree, own), place::tree(tree) + own)
}

/// A tree, by how its head looks: the keys of its own leaves lie behind that.
pub(super) fn tree(head: Vec<u8>) -> Vec<u8> {
    let mut bytes = head;
    bytes.resize(ONES as usize, 0);
    bytes.resize(place::STRIDE as usize, 0xff);
    bytes
}

/// A route with its nodes; `own` is where a tree has its own.
pub(super) fn rtentry(net: &Net, slot: usize, own: u32) -> Option<layout::Rtentry> {
    let id = route_by_slot(net, slot)?;
    let entry = net::rtentry(net, id)?;
    Some(layout::Rtentry { nodes: pair(&nodes(net, ROUTES, own), place::route(slot)), ..entry })
}

/// The addresses of a route.
pub(super) fn route_addresses(net: &Net, slot: usize) -> Option<Vec<u8>> {
    net::route_addresses(net, route_by_slot(net, slot)?)
}

/// A mask's two nodes.
pub(super) fn mask(net: &Net, slot: usize, own: u32) -> Option<[RadixNode; 2]> {
    net.table.masks().get(slot)?;
    Some(pair(&nodes(net, MASKS, own), place::mask(slot)))
}

/// A mask as an address.
pub(super) fn mask_address(net: &Net, slot: usize) -> Option<Vec<u8>> {
    Some(net.table.masks().get(slot)?.bytes().to_vec())
}

/// Sizes of the two structures of an address of an interface: the part that all share, and the internet's.
pub(super) const IFADDR: u32 = size_of::<layout::Ifaddr>() as u32;

/// An address of an interface: the internet's has its addresses in it, another has them behind it.
pub(super) fn ifaddr(net: &Net, slot: usize) -> Option<Vec<u8>> {
    let at = place::interface_address(slot);
    if let Some(mut inet) = net::in_ifaddr(net, slot) {
        inet.ifa = with_addresses(inet.ifa, at, [60, 76, 92], net, slot)?;
        return Some(inet.as_bytes().to_vec());
    }
    let own = net::ifaddr(net, slot)?;
    let mut bytes = with_addresses(own, at, [IFADDR, 0, IFADDR + 32], net, slot)?.as_bytes().to_vec();
    bytes.extend(link_addresses(net, slot)?);
    Some(bytes)
}

fn with_addresses(
    own: layout::Ifaddr,
    at: u32,
    [addr, dstaddr, netmask]: [u32; 3],
    net: &Net,
    slot: usize,
) -> Option<layout::Ifaddr> {
    let (_, ifa) = net::address_by_slot(net, slot)?;
    Some(layout::Ifaddr {
        addr: (at + addr).into(),
        dstaddr: if ifa.dst().is_some() { at + dstaddr } else { 0 }.into(),
        netmask: if ifa.netmask.is_some() { at + netmask } else { 0 }.into(),
        ..own
    })
}

/// The address and the mask of an interface itself, 32 bytes each.
pub(super) fn link_addresses(net: &Net, slot: usize) -> Option<Vec<u8>> {
    let (_, ifa) = net::address_by_slot(net, slot)?;
    let mut bytes = ifa.addr.clone();
    bytes.resize(32, 0);
    bytes.extend(ifa.netmask.as_deref().unwrap_or_default());
    bytes.resize(64, 0);
    Some(bytes)
}

/// The name of an interface.
pub(super) fn interface_name(net: &Net, slot: usize) -> Option<Vec<u8>> {
    let mut name = net.ifnets.get(slot)?.name.as_bytes().to_vec();
    name.resize(16, 0);
    Some(name)
}
