//! Keys inside an epoch (section 5.2): control keys and, per binding, traffic keys.

use core::fmt;

use jumpvpn_wire::{PathId, SessionId, Ticket};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::kdf::{Expander, sha256};
use crate::{AeadKey, Suite, TrafficReceiver, TrafficSender};

#[cfg(test)]
mod tests;

/// Epoch secret `ES_n`: every key of epoch `n` hangs on it. Erased on drop; never printed.
#[derive(ZeroizeOnDrop)]
pub struct EpochSecret([u8; 32]);

impl EpochSecret {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(*secret)
    }

    /// A secret that both sides have by other means than a handshake. Measurements of a million sessions begin so.
    pub fn agreed(secret: &[u8; 32]) -> Self {
        Self::new(secret)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Control keys `CK_c2s` and `CK_s2c`.
    pub fn control(&self, context: &EpochContext) -> ControlKeys {
        let root = Expander::from_secret(&self.0);
        let (sid, n) = (&context.sid.0, &context.n.to_le_bytes());
        let (owner, salt) = (&context.owner_epoch.to_le_bytes(), &context.owner_salt);
        let c2s = root.expand::<32>("ctl c2s", &[sid, n]);
        let s2c = root.expand::<32>("ctl s2c", &[sid, n, owner, salt]);
        ControlKeys {
            c2s: AeadKey::derive(context.suite, &Expander::from_secret(&c2s)),
            s2c: AeadKey::derive(context.suite, &Expander::from_secret(&s2c)),
        }
    }

    /// Traffic keys of one binding, at generation 0 and packet number 0, as `side` uses them.
    pub fn binding(&self, context: &EpochContext, binding: &BindingContext, side: Side) -> Traffic {
        let key = Expander::from_secret(&self.binding_key(context, binding));
        let c2s = key.expand::<32>("traffic c2s", &[]);
        let s2c = key.expand::<32>("traffic s2c", &[]);
        let (send, recv) = match side {
            Side::Client => (c2s, s2c),
            Side::Server => (s2c, c2s),
        };
        Traffic {
            send: TrafficSender::new(context.suite, send, context.lanes),
            recv: TrafficReceiver::new(context.suite, recv, context.lanes),
        }
    }

    fn binding_key(&self, context: &EpochContext, binding: &BindingContext) -> Zeroizing<[u8; 32]> {
        let ticket_hash = binding.ticket.map_or([0; 32], |ticket| sha256(&[&ticket.0]));
        Expander::from_secret(&self.0).expand(
            "binding",
            &[
                &context.sid.0,
                &context.n.to_le_bytes(),
                &context.owner_epoch.to_le_bytes(),
                &context.owner_salt,
                &binding.cseq.to_le_bytes(),
                &binding.path_id.0.to_le_bytes(),
                &binding.client_nonce,
                &ticket_hash,
            ],
        )
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

/// What names an epoch of a session besides its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochContext {
    /// The session.
    pub sid: SessionId,
    /// Key epoch.
    pub n: u32,
    /// Owner epoch of the gateway.
    pub owner_epoch: u64,
    /// That owner's salt.
    pub owner_salt: [u8; 16],
    /// Suite chosen at birth.
    pub suite: Suite,
    /// Transmit lanes fixed at birth, 1 to 16 (values outside are brought inside). Not part of any key.
    pub lanes: u8,
}

/// Control keys of an epoch.
#[derive(Debug)]
pub struct ControlKeys {
    /// Client → server, any time in the epoch.
    pub c2s: AeadKey,
    /// Server → client, only the owner that chose the salt.
    pub s2c: AeadKey,
}

/// What names a binding inside an epoch. After a rekey the same context is used under the new secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingContext {
    /// `cseq` of the REATTACH that made the binding.
    pub cseq: u64,
    /// Its path.
    pub path_id: PathId,
    /// Its client nonce.
    pub client_nonce: [u8; 16],
    /// Its ticket; `None` only for the first binding, whose ticket hash is zero.
    pub ticket: Option<Ticket>,
}

impl BindingContext {
    /// The first binding of a session: everything zero.
    pub const fn birth() -> Self {
        Self { cseq: 0, path_id: PathId(0), client_nonce: [0; 16], ticket: None }
    }
}

/// Which end of the session this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The agent.
    Client,
    /// The gateway.
    Server,
}

/// Both directions of one binding.
#[derive(Debug)]
pub struct Traffic {
    /// Seals what this side sends.
    pub send: TrafficSender,
    /// Opens what this side receives.
    pub recv: TrafficReceiver,
}
