//! What the host says of itself.

/// The host's name.
pub fn node_name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}
