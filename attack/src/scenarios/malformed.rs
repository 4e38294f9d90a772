//! What is no message at all, or almost one.

use std::io;

use jumpvpn_wire::VERSION;

use crate::siege::{Effort, Siege};

/// Types on the wire, 0x10 to 0x1D, and the two that mean nothing.
const TYPES: std::ops::RangeInclusive<u8> = 0..=0xf;
/// Longest datagram that is tried at every length; longer ones are samples.
const LENGTHS: usize = 300;

/// Every type at every length with random content, and genuine datagrams with a bit changed or an end missing.
pub(crate) fn all(siege: &mut Siege<'_>) -> io::Result<()> {
    invented(siege)?;
    siege.memory_is_warm();
    damaged(siege)?;
    invented(siege)
}

fn invented(siege: &mut Siege<'_>) -> io::Result<()> {
    for version in [VERSION, 0, 2, 15] {
        for kind in TYPES {
            for len in (0..LENGTHS).step_by(if version == VERSION { 1 } else { 16 }).chain([1200, 1400, 1472])
            {
                let mut bytes = siege.bytes(len);
                if let Some(first) = bytes.first_mut() {
                    *first = version << 4 | kind;
                }
                // One byte after the type are flags, which are zero in all but a few.
                if let Some(flags) = bytes.get_mut(1).filter(|_| len % 2 == 0) {
                    *flags = 0;
                }
                let source = siege.bystander();
                siege.forge(source, &bytes)?;
            }
        }
    }
    Ok(())
}

fn damaged(siege: &mut Siege<'_>) -> io::Result<()> {
    let capture = siege.captured();
    let rounds = if siege.effort == Effort::Short { 3000 } else { 30_000 };
    for round in 0..rounds {
        let seen = &capture[siege.below(capture.len())];
        let mut bytes = seen.datagram.payload.clone();
        if round % 3 == 0 {
            bytes.truncate(siege.below(bytes.len()));
        } else {
            let at = siege.below(bytes.len());
            bytes[at] ^= 1 << siege.below(8);
        }
        if round % 2 == 0 {
            siege.forge(seen.datagram.source, &bytes)?;
        }
        let source = siege.bystander();
        siege.forge(source, &bytes)?;
    }
    Ok(())
}
