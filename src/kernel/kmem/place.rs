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
/// Vnodes, 256 bytes each.
const VNODES_AT: u32 = 0xf140_0000;
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
    /// A vnode.
    vnode = VNODES_AT + STRIDE;
    /// A semaphore, by its place among all.
    semaphore = SEMAPHORES_AT + 12;
    /// The header of a message.
    message = MESSAGES_AT + 12;
    /// The handle of a segment.
    segment = SEGMENTS_AT + 4;
}

/// Kinds of objects that lie [`STRIDE`] bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Process,
    Group,
    Session,
    Credentials,
    AddressSpace,
    Usage,
    Channel,
    SleepMessage,
}

/// Objects of a kind; slots are small numbers.
const SLOTS: u32 = 2048;
const KINDS: [(u32, Kind); 8] = [
    (PROCESSES_AT, Kind::Process),
    (GROUPS_AT, Kind::Group),
    (SESSIONS_AT, Kind::Session),
    (CREDENTIALS_AT, Kind::Credentials),
    (ADDRESS_SPACES_AT, Kind::AddressSpace),
    (USAGES_AT, Kind::Usage),
    (CHANNELS_AT, Kind::Channel),
    (SLEEP_MESSAGES_AT, Kind::SleepMessage),
];

/// Where the object begins that an address lies in, and its slot.
fn slot_of(address: u32, region: u32, stride: u32) -> Option<(u32, usize)> {
    let offset = address.checked_sub(region).filter(|&offset| offset / stride < SLOTS)?;
    Some((address - offset % stride, (offset / stride) as usize))
}

/// The object that an address may lie in: where it begins, its kind and slot.
pub(super) fn kind_of(address: u32) -> Option<(u32, Kind, usize)> {
    KINDS
        .iter()
        .find_map(|&(region, kind)| slot_of(address, region, STRIDE).map(|(start, slot)| (start, kind, slot)))
}

/// The user area that an address lies in.
pub(super) fn user_areas(address: u32) -> Option<(u32, usize)> {
    slot_of(address, USER_AREAS_AT, 8192)
}

/// The page directory that an address lies in.
pub(super) fn page_directories(address: u32) -> Option<(u32, usize)> {
    slot_of(address, PAGE_DIRECTORIES_AT, 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_lie_apart_and_are_found_again() {
        for &(region, kind) in &KINDS {
            let last = region + (SLOTS - 1) * STRIDE + 7;
            assert_eq!(kind_of(last), Some((last - 7, kind, SLOTS as usize - 1)));
        }
        assert_eq!(kind_of(0xefff_ffff), None);
        assert_eq!(user_areas(user_area(3) + 8191), Some((user_area(3), 3)));
        assert_eq!(page_directories(page_directory(1000)), Some((page_directory(1000), 1000)));
    }
}
