//! A transfer in progress between the kernel and a list of user buffers.
//!
//! 2.1 counterpart: sys/uio.h, kern/kern_subr.c (uiomove).

use syscalls::errno::Errno;

use crate::kernel::Context;

/// One buffer of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iovec {
    /// Address in guest memory.
    pub base: u32,
    /// Length in bytes.
    pub len: u32,
}

/// A transfer: the buffers that are left, and how much they hold (`struct uio`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uio {
    /// The buffer in use, as far as it is not used up.
    current: Iovec,
    /// Those behind it, the next one last.
    later: Vec<Iovec>,
    /// Bytes left to transfer (`uio_resid`).
    pub resid: u32,
    /// Offset in the file, where it has one.
    pub offset: i64,
}

impl Uio {
    /// A transfer of one buffer.
    #[inline]
    pub fn single(base: u32, len: u32) -> Self {
        Self { current: Iovec { base, len }, later: Vec::new(), resid: len, offset: 0 }
    }

    /// A transfer of several buffers; the caller has checked that the lengths add up to less than 2^31.
    pub fn vector(mut iov: Vec<Iovec>) -> Self {
        let resid = iov.iter().fold(0u32, |sum, v| sum.wrapping_add(v.len));
        iov.reverse();
        Self { current: iov.pop().unwrap_or_default(), later: iov, resid, offset: 0 }
    }

    /// Address of the buffer in use.
    #[inline]
    pub fn base(&self) -> u32 {
        self.current.base
    }

    /// Counts everything that is left as transferred.
    pub fn pass_over(&mut self) {
        while let Some((_, n)) = self.segment(usize::MAX) {
            self.advance(n as u32);
        }
    }

    /// Moves bytes from the kernel to the buffers, as many as both have.  A fault leaves the transfer at
    /// the buffer where it happened.
    #[inline]
    pub fn move_out(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() > self.current.len as usize {
            return self.move_out_pieces(cx, bytes);
        }
        cx.copyout(self.current.base, bytes)?;
        self.advance(bytes.len() as u32);
        Ok(())
    }

    #[inline(never)]
    fn move_out_pieces(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), Errno> {
        let mut rest = bytes;
        while !rest.is_empty() && self.resid > 0 {
            let Some((base, n)) = self.segment(rest.len()) else { break };
            let (now, later) = rest.split_at(n);
            cx.copyout(base, now)?;
            self.advance(n as u32);
            rest = later;
        }
        Ok(())
    }

    /// Moves bytes from the buffers to the kernel, filling `bytes` as far as the transfer goes; gives how
    /// many.  A fault leaves the transfer at the buffer where it happened.
    #[inline]
    pub fn move_in(&mut self, cx: &Context<'_>, bytes: &mut [u8]) -> Result<usize, Errno> {
        if bytes.is_empty() || bytes.len() > self.current.len as usize {
            return self.move_in_pieces(cx, bytes);
        }
        cx.copyin(self.current.base, bytes)?;
        self.advance(bytes.len() as u32);
        Ok(bytes.len())
    }

    #[inline(never)]
    fn move_in_pieces(&mut self, cx: &Context<'_>, bytes: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < bytes.len() && self.resid > 0 {
            let Some((base, n)) = self.segment(bytes.len() - done) else { break };
            cx.copyin(base, &mut bytes[done..done + n])?;
            self.advance(n as u32);
            done += n;
        }
        Ok(done)
    }

    /// Reads what is left of the transfer and drops it.
    pub fn discard(&mut self, cx: &Context<'_>) -> Result<(), Errno> {
        let mut piece = [0; 4096];
        while self.resid > 0 && self.move_in(cx, &mut piece)? > 0 {}
        Ok(())
    }

    /// Skips empty buffers and gives the address and length of the next piece of at most `max` bytes.
    #[inline]
    fn segment(&mut self, max: usize) -> Option<(u32, usize)> {
        while self.current.len == 0 {
            self.current = self.later.pop()?;
        }
        Some((self.current.base, (self.current.len as usize).min(max)))
    }

    /// Counts `n` bytes of the current buffer, which has as many, as transferred.
    #[inline]
    fn advance(&mut self, n: u32) {
        self.current.base = self.current.base.wrapping_add(n);
        self.current.len -= n;
        self.resid -= n;
        self.offset = self.offset.wrapping_add(i64::from(n));
    }
}
