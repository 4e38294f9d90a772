//! Randomness for the engines: the kernel's generator, read anew each time.
//!
//! No generator of our own in between: its state would survive a snapshot or a fork and give the same ephemeral keys
//! twice. A read of 32 bytes costs about 0.3 µs and happens per handshake and per jump, never per packet.

use rand_core::{Infallible, TryCryptoRng, TryRng};
use rustix::rand::{GetRandomFlags, getrandom};

/// The kernel's random number generator (getrandom(2)).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// # Panics
    /// When the kernel has no getrandom(2) (before Linux 3.17): going on with predictable keys is no choice.
    fn try_fill_bytes(&mut self, mut rest: &mut [u8]) -> Result<(), Infallible> {
        while !rest.is_empty() {
            match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Ok(len) => rest = &mut rest[len..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel gives no random numbers: {error}"),
            }
        }
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

#[cfg(test)]
mod tests;
