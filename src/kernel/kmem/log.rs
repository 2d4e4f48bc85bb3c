//! The message buffer: what the kernel has said, for `dmesg` and the log device.
//!
//! 2.1 counterpart: sys/msgbuf.h, kern/subr_prf.c (log, putchar), kern/subr_log.c.

use syscalls::layout::Msgbuf;

use crate::kernel::Kernel;

/// Bytes of the text (MSG_BSIZE).
const SIZE: usize = 4096 - 12;
/// Says that the buffer is one (MSG_MAGIC).
const MAGIC: u32 = 0x06_3061;

/// Kinds of messages (LOG_*).
pub(in crate::kernel) const NOTICE: u8 = 5;

/// The buffer, and how far it has been written and read.
#[derive(Clone, Debug)]
pub(crate) struct MessageBuffer {
    text: Box<[u8; SIZE]>,
    written: usize,
    read: usize,
}

impl Default for MessageBuffer {
    fn default() -> Self {
        Self { text: Box::new([0; SIZE]), written: 0, read: 0 }
    }
}

impl MessageBuffer {
    /// Adds text; the oldest goes.
    pub(in crate::kernel) fn put(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.text.get_mut(self.written) {
                *place = byte;
            }
            self.written = (self.written + 1) % SIZE;
        }
    }

    /// Up to `most` bytes that nobody has read; the reader who is overtaken loses a whole round.
    pub(in crate::kernel) fn piece(&self, most: usize) -> Vec<u8> {
        let end = if self.read <= self.written { self.written } else { SIZE };
        self.text.get(self.read..end.min(self.read.saturating_add(most))).unwrap_or_default().to_vec()
    }

    /// So many bytes have been read.
    pub(in crate::kernel) fn pass(&mut self, length: usize) {
        self.read = (self.read + length) % SIZE;
    }

    /// Bytes that nobody has read.
    pub(in crate::kernel) fn unread(&self) -> usize {
        (self.written + SIZE - self.read) % SIZE
    }

    /// The structure that readers of kernel memory see.
    pub(in crate::kernel) fn layout(&self) -> Msgbuf {
        Msgbuf {
            magic: MAGIC.into(),
            bufx: (self.written as u32).into(),
            bufr: (self.read as u32).into(),
            bufc: *self.text,
        }
    }
}

/// Says something, with its kind for those who read the log device (`log`).
pub(in crate::kernel) fn log(kernel: &mut Kernel, kind: u8, text: &str) {
    kernel.messages.put(format!("<{kind}>{text}").as_bytes());
    super::log_device::wake(kernel);
}

/// Says something without a kind (`printf`).
pub(in crate::kernel) fn printf(kernel: &mut Kernel, text: &str) {
    kernel.messages.put(text.as_bytes());
    super::log_device::wake(kernel);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(buffer: &mut MessageBuffer, most: usize) -> Vec<u8> {
        let piece = buffer.piece(most);
        buffer.pass(piece.len());
        piece
    }

    #[test]
    fn what_is_read_is_read_once_and_the_oldest_goes() {
        let mut buffer = MessageBuffer::default();
        buffer.put(b"one\n");
        assert_eq!((buffer.unread(), take(&mut buffer, 2)), (4, b"on".to_vec()));
        assert_eq!(take(&mut buffer, 100), b"e\n");
        assert_eq!(take(&mut buffer, 100), b"");
        buffer.put(&vec![b'x'; SIZE - 2]);
        assert_eq!(take(&mut buffer, SIZE).len() + take(&mut buffer, SIZE).len(), SIZE - 2);
        assert_eq!(buffer.layout().bufx.get(), 2);
    }
}
