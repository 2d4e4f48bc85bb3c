//! Socket addresses as the bytes that they are: a length, a family, and what the family makes of the rest.
//!
//! Routing keeps addresses as it was given them, and compares as many bytes as the first one's length says.
//!
//! 2.1 counterpart: struct sockaddr (sys/socket.h), struct sockaddr_dl (net/if_dl.h).

/// Families that routing knows.
pub const AF_INET: u8 = 2;
/// Link-level addresses.
pub const AF_LINK: u8 = 18;
/// The first number that is no family (AF_MAX).
pub const AF_MAX: u8 = 28;

/// The length that an address says it has (`sa_len`).
pub fn sa_len(sa: &[u8]) -> usize {
    sa.first().copied().map_or(0, usize::from)
}

/// The family (`sa_family`).
pub fn family(sa: &[u8]) -> u8 {
    sa.get(1).copied().unwrap_or(0)
}

/// A byte; zero behind the end.
pub fn byte(sa: &[u8], at: usize) -> u8 {
    sa.get(at).copied().unwrap_or(0)
}

/// Whether two addresses agree in as many bytes as the first has (`equal`).
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    (0..sa_len(a)).all(|at| byte(a, at) == byte(b, at))
}

/// The length rounded up to long words; one word for nothing (ROUNDUP).
pub fn roundup(len: usize) -> usize {
    if len == 0 { 4 } else { len.next_multiple_of(4) }
}

/// An address with as many bytes as its length says, and padding up to long words.
pub fn padded(sa: &[u8]) -> Vec<u8> {
    let len = roundup(sa_len(sa));
    (0..len).map(|at| byte(sa, at)).collect()
}

/// An address under a mask (`rt_maskedcopy`).
pub fn masked(sa: &[u8], mask: &[u8]) -> Vec<u8> {
    let (len, masked) = (sa_len(sa), sa_len(mask));
    let part = |at: usize| match at {
        0 | 1 => byte(sa, at),
        _ if at < masked => byte(sa, at) & byte(mask, at),
        _ => 0,
    };
    (0..len).map(part).collect()
}
