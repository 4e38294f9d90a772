//! The Internet checksum (RFC 1071).
//!
//! Sums are taken over the bytes as they lie in memory: the one's complement sum does not care about byte order
//! (RFC 1071 section 2B), so only constants that are added need to be put into network order first. Public for rooms that make
//! packets by themselves.

/// Sum of `bytes`, a missing last byte taken as zero. Does not overflow for anything below 8 GiB.
///
/// Four bytes at a time into a 64-bit sum: the compiler turns this into vector code, which the carry of a 16-bit
/// sum prevents.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let (halves, last) = rest.as_chunks::<2>();
    total += halves.iter().map(|half| u64::from(u16::from_ne_bytes(*half))).sum::<u64>();
    total + last.iter().map(|byte| u64::from(u16::from_ne_bytes([*byte, 0]))).sum::<u64>()
}

/// A number as it would be summed if it stood in the packet.
#[must_use]
pub fn word(value: u16) -> u64 {
    u64::from(value.to_be())
}

/// The sum with all carries added back, in memory order.
#[must_use]
pub fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// The bytes to put into a checksum field whose packet sums to `total` without it.
#[must_use]
pub fn finish(total: u64) -> [u8; 2] {
    (!fold(total)).to_ne_bytes()
}

/// Sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1): addresses, protocol and length of what
/// follows the IP header.
#[must_use]
pub fn pseudo_header(addresses: &[u8], protocol: u8, transport_len: u16) -> u64 {
    sum(addresses) + word(u16::from(protocol)) + word(transport_len)
}

#[cfg(test)]
mod tests;
