//! The processor's handle on guest memory: loads and stores of one operand.
//!
//! A [`View`] is one pointer, so it can live in the processor's state or travel in a register from
//! handler to handler.  The fast path of an access is one test of the page byte and one host
//! access; everything else (an operand that crosses a page, the first store to a page, watched
//! code, faults) is out of line in [`View::load_slow`] and [`View::store_slow`].
//!
//! Two styles, to taste of the caller:
//!
//! * `try_load32(addr) -> Option<u32>`, `try_store32(addr, value) -> bool`: the fast path alone; a
//!   miss has done nothing, and the caller leaves by a tail call to a handler that uses the slow form.
//! * `load32(addr) -> Result<u32, Fault>`, `store32(addr, value) -> Result<Written, Fault>`: both paths.
//!
//! A store that faults has written nothing.  Addresses wrap at 4 GiB.
//!
//! # Why it is safe
//!
//! A view borrows its [`AddressSpace`], so the space neither moves nor goes, and nothing that needs
//! it mutable (map, unmap, protect) can run while the view lives.  `base + a` for a 32-bit `a` plus
//! at most ten bytes lies inside the reservation and its guard, where no Rust object lives, and
//! guest bytes are only read and written as plain values through raw pointers: no reference into
//! guest memory exists, so views may be copied and alias each other.  A page whose byte has READ
//! or STORE is mapped on the host for reading or writing; a file that shrinks outside is
//! [`super::bus`]'s business.
#![allow(unsafe_code)] // the island of D5: see "Why it is safe"

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::page::{self, PAGE_SIZE, READ, STORE};
use super::reservation::{GRANULES, HEADER, Header, RIGHTS, TABLE};
use super::space::AddressSpace;
use super::watch;
use crate::trapframe::{Access, F80, Fault};

/// What a store did besides storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    Data,
    /// It hit watched code: see [`AddressSpace::take_code_writes`].
    Code,
}

/// A cheap handle for loads and stores.
#[derive(Clone, Copy)]
pub struct View<'a> {
    base: NonNull<u8>,
    space: PhantomData<&'a AddressSpace>,
}

impl AddressSpace {
    /// The processor's handle.
    pub fn view(&self) -> View<'_> {
        self.memory.header().space.set(self);
        View { base: self.memory.base(), space: PhantomData }
    }
}

// Scalars travel as arrays of bytes: with debug assertions an unaligned read or write goes through a
// local whose address is taken, and that would keep the processor's handlers from ending in a jump.
macro_rules! scalar {
    ($type:ty, $try_load:ident, $load:ident, $try_store:ident, $store:ident, $try_update:ident) => {
        /// Loads on the fast path; nothing when it must be [`View::load_slow`].
        #[inline(always)]
        pub fn $try_load(self, addr: u32) -> Option<$type> {
            if !self.open(addr, size_of::<$type>(), READ) {
                return None;
            }
            // SAFETY: the page allows loads and holds all bytes; see "Why it is safe".
            Some(<$type>::from_le_bytes(unsafe { self.at::<[u8; size_of::<$type>()]>(addr).read() }))
        }

        /// Loads, or says which byte refused.
        #[inline(always)]
        pub fn $load(self, addr: u32) -> Result<$type, Fault> {
            match self.$try_load(addr) {
                Some(value) => Ok(value),
                None => self.load_slow(addr).map(<$type>::from_le_bytes),
            }
        }

        /// Stores on the fast path; `false` when nothing was done and it must be [`View::store_slow`].
        #[inline(always)]
        pub fn $try_store(self, addr: u32, value: $type) -> bool {
            let open = self.open(addr, size_of::<$type>(), STORE);
            if open {
                // SAFETY: the page allows stores and holds all bytes; see "Why it is safe".
                unsafe { self.at::<[u8; size_of::<$type>()]>(addr).write(value.to_le_bytes()) };
            }
            open
        }

        /// Stores, or says which byte refused and stores nothing.
        #[inline(always)]
        pub fn $store(self, addr: u32, value: $type) -> Result<Written, Fault> {
            if self.$try_store(addr, value) {
                return Ok(Written::Data);
            }
            self.store_slow(addr, &value.to_le_bytes())
        }

        /// Replaces a value by `new(value)` on the fast path, with a single test of the page, and
        /// gives back what `new` returns beside it; nothing when neither was done.
        #[inline(always)]
        pub fn $try_update<R>(self, addr: u32, new: impl FnOnce($type) -> ($type, R)) -> Option<R> {
            if !self.open(addr, size_of::<$type>(), STORE) {
                return None;
            }
            // SAFETY: a page that allows stores allows loads too, and holds all bytes; `new` cannot
            // change the mapping, because the view borrows the space.
            let value = unsafe { self.at::<[u8; size_of::<$type>()]>(addr).read() };
            let value = <$type>::from_le_bytes(value);
            let (value, result) = new(value);
            // SAFETY: as before.
            unsafe { self.at::<[u8; size_of::<$type>()]>(addr).write(value.to_le_bytes()) };
            Some(result)
        }
    };
}

impl<'a> View<'a> {
    scalar!(u8, try_load8, load8, try_store8, store8, try_update8);
    scalar!(u16, try_load16, load16, try_store16, store16, try_update16);
    scalar!(u32, try_load32, load32, try_store32, store32, try_update32);
    scalar!(u64, try_load64, load64, try_store64, store64, try_update64);

    /// Loads ten bytes.
    #[inline]
    pub fn load80(self, addr: u32) -> Result<F80, Fault> {
        let bytes: [u8; 10] = self.load_bytes(addr)?;
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        Ok(F80 {
            significand: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            sign_exponent: u16::from_le_bytes([i, j]),
        })
    }

