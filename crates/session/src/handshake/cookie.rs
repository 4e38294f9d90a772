//! Address cookies (section 7.3 row 4): proof that the sender of an HS_INIT can receive at its address.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_wire::{Cid, Cookie, ObservedAddress};
use rand_core::CryptoRng;

use crate::kdf::MacKey;
use crate::token::{WeakRandomness, random_key};

#[cfg(test)]
mod tests;

/// How long a cookie is good: one slow round trip with a few retransmissions.
pub const COOKIE_MAX_AGE: Duration = Duration::from_secs(10);

/// How long a cookie key issues; it checks for as long again.
pub const COOKIE_ROTATION: Duration = Duration::from_secs(120);

/// The gateway's cookie keys: the current one and the one before.
pub struct CookieKeys {
    current: MacKey,
    since: Time,
    previous: Option<MacKey>,
}

impl CookieKeys {
    /// Fresh keys.
    ///
    /// # Errors
    /// [`WeakRandomness`].
    pub fn new(now: Time, rng: &mut dyn CryptoRng) -> Result<Self, WeakRandomness> {
        Ok(Self { current: MacKey::new(&*random_key::<32>(rng)?), since: now, previous: None })
    }

    /// Rotates when the current key is [`COOKIE_ROTATION`] old. To be called before issuing and from a timer.
    ///
    /// # Errors
    /// [`WeakRandomness`]; the present keys stay.
    pub fn refresh(&mut self, now: Time, rng: &mut dyn CryptoRng) -> Result<(), WeakRandomness> {
        let age = now.since(self.since);
        if age < COOKIE_ROTATION {
            return Ok(());
        }
        let fresh = MacKey::new(&*random_key::<32>(rng)?);
        let old = core::mem::replace(&mut self.current, fresh);
        self.previous = (age < 2 * COOKIE_ROTATION).then_some(old);
        self.since = now;
        Ok(())
    }

    /// A cookie for a request from `source` with this client CID: time 8 (milliseconds) ‖ MAC 16.
    pub fn issue(&self, now: Time, source: SocketAddr, client_cid: Cid) -> Cookie {
        let time = now.as_millis().to_le_bytes();
        let mut cookie = [0; 24];
        cookie[..8].copy_from_slice(&time);
        cookie[8..].copy_from_slice(&mac(&self.current, &time, source, client_cid));
        Cookie(cookie)
    }

    /// Whether the cookie is ours, for this source and client CID, and at most [`COOKIE_MAX_AGE`] old.
    pub fn check(&self, now: Time, source: SocketAddr, client_cid: Cid, cookie: &Cookie) -> bool {
        let [t0, t1, t2, t3, t4, t5, t6, t7, tag @ ..] = cookie.0;
        let time = [t0, t1, t2, t3, t4, t5, t6, t7];
        let issued = u64::from_le_bytes(time);
        let Some(age) = now.as_millis().checked_sub(issued) else { return false };
        u128::from(age) <= COOKIE_MAX_AGE.as_millis()
            && [Some(&self.current), self.previous.as_ref()]
                .into_iter()
                .flatten()
                .any(|key| key.verify(&parts(&time, &encoded(source), &client_cid.0.to_le_bytes()), &tag))
    }
}

impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKeys(..)")
    }
}

fn encoded(source: SocketAddr) -> [u8; ObservedAddress::LEN] {
    ObservedAddress::new(source).encode()
}

fn parts<'a>(time: &'a [u8; 8], source: &'a [u8; 20], cid: &'a [u8; 8]) -> [&'a [u8]; 4] {
    [b"jump/1 cookie", time, source, cid]
}

fn mac(key: &MacKey, time: &[u8; 8], source: SocketAddr, client_cid: Cid) -> [u8; 16] {
    key.tag(&parts(time, &encoded(source), &client_cid.0.to_le_bytes()))
}
