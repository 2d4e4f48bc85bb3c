//! The kernel's door to guest memory: copyin, copyout, copyinstr, fuword and their family.
//!
//! All of them honour the guest's protection except [`AddressSpace::poke`].  A copy that faults has
//! copied everything before the first byte that could not be accessed.
//!
//! 2.1 counterpart: i386/i386/support.s.

use super::budget;
use super::object::Sharing;
use super::page::{self, CODE, EOF, HELD, MAPPED, PAGE_SIZE, Prot, READ, STORE, WRITE, WRITTEN};
use super::space::AddressSpace;
use super::watch;
use crate::trapframe::{Access, Fault, FaultCause};

/// Why [`AddressSpace::copyinstr`] has no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStr {
    /// Memory refused before a NUL was found.
    Fault(Fault),
    /// No NUL within the limit.
    TooLong,
}

impl AddressSpace {
    /// Copies guest bytes out of the space.
    #[inline]
    pub fn copyin(&self, addr: u32, buf: &mut [u8]) -> Result<(), Fault> {
        if in_one_page(addr, buf.len()) && self.memory.byte(page::of(addr)) & READ != 0 {
            self.memory.read(addr, buf);
            return self.bus_check(Access::Read);
        }
        self.copyin_pages(addr, buf)
    }

    /// Reads words that lie behind each other.  The program has just stored most of them one by one, and so
    /// are they read: a wide load would have to wait for all of these stores.
    #[inline]
    pub fn copyin_words(&self, addr: u32, words: &mut [u32]) -> Result<(), Fault> {
        if words.is_empty() {
            return Ok(());
        }
        if !in_one_page(addr, size_of_val(words)) || self.memory.byte(page::of(addr)) & READ == 0 {
            return self.copyin_words_apart(addr, words);
        }
        self.memory.read_words(addr, words);
        self.bus_check(Access::Read)
    }

    /// Words that do not lie in one page that can be read at once.
    #[inline(never)]
    fn copyin_words_apart(&self, addr: u32, words: &mut [u32]) -> Result<(), Fault> {
        let view = self.view();
        for (n, word) in (0..).zip(&mut *words) {
            *word = view.load32(addr.wrapping_add(4 * n))?;
        }
        self.bus_check(Access::Read)
    }

    #[inline(never)]
    fn copyin_pages(&self, addr: u32, buf: &mut [u8]) -> Result<(), Fault> {
        let mut rest = buf;
        for (at, len) in page::pieces(addr, length(rest.len())) {
            self.admit(at, Access::Read)?;
            let Some((part, behind)) = rest.split_at_mut_checked(len as usize) else { break };
            self.memory.read(at, part);
            rest = behind;
        }
        self.bus_check(Access::Read)
    }

    /// Copies bytes into the space.
    #[inline]
    pub fn copyout(&self, addr: u32, bytes: &[u8]) -> Result<(), Fault> {
        // A page that allows stores holds no watched code.
        if in_one_page(addr, bytes.len()) && self.memory.byte(page::of(addr)) & STORE != 0 {
            self.memory.write(addr, bytes);
            return self.bus_check(Access::Write);
        }
        self.copyout_pages(addr, bytes)
    }

    #[inline(never)]
    fn copyout_pages(&self, addr: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        for (at, len) in page::pieces(addr, length(rest.len())) {
            self.admit(at, Access::Write)?;
            let Some((part, behind)) = rest.split_at_checked(len as usize) else { break };
            self.put(at, part);
            rest = behind;
        }
        self.bus_check(Access::Write)
    }