    /// Stores ten bytes.
    #[inline]
    pub fn store80(self, addr: u32, value: F80) -> Result<Written, Fault> {
        let mut bytes = [0; 10];
        let (low, high) = bytes.split_at_mut(8);
        low.copy_from_slice(&value.significand.to_le_bytes());
        high.copy_from_slice(&value.sign_exponent.to_le_bytes());
        if self.open(addr, 10, STORE) {
            // SAFETY: the page allows stores and holds all ten bytes; see "Why it is safe".
            unsafe { self.at::<[u8; 10]>(addr).write(bytes) };
            return Ok(Written::Data);
        }
        self.store_slow(addr, &bytes)
    }

    /// Loads `N` bytes, up to a page.
    #[inline]
    pub fn load_bytes<const N: usize>(self, addr: u32) -> Result<[u8; N], Fault> {
        if self.open(addr, N, READ) {
            // SAFETY: the page allows loads and holds all bytes; see "Why it is safe".
            return Ok(unsafe { self.at::<[u8; N]>(addr).read() });
        }
        self.load_slow(addr)
    }

    /// Loads bytes wherever they lie, page by page.
    #[cold]
    #[inline(never)]
    pub fn load_slow<const N: usize>(self, addr: u32) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.space().copyin(addr, &mut bytes)?;
        Ok(bytes)
    }

    /// Stores bytes wherever they lie, or nothing at all when any of them faults.
    #[cold]
    #[inline(never)]
    pub fn store_slow(self, addr: u32, bytes: &[u8]) -> Result<Written, Fault> {
        let space = self.space();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        space.probe(addr, len, Access::Write)?;
        let mut written = Written::Data;
        let mut rest = bytes;
        for (at, len) in page::pieces(addr, len) {
            let Some((part, behind)) = rest.split_at_checked(len as usize) else { break };
            if space.put(at, part) {
                written = Written::Code;
            }
            rest = behind;
        }
        Ok(written)
    }

    /// Whether `len` bytes, at most a granule, lie in a page that watched code alone keeps off the fast path
    /// of stores, and none of them is watched: see [`View::try_store_beside`].
    #[inline(always)]
    pub fn is_beside_code(self, addr: u32, len: u32) -> bool {
        let page = page::of(addr);
        // SAFETY: as in `open`.
        let byte = unsafe { self.base.sub(TABLE).add(page as usize).read() };
        // SAFETY: as before; what the host allows lies beside the page bytes.
        let rights = unsafe { self.base.sub(RIGHTS).add(page as usize).read() };
        if !page::stores_beside_code(byte)
            || rights & page::MAY_WRITE == 0
            || (addr & (PAGE_SIZE - 1)) + len > PAGE_SIZE
        {
            return false;
        }
        // SAFETY: a page number is an index of the aligned words of granules, which are readable while the
        // reservation lives and are written by this thread only.
        let watched = unsafe { self.base.sub(GRANULES).cast::<u64>().add(page as usize).read() };
        watched & watch::granules(addr, len) == 0
    }

    /// Stores the low `len` bytes of a value beside code; `false` when nothing was done and it must be
    /// [`View::store_slow`].
    #[inline(always)]
    pub fn try_store_beside(self, addr: u32, len: u32, value: u32) -> bool {
        let beside = self.is_beside_code(addr, len);
        if beside {
            // SAFETY: the page allows stores and holds all bytes, none of them watched; see "Why it is
            // safe".
            unsafe {
                match len {
                    1 => self.at::<[u8; 1]>(addr).write([value as u8]),
                    2 => self.at::<[u8; 2]>(addr).write((value as u16).to_le_bytes()),
                    _ => self.at::<[u8; 4]>(addr).write(value.to_le_bytes()),
                }
            }
        }
        beside
    }

    /// Whether `len` bytes allow an access; nothing is changed for the guest.
    pub fn probe(self, addr: u32, len: u32, access: Access) -> Result<(), Fault> {
        self.space().probe(addr, len, access)
    }

    /// Host address of guest address 0, for translated code.
    #[inline(always)]
    pub(crate) fn base(self) -> *const u8 {
        self.base.as_ptr()
    }

    /// The space behind the view.
    #[inline]
    pub fn space(self) -> &'a AddressSpace {
        // SAFETY: the header is valid while the reservation lives; its `space` was set when a view
        // was made from the space that this view borrows for 'a, and a space that is borrowed has
        // not moved since (another view of it has set the same address).
        unsafe { &*self.base.sub(HEADER).cast::<Header>().as_ref().space.get() }
    }

    /// Whether `len` bytes at `addr` lie in one page whose byte has `bit`.
    #[inline(always)]
    pub(super) fn open(self, addr: u32, len: usize, bit: u8) -> bool {
        // SAFETY: a page number of 32-bit addresses is an index of the table, whose bytes are
        // readable while the reservation lives.  Only this thread and its signal handler write
        // them, and whoever sees a byte from before the handler finds zeros in the page.
        let byte = unsafe { self.base.sub(TABLE).add(page::of(addr) as usize).read() };
        byte & bit != 0 && (len == 1 || (addr & (PAGE_SIZE - 1)) as usize + len <= PAGE_SIZE as usize)
    }

    #[inline(always)]
    pub(super) fn at<T>(self, addr: u32) -> NonNull<T> {
        // SAFETY: 4 GiB and a guard lie behind the base.
        unsafe { self.base.add(addr as usize) }.cast()
    }
}
