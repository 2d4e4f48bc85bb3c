//! Where the kernel's objects lie in the kernel's part of the address space.
//!
//! Addresses are functions of an object's slot: the same in every run, and all that tells objects apart.

/// Structures of processes, 256 bytes each; process 0 has its own place.
const PROCESSES_AT: u32 = 0xf0a0_0000;
/// User areas, two pages each.
const USER_AREAS_AT: u32 = 0xf400_0000;
/// Page directories, a page each.
const PAGE_DIRECTORIES_AT: u32 = 0xf600_0000;
/// Groups, sessions, identities, tables of descriptors, address spaces, usages, sleeps, and what these are
/// called: 256 bytes each, by the slot of the group, the session or the process.
const GROUPS_AT: u32 = 0xf0b0_0000;
const SESSIONS_AT: u32 = 0xf0b8_0000;
const CREDENTIALS_AT: u32 = 0xf0c0_0000;
const DESCRIPTORS_AT: u32 = 0xf0c8_0000;
const ADDRESS_SPACES_AT: u32 = 0xf0d0_0000;
const USAGES_AT: u32 = 0xf0d8_0000;
const CHANNELS_AT: u32 = 0xf0e8_0000;
const SLEEP_MESSAGES_AT: u32 = 0xf0f0_0000;
/// Open files and their identities.
const FILES_AT: u32 = 0xf110_0000;
const FILE_CREDENTIALS_AT: u32 = 0xf120_0000;
/// Sockets.
const SOCKETS_AT: u32 = 0xf130_0000;
/// Vnodes, 512 bytes each, and the files of disks behind them.
const VNODES_AT: u32 = 0xf140_0000;
const INODES_AT: u32 = 0xf160_0000;
/// Local control blocks and the names that they are bound to, by the slot of the socket.
const UNPCBS_AT: u32 = 0xf170_0000;
const SOCKET_NAMES_AT: u32 = 0xf180_0000;
/// Control blocks of the internet domain, and TCP's part of them.
const INPCBS_AT: u32 = 0xf190_0000;
const TCPCBS_AT: u32 = 0xf1a0_0000;
/// Routes, and the addresses of each.
const ROUTES_AT: u32 = 0xf1b0_0000;
const ROUTE_ADDRESSES_AT: u32 = 0xf1c0_0000;
/// Interfaces, their names and their addresses.
const INTERFACES_AT: u32 = 0xf1d0_0000;
const INTERFACE_NAMES_AT: u32 = 0xf1e0_0000;
const INTERFACE_ADDRESSES_AT: u32 = 0xf1f0_0000;
/// Mounts, 512 bytes each.
const MOUNTS_AT: u32 = 0xf200_0000;
/// Terminals, a page each.
const TERMINALS_AT: u32 = 0xf220_0000;
/// Protocols, by their place among those of all domains; domains and their names.
const PROTOCOLS_AT: u32 = 0xf330_0000;
const DOMAINS_AT: u32 = 0xf340_0000;
const DOMAIN_NAMES_AT: u32 = 0xf350_0000;
/// Trees of addresses: that of routes and that of masks.
const TREES_AT: u32 = 0xf360_0000;
/// Masks of routes, and their addresses.
const MASKS_AT: u32 = 0xf370_0000;
const MASK_ADDRESSES_AT: u32 = 0xf380_0000;
/// Tables of descriptors that do not fit beside the others.
const DESCRIPTOR_TABLES_AT: u32 = 0xf800_0000;
/// Bytes of such a table.
pub(in crate::kernel) const DESCRIPTOR_TABLE: u32 = 0x8000;
/// Semaphores (`sem`), 12 bytes each.
const SEMAPHORES_AT: u32 = 0xf0e0_0000;
/// Messages (`msghdrs`), 12 bytes each.
const MESSAGES_AT: u32 = 0xf0e1_0000;
/// Handles of shared memory.
const SEGMENTS_AT: u32 = 0xf0e2_0000;
/// Bytes between two objects of most kinds.
pub(in crate::kernel) const STRIDE: u32 = 256;

