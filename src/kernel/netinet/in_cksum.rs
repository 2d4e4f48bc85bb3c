//! The internet checksum: the ones' complement of the ones' complement sum of 16-bit words.
//!
//! The sum does not depend on the order of bytes in a word as long as its result is stored in the same.
//!
//! 2.1 counterpart: netinet/in_cksum.c.

use crate::kernel::socket::chain::Chain;

/// A sum in progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: u64,
    odd: bool,
}

impl Sum {
    /// Adds bytes behind those that were added.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        let mut sum = 0u64;
        for word in &mut words {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            sum += (word & 0xffff_ffff) + (word >> 32);
        }
        let mut rest = words.remainder().chunks_exact(2);
        sum += (&mut rest).map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]]))).sum::<u64>();
        sum += rest.remainder().first().map_or(0, |&last| u64::from(last));
        let folded = fold(sum);
        self.sum += u64::from(if self.odd { folded.swap_bytes() } else { folded });
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// The checksum, to be stored as it is.
    pub fn finish(self) -> [u8; 2] {
        (!fold(self.sum)).to_le_bytes()
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of `len` bytes of a packet from position `skip` on, behind what was added before (`in_cksum`).
pub fn in_cksum(mut sum: Sum, m: &Chain, mut skip: usize, mut len: usize) -> [u8; 2] {
    for piece in m {
        let bytes = piece.bytes();
        let Some(bytes) = bytes.get(skip..) else {
            skip -= bytes.len();
            continue;
        };
        skip = 0;
        let count = bytes.len().min(len);
        sum.add(&bytes[..count]);
        len -= count;
        if len == 0 {
            break;
        }
    }
    sum.finish()
}

/// What TCP and UDP put before their headers to sum it, too (`struct ipovly`).
pub fn pseudo(src: [u8; 4], dst: [u8; 4], protocol: u8, len: u16) -> Sum {
    let mut sum = Sum::default();
    sum.add(&src);
    sum.add(&dst);
    let [len1, len0] = len.to_be_bytes();
    sum.add(&[0, protocol, len1, len0]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_sum_up_to_the_whole() {
        let bytes: Vec<u8> = (0..999u32).map(|i| (i * 7 + i / 11) as u8).collect();
        let slow = |bytes: &[u8]| {
            let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |&b| u32::from(b)));
            let mut sum: u32 = words.sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            (!(sum as u16)).to_be_bytes()
        };
        for cut in [0, 1, 2, 7, 8, 9, 500, 998] {
            let mut sum = Sum::default();
            sum.add(&bytes[..cut]);
            sum.add(&bytes[cut..]);
            assert_eq!(sum.finish(), slow(&bytes));
            let chain: Chain =
                [&bytes[..cut], &bytes[cut..]].into_iter().flat_map(Chain::of_packet).collect();
            assert_eq!(in_cksum(Sum::default(), &chain, 3, 900), slow(&bytes[3..903]));
        }
    }
}
