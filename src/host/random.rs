//! The host's source of random bytes.

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `buffer` with random bytes; what the host does not give stays zero.
pub fn fill(buffer: &mut [u8]) {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => done += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