macro_rules! places {
    ($( $( #[$meta:meta] )* $name:ident = $at:ident + $stride:expr; )*) => { $(
        $( #[$meta] )*
        pub(in crate::kernel) fn $name(index: usize) -> u32 {
            $at.wrapping_add(($stride as u32).wrapping_mul(index as u32))
        }
    )* };
}

places! {
    /// A process, by its slot.
    process = PROCESSES_AT + STRIDE;
    /// The user area of a process.
    user_area = USER_AREAS_AT + 8192;
    /// The page directory of a process.
    page_directory = PAGE_DIRECTORIES_AT + 4096;
    /// A process group.
    group = GROUPS_AT + STRIDE;
    /// A session.
    session = SESSIONS_AT + STRIDE;
    /// The identity of a process.
    credentials = CREDENTIALS_AT + STRIDE;
    /// The table of descriptors of a process.
    descriptors = DESCRIPTORS_AT + STRIDE;
    /// The address space of a process.
    address_space = ADDRESS_SPACES_AT + STRIDE;
    /// The usage of a dead process.
    usage = USAGES_AT + STRIDE;
    /// What a process sleeps on.
    channel = CHANNELS_AT + STRIDE;
    /// The name of what a process sleeps on.
    message_of_sleep = SLEEP_MESSAGES_AT + STRIDE;
    /// A larger table of descriptors of a process.
    descriptor_table = DESCRIPTOR_TABLES_AT + DESCRIPTOR_TABLE;
    /// An open file.
    file = FILES_AT + STRIDE;
    /// The identity under which a file was opened.
    file_credentials = FILE_CREDENTIALS_AT + STRIDE;
    /// A vnode.
    vnode = VNODES_AT + 512;
    /// The file of a disk behind a vnode.
    inode = INODES_AT + STRIDE;
    /// A mount.
    mount = MOUNTS_AT + 512;
    /// A terminal.
    terminal = TERMINALS_AT + 4096;
    /// A socket.
    socket = SOCKETS_AT + STRIDE;
    /// The local control block of a socket.
    unpcb = UNPCBS_AT + STRIDE;
    /// The name that a local socket is bound to.
    socket_name = SOCKET_NAMES_AT + STRIDE;
    /// A control block of the internet domain.
    inpcb = INPCBS_AT + STRIDE;
    /// TCP's part of it.
    tcpcb = TCPCBS_AT + STRIDE;
    /// A route.
    route = ROUTES_AT + STRIDE;
    /// The addresses of a route.
    route_addresses = ROUTE_ADDRESSES_AT + STRIDE;
    /// An interface, by its index less one.
    interface = INTERFACES_AT + STRIDE;
    /// Its name.
    interface_name = INTERFACE_NAMES_AT + STRIDE;
    /// An address of an interface.
    interface_address = INTERFACE_ADDRESSES_AT + STRIDE;
    /// A protocol.
    protocol = PROTOCOLS_AT + STRIDE;
    /// A domain.
    domain = DOMAINS_AT + STRIDE;
    /// Its name.
    domain_name = DOMAIN_NAMES_AT + STRIDE;
    /// A tree of addresses.
    tree = TREES_AT + STRIDE;
    /// A mask.
    mask = MASKS_AT + STRIDE;
    /// Its address.
    mask_address = MASK_ADDRESSES_AT + STRIDE;
    /// A semaphore, by its place among all.
    semaphore = SEMAPHORES_AT + 12;
    /// The header of a message.
    message = MESSAGES_AT + 12;
    /// The handle of a segment.
    segment = SEGMENTS_AT + 4;
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Process,
    Group,
    Session,
    Credentials,
    Descriptors,
    DescriptorTable,
    AddressSpace,
    Usage,
    Channel,
    SleepMessage,
    File,
    FileCredentials,
    Vnode,
    Inode,
    Mount,
    Terminal,
    Socket,
    Unpcb,
    SocketName,
    Inpcb,
    Tcpcb,
    Route,
    RouteAddresses,
    Interface,
    InterfaceName,
    InterfaceAddress,
    Protocol,
    Domain,
    DomainName,
    Tree,
    Mask,
    MaskAddress,
}

/// Most objects of a kind; slots are small numbers.
const SLOTS: u32 = 2048;
const MORE: u32 = 4096;
/// Where each kind begins, bytes between two objects, and how many there can be.
const KINDS: [(u32, u32, u32, Kind); 32] = [
    (PROCESSES_AT, STRIDE, SLOTS, Kind::Process),
    (GROUPS_AT, STRIDE, SLOTS, Kind::Group),
    (SESSIONS_AT, STRIDE, SLOTS, Kind::Session),
    (CREDENTIALS_AT, STRIDE, SLOTS, Kind::Credentials),
    (DESCRIPTORS_AT, STRIDE, SLOTS, Kind::Descriptors),
    (DESCRIPTOR_TABLES_AT, DESCRIPTOR_TABLE, SLOTS, Kind::DescriptorTable),
    (ADDRESS_SPACES_AT, STRIDE, SLOTS, Kind::AddressSpace),
    (USAGES_AT, STRIDE, SLOTS, Kind::Usage),
    (CHANNELS_AT, STRIDE, SLOTS, Kind::Channel),
    (SLEEP_MESSAGES_AT, STRIDE, SLOTS, Kind::SleepMessage),
    (FILES_AT, STRIDE, MORE, Kind::File),
    (FILE_CREDENTIALS_AT, STRIDE, MORE, Kind::FileCredentials),
    (SOCKETS_AT, STRIDE, MORE, Kind::Socket),
    (VNODES_AT, 512, MORE, Kind::Vnode),
    (INODES_AT, STRIDE, MORE, Kind::Inode),
    (UNPCBS_AT, STRIDE, MORE, Kind::Unpcb),
    (SOCKET_NAMES_AT, STRIDE, MORE, Kind::SocketName),
    (INPCBS_AT, STRIDE, MORE, Kind::Inpcb),
    (TCPCBS_AT, STRIDE, MORE, Kind::Tcpcb),
    (ROUTES_AT, STRIDE, MORE, Kind::Route),
    (ROUTE_ADDRESSES_AT, STRIDE, MORE, Kind::RouteAddresses),
    (INTERFACES_AT, STRIDE, MORE, Kind::Interface),
    (INTERFACE_NAMES_AT, STRIDE, MORE, Kind::InterfaceName),
    (INTERFACE_ADDRESSES_AT, STRIDE, MORE, Kind::InterfaceAddress),
    (MOUNTS_AT, 512, MORE, Kind::Mount),
    (TERMINALS_AT, 4096, SLOTS, Kind::Terminal),
    (PROTOCOLS_AT, STRIDE, SLOTS, Kind::Protocol),
    (DOMAINS_AT, STRIDE, SLOTS, Kind::Domain),
    (DOMAIN_NAMES_AT, STRIDE, SLOTS, Kind::DomainName),
    (TREES_AT, STRIDE, SLOTS, Kind::Tree),
    (MASKS_AT, STRIDE, SLOTS, Kind::Mask),
    (MASK_ADDRESSES_AT, STRIDE, SLOTS, Kind::MaskAddress),
];

/// Where the object begins that an address lies in, and its slot.
fn slot_of(address: u32, region: u32, stride: u32, slots: u32) -> Option<(u32, usize)> {
    let offset = address.checked_sub(region).filter(|&offset| offset / stride < slots)?;
    Some((address - offset % stride, (offset / stride) as usize))
}

/// The object that an address may lie in: where it begins, the bytes of its place, its kind and slot.
pub(super) fn kind_of(address: u32) -> Option<(u32, u32, Kind, usize)> {
    KINDS.iter().find_map(|&(region, stride, slots, kind)| {
        slot_of(address, region, stride, slots).map(|(start, slot)| (start, stride, kind, slot))
    })
}

/// The user area that an address lies in.
pub(super) fn user_areas(address: u32) -> Option<(u32, usize)> {
    slot_of(address, USER_AREAS_AT, 8192, SLOTS)
}

/// The page directory that an address lies in.
pub(super) fn page_directories(address: u32) -> Option<(u32, usize)> {
    slot_of(address, PAGE_DIRECTORIES_AT, 4096, SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_lie_apart_and_are_found_again() {
        for &(region, stride, slots, kind) in &KINDS {
            let last = region + (slots - 1) * stride + 7;
            assert_eq!(kind_of(last), Some((last - 7, stride, kind, slots as usize - 1)));
        }
        assert_eq!(kind_of(0xefff_ffff), None);
        assert_eq!(user_areas(user_area(3) + 8191), Some((user_area(3), 3)));
        assert_eq!(page_directories(page_directory(1000)), Some((page_directory(1000), 1000)));
    }
}
