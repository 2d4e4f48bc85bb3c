//! Waiting for many descriptors of the host at once, at a cost that does not grow with those that are idle.
//!
//! Must not know what the descriptors are.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::error::HostResult;

/// Most events that are taken at once; the others wait for the next time.
const ONCE: usize = 256;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Something can be read.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
}

impl Interest {
    fn any(self) -> bool {
        self.read || self.write
    }

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        // Whoever reads hears of urgent data, too.
        flags.set(EventFlags::IN | EventFlags::PRI, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number that it was given.
    pub token: u64,
    /// Reading would not wait.
    pub read: bool,
    /// Urgent data were announced.
    pub urgent: bool,
}

/// A set of descriptors.  One that is closed leaves it by itself.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// An empty set.
    pub fn new() -> HostResult<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// A descriptor that can be read where one of the set is ready.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Changes what a descriptor is watched for.  One that is watched for nothing is not in the set: it could not be
    /// kept from telling of errors else.
    pub fn set(&self, fd: BorrowedFd<'_>, token: u64, before: Interest, now: Interest) -> HostResult<()> {
        let data = EventData::new_u64(token);
        Ok(match (before.any(), now.any()) {
            (false, false) => Ok(()),
            (false, true) => epoll::add(&self.0, fd, data, now.flags()),
            (true, false) => epoll::delete(&self.0, fd),
            (true, true) => epoll::modify(&self.0, fd, data, now.flags()),
        }?)
    }

    /// Those that are ready now.
    pub fn ready(&self) -> Vec<Ready> {
        let mut room = [MaybeUninit::<Event>::uninit(); ONCE];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.0, &mut room, Some(&now)) else { return Vec::new() };
        let ready = |event: &mut Event| {
            let (flags, data) = (event.flags, event.data);
            Ready {
                token: data.u64(),
                read: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
                urgent: flags.contains(EventFlags::PRI),
            }
        };
        events.iter_mut().map(ready).collect()
    }
}