    /// Copies a NUL-terminated string of at most `max` bytes, the NUL included; the result is
    /// without it.
    pub fn copyinstr(&self, addr: u32, max: usize) -> Result<Vec<u8>, CopyStr> {
        let mut found = Vec::new();
        for (at, len) in page::pieces(addr, length(max)) {
            self.admit(at, Access::Read).map_err(CopyStr::Fault)?;
            let mut buf = [0; PAGE_SIZE as usize];
            let part = buf.get_mut(..len as usize).unwrap_or_default();
            self.memory.read(at, part);
            self.bus_check(Access::Read).map_err(CopyStr::Fault)?;
            match part.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    found.extend(part.iter().take(end));
                    return Ok(found);
                }
                None => found.extend_from_slice(part),
            }
        }
        Err(CopyStr::TooLong)
    }

    /// Reads a 32-bit word.
    pub fn fuword(&self, addr: u32) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        self.copyin(addr, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads a 16-bit word.
    pub fn fusword(&self, addr: u32) -> Result<u16, Fault> {
        let mut bytes = [0; 2];
        self.copyin(addr, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Reads a byte.
    pub fn fubyte(&self, addr: u32) -> Result<u8, Fault> {
        let mut byte = [0];
        self.copyin(addr, &mut byte)?;
        Ok(byte[0])
    }

    /// Writes a 32-bit word.
    pub fn suword(&self, addr: u32, word: u32) -> Result<(), Fault> {
        self.copyout(addr, &word.to_le_bytes())
    }

    /// Writes a 16-bit word.
    pub fn susword(&self, addr: u32, word: u16) -> Result<(), Fault> {
        self.copyout(addr, &word.to_le_bytes())
    }

    /// Writes a byte.
    pub fn subyte(&self, addr: u32, byte: u8) -> Result<(), Fault> {
        self.copyout(addr, &[byte])
    }

    /// Writes bytes whatever the guest's write permission (loader, ptrace); only mapped pages, and
    /// not through a shared mapping of a file that is open for reading only.
    pub fn poke(&self, addr: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        for (at, len) in page::pieces(addr, length(rest.len())) {
            let page = page::of(at);
            let byte = self.memory.byte(page);
            let refused = |cause| Fault { address: at, access: Access::Write, cause };
            if byte & MAPPED == 0 {
                return Err(refused(FaultCause::NotMapped));
            }
            if byte & EOF != 0 {
                return Err(refused(FaultCause::BeyondEof));
            }
            if byte & HELD == 0 && !self.host_writable(at) {
                return Err(refused(FaultCause::Protection));
            }
            if !self.note_write(page, byte) {
                return Err(refused(FaultCause::NotMapped));
            }
            let Some((part, behind)) = rest.split_at_checked(len as usize) else { break };
            self.put(at, part);
            rest = behind;
        }
        self.bus_check(Access::Write)
    }

    /// Reads bytes whatever the guest's permission (ptrace, core files); only mapped pages.
    pub fn peek(&self, addr: u32, buf: &mut [u8]) -> Result<(), Fault> {
        let mut rest = buf;
        for (at, len) in page::pieces(addr, length(rest.len())) {
            let byte = self.memory.byte(page::of(at));
            let refused = |cause| Fault { address: at, access: Access::Read, cause };
            if byte & MAPPED == 0 {
                return Err(refused(FaultCause::NotMapped));
            }
            if byte & EOF != 0 {
                return Err(refused(FaultCause::BeyondEof));
            }
            let Some((part, behind)) = rest.split_at_mut_checked(len as usize) else { break };
            self.memory.read(at, part);
            rest = behind;
        }
        self.bus_check(Access::Read)
    }

    /// Whether `len` bytes allow an access; a write makes the pages ready for stores.
    pub fn probe(&self, addr: u32, len: u32, access: Access) -> Result<(), Fault> {
        page::pieces(addr, len).try_for_each(|(at, _)| self.admit(at, access))
    }

    /// Copies the instruction bytes at `addr` and says how many of them may be fetched.
    pub fn fetch(&self, addr: u32, bytes: &mut [u8; 16]) -> usize {
        let mut have = 0;
        for (at, len) in page::pieces(addr, 16) {
            if self.admit(at, Access::Fetch).is_err() {
                break;
            }
            let end = have + len as usize;
            if let Some(part) = bytes.get_mut(have..end) {
                self.memory.read(at, part);
            }
            if self.take_bus_fault().is_some() {
                break;
            }
            have = end;
        }
        have
    }

    /// The fault that a fetch at `addr` would raise, if any.
    pub fn fetch_fault(&self, addr: u32) -> Option<Fault> {
        self.admit(addr, Access::Fetch).err()
    }

    /// Lets an access to the page of `addr` pass or says why not.  The first write to a page is
    /// noted here.
    #[inline]
    pub(super) fn admit(&self, addr: u32, access: Access) -> Result<(), Fault> {
        let wanted = if access == Access::Write { STORE } else { READ };
        if self.memory.byte(page::of(addr)) & wanted != 0 {
            return Ok(());
        }
        self.admit_slowly(addr, access)
    }

    #[cold]
    #[inline(never)]
    fn admit_slowly(&self, addr: u32, access: Access) -> Result<(), Fault> {
        let page = page::of(addr);
        let byte = self.memory.byte(page);
        let refused = |cause| Err(Fault { address: addr, access, cause });
        if byte & MAPPED == 0 {
            return refused(FaultCause::NotMapped);
        }
        let allowed = if access == Access::Write {
            byte & WRITE != 0
        } else {
            let present =
                Prot::READ | if byte & (WRITTEN | EOF) == WRITTEN { Prot::WRITE } else { Prot::empty() };
            self.regions.at(addr).is_some_and(|(_, attr)| attr.prot.intersects(present))
        };
        if !allowed {
            return refused(FaultCause::Protection);
        }
        if byte & EOF != 0 {
            return refused(FaultCause::BeyondEof);
        }
        // Memory that the run may not have: it is over.
        if access == Access::Write && !self.note_write(page, byte) {
            return refused(FaultCause::NotMapped);
        }
        Ok(())
    }

    /// Notes the first write to a mapped page; false where that would be a page too many.
    fn note_write(&self, page: u32, byte: u8) -> bool {
        if byte & WRITTEN != 0 {
            return true;
        }
        self.reckon_if_short();
        if !budget::has_room(1) {
            return false;
        }
        if byte & HELD == 0 {
            // The host makes a copy of the file's page: shared ones are written from the beginning.
            self.memory.pages.count_own(1);
        }
        if byte & HELD != 0 && self.memory.rights(page) & page::MAY_WRITE == 0 {
            self.memory.open_ahead(page);
        }
        self.memory.set_byte(page, page::settle(byte | WRITTEN));
        true
    }

    /// Writes bytes of one page that was admitted; says whether they were watched code.
    #[inline]
    pub(super) fn put(&self, addr: u32, bytes: &[u8]) -> bool {
        let page = page::of(addr);
        self.texts.note_store(page);
        let watched = self.memory.byte(page) & CODE != 0;
        let shut = watched && self.memory.rights(page) & page::MAY_WRITE == 0;
        self.memory.write(addr, bytes);
        if watched {
            self.note_touch(addr, length(bytes.len()));
        }
        watched
            && (self.code_hit(page, watch::granules(addr, length(bytes.len())))
                || shut && self.count_beside(page))
    }

    #[inline]
    fn bus_check(&self, access: Access) -> Result<(), Fault> {
        match self.take_bus_fault() {
            None => Ok(()),
            Some(fault) => Err(Fault { access, ..fault }),
        }
    }

    fn host_writable(&self, addr: u32) -> bool {
        self.regions.at(addr).is_some_and(|(_, attr)| match &attr.object {
            Some((object, _)) => object.sharing == Sharing::Private || object.writable,
            None => true,
        })
    }
}

/// Whether there are bytes, all of them in one page.
#[inline]
fn in_one_page(addr: u32, len: usize) -> bool {
    len.wrapping_sub(1) < (PAGE_SIZE - addr % PAGE_SIZE) as usize
}

/// A buffer longer than the space cannot be copied anyway: the copy then wraps and faults.
fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
