//! Reattach tickets (section 4.2): a stateless server cookie that binds a request to the session, its version and
//! the address the server saw. The key never leaves the process, so every ticket dies with it.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_wire::{Cid, Handle, ObservedAddress, PathId, Ticket, TransportClass};
use rand_core::CryptoRng;

use crate::kdf::MacKey;
use crate::token::{WeakRandomness, random_key};

#[cfg(test)]
mod tests;

/// How long a ticket key issues; it checks for as long again.
pub const TICKET_ROTATION: Duration = Duration::from_secs(60);

/// Everything a ticket is good for, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketBinding {
    /// The session.
    pub handle: Handle,
    /// Its owner epoch.
    pub owner_epoch: u64,
    /// Its state version: every ticket dies at the next committed change.
    pub version: u64,
    /// The path wanted.
    pub path_id: PathId,
    /// Transport the request came over.
    pub class: TransportClass,
    /// Address the request came from.
    pub observed: SocketAddr,
    /// Address the request came to.
    pub local: SocketAddr,
    /// CID the client listens on.
    pub client_cid: Cid,
}

struct Key {
    id: u8,
    mac: MacKey,
    since: Time,
}

/// The node's ticket keys: the current one and the one before.
pub struct TicketKeys {
    current: Key,
    previous: Option<Key>,
}

impl TicketKeys {
    /// Fresh keys.
    ///
    /// # Errors
    /// [`WeakRandomness`].
    pub fn new(now: Time, rng: &mut dyn CryptoRng) -> Result<Self, WeakRandomness> {
        // Key id 0 is left out, so that an all-zero ticket can never name a living key.
        Ok(Self { current: Self::fresh(1, now, rng)?, previous: None })
    }

    fn fresh(id: u8, since: Time, rng: &mut dyn CryptoRng) -> Result<Key, WeakRandomness> {
        Ok(Key { id, mac: MacKey::new(&*random_key::<32>(rng)?), since })
    }

    /// Rotates when the current key is [`TICKET_ROTATION`] old. To be called before issuing and from a timer.
    ///
    /// # Errors
    /// [`WeakRandomness`]; the present keys stay.
    pub fn refresh(&mut self, now: Time, rng: &mut dyn CryptoRng) -> Result<(), WeakRandomness> {
        let age = now.since(self.current.since);
        if age < TICKET_ROTATION {
            return Ok(());
        }
        let id = if self.current.id == u8::MAX { 1 } else { self.current.id + 1 };
        let old = core::mem::replace(&mut self.current, Self::fresh(id, now, rng)?);
        // After a long pause the old key is past its second life as well.
        self.previous = (age < 2 * TICKET_ROTATION).then_some(old);
        Ok(())
    }

    /// A ticket: key id 1 ‖ zero 3 ‖ issue time 4 (milliseconds) ‖ server CID 8 ‖ MAC 16.
    pub fn issue(&self, now: Time, binding: &TicketBinding, server_cid: Cid) -> Ticket {
        let mut ticket = [0; 32];
        ticket[0] = self.current.id;
        ticket[4..8].copy_from_slice(&clock(now).to_le_bytes());
        ticket[8..16].copy_from_slice(&server_cid.0.to_le_bytes());
        let tag = mac(&self.current.mac, binding, &ticket[..16]);
        ticket[16..].copy_from_slice(&tag);
        Ticket(ticket)
    }

    /// The server CID of a ticket that is genuine, alive and issued for exactly this binding.
    ///
    /// # Errors
    /// [`Reason::StaleTicket`] whatever is wrong with it.
    pub fn check(
        &self,
        now: Time,
        binding: &TicketBinding,
        ticket: &Ticket,
        max_age: Duration,
    ) -> Result<Cid, Reason> {
        let (head, tag) = ticket.0.split_first_chunk::<16>().ok_or(Reason::StaleTicket)?;
        let tag: &[u8; 16] = tag.try_into().map_err(|_| Reason::StaleTicket)?;
        let [id, _, _, _, t0, t1, t2, t3, ..] = *head;
        let key = self.key(id, now).ok_or(Reason::StaleTicket)?;
        if !key.mac.verify(&parts(&fields(binding), head), tag) {
            return Err(Reason::StaleTicket);
        }
        // Modulo 2^32 ms; the rotation keeps every living ticket far younger than the 49 days of a turn.
        let age = clock(now).wrapping_sub(u32::from_le_bytes([t0, t1, t2, t3]));
        if u128::from(age) > max_age.as_millis() { Err(Reason::StaleTicket) } else { Ok(ticket.server_cid()) }
    }

    fn key(&self, id: u8, now: Time) -> Option<&Key> {
        let keys = [Some(&self.current), self.previous.as_ref()];
        let key = keys.into_iter().flatten().find(|key| key.id == id)?;
        (now.since(key.since) < 2 * TICKET_ROTATION).then_some(key)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(..)")
    }
}

fn clock(now: Time) -> u32 {
    now.as_millis() as u32
}

/// Length of [`fields`], bytes.
const FIELDS_LEN: usize = 6 + 8 + 8 + 4 + 1 + ObservedAddress::LEN * 2 + 8;

/// The bound values at fixed places, so that no two bindings share an encoding.
fn fields(binding: &TicketBinding) -> [u8; FIELDS_LEN] {
    let mut out = [0; FIELDS_LEN];
    let parts: [&[u8]; 8] = [
        &binding.handle.to_bytes(),
        &binding.owner_epoch.to_le_bytes(),
        &binding.version.to_le_bytes(),
        &binding.path_id.0.to_le_bytes(),
        &[binding.class.code()],
        &ObservedAddress::new(binding.observed).encode(),
        &ObservedAddress::new(binding.local).encode(),
        &binding.client_cid.0.to_le_bytes(),
    ];
    let mut rest = out.as_mut_slice();
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    out
}

fn parts<'a>(fields: &'a [u8; FIELDS_LEN], head: &'a [u8]) -> [&'a [u8]; 3] {
    [b"jump/1 ticket", fields, head]
}

fn mac(key: &MacKey, binding: &TicketBinding, head: &[u8]) -> [u8; 16] {
    key.tag(&parts(&fields(binding), head))
}
