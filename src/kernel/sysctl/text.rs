//! Strings of the kernel that guests may set: a buffer of fixed room, read up to its first NUL.
//!
//! A setter stores bytes and one NUL behind them, and what was there beyond stays; a guest can see that.
//!
//! 2.1 counterpart: the `char` arrays of kern/kern_sysctl.c.

/// A string in a buffer of fixed room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    buffer: Vec<u8>,
}

impl Text {
    /// A buffer of `room` bytes that holds `text`, cut where need be.
    pub fn new(room: usize, text: &[u8]) -> Self {
        let mut buffer = text.to_vec();
        buffer.truncate(room.saturating_sub(1));
        buffer.resize(room, 0);
        Self { buffer }
    }

    /// The string.
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// The string with the NUL behind it.
    pub fn with_nul(&self) -> Vec<u8> {
        let mut bytes = self.as_bytes().to_vec();
        bytes.push(0);
        bytes
    }

    /// The first `len` bytes of the buffer, whatever they are.
    pub fn raw(&self, len: usize) -> &[u8] {
        self.buffer.get(..len).unwrap_or(&self.buffer)
    }

    /// Room of the buffer.
    pub fn room(&self) -> usize {
        self.buffer.len()
    }

    /// Has `fill` store the first `len` bytes, and ends them with a NUL whatever it says.
    pub(in crate::kernel) fn set<E>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let len = len.min(self.buffer.len().saturating_sub(1));
        let filled = match self.buffer.get_mut(..len) {
            Some(bytes) => fill(bytes),
            None => Ok(()),
        };
        if let Some(end) = self.buffer.get_mut(len) {
            *end = 0;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(text: &mut Text, bytes: &[u8]) {
        let stored: Result<(), ()> = text.set(bytes.len(), |buffer| {
            buffer.copy_from_slice(bytes);
            Ok(())
        });
        assert_eq!(stored, Ok(()));
    }

    #[test]
    fn a_shorter_string_leaves_the_rest_of_the_buffer() {
        let mut text = Text::new(16, b"oracle");
        store(&mut text, b"ab");
        assert_eq!(text.as_bytes(), b"ab");
        assert_eq!(text.raw(6), b"ab\0cle");
    }

    #[test]
    fn a_nul_inside_ends_the_string() {
        let mut text = Text::new(16, b"");
        store(&mut text, b"a\0b");
        assert_eq!(text.with_nul(), b"a\0");
    }

    #[test]
    fn a_failed_fill_still_moves_the_end() {
        let mut text = Text::new(16, b"oracle");
        assert_eq!(text.set(3, |_| Err(7)), Err(7));
        assert_eq!(text.as_bytes(), b"ora");
    }
}
